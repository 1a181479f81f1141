/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net_control.c: the control queue: what the driver wants to receive, its
 * address, pairs of queues, offloads.
 *
 * Spec:    VIRTIO 1.2, 5.1.6.5 "Control Virtqueue".
 * Threads: the queues' loop, lock held.
 */
#include <string.h>

#include "base/util.h"
#include "devices/virtio/net_state.h"

enum { OK = 0, ERR = 1 };

enum {
    CLASS_RX = 0,
    CLASS_MAC = 1,
    CLASS_ANNOUNCE = 3,
    CLASS_MQ = 4,
    CLASS_OFFLOADS = 5
};

enum {
    RX_PROMISC = 0,
    RX_ALLMULTI = 1,
    RX_ALLUNI = 2,
    RX_NOMULTI = 3,
    RX_NOUNI = 4,
    RX_NOBCAST = 5,
    MAC_TABLE_SET = 0,
    MAC_ADDR_SET = 1,
    ANNOUNCE_ACK = 0,
    MQ_PAIRS_SET = 0,
    OFFLOADS_SET = 0,
};

enum { DATA = 2 }; /* where it begins, behind class and command */

/* --- the filter ------------------------------------------------------------------ */

void net_filter_reset(net_filter *filter, const uint8_t mac[6])
{
    /* All, until the driver says what it wants: one that cannot say it has to
     * get all. */
    *filter = (net_filter){ .promiscuous = true };
    memcpy(filter->mac, mac, 6);
}

static bool is_listed(const uint8_t table[][6], uint32_t n, const uint8_t to[6])
{
    if (n > NET_MACS_MAX)
        return true;
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(table[i], to, 6) == 0)
            return true;
    return false;
}

bool net_filter_takes(const net_filter *f, const uint8_t to[6])
{
    static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

    if (f->promiscuous)
        return true;
    if (memcmp(to, broadcast, 6) == 0)
        return !f->no_broadcast;
    if ((to[0] & 1) != 0)
        return !f->no_multicast &&
               (f->all_multicast ||
                is_listed(f->multicast, f->n_multicast, to));
    return !f->no_unicast && (f->all_unicast || memcmp(to, f->mac, 6) == 0 ||
                              is_listed(f->unicast, f->n_unicast, to));
}

/* --- commands ------------------------------------------------------------------------ */

static bool read_data(const vsr_virtq_chain *chain, void *to, uint64_t len)
{
    return vsr_virtq_read(chain, DATA, to, len) == len;
}

static uint8_t set_rx(virtio_net *n, uint8_t command)
{
    net_filter *f = &n->filter;
    uint8_t on;

    if (!vsr_virtio_has(&n->base, command <= RX_ALLMULTI
                                      ? VSR_VIRTIO_NET_F_CTRL_RX
                                      : VSR_VIRTIO_NET_F_CTRL_RX_EXTRA) ||
        !read_data(&n->chain, &on, 1))
        return ERR;
    switch (command) {
    case RX_PROMISC:
        f->promiscuous = on != 0;
        return OK;
    case RX_ALLMULTI:
        f->all_multicast = on != 0;
        return OK;
    case RX_ALLUNI:
        f->all_unicast = on != 0;
        return OK;
    case RX_NOMULTI:
        f->no_multicast = on != 0;
        return OK;
    case RX_NOUNI:
        f->no_unicast = on != 0;
        return OK;
    case RX_NOBCAST:
        f->no_broadcast = on != 0;
        return OK;
    default:
        return ERR;
    }
}

/* One table at *offset, which moves behind it. */
static bool read_table(const vsr_virtq_chain *chain, uint64_t *offset,
                       uint8_t table[][6], uint32_t *n)
{
    uint32_t count;

    if (vsr_virtq_read(chain, *offset, &count, sizeof(count)) != sizeof(count))
        return false;
    *offset += sizeof(count);
    if (count > (chain->out_len - *offset) / 6)
        return false;
    *n = count;
    if (count <= NET_MACS_MAX &&
        vsr_virtq_read(chain, *offset, table, UINT64_C(6) * count) !=
            UINT64_C(6) * count)
        return false;
    *offset += UINT64_C(6) * count;
    return true;
}

static uint8_t set_mac(virtio_net *n, uint8_t command)
{
    net_filter new = n->filter;
    uint64_t offset = DATA;

    if (command == MAC_ADDR_SET) {
        if (!vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_CTRL_MAC_ADDR) ||
            n->chain.out_len != DATA + 6 || !read_data(&n->chain, new.mac, 6))
            return ERR;
        n->filter = new;
        net_update_config(n);
        return OK;
    }
    if (command != MAC_TABLE_SET ||
        !vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_CTRL_RX) ||
        !read_table(&n->chain, &offset, new.unicast, &new.n_unicast) ||
        !read_table(&n->chain, &offset, new.multicast, &new.n_multicast) ||
        offset != n->chain.out_len)
        return ERR;
    n->filter = new;
    return OK;
}

static uint8_t set_pairs(virtio_net *n, uint8_t command)
{
    uint16_t pairs;

    if (command != MQ_PAIRS_SET ||
        !vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_MQ) ||
        !read_data(&n->chain, &pairs, sizeof(pairs)) || pairs == 0 ||
        pairs > n->pairs)
        return ERR;
    for (uint32_t i = pairs; i < n->active; i++)
        net_rx_release(n, i);
    n->active = pairs;
    n->is_applied = false;
    net_apply(n);
    for (uint32_t i = 0; i < pairs; i++)
        vsr_virtio_kick(&n->base, 2 * i);
    return OK;
}

static uint8_t set_offloads(virtio_net *n, uint8_t command)
{
    uint64_t offloads;

    if (command != OFFLOADS_SET ||
        !vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
        !read_data(&n->chain, &offloads, sizeof(offloads)) ||
        (offloads & ~(uint64_t)(n->base.accepted & NET_GUEST_OFFLOADS)) != 0)
        return ERR;
    n->offloads = offloads;
    n->is_applied = false;
    net_apply(n);
    return OK;
}

static uint8_t run(virtio_net *n)
{
    uint8_t head[DATA];

    if (vsr_virtq_read(&n->chain, 0, head, DATA) != DATA)
        return ERR;
    switch (head[0]) {
    case CLASS_RX:
        return set_rx(n, head[1]);
    case CLASS_MAC:
        return set_mac(n, head[1]);
    case CLASS_ANNOUNCE:
        if (head[1] != ANNOUNCE_ACK)
            return ERR;
        n->announcing = false;
        net_update_config(n);
        return OK;
    case CLASS_MQ:
        return set_pairs(n, head[1]);
    case CLASS_OFFLOADS:
        return set_offloads(n, head[1]);
    default:
        return ERR;
    }
}

void net_control(virtio_net *n, uint32_t queue)
{
    vsr_virtq *ring = vsr_virtio_ring(&n->base, queue);
    uint32_t done = 0;

    while (done < NET_BATCH && vsr_virtio_pop(&n->base, queue, &n->chain)) {
        uint8_t ack;

        if (n->chain.in_len == 0) {
            vsr_virtio_needs_reset(&n->base,
                                   "a command without room for the answer");
            return;
        }
        ack = run(n);
        vsr_virtq_write(&n->chain, 0, &ack, 1);
        vsr_virtq_push(ring, &n->chain, 1);
        done++;
    }
    if (done > 0)
        vsr_virtio_signal(&n->base, queue);
    if (done == NET_BATCH)
        vsr_virtio_kick(&n->base, queue);
    else
        vsr_virtio_want_kicks(&n->base, queue);
}
