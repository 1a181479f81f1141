/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rpc/frame.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "rpc/message.h"
#include "tests/support/cm.h"

#define MS INT64_C(1000000)

typedef struct {
    int a, b;
    vsr_frame_reader reader; /* of b */
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    f->a = pair[0];
    f->b = pair[1];
    vsr_frame_reader_init(&f->reader, 4);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_close(f->a);
    vsr_close(f->b);
    vsr_frame_reader_fini(&f->reader);
    g_free(f);
    return 0;
}

static int64_t soon(void)
{
    return vsr_now_ns() + 60000 * MS;
}

static uint32_t open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint32_t n = 0;

    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void frames_arrive_whole_and_in_order(void **state)
{
    fixture *f = *state;
    const char *body = NULL;
    size_t len = 0;

    assert_true(vsr_frame_send(f->a, "one", 3, NULL, 0, soon(), NULL));
    assert_true(vsr_frame_send(f->a, "", 0, NULL, 0, soon(), NULL));
    assert_true(vsr_frame_send(f->a, "three", 5, NULL, 0, soon(), NULL));
    assert_true(vsr_frame_recv(&f->reader, f->b, soon(), &body, &len, NULL));
    assert_int_equal(len, 3);
    assert_memory_equal(body, "one", 3);
    assert_true(vsr_frame_recv(&f->reader, f->b, soon(), &body, &len, NULL));
    assert_int_equal(len, 0);
    assert_true(vsr_frame_recv(&f->reader, f->b, soon(), &body, &len, NULL));
    assert_memory_equal(body, "three", 5);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
    fixture *f = *state;
    const char bytes[] = { 3, 0, 0, 0, 'a', 'b', 'c', 1, 0, 0, 0, 'd' };
    const char *body = NULL;
    size_t len = 0;
    int frames = 0;

    for (size_t i = 0; i < sizeof(bytes); i++) {
        assert_int_equal(vsr_frame_reader_feed(&f->reader, &bytes[i], 1), 0);
        frames += vsr_frame_reader_next(&f->reader, &body, &len);
        assert_int_equal(frames, i < 6 ? 0 : i < 11 ? 1 : 2);
    }
    assert_memory_equal(body, "d", 1);
}

static void *send_big(void *opaque)
{
    fixture *f = opaque;
    g_autofree char *big = g_malloc(VSR_FRAME_MAX);
    bool ok;

    memset(big, 'x', VSR_FRAME_MAX);
    ok = vsr_frame_send(f->a, big, VSR_FRAME_MAX, NULL, 0, soon(), NULL);
    return GINT_TO_POINTER(ok);
}

static void the_longest_frame_passes(void **state)
{
    fixture *f = *state;
    GThread *thread = g_thread_new("sender", send_big, f);
    const char *body = NULL;
    size_t len = 0;

    assert_true(vsr_frame_recv(&f->reader, f->b, soon(), &body, &len, NULL));
    assert_int_equal(len, VSR_FRAME_MAX);
    assert_int_equal(body[VSR_FRAME_MAX - 1], 'x');
    assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
}

static void a_length_beyond_the_limit_is_refused(void **state)
{
    fixture *f = *state;
    guint32 head = GUINT32_TO_LE(VSR_FRAME_MAX + 1);
    g_autoptr(GError) error = NULL;
    g_autofree char *big = g_malloc0(VSR_FRAME_MAX + 1);
    const char *body = NULL;
    size_t len = 0;

    assert_false(
        vsr_frame_send(f->a, big, VSR_FRAME_MAX + 1, NULL, 0, soon(), &error));
    assert_int_equal(error->code, VISOR_ERR_RESOURCE);
    g_clear_error(&error);
    assert_int_equal(vsr_write_all(f->a, &head, sizeof(head)), 0);
    assert_false(vsr_frame_recv(&f->reader, f->b, soon(), &body, &len, &error));
    assert_int_equal(error->code, VISOR_ERR_PROTOCOL);
}

static void silence_ends_by_the_deadline(void **state)
{
    fixture *f = *state;
    g_autoptr(GError) error = NULL;
    int64_t before = vsr_now_ns();
    const char *body = NULL;
    size_t len = 0;

    assert_int_equal(vsr_write_all(f->a, "\1\0", 2), 0);
    assert_false(vsr_frame_recv(&f->reader, f->b, before + 30 * MS, &body, &len,
                                &error));
    assert_int_equal(error->code, VISOR_ERR_TIMEOUT);
    assert_true(vsr_now_ns() - before >= 29 * MS);
}

static void a_peer_that_does_not_read_ends_by_the_deadline(void **state)
{
    fixture *f = *state;
    g_autofree char *big = g_malloc0(VSR_FRAME_MAX);
    g_autoptr(GError) error = NULL;

    assert_false(vsr_frame_send(f->a, big, VSR_FRAME_MAX, NULL, 0,
                                vsr_now_ns() + 30 * MS, &error));
    assert_int_equal(error->code, VISOR_ERR_TIMEOUT);
}

static void a_peer_that_goes_is_said_to_have_crashed(void **state)
{
    fixture *f = *state;
    g_autoptr(GError) error = NULL;
    const char *body = NULL;
    size_t len = 0;

    assert_int_equal(vsr_write_all(f->a, "\5\0\0\0ab", 6), 0);
    vsr_close(f->a);
    f->a = -1;
    assert_false(vsr_frame_recv(&f->reader, f->b, soon(), &body, &len, &error));
    assert_int_equal(error->code, VISOR_ERR_CRASHED);
    g_clear_error(&error);
    assert_false(vsr_frame_send(f->b, "x", 1, NULL, 0, soon(), &error));
    assert_int_equal(error->code, VISOR_ERR_CRASHED);
}

static void descriptors_stay_with_their_message(void **state)
{
    fixture *f = *state;
    vsr_autofd one = open("/dev/null", O_RDONLY | O_CLOEXEC);
    vsr_autofd zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    g_autoptr(vsr_json) plain = vsr_message_call(1, "a", NULL, 0);
    g_autoptr(vsr_json) with = vsr_message_call(2, "b", NULL, 1);
    g_autoptr(vsr_json) also = vsr_message_call(3, "c", NULL, 1);
    vsr_message m = { 0 };
    char byte = 1;

    assert_true(vsr_message_send(f->a, plain, NULL, 0, soon(), NULL));
    assert_true(vsr_message_send(f->a, with, &one, 1, soon(), NULL));
    assert_true(vsr_message_send(f->a, also, &zero, 1, soon(), NULL));
    assert_true(vsr_message_recv(&f->reader, f->b, soon(), &m, NULL));
    assert_int_equal(m.n_fds, 0);
    vsr_message_clear(&m);
    assert_true(vsr_message_recv(&f->reader, f->b, soon(), &m, NULL));
    assert_int_equal(m.n_fds, 1);
    assert_int_equal(read(m.fds[0], &byte, 1), 0); /* /dev/null */
    assert_true((fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    vsr_message_clear(&m);
    assert_true(vsr_message_recv(&f->reader, f->b, soon(), &m, NULL));
    assert_int_equal(read(m.fds[0], &byte, 1), 1); /* /dev/zero */
    vsr_message_clear(&m);
}

static void descriptors_beyond_the_limit_are_closed_and_refused(void **state)
{
    fixture *f = *state;
    int fds[5];
    uint32_t before = open_fds();
    g_autoptr(GError) error = NULL;
    const char *body = NULL;
    size_t len = 0;

    for (int i = 0; i < 5; i++)
        fds[i] = f->a;
    assert_true(vsr_frame_send(f->a, "{}", 2, fds, 5, soon(), NULL));
    assert_false(vsr_frame_recv(&f->reader, f->b, soon(), &body, &len, &error));
    assert_int_equal(error->code, VISOR_ERR_PROTOCOL);
    vsr_frame_reader_fini(&f->reader);
    assert_int_equal(open_fds(), before);
}

static void a_message_that_lies_about_its_descriptors_is_refused(void **state)
{
    fixture *f = *state;
    static const char *const bad[] = {
        "{\"id\":1,\"fds\":1}", "{\"fds\":-1}", "{\"fds\":33}",
        "{\"fds\":\"1\"}",      "[]",           "3",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        vsr_message m;

        assert_true(vsr_frame_send(f->a, bad[i], strlen(bad[i]), NULL, 0,
                                   soon(), NULL));
        assert_false(vsr_message_recv(&f->reader, f->b, soon(), &m, &error));
        assert_int_equal(error->code, VISOR_ERR_PROTOCOL);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(frames_arrive_whole_and_in_order),
        TEST(a_frame_may_come_byte_by_byte),
        TEST(the_longest_frame_passes),
        TEST(a_length_beyond_the_limit_is_refused),
        TEST(silence_ends_by_the_deadline),
        TEST(a_peer_that_does_not_read_ends_by_the_deadline),
        TEST(a_peer_that_goes_is_said_to_have_crashed),
        TEST(descriptors_stay_with_their_message),
        TEST(descriptors_beyond_the_limit_are_closed_and_refused),
        TEST(a_message_that_lies_about_its_descriptors_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
