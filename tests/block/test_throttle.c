/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_throttle.c: no faster than asked; bursts; order; new limits at once.
 *
 * Only "not before" is exact here: a busy host may be as slow as it likes.
 *
 * Threads: the test's.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/block/disk.h"
#include "tests/support/cm.h"

enum { SIZE = 8 << 20, REQUESTS_MAX = 256 };

typedef struct {
    char *dir;
    char *path;
    uint8_t *data;
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->dir = dir_new_fast();
    f->path = g_build_filename(f->dir, "image", NULL);
    f->data = g_malloc0(1 << 20);
    assert_int_equal(run(NULL, "truncate -s %d '%s'", SIZE, f->path), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    dir_remove(f->dir);
    g_free(f->path);
    g_free(f->data);
    g_free(f);
    return 0;
}

static disk *open_with(const fixture *f, const vsr_block_throttle *throttle)
{
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_UNSAFE);
    disk *d;

    options.throttle = *throttle;
    d = disk_open(f->path, VSR_BLOCK_RAW, false, &options, NULL);
    assert_non_null(d);
    return d;
}

/* n requests at once; seconds until all were done. */
static double time_of(const fixture *f, disk *d, vsr_block_op op, uint32_t n,
                      uint64_t len)
{
    g_autofree vsr_block_request *requests = g_new0(vsr_block_request, n);
    struct iovec iov = { f->data, (size_t)len };
    int rcs[REQUESTS_MAX];
    int64_t start = vsr_now_ns();

    for (uint32_t i = 0; i < n; i++)
        requests[i] = (vsr_block_request){
            .op = op, .len = len, .iov = &iov, .n_iov = 1
        };
    disk_run(d, requests, n, rcs);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(rcs[i], 0);
    return (double)(vsr_now_ns() - start) / 1e9;
}

static void takes(double s, double least, double most)
{
    if (s < least || s > most)
        fail_msg("%.3f s, not %.3f to %.3f", s, least, most);
}

/* A tenth of a second's worth passes at once, the rest at the rate. */
static void operations_are_counted(void **state)
{
    const vsr_block_throttle limits = { .total_iops = 200 };
    disk *d = open_with(*state, &limits);

    takes(time_of(*state, d, VSR_BLOCK_READ, 120, 512), 0.45, 60);
    disk_close(d);
}

static void bytes_are_counted(void **state)
{
    const vsr_block_throttle limits = { .write_bytes = 4 << 20 };
    const vsr_block_throttle low = { .write_bytes = 512 << 10 };
    disk *d = open_with(*state, &limits);

    takes(time_of(*state, d, VSR_BLOCK_WRITE, 32, 64 << 10), 0.35, 60);
    disk_close(d);
    /* reads are not meant: that would be 128 s */
    d = open_with(*state, &low);
    takes(time_of(*state, d, VSR_BLOCK_READ, 128, 512 << 10), 0, 60);
    disk_close(d);
}

static void long_operations_count_as_many(void **state)
{
    const vsr_block_throttle limits = { .read_iops = 200, .size_iops = 4096 };
    disk *d = open_with(*state, &limits);

    /* 16 each */
    takes(time_of(*state, d, VSR_BLOCK_READ, 8, 64 << 10), 0.35, 60);
    disk_close(d);
}

/* 100 at once, then one a second: the burst alone would be 90 s otherwise. */
static void a_burst_is_let_through(void **state)
{
    const vsr_block_throttle limits = { .total_iops = 1,
                                        .total_iops_max = 100,
                                        .total_iops_length = 1 };
    disk *d = open_with(*state, &limits);
    double burst = time_of(*state, d, VSR_BLOCK_READ, 90, 512), rest;

    takes(burst, 0, 60);
    rest = time_of(*state, d, VSR_BLOCK_READ, 12, 512);
    /* The 101st finds the bucket just full, the 102nd waits for a second. */
    takes(burst + rest, 0.9, 60);
    disk_close(d);
}

static void a_long_burst_has_a_rate(void **state)
{
    const vsr_block_throttle limits = { .total_iops = 1,
                                        .total_iops_max = 200,
                                        .total_iops_length = 5 };
    disk *d = open_with(*state, &limits);

    /* 20 at once, then 200 a second, long before the 1000 are used */
    takes(time_of(*state, d, VSR_BLOCK_READ, 100, 512), 0.35, 60);
    disk_close(d);
}

static void flushes_pass(void **state)
{
    const vsr_block_throttle limits = { .total_iops = 1 };
    disk *d = open_with(*state, &limits);

    takes(time_of(*state, d, VSR_BLOCK_FLUSH, 100, 0), 0, 60);
    disk_close(d);
}

/* --- new limits while requests wait --- */

typedef struct {
    disk *d;
    vsr_block_request requests[64];
    struct iovec iov;
    int rc[64]; /* 1: not done yet */
    int n_done;
    GMutex lock;
    GCond cond;
} waiting;

static void note_done(vsr_block_request *r, int rc)
{
    waiting *w = r->opaque;

    g_mutex_lock(&w->lock);
    w->rc[r - w->requests] = rc;
    w->n_done++;
    g_cond_signal(&w->cond);
    g_mutex_unlock(&w->lock);
}

static void submit_waiting(void *opaque)
{
    waiting *w = opaque;

    for (int i = 0; i < 64; i++) {
        w->rc[i] = 1;
        w->requests[i] = (vsr_block_request){
            .op = VSR_BLOCK_READ,
            .len = 512,
            .iov = &w->iov,
            .n_iov = 1,
            .done = note_done,
            .opaque = w,
        };
        vsr_block_submit(w->d->block, &w->requests[i]);
    }
}

static void who_waits_is_told_of_new_limits(void **state)
{
    fixture *f = *state;
    const vsr_block_throttle slow = { .total_iops = 1 }, none = { 0 };
    waiting w = { .iov = { f->data, 512 } };
    int64_t start = vsr_now_ns();

    g_mutex_init(&w.lock);
    g_cond_init(&w.cond);
    w.d = open_with(f, &slow);
    vsr_loop_sync(w.d->loop, submit_waiting, &w);
    g_usleep(50000);
    g_mutex_lock(&w.lock);
    /* One at once, one a second. */
    assert_in_range(w.n_done, 0, 2 + (vsr_now_ns() - start) / 1000000000);
    g_mutex_unlock(&w.lock);
    vsr_block_set_throttle(w.d->block, &none);
    start = vsr_now_ns();
    g_mutex_lock(&w.lock);
    while (w.n_done < 64)
        g_cond_wait(&w.cond, &w.lock);
    g_mutex_unlock(&w.lock);
    takes((double)(vsr_now_ns() - start) / 1e9, 0, 50); /* not 60 */
    for (int i = 0; i < 64; i++)
        assert_int_equal(w.rc[i], 0);
    disk_close(w.d);
    g_cond_clear(&w.cond);
    g_mutex_clear(&w.lock);
}

static void cancel_waiting(void *opaque)
{
    vsr_block_cancel_waiting(opaque);
}

/* What waits still when some have been let through are the last ones. (The order
 * of the ends is not that of the starts.) */
static void first_come_first_served(void **state)
{
    fixture *f = *state;
    const vsr_block_throttle slow = { .total_iops = 100 };
    int n_through = 0;
    waiting w = { .iov = { f->data, 512 } };

    g_mutex_init(&w.lock);
    g_cond_init(&w.cond);
    w.d = open_with(f, &slow);
    vsr_loop_sync(w.d->loop, submit_waiting, &w);
    g_mutex_lock(&w.lock);
    while (w.n_done < 30)
        g_cond_wait(&w.cond, &w.lock);
    g_mutex_unlock(&w.lock);
    vsr_loop_sync(w.d->loop, cancel_waiting, w.d->block);
    g_mutex_lock(&w.lock);
    while (w.n_done < 64)
        g_cond_wait(&w.cond, &w.lock);
    g_mutex_unlock(&w.lock);
    while (n_through < 64 && w.rc[n_through] == 0)
        n_through++;
    assert_true(n_through >= 30);
    for (int i = n_through; i < 64; i++)
        assert_int_equal(w.rc[i], -ECANCELED);
    disk_close(w.d);
    g_cond_clear(&w.cond);
    g_mutex_clear(&w.lock);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(operations_are_counted),          T(bytes_are_counted),
        T(long_operations_count_as_many),   T(a_burst_is_let_through),
        T(a_long_burst_has_a_rate),         T(flushes_pass),
        T(who_waits_is_told_of_new_limits), T(first_come_first_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
