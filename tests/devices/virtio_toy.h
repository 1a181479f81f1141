/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio_toy.h: a virtio device that gives each chain back, for tests of what all
 * have in common.
 */
#ifndef VSR_TESTS_DEVICES_VIRTIO_TOY_H
#define VSR_TESTS_DEVICES_VIRTIO_TOY_H

#include "base/util.h"
#include "tests/devices/virtio_driver.h"

enum { QUEUES = 2, QUEUE_SIZE = 64, CONFIG_LEN = 12 };

#define F_TOY (UINT64_C(1) << 3)

typedef struct {
    vsr_virtio base;
    gint kicks, starts, stops, writes; /* atomic */
    vsr_virtq_chain chain;
} toy;

static void toy_kicked(vsr_virtio *v, uint32_t index)
{
    toy *t = (toy *)(void *)v;

    g_atomic_int_inc(&t->kicks);
    while (vsr_virtio_pop(v, index, &t->chain))
        vsr_virtq_push(vsr_virtio_ring(v, index), &t->chain, 0);
    vsr_virtio_signal(v, index);
    vsr_virtio_want_kicks(v, index);
}

static void toy_start(vsr_virtio *v)
{
    g_atomic_int_inc(&((toy *)(void *)v)->starts);
}

static void toy_stop(vsr_virtio *v)
{
    g_atomic_int_inc(&((toy *)(void *)v)->stops);
}

static void toy_written(vsr_virtio *v, uint32_t offset, uint32_t len)
{
    g_atomic_int_inc(&((toy *)(void *)v)->writes);
}

static const vsr_virtio_ops toy_ops = {
    .id = VSR_VIRTIO_ID_RNG,
    .class_code = 0xff0000,
    .start = toy_start,
    .stop = toy_stop,
    .kicked = toy_kicked,
    .config_written = toy_written,
};

static bool toy_init(vsr_device *device, const void *params, GError **error)
{
    static const uint16_t sizes[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE / 2 };
    toy *t = (toy *)(void *)device;

    for (unsigned i = 0; i < CONFIG_LEN; i++)
        t->base.config[i] = (uint8_t)(0x10 + i);
    t->base.config_writable[5] = 0x0f;
    return vsr_virtio_init(&t->base, params, &toy_ops, F_TOY, QUEUES, sizes,
                           CONFIG_LEN, error);
}

static void toy_fini(vsr_device *device)
{
    vsr_virtio_fini((vsr_virtio *)(void *)device);
}

static void toy_reset(vsr_device *device)
{
    vsr_virtio_reset((vsr_virtio *)(void *)device);
}

static const vsr_device_class toy_class = {
    .name = "toy",
    .instance_size = sizeof(toy),
    .init = toy_init,
    .fini = toy_fini,
    .reset = toy_reset,
};

static inline toy *toy_of(driver *d)
{
    return (toy *)(void *)d->device;
}

static inline driver *attach(driver_transport transport, bool intx)
{
    driver *d = driver_new(transport);
    const vsr_virtio_params params = driver_params(d);

    d->intx = intx;
    driver_attach(d, &toy_class, &params);
    return d;
}

static inline int setup_pci(void **state)
{
    *state = attach(DRIVER_PCI, false);
    return 0;
}

static inline int setup_intx(void **state)
{
    *state = attach(DRIVER_PCI, true);
    return 0;
}

static inline int setup_mmio(void **state)
{
    *state = attach(DRIVER_MMIO, true);
    return 0;
}

static inline int teardown(void **state)
{
    driver_free(*state);
    return 0;
}

static inline void put(driver *d, uint32_t queue)
{
    driver_buffer b = { driver_alloc(d, 16, 1), 16, false };

    driver_add(d, queue, &b, 1);
}

static inline bool echoes(driver *d, uint32_t queue)
{
    put(d, queue);
    driver_kick(d, queue);
    return driver_wait(d, queue, NULL, NULL);
}

static inline uint64_t rd(driver *d, uint64_t at, uint32_t size)
{
    return fake_mmio_read(d->machine, 0, at, size);
}

static inline void wr(driver *d, uint64_t at, uint32_t size, uint64_t value)
{
    fake_mmio_write(d->machine, 0, at, size, value);
}

#endif
