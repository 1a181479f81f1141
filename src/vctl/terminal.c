/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * terminal.c: a terminal in raw mode, and the pump between it and a console.
 *
 * The mode is restored on every way out, by atexit() too: a program (unlike the
 * library) may own the terminal of its process.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "vctl.h"

enum { ESCAPE_KEY = 0x1d }; /* Ctrl-] */

/* The one terminal of this process and what to put back. */
static struct {
    int fd;
    bool raw;
    struct termios saved;
} terminal = { .fd = -1 };

void vctl_terminal_restore(void)
{
    if (terminal.raw)
        tcsetattr(terminal.fd, TCSADRAIN, &terminal.saved);
    terminal.raw = false;
}

static void restore_and_die(int signal_number)
{
    if (terminal.raw)
        tcsetattr(terminal.fd, TCSANOW, &terminal.saved);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

bool vctl_terminal_raw(int fd)
{
    struct termios raw;

    if (!isatty(fd) || tcgetattr(fd, &terminal.saved) < 0)
        return false;
    raw = terminal.saved;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* our own messages keep their line ends */
    if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
        return false;
    if (terminal.fd < 0) {
        atexit(vctl_terminal_restore);
        signal(SIGTERM, restore_and_die);
        signal(SIGHUP, restore_and_die);
    }
    terminal.fd = fd;
    terminal.raw = true;
    return true;
}

static bool write_out(const char *data, ssize_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, (size_t)len);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

            poll(&p, 1, 1000);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= n;
    }
    return true;
}

int vctl_terminal_pump(visor_stream *stream, bool *left)
{
    struct pollfd fds[2] = {
        { .fd = visor_stream_get_fd(stream), .events = POLLIN },
        { .fd = STDIN_FILENO, .events = POLLIN },
    };
    bool raw = vctl_terminal_raw(STDIN_FILENO);
    int status = VCTL_OK;

    *left = false;
    for (;;) {
        visor_error *err = NULL;
        char buffer[4096];

        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            break;
        }
        if (fds[0].revents) {
            int64_t n =
                visor_stream_read(stream, buffer, sizeof buffer, 0, &err);

            if (n < 0 && visor_error_get_code(err) != VISOR_ERR_TIMEOUT) {
                status = vctl_fail(err);
                break;
            }
            if (n < 0)
                visor_error_free(err);
            if (n == 0 || (n > 0 && !write_out(buffer, n)))
                break;
        }
        if (fds[1].revents) {
            ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
            const char *escape =
                n > 0 && raw ? memchr(buffer, ESCAPE_KEY, (size_t)n) : NULL;

            if (escape) {
                *left = true;
                break;
            }
            if (n <= 0) {
                fds[1].fd = -1; /* end of input: go on showing output */
                continue;
            }
            if (visor_stream_write(stream, buffer, (size_t)n, 5000, &err) < 0) {
                status = vctl_fail(err);
                break;
            }
        }
    }
    vctl_terminal_restore();
    return status;
}
