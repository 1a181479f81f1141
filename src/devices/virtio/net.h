/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net.h: virtio network device.
 *
 * Spec:    VIRTIO 1.2, 5.1 "Network Device".
 * Threads: see devices/virtio/virtio.h. The functions here: control.
 */
#ifndef VSR_DEVICES_VIRTIO_NET_H
#define VSR_DEVICES_VIRTIO_NET_H

#include "devices/virtio/virtio.h"
#include "net/net.h"

/* 5.1.3 "Feature bits" */
#define VSR_VIRTIO_NET_F_CSUM                (UINT64_C(1) << 0)
#define VSR_VIRTIO_NET_F_GUEST_CSUM          (UINT64_C(1) << 1)
#define VSR_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS (UINT64_C(1) << 2)
#define VSR_VIRTIO_NET_F_MTU                 (UINT64_C(1) << 3)
#define VSR_VIRTIO_NET_F_MAC                 (UINT64_C(1) << 5)
#define VSR_VIRTIO_NET_F_GUEST_TSO4          (UINT64_C(1) << 7)
#define VSR_VIRTIO_NET_F_GUEST_TSO6          (UINT64_C(1) << 8)
#define VSR_VIRTIO_NET_F_GUEST_ECN           (UINT64_C(1) << 9)
#define VSR_VIRTIO_NET_F_HOST_TSO4           (UINT64_C(1) << 11)
#define VSR_VIRTIO_NET_F_HOST_TSO6           (UINT64_C(1) << 12)
#define VSR_VIRTIO_NET_F_HOST_ECN            (UINT64_C(1) << 13)
#define VSR_VIRTIO_NET_F_MRG_RXBUF           (UINT64_C(1) << 15)
#define VSR_VIRTIO_NET_F_STATUS              (UINT64_C(1) << 16)
#define VSR_VIRTIO_NET_F_CTRL_VQ             (UINT64_C(1) << 17)
#define VSR_VIRTIO_NET_F_CTRL_RX             (UINT64_C(1) << 18)
#define VSR_VIRTIO_NET_F_CTRL_RX_EXTRA       (UINT64_C(1) << 20)
#define VSR_VIRTIO_NET_F_GUEST_ANNOUNCE      (UINT64_C(1) << 21)
#define VSR_VIRTIO_NET_F_MQ                  (UINT64_C(1) << 22)
#define VSR_VIRTIO_NET_F_CTRL_MAC_ADDR       (UINT64_C(1) << 23)
#define VSR_VIRTIO_NET_F_GUEST_USO4          (UINT64_C(1) << 54)
#define VSR_VIRTIO_NET_F_GUEST_USO6          (UINT64_C(1) << 55)
#define VSR_VIRTIO_NET_F_HOST_USO            (UINT64_C(1) << 56)

typedef struct {
    vsr_virtio_params virtio;
    /* Borrowed; the device makes its vsr_net of it, on the loop of the queues,
     * and takes its descriptors. A pair of queues for each of the source's. */
    vsr_net_source *source;
    uint8_t mac[6];
    uint16_t rx_queue_size, tx_queue_size; /* 0: 256 */
    bool link_down;                        /* at power-on */
    uint64_t without; /* VSR_VIRTIO_NET_F_* that are not offered */
} vsr_virtio_net_params;

extern const vsr_device_class vsr_virtio_net_class;

/* The cable: the guest sees it, and is told. Lock not held. */
void vsr_virtio_net_set_link(vsr_device *device, bool up);
/* Limits that this process keeps, as vsr_net_set_rates(). */
void vsr_virtio_net_set_rates(vsr_device *device, const vsr_net_rate *in,
                              const vsr_net_rate *out);
/* As vsr_net_link_fd(). */
int vsr_virtio_net_link_fd(vsr_device *device);
/* Ask the guest to tell the network where it is, after it has moved. */
void vsr_virtio_net_announce(vsr_device *device);
/* Any thread, lock not held. */
void vsr_virtio_net_get_stats(vsr_device *device, vsr_net_stats *out);

#endif
