/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decompress.h: a compressed kernel payload, as a stream of bounded memory.
 *
 * Spec: RFC 1952 (gzip), RFC 8878 (zstd), the .xz format 1.1, LZ4 frame format
 *       1.6 "Legacy frame", Linux scripts/Makefile.lib (what is appended).
 */
#ifndef VSR_MACHINE_BOOT_DECOMPRESS_H
#define VSR_MACHINE_BOOT_DECOMPRESS_H

#include "machine/boot/image.h"

typedef enum {
    VSR_PACKED_NONE, /* an ELF file as it is */
    VSR_PACKED_GZIP,
    VSR_PACKED_BZIP2,
    VSR_PACKED_LZMA,
    VSR_PACKED_XZ,
    VSR_PACKED_LZO,
    VSR_PACKED_LZ4,
    VSR_PACKED_ZSTD,
    VSR_PACKED_UNKNOWN,
} vsr_packed;

/* By the first bytes (6 at least). */
vsr_packed vsr_packed_detect(const uint8_t *data, size_t len);
const char *vsr_packed_name(vsr_packed format);
/* Is it compiled in? */
bool vsr_packed_supported(vsr_packed format);

/* Takes the next bytes of output. False with *error set: stop. */
typedef bool vsr_unpack_sink(const uint8_t *data, size_t len, void *opaque,
                             GError **error);

/* Decompresses [offset, offset+len) of the file, which is exactly one payload
 * of Linux's build: for all but gzip its last four bytes are the size of the
 * output. More than `max_out` bytes, or not that size, is an IMAGE error. */
bool vsr_unpack(const vsr_image *image, uint64_t offset, uint64_t len,
                vsr_packed format, uint64_t max_out, vsr_unpack_sink *sink,
                void *opaque, GError **error);

#endif
