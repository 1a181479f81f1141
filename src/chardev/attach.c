/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * attach.c: the ports of a character device: what their events lead to, clients
 * of a listening socket, attached streams.
 *
 * Threads: see chardev_state.h.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "chardev/chardev_state.h"

enum { KEPT = 64 << 10 }; /* what a new stream may ask for */
static const int64_t accept_retry_ns = 1000000000;

static void on_port(vsr_port *port, uint32_t events, void *opaque)
{
    vsr_chardev *dev = opaque;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (port->in_len == port->in_off)
            vsr_port_fill(port);
        chardev_deliver(dev, port);
    }
    if (events & EPOLLOUT)
        chardev_pump_port(dev, port);
    else if (events & (EPOLLHUP | EPOLLERR) && port->in_fd < 0)
        port->dead = true; /* a pipe without reader */
    chardev_port_update(dev, port);
    chardev_watch_update(dev);
}

/* The end of input is not the end of output where the two are different fds. */
static bool is_half_dead(vsr_chardev *dev, const vsr_port *port)
{
    return port == dev->port && dev->source.kind == VSR_CHARDEV_FD &&
           port->in_fd >= 0 && port->in_fd != port->out_fd;
}

/* What to wait for now; a dead port goes. */
void chardev_port_update(vsr_chardev *dev, vsr_port *port)
{
    if (!port->dead) {
        vsr_port_update(port);
        return;
    }
    if (is_half_dead(dev, port)) {
        vsr_loop_fd_remove(g_steal_pointer(&port->in_watch));
        vsr_close(vsr_steal_fd(&port->in_fd));
        port->dead = false;
        vsr_port_update(port);
        return;
    }
    if (port == dev->port) {
        dev->port_cursor = port->cursor;
        dev->port = NULL;
        if (dev->accepting)
            vsr_loop_fd_modify(dev->accepting, EPOLLIN);
    } else {
        dev->streams = g_slist_remove(dev->streams, port);
    }
    vsr_port_free(port);
}

vsr_port *chardev_port_new(vsr_chardev *dev, int in_fd, int out_fd,
                           GError **error)
{
    vsr_port_owner owner = { .ready = on_port, .opaque = dev };

    return vsr_port_new(dev->loop, in_fd, out_fd, &owner, error);
}

void chardev_on_client(int fd, uint32_t events, void *opaque)
{
    vsr_chardev *dev = opaque;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client < 0) {
        /* It left again, or we have no descriptor for it now. */
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
            vsr_loop_fd_modify(dev->accepting, 0);
            vsr_timer_arm(&dev->input_timer, vsr_now_ns() + accept_retry_ns);
        }
        return;
    }
    if (!dev->port)
        dev->port = chardev_port_new(dev, client, client, NULL);
    else
        vsr_close(client);
    if (!dev->port)
        return;
    dev->port->cursor = dev->port_cursor;
    vsr_loop_fd_modify(dev->accepting, 0); /* the next one waits */
    chardev_pump_port(dev, dev->port);
    chardev_port_update(dev, dev->port);
    chardev_watch_update(dev);
}

typedef struct {
    vsr_chardev *dev;
    bool replay, exclusive, force;
    int fd; /* result */
} attach_call;

void chardev_drop_streams(vsr_chardev *dev)
{
    GSList *streams = g_steal_pointer(&dev->streams);

    for (GSList *i = streams; i; i = i->next)
        vsr_port_free(i->data);
    g_slist_free(streams);
}

static void do_attach(void *opaque)
{
    attach_call *call = opaque;
    vsr_chardev *dev = call->dev;
    int pair[2];
    vsr_port *port;

    if (call->force)
        chardev_drop_streams(dev);
    if (call->exclusive && dev->streams) {
        call->fd = -EBUSY;
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        call->fd = -errno;
        return;
    }
    port = chardev_port_new(dev, pair[0], pair[0], NULL);
    if (!port) {
        vsr_close(pair[1]);
        call->fd = -ENOMEM;
        return;
    }
    g_mutex_lock(&dev->lock);
    port->cursor = dev->ring.head;
    if (call->replay)
        port->cursor -= MIN(port->cursor, KEPT);
    g_mutex_unlock(&dev->lock);
    dev->streams = g_slist_prepend(dev->streams, port);
    chardev_pump_port(dev, port);
    chardev_port_update(dev, port);
    chardev_watch_update(dev);
    call->fd = pair[1];
}

int vsr_chardev_attach(vsr_chardev *dev, bool replay, bool exclusive,
                       bool force)
{
    attach_call call = { dev, replay, exclusive, force, -1 };

    vsr_loop_sync(dev->loop, do_attach, &call);
    return call.fd;
}
