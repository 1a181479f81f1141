/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * engines.c: the engines alone, for the process of one domain, which needs no
 * driver. The other half of registry.c.
 *
 * Threads: any; constant.
 */
#include <string.h>

#include "driver/driver.h"

static const vsr_engine_ops *const engines[] = {
#ifdef VSR_WITH_KVM
    &vsr_kvm_engine,
#endif
#ifdef VSR_WITH_EMU
    &vsr_emu_engine,
#endif
    NULL,
};

const vsr_engine_ops *vsr_engine_find(const char *name)
{
    for (const vsr_engine_ops *const *e = engines; *e != NULL; e++)
        if (strcmp((*e)->name, name) == 0)
            return *e;
    return NULL;
}
