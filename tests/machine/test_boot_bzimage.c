/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/boot/bzimage.h"

#include "tests/machine/boot_fixture.h"

enum { ENTRY = 0x1000123, KERNEL_LEN = 300000 };

static GByteArray *kernel(uint32_t pvh_entry)
{
    const image_elf_params p = {
        .pvh_entry = pvh_entry, .gpa = 0x1000000, .len = KERNEL_LEN, .bss = 8192
    };

    return image_elf(&p);
}

static void each_format_is_unpacked_and_entered_at_startup_64(void **state)
{
    g_autoptr(GByteArray) elf = kernel(ENTRY);
    int format;

    for (format = VSR_PACKED_GZIP; format < VSR_PACKED_UNKNOWN; format++) {
        g_autoptr(GByteArray) image = image_bzimage(elf, (vsr_packed)format);
        boot_fixture *f;

        if (!image) {
            print_message("%s: not in this build\n",
                          vsr_packed_name((vsr_packed)format));
            continue;
        }
        f = boot_fixture_new(64 * MIB);
        if (!boot_load(f, image))
            fail_msg("%s: %s", vsr_packed_name((vsr_packed)format),
                     f->error->message);
        assert_int_equal(f->state.rip, 0x1000000);
        assert_int_equal(f->state.efer, 0x500);
        assert_int_equal(peek(f, f->state.gpr[VSR_X86_RSI] + 0x202, 4),
                         0x53726448);
        assert_pattern(f, 0x1000000, KERNEL_LEN);
        boot_fixture_free(f);
    }
}

/* Where Linux goes to restart a machine of reduced hardware, in real mode. */
static void the_entry_of_the_bios_resets(void **state)
{
    boot_fixture *f = boot_fixture_new(64 * MIB);
    g_autoptr(GByteArray) elf = kernel(ENTRY);

    if (!boot_load(f, elf))
        fail_msg("%s", f->error->message);
    /* mov dx, 0xcf9; mov al, 6; out dx, al; hlt; jmp $-1 */
    assert_int_equal(peek(f, 0xffff0, 8), UINT64_C(0xebf4ee06b00cf9ba));
    assert_int_equal(peek(f, 0xffff8, 1), 0xfd);
    boot_fixture_free(f);
}

static void packed_kernel_of_32_bits_is_entered_by_pvh(void **state)
{
    boot_fixture *f = boot_fixture_new(64 * MIB);
    image_elf_params p = {
        .is_32 = true, .pvh_entry = ENTRY, .gpa = 0x1000000, .len = KERNEL_LEN
    };
    g_autoptr(GByteArray) elf = image_elf(&p);
    g_autoptr(GByteArray) image = image_bzimage(elf, VSR_PACKED_GZIP);
    g_autoptr(GByteArray) elf_64 = kernel(ENTRY);
    g_autoptr(GByteArray) other = image_bzimage(elf_64, VSR_PACKED_GZIP);

    if (!image || !other)
        skip();
    if (!boot_load(f, image))
        fail_msg("%s", f->error->message);
    assert_int_equal(f->state.rip, ENTRY);
    assert_int_equal(f->state.cr0, 0x11);
    assert_pattern(f, 0x1000000, KERNEL_LEN);
    /* Likewise where the setup header speaks of no 64-bit entry. */
    other->data[0x236] = 0;
    f->state.rip = 0;
    if (!boot_load(f, other))
        fail_msg("%s", f->error->message);
    assert_int_equal(f->state.rip, ENTRY);
    boot_fixture_free(f);
}

static void start_info_names_initrd_tables_and_memory(void **state)
{
    boot_fixture *f = boot_fixture_new(64 * MIB);
    g_autoptr(GByteArray) elf = kernel(ENTRY);
    uint64_t info, module, map, n;

    /* Not packed: PVH from the ELF file itself. */
    f->source.initrd_fd = image_fd("initrd", 6);
    f->source.cmdline = "console=ttyS0";
    if (!boot_load(f, elf))
        fail_msg("%s", f->error->message);
    info = f->state.gpr[VSR_X86_RBX];
    assert_int_equal(peek(f, info, 4), 0x336ec578);
    assert_int_equal(peek(f, info + 4, 4), 1);
    assert_int_equal(peek(f, info + 12, 4), 1);
    module = peek(f, info + 16, 8);
    assert_int_equal(peek(f, module + 8, 8), 6);
    assert_int_equal(peek(f, module, 8), 64 * MIB - 4096);
    assert_int_equal(peek(f, peek(f, module, 8), 4), 0x74696e69); /* "init" */
    assert_int_equal(peek(f, peek(f, info + 24, 8), 8),
                     UINT64_C(0x3d656c6f736e6f63)); /* "console=" */
    assert_int_equal(peek(f, peek(f, info + 32, 8), 8),
                     UINT64_C(0x2052545020445352)); /* "RSD PTR " */
    map = peek(f, info + 40, 8);
    n = peek(f, info + 48, 4);
    assert_int_equal(n, 3);
    assert_int_equal(peek(f, map + 2 * 24, 8), MIB);
    assert_int_equal(peek(f, map + 2 * 24 + 8, 8), 63 * MIB);
    assert_int_equal(peek(f, map + 2 * 24 + 16, 4), 1);
    boot_fixture_free(f);
}

static void kernel_without_an_entry_point_unpacks_itself(void **state)
{
    boot_fixture *f = boot_fixture_new(64 * MIB);
    const image_elf_params p = {
        .gpa = 0x1000000, .len = KERNEL_LEN, .bss = 8192, .entry = 0x1000000 - 1
    };
    g_autoptr(GByteArray) elf = image_elf(&p);
    g_autoptr(GByteArray) image = image_bzimage(elf, VSR_PACKED_GZIP);
    uint64_t zero_page, cr3;

    if (!image)
        skip();
    f->source.initrd_fd = image_fd("initrd", 6);
    if (!boot_load(f, image))
        fail_msg("%s", f->error->message);
    assert_int_equal(f->state.rip, 0x1000200);
    assert_int_equal(f->state.efer, 0x500);
    assert_true(f->state.seg[VSR_X86_CS].attr & VSR_SEG_L);
    assert_int_equal(f->state.seg[VSR_X86_CS].selector, 0x10);
    assert_int_equal(peek(f, 0x1000000, 1), 0x90);
    zero_page = f->state.gpr[VSR_X86_RSI];
    assert_int_equal(peek(f, zero_page + 0x202, 4), 0x53726448);
    assert_int_equal(peek(f, zero_page + 0x210, 1), 0xff);
    assert_int_equal(peek(f, zero_page + 0x21c, 4), 6);
    assert_int_equal(peek(f, zero_page + 0x1e8, 1), 3);
    assert_int_equal(peek(f, zero_page + 0x70, 8), VSR_ACPI_TABLES);
    /* What it tried before has left nothing behind. */
    assert_int_equal(peek(f, 0x1000000 + 0x100000, 8), 0);
    /* The last page of the low 4 GiB maps to itself. */
    cr3 = f->state.cr3;
    assert_int_equal(peek(f, cr3, 8) & ~UINT64_C(0xfff), cr3 + 4096);
    assert_int_equal(peek(f, cr3 + 4096 + 24, 8) & ~UINT64_C(0xfff),
                     cr3 + 5 * 4096);
    assert_int_equal(peek(f, cr3 + 5 * 4096 + 511 * 8, 8), 0xffe00083);
    boot_fixture_free(f);
}

static void relocatable_kernel_moves_down_in_little_memory(void **state)
{
    boot_fixture *f = boot_fixture_new(12 * MIB);
    const image_elf_params p = { .gpa = 0x1000000, .len = 100 };
    g_autoptr(GByteArray) elf = image_elf(&p);
    g_autoptr(GByteArray) image = image_bzimage(elf, VSR_PACKED_NONE);

    if (!boot_load(f, image))
        fail_msg("%s", f->error->message);
    assert_int_equal(f->state.rip, 0x200200);
    image->data[0x234] = 0;
    assert_refused(f, image, VISOR_ERR_IMAGE, "memory has 12 MiB");
    boot_fixture_free(f);
}

static void command_line_too_long_names_both_numbers(void **state)
{
    boot_fixture *f = boot_fixture_new(64 * MIB);
    g_autoptr(GByteArray) elf = kernel(0);
    g_autoptr(GByteArray) image = image_bzimage(elf, VSR_PACKED_NONE);
    g_autofree char *line = g_strnfill(2048, 'x');

    f->source.cmdline = line;
    assert_refused(f, image, VISOR_ERR_CONFIG, "2048 bytes");
    assert_non_null(strstr(f->error->message, "2047"));
    line[2047] = '\0';
    assert_true(boot_load(f, image));
    boot_fixture_free(f);
}

static void initrd_that_does_not_fit_is_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(32 * MIB);
    g_autoptr(GByteArray) elf = kernel(ENTRY);

    f->source.initrd_fd = image_fd("", 0);
    assert_int_equal(ftruncate(f->source.initrd_fd, 16 * MIB), 0);
    assert_refused(f, elf, VISOR_ERR_IMAGE, "do not fit");
    assert_int_equal(ftruncate(f->source.initrd_fd, 0), 0);
    assert_refused(f, elf, VISOR_ERR_IMAGE, "empty");
    boot_fixture_free(f);
}

/* Every prefix of an image is refused, or loaded with nothing missing. */
static void truncated_images_are_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(64 * MIB);
    g_autoptr(GByteArray) elf = kernel(ENTRY);
    int format;

    for (format = VSR_PACKED_GZIP; format < VSR_PACKED_UNKNOWN; format++) {
        g_autoptr(GByteArray) image = image_bzimage(elf, (vsr_packed)format);
        uint32_t cuts[] = { 1,    100,  0x202, 0x268, 0x28f, 0x290,
                            2560, 2561, 3584,  3590,  0,     0 };
        size_t i;

        if (!image)
            continue;
        cuts[10] = image->len / 2;
        cuts[11] = image->len - 1;
        for (i = 0; i < G_N_ELEMENTS(cuts); i++) {
            GByteArray part = { image->data, cuts[i] };

            assert_false(boot_load(f, &part));
            assert_int_equal(f->error->code, VISOR_ERR_IMAGE);
            assert_non_null(strstr(f->error->message, "dir/kern"));
        }
    }
    boot_fixture_free(f);
}

static void damaged_payload_is_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(64 * MIB);
    g_autoptr(GByteArray) elf = kernel(ENTRY);
    int format;

    for (format = VSR_PACKED_GZIP; format < VSR_PACKED_UNKNOWN; format++) {
        g_autoptr(GByteArray) image = image_bzimage(elf, (vsr_packed)format);
        uint32_t at;

        if (!image)
            continue;
        at = image_bzimage_payload(image);
        /* Size of the output, wrong both ways. */
        vsr_put32(image->data + image->len - 4, elf->len + 5);
        assert_refused(f, image, VISOR_ERR_IMAGE, "payload");
        vsr_put32(image->data + image->len - 4, 5000);
        assert_refused(f, image, VISOR_ERR_IMAGE, "payload");
        vsr_put32(image->data + image->len - 4, 0x7fffffff);
        assert_refused(f, image, VISOR_ERR_IMAGE, "at most 1073741824");
        /* Data: 20 bytes of ones after the header. */
        vsr_put32(image->data + image->len - 4, elf->len);
        memset(image->data + at + 8, 0xff, 20);
        assert_false(boot_load(f, image));
    }
    boot_fixture_free(f);
}

static void header_fields_are_checked(void **state)
{
    boot_fixture *f = boot_fixture_new(64 * MIB);
    g_autoptr(GByteArray) elf = kernel(0);
    g_autoptr(GByteArray) image = image_bzimage(elf, VSR_PACKED_NONE);
    uint8_t *h = image->data;

    vsr_put16(h + 0x206, 0x0209);
    assert_refused(f, image, VISOR_ERR_IMAGE, "boot protocol 2.09");
    vsr_put16(h + 0x206, 0x020f);
    h[0x211] = 0;
    assert_refused(f, image, VISOR_ERR_IMAGE, "zImage");
    h[0x211] = 1;
    h[0x201] = 0x20;
    assert_refused(f, image, VISOR_ERR_IMAGE, "setup header ends at 0x222");
    h[0x201] = 0x6a;
    h[0x236] = 0;
    assert_refused(f, image, VISOR_ERR_IMAGE, "no 64-bit entry");
    h[0x236] = 1;
    vsr_put32(h + 0x24c, 0xffffffff);
    assert_refused(f, image, VISOR_ERR_IMAGE, "payload of 4294967295");
    vsr_put32(h + 0x24c, 0);
    vsr_put32(h + 0x260, 0xffffffff);
    assert_refused(f, image, VISOR_ERR_IMAGE, "needs 4294967295 bytes");
    vsr_put32(h + 0x260, 0x400000);
    vsr_put64(h + 0x258, UINT64_MAX - 10);
    vsr_put32(h + 0x230, 0x80000001);
    assert_refused(f, image, VISOR_ERR_IMAGE, "needs");
    boot_fixture_free(f);
}

static void things_that_are_no_kernel_are_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    GByteArray text = { (guint8 *)g_strdup("#!/bin/sh\nexit 0\n"), 17 };
    int pipe_fd[2];

    assert_refused(f, &text, VISOR_ERR_IMAGE, "not a bzImage");
    text.len = 0;
    assert_refused(f, &text, VISOR_ERR_IMAGE, "empty");
    g_free(text.data);
    assert_int_equal(ftruncate(f->source.kernel_fd, INT64_C(2) << 30), 0);
    g_clear_error(&f->error);
    assert_false(
        vsr_boot_load(f->machine, &f->board, &f->source, &f->state, &f->error));
    assert_non_null(strstr(f->error->message, "at most 1073741824"));
    boot_fixture_close(f);
    assert_int_equal(pipe(pipe_fd), 0);
    close(pipe_fd[1]);
    f->source.kernel_fd = pipe_fd[0];
    assert_false(
        vsr_boot_load(f->machine, &f->board, &f->source, &f->state, &f->error));
    assert_non_null(strstr(f->error->message, "not a regular file"));
    boot_fixture_close(f);
    assert_false(
        vsr_boot_load(f->machine, &f->board, &f->source, &f->state, &f->error));
    assert_int_equal(f->error->code, VISOR_ERR_CONFIG);
    boot_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_is_unpacked_and_entered_at_startup_64),
        cmocka_unit_test(the_entry_of_the_bios_resets),
        cmocka_unit_test(packed_kernel_of_32_bits_is_entered_by_pvh),
        cmocka_unit_test(start_info_names_initrd_tables_and_memory),
        cmocka_unit_test(kernel_without_an_entry_point_unpacks_itself),
        cmocka_unit_test(relocatable_kernel_moves_down_in_little_memory),
        cmocka_unit_test(command_line_too_long_names_both_numbers),
        cmocka_unit_test(initrd_that_does_not_fit_is_refused),
        cmocka_unit_test(truncated_images_are_refused),
        cmocka_unit_test(damaged_payload_is_refused),
        cmocka_unit_test(header_fields_are_checked),
        cmocka_unit_test(things_that_are_no_kernel_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
