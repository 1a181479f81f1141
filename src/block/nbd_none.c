/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_none.c: nbd.h where the build has no libnbd.
 *
 * Threads: any.
 */
#include "block/nbd.h"

#include <errno.h>

#include "base/error.h"
#include "base/fd.h"

int blk_nbd_connect(const vsr_block_location *location, GError **error)
{
    vsr_fail(error, VISOR_ERR_NO_SUPPORT,
             "Network block devices need a build with libnbd");
    return -1;
}

blk_nbd *blk_nbd_open(int fd, const char *name, const char *export,
                      bool readonly, vsr_loop *loop, GError **error)
{
    vsr_close(fd);
    vsr_fail(error, VISOR_ERR_NO_SUPPORT, "'%s' needs a build with libnbd",
             name);
    return NULL;
}

void blk_nbd_close(blk_nbd *nbd)
{
}

uint64_t blk_nbd_bytes(const blk_nbd *nbd)
{
    return 0;
}

void blk_nbd_submit(blk_io *io)
{
}

int blk_nbd_run(blk_io *io)
{
    return -EIO;
}
