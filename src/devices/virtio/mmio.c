/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmio.c: virtio over memory-mapped registers, version 2.
 *
 * Spec:    VIRTIO 1.2, 4.2.2 "MMIO Device Register Layout".
 * Threads: registers on vCPU threads with the device's lock held.
 */
#include "devices/virtio/virtio.h"

#include "machine/machine.h"

enum {
    MAGIC_VALUE = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084,
    QUEUE_DRIVER_LOW = 0x090,
    QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0,
    QUEUE_DEVICE_HIGH = 0x0a4,
    SHM_LEN_LOW = 0x0b0, /* all ones: there is no such memory */
    SHM_BASE_HIGH = 0x0bc,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,
    MAGIC = 0x74726976, /* "virt" */
    VENDOR = 0x4d4f5356,
    ISR_QUEUE = 1,
    ISR_CONFIG = 2,
};

typedef struct {
    uint64_t base;
    vsr_irq irq;
} virtio_mmio;

static virtio_mmio *mmio_of(const vsr_virtio *v)
{
    return v->transport_state;
}

static void interrupt(vsr_virtio *v, uint8_t isr)
{
    v->isr |= isr;
    vsr_irq_set(&mmio_of(v)->irq, true);
}

static void mmio_signal_queue(vsr_virtio *v, vsr_virtio_queue *q)
{
    interrupt(v, ISR_QUEUE);
}

static void mmio_signal_config(vsr_virtio *v)
{
    interrupt(v, ISR_CONFIG);
}

static void acknowledge(vsr_virtio *v, uint8_t bits)
{
    v->isr &= (uint8_t)~bits;
    if (v->isr == 0)
        vsr_irq_set(&mmio_of(v)->irq, false);
}

/* --- registers ------------------------------------------------------------------ */

static uint64_t mmio_read(void *opaque, uint64_t offset, uint32_t size)
{
    vsr_virtio *v = opaque;
    vsr_virtio_queue *q;

    if (offset >= CONFIG)
        return vsr_virtio_config_read(v, offset - CONFIG, size);
    if (size != 4)
        return 0;
    switch (offset) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION:
        return 2;
    case DEVICE_ID:
        return v->ops->id;
    case VENDOR_ID:
        return VENDOR;
    case DEVICE_FEATURES:
        return vsr_virtio_offered(v, v->device_select);
    case QUEUE_NUM_MAX:
        return vsr_virtio_find_queue(v, &q) ? q->size_max : 0;
    case QUEUE_READY:
        return vsr_virtio_find_queue(v, &q) && q->enabled;
    case INTERRUPT_STATUS:
        return v->isr;
    case STATUS:
        return v->status;
    case CONFIG_GENERATION:
        return v->generation;
    default:
        return offset >= SHM_LEN_LOW && offset <= SHM_BASE_HIGH ? UINT32_MAX
                                                                : 0;
    }
}

static void set_half(uint64_t *to, bool high, uint32_t value)
{
    if (high)
        *to = (uint32_t)*to | (uint64_t)value << 32;
    else
        *to = (*to & ~UINT64_C(0xffffffff)) | value;
}

static void queue_write(vsr_virtio *v, vsr_virtio_queue *q, uint64_t offset,
                        uint32_t value)
{
    if (q->enabled) {
        /* 4.2.2.2: the driver stops using it, and reads it back to be sure. */
        if (offset == QUEUE_READY && value == 0)
            vsr_virtio_disable_queue(v, q);
        return;
    }
    switch (offset) {
    case QUEUE_NUM:
        q->layout.size = (uint16_t)MIN(value, UINT16_MAX);
        break;
    case QUEUE_READY:
        if (value == 1)
            vsr_virtio_enable_queue(v, q);
        break;
    case QUEUE_DESC_LOW:
    case QUEUE_DESC_HIGH:
        set_half(&q->layout.desc, offset == QUEUE_DESC_HIGH, value);
        break;
    case QUEUE_DRIVER_LOW:
    case QUEUE_DRIVER_HIGH:
        set_half(&q->layout.avail, offset == QUEUE_DRIVER_HIGH, value);
        break;
    case QUEUE_DEVICE_LOW:
    case QUEUE_DEVICE_HIGH:
        set_half(&q->layout.used, offset == QUEUE_DEVICE_HIGH, value);
        break;
    default:
        break;
    }
}

static void mmio_write(void *opaque, uint64_t offset, uint32_t size,
                       uint64_t value)
{
    vsr_virtio *v = opaque;
    vsr_virtio_queue *q;

    if (v->stopping)
        return;
    if (offset >= CONFIG) {
        vsr_virtio_config_write(v, offset - CONFIG, size, value);
        return;
    }
    if (size != 4)
        return;
    switch (offset) {
    case DEVICE_FEATURES_SEL:
        v->device_select = (uint32_t)value;
        break;
    case DRIVER_FEATURES:
        vsr_virtio_accept(v, v->driver_select, (uint32_t)value);
        break;
    case DRIVER_FEATURES_SEL:
        v->driver_select = (uint32_t)value;
        break;
    case QUEUE_SEL:
        v->queue_select = (uint32_t)value;
        break;
    case QUEUE_NOTIFY:
        vsr_virtio_kick(v, (uint32_t)value);
        break;
    case INTERRUPT_ACK:
        acknowledge(v, (uint8_t)value);
        break;
    case STATUS:
        vsr_virtio_set_status(v, (uint8_t)value);
        if ((uint8_t)value == 0)
            acknowledge(v, 0xff);
        break;
    default:
        if (vsr_virtio_find_queue(v, &q))
            queue_write(v, q, offset, (uint32_t)value);
        break;
    }
}

static const vsr_region_ops mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .min_size = 1,
    .max_size = 8,
};

/* --- life ------------------------------------------------------------------------- */

static void remove_doorbells(vsr_virtio *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        (void)vsr_bus_doorbell_remove(v->device.machine->bus, VSR_SPACE_MMIO,
                                      mmio_of(v)->base + QUEUE_NOTIFY, 4, true,
                                      i);
}

static bool mmio_init(vsr_virtio *v, const vsr_virtio_params *params,
                      GError **error)
{
    virtio_mmio *m = g_new0(virtio_mmio, 1);

    m->base = params->mmio->base;
    v->transport_state = m;
    vsr_irq_init(&m->irq, v->device.machine->irqs, params->mmio->gsi);
    if (!vsr_device_add_region(&v->device, VSR_SPACE_MMIO, m->base,
                               VSR_VIRTIO_MMIO_STEP, &mmio_ops, false, error)) {
        g_clear_pointer(&v->transport_state, g_free);
        return false;
    }
    /* A shortcut: without it the write comes to us. */
    for (uint32_t i = 0; i < v->n_queues; i++)
        (void)vsr_bus_doorbell_add(v->device.machine->bus, VSR_SPACE_MMIO,
                                   m->base + QUEUE_NOTIFY, 4, true, i,
                                   v->queue[i].kick_fd);
    return true;
}

static void mmio_fini(vsr_virtio *v)
{
    remove_doorbells(v, v->n_queues);
    vsr_irq_set(&mmio_of(v)->irq, false);
}

static void mmio_reset(vsr_virtio *v)
{
    vsr_irq_set(&mmio_of(v)->irq, false);
}

const vsr_virtio_transport vsr_virtio_mmio_transport = {
    .init = mmio_init,
    .fini = mmio_fini,
    .reset = mmio_reset,
    .signal_queue = mmio_signal_queue,
    .signal_config = mmio_signal_config,
};
