/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source.c: opens and locks the files of a disk, with the rights of the one who
 * starts the domain.
 *
 * Threads: any.
 */
#include "block/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "block/lock.h"
#include "block/nbd.h"

static void image_clear(vsr_block_image *image)
{
    vsr_close(image->fd);
    g_free(image->name);
    g_free(image->export);
    *image = (vsr_block_image){ .fd = -1 };
}

void vsr_block_source_clear(vsr_block_source *source)
{
    for (uint32_t i = 0; i < source->n; i++)
        image_clear(&source->image[i]);
    source->n = 0;
}

/* O_NONBLOCK: a FIFO must not make us wait before we see what it is. */
int blk_source_open_file(const char *path, bool readonly, GError **error)
{
    vsr_autofd fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                                   O_NOCTTY | O_NONBLOCK);
    struct stat st;
    int flags;

    if (fd < 0) {
        vsr_fail_errno(error, errno, "Cannot open '%s'%s", path,
                       readonly ? "" : " for writing");
        return -1;
    }
    if (fstat(fd, &st) < 0) {
        vsr_fail_errno(error, errno, "Cannot examine '%s'", path);
        return -1;
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        vsr_fail(error, VISOR_ERR_CONFIG,
                 "'%s' is neither a regular file nor a block device", path);
        return -1;
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        vsr_fail_errno(error, errno, "Cannot set up '%s'", path);
        return -1;
    }
    return vsr_steal_fd(&fd);
}

static bool open_top_file(vsr_block_image *image,
                          const vsr_block_location *location, GError **error)
{
    blk_lock_mode mode = location->readonly ? BLK_LOCK_READ : BLK_LOCK_WRITE;

    if (location->path == NULL || location->path[0] != '/')
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "The path of a disk must be absolute: '%s'",
                        location->path != NULL ? location->path : "");
    if (location->shareable)
        mode =
            location->readonly ? BLK_LOCK_SHARED_READ : BLK_LOCK_SHARED_WRITE;
    image->name = g_strdup(location->path);
    image->fd = blk_source_open_file(location->path, location->readonly, error);
    return image->fd >= 0 && blk_lock_take(image->fd, image->name, mode, error);
}

static bool open_top_nbd(vsr_block_image *image,
                         const vsr_block_location *location, GError **error)
{
    const char *export = location->export != NULL ? location->export : "";

    if (location->path != NULL)
        image->name =
            g_strdup_printf("nbd+unix:///%s?socket=%s", export, location->path);
    else
        image->name = g_strdup_printf("nbd://%s:%u/%s", location->host,
                                      (unsigned)location->port, export);
    image->export = g_strdup(export);
    image->fd = blk_nbd_connect(location, error);
    return image->fd >= 0;
}

bool vsr_block_source_open(vsr_block_source *out,
                           const vsr_block_location *location,
                           const char *const *folders, GError **error)
{
    vsr_block_source source = { .n = 1 };
    vsr_block_image *top = &source.image[0];
    bool ok;

    *top = (vsr_block_image){ .format = location->format,
                              .protocol = location->protocol,
                              .fd = -1,
                              .readonly = location->readonly };
    if (location->protocol == VSR_BLOCK_NBD)
        ok = open_top_nbd(top, location, error);
    else
        ok = open_top_file(top, location, error);
    if (ok && location->format == VSR_BLOCK_QCOW2)
        ok = blk_source_open_chain(&source, location, folders, error);
    if (!ok) {
        vsr_block_source_clear(&source);
        return false;
    }
    *out = source;
    return true;
}
