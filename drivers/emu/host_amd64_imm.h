/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_amd64_imm.h: the host's instructions with an immediate that only the
 * guest knows.
 *
 * For each of them there are 256 stubs of 8 bytes, one an immediate, that do
 * "op $imm, %xmm1, %xmm0; ret". The stub of
 * an instruction set the host lacks exists, and must not be called.
 */
#ifndef VSR_DRIVERS_EMU_HOST_AMD64_IMM_H
#define VSR_DRIVERS_EMU_HOST_AMD64_IMM_H

#include <emmintrin.h>
#include <stdint.h>

/* A stub changes XMM0 alone, so this costs less than a call that C knows of.
 * The red zone below RSP is stepped over. */
static inline __m128i host_imm_call(const uint8_t *stub, __m128i a, __m128i b)
{
    register __m128i xmm0 __asm__("xmm0") = a;
    register __m128i xmm1 __asm__("xmm1") = b;

    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "call *%2\n\t"
                     "lea 128(%%rsp), %%rsp"
                     : "+x"(xmm0)
                     : "x"(xmm1), "r"(stub));
    return xmm0;
}

#define HOST_IMM(op)                                                    \
    extern const uint8_t emu_host_##op[]                                \
        __attribute__((visibility("hidden")));                          \
    static inline __m128i host_##op(__m128i a, __m128i b, unsigned imm) \
    {                                                                   \
        return host_imm_call(emu_host_##op + (uint8_t)imm * 8, a, b);   \
    }

HOST_IMM(pshufd)
HOST_IMM(pshuflw)
HOST_IMM(pshufhw)
HOST_IMM(shufps)
HOST_IMM(shufpd)
HOST_IMM(cmpps)
HOST_IMM(cmppd)
HOST_IMM(cmpss)
HOST_IMM(cmpsd)
HOST_IMM(palignr)
HOST_IMM(roundps)
HOST_IMM(roundpd)
HOST_IMM(roundss)
HOST_IMM(roundsd)
HOST_IMM(blendps)
HOST_IMM(blendpd)
HOST_IMM(pblendw)
HOST_IMM(insertps)
HOST_IMM(dpps)
HOST_IMM(dppd)
HOST_IMM(mpsadbw)
HOST_IMM(aeskeygenassist)
HOST_IMM(pclmulqdq)
HOST_IMM(sha1rnds4)

/* These have more operands and results than C can name: for inline assembly
 * that calls them. Inputs XMM0, XMM1, EAX, EDX; outputs XMM0 or ECX, flags. */
#define HOST_IMM_RAW(op) \
    extern const uint8_t emu_host_##op[] __attribute__((visibility("hidden")))

HOST_IMM_RAW(pcmpestrm);
HOST_IMM_RAW(pcmpestri);
HOST_IMM_RAW(pcmpistrm);
HOST_IMM_RAW(pcmpistri);

#undef HOST_IMM
#undef HOST_IMM_RAW

#endif
