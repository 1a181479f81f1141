/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blk_parts.h: what blk.c (the device) and blk_request.c (its requests) share.
 *
 * Spec:    VIRTIO 1.2, 5.2.
 * Threads: the device's lock is held in everything here.
 */
#ifndef VSR_DEVICES_VIRTIO_BLK_PARTS_H
#define VSR_DEVICES_VIRTIO_BLK_PARTS_H

#include "devices/virtio/blk.h"

enum {
    VBLK_SECTOR = 512,         /* bytes, whatever the block size */
    VBLK_SEGMENTS_MAX = 16,    /* of one DISCARD or WRITE_ZEROES */
    VBLK_RANGE_MAX = 1 << 22,  /* sectors of such a segment: 2 GiB */
    VBLK_BUFFER_MAX = 1 << 20, /* size_max */
    VBLK_DATA_MAX = 1 << 30,   /* bytes of one request */
};

/* 5.2.3 "Feature bits" */
#define VBLK_F_SIZE_MAX     (UINT64_C(1) << 1)
#define VBLK_F_SEG_MAX      (UINT64_C(1) << 2)
#define VBLK_F_GEOMETRY     (UINT64_C(1) << 4)
#define VBLK_F_RO           (UINT64_C(1) << 5)
#define VBLK_F_BLK_SIZE     (UINT64_C(1) << 6)
#define VBLK_F_FLUSH        (UINT64_C(1) << 9)
#define VBLK_F_TOPOLOGY     (UINT64_C(1) << 10)
#define VBLK_F_CONFIG_WCE   (UINT64_C(1) << 11)
#define VBLK_F_MQ           (UINT64_C(1) << 12)
#define VBLK_F_DISCARD      (UINT64_C(1) << 13)
#define VBLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

/* 5.2.6 "Device Operation" */
typedef struct {
    uint64_t sector;
    uint32_t sectors, flags;
} vblk_range;

typedef struct virtio_blk virtio_blk;
typedef struct vblk_request vblk_request;

struct vblk_request {
    vsr_block_request io;
    virtio_blk *blk;
    vblk_request *next; /* of those that are free, to be submitted or kept */
    uint32_t queue;
    uint8_t *status; /* the chain's last byte */
    uint64_t status_gpa;
    uint64_t data_len; /* bytes that the device writes, without status */
    uint32_t n_ranges, range_at;
    vblk_range range[VBLK_SEGMENTS_MAX];
    vsr_virtq_chain chain;
};

struct virtio_blk {
    vsr_virtio base;
    vsr_block *block;
    char serial[VSR_VIRTIO_BLK_SERIAL_LEN];
    vsr_virtio_blk_policy read_error, write_error;
    void (*failed)(void *opaque, vsr_device *device,
                   vsr_virtio_blk_policy action, int error);
    void *opaque;
    uint8_t initial_writeback;

    /* The device's lock. */
    GCond idle; /* in_flight has become 0 */
    uint32_t in_flight;
    vblk_request *free;                 /* a stack */
    vblk_request *kept, **kept_end;     /* failed, in order */
    vblk_request *submit, **submit_end; /* for the block, in order */
    uint32_t n_kept;
    bool halted;    /* by STOP: until unquiesce */
    uint32_t holds; /* that many want nothing to be submitted */
    bool writeback; /* as negotiated, or as the driver has set it */
    uint64_t refused;
    uint64_t to_signal; /* queues, a bit each, whose driver is to be told when
                           this turn of the loop is over */
    bool signal_posted;
};

static inline virtio_blk *vblk_of(void *base)
{
    return (virtio_blk *)base; /* base is the first member */
}

/* kicked() of the device. */
void vblk_serve(vsr_virtio *v, uint32_t index);
/* Nothing at the block when it returns; the lock is dropped meanwhile. */
void vblk_drain(virtio_blk *blk);
/* Those kept are forgotten: a reset, of one queue (-1: all). */
void vblk_forget_kept(virtio_blk *blk, int queue);
void vblk_free_requests(virtio_blk *blk);

#endif
