/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_net.c: see fake_net.h. Everything happens on the loop. */
#include "tests/devices/fake_net.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

struct vsr_net {
    const vsr_net_events *events;
    void *opaque;
    vsr_loop *loop;
    uint32_t offloads, queues, mtu;
    gint set_offloads; /* atomic */
    /* On the loop. */
    uint32_t active;
    bool up, refuse;
    bool wanted[VSR_NET_QUEUES_MAX], blocked[VSR_NET_QUEUES_MAX];
    GQueue frames[VSR_NET_QUEUES_MAX]; /* of GBytes */
    GAsyncQueue *sent;                 /* of GBytes */
    vsr_net_stats stats;
};

void fake_net_source_init(fake_net_source *source, uint32_t queues,
                          uint32_t offloads)
{
    *source = (fake_net_source){
        .base = { .kind = VSR_NET_TAP,
                  .n = queues,
                  .mtu = 1500,
                  .hold_fd = -1 },
        .offloads = offloads,
    };
}

/* --- what the device calls ------------------------------------------------------- */

vsr_net *vsr_net_new(vsr_net_source *source, const vsr_net_events *events,
                     void *opaque, vsr_loop *loop, GError **error)
{
    fake_net_source *fake = VSR_CONTAINER_OF(source, fake_net_source, base);
    vsr_net *net = g_new0(vsr_net, 1);

    net->events = events;
    net->opaque = opaque;
    net->loop = loop;
    net->offloads = fake->offloads;
    net->queues = source->n;
    net->mtu = source->mtu;
    net->active = 1;
    net->up = true;
    net->sent = g_async_queue_new_full((GDestroyNotify)g_bytes_unref);
    fake->net = net;
    return net;
}

static void nothing(void *opaque)
{
}

void vsr_net_free(vsr_net *net)
{
    if (net == NULL)
        return;
    vsr_loop_sync(net->loop, nothing, NULL);
    for (uint32_t i = 0; i < VSR_NET_QUEUES_MAX; i++)
        g_queue_clear_full(&net->frames[i], (GDestroyNotify)g_bytes_unref);
    g_async_queue_unref(net->sent);
    g_free(net);
}

uint32_t vsr_net_offloads(const vsr_net *net)
{
    return net->offloads;
}

void vsr_net_set_offloads(vsr_net *net, uint32_t offloads)
{
    g_atomic_int_set(&net->set_offloads, (gint)offloads);
}

uint32_t vsr_net_mtu(const vsr_net *net)
{
    return net->mtu;
}

uint32_t vsr_net_queues(const vsr_net *net)
{
    return net->queues;
}

void vsr_net_set_active(vsr_net *net, uint32_t n)
{
    g_assert(vsr_loop_is_current(net->loop) && n >= 1 && n <= net->queues);
    net->active = n;
}

int vsr_net_send(vsr_net *net, uint32_t queue, const struct iovec *iov,
                 uint32_t n)
{
    GByteArray *bytes;

    g_assert(vsr_loop_is_current(net->loop) && queue < net->queues);
    if (net->refuse) {
        net->blocked[queue] = true;
        return -EAGAIN;
    }
    bytes = g_byte_array_new();
    for (uint32_t i = 0; i < n; i++)
        g_byte_array_append(bytes, iov[i].iov_base, (guint)iov[i].iov_len);
    if (bytes->len <= VSR_NET_VNET_HDR_LEN) {
        g_byte_array_unref(bytes);
        return -EINVAL;
    }
    net->stats.tx_packets++;
    g_async_queue_push(net->sent, g_byte_array_free_to_bytes(bytes));
    return 0;
}

ssize_t vsr_net_receive(vsr_net *net, uint32_t queue, const struct iovec *iov,
                        uint32_t n)
{
    GBytes *bytes = g_queue_pop_head(&net->frames[queue]);
    const uint8_t *data;
    gsize len, at = 0;

    g_assert(vsr_loop_is_current(net->loop) && queue < net->active &&
             n <= VSR_NET_IOV_MAX);
    if (bytes == NULL)
        return -EAGAIN;
    data = g_bytes_get_data(bytes, &len);
    for (uint32_t i = 0; i < n && at < len; i++) {
        gsize part = MIN(iov[i].iov_len, len - at);

        memcpy(iov[i].iov_base, data + at, part);
        at += part;
    }
    g_bytes_unref(bytes);
    if (at < len) {
        net->stats.rx_drops++;
        return -EMSGSIZE;
    }
    net->stats.rx_packets++;
    return (ssize_t)len;
}

void vsr_net_want(vsr_net *net, uint32_t queue, bool on)
{
    g_assert(vsr_loop_is_current(net->loop));
    net->wanted[queue] = on;
}

typedef struct {
    vsr_net *net;
    uint32_t queue;
    GBytes *bytes;
    bool flag;
    uint32_t n;
} fake_call;

static void on_set_link(void *opaque)
{
    fake_call *call = opaque;

    call->net->up = call->flag;
}

void vsr_net_set_link(vsr_net *net, bool up)
{
    fake_call call = { .net = net, .flag = up };

    vsr_loop_sync(net->loop, on_set_link, &call);
}

void vsr_net_get_stats(const vsr_net *net, vsr_net_stats *out)
{
    *out = net->stats;
}

/* --- what the test calls --------------------------------------------------------- */

static void on_put(void *opaque)
{
    fake_call *call = opaque;
    vsr_net *net = call->net;

    g_queue_push_tail(&net->frames[call->queue], call->bytes);
}

/* A level, as of a descriptor. */
static void poke(void *opaque)
{
    fake_call *call = opaque;
    vsr_net *net = call->net;

    while (net->wanted[call->queue] && call->queue < net->active &&
           !g_queue_is_empty(&net->frames[call->queue]))
        net->events->readable(net->opaque, call->queue);
}

void fake_net_put(vsr_net *net, uint32_t queue, const void *header,
                  const void *frame, size_t len)
{
    static const uint8_t zero[VSR_NET_VNET_HDR_LEN];
    GByteArray *bytes = g_byte_array_new();
    fake_call call = { .net = net, .queue = queue };

    g_byte_array_append(bytes, header != NULL ? header : zero, sizeof(zero));
    g_byte_array_append(bytes, frame, (guint)len);
    call.bytes = g_byte_array_free_to_bytes(bytes);
    vsr_loop_sync(net->loop, on_put, &call);
    vsr_loop_sync(net->loop, poke, &call);
}

GBytes *fake_net_sent(vsr_net *net)
{
    return g_async_queue_timeout_pop(net->sent, G_TIME_SPAN_MINUTE);
}

bool fake_net_sent_none(vsr_net *net)
{
    return g_async_queue_length(net->sent) <= 0;
}

static void on_refuse(void *opaque)
{
    fake_call *call = opaque;
    vsr_net *net = call->net;

    net->refuse = call->flag;
    for (uint32_t i = 0; !net->refuse && i < net->queues; i++)
        if (net->blocked[i]) {
            net->blocked[i] = false;
            net->events->writable(net->opaque, i);
        }
}

void fake_net_refuse(vsr_net *net, bool refuse)
{
    fake_call call = { .net = net, .flag = refuse };

    vsr_loop_sync(net->loop, on_refuse, &call);
}

static void on_lose(void *opaque)
{
    fake_call *call = opaque;

    call->net->events->lost(call->net->opaque);
}

void fake_net_lose(vsr_net *net)
{
    fake_call call = { .net = net };

    vsr_loop_sync(net->loop, on_lose, &call);
}

static void on_look(void *opaque)
{
    fake_call *call = opaque;

    call->flag = call->net->wanted[call->queue];
    call->n = call->net->active;
}

bool fake_net_wanted(vsr_net *net, uint32_t queue)
{
    fake_call call = { .net = net, .queue = queue };

    vsr_loop_sync(net->loop, on_look, &call);
    return call.flag;
}

void vsr_net_set_rates(vsr_net *net, const vsr_net_rate *in,
                       const vsr_net_rate *out)
{
}

int vsr_net_link_fd(const vsr_net *net)
{
    return -1;
}

uint32_t fake_net_active(vsr_net *net)
{
    fake_call call = { .net = net };

    vsr_loop_sync(net->loop, on_look, &call);
    return call.n;
}

uint32_t fake_net_offloads(vsr_net *net)
{
    return (uint32_t)g_atomic_int_get(&net->set_offloads);
}

static void on_is_up(void *opaque)
{
    fake_call *call = opaque;

    call->flag = call->net->up;
    call->n = g_queue_get_length(&call->net->frames[call->queue]);
}

bool fake_net_is_up(vsr_net *net)
{
    fake_call call = { .net = net };

    vsr_loop_sync(net->loop, on_is_up, &call);
    return call.flag;
}

uint32_t fake_net_waiting(vsr_net *net, uint32_t queue)
{
    fake_call call = { .net = net, .queue = queue };

    /* What is posted has run, and what is a level has been seen. */
    vsr_loop_sync(net->loop, poke, &call);
    vsr_loop_sync(net->loop, on_is_up, &call);
    return call.n;
}
