/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2_unpack.c: compressed clusters. The last one that was unpacked is kept,
 * as they are read in small pieces mostly.
 *
 * Spec:    QEMU, docs/interop/qcow2.rst, "Compressed Clusters Descriptor".
 * Threads: the worker.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <stdlib.h>

#include <zlib.h>
#include <zstd.h>

enum { SECTOR = 512 };

void qcow2_packed_range(const qcow2_image *image, uint64_t entry,
                        uint64_t *offset, uint64_t *len)
{
    uint32_t shift = 62 - (image->cluster_bits - 8);
    uint64_t sectors = (entry & (QCOW2_COMPRESSED - 1)) >> shift;

    *offset = entry & ((UINT64_C(1) << shift) - 1);
    *len = (sectors + 1) * SECTOR - (*offset & (SECTOR - 1));
}

static int unpack_zlib(const uint8_t *from, size_t from_len, uint8_t *to,
                       size_t to_len)
{
    z_stream z = { .avail_in = (uInt)from_len, .avail_out = (uInt)to_len };
    int rc;

    z.next_in = (Bytef *)(uintptr_t)from; /* only read */
    z.next_out = to;
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return -ENOMEM;
    rc = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* The stream may go on after the cluster is full. */
    return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && z.avail_out == 0 ? 0
                                                                         : -EIO;
}

static int unpack_zstd(const uint8_t *from, size_t from_len, uint8_t *to,
                       size_t to_len)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = { from, from_len, 0 };
    ZSTD_outBuffer out = { to, to_len, 0 };
    int rc = 0;

    if (context == NULL)
        return -ENOMEM;
    while (rc == 0 && out.pos < out.size) {
        size_t in_before = in.pos, out_before = out.pos;
        size_t left = ZSTD_decompressStream(context, &out, &in);

        if (ZSTD_isError(left) ||
            (in.pos == in_before && out.pos == out_before))
            rc = -EIO;
    }
    ZSTD_freeDCtx(context);
    return rc;
}

int qcow2_unpack(qcow2_image *image, uint64_t entry, const uint8_t **out)
{
    uint64_t offset, len;
    size_t room = (size_t)(2 * image->cluster_size + SECTOR);
    int rc;

    *out = image->unpacked;
    if (image->unpacked != NULL && image->unpacked_entry == entry)
        return 0;
    if (image->packed == NULL)
        image->packed = blk_buffer_new(room);
    if (image->unpacked == NULL)
        image->unpacked = blk_buffer_new((size_t)image->cluster_size);
    if (image->packed == NULL || image->unpacked == NULL)
        return -ENOMEM;
    image->unpacked_entry = 0;
    qcow2_packed_range(image, entry, &offset, &len);
    if (len > room)
        return -EIO;
    rc = blk_file_read(image->file, image->packed, (size_t)len, offset);
    if (rc < 0)
        return rc;
    if (image->header.compression == QCOW2_ZSTD)
        rc = unpack_zstd(image->packed, (size_t)len, image->unpacked,
                         (size_t)image->cluster_size);
    else
        rc = unpack_zlib(image->packed, (size_t)len, image->unpacked,
                         (size_t)image->cluster_size);
    if (rc == 0)
        image->unpacked_entry = entry;
    *out = image->unpacked;
    return rc;
}
