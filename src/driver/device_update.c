/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_update.c: see device_update.h.
 *
 * Threads: any.
 */
#include "driver/device_update.h"

#include "base/error.h"
#include "base/fd.h"
#include "conf/device_update.h"

bool vsr_device_update_begin(vsr_device_update *update,
                             const vsr_device_conf *wanted, GError **error)
{
    char room[64];

    if (!vsr_device_can_become(update->live, wanted, error))
        return false;
    if (wanted->kind != VSR_DEVICE_INTERFACE)
        return true;
    update->resource = vsr_device_resource_new(wanted->kind);
    update->is_begun = vsr_net_source_update(
        &update->resource->net, update->link_fd,
        &update->live->interface.location, &wanted->interface.location, error);
    return update->is_begun || vsr_fail_prefix(error, "<interface> '%s'",
                                               vsr_device_label(wanted, room));
}

void vsr_device_update_end(vsr_device_update *update,
                           const vsr_device_conf *wanted, bool ok)
{
    if (update->is_begun && !ok) {
        vsr_net_source undone = { .hold_fd = -1 };

        if (vsr_net_source_update(&undone, update->link_fd,
                                  &wanted->interface.location,
                                  &update->live->interface.location, NULL))
            vsr_net_source_clear(&undone);
    }
    /* The bridge that it left may have been ours, and empty now. */
    if (update->is_begun && wanted->interface.location.kind == VSR_NET_BRIDGE)
        vsr_net_sweep();
    g_clear_pointer(&update->live, vsr_device_conf_free);
    g_clear_pointer(&update->resource, vsr_device_resource_free);
    vsr_close(update->link_fd);
    update->link_fd = -1;
}
