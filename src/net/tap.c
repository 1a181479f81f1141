/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tap.c: taps, alone or as ports of a bridge. They are not persistent: the
 * kernel takes them away with their last descriptor.
 *
 * Spec:    Linux, Documentation/networking/tuntap.rst.
 * Threads: any.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/open.h"

#ifndef IFF_TUN_EXCL
#define IFF_TUN_EXCL 0x8000
#endif

/* How a bridge of ours is known. */
static const char bridge_alias[] = "visor-bridge";

/* --- descriptors -------------------------------------------------------------------- */

static bool tap_error(int err, const char *name, bool is_managed,
                      GError **error)
{
    if (err == EBUSY && !is_managed)
        return vsr_fail(error, VISOR_ERR_EXISTS,
                        "Network link '%s': there is one of that name", name);
    if (err == EPERM || err == EACCES)
        return vsr_fail(error, VISOR_ERR_ACCESS, "Network link '%s': %s", name,
                        is_managed ? "it is not this user's"
                                   : "making one needs CAP_NET_ADMIN");
    return vsr_fail_errno(error, err, "Network link '%s'", name);
}

/* The first descriptor makes the link, the next add a queue each. */
static bool open_queue(vsr_net_source *out, uint32_t i,
                       const vsr_net_location *l, char name[IFNAMSIZ],
                       GError **error)
{
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    bool must_be_new = i == 0 && !l->managed;

    out->fd[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (out->fd[i] < 0)
        return vsr_fail_errno(error, errno, "Network link '%s': /dev/net/tun",
                              name);
    if (out->n > 1)
        ifr.ifr_flags |= IFF_MULTI_QUEUE;
    if (must_be_new)
        ifr.ifr_flags = (short)(ifr.ifr_flags | (short)IFF_TUN_EXCL);
    g_strlcpy(ifr.ifr_name, name, IFNAMSIZ);
    if (ioctl(out->fd[i], TUNSETIFF, &ifr) < 0)
        return tap_error(errno, name, !must_be_new, error);
    g_strlcpy(name, ifr.ifr_name, IFNAMSIZ);
    return vsr_net_prepare_fd(out->fd[i], name, error);
}

static bool open_queues(vsr_net_source *out, const vsr_net_location *l,
                        GError **error)
{
    char name[IFNAMSIZ];

    /* The kernel puts in the first free number. */
    g_strlcpy(name, l->target != NULL ? l->target : "vnet%d", sizeof(name));
    for (uint32_t i = 0; i < out->n; i++)
        if (!open_queue(out, i, l, name, error))
            return false;
    out->name = g_strdup(name);
    out->vnet_hdr = true;
    return true;
}

/* --- the bridge ------------------------------------------------------------------------ */

static bool find_bridge(vsr_netlink *nl, const vsr_net_location *l,
                        vsr_link *out, bool *made, GError **error)
{
    int rc = vsr_netlink_find(nl, l->device, out);

    *made = false;
    if (rc == -ENODEV && l->make_bridge) {
        rc = vsr_netlink_add_bridge(nl, l->device, l->vlan != 0);
        *made = rc == 0;
        if (rc < 0 && rc != -EEXIST)
            return vsr_fail_errno(error, rc, "Bridge '%s' cannot be made",
                                  l->device);
        rc = vsr_netlink_find(nl, l->device, out);
    }
    if (rc == -ENODEV)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND,
                        "Bridge '%s': there is none", l->device);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Bridge '%s'", l->device);
    if (strcmp(out->kind, "bridge") != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Network link '%s' is not a bridge, but %s", l->device,
                        out->kind[0] != '\0' ? out->kind : "hardware");
    if (l->vlan != 0 && !out->vlan_filtering)
        return vsr_fail(
            error, VISOR_ERR_CONFIG,
            "Bridge '%s' does not filter VLANs, which VLAN %u needs:"
            " ip link set %s type bridge vlan_filtering 1",
            l->device, l->vlan, l->device);
    return true;
}

static int join(vsr_netlink *nl, int index, const vsr_net_location *l,
                const vsr_link *bridge, bool made)
{
    int rc = vsr_netlink_set_master(nl, index, bridge->index);

    if (rc == 0 && made) {
        /* Only from now on may a sweep take it: it has a port. */
        rc = vsr_netlink_set_alias(nl, bridge->index, bridge_alias);
        if (rc == 0)
            rc = vsr_netlink_set_up(nl, bridge->index, true);
    }
    if (rc == 0 && l->vlan != 0)
        rc = vsr_netlink_set_port_vlan(nl, index, l->vlan);
    return rc;
}

bool vsr_net_join_bridge(vsr_net_source *out, vsr_netlink *nl, int index,
                         const vsr_net_location *l, GError **error)
{
    vsr_link bridge;
    bool made;
    int rc = -ENODEV;

    /* Another's sweep may have it in between. */
    for (int tries = 0; rc == -ENODEV && tries < 5; tries++) {
        if (!find_bridge(nl, l, &bridge, &made, error))
            return false;
        out->mtu = l->mtu != 0 ? l->mtu : bridge.mtu;
        rc = vsr_netlink_set_mtu(nl, index, out->mtu);
        if (rc < 0)
            return vsr_fail_errno(error, rc, "Network link '%s': MTU %u",
                                  out->name, out->mtu);
        rc = join(nl, index, l, &bridge, made);
        if (rc < 0 && made)
            (void)vsr_netlink_delete(nl, bridge.index);
    }
    if (rc < 0)
        return vsr_fail_errno(
            error, rc, "Network link '%s' cannot be a port of bridge '%s'",
            out->name, l->device);
    return true;
}

void vsr_net_sweep(void)
{
    g_autoptr(vsr_netlink) nl = vsr_netlink_open(NULL);
    g_autoptr(GArray) bridges =
        nl != NULL ? vsr_netlink_list(nl, "bridge") : NULL;

    for (guint i = 0; bridges != NULL && i < bridges->len; i++) {
        const vsr_link *bridge = &g_array_index(bridges, vsr_link, i);

        if (strcmp(bridge->alias, bridge_alias) == 0 &&
            vsr_netlink_count_ports(nl, bridge->index) == 0)
            (void)vsr_netlink_delete(nl, bridge->index);
    }
}

/* --- taps ----------------------------------------------------------------------------------- */

static bool set_up(vsr_net_source *out, vsr_netlink *nl,
                   const vsr_net_location *l, GError **error)
{
    uint8_t mac[6];
    vsr_link link;
    int rc = vsr_netlink_find(nl, out->name, &link);

    memcpy(mac, l->mac, sizeof(mac));
    /* Higher than any other's: a bridge takes the lowest of its ports. And not
     * the guest's own, which must not be one of the bridge's. */
    mac[0] = 0xfe;
    if (rc == 0)
        rc = vsr_netlink_set_mac(nl, link.index, mac);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Network link '%s': its address",
                              out->name);
    out->mtu = l->mtu != 0 ? l->mtu : link.mtu;
    if (l->kind == VSR_NET_BRIDGE) {
        if (!vsr_net_join_bridge(out, nl, link.index, l, error))
            return false;
    } else if (l->mtu != 0) {
        rc = vsr_netlink_set_mtu(nl, link.index, l->mtu);
    }
    if (rc == 0 && !vsr_net_limit(out, nl, link.index, l, error))
        return false;
    if (rc == 0)
        rc = vsr_netlink_set_up(nl, link.index, true);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Network link '%s' cannot be set up",
                              out->name);
    return true;
}

/* Its owner has set it up; it may be that we could not. */
static bool take_as_is(vsr_net_source *out, const vsr_net_location *l,
                       GError **error)
{
    g_autoptr(vsr_netlink) nl = vsr_netlink_open(error);
    vsr_link link;
    int rc;

    if (nl == NULL)
        return false;
    rc = vsr_netlink_find(nl, out->name, &link);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Network link '%s'", out->name);
    if (l->mtu != 0 && l->mtu != link.mtu)
        return vsr_fail(
            error, VISOR_ERR_CONFIG,
            "Network link '%s' has an MTU of %u, not %u, and is not "
            "ours to change",
            out->name, link.mtu, l->mtu);
    out->mtu = link.mtu;
    out->in = l->in;
    out->out = l->out;
    return true;
}

/* TUNSETIFF would make what is not there. */
static bool check_managed(const vsr_net_location *l, GError **error)
{
    g_autoptr(vsr_netlink) nl = vsr_netlink_open(error);
    vsr_link link;

    if (nl == NULL)
        return false;
    if (l->target == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "A network link that is there already needs a name");
    if (vsr_netlink_find(nl, l->target, &link) < 0)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND,
                        "Network link '%s': there is none", l->target);
    if (strcmp(link.kind, "tun") != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Network link '%s' is not a tap, but %s", l->target,
                        link.kind[0] != '\0' ? link.kind : "hardware");
    return true;
}

bool vsr_net_open_tap(vsr_net_source *out, const vsr_net_location *l,
                      GError **error)
{
    g_autoptr(vsr_netlink) nl = NULL;

    if (l->kind == VSR_NET_BRIDGE && l->device == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "A network of type 'bridge' needs a bridge");
    if (l->managed && l->kind == VSR_NET_TAP)
        return check_managed(l, error) && open_queues(out, l, error) &&
               take_as_is(out, l, error);
    nl = vsr_netlink_open(error);
    return nl != NULL && open_queues(out, l, error) &&
           set_up(out, nl, l, error);
}
