/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block.c: a request's way: checks, throttle, format, file.
 *
 * Threads: as block.h says.
 */
#include "block/block.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/util.h"
#include "block/block_state.h"
#include "block/nbd.h"
#include "block/qcow2_disk.h"

enum { SECTOR = 512, SPARES_AT_FIRST = 32 };

/* --- operations --- */

blk_io *blk_io_get(vsr_block *block)
{
    blk_io *io = block->spare;

    if (io == NULL)
        return g_new0(blk_io, 1);
    block->spare = io->next;
    return io;
}

void blk_io_put(vsr_block *block, blk_io *io)
{
    io->next = block->spare;
    block->spare = io;
}

/* --- the end --- */

static void count(uint64_t *counter, uint64_t amount)
{
    /* Only the loop writes; readers need whole values, no order. */
    __atomic_store_n(counter,
                     __atomic_load_n(counter, __ATOMIC_RELAXED) + amount,
                     __ATOMIC_RELAXED);
}

void blk_request_end(vsr_block *block, vsr_block_request *request, int rc)
{
    vsr_block_stats *stats = &block->stats;
    int64_t ns = vsr_now_ns() - (int64_t)request->word[0];

    request->op = (vsr_block_op)request->word[1];
    if (rc < 0)
        count(&stats->errors, 1);
    if (request->op < VSR_BLOCK_OPS) {
        count(&stats->requests[request->op], 1);
        count(&stats->ns[request->op], (uint64_t)MAX(ns, 0));
        if (rc == 0)
            count(&stats->bytes[request->op], request->len);
    }
    request->done(request, rc);
}

static void end_soon_done(blk_io *io)
{
    vsr_block *block = io->user[0];
    vsr_block_request *request = io->opaque;
    int rc = io->rc;

    blk_io_put(block, io);
    blk_request_end(block, request, rc);
}

void blk_request_end_soon(vsr_block *block, vsr_block_request *request, int rc)
{
    blk_io *io = blk_io_get(block);

    io->rc = rc;
    io->done = end_soon_done;
    io->opaque = request;
    io->user[0] = block;
    blk_aio_post(block->aio, io);
}

/* --- raw --- */

static void raw_done(blk_io *io)
{
    vsr_block *block = io->user[0];
    vsr_block_request *request = io->opaque;
    int rc = io->rc;

    blk_io_put(block, io);
    blk_request_end(block, request, rc);
}

static void raw_submit(vsr_block *block, vsr_block_request *request)
{
    blk_io *io = blk_io_get(block);

    io->file = &block->files[0];
    io->op = request->op;
    io->offset = request->offset;
    io->len = request->len;
    io->iov = request->iov;
    io->n_iov = request->n_iov;
    io->fua = request->fua;
    io->may_unmap = request->may_unmap;
    io->done = raw_done;
    io->opaque = request;
    io->user[0] = block;
    blk_aio_submit(block->aio, io);
}

/* --- the beginning --- */

static int request_check(const vsr_block *block, const vsr_block_request *r)
{
    bool moves = r->op == VSR_BLOCK_READ || r->op == VSR_BLOCK_WRITE;

    if (r->op >= VSR_BLOCK_OPS)
        return -EINVAL;
    if (r->op == VSR_BLOCK_FLUSH)
        return 0;
    if (r->offset % SECTOR != 0 || r->len % SECTOR != 0 ||
        r->offset > block->bytes || r->len > block->bytes - r->offset)
        return -EINVAL;
    if (moves && blk_iov_len(r->iov, r->n_iov) != r->len)
        return -EINVAL;
    return block->readonly && r->op != VSR_BLOCK_READ ? -EROFS : 0;
}

/* Adds what the options say; true: there is nothing to do. */
static bool request_adjust(const vsr_block *block, vsr_block_request *r)
{
    if (block->detect_zeroes && r->op == VSR_BLOCK_WRITE &&
        blk_iov_is_zero(r->iov, r->n_iov)) {
        r->op = VSR_BLOCK_WRITE_ZEROES;
        r->may_unmap = true;
    } else if (!block->discard) {
        r->may_unmap = false;
    }
    if (r->op == VSR_BLOCK_WRITE || r->op == VSR_BLOCK_WRITE_ZEROES)
        r->fua = (r->fua || block->write_through) && !block->unsafe;
    switch (r->op) {
    case VSR_BLOCK_FLUSH:
        return block->unsafe || block->readonly;
    case VSR_BLOCK_DISCARD:
        return !block->discard || r->len == 0;
    case VSR_BLOCK_READ:
    case VSR_BLOCK_WRITE:
    case VSR_BLOCK_WRITE_ZEROES:
    case VSR_BLOCK_OPS:
    default:
        return r->len == 0;
    }
}

static void request_start(void *opaque, vsr_block_request *request)
{
    vsr_block *block = opaque;

    if (request_adjust(block, request))
        blk_request_end_soon(block, request, 0);
    else if (block->qcow2 != NULL)
        qcow2_disk_submit(block->qcow2, request);
    else
        raw_submit(block, request);
}

void vsr_block_submit(vsr_block *block, vsr_block_request *request)
{
    int rc = request_check(block, request);

    request->next = NULL;
    request->word[0] = (uint64_t)vsr_now_ns();
    request->word[1] = request->op; /* zeros detected change it */
    if (rc < 0)
        blk_request_end_soon(block, request, rc);
    else if (blk_throttle_admit(block->throttle, request))
        request_start(block, request);
}

void vsr_block_cancel_waiting(vsr_block *block)
{
    vsr_block_request *request = blk_throttle_take(block->throttle);

    while (request != NULL) {
        vsr_block_request *next = request->next;

        request->next = NULL;
        request->done(request, -ECANCELED);
        request = next;
    }
}

void vsr_block_plug(vsr_block *block)
{
    blk_aio_plug(block->aio);
}

void vsr_block_unplug(vsr_block *block)
{
    blk_aio_unplug(block->aio);
}

/* --- what is asked --- */

uint64_t vsr_block_bytes(const vsr_block *block)
{
    return block->bytes;
}

bool vsr_block_is_readonly(const vsr_block *block)
{
    return block->readonly;
}

uint32_t vsr_block_granularity(const vsr_block *block)
{
    return MAX(block->files[0].align, SECTOR);
}

void vsr_block_set_throttle(vsr_block *block,
                            const vsr_block_throttle *throttle)
{
    blk_throttle_set(block->throttle, throttle);
}

void vsr_block_get_stats(const vsr_block *block, vsr_block_stats *out)
{
    const vsr_block_stats *s = &block->stats;

    for (int i = 0; i < VSR_BLOCK_OPS; i++) {
        out->requests[i] = __atomic_load_n(&s->requests[i], __ATOMIC_RELAXED);
        out->bytes[i] = __atomic_load_n(&s->bytes[i], __ATOMIC_RELAXED);
        out->ns[i] = __atomic_load_n(&s->ns[i], __ATOMIC_RELAXED);
    }
    out->errors = __atomic_load_n(&s->errors, __ATOMIC_RELAXED);
}

uint64_t vsr_block_allocated(const vsr_block *block)
{
    const blk_file *file = &block->files[0];
    struct stat st;

    if (file->is_device)
        return file->bytes;
    return file->nbd == NULL && fstat(file->fd, &st) == 0
               ? (uint64_t)st.st_blocks * 512
               : 0;
}

/* What could not be, whatever the format. */
static bool check_resize(const vsr_block *block, uint64_t bytes, GError **error)
{
    const blk_file *file = &block->files[0];

    if (block->readonly)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT, "'%s' is read-only",
                        file->name);
    if (bytes == 0 || bytes % SECTOR != 0 || bytes > INT64_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "'%s' cannot have %" G_GUINT64_FORMAT
                        " bytes: none, not a multiple of 512, or too many",
                        file->name, bytes);
    if (file->nbd != NULL)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "'%s' is behind NBD: its server alone can resize it",
                        file->name);
    if (block->qcow2 != NULL && bytes < block->bytes)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "'%s' has %" G_GUINT64_FORMAT
                        " bytes: a qcow2 image cannot shrink to "
                        "%" G_GUINT64_FORMAT,
                        file->name, block->bytes, bytes);
    return true;
}

static bool resize_raw(vsr_block *block, uint64_t bytes, GError **error)
{
    blk_file *file = &block->files[0];
    int rc = blk_file_measure(file);

    if (rc == 0 && file->is_device) {
        if (bytes > file->bytes)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "Block device '%s' has %" G_GUINT64_FORMAT
                            " bytes, not %" G_GUINT64_FORMAT,
                            file->name, file->bytes, bytes);
    } else if (rc == 0 && (bytes > file->bytes || bytes < block->bytes)) {
        rc = blk_file_truncate(file, bytes);
    }
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot resize '%s'", file->name);
    return true;
}

bool vsr_block_resize(vsr_block *block, uint64_t bytes, GError **error)
{
    bool ok;

    if (!check_resize(block, bytes, error))
        return false;
    ok = block->qcow2 != NULL ? qcow2_disk_resize(block->qcow2, bytes, error)
                              : resize_raw(block, bytes, error);
    if (ok)
        block->bytes = bytes;
    return ok;
}

/* --- life --- */

static bool is_direct(const vsr_block_options *options)
{
    return options->cache == VSR_BLOCK_CACHE_NONE ||
           options->cache == VSR_BLOCK_CACHE_DIRECTSYNC;
}

static bool open_file(vsr_block *block, vsr_block_image *image,
                      const vsr_block_options *options, GError **error)
{
    blk_file *file = &block->files[block->n_files];
    int fd = vsr_steal_fd(&image->fd);

    if (image->protocol == VSR_BLOCK_NBD) {
        *file = (blk_file){
            .fd = -1, .align = 1, .mem_align = 1, .readonly = image->readonly
        };
        file->nbd = blk_nbd_open(fd, image->name, image->export,
                                 image->readonly, block->loop, error);
        if (file->nbd == NULL)
            return false;
        file->bytes = blk_nbd_bytes(file->nbd);
        file->name = g_strdup(image->name);
        g_mutex_init(&file->partial);
    } else if (!blk_file_open(file, fd, image->name, image->readonly,
                              is_direct(options), error)) {
        return false;
    }
    file->aio = block->aio;
    file->no_sync = block->unsafe;
    block->n_files++;
    return true;
}

static bool block_open(vsr_block *block, vsr_block_source *source,
                       const vsr_block_options *options, GError **error)
{
    block->aio =
        blk_aio_new(options->aio, source->image[0].name, block->loop, error);
    if (block->aio == NULL)
        return false;
    for (uint32_t i = 0; i < source->n; i++)
        if (!open_file(block, &source->image[i], options, error))
            return false;
    if (source->image[0].format == VSR_BLOCK_QCOW2) {
        block->qcow2 = qcow2_disk_new(block, source, error);
        if (block->qcow2 == NULL)
            return false;
        block->bytes = vsr_round_up(qcow2_disk_bytes(block->qcow2), SECTOR);
        return true;
    }
    /* A last sector that the file has a part of only is there; the rest of it
     * reads as zeros. */
    block->bytes = vsr_round_up(block->files[0].bytes, SECTOR);
    return true;
}

vsr_block *vsr_block_new(vsr_block_source *source,
                         const vsr_block_options *options, vsr_loop *loop,
                         GError **error)
{
    vsr_block *block = g_new0(vsr_block, 1);

    block->loop = loop;
    block->readonly = source->image[0].readonly;
    block->write_through = options->cache == VSR_BLOCK_CACHE_WRITETHROUGH ||
                           options->cache == VSR_BLOCK_CACHE_DIRECTSYNC;
    block->unsafe = options->cache == VSR_BLOCK_CACHE_UNSAFE;
    block->discard = options->discard;
    block->detect_zeroes = options->detect_zeroes;
    block->throttle = blk_throttle_new(loop, request_start, block);
    blk_throttle_set(block->throttle, &options->throttle);
    for (int i = 0; i < SPARES_AT_FIRST; i++)
        blk_io_put(block, g_new0(blk_io, 1));
    if (!block_open(block, source, options, error)) {
        vsr_block_free(block);
        return NULL;
    }
    return block;
}

void vsr_block_free(vsr_block *block)
{
    if (block == NULL)
        return;
    blk_throttle_free(block->throttle);
    qcow2_disk_free(block->qcow2); /* its worker reports to aio */
    blk_aio_free(block->aio);
    if (block->n_files > 0 && !block->readonly)
        (void)blk_file_flush(&block->files[0]);
    for (uint32_t i = 0; i < block->n_files; i++)
        blk_file_close(&block->files[i]);
    while (block->spare != NULL) {
        blk_io *io = block->spare;

        block->spare = io->next;
        g_free(io);
    }
    g_free(block);
}
