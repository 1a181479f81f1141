/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_reduced.c: sleep control and status registers, and the events of the
 * Generic Event Device. The register of events reads as what happened since it
 * was last read, and reading ends the interrupt: the AML needs one access
 * (machine/x86/acpi_dsdt.c).
 *
 * Spec:    ACPI 6.5, 4.8.3.7 "Sleep Control and Status Registers", 5.6.9
 *          "Interrupt-signaled ACPI events", 16.1.
 * Threads: registers on vCPU threads, the button from anywhere; all under the
 *          device's lock.
 */
#include "devices/legacy/acpi_reduced.h"

#include "base/util.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

enum {
    CONTROL_SLP_TYP_SHIFT = 2,
    CONTROL_KEPT = 7 << CONTROL_SLP_TYP_SHIFT,
    CONTROL_SLP_EN = 1 << 5,
};

typedef struct {
    vsr_device base;
    vsr_irq irq;
    uint8_t control, events;
} acpi_reduced;

static acpi_reduced *to_reduced(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, acpi_reduced, base);
}

void vsr_acpi_reduced_power_button(vsr_device *device)
{
    acpi_reduced *r = to_reduced(device);

    g_mutex_lock(&device->lock);
    r->events |= VSR_REDUCED_EVENT_BUTTON;
    vsr_irq_set(&r->irq, true);
    g_mutex_unlock(&device->lock);
}

static uint8_t take_events(acpi_reduced *r)
{
    uint8_t events = r->events;

    r->events = 0;
    vsr_irq_set(&r->irq, false);
    return events;
}

static uint64_t reduced_read(void *opaque, uint64_t offset, uint32_t size)
{
    acpi_reduced *r = to_reduced(opaque);

    switch (offset) {
    case VSR_REDUCED_SLEEP_CONTROL:
        return r->control;
    case VSR_REDUCED_EVENTS:
        return take_events(r);
    case VSR_REDUCED_SLEEP_STATUS: /* WAK_STS: nothing ever woke up */
    default:
        return 0;
    }
}

static void reduced_write(void *opaque, uint64_t offset, uint32_t size,
                          uint64_t value)
{
    acpi_reduced *r = to_reduced(opaque);

    if (offset != VSR_REDUCED_SLEEP_CONTROL)
        return;
    r->control = value & CONTROL_KEPT;
    /* Only \_S5 is declared; any other type is not a sleep we know. */
    if ((value & CONTROL_SLP_EN) &&
        r->control >> CONTROL_SLP_TYP_SHIFT == VSR_ACPI_S5_TYPE)
        vsr_machine_request(r->base.machine, VSR_REQUEST_POWEROFF, 0,
                            "ACPI S5");
}

static const vsr_region_ops reduced_ops = {
    .read = reduced_read,
    .write = reduced_write,
    .min_size = 1,
    .max_size = 1,
};

static void reduced_reset(vsr_device *device)
{
    acpi_reduced *r = to_reduced(device);

    r->control = 0;
    (void)take_events(r);
}

static bool reduced_init(vsr_device *device, const void *params, GError **error)
{
    acpi_reduced *r = to_reduced(device);
    const vsr_acpi_reduced_params *p = params;

    vsr_irq_init(&r->irq, device->machine->irqs, p->gsi);
    return vsr_device_add_region(device, VSR_SPACE_PIO, p->port,
                                 VSR_REDUCED_LEN, &reduced_ops, false, error);
}

const vsr_device_class vsr_acpi_reduced_class = {
    .name = "acpi-reduced",
    .instance_size = sizeof(acpi_reduced),
    .init = reduced_init,
    .reset = reduced_reset,
};
