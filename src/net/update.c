/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * update.c: links that change while they are used: their bridge, their limits.
 * The domain's process has no right to; who has, knows the link by a descriptor
 * of it, not by a name that it was told.
 *
 * Threads: any.
 */
#include "net/net.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "net/open.h"
#include "net/shape.h"

static bool limits_same(const vsr_net_location *a, const vsr_net_location *b)
{
    return vsr_net_rate_same(&a->in, &b->in) &&
           vsr_net_rate_same(&a->out, &b->out);
}

static bool find_tap(vsr_netlink *nl, int fd, vsr_link *out, GError **error)
{
    struct ifreq ifr = { 0 };
    int rc;

    if (fd < 0 || ioctl(fd, TUNGETIFF, &ifr) < 0)
        return vsr_fail(error, VISOR_ERR_STATE,
                        "The host's link of the interface has gone");
    rc = vsr_netlink_find(nl, ifr.ifr_name, out);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Network link '%s'", ifr.ifr_name);
    return strcmp(out->kind, "tun") == 0 ||
           vsr_fail(error, VISOR_ERR_STATE, "Network link '%s' is no tap",
                    ifr.ifr_name);
}

/* From one bridge to another; its MTU, which the guest knows, stays. */
static bool move(vsr_netlink *nl, const vsr_link *tap,
                 const vsr_net_location *to, GError **error)
{
    vsr_net_location there = *to;
    vsr_net_source port = { .name = (char *)(uintptr_t)tap->name };

    there.mtu = tap->mtu;
    if (vsr_net_join_bridge(&port, nl, tap->index, &there, error))
        return true;
    if (tap->master != 0) {
        (void)vsr_netlink_set_master(nl, tap->index, tap->master);
        if (to->vlan != 0)
            (void)vsr_netlink_set_port_vlan(nl, tap->index, to->vlan);
    }
    return false;
}

static bool limit(vsr_net_source *out, vsr_netlink *nl, const vsr_link *tap,
                  const vsr_net_location *to, GError **error)
{
    vsr_shape_clear_sent(nl, tap->index);
    vsr_shape_clear_received(nl, tap->index);
    return vsr_net_limit(out, nl, tap->index, to, error);
}

static bool update_tap(vsr_net_source *out, int fd,
                       const vsr_net_location *from, const vsr_net_location *to,
                       GError **error)
{
    g_autoptr(vsr_netlink) nl = vsr_netlink_open(error);
    bool moves = g_strcmp0(from->device, to->device) != 0;
    vsr_link tap;

    if (nl == NULL || !find_tap(nl, fd, &tap, error))
        return false;
    out->name = g_strdup(tap.name);
    if (moves && !move(nl, &tap, to, error))
        return false;
    if (limits_same(from, to) || limit(out, nl, &tap, to, error))
        return true;
    /* As it was. What cannot be undone has an error of its own by then. */
    (void)limit(&(vsr_net_source){ .name = tap.name }, nl, &tap, from, NULL);
    if (moves)
        (void)move(nl, &tap, from, NULL);
    return false;
}

bool vsr_net_source_update(vsr_net_source *out, int fd,
                           const vsr_net_location *from,
                           const vsr_net_location *to, GError **error)
{
    bool is_ours =
        to->kind == VSR_NET_BRIDGE || (to->kind == VSR_NET_TAP && !to->managed);
    vsr_net_source source = { .kind = to->kind, .n = 1, .hold_fd = -1 };
    bool same = limits_same(from, to);

    for (uint32_t i = 0; i < VSR_NET_QUEUES_MAX; i++)
        source.fd[i] = -1;
    if (is_ours && (!same || g_strcmp0(from->device, to->device) != 0)) {
        if (!update_tap(&source, fd, from, to, error)) {
            vsr_net_source_clear(&source);
            return false;
        }
    } else if (to->kind == VSR_NET_MACVTAP && !same) {
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "The limits of a link of type 'direct' cannot change "
                        "while it is used");
    } else if (!is_ours) {
        source.in = to->in;
        source.out = to->out;
    }
    *out = source;
    return true;
}
