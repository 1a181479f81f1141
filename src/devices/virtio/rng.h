/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rng.h: virtio entropy device: the host's random numbers, at a rate.
 *
 * Spec:    VIRTIO 1.2, 5.4 "Entropy Device".
 * Threads: see devices/virtio/virtio.h.
 */
#ifndef VSR_DEVICES_VIRTIO_RNG_H
#define VSR_DEVICES_VIRTIO_RNG_H

#include "devices/virtio/virtio.h"

typedef struct {
    vsr_virtio_params virtio;
    uint64_t rate_bytes;     /* in each period; 0: no limit */
    uint32_t rate_period_ms; /* 0: a second */
} vsr_virtio_rng_params;

extern const vsr_device_class vsr_virtio_rng_class;
/* Another rate, from now on. Control thread, lock not held. */
void vsr_virtio_rng_set_rate(vsr_device *device, uint64_t rate_bytes,
                             uint32_t rate_period_ms);

#endif
