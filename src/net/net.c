/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net.c: frames of any kind of network: rate limits, link state, counters.
 *
 * Threads: as net.h says.
 */
#include "net/net.h"

#include <errno.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/net_state.h"

/* --- what is wanted of the kind -------------------------------------------------- */

static void apply_want(vsr_net *net, uint32_t queue)
{
    bool on = net->wanted[queue] && net->up && !net->lost &&
              queue < net->active && !net->in_waits;

    net->ops->want(net, queue, on);
}

static void apply_want_all(vsr_net *net)
{
    for (uint32_t i = 0; i < net->queues; i++)
        apply_want(net, i);
}

void vsr_net_want(vsr_net *net, uint32_t queue, bool on)
{
    if (queue >= net->queues || net->wanted[queue] == on)
        return;
    net->wanted[queue] = on;
    apply_want(net, queue);
}

void vsr_net_set_active(vsr_net *net, uint32_t n)
{
    n = CLAMP(n, 1, net->queues);
    if (n == net->active)
        return;
    /* First those that go, then the kernel, then those that come: a queue that
     * is not active must not be waited for. */
    if (n < net->active) {
        net->active = n;
        apply_want_all(net);
    }
    if (net->ops->set_active != NULL && !net->lost)
        net->ops->set_active(net, n);
    net->active = n;
    apply_want_all(net);
}

void vsr_net_poke_readable(vsr_net *net, uint32_t queue)
{
    if (net->wanted[queue] && net->up && !net->lost && queue < net->active)
        net->events->readable(net->opaque, queue);
}

/* --- the link --------------------------------------------------------------------- */

static void tell_lost(void *opaque)
{
    vsr_net *net = opaque;

    if (net->events->lost != NULL)
        net->events->lost(net->opaque);
}

void vsr_net_lose(vsr_net *net)
{
    if (net->lost)
        return;
    net->lost = true;
    vsr_log(VSR_LOG_WARN, "The network link '%s' has gone",
            net->name != NULL ? net->name : "?");
    apply_want_all(net);
    /* The caller may hold a lock of the receiver's. */
    vsr_loop_call(net->loop, tell_lost, net);
}

typedef struct {
    vsr_net *net;
    bool up;
} link_change;

static void set_link(void *opaque)
{
    const link_change *change = opaque;
    vsr_net *net = change->net;

    if (net->up == change->up)
        return;
    net->up = change->up;
    if (net->ops->set_carrier != NULL && !net->lost)
        net->ops->set_carrier(net, net->up);
    apply_want_all(net);
}

void vsr_net_set_link(vsr_net *net, bool up)
{
    link_change change = { .net = net, .up = up };

    vsr_loop_sync(net->loop, set_link, &change);
}

typedef struct {
    vsr_net *net;
    const vsr_net_rate *in, *out;
} rate_change;

static void set_rates(void *opaque)
{
    const rate_change *change = opaque;
    vsr_net *net = change->net;

    vsr_net_meter_init(&net->in, change->in);
    vsr_net_meter_init(&net->out, change->out);
    /* Who waits by the old limits asks again. */
    if (net->in_waits)
        vsr_timer_arm(&net->in_timer, vsr_now_ns());
    if (net->out_waits)
        vsr_timer_arm(&net->out_timer, vsr_now_ns());
}

void vsr_net_set_rates(vsr_net *net, const vsr_net_rate *in,
                       const vsr_net_rate *out)
{
    rate_change change = { .net = net, .in = in, .out = out };

    vsr_loop_sync(net->loop, set_rates, &change);
}

int vsr_net_link_fd(const vsr_net *net)
{
    return net->ops->link_fd != NULL ? net->ops->link_fd(net) : -1;
}

/* --- frames ------------------------------------------------------------------------ */

static void count(uint64_t *counter, uint64_t n)
{
    /* One writer: no locked instruction is needed. */
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

void vsr_net_count_drop(vsr_net *net)
{
    count(&net->stats.rx_drops, 1);
}

static uint64_t total_len(const struct iovec *iov, uint32_t n)
{
    uint64_t len = 0;

    for (uint32_t i = 0; i < n; i++)
        len += iov[i].iov_len;
    return len;
}

static void on_out_timer(void *opaque)
{
    vsr_net *net = opaque;

    net->out_waits = false;
    for (uint32_t i = 0; i < net->queues; i++) {
        if (!net->blocked[i])
            continue;
        net->blocked[i] = false;
        net->events->writable(net->opaque, i);
    }
}

static void on_in_timer(void *opaque)
{
    vsr_net *net = opaque;

    net->in_waits = false;
    apply_want_all(net);
}

/* True: not now, and the timer is set. */
static bool must_wait(const vsr_net_meter *meter, bool *waits, vsr_timer *timer,
                      int64_t now)
{
    int64_t at;

    if (*waits)
        return true;
    at = vsr_net_meter_wait(meter, now);
    if (at == 0)
        return false;
    *waits = true;
    vsr_timer_arm(timer, at);
    return true;
}

int vsr_net_send(vsr_net *net, uint32_t queue, const struct iovec *iov,
                 uint32_t n)
{
    uint64_t len = total_len(iov, n);
    bool is_limited = vsr_net_meter_is_on(&net->out);
    int64_t now = is_limited ? vsr_now_ns() : 0;
    int rc;

    if (len <= VSR_NET_VNET_HDR_LEN || queue >= net->queues)
        rc = -EINVAL;
    else if (len > VSR_NET_VNET_HDR_LEN + VSR_NET_FRAME_MAX)
        rc = -EMSGSIZE;
    else if (!net->up || net->lost)
        rc = -ENETDOWN;
    else if (is_limited &&
             must_wait(&net->out, &net->out_waits, &net->out_timer, now)) {
        net->blocked[queue] = true;
        return -EAGAIN;
    } else
        rc = net->ops->send(net, queue, iov, n);
    if (rc == -EAGAIN)
        return rc;
    if (rc < 0) {
        count(&net->stats.tx_drops, 1);
        return rc;
    }
    len -= VSR_NET_VNET_HDR_LEN;
    count(&net->stats.tx_bytes, len);
    count(&net->stats.tx_packets, 1);
    if (is_limited)
        vsr_net_meter_take(&net->out, now, len);
    return 0;
}

ssize_t vsr_net_receive(vsr_net *net, uint32_t queue, const struct iovec *iov,
                        uint32_t n)
{
    bool is_limited = vsr_net_meter_is_on(&net->in);
    int64_t now = is_limited ? vsr_now_ns() : 0;
    ssize_t len;

    if (!net->up || net->lost || queue >= net->active)
        return -EAGAIN;
    if (is_limited &&
        must_wait(&net->in, &net->in_waits, &net->in_timer, now)) {
        apply_want_all(net);
        return -EAGAIN;
    }
    len = net->ops->receive(net, queue, iov, n);
    if (len == -EMSGSIZE)
        vsr_net_count_drop(net);
    if (len < 0)
        return len;
    count(&net->stats.rx_bytes, (uint64_t)len - VSR_NET_VNET_HDR_LEN);
    count(&net->stats.rx_packets, 1);
    if (is_limited)
        vsr_net_meter_take(&net->in, now, (uint64_t)len - VSR_NET_VNET_HDR_LEN);
    return len;
}

void vsr_net_get_stats(const vsr_net *net, vsr_net_stats *out)
{
    const vsr_net_stats *s = &net->stats;

    *out = (vsr_net_stats){
        .rx_bytes = __atomic_load_n(&s->rx_bytes, __ATOMIC_RELAXED),
        .rx_packets = __atomic_load_n(&s->rx_packets, __ATOMIC_RELAXED),
        .rx_drops = __atomic_load_n(&s->rx_drops, __ATOMIC_RELAXED),
        .tx_bytes = __atomic_load_n(&s->tx_bytes, __ATOMIC_RELAXED),
        .tx_packets = __atomic_load_n(&s->tx_packets, __ATOMIC_RELAXED),
        .tx_drops = __atomic_load_n(&s->tx_drops, __ATOMIC_RELAXED),
    };
}

uint32_t vsr_net_offloads(const vsr_net *net)
{
    return net->offloads;
}

void vsr_net_set_offloads(vsr_net *net, uint32_t offloads)
{
    if (net->ops->set_offloads != NULL)
        net->ops->set_offloads(net, offloads & net->offloads);
}

uint32_t vsr_net_mtu(const vsr_net *net)
{
    return net->mtu;
}

uint32_t vsr_net_queues(const vsr_net *net)
{
    return net->queues;
}

/* --- no network ---------------------------------------------------------------------- */

static bool null_start(vsr_net *net, vsr_net_source *source, GError **error)
{
    return true;
}

static void null_stop(vsr_net *net)
{
}

static int null_send(vsr_net *net, uint32_t queue, const struct iovec *iov,
                     uint32_t n)
{
    return -ENETDOWN;
}

static ssize_t null_receive(vsr_net *net, uint32_t queue,
                            const struct iovec *iov, uint32_t n)
{
    return -EAGAIN;
}

static void null_want(vsr_net *net, uint32_t queue, bool on)
{
}

const vsr_net_ops vsr_net_null_ops = {
    .start = null_start,
    .stop = null_stop,
    .send = null_send,
    .receive = null_receive,
    .want = null_want,
};

/* --- life ------------------------------------------------------------------------------ */

static const vsr_net_ops *ops_of(vsr_net_kind kind)
{
    switch (kind) {
    case VSR_NET_USER:
        return &vsr_net_user_ops;
    case VSR_NET_BRIDGE:
    case VSR_NET_TAP:
    case VSR_NET_MACVTAP:
        return &vsr_net_link_ops;
    case VSR_NET_NULL:
    default:
        return &vsr_net_null_ops;
    }
}

typedef struct {
    vsr_net *net;
    vsr_net_source *source;
    GError **error;
    bool ok;
} start_call;

static void start_on_loop(void *opaque)
{
    start_call *call = opaque;

    call->ok = call->net->ops->start(call->net, call->source, call->error);
}

static void stop_on_loop(void *opaque)
{
    vsr_net *net = opaque;

    net->lost = true;
    vsr_timer_cancel(&net->in_timer);
    vsr_timer_cancel(&net->out_timer);
    net->ops->stop(net);
}

static void nothing(void *opaque)
{
}

static void forget(vsr_net *net)
{
    vsr_close(net->hold_fd);
    g_free(net->name);
    g_free(net);
}

vsr_net *vsr_net_new(vsr_net_source *source, const vsr_net_events *events,
                     void *opaque, vsr_loop *loop, GError **error)
{
    vsr_net *net = g_new0(vsr_net, 1);
    start_call call = { .net = net, .source = source, .error = error };

    net->ops = ops_of(source->kind);
    net->loop = loop;
    net->events = events;
    net->opaque = opaque;
    net->name = g_strdup(source->name);
    net->mtu = source->mtu != 0 ? source->mtu : 1500;
    net->hold_fd = -1;
    net->queues = CLAMP(source->n, 1, (uint32_t)VSR_NET_QUEUES_MAX);
    net->active = 1;
    net->up = true;
    vsr_net_meter_init(&net->in, &source->in);
    vsr_net_meter_init(&net->out, &source->out);
    vsr_timer_init(&net->in_timer, loop, on_in_timer, net);
    vsr_timer_init(&net->out_timer, loop, on_out_timer, net);
    vsr_loop_sync(loop, start_on_loop, &call);
    if (!call.ok) {
        forget(net);
        return NULL;
    }
    net->hold_fd = vsr_steal_fd(&source->hold_fd);
    return net;
}

void vsr_net_free(vsr_net *net)
{
    if (net == NULL)
        return;
    vsr_loop_sync(net->loop, stop_on_loop, net);
    /* What was posted before that has run, or does so before this. */
    vsr_loop_sync(net->loop, nothing, NULL);
    forget(net);
}
