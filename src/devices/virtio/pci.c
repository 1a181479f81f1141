/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pci.c: virtio over PCI, without the legacy interface: BAR 0 has the four
 * structures, each in a page of its own, BAR 1 the MSI-X table.
 *
 * Spec:    VIRTIO 1.2, 4.1 "Virtio Over PCI Bus"; 4.1.4.3 "Common configuration
 *          structure layout", 4.1.4.9 "PCI configuration access capability".
 * Threads: registers on vCPU threads with the device's lock held.
 */
#include "devices/virtio/virtio.h"

#include <string.h>

#include "base/error.h"
#include "devices/pci/host.h"
#include "machine/machine.h"

enum {
    VENDOR = 0x1af4,
    DEVICE = 0x1040, /* + the virtio id */
    COMMON = 0x0000,
    ISR = 0x1000,
    CONFIG = 0x2000,
    NOTIFY = 0x3000, /* 4 bytes a queue */
    BAR_LEN = 0x4000,
    PART_LEN = 0x1000,
    NOTIFY_STEP = 4,
    BAR_VIRTIO = 0,
    BAR_MSIX = 1,
};

/* 4.1.4 "Virtio Structure PCI Capabilities" */
enum {
    CAP_COMMON = 1,
    CAP_NOTIFY = 2,
    CAP_ISR = 3,
    CAP_DEVICE = 4,
    CAP_PCI = 5,
    CAP_LEN = 16,
    CAP_BAR = 4,
    CAP_OFFSET = 8,
    CAP_LENGTH = 12,
    CAP_DATA = 16, /* of CAP_PCI */
};

/* 4.1.4.3 */
enum {
    DEVICE_FEATURE_SELECT = 0,
    DEVICE_FEATURE = 4,
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    CONFIG_MSIX_VECTOR = 16,
    NUM_QUEUES = 18,
    DEVICE_STATUS = 20,
    CONFIG_GENERATION = 21,
    QUEUE_SELECT = 22,
    QUEUE_SIZE = 24,
    QUEUE_MSIX_VECTOR = 26,
    QUEUE_ENABLE = 28,
    QUEUE_NOTIFY_OFF = 30,
    QUEUE_DESC = 32,
    QUEUE_DRIVER = 40,
    QUEUE_DEVICE = 48,
    QUEUE_NOTIFY_DATA = 56,
    QUEUE_RESET = 58,
};

enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

typedef struct {
    vsr_virtio *virtio;
    vsr_pci_function function;
    vsr_msix msix;
    uint16_t config_vector;
    uint8_t access; /* the capability for accesses without the BAR */
} virtio_pci;

static virtio_pci *pci_of(const vsr_virtio *v)
{
    return v->transport_state;
}

/* --- interrupts -------------------------------------------------------------- */

/* 4.1.4.5.1: the line is the OR of ISR's bits; with MSI-X there is none. */
static void update_line(vsr_virtio *v)
{
    virtio_pci *p = pci_of(v);

    vsr_pci_set_intx(&p->function,
                     v->isr != 0 && !vsr_msix_is_enabled(&p->msix));
}

static void pci_signal_queue(vsr_virtio *v, vsr_virtio_queue *q)
{
    if (vsr_msix_is_enabled(&pci_of(v)->msix)) {
        vsr_msix_notify(&pci_of(v)->msix, q->vector);
        return;
    }
    v->isr |= ISR_QUEUE;
    update_line(v);
}

/* 4.1.4.5.1: unlike a queue's, its bit is set with MSI-X too. */
static void pci_signal_config(vsr_virtio *v)
{
    v->isr |= ISR_CONFIG;
    update_line(v);
    vsr_msix_notify(&pci_of(v)->msix, pci_of(v)->config_vector);
}

/* --- the common structure ------------------------------------------------------ */

static uint64_t queue_read(const vsr_virtio_queue *q, uint64_t offset)
{
    switch (offset) {
    case QUEUE_SIZE:
        return q->layout.size;
    case QUEUE_MSIX_VECTOR:
        return q->vector;
    case QUEUE_ENABLE:
        return q->enabled;
    case QUEUE_NOTIFY_OFF:
        return q->index;
    case QUEUE_DESC:
        return (uint32_t)q->layout.desc;
    case QUEUE_DESC + 4:
        return q->layout.desc >> 32;
    case QUEUE_DRIVER:
        return (uint32_t)q->layout.avail;
    case QUEUE_DRIVER + 4:
        return q->layout.avail >> 32;
    case QUEUE_DEVICE:
        return (uint32_t)q->layout.used;
    case QUEUE_DEVICE + 4:
        return q->layout.used >> 32;
    default:
        return 0;
    }
}

static uint64_t common_read(vsr_virtio *v, uint64_t offset)
{
    vsr_virtio_queue *q;

    switch (offset) {
    case DEVICE_FEATURE_SELECT:
        return v->device_select;
    case DEVICE_FEATURE:
        return vsr_virtio_offered(v, v->device_select);
    case DRIVER_FEATURE_SELECT:
        return v->driver_select;
    case DRIVER_FEATURE:
        return v->driver_select < 2
                   ? (uint32_t)(v->accepted >> 32 * v->driver_select)
                   : 0;
    case CONFIG_MSIX_VECTOR:
        return pci_of(v)->config_vector;
    case NUM_QUEUES:
        return v->n_queues;
    case DEVICE_STATUS:
        return v->status;
    case CONFIG_GENERATION:
        return v->generation;
    case QUEUE_SELECT:
        return v->queue_select;
    default:
        return vsr_virtio_find_queue(v, &q) ? queue_read(q, offset) : 0;
    }
}

static uint16_t checked_vector(const virtio_pci *p, uint64_t value)
{
    return value < p->msix.n ? (uint16_t)value : VSR_VIRTIO_NO_VECTOR;
}

static void set_low(uint64_t *to, uint64_t value)
{
    *to = (*to & ~UINT64_C(0xffffffff)) | (uint32_t)value;
}

static void set_high(uint64_t *to, uint64_t value)
{
    *to = (*to & UINT64_C(0xffffffff)) | value << 32;
}

static void queue_write(vsr_virtio *v, vsr_virtio_queue *q, uint64_t offset,
                        uint64_t value)
{
    if (offset == QUEUE_MSIX_VECTOR) {
        q->vector = checked_vector(pci_of(v), value);
        return;
    }
    if (q->enabled)
        return;
    switch (offset) {
    case QUEUE_SIZE:
        q->layout.size = (uint16_t)value;
        break;
    case QUEUE_ENABLE:
        if (value == 1)
            vsr_virtio_enable_queue(v, q);
        break;
    case QUEUE_DESC:
        set_low(&q->layout.desc, value);
        break;
    case QUEUE_DESC + 4:
        set_high(&q->layout.desc, value);
        break;
    case QUEUE_DRIVER:
        set_low(&q->layout.avail, value);
        break;
    case QUEUE_DRIVER + 4:
        set_high(&q->layout.avail, value);
        break;
    case QUEUE_DEVICE:
        set_low(&q->layout.used, value);
        break;
    case QUEUE_DEVICE + 4:
        set_high(&q->layout.used, value);
        break;
    default:
        break;
    }
}

static void set_status(vsr_virtio *v, uint8_t status)
{
    virtio_pci *p = pci_of(v);

    vsr_virtio_set_status(v, status);
    if (status == 0) {
        p->config_vector = VSR_VIRTIO_NO_VECTOR;
        update_line(v);
    }
}

static void common_write(vsr_virtio *v, uint64_t offset, uint64_t value)
{
    vsr_virtio_queue *q;

    if (v->stopping)
        return;
    switch (offset) {
    case DEVICE_FEATURE_SELECT:
        v->device_select = (uint32_t)value;
        break;
    case DRIVER_FEATURE_SELECT:
        v->driver_select = (uint32_t)value;
        break;
    case DRIVER_FEATURE:
        vsr_virtio_accept(v, v->driver_select, (uint32_t)value);
        break;
    case CONFIG_MSIX_VECTOR:
        pci_of(v)->config_vector = checked_vector(pci_of(v), value);
        break;
    case DEVICE_STATUS:
        set_status(v, (uint8_t)value);
        break;
    case QUEUE_SELECT:
        v->queue_select = (uint16_t)value;
        break;
    default:
        if (vsr_virtio_find_queue(v, &q))
            queue_write(v, q, offset, value);
        break;
    }
}

/* --- BAR 0 ----------------------------------------------------------------------- */

static uint64_t isr_read(vsr_virtio *v)
{
    uint64_t isr = v->isr;

    v->isr = 0;
    update_line(v);
    return isr;
}

static uint64_t bar_read(void *opaque, uint64_t offset, uint32_t size)
{
    vsr_virtio *v = opaque;
    uint64_t at = offset % PART_LEN;

    switch (offset - at) {
    case COMMON:
        /* 64-bit fields are read in two halves, or at once. */
        return size == 8 ? common_read(v, at) | common_read(v, at + 4) << 32
                         : common_read(v, at);
    case ISR:
        return at == 0 ? isr_read(v) : 0;
    case CONFIG:
        return vsr_virtio_config_read(v, at, size);
    default:
        return 0;
    }
}

static void bar_write(void *opaque, uint64_t offset, uint32_t size,
                      uint64_t value)
{
    vsr_virtio *v = opaque;
    uint64_t at = offset % PART_LEN;

    switch (offset - at) {
    case COMMON:
        common_write(v, at, size == 8 ? (uint32_t)value : value);
        if (size == 8)
            common_write(v, at + 4, value >> 32);
        break;
    case CONFIG:
        vsr_virtio_config_write(v, at, size, value);
        break;
    case NOTIFY:
        /* Where no doorbell took it. */
        if (at / NOTIFY_STEP < v->n_queues)
            vsr_virtio_kick(v, (uint32_t)(at / NOTIFY_STEP));
        break;
    default:
        break;
    }
}

static const vsr_region_ops bar_ops = {
    .read = bar_read,
    .write = bar_write,
    .min_size = 1,
    .max_size = 8,
};

/* The bridge's lock held, the device's not. */
static void bar_moved(vsr_pci_function *f, uint32_t bar, bool mapped,
                      uint64_t addr)
{
    vsr_virtio *v = (vsr_virtio *)f->device;
    vsr_bus *bus = v->device.machine->bus;

    if (bar != BAR_VIRTIO)
        return;
    for (uint32_t i = 0; i < v->n_queues; i++) {
        uint64_t at = addr + NOTIFY + (uint64_t)NOTIFY_STEP * i;

        /* A shortcut for what drivers write, 4.1.5.2: without it, and for
         * whatever else, the write comes to us. With a value, the engine can
         * match it. */
        if (mapped)
            (void)vsr_bus_doorbell_add(bus, VSR_SPACE_MMIO, at, 2, true, i,
                                       v->queue[i].kick_fd);
        else
            (void)vsr_bus_doorbell_remove(bus, VSR_SPACE_MMIO, at, 2, true, i);
    }
}

/* --- configuration space --------------------------------------------------------- */

static uint32_t get32(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return value;
}

/* 4.1.4.9: what the access capability points at; false: nowhere. */
static bool access_target(const virtio_pci *p, uint64_t *offset, uint32_t *len)
{
    const uint8_t *at = p->function.config + p->access;

    *offset = get32(at + CAP_OFFSET);
    *len = get32(at + CAP_LENGTH);
    return at[CAP_BAR] == BAR_VIRTIO && (*len == 1 || *len == 2 || *len == 4) &&
           *offset % *len == 0 && *offset < BAR_LEN;
}

static void pci_reading(vsr_pci_function *f, uint32_t offset, uint32_t len)
{
    virtio_pci *p = pci_of((vsr_virtio *)f->device);
    uint32_t data = p->access + (uint32_t)CAP_DATA, size;
    uint64_t target, value;

    if (offset + len <= data || offset >= data + 4 ||
        !access_target(p, &target, &size))
        return;
    value = bar_read(p->virtio, target, size);
    memcpy(f->config + data, &value, size);
}

static void pci_written(vsr_pci_function *f, uint32_t offset, uint32_t len)
{
    virtio_pci *p = pci_of((vsr_virtio *)f->device);
    uint32_t data = p->access + (uint32_t)CAP_DATA, size;
    uint64_t target;

    vsr_msix_written(&p->msix, offset, len);
    update_line(p->virtio);
    vsr_virtio_set_dma(p->virtio, vsr_pci_is_master(f));
    if (offset + len <= data || offset >= data + 4 ||
        !access_target(p, &target, &size))
        return;
    bar_write(p->virtio, target, size,
              get32(f->config + data) &
                  (size == 4 ? UINT32_MAX : (UINT32_C(1) << 8 * size) - 1));
}

static uint8_t add_structure(virtio_pci *p, uint8_t type, uint32_t offset,
                             uint8_t len)
{
    const uint32_t part_len = PART_LEN;
    uint8_t at = vsr_pci_add_capability(&p->function, 0x09, len);
    uint8_t *cap = p->function.config + at;

    if (at == 0)
        return 0;
    cap[2] = len;
    cap[3] = type;
    cap[CAP_BAR] = BAR_VIRTIO;
    memcpy(cap + CAP_OFFSET, &offset, sizeof(offset));
    memcpy(cap + CAP_LENGTH, &part_len, sizeof(part_len));
    return at;
}

static bool add_structures(virtio_pci *p, GError **error)
{
    const uint32_t step = NOTIFY_STEP;
    uint8_t *writable, notify;

    notify = add_structure(p, CAP_NOTIFY, NOTIFY, CAP_LEN + 4);
    p->access = add_structure(p, CAP_PCI, 0, CAP_LEN + 4);
    if (add_structure(p, CAP_COMMON, COMMON, CAP_LEN) == 0 ||
        add_structure(p, CAP_ISR, ISR, CAP_LEN) == 0 ||
        add_structure(p, CAP_DEVICE, CONFIG, CAP_LEN) == 0 || notify == 0 ||
        p->access == 0)
        return vsr_fail(error, VISOR_ERR_INTERNAL,
                        "Device '%s': no room for its capabilities",
                        p->virtio->device.id);
    memcpy(p->function.config + notify + CAP_LEN, &step, sizeof(step));
    memset(p->function.config + p->access + CAP_LENGTH, 0, 4);
    writable = p->function.writable + p->access;
    writable[CAP_BAR] = 0xff;
    memset(writable + CAP_OFFSET, 0xff, 12); /* offset, length, data */
    vsr_pci_function_seal(&p->function);
    return true;
}

/* --- life --------------------------------------------------------------------- */

static void pci_fini(vsr_virtio *v)
{
    vsr_pci_function_fini(&pci_of(v)->function);
}

static bool pci_init(vsr_virtio *v, const vsr_virtio_params *params,
                     GError **error)
{
    const vsr_pci_ids ids = {
        .vendor = VENDOR,
        .device = (uint16_t)(DEVICE + v->ops->id),
        .subsystem_vendor = VENDOR,
        .subsystem = DEVICE,
        .class_code = v->ops->class_code,
        .revision = 1, /* no legacy interface */
        .pin = 1,
    };
    const vsr_pci_bar bar = {
        .len = BAR_LEN,
        .is_64 = false,
        .ops = &bar_ops,
        .opaque = v,
        .lock = &v->device.lock,
    };
    virtio_pci *p = g_new0(virtio_pci, 1);

    v->transport_state = p;
    p->virtio = v;
    v->no_dma = true; /* until the driver makes us a bus master */
    p->config_vector = VSR_VIRTIO_NO_VECTOR;
    if (!vsr_pci_function_init(&p->function, &v->device, params->host,
                               params->devfn, &ids, error)) {
        g_clear_pointer(&v->transport_state, g_free);
        return false;
    }
    p->function.moved = bar_moved;
    p->function.reading = pci_reading;
    p->function.written = pci_written;
    if (vsr_pci_add_bar(&p->function, BAR_VIRTIO, &bar, error) &&
        vsr_msix_init(&p->msix, &p->function, BAR_MSIX, v->n_queues + 1,
                      error) &&
        add_structures(p, error))
        return true;
    pci_fini(v);
    g_clear_pointer(&v->transport_state, g_free);
    return false;
}

static void pci_reset(vsr_virtio *v)
{
    virtio_pci *p = pci_of(v);

    vsr_pci_function_reset(&p->function);
    vsr_msix_reset(&p->msix);
    p->config_vector = VSR_VIRTIO_NO_VECTOR;
    v->no_dma = true;
}

const vsr_virtio_transport vsr_virtio_pci_transport = {
    .init = pci_init,
    .fini = pci_fini,
    .reset = pci_reset,
    .signal_queue = pci_signal_queue,
    .signal_config = pci_signal_config,
};
