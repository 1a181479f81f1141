/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lapic_registers.c: what a vCPU reads and writes in its local APIC, through
 * the memory page (xAPIC) or MSRs (x2APIC).
 *
 * Spec:    Intel SDM vol. 3A, "Local APIC Register Address Map", "Extended XAPIC
 *          (x2APIC)", "x2APIC Register Address Space", "x2APIC State
 *          Transitions".
 * Threads: the vCPU's own.
 */
#include "devices/irqchip/lapic_state.h"

#include "machine/x86/layout.h"

/* Version 0x14, six LVT entries. */
enum { VERSION = (LVT_COUNT - 1) << 16 | 0x14 };
#define ICR_STATUS (1u << 12) /* always idle: sending takes no time */

/* Bits a guest may set in each LVT entry. */
static const uint32_t lvt_bits[LVT_COUNT] = {
    [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
    [LVT_THERMAL] = LVT_VECTOR | LVT_MASKED | 0x700,
    [LVT_COUNTERS] = LVT_VECTOR | LVT_MASKED | 0x700,
    [LVT_LINT0] = LVT_VECTOR | LVT_MASKED | 0x700 | 0xa000,
    [LVT_LINT1] = LVT_VECTOR | LVT_MASKED | 0x700 | 0xa000,
    [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

static uint32_t id_value(const lapic *l, bool is_x2)
{
    return is_x2 ? l->index : l->index << 24;
}

/* Locked. */
static bool read_locked(lapic *l, uint32_t reg, bool is_x2, uint64_t *value)
{
    if (reg >= LAPIC_ISR && reg < LAPIC_ISR + 8)
        *value = l->isr[reg - LAPIC_ISR];
    else if (reg >= LAPIC_TMR && reg < LAPIC_TMR + 8)
        *value = l->tmr[reg - LAPIC_TMR];
    else if (reg >= LAPIC_IRR && reg < LAPIC_IRR + 8)
        *value = l->irr[reg - LAPIC_IRR];
    else if (reg >= LAPIC_LVT_FIRST && reg <= LAPIC_LVT_LAST)
        *value = l->lvt[reg - LAPIC_LVT_FIRST];
    else
        switch (reg) {
        case LAPIC_ID:
            *value = id_value(l, is_x2);
            break;
        case LAPIC_VERSION:
            *value = VERSION;
            break;
        case LAPIC_TPR:
            *value = l->tpr;
            break;
        case LAPIC_PPR:
            *value = vsr_lapic_ppr(l);
            break;
        case LAPIC_LDR:
            *value = l->ldr;
            break;
        case LAPIC_SVR:
            *value = l->svr;
            break;
        case LAPIC_ESR:
            *value = l->esr;
            break;
        case LAPIC_ICR_LOW:
            *value = l->icr_low;
            if (is_x2)
                *value |= (uint64_t)l->icr_high << 32;
            break;
        case LAPIC_TIMER_INITIAL:
            *value = l->timer.initial;
            break;
        case LAPIC_TIMER_CURRENT:
            *value = vsr_lapic_timer_current(l);
            break;
        case LAPIC_TIMER_DIVIDE:
            *value = l->timer.divide;
            break;
        /* Only in the page. */
        case LAPIC_DFR:
            *value = l->dfr;
            return !is_x2;
        case LAPIC_ICR_HIGH:
            *value = l->icr_high;
            return !is_x2;
        case LAPIC_APR:
        case LAPIC_RRD:
        case LAPIC_EOI:
            *value = 0;
            return !is_x2;
        default:
            return false;
        }
    return true;
}

bool vsr_lapic_read(lapic *l, uint32_t reg, bool is_x2, uint64_t *value)
{
    bool ok;

    *value = 0;
    g_mutex_lock(&l->lock);
    ok = read_locked(l, reg, is_x2, value);
    if (!ok && !is_x2)
        vsr_lapic_error(l, ESR_REGISTER);
    g_mutex_unlock(&l->lock);
    return ok;
}

static void end_of_interrupt(lapic *l)
{
    bool was_level = false;
    int vector;

    g_mutex_lock(&l->lock);
    vector = vsr_lapic_highest(l->isr);
    if (vector >= 0) {
        uint32_t bit = 1u << (vector & 31);

        l->isr[vector >> 5] &= ~bit;
        was_level = l->tmr[vector >> 5] & bit;
        vsr_lapic_update(l);
    }
    g_mutex_unlock(&l->lock);
    /* The IOAPIC may send the next one at once: not under our lock. */
    if (was_level && l->all->eoi != NULL)
        l->all->eoi(l->all->eoi_opaque, (uint8_t)vector);
}

/* Locked. */
static void write_svr(lapic *l, uint32_t value)
{
    l->svr = value & 0x3ff; /* bit 12 is not offered */
    /* "Local APIC State After It Has Been Software Disabled". */
    if (!(l->svr & SVR_ENABLE))
        for (unsigned i = 0; i < LVT_COUNT; i++)
            l->lvt[i] |= LVT_MASKED;
}

/* Locked. */
static void write_lvt(lapic *l, unsigned entry, uint32_t value)
{
    value &= lvt_bits[entry];
    if (!(l->svr & SVR_ENABLE))
        value |= LVT_MASKED;
    if (entry == LVT_TIMER)
        vsr_lapic_timer_set_lvt(l, value);
    else
        l->lvt[entry] = value;
}

/* Locked. */
static bool write_locked(lapic *l, uint32_t reg, bool is_x2, uint32_t value)
{
    if (reg >= LAPIC_LVT_FIRST && reg <= LAPIC_LVT_LAST) {
        write_lvt(l, reg - LAPIC_LVT_FIRST, value);
        return true;
    }
    switch (reg) {
    case LAPIC_TPR:
        l->tpr = value & 0xff;
        return true;
    case LAPIC_SVR:
        write_svr(l, value);
        return true;
    case LAPIC_ESR:
        /* A write makes the errors since the last one readable. */
        l->esr = l->esr_pending;
        l->esr_pending = 0;
        return true;
    case LAPIC_TIMER_INITIAL:
        vsr_lapic_timer_set_initial(l, value);
        return true;
    case LAPIC_TIMER_DIVIDE:
        vsr_lapic_timer_set_divide(l, value);
        return true;
    case LAPIC_LDR:
        if (!is_x2)
            l->ldr = value & 0xff000000;
        return !is_x2;
    case LAPIC_DFR:
        if (!is_x2)
            l->dfr = value | 0x0fffffff;
        return !is_x2;
    case LAPIC_ICR_HIGH:
        if (!is_x2)
            l->icr_high = value & 0xff000000;
        return !is_x2;
    case LAPIC_ID: /* read-only here; and these always are */
    case LAPIC_VERSION:
    case LAPIC_APR:
    case LAPIC_PPR:
    case LAPIC_RRD:
    case LAPIC_TIMER_CURRENT:
        return !is_x2;
    default:
        return reg >= LAPIC_ISR && reg < LAPIC_ESR && !is_x2;
    }
}

/* x2APIC: "Reserved Bits" raise #GP. */
static bool x2_value_is_legal(const lapic *l, uint32_t reg, uint64_t value)
{
    switch (reg) {
    case LAPIC_ICR_LOW:
        return ((uint32_t)value & 0xfff32000) == 0;
    case LAPIC_EOI:
    case LAPIC_ESR:
        return value == 0;
    case LAPIC_TPR:
    case LAPIC_SELF_IPI:
        return value <= 0xff;
    case LAPIC_SVR:
        return (value & ~UINT64_C(0x3ff)) == 0;
    case LAPIC_TIMER_DIVIDE:
        return (value & ~UINT64_C(0xb)) == 0;
    default:
        break;
    }
    if (reg >= LAPIC_LVT_FIRST && reg <= LAPIC_LVT_LAST) {
        uint64_t may =
            lvt_bits[reg - LAPIC_LVT_FIRST] | LVT_STATUS | LVT_REMOTE_IRR;

        if (reg == LAPIC_LVT_FIRST && !l->all->has_deadline)
            may &= ~(uint64_t)LVT_TIMER_DEADLINE;
        return (value & ~may) == 0;
    }
    return value <= UINT32_MAX;
}

bool vsr_lapic_write(lapic *l, uint32_t reg, bool is_x2, uint64_t value)
{
    uint32_t high = (uint32_t)(value >> 32);
    bool ok;

    if (is_x2 && !x2_value_is_legal(l, reg, value))
        return false;
    switch (reg) {
    case LAPIC_EOI:
        end_of_interrupt(l);
        return true;
    case LAPIC_ICR_LOW:
        vsr_lapic_send_icr(l, (uint32_t)value & ~ICR_STATUS,
                           is_x2 ? &high : NULL);
        return true;
    case LAPIC_SELF_IPI:
        if (!is_x2)
            break;
        g_mutex_lock(&l->lock);
        vsr_lapic_accept(l, (uint8_t)value, false);
        g_mutex_unlock(&l->lock);
        return true;
    default:
        break;
    }
    g_mutex_lock(&l->lock);
    ok = write_locked(l, reg, is_x2, (uint32_t)value);
    if (!ok && !is_x2)
        vsr_lapic_error(l, ESR_REGISTER);
    vsr_lapic_update(l);
    g_mutex_unlock(&l->lock);
    return ok;
}

/* "x2APIC State Transitions": which modes follow which. */
static bool transition_is_legal(uint64_t from, uint64_t to)
{
    enum { BOTH = APIC_BASE_ENABLE | APIC_BASE_X2 };

    switch (to & BOTH) {
    case APIC_BASE_X2: /* invalid */
        return false;
    case BOTH: /* not straight from disabled */
        return (from & APIC_BASE_ENABLE) != 0;
    case APIC_BASE_ENABLE: /* not back from x2APIC */
        return (from & APIC_BASE_X2) == 0;
    default:
        return true;
    }
}

bool vsr_lapic_write_base(lapic *l, uint64_t value)
{
    const vsr_machine *machine = l->all->device.machine;
    uint64_t legal = ((UINT64_C(1) << machine->caps.phys_bits) - 1) & ~0xfffull;
    uint64_t before;
    bool ok;

    legal |= APIC_BASE_BSP | APIC_BASE_ENABLE;
    if (l->all->has_x2apic)
        legal |= APIC_BASE_X2;
    g_mutex_lock(&l->lock);
    before = l->base;
    ok = (value & ~legal) == 0 && transition_is_legal(before, value);
    if (ok) {
        l->base = value;
        if ((before & APIC_BASE_ENABLE) && !(value & APIC_BASE_ENABLE))
            vsr_lapic_init_registers(l);
        if (!(before & APIC_BASE_X2) && lapic_is_x2(l)) {
            /* "Logical Destination Mode in x2APIC Mode" */
            l->ldr = (l->index >> 4) << 16 | 1u << (l->index & 0xf);
            l->icr_high = 0;
        }
        vsr_lapic_update(l);
    }
    g_mutex_unlock(&l->lock);
    if (ok && ((before ^ value) & APIC_BASE_PAGE))
        vsr_lapic_move_pages(l->all);
    return ok;
}
