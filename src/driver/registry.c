/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * registry.c: the only list of backends, in the order in which `auto` tries
 * them.
 *
 * Threads: any; constant.
 */
#include <string.h>

#include "driver/driver.h"

static const vsr_driver *const drivers[] = {
#ifdef VSR_WITH_KVM
    &vsr_kvm_driver,
#endif
#ifdef VSR_WITH_XEN
    &vsr_xen_driver,
#endif
#ifdef VSR_WITH_EMU
    &vsr_emu_driver,
#endif
    NULL,
};

const vsr_driver *const *vsr_drivers(void)
{
    return drivers;
}

const vsr_driver *vsr_driver_find(const char *name)
{
    for (const vsr_driver *const *d = drivers; *d != NULL; d++)
        if (strcmp((*d)->name, name) == 0)
            return *d;
    return NULL;
}
