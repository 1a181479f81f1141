/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vsock_conn.c: one connection between a guest's port and a unix socket.
 *
 * Spec:    VIRTIO 1.2, 5.10.6.3 "Buffer Space Management", 5.10.6.5 "Stream
 *          Sockets"; Firecracker, docs/vsock.md (the CONNECT line).
 * Threads: on the queues' loop, with the device's lock held.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "devices/virtio/vsock_state.h"

/* --- life --------------------------------------------------------------------- */

void vsock_conn_free(vsock_conn *conn)
{
    vsr_loop_fd_remove(conn->watch);
    vsr_close(conn->fd);
    g_free(conn->buffer);
    g_free(conn);
}

void vsock_conn_destroy(vsock_conn *conn)
{
    virtio_vsock *vsock = conn->vsock;

    if (conn->waiting)
        g_queue_remove(&vsock->waiting, conn);
    if (conn->state == CONN_HELLO) {
        vsock->hellos = g_slist_remove(vsock->hellos, conn);
        vsock->n_hellos--;
    } else {
        g_hash_table_remove(vsock->conns, &conn->key);
    }
    vsock_conn_free(conn);
}

void vsock_conn_reset(vsock_conn *conn)
{
    if (conn->announced)
        vsock_add_reset(conn->vsock, conn->key, VSOCK_HOST_CID);
    vsock_conn_destroy(conn);
}

static void on_event(int fd, uint32_t events, void *opaque);

/* Takes fd. NULL: the host has no resources for it. */
static vsock_conn *conn_new(virtio_vsock *vsock, int fd, vsock_conn_state state)
{
    vsock_conn *conn = g_new0(vsock_conn, 1);

    conn->vsock = vsock;
    conn->fd = fd;
    conn->state = state;
    conn->events = state == CONN_HELLO ? EPOLLIN : EPOLLET;
    conn->watch = vsr_loop_fd_add(vsock->base.loop, fd, conn->events, on_event,
                                  conn, NULL);
    if (conn->watch != NULL)
        return conn;
    vsock_conn_free(conn);
    return NULL;
}

void vsock_conn_accept(virtio_vsock *vsock, int fd)
{
    vsock_conn *conn;

    if (vsock->n_hellos == VSOCK_HELLOS) {
        vsr_close(fd);
        return;
    }
    conn = conn_new(vsock, fd, CONN_HELLO);
    if (conn == NULL)
        return;
    vsock->hellos = g_slist_prepend(vsock->hellos, conn);
    vsock->n_hellos++;
    conn->deadline_ns = vsr_now_ns() + conn->vsock->answer_ns;
    vsock_arm_timer(vsock);
}

/* --- what is waited for --------------------------------------------------------- */

static uint32_t buffered(const vsock_conn *conn)
{
    return conn->received - conn->forwarded;
}

/* What the guest has room for. It may say anything. */
static uint32_t credit(const vsock_conn *conn)
{
    uint32_t in_flight = conn->sent - conn->peer_forwarded;

    return in_flight < conn->peer_alloc ? conn->peer_alloc - in_flight : 0;
}

static bool may_read(const vsock_conn *conn)
{
    return conn->state == CONN_OPEN && !conn->ended &&
           (conn->guest_flags & VSOCK_NO_RECEIVE) == 0;
}

bool vsock_conn_is_ready(vsock_conn *conn)
{
    if (conn->say != 0)
        return true;
    if (!may_read(conn) || !conn->readable)
        return false;
    if (credit(conn) > 0)
        return true;
    /* 5.10.6.3: ask once, and be told. */
    if (conn->asked)
        return false;
    conn->asked = true;
    conn->say |= VSOCK_SAY_ASK_CREDIT;
    return true;
}

void vsock_conn_update(vsock_conn *conn)
{
    /* Edge-triggered with nothing asked for: only the hang-up, once. */
    uint32_t events = EPOLLET;

    if (conn->state == CONN_HELLO || (may_read(conn) && !conn->readable))
        events = EPOLLIN;
    if (conn->state == CONN_OPEN && buffered(conn) > 0)
        events = (events & ~(uint32_t)EPOLLET) | EPOLLOUT;
    if (conn->state == CONN_CLOSING)
        events = 0;
    if (events != conn->events)
        vsr_loop_fd_modify(conn->watch, events);
    conn->events = events;
}

/* --- to the guest ---------------------------------------------------------------- */

static bool is_hung_up(const vsock_conn *conn)
{
    struct pollfd p = { .fd = conn->fd };

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* The host's side is all gone: the guest is told, and confirms. */
static void close_host(vsock_conn *conn)
{
    conn->state = CONN_CLOSING;
    conn->ended = true;
    conn->forwarded = conn->received; /* nobody will take it */
    conn->say |= VSOCK_SAY_SHUTDOWN;
    conn->say_flags = VSOCK_NO_RECEIVE | VSOCK_NO_SEND;
    conn->deadline_ns = vsr_now_ns() + conn->vsock->answer_ns;
    vsock_arm_timer(conn->vsock);
}

static void end_of_input(vsock_conn *conn)
{
    if (is_hung_up(conn)) {
        close_host(conn);
        return;
    }
    conn->ended = true;
    conn->say |= VSOCK_SAY_SHUTDOWN;
    conn->say_flags = VSOCK_NO_SEND;
}

uint32_t vsock_conn_read(vsock_conn *conn, const vsr_virtq_chain *chain)
{
    struct iovec iov[VSR_VIRTQ_SEGMENTS];
    struct msghdr msg = { .msg_iov = iov };
    uint64_t skip = sizeof(vsock_header);
    uint64_t left = MIN(credit(conn), chain->in_len - skip);
    ssize_t n;

    for (uint32_t i = chain->n_out; i < chain->n_out + chain->n_in && left > 0;
         i++) {
        uint64_t len = chain->iov[i].iov_len;

        if (skip >= len) {
            skip -= len;
            continue;
        }
        iov[msg.msg_iovlen].iov_base = (uint8_t *)chain->iov[i].iov_base + skip;
        iov[msg.msg_iovlen].iov_len = MIN(len - skip, left);
        left -= iov[msg.msg_iovlen++].iov_len;
        skip = 0;
    }
    n = recvmsg(conn->fd, &msg, MSG_DONTWAIT);
    if (n > 0) {
        conn->sent += (uint32_t)n;
        return (uint32_t)n;
    }
    conn->readable = false;
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        end_of_input(conn);
    return 0;
}

/* --- from the guest --------------------------------------------------------------- */

static void forwarded(vsock_conn *conn, uint32_t len)
{
    conn->forwarded += len;
    if (conn->forwarded - conn->told >= VSOCK_BUFFER / 2)
        conn->say |= VSOCK_SAY_CREDIT;
}

/* After the guest has ended a direction, or the buffer is empty. False: the
 * connection is over. */
static bool guest_ended(vsock_conn *conn)
{
    if (conn->guest_flags == 0 || buffered(conn) > 0)
        return true;
    if (conn->guest_flags == (VSOCK_NO_RECEIVE | VSOCK_NO_SEND))
        return false;
    if ((conn->guest_flags & VSOCK_NO_SEND) != 0)
        (void)shutdown(conn->fd, SHUT_WR);
    return true;
}

/* False: nobody takes it any more. */
static bool send_buffer(vsock_conn *conn)
{
    while (buffered(conn) > 0) {
        uint32_t at = conn->buffer_at;
        uint32_t len = MIN(buffered(conn), VSOCK_BUFFER - at);
        ssize_t n =
            send(conn->fd, conn->buffer + at, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        conn->buffer_at = (at + (uint32_t)n) % VSOCK_BUFFER;
        forwarded(conn, (uint32_t)n);
    }
    return guest_ended(conn);
}

/* What the socket did not take, behind what is there. */
static void keep(vsock_conn *conn, const vsr_virtq_chain *chain,
                 uint64_t offset, uint32_t len)
{
    uint32_t end;

    if (conn->buffer == NULL)
        conn->buffer = g_malloc(VSOCK_BUFFER);
    end = (conn->buffer_at + buffered(conn) - len) % VSOCK_BUFFER;
    while (len > 0) {
        uint32_t n = MIN(len, VSOCK_BUFFER - end);

        (void)vsr_virtq_read(chain, offset, conn->buffer + end, n);
        offset += n;
        len -= n;
        end = (end + n) % VSOCK_BUFFER;
    }
}

/* Of the `len` bytes behind the header. Bytes, or -errno. */
static ssize_t send_chain(vsock_conn *conn, const vsr_virtq_chain *chain,
                          uint32_t len)
{
    struct iovec iov[VSR_VIRTQ_SEGMENTS];
    struct msghdr msg = { .msg_iov = iov };
    uint64_t skip = sizeof(vsock_header), left = len;
    ssize_t n;

    for (uint32_t i = 0; i < chain->n_out && left > 0; i++) {
        uint64_t here = chain->iov[i].iov_len;

        if (skip >= here) {
            skip -= here;
            continue;
        }
        iov[msg.msg_iovlen].iov_base = (uint8_t *)chain->iov[i].iov_base + skip;
        iov[msg.msg_iovlen].iov_len = MIN(here - skip, left);
        left -= iov[msg.msg_iovlen++].iov_len;
        skip = 0;
    }
    n = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return n;
}

/* False: reset it. */
static bool receive(vsock_conn *conn, const vsock_header *header,
                    const vsr_virtq_chain *chain)
{
    uint32_t len = header->len;
    ssize_t n = 0;

    if ((conn->guest_flags & VSOCK_NO_SEND) != 0 ||
        len > VSOCK_BUFFER - buffered(conn))
        return false; /* more than it had credit for */
    if (conn->state == CONN_CLOSING) {
        conn->received += len;
        forwarded(conn, len);
        return true;
    }
    if (conn->state != CONN_OPEN)
        return false;
    if (buffered(conn) == 0 && len > 0)
        n = send_chain(conn, chain, len);
    if (n < 0)
        return false;
    conn->received += len;
    forwarded(conn, (uint32_t)n);
    if (n < (ssize_t)len)
        keep(conn, chain, sizeof(*header) + (uint64_t)n, len - (uint32_t)n);
    return true;
}

static bool accepted(vsock_conn *conn)
{
    char line[24];
    int len;

    if (conn->state != CONN_REQUESTED)
        return false;
    len = snprintf(line, sizeof(line), "OK %u\n", vsock_host_port(conn->key));
    conn->state = CONN_OPEN;
    conn->deadline_ns = 0;
    conn->readable = true;
    return send(conn->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           len;
}

static bool handle(vsock_conn *conn, const vsock_header *header,
                   const vsr_virtq_chain *chain)
{
    switch (header->op) {
    case VSOCK_OP_RESPONSE:
        return accepted(conn);
    case VSOCK_OP_SHUTDOWN:
        conn->guest_flags |= header->flags & (VSOCK_NO_RECEIVE | VSOCK_NO_SEND);
        return conn->state != CONN_REQUESTED && guest_ended(conn);
    case VSOCK_OP_RW:
        return receive(conn, header, chain);
    case VSOCK_OP_CREDIT_UPDATE:
        return true;
    case VSOCK_OP_CREDIT_REQUEST:
        conn->say |= VSOCK_SAY_CREDIT;
        return true;
    default: /* a REQUEST, too: it is there already */
        return false;
    }
}

void vsock_conn_packet(vsock_conn *conn, const vsock_header *header,
                       const vsr_virtq_chain *chain)
{
    if (header->op == VSOCK_OP_RST) {
        vsock_conn_destroy(conn);
        return;
    }
    conn->peer_alloc = header->buf_alloc;
    conn->peer_forwarded = header->fwd_cnt;
    if (credit(conn) > 0)
        conn->asked = false;
    if (!handle(conn, header, chain)) {
        vsock_conn_reset(conn);
        return;
    }
    if (vsock_conn_is_ready(conn))
        vsock_conn_wait(conn);
    vsock_conn_update(conn);
}

/* --- beginnings -------------------------------------------------------------------- */

/* Who listens at `<path>_PORT`; -1: nobody. The folder is named by its
 * descriptor, so that no path outside of it is opened. */
static int connect_host(virtio_vsock *vsock, uint32_t port)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    vsr_autofd fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int n =
        snprintf(address.sun_path, sizeof(address.sun_path),
                 "/proc/self/fd/%d/%s_%u", vsock->folder_fd, vsock->name, port);

    if (fd < 0 || n < 0 || (size_t)n >= sizeof(address.sun_path) ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return vsr_steal_fd(&fd);
}

bool vsock_conn_request(virtio_vsock *vsock, uint64_t key,
                        const vsock_header *header)
{
    vsock_conn *conn;
    int fd;

    if (g_hash_table_size(vsock->conns) >= VSR_VIRTIO_VSOCK_CONNS_MAX)
        return false;
    fd = connect_host(vsock, vsock_host_port(key));
    if (fd < 0)
        return false;
    conn = conn_new(vsock, fd, CONN_OPEN);
    if (conn == NULL)
        return false;
    conn->key = key;
    conn->announced = true;
    conn->peer_alloc = header->buf_alloc;
    conn->peer_forwarded = header->fwd_cnt;
    conn->say = VSOCK_SAY_RESPONSE;
    conn->readable = true;
    g_hash_table_insert(vsock->conns, &conn->key, conn);
    vsock_conn_wait(conn);
    return true;
}

/* A port of the host's that this guest's port is not connected to. */
static uint64_t free_key(virtio_vsock *vsock, uint32_t guest_port)
{
    uint64_t key;

    do {
        vsock->next_port = vsock->next_port < UINT32_MAX - 1
                               ? vsock->next_port + 1
                               : UINT32_C(1) << 30;
        key = (uint64_t)guest_port << 32 | vsock->next_port;
    } while (g_hash_table_contains(vsock->conns, &key));
    return key;
}

/* "CONNECT <port>", without the newline. */
static bool parse_hello(const char *line, uint32_t *port)
{
    static const char word[] = "CONNECT ";
    uint64_t value;
    char *end;

    if (!g_str_has_prefix(line, word) ||
        !g_ascii_isdigit(line[sizeof(word) - 1]))
        return false;
    value = g_ascii_strtoull(line + sizeof(word) - 1, &end, 10);
    if ((*end != '\0' && strcmp(end, "\r") != 0) || value >= UINT32_MAX)
        return false;
    *port = (uint32_t)value;
    return true;
}

/* The client has said where to. False: it goes. */
static bool request_guest(vsock_conn *conn)
{
    virtio_vsock *vsock = conn->vsock;
    uint32_t port;

    if (!parse_hello(conn->hello, &port) ||
        g_hash_table_size(vsock->conns) >= VSR_VIRTIO_VSOCK_CONNS_MAX)
        return false;
    vsock->hellos = g_slist_remove(vsock->hellos, conn);
    vsock->n_hellos--;
    conn->key = free_key(vsock, port);
    conn->state = CONN_REQUESTED;
    conn->deadline_ns = vsr_now_ns() + conn->vsock->answer_ns;
    conn->say = VSOCK_SAY_REQUEST;
    g_hash_table_insert(vsock->conns, &conn->key, conn);
    vsock_conn_wait(conn);
    vsock_conn_update(conn);
    return true;
}

/* No byte beyond the newline is taken: it is the guest's. False: it goes. */
static bool read_hello(vsock_conn *conn)
{
    char *to = conn->hello + conn->hello_len;
    size_t room = VSOCK_HELLO_MAX - 1 - conn->hello_len;
    ssize_t n = recv(conn->fd, to, room, MSG_PEEK | MSG_DONTWAIT);
    char *newline;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    newline = memchr(to, '\n', (size_t)n);
    if (newline != NULL)
        n = newline - to + 1;
    n = recv(conn->fd, to, (size_t)n, MSG_DONTWAIT);
    if (n <= 0)
        return false;
    conn->hello_len += (uint32_t)n;
    if (newline != NULL) {
        *newline = '\0';
        return request_guest(conn);
    }
    return conn->hello_len < VSOCK_HELLO_MAX - 1;
}

/* False: reset it. */
static bool host_event(vsock_conn *conn, uint32_t events)
{
    if (conn->state == CONN_HELLO)
        return read_hello(conn);
    if (conn->state == CONN_REQUESTED)
        return (events & (EPOLLHUP | EPOLLERR)) == 0;
    if (conn->state != CONN_OPEN)
        return true;
    if ((events & EPOLLOUT) != 0 && !send_buffer(conn))
        return false;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        if (may_read(conn))
            conn->readable = true;
        else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
            close_host(conn);
    }
    return true;
}

static void on_event(int fd, uint32_t events, void *opaque)
{
    vsock_conn *conn = opaque;
    virtio_vsock *vsock = conn->vsock;
    GMutex *lock = &vsock->base.device.lock;

    g_mutex_lock(lock);
    if (!conn->dead) {
        if (!host_event(conn, events)) {
            vsock_conn_reset(conn);
            vsock_flush(vsock);
        } else {
            if (vsock_conn_is_ready(conn))
                vsock_conn_wait(conn);
            vsock_flush(vsock);
            vsock_conn_update(conn);
        }
    }
    g_mutex_unlock(lock);
}
