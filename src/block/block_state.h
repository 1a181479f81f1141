/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_state.h: a vsr_block, inside.
 *
 * Threads: as block.h says; what is not said otherwise belongs to the loop.
 */
#ifndef VSR_BLOCK_BLOCK_STATE_H
#define VSR_BLOCK_BLOCK_STATE_H

#include "block/aio.h"
#include "block/block.h"
#include "block/file.h"
#include "block/throttle.h"

typedef struct qcow2 qcow2; /* qcow2.h */

struct vsr_block {
    vsr_loop *loop; /* borrowed */
    blk_aio *aio;
    blk_file files[VSR_BLOCK_CHAIN_MAX]; /* of the chain, [0] the top */
    uint32_t n_files;
    qcow2 *qcow2; /* NULL: raw */
    blk_throttle *throttle;
    blk_io *spare; /* list by `next` */
    uint64_t bytes;
    bool readonly;
    bool write_through;
    bool unsafe;
    bool discard;
    bool detect_zeroes;
    vsr_block_stats stats; /* each by atomic operations */
};

/* An operation from the list of spares; give it back when it is done. */
blk_io *blk_io_get(vsr_block *block);
void blk_io_put(vsr_block *block, blk_io *io);

/* Ends the request: statistics, done(). On the loop, not inside of submit. */
void blk_request_end(vsr_block *block, vsr_block_request *request, int rc);
/* The same, soon. */
void blk_request_end_soon(vsr_block *block, vsr_block_request *request, int rc);

#endif
