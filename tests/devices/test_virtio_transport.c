/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_transport.c: what both transports have in common, and MMIO. */
#include <string.h>

#include "tests/devices/virtio_toy.h"

/* --- status and features ----------------------------------------------------- */

static void features_must_be_offered(void **state)
{
    driver *d = *state;
    uint64_t offered = driver_offered(d);

    assert_int_equal(offered, F_TOY | VSR_VIRTIO_F_VERSION_1 |
                                  VSR_VIRTIO_F_INDIRECT_DESC |
                                  VSR_VIRTIO_F_EVENT_IDX);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t one = UINT64_C(1) << bit;

        driver_set_status(d, 0);
        driver_set_status(d, 3);
        driver_accept(d, VSR_VIRTIO_F_VERSION_1 | one);
        driver_set_status(d, 3 | VSR_VIRTIO_FEATURES_OK);
        assert_int_equal(driver_status(d), offered & one ? 11 : 3);
    }
    driver_set_status(d, 0);
    driver_set_status(d, 3);
    driver_accept(d, F_TOY); /* a legacy driver */
    driver_set_status(d, 11);
    assert_int_equal(driver_status(d), 3);
    driver_set_status(d, 15); /* it goes on nevertheless */
    assert_int_equal(driver_status(d), 7);
    assert_int_equal(toy_of(d)->starts, 0);
    /* It may think again. */
    driver_set_status(d, 0);
    driver_set_status(d, 3);
    driver_accept(d, UINT64_MAX);
    driver_set_status(d, 11);
    assert_int_equal(driver_status(d), 3);
    driver_accept(d, offered);
    driver_set_status(d, 11);
    assert_int_equal(driver_status(d), 11);
}

static void features_stay_once_they_are_agreed(void **state)
{
    driver *d = *state;

    assert_true(driver_negotiate(d, 0));
    driver_accept(d, UINT64_MAX);
    driver_set_status(d, 15);
    assert_int_equal(d->device->accepted, VSR_VIRTIO_F_VERSION_1);
    /* Selectors beyond what there is. */
    for (uint32_t i = 2; i < 40; i += 7) {
        bool pci = d->transport == DRIVER_PCI;

        wr(d, d->common + (pci ? 0 : 0x14), 4, i);
        assert_int_equal(rd(d, d->common + (pci ? 4 : 0x10), 4), 0);
    }
}

/* Each order of the four bits; what starts is what has them all. */
static void any_order_of_status(void **state)
{
    driver *d = *state;

    for (unsigned order = 0; order < 256; order++) {
        int starts = toy_of(d)->starts;
        bool feature_first = false, ok = false;
        uint8_t status = 0;

        driver_set_status(d, 0);
        driver_accept(d, VSR_VIRTIO_F_VERSION_1);
        for (unsigned i = 0; i < 4; i++) {
            uint8_t bit = (uint8_t)(1u << (order >> 2 * i & 3));

            ok |= bit == 4 && (status & 4) == 0 && (status & 8) != 0;
            feature_first |= ok;
            status |= bit;
            driver_set_status(d, bit); /* without the old ones */
            assert_int_equal(driver_status(d), status);
        }
        assert_int_equal(toy_of(d)->starts - starts, feature_first);
    }
    driver_set_status(d, 0);
    assert_int_equal(driver_status(d), 0);
    driver_set_status(d, 0xff); /* NEEDS_RESET is not the driver's to set */
    assert_int_equal(driver_status(d) & VSR_VIRTIO_NEEDS_RESET, 0);
}

static void reset_forgets_all(void **state)
{
    driver *d = *state;

    for (unsigned i = 0; i < 2; i++) {
        driver_start(d, UINT64_MAX, QUEUES);
        assert_true(echoes(d, 0));
        assert_int_equal(toy_of(d)->stops, i);
        if (i == 0) {
            driver_set_status(d, 0);
        } else {
            toy_class.reset(&d->device->device);
            driver_probe(d);
        }
        assert_int_equal(toy_of(d)->stops, i + 1);
        assert_int_equal(driver_status(d), 0);
        assert_false(driver_enabled(d, 0));
        assert_int_equal(driver_queue_max(d, 0), QUEUE_SIZE);
        assert_int_equal(d->device->accepted, 0);
        driver_settle(d); /* what MSI-X there was is over */
        assert_int_equal(driver_take_isr(d), 0);
        put(d, 0);
        driver_kick(d, 0);
        driver_settle(d);
        assert_false(driver_take(d, 0, NULL, NULL));
        driver_set_status(d, 0); /* twice */
    }
}

/* --- queues -------------------------------------------------------------------- */

static void queues_that_cannot_be_break_the_device(void **state)
{
    static const struct {
        uint16_t size;
        uint64_t desc, avail, used;
    } bad[] = {
        { 0, 0, 0, 0 },
        { 3, 0, 0, 0 },
        { QUEUE_SIZE * 2, 0, 0, 0 },
        { 0xffff, 0, 0, 0 },
        { 16, 8, 0, 0 },
        { 16, 0, 1, 0 },
        { 16, 0, 0, 2 },
        { 16, UINT64_C(1) << 40, 0, 0 },
        { 16, 0, UINT64_C(1) << 40, 0 },
        { 16, 0, 0, UINT64_C(1) << 63 },
    };
    driver *d = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        assert_true(driver_negotiate(d, UINT64_MAX));
        driver_place(d, 0, 16);
        d->queue[0].size = bad[i].size;
        d->queue[0].desc += bad[i].desc;
        d->queue[0].avail += bad[i].avail;
        d->queue[0].used += bad[i].used;
        driver_write_queue(d, 0);
        driver_enable(d, 0);
        assert_false(driver_enabled(d, 0));
        assert_true(driver_status(d) & VSR_VIRTIO_NEEDS_RESET);
    }
    driver_start(d, UINT64_MAX, 1);
    assert_true(echoes(d, 0));
}

static void a_live_queue_cannot_be_moved(void **state)
{
    driver *d = *state;
    driver_queue old;

    assert_true(driver_negotiate(d, UINT64_MAX));
    driver_place(d, 0, 16);
    driver_enable(d, 0);
    old = d->queue[0];
    d->queue[0].size = 32;
    d->queue[0].desc = d->queue[0].avail = d->queue[0].used = 0x200000;
    driver_write_queue(d, 0);
    driver_enable(d, 0);
    d->queue[0] = old;
    driver_set_status(d, 15);
    d->event_idx = false;
    assert_true(echoes(d, 0));
    driver_place(d, 1, 16);
    driver_enable(d, 1); /* too late: the device runs */
    assert_false(driver_enabled(d, 1));
}

static void a_queue_needs_the_features_first(void **state)
{
    driver *d = *state;

    driver_set_status(d, 0);
    driver_set_status(d, 3);
    driver_place(d, 0, 16);
    driver_enable(d, 0);
    assert_false(driver_enabled(d, 0));
    assert_int_equal(driver_queue_max(d, QUEUES), 0);
    assert_int_equal(driver_queue_max(d, 0xffff), 0);
    assert_int_equal(driver_queue_max(d, 1), QUEUE_SIZE / 2);
}

static void what_came_before_driver_ok_is_served(void **state)
{
    driver *d = *state;

    assert_true(driver_negotiate(d, UINT64_MAX));
    driver_place(d, 0, 0);
    driver_enable(d, 0);
    put(d, 0);
    driver_kick(d, 0);
    driver_settle(d);
    assert_int_equal(driver_used_idx(d, 0), 0);
    driver_set_status(d, 15);
    assert_true(driver_wait(d, 0, NULL, NULL));
}

static void kicks_for_no_queue_are_ignored(void **state)
{
    driver *d = *state;
    uint64_t at = d->transport == DRIVER_PCI ? d->notify : d->common + 0x50;

    driver_start(d, UINT64_MAX, 1); /* the second is not set up */
    for (uint64_t i = 0; i < 5; i++) {
        wr(d, d->transport == DRIVER_PCI ? at + 4 * i : at, 4, i * 33);
        wr(d, d->transport == DRIVER_PCI ? at + 4 * i : at, 2, UINT16_MAX);
    }
    driver_kick(d, 1);
    assert_true(echoes(d, 0));
}

static void a_broken_ring_is_told(void **state)
{
    driver *d = *state;
    uint32_t before;

    driver_start(d, UINT64_MAX, 2);
    before = driver_interrupts(d, UINT32_MAX);
    driver_desc(d, 0, 0, UINT64_MAX, 16, 0, 0);
    driver_publish(d, 0, 0);
    driver_kick(d, 0);
    assert_true(driver_wait_interrupt(d, UINT32_MAX, before));
    assert_true(driver_status(d) & VSR_VIRTIO_NEEDS_RESET);
    assert_int_equal(driver_take_isr(d) & 2, 2);
    driver_start(d, UINT64_MAX, 2);
    assert_int_equal(driver_status(d), 15);
    assert_true(echoes(d, 0));
    assert_true(echoes(d, 1));
}

/* As a real driver: a kick only when it is wanted, over the end of 16 bits. */
static void suppressed_kicks_lose_nothing(void **state)
{
    enum { BUNCH = 32, ROUNDS = 65536 / BUNCH + 10 };
    driver *d = *state;
    driver_buffer b;
    unsigned kicks = 0;

    driver_start(d, UINT64_MAX, 1);
    b = (driver_buffer){ driver_alloc(d, 16, 1), 16, false };
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned k = 0; k < BUNCH; k++) {
            driver_add(d, 0, &b, 1);
            if (driver_wants_kick(d, 0)) {
                driver_kick(d, 0);
                kicks++;
            }
        }
        driver_want_interrupts(d, 0, i % 2);
        for (unsigned k = 0; k < BUNCH; k++)
            assert_true(driver_wait(d, 0, NULL, NULL));
    }
    assert_in_range(kicks, ROUNDS, ROUNDS * BUNCH);
}

/* --- configuration space ------------------------------------------------------------ */

static void every_size_and_offset_of_config(void **state)
{
    driver *d = *state;

    for (uint32_t size = 1; size <= 8; size *= 2)
        for (uint32_t at = 0; at < 32; at++) {
            uint64_t want = 0;

            for (uint32_t i = 0; i < size; i++)
                if (at + i < CONFIG_LEN)
                    want |= (uint64_t)(0x10 + at + i) << 8 * i;
            assert_int_equal(driver_config(d, at, size), want);
        }
    driver_set_config(d, 0, 8, UINT64_MAX);
    driver_set_config(d, 8, 8, UINT64_MAX);
    driver_set_config(d, 0xff0 - 0x100, 8, UINT64_MAX);
    assert_int_equal(driver_config(d, 0, 8), UINT64_C(0x17161f1413121110));
    assert_int_equal(toy_of(d)->writes, 1);
}

static void a_change_of_config_is_told(void **state)
{
    driver *d = *state;
    uint8_t generation = driver_generation(d);
    uint32_t before;

    driver_start(d, UINT64_MAX, 1);
    before = driver_interrupts(d, UINT32_MAX);
    g_mutex_lock(&d->device->device.lock);
    d->device->config[0] = 0x77;
    vsr_virtio_config_changed(d->device);
    g_mutex_unlock(&d->device->device.lock);
    assert_int_equal(driver_interrupts(d, UINT32_MAX), before + 1);
    assert_int_not_equal(driver_generation(d), generation);
    assert_int_equal(driver_take_isr(d) & 2, 2);
    assert_int_equal(driver_take_isr(d), 0);
    assert_int_equal(driver_config(d, 0, 1), 0x77);
}

/* --- interrupts by line ---------------------------------------------------------------- */

static void the_line_is_high_until_isr_is_taken(void **state)
{
    driver *d = *state;

    driver_start(d, 0, 1);
    assert_true(echoes(d, 0));
    driver_settle(d);
    assert_true(driver_line(d));
    assert_true(echoes(d, 0));
    driver_settle(d);
    assert_int_equal(driver_interrupts(d, 0), 1); /* no second rise */
    assert_int_equal(driver_take_isr(d), 1);
    assert_false(driver_line(d));
    assert_int_equal(driver_take_isr(d), 0);
    assert_true(echoes(d, 0));
    driver_settle(d);
    assert_true(driver_line(d));
    driver_set_status(d, 0);
    assert_false(driver_line(d));
    assert_int_equal(driver_take_isr(d), 0);
}

/* --- MMIO alone ----------------------------------------------------------------------------- */

static void registers_are_32_bits_wide(void **state)
{
    driver *d = *state;

    for (uint64_t at = 0; at < 0xff; at++) {
        assert_int_equal(rd(d, d->common + at, 1), 0);
        assert_int_equal(rd(d, d->common + at, 2), 0);
        wr(d, d->common + at, 1, 0xff);
    }
    assert_int_equal(driver_status(d), 0);
    assert_int_equal(rd(d, d->common + 8, 4), VSR_VIRTIO_ID_RNG);
    assert_int_equal(rd(d, d->common + 0xb0, 4), 0xffffffff);
    assert_int_equal(rd(d, d->common + 0xb4, 4), 0xffffffff);
    assert_int_equal(d->machine->vm->n_doorbells, QUEUES);
}

static void a_queue_can_be_taken_back_before_the_start(void **state)
{
    driver *d = *state;

    assert_true(driver_negotiate(d, UINT64_MAX));
    driver_place(d, 0, 16);
    driver_enable(d, 0);
    assert_true(driver_enabled(d, 0));
    wr(d, d->common + 0x44, 4, 0);
    assert_false(driver_enabled(d, 0));
    driver_place(d, 0, 32);
    driver_enable(d, 0);
    driver_set_status(d, 15);
    assert_true(echoes(d, 0));
}

static void a_queue_can_be_taken_back_while_it_runs(void **state)
{
    driver *d = *state;

    driver_start(d, UINT64_MAX, 2);
    assert_true(echoes(d, 0) && echoes(d, 1));
    driver_disable(d, 1);
    assert_false(driver_enabled(d, 1));
    driver_kick(d, 1);
    driver_settle(d);
    assert_false(driver_take(d, 1, NULL, NULL));
    /* The others go on; it comes back with a reset. */
    assert_true(echoes(d, 0));
    assert_int_equal(driver_status(d), 15);
    driver_enable(d, 1);
    assert_false(driver_enabled(d, 1));
    driver_start(d, UINT64_MAX, 2);
    assert_true(echoes(d, 0) && echoes(d, 1));
}

int main(void)
{
#define PCI(name)  cmocka_unit_test_setup_teardown(name, setup_pci, teardown)
#define INTX(name) cmocka_unit_test_setup_teardown(name, setup_intx, teardown)
#define MMIO(name) cmocka_unit_test_setup_teardown(name, setup_mmio, teardown)
#define BOTH(name) PCI(name), MMIO(name)
    const struct CMUnitTest tests[] = {
        BOTH(features_must_be_offered),
        BOTH(features_stay_once_they_are_agreed),
        BOTH(any_order_of_status),
        BOTH(reset_forgets_all),
        BOTH(queues_that_cannot_be_break_the_device),
        BOTH(a_live_queue_cannot_be_moved),
        BOTH(a_queue_needs_the_features_first),
        BOTH(what_came_before_driver_ok_is_served),
        BOTH(kicks_for_no_queue_are_ignored),
        BOTH(a_broken_ring_is_told),
        BOTH(suppressed_kicks_lose_nothing),
        BOTH(every_size_and_offset_of_config),
        BOTH(a_change_of_config_is_told),
        INTX(a_change_of_config_is_told),
        INTX(the_line_is_high_until_isr_is_taken),
        MMIO(the_line_is_high_until_isr_is_taken),
        MMIO(registers_are_32_bits_wide),
        MMIO(a_queue_can_be_taken_back_before_the_start),
        MMIO(a_queue_can_be_taken_back_while_it_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
