/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.h: the last bytes written, addressed by their position since the
 * beginning, so that any number of readers keep a cursor each and one that is
 * too slow only loses its own place.
 *
 * Threads: the caller locks.
 */
#ifndef VSR_CHARDEV_RING_H
#define VSR_CHARDEV_RING_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *data;
    size_t size;   /* a power of two */
    uint64_t head; /* position of the next byte written */
} vsr_ring;

void vsr_ring_init(vsr_ring *ring, size_t size);
void vsr_ring_fini(vsr_ring *ring);
void vsr_ring_write(vsr_ring *ring, const void *data, size_t len);
/* Moves *cursor up to the oldest byte that is still there; returns how many
 * bytes that skips. */
uint64_t vsr_ring_catch_up(const vsr_ring *ring, uint64_t *cursor);
/* Copies at most `max` bytes from `cursor` on, which is caught up. */
size_t vsr_ring_peek(const vsr_ring *ring, uint64_t cursor, void *to,
                     size_t max);

#endif
