/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/debug_exit.h"

#include "tests/devices/device_fixture.h"

static void value_becomes_the_exit_status(void **state)
{
    device_fixture *f = device_fixture_new(&vsr_debug_exit_class, NULL);

    assert_int_equal(fake_in(f->machine, 0xf4, 4), 0);
    assert_int_equal(fixture_requests(f), 0);
    fake_out(f->machine, 0xf4, 4, 3);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->request, VSR_REQUEST_EXIT);
    assert_int_equal(f->status, 7);
    device_fixture_free(f);
}

static void bytes_work_too_but_only_at_its_start(void **state)
{
    device_fixture *f = device_fixture_new(&vsr_debug_exit_class, NULL);

    out8(f, 0xf5, 1);
    assert_int_equal(fixture_requests(f), 0);
    out8(f, 0xf4, 0);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->status, 1);
    device_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_becomes_the_exit_status),
        cmocka_unit_test(bytes_work_too_but_only_at_its_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
