/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem.c: see mem.h.
 *
 * What is not plugged is no memory: the guest reads ones there, whatever it has
 * negotiated, and cannot keep anything in it; the host's pages are gone. All of
 * the region is usable at any time, `requested` alone is the limit.
 *
 * Spec:    VIRTIO 1.2, 5.15 "Memory Device".
 * Threads: requests on the queue's loop, with the device's lock; the calls of
 *          mem.h: control.
 */
#include "devices/virtio/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "devices/virtio/take.h"
#include "machine/machine.h"

#define F_UNPLUGGED_INACCESSIBLE (UINT64_C(1) << 1)

enum {
    QUEUE_SIZE = 128,
    CHAINS_PER_TURN = 64,

    /* 5.15.6 "Device Operation" */
    REQUEST_PLUG = 0,
    REQUEST_UNPLUG = 1,
    REQUEST_UNPLUG_ALL = 2,
    REQUEST_STATE = 3,

    RESPONSE_ACK = 0,
    RESPONSE_NACK = 1,
    RESPONSE_BUSY = 2,
    RESPONSE_ERROR = 3,

    STATE_PLUGGED = 0,
    STATE_UNPLUGGED = 1,
    STATE_MIXED = 2,
};

/* 5.15.4 "Device configuration layout" */
typedef struct {
    uint64_t block_size;
    uint16_t node_id;
    uint8_t padding[6];
    uint64_t addr;
    uint64_t region_size;
    uint64_t usable_region_size;
    uint64_t plugged_size;
    uint64_t requested_size;
} mem_config;

typedef struct {
    uint16_t type;
    uint16_t padding[3];
    uint64_t addr;
    uint16_t blocks;
    uint16_t padding2[3];
} mem_request;

typedef struct {
    uint16_t type;
    uint16_t padding[3];
    uint16_t state;
} mem_response;

enum { RESPONSE_LEN = 10 };
G_STATIC_ASSERT(sizeof(mem_config) == 56);
G_STATIC_ASSERT(sizeof(mem_request) == 24);
G_STATIC_ASSERT(sizeof(mem_response) == RESPONSE_LEN);

typedef struct {
    vsr_virtio base;
    mem_config now; /* as in base.config */
} virtio_mem;

static virtio_mem *to_mem(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, virtio_mem, base.device);
}

static vsr_mem *ram_of(const virtio_mem *m)
{
    return m->base.device.machine->mem;
}

static void show(virtio_mem *m)
{
    memcpy(m->base.config, &m->now, sizeof(m->now));
}

/* --- requests ------------------------------------------------------------------- */

/* 5.15.6.2 "Device Requirements: Device Operation": what else is an error. */
static bool is_range(const virtio_mem *m, uint64_t addr, uint64_t len)
{
    return len > 0 && addr % m->now.block_size == 0 && addr >= m->now.addr &&
           len <= m->now.region_size &&
           addr - m->now.addr <= m->now.region_size - len;
}

static uint16_t plug(virtio_mem *m, uint64_t addr, uint64_t len)
{
    int rc;

    if (len > m->now.requested_size ||
        m->now.plugged_size > m->now.requested_size - len)
        return RESPONSE_NACK;
    rc = vsr_mem_plug(ram_of(m), addr, len);
    if (rc == -EINVAL)
        return RESPONSE_ERROR;
    if (rc < 0)
        return RESPONSE_BUSY;
    m->now.plugged_size += len;
    return RESPONSE_ACK;
}

static uint16_t unplug(virtio_mem *m, uint64_t addr, uint64_t len)
{
    if (vsr_mem_unplug(ram_of(m), addr, len) < 0)
        return RESPONSE_ERROR;
    m->now.plugged_size -= len;
    return RESPONSE_ACK;
}

/* In runs, as far as they reach. */
static void unplug_all(virtio_mem *m)
{
    uint64_t block = m->now.block_size;

    for (uint64_t at = 0; at < m->now.region_size && m->now.plugged_size > 0;
         at += block)
        if (vsr_mem_unplug(ram_of(m), m->now.addr + at, block) == 0)
            m->now.plugged_size -= block;
    show(m);
}

static uint16_t state_of(const virtio_mem *m, uint64_t addr, uint64_t len)
{
    uint64_t there = vsr_mem_plugged(ram_of(m), addr, len);

    return there == 0     ? STATE_UNPLUGGED
           : there == len ? STATE_PLUGGED
                          : STATE_MIXED;
}

static mem_response answer(virtio_mem *m, const mem_request *r)
{
    mem_response response = { .type = RESPONSE_ERROR };
    uint64_t len = r->blocks * m->now.block_size;

    if (r->type == REQUEST_UNPLUG_ALL) {
        unplug_all(m);
        response.type = RESPONSE_ACK;
        return response;
    }
    if (!is_range(m, r->addr, len))
        return response;
    switch (r->type) {
    case REQUEST_PLUG:
        response.type = plug(m, r->addr, len);
        break;
    case REQUEST_UNPLUG:
        response.type = unplug(m, r->addr, len);
        break;
    case REQUEST_STATE:
        response.type = RESPONSE_ACK;
        response.state = state_of(m, r->addr, len);
        break;
    default:
        break;
    }
    show(m);
    return response;
}

static void kicked(vsr_virtio *v, uint32_t index)
{
    virtio_mem *m = to_mem(&v->device);
    vsr_virtq_chain chain;
    uint32_t n = 0;

    while (n < CHAINS_PER_TURN && vsr_virtio_take(v, index, &chain)) {
        mem_request request = { 0 };
        mem_response response;

        if (vsr_virtq_read(&chain, 0, &request, sizeof(request)) !=
                sizeof(request) ||
            chain.in_len < RESPONSE_LEN) {
            vsr_virtio_needs_reset(v, "memory request: buffers too small");
            break;
        }
        response = answer(m, &request);
        (void)vsr_virtq_write(&chain, 0, &response, RESPONSE_LEN);
        vsr_virtio_give(v, index, &chain, RESPONSE_LEN);
        n++;
    }
    if (n > 0)
        vsr_virtio_signal(v, index);
    if (n == CHAINS_PER_TURN)
        vsr_virtio_kick(v, index);
}

/* --- the device -------------------------------------------------------------------- */

static const vsr_virtio_ops mem_ops = {
    .id = VSR_VIRTIO_ID_MEM,
    .class_code = 0x00ff00, /* none that PCI knows */
    .kicked = kicked,
};

static bool check_requested(const char *id, uint64_t bytes, uint64_t size,
                            uint64_t block, GError **error)
{
    if (bytes > size)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': %" PRIu64 " KiB are requested, the size "
                        "is %" PRIu64 " KiB",
                        id, bytes / VSR_KIB, size / VSR_KIB);
    if (bytes % block != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': %" PRIu64 " KiB are requested, no "
                        "multiple of the block of %" PRIu64 " KiB",
                        id, bytes / VSR_KIB, block / VSR_KIB);
    return true;
}

static bool mem_init(vsr_device *device, const void *params, GError **error)
{
    static const uint16_t queue_size = QUEUE_SIZE;
    virtio_mem *m = to_mem(device);
    const vsr_virtio_mem_params *p = params;
    vsr_mem *ram = device->machine->mem;

    if (p->block < VSR_VIRTIO_MEM_BLOCK_MIN ||
        (p->block & (p->block - 1)) != 0 || p->size == 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': a block of %" PRIu64 " KiB is no power "
                        "of two from %" PRIu64 " KiB on",
                        device->id, p->block / VSR_KIB,
                        VSR_VIRTIO_MEM_BLOCK_MIN / VSR_KIB);
    if (!check_requested(device->id, p->requested, p->size, p->block, error) ||
        !vsr_mem_add_spare(ram, device->id, p->addr, p->size, p->block,
                           p->memory, error))
        return false;
    if (!vsr_virtio_init(&m->base, &p->virtio, &mem_ops,
                         F_UNPLUGGED_INACCESSIBLE, 1, &queue_size,
                         sizeof(m->now), error)) {
        vsr_mem_remove_spare(ram, p->addr);
        return false;
    }
    m->now = (mem_config){
        .block_size = p->block,
        .addr = p->addr,
        .region_size = p->size,
        .usable_region_size = p->size,
        .requested_size = p->requested,
    };
    show(m);
    return true;
}

/* A machine that ends takes its memory with it, at once: an engine takes a
 * while for each slot. */
static void mem_fini(vsr_device *device)
{
    vsr_virtio_fini(&to_mem(device)->base);
}

/* The machine's: a driver's reset changes no block. */
static void mem_reset(vsr_device *device)
{
    virtio_mem *m = to_mem(device);

    vsr_virtio_reset(&m->base);
    g_mutex_lock(&device->lock);
    unplug_all(m);
    g_mutex_unlock(&device->lock);
}

const vsr_device_class vsr_virtio_mem_class = {
    .name = "virtio-mem",
    .instance_size = sizeof(virtio_mem),
    .init = mem_init,
    .fini = mem_fini,
    .reset = mem_reset,
    .quiesce = vsr_virtio_quiesce,
    .unquiesce = vsr_virtio_unquiesce,
};

/* --- for the owner ------------------------------------------------------------------ */

bool vsr_virtio_mem_set_requested(vsr_device *device, uint64_t bytes,
                                  GError **error)
{
    virtio_mem *m = to_mem(device);

    if (!check_requested(device->id, bytes, m->now.region_size,
                         m->now.block_size, error))
        return false;
    g_mutex_lock(&device->lock);
    if (m->now.requested_size != bytes) {
        m->now.requested_size = bytes;
        show(m);
        vsr_virtio_config_changed(&m->base);
    }
    g_mutex_unlock(&device->lock);
    return true;
}

void vsr_virtio_mem_get(vsr_device *device, vsr_virtio_mem_info *out)
{
    virtio_mem *m = to_mem(device);

    g_mutex_lock(&device->lock);
    *out = (vsr_virtio_mem_info){ .addr = m->now.addr,
                                  .size = m->now.region_size,
                                  .requested = m->now.requested_size,
                                  .plugged = m->now.plugged_size };
    g_mutex_unlock(&device->lock);
}
