/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_flow.h: going from block to block.
 *
 * Threads: the vCPU's own.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_EXEC_FLOW_H
#define VSR_DRIVERS_EMU_GUEST_X86_EXEC_FLOW_H

#include "drivers/emu/block_cache.h"
#include "drivers/emu/guest_x86_exec.h"

/*
 * The handler of a block's last instruction that goes by the block's links:
 * near ones where *near, else guarded ones; clears *near where it has the
 * guarded kind only. NULL: emu_exec_find() is all there is. For 64-bit code and
 * flat 32-bit code.
 */
emu_exec_fn *emu_exec_find_linked(const emu_insn *insn, uint32_t mode,
                                  bool *near);

/*
 * A handler for `insn` and the near-linked JCC behind it at once, or NULL where
 * the pair is none that there is a handler for (guest_x86_exec_fused.c). The
 * JCC keeps its own handler too: the fused one goes there when it has to take
 * the slow way to memory.
 */
emu_exec_fn *emu_exec_find_fused(const emu_insn *insn);

emu_exec_fn emu_exec_invalid;  /* #UD */
emu_exec_fn emu_exec_too_long; /* #GP(0): more than 15 bytes */
emu_exec_fn emu_exec_stale;    /* in a dead block: look up again */

static inline bool emu_exit_wanted(emu_cpu *cpu)
{
    return G_UNLIKELY(
        atomic_load_explicit(&cpu->exit_request, memory_order_relaxed) != 0);
}

/* Run `block`; regs[EMU_REG_RIP] is its RIP already. */
static inline __attribute__((always_inline)) const emu_insn *emu_enter(
    emu_cpu *cpu, emu_block *block)
{
    cpu->block = block;
    emu_count(cpu, block->insn[0].pad);
#ifdef EMU_THREADED
    return block->insn[0].exec(cpu, &block->insn[0]);
#else
    return &block->insn[0];
#endif
}

/* --- near links --- */

static inline emu_link *emu_links_behind(const emu_insn *insn)
{
    /* Blocks are the vCPU's own to write, handlers just do not write them. */
    return (emu_link *)(uintptr_t)(insn + 1);
}

const emu_insn *emu_near_miss(emu_cpu *cpu, emu_link *link);

static inline __attribute__((always_inline)) const emu_insn *emu_go_near(
    emu_cpu *cpu, emu_link *link)
{
    emu_block *block = link->block;

    if (G_UNLIKELY(block == NULL) || emu_exit_wanted(cpu))
        return emu_near_miss(cpu, link);
    cpu->regs[EMU_REG_RIP] += link->rip;
    return emu_enter(cpu, block);
}

#endif
