/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/irqchip/pic.h"

#include "devices/irqchip/lapic.h"
#include "machine/irq.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

typedef struct {
    vsr_machine *machine;
    vsr_irq irq[16];
} fixture;

static void out(fixture *f, uint16_t port, uint8_t value)
{
    fake_out(f->machine, port, 1, value);
}

static uint8_t in(fixture *f, uint16_t port)
{
    return (uint8_t)fake_in(f->machine, port, 1);
}

/* As an operating system does: vectors 0x20 and 0x28, all masked. */
static void program(fixture *f, uint8_t icw4)
{
    out(f, 0x20, 0x11);
    out(f, 0x21, 0x20);
    out(f, 0x21, 0x04);
    out(f, 0x21, icw4);
    out(f, 0xa0, 0x11);
    out(f, 0xa1, 0x28);
    out(f, 0xa1, 0x02);
    out(f, 0xa1, 0x01);
    out(f, 0x21, 0xfb);
    out(f, 0xa1, 0xff);
}

static void unmask(fixture *f, uint8_t primary, uint8_t secondary)
{
    out(f, 0x21, (uint8_t) ~(primary | 4));
    out(f, 0xa1, (uint8_t)~secondary);
}

static int setup(void **state)
{
    const vsr_lapic_params lapic_params = { .vcpus = 1 };
    vsr_pic_params params = { 0 };
    fixture *f = g_new0(fixture, 1);

    f->machine = fake_machine_new(1);
    if (f->machine == NULL)
        return 1;
    params.lapic = vsr_device_new(f->machine, &vsr_lapic_class, "lapic",
                                  &lapic_params, NULL);
    if (params.lapic == NULL || vsr_device_new(f->machine, &vsr_pic_class,
                                               "pic", &params, NULL) == NULL)
        return 1;
    for (uint32_t i = 0; i < 16; i++)
        vsr_irq_init(&f->irq[i], f->machine->irqs, i);
    program(f, 0x01);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_machine_free(f->machine);
    g_free(f);
    return 0;
}

static void expect(fixture *f, int vector)
{
    assert_int_equal(fake_intr(f->machine, 0), vector >= 0);
    if (vector >= 0)
        assert_int_equal(fake_intr_ack(f->machine, 0), vector);
}

static void an_edge_is_delivered_and_ended(void **state)
{
    fixture *f = *state;

    unmask(f, 0x01, 0);
    vsr_irq_set(&f->irq[0], true);
    expect(f, 0x20);
    expect(f, -1);
    out(f, 0x20, 0x0b);
    assert_int_equal(in(f, 0x20), 0x01); /* ISR */
    out(f, 0x20, 0x20);
    assert_int_equal(in(f, 0x20), 0x00);
    expect(f, -1); /* high, but no edge */
    vsr_irq_set(&f->irq[0], false);
    vsr_irq_set(&f->irq[0], true);
    expect(f, 0x20);
}

static void a_masked_edge_waits(void **state)
{
    fixture *f = *state;

    vsr_irq_pulse(&f->irq[4]);
    expect(f, -1);
    out(f, 0x20, 0x0a);
    assert_int_equal(in(f, 0x20), 0x10); /* IRR */
    unmask(f, 0x10, 0);
    expect(f, 0x24);
    assert_int_equal(in(f, 0x21), 0xeb);
}

static void lower_numbers_come_first(void **state)
{
    fixture *f = *state;

    unmask(f, 0xff, 0);
    vsr_irq_pulse(&f->irq[5]);
    expect(f, 0x25);
    vsr_irq_pulse(&f->irq[6]);
    expect(f, -1); /* 5 is in service */
    vsr_irq_pulse(&f->irq[1]);
    expect(f, 0x21);
    out(f, 0x20, 0x20); /* ends 1 */
    expect(f, -1);
    out(f, 0x20, 0x65); /* ends 5 by name */
    expect(f, 0x26);
}

static void the_secondary_comes_through_pin_2(void **state)
{
    fixture *f = *state;

    unmask(f, 0xff, 0xff);
    vsr_irq_pulse(&f->irq[12]);
    expect(f, 0x2c);
    vsr_irq_pulse(&f->irq[3]); /* lower than pin 2 */
    expect(f, -1);
    vsr_irq_pulse(&f->irq[9]); /* higher, but pin 2 is in service */
    expect(f, -1);
    out(f, 0xa0, 0x20);
    out(f, 0x20, 0x20);
    expect(f, 0x29);
    out(f, 0xa0, 0x20);
    out(f, 0x20, 0x20);
    expect(f, 0x23);
}

static void special_fully_nested_lets_the_secondary_nest(void **state)
{
    fixture *f = *state;

    program(f, 0x11);
    unmask(f, 0xff, 0xff);
    vsr_irq_pulse(&f->irq[12]);
    expect(f, 0x2c);
    vsr_irq_pulse(&f->irq[9]);
    expect(f, 0x29);
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
    fixture *f = *state;

    program(f, 0x03);
    unmask(f, 0xff, 0);
    vsr_irq_pulse(&f->irq[1]);
    expect(f, 0x21);
    out(f, 0x20, 0x0b);
    assert_int_equal(in(f, 0x20), 0);
    vsr_irq_pulse(&f->irq[7]);
    expect(f, 0x27);
}

static void rotation_puts_the_ended_one_last(void **state)
{
    fixture *f = *state;

    unmask(f, 0xff, 0);
    vsr_irq_pulse(&f->irq[1]);
    expect(f, 0x21);
    out(f, 0x20, 0xa0); /* rotate on non-specific EOI */
    vsr_irq_pulse(&f->irq[1]);
    vsr_irq_pulse(&f->irq[7]);
    expect(f, 0x27);
    out(f, 0x20, 0x20);
    expect(f, 0x21);
    out(f, 0x20, 0x20);
    out(f, 0x20, 0xc4); /* set priority: 4 is the lowest */
    vsr_irq_pulse(&f->irq[4]);
    vsr_irq_pulse(&f->irq[5]);
    expect(f, 0x25);
}

static void special_mask_lets_lower_ones_in(void **state)
{
    fixture *f = *state;

    unmask(f, 0xff, 0);
    vsr_irq_pulse(&f->irq[3]);
    expect(f, 0x23);
    vsr_irq_pulse(&f->irq[6]);
    expect(f, -1);
    out(f, 0x20, 0x68); /* special mask mode */
    out(f, 0x21, 0x08);
    expect(f, 0x26);
}

static void poll_is_an_acknowledge(void **state)
{
    fixture *f = *state;

    unmask(f, 0, 0);
    out(f, 0x20, 0x0c);
    assert_int_equal(in(f, 0x20), 0); /* nothing waits */
    unmask(f, 0x20, 0);
    vsr_irq_pulse(&f->irq[5]);
    out(f, 0x20, 0x0c);
    assert_int_equal(in(f, 0x20), 0x85);
    expect(f, -1);
    out(f, 0x20, 0x0b);
    assert_int_equal(in(f, 0x20), 0x20);
}

static void polling_the_secondary_lowers_the_cascade(void **state)
{
    fixture *f = *state;

    unmask(f, 0, 0x02);
    vsr_irq_pulse(&f->irq[9]);
    assert_true(fake_intr(f->machine, 0));
    out(f, 0xa0, 0x0c);
    assert_int_equal(in(f, 0xa0), 0x81);
    expect(f, -1);
}

static void a_level_stays_requested(void **state)
{
    fixture *f = *state;

    out(f, 0x4d1, 0x02); /* GSI 9 */
    out(f, 0x4d0, 0xff);
    assert_int_equal(in(f, 0x4d0), 0xf8); /* not the fixed ones */
    unmask(f, 0, 0x02);
    vsr_irq_set(&f->irq[9], true);
    expect(f, 0x29);
    out(f, 0xa0, 0x20);
    out(f, 0x20, 0x20);
    expect(f, 0x29);
    vsr_irq_set(&f->irq[9], false);
    out(f, 0xa0, 0x20);
    out(f, 0x20, 0x20);
    expect(f, -1);
}

static void a_level_that_falls_is_taken_back(void **state)
{
    fixture *f = *state;

    out(f, 0x4d0, 0x20);
    unmask(f, 0x20, 0);
    vsr_irq_set(&f->irq[5], true);
    assert_true(fake_intr(f->machine, 0));
    vsr_irq_set(&f->irq[5], false);
    assert_false(fake_intr(f->machine, 0));
    assert_int_equal(fake_intr_ack(f->machine, 0), -1);
}

static void initialisation_needs_new_edges(void **state)
{
    fixture *f = *state;

    vsr_irq_set(&f->irq[1], true);
    program(f, 0x01);
    unmask(f, 0xff, 0);
    expect(f, -1);
    vsr_irq_set(&f->irq[1], false);
    vsr_irq_set(&f->irq[1], true);
    expect(f, 0x21);
}

static void reset_lowers_the_output(void **state)
{
    fixture *f = *state;

    unmask(f, 0xff, 0xff);
    vsr_irq_pulse(&f->irq[1]);
    assert_true(fake_intr(f->machine, 0));
    assert_true(vsr_machine_reset(f->machine, NULL));
    assert_false(fake_intr(f->machine, 0));
}

static void any_bytes_are_survived(void **state)
{
    static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
    fixture *f = *state;
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (int i = 0; i < 20000; i++) {
        uint16_t port = ports[g_rand_int_range(rand, 0, 6)];

        out(f, port, (uint8_t)g_rand_int(rand));
        (void)in(f, ports[g_rand_int_range(rand, 0, 6)]);
        vsr_irq_set(&f->irq[g_rand_int_range(rand, 0, 16)],
                    g_rand_boolean(rand));
        if (fake_intr(f->machine, 0))
            assert_in_range(fake_intr_ack(f->machine, 0), 0, 255);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_edge_is_delivered_and_ended),
        TEST(a_masked_edge_waits),
        TEST(lower_numbers_come_first),
        TEST(the_secondary_comes_through_pin_2),
        TEST(special_fully_nested_lets_the_secondary_nest),
        TEST(automatic_eoi_leaves_nothing_in_service),
        TEST(rotation_puts_the_ended_one_last),
        TEST(special_mask_lets_lower_ones_in),
        TEST(poll_is_an_acknowledge),
        TEST(polling_the_secondary_lowers_the_cascade),
        TEST(a_level_stays_requested),
        TEST(a_level_that_falls_is_taken_back),
        TEST(initialisation_needs_new_edges),
        TEST(reset_lowers_the_output),
        TEST(any_bytes_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
