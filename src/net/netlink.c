/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * netlink.c: see netlink.h.
 *
 * Threads: any.
 */
#include "net/netlink.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <string.h>

#include "base/error.h"

/* --- requests ---------------------------------------------------------------- */

vsr_netlink *vsr_netlink_open(GError **error)
{
    struct nl_sock *nl = nl_socket_alloc();
    int rc = nl == NULL ? -NLE_NOMEM : nl_connect(nl, NETLINK_ROUTE);

    if (rc == 0)
        return nl;
    nl_socket_free(nl);
    vsr_fail(error, VISOR_ERR_RESOURCE, "No netlink socket: %s",
             nl_geterror(rc));
    return NULL;
}

void vsr_netlink_close(vsr_netlink *nl)
{
    nl_socket_free(nl);
}

struct nl_msg *vsr_netlink_link_msg(int type, int flags, int family, int index)
{
    struct ifinfomsg head = {
        .ifi_family = (unsigned char)family,
        .ifi_index = index,
    };
    struct nl_msg *msg =
        nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_ACK | flags);

    if (msg != NULL &&
        nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) < 0)
        g_clear_pointer(&msg, nlmsg_free);
    return msg;
}

typedef struct {
    int rc; /* -errno, as the kernel said it: libnl's own codes are fewer */
    bool done;
    nl_recvmsg_msg_cb_t valid;
    void *opaque;
} answer;

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err,
                    void *opaque)
{
    answer *a = opaque;

    a->rc = err->error;
    a->done = true;
    return NL_STOP;
}

static int on_end(struct nl_msg *msg, void *opaque)
{
    ((answer *)opaque)->done = true;
    return NL_STOP;
}

static int on_valid(struct nl_msg *msg, void *opaque)
{
    const answer *a = opaque;

    return a->valid != NULL ? a->valid(msg, a->opaque) : NL_OK;
}

static int ask(vsr_netlink *nl, struct nl_msg *msg, nl_recvmsg_msg_cb_t valid,
               void *opaque)
{
    answer a = { .valid = valid, .opaque = opaque };
    struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
    int rc;

    if (msg == NULL || cb == NULL) {
        nlmsg_free(msg);
        nl_cb_put(cb);
        return -ENOMEM;
    }
    nl_cb_err(cb, NL_CB_CUSTOM, on_error, &a);
    nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &a);
    nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &a);
    nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &a);
    rc = nl_send_auto(nl, msg);
    nlmsg_free(msg);
    while (rc >= 0 && !a.done)
        rc = nl_recvmsgs(nl, cb);
    nl_cb_put(cb);
    if (a.done)
        return a.rc;
    return -EIO;
}

int vsr_netlink_send(vsr_netlink *nl, struct nl_msg *msg)
{
    return ask(nl, msg, NULL, NULL);
}

/* --- looking ------------------------------------------------------------------- */

static void read_kind(vsr_link *out, struct nlattr *info)
{
    struct nlattr *tb[IFLA_INFO_MAX + 1], *data[IFLA_BR_MAX + 1];

    if (nla_parse_nested(tb, IFLA_INFO_MAX, info, NULL) < 0 ||
        tb[IFLA_INFO_KIND] == NULL)
        return;
    nla_strlcpy(out->kind, tb[IFLA_INFO_KIND], sizeof(out->kind));
    if (strcmp(out->kind, "bridge") != 0 || tb[IFLA_INFO_DATA] == NULL ||
        nla_parse_nested(data, IFLA_BR_MAX, tb[IFLA_INFO_DATA], NULL) < 0)
        return;
    out->vlan_filtering = data[IFLA_BR_VLAN_FILTERING] != NULL &&
                          nla_get_u8(data[IFLA_BR_VLAN_FILTERING]) != 0;
}

static bool read_link(struct nl_msg *msg, vsr_link *out)
{
    struct nlmsghdr *head = nlmsg_hdr(msg);
    struct nlattr *tb[IFLA_MAX + 1];
    const struct ifinfomsg *info;

    if (head->nlmsg_type != RTM_NEWLINK ||
        nlmsg_parse(head, sizeof(*info), tb, IFLA_MAX, NULL) < 0 ||
        tb[IFLA_IFNAME] == NULL)
        return false;
    info = nlmsg_data(head);
    *out = (vsr_link){ .index = info->ifi_index,
                       .is_up = (info->ifi_flags & IFF_UP) != 0 };
    nla_strlcpy(out->name, tb[IFLA_IFNAME], sizeof(out->name));
    if (tb[IFLA_MTU] != NULL)
        out->mtu = nla_get_u32(tb[IFLA_MTU]);
    if (tb[IFLA_IFALIAS] != NULL)
        nla_strlcpy(out->alias, tb[IFLA_IFALIAS], sizeof(out->alias));
    if (tb[IFLA_MASTER] != NULL)
        out->master = (int)nla_get_u32(tb[IFLA_MASTER]);
    if (tb[IFLA_LINKINFO] != NULL)
        read_kind(out, tb[IFLA_LINKINFO]);
    return true;
}

static int on_found(struct nl_msg *msg, void *opaque)
{
    (void)read_link(msg, opaque);
    return NL_OK;
}

int vsr_netlink_find(vsr_netlink *nl, const char *name, vsr_link *out)
{
    struct nl_msg *msg = vsr_netlink_link_msg(RTM_GETLINK, 0, AF_UNSPEC, 0);
    vsr_link found = { 0 };
    int rc;

    if (strlen(name) >= IFNAMSIZ || name[0] == '\0') {
        nlmsg_free(msg);
        return -ENODEV;
    }
    if (msg != NULL)
        nla_put_string(msg, IFLA_IFNAME, name);
    rc = ask(nl, msg, on_found, &found);
    if (rc == 0 && found.index == 0)
        rc = -ENODEV;
    if (rc == 0)
        *out = found;
    return rc;
}

static int on_listed(struct nl_msg *msg, void *opaque)
{
    vsr_link link;

    if (read_link(msg, &link))
        g_array_append_val((GArray *)opaque, link);
    return NL_OK;
}

GArray *vsr_netlink_list(vsr_netlink *nl, const char *kind)
{
    GArray *all = g_array_new(FALSE, TRUE, sizeof(vsr_link));

    ask(nl, vsr_netlink_link_msg(RTM_GETLINK, NLM_F_DUMP, AF_UNSPEC, 0),
        on_listed, all);
    for (guint i = all->len; i-- > 0;)
        if (kind != NULL &&
            strcmp(g_array_index(all, vsr_link, i).kind, kind) != 0)
            g_array_remove_index_fast(all, i);
    return all;
}

uint32_t vsr_netlink_count_ports(vsr_netlink *nl, int bridge)
{
    g_autoptr(GArray) all = vsr_netlink_list(nl, NULL);
    uint32_t n = 0;

    for (guint i = 0; i < all->len; i++)
        n += g_array_index(all, vsr_link, i).master == bridge;
    return n;
}

/* --- changing -------------------------------------------------------------------- */

int vsr_netlink_set_up(vsr_netlink *nl, int index, bool up)
{
    struct nl_msg *msg = vsr_netlink_link_msg(RTM_NEWLINK, 0, AF_UNSPEC, index);
    struct ifinfomsg *info;

    if (msg == NULL)
        return -ENOMEM;
    info = nlmsg_data(nlmsg_hdr(msg));
    info->ifi_change = IFF_UP;
    info->ifi_flags = up ? IFF_UP : 0;
    return ask(nl, msg, NULL, NULL);
}

static int set_attr(vsr_netlink *nl, int index, int attr, const void *value,
                    int len)
{
    struct nl_msg *msg = vsr_netlink_link_msg(RTM_NEWLINK, 0, AF_UNSPEC, index);

    if (msg != NULL)
        nla_put(msg, attr, len, value);
    return ask(nl, msg, NULL, NULL);
}

int vsr_netlink_set_mtu(vsr_netlink *nl, int index, uint32_t mtu)
{
    return set_attr(nl, index, IFLA_MTU, &mtu, sizeof(mtu));
}

int vsr_netlink_set_mac(vsr_netlink *nl, int index, const uint8_t mac[6])
{
    return set_attr(nl, index, IFLA_ADDRESS, mac, 6);
}

int vsr_netlink_set_master(vsr_netlink *nl, int index, int bridge)
{
    return set_attr(nl, index, IFLA_MASTER, &bridge, sizeof(bridge));
}

int vsr_netlink_set_alias(vsr_netlink *nl, int index, const char *alias)
{
    return set_attr(nl, index, IFLA_IFALIAS, alias, (int)strlen(alias) + 1);
}

int vsr_netlink_delete(vsr_netlink *nl, int index)
{
    return ask(nl, vsr_netlink_link_msg(RTM_DELLINK, 0, AF_UNSPEC, index), NULL,
               NULL);
}

int vsr_netlink_add_bridge(vsr_netlink *nl, const char *name,
                           bool vlan_filtering)
{
    struct nl_msg *msg = vsr_netlink_link_msg(
        RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, AF_UNSPEC, 0);
    struct nlattr *info, *data;

    if (msg == NULL)
        return -ENOMEM;
    nla_put_string(msg, IFLA_IFNAME, name);
    info = nla_nest_start(msg, IFLA_LINKINFO);
    nla_put_string(msg, IFLA_INFO_KIND, "bridge");
    if (vlan_filtering) {
        data = nla_nest_start(msg, IFLA_INFO_DATA);
        nla_put_u8(msg, IFLA_BR_VLAN_FILTERING, 1);
        nla_nest_end(msg, data);
    }
    nla_nest_end(msg, info);
    return ask(nl, msg, NULL, NULL);
}

static int port_vlan(vsr_netlink *nl, int type, int index, uint16_t vlan,
                     uint16_t flags)
{
    const struct bridge_vlan_info info = { .flags = flags, .vid = vlan };
    struct nl_msg *msg = vsr_netlink_link_msg(type, 0, AF_BRIDGE, index);
    struct nlattr *spec;

    if (msg == NULL)
        return -ENOMEM;
    spec = nla_nest_start(msg, IFLA_AF_SPEC);
    nla_put(msg, IFLA_BRIDGE_VLAN_INFO, sizeof(info), &info);
    nla_nest_end(msg, spec);
    return ask(nl, msg, NULL, NULL);
}

int vsr_netlink_set_port_vlan(vsr_netlink *nl, int index, uint16_t vlan)
{
    int rc = port_vlan(nl, RTM_SETLINK, index, vlan,
                       BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED);

    /* Every port begins in VLAN 1. */
    if (rc == 0 && vlan != 1)
        rc = port_vlan(nl, RTM_DELLINK, index, 1, 0);
    return rc == -ENOENT ? 0 : rc;
}
