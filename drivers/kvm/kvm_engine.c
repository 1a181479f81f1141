/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_engine.c: the engine's table, and a VM's life.
 *
 * Spec:    src/engine/engine.h; Linux, Documentation/virt/kvm/api.rst, 4.2
 *          "KVM_CREATE_VM", 4.40 "KVM_SET_IDENTITY_MAP_ADDR", 4.39
 *          "KVM_SET_TSS_ADDR", 7.9 "KVM_CAP_X2APIC_API", 7.13
 *          "KVM_CAP_X86_DISABLE_EXITS", 7.21 "KVM_CAP_HALT_POLL".
 * Threads: as engine.h says for each slot.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>

#include "base/error.h"
#include "drivers/kvm/kvm_host.h"
#include "drivers/kvm/kvm_sys.h"

static bool set_places(const vsr_engine_vm *vm, GError **error)
{
    uint64_t identity = KVM_IDENTITY_GPA;
    int rc = kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);

    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_SET_IDENTITY_MAP_ADDR");
    rc = kvm_ioctl_value(vm->fd, KVM_SET_TSS_ADDR, KVM_TSS_GPA);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_SET_TSS_ADDR");
    return true;
}

/* APIC ids are whole in a LAPIC's page, and MSIs reach those above 254. Hosts
 * that do not have it run as many vCPUs as 8 bits name. */
static bool set_x2apic(const vsr_engine_vm *vm, GError **error)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X2APIC_API,
        .args = { KVM_X2APIC_API_USE_32BIT_IDS |
                  KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK },
    };
    int rc;

    if (kvm_host_extension(vm->device_fd, KVM_CAP_X2APIC_API) == 0)
        return true;
    rc = kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_CAP_X2APIC_API");
    return true;
}

/* Before the first vCPU. */
static bool set_tuning(const vsr_engine_vm *vm, const vsr_vm_config *config,
                       GError **error)
{
    struct kvm_enable_cap exits = { .cap = KVM_CAP_X86_DISABLE_EXITS,
                                    .args = { config->disable_exits } };
    struct kvm_enable_cap poll = { .cap = KVM_CAP_HALT_POLL,
                                   .args = { config->halt_poll_ns } };
    int rc = 0;

    if (config->disable_exits != 0)
        rc = kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &exits);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_CAP_X86_DISABLE_EXITS");
    if (config->has_halt_poll)
        rc = kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &poll);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "KVM_CAP_HALT_POLL");
    return true;
}

static bool vm_init(vsr_engine_vm *vm, const vsr_vm_config *config,
                    GError **error)
{
    int rc;

    vm->device_fd = kvm_host_open(error);
    if (vm->device_fd < 0)
        return false;
    rc = kvm_ioctl_value(vm->device_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (rc < (int)sizeof(struct kvm_run))
        return vsr_fail_errno(error, rc < 0 ? rc : EIO,
                              "KVM_GET_VCPU_MMAP_SIZE");
    vm->run_len = (size_t)rc;
    vm->max_slots = (uint32_t)kvm_host_slots(vm->device_fd);
    vm->signal = kvm_sys.signal_pick();
    if (vm->signal < 0)
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "All real-time signals of this process have handlers;"
                        " one is needed to stop vCPUs");
    vm->fd = kvm_ioctl_value(vm->device_fd, KVM_CREATE_VM, 0);
    if (vm->fd < 0)
        return vsr_fail_errno(error, vm->fd, "KVM_CREATE_VM");
    return set_places(vm, error) && set_x2apic(vm, error) &&
           set_tuning(vm, config, error);
}

static void kvm_vm_free(vsr_engine_vm *vm)
{
    if (vm == NULL)
        return;
    for (guint i = 0; i < vm->parked->len; i++) {
        kvm_parked *parked = &g_array_index(vm->parked, kvm_parked, i);

        kvm_sys.close(parked->fd);
        g_free(parked->power_on);
    }
    g_array_unref(vm->parked);
    kvm_sys.close(vm->fd);
    kvm_sys.close(vm->device_fd);
    g_ptr_array_unref(vm->slots);
    g_array_unref(vm->free_slots);
    g_ptr_array_unref(vm->vcpus);
    g_mutex_clear(&vm->lock);
    g_free(vm->power_on);
    g_free(vm);
}

static vsr_engine_vm *kvm_vm_new(const vsr_vm_config *config,
                                 const vsr_engine_events *events, void *machine,
                                 GError **error)
{
    vsr_engine_vm *vm = g_new0(vsr_engine_vm, 1);

    vm->events = events;
    vm->machine = machine;
    vm->max_vcpus = config->vcpus;
    vm->fd = vm->device_fd = -1;
    vm->slots = g_ptr_array_new_with_free_func(kvm_slot_free);
    vm->free_slots = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    vm->vcpus = g_ptr_array_new();
    vm->parked = g_array_new(FALSE, FALSE, sizeof(kvm_parked));
    g_mutex_init(&vm->lock);
    if (!vm_init(vm, config, error)) {
        kvm_vm_free(vm);
        return NULL;
    }
    return vm;
}

const vsr_engine_ops vsr_kvm_engine = {
    .name = "kvm",
    .caps = kvm_host_caps,
    .cpuid_supported = kvm_host_cpuid,
    .vm_new = kvm_vm_new,
    .vm_free = kvm_vm_free,
    .vm_pause = kvm_vm_pause,
    .vm_resume = kvm_vm_resume,
    .vm_reset = kvm_chips_reset,
    .mem_add = kvm_mem_add,
    .mem_remove = kvm_mem_remove,
    .vcpu_new = kvm_vcpu_new,
    .vcpu_free = kvm_vcpu_free,
    .vcpu_run = kvm_vcpu_run,
    .vcpu_kick = kvm_vcpu_kick,
    .vcpu_failure = kvm_vcpu_failure,
    .vcpu_get = kvm_state_get,
    .vcpu_set = kvm_state_set,
    .vcpu_tsc = kvm_vcpu_tsc,
    .irq_line = kvm_irq_line,
    .msi = kvm_msi,
    .irqfd_add = kvm_irqfd_add,
    .irqfd_remove = kvm_irqfd_remove,
    .doorbell_add = kvm_doorbell_add,
    .doorbell_remove = kvm_doorbell_remove,
    .dirty_start = kvm_dirty_start,
    .dirty_stop = kvm_dirty_stop,
    .dirty_fetch = kvm_dirty_fetch,
    .dirty_mark = kvm_dirty_mark,
    .clock_get = kvm_clock_get,
    .clock_set = kvm_clock_set,
    .vcpu_stats = kvm_vcpu_stats,
};
