/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_convert.c: SSE and SSE2 conversions.
 *
 * Spec: Intel SDM vol. 2A, "CVTDQ2PD" to "CVTTSS2SI".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

#define CONVERT1(name, kind) \
    SSE_DO1(name, #name)     \
    SSE_FLOAT_X(name)        \
    SSE_FLOAT_XM(name, kind)
#define CONVERT2(name, kind) \
    SSE_DO2(name, #name)     \
    SSE_FLOAT_X(name)        \
    SSE_FLOAT_XM(name, kind)

CONVERT1(cvtdq2ps, a)
CONVERT1(cvtps2dq, a)
CONVERT1(cvttps2dq, a)
CONVERT1(cvtdq2pd, 64)
CONVERT1(cvtpd2dq, a)
CONVERT1(cvttpd2dq, a)
CONVERT1(cvtps2pd, 64)
CONVERT1(cvtpd2ps, a)
CONVERT2(cvtss2sd, 32)
CONVERT2(cvtsd2ss, 64)

/* --- general registers --- */

/* From a 32- or 64-bit integer. */
#define FROM_INT(name, text, bits)                                             \
    static inline __m128i name##_from(__m128i a, uint##bits##_t n)             \
    {                                                                          \
        __asm__ volatile(text " %1, %0" : "+x"(a) : "r"(n));                   \
        return a;                                                              \
    }                                                                          \
    SSE_SLOW(name##_slow)                                                      \
    {                                                                          \
        uint##bits##_t n;                                                      \
        __m128i v;                                                             \
                                                                               \
        SSE_GATE();                                                            \
        if (insn->form == EMU_FORM_RR)                                         \
            n = EMU_R##bits(cpu, insn->rm);                                    \
        else                                                                   \
            n = emu_load##bits(cpu, insn,                                      \
                               emu_ea(cpu, insn, (bits) / 8, EMU_READ));       \
        v = name##_from(sse_get(cpu, insn->reg), n);                           \
        SSE_TRAP();                                                            \
        sse_put(cpu, insn->reg, v);                                            \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    SSE_HANDLER(name##_x)                                                      \
    {                                                                          \
        if (G_UNLIKELY(cpu->sse_blocked | cpu->sse_trap))                      \
            return name##_slow(cpu, insn);                                     \
        sse_put(                                                               \
            cpu, insn->reg,                                                    \
            name##_from(sse_get(cpu, insn->reg), EMU_R##bits(cpu, insn->rm))); \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    SSE_HANDLER(name##_xm)                                                     \
    {                                                                          \
        const void *p = sse_host_##bits(cpu, insn);                            \
        uint##bits##_t n;                                                      \
                                                                               \
        if (G_UNLIKELY(p == NULL || cpu->sse_trap))                            \
            return name##_slow(cpu, insn);                                     \
        memcpy(&n, p, sizeof n);                                               \
        sse_put(cpu, insn->reg, name##_from(sse_get(cpu, insn->reg), n));      \
        EMU_NEXT(cpu, insn);                                                   \
    }

FROM_INT(cvtsi2ss32, "cvtsi2ssl", 32)
FROM_INT(cvtsi2ss64, "cvtsi2ssq", 64)
FROM_INT(cvtsi2sd32, "cvtsi2sdl", 32)
FROM_INT(cvtsi2sd64, "cvtsi2sdq", 64)

/* To a 32- or 64-bit integer; the upper half of the register is cleared. */
#define TO_INT(name, text, bits, kind)                                         \
    static inline uint64_t name##_to(__m128i b)                                \
    {                                                                          \
        uint##bits##_t n;                                                      \
                                                                               \
        __asm__ volatile(text " %1, %0" : "=r"(n) : "x"(b));                   \
        return n;                                                              \
    }                                                                          \
    SSE_SLOW(name##_slow)                                                      \
    {                                                                          \
        uint64_t n;                                                            \
                                                                               \
        SSE_GATE();                                                            \
        n = name##_to(insn->form == EMU_FORM_RR ? sse_get(cpu, insn->rm)       \
                                                : sse_load_##kind(cpu, insn)); \
        SSE_TRAP();                                                            \
        EMU_R64(cpu, insn->reg) = n;                                           \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    SSE_HANDLER(name##_x)                                                      \
    {                                                                          \
        if (G_UNLIKELY(cpu->sse_blocked | cpu->sse_trap))                      \
            return name##_slow(cpu, insn);                                     \
        EMU_R64(cpu, insn->reg) = name##_to(sse_get(cpu, insn->rm));           \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    SSE_HANDLER(name##_xm)                                                     \
    {                                                                          \
        const void *p = sse_host_##kind(cpu, insn);                            \
                                                                               \
        if (G_UNLIKELY(p == NULL || cpu->sse_trap))                            \
            return name##_slow(cpu, insn);                                     \
        EMU_R64(cpu, insn->reg) = name##_to(sse_at_##kind(p));                 \
        EMU_NEXT(cpu, insn);                                                   \
    }

TO_INT(cvtss2si32, "cvtss2sil", 32, 32)
TO_INT(cvtss2si64, "cvtss2siq", 64, 32)
TO_INT(cvttss2si32, "cvttss2sil", 32, 32)
TO_INT(cvttss2si64, "cvttss2siq", 64, 32)
TO_INT(cvtsd2si32, "cvtsd2sil", 32, 64)
TO_INT(cvtsd2si64, "cvtsd2siq", 64, 64)
TO_INT(cvttsd2si32, "cvttsd2sil", 32, 64)
TO_INT(cvttsd2si64, "cvttsd2siq", 64, 64)

/* --- MMX registers --- */

static inline __m128i cvtpi2ps_do(__m128i a, __m128i b, const emu_insn *insn)
{
    b = cvtdq2ps_do(a, b, insn);
    return _mm_castpd_si128(
        _mm_move_sd(_mm_castsi128_pd(a), _mm_castsi128_pd(b)));
}

/* Lanes that are not converted are 0, so that they raise nothing. */
static inline __m128i cvtps2pi_do(__m128i b, const emu_insn *insn)
{
    return cvtps2dq_do(b, _mm_move_epi64(b), insn);
}

static inline __m128i cvttps2pi_do(__m128i b, const emu_insn *insn)
{
    return cvttps2dq_do(b, _mm_move_epi64(b), insn);
}

/* From memory they touch no MMX register, hence no x87 state (as AMD's
 * processors have it for both, Intel's manual for CVTPI2PD). */
#define FROM_MMX(name, do_fn)                                      \
    SSE_HANDLER(name)                                              \
    {                                                              \
        bool mmx = insn->form == EMU_FORM_RR;                      \
        __m128i v;                                                 \
                                                                   \
        SSE_GATE();                                                \
        if (mmx)                                                   \
            MMX_GATE();                                            \
        v = mmx ? mmx_get(cpu, insn->rm) : sse_load_64(cpu, insn); \
        v = do_fn(sse_get(cpu, insn->reg), v, insn);               \
        SSE_TRAP();                                                \
        sse_put(cpu, insn->reg, v);                                \
        if (mmx)                                                   \
            mmx_touch(cpu);                                        \
        EMU_NEXT(cpu, insn);                                       \
    }
#define TO_MMX(name, expr, kind)                                    \
    SSE_HANDLER(name)                                               \
    {                                                               \
        __m128i v;                                                  \
                                                                    \
        SSE_GATE();                                                 \
        MMX_GATE();                                                 \
        v = insn->form == EMU_FORM_RR ? sse_get(cpu, insn->rm)      \
                                      : sse_load_##kind(cpu, insn); \
        v = expr;                                                   \
        SSE_TRAP();                                                 \
        mmx_put(cpu, insn->reg, v);                                 \
        EMU_NEXT(cpu, insn);                                        \
    }

FROM_MMX(cvtpi2ps, cvtpi2ps_do)
FROM_MMX(cvtpi2pd, cvtdq2pd_do)
TO_MMX(cvtps2pi, cvtps2pi_do(v, insn), 64)
TO_MMX(cvttps2pi, cvttps2pi_do(v, insn), 64)
TO_MMX(cvtpd2pi, cvtpd2dq_do(v, v, insn), a)
TO_MMX(cvttpd2pi, cvttpd2dq_do(v, v, insn), a)

#define CASE_INT(op, name)                                               \
    case EMU_OP_##op:                                                    \
        return insn->opsize == 8                                         \
                   ? sse_pick(insn, name##64_x, name##64_xm, NULL, NULL) \
                   : sse_pick(insn, name##32_x, name##32_xm, NULL, NULL)

emu_exec_fn *emu_find_sse_convert(const emu_insn *insn)
{
    switch (insn->op) {
        SSE_CASE_X(CVTDQ2PS, cvtdq2ps);
        SSE_CASE_X(CVTPS2DQ, cvtps2dq);
        SSE_CASE_X(CVTTPS2DQ, cvttps2dq);
        SSE_CASE_X(CVTDQ2PD, cvtdq2pd);
        SSE_CASE_X(CVTPD2DQ, cvtpd2dq);
        SSE_CASE_X(CVTTPD2DQ, cvttpd2dq);
        SSE_CASE_X(CVTPS2PD, cvtps2pd);
        SSE_CASE_X(CVTPD2PS, cvtpd2ps);
        SSE_CASE_X(CVTSS2SD, cvtss2sd);
        SSE_CASE_X(CVTSD2SS, cvtsd2ss);
        CASE_INT(CVTSI2SS, cvtsi2ss);
        CASE_INT(CVTSI2SD, cvtsi2sd);
        CASE_INT(CVTSS2SI, cvtss2si);
        CASE_INT(CVTTSS2SI, cvttss2si);
        CASE_INT(CVTSD2SI, cvtsd2si);
        CASE_INT(CVTTSD2SI, cvttsd2si);
    case EMU_OP_CVTPI2PS:
        return cvtpi2ps;
    case EMU_OP_CVTPI2PD:
        return cvtpi2pd;
    case EMU_OP_CVTPS2PI:
        return cvtps2pi;
    case EMU_OP_CVTTPS2PI:
        return cvttps2pi;
    case EMU_OP_CVTPD2PI:
        return cvtpd2pi;
    case EMU_OP_CVTTPD2PI:
        return cvttpd2pi;
    default:
        return NULL;
    }
}
