/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_crypto.c: AES-NI, PCLMULQDQ and SHA, where the host has
 * them.
 *
 * Spec: Intel SDM vol. 2A, "AESDEC" to "AESKEYGENASSIST"; vol. 2B, "PCLMULQDQ",
 *       "SHA1MSG1" to "SHA256RNDS2".
 * Threads: the vCPU's own.
 */
#include <cpuid.h>

#include "drivers/emu/guest_x86_exec_sse.h"

SSE_DO1(aesimc, "aesimc")
SSE_X(aesimc)
SSE_XM(aesimc, a)
SSE_INT_X(aesenc, "aesenc")
SSE_INT_X(aesenclast, "aesenclast")
SSE_INT_X(aesdec, "aesdec")
SSE_INT_X(aesdeclast, "aesdeclast")
SSE_DO_IMM(aeskeygenassist, aeskeygenassist)
SSE_X(aeskeygenassist)
SSE_XM(aeskeygenassist, a)
SSE_DO_IMM(pclmulqdq, pclmulqdq)
SSE_X(pclmulqdq)
SSE_XM(pclmulqdq, a)
/* SHA operands in memory may be at any address, as on AMD's processors. */
#define SHA(name)        \
    SSE_DO2(name, #name) \
    SSE_X(name)          \
    SSE_XM(name, u)

SSE_DO_IMM(sha1rnds4, sha1rnds4)
SSE_X(sha1rnds4)
SSE_XM(sha1rnds4, u)
SHA(sha1nexte)
SHA(sha1msg1)
SHA(sha1msg2)
SHA(sha256msg1)
SHA(sha256msg2)

/* SHA256RNDS2 takes its round constants from XMM0. */
static inline __m128i rounds(const emu_cpu *cpu, __m128i a, __m128i b)
{
    register __m128i wk __asm__("xmm0") = sse_get(cpu, 0);

    __asm__("sha256rnds2 %%xmm0, %1, %0" : "+x"(a) : "x"(b), "x"(wk));
    return a;
}

SSE_HANDLER(sha256rnds2_x)
{
    SSE_GATE();
    sse_put(cpu, insn->reg,
            rounds(cpu, sse_get(cpu, insn->reg), sse_get(cpu, insn->rm)));
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(sha256rnds2_xm)
{
    __m128i v;

    SSE_GATE();
    v = sse_load_u(cpu, insn);
    sse_put(cpu, insn->reg, rounds(cpu, sse_get(cpu, insn->reg), v));
    EMU_NEXT(cpu, insn);
}

/* gcc 10's __builtin_cpu_supports() knows no "sha". */
static bool host_has_sha(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

uint32_t emu_sse_crypto_optional(void)
{
    uint32_t has = 0;

    if (__builtin_cpu_supports("aes"))
        has |= EMU_SSE_HAS_AES;
    if (__builtin_cpu_supports("pclmul"))
        has |= EMU_SSE_HAS_PCLMUL;
    if (host_has_sha())
        has |= EMU_SSE_HAS_SHA;
    return has;
}

static emu_exec_fn *find_aes(const emu_insn *insn)
{
    switch (insn->op) {
        SSE_CASE_X(AESIMC, aesimc);
        SSE_CASE_X(AESENC, aesenc);
        SSE_CASE_X(AESENCLAST, aesenclast);
        SSE_CASE_X(AESDEC, aesdec);
        SSE_CASE_X(AESDECLAST, aesdeclast);
        SSE_CASE_X(AESKEYGENASSIST, aeskeygenassist);
    default:
        return NULL;
    }
}

static emu_exec_fn *find_sha(const emu_insn *insn)
{
    switch (insn->op) {
        SSE_CASE_X(SHA1RNDS4, sha1rnds4);
        SSE_CASE_X(SHA1NEXTE, sha1nexte);
        SSE_CASE_X(SHA1MSG1, sha1msg1);
        SSE_CASE_X(SHA1MSG2, sha1msg2);
        SSE_CASE_X(SHA256RNDS2, sha256rnds2);
        SSE_CASE_X(SHA256MSG1, sha256msg1);
        SSE_CASE_X(SHA256MSG2, sha256msg2);
    default:
        return NULL;
    }
}

emu_exec_fn *emu_find_sse_crypto(const emu_insn *insn)
{
    if (insn->op < EMU_OP_AESIMC || insn->op > EMU_OP_SHA256MSG2)
        return NULL;
    if (insn->op == EMU_OP_PCLMULQDQ) {
        if (!__builtin_cpu_supports("pclmul"))
            return NULL;
        return insn->form == EMU_FORM_RR ? pclmulqdq_x : pclmulqdq_xm;
    }
    if (insn->op < EMU_OP_PCLMULQDQ)
        return __builtin_cpu_supports("aes") ? find_aes(insn) : NULL;
    return host_has_sha() ? find_sha(insn) : NULL;
}
