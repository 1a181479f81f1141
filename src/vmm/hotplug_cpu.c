/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug_cpu.c: vCPUs that come and go while the domain is active.
 *
 * Threads: the control thread, where vmm.h's functions carry their calls.
 */
#include "base/error.h"
#include "vmm/vmm_state.h"

bool vsr_vmm_set_vcpus(vsr_vmm *vmm, uint32_t n, GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "The machine keeps its vCPUs while it runs");
}

uint32_t vsr_vmm_vcpus(vsr_vmm *vmm)
{
    return vmm->conf->vcpus;
}
