/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_raw.c: raw images: data, errors, holes, sizes, locks.
 *
 * Threads: the test's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <visor/error.h>

#include "base/fd.h"
#include "base/log.h"
#include "tests/block/disk.h"
#include "tests/support/cm.h"

enum { SIZE = 8 << 20 };

static int make_dir(void **state)
{
    *state = dir_new();
    return 0;
}

static int remove_dir(void **state)
{
    dir_remove(*state);
    return 0;
}

static char *make_file(const char *dir, const char *name, uint64_t size)
{
    char *path = g_build_filename(dir, name, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
    return path;
}

static vsr_block_options plain(void)
{
    return disk_options(VSR_BLOCK_AIO_THREADS, VSR_BLOCK_CACHE_WRITEBACK);
}

static void expect_error(disk *d, GError **error, visor_error_code code,
                         const char *part)
{
    assert_null(d);
    assert_non_null(*error);
    assert_int_equal((*error)->code, code);
    if (strstr((*error)->message, part) == NULL)
        fail_msg("'%s' does not say '%s'", (*error)->message, part);
    g_clear_error(error);
}

/* --- data --- */

static void random_data(const char *dir, vsr_block_aio aio,
                        vsr_block_cache cache)
{
    g_autofree char *name = g_strdup_printf("r%d.%d", (int)aio, (int)cache);
    g_autofree char *path = make_file(dir, name, SIZE);
    vsr_block_options options = disk_options(aio, cache);
    g_autoptr(GError) error = NULL;
    disk *d = disk_open(path, VSR_BLOCK_RAW, false, &options, &error);
    model m;

    if (d == NULL && error->code == VISOR_ERR_NO_SUPPORT) {
        print_message("[  SKIPPED ] %s\n", error->message);
        return;
    }
    assert_non_null(d);
    assert_int_equal(vsr_block_bytes(d->block), SIZE);
    model_init(&m, SIZE, 7 + (uint64_t)cache);
    model_run(&m, d, 60);
    model_compare(&m, d);
    disk_close(d);
    d = disk_must_open(path, VSR_BLOCK_RAW);
    model_compare(&m, d);
    disk_close(d);
    model_fini(&m);
}

static void threads_keep_what_was_written(void **state)
{
    for (int cache = 0; cache <= VSR_BLOCK_CACHE_UNSAFE; cache++)
        random_data(*state, VSR_BLOCK_AIO_THREADS, (vsr_block_cache)cache);
}

static void io_uring_keeps_what_was_written(void **state)
{
    for (int cache = 0; cache <= VSR_BLOCK_CACHE_UNSAFE; cache++)
        random_data(*state, VSR_BLOCK_AIO_IO_URING, (vsr_block_cache)cache);
}

static void a_block_device_is_a_disk(void **state)
{
    g_autofree char *path = make_file(*state, "backing", SIZE);
    g_autofree char *device = NULL;
    vsr_block_options options = plain();
    g_autoptr(GError) error = NULL;
    disk *d;
    model m;

    if (run(&device, "losetup --show -f '%s' 2>&1", path) != 0) {
        print_message("[  SKIPPED ] no loop device: %s", device);
        skip();
    }
    g_strstrip(device);
    options.cache = VSR_BLOCK_CACHE_NONE;
    d = disk_open(device, VSR_BLOCK_RAW, false, &options, &error);
    assert_non_null(d);
    model_init(&m, SIZE, 99);
    model_run(&m, d, 40);
    model_compare(&m, d);
    /* A device that has errors. */
    assert_int_equal(truncate(path, SIZE / 2), 0);
    assert_int_equal(disk_read(d, 0, m.bytes, 4096), 0);
    assert_int_equal(disk_read(d, SIZE - 4096, m.bytes, 4096), -EIO);
    disk_close(d);
    model_fini(&m);
    assert_int_equal(run(NULL, "losetup -d '%s'", device), 0);
}

static void zeros_written_become_holes_when_asked(void **state)
{
    g_autofree char *path = make_file(*state, "zeros", SIZE);
    vsr_block_options options = plain();
    g_autofree uint8_t *data = g_malloc(SIZE);
    struct stat st;
    disk *d;

    memset(data, 0xaa, SIZE);
    options.detect_zeroes = true;
    d = disk_open(path, VSR_BLOCK_RAW, false, &options, NULL);
    assert_int_equal(disk_write(d, 0, data, SIZE), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 >= SIZE);
    memset(data, 0, SIZE);
    assert_int_equal(disk_write(d, 0, data, SIZE), 0);
    disk_close(d);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 < SIZE / 16);
    assert_int_equal(st.st_size, SIZE);
}

static void discards_reach_the_file_only_when_asked(void **state)
{
    for (int asked = 0; asked < 2; asked++) {
        g_autofree char *name = g_strdup_printf("discard%d", asked);
        g_autofree char *path = make_file(*state, name, SIZE);
        g_autofree uint8_t *data = g_malloc(SIZE);
        vsr_block_options options = plain();
        struct stat st;
        disk *d;

        memset(data, 0xaa, SIZE);
        options.discard = asked;
        d = disk_open(path, VSR_BLOCK_RAW, false, &options, NULL);
        assert_int_equal(disk_write(d, 0, data, SIZE), 0);
        assert_int_equal(disk_discard(d, 0, SIZE), 0);
        disk_close(d);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_blocks * 512 < SIZE / 16, asked);
        assert_int_equal(st.st_size, SIZE);
    }
}

/* --- sizes --- */

static void a_partial_last_sector_reads_as_zeros(void **state)
{
    g_autofree char *path = make_file(*state, "odd", 0);
    uint8_t got[1024], want[1024] = { 0 };
    char text[700];
    disk *d;

    memset(text, 'x', sizeof text);
    memset(want, 'x', sizeof text);
    assert_true(g_file_set_contents(path, text, sizeof text, NULL));
    for (int cache = 0; cache < 2; cache++) {
        vsr_block_options options = plain();

        options.cache =
            cache ? VSR_BLOCK_CACHE_NONE : VSR_BLOCK_CACHE_WRITEBACK;
        d = disk_open(path, VSR_BLOCK_RAW, false, &options, NULL);
        if (d == NULL)
            continue; /* a file system without O_DIRECT */
        assert_int_equal(vsr_block_bytes(d->block), 1024);
        memset(got, 1, sizeof got);
        assert_int_equal(disk_read(d, 0, got, sizeof got), 0);
        assert_memory_equal(got, want, sizeof got);
        assert_int_equal(disk_zero(d, 512, 512, true), 0);
        memset(want + 512, 0, 512);
        assert_int_equal(disk_read(d, 0, got, sizeof got), 0);
        assert_memory_equal(got, want, sizeof got);
        disk_close(d);
    }
}

static void a_disk_grows_and_shrinks(void **state)
{
    g_autofree char *path = make_file(*state, "grow", 1 << 20);
    g_autoptr(GError) error = NULL;
    uint8_t data[512], got[512];
    disk *d = disk_must_open(path, VSR_BLOCK_RAW);

    memset(data, 3, sizeof data);
    assert_int_equal(disk_write(d, 1 << 20, data, 512), -EINVAL);
    assert_true(vsr_block_resize(d->block, 2 << 20, &error));
    assert_int_equal(disk_write(d, (2 << 20) - 512, data, 512), 0);
    assert_int_equal(disk_read(d, (2 << 20) - 512, got, 512), 0);
    assert_memory_equal(data, got, 512);
    /* What was cut off is gone, and comes back as zeros. */
    assert_true(vsr_block_resize(d->block, 1 << 20, &error));
    assert_int_equal(vsr_block_bytes(d->block), 1 << 20);
    assert_int_equal(disk_write(d, 1 << 20, data, 512), -EINVAL);
    assert_true(vsr_block_resize(d->block, 2 << 20, &error));
    memset(data, 0, sizeof data);
    assert_int_equal(disk_read(d, (2 << 20) - 512, got, 512), 0);
    assert_memory_equal(data, got, 512);
    disk_close(d);
}

/* Sizes that are none, and one that the host refuses: all is as before. */
static void a_size_that_cannot_be_is_refused(void **state)
{
    static const uint64_t bad[] = { 0, 1000, UINT64_C(1) << 63 };
    g_autofree char *path = make_file(*state, "size", 1 << 20);
    disk *d = disk_must_open(path, VSR_BLOCK_RAW);
    struct rlimit limit, small;
    GError *error = NULL;
    struct stat st;

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        assert_false(vsr_block_resize(d->block, bad[i], &error));
        assert_int_equal(error->code, VISOR_ERR_CONFIG);
        g_clear_error(&error);
    }
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 2 << 20;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_false(vsr_block_resize(d->block, 4 << 20, &error));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_non_null(strstr(error->message, path));
    g_clear_error(&error);
    assert_int_equal(vsr_block_bytes(d->block), 1 << 20);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 1 << 20);
    disk_close(d);
}

/* --- errors --- */

static void nonsense_is_refused(void **state)
{
    g_autofree char *path = make_file(*state, "nonsense", 1 << 20);
    disk *d = disk_must_open(path, VSR_BLOCK_RAW);
    uint8_t data[1024];
    struct iovec iov = { data, 512 };
    vsr_block_request r = {
        .op = VSR_BLOCK_READ, .len = 1024, .iov = &iov, .n_iov = 1
    };
    vsr_block_stats stats;
    int rc;

    assert_int_equal(disk_read(d, 1, data, 512), -EINVAL);
    assert_int_equal(disk_read(d, 0, data, 100), -EINVAL);
    assert_int_equal(disk_read(d, UINT64_MAX - 511, data, 512), -EINVAL);
    assert_int_equal(disk_zero(d, 512, UINT64_MAX - 511, false), -EINVAL);
    disk_run(d, &r, 1, &rc);
    assert_int_equal(rc, -EINVAL);
    vsr_block_get_stats(d->block, &stats);
    assert_int_equal(stats.errors, 5);
    assert_int_equal(stats.bytes[VSR_BLOCK_READ], 0);
    disk_close(d);
}

static void read_only_is_read_only(void **state)
{
    g_autofree char *path = make_file(*state, "ro", 1 << 20);
    vsr_block_options options = plain();
    disk *d = disk_open(path, VSR_BLOCK_RAW, true, &options, NULL);
    uint8_t data[512] = { 0 };

    assert_true(vsr_block_is_readonly(d->block));
    assert_int_equal(disk_read(d, 0, data, 512), 0);
    assert_int_equal(disk_write(d, 0, data, 512), -EROFS);
    assert_int_equal(disk_discard(d, 0, 512), -EROFS);
    assert_int_equal(disk_zero(d, 0, 512, true), -EROFS);
    assert_int_equal(disk_flush(d), 0);
    assert_false(vsr_block_resize(d->block, 2 << 20, NULL));
    disk_close(d);
}

/* The host's limit of a file's size stands for a full disk. */
static void what_the_host_refuses_is_reported(void **state)
{
    for (int kind = VSR_BLOCK_AIO_DEFAULT; kind <= VSR_BLOCK_AIO_THREADS;
         kind++) {
        g_autofree char *name = g_strdup_printf("full%d", kind);
        g_autofree char *path = make_file(*state, name, 1 << 20);
        vsr_block_options options = plain();
        struct rlimit before, limit;
        uint8_t data[4096] = { 1 };
        disk *d;

        options.aio = (vsr_block_aio)kind;
        d = disk_open(path, VSR_BLOCK_RAW, false, &options, NULL);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = before;
        limit.rlim_cur = 512 << 10;
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(disk_write(d, 0, data, sizeof data), 0);
        assert_int_equal(disk_write(d, 600 << 10, data, sizeof data), -EFBIG);
        /* the limit in its middle: a short write, then the error */
        assert_int_equal(disk_write(d, (512 << 10) - 512, data, sizeof data),
                         -EFBIG);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(disk_write(d, 600 << 10, data, sizeof data), 0);
        disk_close(d);
    }
}

static void only_files_and_devices_are_disks(void **state)
{
    vsr_block_options options = plain();
    g_autofree char *fifo = g_build_filename(*state, "fifo", NULL);
    g_autofree char *none = g_build_filename(*state, "none", NULL);
    GError *error = NULL;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_error(disk_open(fifo, VSR_BLOCK_RAW, true, &options, &error), &error,
                 VISOR_ERR_CONFIG, "neither");
    expect_error(disk_open("/dev/zero", VSR_BLOCK_RAW, false, &options, &error),
                 &error, VISOR_ERR_CONFIG, "/dev/zero");
    expect_error(disk_open(*state, VSR_BLOCK_RAW, true, &options, &error),
                 &error, VISOR_ERR_CONFIG, "neither");
    expect_error(disk_open(none, VSR_BLOCK_RAW, false, &options, &error),
                 &error, VISOR_ERR_NOT_FOUND, "none");
    expect_error(disk_open("relative", VSR_BLOCK_RAW, false, &options, &error),
                 &error, VISOR_ERR_CONFIG, "absolute");
}

/* --- locks --- */

static void one_writer_or_many_readers(void **state)
{
    g_autofree char *path = make_file(*state, "locked", 1 << 20);
    vsr_block_options options = plain();
    GError *error = NULL;
    disk *d = disk_must_open(path, VSR_BLOCK_RAW), *other;

    expect_error(disk_open(path, VSR_BLOCK_RAW, false, &options, &error),
                 &error, VISOR_ERR_BUSY, "locked");
    expect_error(disk_open(path, VSR_BLOCK_RAW, true, &options, &error), &error,
                 VISOR_ERR_BUSY, "being written");
    disk_close(d);
    d = disk_open(path, VSR_BLOCK_RAW, true, &options, NULL);
    other = disk_open(path, VSR_BLOCK_RAW, true, &options, NULL);
    assert_non_null(other);
    expect_error(disk_open(path, VSR_BLOCK_RAW, false, &options, &error),
                 &error, VISOR_ERR_BUSY, "in use");
    disk_close(d);
    disk_close(other);
    disk_close(disk_must_open(path, VSR_BLOCK_RAW));
}

static void shareable_disks_are_shared(void **state)
{
    g_autofree char *path = make_file(*state, "shared", 1 << 20);
    vsr_block_location location = { .path = path, .shareable = true };
    vsr_block_options options = plain();
    GError *error = NULL;
    disk *a = disk_open_location(&location, &options, NULL);
    disk *b = disk_open_location(&location, &options, NULL);

    assert_non_null(a);
    assert_non_null(b);
    expect_error(disk_open(path, VSR_BLOCK_RAW, false, &options, &error),
                 &error, VISOR_ERR_BUSY, "in use");
    disk_close(a);
    disk_close(b);
}

/* The opener may be gone: what counts is who still has the descriptor. */
static void the_lock_stays_with_the_descriptor(void **state)
{
    g_autofree char *path = make_file(*state, "passed", 1 << 20);
    g_autofree char *pid_text = NULL;
    vsr_block_location location = { .path = path };
    vsr_block_options options = plain();
    GError *error = NULL;
    vsr_block_source source;
    int gate[2];
    pid_t child;
    disk *d;

    assert_true(vsr_block_source_open(&source, &location, NULL, &error));
    assert_int_equal(pipe(gate), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char c;

        close(gate[1]);
        _exit(read(gate[0], &c, 1) == 0 ? 0 : 1);
    }
    vsr_block_source_clear(&source);
    pid_text = g_strdup_printf("process %d ", (int)child);
    expect_error(disk_open(path, VSR_BLOCK_RAW, false, &options, &error),
                 &error, VISOR_ERR_BUSY, pid_text);
    close(gate[0]);
    close(gate[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    d = disk_must_open(path, VSR_BLOCK_RAW);
    disk_close(d);
}

static void qemu_sees_our_lock(void **state)
{
    g_autofree char *path = make_file(*state, "qemu", 1 << 20);
    g_autofree char *text = NULL;
    disk *d;

    if (!have("qemu-io"))
        skip();
    d = disk_must_open(path, VSR_BLOCK_RAW);
    (void)run(&text, "qemu-io -f raw -c 'read 0 512' '%s' 2>&1", path);
    assert_non_null(strstr(text, "lock"));
    disk_close(d);
    assert_int_equal(
        run(NULL, "qemu-io -f raw -c 'read 0 512' '%s' 2>&1", path), 0);
}

static void we_see_the_lock_of_qemu(void **state)
{
    g_autofree char *path = make_file(*state, "qemu", 1 << 20);
    const char *argv[] = { "qemu-io", "-f", "raw", path, NULL };
    vsr_block_options options = plain();
    GError *error = NULL;
    int in, out, i;
    char c = 0;
    GPid pid;

    if (!have("qemu-io"))
        skip();
    assert_true(g_spawn_async_with_pipes(
        NULL, (char **)(uintptr_t)argv, NULL,
        G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &in,
        &out, NULL, NULL));
    vsr_write_all(in, "read 0 512\n", 11);
    for (i = 0; i < 1000 && c != 'r'; i++) /* "read 512/512 bytes" */
        assert_true(read(out, &c, 1) == 1);
    expect_error(disk_open(path, VSR_BLOCK_RAW, false, &options, &error),
                 &error, VISOR_ERR_BUSY, "qemu-io");
    expect_error(disk_open(path, VSR_BLOCK_RAW, true, &options, &error), &error,
                 VISOR_ERR_BUSY, "being written");
    close(in);
    while (read(out, &c, 1) > 0)
        continue;
    close(out);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    disk_close(disk_must_open(path, VSR_BLOCK_RAW));
}

/* --- hosts without io_uring --- */

/* The kernel knows no io_uring from here on. */
static void forbid_io_uring(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { G_N_ELEMENTS(code), code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(2);
}

static void count_lines(vsr_log_level level, const char *message, void *opaque)
{
    if (strstr(message, "uses threads") != NULL)
        ++*(int *)opaque;
}

static void without_io_uring(const char *path)
{
    vsr_block_options options = plain();
    g_autoptr(GError) error = NULL;
    uint8_t data[512];
    int lines = 0;
    disk *d;

    forbid_io_uring();
    vsr_log_set_sink(count_lines, &lines);
    options.aio = VSR_BLOCK_AIO_IO_URING;
    if (disk_open(path, VSR_BLOCK_RAW, false, &options, &error) != NULL ||
        error->code != VISOR_ERR_NO_SUPPORT)
        _exit(3);
    options.aio = VSR_BLOCK_AIO_DEFAULT;
    d = disk_open(path, VSR_BLOCK_RAW, false, &options, NULL);
    if (d == NULL || lines != 1 || disk_read(d, 0, data, sizeof data) != 0)
        _exit(4);
    _exit(0);
}

static void threads_do_where_io_uring_is_refused(void **state)
{
    g_autofree char *path = make_file(*state, "refused", 1 << 20);
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0)
        without_io_uring(path);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- figures --- */

static void requests_are_counted(void **state)
{
    g_autofree char *path = make_file(*state, "stats", 1 << 20);
    disk *d = disk_must_open(path, VSR_BLOCK_RAW);
    uint8_t data[4096] = { 0 };
    vsr_block_stats stats;

    assert_int_equal(disk_write(d, 0, data, 4096), 0);
    assert_int_equal(disk_write(d, 4096, data, 4096), 0);
    assert_int_equal(disk_read(d, 0, data, 512), 0);
    assert_int_equal(disk_flush(d), 0);
    vsr_block_get_stats(d->block, &stats);
    assert_int_equal(stats.requests[VSR_BLOCK_WRITE], 2);
    assert_int_equal(stats.bytes[VSR_BLOCK_WRITE], 8192);
    assert_int_equal(stats.requests[VSR_BLOCK_READ], 1);
    assert_int_equal(stats.bytes[VSR_BLOCK_READ], 512);
    assert_int_equal(stats.requests[VSR_BLOCK_FLUSH], 1);
    assert_int_equal(stats.errors, 0);
    assert_true(stats.ns[VSR_BLOCK_WRITE] > 0);
    disk_close(d);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(threads_keep_what_was_written),
        T(io_uring_keeps_what_was_written),
        T(a_block_device_is_a_disk),
        T(zeros_written_become_holes_when_asked),
        T(discards_reach_the_file_only_when_asked),
        T(a_partial_last_sector_reads_as_zeros),
        T(a_disk_grows_and_shrinks),
        T(a_size_that_cannot_be_is_refused),
        T(nonsense_is_refused),
        T(read_only_is_read_only),
        T(what_the_host_refuses_is_reported),
        T(only_files_and_devices_are_disks),
        T(one_writer_or_many_readers),
        T(shareable_disks_are_shared),
        T(the_lock_stays_with_the_descriptor),
        T(qemu_sees_our_lock),
        T(we_see_the_lock_of_qemu),
        T(threads_do_where_io_uring_is_refused),
        T(requests_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
