/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame.c: see frame.h.
 *
 * Threads: any.
 */
#include "rpc/frame.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"

enum { READ_CHUNK = 4096, BUFFER_MAX = 2 * (VSR_FRAME_MAX + READ_CHUNK) };

int vsr_wait_fd(int fd, short events, int64_t deadline_ns)
{
    struct pollfd p = { .fd = fd, .events = events };

    for (;;) {
        int64_t left = deadline_ns - vsr_now_ns();
        int n;

        /* Rounded up, so that the last round does not spin. */
        left = left <= 0 ? 0 : MIN((left + 999999) / 1000000, 3600 * 1000);
        n = poll(&p, 1, (int)left);
        if (n > 0)
            return 1;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && vsr_now_ns() >= deadline_ns)
            return 0;
    }
}

int64_t vsr_frame_send_some(int fd, const void *data, size_t len,
                            const int *fds, uint32_t n_fds)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * VSR_FRAME_FDS)];
    } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (n_fds > VSR_FRAME_FDS)
        return -E2BIG;
    if (n_fds > 0) {
        struct cmsghdr *head;

        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * n_fds);
    }
    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static bool fail_send(GError **error, int64_t rc)
{
    if (rc == -EPIPE || rc == -ECONNRESET)
        return vsr_fail(error, VISOR_ERR_CRASHED, "The peer has gone");
    return vsr_fail_errno(error, (int)rc, "Cannot send a message");
}

bool vsr_frame_send(int fd, const void *body, size_t len, const int *fds,
                    uint32_t n_fds, int64_t deadline_ns, GError **error)
{
    g_autofree uint8_t *frame = NULL;
    size_t sent = 0, total = len + VSR_FRAME_HEADER;
    guint32 head = GUINT32_TO_LE((guint32)len);

    if (len > VSR_FRAME_MAX)
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "A message of %zu bytes is too long", len);
    frame = g_malloc(total);
    memcpy(frame, &head, sizeof(head));
    memcpy(frame + VSR_FRAME_HEADER, body, len);
    while (sent < total) {
        int64_t n = vsr_frame_send_some(fd, frame + sent, total - sent, fds,
                                        sent == 0 ? n_fds : 0);

        if (n == -EAGAIN) {
            int rc = vsr_wait_fd(fd, POLLOUT, deadline_ns);

            if (rc == 0)
                return vsr_fail(error, VISOR_ERR_TIMEOUT,
                                "The peer does not read");
            if (rc < 0)
                return fail_send(error, rc);
            continue;
        }
        if (n < 0)
            return fail_send(error, n);
        sent += (size_t)n;
    }
    return true;
}

/* --- reading ------------------------------------------------------------- */

void vsr_frame_reader_init(vsr_frame_reader *reader, uint32_t max_fds)
{
    memset(reader, 0, sizeof(*reader));
    reader->max_fds = MIN(max_fds, (uint32_t)VSR_FRAME_FDS);
}

void vsr_frame_reader_fini(vsr_frame_reader *reader)
{
    for (uint32_t i = 0; i < reader->n_fds; i++)
        vsr_close(reader->fds[i]);
    reader->n_fds = 0;
    g_clear_pointer(&reader->data, g_free);
    reader->start = reader->end = reader->room = 0;
}

/* Room for `len` more bytes. Memory follows what came, not what was announced. */
static int make_room(vsr_frame_reader *reader, size_t len)
{
    uint8_t *more;
    size_t room;

    if (reader->start == reader->end)
        reader->start = reader->end = 0;
    if (reader->room - reader->end >= len)
        return 0;
    if (reader->start > 0) {
        memmove(reader->data, reader->data + reader->start,
                reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
        if (reader->room - reader->end >= len)
            return 0;
    }
    if (len > BUFFER_MAX || reader->end > BUFFER_MAX - len)
        return -EPROTO;
    room = MIN(MAX(reader->room * 2, reader->end + len), (size_t)BUFFER_MAX);
    more = g_try_realloc(reader->data, room);
    if (more == NULL)
        return -ENOMEM;
    reader->data = more;
    reader->room = room;
    return 0;
}

int vsr_frame_reader_feed(vsr_frame_reader *reader, const void *data,
                          size_t len)
{
    int rc = make_room(reader, len);

    if (rc < 0)
        return rc;
    memcpy(reader->data + reader->end, data, len);
    reader->end += len;
    return 0;
}

/* All descriptors of the message are ours now, whatever else is wrong. */
static int collect_fds(vsr_frame_reader *reader, struct msghdr *msg)
{
    int rc = (msg->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : 0;

    for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head != NULL;
         head = CMSG_NXTHDR(msg, head)) {
        size_t n;

        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
            if (reader->n_fds < reader->max_fds) {
                reader->fds[reader->n_fds++] = fd;
            } else {
                vsr_close(fd);
                rc = -EPROTO;
            }
        }
    }
    return rc;
}

int64_t vsr_frame_reader_fill(vsr_frame_reader *reader, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * VSR_FRAME_FDS)];
    } control;
    struct iovec iov;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;
    int rc = make_room(reader, READ_CHUNK);

    if (rc < 0)
        return rc;
    iov.iov_base = reader->data + reader->end;
    iov.iov_len = reader->room - reader->end;
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof(control);
    do {
        n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? 0 : -errno;
    rc = collect_fds(reader, &msg);
    if (rc < 0)
        return rc;
    reader->end += (size_t)n;
    return n;
}

int vsr_frame_reader_next(vsr_frame_reader *reader, const char **body,
                          size_t *len)
{
    size_t have = reader->end - reader->start;
    guint32 head;

    if (have < VSR_FRAME_HEADER)
        return 0;
    memcpy(&head, reader->data + reader->start, sizeof(head));
    head = GUINT32_FROM_LE(head);
    if (head > VSR_FRAME_MAX)
        return -EPROTO;
    if (have - VSR_FRAME_HEADER < head)
        return 0;
    *body = (const char *)reader->data + reader->start + VSR_FRAME_HEADER;
    *len = head;
    reader->start += VSR_FRAME_HEADER + (size_t)head;
    return 1;
}

bool vsr_frame_reader_take(vsr_frame_reader *reader, uint32_t n, int *out)
{
    if (n > reader->n_fds)
        return false;
    memcpy(out, reader->fds, n * sizeof(int));
    memmove(reader->fds, reader->fds + n, (reader->n_fds - n) * sizeof(int));
    reader->n_fds -= n;
    return true;
}

bool vsr_frame_recv(vsr_frame_reader *reader, int fd, int64_t deadline_ns,
                    const char **body, size_t *len, GError **error)
{
    for (;;) {
        int rc = vsr_frame_reader_next(reader, body, len);
        int64_t n;

        if (rc > 0)
            return true;
        if (rc < 0)
            return vsr_fail(error, VISOR_ERR_PROTOCOL,
                            "The peer sent a message that is too long");
        n = vsr_frame_reader_fill(reader, fd);
        if (n > 0)
            continue;
        if (n == 0)
            return vsr_fail(error, VISOR_ERR_CRASHED, "The peer has gone");
        if (n == -EPROTO)
            return vsr_fail(error, VISOR_ERR_PROTOCOL,
                            "The peer sent too many descriptors");
        if (n != -EAGAIN)
            return vsr_fail_errno(error, (int)n, "Cannot receive a message");
        rc = vsr_wait_fd(fd, POLLIN, deadline_ns);
        if (rc == 0)
            return vsr_fail(error, VISOR_ERR_TIMEOUT,
                            "The peer does not answer");
        if (rc < 0)
            return vsr_fail_errno(error, rc, "Cannot wait for a message");
    }
}
