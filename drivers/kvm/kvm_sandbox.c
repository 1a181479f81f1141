/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_sandbox.c: the ioctls that this engine makes once a guest runs, and on
 * which threads; for the system call filters (src/vmm/sandbox_filters.c). Part
 * of a program of the build.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4 "API description".
 * Threads: none.
 */
#include "base/sandbox_kinds.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

enum {
    C = 1 << SANDBOX_CONTROL,
    I = 1 << SANDBOX_IO,
    V = 1 << SANDBOX_VCPU,
    VCPUS = SANDBOX_VCPUS << SANDBOX_KINDS,
};

const sandbox_request vsr_kvm_sandbox_requests[] = {
    { V, KVM_RUN },
    /* What devices do to interrupts, on whichever thread they run. */
    { V | I | C, KVM_IRQ_LINE },
    { V | I | C, KVM_SIGNAL_MSI },
    { V | I | C, KVM_IOEVENTFD }, /* doorbells move with a device's BARs */
    { V | I | C, KVM_IRQFD },
    /* A vCPU's state, on its own thread. */
    { V, KVM_GET_DEBUGREGS },
    { V, KVM_SET_DEBUGREGS },
    { V, KVM_GET_LAPIC },
    { V, KVM_SET_LAPIC },
    { V, KVM_GET_MP_STATE },
    { V, KVM_SET_MP_STATE },
    { V, KVM_GET_NESTED_STATE },
    { V, KVM_SET_NESTED_STATE },
    { V, KVM_GET_REGS },
    { V, KVM_SET_REGS },
    { V, KVM_GET_SREGS },
    { V, KVM_SET_SREGS },
    { V, KVM_GET_VCPU_EVENTS },
    { V, KVM_SET_VCPU_EVENTS },
    { V, KVM_GET_XCRS },
    { V, KVM_SET_XCRS },
    { V, KVM_GET_XSAVE },
    { V, KVM_SET_XSAVE },
    { V, KVM_CHECK_EXTENSION }, /* has it nested state? */
    { V, KVM_GET_NESTED_STATE },
    { V, KVM_SET_NESTED_STATE },
    /* Its clocks, which stand still in a pause, also from outside. */
    { V | C, KVM_GET_MSRS },
    { V | C, KVM_SET_MSRS },
    { V | C, KVM_GET_DEVICE_ATTR },
    { V | C, KVM_SET_DEVICE_ATTR },
    { V | C, KVM_KVMCLOCK_CTRL },
    /* The VM's. */
    { C, KVM_GET_CLOCK },
    { C, KVM_SET_CLOCK },
    { C, KVM_GET_IRQCHIP },
    { C, KVM_SET_IRQCHIP },
    { C, KVM_GET_PIT2 },
    { C, KVM_SET_PIT2 },
    { C, KVM_GET_DIRTY_LOG },
    { C, KVM_SET_USER_MEMORY_REGION },
    /* A vCPU that comes later, on its own thread, which then is one of V. */
    { VCPUS, KVM_CREATE_VCPU },
    { VCPUS, KVM_ENABLE_CAP },
    { VCPUS, KVM_HAS_DEVICE_ATTR },
    { VCPUS, KVM_SET_CPUID2 },
    { VCPUS, KVM_SET_SIGNAL_MASK },
    { VCPUS, KVM_X86_GET_MCE_CAP_SUPPORTED },
    { VCPUS, KVM_X86_SETUP_MCE },
    { 0, 0 },
};
