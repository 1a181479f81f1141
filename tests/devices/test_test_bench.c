/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/test_bench.h"

#include "tests/devices/device_fixture.h"

enum { MEMORY = 0xff000000u };

static void ports_keep_what_was_written(void **state)
{
    device_fixture *f = device_fixture_new(&vsr_test_bench_class, NULL);

    fake_out(f->machine, 0xe0, 4, 0x44332211);
    assert_int_equal(fake_in(f->machine, 0xe0, 4), 0x44332211);
    assert_int_equal(fake_in(f->machine, 0xe2, 2), 0x4433);
    out8(f, 0xe1, 0xaa);
    assert_int_equal(fake_in(f->machine, 0xe0, 4), 0x4433aa11);
    fake_out(f->machine, 0xe4, 4, 1);
    assert_int_equal(fake_in(f->machine, 0xe4, 4), 0);
    device_fixture_free(f);
}

static void memory_is_memory_at_any_size(void **state)
{
    device_fixture *f = device_fixture_new(&vsr_test_bench_class, NULL);
    vsr_machine *m = f->machine;

    fake_mmio_write(m, 0, MEMORY + 0xfff8, 8, 0x8877665544332211);
    assert_true(fake_mmio_read(m, 0, MEMORY + 0xfff8, 8) == 0x8877665544332211);
    assert_int_equal(fake_mmio_read(m, 0, MEMORY + 0xfff9, 4), 0x55443322);
    fake_mmio_write(m, 0, MEMORY + 0xffd, 8, 0x0102030405060708);
    assert_true(fake_mmio_read(m, 0, MEMORY + 0xffd, 8) == 0x0102030405060708);
    f->device->class->reset(f->device);
    assert_int_equal(fake_mmio_read(m, 0, MEMORY + 0xffd, 8), 0);
    device_fixture_free(f);
}

static void lines_follow_their_ports(void **state)
{
    device_fixture *f = device_fixture_new(&vsr_test_bench_class, NULL);

    out8(f, 0x2000 + 14, 1);
    assert_true(f->chips.level[14]);
    assert_false(f->chips.level[15]);
    out8(f, 0x2000 + 23, 0x80);
    assert_true(f->chips.level[23]);
    out8(f, 0x2000 + 14, 0);
    assert_false(f->chips.level[14]);
    f->device->class->reset(f->device);
    assert_false(f->chips.level[23]);
    device_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_keep_what_was_written),
        cmocka_unit_test(memory_is_memory_at_any_size),
        cmocka_unit_test(lines_follow_their_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
