/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox.h: what a process that runs a guest gives up: namespaces, paths,
 * capabilities, limits, system calls. For visor-vmm only: a library never does
 * this to its host program.
 *
 *   vsr_sandbox_reserve()   first of all: the fixed descriptor numbers
 *   vsr_sandbox_isolate()   still one thread: new namespaces, no capabilities
 *   … everything is opened, the machine is built …
 *   vsr_sandbox_confine()   an empty root folder, limits, a filter for all
 *   vsr_sandbox_enter()     on each thread of a kind: its narrower filter
 *
 * The filters are made at build time (sandbox_filters.c). They let folders be
 * named by fixed descriptors only, which is why these have fixed numbers.
 *
 * Threads: as each function says.
 */
#ifndef VSR_VMM_SANDBOX_H
#define VSR_VMM_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "base/sandbox_kinds.h"
#include "vmm/vmm.h"

enum {
    VSR_SANDBOX_FOLDER_FD = SANDBOX_FOLDER_FD, /* the domain's folder */
    VSR_SANDBOX_ROOT_FD = SANDBOX_ROOT_FD,     /* ROOT/ENGINE */
    /* and on: folders of sockets, shared folders */
    VSR_SANDBOX_KEPT_FD = SANDBOX_KEPT_FD,
    VSR_SANDBOX_FOLDERS = SANDBOX_FOLDERS,
    VSR_SANDBOX_FDS_END = VSR_SANDBOX_KEPT_FD + VSR_SANDBOX_FOLDERS,
    VSR_SANDBOX_STATUS = 159, /* exit status after a forbidden call */
};

typedef struct vsr_sandbox_mounter vsr_sandbox_mounter;

typedef struct {
    const char *engine; /* its name: KVM's ioctls are for "kvm" only */
    char uuid[37];      /* the name of the folder in ROOT/ENGINE */
    uint32_t n_folders; /* VSR_SANDBOX_KEPT_FD … are folders to be kept */
    bool has_mounts;    /* set by isolate: a mount namespace of our own */
    bool writes_files;  /* a device goes to a file: its size is not ours */
    unsigned extras;    /* SANDBOX_NETWORK … */
    vsr_sandbox_mounter *mounter; /* from isolate until confine */
} vsr_sandbox;

/* The fixed numbers are taken, so that nothing else gets them. One thread. */
bool vsr_sandbox_reserve(GError **error);
/* `fd` is taken and becomes `number`. A kept folder is found in the new root at
 * the path /proc/self/fd/NUMBER, too. */
bool vsr_sandbox_place(int fd, int number, GError **error);

/* New user, mount, network, IPC and UTS namespaces, as far as the host lets us;
 * what it refuses is logged (INFO). No capabilities from here on, for a thread
 * that waits to change the root folder apart. One thread. */
void vsr_sandbox_isolate(vsr_sandbox *sandbox);

/* Nothing but the fixed folders is left of the host's files; limits; not
 * dumpable; all threads have the filter of VSR_THREAD_OTHER. Main thread, with
 * all that has a path opened and all threads started. False: half done, the
 * process must end. */
bool vsr_sandbox_confine(vsr_sandbox *sandbox, GError **error);

/* After confine: this thread has the filter of its kind as well. A call that it does not let
 * through ends the process with VSR_SANDBOX_STATUS and a line on stderr. True
 * without a filter where the build has none; see vsr_sandbox_has_filter(). */
bool vsr_sandbox_enter(const vsr_sandbox *sandbox, vsr_thread_kind kind,
                       GError **error);

bool vsr_sandbox_has_filter(void);

/* What confine does last: the filter for all threads. */
bool vsr_sandbox_enter_all(const vsr_sandbox *sandbox, GError **error);

#endif
