/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shape.h: rate limits that the host's kernel keeps for a link.
 *
 * Spec:    tc-tbf(8), tc-police(8); <linux/pkt_sched.h>, <linux/pkt_cls.h>.
 * Threads: any.
 */
#ifndef VSR_NET_SHAPE_H
#define VSR_NET_SHAPE_H

#include "net/net.h"
#include "net/netlink.h"

/* What the link sends: a token bucket filter as its queue. 0 or -errno. */
int vsr_shape_sent(vsr_netlink *nl, int index, const vsr_net_rate *rate);
/* What it receives: dropped above the rate. -EOPNOTSUPP: this kernel has none
 * of it. */
int vsr_shape_received(vsr_netlink *nl, int index, const vsr_net_rate *rate);
/* Without limits again. */
void vsr_shape_clear_sent(vsr_netlink *nl, int index);
void vsr_shape_clear_received(vsr_netlink *nl, int index);

#endif
