/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/acpi_reduced.h"

#include "machine/x86/layout.h"
#include "tests/devices/device_fixture.h"

enum { CONTROL = 0x600, STATUS = 0x601, EVENTS = 0x602, GSI = 9, SLP_EN = 32 };

static device_fixture *reduced_new(void)
{
    static const vsr_acpi_reduced_params params = { .port = CONTROL,
                                                    .gsi = GSI };

    return device_fixture_new(&vsr_acpi_reduced_class, &params);
}

static void the_button_interrupts_until_the_events_are_read(void **state)
{
    device_fixture *f = reduced_new();

    assert_int_equal(in8(f, EVENTS), 0);
    vsr_acpi_reduced_power_button(f->device);
    vsr_acpi_reduced_power_button(f->device);
    assert_true(f->chips.level[GSI]);
    out8(f, EVENTS, 0xff);
    assert_true(f->chips.level[GSI]);
    assert_int_equal(in8(f, EVENTS), VSR_REDUCED_EVENT_BUTTON);
    assert_false(f->chips.level[GSI]);
    assert_int_equal(in8(f, EVENTS), 0);
    device_fixture_free(f);
}

static void s5_asks_for_power_off_and_other_types_do_not(void **state)
{
    device_fixture *f = reduced_new();
    uint8_t type;

    for (type = 0; type < 8; type++)
        if (type != VSR_ACPI_S5_TYPE)
            out8(f, CONTROL, (uint8_t)(SLP_EN | type << 2));
    out8(f, CONTROL, VSR_ACPI_S5_TYPE << 2);
    out8(f, STATUS, SLP_EN | VSR_ACPI_S5_TYPE << 2);
    assert_int_equal(fixture_requests(f), 0);
    assert_int_equal(in8(f, CONTROL), VSR_ACPI_S5_TYPE << 2);
    assert_int_equal(in8(f, STATUS), 0); /* WAK_STS */
    out8(f, CONTROL, SLP_EN | VSR_ACPI_S5_TYPE << 2);
    assert_int_equal(fixture_requests(f), 1);
    assert_int_equal(f->request, VSR_REQUEST_POWEROFF);
    assert_int_equal(in8(f, CONTROL), VSR_ACPI_S5_TYPE << 2); /* write-only */
    device_fixture_free(f);
}

static void reset_forgets_events(void **state)
{
    device_fixture *f = reduced_new();

    out8(f, CONTROL, 4);
    vsr_acpi_reduced_power_button(f->device);
    f->device->class->reset(f->device);
    assert_false(f->chips.level[GSI]);
    assert_int_equal(in8(f, EVENTS), 0);
    assert_int_equal(in8(f, CONTROL), 0);
    device_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_button_interrupts_until_the_events_are_read),
        cmocka_unit_test(s5_asks_for_power_off_and_other_types_do_not),
        cmocka_unit_test(reset_forgets_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
