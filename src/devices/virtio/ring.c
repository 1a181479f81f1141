/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.c: see ring.h. Fields are little-endian, as every host that this is
 * built for.
 *
 * Spec:    VIRTIO 1.2, 2.7.5 "The Virtqueue Descriptor Table", 2.7.6 "The
 *          Virtqueue Available Ring", 2.7.8 "The Virtqueue Used Ring".
 * Threads: one at a time.
 */
#include "devices/virtio/ring.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/util.h"

G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);

enum {
    DESC_NEXT = 1,
    DESC_WRITE = 2,
    DESC_INDIRECT = 4,
    AVAIL_NO_INTERRUPT = 1,
    USED_NO_NOTIFY = 1,
};

typedef struct {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
} desc;

typedef struct {
    uint16_t flags, idx, ring[];
} avail;

typedef struct {
    uint32_t id, len;
} used_elem;

typedef struct {
    uint16_t flags, idx;
    used_elem ring[];
} used;

static uint16_t load16(const uint16_t *from)
{
    return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static void store16(uint16_t *to, uint16_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

static uint16_t *used_event(const vsr_virtq *q)
{
    return &((avail *)q->avail)->ring[q->layout.size];
}

static uint16_t *avail_event(const vsr_virtq *q)
{
    return (uint16_t *)&((used *)q->used)->ring[q->layout.size];
}

static uint64_t used_len(const vsr_virtq_layout *l)
{
    return sizeof(used) + l->size * sizeof(used_elem) + sizeof(uint16_t);
}

int vsr_virtq_open(vsr_virtq *q, vsr_mem *mem, const vsr_virtq_layout *l)
{
    memset(q, 0, sizeof(*q));
    if (l->size == 0 || l->size > VSR_VIRTQ_SIZE_MAX ||
        (l->size & (l->size - 1)) != 0 || (l->desc & 15) != 0 ||
        (l->avail & 1) != 0 || (l->used & 3) != 0)
        return -EINVAL;
    q->desc = vsr_mem_map(mem, l->desc, l->size * sizeof(desc));
    q->avail = vsr_mem_map(mem, l->avail,
                           sizeof(avail) + (l->size + 1u) * sizeof(uint16_t));
    q->used = vsr_mem_map(mem, l->used, used_len(l));
    if (q->desc == NULL || q->avail == NULL || q->used == NULL)
        return -EFAULT;
    q->mem = mem;
    q->layout = *l;
    q->ready = true;
    return 0;
}

void vsr_virtq_close(vsr_virtq *q)
{
    memset(q, 0, sizeof(*q));
}

static int fail(vsr_virtq *q, const char *why)
{
    q->broken = why;
    return -EPROTO;
}

/* --- taking --------------------------------------------------------------- */

/* Once: the driver may change it while we look, and the compiler may not look
 * again. Indirect tables have no alignment. */
static desc get_desc(const void *table, uint32_t at)
{
    desc d;

    memcpy(&d, (const uint8_t *)table + at * sizeof(d), sizeof(d));
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return d;
}

/* The first part of [gpa, gpa + *len) that lies in one region of RAM: a buffer
 * may go from one into the next. */
static void *map_part(vsr_mem *mem, uint64_t gpa, uint64_t *len)
{
    void *host = vsr_mem_map(mem, gpa, *len);
    uint64_t good = 0, bad = *len;

    if (host != NULL)
        return host;
    while (bad - good > 1) {
        uint64_t middle = good + (bad - good) / 2;
        void *part = vsr_mem_map(mem, gpa, middle);

        if (part != NULL) {
            host = part;
            good = middle;
        } else {
            bad = middle;
        }
    }
    *len = good;
    return host;
}

static int add_buffer(vsr_virtq *q, vsr_virtq_chain *out, const desc *d)
{
    uint64_t gpa = d->addr, left = d->len;

    if ((d->flags & DESC_WRITE) != 0)
        out->in_len += left;
    else if (out->n_in > 0)
        return fail(q, "a readable buffer behind a writable one");
    else
        out->out_len += left;
    while (left > 0) {
        uint32_t i = out->n_out + out->n_in;
        uint64_t len = left;
        void *host;

        if (i == VSR_VIRTQ_SEGMENTS)
            return fail(q, "a chain of more than 256 buffers");
        host = map_part(q->mem, gpa, &len);
        if (host == NULL)
            return fail(q, "a buffer outside of RAM");
        out->iov[i] = (struct iovec){ .iov_base = host, .iov_len = len };
        out->gpa[i] = gpa;
        if ((d->flags & DESC_WRITE) != 0)
            out->n_in++;
        else
            out->n_out++;
        gpa += len;
        left -= len;
    }
    return 0;
}

/* The table of `n` that `first` begins in. A loop is longer than its table. */
static int walk(vsr_virtq *q, vsr_virtq_chain *out, const void *table,
                uint32_t n, uint32_t first, bool is_indirect)
{
    uint32_t at = first;

    for (uint32_t seen = 0; seen < n; seen++) {
        desc d;
        int rc;

        if (at >= n)
            return fail(q, "a descriptor beyond the table's end");
        d = get_desc(table, at);
        if ((d.flags & DESC_INDIRECT) != 0) {
            const void *inner;

            if (is_indirect || !q->layout.indirect)
                return fail(q, "an indirect table where none may be");
            if ((d.flags & DESC_NEXT) != 0 || d.len % sizeof(desc) != 0 ||
                d.len == 0 || d.len / sizeof(desc) > VSR_VIRTQ_SIZE_MAX)
                return fail(q, "an indirect table of a wrong form");
            inner = vsr_mem_map(q->mem, d.addr, d.len);
            if (inner == NULL)
                return fail(q, "an indirect table outside of RAM");
            return walk(q, out, inner, d.len / sizeof(desc), 0, true);
        }
        rc = add_buffer(q, out, &d);
        if (rc < 0)
            return rc;
        if ((d.flags & DESC_NEXT) == 0)
            return 0;
        at = d.next;
    }
    return fail(q, "a chain that loops");
}

bool vsr_virtq_is_empty(const vsr_virtq *q)
{
    return !q->ready || q->broken != NULL ||
           load16(&((avail *)q->avail)->idx) == q->next_avail;
}

int vsr_virtq_pop(vsr_virtq *q, vsr_virtq_chain *out)
{
    const avail *ring = q->avail;
    uint16_t idx, waiting;
    int rc;

    if (!q->ready)
        return 0;
    if (q->broken != NULL)
        return -EPROTO;
    idx = load16(&ring->idx);
    waiting = (uint16_t)(idx - q->next_avail);
    if (waiting == 0)
        return 0;
    if (waiting > q->layout.size)
        return fail(q, "more available chains than the queue has room for");
    /* So nobody has to store more than that of one queue. */
    if ((uint16_t)(q->next_avail - q->next_used) >= q->layout.size)
        return fail(q, "a chain that is given again before it is used");
    out->head = load16(&ring->ring[q->next_avail & (q->layout.size - 1)]);
    out->n_out = out->n_in = 0;
    out->out_len = out->in_len = 0;
    rc = walk(q, out, q->desc, q->layout.size, out->head, false);
    if (rc < 0)
        return rc;
    q->next_avail++;
    return 1;
}

void vsr_virtq_unpop(vsr_virtq *q)
{
    q->next_avail--;
}

/* --- giving back ----------------------------------------------------------- */

static void mark_written(const vsr_virtq *q, const vsr_virtq_chain *chain,
                         uint32_t written)
{
    uint64_t left = written;

    for (uint32_t i = chain->n_out; i < chain->n_out + chain->n_in && left > 0;
         i++) {
        uint64_t len = MIN(left, chain->iov[i].iov_len);

        vsr_mem_written(q->mem, chain->gpa[i], len);
        left -= len;
    }
}

void vsr_virtq_touched(vsr_virtq *q, const vsr_virtq_chain *chain)
{
    for (uint32_t i = chain->n_out; i < chain->n_out + chain->n_in; i++)
        vsr_mem_written(q->mem, chain->gpa[i], chain->iov[i].iov_len);
}

void vsr_virtq_stage(vsr_virtq *q, uint32_t index, const vsr_virtq_chain *chain,
                     uint32_t written)
{
    uint16_t at = (uint16_t)(q->next_used + index) & (q->layout.size - 1);
    used_elem *elem = &((used *)q->used)->ring[at];

    mark_written(q, chain, written);
    elem->id = chain->head;
    elem->len = written;
    vsr_mem_written(q->mem, q->layout.used + sizeof(used) + at * sizeof(*elem),
                    sizeof(*elem));
}

void vsr_virtq_commit(vsr_virtq *q, uint32_t n)
{
    q->next_used = (uint16_t)(q->next_used + n);
    store16(&((used *)q->used)->idx, q->next_used);
    vsr_mem_written(q->mem, q->layout.used, sizeof(used));
}

void vsr_virtq_push(vsr_virtq *q, const vsr_virtq_chain *chain,
                    uint32_t written)
{
    vsr_virtq_stage(q, 0, chain, written);
    vsr_virtq_commit(q, 1);
}

bool vsr_virtq_wants_signal(vsr_virtq *q)
{
    uint16_t old = q->signalled, event;

    /* What we pushed is seen before we look whether it is waited for. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (q->next_used == old)
        return false;
    q->signalled = q->next_used;
    if (!q->layout.event_idx)
        return (load16(&((avail *)q->avail)->flags) & AVAIL_NO_INTERRUPT) == 0;
    event = load16(used_event(q));
    if (!q->has_signalled) {
        q->has_signalled = true;
        return true;
    }
    return (uint16_t)(q->next_used - event - 1) <
           (uint16_t)(q->next_used - old);
}

bool vsr_virtq_want_kicks(vsr_virtq *q, bool on)
{
    used *ring = q->used;

    if (!q->ready || q->broken != NULL)
        return false;
    if (q->layout.event_idx) {
        /* Without kicks: the event index stays behind, where it never is
         * passed. */
        if (!on)
            return false;
        store16(avail_event(q), q->next_avail);
        vsr_mem_written(q->mem, q->layout.used + used_len(&q->layout) - 2, 2);
    } else {
        store16(&ring->flags, on ? 0 : USED_NO_NOTIFY);
        vsr_mem_written(q->mem, q->layout.used, 2);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return on && !vsr_virtq_is_empty(q);
}

/* --- contents --------------------------------------------------------------- */

static uint64_t copy(const struct iovec *iov, uint32_t n, uint64_t offset,
                     void *to, const void *from, uint64_t len)
{
    uint64_t done = 0;

    for (uint32_t i = 0; i < n && done < len; i++) {
        uint64_t part;
        uint8_t *host;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        part = MIN(iov[i].iov_len - offset, len - done);
        host = (uint8_t *)iov[i].iov_base + offset;
        if (to != NULL)
            memcpy((uint8_t *)to + done, host, part);
        else
            memcpy(host, (const uint8_t *)from + done, part);
        done += part;
        offset = 0;
    }
    return done;
}

uint64_t vsr_virtq_read(const vsr_virtq_chain *chain, uint64_t offset, void *to,
                        uint64_t len)
{
    return copy(chain->iov, chain->n_out, offset, to, NULL, len);
}

uint64_t vsr_virtq_write(const vsr_virtq_chain *chain, uint64_t offset,
                         const void *from, uint64_t len)
{
    return copy(chain->iov + chain->n_out, chain->n_in, offset, NULL, from,
                len);
}
