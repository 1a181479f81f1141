/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_nbd.c: disks behind qemu-nbd: by unix socket and by TCP, raw and qcow2;
 * servers that are not there, refuse, or die.
 *
 * Threads: the test's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <visor/error.h>

#include "tests/block/disk.h"
#include "tests/support/cm.h"

enum { SIZE = 8 << 20, WAIT_MS = 60000 };

typedef struct {
    char *dir, *image, *socket;
    GPid pid;
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->dir = dir_new();
    f->image = g_build_filename(f->dir, "image", NULL);
    f->socket = g_build_filename(f->dir, "socket", NULL);
    assert_int_equal(run(NULL, "truncate -s %d '%s'", SIZE, f->image), 0);
    *state = f;
    return 0;
}

static void stop(fixture *f)
{
    if (f->pid == 0)
        return;
    kill(f->pid, SIGKILL);
    waitpid(f->pid, NULL, 0);
    f->pid = 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    stop(f);
    dir_remove(f->dir);
    g_free(f->image);
    g_free(f->socket);
    g_free(f);
    return 0;
}

/* Ready when something listens. */
static void start(fixture *f, const char *const *more)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *base[] = { "qemu-nbd", "-f", "raw", "-t", "-x", "disk" };
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(base); i++)
        g_ptr_array_add(argv, (void *)(uintptr_t)base[i]);
    for (; *more != NULL; more++)
        g_ptr_array_add(argv, (void *)(uintptr_t)*more);
    g_ptr_array_add(argv, f->image);
    g_ptr_array_add(argv, NULL);
    if (!g_spawn_async(NULL, (char **)argv->pdata, NULL,
                       G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                       NULL, &f->pid, &error))
        fail_msg("%s", error->message);
}

static void start_unix(fixture *f, const char *more)
{
    const char *const argv[] = { "-k", f->socket, more, NULL };

    start(f, argv);
    for (int i = 0; i < WAIT_MS / 10; i++) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

        g_strlcpy(address.sun_path, f->socket, sizeof address.sun_path);
        rc = connect(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (rc == 0)
            return;
        g_usleep(10000);
    }
    fail_msg("qemu-nbd does not listen");
}

static disk *open_nbd(fixture *f, vsr_block_format format, bool readonly,
                      const char *export, GError **error)
{
    g_autofree char *name = g_strdup(export);
    vsr_block_location location = {
        .protocol = VSR_BLOCK_NBD,
        .path = f->socket,
        .export = name,
        .format = format,
        .readonly = readonly,
    };
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);

    return disk_open_location(&location, &options, error);
}

static bool can_run(void)
{
    g_autoptr(GError) error = NULL;
    vsr_block_location location = { .protocol = VSR_BLOCK_NBD };
    vsr_block_source source;

    assert_false(vsr_block_source_open(&source, &location, NULL, &error));
    if (error->code == VISOR_ERR_NO_SUPPORT) {
        print_message("[  SKIPPED ] %s\n", error->message);
        return false;
    }
    return have("qemu-nbd") && have("qemu-img");
}

static void random_data(fixture *f, disk *d, vsr_block_format format)
{
    g_autoptr(GError) error = NULL;
    model m;

    assert_true(vsr_block_bytes(d->block) == SIZE);
    model_init(&m, SIZE, 31 + (uint64_t)format);
    model_run(&m, d, 60);
    model_compare(&m, d);
    assert_int_equal(disk_flush(d), 0);
    disk_close(d);
    d = open_nbd(f, format, false, "disk", &error);
    assert_non_null(d);
    model_compare(&m, d);
    disk_close(d);
    model_fini(&m);
}

static void a_unix_socket_is_a_disk(void **state)
{
    g_autoptr(GError) error = NULL;
    disk *d;

    if (!can_run())
        skip();
    start_unix(*state, "--discard=unmap");
    d = open_nbd(*state, VSR_BLOCK_RAW, false, "disk", &error);
    if (d == NULL)
        fail_msg("%s", error->message);
    random_data(*state, d, VSR_BLOCK_RAW);
}

static int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void a_tcp_port_is_a_disk(void **state)
{
    fixture *f = *state;
    int port = free_port();
    g_autofree char *text = g_strdup_printf("%d", port);
    g_autofree char *name = g_strdup("disk");
    g_autofree char *host = g_strdup("127.0.0.1");
    const char *const argv[] = { "-b", "127.0.0.1", "-p", text, NULL };
    vsr_block_location location = { .protocol = VSR_BLOCK_NBD,
                                    .host = host,
                                    .port = (uint16_t)port,
                                    .export = name };
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);
    disk *d = NULL;
    model m;

    if (!can_run())
        skip();
    start(f, argv);
    for (int i = 0; i < WAIT_MS / 10 && d == NULL; i++) {
        d = disk_open_location(&location, &options, NULL);
        if (d == NULL)
            g_usleep(10000);
    }
    assert_non_null(d);
    model_init(&m, SIZE, 3);
    model_run(&m, d, 20);
    model_compare(&m, d);
    disk_close(d);
    model_fini(&m);
}

static void qcow2_may_be_behind_it(void **state)
{
    fixture *f = *state;
    g_autoptr(GError) error = NULL;
    disk *d;

    if (!can_run())
        skip();
    assert_int_equal(run(NULL,
                         "rm '%s' && qemu-img create -q -f qcow2 '%s' %d && "
                         "truncate -s %d '%s'",
                         f->image, f->image, SIZE, 4 * SIZE, f->image),
                     0);
    start_unix(f, "--cache=writeback");
    d = open_nbd(f, VSR_BLOCK_QCOW2, false, "disk", &error);
    if (d == NULL)
        fail_msg("%s", error->message);
    random_data(f, d, VSR_BLOCK_QCOW2);
    stop(f);
    assert_int_equal(run(NULL, "qemu-img check -f qcow2 '%s'", f->image), 0);
}

static void what_cannot_be_opened_says_why(void **state)
{
    fixture *f = *state;
    g_autoptr(GError) error = NULL;

    if (!can_run())
        skip();
    assert_null(open_nbd(f, VSR_BLOCK_RAW, false, "disk", &error));
    assert_non_null(strstr(error->message, f->socket));
    g_clear_error(&error);
    start_unix(f, "-r");
    assert_null(open_nbd(f, VSR_BLOCK_RAW, false, "another", &error));
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
    g_clear_error(&error);
    assert_null(open_nbd(f, VSR_BLOCK_RAW, false, "disk", &error));
    assert_int_equal(error->code, VISOR_ERR_ACCESS);
    g_clear_error(&error);
    disk_close(open_nbd(f, VSR_BLOCK_RAW, true, "disk", &error));
}

static void a_server_that_dies_is_an_error(void **state)
{
    fixture *f = *state;
    g_autofree uint8_t *data = g_malloc0(1 << 20);
    disk *d;

    if (!can_run())
        skip();
    start_unix(f, "--cache=writeback");
    d = open_nbd(f, VSR_BLOCK_RAW, false, "disk", NULL);
    assert_int_equal(disk_write(d, 0, data, 1 << 20), 0);
    stop(f);
    assert_int_equal(disk_read(d, 0, data, 512), -EIO);
    assert_int_equal(disk_write(d, 0, data, 1 << 20), -EIO);
    assert_int_equal(disk_flush(d), -EIO);
    assert_int_equal(disk_zero(d, 0, 1 << 20, true), -EIO);
    disk_close(d);
}

/* Tables are in memory, clusters half written: errors, and no more. */
static void a_qcow2_whose_server_dies_is_an_error(void **state)
{
    fixture *f = *state;
    g_autofree uint8_t *data = g_malloc0(1 << 20);
    g_autofree char *text = NULL;
    disk *d;
    int rc;

    if (!can_run())
        skip();
    assert_int_equal(run(NULL,
                         "rm '%s' && qemu-img create -q -f qcow2 '%s' %d && "
                         "truncate -s %d '%s'",
                         f->image, f->image, SIZE, 4 * SIZE, f->image),
                     0);
    start_unix(f, "--cache=writeback");
    d = open_nbd(f, VSR_BLOCK_QCOW2, false, "disk", NULL);
    assert_non_null(d);
    assert_int_equal(disk_write(d, 0, data, 1 << 20), 0);
    assert_int_equal(disk_flush(d), 0);
    assert_int_equal(disk_write(d, 1 << 20, data, 1 << 20), 0);
    stop(f);
    assert_int_equal(disk_read(d, 0, data, 4096), -EIO);
    assert_int_equal(disk_read(d, 4 << 20, data, 4096), 0); /* never written */
    assert_int_equal(disk_write(d, 0, data, 1 << 20), -EIO);
    assert_int_equal(disk_write(d, 5 << 20, data, 1 << 20), -EIO);
    assert_int_equal(disk_flush(d), -EIO);
    disk_close(d);
    rc = run(&text, "qemu-img check -f qcow2 '%s' 2>&1", f->image);
    if (rc != 0 && rc != 3)
        fail_msg("%s", text);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_unix_socket_is_a_disk),
        T(a_tcp_port_is_a_disk),
        T(qcow2_may_be_behind_it),
        T(what_cannot_be_opened_says_why),
        T(a_server_that_dies_is_an_error),
        T(a_qcow2_whose_server_dies_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
