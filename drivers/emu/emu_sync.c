/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_sync.c: how threads get a vCPU's attention: exit requests, TLB tickets,
 * the halted state; and the up-calls, during which a vCPU is outside.
 *
 * emu_engine.h has the rules.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/emu_run.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_fpstate.h"

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void emu_vcpu_request(emu_vcpu *vcpu, uint32_t bits)
{
    _Atomic uint32_t *request = &vcpu->cpu->exit_request;

    /* Pairs with emu_halt_wait(): it sets halted, then looks at the request. */
    atomic_fetch_or(request, bits);
    if (atomic_load(&vcpu->halted))
        futex(request, FUTEX_WAKE, INT_MAX);
}

/* --- TLB tickets --- */

void emu_vcpu_serve(emu_vcpu *vcpu, bool block_end)
{
    uint32_t flush = atomic_load(&vcpu->flush_want);
    uint32_t quiet = atomic_load(&vcpu->quiet_want);
    bool for_flush = flush != atomic_load(&vcpu->flush_done);
    bool for_quiet = block_end && quiet != atomic_load(&vcpu->quiet_done);

    if (!for_flush && !for_quiet)
        return;
    emu_tlb_flush(vcpu->cpu, true);
    atomic_store(&vcpu->flush_done, flush);
    if (block_end)
        atomic_store(&vcpu->quiet_done, quiet);
}

void emu_tlb_drain(emu_cpu *cpu)
{
    emu_vcpu_serve(cpu->vcpu, true);
}

void emu_vcpu_enter(emu_vcpu *vcpu)
{
    /* Pairs with emu_vm_flush(): it takes a ticket, then looks at outside. */
    atomic_store(&vcpu->outside, 0);
    emu_vcpu_serve(vcpu, true);
}

void emu_vcpu_leave(emu_vcpu *vcpu)
{
    atomic_store(&vcpu->outside, 1);
}

static void wait_for(emu_vcpu *vcpu, const _Atomic uint32_t *done,
                     uint32_t ticket, emu_vcpu *self)
{
    for (unsigned spins = 0;; spins++) {
        if ((int32_t)(atomic_load(done) - ticket) >= 0 ||
            atomic_load(&vcpu->outside))
            return;
        if (self)
            emu_vcpu_serve(self, false);
        if (spins < 100)
            __builtin_ia32_pause();
        else
            sched_yield();
    }
}

void emu_vm_flush(emu_vm *vm, uint32_t mask, emu_vcpu *self, bool quiet)
{
    emu_vcpu *vcpus[EMU_VCPUS_MAX];
    uint32_t tickets[EMU_VCPUS_MAX];

    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < EMU_VCPUS_MAX; i++) {
        emu_vcpu *vcpu = atomic_load(&vm->cpus[i]);

        vcpus[i] = mask & (UINT32_C(1) << i) ? vcpu : NULL;
        if (vcpus[i] == NULL)
            continue;
        atomic_fetch_add(&vcpu->watchers, 1);
        tickets[i] = 1 + atomic_fetch_add(
                             quiet ? &vcpu->quiet_want : &vcpu->flush_want, 1);
        emu_vcpu_request(vcpu, EMU_EXIT_FLUSH);
    }
    pthread_mutex_unlock(&vm->lock);

    for (unsigned i = 0; i < EMU_VCPUS_MAX; i++) {
        emu_vcpu *vcpu = vcpus[i];

        if (vcpu == NULL)
            continue;
        wait_for(vcpu, quiet ? &vcpu->quiet_done : &vcpu->flush_done,
                 tickets[i], self);
        atomic_fetch_sub(&vcpu->watchers, 1);
    }
}

/* --- halted --- */

/* What ends the wait of `cpu` in its mp_state. */
static uint32_t wake_bits(const emu_cpu *cpu)
{
    uint32_t bits = EMU_EXIT_KICK | EMU_EXIT_INIT | EMU_EXIT_SIPI;

    if (cpu->mp_state != VSR_MP_HALTED)
        return bits;
    bits |= EMU_EXIT_FLUSH | EMU_EXIT_MODE;
    if (!cpu->nmi_masked)
        bits |= EMU_EXIT_NMI;
    if (cpu->eflags & EMU_IF)
        bits |= EMU_EXIT_INTR;
    return bits;
}

void emu_halt_wait(emu_cpu *cpu)
{
    emu_vcpu *vcpu = cpu->vcpu;
    uint32_t bits = wake_bits(cpu);
    bool fp = cpu->fp_loaded;

    if (fp)
        emu_fp_leave(cpu);
    emu_vcpu_leave(vcpu);
    for (;;) {
        uint32_t request;

        atomic_store(&vcpu->halted, 1);
        request = atomic_load(&cpu->exit_request);
        if (request & bits)
            break;
        futex(&cpu->exit_request, FUTEX_WAIT, request);
    }
    atomic_store(&vcpu->halted, 0);
    emu_vcpu_enter(vcpu);
    if (fp)
        emu_fp_enter(cpu);
    if (atomic_load(&cpu->exit_request) & (EMU_EXIT_INIT | EMU_EXIT_SIPI))
        emu_take_init(cpu);
}

/* --- up-calls --- */

enum { UPCALL_FP = 1, UPCALL_INSIDE = 2 };

unsigned emu_upcall_begin(emu_cpu *cpu)
{
    unsigned was = 0;

    if (cpu->fp_loaded) {
        was |= UPCALL_FP;
        emu_fp_leave(cpu);
    }
    if (!atomic_load(&cpu->vcpu->outside)) {
        was |= UPCALL_INSIDE;
        emu_vcpu_leave(cpu->vcpu);
    }
    return was;
}

void emu_upcall_end(emu_cpu *cpu, unsigned was)
{
    if (was & UPCALL_INSIDE)
        emu_vcpu_enter(cpu->vcpu);
    if (was & UPCALL_FP)
        emu_fp_enter(cpu);
}

static uint64_t cut(uint64_t value, unsigned size)
{
    return size >= 8 ? value : value & ((UINT64_C(1) << (8 * size)) - 1);
}

static uint64_t io_call(emu_cpu *cpu, void (*call)(void *, vsr_io *), vsr_io io)
{
    unsigned was = emu_upcall_begin(cpu);

    call(cpu->vm->machine, &io);
    emu_upcall_end(cpu, was);
    return cut(io.data, io.size);
}

uint64_t emu_mmio_read(emu_cpu *cpu, uint64_t gpa, unsigned size)
{
    vsr_io io = { .addr = gpa, .size = size, .vcpu = cpu->index };

    return io_call(cpu, cpu->vm->events->mmio, io);
}

void emu_mmio_write(emu_cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    vsr_io io = { .addr = gpa,
                  .size = size,
                  .vcpu = cpu->index,
                  .is_write = true,
                  .data = cut(value, size) };

    io_call(cpu, cpu->vm->events->mmio, io);
}

uint64_t emu_io_in(emu_cpu *cpu, uint16_t port, unsigned size)
{
    vsr_io io = { .addr = port, .size = size, .vcpu = cpu->index };

    return io_call(cpu, cpu->vm->events->pio, io);
}

void emu_io_out(emu_cpu *cpu, uint16_t port, unsigned size, uint64_t value)
{
    vsr_io io = { .addr = port,
                  .size = size,
                  .vcpu = cpu->index,
                  .is_write = true,
                  .data = cut(value, size) };

    io_call(cpu, cpu->vm->events->pio, io);
}
