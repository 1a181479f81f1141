/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_block.h: a disk in memory behind block.h, for tests of the devices that
 * use one: requests can be held back and made to fail, and are counted.
 *
 * Threads: the test's, but for what block.h says runs on the loop.
 */
#ifndef VSR_TESTS_DEVICES_FAKE_BLOCK_H
#define VSR_TESTS_DEVICES_FAKE_BLOCK_H

#include "block/block.h"

vsr_block *fake_block_new(vsr_loop *loop, uint64_t bytes, bool readonly);
void fake_block_free(vsr_block *block);
/* Its contents; nobody else may touch them now. */
uint8_t *fake_block_bytes(vsr_block *block);
/* Requests wait, or (false) go on. */
void fake_block_hold(vsr_block *block, bool hold);
/* As hold, but by a throttle: what waits can be cancelled. */
void fake_block_throttle(vsr_block *block, bool on);
/* The next `count` requests of `op` (VSR_BLOCK_OPS: any) end with `rc`. */
void fake_block_fail(vsr_block *block, vsr_block_op op, uint32_t count, int rc);

typedef struct {
    uint32_t waiting; /* submitted, not done */
    uint32_t seen[VSR_BLOCK_OPS];
    uint32_t fua, may_unmap; /* how many had it */
    uint32_t unplugged;      /* submitted outside of plug and unplug */
    uint32_t cancelled;      /* how often what waits was told to end */
} fake_block_counts;
fake_block_counts fake_block_get(vsr_block *block);

#endif
