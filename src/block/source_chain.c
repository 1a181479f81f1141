/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source_chain.c: the backing files of a qcow2 image. What the header of an
 * image says is not trusted to name any file of the host: only files in the
 * folders that are allowed, compared after all symbolic links.
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
#include "block/qcow2_format.h"

enum { PATH_ROOM = 4096 };

/* What the descriptor is really open at. */
static char *path_of_fd(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    char path[PATH_ROOM];
    ssize_t n = readlink(link, path, sizeof path - 1);

    if (n <= 0 || path[0] != '/')
        return NULL;
    path[n] = '\0';
    return g_strdup(path);
}

static bool is_allowed(const char *path, const char *const *folders)
{
    if (folders == NULL)
        return true;
    for (; *folders != NULL; folders++) {
        g_autofree char *folder = realpath(*folders, NULL);
        size_t len = folder != NULL ? strlen(folder) : 0;

        if (len == 1 ||
            (len > 1 && strncmp(path, folder, len) == 0 && path[len] == '/'))
            return true;
    }
    return false;
}

/* "nbd://…", "json:…": not names of files. */
static bool has_protocol(const char *name)
{
    const char *colon = strchr(name, ':');
    const char *slash = strchr(name, '/');

    return colon != NULL && (slash == NULL || colon < slash);
}

static bool read_header(vsr_block_image *image, const vsr_block_location *top,
                        qcow2_header *header, GError **error)
{
    blk_file file;
    bool ok;

    if (image->protocol == VSR_BLOCK_NBD) {
        file = (blk_file){ .fd = -1, .align = 1, .mem_align = 1 };
        file.nbd = blk_nbd_open(vsr_steal_fd(&image->fd), image->name,
                                image->export, true, NULL, error);
        if (file.nbd == NULL)
            return false;
        file.bytes = blk_nbd_bytes(file.nbd);
        file.name = g_strdup(image->name);
        g_mutex_init(&file.partial);
    } else {
        int copy = fcntl(image->fd, F_DUPFD_CLOEXEC, 0);

        if (copy < 0)
            return vsr_fail_errno(error, errno, "Cannot read '%s'",
                                  image->name);
        if (!blk_file_open(&file, copy, image->name, true, false, error))
            return false;
    }
    ok = qcow2_header_read(&file, header, error);
    blk_file_close(&file);
    if (ok && image->protocol == VSR_BLOCK_NBD) {
        /* A handshake cannot be handed over: once more from the start. */
        image->fd = blk_nbd_connect(top, error);
        ok = image->fd >= 0;
    }
    return ok;
}

static bool parse_format(const vsr_block_image *overlay,
                         const qcow2_header *header, vsr_block_format *out,
                         GError **error)
{
    if (header->backing_format == NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "'%s' does not say the format of its backing file "
                        "'%s'; it is never guessed",
                        overlay->name, header->backing);
    if (strcmp(header->backing_format, "raw") == 0) {
        *out = VSR_BLOCK_RAW;
        return true;
    }
    if (strcmp(header->backing_format, "qcow2") == 0) {
        *out = VSR_BLOCK_QCOW2;
        return true;
    }
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "'%s' has a backing file of format '%s'; raw and qcow2 "
                    "are known",
                    overlay->name, header->backing_format);
}

/* The backing file's path, all links resolved. */
static char *resolve(const vsr_block_image *overlay, const char *name,
                     GError **error)
{
    g_autofree char *joined = NULL;
    char *path;

    if (has_protocol(name)) {
        vsr_fail(error, VISOR_ERR_CONFIG,
                 "The backing file '%s' of '%s' is not a file's name", name,
                 overlay->name);
        return NULL;
    }
    if (name[0] == '/') {
        joined = g_strdup(name);
    } else {
        g_autofree char *own =
            overlay->fd >= 0 && overlay->protocol == VSR_BLOCK_FILE
                ? path_of_fd(overlay->fd)
                : NULL;
        g_autofree char *folder = own != NULL ? g_path_get_dirname(own) : NULL;

        if (folder == NULL) {
            vsr_fail(error, VISOR_ERR_CONFIG,
                     "The folder that the backing file '%s' of '%s' is in "
                     "cannot be told",
                     name, overlay->name);
            return NULL;
        }
        joined = g_build_filename(folder, name, NULL);
    }
    path = realpath(joined, NULL);
    if (path == NULL)
        vsr_fail_errno(error, errno, "Backing file '%s' of '%s'", joined,
                       overlay->name);
    return path;
}

static bool refuse_folder(const char *path, const vsr_block_image *overlay,
                          GError **error)
{
    return vsr_fail(error, VISOR_ERR_CONFIG,
                    "Backing file '%s' of '%s' is not in a folder that is "
                    "allowed",
                    path, overlay->name);
}

static bool open_backing(vsr_block_image *image, const vsr_block_image *overlay,
                         const char *name, const char *const *folders,
                         GError **error)
{
    g_autofree char *real = NULL;

    image->name = resolve(overlay, name, error);
    if (image->name == NULL)
        return false;
    if (!is_allowed(image->name, folders))
        return refuse_folder(image->name, overlay, error);
    image->fd = blk_source_open_file(image->name, true, error);
    if (image->fd < 0)
        return vsr_fail_prefix(error, "Backing file of '%s'", overlay->name);
    /* Again: the name may have become another file's meanwhile. */
    real = path_of_fd(image->fd);
    if (folders != NULL && (real == NULL || !is_allowed(real, folders)))
        return refuse_folder(image->name, overlay, error);
    return true;
}

static bool check_no_loop(const vsr_block_source *source, GError **error)
{
    const vsr_block_image *last = &source->image[source->n - 1];
    struct stat st, other;

    if (fstat(last->fd, &st) < 0)
        return vsr_fail_errno(error, errno, "Cannot examine '%s'", last->name);
    for (uint32_t i = 0; i + 1 < source->n; i++) {
        const vsr_block_image *image = &source->image[i];

        if (image->protocol == VSR_BLOCK_FILE &&
            fstat(image->fd, &other) == 0 && other.st_dev == st.st_dev &&
            other.st_ino == st.st_ino && other.st_rdev == st.st_rdev)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "'%s' is its own backing file", last->name);
    }
    return true;
}

static bool add_backing(vsr_block_source *source, const qcow2_header *header,
                        const vsr_block_location *top,
                        const char *const *folders, GError **error)
{
    const vsr_block_image *overlay = &source->image[source->n - 1];
    vsr_block_image *image = &source->image[source->n];

    if (source->n == VSR_BLOCK_CHAIN_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "'%s' is based on more than %d images",
                        source->image[0].name, VSR_BLOCK_CHAIN_MAX - 1);
    *image = (vsr_block_image){ .protocol = VSR_BLOCK_FILE,
                                .fd = -1,
                                .readonly = true };
    source->n++;
    return parse_format(overlay, header, &image->format, error) &&
           open_backing(image, overlay, header->backing, folders, error) &&
           check_no_loop(source, error) &&
           blk_lock_take(image->fd, image->name,
                         top->shareable ? BLK_LOCK_SHARED_READ : BLK_LOCK_READ,
                         error);
}

bool blk_source_open_chain(vsr_block_source *source,
                           const vsr_block_location *top,
                           const char *const *folders, GError **error)
{
    bool more = true, ok = true;

    while (ok && more) {
        vsr_block_image *last = &source->image[source->n - 1];
        qcow2_header header = { 0 };

        more = false;
        if (last->format != VSR_BLOCK_QCOW2)
            break;
        ok = read_header(last, top, &header, error);
        if (ok && header.backing != NULL) {
            more = true;
            ok = add_backing(source, &header, top, folders, error);
        }
        qcow2_header_clear(&header);
    }
    return ok;
}
