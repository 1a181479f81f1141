/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_float.c: SSE to SSE3 floating-point arithmetic and
 * comparison.
 *
 * Spec: Intel SDM vol. 2A and 2B by mnemonic; vol. 1, 11.5.2 "SIMD
 *       Floating-Point Exception Conditions".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

#define FLOAT2(name, text, kind) \
    SSE_DO2(name, text)          \
    SSE_FLOAT_X(name)            \
    SSE_FLOAT_XM(name, kind)
/* Packed: the old destination does not matter; scalar: its upper part stays,
 * as in FLOAT2. */
#define FLOAT1(name, text) \
    SSE_DO1(name, text)    \
    SSE_FLOAT_X(name)      \
    SSE_FLOAT_XM(name, a)
#define FLOAT_IMM(name, kind) \
    SSE_DO_IMM(name, name)    \
    SSE_FLOAT_X(name)         \
    SSE_FLOAT_XM(name, kind)
#define FLOAT_ALL(name)              \
    FLOAT2(name##ps, #name "ps", a)  \
    FLOAT2(name##pd, #name "pd", a)  \
    FLOAT2(name##ss, #name "ss", 32) \
    FLOAT2(name##sd, #name "sd", 64)

FLOAT_ALL(add)
FLOAT_ALL(sub)
FLOAT_ALL(mul)
FLOAT_ALL(div)
FLOAT_ALL(min)
FLOAT_ALL(max)
FLOAT1(sqrtps, "sqrtps")
FLOAT1(sqrtpd, "sqrtpd")
FLOAT2(sqrtss, "sqrtss", 32)
FLOAT2(sqrtsd, "sqrtsd", 64)
FLOAT_IMM(cmpps, a)
FLOAT_IMM(cmppd, a)
FLOAT_IMM(cmpss, 32)
FLOAT_IMM(cmpsd, 64)
FLOAT2(haddps, "haddps", a)
FLOAT2(haddpd, "haddpd", a)
FLOAT2(hsubps, "hsubps", a)
FLOAT2(hsubpd, "hsubpd", a)
FLOAT2(addsubps, "addsubps", a)
FLOAT2(addsubpd, "addsubpd", a)

/* Approximations raise nothing. */
SSE_DO1(rcpps, "rcpps")
SSE_X(rcpps)
SSE_XM(rcpps, a)
SSE_DO2(rcpss, "rcpss")
SSE_X(rcpss)
SSE_XM(rcpss, 32)
SSE_DO1(rsqrtps, "rsqrtps")
SSE_X(rsqrtps)
SSE_XM(rsqrtps, a)
SSE_DO2(rsqrtss, "rsqrtss")
SSE_X(rsqrtss)
SSE_XM(rsqrtss, 32)

/* COMISx sets ZF, PF, CF and clears OF, SF, AF: emu_cpu.cc as lahf has it. */
#define COMPARE(name, text, kind)                                             \
    static inline uint16_t name##_cc(__m128i a, __m128i b)                    \
    {                                                                         \
        uint16_t cc;                                                          \
                                                                              \
        __asm__ volatile(text " %2, %1\n\tlahf\n\tseto %%al"                  \
                         : "=a"(cc)                                           \
                         : "x"(a), "x"(b)                                     \
                         : "cc");                                             \
        return cc & (EMU_CC_OF | EMU_CC_LOW << 8);                            \
    }                                                                         \
    SSE_SLOW(name##_x_slow)                                                   \
    {                                                                         \
        uint16_t cc;                                                          \
                                                                              \
        SSE_GATE();                                                           \
        cc = name##_cc(sse_get(cpu, insn->reg), sse_get(cpu, insn->rm));      \
        SSE_TRAP();                                                           \
        cpu->cc = cc;                                                         \
        EMU_NEXT(cpu, insn);                                                  \
    }                                                                         \
    SSE_HANDLER(name##_x)                                                     \
    {                                                                         \
        if (G_UNLIKELY(cpu->sse_blocked | cpu->sse_trap))                     \
            return name##_x_slow(cpu, insn);                                  \
        cpu->cc = name##_cc(sse_get(cpu, insn->reg), sse_get(cpu, insn->rm)); \
        EMU_NEXT(cpu, insn);                                                  \
    }                                                                         \
    SSE_SLOW(name##_xm_slow)                                                  \
    {                                                                         \
        uint16_t cc;                                                          \
                                                                              \
        SSE_GATE();                                                           \
        cc = name##_cc(sse_get(cpu, insn->reg), sse_load_##kind(cpu, insn));  \
        SSE_TRAP();                                                           \
        cpu->cc = cc;                                                         \
        EMU_NEXT(cpu, insn);                                                  \
    }                                                                         \
    SSE_HANDLER(name##_xm)                                                    \
    {                                                                         \
        const void *p = sse_host_##kind(cpu, insn);                           \
                                                                              \
        if (G_UNLIKELY(p == NULL || cpu->sse_trap))                           \
            return name##_xm_slow(cpu, insn);                                 \
        cpu->cc = name##_cc(sse_get(cpu, insn->reg), sse_at_##kind(p));       \
        EMU_NEXT(cpu, insn);                                                  \
    }

COMPARE(comiss, "comiss", 32)
COMPARE(comisd, "comisd", 64)
COMPARE(ucomiss, "ucomiss", 32)
COMPARE(ucomisd, "ucomisd", 64)

#define CASE_ALL(OP, name)        \
    SSE_CASE_X(OP##PS, name##ps); \
    SSE_CASE_X(OP##PD, name##pd); \
    SSE_CASE_X(OP##SS, name##ss); \
    SSE_CASE_X(OP##SD, name##sd)

emu_exec_fn *emu_find_sse_float(const emu_insn *insn)
{
    switch (insn->op) {
        CASE_ALL(ADD, add);
        CASE_ALL(SUB, sub);
        CASE_ALL(MUL, mul);
        CASE_ALL(DIV, div);
        CASE_ALL(MIN, min);
        CASE_ALL(MAX, max);
        CASE_ALL(SQRT, sqrt);
        SSE_CASE_X(CMPPS, cmpps);
        SSE_CASE_X(CMPPD, cmppd);
        SSE_CASE_X(CMPSS, cmpss);
        SSE_CASE_X(CMPSD_XMM, cmpsd);
        SSE_CASE_X(RCPPS, rcpps);
        SSE_CASE_X(RCPSS, rcpss);
        SSE_CASE_X(RSQRTPS, rsqrtps);
        SSE_CASE_X(RSQRTSS, rsqrtss);
        SSE_CASE_X(COMISS, comiss);
        SSE_CASE_X(COMISD, comisd);
        SSE_CASE_X(UCOMISS, ucomiss);
        SSE_CASE_X(UCOMISD, ucomisd);
    default:
        break;
    }
    if (!__builtin_cpu_supports("sse3"))
        return NULL;
    switch (insn->op) {
        SSE_CASE_X(HADDPS, haddps);
        SSE_CASE_X(HADDPD, haddpd);
        SSE_CASE_X(HSUBPS, hsubps);
        SSE_CASE_X(HSUBPD, hsubpd);
        SSE_CASE_X(ADDSUBPS, addsubps);
        SSE_CASE_X(ADDSUBPD, addsubpd);
    default:
        return NULL;
    }
}
