/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/irq.h"

#include <errno.h>

#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

static int machine_new(void **state)
{
    *state = fake_machine_new(1);
    return *state == NULL;
}

static int machine_free(void **state)
{
    vsr_machine_free(*state);
    return 0;
}

static void chips_hear_of_changes_only(void **state)
{
    vsr_machine *machine = *state;
    fake_chips chips = { 0 };
    vsr_irq irq;

    fake_chips_connect(&chips, machine);
    vsr_irq_init(&irq, machine->irqs, 4);
    vsr_irq_set(&irq, false);
    assert_int_equal(chips.changes[4], 0);
    vsr_irq_set(&irq, true);
    vsr_irq_set(&irq, true);
    assert_int_equal(chips.changes[4], 1);
    assert_true(chips.level[4]);
    vsr_irq_set(&irq, false);
    vsr_irq_pulse(&irq);
    assert_int_equal(chips.changes[4], 4);
    assert_false(chips.level[4]);
}

static void a_shared_line_is_high_while_anyone_holds_it(void **state)
{
    vsr_machine *machine = *state;
    fake_chips chips = { 0 };
    vsr_irq a, b;

    fake_chips_connect(&chips, machine);
    vsr_irq_init(&a, machine->irqs, 16);
    vsr_irq_init(&b, machine->irqs, 16);
    vsr_irq_set(&a, true);
    vsr_irq_set(&b, true);
    vsr_irq_set(&a, false);
    assert_true(chips.level[16]);
    vsr_irq_set(&b, false);
    assert_false(chips.level[16]);
    assert_int_equal(chips.changes[16], 2);
}

static void a_gsi_beyond_the_last_is_connected_to_nothing(void **state)
{
    vsr_machine *machine = *state;
    vsr_irq irq;

    vsr_irq_init(&irq, machine->irqs, VSR_GSI_MAX);
    vsr_irq_set(&irq, true);
    vsr_irq_init(&irq, NULL, 3);
    vsr_irq_set(&irq, true);
}

static void *toggle(void *opaque)
{
    vsr_irq irq;

    vsr_irq_init(&irq, opaque, 5);
    for (int i = 0; i < 5000; i++) {
        vsr_irq_set(&irq, true);
        vsr_irq_set(&irq, false);
    }
    return NULL;
}

static void a_line_raced_for_ends_low(void **state)
{
    vsr_machine *machine = *state;
    fake_chips chips = { 0 };
    GThread *threads[3];

    fake_chips_connect(&chips, machine);
    for (int i = 0; i < 3; i++)
        threads[i] = g_thread_new("toggle", toggle, machine->irqs);
    for (int i = 0; i < 3; i++)
        g_thread_join(threads[i]);
    assert_false(chips.level[5]);
    assert_int_equal(chips.changes[5] % 2, 0);
    assert_in_range(chips.changes[5], 2, 30000);
}

static void msi_goes_to_the_chip_that_takes_it(void **state)
{
    vsr_machine *machine = *state;
    fake_chips chips = { 0 };

    assert_int_equal(vsr_irq_msi(machine->irqs, 0xfee00000, 0x31), -ENXIO);
    fake_chips_connect(&chips, machine);
    assert_int_equal(vsr_irq_msi(machine->irqs, 0xfee01000, 0x31), 0);
    assert_int_equal(chips.msi_addr, 0xfee01000);
    assert_int_equal(chips.msi_data, 0x31);
    vsr_irqs_remove_chip(machine->irqs, &chips);
    assert_int_equal(vsr_irq_msi(machine->irqs, 0xfee00000, 0x31), -ENXIO);
}

static void an_engine_with_chips_gets_lines_and_msis(void **state)
{
    vsr_machine *machine =
        fake_machine_new_full(&fake_engine_with_chips, 1, NULL, NULL);
    vsr_irq irq;

    assert_non_null(machine);
    vsr_irq_init(&irq, machine->irqs, 9);
    vsr_irq_set(&irq, true);
    assert_true(machine->vm->chips.level[9]);
    assert_int_equal(vsr_irq_msi(machine->irqs, 0xfee00000, 0x44), 0);
    assert_int_equal(machine->vm->chips.msi_data, 0x44);
    vsr_machine_free(machine);
}

static void without_a_lapic_up_calls_have_answers(void **state)
{
    vsr_machine *machine = *state;
    uint64_t value = 5;

    assert_int_equal(fake_intr_ack(machine, 0), -1);
    assert_false(fake_rdmsr(machine, 0, 0x1b, &value));
    assert_int_equal(vsr_irqs_cr8_get(machine->irqs, 0), 0);
    vsr_irqs_cr8_set(machine->irqs, 0, 3);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, machine_new, machine_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chips_hear_of_changes_only),
        TEST(a_shared_line_is_high_while_anyone_holds_it),
        TEST(a_gsi_beyond_the_last_is_connected_to_nothing),
        TEST(a_line_raced_for_ends_low),
        TEST(msi_goes_to_the_chip_that_takes_it),
        TEST(an_engine_with_chips_gets_lines_and_msis),
        TEST(without_a_lapic_up_calls_have_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
