/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pvh.h: entering a kernel by the PVH protocol.
 *
 * Spec: Xen docs/misc/pvh.pandoc; public/arch-x86/hvm/start_info.h, version 1.
 */
#ifndef VSR_MACHINE_BOOT_PVH_H
#define VSR_MACHINE_BOOT_PVH_H

#include "machine/boot/entry.h"

/* The kernel is in RAM already, up to `kernel_end`. Loads the initrd, writes
 * command line, tables and hvm_start_info, sets the state. */
bool vsr_pvh_enter(vsr_machine *machine, const vsr_board *board,
                   const vsr_boot_source *source, uint32_t entry,
                   uint64_t kernel_end, uint32_t cmdline_max,
                   vsr_x86_state *state, GError **error);

/* An uncompressed ELF with a PVH note. */
bool vsr_pvh_load(vsr_machine *machine, const vsr_board *board,
                  const vsr_boot_source *source, const vsr_image *image,
                  vsr_x86_state *state, GError **error);

#endif
