/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_kvmclock.c: KVM's clock, through guest memory and the TSC.
 *
 * The guest's TSC counts nanoseconds, so the page holds one constant: the
 * difference between clock and TSC. It is written when the guest asks for it
 * and when one of the two was set; a pause stops both.
 *
 * Spec:    Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_WALL_CLOCK_NEW and
 *          MSR_KVM_SYSTEM_TIME_NEW; Documentation/virt/kvm/x86/cpuid.rst.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_kvmclock.h"

#include <time.h>

#include "drivers/emu/emu_engine.h"

enum { TSC_STABLE = 1 };

typedef struct {
    uint32_t version; /* odd while it is being written */
    uint32_t pad0;
    uint64_t tsc_timestamp;
    uint64_t system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t pad[2];
} clock_page;

typedef struct {
    uint32_t version;
    uint32_t sec;
    uint32_t nsec;
} wall_page;

G_STATIC_ASSERT(sizeof(clock_page) == 32);
G_STATIC_ASSERT(sizeof(wall_page) == 12);

/* Guest physical, not through the guest's page tables. NULL: no RAM there. */
static void *guest_bytes(emu_cpu *cpu, uint64_t gpa, unsigned len,
                         emu_slot **slot)
{
    *slot = emu_slot_find(cpu->vm, gpa);
    if (*slot == NULL || (*slot)->readonly ||
        (*slot)->gpa + (*slot)->len - gpa < len)
        return NULL;
    return (*slot)->host + (gpa - (*slot)->gpa);
}

static void put32(void *p, uint32_t value)
{
    __atomic_store_n((uint32_t *)p, value, __ATOMIC_SEQ_CST);
}

/* All but the version, between two of its values. */
static void write_page(emu_cpu *cpu, uint64_t gpa, const void *from,
                       unsigned len)
{
    emu_slot *slot;
    uint8_t *to = guest_bytes(cpu, gpa, len, &slot);
    uint32_t version;

    if (to == NULL)
        return;
    version = __atomic_load_n((uint32_t *)(void *)to, __ATOMIC_RELAXED);
    version = (version + 1) | 1;
    put32(to, version);
    memcpy(to + 4, (const uint8_t *)from + 4, len - 4);
    put32(to, version + 1);
    emu_ram_written(cpu->vm, slot, gpa, len);
}

/* Do all vCPUs read the same TSC? */
static bool tsc_in_step(emu_cpu *cpu)
{
    emu_vm *vm = cpu->vm;
    bool same = true;

    pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < EMU_VCPUS_MAX; i++) {
        emu_vcpu *other = atomic_load(&vm->cpus[i]);

        if (other && other->cpu->tsc_offset != cpu->tsc_offset)
            same = false;
    }
    pthread_mutex_unlock(&vm->lock);
    return same;
}

void emu_kvmclock_update(emu_cpu *cpu)
{
    emu_vm *vm = cpu->vm;
    uint64_t now = emu_vm_time(vm);
    clock_page page = {
        .tsc_timestamp = now + cpu->tsc_offset,
        .system_time = now + atomic_load(&vm->clock_offset),
        /* (delta << 1) * 2^31 >> 32 = delta */
        .tsc_to_system_mul = UINT32_C(1) << 31,
        .tsc_shift = 1,
    };

    if (!(cpu->kvmclock_msr & 1))
        return;
    page.flags = tsc_in_step(cpu) ? TSC_STABLE : 0;
    write_page(cpu, cpu->kvmclock_msr & ~UINT64_C(3), &page, sizeof page);
}

void emu_kvmclock_enable(emu_cpu *cpu, uint64_t value)
{
    cpu->kvmclock_msr = value;
    emu_kvmclock_update(cpu);
}

void emu_kvmclock_wall(emu_cpu *cpu, uint64_t value)
{
    emu_vm *vm = cpu->vm;
    wall_page page = { 0 };
    struct timespec ts;
    uint64_t boot;

    cpu->kvm_wall_msr = value;
    clock_gettime(CLOCK_REALTIME, &ts);
    boot = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec -
           (emu_vm_time(vm) + atomic_load(&vm->clock_offset));
    page.sec = (uint32_t)(boot / 1000000000u);
    page.nsec = (uint32_t)(boot % 1000000000u);
    write_page(cpu, value, &page, sizeof page);
}
