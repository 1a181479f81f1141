/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_nested_x86.c: guests that run virtual machines. KVM does that by itself;
 * what it keeps for it is not in the neutral state, so that such a vCPU can be
 * reset, and cannot be saved while it does.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.114
 *          "KVM_GET_NESTED_STATE", 4.115 "KVM_SET_NESTED_STATE".
 * Threads: the vCPU's own, or the control thread with vCPUs stopped.
 */
#include "drivers/kvm/kvm_engine.h"

#include <errno.h>

#include "drivers/kvm/kvm_host.h"
#include "drivers/kvm/kvm_sys.h"

enum { VMX = 1 << 5, SVM = 1 << 2 }; /* ECX of leaves 1 and 0x80000001 */

/* With room for what is not looked at. */
typedef union {
    struct kvm_nested_state state;
    uint8_t room[16 * 1024];
} nested_buffer;

kvm_nested kvm_nested_of(const vsr_engine_vm *vm, const vsr_cpuid *rows)
{
    if (kvm_host_extension(vm->device_fd, KVM_CAP_NESTED_STATE) == 0)
        return KVM_NESTED_NONE;
    for (uint32_t i = 0; i < rows->n; i++) {
        if (rows->row[i].leaf == 1 && (rows->row[i].ecx & VMX))
            return KVM_NESTED_VMX;
        if (rows->row[i].leaf == 0x80000001 && (rows->row[i].ecx & SVM))
            return KVM_NESTED_SVM;
    }
    return KVM_NESTED_NONE;
}

int kvm_nested_check(const vsr_engine_vcpu *vcpu)
{
    g_autofree nested_buffer *now = NULL;
    int rc;

    if (vcpu->nested == KVM_NESTED_NONE)
        return 0;
    now = g_new0(nested_buffer, 1);
    now->state.size = sizeof *now;
    rc = kvm_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, &now->state);
    if (rc < 0)
        return rc;
    if ((now->state.flags & KVM_STATE_NESTED_GUEST_MODE) ||
        (vcpu->nested == KVM_NESTED_VMX &&
         now->state.hdr.vmx.vmxon_pa != UINT64_MAX))
        return -EOPNOTSUPP;
    return 0;
}

int kvm_nested_leave(const vsr_engine_vcpu *vcpu)
{
    struct kvm_nested_state none = { .size = sizeof none };
    int rc;

    if (vcpu->nested == KVM_NESTED_NONE)
        return 0;
    if (vcpu->nested == KVM_NESTED_SVM) {
        none.format = KVM_STATE_NESTED_FORMAT_SVM;
        none.flags = KVM_STATE_NESTED_GIF_SET;
    } else {
        none.format = KVM_STATE_NESTED_FORMAT_VMX;
        none.hdr.vmx.vmxon_pa = UINT64_MAX;
        none.hdr.vmx.vmcs12_pa = UINT64_MAX;
    }
    rc = kvm_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, &none);
    return MIN(rc, 0);
}
