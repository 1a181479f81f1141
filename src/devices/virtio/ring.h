/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.h: one split virtqueue, from the device's side.
 *
 * Everything in it is the guest's and may change under us: each descriptor is
 * copied once and checked after that; a buffer is guest RAM as a whole or the
 * ring is broken, and stays so until it is set up again.
 *
 * Spec:    VIRTIO 1.2, 2.7 "Split Virtqueues", 2.7.10 "Available Buffer
 *          Notification Suppression", 2.7.7 "Used Buffer Notification
 *          Suppression".
 * Threads: one at a time (the device's lock).
 */
#ifndef VSR_DEVICES_VIRTIO_RING_H
#define VSR_DEVICES_VIRTIO_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "machine/mem.h"

enum {
    VSR_VIRTQ_SIZE_MAX = 1024, /* a power of two */
    VSR_VIRTQ_SEGMENTS = 256,  /* buffers in one chain */
};

/* Where the driver has put a queue. */
typedef struct {
    uint16_t size; /* a power of two up to VSR_VIRTQ_SIZE_MAX */
    uint64_t desc, avail, used;
    bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
    bool indirect;  /* VIRTIO_F_INDIRECT_DESC likewise */
} vsr_virtq_layout;

typedef struct {
    vsr_mem *mem;
    vsr_virtq_layout layout;
    const void *desc; /* host addresses of the three parts; borrowed */
    void *avail, *used;
    uint16_t next_avail; /* of the next chain to take */
    uint16_t next_used;
    uint16_t signalled; /* next_used when the driver was last told */
    bool has_signalled;
    bool ready;
    const char *broken; /* why nothing comes of it any more; NULL: fine */
} vsr_virtq;

/* Buffers that the device reads come first, then those that it writes. */
typedef struct {
    uint16_t head;
    uint32_t n_out, n_in; /* of iov: out first */
    uint64_t out_len, in_len;
    struct iovec iov[VSR_VIRTQ_SEGMENTS];
    uint64_t gpa[VSR_VIRTQ_SEGMENTS];
} vsr_virtq_chain;

/* Ready to be used from the beginning. -EINVAL: sizes or alignment, -EFAULT:
 * not in RAM. */
int vsr_virtq_open(vsr_virtq *q, vsr_mem *mem, const vsr_virtq_layout *layout);
void vsr_virtq_close(vsr_virtq *q);

/* 1: *out is the next chain, 0: there is none, -EPROTO: the ring is broken. */
int vsr_virtq_pop(vsr_virtq *q, vsr_virtq_chain *out);
/* Take back the last pop: the next one finds the same chain. */
void vsr_virtq_unpop(vsr_virtq *q);
bool vsr_virtq_is_empty(const vsr_virtq *q);
/* The chain is done; its first `written` device-writable bytes have changed. */
void vsr_virtq_push(vsr_virtq *q, const vsr_virtq_chain *chain,
                    uint32_t written);
/* The device may have written anything of the chain, though it counts none of
 * it in `written`. */
void vsr_virtq_touched(vsr_virtq *q, const vsr_virtq_chain *chain);
/* Several used elements shown to the driver at once: fill any number with
 * stage(0…n-1), then commit(n). For mergeable receive buffers. */
void vsr_virtq_stage(vsr_virtq *q, uint32_t index, const vsr_virtq_chain *chain,
                     uint32_t written);
void vsr_virtq_commit(vsr_virtq *q, uint32_t n);
/* Does the driver want to be told of what was pushed since it last was? */
bool vsr_virtq_wants_signal(vsr_virtq *q);
/* Ask for a kick at the next chain or do without. True: chains came meanwhile,
 * look again. */
bool vsr_virtq_want_kicks(vsr_virtq *q, bool on);

/* Out of and into the buffers of a chain, from `offset` of that half; how many
 * bytes there were. */
uint64_t vsr_virtq_read(const vsr_virtq_chain *chain, uint64_t offset, void *to,
                        uint64_t len);
uint64_t vsr_virtq_write(const vsr_virtq_chain *chain, uint64_t offset,
                         const void *from, uint64_t len);

#endif
