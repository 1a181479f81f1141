/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_probe.c: is there hardware behind /dev/kvm? Some hosts serve the device
 * by software alone; such a KVM runs the guest's kernel at a few million
 * instructions a second, which is slower than our own emulator, and knows only
 * part of the instruction set.
 *
 * Threads: any.
 */
#include "drivers/kvm/kvm_host.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "drivers/kvm/kvm_sys.h"

enum {
    PAGE = 4096,
    CODE = 0x1000, /* one page of RAM, there */
    LOOPS = 0x4000,
    RUNS_MAX = 64, /* of KVM_RUN, in case signals come */
    TRIES = 3,     /* the best counts: others use the processor too */
    SOFTWARE_MIPS = 8,
};

kvm_speed kvm_host_module(void)
{
    char text[16];

    if (kvm_sys.read_file("/sys/module/kvm_pvm/refcnt", text, sizeof text) >= 0)
        return KVM_SOFTWARE;
    if (kvm_sys.read_file("/sys/module/kvm_intel/parameters/ept", text,
                          sizeof text) >= 0 ||
        kvm_sys.read_file("/sys/module/kvm_amd/parameters/npt", text,
                          sizeof text) >= 0)
        return KVM_HARDWARE;
    return KVM_UNKNOWN;
}

typedef struct {
    int device, vm, vcpu;
    size_t run_len;
    struct kvm_run *run;
    uint8_t *ram;
} trial;

static void trial_end(trial *t)
{
    if (t->run != NULL)
        kvm_sys.unmap(t->run, t->run_len);
    kvm_sys.close(t->vcpu);
    kvm_sys.close(t->vm);
    if (t->ram != NULL)
        kvm_sys.unmap(t->ram, PAGE);
    kvm_sys.close(t->device);
}

static bool trial_begin(trial *t)
{
    static const uint8_t code[] = {
        0xb9, LOOPS & 0xff, LOOPS >> 8, /* mov cx, LOOPS */
        0xe2, 0xfe,                     /* again: loop again */
        0xe6, 0x80,                     /* out 0x80, al */
    };
    struct kvm_userspace_memory_region slot = { .guest_phys_addr = CODE,
                                                .memory_size = PAGE };
    int err = 0, len;

    *t = (trial){ .vm = -1, .vcpu = -1 };
    t->device = kvm_host_open(NULL);
    if (t->device < 0)
        return false;
    len = kvm_ioctl_value(t->device, KVM_GET_VCPU_MMAP_SIZE, 0);
    t->vm = kvm_ioctl_value(t->device, KVM_CREATE_VM, 0);
    if (len < (int)sizeof(struct kvm_run) || t->vm < 0)
        return false;
    t->run_len = (size_t)len;
    t->ram = kvm_sys.map_anonymous(PAGE, &err);
    if (t->ram == NULL)
        return false;
    memcpy(t->ram, code, sizeof code);
    slot.userspace_addr = (uintptr_t)t->ram;
    (void)kvm_ioctl_value(t->vm, KVM_SET_TSS_ADDR, 0xfffbd000);
    if (kvm_ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        return false;
    t->vcpu = kvm_ioctl_value(t->vm, KVM_CREATE_VCPU, 0);
    if (t->vcpu < 0)
        return false;
    t->run = kvm_sys.map(t->vcpu, t->run_len, &err);
    return t->run != NULL;
}

/* To the start of the code, in real mode. */
static bool trial_rewind(const trial *t)
{
    struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
    struct kvm_sregs sregs;

    if (kvm_ioctl(t->vcpu, KVM_GET_SREGS, &sregs) < 0)
        return false;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    return kvm_ioctl(t->vcpu, KVM_SET_SREGS, &sregs) >= 0 &&
           kvm_ioctl(t->vcpu, KVM_SET_REGS, &regs) >= 0;
}

/* Nanoseconds until the guest's OUT, or -1. */
static int64_t trial_run(const trial *t)
{
    int64_t start_ns;

    if (!trial_rewind(t))
        return -1;
    start_ns = kvm_sys.now_ns();
    for (int i = 0; i < RUNS_MAX; i++) {
        int rc = kvm_sys.ioctl(t->vcpu, KVM_RUN, NULL);

        if (rc == -EINTR || rc == -EAGAIN)
            continue;
        if (rc < 0 || t->run->exit_reason != KVM_EXIT_IO)
            return -1;
        return MAX(kvm_sys.now_ns() - start_ns, 1);
    }
    return -1;
}

kvm_speed kvm_host_measure(double *mips)
{
    kvm_speed speed = KVM_UNKNOWN;
    trial t;

    *mips = 0;
    if (trial_begin(&t))
        for (int i = 0; i < TRIES && speed != KVM_HARDWARE; i++) {
            int64_t ns = trial_run(&t);

            if (ns < 0)
                break;
            *mips = MAX(*mips, 1000.0 * LOOPS / (double)ns);
            speed = *mips < SOFTWARE_MIPS ? KVM_SOFTWARE : KVM_HARDWARE;
        }
    trial_end(&t);
    return speed;
}
