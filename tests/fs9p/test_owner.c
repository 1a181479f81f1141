/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_owner.c: owners, modes, times and extended attributes, on the host and as
 * the guest sees them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/fs9p/client.h"

static vsr_fs9p_access natural(void)
{
    return geteuid() == 0 ? VSR_FS9P_PASSTHROUGH : VSR_FS9P_SQUASH;
}

static void attributes_are_set(void **state)
{
    client *c = client_new(natural(), false, 0);
    client_attr attr;
    struct stat st;

    client_host_write(c, "file", "0123456789");
    assert_int_equal(client_walk(c, ROOT, 1, "file"), 0);
    assert_int_equal(client_setattr(c, 1, 1, 04751, 0, 0, 0, 0), 0);
    assert_int_equal(client_host_stat(c, "file").st_mode & 07777, 04751);
    assert_int_equal(client_setattr(c, 1, 8, 0, 0, 0, 4, 0), 0);
    assert_int_equal(client_host_stat(c, "file").st_size, 4);
    /* Times: given ones, then now. */
    assert_int_equal(
        client_setattr(c, 1, 0x10 | 0x20 | 0x80 | 0x100, 0, 0, 0, 0, 1234567),
        0);
    st = client_host_stat(c, "file");
    assert_int_equal(st.st_mtim.tv_sec, 1234567);
    assert_int_equal(st.st_mtim.tv_nsec, 2);
    assert_int_equal(st.st_atim.tv_sec, 77);
    assert_int_equal(client_getattr(c, 1, &attr), 0);
    assert_int_equal(attr.mtime, 1234567);
    assert_int_equal(client_setattr(c, 1, 0x20, 0, 0, 0, 0, 5), 0);
    assert_true(client_host_stat(c, "file").st_mtim.tv_sec > 1700000000);
    assert_int_equal(client_setattr(c, 1, 0x1000, 0, 0, 0, 0, 0), EINVAL);
    assert_int_equal(client_setattr(c, ROOT, 8, 0, 0, 0, 4, 0), EISDIR);
    if (geteuid() == 0) {
        assert_int_equal(client_setattr(c, 1, 2 | 4, 0, 33, 44, 0, 0), 0);
        st = client_host_stat(c, "file");
        assert_int_equal(st.st_uid, 33);
        assert_int_equal(st.st_gid, 44);
        assert_int_equal(client_setattr(c, 1, 4, 0, 0, 45, 0, 0), 0);
        assert_int_equal(client_host_stat(c, "file").st_uid, 33);
    }
    client_free(c);
}

static void what_a_guests_user_makes_is_theirs(void **state)
{
    client *c;
    struct stat st;

    if (geteuid() != 0)
        skip();
    c = client_new(VSR_FS9P_PASSTHROUGH, false, 0);
    assert_int_equal(client_mkdir(c, ROOT, "dir", 02775), 0);
    st = client_host_stat(c, "dir");
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 1000);
    assert_int_equal(st.st_mode & 07777, 02775); /* whatever our umask is */
    assert_int_equal(client_walk(c, ROOT, 1, ""), 0);
    assert_int_equal(client_create(c, 1, "f", O_WRONLY, 04755, 7), 0);
    st = client_host_stat(c, "f");
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 7);
    assert_int_equal(st.st_mode & 07777, 04755);
    assert_int_equal(client_symlink(c, ROOT, "l", "x"), 0);
    assert_int_equal(client_host_stat(c, "l").st_uid, 1000);
    client_free(c);
}

/* --- extended attributes --- */

static int set_xattr(client *c, const char *file, const char *name,
                     const char *value, uint32_t flags)
{
    int err;

    assert_int_equal(client_walk(c, ROOT, 90, file), 0);
    client_begin(c, TXATTRCREATE);
    client_put(c, 4, 90);
    client_put_string(c, name);
    client_put(c, 8, strlen(value));
    client_put(c, 4, flags);
    err = client_call(c);
    if (err == 0 && value[0] != '\0')
        assert_int_equal(client_write(c, 90, 0, value, (uint32_t)strlen(value)),
                         0);
    return err | client_clunk(c, 90);
}

/* Bytes, or -errno. */
static int get_xattr(client *c, const char *file, const char *name, char *to,
                     uint32_t len)
{
    int n, err;

    assert_int_equal(client_walk(c, ROOT, 91, file), 0);
    client_begin(c, TXATTRWALK);
    client_put(c, 4, 91);
    client_put(c, 4, 92);
    client_put_string(c, name);
    err = client_call(c);
    n = err == 0 ? (int)client_get(c, 8) : -err;
    client_clunk(c, 91);
    if (err != 0)
        return n;
    assert_int_equal(client_read(c, 92, 0, to, len), n);
    client_clunk(c, 92);
    return n;
}

static bool has_xattrs(const client *c)
{
    return setxattr(c->dir, "user.test", "x", 1, 0) == 0;
}

static void attributes_of_any_name(void **state)
{
    client *c = client_new(natural(), false, 0);
    char got[100] = "";

    if (!has_xattrs(c)) {
        client_free(c);
        skip();
    }
    client_host_write(c, "file", "");
    assert_int_equal(set_xattr(c, "file", "user.colour", "blue", 0), 0);
    assert_int_equal(get_xattr(c, "file", "user.colour", got, 100), 4);
    assert_memory_equal(got, "blue", 4);
    assert_int_equal(get_xattr(c, "file", "", got, 100), 12);
    assert_string_equal(got, "user.colour");
    assert_int_equal(get_xattr(c, "file", "user.none", got, 100), -ENODATA);
    assert_int_equal(set_xattr(c, "file", "user.colour", "red", XATTR_CREATE),
                     EEXIST);
    assert_int_equal(set_xattr(c, "file", "user.colour", "", XATTR_REPLACE), 0);
    assert_int_equal(get_xattr(c, "file", "", got, 100), 0);
    client_free(c);
}

static void a_mapped_folder_is_all_ours(void **state)
{
    client *c = client_new(VSR_FS9P_MAPPED, false, 0);
    g_autofree char *target = NULL;
    client_attr attr;
    char got[300];
    struct stat st;

    if (!has_xattrs(c)) {
        client_free(c);
        skip();
    }
    assert_int_equal(client_walk(c, ROOT, 1, ""), 0);
    assert_int_equal(client_create(c, 1, "f", O_RDWR, 04755, 7), 0);
    assert_int_equal(client_getattr(c, 1, &attr), 0);
    assert_int_equal(attr.uid, 1000);
    assert_int_equal(attr.gid, 7);
    assert_int_equal(attr.mode, S_IFREG | 04755);
    st = client_host_stat(c, "f");
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(client_setattr(c, 1, 1 | 2, 0444, 5, 0, 0, 0), 0);
    assert_int_equal(client_getattr(c, 1, &attr), 0);
    assert_int_equal(attr.uid, 5);
    assert_int_equal(attr.gid, 7);
    assert_int_equal(attr.mode, S_IFREG | 0444);

    assert_int_equal(client_mknod(c, "null", S_IFCHR | 0666), 0);
    assert_true(S_ISREG(client_host_stat(c, "null").st_mode));
    assert_int_equal(client_walk(c, ROOT, 2, "null"), 0);
    assert_int_equal(client_getattr(c, 2, &attr), 0);
    assert_int_equal(attr.mode, S_IFCHR | 0666);
    assert_int_equal(attr.rdev, makedev(1, 3));
    assert_int_equal(client_open(c, 2, O_RDWR), ENXIO);

    assert_int_equal(client_symlink(c, ROOT, "l", "/etc/passwd"), 0);
    assert_true(S_ISREG(client_host_stat(c, "l").st_mode));
    assert_int_equal(client_walk(c, ROOT, 3, "l"), 0);
    client_begin(c, TREADLINK);
    client_put(c, 4, 3);
    assert_int_equal(client_call(c), 0);
    target = client_get_string(c);
    assert_string_equal(target, "/etc/passwd");
    assert_int_equal(client_open(c, 3, O_RDONLY), ELOOP);
    assert_int_equal(client_mkdir(c, ROOT, "d", 01777), 0);
    assert_int_equal(client_host_stat(c, "d").st_mode & 07777, 0700);

    /* What they are kept in is not the guest's to see or change. */
    assert_int_equal(get_xattr(c, "f", "", got, sizeof(got)), 0);
    assert_int_equal(get_xattr(c, "f", "user.virtfs.uid", got, 4), -ENODATA);
    assert_int_equal(client_walk(c, ROOT, 4, "f"), 0);
    client_begin(c, TXATTRCREATE);
    client_put(c, 4, 4);
    client_put_string(c, "user.virtfs.mode");
    client_put(c, 8, 4);
    client_put(c, 4, 0);
    assert_int_equal(client_call(c), EACCES);
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_set),
        cmocka_unit_test(what_a_guests_user_makes_is_theirs),
        cmocka_unit_test(attributes_of_any_name),
        cmocka_unit_test(a_mapped_folder_is_all_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
