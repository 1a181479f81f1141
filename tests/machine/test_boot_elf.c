/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/boot/elf.h"

#include <elf.h>

#include "tests/machine/boot_fixture.h"

static Elf64_Ehdr *header(GByteArray *image)
{
    return (Elf64_Ehdr *)(void *)image->data;
}

static Elf64_Phdr *phdr(GByteArray *image, size_t i)
{
    return (Elf64_Phdr *)(void *)(image->data + sizeof(Elf64_Ehdr)) + i;
}

static GByteArray *good(void)
{
    const image_elf_params p = {
        .pvh_entry = 0x200010, .gpa = 0x200000, .len = 5000, .bss = 9000
    };

    return image_elf(&p);
}

static void both_classes_load(void **state)
{
    int is_32;

    for (is_32 = 0; is_32 < 2; is_32++) {
        boot_fixture *f = boot_fixture_new(16 * MIB);
        const image_elf_params p = { .is_32 = is_32,
                                     .pvh_entry = 0x200010,
                                     .gpa = 0x200000,
                                     .len = 5000,
                                     .bss = 9000 };
        g_autoptr(GByteArray) image = image_elf(&p);

        if (!boot_load(f, image))
            fail_msg("%s", f->error->message);
        assert_int_equal(f->state.rip, 0x200010);
        assert_int_equal(f->state.rflags, 2);
        assert_pattern(f, 0x200000, 5000);
        assert_int_equal(f->state.seg[VSR_X86_CS].limit, UINT32_MAX);
        assert_true(f->state.seg[VSR_X86_CS].attr & VSR_SEG_DB);
        assert_false(f->state.seg[VSR_X86_CS].attr & VSR_SEG_L);
        /* The GDT says the same. */
        assert_int_equal(peek(f, f->state.gdt.base + 0x10, 8),
                         UINT64_C(0x00cf9b000000ffff));
        assert_int_equal(peek(f, f->state.gdt.base + 0x18, 8),
                         UINT64_C(0x00cf93000000ffff));
        boot_fixture_free(f);
    }
}

static void note_of_eight_bytes_and_eight_alignment_is_found(void **state)
{
    /* "GNU" note first, then Xen's, 8-byte aligned. */
    uint8_t notes[64] = { 0 };
    uint32_t entry = 0;

    vsr_put32(notes, 4);
    vsr_put32(notes + 4, 3);
    vsr_put32(notes + 8, 5);
    memcpy(notes + 12, "GNU", 4);
    /* description at 12 + 8, ends at 20 + 8 */
    vsr_put32(notes + 28, 4);
    vsr_put32(notes + 32, 8);
    vsr_put32(notes + 36, 18);
    memcpy(notes + 40, "Xen", 4);
    vsr_put64(notes + 48, 0x1234);
    assert_true(vsr_elf_pvh_note(notes, sizeof(notes), 8, &entry));
    assert_int_equal(entry, 0x1234);
    vsr_put64(notes + 48, UINT64_C(0x100000000));
    assert_false(vsr_elf_pvh_note(notes, sizeof(notes), 8, &entry));
    vsr_put32(notes + 4, UINT32_MAX);
    assert_false(vsr_elf_pvh_note(notes, sizeof(notes), 8, &entry));
    vsr_put32(notes, UINT32_MAX);
    assert_false(vsr_elf_pvh_note(notes, sizeof(notes), 4, &entry));
    assert_false(vsr_elf_pvh_note(notes, 0, 4, &entry));
    assert_false(vsr_elf_pvh_note(notes, 11, 4, &entry));
}

static void segments_outside_of_ram_are_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    g_autoptr(GByteArray) image = good();

    phdr(image, 0)->p_paddr = 16 * MIB - 4096;
    assert_refused(f, image, VISOR_ERR_IMAGE, "outside of RAM (16 MiB)");
    phdr(image, 0)->p_paddr = UINT64_MAX - 100;
    assert_refused(f, image, VISOR_ERR_IMAGE, "wraps");
    phdr(image, 0)->p_paddr = 0x6000;
    assert_refused(f, image, VISOR_ERR_IMAGE, "overlaps boot data");
    phdr(image, 0)->p_paddr = 0xdf000;
    assert_refused(f, image, VISOR_ERR_IMAGE, "overlaps boot data");
    phdr(image, 0)->p_paddr = 0x200000;
    phdr(image, 0)->p_memsz = UINT64_C(1) << 62;
    assert_refused(f, image, VISOR_ERR_IMAGE, "outside of RAM");
    boot_fixture_free(f);
}

static void headers_are_checked(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    g_autoptr(GByteArray) image = good();

    header(image)->e_machine = EM_AARCH64;
    assert_refused(f, image, VISOR_ERR_IMAGE, "machine 183");
    header(image)->e_machine = EM_X86_64;
    header(image)->e_type = ET_REL;
    assert_refused(f, image, VISOR_ERR_IMAGE, "type 1");
    header(image)->e_type = ET_EXEC;
    image->data[EI_DATA] = ELFDATA2MSB;
    assert_refused(f, image, VISOR_ERR_IMAGE, "little-endian");
    image->data[EI_DATA] = ELFDATA2LSB;
    image->data[EI_CLASS] = 7;
    assert_refused(f, image, VISOR_ERR_IMAGE, "class 7");
    image->data[EI_CLASS] = ELFCLASS64;
    header(image)->e_phentsize = 8;
    assert_refused(f, image, VISOR_ERR_IMAGE, "header size 8");
    header(image)->e_phentsize = sizeof(Elf64_Phdr);
    header(image)->e_phnum = 0xffff;
    assert_refused(f, image, VISOR_ERR_IMAGE, "65535");
    header(image)->e_phnum = 2;
    header(image)->e_phoff = UINT64_MAX - 8;
    assert_refused(f, image, VISOR_ERR_IMAGE, "are not in the first");
    header(image)->e_phoff = sizeof(Elf64_Ehdr);
    phdr(image, 0)->p_filesz = phdr(image, 0)->p_memsz + 1;
    assert_refused(f, image, VISOR_ERR_IMAGE, "in the file");
    phdr(image, 0)->p_filesz = 5000;
    phdr(image, 0)->p_offset = image->len - 4999;
    assert_refused(f, image, VISOR_ERR_IMAGE, "truncated");
    phdr(image, 0)->p_type = PT_NULL;
    assert_refused(f, image, VISOR_ERR_IMAGE, "nothing to load");
    boot_fixture_free(f);
}

static void overlapping_segments_are_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    g_autoptr(GByteArray) image = good();

    *phdr(image, 1) = *phdr(image, 0);
    phdr(image, 1)->p_paddr += phdr(image, 0)->p_memsz - 1;
    assert_refused(f, image, VISOR_ERR_IMAGE, "overlap");
    boot_fixture_free(f);
}

static void elf_without_an_entry_we_know_is_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    const image_elf_params p = { .gpa = 0x200000, .len = 5000 };
    g_autoptr(GByteArray) image = image_elf(&p);

    assert_refused(f, image, VISOR_ERR_IMAGE,
                   "neither a PVH entry note nor a multiboot header");
    boot_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_classes_load),
        cmocka_unit_test(note_of_eight_bytes_and_eight_alignment_is_found),
        cmocka_unit_test(segments_outside_of_ram_are_refused),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(overlapping_segments_are_refused),
        cmocka_unit_test(elf_without_an_entry_we_know_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
