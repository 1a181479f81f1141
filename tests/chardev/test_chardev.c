/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_chardev.c: every back end, streams beside it, and slow or dead readers. */
#include "chardev/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/fd.h"

#define SECOND INT64_C(1000000000)

typedef struct {
    vsr_loop *loop;
    char *dir;
    /* What the device or the callback got; under lock. */
    GMutex lock;
    GCond changed;
    GString *got;
    size_t room; /* of the device */
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->loop = vsr_loop_new("test", NULL);
    f->dir = g_dir_make_tmp("chardev-XXXXXX", NULL);
    f->got = g_string_new(NULL);
    f->room = SIZE_MAX;
    *state = f;
    return f->loop && f->dir ? 0 : -1;
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_loop_free(f->loop);
    rmdir(f->dir);
    g_free(f->dir);
    g_string_free(f->got, TRUE);
    g_free(f);
    return 0;
}

static void take(fixture *f, const void *data, size_t len)
{
    g_mutex_lock(&f->lock);
    g_string_append_len(f->got, data, (gssize)len);
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static void on_output(const void *data, size_t len, void *opaque)
{
    take(opaque, data, len);
}

static size_t on_input(const uint8_t *data, size_t len, void *opaque)
{
    fixture *f = opaque;

    g_mutex_lock(&f->lock);
    len = MIN(len, f->room);
    f->room -= len;
    g_mutex_unlock(&f->lock);
    take(f, data, len);
    return len;
}

/* Waits until `want` was got in all. */
static void assert_got(fixture *f, const char *want)
{
    int64_t end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;

    g_mutex_lock(&f->lock);
    while (strcmp(f->got->str, want) != 0)
        if (!g_cond_wait_until(&f->changed, &f->lock, end))
            break;
    assert_string_equal(f->got->str, want);
    g_mutex_unlock(&f->lock);
}

static void assert_reads(int fd, const char *want)
{
    size_t len = strlen(want);
    g_autofree char *got = g_malloc0(len + 1);

    for (size_t n = 0; n < len;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t r;

        if (poll(&p, 1, 60000) <= 0)
            fail_msg("only '%s' of '%s' came", got, want);
        r = read(fd, got + n, len - n);
        if (r <= 0)
            fail_msg("the end came after '%s'", got);
        n += (size_t)r;
    }
    assert_string_equal(got, want);
}

static void assert_ends(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char c;

    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_true(read(fd, &c, 1) <= 0);
}

static void put(vsr_chardev *dev, const char *text)
{
    vsr_chardev_write(dev, text, strlen(text));
}

static vsr_chardev *make(fixture *f, vsr_chardev_source *source)
{
    g_autoptr(GError) error = NULL;
    vsr_chardev *dev = vsr_chardev_new(f->loop, source, &error);

    if (!dev)
        fail_msg("%s", error->message);
    return dev;
}

static vsr_chardev *make_simple(fixture *f, vsr_chardev_kind kind)
{
    vsr_chardev_source source = {
        .kind = kind, .fd = -1, .out_fd = -1, .output = on_output, .opaque = f
    };

    return make(f, &source);
}

static void a_callback_gets_all_output_in_order(void **state)
{
    fixture *f = *state;
    vsr_chardev *dev = make_simple(f, VSR_CHARDEV_CALLBACK);
    GString *want = g_string_new(NULL);

    for (int i = 0; i < 20000; i++) {
        char text[16];

        g_snprintf(text, sizeof(text), "%d,", i);
        put(dev, text);
        g_string_append(want, text);
    }
    vsr_chardev_flush(dev, 60 * SECOND);
    assert_got(f, want->str);
    g_string_free(want, TRUE);
    vsr_chardev_free(dev);
}

static void injected_input_waits_for_the_device(void **state)
{
    fixture *f = *state;
    vsr_chardev *dev = make_simple(f, VSR_CHARDEV_CALLBACK);

    assert_int_equal(vsr_chardev_inject(dev, "hello", 5), 5);
    f->room = 3;
    vsr_chardev_set_input(dev, on_input, f);
    assert_got(f, "hel");
    g_mutex_lock(&f->lock);
    f->room = 100;
    g_mutex_unlock(&f->lock);
    vsr_chardev_resume(dev);
    assert_got(f, "hello");
    vsr_chardev_set_input(dev, NULL, NULL);
    for (int i = 0; i < 16; i++) {
        char block[8192] = "";

        vsr_chardev_inject(dev, block, sizeof(block));
    }
    assert_int_equal(vsr_chardev_inject(dev, "x", 1), 0);
    vsr_chardev_free(dev);
}

static void a_pty_is_raw_and_survives_without_a_reader(void **state)
{
    fixture *f = *state;
    vsr_chardev_source source;
    vsr_chardev *dev;
    g_autofree char *block = g_strnfill(200000, 'x');
    struct termios mode;
    vsr_autofd tty = -1;
    int64_t began;

    assert_true(vsr_chardev_open_pty(&source, NULL));
    dev = make(f, &source);
    vsr_chardev_set_input(dev, on_input, f);
    put(dev, "one\n");
    tty = open(vsr_chardev_path(dev), O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(tty >= 0);
    assert_int_equal(tcgetattr(tty, &mode), 0);
    assert_false(mode.c_lflag & (ECHO | ICANON | ISIG));
    assert_reads(tty, "one\n");
    assert_int_equal(write(tty, "a\rb\x03", 4), 4);
    assert_got(f, "a\rb\x03");
    vsr_close(vsr_steal_fd(&tty));

    began = vsr_now_ns();
    put(dev, block);
    vsr_chardev_flush(dev, 600 * SECOND);
    assert_true(vsr_now_ns() - began < 60 * SECOND);
    tty = open(vsr_chardev_path(dev), O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(tty >= 0);
    assert_reads(tty, "xxxx");
    vsr_chardev_free(dev);
}

static void a_file_is_emptied_or_continued(void **state)
{
    fixture *f = *state;
    g_autofree char *path = g_build_filename(f->dir, "log", NULL);
    static const bool append[] = { false, true, false };
    static const char *const want[] = { "text", "texttext", "text" };

    for (int i = 0; i < 3; i++) {
        g_autofree char *text = NULL;
        vsr_chardev_source source;
        vsr_chardev *dev;

        assert_true(vsr_chardev_open_file(path, append[i], &source, NULL));
        dev = make(f, &source);
        put(dev, "text");
        vsr_chardev_flush(dev, 60 * SECOND);
        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        assert_string_equal(text, want[i]);
        vsr_chardev_free(dev);
    }
    unlink(path);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    fixture *f = *state;
    g_autofree char *fifo = g_build_filename(f->dir, "fifo", NULL);
    vsr_chardev_source source;
    g_autoptr(GError) error = NULL;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_false(vsr_chardev_open_file(fifo, false, &source, NULL));
    assert_false(vsr_chardev_open_file("/dev/null", false, &source, &error));
    assert_non_null(strstr(error->message, "'/dev/null' is not a regular"));
    assert_false(vsr_chardev_open_file(f->dir, false, &source, NULL));
    assert_false(vsr_chardev_open_file("/nowhere/x", false, &source, NULL));
    unlink(fifo);
}

static int dial(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void a_socket_serves_one_client_after_the_other(void **state)
{
    fixture *f = *state;
    g_autofree char *path = g_build_filename(f->dir, "s", NULL);
    vsr_chardev_source source;
    vsr_chardev *dev;
    int one, two;
    struct stat st;

    assert_true(vsr_chardev_open_unix(path, true, &source, NULL));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    dev = make(f, &source);
    vsr_chardev_set_input(dev, on_input, f);
    put(dev, "early ");
    one = dial(path);
    assert_reads(one, "early ");
    assert_int_equal(write(one, "in", 2), 2);
    assert_got(f, "in");
    two = dial(path); /* waits */
    put(dev, "for one");
    assert_reads(one, "for one");
    vsr_close(one);
    put(dev, "for two");
    assert_reads(two, "for two");
    /* A second one at the same path is refused while this one lives. */
    assert_false(vsr_chardev_open_unix(path, true, &source, NULL));
    vsr_chardev_free(dev);
    assert_ends(two);
    vsr_close(two);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_stale_socket_is_replaced_and_a_file_is_not(void **state)
{
    fixture *f = *state;
    g_autofree char *path = g_build_filename(f->dir, "s", NULL);
    g_autofree char *text = NULL;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    vsr_chardev_source source;
    g_autoptr(GError) error = NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char longer[200];

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    vsr_close(fd);
    assert_true(vsr_chardev_open_unix(path, true, &source, NULL));
    vsr_chardev_source_clear(&source);
    assert_int_equal(access(path, F_OK), -1);

    assert_true(g_file_set_contents(path, "mine", -1, NULL));
    assert_false(vsr_chardev_open_unix(path, true, &source, &error));
    assert_int_equal(error->code, VISOR_ERR_EXISTS);
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, "mine");
    unlink(path);

    memset(longer, 'x', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    assert_false(vsr_chardev_open_unix(longer, true, &source, NULL));
}

static void fds_of_others_stay_in_blocking_mode(void **state)
{
    fixture *f = *state;
    int in[2], out[2];
    vsr_chardev_source source = { .kind = VSR_CHARDEV_FD };
    vsr_chardev *dev;
    g_autofree char *block = g_strnfill(300000, 'y');
    int64_t began;

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    source.fd = fcntl(in[0], F_DUPFD_CLOEXEC, 3);
    source.out_fd = fcntl(out[1], F_DUPFD_CLOEXEC, 3);
    dev = make(f, &source);
    vsr_chardev_set_input(dev, on_input, f);
    assert_int_equal(write(in[1], "keys", 4), 4);
    assert_got(f, "keys");
    put(dev, "text");
    assert_reads(out[0], "text");
    assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(in[0], F_GETFL) & O_NONBLOCK);

    /* Nobody reads: we wait no longer than we are told, and lose nothing. */
    began = vsr_now_ns();
    put(dev, block);
    vsr_chardev_flush(dev, SECOND / 10);
    assert_true(vsr_now_ns() - began < 60 * SECOND);
    assert_reads(out[0], block);

    /* The end of input is not the end of output. */
    vsr_close(in[0]);
    vsr_close(in[1]);
    put(dev, "still here");
    assert_reads(out[0], "still here");
    vsr_close(out[1]);
    vsr_chardev_free(dev);
    assert_ends(out[0]);
    vsr_close(out[0]);
}

static void a_reader_that_is_gone_harms_nobody(void **state)
{
    fixture *f = *state;
    int out[2];
    vsr_chardev_source source = { .kind = VSR_CHARDEV_FD, .fd = -1 };
    vsr_chardev *dev;

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    source.out_fd = out[1];
    dev = make(f, &source);
    vsr_close(out[0]);
    put(dev, "into the void");
    vsr_chardev_flush(dev, 60 * SECOND);
    put(dev, "and again");
    vsr_chardev_flush(dev, 60 * SECOND);
    vsr_chardev_free(dev);
}

static void input_can_come_from_a_file(void **state)
{
    fixture *f = *state;
    g_autofree char *path = g_build_filename(f->dir, "in", NULL);
    g_autofree char *text = g_strnfill(30000, 'k');
    vsr_chardev_source source = { .kind = VSR_CHARDEV_FD };
    vsr_chardev *dev;

    assert_true(g_file_set_contents(path, text, -1, NULL));
    source.fd = open(path, O_RDONLY | O_CLOEXEC);
    source.out_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dev = make(f, &source);
    put(dev, "gone");
    vsr_chardev_set_input(dev, on_input, f);
    assert_got(f, text);
    vsr_chardev_free(dev);
    unlink(path);
}

static void streams_see_output_and_give_input(void **state)
{
    fixture *f = *state;
    vsr_chardev *dev = make_simple(f, VSR_CHARDEV_NULL);
    int one, two;

    vsr_chardev_set_input(dev, on_input, f);
    put(dev, "before ");
    one = vsr_chardev_attach(dev, true, true, false);
    assert_reads(one, "before ");
    two = vsr_chardev_attach(dev, false, false, false);
    put(dev, "after");
    assert_reads(one, "after");
    assert_reads(two, "after");
    assert_int_equal(write(one, "1", 1), 1);
    assert_got(f, "1");
    assert_int_equal(write(two, "2", 1), 1);
    assert_got(f, "12");
    vsr_chardev_free(dev);
    assert_ends(one);
    assert_ends(two);
    vsr_close(one);
    vsr_close(two);
}

static void a_stream_is_exclusive_unless_forced(void **state)
{
    fixture *f = *state;
    vsr_chardev *dev = make_simple(f, VSR_CHARDEV_NULL);
    int one = vsr_chardev_attach(dev, false, true, false);
    int two;

    assert_int_equal(vsr_chardev_attach(dev, false, true, false), -EBUSY);
    two = vsr_chardev_attach(dev, false, true, true);
    assert_true(two >= 0);
    assert_ends(one);
    vsr_close(one);
    vsr_close(two);
    /* Its end is noticed, and the place is free again. */
    for (int i = 0; i < 6000; i++) {
        one = vsr_chardev_attach(dev, false, true, false);
        if (one != -EBUSY)
            break;
        g_usleep(10000);
    }
    assert_true(one >= 0);
    vsr_close(one);
    vsr_chardev_free(dev);
}

static void a_slow_stream_loses_only_its_own_output(void **state)
{
    fixture *f = *state;
    vsr_chardev *dev = make_simple(f, VSR_CHARDEV_CALLBACK);
    int slow = vsr_chardev_attach(dev, false, false, false);
    g_autofree char *block = g_strnfill(4000, 'z');
    size_t total = 0;
    int64_t began = vsr_now_ns();

    for (int i = 0; i < 1000; i++) {
        put(dev, block);
        vsr_chardev_flush(dev, 0);
        total += 4000;
    }
    assert_true(vsr_now_ns() - began < 60 * SECOND);
    g_mutex_lock(&f->lock);
    assert_int_equal(f->got->len, total);
    g_mutex_unlock(&f->lock);
    put(dev, "the end");
    vsr_chardev_flush(dev, 0);
    for (char last[8] = "";;) {
        ssize_t n;

        block[0] = '\0';
        n = read(slow, block, 4000);
        assert_true(n > 0);
        if (n < 7)
            continue;
        memcpy(last, block + n - 7, 7);
        if (strcmp(last, "the end") == 0)
            break;
    }
    vsr_close(slow);
    vsr_chardev_free(dev);
}

static void *write_much(void *opaque)
{
    for (int i = 0; i < 50000; i++)
        vsr_chardev_write(opaque, "w", 1);
    return NULL;
}

static void writers_and_attachers_may_race(void **state)
{
    fixture *f = *state;
    vsr_chardev *dev = make_simple(f, VSR_CHARDEV_CALLBACK);
    GThread *one = g_thread_new("one", write_much, dev);
    GThread *two = g_thread_new("two", write_much, dev);

    for (int i = 0; i < 200; i++) {
        int fd = vsr_chardev_attach(dev, true, false, i % 3 == 0);

        assert_true(fd >= 0);
        vsr_close(fd);
    }
    g_thread_join(one);
    g_thread_join(two);
    vsr_chardev_flush(dev, 60 * SECOND);
    g_mutex_lock(&f->lock);
    assert_int_equal(f->got->len, 100000);
    g_mutex_unlock(&f->lock);
    vsr_chardev_free(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_callback_gets_all_output_in_order),
        TEST(injected_input_waits_for_the_device),
        TEST(a_pty_is_raw_and_survives_without_a_reader),
        TEST(a_file_is_emptied_or_continued),
        TEST(what_is_no_regular_file_is_refused),
        TEST(a_socket_serves_one_client_after_the_other),
        TEST(a_stale_socket_is_replaced_and_a_file_is_not),
        TEST(fds_of_others_stay_in_blocking_mode),
        TEST(a_reader_that_is_gone_harms_nobody),
        TEST(input_can_come_from_a_file),
        TEST(streams_see_output_and_give_input),
        TEST(a_stream_is_exclusive_unless_forced),
        TEST(a_slow_stream_loses_only_its_own_output),
        TEST(writers_and_attachers_may_race),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
