/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_qcow2.c: qcow2 images of ours and of qemu-img, read and written by
 * either, checked by `qemu-img check`.
 *
 * Threads: the test's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <visor/error.h>

#include "tests/block/disk.h"
#include "tests/support/cm.h"

enum { SIZE = 24 << 20 };

static int make_dir(void **state)
{
    *state = dir_new();
    return 0;
}

static int make_fast_dir(void **state)
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
    static const char *const programs[] = { "qemu-img", "qemu-io" };

    return have(programs[0]) && have(programs[1]);
}

static char *in_dir(void **state, const char *name)
{
    return g_build_filename(*state, name, NULL);
}

/* Nothing wrong, nothing lost. */
static void must_be_sound(const char *path)
{
    g_autofree char *text = NULL;

    if (run(&text, "qemu-img check -f qcow2 '%s' 2>&1", path) != 0)
        fail_msg("qemu-img check %s: %s", path, text);
}

static void qemu_img_create(const char *path, const char *options)
{
    g_autofree char *text = NULL;

    if (run(&text, "qemu-img create -q -f qcow2 %s '%s' %d 2>&1", options, path,
            SIZE) != 0)
        fail_msg("qemu-img create %s: %s", options, text);
}

/* What QEMU reads is what the model has. */
static void qemu_must_read(const char *path, const model *m)
{
    g_autofree char *raw = g_strconcat(path, ".raw", NULL);
    g_autofree char *data = NULL;
    size_t len = 0;

    assert_int_equal(
        run(NULL, "qemu-img convert -f qcow2 -O raw '%s' '%s'", path, raw), 0);
    assert_true(g_file_get_contents(raw, &data, &len, NULL));
    assert_true(len == m->size);
    if (memcmp(data, m->bytes, len) != 0)
        fail_msg("QEMU reads something else from %s", path);
    assert_int_equal(unlink(raw), 0);
}

/* --- data --- */

static void round_trip(const char *path, uint64_t seed, uint32_t rounds,
                       const vsr_block_options *options)
{
    g_autoptr(GError) error = NULL;
    model m;

    model_init(&m, SIZE, seed);
    for (int pass = 0; pass < 3; pass++) {
        disk *d = disk_open(path, VSR_BLOCK_QCOW2, false, options, &error);

        if (d == NULL)
            fail_msg("%s", error->message);
        assert_true(vsr_block_bytes(d->block) == SIZE);
        model_compare(&m, d);
        model_run(&m, d, rounds);
        model_compare(&m, d);
        disk_close(d);
        if (have_qemu()) {
            must_be_sound(path);
            qemu_must_read(path, &m);
        }
    }
    model_fini(&m);
}

static void an_image_of_ours_keeps_what_was_written(void **state)
{
    g_autofree char *path = in_dir(state, "own.qcow2");
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);
    g_autoptr(GError) error = NULL;

    assert_true(vsr_block_create_qcow2(path, SIZE, NULL, 0, &error));
    if (have_qemu())
        must_be_sound(path);
    round_trip(path, 1, 40, &options);
    assert_false(vsr_block_create_qcow2(path, SIZE, NULL, 0, &error));
    assert_int_equal(error->code, VISOR_ERR_EXISTS);
}

static void all_cache_modes_keep_what_was_written(void **state)
{
    for (int cache = 0; cache <= VSR_BLOCK_CACHE_UNSAFE; cache++) {
        g_autofree char *name = g_strdup_printf("c%d.qcow2", cache);
        g_autofree char *path = in_dir(state, name);
        vsr_block_options options = disk_options(
            cache % 2 ? VSR_BLOCK_AIO_THREADS : VSR_BLOCK_AIO_DEFAULT,
            (vsr_block_cache)cache);

        assert_true(vsr_block_create_qcow2(path, SIZE, NULL, 0, NULL));
        options.detect_zeroes = cache == 2;
        round_trip(path, 50 + (uint64_t)cache, 8, &options);
    }
}

static void images_of_qemu_keep_what_was_written(void **state)
{
    static const char *const kinds[] = {
        "-o compat=0.10",
        "-o compat=1.1,lazy_refcounts=on",
        "-o cluster_size=512",
        "-o cluster_size=4k,refcount_bits=1",
        "-o cluster_size=2M",
        "-o cluster_size=512,refcount_bits=64",
        "-o refcount_bits=2",
        "-o refcount_bits=4,cluster_size=1k",
        "-o refcount_bits=8",
        "-o refcount_bits=32",
        "-o preallocation=metadata",
        "-o preallocation=falloc",
    };
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);

    if (!have_qemu())
        skip();
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *name = g_strdup_printf("q%zu.qcow2", i);
        g_autofree char *path = in_dir(state, name);

        print_message("           %s\n", kinds[i]);
        qemu_img_create(path, kinds[i]);
        round_trip(path, 100 + i, 15, &options);
    }
}

/* --- requests that overlap --- */

enum { STORM = 64, STORM_SIZE = 2 << 20, STORM_LEN = 96 << 10 };

/* Each 8 bytes say where they belong: whoever wins, nothing is elsewhere. */
static void tag(uint8_t *data, uint64_t offset, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += 8) {
        uint64_t word = (offset + at) | 1;

        memcpy(data + at, &word, 8);
    }
}

static void must_belong(const uint8_t *data, uint64_t offset, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += 8) {
        uint64_t word;

        memcpy(&word, data + at, 8);
        if (word != 0 && word != ((offset + at) | 1))
            fail_msg("%lx is at %lx", (unsigned long)word,
                     (unsigned long)(offset + at));
    }
}

static void storm(disk *d, model *random, uint8_t *memory)
{
    static const vsr_block_op ops[] = { VSR_BLOCK_READ, VSR_BLOCK_WRITE,
                                        VSR_BLOCK_WRITE, VSR_BLOCK_DISCARD,
                                        VSR_BLOCK_WRITE_ZEROES };
    g_autofree vsr_block_request *r = g_new0(vsr_block_request, STORM);
    struct iovec iov[STORM];
    int rcs[STORM];

    for (int i = 0; i < STORM; i++) {
        uint8_t *data = memory + (size_t)i * STORM_LEN;

        r[i].op = ops[model_random(random) % G_N_ELEMENTS(ops)];
        r[i].offset = model_random(random) % (STORM_SIZE / 4096) * 4096;
        r[i].len = 4096 * (1 + model_random(random) % (STORM_LEN / 4096));
        r[i].len = MIN(r[i].len, STORM_SIZE - r[i].offset);
        if (r[i].op != VSR_BLOCK_READ && model_random(random) % 2) {
            r[i].offset &= ~UINT64_C(0xffff); /* a whole cluster */
            r[i].len = 64 << 10;
        }
        if (model_random(random) % 16 == 0)
            r[i] = (vsr_block_request){ .op = VSR_BLOCK_FLUSH };
        r[i].may_unmap = true;
        iov[i] = (struct iovec){ data, (size_t)r[i].len };
        r[i].iov = &iov[i];
        r[i].n_iov = 1;
        tag(data, r[i].offset, r[i].len);
    }
    disk_run(d, r, STORM, rcs);
    for (int i = 0; i < STORM; i++) {
        assert_int_equal(rcs[i], 0);
        if (r[i].op == VSR_BLOCK_READ)
            must_belong(iov[i].iov_base, r[i].offset, r[i].len);
    }
}

static void overlapping_requests_never_mix_places(void **state)
{
    g_autofree char *path = in_dir(state, "storm.qcow2");
    g_autofree uint8_t *memory = g_malloc((size_t)STORM * STORM_LEN);
    g_autofree uint8_t *all = g_malloc(STORM_SIZE);
    model random;

    model_init(&random, 512, 4242);
    assert_true(vsr_block_create_qcow2(path, STORM_SIZE, NULL, 0, NULL));
    for (int aio = VSR_BLOCK_AIO_DEFAULT; aio <= VSR_BLOCK_AIO_THREADS; aio++) {
        vsr_block_options options =
            disk_options((vsr_block_aio)aio, VSR_BLOCK_CACHE_WRITEBACK);
        disk *d = disk_open(path, VSR_BLOCK_QCOW2, false, &options, NULL);

        for (int i = 0; i < 150; i++)
            storm(d, &random, memory);
        assert_int_equal(disk_read(d, 0, all, STORM_SIZE), 0);
        must_belong(all, 0, STORM_SIZE);
        disk_close(d);
        if (have_qemu())
            must_be_sound(path);
    }
    model_fini(&random);
}

/* Bitmaps of changed blocks are not kept up to date here. */
static void bitmaps_of_qemu_are_not_believed_any_more(void **state)
{
    g_autofree char *path = in_dir(state, "bitmap.qcow2");
    g_autofree char *text = NULL;
    uint8_t data[4096] = { 1 };
    disk *d;

    if (!have_qemu())
        skip();
    qemu_img_create(path, "");
    assert_int_equal(run(NULL, "qemu-img bitmap --add '%s' b", path), 0);
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    assert_int_equal(disk_write(d, 0, data, sizeof data), 0);
    disk_close(d);
    (void)run(&text, "qemu-img info '%s'", path);
    assert_null(strstr(text, "name: b"));
    if (run(NULL, "qemu-img check -f qcow2 '%s'", path) != 0)
        assert_int_equal(run(NULL, "qemu-img check -f qcow2 '%s'", path), 3);
}

/* A device does not grow, and has old contents where the image has nothing. */
static void a_block_device_holds_an_image(void **state)
{
    g_autofree char *file = in_dir(state, "device");
    g_autofree char *device = NULL;
    g_autofree uint8_t *data = g_malloc(1 << 20);
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);
    int refused = 0;
    model m;
    disk *d;

    if (!have_qemu())
        skip();
    assert_int_equal(run(NULL, "yes | head -c 32M > '%s'", file), 0);
    if (run(&device, "losetup --show -f '%s' 2>&1", file) != 0) {
        print_message("[  SKIPPED ] no loop device: %s", device);
        skip();
    }
    g_strstrip(device);
    qemu_img_create(device, "");
    round_trip(device, 71, 20, &options);
    /* A disk that is larger than what it is on. */
    assert_int_equal(run(NULL, "qemu-img create -q -f qcow2 '%s' 64M", device),
                     0);
    model_init(&m, 64 << 20, 1);
    d = disk_must_open(device, VSR_BLOCK_QCOW2);
    for (uint64_t at = 0; at < m.size; at += 1 << 20) {
        int rc;

        memset(data, (int)(at >> 20) + 1, 1 << 20);
        rc = disk_write(d, at, data, 1 << 20);
        if (rc == 0)
            memcpy(m.bytes + at, data, 1 << 20);
        else
            assert_int_equal(rc, -ENOSPC);
        refused += rc != 0;
    }
    assert_in_range(refused, 33, 36);
    assert_int_equal(disk_flush(d), 0);
    disk_close(d);
    must_be_sound(device);
    d = disk_must_open(device, VSR_BLOCK_QCOW2);
    for (uint64_t at = 0; at < 28 << 20; at += 1 << 20) {
        assert_int_equal(disk_read(d, at, data, 1 << 20), 0);
        assert_memory_equal(data, m.bytes + at, 1 << 20);
    }
    disk_close(d);
    model_fini(&m);
    assert_int_equal(run(NULL, "losetup -d '%s'", device), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
#define F(f) cmocka_unit_test_setup_teardown(f, make_fast_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(an_image_of_ours_keeps_what_was_written),
        T(all_cache_modes_keep_what_was_written),
        F(images_of_qemu_keep_what_was_written),
        F(overlapping_requests_never_mix_places),
        F(bitmaps_of_qemu_are_not_believed_any_more),
        F(a_block_device_holds_an_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
