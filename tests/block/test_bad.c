/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_bad.c: qcow2 images that lie.
 *
 * Threads: the test's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <visor/error.h>

#include "tests/block/disk.h"
#include "tests/support/cm.h"

enum {
    SIZE = 4 << 20,
    CLUSTER = 64 << 10,
    AT_REFTABLE = CLUSTER,
    AT_REFS = 2 * CLUSTER,
    AT_L1 = 3 * CLUSTER
};

static int make_image(void **state)
{
    char *dir = dir_new_fast();
    g_autofree char *path = g_build_filename(dir, "image", NULL);

    assert_true(vsr_block_create_qcow2(path, SIZE, NULL, 0, NULL));
    *state = dir;
    return 0;
}

static int remove_dir(void **state)
{
    dir_remove(*state);
    return 0;
}

static char *image_of(void **state)
{
    return g_build_filename(*state, "image", NULL);
}

static void put(const char *path, uint64_t at, uint64_t value, int bytes)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    value = GUINT64_TO_BE(value << (64 - bytes * 8));
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &value, (size_t)bytes, (off_t)at), bytes);
    close(fd);
}

static uint64_t get(const char *path, uint64_t at)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t value;

    assert_int_equal(pread(fd, &value, 8, (off_t)at), 8);
    close(fd);
    return GUINT64_FROM_BE(value);
}

static disk *try_open(const char *path, bool readonly, GError **error)
{
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);

    return disk_open(path, VSR_BLOCK_QCOW2, readonly, &options, error);
}

static void must_refuse(const char *path, bool readonly, visor_error_code code,
                        const char *part)
{
    g_autoptr(GError) error = NULL;
    disk *d = try_open(path, readonly, &error);

    if (d != NULL)
        fail_msg("accepted; should say '%s'", part);
    if ((int)error->code != (int)code || strstr(error->message, part) == NULL)
        fail_msg("'%s' (%d) does not say '%s'", error->message, error->code,
                 part);
}

static void headers_that_make_no_sense(void **state)
{
    static const struct {
        uint32_t at, bytes;
        uint64_t value;
        visor_error_code code;
        const char *part;
    } cases[] = {
        { 0, 4, 0x12345678, VISOR_ERR_IMAGE, "not a qcow2" },
        { 4, 4, 4, VISOR_ERR_NO_SUPPORT, "version 4" },
        { 4, 4, 1, VISOR_ERR_NO_SUPPORT, "version 1" },
        { 20, 4, 8, VISOR_ERR_IMAGE, "cluster size" },
        { 20, 4, 22, VISOR_ERR_IMAGE, "cluster size" },
        { 20, 4, UINT32_MAX, VISOR_ERR_IMAGE, "cluster size" },
        { 24, 8, UINT64_MAX, VISOR_ERR_IMAGE, "too large" },
        { 24, 8, UINT64_C(1) << 40, VISOR_ERR_IMAGE, "L1 table is too small" },
        { 32, 4, 1, VISOR_ERR_NO_SUPPORT, "encrypted" },
        { 36, 4, (4 << 20) + 1, VISOR_ERR_IMAGE, "larger than 32 MiB" },
        { 36, 4, 1 << 20, VISOR_ERR_IMAGE, "not inside" },
        { 40, 8, 12345, VISOR_ERR_IMAGE, "L1 table is not inside" },
        { 40, 8, UINT64_MAX - CLUSTER + 1, VISOR_ERR_IMAGE, "not inside" },
        { 40, 8, 0, VISOR_ERR_IMAGE, "not inside" },
        { 40, 8, AT_REFTABLE, VISOR_ERR_IMAGE, "overlap" },
        { 48, 8, 1, VISOR_ERR_IMAGE, "refcount table is not inside" },
        { 56, 4, 0, VISOR_ERR_IMAGE, "no refcount table" },
        { 56, 4, 129, VISOR_ERR_IMAGE, "larger than 8 MiB" },
        { 60, 4, 65537, VISOR_ERR_IMAGE, "snapshots" },
        { 60, 4, 3, VISOR_ERR_IMAGE, "snapshot table is wrong" },
        { 8, 8, 4, VISOR_ERR_IMAGE, "backing file's name" },
        { 72, 8, 4, VISOR_ERR_NO_SUPPORT, "external data file" },
        { 72, 8, 16, VISOR_ERR_NO_SUPPORT, "extended L2" },
        { 72, 8, UINT64_C(1) << 40, VISOR_ERR_NO_SUPPORT, "bit 40" },
        { 72, 8, 8, VISOR_ERR_IMAGE, "compression" },
        { 96, 4, 7, VISOR_ERR_IMAGE, "wider than 64" },
        { 100, 4, 96, VISOR_ERR_IMAGE, "header's length" },
        { 100, 4, UINT32_MAX & ~7u, VISOR_ERR_IMAGE, "header's length" },
        { 104, 8, UINT64_C(0x1234567812345678), VISOR_ERR_IMAGE, "too long" },
    };
    g_autofree char *path = image_of(state);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t before = get(path, cases[i].at);

        put(path, cases[i].at, cases[i].value, (int)cases[i].bytes);
        must_refuse(path, false, cases[i].code, cases[i].part);
        put(path, cases[i].at, before, 8);
        put(path, 72, 0, 8); /* some were marked as corrupt */
        disk_close(disk_must_open(path, VSR_BLOCK_QCOW2));
    }
}

static void a_feature_is_refused_by_its_name(void **state)
{
    g_autofree char *path = image_of(state);
    uint64_t name;

    memcpy(&name, "teleport", 8);
    put(path, 104, 0x6803f857, 4);
    put(path, 108, 48, 4);
    put(path, 112, 37, 2); /* incompatible, bit 37 */
    put(path, 114, GUINT64_FROM_BE(name), 8);
    disk_close(disk_must_open(path, VSR_BLOCK_QCOW2));
    put(path, 72, UINT64_C(1) << 37, 8);
    must_refuse(path, true, VISOR_ERR_NO_SUPPORT, "'teleport'");
}

static void every_truncation_is_survived(void **state)
{
    g_autofree char *path = image_of(state);
    static const int lengths[] = { 0,       3,           4,       71,
                                   72,      103,         104,     4096,
                                   CLUSTER, AT_REFS - 1, AT_REFS, AT_L1 };

    for (size_t i = G_N_ELEMENTS(lengths); i > 0; i--) {
        assert_int_equal(truncate(path, lengths[i - 1]), 0);
        must_refuse(path, false, VISOR_ERR_IMAGE, path);
    }
}

static void a_corrupt_image_is_only_read(void **state)
{
    g_autofree char *path = image_of(state);
    uint8_t data[512];
    disk *d;

    put(path, 72, 2, 8);
    must_refuse(path, false, VISOR_ERR_IMAGE, "corrupt");
    d = try_open(path, true, NULL);
    assert_non_null(d);
    assert_int_equal(disk_read(d, 0, data, 512), 0);
    disk_close(d);
}

/* Tables that point at each other, at themselves, or nowhere. */
static void l1_entries_that_are_wrong(void **state)
{
    static const uint64_t wrong[] = {
        0x8000000000000000, 0x8000000000000001,
        0x0100000000040000, 0x8000000000001000, /* inside of a cluster */
        0x8000000000030000,                     /* the L1 table itself */
        0x8000000000020000,                     /* a refcount block */
        0x8000000000010000,                     /* the refcount table */
        0x8000000010000000,                     /* beyond the file */
        0x80ffffffffff0000,
    };
    g_autofree char *path = image_of(state);

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        uint8_t data[512];
        disk *d;

        put(path, AT_L1, wrong[i], 8);
        d = try_open(path, true, NULL);
        assert_non_null(d);
        assert_int_equal(disk_read(d, 0, data, 512), -EIO);
        disk_close(d);
        put(path, 72, 0, 8);
        must_refuse(path, false, VISOR_ERR_IMAGE, "corrupt");
        assert_int_equal(get(path, 72), 2); /* and it is marked */
        put(path, 72, 0, 8);
        put(path, AT_L1, 0, 8);
    }
}

/* A table at the end, whose first entry is wrong and whose second is right. */
static uint64_t add_table(const char *path, uint64_t entry)
{
    disk *d = disk_must_open(path, VSR_BLOCK_QCOW2);
    uint8_t data[512];
    uint64_t table;

    memset(data, 7, sizeof data);
    assert_int_equal(disk_write(d, 0, data, 512), 0);
    assert_int_equal(disk_write(d, CLUSTER, data, 512), 0);
    disk_close(d);
    table = get(path, AT_L1) & ~(UINT64_C(1) << 63);
    put(path, table, entry, 8);
    return table;
}

static void l2_entries_that_are_wrong(void **state)
{
    static const uint64_t wrong[] = {
        0x8000000000000000,           0x8000000000000200,
        0x8000000000040002,           0x8000000000000000 | AT_L1,
        0x8000000000000000 | AT_REFS, 0x8000000000000000 | AT_REFTABLE,
        0xa000000000050000,           0x80ffffffffff0000,
        0x4fffffffffffffff,           0x40ffffff00000000,
    };
    g_autofree char *path = image_of(state);

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        uint8_t data[512], seven[512];
        disk *d;

        unlink(path);
        assert_true(vsr_block_create_qcow2(path, SIZE, NULL, 0, NULL));
        (void)add_table(path, wrong[i]);
        memset(seven, 7, sizeof seven);
        d = try_open(path, true, NULL);
        assert_int_equal(disk_read(d, 0, data, 512), -EIO);
        assert_int_equal(disk_read(d, CLUSTER, data, 512), 0);
        assert_memory_equal(data, seven, 512);
        disk_close(d);
        d = disk_must_open(path, VSR_BLOCK_QCOW2);
        assert_int_equal(disk_write(d, 0, data, 512), -EIO);
        /* from now on it is only read */
        assert_int_equal(disk_write(d, CLUSTER, data, 512), -EIO);
        assert_int_equal(disk_read(d, CLUSTER, data, 512), 0);
        disk_close(d);
        assert_int_equal(get(path, 72), 2);
    }
}

/* Counts that say a table's cluster is free. */
static void counts_that_are_wrong(void **state)
{
    g_autofree char *path = image_of(state);
    uint8_t data[512] = { 1 };
    uint64_t l1;
    disk *d;

    put(path, AT_REFS, 0, 8); /* all four clusters are "free" */
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    l1 = get(path, AT_L1);
    assert_int_equal(disk_write(d, 0, data, 512), -EIO);
    disk_close(d);
    assert_true(get(path, AT_L1) == l1);
    assert_int_equal(get(path, 72), 2);
    put(path, 72, 0, 8);
    put(path, AT_REFTABLE, AT_L1, 8); /* a table of counts that is another */
    must_refuse(path, false, VISOR_ERR_IMAGE, "refcount table's entry");
}

static void packed_nonsense_is_an_error(void **state)
{
    g_autofree char *path = image_of(state);
    uint8_t data[512];
    disk *d;

    /* "Compressed" data that is the header. */
    (void)add_table(path, 0x4000000000000000);
    d = try_open(path, true, NULL);
    assert_int_equal(disk_read(d, 0, data, 512), -EIO);
    assert_int_equal(disk_read(d, CLUSTER, data, 512), 0);
    disk_close(d);
}

/* The host's limit of a file's size stands for a full disk. */
static void a_full_disk_is_survived(void **state)
{
    g_autofree char *path = image_of(state);
    disk *d = disk_must_open(path, VSR_BLOCK_QCOW2);
    struct rlimit before, limit;
    g_autofree uint8_t *data = g_malloc(1 << 20);
    int refused = 0;

    memset(data, 9, 1 << 20);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (uint64_t at = 0; at < SIZE; at += CLUSTER)
        refused += disk_write(d, at, data, CLUSTER) == -EFBIG;
    assert_true(refused > 40);
    assert_int_equal(disk_read(d, 0, data, CLUSTER), 0);
    assert_int_equal(data[0], 9);
    assert_int_equal(disk_flush(d), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    /* there is room again */
    for (uint64_t at = 0; at < SIZE; at += CLUSTER)
        assert_int_equal(disk_write(d, at, data, CLUSTER), 0);
    disk_close(d);
    if (have("qemu-img"))
        assert_int_equal(run(NULL, "qemu-img check '%s'", path), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_image, remove_dir)
    const struct CMUnitTest tests[] = {
        T(headers_that_make_no_sense),   T(a_feature_is_refused_by_its_name),
        T(every_truncation_is_survived), T(a_corrupt_image_is_only_read),
        T(l1_entries_that_are_wrong),    T(l2_entries_that_are_wrong),
        T(counts_that_are_wrong),        T(packed_nonsense_is_an_error),
        T(a_full_disk_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
