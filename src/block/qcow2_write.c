/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_write.c: writes that need new clusters. Data first, with what surrounds
 * it in its first and last cluster; then the tables, in memory; see qcow2.h for
 * when they reach the file.
 *
 * Threads: the worker.
 */
#include "block/qcow2_disk.h"

#include <errno.h>
#include <stdlib.h>

#define RUN_MAX (UINT64_C(16) << 20) /* bytes that are allocated at once */

/* The part of a cluster before or after what is written. */
typedef struct {
    uint8_t *data; /* NULL: zeros */
    uint64_t len;
} margin;

static int margin_read(qcow2 *disk, uint64_t offset, uint64_t len, margin *out)
{
    qcow2_piece piece = { .len = len };
    struct iovec iov;
    int rc = 0;

    *out = (margin){ .len = len };
    if (len == 0)
        return 0;
    if (offset < disk->layers[0].bytes)
        rc = qcow2_disk_locate(disk, offset, len, true, &piece);
    if (rc < 0)
        return rc;
    if (piece.len == len && piece.file == NULL && piece.entry == 0)
        return 0;
    out->data = blk_buffer_new((size_t)len);
    if (out->data == NULL)
        return -ENOMEM;
    iov = (struct iovec){ out->data, (size_t)len };
    return qcow2_read_now(disk, offset, len, &iov, 1, 0);
}

static const uint8_t *zeroes(qcow2 *disk)
{
    uint64_t size = disk->layers[0].image->cluster_size;

    if (disk->zeroes == NULL) {
        disk->zeroes = blk_buffer_new((size_t)size);
        if (disk->zeroes != NULL)
            memset(disk->zeroes, 0, (size_t)size);
    }
    return disk->zeroes;
}

/* A run of clusters at `host`, to be filled from the request's bytes. */
typedef struct {
    uint64_t offset, len; /* of the disk */
    uint64_t host;        /* of the first cluster */
    bool is_fresh;        /* the file has nothing there: zeros */
} run;

static bool margin_is_left_out(const run *r, const margin *m)
{
    return m->len == 0 || (m->data == NULL && r->is_fresh);
}

static int run_fill(qcow2 *disk, const run *r, const margin *head,
                    const margin *tail, const struct iovec *iov, uint32_t n_iov,
                    uint64_t at)
{
    qcow2_image *image = disk->layers[0].image;
    g_autofree struct iovec *parts = g_new(struct iovec, n_iov + 2);
    blk_io io = { .file = image->file, .op = VSR_BLOCK_WRITE, .iov = parts };
    uint64_t fits;
    int rc;

    if (zeroes(disk) == NULL)
        return -ENOMEM;
    io.offset = r->host + head->len;
    if (!margin_is_left_out(r, head)) {
        uint8_t *from = head->data != NULL ? head->data : disk->zeroes;

        parts[io.n_iov++] = (struct iovec){ from, (size_t)head->len };
        io.offset = r->host;
    }
    io.n_iov +=
        blk_iov_slice(iov, n_iov, at, r->len, parts + io.n_iov, n_iov, &fits);
    if (!margin_is_left_out(r, tail)) {
        uint8_t *from = tail->data != NULL ? tail->data : disk->zeroes;

        parts[io.n_iov++] = (struct iovec){ from, (size_t)tail->len };
    }
    io.len = blk_iov_len(parts, io.n_iov);
    rc = blk_file_run(&io);
    if (rc == 0)
        qcow2_note_written(image, io.offset + io.len);
    return rc;
}

static int run_link(qcow2_image *image, const run *r, bool reuse)
{
    uint64_t first = r->offset >> image->cluster_bits;
    uint64_t n = ((r->offset + r->len - 1) >> image->cluster_bits) - first + 1;

    for (uint64_t i = 0; i < n; i++) {
        uint64_t host = r->host + (i << image->cluster_bits);
        int rc = qcow2_link(image, (first + i) << image->cluster_bits,
                            host | QCOW2_COPIED, reuse);

        if (rc < 0) {
            if (!reuse)
                qcow2_free_now(image, host >> image->cluster_bits, n - i);
            return rc;
        }
    }
    return 0;
}

static int run_write(qcow2 *disk, const run *r, bool reuse,
                     const struct iovec *iov, uint32_t n_iov, uint64_t at)
{
    qcow2_image *image = disk->layers[0].image;
    uint64_t mask = image->cluster_size - 1, end = r->offset + r->len;
    margin head = { 0 }, tail = { 0 };
    int rc;

    rc = margin_read(disk, r->offset & ~mask, r->offset & mask, &head);
    if (rc == 0)
        rc = margin_read(disk, end, -end & mask, &tail);
    if (rc == 0)
        rc = run_fill(disk, r, &head, &tail, iov, n_iov, at);
    free(head.data);
    free(tail.data);
    if (rc < 0 && !reuse)
        qcow2_free_now(image, r->host >> image->cluster_bits,
                       ((end - 1) >> image->cluster_bits) -
                           (r->offset >> image->cluster_bits) + 1);
    return rc < 0 ? rc : run_link(image, r, reuse);
}

static bool needs_cluster(const qcow2_extent *e)
{
    if (e->kind == QCOW2_EXTENT_DATA)
        return !e->own;
    return !(e->kind == QCOW2_EXTENT_ZERO && e->own && e->host != 0);
}

/* How many bytes from `offset` on need new clusters. */
static int measure_new(qcow2_image *image, uint64_t offset, uint64_t len,
                       uint64_t *out)
{
    uint64_t at = 0;

    len = MIN(len, RUN_MAX);
    while (at < len) {
        qcow2_extent e;
        int rc = qcow2_find_load(image, offset + at, len - at, &e);

        if (rc < 0)
            return rc;
        if (!needs_cluster(&e))
            break;
        at += e.len;
    }
    *out = at;
    return 0;
}

static int write_new(qcow2 *disk, run *r, const struct iovec *iov,
                     uint32_t n_iov, uint64_t at)
{
    qcow2_image *image = disk->layers[0].image;
    uint64_t skip = r->offset & (image->cluster_size - 1);
    uint64_t want =
        (skip + r->len + image->cluster_size - 1) >> image->cluster_bits;
    uint64_t cluster, got;
    int rc = qcow2_alloc(image, want, &cluster, &got);

    if (rc < 0)
        return rc;
    r->host = cluster << image->cluster_bits;
    r->len = MIN(r->len, (got << image->cluster_bits) - skip);
    /* A device has what it had before; a file's end is followed by zeros. */
    r->is_fresh = r->host >= image->file_end && !image->file->is_device &&
                  image->file->nbd == NULL;
    return run_write(disk, r, false, iov, n_iov, at);
}

static int write_in_place(qcow2_image *image, const qcow2_extent *e,
                          const struct iovec *iov, uint32_t n_iov, uint64_t at)
{
    g_autofree struct iovec *parts = g_new(struct iovec, n_iov);
    blk_io io = { .file = image->file,
                  .op = VSR_BLOCK_WRITE,
                  .offset = e->host,
                  .len = e->len,
                  .iov = parts };
    uint64_t fits;

    io.n_iov = blk_iov_slice(iov, n_iov, at, e->len, parts, n_iov, &fits);
    return blk_file_run(&io);
}

/* The next part; its length in *done. */
static int write_part(qcow2 *disk, uint64_t offset, uint64_t len,
                      const struct iovec *iov, uint32_t n_iov, uint64_t at,
                      uint64_t *done)
{
    qcow2_image *image = disk->layers[0].image;
    run r = { .offset = offset };
    qcow2_extent e;
    int rc = qcow2_find_load(image, offset, len, &e);

    if (rc < 0)
        return rc;
    *done = e.len;
    if (e.kind == QCOW2_EXTENT_DATA && e.own)
        return write_in_place(image, &e, iov, n_iov, at);
    if (!needs_cluster(&e)) { /* zeros with a cluster in reserve */
        r.len = e.len;
        r.host = e.host;
        return run_write(disk, &r, true, iov, n_iov, at);
    }
    rc = measure_new(image, offset, len, &r.len);
    if (rc == 0)
        rc = write_new(disk, &r, iov, n_iov, at);
    *done = r.len;
    return rc;
}

int qcow2_write_now(qcow2 *disk, uint64_t offset, uint64_t len,
                    const struct iovec *iov, uint32_t n_iov)
{
    uint64_t at = 0;

    while (at < len) {
        uint64_t done = 0;
        int rc = write_part(disk, offset + at, len - at, iov, n_iov, at, &done);

        if (rc < 0)
            return rc;
        at += done;
    }
    return 0;
}
