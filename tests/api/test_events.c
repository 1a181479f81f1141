/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_events.c: events in both modes, and what dispatches them. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/api/support.h"
#include "tests/support/cm.h"

typedef struct {
    char *root; /* NULL: embed */
    visor_connection *conn;
    GString *seen; /* "name:what/reason " … */
    int freed;
} fixture;

static fixture *fixture_new(bool session)
{
    fixture *f = g_new0(fixture, 1);
    g_autofree char *uri = NULL;

    f->root = session ? temp_root() : NULL;
    uri = session ? session_uri(f->root)
                  : g_strdup_printf("%s:///embed", engine());
    f->conn = open_uri(uri);
    f->seen = g_string_new(NULL);
    return f;
}

static int setup_embed(void **state)
{
    *state = fixture_new(false);
    return 0;
}

static int setup_session(void **state)
{
    *state = fixture_new(true);
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    visor_connection_unref(f->conn);
    if (f->root != NULL)
        remove_tree(f->root);
    g_free(f->root);
    g_string_free(f->seen, TRUE);
    g_free(f);
    return 0;
}

static void on_event(visor_connection *conn, const visor_event *event,
                     void *opaque)
{
    const char *detail = visor_event_detail_name(event->kind, event->detail);
    fixture *f = opaque;

    assert_ptr_equal(conn, f->conn);
    assert_true(event->size == sizeof(*event) && event->when_ns > 0);

    if (event->kind == VISOR_EVENT_JOB)
        g_string_append_printf(
            f->seen, "%s:%s-%s/%s ", visor_domain_get_name(event->domain),
            event->text, detail, visor_reason_name(event->reason));
    else if (event->kind == VISOR_EVENT_LIFECYCLE)
        g_string_append_printf(f->seen, "%s:%s/%s ",
                               visor_domain_get_name(event->domain), detail,
                               visor_reason_name(event->reason));
    else
        g_string_append_printf(f->seen, "%s:%s ",
                               visor_domain_get_name(event->domain),
                               visor_event_kind_name(event->kind));
}

static void on_free(void *opaque)
{
    ((fixture *)opaque)->freed++;
}

/* What ends by itself ends before or after its start has. */
#define NOT_JOBS ((1u << VISOR_EVENT_LIFECYCLE) | (1u << VISOR_EVENT_REBOOT))

static int subscribe(fixture *f, visor_domain *dom, uint32_t kinds)
{
    int number =
        visor_event_subscribe(f->conn, dom, kinds, on_event, f, on_free, NULL);

    assert_true(number > 0);
    return number;
}

/* Dispatch until all of `want` has been seen. */
static void expect(fixture *f, const char *want)
{
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;

    while (strlen(f->seen->str) < strlen(want) && g_get_monotonic_time() < end)
        assert_true(visor_connection_dispatch(f->conn, 50, NULL) >= 0);
    assert_string_equal(f->seen->str, want);
    g_string_set_size(f->seen, 0);
}

static void expect_nothing(fixture *f)
{
    assert_int_equal(visor_connection_dispatch(f->conn, 100, NULL), 0);
    assert_string_equal(f->seen->str, "");
}

static void a_whole_life_is_told_in_order(void **state)
{
    fixture *f = *state;
    visor_domain *dom;

    (void)subscribe(f, NULL, 0);
    dom = define(f->conn, "a", "h");
    OK(visor_domain_start(dom, 0, &err));
    OK(visor_domain_suspend(dom, &err));
    OK(visor_domain_resume(dom, &err));
    OK(visor_domain_destroy(dom, 0, &err));
    OK(visor_domain_undefine(dom, 0, &err));
    expect(f, "a:defined/none a:start-began/none a:started/booted "
              "a:start-ended/none a:suspended/user a:resumed/resumed "
              "a:destroy-began/none a:stopped/destroyed a:destroy-ended/none "
              "a:undefined/none ");
    visor_domain_unref(dom);
    expect_nothing(f);
}

static void a_paused_start_is_a_start(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "p");

    (void)subscribe(f, NULL, 1u << VISOR_EVENT_LIFECYCLE);
    OK(visor_domain_start(dom, VISOR_START_PAUSED, &err));
    expect(f, "a:started/starting ");
    OK(visor_domain_resume(dom, &err));
    expect(f, "a:resumed/booted a:shutdown/guest-poweroff "
              "a:stopped/guest-poweroff ");
    visor_domain_unref(dom);
}

static void a_crash_is_told(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "t");

    (void)subscribe(f, NULL, NOT_JOBS);
    OK(visor_domain_start(dom, 0, &err));
    expect(f, "a:started/booted a:crashed/crashed a:stopped/crashed ");
    visor_domain_unref(dom);
}

static void a_transient_domains_end_is_told(void **state)
{
    fixture *f = *state;
    g_autofree char *xml = domain_xml("a", NULL, "p", "null", NULL);
    visor_domain *dom = NULL;

    (void)subscribe(f, NULL, NOT_JOBS);
    for (int i = 0; i < 5; i++) {
        OK(visor_domain_create_xml(f->conn, xml, 0, &dom, &err));
        expect(f, "a:started/booted a:shutdown/guest-poweroff "
                  "a:stopped/guest-poweroff ");
        visor_domain_unref(dom);
        /* The last word comes before the name is free again. */
        for (int tries = 0; tries < 12000; tries++) {
            if (visor_domain_lookup_by_name(f->conn, "a", &dom, NULL) < 0)
                break;
            visor_domain_unref(dom);
            g_usleep(5000);
        }
    }
}

static void a_failed_start_is_a_failed_job(void **state)
{
    fixture *f = *state;
    g_autofree char *bad = kernel_xml("/proc/self/exe");
    visor_domain *dom = NULL;

    OK(visor_domain_define_xml(f->conn, bad, 0, &dom, &err));
    (void)subscribe(f, NULL, 0);
    assert_true(visor_domain_start(dom, 0, NULL) < 0);
    expect(f, "bad:start-began/none bad:start-ended/failed ");
    expect_nothing(f);
    visor_domain_unref(dom);
}

static void subscriptions_choose_domain_and_kind(void **state)
{
    fixture *f = *state;
    visor_domain *a = define(f->conn, "a", "h");
    visor_domain *b = define(f->conn, "b", "h");
    int number = subscribe(f, b, 1u << VISOR_EVENT_LIFECYCLE);
    int jobs = subscribe(f, NULL, 1u << VISOR_EVENT_JOB);

    OK(visor_domain_start(a, 0, &err));
    OK(visor_domain_start(b, 0, &err));
    expect(f, "a:start-began/none a:start-ended/none b:start-began/none "
              "b:started/booted b:start-ended/none ");
    OK(visor_event_unsubscribe(f->conn, number, &err));
    OK(visor_event_unsubscribe(f->conn, jobs, &err));
    assert_int_equal(f->freed, 2);
    OK(visor_domain_destroy(a, 0, &err));
    OK(visor_domain_destroy(b, 0, &err));
    expect_nothing(f);
    FAILS(VISOR_ERR_NOT_FOUND, visor_event_unsubscribe(f->conn, number, &err));
    visor_domain_unref(a);
    visor_domain_unref(b);
}

static void what_was_before_is_not_told(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "h");

    OK(visor_domain_start(dom, 0, &err));
    g_usleep(2000);
    (void)subscribe(f, NULL, 0);
    OK(visor_domain_suspend(dom, &err));
    expect(f, "a:suspended/user ");
    OK(visor_domain_destroy(dom, 0, &err));
    expect(f, "a:destroy-began/none a:stopped/destroyed a:destroy-ended/none ");
    visor_domain_unref(dom);
}

static void the_guests_reboot_is_told(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "u");
    int rc;

    (void)subscribe(f, NULL, 1u << VISOR_EVENT_REBOOT);
    OK(visor_domain_start(dom, 0, &err));
    while (f->seen->len < strlen("a:reboot a:reboot "))
        assert_true(visor_connection_dispatch(f->conn, 60000, NULL) > 0);
    assert_true(g_str_has_prefix(f->seen->str, "a:reboot a:reboot "));
    rc = visor_domain_destroy(dom, 0, NULL);
    /* By then it may have been taken for a crash loop. */
    assert_true(rc == 0 || rc == VISOR_ERR_STATE);
    visor_domain_unref(dom);
}

/* --- dispatching ---------------------------------------------------------------- */

static void the_descriptor_says_when_to_dispatch(void **state)
{
    fixture *f = *state;
    struct pollfd p = { .fd = visor_connection_get_fd(f->conn),
                        .events = POLLIN };
    visor_domain *dom;

    (void)subscribe(f, NULL, 0);
    assert_int_equal(poll(&p, 1, 0), 0);
    dom = define(f->conn, "a", "h");
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_int_equal(visor_connection_dispatch(f->conn, 0, NULL), 1);
    assert_int_equal(poll(&p, 1, 0), 0);
    visor_domain_unref(dom);
}

static void quit_on_event(visor_connection *conn, const visor_event *event,
                          void *opaque)
{
    g_main_loop_quit(opaque);
}

static void a_main_context_dispatches(void **state)
{
    fixture *f = *state;
    GMainContext *context = g_main_context_new();
    GMainLoop *loop = g_main_loop_new(context, FALSE);
    visor_domain *dom;
    int number;

    OK(visor_connection_attach(f->conn, context, &err));
    FAILS(VISOR_ERR_STATE, visor_connection_attach(f->conn, context, &err));
    number = visor_event_subscribe(f->conn, NULL, 0, quit_on_event, loop, NULL,
                                   NULL);
    assert_true(number > 0);
    dom = define(f->conn, "a", "h");
    g_main_loop_run(loop);
    visor_connection_detach(f->conn);
    OK(visor_connection_attach(f->conn, context, &err));
    visor_domain_unref(dom);
    g_main_loop_unref(loop);
    g_main_context_unref(context);
}

static void drop_on_event(visor_connection *conn, const visor_event *event,
                          void *opaque)
{
    int *number = opaque;

    OK(visor_event_unsubscribe(conn, *number, &err));
    *number = 0;
}

static void a_callback_may_unsubscribe_itself(void **state)
{
    fixture *f = *state;
    visor_domain *a, *b;
    int number = 0;

    number = visor_event_subscribe(f->conn, NULL, 0, drop_on_event, &number,
                                   NULL, NULL);
    a = define(f->conn, "a", "h");
    b = define(f->conn, "b", "h");
    assert_int_equal(visor_connection_dispatch(f->conn, 60000, NULL), 1);
    assert_int_equal(number, 0);
    assert_int_equal(visor_connection_dispatch(f->conn, 50, NULL), 0);
    visor_domain_unref(a);
    visor_domain_unref(b);
}

/* --- session: others ---------------------------------------------------------------- */

static void another_process_causes_events(void **state)
{
    fixture *f = *state;
    g_autofree char *uri = session_uri(f->root);
    pid_t pid;
    int status = 0;

    (void)subscribe(f, NULL, 0);
    pid = fork();
    if (pid == 0) {
        visor_connection *conn = NULL;
        visor_domain *dom = NULL;
        g_autofree char *xml = domain_xml("o", NULL, "h", "null", NULL);
        bool ok;

        ok = visor_connection_open(uri, 0, &conn, NULL) == 0 &&
             visor_domain_define_xml(conn, xml, 0, &dom, NULL) == 0 &&
             visor_domain_start(dom, 0, NULL) == 0 &&
             visor_domain_destroy(dom, 0, NULL) == 0 &&
             visor_domain_undefine(dom, 0, NULL) == 0;
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    expect(f, "o:defined/none o:start-began/none o:started/booted "
              "o:start-ended/none o:destroy-began/none o:stopped/destroyed "
              "o:destroy-ended/none o:undefined/none ");
}

static void a_killed_process_is_told(void **state)
{
    fixture *f = *state;
    visor_domain *dom = define(f->conn, "a", "h");
    g_autofree char *lock = NULL;
    g_autofree char *text = NULL;
    const char *found;

    OK(visor_domain_start(dom, 0, &err));
    (void)subscribe(f, NULL, 0);
    lock = g_strdup_printf("%s/%s/%s/status.json", f->root, engine(),
                           visor_domain_get_uuid(dom));
    assert_true(g_file_get_contents(lock, &text, NULL, NULL));
    found = strstr(text, "\"pid\":");
    assert_non_null(found);
    assert_int_equal(kill(atoi(found + 6), SIGKILL), 0);
    expect(f, "a:stopped/failed ");
    assert_int_equal(state_of(dom), VISOR_STATE_SHUTOFF);
    visor_domain_unref(dom);
}

int main(void)
{
#define BOTH(fn)                                                \
    cmocka_unit_test_setup_teardown(fn, setup_embed, teardown), \
    {                                                           \
#fn "_in_a_session", fn, setup_session, teardown, NULL  \
    }
#define SESSION(fn) cmocka_unit_test_setup_teardown(fn, setup_session, teardown)
    const struct CMUnitTest tests[] = {
        BOTH(a_whole_life_is_told_in_order),
        BOTH(a_paused_start_is_a_start),
        BOTH(a_crash_is_told),
        BOTH(a_transient_domains_end_is_told),
        BOTH(a_failed_start_is_a_failed_job),
        BOTH(subscriptions_choose_domain_and_kind),
        BOTH(what_was_before_is_not_told),
        BOTH(the_guests_reboot_is_told),
        BOTH(the_descriptor_says_when_to_dispatch),
        BOTH(a_main_context_dispatches),
        BOTH(a_callback_may_unsubscribe_itself),
        SESSION(another_process_causes_events),
        SESSION(a_killed_process_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
