/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * user.c: a network inside this process, behind the host's own sockets:
 * libslirp. The guest gets 10.0.2.15 by DHCP and fec0::/64 by router
 * advertisement; gateway and host are 10.0.2.2 and fec0::2, DNS 10.0.2.3 and
 * fec0::3.
 *
 * libslirp wants poll(): its descriptors are in an epoll set of our own, of
 * which the loop sees one descriptor; after whatever may have changed them, the
 * set is compared with what libslirp wants now. That, and handing frames to the
 * guest, is never done from within a send, but soon after it.
 *
 * Threads: the net's loop.
 */
#include "net/net_state.h"

#include <errno.h>
#include <slirp/libslirp.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"

enum {
    FRAMES_MAX = 4 * 1024 * 1024, /* bytes that wait for the guest */
    FRAMES_HIGH = FRAMES_MAX / 4, /* sockets are left alone above that … */
    FRAMES_LOW = FRAMES_MAX / 16, /* … until it is this */
    FRAME_COST = 64,              /* of each, besides its bytes */
    READY_MAX = 64,
    NS_PER_MS = 1000000,
};

/* A descriptor of libslirp's, at the index of its number. */
typedef struct {
    uint32_t events; /* in the epoll set; 0: not there */
    uint32_t round;  /* of the last fill that had it */
    int poll;        /* its index in that fill */
} known_fd;

typedef struct {
    int fd;
    uint32_t revents; /* SLIRP_POLL_* */
} polled_fd;

typedef struct {
    size_t len;
    uint8_t data[];
} frame;

typedef struct {
    vsr_net *net;
    Slirp *slirp;
    int epoll_fd;
    vsr_loop_fd *watch;
    vsr_timer timer;    /* of slirp_pollfds_fill() */
    GArray *known;      /* of known_fd */
    GArray *polled;     /* of polled_fd: the last fill */
    GArray *was_polled; /* the one before */
    uint32_t round;
    GQueue frames; /* of frame, for the guest */
    size_t frames_cost;
    bool paused; /* sockets wait for the guest */
    bool want;
    bool posted;  /* a settle is to come */
    uint8_t *out; /* one frame of the guest's, contiguous */
    vsr_log_limiter errors;
} user_net;

static void settle(user_net *u);
static void settle_soon(user_net *u);

/* --- what libslirp waits for ------------------------------------------------------ */

static known_fd *known(user_net *u, int fd)
{
    if ((guint)fd >= u->known->len)
        g_array_set_size(u->known, (guint)fd + 1);
    return &g_array_index(u->known, known_fd, fd);
}

static void epoll_set(user_net *u, int fd, uint32_t events)
{
    known_fd *k = known(u, fd);
    struct epoll_event event = { .events = events, .data.fd = fd };

    if (k->events == events)
        return;
    if (events == 0) {
        (void)epoll_ctl(u->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    } else if (epoll_ctl(u->epoll_fd,
                         k->events != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
                         &event) < 0) {
        vsr_log_limited(&u->errors, VSR_LOG_WARN,
                        "User network: a socket cannot be waited for: %s",
                        g_strerror(errno));
        events = 0;
    }
    k->events = events;
}

static int on_add_poll(int fd, int events, void *opaque)
{
    user_net *u = opaque;
    polled_fd polled = { .fd = fd };
    uint32_t bits = ((events & SLIRP_POLL_IN) != 0 ? EPOLLIN : 0u) |
                    ((events & SLIRP_POLL_OUT) != 0 ? EPOLLOUT : 0u) |
                    ((events & SLIRP_POLL_PRI) != 0 ? EPOLLPRI : 0u);
    known_fd *k;

    epoll_set(u, fd, bits);
    k = known(u, fd);
    k->round = u->round;
    k->poll = (int)u->polled->len;
    g_array_append_val(u->polled, polled);
    return k->poll;
}

static int on_get_revents(int index, void *opaque)
{
    const user_net *u = opaque;

    return index >= 0 && (guint)index < u->polled->len
               ? (int)g_array_index(u->polled, polled_fd, index).revents
               : 0;
}

static void refresh(user_net *u)
{
    GArray *last = u->polled;
    uint32_t timeout_ms = UINT32_MAX;

    u->polled = u->was_polled;
    u->was_polled = last;
    g_array_set_size(u->polled, 0);
    u->round++;
    slirp_pollfds_fill(u->slirp, &timeout_ms, on_add_poll, u);
    for (guint i = 0; i < last->len; i++) {
        int fd = g_array_index(last, polled_fd, i).fd;

        if (known(u, fd)->round != u->round)
            epoll_set(u, fd, 0);
    }
    if (timeout_ms == UINT32_MAX)
        vsr_timer_cancel(&u->timer);
    else
        vsr_timer_arm(&u->timer,
                      vsr_now_ns() + MAX(timeout_ms, 1) * (int64_t)NS_PER_MS);
}

static uint32_t revents_of(uint32_t events)
{
    return ((events & EPOLLIN) != 0 ? SLIRP_POLL_IN : 0u) |
           ((events & EPOLLOUT) != 0 ? SLIRP_POLL_OUT : 0u) |
           ((events & EPOLLPRI) != 0 ? SLIRP_POLL_PRI : 0u) |
           ((events & EPOLLERR) != 0 ? SLIRP_POLL_ERR : 0u) |
           ((events & EPOLLHUP) != 0 ? SLIRP_POLL_HUP : 0u);
}

static void on_ready(int fd, uint32_t events, void *opaque)
{
    user_net *u = opaque;
    struct epoll_event ready[READY_MAX];
    int n = epoll_wait(u->epoll_fd, ready, READY_MAX, 0);

    for (int i = 0; i < n; i++) {
        const known_fd *k = known(u, ready[i].data.fd);

        if (k->round == u->round)
            g_array_index(u->polled, polled_fd, k->poll).revents =
                revents_of(ready[i].events);
    }
    slirp_pollfds_poll(u->slirp, 0, on_get_revents, u);
    settle(u);
}

static void on_timer(void *opaque)
{
    user_net *u = opaque;

    slirp_pollfds_poll(u->slirp, 0, on_get_revents, u);
    settle(u);
}

/* --- frames ------------------------------------------------------------------------- */

static void pause_sockets(user_net *u, bool on)
{
    if (u->paused == on)
        return;
    u->paused = on;
    vsr_loop_fd_modify(u->watch, on ? 0 : EPOLLIN);
}

static void settle(user_net *u)
{
    /* From the last fill to the next its indexes are not told twice. */
    for (guint i = 0; i < u->polled->len; i++)
        g_array_index(u->polled, polled_fd, i).revents = 0;
    refresh(u);
    if (!u->want || g_queue_is_empty(&u->frames))
        return;
    vsr_net_poke_readable(u->net, 0);
    /* It wants more, but lets others have their turn. */
    if (u->want && !g_queue_is_empty(&u->frames))
        settle_soon(u);
}

static void on_posted(void *opaque)
{
    user_net *u = opaque;

    u->posted = false;
    if (u->slirp != NULL)
        settle(u);
}

static void settle_soon(user_net *u)
{
    if (u->posted)
        return;
    u->posted = true;
    vsr_loop_call(u->net->loop, on_posted, u);
}

static ssize_t on_send_packet(const void *data, size_t len, void *opaque)
{
    user_net *u = opaque;
    frame *f;

    /* Lost as on any wire: what needs it is sent again. */
    if (len > VSR_NET_FRAME_MAX || u->frames_cost >= FRAMES_MAX) {
        vsr_net_count_drop(u->net);
        return (ssize_t)len;
    }
    f = g_malloc(sizeof(*f) + len);
    f->len = len;
    memcpy(f->data, data, len);
    g_queue_push_tail(&u->frames, f);
    u->frames_cost += len + FRAME_COST;
    if (u->frames_cost > FRAMES_HIGH)
        pause_sockets(u, true);
    return (ssize_t)len;
}

static int user_send(vsr_net *net, uint32_t queue, const struct iovec *iov,
                     uint32_t n)
{
    user_net *u = net->state;
    size_t skip = VSR_NET_VNET_HDR_LEN, len = 0;

    for (uint32_t i = 0; i < n; i++) {
        size_t part_skip = MIN(skip, iov[i].iov_len);
        size_t part = iov[i].iov_len - part_skip;

        memcpy(u->out + len, (const uint8_t *)iov[i].iov_base + part_skip,
               part);
        skip -= part_skip;
        len += part;
    }
    slirp_input(u->slirp, u->out, (int)len);
    settle_soon(u);
    return 0;
}

static ssize_t user_receive(vsr_net *net, uint32_t queue,
                            const struct iovec *iov, uint32_t n)
{
    static const uint8_t header[VSR_NET_VNET_HDR_LEN];
    user_net *u = net->state;
    g_autofree frame *f = g_queue_pop_head(&u->frames);
    size_t at = 0, total;

    if (f == NULL)
        return -EAGAIN;
    u->frames_cost -= f->len + FRAME_COST;
    if (u->paused && u->frames_cost < FRAMES_LOW) {
        pause_sockets(u, false);
        settle_soon(u);
    }
    total = sizeof(header) + f->len;
    for (uint32_t i = 0; i < n && at < total; i++) {
        uint8_t *to = iov[i].iov_base;
        size_t left = iov[i].iov_len;

        if (at < sizeof(header)) {
            size_t part = MIN(left, sizeof(header) - at);

            memcpy(to, header + at, part);
            at += part;
            to += part;
            left -= part;
        }
        left = MIN(left, total - at);
        if (left > 0)
            memcpy(to, f->data + at - sizeof(header), left);
        at += left;
    }
    return at < total ? -EMSGSIZE : (ssize_t)total;
}

static void user_want(vsr_net *net, uint32_t queue, bool on)
{
    user_net *u = net->state;

    u->want = on;
    if (on && !g_queue_is_empty(&u->frames))
        settle_soon(u);
}

/* --- what libslirp asks of us --------------------------------------------------------- */

typedef struct {
    vsr_timer timer;
    user_net *user;
    SlirpTimerCb fn;
    void *opaque;
} user_timer;

static void on_user_timer(void *opaque)
{
    user_timer *t = opaque;
    user_net *u = t->user;

    t->fn(t->opaque); /* may free it */
    settle(u);
}

static void *on_timer_new(SlirpTimerCb fn, void *cb_opaque, void *opaque)
{
    user_net *u = opaque;
    user_timer *t = g_new0(user_timer, 1);

    t->user = u;
    t->fn = fn;
    t->opaque = cb_opaque;
    vsr_timer_init(&t->timer, u->net->loop, on_user_timer, t);
    return t;
}

static void on_timer_free(void *timer, void *opaque)
{
    user_timer *t = timer;

    if (t == NULL)
        return;
    vsr_timer_cancel(&t->timer);
    g_free(t);
}

static void on_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    vsr_timer_arm(&((user_timer *)timer)->timer, expire_ms * NS_PER_MS);
}

static int64_t on_clock(void *opaque)
{
    return vsr_now_ns();
}

static void on_guest_error(const char *text, void *opaque)
{
    vsr_log_limited(&((user_net *)opaque)->errors, VSR_LOG_INFO,
                    "User network: the guest: %s", text);
}

static void on_register(int fd, void *opaque)
{
}

/* Before it is closed: its number may come again. */
static void on_unregister(int fd, void *opaque)
{
    epoll_set(opaque, fd, 0);
}

static void on_notify(void *opaque)
{
    settle_soon(opaque);
}

static const SlirpCb callbacks = {
    .send_packet = on_send_packet,
    .guest_error = on_guest_error,
    .clock_get_ns = on_clock,
    .timer_new = on_timer_new,
    .timer_free = on_timer_free,
    .timer_mod = on_timer_mod,
    .register_poll_fd = on_register,
    .unregister_poll_fd = on_unregister,
    .notify = on_notify,
};

/* --- life --------------------------------------------------------------------------------- */

static bool add_forward(user_net *u, const vsr_net_forward *forward,
                        GError **error)
{
    const char *host =
        forward->host_addr != NULL ? forward->host_addr : "127.0.0.1";
    struct in_addr addr, guest = { 0 }; /* the first of DHCP */

    if (inet_pton(AF_INET, host, &addr) != 1)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "User network: '%s' is not an IPv4 address, and only "
                        "their ports are forwarded",
                        host);
    if (slirp_add_hostfwd(u->slirp, forward->is_udp, addr, forward->host_port,
                          guest, forward->guest_port) < 0)
        return vsr_fail_errno(error, errno,
                              "User network: %s port %u of %s cannot be "
                              "forwarded to the guest",
                              forward->is_udp ? "UDP" : "TCP",
                              forward->host_port, host);
    return true;
}

static Slirp *make_slirp(user_net *u)
{
    SlirpConfig config = {
        .version = 1,
        .in_enabled = true,
        .in6_enabled = true,
        .vprefix_len = 64,
        .if_mtu = u->net->mtu,
        .if_mru = u->net->mtu,
    };

    inet_pton(AF_INET, "10.0.2.0", &config.vnetwork);
    inet_pton(AF_INET, "255.255.255.0", &config.vnetmask);
    inet_pton(AF_INET, "10.0.2.2", &config.vhost);
    inet_pton(AF_INET, "10.0.2.15", &config.vdhcp_start);
    inet_pton(AF_INET, "10.0.2.3", &config.vnameserver);
    inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &config.vhost6);
    inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
    return slirp_new(&config, &callbacks, u);
}

static void user_stop(vsr_net *net)
{
    user_net *u = net->state;

    if (u->watch != NULL)
        vsr_loop_fd_remove(u->watch);
    vsr_timer_cancel(&u->timer);
    if (u->slirp != NULL)
        slirp_cleanup(u->slirp);
    u->slirp = NULL;
    vsr_close(u->epoll_fd);
    g_queue_clear_full(&u->frames, g_free);
    g_array_unref(u->known);
    g_array_unref(u->polled);
    g_array_unref(u->was_polled);
    g_clear_pointer(&u->out, g_free);
    /* A posted call may still look at it: after that one. */
    vsr_loop_call(net->loop, g_free, g_steal_pointer(&net->state));
}

static bool start(user_net *u, const vsr_net_source *source, GError **error)
{
    u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (u->epoll_fd < 0)
        return vsr_fail_errno(error, errno, "User network: no epoll set");
    u->watch =
        vsr_loop_fd_add(u->net->loop, u->epoll_fd, EPOLLIN, on_ready, u, error);
    if (u->watch == NULL)
        return false;
    u->slirp = make_slirp(u);
    if (u->slirp == NULL)
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "User network: libslirp %s does not start",
                        slirp_version_string());
    for (guint i = 0; source->forwards != NULL && i < source->forwards->len;
         i++)
        if (!add_forward(
                u, &g_array_index(source->forwards, vsr_net_forward, i), error))
            return false;
    settle(u);
    return true;
}

static bool user_start(vsr_net *net, vsr_net_source *source, GError **error)
{
    user_net *u = g_new0(user_net, 1);

    net->state = u;
    net->queues = 1;
    u->net = net;
    u->epoll_fd = -1;
    u->known = g_array_new(FALSE, TRUE, sizeof(known_fd));
    u->polled = g_array_new(FALSE, TRUE, sizeof(polled_fd));
    u->was_polled = g_array_new(FALSE, TRUE, sizeof(polled_fd));
    u->out = g_malloc(VSR_NET_FRAME_MAX);
    g_queue_init(&u->frames);
    vsr_timer_init(&u->timer, net->loop, on_timer, u);
    if (start(u, source, error))
        return true;
    user_stop(net);
    return false;
}

const vsr_net_ops vsr_net_user_ops = {
    .start = user_start,
    .stop = user_stop,
    .send = user_send,
    .receive = user_receive,
    .want = user_want,
};
