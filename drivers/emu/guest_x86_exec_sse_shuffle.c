/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_shuffle.c: SSE and SSE2 shuffles by an immediate, and the
 * word inserts and extracts.
 *
 * Spec: Intel SDM vol. 2B, "PEXTRW", "PINSRW", "PSHUFD" to "PSHUFW",
 *       "SHUFPD", "SHUFPS".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

SSE_DO_IMM(pshufd, pshufd)
SSE_X(pshufd)
SSE_XM(pshufd, a)
SSE_DO_IMM(pshuflw, pshuflw)
SSE_X(pshuflw)
SSE_XM(pshuflw, a)
SSE_DO_IMM(pshufhw, pshufhw)
SSE_X(pshufhw)
SSE_XM(pshufhw, a)
SSE_DO_IMM(shufps, shufps)
SSE_X(shufps)
SSE_XM(shufps, a)
SSE_DO_IMM(shufpd, shufpd)
SSE_X(shufpd)
SSE_XM(shufpd, a)
SSE_Q(pshufw, pshuflw_do)
SSE_QM(pshufw, pshuflw_do, 64)

SSE_HANDLER(pinsrw_x)
{
    SSE_GATE();
    cpu->xmm[insn->reg].u16[insn->imm & 7] = EMU_R16(cpu, insn->rm);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pinsrw_xm)
{
    SSE_GATE();
    cpu->xmm[insn->reg].u16[insn->imm & 7] =
        emu_load16(cpu, insn, emu_ea(cpu, insn, 2, EMU_READ));
    EMU_NEXT(cpu, insn);
}

/* The register form of 0F C5, and SSE4.1's, which can store. */
SSE_HANDLER(pextrw_x)
{
    SSE_GATE();
    EMU_R64(cpu, insn->reg) = cpu->xmm[insn->rm].u16[insn->imm & 7];
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pextrw_mr)
{
    SSE_GATE();
    emu_store16(cpu, insn, emu_ea(cpu, insn, 2, EMU_WRITE),
                cpu->xmm[insn->reg].u16[insn->imm & 7]);
    EMU_NEXT(cpu, insn);
}

static uint64_t insert_word(uint64_t v, unsigned n, uint16_t word)
{
    unsigned shift = (n & 3) * 16;

    return (v & ~((uint64_t)0xffff << shift)) | (uint64_t)word << shift;
}

SSE_HANDLER(pinsrw_q)
{
    MMX_GATE();
    mmx_put64(cpu, insn->reg,
              insert_word(mmx_get64(cpu, insn->reg), (unsigned)insn->imm,
                          EMU_R16(cpu, insn->rm)));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pinsrw_qm)
{
    uint16_t word;

    MMX_GATE();
    word = emu_load16(cpu, insn, emu_ea(cpu, insn, 2, EMU_READ));
    mmx_put64(
        cpu, insn->reg,
        insert_word(mmx_get64(cpu, insn->reg), (unsigned)insn->imm, word));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pextrw_q)
{
    MMX_GATE();
    EMU_R64(cpu, insn->reg) =
        (uint16_t)(mmx_get64(cpu, insn->rm) >> (insn->imm & 3) * 16);
    mmx_touch(cpu);
    EMU_NEXT(cpu, insn);
}

emu_exec_fn *emu_find_sse_shuffle(const emu_insn *insn)
{
    switch (insn->op) {
        SSE_CASE_X(PSHUFD, pshufd);
        SSE_CASE_X(PSHUFLW, pshuflw);
        SSE_CASE_X(PSHUFHW, pshufhw);
        SSE_CASE_X(SHUFPS, shufps);
        SSE_CASE_X(SHUFPD, shufpd);
        SSE_CASE_XQ(PINSRW, pinsrw);
    case EMU_OP_PSHUFW:
        return insn->form == EMU_FORM_RM ? pshufw_qm : pshufw_q;
    case EMU_OP_PEXTRW:
        if (insn->form == EMU_FORM_MR)
            return pextrw_mr;
        return insn->opsize == 8 ? pextrw_q : pextrw_x;
    default:
        return NULL;
    }
}
