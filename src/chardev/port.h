/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.h: one reader of the output and writer of input: the back end's fds, or
 * an attached stream. Private to src/chardev.
 *
 * Threads: the chardev's loop.
 */
#ifndef VSR_CHARDEV_PORT_H
#define VSR_CHARDEV_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "base/loop.h"

enum { VSR_PORT_IN_MAX = 512 };

typedef struct vsr_port vsr_port;

typedef struct {
    /* Called whenever the port has room to send or something to read. */
    void (*ready)(vsr_port *port, uint32_t events, void *opaque);
    void *opaque;
} vsr_port_owner;

struct vsr_port {
    vsr_loop *loop;
    vsr_port_owner owner;
    int in_fd, out_fd; /* owned, may be equal; -1: none */
    vsr_loop_fd *in_watch,
        *out_watch; /* in_watch is both where fds are equal */
    bool is_socket;
    bool in_always;  /* cannot be waited for: a file, /dev/null */
    bool out_always; /* likewise; writes are taken at once */
    bool may_block;  /* out_fd is in blocking mode: ask, then write little */
    bool wants_out;
    bool dead; /* the other side went away */

    uint64_t cursor; /* in the ring: what was sent */
    uint8_t in[VSR_PORT_IN_MAX];
    size_t in_len, in_off; /* what the device has not taken yet */
};

/* Takes the fds in any case. */
vsr_port *vsr_port_new(vsr_loop *loop, int in_fd, int out_fd,
                       const vsr_port_owner *owner, GError **error);
void vsr_port_free(vsr_port *port);

/* Bytes sent, 0 when it would block, -errno. */
ssize_t vsr_port_send(vsr_port *port, const void *data, size_t len);
/* Fills `in` if it is empty. False: nothing there (or the end, see dead). */
bool vsr_port_fill(vsr_port *port);
/* What to wait for, from wants_out and whether `in` is empty. */
void vsr_port_update(vsr_port *port);

#endif
