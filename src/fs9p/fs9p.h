/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fs9p.h: serves one folder of the host in 9P2000.L, the dialect of Linux.
 *
 * The client is a guest, and everything it sends may be wrong. It reaches what
 * is in the folder and below, and nothing else: names are single components,
 * symbolic links are never followed here (the guest's kernel does that, in its
 * own tree), and no path of the host is ever composed.
 *
 * Spec:    9P2000.L, diod's protocol.md; Linux, include/net/9p/9p.h.
 * Threads: new and free: control; serve and reset: one at a time, they block as
 *          the file system does.
 */
#ifndef VSR_FS9P_FS9P_H
#define VSR_FS9P_FS9P_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

enum {
    VSR_FS9P_MSIZE_MAX = 512 << 10, /* bytes of the largest message */
    VSR_FS9P_MSIZE_MIN = 4096,
    VSR_FS9P_HEADER = 7, /* of every message: size, type, tag */
};

/* Who owns what the guest creates, and who may do what. */
typedef enum {
    /* Users of the guest are users of the host: needs root. */
    VSR_FS9P_PASSTHROUGH,
    /* All is ours on the host; the guest's owners, modes and special files are
     * in extended attributes (user.virtfs.*, as QEMU has them). */
    VSR_FS9P_MAPPED,
    /* As passthrough, but an owner or a mode that we may not set stays as it is,
     * without an error: for servers that are not root. */
    VSR_FS9P_SQUASH,
} vsr_fs9p_access;

typedef struct {
    int root_fd; /* a directory; O_PATH suffices; taken if new succeeds */
    bool readonly;
    vsr_fs9p_access access;
    uint32_t max_fids; /* files that the guest has in use; 0: as many as half of
                          our descriptors allow, 65536 at the most */
} vsr_fs9p_params;

typedef struct vsr_fs9p vsr_fs9p;

/* NO_SUPPORT: the host's kernel is older than 5.6; ACCESS: passthrough without
 * root; CONFIG: root_fd is no directory. */
vsr_fs9p *vsr_fs9p_new(const vsr_fs9p_params *params, GError **error);
void vsr_fs9p_free(vsr_fs9p *fs); /* NULL is a no-op */

/* One message of `len` bytes; the answer goes to `reply`. How long that is; 0:
 * the message has not even a header, or `max` has no room for an error. */
uint32_t vsr_fs9p_serve(vsr_fs9p *fs, const uint8_t *request, uint32_t len,
                        uint8_t *reply, uint32_t max);
/* The client has gone: nothing is open any more. */
void vsr_fs9p_reset(vsr_fs9p *fs);

#endif
