/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * macvtap.c: macvtap links. They outlive every descriptor of theirs, and so the
 * link is made in a network namespace of its own that nothing but hold_fd
 * keeps: the kernel takes both away with it, whatever became of its holder.
 *
 * The namespace, its sysfs (which has the device's number) and a tmpfs for the
 * device node are all without a name in the file system.
 *
 * Spec:    network_namespaces(7); Linux, drivers/net/macvtap.c.
 * Threads: any: what changes its namespace is a thread of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "net/open.h"

enum {
    /* The link of the domain's last run may be on its way out still. */
    TRIES = 50,
    TRY_US = 100000,
};

typedef struct {
    vsr_net_source *out;
    const vsr_net_location *location;
    int lower; /* its index in the caller's namespace */
    const char *name;
    vsr_netlink *host; /* the caller's */
    int ns_fd;
    int index; /* of the link, in its namespace */
    GError **error;
    bool ok;
} making;

static uint32_t mode_of(vsr_net_macvtap mode)
{
    switch (mode) {
    case VSR_NET_MACVTAP_VEPA:
        return MACVLAN_MODE_VEPA;
    case VSR_NET_MACVTAP_PRIVATE:
        return MACVLAN_MODE_PRIVATE;
    case VSR_NET_MACVTAP_PASSTHROUGH:
        return MACVLAN_MODE_PASSTHRU;
    case VSR_NET_MACVTAP_BRIDGE:
    default:
        return MACVLAN_MODE_BRIDGE;
    }
}

/* --- the link ---------------------------------------------------------------------- */

/* From the caller's namespace, where its lower link is, into the new one. */
static int add_link(const making *m)
{
    const vsr_net_location *l = m->location;
    struct nl_msg *msg = vsr_netlink_link_msg(
        RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, AF_UNSPEC, 0);
    struct nlattr *info, *data;

    if (msg == NULL)
        return -ENOMEM;
    nla_put_string(msg, IFLA_IFNAME, m->name);
    nla_put_u32(msg, IFLA_LINK, (uint32_t)m->lower);
    nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)m->ns_fd);
    nla_put(msg, IFLA_ADDRESS, sizeof(l->mac), l->mac);
    if (l->mtu != 0)
        nla_put_u32(msg, IFLA_MTU, l->mtu);
    info = nla_nest_start(msg, IFLA_LINKINFO);
    nla_put_string(msg, IFLA_INFO_KIND, "macvtap");
    data = nla_nest_start(msg, IFLA_INFO_DATA);
    nla_put_u32(msg, IFLA_MACVLAN_MODE, mode_of(l->mode));
    nla_nest_end(msg, data);
    nla_nest_end(msg, info);
    return vsr_netlink_send(m->host, msg);
}

static bool is_passing(int rc)
{
    return rc == -EBUSY || rc == -EADDRINUSE || rc == -EINVAL;
}

static bool make_link(making *m, vsr_netlink *nl, GError **error)
{
    const vsr_net_location *l = m->location;
    vsr_link link;
    int rc = add_link(m);

    for (int i = 0; is_passing(rc) && i < TRIES; i++) {
        g_usleep(TRY_US);
        rc = add_link(m);
    }
    if (rc == 0)
        rc = vsr_netlink_find(nl, m->name, &link);
    if (rc == -EPERM)
        return vsr_fail(error, VISOR_ERR_ACCESS,
                        "A macvtap link on '%s' needs CAP_NET_ADMIN",
                        l->device);
    if (is_passing(rc) && l->mode == VSR_NET_MACVTAP_PASSTHROUGH)
        return vsr_fail(
            error, VISOR_ERR_BUSY,
            "Network link '%s' has a macvtap link already, and mode "
            "'passthrough' takes all of it",
            l->device);
    if (rc < 0)
        return vsr_fail_errno(
            error, rc, "A macvtap link on '%s' cannot be made", l->device);
    m->index = link.index;
    m->out->mtu = link.mtu;
    return true;
}

static bool bring_up(making *m, vsr_netlink *nl, GError **error)
{
    const uint8_t *mac = m->location->mac;
    int rc = vsr_netlink_set_up(nl, m->index, true);

    for (int i = 0; is_passing(rc) && i < TRIES; i++) {
        g_usleep(TRY_US);
        rc = vsr_netlink_set_up(nl, m->index, true);
    }
    if (is_passing(rc))
        return vsr_fail(error, VISOR_ERR_BUSY,
                        "Network link '%s': the address "
                        "%02x:%02x:%02x:%02x:%02x:%02x is in use on it",
                        m->location->device, mac[0], mac[1], mac[2], mac[3],
                        mac[4], mac[5]);
    if (rc == -ENETDOWN)
        return vsr_fail(
            error, VISOR_ERR_CONFIG,
            "Network link '%s' is down: a macvtap link on it cannot "
            "be up",
            m->location->device);
    if (rc < 0)
        return vsr_fail_errno(error, rc,
                              "The macvtap link on '%s' cannot be set up",
                              m->location->device);
    return true;
}

/* --- its device -------------------------------------------------------------------- */

/* A mount of `type` that only its descriptor names; of this thread's network
 * namespace. */
static int mount_of(const char *type)
{
    vsr_autofd context = fsopen(type, FSOPEN_CLOEXEC);

    if (context < 0 ||
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID);
}

static bool device_number(const making *m, dev_t *out, GError **error)
{
    vsr_autofd sys = mount_of("sysfs"), fd = -1;
    g_autofree char *path =
        g_strdup_printf("class/net/%s/macvtap/tap%d/dev", m->name, m->index);
    char text[32] = "";
    unsigned major_nr, minor_nr;

    if (sys >= 0)
        fd = openat(sys, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return vsr_fail_errno(error, errno,
                              "Macvtap on '%s': the number of its device",
                              m->location->device);
    if (sscanf(text, "%u:%u", &major_nr, &minor_nr) != 2)
        return vsr_fail(error, VISOR_ERR_SYSTEM,
                        "Macvtap on '%s': '%s' is not a device's number",
                        m->location->device, text);
    *out = makedev(major_nr, minor_nr);
    return true;
}

static bool open_queue(const making *m, int folder, uint32_t i, GError **error)
{
    vsr_net_source *out = m->out;
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

    out->fd[i] = openat(folder, "tap", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (out->fd[i] < 0)
        return vsr_fail_errno(error, errno, "Macvtap on '%s': its device",
                              m->location->device);
    if (out->n > 1)
        ifr.ifr_flags |= IFF_MULTI_QUEUE;
    g_strlcpy(ifr.ifr_name, m->name, IFNAMSIZ);
    if (ioctl(out->fd[i], TUNSETIFF, &ifr) < 0)
        return vsr_fail_errno(error, errno, "Macvtap on '%s': queue %u",
                              m->location->device, i);
    return vsr_net_prepare_fd(out->fd[i], m->name, error);
}

static bool open_queues(const making *m, GError **error)
{
    vsr_autofd folder = -1;
    dev_t number = 0;

    if (!device_number(m, &number, error))
        return false;
    folder = mount_of("tmpfs");
    if (folder < 0 || mknodat(folder, "tap", S_IFCHR | 0600, number) < 0)
        return vsr_fail_errno(error, errno, "Macvtap on '%s': its device node",
                              m->location->device);
    for (uint32_t i = 0; i < m->out->n; i++)
        if (!open_queue(m, folder, i, error))
            return false;
    m->out->vnet_hdr = true;
    return true;
}

/* --- the namespace ------------------------------------------------------------------- */

static bool make(making *m, GError **error)
{
    g_autoptr(vsr_netlink) nl = NULL;

    if (unshare(CLONE_NEWNET) < 0)
        return vsr_fail_errno(error, errno,
                              "Macvtap on '%s': a network namespace for it",
                              m->location->device);
    m->ns_fd = m->out->hold_fd =
        open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (m->ns_fd < 0)
        return vsr_fail_errno(error, errno, "/proc/thread-self/ns/net");
    nl = vsr_netlink_open(error);
    if (nl == NULL || !make_link(m, nl, error))
        return false;
    m->out->name = g_strdup(m->name);
    return vsr_net_limit(m->out, nl, m->index, m->location, error) &&
           bring_up(m, nl, error) && open_queues(m, error);
}

static void *make_thread(void *opaque)
{
    making *m = opaque;

    m->ok = make(m, m->error);
    return NULL;
}

bool vsr_net_open_macvtap(vsr_net_source *out, const vsr_net_location *l,
                          GError **error)
{
    g_autoptr(vsr_netlink) host = vsr_netlink_open(error);
    making m = { .out = out, .location = l, .host = host, .error = error };
    GThread *thread;
    vsr_link lower;
    int rc;

    if (host == NULL)
        return false;
    if (l->device == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "A network of type 'direct' needs a link of the host");
    rc = vsr_netlink_find(host, l->device, &lower);
    if (rc == -ENODEV)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND,
                        "Network link '%s': there is none", l->device);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Network link '%s'", l->device);
    m.lower = lower.index;
    m.name = l->target != NULL ? l->target : "macvtap0";
    thread = g_thread_try_new("visor-macvtap", make_thread, &m, error);
    if (thread == NULL)
        return false;
    g_thread_join(thread);
    return m.ok;
}
