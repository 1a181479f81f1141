/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop.h: a home loop: one thread that waits for file descriptors, timers with
 * nanosecond deadlines, and calls posted by other threads (epoll, timerfd,
 * eventfd). A device belongs to one loop for its life.
 *
 * Threads: vsr_loop_call, vsr_loop_sync and the timer calls from any thread;
 *          callbacks run on the loop's thread, without the loop's lock.
 */
#ifndef VSR_BASE_LOOP_H
#define VSR_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct vsr_loop vsr_loop;
typedef struct vsr_loop_fd vsr_loop_fd;
typedef void vsr_loop_fn(void *opaque);
typedef void vsr_loop_fd_fn(int fd, uint32_t events, void *opaque);

/* CLOCK_MONOTONIC, ns. */
int64_t vsr_now_ns(void);

vsr_loop *vsr_loop_new(const char *thread_name, GError **error);
/* Ends the thread after what was posted has run; fds and timers must be gone. */
void vsr_loop_free(vsr_loop *loop);
bool vsr_loop_is_current(const vsr_loop *loop);

/* Run `fn` on the loop soon; in order of posting. */
void vsr_loop_call(vsr_loop *loop, vsr_loop_fn *fn, void *opaque);
/* The same, and wait for it (directly when already on the loop). */
void vsr_loop_sync(vsr_loop *loop, vsr_loop_fn *fn, void *opaque);

/* `events` are EPOLL* bits; fd stays the caller's. Any thread. remove returns
 * only when the callback is not running and never will again (on the loop's
 * own thread: at once). */
vsr_loop_fd *vsr_loop_fd_add(vsr_loop *loop, int fd, uint32_t events,
                             vsr_loop_fd_fn *fn, void *opaque, GError **error);
void vsr_loop_fd_modify(vsr_loop_fd *watch, uint32_t events);
void vsr_loop_fd_remove(vsr_loop_fd *watch);

/* One-shot timers, storage the caller's. */
typedef struct vsr_timer {
    vsr_loop *loop;
    vsr_loop_fn *fn;
    void *opaque;
    int64_t deadline_ns; /* CLOCK_MONOTONIC */
    int heap_index;      /* -1: not armed */
} vsr_timer;

void vsr_timer_init(vsr_timer *timer, vsr_loop *loop, vsr_loop_fn *fn,
                    void *opaque);
void vsr_timer_arm(vsr_timer *timer, int64_t deadline_ns); /* re-arms */
/* After it returns the callback neither runs nor will (on the loop's own
 * thread: will not). Caller holds no lock that the callback takes. */
void vsr_timer_cancel(vsr_timer *timer);

#endif
