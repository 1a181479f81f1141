/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_work.c: the worker thread, and reading on it.
 *
 * Threads: start, stop: the control thread; send: the loop; the rest the worker.
 */
#include "block/qcow2_disk.h"

#include <errno.h>

#include "base/thread.h"

/* --- reading --- */

static int read_piece(const qcow2_piece *piece, uint64_t offset,
                      const struct iovec *iov, uint32_t n_iov, uint64_t at)
{
    g_autofree struct iovec *parts = NULL;
    blk_io io = { .file = piece->file,
                  .op = VSR_BLOCK_READ,
                  .offset = piece->host,
                  .len = piece->len };
    uint64_t fits;

    if (piece->entry != 0) {
        qcow2_image *image = piece->packed;
        uint64_t skip = offset & (image->cluster_size - 1);
        const uint8_t *data;
        int rc = qcow2_unpack(image, piece->entry, &data);

        if (rc == 0)
            blk_iov_from(iov, n_iov, at, data + skip, (size_t)piece->len);
        return rc;
    }
    if (piece->file == NULL) {
        blk_iov_zero(iov, n_iov, at, (size_t)piece->len);
        return 0;
    }
    parts = g_new(struct iovec, n_iov);
    io.n_iov = blk_iov_slice(iov, n_iov, at, piece->len, parts, n_iov, &fits);
    io.iov = parts;
    return blk_file_run(&io);
}

int qcow2_read_now(qcow2 *disk, uint64_t offset, uint64_t len,
                   const struct iovec *iov, uint32_t n_iov, uint64_t at)
{
    while (len > 0) {
        qcow2_piece piece = { 0 };
        int rc = qcow2_disk_locate(disk, offset, len, true, &piece);

        if (rc == 0)
            rc = read_piece(&piece, offset, iov, n_iov, at);
        if (rc != 0)
            return rc < 0 ? rc : -EIO;
        offset += piece.len;
        at += piece.len;
        len -= piece.len;
    }
    return 0;
}

/* Loads what a read needs. QCOW2_AGAIN: the loop can do it now; 0: it cannot. */
static int prepare_read(qcow2 *disk, const blk_io *job)
{
    uint64_t at = 0;

    while (at < job->len) {
        qcow2_piece piece = { 0 };
        int rc = qcow2_disk_locate(disk, job->offset + at, job->len - at, true,
                                   &piece);

        if (rc < 0)
            return rc;
        if (piece.entry != 0)
            return 0;
        at += piece.len;
    }
    return QCOW2_AGAIN;
}

static int prepare_write(qcow2 *disk, const blk_io *job)
{
    uint64_t at = 0;

    while (at < job->len) {
        qcow2_extent e;
        int rc = qcow2_find_load(disk->layers[0].image, job->offset + at,
                                 job->len - at, &e);

        if (rc < 0)
            return rc;
        if (e.kind != QCOW2_EXTENT_DATA || !e.own)
            return 0;
        at += e.len;
    }
    return QCOW2_AGAIN;
}

/* --- the thread --- */

static int run_job(qcow2 *disk, const blk_io *job)
{
    qcow2_image *image = disk->layers[0].image;
    bool may_retry = job->moved != 0;
    int rc = 0;

    if (job->op != VSR_BLOCK_READ && g_atomic_int_get(&image->corrupt))
        return -EIO;
    switch (job->op) {
    case VSR_BLOCK_READ:
        if (may_retry)
            rc = prepare_read(disk, job);
        if (rc == 0)
            rc = qcow2_read_now(disk, job->offset, job->len, job->iov,
                                job->n_iov, 0);
        return rc;
    case VSR_BLOCK_WRITE:
        /* In place by now, as neighbours of the one that allocated are? Into
         * the page cache that is done here sooner than sent back. */
        if (may_retry && image->file->align > 1)
            rc = prepare_write(disk, job);
        if (rc == QCOW2_AGAIN)
            return rc;
        if (rc == 0)
            rc = qcow2_write_now(disk, job->offset, job->len, job->iov,
                                 job->n_iov);
        break;
    case VSR_BLOCK_WRITE_ZEROES:
        rc = qcow2_zero_now(disk, job->offset, job->len, job->may_unmap);
        break;
    case VSR_BLOCK_DISCARD:
        return qcow2_discard_now(disk, job->offset, job->len);
    case VSR_BLOCK_FLUSH:
        return qcow2_flush(image, true);
    case VSR_BLOCK_OPS:
    default:
        return -EINVAL;
    }
    if (rc == 0 && job->fua)
        rc = qcow2_flush(image, true);
    return rc;
}

static void *work(void *opaque)
{
    qcow2 *disk = opaque;

    g_mutex_lock(&disk->lock);
    for (;;) {
        blk_io *job;

        while (disk->todo == NULL && !disk->stop)
            g_cond_wait(&disk->wake, &disk->lock);
        job = disk->todo;
        if (job == NULL)
            break;
        disk->todo = job->next;
        if (disk->todo == NULL)
            disk->todo_end = &disk->todo;
        g_mutex_unlock(&disk->lock);
        job->rc = run_job(disk, job);
        /* Before the request is told to be done: a flush must see it. */
        g_atomic_int_set(&disk->dirty, qcow2_is_dirty(disk->layers[0].image));
        blk_aio_post(disk->block->aio, job);
        g_mutex_lock(&disk->lock);
    }
    g_mutex_unlock(&disk->lock);
    return NULL;
}

void qcow2_worker_send(qcow2 *disk, blk_io *io)
{
    bool was_empty;

    io->next = NULL;
    g_mutex_lock(&disk->lock);
    was_empty = disk->todo == NULL;
    *disk->todo_end = io;
    disk->todo_end = &io->next;
    g_mutex_unlock(&disk->lock);
    if (was_empty)
        g_cond_signal(&disk->wake);
}

bool qcow2_worker_start(qcow2 *disk, GError **error)
{
    disk->worker = vsr_thread_new("vsr-qcow2", work, disk, error);
    return disk->worker != NULL;
}

void qcow2_worker_stop(qcow2 *disk)
{
    if (disk->worker == NULL)
        return;
    g_mutex_lock(&disk->lock);
    disk->stop = true;
    g_cond_signal(&disk->wake);
    g_mutex_unlock(&disk->lock);
    g_thread_join(disk->worker);
}
