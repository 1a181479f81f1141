/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fd.h: file descriptors that close themselves, whole reads and writes, and
 * files that are replaced in one step. Every fd is close-on-exec.
 */
#ifndef VSR_BASE_FD_H
#define VSR_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

void vsr_close(int fd); /* negative: no-op; errno kept */
static inline void vsr_autofd_cleanup(int *fd)
{
    vsr_close(*fd);
}
#define vsr_autofd __attribute__((cleanup(vsr_autofd_cleanup))) int
static inline int vsr_steal_fd(int *fd)
{
    int out = *fd;

    *fd = -1;
    return out;
}

/* All of it, EINTR and short transfers handled; 0 or -errno (-EPIPE at an
 * early end of file). */
int vsr_read_all(int fd, void *to, size_t len);
int vsr_write_all(int fd, const void *from, size_t len);
int vsr_pread_all(int fd, void *to, size_t len, uint64_t offset);

/* As renameat() within one folder, where `to` may exist or not. File systems
 * write a new file's data out before they put it in another's place, which takes
 * milliseconds, so the two change places, and the old one is removed: for what
 * need not survive a crash of the host. Nobody else may use `from`. 0 or
 * -errno. */
int vsr_rename_over(int folder_fd, const char *from, const char *to);
/* Temporary file beside `path`, write, fsync, rename, fsync of the folder. */
bool vsr_file_replace(const char *path, const void *data, size_t len,
                      mode_t mode, GError **error);
/* Whole file into memory (g_free), refused above `max` bytes. A final NUL is
 * added and not counted. */
bool vsr_file_load(const char *path, size_t max, char **out, size_t *len,
                   GError **error);

#endif
