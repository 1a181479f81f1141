/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.c: tells a device whether anybody is at the other end, and how much the
 * back end can be given without loss.
 *
 * Threads: see chardev_state.h.
 */
#include "chardev/chardev_state.h"

static bool is_open(const vsr_chardev *dev)
{
    if (dev->source.kind != VSR_CHARDEV_UNIX &&
        dev->source.kind != VSR_CHARDEV_FD)
        return true;
    return dev->port != NULL || dev->streams != NULL;
}

/* How far the back end is; false: nobody waits for it. */
static bool position(const vsr_chardev *dev, uint64_t *out)
{
    switch (dev->source.kind) {
    case VSR_CHARDEV_CALLBACK:
        *out = dev->port_cursor;
        return true;
    case VSR_CHARDEV_UNIX:
    case VSR_CHARDEV_FD:
    case VSR_CHARDEV_FILE:
        if (dev->port == NULL || dev->port->out_fd < 0)
            return false;
        *out = dev->port->cursor;
        return true;
    case VSR_CHARDEV_NULL:
    case VSR_CHARDEV_PTY:
    default:
        return false;
    }
}

/* With the lock held. */
static size_t room(const vsr_chardev *dev)
{
    uint64_t waiting = dev->ring.head - dev->drained;

    if (!dev->counts)
        return SIZE_MAX;
    return waiting < dev->ring.size ? (size_t)(dev->ring.size - waiting) : 0;
}

void chardev_watch_update(vsr_chardev *dev)
{
    const vsr_chardev_watch *watch;
    bool open = is_open(dev), tell_open, tell_room;
    void *opaque;

    g_mutex_lock(&dev->lock);
    dev->counts = position(dev, &dev->drained);
    watch = dev->watch;
    opaque = dev->watch_opaque;
    tell_open = watch != NULL && dev->told_open != open;
    tell_room =
        watch != NULL && dev->room_wanted && room(dev) >= dev->ring.size / 2;
    dev->told_open = open;
    if (tell_room)
        dev->room_wanted = false;
    dev->is_telling = tell_open || tell_room;
    g_mutex_unlock(&dev->lock);
    if (tell_open)
        watch->open(open, opaque);
    if (tell_room)
        watch->room(opaque);
    if (!tell_open && !tell_room)
        return;
    g_mutex_lock(&dev->lock);
    dev->is_telling = false;
    g_cond_broadcast(&dev->given);
    g_mutex_unlock(&dev->lock);
}

size_t vsr_chardev_room(vsr_chardev *dev)
{
    size_t n;

    g_mutex_lock(&dev->lock);
    n = room(dev);
    if (n == 0)
        dev->room_wanted = true;
    g_mutex_unlock(&dev->lock);
    return n;
}

void vsr_chardev_set_watch(vsr_chardev *dev, const vsr_chardev_watch *watch,
                           void *opaque)
{
    g_mutex_lock(&dev->lock);
    while (dev->is_telling && !vsr_loop_is_current(dev->loop))
        g_cond_wait(&dev->given, &dev->lock);
    dev->watch = watch;
    dev->watch_opaque = opaque;
    dev->told_open = false;
    dev->room_wanted = false;
    g_mutex_unlock(&dev->lock);
    /* From the loop: the next update says whether it is open. */
    if (watch)
        vsr_chardev_resume(dev);
}
