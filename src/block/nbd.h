/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd.h: a client of a network block device. Errors of the connection are -EIO;
 * nothing reconnects.
 *
 * Threads: connect: any. open and close: the control thread. submit: the loop.
 *          run: any other.
 */
#ifndef VSR_BLOCK_NBD_H
#define VSR_BLOCK_NBD_H

#include "block/file.h"

/* A connected socket, before the handshake; -1 with *error. */
int blk_nbd_connect(const vsr_block_location *location, GError **error);
/* Takes `fd`, shakes hands. */
blk_nbd *blk_nbd_open(int fd, const char *name, const char *export,
                      bool readonly, vsr_loop *loop, GError **error);
void blk_nbd_close(blk_nbd *nbd); /* NULL is a no-op */
uint64_t blk_nbd_bytes(const blk_nbd *nbd);
void blk_nbd_submit(blk_io *io);
int blk_nbd_run(blk_io *io);

#endif
