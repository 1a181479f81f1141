/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_session.c: one process a domain, state in a folder: what survives kills,
 * hostile folders and other clients.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "tests/api/support.h"
#include "tests/support/cm.h"

typedef struct {
    char *root, *uri;
    visor_connection *conn;
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->root = temp_root();
    f->uri = session_uri(f->root);
    f->conn = open_uri(f->uri);
    *state = f;
    return 0;
}

/* The process of a running domain, from its status. */
static pid_t pid_of(fixture *f, visor_domain *dom)
{
    g_autofree char *path = g_strdup_printf(
        "%s/%s/%s/status.json", f->root, engine(), visor_domain_get_uuid(dom));
    g_autofree char *text = NULL;
    const char *found;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    found = strstr(text, "\"pid\":");
    assert_non_null(found);
    assert_true(atoi(found + 6) > 1);
    return atoi(found + 6);
}

static int teardown(void **state)
{
    fixture *f = *state;
    visor_domain **list = NULL;

    OK(visor_domain_list(f->conn, VISOR_LIST_ACTIVE, &list, &err));
    for (visor_domain **d = list; *d != NULL; d++)
        OK(visor_domain_destroy(*d, 0, &err));
    visor_domain_list_free(list);
    visor_connection_unref(f->conn);
    remove_tree(f->root);
    g_free(f->root);
    g_free(f->uri);
    g_free(f);
    return 0;
}

static char *domain_file(fixture *f, visor_domain *dom, const char *name)
{
    return g_strdup_printf("%s/%s/%s/%s", f->root, engine(),
                           visor_domain_get_uuid(dom), name);
}

static visor_domain *transient(fixture *f, const char *cmdline, uint32_t flags)
{
    g_autofree char *xml = domain_xml("trans", NULL, cmdline, "null", NULL);
    visor_domain *dom = NULL;

    OK(visor_domain_create_xml(f->conn, xml, flags, &dom, &err));
    return dom;
}

/* --- ordinary life ----------------------------------------------------------- */

static void a_domain_outlives_its_client(void **state)
{
    fixture *f = *state;
    visor_connection *other = open_uri(f->uri);
    visor_domain *mine = define(other, "a", "h");
    visor_domain *dom = NULL;

    OK(visor_domain_start(mine, 0, &err));
    visor_domain_unref(mine);
    visor_connection_unref(other);
    OK(visor_domain_lookup_by_name(f->conn, "a", &dom, &err));
    assert_int_equal(state_of(dom), VISOR_STATE_RUNNING);
    OK(visor_domain_suspend(dom, &err));
    assert_int_equal(state_of(dom), VISOR_STATE_PAUSED);
    OK(visor_domain_resume(dom, &err));
    OK(visor_domain_reset(dom, 0, &err));
    OK(visor_domain_destroy(dom, 0, &err));
    assert_int_equal(reason_of(dom), VISOR_REASON_DESTROYED);
    FAILS(VISOR_ERR_STATE, visor_domain_destroy(dom, 0, &err));
    FAILS(VISOR_ERR_STATE, visor_domain_suspend(dom, &err));
    OK(visor_domain_undefine(dom, 0, &err));
    FAILS(VISOR_ERR_NOT_FOUND, visor_domain_start(dom, 0, &err));
    visor_domain_unref(dom);
}

static void a_guest_may_come_and_go_quickly(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "p");

    for (int i = 0; i < 10; i++) {
        OK(visor_domain_start(dom, 0, &err));
        wait_for(dom, VISOR_STATE_SHUTOFF);
        assert_int_equal(reason_of(dom), VISOR_REASON_GUEST_POWEROFF);
    }
    visor_domain_unref(dom);
}

static void an_exit_status_is_kept(void **state)
{
    fixture *f = *state;
    g_autofree char *xml = domain_xml(
        "a", NULL, "x", "null",
        "<visor:test-devices xmlns:visor='https://libvisor.org/domain/1'/>");
    visor_domain_info info = { .size = sizeof(info) };
    visor_domain *dom = NULL;

    OK(visor_domain_define_xml(f->conn, xml, 0, &dom, &err));
    OK(visor_domain_start(dom, 0, &err));
    wait_for(dom, VISOR_STATE_SHUTOFF);
    OK(visor_domain_get_info(dom, &info, &err));
    assert_int_equal(info.reason, VISOR_REASON_EXIT);
    assert_int_equal(info.exit_status, 7);
    assert_true(info.persistent);
    visor_domain_unref(dom);
}

static void a_running_domain_is_asked(void **state)
{
    fixture *f = *state;
    g_autofree char *xml = domain_xml("a", NULL, "e", "pty", NULL);
    visor_domain_info info = { .size = sizeof(info) };
    visor_domain *dom = NULL, *found = NULL;
    visor_stream *stream = NULL;
    visor_stat *stats = NULL;
    char *live = NULL, *off = NULL, *title = NULL;
    char buffer[64];

    OK(visor_domain_define_xml(f->conn, xml, 0, &dom, &err));
    OK(visor_domain_start(dom, 0, &err));
    OK(visor_domain_lookup_by_id(f->conn, visor_domain_get_id(dom), &found,
                                 &err));
    assert_string_equal(visor_domain_get_uuid(found),
                        visor_domain_get_uuid(dom));
    OK(visor_domain_get_xml(dom, 0, &live, &err));
    assert_non_null(strstr(live, "/dev/pts/"));
    OK(visor_domain_get_xml(dom, VISOR_XML_INACTIVE, &off, &err));
    assert_null(strstr(off, "/dev/pts/"));
    OK(visor_domain_get_info(dom, &info, &err));
    assert_int_equal(info.vcpus, 1);
    assert_int_equal(info.max_memory_kib, 8192);
    assert_true(visor_domain_get_stats(dom, &stats, NULL) > 3);
    OK(visor_domain_set_metadata(dom, VISOR_METADATA_TITLE, "T", NULL, NULL,
                                 &err));
    OK(visor_domain_get_metadata(dom, VISOR_METADATA_TITLE, NULL, &title,
                                 &err));
    assert_string_equal(title, "T");
    OK(visor_domain_open_console(dom, 0, VISOR_CONSOLE_REPLAY, &stream, &err));
    assert_int_equal(visor_stream_write(stream, "q", 1, 60000, NULL), 1);
    while (visor_stream_read(stream, buffer, sizeof(buffer), 60000, NULL) > 0)
        ;
    wait_for(dom, VISOR_STATE_SHUTOFF);
    visor_free(title);
    OK(visor_domain_get_metadata(dom, VISOR_METADATA_TITLE, NULL, &title,
                                 &err));
    visor_free(title);
    visor_free(stats);
    visor_free(live);
    visor_free(off);
    visor_stream_free(stream);
    visor_domain_unref(found);
    visor_domain_unref(dom);
}

static void a_transient_domain_leaves_no_folder(void **state)
{
    fixture *f = *state;
    visor_domain *dom = transient(f, "p", 0);
    g_autofree char *folder = domain_file(f, dom, ".");

    wait_for(dom, VISOR_STATE_SHUTOFF);
    for (int i = 0; i < 12000 && g_file_test(folder, G_FILE_TEST_EXISTS); i++)
        g_usleep(5000);
    assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
    FAILS(VISOR_ERR_NOT_FOUND, visor_domain_get_state(dom, NULL, NULL, &err));
    visor_domain_unref(dom);
}

static void defining_a_transient_domain_keeps_it(void **state)
{
    fixture *f = *state;
    visor_domain *dom = transient(f, "h", 0);
    g_autofree char *xml =
        domain_xml("trans", visor_domain_get_uuid(dom), "h", "null", NULL);
    visor_domain *kept = NULL;

    OK(visor_domain_define_xml(f->conn, xml, 0, &kept, &err));
    OK(visor_domain_destroy(dom, 0, &err));
    assert_int_equal(state_of(dom), VISOR_STATE_SHUTOFF);
    visor_domain_unref(kept);
    visor_domain_unref(dom);
}

static void undefining_a_running_domain_lets_it_go(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "h");

    OK(visor_domain_start(dom, 0, &err));
    OK(visor_domain_set_autostart(dom, true, &err));
    OK(visor_domain_undefine(dom, 0, &err));
    assert_int_equal(state_of(dom), VISOR_STATE_RUNNING);
    FAILS(VISOR_ERR_STATE, visor_domain_undefine(dom, 0, &err));
    OK(visor_domain_destroy(dom, 0, &err));
    FAILS(VISOR_ERR_NOT_FOUND, visor_domain_get_state(dom, NULL, NULL, &err));
    visor_domain_unref(dom);
}

static void autostart_survives_the_client(void **state)
{
    fixture *f = *state;
    visor_connection *other;
    visor_domain *dom = define(f->conn, "a", "h");

    OK(visor_domain_set_autostart(dom, true, &err));
    other = open_uri(f->uri);
    assert_int_equal(visor_connection_autostart(other, NULL), 1);
    assert_int_equal(state_of(dom), VISOR_STATE_RUNNING);
    OK(visor_domain_set_autostart(dom, false, &err));
    OK(visor_domain_set_autostart(dom, false, &err));
    visor_connection_unref(other);
    visor_domain_unref(dom);
}

static void a_start_that_fails_says_why_and_leaves_nothing(void **state)
{
    fixture *f = *state;
    g_autofree char *bad = kernel_xml("/proc/self/exe");
    visor_domain *dom = NULL;

    FAILS(VISOR_ERR_IMAGE,
          visor_domain_create_xml(f->conn, bad, 0, &dom, &err));
    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_lookup_by_name(f->conn, "bad", &dom, &err));
    OK(visor_domain_define_xml(f->conn, bad, 0, &dom, &err));
    FAILS(VISOR_ERR_IMAGE, visor_domain_start(dom, 0, &err));
    assert_int_equal(state_of(dom), VISOR_STATE_SHUTOFF);
    assert_int_equal(reason_of(dom), VISOR_REASON_FAILED);
    visor_domain_unref(dom);
}

/* --- kills and wedges ------------------------------------------------------------ */

static void a_killed_process_is_a_failure_and_no_more(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "h");

    for (int i = 0; i < 3; i++) {
        OK(visor_domain_start(dom, 0, &err));
        assert_int_equal(kill(pid_of(f, dom), SIGKILL), 0);
        wait_for(dom, VISOR_STATE_SHUTOFF);
        assert_int_equal(reason_of(dom), VISOR_REASON_FAILED);
        FAILS(VISOR_ERR_STATE, visor_domain_destroy(dom, 0, &err));
    }
    visor_domain_unref(dom);
}

static void a_killed_transient_domain_is_gone(void **state)
{
    fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        visor_domain *dom = transient(f, "h", 0);

        assert_int_equal(kill(pid_of(f, dom), SIGKILL), 0);
        wait_for(dom, VISOR_STATE_SHUTOFF);
        FAILS(VISOR_ERR_NOT_FOUND,
              visor_domain_get_state(dom, NULL, NULL, &err));
        visor_domain_unref(dom);
    }
}

static void sigterm_ends_a_domain_in_order(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "s");

    OK(visor_domain_start(dom, 0, &err));
    assert_int_equal(kill(pid_of(f, dom), SIGTERM), 0);
    wait_for(dom, VISOR_STATE_SHUTOFF);
    assert_int_equal(reason_of(dom), VISOR_REASON_DESTROYED);
    visor_domain_unref(dom);
}

/* SIGSTOP, and wait until all threads stand. */
static void stop(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    bool stands = false;

    assert_int_equal(kill(pid, SIGSTOP), 0);
    for (int i = 0; i < 60000 && !stands; i++) {
        g_autofree char *text = NULL;

        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        stands = strstr(text, ") T ") != NULL;
        g_usleep(1000);
    }
    assert_true(stands);
}

static void a_wedged_process_blocks_nobody_for_long(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "h");
    visor_domain *other = define(f->conn, "b", "h");
    gint64 before;
    char *xml = NULL;
    pid_t pid;

    OK(visor_domain_start(dom, 0, &err));
    pid = pid_of(f, dom);
    stop(pid);
    assert_int_equal(state_of(dom), VISOR_STATE_RUNNING);
    OK(visor_connection_set_timeout(f->conn, 100, &err));
    before = g_get_monotonic_time();
    FAILS(VISOR_ERR_TIMEOUT, visor_domain_get_xml(dom, 0, &xml, &err));
    FAILS(VISOR_ERR_TIMEOUT, visor_domain_suspend(dom, &err));
    assert_true(g_get_monotonic_time() - before < G_TIME_SPAN_MINUTE);
    OK(visor_connection_set_timeout(f->conn, 120000, &err));
    OK(visor_domain_start(other, 0, &err));
    before = g_get_monotonic_time();
    OK(visor_domain_destroy(dom, 0, &err));
    assert_true(g_get_monotonic_time() - before < G_TIME_SPAN_MINUTE);
    assert_int_equal(state_of(dom), VISOR_STATE_SHUTOFF);
    assert_int_equal(reason_of(dom), VISOR_REASON_DESTROYED);
    OK(visor_domain_start(dom, 0, &err));
    visor_domain_unref(other);
    visor_domain_unref(dom);
}

static void a_wedged_transient_domain_can_be_destroyed(void **state)
{
    fixture *f = *state;
    visor_domain *dom = transient(f, "h", 0);

    stop(pid_of(f, dom));
    OK(visor_domain_destroy(dom, 0, &err));
    FAILS(VISOR_ERR_NOT_FOUND, visor_domain_get_state(dom, NULL, NULL, &err));
    visor_domain_unref(dom);
}

/* A client that does everything in a circle, until it is killed. */
static void client_loop(const char *uri)
{
    visor_connection *conn = NULL;
    g_autofree char *xml = domain_xml("victim", NULL, "h", "null", NULL);
    g_autofree char *xml2 = domain_xml("victim2", NULL, "h", "null", NULL);

    if (visor_connection_open(uri, 0, &conn, NULL) < 0)
        _exit(1);
    for (;;) {
        visor_domain *dom = NULL;

        if (visor_domain_define_xml(conn, xml, 0, &dom, NULL) == 0 ||
            visor_domain_lookup_by_name(conn, "victim", &dom, NULL) == 0) {
            int rc = visor_domain_start(dom, 0, NULL);

            rc |= visor_domain_set_autostart(dom, true, NULL);
            rc |= visor_domain_destroy(dom, 0, NULL);
            rc |= visor_domain_undefine(dom, 0, NULL);
            (void)rc;
            visor_domain_unref(dom);
        }
        if (visor_domain_create_xml(conn, xml2, 0, &dom, NULL) == 0) {
            int rc = visor_domain_destroy(dom, 0, NULL);

            (void)rc;
            visor_domain_unref(dom);
        }
    }
}

/* Whatever it was killed at: what is there can be seen, used and removed. */
static void a_killed_client_leaves_all_whole(void **state)
{
    fixture *f = *state;
    static const char *const names[] = { "victim", "victim2" };
    unsigned seed = 12345;

    for (int i = 0; i < 40; i++) {
        visor_domain **list = NULL;
        pid_t pid = fork();

        if (pid == 0)
            client_loop(f->uri);
        seed = seed * 1103515245 + 12345;
        g_usleep(500 + (seed >> 16) % 30000);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        OK(visor_domain_list(f->conn, 0, &list, &err));
        visor_domain_list_free(list);
        for (size_t n = 0; n < G_N_ELEMENTS(names); n++) {
            visor_domain *dom = NULL;
            int rc;

            if (visor_domain_lookup_by_name(f->conn, names[n], &dom, NULL) < 0)
                dom = define(f->conn, names[n], "h");
            rc = visor_domain_destroy(dom, 0, NULL);
            assert_true(rc == 0 || rc == VISOR_ERR_STATE ||
                        rc == VISOR_ERR_NOT_FOUND);
            rc = visor_domain_undefine(dom, 0, NULL);
            assert_true(rc == 0 || rc == VISOR_ERR_NOT_FOUND);
            FAILS(VISOR_ERR_NOT_FOUND,
                  visor_domain_get_state(dom, NULL, NULL, &err));
            visor_domain_unref(dom);
            dom = define(f->conn, names[n], "h");
            OK(visor_domain_undefine(dom, 0, &err));
            visor_domain_unref(dom);
        }
    }
}

/* --- two at once ------------------------------------------------------------------- */

static void two_clients_share_one_name(void **state)
{
    fixture *f = *state;
    pid_t pids[4];
    visor_domain **list = NULL;
    int n;

    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            visor_connection *conn = NULL;
            g_autofree char *xml = domain_xml("same", NULL, "h", "null", NULL);
            visor_domain *dom = NULL;
            int made = 0;

            if (visor_connection_open(f->uri, 0, &conn, NULL) < 0)
                _exit(99);
            for (int k = 0; k < 10; k++) {
                int rc = visor_domain_define_xml(conn, xml, 0, &dom, NULL);

                if (rc == 0)
                    made++;
                else if (rc != VISOR_ERR_EXISTS)
                    _exit(98);
            }
            _exit(made);
        }
    }
    n = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
        int status = 0;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 98);
        n += WEXITSTATUS(status);
    }
    assert_int_equal(n, 1);
    assert_int_equal(visor_domain_list(f->conn, 0, &list, NULL), 1);
    visor_domain_list_free(list);
}

static void only_one_of_two_clients_starts(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "h");
    int started = 0;
    pid_t pids[4];

    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            visor_connection *conn = NULL;
            visor_domain *same = NULL;
            int rc;

            if (visor_connection_open(f->uri, 0, &conn, NULL) < 0 ||
                visor_domain_lookup_by_name(conn, "a", &same, NULL) < 0)
                _exit(99);
            rc = visor_domain_start(same, 0, NULL);
            _exit(rc == 0 ? 1 : rc == VISOR_ERR_STATE ? 0 : 98);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(pids); i++) {
        int status = 0;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 98);
        started += WEXITSTATUS(status);
    }
    assert_int_equal(started, 1);
    visor_domain_unref(dom);
}

static void *wait_for_end(void *opaque)
{
    return GINT_TO_POINTER(
        visor_domain_wait(opaque, 1u << VISOR_STATE_SHUTOFF, 120000, NULL));
}

/* Linux allows a user 128 inotify descriptors unless told otherwise. */
static void more_can_wait_than_can_watch(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "h");
    GThread *threads[150];

    OK(visor_domain_start(dom, 0, &err));
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("wait", wait_for_end, dom);
    g_usleep(50000);
    OK(visor_domain_destroy(dom, 0, &err));
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        assert_int_equal(GPOINTER_TO_INT(g_thread_join(threads[i])), 0);
    visor_domain_unref(dom);
}

/* --- what a host program sees --------------------------------------------------------- */

static volatile sig_atomic_t *sigchld_count(void)
{
    static volatile sig_atomic_t count;

    return &count;
}

static void on_sigchld(int sig)
{
    ++*sigchld_count();
}

static void the_program_gets_no_child_and_no_signal(void **state)
{
    fixture *f = *state;
    struct sigaction action = { .sa_handler = on_sigchld }, before;
    visor_domain *dom = define(f->conn, "a", "h");

    *sigchld_count() = 0;
    assert_int_equal(sigaction(SIGCHLD, &action, &before), 0);
    OK(visor_domain_start(dom, 0, &err));
    assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    OK(visor_domain_destroy(dom, 0, &err));
    assert_int_equal(*sigchld_count(), 0);
    assert_int_equal(sigaction(SIGCHLD, &before, NULL), 0);
    visor_domain_unref(dom);
}

static void the_process_inherits_nothing(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "h");
    int leak[2];
    struct pollfd p = { .events = POLLIN };
    g_autofree char *cwd_link = NULL;
    g_autofree char *cwd = NULL;
    g_autofree char *environ_path = NULL;
    g_autofree char *environment = NULL;
    pid_t pid;

    assert_int_equal(pipe(leak), 0); /* inheritable */
    g_setenv("VISOR_TEST_SECRET", "secret", TRUE);
    OK(visor_domain_start(dom, 0, &err));
    close(leak[1]);
    p.fd = leak[0];
    assert_int_equal(poll(&p, 1, 60000), 1); /* the end: nobody else has it */
    close(leak[0]);
    pid = pid_of(f, dom);
    assert_int_equal(getsid(pid), pid);
    cwd_link = g_strdup_printf("/proc/%d/cwd", (int)pid);
    cwd = g_file_read_link(cwd_link, NULL);
    assert_string_equal(cwd, "/");
    environ_path = g_strdup_printf("/proc/%d/environ", (int)pid);
    assert_true(g_file_get_contents(environ_path, &environment, NULL, NULL));
    assert_null(strstr(environment, "VISOR_TEST_SECRET"));
    visor_domain_unref(dom);
}

static void nothing_leaks_in_the_program(void **state)
{
    fixture *f = *state;
    int before = open("/dev/null", O_RDONLY), after;

    close(before);
    for (int i = 0; i < 5; i++) {
        visor_connection *conn = open_uri(f->uri);
        visor_domain *dom = define(conn, "a", "h");

        OK(visor_domain_start(dom, 0, &err));
        OK(visor_domain_destroy(dom, 0, &err));
        OK(visor_domain_undefine(dom, 0, &err));
        visor_domain_unref(dom);
        visor_connection_unref(conn);
    }
    after = open("/dev/null", O_RDONLY);
    close(after);
    assert_int_equal(before, after);
}

/* --- the visor-vmm to start ---------------------------------------------------------------- */

static void a_wrong_program_is_an_error_in_time(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *program, *script;
        int code;
    } cases[] = {
        { "/nonexistent/visor-vmm", NULL, VISOR_ERR_NOT_FOUND },
        { "/", NULL, VISOR_ERR_NOT_FOUND },
        { "/bin/true", NULL, VISOR_ERR_CRASHED },
        { NULL, "#!/bin/sh\nexec sleep 2\n", VISOR_ERR_TIMEOUT },
        { NULL, "#!/bin/sh\necho nonsense >&3; exec sleep 1\n",
          VISOR_ERR_PROTOCOL },
    };
    visor_domain *made = define(f->conn, "a", "h");
    g_autofree char *script = g_build_filename(f->root, "vmm.sh", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *program =
            cases[i].program != NULL ? cases[i].program : script;
        g_autofree char *uri = g_strdup_printf("%s:///session?root=%s&vmm=%s",
                                               engine(), f->root, program);
        visor_connection *conn = open_uri(uri);
        visor_domain *dom = NULL;

        if (cases[i].script != NULL) {
            assert_true(g_file_set_contents(script, cases[i].script, -1, NULL));
            assert_int_equal(g_chmod(script, 0700), 0);
        }
        OK(visor_connection_set_timeout(
            conn, cases[i].code == VISOR_ERR_TIMEOUT ? 300 : 120000, &err));
        OK(visor_domain_lookup_by_name(conn, "a", &dom, &err));
        FAILS(cases[i].code, visor_domain_start(dom, 0, &err));
        assert_int_equal(state_of(dom), VISOR_STATE_SHUTOFF);
        visor_domain_unref(dom);
        visor_connection_unref(conn);
    }
    OK(visor_domain_start(made, 0, &err));
    visor_domain_unref(made);
}

/* --- the folder ------------------------------------------------------------------------------ */

static void a_folder_that_others_can_write_is_refused(void **state)
{
    fixture *f = *state;
    g_autofree char *folder = g_build_filename(f->root, engine(), NULL);
    visor_connection *conn = NULL;
    visor_error *why = NULL;

    assert_int_equal(g_chmod(folder, 0770), 0);
    assert_int_equal(visor_connection_open(f->uri, 0, &conn, &why),
                     VISOR_ERR_ACCESS);
    assert_non_null(strstr(visor_error_get_message(why), folder));
    visor_error_free(why);
    assert_int_equal(g_chmod(folder, 0700), 0);
    assert_int_equal(g_chmod(f->root, 0777), 0);
    FAILS(VISOR_ERR_ACCESS, visor_connection_open(f->uri, 0, &conn, &err));
    assert_int_equal(g_chmod(f->root, 0700), 0);
    FAILS(
        VISOR_ERR_SYSTEM,
        visor_connection_open("emu:///session?root=/dev/null", 0, &conn, &err));
}

static void a_link_in_place_of_a_folder_is_refused(void **state)
{
    fixture *f = *state;
    g_autofree char *folder = g_build_filename(f->root, engine(), NULL);
    g_autofree char *moved = g_build_filename(f->root, "moved", NULL);
    visor_connection *conn = NULL;

    assert_int_equal(g_rename(folder, moved), 0);
    assert_int_equal(symlink(moved, folder), 0);
    assert_true(visor_connection_open(f->uri, 0, &conn, NULL) < 0);
    assert_int_equal(g_unlink(folder), 0);
    assert_int_equal(g_rename(moved, folder), 0);
}

static void a_path_may_be_longer_than_a_socket_name(void **state)
{
    fixture *f = *state;
    g_autofree char *part = g_strnfill(120, 'p');
    g_autofree char *deep = g_build_filename(f->root, part, part, NULL);
    g_autofree char *uri = session_uri(deep);
    visor_connection *conn = open_uri(uri);
    visor_domain *dom = define(conn, "a", "h");

    OK(visor_domain_start(dom, 0, &err));
    OK(visor_domain_suspend(dom, &err));
    OK(visor_domain_destroy(dom, 0, &err));
    visor_domain_unref(dom);
    visor_connection_unref(conn);
}

static void damaged_files_hurt_only_their_domain(void **state)
{
    fixture *f = *state;
    visor_domain *a = define(f->conn, "a", "h");
    visor_domain *b = define(f->conn, "b", "h");
    g_autofree char *status = domain_file(f, a, "status.json");
    g_autofree char *definition = domain_file(f, a, "domain.xml");
    static const char *const statuses[] = {
        "",
        "{",
        "{\"state\":1}",
        "{\"state\":99,\"reason\":0,\"pid\":1}",
        "{\"state\":1,\"reason\":1,\"exit_status\":-1,\"id\":3,\"pid\":1}",
    };
    visor_domain **list = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++) {
        assert_true(g_file_set_contents(status, statuses[i], -1, NULL));
        assert_int_equal(state_of(a), VISOR_STATE_SHUTOFF);
        OK(visor_domain_start(a, 0, &err));
        OK(visor_domain_destroy(a, 0, &err));
    }
    assert_true(g_file_set_contents(definition, "<domain", -1, NULL));
    FAILS(VISOR_ERR_XML, visor_domain_start(a, 0, &err));
    assert_int_equal(visor_domain_list(f->conn, 0, &list, NULL), 2);
    visor_domain_list_free(list);
    OK(visor_domain_start(b, 0, &err));
    OK(visor_domain_undefine(a, 0, &err));
    visor_domain_unref(a);
    visor_domain_unref(b);
}

static void leftovers_of_the_killed_are_cleared(void **state)
{
    fixture *f = *state;
    g_autofree char *link =
        g_build_filename(f->root, engine(), "names/a", NULL);
    g_autofree char *half = g_build_filename(
        f->root, engine(), "tmp/11111111-2222-3333-4444-555555555555", NULL);
    g_autofree char *half_file = g_build_filename(half, "name", NULL);
    visor_domain *dom = NULL;

    assert_int_equal(symlink("11111111-2222-3333-4444-555555555555", link), 0);
    assert_int_equal(g_mkdir(half, 0700), 0);
    assert_true(g_file_set_contents(half_file, "a", -1, NULL));
    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_lookup_by_name(f->conn, "a", &dom, &err));
    dom = define(f->conn, "a", "h");
    assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
    OK(visor_domain_start(dom, 0, &err));
    visor_domain_unref(dom);
}

static void a_full_disk_leaves_the_old_definition(void **state)
{
    fixture *f = *state;
    g_autofree char *xml = domain_xml("new", NULL, "h", "null", NULL);
    g_autofree char *changed = NULL;
    struct rlimit before, none;
    visor_domain *dom = define(f->conn, "old", "h"), *made = NULL;
    visor_domain **list = NULL;
    char *was = NULL, *is = NULL;

    OK(visor_domain_get_xml(dom, 0, &was, &err));
    changed = domain_xml("old", visor_domain_get_uuid(dom), "s", "null", NULL);
    /* As a disk that is full: no file may grow. */
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_true(visor_domain_define_xml(f->conn, xml, 0, &made, NULL) < 0);
    assert_true(visor_domain_define_xml(f->conn, changed, 0, &made, NULL) < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(visor_domain_list(f->conn, 0, &list, NULL), 1);
    visor_domain_list_free(list);
    OK(visor_domain_get_xml(dom, 0, &is, &err));
    assert_string_equal(was, is);
    visor_free(was);
    visor_free(is);
    OK(visor_domain_define_xml(f->conn, xml, 0, &made, &err));
    visor_domain_unref(made);
    visor_domain_unref(dom);
}

static void names_may_be_odd(void **state)
{
    fixture *f = *state;
    g_autofree char *longest = g_strnfill(255, 'n');
    const char *names[] = { "-rf",   "a b", ".hidden", "\xc3\xa9\xe2\x82\xac",
                            "names", "tmp", longest };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        visor_domain *dom = define(f->conn, names[i], "h"), *found = NULL;

        OK(visor_domain_lookup_by_name(f->conn, names[i], &found, &err));
        assert_string_equal(visor_domain_get_name(found), names[i]);
        OK(visor_domain_undefine(found, 0, &err));
        visor_domain_unref(found);
        visor_domain_unref(dom);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_domain_outlives_its_client),
        TEST(a_guest_may_come_and_go_quickly),
        TEST(an_exit_status_is_kept),
        TEST(a_running_domain_is_asked),
        TEST(a_transient_domain_leaves_no_folder),
        TEST(defining_a_transient_domain_keeps_it),
        TEST(undefining_a_running_domain_lets_it_go),
        TEST(autostart_survives_the_client),
        TEST(a_start_that_fails_says_why_and_leaves_nothing),
        TEST(a_killed_process_is_a_failure_and_no_more),
        TEST(a_killed_transient_domain_is_gone),
        TEST(sigterm_ends_a_domain_in_order),
        TEST(a_wedged_process_blocks_nobody_for_long),
        TEST(a_wedged_transient_domain_can_be_destroyed),
        TEST(a_killed_client_leaves_all_whole),
        TEST(two_clients_share_one_name),
        TEST(only_one_of_two_clients_starts),
        TEST(more_can_wait_than_can_watch),
        TEST(the_program_gets_no_child_and_no_signal),
        TEST(the_process_inherits_nothing),
        TEST(nothing_leaks_in_the_program),
        TEST(a_wrong_program_is_an_error_in_time),
        TEST(a_folder_that_others_can_write_is_refused),
        TEST(a_link_in_place_of_a_folder_is_refused),
        TEST(a_path_may_be_longer_than_a_socket_name),
        TEST(damaged_files_hurt_only_their_domain),
        TEST(leftovers_of_the_killed_are_cleared),
        TEST(a_full_disk_leaves_the_old_definition),
        TEST(names_may_be_odd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
