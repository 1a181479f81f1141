/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pic.c: two cascaded 8259A interrupt controllers.
 *
 * Spec:    Intel 8259A data sheet, "Initialization Command Words", "Operation
 *          Command Words", "Interrupt Sequence", "Fully Nested Mode",
 *          "Automatic Rotation", "Specific Rotation", "Poll Command",
 *          "Automatic End of Interrupt", "The Special Fully Nested Mode",
 *          "Special Mask Mode"; ELCR: Intel 82371SB data sheet.
 * Threads: registers on vCPU threads, lines and acknowledges from any; all
 *          under the device's lock, inside of which the LAPIC's is taken.
 */
#include "devices/irqchip/pic.h"

#include "devices/irqchip/lapic.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

enum {
    CASCADE_PIN = 2,
    LINES = 16,
    PORT_ELCR = 0x4d0,

    ICW1 = 0x10,
    ICW1_ICW4 = 0x01,
    ICW1_SINGLE = 0x02,
    ICW1_LEVEL = 0x08,
    ICW4_AUTO_EOI = 0x02,
    ICW4_NESTED = 0x10, /* special fully nested mode */

    OCW3 = 0x08,
    OCW3_READ = 0x02, /* with OCW3_ISR: which register is read */
    OCW3_ISR = 0x01,
    OCW3_POLL = 0x04,
    OCW3_SET_SPECIAL = 0x40,
    OCW3_SPECIAL = 0x20,
};

/* One 8259A. */
typedef struct {
    uint8_t irr, imr, isr;
    uint8_t lines;   /* the pins; outlives a reset */
    uint8_t elcr;    /* 1: level-triggered */
    uint8_t base;    /* vector of pin 0 */
    uint8_t highest; /* the pin with the highest priority */
    uint8_t icw;     /* the next ICW expected at the odd port, 0: none */
    bool needs_icw4, is_single, all_level;
    bool auto_eoi, rotate_on_auto_eoi, special_mask, nested;
    bool read_isr, poll;
} pic_chip;

enum { PRIMARY, SECONDARY };

typedef struct {
    vsr_device device;
    vsr_device *lapic;
    pic_chip chip[2];
    bool output; /* what LINT0 was told */
} pic;

static pic *to_pic(vsr_device *device)
{
    return (pic *)(void *)device;
}

/* --- priorities --- */

static bool is_level(const pic_chip *c, unsigned pin)
{
    return c->all_level || (c->elcr >> pin & 1);
}

/* The first pin of `set` in order of priority, as a rank 0..7; 8: none. */
static unsigned first_rank(const pic_chip *c, uint8_t set)
{
    unsigned rank = 0;

    while (rank < 8 && !(set >> ((c->highest + rank) & 7) & 1))
        rank++;
    return rank;
}

/* The pin to serve next, or -1. */
static int pin_waiting(const pic_chip *c, bool is_primary)
{
    unsigned rank = first_rank(c, c->irr & (uint8_t)~c->imr);
    uint8_t serving = c->isr;

    if (rank == 8)
        return -1;
    /* "Special Mask Mode": a masked level in service holds nobody up. */
    if (c->special_mask)
        serving &= (uint8_t)~c->imr;
    /* "Special Fully Nested Mode": the secondary, in service, may interrupt
     * again. */
    if (c->nested && is_primary)
        serving &= (uint8_t) ~(1u << CASCADE_PIN);
    if (rank >= first_rank(c, serving))
        return -1;
    return (int)((c->highest + rank) & 7);
}

static void chip_line(pic_chip *c, unsigned pin, bool level)
{
    uint8_t bit = (uint8_t)(1u << pin);
    bool rises = level && !(c->lines & bit);

    c->lines = level ? c->lines | bit : c->lines & (uint8_t)~bit;
    if (is_level(c, pin))
        c->irr = level ? c->irr | bit : c->irr & (uint8_t)~bit;
    else if (rises)
        c->irr |= bit;
}

/* Brings the cascade and our output up to date. Lock held. */
static void pic_update(pic *p)
{
    pic_chip *primary = &p->chip[PRIMARY];
    bool output;

    /* The secondary's output is a wire, not an edge to be caught. */
    if (pin_waiting(&p->chip[SECONDARY], false) >= 0)
        primary->irr |= 1u << CASCADE_PIN;
    else
        primary->irr &= (uint8_t) ~(1u << CASCADE_PIN);
    output = pin_waiting(primary, true) >= 0;
    if (output == p->output)
        return;
    p->output = output;
    if (p->lapic != NULL)
        vsr_lapic_lint0(p->lapic, output);
}

/* --- acknowledge and end --- */

static void chip_eoi(pic_chip *c, unsigned pin, bool rotate)
{
    c->isr &= (uint8_t) ~(1u << pin);
    if (rotate)
        c->highest = (uint8_t)((pin + 1) & 7);
}

static void chip_acknowledge(pic_chip *c, unsigned pin)
{
    uint8_t bit = (uint8_t)(1u << pin);

    c->isr |= bit;
    if (!is_level(c, pin))
        c->irr &= (uint8_t)~bit;
    if (c->auto_eoi)
        chip_eoi(c, pin, c->rotate_on_auto_eoi);
}

/* INTA cycles. Without a request they give pin 7, "spurious", and set no ISR
 * bit ("Interrupt Sequence"). Lock held. */
static int acknowledge(pic *p)
{
    pic_chip *primary = &p->chip[PRIMARY], *secondary = &p->chip[SECONDARY];
    int pin = pin_waiting(primary, true), vector;

    if (pin < 0)
        return primary->base + 7;
    vector = primary->base + pin;
    if (pin == CASCADE_PIN) {
        int second = pin_waiting(secondary, false);

        if (second >= 0)
            chip_acknowledge(secondary, (unsigned)second);
        vector = secondary->base + (second >= 0 ? second : 7);
    }
    chip_acknowledge(primary, (unsigned)pin);
    pic_update(p);
    return vector;
}

static int pic_ack(void *opaque)
{
    pic *p = opaque;
    int vector;

    g_mutex_lock(&p->device.lock);
    vector = acknowledge(p);
    g_mutex_unlock(&p->device.lock);
    return vector;
}

static void pic_line(void *opaque, uint32_t gsi, bool level)
{
    pic *p = opaque;

    if (gsi >= LINES || gsi == CASCADE_PIN)
        return;
    g_mutex_lock(&p->device.lock);
    chip_line(&p->chip[gsi / 8], gsi % 8, level);
    pic_update(p);
    g_mutex_unlock(&p->device.lock);
}

/* --- registers --- */

static void write_icw1(pic_chip *c, uint8_t value)
{
    c->icw = 2;
    c->needs_icw4 = value & ICW1_ICW4;
    c->is_single = value & ICW1_SINGLE;
    c->all_level = value & ICW1_LEVEL;
    /* "Initialization Command Word 1": what it resets. Edges must come anew. */
    c->irr = 0;
    c->imr = 0;
    c->isr = 0;
    c->highest = 0;
    c->special_mask = c->read_isr = c->poll = false;
    c->auto_eoi = c->rotate_on_auto_eoi = c->nested = false;
    for (unsigned pin = 0; pin < 8; pin++)
        if (is_level(c, pin) && (c->lines >> pin & 1))
            c->irr |= (uint8_t)(1u << pin);
}

static void write_ocw2(pic_chip *c, uint8_t value)
{
    unsigned pin = value & 7;

    switch (value >> 5) {
    case 0: /* rotate in automatic EOI: clear, set */
    case 4:
        c->rotate_on_auto_eoi = value >> 7;
        break;
    case 1: /* non-specific EOI, 5: with rotation */
    case 5: {
        uint8_t serving = c->isr;
        unsigned rank;

        if (c->special_mask)
            serving &= (uint8_t)~c->imr;
        rank = first_rank(c, serving);
        if (rank < 8)
            chip_eoi(c, (c->highest + rank) & 7, value >> 7);
        break;
    }
    case 3: /* specific EOI, 7: with rotation */
    case 7:
        chip_eoi(c, pin, value >> 7);
        break;
    case 6: /* set priority */
        c->highest = (uint8_t)((pin + 1) & 7);
        break;
    default:
        break;
    }
}

static void write_ocw3(pic_chip *c, uint8_t value)
{
    if (value & OCW3_READ)
        c->read_isr = value & OCW3_ISR;
    if (value & OCW3_SET_SPECIAL)
        c->special_mask = value & OCW3_SPECIAL;
    c->poll = value & OCW3_POLL;
}

static void write_odd(pic_chip *c, uint8_t value)
{
    switch (c->icw) {
    case 0:
        c->imr = value;
        break;
    case 2:
        c->base = value & 0xf8;
        c->icw = c->is_single ? (c->needs_icw4 ? 4 : 0) : 3;
        break;
    case 3: /* the cascade is wired */
        c->icw = c->needs_icw4 ? 4 : 0;
        break;
    default:
        c->auto_eoi = value & ICW4_AUTO_EOI;
        c->nested = value & ICW4_NESTED;
        c->icw = 0;
        break;
    }
}

static void ports_write(pic *p, unsigned which, uint64_t offset, uint8_t value)
{
    pic_chip *c = &p->chip[which];

    if (offset == 1)
        write_odd(c, value);
    else if (value & ICW1)
        write_icw1(c, value);
    else if (value & OCW3)
        write_ocw3(c, value);
    else
        write_ocw2(c, value);
    pic_update(p);
}

/* "Poll Command": the read is the acknowledge. */
static uint8_t poll_read(pic *p, unsigned which)
{
    pic_chip *c = &p->chip[which];
    int pin = pin_waiting(c, which == PRIMARY);

    c->poll = false;
    if (pin < 0)
        return 0;
    chip_acknowledge(c, (unsigned)pin);
    pic_update(p);
    return (uint8_t)(0x80 | pin);
}

static uint8_t ports_read(pic *p, unsigned which, uint64_t offset)
{
    const pic_chip *c = &p->chip[which];

    if (c->poll)
        return poll_read(p, which);
    if (offset == 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static uint64_t primary_read(void *opaque, uint64_t offset, uint32_t size)
{
    return ports_read(opaque, PRIMARY, offset);
}

static void primary_write(void *opaque, uint64_t offset, uint32_t size,
                          uint64_t value)
{
    ports_write(opaque, PRIMARY, offset, (uint8_t)value);
}

static uint64_t secondary_read(void *opaque, uint64_t offset, uint32_t size)
{
    return ports_read(opaque, SECONDARY, offset);
}

static void secondary_write(void *opaque, uint64_t offset, uint32_t size,
                            uint64_t value)
{
    ports_write(opaque, SECONDARY, offset, (uint8_t)value);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, uint32_t size)
{
    const pic *p = opaque;

    return p->chip[offset].elcr;
}

/* Timer, keyboard, cascade, clock and coprocessor are edge-triggered for good. */
static void elcr_write(void *opaque, uint64_t offset, uint32_t size,
                       uint64_t value)
{
    pic *p = opaque;

    p->chip[offset].elcr = (uint8_t)value & (offset == 0 ? 0xf8 : 0xde);
    pic_update(p);
}

static const vsr_region_ops primary_ops = { .read = primary_read,
                                            .write = primary_write,
                                            .max_size = 1 };
static const vsr_region_ops secondary_ops = { .read = secondary_read,
                                              .write = secondary_write,
                                              .max_size = 1 };
static const vsr_region_ops elcr_ops = { .read = elcr_read,
                                         .write = elcr_write,
                                         .max_size = 1 };

static const vsr_irq_chip pic_irq_chip = { .line = pic_line };

/* --- life --- */

static void pic_reset(vsr_device *device)
{
    pic *p = to_pic(device);

    g_mutex_lock(&device->lock);
    for (unsigned i = 0; i < 2; i++)
        p->chip[i] = (pic_chip){ .lines = p->chip[i].lines };
    p->output = false;
    if (p->lapic != NULL)
        vsr_lapic_lint0(p->lapic, false);
    g_mutex_unlock(&device->lock);
}

static void pic_fini(vsr_device *device)
{
    pic *p = to_pic(device);

    vsr_irqs_remove_chip(device->machine->irqs, p);
    if (p->lapic != NULL)
        vsr_lapic_set_pic(p->lapic, NULL, NULL);
}

static bool pic_init(vsr_device *device, const void *params, GError **error)
{
    const vsr_pic_params *parameters = params;
    pic *p = to_pic(device);

    if (!vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_PIC1, 2,
                               &primary_ops, false, error) ||
        !vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_PIC2, 2,
                               &secondary_ops, false, error) ||
        !vsr_device_add_region(device, VSR_SPACE_PIO, PORT_ELCR, 2, &elcr_ops,
                               false, error))
        return false;
    p->lapic = parameters->lapic;
    if (p->lapic != NULL)
        vsr_lapic_set_pic(p->lapic, pic_ack, p);
    vsr_irqs_add_chip(device->machine->irqs, &pic_irq_chip, p);
    return true;
}

const vsr_device_class vsr_pic_class = {
    .name = "pic",
    .instance_size = sizeof(pic),
    .init = pic_init,
    .fini = pic_fini,
    .reset = pic_reset,
};
