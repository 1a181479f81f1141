/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vsock.h: virtio sockets: streams between programs in the guest and on the
 * host, over one unix socket as Firecracker has it.
 *
 * A guest that connects to port P of the host (CID 2) reaches whoever listens
 * at `<path>_P`. A program on the host that connects to `<path>` and says
 * "CONNECT P\n" reaches whoever listens at the guest's port P, after a line
 * "OK <number>\n".
 *
 * Threads: control.
 */
#ifndef VSR_DEVICES_VIRTIO_VSOCK_H
#define VSR_DEVICES_VIRTIO_VSOCK_H

#include "devices/virtio/virtio.h"

enum {
    VSR_VIRTIO_VSOCK_CID_MIN = 3,
    VSR_VIRTIO_VSOCK_NAME_MAX = 72, /* bytes */
    VSR_VIRTIO_VSOCK_CONNS_MAX = 1023,
};
#define VSR_VIRTIO_VSOCK_CID_MAX UINT32_C(0xfffffffe)

typedef struct {
    vsr_virtio_params virtio;
    uint32_t cid;       /* the guest's */
    int listen_fd;      /* a listening, non-blocking unix socket: `<path>` */
    int folder_fd;      /* its folder (O_PATH suffices); borrowed, as a sandbox
                            * may know it by its number */
    const char *name;   /* the path's last part; copied */
    uint32_t answer_ms; /* how long a side may take to answer; 0: 2 s */
} vsr_virtio_vsock_params; /* listen_fd is taken if init succeeds */

extern const vsr_device_class vsr_virtio_vsock_class;

/* The guest's address has changed, as after a restore: its connections end, and
 * its driver is told to look. CONFIG: not an address for a guest. */
bool vsr_virtio_vsock_set_cid(vsr_device *device, uint32_t cid, GError **error);
/* Connections that both sides know. */
uint32_t vsr_virtio_vsock_count(vsr_device *device);

#endif
