/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.c: sources: what is common to all kinds.
 *
 * Threads: any.
 */
#include "net/open.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/forwards.h"
#include "net/rate.h"
#include "net/shape.h"

bool vsr_net_prepare_fd(int fd, const char *name, GError **error)
{
    int len = VSR_NET_VNET_HDR_LEN;

    if (ioctl(fd, TUNSETVNETHDRSZ, &len) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, 0ul) < 0)
        return vsr_fail_errno(error, errno,
                              "Network link '%s': no virtio-net headers", name);
    return true;
}

static bool shaped(int rc, const char *name, const char *what,
                   const vsr_net_rate *rate, vsr_net_rate *ours, GError **error)
{
    if (rc == 0)
        return true;
    if (rc != -EOPNOTSUPP && rc != -ENOENT)
        return vsr_fail_errno(error, rc,
                              "Network link '%s': its %s bandwidth of %" PRIu64
                              " KiB/s cannot be set",
                              name, what,
                              rate->average != 0 ? rate->average : rate->peak);
    vsr_log(VSR_LOG_INFO,
            "Network link '%s': the host's kernel has no limits for what is "
            "%s; the domain's process keeps it",
            name, what);
    *ours = *rate;
    return true;
}

bool vsr_net_limit(vsr_net_source *out, vsr_netlink *nl, int index,
                   const vsr_net_location *location, GError **error)
{
    /* A tap sends to the guest; a macvtap sends for it. */
    bool is_macvtap = location->kind == VSR_NET_MACVTAP;
    const vsr_net_rate *sent = is_macvtap ? &location->out : &location->in;
    const vsr_net_rate *got = is_macvtap ? &location->in : &location->out;

    if (vsr_net_rate_is_set(sent) &&
        !shaped(vsr_shape_sent(nl, index, sent), out->name, "sent", sent,
                is_macvtap ? &out->out : &out->in, error))
        return false;
    return !vsr_net_rate_is_set(got) ||
           shaped(vsr_shape_received(nl, index, got), out->name, "received",
                  got, is_macvtap ? &out->in : &out->out, error);
}

/* --- checks ---------------------------------------------------------------------- */

static bool check(const vsr_net_location *l, GError **error)
{
    const char *name = l->target != NULL         ? l->target
                       : l->device != NULL       ? l->device
                       : l->kind == VSR_NET_USER ? "user"
                                                 : "?";

    if (l->queues > VSR_NET_QUEUES_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Network '%s': %u queues, %d is the most", name,
                        l->queues, VSR_NET_QUEUES_MAX);
    if (l->target != NULL && (strlen(l->target) > 15 || l->target[0] == '\0' ||
                              strpbrk(l->target, "/ %:") != NULL))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Network '%s': a link's name has 1 to 15 characters, "
                        "and no '/', ':', '%%' or space",
                        name);
    if (l->mtu != 0 && (l->mtu < 68 || l->mtu > 65521))
        return vsr_fail(
            error, VISOR_ERR_CONFIG,
            "Network '%s': an MTU of %u is not between 68 and 65521", name,
            l->mtu);
    if (l->vlan > 4094)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Network '%s': VLAN %u is not between 1 and 4094", name,
                        l->vlan);
    if (l->vlan != 0 && l->kind != VSR_NET_BRIDGE)
        return vsr_fail(
            error, VISOR_ERR_NO_SUPPORT,
            "Network '%s': VLAN %u: only ports of a bridge have one", name,
            l->vlan);
    return true;
}

static bool open_user(vsr_net_source *out, const vsr_net_location *l,
                      GError **error)
{
    if (l->queues > 1)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Network of type 'user': %u queues, it has one",
                        l->queues);
    out->mtu = l->mtu != 0 ? l->mtu : 1500;
    out->in = l->in;
    out->out = l->out;
    if (l->forwards != NULL)
        out->forwards = vsr_net_forwards_copy(l->forwards);
    return true;
}

/* --- sources ----------------------------------------------------------------------- */

bool vsr_net_source_open(vsr_net_source *out, const vsr_net_location *location,
                         GError **error)
{
    vsr_net_source source = { .kind = location->kind,
                              .n = location->queues,
                              .hold_fd = -1 };
    bool ok = false;

    for (uint32_t i = 0; i < VSR_NET_QUEUES_MAX; i++)
        source.fd[i] = -1;
    source.n = MAX(source.n, 1);
    if (!check(location, error))
        return false;
    switch (location->kind) {
    case VSR_NET_USER:
        ok = open_user(&source, location, error);
        break;
    case VSR_NET_BRIDGE:
        vsr_net_sweep();
        ok = vsr_net_open_tap(&source, location, error);
        break;
    case VSR_NET_TAP:
        ok = vsr_net_open_tap(&source, location, error);
        break;
    case VSR_NET_MACVTAP:
        ok = vsr_net_open_macvtap(&source, location, error);
        break;
    case VSR_NET_NULL:
        source.mtu = location->mtu != 0 ? location->mtu : 1500;
        ok = true;
        break;
    default:
        vsr_fail(error, VISOR_ERR_CONFIG, "Network of unknown kind %d",
                 (int)location->kind);
        break;
    }
    if (ok)
        *out = source;
    else
        vsr_net_source_clear(&source);
    return ok;
}

void vsr_net_source_clear(vsr_net_source *source)
{
    for (uint32_t i = 0; i < VSR_NET_QUEUES_MAX; i++) {
        vsr_close(source->fd[i]);
        source->fd[i] = -1;
    }
    vsr_close(source->hold_fd);
    source->hold_fd = -1;
    g_clear_pointer(&source->forwards, g_array_unref);
    g_clear_pointer(&source->name, g_free);
}
