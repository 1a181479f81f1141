/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_resources.c: see device_resources.h.
 *
 * Threads: any.
 */
#include "vmm/device_resources.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

vsr_device_resource *vsr_device_resource_new(vsr_device_kind kind)
{
    vsr_device_resource *r = g_new0(vsr_device_resource, 1);

    r->kind = kind;
    r->fd = r->dir_fd = -1;
    r->chardev.kind = VSR_CHARDEV_NULL;
    r->chardev.fd = r->chardev.out_fd = r->chardev.dir_fd = -1;
    r->net.hold_fd = -1;
    for (uint32_t i = 0; i < VSR_NET_QUEUES_MAX; i++)
        r->net.fd[i] = -1;
    return r;
}

void vsr_device_resource_free(vsr_device_resource *r)
{
    if (r == NULL)
        return;
    vsr_block_source_clear(&r->block);
    vsr_net_source_clear(&r->net);
    vsr_chardev_source_clear(&r->chardev);
    vsr_close(r->fd);
    vsr_close(r->dir_fd);
    g_free(r);
}

static bool open_channel(const vsr_channel_conf *conf, vsr_chardev_source *out,
                         GError **error)
{
    if (conf->is_pty)
        return vsr_chardev_open_pty(out, error);
    return vsr_chardev_open_unix(conf->path, conf->listen, out, error);
}

static bool open_folder(const char *path, int *out, GError **error)
{
    *out = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *out >= 0 ||
           vsr_fail_errno(error, errno, "Cannot open folder '%s'", path);
}

static bool open_kind(const vsr_device_conf *device, vsr_device_resource *r,
                      GError **error)
{
    switch (device->kind) {
    case VSR_DEVICE_DISK:
        return vsr_block_source_open(&r->block, &device->disk.source, NULL,
                                     error);
    case VSR_DEVICE_INTERFACE:
        return vsr_net_source_open(&r->net, &device->interface.location, error);
    case VSR_DEVICE_CHANNEL:
        return open_channel(&device->channel, &r->chardev, error);
    case VSR_DEVICE_FILESYSTEM:
        return open_folder(device->filesystem.source, &r->fd, error);
    case VSR_DEVICE_VSOCK:
        return vsr_chardev_open_unix(device->vsock.socket, true, &r->chardev,
                                     error);
    case VSR_DEVICE_RNG:
    case VSR_DEVICE_BALLOON:
    case VSR_DEVICE_MEMORY:
    case VSR_DEVICE_KINDS:
        break;
    }
    return true;
}

vsr_device_resource *vsr_device_resource_open(const vsr_device_conf *device,
                                              GError **error)
{
    g_autoptr(vsr_device_resource) r = vsr_device_resource_new(device->kind);
    char room[64];

    if (!open_kind(device, r, error)) {
        (void)vsr_fail_prefix(error, "<%s> '%s'",
                              vsr_device_kind_text(device->kind),
                              vsr_device_label(device, room));
        return NULL;
    }
    return g_steal_pointer(&r);
}
