/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio_driver_ring.c: the driver's half of split rings; see virtio_driver.h.
 *
 * Spec:    VIRTIO 1.2, 2.7.
 * Threads: the test's.
 */
#include "tests/devices/virtio_driver.h"

#include <string.h>

#include "base/util.h"

enum { WAIT_US = 60000000 };

typedef struct {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
} ring_desc;

/* --- RAM -------------------------------------------------------------------------- */

void *driver_ram(driver *d, uint64_t gpa, uint64_t len)
{
    void *host = vsr_mem_map(d->machine->mem, gpa, len);

    assert_non_null(host);
    return host;
}

uint64_t driver_alloc(driver *d, uint64_t len, uint64_t align)
{
    uint64_t at = vsr_round_up(d->ram_next, MAX(align, 1));

    d->ram_next = at + len;
    assert_true(d->ram_next <= DRIVER_RAM);
    memset(driver_ram(d, at, len), 0, len);
    return at;
}

static uint16_t *word(driver *d, uint64_t gpa)
{
    return driver_ram(d, gpa, sizeof(uint16_t));
}

static uint16_t load(driver *d, uint64_t gpa)
{
    return __atomic_load_n(word(d, gpa), __ATOMIC_ACQUIRE);
}

static void store(driver *d, uint64_t gpa, uint16_t value)
{
    __atomic_store_n(word(d, gpa), value, __ATOMIC_RELEASE);
}

/* --- chains ------------------------------------------------------------------------ */

static void fill(driver *d, uint64_t at, uint64_t gpa, uint32_t len,
                 uint16_t flags, uint16_t next)
{
    const ring_desc one = {
        .addr = gpa, .len = len, .flags = flags, .next = next
    };

    memcpy(driver_ram(d, at, sizeof(one)), &one, sizeof(one));
}

void driver_desc(driver *d, uint32_t queue, uint16_t index, uint64_t gpa,
                 uint32_t len, uint16_t flags, uint16_t next)
{
    fill(d, d->queue[queue].desc + sizeof(ring_desc) * index, gpa, len, flags,
         next);
}

void driver_set_avail(driver *d, uint32_t queue, uint16_t idx)
{
    d->queue[queue].avail_idx = idx;
    store(d, d->queue[queue].avail + 2, idx);
}

void driver_publish(driver *d, uint32_t queue, uint16_t head)
{
    driver_queue *q = &d->queue[queue];

    store(d, q->avail + 4 + 2 * (uint64_t)(q->avail_idx & (q->size - 1)), head);
    driver_set_avail(d, queue, (uint16_t)(q->avail_idx + 1));
}

static uint16_t take_free(driver_queue *q)
{
    assert_true(q->n_free > 0);
    return q->free[--q->n_free];
}

uint16_t driver_add(driver *d, uint32_t queue, const driver_buffer *buffers,
                    uint32_t n)
{
    driver_queue *q = &d->queue[queue];
    uint16_t head, at;

    assert_true(n > 0 && n <= q->n_free);
    head = at = take_free(q);
    q->length[head] = (uint16_t)n;
    for (uint32_t i = 0; i < n; i++) {
        bool more = i + 1 < n;

        q->chain[at] = more ? take_free(q) : 0;
        driver_desc(d, queue, at, buffers[i].gpa, (uint32_t)buffers[i].len,
                    (uint16_t)((more ? DRIVER_NEXT : 0) |
                               (buffers[i].writable ? DRIVER_WRITE : 0)),
                    q->chain[at]);
        at = q->chain[at];
    }
    driver_publish(d, queue, head);
    return head;
}

uint16_t driver_add_indirect(driver *d, uint32_t queue,
                             const driver_buffer *buffers, uint32_t n)
{
    driver_queue *q = &d->queue[queue];
    uint64_t table = driver_alloc(d, sizeof(ring_desc) * n, 16);
    uint16_t head = take_free(q);

    q->length[head] = 1;
    for (uint32_t i = 0; i < n; i++) {
        bool more = i + 1 < n;

        fill(d, table + sizeof(ring_desc) * i, buffers[i].gpa,
             (uint32_t)buffers[i].len,
             (uint16_t)((more ? DRIVER_NEXT : 0) |
                        (buffers[i].writable ? DRIVER_WRITE : 0)),
             (uint16_t)(more ? i + 1 : 0));
    }
    driver_desc(d, queue, head, table, (uint32_t)(sizeof(ring_desc) * n),
                DRIVER_INDIRECT, 0);
    driver_publish(d, queue, head);
    return head;
}

bool driver_wants_kick(driver *d, uint32_t queue)
{
    driver_queue *q = &d->queue[queue];
    uint16_t event;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!d->event_idx)
        return (load(d, q->used) & 1) == 0;
    event = load(d, q->used + 4 + 8 * (uint64_t)q->size);
    return (uint16_t)(q->avail_idx - event - 1) <
           (uint16_t)(q->avail_idx - q->kicked_idx);
}

void driver_want_interrupts(driver *d, uint32_t queue, bool on)
{
    driver_queue *q = &d->queue[queue];

    if (!d->event_idx)
        store(d, q->avail, on ? 0 : 1);
    else
        store(d, q->avail + 4 + 2 * (uint64_t)q->size,
              (uint16_t)(on ? q->used_idx : q->used_idx - 1));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

uint16_t driver_used_idx(driver *d, uint32_t queue)
{
    return load(d, d->queue[queue].used + 2);
}

static void give_back(driver_queue *q, uint16_t head)
{
    uint16_t at = head;

    for (uint16_t i = 0; i < q->length[head]; i++) {
        q->free[q->n_free++] = at;
        at = q->chain[at];
    }
    q->length[head] = 0;
}

bool driver_take(driver *d, uint32_t queue, uint16_t *head, uint32_t *len)
{
    driver_queue *q = &d->queue[queue];
    uint32_t element[2];

    if (driver_used_idx(d, queue) == q->used_idx)
        return false;
    memcpy(element,
           driver_ram(d,
                      q->used + 4 + 8 * (uint64_t)(q->used_idx & (q->size - 1)),
                      sizeof(element)),
           sizeof(element));
    q->used_idx++;
    assert_true(element[0] < q->size);
    give_back(q, (uint16_t)element[0]);
    if (head != NULL)
        *head = (uint16_t)element[0];
    if (len != NULL)
        *len = element[1];
    return true;
}

bool driver_wait(driver *d, uint32_t queue, uint16_t *head, uint32_t *len)
{
    gint64 end = g_get_monotonic_time() + WAIT_US;

    while (!driver_take(d, queue, head, len)) {
        if (g_get_monotonic_time() > end)
            return false;
        g_usleep(50);
    }
    return true;
}

static void nothing(void *opaque)
{
}

void driver_settle(driver *d)
{
    /* A call posted may run before an fd that was ready earlier, the second one
     * not; and a handler may kick once more. */
    for (unsigned i = 0; i < 4; i++)
        vsr_loop_sync(d->device->loop, nothing, NULL);
}
