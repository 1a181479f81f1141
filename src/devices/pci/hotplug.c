/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug.c: see hotplug.h.
 *
 * Threads: registers on vCPU threads, the rest from anywhere; all under the
 *          device's lock.
 */
#include "devices/pci/hotplug.h"

#include "base/util.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

typedef struct {
    vsr_device base;
    vsr_pci_hotplug_params params;
    vsr_irq irq;
    uint32_t up, down;
    uint32_t ejected; /* to be told on the loop */
} pci_hotplug;

static pci_hotplug *to_hotplug(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, pci_hotplug, base);
}

static void update(pci_hotplug *h)
{
    vsr_irq_set(&h->irq, (h->up | h->down) != 0);
}

static uint32_t take(pci_hotplug *h, uint32_t *word)
{
    uint32_t value = *word;

    *word = 0;
    update(h);
    return value;
}

void vsr_pci_hotplug_plugged(vsr_device *device, uint8_t slot)
{
    pci_hotplug *h = to_hotplug(device);

    g_mutex_lock(&device->lock);
    h->up |= UINT32_C(1) << slot;
    update(h);
    g_mutex_unlock(&device->lock);
}

void vsr_pci_hotplug_ask(vsr_device *device, uint8_t slot)
{
    pci_hotplug *h = to_hotplug(device);

    g_mutex_lock(&device->lock);
    h->down |= UINT32_C(1) << slot;
    update(h);
    g_mutex_unlock(&device->lock);
}

static void tell(void *opaque)
{
    pci_hotplug *h = opaque;
    uint32_t slots;

    g_mutex_lock(&h->base.lock);
    slots = h->ejected;
    h->ejected = 0;
    g_mutex_unlock(&h->base.lock);
    for (uint8_t slot = 1; slot < 32; slot++)
        if ((slots & UINT32_C(1) << slot) != 0)
            h->params.ejected(h->params.opaque, slot);
}

static uint64_t hotplug_read(void *opaque, uint64_t offset, uint32_t size)
{
    pci_hotplug *h = to_hotplug(opaque);

    switch (offset) {
    case VSR_HOTPLUG_UP:
        return take(h, &h->up);
    case VSR_HOTPLUG_DOWN:
        return take(h, &h->down);
    default:
        return 0;
    }
}

static void hotplug_write(void *opaque, uint64_t offset, uint32_t size,
                          uint64_t value)
{
    pci_hotplug *h = to_hotplug(opaque);

    if (offset != VSR_HOTPLUG_EJECT || (uint32_t)value == 0)
        return;
    h->ejected |= (uint32_t)value;
    vsr_loop_call(h->base.loop, tell, h);
}

static const vsr_region_ops hotplug_ops = {
    .read = hotplug_read,
    .write = hotplug_write,
    .min_size = 4,
    .max_size = 4,
};

static void hotplug_reset(vsr_device *device)
{
    pci_hotplug *h = to_hotplug(device);

    g_mutex_lock(&device->lock);
    h->up = h->down = h->ejected = 0;
    update(h);
    g_mutex_unlock(&device->lock);
}

static void nothing(void *opaque)
{
}

static void hotplug_fini(vsr_device *device)
{
    /* What was posted has run after this. */
    vsr_loop_sync(device->loop, nothing, NULL);
}

static bool hotplug_init(vsr_device *device, const void *params, GError **error)
{
    pci_hotplug *h = to_hotplug(device);

    h->params = *(const vsr_pci_hotplug_params *)params;
    vsr_irq_init(&h->irq, device->machine->irqs, h->params.gsi);
    return vsr_device_add_region(device, VSR_SPACE_PIO, h->params.port,
                                 VSR_HOTPLUG_LEN, &hotplug_ops, false, error);
}

const vsr_device_class vsr_pci_hotplug_class = {
    .name = "pci-hotplug",
    .instance_size = sizeof(pci_hotplug),
    .init = hotplug_init,
    .fini = hotplug_fini,
    .reset = hotplug_reset,
};
