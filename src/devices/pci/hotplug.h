/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug.h: tells the guest of PCI devices that come and are to go, and us of
 * those it has let go of. The AML beside it: machine/x86/acpi_hotplug.c.
 *
 * Threads: see machine/device.h; plugged, ask, withdraw from any thread;
 *          `ejected` on the machine's loop, no lock held.
 */
#ifndef VSR_DEVICES_PCI_HOTPLUG_H
#define VSR_DEVICES_PCI_HOTPLUG_H

#include <stdint.h>

#include "machine/device.h"

typedef struct {
    uint16_t port;
    uint32_t gsi;
    /* The guest does not use the device of `slot` any more, whoever asked. */
    void (*ejected)(void *opaque, uint8_t slot);
    void *opaque;
} vsr_pci_hotplug_params;

extern const vsr_device_class vsr_pci_hotplug_class;

/* There is a device in `slot` now. */
void vsr_pci_hotplug_plugged(vsr_device *device, uint8_t slot);
/* Please let go of it: ejected() follows, or never. */
void vsr_pci_hotplug_ask(vsr_device *device, uint8_t slot);

#endif
