/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_pm.c: PM1a registers, power button, 24-bit PM timer.
 *
 * The board has no SMM, so the machine is always in ACPI mode: SCI_EN reads as
 * one and the FADT names no SMI command port.
 *
 * Spec:    ACPI 6.5, 4.8.3.1 "PM1 Event Grouping", 4.8.3.2 "PM1 Control
 *          Grouping", 4.8.3.3 "Power Management Timer"; 16.1 for SLP_EN.
 * Threads: registers on vCPU threads, the timer on the loop, the button from
 *          anywhere; all under the device's lock.
 */
#include "devices/legacy/acpi_pm.h"

#include "base/util.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

#define PM_TIMER_HZ UINT64_C(3579545)
#define SECOND_NS   UINT64_C(1000000000)

enum {
    PM1_STS = 0,
    PM1_EN = 2,
    PM1_CNT = 4,
    PM_TMR = 8,
    PM_LEN = 12,

    STS_TMR = 1 << 0,
    STS_PWRBTN = 1 << 8,
    STS_WAK = 1 << 15,
    STS_ALL = STS_TMR | 1 << 5 | STS_PWRBTN | 1 << 9 | 1 << 10 | STS_WAK,
    EN_ALL = STS_TMR | 1 << 5 | STS_PWRBTN | 1 << 9 | 1 << 10,

    CNT_SCI_EN = 1 << 0,
    CNT_KEPT = 1 << 1 | 7 << 10, /* BM_RLD, SLP_TYP */
    CNT_SLP_TYP_SHIFT = 10,
    CNT_SLP_EN = 1 << 13,
};

typedef struct {
    vsr_device base;
    vsr_irq sci;
    vsr_timer timer; /* TMR_STS, armed while its enable bit is set */
    uint16_t sts, en, cnt;
    int64_t origin_ns; /* the timer's zero */
    int64_t paused_ns; /* when quiesced; 0: running */
    uint64_t seen; /* timer value when TMR_STS was last brought up to date */
} acpi_pm;

static acpi_pm *to_pm(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, acpi_pm, base);
}

/* Ticks since power-on, not cut to 24 bits. */
static uint64_t ticks(const acpi_pm *pm)
{
    int64_t now = pm->paused_ns ? pm->paused_ns : vsr_now_ns();
    uint64_t ns = (uint64_t)(now - pm->origin_ns);

    return ns / SECOND_NS * PM_TIMER_HZ +
           ns % SECOND_NS * PM_TIMER_HZ / SECOND_NS;
}

/* 4.8.3.3: TMR_STS is set each time bit 23 changes. */
static void update(acpi_pm *pm)
{
    uint64_t now = ticks(pm);

    if (now >> 23 != pm->seen >> 23)
        pm->sts |= STS_TMR;
    pm->seen = now;
    vsr_irq_set(&pm->sci, pm->sts & pm->en & EN_ALL);
    if ((pm->en & STS_TMR) && !(pm->sts & STS_TMR) && !pm->paused_ns) {
        uint64_t left = ((now >> 23) + 1) * (UINT64_C(1) << 23) - now;

        vsr_timer_arm(&pm->timer,
                      vsr_now_ns() + (int64_t)(left * SECOND_NS / PM_TIMER_HZ) +
                          1);
    }
}

static void timer_fired(void *opaque)
{
    acpi_pm *pm = opaque;

    g_mutex_lock(&pm->base.lock);
    update(pm);
    g_mutex_unlock(&pm->base.lock);
}

void vsr_acpi_pm_power_button(vsr_device *device)
{
    acpi_pm *pm = to_pm(device);

    g_mutex_lock(&device->lock);
    pm->sts |= STS_PWRBTN;
    update(pm);
    g_mutex_unlock(&device->lock);
}

static uint64_t pm1_read(void *opaque, uint64_t offset, uint32_t size)
{
    acpi_pm *pm = to_pm(opaque);
    uint16_t value;

    update(pm);
    switch (offset & ~UINT64_C(1)) {
    case PM1_STS:
        value = pm->sts;
        break;
    case PM1_EN:
        value = pm->en;
        break;
    case PM1_CNT:
        value = pm->cnt | CNT_SCI_EN;
        break;
    default:
        value = 0;
        break;
    }
    return size == 1 ? value >> (offset & 1) * 8 & 0xff : value;
}

static void write_control(acpi_pm *pm, uint16_t value)
{
    uint32_t type = value >> CNT_SLP_TYP_SHIFT & 7;

    pm->cnt = value & CNT_KEPT;
    if (!(value & CNT_SLP_EN))
        return;
    /* Only \_S5 is declared; any other type is not a sleep we know. */
    if (type == VSR_ACPI_S5_TYPE)
        vsr_machine_request(pm->base.machine, VSR_REQUEST_POWEROFF, 0,
                            "ACPI S5");
}

static void pm1_write(void *opaque, uint64_t offset, uint32_t size,
                      uint64_t data)
{
    acpi_pm *pm = to_pm(opaque);
    uint32_t shift = (uint32_t)(offset & 1) * 8;
    uint16_t mask = (uint16_t)((size == 1 ? 0xff : 0xffff) << shift);
    uint16_t value = (uint16_t)(data << shift) & mask;

    update(pm);
    switch (offset & ~UINT64_C(1)) {
    case PM1_STS:
        pm->sts &= (uint16_t) ~(value & STS_ALL);
        break;
    case PM1_EN:
        pm->en = (uint16_t)((pm->en & ~mask) | value) & EN_ALL;
        break;
    case PM1_CNT:
        write_control(pm, (uint16_t)((pm->cnt & ~mask) | value));
        break;
    default:
        break;
    }
    update(pm);
}

static uint64_t timer_read(void *opaque, uint64_t offset, uint32_t size)
{
    return ticks(to_pm(opaque)) & 0xffffff;
}

static void timer_write(void *opaque, uint64_t offset, uint32_t size,
                        uint64_t value)
{
}

static const vsr_region_ops pm1_ops = {
    .read = pm1_read,
    .write = pm1_write,
    .min_size = 1,
    .max_size = 2,
};

static const vsr_region_ops timer_ops = {
    .read = timer_read,
    .write = timer_write,
    .min_size = 4,
    .max_size = 4,
};

static void pm_reset(vsr_device *device)
{
    acpi_pm *pm = to_pm(device);

    pm->sts = pm->en = pm->cnt = 0;
    pm->origin_ns = pm->paused_ns ? pm->paused_ns : vsr_now_ns();
    pm->seen = 0;
    vsr_irq_set(&pm->sci, false);
}

static void pm_quiesce(vsr_device *device)
{
    acpi_pm *pm = to_pm(device);

    vsr_timer_cancel(&pm->timer);
    g_mutex_lock(&device->lock);
    if (!pm->paused_ns)
        pm->paused_ns = vsr_now_ns();
    g_mutex_unlock(&device->lock);
}

static void pm_unquiesce(vsr_device *device)
{
    acpi_pm *pm = to_pm(device);

    g_mutex_lock(&device->lock);
    if (pm->paused_ns)
        pm->origin_ns += vsr_now_ns() - pm->paused_ns;
    pm->paused_ns = 0;
    update(pm);
    g_mutex_unlock(&device->lock);
}

static bool pm_init(vsr_device *device, const void *params, GError **error)
{
    acpi_pm *pm = to_pm(device);
    const vsr_acpi_pm_params *p = params;

    vsr_irq_init(&pm->sci, device->machine->irqs, p->sci_gsi);
    vsr_timer_init(&pm->timer, device->loop, timer_fired, pm);
    return vsr_device_add_region(device, VSR_SPACE_PIO, p->port, PM_TMR,
                                 &pm1_ops, false, error) &&
           vsr_device_add_region(device, VSR_SPACE_PIO, p->port + PM_TMR,
                                 PM_LEN - PM_TMR, &timer_ops, false, error);
}

static void pm_fini(vsr_device *device)
{
    vsr_timer_cancel(&to_pm(device)->timer);
}

const vsr_device_class vsr_acpi_pm_class = {
    .name = "acpi-pm",
    .instance_size = sizeof(acpi_pm),
    .init = pm_init,
    .fini = pm_fini,
    .reset = pm_reset,
    .quiesce = pm_quiesce,
    .unquiesce = pm_unquiesce,
};
