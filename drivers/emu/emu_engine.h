/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_engine.h: one emulated virtual machine: its memory slots, vCPUs, clock,
 * and how threads agree about TLBs and decoded code.
 *
 * Threads and the TLB
 * -------------------
 * Only its own thread touches a vCPU's TLB. Another thread that must take
 * something out of it (memory removed, code marked, dirty log re-armed) raises
 * a ticket in flush_want and waits until flush_done has it. A vCPU is "outside"
 * while it runs no guest code: not in vcpu_run, halted, or in an up-call. Then
 * nobody waits for it; it serves the tickets when it comes back in
 * (emu_vcpu_enter). So two vCPUs that wait for each other inside of up-calls
 * cannot lock up, nor can one that holds a device's lock.
 *
 * Lock order: lock, then nothing. split_lock is never taken with lock held.
 */
#ifndef VSR_DRIVERS_EMU_EMU_ENGINE_H
#define VSR_DRIVERS_EMU_EMU_ENGINE_H

#include <pthread.h>

#include "drivers/emu/guest_x86_state.h"

enum { EMU_VCPUS_MAX = 32, EMU_PHYS_BITS = 40 };

/* RAM or ROM. The arrays have one element a 4 KiB page. */
typedef struct emu_slot {
    uint64_t gpa, len;
    uint8_t *host;
    bool readonly;
    _Atomic uint32_t *marks;   /* bit n: vCPU n has decoded code of the page */
    _Atomic uint32_t *writers; /* bit n: vCPU n may have a write tag for it */
    _Atomic uint8_t *dirty;    /* 1: written since the log last cleared it */
} emu_slot;

/* Sorted by address. Never changed once published. */
typedef struct {
    uint32_t n;
    emu_slot *slot[];
} emu_slots;

typedef struct emu_vcpu {
    emu_cpu *cpu;
    _Atomic uint32_t outside;                /* see above */
    _Atomic uint32_t halted;                 /* sleeping on exit_request */
    _Atomic uint32_t flush_want, flush_done; /* TLB tickets */
    _Atomic uint32_t quiet_want, quiet_done; /* same, at end of block only */
    _Atomic uint32_t watchers; /* threads in emu_vm_flush() that look at us */
    _Atomic uint32_t intr_seq; /* counts VSR_SIGNAL_INTR 1 */
    uint32_t clock_epoch;      /* of the pvclock page the guest has */
    char failure[160];
} emu_vcpu;

struct emu_vm {
    const vsr_engine_events *events;
    void *machine;
    uint32_t max_vcpus;

    _Atomic(emu_slots *) slots;
    _Atomic bool dirty_log;

    pthread_mutex_t lock; /* cpus, replacing slots */
    _Atomic(emu_vcpu *) cpus[EMU_VCPUS_MAX];

    pthread_mutex_t split_lock; /* emu_split_lock() */

    /* Running time = CLOCK_MONOTONIC - time_base, in ns; while paused it is
     * time_stopped instead. The TSC is this plus emu_cpu.tsc_offset, the
     * paravirtual clock this plus clock_offset. */
    _Atomic uint64_t time_base, time_stopped, clock_offset;
    _Atomic uint64_t tsc_offset; /* that the vCPUs have; see emu_tsc_set() */
    _Atomic bool paused;
    _Atomic uint32_t clock_epoch; /* changes when clock_offset does */
};

/* NULL: no slot has `gpa`. */
emu_slot *emu_slot_find(emu_vm *vm, uint64_t gpa);
uint64_t emu_vm_time(emu_vm *vm);
/* Own thread: the vCPU's TSC reads `tsc` now; or what the VM's other vCPUs read,
 * if that is less than a second away: they were meant to be the same. */
void emu_tsc_set(emu_cpu *cpu, uint64_t tsc);

/* Bytes in RAM changed other than through a vCPU's own TLB (device DMA, A and D
 * bits): dirty log, and decoded code of all vCPUs. Any thread. */
void emu_ram_written(emu_vm *vm, emu_slot *slot, uint64_t gpa, uint64_t len);
/* A store of `cpu` to a page of `slot` that has marks. */
void emu_code_written(emu_cpu *cpu, emu_slot *slot, uint64_t gpa, unsigned len);

/* Own thread: guest code is about to run, or no longer does. */
void emu_vcpu_enter(emu_vcpu *vcpu);
void emu_vcpu_leave(emu_vcpu *vcpu);
/* Own thread: serve TLB tickets; `block_end`: quiet ones as well. */
void emu_vcpu_serve(emu_vcpu *vcpu, bool block_end);
/* Any thread: sets EMU_EXIT_* bits, and wakes a sleeping vCPU. */
void emu_vcpu_request(emu_vcpu *vcpu, uint32_t bits);
/* Any thread, without `lock`: the vCPUs of `mask` drop their TLB before this
 * returns. `self`: the caller's own vCPU or NULL. `quiet`: they also are at the
 * end of an instruction, so that no host pointer of theirs is in use. */
void emu_vm_flush(emu_vm *vm, uint32_t mask, emu_vcpu *self, bool quiet);

/* Around an up-call: it is made from outside (see above), with the caller's own
 * floating-point state. begin's result goes to end. */
unsigned emu_upcall_begin(emu_cpu *cpu);
void emu_upcall_end(emu_cpu *cpu, unsigned was);
uint64_t emu_mmio_read(emu_cpu *cpu, uint64_t gpa, unsigned size);
void emu_mmio_write(emu_cpu *cpu, uint64_t gpa, unsigned size, uint64_t value);

#endif
