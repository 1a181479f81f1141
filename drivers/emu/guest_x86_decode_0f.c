/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_decode_0f.c: integer and system part of the 0F, 0F38, 0F3A maps.
 *
 * Spec: Intel SDM vol. 2D, appendix A.3 "One, Two, and Three-Byte Opcode Maps",
 *       A.4 "Opcode Extensions for One-Byte and Two-Byte Opcodes".
 * Threads: any; no state.
 */
#include "drivers/emu/guest_x86_decode.h"

#include "drivers/emu/guest_x86_state.h"

static bool none(emu_decoder *d, emu_op op)
{
    d->insn->op = (uint16_t)op;
    d->insn->form = EMU_FORM_N;
    d->insn->opsize = d->opsize;
    return true;
}

static unsigned size_of(const emu_decoder *d, uint8_t opcode)
{
    return opcode & 1 ? d->opsize : 1;
}

/* A hint: its ModRM names memory that is not touched. */
static bool hint(emu_decoder *d)
{
    emu_decode_modrm(d);
    return none(d, EMU_OP_NOP);
}

/* 0F 00 */
static bool group6(emu_decoder *d)
{
    static const uint16_t ops[6] = { EMU_OP_SLDT, EMU_OP_STR,  EMU_OP_LLDT,
                                     EMU_OP_LTR,  EMU_OP_VERR, EMU_OP_VERW };
    unsigned n;

    emu_decode_modrm(d);
    n = d->reg & 7;
    if (n > 5 || !(d->mode & EMU_MODE_PROT))
        return false;
    return emu_decode_m(d, ops[n], n < 2 && d->mod == 3 ? d->opsize : 2);
}

/* 0F 01 with a register operand: each byte is an instruction of its own. */
static bool group7_register(emu_decoder *d)
{
    bool plain = d->prefix == 0;

    switch (d->modrm) {
    case 0xc1:
        return plain && none(d, EMU_OP_VMCALL);
    case 0xc8:
        if (!plain)
            return false;
        d->insn->mem =
            (uint8_t)((d->seg >= 0 ? (unsigned)d->seg : VSR_X86_DS) | d->asize);
        return none(d, EMU_OP_MONITOR);
    case 0xc9:
        return plain && none(d, EMU_OP_MWAIT);
    case 0xca:
        return plain && none(d, EMU_OP_CLAC);
    case 0xcb:
        return plain && none(d, EMU_OP_STAC);
    case 0xd0:
        return plain && none(d, EMU_OP_XGETBV);
    case 0xd1:
        return plain && none(d, EMU_OP_XSETBV);
    case 0xd9:
        return plain && none(d, EMU_OP_VMMCALL);
    case 0xf8:
        return d->cs64 && none(d, EMU_OP_SWAPGS);
    case 0xf9:
        return none(d, EMU_OP_RDTSCP);
    default:
        break;
    }
    switch (d->reg & 7) {
    case 4:
        return emu_decode_m(d, EMU_OP_SMSW, d->opsize);
    case 6:
        return emu_decode_m(d, EMU_OP_LMSW, 2);
    default:
        return false;
    }
}

static bool group7(emu_decoder *d)
{
    static const uint16_t tables[4] = { EMU_OP_SGDT, EMU_OP_SIDT, EMU_OP_LGDT,
                                        EMU_OP_LIDT };

    emu_decode_modrm(d);
    if (d->mod == 3)
        return group7_register(d);
    switch (d->reg & 7) {
    case 0:
    case 1:
    case 2:
    case 3:
        return emu_decode_m(d, tables[d->reg & 7], d->cs64 ? 8 : d->opsize);
    case 4:
        return emu_decode_m(d, EMU_OP_SMSW, 2);
    case 6:
        return emu_decode_m(d, EMU_OP_LMSW, 2);
    case 7:
        return emu_decode_m(d, EMU_OP_INVLPG, 1);
    default:
        return false;
    }
}

/* 0F 20..23: ModRM always names registers, whatever its mod field says. */
static bool mov_control(emu_decoder *d, uint8_t opcode)
{
    unsigned modrm = emu_decode_byte(d);
    unsigned special = ((modrm >> 3) & 7) | (d->rex & 4 ? 8 : 0);
    unsigned general = (modrm & 7) | (d->rex & 1 ? 8 : 0);
    emu_insn *insn = d->insn;

    if (opcode & 1) { /* debug registers */
        if (special > 7)
            return false;
        insn->op = opcode & 2 ? EMU_OP_MOV_DR_R : EMU_OP_MOV_R_DR;
    } else {
        if (special == 1 || (special > 4 && special != 8))
            return false;
        insn->op = opcode & 2 ? EMU_OP_MOV_CR_R : EMU_OP_MOV_R_CR;
    }
    insn->form = EMU_FORM_RR;
    insn->opsize = d->cs64 ? 8 : 4;
    insn->reg = (uint8_t)(opcode & 2 ? special : general);
    insn->rm = (uint8_t)(opcode & 2 ? general : special);
    return true;
}

static bool segment_stack(emu_decoder *d, uint8_t opcode)
{
    none(d, opcode & 1 ? EMU_OP_POP_SEG : EMU_OP_PUSH_SEG);
    d->insn->form = EMU_FORM_R;
    d->insn->reg = opcode & 8 ? VSR_X86_GS : VSR_X86_FS;
    d->insn->opsize = (uint8_t)emu_decode_stack_size(d);
    return true;
}

static bool load_far(emu_decoder *d, unsigned seg)
{
    emu_decode_modrm(d);
    if (d->mod == 3)
        return false;
    d->insn->aux = (uint8_t)seg;
    return emu_decode_rm(d, EMU_OP_LOADFAR, d->opsize);
}

static bool double_shift(emu_decoder *d, uint8_t opcode)
{
    bool left = opcode < 0xa8;

    if (opcode & 1)
        return emu_decode_mr(d, left ? EMU_OP_SHLD_CL : EMU_OP_SHRD_CL,
                             d->opsize);
    emu_decode_mr(d, left ? EMU_OP_SHLD : EMU_OP_SHRD, d->opsize);
    d->insn->imm = emu_decode_byte(d);
    return true;
}

/* 0F BA */
static bool group8(emu_decoder *d)
{
    static const uint16_t ops[4] = { EMU_OP_BT, EMU_OP_BTS, EMU_OP_BTR,
                                     EMU_OP_BTC };

    emu_decode_modrm(d);
    if ((d->reg & 7) < 4)
        return false;
    emu_decode_m(d, ops[d->reg & 3], d->opsize);
    d->insn->form = d->mod == 3 ? EMU_FORM_RI : EMU_FORM_MI;
    d->insn->imm = emu_decode_byte(d);
    return true;
}

/* 0F C7 */
static bool group9(emu_decoder *d)
{
    emu_decode_modrm(d);
    if (d->mod != 3) {
        if ((d->reg & 7) != 1)
            return emu_decode_sse(d, EMU_MAP_0F, 0xc7);
        return d->opsize == 8 ? emu_decode_m(d, EMU_OP_CMPXCHG16B, 16)
                              : emu_decode_m(d, EMU_OP_CMPXCHG8B, 8);
    }
    if (d->prefix == 0xf2 || d->prefix == 0xf3)
        return false;
    switch (d->reg & 7) {
    case 6:
        return emu_decode_m(d, EMU_OP_RDRAND, d->opsize);
    case 7:
        return emu_decode_m(d, EMU_OP_RDSEED, d->opsize);
    default:
        return false;
    }
}

/* 0F AE */
static bool group15(emu_decoder *d)
{
    static const uint16_t bases[4] = { EMU_OP_RDFSBASE, EMU_OP_RDGSBASE,
                                       EMU_OP_WRFSBASE, EMU_OP_WRGSBASE };
    unsigned n;

    emu_decode_modrm(d);
    n = d->reg & 7;
    if (d->mod != 3) {
        if ((n == 7 && (d->prefix == 0 || d->prefix == 0x66)) ||
            (n == 6 && d->prefix == 0x66))
            return emu_decode_m(d, EMU_OP_CLFLUSH, 1);
        return emu_decode_sse(d, EMU_MAP_0F, 0xae);
    }
    if (d->prefix == 0xf3)
        return n < 4 && d->cs64 &&
               emu_decode_m(d, bases[n], d->opsize == 8 ? 8 : 4);
    if (d->prefix != 0)
        return false;
    switch (n) {
    case 5:
        return none(d, EMU_OP_LFENCE);
    case 6:
        return none(d, EMU_OP_MFENCE);
    case 7:
        return none(d, EMU_OP_SFENCE);
    default:
        return false;
    }
}

static bool extend(emu_decoder *d, emu_op op, unsigned source)
{
    emu_decode_rm(d, op, d->opsize);
    d->insn->aux = (uint8_t)source;
    if (source == 1 && d->mod == 3)
        d->insn->rm = emu_decode_reg8(d, d->rm);
    return true;
}

static bool bit_scan(emu_decoder *d, bool reverse)
{
    emu_op op = reverse ? EMU_OP_BSR : EMU_OP_BSF;

    if (d->prefix == 0xf3) {
        if (reverse && (d->features & EMU_DECODE_LZCNT))
            op = EMU_OP_LZCNT;
        if (!reverse && (d->features & EMU_DECODE_BMI1))
            op = EMU_OP_TZCNT;
    }
    return emu_decode_rm(d, op, d->opsize);
}

/* 0F 00..3F */
static bool rows_0_to_3(emu_decoder *d, uint8_t opcode)
{
    switch (opcode) {
    case 0x00:
        return group6(d);
    case 0x01:
        return group7(d);
    case 0x02:
    case 0x03:
        return (d->mode & EMU_MODE_PROT) &&
               emu_decode_rm(d, opcode & 1 ? EMU_OP_LSL : EMU_OP_LAR,
                             d->opsize);
    case 0x05:
        return none(d, EMU_OP_SYSCALL);
    case 0x06:
        return none(d, EMU_OP_CLTS);
    case 0x07:
        none(d, EMU_OP_SYSRET);
        d->insn->opsize = d->rex & 8 ? 8 : 4;
        return true;
    case 0x08:
        return none(d, EMU_OP_INVD);
    case 0x09:
        return none(d, EMU_OP_WBINVD);
    case 0x0d:
    case 0x18:
    case 0x19:
    case 0x1a:
    case 0x1b:
    case 0x1c:
    case 0x1d:
    case 0x1e:
    case 0x1f:
        return hint(d);
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x23:
        return mov_control(d, opcode);
    case 0x30:
        return none(d, EMU_OP_WRMSR);
    case 0x31:
        return none(d, EMU_OP_RDTSC);
    case 0x32:
        return none(d, EMU_OP_RDMSR);
    case 0x33:
        return none(d, EMU_OP_RDPMC);
    case 0x34:
        return none(d, EMU_OP_SYSENTER);
    case 0x35:
        none(d, EMU_OP_SYSEXIT);
        d->insn->opsize = d->rex & 8 ? 8 : 4;
        return true;
    case 0x38:
        return emu_decode_0f38(d, emu_decode_byte(d));
    case 0x3a:
        return emu_decode_0f3a(d, emu_decode_byte(d));
    case 0x04:
    case 0x0a:
    case 0x0b: /* UD2 */
    case 0x0c:
    case 0x0e:
    case 0x0f: /* 3DNow! */
        return false;
    default:
        return emu_decode_sse(d, EMU_MAP_0F, opcode);
    }
}

/* 0F A0..BF */
static bool rows_a_and_b(emu_decoder *d, uint8_t opcode)
{
    switch (opcode) {
    case 0xa0:
    case 0xa1:
    case 0xa8:
    case 0xa9:
        return segment_stack(d, opcode);
    case 0xa2:
        return none(d, EMU_OP_CPUID);
    case 0xa3:
        return emu_decode_mr(d, EMU_OP_BT, d->opsize);
    case 0xa4:
    case 0xa5:
    case 0xac:
    case 0xad:
        return double_shift(d, opcode);
    case 0xaa:
        return none(d, EMU_OP_RSM);
    case 0xab:
        return emu_decode_mr(d, EMU_OP_BTS, d->opsize);
    case 0xae:
        return group15(d);
    case 0xaf:
        return emu_decode_rm(d, EMU_OP_IMUL, d->opsize);
    case 0xb0:
    case 0xb1:
        return emu_decode_mr(d, EMU_OP_CMPXCHG, size_of(d, opcode));
    case 0xb2:
        return load_far(d, VSR_X86_SS);
    case 0xb3:
        return emu_decode_mr(d, EMU_OP_BTR, d->opsize);
    case 0xb4:
        return load_far(d, VSR_X86_FS);
    case 0xb5:
        return load_far(d, VSR_X86_GS);
    case 0xb6:
    case 0xb7:
        return extend(d, EMU_OP_MOVZX, opcode & 1 ? 2 : 1);
    case 0xb8:
        return d->prefix == 0xf3 && emu_decode_rm(d, EMU_OP_POPCNT, d->opsize);
    case 0xba:
        return group8(d);
    case 0xbb:
        return emu_decode_mr(d, EMU_OP_BTC, d->opsize);
    case 0xbc:
    case 0xbd:
        return bit_scan(d, opcode & 1);
    case 0xbe:
    case 0xbf:
        return extend(d, EMU_OP_MOVSX, opcode & 1 ? 2 : 1);
    default:
        return false; /* A6, A7; B9 is UD1 */
    }
}

bool emu_decode_0f(emu_decoder *d, uint8_t opcode)
{
    switch (opcode >> 4) {
    case 0x0:
    case 0x1:
    case 0x2:
    case 0x3:
        return rows_0_to_3(d, opcode);
    case 0x4:
        d->insn->cond = opcode & 15;
        return emu_decode_rm(d, EMU_OP_CMOV, d->opsize);
    case 0x8: {
        unsigned opsize = d->cs64 ? 8 : d->opsize;

        none(d, EMU_OP_JCC);
        d->insn->cond = opcode & 15;
        d->insn->form = EMU_FORM_I;
        d->insn->opsize = (uint8_t)opsize;
        d->insn->imm = emu_decode_imm(d, opsize == 2 ? 2 : 4);
        return true;
    }
    case 0x9:
        d->insn->cond = opcode & 15;
        return emu_decode_m(d, EMU_OP_SET, 1);
    case 0xa:
    case 0xb:
        return rows_a_and_b(d, opcode);
    case 0xc:
        break;
    default:
        return opcode != 0xff && emu_decode_sse(d, EMU_MAP_0F, opcode);
    }

    switch (opcode) {
    case 0xc0:
    case 0xc1:
        return emu_decode_mr(d, EMU_OP_XADD, size_of(d, opcode));
    case 0xc3:
        emu_decode_modrm(d);
        return d->mod != 3 && d->prefix == 0 &&
               emu_decode_mr(d, EMU_OP_MOV, d->opsize);
    case 0xc7:
        return group9(d);
    case 0xc2:
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return emu_decode_sse(d, EMU_MAP_0F, opcode);
    default: /* C8..CF */
        none(d, EMU_OP_BSWAP);
        d->insn->form = EMU_FORM_R;
        d->insn->reg = (opcode & 7) | (d->rex & 1 ? 8 : 0);
        return true;
    }
}

bool emu_decode_0f38(emu_decoder *d, uint8_t opcode)
{
    if (opcode == 0x82) {
        emu_decode_modrm(d);
        return d->prefix == 0x66 && d->mod != 3 &&
               emu_decode_rm(d, EMU_OP_INVPCID, d->cs64 ? 8 : 4);
    }
    if (opcode != 0xf0 && opcode != 0xf1)
        return emu_decode_sse(d, EMU_MAP_0F38, opcode);

    emu_decode_modrm(d);
    if (d->prefix == 0xf2) {
        unsigned source = size_of(d, opcode);

        emu_decode_rm(d, EMU_OP_CRC32, d->rex & 8 ? 8 : 4);
        d->insn->aux = (uint8_t)source;
        if (source == 1 && d->mod == 3)
            d->insn->rm = emu_decode_reg8(d, d->rm);
        return true;
    }
    if (d->mod == 3 || d->prefix == 0xf3)
        return false;
    return opcode & 1 ? emu_decode_mr(d, EMU_OP_MOVBE, d->opsize)
                      : emu_decode_rm(d, EMU_OP_MOVBE, d->opsize);
}

bool emu_decode_0f3a(emu_decoder *d, uint8_t opcode)
{
    return emu_decode_sse(d, EMU_MAP_0F3A, opcode);
}
