/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_state.h: a virtio network device inside.
 *
 * Threads: everything with the device's lock held; what calls the vsr_net, on
 *          the queues' loop.
 */
#ifndef VSR_DEVICES_VIRTIO_NET_STATE_H
#define VSR_DEVICES_VIRTIO_NET_STATE_H

#include "base/util.h"
#include "devices/virtio/net.h"

enum {
    NET_MACS_MAX = 64, /* of each table; with more, all are let through */
    /* So that a chain of the most buffers fits behind, and one for the bounce
     * buffer. */
    NET_WINDOW_IOV = VSR_NET_IOV_MAX - 1 - VSR_VIRTQ_SEGMENTS,
    NET_WINDOW_CHAINS = 128,
    NET_WINDOW_ROOM = 2 * VSR_NET_IOV_MAX,
    NET_BATCH = 256, /* frames before others have their turn */
};

/* Bits that CTRL_GUEST_OFFLOADS_SET may name. */
#define NET_GUEST_OFFLOADS                                       \
    (VSR_VIRTIO_NET_F_GUEST_CSUM | VSR_VIRTIO_NET_F_GUEST_TSO4 | \
     VSR_VIRTIO_NET_F_GUEST_TSO6 | VSR_VIRTIO_NET_F_GUEST_ECN |  \
     VSR_VIRTIO_NET_F_GUEST_USO4 | VSR_VIRTIO_NET_F_GUEST_USO6)

/* 5.1.6.5.1, 5.1.6.5.2: what the driver wants to receive. */
typedef struct {
    bool promiscuous, all_multicast, all_unicast;
    bool no_multicast, no_unicast, no_broadcast;
    uint8_t mac[6];
    uint32_t n_unicast, n_multicast; /* above NET_MACS_MAX: all */
    uint8_t unicast[NET_MACS_MAX][6], multicast[NET_MACS_MAX][6];
} net_filter;

/* Receive buffers that are taken from the ring and not used yet, up to the
 * largest frame: one readv() goes over all of them. */
typedef struct {
    uint16_t head;
    uint16_t n_iov;
    uint32_t len;
} net_rx_chain;

typedef struct {
    uint32_t first, n; /* of chain[] */
    uint32_t first_iov, n_iov;
    uint64_t len;
    net_rx_chain chain[2 * NET_WINDOW_CHAINS];
    struct iovec iov[NET_WINDOW_ROOM];
    uint64_t gpa[NET_WINDOW_ROOM];
    /* A frame that was longer than the buffers there were: its beginning is in
     * them, its end here, until there are more. 0: none. */
    uint64_t pending;      /* bytes of the frame */
    uint64_t pending_room; /* of them in buffers */
    uint8_t *bounce;       /* a largest frame */
} net_rx;

typedef struct {
    vsr_virtio base;
    vsr_net *net;
    uint32_t pairs;     /* of queues */
    uint32_t active;    /* that the driver uses */
    uint64_t offloads;  /* VSR_VIRTIO_NET_F_GUEST_* in effect */
    bool is_applied;    /* both of them, to the network */
    uint32_t frame_max; /* bytes of a frame to the guest, header and all */
    bool link_up;       /* the cable */
    bool lost;          /* what it is plugged into has gone */
    bool has_network;
    bool announcing;
    uint8_t mac[6];    /* at power-on */
    uint64_t rx_drops; /* too long for the driver's buffers */
    net_filter filter;
    net_rx *rx; /* owned; of each pair */
    vsr_virtq_chain chain;
} virtio_net;

static inline virtio_net *net_of(void *base)
{
    return VSR_CONTAINER_OF((vsr_virtio *)base, virtio_net, base);
}

static inline bool net_is_broken(const virtio_net *n)
{
    return (n->base.status & VSR_VIRTIO_NEEDS_RESET) != 0;
}

void net_update_config(virtio_net *n);
/* What the driver has chosen since the last time reaches the network: on the
 * loop, since a vCPU's thread may not have the system calls for it. */
void net_apply(virtio_net *n);

void net_transmit(virtio_net *n, uint32_t pair);

void net_receive(virtio_net *n, uint32_t pair);
/* Gives buffers that were not used back to the ring. */
void net_rx_release(virtio_net *n, uint32_t pair);
/* They are gone with their ring. */
void net_rx_forget(virtio_net *n, uint32_t pair);

void net_control(virtio_net *n, uint32_t queue);
void net_filter_reset(net_filter *filter, const uint8_t mac[6]);
bool net_filter_takes(const net_filter *filter, const uint8_t to[6]);

#endif
