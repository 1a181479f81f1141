/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_sse.c: what the MMX and SSE executors share out of line, and
 * which file knows an instruction.
 *
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_sse.h"

void sse_misaligned(emu_cpu *cpu, const emu_insn *insn)
{
    emu_raise_code(cpu, insn, EMU_GP, 0);
}

void sse_load_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la, void *to)
{
    emu_load_bytes(cpu, insn, la, to, 16);
}

void sse_store_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la, __m128i v)
{
    emu_store_bytes(cpu, insn, la, &v, 16);
}

uint32_t emu_sse_optional(void)
{
    uint32_t has = 0;

    if (__builtin_cpu_supports("sse3"))
        has |= EMU_SSE_HAS_SSE3;
    if (__builtin_cpu_supports("ssse3"))
        has |= EMU_SSE_HAS_SSSE3;
    if (__builtin_cpu_supports("sse4.1"))
        has |= EMU_SSE_HAS_SSE41;
    if (__builtin_cpu_supports("sse4.2"))
        has |= EMU_SSE_HAS_SSE42;
    return has | emu_sse_crypto_optional();
}

emu_exec_fn *emu_exec_find_sse(const emu_insn *insn)
{
    static emu_exec_fn *(*const files[])(const emu_insn *) = {
        emu_find_sse_move,     emu_find_sse_int,     emu_find_sse_shuffle,
        emu_find_sse_float,    emu_find_sse_convert, emu_find_sse_ssse3,
        emu_find_sse_sse4,     emu_find_sse_string,  emu_find_sse_crypto,
        emu_exec_find_fpstate,
    };
    emu_exec_fn *fn = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(files) && fn == NULL; i++)
        fn = files[i](insn);
    return fn;
}
