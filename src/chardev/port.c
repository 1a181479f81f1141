/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * port.c: a pair of file descriptors that never makes the loop wait.
 *
 * A descriptor that was given to us (a terminal, a pipe) shares its O_NONBLOCK
 * with other processes, so the flag is not touched: sockets are told per call,
 * the others are opened anew where that works, and asked before a small write
 * where it does not.
 *
 * Threads: the chardev's loop.
 */
#include "chardev/port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { CAREFUL_WRITE = 64 };

static mode_t type_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

static int reopen_nonblocking(int fd, int how)
{
    char path[32];

    g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, how | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static bool is_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_NONBLOCK);
}

static void on_event(int fd, uint32_t events, void *opaque)
{
    vsr_port *port = opaque;

    /* Sending finds out what is wrong with an output. */
    if (fd != port->in_fd)
        events = EPOLLOUT;
    port->owner.ready(port, events, port->owner.opaque);
}

static bool watch(vsr_port *port, int fd, uint32_t events, vsr_loop_fd **out,
                  bool *always, GError **error)
{
    mode_t type = type_of(fd);

    *out = vsr_loop_fd_add(port->loop, fd, events, on_event, port, error);
    if (*out)
        return true;
    /* Regular files and the likes of /dev/null know no waiting. */
    if (type != S_IFREG && type != S_IFCHR)
        return false;
    g_clear_error(error);
    *always = true;
    return true;
}

static void prepare_out(vsr_port *port)
{
    mode_t type = type_of(port->out_fd);
    int fd;

    port->is_socket = type == S_IFSOCK;
    if (port->is_socket || type == S_IFREG || is_nonblocking(port->out_fd))
        return;
    fd = reopen_nonblocking(port->out_fd, O_WRONLY);
    if (fd < 0) {
        port->may_block = true;
        return;
    }
    vsr_close(port->out_fd);
    port->out_fd = fd;
}

vsr_port *vsr_port_new(vsr_loop *loop, int in_fd, int out_fd,
                       const vsr_port_owner *owner, GError **error)
{
    vsr_port *port = g_new0(vsr_port, 1);

    port->loop = loop;
    port->owner = *owner;
    port->in_fd = in_fd;
    port->out_fd = out_fd;
    if (out_fd >= 0 && out_fd != in_fd)
        prepare_out(port);
    else if (out_fd >= 0)
        port->is_socket = type_of(out_fd) == S_IFSOCK;

    if (port->in_fd >= 0 && !watch(port, port->in_fd, EPOLLIN, &port->in_watch,
                                   &port->in_always, error))
        goto fail;
    if (port->out_fd >= 0 && port->out_fd != port->in_fd &&
        !watch(port, port->out_fd, 0, &port->out_watch, &port->out_always,
               error))
        goto fail;
    return port;
fail:
    vsr_port_free(port);
    return NULL;
}

void vsr_port_free(vsr_port *port)
{
    if (!port)
        return;
    vsr_loop_fd_remove(port->in_watch);
    vsr_loop_fd_remove(port->out_watch);
    if (port->out_fd != port->in_fd)
        vsr_close(port->out_fd);
    vsr_close(port->in_fd);
    g_free(port);
}

ssize_t vsr_port_send(vsr_port *port, const void *data, size_t len)
{
    ssize_t n;

    if (port->may_block) {
        struct pollfd p = { .fd = port->out_fd, .events = POLLOUT };

        if (poll(&p, 1, 0) <= 0)
            return 0;
        len = MIN(len, CAREFUL_WRITE);
    }
    do {
        if (port->is_socket)
            n = send(port->out_fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        else
            n = write(port->out_fd, data, len);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN ? 0 : -errno;
}

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) > 0;
}

bool vsr_port_fill(vsr_port *port)
{
    ssize_t n;

    if (port->in_len > port->in_off)
        return true;
    port->in_len = port->in_off = 0;
    if (port->in_fd < 0 || port->dead ||
        (!port->in_always && !is_readable(port->in_fd)))
        return false;
    do {
        if (port->is_socket && port->in_fd == port->out_fd)
            n = recv(port->in_fd, port->in, sizeof(port->in), MSG_DONTWAIT);
        else
            n = read(port->in_fd, port->in, sizeof(port->in));
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        port->in_len = (size_t)n;
        return true;
    }
    if (n == 0 || errno != EAGAIN)
        port->dead = true;
    return false;
}

void vsr_port_update(vsr_port *port)
{
    uint32_t in = port->in_len > port->in_off ? 0 : EPOLLIN;
    uint32_t out = port->wants_out ? EPOLLOUT : 0;

    if (port->in_fd == port->out_fd)
        in |= out;
    else if (port->out_watch)
        vsr_loop_fd_modify(port->out_watch, out);
    if (port->in_watch)
        vsr_loop_fd_modify(port->in_watch, in);
}
