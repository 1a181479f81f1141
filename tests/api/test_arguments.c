/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_arguments.c: no public call crashes for what it is given. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "tests/api/support.h"
#include "tests/support/cm.h"

#define ARG VISOR_ERR_ARG

typedef struct {
    visor_connection *conn;
    visor_domain *dom;
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->conn = open_uri("emu:///embed");
    f->dom = define(f->conn, "t", "h");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    visor_domain_unref(f->dom);
    visor_connection_unref(f->conn);
    g_free(f);
    return 0;
}

static void null_objects_are_refused(void **state)
{
    visor_domain_info info = { .size = sizeof(info) };
    visor_host_info host = { .size = sizeof(host) };
    visor_domain *dom = NULL;
    visor_domain **list = NULL;
    visor_stream *stream = NULL;
    visor_stat *stats = NULL;
    char *text = NULL, byte = 0;
    bool on;
    int n;

    FAILS(ARG, visor_connection_set_timeout(NULL, 1, &err));
    FAILS(ARG, visor_connection_get_capabilities(NULL, 0, &text, &err));
    FAILS(ARG, visor_connection_dispatch(NULL, 0, &err));
    FAILS(ARG, visor_connection_attach(NULL, NULL, &err));
    FAILS(ARG, visor_connection_set_output(NULL, NULL, NULL, &err));
    FAILS(ARG, visor_connection_set_stdio(NULL, -1, -1, &err));
    FAILS(ARG, visor_connection_autostart(NULL, &err));
    FAILS(ARG, visor_domain_define_xml(NULL, "<domain/>", 0, &dom, &err));
    FAILS(ARG, visor_domain_create_xml(NULL, "<domain/>", 0, &dom, &err));
    FAILS(ARG, visor_domain_lookup_by_name(NULL, "t", &dom, &err));
    FAILS(ARG, visor_domain_lookup_by_uuid(NULL, "t", &dom, &err));
    FAILS(ARG, visor_domain_lookup_by_id(NULL, 1, &dom, &err));
    FAILS(ARG, visor_domain_list(NULL, 0, &list, &err));
    FAILS(ARG, visor_event_subscribe(NULL, NULL, 0, NULL, NULL, NULL, &err));
    FAILS(ARG, visor_event_unsubscribe(NULL, 1, &err));
    FAILS(ARG, visor_host_get_info(NULL, &host, &err));
    FAILS(ARG, visor_host_check(NULL, &err));
    FAILS(ARG, visor_domain_undefine(NULL, 0, &err));
    FAILS(ARG, visor_domain_start(NULL, 0, &err));
    FAILS(ARG, visor_domain_shutdown(NULL, 0, &err));
    FAILS(ARG, visor_domain_reboot(NULL, 0, &err));
    FAILS(ARG, visor_domain_reset(NULL, 0, &err));
    FAILS(ARG, visor_domain_destroy(NULL, 0, &err));
    FAILS(ARG, visor_domain_suspend(NULL, &err));
    FAILS(ARG, visor_domain_attach_device(NULL, "<disk/>", 0, &err));
    FAILS(ARG, visor_domain_detach_device(NULL, "<disk/>", 0, &err));
    FAILS(ARG, visor_domain_update_device(NULL, "<disk/>", 0, &err));
    FAILS(ARG, visor_domain_set_vcpus(NULL, 1, 0, &err));
    FAILS(ARG, visor_domain_set_memory(NULL, 1024, 0, &err));
    FAILS(ARG, visor_domain_resize_disk(NULL, "vda", 512, 0, &err));
    FAILS(ARG, visor_domain_resume(NULL, &err));
    FAILS(ARG, visor_domain_get_state(NULL, &n, &n, &err));
    FAILS(ARG, visor_domain_wait(NULL, 1, 0, &err));
    FAILS(ARG, visor_domain_get_info(NULL, &info, &err));
    FAILS(ARG, visor_domain_get_xml(NULL, 0, &text, &err));
    FAILS(ARG, visor_domain_set_autostart(NULL, true, &err));
    FAILS(ARG, visor_domain_get_autostart(NULL, &on, &err));
    FAILS(ARG, visor_domain_set_metadata(NULL, 0, "x", NULL, NULL, &err));
    FAILS(ARG, visor_domain_get_metadata(NULL, 0, NULL, &text, &err));
    FAILS(ARG, visor_domain_get_stats(NULL, &stats, &err));
    FAILS(ARG, visor_domain_open_console(NULL, 0, 0, &stream, &err));
    FAILS(ARG, visor_domain_send_input(NULL, 0, "x", 1, &err));
    FAILS(ARG, (int)visor_stream_read(NULL, &byte, 1, 0, &err));
    FAILS(ARG, (int)visor_stream_write(NULL, &byte, 1, 0, &err));
}

static void getters_take_null(void **state)
{
    assert_int_equal(visor_error_get_code(NULL), VISOR_OK);
    assert_string_equal(visor_error_get_message(NULL), "");
    assert_null(visor_connection_get_uri(NULL));
    assert_null(visor_connection_get_engine(NULL));
    assert_null(visor_connection_ref(NULL));
    assert_int_equal(visor_connection_get_fd(NULL), ARG);
    assert_null(visor_domain_get_name(NULL));
    assert_null(visor_domain_get_uuid(NULL));
    assert_null(visor_domain_get_connection(NULL));
    assert_null(visor_domain_ref(NULL));
    assert_int_equal(visor_domain_get_id(NULL), -1);
    assert_int_equal(visor_stream_get_fd(NULL), ARG);
    visor_error_free(NULL);
    visor_connection_unref(NULL);
    visor_connection_detach(NULL);
    visor_domain_unref(NULL);
    visor_domain_list_free(NULL);
    visor_domain_cancel_wait(NULL);
    visor_stream_free(NULL);
    visor_free(NULL);
    visor_set_log(NULL, NULL);
}

static void missing_outputs_are_refused(void **state)
{
    fixture *f = *state;

    FAILS(ARG, visor_connection_open("emu:///embed", 0, NULL, &err));
    FAILS(ARG, visor_connection_get_capabilities(f->conn, 0, NULL, &err));
    FAILS(ARG, visor_domain_define_xml(f->conn, "<domain/>", 0, NULL, &err));
    FAILS(ARG, visor_domain_create_xml(f->conn, "<domain/>", 0, NULL, &err));
    FAILS(ARG, visor_domain_lookup_by_name(f->conn, "t", NULL, &err));
    FAILS(ARG, visor_domain_lookup_by_uuid(f->conn, "t", NULL, &err));
    FAILS(ARG, visor_domain_lookup_by_id(f->conn, 1, NULL, &err));
    FAILS(ARG, visor_domain_list(f->conn, 0, NULL, &err));
    FAILS(ARG, visor_host_get_info(f->conn, NULL, &err));
    FAILS(ARG, visor_domain_get_info(f->dom, NULL, &err));
    FAILS(ARG, visor_domain_get_xml(f->dom, 0, NULL, &err));
    FAILS(ARG, visor_domain_get_autostart(f->dom, NULL, &err));
    FAILS(ARG, visor_domain_get_metadata(f->dom, 0, NULL, NULL, &err));
    FAILS(ARG, visor_domain_get_stats(f->dom, NULL, &err));
    FAILS(ARG, visor_domain_open_console(f->dom, 0, 0, NULL, &err));
    FAILS(ARG, visor_event_subscribe(f->conn, NULL, 0, NULL, NULL, NULL, &err));
    OK(visor_domain_get_state(f->dom, NULL, NULL, &err));
}

static void no_event(visor_connection *conn, const visor_event *event,
                     void *opaque)
{
}

static void unknown_flags_are_refused(void **state)
{
    fixture *f = *state;
    visor_connection *conn = NULL;
    visor_domain *dom = NULL;
    visor_domain **list = NULL;
    visor_stream *stream = NULL;
    char *text = NULL;

    FAILS(ARG, visor_connection_open("emu:///embed", 2, &conn, &err));
    FAILS(ARG, visor_connection_get_capabilities(f->conn, 1, &text, &err));
    FAILS(ARG, visor_domain_define_xml(f->conn, "<a/>", 2, &dom, &err));
    FAILS(ARG, visor_domain_create_xml(f->conn, "<a/>", 2, &dom, &err));
    FAILS(ARG, visor_domain_undefine(f->dom, 1, &err));
    FAILS(ARG, visor_domain_list(f->conn, 1u << 7, &list, &err));
    FAILS(ARG, visor_domain_start(f->dom, 1u << 31, &err));
    FAILS(ARG, visor_domain_shutdown(f->dom, 1, &err));
    FAILS(ARG, visor_domain_reboot(f->dom, 1, &err));
    FAILS(ARG, visor_domain_reset(f->dom, 1, &err));
    FAILS(ARG, visor_domain_destroy(f->dom, 1, &err));
    FAILS(ARG, visor_domain_get_xml(f->dom, 2, &text, &err));
    FAILS(ARG, visor_domain_open_console(f->dom, 0, 4, &stream, &err));
    FAILS(ARG, visor_event_subscribe(f->conn, NULL, 1u << 4, no_event, NULL,
                                     NULL, &err));
}

static void values_out_of_range_are_refused(void **state)
{
    fixture *f = *state;
    visor_domain_info info = { .size = 0 };
    visor_host_info host = { .size = SIZE_MAX };
    visor_domain *dom = NULL;
    g_autofree char *huge = g_strnfill((5 << 20), ' ');
    char *text = NULL;

    FAILS(ARG, visor_connection_set_timeout(f->conn, 0, &err));
    FAILS(ARG, visor_connection_set_timeout(f->conn, UINT32_MAX, &err));
    FAILS(ARG, visor_connection_dispatch(f->conn, -2, &err));
    FAILS(ARG, visor_connection_set_stdio(f->conn, 9999, -1, &err));
    FAILS(ARG, visor_connection_set_stdio(f->conn, -7, -1, &err));
    FAILS(ARG, visor_domain_get_info(f->dom, &info, &err));
    FAILS(ARG, visor_host_get_info(f->conn, &host, &err));
    FAILS(ARG, visor_domain_lookup_by_id(f->conn, 0, &dom, &err));
    FAILS(ARG, visor_domain_lookup_by_id(f->conn, INT_MIN, &dom, &err));
    FAILS(ARG, visor_domain_lookup_by_uuid(f->conn, "xyz", &dom, &err));
    FAILS(ARG, visor_domain_lookup_by_uuid(f->conn, NULL, &dom, &err));
    FAILS(ARG, visor_domain_lookup_by_name(f->conn, NULL, &dom, &err));
    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_lookup_by_name(f->conn, huge, &dom, &err));
    FAILS(ARG, visor_domain_define_xml(f->conn, NULL, 0, &dom, &err));
    FAILS(VISOR_ERR_XML, visor_domain_define_xml(f->conn, huge, 0, &dom, &err));
    FAILS(VISOR_ERR_XML, visor_domain_define_xml(f->conn, "", 0, &dom, &err));
    FAILS(ARG, visor_domain_wait(f->dom, 0, 0, &err));
    FAILS(ARG, visor_domain_wait(f->dom, 1u << 5, 0, &err));
    FAILS(ARG, visor_domain_wait(f->dom, 1, -2, &err));
    FAILS(ARG, visor_domain_set_metadata(f->dom, 3, "x", NULL, NULL, &err));
    FAILS(ARG, visor_domain_set_metadata(f->dom, -1, "x", NULL, NULL, &err));
    FAILS(ARG, visor_domain_set_metadata(f->dom, 2, "<a/>", "k", NULL, &err));
    FAILS(ARG, visor_domain_set_metadata(f->dom, 1, "a\nb", NULL, NULL, &err));
    FAILS(ARG, visor_domain_set_metadata(f->dom, 1, "a", "k", NULL, &err));
    FAILS(ARG, visor_domain_set_metadata(f->dom, 1, "\xff", NULL, NULL, &err));
    FAILS(ARG, visor_domain_get_metadata(f->dom, 2, "", &text, &err));
    FAILS(ARG, visor_domain_send_input(f->dom, 0, NULL, 1, &err));
    FAILS(VISOR_ERR_NOT_FOUND, visor_event_unsubscribe(f->conn, 77, &err));
    FAILS(VISOR_ERR_NOT_FOUND, visor_event_unsubscribe(f->conn, -1, &err));
}

static void bad_uris_are_refused(void **state)
{
    static const struct {
        const char *uri;
        int code;
    } bad[] = {
        { "", ARG },
        { "emu", ARG },
        { "emu://embed", ARG },
        { "emu:///", ARG },
        { "emu:///nowhere", ARG },
        { "emu:///embed/x", ARG },
        { "emu:///embed#x", ARG },
        { "emu:///embed?root=/tmp", ARG },
        { "emu:///session?root=tmp", ARG },
        { "emu:///session?root=%zz", ARG },
        { "emu:///session?root=/tmp%00x", ARG },
        { "emu:///session?colour=blue", ARG },
        { ":///embed", VISOR_ERR_NO_SUPPORT },
        { "nosuch:///embed", VISOR_ERR_NO_SUPPORT },
        { "\x01\n:///embed", VISOR_ERR_NO_SUPPORT },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        visor_connection *conn = NULL;

        FAILS(bad[i].code, visor_connection_open(bad[i].uri, 0, &conn, &err));
        assert_null(conn);
    }
}

static void errors_need_not_be_taken(void **state)
{
    visor_domain *dom = NULL;
    fixture *f = *state;

    assert_int_equal(visor_domain_lookup_by_name(f->conn, "no", &dom, NULL),
                     VISOR_ERR_NOT_FOUND);
    assert_int_equal(visor_domain_start(NULL, 0, NULL), ARG);
}

static void a_read_only_connection_changes_nothing(void **state)
{
    visor_connection *conn = NULL;
    visor_domain *dom = NULL;
    visor_domain **list = NULL;
    g_autofree char *xml = domain_xml("r", NULL, "h", "null", NULL);

    OK(visor_connection_open("emu:///embed", VISOR_OPEN_READ_ONLY, &conn,
                             &err));
    FAILS(VISOR_ERR_READ_ONLY,
          visor_domain_define_xml(conn, xml, 0, &dom, &err));
    FAILS(VISOR_ERR_READ_ONLY,
          visor_domain_create_xml(conn, xml, 0, &dom, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_connection_autostart(conn, &err));
    FAILS(VISOR_ERR_READ_ONLY,
          visor_connection_set_output(conn, NULL, NULL, &err));
    OK(visor_domain_list(conn, 0, &list, &err));
    assert_null(list[0]);
    visor_domain_list_free(list);
    visor_connection_unref(conn);
}

static void read_only_handles_do_not_start_or_stop(void **state)
{
    g_autofree char *root = temp_root();
    g_autofree char *uri = session_uri(root);
    visor_connection *rw = open_uri(uri);
    visor_connection *ro = NULL;
    visor_domain *made = define(rw, "r", "h");
    visor_domain *dom = NULL;
    visor_stream *stream = NULL;

    OK(visor_connection_open(uri, VISOR_OPEN_READ_ONLY, &ro, &err));
    OK(visor_domain_lookup_by_name(ro, "r", &dom, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_start(dom, 0, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_shutdown(dom, 0, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_reboot(dom, 0, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_reset(dom, 0, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_destroy(dom, 0, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_suspend(dom, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_resume(dom, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_undefine(dom, 0, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_set_autostart(dom, true, &err));
    FAILS(VISOR_ERR_READ_ONLY,
          visor_domain_set_metadata(dom, 1, "x", NULL, NULL, &err));
    FAILS(VISOR_ERR_READ_ONLY,
          visor_domain_open_console(dom, 0, 0, &stream, &err));
    FAILS(VISOR_ERR_READ_ONLY, visor_domain_send_input(dom, 0, "x", 1, &err));
    assert_int_equal(state_of(dom), VISOR_STATE_SHUTOFF);
    visor_domain_unref(dom);
    visor_domain_unref(made);
    visor_connection_unref(ro);
    visor_connection_unref(rw);
    remove_tree(root);
}

static void names_are_stable_and_total(void **state)
{
    assert_string_equal(visor_version(), VISOR_VERSION_WANTED);
    assert_string_equal(visor_state_name(VISOR_STATE_RUNNING), "running");
    assert_string_equal(visor_reason_name(VISOR_REASON_EXIT), "exit");
    assert_string_equal(visor_event_kind_name(VISOR_EVENT_REBOOT), "reboot");
    assert_string_equal(
        visor_event_detail_name(VISOR_EVENT_LIFECYCLE, VISOR_LIFECYCLE_STOPPED),
        "stopped");
    assert_string_equal(
        visor_event_detail_name(VISOR_EVENT_JOB, VISOR_JOB_ENDED), "ended");
    assert_string_equal(visor_event_detail_name(VISOR_EVENT_REBOOT, 0), "");
    for (int i = -3; i < 64; i++) {
        assert_non_null(visor_state_name(i));
        assert_non_null(visor_reason_name(i));
        assert_non_null(visor_event_kind_name(i));
        for (int kind = -1; kind < 6; kind++)
            assert_non_null(visor_event_detail_name(kind, i));
        assert_non_null(visor_error_code_name(i));
    }
    assert_string_equal(visor_state_name(INT_MAX), "unknown");
    assert_string_equal(visor_error_code_name(VISOR_ERR_READ_ONLY),
                        "VISOR_ERR_READ_ONLY");
    assert_string_equal(visor_error_code_name(INT_MIN), "VISOR_ERR_UNKNOWN");
}

static void the_host_is_described(void **state)
{
    fixture *f = *state;
    visor_host_info info = { .size = sizeof(info) };
    visor_host_finding *findings = NULL;
    bool has_emu = false;
    char *text = NULL;
    int n;

    OK(visor_host_get_info(f->conn, &info, &err));
    assert_true(info.memory_kib > 0 && info.cpus > 0 && info.sockets > 0 &&
                info.cores > 0 && info.threads > 0 && info.nodes > 0);
    assert_int_not_equal(info.model[0], '\0');
    n = visor_host_check(&findings, NULL);
    assert_true(n > 2);
    for (int i = 0; i < n; i++) {
        assert_non_null(findings[i].detail);
        assert_non_null(findings[i].remedy);
        assert_true(findings[i].what[0] != '\0');
        has_emu |= strcmp(findings[i].engine, "emu") == 0 &&
                   findings[i].result == VISOR_CHECK_PASS;
    }
    assert_true(has_emu);
    visor_free(findings);
    OK(visor_connection_get_capabilities(f->conn, 0, &text, &err));
    assert_non_null(strstr(text, "<capabilities>"));
    assert_non_null(strstr(text, "emu"));
    visor_free(text);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_objects_are_refused),
        cmocka_unit_test(getters_take_null),
        TEST(missing_outputs_are_refused),
        TEST(unknown_flags_are_refused),
        TEST(values_out_of_range_are_refused),
        cmocka_unit_test(bad_uris_are_refused),
        TEST(errors_need_not_be_taken),
        cmocka_unit_test(a_read_only_connection_changes_nothing),
        cmocka_unit_test(read_only_handles_do_not_start_or_stop),
        cmocka_unit_test(names_are_stable_and_total),
        TEST(the_host_is_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
