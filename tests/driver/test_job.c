/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_job.c: jobs, cancelled waits and spawned processes. */
#include "driver/job.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "driver/cancel.h"
#include "driver/spawn.h"
#include "tests/support/cm.h"

#define MS INT64_C(1000000)

typedef struct {
    vsr_job job;
    GMutex lock;
    int inside, most; /* guarded by lock */
} shared;

static void *work(void *opaque)
{
    shared *s = opaque;

    for (int i = 0; i < 20; i++) {
        g_mutex_lock(&s->lock);
        assert_true(vsr_job_begin(&s->job, &s->lock, "work", 60000, NULL));
        s->inside++;
        s->most = MAX(s->most, s->inside);
        g_mutex_unlock(&s->lock);
        g_usleep(100);
        g_mutex_lock(&s->lock);
        s->inside--;
        vsr_job_end(&s->job);
        g_mutex_unlock(&s->lock);
    }
    return NULL;
}

static void one_job_at_a_time(void **state)
{
    shared s = { .most = 0 };
    GThread *threads[4];

    vsr_job_init(&s.job);
    g_mutex_init(&s.lock);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("work", work, &s);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    assert_int_equal(s.most, 1);
    vsr_job_fini(&s.job);
    g_mutex_clear(&s.lock);
}

static void a_job_in_the_way_is_named(void **state)
{
    g_autoptr(GError) error = NULL;
    GMutex lock;
    vsr_job job;

    vsr_job_init(&job);
    g_mutex_init(&lock);
    g_mutex_lock(&lock);
    assert_true(vsr_job_begin(&job, &lock, "start", 0, NULL));
    assert_false(vsr_job_begin(&job, &lock, "undefine", 10, &error));
    assert_int_equal(error->code, VISOR_ERR_BUSY);
    assert_non_null(strstr(error->message, "start"));
    vsr_job_end(&job);
    g_mutex_unlock(&lock);
    g_mutex_clear(&lock);
    vsr_job_fini(&job);
}

static void a_wait_is_cancelled_for_good(void **state)
{
    g_autoptr(GError) error = NULL;
    vsr_cancel cancel;

    assert_true(vsr_cancel_init(&cancel, NULL));
    assert_false(vsr_cancel_is_set(&cancel));
    assert_false(vsr_cancel_is_set(NULL));
    assert_false(
        vsr_cancel_wait(&cancel, -1, -1, vsr_now_ns() + 10 * MS, &error));
    assert_int_equal(error->code, VISOR_ERR_TIMEOUT);
    g_clear_error(&error);
    vsr_cancel_now(&cancel);
    assert_true(vsr_cancel_is_set(&cancel));
    for (int i = 0; i < 2; i++) {
        assert_false(vsr_cancel_wait(&cancel, -1, -1, INT64_MAX, &error));
        assert_int_equal(error->code, VISOR_ERR_CANCELLED);
        g_clear_error(&error);
    }
    vsr_cancel_fini(&cancel);
}

/* --- spawn --------------------------------------------------------------------- */

static void a_spawned_process_has_its_socket_and_nothing_else(void **state)
{
    g_autofree char *folder = g_dir_make_tmp("vsr-spawn-XXXXXX", NULL);
    g_autofree char *script = g_build_filename(folder, "s", NULL);
    int pair[2], leak[2];
    char text[512] = "";
    size_t n = 0;
    ssize_t got;

    assert_true(g_file_set_contents(
        script,
        "#!/bin/sh\ncd /proc/self/fd && echo 0 1 2 3 >&3\n"
        "[ -e /proc/$$/fd/4 ] && [ ! -h /proc/$$/fd/10 ] && echo leak >&3\n"
        "read -r line < /proc/$$/stat; echo $line >&3\n",
        -1, NULL));
    assert_int_equal(g_chmod(script, 0700), 0);
    assert_int_equal(pipe(leak), 0); /* inheritable, unlike ours */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    assert_true(vsr_spawn(script, pair[1], NULL));
    close(pair[1]);
    while (n < sizeof(text) - 1 &&
           (got = read(pair[0], text + n, sizeof(text) - 1 - n)) > 0)
        n += (size_t)got;
    assert_true(g_str_has_prefix(text, "0 1 2 3\n"));
    assert_null(strstr(text, "leak"));
    /* The pipe's end comes as soon as we close ours. */
    {
        struct pollfd p = { .fd = leak[0], .events = POLLIN };

        close(leak[1]);
        assert_int_equal(poll(&p, 1, 60000), 1);
        close(leak[0]);
    }
    assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    close(pair[0]);
    (void)g_unlink(script);
    (void)g_rmdir(folder);
}

static void what_cannot_be_run_is_said(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;

    assert_false(vsr_spawn("/nonexistent", 0, &error));
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
    g_clear_error(&error);
    assert_false(vsr_spawn("/etc/passwd", 0, &error));
    assert_int_equal(error->code, VISOR_ERR_ACCESS);
    g_clear_error(&error);
    assert_null(vsr_spawn_find_vmm("/etc/passwd", &error));
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
    found = vsr_spawn_find_vmm("/bin/true", NULL);
    assert_string_equal(found, "/bin/true");
}

static void *spawn_some(void *opaque)
{
    for (int i = 0; i < 10; i++)
        assert_true(vsr_spawn("/bin/true", 0, NULL));
    return NULL;
}

static void many_threads_may_spawn(void **state)
{
    GThread *threads[4];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("spawn", spawn_some, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_job_at_a_time),
        cmocka_unit_test(a_job_in_the_way_is_named),
        cmocka_unit_test(a_wait_is_cancelled_for_good),
        cmocka_unit_test(a_spawned_process_has_its_socket_and_nothing_else),
        cmocka_unit_test(what_cannot_be_run_is_said),
        cmocka_unit_test(many_threads_may_spawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
