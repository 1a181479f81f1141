/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_int.c: MMX and SSE2 integer arithmetic, logic, shifts,
 * packing and unpacking.
 *
 * Spec: Intel SDM vol. 2B, "PACKSSWB/PACKSSDW" to "PXOR".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

SSE_INT(paddb, "paddb")
SSE_INT(paddw, "paddw")
SSE_INT(paddd, "paddd")
SSE_INT(paddq, "paddq")
SSE_INT(paddsb, "paddsb")
SSE_INT(paddsw, "paddsw")
SSE_INT(paddusb, "paddusb")
SSE_INT(paddusw, "paddusw")
SSE_INT(psubb, "psubb")
SSE_INT(psubw, "psubw")
SSE_INT(psubd, "psubd")
SSE_INT(psubq, "psubq")
SSE_INT(psubsb, "psubsb")
SSE_INT(psubsw, "psubsw")
SSE_INT(psubusb, "psubusb")
SSE_INT(psubusw, "psubusw")
SSE_INT(pmullw, "pmullw")
SSE_INT(pmulhw, "pmulhw")
SSE_INT(pmulhuw, "pmulhuw")
SSE_INT(pmuludq, "pmuludq")
SSE_INT(pmaddwd, "pmaddwd")
SSE_INT(psadbw, "psadbw")
SSE_INT(pavgb, "pavgb")
SSE_INT(pavgw, "pavgw")
SSE_INT(pminub, "pminub")
SSE_INT(pmaxub, "pmaxub")
SSE_INT(pminsw, "pminsw")
SSE_INT(pmaxsw, "pmaxsw")
SSE_INT(pcmpeqb, "pcmpeqb")
SSE_INT(pcmpeqw, "pcmpeqw")
SSE_INT(pcmpeqd, "pcmpeqd")
SSE_INT(pcmpgtb, "pcmpgtb")
SSE_INT(pcmpgtw, "pcmpgtw")
SSE_INT(pcmpgtd, "pcmpgtd")
SSE_INT(pand, "pand")
SSE_INT(pandn, "pandn")
SSE_INT(por, "por")
SSE_INT(pxor, "pxor")

/*
 * Shifts: by the low 64 bits of the source, whole; or by an immediate, which
 * goes the same way.
 */
#define SSE_SHIFT(name, text)                                            \
    SSE_INT(name, text)                                                  \
    SSE_HANDLER(name##_xi)                                               \
    {                                                                    \
        SSE_GATE();                                                      \
        sse_put(cpu, insn->reg,                                          \
                name##_do(sse_get(cpu, insn->reg),                       \
                          _mm_cvtsi32_si128((uint8_t)insn->imm), insn)); \
        EMU_NEXT(cpu, insn);                                             \
    }                                                                    \
    SSE_HANDLER(name##_qi)                                               \
    {                                                                    \
        MMX_GATE();                                                      \
        mmx_put(cpu, insn->reg,                                          \
                name##_do(mmx_get(cpu, insn->reg),                       \
                          _mm_cvtsi32_si128((uint8_t)insn->imm), insn)); \
        EMU_NEXT(cpu, insn);                                             \
    }

SSE_SHIFT(psllw, "psllw")
SSE_SHIFT(pslld, "pslld")
SSE_SHIFT(psllq, "psllq")
SSE_SHIFT(psrlw, "psrlw")
SSE_SHIFT(psrld, "psrld")
SSE_SHIFT(psrlq, "psrlq")
SSE_SHIFT(psraw, "psraw")
SSE_SHIFT(psrad, "psrad")

/* Whole-register shifts, by bytes; 16 and more give 0. */
static inline void shift_bytes(emu_cpu *cpu, const emu_insn *insn, bool left)
{
    __m128i v = sse_get(cpu, insn->reg);
    uint64_t lo = (uint64_t)_mm_cvtsi128_si64(v);
    uint64_t hi = (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(v, v));
    unsigned __int128 n = (unsigned __int128)hi << 64 | lo;
    unsigned count = (uint8_t)insn->imm;

    if (count > 15)
        n = 0;
    else if (left)
        n <<= count * 8;
    else
        n >>= count * 8;
    sse_put(cpu, insn->reg,
            _mm_set_epi64x((long long)(n >> 64), (long long)(uint64_t)n));
}

SSE_HANDLER(pslldq_xi)
{
    SSE_GATE();
    shift_bytes(cpu, insn, true);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(psrldq_xi)
{
    SSE_GATE();
    shift_bytes(cpu, insn, false);
    EMU_NEXT(cpu, insn);
}

/*
 * Packs: an MMX result is the pack of both operands side by side. The low
 * unpacks need of an MMX source no more than its low half, of which they load
 * only four bytes; the high ones take the upper half of a low XMM unpack.
 */
static inline __m128i side_by_side(__m128i a, __m128i b)
{
    return _mm_unpacklo_epi64(a, b);
}

#define SSE_PACK(name, text)                               \
    SSE_INT_X(name, text)                                  \
    static inline __m128i name##_mmx(__m128i a, __m128i b, \
                                     const emu_insn *insn) \
    {                                                      \
        a = side_by_side(a, b);                            \
        return name##_do(a, a, insn);                      \
    }                                                      \
    SSE_Q(name, name##_mmx)                                \
    SSE_QM(name, name##_mmx, 64)

#define SSE_UNPACK(lo, lo_text, hi, hi_text)                                   \
    SSE_INT_X(lo, lo_text)                                                     \
    SSE_Q(lo, lo##_do)                                                         \
    SSE_QM(lo, lo##_do, 32)                                                    \
    SSE_INT_X(hi, hi_text)                                                     \
    static inline __m128i hi##_mmx(__m128i a, __m128i b, const emu_insn *insn) \
    {                                                                          \
        a = lo##_do(a, b, insn);                                               \
        return _mm_unpackhi_epi64(a, a);                                       \
    }                                                                          \
    SSE_Q(hi, hi##_mmx)                                                        \
    SSE_QM(hi, hi##_mmx, 64)

SSE_PACK(packsswb, "packsswb")
SSE_PACK(packssdw, "packssdw")
SSE_PACK(packuswb, "packuswb")
SSE_UNPACK(punpcklbw, "punpcklbw", punpckhbw, "punpckhbw")
SSE_UNPACK(punpcklwd, "punpcklwd", punpckhwd, "punpckhwd")
SSE_UNPACK(punpckldq, "punpckldq", punpckhdq, "punpckhdq")
SSE_INT_X(punpcklqdq, "punpcklqdq")
SSE_INT_X(punpckhqdq, "punpckhqdq")

#define CASE_SHIFT(op, name)                                  \
    case EMU_OP_##op:                                         \
        if (insn->form == EMU_FORM_RI)                        \
            return insn->opsize == 8 ? name##_qi : name##_xi; \
        return sse_pick(insn, name##_x, name##_xm, name##_q, name##_qm)

emu_exec_fn *emu_find_sse_int(const emu_insn *insn)
{
    switch (insn->op) {
        SSE_CASE_XQ(PADDB, paddb);
        SSE_CASE_XQ(PADDW, paddw);
        SSE_CASE_XQ(PADDD, paddd);
        SSE_CASE_XQ(PADDQ, paddq);
        SSE_CASE_XQ(PADDSB, paddsb);
        SSE_CASE_XQ(PADDSW, paddsw);
        SSE_CASE_XQ(PADDUSB, paddusb);
        SSE_CASE_XQ(PADDUSW, paddusw);
        SSE_CASE_XQ(PSUBB, psubb);
        SSE_CASE_XQ(PSUBW, psubw);
        SSE_CASE_XQ(PSUBD, psubd);
        SSE_CASE_XQ(PSUBQ, psubq);
        SSE_CASE_XQ(PSUBSB, psubsb);
        SSE_CASE_XQ(PSUBSW, psubsw);
        SSE_CASE_XQ(PSUBUSB, psubusb);
        SSE_CASE_XQ(PSUBUSW, psubusw);
        SSE_CASE_XQ(PMULLW, pmullw);
        SSE_CASE_XQ(PMULHW, pmulhw);
        SSE_CASE_XQ(PMULHUW, pmulhuw);
        SSE_CASE_XQ(PMULUDQ, pmuludq);
        SSE_CASE_XQ(PMADDWD, pmaddwd);
        SSE_CASE_XQ(PSADBW, psadbw);
        SSE_CASE_XQ(PAVGB, pavgb);
        SSE_CASE_XQ(PAVGW, pavgw);
        SSE_CASE_XQ(PMINUB, pminub);
        SSE_CASE_XQ(PMAXUB, pmaxub);
        SSE_CASE_XQ(PMINSW, pminsw);
        SSE_CASE_XQ(PMAXSW, pmaxsw);
        SSE_CASE_XQ(PCMPEQB, pcmpeqb);
        SSE_CASE_XQ(PCMPEQW, pcmpeqw);
        SSE_CASE_XQ(PCMPEQD, pcmpeqd);
        SSE_CASE_XQ(PCMPGTB, pcmpgtb);
        SSE_CASE_XQ(PCMPGTW, pcmpgtw);
        SSE_CASE_XQ(PCMPGTD, pcmpgtd);
        SSE_CASE_XQ(PAND, pand);
        SSE_CASE_XQ(PANDN, pandn);
        SSE_CASE_XQ(POR, por);
        SSE_CASE_XQ(PXOR, pxor);
        CASE_SHIFT(PSLLW, psllw);
        CASE_SHIFT(PSLLD, pslld);
        CASE_SHIFT(PSLLQ, psllq);
        CASE_SHIFT(PSRLW, psrlw);
        CASE_SHIFT(PSRLD, psrld);
        CASE_SHIFT(PSRLQ, psrlq);
        CASE_SHIFT(PSRAW, psraw);
        CASE_SHIFT(PSRAD, psrad);
        SSE_CASE_XQ(PACKSSWB, packsswb);
        SSE_CASE_XQ(PACKSSDW, packssdw);
        SSE_CASE_XQ(PACKUSWB, packuswb);
        SSE_CASE_XQ(PUNPCKLBW, punpcklbw);
        SSE_CASE_XQ(PUNPCKLWD, punpcklwd);
        SSE_CASE_XQ(PUNPCKLDQ, punpckldq);
        SSE_CASE_XQ(PUNPCKHBW, punpckhbw);
        SSE_CASE_XQ(PUNPCKHWD, punpckhwd);
        SSE_CASE_XQ(PUNPCKHDQ, punpckhdq);
        SSE_CASE_X(PUNPCKLQDQ, punpcklqdq);
        SSE_CASE_X(PUNPCKHQDQ, punpckhqdq);
    case EMU_OP_PSLLDQ:
        return pslldq_xi;
    case EMU_OP_PSRLDQ:
        return psrldq_xi;
    default:
        return NULL;
    }
}
