/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_receive.c: frames to the guest, straight into its buffers. How long the
 * next frame is, nobody knows before it is there: buffers for the longest are
 * taken first, and those that it did not need are kept for the next.
 *
 * Spec:    VIRTIO 1.2, 5.1.6.3 "Setting Up Receive Buffers", 5.1.6.4
 *          "Processing of Incoming Packets".
 * Threads: the queues' loop, lock held.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "devices/virtio/net_state.h"

enum { HEADER = VSR_NET_VNET_HDR_LEN, NUM_BUFFERS_AT = 10 };

static const struct iovec *window_iov(const net_rx *rx)
{
    return rx->iov + rx->first_iov;
}

/* --- into and out of the window ------------------------------------------------ */

static void copy_in(const net_rx *rx, uint64_t offset, const void *from,
                    uint64_t len)
{
    const struct iovec *iov = window_iov(rx);

    for (uint32_t i = 0; i < rx->n_iov && len > 0; i++) {
        uint64_t part;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        part = MIN(len, iov[i].iov_len - offset);
        memcpy((uint8_t *)iov[i].iov_base + offset, from, part);
        from = (const uint8_t *)from + part;
        len -= part;
        offset = 0;
    }
}

/* The frame's first bytes are in the buffers or, behind them, in the bounce
 * buffer. */
static void frame_start(const net_rx *rx, uint64_t room, uint8_t to[6])
{
    const struct iovec *iov = window_iov(rx);
    uint64_t offset = HEADER, at = 0;

    for (uint32_t i = 0; i < rx->n_iov && at < 6; i++) {
        for (; offset < iov[i].iov_len && at < 6; offset++)
            to[at++] = ((const uint8_t *)iov[i].iov_base)[offset];
        offset = at == 0 ? offset - iov[i].iov_len : 0;
    }
    for (uint64_t i = HEADER + at - room; at < 6; i++)
        to[at++] = rx->bounce[i];
}

static void compact(net_rx *rx)
{
    /* A chain of the most buffers, and one more. */
    if (rx->first_iov + rx->n_iov + VSR_VIRTQ_SEGMENTS + 1 > NET_WINDOW_ROOM) {
        memmove(rx->iov, rx->iov + rx->first_iov,
                rx->n_iov * sizeof(rx->iov[0]));
        memmove(rx->gpa, rx->gpa + rx->first_iov,
                rx->n_iov * sizeof(rx->gpa[0]));
        rx->first_iov = 0;
    }
    if (rx->first + rx->n == G_N_ELEMENTS(rx->chain)) {
        memmove(rx->chain, rx->chain + rx->first, rx->n * sizeof(rx->chain[0]));
        rx->first = 0;
    }
}

static bool append(virtio_net *n, net_rx *rx)
{
    const vsr_virtq_chain *chain = &n->chain;
    uint32_t at;

    /* 5.1.6.3.1: each buffer is larger than the header. */
    if (chain->n_out != 0 || chain->in_len <= HEADER ||
        chain->in_len > UINT32_MAX) {
        vsr_virtio_needs_reset(&n->base, "a receive buffer that has no room "
                                         "for a frame, or is not writable");
        return false;
    }
    compact(rx);
    at = rx->first_iov + rx->n_iov;
    memcpy(rx->iov + at, chain->iov, chain->n_in * sizeof(rx->iov[0]));
    memcpy(rx->gpa + at, chain->gpa, chain->n_in * sizeof(rx->gpa[0]));
    rx->chain[rx->first + rx->n] = (net_rx_chain){
        .head = chain->head,
        .n_iov = (uint16_t)chain->n_in,
        .len = (uint32_t)chain->in_len,
    };
    rx->n++;
    rx->n_iov += chain->n_in;
    rx->len += chain->in_len;
    return true;
}

/* Takes chains until there is room for `len` bytes, none are left, or there are
 * as many as make sense. */
static bool gather(virtio_net *n, net_rx *rx, uint32_t index, uint64_t len)
{
    uint32_t most = vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_MRG_RXBUF)
                        ? NET_WINDOW_CHAINS
                        : 1;

    while (rx->len < len && rx->n < most && rx->n_iov < NET_WINDOW_IOV &&
           vsr_virtio_pop(&n->base, index, &n->chain))
        if (!append(n, rx))
            return false;
    return !net_is_broken(n);
}

/* --- giving frames ------------------------------------------------------------------ */

/* The window's first chain, as the ring knows it. */
static void take_first(virtio_net *n, net_rx *rx)
{
    const net_rx_chain *c = &rx->chain[rx->first];
    vsr_virtq_chain *out = &n->chain;

    out->head = c->head;
    out->n_out = 0;
    out->n_in = c->n_iov;
    out->out_len = 0;
    out->in_len = c->len;
    memcpy(out->iov, rx->iov + rx->first_iov, c->n_iov * sizeof(out->iov[0]));
    memcpy(out->gpa, rx->gpa + rx->first_iov, c->n_iov * sizeof(out->gpa[0]));
    rx->first_iov += c->n_iov;
    rx->n_iov -= c->n_iov;
    rx->len -= c->len;
    rx->first++;
    rx->n--;
    if (rx->n == 0)
        rx->first = rx->first_iov = 0;
}

/* A frame of `len` bytes lies in the window. */
static void deliver(virtio_net *n, net_rx *rx, vsr_virtq *ring, uint64_t len)
{
    uint64_t left = len, sum = 0;
    uint16_t count = 0;

    while (sum < len)
        sum += rx->chain[rx->first + count++].len;
    copy_in(rx, NUM_BUFFERS_AT, &count, sizeof(count));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t part;

        take_first(n, rx);
        part = MIN(left, n->chain.in_len);
        vsr_virtq_stage(ring, i, &n->chain, (uint32_t)part);
        left -= part;
    }
    vsr_virtq_commit(ring, count);
}

/* False: it waits for more buffers. */
static bool finish_pending(virtio_net *n, net_rx *rx, uint32_t index,
                           vsr_virtq *ring)
{
    if (!gather(n, rx, index, rx->pending))
        return false;
    if (rx->len >= rx->pending) {
        copy_in(rx, rx->pending_room, rx->bounce,
                rx->pending - rx->pending_room);
        deliver(n, rx, ring, rx->pending);
    } else if (rx->n < MIN(ring->layout.size, NET_WINDOW_CHAINS) &&
               rx->n_iov < NET_WINDOW_IOV &&
               vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_MRG_RXBUF)) {
        return false;
    } else { /* it never fits */
        n->rx_drops++;
    }
    rx->pending = 0;
    return true;
}

/* 1: a frame was taken from the network, 0: there is none, -1: no buffers. */
static int receive_one(virtio_net *n, uint32_t pair, vsr_virtq *ring)
{
    net_rx *rx = &n->rx[pair];
    uint64_t room;
    uint8_t to[6];
    ssize_t len;
    uint32_t n_iov;

    if (rx->pending != 0 && !finish_pending(n, rx, 2 * pair, ring))
        return -1;
    if (!gather(n, rx, 2 * pair, n->frame_max) || rx->n == 0)
        return -1;
    room = rx->len;
    n_iov = rx->n_iov;
    if (room < n->frame_max) {
        /* Behind the window there is room for it: see compact(). */
        rx->iov[rx->first_iov + n_iov++] = (struct iovec){
            .iov_base = rx->bounce,
            .iov_len = n->frame_max - room,
        };
    }
    len = vsr_net_receive(n->net, pair, window_iov(rx), n_iov);
    if (len == -EMSGSIZE)
        return 1;
    if (len < 0)
        return 0;
    if (len >= HEADER + 6) {
        frame_start(rx, room, to);
        if (!net_filter_takes(&n->filter, to))
            return 1;
    }
    if ((uint64_t)len > room) {
        rx->pending = (uint64_t)len;
        rx->pending_room = room;
        return finish_pending(n, rx, 2 * pair, ring) ? 1 : -1;
    }
    deliver(n, rx, ring, (uint64_t)len);
    return 1;
}

void net_receive(virtio_net *n, uint32_t pair)
{
    uint32_t index = 2 * pair;
    vsr_virtq *ring = vsr_virtio_ring(&n->base, index);
    int rc = 1;

    if (ring == NULL || pair >= n->active)
        return;
    vsr_virtq_want_kicks(ring, false);
    for (uint32_t i = 0; i < NET_BATCH && rc > 0; i++) {
        rc = receive_one(n, pair, ring);
        if (rc < 0 && !net_is_broken(n) && vsr_virtq_want_kicks(ring, true))
            rc = 1; /* some came meanwhile */
    }
    vsr_net_want(n->net, pair, rc >= 0 && !net_is_broken(n));
    if (rc > 0)
        vsr_virtio_kick(&n->base, index);
    vsr_virtio_signal(&n->base, index);
}

void net_rx_release(virtio_net *n, uint32_t pair)
{
    vsr_virtq *ring = vsr_virtio_ring(&n->base, 2 * pair);

    for (uint32_t i = 0; ring != NULL && i < n->rx[pair].n; i++)
        vsr_virtq_unpop(ring);
    net_rx_forget(n, pair);
}

void net_rx_forget(virtio_net *n, uint32_t pair)
{
    net_rx *rx = &n->rx[pair];

    rx->first = rx->n = rx->first_iov = rx->n_iov = 0;
    rx->len = rx->pending = 0;
}
