/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.c: the last bytes written.
 *
 * Threads: the caller locks.
 */
#include "chardev/ring.h"

#include <string.h>

#include <glib.h>

void vsr_ring_init(vsr_ring *ring, size_t size)
{
    ring->data = g_malloc(size);
    ring->size = size;
    ring->head = 0;
}

void vsr_ring_fini(vsr_ring *ring)
{
    g_clear_pointer(&ring->data, g_free);
}

void vsr_ring_write(vsr_ring *ring, const void *data, size_t len)
{
    const uint8_t *from = data;

    if (len > ring->size) {
        ring->head += len - ring->size;
        from += len - ring->size;
        len = ring->size;
    }
    while (len > 0) {
        size_t at = ring->head & (ring->size - 1);
        size_t n = MIN(len, ring->size - at);

        memcpy(ring->data + at, from, n);
        ring->head += n;
        from += n;
        len -= n;
    }
}

uint64_t vsr_ring_catch_up(const vsr_ring *ring, uint64_t *cursor)
{
    uint64_t oldest = ring->head > ring->size ? ring->head - ring->size : 0;
    uint64_t lost = 0;

    if (*cursor < oldest) {
        lost = oldest - *cursor;
        *cursor = oldest;
    }
    return lost;
}

size_t vsr_ring_peek(const vsr_ring *ring, uint64_t cursor, void *to,
                     size_t max)
{
    size_t len = (size_t)MIN(ring->head - cursor, max);
    size_t at = cursor & (ring->size - 1);
    size_t n = MIN(len, ring->size - at);

    memcpy(to, ring->data + at, n);
    memcpy((uint8_t *)to + n, ring->data, len - n);
    return len;
}
