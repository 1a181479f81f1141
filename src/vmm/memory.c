/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.c: how much memory the guest has while the domain is active.
 *
 * Threads: the control thread, where vmm.h's functions carry their calls.
 */
#include "base/error.h"
#include "vmm/vmm_state.h"

bool vsr_vmm_set_memory(vsr_vmm *vmm, uint64_t kib, GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT, "There is no balloon");
}
