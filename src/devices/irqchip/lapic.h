/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lapic.h: the local APICs of all vCPUs, for engines that bring none.
 *
 * One device for the machine; each vCPU's APIC has its own lock. It answers the
 * engine's intr_ack, msr and cr8 up-calls and takes MSIs. Create it first, then
 * the IOAPIC and PIC, which are connected to it.
 *
 * Spec:    Intel SDM vol. 3A, "Advanced Programmable Interrupt Controller
 *          (APIC)" (chapter 10, 11 in newer editions).
 * Threads: any, where nothing else is said.
 */
#ifndef VSR_DEVICES_IRQCHIP_LAPIC_H
#define VSR_DEVICES_IRQCHIP_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/device.h"

typedef struct {
    uint32_t vcpus; /* that there can be; APIC id = index. All are in use */
} vsr_lapic_params;

extern const vsr_device_class vsr_lapic_class;

/* Is there such a processor? What is sent to one that is not, is lost. Control,
 * vCPUs stopped; before a vCPU's end and after its beginning. */
void vsr_lapic_set_used(vsr_device *lapic, uint32_t vcpu, bool is_used);

/* What hears of the end of level-triggered interrupts (the IOAPIC). Control,
 * before vCPUs run. NULL: nobody. */
typedef void vsr_lapic_eoi_fn(void *opaque, uint8_t vector);
void vsr_lapic_set_eoi(vsr_device *lapic, vsr_lapic_eoi_fn *fn, void *opaque);

/* The PIC behind LINT0 of the boot processor: `ack` gives the vector, or -1.
 * Control, before vCPUs run. */
typedef int vsr_lapic_ack_fn(void *opaque);
void vsr_lapic_set_pic(vsr_device *lapic, vsr_lapic_ack_fn *ack, void *opaque);
/* The PIC's output. The caller may hold its lock, but `ack` takes that one
 * without any of ours. */
void vsr_lapic_lint0(vsr_device *lapic, bool level);

/* The board's NMI pin, LINT1 of each: an edge. */
void vsr_lapic_lint1(vsr_device *lapic);

#endif
