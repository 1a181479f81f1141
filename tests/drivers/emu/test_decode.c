/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_decode.c: the decoder's integer and system maps, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_decode.h"
#include "drivers/emu/guest_x86_state.h"

enum {
    REAL = 0,
    BITS16 = EMU_MODE_PROT,
    BITS32 = EMU_MODE_PROT | EMU_MODE_CS32,
    BITS64 = EMU_MODE_PROT | EMU_MODE_CS64,
};

#define DECODE(mode, ...)                             \
    decode_ok(mode, (const uint8_t[]){ __VA_ARGS__ }, \
              sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define STATUS(mode, ...)                                 \
    decode_status(mode, (const uint8_t[]){ __VA_ARGS__ }, \
                  sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define REFUSED(mode, ...) \
    assert_string_equal(emu_op_name(DECODE(mode, __VA_ARGS__).op), "INVALID")

static emu_insn decode_ok(uint32_t mode, const uint8_t *bytes, unsigned len)
{
    emu_insn insn;

    assert_int_equal(emu_decode(&insn, bytes, len, mode, 0, 0), EMU_DECODE_OK);
    if (insn.op != EMU_OP_INVALID)
        assert_int_equal(insn.len, len);
    return insn;
}

static emu_decode_status decode_status(uint32_t mode, const uint8_t *bytes,
                                       unsigned len)
{
    emu_insn insn;

    return emu_decode(&insn, bytes, len, mode, 0, 0);
}

static void assert_insn(emu_insn i, emu_op op, emu_form form, unsigned opsize)
{
    assert_string_equal(emu_op_name(i.op), emu_op_name(op));
    assert_int_equal(i.form, form);
    assert_int_equal(i.opsize, opsize);
}

static void direction_is_resolved(void **state)
{
    /* add eax, ebx both ways; the destination is always `reg`. */
    emu_insn a = DECODE(BITS64, 0x01, 0xd8), b = DECODE(BITS64, 0x03, 0xc3);

    assert_insn(a, EMU_OP_ADD, EMU_FORM_RR, 4);
    assert_insn(b, EMU_OP_ADD, EMU_FORM_RR, 4);
    assert_int_equal(a.reg, 0);
    assert_int_equal(a.rm, 3);
    assert_int_equal(b.reg, 0);
    assert_int_equal(b.rm, 3);

    a = DECODE(BITS64, 0x39, 0x07); /* cmp [rdi], eax */
    assert_insn(a, EMU_OP_CMP, EMU_FORM_MR, 4);
    assert_int_equal(a.base, VSR_X86_RDI);
    b = DECODE(BITS64, 0x3b, 0x07); /* cmp eax, [rdi] */
    assert_insn(b, EMU_OP_CMP, EMU_FORM_RM, 4);
}

static void operand_size_follows_prefixes(void **state)
{
    assert_int_equal(DECODE(BITS64, 0x89, 0xc8).opsize, 4);
    assert_int_equal(DECODE(BITS64, 0x66, 0x89, 0xc8).opsize, 2);
    assert_int_equal(DECODE(BITS64, 0x48, 0x89, 0xc8).opsize, 8);
    assert_int_equal(DECODE(BITS64, 0x66, 0x48, 0x89, 0xc8).opsize, 8);
    assert_int_equal(DECODE(BITS64, 0x88, 0xc8).opsize, 1);
    assert_int_equal(DECODE(BITS32, 0x66, 0x89, 0xc8).opsize, 2);
    assert_int_equal(DECODE(BITS16, 0x89, 0xc8).opsize, 2);
    assert_int_equal(DECODE(REAL, 0x66, 0x89, 0xc8).opsize, 4);
    /* A REX that is not last does not count. */
    assert_int_equal(DECODE(BITS64, 0x48, 0x66, 0x89, 0xc8).opsize, 2);
    /* 64 bits without being asked. */
    assert_int_equal(DECODE(BITS64, 0x50).opsize, 8);
    assert_int_equal(DECODE(BITS64, 0x66, 0x50).opsize, 2);
    assert_int_equal(DECODE(BITS64, 0xc3).opsize, 8);
    assert_int_equal(DECODE(BITS32, 0xc3).opsize, 4);
    assert_int_equal(DECODE(BITS64, 0xff, 0xe0).opsize, 8);
    assert_int_equal(DECODE(BITS64, 0x0f, 0x20, 0xc0).opsize, 8);
}

static void byte_registers_are_offsets(void **state)
{
    emu_insn i = DECODE(BITS64, 0x88, 0xe0); /* mov al, ah */

    assert_int_equal(i.reg, 0);
    assert_int_equal(i.rm, 1);
    i = DECODE(BITS64, 0x40, 0x88, 0xe0); /* mov al, spl */
    assert_int_equal(i.rm, 4 * 8);
    i = DECODE(BITS64, 0x45, 0x88, 0xfe); /* mov r14b, r15b */
    assert_int_equal(i.reg, 14 * 8);
    assert_int_equal(i.rm, 15 * 8);
    i = DECODE(BITS32, 0xb7, 0x12); /* mov bh, 12h */
    assert_int_equal(i.reg, 25);
    i = DECODE(BITS64, 0x0f, 0xb6, 0xc4); /* movzx eax, ah */
    assert_insn(i, EMU_OP_MOVZX, EMU_FORM_RR, 4);
    assert_int_equal(i.aux, 1);
    assert_int_equal(i.rm, 1);
    i = DECODE(BITS64, 0x48, 0x0f, 0xbf, 0xc4); /* movsx rax, sp */
    assert_insn(i, EMU_OP_MOVSX, EMU_FORM_RR, 8);
    assert_int_equal(i.aux, 2);
    assert_int_equal(i.rm, 4);
}

static void addresses_of_64_bits(void **state)
{
    /* mov rax, [r12 + r13*8 - 0x12345678] */
    emu_insn i = DECODE(BITS64, 0x4b, 0x8b, 0x84, 0xec, 0x88, 0xa9, 0xcb, 0xed);

    assert_insn(i, EMU_OP_MOV, EMU_FORM_RM, 8);
    assert_int_equal(i.base, 12);
    assert_int_equal(i.index, 13);
    assert_int_equal(i.mem >> EMU_MEM_SCALE_SHIFT, 3);
    assert_int_equal(i.disp, -0x12345678);
    assert_true(i.mem & EMU_MEM_FLAT);
    assert_int_equal(i.mem & EMU_MEM_SEG, VSR_X86_DS);

    i = DECODE(BITS64, 0x8b, 0x45, 0xf8); /* mov eax, [rbp - 8] */
    assert_int_equal(i.mem & EMU_MEM_SEG, VSR_X86_SS);
    assert_int_equal(i.index, EMU_REG_ZERO);
    assert_int_equal(i.disp, -8);
    i = DECODE(BITS64, 0x8b, 0x04, 0x25, 0, 0x10, 0, 0); /* mov eax, [1000h] */
    assert_int_equal(i.base, EMU_REG_ZERO);
    assert_int_equal(i.index, EMU_REG_ZERO);
    assert_int_equal(i.disp, 0x1000);
    i = DECODE(BITS64, 0x65, 0x8b, 0x00); /* mov eax, gs:[rax] */
    assert_int_equal(i.mem & EMU_MEM_SEG, VSR_X86_GS);
    assert_false(i.mem & EMU_MEM_FLAT);
    i = DECODE(BITS64, 0x2e, 0x8b, 0x00); /* CS means nothing here */
    assert_int_equal(i.mem & EMU_MEM_SEG, VSR_X86_DS);
    assert_true(i.mem & EMU_MEM_FLAT);
    i = DECODE(BITS64, 0x67, 0x8b, 0x00); /* mov eax, [eax] */
    assert_int_equal(i.mem & EMU_MEM_ASIZE, EMU_MEM_A32);
    assert_false(i.mem & EMU_MEM_FLAT);
    i = DECODE(BITS64, 0x42, 0x8b, 0x04, 0x20); /* mov eax, [rax + r12] */
    assert_int_equal(i.index, 12);
}

static void rip_relative_counts_from_the_block(void **state)
{
    const uint8_t bytes[] = { 0xc7, 0x05, 0x10, 0, 0, 0, 1, 0, 0, 0 };
    const uint8_t far_bytes[] = { 0x8b, 0x05, 0xff, 0xff, 0xff, 0x7f };
    emu_insn i;

    /* mov dword [rip + 10h], 1 at offset 100: the immediate counts too. */
    assert_int_equal(emu_decode(&i, bytes, 10, BITS64, 0, 100), EMU_DECODE_OK);
    assert_int_equal(i.base, EMU_REG_RIP);
    assert_int_equal(i.disp, 0x10 + 10 + 100);
    assert_int_equal(i.imm, 1);
    /* The same bytes in 32-bit code are an absolute address. */
    assert_int_equal(emu_decode(&i, bytes, 10, BITS32, 0, 100), EMU_DECODE_OK);
    assert_int_equal(i.base, EMU_REG_ZERO);
    assert_int_equal(i.disp, 0x10);
    /* Does not fit when counted from so far back. */
    assert_int_equal(emu_decode(&i, far_bytes, 6, BITS64, 0, 100),
                     EMU_DECODE_RESTART);
}

static void addresses_of_16_bits(void **state)
{
    emu_insn i = DECODE(REAL, 0x8b, 0x42, 0xfe); /* mov ax, [bp + si - 2] */

    assert_int_equal(i.base, VSR_X86_RBP);
    assert_int_equal(i.index, VSR_X86_RSI);
    assert_int_equal(i.disp, -2);
    assert_int_equal(i.mem, VSR_X86_SS | EMU_MEM_A16);
    i = DECODE(REAL, 0x8b, 0x1e, 0x34, 0x12); /* mov bx, [1234h] */
    assert_int_equal(i.base, EMU_REG_ZERO);
    assert_int_equal(i.disp, 0x1234);
    assert_int_equal(i.mem, VSR_X86_DS | EMU_MEM_A16);
    i = DECODE(REAL, 0x26, 0x8b, 0x07); /* mov ax, es:[bx] */
    assert_int_equal(i.base, VSR_X86_RBX);
    assert_int_equal(i.index, EMU_REG_ZERO);
    assert_int_equal(i.mem, VSR_X86_ES | EMU_MEM_A16);
    i = DECODE(REAL, 0x67, 0x8b, 0x04, 0x98); /* mov ax, [eax + ebx*4] */
    assert_int_equal(i.base, VSR_X86_RAX);
    assert_int_equal(i.index, VSR_X86_RBX);
    assert_int_equal(i.mem & EMU_MEM_ASIZE, EMU_MEM_A32);
}

static void immediates_are_sign_extended(void **state)
{
    emu_insn i = DECODE(BITS64, 0x48, 0x83, 0xc0, 0x80); /* add rax, -128 */

    assert_insn(i, EMU_OP_ADD, EMU_FORM_RI, 8);
    assert_int_equal(i.imm, -128);
    i = DECODE(BITS64, 0x66, 0x81, 0x38, 0x00,
               0x80); /* cmp word [rax], 8000h */
    assert_insn(i, EMU_OP_CMP, EMU_FORM_MI, 2);
    assert_int_equal(i.imm, -0x8000);
    i = DECODE(BITS64, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8);
    assert_insn(i, EMU_OP_MOV_IMM64, EMU_FORM_RI, 8);
    assert_true(i.imm64 == UINT64_C(0x0807060504030201));
    i = DECODE(BITS64, 0x49, 0xbf, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
               0xff);
    assert_insn(i, EMU_OP_MOV, EMU_FORM_RI, 8);
    assert_int_equal(i.imm, -2);
    assert_int_equal(i.reg, 15);
    i = DECODE(BITS64, 0xa1, 1, 2, 3, 4, 5, 6, 7, 8);
    assert_insn(i, EMU_OP_MOV_ABS, EMU_FORM_RM, 4);
    assert_true(i.imm64 == UINT64_C(0x0807060504030201));
    i = DECODE(BITS32, 0xa3, 1, 2, 3, 4);
    assert_insn(i, EMU_OP_MOV, EMU_FORM_MR, 4);
    assert_int_equal(i.disp, 0x04030201);
    i = DECODE(BITS64, 0xc8, 0x00, 0xff, 0x21); /* enter 65280, 1 */
    assert_insn(i, EMU_OP_ENTER, EMU_FORM_I, 8);
    assert_int_equal(i.imm, 0xff00);
    assert_int_equal(i.aux, 1);
    i = DECODE(BITS32, 0xea, 0, 0, 0, 0x80, 0x34, 0x82); /* jmp 8234:80000000 */
    assert_insn(i, EMU_OP_JMPF, EMU_FORM_I, 4);
    assert_int_equal((uint32_t)i.imm, 0x80000000);
    assert_int_equal(i.disp, 0x8234);
}

static void shifts_by_cl_and_by_number_differ_in_form(void **state)
{
    emu_insn i = DECODE(BITS64, 0xd3, 0xe0);

    assert_insn(i, EMU_OP_SHL, EMU_FORM_R, 4);
    i = DECODE(BITS64, 0xd1, 0x38); /* sar dword [rax], 1 */
    assert_insn(i, EMU_OP_SAR, EMU_FORM_MI, 4);
    assert_int_equal(i.imm, 1);
    i = DECODE(BITS64, 0xc0, 0xf0, 0x83); /* the undocumented shl */
    assert_insn(i, EMU_OP_SHL, EMU_FORM_RI, 1);
    assert_int_equal(i.imm, 0x83);
    i = DECODE(BITS64, 0x0f, 0xa4, 0xd8, 0x05);
    assert_insn(i, EMU_OP_SHLD, EMU_FORM_RR, 4);
    assert_int_equal(i.imm, 5);
    assert_insn(DECODE(BITS64, 0x0f, 0xad, 0x18), EMU_OP_SHRD_CL, EMU_FORM_MR,
                4);
}

static void branches_end_blocks(void **state)
{
    emu_insn i = DECODE(BITS64, 0x0f, 0x8f, 0xfc, 0xff, 0xff, 0xff);

    assert_insn(i, EMU_OP_JCC, EMU_FORM_I, 8);
    assert_int_equal(i.cond, 15);
    assert_int_equal(i.imm, -4);
    assert_true(i.flags & EMU_I_ENDS);
    i = DECODE(BITS32, 0x66, 0xe9, 0xfe, 0xff);
    assert_insn(i, EMU_OP_JMP, EMU_FORM_I, 2);
    assert_int_equal(i.imm, -2);
    /* Operand size means nothing to near branches of 64-bit code. */
    i = DECODE(BITS64, 0x66, 0xe8, 1, 0, 0, 0);
    assert_insn(i, EMU_OP_CALL, EMU_FORM_I, 8);
    assert_true(DECODE(BITS64, 0xc3).flags & EMU_I_ENDS);
    assert_true(DECODE(BITS64, 0x0f, 0x22, 0xd8).flags & EMU_I_ENDS);
    assert_true(DECODE(BITS64, 0x0f, 0x0b).flags & EMU_I_ENDS);
    assert_false(DECODE(BITS64, 0xfa).flags & EMU_I_ENDS);
    assert_false(DECODE(BITS64, 0xfb).flags & EMU_I_ENDS);
    assert_false(DECODE(BITS64, 0x90).flags & EMU_I_ENDS);
    i = DECODE(BITS64, 0x67, 0xe3, 0x05);
    assert_insn(i, EMU_OP_JCXZ, EMU_FORM_I, 8);
    assert_int_equal(i.mem, EMU_MEM_A32);
}

static void lock_is_refused_where_it_may_not_be(void **state)
{
    assert_true(DECODE(BITS64, 0xf0, 0x01, 0x08).flags & EMU_I_LOCK);
    assert_true(DECODE(BITS64, 0xf0, 0x0f, 0xc7, 0x08).flags & EMU_I_LOCK);
    assert_true(DECODE(BITS64, 0xf0, 0x0f, 0xba, 0x28, 1).flags & EMU_I_LOCK);
    assert_true(DECODE(BITS64, 0xf0, 0xff, 0x00).flags & EMU_I_LOCK);
    assert_true(DECODE(BITS64, 0xf0, 0xf7, 0x18).flags & EMU_I_LOCK);
    REFUSED(BITS64, 0xf0, 0x01, 0xc8);       /* a register */
    REFUSED(BITS64, 0xf0, 0x03, 0x08);       /* memory is the source */
    REFUSED(BITS64, 0xf0, 0x39, 0x08);       /* cmp */
    REFUSED(BITS64, 0xf0, 0x89, 0x08);       /* mov */
    REFUSED(BITS64, 0xf0, 0x0f, 0xa3, 0x08); /* bt */
    REFUSED(BITS64, 0xf0, 0x90);
    REFUSED(BITS64, 0xf0, 0xf7, 0x20); /* mul */
    /* xchg with memory locks by itself */
    assert_true(DECODE(BITS64, 0x87, 0x08).flags & EMU_I_LOCK);
    assert_false(DECODE(BITS64, 0x87, 0xc8).flags & EMU_I_LOCK);
}

static void modes_have_their_own_instructions(void **state)
{
    /* inc ax of old is a REX prefix now */
    assert_insn(DECODE(BITS32, 0x40), EMU_OP_INC, EMU_FORM_R, 4);
    assert_int_equal(STATUS(BITS64, 0x40), EMU_DECODE_MORE);
    assert_insn(DECODE(BITS64, 0x48, 0x63, 0xc1), EMU_OP_MOVSXD, EMU_FORM_RR,
                8);
    assert_insn(DECODE(BITS32, 0x63, 0xc1), EMU_OP_ARPL, EMU_FORM_RR, 2);
    REFUSED(REAL, 0x63, 0xc1);
    REFUSED(REAL, 0x0f, 0x00, 0xd0); /* lldt */
    assert_insn(DECODE(BITS32, 0xc4, 0x00), EMU_OP_LOADFAR, EMU_FORM_RM, 4);
    REFUSED(BITS32, 0xc4, 0xe2, 0x71, 0x00, 0xc0); /* VEX */
    REFUSED(BITS64, 0xc5, 0xf8, 0x77);
    REFUSED(BITS64, 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0); /* EVEX */
    REFUSED(BITS64, 0x06);
    REFUSED(BITS64, 0x27);
    REFUSED(BITS64, 0x60);
    REFUSED(BITS64, 0x82, 0xc0, 1);
    REFUSED(BITS64, 0x9a, 0, 0, 0, 0, 0, 0);
    REFUSED(BITS64, 0xce);
    REFUSED(BITS64, 0xd4, 10);
    REFUSED(BITS32, 0x0f, 0x01, 0xf8); /* swapgs */
    assert_insn(DECODE(BITS64, 0x0f, 0x01, 0xf8), EMU_OP_SWAPGS, EMU_FORM_N, 4);
    assert_insn(DECODE(BITS32, 0x06), EMU_OP_PUSH_SEG, EMU_FORM_R, 4);
    assert_insn(DECODE(BITS64, 0x0f, 0xa9), EMU_OP_POP_SEG, EMU_FORM_R, 8);
    assert_int_equal(DECODE(BITS64, 0x0f, 0xa9).reg, VSR_X86_GS);
}

static void prefixes_choose_the_instruction(void **state)
{
    emu_insn i;

    assert_insn(DECODE(BITS64, 0x90), EMU_OP_NOP, EMU_FORM_N, 4);
    assert_insn(DECODE(BITS64, 0xf3, 0x90), EMU_OP_PAUSE, EMU_FORM_N, 4);
    assert_insn(DECODE(BITS64, 0x49, 0x90), EMU_OP_XCHG, EMU_FORM_RR, 8);
    assert_insn(DECODE(BITS64, 0xf3, 0x0f, 0xb8, 0xc1), EMU_OP_POPCNT,
                EMU_FORM_RR, 4);
    REFUSED(BITS64, 0x0f, 0xb8, 0xc1);
    /* Without BMI1 and LZCNT the F3 is ignored. */
    assert_insn(DECODE(BITS64, 0xf3, 0x0f, 0xbc, 0xc1), EMU_OP_BSF, EMU_FORM_RR,
                4);
    assert_int_equal(emu_decode(&i, (const uint8_t[]){ 0xf3, 0x0f, 0xbd, 0xc1 },
                                4, BITS64, EMU_DECODE_LZCNT, 0),
                     EMU_DECODE_OK);
    assert_insn(i, EMU_OP_LZCNT, EMU_FORM_RR, 4);
    assert_insn(DECODE(BITS64, 0xf3, 0x0f, 0x1e, 0xfa), EMU_OP_NOP, EMU_FORM_N,
                4); /* endbr64 */
    assert_insn(DECODE(BITS64, 0xf3, 0x48, 0x0f, 0xae, 0xc8), EMU_OP_RDGSBASE,
                EMU_FORM_R, 8);
    assert_insn(DECODE(BITS64, 0x0f, 0xae, 0xf0), EMU_OP_MFENCE, EMU_FORM_N, 4);
    assert_insn(DECODE(BITS64, 0x66, 0x0f, 0xae, 0x38), EMU_OP_CLFLUSH,
                EMU_FORM_M, 1);
    i = DECODE(BITS64, 0xf2, 0x48, 0x0f, 0x38, 0xf0, 0xc4);
    assert_insn(i, EMU_OP_CRC32, EMU_FORM_RR, 8);
    assert_int_equal(i.aux, 1);
    assert_int_equal(i.rm, 4 * 8);
    i = DECODE(BITS64, 0x66, 0xf2, 0x0f, 0x38, 0xf1, 0x00);
    assert_insn(i, EMU_OP_CRC32, EMU_FORM_RM, 4);
    assert_int_equal(i.aux, 2);
    assert_insn(DECODE(BITS64, 0x66, 0x0f, 0x38, 0xf1, 0x00), EMU_OP_MOVBE,
                EMU_FORM_MR, 2);
    REFUSED(BITS64, 0x0f, 0x38, 0xf0, 0xc0);
    i = DECODE(BITS64, 0xf3, 0x48, 0xa5);
    assert_insn(i, EMU_OP_MOVS, EMU_FORM_N, 8);
    assert_true(i.flags & EMU_I_REP);
    i = DECODE(BITS32, 0x64, 0xf2, 0x67, 0xa6);
    assert_insn(i, EMU_OP_CMPS, EMU_FORM_N, 1);
    assert_true(i.flags & EMU_I_REPNE);
    assert_int_equal(i.mem, VSR_X86_FS | EMU_MEM_A16);
    assert_insn(DECODE(BITS64, 0x48, 0x0f, 0xc7, 0x08), EMU_OP_CMPXCHG16B,
                EMU_FORM_M, 16);
    assert_insn(DECODE(BITS64, 0x0f, 0x01, 0x38), EMU_OP_INVLPG, EMU_FORM_M, 1);
    assert_insn(DECODE(BITS64, 0x0f, 0x01, 0xd0), EMU_OP_XGETBV, EMU_FORM_N, 4);
    REFUSED(BITS64, 0x66, 0x0f, 0x01, 0xd0);
}

static void control_registers_ignore_the_mod_field(void **state)
{
    emu_insn i = DECODE(BITS64, 0x0f, 0x22, 0x18); /* mov cr3, rax */

    assert_insn(i, EMU_OP_MOV_CR_R, EMU_FORM_RR, 8);
    assert_int_equal(i.reg, 3);
    assert_int_equal(i.rm, 0);
    i = DECODE(BITS64, 0x44, 0x0f, 0x20, 0xc1); /* mov rcx, cr8 */
    assert_insn(i, EMU_OP_MOV_R_CR, EMU_FORM_RR, 8);
    assert_int_equal(i.reg, 1);
    assert_int_equal(i.rm, 8);
    REFUSED(BITS64, 0x0f, 0x20, 0xc8);       /* cr1 */
    REFUSED(BITS64, 0x44, 0x0f, 0x21, 0xc0); /* dr8 */
    REFUSED(BITS64, 0x8e, 0xc8);             /* mov cs, eax */
    REFUSED(BITS64, 0x8e, 0xf0);             /* segment 6 */
}

static void length_is_limited(void **state)
{
    uint8_t bytes[16];

    memset(bytes, 0x66, sizeof bytes);
    bytes[14] = 0x90;
    assert_int_equal(decode_status(BITS64, bytes, 16), EMU_DECODE_OK);
    bytes[14] = 0x66;
    bytes[15] = 0x90;
    assert_int_equal(decode_status(BITS64, bytes, 16), EMU_DECODE_TOO_LONG);
    assert_int_equal(decode_status(BITS64, bytes, 14), EMU_DECODE_MORE);
    assert_int_equal(STATUS(BITS64, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7),
                     EMU_DECODE_MORE);
    assert_int_equal(STATUS(BITS64, 0x8b, 0x84), EMU_DECODE_MORE);
    assert_int_equal(decode_status(BITS64, bytes, 0), EMU_DECODE_MORE);
}

/* No byte string may make the decoder read on, or leave the tables. */
static void any_bytes_decode_within_their_length(void **state)
{
    uint64_t seed = 88172645463325252u;

    for (unsigned n = 0; n < 300000; n++) {
        static const uint32_t modes[4] = { REAL, BITS16, BITS32, BITS64 };
        uint8_t bytes[15];
        unsigned avail = n % 16;
        emu_insn insn;

        for (unsigned i = 0; i < 15; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes[i] = (uint8_t)seed;
        }
        if (n & 64)
            bytes[0] = 0x0f;
        if (emu_decode(&insn, bytes, avail, modes[n / 16 % 4], 0, 0) !=
            EMU_DECODE_OK)
            continue;
        assert_in_range(insn.len, 1, avail);
        assert_in_range(insn.op, 0, EMU_OP_MAX - 1);
        assert_in_range(insn.form, 0, EMU_FORMS - 1);
        assert_in_range(insn.base, 0, EMU_REGS - 1);
        assert_in_range(insn.index, 0, EMU_REGS - 1);
        /* The largest byte offset is r15b's. */
        assert_in_range(insn.reg, 0, 15 * 8);
        assert_in_range(insn.rm, 0, 15 * 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direction_is_resolved),
        cmocka_unit_test(operand_size_follows_prefixes),
        cmocka_unit_test(byte_registers_are_offsets),
        cmocka_unit_test(addresses_of_64_bits),
        cmocka_unit_test(rip_relative_counts_from_the_block),
        cmocka_unit_test(addresses_of_16_bits),
        cmocka_unit_test(immediates_are_sign_extended),
        cmocka_unit_test(shifts_by_cl_and_by_number_differ_in_form),
        cmocka_unit_test(branches_end_blocks),
        cmocka_unit_test(lock_is_refused_where_it_may_not_be),
        cmocka_unit_test(modes_have_their_own_instructions),
        cmocka_unit_test(prefixes_choose_the_instruction),
        cmocka_unit_test(control_registers_ignore_the_mod_field),
        cmocka_unit_test(length_is_limited),
        cmocka_unit_test(any_bytes_decode_within_their_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
