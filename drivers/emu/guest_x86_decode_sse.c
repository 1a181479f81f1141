/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_decode_sse.c: the MMX and SSE part of map 0F, and the reading of
 * all three tables.
 *
 * Spec: Intel SDM vol. 2D, appendix A.3 "One, Two, and Three-Byte Opcode Maps",
 *       A.4 "Opcode Extensions".
 * Threads: any; no state.
 */
#include "drivers/emu/guest_x86_decode_sse.h"

#include "drivers/emu/guest_x86_state.h"

emu_sse_map emu_sse_map_0f = {
    [0x10] = { SSE_V(MOVUPS), SSE_V(MOVUPS), SSE_S(MOVSS, 4),
               SSE_S(MOVSD_XMM, 8) },
    [0x11] = { SSE_ROW(MOVUPS, SSE_MR, 16), SSE_ROW(MOVUPS, SSE_MR, 16),
               SSE_ROW(MOVSS, SSE_MR, 4), SSE_ROW(MOVSD_XMM, SSE_MR, 8) },
    [0x12] = { SSE_S(MOVLPS, 8), SSE_ROW(MOVLPS, SSE_MEM, 8), SSE_V(MOVSLDUP),
               SSE_S(MOVDDUP, 8) },
    [0x13] = { SSE_ROW(MOVLPS, SSE_MR | SSE_MEM, 8),
               SSE_ROW(MOVLPS, SSE_MR | SSE_MEM, 8) },
    [0x14] = { SSE_V(PUNPCKLDQ), SSE_V(PUNPCKLQDQ) },
    [0x15] = { SSE_V(PUNPCKHDQ), SSE_V(PUNPCKHQDQ) },
    [0x16] = { SSE_S(MOVHPS, 8), SSE_ROW(MOVHPS, SSE_MEM, 8), SSE_V(MOVSHDUP) },
    [0x17] = { SSE_ROW(MOVHPS, SSE_MR | SSE_MEM, 8),
               SSE_ROW(MOVHPS, SSE_MR | SSE_MEM, 8) },
    [0x28] = { SSE_V(MOVAPS), SSE_V(MOVAPS) },
    [0x29] = { SSE_ROW(MOVAPS, SSE_MR, 16), SSE_ROW(MOVAPS, SSE_MR, 16) },
    [0x2a] = { SSE_ROW(CVTPI2PS, SSE_MMX_RM, 8),
               SSE_ROW(CVTPI2PD, SSE_MMX_RM, 8), SSE_ROW(CVTSI2SS, SSE_W, 4),
               SSE_ROW(CVTSI2SD, SSE_W, 4) },
    [0x2b] = { SSE_ROW(MOVAPS, SSE_MR | SSE_MEM, 16),
               SSE_ROW(MOVAPS, SSE_MR | SSE_MEM, 16) },
    [0x2c] = { SSE_ROW(CVTTPS2PI, SSE_MMX_REG, 8),
               SSE_ROW(CVTTPD2PI, SSE_MMX_REG, 16),
               SSE_ROW(CVTTSS2SI, SSE_W, 4), SSE_ROW(CVTTSD2SI, SSE_W, 4) },
    [0x2d] = { SSE_ROW(CVTPS2PI, SSE_MMX_REG, 8),
               SSE_ROW(CVTPD2PI, SSE_MMX_REG, 16), SSE_ROW(CVTSS2SI, SSE_W, 4),
               SSE_ROW(CVTSD2SI, SSE_W, 4) },
    [0x2e] = { SSE_S(UCOMISS, 4), SSE_S(UCOMISD, 8) },
    [0x2f] = { SSE_S(COMISS, 4), SSE_S(COMISD, 8) },
    [0x50] = { SSE_ROW(MOVMSKPS, SSE_REG, 16), SSE_ROW(MOVMSKPD, SSE_REG, 16) },
    [0x51] = { SSE_V(SQRTPS), SSE_V(SQRTPD), SSE_S(SQRTSS, 4),
               SSE_S(SQRTSD, 8) },
    [0x52] = { SSE_V(RSQRTPS), SSE_NONE, SSE_S(RSQRTSS, 4) },
    [0x53] = { SSE_V(RCPPS), SSE_NONE, SSE_S(RCPSS, 4) },
    [0x54] = { SSE_V(PAND), SSE_V(PAND) },
    [0x55] = { SSE_V(PANDN), SSE_V(PANDN) },
    [0x56] = { SSE_V(POR), SSE_V(POR) },
    [0x57] = { SSE_V(PXOR), SSE_V(PXOR) },
    [0x58] = { SSE_V(ADDPS), SSE_V(ADDPD), SSE_S(ADDSS, 4), SSE_S(ADDSD, 8) },
    [0x59] = { SSE_V(MULPS), SSE_V(MULPD), SSE_S(MULSS, 4), SSE_S(MULSD, 8) },
    [0x5a] = { SSE_S(CVTPS2PD, 8), SSE_V(CVTPD2PS), SSE_S(CVTSS2SD, 4),
               SSE_S(CVTSD2SS, 8) },
    [0x5b] = { SSE_V(CVTDQ2PS), SSE_V(CVTPS2DQ), SSE_V(CVTTPS2DQ) },
    [0x5c] = { SSE_V(SUBPS), SSE_V(SUBPD), SSE_S(SUBSS, 4), SSE_S(SUBSD, 8) },
    [0x5d] = { SSE_V(MINPS), SSE_V(MINPD), SSE_S(MINSS, 4), SSE_S(MINSD, 8) },
    [0x5e] = { SSE_V(DIVPS), SSE_V(DIVPD), SSE_S(DIVSS, 4), SSE_S(DIVSD, 8) },
    [0x5f] = { SSE_V(MAXPS), SSE_V(MAXPD), SSE_S(MAXSS, 4), SSE_S(MAXSD, 8) },
    [0x60] = { SSE_BOTH(PUNPCKLBW) },
    [0x61] = { SSE_BOTH(PUNPCKLWD) },
    [0x62] = { SSE_BOTH(PUNPCKLDQ) },
    [0x63] = { SSE_BOTH(PACKSSWB) },
    [0x64] = { SSE_BOTH(PCMPGTB) },
    [0x65] = { SSE_BOTH(PCMPGTW) },
    [0x66] = { SSE_BOTH(PCMPGTD) },
    [0x67] = { SSE_BOTH(PACKUSWB) },
    [0x68] = { SSE_BOTH(PUNPCKHBW) },
    [0x69] = { SSE_BOTH(PUNPCKHWD) },
    [0x6a] = { SSE_BOTH(PUNPCKHDQ) },
    [0x6b] = { SSE_BOTH(PACKSSDW) },
    [0x6c] = { SSE_NONE, SSE_V(PUNPCKLQDQ) },
    [0x6d] = { SSE_NONE, SSE_V(PUNPCKHQDQ) },
    [0x6e] = { SSE_ROW(MOVD_MM, SSE_MMX_REG | SSE_W, 4),
               SSE_ROW(MOVD, SSE_W, 4) },
    [0x6f] = { SSE_MM(MOVQ_MM), SSE_V(MOVAPS), SSE_V(MOVUPS) },
    [0x70] = { SSE_ROW(PSHUFW, SSE_IMM | SSE_MMX_REG | SSE_MMX_RM, 8),
               SSE_ROW(PSHUFD, SSE_IMM, 16), SSE_ROW(PSHUFHW, SSE_IMM, 16),
               SSE_ROW(PSHUFLW, SSE_IMM, 16) },
    [0x74] = { SSE_BOTH(PCMPEQB) },
    [0x75] = { SSE_BOTH(PCMPEQW) },
    [0x76] = { SSE_BOTH(PCMPEQD) },
    [0x7c] = { SSE_NONE, SSE_V(HADDPD), SSE_NONE, SSE_V(HADDPS) },
    [0x7d] = { SSE_NONE, SSE_V(HSUBPD), SSE_NONE, SSE_V(HSUBPS) },
    [0x7e] = { SSE_ROW(MOVD_MM_ST, SSE_MR | SSE_MMX_REG | SSE_W, 4),
               SSE_ROW(MOVD_ST, SSE_MR | SSE_W, 4), SSE_S(MOVQ_XMM, 8) },
    [0x7f] = { SSE_ROW(MOVQ_MM, SSE_MR | SSE_MMX_REG | SSE_MMX_RM, 8),
               SSE_ROW(MOVAPS, SSE_MR, 16), SSE_ROW(MOVUPS, SSE_MR, 16) },
    [0xc2] = { SSE_ROW(CMPPS, SSE_IMM, 16), SSE_ROW(CMPPD, SSE_IMM, 16),
               SSE_ROW(CMPSS, SSE_IMM, 4), SSE_ROW(CMPSD_XMM, SSE_IMM, 8) },
    [0xc4] = { SSE_ROW(PINSRW, SSE_IMM | SSE_MMX_REG, 8),
               SSE_ROW(PINSRW, SSE_IMM, 16) },
    [0xc5] = { SSE_ROW(PEXTRW, SSE_IMM | SSE_REG | SSE_MMX_RM, 8),
               SSE_ROW(PEXTRW, SSE_IMM | SSE_REG, 16) },
    [0xc6] = { SSE_ROW(SHUFPS, SSE_IMM, 16), SSE_ROW(SHUFPD, SSE_IMM, 16) },
    [0xd0] = { SSE_NONE, SSE_V(ADDSUBPD), SSE_NONE, SSE_V(ADDSUBPS) },
    [0xd1] = { SSE_BOTH(PSRLW) },
    [0xd2] = { SSE_BOTH(PSRLD) },
    [0xd3] = { SSE_BOTH(PSRLQ) },
    [0xd4] = { SSE_BOTH(PADDQ) },
    [0xd5] = { SSE_BOTH(PMULLW) },
    [0xd6] = { SSE_NONE, SSE_ROW(MOVQ_XMM, SSE_MR, 8),
               SSE_ROW(MOVQ2DQ, SSE_REG | SSE_MMX_RM, 8),
               SSE_ROW(MOVDQ2Q, SSE_REG | SSE_MMX_REG, 8) },
    [0xd7] = { SSE_ROW(PMOVMSKB, SSE_REG | SSE_MMX_RM, 8),
               SSE_ROW(PMOVMSKB, SSE_REG, 16) },
    [0xd8] = { SSE_BOTH(PSUBUSB) },
    [0xd9] = { SSE_BOTH(PSUBUSW) },
    [0xda] = { SSE_BOTH(PMINUB) },
    [0xdb] = { SSE_BOTH(PAND) },
    [0xdc] = { SSE_BOTH(PADDUSB) },
    [0xdd] = { SSE_BOTH(PADDUSW) },
    [0xde] = { SSE_BOTH(PMAXUB) },
    [0xdf] = { SSE_BOTH(PANDN) },
    [0xe0] = { SSE_BOTH(PAVGB) },
    [0xe1] = { SSE_BOTH(PSRAW) },
    [0xe2] = { SSE_BOTH(PSRAD) },
    [0xe3] = { SSE_BOTH(PAVGW) },
    [0xe4] = { SSE_BOTH(PMULHUW) },
    [0xe5] = { SSE_BOTH(PMULHW) },
    [0xe6] = { SSE_NONE, SSE_V(CVTTPD2DQ), SSE_S(CVTDQ2PD, 8),
               SSE_V(CVTPD2DQ) },
    [0xe7] = { SSE_ROW(MOVQ_MM, SSE_MR | SSE_MEM | SSE_MMX_REG, 8),
               SSE_ROW(MOVAPS, SSE_MR | SSE_MEM, 16) },
    [0xe8] = { SSE_BOTH(PSUBSB) },
    [0xe9] = { SSE_BOTH(PSUBSW) },
    [0xea] = { SSE_BOTH(PMINSW) },
    [0xeb] = { SSE_BOTH(POR) },
    [0xec] = { SSE_BOTH(PADDSB) },
    [0xed] = { SSE_BOTH(PADDSW) },
    [0xee] = { SSE_BOTH(PMAXSW) },
    [0xef] = { SSE_BOTH(PXOR) },
    [0xf0] = { SSE_NONE, SSE_NONE, SSE_NONE, SSE_ROW(MOVUPS, SSE_MEM, 16) },
    [0xf1] = { SSE_BOTH(PSLLW) },
    [0xf2] = { SSE_BOTH(PSLLD) },
    [0xf3] = { SSE_BOTH(PSLLQ) },
    [0xf4] = { SSE_BOTH(PMULUDQ) },
    [0xf5] = { SSE_BOTH(PMADDWD) },
    [0xf6] = { SSE_BOTH(PSADBW) },
    [0xf7] = { SSE_ROW(MASKMOV, SSE_REG | SSE_MMX_REG | SSE_MMX_RM, 8),
               SSE_ROW(MASKMOV, SSE_REG, 16) },
    [0xf8] = { SSE_BOTH(PSUBB) },
    [0xf9] = { SSE_BOTH(PSUBW) },
    [0xfa] = { SSE_BOTH(PSUBD) },
    [0xfb] = { SSE_BOTH(PSUBQ) },
    [0xfc] = { SSE_BOTH(PADDB) },
    [0xfd] = { SSE_BOTH(PADDW) },
    [0xfe] = { SSE_BOTH(PADDD) },
};

static unsigned column(const emu_decoder *d)
{
    switch (d->prefix) {
    case 0x66:
        return SSE_66;
    case 0xf3:
        return SSE_F3;
    case 0xf2:
        return SSE_F2;
    default:
        return SSE_NP;
    }
}

static bool read_row(emu_decoder *d, const emu_sse_row *row)
{
    emu_insn *insn = d->insn;
    bool reg_form;

    if (row->op == EMU_OP_INVALID)
        return false;
    emu_decode_modrm(d);
    reg_form = d->mod == 3;
    if (reg_form ? row->kind & SSE_MEM : row->kind & SSE_REG)
        return false;
    /* The size given here only says "not a byte register". */
    if (row->kind & SSE_MR)
        emu_decode_mr(d, row->op, 16);
    else
        emu_decode_rm(d, row->op, 16);
    insn->opsize = (row->kind & SSE_W) && (d->rex & 8) ? 8 : row->size;

    /* insn->reg is ModRM.reg, but in a register-to-register SSE_MR. */
    if (row->kind & SSE_MMX_REG) {
        if (reg_form && (row->kind & SSE_MR))
            insn->rm &= 7;
        else
            insn->reg &= 7;
    }
    if (reg_form && (row->kind & SSE_MMX_RM)) {
        if (row->kind & SSE_MR)
            insn->reg &= 7;
        else
            insn->rm &= 7;
    }
    if (row->kind & SSE_IMM)
        insn->imm = emu_decode_byte(d);
    return true;
}

/* 0F 71, 72, 73: shifts of a register by an immediate. */
static bool shift_group(emu_decoder *d, uint8_t opcode)
{
    static const uint16_t ops[3][8] = {
        { 0, 0, EMU_OP_PSRLW, 0, EMU_OP_PSRAW, 0, EMU_OP_PSLLW, 0 },
        { 0, 0, EMU_OP_PSRLD, 0, EMU_OP_PSRAD, 0, EMU_OP_PSLLD, 0 },
        { 0, 0, EMU_OP_PSRLQ, EMU_OP_PSRLDQ, 0, 0, EMU_OP_PSLLQ,
          EMU_OP_PSLLDQ },
    };
    bool mmx = d->prefix == 0;
    uint16_t op;

    emu_decode_modrm(d);
    op = ops[opcode - 0x71][d->reg & 7];
    if (d->mod != 3 || op == 0 || (!mmx && d->prefix != 0x66))
        return false;
    if (mmx && (op == EMU_OP_PSRLDQ || op == EMU_OP_PSLLDQ))
        return false;
    emu_decode_m(d, op, mmx ? 8 : 16);
    d->insn->form = EMU_FORM_RI;
    if (mmx)
        d->insn->reg &= 7;
    d->insn->imm = emu_decode_byte(d);
    return true;
}

/* 0F AE with memory. */
static bool state_group(emu_decoder *d)
{
    static const uint16_t ops[8] = { EMU_OP_FXSAVE,   EMU_OP_FXRSTOR,
                                     EMU_OP_LDMXCSR,  EMU_OP_STMXCSR,
                                     EMU_OP_XSAVE,    EMU_OP_XRSTOR,
                                     EMU_OP_XSAVEOPT, EMU_OP_INVALID };
    unsigned n;

    emu_decode_modrm(d);
    n = d->reg & 7;
    if (d->mod == 3 || d->prefix != 0 || ops[n] == EMU_OP_INVALID)
        return false;
    return emu_decode_m(d, ops[n], n == 2 || n == 3 ? 4 : 16);
}

/* The register forms of 0F 12 and 0F 16 mean something of their own. */
static void swap_halves(emu_decoder *d)
{
    if (d->mod != 3)
        return;
    if (d->insn->op == EMU_OP_MOVLPS)
        d->insn->op = EMU_OP_MOVHLPS;
    else if (d->insn->op == EMU_OP_MOVHPS)
        d->insn->op = EMU_OP_MOVLHPS;
}

/* The memory operand of MASKMOVx is DS:rDI. */
static void implied_rdi(emu_decoder *d)
{
    d->insn->base = VSR_X86_RDI;
    d->insn->index = EMU_REG_ZERO;
    d->insn->disp = 0;
    d->insn->mem =
        (uint8_t)((d->seg >= 0 ? (unsigned)d->seg : VSR_X86_DS) | d->asize);
}

static bool map_0f(emu_decoder *d, uint8_t opcode)
{
    switch (opcode) {
    case 0x71:
    case 0x72:
    case 0x73:
        return shift_group(d, opcode);
    case 0x77:
        d->insn->op = EMU_OP_EMMS;
        d->insn->form = EMU_FORM_N;
        return d->prefix == 0;
    case 0xae:
        return state_group(d);
    default:
        break;
    }
    if (!read_row(d, &emu_sse_map_0f[opcode][column(d)]))
        return false;
    swap_halves(d);
    if (opcode == 0xf7)
        implied_rdi(d);
    return true;
}

bool emu_decode_sse(emu_decoder *d, emu_decode_map map, uint8_t opcode)
{
    switch (map) {
    case EMU_MAP_0F:
        return map_0f(d, opcode);
    case EMU_MAP_0F38:
        return read_row(d, &emu_sse_map_0f38[opcode][column(d)]);
    case EMU_MAP_0F3A:
        return read_row(d, &emu_sse_map_0f3a[opcode][column(d)]);
    }
    return false;
}
