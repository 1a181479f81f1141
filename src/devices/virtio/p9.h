/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * p9.h: a folder of the host for the guest to mount: 9P over virtio.
 *
 *     mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 TAG /mnt
 *
 * Threads: control.
 */
#ifndef VSR_DEVICES_VIRTIO_P9_H
#define VSR_DEVICES_VIRTIO_P9_H

#include "devices/virtio/virtio.h"
#include "fs9p/fs9p.h"

enum { VSR_VIRTIO_9P_TAG_MAX = 128 }; /* bytes */

typedef struct {
    vsr_virtio_params virtio;
    const char *tag;    /* what the guest mounts it by; copied */
    vsr_fs9p_params fs; /* root_fd is taken if init succeeds */
} vsr_virtio_9p_params;

extern const vsr_device_class vsr_virtio_9p_class;

#endif
