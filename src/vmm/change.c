/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* change.c: a change of a domain's machine finds its function. */
#include "vmm/vmm.h"

#include "base/error.h"

bool vsr_vmm_change(vsr_vmm *vmm, const vsr_change *change,
                    vsr_device_resource *resource, GError **error)
{
    switch (change->kind) {
    case VSR_CHANGE_ATTACH:
        return vsr_vmm_attach(vmm, change->device, resource, error);
    case VSR_CHANGE_DETACH:
        return vsr_vmm_detach(vmm, change->device, error);
    case VSR_CHANGE_UPDATE:
        return vsr_vmm_update(vmm, change->device, resource, error);
    case VSR_CHANGE_VCPUS:
        return vsr_vmm_set_vcpus(
            vmm, (uint32_t)MIN(change->value, (uint64_t)UINT32_MAX), error);
    case VSR_CHANGE_MEMORY:
        return vsr_vmm_set_memory(vmm, change->value, error);
    case VSR_CHANGE_DISK_SIZE:
        return vsr_vmm_resize_disk(vmm, change->target, change->value, error);
    case VSR_CHANGE_VCPUS_MAX:
    case VSR_CHANGE_MEMORY_MAX:
    case VSR_CHANGE_KINDS:
        break;
    }
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "A running domain keeps its maximum");
}

bool vsr_vmm_is_changed(vsr_vmm *vmm, const vsr_change *change)
{
    if (change->kind == VSR_CHANGE_DETACH)
        return !vsr_vmm_has_device(vmm, change->device);
    if (change->kind == VSR_CHANGE_VCPUS)
        return vsr_vmm_vcpus(vmm) <= change->value;
    return true;
}
