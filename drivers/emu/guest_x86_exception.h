/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exception.h: interrupts and exceptions beyond what the run loop
 * (emu_run.h) and the executors (guest_x86_exec.h) call.
 *
 * A fault delivers itself: emu_raise*() puts the instruction's own RIP into
 * regs[EMU_REG_RIP], pushes the frame, sets CS, RIP, CPL and mode, and unwinds
 * to the run loop. With insn == NULL (fetching, delivering an interrupt) the
 * faulting RIP is regs[EMU_REG_RIP] as it is. A fault while one is delivered
 * (cpu->delivering) becomes a double fault or a shutdown.
 *
 * INTR is a level, cpu->intr_level. Its echo EMU_EXIT_INTR ends the chain of
 * blocks; emu_deliver_pending() takes the echo back while IF is 0, and
 * emu_intr_unmasked() brings it again when IF gets set.
 *
 * Spec:    AMD APM vol. 2, chapter 8 "Exceptions and Interrupts"; Intel SDM
 *          vol. 3A, chapter 6 "Interrupt and Exception Handling".
 * Threads: the vCPU's own.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_EXCEPTION_H
#define VSR_DRIVERS_EMU_GUEST_X86_EXCEPTION_H

#include "drivers/emu/guest_x86_state.h"

/* Whoever sets EFLAGS.IF calls this (emu_set_eflags() does). */
static inline void emu_intr_unmasked(emu_cpu *cpu)
{
    if (atomic_load_explicit(&cpu->intr_level, memory_order_acquire))
        atomic_fetch_or(&cpu->exit_request, EMU_EXIT_INTR);
}

/*
 * Before `insn` clears EFLAGS.IF: has an interrupt come since its block began?
 * Then leave and let it in first, as a processor had by now: a guest may count
 * on having it once its access to the APIC is done. In single mode the loop has
 * just looked; and the shadow of STI lets nothing in.
 */
static inline bool emu_intr_first(const emu_cpu *cpu, const emu_insn *insn)
{
    uint32_t request =
        atomic_load_explicit(&cpu->exit_request, memory_order_relaxed);

    if (G_LIKELY(!(request & EMU_EXIT_INTR)))
        return false;
    if (!(cpu->eflags & EMU_IF) || (request & EMU_EXIT_MODE))
        return false;
    return insn->off == 0 || insn[-1].op != EMU_OP_STI;
}

/* The engine cannot go on: text for vcpu_failure(), and unwinds. */
_Noreturn void emu_fail(emu_cpu *cpu, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* #DB with these DR6 bits: as a fault of `insn`, or (NULL) as a trap with
 * regs[EMU_REG_RIP] the next instruction's. */
_Noreturn void emu_raise_debug(emu_cpu *cpu, const emu_insn *insn,
                               uint64_t dr6);

#endif
