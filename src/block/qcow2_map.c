/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_map.c: where in the file the disk's clusters are.
 *
 * Spec:    QEMU, docs/interop/qcow2.rst, "Cluster mapping".
 * Threads: qcow2_find() any; the rest the worker.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t table_index(const qcow2_image *image, uint64_t offset)
{
    return offset >> image->cluster_bits &
           ((UINT64_C(1) << (image->cluster_bits - 3)) - 1);
}

/* The page that holds the entry for `offset`, and the entry's place in it. */
static uint64_t page_of(const qcow2_image *image, uint64_t table,
                        uint64_t offset, uint32_t *at)
{
    uint64_t byte = table_index(image, offset) * 8;

    *at = (uint32_t)(byte & ((1u << image->page_bits) - 1));
    return table + (byte - *at);
}

static qcow2_extent_kind kind_of(uint64_t entry)
{
    if ((entry & QCOW2_COMPRESSED) != 0)
        return QCOW2_EXTENT_PACKED;
    if ((entry & QCOW2_ZERO) != 0)
        return QCOW2_EXTENT_ZERO;
    return qcow2_entry_offset(entry) != 0 ? QCOW2_EXTENT_DATA
                                          : QCOW2_EXTENT_NONE;
}

/* Does `next`, n clusters after `first`, go on as that did? */
static bool goes_on(const qcow2_image *image, uint64_t first, uint64_t next,
                    uint64_t n)
{
    uint64_t offset = qcow2_entry_offset(first);

    if (kind_of(next) != kind_of(first) ||
        (next & QCOW2_COPIED) != (first & QCOW2_COPIED))
        return false;
    if (offset != 0)
        offset += n << image->cluster_bits;
    return qcow2_entry_offset(next) == offset;
}

/* From the page on, as far as its entries are alike. */
static void extent_from_page(const qcow2_image *image, const qcow2_page *page,
                             uint32_t at, uint64_t offset, uint64_t len,
                             qcow2_extent *out)
{
    const uint8_t *data = qcow2_page_data(page);
    uint64_t entry = qcow2_get64(data + at);
    uint64_t skip = offset & (image->cluster_size - 1);
    uint64_t n = 1;

    out->entry = entry;
    out->kind = kind_of(entry);
    out->own = (entry & QCOW2_COPIED) != 0;
    out->host = qcow2_entry_offset(entry);
    if (out->kind == QCOW2_EXTENT_DATA)
        out->host += skip;
    while (out->kind != QCOW2_EXTENT_PACKED && !qcow2_page_is_bad(page) &&
           (n << image->cluster_bits) - skip < len &&
           at + n * 8 < (UINT64_C(1) << image->page_bits) &&
           goes_on(image, entry, qcow2_get64(data + at + n * 8), n))
        n++;
    out->len = MIN(len, (n << image->cluster_bits) - skip);
}

/* With the lock. The page is found only if it is in memory. */
static qcow2_page *find_page(qcow2_image *image, uint64_t offset, uint64_t len,
                             uint32_t *at, qcow2_extent *out)
{
    uint64_t index = offset >> qcow2_table_bits(image);
    uint64_t reach = UINT64_C(1) << qcow2_table_bits(image);
    uint64_t l1 = index < image->header.l1_entries ? image->l1[index] : 0;
    uint64_t table = qcow2_entry_offset(l1);

    *out = (qcow2_extent){ .kind = QCOW2_EXTENT_NONE };
    out->len = MIN(len, reach - (offset & (reach - 1)));
    if ((l1 & QCOW2_L1_RESERVED) != 0)
        out->kind = QCOW2_EXTENT_BAD;
    if (out->kind == QCOW2_EXTENT_BAD || table == 0)
        return NULL;
    out->kind = QCOW2_EXTENT_MISS;
    return qcow2_cache_find(image, page_of(image, table, offset, at));
}

void qcow2_find(qcow2_image *image, uint64_t offset, uint64_t len,
                qcow2_extent *out)
{
    qcow2_page *page;
    uint32_t at;

    g_mutex_lock(&image->lock);
    page = find_page(image, offset, len, &at, out);
    /* A page with something wrong is the worker's to judge. */
    if (page != NULL && !qcow2_page_is_bad(page))
        extent_from_page(image, page, at, offset, len, out);
    g_mutex_unlock(&image->lock);
}

static int load_entry(qcow2_image *image, uint64_t offset, qcow2_page **page,
                      uint32_t *at)
{
    uint64_t index = offset >> qcow2_table_bits(image);
    uint64_t table = qcow2_entry_offset(image->l1[index]);

    if (qcow2_owner_of(image, table >> image->cluster_bits) !=
        qcow2_owner_word(QCOW2_OWNER_L2, index))
        return qcow2_set_corrupt(image, "an L2 table is out of place", table);
    return qcow2_cache_load(image, page_of(image, table, offset, at),
                            QCOW2_PAGE_L2, page);
}

int qcow2_find_load(qcow2_image *image, uint64_t offset, uint64_t len,
                    qcow2_extent *out)
{
    qcow2_page *page = NULL;
    uint32_t at = 0;
    uint64_t entry;
    int rc;

    g_mutex_lock(&image->lock);
    (void)find_page(image, offset, len, &at, out);
    g_mutex_unlock(&image->lock);
    if (out->kind == QCOW2_EXTENT_NONE)
        return 0;
    if (out->kind == QCOW2_EXTENT_BAD)
        return -EIO;
    rc = load_entry(image, offset, &page, &at);
    if (rc < 0)
        return rc;
    extent_from_page(image, page, at, offset, len, out);
    entry = out->entry;
    if (qcow2_page_is_bad(page) && entry != 0 &&
        qcow2_entry_is_wrong(image, entry))
        return qcow2_set_corrupt(image, "an L2 entry is wrong", entry);
    return 0;
}

/* --- changes --- */

static void set_l1(qcow2_image *image, uint64_t index, uint64_t entry)
{
    uint32_t i = (uint32_t)index;

    g_mutex_lock(&image->lock);
    image->l1[i] = entry;
    g_mutex_unlock(&image->lock);
    if (image->l1_dirty_from == image->l1_dirty_to) {
        image->l1_dirty_from = i;
        image->l1_dirty_to = i + 1;
    } else {
        image->l1_dirty_from = MIN(image->l1_dirty_from, i);
        image->l1_dirty_to = MAX(image->l1_dirty_to, i + 1);
    }
}

/* A copy of the table at `old`, or an empty one, at `cluster`. */
static int write_table(qcow2_image *image, uint64_t old, uint64_t cluster)
{
    uint64_t offset = cluster << image->cluster_bits;
    uint8_t *data = blk_buffer_new((size_t)image->cluster_size);
    int rc = 0;

    if (data == NULL)
        return -ENOMEM;
    if (old == 0)
        memset(data, 0, (size_t)image->cluster_size);
    else
        rc = blk_file_read(image->file, data, (size_t)image->cluster_size, old);
    if (rc == 0)
        rc = blk_file_write(image->file, data, (size_t)image->cluster_size,
                            offset);
    if (rc == 0)
        qcow2_note_written(image, offset + image->cluster_size);
    free(data);
    return rc;
}

int qcow2_own_table(qcow2_image *image, uint64_t offset)
{
    uint64_t index = offset >> qcow2_table_bits(image);
    uint64_t l1 = image->l1[index];
    uint64_t old = qcow2_entry_offset(l1), cluster, got;
    int rc;

    if ((l1 & QCOW2_COPIED) != 0 && old != 0)
        return 0;
    if (old != 0 && qcow2_owner_of(image, old >> image->cluster_bits) !=
                        qcow2_owner_word(QCOW2_OWNER_L2, index))
        return qcow2_set_corrupt(image, "an L2 table is out of place", old);
    rc = qcow2_alloc(image, 1, &cluster, &got);
    if (rc < 0)
        return rc;
    rc = write_table(image, old, cluster);
    if (rc < 0) {
        qcow2_free_now(image, cluster, 1);
        return rc;
    }
    qcow2_owner_set(image, cluster, qcow2_owner_word(QCOW2_OWNER_L2, index));
    set_l1(image, index, cluster << image->cluster_bits | QCOW2_COPIED);
    if (old == 0)
        return 0;
    /* A snapshot's from now on: its count protects it. */
    qcow2_owner_set(image, old >> image->cluster_bits, 0);
    qcow2_cache_drop(image, old >> image->cluster_bits);
    return qcow2_free_later(image, old >> image->cluster_bits);
}

static int release_entry(qcow2_image *image, uint64_t entry)
{
    uint64_t offset = qcow2_entry_offset(entry), len = 1;
    int rc = 0;

    if ((entry & QCOW2_COMPRESSED) != 0)
        qcow2_packed_range(image, entry, &offset, &len);
    else if (offset == 0)
        return 0;
    for (uint64_t c = offset >> image->cluster_bits;
         c <= (offset + len - 1) >> image->cluster_bits && rc == 0; c++)
        rc = qcow2_free_later(image, c);
    return rc;
}

int qcow2_link(qcow2_image *image, uint64_t offset, uint64_t entry, bool keep)
{
    qcow2_page *page;
    uint64_t old;
    uint8_t raw[8];
    uint32_t at;
    int rc = qcow2_own_table(image, offset);

    if (rc == 0)
        rc = load_entry(image, offset, &page, &at);
    if (rc < 0)
        return rc;
    old = qcow2_get64(qcow2_page_data(page) + at);
    qcow2_put64(raw, entry);
    qcow2_cache_change(image, page, at, raw, sizeof raw);
    return keep ? 0 : release_entry(image, old);
}
