/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * engine.h: what a backend must do so that one machine model runs on it.
 *
 * Down-calls (vsr_engine_ops) come from the machine; up-calls
 * (vsr_engine_events) come from the engine's own threads, and the engine holds
 * none of its locks while it makes one. Control calls report through GError;
 * run-time calls return 0 or -errno and never log.
 *
 * An engine is one of two kinds. Run-style (kvm, emu): the machine owns one
 * thread per vCPU and calls vcpu_run. Pump-style (xen): a hypervisor owns the
 * vCPUs, and pump_start makes the accesses arrive. Exactly one of the two is
 * filled; vsr_engine_check() refuses anything else.
 */
#ifndef VSR_ENGINE_ENGINE_H
#define VSR_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "engine/state_x86.h"

typedef struct vsr_engine_vm vsr_engine_vm;     /* defined by each engine */
typedef struct vsr_engine_vcpu vsr_engine_vcpu; /* likewise */

/* One guest access that no RAM slot served. */
typedef struct {
    uint64_t addr; /* guest physical address, or port number */
    uint32_t size; /* bytes: 1, 2, 4 or 8 (ports: up to 4) */
    uint32_t vcpu; /* index of the vCPU that made it */
    bool is_write; /* true: `data` holds what the guest wrote */
    uint64_t data; /* little-endian value, zero-extended */
} vsr_io;

/* Why vcpu_run returned (>= 0), or -errno. */
typedef enum {
    VSR_RUN_KICKED,   /* vcpu_kick() was called */
    VSR_RUN_SHUTDOWN, /* triple fault */
    VSR_RUN_DEBUG,    /* break_add() or step */
    VSR_RUN_FAILED,   /* the engine cannot go on: see vcpu_failure() */
} vsr_run_reason;

/* What the machine's own LAPIC tells a vCPU (engines without one). */
typedef enum {
    VSR_SIGNAL_INTR, /* arg 1: an interrupt waits at intr_ack; 0: none does */
    VSR_SIGNAL_NMI,
    VSR_SIGNAL_INIT,
    VSR_SIGNAL_SIPI, /* arg: the vector; start address arg << 12 */
    VSR_SIGNAL_SMI,  /* ignored where the engine has no SMM */
} vsr_vcpu_signal;

/* Up-calls. Any thread of the engine; mmio, pio, intr_*, msr and cr8 on the
 * thread that is inside vcpu_run of the vCPU named. */
typedef struct {
    void (*mmio)(void *machine, vsr_io *io);
    void (*pio)(void *machine, vsr_io *io);

    /* Engines with caps.lapic leave the next four alone. */

    /* The vector to deliver now, taken from the LAPIC (or the PIC through
     * LINT0), or -1 if none is deliverable any more. */
    int (*intr_ack)(void *machine, uint32_t vcpu);
    /* APIC_BASE, TSC_DEADLINE, x2APIC range. False: #GP. */
    bool (*msr)(void *machine, uint32_t vcpu, uint32_t index, bool is_write,
                uint64_t *value);
    uint64_t (*cr8_get)(void *machine, uint32_t vcpu);
    void (*cr8_set)(void *machine, uint32_t vcpu, uint64_t value);

    /* Pump-style only: the hypervisor ended or crashed the domain. */
    void (*stopped)(void *machine, vsr_run_reason reason);
} vsr_engine_events;

typedef struct {
    uint64_t gpa; /* page aligned */
    uint64_t len; /* bytes, page aligned, not 0 */
    void *host;   /* mapping owned by the machine; NULL where the engine maps */
    bool readonly; /* guest writes go to events->mmio */
} vsr_mem_slot;

/* What the engine brings, so that the board adds only what is missing. */
typedef struct {
    bool accelerated; /* guest code runs on the host CPU */
    bool lapic;       /* LAPICs are the engine's, IPIs included */
    bool ioapic;      /* likewise; GSIs 0..23 through irq_line */
    bool pic;
    bool pit;
    bool kvmclock; /* leaf 0x40000001 clock bits work */
    uint32_t max_vcpus;
    uint32_t phys_bits;  /* guest physical address width */
    uint64_t tsc_hz;     /* frequency the guest's TSC will have */
    uint64_t max_memory; /* bytes; 0: no limit of the engine's own */
    uint32_t max_slots;  /* mem_add() calls; 0: no limit */
    uint32_t disable_exits; /* VSR_EXIT_*: those it can do without */
    bool halt_poll;         /* vsr_vm_config.halt_poll_ns works */
} vsr_engine_caps;

/* Instructions that return to the host, unless the guest has its processors to
 * itself: it then waits inside of guest mode. */
enum {
    VSR_EXIT_MWAIT = 1 << 0,
    VSR_EXIT_HLT = 1 << 1,
    VSR_EXIT_PAUSE = 1 << 2,
    VSR_EXIT_CSTATE = 1 << 3, /* the guest may read C-state residency MSRs */
};

typedef struct {
    /* how many vcpu_new() calls may follow, hot-plug included */
    uint32_t vcpus;
    uint32_t disable_exits; /* VSR_EXIT_*, of caps.disable_exits */
    bool has_halt_poll;     /* the next counts, else the host's default does */
    uint32_t halt_poll_ns;  /* how long the host looks for work before a
                               halted vCPU's thread sleeps, at most; 0: never */
} vsr_vm_config;

typedef struct {
    uint32_t index; /* 0 is the boot processor */
    uint32_t apic_id;
    const vsr_cpuid *cpuid; /* copied; a subset of cpuid_supported() */
} vsr_vcpu_config;

typedef struct {
    int64_t realtime_ns; /* host wall clock at capture; 0: unknown */
    uint64_t guest_ns;   /* the paravirtual clock's own count */
} vsr_engine_clock;

/* R: required, O: optional (NULL: the machine does it in software). */
typedef struct {
    const char *name; /* "kvm", "xen", "emu": also the domain type in XML */

    /* R: can this host run it? Changes nothing. */
    bool (*caps)(vsr_engine_caps *out, GError **error);
    /* R (run-style): all CPUID rows the engine can show a guest. */
    bool (*cpuid_supported)(vsr_cpuid *out, GError **error);

    /* R. `events` and `machine` outlive the VM. */
    vsr_engine_vm *(*vm_new)(const vsr_vm_config *config,
                             const vsr_engine_events *events, void *machine,
                             GError **error);
    void (*vm_free)(vsr_engine_vm *vm);  /* R: NULL is a no-op */
    int (*vm_pause)(vsr_engine_vm *vm);  /* O: stop clocks; vCPUs are stopped */
    int (*vm_resume)(vsr_engine_vm *vm); /* O */
    /* O: the engine's own chips to power-on; vCPUs are stopped. */
    int (*vm_reset)(vsr_engine_vm *vm);

    /* R, any time (the engine synchronises with running vCPUs). Slots never
     * overlap. mem_remove names exactly a slot that was added. */
    int (*mem_add)(vsr_engine_vm *vm, const vsr_mem_slot *slot);
    int (*mem_remove)(vsr_engine_vm *vm, const vsr_mem_slot *slot);

    /* Run-style. The machine calls run and free on the vCPU's own thread, kick
     * from any. A kick that comes before vcpu_run makes that run return at
     * once: none is ever lost. */
    vsr_engine_vcpu *(*vcpu_new)(vsr_engine_vm *vm,
                                 const vsr_vcpu_config *config, GError **error);
    void (*vcpu_free)(vsr_engine_vcpu *vcpu);
    int (*vcpu_run)(vsr_engine_vcpu *vcpu); /* vsr_run_reason or -errno */
    void (*vcpu_kick)(vsr_engine_vcpu *vcpu);
    /* After VSR_RUN_FAILED: one line for the log, e.g. the exit's name and
     * RIP. Valid until the next vcpu_run. */
    const char *(*vcpu_failure)(vsr_engine_vcpu *vcpu);
    /* R (run-style), vCPU stopped. set checks before it changes anything:
     * -EINVAL leaves the vCPU as it was. */
    int (*vcpu_get)(vsr_engine_vcpu *vcpu, vsr_x86_state *out);
    int (*vcpu_set)(vsr_engine_vcpu *vcpu, const vsr_x86_state *in);
    /* R where !caps.lapic. Any thread, may be called while the vCPU runs. */
    int (*vcpu_signal)(vsr_engine_vcpu *vcpu, vsr_vcpu_signal signal,
                       uint32_t arg);
    /* O: the guest's TSC now (R where !caps.lapic: the LAPIC's deadline timer
     * compares with it). Any thread; stands still while the VM is paused. */
    uint64_t (*vcpu_tsc)(vsr_engine_vcpu *vcpu);

    /* Pump-style. */
    int (*pump_start)(vsr_engine_vm *vm);
    int (*pump_stop)(vsr_engine_vm *vm);
    /* R (pump-style): the hypervisor's record of all vCPUs. */
    GBytes *(*vm_save)(vsr_engine_vm *vm, GError **error);
    bool (*vm_load)(vsr_engine_vm *vm, GBytes *record, GError **error);

    /* R where caps.ioapic / caps.lapic; any thread. */
    int (*irq_line)(vsr_engine_vm *vm, uint32_t gsi, bool level);
    int (*msi)(vsr_engine_vm *vm, uint64_t addr, uint32_t data);
    int (*irqfd_add)(vsr_engine_vm *vm, uint32_t gsi, int fd);    /* O */
    int (*irqfd_remove)(vsr_engine_vm *vm, uint32_t gsi, int fd); /* O */

    /* O: a write of `size` bytes (0: any) of `value` at `addr` signals `fd`
     * without an up-call. */
    int (*doorbell_add)(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                        uint64_t value, bool is_pio, int fd);
    int (*doorbell_remove)(vsr_engine_vm *vm, uint64_t addr, uint32_t size,
                           uint64_t value, bool is_pio, int fd);

    /* R: guest writes to RAM. `bitmap` has one bit a 4 KiB page of the range,
     * the engine ORs into it and clears its own. dirty_mark: the machine wrote
     * these pages itself (emu drops code decoded from them). */
    int (*dirty_start)(vsr_engine_vm *vm);
    int (*dirty_stop)(vsr_engine_vm *vm);
    int (*dirty_fetch)(vsr_engine_vm *vm, uint64_t gpa, uint64_t len,
                       unsigned long *bitmap);
    void (*dirty_mark)(vsr_engine_vm *vm, uint64_t gpa, uint64_t len);

    /* R */
    int (*clock_get)(vsr_engine_vm *vm, vsr_engine_clock *out);
    int (*clock_set)(vsr_engine_vm *vm, const vsr_engine_clock *in);

    /* O */
    int (*break_add)(vsr_engine_vcpu *vcpu, uint64_t gva);
    int (*break_remove)(vsr_engine_vcpu *vcpu, uint64_t gva);
    int (*step)(vsr_engine_vcpu *vcpu, bool on);

    /* O: counters for `stats`, name and value; returns how many were written.
     * Any thread, while the vCPU runs. */
    uint32_t (*vcpu_stats)(vsr_engine_vcpu *vcpu, const char **names,
                           uint64_t *values, uint32_t max);
} vsr_engine_ops;

/* Is the table complete and of exactly one kind? Control. */
bool vsr_engine_check(const vsr_engine_ops *ops, GError **error);
/* The slots that depend on what caps() said on this host. Control. */
bool vsr_engine_check_caps(const vsr_engine_ops *ops,
                           const vsr_engine_caps *caps, GError **error);

/* The engine's tables, defined in drivers/. */
extern const vsr_engine_ops vsr_emu_engine;
extern const vsr_engine_ops vsr_kvm_engine;

#endif
