/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem.h: virtio memory device: a piece of the guest's address space of which the
 * guest has as many blocks as it is asked to have. It plugs and unplugs them by
 * itself, in its own time, and keeps what it cannot do without.
 *
 * Threads: control.
 */
#ifndef VSR_DEVICES_VIRTIO_MEM_H
#define VSR_DEVICES_VIRTIO_MEM_H

#include "devices/virtio/virtio.h"

/* Smaller blocks would be less than a huge page of the host's and the guest's. */
#define VSR_VIRTIO_MEM_BLOCK_MIN (UINT64_C(2) << 20)

typedef struct {
    vsr_virtio_params virtio;
    uint64_t addr;                   /* guest physical: nothing is there yet */
    uint64_t size, block, requested; /* bytes */
    const vsr_mem_options *memory;   /* borrowed */
} vsr_virtio_mem_params;

/* Whoever frees the device of a machine that goes on calls
 * vsr_mem_remove_spare() with its address after that.
 * CONFIG: sizes that do not go together, an address that is taken; NO_SUPPORT:
 * locked memory or huge pages; RESOURCE: the host has not that much. */
extern const vsr_device_class vsr_virtio_mem_class;

/* How many bytes the guest is to have; it comes near to it in its own time.
 * CONFIG: no multiple of the block, or more than the size. */
bool vsr_virtio_mem_set_requested(vsr_device *device, uint64_t bytes,
                                  GError **error);

typedef struct {
    uint64_t addr, size;
    uint64_t requested, plugged; /* bytes: wanted, and there */
} vsr_virtio_mem_info;

void vsr_virtio_mem_get(vsr_device *device, vsr_virtio_mem_info *out);

#endif
