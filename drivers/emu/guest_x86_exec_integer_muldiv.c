/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer_muldiv.c: MUL IMUL DIV IDIV.
 *
 * Flags the manual leaves undefined are as on AMD family 1Ah: MUL and IMUL of
 * the accumulator keep SF, ZF, AF and PF; DIV and IDIV keep CF and OF, set AF
 * and clear the rest.
 *
 * Spec:    Intel SDM vol. 2, "MUL", "IMUL", "DIV", "IDIV": #DE for a divisor
 *          of 0 and for a quotient that does not fit.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_operand.h"

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

static inline void set_mul_flags(emu_cpu *cpu, bool high)
{
    cpu->cc = (uint16_t)((cpu->cc & ~(EMU_CC_CF | EMU_CC_OF)) |
                         (high ? EMU_CC_CF | EMU_CC_OF : 0));
}

static inline void set_div_flags(emu_cpu *cpu)
{
    cpu->cc = (uint16_t)((cpu->cc & (EMU_CC_CF | EMU_CC_OF)) | EMU_CC_AF);
}

/* AX = AL * b */
static inline void do_mul8(emu_cpu *cpu, uint8_t b)
{
    unsigned product = (unsigned)EMU_R8(cpu, 0) * b;

    EMU_R16(cpu, VSR_X86_RAX) = (uint16_t)product;
    set_mul_flags(cpu, product >> 8);
}

static inline void do_imul8(emu_cpu *cpu, uint8_t b)
{
    int product = (int8_t)EMU_R8(cpu, 0) * (int8_t)b;

    EMU_R16(cpu, VSR_X86_RAX) = (uint16_t)product;
    set_mul_flags(cpu, product != (int8_t)product);
}

/* rDX:rAX = rAX * b; `wide` and `swide` are twice as wide. */
#define MUL_WIDE(bits, wide, swide)                                        \
    static inline void do_mul##bits(emu_cpu *cpu, uint##bits##_t b)        \
    {                                                                      \
        wide product = (wide)EMU_GET(bits, VSR_X86_RAX) * b;               \
        uint##bits##_t high = (uint##bits##_t)(product >> (bits));         \
                                                                           \
        EMU_PUT(bits, VSR_X86_RAX, (uint##bits##_t)product);               \
        EMU_PUT(bits, VSR_X86_RDX, high);                                  \
        set_mul_flags(cpu, high != 0);                                     \
    }                                                                      \
    static inline void do_imul##bits(emu_cpu *cpu, uint##bits##_t b)       \
    {                                                                      \
        swide product = (swide)(int##bits##_t)EMU_GET(bits, VSR_X86_RAX) * \
                        (int##bits##_t)b;                                  \
                                                                           \
        EMU_PUT(bits, VSR_X86_RAX, (uint##bits##_t)product);               \
        EMU_PUT(bits, VSR_X86_RDX, (uint##bits##_t)(product >> (bits)));   \
        set_mul_flags(cpu, product != (int##bits##_t)product);             \
    }
MUL_WIDE(16, uint32_t, int32_t)
MUL_WIDE(32, uint64_t, int64_t)
MUL_WIDE(64, uint128, int128)

/* AL = AX / b, AH = the remainder */
static inline void do_div8(emu_cpu *cpu, const emu_insn *insn, uint8_t b)
{
    unsigned a = EMU_R16(cpu, VSR_X86_RAX);

    if (b == 0 || a / b > UINT8_MAX)
        emu_raise(cpu, insn, EMU_DE);
    EMU_R16(cpu, VSR_X86_RAX) = (uint16_t)(a / b | a % b << 8);
    set_div_flags(cpu);
}

static inline void do_idiv8(emu_cpu *cpu, const emu_insn *insn, uint8_t b)
{
    int a = (int16_t)EMU_R16(cpu, VSR_X86_RAX);
    int d = (int8_t)b;

    if (d == 0 || a / d != (int8_t)(a / d))
        emu_raise(cpu, insn, EMU_DE);
    EMU_R16(cpu, VSR_X86_RAX) =
        (uint16_t)((uint8_t)(a / d) | (uint8_t)(a % d) << 8);
    set_div_flags(cpu);
}

#define DIVIDEND(bits, wide) \
    ((wide)EMU_GET(bits, VSR_X86_RDX) << (bits) | EMU_GET(bits, VSR_X86_RAX))

#define DIV_WIDE(bits, wide, swide)                                         \
    static inline void do_div##bits(emu_cpu *cpu, const emu_insn *insn,     \
                                    uint##bits##_t b)                       \
    {                                                                       \
        wide a = DIVIDEND(bits, wide);                                      \
                                                                            \
        /* The quotient fits just when the high half is below b. */         \
        if (EMU_GET(bits, VSR_X86_RDX) >= b)                                \
            emu_raise(cpu, insn, EMU_DE);                                   \
        EMU_PUT(bits, VSR_X86_RAX, (uint##bits##_t)(a / b));                \
        EMU_PUT(bits, VSR_X86_RDX, (uint##bits##_t)(a % b));                \
        set_div_flags(cpu);                                                 \
    }                                                                       \
    static inline void do_idiv##bits(emu_cpu *cpu, const emu_insn *insn,    \
                                     uint##bits##_t b)                      \
    {                                                                       \
        swide a = (swide)DIVIDEND(bits, wide);                              \
        int##bits##_t d = (int##bits##_t)b;                                 \
        swide quotient;                                                     \
                                                                            \
        /* The one quotient that the wide type cannot hold either. */       \
        if (d == 0 || (d == -1 && a == (swide)((wide)1 << (2 * (bits)-1)))) \
            emu_raise(cpu, insn, EMU_DE);                                   \
        quotient = a / d;                                                   \
        if (quotient != (int##bits##_t)quotient)                            \
            emu_raise(cpu, insn, EMU_DE);                                   \
        EMU_PUT(bits, VSR_X86_RAX, (uint##bits##_t)quotient);               \
        EMU_PUT(bits, VSR_X86_RDX, (uint##bits##_t)(a % d));                \
        set_div_flags(cpu);                                                 \
    }
DIV_WIDE(16, uint32_t, int32_t)
DIV_WIDE(32, uint64_t, int64_t)

/* 128 by 64 bits with the compiler's own types would call the library's long
 * division; most dividends have nothing in the high half. */
static inline void do_div64(emu_cpu *cpu, const emu_insn *insn, uint64_t b)
{
    uint64_t high = cpu->regs[VSR_X86_RDX];
    uint64_t low = cpu->regs[VSR_X86_RAX];
    uint128 a;

    if (high >= b)
        emu_raise(cpu, insn, EMU_DE);
    if (high == 0) {
        cpu->regs[VSR_X86_RAX] = low / b;
        cpu->regs[VSR_X86_RDX] = low % b;
    } else {
        a = (uint128)high << 64 | low;
        cpu->regs[VSR_X86_RAX] = (uint64_t)(a / b);
        cpu->regs[VSR_X86_RDX] = (uint64_t)(a % b);
    }
    set_div_flags(cpu);
}

/* By magnitudes: a 128-bit dividend's magnitude fits 128 bits unsigned. */
static inline void do_idiv64(emu_cpu *cpu, const emu_insn *insn, uint64_t b)
{
    uint128 a = DIVIDEND(64, uint128);
    bool a_negative = a >> 127, b_negative = b >> 63;
    uint64_t d = b_negative ? -b : b;
    uint128 q;
    uint64_t r;

    if (a_negative)
        a = -a;
    if (d == 0 || (uint64_t)(a >> 64) >= d)
        emu_raise(cpu, insn, EMU_DE);
    if (a >> 64 == 0) {
        q = (uint64_t)a / d;
        r = (uint64_t)a % d;
    } else {
        q = a / d;
        r = (uint64_t)(a % d);
    }
    if (q > (uint64_t)INT64_MAX + (a_negative != b_negative))
        emu_raise(cpu, insn, EMU_DE);
    cpu->regs[VSR_X86_RAX] =
        a_negative != b_negative ? -(uint64_t)q : (uint64_t)q;
    cpu->regs[VSR_X86_RDX] = a_negative ? -r : r;
    set_div_flags(cpu);
}

#define MULDIV(bits)                                        \
    EMU_HANDLER(mul_r##bits)                                \
    {                                                       \
        do_mul##bits(cpu, EMU_GET(bits, insn->reg));        \
        EMU_NEXT(cpu, insn);                                \
    }                                                       \
    EMU_ON_LOAD(mul_m, bits, do_mul##bits(cpu, v))          \
    EMU_HANDLER(imul_acc_r##bits)                           \
    {                                                       \
        do_imul##bits(cpu, EMU_GET(bits, insn->reg));       \
        EMU_NEXT(cpu, insn);                                \
    }                                                       \
    EMU_ON_LOAD(imul_acc_m, bits, do_imul##bits(cpu, v))    \
    EMU_HANDLER(div_r##bits)                                \
    {                                                       \
        do_div##bits(cpu, insn, EMU_GET(bits, insn->reg));  \
        EMU_NEXT(cpu, insn);                                \
    }                                                       \
    EMU_ON_LOAD(div_m, bits, do_div##bits(cpu, insn, v))    \
    EMU_HANDLER(idiv_r##bits)                               \
    {                                                       \
        do_idiv##bits(cpu, insn, EMU_GET(bits, insn->reg)); \
        EMU_NEXT(cpu, insn);                                \
    }                                                       \
    EMU_ON_LOAD(idiv_m, bits, do_idiv##bits(cpu, insn, v))
MULDIV(8)
MULDIV(16)
MULDIV(32)
MULDIV(64)

/* --- IMUL with a destination register --- */

#define IMUL(bits)                                                             \
    EMU_HANDLER(imul_rr##bits)                                                 \
    {                                                                          \
        EMU_PUT(bits, insn->reg,                                               \
                emu_imul##bits(EMU_GET(bits, insn->reg),                       \
                               EMU_GET(bits, insn->rm), &cpu->cc));            \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    EMU_ON_LOAD(                                                               \
        imul_rm, bits,                                                         \
        EMU_PUT(bits, insn->reg,                                               \
                emu_imul##bits(EMU_GET(bits, insn->reg), v, &cpu->cc)))        \
    EMU_HANDLER(imul_imm_rr##bits)                                             \
    {                                                                          \
        EMU_PUT(                                                               \
            bits, insn->reg,                                                   \
            emu_imul##bits(EMU_GET(bits, insn->rm), EMU_IMM(bits), &cpu->cc)); \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    EMU_ON_LOAD(                                                               \
        imul_imm_rm, bits,                                                     \
        EMU_PUT(bits, insn->reg, emu_imul##bits(v, EMU_IMM(bits), &cpu->cc)))
IMUL(16)
IMUL(32)
IMUL(64)

#define ACC_TABLE(op)                     \
    static emu_form_table op##_table = {  \
        [EMU_FORM_R] = EMU_SIZES(op##_r), \
        EMU_FAMILY(M, op##_m),            \
    };
ACC_TABLE(mul)
ACC_TABLE(imul_acc)
ACC_TABLE(div)
ACC_TABLE(idiv)
static emu_form_table imul_table = {
    [EMU_FORM_RR] = EMU_WORD_SIZES(imul_rr),
    EMU_WORD_FAMILY(RM, imul_rm),
};
static emu_form_table imul_imm_table = {
    [EMU_FORM_RR] = EMU_WORD_SIZES(imul_imm_rr),
    EMU_WORD_FAMILY(RM, imul_imm_rm),
};

emu_exec_fn *emu_find_muldiv(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_MUL:
        return emu_pick(mul_table, insn);
    case EMU_OP_IMUL_ACC:
        return emu_pick(imul_acc_table, insn);
    case EMU_OP_DIV:
        return emu_pick(div_table, insn);
    case EMU_OP_IDIV:
        return emu_pick(idiv_table, insn);
    case EMU_OP_IMUL:
        return emu_pick(imul_table, insn);
    case EMU_OP_IMUL_IMM:
        return emu_pick(imul_imm_table, insn);
    default:
        return NULL;
    }
}
