/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_refcount.c: how many references each cluster has; which are free.
 *
 * Spec:    QEMU, docs/interop/qcow2.rst, "Host cluster management".
 * Threads: the worker.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>

enum { FREED_MAX = 65536 };

/* --- metadata's places --- */

static gpointer cluster_key(uint64_t cluster)
{
    return (gpointer)(uintptr_t)(cluster + 1);
}

uint64_t qcow2_owner_word(qcow2_owner owner, uint64_t number)
{
    return (uint64_t)owner << 56 | number;
}

uint64_t qcow2_owner_of(const qcow2_image *image, uint64_t cluster)
{
    return (uint64_t)(uintptr_t)g_hash_table_lookup(image->owners,
                                                    cluster_key(cluster));
}

void qcow2_owner_set(qcow2_image *image, uint64_t cluster, uint64_t word)
{
    if (word == 0)
        g_hash_table_remove(image->owners, cluster_key(cluster));
    else
        g_hash_table_insert(image->owners, cluster_key(cluster),
                            (gpointer)(uintptr_t)word);
}

/* --- one count --- */

/* The page with the count of `cluster`; *bit is its place there. NULL with 0:
 * there is no block, so the count is 0. */
static int count_page(qcow2_image *image, uint64_t cluster, qcow2_page **page,
                      uint64_t *bit)
{
    uint32_t order = image->header.refcount_order;
    uint64_t index = cluster >> qcow2_block_bits(image);
    uint64_t in_block =
        cluster & ((UINT64_C(1) << qcow2_block_bits(image)) - 1);
    uint64_t byte = in_block << order >> 3;
    uint64_t offset;

    *page = NULL;
    if (index >= image->reftable_entries || image->reftable[index] == 0)
        return 0;
    offset = image->reftable[index];
    if (offset % image->cluster_size != 0 ||
        qcow2_owner_of(image, offset >> image->cluster_bits) !=
            qcow2_owner_word(QCOW2_OWNER_REFS, index))
        return qcow2_set_corrupt(image, "a refcount block is out of place",
                                 offset);
    offset += byte >> image->page_bits << image->page_bits;
    *bit = (in_block << order) & ((UINT64_C(8) << image->page_bits) - 1);
    return qcow2_cache_load(image, offset, QCOW2_PAGE_REFS, page);
}

static uint64_t count_get(const uint8_t *data, uint64_t bit, uint32_t order)
{
    const uint8_t *p = data + (bit >> 3);
    uint64_t value = 0;

    if (order < 3)
        return (uint64_t)(p[0] >> (bit & 7)) & ((1u << (1u << order)) - 1);
    for (uint32_t i = 0; i < 1u << (order - 3); i++)
        value = value << 8 | p[i];
    return value;
}

uint32_t qcow2_count_put(const uint8_t *data, uint64_t bit, uint32_t order,
                         uint64_t value, uint8_t *out)
{
    uint32_t n = order < 3 ? 1 : 1u << (order - 3);

    if (order < 3) {
        uint32_t mask = ((1u << (1u << order)) - 1) << (bit & 7);

        out[0] = (uint8_t)((data[bit >> 3] & ~mask) |
                           ((uint32_t)value << (bit & 7)));
        return 1;
    }
    for (uint32_t i = n; i > 0; i--) {
        out[i - 1] = (uint8_t)value;
        value >>= 8;
    }
    return n;
}

int qcow2_refcount_get(qcow2_image *image, uint64_t cluster, uint64_t *out)
{
    qcow2_page *page;
    uint64_t bit;
    int rc = count_page(image, cluster, &page, &bit);

    *out = 0;
    if (rc == 0 && page != NULL)
        *out =
            count_get(qcow2_page_data(page), bit, image->header.refcount_order);
    return rc;
}

int qcow2_refcount_set(qcow2_image *image, uint64_t cluster, uint64_t value)
{
    uint32_t order = image->header.refcount_order;
    uint64_t max = order == 6 ? UINT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
    qcow2_page *page;
    uint8_t raw[8];
    uint64_t bit;
    uint32_t n;
    int rc;

    if (value > max)
        return -EINVAL;
    rc = count_page(image, cluster, &page, &bit);
    if (rc == 0 && page == NULL) {
        if (value == 0)
            return 0;
        rc = qcow2_refblock_new(image, cluster >> qcow2_block_bits(image));
        if (rc == 0)
            rc = count_page(image, cluster, &page, &bit);
        if (rc == 0 && page == NULL)
            rc = -EIO;
    }
    if (rc < 0)
        return rc;
    n = qcow2_count_put(qcow2_page_data(page), bit, order, value, raw);
    qcow2_cache_change(image, page, (uint32_t)(bit >> 3), raw, n);
    if (value > 0 && cluster >= image->end)
        image->end = cluster + 1;
    return 0;
}

/* --- allocating --- */

/* The host's limit: a device cannot grow, and offsets have 56 bits. */
static uint64_t cluster_limit(const qcow2_image *image)
{
    uint64_t bytes = image->file->is_device || image->file->nbd != NULL
                         ? image->file->bytes
                         : UINT64_C(1) << 55;

    return bytes >> image->cluster_bits;
}

static bool has_block(const qcow2_image *image, uint64_t cluster)
{
    uint64_t index = cluster >> qcow2_block_bits(image);

    return index < image->reftable_entries && image->reftable[index] != 0;
}

/* Moves *cluster to the first one in its page that is free, or to the next
 * page. */
static bool find_in_page(const qcow2_image *image, const qcow2_page *page,
                         uint64_t bit, uint64_t *cluster)
{
    uint32_t order = image->header.refcount_order;
    uint64_t end = UINT64_C(8) << image->page_bits;

    for (; bit < end; bit += UINT64_C(1) << order, (*cluster)++)
        if (count_get(qcow2_page_data(page), bit, order) == 0)
            return true;
    return false;
}

/* The first cluster from the hint on that is free and has a count to set. */
static int find_free(qcow2_image *image, uint64_t *out)
{
    uint64_t c = image->free_hint;

    for (;;) {
        qcow2_page *page;
        uint64_t bit;
        int rc;

        if (c >= cluster_limit(image))
            return -ENOSPC;
        if (!has_block(image, c)) {
            rc = qcow2_refblock_new(image, c >> qcow2_block_bits(image));
            if (rc < 0)
                return rc;
        }
        rc = count_page(image, c, &page, &bit);
        if (rc < 0 || page == NULL)
            return rc < 0 ? rc : -EIO;
        if (find_in_page(image, page, bit, &c))
            break;
    }
    if (c >= cluster_limit(image))
        return -ENOSPC;
    *out = c;
    return 0;
}

static int take(qcow2_image *image, uint64_t cluster)
{
    /* Counts that lie must not let data overwrite tables. */
    if (qcow2_owner_of(image, cluster) != 0)
        return qcow2_set_corrupt(image, "a table's cluster counts as free",
                                 cluster << image->cluster_bits);
    return qcow2_refcount_set(image, cluster, 1);
}

int qcow2_alloc(qcow2_image *image, uint64_t want, uint64_t *cluster,
                uint64_t *got)
{
    uint64_t first, n;
    int rc = find_free(image, &first);

    if (rc == 0)
        rc = take(image, first);
    if (rc < 0)
        return rc;
    for (n = 1; n < want && first + n < cluster_limit(image); n++) {
        uint64_t count;

        if (!has_block(image, first + n) ||
            qcow2_refcount_get(image, first + n, &count) < 0 || count != 0 ||
            take(image, first + n) < 0)
            break;
    }
    image->free_hint = first + n;
    *cluster = first;
    *got = n;
    return 0;
}

int qcow2_alloc_at_end(qcow2_image *image, uint64_t n, uint64_t *cluster)
{
    uint64_t per_block = UINT64_C(1) << qcow2_block_bits(image);
    uint64_t first = image->end, last = first + n - 1;

    if (last >= cluster_limit(image))
        return -ENOSPC;
    /* New blocks are put behind it. */
    image->end = first + n;
    for (uint64_t i = first / per_block; i <= last / per_block; i++) {
        int rc = has_block(image, i * per_block) ? 0
                                                 : qcow2_refblock_new(image, i);

        if (rc < 0)
            return rc;
    }
    for (uint64_t i = 0; i < n; i++) {
        int rc = take(image, first + i);

        if (rc < 0) {
            qcow2_free_now(image, first, i);
            return rc;
        }
    }
    *cluster = first;
    return 0;
}

void qcow2_free_now(qcow2_image *image, uint64_t cluster, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        (void)qcow2_refcount_set(image, cluster + i, 0); /* else a leak */
    image->free_hint = MIN(image->free_hint, cluster);
}

int qcow2_free_later(qcow2_image *image, uint64_t cluster)
{
    g_array_append_val(image->freed, cluster);
    return image->freed->len >= FREED_MAX ? qcow2_flush(image, false) : 0;
}

/* --- what was freed --- */

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int drop_reference(qcow2_image *image, uint64_t cluster, bool *is_free)
{
    uint64_t count;
    int rc = qcow2_refcount_get(image, cluster, &count);

    *is_free = false;
    if (rc < 0)
        return rc;
    if (count == 0 || qcow2_owner_of(image, cluster) != 0)
        return qcow2_set_corrupt(image,
                                 "a cluster that is freed is free already, or "
                                 "a table",
                                 cluster << image->cluster_bits);
    rc = qcow2_refcount_set(image, cluster, count - 1);
    *is_free = rc == 0 && count == 1;
    if (*is_free)
        image->free_hint = MIN(image->free_hint, cluster);
    return rc;
}

static void punch(qcow2_image *image, uint64_t from, uint64_t to)
{
    if (to > from)
        (void)blk_file_discard(image->file, from << image->cluster_bits,
                               (to - from) << image->cluster_bits);
}

int qcow2_apply_freed(qcow2_image *image)
{
    g_autoptr(GArray) freed = image->freed;
    const uint64_t *list = (const uint64_t *)(void *)freed->data;
    uint64_t from = 0, to = 0; /* a run to punch */
    int rc = 0;

    if (freed->len == 0) {
        g_array_ref(freed);
        return 0;
    }
    image->freed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    image->unpacked_entry = 0; /* its place may get other contents */
    qsort(freed->data, freed->len, sizeof(uint64_t), by_number);
    for (guint i = 0; i < freed->len && rc == 0; i++) {
        bool is_free;

        rc = drop_reference(image, list[i], &is_free);
        if (!is_free || !image->discard)
            continue;
        if (list[i] != to || to == from) {
            punch(image, from, to);
            from = list[i];
        }
        to = list[i] + 1;
    }
    punch(image, from, to);
    return rc;
}
