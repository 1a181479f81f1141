/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/cm.h"

#define MS INT64_C(1000000)

static int loop_new(void **state)
{
    *state = vsr_loop_new("test", NULL);
    return *state == NULL;
}

static int loop_free(void **state)
{
    vsr_loop_free(*state);
    return 0;
}

/* --- calls --- */

typedef struct {
    vsr_loop *loop;
    int order[100];
    int n;
    bool on_loop;
} call_record;

typedef struct {
    call_record *record;
    int number;
} one_call;

static void call_note(void *opaque)
{
    one_call *call = opaque;

    call->record->order[call->record->n++] = call->number;
    call->record->on_loop = vsr_loop_is_current(call->record->loop);
}

static void calls_run_in_order_on_the_loop(void **state)
{
    call_record record = { .loop = *state };
    one_call calls[100];

    for (int i = 0; i < 100; i++) {
        calls[i] = (one_call){ &record, i };
        if (i < 99)
            vsr_loop_call(*state, call_note, &calls[i]);
    }
    vsr_loop_sync(*state, call_note, &calls[99]);
    assert_int_equal(record.n, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(record.order[i], i);
    assert_true(record.on_loop);
    assert_false(vsr_loop_is_current(*state));
}

static void nested_sync(void *opaque)
{
    one_call *call = opaque;

    vsr_loop_sync(call->record->loop, call_note, call);
}

static void sync_on_the_loop_itself_does_not_lock_up(void **state)
{
    call_record record = { .loop = *state };
    one_call call = { &record, 5 };

    vsr_loop_sync(*state, nested_sync, &call);
    assert_int_equal(record.n, 1);
}

static void slow_add(void *opaque)
{
    g_usleep(2000);
    g_atomic_int_inc((gint *)opaque);
}

static void free_runs_what_was_posted(void **state)
{
    vsr_loop *loop = vsr_loop_new("short", NULL);
    gint n = 0;

    for (int i = 0; i < 5; i++)
        vsr_loop_call(loop, slow_add, &n);
    vsr_loop_free(loop);
    assert_int_equal(n, 5);
}

/* --- timers --- */

static void nothing(void *opaque)
{
}

typedef struct {
    vsr_timer timer;
    GMutex lock;
    GCond changed;
    int fired;
    int64_t at_ns;
    int64_t again_ns; /* > 0: re-arm itself so much later */
} timer_record;

static void timer_note(void *opaque)
{
    timer_record *t = opaque;

    g_mutex_lock(&t->lock);
    t->fired++;
    t->at_ns = vsr_now_ns();
    if (t->again_ns > 0)
        vsr_timer_arm(&t->timer, t->at_ns + t->again_ns);
    g_cond_broadcast(&t->changed);
    g_mutex_unlock(&t->lock);
}

static void timer_start(timer_record *t, vsr_loop *loop)
{
    g_mutex_init(&t->lock);
    g_cond_init(&t->changed);
    vsr_timer_init(&t->timer, loop, timer_note, t);
}

/* A minute at the most: true if it has fired `n` times by then. */
static bool timer_wait(timer_record *t, int n)
{
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;
    bool ok = true;

    g_mutex_lock(&t->lock);
    while (t->fired < n && ok)
        ok = g_cond_wait_until(&t->changed, &t->lock, end);
    ok = t->fired >= n;
    g_mutex_unlock(&t->lock);
    return ok;
}

static void timer_fires_once_and_not_early(void **state)
{
    timer_record t = { 0 };
    int64_t deadline = vsr_now_ns() + 2 * MS;

    timer_start(&t, *state);
    vsr_timer_arm(&t.timer, deadline);
    assert_true(timer_wait(&t, 1));
    assert_true(t.at_ns >= deadline);
    g_usleep(3000);
    assert_int_equal(t.fired, 1);
    vsr_timer_cancel(&t.timer);
}

static void timer_in_the_past_fires_at_once(void **state)
{
    timer_record t = { 0 };

    timer_start(&t, *state);
    vsr_timer_arm(&t.timer, 0);
    assert_true(timer_wait(&t, 1));
    vsr_timer_arm(&t.timer, -5);
    assert_true(timer_wait(&t, 2));
    vsr_timer_cancel(&t.timer);
}

/* Keeps the loop from looking at its timers until it is let go. */
typedef struct {
    gint held, go; /* atomic */
} loop_hold;

static void hold(void *opaque)
{
    loop_hold *h = opaque;

    g_atomic_int_set(&h->held, 1);
    while (!g_atomic_int_get(&h->go))
        g_usleep(100);
}

static void hold_loop(vsr_loop *loop, loop_hold *h)
{
    vsr_loop_call(loop, hold, h);
    while (!g_atomic_int_get(&h->held))
        g_usleep(100);
}

static void let_go(vsr_loop *loop, loop_hold *h)
{
    g_atomic_int_set(&h->go, 1);
    vsr_loop_sync(loop, nothing, NULL); /* `h` is not used any more */
}

static void an_earlier_timer_overtakes_a_later_one(void **state)
{
    timer_record early = { 0 }, late = { 0 };
    int64_t now = vsr_now_ns();

    timer_start(&early, *state);
    timer_start(&late, *state);
    vsr_timer_arm(&late.timer, now + 3600000 * MS);
    vsr_timer_arm(&early.timer, now + 5 * MS);
    assert_true(timer_wait(&early, 1));
    assert_int_equal(late.fired, 0);
    /* Moved to the front. */
    vsr_timer_arm(&late.timer, vsr_now_ns() + MS);
    assert_true(timer_wait(&late, 1));
    vsr_timer_cancel(&early.timer);
    vsr_timer_cancel(&late.timer);
}

static void a_later_deadline_replaces_the_earlier(void **state)
{
    timer_record t = { 0 };
    loop_hold h = { 0 };
    int64_t now;

    timer_start(&t, *state);
    hold_loop(*state, &h);
    now = vsr_now_ns();
    vsr_timer_arm(&t.timer, now + 2 * MS);
    vsr_timer_arm(&t.timer, now + 20 * MS);
    let_go(*state, &h);
    assert_true(timer_wait(&t, 1));
    assert_true(t.at_ns >= now + 20 * MS);
    vsr_timer_cancel(&t.timer);
}

static void cancelled_timer_never_fires(void **state)
{
    timer_record t = { 0 };
    loop_hold h = { 0 };

    timer_start(&t, *state);
    hold_loop(*state, &h);
    vsr_timer_arm(&t.timer, vsr_now_ns() + 3 * MS);
    vsr_timer_cancel(&t.timer);
    vsr_timer_cancel(&t.timer);
    let_go(*state, &h);
    g_usleep(6000);
    assert_int_equal(t.fired, 0);
}

static void timer_may_rearm_itself(void **state)
{
    timer_record t = { .again_ns = 100000 };

    timer_start(&t, *state);
    vsr_timer_arm(&t.timer, vsr_now_ns());
    assert_true(timer_wait(&t, 200));
    vsr_timer_cancel(&t.timer);
    {
        int fired = t.fired;

        g_usleep(2000);
        assert_int_equal(t.fired, fired);
    }
}

typedef struct {
    vsr_timer timer;
    gint started, ended;
} slow_timer;

static void slow_note(void *opaque)
{
    slow_timer *t = opaque;

    g_atomic_int_set(&t->started, 1);
    g_usleep(20000);
    vsr_timer_arm(&t->timer, vsr_now_ns()); /* and wants to come back */
    g_atomic_int_set(&t->ended, 1);
}

static void cancel_waits_for_a_running_callback(void **state)
{
    slow_timer t = { 0 };

    vsr_timer_init(&t.timer, *state, slow_note, &t);
    vsr_timer_arm(&t.timer, 0);
    while (!g_atomic_int_get(&t.started))
        g_usleep(100);
    vsr_timer_cancel(&t.timer);
    assert_int_equal(g_atomic_int_get(&t.ended), 1);
    assert_int_equal(t.timer.heap_index, -1);
}

static void many_timers_fire_in_order(void **state)
{
    enum { N = 200 };
    g_autofree timer_record *t = g_new0(timer_record, N);
    loop_hold h = { 0 };
    int64_t base;

    hold_loop(*state, &h);
    base = vsr_now_ns() + 5 * MS;
    for (int i = 0; i < N; i++) {
        timer_start(&t[i], *state);
        vsr_timer_arm(&t[i].timer, base + (i * 7919) % N * 20000);
    }
    for (int i = 0; i < N; i += 3)
        vsr_timer_cancel(&t[i].timer);
    let_go(*state, &h);
    for (int i = 0; i < N; i++)
        if (i % 3 != 0) {
            assert_true(timer_wait(&t[i], 1));
            assert_true(t[i].at_ns >= base + (i * 7919) % N * 20000);
        } else {
            assert_int_equal(t[i].fired, 0);
        }
}

/* Armers and cancellers on several threads, the loop in between. */
static void *hammer(void *opaque)
{
    timer_record *t = opaque;

    for (int i = 0; i < 3000; i++) {
        vsr_timer_arm(&t->timer, vsr_now_ns() + (i % 7) * 3000);
        if (i % 5 == 0)
            vsr_timer_cancel(&t->timer);
    }
    vsr_timer_cancel(&t->timer);
    return NULL;
}

static void timers_survive_many_threads(void **state)
{
    timer_record t[4] = { 0 };
    GThread *threads[4];

    for (int i = 0; i < 4; i++) {
        timer_start(&t[i], *state);
        threads[i] = g_thread_new("hammer", hammer, &t[i]);
    }
    for (int i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(t[i].timer.heap_index, -1);
    /* The loop is still well. */
    vsr_timer_arm(&t[0].timer, vsr_now_ns() + MS);
    assert_true(timer_wait(&t[0], t[0].fired + 1));
    vsr_timer_cancel(&t[0].timer);
}

/* --- file descriptors --- */

typedef struct {
    gint n;
    vsr_loop_fd *watch;
    bool remove_me;
} fd_record;

static void fd_note(int fd, uint32_t events, void *opaque)
{
    fd_record *record = opaque;
    uint64_t value;

    assert_int_equal(events & EPOLLIN, EPOLLIN);
    assert_int_equal(read(fd, &value, sizeof value), sizeof value);
    g_atomic_int_inc(&record->n);
    if (record->remove_me)
        vsr_loop_fd_remove(record->watch);
}

static void fd_is_watched_until_removed(void **state)
{
    vsr_autofd fd = eventfd(0, EFD_CLOEXEC);
    fd_record record = { 0 };
    const uint64_t one = 1;

    record.watch = vsr_loop_fd_add(*state, fd, EPOLLIN, fd_note, &record, NULL);
    assert_non_null(record.watch);
    assert_int_equal(vsr_write_all(fd, &one, 8), 0);
    while (g_atomic_int_get(&record.n) < 1)
        g_usleep(100);
    /* Silenced, then heard again. */
    vsr_loop_fd_modify(record.watch, 0);
    assert_int_equal(vsr_write_all(fd, &one, 8), 0);
    g_usleep(3000);
    vsr_loop_sync(*state, nothing, NULL);
    assert_int_equal(g_atomic_int_get(&record.n), 1);
    vsr_loop_fd_modify(record.watch, EPOLLIN);
    while (g_atomic_int_get(&record.n) < 2)
        g_usleep(100);
    vsr_loop_fd_remove(record.watch);
    assert_int_equal(vsr_write_all(fd, &one, 8), 0);
    g_usleep(2000);
    vsr_loop_sync(*state, nothing, NULL);
    assert_int_equal(g_atomic_int_get(&record.n), 2);
}

static void fd_may_be_removed_by_its_own_callback(void **state)
{
    vsr_autofd fd = eventfd(0, EFD_CLOEXEC);
    fd_record record = { .remove_me = true };
    const uint64_t one = 1;

    record.watch = vsr_loop_fd_add(*state, fd, EPOLLIN, fd_note, &record, NULL);
    assert_int_equal(vsr_write_all(fd, &one, 8), 0);
    while (g_atomic_int_get(&record.n) < 1)
        g_usleep(100);
    assert_int_equal(vsr_write_all(fd, &one, 8), 0);
    g_usleep(2000);
    vsr_loop_sync(*state, nothing, NULL);
    assert_int_equal(g_atomic_int_get(&record.n), 1);
}

static void a_bad_fd_is_an_error(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(vsr_loop_fd_add(*state, 99999, EPOLLIN, fd_note, NULL, &error));
    assert_non_null(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_run_in_order_on_the_loop),
        cmocka_unit_test(sync_on_the_loop_itself_does_not_lock_up),
        cmocka_unit_test(free_runs_what_was_posted),
        cmocka_unit_test(timer_fires_once_and_not_early),
        cmocka_unit_test(timer_in_the_past_fires_at_once),
        cmocka_unit_test(an_earlier_timer_overtakes_a_later_one),
        cmocka_unit_test(a_later_deadline_replaces_the_earlier),
        cmocka_unit_test(cancelled_timer_never_fires),
        cmocka_unit_test(timer_may_rearm_itself),
        cmocka_unit_test(cancel_waits_for_a_running_callback),
        cmocka_unit_test(many_timers_fire_in_order),
        cmocka_unit_test(timers_survive_many_threads),
        cmocka_unit_test(fd_is_watched_until_removed),
        cmocka_unit_test(fd_may_be_removed_by_its_own_callback),
        cmocka_unit_test(a_bad_fd_is_an_error),
    };

    return cmocka_run_group_tests(tests, loop_new, loop_free);
}
