/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/acpi_pm.h"

#include "machine/x86/layout.h"
#include "tests/devices/device_fixture.h"

enum { STS = 0x600, EN = 0x602, CNT = 0x604, TMR = 0x608, SCI = 9 };

static device_fixture *pm_new(void)
{
    static const vsr_acpi_pm_params params = { .port = STS, .sci_gsi = SCI };

    return device_fixture_new(&vsr_acpi_pm_class, &params);
}

static uint16_t in16(device_fixture *f, uint16_t port)
{
    return (uint16_t)fake_in(f->machine, port, 2);
}

static void out16(device_fixture *f, uint16_t port, uint16_t value)
{
    fake_out(f->machine, port, 2, value);
}

static void power_button_raises_the_sci_until_cleared(void **state)
{
    device_fixture *f = pm_new();

    vsr_acpi_pm_power_button(f->device);
    assert_int_equal(in16(f, STS), 0x100);
    assert_false(f->chips.level[SCI]); /* not enabled */
    out16(f, EN, 0x100);
    assert_true(f->chips.level[SCI]);
    out16(f, STS, 0x001); /* another bit */
    assert_true(f->chips.level[SCI]);
    out16(f, STS, 0x100);
    assert_false(f->chips.level[SCI]);
    assert_int_equal(in16(f, STS), 0);
    vsr_acpi_pm_power_button(f->device);
    assert_true(f->chips.level[SCI]);
    f->device->class->reset(f->device);
    assert_false(f->chips.level[SCI]);
    assert_int_equal(in16(f, EN), 0);
    device_fixture_free(f);
}

static void s5_asks_for_power_off_and_other_types_do_not(void **state)
{
    device_fixture *f = pm_new();
    uint16_t type;

    assert_int_equal(in16(f, CNT), 1); /* SCI_EN */
    for (type = 0; type < 8; type++)
        if (type != VSR_ACPI_S5_TYPE)
            out16(f, CNT, (uint16_t)(1 << 13 | type << 10));
    out16(f, CNT, VSR_ACPI_S5_TYPE << 10);
    assert_int_equal(fixture_requests(f), 0);
    assert_int_equal(in16(f, CNT), 1 | VSR_ACPI_S5_TYPE << 10);
    out16(f, CNT, 1 << 13 | VSR_ACPI_S5_TYPE << 10);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->request, VSR_REQUEST_POWEROFF);
    device_fixture_free(f);
}

static void registers_take_bytes_and_double_words(void **state)
{
    device_fixture *f = pm_new();

    out8(f, EN + 1, 0x01);
    assert_int_equal(in16(f, EN), 0x100);
    assert_int_equal(in8(f, EN + 1), 0x01);
    vsr_acpi_pm_power_button(f->device);
    assert_int_equal(fake_in(f->machine, STS, 4), 0x01000100);
    fake_out(f->machine, STS, 4, 0x00000100);
    assert_int_equal(fake_in(f->machine, STS, 4), 0);
    out8(f, CNT + 1, 1 << 5 | VSR_ACPI_S5_TYPE << 2);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->request, VSR_REQUEST_POWEROFF);
    device_fixture_free(f);
}

/* `least` to what `ns` allow; the counter has 24 bits, 4.7 s. */
static void assert_ticks(uint32_t first, uint32_t second, uint64_t least,
                         int64_t ns)
{
    uint64_t most = (uint64_t)ns * 3579545 / 1000000000 + 2;
    uint64_t ticks = (second - first) & 0xffffff;

    while (ticks < least)
        ticks += 0x1000000;
    assert_in_range(ticks, least, most);
}

static void timer_counts_at_its_rate_and_stops_when_paused(void **state)
{
    device_fixture *f = pm_new();
    int64_t before = vsr_now_ns(), after;
    uint32_t first = (uint32_t)fake_in(f->machine, TMR, 4), second;

    g_usleep(20000);
    second = (uint32_t)fake_in(f->machine, TMR, 4);
    after = vsr_now_ns();
    assert_ticks(first, second, 3579545 / 50, after - before);

    f->device->class->quiesce(f->device);
    first = (uint32_t)fake_in(f->machine, TMR, 4);
    g_usleep(20000);
    assert_int_equal(fake_in(f->machine, TMR, 4), first);
    before = vsr_now_ns();
    f->device->class->unquiesce(f->device);
    second = (uint32_t)fake_in(f->machine, TMR, 4);
    after = vsr_now_ns();
    assert_ticks(first, second, 0, after - before);
    device_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_button_raises_the_sci_until_cleared),
        cmocka_unit_test(s5_asks_for_power_off_and_other_types_do_not),
        cmocka_unit_test(registers_take_bytes_and_double_words),
        cmocka_unit_test(timer_counts_at_its_rate_and_stops_when_paused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
