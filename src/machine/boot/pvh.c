/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pvh.c: hvm_start_info and the PVH entry.
 *
 * Spec:    Xen public/arch-x86/hvm/start_info.h, version 1: start info 56
 *          bytes, module list entry 32, memory map entry 24.
 * Threads: control, vCPUs stopped.
 */
#include "machine/boot/pvh.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/boot/elf.h"

enum {
    START_MAGIC = 0x336ec578,
    START_LEN = 56,
    MODULE_AT = 0x80, /* from VSR_BOOT_PARAMS */
    MEMMAP_AT = 0x100,
    MEMMAP_ENTRY = 24,
    MEMMAP_MAX = 32,
    PARAMS_LEN = MEMMAP_AT + MEMMAP_MAX * MEMMAP_ENTRY,
};

static bool write_start_info(vsr_machine *machine, const vsr_board *board,
                             const vsr_initrd *initrd, uint64_t rsdp,
                             GError **error)
{
    uint8_t page[PARAMS_LEN] = { 0 };
    vsr_memmap_entry map[MEMMAP_MAX];
    uint32_t n = vsr_board_memmap(board, map, MEMMAP_MAX);
    uint32_t i;

    vsr_put32(page, START_MAGIC);
    vsr_put32(page + 4, 1); /* version */
    vsr_put64(page + 24, VSR_BOOT_CMDLINE);
    vsr_put64(page + 32, rsdp);
    vsr_put64(page + 40, VSR_BOOT_PARAMS + MEMMAP_AT);
    vsr_put32(page + 48, n);
    if (initrd->len) {
        vsr_put32(page + 12, 1); /* modules */
        vsr_put64(page + 16, VSR_BOOT_PARAMS + MODULE_AT);
        vsr_put64(page + MODULE_AT, initrd->gpa);
        vsr_put64(page + MODULE_AT + 8, initrd->len);
    }
    for (i = 0; i < n; i++) {
        uint8_t *entry = page + MEMMAP_AT + (size_t)i * MEMMAP_ENTRY;

        vsr_put64(entry, map[i].addr);
        vsr_put64(entry + 8, map[i].len);
        vsr_put32(entry + 16, map[i].type);
    }
    return vsr_entry_write(machine, VSR_BOOT_PARAMS, page, sizeof(page), error);
}

bool vsr_pvh_enter(vsr_machine *machine, const vsr_board *board,
                   const vsr_boot_source *source, uint32_t entry,
                   uint64_t kernel_end, uint32_t cmdline_max,
                   vsr_x86_state *state, GError **error)
{
    vsr_initrd initrd;
    uint64_t rsdp;
    uint8_t byte;

    if (vsr_mem_read(machine->mem, entry, &byte, 1))
        return vsr_fail(error, VISOR_ERR_IMAGE,
                        "Kernel '%s': PVH entry point 0x%x is not in RAM",
                        source->kernel_name, entry);
    if (!vsr_entry_cmdline(machine, VSR_BOOT_CMDLINE, source->cmdline,
                           cmdline_max, error) ||
        !vsr_entry_initrd(machine, board, source, kernel_end, UINT32_MAX,
                          &initrd, error) ||
        !vsr_acpi_build(board, machine, &rsdp, error) ||
        !write_start_info(machine, board, &initrd, rsdp, error) ||
        !vsr_entry_flat32(machine, state, entry, VSR_BOOT_GDT, error))
        return false;
    state->gpr[VSR_X86_RBX] = VSR_BOOT_PARAMS;
    return true;
}

bool vsr_pvh_load(vsr_machine *machine, const vsr_board *board,
                  const vsr_boot_source *source, const vsr_image *image,
                  vsr_x86_state *state, GError **error)
{
    size_t len = (size_t)MIN(image->size, VSR_ELF_HEAD_MAX);
    g_autofree uint8_t *head = g_malloc(len);
    g_autoptr(GError) note_error = NULL;
    uint32_t entry;
    vsr_elf elf;

    if (!vsr_image_read(image, 0, head, len, "the ELF header", error) ||
        !vsr_elf_parse(image, head, len, &elf, error))
        return false;
    if (!vsr_elf_find_pvh(image, &elf, &entry, &note_error)) {
        if (note_error) {
            g_propagate_error(error, g_steal_pointer(&note_error));
            return false;
        }
        return vsr_image_bad(image, error, "ELF file has no PVH entry note");
    }
    return vsr_elf_load(image, &elf, machine, board, error) &&
           vsr_pvh_enter(machine, board, source, entry, elf.last,
                         VSR_CMDLINE_MAX, state, error);
}
