/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_chain.c: images based on others: which files may be, what is read
 * through them; compressed clusters, snapshots, growing.
 *
 * Threads: the test's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <visor/error.h>

#include "tests/block/disk.h"
#include "tests/support/cm.h"

enum { SIZE = 16 << 20 };

static int make_dir(void **state)
{
    *state = dir_new_fast();
    return 0;
}

static int remove_dir(void **state)
{
    dir_remove(*state);
    return 0;
}

static bool have_qemu(void)
{
    return have("qemu-img") && have("qemu-io");
}

static char *in_dir(void **state, const char *name)
{
    return g_build_filename(*state, name, NULL);
}

static void must_run(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void must_run(const char *format, ...)
{
    g_autofree char *command = NULL;
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    if (run(&text, "(%s) 2>&1", command) != 0)
        fail_msg("%s: %s", command, text);
}

static bool open_source(const char *path, const char *const *folders,
                        vsr_block_source *source, GError **error)
{
    g_autofree char *copy = g_strdup(path);
    vsr_block_location location = { .path = copy, .format = VSR_BLOCK_QCOW2 };

    return vsr_block_source_open(source, &location, folders, error);
}

static void must_refuse(const char *path, const char *const *folders,
                        visor_error_code code, const char *part)
{
    g_autoptr(GError) error = NULL;
    vsr_block_source source;

    assert_false(open_source(path, folders, &source, &error));
    if ((int)error->code != (int)code || strstr(error->message, part) == NULL)
        fail_msg("'%s' (%d) does not say '%s'", error->message, error->code,
                 part);
}

/* An image file with random contents; the model has them, too. */
static void make_raw(const char *path, model *m)
{
    for (uint64_t i = 0; i < m->size; i += 8) {
        uint64_t word = i / 65536 % 5 == 0 ? 0 : model_random(m);

        memcpy(m->bytes + i, &word, 8);
    }
    assert_true(
        g_file_set_contents(path, (char *)m->bytes, (gssize)m->size, NULL));
}

static void qemu_must_read(const char *path, const model *m)
{
    g_autofree char *raw = g_strconcat(path, ".out", NULL);
    g_autofree char *data = NULL;
    size_t len = 0;

    must_run("qemu-img convert -f qcow2 -O raw '%s' '%s'", path, raw);
    assert_true(g_file_get_contents(raw, &data, &len, NULL));
    assert_true(len == m->size);
    if (memcmp(data, m->bytes, len) != 0)
        fail_msg("QEMU reads something else from %s", path);
    unlink(raw);
}

/* --- what is read --- */

static void chain_of(void **state, const char *options)
{
    g_autofree char *base = in_dir(state, "base.raw");
    g_autofree char *mid = in_dir(state, "mid.qcow2");
    g_autofree char *top = in_dir(state, "top.qcow2");
    model m;
    disk *d;

    model_init(&m, SIZE, 77);
    m.size = SIZE / 2; /* the base is shorter */
    make_raw(base, &m);
    m.size = SIZE;
    must_run("qemu-img create -q -f qcow2 -b base.raw -F raw %s '%s' %d",
             options, mid, SIZE);
    must_run("qemu-io -f qcow2 -c 'write -P 3 1M 100k' -c 'write -z 2M 1M' "
             "-c 'write -P 4 9M 64k' '%s'",
             mid);
    memset(m.bytes + (1 << 20), 3, 100 << 10);
    memset(m.bytes + (2 << 20), 0, 1 << 20);
    memset(m.bytes + (9 << 20), 4, 64 << 10);
    must_run("qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 %s '%s'",
             options, top);
    d = disk_must_open(top, VSR_BLOCK_QCOW2);
    model_compare(&m, d);
    model_run(&m, d, 60);
    model_compare(&m, d);
    disk_close(d);
    must_run("qemu-img check '%s' && qemu-img check '%s'", top, mid);
    qemu_must_read(top, &m);
    d = disk_must_open(top, VSR_BLOCK_QCOW2);
    model_compare(&m, d);
    disk_close(d);
    model_fini(&m);
    must_run("rm '%s' '%s' '%s'", base, mid, top);
}

static void overlays_read_through(void **state)
{
    if (!have_qemu())
        skip();
    chain_of(state, "-o cluster_size=64k");
    chain_of(state, "-o cluster_size=4k,compat=0.10");
    chain_of(state, "-o cluster_size=512,refcount_bits=1");
    chain_of(state, "-o cluster_size=2M");
}

static void our_overlay_takes_the_size_of_its_base(void **state)
{
    g_autofree char *base = in_dir(state, "base");
    g_autofree char *top = in_dir(state, "top");
    g_autofree char *top2 = in_dir(state, "top2");
    g_autoptr(GError) error = NULL;
    model m;
    disk *d;

    model_init(&m, 3 << 20, 5);
    make_raw(base, &m);
    assert_true(vsr_block_create_qcow2(top, 0, "base", VSR_BLOCK_RAW, &error));
    assert_true(vsr_block_create_qcow2(top2, 0, top, VSR_BLOCK_QCOW2, &error));
    d = disk_must_open(top2, VSR_BLOCK_QCOW2);
    assert_true(vsr_block_bytes(d->block) == 3 << 20);
    model_compare(&m, d);
    model_run(&m, d, 30);
    disk_close(d);
    if (have_qemu()) {
        must_run("qemu-img check '%s'", top2);
        qemu_must_read(top2, &m);
    }
    model_fini(&m);
}

static void compressed_clusters_are_read(void **state)
{
    static const char *const kinds[] = {
        "-o compression_type=zlib", "-o compression_type=zstd",
        "-o cluster_size=4k,compression_type=zlib",
        "-o cluster_size=2M,compression_type=zstd"
    };
    g_autofree char *raw = in_dir(state, "raw");
    model m;

    if (!have_qemu())
        skip();
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = in_dir(state, "packed");
        disk *d;

        model_init(&m, SIZE, 9);
        make_raw(raw, &m);
        for (uint64_t at = 0; at < SIZE; at += 4096) /* so that it packs */
            memset(m.bytes + at, (int)(at >> 12), 3000);
        assert_true(g_file_set_contents(raw, (char *)m.bytes, SIZE, NULL));
        must_run("qemu-img convert -c -f raw -O qcow2 %s '%s' '%s'", kinds[i],
                 raw, path);
        d = disk_must_open(path, VSR_BLOCK_QCOW2);
        model_compare(&m, d);
        model_run(&m, d, 40);
        model_compare(&m, d);
        disk_close(d);
        must_run("qemu-img check '%s'", path);
        qemu_must_read(path, &m);
        model_fini(&m);
        must_run("rm '%s'", path);
    }
}

static void snapshots_are_kept(void **state)
{
    g_autofree char *path = in_dir(state, "snapshots");
    model then, now;
    disk *d;

    if (!have_qemu())
        skip();
    must_run("qemu-img create -q -f qcow2 '%s' %d", path, SIZE);
    model_init(&now, SIZE, 21);
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    model_run(&now, d, 30);
    model_compare(&now, d);
    disk_close(d);
    must_run("qemu-img snapshot -c one '%s'", path);
    then = now;
    then.bytes = g_malloc(SIZE);
    memcpy(then.bytes, now.bytes, SIZE);
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    model_run(&now, d, 40);
    model_compare(&now, d);
    disk_close(d);
    must_run("qemu-img check '%s'", path);
    qemu_must_read(path, &now);
    must_run("qemu-img snapshot -c two '%s'", path);
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    assert_int_equal(disk_discard(d, 0, SIZE), 0);
    memset(now.bytes, 0, SIZE);
    model_run(&now, d, 10);
    disk_close(d);
    must_run("qemu-img check '%s'", path);
    qemu_must_read(path, &now);
    must_run("qemu-img snapshot -a one '%s'", path);
    qemu_must_read(path, &then);
    must_run("qemu-img snapshot -d one '%s' && qemu-img snapshot -d two '%s' "
             "&& qemu-img check '%s'",
             path, path, path);
    model_fini(&then);
    model_fini(&now);
}

static void a_disk_grows(void **state)
{
    g_autofree char *path = in_dir(state, "grows");
    g_autoptr(GError) error = NULL;
    uint8_t data[4096], got[4096];
    uint64_t size = 1 << 20;
    disk *d;

    memset(data, 0x5a, sizeof data);
    assert_true(vsr_block_create_qcow2(path, size, NULL, 0, NULL));
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    assert_int_equal(disk_write(d, 0, data, 4096), 0);
    assert_false(vsr_block_resize(d->block, 1024, &error));
    assert_int_equal(error->code, VISOR_ERR_NO_SUPPORT);
    g_clear_error(&error);
    /* within the L1 table, then beyond, then far beyond */
    for (int i = 0; i < 3; i++) {
        size = (uint64_t[]){ 3 << 20, UINT64_C(5) << 30, UINT64_C(1) << 46 }[i];
        assert_true(vsr_block_resize(d->block, size, &error));
        assert_true(vsr_block_bytes(d->block) == size);
        /* As if the process ended here: nothing is lost, not even a cluster. */
        if (have_qemu())
            must_run("qemu-img check -U '%s'", path);
        assert_int_equal(disk_write(d, size - 4096, data, 4096), 0);
        assert_int_equal(disk_read(d, size - 4096, got, 4096), 0);
        assert_memory_equal(data, got, 4096);
        assert_int_equal(disk_read(d, 0, got, 4096), 0);
        assert_memory_equal(data, got, 4096);
    }
    assert_false(vsr_block_resize(d->block, UINT64_C(1) << 60, &error));
    assert_int_equal(error->code, VISOR_ERR_CONFIG);
    disk_close(d);
    if (have_qemu())
        must_run("qemu-img check '%s'", path);
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    assert_true(vsr_block_bytes(d->block) == size);
    assert_int_equal(disk_read(d, size - 4096, got, 4096), 0);
    assert_memory_equal(data, got, 4096);
    disk_close(d);
}

/* What an overlay does not hide would appear in its new part. */
static void an_overlay_smaller_than_its_base_does_not_grow(void **state)
{
    g_autofree char *base = in_dir(state, "larger");
    g_autofree char *top = in_dir(state, "smaller");
    g_autoptr(GError) error = NULL;
    disk *d;

    assert_true(vsr_block_create_qcow2(base, 4 << 20, NULL, 0, NULL));
    assert_true(
        vsr_block_create_qcow2(top, 1 << 20, base, VSR_BLOCK_QCOW2, NULL));
    d = disk_must_open(top, VSR_BLOCK_QCOW2);
    assert_false(vsr_block_resize(d->block, 2 << 20, &error));
    assert_int_equal(error->code, VISOR_ERR_NO_SUPPORT);
    assert_non_null(strstr(error->message, base));
    assert_int_equal(vsr_block_bytes(d->block), 1 << 20);
    disk_close(d);
}

/* The new L1 table finds no space: the image is what it was. */
static void a_full_host_leaves_an_image_as_it_was(void **state)
{
    g_autofree char *path = in_dir(state, "full");
    g_autoptr(GError) error = NULL;
    struct rlimit limit, small;
    uint8_t data[4096], got[4096];
    struct stat st;
    disk *d;

    memset(data, 0x5a, sizeof data);
    assert_true(vsr_block_create_qcow2(path, 1 << 20, NULL, 0, NULL));
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    assert_int_equal(disk_write(d, 0, data, 4096), 0);
    assert_int_equal(disk_flush(d), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = (rlim_t)st.st_size;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_false(vsr_block_resize(d->block, UINT64_C(1) << 44, &error));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(vsr_block_bytes(d->block), 1 << 20);
    /* With space there again it is done. */
    assert_int_equal(disk_write(d, 65536, data, 4096), 0);
    assert_true(vsr_block_resize(d->block, UINT64_C(1) << 44, NULL));
    assert_int_equal(disk_read(d, 0, got, 4096), 0);
    assert_memory_equal(data, got, 4096);
    disk_close(d);
    if (have_qemu())
        must_run("qemu-img check '%s'", path);
}

/* Enough clusters for more refcount blocks and a larger table of them. */
static void many_refcount_blocks(void **state)
{
    g_autofree char *path = in_dir(state, "many");
    g_autofree uint8_t *data = g_malloc(1 << 20);
    disk *d;

    if (!have_qemu())
        skip();
    must_run("qemu-img create -q -f qcow2 -o cluster_size=512,refcount_bits=64 "
             "'%s' 64M",
             path);
    memset(data, 1, 1 << 20);
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    for (uint64_t at = 0; at < 64 << 20; at += 1 << 20)
        assert_int_equal(disk_write(d, at, data, 1 << 20), 0);
    disk_close(d);
    must_run("qemu-img check '%s'", path);
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    assert_int_equal(disk_discard(d, 0, 60 << 20), 0);
    assert_int_equal(disk_flush(d), 0);
    for (uint64_t at = 0; at < 30 << 20; at += 1 << 20)
        assert_int_equal(disk_write(d, at, data, 1 << 20), 0);
    disk_close(d);
    must_run("qemu-img check '%s'", path);
}

/* --- which files --- */

static void a_backing_format_is_never_guessed(void **state)
{
    g_autofree char *base = in_dir(state, "base");
    g_autofree char *top = in_dir(state, "top");
    FILE *f;
    model m;

    model_init(&m, 1 << 20, 5);
    make_raw(base, &m);
    model_fini(&m);
    assert_true(vsr_block_create_qcow2(top, 0, "base", VSR_BLOCK_RAW, NULL));
    /* the extension's type: one that nobody knows */
    f = fopen(top, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, 104, SEEK_SET), 0);
    assert_int_equal(fputc(0x11, f), 0x11);
    fclose(f);
    must_refuse(top, NULL, VISOR_ERR_CONFIG, "never guessed");
}

static void backing_files_stay_in_their_folders(void **state)
{
    g_autofree char *allowed = in_dir(state, "allowed");
    g_autofree char *similar = in_dir(state, "allowed-not");
    g_autofree char *top = in_dir(state, "top");
    g_autofree char *linked = in_dir(state, "linked");
    g_autofree char *link = g_build_filename(allowed, "link", NULL);
    g_autofree char *good = g_build_filename(allowed, "good", NULL);
    g_autofree char *bad = g_build_filename(similar, "bad", NULL);
    const char *const folders[] = { allowed, NULL };
    const char *const none[] = { NULL };
    vsr_block_source source;
    model m;

    assert_int_equal(mkdir(allowed, 0700), 0);
    assert_int_equal(mkdir(similar, 0700), 0);
    model_init(&m, 1 << 20, 5);
    make_raw(good, &m);
    make_raw(bad, &m);
    model_fini(&m);
    assert_int_equal(symlink(bad, link), 0);
    assert_true(
        vsr_block_create_qcow2(top, 1 << 20, good, VSR_BLOCK_RAW, NULL));
    assert_true(open_source(top, folders, &source, NULL));
    assert_int_equal(source.n, 2);
    assert_true(source.image[1].readonly);
    vsr_block_source_clear(&source);
    must_refuse(top, none, VISOR_ERR_CONFIG, "not in a folder");
    /* a link in the folder to a file that is not */
    assert_true(
        vsr_block_create_qcow2(linked, 1 << 20, link, VSR_BLOCK_RAW, NULL));
    must_refuse(linked, folders, VISOR_ERR_CONFIG, "not in a folder");
    assert_int_equal(unlink(linked), 0);
    assert_true(
        vsr_block_create_qcow2(linked, 1 << 20, bad, VSR_BLOCK_RAW, NULL));
    must_refuse(linked, folders, VISOR_ERR_CONFIG, "not in a folder");
    assert_true(open_source(linked, NULL, &source, NULL));
    vsr_block_source_clear(&source);
}

/* Relative to where the overlay really is, not to a link to it. */
static void relative_names_are_resolved(void **state)
{
    g_autofree char *sub = in_dir(state, "sub");
    g_autofree char *base = g_build_filename(sub, "base", NULL);
    g_autofree char *top = g_build_filename(sub, "top", NULL);
    g_autofree char *link = in_dir(state, "link");
    vsr_block_source source;
    model m;

    assert_int_equal(mkdir(sub, 0700), 0);
    model_init(&m, 1 << 20, 5);
    make_raw(base, &m);
    model_fini(&m);
    assert_true(vsr_block_create_qcow2(top, 0, "base", VSR_BLOCK_RAW, NULL));
    assert_int_equal(symlink(top, link), 0);
    assert_true(open_source(link, NULL, &source, NULL));
    assert_int_equal(source.n, 2);
    vsr_block_source_clear(&source);
}

static void loops_and_long_chains_are_refused(void **state)
{
    g_autofree char *a = in_dir(state, "a");
    g_autofree char *b = in_dir(state, "b");
    g_autofree char *missing = in_dir(state, "missing");

    assert_true(vsr_block_create_qcow2(a, 1 << 20, "b", VSR_BLOCK_QCOW2, NULL));
    assert_true(vsr_block_create_qcow2(b, 1 << 20, "a", VSR_BLOCK_QCOW2, NULL));
    must_refuse(a, NULL, VISOR_ERR_CONFIG, "its own backing file");
    for (int i = 0; i < VSR_BLOCK_CHAIN_MAX + 1; i++) {
        g_autofree char *name = g_strdup_printf("chain%d", i);
        g_autofree char *below = g_strdup_printf("chain%d", i - 1);
        g_autofree char *path = in_dir(state, name);
        vsr_block_source source;

        assert_true(vsr_block_create_qcow2(path, 1 << 20, i > 0 ? below : NULL,
                                           VSR_BLOCK_QCOW2, NULL));
        if (i < VSR_BLOCK_CHAIN_MAX) {
            assert_true(open_source(path, NULL, &source, NULL));
            assert_int_equal(source.n, i + 1);
            vsr_block_source_clear(&source);
        } else {
            must_refuse(path, NULL, VISOR_ERR_CONFIG, "more than");
        }
    }
    assert_true(vsr_block_create_qcow2(missing, 1 << 20, "nothing",
                                       VSR_BLOCK_RAW, NULL));
    must_refuse(missing, NULL, VISOR_ERR_NOT_FOUND, "nothing");
    assert_int_equal(unlink(missing), 0);
    assert_true(vsr_block_create_qcow2(missing, 1 << 20, "nbd://host/x",
                                       VSR_BLOCK_RAW, NULL));
    must_refuse(missing, NULL, VISOR_ERR_CONFIG, "not a file's name");
}

static void a_base_is_read_by_many_and_written_by_none(void **state)
{
    g_autofree char *base = in_dir(state, "base");
    g_autofree char *one = in_dir(state, "one");
    g_autofree char *two = in_dir(state, "two");
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);
    g_autoptr(GError) error = NULL;
    disk *d1, *d2;

    assert_true(vsr_block_create_qcow2(base, 1 << 20, NULL, 0, NULL));
    assert_true(vsr_block_create_qcow2(one, 0, base, VSR_BLOCK_QCOW2, NULL));
    assert_true(vsr_block_create_qcow2(two, 0, base, VSR_BLOCK_QCOW2, NULL));
    d1 = disk_must_open(one, VSR_BLOCK_QCOW2);
    d2 = disk_must_open(two, VSR_BLOCK_QCOW2);
    assert_null(disk_open(base, VSR_BLOCK_QCOW2, false, &options, &error));
    assert_int_equal(error->code, VISOR_ERR_BUSY);
    disk_close(d1);
    disk_close(d2);
    d1 = disk_must_open(base, VSR_BLOCK_QCOW2);
    must_refuse(one, NULL, VISOR_ERR_BUSY, base);
    disk_close(d1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(overlays_read_through),
        T(our_overlay_takes_the_size_of_its_base),
        T(compressed_clusters_are_read),
        T(snapshots_are_kept),
        T(a_disk_grows),
        T(an_overlay_smaller_than_its_base_does_not_grow),
        T(a_full_host_leaves_an_image_as_it_was),
        T(many_refcount_blocks),
        T(a_backing_format_is_never_guessed),
        T(backing_files_stay_in_their_folders),
        T(relative_names_are_resolved),
        T(loops_and_long_chains_are_refused),
        T(a_base_is_read_by_many_and_written_by_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
