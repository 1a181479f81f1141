/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_reduced.h: what a hardware-reduced ACPI platform has instead of the
 * fixed hardware: sleep registers, and a register of events for its Generic
 * Event Device.
 *
 * Spec:    ACPI 6.5, 4.8.3.7 "Sleep Control and Status Registers", 5.6.9
 *          "Interrupt-signaled ACPI events".
 * Threads: see machine/device.h; power_button from any thread.
 */
#ifndef VSR_DEVICES_LEGACY_ACPI_REDUCED_H
#define VSR_DEVICES_LEGACY_ACPI_REDUCED_H

#include <stdint.h>

#include "machine/device.h"

typedef struct {
    uint16_t port; /* VSR_REDUCED_* in machine/x86/layout.h are from here */
    uint32_t gsi;  /* of the event device: level, high */
} vsr_acpi_reduced_params;

extern const vsr_device_class vsr_acpi_reduced_class;

/* The person at the machine presses the button: the event device interrupts,
 * and the guest's AML notifies the button's driver. */
void vsr_acpi_reduced_power_button(vsr_device *device);

#endif
