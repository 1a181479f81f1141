/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_sse4.c: SSE4.1, and PCMPGTQ of SSE4.2. XMM only.
 *
 * Spec: Intel SDM vol. 2A and 2B by mnemonic.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

SSE_INT_X(pmuldq, "pmuldq")
SSE_INT_X(pcmpeqq, "pcmpeqq")
SSE_INT_X(pcmpgtq, "pcmpgtq")
SSE_INT_X(packusdw, "packusdw")
SSE_INT_X(pminsb, "pminsb")
SSE_INT_X(pminsd, "pminsd")
SSE_INT_X(pminuw, "pminuw")
SSE_INT_X(pminud, "pminud")
SSE_INT_X(pmaxsb, "pmaxsb")
SSE_INT_X(pmaxsd, "pmaxsd")
SSE_INT_X(pmaxuw, "pmaxuw")
SSE_INT_X(pmaxud, "pmaxud")
SSE_INT_X(pmulld, "pmulld")

#define WIDEN(name, kind) \
    SSE_DO1(name, #name)  \
    SSE_X(name)           \
    SSE_XM(name, kind)

WIDEN(phminposuw, a)
WIDEN(pmovsxbw, 64)
WIDEN(pmovsxbd, 32)
WIDEN(pmovsxbq, 16)
WIDEN(pmovsxwd, 64)
WIDEN(pmovsxwq, 32)
WIDEN(pmovsxdq, 64)
WIDEN(pmovzxbw, 64)
WIDEN(pmovzxbd, 32)
WIDEN(pmovzxbq, 16)
WIDEN(pmovzxwd, 64)
WIDEN(pmovzxwq, 32)
WIDEN(pmovzxdq, 64)

#define INT_IMM(name)      \
    SSE_DO_IMM(name, name) \
    SSE_X(name)            \
    SSE_XM(name, a)
#define FLOAT_IMM(name, kind) \
    SSE_DO_IMM(name, name)    \
    SSE_FLOAT_X(name)         \
    SSE_FLOAT_XM(name, kind)

INT_IMM(blendps)
INT_IMM(blendpd)
INT_IMM(pblendw)
INT_IMM(mpsadbw)
FLOAT_IMM(roundps, a)
FLOAT_IMM(roundpd, a)
FLOAT_IMM(roundss, 32)
FLOAT_IMM(roundsd, 64)
FLOAT_IMM(dpps, a)
FLOAT_IMM(dppd, a)

/* Blends by the sign bits of XMM0. */
#define BLENDV(name)                                                          \
    static inline __m128i name##_by(const emu_cpu *cpu, __m128i a, __m128i b) \
    {                                                                         \
        register __m128i mask __asm__("xmm0") = sse_get(cpu, 0);              \
                                                                              \
        __asm__(#name " %%xmm0, %1, %0" : "+x"(a) : "x"(b), "x"(mask));       \
        return a;                                                             \
    }                                                                         \
    SSE_HANDLER(name##_x)                                                     \
    {                                                                         \
        SSE_GATE();                                                           \
        sse_put(                                                              \
            cpu, insn->reg,                                                   \
            name##_by(cpu, sse_get(cpu, insn->reg), sse_get(cpu, insn->rm))); \
        EMU_NEXT(cpu, insn);                                                  \
    }                                                                         \
    SSE_HANDLER(name##_xm)                                                    \
    {                                                                         \
        __m128i v;                                                            \
                                                                              \
        SSE_GATE();                                                           \
        v = sse_load_a(cpu, insn);                                            \
        sse_put(cpu, insn->reg, name##_by(cpu, sse_get(cpu, insn->reg), v));  \
        EMU_NEXT(cpu, insn);                                                  \
    }

BLENDV(pblendvb)
BLENDV(blendvps)
BLENDV(blendvpd)

/* PTEST: ZF, CF; the others are cleared. */
static inline uint16_t ptest_cc(__m128i a, __m128i b)
{
    bool zf, cf;

    __asm__("ptest %3, %2" : "=@ccz"(zf), "=@ccc"(cf) : "x"(a), "x"(b));
    return (uint16_t)((zf ? EMU_CC_ZF : 0) | (cf ? EMU_CC_CF : 0));
}

SSE_HANDLER(ptest_x)
{
    SSE_GATE();
    cpu->cc = ptest_cc(sse_get(cpu, insn->reg), sse_get(cpu, insn->rm));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(ptest_xm)
{
    __m128i v;

    SSE_GATE();
    v = sse_load_a(cpu, insn);
    cpu->cc = ptest_cc(sse_get(cpu, insn->reg), v);
    EMU_NEXT(cpu, insn);
}

/* --- inserts and extracts --- */

SSE_DO_IMM(insertps, insertps)
SSE_X(insertps)
/* From memory the source element is the one there is: imm[7:6] do not count. */
SSE_HANDLER(insertps_xm)
{
    __m128i v;

    SSE_GATE();
    v = sse_load_32(cpu, insn);
    sse_put(cpu, insn->reg,
            host_insertps(sse_get(cpu, insn->reg), v, insn->imm & 0x3f));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pinsrb_x)
{
    SSE_GATE();
    /* The low byte of any general register, as 32-bit ones are numbered. */
    cpu->xmm[insn->reg].u8[insn->imm & 15] = (uint8_t)EMU_R32(cpu, insn->rm);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pinsrb_xm)
{
    SSE_GATE();
    cpu->xmm[insn->reg].u8[insn->imm & 15] =
        emu_load8(cpu, insn, emu_ea(cpu, insn, 1, EMU_READ));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pextrb_x)
{
    SSE_GATE();
    EMU_R64(cpu, insn->reg) = cpu->xmm[insn->rm].u8[insn->imm & 15];
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pextrb_mr)
{
    SSE_GATE();
    emu_store8(cpu, insn, emu_ea(cpu, insn, 1, EMU_WRITE),
               cpu->xmm[insn->reg].u8[insn->imm & 15]);
    EMU_NEXT(cpu, insn);
}

#define INSERT_EXTRACT(bits, mask)                                           \
    SSE_HANDLER(pinsr##bits##_x)                                             \
    {                                                                        \
        SSE_GATE();                                                          \
        cpu->xmm[insn->reg].u##bits[insn->imm & (mask)] =                    \
            EMU_R##bits(cpu, insn->rm);                                      \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    SSE_HANDLER(pinsr##bits##_xm)                                            \
    {                                                                        \
        SSE_GATE();                                                          \
        cpu->xmm[insn->reg].u##bits[insn->imm & (mask)] = emu_load##bits(    \
            cpu, insn, emu_ea(cpu, insn, (bits) / 8, EMU_READ));             \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    SSE_HANDLER(pextr##bits##_x)                                             \
    {                                                                        \
        SSE_GATE();                                                          \
        EMU_R64(cpu, insn->reg) =                                            \
            cpu->xmm[insn->rm].u##bits[insn->imm & (mask)];                  \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    SSE_HANDLER(pextr##bits##_mr)                                            \
    {                                                                        \
        SSE_GATE();                                                          \
        emu_store##bits(cpu, insn, emu_ea(cpu, insn, (bits) / 8, EMU_WRITE), \
                        cpu->xmm[insn->reg].u##bits[insn->imm & (mask)]);    \
        EMU_NEXT(cpu, insn);                                                 \
    }

INSERT_EXTRACT(32, 3)
INSERT_EXTRACT(64, 1)

emu_exec_fn *emu_find_sse_sse4(const emu_insn *insn)
{
    bool wide = insn->opsize == 8;
    bool reg = insn->form == EMU_FORM_RR;

    if (insn->op == EMU_OP_PCMPGTQ) {
        if (!__builtin_cpu_supports("sse4.2"))
            return NULL;
        return reg ? pcmpgtq_x : pcmpgtq_xm;
    }
    if (!__builtin_cpu_supports("sse4.1"))
        return NULL;
    switch (insn->op) {
        SSE_CASE_X(PMULDQ, pmuldq);
        SSE_CASE_X(PCMPEQQ, pcmpeqq);
        SSE_CASE_X(PACKUSDW, packusdw);
        SSE_CASE_X(PMINSB, pminsb);
        SSE_CASE_X(PMINSD, pminsd);
        SSE_CASE_X(PMINUW, pminuw);
        SSE_CASE_X(PMINUD, pminud);
        SSE_CASE_X(PMAXSB, pmaxsb);
        SSE_CASE_X(PMAXSD, pmaxsd);
        SSE_CASE_X(PMAXUW, pmaxuw);
        SSE_CASE_X(PMAXUD, pmaxud);
        SSE_CASE_X(PMULLD, pmulld);
        SSE_CASE_X(PHMINPOSUW, phminposuw);
        SSE_CASE_X(PMOVSXBW, pmovsxbw);
        SSE_CASE_X(PMOVSXBD, pmovsxbd);
        SSE_CASE_X(PMOVSXBQ, pmovsxbq);
        SSE_CASE_X(PMOVSXWD, pmovsxwd);
        SSE_CASE_X(PMOVSXWQ, pmovsxwq);
        SSE_CASE_X(PMOVSXDQ, pmovsxdq);
        SSE_CASE_X(PMOVZXBW, pmovzxbw);
        SSE_CASE_X(PMOVZXBD, pmovzxbd);
        SSE_CASE_X(PMOVZXBQ, pmovzxbq);
        SSE_CASE_X(PMOVZXWD, pmovzxwd);
        SSE_CASE_X(PMOVZXWQ, pmovzxwq);
        SSE_CASE_X(PMOVZXDQ, pmovzxdq);
        SSE_CASE_X(BLENDPS, blendps);
        SSE_CASE_X(BLENDPD, blendpd);
        SSE_CASE_X(PBLENDW, pblendw);
        SSE_CASE_X(MPSADBW, mpsadbw);
        SSE_CASE_X(ROUNDPS, roundps);
        SSE_CASE_X(ROUNDPD, roundpd);
        SSE_CASE_X(ROUNDSS, roundss);
        SSE_CASE_X(ROUNDSD, roundsd);
        SSE_CASE_X(DPPS, dpps);
        SSE_CASE_X(DPPD, dppd);
        SSE_CASE_X(PBLENDVB, pblendvb);
        SSE_CASE_X(BLENDVPS, blendvps);
        SSE_CASE_X(BLENDVPD, blendvpd);
        SSE_CASE_X(PTEST, ptest);
        SSE_CASE_X(INSERTPS, insertps);
        SSE_CASE_X(PINSRB, pinsrb);
    case EMU_OP_PINSRD:
        if (wide)
            return reg ? pinsr64_x : pinsr64_xm;
        return reg ? pinsr32_x : pinsr32_xm;
    case EMU_OP_PEXTRD:
        if (wide)
            return reg ? pextr64_x : pextr64_mr;
        return reg ? pextr32_x : pextr32_mr;
    case EMU_OP_EXTRACTPS:
        return reg ? pextr32_x : pextr32_mr;
    case EMU_OP_PEXTRB:
        return reg ? pextrb_x : pextrb_mr;
    default:
        return NULL;
    }
}
