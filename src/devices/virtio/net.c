/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net.c: virtio network device: features, configuration, life. Queues 2i and
 * 2i + 1 receive and transmit, the one behind the last pair controls.
 *
 * Spec:    VIRTIO 1.2, 5.1.2 "Virtqueues", 5.1.3 "Feature bits", 5.1.4 "Device
 *          configuration layout", 5.1.5 "Device Initialization".
 * Threads: as virtio.h says; the network's events on the queues' loop.
 */
#include "devices/virtio/net.h"

#include <string.h>

#include "base/util.h"
#include "devices/virtio/net_state.h"

enum {
    QUEUE_SIZE = 256,
    CONTROL_SIZE = 64,
    /* 5.1.4 */
    CONFIG_MAC = 0,
    CONFIG_STATUS = 6,
    CONFIG_PAIRS = 8,
    CONFIG_MTU = 10,
    CONFIG_LEN = 12,
    LINK_UP = 1,
    ANNOUNCE = 2,
    ETHERNET = 14 + 2 * 4, /* header, two VLAN tags */
};

/* --- configuration ------------------------------------------------------------ */

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

void net_update_config(virtio_net *n)
{
    bool up = n->link_up && !n->lost && n->has_network;

    memcpy(n->base.config + CONFIG_MAC, n->filter.mac, 6);
    put16(n->base.config + CONFIG_STATUS,
          (up ? LINK_UP : 0u) | (n->announcing ? ANNOUNCE : 0u));
}

static uint32_t host_offloads(uint64_t guest)
{
    const uint64_t uso =
        VSR_VIRTIO_NET_F_GUEST_USO4 | VSR_VIRTIO_NET_F_GUEST_USO6;
    uint32_t offloads = 0;

    if ((guest & VSR_VIRTIO_NET_F_GUEST_CSUM) != 0)
        offloads |= VSR_NET_OFFLOAD_CSUM;
    if ((guest & VSR_VIRTIO_NET_F_GUEST_TSO4) != 0)
        offloads |= VSR_NET_OFFLOAD_TSO4;
    if ((guest & VSR_VIRTIO_NET_F_GUEST_TSO6) != 0)
        offloads |= VSR_NET_OFFLOAD_TSO6;
    if ((guest & VSR_VIRTIO_NET_F_GUEST_ECN) != 0)
        offloads |= VSR_NET_OFFLOAD_ECN;
    if ((guest & uso) == uso)
        offloads |= VSR_NET_OFFLOAD_USO;
    return offloads;
}

void net_apply(virtio_net *n)
{
    const uint64_t large =
        VSR_VIRTIO_NET_F_GUEST_TSO4 | VSR_VIRTIO_NET_F_GUEST_TSO6 |
        VSR_VIRTIO_NET_F_GUEST_USO4 | VSR_VIRTIO_NET_F_GUEST_USO6;

    if (n->is_applied)
        return;
    n->is_applied = true;
    n->frame_max =
        VSR_NET_VNET_HDR_LEN + ((n->offloads & large) != 0
                                    ? (uint32_t)VSR_NET_FRAME_MAX
                                    : ETHERNET + vsr_net_mtu(n->net));
    vsr_net_set_offloads(n->net, host_offloads(n->offloads));
    vsr_net_set_active(n->net, n->active);
}

/* Each feature with what it is nothing without (5.1.3.1). */
static uint64_t features(const virtio_net *n, uint64_t without)
{
    static const struct {
        uint64_t bits, needs;
    } rules[] = {
        { VSR_VIRTIO_NET_F_HOST_TSO4 | VSR_VIRTIO_NET_F_HOST_TSO6 |
              VSR_VIRTIO_NET_F_HOST_USO,
          VSR_VIRTIO_NET_F_CSUM },
        { VSR_VIRTIO_NET_F_GUEST_TSO4 | VSR_VIRTIO_NET_F_GUEST_TSO6 |
              VSR_VIRTIO_NET_F_GUEST_USO4 | VSR_VIRTIO_NET_F_GUEST_USO6,
          VSR_VIRTIO_NET_F_GUEST_CSUM },
        { VSR_VIRTIO_NET_F_HOST_ECN,
          VSR_VIRTIO_NET_F_HOST_TSO4 | VSR_VIRTIO_NET_F_HOST_TSO6 },
        { VSR_VIRTIO_NET_F_GUEST_ECN,
          VSR_VIRTIO_NET_F_GUEST_TSO4 | VSR_VIRTIO_NET_F_GUEST_TSO6 },
        { VSR_VIRTIO_NET_F_CTRL_RX | VSR_VIRTIO_NET_F_MQ |
              VSR_VIRTIO_NET_F_CTRL_MAC_ADDR | VSR_VIRTIO_NET_F_GUEST_ANNOUNCE |
              VSR_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
          VSR_VIRTIO_NET_F_CTRL_VQ },
        { VSR_VIRTIO_NET_F_CTRL_RX_EXTRA, VSR_VIRTIO_NET_F_CTRL_RX },
        { VSR_VIRTIO_NET_F_GUEST_ANNOUNCE, VSR_VIRTIO_NET_F_STATUS },
    };
    uint32_t can = vsr_net_offloads(n->net);
    uint64_t f = VSR_VIRTIO_NET_F_MTU | VSR_VIRTIO_NET_F_MAC |
                 VSR_VIRTIO_NET_F_MRG_RXBUF | VSR_VIRTIO_NET_F_STATUS |
                 VSR_VIRTIO_NET_F_CTRL_VQ | VSR_VIRTIO_NET_F_CTRL_RX |
                 VSR_VIRTIO_NET_F_CTRL_RX_EXTRA |
                 VSR_VIRTIO_NET_F_GUEST_ANNOUNCE |
                 VSR_VIRTIO_NET_F_CTRL_MAC_ADDR;

    if (n->pairs > 1)
        f |= VSR_VIRTIO_NET_F_MQ;
    if ((can & VSR_NET_OFFLOAD_CSUM) != 0)
        f |= VSR_VIRTIO_NET_F_CSUM | VSR_VIRTIO_NET_F_GUEST_CSUM |
             VSR_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
    if ((can & VSR_NET_OFFLOAD_TSO4) != 0)
        f |= VSR_VIRTIO_NET_F_HOST_TSO4 | VSR_VIRTIO_NET_F_GUEST_TSO4;
    if ((can & VSR_NET_OFFLOAD_TSO6) != 0)
        f |= VSR_VIRTIO_NET_F_HOST_TSO6 | VSR_VIRTIO_NET_F_GUEST_TSO6;
    if ((can & VSR_NET_OFFLOAD_ECN) != 0)
        f |= VSR_VIRTIO_NET_F_HOST_ECN | VSR_VIRTIO_NET_F_GUEST_ECN;
    if ((can & VSR_NET_OFFLOAD_USO) != 0)
        f |= VSR_VIRTIO_NET_F_HOST_USO | VSR_VIRTIO_NET_F_GUEST_USO4 |
             VSR_VIRTIO_NET_F_GUEST_USO6;
    f &= ~without;
    for (size_t i = 0; i < VSR_ARRAY_SIZE(rules); i++)
        if ((f & rules[i].needs) == 0)
            f &= ~rules[i].bits;
    return f;
}

/* --- queues ---------------------------------------------------------------------- */

static uint32_t control_queue(const virtio_net *n)
{
    return vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_MQ) ? 2 * n->pairs : 2;
}

static void net_start(vsr_virtio *v)
{
    virtio_net *n = net_of(v);

    n->active = 1;
    n->offloads = v->accepted & NET_GUEST_OFFLOADS;
    n->is_applied = false;
    /* Buffers may be there already, frames too. */
    vsr_virtio_kick(v, 0);
}

static void net_stop(vsr_virtio *v)
{
    virtio_net *n = net_of(v);

    /* Nothing is in flight without the lock. The network finds no ring, and
     * waits. */
    for (uint32_t i = 0; i < n->pairs; i++)
        net_rx_forget(n, i);
    net_filter_reset(&n->filter, n->mac);
    n->announcing = false;
    net_update_config(n);
}

static void net_stop_queue(vsr_virtio *v, uint32_t index)
{
    virtio_net *n = net_of(v);

    if (index % 2 == 0 && index / 2 < n->pairs)
        net_rx_forget(n, index / 2);
}

static void net_kicked(vsr_virtio *v, uint32_t index)
{
    virtio_net *n = net_of(v);

    if (net_is_broken(n))
        return;
    net_apply(n);
    if (index == control_queue(n)) {
        if (vsr_virtio_has(v, VSR_VIRTIO_NET_F_CTRL_VQ))
            net_control(n, index);
    } else if (index / 2 < n->pairs) {
        if (index % 2 == 0)
            net_receive(n, index / 2);
        else
            net_transmit(n, index / 2);
    }
}

static const vsr_virtio_ops net_ops = {
    .id = VSR_VIRTIO_ID_NET,
    .class_code = 0x020000, /* Ethernet controller */
    .start = net_start,
    .stop = net_stop,
    .stop_queue = net_stop_queue,
    .kicked = net_kicked,
};

/* --- the network's events --------------------------------------------------------- */

static void on_readable(void *opaque, uint32_t pair)
{
    virtio_net *n = opaque;
    vsr_virtio *v = &n->base;

    g_mutex_lock(&v->device.lock);
    /* What is not taken now is asked for again when that is over: by the start
     * of the driver, or by the kicks after a pause. */
    if (v->quiesced || net_is_broken(n) || pair >= n->active ||
        vsr_virtio_ring(v, 2 * pair) == NULL)
        vsr_net_want(n->net, pair, false);
    else
        net_receive(n, pair);
    g_mutex_unlock(&v->device.lock);
}

static void on_writable(void *opaque, uint32_t pair)
{
    vsr_virtio_serve(opaque, 2 * pair + 1);
}

static void on_lost(void *opaque)
{
    virtio_net *n = opaque;

    g_mutex_lock(&n->base.device.lock);
    n->lost = true;
    net_update_config(n);
    vsr_virtio_config_changed(&n->base);
    g_mutex_unlock(&n->base.device.lock);
}

static const vsr_net_events net_events = {
    .readable = on_readable,
    .writable = on_writable,
    .lost = on_lost,
};

/* --- control ------------------------------------------------------------------------ */

void vsr_virtio_net_set_link(vsr_device *device, bool up)
{
    virtio_net *n = net_of(device);

    vsr_net_set_link(n->net, up);
    g_mutex_lock(&device->lock);
    if (n->link_up != up) {
        n->link_up = up;
        net_update_config(n);
        vsr_virtio_config_changed(&n->base);
    }
    g_mutex_unlock(&device->lock);
}

void vsr_virtio_net_set_rates(vsr_device *device, const vsr_net_rate *in,
                              const vsr_net_rate *out)
{
    vsr_net_set_rates(net_of(device)->net, in, out);
}

int vsr_virtio_net_link_fd(vsr_device *device)
{
    return vsr_net_link_fd(net_of(device)->net);
}

void vsr_virtio_net_announce(vsr_device *device)
{
    virtio_net *n = net_of(device);

    g_mutex_lock(&device->lock);
    if (vsr_virtio_has(&n->base, VSR_VIRTIO_NET_F_GUEST_ANNOUNCE)) {
        n->announcing = true;
        net_update_config(n);
        vsr_virtio_config_changed(&n->base);
    }
    g_mutex_unlock(&device->lock);
}

void vsr_virtio_net_get_stats(vsr_device *device, vsr_net_stats *out)
{
    virtio_net *n = net_of(device);

    vsr_net_get_stats(n->net, out);
    g_mutex_lock(&device->lock);
    out->rx_drops += n->rx_drops;
    g_mutex_unlock(&device->lock);
}

/* --- life ------------------------------------------------------------------------------ */

static void free_rx(virtio_net *n)
{
    for (uint32_t i = 0; n->rx != NULL && i < n->pairs; i++)
        g_free(n->rx[i].bounce);
    g_clear_pointer(&n->rx, g_free);
    g_clear_pointer(&n->net, vsr_net_free);
}

static void queue_sizes(const virtio_net *n, const vsr_virtio_net_params *p,
                        uint16_t *out)
{
    uint16_t rx = p->rx_queue_size != 0 ? p->rx_queue_size : QUEUE_SIZE;
    uint16_t tx = p->tx_queue_size != 0 ? p->tx_queue_size : QUEUE_SIZE;

    for (uint32_t i = 0; i < n->pairs; i++) {
        out[2 * i] = rx;
        out[2 * i + 1] = tx;
    }
    out[2 * n->pairs] = CONTROL_SIZE;
}

static bool net_init(vsr_device *device, const void *params, GError **error)
{
    const vsr_virtio_net_params *p = params;
    virtio_net *n = net_of(device);
    uint16_t sizes[2 * VSR_NET_QUEUES_MAX + 1];
    vsr_loop *loop = p->virtio.loop != NULL ? p->virtio.loop : device->loop;

    n->link_up = true;
    n->has_network = p->source->kind != VSR_NET_NULL;
    n->net = vsr_net_new(p->source, &net_events, n, loop, error);
    if (n->net == NULL)
        return false;
    n->pairs = vsr_net_queues(n->net);
    n->active = 1;
    n->rx = g_new0(net_rx, n->pairs);
    for (uint32_t i = 0; i < n->pairs; i++)
        n->rx[i].bounce = g_malloc(VSR_NET_VNET_HDR_LEN + VSR_NET_FRAME_MAX);
    memcpy(n->mac, p->mac, 6);
    net_filter_reset(&n->filter, n->mac);
    put16(n->base.config + CONFIG_PAIRS, n->pairs);
    put16(n->base.config + CONFIG_MTU, vsr_net_mtu(n->net));
    net_update_config(n);
    queue_sizes(n, p, sizes);
    if (!vsr_virtio_init(&n->base, &p->virtio, &net_ops,
                         features(n, p->without), 2 * n->pairs + 1, sizes,
                         CONFIG_LEN, error)) {
        free_rx(n);
        return false;
    }
    if (p->link_down)
        vsr_virtio_net_set_link(device, false);
    return true;
}

static void net_fini(vsr_device *device)
{
    virtio_net *n = net_of(device);

    vsr_virtio_fini(&n->base);
    free_rx(n);
}

static void net_reset(vsr_device *device)
{
    vsr_virtio_reset(&net_of(device)->base);
}

static void net_quiesce(vsr_device *device)
{
    virtio_net *n = net_of(device);

    vsr_virtio_quiesce(device);
    g_mutex_lock(&device->lock);
    for (uint32_t i = 0; i < n->pairs; i++)
        net_rx_release(n, i);
    g_mutex_unlock(&device->lock);
}

static void net_unquiesce(vsr_device *device)
{
    vsr_virtio_unquiesce(device);
}

const vsr_device_class vsr_virtio_net_class = {
    .name = "virtio-net",
    .instance_size = sizeof(virtio_net),
    .init = net_init,
    .fini = net_fini,
    .reset = net_reset,
    .quiesce = net_quiesce,
    .unquiesce = net_unquiesce,
};
