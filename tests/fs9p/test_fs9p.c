/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_fs9p.c: what Linux asks of a 9P2000.L server. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/fs9p/client.h"

enum { REMOVEDIR = 0x200 };

static vsr_fs9p_access natural(void)
{
    return geteuid() == 0 ? VSR_FS9P_PASSTHROUGH : VSR_FS9P_SQUASH;
}

static bool host_has(const client *c, const char *name)
{
    g_autofree char *path = client_host(c, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void files_are_made_written_and_read(void **state)
{
    client *c = client_new(natural(), false, 0);
    client_attr attr;
    char got[16] = "";

    assert_int_equal(client_walk(c, ROOT, 1, ""), 0);
    assert_int_equal(client_create(c, 1, "file", O_RDWR | O_CREAT, 0640, 1000),
                     0);
    assert_int_equal(client_get(c, 1), 0); /* a file's qid */
    assert_int_equal(client_write(c, 1, 0, "hello", 5), 0);
    assert_int_equal(client_write(c, 1, 5, " world", 6), 0);
    assert_int_equal(client_read(c, 1, 6, got, sizeof(got)), 5);
    assert_string_equal(got, "world");
    assert_int_equal(client_read(c, 1, 100, got, sizeof(got)), 0);
    client_begin(c, TFSYNC);
    client_put(c, 4, 1);
    client_put(c, 4, 1);
    assert_int_equal(client_call(c), 0);
    assert_int_equal(client_clunk(c, 1), 0);
    assert_int_equal(client_clunk(c, 1), EBADF);

    assert_int_equal(client_walk(c, ROOT, 1, "file"), 0);
    assert_int_equal(client_getattr(c, 1, &attr), 0);
    assert_int_equal(attr.size, 11);
    assert_int_equal(attr.mode, S_IFREG | 0640);
    assert_int_equal(client_read(c, 1, 0, got, 1), -EBADF); /* not open */
    assert_int_equal(client_open(c, 1, O_RDONLY), 0);
    assert_int_equal(client_write(c, 1, 0, "x", 1), EBADF);
    assert_int_equal(client_open(c, 1, O_RDONLY), EBADF);
    assert_int_equal(client_clunk(c, 1), 0);
    assert_int_equal(client_walk(c, ROOT, 1, "file"), 0);
    assert_int_equal(client_open(c, 1, O_WRONLY | O_TRUNC), 0);
    assert_int_equal(client_host_stat(c, "file").st_size, 0);
    client_free(c);
}

static void a_file_that_is_there_is_opened_unless_exclusive(void **state)
{
    client *c = client_new(natural(), false, 0);
    char got[8] = "";

    client_host_write(c, "old", "text");
    assert_int_equal(client_walk(c, ROOT, 1, ""), 0);
    assert_int_equal(
        client_create(c, 1, "old", O_RDWR | O_CREAT | O_EXCL, 0600, 1000),
        EEXIST);
    assert_int_equal(client_create(c, 1, "old", O_RDWR | O_CREAT, 0600, 1000),
                     0);
    assert_int_equal(client_read(c, 1, 0, got, 8), 4);
    assert_string_equal(got, "text");
    client_free(c);
}

static void a_walk_may_go_part_of_the_way(void **state)
{
    client *c = client_new(natural(), false, 0);

    assert_int_equal(client_mkdir(c, ROOT, "a", 0755), 0);
    assert_int_equal(client_walk(c, ROOT, 1, "a"), 0);
    assert_int_equal(client_mkdir(c, 1, "b", 0755), 0);
    assert_int_equal(client_walk(c, ROOT, 2, "a/b"), 0);
    assert_int_equal(client_walk(c, ROOT, 2, "a"), EBADF); /* in use */
    client_begin(c, TWALK);
    client_put(c, 4, ROOT);
    client_put(c, 4, 3);
    client_put(c, 2, 3);
    client_put_string(c, "a");
    client_put_string(c, "none");
    client_put_string(c, "b");
    assert_int_equal(client_call(c), 0);
    assert_int_equal(client_get(c, 2), 1);
    assert_int_equal(client_get(c, 1), 0x80);
    assert_int_equal(client_clunk(c, 3), EBADF); /* none was made */
    assert_int_equal(client_walk(c, ROOT, 3, "none"), ENOENT);
    /* A fid may go on by itself. */
    assert_int_equal(client_walk(c, 1, 1, "b"), 0);
    assert_int_equal(client_walk(c, 1, 1, "a"), ENOENT);
    assert_int_equal(client_clunk(c, 1), 0);
    client_free(c);
}

static void folders_are_listed(void **state)
{
    client *c = client_new(natural(), false, 0);
    g_autoptr(GHashTable) seen =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    uint64_t offset = 0;
    uint32_t n;

    for (int i = 0; i < 300; i++) {
        g_autofree char *name = g_strdup_printf("entry-%d", i);

        client_host_write(c, name, "");
    }
    assert_int_equal(client_walk(c, ROOT, 1, ""), 0);
    assert_int_equal(client_open(c, 1, O_RDONLY | O_DIRECTORY), 0);
    do {
        client_begin(c, TREADDIR);
        client_put(c, 4, 1);
        client_put(c, 8, offset);
        client_put(c, 4, 1000);
        assert_int_equal(client_call(c), 0);
        n = (uint32_t)client_get(c, 4);
        assert_true(n <= 1000);
        assert_int_equal(c->reply_len, c->at + n);
        while (c->at < c->reply_len) {
            uint8_t qid_type = (uint8_t)client_get(c, 1), type;
            char *name;

            (void)client_get_bytes(c, 12);
            offset = client_get(c, 8);
            type = (uint8_t)client_get(c, 1);
            name = client_get_string(c);
            assert_int_equal(qid_type, name[0] == '.' ? 0x80 : 0);
            assert_int_equal(type, name[0] == '.' ? 4 : 8);
            assert_true(g_hash_table_add(seen, name)); /* each once */
        }
    } while (n > 0);
    assert_int_equal(g_hash_table_size(seen), 302);
    /* No room for even one is an error, not the end. */
    client_begin(c, TREADDIR);
    client_put(c, 4, 1);
    client_put(c, 8, 0);
    client_put(c, 4, 20);
    assert_int_equal(client_call(c), EINVAL);
    assert_int_equal(client_read(c, 1, 0, NULL, 0), -EISDIR);
    client_free(c);
}

static void links_are_text(void **state)
{
    client *c = client_new(natural(), false, 0);
    g_autofree char *target = NULL;
    client_attr attr;

    assert_int_equal(client_symlink(c, ROOT, "link", "../secret"), 0);
    assert_int_equal(client_get(c, 1), 0x02);
    assert_int_equal(client_walk(c, ROOT, 1, "link"), 0);
    client_begin(c, TREADLINK);
    client_put(c, 4, 1);
    assert_int_equal(client_call(c), 0);
    target = client_get_string(c);
    assert_string_equal(target, "../secret");
    assert_int_equal(client_getattr(c, 1, &attr), 0);
    assert_int_equal(attr.mode & S_IFMT, S_IFLNK);
    client_begin(c, TREADLINK);
    client_put(c, 4, ROOT);
    assert_int_equal(client_call(c), EINVAL);

    /* A second name of a file. */
    client_host_write(c, "file", "");
    assert_int_equal(client_walk(c, ROOT, 2, "file"), 0);
    client_begin(c, TLINK);
    client_put(c, 4, ROOT);
    client_put(c, 4, 2);
    client_put_string(c, "other");
    assert_int_equal(client_call(c), 0);
    assert_int_equal(client_host_stat(c, "other").st_nlink, 2);
    client_free(c);
}

static int rename_entry(client *c, uint32_t from, const char *name, uint32_t to,
                        const char *new_name)
{
    client_begin(c, TRENAMEAT);
    client_put(c, 4, from);
    client_put_string(c, name);
    client_put(c, 4, to);
    client_put_string(c, new_name);
    return client_call(c);
}

static void entries_are_renamed_and_removed(void **state)
{
    client *c = client_new(natural(), false, 0);
    client_attr attr;

    client_host_write(c, "file", "x");
    assert_int_equal(client_walk(c, ROOT, 1, "file"), 0);
    assert_int_equal(client_mkdir(c, ROOT, "dir", 0755), 0);
    assert_int_equal(client_walk(c, ROOT, 2, "dir"), 0);
    assert_int_equal(rename_entry(c, ROOT, "file", 2, "moved"), 0);
    assert_true(host_has(c, "dir/moved"));
    assert_int_equal(rename_entry(c, ROOT, "file", 2, "moved"), ENOENT);
    /* What is in use is still the same file. */
    assert_int_equal(client_getattr(c, 1, &attr), 0);
    assert_int_equal(attr.size, 1);
    assert_int_equal(client_unlink(c, ROOT, "dir", 0), EISDIR);
    assert_int_equal(client_unlink(c, ROOT, "dir", REMOVEDIR), ENOTEMPTY);
    assert_int_equal(client_unlink(c, 2, "moved", 0), 0);
    assert_int_equal(client_unlink(c, ROOT, "dir", REMOVEDIR), 0);
    assert_false(host_has(c, "dir"));
    assert_int_equal(client_getattr(c, 1, &attr), 0);
    assert_int_equal(attr.nlink, 0);
    client_free(c);
}

static void special_files_are_made_and_never_opened(void **state)
{
    client *c = client_new(natural(), false, 0);

    assert_int_equal(client_mknod(c, "pipe", S_IFIFO | 0600), 0);
    assert_int_equal(client_mknod(c, "null", S_IFCHR | 0666), EPERM);
    assert_int_equal(client_mknod(c, "dir", S_IFDIR | 0700), EINVAL);
    assert_int_equal(client_walk(c, ROOT, 1, "pipe"), 0);
    assert_int_equal(client_open(c, 1, O_RDONLY), ENXIO); /* at once */
    assert_int_equal(client_walk(c, ROOT, 2, ""), 0);
    assert_int_equal(client_create(c, 2, "pipe", O_WRONLY | O_CREAT, 0600, 0),
                     EEXIST);
    client_free(c);
}

/* --- locks --- */

static int lock_file(client *c, uint32_t fid, uint8_t type, uint8_t *status)
{
    int err;

    client_begin(c, TLOCK);
    client_put(c, 4, fid);
    client_put(c, 1, type);
    client_put(c, 4, 0);
    client_put(c, 8, 0);
    client_put(c, 8, 0);
    client_put(c, 4, 1);
    client_put_string(c, "guest");
    err = client_call(c);
    if (err == 0)
        *status = (uint8_t)client_get(c, 1);
    return err;
}

static uint8_t who_locks(client *c, uint32_t fid, uint8_t type)
{
    client_begin(c, TGETLOCK);
    client_put(c, 4, fid);
    client_put(c, 1, type);
    client_put(c, 8, 0);
    client_put(c, 8, 0);
    client_put(c, 4, 1);
    client_put_string(c, "guest");
    assert_int_equal(client_call(c), 0);
    return (uint8_t)client_get(c, 1);
}

static void locks_hold_against_others(void **state)
{
    client *c = client_new(natural(), false, 0);
    uint8_t status = 9;

    client_host_write(c, "file", "x");
    for (uint32_t fid = 1; fid <= 2; fid++) {
        assert_int_equal(client_walk(c, ROOT, fid, "file"), 0);
        assert_int_equal(lock_file(c, fid, 1, &status), EBADF);
        assert_int_equal(client_open(c, fid, O_RDWR), 0);
    }
    assert_int_equal(lock_file(c, 1, 1, &status), 0);
    assert_int_equal(status, 0);
    assert_int_equal(lock_file(c, 2, 0, &status), 0);
    assert_int_equal(status, 1); /* blocked */
    assert_int_equal(who_locks(c, 2, 1), 1);
    assert_int_equal(who_locks(c, 2, 2), 1); /* as Linux asks */
    assert_int_equal(lock_file(c, 1, 2, &status), 0);
    assert_int_equal(status, 0);
    assert_int_equal(who_locks(c, 2, 2), 2); /* nobody */
    assert_int_equal(lock_file(c, 2, 1, &status), 0);
    assert_int_equal(status, 0);
    assert_int_equal(lock_file(c, 2, 7, &status), EINVAL);
    client_free(c);
}

static void the_rest_is_answered(void **state)
{
    client *c = client_new(natural(), false, 0);

    client_begin(c, TSTATFS);
    client_put(c, 4, ROOT);
    assert_int_equal(client_call(c), 0);
    (void)client_get(c, 4);
    assert_true(client_get(c, 4) >= 512);
    client_begin(c, TFLUSH);
    client_put(c, 2, 1);
    assert_int_equal(client_call(c), 0);
    client_begin(c, TAUTH);
    assert_int_equal(client_call(c), EOPNOTSUPP);
    assert_int_equal(client_walk(c, ROOT, 1, ""), 0);
    client_begin(c, TREMOVE);
    client_put(c, 4, 1);
    assert_int_equal(client_call(c), EOPNOTSUPP);
    assert_int_equal(client_clunk(c, 1), EBADF); /* it went all the same */
    client_begin(c, TRENAME);
    assert_int_equal(client_call(c), EOPNOTSUPP);
    client_free(c);
}

static void a_new_session_has_no_fids(void **state)
{
    client *c = client_new(natural(), false, 0);
    g_autofree char *got = NULL;

    assert_int_equal(client_walk(c, ROOT, 1, ""), 0);
    client_begin(c, TVERSION);
    client_put(c, 4, 8192);
    client_put_string(c, "9P2000.u");
    assert_int_equal(client_call(c), 0);
    (void)client_get(c, 4);
    got = client_get_string(c);
    assert_string_equal(got, "unknown");
    assert_int_equal(client_clunk(c, 1), EPROTO);
    client_session(c, 8192);
    assert_int_equal(client_clunk(c, 1), EBADF);
    client_begin(c, TVERSION);
    client_put(c, 4, 100);
    client_put_string(c, "9P2000.L");
    assert_int_equal(client_call(c), EINVAL);
    client_free(c);
}

static void a_readonly_folder_stays_as_it_is(void **state)
{
    client *c = client_new(VSR_FS9P_SQUASH, true, 0);
    char got[8];

    client_host_write(c, "file", "text");
    assert_int_equal(client_walk(c, ROOT, 1, "file"), 0);
    assert_int_equal(client_walk(c, ROOT, 2, ""), 0);
    assert_int_equal(client_open(c, 1, O_WRONLY), EROFS);
    assert_int_equal(client_open(c, 1, O_RDWR), EROFS);
    assert_int_equal(client_open(c, 1, O_RDONLY | O_TRUNC), EROFS);
    assert_int_equal(client_create(c, 2, "n", O_RDONLY, 0600, 0), EROFS);
    assert_int_equal(client_mkdir(c, ROOT, "d", 0755), EROFS);
    assert_int_equal(client_symlink(c, ROOT, "l", "x"), EROFS);
    assert_int_equal(client_unlink(c, ROOT, "file", 0), EROFS);
    assert_int_equal(client_mknod(c, "p", S_IFIFO), EROFS);
    assert_int_equal(rename_entry(c, ROOT, "file", ROOT, "g"), EROFS);
    assert_int_equal(client_setattr(c, 1, 1, 0, 0, 0, 0, 0), EROFS);
    client_begin(c, TLINK);
    assert_int_equal(client_call(c), EROFS);
    client_begin(c, TXATTRCREATE);
    assert_int_equal(client_call(c), EROFS);
    assert_int_equal(client_open(c, 1, O_RDONLY), 0);
    assert_int_equal(client_read(c, 1, 0, got, 8), 4);
    client_free(c);
}

static void wrong_folders_are_refused(void **state)
{
    vsr_fs9p_params p = { .root_fd = -1, .access = VSR_FS9P_SQUASH };
    GError *error = NULL;

    assert_null(vsr_fs9p_new(&p, &error));
    g_clear_error(&error);
    p.root_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    assert_null(vsr_fs9p_new(&p, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
    g_clear_error(&error);
    close(p.root_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_made_written_and_read),
        cmocka_unit_test(a_file_that_is_there_is_opened_unless_exclusive),
        cmocka_unit_test(a_walk_may_go_part_of_the_way),
        cmocka_unit_test(folders_are_listed),
        cmocka_unit_test(links_are_text),
        cmocka_unit_test(entries_are_renamed_and_removed),
        cmocka_unit_test(special_files_are_made_and_never_opened),
        cmocka_unit_test(locks_hold_against_others),
        cmocka_unit_test(the_rest_is_answered),
        cmocka_unit_test(a_new_session_has_no_fids),
        cmocka_unit_test(a_readonly_folder_stays_as_it_is),
        cmocka_unit_test(wrong_folders_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
