/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* blk_fixture.h: a virtio disk over a fake_block, and requests to it. */
#ifndef VSR_TESTS_DEVICES_BLK_FIXTURE_H
#define VSR_TESTS_DEVICES_BLK_FIXTURE_H

#include <errno.h>
#include <string.h>

#include "devices/virtio/blk.h"
#include "tests/devices/fake_block.h"
#include "tests/devices/virtio_driver.h"

enum {
    SECTORS = 2048,
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,
    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,
    S_NONE = 0xaa, /* not written yet */
};

#define F_RO         (UINT64_C(1) << 5)
#define F_FLUSH      (UINT64_C(1) << 9)
#define F_CONFIG_WCE (UINT64_C(1) << 11)
#define F_DISCARD    (UINT64_C(1) << 13)

typedef struct {
    driver *d;
    vsr_block *block;
    uint64_t header, status, data; /* one of each, for one request at a time */
    gint n_failed;                 /* atomic */
    vsr_virtio_blk_policy action;
    int error;
} disk;

typedef struct {
    uint64_t sector;
    uint32_t sectors, flags;
} range;

static inline void on_failed(void *opaque, vsr_device *device,
                             vsr_virtio_blk_policy action, int error)
{
    disk *k = opaque;

    assert_ptr_equal(device, &k->d->device->device);
    assert_true(g_mutex_trylock(&device->lock)); /* no lock is held */
    g_mutex_unlock(&device->lock);
    k->action = action;
    k->error = error;
    g_atomic_int_inc(&k->n_failed);
}

static inline disk *open_disk(driver_transport transport,
                              vsr_virtio_blk_params p, bool readonly,
                              uint64_t features)
{
    disk *k = g_new0(disk, 1);
    driver *d = driver_new(transport);

    k->d = d;
    k->block = fake_block_new(d->machine->loop, SECTORS * 512, readonly);
    p.virtio = driver_params(d);
    p.block = k->block;
    p.failed = on_failed;
    p.opaque = k;
    driver_attach(d, &vsr_virtio_blk_class, &p);
    driver_start(d, features, MAX(p.n_queues, 1));
    k->header = driver_alloc(d, 16, 16);
    k->status = driver_alloc(d, 1, 1);
    k->data = driver_alloc(d, 64 << 10, 512);
    return k;
}

static inline disk *open_plain(void)
{
    return open_disk(DRIVER_PCI, (vsr_virtio_blk_params){ 0 }, false,
                     UINT64_MAX);
}

static inline void close_disk(disk *k)
{
    driver_free(k->d);
    fake_block_free(k->block);
    g_free(k);
}

static inline void put_header(disk *k, uint32_t type, uint64_t sector)
{
    uint32_t *words = driver_ram(k->d, k->header, 16);

    words[0] = type;
    words[1] = 0;
    memcpy(words + 2, &sector, 8);
    *(uint8_t *)driver_ram(k->d, k->status, 1) = S_NONE;
}

static inline uint8_t status_of(disk *k)
{
    return *(uint8_t *)driver_ram(k->d, k->status, 1);
}

/* Without waiting. */
static inline void start(disk *k, uint32_t queue, uint32_t type,
                         uint64_t sector, uint32_t len)
{
    bool is_in = type == T_IN || type == T_GET_ID;
    const driver_buffer b[] = { { k->header, 16, false },
                                { k->data, len, is_in },
                                { k->status, 1, true } };
    const driver_buffer bare[] = { b[0], b[2] };

    put_header(k, type, sector);
    if (len > 0)
        driver_add(k->d, queue, b, 3);
    else
        driver_add(k->d, queue, bare, 2);
    driver_kick(k->d, queue);
}

static inline uint8_t request(disk *k, uint32_t type, uint64_t sector,
                              uint32_t len, uint32_t *written)
{
    start(k, 0, type, sector, len);
    assert_true(driver_wait(k->d, 0, NULL, written));
    return status_of(k);
}

static inline uint8_t *data(disk *k)
{
    return driver_ram(k->d, k->data, 64 << 10);
}

#endif
