/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * multiboot.h: multiboot 1 images, as many small kernels are.
 *
 * Spec: Multiboot Specification 0.6.96.
 */
#ifndef VSR_MACHINE_BOOT_MULTIBOOT_H
#define VSR_MACHINE_BOOT_MULTIBOOT_H

#include "machine/boot/entry.h"

/* Is there a header with a right checksum in the first 8 KiB? */
bool vsr_multiboot_is(const uint8_t *head, size_t len);
/* The initrd becomes the one module. */
bool vsr_multiboot_load(vsr_machine *machine, const vsr_board *board,
                        const vsr_boot_source *source, const vsr_image *image,
                        vsr_x86_state *state, GError **error);

#endif
