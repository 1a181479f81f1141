/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_powercut.c: what qcow2 writes to its file is recorded, with the flushes
 * between. Then power fails somewhere: all that was flushed is on the disk, of
 * the rest some sectors. What comes of it must be sound for qemu-img, and hold
 * what the guest had flushed.
 *
 * The functions of libc that change files are replaced here.
 *
 * Threads: requests come one at a time, so the record has one writer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/block/disk.h"
#include "tests/support/cm.h"

enum {
    SLOTS = 96,
    SLOT = 20 << 10,
    SIZE = SLOTS * SLOT,
    LEN = 6 << 10,
    OPERATIONS = 150,
    CUTS = 25,
    SECTOR = 512
};

typedef enum { EVENT_WRITE, EVENT_PUNCH, EVENT_FLUSH, EVENT_GUEST } event_kind;

typedef struct {
    event_kind kind;
    uint64_t offset, len;
    uint8_t *data; /* WRITE */
    /* GUEST: the guest's state from here on */
    uint64_t written[SLOTS], flushed[SLOTS];
} event;

typedef struct {
    bool on;
    GMutex lock;
    GPtrArray *events;
} recorder;

static recorder *const record = &(recorder){ 0 };

static event *note(event_kind kind, uint64_t offset, uint64_t len)
{
    event *e = g_new0(event, 1);

    e->kind = kind;
    e->offset = offset;
    e->len = len;
    g_mutex_lock(&record->lock);
    g_ptr_array_add(record->events, e);
    g_mutex_unlock(&record->lock);
    return e;
}

/* --- libc --- */

ssize_t note_pwritev2(int fd, const struct iovec *iov, int n, off_t offset,
                      int flags) __asm__("pwritev64v2");
int note_fallocate(int fd, int mode, off_t offset,
                   off_t len) __asm__("fallocate64");
int note_fdatasync(int fd) __asm__("fdatasync");

ssize_t note_pwritev2(int fd, const struct iovec *iov, int n, off_t offset,
                      int flags)
{
    if (record->on) {
        size_t len = 0, at = 0;
        event *e;

        for (int i = 0; i < n; i++)
            len += iov[i].iov_len;
        e = note(EVENT_WRITE, (uint64_t)offset, len);
        e->data = g_malloc(len);
        for (int i = 0; i < n; at += iov[i++].iov_len)
            memcpy(e->data + at, iov[i].iov_base, iov[i].iov_len);
    }
    return syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags);
}

int note_fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (record->on)
        note(EVENT_PUNCH, (uint64_t)offset, (uint64_t)len);
    return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int note_fdatasync(int fd)
{
    if (record->on)
        note(EVENT_FLUSH, 0, 0);
    return 0;
}

/* --- the guest --- */

static void guest_note(const uint64_t *written, const uint64_t *flushed)
{
    event *e = note(EVENT_GUEST, 0, 0);

    memcpy(e->written, written, sizeof e->written);
    memcpy(e->flushed, flushed, sizeof e->flushed);
}

static void guest_write(disk *d, uint32_t i, uint64_t value)
{
    uint8_t data[LEN];

    for (size_t at = 0; at < LEN; at += 8)
        memcpy(data + at, &value, 8);
    assert_int_equal(disk_write(d, (uint64_t)i * SLOT, data, LEN), 0);
}

/* Beyond what the L1 table reaches: another one, larger. */
static void grow(disk *d)
{
    uint64_t bytes = vsr_block_bytes(d->block) + (UINT64_C(1) << 30);

    GError *error = NULL;

    if (!vsr_block_resize(d->block, bytes, &error))
        fail_msg("%s", error->message);
}

static void guest_run(disk *d, model *random)
{
    uint64_t written[SLOTS] = { 0 }, flushed[SLOTS] = { 0 };

    for (uint64_t value = 1; value <= OPERATIONS; value++) {
        uint32_t i = (uint32_t)(model_random(random) % SLOTS);
        uint32_t what = (uint32_t)(model_random(random) % 10);

        if (what == 0) {
            assert_int_equal(disk_flush(d), 0);
            memcpy(flushed, written, sizeof flushed);
        } else if (what == 1) {
            /* Nobody asks for these slots any more: clusters are freed. */
            i -= i % 8;
            for (uint32_t k = i; k < i + 8; k++)
                written[k] = flushed[k] = UINT64_MAX;
            guest_note(written, flushed);
            assert_int_equal(disk_discard(d, (uint64_t)i * SLOT, 8 * SLOT), 0);
        } else if (written[i] != UINT64_MAX) {
            written[i] = value;
            guest_note(written, flushed);
            guest_write(d, i, value);
        } else {
            guest_write(d, i, value);
        }
        if (value % (OPERATIONS / 4) == 0)
            grow(d);
        guest_note(written, flushed);
    }
}

/* --- the disk after the cut --- */

static void apply(int fd, const event *e, model *random, bool whole)
{
    if (e->kind == EVENT_PUNCH && (whole || model_random(random) % 2)) {
        assert_int_equal(syscall(SYS_fallocate, fd, 3, e->offset, e->len), 0);
        return;
    }
    if (e->kind != EVENT_WRITE || (!whole && model_random(random) % 3 == 0))
        return;
    for (uint64_t at = 0; at < e->len; at += SECTOR) {
        size_t n = (size_t)MIN(e->len - at, (uint64_t)SECTOR);

        if (whole || model_random(random) % 4 != 0)
            assert_int_equal(
                pwrite(fd, e->data + at, n, (off_t)(e->offset + at)), n);
    }
}

static uint32_t last_flush(uint32_t cut)
{
    while (cut > 0) {
        const event *e = record->events->pdata[--cut];

        if (e->kind == EVENT_FLUSH)
            return cut;
    }
    return 0;
}

static void check_guest(const char *path, uint32_t cut, const char *options)
{
    const event *state = NULL;
    disk *d;

    for (uint32_t i = 0; i < cut; i++) {
        const event *e = record->events->pdata[i];

        if (e->kind == EVENT_GUEST)
            state = e;
    }
    if (state == NULL)
        return;
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint8_t data[LEN];

        if (state->written[i] == UINT64_MAX)
            continue;
        assert_int_equal(disk_read(d, (uint64_t)i * SLOT, data, LEN), 0);
        for (size_t at = 0; at < LEN; at += 8) {
            uint64_t v;

            memcpy(&v, data + at, 8);
            if (v < state->flushed[i] || v > state->written[i])
                fail_msg("%s: cut at %u: slot %u has %lu, not %lu to %lu",
                         options, cut, i, (unsigned long)v,
                         (unsigned long)state->flushed[i],
                         (unsigned long)state->written[i]);
        }
    }
    disk_close(d);
}

static void cut_power(const char *image, const char *copy, uint32_t cut,
                      model *random, const char *options)
{
    uint32_t durable = last_flush(cut);
    g_autofree char *text = NULL;
    int fd, rc;

    assert_int_equal(run(NULL, "cp --sparse=always '%s' '%s'", image, copy), 0);
    fd = open(copy, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (uint32_t i = 0; i < cut; i++)
        apply(fd, record->events->pdata[i], random, i < durable);
    close(fd);
    rc = run(&text, "qemu-img check -f qcow2 '%s' 2>&1", copy);
    if (rc != 0 && rc != 3) /* 3: leaks only */
        fail_msg("%s: cut at %u after flush %u: %s", options, cut, durable,
                 text);
    check_guest(copy, cut, options);
}

static void event_free(gpointer p)
{
    event *e = p;

    g_free(e->data);
    g_free(e);
}

static void power_fails(const char *create, bool snapshot, uint64_t seed)
{
    char *dir = dir_new_fast();
    g_autofree char *image = g_build_filename(dir, "image", NULL);
    g_autofree char *before = g_build_filename(dir, "before", NULL);
    g_autofree char *copy = g_build_filename(dir, "copy", NULL);
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_THREADS, VSR_BLOCK_CACHE_WRITEBACK);
    model random;
    disk *d;

    model_init(&random, 512, seed);
    record->events = g_ptr_array_new_with_free_func(event_free);
    assert_int_equal(run(NULL, "qemu-img create -q -f qcow2 %s '%s' %d", create,
                         image, SIZE),
                     0);
    if (snapshot)
        assert_int_equal(run(NULL,
                             "qemu-io -f qcow2 -c 'write -P 0 0 1M' '%s' && "
                             "qemu-img snapshot -c s '%s'",
                             image, image),
                         0);
    assert_int_equal(run(NULL, "cp '%s' '%s'", image, before), 0);
    d = disk_open(image, VSR_BLOCK_QCOW2, false, &options, NULL);
    assert_non_null(d);
    record->on = true;
    guest_run(d, &random);
    disk_close(d);
    record->on = false;
    assert_true(record->events->len > OPERATIONS);
    for (int i = 0; i < CUTS; i++)
        cut_power(before, copy,
                  (uint32_t)(model_random(&random) % record->events->len),
                  &random, create);
    cut_power(before, copy, record->events->len, &random, create);
    g_ptr_array_unref(record->events);
    model_fini(&random);
    dir_remove(dir);
}

static void usual_images_survive(void **state)
{
    if (!have("qemu-img"))
        skip();
    power_fails("-o cluster_size=64k", false, 11);
}

static void small_clusters_survive(void **state)
{
    if (!have("qemu-img"))
        skip();
    power_fails("-o cluster_size=512,refcount_bits=64", false, 12);
    power_fails("-o cluster_size=4k,compat=0.10", false, 13);
}

static void images_with_snapshots_survive(void **state)
{
    if (!have("qemu-img") || !have("qemu-io"))
        skip();
    power_fails("-o cluster_size=4k", true, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_images_survive),
        cmocka_unit_test(small_clusters_survive),
        cmocka_unit_test(images_with_snapshots_survive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
