/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_host.c: opening /dev/kvm, and what it is able to do.
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst, 4.1 "KVM_GET_API_VERSION",
 *          4.4 "KVM_CHECK_EXTENSION".
 * Threads: any.
 */
#include "drivers/kvm/kvm_host.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "base/error.h"
#include "drivers/kvm/kvm_sys.h"

enum { API_VERSION = 12, VCPUS_MAX = 255, SLOTS_MIN = 32 };

/* The contract has KVM's numbers. */
G_STATIC_ASSERT((int)VSR_EXIT_MWAIT == KVM_X86_DISABLE_EXITS_MWAIT);
G_STATIC_ASSERT((int)VSR_EXIT_HLT == KVM_X86_DISABLE_EXITS_HLT);
G_STATIC_ASSERT((int)VSR_EXIT_PAUSE == KVM_X86_DISABLE_EXITS_PAUSE);
G_STATIC_ASSERT((int)VSR_EXIT_CSTATE == KVM_X86_DISABLE_EXITS_CSTATE);

/* All are in Linux 4.18 and later. */
static const struct {
    int number;
    const char *name;
} required[] = {
    { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
    { KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
    { KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR" },
    { KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
    { KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
    { KVM_CAP_PIT2, "KVM_CAP_PIT2" },
    { KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2" },
    { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
    { KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
    { KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
    { KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
    { KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS" },
    { KVM_CAP_XSAVE, "KVM_CAP_XSAVE" },
    { KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK" },
    { KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM" },
    { KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
    { KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
    { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

int kvm_host_extension(int fd, int capability)
{
    int rc =
        kvm_ioctl_value(fd, KVM_CHECK_EXTENSION, (unsigned long)capability);

    return rc > 0 ? rc : 0;
}

int kvm_host_slots(int fd)
{
    int slots = kvm_host_extension(fd, KVM_CAP_NR_MEMSLOTS);

    return slots > 0 ? slots : SLOTS_MIN;
}

static bool open_failed(int err, GError **error)
{
    switch (err) {
    case ENOENT:
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "There is no '" KVM_DEVICE "' on this host");
    case EACCES:
    case EPERM:
        return vsr_fail(error, VISOR_ERR_ACCESS,
                        "No permission to use '" KVM_DEVICE "'");
    case ENODEV:
    case ENXIO:
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Nothing serves '" KVM_DEVICE
                        "': the processor's KVM module is not loaded");
    default:
        return vsr_fail_errno(error, err, "Cannot open '" KVM_DEVICE "'");
    }
}

static bool check_device(int fd, GError **error)
{
    int version = kvm_ioctl(fd, KVM_GET_API_VERSION, NULL);

    if (version < 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "'" KVM_DEVICE "' is not KVM's device: %s",
                        g_strerror(-version));
    if (version != API_VERSION)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "'" KVM_DEVICE "' speaks version %d of its API, not %d",
                        version, (int)API_VERSION);
    for (size_t i = 0; i < G_N_ELEMENTS(required); i++)
        if (kvm_host_extension(fd, required[i].number) == 0)
            return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                            "This host's KVM lacks the capability %s",
                            required[i].name);
    return true;
}

int kvm_host_open(GError **error)
{
    int fd = kvm_sys.open(KVM_DEVICE);

    if (fd < 0) {
        (void)open_failed(-fd, error);
        return -1;
    }
    if (!check_device(fd, error)) {
        kvm_sys.close(fd);
        return -1;
    }
    return fd;
}

static const vsr_cpuid_row *row_find(const vsr_cpuid *rows, uint32_t leaf)
{
    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->row[i].leaf == leaf)
            return &rows->row[i];
    return NULL;
}

bool kvm_host_caps(vsr_engine_caps *out, GError **error)
{
    enum { KVMCLOCK = 1 << 3 };
    g_autofree vsr_cpuid *rows = g_new0(vsr_cpuid, 1);
    const vsr_cpuid_row *row;
    int fd, vcpus, slots, exits;
    bool has_poll;

    if (!kvm_host_cpuid(rows, error))
        return false;
    fd = kvm_host_open(error);
    if (fd < 0)
        return false;
    vcpus = kvm_host_extension(fd, KVM_CAP_MAX_VCPUS);
    if (vcpus == 0)
        vcpus = kvm_host_extension(fd, KVM_CAP_NR_VCPUS);
    slots = kvm_host_slots(fd);
    exits = kvm_host_extension(fd, KVM_CAP_X86_DISABLE_EXITS);
    has_poll = kvm_host_extension(fd, KVM_CAP_HALT_POLL) > 0;
    kvm_sys.close(fd);
    *out = (vsr_engine_caps){
        .accelerated = true,
        .lapic = true,
        .ioapic = true,
        .pic = true,
        .pit = true,
        .max_vcpus = (uint32_t)CLAMP(vcpus, 1, VCPUS_MAX),
        .phys_bits = 36,
        .max_slots = (uint32_t)slots,
        .disable_exits = (uint32_t)exits & KVM_X86_DISABLE_VALID_EXITS,
        .halt_poll = has_poll,
    };
    row = row_find(rows, 0x40000001);
    out->kvmclock = row != NULL && (row->eax & KVMCLOCK);
    row = row_find(rows, 0x80000008);
    if (row != NULL)
        out->phys_bits = CLAMP(row->eax & 0xff, 32, 52);
    return true;
}
