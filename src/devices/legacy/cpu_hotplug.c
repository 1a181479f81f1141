/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpu_hotplug.c: see cpu_hotplug.h.
 *
 * The guest's processor that ejects may be any, also the one that goes: it runs
 * on until the control thread has heard of it. For the guest it is gone at once,
 * as its _STA says.
 *
 * Threads: registers on vCPU threads, the rest on the control thread; all under
 *          the device's lock.
 */
#include "devices/legacy/cpu_hotplug.h"

#include "base/log.h"
#include "base/util.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

enum {
    IS_THERE = 1 << 0,
    CAME = 1 << 1,        /* an event */
    IS_TO_GO = 1 << 2,    /* an event */
    WAS_EJECTED = 1 << 3, /* to be taken by the control thread */
    EVENTS = CAME | IS_TO_GO,

    /* 5.6.6: the low byte of an event; the index is above it. */
    NOTIFY_CHECK = 1,
    NOTIFY_EJECT = 3,
    EVENT_CPU_SHIFT = 8,

    /* 6.3.5: sources of an _OST, and the status codes that are no refusals. */
    OST_EJECT = 0x03,
    OST_OS_EJECT = 0x103,
    OST_SUCCESS = 0,
    OST_INSERT_IN_PROGRESS = 0x80,
    OST_EJECT_IN_PROGRESS = 0x84,

    STA_WORKS = 0x0f, /* present, enabled, shown, functioning */
};

typedef struct {
    vsr_device base;
    vsr_cpu_hotplug_params params;
    vsr_irq irq;
    uint8_t *flags;    /* of each vCPU, owned */
    uint32_t n_events; /* vCPUs that have any */
    uint32_t selected, ost_cpu, ost_event;
    vsr_log_limiter said;
} cpu_hotplug;

static cpu_hotplug *to_hotplug(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, cpu_hotplug, base);
}

/* Locked: flags change here only. */
static void change(cpu_hotplug *h, uint32_t vcpu, unsigned set, unsigned clear)
{
    uint8_t *flags = &h->flags[vcpu];
    bool had = (*flags & EVENTS) != 0, has;

    *flags = (uint8_t)((*flags & ~clear) | set);
    has = (*flags & EVENTS) != 0;
    h->n_events += has;
    h->n_events -= had;
    vsr_irq_set(&h->irq, h->n_events > 0);
}

static void change_locking(vsr_device *device, uint32_t vcpu, unsigned set,
                           unsigned clear)
{
    cpu_hotplug *h = to_hotplug(device);

    if (vcpu >= h->params.vcpus)
        return;
    g_mutex_lock(&device->lock);
    change(h, vcpu, set, clear);
    g_mutex_unlock(&device->lock);
}

void vsr_cpu_hotplug_set(vsr_device *device, uint32_t vcpu, bool is_there)
{
    change_locking(device, vcpu, is_there ? IS_THERE : 0,
                   EVENTS | WAS_EJECTED | (is_there ? 0 : IS_THERE));
}

void vsr_cpu_hotplug_plugged(vsr_device *device, uint32_t vcpu)
{
    change_locking(device, vcpu, IS_THERE | CAME, EVENTS | WAS_EJECTED);
}

void vsr_cpu_hotplug_ask(vsr_device *device, uint32_t vcpu)
{
    change_locking(device, vcpu, IS_TO_GO, 0);
}

void vsr_cpu_hotplug_withdraw(vsr_device *device, uint32_t vcpu)
{
    change_locking(device, vcpu, 0, IS_TO_GO);
}

bool vsr_cpu_hotplug_take(vsr_device *device, uint32_t *vcpu)
{
    cpu_hotplug *h = to_hotplug(device);
    bool found = false;

    g_mutex_lock(&device->lock);
    for (uint32_t i = 0; i < h->params.vcpus && !found; i++)
        if ((h->flags[i] & WAS_EJECTED) != 0) {
            change(h, i, 0, WAS_EJECTED);
            *vcpu = i;
            found = true;
        }
    g_mutex_unlock(&device->lock);
    return found;
}

/* --- registers --- */

static uint32_t take_event(cpu_hotplug *h)
{
    for (uint32_t i = 0; i < h->params.vcpus && h->n_events > 0; i++) {
        if ((h->flags[i] & CAME) != 0) {
            change(h, i, 0, CAME);
            return i << EVENT_CPU_SHIFT | NOTIFY_CHECK;
        }
        if ((h->flags[i] & IS_TO_GO) != 0) {
            change(h, i, 0, IS_TO_GO);
            return i << EVENT_CPU_SHIFT | NOTIFY_EJECT;
        }
    }
    return 0;
}

static void tell(void *opaque)
{
    const cpu_hotplug *h = opaque;

    h->params.ejected(h->params.opaque);
}

/* vCPU 0 has no _EJ0. */
static void eject(cpu_hotplug *h, uint32_t vcpu)
{
    if (vcpu == 0 || vcpu >= h->params.vcpus ||
        (h->flags[vcpu] & IS_THERE) == 0)
        return;
    change(h, vcpu, WAS_EJECTED, IS_THERE | EVENTS);
    vsr_loop_call(h->base.loop, tell, h);
}

/* What the guest says of an event; that it went well shows otherwise. */
static void hear(cpu_hotplug *h, uint32_t status)
{
    bool is_eject = h->ost_event == OST_EJECT || h->ost_event == OST_OS_EJECT;
    uint32_t in_progress =
        is_eject ? OST_EJECT_IN_PROGRESS : OST_INSERT_IN_PROGRESS;

    if (h->ost_cpu < h->params.vcpus && status != OST_SUCCESS &&
        status != in_progress)
        vsr_log_limited(&h->said, VSR_LOG_WARN,
                        "The guest does not %s vCPU %u: status 0x%x",
                        is_eject ? "let go of" : "take", h->ost_cpu, status);
}

static uint64_t hotplug_read(void *opaque, uint64_t offset, uint32_t size)
{
    cpu_hotplug *h = to_hotplug(opaque);

    switch (offset) {
    case VSR_CPUS_EVENT:
        return take_event(h);
    case VSR_CPUS_STATUS:
        return h->selected < h->params.vcpus &&
                       (h->flags[h->selected] & IS_THERE) != 0
                   ? STA_WORKS
                   : 0;
    default:
        return 0;
    }
}

static void hotplug_write(void *opaque, uint64_t offset, uint32_t size,
                          uint64_t value)
{
    cpu_hotplug *h = to_hotplug(opaque);
    uint32_t word = (uint32_t)value;

    switch (offset) {
    case VSR_CPUS_STATUS:
        h->selected = word;
        break;
    case VSR_CPUS_EJECT:
        eject(h, word);
        break;
    case VSR_CPUS_OST_CPU:
        h->ost_cpu = word;
        break;
    case VSR_CPUS_OST_EVENT:
        h->ost_event = word;
        break;
    case VSR_CPUS_OST_STATUS:
        hear(h, word);
        break;
    default:
        break;
    }
}

static const vsr_region_ops hotplug_ops = {
    .read = hotplug_read,
    .write = hotplug_write,
    .min_size = 4,
    .max_size = 4,
};

/* --- life --- */

static void hotplug_reset(vsr_device *device)
{
    cpu_hotplug *h = to_hotplug(device);

    g_mutex_lock(&device->lock);
    for (uint32_t i = 0; i < h->params.vcpus; i++)
        change(h, i, 0, EVENTS);
    h->selected = h->ost_cpu = h->ost_event = 0;
    g_mutex_unlock(&device->lock);
}

static void nothing(void *opaque)
{
}

static void hotplug_fini(vsr_device *device)
{
    /* What was posted has run after this. */
    vsr_loop_sync(device->loop, nothing, NULL);
    g_free(to_hotplug(device)->flags);
}

static bool hotplug_init(vsr_device *device, const void *params, GError **error)
{
    cpu_hotplug *h = to_hotplug(device);

    h->params = *(const vsr_cpu_hotplug_params *)params;
    vsr_irq_init(&h->irq, device->machine->irqs, h->params.gsi);
    if (!vsr_device_add_region(device, VSR_SPACE_PIO, h->params.port,
                               VSR_CPUS_LEN, &hotplug_ops, false, error))
        return false;
    h->flags = g_new0(uint8_t, h->params.vcpus);
    return true;
}

const vsr_device_class vsr_cpu_hotplug_class = {
    .name = "cpu-hotplug",
    .instance_size = sizeof(cpu_hotplug),
    .init = hotplug_init,
    .fini = hotplug_fini,
    .reset = hotplug_reset,
};
