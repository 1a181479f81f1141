/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boot.h: putting something bootable into RAM.
 *
 * All input is hostile: an image is checked against its own headers, the RAM
 * that is there and the limits below before a byte is copied.
 *
 * Threads: control, vCPUs stopped.
 */
#ifndef VSR_MACHINE_BOOT_BOOT_H
#define VSR_MACHINE_BOOT_BOOT_H

#include "machine/machine.h"
#include "machine/x86/board.h"

typedef enum {
    VSR_IMAGE_BZIMAGE,   /* Linux boot protocol >= 2.06 with a 64-bit entry */
    VSR_IMAGE_PVH,       /* ELF with a Xen PHYS32_ENTRY note */
    VSR_IMAGE_MULTIBOOT, /* ELF or flat, multiboot 1 header in 8 KiB */
    VSR_IMAGE_FIRMWARE,  /* mapped to end at 4 GiB, reset vector */
} vsr_image_kind;

enum {
    VSR_CMDLINE_MAX = 4095, /* bytes, without the NUL */
    VSR_KERNEL_MAX_MIB = 1024,
};

typedef struct {
    int kernel_fd;   /* -1: none. Borrowed; regular file, read with pread */
    int initrd_fd;   /* -1: none */
    int firmware_fd; /* -1: none */
    const char *kernel_name; /* for messages */
    const char *initrd_name;
    const char *firmware_name;
    const char *cmdline; /* "" for none */
} vsr_boot_source;

/* What kind of image is it? Reads headers only. IMAGE error if none. */
bool vsr_boot_probe(const vsr_boot_source *source, vsr_image_kind *out,
                    GError **error);
/* Load it all: image, initrd, command line, memory map, ACPI tables, and the
 * boot processor's state. */
bool vsr_boot_load(vsr_machine *machine, const vsr_board *board,
                   const vsr_boot_source *source, vsr_x86_state *state,
                   GError **error);

#endif
