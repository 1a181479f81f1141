/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_embed.c: domains inside of this process, with the tiny guest. */
#include <string.h>
#include <unistd.h>

#include "tests/api/support.h"
#include "tests/support/cm.h"

#define UUID1 "11111111-2222-3333-4444-555555555555"
#define UUID2 "22222222-2222-3333-4444-555555555555"

static int setup(void **state)
{
    *state = open_embed();
    return 0;
}

static int teardown(void **state)
{
    visor_connection_unref(*state);
    return 0;
}

static void a_definition_comes_back_as_it_was_shown(void **state)
{
    visor_connection *conn = *state;
    g_autofree char *xml = domain_xml("fix", UUID1, "h", "null", NULL);
    visor_domain *dom = NULL, *again = NULL;
    char *shown = NULL, *shown2 = NULL;

    OK(visor_domain_define_xml(conn, xml, 0, &dom, &err));
    assert_string_equal(visor_domain_get_name(dom), "fix");
    assert_string_equal(visor_domain_get_uuid(dom), UUID1);
    assert_ptr_equal(visor_domain_get_connection(dom), conn);
    assert_int_equal(visor_domain_get_id(dom), -1);
    OK(visor_domain_get_xml(dom, 0, &shown, &err));
    OK(visor_domain_define_xml(conn, shown, VISOR_DEFINE_VALIDATE, &again,
                               &err));
    OK(visor_domain_get_xml(again, VISOR_XML_INACTIVE, &shown2, &err));
    assert_string_equal(shown, shown2);
    visor_free(shown);
    visor_free(shown2);
    visor_domain_unref(again);
    OK(visor_domain_undefine(dom, 0, &err));
    FAILS(VISOR_ERR_NOT_FOUND, visor_domain_start(dom, 0, &err));
    visor_domain_unref(dom);
}

static void names_and_uuids_are_unique(void **state)
{
    visor_connection *conn = *state;
    g_autofree char *first = domain_xml("a", UUID1, "h", "null", NULL);
    g_autofree char *other_uuid = domain_xml("a", UUID2, "h", "null", NULL);
    g_autofree char *other_name = domain_xml("b", UUID1, "h", "null", NULL);
    visor_domain *dom = NULL, *none = NULL;

    OK(visor_domain_define_xml(conn, first, 0, &dom, &err));
    FAILS(VISOR_ERR_EXISTS,
          visor_domain_define_xml(conn, other_uuid, 0, &none, &err));
    FAILS(VISOR_ERR_EXISTS,
          visor_domain_define_xml(conn, other_name, 0, &none, &err));
    FAILS(VISOR_ERR_EXISTS,
          visor_domain_create_xml(conn, first, 0, &none, &err));
    assert_null(none);
    visor_domain_unref(dom);
}

static void another_engines_domain_is_refused(void **state)
{
    g_autofree char *xml = domain_xml("k", NULL, "h", "null", NULL);
    char *type = strstr(xml, "<domain type='") + strlen("<domain type='");
    visor_domain *dom = NULL;

    memcpy(type, strcmp(engine(), "emu") == 0 ? "kvm" : "emu", 3);
    FAILS(VISOR_ERR_NO_SUPPORT,
          visor_domain_define_xml(*state, xml, 0, &dom, &err));
}

static void a_domain_lives_and_can_live_again(void **state)
{
    visor_domain *dom = define(*state, "life", "h");

    for (int i = 0; i < 3; i++) {
        OK(visor_domain_start(dom, VISOR_START_PAUSED, &err));
        assert_int_equal(state_of(dom), VISOR_STATE_PAUSED);
        assert_int_equal(reason_of(dom), VISOR_REASON_STARTING);
        assert_true(visor_domain_get_id(dom) > 0);
        FAILS(VISOR_ERR_STATE, visor_domain_start(dom, 0, &err));
        OK(visor_domain_resume(dom, &err));
        assert_int_equal(state_of(dom), VISOR_STATE_RUNNING);
        FAILS(VISOR_ERR_STATE, visor_domain_resume(dom, &err));
        OK(visor_domain_suspend(dom, &err));
        assert_int_equal(reason_of(dom), VISOR_REASON_USER);
        OK(visor_domain_resume(dom, &err));
        OK(visor_domain_reset(dom, 0, &err));
        OK(visor_domain_destroy(dom, 0, &err));
        assert_int_equal(state_of(dom), VISOR_STATE_SHUTOFF);
        assert_int_equal(reason_of(dom), VISOR_REASON_DESTROYED);
        assert_int_equal(visor_domain_get_id(dom), -1);
        FAILS(VISOR_ERR_STATE, visor_domain_destroy(dom, 0, &err));
        FAILS(VISOR_ERR_STATE, visor_domain_suspend(dom, &err));
    }
    visor_domain_unref(dom);
}

static void a_guest_that_powers_off_says_so(void **state)
{
    visor_domain *dom = define(*state, "off", "p");

    for (int i = 0; i < 3; i++) {
        OK(visor_domain_start(dom, 0, &err));
        wait_for(dom, VISOR_STATE_SHUTOFF);
        assert_int_equal(reason_of(dom), VISOR_REASON_GUEST_POWEROFF);
    }
    visor_domain_unref(dom);
}

static void the_power_button_shuts_down(void **state)
{
    visor_domain *dom = define(*state, "button", "w");

    OK(visor_domain_start(dom, 0, &err));
    OK(visor_domain_shutdown(dom, 0, &err));
    wait_for(dom, VISOR_STATE_SHUTOFF);
    assert_int_equal(reason_of(dom), VISOR_REASON_GUEST_POWEROFF);
    visor_domain_unref(dom);
}

static void a_triple_fault_has_a_reason(void **state)
{
    visor_domain *dom = define(*state, "crash", "t");

    OK(visor_domain_start(dom, 0, &err));
    wait_for(dom, VISOR_STATE_SHUTOFF);
    assert_int_equal(reason_of(dom), VISOR_REASON_CRASHED);
    visor_domain_unref(dom);
}

static void a_transient_domain_is_forgotten(void **state)
{
    visor_connection *conn = *state;
    g_autofree char *xml = domain_xml("trans", NULL, "h", "null", NULL);
    visor_domain *dom = NULL, *found = NULL;
    visor_domain_info info = { .size = sizeof(info) };

    for (int i = 0; i < 3; i++) {
        OK(visor_domain_create_xml(conn, xml, 0, &dom, &err));
        OK(visor_domain_get_info(dom, &info, &err));
        assert_false(info.persistent);
        assert_int_equal(info.state, VISOR_STATE_RUNNING);
        assert_int_equal(info.memory_kib, 8192);
        assert_int_equal(info.exit_status, -1);
        FAILS(VISOR_ERR_STATE, visor_domain_undefine(dom, 0, &err));
        FAILS(VISOR_ERR_STATE, visor_domain_set_autostart(dom, true, &err));
        OK(visor_domain_destroy(dom, 0, &err));
        FAILS(VISOR_ERR_NOT_FOUND,
              visor_domain_get_state(dom, NULL, NULL, &err));
        FAILS(VISOR_ERR_NOT_FOUND,
              visor_domain_lookup_by_name(conn, "trans", &found, &err));
        visor_domain_unref(dom);
    }
}

static void undefining_a_running_domain_makes_it_transient(void **state)
{
    visor_domain *dom = define(*state, "was", "h");
    visor_domain_info info = { .size = sizeof(info) };
    char *xml = NULL;

    OK(visor_domain_start(dom, 0, &err));
    OK(visor_domain_undefine(dom, 0, &err));
    OK(visor_domain_get_info(dom, &info, &err));
    assert_false(info.persistent);
    OK(visor_domain_get_xml(dom, 0, &xml, &err));
    visor_free(xml);
    OK(visor_domain_destroy(dom, 0, &err));
    FAILS(VISOR_ERR_NOT_FOUND, visor_domain_get_state(dom, NULL, NULL, &err));
    visor_domain_unref(dom);
}

static void a_start_that_fails_leaves_nothing(void **state)
{
    visor_connection *conn = *state;
    g_autofree char *bad = kernel_xml("/nonexistent/kernel");
    g_autofree char *no_kernel = kernel_xml("/proc/self/exe");
    visor_domain *dom = NULL;

    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_create_xml(conn, bad, 0, &dom, &err));
    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_lookup_by_name(conn, "bad", &dom, &err));
    FAILS(VISOR_ERR_IMAGE,
          visor_domain_create_xml(conn, no_kernel, 0, &dom, &err));
    OK(visor_domain_define_xml(conn, bad, 0, &dom, &err));
    FAILS(VISOR_ERR_NOT_FOUND, visor_domain_start(dom, 0, &err));
    assert_int_equal(state_of(dom), VISOR_STATE_SHUTOFF);
    assert_int_equal(reason_of(dom), VISOR_REASON_FAILED);
    visor_domain_unref(dom);
}

static uint32_t count(visor_connection *conn, uint32_t flags)
{
    visor_domain **list = NULL;
    int n = visor_domain_list(conn, flags, &list, NULL);

    assert_true(n >= 0 && list[n] == NULL);
    for (int i = 1; i < n; i++)
        assert_true(strcmp(visor_domain_get_name(list[i - 1]),
                           visor_domain_get_name(list[i])) < 0);
    visor_domain_list_free(list);
    return (uint32_t)n;
}

static void lists_are_filtered_and_sorted(void **state)
{
    visor_connection *conn = *state;
    visor_domain *off = define(conn, "off", "h");
    visor_domain *run = define(conn, "run", "h");
    visor_domain *paused = define(conn, "paused", "h");
    g_autofree char *xml = domain_xml("extra", NULL, "h", "null", NULL);
    visor_domain *extra = NULL;
    bool on = false;

    OK(visor_domain_start(run, 0, &err));
    OK(visor_domain_start(paused, VISOR_START_PAUSED, &err));
    OK(visor_domain_create_xml(conn, xml, 0, &extra, &err));
    OK(visor_domain_set_autostart(off, true, &err));
    OK(visor_domain_get_autostart(off, &on, &err));
    assert_true(on);
    assert_int_equal(count(conn, 0), 4);
    assert_int_equal(count(conn, VISOR_LIST_ACTIVE), 3);
    assert_int_equal(count(conn, VISOR_LIST_INACTIVE), 1);
    assert_int_equal(count(conn, VISOR_LIST_ACTIVE | VISOR_LIST_INACTIVE), 4);
    assert_int_equal(count(conn, VISOR_LIST_TRANSIENT), 1);
    assert_int_equal(count(conn, VISOR_LIST_PERSISTENT | VISOR_LIST_ACTIVE), 2);
    assert_int_equal(count(conn, VISOR_LIST_RUNNING), 2);
    assert_int_equal(count(conn, VISOR_LIST_PAUSED), 1);
    assert_int_equal(count(conn, VISOR_LIST_PAUSED | VISOR_LIST_RUNNING), 3);
    assert_int_equal(count(conn, VISOR_LIST_AUTOSTART), 1);
    OK(visor_connection_autostart(conn, &err));
    assert_int_equal(state_of(off), VISOR_STATE_RUNNING);
    assert_int_equal(visor_connection_autostart(conn, NULL), 0);
    visor_domain_unref(off);
    visor_domain_unref(run);
    visor_domain_unref(paused);
    visor_domain_unref(extra);
}

static void domains_are_found_by_id(void **state)
{
    visor_domain *dom = define(*state, "id", "h");
    visor_domain *found = NULL;
    int id;

    OK(visor_domain_start(dom, 0, &err));
    id = visor_domain_get_id(dom);
    OK(visor_domain_lookup_by_id(*state, id, &found, &err));
    assert_string_equal(visor_domain_get_name(found), "id");
    visor_domain_unref(found);
    OK(visor_domain_destroy(dom, 0, &err));
    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_lookup_by_id(*state, id, &found, &err));
    visor_domain_unref(dom);
}

static void metadata_changes_definition_and_running_domain(void **state)
{
    visor_domain *dom = define(*state, "meta", "h");
    const char *uri = "http://example.org/x";
    char *text = NULL;

    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_get_metadata(dom, VISOR_METADATA_TITLE, NULL, &text,
                                    &err));
    OK(visor_domain_set_metadata(dom, VISOR_METADATA_TITLE, "A title", NULL,
                                 NULL, &err));
    OK(visor_domain_start(dom, 0, &err));
    OK(visor_domain_set_metadata(dom, VISOR_METADATA_DESCRIPTION, "Two\nlines",
                                 NULL, NULL, &err));
    OK(visor_domain_set_metadata(dom, VISOR_METADATA_ELEMENT, "<a b=\"1\"/>",
                                 "x", uri, &err));
    OK(visor_domain_get_metadata(dom, VISOR_METADATA_DESCRIPTION, NULL, &text,
                                 &err));
    assert_string_equal(text, "Two\nlines");
    visor_free(text);
    OK(visor_domain_destroy(dom, 0, &err));
    OK(visor_domain_get_metadata(dom, VISOR_METADATA_ELEMENT, uri, &text,
                                 &err));
    assert_string_equal(text, "<a b=\"1\"/>");
    visor_free(text);
    OK(visor_domain_set_metadata(dom, VISOR_METADATA_ELEMENT, NULL, NULL, uri,
                                 &err));
    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_get_metadata(dom, VISOR_METADATA_ELEMENT, uri, &text,
                                    &err));
    FAILS(VISOR_ERR_XML, visor_domain_set_metadata(dom, VISOR_METADATA_ELEMENT,
                                                   "<a", "x", uri, &err));
    visor_domain_unref(dom);
}

/* --- output and input -------------------------------------------------------- */

typedef struct {
    GMutex lock;
    GCond more;
    GString *text;
} sink;

static void on_output(visor_domain *dom, uint32_t port, const void *data,
                      size_t len, void *opaque)
{
    sink *s = opaque;

    assert_string_equal(visor_domain_get_name(dom), "talk");
    assert_int_equal(port, 0);
    g_mutex_lock(&s->lock);
    g_string_append_len(s->text, data, (gssize)len);
    g_cond_signal(&s->more);
    g_mutex_unlock(&s->lock);
}

static void expect_text(sink *s, const char *want)
{
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;

    g_mutex_lock(&s->lock);
    while (strstr(s->text->str, want) == NULL)
        if (!g_cond_wait_until(&s->more, &s->lock, end)) {
            print_error("'%s' did not come; '%s'\n", want, s->text->str);
            break;
        }
    assert_non_null(strstr(s->text->str, want));
    g_mutex_unlock(&s->lock);
}

static void a_program_reads_and_types(void **state)
{
    visor_connection *conn = *state;
    g_autofree char *xml = domain_xml("talk", NULL, "e", "stdio", NULL);
    visor_domain *dom = NULL;
    sink s = { .text = g_string_new(NULL) };

    OK(visor_connection_set_output(conn, on_output, &s, &err));
    OK(visor_domain_create_xml(conn, xml, 0, &dom, &err));
    expect_text(&s, "tiny: hello");
    OK(visor_domain_send_input(dom, 0, "xyzzy", 5, &err));
    expect_text(&s, "xyzzy");
    OK(visor_domain_send_input(dom, 0, "q", 1, &err));
    OK(visor_domain_wait(dom, 1u << VISOR_STATE_SHUTOFF, 60000, &err));
    visor_domain_unref(dom);
    OK(visor_connection_set_output(conn, NULL, NULL, &err));
    g_string_free(s.text, TRUE);
}

static void without_a_callback_stdio_is_refused(void **state)
{
    g_autofree char *xml = domain_xml("talk", NULL, "e", "stdio", NULL);
    visor_domain *dom = NULL;
    visor_error *err = NULL;

    assert_true(visor_domain_create_xml(*state, xml, 0, &dom, &err) < 0);
    assert_non_null(err);
    visor_error_free(err);
}

static void a_console_replays_and_types(void **state)
{
    visor_domain *dom = define(*state, "cons", "e");
    visor_stream *stream = NULL, *second = NULL;
    GString *got = g_string_new(NULL);
    char buffer[256];

    OK(visor_domain_start(dom, 0, &err));
    OK(visor_domain_open_console(dom, 0, VISOR_CONSOLE_REPLAY, &stream, &err));
    FAILS(VISOR_ERR_BUSY, visor_domain_open_console(dom, 0, 0, &second, &err));
    assert_int_equal(visor_stream_write(stream, "abcq", 4, 60000, NULL), 4);
    for (;;) {
        int64_t n =
            visor_stream_read(stream, buffer, sizeof(buffer), 60000, NULL);

        assert_true(n >= 0);
        if (n == 0)
            break;
        g_string_append_len(got, buffer, n);
    }
    assert_non_null(strstr(got->str, "tiny: hello"));
    assert_non_null(strstr(got->str, "abc"));
    wait_for(dom, VISOR_STATE_SHUTOFF);
    visor_stream_free(stream);
    g_string_free(got, TRUE);
    visor_domain_unref(dom);
}

static void statistics_count(void **state)
{
    visor_domain *dom = define(*state, "stat", "s");
    visor_stat *stats = NULL;
    bool has_time = false;
    int n;

    FAILS(VISOR_ERR_STATE, visor_domain_get_stats(dom, &stats, &err));
    OK(visor_domain_start(dom, 0, &err));
    g_usleep(50000);
    n = visor_domain_get_stats(dom, &stats, NULL);
    assert_true(n > 0);
    for (int i = 0; i < n; i++)
        has_time |=
            strcmp(stats[i].name, "cpu.time") == 0 && stats[i].value > 1000000;
    assert_true(has_time);
    visor_free(stats);
    visor_domain_unref(dom);
}

/* --- waiting ------------------------------------------------------------------- */

static void a_wait_ends_in_time(void **state)
{
    visor_domain *dom = define(*state, "wait", "h");
    gint64 before = g_get_monotonic_time();

    FAILS(VISOR_ERR_TIMEOUT,
          visor_domain_wait(dom, 1u << VISOR_STATE_RUNNING, 40, &err));
    assert_true(g_get_monotonic_time() - before >= 39000);
    FAILS(VISOR_ERR_TIMEOUT,
          visor_domain_wait(dom, 1u << VISOR_STATE_RUNNING, 0, &err));
    OK(visor_domain_wait(dom, 1u << VISOR_STATE_SHUTOFF, 0, &err));
    visor_domain_unref(dom);
}

static void *cancel_soon(void *opaque)
{
    g_usleep(30000);
    visor_domain_cancel_wait(opaque);
    return NULL;
}

static void a_wait_can_be_cancelled(void **state)
{
    visor_domain *dom = define(*state, "wait", "h");
    GThread *thread = g_thread_new("cancel", cancel_soon, dom);

    FAILS(VISOR_ERR_CANCELLED,
          visor_domain_wait(dom, 1u << VISOR_STATE_RUNNING, -1, &err));
    g_thread_join(thread);
    FAILS(VISOR_ERR_TIMEOUT,
          visor_domain_wait(dom, 1u << VISOR_STATE_RUNNING, 1, &err));
    visor_domain_unref(dom);
}

static void *undefine_soon(void *opaque)
{
    g_usleep(30000);
    OK(visor_domain_undefine(opaque, 0, &err));
    return NULL;
}

static void a_wait_for_a_domain_that_goes_ends(void **state)
{
    visor_domain *dom = define(*state, "gone", "h");
    GThread *thread = g_thread_new("undefine", undefine_soon, dom);

    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_wait(dom, 1u << VISOR_STATE_RUNNING, 60000, &err));
    g_thread_join(thread);
    OK(visor_domain_wait(dom, 1u << VISOR_STATE_SHUTOFF, 0, &err));
    visor_domain_unref(dom);
}

/* --- threads --------------------------------------------------------------------- */

static void *live_and_die(void *opaque)
{
    visor_connection *conn = opaque;
    g_autofree char *name = g_strdup_printf("t%p", (void *)g_thread_self());

    for (int i = 0; i < 5; i++) {
        visor_domain *dom = define(conn, name, "p");

        OK(visor_domain_start(dom, 0, &err));
        wait_for(dom, VISOR_STATE_SHUTOFF);
        OK(visor_domain_undefine(dom, 0, &err));
        visor_domain_unref(dom);
    }
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    GThread *threads[6];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("life", live_and_die, *state);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    assert_int_equal(count(*state, 0), 0);
}

static void *end_at_once(void *opaque)
{
    visor_connection *conn = opaque;
    g_autofree char *name = g_strdup_printf("t%p", (void *)g_thread_self());
    g_autofree char *xml = domain_xml(name, NULL, "p", "null", NULL);

    for (int i = 0; i < 8; i++) {
        visor_domain *dom = NULL;

        OK(visor_domain_create_xml(conn, xml, 0, &dom, &err));
        wait_for(dom, VISOR_STATE_SHUTOFF);
        visor_domain_unref(dom);
    }
    return NULL;
}

/* On a crowded machine it is off, and freed, before its start has returned. */
static void a_start_outlives_its_guest(void **state)
{
    GThread *threads[8];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("end", end_at_once, *state);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    assert_int_equal(count(*state, 0), 0);
}

static void *start_or_fail(void *opaque)
{
    int rc = visor_domain_start(opaque, 0, NULL);

    assert_true(rc == 0 || rc == VISOR_ERR_STATE);
    return GINT_TO_POINTER(rc == 0);
}

static void only_one_of_many_starts_succeeds(void **state)
{
    visor_domain *dom = define(*state, "race", "h");
    GThread *threads[8];
    int started = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("start", start_or_fail, dom);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        started += GPOINTER_TO_INT(g_thread_join(threads[i]));
    assert_int_equal(started, 1);
    visor_domain_unref(dom);
}

static void closing_ends_what_runs(void **state)
{
    visor_connection *conn = open_embed();
    visor_domain *dom = define(conn, "left", "s");

    OK(visor_domain_start(dom, 0, &err));
    visor_connection_unref(conn); /* the domain still holds it */
    assert_int_equal(state_of(dom), VISOR_STATE_RUNNING);
    visor_domain_unref(dom);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_definition_comes_back_as_it_was_shown),
        TEST(names_and_uuids_are_unique),
        TEST(another_engines_domain_is_refused),
        TEST(a_domain_lives_and_can_live_again),
        TEST(a_guest_that_powers_off_says_so),
        TEST(the_power_button_shuts_down),
        TEST(a_triple_fault_has_a_reason),
        TEST(a_transient_domain_is_forgotten),
        TEST(undefining_a_running_domain_makes_it_transient),
        TEST(a_start_that_fails_leaves_nothing),
        TEST(lists_are_filtered_and_sorted),
        TEST(domains_are_found_by_id),
        TEST(metadata_changes_definition_and_running_domain),
        TEST(a_program_reads_and_types),
        TEST(without_a_callback_stdio_is_refused),
        TEST(a_console_replays_and_types),
        TEST(statistics_count),
        TEST(a_wait_ends_in_time),
        TEST(a_wait_can_be_cancelled),
        TEST(a_wait_for_a_domain_that_goes_ends),
        TEST(threads_do_not_disturb_each_other),
        TEST(a_start_outlives_its_guest),
        TEST(only_one_of_many_starts_succeeds),
        TEST(closing_ends_what_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
