/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * function.c: configuration space and BARs of a PCI function.
 *
 * Spec:    PCI Local Bus 3.0, 6.2 "Configuration Space Header", 6.2.5.1
 *          "Address Maps", 6.7 "Capabilities List".
 * Threads: as function.h says. BARs are moved with the bridge's lock held and
 *          the device's not, because removing a region waits for its handlers.
 */
#include "devices/pci/function.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "devices/pci/host.h"
#include "machine/machine.h"

enum {
    FIRST_CAPABILITY = 0x40,
    BAR_IO = 0x1,
    BAR_64 = 0x4,
    BAR_PREFETCH = 0x8,
    COMMAND_WRITABLE = 0x0547, /* I/O, memory, master, parity, SERR, INTx */
};

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static uint32_t get16(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8;
}

static uint32_t get32(const uint8_t *from)
{
    return get16(from) | get16(from + 2) << 16;
}

static void put32(uint8_t *to, uint32_t value)
{
    put16(to, value);
    put16(to + 2, value >> 16);
}

bool vsr_pci_function_init(vsr_pci_function *f, vsr_device *device,
                           vsr_pci_host *host, uint8_t devfn,
                           const vsr_pci_ids *ids, GError **error)
{
    uint32_t gsi = vsr_pci_host_gsi(devfn, ids->pin);

    *f = (vsr_pci_function){ .device = device,
                             .host = host,
                             .devfn = devfn,
                             .name = device->class->name,
                             .hidden = true,
                             .free_at = FIRST_CAPABILITY };
    put16(f->config + VSR_PCI_VENDOR, ids->vendor);
    put16(f->config + VSR_PCI_DEVICE, ids->device);
    f->config[VSR_PCI_REVISION] = ids->revision;
    f->config[VSR_PCI_CLASS] = (uint8_t)ids->class_code;
    put16(f->config + VSR_PCI_CLASS + 1, ids->class_code >> 8);
    put16(f->config + VSR_PCI_SUBSYSTEM_VENDOR, ids->subsystem_vendor);
    put16(f->config + VSR_PCI_SUBSYSTEM, ids->subsystem);
    f->config[VSR_PCI_INTERRUPT_PIN] = ids->pin;
    put16(f->writable + VSR_PCI_COMMAND, COMMAND_WRITABLE);
    f->writable[VSR_PCI_INTERRUPT_LINE] = 0xff;
    f->writable[0x0c] = 0xff;             /* cache line size */
    f->clears[VSR_PCI_STATUS + 1] = 0xf9; /* error bits */
    if (ids->pin) {
        f->config[VSR_PCI_INTERRUPT_LINE] = (uint8_t)gsi;
        vsr_irq_init(&f->intx, device->machine->irqs, gsi);
    }
    vsr_pci_function_seal(f);
    return vsr_pci_host_add(host, f, error);
}

void vsr_pci_function_seal(vsr_pci_function *f)
{
    memcpy(f->power_on, f->config, sizeof(f->power_on));
}

bool vsr_pci_add_bar(vsr_pci_function *f, uint32_t index,
                     const vsr_pci_bar *bar, GError **error)
{
    uint32_t words = bar->is_64 ? 2 : 1;
    uint64_t mask = ~(bar->len - 1);
    uint8_t *at, *writable;

    if (index + words > VSR_PCI_BARS || bar->len < 16 ||
        (bar->len & (bar->len - 1)) ||
        (!bar->is_64 && bar->len > UINT64_C(1) << 31))
        return vsr_fail(error, VISOR_ERR_INTERNAL,
                        "Device '%s': BAR %u of %" G_GUINT64_FORMAT " bytes",
                        f->name, index, bar->len);
    f->bar[index] = *bar;
    f->bar[index].mapped = false;
    at = f->config + VSR_PCI_BAR0 + (size_t)4 * index;
    writable = f->writable + VSR_PCI_BAR0 + (size_t)4 * index;
    put32(at, bar->is_io ? BAR_IO
                         : (bar->is_64 ? BAR_64 : 0u) |
                               (bar->prefetch ? BAR_PREFETCH : 0u));
    put32(writable, (uint32_t)mask);
    if (bar->is_64)
        put32(writable + 4, (uint32_t)(mask >> 32));
    vsr_pci_function_seal(f);
    return true;
}

uint8_t vsr_pci_add_capability(vsr_pci_function *f, uint8_t id, uint8_t len)
{
    uint8_t at = f->free_at;
    uint32_t end = at + ((uint32_t)len + 3) / 4 * 4;

    if (len < 2 || at == 0 || end > VSR_PCI_HEADER_LEN)
        return 0;
    f->config[at] = id;
    f->config[at + 1] = 0;
    if (f->last_capability)
        f->config[f->last_capability + 1] = at;
    else
        f->config[VSR_PCI_CAPABILITIES] = at;
    f->config[VSR_PCI_STATUS] |= VSR_PCI_STATUS_CAPABILITIES;
    f->last_capability = at;
    f->free_at = (uint8_t)end; /* 0 when full */
    vsr_pci_function_seal(f);
    return at;
}

/* ---- BARs ---- */

/* Where the guest wants it; false: nowhere. Device's lock held. */
static bool bar_wanted(const vsr_pci_function *f, uint32_t index,
                       uint64_t *addr)
{
    const vsr_pci_bar *bar = &f->bar[index];
    const uint8_t *at = f->config + VSR_PCI_BAR0 + (size_t)4 * index;
    uint32_t enable = bar->is_io ? VSR_PCI_COMMAND_IO : VSR_PCI_COMMAND_MEMORY;

    if (bar->len == 0 || !(get16(f->config + VSR_PCI_COMMAND) & enable))
        return false;
    *addr = get32(at);
    if (bar->is_64)
        *addr |= (uint64_t)get32(at + 4) << 32;
    *addr &= ~(bar->len - 1);
    return vsr_pci_host_window(f->host, bar->is_io, *addr, bar->len);
}

static void bar_unmap(vsr_pci_function *f, uint32_t index)
{
    vsr_pci_bar *bar = &f->bar[index];

    if (!bar->mapped)
        return;
    vsr_bus_remove(f->device->machine->bus,
                   bar->is_io ? VSR_SPACE_PIO : VSR_SPACE_MMIO, bar->mapped_at);
    bar->mapped = false;
    if (f->moved)
        f->moved(f, index, false, bar->mapped_at);
}

static void bar_map(vsr_pci_function *f, uint32_t index, uint64_t addr)
{
    vsr_pci_bar *bar = &f->bar[index];
    const vsr_region region = {
        .name = f->name,
        .space = bar->is_io ? VSR_SPACE_PIO : VSR_SPACE_MMIO,
        .base = addr,
        .len = bar->len,
        .ops = bar->ops,
        .opaque = bar->opaque,
        .lock = bar->lock,
    };

    /* Over another BAR: the guest's mistake, and the first one stays. */
    if (vsr_bus_add(f->device->machine->bus, &region) < 0)
        return;
    bar->mapped = true;
    bar->mapped_at = addr;
    if (f->moved)
        f->moved(f, index, true, addr);
}

/* Bridge's lock held, the device's not. */
static void update_bars(vsr_pci_function *f)
{
    bool wanted[VSR_PCI_BARS];
    uint64_t addr[VSR_PCI_BARS] = { 0 };
    uint32_t i;

    g_mutex_lock(&f->device->lock);
    for (i = 0; i < VSR_PCI_BARS; i++)
        wanted[i] = bar_wanted(f, i, &addr[i]);
    g_mutex_unlock(&f->device->lock);
    for (i = 0; i < VSR_PCI_BARS; i++)
        if (!wanted[i] || addr[i] != f->bar[i].mapped_at)
            bar_unmap(f, i);
    for (i = 0; i < VSR_PCI_BARS; i++)
        if (wanted[i] && !f->bar[i].mapped)
            bar_map(f, i, addr[i]);
}

void vsr_pci_function_fini(vsr_pci_function *f)
{
    uint32_t i;

    if (!f->host)
        return;
    /* First: a guest that runs could map a BAR once more. */
    vsr_pci_host_remove(f->host, f);
    vsr_pci_host_lock(f->host);
    for (i = 0; i < VSR_PCI_BARS; i++)
        bar_unmap(f, i);
    vsr_pci_host_unlock(f->host);
    f->host = NULL;
}

void vsr_pci_function_reset(vsr_pci_function *f)
{
    uint32_t i;

    if (!f->host)
        return;
    vsr_pci_host_lock(f->host);
    for (i = 0; i < VSR_PCI_BARS; i++)
        bar_unmap(f, i);
    memcpy(f->config, f->power_on, sizeof(f->power_on));
    f->hidden = false;
    vsr_pci_host_unlock(f->host);
    f->intx_level = false;
    if (f->config[VSR_PCI_INTERRUPT_PIN])
        vsr_irq_set(&f->intx, false);
}

/* ---- INTx ---- */

static void update_intx(vsr_pci_function *f)
{
    bool masked = get16(f->config + VSR_PCI_COMMAND) & VSR_PCI_COMMAND_NO_INTX;

    if (!f->config[VSR_PCI_INTERRUPT_PIN])
        return;
    if (f->intx_level)
        f->config[VSR_PCI_STATUS] |= VSR_PCI_STATUS_INTX;
    else
        f->config[VSR_PCI_STATUS] &= (uint8_t)~VSR_PCI_STATUS_INTX;
    vsr_irq_set(&f->intx, f->intx_level && !masked);
}

void vsr_pci_set_intx(vsr_pci_function *f, bool level)
{
    f->intx_level = level;
    update_intx(f);
}

bool vsr_pci_is_master(const vsr_pci_function *f)
{
    return f->config[VSR_PCI_COMMAND] & VSR_PCI_COMMAND_MASTER;
}

/* ---- configuration accesses: bridge's lock held ---- */

uint32_t vsr_pci_config_read(vsr_pci_function *f, uint32_t offset,
                             uint32_t size)
{
    uint32_t value = 0, i;

    if (offset >= VSR_PCI_CONFIG_LEN || size > VSR_PCI_CONFIG_LEN - offset)
        return UINT32_MAX;
    g_mutex_lock(&f->device->lock);
    if (f->reading)
        f->reading(f, offset, size);
    for (i = 0; i < size && i < 4; i++)
        value |= (uint32_t)f->config[offset + i] << 8 * i;
    g_mutex_unlock(&f->device->lock);
    return value;
}

static bool touches(uint32_t offset, uint32_t size, uint32_t first,
                    uint32_t len)
{
    return offset < first + len && first < offset + size;
}

void vsr_pci_config_write(vsr_pci_function *f, uint32_t offset, uint32_t size,
                          uint32_t value)
{
    bool bars;
    uint32_t i;

    /* Nothing beyond the header is writable. */
    if (offset >= VSR_PCI_HEADER_LEN || size > VSR_PCI_HEADER_LEN - offset)
        return;
    bars = touches(offset, size, VSR_PCI_COMMAND, 2) ||
           touches(offset, size, VSR_PCI_BAR0, 4 * VSR_PCI_BARS);
    g_mutex_lock(&f->device->lock);
    for (i = 0; i < size && i < 4; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i);
        uint8_t mask = f->writable[offset + i];
        uint8_t *at = &f->config[offset + i];

        *at = (uint8_t)((*at & ~mask) | (byte & mask));
        *at &= (uint8_t) ~(byte & f->clears[offset + i]);
    }
    if (touches(offset, size, VSR_PCI_COMMAND, 2))
        update_intx(f);
    if (f->written)
        f->written(f, offset, size);
    g_mutex_unlock(&f->device->lock);
    if (bars)
        update_bars(f);
}
