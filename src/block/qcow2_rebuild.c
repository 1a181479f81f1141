/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_rebuild.c: counts all references anew, after a writer with lazy
 * reference counts died. Counts that were too high are lowered, those that were
 * too low raised, and "copied" flags set right.
 *
 * Threads: the control thread, before anything else uses the image.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/util.h"

/* 1 GiB of counts. */
#define CLUSTERS_MAX (UINT64_C(1) << 28)

typedef struct {
    qcow2_image *image;
    uint32_t *counts;
    uint64_t n;
    uint8_t *table; /* an L2 table */
} rebuild;

static int add(rebuild *r, uint64_t offset, uint64_t len)
{
    uint32_t bits = r->image->cluster_bits;

    if (len == 0)
        return 0;
    if (len > INT64_MAX || offset > INT64_MAX ||
        (offset + len - 1) >> bits >= r->n)
        return -EUCLEAN;
    for (uint64_t c = offset >> bits; c <= (offset + len - 1) >> bits; c++)
        if (++r->counts[c] == UINT32_MAX)
            return -EUCLEAN;
    return 0;
}

static int add_entry(rebuild *r, uint64_t entry)
{
    uint64_t offset = qcow2_entry_offset(entry), len = r->image->cluster_size;

    if ((entry & QCOW2_COMPRESSED) != 0)
        qcow2_packed_range(r->image, entry, &offset, &len);
    else if (offset == 0)
        return 0;
    else if (offset % r->image->cluster_size != 0)
        return -EUCLEAN;
    return add(r, offset, len);
}

static int add_l1(rebuild *r, const uint64_t *l1, uint32_t n)
{
    uint64_t size = r->image->cluster_size;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t offset = qcow2_entry_offset(l1[i]);
        int rc;

        if (offset == 0)
            continue;
        if (offset % size != 0)
            return -EUCLEAN;
        rc = add(r, offset, size);
        if (rc == 0)
            rc = blk_file_read(r->image->file, r->table, (size_t)size, offset);
        for (uint64_t k = 0; k < size && rc == 0; k += 8)
            rc = add_entry(r, qcow2_get64(r->table + k));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int add_snapshots(rebuild *r)
{
    qcow2_image *image = r->image;
    int rc = add(r, image->header.snapshots_offset, image->snapshots_len);

    for (uint32_t i = 0; i < image->n_snapshots && rc == 0; i++) {
        const qcow2_snapshot *s = &image->snapshots[i];
        size_t len = (size_t)s->l1_entries * 8;
        g_autofree uint64_t *l1 = g_try_malloc(MAX(len, 1));

        if (l1 == NULL)
            return -ENOMEM;
        rc = blk_file_read(image->file, l1, len, s->l1_offset);
        if (rc == 0)
            rc = add(r, s->l1_offset, len);
        for (uint32_t k = 0; k < s->l1_entries; k++)
            l1[k] = GUINT64_FROM_BE(l1[k]);
        if (rc == 0)
            rc = add_l1(r, l1, s->l1_entries);
    }
    return rc;
}

static int count_all(rebuild *r)
{
    qcow2_image *image = r->image;
    const qcow2_header *h = &image->header;
    int rc = add(r, 0, image->cluster_size);

    if (rc == 0)
        rc = add(r, h->l1_offset, (uint64_t)h->l1_entries * 8);
    if (rc == 0)
        rc = add(r, h->reftable_offset,
                 (uint64_t)h->reftable_clusters << h->cluster_bits);
    for (uint32_t i = 0; i < image->reftable_entries && rc == 0; i++)
        if (image->reftable[i] != 0)
            rc = add(r, image->reftable[i], image->cluster_size);
    if (rc == 0)
        rc = add_snapshots(r);
    return rc == 0 ? add_l1(r, image->l1, h->l1_entries) : rc;
}

/* Which counts are in the file and differ: first those that are too high, as
 * raising needs new blocks, whose counts are not among ours. */
static int correct(rebuild *r, bool raise)
{
    for (uint64_t c = 0; c < r->n; c++) {
        uint64_t count;
        int rc = qcow2_refcount_get(r->image, c, &count);

        if (rc == 0 && (raise ? count < r->counts[c] : count > r->counts[c]))
            rc = qcow2_refcount_set(r->image, c, r->counts[c]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int fix_flag(rebuild *r, uint8_t *raw, bool *changed)
{
    uint64_t entry = qcow2_get64(raw);
    uint64_t cluster = qcow2_entry_offset(entry) >> r->image->cluster_bits;
    uint64_t right;

    if (cluster == 0 || (entry & QCOW2_COMPRESSED) != 0)
        return 0;
    if (cluster >= r->n)
        return -EUCLEAN;
    right =
        (entry & ~QCOW2_COPIED) | (r->counts[cluster] == 1 ? QCOW2_COPIED : 0);
    *changed = *changed || right != entry;
    qcow2_put64(raw, right);
    return 0;
}

static int fix_flags(rebuild *r)
{
    qcow2_image *image = r->image;
    bool l1_changed = false;

    for (uint32_t i = 0; i < image->header.l1_entries; i++) {
        uint64_t offset = qcow2_entry_offset(image->l1[i]);
        uint8_t raw[8];
        bool changed = false;
        int rc;

        if (offset == 0)
            continue;
        rc = blk_file_read(image->file, r->table, (size_t)image->cluster_size,
                           offset);
        for (uint64_t k = 0; k < image->cluster_size && rc == 0; k += 8)
            rc = fix_flag(r, r->table + k, &changed);
        if (rc == 0 && changed)
            rc = blk_file_write(image->file, r->table,
                                (size_t)image->cluster_size, offset);
        qcow2_put64(raw, image->l1[i]);
        if (rc == 0)
            rc = fix_flag(r, raw, &l1_changed);
        if (rc < 0)
            return rc;
        image->l1[i] = qcow2_get64(raw);
    }
    if (l1_changed) {
        image->l1_dirty_from = 0;
        image->l1_dirty_to = image->header.l1_entries;
    }
    return 0;
}

int qcow2_rebuild(qcow2_image *image, GError **error)
{
    rebuild r = { .image = image };
    int rc = -EFBIG;

    r.n = MAX(image->end, (image->file_end + image->cluster_size - 1) >>
                              image->cluster_bits);
    if (r.n <= CLUSTERS_MAX) {
        r.counts = g_try_new0(uint32_t, r.n);
        r.table = blk_buffer_new((size_t)image->cluster_size);
        rc = r.counts == NULL || r.table == NULL ? -ENOMEM : count_all(&r);
    }
    /* New blocks go beyond all that is counted. */
    image->end = MAX(image->end, r.n);
    if (rc == 0)
        rc = correct(&r, false);
    if (rc == 0)
        rc = correct(&r, true);
    if (rc == 0)
        rc = qcow2_flush(image, true);
    if (rc == 0)
        rc = fix_flags(&r);
    if (rc == 0)
        rc = qcow2_flush(image, true);
    g_free(r.counts);
    free(r.table);
    if (rc == -EUCLEAN)
        vsr_fail(error, VISOR_ERR_IMAGE,
                 "qcow2 image '%s' was not closed, and its tables are wrong; "
                 "see qemu-img check -r",
                 image->file->name);
    else if (rc < 0)
        vsr_fail_errno(
            error, rc,
            "qcow2 image '%s' was not closed, and cannot be repaired",
            image->file->name);
    return rc;
}
