/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * netlink.h: the few requests to rtnetlink that links of ours need.
 *
 * Spec:    rtnetlink(7); <linux/if_link.h>.
 * Threads: any; a socket belongs to one, and to the network namespace of the
 *          thread that opened it.
 */
#ifndef VSR_NET_NETLINK_H
#define VSR_NET_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

typedef struct nl_sock vsr_netlink; /* vsr_netlink_close() */

vsr_netlink *vsr_netlink_open(GError **error);
void vsr_netlink_close(vsr_netlink *nl); /* NULL is a no-op */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vsr_netlink, vsr_netlink_close)

/* A request with its family's header first; frees `msg`. 0 or -errno. */
int vsr_netlink_send(vsr_netlink *nl, struct nl_msg *msg);
/* RTM_* about link `index` (0: a new one), AF_UNSPEC unless family. */
struct nl_msg *vsr_netlink_link_msg(int type, int flags, int family, int index);

typedef struct {
    int index;
    char name[16];
    uint32_t mtu;
    char kind[16]; /* of the link's driver; "": hardware */
    char alias[64];
    int master;          /* its bridge; 0: none */
    bool vlan_filtering; /* of a bridge */
    bool is_up;
} vsr_link;

/* 0, -ENODEV, or another -errno. */
int vsr_netlink_find(vsr_netlink *nl, const char *name, vsr_link *out);
/* Of vsr_link, all of kind `kind`; owned by the caller. */
GArray *vsr_netlink_list(vsr_netlink *nl, const char *kind);
/* Links with this master. */
uint32_t vsr_netlink_count_ports(vsr_netlink *nl, int bridge);

int vsr_netlink_set_up(vsr_netlink *nl, int index, bool up);
int vsr_netlink_set_mtu(vsr_netlink *nl, int index, uint32_t mtu);
int vsr_netlink_set_mac(vsr_netlink *nl, int index, const uint8_t mac[6]);
int vsr_netlink_set_master(vsr_netlink *nl, int index, int bridge);
int vsr_netlink_set_alias(vsr_netlink *nl, int index, const char *alias);
int vsr_netlink_add_bridge(vsr_netlink *nl, const char *name,
                           bool vlan_filtering);
int vsr_netlink_delete(vsr_netlink *nl, int index);
/* Of a port: untagged frames are of `vlan`, and leave without a tag. */
int vsr_netlink_set_port_vlan(vsr_netlink *nl, int index, uint16_t vlan);

#endif
