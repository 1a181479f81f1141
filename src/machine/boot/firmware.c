/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * firmware.c: firmware at the reset vector.
 *
 * The image is ROM that ends at 4 GiB; its last 256 KiB are also below 1 MiB,
 * in RAM: what is there once a chipset has shadowed its firmware (SeaBIOS's
 * 256 KiB image needs all of it). The boot processor keeps its reset state: it
 * fetches at 0xfffffff0.
 *
 * Spec:    Intel SDM vol. 3A, 10.1.4 "First Instruction Executed".
 * Threads: control, vCPUs stopped.
 */
#include "machine/boot/firmware.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/boot/image.h"

#define TOP UINT64_C(0x100000000)

enum {
    PAGE = 4096,
    SIZE_MAX_BYTES = 16 * 1024 * 1024,
    PIECE = 64 * 1024,
    SHADOW_LEN = 256 * 1024,
};
#define SHADOW_TOP UINT64_C(0x100000)

static bool fill_rom(vsr_machine *machine, const vsr_image *image,
                     GError **error)
{
    g_autofree uint8_t *piece = g_malloc(PIECE);
    uint64_t base = TOP - image->size;
    uint64_t at;

    for (at = 0; at < image->size; at += PIECE) {
        uint64_t len = MIN(image->size - at, PIECE);

        if (!vsr_image_read(image, at, piece, len, "the firmware", error))
            return false;
        if (vsr_mem_rom_write(machine->mem, base + at, piece, len))
            return vsr_image_bad(image, error,
                                 "%" PRIu64 " bytes: another size than at the"
                                 " first start",
                                 image->size);
    }
    return true;
}

bool vsr_firmware_load(vsr_machine *machine, const vsr_board *board,
                       const vsr_boot_source *source, vsr_x86_state *state,
                       GError **error)
{
    const vsr_mem_options options = { .no_thp = true };
    uint64_t shadow;
    uint8_t byte;
    vsr_image image;

    if (!vsr_image_init(&image, source->firmware_fd, "Firmware",
                        source->firmware_name, SIZE_MAX_BYTES, error))
        return false;
    if (image.size % PAGE)
        return vsr_image_bad(&image, error,
                             "%" PRIu64 " bytes is not a multiple of %d",
                             image.size, PAGE);
    /* A reset finds the ROM of the first start. */
    if (vsr_mem_read(machine->mem, TOP - 1, &byte, 1) != 0 &&
        !vsr_mem_add_ram(machine->mem, "firmware", TOP - image.size, image.size,
                         true, &options, error))
        return false;
    shadow = MIN(image.size, SHADOW_LEN);
    return fill_rom(machine, &image, error) &&
           vsr_image_to_ram(&image, image.size - shadow, shadow, machine,
                            SHADOW_TOP - shadow, "the BIOS area", error);
}
