/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lapic_deliver.c: interrupt messages from vCPUs (ICR), devices (MSI) and the
 * IOAPIC to the local APICs they name.
 *
 * Spec:    Intel SDM vol. 3A, "Issuing Interprocessor Interrupts",
 *          "Determining IPI Destination", "Message Signalled Interrupts",
 *          "x2APIC Interrupt Delivery".
 * Threads: any; one APIC's lock at a time.
 */
#include "devices/irqchip/lapic_state.h"

#include <errno.h>

enum {
    ICR_VECTOR = 0xff,
    ICR_MODE_SHIFT = 8,
    ICR_LOGICAL = 1 << 11,
    ICR_ASSERT = 1 << 14,
    ICR_LEVEL = 1 << 15,
    ICR_SHORTHAND_SHIFT = 18,

    SHORTHAND_NONE = 0,
    SHORTHAND_SELF = 1,
    SHORTHAND_ALL = 2,
    SHORTHAND_OTHERS = 3,

    MSI_DEST_SHIFT = 12,
    MSI_LOGICAL = 1 << 2,
    MSI_LEVEL = 1 << 15,
};

static bool logical_match(const lapic *l, uint32_t dest)
{
    if (lapic_is_x2(l))
        return dest >> 16 == l->ldr >> 16 && (dest & l->ldr & 0xffff) != 0;
    if (l->dfr >> 28 == 0xf)
        return (l->ldr >> 24 & dest) != 0;
    return l->ldr >> 28 == dest >> 4 && (l->ldr >> 24 & dest & 0xf) != 0;
}

static bool is_broadcast(const lapic_message *m)
{
    return m->dest == (m->is_wide ? UINT32_MAX : 0xff);
}

/* Locked. Fixed interrupts need an APIC that is on, the others one that is
 * there. */
static bool takes(const lapic *l, const lapic_message *m)
{
    if (m->mode == DELIVER_FIXED || m->mode == DELIVER_LOWEST)
        return lapic_is_on(l);
    return l->base & APIC_BASE_ENABLE;
}

/* Locked. */
static bool matches(const lapic *l, const lapic_message *m)
{
    if (is_broadcast(m))
        return true;
    return m->is_logical ? logical_match(l, m->dest) : l->index == m->dest;
}

/* Locked, and l takes it. */
static void deliver(lapic *l, const lapic_message *m)
{
    vsr_machine *machine = l->all->device.machine;

    switch (m->mode) {
    case DELIVER_FIXED:
    case DELIVER_LOWEST:
        vsr_lapic_accept(l, m->vector, m->is_level);
        break;
    case DELIVER_SMI:
        (void)vsr_machine_signal(machine, l->index, VSR_SIGNAL_SMI, 0);
        break;
    case DELIVER_NMI:
        (void)vsr_machine_signal(machine, l->index, VSR_SIGNAL_NMI, 0);
        break;
    case DELIVER_INIT:
        vsr_lapic_init_registers(l);
        (void)vsr_machine_signal(machine, l->index, VSR_SIGNAL_INIT, 0);
        break;
    case DELIVER_SIPI:
        (void)vsr_machine_signal(machine, l->index, VSR_SIGNAL_SIPI, m->vector);
        break;
    case DELIVER_EXTINT:
        l->extint_message = true;
        vsr_lapic_update(l);
        break;
    default:
        break;
    }
}

static bool deliver_if(lapic *l, const lapic_message *m)
{
    bool taken;

    g_mutex_lock(&l->lock);
    taken = matches(l, m) && takes(l, m);
    if (taken)
        deliver(l, m);
    g_mutex_unlock(&l->lock);
    return taken;
}

/* The one with the lowest processor priority. It may change its mind while we
 * look at the others, as on a bus: then it takes the interrupt all the same. */
static bool send_lowest(lapics *all, const lapic_message *m)
{
    lapic *best = NULL;
    uint32_t best_priority = UINT32_MAX;

    for (uint32_t i = 0; i < all->n; i++) {
        lapic *l = &all->lapic[i];

        g_mutex_lock(&l->lock);
        if (matches(l, m) && takes(l, m) &&
            vsr_lapic_ppr(l) >> 4 < best_priority) {
            best = l;
            best_priority = vsr_lapic_ppr(l) >> 4;
        }
        g_mutex_unlock(&l->lock);
    }
    return best != NULL && deliver_if(best, m);
}

bool vsr_lapic_send(lapics *all, const lapic_message *m)
{
    bool taken = false;

    if (m->mode == DELIVER_LOWEST)
        return send_lowest(all, m);
    if (!m->is_logical && !is_broadcast(m))
        return m->dest < all->n && deliver_if(&all->lapic[m->dest], m);
    for (uint32_t i = 0; i < all->n; i++)
        taken |= deliver_if(&all->lapic[i], m);
    return taken;
}

static void send_to_self(lapic *l, const lapic_message *m)
{
    /* "Valid Combinations for the APIC's Interrupt Command Register": fixed
     * only; NMI works on processors too. */
    if (m->mode == DELIVER_FIXED || m->mode == DELIVER_NMI)
        (void)deliver_if(l, m);
}

void vsr_lapic_send_icr(lapic *l, uint32_t low, const uint32_t *high)
{
    unsigned shorthand = low >> ICR_SHORTHAND_SHIFT & 3;
    lapic_message m;

    g_mutex_lock(&l->lock);
    l->icr_low = low;
    if (high != NULL)
        l->icr_high = *high;
    m = (lapic_message){
        .dest = lapic_is_x2(l) ? l->icr_high : l->icr_high >> 24,
        .is_wide = lapic_is_x2(l),
        .is_logical = low & ICR_LOGICAL,
        .mode = low >> ICR_MODE_SHIFT & 7,
        .vector = low & ICR_VECTOR,
    };
    if ((m.mode == DELIVER_FIXED || m.mode == DELIVER_LOWEST) && m.vector < 16)
        vsr_lapic_error(l, ESR_SEND_VECTOR);
    g_mutex_unlock(&l->lock);

    /* INIT level de-assert: nothing but arbitration ids, which no bus has. */
    if (m.mode == DELIVER_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
        return;
    if (m.mode == DELIVER_EXTINT)
        return; /* not an IPI */
    switch (shorthand) {
    case SHORTHAND_NONE:
        (void)vsr_lapic_send(l->all, &m);
        break;
    case SHORTHAND_SELF:
        m.is_wide = true;
        m.dest = UINT32_MAX;
        send_to_self(l, &m);
        break;
    default: /* all, or all others */
        m.is_wide = true;
        m.dest = UINT32_MAX;
        if (m.mode == DELIVER_LOWEST)
            m.mode = DELIVER_FIXED;
        for (uint32_t i = 0; i < l->all->n; i++)
            if (shorthand == SHORTHAND_ALL || i != l->index)
                (void)deliver_if(&l->all->lapic[i], &m);
        break;
    }
}

int vsr_lapic_msi(void *chip, uint64_t addr, uint32_t data)
{
    const lapic_message m = {
        .dest = addr >> MSI_DEST_SHIFT & 0xff,
        .is_logical = addr & MSI_LOGICAL,
        .mode = data >> ICR_MODE_SHIFT & 7,
        .vector = data & ICR_VECTOR,
        .is_level = data & MSI_LEVEL,
    };

    if (addr >> 20 != 0xfee || m.mode == DELIVER_SIPI)
        return -EINVAL;
    return vsr_lapic_send(chip, &m) ? 0 : -ENODEV;
}
