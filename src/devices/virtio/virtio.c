/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio.c: see virtio.h.
 *
 * Spec:    VIRTIO 1.2, 2.1 "Device Status Field", 2.2 "Feature Bits", 2.5
 *          "Device Configuration Space", 2.6 "Virtqueues".
 * Threads: as virtio.h says.
 */
#include "devices/virtio/virtio.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/util.h"
#include "machine/machine.h"

static const uint64_t always = VSR_VIRTIO_F_VERSION_1 |
                               VSR_VIRTIO_F_INDIRECT_DESC |
                               VSR_VIRTIO_F_EVENT_IDX;

/* --- queues ---------------------------------------------------------------- */

static void on_kick(int fd, uint32_t events, void *opaque)
{
    vsr_virtio_queue *q = opaque;

    vsr_virtio_serve(q->virtio, q->index);
}

static void forget_queue(vsr_virtio_queue *q)
{
    vsr_virtq_close(&q->ring);
    q->layout = (vsr_virtq_layout){ .size = q->size_max };
    q->enabled = false;
    q->vector = VSR_VIRTIO_NO_VECTOR;
}

vsr_virtq *vsr_virtio_ring(vsr_virtio *v, uint32_t index)
{
    if (!v->started || v->stopping || index >= v->n_queues ||
        v->queue[index].stopping || !v->queue[index].ring.ready ||
        v->queue[index].ring.broken != NULL)
        return NULL;
    return &v->queue[index].ring;
}

void vsr_virtio_serve(vsr_virtio *v, uint32_t index)
{
    g_mutex_lock(&v->device.lock);
    if (!v->quiesced && vsr_virtio_ring(v, index) != NULL)
        v->ops->kicked(v, index);
    g_mutex_unlock(&v->device.lock);
}

bool vsr_virtio_pop(vsr_virtio *v, uint32_t index, vsr_virtq_chain *out)
{
    vsr_virtq *ring = vsr_virtio_ring(v, index);
    int rc = ring == NULL ? 0 : vsr_virtq_pop(ring, out);

    if (rc < 0)
        vsr_virtio_needs_reset(v, ring->broken);
    return rc > 0;
}

void vsr_virtio_signal(vsr_virtio *v, uint32_t index)
{
    vsr_virtq *ring = vsr_virtio_ring(v, index);

    if (ring != NULL && vsr_virtq_wants_signal(ring))
        v->transport->signal_queue(v, &v->queue[index]);
}

void vsr_virtio_kick(vsr_virtio *v, uint32_t index)
{
    if (index < v->n_queues)
        (void)eventfd_write(v->queue[index].kick_fd, 1);
}

void vsr_virtio_want_kicks(vsr_virtio *v, uint32_t index)
{
    vsr_virtq *ring = vsr_virtio_ring(v, index);

    if (ring != NULL && vsr_virtq_want_kicks(ring, true))
        vsr_virtio_kick(v, index);
}

bool vsr_virtio_find_queue(vsr_virtio *v, vsr_virtio_queue **out)
{
    *out = v->queue_select < v->n_queues ? &v->queue[v->queue_select] : NULL;
    return *out != NULL;
}

void vsr_virtio_enable_queue(vsr_virtio *v, vsr_virtio_queue *q)
{
    int rc;

    if (q->enabled || v->started || v->stopping ||
        (v->status & VSR_VIRTIO_FEATURES_OK) == 0)
        return;
    if (q->layout.size > q->size_max) {
        vsr_virtio_needs_reset(v, "a queue larger than its maximum");
        return;
    }
    q->layout.event_idx = vsr_virtio_has(v, VSR_VIRTIO_F_EVENT_IDX);
    q->layout.indirect = vsr_virtio_has(v, VSR_VIRTIO_F_INDIRECT_DESC);
    rc = vsr_virtq_open(&q->ring, v->device.machine->mem, &q->layout);
    if (rc < 0) {
        vsr_virtq_close(&q->ring);
        vsr_virtio_needs_reset(v, rc == -EFAULT
                                      ? "a queue outside of RAM"
                                      : "a queue of a wrong size or alignment");
        return;
    }
    q->enabled = true;
}

void vsr_virtio_disable_queue(vsr_virtio *v, vsr_virtio_queue *q)
{
    if (!q->enabled || q->stopping || v->stopping)
        return;
    if (v->started && v->ops->stop_queue != NULL) {
        q->stopping = true;
        v->ops->stop_queue(v, q->index);
        q->stopping = false;
    }
    vsr_virtq_close(&q->ring);
    q->enabled = false;
}

/* --- features, status -------------------------------------------------------- */

uint32_t vsr_virtio_offered(const vsr_virtio *v, uint32_t select)
{
    return select < 2 ? (uint32_t)(v->offered >> 32 * select) : 0;
}

void vsr_virtio_accept(vsr_virtio *v, uint32_t select, uint32_t bits)
{
    uint32_t shift = 32 * select;

    if (select >= 2 || (v->status & VSR_VIRTIO_FEATURES_OK) != 0)
        return;
    v->accepted &= ~(UINT64_C(0xffffffff) << shift);
    v->accepted |= (uint64_t)bits << shift;
}

void vsr_virtio_needs_reset(vsr_virtio *v, const char *why)
{
    if ((v->status & VSR_VIRTIO_NEEDS_RESET) != 0)
        return;
    vsr_log_limited(&v->complaints, VSR_LOG_WARN,
                    "Device '%s': the guest's driver broke the rules: %s",
                    v->device.id, why);
    v->status |= VSR_VIRTIO_NEEDS_RESET;
    if ((v->status & VSR_VIRTIO_DRIVER_OK) != 0)
        vsr_virtio_config_changed(v);
}

/* Lock held; dropped where stop() waits. */
static void stop_device(vsr_virtio *v)
{
    if (!v->started)
        return;
    v->stopping = true;
    if (v->ops->stop != NULL)
        v->ops->stop(v);
    v->started = v->stopping = false;
}

static void stop(vsr_virtio *v)
{
    stop_device(v);
    v->cut = false;
    for (uint32_t i = 0; i < v->n_queues; i++)
        forget_queue(&v->queue[i]);
    v->status = v->isr = 0;
    v->accepted = 0;
    v->device_select = v->driver_select = v->queue_select = 0;
}

static void start(vsr_virtio *v)
{
    const uint8_t ready = VSR_VIRTIO_DRIVER_OK | VSR_VIRTIO_FEATURES_OK;

    if (v->started || v->no_dma || v->cut || (v->status & ready) != ready)
        return;
    v->started = true;
    if (v->ops->start != NULL)
        v->ops->start(v);
    /* What was put in before DRIVER_OK, against the rules but common. */
    for (uint32_t i = 0; i < v->n_queues; i++)
        if (v->queue[i].enabled && !vsr_virtq_is_empty(&v->queue[i].ring))
            vsr_virtio_kick(v, i);
}

void vsr_virtio_set_status(vsr_virtio *v, uint8_t status)
{
    uint8_t set = status & (uint8_t)~v->status;

    if (v->stopping)
        return;
    if (status == 0) {
        stop(v);
        return;
    }
    /* A driver that wants what we do not have, or not what it must, finds its
     * FEATURES_OK gone. */
    if ((set & VSR_VIRTIO_FEATURES_OK) != 0 &&
        ((v->accepted & ~v->offered) != 0 ||
         !vsr_virtio_has(v, VSR_VIRTIO_F_VERSION_1))) {
        status &= (uint8_t)~VSR_VIRTIO_FEATURES_OK;
        set &= (uint8_t)~VSR_VIRTIO_FEATURES_OK;
    }
    /* Nothing is taken back, but by a reset. */
    v->status |= status & (uint8_t)~VSR_VIRTIO_NEEDS_RESET;
    if ((set & VSR_VIRTIO_DRIVER_OK) != 0)
        start(v);
}

void vsr_virtio_set_dma(vsr_virtio *v, bool on)
{
    if (v->no_dma == !on)
        return;
    v->no_dma = !on;
    if (v->stopping)
        return;
    if (on) {
        start(v);
        return;
    }
    /* A kernel that boots another one (kexec) may know no other way to keep us
     * out of its memory. */
    v->cut = v->started;
    stop_device(v);
}

/* --- configuration space ------------------------------------------------------ */

uint64_t vsr_virtio_config_read(vsr_virtio *v, uint64_t offset, uint32_t size)
{
    uint64_t value = 0;

    if (v->ops->config_read != NULL)
        v->ops->config_read(v);
    if (offset < v->config_len)
        memcpy(&value, v->config + offset,
               MIN((uint64_t)size, v->config_len - offset));
    return value;
}

void vsr_virtio_config_write(vsr_virtio *v, uint64_t offset, uint32_t size,
                             uint64_t value)
{
    bool changed = false;

    if (v->stopping || offset >= v->config_len)
        return;
    size = MIN(size, (uint32_t)(v->config_len - offset));
    for (uint32_t i = 0; i < size; i++) {
        uint8_t mask = v->config_writable[offset + i];
        uint8_t *at = &v->config[offset + i];

        *at = (uint8_t)((*at & ~mask) | ((value >> 8 * i) & mask));
        changed |= mask != 0;
    }
    if (changed && v->ops->config_written != NULL)
        v->ops->config_written(v, (uint32_t)offset, size);
}

void vsr_virtio_config_changed(vsr_virtio *v)
{
    v->generation++;
    if ((v->status & VSR_VIRTIO_DRIVER_OK) != 0)
        v->transport->signal_config(v);
}

/* --- life --------------------------------------------------------------------- */

static bool init_queue(vsr_virtio *v, uint32_t index, uint16_t size,
                       GError **error)
{
    vsr_virtio_queue *q = &v->queue[index];

    q->virtio = v;
    q->index = (uint16_t)index;
    q->size_max = size;
    q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (q->kick_fd < 0)
        return vsr_fail_errno(error, errno, "Device '%s': cannot make a queue",
                              v->device.id);
    forget_queue(q);
    /* Edges: each kick is one, nobody has to read it. */
    q->watch = vsr_loop_fd_add(v->loop, q->kick_fd, EPOLLIN | EPOLLET, on_kick,
                               q, error);
    return q->watch != NULL;
}

static void free_queues(vsr_virtio *v)
{
    for (uint32_t i = 0; i < v->n_queues; i++) {
        if (v->queue[i].watch != NULL)
            vsr_loop_fd_remove(v->queue[i].watch);
        vsr_close(v->queue[i].kick_fd);
    }
    g_clear_pointer(&v->queue, g_free);
}

bool vsr_virtio_init(vsr_virtio *v, const vsr_virtio_params *params,
                     const vsr_virtio_ops *ops, uint64_t features,
                     uint32_t n_queues, const uint16_t *queue_size,
                     uint32_t config_len, GError **error)
{
    bool ok = true;

    g_return_val_if_fail(n_queues <= VSR_VIRTIO_QUEUES_MAX, false);
    g_return_val_if_fail(config_len <= VSR_VIRTIO_CONFIG_MAX, false);
    v->ops = ops;
    v->offered = features | always;
    v->loop = params->loop != NULL ? params->loop : v->device.loop;
    v->config_len = config_len;
    v->n_queues = n_queues;
    v->queue = g_new0(vsr_virtio_queue, n_queues);
    for (uint32_t i = 0; i < n_queues; i++)
        v->queue[i].kick_fd = -1;
    for (uint32_t i = 0; ok && i < n_queues; i++)
        ok = init_queue(v, i, queue_size[i], error);
    v->transport = params->host != NULL ? &vsr_virtio_pci_transport
                                        : &vsr_virtio_mmio_transport;
    if (ok && v->transport->init(v, params, error))
        return true;
    free_queues(v);
    return false;
}

void vsr_virtio_fini(vsr_virtio *v)
{
    /* The order: nobody calls us, nothing is in flight, the queues go. */
    v->transport->fini(v);
    g_mutex_lock(&v->device.lock);
    stop(v);
    g_mutex_unlock(&v->device.lock);
    free_queues(v);
    g_clear_pointer(&v->transport_state, g_free);
}

void vsr_virtio_quiesce(vsr_device *device)
{
    vsr_virtio *v = (vsr_virtio *)(void *)device;

    g_mutex_lock(&v->device.lock);
    v->quiesced = true;
    g_mutex_unlock(&v->device.lock);
}

void vsr_virtio_unquiesce(vsr_device *device)
{
    vsr_virtio *v = (vsr_virtio *)(void *)device;

    g_mutex_lock(&v->device.lock);
    v->quiesced = false;
    for (uint32_t i = 0; i < v->n_queues; i++)
        vsr_virtio_kick(v, i);
    g_mutex_unlock(&v->device.lock);
}

void vsr_virtio_reset(vsr_virtio *v)
{
    g_mutex_lock(&v->device.lock);
    stop(v);
    g_mutex_unlock(&v->device.lock);
    v->transport->reset(v);
}
