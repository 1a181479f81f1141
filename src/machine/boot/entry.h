/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * entry.h: the boot processor's state at a kernel's entry, and the pieces all
 * direct loaders share: command line and initrd.
 */
#ifndef VSR_MACHINE_BOOT_ENTRY_H
#define VSR_MACHINE_BOOT_ENTRY_H

#include "machine/boot/boot.h"
#include "machine/boot/image.h"

/* Protected mode, flat 4 GiB segments, paging off (PVH, multiboot). The GDT's
 * 48 bytes are written at `gdt_gpa`. */
bool vsr_entry_flat32(vsr_machine *machine, vsr_x86_state *state, uint32_t eip,
                      uint64_t gdt_gpa, GError **error);
/* Long mode, the low 4 GiB mapped one to one. */
bool vsr_entry_long64(vsr_machine *machine, vsr_x86_state *state, uint64_t rip,
                      GError **error);

/* What a kernel finds where a PC's BIOS starts, F000:FFF0: a reset. Linux on
 * reduced hardware restarts through it (efi_reboot_required()). */
#define VSR_ENTRY_BIOS UINT64_C(0xffff0)
bool vsr_entry_bios(vsr_machine *machine, GError **error);

/* Writes the command line with its NUL at `gpa`; `max` is what the kernel takes,
 * without the NUL. CONFIG with both numbers if it is longer. */
bool vsr_entry_cmdline(vsr_machine *machine, uint64_t gpa, const char *cmdline,
                       uint32_t max, GError **error);

typedef struct {
    uint64_t gpa, len; /* len 0: there is none */
} vsr_initrd;

/* Loads the initrd as high as it goes below `limit` (exclusive) and the end of
 * low RAM, page aligned, not below `floor` (the kernel's end). */
bool vsr_entry_initrd(vsr_machine *machine, const vsr_board *board,
                      const vsr_boot_source *source, uint64_t floor,
                      uint64_t limit, vsr_initrd *out, GError **error);

/* To guest RAM at a fixed low address. */
bool vsr_entry_write(vsr_machine *machine, uint64_t gpa, const void *data,
                     size_t len, GError **error);

#endif
