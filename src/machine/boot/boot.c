/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boot.c: what kind of image is it, and which loader takes it.
 *
 * Threads: control, vCPUs stopped.
 */
#include "machine/boot/boot.h"

#include "base/error.h"
#include "base/util.h"
#include "machine/boot/bzimage.h"
#include "machine/boot/elf.h"
#include "machine/boot/firmware.h"
#include "machine/boot/multiboot.h"
#include "machine/boot/pvh.h"

static bool open_kernel(const vsr_boot_source *source, vsr_image *out,
                        GError **error)
{
    return vsr_image_init(out, source->kernel_fd, "Kernel", source->kernel_name,
                          (uint64_t)VSR_KERNEL_MAX_MIB * VSR_MIB, error);
}

static bool probe_kernel(const vsr_image *image, vsr_image_kind *out,
                         GError **error)
{
    size_t len = (size_t)MIN(image->size, VSR_ELF_HEAD_MAX);
    g_autofree uint8_t *head = g_malloc(len);
    g_autoptr(GError) note_error = NULL;
    uint32_t entry;
    vsr_elf elf;

    if (!vsr_image_read(image, 0, head, len, "the header", error))
        return false;
    if (vsr_bzimage_is(head, len)) {
        *out = VSR_IMAGE_BZIMAGE;
        return true;
    }
    if (vsr_elf_is(head, len)) {
        if (!vsr_elf_parse(image, head, len, &elf, error))
            return false;
        if (vsr_elf_find_pvh(image, &elf, &entry, &note_error)) {
            *out = VSR_IMAGE_PVH;
            return true;
        }
        if (note_error) {
            g_propagate_error(error, g_steal_pointer(&note_error));
            return false;
        }
    }
    if (vsr_multiboot_is(head, len)) {
        *out = VSR_IMAGE_MULTIBOOT;
        return true;
    }
    if (vsr_elf_is(head, len))
        return vsr_image_bad(image, error,
                             "ELF file with neither a PVH entry note nor a"
                             " multiboot header");
    return vsr_image_bad(image, error,
                         "not a bzImage, an ELF kernel or a multiboot image");
}

bool vsr_boot_probe(const vsr_boot_source *source, vsr_image_kind *out,
                    GError **error)
{
    vsr_image image;

    if (source->firmware_fd >= 0) {
        if (source->kernel_fd >= 0)
            return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                            "Firmware '%s' and kernel '%s': only one of them"
                            " can be booted",
                            source->firmware_name, source->kernel_name);
        *out = VSR_IMAGE_FIRMWARE;
        return true;
    }
    if (source->kernel_fd < 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Nothing to boot: neither kernel nor firmware");
    return open_kernel(source, &image, error) &&
           probe_kernel(&image, out, error);
}

static bool load_kernel(vsr_machine *machine, const vsr_board *board,
                        const vsr_boot_source *source, const vsr_image *image,
                        vsr_image_kind kind, vsr_x86_state *state,
                        GError **error)
{
    switch (kind) {
    case VSR_IMAGE_BZIMAGE:
        return vsr_bzimage_load(machine, board, source, image, state, error);
    case VSR_IMAGE_PVH:
        return vsr_pvh_load(machine, board, source, image, state, error);
    case VSR_IMAGE_MULTIBOOT:
        return vsr_multiboot_load(machine, board, source, image, state, error);
    case VSR_IMAGE_FIRMWARE:
    default:
        return vsr_fail(error, VISOR_ERR_INTERNAL, "Image kind %u", kind);
    }
}

bool vsr_boot_load(vsr_machine *machine, const vsr_board *board,
                   const vsr_boot_source *source, vsr_x86_state *state,
                   GError **error)
{
    vsr_image_kind kind;
    vsr_image image;

    if (!vsr_boot_probe(source, &kind, error))
        return false;
    if (kind == VSR_IMAGE_FIRMWARE)
        return vsr_firmware_load(machine, board, source, state, error);
    if (!open_kernel(source, &image, error))
        return false;
    return load_kernel(machine, board, source, &image, kind, state, error) &&
           vsr_entry_bios(machine, error);
}
