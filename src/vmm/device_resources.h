/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_resources.h: what a plugged device has of the host: images, links,
 * sockets, folders, opened with the rights of whoever asked. At the start and
 * at a hot-plug alike.
 *
 * Threads: any.
 */
#ifndef VSR_VMM_DEVICE_RESOURCES_H
#define VSR_VMM_DEVICE_RESOURCES_H

#include "chardev/chardev.h"
#include "conf/device_conf.h"

typedef struct {
    vsr_device_kind kind;
    vsr_block_source block;     /* disk */
    vsr_net_source net;         /* interface */
    vsr_chardev_source chardev; /* channel */
    int fd;     /* vsock: the listening socket; filesystem: the folder */
    int dir_fd; /* vsock: of the socket */
} vsr_device_resource;

/* Whatever fails, nothing is left. `owner` is the domain's name, for links. The
 * caller frees. */
vsr_device_resource *vsr_device_resource_open(const vsr_device_conf *device,
                                              GError **error);
vsr_device_resource *vsr_device_resource_new(vsr_device_kind kind); /* empty */
void vsr_device_resource_free(vsr_device_resource *resource); /* NULL: no-op */
GPtrArray *vsr_device_resources_new(void);                    /* owns them */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vsr_device_resource, vsr_device_resource_free)

#endif
