/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_open.c: an image's tables into memory, each entry checked; growing a
 * disk.
 *
 * An image whose own tables contradict each other is not written to: it is
 * marked as corrupt and refused. Reading what is right in it goes on.
 *
 * Threads: the control thread.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"

enum { SNAPSHOT_FIXED = 40 };

static bool fail_read(const qcow2_image *image, int rc, GError **error)
{
    return vsr_fail_errno(error, rc, "Cannot read '%s'", image->file->name);
}

/* For opening to write; reading needs less. */
static bool fail_corrupt(qcow2_image *image, const char *what, uint64_t where,
                         GError **error)
{
    (void)qcow2_set_corrupt(image, what, where);
    return vsr_fail(error, VISOR_ERR_IMAGE,
                    "qcow2 image '%s' is corrupt: %s (0x%" G_GINT64_MODIFIER
                    "x); see qemu-img check",
                    image->file->name, what, where);
}

/* `bytes` from `offset` on are metadata. False: something else of it is there
 * already, or it is beyond the file. */
static bool claim(qcow2_image *image, uint64_t offset, uint64_t bytes,
                  uint64_t word)
{
    uint64_t first = offset >> image->cluster_bits;
    uint64_t n = (bytes + image->cluster_size - 1) >> image->cluster_bits;

    if (offset % image->cluster_size != 0 || offset >= image->file_end ||
        bytes > image->file_end - offset + image->cluster_size)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        if (qcow2_owner_of(image, first + i) != 0)
            return false;
        qcow2_owner_set(image, first + i, word);
    }
    return true;
}

static int read_table(qcow2_image *image, uint64_t offset, uint64_t entries,
                      uint64_t **out)
{
    uint64_t *table = g_try_new0(uint64_t, MAX(entries, 1));
    int rc;

    if (table == NULL)
        return -ENOMEM;
    rc = blk_file_read(image->file, table, (size_t)entries * 8, offset);
    for (uint64_t i = 0; i < entries; i++)
        table[i] = GUINT64_FROM_BE(table[i]);
    if (rc < 0)
        g_clear_pointer(&table, g_free);
    *out = table;
    return rc;
}

static bool load_l1(qcow2_image *image, GError **error)
{
    int rc = read_table(image, image->header.l1_offset,
                        image->header.l1_entries, &image->l1);

    if (rc < 0)
        return fail_read(image, rc, error);
    for (uint32_t i = 0; i < image->header.l1_entries; i++) {
        uint64_t entry = image->l1[i];
        uint64_t table = qcow2_entry_offset(entry);
        bool right = (entry & QCOW2_L1_RESERVED) == 0 &&
                     (table == 0 ? entry == 0
                                 : claim(image, table, image->cluster_size,
                                         qcow2_owner_word(QCOW2_OWNER_L2, i)));

        if (!right && image->writable)
            return fail_corrupt(image, "an L1 entry is wrong", entry, error);
        if (!right)
            image->l1[i] |= QCOW2_L1_RESERVED; /* reads fail there */
    }
    return true;
}

static bool load_reftable(qcow2_image *image, GError **error)
{
    uint64_t entries = (uint64_t)image->header.reftable_clusters
                       << (image->cluster_bits - 3);
    int rc = read_table(image, image->header.reftable_offset, entries,
                        &image->reftable);

    if (rc < 0)
        return fail_read(image, rc, error);
    image->reftable_entries = (uint32_t)entries;
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t entry = image->reftable[i];
        bool right = entry == 0 || claim(image, entry, image->cluster_size,
                                         qcow2_owner_word(QCOW2_OWNER_REFS, i));

        if (!right && image->writable)
            return fail_corrupt(image, "a refcount table's entry is wrong",
                                entry, error);
    }
    return true;
}

/* --- snapshots: nobody's data, but nobody may write there --- */

static bool parse_snapshots(qcow2_image *image, const uint8_t *data, size_t len,
                            size_t *used)
{
    size_t at = 0;

    for (uint32_t i = 0; i < image->header.n_snapshots; i++) {
        const uint8_t *p = data + at;
        uint64_t size = SNAPSHOT_FIXED;
        qcow2_snapshot *s = &image->snapshots[i];

        if (len - at < size)
            return false;
        s->l1_offset = qcow2_get64(p);
        s->l1_entries = qcow2_get32(p + 8);
        size += (uint64_t)qcow2_get32(p + 36) + (p[12] << 8 | p[13]) +
                (p[14] << 8 | p[15]);
        if (size > len - at || s->l1_entries > QCOW2_L1_BYTES_MAX / 8)
            return false;
        image->n_snapshots++;
        /* The last one's padding may be beyond the end of the file. */
        at += (size_t)MIN(vsr_round_up(size, 8), len - at);
    }
    *used = at;
    return true;
}

static bool claim_snapshots(qcow2_image *image, size_t used)
{
    uint64_t word = qcow2_owner_word(QCOW2_OWNER_FIXED, 0);

    if (!claim(image, image->header.snapshots_offset, used, word))
        return false;
    for (uint32_t i = 0; i < image->n_snapshots; i++) {
        const qcow2_snapshot *s = &image->snapshots[i];

        if (s->l1_entries > 0 &&
            !claim(image, s->l1_offset, (uint64_t)s->l1_entries * 8, word))
            return false;
    }
    return true;
}

static bool load_snapshots(qcow2_image *image, GError **error)
{
    uint64_t offset = image->header.snapshots_offset;
    size_t len, used = 0;
    uint8_t *data;
    bool right;
    int rc;

    if (image->header.n_snapshots == 0)
        return true;
    len = (size_t)MIN(image->file_end - offset, QCOW2_SNAPSHOT_BYTES_MAX);
    len = MIN(len, (size_t)image->header.n_snapshots * 4096 + (128 << 10));
    data = blk_buffer_new(len);
    rc = data == NULL ? -ENOMEM : blk_file_read(image->file, data, len, offset);
    if (rc < 0) {
        free(data);
        return fail_read(image, rc, error);
    }
    image->snapshots = g_new0(qcow2_snapshot, image->header.n_snapshots);
    right = parse_snapshots(image, data, len, &used) &&
            claim_snapshots(image, used);
    image->snapshots_len = used;
    free(data);
    return right ||
           fail_corrupt(image, "the snapshot table is wrong", offset, error);
}

/* --- the end of what is in use --- */

static int find_end(qcow2_image *image)
{
    uint32_t bits = qcow2_block_bits(image);

    /* A device is as long as ever; a file may end before what is reserved. */
    image->end = image->file->is_device || image->file->nbd != NULL
                     ? 1
                     : (image->file_end + image->cluster_size - 1) >>
                           image->cluster_bits;
    for (uint32_t i = image->reftable_entries; i > 0; i--) {
        uint64_t first = (uint64_t)(i - 1) << bits;

        if (image->reftable[i - 1] == 0)
            continue;
        for (uint64_t c = first + (UINT64_C(1) << bits); c > first; c--) {
            uint64_t count;
            int rc = qcow2_refcount_get(image, c - 1, &count);

            if (rc < 0)
                return rc;
            if (count > 0) {
                image->end = MAX(image->end, c);
                return 0;
            }
        }
    }
    return 0;
}

/* --- header --- */

static int write_field(qcow2_image *image, uint64_t at, uint64_t value)
{
    uint8_t raw[8];
    int rc;

    qcow2_put64(raw, value);
    rc = blk_file_write(image->file, raw, sizeof raw, at);
    return rc == 0 ? blk_file_flush(image->file) : rc;
}

static bool prepare_writing(qcow2_image *image, GError **error)
{
    qcow2_header *h = &image->header;
    int rc;

    if ((h->incompatible & QCOW2_CORRUPT) != 0)
        return vsr_fail(error, VISOR_ERR_IMAGE,
                        "qcow2 image '%s' is marked as corrupt; it can be "
                        "opened for reading, or repaired by qemu-img check -r",
                        image->file->name);
    if (!load_snapshots(image, error))
        return false;
    rc = find_end(image);
    /* What we do not keep up to date must not be believed afterwards. */
    if (rc == 0 && h->autoclear != 0)
        rc = write_field(image, QCOW2_AT_AUTOCLEAR, 0);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot prepare '%s' for writing",
                              image->file->name);
    h->autoclear = 0;
    if ((h->incompatible & QCOW2_DIRTY) == 0)
        return true;
    vsr_log(VSR_LOG_WARN, "qcow2 image '%s' was not closed: counting anew",
            image->file->name);
    rc = qcow2_rebuild(image, error);
    if (rc < 0)
        return false;
    h->incompatible &= ~QCOW2_DIRTY;
    rc = write_field(image, QCOW2_AT_INCOMPATIBLE, h->incompatible);
    return rc == 0 ||
           vsr_fail_errno(error, rc, "Cannot write '%s'", image->file->name);
}

static bool open_tables(qcow2_image *image, GError **error)
{
    qcow2_header *h = &image->header;
    uint64_t fixed = qcow2_owner_word(QCOW2_OWNER_FIXED, 0);

    if (!qcow2_header_read(image->file, h, error))
        return false;
    image->cluster_bits = h->cluster_bits;
    image->cluster_size = UINT64_C(1) << h->cluster_bits;
    image->bytes = h->bytes;
    image->has_backing = h->backing != NULL;
    image->file_end = image->file->bytes;
    image->free_hint = 1;
    qcow2_cache_init(image);
    if (!claim(image, 0, image->cluster_size, fixed) ||
        (h->l1_entries > 0 &&
         !claim(image, h->l1_offset, (uint64_t)h->l1_entries * 8, fixed)) ||
        !claim(image, h->reftable_offset,
               (uint64_t)h->reftable_clusters << h->cluster_bits, fixed))
        return fail_corrupt(image, "tables overlap", h->l1_offset, error);
    return load_reftable(image, error) && load_l1(image, error) &&
           (!image->writable || prepare_writing(image, error));
}

qcow2_image *qcow2_open(blk_file *file, bool discard, GError **error)
{
    qcow2_image *image = g_new0(qcow2_image, 1);

    image->file = file;
    image->writable = !file->readonly;
    image->discard = discard;
    image->owners = g_hash_table_new(NULL, NULL);
    image->freed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_mutex_init(&image->lock);
    if (!open_tables(image, error)) {
        image->writable = false; /* nothing is to be written back */
        qcow2_close(image);
        return NULL;
    }
    return image;
}

void qcow2_close(qcow2_image *image)
{
    if (image == NULL)
        return;
    if (image->writable && !g_atomic_int_get(&image->corrupt)) {
        int rc = qcow2_flush(image, true);

        if (rc == 0) /* what the first one freed */
            rc = qcow2_flush(image, true);
        if (rc < 0)
            vsr_log(VSR_LOG_ERROR, "Cannot finish writing '%s': %s",
                    image->file->name, g_strerror(-rc));
    }
    qcow2_cache_fini(image);
    qcow2_header_clear(&image->header);
    g_hash_table_unref(image->owners);
    g_array_unref(image->freed);
    g_free(image->l1);
    g_free(image->reftable);
    g_free(image->snapshots);
    free(image->packed);
    free(image->unpacked);
    g_mutex_clear(&image->lock);
    g_free(image);
}

/* --- growing --- */

/* The header's disk size, L1 size and L1 place, in one write. */
static int write_geometry(qcow2_image *image, uint64_t bytes,
                          uint32_t l1_entries, uint64_t l1_offset)
{
    uint8_t raw[24];
    int rc;

    qcow2_put64(raw, bytes);
    qcow2_put32(raw + 8, 0); /* encryption: none */
    qcow2_put32(raw + 12, l1_entries);
    qcow2_put64(raw + 16, l1_offset);
    rc = blk_file_write(image->file, raw, sizeof raw, QCOW2_AT_BYTES);
    return rc == 0 ? blk_file_flush(image->file) : rc;
}

static int write_new_l1(qcow2_image *image, const uint64_t *l1, uint64_t n,
                        uint64_t offset)
{
    size_t len = (size_t)vsr_round_up(n * 8, image->cluster_size);
    uint8_t *raw = blk_buffer_new(len);
    int rc;

    if (raw == NULL)
        return -ENOMEM;
    memset(raw, 0, len);
    for (uint64_t i = 0; i < n; i++)
        qcow2_put64(raw + i * 8, l1[i]);
    rc = blk_file_write(image->file, raw, len, offset);
    if (rc == 0)
        qcow2_note_written(image, offset + len);
    free(raw);
    /* The counts of its clusters, too, before anything refers to it. */
    return rc == 0 ? qcow2_flush(image, true) : rc;
}

static int grow_l1(qcow2_image *image, uint64_t bytes, uint64_t entries)
{
    qcow2_header *h = &image->header;
    uint64_t n = (entries * 8 + image->cluster_size - 1) >> image->cluster_bits;
    uint64_t old = h->l1_offset >> image->cluster_bits;
    uint64_t n_old = ((uint64_t)h->l1_entries * 8 + image->cluster_size - 1) >>
                     image->cluster_bits;
    g_autofree uint64_t *l1 = g_new0(uint64_t, entries);
    uint64_t first;
    int rc = qcow2_alloc_at_end(image, n, &first);

    if (rc < 0)
        return rc;
    memcpy(l1, image->l1, (size_t)h->l1_entries * 8);
    rc = write_new_l1(image, l1, entries, first << image->cluster_bits);
    if (rc < 0) {
        qcow2_free_now(image, first, n);
        return rc;
    }
    /* A header that could not be written may be there all the same. */
    rc = write_geometry(image, bytes, (uint32_t)entries,
                        first << image->cluster_bits);
    if (rc < 0)
        return rc;
    for (uint64_t i = 0; i < n_old; i++)
        qcow2_owner_set(image, old + i, 0);
    for (uint64_t i = 0; i < n; i++)
        qcow2_owner_set(image, first + i,
                        qcow2_owner_word(QCOW2_OWNER_FIXED, 0));
    g_mutex_lock(&image->lock);
    g_free(image->l1);
    image->l1 = g_steal_pointer(&l1);
    h->l1_entries = (uint32_t)entries;
    h->l1_offset = first << image->cluster_bits;
    g_mutex_unlock(&image->lock);
    for (uint64_t i = 0; i < n_old && rc == 0; i++)
        rc = qcow2_free_later(image, old + i);
    return rc;
}

bool qcow2_resize(qcow2_image *image, uint64_t bytes, GError **error)
{
    uint32_t bits = qcow2_table_bits(image);
    uint64_t entries = bytes == 0 ? 0 : ((bytes - 1) >> bits) + 1;
    int rc;

    if (entries * 8 > QCOW2_L1_BYTES_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "'%s' cannot have %" G_GUINT64_FORMAT
                        " bytes: its L1 table would be larger than 32 MiB",
                        image->file->name, bytes);
    if (image->header.version < 3 && image->header.n_snapshots > 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "'%s' has snapshots, which version 2 of qcow2 does not "
                        "allow in a disk that grows",
                        image->file->name);
    rc = qcow2_flush(image, true);
    if (rc == 0 && entries > image->header.l1_entries)
        rc = grow_l1(image, bytes, entries);
    else if (rc == 0)
        rc = write_field(image, QCOW2_AT_BYTES, bytes);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot resize '%s'",
                              image->file->name);
    image->bytes = image->header.bytes = bytes;
    /* The old table is given back by the first, its counts are written by the
     * second; else it is a leak after a crash, no more. */
    for (int i = 0; i < 2 && qcow2_is_dirty(image); i++)
        (void)qcow2_flush(image, true);
    return true;
}
