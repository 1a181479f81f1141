/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ioapic.h: an I/O APIC with 24 pins.
 *
 * Pin n is GSI n, but for the timer: the PIT's GSI 0 arrives at pin 2, as the
 * MADT's override says, and nothing at pin 0.
 *
 * Spec:    Intel 82093AA data sheet (290566-001), and the EOI register of
 *          version 0x20 (Intel ICH data sheets, "EOIR").
 * Threads: see machine/device.h; lines and EOIs from any thread.
 */
#ifndef VSR_DEVICES_IRQCHIP_IOAPIC_H
#define VSR_DEVICES_IRQCHIP_IOAPIC_H

#include "machine/device.h"

typedef struct {
    vsr_device *lapic; /* whose EOIs it hears; borrowed, outlives it */
} vsr_ioapic_params;

extern const vsr_device_class vsr_ioapic_class;

#endif
