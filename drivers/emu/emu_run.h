/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_run.h: the interpreter's loop.
 *
 * Outside the chain of handlers the instruction pointer is
 * cpu->regs[EMU_REG_RIP] and cpu->block is NULL; inside, regs[EMU_REG_RIP] is
 * the RIP of the running block's first instruction (emu_insn_rip()).
 *
 * Unwinding: whoever raises works out the instruction's RIP from `insn` first
 * (NULL, for a fetch: regs[EMU_REG_RIP] is the RIP), sets cpu->current = insn,
 * delivers, leaves cpu->block alone, and does siglongjmp(cpu->unwind,
 * EMU_UNWIND_*). The loop corrects cpu->insns and goes on at
 * regs[EMU_REG_RIP].
 *
 * Threads: the vCPU's own.
 */
#ifndef VSR_DRIVERS_EMU_EMU_RUN_H
#define VSR_DRIVERS_EMU_EMU_RUN_H

#include "drivers/emu/guest_x86_state.h"

/* Run until something ends it. Returns a vsr_run_reason. */
int emu_run(emu_cpu *cpu);

/* --- what others supply --- */

/*
 * guest_x86_exception.c. cpu->exit_request has NMI or INTR, or an event of a
 * restored state waits. Delivers one, if EFLAGS.IF, nmi_masked and cpu->inhibit
 * allow it (may unwind like a fault). Returns whether it delivered. Clears
 * EMU_EXIT_NMI when it took it; EMU_EXIT_INTR: guest_x86_exception.h.
 */
bool emu_deliver_pending(emu_cpu *cpu);

/*
 * guest_x86_exception.c. In EMU_MODE_STEP, around each instruction (the loop
 * runs one at a time; regs[EMU_REG_RIP] is the next instruction's).
 * emu_step_before: a breakpoint at this RIP: true leaves with VSR_RUN_DEBUG.
 * emu_step_after: raises the #DB trap when `tf` (EFLAGS.TF was set before the
 * instruction) by unwinding, or returns true to leave with VSR_RUN_DEBUG.
 * cpu->inhibit is then what that instruction itself set.
 */
bool emu_step_before(emu_cpu *cpu);
bool emu_step_after(emu_cpu *cpu, bool tf);

/*
 * emu_sync.c. cpu->mp_state is not VSR_MP_RUNNABLE: sleep until something may
 * change that, take INIT and SIPI. Returns when the vCPU is runnable, has
 * something to deliver, or is kicked (the loop looks at exit_request again).
 */
void emu_halt_wait(emu_cpu *cpu);

/* EMU_EXIT_INIT or _SIPI is set: reset or start the vCPU. */
void emu_take_init(emu_cpu *cpu);

/* emu_sync.c. EMU_EXIT_FLUSH: do the TLB work other threads queued (the loop
 * itself drains the block cache). */
void emu_tlb_drain(emu_cpu *cpu);

#endif
