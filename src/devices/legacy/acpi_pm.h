/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_pm.h: the fixed ACPI hardware: PM1a event and control registers, PM
 * timer, power button.
 *
 * Spec:    ACPI 6.5, 4.8.3 "Fixed Hardware Registers".
 * Threads: see machine/device.h; power_button from any thread.
 */
#ifndef VSR_DEVICES_LEGACY_ACPI_PM_H
#define VSR_DEVICES_LEGACY_ACPI_PM_H

#include <stdint.h>

#include "machine/device.h"

typedef struct {
    uint16_t port; /* +0 PM1a_STS, +2 PM1a_EN, +4 PM1a_CNT, +8 PM_TMR */
    uint32_t sci_gsi;
} vsr_acpi_pm_params;

extern const vsr_device_class vsr_acpi_pm_class;

/* The person at the machine presses the button: the guest gets an SCI. */
void vsr_acpi_pm_power_button(vsr_device *pm);

#endif
