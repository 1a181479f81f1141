/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.c: reads, writes and flushes by io_uring. What comes back short or
 * refused is finished by a thread, which knows all the cases.
 *
 * The kernel counts completions in an eventfd that the loop waits for
 * edge-triggered: it is never read, so a batch costs one io_uring_enter() and
 * one wake-up.
 *
 * Threads: as ring.h says.
 */
#include "block/ring.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <liburing.h>

#include "base/error.h"
#include "base/fd.h"

enum { ENTRIES = 256 };

struct blk_ring {
    struct io_uring uring;
    bool has_uring;
    blk_aio *aio;
    int event_fd;
    vsr_loop_fd *watch;
    uint32_t pending; /* prepared, not submitted */
};

static bool wants_thread(const blk_io *io, int res)
{
    if (res < 0)
        return res == -EINTR || res == -EAGAIN || res == -EINVAL ||
               res == -EOPNOTSUPP;
    return (io->op == VSR_BLOCK_READ || io->op == VSR_BLOCK_WRITE) &&
           (uint64_t)res < io->len;
}

static void complete(blk_ring *ring, blk_io *io, int res)
{
    if (wants_thread(io, res)) {
        io->moved = (uint64_t)MAX(res, 0);
        blk_aio_submit_to_threads(ring->aio, io);
        return;
    }
    io->rc = MIN(res, 0);
    io->done(io);
}

static void reap(int fd, uint32_t events, void *opaque)
{
    blk_ring *ring = opaque;
    struct io_uring_cqe *cqe;

    blk_aio_plug(ring->aio);
    while (io_uring_peek_cqe(&ring->uring, &cqe) == 0 && cqe != NULL) {
        blk_io *io = io_uring_cqe_get_data(cqe);
        int res = cqe->res;

        io_uring_cqe_seen(&ring->uring, cqe);
        complete(ring, io, res);
    }
    blk_aio_unplug(ring->aio);
}

void blk_ring_flush(blk_ring *ring)
{
    while (ring->pending > 0) {
        int n = io_uring_submit(&ring->uring);

        if (n > 0) {
            ring->pending -= MIN((uint32_t)n, ring->pending);
        } else if (n != -EINTR) {
            /* The kernel is short of something: reap, and try again. */
            uint64_t one = 1;

            (void)!write(ring->event_fd, &one, sizeof one);
            return;
        }
    }
}

static struct io_uring_sqe *get_entry(blk_ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

    if (sqe == NULL) {
        blk_ring_flush(ring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    return sqe;
}

bool blk_ring_add(blk_ring *ring, blk_io *io)
{
    struct io_uring_sqe *sqe;
    int fd = io->file->fd;

    if (io->op > VSR_BLOCK_FLUSH || io->n_iov > IOV_MAX ||
        !blk_file_is_aligned(io))
        return false;
    sqe = get_entry(ring);
    if (sqe == NULL)
        return false;
    if (io->op == VSR_BLOCK_READ)
        io_uring_prep_readv(sqe, fd, io->iov, io->n_iov, io->offset);
    else if (io->op == VSR_BLOCK_WRITE)
        io_uring_prep_writev2(sqe, fd, io->iov, io->n_iov, io->offset,
                              io->fua ? RWF_DSYNC : 0);
    else
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data(sqe, io);
    ring->pending++;
    return true;
}

/* Requests pass no filter of system calls: nothing but what is used here can
 * ever be asked of this ring. It is enabled afterwards. */
static int restrict_ring(blk_ring *ring)
{
    static const uint8_t used[] = { IORING_OP_READV, IORING_OP_WRITEV,
                                    IORING_OP_FSYNC };
    struct io_uring_restriction list[G_N_ELEMENTS(used)];
    int rc;

    memset(list, 0, sizeof list);
    for (size_t i = 0; i < G_N_ELEMENTS(used); i++) {
        list[i].opcode = IORING_RESTRICTION_SQE_OP;
        list[i].sqe_op = used[i];
    }
    /* liburing's own functions for it are missing in what 2.3 exports. */
    rc = io_uring_register((unsigned)ring->uring.ring_fd,
                           IORING_REGISTER_RESTRICTIONS, list,
                           G_N_ELEMENTS(list));
    if (rc < 0)
        return rc;
    return io_uring_register((unsigned)ring->uring.ring_fd,
                             IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static bool ring_start(blk_ring *ring, vsr_loop *loop, GError **error)
{
    int rc =
        io_uring_queue_init(ENTRIES, &ring->uring, IORING_SETUP_R_DISABLED);

    if (rc < 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "The kernel refuses io_uring: %s", strerror(-rc));
    ring->has_uring = true;
    (void)io_uring_ring_dontfork(&ring->uring);
    ring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = ring->event_fd < 0
             ? -errno
             : io_uring_register_eventfd(&ring->uring, ring->event_fd);
    if (rc < 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "io_uring cannot signal an eventfd: %s", strerror(-rc));
    rc = restrict_ring(ring);
    if (rc < 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "io_uring cannot be restricted: %s", strerror(-rc));
    ring->watch = vsr_loop_fd_add(loop, ring->event_fd, EPOLLIN | EPOLLET, reap,
                                  ring, error);
    return ring->watch != NULL;
}

blk_ring *blk_ring_new(blk_aio *aio, vsr_loop *loop, GError **error)
{
    blk_ring *ring = g_new0(blk_ring, 1);

    ring->aio = aio;
    ring->event_fd = -1;
    if (!ring_start(ring, loop, error))
        g_clear_pointer(&ring, blk_ring_free);
    return ring;
}

void blk_ring_free(blk_ring *ring)
{
    if (ring == NULL)
        return;
    vsr_loop_fd_remove(ring->watch);
    if (ring->has_uring)
        io_uring_queue_exit(&ring->uring);
    vsr_close(ring->event_fd);
    g_free(ring);
}
