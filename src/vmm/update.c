/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * update.c: devices that change while the guest uses them.
 *
 * Threads: the control thread, where vmm.h's functions carry their calls.
 */
#include "base/error.h"
#include "vmm/plugged.h"

bool vsr_vmm_update(vsr_vmm *vmm, const vsr_device_conf *conf, GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "<%s> cannot be changed while it is used",
                    vsr_device_kind_text(conf->kind));
}

bool vsr_vmm_resize_disk(vsr_vmm *vmm, const char *target, uint64_t bytes,
                         GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT, "Disk '%s' keeps its size",
                    target);
}
