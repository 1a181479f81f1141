/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/error.h"
#include "tests/support/cm.h"

static int folder_new(void **state)
{
    *state = g_dir_make_tmp("vsr-fd-XXXXXX", NULL);
    return *state == NULL;
}

static int folder_free(void **state)
{
    (void)g_rmdir(*state);
    g_free(*state);
    return 0;
}

static void autofd_closes_and_keeps_errno(void **state)
{
    int number;

    {
        vsr_autofd fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        number = fd;
        errno = ENOTTY;
    }
    assert_int_equal(errno, ENOTTY);
    assert_int_equal(fcntl(number, F_GETFD), -1);
}

static void stolen_fd_stays_open(void **state)
{
    int kept;

    {
        vsr_autofd fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        kept = vsr_steal_fd(&fd);
        assert_int_equal(fd, -1);
    }
    assert_true(fcntl(kept, F_GETFD) >= 0);
    vsr_close(kept);
}

static void read_all_joins_pieces_and_reports_the_end(void **state)
{
    char got[6] = { 0 };
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    assert_int_equal(vsr_write_all(pair[0], "ab", 2), 0);
    assert_int_equal(vsr_write_all(pair[0], "cdef", 4), 0);
    assert_int_equal(vsr_read_all(pair[1], got, 6), 0);
    assert_memory_equal(got, "abcdef", 6);
    (void)vsr_write_all(pair[0], "x", 1);
    vsr_close(pair[0]);
    assert_int_equal(vsr_read_all(pair[1], got, 2), -EPIPE);
    vsr_close(pair[1]);
}

static void file_is_replaced_whole(void **state)
{
    g_autofree char *path = g_build_filename(*state, "f", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    g_autoptr(GDir) dir = NULL;
    struct stat st;
    size_t len;

    assert_true(vsr_file_replace(path, "one", 3, 0600, &error));
    assert_true(vsr_file_replace(path, "second", 6, 0640, &error));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_true(vsr_file_load(path, 100, &data, &len, &error));
    assert_int_equal(len, 6);
    assert_string_equal(data, "second");
    /* No temporary file is left. */
    dir = g_dir_open(*state, 0, NULL);
    assert_string_equal(g_dir_read_name(dir), "f");
    assert_null(g_dir_read_name(dir));
    (void)g_unlink(path);
}

static void replace_fails_with_the_path_and_leaves_nothing(void **state)
{
    g_autofree char *path = g_build_filename(*state, "no", "f", NULL);
    g_autoptr(GError) error = NULL;

    assert_false(vsr_file_replace(path, "x", 1, 0600, &error));
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
    assert_non_null(strstr(error->message, path));
}

static void put(int folder, const char *name, const char *text)
{
    vsr_autofd fd =
        openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(vsr_write_all(fd, text, strlen(text)), 0);
}

static void renamed_over_is_whole_for_who_reads_the_old(void **state)
{
    vsr_autofd folder = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    vsr_autofd old = -1, now = -1;
    char text[4] = "";

    put(folder, "new", "one");
    assert_int_equal(vsr_rename_over(folder, "new", "file"), 0);
    old = openat(folder, "file", O_RDONLY | O_CLOEXEC);
    put(folder, "new", "two"); /* O_EXCL: nothing was left */
    assert_int_equal(vsr_rename_over(folder, "new", "file"), 0);
    assert_int_equal(vsr_read_all(old, text, 3), 0);
    assert_string_equal(text, "one");
    now = openat(folder, "file", O_RDONLY | O_CLOEXEC);
    assert_int_equal(vsr_read_all(now, text, 3), 0);
    assert_string_equal(text, "two");
    assert_int_equal(vsr_rename_over(folder, "new", "file"), -ENOENT);
    assert_int_equal(unlinkat(folder, "file", 0), 0);
}

static void load_refuses_what_is_too_long(void **state)
{
    g_autofree char *path = g_build_filename(*state, "f", NULL);
    g_autofree char *big = g_strnfill(10000, 'a');
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    size_t len = 7;

    assert_true(vsr_file_replace(path, big, 10000, 0600, NULL));
    assert_false(vsr_file_load(path, 9999, &data, &len, &error));
    assert_int_equal(error->code, VISOR_ERR_RESOURCE);
    assert_null(data);
    assert_int_equal(len, 7);
    assert_true(vsr_file_load(path, 10000, &data, &len, NULL));
    assert_int_equal(len, 10000);
    assert_string_equal(data, big);
    (void)g_unlink(path);
}

static void load_reads_files_that_have_no_size(void **state)
{
    g_autofree char *data = NULL;
    size_t len;

    assert_true(vsr_file_load("/proc/self/status", 65536, &data, &len, NULL));
    assert_true(len > 100);
    assert_int_equal(strlen(data), len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(autofd_closes_and_keeps_errno),
        cmocka_unit_test(stolen_fd_stays_open),
        cmocka_unit_test(read_all_joins_pieces_and_reports_the_end),
        cmocka_unit_test(file_is_replaced_whole),
        cmocka_unit_test(replace_fails_with_the_path_and_leaves_nothing),
        cmocka_unit_test(renamed_over_is_whole_for_who_reads_the_old),
        cmocka_unit_test(load_refuses_what_is_too_long),
        cmocka_unit_test(load_reads_files_that_have_no_size),
    };

    return cmocka_run_group_tests(tests, folder_new, folder_free);
}
