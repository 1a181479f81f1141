/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exception.c: raising exceptions and taking interrupts. The frames
 * are pushed in guest_x86_deliver.c.
 *
 * Spec:    Intel SDM vol. 3A, 6.15 "Exception and Interrupt Reference",
 *          table 6-5 "Conditions for Generating a Double Fault".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exception.h"

#include <stdio.h>

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/emu_run.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_deliver.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_reset.h"

/*
 * Faults while delivering call each other. The rules of double faults end that
 * soon, except for debug traps of task switches through task gates: a guest must
 * not choose how deep our stack gets.
 */
enum { DELIVERIES_MAX = 8 };

_Noreturn static void unwind(emu_cpu *cpu, int why)
{
    cpu->delivering = -1;
    cpu->deliveries = 0;
    emu_split_unlock(cpu);
    siglongjmp(cpu->unwind, why);
}

void emu_fail(emu_cpu *cpu, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(cpu->vcpu->failure, sizeof cpu->vcpu->failure, format, args);
    va_end(args);
    unwind(cpu, EMU_UNWIND_FAILED);
}

static bool contributory(int vector)
{
    return vector == EMU_DE || (vector >= EMU_TS && vector <= EMU_GP);
}

/* What a second exception makes of the first: a vector, or -1 for shutdown. */
static int combine(int first, int second)
{
    bool serious = contributory(second) || second == EMU_PAGE_FAULT;

    if (first == EMU_DF_FAULT && serious)
        return -1;
    if ((contributory(first) && contributory(second)) ||
        (first == EMU_PAGE_FAULT && serious))
        return EMU_DF_FAULT;
    return second;
}

_Noreturn static void raise_event(emu_cpu *cpu, const emu_insn *insn,
                                  emu_event ev)
{
    emu_split_unlock(cpu);
    if (++cpu->deliveries > DELIVERIES_MAX)
        unwind(cpu, EMU_UNWIND_SHUTDOWN);
    if (cpu->delivering < 0) {
        if (insn) {
            cpu->current = insn;
            cpu->regs[EMU_REG_RIP] = emu_insn_rip(cpu, insn);
        }
    } else {
        int vector = combine(cpu->delivering, ev.vector);

        if (vector < 0)
            unwind(cpu, EMU_UNWIND_SHUTDOWN);
        if (vector == EMU_DF_FAULT) {
            ev.vector = EMU_DF_FAULT;
            ev.has_error = true;
            ev.error = 0;
        }
    }
    cpu->inhibit = 0;
    cpu->dr6_pending = 0;
    cpu->mp_state = VSR_MP_RUNNABLE; /* a HLT was stepped over */
    ev.rip = cpu->regs[EMU_REG_RIP];
    ev.external = true;
    cpu->delivering = ev.vector;
    emu_deliver(cpu, &ev);
    unwind(cpu, EMU_UNWIND_RESUME);
}

static bool pushes_error(int vector)
{
    return vector == EMU_DF_FAULT ||
           (vector >= EMU_TS && vector <= EMU_PAGE_FAULT) ||
           vector == EMU_ALIGN;
}

void emu_raise_code(emu_cpu *cpu, const emu_insn *insn, int vector,
                    uint32_t error)
{
    emu_event ev = { .vector = (uint8_t)vector,
                     .has_error = pushes_error(vector),
                     .error = error,
                     .set_rf = true };

    raise_event(cpu, insn, ev);
}

void emu_raise(emu_cpu *cpu, const emu_insn *insn, int vector)
{
    emu_raise_code(cpu, insn, vector, 0);
}

void emu_raise_pf(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                  uint32_t error)
{
    cpu->cr2 = la;
    emu_raise_code(cpu, insn, EMU_PAGE_FAULT, error);
}

void emu_raise_debug(emu_cpu *cpu, const emu_insn *insn, uint64_t dr6)
{
    emu_event ev = { .vector = EMU_DB };

    /* B0-B3, BD, BS and BT are never cleared by the processor, except that a
     * new debug exception makes B0-B3 its own. */
    cpu->dr[6] = (cpu->dr[6] & ~UINT64_C(0xf)) | dr6 | EMU_DR6_FIXED;
    cpu->dr[7] &= ~(uint64_t)EMU_DR7_GD;
    raise_event(cpu, insn, ev);
}

void emu_software_interrupt(emu_cpu *cpu, const emu_insn *insn, int vector,
                            bool icebp)
{
    emu_event ev = { .vector = (uint8_t)vector,
                     .software = !icebp,
                     .external = icebp,
                     .rip = emu_next_rip(cpu, insn) };

    cpu->current = insn;
    cpu->regs[EMU_REG_RIP] = emu_insn_rip(cpu, insn);
    if (icebp) {
        /* With what MOV SS held back. */
        cpu->dr[6] = (cpu->dr[6] & ~UINT64_C(0xf)) | cpu->dr6_pending |
                     EMU_DR6_FIXED;
        cpu->dr6_pending = 0;
    }
    cpu->inhibit = 0;
    cpu->delivering = EMU_BENIGN;
    emu_deliver(cpu, &ev);
    unwind(cpu, EMU_UNWIND_RESUME);
}

/* --- interrupts --- */

static void clear_request(emu_cpu *cpu, uint32_t bits)
{
    atomic_fetch_and(&cpu->exit_request, ~bits);
}

/* Between instructions; may unwind with a fault of the delivery. */
static void interrupt(emu_cpu *cpu, uint8_t vector)
{
    emu_event ev = { .vector = vector,
                     .external = true,
                     .rip = cpu->regs[EMU_REG_RIP] };

    cpu->mp_state = VSR_MP_RUNNABLE;
    cpu->delivering = EMU_BENIGN;
    emu_deliver(cpu, &ev);
    cpu->delivering = -1;
    cpu->deliveries = 0;
}

/* Events another engine had accepted but not delivered (vcpu_set). */
static bool deliver_injected(emu_cpu *cpu)
{
    if (cpu->inject_exception) {
        emu_event ev = { .vector = cpu->inject_vector,
                         .has_error = cpu->inject_has_error,
                         .error = cpu->inject_error,
                         .set_rf = cpu->inject_vector != EMU_DB };

        cpu->inject_exception = false;
        raise_event(cpu, NULL, ev);
    }
    if (cpu->inject_interrupt) {
        cpu->inject_interrupt = false;
        interrupt(cpu, cpu->inject_interrupt_vector);
        return true;
    }
    return false;
}

static bool deliver_nmi(emu_cpu *cpu)
{
    uint32_t nmis;

    if (!(atomic_load(&cpu->exit_request) & EMU_EXIT_NMI))
        return false;
    clear_request(cpu, EMU_EXIT_NMI);
    /* One waits while another's handler runs; IRET brings it back. */
    nmis = atomic_load(&cpu->nmis);
    while (nmis != 0 && !atomic_compare_exchange_weak(
                            &cpu->nmis, &nmis, cpu->nmi_masked ? 1 : nmis - 1))
        ;
    if (nmis == 0 || cpu->nmi_masked)
        return false;
    cpu->nmi_masked = true;
    interrupt(cpu, EMU_NMI);
    return true;
}

static bool deliver_intr(emu_cpu *cpu)
{
    emu_vcpu *vcpu = cpu->vcpu;

    for (;;) {
        uint32_t seq = atomic_load(&vcpu->intr_seq);
        unsigned was;
        int vector;

        if (!atomic_load(&cpu->intr_level))
            return false;
        was = emu_upcall_begin(cpu);
        vector = cpu->vm->events->intr_ack(cpu->vm->machine, cpu->index);
        emu_upcall_end(cpu, was);
        if (vector >= 0) {
            interrupt(cpu, (uint8_t)vector);
            return true;
        }
        /* Nothing there, whatever the line says; unless it was raised anew. */
        atomic_store(&cpu->intr_level, 0);
        if (atomic_load(&vcpu->intr_seq) == seq)
            return false;
        atomic_store(&cpu->intr_level, 1);
    }
}

bool emu_deliver_pending(emu_cpu *cpu)
{
    bool done = deliver_injected(cpu);

    if (done || cpu->inhibit)
        return done;
    done = deliver_nmi(cpu);
    if (!done && (cpu->eflags & EMU_IF))
        done = deliver_intr(cpu);
    clear_request(cpu, EMU_EXIT_INTR);
    if (cpu->eflags & EMU_IF)
        emu_intr_unmasked(cpu);
    return done;
}

void emu_take_init(emu_cpu *cpu)
{
    uint32_t request = atomic_load(&cpu->exit_request);

    if (request & EMU_EXIT_INIT) {
        clear_request(cpu, EMU_EXIT_INIT);
        emu_reset_init(cpu);
        cpu->mp_state = cpu->index == 0 ? VSR_MP_RUNNABLE : VSR_MP_WAIT_SIPI;
    }
    if (request & EMU_EXIT_SIPI) {
        clear_request(cpu, EMU_EXIT_SIPI);
        if (cpu->mp_state == VSR_MP_WAIT_SIPI) {
            emu_reset_sipi(cpu, (uint8_t)atomic_load(&cpu->sipi_vector));
            cpu->mp_state = VSR_MP_RUNNABLE;
        }
    }
}
