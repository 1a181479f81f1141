/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop.c: one thread in epoll_wait: file descriptors, one timerfd for the
 * earliest timer, one eventfd for posted calls.
 *
 * Arming a timer is on the path of every guest tick, so it costs a lock and,
 * only when the new deadline is earlier than what the timerfd is set to, one
 * timerfd_settime() by the arming thread; the loop itself is not woken. The
 * timerfd may therefore be set too early (a timer was cancelled or moved), never
 * too late: `programmed_ns` <= the heap's first deadline at all times.
 *
 * Threads: as loop.h says. Callbacks run without `lock`.
 */
#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/thread.h"

enum { EVENTS_PER_WAIT = 32 };

typedef struct loop_call {
    struct loop_call *next;
    vsr_loop_fn *fn;
    void *opaque;
} loop_call;

struct vsr_loop_fd {
    vsr_loop *loop;
    vsr_loop_fd_fn *fn;
    void *opaque;
    int fd;
    /* The rest under the loop's lock. */
    bool removed;  /* a batch of events may still point here */
    bool in_epoll; /* not while `events` is 0: HUP cannot be masked */
};

struct vsr_loop {
    int epoll_fd, timer_fd, event_fd;
    GThread *thread;

    GMutex lock; /* guards all below; the innermost lock there is */
    GCond idle;  /* a callback has returned */
    loop_call *calls, **calls_end;
    GPtrArray *heap; /* of vsr_timer (the callers'), binary, earliest first */
    int64_t programmed_ns; /* the timerfd; INT64_MAX: disarmed */
    const vsr_timer *running_timer;
    const vsr_loop_fd *running_fd;
    uint32_t waiters; /* for `idle` */
    GSList *removed;  /* of vsr_loop_fd, freed when no batch can name them */
    bool stop;
};

int64_t vsr_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

bool vsr_loop_is_current(const vsr_loop *loop)
{
    return loop->thread == g_thread_self();
}

/* Both with the lock held. A wake-up is a system call, on the path of every
 * timer: only when somebody waits. */
static void idle_wait(vsr_loop *loop)
{
    loop->waiters++;
    g_cond_wait(&loop->idle, &loop->lock);
    loop->waiters--;
}

static void idle_signal(vsr_loop *loop)
{
    if (loop->waiters > 0)
        g_cond_broadcast(&loop->idle);
}

static void loop_wake(vsr_loop *loop)
{
    uint64_t one = 1;
    ssize_t n;

    /* EAGAIN (a full counter) means awake as well. */
    do {
        n = write(loop->event_fd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
}

/* --- timers --- */

static vsr_timer *heap_at(const vsr_loop *loop, guint i)
{
    return loop->heap->pdata[i];
}

static void heap_put(vsr_loop *loop, guint i, vsr_timer *timer)
{
    loop->heap->pdata[i] = timer;
    timer->heap_index = (int)i;
}

/* Moves `timer`, whose place is the hole at `i`, up or down to where it fits. */
static void heap_settle(vsr_loop *loop, guint i, vsr_timer *timer)
{
    guint n = loop->heap->len;

    while (i > 0) {
        guint parent = (i - 1) / 2;

        if (heap_at(loop, parent)->deadline_ns <= timer->deadline_ns)
            break;
        heap_put(loop, i, heap_at(loop, parent));
        i = parent;
    }
    for (;;) {
        guint child = 2 * i + 1;

        if (child >= n)
            break;
        if (child + 1 < n && heap_at(loop, child + 1)->deadline_ns <
                                 heap_at(loop, child)->deadline_ns)
            child++;
        if (heap_at(loop, child)->deadline_ns >= timer->deadline_ns)
            break;
        heap_put(loop, i, heap_at(loop, child));
        i = child;
    }
    heap_put(loop, i, timer);
}

static void heap_remove(vsr_loop *loop, vsr_timer *timer)
{
    guint i = (guint)timer->heap_index;
    vsr_timer *last;

    if (timer->heap_index < 0)
        return;
    last = heap_at(loop, loop->heap->len - 1);
    g_ptr_array_set_size(loop->heap, (gint)loop->heap->len - 1);
    if (last != timer)
        heap_settle(loop, i, last);
    timer->heap_index = -1;
}

static void timerfd_program(vsr_loop *loop, int64_t deadline_ns)
{
    struct itimerspec spec = { 0 };

    if (deadline_ns != INT64_MAX) {
        int64_t at = MAX(deadline_ns, 1); /* all zero would disarm */

        spec.it_value.tv_sec = at / 1000000000;
        spec.it_value.tv_nsec = at % 1000000000;
    }
    loop->programmed_ns = deadline_ns;
    (void)timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void vsr_timer_init(vsr_timer *timer, vsr_loop *loop, vsr_loop_fn *fn,
                    void *opaque)
{
    *timer = (vsr_timer){
        .loop = loop, .fn = fn, .opaque = opaque, .heap_index = -1
    };
}

void vsr_timer_arm(vsr_timer *timer, int64_t deadline_ns)
{
    vsr_loop *loop = timer->loop;

    g_mutex_lock(&loop->lock);
    timer->deadline_ns = deadline_ns;
    if (timer->heap_index < 0) {
        g_ptr_array_add(loop->heap, timer);
        heap_settle(loop, loop->heap->len - 1, timer);
    } else {
        heap_settle(loop, (guint)timer->heap_index, timer);
    }
    /* Under the lock, so that two armers cannot program out of order. */
    if (deadline_ns < loop->programmed_ns)
        timerfd_program(loop, deadline_ns);
    g_mutex_unlock(&loop->lock);
}

void vsr_timer_cancel(vsr_timer *timer)
{
    vsr_loop *loop = timer->loop;

    g_mutex_lock(&loop->lock);
    heap_remove(loop, timer);
    if (!vsr_loop_is_current(loop)) {
        while (loop->running_timer == timer)
            idle_wait(loop);
        heap_remove(loop, timer); /* its callback may have re-armed it */
    }
    g_mutex_unlock(&loop->lock);
}

static void run_timers(vsr_loop *loop)
{
    int64_t now = vsr_now_ns();

    g_mutex_lock(&loop->lock);
    while (loop->heap->len > 0 && heap_at(loop, 0)->deadline_ns <= now) {
        vsr_timer *timer = heap_at(loop, 0);
        vsr_loop_fn *fn = timer->fn;
        void *opaque = timer->opaque;

        heap_remove(loop, timer);
        loop->running_timer = timer;
        g_mutex_unlock(&loop->lock);
        fn(opaque); /* may free the timer */
        g_mutex_lock(&loop->lock);
        loop->running_timer = NULL;
        idle_signal(loop);
    }
    if (loop->heap->len > 0) {
        int64_t first_ns = heap_at(loop, 0)->deadline_ns;

        if (first_ns != loop->programmed_ns || first_ns <= now)
            timerfd_program(loop, first_ns);
    } else if (loop->programmed_ns <= now) {
        loop->programmed_ns = INT64_MAX; /* it has fired, nothing is next */
    }
    g_mutex_unlock(&loop->lock);
}

/* --- posted calls --- */

void vsr_loop_call(vsr_loop *loop, vsr_loop_fn *fn, void *opaque)
{
    loop_call *call = g_new(loop_call, 1);
    bool was_empty;

    *call = (loop_call){ .fn = fn, .opaque = opaque };
    g_mutex_lock(&loop->lock);
    was_empty = loop->calls == NULL;
    *loop->calls_end = call;
    loop->calls_end = &call->next;
    /* With the lock: after it the call may have run, and the loop be freed. */
    if (was_empty)
        loop_wake(loop);
    g_mutex_unlock(&loop->lock);
}

/* True: there were some. */
static bool run_calls(vsr_loop *loop)
{
    loop_call *batch;

    g_mutex_lock(&loop->lock);
    batch = loop->calls;
    loop->calls = NULL;
    loop->calls_end = &loop->calls;
    g_mutex_unlock(&loop->lock);
    if (batch == NULL)
        return false;
    while (batch != NULL) {
        loop_call *call = batch;

        batch = call->next;
        call->fn(call->opaque);
        g_free(call);
    }
    return true;
}

/* With a lock of its own: once it is done somebody else may free the loop. */
typedef struct {
    vsr_loop_fn *fn;
    void *opaque;
    GMutex lock; /* guards `done` */
    GCond ended;
    bool done;
} sync_call;

static void sync_run(void *opaque)
{
    sync_call *call = opaque;

    call->fn(call->opaque);
    g_mutex_lock(&call->lock);
    call->done = true;
    g_cond_signal(&call->ended);
    g_mutex_unlock(&call->lock);
}

void vsr_loop_sync(vsr_loop *loop, vsr_loop_fn *fn, void *opaque)
{
    sync_call call = { .fn = fn, .opaque = opaque };

    if (vsr_loop_is_current(loop)) {
        fn(opaque);
        return;
    }
    g_mutex_init(&call.lock);
    g_cond_init(&call.ended);
    vsr_loop_call(loop, sync_run, &call);
    g_mutex_lock(&call.lock);
    while (!call.done)
        g_cond_wait(&call.ended, &call.lock);
    g_mutex_unlock(&call.lock);
    g_cond_clear(&call.ended);
    g_mutex_clear(&call.lock);
}

/* --- file descriptors --- */

/* Lock held. */
static int watch_apply(vsr_loop_fd *watch, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };
    int op;

    if (events == 0) {
        if (!watch->in_epoll)
            return 0;
        op = EPOLL_CTL_DEL;
    } else {
        op = watch->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    }
    if (epoll_ctl(watch->loop->epoll_fd, op, watch->fd, &event) < 0)
        return -errno;
    watch->in_epoll = events != 0;
    return 0;
}

vsr_loop_fd *vsr_loop_fd_add(vsr_loop *loop, int fd, uint32_t events,
                             vsr_loop_fd_fn *fn, void *opaque, GError **error)
{
    vsr_loop_fd *watch = g_new0(vsr_loop_fd, 1);
    int rc;

    watch->loop = loop;
    watch->fn = fn;
    watch->opaque = opaque;
    watch->fd = fd;
    g_mutex_lock(&loop->lock);
    rc = watch_apply(watch, events);
    g_mutex_unlock(&loop->lock);
    if (rc < 0) {
        g_free(watch);
        vsr_fail_errno(error, rc, "Cannot wait for file descriptor %d", fd);
        return NULL;
    }
    return watch;
}

void vsr_loop_fd_modify(vsr_loop_fd *watch, uint32_t events)
{
    g_mutex_lock(&watch->loop->lock);
    (void)watch_apply(watch, events);
    g_mutex_unlock(&watch->loop->lock);
}

void vsr_loop_fd_remove(vsr_loop_fd *watch)
{
    vsr_loop *loop;

    if (watch == NULL)
        return;
    loop = watch->loop;
    g_mutex_lock(&loop->lock);
    watch->removed = true;
    (void)watch_apply(watch, 0);
    if (!vsr_loop_is_current(loop))
        while (loop->running_fd == watch)
            idle_wait(loop);
    loop->removed = g_slist_prepend(loop->removed, watch);
    g_mutex_unlock(&loop->lock);
}

static void run_fd(vsr_loop *loop, vsr_loop_fd *watch, uint32_t events)
{
    bool wanted;

    g_mutex_lock(&loop->lock);
    /* Removed or silenced by an earlier callback of this batch? */
    wanted = !watch->removed && watch->in_epoll;
    if (wanted)
        loop->running_fd = watch;
    g_mutex_unlock(&loop->lock);
    if (!wanted)
        return;
    watch->fn(watch->fd, events, watch->opaque);
    g_mutex_lock(&loop->lock);
    loop->running_fd = NULL;
    idle_signal(loop);
    g_mutex_unlock(&loop->lock);
}

/* Before epoll_wait: what was removed by now is in no batch to come. */
static void free_removed(vsr_loop *loop)
{
    GSList *list;

    g_mutex_lock(&loop->lock);
    list = g_steal_pointer(&loop->removed);
    g_mutex_unlock(&loop->lock);
    g_slist_free_full(list, g_free);
}

/* --- the thread --- */

static bool loop_stopping(vsr_loop *loop)
{
    bool stop;

    g_mutex_lock(&loop->lock);
    stop = loop->stop;
    g_mutex_unlock(&loop->lock);
    return stop;
}

static void *loop_main(void *opaque)
{
    vsr_loop *loop = opaque;
    struct epoll_event events[EVENTS_PER_WAIT];

    while (run_calls(loop) || !loop_stopping(loop)) {
        int n;

        free_removed(loop);
        /* The wake-up for `stop` may have been read with an earlier one. */
        n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT,
                       loop_stopping(loop) ? 0 : -1);
        run_timers(loop);
        for (int i = 0; i < n; i++) {
            uint64_t count;

            if (events[i].data.ptr == &loop->event_fd)
                (void)!read(loop->event_fd, &count, sizeof count);
            else if (events[i].data.ptr != &loop->timer_fd)
                run_fd(loop, events[i].data.ptr, events[i].events);
        }
    }
    return NULL;
}

/* `tag`, an address of ours, tells the two fds from watches. The timerfd is
 * edge-triggered: nobody has to read it. */
static int add_own(vsr_loop *loop, int fd, uint32_t events, void *tag)
{
    struct epoll_event event = { .events = events, .data.ptr = tag };

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

vsr_loop *vsr_loop_new(const char *thread_name, GError **error)
{
    vsr_loop *loop = g_new0(vsr_loop, 1);

    g_mutex_init(&loop->lock);
    g_cond_init(&loop->idle);
    loop->calls_end = &loop->calls;
    loop->heap = g_ptr_array_new();
    loop->programmed_ns = INT64_MAX;
    loop->timer_fd = loop->event_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd >= 0)
        loop->timer_fd =
            timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->timer_fd >= 0)
        loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->event_fd < 0 ||
        add_own(loop, loop->timer_fd, EPOLLIN | EPOLLET, &loop->timer_fd) < 0 ||
        add_own(loop, loop->event_fd, EPOLLIN, &loop->event_fd) < 0) {
        vsr_fail_errno(error, errno, "Cannot create the loop '%s'",
                       thread_name);
        vsr_loop_free(loop);
        return NULL;
    }
    loop->thread = vsr_thread_new(thread_name, loop_main, loop, error);
    if (loop->thread == NULL) {
        vsr_loop_free(loop);
        return NULL;
    }
    return loop;
}

void vsr_loop_free(vsr_loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->thread != NULL) {
        g_mutex_lock(&loop->lock);
        loop->stop = true;
        g_mutex_unlock(&loop->lock);
        loop_wake(loop);
        g_thread_join(loop->thread);
    }
    free_removed(loop);
    g_ptr_array_unref(loop->heap);
    vsr_close(loop->event_fd);
    vsr_close(loop->timer_fd);
    vsr_close(loop->epoll_fd);
    g_cond_clear(&loop->idle);
    g_mutex_clear(&loop->lock);
    g_free(loop);
}
