/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.c: opening the back ends, with the caller's rights and before any
 * sandbox.
 *
 * Threads: control.
 */
#include "chardev/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

static void source_init(vsr_chardev_source *out, vsr_chardev_kind kind)
{
    memset(out, 0, sizeof(*out));
    out->kind = kind;
    out->fd = -1;
    out->out_fd = -1;
    out->dir_fd = -1;
}

/* No echo, no line editing: the guest does that. */
static bool make_raw(int tty)
{
    struct termios mode;

    if (tcgetattr(tty, &mode) != 0)
        return false;
    cfmakeraw(&mode);
    return tcsetattr(tty, TCSANOW, &mode) == 0;
}

bool vsr_chardev_open_pty(vsr_chardev_source *out, GError **error)
{
    vsr_autofd master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    vsr_autofd slave = -1;
    char path[64];

    if (master < 0)
        return vsr_fail_errno(error, errno, "Cannot open a new pty");
    if (grantpt(master) != 0 || unlockpt(master) != 0 ||
        ptsname_r(master, path, sizeof(path)) != 0)
        return vsr_fail_errno(error, errno, "Cannot set up a new pty");
    slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return vsr_fail_errno(error, errno, "Cannot open pty '%s'", path);
    if (!make_raw(slave) || fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) != 0)
        return vsr_fail_errno(error, errno, "Cannot set up pty '%s'", path);

    source_init(out, VSR_CHARDEV_PTY);
    out->fd = vsr_steal_fd(&master);
    out->path = g_strdup(path);
    return true;
}

bool vsr_chardev_open_file(const char *path, bool append,
                           vsr_chardev_source *out, GError **error)
{
    /* O_NONBLOCK: a fifo must not hold us up before it is refused. */
    vsr_autofd fd = open(
        path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_APPEND,
        0600);
    struct stat st;

    if (fd < 0)
        return vsr_fail_errno(error, errno, "Cannot open '%s'", path);
    if (fstat(fd, &st) != 0)
        return vsr_fail_errno(error, errno, "Cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return vsr_fail(error, VISOR_ERR_CONFIG, "'%s' is not a regular file",
                        path);
    if (!append && ftruncate(fd, 0) != 0)
        return vsr_fail_errno(error, errno, "Cannot empty '%s'", path);

    source_init(out, VSR_CHARDEV_FILE);
    out->fd = vsr_steal_fd(&fd);
    out->path = g_strdup(path);
    return true;
}

static bool unix_address(const char *path, struct sockaddr_un *addr,
                         GError **error)
{
    size_t len = strlen(path);

    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    if (len >= sizeof(addr->sun_path))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Socket path '%s' has %zu bytes, %zu at the most", path,
                        len, sizeof(addr->sun_path) - 1);
    memcpy(addr->sun_path, path, len);
    return true;
}

static bool connect_to(int fd, const struct sockaddr_un *addr)
{
    return connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0;
}

/* Something is at the path already: a dead socket may go, nothing else. */
static bool remove_stale(const char *path, const struct sockaddr_un *addr,
                         GError **error)
{
    struct stat st;
    vsr_autofd probe = -1;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ||
               vsr_fail_errno(error, errno, "Cannot look at '%s'", path);
    if (!S_ISSOCK(st.st_mode))
        return vsr_fail(error, VISOR_ERR_EXISTS,
                        "'%s' is there and is not a socket", path);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return vsr_fail_errno(error, errno, "Cannot make a socket");
    if (connect_to(probe, addr) || errno != ECONNREFUSED)
        return vsr_fail(error, VISOR_ERR_EXISTS,
                        "Socket '%s' is in use by another process", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return vsr_fail_errno(error, errno, "Cannot remove '%s'", path);
    return true;
}

/* Whoever closes the socket later may know no paths any more. */
static int open_folder_of(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        (void)vsr_fail_errno(error, errno, "Cannot open folder '%s'", folder);
    return fd;
}

static void remove_socket(const vsr_chardev_source *source)
{
    g_autofree char *name = g_path_get_basename(source->path);

    (void)unlinkat(source->dir_fd, name, 0);
}

bool vsr_chardev_open_unix(const char *path, bool listen_there,
                           vsr_chardev_source *out, GError **error)
{
    struct sockaddr_un addr;
    vsr_autofd fd = -1;
    vsr_autofd folder = -1;

    if (!unix_address(path, &addr, error))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return vsr_fail_errno(error, errno, "Cannot make a socket");
    if (listen_there) {
        folder = open_folder_of(path, error);
        if (folder < 0)
            return false;
        if (!remove_stale(path, &addr, error))
            return false;
        /* The socket file takes its mode from here: the owner's only. */
        if (fchmod(fd, 0600) != 0 ||
            bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
            return vsr_fail_errno(error, errno, "Cannot bind socket '%s'",
                                  path);
        if (listen(fd, 1) != 0) {
            vsr_fail_errno(error, errno, "Cannot listen on socket '%s'", path);
            unlink(path);
            return false;
        }
    } else if (!connect_to(fd, &addr)) {
        return vsr_fail_errno(error, errno, "Cannot connect to socket '%s'",
                              path);
    }

    source_init(out, VSR_CHARDEV_UNIX);
    out->fd = vsr_steal_fd(&fd);
    out->is_listening = listen_there;
    out->dir_fd = vsr_steal_fd(&folder);
    out->path = g_strdup(path);
    return true;
}

void vsr_chardev_source_clear(vsr_chardev_source *source)
{
    vsr_close(source->fd);
    vsr_close(source->out_fd);
    if (source->kind == VSR_CHARDEV_UNIX && source->is_listening) {
        if (source->path)
            remove_socket(source);
        vsr_close(source->dir_fd);
    }
    g_free(source->path);
    source_init(source, VSR_CHARDEV_NULL);
}
