/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_flush.c: changes of the tables reach the file.
 *
 * At every moment the file holds references only to clusters whose counts are
 * in the file too. Between steps that rely on each other there is a flush, so
 * that it holds after a power cut as well:
 *
 *   data, counts that grew, new L2 tables as they were before | L2 and L1
 *   entries | counts that shrank, with the next flush.
 *
 * Threads: the worker.
 */
#include "block/qcow2.h"

#include <errno.h>

#include "base/log.h"

bool qcow2_is_dirty(const qcow2_image *image)
{
    return image->cache.n_dirty[QCOW2_PAGE_L2] > 0 ||
           image->cache.n_dirty[QCOW2_PAGE_REFS] > 0 ||
           image->l1_dirty_from < image->l1_dirty_to || image->freed->len > 0;
}

static int write_l1(qcow2_image *image)
{
    uint32_t from = image->l1_dirty_from, n = image->l1_dirty_to - from;
    g_autofree uint64_t *raw = g_new(uint64_t, n);
    int rc;

    for (uint32_t i = 0; i < n; i++)
        raw[i] = GUINT64_TO_BE(image->l1[from + i]);
    rc = blk_file_write(image->file, raw, (size_t)n * 8,
                        image->header.l1_offset + (uint64_t)from * 8);
    if (rc == 0)
        image->l1_dirty_from = image->l1_dirty_to = 0;
    return rc;
}

static int write_tables(qcow2_image *image)
{
    bool l2 = image->cache.n_dirty[QCOW2_PAGE_L2] > 0;
    bool l1 = image->l1_dirty_from < image->l1_dirty_to;
    int rc = qcow2_cache_write(image, QCOW2_PAGE_REFS);

    if (rc == 0 && (l2 || l1))
        rc = blk_file_flush(image->file);
    if (rc == 0 && l2)
        rc = qcow2_cache_write(image, QCOW2_PAGE_L2);
    if (rc == 0 && l1)
        rc = write_l1(image);
    return rc;
}

int qcow2_flush(qcow2_image *image, bool durable)
{
    int rc;

    if (!image->writable)
        return 0;
    rc = write_tables(image);
    if (rc == 0 && (durable || image->freed->len > 0))
        rc = blk_file_flush(image->file);
    if (rc == 0)
        rc = qcow2_apply_freed(image);
    return rc;
}

int qcow2_set_corrupt(qcow2_image *image, const char *what, uint64_t where)
{
    uint8_t raw[8];

    if (!image->writable || g_atomic_int_get(&image->corrupt))
        return -EIO;
    g_atomic_int_set(&image->corrupt, 1);
    vsr_log(VSR_LOG_ERROR,
            "qcow2 image '%s' is corrupt, no more is written to it: %s "
            "(0x%" G_GINT64_MODIFIER "x)",
            image->file->name, what, where);
    if (image->header.version >= 3) {
        image->header.incompatible |= QCOW2_CORRUPT;
        qcow2_put64(raw, image->header.incompatible);
        (void)blk_file_write(image->file, raw, sizeof raw,
                             QCOW2_AT_INCOMPATIBLE);
        (void)blk_file_flush(image->file);
    }
    return -EIO;
}
