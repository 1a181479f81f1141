/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * machine.h: one virtual computer: RAM, buses, interrupts, vCPU threads and
 * the devices on them, on one engine.
 *
 * The machine knows no XML and no host resources; src/vmm builds it.
 *
 * Threads: new, free, start, pause, resume, reset, stop on the control thread;
 *          request and fail from any thread (they only notify).
 */
#ifndef VSR_MACHINE_MACHINE_H
#define VSR_MACHINE_MACHINE_H

#include "base/loop.h"
#include "engine/engine.h"
#include "machine/bus.h"
#include "machine/device.h"
#include "machine/irq.h"
#include "machine/mem.h"

/* What the guest, or a broken invariant of ours, asks of the owner. */
typedef enum {
    VSR_REQUEST_POWEROFF, /* ACPI S5, or the like */
    VSR_REQUEST_RESET,    /* reset register, i8042, port 0xcf9, triple fault
                             where the board says so */
    VSR_REQUEST_CRASH,    /* triple fault, engine failure, vsr_machine_fail */
    VSR_REQUEST_EXIT,     /* debug-exit port: `status` is the exit status */
} vsr_request;

typedef struct {
    /* On the machine's loop, no lock held; the first request wins, the next can
     * come after a reset. vCPUs of a machine that asked stop at once; the owner
     * then calls reset or free on the control thread (not from here). `detail`
     * is one line for people (borrowed), NULL for none. */
    void (*request)(void *opaque, vsr_request request, int status,
                    const char *detail);
} vsr_machine_events;

typedef struct {
    const vsr_engine_ops *engine;
    const vsr_engine_caps *caps; /* the engine's, as it said; NULL: it is asked,
                                    which takes KVM a while */
    uint32_t vcpus;              /* present at power-on */
    uint32_t max_vcpus;          /* >= vcpus */
    const vsr_cpuid *cpuid;      /* template; the machine fills APIC ids and
                               topology-dependent rows per vCPU */
    bool triple_fault_resets;    /* else it is a crash */
    vsr_vm_config vm;            /* for the engine; vm.vcpus is filled in */
    /* NULL, or adds the RAM that is there from the start: before the first
     * vCPU, where it costs KVM least. Called once, with machine->mem and the
     * configuration in place, and no bus device. */
    bool (*add_ram)(struct vsr_machine *machine, void *opaque, GError **error);
} vsr_machine_config;

/* Puts kernel or firmware into RAM and the boot processor's registers into
 * *state (which holds the architectural reset state). Called at each start and
 * reset, vCPUs stopped, RAM cleared. */
typedef bool vsr_machine_load(vsr_machine *machine, vsr_x86_state *state,
                              void *opaque, GError **error);

/* The members are read-only for others once the machine is built. */
struct vsr_machine {
    const vsr_engine_ops *engine;
    vsr_engine_caps caps;
    vsr_engine_vm *vm;
    vsr_mem *mem;
    vsr_bus *bus;
    vsr_irqs *irqs;
    vsr_loop *loop;          /* home loop of the legacy devices and timers */
    struct vsr_vcpus *vcpus; /* vcpu.h */
    uint32_t n_vcpus;        /* in use */
    GPtrArray *devices; /* of vsr_device, owned, in order of creation */
    vsr_machine_config config;
    /* private from here */
    const vsr_machine_events *events;
    void *opaque;
    vsr_machine_load *load;
    void *load_opaque;
    gint requested;           /* atomic: a request is waiting for the owner */
    bool running;             /* between run and pause */
    vsr_x86_state **power_on; /* of each vCPU, as the engine made it; NULL: it
                                 has not made that one yet */
};

vsr_machine *vsr_machine_new(const vsr_machine_config *config,
                             const vsr_machine_events *events, void *opaque,
                             GError **error);
/* Stops the vCPUs within 100 ms whatever the guest does, frees devices in
 * reverse order, then the engine's VM and RAM. NULL is a no-op. */
void vsr_machine_free(vsr_machine *machine);

void vsr_machine_set_load(vsr_machine *machine, vsr_machine_load *load,
                          void *opaque);
/* Reset everything, load, leave the vCPUs stopped. On failure the machine can
 * only be reset again or freed. */
bool vsr_machine_reset(vsr_machine *machine, GError **error);
/* vCPUs run / stand still (all have left guest code when it returns). Clocks
 * stop and go with them. Idempotent. With a request pending, run starts no
 * vCPU. */
void vsr_machine_run(vsr_machine *machine);
void vsr_machine_pause(vsr_machine *machine);
bool vsr_machine_running(const vsr_machine *machine);

/* Any thread. */
void vsr_machine_request(vsr_machine *machine, vsr_request request, int status,
                         const char *detail);
/* A broken invariant of ours: this domain stops as crashed; nothing else. */
void vsr_machine_fail(vsr_machine *machine, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* Our LAPIC model, to one vCPU. Any thread. */
int vsr_machine_signal(vsr_machine *machine, uint32_t vcpu,
                       vsr_vcpu_signal signal, uint32_t arg);

/* The guest's TSC on that vCPU now; 0 where the engine does not say. Any
 * thread. */
uint64_t vsr_machine_tsc(vsr_machine *machine, uint32_t vcpu);

/* vCPUs that come and go, all but vCPU 0, while the machine is paused. One that
 * is plugged waits for its start-up IPI; what the guest is told, and the state
 * of a LAPIC of ours, is the caller's. Control. */
bool vsr_machine_vcpu_plug(vsr_machine *machine, uint32_t vcpu, GError **error);
void vsr_machine_vcpu_unplug(vsr_machine *machine, uint32_t vcpu);
bool vsr_machine_vcpu_in_use(const vsr_machine *machine, uint32_t vcpu);
/* Runs on each vCPU's thread that is started from now on, before its guest code;
 * false: there is no such vCPU, with that error. */
typedef bool vsr_vcpu_entry(void *opaque, GError **error);
void vsr_machine_set_vcpu_entry(vsr_machine *machine, vsr_vcpu_entry *entry,
                                void *opaque);

typedef struct {
    uint64_t cpu_ns; /* host CPU time of the vCPU's thread */
    uint32_t n;      /* engine counters */
    const char *name[16];
    uint64_t value[16];
} vsr_vcpu_stats;
/* False: not in use. */
bool vsr_machine_vcpu_stats(vsr_machine *machine, uint32_t vcpu,
                            vsr_vcpu_stats *out);
/* Host CPU time of all vCPUs, with those that are in use no more. Control. */
uint64_t vsr_machine_cpu_ns(const vsr_machine *machine);
/* vCPUs stopped. */
int vsr_machine_vcpu_get(vsr_machine *machine, uint32_t vcpu,
                         vsr_x86_state *out);
int vsr_machine_vcpu_set(vsr_machine *machine, uint32_t vcpu,
                         const vsr_x86_state *in);

#endif
