/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_transmit.c: frames from the guest. They leave straight out of guest RAM;
 * only the header is copied, checked, and that copy sent.
 *
 * Spec:    VIRTIO 1.2, 5.1.6.2 "Packet Transmission".
 * Threads: the queues' loop, lock held.
 */
#include <errno.h>

#include "base/util.h"
#include "devices/virtio/net_state.h"

enum { HEADER = VSR_NET_VNET_HDR_LEN };

/* 5.1.6 "Device Operation" */
enum {
    NEEDS_CSUM = 1,
    GSO_NONE = 0,
    GSO_TCPV4 = 1,
    GSO_TCPV6 = 4,
    GSO_UDP_L4 = 5,
    GSO_ECN = 0x80,
};

typedef struct {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
} net_header;
G_STATIC_ASSERT(sizeof(net_header) == HEADER);

static uint64_t feature_of(uint8_t gso_type)
{
    switch (gso_type & ~GSO_ECN) {
    case GSO_TCPV4:
        return VSR_VIRTIO_NET_F_HOST_TSO4;
    case GSO_TCPV6:
        return VSR_VIRTIO_NET_F_HOST_TSO6;
    case GSO_UDP_L4:
        return VSR_VIRTIO_NET_F_HOST_USO;
    default:
        return 0;
    }
}

/* 5.1.6.2.1: what the driver must not ask for is not passed on. */
static bool check_header(const virtio_net *n, net_header *h)
{
    h->flags &= NEEDS_CSUM; /* 5.1.6.2.2: the rest is ignored */
    h->num_buffers = 0;
    if (h->flags != 0 && !vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_CSUM))
        return false;
    if (h->flags == 0)
        h->csum_start = h->csum_offset = 0;
    if (h->gso_type == GSO_NONE) {
        h->gso_size = h->hdr_len = 0;
        return true;
    }
    return h->flags != 0 && h->gso_size != 0 &&
           vsr_virtio_has(&n->base, feature_of(h->gso_type)) &&
           ((h->gso_type & GSO_ECN) == 0 ||
            vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_HOST_ECN));
}

/* The chain's readable part behind the header. How many. */
static uint32_t frame_iov(const vsr_virtq_chain *chain, struct iovec *out)
{
    uint64_t skip = HEADER;
    uint32_t n = 0;

    for (uint32_t i = 0; i < chain->n_out; i++) {
        struct iovec part = chain->iov[i];
        uint64_t off = MIN(skip, part.iov_len);

        skip -= off;
        part.iov_base = (uint8_t *)part.iov_base + off;
        part.iov_len -= off;
        if (part.iov_len > 0)
            out[n++] = part;
    }
    return n;
}

static int send_chain(virtio_net *n, uint32_t pair)
{
    const vsr_virtq_chain *chain = &n->chain;
    struct iovec iov[1 + VSR_VIRTQ_SEGMENTS];
    net_header header;

    /* Without a header, with one that lies or with nothing behind it: a frame
     * that is lost. */
    if (vsr_virtq_read(chain, 0, &header, HEADER) != HEADER ||
        !check_header(n, &header))
        return -EINVAL;
    iov[0] = (struct iovec){ .iov_base = &header, .iov_len = HEADER };
    return vsr_net_send(n->net, pair, iov, 1 + frame_iov(chain, iov + 1));
}

void net_transmit(virtio_net *n, uint32_t pair)
{
    uint32_t index = 2 * pair + 1, sent = 0;
    vsr_virtq *ring = vsr_virtio_ring(&n->base, index);
    int rc = 0;

    if (ring == NULL)
        return;
    vsr_virtq_want_kicks(ring, false);
    while (sent < NET_BATCH && vsr_virtio_pop(&n->base, index, &n->chain)) {
        rc = send_chain(n, pair);
        if (rc == -EAGAIN) {
            /* writable() comes. */
            vsr_virtq_unpop(ring);
            break;
        }
        vsr_virtq_push(ring, &n->chain, 0);
        sent++;
    }
    if (sent > 0)
        vsr_virtio_signal(&n->base, index);
    if (sent == NET_BATCH)
        vsr_virtio_kick(&n->base, index);
    else if (rc != -EAGAIN)
        vsr_virtio_want_kicks(&n->base, index);
}
