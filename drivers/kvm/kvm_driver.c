/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_driver.c: the kvm backend as the driver layer sees it, and what it has to
 * say about this host.
 *
 * Domain life cycle is the native driver's (src/driver/native_*.c); the engine
 * is kvm_engine.c.
 *
 * Threads: any.
 */
#include "driver/driver.h"

#include <errno.h>
#include <string.h>

#include <visor/host.h>

#include "drivers/kvm/kvm_host.h"
#include "drivers/kvm/kvm_sys.h"

enum { CPUINFO_MAX = 16 * 1024 };

static bool kvm_probe(GError **error)
{
    vsr_engine_caps caps;

    return vsr_kvm_engine.caps(&caps, error);
}

/* A software KVM is for those who name it. */
static bool kvm_preferred(void)
{
    kvm_speed speed = kvm_host_module();
    double mips;

    if (speed == KVM_UNKNOWN)
        speed = kvm_host_measure(&mips);
    return speed == KVM_HARDWARE;
}

/* --- findings --- */

typedef struct {
    bool has_virtualization; /* VMX or SVM */
    bool is_guest;           /* this host is itself a virtual machine */
    bool is_intel;
} host_cpu;

/* The first processor's flags: the word, with a space on each side. */
static bool has_flag(const char *text, const char *flag)
{
    const char *flags = strstr(text, "\nflags");
    g_autofree char *line = NULL;
    g_autofree char *word = g_strdup_printf(" %s ", flag);

    if (flags == NULL)
        return false;
    line = g_strdup_printf("%.*s ", (int)strcspn(flags + 1, "\n"), flags + 1);
    return strstr(line, word) != NULL;
}

static host_cpu host_cpu_get(void)
{
    g_autofree char *text = g_malloc(CPUINFO_MAX);

    (void)kvm_sys.read_file("/proc/cpuinfo", text, CPUINFO_MAX);
    return (host_cpu){
        .has_virtualization = has_flag(text, "vmx") || has_flag(text, "svm"),
        .is_guest = has_flag(text, "hypervisor"),
        .is_intel = strstr(text, "GenuineIntel") != NULL,
    };
}

/* What to do about a device that is not there. */
static const char *missing_remedy(const host_cpu *cpu)
{
    if (cpu->has_virtualization)
        return cpu->is_intel ? "Load the module: 'modprobe kvm_intel'"
                             : "Load the module: 'modprobe kvm_amd'";
    if (cpu->is_guest)
        return "This host is a virtual machine: let its own hypervisor offer"
               " nested virtualization; until then use engine emu";
    return "Switch virtualization (VT-x, AMD-V) on in the firmware's settings;"
           " until then use engine emu";
}

static void check_device(const host_cpu *cpu, const GError *why,
                         vsr_finding_fn *fn, void *opaque)
{
    const char *remedy = "Use a kernel of version 4.18 or later, or engine emu";
    int fd = kvm_sys.open(KVM_DEVICE);

    if (fd >= 0)
        kvm_sys.close(fd);
    if (why->code == VISOR_ERR_ACCESS)
        remedy = "Join the group that owns it: 'usermod -aG kvm USER', then log"
                 " in again";
    else if (fd == -ENOENT || fd == -ENODEV || fd == -ENXIO)
        remedy = missing_remedy(cpu);
    fn("kvm", "Device " KVM_DEVICE, VISOR_CHECK_FAIL, why->message, remedy,
       opaque);
}

static void check_hardware(const host_cpu *cpu, vsr_finding_fn *fn,
                           void *opaque)
{
    g_autofree char *detail = NULL;
    double mips;

    switch (kvm_host_measure(&mips)) {
    case KVM_HARDWARE:
        fn("kvm", "Hardware virtualization", VISOR_CHECK_PASS,
           cpu->is_guest ? "Nested: this host is itself a virtual machine"
                         : "Used",
           "", opaque);
        return;
    case KVM_SOFTWARE:
        detail = g_strdup_printf(
            "None: this KVM is software and runs a guest's kernel at %.1f"
            " million instructions a second",
            mips);
        fn("kvm", "Hardware virtualization", VISOR_CHECK_WARN, detail,
           "Use engine emu, which is faster; 'auto' does so", opaque);
        return;
    case KVM_UNKNOWN:
        fn("kvm", "Hardware virtualization", VISOR_CHECK_FAIL,
           "A small guest does not run",
           "Look into the kernel's log; use engine emu", opaque);
        return;
    }
}

static void kvm_check(vsr_finding_fn *fn, void *opaque)
{
    g_autoptr(GError) error = NULL;
    host_cpu cpu = host_cpu_get();
    int fd = kvm_host_open(&error);

    if (fd < 0) {
        check_device(&cpu, error, fn, opaque);
        return;
    }
    kvm_sys.close(fd);
    fn("kvm", "Device " KVM_DEVICE, VISOR_CHECK_PASS,
       "Usable, with all capabilities that are needed", "", opaque);
    check_hardware(&cpu, fn, opaque);
}

const vsr_driver vsr_kvm_driver = {
    .name = "kvm",
    .engine = &vsr_kvm_engine,
    .probe = kvm_probe,
    .preferred = kvm_preferred,
    .check = kvm_check,
    .conn = &vsr_native_conn_ops,
    .domain = &vsr_native_domain_ops,
    .host = &vsr_native_host_ops,
};
