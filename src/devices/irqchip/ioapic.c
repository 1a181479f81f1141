/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ioapic.c: I/O APIC.
 *
 * A pin's interrupt is sent as the message of its redirection entry, through
 * the same way as MSIs. Polarity is not looked at: a line is asserted or it is
 * not, and devices say which.
 *
 * Spec:    Intel 82093AA data sheet, 3.0 "Register Description", 3.4.2
 *          "Interrupt acceptance"; Intel SDM vol. 3A, "EOI".
 * Threads: registers on vCPU threads, lines and EOIs from any; all under the
 *          device's lock, inside of which only the LAPICs' are taken.
 */
#include "devices/irqchip/ioapic.h"

#include <string.h>

#include "devices/irqchip/lapic.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

enum {
    PINS = 24,
    TIMER_PIN = 2,
    WINDOW_LEN = 0x1000,
    VERSION = (PINS - 1) << 16 | 0x20,

    /* Memory-mapped. */
    IOREGSEL = 0x00,
    IOWIN = 0x10,
    IOEOI = 0x40,

    /* Through IOREGSEL. */
    REG_ID = 0x00,
    REG_VERSION = 0x01,
    REG_ARBITRATION = 0x02,
    REG_TABLE = 0x10, /* two each */

    MSI_LOGICAL = 1 << 2,
    MSI_DEST_SHIFT = 12,
};

/* Redirection entry, low half. */
#define ENTRY_VECTOR     UINT64_C(0xff)
#define ENTRY_MODE_SHIFT 8
#define ENTRY_MODE       (UINT64_C(7) << ENTRY_MODE_SHIFT)
#define ENTRY_LOGICAL    (UINT64_C(1) << 11)
#define ENTRY_STATUS     (UINT64_C(1) << 12)
#define ENTRY_REMOTE_IRR (UINT64_C(1) << 14)
#define ENTRY_LEVEL      (UINT64_C(1) << 15)
#define ENTRY_MASKED     (UINT64_C(1) << 16)
#define ENTRY_DEST_SHIFT 56
#define ENTRY_READ_ONLY  (ENTRY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE   (UINT64_C(0xff0000000001ffff) & ~ENTRY_READ_ONLY)

typedef struct {
    vsr_device device;
    vsr_device *lapic;
    uint32_t select;
    uint32_t id;
    uint32_t lines; /* bit n: pin n is asserted; outlives a reset */
    uint64_t entry[PINS];
} ioapic;

static ioapic *to_ioapic(vsr_device *device)
{
    return (ioapic *)(void *)device;
}

/* The pin has an interrupt: send its message. */
static void pin_send(ioapic *chip, unsigned pin)
{
    uint64_t entry = chip->entry[pin];
    uint64_t addr = VSR_LAPIC_BASE |
                    (entry >> ENTRY_DEST_SHIFT) << MSI_DEST_SHIFT |
                    (entry & ENTRY_LOGICAL ? MSI_LOGICAL : 0);
    uint32_t data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_MODE));

    if (entry & ENTRY_LEVEL)
        data |= (uint32_t)ENTRY_LEVEL | 1u << 14;
    /* Sent, and nobody is there to take it: a level is tried again when the
     * entry is written or another EOI comes. */
    if (vsr_irq_msi(chip->device.machine->irqs, addr, data) == 0 &&
        (entry & ENTRY_LEVEL))
        chip->entry[pin] |= ENTRY_REMOTE_IRR;
}

/* Level-triggered: asserted, unmasked and not in service? Then now. */
static void pin_check_level(ioapic *chip, unsigned pin)
{
    uint64_t entry = chip->entry[pin];

    if ((chip->lines >> pin & 1) && (entry & ENTRY_LEVEL) &&
        !(entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
        pin_send(chip, pin);
}

static void ioapic_line(void *opaque, uint32_t gsi, bool level)
{
    ioapic *chip = opaque;
    unsigned pin = gsi == VSR_GSI_PIT ? TIMER_PIN : gsi;

    if (gsi >= PINS || gsi == TIMER_PIN)
        return;
    g_mutex_lock(&chip->device.lock);
    if (!level) {
        chip->lines &= ~(1u << pin);
    } else {
        uint64_t entry = chip->entry[pin];

        chip->lines |= 1u << pin;
        if (entry & ENTRY_LEVEL)
            pin_check_level(chip, pin);
        else if (!(entry & ENTRY_MASKED)) /* else the edge is lost */
            pin_send(chip, pin);
    }
    g_mutex_unlock(&chip->device.lock);
}

/* Lock held. */
static void eoi(ioapic *chip, uint8_t vector)
{
    for (unsigned pin = 0; pin < PINS; pin++) {
        uint64_t entry = chip->entry[pin];

        if ((entry & ENTRY_VECTOR) != vector || !(entry & ENTRY_LEVEL) ||
            !(entry & ENTRY_REMOTE_IRR))
            continue;
        chip->entry[pin] &= ~ENTRY_REMOTE_IRR;
        pin_check_level(chip, pin);
    }
}

static void ioapic_eoi(void *opaque, uint8_t vector)
{
    ioapic *chip = opaque;

    g_mutex_lock(&chip->device.lock);
    eoi(chip, vector);
    g_mutex_unlock(&chip->device.lock);
}

/* --- registers --- */

static void entry_write(ioapic *chip, unsigned pin, unsigned shift,
                        uint32_t value)
{
    uint64_t half = UINT64_C(0xffffffff) << shift;
    uint64_t may = ENTRY_WRITABLE & half;
    uint64_t entry = chip->entry[pin];

    entry = (entry & ~may) | ((uint64_t)value << shift & may);
    /* Remote IRR has no meaning for edges; drivers clear a stuck one by turning
     * the entry to edge and back. */
    if (!(entry & ENTRY_LEVEL))
        entry &= ~ENTRY_REMOTE_IRR;
    chip->entry[pin] = entry;
    pin_check_level(chip, pin);
}

static uint32_t register_read(const ioapic *chip)
{
    uint32_t index = chip->select - REG_TABLE;

    switch (chip->select) {
    case REG_ID:
    case REG_ARBITRATION:
        return chip->id;
    case REG_VERSION:
        return VERSION;
    default:
        if (index >= 2 * PINS)
            return 0;
        return (uint32_t)(chip->entry[index / 2] >> (index % 2 * 32));
    }
}

static void register_write(ioapic *chip, uint32_t value)
{
    uint32_t index = chip->select - REG_TABLE;

    if (chip->select == REG_ID)
        chip->id = value & 0x0f000000;
    else if (index < 2 * PINS)
        entry_write(chip, index / 2, index % 2 * 32, value);
}

static uint64_t window_read(void *opaque, uint64_t offset, uint32_t size)
{
    const ioapic *chip = opaque;

    switch (offset) {
    case IOREGSEL:
        return chip->select;
    case IOWIN:
        return register_read(chip);
    default:
        return 0;
    }
}

static void window_write(void *opaque, uint64_t offset, uint32_t size,
                         uint64_t value)
{
    ioapic *chip = opaque;

    switch (offset) {
    case IOREGSEL:
        chip->select = value & 0xff;
        break;
    case IOWIN:
        register_write(chip, (uint32_t)value);
        break;
    case IOEOI:
        eoi(chip, (uint8_t)value);
        break;
    default:
        break;
    }
}

static const vsr_region_ops window_ops = {
    .read = window_read,
    .write = window_write,
    .min_size = 4,
    .max_size = 4,
};

static const vsr_irq_chip ioapic_chip = { .line = ioapic_line };

/* --- life --- */

static void ioapic_reset(vsr_device *device)
{
    ioapic *chip = to_ioapic(device);

    g_mutex_lock(&device->lock);
    chip->select = 0;
    chip->id = 0;
    for (unsigned pin = 0; pin < PINS; pin++)
        chip->entry[pin] = ENTRY_MASKED;
    g_mutex_unlock(&device->lock);
}

static void ioapic_fini(vsr_device *device)
{
    ioapic *chip = to_ioapic(device);

    vsr_irqs_remove_chip(device->machine->irqs, chip);
    if (chip->lapic != NULL)
        vsr_lapic_set_eoi(chip->lapic, NULL, NULL);
}

static bool ioapic_init(vsr_device *device, const void *params, GError **error)
{
    const vsr_ioapic_params *p = params;
    ioapic *chip = to_ioapic(device);

    if (!vsr_device_add_region(device, VSR_SPACE_MMIO, VSR_IOAPIC_BASE,
                               WINDOW_LEN, &window_ops, false, error))
        return false;
    chip->lapic = p->lapic;
    if (chip->lapic != NULL)
        vsr_lapic_set_eoi(chip->lapic, ioapic_eoi, chip);
    vsr_irqs_add_chip(device->machine->irqs, &ioapic_chip, chip);
    return true;
}

const vsr_device_class vsr_ioapic_class = {
    .name = "ioapic",
    .instance_size = sizeof(ioapic),
    .init = ioapic_init,
    .fini = ioapic_fini,
    .reset = ioapic_reset,
};
