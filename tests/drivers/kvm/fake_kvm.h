/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_kvm.h: a host with a /dev/kvm of our own: it keeps what is set, answers
 * what is asked, runs what the test says, and can fail at any call.
 *
 * A program that includes it gets `kvm_sys` from fake_kvm.c.
 */
#ifndef VSR_TESTS_DRIVERS_KVM_FAKE_KVM_H
#define VSR_TESTS_DRIVERS_KVM_FAKE_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <linux/kvm.h>

enum { FAKE_RUN_LEN = 3 * 4096, FAKE_SIGNAL = 60, FAKE_SLOTS = 8 };

typedef struct {
    /* The host; fake_reset() makes a good one. */
    int open_error;      /* of /dev/kvm, positive; 0: it opens */
    int version;         /* of the API */
    int without_cap;     /* this capability is missing; -1: none is */
    uint32_t vendor_ebx; /* of leaf 0 */
    const char *cpuinfo;
    const char *module; /* a file of /sys/module that exists */
    int64_t run_ns;     /* what each KVM_RUN takes */
    uint64_t tsc;       /* of the host */

    /* Fails: the call of that number (from 1), with that errno. */
    int fail_at;
    int fail_with;
    /* Fails: every such ioctl, with that errno. */
    unsigned long fail_request;
    int fail_request_with;

    /* What KVM_RUN does unless immediate_exit is set: 0, or -errno. NULL: an
     * exit of OUT to port 0x80. */
    int (*run)(struct kvm_run *run);

    /* What happened. */
    int calls;            /* that could have failed */
    unsigned long failed; /* the ioctl that fail_at hit; 0: another call */
    int n_open, n_mapped; /* right now */
    int n_blocked;        /* signals, likewise */
    int n_sent;           /* signals, all in all */
    int64_t now_ns;
    struct kvm_userspace_memory_region slot[FAKE_SLOTS]; /* size 0: none */
    struct kvm_irq_level line;
    struct kvm_msi msi;
    struct kvm_irqfd irqfd;
    struct kvm_ioeventfd doorbell;
    struct kvm_clock_data clock;
    struct kvm_vcpu_events events;
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    struct kvm_mp_state mp;
    uint64_t dirty; /* what the next KVM_GET_DIRTY_LOG gives */
    uint64_t tsc_offset;
    int n_clock_ctrl;
    struct kvm_enable_cap cap; /* the last of a VM … */
    int pv_is_enforced;        /* … and of a vCPU */
    struct kvm_nested_state nested;
    int n_nested_set;
} fake_kvm;

fake_kvm *fake(void);
void fake_reset(void);
/* Was that ioctl made, in the whole life of the program? */
bool fake_seen(unsigned long request);
/* An MSR as the fake keeps it; it has those up to 0x7fffffff that are not in a
 * gap of its own choice, and the usual ones above. */
uint64_t fake_msr(uint32_t index);

#endif
