/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * balloon.c: see balloon.h.
 *
 * A page that comes back out of the balloon needs nothing of us: it reads as
 * zeros when it is touched. The queues behind the second one have no fixed
 * number: drivers count only those that were negotiated, the specification
 * counts all; without free page hints the third is the statistics' where they
 * were negotiated, and whatever else is kicked has reports.
 *
 * Spec:    VIRTIO 1.2, 5.5 "Traditional Memory Balloon Device".
 * Threads: queues on their loop, with the device's lock; the calls of balloon.h:
 *          control.
 */
#include "devices/virtio/balloon.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "devices/virtio/take.h"
#include "machine/machine.h"

#define F_MUST_TELL_HOST (UINT64_C(1) << 0)
#define F_STATS          (UINT64_C(1) << 1)
#define F_DEFLATE_ON_OOM (UINT64_C(1) << 2)
#define F_PAGE_POISON    (UINT64_C(1) << 4)
#define F_REPORTING      (UINT64_C(1) << 5)

enum {
    QUEUE_INFLATE = 0,
    QUEUE_DEFLATE = 1,
    QUEUE_STATS = 2,
    QUEUES = 5,
    QUEUE_SIZE = 128,

    CONFIG_NUM_PAGES = 0,
    CONFIG_ACTUAL = 4,
    CONFIG_POISON = 12,
    CONFIG_LEN = 16,

    PAGE_SHIFT = 12, /* 5.5.6: whatever the guest's pages are */
    PFNS = 256,      /* read at once */
    PFNS_PER_TURN = 16 * PFNS,
    CHAINS_PER_TURN = 64,
    STAT_BYTES = 10, /* of one entry: tag and value */
    STATS_READ = 64, /* entries looked at */
};

typedef struct {
    vsr_virtio base;
    /* A chain of the first queue that is not done yet. */
    bool inflating;
    uint64_t inflated;
    vsr_virtq_chain inflate;
    /* The guest's buffer for statistics, ours until we ask. */
    bool has_stats;
    vsr_virtq_chain stats;
    uint32_t period_s;
    vsr_timer timer;
    vsr_virtio_balloon_info info;
} virtio_balloon;

static virtio_balloon *to_balloon(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, virtio_balloon, base.device);
}

static uint32_t config_get(const virtio_balloon *b, uint32_t offset)
{
    uint32_t value;

    memcpy(&value, b->base.config + offset, sizeof(value));
    return value;
}

/* --- pages come ------------------------------------------------------------------ */

typedef struct {
    uint64_t first, n; /* pages */
} run;

static void discard_run(virtio_balloon *b, run *r)
{
    /* Not RAM, or not to be given back: the guest harms only itself. */
    if (r->n > 0)
        (void)vsr_mem_discard(b->base.device.machine->mem,
                              r->first << PAGE_SHIFT, r->n << PAGE_SHIFT);
    r->n = 0;
}

static void add_page(virtio_balloon *b, run *r, uint64_t pfn)
{
    if (r->n > 0 && pfn == r->first + r->n) {
        r->n++;
        return;
    }
    /* Linux hands out pages downwards as well. */
    if (r->n > 0 && pfn + 1 == r->first) {
        r->first--;
        r->n++;
        return;
    }
    discard_run(b, r);
    *r = (run){ .first = pfn, .n = 1 };
}

/* False: there is more in the chain, for another turn. */
static bool inflate_some(virtio_balloon *b, uint32_t *quota)
{
    run r = { 0 };
    uint32_t pfn[PFNS];
    uint64_t n = PFNS;

    while (n == PFNS && *quota > 0) {
        n = vsr_virtq_read(&b->inflate, b->inflated, pfn, sizeof(pfn)) /
            sizeof(pfn[0]);
        for (uint64_t i = 0; i < n; i++)
            add_page(b, &r, pfn[i]);
        b->inflated += n * sizeof(pfn[0]);
        *quota -= MIN(*quota, (uint32_t)n + 1);
    }
    discard_run(b, &r);
    return n < PFNS;
}

static void inflate(virtio_balloon *b)
{
    vsr_virtio *v = &b->base;
    uint32_t quota = PFNS_PER_TURN;
    bool done = false;

    while (quota > 0 && !v->quiesced) {
        if (!b->inflating && !vsr_virtio_take(v, QUEUE_INFLATE, &b->inflate))
            break;
        if (!b->inflating)
            b->inflated = 0;
        b->inflating = true;
        if (!inflate_some(b, &quota))
            continue;
        vsr_virtio_give(v, QUEUE_INFLATE, &b->inflate, 0);
        b->inflating = false;
        done = true;
    }
    if (done)
        vsr_virtio_signal(v, QUEUE_INFLATE);
    if (quota == 0)
        vsr_virtio_kick(v, QUEUE_INFLATE);
}

/* --- pages go ---------------------------------------------------------------------- */

static void deflate(virtio_balloon *b)
{
    vsr_virtio *v = &b->base;
    vsr_virtq_chain chain;
    uint32_t n = 0;

    while (n < CHAINS_PER_TURN && vsr_virtio_take(v, QUEUE_DEFLATE, &chain)) {
        vsr_virtio_give(v, QUEUE_DEFLATE, &chain, 0);
        n++;
    }
    if (n > 0)
        vsr_virtio_signal(v, QUEUE_DEFLATE);
    if (n == CHAINS_PER_TURN)
        vsr_virtio_kick(v, QUEUE_DEFLATE);
}

/* 5.5.6.7 "Free Page Reporting": each buffer is a range of free pages. */
static void report_chain(virtio_balloon *b, const vsr_virtq_chain *chain)
{
    /* The guest wants its pattern in there, not zeros. */
    if (vsr_virtio_has(&b->base, F_PAGE_POISON) &&
        config_get(b, CONFIG_POISON) != 0)
        return;
    for (uint32_t i = chain->n_out; i < chain->n_out + chain->n_in; i++)
        if (vsr_mem_discard(b->base.device.machine->mem, chain->gpa[i],
                            chain->iov[i].iov_len) == 0)
            b->info.reported += chain->iov[i].iov_len;
}

static void report(virtio_balloon *b, uint32_t queue)
{
    vsr_virtio *v = &b->base;
    vsr_virtq_chain chain;
    uint32_t n = 0;

    while (n < CHAINS_PER_TURN && vsr_virtio_take(v, queue, &chain)) {
        report_chain(b, &chain);
        vsr_virtio_give(v, queue, &chain, 0);
        n++;
    }
    if (n > 0)
        vsr_virtio_signal(v, queue);
    if (n == CHAINS_PER_TURN)
        vsr_virtio_kick(v, queue);
}

/* --- statistics ---------------------------------------------------------------------- */

/* The guest fills its buffer again. */
static void ask_for_stats(virtio_balloon *b)
{
    if (!b->has_stats || b->base.quiesced)
        return;
    b->has_stats = false;
    vsr_virtio_give(&b->base, QUEUE_STATS, &b->stats, 0);
    vsr_virtio_signal(&b->base, QUEUE_STATS);
}

static void arm_timer(virtio_balloon *b)
{
    if (b->period_s > 0)
        vsr_timer_arm(&b->timer,
                      vsr_now_ns() + b->period_s * INT64_C(1000000000));
}

static void on_timer(void *opaque)
{
    virtio_balloon *b = opaque;

    g_mutex_lock(&b->base.device.lock);
    ask_for_stats(b);
    arm_timer(b);
    g_mutex_unlock(&b->base.device.lock);
}

static void read_stats(virtio_balloon *b)
{
    uint8_t entry[STAT_BYTES];

    b->info.present = 0;
    b->info.stats_ns = vsr_now_ns();
    for (uint32_t i = 0; i < STATS_READ; i++) {
        uint16_t tag;

        if (vsr_virtq_read(&b->stats, i * STAT_BYTES, entry, STAT_BYTES) !=
            STAT_BYTES)
            break;
        memcpy(&tag, entry, sizeof(tag));
        if (tag >= VSR_BALLOON_STATS) /* 5.5.6.4: skipped */
            continue;
        memcpy(&b->info.stat[tag], entry + sizeof(tag), sizeof(uint64_t));
        b->info.present |= UINT32_C(1) << tag;
    }
}

static void take_stats(virtio_balloon *b)
{
    vsr_virtio *v = &b->base;
    uint32_t given = 0, n;

    /* One buffer goes to and fro; who gives more gets the rest back. */
    for (n = 0; n < CHAINS_PER_TURN; n++) {
        vsr_virtq_chain chain;

        if (!vsr_virtio_take(v, QUEUE_STATS, &chain))
            break;
        if (b->has_stats) {
            vsr_virtio_give(v, QUEUE_STATS, &b->stats, 0);
            given++;
        }
        b->stats = chain;
        b->has_stats = true;
    }
    if (b->has_stats)
        read_stats(b);
    if (given > 0)
        vsr_virtio_signal(v, QUEUE_STATS);
    if (n == CHAINS_PER_TURN)
        vsr_virtio_kick(v, QUEUE_STATS);
}

/* --- the device ------------------------------------------------------------------------ */

static void kicked(vsr_virtio *v, uint32_t index)
{
    virtio_balloon *b = to_balloon(&v->device);

    if (index == QUEUE_INFLATE)
        inflate(b);
    else if (index == QUEUE_DEFLATE)
        deflate(b);
    else if (index == QUEUE_STATS && vsr_virtio_has(v, F_STATS))
        take_stats(b);
    else if (vsr_virtio_has(v, F_REPORTING))
        report(b, index);
}

static void stop(vsr_virtio *v)
{
    virtio_balloon *b = to_balloon(&v->device);

    b->inflating = b->has_stats = false;
    b->info.present = 0;
    b->info.stats_ns = 0;
    memset(v->config + CONFIG_ACTUAL, 0, sizeof(uint32_t));
    memset(v->config + CONFIG_POISON, 0, sizeof(uint32_t));
}

static void stop_queue(vsr_virtio *v, uint32_t index)
{
    virtio_balloon *b = to_balloon(&v->device);

    if (index == QUEUE_INFLATE)
        b->inflating = false;
    else if (index == QUEUE_STATS)
        b->has_stats = false;
}

static const vsr_virtio_ops balloon_ops = {
    .id = VSR_VIRTIO_ID_BALLOON,
    .class_code = 0x00ff00, /* none that PCI knows */
    .stop = stop,
    .stop_queue = stop_queue,
    .kicked = kicked,
};

/* Can all of RAM be given back? */
static bool is_discardable(uint64_t gpa, uint64_t len, bool readonly, int fd,
                           uint64_t fd_offset, void *host, void *mem)
{
    return readonly || vsr_mem_discard(mem, gpa, 0) == 0;
}

static bool check_memory(const vsr_device *device, GError **error)
{
    vsr_mem *mem = device->machine->mem;

    return vsr_mem_foreach(mem, is_discardable, mem) ||
           vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "Balloon '%s': memory that is locked or of huge pages "
                    "cannot be given back to the host",
                    device->id);
}

static bool balloon_init(vsr_device *device, const void *params, GError **error)
{
    static const uint16_t queue_size[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE,
                                                 QUEUE_SIZE, QUEUE_SIZE,
                                                 QUEUE_SIZE };
    virtio_balloon *b = to_balloon(device);
    const vsr_virtio_balloon_params *p = params;
    uint64_t features = F_STATS;

    if (p->free_page_reporting && !check_memory(device, error))
        return false;
    if (p->free_page_reporting)
        features |= F_REPORTING | F_PAGE_POISON;
    if (p->deflate_on_oom)
        features |= F_DEFLATE_ON_OOM;
    if (p->must_tell_host)
        features |= F_MUST_TELL_HOST;
    if (!vsr_virtio_init(&b->base, &p->virtio, &balloon_ops, features, QUEUES,
                         queue_size, CONFIG_LEN, error))
        return false;
    memset(b->base.config_writable + CONFIG_ACTUAL, 0xff, sizeof(uint32_t));
    memset(b->base.config_writable + CONFIG_POISON, 0xff, sizeof(uint32_t));
    vsr_timer_init(&b->timer, b->base.loop, on_timer, b);
    return true;
}

static void balloon_fini(vsr_device *device)
{
    virtio_balloon *b = to_balloon(device);

    vsr_virtio_fini(&b->base);
    vsr_virtio_balloon_set_period(device, 0);
}

static void balloon_reset(vsr_device *device)
{
    vsr_virtio_reset(&to_balloon(device)->base);
}

const vsr_device_class vsr_virtio_balloon_class = {
    .name = "virtio-balloon",
    .instance_size = sizeof(virtio_balloon),
    .init = balloon_init,
    .fini = balloon_fini,
    .reset = balloon_reset,
    .quiesce = vsr_virtio_quiesce,
    .unquiesce = vsr_virtio_unquiesce,
};

/* --- for the owner ----------------------------------------------------------------------- */

bool vsr_virtio_balloon_set_target(vsr_device *device, uint64_t bytes,
                                   GError **error)
{
    virtio_balloon *b = to_balloon(device);
    uint64_t ram = vsr_mem_ram_bytes(device->machine->mem);
    uint64_t pages = bytes >> PAGE_SHIFT;
    uint32_t num = (uint32_t)MIN(pages, UINT32_MAX);

    if (bytes > ram)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Balloon '%s': %" PRIu64
                        " MiB are to be given up, the guest has %" PRIu64
                        " MiB",
                        device->id, bytes / VSR_MIB, ram / VSR_MIB);
    if (pages > 0 && !check_memory(device, error))
        return false;
    g_mutex_lock(&device->lock);
    if (config_get(b, CONFIG_NUM_PAGES) != num) {
        memcpy(b->base.config + CONFIG_NUM_PAGES, &num, sizeof(num));
        vsr_virtio_config_changed(&b->base);
    }
    g_mutex_unlock(&device->lock);
    return true;
}

void vsr_virtio_balloon_set_period(vsr_device *device, uint32_t period_s)
{
    virtio_balloon *b = to_balloon(device);

    g_mutex_lock(&device->lock);
    b->period_s = period_s;
    g_mutex_unlock(&device->lock);
    vsr_timer_cancel(&b->timer);
    g_mutex_lock(&device->lock);
    ask_for_stats(b);
    arm_timer(b);
    g_mutex_unlock(&device->lock);
}

void vsr_virtio_balloon_get(vsr_device *device, vsr_virtio_balloon_info *out)
{
    virtio_balloon *b = to_balloon(device);

    g_mutex_lock(&device->lock);
    *out = b->info;
    out->target = (uint64_t)config_get(b, CONFIG_NUM_PAGES) << PAGE_SHIFT;
    out->actual = (uint64_t)config_get(b, CONFIG_ACTUAL) << PAGE_SHIFT;
    g_mutex_unlock(&device->lock);
}
