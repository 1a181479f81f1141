/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_clock.c: the guest's clocks. KVM's go on while nobody runs; so they are
 * read at a pause and set back when the VM goes on, for all vCPUs by the same
 * reading of the host's TSC, which keeps them in step.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.29 "KVM_GET_CLOCK", 4.76
 *          "KVM_KVMCLOCK_CTRL"; Documentation/virt/kvm/devices/vcpu.rst, 4
 *          "KVM_VCPU_TSC_CTRL".
 * Threads: control, vCPUs stopped; get and set on any.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>
#include <time.h>

#include "drivers/kvm/kvm_sys.h"

enum { MSR_TSC = 0x10, MSR_TSC_DEADLINE = 0x6e0 };

/* --- TSC --- */

static int tsc_offset(vsr_engine_vcpu *vcpu, unsigned long request,
                      uint64_t *offset)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)offset,
    };

    return kvm_ioctl(vcpu->fd, request, &attr);
}

static int tsc_read(vsr_engine_vcpu *vcpu, uint64_t host, uint64_t *out)
{
    uint64_t offset = 0;
    int rc;

    if (!vcpu->has_tsc_offset)
        return kvm_msr_read(vcpu, MSR_TSC, out);
    rc = tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &offset);
    if (rc < 0)
        return rc;
    *out = host + offset;
    return 0;
}

static int tsc_write(vsr_engine_vcpu *vcpu, uint64_t host, uint64_t value)
{
    uint64_t offset = value - host;

    if (!vcpu->has_tsc_offset)
        return kvm_msr_write(vcpu, MSR_TSC, value);
    return tsc_offset(vcpu, KVM_SET_DEVICE_ATTR, &offset);
}

int kvm_tsc_get(vsr_engine_vcpu *vcpu, uint64_t *out)
{
    if (vcpu->vm->paused) {
        *out = vcpu->tsc;
        return 0;
    }
    return tsc_read(vcpu, kvm_sys.tsc(), out);
}

int kvm_tsc_set(vsr_engine_vcpu *vcpu, uint64_t value)
{
    if (vcpu->vm->paused) {
        vcpu->tsc = value;
        return 0;
    }
    return tsc_write(vcpu, kvm_sys.tsc(), value);
}

uint64_t kvm_vcpu_tsc(vsr_engine_vcpu *vcpu)
{
    uint64_t value = 0;

    (void)kvm_tsc_get(vcpu, &value);
    return value;
}

/* The timer compares with the TSC: arm it anew when that has moved. */
static int deadline_rearm(vsr_engine_vcpu *vcpu)
{
    uint64_t deadline = 0;

    if (kvm_msr_read(vcpu, MSR_TSC_DEADLINE, &deadline) < 0 || deadline == 0)
        return 0;
    return kvm_msr_write(vcpu, MSR_TSC_DEADLINE, deadline);
}

/* --- the paravirtual clock --- */

static int64_t realtime_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int clock_read(vsr_engine_vm *vm, uint64_t *out)
{
    struct kvm_clock_data data = { 0 };
    int rc = kvm_ioctl(vm->fd, KVM_GET_CLOCK, &data);

    if (rc >= 0)
        *out = data.clock;
    return MIN(rc, 0);
}

static int clock_write(vsr_engine_vm *vm, uint64_t value)
{
    struct kvm_clock_data data = { .clock = value };
    int rc = kvm_ioctl(vm->fd, KVM_SET_CLOCK, &data);

    return MIN(rc, 0);
}

int kvm_clock_get(vsr_engine_vm *vm, vsr_engine_clock *out)
{
    int rc = 0;

    g_mutex_lock(&vm->lock);
    out->realtime_ns = realtime_ns();
    if (vm->paused)
        out->guest_ns = vm->clock_ns;
    else
        rc = clock_read(vm, &out->guest_ns);
    g_mutex_unlock(&vm->lock);
    return rc;
}

int kvm_clock_set(vsr_engine_vm *vm, const vsr_engine_clock *in)
{
    int rc = 0;

    g_mutex_lock(&vm->lock);
    if (vm->paused)
        vm->clock_ns = in->guest_ns;
    else
        rc = clock_write(vm, in->guest_ns);
    g_mutex_unlock(&vm->lock);
    return rc;
}

/* --- pause and resume --- */

int kvm_vm_pause(vsr_engine_vm *vm)
{
    uint64_t host = kvm_sys.tsc();
    int rc = 0;

    g_mutex_lock(&vm->lock);
    if (!vm->paused) {
        rc = clock_read(vm, &vm->clock_ns);
        for (guint i = 0; i < vm->vcpus->len && rc == 0; i++) {
            vsr_engine_vcpu *vcpu = vm->vcpus->pdata[i];

            rc = tsc_read(vcpu, host, &vcpu->tsc);
        }
        vm->paused = rc == 0;
    }
    g_mutex_unlock(&vm->lock);
    return rc;
}

int kvm_vm_resume(vsr_engine_vm *vm)
{
    uint64_t host;
    int rc = 0;

    g_mutex_lock(&vm->lock);
    if (vm->paused) {
        host = kvm_sys.tsc();
        for (guint i = 0; i < vm->vcpus->len && rc == 0; i++) {
            vsr_engine_vcpu *vcpu = vm->vcpus->pdata[i];

            rc = tsc_write(vcpu, host, vcpu->tsc);
        }
        if (rc == 0)
            rc = clock_write(vm, vm->clock_ns);
        for (guint i = 0; i < vm->vcpus->len && rc == 0; i++) {
            vsr_engine_vcpu *vcpu = vm->vcpus->pdata[i];

            rc = deadline_rearm(vcpu);
            /* So that its watchdog forgives the gap; fails where the guest
             * does not use the clock. */
            (void)kvm_ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, NULL);
        }
        vm->paused = false;
    }
    g_mutex_unlock(&vm->lock);
    return rc;
}
