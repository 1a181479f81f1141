/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_zero.c: zeros without data, and clusters given back.
 *
 * Threads: the worker.
 */
#include "block/qcow2_disk.h"

#include <errno.h>
#include <stdlib.h>

/* The whole clusters of a range; the disk's last one ends with the disk. */
static bool whole_clusters(const qcow2 *disk, uint64_t offset, uint64_t len,
                           uint64_t *from, uint64_t *to)
{
    uint64_t mask = disk->layers[0].image->cluster_size - 1;

    *from = (offset + mask) & ~mask;
    *to = offset + len;
    if (*to < disk->layers[0].bytes)
        *to &= ~mask;
    return *from < *to;
}

/* Less than a cluster. */
static int zero_part(qcow2 *disk, uint64_t offset, uint64_t len)
{
    qcow2_piece piece = { 0 };
    struct iovec iov;
    uint8_t *data;
    int rc;

    if (len == 0)
        return 0;
    rc = qcow2_disk_locate(disk, offset, len, true, &piece);
    if (rc < 0)
        return rc;
    if (piece.file == NULL && piece.entry == 0 && piece.len == len)
        return 0;
    data = blk_buffer_new((size_t)len);
    if (data == NULL)
        return -ENOMEM;
    memset(data, 0, (size_t)len);
    iov = (struct iovec){ data, (size_t)len };
    rc = qcow2_write_now(disk, offset, len, &iov, 1);
    free(data);
    return rc;
}

/* The same entry for each cluster that begins in [offset, offset + len). With
 * `keep` a cluster stays reserved: its offset is in the entry. */
static int link_all(qcow2_image *image, uint64_t offset, uint64_t len,
                    uint64_t entry, bool keep)
{
    for (uint64_t at = 0; at < len; at += image->cluster_size) {
        int rc =
            qcow2_link(image, offset + at, keep ? entry + at : entry, keep);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Whole clusters of one kind. */
static int zero_extent(qcow2 *disk, uint64_t offset, const qcow2_extent *e,
                       bool may_unmap)
{
    qcow2_image *image = disk->layers[0].image;
    bool below = disk->n_layers > 1;

    if (e->kind == QCOW2_EXTENT_ZERO && (e->host == 0 || !may_unmap))
        return 0;
    if (e->kind == QCOW2_EXTENT_NONE && !below)
        return 0;
    if (image->header.version >= 3) {
        if (e->kind == QCOW2_EXTENT_DATA && e->own && !may_unmap)
            return link_all(image, offset, e->len,
                            e->host | QCOW2_COPIED | QCOW2_ZERO, true);
        return link_all(image, offset, e->len, QCOW2_ZERO, false);
    }
    if (!below)
        return link_all(image, offset, e->len, 0, false);
    for (uint64_t at = 0; at < e->len; at += image->cluster_size) {
        int rc =
            zero_part(disk, offset + at, MIN(image->cluster_size, e->len - at));

        if (rc < 0)
            return rc;
    }
    return 0;
}

int qcow2_zero_now(qcow2 *disk, uint64_t offset, uint64_t len, bool may_unmap)
{
    qcow2_image *image = disk->layers[0].image;
    uint64_t from, to;
    int rc;

    if (!whole_clusters(disk, offset, len, &from, &to)) {
        /* In one cluster, or in two next to each other. */
        uint64_t first = MIN(len, -offset & (image->cluster_size - 1));

        rc = zero_part(disk, offset, first);
        return rc < 0 ? rc : zero_part(disk, offset + first, len - first);
    }
    rc = zero_part(disk, offset, from - offset);
    while (rc == 0 && from < to) {
        qcow2_extent e;

        rc = qcow2_find_load(image, from, to - from, &e);
        if (rc == 0)
            rc = zero_extent(disk, from, &e, may_unmap);
        from += e.len;
    }
    return rc < 0 ? rc : zero_part(disk, to, offset + len - to);
}

/* Discarded parts read as zeros, not as what a backing file has. */
static int discard_extent(qcow2 *disk, uint64_t offset, const qcow2_extent *e)
{
    qcow2_image *image = disk->layers[0].image;
    bool below = disk->n_layers > 1;

    if (e->kind == QCOW2_EXTENT_NONE ||
        (e->kind == QCOW2_EXTENT_ZERO && e->host == 0))
        return 0;
    if (!below)
        return link_all(image, offset, e->len, 0, false);
    if (image->header.version < 3)
        return 0;
    return link_all(image, offset, e->len, QCOW2_ZERO, false);
}

int qcow2_discard_now(qcow2 *disk, uint64_t offset, uint64_t len)
{
    qcow2_image *image = disk->layers[0].image;
    uint64_t from, to;
    int rc = 0;

    if (!whole_clusters(disk, offset, len, &from, &to))
        return 0;
    while (rc == 0 && from < to) {
        qcow2_extent e;

        rc = qcow2_find_load(image, from, to - from, &e);
        if (rc == 0)
            rc = discard_extent(disk, from, &e);
        from += e.len;
    }
    return rc;
}
