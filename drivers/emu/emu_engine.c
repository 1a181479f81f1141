/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_engine.c: the emulator as an engine: VMs, vCPUs, clocks.
 *
 * Spec:    src/engine/engine.h.
 * Threads: as engine.h says for each slot.
 */
#include "drivers/emu/emu_engine.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "drivers/emu/block_cache.h"
#include "drivers/emu/emu_memory.h"
#include "drivers/emu/emu_run.h"
#include "drivers/emu/guest_x86_cpuid.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_fpstate.h"
#include "drivers/emu/guest_x86_kvmclock.h"
#include "drivers/emu/guest_x86_reset.h"
#include "drivers/emu/guest_x86_statex.h"
#include "drivers/emu/mmu_tlb.h"

enum { TSC_HZ = 1000000000 };

struct vsr_engine_vm {
    emu_vm vm;
};

struct vsr_engine_vcpu {
    emu_vcpu vcpu;
};

/* --- clock --- */

static uint64_t host_ns(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t emu_vm_time(emu_vm *vm)
{
    if (atomic_load_explicit(&vm->paused, memory_order_acquire))
        return atomic_load(&vm->time_stopped);
    return host_ns(CLOCK_MONOTONIC) - atomic_load(&vm->time_base);
}

void emu_tsc_set(emu_cpu *cpu, uint64_t tsc)
{
    uint64_t offset = tsc - emu_vm_time(cpu->vm);
    uint64_t common = atomic_load(&cpu->vm->tsc_offset);
    int64_t apart = (int64_t)(offset - common);

    if (apart > -TSC_HZ && apart < TSC_HZ)
        offset = common;
    else
        atomic_store(&cpu->vm->tsc_offset, offset);
    cpu->tsc_offset = offset;
}

static int op_vm_pause(vsr_engine_vm *vm)
{
    emu_vm *v = &vm->vm;

    if (!atomic_load(&v->paused)) {
        atomic_store(&v->time_stopped, emu_vm_time(v));
        atomic_store(&v->paused, true);
    }
    return 0;
}

static int op_vm_resume(vsr_engine_vm *vm)
{
    emu_vm *v = &vm->vm;

    if (atomic_load(&v->paused)) {
        atomic_store(&v->time_base,
                     host_ns(CLOCK_MONOTONIC) - atomic_load(&v->time_stopped));
        atomic_store(&v->paused, false);
    }
    return 0;
}

static int op_clock_get(vsr_engine_vm *vm, vsr_engine_clock *out)
{
    out->realtime_ns = (int64_t)host_ns(CLOCK_REALTIME);
    out->guest_ns = emu_vm_time(&vm->vm) + atomic_load(&vm->vm.clock_offset);
    return 0;
}

static int op_clock_set(vsr_engine_vm *vm, const vsr_engine_clock *in)
{
    atomic_store(&vm->vm.clock_offset, in->guest_ns - emu_vm_time(&vm->vm));
    atomic_fetch_add(&vm->vm.clock_epoch, 1);
    return 0;
}

/* --- VM --- */

static bool op_caps(vsr_engine_caps *out, GError **error)
{
    *out = (vsr_engine_caps){
        .kvmclock = true,
        .max_vcpus = EMU_VCPUS_MAX,
        .phys_bits = EMU_PHYS_BITS,
        .tsc_hz = TSC_HZ,
        .max_memory = UINT64_C(1) << EMU_PHYS_BITS,
    };
    return true;
}

static bool op_cpuid_supported(vsr_cpuid *out, GError **error)
{
    emu_cpuid_supported(out);
    return true;
}

static vsr_engine_vm *op_vm_new(const vsr_vm_config *config,
                                const vsr_engine_events *events, void *machine,
                                GError **error)
{
    vsr_engine_vm *vm;

    if (config->vcpus == 0 || config->vcpus > EMU_VCPUS_MAX) {
        vsr_fail(error, VISOR_ERR_CONFIG,
                 "The emulator runs 1 to %d vCPUs, not %u", (int)EMU_VCPUS_MAX,
                 config->vcpus);
        return NULL;
    }
    vm = g_new0(vsr_engine_vm, 1);
    vm->vm.events = events;
    vm->vm.machine = machine;
    vm->vm.max_vcpus = config->vcpus;
    pthread_mutex_init(&vm->vm.lock, NULL);
    pthread_mutex_init(&vm->vm.split_lock, NULL);
    emu_memory_init(&vm->vm);
    atomic_store(&vm->vm.time_base, host_ns(CLOCK_MONOTONIC));
    atomic_store(&vm->vm.clock_epoch, 1);
    return vm;
}

static void op_vm_free(vsr_engine_vm *vm)
{
    if (vm == NULL)
        return;
    emu_memory_free(&vm->vm);
    pthread_mutex_destroy(&vm->vm.split_lock);
    pthread_mutex_destroy(&vm->vm.lock);
    g_free(vm);
}

static int op_mem_add(vsr_engine_vm *vm, const vsr_mem_slot *slot)
{
    return emu_mem_add(&vm->vm, slot);
}

static int op_mem_remove(vsr_engine_vm *vm, const vsr_mem_slot *slot)
{
    return emu_mem_remove(&vm->vm, slot);
}

static int op_dirty_start(vsr_engine_vm *vm)
{
    return emu_dirty_start(&vm->vm);
}

static int op_dirty_stop(vsr_engine_vm *vm)
{
    return emu_dirty_stop(&vm->vm);
}

static int op_dirty_fetch(vsr_engine_vm *vm, uint64_t gpa, uint64_t len,
                          unsigned long *bitmap)
{
    return emu_dirty_fetch(&vm->vm, gpa, len, bitmap);
}

static void op_dirty_mark(vsr_engine_vm *vm, uint64_t gpa, uint64_t len)
{
    emu_dirty_mark(&vm->vm, gpa, len);
}

/* --- vCPU --- */

static void cpu_free(emu_cpu *cpu)
{
    if (cpu == NULL)
        return;
    emu_blocks_free(cpu->blocks);
    emu_tlb_fini(cpu);
    free(cpu);
}

static emu_cpu *cpu_new(emu_vm *vm, emu_vcpu *vcpu,
                        const vsr_vcpu_config *config)
{
    size_t size = (sizeof(emu_cpu) + 63) & ~(size_t)63;
    emu_cpu *cpu = aligned_alloc(64, size);

    if (cpu == NULL)
        return NULL;
    memset(cpu, 0, sizeof *cpu);
    cpu->vm = vm;
    cpu->vcpu = vcpu;
    cpu->index = config->index;
    cpu->apic_id = config->apic_id;
    cpu->cpuid = *config->cpuid;
    cpu->lock_free = vm->max_vcpus == 1;
    cpu->phys_mask = (UINT64_C(1) << EMU_PHYS_BITS) - 1;
    cpu->tsc_offset = atomic_load(&vm->tsc_offset);
    cpu->delivering = -1;
    emu_tlb_init(cpu);
    cpu->blocks = emu_blocks_new(cpu);
    if (cpu->blocks == NULL) {
        cpu_free(cpu);
        return NULL;
    }
    emu_reset_power(cpu);
    return cpu;
}

static vsr_engine_vcpu *op_vcpu_new(vsr_engine_vm *vm,
                                    const vsr_vcpu_config *config,
                                    GError **error)
{
    vsr_engine_vcpu *vcpu;
    bool taken;

    if (config->index >= vm->vm.max_vcpus || config->cpuid == NULL ||
        config->cpuid->n > VSR_CPUID_ROWS_MAX) {
        vsr_fail(error, VISOR_ERR_CONFIG,
                 "vCPU %u is not one of the %u of this machine", config->index,
                 vm->vm.max_vcpus);
        return NULL;
    }
    vcpu = g_new0(vsr_engine_vcpu, 1);
    atomic_store(&vcpu->vcpu.outside, 1);
    vcpu->vcpu.cpu = cpu_new(&vm->vm, &vcpu->vcpu, config);
    if (vcpu->vcpu.cpu == NULL) {
        vsr_fail_errno(error, ENOMEM, "vCPU %u", config->index);
        g_free(vcpu);
        return NULL;
    }
    pthread_mutex_lock(&vm->vm.lock);
    taken = atomic_load(&vm->vm.cpus[config->index]) != NULL;
    if (!taken)
        atomic_store(&vm->vm.cpus[config->index], &vcpu->vcpu);
    pthread_mutex_unlock(&vm->vm.lock);
    if (taken) {
        vsr_fail(error, VISOR_ERR_EXISTS, "vCPU %u exists already",
                 config->index);
        cpu_free(vcpu->vcpu.cpu);
        g_free(vcpu);
        return NULL;
    }
    return vcpu;
}

static void op_vcpu_free(vsr_engine_vcpu *vcpu)
{
    emu_vm *vm;

    if (vcpu == NULL)
        return;
    vm = vcpu->vcpu.cpu->vm;
    pthread_mutex_lock(&vm->lock);
    atomic_store(&vm->cpus[vcpu->vcpu.cpu->index], NULL);
    emu_memory_forget(vm, vcpu->vcpu.cpu->index);
    pthread_mutex_unlock(&vm->lock);
    /* Those who still look at us see that we are outside, and go. */
    while (atomic_load(&vcpu->vcpu.watchers))
        sched_yield();
    cpu_free(vcpu->vcpu.cpu);
    g_free(vcpu);
}

/* The guest's clock page, if the clock was set or the page came with a state. */
static void renew_clock(emu_vcpu *vcpu)
{
    uint32_t epoch = atomic_load(&vcpu->cpu->vm->clock_epoch);

    if (vcpu->clock_epoch == epoch)
        return;
    vcpu->clock_epoch = epoch;
    emu_kvmclock_update(vcpu->cpu);
}

static int op_vcpu_run(vsr_engine_vcpu *vcpu)
{
    emu_vcpu *v = &vcpu->vcpu;
    int reason;

    v->failure[0] = '\0';
    emu_vcpu_enter(v);
    renew_clock(v);
    emu_fp_enter(v->cpu);
    reason = emu_run(v->cpu);
    emu_fp_leave(v->cpu);
    emu_vcpu_leave(v);
    return reason;
}

static void op_vcpu_kick(vsr_engine_vcpu *vcpu)
{
    emu_vcpu_request(&vcpu->vcpu, EMU_EXIT_KICK);
}

static const char *op_vcpu_failure(vsr_engine_vcpu *vcpu)
{
    return vcpu->vcpu.failure[0] ? vcpu->vcpu.failure : NULL;
}

static int op_vcpu_get(vsr_engine_vcpu *vcpu, vsr_x86_state *out)
{
    emu_state_get(vcpu->vcpu.cpu, out);
    return 0;
}

static int op_vcpu_set(vsr_engine_vcpu *vcpu, const vsr_x86_state *in)
{
    return emu_state_set(vcpu->vcpu.cpu, in);
}

static void add_nmi(emu_cpu *cpu)
{
    uint32_t nmis = atomic_load(&cpu->nmis);

    while (nmis < 2 &&
           !atomic_compare_exchange_weak(&cpu->nmis, &nmis, nmis + 1))
        ;
}

static int op_vcpu_signal(vsr_engine_vcpu *vcpu, vsr_vcpu_signal signal,
                          uint32_t arg)
{
    emu_vcpu *v = &vcpu->vcpu;

    switch (signal) {
    case VSR_SIGNAL_INTR:
        if (arg == 0) {
            atomic_store(&v->cpu->intr_level, 0);
            return 0;
        }
        atomic_fetch_add(&v->intr_seq, 1);
        atomic_store(&v->cpu->intr_level, 1);
        emu_vcpu_request(v, EMU_EXIT_INTR);
        return 0;
    case VSR_SIGNAL_NMI:
        add_nmi(v->cpu);
        emu_vcpu_request(v, EMU_EXIT_NMI);
        return 0;
    case VSR_SIGNAL_INIT:
        emu_vcpu_request(v, EMU_EXIT_INIT);
        return 0;
    case VSR_SIGNAL_SIPI:
        atomic_store(&v->cpu->sipi_vector, arg & 0xff);
        emu_vcpu_request(v, EMU_EXIT_SIPI);
        return 0;
    case VSR_SIGNAL_SMI:
        return 0;
    }
    return -EINVAL;
}

static uint64_t op_vcpu_tsc(vsr_engine_vcpu *vcpu)
{
    emu_cpu *cpu = vcpu->vcpu.cpu;

    return emu_vm_time(cpu->vm) +
           __atomic_load_n(&cpu->tsc_offset, __ATOMIC_RELAXED);
}

static uint32_t op_vcpu_stats(vsr_engine_vcpu *vcpu, const char **names,
                              uint64_t *values, uint32_t max)
{
    if (max < 1)
        return 0;
    names[0] = "emu.instructions";
    values[0] = __atomic_load_n(&vcpu->vcpu.cpu->insns, __ATOMIC_RELAXED);
    return 1;
}

const vsr_engine_ops vsr_emu_engine = {
    .name = "emu",
    .caps = op_caps,
    .cpuid_supported = op_cpuid_supported,
    .vm_new = op_vm_new,
    .vm_free = op_vm_free,
    .vm_pause = op_vm_pause,
    .vm_resume = op_vm_resume,
    .mem_add = op_mem_add,
    .mem_remove = op_mem_remove,
    .vcpu_new = op_vcpu_new,
    .vcpu_free = op_vcpu_free,
    .vcpu_run = op_vcpu_run,
    .vcpu_kick = op_vcpu_kick,
    .vcpu_failure = op_vcpu_failure,
    .vcpu_get = op_vcpu_get,
    .vcpu_set = op_vcpu_set,
    .vcpu_signal = op_vcpu_signal,
    .vcpu_tsc = op_vcpu_tsc,
    .dirty_start = op_dirty_start,
    .dirty_stop = op_dirty_stop,
    .dirty_fetch = op_dirty_fetch,
    .dirty_mark = op_dirty_mark,
    .clock_get = op_clock_get,
    .clock_set = op_clock_set,
    .vcpu_stats = op_vcpu_stats,
};
