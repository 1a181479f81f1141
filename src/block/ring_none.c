/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring_none.c: ring.h where the build has no liburing.
 *
 * Threads: any.
 */
#include "block/ring.h"

#include "base/error.h"

blk_ring *blk_ring_new(blk_aio *aio, vsr_loop *loop, GError **error)
{
    vsr_fail(error, VISOR_ERR_NO_SUPPORT,
             "io_uring needs a build with liburing");
    return NULL;
}

void blk_ring_free(blk_ring *ring)
{
}

bool blk_ring_add(blk_ring *ring, blk_io *io)
{
    return false;
}

void blk_ring_flush(blk_ring *ring)
{
}
