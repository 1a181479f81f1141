/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio.h: runs blk_io asynchronously: on threads, or by the kernel's io_uring
 * with threads for what it does not do. All threads and rings are made in
 * blk_aio_new(), so that a sandbox may close afterwards.
 *
 * Threads: new and free on the control thread with nothing in flight; submit,
 *          plug and unplug on the loop; post any.
 */
#ifndef VSR_BLOCK_AIO_H
#define VSR_BLOCK_AIO_H

#include "block/file.h"

blk_aio *blk_aio_new(vsr_block_aio kind, const char *name, vsr_loop *loop,
                     GError **error);
void blk_aio_free(blk_aio *aio); /* NULL is a no-op */

/* io->done() is called on the loop, never from within. */
void blk_aio_submit(blk_aio *aio, blk_io *io);
/* Nested; at the last unplug all that was submitted is on its way. */
void blk_aio_plug(blk_aio *aio);
void blk_aio_unplug(blk_aio *aio);
/* io is done, its rc is set: calls done() on the loop, soon. */
void blk_aio_post(blk_aio *aio, blk_io *io);
/* To the threads, wherever the others go. */
void blk_aio_submit_to_threads(blk_aio *aio, blk_io *io);

#endif
