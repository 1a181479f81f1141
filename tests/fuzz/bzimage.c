/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bzimage.c: fuzz target of the bzImage loader and its decompressors.
 *
 * Input: one byte that chooses the packing, then changes to a good image: three
 * bytes each, offset (little-endian, from the setup header or from the payload)
 * and value. Whatever they are: a load that succeeds leaves an entry point in
 * RAM, one that fails says why.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/boot/bzimage.h"
#include "tests/support/boot_images.h"
#include "tests/support/fake_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

static GByteArray *good_image(uint8_t choice)
{
    const image_elf_params params = { .pvh_entry = choice & 0x10 ? 0 : 0x200010,
                                      .gpa = 0x200000,
                                      .len = 3000,
                                      .bss = 5000 };
    g_autoptr(GByteArray) elf = image_elf(&params);
    GByteArray *image = image_bzimage(elf, (vsr_packed)(choice & 7));

    return image ? image : image_bzimage(elf, VSR_PACKED_NONE);
}

static void change(GByteArray *image, const uint8_t *data, size_t size)
{
    for (; size >= 3; data += 3, size -= 3) {
        uint32_t offset = vsr_le16(data);
        uint32_t at = offset & 0x8000
                          ? image_bzimage_payload(image) + (offset & 0x7fff)
                          : 0x1f1 + offset % 0x80;

        image->data[at % image->len] = data[2];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const vsr_mem_options options = { .no_thp = true };
    vsr_boot_source source = { .initrd_fd = -1,
                               .firmware_fd = -1,
                               .kernel_name = "fuzz",
                               .cmdline = "a b" };
    g_autoptr(GByteArray) image = NULL;
    g_autoptr(GError) error = NULL;
    vsr_x86_state state = { 0 };
    vsr_machine *machine;
    vsr_board board;
    uint8_t byte;

    if (size < 1)
        return 0;
    image = good_image(data[0]);
    change(image, data + 1, size - 1);
    if (data[0] & 0x20)
        g_byte_array_set_size(image, image->len - size % image->len);
    machine = fake_machine_new(1);
    CHECK(machine);
    CHECK(vsr_board_init(&board, VSR_BOARD_PCI, 32 << 20, 1, 1, NULL) &&
          vsr_board_add_ram(&board, machine, &options, NULL));
    source.kernel_fd = image_fd(image->data, image->len);
    if (vsr_boot_load(machine, &board, &source, &state, &error))
        CHECK(vsr_mem_read(machine->mem, state.rip, &byte, 1) == 0);
    else
        CHECK(error && error->message[0]);
    close(source.kernel_fd);
    vsr_machine_free(machine);
    return 0;
}
