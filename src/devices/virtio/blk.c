/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blk.c: virtio block device: features, configuration, life. Its requests are in
 * blk_request.c.
 *
 * Spec:    VIRTIO 1.2, 5.2.3 "Feature bits", 5.2.4 "Device configuration
 *          layout", 5.2.5 "Device Initialization".
 * Threads: as virtio.h says.
 */
#include "devices/virtio/blk.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "devices/virtio/blk_parts.h"

enum {
    QUEUE_SIZE = 256,

    /* 5.2.4 */
    CONFIG_CAPACITY = 0,
    CONFIG_SIZE_MAX = 8,
    CONFIG_SEG_MAX = 12,
    CONFIG_CYLINDERS = 16,
    CONFIG_HEADS = 18,
    CONFIG_SECTORS = 19,
    CONFIG_BLK_SIZE = 20,
    CONFIG_PHYSICAL_EXP = 24,
    CONFIG_MIN_IO = 26,
    CONFIG_WRITEBACK = 32,
    CONFIG_NUM_QUEUES = 34,
    CONFIG_DISCARD_SECTORS = 36,
    CONFIG_DISCARD_SEG = 40,
    CONFIG_DISCARD_ALIGNMENT = 44,
    CONFIG_ZEROES_SECTORS = 48,
    CONFIG_ZEROES_SEG = 52,
    CONFIG_ZEROES_UNMAP = 56,
    CONFIG_LEN = 60,
};

static void put(virtio_blk *blk, uint32_t offset, uint64_t value, uint32_t size)
{
    memcpy(blk->base.config + offset, &value, size);
}

/* --- configuration -------------------------------------------------------------- */

static bool is_block_size(uint32_t bytes)
{
    return bytes >= VBLK_SECTOR && (bytes & (bytes - 1)) == 0;
}

static void put_topology(virtio_blk *blk, uint32_t logical, uint32_t physical)
{
    uint8_t exp = 0;

    while (exp < 15 && (uint64_t)logical << (exp + 1) <= physical)
        exp++;
    put(blk, CONFIG_BLK_SIZE, logical, 4);
    put(blk, CONFIG_PHYSICAL_EXP, exp, 1);
    put(blk, CONFIG_MIN_IO, UINT64_C(1) << exp, 2);
}

static void put_capacity(virtio_blk *blk)
{
    put(blk, CONFIG_CAPACITY, vsr_block_bytes(blk->block) / VBLK_SECTOR, 8);
}

static void fill_config(virtio_blk *blk, const vsr_virtio_blk_params *p,
                        uint16_t queue_size, uint16_t n_queues)
{
    uint32_t granularity = vsr_block_granularity(blk->block);
    uint32_t logical = p->logical_block ? p->logical_block : VBLK_SECTOR;
    uint32_t physical = p->physical_block ? p->physical_block : granularity;

    put_capacity(blk);
    put(blk, CONFIG_SIZE_MAX, VBLK_BUFFER_MAX, 4);
    /* With a buffer each for header and status. */
    put(blk, CONFIG_SEG_MAX, MAX(MIN(queue_size, VSR_VIRTQ_SEGMENTS), 3) - 2u,
        4);
    put(blk, CONFIG_CYLINDERS, p->cylinders, 2);
    put(blk, CONFIG_HEADS, p->heads, 1);
    put(blk, CONFIG_SECTORS, p->sectors, 1);
    put_topology(blk, logical, physical);
    put(blk, CONFIG_NUM_QUEUES, n_queues, 2);
    put(blk, CONFIG_DISCARD_SECTORS, VBLK_RANGE_MAX, 4);
    put(blk, CONFIG_DISCARD_SEG, VBLK_SEGMENTS_MAX, 4);
    put(blk, CONFIG_DISCARD_ALIGNMENT, MAX(granularity, logical) / VBLK_SECTOR,
        4);
    put(blk, CONFIG_ZEROES_SECTORS, VBLK_RANGE_MAX, 4);
    put(blk, CONFIG_ZEROES_SEG, VBLK_SEGMENTS_MAX, 4);
    put(blk, CONFIG_ZEROES_UNMAP, 1, 1);
    blk->initial_writeback = !p->writethrough;
    put(blk, CONFIG_WRITEBACK, blk->initial_writeback, 1);
    blk->base.config_writable[CONFIG_WRITEBACK] = 1;
}

static uint64_t features_of(const virtio_blk *blk,
                            const vsr_virtio_blk_params *p)
{
    uint64_t features = VBLK_F_SIZE_MAX | VBLK_F_SEG_MAX | VBLK_F_BLK_SIZE |
                        VBLK_F_FLUSH | VBLK_F_TOPOLOGY | VBLK_F_CONFIG_WCE |
                        VBLK_F_MQ;

    if (p->cylinders != 0)
        features |= VBLK_F_GEOMETRY;
    if (vsr_block_is_readonly(blk->block))
        return features | VBLK_F_RO;
    return features | VBLK_F_DISCARD | VBLK_F_WRITE_ZEROES;
}

/* 5.2.5.2: the mode is the driver's byte if it asked for that, else writeback if
 * it knows how to flush. */
static void update_writeback(virtio_blk *blk)
{
    if (vsr_virtio_has(&blk->base, VBLK_F_CONFIG_WCE))
        blk->writeback = blk->base.config[CONFIG_WRITEBACK] != 0;
    else
        blk->writeback =
            vsr_virtio_has(&blk->base, VBLK_F_FLUSH) && blk->initial_writeback;
}

static void vblk_config_written(vsr_virtio *v, uint32_t offset, uint32_t len)
{
    update_writeback(vblk_of(v));
}

static void vblk_start(vsr_virtio *v)
{
    update_writeback(vblk_of(v));
}

static void vblk_stop(vsr_virtio *v)
{
    virtio_blk *blk = vblk_of(v);

    vblk_drain(blk);
    vblk_forget_kept(blk, -1);
    blk->to_signal = 0;
    blk->halted = false;
    put(blk, CONFIG_WRITEBACK, blk->initial_writeback, 1);
}

/* Nothing at the block, and nothing new comes to it. Lock held. */
static void hold(virtio_blk *blk)
{
    blk->holds++;
    vblk_drain(blk);
}

static void go_on(virtio_blk *blk)
{
    if (--blk->holds > 0)
        return;
    for (uint32_t i = 0; i < blk->base.n_queues; i++)
        vsr_virtio_kick(&blk->base, i);
}

static void vblk_stop_queue(vsr_virtio *v, uint32_t index)
{
    virtio_blk *blk = vblk_of(v);

    hold(blk);
    vblk_forget_kept(blk, (int)index);
    go_on(blk);
}

static const vsr_virtio_ops vblk_ops = {
    .id = VSR_VIRTIO_ID_BLOCK,
    .class_code = 0x010000, /* SCSI storage, as drivers know it */
    .start = vblk_start,
    .stop = vblk_stop,
    .stop_queue = vblk_stop_queue,
    .kicked = vblk_serve,
    .config_written = vblk_config_written,
};

/* --- control ---------------------------------------------------------------------- */

bool vsr_virtio_blk_resize(vsr_device *device, uint64_t bytes, GError **error)
{
    virtio_blk *blk = vblk_of(device);
    bool ok;

    g_mutex_lock(&device->lock);
    hold(blk);
    g_mutex_unlock(&device->lock);
    ok = vsr_block_resize(blk->block, bytes, error);
    g_mutex_lock(&device->lock);
    if (ok) {
        put_capacity(blk);
        vsr_virtio_config_changed(&blk->base);
    }
    go_on(blk);
    g_mutex_unlock(&device->lock);
    return ok;
}

void vsr_virtio_blk_set_policies(vsr_device *device,
                                 vsr_virtio_blk_policy read_error,
                                 vsr_virtio_blk_policy write_error)
{
    virtio_blk *blk = vblk_of(device);

    g_mutex_lock(&device->lock);
    blk->read_error = read_error;
    blk->write_error = write_error;
    g_mutex_unlock(&device->lock);
}

void vsr_virtio_blk_get_stats(vsr_device *device, vsr_virtio_blk_stats *out)
{
    const virtio_blk *blk = vblk_of(device);

    g_mutex_lock(&device->lock);
    *out = (vsr_virtio_blk_stats){ .in_flight = blk->in_flight,
                                   .kept = blk->n_kept,
                                   .refused = blk->refused };
    g_mutex_unlock(&device->lock);
}

/* --- life ------------------------------------------------------------------------ */

static bool check(const vsr_device *device, const vsr_virtio_blk_params *p,
                  uint16_t queue_size, uint16_t n_queues, GError **error)
{
    if (n_queues > VSR_VIRTIO_BLK_QUEUES_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Disk '%s': %u queues, %d are the most", device->id,
                        n_queues, VSR_VIRTIO_BLK_QUEUES_MAX);
    if (queue_size > VSR_VIRTQ_SIZE_MAX || (queue_size & (queue_size - 1)) != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Disk '%s': a queue's size is a power of two up to %d, "
                        "not %u",
                        device->id, VSR_VIRTQ_SIZE_MAX, queue_size);
    if ((p->logical_block && !is_block_size(p->logical_block)) ||
        (p->physical_block && !is_block_size(p->physical_block)))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Disk '%s': block sizes are powers of two from %d, not "
                        "%u and %u",
                        device->id, VBLK_SECTOR, p->logical_block,
                        p->physical_block);
    return true;
}

static bool vblk_init(vsr_device *device, const void *params, GError **error)
{
    const vsr_virtio_blk_params *p = params;
    virtio_blk *blk = vblk_of(device);
    uint16_t n_queues = p->n_queues ? p->n_queues : 1;
    uint16_t queue_size = p->queue_size ? p->queue_size : QUEUE_SIZE;
    uint16_t sizes[VSR_VIRTIO_BLK_QUEUES_MAX];

    if (!check(device, p, queue_size, n_queues, error))
        return false;
    for (uint32_t i = 0; i < n_queues; i++)
        sizes[i] = queue_size;
    blk->block = p->block;
    blk->read_error = p->read_error;
    blk->write_error = p->write_error;
    blk->failed = p->failed;
    blk->opaque = p->opaque;
    blk->kept_end = &blk->kept;
    blk->submit_end = &blk->submit;
    if (p->serial != NULL)
        memcpy(blk->serial, p->serial, strnlen(p->serial, sizeof(blk->serial)));
    g_cond_init(&blk->idle);
    fill_config(blk, p, queue_size, n_queues);
    if (vsr_virtio_init(&blk->base, &p->virtio, &vblk_ops, features_of(blk, p),
                        n_queues, sizes, CONFIG_LEN, error))
        return true;
    g_cond_clear(&blk->idle);
    return false;
}

static void nothing(void *opaque)
{
}

static void vblk_fini(vsr_device *device)
{
    virtio_blk *blk = vblk_of(device);

    vsr_virtio_fini(&blk->base);
    /* What was posted there names us. */
    vsr_loop_sync(blk->base.loop, nothing, NULL);
    vblk_free_requests(blk);
    g_cond_clear(&blk->idle);
}

static void vblk_reset(vsr_device *device)
{
    vsr_virtio_reset(&vblk_of(device)->base);
}

static void vblk_quiesce(vsr_device *device)
{
    virtio_blk *blk = vblk_of(device);

    vsr_virtio_quiesce(device);
    g_mutex_lock(&device->lock);
    vblk_drain(blk);
    g_mutex_unlock(&device->lock);
}

static void vblk_unquiesce(vsr_device *device)
{
    virtio_blk *blk = vblk_of(device);

    g_mutex_lock(&device->lock);
    blk->halted = false;
    g_mutex_unlock(&device->lock);
    vsr_virtio_unquiesce(device);
}

const vsr_device_class vsr_virtio_blk_class = {
    .name = "virtio-blk",
    .instance_size = sizeof(virtio_blk),
    .init = vblk_init,
    .fini = vblk_fini,
    .reset = vblk_reset,
    .quiesce = vblk_quiesce,
    .unquiesce = vblk_unquiesce,
};
