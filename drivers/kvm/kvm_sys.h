/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvm_sys.h: everything the backend asks of the host, as one table, so that
 * tests can put a host of their own in its place (they define `kvm_sys`
 * themselves, and kvm_sys.c is then not linked).
 *
 * Spec:    Linux, Documentation/virt/kvm/api.rst.
 * Threads: any.
 */
#ifndef VSR_DRIVERS_KVM_KVM_SYS_H
#define VSR_DRIVERS_KVM_KVM_SYS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    /* The result, or -errno. */
    int (*open)(const char *path);
    int (*ioctl)(int fd, unsigned long request, void *arg);
    void (*close)(int fd);
    /* The shared page of a vCPU; NULL and *err (positive) on failure. */
    void *(*map)(int fd, size_t len, int *err);
    /* Zeroed memory of our own, page aligned; likewise. */
    void *(*map_anonymous)(size_t len, int *err);
    void (*unmap)(void *at, size_t len);

    /* The kick. `signal` is blocked in the calling thread until undone;
     * `before` says whether it was so already. */
    int (*thread_id)(void);
    void (*signal_block)(int signal, int *before);
    void (*signal_unblock)(int signal, int before);
    void (*signal_send)(int thread, int signal);
    void (*signal_drain)(int signal); /* take what is pending for the caller */
    /* A real-time signal that this process does nothing with, or -EBUSY. */
    int (*signal_pick)(void);
    /* The calling thread's blocked signals but `signal`, as KVM wants them. */
    uint64_t (*signal_mask)(int signal);

    int64_t (*now_ns)(void); /* CLOCK_MONOTONIC */
    uint64_t (*tsc)(void);
    /* The processor's EAX, EBX, ECX, EDX; subleaf 0. */
    void (*cpuid)(uint32_t leaf, uint32_t out[4]);
    /* Bytes read of a small file, or -errno; `to` is always terminated. */
    int (*read_file)(const char *path, char *to, size_t size);
} kvm_sys_ops;

extern const kvm_sys_ops kvm_sys;

/* As kvm_sys.ioctl, again while a signal interrupts it. Not for KVM_RUN. */
int kvm_ioctl(int fd, unsigned long request, void *arg);
/* For requests whose argument is a number. */
int kvm_ioctl_value(int fd, unsigned long request, unsigned long value);

#endif
