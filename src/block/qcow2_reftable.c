/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_reftable.c: new refcount blocks, and a larger table of them.
 *
 * A block is put beyond all that is in use, where possible inside of the range
 * that it counts, so that it counts itself and nothing else must change. It is
 * on the disk before the table names it; a new table is before the header does.
 *
 * Threads: the worker.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>

#include "base/util.h"

static uint8_t *cluster_buffer(const qcow2_image *image, uint64_t n)
{
    uint8_t *buffer = blk_buffer_new((size_t)(n << image->cluster_bits));

    if (buffer != NULL)
        memset(buffer, 0, (size_t)(n << image->cluster_bits));
    return buffer;
}

static void set_count(const qcow2_image *image, uint8_t *block, uint64_t at)
{
    uint32_t order = image->header.refcount_order;
    uint64_t bit = at << order;
    uint8_t raw[8];
    uint32_t n = qcow2_count_put(block, bit, order, 1, raw);

    memcpy(block + (bit >> 3), raw, n);
}

static int write_clusters(qcow2_image *image, uint64_t cluster,
                          const uint8_t *data, uint64_t n)
{
    uint64_t offset = cluster << image->cluster_bits;
    uint64_t len = n << image->cluster_bits;
    int rc = blk_file_write(image->file, data, (size_t)len, offset);

    if (rc == 0)
        qcow2_note_written(image, offset + len);
    return rc;
}

/* --- a larger table --- */

/* Clusters [first, first + total): the table, then new blocks for themselves
 * and it where there are none. */
typedef struct {
    uint64_t *table;
    uint32_t entries, clusters;
    uint64_t first, total;
    GArray *blocks; /* of uint64_t: indexes, in the order of their clusters */
} new_table;

static void plan_blocks(const qcow2_image *image, new_table *t)
{
    uint32_t bits = qcow2_block_bits(image);

    t->total = t->clusters;
    for (uint64_t i = t->first >> bits;
         i < t->entries && i <= (t->first + t->total - 1) >> bits; i++) {
        if (t->table[i] != 0)
            continue;
        t->table[i] = (t->first + t->total) << image->cluster_bits;
        t->total++;
        g_array_append_val(t->blocks, i);
    }
}

static int write_new_blocks(qcow2_image *image, const new_table *t)
{
    uint32_t bits = qcow2_block_bits(image);
    uint8_t *block = cluster_buffer(image, 1);
    int rc = block == NULL ? -ENOMEM : 0;

    for (guint k = 0; k < t->blocks->len && rc == 0; k++) {
        uint64_t index = g_array_index(t->blocks, uint64_t, k);
        uint64_t from = MAX(t->first, index << bits);
        uint64_t to = MIN(t->first + t->total, (index + 1) << bits);

        memset(block, 0, (size_t)image->cluster_size);
        for (uint64_t c = from; c < to; c++)
            set_count(image, block, c - (index << bits));
        rc = write_clusters(image, t->first + t->clusters + k, block, 1);
    }
    free(block);
    return rc;
}

/* What old blocks count. */
static int count_in_old_blocks(qcow2_image *image, const new_table *t)
{
    uint32_t bits = qcow2_block_bits(image);
    int rc = 0;

    for (uint64_t c = t->first; c < t->first + t->total && rc == 0; c++) {
        uint64_t index = c >> bits;

        if (index < image->reftable_entries && image->reftable[index] != 0)
            rc = qcow2_refcount_set(image, c, 1);
    }
    return rc == 0 ? qcow2_cache_write(image, QCOW2_PAGE_REFS) : rc;
}

static int write_table(qcow2_image *image, const new_table *t)
{
    uint8_t *raw = cluster_buffer(image, t->clusters);
    uint8_t header[12];
    int rc;

    if (raw == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->entries; i++)
        qcow2_put64(raw + (size_t)i * 8, t->table[i]);
    rc = write_clusters(image, t->first, raw, t->clusters);
    free(raw);
    if (rc == 0)
        rc = blk_file_flush(image->file);
    qcow2_put64(header, t->first << image->cluster_bits);
    qcow2_put32(header + 8, t->clusters);
    if (rc == 0)
        rc = blk_file_write(image->file, header, sizeof header,
                            QCOW2_AT_REFTABLE);
    return rc == 0 ? blk_file_flush(image->file) : rc;
}

static int adopt_table(qcow2_image *image, new_table *t)
{
    uint64_t old = image->header.reftable_offset >> image->cluster_bits;
    uint32_t n_old = image->header.reftable_clusters;
    int rc = 0;

    g_free(image->reftable);
    image->reftable = g_steal_pointer(&t->table);
    image->reftable_entries = t->entries;
    image->header.reftable_offset = t->first << image->cluster_bits;
    image->header.reftable_clusters = t->clusters;
    image->end = MAX(image->end, t->first + t->total);
    for (uint32_t i = 0; i < n_old; i++)
        qcow2_owner_set(image, old + i, 0);
    for (uint32_t i = 0; i < t->clusters; i++)
        qcow2_owner_set(image, t->first + i,
                        qcow2_owner_word(QCOW2_OWNER_FIXED, 0));
    for (guint k = 0; k < t->blocks->len; k++)
        qcow2_owner_set(
            image, t->first + t->clusters + k,
            qcow2_owner_word(QCOW2_OWNER_REFS,
                             g_array_index(t->blocks, uint64_t, k)));
    for (uint32_t i = 0; i < n_old && rc == 0; i++)
        rc = qcow2_free_later(image, old + i);
    return rc;
}

static int grow_table(qcow2_image *image, uint64_t index)
{
    uint64_t per_cluster = image->cluster_size / 8;
    uint64_t most = QCOW2_REFTABLE_BYTES_MAX >> image->cluster_bits;
    uint64_t reach = (image->end + 2 * most) >> qcow2_block_bits(image);
    uint64_t entries =
        MAX(MAX(index, reach) + 2, (uint64_t)image->reftable_entries * 3 / 2);
    new_table t = { .first = image->end };
    int rc;

    entries = MAX(entries, (uint64_t)image->reftable_entries + 1);
    entries = vsr_round_up(entries, per_cluster);
    if (entries * 8 > QCOW2_REFTABLE_BYTES_MAX)
        return -EFBIG;
    t.entries = (uint32_t)entries;
    t.clusters = (uint32_t)(entries / per_cluster);
    t.table = g_new0(uint64_t, entries);
    memcpy(t.table, image->reftable, (size_t)image->reftable_entries * 8);
    t.blocks = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    plan_blocks(image, &t);
    rc = write_new_blocks(image, &t);
    if (rc == 0)
        rc = count_in_old_blocks(image, &t);
    if (rc == 0)
        rc = write_table(image, &t);
    if (rc == 0)
        rc = adopt_table(image, &t);
    g_array_unref(t.blocks);
    g_free(t.table);
    return rc;
}

/* --- a block --- */

static int name_block(qcow2_image *image, uint64_t index, uint64_t cluster)
{
    uint64_t offset = cluster << image->cluster_bits;
    uint8_t raw[8];
    int rc;

    qcow2_put64(raw, offset);
    rc = blk_file_flush(image->file);
    if (rc == 0)
        rc = blk_file_write(image->file, raw, sizeof raw,
                            image->header.reftable_offset + index * 8);
    if (rc < 0)
        return rc;
    image->reftable[index] = offset;
    image->end = MAX(image->end, cluster + 1);
    qcow2_owner_set(image, cluster, qcow2_owner_word(QCOW2_OWNER_REFS, index));
    return 0;
}

/* A cluster for the block beyond all others; *in_itself: it counts itself. */
static int place_block(qcow2_image *image, uint64_t index, uint64_t *cluster,
                       bool *in_itself)
{
    uint32_t bits = qcow2_block_bits(image);

    *cluster = MAX(index << bits, image->end);
    *in_itself = *cluster >> bits == index;
    while (!*in_itself) {
        uint64_t other = image->end >> bits;
        int rc;

        *cluster = image->end;
        if (other < image->reftable_entries && image->reftable[other] != 0) {
            rc = qcow2_refcount_set(image, *cluster, 1);
            return rc == 0 ? qcow2_cache_write(image, QCOW2_PAGE_REFS) : rc;
        }
        /* The range of the end has no block: that one will count itself. */
        rc = qcow2_refblock_new(image, other);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int qcow2_refblock_new(qcow2_image *image, uint64_t index)
{
    uint32_t bits = qcow2_block_bits(image);
    uint64_t cluster = 0;
    uint8_t *block;
    bool in_itself = false;
    int rc;

    if (index >= image->reftable_entries) {
        rc = grow_table(image, index);
        if (rc < 0 || image->reftable[index] != 0)
            return rc;
    }
    rc = place_block(image, index, &cluster, &in_itself);
    if (rc < 0)
        return rc;
    if (image->file->is_device &&
        (cluster + 1) << image->cluster_bits > image->file->bytes)
        return -ENOSPC;
    block = cluster_buffer(image, 1);
    if (block == NULL)
        return -ENOMEM;
    if (in_itself)
        set_count(image, block, cluster - (index << bits));
    rc = write_clusters(image, cluster, block, 1);
    free(block);
    return rc == 0 ? name_block(image, index, cluster) : rc;
}
