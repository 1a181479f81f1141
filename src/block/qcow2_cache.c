/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_cache.c: pages of L2 tables and refcount blocks, 4 KiB each (less where
 * clusters are smaller), a bounded number, the least recently used goes first.
 * What the file says in an L2 page is checked here, once, when it is read.
 *
 * Threads: as qcow2.h says.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>

enum { PAGE_BITS = 12, PAGES_MAX = 4096, BUCKETS = 2048 };

struct qcow2_page {
    uint64_t offset;  /* in the file */
    qcow2_page *next; /* in the bucket */
    qcow2_page *newer, *older;
    uint8_t *data;
    qcow2_page_kind kind;
    bool dirty;
    bool bad;
};

bool qcow2_cache_init(qcow2_image *image)
{
    image->page_bits = MIN(PAGE_BITS, image->cluster_bits);
    image->cache.buckets = g_new0(qcow2_page *, BUCKETS);
    return true;
}

void qcow2_cache_fini(qcow2_image *image)
{
    qcow2_page *page = image->cache.newest;

    while (page != NULL) {
        qcow2_page *older = page->older;

        free(page->data);
        g_free(page);
        page = older;
    }
    g_free(image->cache.buckets);
    image->cache = (qcow2_cache){ 0 };
}

static qcow2_page **bucket(const qcow2_image *image, uint64_t offset)
{
    uint64_t number = offset >> image->page_bits;

    return &image->cache.buckets[(number ^ number >> 11) % BUCKETS];
}

static void unlink_use(qcow2_cache *cache, qcow2_page *page)
{
    if (page->newer != NULL)
        page->newer->older = page->older;
    else
        cache->newest = page->older;
    if (page->older != NULL)
        page->older->newer = page->newer;
    else
        cache->oldest = page->newer;
}

static void link_newest(qcow2_cache *cache, qcow2_page *page)
{
    page->newer = NULL;
    page->older = cache->newest;
    if (cache->newest != NULL)
        cache->newest->newer = page;
    else
        cache->oldest = page;
    cache->newest = page;
}

qcow2_page *qcow2_cache_find(qcow2_image *image, uint64_t offset)
{
    qcow2_cache *cache = &image->cache;
    qcow2_page *page = *bucket(image, offset);

    while (page != NULL && page->offset != offset)
        page = page->next;
    if (page != NULL && page != cache->newest) {
        unlink_use(cache, page);
        link_newest(cache, page);
    }
    return page;
}

const uint8_t *qcow2_page_data(const qcow2_page *page)
{
    return page->data;
}

bool qcow2_page_is_bad(const qcow2_page *page)
{
    return page->bad;
}

static void page_remove(qcow2_image *image, qcow2_page *page)
{
    qcow2_page **at = bucket(image, page->offset);

    while (*at != page)
        at = &(*at)->next;
    *at = page->next;
    unlink_use(&image->cache, page);
    image->cache.n--;
    if (page->dirty)
        image->cache.n_dirty[page->kind]--;
}

/* A clean page that may be replaced, out of the cache; NULL: make a new one. */
static int take_oldest(qcow2_image *image, qcow2_page **out)
{
    qcow2_page *page;

    *out = NULL;
    if (image->cache.n < PAGES_MAX)
        return 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        int rc;

        g_mutex_lock(&image->lock);
        page = image->cache.oldest;
        while (page != NULL && page->dirty)
            page = page->newer;
        if (page != NULL)
            page_remove(image, page);
        g_mutex_unlock(&image->lock);
        if (page != NULL) {
            *out = page;
            return 0;
        }
        /* In order, so that it may be done at any time. */
        rc = qcow2_flush(image, false);
        if (rc < 0)
            return rc;
    }
    return -ENOMEM;
}

bool qcow2_entry_is_wrong(const qcow2_image *image, uint64_t entry)
{
    uint64_t offset = qcow2_entry_offset(entry);

    if ((entry & QCOW2_COMPRESSED) != 0) {
        uint64_t at, len;

        qcow2_packed_range(image, entry, &at, &len);
        for (uint64_t c = at >> image->cluster_bits;
             c <= (at + len - 1) >> image->cluster_bits; c++)
            if (qcow2_owner_of(image, c) != 0)
                return true;
        return at >= image->file_end;
    }
    if ((entry & QCOW2_L2_RESERVED) != 0 ||
        (entry & QCOW2_ZERO && image->header.version < 3))
        return true;
    if (offset == 0)
        return (entry & QCOW2_COPIED) != 0;
    if (offset % image->cluster_size != 0)
        return true;
    /* A cluster of which nothing was written yet may be kept for zeros. */
    if (offset >= image->file_end && (entry & QCOW2_ZERO) == 0)
        return true;
    return qcow2_owner_of(image, offset >> image->cluster_bits) != 0;
}

static bool page_has_wrong_entry(const qcow2_image *image, const uint8_t *data)
{
    uint32_t size = 1u << image->page_bits;

    for (uint32_t i = 0; i < size; i += 8) {
        uint64_t entry = qcow2_get64(data + i);

        if (entry != 0 && qcow2_entry_is_wrong(image, entry))
            return true;
    }
    return false;
}

static void page_insert(qcow2_image *image, qcow2_page *page)
{
    qcow2_page **at = bucket(image, page->offset);

    page->next = *at;
    *at = page;
    link_newest(&image->cache, page);
    image->cache.n++;
}

int qcow2_cache_load(qcow2_image *image, uint64_t offset, qcow2_page_kind kind,
                     qcow2_page **out)
{
    uint32_t size = 1u << image->page_bits;
    qcow2_page *page;
    int rc;

    g_mutex_lock(&image->lock);
    page = qcow2_cache_find(image, offset);
    g_mutex_unlock(&image->lock);
    if (page != NULL && page->kind != kind)
        return qcow2_set_corrupt(image, "one cluster is two tables", offset);
    *out = page;
    if (page != NULL)
        return 0;
    rc = take_oldest(image, &page);
    if (rc < 0)
        return rc;
    if (page == NULL) {
        page = g_new0(qcow2_page, 1);
        page->data = blk_buffer_new(size);
    }
    rc = page->data == NULL
             ? -ENOMEM
             : blk_file_read(image->file, page->data, size, offset);
    if (rc < 0) {
        free(page->data);
        g_free(page);
        return rc;
    }
    page->offset = offset;
    page->kind = kind;
    page->dirty = false;
    page->bad =
        kind == QCOW2_PAGE_L2 && page_has_wrong_entry(image, page->data);
    g_mutex_lock(&image->lock);
    page_insert(image, page);
    g_mutex_unlock(&image->lock);
    *out = page;
    return 0;
}

void qcow2_cache_change(qcow2_image *image, qcow2_page *page, uint32_t at,
                        const void *from, uint32_t len)
{
    g_mutex_lock(&image->lock);
    memcpy(page->data + at, from, len);
    if (!page->dirty) {
        page->dirty = true;
        image->cache.n_dirty[page->kind]++;
    }
    g_mutex_unlock(&image->lock);
}

static int by_offset(const void *a, const void *b)
{
    const qcow2_page *const *x = a, *const *y = b;

    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

int qcow2_cache_write(qcow2_image *image, qcow2_page_kind kind)
{
    uint32_t n = image->cache.n_dirty[kind], found = 0;
    g_autofree qcow2_page **pages = NULL;

    if (n == 0)
        return 0;
    pages = g_new(qcow2_page *, n);
    g_mutex_lock(&image->lock);
    for (qcow2_page *p = image->cache.newest; p != NULL && found < n;
         p = p->older)
        if (p->dirty && p->kind == kind)
            pages[found++] = p;
    g_mutex_unlock(&image->lock);
    qsort(pages, found, sizeof(*pages), by_offset);
    for (uint32_t i = 0; i < found; i++) {
        int rc =
            blk_file_write(image->file, pages[i]->data,
                           (size_t)1 << image->page_bits, pages[i]->offset);

        if (rc < 0)
            return rc;
        pages[i]->dirty = false;
        image->cache.n_dirty[kind]--;
    }
    return 0;
}

void qcow2_cache_drop(qcow2_image *image, uint64_t cluster)
{
    uint64_t offset = cluster << image->cluster_bits;
    uint64_t end = offset + image->cluster_size;

    g_mutex_lock(&image->lock);
    for (; offset < end; offset += UINT64_C(1) << image->page_bits) {
        qcow2_page *page = qcow2_cache_find(image, offset);

        if (page != NULL) {
            page_remove(image, page);
            free(page->data);
            g_free(page);
        }
    }
    g_mutex_unlock(&image->lock);
}
