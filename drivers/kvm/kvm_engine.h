/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_engine.h: one virtual machine of KVM, as the files of this folder see it.
 *
 * The kick
 * --------
 * vcpu_kick() sets `kicked`, then immediate_exit in the shared page, then, if
 * the vCPU is `inside` KVM_RUN, sends its thread a real-time signal. The signal
 * is blocked in that thread except inside of KVM_RUN (KVM_SET_SIGNAL_MASK), so
 * it is never delivered: no handler is installed, nothing of the process
 * changes. vcpu_run() always goes through KVM_RUN before it reports a kick:
 * that is how an access that was handed to us is completed.
 */
#ifndef VSR_DRIVERS_KVM_KVM_ENGINE_H
#define VSR_DRIVERS_KVM_KVM_ENGINE_H

#include <linux/kvm.h>

#include "engine/engine.h"

/* Guest physical pages that KVM on Intel hosts wants for itself; no board has
 * anything there. */
#define KVM_IDENTITY_GPA UINT64_C(0xfeffc000)
#define KVM_TSS_GPA      UINT64_C(0xfeffd000)

enum { KVM_PAGE = 4096, KVM_GSIS = 24, KVM_CHIPS = 3, KVM_MCE_BANKS = 4 };

typedef struct {
    uint32_t id;
    vsr_mem_slot mem;
    unsigned long *dirty; /* a bit a page; NULL while nothing is logged */
} kvm_slot;

/* State of the interrupt chips and the timer as KVM made them. */
typedef struct {
    struct kvm_irqchip chip[KVM_CHIPS];
    struct kvm_pit_state2 pit;
} kvm_chips;

/* A vCPU that was freed: KVM keeps it until its VM ends, and does not make
 * another of the same id. */
typedef struct {
    uint32_t apic_id;
    int fd;
    vsr_x86_state *power_on; /* owned; NULL: it never was whole */
} kvm_parked;

struct vsr_engine_vm {
    const vsr_engine_events *events;
    void *machine;
    int device_fd; /* /dev/kvm */
    int fd;
    uint32_t max_vcpus;
    uint32_t max_slots;
    size_t run_len;      /* of a vCPU's shared page(s) */
    int signal;          /* of the kick */
    kvm_chips *power_on; /* NULL: there are no chips yet; see lock */

    GMutex lock;        /* guards the rest */
    GPtrArray *slots;   /* of kvm_slot, owned */
    GArray *free_slots; /* of uint32_t: ids below n_slot_ids that nobody has */
    uint32_t n_slot_ids;
    bool is_logging;   /* dirty pages */
    GPtrArray *vcpus;  /* of vsr_engine_vcpu, borrowed */
    GArray *parked;    /* of kvm_parked */
    bool paused;       /* clocks stand still; changes with vCPUs stopped */
    uint64_t clock_ns; /* the paravirtual clock, while paused */
};

/* Whose virtual machines a guest may run. */
typedef enum { KVM_NESTED_NONE, KVM_NESTED_SVM, KVM_NESTED_VMX } kvm_nested;

typedef enum {
    KVM_COUNT_RUN,
    KVM_COUNT_IO,
    KVM_COUNT_MMIO,
    KVM_COUNT_KICK,
    KVM_COUNTS,
} kvm_counter;

struct vsr_engine_vcpu {
    vsr_engine_vm *vm;
    uint32_t index;
    uint32_t apic_id;
    int fd;
    vsr_x86_state *power_on;
    struct kvm_run *run;
    int thread; /* that runs it */
    int signal_before;
    gint kicked; /* atomic */
    gint inside; /* atomic: in KVM_RUN */
    bool has_tsc_offset;
    kvm_nested nested;
    uint64_t tsc; /* what it stands at, while the VM is paused */
    uint32_t xsave_len;
    uint32_t n_msrs; /* those that this vCPU has */
    uint32_t msr[VSR_X86_MSRS_MAX];
    uint64_t count[KVM_COUNTS]; /* atomic, relaxed */
    char failure[200];
};

/* kvm_memory.c */
int kvm_mem_add(vsr_engine_vm *vm, const vsr_mem_slot *slot);
int kvm_mem_remove(vsr_engine_vm *vm, const vsr_mem_slot *slot);
void kvm_slot_free(void *slot);
int kvm_dirty_start(vsr_engine_vm *vm);
int kvm_dirty_stop(vsr_engine_vm *vm);
int kvm_dirty_fetch(vsr_engine_vm *vm, uint64_t gpa, uint64_t len,
                    unsigned long *bitmap);
void kvm_dirty_mark(vsr_engine_vm *vm, uint64_t gpa, uint64_t len);

/* kvm_irq.c */
/* Makes them, once. With the first vCPU and not with the VM: a slot of memory
 * that is added when there are chips takes KVM ten times as long. */
bool kvm_chips_need(vsr_engine_vm *vm, GError **error);
int kvm_chips_reset(vsr_engine_vm *vm);
int kvm_irq_line(vsr_engine_vm *vm, uint32_t gsi, bool level);
int kvm_msi(vsr_engine_vm *vm, uint64_t addr, uint32_t data);
int kvm_irqfd_add(vsr_engine_vm *vm, uint32_t gsi, int fd);
int kvm_irqfd_remove(vsr_engine_vm *vm, uint32_t gsi, int fd);
int kvm_doorbell_add(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                     uint64_t value, bool is_pio, int fd);
int kvm_doorbell_remove(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                        uint64_t value, bool is_pio, int fd);

/* kvm_clock.c */
int kvm_vm_pause(vsr_engine_vm *vm);
int kvm_vm_resume(vsr_engine_vm *vm);
int kvm_clock_get(vsr_engine_vm *vm, vsr_engine_clock *out);
int kvm_clock_set(vsr_engine_vm *vm, const vsr_engine_clock *in);
/* The guest's TSC: what it is, or will be when the VM goes on. */
int kvm_tsc_get(vsr_engine_vcpu *vcpu, uint64_t *out);
int kvm_tsc_set(vsr_engine_vcpu *vcpu, uint64_t value);
uint64_t kvm_vcpu_tsc(vsr_engine_vcpu *vcpu);

/* kvm_vcpu_x86.c */
vsr_engine_vcpu *kvm_vcpu_new(vsr_engine_vm *vm, const vsr_vcpu_config *config,
                              GError **error);
void kvm_vcpu_free(vsr_engine_vcpu *vcpu);
int kvm_vcpu_run(vsr_engine_vcpu *vcpu);
void kvm_vcpu_kick(vsr_engine_vcpu *vcpu);
const char *kvm_vcpu_failure(vsr_engine_vcpu *vcpu);
uint32_t kvm_vcpu_stats(vsr_engine_vcpu *vcpu, const char **names,
                        uint64_t *values, uint32_t max);

/* kvm_nested_x86.c. Only what has no virtual machine of its own can be put into
 * the neutral state: -EOPNOTSUPP. */
kvm_nested kvm_nested_of(const vsr_engine_vm *vm, const vsr_cpuid *rows);
int kvm_nested_check(const vsr_engine_vcpu *vcpu);
int kvm_nested_leave(const vsr_engine_vcpu *vcpu);

/* kvm_exit_x86.c: what KVM_RUN came back with. -1: go on. */
int kvm_exit(vsr_engine_vcpu *vcpu);
/* KVM_RUN itself failed. */
int kvm_exit_failed(vsr_engine_vcpu *vcpu, int rc);

/* kvm_state_x86.c, kvm_msr_x86.c */
int kvm_state_get(vsr_engine_vcpu *vcpu, vsr_x86_state *out);
int kvm_state_set(vsr_engine_vcpu *vcpu, const vsr_x86_state *in);
/* What the processor is, once, after CPUID. */
int kvm_msrs_identify(vsr_engine_vcpu *vcpu, const vsr_cpuid *rows);
void kvm_msrs_probe(vsr_engine_vcpu *vcpu);
int kvm_msrs_get(vsr_engine_vcpu *vcpu, vsr_x86_state *out);
int kvm_msrs_set(vsr_engine_vcpu *vcpu, const vsr_x86_state *in);
int kvm_msr_read(vsr_engine_vcpu *vcpu, uint32_t index, uint64_t *out);
int kvm_msr_write(vsr_engine_vcpu *vcpu, uint32_t index, uint64_t value);

#endif
