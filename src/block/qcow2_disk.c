/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_disk.c: requests on the loop: planned, sent, waited for.
 *
 * Of a request's private members: `next` and layer[0] link it in a list, layer[1]
 * is that list; word[2] counts its parts in flight, word[3] holds its result and
 * how often it was tried.
 *
 * Threads: as qcow2_disk.h says.
 */
#include "block/qcow2_disk.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/util.h"

enum { PIECES = 32, TRIES = 3, SECTOR = 512 };

/* --- lists --- */

static void list_add(qcow2_list *list, vsr_block_request *r)
{
    r->next = NULL;
    r->layer[0] = list->tail;
    r->layer[1] = list;
    if (list->tail != NULL)
        list->tail->next = r;
    else
        list->head = r;
    list->tail = r;
}

static void list_remove(vsr_block_request *r)
{
    qcow2_list *list = r->layer[1];
    vsr_block_request *before = r->layer[0];

    if (list == NULL)
        return;
    if (before != NULL)
        before->next = r->next;
    else
        list->head = r->next;
    if (r->next != NULL)
        r->next->layer[0] = before;
    else
        list->tail = before;
    r->next = NULL;
    r->layer[0] = r->layer[1] = NULL;
}

/* Does one of the list touch a cluster that `r` touches? */
static bool touches(const qcow2 *disk, const qcow2_list *list,
                    const vsr_block_request *r)
{
    uint32_t bits = disk->layers[0].image->cluster_bits;
    uint64_t first = r->offset >> bits;
    uint64_t last = (r->offset + r->len - 1) >> bits;

    for (const vsr_block_request *o = list->head; o != NULL; o = o->next)
        if (o != r && o->offset >> bits <= last &&
            (o->offset + o->len - 1) >> bits >= first)
            return true;
    return false;
}

/* --- the end --- */

static void dispatch(qcow2 *disk, vsr_block_request *r);
static void free_dispatch(qcow2 *disk, vsr_block_request *r);

/* A request has ended: who waited for it may go on. */
static void wake(qcow2 *disk)
{
    vsr_block_request *r, *next;

    for (r = disk->freeing.head; r != NULL; r = next) {
        next = r->next;
        if (r->layer[2] == NULL)
            free_dispatch(disk, r);
    }
    for (r = disk->held.head; r != NULL; r = next) {
        next = r->next;
        if (!touches(disk, &disk->freeing, r)) {
            list_remove(r);
            dispatch(disk, r);
        }
    }
}

static void finish(qcow2 *disk, vsr_block_request *r, int rc)
{
    list_remove(r);
    if (disk->freeing.head != NULL || disk->held.head != NULL)
        wake(disk);
    blk_request_end(disk->block, r, rc);
}

/* --- to the worker --- */

static void worker_done(blk_io *io)
{
    qcow2 *disk = io->user[0];
    vsr_block_request *r = io->opaque;
    int rc = io->rc;

    blk_io_put(disk->block, io);
    if (rc == QCOW2_AGAIN)
        dispatch(disk, r);
    else
        finish(disk, r, rc);
}

static void to_worker_as(qcow2 *disk, vsr_block_request *r, vsr_block_op op)
{
    blk_io *io = blk_io_get(disk->block);

    io->op = op;
    io->offset = r->offset;
    io->len = r->len;
    io->iov = r->iov;
    io->n_iov = r->n_iov;
    io->fua = r->fua;
    io->may_unmap = r->may_unmap;
    io->moved = r->word[3] < TRIES; /* may say "again" */
    io->done = worker_done;
    io->opaque = r;
    io->user[0] = disk;
    r->word[3]++;
    qcow2_worker_send(disk, io);
}

/* --- straight to the files --- */

static void piece_done(blk_io *io)
{
    qcow2 *disk = io->user[0];
    vsr_block_request *r = io->opaque;
    int rc = io->rc;

    g_free(io->user[1]);
    blk_io_put(disk->block, io);
    if (rc < 0)
        r->word[3] = (uint64_t)-rc;
    if (--r->word[2] > 0)
        return;
    rc = -(int)r->word[3];
    if (rc == 0 && r->op == VSR_BLOCK_WRITE && r->fua &&
        g_atomic_int_get(&disk->dirty)) {
        /* The tables that lead there are to be durable, too. */
        list_remove(r);
        to_worker_as(disk, r, VSR_BLOCK_FLUSH);
        return;
    }
    finish(disk, r, rc);
}

static void send_piece(qcow2 *disk, vsr_block_request *r,
                       const qcow2_piece *piece, uint64_t at)
{
    blk_io *io = blk_io_get(disk->block);
    uint64_t fits;

    io->file = piece->file;
    io->op = r->op;
    io->offset = piece->host;
    io->len = piece->len;
    io->fua = r->fua;
    io->may_unmap = false;
    io->done = piece_done;
    io->opaque = r;
    io->user[0] = disk;
    io->user[1] = NULL;
    io->iov = r->iov;
    io->n_iov = r->n_iov;
    if (piece->len < r->len) {
        io->n_iov =
            blk_iov_slice(r->iov, r->n_iov, at, piece->len, &io->one, 1, &fits);
        io->iov = &io->one;
        if (fits < piece->len) {
            struct iovec *parts = g_new(struct iovec, r->n_iov);

            io->n_iov = blk_iov_slice(r->iov, r->n_iov, at, piece->len, parts,
                                      r->n_iov, &fits);
            io->iov = io->user[1] = parts;
        }
    }
    blk_aio_submit(disk->block->aio, io);
}

static void send(qcow2 *disk, vsr_block_request *r, const qcow2_piece *pieces,
                 uint32_t n)
{
    uint64_t at = 0;

    r->word[2] = 0;
    r->word[3] = 0;
    for (uint32_t i = 0; i < n; i++)
        r->word[2] += pieces[i].file != NULL;
    if (r->word[2] == 0) {
        blk_iov_zero(r->iov, r->n_iov, 0, (size_t)r->len);
        blk_request_end_soon(disk->block, r, 0);
        return;
    }
    list_add(&disk->direct, r);
    if (n > 1)
        blk_aio_plug(disk->block->aio);
    for (uint32_t i = 0; i < n; at += pieces[i++].len) {
        if (pieces[i].file != NULL)
            send_piece(disk, r, &pieces[i], at);
        else
            blk_iov_zero(r->iov, r->n_iov, at, (size_t)pieces[i].len);
    }
    if (n > 1)
        blk_aio_unplug(disk->block->aio);
}

/* --- planning --- */

int qcow2_disk_locate(qcow2 *disk, uint64_t offset, uint64_t len, bool load,
                      qcow2_piece *out)
{
    for (uint32_t i = 0; i < disk->n_layers; i++) {
        qcow2_layer *layer = &disk->layers[i];
        uint64_t end = vsr_round_up(layer->bytes, SECTOR);
        qcow2_extent e;

        *out = (qcow2_piece){ .len = len };
        if (offset >= end)
            return 0;
        len = MIN(len, end - offset);
        if (layer->image == NULL) {
            *out = (qcow2_piece){ .file = layer->file,
                                  .host = offset,
                                  .len = len };
            return 0;
        }
        if (load) {
            int rc = qcow2_find_load(layer->image, offset, len, &e);

            if (rc < 0)
                return rc;
        } else {
            qcow2_find(layer->image, offset, len, &e);
        }
        len = out->len = e.len;
        switch (e.kind) {
        case QCOW2_EXTENT_MISS:
            return QCOW2_AGAIN;
        case QCOW2_EXTENT_BAD:
            return -EIO;
        case QCOW2_EXTENT_ZERO:
            return 0;
        case QCOW2_EXTENT_DATA:
            out->file = layer->file;
            out->host = e.host;
            return 0;
        case QCOW2_EXTENT_PACKED:
            out->entry = e.entry;
            out->packed = layer->image;
            return 0;
        case QCOW2_EXTENT_NONE:
        default:
            break;
        }
    }
    return 0; /* len zeros */
}

static bool joins(const qcow2_piece *a, const qcow2_piece *b)
{
    return a->file == b->file &&
           (a->file == NULL || a->host + a->len == b->host);
}

static int plan_read(qcow2 *disk, const vsr_block_request *r,
                     qcow2_piece *pieces, uint32_t *n)
{
    uint64_t at = 0;

    *n = 0;
    while (at < r->len) {
        qcow2_piece p = { 0 };
        int rc =
            qcow2_disk_locate(disk, r->offset + at, r->len - at, false, &p);

        if (rc != 0)
            return rc;
        if (p.entry != 0)
            return QCOW2_AGAIN;
        at += p.len;
        if (*n > 0 && joins(&pieces[*n - 1], &p))
            pieces[*n - 1].len += p.len;
        else if (*n == PIECES)
            return QCOW2_AGAIN;
        else
            pieces[(*n)++] = p;
    }
    return 0;
}

/* Only what is written in place. */
static int plan_write(qcow2 *disk, const vsr_block_request *r,
                      qcow2_piece *pieces, uint32_t *n)
{
    qcow2_layer *top = &disk->layers[0];
    uint64_t at = 0;

    *n = 0;
    if (g_atomic_int_get(&top->image->corrupt))
        return -EIO;
    while (at < r->len) {
        qcow2_extent e;
        qcow2_piece p;

        qcow2_find(top->image, r->offset + at, r->len - at, &e);
        if (e.kind != QCOW2_EXTENT_DATA || !e.own)
            return QCOW2_AGAIN;
        p = (qcow2_piece){ .file = top->file, .host = e.host, .len = e.len };
        at += p.len;
        if (*n > 0 && joins(&pieces[*n - 1], &p))
            pieces[*n - 1].len += p.len;
        else if (*n == PIECES)
            return QCOW2_AGAIN;
        else
            pieces[(*n)++] = p;
    }
    return 0;
}

/* Reads and writes. */
static void dispatch(qcow2 *disk, vsr_block_request *r)
{
    qcow2_piece pieces[PIECES];
    uint32_t n;
    int rc;

    if (disk->freeing.head != NULL && touches(disk, &disk->freeing, r)) {
        list_add(&disk->held, r);
        return;
    }
    rc = r->op == VSR_BLOCK_READ ? plan_read(disk, r, pieces, &n)
                                 : plan_write(disk, r, pieces, &n);
    if (rc == 0)
        send(disk, r, pieces, n);
    else if (rc == QCOW2_AGAIN)
        to_worker_as(disk, r, r->op);
    else
        blk_request_end_soon(disk->block, r, rc);
}

/* Zeroing and discarding, in `freeing`: as soon as nobody uses the clusters. */
static void free_dispatch(qcow2 *disk, vsr_block_request *r)
{
    if (touches(disk, &disk->direct, r))
        return;
    r->layer[2] = disk; /* sent */
    to_worker_as(disk, r, r->op);
}

static void flush_done(blk_io *io)
{
    qcow2 *disk = io->user[0];
    vsr_block_request *r = io->opaque;
    int rc = io->rc;

    blk_io_put(disk->block, io);
    blk_request_end(disk->block, r, rc);
}

static void flush_dispatch(qcow2 *disk, vsr_block_request *r)
{
    blk_io *io;

    if (g_atomic_int_get(&disk->dirty)) {
        to_worker_as(disk, r, VSR_BLOCK_FLUSH);
        return;
    }
    io = blk_io_get(disk->block);
    io->file = disk->layers[0].file;
    io->op = VSR_BLOCK_FLUSH;
    io->offset = io->len = 0;
    io->n_iov = 0;
    io->done = flush_done;
    io->opaque = r;
    io->user[0] = disk;
    blk_aio_submit(disk->block->aio, io);
}

void qcow2_disk_submit(qcow2 *disk, vsr_block_request *r)
{
    r->layer[0] = r->layer[1] = r->layer[2] = NULL;
    r->word[2] = r->word[3] = 0;
    switch (r->op) {
    case VSR_BLOCK_READ:
    case VSR_BLOCK_WRITE:
        dispatch(disk, r);
        break;
    case VSR_BLOCK_FLUSH:
        flush_dispatch(disk, r);
        break;
    case VSR_BLOCK_DISCARD:
    case VSR_BLOCK_WRITE_ZEROES:
        list_add(&disk->freeing, r);
        free_dispatch(disk, r);
        break;
    case VSR_BLOCK_OPS:
    default:
        blk_request_end_soon(disk->block, r, -EINVAL);
        break;
    }
}

/* --- life --- */

static bool open_layers(qcow2 *disk, const vsr_block_source *source,
                        GError **error)
{
    vsr_block *block = disk->block;

    for (uint32_t i = 0; i < source->n; i++) {
        qcow2_layer *layer = &disk->layers[disk->n_layers++];

        layer->file = &block->files[i];
        layer->bytes = layer->file->bytes;
        if (source->image[i].format == VSR_BLOCK_RAW)
            continue;
        layer->image = qcow2_open(layer->file, block->discard, error);
        if (layer->image == NULL)
            return false;
        layer->bytes = layer->image->bytes;
        if (layer->image->has_backing != (i + 1 < source->n))
            return vsr_fail(error, VISOR_ERR_STATE,
                            "'%s' has got another backing file meanwhile",
                            layer->file->name);
    }
    return true;
}

qcow2 *qcow2_disk_new(vsr_block *block, const vsr_block_source *source,
                      GError **error)
{
    qcow2 *disk = g_new0(qcow2, 1);

    disk->block = block;
    disk->todo_end = &disk->todo;
    g_mutex_init(&disk->lock);
    g_cond_init(&disk->wake);
    if (!open_layers(disk, source, error) || !qcow2_worker_start(disk, error))
        g_clear_pointer(&disk, qcow2_disk_free);
    return disk;
}

void qcow2_disk_free(qcow2 *disk)
{
    if (disk == NULL)
        return;
    qcow2_worker_stop(disk);
    for (uint32_t i = 0; i < disk->n_layers; i++)
        qcow2_close(disk->layers[i].image);
    free(disk->zeroes);
    g_cond_clear(&disk->wake);
    g_mutex_clear(&disk->lock);
    g_free(disk);
}

uint64_t qcow2_disk_bytes(const qcow2 *disk)
{
    return disk->layers[0].bytes;
}

bool qcow2_disk_resize(qcow2 *disk, uint64_t bytes, GError **error)
{
    bool ok;

    /* Behind the old end the overlay says nothing: what it is based on would
     * appear. */
    if (disk->n_layers > 1 && disk->layers[1].bytes > disk->layers[0].bytes &&
        bytes > disk->layers[0].bytes)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "'%s' is smaller than '%s', which it is based on, and "
                        "cannot grow",
                        disk->layers[0].file->name, disk->layers[1].file->name);
    ok = qcow2_resize(disk->layers[0].image, bytes, error);
    if (ok)
        disk->layers[0].bytes = bytes;
    g_atomic_int_set(&disk->dirty, qcow2_is_dirty(disk->layers[0].image));
    return ok;
}
