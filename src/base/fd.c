/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fd.c: whole reads and writes, files replaced in one step.
 *
 * Threads: any.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/error.h"

void vsr_close(int fd)
{
    int saved = errno;

    if (fd >= 0)
        (void)close(fd); /* Linux closes it even when it says EINTR */
    errno = saved;
}

int vsr_read_all(int fd, void *to, size_t len)
{
    char *p = to;

    while (len > 0) {
        ssize_t n = read(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int vsr_write_all(int fd, const void *from, size_t len)
{
    const char *p = from;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int vsr_pread_all(int fd, void *to, size_t len, uint64_t offset)
{
    char *p = to;

    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return -EINVAL;
    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        p += n;
        len -= (size_t)n;
        offset += (size_t)n;
    }
    return 0;
}

static int sync_folder_of(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    vsr_autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

static int fill_and_sync(int fd, const void *data, size_t len, mode_t mode)
{
    int rc = vsr_write_all(fd, data, len);

    if (rc < 0)
        return rc;
    /* Explicit: open()'s mode is cut by the umask. */
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

int vsr_rename_over(int folder_fd, const char *from, const char *to)
{
    if (renameat2(folder_fd, from, folder_fd, to, RENAME_EXCHANGE) == 0)
        return unlinkat(folder_fd, from, 0) < 0 ? -errno : 0;
    /* There is none yet, or the file system cannot. */
    return renameat(folder_fd, from, folder_fd, to) < 0 ? -errno : 0;
}

bool vsr_file_replace(const char *path, const void *data, size_t len,
                      mode_t mode, GError **error)
{
    g_autofree char *temp = g_strconcat(path, ".XXXXXX", NULL);
    vsr_autofd fd = g_mkstemp_full(temp, O_WRONLY | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return vsr_fail_errno(error, errno, "Cannot create '%s'", temp);
    rc = fill_and_sync(fd, data, len, mode);
    if (rc == 0 && rename(temp, path) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)unlink(temp);
        return vsr_fail_errno(error, rc, "Cannot write '%s'", path);
    }
    rc = sync_folder_of(path);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot sync the folder of '%s'",
                              path);
    return true;
}

bool vsr_file_load(const char *path, size_t max, char **out, size_t *len,
                   GError **error)
{
    vsr_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    g_autofree char *data = NULL;
    size_t used = 0, room = 0;

    if (fd < 0)
        return vsr_fail_errno(error, errno, "Cannot open '%s'", path);
    if (max > SIZE_MAX / 2)
        max = SIZE_MAX / 2;
    /* Not by st_size: /proc and pipes have none. One byte beyond `max` is
     * asked for, to see that there is more. */
    for (;;) {
        ssize_t n;

        if (used == room) {
            size_t want = room == 0 ? 4096 : room * 2;
            char *more = g_try_realloc(data, MIN(want, max + 1) + 1);

            if (more == NULL)
                return vsr_fail_errno(error, ENOMEM, "Cannot read '%s'", path);
            data = more;
            room = MIN(want, max + 1);
        }
        n = read(fd, data + used, room - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vsr_fail_errno(error, errno, "Cannot read '%s'", path);
        if (n == 0)
            break;
        used += (size_t)n;
        if (used > max)
            return vsr_fail(error, VISOR_ERR_RESOURCE,
                            "File '%s' is longer than %zu bytes", path, max);
    }
    data[used] = '\0';
    *out = g_steal_pointer(&data);
    if (len != NULL)
        *len = used;
    return true;
}
