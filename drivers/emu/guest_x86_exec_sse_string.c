/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse_string.c: SSE4.2 string comparison, PCMPxSTRx.
 *
 * EMU_I_REXW: the lengths are RAX and RDX, else EAX and EDX.
 *
 * Spec: Intel SDM vol. 2B, "PCMPESTRI" to "PCMPISTRM".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

/* The length counts up to 16 and as its absolute value, so 64-bit ones can be
 * brought to 32 bits. */
static int length(uint64_t reg, bool wide)
{
    int64_t n = wide ? (int64_t)reg : (int32_t)reg;

    return (int)CLAMP(n, -32, 32);
}

/* Runs the stub for this immediate on a and b; flags in *cc. A mask comes back
 * as the result, an index in *ecx. */
static __m128i compare(const uint8_t *stubs, const emu_cpu *cpu,
                       const emu_insn *insn, __m128i a, __m128i b,
                       uint32_t *ecx, uint16_t *cc)
{
    register __m128i xmm0 __asm__("xmm0") = a;
    register __m128i xmm1 __asm__("xmm1") = b;
    bool wide = insn->flags & EMU_I_REXW;
    int eax = length(cpu->regs[VSR_X86_RAX], wide);
    int edx = length(cpu->regs[VSR_X86_RDX], wide);
    uint32_t index = 0;
    bool cf, zf, sf, of;

    __asm__("lea -128(%%rsp), %%rsp\n\t"
            "call *%[stub]\n\t"
            "lea 128(%%rsp), %%rsp"
            : "+x"(xmm0), "+c"(index), "=@ccc"(cf), "=@ccz"(zf), "=@ccs"(sf),
              "=@cco"(of)
            : "x"(xmm1), "a"(eax),
              "d"(edx), [stub] "r"(stubs + (uint8_t)insn->imm * 8));
    *ecx = index;
    *cc = (uint16_t)((cf ? EMU_CC_CF : 0) | (zf ? EMU_CC_ZF : 0) |
                     (sf ? EMU_CC_SF : 0) | (of ? EMU_CC_OF : 0));
    return xmm0;
}

static void run(emu_cpu *cpu, const emu_insn *insn, const uint8_t *stubs,
                bool to_mask)
{
    uint32_t ecx;
    uint16_t cc;
    __m128i b;

    SSE_GATE();
    b = insn->form == EMU_FORM_RR ? sse_get(cpu, insn->rm)
                                  : sse_load_u(cpu, insn);
    b = compare(stubs, cpu, insn, sse_get(cpu, insn->reg), b, &ecx, &cc);
    if (to_mask)
        sse_put(cpu, 0, b);
    else
        cpu->regs[VSR_X86_RCX] = ecx;
    cpu->cc = cc;
}

SSE_HANDLER(pcmpestrm)
{
    run(cpu, insn, emu_host_pcmpestrm, true);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pcmpestri)
{
    run(cpu, insn, emu_host_pcmpestri, false);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pcmpistrm)
{
    run(cpu, insn, emu_host_pcmpistrm, true);
    EMU_NEXT(cpu, insn);
}

SSE_HANDLER(pcmpistri)
{
    run(cpu, insn, emu_host_pcmpistri, false);
    EMU_NEXT(cpu, insn);
}

emu_exec_fn *emu_find_sse_string(const emu_insn *insn)
{
    if (!__builtin_cpu_supports("sse4.2"))
        return NULL;
    switch (insn->op) {
    case EMU_OP_PCMPESTRM:
        return pcmpestrm;
    case EMU_OP_PCMPESTRI:
        return pcmpestri;
    case EMU_OP_PCMPISTRM:
        return pcmpistrm;
    case EMU_OP_PCMPISTRI:
        return pcmpistri;
    default:
        return NULL;
    }
}
