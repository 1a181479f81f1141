/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_block.c: see fake_block.h. */
#include "tests/devices/fake_block.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

struct vsr_block {
    vsr_loop *loop;
    uint64_t size;
    uint8_t *bytes;
    bool readonly;
    bool plugged; /* the loop's */
    GMutex lock;
    /* Under lock. */
    vsr_block_request *first, **end;
    bool hold, throttle, posted;
    vsr_block_op fail_op;
    uint32_t fail_count;
    int fail_rc;
    fake_block_counts counts;
};

vsr_block *fake_block_new(vsr_loop *loop, uint64_t bytes, bool readonly)
{
    vsr_block *b = g_new0(vsr_block, 1);

    b->loop = loop;
    b->size = bytes;
    b->bytes = g_malloc0(bytes);
    b->readonly = readonly;
    b->end = &b->first;
    g_mutex_init(&b->lock);
    return b;
}

void fake_block_free(vsr_block *b)
{
    g_mutex_clear(&b->lock);
    g_free(b->bytes);
    g_free(b);
}

uint8_t *fake_block_bytes(vsr_block *b)
{
    return b->bytes;
}

fake_block_counts fake_block_get(vsr_block *b)
{
    fake_block_counts counts;

    g_mutex_lock(&b->lock);
    counts = b->counts;
    g_mutex_unlock(&b->lock);
    return counts;
}

void fake_block_fail(vsr_block *b, vsr_block_op op, uint32_t count, int rc)
{
    g_mutex_lock(&b->lock);
    b->fail_op = op;
    b->fail_count = count;
    b->fail_rc = rc;
    g_mutex_unlock(&b->lock);
}

/* --- requests --- */

static void move(vsr_block *b, const vsr_block_request *r)
{
    uint64_t at = r->offset;

    for (uint32_t i = 0; i < r->n_iov; i++) {
        if (r->op == VSR_BLOCK_READ)
            memcpy(r->iov[i].iov_base, b->bytes + at, r->iov[i].iov_len);
        else
            memcpy(b->bytes + at, r->iov[i].iov_base, r->iov[i].iov_len);
        at += r->iov[i].iov_len;
    }
}

static uint64_t iov_len(const vsr_block_request *r)
{
    uint64_t len = 0;

    for (uint32_t i = 0; i < r->n_iov; i++)
        len += r->iov[i].iov_len;
    return len;
}

static int serve(vsr_block *b, const vsr_block_request *r)
{
    if (r->op == VSR_BLOCK_FLUSH)
        return 0;
    if (r->offset % 512 != 0 || r->len % 512 != 0 || r->offset > b->size ||
        r->len > b->size - r->offset)
        return -EINVAL;
    if (r->op == VSR_BLOCK_READ || r->op == VSR_BLOCK_WRITE) {
        if (iov_len(r) != r->len)
            return -EINVAL;
        move(b, r);
    } else {
        memset(b->bytes + r->offset, 0, r->len);
    }
    return 0;
}

/* What it is to end with; lock held. */
static int verdict(vsr_block *b, const vsr_block_request *r)
{
    if (b->fail_count == 0 ||
        (b->fail_op != VSR_BLOCK_OPS && b->fail_op != r->op))
        return 0;
    b->fail_count--;
    return b->fail_rc;
}

static void on_loop(void *opaque)
{
    vsr_block *b = opaque;
    vsr_block_request *r;

    g_mutex_lock(&b->lock);
    b->posted = false;
    while (!b->hold && (r = b->first) != NULL) {
        int rc = verdict(b, r);

        b->first = r->next;
        if (b->first == NULL)
            b->end = &b->first;
        b->counts.waiting--;
        g_mutex_unlock(&b->lock);
        r->done(r, rc != 0 ? rc : serve(b, r));
        g_mutex_lock(&b->lock);
    }
    g_mutex_unlock(&b->lock);
}

/* Lock held. */
static void post(vsr_block *b)
{
    if (b->posted || b->hold || b->first == NULL)
        return;
    b->posted = true;
    vsr_loop_call(b->loop, on_loop, b);
}

void fake_block_hold(vsr_block *b, bool hold)
{
    g_mutex_lock(&b->lock);
    b->hold = hold;
    post(b);
    g_mutex_unlock(&b->lock);
}

void fake_block_throttle(vsr_block *b, bool on)
{
    g_mutex_lock(&b->lock);
    b->throttle = on;
    g_mutex_unlock(&b->lock);
    fake_block_hold(b, on);
}

void vsr_block_cancel_waiting(vsr_block *b)
{
    vsr_block_request *r = NULL;

    g_mutex_lock(&b->lock);
    b->counts.cancelled++;
    if (b->throttle) {
        r = b->first;
        b->first = NULL;
        b->end = &b->first;
        b->counts.waiting = 0;
    }
    g_mutex_unlock(&b->lock);
    while (r != NULL) {
        vsr_block_request *next = r->next;

        r->done(r, -ECANCELED);
        r = next;
    }
}

void vsr_block_submit(vsr_block *b, vsr_block_request *r)
{
    g_mutex_lock(&b->lock);
    b->counts.waiting++;
    b->counts.seen[r->op]++;
    b->counts.fua += r->fua;
    b->counts.may_unmap += r->may_unmap;
    b->counts.unplugged += !b->plugged;
    r->next = NULL;
    *b->end = r;
    b->end = &r->next;
    post(b);
    g_mutex_unlock(&b->lock);
}

void vsr_block_plug(vsr_block *b)
{
    b->plugged = true;
}

void vsr_block_unplug(vsr_block *b)
{
    b->plugged = false;
}

/* --- the rest of block.h that devices use --- */

uint64_t vsr_block_bytes(const vsr_block *b)
{
    return b->size;
}

bool vsr_block_is_readonly(const vsr_block *b)
{
    return b->readonly;
}

uint32_t vsr_block_granularity(const vsr_block *b)
{
    return 4096;
}

bool vsr_block_resize(vsr_block *b, uint64_t bytes, GError **error)
{
    if (b->counts.waiting != 0)
        return vsr_fail(error, VISOR_ERR_INTERNAL, "%u requests in flight",
                        b->counts.waiting);
    if (bytes < b->size)
        return vsr_fail(error, VISOR_ERR_CONFIG, "cannot shrink");
    b->bytes = g_realloc(b->bytes, bytes);
    memset(b->bytes + b->size, 0, bytes - b->size);
    b->size = bytes;
    return true;
}
