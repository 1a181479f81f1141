/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_pci.c: what virtio has on PCI only: MSI-X, bus mastering, BARs. */
#include "tests/devices/virtio_toy.h"

static void msix_takes_the_line_away(void **state)
{
    driver *d = *state;

    driver_start(d, 0, 1);
    assert_true(echoes(d, 0));
    driver_settle(d);
    assert_true(driver_line(d));
    assert_int_equal(driver_pci_get(d, VSR_PCI_STATUS, 2) & 8, 8);
    driver_pci_set(d, d->msix + 2, 2, 0x8000);
    assert_false(driver_line(d));
    assert_int_equal(driver_pci_get(d, VSR_PCI_STATUS, 2) & 8, 0);
    driver_pci_set(d, d->msix + 2, 2, 0);
    assert_true(driver_line(d));
    driver_pci_set(d, VSR_PCI_COMMAND, 2, 0x406);
    assert_false(driver_line(d));
    driver_pci_set(d, VSR_PCI_COMMAND, 2, 0x006);
    assert_true(driver_line(d));
    assert_int_equal(driver_take_isr(d), 1);
    assert_false(driver_line(d));
}

/* --- MSI-X ------------------------------------------------------------------------------- */

static bool pending(driver *d, uint32_t vector)
{
    return rd(d, d->msix_table + 0x800, 8) >> vector & 1;
}

static void mask(driver *d, uint32_t vector, bool on)
{
    wr(d, d->msix_table + 16 * (uint64_t)vector + 12, 4, on);
}

static void settled_echo(driver *d)
{
    assert_true(echoes(d, 0));
    driver_settle(d);
}

static void masked_messages_wait(void **state)
{
    driver *d = *state;
    uint32_t before;

    driver_start(d, 0, 1);
    before = driver_interrupts(d, 0);
    mask(d, 0, true);
    settled_echo(d);
    settled_echo(d);
    assert_true(pending(d, 0));
    assert_false(pending(d, 1));
    assert_int_equal(driver_interrupts(d, 0), before);
    mask(d, 0, false);
    assert_int_equal(driver_interrupts(d, 0), before + 1);
    assert_false(pending(d, 0));

    driver_pci_set(d, d->msix + 2, 2, 0xc000); /* the whole function */
    settled_echo(d);
    assert_true(pending(d, 0));
    mask(d, 0, true);
    driver_pci_set(d, d->msix + 2, 2, 0x8000);
    assert_int_equal(driver_interrupts(d, 0), before + 1);
    mask(d, 0, false);
    assert_int_equal(driver_interrupts(d, 0), before + 2);
    wr(d, d->msix_table + 0x800, 8, UINT64_MAX); /* read-only */
    assert_false(pending(d, 0));
}

static void vectors_are_checked(void **state)
{
    driver *d = *state;
    uint32_t before;

    wr(d, d->common + 16, 2, QUEUES);
    assert_int_equal(rd(d, d->common + 16, 2), QUEUES);
    wr(d, d->common + 16, 2, QUEUES + 1);
    assert_int_equal(rd(d, d->common + 16, 2), 0xffff);
    driver_start(d, 0, 1);
    wr(d, d->common + 22, 2, 0);
    wr(d, d->common + 26, 2, 0x1234);
    assert_int_equal(rd(d, d->common + 26, 2), 0xffff);
    before = driver_interrupts(d, 0);
    settled_echo(d);
    assert_int_equal(driver_interrupts(d, 0), before);
    assert_int_equal(rd(d, d->msix_table + 0x800, 8), 0);
    wr(d, d->common + 26, 2, 1); /* the other one */
    before = driver_interrupts(d, 1);
    settled_echo(d);
    assert_int_equal(driver_interrupts(d, 1), before + 1);
}

static void the_table_is_all_that_is_there(void **state)
{
    driver *d = *state;
    uint32_t vectors = QUEUES + 1;

    assert_int_equal(driver_pci_get(d, d->msix + 2, 2) & 0x7ff, vectors - 1);
    for (uint64_t at = 0; at < 0x1000; at += 4)
        wr(d, d->msix_table + at, 4, 0xffffffff);
    for (uint64_t at = 0; at < 0x800; at += 4) {
        uint64_t want = at >= 16 * vectors ? 0
                        : at % 16 == 0     ? 0xfffffffc
                        : at % 16 == 12    ? 1
                                           : 0xffffffff;

        assert_int_equal(rd(d, d->msix_table + at, 4), want);
    }
    assert_int_equal(rd(d, d->msix_table + 8, 8), UINT64_C(0x1ffffffff));
    wr(d, d->msix_table, 8, UINT64_C(0x123456789abcdef0));
    assert_int_equal(rd(d, d->msix_table, 8), UINT64_C(0x123456789abcdef0));
    toy_class.reset(&d->device->device);
    driver_probe(d);
    driver_start(d, 0, 1);
    settled_echo(d);
}

/* --- the bus master bit ------------------------------------------------------------------- */

static void no_message_and_no_access_without_mastering(void **state)
{
    driver *d = *state;
    uint32_t before;

    assert_true(driver_negotiate(d, 0));
    wr(d, d->common + 16, 2, QUEUES);
    driver_place(d, 0, 0);
    driver_enable(d, 0);
    driver_pci_set(d, VSR_PCI_COMMAND, 2, 2);
    driver_set_status(d, 15);
    assert_int_equal(toy_of(d)->starts, 0);
    before = driver_interrupts(d, UINT32_MAX);
    g_mutex_lock(&d->device->device.lock);
    vsr_virtio_config_changed(d->device);
    g_mutex_unlock(&d->device->device.lock);
    assert_int_equal(driver_interrupts(d, UINT32_MAX), before);
    driver_pci_set(d, VSR_PCI_COMMAND, 2, 6); /* late, but well */
    assert_int_equal(driver_interrupts(d, UINT32_MAX), before + 1);
    assert_int_equal(toy_of(d)->starts, 1);
    assert_true(echoes(d, 0));

    driver_pci_set(d, VSR_PCI_COMMAND, 2, 2);
    assert_int_equal(toy_of(d)->stops, 1);
    put(d, 0);
    driver_kick(d, 0);
    driver_settle(d);
    driver_pci_set(d, VSR_PCI_COMMAND, 2, 6);
    driver_kick(d, 0);
    driver_settle(d);
    assert_false(driver_take(d, 0, NULL, NULL)); /* only a reset helps */
    driver_start(d, 0, 1);
    assert_true(echoes(d, 0));
}

/* --- BARs and the way around them --------------------------------------------------------- */

static void doorbells_follow_the_bar(void **state)
{
    driver *d = *state;
    uint64_t old = d->notify;

    driver_start(d, UINT64_MAX, 1);
    assert_int_equal(d->machine->vm->n_doorbells, QUEUES);
    assert_true(echoes(d, 0));
    driver_pci_set(d, VSR_PCI_BAR0, 4, 0xc8000000);
    assert_int_equal(d->machine->vm->n_doorbells, QUEUES);
    put(d, 0);
    wr(d, old, 2, 0);
    driver_settle(d);
    assert_false(driver_take(d, 0, NULL, NULL));
    d->notify = 0xc8000000 + (old & 0xffff);
    d->common = 0xc8000000 + (d->common & 0xffff);
    driver_kick(d, 0);
    assert_true(driver_wait(d, 0, NULL, NULL));
    assert_int_equal(driver_status(d), 15);
    driver_pci_set(d, VSR_PCI_COMMAND, 2, 4);
    assert_int_equal(d->machine->vm->n_doorbells, 0);
    driver_pci_set(d, VSR_PCI_COMMAND, 2, 6);
    assert_true(echoes(d, 0));
    /* 32 bits, or with another value: no doorbell, but a kick. */
    put(d, 0);
    wr(d, d->notify, 4, 0x12340000);
    assert_true(driver_wait(d, 0, NULL, NULL));
}

static void point(driver *d, uint8_t bar, uint32_t offset, uint32_t len)
{
    driver_pci_set(d, d->access + 4u, 1, bar);
    driver_pci_set(d, d->access + 8u, 4, offset);
    driver_pci_set(d, d->access + 12u, 4, len);
}

/* VIRTIO 1.2, 4.1.4.9 */
static void the_access_capability_reaches_all_of_the_bar(void **state)
{
    driver *d = *state;
    uint32_t data = d->access + 16u;
    uint64_t bar = d->common & ~UINT64_C(0xffff);

    driver_start(d, UINT64_MAX, 1);
    for (uint32_t len = 1; len <= 4; len *= 2)
        for (uint32_t at = 0; at < 0x4000;
             at += at % 0x1000 < 0x80 ? len : 0x40) {
            if (at >= 0x1000 && at < 0x2000) /* reading ISR changes it */
                continue;
            point(d, 0, at, len);
            assert_int_equal(driver_pci_get(d, data, len),
                             rd(d, bar + at, len));
        }
    /* Wrong: nothing happens, whatever is read. */
    for (uint32_t len = 0; len < 10; len++) {
        uint8_t status = driver_status(d);

        point(d, len == 1 ? 1 : 0, len == 2 || len == 4 ? 0x4000 : 21, len);
        driver_pci_set(d, data, 4, 0);
        (void)driver_pci_get(d, data, 4);
        assert_int_equal(driver_status(d), status);
    }
    point(d, 0, UINT32_MAX & ~3u, 4);
    (void)driver_pci_get(d, data, 4);
    point(d, 5, 0, 4);
    (void)driver_pci_get(d, data, 4);

    put(d, 0);
    point(d, 0, (uint32_t)(d->notify - bar), 2);
    driver_pci_set(d, data, 2, 0);
    assert_true(driver_wait(d, 0, NULL, NULL));
    point(d, 0, 20, 1);
    assert_int_equal(driver_pci_get(d, data, 1), 15);
    driver_pci_set(d, data, 1, 0);
    assert_int_equal(driver_status(d), 0);
    assert_int_equal(toy_of(d)->stops, 1);
    /* Without the BAR. */
    driver_pci_set(d, VSR_PCI_COMMAND, 2, 0);
    point(d, 0, 18, 2);
    assert_int_equal(driver_pci_get(d, data, 2), QUEUES);
}

static void fields_of_any_width(void **state)
{
    driver *d = *state;

    driver_start(d, UINT64_MAX, 1);
    assert_int_equal(rd(d, d->common + 32, 8), d->queue[0].desc);
    assert_int_equal(rd(d, d->common + 40, 8), d->queue[0].avail);
    assert_int_equal(rd(d, d->common + 24, 2), QUEUE_SIZE);
    assert_int_equal(rd(d, d->common + 30, 2), 0);
    assert_int_equal(rd(d, d->common + 18, 2), QUEUES);
    assert_int_equal(rd(d, d->common + 60, 4), 0);
    assert_int_equal(rd(d, d->isr + 4, 4), 0);
    assert_true(driver_negotiate(d, 0));
    driver_place(d, 0, 16);
    wr(d, d->common + 32, 8, d->queue[0].desc);
    wr(d, d->common + 40, 8, d->queue[0].avail);
    wr(d, d->common + 48, 8, d->queue[0].used);
    driver_enable(d, 0);
    assert_true(driver_enabled(d, 0));
}

/* --- a guest that runs while the device comes and goes ------------------------------------ */

typedef struct {
    driver *d;
    gint stop; /* atomic */
} mover;

static void *keep_moving(void *opaque)
{
    mover *m = opaque;
    uint64_t at = VSR_ECAM_BASE + ((uint64_t)m->d->devfn << 12);

    for (uint32_t i = 0; !g_atomic_int_get(&m->stop); i++) {
        uint64_t bar = 0xc8000000 + (uint64_t)(i % 4) * 0x10000;

        wr(m->d, at + VSR_PCI_BAR0, 4, bar);
        wr(m->d, at + VSR_PCI_COMMAND, 2, 6);
        wr(m->d, bar + 20, 1, i % 16);
        wr(m->d, bar + 0x3000, 2, 0);
        (void)rd(m->d, bar + 16, 8);
    }
    return NULL;
}

static void it_comes_and_goes_while_its_bar_moves(void **state)
{
    driver *d = *state;
    const vsr_virtio_params params = driver_params(d);
    mover m = { .d = d };
    GThread *thread = g_thread_new("mover", keep_moving, &m);

    for (unsigned i = 0; i < 200; i++) {
        g_usleep(100);
        vsr_device_free(&d->device->device);
        assert_int_equal(d->machine->vm->n_doorbells, 0);
        d->device = (vsr_virtio *)(void *)vsr_device_new(d->machine, &toy_class,
                                                         "dut", &params, NULL);
        assert_non_null(d->device);
    }
    g_atomic_int_set(&m.stop, 1);
    g_thread_join(thread);
}

int main(void)
{
#define PCI(name)  cmocka_unit_test_setup_teardown(name, setup_pci, teardown)
#define INTX(name) cmocka_unit_test_setup_teardown(name, setup_intx, teardown)
    const struct CMUnitTest tests[] = {
        INTX(msix_takes_the_line_away),
        PCI(masked_messages_wait),
        PCI(vectors_are_checked),
        PCI(the_table_is_all_that_is_there),
        PCI(no_message_and_no_access_without_mastering),
        PCI(doorbells_follow_the_bar),
        PCI(the_access_capability_reaches_all_of_the_bar),
        PCI(fields_of_any_width),
        PCI(it_comes_and_goes_while_its_bar_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
