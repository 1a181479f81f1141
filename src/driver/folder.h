/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * folder.h: the state folder of session and system mode.
 *
 *   ROOT/ENGINE/.lock         flock: names, uuids, ids
 *               next-id       the number of the next domain that is started
 *               names/NAME    symbolic link: the domain's uuid
 *               tmp/          what is being made or removed
 *               UUID/name     the domain's name
 *                    domain.xml   the definition; none: transient
 *                    autostart    exists: marked
 *                    lock         flock: one job at a time
 *                    run.lock     record lock of the running visor-vmm
 *                    killed       exists: a destroy had to kill the process
 *                    *.new        being written, or left so by a kill
 *                    status.json, control.sock, vmm.log   visor-vmm's
 *
 * A domain exists if its folder does and it has a definition or a process. The
 * name's link is made first and removed last, and one that leads nowhere counts
 * as none: whatever is killed when, a domain is there or is not.
 *
 * Lock order: a domain's `lock`, then `.lock`.
 * Threads: any; locks exclude threads as well as processes.
 */
#ifndef VSR_DRIVER_FOLDER_H
#define VSR_DRIVER_FOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "driver/status.h"

typedef struct {
    char *path;   /* ROOT/ENGINE, for messages */
    int fd;       /* of it */
    int names_fd; /* of names/ */
} vsr_root;

typedef struct {
    bool persistent;
    bool active;       /* a process runs it */
    bool needs_repair; /* its process died, or its making may have */
    pid_t pid;         /* of the process; 0: none */
    vsr_status status; /* corrected: FAILED after a death */
} vsr_view;

/* Make what is missing, check that all is ours alone. ACCESS names the folder
 * that is not. */
bool vsr_root_open(vsr_root *root, const char *path, const char *engine,
                   GError **error);
void vsr_root_close(vsr_root *root);

/* Both locks: a descriptor to give to vsr_folder_unlock(), or -1 with BUSY
 * after `deadline_ns`. */
int vsr_root_lock(const vsr_root *root, int64_t deadline_ns, GError **error);
/* The job lock. NOT_FOUND if the folder went while we waited. */
int vsr_folder_lock(const vsr_root *root, const char *uuid, int folder_fd,
                    int64_t deadline_ns, GError **error);
void vsr_folder_unlock(int lock_fd); /* -1: no-op */

/* NOT_FOUND. The caller closes. */
int vsr_folder_open(const vsr_root *root, const char *uuid, GError **error);
void vsr_folder_view(int folder_fd, vsr_view *out);
/* The same by uuid, with fewer system calls for one that is off. False: there
 * is no such folder. */
bool vsr_root_view(const vsr_root *root, const char *uuid, vsr_view *out);
bool vsr_folder_name(int folder_fd, char out[256]);
/* The folder in `folder_fd` still is the domain's. */
bool vsr_folder_is_current(const vsr_root *root, const char *uuid,
                           int folder_fd);
/* Who holds run.lock; 0: nobody, -1: somebody we cannot see. */
pid_t vsr_folder_owner(int folder_fd);
bool vsr_folder_has(int folder_fd, const char *file);

/* uuid of a name, by its link; false: none. */
bool vsr_root_find_name(const vsr_root *root, const char *name, char uuid[37]);
/* uuid → name for every link, as two strings a call. */
bool vsr_root_each(const vsr_root *root,
                   void (*fn)(const char *name, const char *uuid, void *opaque),
                   void *opaque, GError **error);

/* With the root lock held. EXISTS; `xml` NULL: transient. *job_lock (may be
 * NULL): the job lock of the new folder, taken before anybody sees it. Returns
 * its descriptor or -1. */
int vsr_root_make(const vsr_root *root, const char *name, const char *uuid,
                  const char *xml, int *job_lock, GError **error);
/* With the root lock held: the domain and its name are gone. */
bool vsr_root_remove(const vsr_root *root, const char *name, const char *uuid,
                     GError **error);
/* Replace, synced. */
bool vsr_folder_write(int folder_fd, const char *file, const char *text,
                      GError **error);
char *vsr_folder_read(int folder_fd, const char *file, size_t max,
                      GError **error);
/* Under the root lock, which it takes. Positive; or -1. */
int vsr_root_next_id(const vsr_root *root, int64_t deadline_ns, GError **error);

/* Clean up after a death, unless a job is still at it at the deadline (0: do
 * not wait). */
void vsr_root_repair(const vsr_root *root, const char *uuid,
                     int64_t deadline_ns);
/* SIGKILL to the process of the domain, and wait until it is gone; true if
 * there is none now. */
bool vsr_folder_kill(int folder_fd, int64_t deadline_ns);
/* Says that the process is killed on purpose; a start takes it back. */
void vsr_folder_mark_killed(int folder_fd, bool killed);
/* Wait until nobody holds run.lock. */
bool vsr_folder_wait_end(int folder_fd, int64_t deadline_ns);

#endif
