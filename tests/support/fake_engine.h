/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_engine.h: an engine that runs no guest: what a vCPU does is a function
 * of the test, what the machine tells the engine is written down. And a few
 * helpers that make a machine on it, and guest accesses from the test's thread.
 */
#ifndef VSR_TESTS_SUPPORT_FAKE_ENGINE_H
#define VSR_TESTS_SUPPORT_FAKE_ENGINE_H

#include "machine/machine.h"

enum { FAKE_VCPUS_MAX = 8, FAKE_SLOTS_MAX = 32 };

typedef struct fake_vcpu {
    vsr_engine_vm *vm;
    uint32_t index;
    vsr_x86_state state;
    GMutex lock;
    GCond changed;
    /* Under lock. */
    bool kicked;
    bool intr;       /* VSR_SIGNAL_INTR: its level */
    unsigned n_intr; /* how often it changed */
    unsigned n_nmi, n_init, n_smi, n_sipi;
    uint32_t sipi_vector;
    uint64_t n_runs;
} fake_vcpu;

/* What vcpu_run does; its result is vcpu_run's. Called without locks. */
typedef int fake_program(fake_vcpu *vcpu, void *opaque);

/* What interrupt chips were told. */
typedef struct {
    bool level[VSR_GSI_MAX];
    unsigned changes[VSR_GSI_MAX];
    unsigned n_msi;
    uint64_t msi_addr;
    uint32_t msi_data;
} fake_chips;

struct vsr_engine_vm {
    const vsr_engine_events *events;
    void *machine;
    fake_vcpu *vcpu[FAKE_VCPUS_MAX];
    fake_program *program; /* NULL: fake_wait_for_kick */
    void *program_opaque;
    GMutex lock;
    /* Under lock. */
    vsr_mem_slot slot[FAKE_SLOTS_MAX];
    unsigned n_slots;
    uint64_t marked_pages, n_marks;
    unsigned n_doorbells;
    fake_chips chips; /* fake_engine_with_chips */
    bool paused;
    int64_t tsc_base_ns, tsc_stopped_ns;
};

/* No chips at all; TSC of 1 GHz. */
extern const vsr_engine_ops fake_engine;
/* LAPIC and IOAPIC are the engine's: vm->chips has what it was told. */
extern const vsr_engine_ops fake_engine_with_chips;

/* Sleeps until vcpu_kick(). */
int fake_wait_for_kick(fake_vcpu *vcpu, void *opaque);
/* Waits (at most two seconds) until `done` says so. */
bool fake_wait_until(bool (*done)(void *opaque), void *opaque);

/* A machine with a CPUID that shows x2APIC and TSC deadline. NULL and a printed
 * message on failure. */
vsr_machine *fake_machine_new(uint32_t vcpus);
/* With events (may be NULL) and another table. */
vsr_machine *fake_machine_new_full(const vsr_engine_ops *engine, uint32_t vcpus,
                                   const vsr_machine_events *events,
                                   void *opaque);
static inline fake_vcpu *fake_vcpu_of(const vsr_machine *machine, uint32_t i)
{
    return machine->vm->vcpu[i];
}

/* An irq chip that writes down what it is told. Zero-initialise; connect before
 * the machine runs, and outlive it. */
void fake_chips_connect(fake_chips *chips, vsr_machine *machine);

/* Guest accesses, as vCPU 0 would make them. */
uint64_t fake_in(vsr_machine *machine, uint16_t port, uint32_t size);
void fake_out(vsr_machine *machine, uint16_t port, uint32_t size,
              uint64_t value);
uint64_t fake_mmio_read(vsr_machine *machine, uint32_t vcpu, uint64_t gpa,
                        uint32_t size);
void fake_mmio_write(vsr_machine *machine, uint32_t vcpu, uint64_t gpa,
                     uint32_t size, uint64_t value);
/* False: #GP. */
bool fake_rdmsr(vsr_machine *machine, uint32_t vcpu, uint32_t index,
                uint64_t *value);
bool fake_wrmsr(vsr_machine *machine, uint32_t vcpu, uint32_t index,
                uint64_t value);
int fake_intr_ack(vsr_machine *machine, uint32_t vcpu);
bool fake_intr(vsr_machine *machine, uint32_t vcpu);

#endif
