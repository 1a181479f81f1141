/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_server.c: server and client together, and clients that misbehave. */
#include "rpc/server.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/error.h"
#include "base/fd.h"
#include "rpc/client.h"
#include "tests/support/cm.h"

#define MS INT64_C(1000000)

typedef struct {
    char *folder;
    int folder_fd;
    vsr_loop *loop;
    vsr_rpc_server *server;
} fixture;

static vsr_json *method_add(void *opaque, vsr_rpc_peer *peer,
                            const vsr_json *params, int *fd_out, GError **error)
{
    vsr_json *result;
    int64_t a = 0, b = 0;

    if (!vsr_json_get_int(params, "a", 0, 100, &a) ||
        !vsr_json_get_int(params, "b", 0, 100, &b)) {
        (void)vsr_fail(error, VISOR_ERR_ARG, "a and b are needed");
        return NULL;
    }
    result = vsr_json_new_object();
    vsr_json_set_int(result, "sum", a + b);
    return result;
}

static vsr_json *method_open(void *opaque, vsr_rpc_peer *peer,
                             const vsr_json *params, int *fd_out,
                             GError **error)
{
    *fd_out = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    return vsr_json_new_object();
}

static vsr_json *method_subscribe(void *opaque, vsr_rpc_peer *peer,
                                  const vsr_json *params, int *fd_out,
                                  GError **error)
{
    vsr_rpc_peer_subscribe(peer);
    return vsr_json_new_object();
}

static vsr_json *method_big(void *opaque, vsr_rpc_peer *peer,
                            const vsr_json *params, int *fd_out, GError **error)
{
    vsr_json *result = vsr_json_new_object();
    g_autofree char *text = g_strnfill(900000, 'x');

    vsr_json_set_string(result, "text", text);
    return result;
}

static const vsr_rpc_method methods[] = {
    { "add", method_add },
    { "open", method_open },
    { "subscribe", method_subscribe },
    { "big", method_big },
    { NULL, NULL },
};

/* A folder with a path that no sun_path could hold. */
static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);
    g_autofree char *top = g_dir_make_tmp("vsr-rpc-XXXXXX", NULL);
    g_autofree char *deep = g_strnfill(200, 'd');
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    f->folder = g_build_filename(top, deep, NULL);
    assert_int_equal(g_mkdir(f->folder, 0700), 0);
    f->folder_fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/s",
               f->folder_fd);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    f->loop = vsr_loop_new("test", NULL);
    f->server = vsr_rpc_server_new(f->loop, fd, methods, f, NULL);
    assert_non_null(f->server);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    g_autofree char *top = g_path_get_dirname(f->folder);
    g_autofree char *socket_path = g_build_filename(f->folder, "s", NULL);

    vsr_rpc_server_free(f->server);
    vsr_loop_free(f->loop);
    vsr_close(f->folder_fd);
    (void)g_unlink(socket_path);
    (void)g_rmdir(f->folder);
    (void)g_rmdir(top);
    g_free(f->folder);
    g_free(f);
    return 0;
}

static int64_t soon(void)
{
    return vsr_now_ns() + 60000 * MS;
}

static vsr_rpc_client *client_new(fixture *f)
{
    int fd = vsr_rpc_connect(f->folder_fd, "s", soon(), NULL);

    assert_true(fd >= 0);
    return vsr_rpc_client_new(fd);
}

static vsr_json *add(vsr_rpc_client *client, int64_t a, GError **error)
{
    vsr_json *params = vsr_json_new_object();

    vsr_json_set_int(params, "a", a);
    vsr_json_set_int(params, "b", 1);
    return vsr_rpc_call(client, "add", params, NULL, 0, NULL, soon(), error);
}

static void a_call_gets_its_result(void **state)
{
    g_autoptr(vsr_rpc_client) client = client_new(*state);

    for (int64_t i = 0; i < 20; i++) {
        g_autoptr(vsr_json) result = add(client, i, NULL);
        int64_t sum = 0;

        assert_true(vsr_json_get_int(result, "sum", 0, 100, &sum));
        assert_int_equal(sum, i + 1);
    }
}

static void an_error_keeps_its_code_and_text(void **state)
{
    g_autoptr(vsr_rpc_client) client = client_new(*state);
    g_autoptr(GError) error = NULL;

    assert_null(add(client, 1000, &error));
    assert_int_equal(error->code, VISOR_ERR_ARG);
    assert_string_equal(error->message, "a and b are needed");
    g_clear_error(&error);
    assert_null(
        vsr_rpc_call(client, "nope", NULL, NULL, 0, NULL, soon(), &error));
    assert_int_equal(error->code, VISOR_ERR_NO_SUPPORT);
}

static void a_descriptor_comes_with_the_answer(void **state)
{
    g_autoptr(vsr_rpc_client) client = client_new(*state);
    vsr_autofd fd = -1;
    g_autoptr(vsr_json) result =
        vsr_rpc_call(client, "open", NULL, NULL, 0, &fd, soon(), NULL);
    char byte = 1;

    assert_non_null(result);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 0);
}

static void subscribers_hear_of_events_and_still_get_answers(void **state)
{
    fixture *f = *state;
    g_autoptr(vsr_rpc_client) client = client_new(f);
    g_autoptr(vsr_json) done =
        vsr_rpc_call(client, "subscribe", NULL, NULL, 0, NULL, soon(), NULL);
    g_autoptr(vsr_json) result = NULL;
    vsr_frame_reader reader;
    vsr_message m = { 0 };
    int64_t n = 0;

    assert_non_null(done);
    for (int64_t i = 0; i < 3; i++) {
        vsr_json *event = vsr_json_new_object();

        vsr_json_set_int(event, "n", i);
        vsr_rpc_server_broadcast(f->server, event);
    }
    result = add(client, 1, NULL); /* skips them */
    assert_non_null(result);
    vsr_rpc_server_broadcast(f->server, vsr_json_new_object());
    {
        vsr_json *event = vsr_json_new_object();

        vsr_json_set_int(event, "n", 7);
        vsr_rpc_server_broadcast(f->server, event);
    }
    vsr_frame_reader_init(&reader, 0);
    while (n != 7) {
        assert_true(vsr_message_recv(&reader, vsr_rpc_client_fd(client), soon(),
                                     &m, NULL));
        (void)vsr_json_get_int(m.json, "n", 0, 9, &n);
        vsr_message_clear(&m);
    }
    vsr_frame_reader_fini(&reader);
}

static void expect_hang_up(fixture *f, const char *bytes, size_t len)
{
    vsr_autofd fd = vsr_rpc_connect(f->folder_fd, "s", soon(), NULL);
    g_autoptr(vsr_rpc_client) other = NULL;
    g_autoptr(vsr_json) result = NULL;
    char byte;

    assert_true(fd >= 0);
    assert_int_equal(vsr_write_all(fd, bytes, len), 0);
    assert_int_equal(vsr_wait_fd(fd, 1 /* POLLIN */, soon()), 1);
    assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0);
    other = client_new(f);
    result = add(other, 1, NULL);
    assert_non_null(result);
}

static void a_client_that_breaks_the_protocol_is_dropped_alone(void **state)
{
    expect_hang_up(*state, "\xff\xff\xff\xff", 4);
    expect_hang_up(*state, "\2\0\0\0[]", 6);
    expect_hang_up(*state, "\2\0\0\0{}", 6);
    expect_hang_up(*state, "\3\0\0\0{{{", 7);
    expect_hang_up(*state, "\x15\0\0\0{\"id\":-1,\"method\":\"\"}", 25);
}

static void a_client_that_sends_descriptors_is_dropped(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = vsr_rpc_connect(f->folder_fd, "s", soon(), NULL);
    char byte;

    assert_true(vsr_frame_send(fd, "{}", 2, &fd, 1, soon(), NULL));
    assert_int_equal(vsr_wait_fd(fd, 1, soon()), 1);
    assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0);
}

static void a_client_that_does_not_read_does_not_stop_others(void **state)
{
    fixture *f = *state;
    vsr_autofd fd = vsr_rpc_connect(f->folder_fd, "s", soon(), NULL);
    g_autoptr(vsr_rpc_client) other = NULL;
    g_autoptr(vsr_json) result = NULL;
    g_autoptr(vsr_json) call = vsr_message_call(1, "big", NULL, 0);

    /* More than the queue for one client holds: it is dropped in the end. */
    for (int i = 0; i < 16; i++)
        if (!vsr_message_send(fd, call, NULL, 0, soon(), NULL))
            break;
    other = client_new(f);
    result = add(other, 1, NULL);
    assert_non_null(result);
}

static void too_many_clients_are_refused_and_leave_room_again(void **state)
{
    fixture *f = *state;
    vsr_rpc_client *clients[VSR_RPC_CLIENTS];
    g_autoptr(GError) error = NULL;
    vsr_rpc_client *late;
    vsr_json *result;

    for (int i = 0; i < VSR_RPC_CLIENTS; i++) {
        clients[i] = client_new(f);
        result = add(clients[i], 1, NULL);
        assert_non_null(result);
        vsr_json_free(result);
    }
    late = client_new(f);
    assert_null(add(late, 1, &error));
    assert_int_equal(error->code, VISOR_ERR_CRASHED);
    vsr_rpc_client_free(late);
    for (int i = 0; i < VSR_RPC_CLIENTS; i++)
        vsr_rpc_client_free(clients[i]);
    for (int i = 0; i < 6000; i++) {
        late = client_new(f);
        result = add(late, 1, NULL);
        vsr_rpc_client_free(late);
        if (result != NULL)
            break;
        g_usleep(10000);
    }
    assert_non_null(result);
    vsr_json_free(result);
}

static void nobody_at_the_socket_is_said_at_once(void **state)
{
    fixture *f = *state;
    g_autofree char *path = g_build_filename(f->folder, "dead", NULL);
    vsr_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_autoptr(GError) error = NULL;

    assert_int_equal(vsr_rpc_connect(f->folder_fd, "none", soon(), &error), -1);
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
    g_clear_error(&error);
    g_snprintf(address.sun_path, sizeof(address.sun_path),
               "/proc/self/fd/%d/dead", f->folder_fd);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(vsr_rpc_connect(f->folder_fd, "dead", soon(), &error), -1);
    assert_int_equal(error->code, VISOR_ERR_CRASHED);
    (void)g_unlink(path);
}

static void a_server_that_does_not_accept_times_out(void **state)
{
    fixture *f = *state;
    g_autofree char *path = g_build_filename(f->folder, "slow", NULL);
    vsr_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_autoptr(GError) error = NULL;
    int taken[8], rc = 0;

    g_snprintf(address.sun_path, sizeof(address.sun_path),
               "/proc/self/fd/%d/slow", f->folder_fd);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    for (int i = 0; i < 8; i++) {
        taken[i] = vsr_rpc_connect(f->folder_fd, "slow", vsr_now_ns() + 20 * MS,
                                   &error);
        if (taken[i] < 0 && rc == 0)
            rc = error->code;
        g_clear_error(&error);
    }
    for (int i = 0; i < 8; i++)
        vsr_close(taken[i]);
    (void)g_unlink(path);
    assert_int_equal(rc, VISOR_ERR_TIMEOUT);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_call_gets_its_result),
        TEST(an_error_keeps_its_code_and_text),
        TEST(a_descriptor_comes_with_the_answer),
        TEST(subscribers_hear_of_events_and_still_get_answers),
        TEST(a_client_that_breaks_the_protocol_is_dropped_alone),
        TEST(a_client_that_sends_descriptors_is_dropped),
        TEST(a_client_that_does_not_read_does_not_stop_others),
        TEST(too_many_clients_are_refused_and_leave_room_again),
        TEST(nobody_at_the_socket_is_said_at_once),
        TEST(a_server_that_does_not_accept_times_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
