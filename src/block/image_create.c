/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_create.c: new, empty qcow2 images.
 *
 * Threads: any.
 */
#include "block/block.h"

#include "base/error.h"

bool vsr_block_create_qcow2(const char *path, uint64_t bytes,
                            const char *backing,
                            vsr_block_format backing_format, GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "Cannot create '%s': qcow2 is not supported yet", path);
}
