/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_hostile.c: clients that want out of their folder, or more than their
 * share, or make no sense. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fs9p/client.h"

static void no_name_leads_out(void **state)
{
    static const char *const names[] = {
        "..", ".", "", "/etc", "a/b", "../secret", "/", "a/../../secret",
    };
    client *c = client_new(VSR_FS9P_SQUASH, false, 0);

    assert_int_equal(client_mkdir(c, ROOT, "a", 0755), 0);
    assert_int_equal(client_walk(c, ROOT, 1, "a"), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        assert_int_not_equal(client_mkdir(c, 1, names[i], 0755), 0);
        assert_int_not_equal(client_symlink(c, 1, names[i], "x"), 0);
        assert_int_not_equal(client_unlink(c, 1, names[i], 0), 0);
        assert_int_not_equal(client_unlink(c, 1, names[i], 0x200), 0);
        assert_int_equal(client_walk(c, ROOT, 2, ""), 0);
        assert_int_not_equal(
            client_create(c, 2, names[i], O_RDWR | O_CREAT, 0600, 0), 0);
        assert_int_equal(client_clunk(c, 2), 0);
        client_begin(c, TWALK);
        client_put(c, 4, 1);
        client_put(c, 4, 2);
        client_put(c, 2, 1);
        client_put_string(c, names[i]);
        assert_int_not_equal(client_call(c), 0);
    }
    /* Above the root is the root. */
    assert_int_equal(client_walk(c, ROOT, 2, "../../.."), 0);
    assert_int_equal(client_walk(c, 2, 3, "a"), 0);
    assert_int_equal(client_walk(c, 2, 4, "secret"), ENOENT);
    client_free(c);
}

static void no_link_leads_out(void **state)
{
    static const char *const targets[] = { "..",        "../secret",
                                           "/",         "/proc/self/root",
                                           "/etc",      "a/../..",
                                           "/proc/self" };
    client *c = client_new(VSR_FS9P_SQUASH, false, 0);
    char got[8];

    assert_int_equal(client_mkdir(c, ROOT, "a", 0755), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        assert_int_equal(client_symlink(c, ROOT, "l", targets[i]), 0);
        assert_int_equal(client_walk(c, ROOT, 1, "l"), 0);
        assert_int_equal(client_open(c, 1, O_RDONLY), ELOOP);
        assert_int_not_equal(client_walk(c, 1, 2, "passwd"), 0);
        assert_int_not_equal(client_mkdir(c, 1, "x", 0755), 0);
        assert_int_not_equal(client_unlink(c, 1, "secret", 0), 0);
        assert_int_equal(client_read(c, 1, 0, got, 8), -EBADF);
        assert_int_equal(client_walk(c, ROOT, 2, ""), 0);
        assert_int_not_equal(
            client_create(c, 2, "l", O_RDWR | O_CREAT | O_TRUNC, 0600, 0), 0);
        assert_int_equal(client_clunk(c, 1), 0);
        assert_int_equal(client_clunk(c, 2), 0);
        assert_int_equal(client_unlink(c, ROOT, "l", 0), 0);
    }
    client_free(c);
}

/* A link that the host's side (or another guest) swaps in meanwhile. */
static void a_folder_that_becomes_a_link_stays_the_folder(void **state)
{
    client *c = client_new(VSR_FS9P_SQUASH, false, 0);
    g_autofree char *dir = client_host(c, "dir");
    g_autofree char *moved = client_host(c, "moved");

    assert_int_equal(client_mkdir(c, ROOT, "dir", 0755), 0);
    assert_int_equal(client_walk(c, ROOT, 1, "dir"), 0);
    assert_int_equal(rename(dir, moved), 0);
    assert_int_equal(symlink("..", dir), 0);
    assert_int_equal(client_walk(c, 1, 2, "secret"), ENOENT);
    assert_int_equal(client_mkdir(c, 1, "inside", 0755), 0);
    g_free(moved);
    moved = client_host(c, "moved/inside");
    assert_int_equal(access(moved, F_OK), 0);
    client_free(c);
}

static uint32_t descriptors(void)
{
    uint32_t n = 0;
    DIR *dir = opendir("/proc/self/fd");

    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void fids_are_counted(void **state)
{
    client *c = client_new(VSR_FS9P_SQUASH, false, 100);
    uint32_t before = descriptors();

    for (uint32_t fid = 1; fid < 100; fid++)
        assert_int_equal(client_walk(c, ROOT, fid, ""), 0);
    assert_int_equal(client_walk(c, ROOT, 100, ""), ENFILE);
    assert_int_equal(client_walk(c, ROOT, UINT32_MAX, ""), ENFILE);
    assert_int_equal(client_clunk(c, 5), 0);
    assert_int_equal(client_walk(c, ROOT, UINT32_MAX, ""), EBADF);
    assert_int_equal(client_walk(c, ROOT, 100, ""), 0);
    assert_true(descriptors() - before <= 100);
    client_session(c, MSIZE);
    assert_int_equal(descriptors(), before);
    client_free(c);
}

static void attributes_in_use_are_counted(void **state)
{
    client *c = client_new(VSR_FS9P_SQUASH, false, 1000);
    uint32_t fid, n = 0;
    int err = 0;

    client_host_write(c, "f", "");
    for (fid = 1; fid < 200 && err == 0; fid++, n++) {
        assert_int_equal(client_walk(c, ROOT, fid, "f"), 0);
        client_begin(c, TXATTRCREATE);
        client_put(c, 4, fid);
        client_put_string(c, "user.x");
        client_put(c, 8, 64 << 10);
        client_put(c, 4, 0);
        err = client_call(c);
    }
    assert_int_equal(err, ENOMEM);
    assert_int_equal(n, 65);                      /* 4 MiB, and one too many */
    assert_int_equal(client_clunk(c, 1), EINVAL); /* never written */
    client_begin(c, TXATTRCREATE);
    client_put(c, 4, fid - 1);
    client_put_string(c, "user.x");
    client_put(c, 8, 64 << 10);
    client_put(c, 4, 0);
    assert_int_equal(client_call(c), 0);
    assert_int_equal(client_write(c, fid - 1, 1, "x", 1), ENOSPC);
    assert_int_equal(client_write(c, fid - 1, 0, "x", 1), 0);
    assert_int_equal(client_walk(c, ROOT, 500, "f"), 0);
    client_begin(c, TXATTRCREATE);
    client_put(c, 4, 500);
    client_put_string(c, "user.x");
    client_put(c, 8, UINT64_MAX);
    client_put(c, 4, 0);
    assert_int_equal(client_call(c), ENOSPC);
    client_free(c);
}

static void sizes_that_lie_are_refused(void **state)
{
    client *c = client_new(VSR_FS9P_SQUASH, false, 0);
    uint8_t bytes[7] = { 100, 0, 0, 0, TCLUNK, 1, 0 };
    uint8_t reply[64];

    /* Longer than it is. */
    assert_int_equal(vsr_fs9p_serve(c->fs, bytes, 7, reply, 64), 11);
    assert_int_equal(reply[4], 7);
    bytes[0] = 3; /* shorter than a header */
    assert_int_equal(vsr_fs9p_serve(c->fs, bytes, 7, reply, 64), 11);
    assert_int_equal(vsr_fs9p_serve(c->fs, bytes, 6, reply, 64), 0);
    bytes[0] = 7;
    assert_int_equal(vsr_fs9p_serve(c->fs, bytes, 7, reply, 10), 0);
    /* A write of more than was sent; a read of more than fits. */
    assert_int_equal(client_walk(c, ROOT, 1, ""), 0);
    assert_int_equal(client_create(c, 1, "f", O_RDWR, 0600, 0), 0);
    assert_int_equal(client_write(c, 1, 0, "0123456789", 10), 0);
    client_begin(c, TWRITE);
    client_put(c, 4, 1);
    client_put(c, 8, 0);
    client_put(c, 4, 1000);
    client_put_bytes(c, "short", 5);
    assert_int_equal(client_call(c), EINVAL);
    client_begin(c, TWRITE);
    client_put(c, 4, 1);
    client_put(c, 8, UINT64_MAX);
    client_put(c, 4, 0);
    assert_int_equal(client_call(c), EINVAL);
    c->max = 20;
    client_begin(c, TREAD);
    client_put(c, 4, 1);
    client_put(c, 8, 0);
    client_put(c, 4, UINT32_MAX);
    assert_int_equal(client_call(c), 0);
    assert_int_equal(client_get(c, 4), 9);
    client_begin(c, TGETATTR);
    client_put(c, 4, 1);
    client_put(c, 8, 0);
    assert_int_equal(client_call(c), EMSGSIZE);
    c->max = MSIZE;
    client_free(c);
}

/* Each message, cut off after every byte, answers with an error or (optional
 * fields) well, and nothing of it is done by half. */
static void messages_may_end_anywhere(void **state)
{
    client *c = client_new(VSR_FS9P_SQUASH, false, 0);
    uint8_t all[96];

    for (uint32_t type = 0; type < 256; type++) {
        for (uint32_t fill = 0; fill < 3; fill++) {
            memset(all, fill == 2 ? 0xff : (int)fill, sizeof(all));
            for (uint32_t len = 0; len <= sizeof(all); len++) {
                client_begin(c, (uint8_t)type);
                client_put_bytes(c, all, len);
                (void)client_call(c);
            }
        }
        client_session(c, MSIZE);
    }
    client_free(c);
}

static void names_are_not_cut(void **state)
{
    client *c = client_new(VSR_FS9P_SQUASH, false, 0);
    g_autofree char *longest = g_strnfill(255, 'n');
    g_autofree char *more = g_strnfill(256, 'n');

    assert_int_equal(client_mkdir(c, ROOT, longest, 0755), 0);
    assert_int_equal(client_mkdir(c, ROOT, more, 0755), ENAMETOOLONG);
    client_begin(c, TMKDIR);
    client_put(c, 4, ROOT);
    client_put(c, 2, 3);
    client_put_bytes(c, "a\0b", 3);
    client_put(c, 4, 0755);
    client_put(c, 4, 0);
    assert_int_equal(client_call(c), EINVAL);
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_name_leads_out),
        cmocka_unit_test(no_link_leads_out),
        cmocka_unit_test(a_folder_that_becomes_a_link_stays_the_folder),
        cmocka_unit_test(fids_are_counted),
        cmocka_unit_test(attributes_in_use_are_counted),
        cmocka_unit_test(sizes_that_lie_are_refused),
        cmocka_unit_test(messages_may_end_anywhere),
        cmocka_unit_test(names_are_not_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
