/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * p9.c: see p9.h. Requests are served on a thread of the device's own, one after
 * the other: a slow disk holds up nobody but who asked.
 *
 * Spec:    VIRTIO 1.2, 5.9 "9P transport device"; Linux, net/9p/trans_virtio.c:
 *          a chain is a request, then room for its answer.
 * Threads: kicked() on the queue's loop with the device's lock; the worker takes
 *          the lock to give answers. Order: device's lock, work_lock.
 */
#include "devices/virtio/p9.h"

#include <string.h>

#include "base/error.h"
#include "base/thread.h"
#include "base/util.h"
#include "devices/virtio/take.h"

#define F_MOUNT_TAG (UINT64_C(1) << 0)

enum { QUEUE_SIZE = 128, CONFIG_TAG = 2 };

typedef struct {
    vsr_virtio base;
    vsr_fs9p *fs;    /* the worker's, while it runs a job */
    GThread *worker; /* owned */
    /* The worker's, VSR_FS9P_MSIZE_MAX each. */
    uint8_t *request, *reply;

    GMutex work_lock; /* guards all below */
    GCond changed;
    GQueue jobs; /* of vsr_virtq_chain, owned */
    bool busy;   /* the worker has one more */
    bool full;   /* chains were left in the queue */
    bool quit;
} virtio_9p;

static virtio_9p *to_9p(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, virtio_9p, base.device);
}

/* --- the worker -------------------------------------------------------------------- */

static void serve(virtio_9p *p9, const vsr_virtq_chain *chain)
{
    vsr_virtio *v = &p9->base;
    uint64_t len = MIN(chain->out_len, (uint64_t)VSR_FS9P_MSIZE_MAX);
    uint64_t max = MIN(chain->in_len, (uint64_t)VSR_FS9P_MSIZE_MAX);
    uint32_t n;

    /* Copied once: the guest may change it while we look. */
    len = vsr_virtq_read(chain, 0, p9->request, len);
    n = vsr_fs9p_serve(p9->fs, p9->request, (uint32_t)len, p9->reply,
                       (uint32_t)max);
    (void)vsr_virtq_write(chain, 0, p9->reply, n);

    g_mutex_lock(&v->device.lock);
    vsr_virtio_give(v, 0, chain, n);
    vsr_virtio_signal(v, 0);
    if (n == 0 && vsr_virtio_ring(v, 0) != NULL)
        vsr_virtio_needs_reset(
            v, "a 9P request without a header, or no room for an answer");
    g_mutex_unlock(&v->device.lock);
}

static void *work(void *opaque)
{
    virtio_9p *p9 = opaque;

    g_mutex_lock(&p9->work_lock);
    while (!p9->quit) {
        vsr_virtq_chain *job = g_queue_pop_head(&p9->jobs);

        if (job == NULL) {
            g_cond_wait(&p9->changed, &p9->work_lock);
            continue;
        }
        p9->busy = true;
        g_mutex_unlock(&p9->work_lock);
        serve(p9, job);
        g_free(job);
        g_mutex_lock(&p9->work_lock);
        p9->busy = false;
        if (p9->full) {
            p9->full = false;
            vsr_virtio_kick(&p9->base, 0);
        }
        g_cond_broadcast(&p9->changed);
    }
    g_mutex_unlock(&p9->work_lock);
    return NULL;
}

/* Neither waiting nor running. */
static void wait_idle(virtio_9p *p9)
{
    g_mutex_lock(&p9->work_lock);
    while (p9->busy || !g_queue_is_empty(&p9->jobs))
        g_cond_wait(&p9->changed, &p9->work_lock);
    g_mutex_unlock(&p9->work_lock);
}

static void drop_jobs(virtio_9p *p9)
{
    vsr_virtq_chain *job;

    g_mutex_lock(&p9->work_lock);
    while ((job = g_queue_pop_head(&p9->jobs)) != NULL)
        g_free(job);
    p9->full = false;
    g_mutex_unlock(&p9->work_lock);
}

/* --- the queue ---------------------------------------------------------------------- */

/* A driver that publishes chains twice is not given more room for that. */
static bool has_room(virtio_9p *p9)
{
    bool room;

    g_mutex_lock(&p9->work_lock);
    room = g_queue_get_length(&p9->jobs) < QUEUE_SIZE;
    p9->full = !room;
    g_mutex_unlock(&p9->work_lock);
    return room;
}

static void kicked(vsr_virtio *v, uint32_t index)
{
    virtio_9p *p9 = to_9p(&v->device);
    vsr_virtq_chain chain;

    while (has_room(p9) && vsr_virtio_take(v, 0, &chain)) {
        g_mutex_lock(&p9->work_lock);
        g_queue_push_tail(&p9->jobs, g_memdup2(&chain, sizeof(chain)));
        g_cond_broadcast(&p9->changed);
        g_mutex_unlock(&p9->work_lock);
    }
}

/* What runs is waited for; its answer goes nowhere. */
static void stop_queue(vsr_virtio *v, uint32_t index)
{
    virtio_9p *p9 = to_9p(&v->device);

    drop_jobs(p9);
    g_mutex_unlock(&v->device.lock);
    wait_idle(p9);
    g_mutex_lock(&v->device.lock);
}

static void stop(vsr_virtio *v)
{
    stop_queue(v, 0);
    /* I/O: not with the lock. */
    g_mutex_unlock(&v->device.lock);
    vsr_fs9p_reset(to_9p(&v->device)->fs);
    g_mutex_lock(&v->device.lock);
}

static const vsr_virtio_ops p9_ops = {
    .id = VSR_VIRTIO_ID_9P,
    .class_code = 0x018000, /* storage, of no other kind */
    .stop = stop,
    .stop_queue = stop_queue,
    .kicked = kicked,
};

/* --- life ------------------------------------------------------------------------------ */

static void end_worker(virtio_9p *p9)
{
    if (p9->worker != NULL) {
        g_mutex_lock(&p9->work_lock);
        p9->quit = true;
        g_cond_broadcast(&p9->changed);
        g_mutex_unlock(&p9->work_lock);
        g_thread_join(p9->worker);
    }
    drop_jobs(p9);
    g_free(p9->request);
    g_free(p9->reply);
    g_cond_clear(&p9->changed);
    g_mutex_clear(&p9->work_lock);
}

static bool start_worker(virtio_9p *p9, GError **error)
{
    g_mutex_init(&p9->work_lock);
    g_cond_init(&p9->changed);
    g_queue_init(&p9->jobs);
    p9->request = g_malloc(VSR_FS9P_MSIZE_MAX);
    p9->reply = g_malloc(VSR_FS9P_MSIZE_MAX);
    p9->worker = vsr_thread_new("9p", work, p9, error);
    return p9->worker != NULL;
}

static void p9_fini(vsr_device *device)
{
    virtio_9p *p9 = to_9p(device);

    vsr_virtio_fini(&p9->base);
    end_worker(p9);
    vsr_fs9p_free(p9->fs);
}

static bool p9_init(vsr_device *device, const void *params, GError **error)
{
    static const uint16_t queue_size[] = { QUEUE_SIZE };
    virtio_9p *p9 = to_9p(device);
    const vsr_virtio_9p_params *p = params;
    vsr_fs9p_params fs = p->fs;
    size_t len = strlen(p->tag);
    uint16_t tag_len = (uint16_t)len;

    if (len == 0 || len > VSR_VIRTIO_9P_TAG_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Shared folder '%s': its tag has %zu bytes, 1 to %d "
                        "are allowed",
                        device->id, len, VSR_VIRTIO_9P_TAG_MAX);
    if (!start_worker(p9, error) ||
        !vsr_virtio_init(&p9->base, &p->virtio, &p9_ops, F_MOUNT_TAG, 1,
                         queue_size, (uint32_t)(CONFIG_TAG + len), error)) {
        end_worker(p9);
        return false;
    }
    memcpy(p9->base.config, &tag_len, sizeof(tag_len));
    memcpy(p9->base.config + CONFIG_TAG, p->tag, len);
    p9->fs = vsr_fs9p_new(&fs, error);
    if (p9->fs != NULL)
        return true;
    (void)vsr_fail_prefix(error, "Shared folder '%s'", device->id);
    p9_fini(device);
    return false;
}

static void p9_reset(vsr_device *device)
{
    vsr_virtio_reset(&to_9p(device)->base);
}

static void p9_quiesce(vsr_device *device)
{
    vsr_virtio_quiesce(device);
    wait_idle(to_9p(device));
}

const vsr_device_class vsr_virtio_9p_class = {
    .name = "virtio-9p",
    .instance_size = sizeof(virtio_9p),
    .init = p9_init,
    .fini = p9_fini,
    .reset = p9_reset,
    .quiesce = p9_quiesce,
    .unquiesce = vsr_virtio_unquiesce,
};
