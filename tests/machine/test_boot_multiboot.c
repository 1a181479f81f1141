/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/boot/multiboot.h"

#include "tests/machine/boot_fixture.h"

static void assert_string(boot_fixture *f, uint64_t gpa, const char *text)
{
    const char *at = vsr_mem_map(f->machine->mem, gpa, strlen(text) + 1);

    assert_non_null(at);
    assert_string_equal(at, text);
}

static void elf_gets_the_information_structure(void **state)
{
    int is_32;

    for (is_32 = 0; is_32 < 2; is_32++) {
        boot_fixture *f = boot_fixture_new(16 * MIB);
        const image_elf_params p = { .is_32 = is_32,
                                     .gpa = 0x100000,
                                     .len = 5000,
                                     .bss = 100,
                                     .entry = 0x100020 };
        g_autoptr(GByteArray) image = image_elf(&p);
        uint64_t info, module;

        image_put_multiboot(image, 512, 3, 0, 0, 0, 0, 0);
        f->source.initrd_fd = image_fd("module", 6);
        f->source.cmdline = "a=1 b";
        if (!boot_load(f, image))
            fail_msg("%s", f->error->message);
        assert_int_equal(f->state.rip, 0x100020);
        assert_int_equal(f->state.gpr[VSR_X86_RAX], 0x2badb002);
        assert_int_equal(f->state.idt.base, 0);
        assert_int_equal(f->state.idt.limit, 0x3ff);
        assert_pattern(f, 0x100000, 5000);
        info = f->state.gpr[VSR_X86_RBX];
        assert_int_equal(peek(f, info, 4), 0x24d);
        assert_int_equal(peek(f, info + 4, 4), 640);
        assert_int_equal(peek(f, info + 8, 4), 15 * 1024);
        assert_string(f, peek(f, info + 16, 4), "kern a=1 b");
        assert_int_equal(peek(f, info + 20, 4), 1);
        module = peek(f, info + 24, 4);
        assert_int_equal(peek(f, module, 4), 0x102000);
        assert_int_equal(peek(f, module + 4, 4), 0x102006);
        assert_string(f, peek(f, module + 8, 4), "init");
        assert_int_equal(peek(f, 0x102000, 4), 0x75646f6d);
        assert_int_equal(peek(f, info + 44, 4), 3 * 24);
        assert_int_equal(peek(f, peek(f, info + 48, 4), 4), 20);
        boot_fixture_free(f);
    }
}

static void boot_data_keeps_clear_of_a_low_image(void **state)
{
    static const uint64_t from[] = { 0x1000, 0x4000, 0x50000 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(from); i++) {
        boot_fixture *f = boot_fixture_new(16 * MIB);
        const image_elf_params p = { .is_32 = true,
                                     .gpa = from[i],
                                     .len = 0x30000,
                                     .bss = 0x10000,
                                     .entry = from[i] + 0x20 };
        g_autoptr(GByteArray) image = image_elf(&p);
        uint64_t end = from[i] + 0x40000, info;

        image_put_multiboot(image, 512, 3, 0, 0, 0, 0, 0);
        f->source.cmdline = "a=1 b";
        if (!boot_load(f, image))
            fail_msg("%s", f->error->message);
        assert_pattern(f, from[i], 0x30000);
        info = f->state.gpr[VSR_X86_RBX];
        assert_true(info + 0x400 <= from[i] || info >= end);
        assert_true(f->state.gdt.base + 0x30 <= from[i] ||
                    f->state.gdt.base >= end);
        assert_string(f, peek(f, info + 16, 4), "kern a=1 b");
        assert_true(peek(f, info + 16, 4) >= end ||
                    peek(f, info + 16, 4) + 4096 <= from[i]);
        assert_int_equal(peek(f, f->state.gdt.base + 0x10, 8),
                         0x00cf9b000000ffff);
        boot_fixture_free(f);
    }
}

static void image_that_leaves_no_low_memory_is_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    const image_elf_params p = {
        .is_32 = true, .gpa = 0x1000, .len = 0x9f000, .entry = 0x1020
    };
    GByteArray *image = image_elf(&p);

    image_put_multiboot(image, 512, 3, 0, 0, 0, 0, 0);
    assert_refused(f, image, VISOR_ERR_IMAGE, "no room");
    g_byte_array_unref(image);
    boot_fixture_free(f);
}

static void addresses_in_the_header_place_a_flat_image(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    GByteArray *image = g_byte_array_new();
    uint32_t i;

    g_byte_array_set_size(image, 8000);
    for (i = 0; i < 8000; i++)
        image->data[i] = (uint8_t)(i * 7);
    /* File offset 64 is at 0x100000. */
    image_put_multiboot(image, 1024, 1u << 16, 0x100000 + 960, 0x100000,
                        0x100000 + 4000, 0x100000 + 6000, 0x100004);
    if (!boot_load(f, image))
        fail_msg("%s", f->error->message);
    assert_int_equal(f->state.rip, 0x100004);
    assert_int_equal(peek(f, 0x100000, 1), (uint8_t)(64 * 7));
    assert_int_equal(peek(f, 0x100000 + 3999, 1), (uint8_t)(4063 * 7));
    assert_int_equal(peek(f, 0x100000 + 4000, 8), 0);

    image_put_multiboot(image, 1024, 1u << 16, 0x100000 + 2000, 0x100000, 0, 0,
                        0x100004);
    assert_refused(f, image, VISOR_ERR_IMAGE, "header at 0x1007d0");
    image_put_multiboot(image, 1024, 1u << 16, 0x100000, 0x200000, 0, 0, 0);
    assert_refused(f, image, VISOR_ERR_IMAGE, "load address 0x200000");
    image_put_multiboot(image, 1024, 1u << 16, 0x100000 + 960, 0x100000,
                        0x100000 - 1, 0, 0);
    assert_refused(f, image, VISOR_ERR_IMAGE, "load end 0xfffff");
    image_put_multiboot(image, 1024, 1u << 16, 0x100000 + 960, 0x100000,
                        0x100000 + 4000, 0x100000 + 3999, 0);
    assert_refused(f, image, VISOR_ERR_IMAGE, "bss end");
    image_put_multiboot(image, 1024, 1u << 16, 0x100000 + 960, 0x100000,
                        0x100000 + 40000, 0, 0);
    assert_refused(f, image, VISOR_ERR_IMAGE, "truncated");
    image_put_multiboot(image, 1024, 1u << 16, 0xfffff000 + 960, 0xfffff000, 0,
                        0, 0);
    assert_refused(f, image, VISOR_ERR_IMAGE, "outside of RAM");
    image_put_multiboot(image, 1024, 1u << 16 | 1u << 5, 0x100000 + 960,
                        0x100000, 0, 0, 0);
    assert_refused(f, image, VISOR_ERR_IMAGE, "flags 0x10020");
    g_byte_array_unref(image);
    boot_fixture_free(f);
}

static void header_must_add_up_and_be_near(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    GByteArray *image = g_byte_array_new();

    g_byte_array_set_size(image, 10000);
    memset(image->data, 0, image->len);
    image_put_multiboot(image, 8192 - 12, 0, 0, 0, 0, 0, 0);
    assert_true(vsr_multiboot_is(image->data, image->len));
    image->data[8192 - 4]++;
    assert_false(vsr_multiboot_is(image->data, image->len));
    memset(image->data, 0, image->len);
    image_put_multiboot(image, 8192 - 8, 0, 0, 0, 0, 0, 0);
    assert_false(vsr_multiboot_is(image->data, image->len));
    memset(image->data, 0, image->len);
    image_put_multiboot(image, 8192 - 16, 1u << 16, 0, 0, 0, 0, 0);
    assert_false(vsr_multiboot_is(image->data, image->len));
    assert_false(vsr_multiboot_is(image->data, 11));
    g_byte_array_unref(image);
    boot_fixture_free(f);
}

static void module_that_does_not_fit_is_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(2 * MIB);
    const image_elf_params p = { .is_32 = true, .gpa = 0x100000, .len = 5000 };
    g_autoptr(GByteArray) image = image_elf(&p);

    image_put_multiboot(image, 512, 0, 0, 0, 0, 0, 0);
    f->source.initrd_fd = image_fd("", 0);
    assert_int_equal(ftruncate(f->source.initrd_fd, 2 * MIB), 0);
    assert_refused(f, image, VISOR_ERR_IMAGE, "do not fit");
    boot_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elf_gets_the_information_structure),
        cmocka_unit_test(boot_data_keeps_clear_of_a_low_image),
        cmocka_unit_test(image_that_leaves_no_low_memory_is_refused),
        cmocka_unit_test(addresses_in_the_header_place_a_flat_image),
        cmocka_unit_test(header_must_add_up_and_be_near),
        cmocka_unit_test(module_that_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
