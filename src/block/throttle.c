/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * throttle.c: leaky buckets. A bucket fills with what is done and leaks at the
 * average rate; a request may start while its buckets are not too full.
 *
 * As libvirt's <iotune> and QEMU mean it: X is the average rate, X_max the rate
 * that is let through for X_max_length seconds. Without a max, a tenth of a
 * second's worth may come at once. With a max, the large bucket of max * length
 * allows the burst and a second one, a tenth of a second of max, bounds its
 * rate.
 *
 * Threads: `lock` guards the buckets and queues; requests are released without
 *          it, on the loop.
 */
#include "block/throttle.h"

#include <string.h>

enum { TOTAL, READ, WRITE, SIDES };
enum { BYTES, OPS, UNITS };
#define NS_PER_S   1000000000.0
#define NO_BURST_S 0.1

typedef struct {
    double average, max; /* per second; 0: no limit, no burst */
    double length;       /* s, of a burst */
    double level;        /* what has been done beyond the leak */
    double burst_level;
} bucket;

typedef struct {
    vsr_block_request *head, **tail;
    vsr_timer timer;
} side;

struct blk_throttle {
    blk_throttle_fn *release;
    void *opaque;
    gint active; /* any limit set, or anything waiting */

    GMutex lock; /* guards what follows */
    bucket buckets[SIDES][UNITS];
    double size_iops;
    int64_t leaked_ns;
    side sides[SIDES]; /* READ, WRITE (all but reads and flushes) */
    bool limited;
};

static int side_of(const vsr_block_request *request)
{
    return request->op == VSR_BLOCK_READ ? READ : WRITE;
}

static void leak(blk_throttle *t, int64_t now)
{
    double s = (double)MAX(now - t->leaked_ns, 0) / NS_PER_S;

    t->leaked_ns = now;
    for (int i = 0; i < SIDES; i++) {
        for (int u = 0; u < UNITS; u++) {
            bucket *b = &t->buckets[i][u];

            b->level = MAX(b->level - b->average * s, 0.0);
            b->burst_level = MAX(b->burst_level - b->max * s, 0.0);
        }
    }
}

/* How long until the bucket takes another request, s. */
static double bucket_wait(const bucket *b)
{
    double room, wait = 0;

    if (b->average <= 0)
        return 0;
    room = b->max > 0 ? b->max * b->length : b->average * NO_BURST_S;
    if (b->level > room)
        wait = (b->level - room) / b->average;
    if (b->max > 0 && b->length > 1 && b->burst_level > b->max * NO_BURST_S)
        wait = MAX(wait, (b->burst_level - b->max * NO_BURST_S) / b->max);
    return wait;
}

static double side_wait(const blk_throttle *t, int which)
{
    double wait = 0;

    for (int u = 0; u < UNITS; u++) {
        wait = MAX(wait, bucket_wait(&t->buckets[TOTAL][u]));
        wait = MAX(wait, bucket_wait(&t->buckets[which][u]));
    }
    return wait;
}

static void account(blk_throttle *t, const vsr_block_request *request)
{
    double bytes = (double)request->len;
    double ops = 1;
    int which = side_of(request);

    if (t->size_iops > 0 && bytes > t->size_iops)
        ops = bytes / t->size_iops;
    for (int i = TOTAL; i < SIDES; i++) {
        double amount[UNITS] = { [BYTES] = bytes, [OPS] = ops };

        for (int u = 0; u < UNITS && (i == TOTAL || i == which); u++) {
            t->buckets[i][u].level += amount[u];
            t->buckets[i][u].burst_level += amount[u];
        }
    }
}

/* With the lock held. */
static void arm(blk_throttle *t, int which, double wait, int64_t now)
{
    int64_t ns = (int64_t)MIN(wait * NS_PER_S, 3600 * NS_PER_S);

    vsr_timer_arm(&t->sides[which].timer, now + MAX(ns, 1000));
}

static void update_active(blk_throttle *t)
{
    bool waiting = t->sides[READ].head != NULL || t->sides[WRITE].head != NULL;

    g_atomic_int_set(&t->active, t->limited || waiting);
}

/* Lets go what may, in order; of those the caller calls release(). */
static vsr_block_request *take_ready(blk_throttle *t, int which)
{
    side *s = &t->sides[which];
    vsr_block_request *ready = NULL, **end = &ready;
    int64_t now = vsr_now_ns();

    g_mutex_lock(&t->lock);
    leak(t, now);
    while (s->head != NULL) {
        vsr_block_request *request = s->head;
        double wait = side_wait(t, which);

        if (wait > 0) {
            arm(t, which, wait, now);
            break;
        }
        account(t, request);
        s->head = request->next;
        if (s->head == NULL)
            s->tail = &s->head;
        request->next = NULL;
        *end = request;
        end = &request->next;
    }
    update_active(t);
    g_mutex_unlock(&t->lock);
    return ready;
}

static void release_side(blk_throttle *t, int which)
{
    vsr_block_request *ready = take_ready(t, which);

    while (ready != NULL) {
        vsr_block_request *request = ready;

        ready = request->next;
        request->next = NULL;
        t->release(t->opaque, request);
    }
}

static void release_reads(void *opaque)
{
    release_side(opaque, READ);
}

static void release_writes(void *opaque)
{
    release_side(opaque, WRITE);
}

bool blk_throttle_admit(blk_throttle *t, vsr_block_request *request)
{
    int which = side_of(request);
    side *s = &t->sides[which];
    int64_t now;
    double wait;
    bool first;

    if (!g_atomic_int_get(&t->active) || request->op == VSR_BLOCK_FLUSH)
        return true;
    now = vsr_now_ns();
    g_mutex_lock(&t->lock);
    leak(t, now);
    first = s->head == NULL;
    wait = first ? side_wait(t, which) : 0;
    if (first && wait <= 0) {
        account(t, request);
        g_mutex_unlock(&t->lock);
        return true;
    }
    request->next = NULL;
    *s->tail = request;
    s->tail = &request->next;
    if (first)
        arm(t, which, wait, now);
    g_mutex_unlock(&t->lock);
    return false;
}

vsr_block_request *blk_throttle_take(blk_throttle *t)
{
    vsr_block_request *all = NULL, **end = &all;

    g_mutex_lock(&t->lock);
    for (int i = READ; i < SIDES; i++) {
        side *s = &t->sides[i];

        *end = s->head;
        if (s->head != NULL)
            end = s->tail;
        s->head = NULL;
        s->tail = &s->head;
    }
    update_active(t);
    g_mutex_unlock(&t->lock);
    return all;
}

static void bucket_set(bucket *b, uint64_t average, uint64_t max,
                       uint64_t length)
{
    *b = (bucket){ .average = (double)average,
                   .max = (double)max,
                   .length = (double)MAX(length, 1) };
}

void blk_throttle_set(blk_throttle *t, const vsr_block_throttle *l)
{
    int64_t now = vsr_now_ns();

    g_mutex_lock(&t->lock);
    bucket_set(&t->buckets[TOTAL][BYTES], l->total_bytes, l->total_bytes_max,
               l->total_bytes_length);
    bucket_set(&t->buckets[READ][BYTES], l->read_bytes, l->read_bytes_max,
               l->read_bytes_length);
    bucket_set(&t->buckets[WRITE][BYTES], l->write_bytes, l->write_bytes_max,
               l->write_bytes_length);
    bucket_set(&t->buckets[TOTAL][OPS], l->total_iops, l->total_iops_max,
               l->total_iops_length);
    bucket_set(&t->buckets[READ][OPS], l->read_iops, l->read_iops_max,
               l->read_iops_length);
    bucket_set(&t->buckets[WRITE][OPS], l->write_iops, l->write_iops_max,
               l->write_iops_length);
    t->size_iops = (double)l->size_iops;
    t->leaked_ns = now;
    t->limited = false;
    for (int i = 0; i < SIDES; i++)
        for (int u = 0; u < UNITS; u++)
            t->limited |= t->buckets[i][u].average > 0;
    update_active(t);
    /* Who waits by the old limits looks again. */
    for (int i = READ; i < SIDES; i++)
        if (t->sides[i].head != NULL)
            vsr_timer_arm(&t->sides[i].timer, now);
    g_mutex_unlock(&t->lock);
}

blk_throttle *blk_throttle_new(vsr_loop *loop, blk_throttle_fn *release,
                               void *opaque)
{
    blk_throttle *t = g_new0(blk_throttle, 1);

    t->release = release;
    t->opaque = opaque;
    g_mutex_init(&t->lock);
    for (int i = 0; i < SIDES; i++)
        t->sides[i].tail = &t->sides[i].head;
    vsr_timer_init(&t->sides[READ].timer, loop, release_reads, t);
    vsr_timer_init(&t->sides[WRITE].timer, loop, release_writes, t);
    t->leaked_ns = vsr_now_ns();
    return t;
}

void blk_throttle_free(blk_throttle *t)
{
    if (t == NULL)
        return;
    vsr_timer_cancel(&t->sides[READ].timer);
    vsr_timer_cancel(&t->sides[WRITE].timer);
    g_mutex_clear(&t->lock);
    g_free(t);
}
