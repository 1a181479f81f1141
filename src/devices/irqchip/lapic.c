/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lapic.c: the device of all local APICs: acceptance and priority of
 * interrupts, the engine's up-calls, life and reset.
 *
 * Every vCPU finds its page where its IA32_APIC_BASE says, unless RAM or another
 * device is there.
 *
 * Spec:    Intel SDM vol. 3A, "Handling Interrupts", "Interrupt, Task, and
 *          Processor Priority", "Local APIC State After Power-Up or Reset".
 * Threads: up-calls on the vCPU's own; messages and lines from any.
 */
#include "devices/irqchip/lapic.h"

#include <string.h>

#include "base/error.h"
#include "devices/irqchip/lapic_state.h"
#include "machine/x86/layout.h"

enum {
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC_FIRST = 0x800,
    MSR_X2APIC_LAST = 0x8ff,
    PAGE_LEN = 0x1000,
    VCPUS_MAX = 255,
    CPUID_1_ECX_X2APIC = 1 << 21,
    CPUID_1_ECX_DEADLINE = 1 << 24,
};

static lapics *to_lapics(vsr_device *device)
{
    return (lapics *)(void *)device;
}

/* --- acceptance and priority --- */

int vsr_lapic_highest(const uint32_t *set)
{
    for (int i = 7; i >= 0; i--)
        if (set[i] != 0)
            return i * 32 + 31 - __builtin_clz(set[i]);
    return -1;
}

uint32_t vsr_lapic_ppr(const lapic *l)
{
    int serving = vsr_lapic_highest(l->isr);

    if (serving < 0 || l->tpr >> 4 >= (uint32_t)serving >> 4)
        return l->tpr;
    return (uint32_t)serving & 0xf0;
}

/* Locked. Does the PIC's INTR get through? Where the APIC is off, it is wired to
 * the processor. */
static bool extint_waits(const lapic *l)
{
    uint32_t lint0 = l->lvt[LVT_LINT0];

    if (l->extint_message)
        return true;
    if (!l->lint0)
        return false;
    return !(l->base & APIC_BASE_ENABLE) ||
           (!(lint0 & LVT_MASKED) &&
            (lint0 >> LVT_MODE_SHIFT & 7) == DELIVER_EXTINT);
}

/* Locked. The vector to deliver next, or -1. */
static int fixed_waiting(const lapic *l)
{
    int vector;

    if (!lapic_is_on(l))
        return -1;
    vector = vsr_lapic_highest(l->irr);
    return vector >= 0 && (uint32_t)vector >> 4 > vsr_lapic_ppr(l) >> 4 ? vector
                                                                        : -1;
}

void vsr_lapic_update(lapic *l)
{
    bool intr = extint_waits(l) || fixed_waiting(l) >= 0;

    if (intr == l->intr)
        return;
    l->intr = intr;
    (void)vsr_machine_signal(l->all->device.machine, l->index, VSR_SIGNAL_INTR,
                             intr);
}

void vsr_lapic_error(lapic *l, uint32_t bit)
{
    bool is_new = !(l->esr_pending & bit);

    l->esr_pending |= bit;
    if (is_new && !(l->lvt[LVT_ERROR] & LVT_MASKED) &&
        (l->lvt[LVT_ERROR] & LVT_VECTOR) >= 16)
        vsr_lapic_accept(l, l->lvt[LVT_ERROR] & LVT_VECTOR, false);
}

void vsr_lapic_accept(lapic *l, uint8_t vector, bool is_level)
{
    uint32_t bit = 1u << (vector & 31);

    if (vector < 16) {
        vsr_lapic_error(l, ESR_RECEIVE_VECTOR);
        return;
    }
    l->irr[vector >> 5] |= bit;
    if (is_level)
        l->tmr[vector >> 5] |= bit;
    else
        l->tmr[vector >> 5] &= ~bit;
    vsr_lapic_update(l);
}

void vsr_lapic_lvt_fire(lapic *l, unsigned entry)
{
    uint32_t lvt = l->lvt[entry];
    unsigned mode =
        entry == LVT_TIMER ? DELIVER_FIXED : lvt >> LVT_MODE_SHIFT & 7;

    if ((lvt & LVT_MASKED) || !(l->base & APIC_BASE_ENABLE))
        return;
    switch (mode) {
    case DELIVER_FIXED:
        if (lapic_is_on(l))
            vsr_lapic_accept(l, lvt & LVT_VECTOR, false);
        break;
    case DELIVER_NMI:
        (void)vsr_machine_signal(l->all->device.machine, l->index,
                                 VSR_SIGNAL_NMI, 0);
        break;
    default: /* ExtINT is a level: extint_waits() */
        break;
    }
}

/* --- up-calls --- */

static int up_intr_ack(void *chip, uint32_t vcpu)
{
    lapics *all = chip;
    lapic *l = &all->lapic[vcpu];
    bool is_ext;
    int vector;

    g_mutex_lock(&l->lock);
    is_ext = extint_waits(l) && all->pic_ack != NULL;
    l->extint_message = false;
    vector = is_ext ? -1 : fixed_waiting(l);
    if (vector >= 0) {
        uint32_t bit = 1u << (vector & 31);

        l->irr[vector >> 5] &= ~bit;
        l->isr[vector >> 5] |= bit;
    }
    vsr_lapic_update(l);
    g_mutex_unlock(&l->lock);
    return is_ext ? all->pic_ack(all->pic_opaque) : vector;
}

static bool deadline_msr(lapic *l, bool is_write, uint64_t *value)
{
    if (!l->all->has_deadline)
        return false;
    g_mutex_lock(&l->lock);
    if (is_write)
        vsr_lapic_timer_set_deadline(l, *value);
    else
        *value = vsr_lapic_timer_deadline(l);
    g_mutex_unlock(&l->lock);
    return true;
}

static bool up_msr(void *chip, uint32_t vcpu, uint32_t index, bool is_write,
                   uint64_t *value)
{
    lapic *l = &((lapics *)chip)->lapic[vcpu];

    if (index >= MSR_X2APIC_FIRST && index <= MSR_X2APIC_LAST) {
        uint32_t reg = index - MSR_X2APIC_FIRST;

        /* Only the vCPU itself, here, changes its mode. */
        if (!lapic_is_x2(l))
            return false;
        return is_write ? vsr_lapic_write(l, reg, true, *value)
                        : vsr_lapic_read(l, reg, true, value);
    }
    switch (index) {
    case MSR_TSC_DEADLINE:
        return deadline_msr(l, is_write, value);
    case MSR_APIC_BASE:
        if (is_write)
            return vsr_lapic_write_base(l, *value);
        *value = l->base;
        return true;
    default:
        return false;
    }
}

static uint64_t up_cr8_get(void *chip, uint32_t vcpu)
{
    lapic *l = &((lapics *)chip)->lapic[vcpu];
    uint64_t value;

    g_mutex_lock(&l->lock);
    value = l->tpr >> 4;
    g_mutex_unlock(&l->lock);
    return value;
}

static void up_cr8_set(void *chip, uint32_t vcpu, uint64_t value)
{
    lapic *l = &((lapics *)chip)->lapic[vcpu];

    g_mutex_lock(&l->lock);
    l->tpr = (uint32_t)(value & 0xf) << 4;
    vsr_lapic_update(l);
    g_mutex_unlock(&l->lock);
}

static const vsr_lapic_chip lapic_up_calls = {
    .intr_ack = up_intr_ack,
    .msr = up_msr,
    .cr8_get = up_cr8_get,
    .cr8_set = up_cr8_set,
};

static const vsr_irq_chip lapic_chip = { .msi = vsr_lapic_msi };

/* --- the page --- */

/* "Accesses to the APIC registers": 32 bits, at multiples of 16. Narrower reads
 * give that part of the register; other writes are lost. */
static void page_access(void *opaque, uint64_t offset, vsr_io *io)
{
    lapics *all = opaque;
    uint32_t reg = (uint32_t)(offset >> 4), at = (uint32_t)offset & 0xf;
    uint64_t value;
    lapic *l;

    if (io->vcpu >= all->n)
        return;
    l = &all->lapic[io->vcpu];
    if (!(l->base & APIC_BASE_ENABLE) || lapic_is_x2(l) ||
        ((l->base ^ io->addr) & APIC_BASE_PAGE))
        return;
    if (io->is_write) {
        if (at == 0 && io->size >= 4)
            (void)vsr_lapic_write(l, reg, false, (uint32_t)io->data);
        return;
    }
    io->data = 0;
    if (at < 4 && vsr_lapic_read(l, reg, false, &value))
        io->data = value >> (at * 8);
}

static const vsr_region_ops page_ops = { .access = page_access };

static bool is_wanted(lapics *all, uint64_t page)
{
    bool found = false;

    for (uint32_t i = 0; i < all->n && !found; i++) {
        lapic *l = &all->lapic[i];

        g_mutex_lock(&l->lock);
        found = (l->base & APIC_BASE_PAGE) == page;
        g_mutex_unlock(&l->lock);
    }
    return found;
}

/* Locked by move_lock. */
static void page_add(lapics *all, uint64_t page)
{
    const vsr_region region = {
        .name = all->device.id,
        .space = VSR_SPACE_MMIO,
        .base = page,
        .len = PAGE_LEN,
        .ops = &page_ops,
        .opaque = all,
    };

    for (guint i = 0; i < all->moved->len; i++)
        if (g_array_index(all->moved, uint64_t, i) == page)
            return;
    if (page != VSR_LAPIC_BASE &&
        vsr_bus_add(all->device.machine->bus, &region) == 0)
        g_array_append_val(all->moved, page);
}

void vsr_lapic_move_pages(lapics *all)
{
    vsr_bus *bus = all->device.machine->bus;

    g_mutex_lock(&all->move_lock);
    for (guint i = 0; i < all->moved->len;) {
        uint64_t page = g_array_index(all->moved, uint64_t, i);

        if (is_wanted(all, page)) {
            i++;
            continue;
        }
        (void)vsr_bus_remove(bus, VSR_SPACE_MMIO, page);
        g_array_remove_index_fast(all->moved, i);
    }
    for (uint32_t i = 0; i < all->n; i++) {
        uint64_t page;

        g_mutex_lock(&all->lapic[i].lock);
        page = all->lapic[i].base & APIC_BASE_PAGE;
        g_mutex_unlock(&all->lapic[i].lock);
        page_add(all, page);
    }
    g_mutex_unlock(&all->move_lock);
}

/* --- connections --- */

void vsr_lapic_set_eoi(vsr_device *device, vsr_lapic_eoi_fn *fn, void *opaque)
{
    to_lapics(device)->eoi = fn;
    to_lapics(device)->eoi_opaque = opaque;
}

void vsr_lapic_set_pic(vsr_device *device, vsr_lapic_ack_fn *ack, void *opaque)
{
    to_lapics(device)->pic_ack = ack;
    to_lapics(device)->pic_opaque = opaque;
}

void vsr_lapic_lint0(vsr_device *device, bool level)
{
    lapic *l = &to_lapics(device)->lapic[0];

    g_mutex_lock(&l->lock);
    if (level && !l->lint0)
        vsr_lapic_lvt_fire(l, LVT_LINT0); /* fixed or NMI: its edge */
    l->lint0 = level;
    vsr_lapic_update(l);
    g_mutex_unlock(&l->lock);
}

void vsr_lapic_lint1(vsr_device *device)
{
    lapics *all = to_lapics(device);

    for (uint32_t i = 0; i < all->n; i++) {
        lapic *l = &all->lapic[i];

        g_mutex_lock(&l->lock);
        vsr_lapic_lvt_fire(l, LVT_LINT1);
        g_mutex_unlock(&l->lock);
    }
}

/* --- life --- */

void vsr_lapic_init_registers(lapic *l)
{
    l->tpr = 0;
    l->ldr =
        lapic_is_x2(l) ? (l->index >> 4) << 16 | 1u << (l->index & 0xf) : 0;
    l->dfr = UINT32_MAX;
    l->svr = 0xff;
    l->esr = l->esr_pending = 0;
    l->icr_low = l->icr_high = 0;
    memset(l->irr, 0, sizeof l->irr);
    memset(l->isr, 0, sizeof l->isr);
    memset(l->tmr, 0, sizeof l->tmr);
    for (unsigned i = 0; i < LVT_COUNT; i++)
        l->lvt[i] = LVT_MASKED;
    /* What firmware leaves behind, for guests that no firmware started: the PIC
     * reaches the boot processor, and the NMI pin everyone. */
    if (l->base & APIC_BASE_BSP)
        l->lvt[LVT_LINT0] = DELIVER_EXTINT << LVT_MODE_SHIFT;
    l->lvt[LVT_LINT1] = DELIVER_NMI << LVT_MODE_SHIFT;
    l->extint_message = false;
    vsr_lapic_timer_reset(l);
    vsr_lapic_update(l);
}

static void power_on(lapic *l)
{
    g_mutex_lock(&l->lock);
    l->base = VSR_LAPIC_BASE | (l->is_used ? APIC_BASE_ENABLE : 0) |
              (l->index == 0 ? APIC_BASE_BSP : 0);
    vsr_lapic_init_registers(l);
    g_mutex_unlock(&l->lock);
    vsr_timer_cancel(&l->timer.host);
}

static void lapic_reset(vsr_device *device)
{
    lapics *all = to_lapics(device);

    for (uint32_t i = 0; i < all->n; i++)
        power_on(&all->lapic[i]);
    vsr_lapic_move_pages(all);
}

void vsr_lapic_set_used(vsr_device *device, uint32_t vcpu, bool is_used)
{
    lapics *all = to_lapics(device);

    if (vcpu >= all->n)
        return;
    g_mutex_lock(&all->lapic[vcpu].lock);
    all->lapic[vcpu].is_used = is_used;
    g_mutex_unlock(&all->lapic[vcpu].lock);
    power_on(&all->lapic[vcpu]);
    vsr_lapic_move_pages(all);
}

static void lapic_quiesce(vsr_device *device)
{
    lapics *all = to_lapics(device);

    for (uint32_t i = 0; i < all->n; i++) {
        lapic *l = &all->lapic[i];

        g_mutex_lock(&l->lock);
        vsr_lapic_timer_hold(l);
        g_mutex_unlock(&l->lock);
        vsr_timer_cancel(&l->timer.host);
    }
}

static void lapic_unquiesce(vsr_device *device)
{
    lapics *all = to_lapics(device);

    for (uint32_t i = 0; i < all->n; i++) {
        lapic *l = &all->lapic[i];

        g_mutex_lock(&l->lock);
        vsr_lapic_timer_go_on(l);
        g_mutex_unlock(&l->lock);
    }
}

static uint32_t cpuid_1_ecx(const vsr_machine *machine)
{
    const vsr_cpuid *rows = machine->config.cpuid;

    for (uint32_t i = 0; rows != NULL && i < rows->n; i++)
        if (rows->row[i].leaf == 1)
            return rows->row[i].ecx;
    return 0;
}

static void lapic_fini(vsr_device *device)
{
    lapics *all = to_lapics(device);

    vsr_irqs_set_lapic(device->machine->irqs, NULL, NULL);
    vsr_irqs_remove_chip(device->machine->irqs, all);
    for (uint32_t i = 0; i < all->n; i++) {
        vsr_timer_cancel(&all->lapic[i].timer.host);
        g_mutex_clear(&all->lapic[i].lock);
    }
    for (guint i = 0; i < all->moved->len; i++)
        (void)vsr_bus_remove(device->machine->bus, VSR_SPACE_MMIO,
                             g_array_index(all->moved, uint64_t, i));
    g_array_free(all->moved, TRUE);
    g_mutex_clear(&all->move_lock);
    g_free(all->lapic);
}

static bool lapic_init(vsr_device *device, const void *params, GError **error)
{
    const vsr_lapic_params *p = params;
    lapics *all = to_lapics(device);
    uint32_t ecx = cpuid_1_ecx(device->machine);

    if (p->vcpus == 0 || p->vcpus > VCPUS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "%u local APICs: 1 to %d are possible", p->vcpus,
                        VCPUS_MAX);
    if (!vsr_device_add_region(device, VSR_SPACE_MMIO, VSR_LAPIC_BASE, PAGE_LEN,
                               &page_ops, true, error))
        return false;
    all->n = p->vcpus;
    all->has_x2apic = ecx & CPUID_1_ECX_X2APIC;
    all->has_deadline = ecx & CPUID_1_ECX_DEADLINE;
    all->lapic = g_new0(lapic, all->n);
    all->moved = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_mutex_init(&all->move_lock);
    for (uint32_t i = 0; i < all->n; i++) {
        lapic *l = &all->lapic[i];

        l->all = all;
        l->index = i;
        l->is_used = true;
        g_mutex_init(&l->lock);
        vsr_timer_init(&l->timer.host, device->loop, vsr_lapic_timer_expired,
                       l);
    }
    vsr_irqs_add_chip(device->machine->irqs, &lapic_chip, all);
    vsr_irqs_set_lapic(device->machine->irqs, &lapic_up_calls, all);
    return true;
}

const vsr_device_class vsr_lapic_class = {
    .name = "lapic",
    .instance_size = sizeof(lapics),
    .init = lapic_init,
    .fini = lapic_fini,
    .reset = lapic_reset,
    .quiesce = lapic_quiesce,
    .unquiesce = lapic_unquiesce,
};
