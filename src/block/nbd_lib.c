/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_lib.c: see nbd_lib.h.
 *
 * Spec:    dlopen(3). The name is that of libnbd's ABI, which its authors keep.
 * Threads: any.
 */
#include "block/nbd_lib.h"

#include <dlfcn.h>
#include <string.h>

#include "base/error.h"

static const char *const names[] = {
#define NAME(name) "nbd_" #name,
    BLK_NBD_CALLS(NAME)
#undef NAME
};

bool blk_nbd_lib_load(blk_nbd_lib *lib, GError **error)
{
    void *calls[G_N_ELEMENTS(names)];
    void *handle = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    G_STATIC_ASSERT(sizeof(calls) == sizeof(*lib));
    if (handle == NULL)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Network block devices need libnbd: %s", dlerror());
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        calls[i] = dlsym(handle, names[i]);
        if (calls[i] == NULL)
            return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                            "This libnbd has no %s()", names[i]);
    }
    memcpy(lib, calls, sizeof(*lib));
    return true;
}
