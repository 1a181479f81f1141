/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2.h: one qcow2 image: its tables, in memory as far as they are in use.
 *
 * Changes wait in memory and reach the file in an order in which a crash at any
 * point costs at most unused clusters (qcow2_flush.c): data and reference counts
 * that grew, then L2 and L1 tables, then reference counts that shrank. A cluster that was freed is not used again before that.
 *
 * Threads: one thread at a time makes changes and may call everything here (the
 *          worker of qcow2_disk.c; before it starts and after it ended, the
 *          control thread). The loop calls qcow2_find() only. `lock` is held by
 *          both while they touch what qcow2_find() reads; the worker needs it
 *          for changes of that, not for reading. No I/O under it.
 */
#ifndef VSR_BLOCK_QCOW2_H
#define VSR_BLOCK_QCOW2_H

#include "block/file.h"
#include "block/qcow2_format.h"

typedef struct qcow2_page qcow2_page; /* qcow2_cache.c */

typedef struct {
    qcow2_page **buckets;
    qcow2_page *newest, *oldest; /* by use */
    uint32_t n;                  /* pages */
    uint32_t n_dirty[2];         /* by kind */
} qcow2_cache;

typedef enum {
    QCOW2_PAGE_L2,   /* part of an active L2 table */
    QCOW2_PAGE_REFS, /* part of a refcount block */
} qcow2_page_kind;

/* Which metadata a cluster holds: kind and number in one word. */
typedef enum {
    QCOW2_OWNER_NONE,
    QCOW2_OWNER_FIXED, /* header, L1, refcount table, snapshots */
    QCOW2_OWNER_L2,    /* number: of the L1 entry */
    QCOW2_OWNER_REFS,  /* number: of the refcount table's entry */
} qcow2_owner;

typedef struct {
    uint64_t l1_offset;
    uint32_t l1_entries;
} qcow2_snapshot;

typedef struct {
    blk_file *file; /* borrowed */
    qcow2_header header;
    uint32_t cluster_bits, page_bits;
    uint64_t cluster_size;
    uint64_t bytes; /* of the disk */
    bool writable;
    bool has_backing;
    bool discard; /* freed clusters become holes of the file */
    gint corrupt; /* atomic: writes are refused */

    GMutex lock; /* guards l1 and cache, see above */
    uint64_t *l1; /* host's byte order */
    qcow2_cache cache;

    /* The worker's alone. */
    uint32_t l1_dirty_from, l1_dirty_to;
    uint64_t *reftable;
    uint32_t reftable_entries;
    GHashTable *owners;  /* cluster -> owner, of metadata */
    uint64_t free_hint;  /* below it no cluster is known to be free */
    uint64_t end;        /* the first cluster beyond all that is in use */
    uint64_t file_end;   /* bytes: nothing was ever written from there on */
    GArray *freed;       /* of uint64_t: clusters to give back at a flush */
    qcow2_snapshot *snapshots;
    uint32_t n_snapshots;
    uint64_t snapshots_len; /* bytes of their table */
    uint64_t unpacked_entry; /* the compressed cluster that `unpacked` holds */
    uint8_t *unpacked, *packed;
} qcow2_image;

/* --- opening (qcow2_open.c) --- */

/* `file` is borrowed. Writable: clears unknown autoclear bits and rebuilds
 * reference counts after a crash of a lazy writer. IMAGE, NO_SUPPORT. */
qcow2_image *qcow2_open(blk_file *file, bool discard, GError **error);
/* Writes back what waits. NULL is a no-op. */
void qcow2_close(qcow2_image *image);
bool qcow2_resize(qcow2_image *image, uint64_t bytes, GError **error);

/* --- pages of tables (qcow2_cache.c) --- */

bool qcow2_cache_init(qcow2_image *image);
void qcow2_cache_fini(qcow2_image *image);
/* NULL: not in memory. With the lock. */
qcow2_page *qcow2_cache_find(qcow2_image *image, uint64_t offset);
const uint8_t *qcow2_page_data(const qcow2_page *page);
/* Some L2 entry of it is wrong: look at each. */
bool qcow2_page_is_bad(const qcow2_page *page);
/* Is this L2 entry impossible? */
bool qcow2_entry_is_wrong(const qcow2_image *image, uint64_t entry);
/* Reads it unless it is there. Valid until the next load. 0 or -errno. */
int qcow2_cache_load(qcow2_image *image, uint64_t offset, qcow2_page_kind kind,
                     qcow2_page **out);
/* Replaces `len` bytes of a page that was just loaded. */
void qcow2_cache_change(qcow2_image *image, qcow2_page *page, uint32_t at,
                        const void *from, uint32_t len);
int qcow2_cache_write(qcow2_image *image, qcow2_page_kind kind);
/* Forgets pages of a cluster that is no table any more. */
void qcow2_cache_drop(qcow2_image *image, uint64_t cluster);

/* --- writing back (qcow2_flush.c) --- */

bool qcow2_is_dirty(const qcow2_image *image);
/* All changes, in order; `durable`: and wait for the disk. 0 or -errno. */
int qcow2_flush(qcow2_image *image, bool durable);
/* The image contradicts itself: no more writes, and it is marked. */
int qcow2_set_corrupt(qcow2_image *image, const char *what, uint64_t where);

/* --- reference counts (qcow2_refcount.c) --- */

int qcow2_refcount_get(qcow2_image *image, uint64_t cluster, uint64_t *out);
int qcow2_refcount_set(qcow2_image *image, uint64_t cluster, uint64_t value);
/* The changed bytes of a count at `bit` of `data`, in out[8]; their number. */
uint32_t qcow2_count_put(const uint8_t *data, uint64_t bit, uint32_t order,
                         uint64_t value, uint8_t *out);
/* 1 to `want` clusters in a row, count 1; *got of them at *cluster. */
int qcow2_alloc(qcow2_image *image, uint64_t want, uint64_t *cluster,
                uint64_t *got);
/* Exactly `n` in a row, beyond all others. */
int qcow2_alloc_at_end(qcow2_image *image, uint64_t n, uint64_t *cluster);
/* At the next flush, once nothing on disk refers to it. */
int qcow2_free_later(qcow2_image *image, uint64_t cluster);
/* At once: nothing ever referred to it. */
void qcow2_free_now(qcow2_image *image, uint64_t cluster, uint64_t n);
/* After the flush. */
int qcow2_apply_freed(qcow2_image *image);
/* Another table for refcount blocks (qcow2_reftable.c). */
int qcow2_refblock_new(qcow2_image *image, uint64_t index);

/* Something was written, up to `end`. */
static inline void qcow2_note_written(qcow2_image *image, uint64_t end)
{
    image->file_end = MAX(image->file_end, end);
}

/* Counts per refcount block: 2^n. */
static inline uint32_t qcow2_block_bits(const qcow2_image *image)
{
    return image->cluster_bits + 3 - image->header.refcount_order;
}

uint64_t qcow2_owner_word(qcow2_owner owner, uint64_t number);
/* 0: the cluster holds no metadata. */
uint64_t qcow2_owner_of(const qcow2_image *image, uint64_t cluster);
void qcow2_owner_set(qcow2_image *image, uint64_t cluster, uint64_t word);

/* --- the map (qcow2_map.c) --- */

typedef enum {
    QCOW2_EXTENT_MISS, /* the table is not in memory */
    QCOW2_EXTENT_BAD,
    QCOW2_EXTENT_NONE, /* what the backing file has */
    QCOW2_EXTENT_ZERO,
    QCOW2_EXTENT_DATA,
    QCOW2_EXTENT_PACKED, /* one compressed cluster */
} qcow2_extent_kind;

typedef struct {
    qcow2_extent_kind kind;
    bool own;      /* may be written in place */
    uint64_t host; /* DATA: the file's offset; ZERO: of the cluster kept, or 0 */
    uint64_t entry; /* of the first cluster */
    uint64_t len;   /* bytes that are the same in kind, and in a row */
} qcow2_extent;

/* What is at `offset` (below image->bytes), at most `len` long. Any thread. */
void qcow2_find(qcow2_image *image, uint64_t offset, uint64_t len,
                qcow2_extent *out);
/* The same after loading the table: never MISS. 0 or -errno. */
int qcow2_find_load(qcow2_image *image, uint64_t offset, uint64_t len,
                    qcow2_extent *out);
/* Sets the entry of the cluster at `offset`; the table is made if need be and
 * allocated for this image alone. What the old entry referred to is freed
 * later, unless `keep`. */
int qcow2_link(qcow2_image *image, uint64_t offset, uint64_t entry, bool keep);
/* Makes the L2 table of `offset` ours. */
int qcow2_own_table(qcow2_image *image, uint64_t offset);

/* The cluster as it is unpacked; valid until the next call. */
int qcow2_unpack(qcow2_image *image, uint64_t entry, const uint8_t **out);
/* Where the packed data is: bytes. */
void qcow2_packed_range(const qcow2_image *image, uint64_t entry,
                        uint64_t *offset, uint64_t *len);

/* --- after a crash (qcow2_rebuild.c) --- */

int qcow2_rebuild(qcow2_image *image, GError **error);

static inline uint64_t qcow2_entry_offset(uint64_t entry)
{
    return entry & QCOW2_OFFSET_MASK;
}

/* Bytes of the disk that one L2 table maps: 2^n. */
static inline uint32_t qcow2_table_bits(const qcow2_image *image)
{
    return 2 * image->cluster_bits - 3;
}

#endif
