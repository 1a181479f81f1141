/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * input.c: from the ports, and from whoever injects it, to the device, which
 * takes what it has room for.
 *
 * Threads: see chardev_state.h.
 */
#include <string.h>
#include <sys/epoll.h>

#include "chardev/chardev_state.h"

enum {
    INJECT_MAX = 64 << 10,
    FILE_BATCHES = 16, /* of a file's input at a time */
};

/* Returns how many bytes the device took; 0 where there is none. */
static size_t give(vsr_chardev *dev, const uint8_t *data, size_t len)
{
    vsr_chardev_input *input;
    void *opaque;
    size_t n;

    g_mutex_lock(&dev->lock);
    input = dev->input;
    opaque = dev->input_opaque;
    dev->is_giving = input != NULL;
    g_mutex_unlock(&dev->lock);
    if (!input)
        return 0;
    n = input(data, len, opaque);
    g_mutex_lock(&dev->lock);
    dev->is_giving = false;
    g_cond_broadcast(&dev->given);
    g_mutex_unlock(&dev->lock);
    return MIN(n, len);
}

void chardev_deliver(vsr_chardev *dev, vsr_port *port)
{
    for (int i = 0; vsr_port_fill(port); i++) {
        size_t len = port->in_len - port->in_off;
        size_t n = give(dev, port->in + port->in_off, len);

        port->in_off += n;
        if (n < len)
            break;
        if (!port->in_always)
            break; /* fair to the others: epoll says when there is more */
        if (i == FILE_BATCHES) {
            vsr_chardev_resume(dev);
            break;
        }
    }
}

static void deliver_injected(vsr_chardev *dev)
{
    uint8_t batch[256];
    size_t len, n;

    for (;;) {
        g_mutex_lock(&dev->lock);
        len = MIN(dev->injected->len, sizeof(batch));
        if (len > 0) /* else data is NULL */
            memcpy(batch, dev->injected->data, len);
        g_mutex_unlock(&dev->lock);
        if (len == 0)
            break;
        n = give(dev, batch, len);
        g_mutex_lock(&dev->lock);
        if (n > 0) /* only the loop takes away from its front */
            g_byte_array_remove_range(dev->injected, 0, (guint)n);
        g_mutex_unlock(&dev->lock);
        if (n < len)
            break;
    }
}

void chardev_on_input_room(void *opaque)
{
    vsr_chardev *dev = opaque;
    GSList *next;

    deliver_injected(dev);
    if (dev->accepting && !dev->port)
        vsr_loop_fd_modify(dev->accepting, EPOLLIN);
    if (dev->port) {
        chardev_deliver(dev, dev->port);
        chardev_port_update(dev, dev->port);
    }
    for (GSList *i = dev->streams; i; i = next) {
        next = i->next;
        chardev_deliver(dev, i->data);
        chardev_port_update(dev, i->data);
    }
    chardev_watch_update(dev);
}

void vsr_chardev_resume(vsr_chardev *dev)
{
    vsr_timer_arm(&dev->input_timer, vsr_now_ns());
}

size_t vsr_chardev_inject(vsr_chardev *dev, const void *data, size_t len)
{
    g_mutex_lock(&dev->lock);
    len = MIN(len, INJECT_MAX - dev->injected->len);
    g_byte_array_append(dev->injected, data, (guint)len);
    g_mutex_unlock(&dev->lock);
    vsr_chardev_resume(dev);
    return len;
}

/* Not carried to the loop: the device is on another one, which may be waiting
 * for this one. */
void vsr_chardev_set_input(vsr_chardev *dev, vsr_chardev_input *fn,
                           void *opaque)
{
    g_mutex_lock(&dev->lock);
    while (dev->is_giving && !vsr_loop_is_current(dev->loop))
        g_cond_wait(&dev->given, &dev->lock);
    dev->input = fn;
    dev->input_opaque = opaque;
    g_mutex_unlock(&dev->lock);
    if (fn)
        vsr_chardev_resume(dev);
}
