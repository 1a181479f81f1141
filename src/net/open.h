/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.h: how each kind of link is made. `out` is zero, its descriptors -1;
 * what a failure leaves in it, the caller clears.
 *
 * Threads: any.
 */
#ifndef VSR_NET_OPEN_H
#define VSR_NET_OPEN_H

#include "net/net.h"
#include "net/netlink.h"

bool vsr_net_open_tap(vsr_net_source *out, const vsr_net_location *location,
                      GError **error);
bool vsr_net_open_macvtap(vsr_net_source *out, const vsr_net_location *location,
                          GError **error);

/* The tap `index`, out->name, becomes a port of l->device; out->mtu is set. */
bool vsr_net_join_bridge(vsr_net_source *out, vsr_netlink *nl, int index,
                         const vsr_net_location *l, GError **error);

/* Header before the frames, of our length; offloads off. */
bool vsr_net_prepare_fd(int fd, const char *name, GError **error);
/* The link's limits by the host's kernel, or, where that has no such thing, by
 * us: in out->in and out->out. */
bool vsr_net_limit(vsr_net_source *out, vsr_netlink *nl, int index,
                   const vsr_net_location *location, GError **error);

#endif
