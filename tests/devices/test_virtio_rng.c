/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/virtio/rng.h"

#include <string.h>

#include "tests/devices/virtio_driver.h"

static driver *new_rng(driver_transport transport, uint64_t bytes,
                       uint32_t period_ms)
{
    driver *d = driver_new(transport);
    const vsr_virtio_rng_params params = {
        .virtio = driver_params(d),
        .rate_bytes = bytes,
        .rate_period_ms = period_ms,
    };

    driver_attach(d, &vsr_virtio_rng_class, &params);
    driver_start(d, UINT64_MAX, 1);
    return d;
}

static driver_buffer room(driver *d, uint64_t len)
{
    return (driver_buffer){ driver_alloc(d, len, 1), len, true };
}

static bool is_zero(driver *d, uint64_t gpa, uint64_t len)
{
    const uint8_t *bytes = driver_ram(d, gpa, len);

    for (uint64_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void fills_what_it_says(driver_transport transport)
{
    driver *d = new_rng(transport, 0, 0);
    driver_buffer b = room(d, 256);
    uint32_t before = driver_interrupts(d, 0), len;
    uint16_t head, got;

    head = driver_add(d, 0, &b, 1);
    driver_kick(d, 0);
    assert_true(driver_wait(d, 0, &got, &len));
    assert_int_equal(got, head);
    assert_int_equal(len, 256);
    assert_false(is_zero(d, b.gpa, 64));
    assert_false(is_zero(d, b.gpa + 192, 64));
    assert_true(driver_wait_interrupt(d, 0, before));
    driver_free(d);
}

static void pci_fills_what_it_says(void **state)
{
    fills_what_it_says(DRIVER_PCI);
}

static void mmio_fills_what_it_says(void **state)
{
    fills_what_it_says(DRIVER_MMIO);
}

static void scattered_and_indirect_buffers_are_filled(void **state)
{
    driver *d = new_rng(DRIVER_PCI, 0, 0);
    const driver_buffer b[] = { room(d, 33), room(d, 1), room(d, 95) };
    uint32_t len;

    for (unsigned i = 0; i < 2; i++) {
        if (i == 0)
            driver_add(d, 0, b, 3);
        else
            driver_add_indirect(d, 0, b, 3);
        driver_kick(d, 0);
        assert_true(driver_wait(d, 0, NULL, &len));
        assert_int_equal(len, 129);
        assert_false(is_zero(d, b[0].gpa, 33));
        assert_false(is_zero(d, b[2].gpa, 95));
        memset(driver_ram(d, b[0].gpa, 129), 0, 129);
    }
    driver_free(d);
}

/* More than one turn of the loop gives, with one kick. */
static void a_large_wish_is_served_in_turns(void **state)
{
    enum { EACH = 100 << 10, COUNT = 40 };
    driver *d = new_rng(DRIVER_PCI, 0, 0);
    driver_buffer b = room(d, EACH);
    uint64_t total = 0;
    uint32_t len;

    for (unsigned i = 0; i < COUNT; i++)
        driver_add(d, 0, &b, 1);
    driver_kick(d, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(driver_wait(d, 0, NULL, &len));
        assert_in_range(len, 1, EACH);
        total += len;
    }
    assert_true(total >= COUNT);
    driver_free(d);
}

static void rate_is_kept(void **state)
{
    driver *d = new_rng(DRIVER_PCI, 100, 50);
    driver_buffer b = room(d, 64);
    gint64 begin = g_get_monotonic_time();
    uint32_t total = 0, len;

    for (unsigned i = 0; i < 8; i++)
        driver_add(d, 0, &b, 1);
    driver_kick(d, 0);
    driver_settle(d);
    assert_true(driver_wait(d, 0, NULL, &len));
    assert_int_equal(len, 64);
    assert_true(driver_wait(d, 0, NULL, &len));
    assert_int_equal(len, 36);
    for (unsigned i = 2; i < 8; i++) {
        assert_true(driver_wait(d, 0, NULL, &len));
        total += len;
    }
    /* Two a period: the last ones come in the fourth. */
    assert_int_equal(total, 3 * 100);
    assert_true(g_get_monotonic_time() - begin >= 3 * 50 * 1000);
    driver_free(d);
}

/* Who waits for the end of an hour need not any more. */
static void another_rate_holds_at_once(void **state)
{
    driver *d = new_rng(DRIVER_PCI, 64, 3600 * 1000);
    driver_buffer b = room(d, 64);
    uint32_t len;

    for (unsigned i = 0; i < 4; i++)
        driver_add(d, 0, &b, 1);
    driver_kick(d, 0);
    assert_true(driver_wait(d, 0, NULL, &len));
    assert_int_equal(len, 64);
    driver_settle(d);
    assert_false(driver_take(d, 0, NULL, NULL));
    vsr_virtio_rng_set_rate(&d->device->device, 32, 3600 * 1000);
    assert_true(driver_wait(d, 0, NULL, &len));
    assert_int_equal(len, 32);
    driver_settle(d);
    assert_false(driver_take(d, 0, NULL, NULL));
    vsr_virtio_rng_set_rate(&d->device->device, 0, 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(driver_wait(d, 0, NULL, &len));
        assert_int_equal(len, 64);
    }
    driver_free(d);
}

static void a_readable_buffer_breaks_the_device(void **state)
{
    driver *d = new_rng(DRIVER_PCI, 0, 0);
    driver_buffer b = room(d, 64);
    uint32_t before = driver_interrupts(d, UINT32_MAX);

    b.writable = false;
    driver_add(d, 0, &b, 1);
    driver_kick(d, 0);
    assert_true(driver_wait_interrupt(d, UINT32_MAX, before));
    assert_true(driver_status(d) & VSR_VIRTIO_NEEDS_RESET);
    assert_int_equal(driver_used_idx(d, 0), 0);
    driver_start(d, UINT64_MAX, 1);
    b = room(d, 64);
    driver_add(d, 0, &b, 1);
    driver_kick(d, 0);
    assert_true(driver_wait(d, 0, NULL, NULL));
    driver_free(d);
}

static void quiet_while_paused(void **state)
{
    driver *d = new_rng(DRIVER_PCI, 0, 0);
    driver_buffer b = room(d, 64);

    vsr_virtio_rng_class.quiesce(&d->device->device);
    driver_add(d, 0, &b, 1);
    driver_kick(d, 0);
    driver_settle(d);
    assert_false(driver_take(d, 0, NULL, NULL));
    vsr_virtio_rng_class.unquiesce(&d->device->device);
    assert_true(driver_wait(d, 0, NULL, NULL));
    driver_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pci_fills_what_it_says),
        cmocka_unit_test(mmio_fills_what_it_says),
        cmocka_unit_test(scattered_and_indirect_buffers_are_filled),
        cmocka_unit_test(a_large_wish_is_served_in_turns),
        cmocka_unit_test(rate_is_kept),
        cmocka_unit_test(another_rate_holds_at_once),
        cmocka_unit_test(a_readable_buffer_breaks_the_device),
        cmocka_unit_test(quiet_while_paused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
