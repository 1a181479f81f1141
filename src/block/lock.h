/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.h: who may open an image. The locks belong to the open file, so they
 * survive that its descriptor is passed to another process, and end when the
 * last copy is closed.
 *
 * Threads: any.
 */
#ifndef VSR_BLOCK_LOCK_H
#define VSR_BLOCK_LOCK_H

#include <stdbool.h>

#include <glib.h>

typedef enum {
    BLK_LOCK_READ,  /* others may read; nobody may write */
    BLK_LOCK_WRITE, /* we write; others may do nothing */
    BLK_LOCK_SHARED_READ,  /* <shareable/>: others may do anything */
    BLK_LOCK_SHARED_WRITE,
} blk_lock_mode;

/* BUSY names the file and, if it can be seen, the process. */
bool blk_lock_take(int fd, const char *name, blk_lock_mode mode,
                   GError **error);

#endif
