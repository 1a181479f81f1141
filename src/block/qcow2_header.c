/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_header.c: reads the first cluster: header, extensions, name of the
 * backing file. Nothing in it is believed before it was checked.
 *
 * Spec:    QEMU, docs/interop/qcow2.rst, "Header", "Header extensions",
 *          "Feature name table".
 * Threads: any but a loop's.
 */
#include "block/qcow2_format.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/util.h"

enum {
    EXT_END = 0,
    FEATURE_ENTRY = 48,
    FEATURE_NAME = 46,
    BACKING_NAME_MAX = 1023,
    FORMAT_NAME_MAX = 64,
};
#define EXT_BACKING_FORMAT UINT32_C(0xe2792aca)
#define EXT_FEATURE_NAMES  UINT32_C(0x6803f857)

typedef struct {
    const char *name;
    const uint8_t *data;
    size_t len;              /* of the first cluster, or of the file */
    const uint8_t *features; /* the table, or NULL */
    size_t features_len;
} reader;

void qcow2_header_clear(qcow2_header *header)
{
    g_clear_pointer(&header->backing, g_free);
    g_clear_pointer(&header->backing_format, g_free);
}

static bool bad(const reader *r, GError **error, const char *what,
                uint64_t value)
{
    return vsr_fail(error, VISOR_ERR_IMAGE,
                    "qcow2 image '%s': %s (0x%" G_GINT64_MODIFIER "x)", r->name,
                    what, value);
}

static bool read_fields(const reader *r, qcow2_header *h, GError **error)
{
    const uint8_t *p = r->data;

    if (r->len < QCOW2_V2_HEADER || qcow2_get32(p) != QCOW2_MAGIC)
        return vsr_fail(error, VISOR_ERR_IMAGE, "'%s' is not a qcow2 image",
                        r->name);
    h->version = qcow2_get32(p + 4);
    if (h->version != 2 && h->version != 3)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "qcow2 image '%s' has version %u; 2 and 3 are known",
                        r->name, h->version);
    h->cluster_bits = qcow2_get32(p + 20);
    h->bytes = qcow2_get64(p + QCOW2_AT_BYTES);
    h->l1_entries = qcow2_get32(p + QCOW2_AT_L1);
    h->l1_offset = qcow2_get64(p + 40);
    h->reftable_offset = qcow2_get64(p + QCOW2_AT_REFTABLE);
    h->reftable_clusters = qcow2_get32(p + 56);
    h->n_snapshots = qcow2_get32(p + 60);
    h->snapshots_offset = qcow2_get64(p + 64);
    h->refcount_order = 4;
    h->header_len = QCOW2_V2_HEADER;
    if (h->cluster_bits < QCOW2_CLUSTER_BITS_MIN ||
        h->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return bad(r, error, "the cluster size is 2^n of an n beyond 9 to 21",
                   h->cluster_bits);
    if (qcow2_get32(p + 32) != 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "qcow2 image '%s' is encrypted", r->name);
    if (h->version == 2)
        return true;
    if (r->len < QCOW2_V3_HEADER)
        return bad(r, error, "the header is cut off", r->len);
    h->incompatible = qcow2_get64(p + QCOW2_AT_INCOMPATIBLE);
    h->compatible = qcow2_get64(p + 80);
    h->autoclear = qcow2_get64(p + QCOW2_AT_AUTOCLEAR);
    h->refcount_order = qcow2_get32(p + 96);
    h->header_len = qcow2_get32(p + 100);
    if (h->header_len < QCOW2_V3_HEADER || h->header_len > r->len ||
        h->header_len % 8 != 0 ||
        h->header_len > (UINT64_C(1) << h->cluster_bits))
        return bad(r, error, "the header's length makes no sense",
                   h->header_len);
    if (h->refcount_order > QCOW2_REFCOUNT_ORDER_MAX)
        return bad(r, error, "reference counts are wider than 64 bits",
                   h->refcount_order);
    if (h->header_len > QCOW2_V3_HEADER)
        h->compression = p[104];
    return true;
}

static bool read_extensions(reader *r, qcow2_header *h, size_t end,
                            GError **error)
{
    size_t at = h->header_len;

    while (end - at >= 8) {
        uint32_t type = qcow2_get32(r->data + at);
        uint64_t len = qcow2_get32(r->data + at + 4);
        const uint8_t *data = r->data + at + 8;

        if (type == EXT_END)
            return true;
        if (len > end - at - 8)
            return bad(r, error, "a header extension is too long", len);
        if (type == EXT_BACKING_FORMAT) {
            if (len > FORMAT_NAME_MAX || memchr(data, 0, len) != NULL)
                return bad(r, error, "the backing format's name is wrong", len);
            g_free(h->backing_format);
            h->backing_format = g_strndup((const char *)data, len);
        } else if (type == EXT_FEATURE_NAMES) {
            r->features = data;
            r->features_len = len;
        }
        at += 8 + (size_t)MIN(vsr_round_up(len, 8), end - at - 8);
    }
    return true;
}

static char *feature_name(const reader *r, uint32_t bit)
{
    static const char *const known[] = { "dirty", "corrupt",
                                         "external data file",
                                         "compression type",
                                         "extended L2 entries" };

    for (size_t at = 0; at + FEATURE_ENTRY <= r->features_len;
         at += FEATURE_ENTRY) {
        const uint8_t *entry = r->features + at;

        if (entry[0] == 0 && entry[1] == bit) {
            char *name = g_strndup((const char *)entry + 2, FEATURE_NAME);
            char *valid = g_utf8_make_valid(name, -1);

            g_free(name);
            for (char *c = valid; *c != '\0'; c++)
                if (g_ascii_iscntrl(*c))
                    *c = '?';
            return valid;
        }
    }
    if (bit < G_N_ELEMENTS(known))
        return g_strdup(known[bit]);
    return g_strdup_printf("bit %u", bit);
}

static bool check_features(const reader *r, const qcow2_header *h,
                           GError **error)
{
    uint64_t unknown =
        h->incompatible & ~(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION);

    for (uint32_t bit = 0; bit < 64; bit++) {
        g_autofree char *name = NULL;

        if ((unknown >> bit & 1) == 0)
            continue;
        name = feature_name(r, bit);
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "qcow2 image '%s' needs a feature that is not "
                        "supported: '%s'",
                        r->name, name);
    }
    if (h->compression > QCOW2_ZSTD)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "qcow2 image '%s' has compression type %d", r->name,
                        (int)h->compression);
    if ((h->compression != QCOW2_ZLIB) !=
        ((h->incompatible & QCOW2_COMPRESSION) != 0))
        return bad(r, error, "compression type and feature bit disagree",
                   h->compression);
    return true;
}

/* A table's place: aligned, and all of it in the file. */
static bool check_table(const reader *r, const qcow2_header *h,
                        const blk_file *file, const char *what, uint64_t offset,
                        uint64_t len, GError **error)
{
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;

    if (offset % cluster != 0 || offset > file->bytes ||
        len > file->bytes - offset || (len > 0 && offset == 0)) {
        g_autofree char *text =
            g_strdup_printf("the %s is not inside of the file", what);

        return bad(r, error, text, offset);
    }
    return true;
}

static bool check_tables(const reader *r, const qcow2_header *h,
                         const blk_file *file, GError **error)
{
    uint64_t l1_bytes = (uint64_t)h->l1_entries * 8;
    uint64_t reftable_bytes = (uint64_t)h->reftable_clusters << h->cluster_bits;
    uint32_t per_l1 = 2 * h->cluster_bits - 3; /* bits of an entry's reach */

    if (h->bytes > INT64_MAX)
        return bad(r, error, "the disk is too large", h->bytes);
    if (l1_bytes > QCOW2_L1_BYTES_MAX)
        return bad(r, error, "the L1 table is larger than 32 MiB", l1_bytes);
    if (reftable_bytes > QCOW2_REFTABLE_BYTES_MAX)
        return bad(r, error, "the refcount table is larger than 8 MiB",
                   reftable_bytes);
    if (h->reftable_clusters == 0)
        return bad(r, error, "there is no refcount table", 0);
    if (h->bytes > 0 && ((h->bytes - 1) >> per_l1) >= h->l1_entries)
        return bad(r, error, "the L1 table is too small for the disk",
                   h->l1_entries);
    if (h->n_snapshots > QCOW2_SNAPSHOTS_MAX)
        return bad(r, error, "there are too many snapshots", h->n_snapshots);
    return check_table(r, h, file, "L1 table", h->l1_offset, l1_bytes, error) &&
           check_table(r, h, file, "refcount table", h->reftable_offset,
                       reftable_bytes, error) &&
           check_table(r, h, file, "snapshot table",
                       h->n_snapshots > 0 ? h->snapshots_offset : 0, 0, error);
}

/* Sets *end to where header extensions must end. */
static bool read_backing(const reader *r, qcow2_header *h, size_t *end,
                         GError **error)
{
    uint64_t offset = qcow2_get64(r->data + 8);
    uint32_t len = qcow2_get32(r->data + 16);

    *end = r->len;
    if (offset == 0)
        return true;
    if (len == 0 || len > BACKING_NAME_MAX || offset < h->header_len ||
        offset > r->len || len > r->len - offset ||
        memchr(r->data + offset, 0, len) != NULL)
        return bad(r, error, "the backing file's name is not in its place",
                   offset);
    *end = (size_t)offset;
    h->backing = g_strndup((const char *)r->data + offset, len);
    return true;
}

bool qcow2_header_read(blk_file *file, qcow2_header *out, GError **error)
{
    reader r = { .name = file->name };
    uint8_t first[QCOW2_V2_HEADER];
    uint8_t *data = NULL;
    size_t end = 0;
    bool ok;
    int rc = 0;

    *out = (qcow2_header){ 0 };
    if (file->bytes >= sizeof first)
        rc = blk_file_read(file, first, sizeof first, 0);
    if (rc == 0 && file->bytes >= sizeof first) {
        uint32_t bits = MIN(qcow2_get32(first + 20), QCOW2_CLUSTER_BITS_MAX);

        r.len =
            (size_t)MIN(file->bytes, MAX(UINT64_C(1) << bits, QCOW2_V3_HEADER));
    }
    data = blk_buffer_new(r.len);
    if (data == NULL)
        return vsr_fail_errno(error, ENOMEM, "Cannot read '%s'", file->name);
    if (rc == 0 && r.len > 0)
        rc = blk_file_read(file, data, r.len, 0);
    r.data = data;
    if (rc < 0)
        ok = vsr_fail_errno(error, rc, "Cannot read '%s'", file->name);
    else
        ok = read_fields(&r, out, error) &&
             read_backing(&r, out, &end, error) &&
             read_extensions(&r, out, end, error) &&
             check_features(&r, out, error) &&
             check_tables(&r, out, file, error);
    free(data);
    if (!ok)
        qcow2_header_clear(out);
    return ok;
}
