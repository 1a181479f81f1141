/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_conf.c: making, copying, freeing and comparing devices.
 *
 * Threads: any.
 */
#include "conf/device_conf.h"

#include <stdio.h>
#include <string.h>

#include "net/forwards.h"

vsr_device_conf *vsr_device_conf_new(vsr_device_kind kind)
{
    vsr_device_conf *device = g_new0(vsr_device_conf, 1);

    device->kind = kind;
    if (kind == VSR_DEVICE_INTERFACE)
        device->interface.location.forwards = vsr_net_forwards_new();
    return device;
}

enum { STRINGS_MAX = 5 };

/* The strings that a kind owns. */
static uint32_t strings_of(vsr_device_conf *device, char **out[STRINGS_MAX])
{
    uint32_t n = 0;

    switch (device->kind) {
    case VSR_DEVICE_DISK:
        out[n++] = &device->disk.source.path;
        out[n++] = &device->disk.source.host;
        out[n++] = &device->disk.source.export;
        out[n++] = &device->disk.target;
        out[n++] = &device->disk.serial;
        break;
    case VSR_DEVICE_INTERFACE:
        out[n++] = &device->interface.location.device;
        out[n++] = &device->interface.location.target;
        break;
    case VSR_DEVICE_VSOCK:
        out[n++] = &device->vsock.socket;
        break;
    case VSR_DEVICE_CHANNEL:
        out[n++] = &device->channel.path;
        out[n++] = &device->channel.name;
        break;
    case VSR_DEVICE_FILESYSTEM:
        out[n++] = &device->filesystem.source;
        out[n++] = &device->filesystem.tag;
        break;
    case VSR_DEVICE_RNG:
    case VSR_DEVICE_BALLOON:
    case VSR_DEVICE_MEMORY:
    case VSR_DEVICE_KINDS:
        break;
    }
    return n;
}

vsr_device_conf *vsr_device_conf_copy(const vsr_device_conf *device)
{
    vsr_device_conf *copy = g_memdup2(device, sizeof(*device));
    char **strings[STRINGS_MAX];
    uint32_t n = strings_of(copy, strings);

    copy->alias = g_strdup(device->alias);
    for (uint32_t i = 0; i < n; i++)
        *strings[i] = g_strdup(*strings[i]);
    if (copy->kind == VSR_DEVICE_INTERFACE)
        copy->interface.location.forwards =
            vsr_net_forwards_copy(device->interface.location.forwards);
    return copy;
}

void vsr_device_conf_free(vsr_device_conf *device)
{
    char **strings[STRINGS_MAX];
    uint32_t n;

    if (device == NULL)
        return;
    n = strings_of(device, strings);
    for (uint32_t i = 0; i < n; i++)
        g_free(*strings[i]);
    if (device->kind == VSR_DEVICE_INTERFACE)
        g_array_unref(device->interface.location.forwards);
    g_free(device->alias);
    g_free(device);
}

const char *vsr_device_kind_text(vsr_device_kind kind)
{
    static const char *const texts[VSR_DEVICE_KINDS] = {
        [VSR_DEVICE_DISK] = "disk",
        [VSR_DEVICE_INTERFACE] = "interface",
        [VSR_DEVICE_RNG] = "rng",
        [VSR_DEVICE_BALLOON] = "memballoon",
        [VSR_DEVICE_VSOCK] = "vsock",
        [VSR_DEVICE_CHANNEL] = "channel",
        [VSR_DEVICE_FILESYSTEM] = "filesystem",
        [VSR_DEVICE_MEMORY] = "memory",
    };

    return kind < VSR_DEVICE_KINDS ? texts[kind] : "device";
}

const char *vsr_device_label(const vsr_device_conf *device, char room[64])
{
    const uint8_t *mac;

    switch (device->kind) {
    case VSR_DEVICE_DISK:
        return device->disk.target != NULL ? device->disk.target : "disk";
    case VSR_DEVICE_INTERFACE:
        mac = device->interface.location.mac;
        (void)snprintf(room, 64, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
                       mac[1], mac[2], mac[3], mac[4], mac[5]);
        return room;
    case VSR_DEVICE_CHANNEL:
        return device->channel.name != NULL ? device->channel.name : "channel";
    case VSR_DEVICE_FILESYSTEM:
        return device->filesystem.tag != NULL ? device->filesystem.tag
                                              : "filesystem";
    case VSR_DEVICE_MEMORY:
        if (device->alias != NULL)
            return device->alias;
        break;
    case VSR_DEVICE_RNG:
    case VSR_DEVICE_BALLOON:
    case VSR_DEVICE_VSOCK:
    case VSR_DEVICE_KINDS:
        break;
    }
    return vsr_device_kind_text(device->kind);
}

bool vsr_device_is_nameless(vsr_device_kind kind)
{
    return kind == VSR_DEVICE_RNG || kind == VSR_DEVICE_MEMORY;
}

bool vsr_device_same(const vsr_device_conf *a, const vsr_device_conf *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->alias != NULL && b->alias != NULL)
        return strcmp(a->alias, b->alias) == 0;
    switch (a->kind) {
    case VSR_DEVICE_DISK:
        return g_strcmp0(a->disk.target, b->disk.target) == 0;
    case VSR_DEVICE_INTERFACE:
        return memcmp(a->interface.location.mac, b->interface.location.mac,
                      sizeof(a->interface.location.mac)) == 0;
    case VSR_DEVICE_CHANNEL:
        return g_strcmp0(a->channel.name, b->channel.name) == 0;
    case VSR_DEVICE_FILESYSTEM:
        return g_strcmp0(a->filesystem.tag, b->filesystem.tag) == 0;
    case VSR_DEVICE_MEMORY:
        if (a->slot != 0 && b->slot != 0)
            return a->slot == b->slot;
        return a->memory.size_kib == b->memory.size_kib &&
               a->memory.block_kib == b->memory.block_kib;
    case VSR_DEVICE_RNG:
        return a->slot == 0 || b->slot == 0 || a->slot == b->slot;
    case VSR_DEVICE_BALLOON:
    case VSR_DEVICE_VSOCK:
    case VSR_DEVICE_KINDS:
        break;
    }
    return true; /* a domain has one of them */
}

vsr_device_conf *vsr_device_find_like(const GPtrArray *devices,
                                      const vsr_device_conf *like)
{
    for (guint i = 0; i < devices->len; i++)
        if (vsr_device_same(devices->pdata[i], like))
            return devices->pdata[i];
    return NULL;
}
