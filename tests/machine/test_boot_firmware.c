/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/boot/firmware.h"

#include "tests/machine/boot_fixture.h"

static int firmware(uint32_t len)
{
    g_autofree uint8_t *data = g_malloc(len);
    uint32_t i;

    for (i = 0; i < len; i++)
        data[i] = (uint8_t)(i >> 8);
    return image_fd(data, len);
}

static bool load(boot_fixture *f)
{
    g_clear_error(&f->error);
    return vsr_boot_load(f->machine, &f->board, &f->source, &f->state,
                         &f->error);
}

static void firmware_is_at_the_reset_vector_and_below_1_mib(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);
    uint64_t base = UINT64_C(0x100000000) - 0x80000;
    const uint8_t byte = 0;

    f->source.firmware_fd = firmware(0x80000);
    if (!load(f))
        fail_msg("%s", f->error->message);
    assert_int_equal(f->state.rip, 0xfff0);
    assert_int_equal(f->state.seg[VSR_X86_CS].base, 0xffff0000);
    assert_int_equal(peek(f, base + 0x12300, 1), 0x23);
    assert_int_equal(peek(f, 0xfff00, 1), 0xff);
    assert_int_equal(peek(f, 0xc0000, 1), 0x00); /* offset 0x40000 */
    assert_int_equal(peek(f, 0xc1200, 1), 0x12);
    /* ROM above, RAM below. */
    assert_int_not_equal(vsr_mem_write(f->machine->mem, base, &byte, 1), 0);
    assert_int_equal(vsr_mem_write(f->machine->mem, 0xf0000, &byte, 1), 0);
    /* A reset loads it again. */
    assert_int_equal(vsr_mem_clear(f->machine->mem), 0);
    assert_true(load(f));
    assert_int_equal(peek(f, 0xfff00, 1), 0xff);
    assert_int_equal(peek(f, base + 0x12300, 1), 0x23);
    boot_fixture_free(f);
}

static void bad_sizes_are_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);

    f->source.firmware_fd = firmware(1000);
    assert_false(load(f));
    assert_non_null(strstr(f->error->message, "not a multiple of 4096"));
    assert_int_equal(ftruncate(f->source.firmware_fd, 17 * MIB), 0);
    assert_false(load(f));
    assert_non_null(strstr(f->error->message, "at most 16777216"));
    boot_fixture_free(f);
}

static void firmware_and_kernel_together_are_refused(void **state)
{
    boot_fixture *f = boot_fixture_new(16 * MIB);

    f->source.firmware_fd = firmware(4096);
    f->source.kernel_fd = firmware(4096);
    assert_false(load(f));
    assert_int_equal(f->error->code, VISOR_ERR_NO_SUPPORT);
    boot_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(firmware_is_at_the_reset_vector_and_below_1_mib),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(firmware_and_kernel_together_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
