/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/irqchip/ioapic.h"

#include "devices/irqchip/lapic.h"
#include "machine/irq.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

#define BASE UINT64_C(0xfec00000)

enum {
    MASKED = 0x10000,
    LEVEL = 0x8000,
    REMOTE_IRR = 0x4000,
    LOGICAL = 0x800,
    LAPIC_EOI = 0xb0,
    LAPIC_SVR = 0xf0,
};

typedef struct {
    vsr_machine *machine;
    vsr_irq irq[VSR_GSI_MAX];
} fixture;

static void lapic_wr(fixture *f, uint32_t vcpu, uint32_t reg, uint32_t value)
{
    fake_mmio_write(f->machine, vcpu, 0xfee00000 + reg, 4, value);
}

static uint32_t rd(fixture *f, uint32_t reg)
{
    fake_mmio_write(f->machine, 0, BASE, 4, reg);
    return (uint32_t)fake_mmio_read(f->machine, 0, BASE + 0x10, 4);
}

static void wr(fixture *f, uint32_t reg, uint32_t value)
{
    fake_mmio_write(f->machine, 0, BASE, 4, reg);
    fake_mmio_write(f->machine, 0, BASE + 0x10, 4, value);
}

static void entry(fixture *f, unsigned pin, uint32_t dest, uint32_t low)
{
    wr(f, 0x11 + 2 * pin, dest << 24);
    wr(f, 0x10 + 2 * pin, low);
}

static int setup(void **state)
{
    const vsr_lapic_params lapic_params = { .vcpus = 2 };
    vsr_ioapic_params params = { 0 };
    fixture *f = g_new0(fixture, 1);

    f->machine = fake_machine_new(2);
    if (f->machine == NULL)
        return 1;
    params.lapic = vsr_device_new(f->machine, &vsr_lapic_class, "lapic",
                                  &lapic_params, NULL);
    if (params.lapic == NULL || vsr_device_new(f->machine, &vsr_ioapic_class,
                                               "ioapic", &params, NULL) == NULL)
        return 1;
    for (uint32_t i = 0; i < VSR_GSI_MAX; i++)
        vsr_irq_init(&f->irq[i], f->machine->irqs, i);
    lapic_wr(f, 0, LAPIC_SVR, 0x1ff);
    lapic_wr(f, 1, LAPIC_SVR, 0x1ff);
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

static void expect(fixture *f, uint32_t vcpu, int vector)
{
    assert_int_equal(fake_intr(f->machine, vcpu), vector >= 0);
    assert_int_equal(fake_intr_ack(f->machine, vcpu), vector);
}

static void eoi(fixture *f, uint32_t vcpu)
{
    lapic_wr(f, vcpu, LAPIC_EOI, 0);
}

static void registers_are_those_of_the_data_sheet(void **state)
{
    fixture *f = *state;

    assert_int_equal(rd(f, 1), 0x00170020);
    wr(f, 1, 0);
    assert_int_equal(rd(f, 1), 0x00170020);
    wr(f, 0, 0xffffffff);
    assert_int_equal(rd(f, 0), 0x0f000000);
    for (unsigned pin = 0; pin < 24; pin++) {
        assert_int_equal(rd(f, 0x10 + 2 * pin), MASKED);
        assert_int_equal(rd(f, 0x11 + 2 * pin), 0);
    }
    wr(f, 0x3e, MASKED | 0x7fff);
    assert_int_equal(rd(f, 0x3e), MASKED | 0x2fff); /* status bits are ours */
    wr(f, 0x3f, 0xffffffff);
    assert_int_equal(rd(f, 0x3f), 0xff000000);
    assert_int_equal(rd(f, 0x40), 0);
    wr(f, 0xff, 1);
}

static void an_edge_is_delivered_once(void **state)
{
    fixture *f = *state;

    entry(f, 4, 1, 0x54);
    vsr_irq_set(&f->irq[4], true);
    expect(f, 1, 0x54);
    eoi(f, 1);
    expect(f, 1, -1); /* still high: no new edge */
    vsr_irq_set(&f->irq[4], false);
    expect(f, 1, -1);
    vsr_irq_pulse(&f->irq[4]);
    expect(f, 1, 0x54);
}

static void a_masked_edge_is_lost(void **state)
{
    fixture *f = *state;

    entry(f, 4, 0, MASKED | 0x54);
    vsr_irq_set(&f->irq[4], true);
    entry(f, 4, 0, 0x54);
    expect(f, 0, -1);
}

static void a_level_comes_back_until_it_falls(void **state)
{
    fixture *f = *state;

    entry(f, 16, 0, LEVEL | 0x61);
    vsr_irq_set(&f->irq[16], true);
    assert_int_equal(rd(f, 0x30) & REMOTE_IRR, REMOTE_IRR);
    expect(f, 0, 0x61);
    expect(f, 0, -1);
    eoi(f, 0); /* still asserted */
    expect(f, 0, 0x61);
    vsr_irq_set(&f->irq[16], false);
    eoi(f, 0);
    expect(f, 0, -1);
    assert_int_equal(rd(f, 0x30) & REMOTE_IRR, 0);
}

static void a_masked_level_waits(void **state)
{
    fixture *f = *state;

    entry(f, 17, 1, LEVEL | MASKED | 0x62);
    vsr_irq_set(&f->irq[17], true);
    expect(f, 1, -1);
    entry(f, 17, 1, LEVEL | 0x62);
    expect(f, 1, 0x62);
    entry(f, 17, 1, LEVEL | MASKED | 0x62); /* as a driver does in service */
    eoi(f, 1);
    expect(f, 1, -1);
    entry(f, 17, 1, LEVEL | 0x62);
    expect(f, 1, 0x62);
}

static void turning_to_edge_clears_remote_irr(void **state)
{
    fixture *f = *state;

    entry(f, 18, 0, LEVEL | 0x63);
    vsr_irq_set(&f->irq[18], true);
    expect(f, 0, 0x63);
    vsr_irq_set(&f->irq[18], false);
    assert_int_equal(rd(f, 0x34) & REMOTE_IRR, REMOTE_IRR);
    wr(f, 0x34, MASKED | 0x63);
    assert_int_equal(rd(f, 0x34) & REMOTE_IRR, 0);
}

static void the_eoi_register_ends_too(void **state)
{
    fixture *f = *state;

    entry(f, 18, 0, LEVEL | 0x63);
    vsr_irq_set(&f->irq[18], true);
    expect(f, 0, 0x63);
    fake_mmio_write(f->machine, 0, BASE + 0x40, 4, 0x64); /* another's */
    assert_int_equal(rd(f, 0x34) & REMOTE_IRR, REMOTE_IRR);
    vsr_irq_set(&f->irq[18], false);
    fake_mmio_write(f->machine, 0, BASE + 0x40, 4, 0x63);
    assert_int_equal(rd(f, 0x34) & REMOTE_IRR, 0);
}

static void the_timer_is_at_pin_2(void **state)
{
    fixture *f = *state;

    entry(f, 2, 0, 0x30);
    entry(f, 0, 0, 0x31);
    vsr_irq_pulse(&f->irq[0]);
    expect(f, 0, 0x30);
    eoi(f, 0);
    vsr_irq_pulse(&f->irq[2]);
    expect(f, 0, -1);
}

static void delivery_modes_reach_the_lapic(void **state)
{
    fixture *f = *state;

    entry(f, 5, 1, 0x400); /* NMI */
    vsr_irq_pulse(&f->irq[5]);
    assert_int_equal(fake_vcpu_of(f->machine, 1)->n_nmi, 1);
    lapic_wr(f, 0, 0xd0, 1u << 24);
    lapic_wr(f, 1, 0xd0, 2u << 24);
    entry(f, 5, 3, LOGICAL | 0x71);
    vsr_irq_pulse(&f->irq[5]);
    expect(f, 0, 0x71);
    expect(f, 1, 0x71);
}

static void a_level_nobody_takes_is_tried_again(void **state)
{
    fixture *f = *state;

    lapic_wr(f, 1, LAPIC_SVR, 0xff);
    entry(f, 19, 1, LEVEL | 0x64);
    vsr_irq_set(&f->irq[19], true);
    assert_int_equal(rd(f, 0x36) & REMOTE_IRR, 0);
    lapic_wr(f, 1, LAPIC_SVR, 0x1ff);
    entry(f, 19, 1, LEVEL | 0x64);
    expect(f, 1, 0x64);
}

static void odd_accesses_do_nothing(void **state)
{
    fixture *f = *state;

    for (uint32_t off = 0; off < 0x1000; off++)
        for (uint32_t size = 1; size <= 8; size *= 2) {
            (void)fake_mmio_read(f->machine, 0, BASE + off, size);
            if (off != 0x10)
                fake_mmio_write(f->machine, 0, BASE + off, size, UINT64_MAX);
        }
    assert_int_equal(rd(f, 1), 0x00170020);
}

static void reset_masks_and_keeps_the_lines(void **state)
{
    fixture *f = *state;

    entry(f, 20, 0, LEVEL | 0x65);
    vsr_irq_set(&f->irq[20], true);
    assert_true(vsr_machine_reset(f->machine, NULL));
    assert_int_equal(rd(f, 0x38), MASKED);
    lapic_wr(f, 0, LAPIC_SVR, 0x1ff);
    entry(f, 20, 0, LEVEL | 0x65);
    expect(f, 0, 0x65); /* nobody lowered it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers_are_those_of_the_data_sheet),
        TEST(an_edge_is_delivered_once),
        TEST(a_masked_edge_is_lost),
        TEST(a_level_comes_back_until_it_falls),
        TEST(a_masked_level_waits),
        TEST(turning_to_edge_clears_remote_irr),
        TEST(the_eoi_register_ends_too),
        TEST(the_timer_is_at_pin_2),
        TEST(delivery_modes_reach_the_lapic),
        TEST(a_level_nobody_takes_is_tried_again),
        TEST(odd_accesses_do_nothing),
        TEST(reset_masks_and_keeps_the_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
