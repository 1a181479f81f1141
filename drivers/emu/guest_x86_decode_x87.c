/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_decode_x87.c: opcodes D8..DF and 9B.
 *
 * insn->imm is FOP, the 11 bits that FNSTENV shows. The undocumented aliases
 * (DC D0, DD C8, DE D0 ...) mean what all processors do with them.
 *
 * Spec: Intel SDM vol. 2D, appendix A.5 "Escape Opcode Instructions"; AMD APM
 *       vol. 3, appendix A, table A-15 "x87 Opcodes and ModRM Encodings".
 * Threads: any; no state.
 */
#include "drivers/emu/guest_x86_decode.h"

typedef struct {
    uint16_t op;
    uint8_t size;
} memory_row;

/* How a register row places its operands. */
enum {
    TO_ST0,  /* RR: ST(0), ST(i) */
    TO_STI,  /* RR: ST(i), ST(0) */
    ONE_STI, /* R: ST(i) */
};

typedef struct {
    uint16_t op;
    uint8_t place;
    uint8_t cond;
} register_row;

#define M(name, size)         \
    {                         \
        EMU_OP_##name, (size) \
    }
#define NO_M              \
    {                     \
        EMU_OP_INVALID, 0 \
    }
#define ARITH_M(i, size)                                                  \
    {                                                                     \
        M(F##i##ADD, size), M(F##i##MUL, size), M(F##i##COM, size),       \
            M(F##i##COMP, size), M(F##i##SUB, size), M(F##i##SUBR, size), \
            M(F##i##DIV, size), M(F##i##DIVR, size)                       \
    }

/* [opcode & 7][ModRM.reg]; size 0: that of FLDENV and its kin. */
static const memory_row memory[8][8] = {
    ARITH_M(, 4),
    { M(FLD, 4), NO_M, M(FST, 4), M(FSTP, 4), M(FLDENV, 0), M(FLDCW, 2),
      M(FNSTENV, 0), M(FNSTCW, 2) },
    ARITH_M(I, 4),
    { M(FILD, 4), M(FISTTP, 4), M(FIST, 4), M(FISTP, 4), NO_M, M(FLD, 10), NO_M,
      M(FSTP, 10) },
    ARITH_M(, 8),
    { M(FLD, 8), M(FISTTP, 8), M(FST, 8), M(FSTP, 8), M(FRSTOR, 0), NO_M,
      M(FNSAVE, 0), M(FNSTSW, 2) },
    ARITH_M(I, 2),
    { M(FILD, 2), M(FISTTP, 2), M(FIST, 2), M(FISTP, 2), M(FBLD, 10),
      M(FILD, 8), M(FBSTP, 10), M(FISTP, 8) },
};

#define R(name, place)            \
    {                             \
        EMU_OP_##name, (place), 0 \
    }
#define CMOV(cond)                   \
    {                                \
        EMU_OP_FCMOV, TO_ST0, (cond) \
    }
#define NO_R                 \
    {                        \
        EMU_OP_INVALID, 0, 0 \
    }

/* [opcode & 7][ModRM.reg]; rows without one here are in single(). */
static const register_row registers[8][8] = {
    { R(FADD, TO_ST0), R(FMUL, TO_ST0), R(FCOM, TO_ST0), R(FCOMP, TO_ST0),
      R(FSUB, TO_ST0), R(FSUBR, TO_ST0), R(FDIV, TO_ST0), R(FDIVR, TO_ST0) },
    { R(FLD, TO_ST0), R(FXCH, TO_ST0), NO_R, R(FSTPNCE, TO_STI), NO_R, NO_R,
      NO_R, NO_R },
    { CMOV(2), CMOV(4), CMOV(6), CMOV(10), NO_R, NO_R, NO_R, NO_R },
    { CMOV(3), CMOV(5), CMOV(7), CMOV(11), NO_R, R(FUCOMI, TO_ST0),
      R(FCOMI, TO_ST0), NO_R },
    { R(FADD, TO_STI), R(FMUL, TO_STI), R(FCOM, TO_ST0), R(FCOMP, TO_ST0),
      R(FSUBR, TO_STI), R(FSUB, TO_STI), R(FDIVR, TO_STI), R(FDIV, TO_STI) },
    { R(FFREE, ONE_STI), R(FXCH, TO_ST0), R(FST, TO_STI), R(FSTP, TO_STI),
      R(FUCOM, TO_ST0), R(FUCOMP, TO_ST0), NO_R, NO_R },
    { R(FADDP, TO_STI), R(FMULP, TO_STI), R(FCOMP, TO_ST0), NO_R,
      R(FSUBRP, TO_STI), R(FSUBP, TO_STI), R(FDIVRP, TO_STI),
      R(FDIVP, TO_STI) },
    { R(FFREEP, ONE_STI), R(FXCH, TO_ST0), R(FSTP, TO_STI), R(FSTP, TO_STI),
      NO_R, R(FUCOMIP, TO_ST0), R(FCOMIP, TO_ST0), NO_R },
};

/* D9 E0..FF */
static const uint16_t functions[32] = {
    EMU_OP_FCHS,    EMU_OP_FABS,    EMU_OP_INVALID, EMU_OP_INVALID,
    EMU_OP_FTST,    EMU_OP_FXAM,    EMU_OP_INVALID, EMU_OP_INVALID,
    EMU_OP_FLD1,    EMU_OP_FLDL2T,  EMU_OP_FLDL2E,  EMU_OP_FLDPI,
    EMU_OP_FLDLG2,  EMU_OP_FLDLN2,  EMU_OP_FLDZ,    EMU_OP_INVALID,
    EMU_OP_F2XM1,   EMU_OP_FYL2X,   EMU_OP_FPTAN,   EMU_OP_FPATAN,
    EMU_OP_FXTRACT, EMU_OP_FPREM1,  EMU_OP_FDECSTP, EMU_OP_FINCSTP,
    EMU_OP_FPREM,   EMU_OP_FYL2XP1, EMU_OP_FSQRT,   EMU_OP_FSINCOS,
    EMU_OP_FRNDINT, EMU_OP_FSCALE,  EMU_OP_FSIN,    EMU_OP_FCOS,
};

/* Encodings that are one instruction each. FCOMPP and FUCOMPP compare with
 * ST(1): insn->rm says so. */
static unsigned single(uint8_t opcode, uint8_t modrm)
{
    switch (opcode << 8 | modrm) {
    case 0xd9d0:
        return EMU_OP_FNOP;
    case 0xdae9:
        return EMU_OP_FUCOMPP;
    case 0xdbe0: /* FENI, FDISI, FSETPM of the coprocessors before the 387 */
    case 0xdbe1:
    case 0xdbe4:
        return EMU_OP_FNOP;
    case 0xdbe2:
        return EMU_OP_FNCLEX;
    case 0xdbe3:
        return EMU_OP_FNINIT;
    case 0xded9:
        return EMU_OP_FCOMPP;
    case 0xdfe0:
        return EMU_OP_FNSTSW;
    default:
        if (opcode == 0xd9 && modrm >= 0xe0)
            return functions[modrm - 0xe0];
        return EMU_OP_INVALID;
    }
}

static bool register_form(emu_decoder *d, uint8_t opcode)
{
    const register_row *row = &registers[opcode & 7][d->modrm >> 3 & 7];
    emu_insn *insn = d->insn;
    uint8_t i = d->modrm & 7;

    if (row->op == EMU_OP_INVALID) {
        insn->op = (uint16_t)single(opcode, d->modrm);
        insn->form = EMU_FORM_N;
        insn->rm = i;
        return insn->op != EMU_OP_INVALID;
    }
    insn->op = row->op;
    insn->cond = row->cond;
    insn->form = row->place == ONE_STI ? EMU_FORM_R : EMU_FORM_RR;
    insn->reg = row->place == TO_ST0 ? 0 : i;
    insn->rm = row->place == TO_ST0 ? i : 0;
    return true;
}

bool emu_decode_x87(emu_decoder *d, uint8_t opcode)
{
    const memory_row *row;
    unsigned size;

    if (opcode == 0x9b) {
        d->insn->op = EMU_OP_FWAIT;
        d->insn->form = EMU_FORM_N;
        return true;
    }
    emu_decode_modrm(d);
    d->insn->imm = (opcode & 7) << 8 | d->modrm;
    d->insn->opsize = 10;
    if (d->mod == 3)
        return register_form(d, opcode);

    row = &memory[opcode & 7][d->reg & 7];
    if (row->op == EMU_OP_INVALID)
        return false;
    size = row->size;
    if (size == 0)
        size = d->opsize == 2 ? 2 : 4;
    return emu_decode_m(d, row->op, size);
}
