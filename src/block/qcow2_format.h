/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_format.h: what a qcow2 file looks like, and its header.
 *
 * Spec:    QEMU, docs/interop/qcow2.rst (versions 2 and 3).
 * Threads: any.
 */
#ifndef VSR_BLOCK_QCOW2_FORMAT_H
#define VSR_BLOCK_QCOW2_FORMAT_H

#include <string.h>

#include "block/file.h"

#define QCOW2_MAGIC UINT32_C(0x514649fb) /* "QFI\xfb" */

enum {
    QCOW2_V2_HEADER = 72,
    QCOW2_V3_HEADER = 104,
    QCOW2_CLUSTER_BITS_MIN = 9,
    QCOW2_CLUSTER_BITS_MAX = 21,
    QCOW2_REFCOUNT_ORDER_MAX = 6,
    /* of fields that are written later */
    QCOW2_AT_BYTES = 24,
    QCOW2_AT_L1 = 36,
    QCOW2_AT_REFTABLE = 48,
    QCOW2_AT_INCOMPATIBLE = 72,
    QCOW2_AT_AUTOCLEAR = 88,
};

/* As QEMU's limits. */
#define QCOW2_L1_BYTES_MAX       (UINT64_C(32) << 20)
#define QCOW2_REFTABLE_BYTES_MAX (UINT64_C(8) << 20)
#define QCOW2_SNAPSHOTS_MAX      65536u
#define QCOW2_SNAPSHOT_BYTES_MAX (UINT64_C(64) << 20)

/* Incompatible features. */
#define QCOW2_DIRTY         (UINT64_C(1) << 0)
#define QCOW2_CORRUPT       (UINT64_C(1) << 1)
#define QCOW2_EXTERNAL_DATA (UINT64_C(1) << 2)
#define QCOW2_COMPRESSION   (UINT64_C(1) << 3)
#define QCOW2_EXTENDED_L2   (UINT64_C(1) << 4)

/* Table entries. */
#define QCOW2_COPIED      (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED  (UINT64_C(1) << 62)
#define QCOW2_ZERO        UINT64_C(1)
#define QCOW2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)
#define QCOW2_L2_RESERVED UINT64_C(0x3f000000000001fe)

typedef enum { QCOW2_ZLIB, QCOW2_ZSTD } qcow2_compression;

typedef struct {
    uint32_t version, cluster_bits, refcount_order, header_len;
    uint64_t bytes; /* of the disk */
    uint64_t l1_offset, reftable_offset, snapshots_offset;
    uint32_t l1_entries, reftable_clusters, n_snapshots;
    uint64_t incompatible, compatible, autoclear;
    qcow2_compression compression;
    char *backing;        /* owned; NULL: none */
    char *backing_format; /* owned; NULL: the header does not say */
} qcow2_header;

static inline uint32_t qcow2_get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return GUINT32_FROM_BE(v);
}

static inline uint64_t qcow2_get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return GUINT64_FROM_BE(v);
}

static inline void qcow2_put32(uint8_t *p, uint32_t v)
{
    v = GUINT32_TO_BE(v);
    memcpy(p, &v, sizeof v);
}

static inline void qcow2_put64(uint8_t *p, uint64_t v)
{
    v = GUINT64_TO_BE(v);
    memcpy(p, &v, sizeof v);
}

/* Reads and checks; IMAGE says what is wrong, NO_SUPPORT which feature we lack.
 * Clear it afterwards in either case. Not on a loop. */
bool qcow2_header_read(blk_file *file, qcow2_header *out, GError **error);
void qcow2_header_clear(qcow2_header *header);

#endif
