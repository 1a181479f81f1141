/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_watch.c: a device that asks whether anybody is there, and for room. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "chardev/chardev.h"

#define SECOND INT64_C(1000000000)

typedef struct {
    gint open, closed, room; /* atomic: how often */
} watched;

static void on_open(bool is_open, void *opaque)
{
    watched *w = opaque;

    g_atomic_int_inc(is_open ? &w->open : &w->closed);
}

static void on_room(void *opaque)
{
    watched *w = opaque;

    g_atomic_int_inc(&w->room);
}

static void assert_becomes(gint *count, int want)
{
    int64_t end = vsr_now_ns() + 60 * SECOND;

    while (g_atomic_int_get(count) != want && vsr_now_ns() < end)
        g_usleep(1000);
    assert_int_equal(g_atomic_int_get(count), want);
}

static int connect_to_path(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void nothing(void *opaque)
{
}

static void a_device_that_waits_loses_nothing(void **state)
{
    static const vsr_chardev_watch watch = { on_open, on_room };
    vsr_loop *loop = vsr_loop_new("test", NULL);
    g_autofree char *dir = g_dir_make_tmp("chardev-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "sock", NULL);
    vsr_chardev_source source;
    uint64_t sent = 0, got = 0;
    watched w = { 0 };
    uint8_t data[4096];
    vsr_chardev *dev;
    size_t n;
    int fd;

    assert_true(vsr_chardev_open_unix(path, true, &source, NULL));
    dev = vsr_chardev_new(loop, &source, NULL);
    assert_non_null(dev);
    vsr_chardev_set_watch(dev, &watch, &w);
    assert_true(vsr_chardev_room(dev) == SIZE_MAX); /* nobody to lose it */
    fd = connect_to_path(path);
    assert_becomes(&w.open, 1);

    /* Until neither the socket nor the ring takes more. */
    for (int idle = 0; idle < 20;) {
        n = vsr_chardev_room(dev);
        assert_true(n <= 64 << 10);
        idle = n == 0 ? idle + 1 : 0;
        if (n == 0)
            vsr_loop_sync(loop, nothing, NULL); /* it has had its turn */
        for (n = MIN(n, sizeof(data)); n > 0; n--, sent++)
            vsr_chardev_write(dev, &(uint8_t){ (uint8_t)(sent % 251) }, 1);
    }
    /* Whatever room there was before, the next is told. */
    assert_true(vsr_chardev_room(dev) == 0);
    g_atomic_int_set(&w.room, 0);
    while (got < sent) {
        ssize_t r = read(fd, data, sizeof(data));

        assert_true(r > 0);
        for (ssize_t i = 0; i < r; i++, got++)
            assert_int_equal(data[i], got % 251);
    }
    assert_becomes(&w.room, 1);
    assert_true(vsr_chardev_room(dev) > 0);
    close(fd);
    assert_becomes(&w.closed, 1);
    assert_int_equal(g_atomic_int_get(&w.open), 1);
    vsr_chardev_set_watch(dev, NULL, NULL);
    vsr_chardev_free(dev);
    vsr_loop_free(loop);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_waits_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
