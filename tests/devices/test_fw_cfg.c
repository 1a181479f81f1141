/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/fw_cfg.h"

#include "tests/devices/device_fixture.h"

static device_fixture *fw_new(bool firmware)
{
    vsr_board board;
    vsr_fw_cfg_params params = { .board = &board,
                                 .firmware = firmware,
                                 .console_port = 0x3f8 };

    assert_true(vsr_board_init(&board, VSR_BOARD_PCI, 4 * VSR_GIB, 3, 6, NULL));
    return device_fixture_new(&vsr_fw_cfg_class, &params);
}

static void choose(device_fixture *f, uint16_t key)
{
    fake_out(f->machine, 0x510, 2, key);
}

static uint64_t number(device_fixture *f, uint32_t size)
{
    uint64_t value = 0;
    uint32_t i;

    for (i = 0; i < size; i++)
        value |= (uint64_t)in8(f, 0x511) << 8 * i;
    return value;
}

static uint32_t number_be(device_fixture *f, uint32_t size)
{
    uint32_t value = 0;

    while (size--)
        value = value << 8 | in8(f, 0x511);
    return value;
}

static void test_kernels_find_signature_memory_and_cpus(void **state)
{
    device_fixture *f = fw_new(false);

    assert_int_equal(number(f, 4), 0x554d4551); /* selected at reset */
    choose(f, 0);
    assert_int_equal(number(f, 4), 0x554d4551);
    choose(f, 1);
    assert_int_equal(number(f, 4), 1);
    choose(f, 3);
    assert_int_equal(number(f, 8), 4 * VSR_GIB);
    assert_int_equal(number(f, 8), 0); /* past the end */
    choose(f, 5);
    assert_int_equal(number(f, 2), 3);
    vsr_fw_cfg_set_cpus(f->device, 5);
    choose(f, 5);
    assert_int_equal(number(f, 3), 5);
    choose(f, 15);
    assert_int_equal(number(f, 2), 6);
    choose(f, 0x19);
    assert_int_equal(number_be(f, 4), 0);
    choose(f, 0x7777);
    assert_int_equal(number(f, 4), 0);
    device_fixture_free(f);
}

/* Selects a file by name; its size. */
static uint32_t find_file(device_fixture *f, const char *name)
{
    uint32_t n, i, j;

    choose(f, 0x19);
    n = number_be(f, 4);
    for (i = 0; i < n; i++) {
        uint32_t size = number_be(f, 4);
        uint32_t key = number_be(f, 2);
        char found[56];

        number_be(f, 2);
        for (j = 0; j < sizeof(found); j++)
            found[j] = (char)in8(f, 0x511);
        if (strcmp(found, name) == 0) {
            choose(f, (uint16_t)key);
            return size;
        }
    }
    fail_msg("no file '%s'", name);
    return 0;
}

static void firmware_finds_its_files(void **state)
{
    device_fixture *f = fw_new(true);

    assert_int_equal(find_file(f, "etc/sercon-port"), 8);
    assert_int_equal(number(f, 8), 0x3f8);
    assert_int_equal(find_file(f, "etc/e820"), 3 * 20);
    assert_int_equal(number(f, 8), VSR_MIB);
    assert_int_equal(number(f, 8), 3 * VSR_GIB - VSR_MIB);
    assert_int_equal(number(f, 4), 1);
    device_fixture_free(f);
}

static void other_accesses_change_nothing(void **state)
{
    device_fixture *f = fw_new(false);

    choose(f, 3);
    out8(f, 0x511, 0x55);
    out8(f, 0x510, 0x05);
    assert_int_equal(in8(f, 0x510), 0);
    assert_int_equal(fake_in(f->machine, 0x510, 2), 0);
    assert_int_equal(number(f, 8), 4 * VSR_GIB);
    device_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_find_signature_memory_and_cpus),
        cmocka_unit_test(firmware_finds_its_files),
        cmocka_unit_test(other_accesses_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
