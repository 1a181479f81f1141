/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/i8042.h"

#include "devices/legacy/reset_port.h"
#include "tests/devices/device_fixture.h"

enum { DATA = 0x60, CMD = 0x64, GSI = 1 };

static device_fixture *kbd_new(bool keyboard)
{
    const vsr_i8042_params params = { GSI, keyboard };

    return device_fixture_new(&vsr_i8042_class, &params);
}

/* The byte that is there now; there is no waiting. */
static uint8_t answer(device_fixture *f)
{
    if (!(in8(f, CMD) & 1))
        fail_msg("no answer");
    return in8(f, DATA);
}

static void pulse_of_the_reset_line_resets(void **state)
{
    device_fixture *f = kbd_new(true);

    out8(f, CMD, 0xff); /* pulses nothing */
    assert_int_equal(fixture_requests(f), 0);
    out8(f, CMD, 0xfe);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->request, VSR_REQUEST_RESET);
    device_fixture_free(f);
    f = kbd_new(true);
    out8(f, CMD, 0xd1);
    out8(f, DATA, 0x02);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->request, VSR_REQUEST_RESET);
    device_fixture_free(f);
    f = kbd_new(false);
    out8(f, 0x92, 0x01);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->request, VSR_REQUEST_RESET);
    device_fixture_free(f);
}

static void controller_answers_at_once(void **state)
{
    device_fixture *f = kbd_new(true);

    out8(f, CMD, 0xaa);
    assert_int_equal(answer(f), 0x55);
    out8(f, CMD, 0xab);
    assert_int_equal(answer(f), 0x00);
    out8(f, CMD, 0xa9); /* no auxiliary port */
    assert_int_equal(answer(f), 0x01);
    out8(f, CMD, 0x60);
    out8(f, DATA, 0x74);
    out8(f, CMD, 0x20);
    assert_int_equal(answer(f), 0x74);
    assert_int_equal(in8(f, CMD) & 1, 0);
    device_fixture_free(f);
}

static void keyboard_identifies_itself_by_interrupt(void **state)
{
    device_fixture *f = kbd_new(true);

    out8(f, DATA, 0xf2);
    assert_true(f->chips.level[GSI]);
    assert_int_equal(answer(f), 0xfa);
    assert_true(f->chips.level[GSI]);
    assert_int_equal(answer(f), 0xab);
    assert_int_equal(answer(f), 0x83);
    assert_false(f->chips.level[GSI]);
    out8(f, DATA, 0xff);
    assert_int_equal(answer(f), 0xfa);
    assert_int_equal(answer(f), 0xaa);
    out8(f, DATA, 0xed);
    assert_int_equal(answer(f), 0xfa);
    out8(f, DATA, 0x07);
    assert_int_equal(answer(f), 0xfa);
    out8(f, DATA, 0x00);
    assert_int_equal(answer(f), 0xfe);
    device_fixture_free(f);
}

static void absent_keyboard_times_out_at_once(void **state)
{
    device_fixture *f = kbd_new(false);

    out8(f, DATA, 0xff);
    assert_int_equal(in8(f, CMD) & 0x41, 0x41);
    assert_int_equal(answer(f), 0xfe);
    assert_int_equal(in8(f, CMD) & 0x41, 0);
    device_fixture_free(f);
}

static void queue_never_overflows(void **state)
{
    device_fixture *f = kbd_new(true);
    int i;

    for (i = 0; i < 1000; i++)
        out8(f, DATA, 0xf2);
    for (i = 0; i < 16; i++)
        answer(f);
    assert_int_equal(in8(f, CMD) & 1, 0);
    for (i = 0; i < 256; i++)
        if (i < 0xf0)
            out8(f, CMD, (uint8_t)i);
    assert_int_equal(fixture_requests(f), 0);
    device_fixture_free(f);
}

static void a20_reads_back(void **state)
{
    device_fixture *f = kbd_new(true);

    assert_int_equal(in8(f, 0x92), 0x02);
    out8(f, 0x92, 0x00);
    assert_int_equal(in8(f, 0x92), 0x00);
    out8(f, CMD, 0xd0);
    assert_int_equal(answer(f) & 2, 0);
    out8(f, CMD, 0xdf);
    assert_int_equal(in8(f, 0x92), 0x02);
    device_fixture_free(f);
}

static void reset_register_needs_a_rising_bit(void **state)
{
    device_fixture *f = device_fixture_new(&vsr_reset_port_class, NULL);

    out8(f, 0xcf9, 0x02);
    assert_int_equal(fixture_requests(f), 0);
    assert_int_equal(in8(f, 0xcf9), 0x02);
    out8(f, 0xcf9, 0x06);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->request, VSR_REQUEST_RESET);
    device_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pulse_of_the_reset_line_resets),
        cmocka_unit_test(controller_answers_at_once),
        cmocka_unit_test(keyboard_identifies_itself_by_interrupt),
        cmocka_unit_test(absent_keyboard_times_out_at_once),
        cmocka_unit_test(queue_never_overflows),
        cmocka_unit_test(a20_reads_back),
        cmocka_unit_test(reset_register_needs_a_rising_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
