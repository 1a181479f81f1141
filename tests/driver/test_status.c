/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver/status.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include <visor/visor.h>

#include "base/fd.h"
#include "tests/support/cm.h"

typedef struct {
    char *path;
    int fd;
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->path = g_dir_make_tmp("vsr-status-XXXXXX", NULL);
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = f;
    return f->fd < 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    (void)unlinkat(f->fd, "status.json", 0);
    vsr_close(f->fd);
    assert_int_equal(g_rmdir(f->path), 0); /* nothing else is left in it */
    g_free(f->path);
    g_free(f);
    return 0;
}

static void what_is_written_is_read(void **state)
{
    fixture *f = *state;
    vsr_status in, out;
    int64_t seq = 0;

    vsr_status_init(&in);
    in.state = VISOR_STATE_RUNNING;
    in.reason = VISOR_REASON_BOOTED;
    in.exit_status = 7;
    in.id = 12;
    in.pid = 4711;
    in.building = true;
    (void)vsr_status_event_add(&in, &seq, VISOR_EVENT_LIFECYCLE,
                               VISOR_LIFECYCLE_STARTED, VISOR_REASON_BOOTED,
                               "a \"text\"\n");
    assert_true(vsr_status_write(f->fd, &in, NULL));
    assert_true(vsr_status_read(f->fd, &out));
    assert_int_equal(out.state, in.state);
    assert_int_equal(out.reason, in.reason);
    assert_int_equal(out.exit_status, 7);
    assert_int_equal(out.id, 12);
    assert_int_equal(out.pid, 4711);
    assert_true(out.building);
    assert_int_equal(out.n_events, 1);
    assert_int_equal(out.events[0].seq, 1);
    assert_int_equal(out.events[0].detail, VISOR_LIFECYCLE_STARTED);
    assert_true(out.events[0].when_ns == in.events[0].when_ns);
    assert_string_equal(out.events[0].text, "a \"text\" ");
}

static void the_oldest_events_go_first(void **state)
{
    fixture *f = *state;
    vsr_status in, out;
    int64_t seq = 0;
    g_autofree char *text = g_strnfill(1000, '"');

    vsr_status_init(&in);
    for (int i = 0; i < 3 * VSR_STATUS_EVENTS; i++)
        (void)vsr_status_event_add(&in, &seq, VISOR_EVENT_REBOOT, 0, 0, text);
    assert_int_equal(in.n_events, VSR_STATUS_EVENTS);
    assert_int_equal(in.events[0].seq, 2 * VSR_STATUS_EVENTS + 1);
    /* The longest texts, escaped: still a file that can be read. */
    assert_true(vsr_status_write(f->fd, &in, NULL));
    assert_true(vsr_status_read(f->fd, &out));
    assert_int_equal(out.n_events, VSR_STATUS_EVENTS);
    assert_int_equal(out.events[VSR_STATUS_EVENTS - 1].seq,
                     3 * VSR_STATUS_EVENTS);
}

static void no_status_or_nonsense_is_shut_off(void **state)
{
    fixture *f = *state;
    g_autofree char *file = g_build_filename(f->path, "status.json", NULL);
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"state\":\"1\"}",
        "{\"state\":7,\"reason\":0,\"exit_status\":-1,\"id\":1,\"pid\":1}",
        "{\"state\":1,\"reason\":0,\"exit_status\":-1,\"id\":1,\"pid\":-1}",
    };
    vsr_status out;

    assert_false(vsr_status_read(f->fd, &out));
    assert_int_equal(out.state, VISOR_STATE_SHUTOFF);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        assert_true(g_file_set_contents(file, bad[i], -1, NULL));
        out.state = VISOR_STATE_RUNNING;
        assert_false(vsr_status_read(f->fd, &out));
        assert_int_equal(out.state, VISOR_STATE_SHUTOFF);
        assert_int_equal(out.id, -1);
    }
}

static void a_link_is_not_followed(void **state)
{
    fixture *f = *state;
    vsr_status out;

    assert_int_equal(symlinkat("/etc/passwd", f->fd, "status.json"), 0);
    assert_false(vsr_status_read(f->fd, &out));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read),
        TEST(the_oldest_events_go_first),
        TEST(no_status_or_nonsense_is_shut_off),
        TEST(a_link_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
