/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream.c: <visor/stream.h>.
 *
 * Threads: one reader and one writer.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <visor/stream.h>

#include "api/api.h"
#include "base/fd.h"
#include "base/loop.h"

struct visor_stream {
    int fd; /* owned; a socket */
};

visor_stream *api_stream_new(int fd)
{
    visor_stream *stream = g_new0(visor_stream, 1);

    stream->fd = fd;
    return stream;
}

int visor_stream_get_fd(const visor_stream *stream)
{
    return stream != NULL ? stream->fd : VISOR_ERR_ARG;
}

void visor_stream_free(visor_stream *stream)
{
    if (stream == NULL)
        return;
    vsr_close(stream->fd);
    g_free(stream);
}

/* 0 when `events` has come about, or an error code. */
static int wait_for(int fd, short events, int64_t deadline, visor_error **err)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        int64_t left = deadline - vsr_now_ns();
        int n;

        left = CLAMP(left, 0, INT64_C(3600) * 1000000000);
        n = poll(&p, 1, (int)((left + 999999) / 1000000));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return api_fail(err, VISOR_ERR_SYSTEM, "Cannot wait: %s",
                            g_strerror(errno));
        if (n == 0 && vsr_now_ns() >= deadline)
            return api_fail(err, VISOR_ERR_TIMEOUT, "Not in the time given");
    }
}

int64_t visor_stream_read(visor_stream *stream, void *to, size_t len,
                          int timeout_ms, visor_error **err)
{
    int64_t deadline;

    API_REQUIRE(stream != NULL, err, "The stream is NULL");
    API_REQUIRE(to != NULL && len > 0, err, "There is no room to read to");
    deadline = vsr_deadline(timeout_ms);
    for (;;) {
        ssize_t n =
            recv(stream->fd, to, MIN(len, (size_t)INT32_MAX), MSG_DONTWAIT);
        int rc;

        if (n >= 0)
            return n;
        if (errno == ECONNRESET)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return api_fail(err, VISOR_ERR_SYSTEM, "Cannot read: %s",
                            g_strerror(errno));
        rc = wait_for(stream->fd, POLLIN, deadline, err);
        if (rc < 0)
            return rc;
    }
}

int64_t visor_stream_write(visor_stream *stream, const void *from, size_t len,
                           int timeout_ms, visor_error **err)
{
    const char *p = from;
    size_t left = len;
    int64_t deadline;

    API_REQUIRE(stream != NULL, err, "The stream is NULL");
    API_REQUIRE(from != NULL || len == 0, err, "There is nothing to write");
    API_REQUIRE(len <= INT64_MAX, err, "%zu bytes are too many", len);
    deadline = vsr_deadline(timeout_ms);
    while (left > 0) {
        ssize_t n = send(stream->fd, p, left, MSG_DONTWAIT | MSG_NOSIGNAL);
        int rc;

        if (n > 0) {
            p += n;
            left -= (size_t)n;
            continue;
        }
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return api_fail(err, VISOR_ERR_CRASHED,
                            "The other end of the stream has gone");
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return api_fail(err, VISOR_ERR_SYSTEM, "Cannot write: %s",
                            g_strerror(errno));
        rc = wait_for(stream->fd, POLLOUT, deadline, err);
        if (rc < 0)
            return rc;
    }
    return (int64_t)len;
}
