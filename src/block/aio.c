/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio.c: the threads, and the way back to the loop.
 *
 * A list of what is done, and an eventfd that the loop waits for. The watch is
 * edge-triggered: nobody reads the counter, and it is written only when the
 * list was empty.
 *
 * Threads: as aio.h says.
 */
#include "block/aio.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"
#include "block/nbd.h"
#include "block/ring.h"

enum {
    THREADS = 8,             /* where they do all the work */
    THREADS_BESIDE_RING = 2, /* where they do what the ring does not */
};

typedef struct {
    blk_io *head, **tail;
} io_list;

struct blk_aio {
    blk_ring *ring; /* NULL: threads only */
    uint32_t plugs; /* the loop's */
    io_list held;   /* the loop's: for the threads, at the unplug */

    GMutex lock; /* guards what follows */
    GCond wake;
    io_list todo;
    uint32_t idle;
    bool stop;

    GMutex done_lock; /* guards `done` */
    io_list done;
    int event_fd;
    vsr_loop_fd *watch;

    GThread *threads[THREADS];
    uint32_t n_threads;
};

static void list_init(io_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void list_add(io_list *list, blk_io *io)
{
    io->next = NULL;
    *list->tail = io;
    list->tail = &io->next;
}

static blk_io *list_take_first(io_list *list)
{
    blk_io *io = list->head;

    list->head = io->next;
    if (list->head == NULL)
        list->tail = &list->head;
    return io;
}

/* --- done --- */

void blk_aio_post(blk_aio *aio, blk_io *io)
{
    uint64_t one = 1;
    bool was_empty;
    ssize_t n;

    g_mutex_lock(&aio->done_lock);
    was_empty = aio->done.head == NULL;
    list_add(&aio->done, io);
    g_mutex_unlock(&aio->done_lock);
    if (!was_empty)
        return;
    do {
        n = write(aio->event_fd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
}

static void call_done(int fd, uint32_t events, void *opaque)
{
    blk_aio *aio = opaque;
    io_list list;

    g_mutex_lock(&aio->done_lock);
    list = aio->done;
    list_init(&aio->done);
    g_mutex_unlock(&aio->done_lock);

    blk_aio_plug(aio);
    while (list.head != NULL) {
        blk_io *io = list.head;

        list.head = io->next;
        io->done(io); /* may free it */
    }
    blk_aio_unplug(aio);
}

/* --- the threads --- */

static void *worker(void *opaque)
{
    blk_aio *aio = opaque;

    g_mutex_lock(&aio->lock);
    for (;;) {
        blk_io *io;

        while (aio->todo.head == NULL && !aio->stop) {
            aio->idle++;
            g_cond_wait(&aio->wake, &aio->lock);
            aio->idle--;
        }
        if (aio->todo.head == NULL)
            break;
        io = list_take_first(&aio->todo);
        g_mutex_unlock(&aio->lock);
        io->rc = blk_file_run(io);
        blk_aio_post(aio, io);
        g_mutex_lock(&aio->lock);
    }
    g_mutex_unlock(&aio->lock);
    return NULL;
}

static void send_held(blk_aio *aio)
{
    uint32_t n = 0, idle;

    if (aio->held.head == NULL)
        return;
    for (const blk_io *io = aio->held.head; io != NULL; io = io->next)
        n++;
    g_mutex_lock(&aio->lock);
    *aio->todo.tail = aio->held.head;
    aio->todo.tail = aio->held.tail;
    idle = aio->idle;
    g_mutex_unlock(&aio->lock);
    list_init(&aio->held);
    if (n >= idle && n > 1)
        g_cond_broadcast(&aio->wake);
    else
        for (uint32_t i = 0; i < n; i++)
            g_cond_signal(&aio->wake);
}

void blk_aio_submit_to_threads(blk_aio *aio, blk_io *io)
{
    list_add(&aio->held, io);
    if (aio->plugs == 0)
        send_held(aio);
}

void blk_aio_submit(blk_aio *aio, blk_io *io)
{
    io->moved = 0;
    io->rc = 0;
    if (io->file->nbd != NULL) {
        blk_nbd_submit(io);
        return;
    }
    if (aio->ring == NULL || !blk_ring_add(aio->ring, io)) {
        blk_aio_submit_to_threads(aio, io);
        return;
    }
    if (aio->plugs == 0)
        blk_ring_flush(aio->ring);
}

void blk_aio_plug(blk_aio *aio)
{
    aio->plugs++;
}

void blk_aio_unplug(blk_aio *aio)
{
    if (--aio->plugs > 0)
        return;
    if (aio->ring != NULL)
        blk_ring_flush(aio->ring);
    send_held(aio);
}

/* --- life --- */

static bool start(blk_aio *aio, vsr_block_aio kind, const char *name,
                  vsr_loop *loop, GError **error)
{
    g_autoptr(GError) cause = NULL;
    uint32_t n = THREADS;

    aio->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (aio->event_fd < 0)
        return vsr_fail_errno(error, errno, "Cannot create an eventfd for '%s'",
                              name);
    aio->watch = vsr_loop_fd_add(loop, aio->event_fd, EPOLLIN | EPOLLET,
                                 call_done, aio, error);
    if (aio->watch == NULL)
        return false;
    if (kind != VSR_BLOCK_AIO_THREADS) {
        aio->ring = blk_ring_new(aio, loop, &cause);
        if (aio->ring == NULL && kind == VSR_BLOCK_AIO_IO_URING) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return vsr_fail_prefix(error, "Disk '%s'", name);
        }
        if (aio->ring == NULL)
            vsr_log(VSR_LOG_INFO, "Disk '%s' uses threads: %s", name,
                    cause->message);
    }
    if (aio->ring != NULL)
        n = THREADS_BESIDE_RING;
    while (aio->n_threads < n) {
        GThread *thread = vsr_thread_new("vsr-block", worker, aio, error);

        if (thread == NULL)
            return false;
        aio->threads[aio->n_threads++] = thread;
    }
    return true;
}

blk_aio *blk_aio_new(vsr_block_aio kind, const char *name, vsr_loop *loop,
                     GError **error)
{
    blk_aio *aio = g_new0(blk_aio, 1);

    g_mutex_init(&aio->lock);
    g_cond_init(&aio->wake);
    g_mutex_init(&aio->done_lock);
    list_init(&aio->held);
    list_init(&aio->todo);
    list_init(&aio->done);
    aio->event_fd = -1;
    if (!start(aio, kind, name, loop, error))
        g_clear_pointer(&aio, blk_aio_free);
    return aio;
}

void blk_aio_free(blk_aio *aio)
{
    if (aio == NULL)
        return;
    /* First: a callback of the loop may still be returning. */
    vsr_loop_fd_remove(aio->watch);
    blk_ring_free(aio->ring);
    g_mutex_lock(&aio->lock);
    aio->stop = true;
    g_cond_broadcast(&aio->wake);
    g_mutex_unlock(&aio->lock);
    for (uint32_t i = 0; i < aio->n_threads; i++)
        g_thread_join(aio->threads[i]);
    vsr_close(aio->event_fd);
    g_cond_clear(&aio->wake);
    g_mutex_clear(&aio->lock);
    g_mutex_clear(&aio->done_lock);
    g_free(aio);
}
