/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * throttle.h: lets requests through at the rates that were asked for.
 *
 * Threads: the loop; set any.
 */
#ifndef VSR_BLOCK_THROTTLE_H
#define VSR_BLOCK_THROTTLE_H

#include "block/block.h"

typedef struct blk_throttle blk_throttle;
typedef void blk_throttle_fn(void *opaque, vsr_block_request *request);

/* `release` is called on the loop for what had to wait. */
blk_throttle *blk_throttle_new(vsr_loop *loop, blk_throttle_fn *release,
                               void *opaque);
void blk_throttle_free(blk_throttle *throttle);
void blk_throttle_set(blk_throttle *throttle,
                      const vsr_block_throttle *limits);
/* True: go on now. False: it is kept, and released later, first come first
 * served among reads and among writes. Flushes are not held. */
bool blk_throttle_admit(blk_throttle *throttle, vsr_block_request *request);
/* All that is kept, as a list: the throttle forgets them. */
vsr_block_request *blk_throttle_take(blk_throttle *throttle);

#endif
