/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_disk.h: requests to a chain of images of which the top is qcow2.
 *
 * What the tables in memory say is in place goes from the loop straight to the
 * files. The rest (tables to be read, clusters to be allocated, copied, freed or
 * unpacked) is done by one worker thread, in order, so allocation needs no
 * locks. Tables are read by both, changed by the worker alone.
 *
 * Freeing is the one thing that would pull clusters from under requests that
 * the loop has sent: zeroing and discarding wait until requests to the same
 * clusters have ended, and hold back those that come meanwhile.
 *
 * Threads: new, free and resize on the control thread with nothing in flight;
 *          submit on the loop; the others the worker.
 */
#ifndef VSR_BLOCK_QCOW2_DISK_H
#define VSR_BLOCK_QCOW2_DISK_H

#include "block/block_state.h"
#include "block/qcow2.h"

typedef struct {
    blk_file *file;     /* borrowed */
    qcow2_image *image; /* NULL: raw */
    uint64_t bytes;     /* of the disk in this image */
} qcow2_layer;

typedef struct {
    vsr_block_request *head, *tail;
} qcow2_list;

struct qcow2 {
    vsr_block *block; /* borrowed */
    qcow2_layer layers[VSR_BLOCK_CHAIN_MAX]; /* [0] the top */
    uint32_t n_layers;
    gint dirty; /* atomic: the top's tables have changes */

    /* The loop's. */
    qcow2_list direct;  /* sent to files */
    qcow2_list freeing; /* zeroing, discarding: waiting or at the worker */
    qcow2_list held;    /* wait for one of `freeing` */

    GMutex lock; /* guards the queue and stop */
    GCond wake;
    blk_io *todo, **todo_end;
    bool stop;
    GThread *worker;

    uint8_t *zeroes; /* the worker's: a cluster */
};

/* The files are block->files, opened. */
qcow2 *qcow2_disk_new(vsr_block *block, const vsr_block_source *source,
                      GError **error);
void qcow2_disk_free(qcow2 *disk); /* NULL is a no-op */
uint64_t qcow2_disk_bytes(const qcow2 *disk);
bool qcow2_disk_resize(qcow2 *disk, uint64_t bytes, GError **error);
void qcow2_disk_submit(qcow2 *disk, vsr_block_request *request);

/* A part of the disk that is one piece of one file, or zeros. */
typedef struct {
    blk_file *file; /* NULL: zeros */
    uint64_t host;
    uint64_t len;
    uint64_t entry;      /* of a compressed cluster; 0: none */
    qcow2_image *packed; /* whose */
} qcow2_piece;

/* What is at `offset`. With `load` on the worker, never 1. 0, -errno, or 1: not
 * in memory. */
int qcow2_disk_locate(qcow2 *disk, uint64_t offset, uint64_t len, bool load,
                      qcow2_piece *out);

/* --- the worker (qcow2_work.c) --- */

bool qcow2_worker_start(qcow2 *disk, GError **error);
void qcow2_worker_stop(qcow2 *disk);
/* `io` comes back by its done() with rc: 0, -errno or QCOW2_AGAIN. */
enum { QCOW2_AGAIN = 1 }; /* tables are in memory now: try again */
void qcow2_worker_send(qcow2 *disk, blk_io *io);
int qcow2_read_now(qcow2 *disk, uint64_t offset, uint64_t len,
                   const struct iovec *iov, uint32_t n_iov, uint64_t at);

/* --- changes, by the worker (qcow2_write.c, qcow2_zero.c) --- */

int qcow2_write_now(qcow2 *disk, uint64_t offset, uint64_t len,
                    const struct iovec *iov, uint32_t n_iov);
int qcow2_zero_now(qcow2 *disk, uint64_t offset, uint64_t len, bool may_unmap);
int qcow2_discard_now(qcow2 *disk, uint64_t offset, uint64_t len);

#endif
