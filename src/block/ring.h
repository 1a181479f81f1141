/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.h: io_uring, seen from aio.c.
 *
 * Threads: new and free on the control thread; the rest on the loop.
 */
#ifndef VSR_BLOCK_RING_H
#define VSR_BLOCK_RING_H

#include "block/aio.h"

typedef struct blk_ring blk_ring;

/* NULL with *error NO_SUPPORT: the build or the kernel has none. */
blk_ring *blk_ring_new(blk_aio *aio, vsr_loop *loop, GError **error);
void blk_ring_free(blk_ring *ring);
/* False: not something for the ring. Sent at the next flush, or earlier. */
bool blk_ring_add(blk_ring *ring, blk_io *io);
void blk_ring_flush(blk_ring *ring);

#endif
