/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_crash.c: a process that writes to a qcow2 image is killed, again and
 * again: what it had flushed is there, and qemu-img finds nothing worse than
 * clusters that nobody uses.
 *
 * Threads: the test's; the child has its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/block/disk.h"
#include "tests/support/cm.h"

enum {
    SLOTS = 512,
    SLOT = 12 << 10, /* three times 4 KiB: across clusters, too */
    USED = 8 << 10,  /* the rest of a slot is never written */
    SIZE = SLOTS * SLOT,
    ROUNDS = 12,
};

/* What the disk may hold; shared with the child. */
typedef struct {
    uint64_t flushed, written; /* the values */
    bool flushed_zero, zero_since;
} slot;

static void fill(uint8_t *data, uint64_t value)
{
    for (size_t i = 0; i < USED; i += 8)
        memcpy(data + i, &value, 8);
}

static void note_flush(slot *slots)
{
    for (int i = 0; i < SLOTS; i++) {
        slots[i].flushed = slots[i].written;
        slots[i].flushed_zero = slots[i].zero_since;
        slots[i].zero_since = slots[i].flushed_zero;
    }
}

/* A slot's last operation decides what a flush makes durable. */
static void child_step(disk *d, slot *slots, model *random, uint64_t value,
                       uint8_t *data)
{
    uint32_t i = (uint32_t)(model_random(random) % SLOTS);
    uint64_t at = (uint64_t)i * SLOT;
    int rc;

    switch (model_random(random) % 12) {
    case 0:
        rc = disk_flush(d);
        if (rc == 0)
            note_flush(slots);
        break;
    case 1: /* many slots: whole clusters are freed */
        i -= i % 16;
        for (uint32_t k = i; k < i + 16; k++)
            slots[k].zero_since = true;
        rc = disk_zero(d, (uint64_t)i * SLOT, 16 * SLOT, true);
        break;
    default:
        slots[i].written = value;
        fill(data, value);
        rc = disk_write(d, at, data, USED);
        break;
    }
    if (rc != 0)
        _exit(3);
}

static void child(const char *path, slot *slots, uint64_t seed)
{
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);
    disk *d = disk_open(path, VSR_BLOCK_QCOW2, false, &options, NULL);
    uint8_t data[USED];
    model random;

    if (d == NULL)
        _exit(2);
    model_init(&random, 512, seed);
    /* The life before this one is history. */
    for (uint64_t value = seed << 32;; value++)
        child_step(d, slots, &random, value, data);
}

static void check_slot(const slot *s, const uint8_t *data, int i)
{
    for (size_t at = 0; at < USED; at += 8) {
        uint64_t v;

        memcpy(&v, data + at, 8);
        if (v == 0 && (s->flushed_zero || s->zero_since || s->flushed == 0))
            continue;
        if (v < s->flushed || v > s->written)
            fail_msg("slot %d has %lx, not %lx to %lx", i, (unsigned long)v,
                     (unsigned long)s->flushed, (unsigned long)s->written);
    }
    for (size_t at = USED; at < SLOT; at++)
        assert_int_equal(data[at], 0);
}

/* What is there now is what later lives start from. */
static void check_all(const char *path, slot *slots)
{
    disk *d = disk_must_open(path, VSR_BLOCK_QCOW2);
    uint8_t data[SLOT];

    for (int i = 0; i < SLOTS; i++) {
        uint64_t v;

        assert_int_equal(disk_read(d, (uint64_t)i * SLOT, data, SLOT), 0);
        check_slot(&slots[i], data, i);
        memcpy(&v, data, 8);
        for (size_t at = 0; at < USED; at += 8) {
            uint64_t other;

            memcpy(&other, data + at, 8);
            if (other != v) { /* torn: make it whole */
                fill(data, slots[i].written);
                assert_int_equal(disk_write(d, (uint64_t)i * SLOT, data, USED),
                                 0);
                v = slots[i].written;
                break;
            }
        }
        slots[i] = (slot){ .flushed = v,
                           .written = v,
                           .flushed_zero = v == 0,
                           .zero_since = v == 0 };
    }
    disk_close(d);
}

/* The kernel lets go of it a little after the process. */
static void wait_for_lock(const char *path)
{
    g_autofree char *copy = g_strdup(path);
    vsr_block_location location = { .path = copy, .format = VSR_BLOCK_QCOW2 };
    g_autoptr(GError) error = NULL;
    vsr_block_source source;

    if (!vsr_block_source_open(&source, &location, NULL, &error))
        fail_msg("%s", error->message);
    vsr_block_source_clear(&source);
}

/* The child has got somewhere. */
static void wait_written(slot *slots, uint64_t round)
{
    for (int tries = 0; tries < 60000; tries++) {
        uint32_t n = 0;

        for (int i = 0; i < SLOTS; i++)
            n += *(volatile uint64_t *)&slots[i].written > round << 32;
        if (n >= 8)
            return;
        g_usleep(1000);
    }
    fail_msg("Round %u: the writer does not write", (unsigned)round);
}

static void killed_writers(const char *options)
{
    char *dir = dir_new_fast();
    g_autofree char *path = g_build_filename(dir, "crash.qcow2", NULL);
    slot *slots = mmap(NULL, sizeof(slot) * SLOTS, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t written = 0;

    assert_true(slots != MAP_FAILED);
    assert_int_equal(run(NULL, "qemu-img create -q -f qcow2 %s '%s' %d",
                         options, path, SIZE),
                     0);
    for (int i = 0; i < SLOTS; i++)
        slots[i].flushed_zero = slots[i].zero_since = true;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        g_autofree char *text = NULL;
        pid_t pid = fork();
        int status, rc;

        assert_true(pid >= 0);
        if (pid == 0)
            child(path, slots, round);
        if (round % 4 != 0) /* else it may be killed at its first steps */
            wait_written(slots, round);
        g_usleep(15000 + (round * 7919) % 60000);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        wait_for_lock(path);
        rc = run(&text, "qemu-img check -f qcow2 '%s' 2>&1", path);
        if (rc != 0 && rc != 3) /* 3: leaks only */
            fail_msg("round %u: qemu-img check gives %d: %s", round, rc, text);
        for (int i = 0; i < SLOTS; i++)
            written += slots[i].written > (uint64_t)round << 32;
        check_all(path, slots);
    }
    assert_true(written > ROUNDS * 4); /* it did get somewhere */
    munmap(slots, sizeof(slot) * SLOTS);
    dir_remove(dir);
}

static void flushed_data_survives(void **state)
{
    if (!have("qemu-img"))
        skip();
    killed_writers("-o cluster_size=64k");
}

static void flushed_data_survives_in_small_clusters(void **state)
{
    if (!have("qemu-img"))
        skip();
    killed_writers("-o cluster_size=512,refcount_bits=1");
}

static void flushed_data_survives_in_old_images(void **state)
{
    if (!have("qemu-img"))
        skip();
    killed_writers("-o cluster_size=4k,compat=0.10");
}

/* QEMU leaves counts behind that are too low. */
static void lazy_counts_are_made_anew(void **state)
{
    char *dir = dir_new_fast();
    g_autofree char *path = g_build_filename(dir, "lazy.qcow2", NULL);
    g_autofree char *before = NULL;
    uint8_t data[4096], want[4096];
    disk *d;

    if (!have("qemu-img") || !have("qemu-io")) {
        dir_remove(dir);
        skip();
    }
    assert_int_equal(
        run(NULL, "qemu-img create -q -f qcow2 -o lazy_refcounts=on '%s' 1G",
            path),
        0);
    assert_int_equal(run(NULL,
                         "qemu-io -f qcow2 -c 'write -P 5 1M 3M' '%s' && "
                         "qemu-img snapshot -c s '%s'",
                         path, path),
                     0);
    (void)run(NULL,
              "qemu-io -f qcow2 -c 'write -P 7 2M 3M' -c 'write -P 9 700M 64k' "
              "-c flush -c abort '%s' 2>&1",
              path);
    (void)run(&before, "qemu-img check -f qcow2 '%s' 2>&1", path);
    assert_non_null(strstr(before, "ERROR")); /* else this tests nothing */
    d = disk_must_open(path, VSR_BLOCK_QCOW2);
    memset(want, 7, sizeof want);
    assert_int_equal(disk_read(d, 3 << 20, data, sizeof data), 0);
    assert_memory_equal(data, want, sizeof data);
    assert_int_equal(disk_write(d, 900 << 20, data, sizeof data), 0);
    disk_close(d);
    assert_int_equal(run(NULL, "qemu-img check -f qcow2 '%s'", path), 0);
    dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flushed_data_survives),
        cmocka_unit_test(flushed_data_survives_in_small_clusters),
        cmocka_unit_test(flushed_data_survives_in_old_images),
        cmocka_unit_test(lazy_counts_are_made_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
