/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_state.h: a vsr_net inside, and what a kind of network has to do.
 *
 * Threads: ops on the net's loop.
 */
#ifndef VSR_NET_NET_STATE_H
#define VSR_NET_NET_STATE_H

#include "net/net.h"
#include "net/rate.h"

typedef struct {
    /* Takes what it needs of `source`. On failure nothing is left behind. */
    bool (*start)(vsr_net *net, vsr_net_source *source, GError **error);
    void (*stop)(vsr_net *net);
    /* As vsr_net_send() and vsr_net_receive(). */
    int (*send)(vsr_net *net, uint32_t queue, const struct iovec *iov,
                uint32_t n);
    ssize_t (*receive)(vsr_net *net, uint32_t queue, const struct iovec *iov,
                       uint32_t n);
    /* vsr_net_poke_readable() when there are frames, or no more of it. */
    void (*want)(vsr_net *net, uint32_t queue, bool on);
    void (*set_offloads)(vsr_net *net, uint32_t offloads); /* O */
    void (*set_active)(vsr_net *net, uint32_t n);          /* O */
    void (*set_carrier)(vsr_net *net, bool up);            /* O */
    int (*link_fd)(const vsr_net *net); /* any thread; O */
} vsr_net_ops;

extern const vsr_net_ops vsr_net_user_ops; /* user.c, or user_none.c */
extern const vsr_net_ops vsr_net_link_ops; /* taps and macvtaps: link.c */
extern const vsr_net_ops vsr_net_null_ops;

struct vsr_net {
    const vsr_net_ops *ops;
    vsr_loop *loop;
    const vsr_net_events *events;
    void *opaque;
    char *name;
    int hold_fd; /* owned, or -1 */
    uint32_t mtu, queues, offloads;
    void *state; /* of ops */
    /* On the loop. */
    uint32_t active;
    bool up, lost;
    bool wanted[VSR_NET_QUEUES_MAX];
    bool blocked[VSR_NET_QUEUES_MAX]; /* by the rate: owed a writable() */
    vsr_net_meter in, out;
    vsr_timer in_timer, out_timer;
    bool in_waits, out_waits; /* for these timers */
    vsr_net_stats stats;      /* written on the loop, read by all: atomic */
};

/* For ops, on the loop, no lock held. */
void vsr_net_poke_readable(vsr_net *net, uint32_t queue);
/* A frame for the guest was dropped. */
void vsr_net_count_drop(vsr_net *net);
/* The link has gone. On the loop, from anywhere. */
void vsr_net_lose(vsr_net *net);

#endif
