/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_folder.c: names, locks and repair, without any visor-vmm. */
#include "driver/folder.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "tests/support/cm.h"

#define MS    INT64_C(1000000)
#define UUID1 "11111111-2222-3333-4444-555555555555"
#define UUID2 "22222222-2222-3333-4444-555555555555"

typedef struct {
    char *path;
    vsr_root root;
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->path = g_dir_make_tmp("vsr-folder-XXXXXX", NULL);
    *state = f;
    return !vsr_root_open(&f->root, f->path, "emu", NULL);
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_root_close(&f->root);
    (void)nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    g_free(f->path);
    g_free(f);
    return 0;
}

static int64_t soon(void)
{
    return vsr_now_ns() + 60000 * MS;
}

static int make(fixture *f, const char *name, const char *uuid, const char *xml,
                GError **error)
{
    int lock = vsr_root_lock(&f->root, soon(), NULL);
    int fd = vsr_root_make(&f->root, name, uuid, xml, NULL, error);

    vsr_folder_unlock(lock);
    return fd;
}

static void a_made_domain_is_found_and_removed(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, "<domain/>", NULL);
    g_autofree char *text = NULL;
    char uuid[37], name[256];
    vsr_view view;

    assert_true(fd >= 0);
    assert_true(vsr_root_find_name(&f->root, "a", uuid));
    assert_string_equal(uuid, UUID1);
    assert_true(vsr_folder_name(fd, name));
    assert_string_equal(name, "a");
    assert_true(vsr_folder_is_current(&f->root, UUID1, fd));
    vsr_folder_view(fd, &view);
    assert_true(view.persistent);
    assert_false(view.active);
    assert_false(view.needs_repair);
    text = vsr_folder_read(fd, "domain.xml", 100, NULL);
    assert_string_equal(text, "<domain/>");
    assert_null(vsr_folder_read(fd, "domain.xml", 3, NULL));
    assert_true(vsr_root_remove(&f->root, "a", UUID1, NULL));
    assert_false(vsr_root_find_name(&f->root, "a", uuid));
    assert_int_equal(vsr_folder_open(&f->root, UUID1, NULL), -1);
    assert_false(vsr_folder_is_current(&f->root, UUID1, fd));
}

static void a_taken_name_or_uuid_is_said(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, "<domain/>", NULL);
    g_autoptr(GError) error = NULL;
    char uuid[37];

    assert_true(fd >= 0);
    assert_int_equal(make(f, "a", UUID2, "<domain/>", &error), -1);
    assert_int_equal(error->code, VISOR_ERR_EXISTS);
    g_clear_error(&error);
    assert_int_equal(make(f, "b", UUID1, "<domain/>", &error), -1);
    assert_int_equal(error->code, VISOR_ERR_EXISTS);
    assert_false(vsr_root_find_name(&f->root, "b", uuid));
    assert_int_equal(vsr_folder_open(&f->root, UUID2, NULL), -1);
}

static void a_link_that_leads_nowhere_is_no_name(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = -1;
    char uuid[37];

    assert_int_equal(symlinkat(UUID2, f->root.names_fd, "a"), 0);
    fd = make(f, "a", UUID1, "<domain/>", NULL);
    assert_true(fd >= 0);
    assert_true(vsr_root_find_name(&f->root, "a", uuid));
    assert_string_equal(uuid, UUID1);
}

static void a_link_to_something_else_is_no_domain(void **state)
{
    fixture *f = *state;
    char uuid[37];

    assert_int_equal(symlinkat("/etc", f->root.names_fd, "a"), 0);
    assert_false(vsr_root_find_name(&f->root, "a", uuid));
}

static void locks_exclude_in_one_process_too(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, "<domain/>", NULL);
    g_autoptr(GError) error = NULL;
    int64_t before = vsr_now_ns();
    int lock = vsr_folder_lock(&f->root, UUID1, fd, soon(), NULL);

    assert_true(lock >= 0);
    assert_int_equal(
        vsr_folder_lock(&f->root, UUID1, fd, before + 20 * MS, &error), -1);
    assert_int_equal(error->code, VISOR_ERR_BUSY);
    assert_true(vsr_now_ns() - before >= 20 * MS);
    vsr_folder_unlock(lock);
    lock = vsr_folder_lock(&f->root, UUID1, fd, 0, NULL);
    assert_true(lock >= 0);
    vsr_folder_unlock(lock);
    vsr_folder_unlock(-1);
}

static void a_lock_outlives_no_fork(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, "<domain/>", NULL);
    int lock = vsr_folder_lock(&f->root, UUID1, fd, soon(), NULL);
    pid_t pid = fork(); /* the child has a copy of the descriptor */

    if (pid == 0) {
        pause();
        _exit(0);
    }
    vsr_folder_unlock(lock);
    lock = vsr_folder_lock(&f->root, UUID1, fd, 0, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(lock >= 0);
    vsr_folder_unlock(lock);
}

static void a_lock_on_what_was_removed_is_refused(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, "<domain/>", NULL);
    g_autoptr(GError) error = NULL;

    assert_true(vsr_root_remove(&f->root, "a", UUID1, NULL));
    assert_int_equal(vsr_folder_lock(&f->root, UUID1, fd, soon(), &error), -1);
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
}

/* A process that holds run.lock, as visor-vmm does. */
static pid_t hold_run_lock(int folder_fd)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int fd = openat(folder_fd, "run.lock", O_RDWR | O_CREAT, 0600);

        if (fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void set_status(int fd, int state, pid_t pid, bool building)
{
    vsr_status status;

    vsr_status_init(&status);
    status.state = state;
    status.reason = VISOR_REASON_BOOTED;
    status.id = 5;
    status.pid = pid;
    status.building = building;
    assert_true(vsr_status_write(fd, &status, NULL));
}

static void the_lock_says_who_lives(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, "<domain/>", NULL);
    pid_t pid = hold_run_lock(fd);
    vsr_view view;

    assert_int_equal(vsr_folder_owner(fd), pid);
    set_status(fd, VISOR_STATE_RUNNING, pid, false);
    vsr_folder_view(fd, &view);
    assert_true(view.active);
    assert_int_equal(view.pid, pid);
    assert_int_equal(view.status.id, 5);
    /* Written by one before: the new one has not spoken yet. */
    set_status(fd, VISOR_STATE_RUNNING, pid + 1, false);
    vsr_folder_view(fd, &view);
    assert_int_equal(view.status.reason, VISOR_REASON_STARTING);
    assert_false(vsr_folder_wait_end(fd, vsr_now_ns() + 10 * MS));
    assert_true(vsr_folder_kill(fd, soon()));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(vsr_folder_owner(fd), 0);
    vsr_folder_view(fd, &view);
    assert_false(view.active);
    assert_int_equal(view.status.reason, VISOR_REASON_FAILED);
    assert_int_equal(view.status.id, -1);
    assert_true(view.needs_repair);
    assert_true(vsr_folder_kill(fd, soon())); /* nobody: nothing to do */
}

static void repair_settles_a_death(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, "<domain/>", NULL);
    vsr_status status;
    vsr_view view;

    set_status(fd, VISOR_STATE_RUNNING, 1, false);
    assert_int_equal(symlinkat("x", fd, "control.sock"), 0);
    vsr_root_repair(&f->root, UUID1, 0);
    assert_true(vsr_status_read(fd, &status));
    assert_int_equal(status.state, VISOR_STATE_SHUTOFF);
    assert_int_equal(status.reason, VISOR_REASON_FAILED);
    assert_false(vsr_folder_has(fd, "control.sock"));
    vsr_folder_view(fd, &view);
    assert_false(view.needs_repair);
}

static void repair_removes_a_dead_transient_domain(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, NULL, NULL);
    char uuid[37];

    set_status(fd, VISOR_STATE_RUNNING, 1, false);
    vsr_root_repair(&f->root, UUID1, 0);
    assert_false(vsr_root_find_name(&f->root, "a", uuid));
    assert_int_equal(vsr_folder_open(&f->root, UUID1, NULL), -1);
    vsr_root_repair(&f->root, UUID1, 0); /* nothing there: nothing happens */
}

static void repair_keeps_off_a_job(void **state)
{
    fixture *f = *state;
    int lock = vsr_root_lock(&f->root, soon(), NULL), job = -1;
    vsr_autofd fd = vsr_root_make(&f->root, "a", UUID1, NULL, &job, NULL);

    vsr_folder_unlock(lock);
    assert_true(fd >= 0 && job >= 0);
    vsr_root_repair(&f->root, UUID1, 0);
    assert_true(vsr_folder_is_current(&f->root, UUID1, fd));
    vsr_folder_unlock(job);
    vsr_root_repair(&f->root, UUID1, 0);
    assert_false(vsr_folder_is_current(&f->root, UUID1, fd));
}

static void repair_ends_what_a_dead_starter_was_building(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = make(f, "a", UUID1, "<domain/>", NULL);
    pid_t pid = hold_run_lock(fd); /* one that does not end by itself */
    vsr_view view;

    set_status(fd, VISOR_STATE_PAUSED, pid, true);
    vsr_folder_view(fd, &view);
    assert_true(view.active && view.needs_repair);
    vsr_root_repair(&f->root, UUID1, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    vsr_folder_view(fd, &view);
    assert_false(view.active || view.needs_repair);
}

static void ids_count_up_across_processes(void **state)
{
    fixture *f = *state;
    int first = vsr_root_next_id(&f->root, soon(), NULL);
    pid_t pid = fork();
    int status = 0;

    if (pid == 0)
        _exit(vsr_root_next_id(&f->root, soon(), NULL));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), first + 1);
    assert_int_equal(vsr_root_next_id(&f->root, soon(), NULL), first + 2);
    assert_true(vsr_folder_write(f->root.fd, "next-id", "garbage", NULL));
    assert_true(vsr_root_next_id(&f->root, soon(), NULL) > 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_made_domain_is_found_and_removed),
        TEST(a_taken_name_or_uuid_is_said),
        TEST(a_link_that_leads_nowhere_is_no_name),
        TEST(a_link_to_something_else_is_no_domain),
        TEST(locks_exclude_in_one_process_too),
        TEST(a_lock_outlives_no_fork),
        TEST(a_lock_on_what_was_removed_is_refused),
        TEST(the_lock_says_who_lives),
        TEST(repair_settles_a_death),
        TEST(repair_removes_a_dead_transient_domain),
        TEST(repair_keeps_off_a_job),
        TEST(repair_ends_what_a_dead_starter_was_building),
        TEST(ids_count_up_across_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
