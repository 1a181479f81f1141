/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd.c: nbd.h by libnbd, whose handle only the loop uses once it is open.
 *
 * Each part of a scattered buffer is a command of its own, so nothing is
 * copied; all are on their way at once.
 *
 * Spec:    NBD protocol, doc/proto.md of the NBD project.
 * Threads: as nbd.h says.
 */
#include "block/nbd.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "block/aio.h"
#include "block/nbd_lib.h"

enum {
    CONNECT_S = 10,
    HANDSHAKE_MS = 10000,
    SECTOR = 512,
    COMMAND_MAX = 32 << 20, /* what every server takes, bytes */
    ZEROES = 1 << 20,
    PORT = 10809,
};

/* The commands of one blk_io. */
typedef struct call {
    blk_nbd *nbd;
    blk_io *io;
    uint32_t left; /* commands; and one while they are being sent */
    int rc;
    bool flush_after;
    struct call *next; /* of the spares */
} call;

struct blk_nbd {
    blk_nbd_lib lib;
    struct nbd_handle *handle;
    vsr_loop *loop; /* NULL: only blk_nbd_run, on one thread */
    vsr_loop_fd *watch;
    uint32_t watched; /* EPOLL* */
    uint64_t bytes;
    size_t command_max;
    bool can_flush, can_trim, can_zero;
    call *spare;
    call *finished;  /* to be looked at outside of libnbd */
    uint8_t *zeroes; /* where the server cannot zero */
};

/* --- connecting --- */

static void set_timeout(int fd, int seconds)
{
    struct timeval t = { .tv_sec = seconds };

    /* On Linux it bounds connect(), too. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

static int connect_fd(int family, const struct sockaddr *address, socklen_t len)
{
    vsr_autofd fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return -errno;
    set_timeout(fd, CONNECT_S);
    if (connect(fd, address, len) < 0)
        return errno == EINPROGRESS || errno == EAGAIN ? -ETIMEDOUT : -errno;
    set_timeout(fd, 0);
    if (family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    return vsr_steal_fd(&fd);
}

static int connect_unix(const char *path, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (path[0] != '/' || strlen(path) >= sizeof address.sun_path) {
        vsr_fail(error, VISOR_ERR_CONFIG,
                 "The path of an NBD socket must be absolute and shorter than "
                 "%zu bytes: '%s'",
                 sizeof address.sun_path, path);
        return -1;
    }
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    fd = connect_fd(AF_UNIX, (struct sockaddr *)&address, sizeof address);
    if (fd < 0)
        vsr_fail_errno(error, fd, "Cannot connect to the NBD server at '%s'",
                       path);
    return fd < 0 ? -1 : fd;
}

static int connect_tcp(const char *host, uint16_t port, GError **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    char service[8];
    int fd = -ENOENT, rc;

    g_snprintf(service, sizeof service, "%u",
               port != 0 ? (unsigned)port : (unsigned)PORT);
    rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0) {
        vsr_fail(error, VISOR_ERR_NOT_FOUND,
                 "Cannot find the NBD server '%s': %s", host, gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_fd(a->ai_family, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(list);
    if (fd < 0)
        vsr_fail_errno(error, fd, "Cannot connect to the NBD server '%s:%s'",
                       host, service);
    return fd < 0 ? -1 : fd;
}

int blk_nbd_connect(const vsr_block_location *location, GError **error)
{
    if (location->path != NULL)
        return connect_unix(location->path, error);
    if (location->host != NULL)
        return connect_tcp(location->host, location->port, error);
    vsr_fail(error, VISOR_ERR_CONFIG,
             "An NBD disk needs a socket's path or a host");
    return -1;
}

/* --- results --- */

static int result_of(int error)
{
    if (error == 0)
        return 0;
    return error == ENOSPC || error == EFBIG ? -ENOSPC : -EIO;
}

/* One command less. Runs in libnbd's callbacks, too, where nothing of libnbd may
 * be called: what is finished is only noted. */
static void call_put(call *c)
{
    if (--c->left > 0)
        return;
    c->next = c->nbd->finished;
    c->nbd->finished = c;
}

static int on_completion(void *opaque, int *error)
{
    call *c = opaque;

    if (*error != 0 && c->rc == 0)
        c->rc = result_of(*error);
    call_put(c);
    return 1; /* libnbd forgets the command */
}

/* --- commands --- */

static int64_t send_command(call *c, vsr_block_op op, void *data, uint64_t len,
                            uint64_t offset)
{
    nbd_completion_callback done = { .callback = on_completion,
                                     .user_data = c };
    const blk_nbd *nbd = c->nbd;
    struct nbd_handle *h = nbd->handle;

    switch (op) {
    case VSR_BLOCK_READ:
        return nbd->lib.aio_pread(h, data, (size_t)len, offset, done, 0);
    case VSR_BLOCK_WRITE:
        return nbd->lib.aio_pwrite(h, data, (size_t)len, offset, done, 0);
    case VSR_BLOCK_FLUSH:
        return nbd->lib.aio_flush(h, done, 0);
    case VSR_BLOCK_DISCARD:
        return nbd->lib.aio_trim(h, len, offset, done, 0);
    case VSR_BLOCK_WRITE_ZEROES:
        return nbd->lib.aio_zero(h, len, offset, done,
                                 c->io->may_unmap ? 0
                                                  : LIBNBD_CMD_FLAG_NO_HOLE);
    case VSR_BLOCK_OPS:
    default:
        return -1;
    }
}

/* Pieces that the server takes. */
static void send_range(call *c, vsr_block_op op, uint8_t *data, uint64_t len,
                       uint64_t offset, bool repeat)
{
    size_t max = repeat ? ZEROES : c->nbd->command_max;

    while (len > 0 && c->rc == 0) {
        uint64_t part = MIN(len, max);

        c->left++;
        if (send_command(c, op, data, part, offset) < 0) {
            c->left--;
            c->rc = -EIO;
        }
        if (data != NULL && !repeat)
            data += part;
        offset += part;
        len -= part;
    }
}

static void send_parts(call *c, vsr_block_op op, const struct iovec *iov,
                       uint32_t n_iov, uint64_t offset)
{
    uint64_t size = c->nbd->bytes;

    for (uint32_t i = 0; i < n_iov; i++) {
        uint8_t *data = iov[i].iov_base;
        uint64_t len = iov[i].iov_len;
        uint64_t inside = offset < size ? MIN(len, size - offset) : 0;

        if (op == VSR_BLOCK_READ)
            memset(data + inside, 0, (size_t)(len - inside));
        else if (inside < len)
            c->rc = -ENOSPC;
        send_range(c, op, data, inside, offset, false);
        offset += len;
    }
}

/* With nothing of it in flight. */
static void start(call *c, vsr_block_op op, const struct iovec *iov,
                  uint32_t n_iov, uint64_t offset, uint64_t len)
{
    blk_nbd *nbd = c->nbd;

    c->left = 1;
    switch (op) {
    case VSR_BLOCK_READ:
    case VSR_BLOCK_WRITE:
        send_parts(c, op, iov, n_iov, offset);
        break;
    case VSR_BLOCK_FLUSH:
        if (nbd->can_flush) {
            c->left++;
            if (send_command(c, op, NULL, 0, 0) < 0) {
                c->left--;
                c->rc = -EIO;
            }
        }
        break;
    case VSR_BLOCK_DISCARD:
        if (nbd->can_trim)
            send_range(c, op, NULL, len, offset, false);
        break;
    case VSR_BLOCK_WRITE_ZEROES:
        if (nbd->can_zero) {
            send_range(c, op, NULL, len, offset, false);
            break;
        }
        if (nbd->zeroes == NULL)
            nbd->zeroes = g_malloc0(ZEROES);
        send_range(c, VSR_BLOCK_WRITE, nbd->zeroes, len, offset, true);
        break;
    case VSR_BLOCK_OPS:
    default:
        c->rc = -EINVAL;
        break;
    }
    call_put(c);
}

static uint32_t wanted_events(const blk_nbd *nbd)
{
    unsigned direction = nbd->lib.aio_get_direction(nbd->handle);

    return ((direction & LIBNBD_AIO_DIRECTION_READ) != 0 ? EPOLLIN : 0) |
           ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0 ? EPOLLOUT : 0);
}

static void update_watch(blk_nbd *nbd)
{
    uint32_t events = nbd->watch != NULL ? wanted_events(nbd) : 0;

    if (events == nbd->watched)
        return;
    nbd->watched = events;
    vsr_loop_fd_modify(nbd->watch, events);
}

static void sync_done(blk_io *io);

/* What is finished goes on, or back; `direct`: done() may be called from here.
 * The last that is done with `nbd`: then its owner may close it. */
static void drain(blk_nbd *nbd, bool direct)
{
    call *list = NULL;

    while (nbd->finished != NULL) {
        call *c = nbd->finished;

        nbd->finished = c->next;
        if (c->rc == 0 && c->flush_after) {
            c->flush_after = false;
            start(c, VSR_BLOCK_FLUSH, NULL, 0, 0, 0);
        } else {
            c->next = list;
            list = c;
        }
    }
    update_watch(nbd);
    while (list != NULL) {
        call *c = list;
        blk_io *io = c->io;

        list = c->next;
        io->rc = c->rc;
        c->next = nbd->spare;
        nbd->spare = c;
        if (direct || io->done == sync_done)
            io->done(io);
        else
            blk_aio_post(io->file->aio, io);
    }
}

static void on_event(int fd, uint32_t events, void *opaque)
{
    blk_nbd *nbd = opaque;

    if ((nbd->watched & EPOLLIN) != 0 &&
        (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        (void)nbd->lib.aio_notify_read(nbd->handle);
    else if ((nbd->watched & EPOLLOUT) != 0)
        (void)nbd->lib.aio_notify_write(nbd->handle);
    drain(nbd, true);
}

void blk_nbd_submit(blk_io *io)
{
    blk_nbd *nbd = io->file->nbd;
    call *c = nbd->spare;

    if (c != NULL)
        nbd->spare = c->next;
    else
        c = g_new(call, 1);
    *c = (call){ .nbd = nbd,
                 .io = io,
                 .flush_after = io->fua && io->op != VSR_BLOCK_FLUSH };
    start(c, io->op, io->iov, io->n_iov, io->offset, io->len);
    drain(nbd, false);
}

/* --- for those who wait --- */

typedef struct {
    blk_io io;
    GMutex lock;
    GCond cond;
    bool is_done;
} sync_call;

static void sync_done(blk_io *io)
{
    sync_call *s = io->opaque;

    g_mutex_lock(&s->lock);
    s->is_done = true;
    g_cond_signal(&s->cond);
    g_mutex_unlock(&s->lock);
}

static void sync_submit(void *opaque)
{
    sync_call *s = opaque;

    blk_nbd_submit(&s->io);
}

int blk_nbd_run(blk_io *io)
{
    blk_nbd *nbd = io->file->nbd;
    sync_call s = { .io = *io };

    s.io.done = sync_done;
    s.io.opaque = &s;
    g_mutex_init(&s.lock);
    g_cond_init(&s.cond);
    if (nbd->loop != NULL && !vsr_loop_is_current(nbd->loop)) {
        vsr_loop_call(nbd->loop, sync_submit, &s);
        g_mutex_lock(&s.lock);
        while (!s.is_done)
            g_cond_wait(&s.cond, &s.lock);
        g_mutex_unlock(&s.lock);
    } else {
        sync_submit(&s);
        while (!s.is_done && nbd->lib.poll(nbd->handle, -1) >= 0)
            drain(nbd, true);
        drain(nbd, true);
        if (!s.is_done) /* the connection is gone, and with it the command */
            s.io.rc = -EIO;
    }
    g_cond_clear(&s.cond);
    g_mutex_clear(&s.lock);
    return s.io.rc;
}

/* --- life --- */

static bool refused(const blk_nbd *nbd, const char *name, GError **error)
{
    return vsr_fail(error,
                    nbd->lib.get_errno() == ENOENT ? VISOR_ERR_NOT_FOUND
                                                   : VISOR_ERR_PROTOCOL,
                    "Cannot open '%s': %s", name, nbd->lib.get_error());
}

static bool handshake(blk_nbd *nbd, int fd, const char *name,
                      const char *export, GError **error)
{
    struct nbd_handle *h = nbd->handle;

    if (nbd->lib.set_export_name(h, export != NULL ? export : "") < 0) {
        vsr_close(fd);
        return refused(nbd, name, error);
    }
    /* May go through the whole handshake already. */
    if (nbd->lib.aio_connect_socket(h, fd) < 0)
        return refused(nbd, name, error);
    while (nbd->lib.aio_is_connecting(h) > 0) {
        int rc = nbd->lib.poll(h, HANDSHAKE_MS);

        if (rc == 0)
            return vsr_fail(error, VISOR_ERR_TIMEOUT,
                            "'%s' did not answer for %d ms", name,
                            HANDSHAKE_MS);
        if (rc < 0)
            return refused(nbd, name, error);
    }
    return nbd->lib.aio_is_ready(h) > 0 || refused(nbd, name, error);
}

static bool learn(blk_nbd *nbd, const char *name, bool readonly, GError **error)
{
    struct nbd_handle *h = nbd->handle;
    int64_t bytes = nbd->lib.get_size(h);
    int64_t least = nbd->lib.get_block_size(h, LIBNBD_SIZE_MINIMUM);
    int64_t most = nbd->lib.get_block_size(h, LIBNBD_SIZE_MAXIMUM);

    if (bytes < 0)
        return vsr_fail(error, VISOR_ERR_PROTOCOL, "'%s' has no size: %s", name,
                        nbd->lib.get_error());
    if (!readonly && nbd->lib.is_read_only(h) > 0)
        return vsr_fail(error, VISOR_ERR_ACCESS,
                        "'%s' is read-only at its server", name);
    if (least > SECTOR)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "'%s' has blocks of %" G_GINT64_FORMAT
                        " bytes; 512 are the most",
                        name, least);
    nbd->bytes = (uint64_t)bytes;
    nbd->command_max =
        most >= SECTOR ? (size_t)MIN(most, COMMAND_MAX) : COMMAND_MAX;
    nbd->command_max &= ~(size_t)(SECTOR - 1);
    nbd->can_flush = nbd->lib.can_flush(h) > 0;
    nbd->can_trim = nbd->lib.can_trim(h) > 0;
    nbd->can_zero = nbd->lib.can_zero(h) > 0;
    return true;
}

static bool watch(blk_nbd *nbd, GError **error)
{
    nbd->watched = wanted_events(nbd);
    nbd->watch = vsr_loop_fd_add(nbd->loop, nbd->lib.aio_get_fd(nbd->handle),
                                 nbd->watched, on_event, nbd, error);
    return nbd->watch != NULL;
}

blk_nbd *blk_nbd_open(int fd, const char *name, const char *export,
                      bool readonly, vsr_loop *loop, GError **error)
{
    blk_nbd *nbd = g_new0(blk_nbd, 1);

    nbd->loop = loop;
    if (!blk_nbd_lib_load(&nbd->lib, error)) {
        vsr_close(fd);
        g_clear_pointer(&nbd, blk_nbd_close);
        return NULL;
    }
    nbd->handle = nbd->lib.create();
    if (nbd->handle == NULL) {
        vsr_close(fd);
        vsr_fail(error, VISOR_ERR_RESOURCE, "Cannot use '%s': %s", name,
                 nbd->lib.get_error());
        g_clear_pointer(&nbd, blk_nbd_close);
    } else if (!handshake(nbd, fd, name, export, error) ||
               !learn(nbd, name, readonly, error) ||
               (loop != NULL && !watch(nbd, error))) {
        g_clear_pointer(&nbd, blk_nbd_close);
    }
    return nbd;
}

void blk_nbd_close(blk_nbd *nbd)
{
    if (nbd == NULL)
        return;
    vsr_loop_fd_remove(nbd->watch);
    if (nbd->handle != NULL) {
        if (nbd->lib.aio_is_ready(nbd->handle) > 0)
            (void)nbd->lib.aio_disconnect(nbd->handle, 0);
        nbd->lib.close(nbd->handle);
    }
    while (nbd->spare != NULL) {
        call *c = nbd->spare;

        nbd->spare = c->next;
        g_free(c);
    }
    g_free(nbd->zeroes);
    g_free(nbd);
}

uint64_t blk_nbd_bytes(const blk_nbd *nbd)
{
    return nbd->bytes & ~(uint64_t)(SECTOR - 1);
}
