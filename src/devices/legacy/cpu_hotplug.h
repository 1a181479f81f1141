/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_hotplug.h: tells the guest of processors that come and are to go, and us
 * of those it has let go of. The AML beside it: machine/x86/acpi_cpu.c.
 *
 * Registers, from the port on, 32 bits each (VSR_CPUS_*): EVENT reads as the
 * next event and takes it, 0: there is none; STATUS takes the index of a
 * processor and reads as its _STA; EJECT takes the index of one that the guest
 * has let go of; OST_CPU, OST_EVENT, OST_STATUS take what its _OST said, and the
 * last makes it count.
 *
 * Spec:    ACPI 6.5, 6.3.3 "_EJx", 6.3.5 "_OST", 6.3.7 "_STA", 5.6.6 "Device
 *          Object Notifications".
 * Threads: see machine/device.h; the functions here on the control thread,
 *          `ejected` on the machine's loop, no lock held.
 */
#ifndef VSR_DEVICES_LEGACY_CPU_HOTPLUG_H
#define VSR_DEVICES_LEGACY_CPU_HOTPLUG_H

#include <stdint.h>

#include "machine/device.h"

typedef struct {
    uint16_t port;
    uint32_t gsi;   /* level, high: there are events */
    uint32_t vcpus; /* that there can be */
    /* vsr_cpu_hotplug_take() has something, whoever asked for it. */
    void (*ejected)(void *opaque);
    void *opaque;
} vsr_cpu_hotplug_params;

extern const vsr_device_class vsr_cpu_hotplug_class;

/* Is it there? No event: for guests that have not begun. */
void vsr_cpu_hotplug_set(vsr_device *device, uint32_t vcpu, bool is_there);
/* It is there now, and the guest hears of it. */
void vsr_cpu_hotplug_plugged(vsr_device *device, uint32_t vcpu);
/* Please let go of it: ejected() follows, or never. */
void vsr_cpu_hotplug_ask(vsr_device *device, uint32_t vcpu);
/* It may stay after all, unless the guest has heard of it already. */
void vsr_cpu_hotplug_withdraw(vsr_device *device, uint32_t vcpu);
/* The next one that the guest has let go of, which is told once; false: no
 * more. */
bool vsr_cpu_hotplug_take(vsr_device *device, uint32_t *vcpu);

#endif
