/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * net.h: the host's end of a network interface.
 *
 * As with disks there are two halves. The starter, which has the rights, makes
 * a vsr_net_source: links created and set up, descriptors opened. The domain's
 * process makes a vsr_net from it and moves frames.
 *
 * Threads: a source: any. A net: new, free, set_link, set_rates: control thread;
 *          everything else on its loop, from where events come too, with no
 *          lock held and never from inside a call.
 */
#ifndef VSR_NET_NET_H
#define VSR_NET_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <glib.h>

#include "base/loop.h"

/* --- where to ------------------------------------------------------------------ */

typedef enum {
    VSR_NET_USER,    /* libslirp: no rights, no link on the host */
    VSR_NET_BRIDGE,  /* a tap of ours on a bridge that is there or is made */
    VSR_NET_TAP,     /* libvirt's 'ethernet': a tap, given or made, as it is */
    VSR_NET_MACVTAP, /* libvirt's 'direct' */
    VSR_NET_NULL,    /* a link without a carrier */
} vsr_net_kind;

typedef enum {
    VSR_NET_MACVTAP_BRIDGE,
    VSR_NET_MACVTAP_VEPA,
    VSR_NET_MACVTAP_PRIVATE,
    VSR_NET_MACVTAP_PASSTHROUGH,
} vsr_net_macvtap;

typedef struct {
    bool is_udp;
    char *host_addr; /* NULL: 127.0.0.1 */
    uint16_t host_port;
    uint16_t guest_port;
} vsr_net_forward;

/* KiB a second, KiB; 0: no limit. libvirt's <bandwidth>; in: to the guest. */
typedef struct {
    uint64_t average, peak, burst;
} vsr_net_rate;

static inline bool vsr_net_rate_same(const vsr_net_rate *a,
                                     const vsr_net_rate *b)
{
    return a->average == b->average && a->peak == b->peak &&
           a->burst == b->burst;
}

enum { VSR_NET_QUEUES_MAX = 16 };

typedef struct {
    vsr_net_kind kind;
    char *device;     /* the bridge, macvtap's lower link, or NULL */
    char *target;     /* the link's name; NULL: one is chosen */
    bool make_bridge; /* BRIDGE: make it where there is none */
    bool managed;     /* TAP: the link exists and stays */
    vsr_net_macvtap mode;
    GArray *forwards; /* USER: of vsr_net_forward; or NULL */
    uint32_t queues;  /* 1 … VSR_NET_QUEUES_MAX */
    uint32_t mtu;     /* 0: the bridge's or lower link's, else 1500 */
    uint16_t vlan;    /* 1 … 4094, of a port of a bridge; 0: none */
    uint8_t mac[6];   /* of the guest: macvtap's; a tap's begins with fe */
    vsr_net_rate in, out;
} vsr_net_location;

/* What the domain's process gets. */
typedef struct {
    vsr_net_kind kind;
    char *name; /* the link's, for messages and stats; NULL for USER */
    uint32_t n; /* queues: as many descriptors, but for USER and NULL */
    int fd[VSR_NET_QUEUES_MAX]; /* owned */
    int hold_fd; /* owned, or -1: MACVTAP's link lives as long as this is open */
    uint32_t mtu;
    GArray *forwards;     /* USER; owned */
    bool vnet_hdr;        /* frames have a virtio-net header before them */
    vsr_net_rate in, out; /* what the host's kernel does not do for us */
} vsr_net_source;

/* Makes the link, which goes with the last descriptor of it, also after a
 * SIGKILL; a bridge that was made for it stays while it has ports, and goes at
 * the next vsr_net_sweep(): when a domain has ended, or one is started. A macvtap link is in a network namespace of its
 * own, which is what makes it go: `ip link` does not show it. ACCESS (no
 * CAP_NET_ADMIN; macvtap: CAP_SYS_ADMIN), NOT_FOUND (the bridge, the lower
 * link), EXISTS (the link's name), CONFIG, NO_SUPPORT (the host's kernel). */
bool vsr_net_source_open(vsr_net_source *out, const vsr_net_location *location,
                         GError **error);
void vsr_net_source_clear(vsr_net_source *source);
/* A link that is in use, of which `fd` is a descriptor, and which is as `from`
 * says: it gets the limits and the bridge of `to`. `out` is for the process that
 * uses it: a source without descriptors, with the limits that it has to keep.
 * On failure all is as before. As vsr_net_source_open(), and NO_SUPPORT. */
bool vsr_net_source_update(vsr_net_source *out, int fd,
                           const vsr_net_location *from,
                           const vsr_net_location *to, GError **error);
/* Takes away bridges of ours without ports. Called by every open of kind
 * BRIDGE; for the starter, when a domain has ended. */
void vsr_net_sweep(void);

/* --- frames ---------------------------------------------------------------------- */

typedef struct vsr_net vsr_net;

enum {
    VSR_NET_VNET_HDR_LEN = 12, /* VIRTIO 1.2, 5.1.6, with num_buffers */
    VSR_NET_FRAME_MAX = 65535 + 14 + 4,
    VSR_NET_IOV_MAX = 511,
};

/* Of the guest's driver; as the bits of TUNSETOFFLOAD. */
enum {
    VSR_NET_OFFLOAD_CSUM = 1 << 0,
    VSR_NET_OFFLOAD_TSO4 = 1 << 1,
    VSR_NET_OFFLOAD_TSO6 = 1 << 2,
    VSR_NET_OFFLOAD_ECN = 1 << 3,
    VSR_NET_OFFLOAD_USO = 1 << 4,
};

typedef struct {
    /* There may be frames for queue `queue`: vsr_net_receive() until it has
     * none. On the loop. */
    void (*readable)(void *opaque, uint32_t queue);
    /* After a send that returned -EAGAIN. */
    void (*writable)(void *opaque, uint32_t queue);
    /* The link has gone: nothing is sent or received any more. Once. */
    void (*lost)(void *opaque);
} vsr_net_events;

/* Takes the descriptors of `source`. */
vsr_net *vsr_net_new(vsr_net_source *source, const vsr_net_events *events,
                     void *opaque, vsr_loop *loop, GError **error);
void vsr_net_free(vsr_net *net); /* NULL is a no-op */

/* VSR_NET_OFFLOAD_* that it can take from and give to a guest. 0: frames are
 * whole and their checksums done; the header is all zero. */
uint32_t vsr_net_offloads(const vsr_net *net);
void vsr_net_set_offloads(vsr_net *net, uint32_t offloads);
uint32_t vsr_net_mtu(const vsr_net *net);
uint32_t vsr_net_queues(const vsr_net *net);
/* Frames to the guest come in the first n queues only, from the beginning in
 * one. On the loop. */
void vsr_net_set_active(vsr_net *net, uint32_t n);

/* One frame with its header of VSR_NET_VNET_HDR_LEN bytes first. 0, -EAGAIN
 * (writable() follows), or another -errno: the frame is dropped. */
int vsr_net_send(vsr_net *net, uint32_t queue, const struct iovec *iov,
                 uint32_t n);
/* The next frame, header first; its length, or -EAGAIN. -EMSGSIZE: it did not
 * fit, and is dropped; the next may. n is at most VSR_NET_IOV_MAX. */
ssize_t vsr_net_receive(vsr_net *net, uint32_t queue, const struct iovec *iov,
                        uint32_t n);
/* Whether readable() is wanted: the guest has buffers. */
void vsr_net_want(vsr_net *net, uint32_t queue, bool on);
/* Down: what is sent is dropped, nothing is received, the host's link has no
 * carrier. Waits for the loop. */
void vsr_net_set_link(vsr_net *net, bool up);

/* Other limits than those of the source: in: to the guest. Waits for the loop. */
void vsr_net_set_rates(vsr_net *net, const vsr_net_rate *in,
                       const vsr_net_rate *out);
/* A descriptor of the host's link, borrowed and constant; -1: there is none. Any
 * thread. */
int vsr_net_link_fd(const vsr_net *net);

typedef struct {
    uint64_t rx_bytes, rx_packets, rx_drops;
    uint64_t tx_bytes, tx_packets, tx_drops; /* tx: from the guest */
} vsr_net_stats;
/* Any thread. */
void vsr_net_get_stats(const vsr_net *net, vsr_net_stats *out);

#endif
