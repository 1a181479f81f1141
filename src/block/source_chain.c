/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source_chain.c: the backing files of a qcow2 image.
 *
 * Threads: any.
 */
#include "block/source.h"

#include "base/error.h"

bool blk_source_open_chain(vsr_block_source *source,
                           const vsr_block_location *top,
                           const char *const *folders, GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "'%s': qcow2 is not supported yet", source->image[0].name);
}
