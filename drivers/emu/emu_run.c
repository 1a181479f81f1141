/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_run.c: the loop around the handlers.
 *
 * The handlers run on by themselves from block to block (guest_x86_exec_flow.c)
 * until one of them cannot: a block is missing, exit_request is set, the mode
 * changed. Then the chain ends here with regs[EMU_REG_RIP] at the next
 * instruction. Faults come here too, by siglongjmp.
 *
 * Threads: the vCPU's own.
 */
#include "drivers/emu/emu_run.h"

#include "drivers/emu/block_cache.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_exec_flow.h"

enum { STALE_RUNS_MAX = 16 };

const emu_insn *emu_leave(emu_cpu *cpu, uint64_t rip)
{
    cpu->regs[EMU_REG_RIP] = rip;
    cpu->block = NULL;
    return NULL;
}

const emu_insn *emu_jump(emu_cpu *cpu, uint64_t rip)
{
    const emu_link *jump = emu_jump_at(cpu, rip);

    if (G_UNLIKELY(!emu_link_holds(cpu, jump, rip)) || emu_exit_wanted(cpu))
        return emu_leave(cpu, rip);
    cpu->regs[EMU_REG_RIP] = rip;
    return emu_enter(cpu, jump->block);
}

/* A block counts as a whole when it is entered; take back what `insn` and those
 * behind it did not do. */
static void uncount(emu_cpu *cpu, const emu_insn *insn)
{
    const emu_block *block = cpu->block;

    if (block == NULL || insn < block->insn ||
        insn >= block->insn + block->count)
        return;
    emu_count(cpu, -(block->count - (uint64_t)(insn - block->insn)));
}

const emu_insn *emu_exec_stale(emu_cpu *cpu, const emu_insn *insn)
{
    uncount(cpu, insn);
    /* Some guarded link leads here over and over: unlink them all, once. */
    if (cpu->block != NULL && insn == cpu->block->insn &&
        ++cpu->block->stale_runs % STALE_RUNS_MAX == 0)
        emu_blocks_unlink(cpu->blocks);
    return emu_leave(cpu, emu_insn_rip(cpu, insn));
}

const emu_insn *emu_leave_before(emu_cpu *cpu, const emu_insn *insn)
{
    uncount(cpu, insn);
    return emu_leave(cpu, emu_insn_rip(cpu, insn));
}

const emu_insn *emu_leave_behind(emu_cpu *cpu, const emu_insn *insn)
{
    uncount(cpu, insn + 1);
    return emu_leave(cpu, emu_next_rip(cpu, insn));
}

static void run_chain(emu_cpu *cpu, emu_block *block)
{
    const emu_insn *insn = block->insn;

    cpu->block = block;
    emu_count(cpu, block->count);
    do
        insn = insn->exec(cpu, insn);
    while (insn != NULL);
}

/* The branch that came here goes straight to `block` from now on. */
static void fill_link(emu_cpu *cpu, emu_block *block)
{
    const emu_link *jump = emu_jump_at(cpu, cpu->regs[EMU_REG_RIP]);
    emu_link *link = cpu->pending_link;

    if (link == NULL)
        return;
    cpu->pending_link = NULL;
    if (link->key != EMU_LINK_NEAR) {
        /* The jump cache knows whether the page is global. */
        if (emu_link_holds(cpu, jump, cpu->regs[EMU_REG_RIP]))
            *link = *jump;
    } else if (block->gpa2 == EMU_BLOCK_NONE) {
        link->block = block;
    }
}

static void clear_request(emu_cpu *cpu, uint32_t bits)
{
    atomic_fetch_and(&cpu->exit_request, ~bits);
}

/* One instruction, and what has to happen around it. True: the debugger. */
static bool run_single(emu_cpu *cpu)
{
    bool step = cpu->mode & EMU_MODE_STEP;
    bool tf = cpu->eflags & EMU_TF;
    emu_block *block;

    cpu->pending_link = NULL;
    if (step && emu_step_before(cpu))
        return true;
    block = emu_blocks_get(cpu, cpu->regs[EMU_REG_RIP], true);
    /* The shadow of the instruction before ends with this one. */
    cpu->inhibit = 0;
    atomic_fetch_or(&cpu->exit_request, EMU_EXIT_MODE);
    run_chain(cpu, block);
    clear_request(cpu, EMU_EXIT_MODE);
    return step && emu_step_after(cpu, tf);
}

static void unwound(emu_cpu *cpu)
{
    uncount(cpu, cpu->current);
    cpu->block = NULL;
    cpu->inhibit = 0;
}

enum { GO_ON = -1, AGAIN = -2 };

/* What waits in exit_request. GO_ON, or a vsr_run_reason. */
static int attend(emu_cpu *cpu)
{
    uint32_t request = atomic_load(&cpu->exit_request);

    cpu->pending_link = NULL;
    clear_request(cpu, request & (EMU_EXIT_MODE | EMU_EXIT_FLUSH));
    if (request & EMU_EXIT_FLUSH)
        emu_tlb_drain(cpu);
    if (request & EMU_EXIT_KICK) {
        clear_request(cpu, EMU_EXIT_KICK);
        return VSR_RUN_KICKED;
    }
    if (request & (EMU_EXIT_INIT | EMU_EXIT_SIPI))
        emu_take_init(cpu);
    emu_deliver_pending(cpu);
    return GO_ON;
}

/* Between two chains: GO_ON, AGAIN or a vsr_run_reason. */
static inline int between(emu_cpu *cpu)
{
    if (emu_exit_wanted(cpu)) {
        int reason = attend(cpu);

        if (reason != GO_ON)
            return reason;
    }
    if (G_UNLIKELY(cpu->mp_state != VSR_MP_RUNNABLE)) {
        cpu->pending_link = NULL;
        emu_halt_wait(cpu);
        return AGAIN;
    }
    if (G_UNLIKELY(cpu->mode & EMU_MODE_STEP))
        return run_single(cpu) ? VSR_RUN_DEBUG : AGAIN;
    if (G_UNLIKELY(cpu->inhibit != 0))
        return run_single(cpu) ? VSR_RUN_DEBUG : AGAIN;
    return GO_ON;
}

int emu_run(emu_cpu *cpu)
{
    switch (sigsetjmp(cpu->unwind, 0)) {
    case 0:
        break;
    case EMU_UNWIND_SHUTDOWN:
        unwound(cpu);
        return VSR_RUN_SHUTDOWN;
    case EMU_UNWIND_FAILED:
        unwound(cpu);
        return VSR_RUN_FAILED;
    default:
        unwound(cpu);
        break;
    }
    for (;;) {
        emu_block *block;
        int reason;

        cpu->current = NULL;
        reason = between(cpu);
        if (reason == AGAIN)
            continue;
        if (reason != GO_ON)
            return reason;
        block = emu_blocks_get(cpu, cpu->regs[EMU_REG_RIP], false);
        fill_link(cpu, block);
        run_chain(cpu, block);
    }
}
