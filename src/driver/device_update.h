/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_update.h: the host's half of a change of a device that is used: what
 * the domain's process, in its sandbox, has no right to.
 *
 * Threads: any.
 */
#ifndef VSR_DRIVER_DEVICE_UPDATE_H
#define VSR_DRIVER_DEVICE_UPDATE_H

#include "vmm/device_resources.h"

typedef struct {
    /* Of vsr_vmm_device(), the caller fills them in; owned. */
    vsr_device_conf *live;
    int link_fd;
    /* For the domain's process, which takes it; NULL: there is none. */
    vsr_device_resource *resource;
    bool is_begun;
} vsr_device_update;

/* Checks that it can be done, and does the host's half. NO_SUPPORT names what
 * cannot change; ACCESS, NOT_FOUND: as vsr_net_source_update(). */
bool vsr_device_update_begin(vsr_device_update *update,
                             const vsr_device_conf *wanted, GError **error);
/* After the domain's half, and after a failure of either: the host's half is
 * taken back unless `ok`. Clears `update`. */
void vsr_device_update_end(vsr_device_update *update,
                           const vsr_device_conf *wanted, bool ok);

#endif
