/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boot_images.h: small kernels made of nothing, for tests of the loaders.
 */
#ifndef VSR_TESTS_SUPPORT_BOOT_IMAGES_H
#define VSR_TESTS_SUPPORT_BOOT_IMAGES_H

#include <stdint.h>

#include <glib.h>

#include "machine/boot/decompress.h"

/* An unlinked file with these bytes; the caller closes it. */
int image_fd(const void *data, size_t len);

typedef struct {
    bool is_32;
    uint32_t pvh_entry; /* 0: no note */
    uint64_t gpa;       /* of the one segment */
    uint32_t len;       /* its bytes in the file: byte i is (uint8_t)(i * 7) */
    uint32_t bss;       /* more in memory */
    uint64_t entry;     /* e_entry; 0: gpa */
    uint32_t prefix;    /* bytes of the file to reserve after the headers, for
                           a multiboot header at offset 512 */
} image_elf_params;

/* Segment data starts at 4096 + prefix. */
GByteArray *image_elf(const image_elf_params *params);

/* A bzImage of boot protocol 2.15 around `payload` packed as `format`;
 * VSR_PACKED_NONE: payload as it is. NULL when the library is missing. */
GByteArray *image_bzimage(const GByteArray *payload, vsr_packed format);
/* Offset of the payload in it. */
uint32_t image_bzimage_payload(const GByteArray *image);

/* Multiboot 1 header with flags; addresses are used when bit 16 is set. */
void image_put_multiboot(GByteArray *image, uint32_t at, uint32_t flags,
                         uint32_t header_addr, uint32_t load_addr,
                         uint32_t load_end, uint32_t bss_end, uint32_t entry);

#endif
