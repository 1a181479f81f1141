/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_complete.c: the defaults of devices and the checks that need no host:
 * of each, then of all of a domain's together.
 *
 * Threads: any.
 */
#include "conf/device_conf.h"

#include <string.h>

#include "base/error.h"
#include "conf/check.h"
#include "conf/domain_conf.h"

/* --- one ------------------------------------------------------------------------ */

static bool check_iotune(const char *what, uint64_t total, uint64_t read,
                         uint64_t write, GError **error)
{
    if (total != 0 && (read != 0 || write != 0))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<iotune>: %s is given in all and for reads or writes: "
                        "give one",
                        what);
    return true;
}

static bool check_throttle(const vsr_block_throttle *t, GError **error)
{
    return check_iotune("bytes_sec", t->total_bytes, t->read_bytes,
                        t->write_bytes, error) &&
           check_iotune("iops_sec", t->total_iops, t->read_iops, t->write_iops,
                        error) &&
           check_iotune("bytes_sec_max", t->total_bytes_max, t->read_bytes_max,
                        t->write_bytes_max, error) &&
           check_iotune("iops_sec_max", t->total_iops_max, t->read_iops_max,
                        t->write_iops_max, error);
}

static bool is_block_size(uint32_t bytes)
{
    return bytes == 0 ||
           (bytes >= 512 && bytes <= 65536 && (bytes & (bytes - 1)) == 0);
}

static bool complete_disk(vsr_disk_conf *disk, GError **error)
{
    const char *t = disk->target;

    if (t == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<disk> needs a <target dev='vd…'/>");
    if (strlen(t) > VSR_TARGET_MAX || strlen(t) < 3 || t[0] != 'v' ||
        t[1] != 'd' ||
        strspn(t + 2, "abcdefghijklmnopqrstuvwxyz") + 2 != strlen(t))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<target dev='%.64s'>: a virtio disk's is vda, vdb …",
                        t);
    if (disk->source.protocol == VSR_BLOCK_FILE && disk->source.path == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG, "<disk> '%s' needs a <source>",
                        t);
    if (!vsr_conf_check_path("source", disk->source.path, error) ||
        !vsr_conf_check_line("host", disk->source.host, VSR_NAME_MAX, error) ||
        !vsr_conf_check_line("source name", disk->source.export, VSR_TEXT_MAX,
                             error) ||
        !vsr_conf_check_line("serial", disk->serial, VSR_SERIAL_NUMBER_MAX,
                             error) ||
        !check_throttle(&disk->options.throttle, error))
        return vsr_fail_prefix(error, "<disk> '%s'", t);
    if (disk->queues > VSR_DISK_QUEUES_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<disk> '%s': queues='%u', %d at the most", t,
                        disk->queues, (int)VSR_DISK_QUEUES_MAX);
    if (!is_block_size(disk->logical_block) ||
        !is_block_size(disk->physical_block))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<disk> '%s': a <blockio> size is no power of two from "
                        "512 to 65536",
                        t);
    if (disk->rerror_policy == VSR_ERROR_POLICY_ENOSPACE)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<disk> '%s': rerror_policy='enospace' makes no sense",
                        t);
    return true;
}

/* 52:54:00 is what KVM and QEMU use of the locally administered ones. */
static void choose_mac(uint8_t mac[6])
{
    uint32_t random = g_random_int();

    mac[0] = 0x52;
    mac[1] = 0x54;
    mac[2] = 0x00;
    memcpy(mac + 3, &random, 3);
}

static bool is_ifname(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < 16 && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0 && strpbrk(name, "/: \t\n") == NULL;
}

static bool complete_interface(vsr_interface_conf *i, GError **error)
{
    vsr_net_location *l = &i->location;

    if (!i->mac_given) {
        choose_mac(l->mac);
        i->mac_given = true;
    }
    if ((l->mac[0] & 1) != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<mac>: %02x:%02x:… is a multicast address", l->mac[0],
                        l->mac[1]);
    if (l->queues == 0)
        l->queues = 1;
    if (l->queues > VSR_NET_QUEUES_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<interface>: queues='%u', %d at the most", l->queues,
                        (int)VSR_NET_QUEUES_MAX);
    if (l->queues > 1 && l->kind == VSR_NET_USER)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<interface type='user'> has one queue");
    if ((l->kind == VSR_NET_BRIDGE || l->kind == VSR_NET_MACVTAP) &&
        l->device == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<interface type='%s'> needs a <source %s='…'/>",
                        l->kind == VSR_NET_BRIDGE ? "bridge" : "direct",
                        l->kind == VSR_NET_BRIDGE ? "bridge" : "dev");
    if ((l->device != NULL && !is_ifname(l->device)) ||
        (l->target != NULL && !is_ifname(l->target)))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<interface>: '%.64s' cannot be a link's name",
                        l->device != NULL && !is_ifname(l->device) ? l->device
                                                                   : l->target);
    if (l->mtu != 0 && (l->mtu < 68 || l->mtu > 65535))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<mtu size='%u'>: 68 to 65535 are possible", l->mtu);
    return true;
}

static bool complete_vsock(vsr_vsock_conf *v, GError **error)
{
    if (v->cid_auto && v->cid == 0)
        v->cid = 3; /* the host's side is a socket: nobody else can have it */
    if (v->cid < 3 || v->cid == UINT32_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<cid address='%u'>: 3 to 4294967294 are possible",
                        v->cid);
    if (v->socket == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<vsock> needs a <visor:socket path='…'/>");
    return vsr_conf_check_path("visor:socket", v->socket, error);
}

static bool complete_channel(vsr_channel_conf *c, GError **error)
{
    if (c->name == NULL || *c->name == '\0')
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<channel> needs a <target name='…'/>");
    if (!c->is_pty && c->path == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<channel> '%.64s' needs a <source path='…'/>",
                        c->name);
    return vsr_conf_check_line("target name", c->name, VSR_TAG_MAX, error) &&
           vsr_conf_check_path("source", c->path, error);
}

static bool complete_filesystem(vsr_filesystem_conf *f, GError **error)
{
    if (f->source == NULL || f->tag == NULL || *f->tag == '\0')
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<filesystem> needs <source dir='…'/> and <target "
                        "dir='…'/>");
    return vsr_conf_check_path("source", f->source, error) &&
           vsr_conf_check_line("target", f->tag, VSR_TAG_MAX, error);
}

/* A host's and a guest's huge page; more of them for much memory, since each
 * block is a slot of the engine's, which takes KVM up to 7 ms. */
static uint64_t choose_block_kib(uint64_t size_kib)
{
    uint64_t block = 2048;

    while (block < size_kib / 1024)
        block *= 2;
    return block;
}

static bool complete_memory(vsr_memory_conf *m, GError **error)
{
    uint64_t block;

    if (m->block_kib == 0)
        m->block_kib = choose_block_kib(m->size_kib);
    block = m->block_kib;
    if (block < 2048 || (block & (block - 1)) != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memory>: <block> is %" G_GUINT64_FORMAT
                        " KiB, no power of two from 2048 on",
                        block);
    if (m->size_kib == 0 || m->size_kib % block != 0 ||
        m->size_kib > VSR_MEMORY_MAX_KIB)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memory>: <size> is %" G_GUINT64_FORMAT
                        " KiB, a multiple of the <block> of "
                        "%" G_GUINT64_FORMAT " KiB is needed",
                        m->size_kib, block);
    if (m->size_kib / block > VSR_MEMORY_BLOCKS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memory>: %" G_GUINT64_FORMAT
                        " KiB in blocks of %" G_GUINT64_FORMAT
                        " KiB are more than %d blocks: take %" G_GUINT64_FORMAT
                        " KiB",
                        m->size_kib, block, (int)VSR_MEMORY_BLOCKS_MAX,
                        choose_block_kib(m->size_kib));
    if (m->requested_kib > m->size_kib || m->requested_kib % block != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memory>: <requested> is %" G_GUINT64_FORMAT
                        " KiB, a multiple of the <block> up to the <size> of "
                        "%" G_GUINT64_FORMAT " KiB is needed",
                        m->requested_kib, m->size_kib);
    return true;
}

bool vsr_device_complete(vsr_device_conf *device, GError **error)
{
    if (!vsr_conf_check_line("alias", device->alias, VSR_NAME_MAX, error))
        return false;
    switch (device->kind) {
    case VSR_DEVICE_DISK:
        return complete_disk(&device->disk, error);
    case VSR_DEVICE_INTERFACE:
        return complete_interface(&device->interface, error);
    case VSR_DEVICE_VSOCK:
        return complete_vsock(&device->vsock, error);
    case VSR_DEVICE_CHANNEL:
        return complete_channel(&device->channel, error);
    case VSR_DEVICE_FILESYSTEM:
        return complete_filesystem(&device->filesystem, error);
    case VSR_DEVICE_MEMORY:
        return complete_memory(&device->memory, error);
    case VSR_DEVICE_RNG:
    case VSR_DEVICE_BALLOON:
    case VSR_DEVICE_KINDS:
        break;
    }
    return true;
}

/* --- all ------------------------------------------------------------------------ */

static bool check_pair(const vsr_device_conf *a, const vsr_device_conf *b,
                       GError **error)
{
    char room[64];

    if (a->alias != NULL && g_strcmp0(a->alias, b->alias) == 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<alias name='%s'> is given twice", a->alias);
    if (a->slot != 0 && a->slot == b->slot)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<address>: slot 0x%02x is given twice", a->slot);
    if (a->kind == b->kind && !vsr_device_is_nameless(a->kind) &&
        vsr_device_same(a, b))
        return vsr_fail(error, VISOR_ERR_CONFIG, "<%s> '%s' is given twice",
                        vsr_device_kind_text(a->kind),
                        vsr_device_label(a, room));
    return true;
}

/* All channels are ports of one controller, which the first one stands for. */
static bool takes_slot(const GPtrArray *devices, guint index)
{
    const vsr_device_conf *device = devices->pdata[index];

    if (device->kind == VSR_DEVICE_BALLOON)
        return !device->balloon.none;
    if (device->kind != VSR_DEVICE_CHANNEL)
        return true;
    for (guint i = 0; i < index; i++)
        if (((const vsr_device_conf *)devices->pdata[i])->kind ==
            VSR_DEVICE_CHANNEL)
            return false;
    return true;
}

static uint8_t free_slot(uint64_t taken)
{
    for (uint8_t slot = 1; slot <= VSR_SLOTS_MAX; slot++)
        if ((taken & UINT64_C(1) << slot) == 0)
            return slot;
    return 0;
}

bool vsr_devices_complete(GPtrArray *devices, bool is_pci, GError **error)
{
    uint64_t taken = 0;
    uint32_t n = 0;

    for (guint i = 0; i < devices->len; i++) {
        vsr_device_conf *device = devices->pdata[i];

        if (!vsr_device_complete(device, error))
            return false;
        if (device->slot != 0 && !is_pci)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "<address type='pci'>: this machine has no PCI");
        if (device->kind == VSR_DEVICE_MEMORY && !is_pci)
            return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                            "<memory>: only the pci machine has room for it");
        for (guint j = 0; j < i; j++)
            if (!check_pair(device, devices->pdata[j], error))
                return false;
        taken |= UINT64_C(1) << device->slot;
        n += takes_slot(devices, i);
    }
    if (n > VSR_SLOTS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<devices> has %u that take a slot, %d at the most", n,
                        (int)VSR_SLOTS_MAX);
    for (guint i = 0; is_pci && i < devices->len; i++) {
        vsr_device_conf *device = devices->pdata[i];

        if (device->slot == 0 && takes_slot(devices, i)) {
            device->slot = free_slot(taken);
            taken |= UINT64_C(1) << device->slot;
        }
    }
    return true;
}
