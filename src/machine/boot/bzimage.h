/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bzimage.h: a Linux bzImage: its setup header, the kernel inside of it, and
 * the 64-bit entry.
 *
 * Spec: Linux Documentation/x86/boot.rst, boot protocol 2.12 and later.
 */
#ifndef VSR_MACHINE_BOOT_BZIMAGE_H
#define VSR_MACHINE_BOOT_BZIMAGE_H

#include "machine/boot/entry.h"

enum { VSR_BZIMAGE_HEAD_LEN = 0x290 };

/* The setup header, checked. Offsets are in the file. */
typedef struct {
    uint16_t version;
    uint64_t code_offset, code_len;       /* the protected-mode part */
    uint64_t payload_offset, payload_len; /* len 0: none */
    uint64_t pref_address, init_size;
    uint32_t alignment;
    bool relocatable, entry_64;
    uint32_t initrd_addr_max, cmdline_size;
    uint8_t header[VSR_BZIMAGE_HEAD_LEN]; /* the file's first bytes */
    uint32_t header_end; /* of the setup header, from the file's start */
} vsr_bzimage;

/* Has the file the magic of the boot protocol? */
bool vsr_bzimage_is(const uint8_t *head, size_t len);
bool vsr_bzimage_parse(const vsr_image *image, vsr_bzimage *out,
                       GError **error);
/* Unpacks the kernel ourselves and enters it by PVH where that is possible,
 * else loads the image for its own 64-bit entry. */
bool vsr_bzimage_load(vsr_machine *machine, const vsr_board *board,
                      const vsr_boot_source *source, const vsr_image *image,
                      vsr_x86_state *state, GError **error);

#endif
