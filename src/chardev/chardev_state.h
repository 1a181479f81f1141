/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chardev_state.h: what the files of a character device share.
 *
 * Threads: what the struct says is under `lock` is; everything else is the
 *          loop's. Calls from other threads are carried there.
 */
#ifndef VSR_CHARDEV_CHARDEV_STATE_H
#define VSR_CHARDEV_CHARDEV_STATE_H

#include "base/log.h"
#include "chardev/chardev.h"
#include "chardev/port.h"
#include "chardev/ring.h"

struct vsr_chardev {
    vsr_loop *loop;
    vsr_chardev_source source; /* fds are moved into `port` or `listen_fd` */

    GMutex lock; /* guards what is below, up to pumped_ns */
    vsr_ring ring;
    bool scheduled;       /* pump_timer is armed and has not run */
    GByteArray *injected; /* for the device */
    vsr_chardev_input *input;
    void *input_opaque;
    bool is_giving; /* the loop is inside `input` */
    GCond given;
    const vsr_chardev_watch *watch;
    void *watch_opaque;
    bool is_telling;   /* the loop is inside `watch`; `given` says when not */
    bool told_open;    /* what `watch` knows */
    bool room_wanted;  /* room() was 0 */
    bool counts;       /* the back end is to lose nothing … */
    uint64_t drained;  /* … and has all before this position */
    int64_t pumped_ns; /* when the pump ran last */

    vsr_timer pump_timer, input_timer;

    vsr_port *port;         /* the back end, or the client of its socket */
    uint64_t port_cursor;   /* of a socket without client, of a callback */
    vsr_loop_fd *accepting; /* on source.fd, where that listens */
    int slave;              /* of a pty, so that it never hangs up */
    GSList *streams;        /* of vsr_port */
    vsr_log_limiter lost_limiter, write_limiter;
    unsigned busy; /* inside the embedder's callback */
    bool free_later;
};

/* chardev.c */
void chardev_pump_port(vsr_chardev *dev, vsr_port *port);

/* watch.c: on the loop, after anything that may have changed who reads, and how
 * far they are. */
void chardev_watch_update(vsr_chardev *dev);

/* input.c: to the device what a port has; then what waited for room. */
void chardev_deliver(vsr_chardev *dev, vsr_port *port);
void chardev_on_input_room(void *opaque);

/* attach.c: ports come and go. */
vsr_port *chardev_port_new(vsr_chardev *dev, int in_fd, int out_fd,
                           GError **error);
/* What to wait for now; a dead port goes. */
void chardev_port_update(vsr_chardev *dev, vsr_port *port);
void chardev_drop_streams(vsr_chardev *dev);
/* A client of a listening socket. */
void chardev_on_client(int fd, uint32_t events, void *opaque);

#endif
