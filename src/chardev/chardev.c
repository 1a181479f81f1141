/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chardev.c: one ring of output, read by the back end and the streams at their
 * own pace; making and freeing a character device.
 *
 * Threads: see chardev_state.h.
 */
#include "chardev/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "chardev/chardev_state.h"

enum {
    RING_SMALL = 64 << 10,
    RING_LARGE = 1 << 20, /* back ends that should lose nothing */
    BATCH = 4 << 10,
};
/* A guest writes byte by byte: gather for so long before the loop wakes. */
static const int64_t gather_ns = 1000000;

/* --- output --- */

static size_t ring_next(vsr_chardev *dev, uint64_t *cursor, void *to,
                        size_t max)
{
    uint64_t lost;
    size_t n;

    g_mutex_lock(&dev->lock);
    lost = vsr_ring_catch_up(&dev->ring, cursor);
    n = vsr_ring_peek(&dev->ring, *cursor, to, max);
    g_mutex_unlock(&dev->lock);
    if (lost > 0)
        vsr_log_limited(&dev->lost_limiter, VSR_LOG_WARN,
                        "Character device '%s': a reader is too slow, %" PRIu64
                        " bytes of output are lost to it",
                        dev->source.path ? dev->source.path : "", lost);
    return n;
}

void chardev_pump_port(vsr_chardev *dev, vsr_port *port)
{
    uint8_t batch[BATCH];
    size_t len;

    port->wants_out = false;
    while (!port->dead &&
           (len = ring_next(dev, &port->cursor, batch, sizeof(batch))) > 0) {
        ssize_t n = vsr_port_send(port, batch, len);

        if (n == 0) {
            port->wants_out = true;
            break;
        }
        if (n > 0) {
            port->cursor += (uint64_t)n;
            continue;
        }
        if (dev->source.kind == VSR_CHARDEV_FILE && port == dev->port) {
            /* A full disk may have room again later. */
            vsr_log_limited(&dev->write_limiter, VSR_LOG_ERROR,
                            "Cannot write to '%s': %s", dev->source.path,
                            g_strerror((int)-n));
            port->cursor += len;
            continue;
        }
        port->dead = true;
    }
}

static void pump_callback(vsr_chardev *dev)
{
    uint8_t batch[BATCH];
    size_t len;

    if (dev->busy)
        return; /* the function called us: its caller goes on after it */
    while (!dev->free_later && (len = ring_next(dev, &dev->port_cursor, batch,
                                                sizeof(batch))) > 0) {
        dev->port_cursor += len;
        dev->busy++;
        dev->source.output(batch, len, dev->source.opaque);
        dev->busy--;
    }
}

static void pump(vsr_chardev *dev)
{
    GSList *next;

    if (dev->port) {
        chardev_pump_port(dev, dev->port);
        chardev_port_update(dev, dev->port);
    }
    for (GSList *i = dev->streams; i; i = next) {
        next = i->next;
        chardev_pump_port(dev, i->data);
        chardev_port_update(dev, i->data);
    }
    if (dev->source.kind == VSR_CHARDEV_CALLBACK)
        pump_callback(dev);
    chardev_watch_update(dev);
}

static void chardev_finish(void *opaque);

static void on_pump(void *opaque)
{
    vsr_chardev *dev = opaque;

    g_mutex_lock(&dev->lock);
    dev->scheduled = false;
    dev->pumped_ns = vsr_now_ns();
    g_mutex_unlock(&dev->lock);
    pump(dev);
    if (dev->free_later && !dev->busy)
        chardev_finish(dev);
}

void vsr_chardev_write(vsr_chardev *dev, const void *data, size_t len)
{
    bool schedule;
    int64_t at_ns = 0;

    g_mutex_lock(&dev->lock);
    vsr_ring_write(&dev->ring, data, len);
    schedule = !dev->scheduled;
    dev->scheduled = true;
    if (schedule)
        at_ns = dev->pumped_ns + gather_ns;
    g_mutex_unlock(&dev->lock);
    if (schedule)
        vsr_timer_arm(&dev->pump_timer, at_ns);
}

/* --- flush --- */

typedef struct {
    vsr_chardev *dev;
    int64_t deadline_ns;
    bool done;
} flush_call;

static bool has_more(vsr_chardev *dev, const vsr_port *port)
{
    bool more;

    g_mutex_lock(&dev->lock);
    more = port->cursor != dev->ring.head;
    g_mutex_unlock(&dev->lock);
    return more && !port->dead;
}

/* True: nothing is left that is worth waiting for. */
static bool flush_port(vsr_chardev *dev, vsr_port *port, int64_t deadline_ns)
{
    /* Nobody may be reading a pty, ever. */
    bool may_wait = !(port == dev->port && dev->source.kind == VSR_CHARDEV_PTY);
    bool more;

    for (;;) {
        struct pollfd p = { .fd = port->out_fd, .events = POLLOUT };
        int64_t left_ms;

        chardev_pump_port(dev, port);
        left_ms = (deadline_ns - vsr_now_ns()) / 1000000;
        more = may_wait && has_more(dev, port);
        if (!more || left_ms <= 0)
            break;
        poll(&p, 1, (int)MIN(left_ms, 100));
    }
    chardev_port_update(dev, port);
    return !more;
}

static void do_flush(void *opaque)
{
    flush_call *call = opaque;
    vsr_chardev *dev = call->dev;
    GSList *next;

    if (dev->port)
        call->done &= flush_port(dev, dev->port, call->deadline_ns);
    for (GSList *i = dev->streams; i; i = next) {
        next = i->next;
        call->done &= flush_port(dev, i->data, call->deadline_ns);
    }
    if (dev->source.kind == VSR_CHARDEV_CALLBACK)
        pump_callback(dev);
    chardev_watch_update(dev);
    if (dev->free_later && !dev->busy)
        chardev_finish(dev);
}

bool vsr_chardev_flush(vsr_chardev *dev, int64_t timeout_ns)
{
    flush_call call = { dev, vsr_now_ns() + timeout_ns, true };

    vsr_loop_sync(dev->loop, do_flush, &call);
    return call.done;
}

/* --- life --- */

static bool start_pty(vsr_chardev *dev, GError **error)
{
    if (!dev->source.path)
        return vsr_fail(error, VISOR_ERR_ARG, "A pty without path");
    dev->slave = open(dev->source.path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (dev->slave < 0)
        return vsr_fail_errno(error, errno, "Cannot open pty '%s'",
                              dev->source.path);
    return true;
}

static bool start_source(vsr_chardev *dev, GError **error)
{
    int fd = -1, out_fd = -1;

    switch (dev->source.kind) {
    case VSR_CHARDEV_NULL:
        return true;
    case VSR_CHARDEV_CALLBACK:
        return dev->source.output != NULL ||
               vsr_fail(error, VISOR_ERR_ARG, "A callback without function");
    case VSR_CHARDEV_PTY:
        if (!start_pty(dev, error))
            return false;
        fd = out_fd = vsr_steal_fd(&dev->source.fd);
        break;
    case VSR_CHARDEV_FILE:
        out_fd = vsr_steal_fd(&dev->source.fd);
        break;
    case VSR_CHARDEV_UNIX:
        if (dev->source.is_listening) {
            dev->accepting = vsr_loop_fd_add(dev->loop, dev->source.fd, EPOLLIN,
                                             chardev_on_client, dev, error);
            return dev->accepting != NULL;
        }
        fd = out_fd = vsr_steal_fd(&dev->source.fd);
        break;
    case VSR_CHARDEV_FD:
        fd = vsr_steal_fd(&dev->source.fd);
        out_fd = vsr_steal_fd(&dev->source.out_fd);
        break;
    default:
        return vsr_fail(error, VISOR_ERR_ARG, "Character device of kind %d",
                        (int)dev->source.kind);
    }
    dev->port = chardev_port_new(dev, fd, out_fd, error);
    return dev->port != NULL;
}

typedef struct {
    vsr_chardev *dev;
    bool ok;
    GError **error;
} start_call;

/* On the loop, so that no event comes before dev->port is set. */
static void do_start(void *opaque)
{
    start_call *call = opaque;

    call->ok = start_source(call->dev, call->error);
    chardev_watch_update(call->dev);
}

static void chardev_finish(void *opaque)
{
    vsr_chardev *dev = opaque;

    vsr_timer_cancel(&dev->pump_timer);
    vsr_timer_cancel(&dev->input_timer);
    vsr_loop_fd_remove(dev->accepting);
    vsr_port_free(dev->port);
    chardev_drop_streams(dev);
    vsr_close(dev->slave);
    vsr_chardev_source_clear(&dev->source);
    vsr_ring_fini(&dev->ring);
    g_byte_array_unref(dev->injected);
    g_cond_clear(&dev->given);
    g_mutex_clear(&dev->lock);
    g_free(dev);
}

static void do_free(void *opaque)
{
    vsr_chardev *dev = opaque;

    if (dev->busy)
        dev->free_later = true; /* on_pump does it when the callback is back */
    else
        chardev_finish(dev);
}

vsr_chardev *vsr_chardev_new(vsr_loop *loop, vsr_chardev_source *source,
                             GError **error)
{
    vsr_chardev *dev = g_new0(vsr_chardev, 1);
    start_call call = { dev, false, error };
    bool is_large = source->kind == VSR_CHARDEV_FILE ||
                    source->kind == VSR_CHARDEV_FD ||
                    source->kind == VSR_CHARDEV_CALLBACK;

    dev->loop = loop;
    dev->slave = -1;
    dev->source = *source;
    memset(source, 0, sizeof(*source));
    source->fd = source->out_fd = -1;
    g_mutex_init(&dev->lock);
    g_cond_init(&dev->given);
    vsr_ring_init(&dev->ring, is_large ? RING_LARGE : RING_SMALL);
    dev->injected = g_byte_array_new();
    vsr_timer_init(&dev->pump_timer, loop, on_pump, dev);
    vsr_timer_init(&dev->input_timer, loop, chardev_on_input_room, dev);

    vsr_loop_sync(loop, do_start, &call);
    if (!call.ok)
        g_clear_pointer(&dev, vsr_chardev_free);
    return dev;
}

void vsr_chardev_free(vsr_chardev *dev)
{
    if (dev)
        vsr_loop_sync(dev->loop, do_free, dev);
}

const char *vsr_chardev_path(const vsr_chardev *dev)
{
    return dev->source.path;
}
