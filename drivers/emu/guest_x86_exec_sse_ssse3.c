/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_ssse3.c: SSSE3, for MMX and XMM registers.
 *
 * Spec: Intel SDM vol. 2B, "PABSB" to "PSIGND".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

#define ABSOLUTE(name)     \
    SSE_DO1(name, #name)   \
    SSE_X(name)            \
    SSE_XM(name, a)        \
    SSE_Q(name, name##_do) \
    SSE_QM(name, name##_do, 64)

/* An MMX result is that of both operands side by side. */
#define HORIZONTAL(name)                                   \
    SSE_INT_X(name, #name)                                 \
    static inline __m128i name##_mmx(__m128i a, __m128i b, \
                                     const emu_insn *insn) \
    {                                                      \
        a = _mm_unpacklo_epi64(a, b);                      \
        return name##_do(a, a, insn);                      \
    }                                                      \
    SSE_Q(name, name##_mmx)                                \
    SSE_QM(name, name##_mmx, 64)

HORIZONTAL(phaddw)
HORIZONTAL(phaddd)
HORIZONTAL(phaddsw)
HORIZONTAL(phsubw)
HORIZONTAL(phsubd)
HORIZONTAL(phsubsw)
SSE_INT(pmaddubsw, "pmaddubsw")
SSE_INT(pmulhrsw, "pmulhrsw")
SSE_INT(psignb, "psignb")
SSE_INT(psignw, "psignw")
SSE_INT(psignd, "psignd")
ABSOLUTE(pabsb)
ABSOLUTE(pabsw)
ABSOLUTE(pabsd)

/* Of an MMX index the low three bits count, not four. */
SSE_INT_X(pshufb, "pshufb")
static inline __m128i pshufb_mmx(__m128i a, __m128i b, const emu_insn *insn)
{
    return pshufb_do(a, _mm_and_si128(b, _mm_set1_epi8((char)0x87)), insn);
}
SSE_Q(pshufb, pshufb_mmx)
SSE_QM(pshufb, pshufb_mmx, 64)

SSE_DO_IMM(palignr, palignr)
SSE_X(palignr)
SSE_XM(palignr, a)
static inline __m128i palignr_mmx(__m128i a, __m128i b, const emu_insn *insn)
{
    return host_palignr(_mm_setzero_si128(), _mm_unpacklo_epi64(b, a),
                        (uint8_t)insn->imm);
}
SSE_Q(palignr, palignr_mmx)
SSE_QM(palignr, palignr_mmx, 64)

emu_exec_fn *emu_find_sse_ssse3(const emu_insn *insn)
{
    if (!__builtin_cpu_supports("ssse3"))
        return NULL;
    switch (insn->op) {
        SSE_CASE_XQ(PSHUFB, pshufb);
        SSE_CASE_XQ(PHADDW, phaddw);
        SSE_CASE_XQ(PHADDD, phaddd);
        SSE_CASE_XQ(PHADDSW, phaddsw);
        SSE_CASE_XQ(PMADDUBSW, pmaddubsw);
        SSE_CASE_XQ(PHSUBW, phsubw);
        SSE_CASE_XQ(PHSUBD, phsubd);
        SSE_CASE_XQ(PHSUBSW, phsubsw);
        SSE_CASE_XQ(PSIGNB, psignb);
        SSE_CASE_XQ(PSIGNW, psignw);
        SSE_CASE_XQ(PSIGND, psignd);
        SSE_CASE_XQ(PMULHRSW, pmulhrsw);
        SSE_CASE_XQ(PABSB, pabsb);
        SSE_CASE_XQ(PABSW, pabsw);
        SSE_CASE_XQ(PABSD, pabsd);
        SSE_CASE_XQ(PALIGNR, palignr);
    default:
        return NULL;
    }
}
