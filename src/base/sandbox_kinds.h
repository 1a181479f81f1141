/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox_kinds.h: what the maker of visor-vmm's system call filters, the
 * engines' lists for it, and the filters' user share. Plain C: the maker runs at
 * build time.
 */
#ifndef VSR_BASE_SANDBOX_KINDS_H
#define VSR_BASE_SANDBOX_KINDS_H

/* Threads, as vsr_thread_kind. */
enum {
    SANDBOX_MAIN,
    SANDBOX_SERVER,
    SANDBOX_CONTROL,
    SANDBOX_IO,
    SANDBOX_VCPU,
    SANDBOX_OTHER,
    SANDBOX_KINDS,
};

/* An ioctl that the threads of `kinds` (bits 1 << SANDBOX_…) may make; with the
 * bit of an extra, only where a domain has that. */
typedef struct {
    unsigned kinds;
    unsigned long request;
} sandbox_request;

/* drivers/kvm/kvm_sandbox.c; ends with a request of 0. */
extern const sandbox_request vsr_kvm_sandbox_requests[];

/* Descriptors that name folders: see VSR_SANDBOX_*_FD. */
enum { SANDBOX_FOLDER_FD = 4, SANDBOX_ROOT_FD, SANDBOX_KEPT_FD };
enum { SANDBOX_FOLDERS = 16 };

/* What a domain may need besides, on threads of no kind; bits. */
enum {
    SANDBOX_NETWORK = 1 << 0, /* sockets of the host's network */
    SANDBOX_CONNECT = 1 << 1, /* to sockets of the kept folders */
    SANDBOX_SHARE = 1 << 2,   /* the host's files below shared folders */
    SANDBOX_VCPUS = 1 << 3,   /* the engine's requests that make a vCPU */
    SANDBOX_EXTRAS = 1 << 4,
};

/* Stands in the filters for our process id, unknown before we run. */
#define SANDBOX_PID_MARK 0x7e57d1d0u

#endif
