/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_update.c: see device_update.h.
 *
 * Threads: any.
 */
#include "conf/device_update.h"

#include <string.h>

#include "base/error.h"

/* One thing that has to stay: whether it does, and its name in the XML. */
typedef struct {
    bool same;
    const char *what;
} fixed;

enum { FIXED_MAX = 16 };

static bool same_text(const char *a, const char *b)
{
    return g_strcmp0(a, b) == 0;
}

/* --- the kinds -------------------------------------------------------------------- */

static void fix_disk(const vsr_device_conf *live, const vsr_device_conf *wanted,
                     fixed *out)
{
    const vsr_disk_conf *a = &live->disk, *b = &wanted->disk;
    const vsr_block_location *s = &a->source, *t = &b->source;
    const vsr_block_options *o = &a->options, *p = &b->options;

    *out++ = (fixed){ same_text(a->target, b->target), "<target>" };
    *out++ =
        (fixed){ s->protocol == t->protocol && a->is_block == b->is_block &&
                     same_text(s->path, t->path) &&
                     same_text(s->host, t->host) && s->port == t->port &&
                     same_text(s->export, t->export),
                 "<source> (no drive here has media that can be changed)" };
    *out++ = (fixed){ s->format == t->format, "<driver type>" };
    *out++ = (fixed){ o->cache == p->cache, "<driver cache>" };
    *out++ = (fixed){ o->aio == p->aio, "<driver io>" };
    *out++ = (fixed){ o->discard == p->discard, "<driver discard>" };
    *out++ = (fixed){ o->detect_zeroes == p->detect_zeroes,
                      "<driver detect_zeroes>" };
    *out++ = (fixed){ a->queues == b->queues, "<driver queues>" };
    *out++ = (fixed){ s->readonly == t->readonly, "<readonly>" };
    *out++ = (fixed){ s->shareable == t->shareable, "<shareable>" };
    *out++ = (fixed){ same_text(a->serial, b->serial), "<serial>" };
    *out++ = (fixed){ a->logical_block == b->logical_block &&
                          a->physical_block == b->physical_block,
                      "<blockio>" };
}

static void become_disk(vsr_device_conf *live, const vsr_device_conf *wanted)
{
    live->disk.options.throttle = wanted->disk.options.throttle;
    live->disk.error_policy = wanted->disk.error_policy;
    live->disk.rerror_policy = wanted->disk.rerror_policy;
}

static bool same_forwards(const GArray *a, const GArray *b)
{
    if (a->len != b->len)
        return false;
    for (guint i = 0; i < a->len; i++) {
        const vsr_net_forward *f = &g_array_index(a, vsr_net_forward, i);
        const vsr_net_forward *g = &g_array_index(b, vsr_net_forward, i);

        if (f->is_udp != g->is_udp || f->host_port != g->host_port ||
            f->guest_port != g->guest_port ||
            !same_text(f->host_addr, g->host_addr))
            return false;
    }
    return true;
}

static void fix_interface(const vsr_device_conf *live,
                          const vsr_device_conf *wanted, fixed *out)
{
    const vsr_net_location *a = &live->interface.location;
    const vsr_net_location *b = &wanted->interface.location;
    bool is_macvtap = a->kind == VSR_NET_MACVTAP;

    *out++ = (fixed){ memcmp(a->mac, b->mac, sizeof(a->mac)) == 0, "<mac>" };
    *out++ = (fixed){ a->kind == b->kind, "<interface type>" };
    /* Another bridge is possible. */
    *out++ =
        (fixed){ a->kind == VSR_NET_BRIDGE || same_text(a->device, b->device),
                 "<source>" };
    *out++ = (fixed){ a->mode == b->mode, "<source mode>" };
    *out++ = (fixed){ b->target == NULL || same_text(a->target, b->target),
                      "<target>" };
    *out++ = (fixed){ a->managed == b->managed, "<target managed>" };
    *out++ = (fixed){ a->queues == b->queues, "<driver queues>" };
    *out++ = (fixed){ a->mtu == b->mtu, "<mtu>" };
    *out++ = (fixed){ a->vlan == b->vlan, "<vlan>" };
    *out++ =
        (fixed){ same_forwards(a->forwards, b->forwards), "<portForward>" };
    /* Nobody but the domain's process can reach its link, and that has no
     * right to. */
    *out++ = (fixed){ !is_macvtap || vsr_net_limits_same(a, b),
                      "<bandwidth> of type 'direct'" };
}

static void become_interface(vsr_device_conf *live,
                             const vsr_device_conf *wanted)
{
    vsr_net_location *a = &live->interface.location;
    const vsr_net_location *b = &wanted->interface.location;

    live->interface.link_down = wanted->interface.link_down;
    a->in = b->in;
    a->out = b->out;
    if (!same_text(a->device, b->device)) {
        g_free(a->device);
        a->device = g_strdup(b->device);
    }
}

static void become_rng(vsr_device_conf *live, const vsr_device_conf *wanted)
{
    live->rng = wanted->rng;
}

static void fix_balloon(const vsr_device_conf *live,
                        const vsr_device_conf *wanted, fixed *out)
{
    const vsr_balloon_conf *a = &live->balloon, *b = &wanted->balloon;

    *out++ = (fixed){ a->none == b->none, "<memballoon model>" };
    /* Features, which the guest's driver has taken or not. */
    *out++ =
        (fixed){ a->autodeflate == b->autodeflate, "<memballoon autodeflate>" };
    *out++ = (fixed){ a->free_page_reporting == b->free_page_reporting,
                      "<memballoon freePageReporting>" };
}

static void become_balloon(vsr_device_conf *live, const vsr_device_conf *wanted)
{
    live->balloon.stats_period_s = wanted->balloon.stats_period_s;
}

static void fix_vsock(const vsr_device_conf *live,
                      const vsr_device_conf *wanted, fixed *out)
{
    *out++ = (fixed){ live->vsock.cid == wanted->vsock.cid, "<cid>" };
    *out++ = (fixed){ same_text(live->vsock.socket, wanted->vsock.socket),
                      "<visor:socket>" };
}

static void fix_channel(const vsr_device_conf *live,
                        const vsr_device_conf *wanted, fixed *out)
{
    const vsr_channel_conf *a = &live->channel, *b = &wanted->channel;

    *out++ = (fixed){ same_text(a->name, b->name), "<target>" };
    *out++ = (fixed){ a->is_pty == b->is_pty, "<channel type>" };
    *out++ = (fixed){ a->listen == b->listen, "<source mode>" };
    /* Of a pty it is the host's to say. */
    *out++ = (fixed){ a->is_pty || same_text(a->path, b->path), "<source>" };
}

static void fix_filesystem(const vsr_device_conf *live,
                           const vsr_device_conf *wanted, fixed *out)
{
    const vsr_filesystem_conf *a = &live->filesystem;
    const vsr_filesystem_conf *b = &wanted->filesystem;

    *out++ = (fixed){ same_text(a->tag, b->tag), "<target>" };
    *out++ = (fixed){ same_text(a->source, b->source), "<source>" };
    *out++ = (fixed){ a->readonly == b->readonly, "<readonly>" };
    *out++ =
        (fixed){ a->access_given == b->access_given && a->access == b->access,
                 "<filesystem accessmode>" };
}

static void fix_memory(const vsr_device_conf *live,
                       const vsr_device_conf *wanted, fixed *out)
{
    const vsr_memory_conf *a = &live->memory, *b = &wanted->memory;

    *out++ = (fixed){ a->size_kib == b->size_kib, "<size>" };
    *out++ = (fixed){ a->block_kib == b->block_kib, "<block>" };
}

static void become_memory(vsr_device_conf *live, const vsr_device_conf *wanted)
{
    live->memory.requested_kib = wanted->memory.requested_kib;
}

/* --- all -------------------------------------------------------------------------- */

static const struct {
    /* What has to stay, up to a row without name. */
    void (*fix)(const vsr_device_conf *live, const vsr_device_conf *wanted,
                fixed *out);
    void (*become)(vsr_device_conf *live,
                   const vsr_device_conf *wanted); /* O */
} kinds[VSR_DEVICE_KINDS] = {
    [VSR_DEVICE_DISK] = { fix_disk, become_disk },
    [VSR_DEVICE_INTERFACE] = { fix_interface, become_interface },
    [VSR_DEVICE_RNG] = { NULL, become_rng },
    [VSR_DEVICE_BALLOON] = { fix_balloon, become_balloon },
    [VSR_DEVICE_VSOCK] = { fix_vsock, NULL },
    [VSR_DEVICE_CHANNEL] = { fix_channel, NULL },
    [VSR_DEVICE_FILESYSTEM] = { fix_filesystem, NULL },
    [VSR_DEVICE_MEMORY] = { fix_memory, become_memory },
};

bool vsr_device_can_become(const vsr_device_conf *live,
                           const vsr_device_conf *wanted, GError **error)
{
    fixed list[FIXED_MAX] = { { 0 } };
    const char *moved = NULL;
    char room[64];

    if (wanted->slot != 0 && wanted->slot != live->slot)
        moved = "<address>";
    else if (kinds[live->kind].fix != NULL)
        kinds[live->kind].fix(live, wanted, list);
    for (int i = 0; moved == NULL && list[i].what != NULL; i++)
        if (!list[i].same)
            moved = list[i].what;
    return moved == NULL ||
           vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "<%s> '%s' is in use, and its %s cannot change meanwhile",
                    vsr_device_kind_text(live->kind),
                    vsr_device_label(live, room), moved);
}

void vsr_device_become(vsr_device_conf *live, const vsr_device_conf *wanted)
{
    if (kinds[live->kind].become != NULL)
        kinds[live->kind].become(live, wanted);
}
