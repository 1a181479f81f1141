/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source.h: opening the files of a disk: what source.c and source_chain.c share.
 *
 * Threads: any.
 */
#ifndef VSR_BLOCK_SOURCE_H
#define VSR_BLOCK_SOURCE_H

#include "block/block.h"

/* A regular file or block device; -1 with *error. Takes no lock. */
int blk_source_open_file(const char *path, bool readonly, GError **error);

/* source->image[0] is an open qcow2 image: adds what it is based on. */
bool blk_source_open_chain(vsr_block_source *source,
                           const vsr_block_location *top,
                           const char *const *folders, GError **error);

#endif
