/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elf.c: fuzz target of the ELF, note and multiboot parsers.
 *
 * Input: one byte of choices, then either the file itself or changes to a good
 * one (offset in the first 4 KiB, value: three bytes each).
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "machine/boot/elf.h"
#include "machine/boot/multiboot.h"
#include "tests/support/boot_images.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

static GByteArray *make(uint8_t choice, const uint8_t *data, size_t size)
{
    const image_elf_params params = { .is_32 = choice & 1,
                                      .pvh_entry = choice & 2 ? 0x200010 : 0,
                                      .gpa = 0x200000,
                                      .len = 300,
                                      .bss = 500 };
    GByteArray *image;

    if (choice & 4) {
        image = g_byte_array_new();
        g_byte_array_append(image, data, (guint)size);
        return image;
    }
    image = image_elf(&params);
    image_put_multiboot(image, 512, choice & 8 ? 1u << 16 : 0, 0x200200,
                        0x200000, 0, 0, 0x200000);
    for (; size >= 3; data += 3, size -= 3)
        image->data[vsr_le16(data) % (choice & 16 ? 128 : 2048)] = data[2];
    return image;
}

/* What a parser lets through must hold. */
static void check_elf(const vsr_elf *elf)
{
    uint32_t i, j;

    CHECK(elf->n_segments >= 1 && elf->n_segments <= VSR_ELF_SEGMENTS_MAX);
    CHECK(elf->n_notes <= VSR_ELF_NOTES_MAX);
    for (i = 0; i < elf->n_segments; i++) {
        const vsr_elf_segment *a = &elf->segment[i];

        CHECK(a->mem_len > 0 && a->file_len <= a->mem_len);
        CHECK(a->gpa + a->mem_len > a->gpa);
        CHECK(elf->first <= a->gpa && a->gpa + a->mem_len <= elf->last);
        for (j = 0; j < i; j++)
            CHECK(a->gpa >= elf->segment[j].gpa + elf->segment[j].mem_len ||
                  elf->segment[j].gpa >= a->gpa + a->mem_len);
    }
    for (i = 0; i < elf->n_notes; i++)
        CHECK(elf->note[i].len <= VSR_ELF_NOTE_LEN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const vsr_image name = { .fd = -1, .kind = "Kernel", .name = "fuzz" };
    g_autoptr(GByteArray) image = NULL;
    g_autoptr(GError) error = NULL;
    uint8_t *exact;
    uint32_t entry;
    vsr_elf elf;

    if (size < 1)
        return 0;
    image = make(data[0], data + 1, size - 1);
    /* A copy of its own, so that a sanitizer sees a read behind it. */
    exact = g_memdup2(image->data, image->len);
    if (vsr_elf_parse(&name, exact, image->len, &elf, &error))
        check_elf(&elf);
    else
        CHECK(error && error->message[0]);
    (void)vsr_elf_pvh_note(exact, image->len, 4, &entry);
    (void)vsr_elf_pvh_note(exact, image->len, 8, &entry);
    (void)vsr_multiboot_is(exact, image->len);
    (void)vsr_packed_detect(exact, image->len);
    g_free(exact);
    return 0;
}
