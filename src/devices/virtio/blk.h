/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blk.h: virtio block device: a disk of the guest over a vsr_block.
 *
 * Spec:    VIRTIO 1.2, 5.2 "Block Device".
 * Threads: see devices/virtio/virtio.h; the rest says its own.
 */
#ifndef VSR_DEVICES_VIRTIO_BLK_H
#define VSR_DEVICES_VIRTIO_BLK_H

#include "block/block.h"
#include "devices/virtio/virtio.h"

/* What becomes of a request that the host failed. */
typedef enum {
    VSR_VIRTIO_BLK_REPORT, /* the guest is told */
    VSR_VIRTIO_BLK_STOP,   /* it is kept, and tried again at unquiesce */
    VSR_VIRTIO_BLK_IGNORE, /* the guest is told that all is well */
    VSR_VIRTIO_BLK_ENOSPC, /* STOP if the host's disk is full, else REPORT */
} vsr_virtio_blk_policy;

enum {
    VSR_VIRTIO_BLK_QUEUES_MAX = 64,
    VSR_VIRTIO_BLK_SERIAL_LEN = 20, /* bytes, without a NUL */
};

typedef struct {
    vsr_virtio_params virtio; /* its loop is the block's */
    vsr_block *block;         /* borrowed, outlives the device */
    const char *serial;       /* cut at 20 bytes; NULL: none */
    uint16_t n_queues;        /* 0: one */
    uint16_t queue_size;      /* a power of two; 0: 256 */
    uint32_t logical_block;   /* bytes, a power of two from 512; 0: 512 */
    uint32_t physical_block;  /* likewise; 0: the block's granularity */
    uint16_t cylinders;       /* 0: the guest is shown no geometry */
    uint8_t heads, sectors;
    bool writethrough; /* at first; the driver may change it */
    vsr_virtio_blk_policy read_error, write_error;
    /* The host failed a request with -`error`; `action` is REPORT, STOP or
     * IGNORE. After STOP the device takes no request until it is quiesced and
     * unquiesced, and says nothing more until then. On the queues' loop, no lock
     * held. May be NULL. */
    void (*failed)(void *opaque, vsr_device *device,
                   vsr_virtio_blk_policy action, int error);
    void *opaque;
} vsr_virtio_blk_params;

extern const vsr_device_class vsr_virtio_blk_class;

/* Control thread, also while the guest runs: the disk gets another size, and the
 * guest is told. Waits for what is in flight. Errors as vsr_block_resize(). */
bool vsr_virtio_blk_resize(vsr_device *device, uint64_t bytes, GError **error);

/* Control thread: what becomes of requests that fail from now on. */
void vsr_virtio_blk_set_policies(vsr_device *device,
                                 vsr_virtio_blk_policy read_error,
                                 vsr_virtio_blk_policy write_error);

typedef struct {
    uint32_t in_flight; /* requests now at the block */
    uint32_t kept;      /* that wait for unquiesce */
    uint64_t refused;   /* that the device itself failed: beyond the disk's end,
                           of a wrong length, unknown */
} vsr_virtio_blk_stats;
/* Any thread. What was read and written is the block's to say. */
void vsr_virtio_blk_get_stats(vsr_device *device, vsr_virtio_blk_stats *out);

#endif
