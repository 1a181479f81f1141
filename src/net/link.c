/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.c: frames through the descriptors of a tap or macvtap, one a queue.
 *
 * A tap whose link has gone is in error at once and for ever (POLLERR, EBADFD):
 * that is told once, and nothing waits for it any more. EIO is a link that is
 * down. A macvtap swallows frames then, without a word: it is asked from time to
 * time.
 *
 * Spec:    Linux, Documentation/networking/tuntap.rst.
 * Threads: the net's loop.
 */
#include "net/net_state.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* Nothing in particular: errors and hang-ups are always told. */
enum { IDLE = EPOLLPRI };
#define LOOK_NS INT64_C(2000000000)

typedef struct {
    vsr_net *net;
    uint32_t index;
    int fd; /* owned */
    vsr_loop_fd *watch;
    bool attached;  /* to the link: frames come here */
    bool want_read; /* as told to the loop */
    bool want_write;
} link_queue;

typedef struct {
    link_queue queue[VSR_NET_QUEUES_MAX];
    vsr_timer look; /* macvtap: is it there still? */
} link_state;

static link_queue *queue_of(vsr_net *net, uint32_t index)
{
    return &((link_state *)net->state)->queue[index];
}

/* --- waiting ----------------------------------------------------------------- */

static void watch_apply(link_queue *q)
{
    uint32_t events = (q->want_read ? EPOLLIN : 0u) |
                      (q->want_write ? EPOLLOUT : 0u) | (uint32_t)IDLE;

    /* A queue that is not attached is in error. */
    vsr_loop_fd_modify(q->watch, q->net->lost || !q->attached ? 0 : events);
}

static void on_event(int fd, uint32_t events, void *opaque)
{
    link_queue *q = opaque;

    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        vsr_net_lose(q->net);
        watch_apply(q);
        return;
    }
    if ((events & EPOLLOUT) != 0 && q->want_write) {
        q->want_write = false;
        watch_apply(q);
        q->net->events->writable(q->net->opaque, q->index);
    }
    if ((events & EPOLLIN) != 0 && q->want_read)
        vsr_net_poke_readable(q->net, q->index);
}

static void link_want(vsr_net *net, uint32_t index, bool on)
{
    link_queue *q = queue_of(net, index);

    if (q->want_read == on && !net->lost)
        return;
    q->want_read = on;
    watch_apply(q);
}

/* --- frames -------------------------------------------------------------------- */

static bool is_gone(int err)
{
    return err == EBADFD || err == ENOLINK || err == ENODEV || err == ENXIO;
}

static int link_send(vsr_net *net, uint32_t index, const struct iovec *iov,
                     uint32_t n)
{
    link_queue *q = queue_of(net, index);
    ssize_t rc;

    /* Of two queues' frames one is as good as the other's: those of one that
     * is not attached leave by the first. */
    if (!q->attached)
        q = queue_of(net, 0);
    do {
        rc = writev(q->fd, iov, (int)n);
    } while (rc < 0 && errno == EINTR);
    if (rc >= 0)
        return 0;
    if (errno == EAGAIN) {
        q = queue_of(net, index);
        if (!q->attached)
            return -ENOBUFS;
        q->want_write = true;
        watch_apply(q);
        return -EAGAIN;
    }
    rc = -errno;
    if (is_gone((int)-rc))
        vsr_net_lose(net);
    return (int)rc;
}

static ssize_t link_receive(vsr_net *net, uint32_t index,
                            const struct iovec *iov, uint32_t n)
{
    link_queue *q = queue_of(net, index);
    struct iovec with_end[VSR_NET_IOV_MAX + 1];
    size_t room = 0;
    uint8_t end;
    ssize_t len;

    if (n > VSR_NET_IOV_MAX)
        return -EMSGSIZE;
    /* What a frame is too long for is cut off without a word: a byte more tells
     * that it was. */
    for (uint32_t i = 0; i < n; i++) {
        with_end[i] = iov[i];
        room += iov[i].iov_len;
    }
    with_end[n] = (struct iovec){ .iov_base = &end, .iov_len = 1 };
    do {
        len = readv(q->fd, with_end, (int)n + 1);
    } while (len < 0 && errno == EINTR);
    if (len >= 0)
        return (size_t)len > room || len < VSR_NET_VNET_HDR_LEN ? -EMSGSIZE
                                                                : len;
    if (is_gone(errno))
        vsr_net_lose(net);
    return -EAGAIN;
}

/* --- settings ---------------------------------------------------------------------- */

static int tell_offloads(int fd, uint32_t offloads)
{
    unsigned long bits = 0;

    if ((offloads & VSR_NET_OFFLOAD_CSUM) != 0) {
        bits |= TUN_F_CSUM;
        if ((offloads & VSR_NET_OFFLOAD_TSO4) != 0)
            bits |= TUN_F_TSO4;
        if ((offloads & VSR_NET_OFFLOAD_TSO6) != 0)
            bits |= TUN_F_TSO6;
        if ((offloads & VSR_NET_OFFLOAD_ECN) != 0 &&
            (bits & (TUN_F_TSO4 | TUN_F_TSO6)) != 0)
            bits |= TUN_F_TSO_ECN;
        if ((offloads & VSR_NET_OFFLOAD_USO) != 0)
            bits |= TUN_F_USO4 | TUN_F_USO6;
    }
    return ioctl(fd, TUNSETOFFLOAD, bits) < 0 ? -errno : 0;
}

static void link_set_offloads(vsr_net *net, uint32_t offloads)
{
    /* A tap keeps them for the link, a macvtap for each descriptor. One that is
     * not attached has nobody to tell, and refuses. */
    for (uint32_t i = 0; i < net->queues; i++)
        (void)tell_offloads(queue_of(net, i)->fd, offloads);
}

static uint32_t probe_offloads(int fd)
{
    static const uint32_t sets[] = {
        VSR_NET_OFFLOAD_CSUM | VSR_NET_OFFLOAD_TSO4 | VSR_NET_OFFLOAD_TSO6 |
            VSR_NET_OFFLOAD_ECN | VSR_NET_OFFLOAD_USO,
        VSR_NET_OFFLOAD_CSUM | VSR_NET_OFFLOAD_TSO4 | VSR_NET_OFFLOAD_TSO6 |
            VSR_NET_OFFLOAD_ECN,
        VSR_NET_OFFLOAD_CSUM,
    };
    uint32_t found = 0;

    for (size_t i = 0; found == 0 && i < G_N_ELEMENTS(sets); i++)
        if (tell_offloads(fd, sets[i]) == 0)
            found = sets[i];
    (void)tell_offloads(fd, 0);
    return found;
}

static int set_attached(link_queue *q, bool on)
{
    struct ifreq ifr = {
        .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE,
    };

    if (q->attached == on)
        return 0;
    if (ioctl(q->fd, TUNSETQUEUE, &ifr) < 0)
        return -errno;
    q->attached = on;
    return 0;
}

static void link_set_active(vsr_net *net, uint32_t n)
{
    for (uint32_t i = 0; i < net->queues; i++) {
        link_queue *q = queue_of(net, i);

        q->want_write = q->want_write && i < n;
        /* One that cannot be detached takes frames that nobody reads: a queue
         * less, not a reason to stop. */
        (void)set_attached(q, i < n);
        watch_apply(q);
    }
}

static void link_set_carrier(vsr_net *net, bool up)
{
    int on = up;

    (void)ioctl(queue_of(net, 0)->fd, TUNSETCARRIER, &on);
}

static int link_fd(const vsr_net *net)
{
    return ((const link_state *)net->state)->queue[0].fd;
}

/* --- life ------------------------------------------------------------------------------ */

static void on_look(void *opaque)
{
    vsr_net *net = opaque;
    link_state *state = net->state;
    struct ifreq ifr = { 0 };

    if (ioctl(state->queue[0].fd, TUNGETIFF, &ifr) < 0 && is_gone(errno))
        vsr_net_lose(net);
    else
        vsr_timer_arm(&state->look, vsr_now_ns() + LOOK_NS);
}

static void link_stop(vsr_net *net)
{
    link_state *state = net->state;

    vsr_timer_cancel(&state->look);
    for (uint32_t i = 0; i < net->queues; i++) {
        link_queue *q = queue_of(net, i);

        vsr_loop_fd_remove(q->watch);
        vsr_close(q->fd);
    }
    g_clear_pointer(&net->state, g_free);
}

static bool link_start(vsr_net *net, vsr_net_source *source, GError **error)
{
    link_state *state = g_new0(link_state, 1);

    net->state = state;
    if (!source->vnet_hdr) {
        g_clear_pointer(&net->state, g_free);
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Network link '%s': it was opened without IFF_VNET_HDR",
                        net->name);
    }
    vsr_timer_init(&state->look, net->loop, on_look, net);
    for (uint32_t i = 0; i < net->queues; i++)
        state->queue[i] = (link_queue){
            .net = net,
            .index = i,
            .fd = vsr_steal_fd(&source->fd[i]),
            .attached = true,
        };
    for (uint32_t i = 0; i < net->queues; i++) {
        link_queue *q = &state->queue[i];

        q->watch = vsr_loop_fd_add(net->loop, q->fd, 0, on_event, q, error);
        if (q->watch == NULL) {
            link_stop(net);
            return false;
        }
    }
    net->offloads = probe_offloads(state->queue[0].fd);
    link_set_active(net, 1);
    if (source->kind == VSR_NET_MACVTAP)
        vsr_timer_arm(&state->look, vsr_now_ns() + LOOK_NS);
    return true;
}

const vsr_net_ops vsr_net_link_ops = {
    .start = link_start,
    .stop = link_stop,
    .send = link_send,
    .receive = link_receive,
    .want = link_want,
    .set_offloads = link_set_offloads,
    .set_active = link_set_active,
    .set_carrier = link_set_carrier,
    .link_fd = link_fd,
};
