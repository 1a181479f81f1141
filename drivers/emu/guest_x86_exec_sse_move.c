/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_move.c: MMX and SSE moves.
 *
 * Spec: Intel SDM vol. 2A, "EMMS", "MASKMOVDQU" to "MOVUPS"; vol. 2B,
 *       "PMOVMSKB".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

/* What each op does with the old destination `a` and the source `b`. */

static inline __m128i whole_do(__m128i a, __m128i b, const emu_insn *insn)
{
    (void)a;
    return b;
}

static inline __m128i low32_do(__m128i a, __m128i b, const emu_insn *insn)
{
    return _mm_castps_si128(
        _mm_move_ss(_mm_castsi128_ps(a), _mm_castsi128_ps(b)));
}

static inline __m128i low64_do(__m128i a, __m128i b, const emu_insn *insn)
{
    return _mm_castpd_si128(
        _mm_move_sd(_mm_castsi128_pd(a), _mm_castsi128_pd(b)));
}

static inline __m128i movhps_do(__m128i a, __m128i b, const emu_insn *insn)
{
    return _mm_unpacklo_epi64(a, b);
}

static inline __m128i movhlps_do(__m128i a, __m128i b, const emu_insn *insn)
{
    return _mm_unpackhi_epi64(b, a);
}

static inline __m128i movq_do(__m128i a, __m128i b, const emu_insn *insn)
{
    (void)a;
    return _mm_move_epi64(b);
}

static inline __m128i movddup_do(__m128i a, __m128i b, const emu_insn *insn)
{
    (void)a;
    return _mm_unpacklo_epi64(b, b);
}

static inline __m128i movsldup_do(__m128i a, __m128i b, const emu_insn *insn)
{
    (void)a;
    return _mm_shuffle_epi32(b, 0xa0);
}

static inline __m128i movshdup_do(__m128i a, __m128i b, const emu_insn *insn)
{
    (void)a;
    return _mm_shuffle_epi32(b, 0xf5);
}

#define same(v) (v)
#define high(v) _mm_unpackhi_epi64((v), (v))

#define movaps_do  whole_do
#define movups_do  whole_do
#define movss_do   low32_do
#define movsd_do   low64_do
#define movlps_do  low64_do
#define movlhps_do movhps_do
#define load32_do  whole_do
#define load64_do  whole_do

SSE_X(movaps)
SSE_XM(movaps, a)
SSE_MR(movaps, a, same)
SSE_XM(movups, u)
SSE_MR(movups, u, same)
SSE_X(movss)
SSE_X(movsd)
SSE_XM(load32, 32) /* MOVSS, MOVD from memory: the rest is cleared */
SSE_XM(load64, 64) /* MOVSD, MOVQ */
SSE_MR(store32, 32, same)
SSE_MR(store64, 64, same)
SSE_XM(movlps, 64)
SSE_XM(movhps, 64)
SSE_MR(movhps, 64, high)
SSE_X(movhlps)
SSE_X(movlhps)
SSE_X(movq)
SSE_X(movddup)
SSE_XM(movddup, 64)
SSE_X(movsldup)
SSE_XM(movsldup, a)
SSE_X(movshdup)
SSE_XM(movshdup, a)

/* --- general registers --- */

SSE_HANDLER(movd_x)
{
    SSE_GATE();
    sse_put(cpu, insn->reg, _mm_cvtsi32_si128((int)EMU_R32(cpu, insn->rm)));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd64_x)
{
    SSE_GATE();
    sse_put(cpu, insn->reg,
            _mm_cvtsi64_si128((long long)EMU_R64(cpu, insn->rm)));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd_st_x)
{
    SSE_GATE();
    EMU_SET_R32(cpu, insn->reg, cpu->xmm[insn->rm].u32[0]);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd64_st_x)
{
    SSE_GATE();
    EMU_R64(cpu, insn->reg) = cpu->xmm[insn->rm].u64[0];
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movmskps_x)
{
    SSE_GATE();
    EMU_R64(cpu, insn->reg) =
        (unsigned)_mm_movemask_ps(_mm_castsi128_ps(sse_get(cpu, insn->rm)));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movmskpd_x)
{
    SSE_GATE();
    EMU_R64(cpu, insn->reg) =
        (unsigned)_mm_movemask_pd(_mm_castsi128_pd(sse_get(cpu, insn->rm)));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pmovmskb_x)
{
    SSE_GATE();
    EMU_R64(cpu, insn->reg) =
        (unsigned)_mm_movemask_epi8(sse_get(cpu, insn->rm));
    EMU_NEXT(cpu, insn);
}

/* --- MMX --- */

SSE_HANDLER(movq_mm_q)
{
    MMX_GATE();
    mmx_put64(cpu, insn->reg, mmx_get64(cpu, insn->rm));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movq_mm_qm)
{
    MMX_GATE();
    mmx_put64(cpu, insn->reg,
              emu_load64(cpu, insn, emu_ea(cpu, insn, 8, EMU_READ)));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movq_mm_mr)
{
    MMX_GATE();
    emu_store64(cpu, insn, emu_ea(cpu, insn, 8, EMU_WRITE),
                mmx_get64(cpu, insn->reg));
    mmx_touch(cpu);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd_mm_q)
{
    MMX_GATE();
    mmx_put64(cpu, insn->reg, EMU_R32(cpu, insn->rm));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd64_mm_q)
{
    MMX_GATE();
    mmx_put64(cpu, insn->reg, EMU_R64(cpu, insn->rm));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd_mm_qm)
{
    MMX_GATE();
    mmx_put64(cpu, insn->reg,
              emu_load32(cpu, insn, emu_ea(cpu, insn, 4, EMU_READ)));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd_mm_st_q)
{
    MMX_GATE();
    EMU_SET_R32(cpu, insn->reg, mmx_get64(cpu, insn->rm));
    mmx_touch(cpu);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd64_mm_st_q)
{
    MMX_GATE();
    EMU_R64(cpu, insn->reg) = mmx_get64(cpu, insn->rm);
    mmx_touch(cpu);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movd_mm_st_mr)
{
    MMX_GATE();
    emu_store32(cpu, insn, emu_ea(cpu, insn, 4, EMU_WRITE),
                (uint32_t)mmx_get64(cpu, insn->reg));
    mmx_touch(cpu);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pmovmskb_q)
{
    MMX_GATE();
    EMU_R64(cpu, insn->reg) =
        (unsigned)_mm_movemask_epi8(mmx_get(cpu, insn->rm)) & 0xff;
    mmx_touch(cpu);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movq2dq)
{
    SSE_GATE();
    MMX_GATE();
    sse_put(cpu, insn->reg, mmx_get(cpu, insn->rm));
    mmx_touch(cpu);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(movdq2q)
{
    SSE_GATE();
    MMX_GATE();
    mmx_put64(cpu, insn->reg, cpu->xmm[insn->rm].u64[0]);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(emms)
{
    MMX_GATE();
    cpu->x87.valid = 0;
    cpu->x87.top = 0;
    EMU_NEXT(cpu, insn);
}

/*
 * MASKMOVQ, MASKMOVDQU: the decoder gives DS:rDI (or the override) as the
 * memory operand, reg = data, rm = mask. The whole operand must be writable,
 * masked or not, as AMD's processors want it.
 */
static void mask_store(emu_cpu *cpu, const emu_insn *insn, const uint8_t *data,
                       const uint8_t *mask, unsigned len)
{
    uint64_t la = emu_ea(cpu, insn, len, EMU_WRITE);

    (void)emu_rmw8(cpu, insn, la);
    (void)emu_rmw8(cpu, insn, la + len - 1);
    for (unsigned i = 0; i < len; i++) {
        if (mask[i] & 0x80)
            emu_store8(cpu, insn, la + i, data[i]);
    }
}

SSE_HANDLER(maskmov_x)
{
    SSE_GATE();
    mask_store(cpu, insn, cpu->xmm[insn->reg].u8, cpu->xmm[insn->rm].u8, 16);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(maskmov_q)
{
    uint64_t data, mask;

    MMX_GATE();
    data = mmx_get64(cpu, insn->reg);
    mask = mmx_get64(cpu, insn->rm);
    mask_store(cpu, insn, (const uint8_t *)&data, (const uint8_t *)&mask, 8);
    mmx_touch(cpu);
    EMU_NEXT(cpu, insn);
}

/* --- look-up --- */

static emu_exec_fn *by_form(const emu_insn *insn, emu_exec_fn *rr,
                            emu_exec_fn *rm, emu_exec_fn *mr)
{
    switch (insn->form) {
    case EMU_FORM_RR:
        return rr;
    case EMU_FORM_RM:
        return rm;
    case EMU_FORM_MR:
        return mr;
    default:
        return NULL;
    }
}

emu_exec_fn *emu_find_sse_move(const emu_insn *insn)
{
    bool wide = insn->opsize == 8;

    switch (insn->op) {
    case EMU_OP_MOVAPS:
        return by_form(insn, movaps_x, movaps_xm, movaps_mr);
    case EMU_OP_MOVUPS:
        return by_form(insn, movaps_x, movups_xm, movups_mr);
    case EMU_OP_MOVSS:
        return by_form(insn, movss_x, load32_xm, store32_mr);
    case EMU_OP_MOVSD_XMM:
        return by_form(insn, movsd_x, load64_xm, store64_mr);
    case EMU_OP_MOVLPS:
        return by_form(insn, NULL, movlps_xm, store64_mr);
    case EMU_OP_MOVHPS:
        return by_form(insn, NULL, movhps_xm, movhps_mr);
    case EMU_OP_MOVHLPS:
        return by_form(insn, movhlps_x, NULL, NULL);
    case EMU_OP_MOVLHPS:
        return by_form(insn, movlhps_x, NULL, NULL);
    case EMU_OP_MOVDDUP:
        return by_form(insn, movddup_x, movddup_xm, NULL);
    case EMU_OP_MOVSLDUP:
        return by_form(insn, movsldup_x, movsldup_xm, NULL);
    case EMU_OP_MOVSHDUP:
        return by_form(insn, movshdup_x, movshdup_xm, NULL);
    case EMU_OP_MOVQ_XMM:
        return by_form(insn, movq_x, load64_xm, store64_mr);
    case EMU_OP_MOVD:
        return wide ? by_form(insn, movd64_x, load64_xm, NULL)
                    : by_form(insn, movd_x, load32_xm, NULL);
    case EMU_OP_MOVD_ST:
        return wide ? by_form(insn, movd64_st_x, NULL, store64_mr)
                    : by_form(insn, movd_st_x, NULL, store32_mr);
    case EMU_OP_MOVQ_MM:
        return by_form(insn, movq_mm_q, movq_mm_qm, movq_mm_mr);
    case EMU_OP_MOVD_MM:
        return wide ? by_form(insn, movd64_mm_q, movq_mm_qm, NULL)
                    : by_form(insn, movd_mm_q, movd_mm_qm, NULL);
    case EMU_OP_MOVD_MM_ST:
        return wide ? by_form(insn, movd64_mm_st_q, NULL, movq_mm_mr)
                    : by_form(insn, movd_mm_st_q, NULL, movd_mm_st_mr);
    case EMU_OP_MOVQ2DQ:
        return movq2dq;
    case EMU_OP_MOVDQ2Q:
        return movdq2q;
    case EMU_OP_MOVMSKPS:
        return movmskps_x;
    case EMU_OP_MOVMSKPD:
        return movmskpd_x;
    case EMU_OP_PMOVMSKB:
        return wide ? pmovmskb_q : pmovmskb_x;
    case EMU_OP_MASKMOV:
        return wide ? maskmov_q : maskmov_x;
    case EMU_OP_EMMS:
        return emms;
    default:
        return NULL;
    }
}
