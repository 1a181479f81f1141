/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * take.h: the next chain of a queue, kicks asked for where there is none.
 *
 * Spec:    VIRTIO 1.2, 2.7.10 "Available Buffer Notification Suppression".
 * Threads: the device's lock held.
 */
#ifndef VSR_DEVICES_VIRTIO_TAKE_H
#define VSR_DEVICES_VIRTIO_TAKE_H

#include "devices/virtio/virtio.h"

/* False: none, and the driver kicks at the next one; or the machine stands still,
 * and all queues are kicked when it goes on. */
static inline bool vsr_virtio_take(vsr_virtio *v, uint32_t index,
                                   vsr_virtq_chain *out)
{
    while (!v->quiesced) {
        vsr_virtq *ring;

        if (vsr_virtio_pop(v, index, out))
            return true;
        ring = vsr_virtio_ring(v, index);
        if (ring == NULL || !vsr_virtq_want_kicks(ring, true))
            return false;
    }
    return false;
}

/* The chain is done; the ring may have broken or gone since it was taken. */
static inline void vsr_virtio_give(vsr_virtio *v, uint32_t index,
                                   const vsr_virtq_chain *chain,
                                   uint32_t written)
{
    vsr_virtq *ring = vsr_virtio_ring(v, index);

    if (ring != NULL)
        vsr_virtq_push(ring, chain, written);
}

#endif
