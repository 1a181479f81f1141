/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio_driver.c: see virtio_driver.h.
 *
 * Spec:    VIRTIO 1.2, 3.1 "Device Initialization", 4.1, 4.2.
 * Threads: the test's.
 */
#include "tests/devices/virtio_driver.h"

#include <string.h>

#include "base/util.h"

enum {
    MSI_DATA = 0x20,     /* + vector */
    RAM_FIRST = 1 << 20, /* below is the BIOS area */
    DEVFN = 5 << 3,
    BAR_STEP = 1 << 16,
    WAIT_US = 60000000,

    PCI_COMMON_STATUS = 20,
    MMIO_STATUS = 0x70,
};

/* --- the machine ------------------------------------------------------------ */

static void on_line(void *opaque, uint32_t gsi, bool level)
{
    driver *d = opaque;

    g_atomic_int_set(&d->line[gsi], level);
    if (level)
        g_atomic_int_inc(&d->raised[gsi]);
}

static int on_msi(void *opaque, uint64_t addr, uint32_t data)
{
    driver *d = opaque;

    if (addr == VSR_LAPIC_BASE && data >= MSI_DATA &&
        data - MSI_DATA < DRIVER_VECTORS)
        g_atomic_int_inc(&d->msi[data - MSI_DATA]);
    return 0;
}

driver *driver_new(driver_transport transport)
{
    static const vsr_irq_chip chip = { .line = on_line, .msi = on_msi };
    static const vsr_mem_options ram;
    driver *d = g_new0(driver, 1);
    vsr_pci_host_params params = { .board = &d->board };

    d->transport = transport;
    d->machine = fake_machine_new(1);
    assert_non_null(d->machine);
    vsr_irqs_add_chip(d->machine->irqs, &chip, d);
    assert_true(vsr_board_init(
        &d->board, transport == DRIVER_PCI ? VSR_BOARD_PCI : VSR_BOARD_MICRO,
        DRIVER_RAM, 1, 1, NULL));
    assert_true(vsr_board_add_ram(&d->board, d->machine, &ram, NULL));
    d->ram_next = RAM_FIRST;
    d->devfn = DEVFN;
    if (transport == DRIVER_PCI) {
        vsr_device *host = vsr_device_new(d->machine, &vsr_pci_host_class,
                                          "pci-host", &params, NULL);

        assert_non_null(host);
        d->host = vsr_pci_host_get(host);
    } else {
        d->window = vsr_board_add_mmio(&d->board);
        assert_non_null(d->window);
    }
    return d;
}

void driver_free(driver *d)
{
    vsr_machine_free(d->machine);
    g_free(d);
}

vsr_virtio_params driver_params(const driver *d)
{
    return (vsr_virtio_params){ .host = d->host,
                                .devfn = d->devfn,
                                .mmio = d->window };
}

/* --- raw accesses ------------------------------------------------------------- */

static uint64_t get(driver *d, uint64_t at, uint32_t size)
{
    return fake_mmio_read(d->machine, 0, at, size);
}

static void set(driver *d, uint64_t at, uint32_t size, uint64_t value)
{
    fake_mmio_write(d->machine, 0, at, size, value);
}

static uint64_t ecam(const driver *d, uint32_t offset)
{
    return VSR_ECAM_BASE + ((uint64_t)d->devfn << 12) + offset;
}

uint64_t driver_pci_get(driver *d, uint32_t offset, uint32_t size)
{
    return get(d, ecam(d, offset), size);
}

void driver_pci_set(driver *d, uint32_t offset, uint32_t size, uint64_t value)
{
    set(d, ecam(d, offset), size, value);
}

/* A register by its place on either transport, where both have it. */
static uint64_t reg(const driver *d, uint32_t pci, uint32_t mmio)
{
    return d->common + (d->transport == DRIVER_PCI ? pci : mmio);
}

/* --- probing ------------------------------------------------------------------- */

static uint64_t bar_address(driver *d, uint32_t bar)
{
    uint32_t at = VSR_PCI_BAR0 + 4 * bar;
    uint64_t value = driver_pci_get(d, at, 4);

    if ((value & 6) == 4)
        value |= driver_pci_get(d, at + 4, 4) << 32;
    return value & ~UINT64_C(15);
}

static void place_bars(driver *d)
{
    for (uint32_t i = 0; i < VSR_PCI_BARS; i++) {
        uint32_t at = VSR_PCI_BAR0 + 4 * i;
        bool is_64;

        driver_pci_set(d, at, 4, UINT32_MAX);
        if (driver_pci_get(d, at, 4) == 0)
            continue;
        is_64 = (driver_pci_get(d, at, 4) & 6) == 4;
        driver_pci_set(d, at, 4, VSR_PCI_MMIO_BASE + (uint64_t)BAR_STEP * i);
        if (is_64)
            driver_pci_set(d, at + 4, 4, 0);
        i += is_64;
    }
    driver_pci_set(d, VSR_PCI_COMMAND, 2,
                   VSR_PCI_COMMAND_MEMORY | VSR_PCI_COMMAND_MASTER);
}

static void find_structure(driver *d, uint32_t cap)
{
    uint64_t at = bar_address(d, (uint32_t)driver_pci_get(d, cap + 4, 1)) +
                  driver_pci_get(d, cap + 8, 4);

    switch (driver_pci_get(d, cap + 3, 1)) {
    case 1:
        d->common = at;
        break;
    case 2:
        d->notify = at;
        d->notify_step = (uint32_t)driver_pci_get(d, cap + 16, 4);
        break;
    case 3:
        d->isr = at;
        break;
    case 4:
        d->config = at;
        break;
    case 5:
        d->access = (uint8_t)cap;
        break;
    default:
        break;
    }
}

static void find_capabilities(driver *d)
{
    uint32_t cap = (uint32_t)driver_pci_get(d, VSR_PCI_CAPABILITIES, 1);

    for (uint32_t n = 0; cap != 0 && n < 48; n++) {
        uint64_t id = driver_pci_get(d, cap, 1);

        if (id == 0x09) {
            find_structure(d, cap);
        } else if (id == 0x11) {
            uint64_t table = driver_pci_get(d, cap + 4, 4);

            d->msix = (uint8_t)cap;
            d->msix_table = bar_address(d, table & 7) + (table & ~UINT64_C(7));
        }
        cap = (uint32_t)driver_pci_get(d, cap + 1, 1);
    }
}

static void set_up_msix(driver *d)
{
    uint32_t n = 1 + (driver_pci_get(d, d->msix + 2, 2) & 0x7ff);

    for (uint32_t i = 0; i < n; i++) {
        uint64_t entry = d->msix_table + UINT64_C(16) * i;

        set(d, entry, 4, VSR_LAPIC_BASE);
        set(d, entry + 4, 4, 0);
        set(d, entry + 8, 4, MSI_DATA + i);
        set(d, entry + 12, 4, 0);
    }
    driver_pci_set(d, d->msix + 2, 2, 0x8000);
}

void driver_probe(driver *d)
{
    if (d->transport == DRIVER_MMIO) {
        d->common = d->window->base;
        d->config = d->common + 0x100;
        assert_int_equal(get(d, d->common, 4), 0x74726976);
        assert_int_equal(get(d, d->common + 4, 4), 2);
        return;
    }
    assert_int_equal(driver_pci_get(d, VSR_PCI_VENDOR, 2), 0x1af4);
    place_bars(d);
    find_capabilities(d);
    assert_true(d->common && d->notify && d->isr && d->msix && d->access);
    if (!d->intx)
        set_up_msix(d);
}

void driver_attach(driver *d, const vsr_device_class *class, const void *params)
{
    GError *error = NULL;
    vsr_device *device =
        vsr_device_new(d->machine, class, "dut", params, &error);

    if (device == NULL)
        fail_msg("%s", error->message);
    d->device = (vsr_virtio *)(void *)device;
    driver_probe(d);
}

/* --- registers ------------------------------------------------------------------ */

uint8_t driver_status(driver *d)
{
    return (uint8_t)get(d, reg(d, PCI_COMMON_STATUS, MMIO_STATUS),
                        d->transport == DRIVER_PCI ? 1 : 4);
}

void driver_set_status(driver *d, uint8_t status)
{
    set(d, reg(d, PCI_COMMON_STATUS, MMIO_STATUS),
        d->transport == DRIVER_PCI ? 1 : 4, status);
}

uint64_t driver_offered(driver *d)
{
    uint64_t features = 0;

    for (uint32_t i = 0; i < 2; i++) {
        set(d, reg(d, 0, 0x14), 4, i);
        features |= get(d, reg(d, 4, 0x10), 4) << 32 * i;
    }
    return features;
}

void driver_accept(driver *d, uint64_t features)
{
    for (uint32_t i = 0; i < 2; i++) {
        set(d, reg(d, 8, 0x24), 4, i);
        set(d, reg(d, 12, 0x20), 4, (uint32_t)(features >> 32 * i));
    }
}

static void select_queue(driver *d, uint32_t queue)
{
    set(d, reg(d, 22, 0x30), d->transport == DRIVER_PCI ? 2 : 4, queue);
}

uint32_t driver_queue_max(driver *d, uint32_t queue)
{
    select_queue(d, queue);
    return (uint32_t)get(d, reg(d, 24, 0x34),
                         d->transport == DRIVER_PCI ? 2 : 4);
}

static void set64(driver *d, uint64_t at, uint64_t value)
{
    set(d, at, 4, (uint32_t)value);
    set(d, at + 4, 4, value >> 32);
}

void driver_write_queue(driver *d, uint32_t queue)
{
    const driver_queue *q = &d->queue[queue];

    select_queue(d, queue);
    set(d, reg(d, 24, 0x38), d->transport == DRIVER_PCI ? 2 : 4, q->size);
    set64(d, reg(d, 32, 0x80), q->desc);
    set64(d, reg(d, 40, 0x90), q->avail);
    set64(d, reg(d, 48, 0xa0), q->used);
    if (d->transport == DRIVER_PCI && !d->intx)
        set(d, d->common + 26, 2, queue);
}

void driver_place(driver *d, uint32_t queue, uint16_t size)
{
    driver_queue *q = &d->queue[queue];

    memset(q, 0, sizeof(*q));
    q->size = size != 0 ? size : (uint16_t)driver_queue_max(d, queue);
    assert_true(q->size > 0 && q->size <= VSR_VIRTQ_SIZE_MAX);
    q->desc = driver_alloc(d, (uint64_t)q->size * 16, 16);
    q->avail = driver_alloc(d, 6 + (uint64_t)q->size * 2, 2);
    q->used = driver_alloc(d, 6 + (uint64_t)q->size * 8, 4);
    for (uint16_t i = 0; i < q->size; i++)
        q->free[q->n_free++] = (uint16_t)(q->size - 1 - i);
    driver_write_queue(d, queue);
}

void driver_enable(driver *d, uint32_t queue)
{
    select_queue(d, queue);
    set(d, reg(d, 28, 0x44), d->transport == DRIVER_PCI ? 2 : 4, 1);
}

void driver_disable(driver *d, uint32_t queue)
{
    select_queue(d, queue);
    set(d, reg(d, 28, 0x44), d->transport == DRIVER_PCI ? 2 : 4, 0);
}

bool driver_enabled(driver *d, uint32_t queue)
{
    select_queue(d, queue);
    return get(d, reg(d, 28, 0x44), d->transport == DRIVER_PCI ? 2 : 4) == 1;
}

uint64_t driver_config(driver *d, uint32_t offset, uint32_t size)
{
    return get(d, d->config + offset, size);
}

void driver_set_config(driver *d, uint32_t offset, uint32_t size,
                       uint64_t value)
{
    set(d, d->config + offset, size, value);
}

uint8_t driver_generation(driver *d)
{
    return (uint8_t)get(d, reg(d, 21, 0xfc),
                        d->transport == DRIVER_PCI ? 1 : 4);
}

uint8_t driver_take_isr(driver *d)
{
    uint8_t isr;

    if (d->transport == DRIVER_PCI)
        return (uint8_t)get(d, d->isr, 1);
    isr = (uint8_t)get(d, d->common + 0x60, 4);
    set(d, d->common + 0x64, 4, isr);
    return isr;
}

void driver_kick(driver *d, uint32_t queue)
{
    d->queue[queue].kicked_idx = d->queue[queue].avail_idx;
    if (d->transport == DRIVER_MMIO) {
        set(d, d->common + 0x50, 4, queue);
        return;
    }
    select_queue(d, queue);
    set(d, d->notify + d->notify_step * get(d, d->common + 30, 2), 2, queue);
}

bool driver_negotiate(driver *d, uint64_t features)
{
    uint8_t status = VSR_VIRTIO_ACKNOWLEDGE | VSR_VIRTIO_DRIVER;
    uint64_t accepted;

    driver_set_status(d, 0);
    assert_int_equal(driver_status(d), 0);
    driver_set_status(d, VSR_VIRTIO_ACKNOWLEDGE);
    driver_set_status(d, status);
    accepted = driver_offered(d) & (features | VSR_VIRTIO_F_VERSION_1);
    driver_accept(d, accepted);
    d->event_idx = (accepted & VSR_VIRTIO_F_EVENT_IDX) != 0;
    d->indirect = (accepted & VSR_VIRTIO_F_INDIRECT_DESC) != 0;
    driver_set_status(d, status | VSR_VIRTIO_FEATURES_OK);
    return (driver_status(d) & VSR_VIRTIO_FEATURES_OK) != 0;
}

void driver_start(driver *d, uint64_t features, uint32_t n_queues)
{
    assert_true(driver_negotiate(d, features));
    if (d->transport == DRIVER_PCI && !d->intx)
        set(d, d->common + 16, 2, d->device->n_queues);
    for (uint32_t i = 0; i < n_queues; i++) {
        driver_place(d, i, 0);
        driver_enable(d, i);
        assert_true(driver_enabled(d, i));
    }
    driver_set_status(d, driver_status(d) | VSR_VIRTIO_DRIVER_OK);
    assert_int_equal(driver_status(d), 15);
}

/* --- interrupts ------------------------------------------------------------------- */

static uint32_t gsi_of(const driver *d)
{
    return d->transport == DRIVER_PCI ? vsr_pci_host_gsi(d->devfn, 1)
                                      : d->window->gsi;
}

uint32_t driver_interrupts(driver *d, uint32_t queue)
{
    if (d->transport == DRIVER_MMIO || d->intx)
        return (uint32_t)g_atomic_int_get(&d->raised[gsi_of(d)]);
    if (queue == UINT32_MAX)
        queue = d->device->n_queues;
    return (uint32_t)g_atomic_int_get(&d->msi[queue]);
}

bool driver_wait_interrupt(driver *d, uint32_t queue, uint32_t before)
{
    gint64 end = g_get_monotonic_time() + WAIT_US;

    while (driver_interrupts(d, queue) <= before) {
        if (g_get_monotonic_time() > end)
            return false;
        g_usleep(50);
    }
    return true;
}

bool driver_line(driver *d)
{
    return g_atomic_int_get(&d->line[gsi_of(d)]) != 0;
}
