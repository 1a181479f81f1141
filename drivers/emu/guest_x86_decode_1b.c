/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_decode_1b.c: the one-byte opcode map.
 *
 * Spec: Intel SDM vol. 2D, appendix A.3 "One, Two, and Three-Byte Opcode Maps",
 *       A.4 "Opcode Extensions for One-Byte and Two-Byte Opcodes".
 * Threads: any; no state.
 */
#include "drivers/emu/guest_x86_decode.h"

#include "drivers/emu/guest_x86_state.h"

static const uint16_t alu_ops[8] = {
    EMU_OP_ADD, EMU_OP_OR,  EMU_OP_ADC, EMU_OP_SBB,
    EMU_OP_AND, EMU_OP_SUB, EMU_OP_XOR, EMU_OP_CMP,
};

static const uint16_t shift_ops[8] = {
    EMU_OP_ROL, EMU_OP_ROR, EMU_OP_RCL, EMU_OP_RCR,
    EMU_OP_SHL, EMU_OP_SHR, EMU_OP_SHL, EMU_OP_SAR,
};

static bool set(emu_decoder *d, emu_op op, emu_form form, unsigned opsize)
{
    d->insn->op = (uint16_t)op;
    d->insn->form = (uint8_t)form;
    d->insn->opsize = (uint8_t)opsize;
    return true;
}

static bool none(emu_decoder *d, emu_op op)
{
    return set(d, op, EMU_FORM_N, d->opsize);
}

/* Byte or full-size operation by the opcode's low bit. */
static unsigned size_of(const emu_decoder *d, uint8_t opcode)
{
    return opcode & 1 ? d->opsize : 1;
}

/* An immediate as wide as the operand, but never more than 4 bytes. */
static void imm_z(emu_decoder *d, unsigned opsize)
{
    d->insn->imm = emu_decode_imm(d, opsize == 8 ? 4 : opsize);
}

static bool accumulator_imm(emu_decoder *d, emu_op op, uint8_t opcode)
{
    unsigned opsize = size_of(d, opcode);

    imm_z(d, opsize);
    return set(d, op, EMU_FORM_RI, opsize);
}

/* r/m is the destination, an immediate of `n` bytes the source. */
static bool rm_imm(emu_decoder *d, emu_op op, unsigned opsize, unsigned n)
{
    emu_decode_m(d, op, opsize);
    d->insn->form = d->mod == 3 ? EMU_FORM_RI : EMU_FORM_MI;
    d->insn->imm = emu_decode_imm(d, n);
    return true;
}

static bool opcode_register(emu_decoder *d, emu_op op, uint8_t opcode,
                            unsigned opsize)
{
    d->insn->reg = (opcode & 7) | (d->rex & 1 ? 8 : 0);
    return set(d, op, EMU_FORM_R, opsize);
}

static bool alu(emu_decoder *d, uint8_t opcode)
{
    emu_op op = alu_ops[opcode >> 3];

    switch (opcode & 7) {
    case 0:
    case 1:
        return emu_decode_mr(d, op, size_of(d, opcode));
    case 2:
    case 3:
        return emu_decode_rm(d, op, size_of(d, opcode));
    default:
        return accumulator_imm(d, op, opcode);
    }
}

/* 00..3F with low bits 6 and 7, prefixes and 0F excepted. */
static bool segment_or_decimal(emu_decoder *d, uint8_t opcode)
{
    static const uint16_t decimal[4] = { EMU_OP_DAA, EMU_OP_DAS, EMU_OP_AAA,
                                         EMU_OP_AAS };

    if (d->cs64)
        return false;
    if (opcode >= 0x20)
        return set(d, decimal[(opcode >> 3) & 3], EMU_FORM_N, 1);
    d->insn->reg = opcode >> 3;
    return set(d, opcode & 1 ? EMU_OP_POP_SEG : EMU_OP_PUSH_SEG, EMU_FORM_R,
               d->opsize);
}

/* Near branch with an immediate distance. */
static bool branch(emu_decoder *d, emu_op op, bool byte)
{
    unsigned opsize = d->cs64 ? 8 : d->opsize;

    d->insn->imm = emu_decode_imm(d, byte ? 1 : opsize == 2 ? 2 : 4);
    return set(d, op, EMU_FORM_I, opsize);
}

static bool string(emu_decoder *d, emu_op op, unsigned opsize)
{
    unsigned seg = d->seg >= 0 ? (unsigned)d->seg : VSR_X86_DS;

    d->insn->mem = (uint8_t)(seg | d->asize);
    if (d->prefix == 0xf3)
        d->insn->flags |= EMU_I_REP;
    else if (d->prefix == 0xf2)
        d->insn->flags |= EMU_I_REPNE;
    return set(d, op, EMU_FORM_N, opsize);
}

static bool mov_offset(emu_decoder *d, uint8_t opcode)
{
    unsigned seg = d->seg >= 0 ? (unsigned)d->seg : VSR_X86_DS;
    emu_op op = EMU_OP_MOV;

    d->insn->mem = (uint8_t)(seg | d->asize);
    if (d->asize == EMU_MEM_A64) {
        if (seg != VSR_X86_FS && seg != VSR_X86_GS)
            d->insn->mem |= EMU_MEM_FLAT;
        d->insn->imm64 = emu_decode_imm64(d);
        op = EMU_OP_MOV_ABS;
    } else {
        d->insn->disp = emu_decode_imm(d, d->asize == EMU_MEM_A32 ? 4 : 2);
    }
    return set(d, op, opcode & 2 ? EMU_FORM_MR : EMU_FORM_RM,
               size_of(d, opcode));
}

/* A far pointer in the instruction: offset in imm, selector in disp. */
static bool far_imm(emu_decoder *d, emu_op op)
{
    if (d->cs64)
        return false;
    d->insn->imm = emu_decode_imm(d, d->opsize);
    if (d->opsize == 2)
        d->insn->imm &= 0xffff;
    d->insn->disp = emu_decode_imm(d, 2) & 0xffff;
    return set(d, op, EMU_FORM_I, d->opsize);
}

static bool load_far(emu_decoder *d, unsigned seg)
{
    emu_decode_modrm(d);
    if (d->cs64 || d->mod == 3) /* VEX */
        return false;
    d->insn->aux = (uint8_t)seg;
    return emu_decode_rm(d, EMU_OP_LOADFAR, d->opsize);
}

static bool in_out(emu_decoder *d, emu_op op, uint8_t opcode)
{
    unsigned opsize = size_of(d, opcode);

    if (opsize == 8)
        opsize = 4;
    if (opcode & 8)
        return set(d, op, EMU_FORM_N, opsize);
    d->insn->imm = emu_decode_byte(d);
    return set(d, op, EMU_FORM_I, opsize);
}

static bool shift(emu_decoder *d, uint8_t opcode)
{
    unsigned opsize = size_of(d, opcode);
    emu_op op;

    emu_decode_modrm(d);
    op = shift_ops[d->reg & 7];
    if (opcode >= 0xd2)
        return emu_decode_m(d, op, opsize);
    rm_imm(d, op, opsize, opcode >= 0xd0 ? 0 : 1);
    d->insn->imm = opcode >= 0xd0 ? 1 : d->insn->imm & 0xff;
    return true;
}

static bool group3(emu_decoder *d, uint8_t opcode)
{
    static const uint16_t ops[8] = {
        EMU_OP_TEST, EMU_OP_TEST,     EMU_OP_NOT, EMU_OP_NEG,
        EMU_OP_MUL,  EMU_OP_IMUL_ACC, EMU_OP_DIV, EMU_OP_IDIV,
    };
    unsigned opsize = size_of(d, opcode);

    emu_decode_modrm(d);
    if ((d->reg & 7) < 2)
        return rm_imm(d, EMU_OP_TEST, opsize, opsize == 8 ? 4 : opsize);
    return emu_decode_m(d, ops[d->reg & 7], opsize);
}

static bool group5(emu_decoder *d, uint8_t opcode)
{
    unsigned near_size = d->cs64 ? 8 : d->opsize;

    emu_decode_modrm(d);
    switch (d->reg & 7) {
    case 0:
        return emu_decode_m(d, EMU_OP_INC, size_of(d, opcode));
    case 1:
        return emu_decode_m(d, EMU_OP_DEC, size_of(d, opcode));
    default:
        break;
    }
    if (opcode == 0xfe)
        return false;
    switch (d->reg & 7) {
    case 2:
        return emu_decode_m(d, EMU_OP_CALL, near_size);
    case 3:
        return d->mod != 3 && emu_decode_m(d, EMU_OP_CALLF, d->opsize);
    case 4:
        return emu_decode_m(d, EMU_OP_JMP, near_size);
    case 5:
        return d->mod != 3 && emu_decode_m(d, EMU_OP_JMPF, d->opsize);
    case 6:
        return emu_decode_m(d, EMU_OP_PUSH, emu_decode_stack_size(d));
    default:
        return false;
    }
}

static bool mov_segment(emu_decoder *d, uint8_t opcode)
{
    unsigned seg;

    emu_decode_modrm(d);
    seg = d->reg & 7;
    if (seg > VSR_X86_GS)
        return false;
    if (opcode == 0x8c) {
        emu_decode_mr(d, EMU_OP_MOV_FROM_SEG, d->mod == 3 ? d->opsize : 2);
        if (d->mod == 3)
            d->insn->rm = (uint8_t)seg;
        else
            d->insn->reg = (uint8_t)seg;
        return true;
    }
    if (seg == VSR_X86_CS)
        return false;
    emu_decode_rm(d, EMU_OP_MOV_TO_SEG, 2);
    d->insn->reg = (uint8_t)seg;
    return true;
}

/* 90..97 */
static bool exchange(emu_decoder *d, uint8_t opcode)
{
    if (opcode == 0x90 && !(d->rex & 1))
        return none(d, d->prefix == 0xf3 ? EMU_OP_PAUSE : EMU_OP_NOP);
    opcode_register(d, EMU_OP_XCHG, opcode, d->opsize);
    d->insn->form = EMU_FORM_RR;
    d->insn->rm = VSR_X86_RAX;
    return true;
}

/* 40..6F */
static bool rows_4_to_6(emu_decoder *d, uint8_t opcode)
{
    switch (opcode & 0xf8) {
    case 0x40:
        return opcode_register(d, EMU_OP_INC, opcode, d->opsize);
    case 0x48:
        return opcode_register(d, EMU_OP_DEC, opcode, d->opsize);
    case 0x50:
        return opcode_register(d, EMU_OP_PUSH, opcode,
                               emu_decode_stack_size(d));
    case 0x58:
        return opcode_register(d, EMU_OP_POP, opcode, emu_decode_stack_size(d));
    default:
        break;
    }
    switch (opcode) {
    case 0x60:
    case 0x61:
        return !d->cs64 && none(d, opcode & 1 ? EMU_OP_POPA : EMU_OP_PUSHA);
    case 0x62:
        emu_decode_modrm(d);
        return !d->cs64 && d->mod != 3 && /* EVEX */
               emu_decode_rm(d, EMU_OP_BOUND, d->opsize);
    case 0x63:
        if (d->cs64) {
            d->insn->aux = d->opsize == 2 ? 2 : 4;
            return emu_decode_rm(d, EMU_OP_MOVSXD, d->opsize);
        }
        return (d->mode & EMU_MODE_PROT) && emu_decode_mr(d, EMU_OP_ARPL, 2);
    case 0x68:
        imm_z(d, d->opsize);
        return set(d, EMU_OP_PUSH, EMU_FORM_I, emu_decode_stack_size(d));
    case 0x6a:
        d->insn->imm = emu_decode_imm(d, 1);
        return set(d, EMU_OP_PUSH, EMU_FORM_I, emu_decode_stack_size(d));
    case 0x69:
        emu_decode_rm(d, EMU_OP_IMUL_IMM, d->opsize);
        imm_z(d, d->opsize);
        return true;
    case 0x6b:
        emu_decode_rm(d, EMU_OP_IMUL_IMM, d->opsize);
        d->insn->imm = emu_decode_imm(d, 1);
        return true;
    case 0x6c:
    case 0x6d:
    case 0x6e:
    case 0x6f: {
        unsigned opsize = size_of(d, opcode);

        return string(d, opcode & 2 ? EMU_OP_OUTS : EMU_OP_INS,
                      opsize == 8 ? 4 : opsize);
    }
    default:
        return false; /* the prefixes 64..67 */
    }
}

/* 80..AF */
static bool rows_8_to_a(emu_decoder *d, uint8_t opcode)
{
    unsigned opsize = size_of(d, opcode);

    switch (opcode) {
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x83:
        if (opcode == 0x82 && d->cs64)
            return false;
        emu_decode_modrm(d);
        return rm_imm(d, alu_ops[d->reg & 7], opsize,
                      opcode != 0x81 ? 1
                      : opsize == 8  ? 4
                                     : opsize);
    case 0x84:
    case 0x85:
        return emu_decode_mr(d, EMU_OP_TEST, opsize);
    case 0x86:
    case 0x87:
        emu_decode_mr(d, EMU_OP_XCHG, opsize);
        if (d->mod != 3)
            d->insn->flags |= EMU_I_LOCK;
        return true;
    case 0x88:
    case 0x89:
        return emu_decode_mr(d, EMU_OP_MOV, opsize);
    case 0x8a:
    case 0x8b:
        return emu_decode_rm(d, EMU_OP_MOV, opsize);
    case 0x8c:
    case 0x8e:
        return mov_segment(d, opcode);
    case 0x8d:
        emu_decode_modrm(d);
        return d->mod != 3 && emu_decode_rm(d, EMU_OP_LEA, d->opsize);
    case 0x8f:
        emu_decode_modrm(d);
        return (d->reg & 7) == 0 && /* else XOP */
               emu_decode_m(d, EMU_OP_POP, emu_decode_stack_size(d));
    case 0x98:
        return none(d, EMU_OP_CBW);
    case 0x99:
        return none(d, EMU_OP_CWD);
    case 0x9a:
        return far_imm(d, EMU_OP_CALLF);
    case 0x9b:
        return emu_decode_x87(d, opcode);
    case 0x9c:
        return set(d, EMU_OP_PUSHF, EMU_FORM_N, emu_decode_stack_size(d));
    case 0x9d:
        return set(d, EMU_OP_POPF, EMU_FORM_N, emu_decode_stack_size(d));
    case 0x9e:
        return set(d, EMU_OP_SAHF, EMU_FORM_N, 1);
    case 0x9f:
        return set(d, EMU_OP_LAHF, EMU_FORM_N, 1);
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa3:
        return mov_offset(d, opcode);
    case 0xa4:
    case 0xa5:
        return string(d, EMU_OP_MOVS, opsize);
    case 0xa6:
    case 0xa7:
        return string(d, EMU_OP_CMPS, opsize);
    case 0xa8:
    case 0xa9:
        return accumulator_imm(d, EMU_OP_TEST, opcode);
    case 0xaa:
    case 0xab:
        return string(d, EMU_OP_STOS, opsize);
    case 0xac:
    case 0xad:
        return string(d, EMU_OP_LODS, opsize);
    case 0xae:
    case 0xaf:
        return string(d, EMU_OP_SCAS, opsize);
    default:
        return exchange(d, opcode); /* 90..97 */
    }
}

/* B0..BF */
static bool mov_imm(emu_decoder *d, uint8_t opcode)
{
    unsigned opsize = opcode & 8 ? d->opsize : 1;

    opcode_register(d, EMU_OP_MOV, opcode, opsize);
    d->insn->form = EMU_FORM_RI;
    if (opsize == 1)
        d->insn->reg = emu_decode_reg8(d, d->insn->reg);
    if (opsize == 8) {
        uint64_t v = emu_decode_imm64(d);

        /* The short form is the faster one to run. */
        if (v == (uint64_t)(int64_t)(int32_t)v) {
            d->insn->imm = (int32_t)v;
        } else {
            d->insn->imm64 = v;
            d->insn->op = EMU_OP_MOV_IMM64;
        }
        return true;
    }
    d->insn->imm = emu_decode_imm(d, opsize);
    return true;
}

/* C0..DF */
static bool rows_c_and_d(emu_decoder *d, uint8_t opcode)
{
    unsigned near_size = d->cs64 ? 8 : d->opsize;

    switch (opcode) {
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return shift(d, opcode);
    case 0xc2:
        d->insn->imm = emu_decode_imm(d, 2) & 0xffff;
        return set(d, EMU_OP_RET, EMU_FORM_I, near_size);
    case 0xc3:
        return set(d, EMU_OP_RET, EMU_FORM_N, near_size);
    case 0xc4:
        return load_far(d, VSR_X86_ES);
    case 0xc5:
        return load_far(d, VSR_X86_DS);
    case 0xc6:
    case 0xc7: {
        unsigned opsize = size_of(d, opcode);

        emu_decode_modrm(d);
        return (d->reg & 7) == 0 &&
               rm_imm(d, EMU_OP_MOV, opsize, opsize == 8 ? 4 : opsize);
    }
    case 0xc8:
        d->insn->imm = emu_decode_imm(d, 2) & 0xffff;
        d->insn->aux = emu_decode_byte(d) & 31;
        return set(d, EMU_OP_ENTER, EMU_FORM_I, emu_decode_stack_size(d));
    case 0xc9:
        return set(d, EMU_OP_LEAVE, EMU_FORM_N, emu_decode_stack_size(d));
    case 0xca:
        d->insn->imm = emu_decode_imm(d, 2) & 0xffff;
        return set(d, EMU_OP_RETF, EMU_FORM_I, d->opsize);
    case 0xcb:
        return none(d, EMU_OP_RETF);
    case 0xcc:
        return none(d, EMU_OP_INT3);
    case 0xcd:
        d->insn->imm = emu_decode_byte(d);
        return set(d, EMU_OP_INT, EMU_FORM_I, d->opsize);
    case 0xce:
        return !d->cs64 && none(d, EMU_OP_INTO);
    case 0xcf:
        return none(d, EMU_OP_IRET);
    case 0xd4:
    case 0xd5:
        if (d->cs64)
            return false;
        d->insn->imm = emu_decode_byte(d);
        return set(d, opcode & 1 ? EMU_OP_AAD : EMU_OP_AAM, EMU_FORM_I, 1);
    case 0xd6:
        return !d->cs64 && set(d, EMU_OP_SALC, EMU_FORM_N, 1);
    case 0xd7:
        d->insn->base = VSR_X86_RBX;
        d->insn->mem =
            (uint8_t)((d->seg >= 0 ? (unsigned)d->seg : VSR_X86_DS) | d->asize);
        return set(d, EMU_OP_XLAT, EMU_FORM_M, 1);
    default:
        return emu_decode_x87(d, opcode); /* D8..DF */
    }
}

/* E0..FF */
static bool rows_e_and_f(emu_decoder *d, uint8_t opcode)
{
    static const uint16_t loops[4] = { EMU_OP_LOOPNE, EMU_OP_LOOPE, EMU_OP_LOOP,
                                       EMU_OP_JCXZ };

    switch (opcode) {
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
        d->insn->mem = d->asize;
        return branch(d, loops[opcode & 3], true);
    case 0xe4:
    case 0xe5:
    case 0xec:
    case 0xed:
        return in_out(d, EMU_OP_IN, opcode);
    case 0xe6:
    case 0xe7:
    case 0xee:
    case 0xef:
        return in_out(d, EMU_OP_OUT, opcode);
    case 0xe8:
        return branch(d, EMU_OP_CALL, false);
    case 0xe9:
        return branch(d, EMU_OP_JMP, false);
    case 0xea:
        return far_imm(d, EMU_OP_JMPF);
    case 0xeb:
        return branch(d, EMU_OP_JMP, true);
    case 0xf1:
        return none(d, EMU_OP_ICEBP);
    case 0xf4:
        return none(d, EMU_OP_HLT);
    case 0xf5:
        return none(d, EMU_OP_CMC);
    case 0xf6:
    case 0xf7:
        return group3(d, opcode);
    case 0xf8:
        return none(d, EMU_OP_CLC);
    case 0xf9:
        return none(d, EMU_OP_STC);
    case 0xfa:
        return none(d, EMU_OP_CLI);
    case 0xfb:
        return none(d, EMU_OP_STI);
    case 0xfc:
        return none(d, EMU_OP_CLD);
    case 0xfd:
        return none(d, EMU_OP_STD);
    case 0xfe:
    case 0xff:
        return group5(d, opcode);
    default:
        return false; /* the prefixes F0, F2, F3 */
    }
}

bool emu_decode_1b(emu_decoder *d, uint8_t opcode)
{
    switch (opcode >> 4) {
    case 0x0:
    case 0x1:
    case 0x2:
    case 0x3:
        if (opcode == 0x0f)
            return emu_decode_0f(d, emu_decode_byte(d));
        if ((opcode & 7) >= 6)
            return segment_or_decimal(d, opcode);
        return alu(d, opcode);
    case 0x4:
    case 0x5:
    case 0x6:
        return rows_4_to_6(d, opcode);
    case 0x7:
        d->insn->cond = opcode & 15;
        return branch(d, EMU_OP_JCC, true);
    case 0x8:
    case 0x9:
    case 0xa:
        return rows_8_to_a(d, opcode);
    case 0xb:
        return mov_imm(d, opcode);
    case 0xc:
    case 0xd:
        return rows_c_and_d(d, opcode);
    default:
        return rows_e_and_f(d, opcode);
    }
}
