/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk.c: see disk.h.
 *
 * Threads: the test's; done() runs on the loop.
 */
#include "tests/block/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "tests/support/cm.h"

enum { BATCH = 16, PARTS = 8 };

vsr_block_options disk_options(vsr_block_aio aio, vsr_block_cache cache)
{
    return (vsr_block_options){ .aio = aio, .cache = cache, .discard = true };
}

disk *disk_open_location(const vsr_block_location *location,
                         const vsr_block_options *options, GError **error)
{
    vsr_block_source source;
    disk *d;

    if (!vsr_block_source_open(&source, location, NULL, error))
        return NULL;
    d = g_new0(disk, 1);
    g_mutex_init(&d->lock);
    g_cond_init(&d->cond);
    d->loop = vsr_loop_new("test", NULL);
    assert_non_null(d->loop);
    d->block = vsr_block_new(&source, options, d->loop, error);
    vsr_block_source_clear(&source);
    if (d->block == NULL) {
        disk_close(d);
        return NULL;
    }
    return d;
}

disk *disk_open(const char *path, vsr_block_format format, bool readonly,
                const vsr_block_options *options, GError **error)
{
    g_autofree char *copy = g_strdup(path);
    vsr_block_location location = { .protocol = VSR_BLOCK_FILE,
                                    .path = copy,
                                    .format = format,
                                    .readonly = readonly };

    return disk_open_location(&location, options, error);
}

disk *disk_must_open(const char *path, vsr_block_format format)
{
    vsr_block_options options =
        disk_options(VSR_BLOCK_AIO_DEFAULT, VSR_BLOCK_CACHE_WRITEBACK);
    g_autoptr(GError) error = NULL;
    disk *d = disk_open(path, format, false, &options, &error);

    if (d == NULL)
        fail_msg("%s", error->message);
    return d;
}

void disk_close(disk *d)
{
    vsr_block_free(d->block);
    vsr_loop_free(d->loop);
    g_cond_clear(&d->cond);
    g_mutex_clear(&d->lock);
    g_free(d);
}

/* --- requests --- */

typedef struct {
    disk *d;
    vsr_block_request *requests;
    uint32_t n;
    int *rcs;
    bool submitting;
} batch;

static void on_done(vsr_block_request *request, int rc)
{
    batch *b = request->opaque;

    assert_false(b->submitting);
    assert_true(vsr_loop_is_current(b->d->loop));
    b->rcs[request - b->requests] = rc;
    g_mutex_lock(&b->d->lock);
    if (--b->d->left == 0)
        g_cond_signal(&b->d->cond);
    g_mutex_unlock(&b->d->lock);
}

static void submit_all(void *opaque)
{
    batch *b = opaque;

    vsr_block_plug(b->d->block);
    b->submitting = true;
    for (uint32_t i = 0; i < b->n; i++) {
        b->requests[i].done = on_done;
        b->requests[i].opaque = b;
        vsr_block_submit(b->d->block, &b->requests[i]);
    }
    b->submitting = false;
    vsr_block_unplug(b->d->block);
}

void disk_run(disk *d, vsr_block_request *requests, uint32_t n, int *rcs)
{
    batch b = { .d = d, .requests = requests, .n = n, .rcs = rcs };

    d->left = n;
    vsr_loop_sync(d->loop, submit_all, &b);
    g_mutex_lock(&d->lock);
    while (d->left > 0)
        g_cond_wait(&d->cond, &d->lock);
    g_mutex_unlock(&d->lock);
}

static int run_one(disk *d, vsr_block_op op, uint64_t offset, void *data,
                   uint64_t len, bool may_unmap)
{
    struct iovec iov = { data, len };
    vsr_block_request request = {
        .op = op,
        .offset = offset,
        .len = len,
        .iov = &iov,
        .n_iov = data != NULL,
        .may_unmap = may_unmap,
    };
    int rc;

    disk_run(d, &request, 1, &rc);
    assert_int_equal(request.op, op);
    return rc;
}

int disk_read(disk *d, uint64_t offset, void *to, size_t len)
{
    return run_one(d, VSR_BLOCK_READ, offset, to, len, false);
}

int disk_write(disk *d, uint64_t offset, const void *from, size_t len)
{
    return run_one(d, VSR_BLOCK_WRITE, offset, (void *)(uintptr_t)from, len,
                   false);
}

int disk_flush(disk *d)
{
    return run_one(d, VSR_BLOCK_FLUSH, 0, NULL, 0, false);
}

int disk_discard(disk *d, uint64_t offset, uint64_t len)
{
    return run_one(d, VSR_BLOCK_DISCARD, offset, NULL, len, false);
}

int disk_zero(disk *d, uint64_t offset, uint64_t len, bool may_unmap)
{
    return run_one(d, VSR_BLOCK_WRITE_ZEROES, offset, NULL, len, may_unmap);
}

/* --- the model --- */

void model_init(model *m, uint64_t size, uint64_t seed)
{
    *m = (model){ .size = size, .seed = seed | 1, .max_len = 256 << 10 };
    m->bytes = g_malloc0(size);
}

void model_fini(model *m)
{
    g_free(m->bytes);
}

uint64_t model_random(model *m)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return m->seed >> 8;
}

/* One request, its data in parts of odd places in `memory`. */
typedef struct {
    struct iovec parts[PARTS];
    uint8_t *memory;
} scatter;

static void scatter_init(scatter *s, model *m, vsr_block_request *r)
{
    uint64_t left = r->len;
    size_t skew = model_random(m) % 3 * 512 + model_random(m) % 2 * 8;
    uint8_t *at;

    s->memory = g_malloc(r->len + skew + PARTS * 16);
    at = s->memory + skew;
    r->iov = s->parts;
    r->n_iov = 0;
    while (left > 0) {
        uint64_t len = 512 * (1 + model_random(m) % 16);

        if (r->n_iov == PARTS - 1 || len > left || model_random(m) % 4 == 0)
            len = left;
        s->parts[r->n_iov++] = (struct iovec){ at, len };
        at += len + model_random(m) % 2 * 16;
        left -= len;
    }
}

static void scatter_copy(const scatter *s, uint32_t n, uint8_t *other,
                         bool to_scatter)
{
    for (uint32_t i = 0; i < n; i++) {
        if (to_scatter)
            memcpy(s->parts[i].iov_base, other, s->parts[i].iov_len);
        else
            memcpy(other, s->parts[i].iov_base, s->parts[i].iov_len);
        other += s->parts[i].iov_len;
    }
}

static void random_place(model *m, vsr_block_request *r)
{
    uint64_t sectors = m->size / 512, max = m->max_len / 512;
    uint64_t len = 1 + model_random(m) % (model_random(m) % 3 == 0 ? max : 16);
    uint64_t at = model_random(m) % sectors;

    if (model_random(m) % 3 ==
        0) { /* whole 4 KiB blocks, often whole clusters */
        at &= ~UINT64_C(127);
        len = (len + 7) & ~UINT64_C(7);
    }
    r->offset = at * 512;
    r->len = MIN(len, sectors - at) * 512;
}

static bool overlaps(const vsr_block_request *list, uint32_t n)
{
    const vsr_block_request *r = &list[n];

    for (uint32_t i = 0; i < n; i++)
        if (r->len > 0 && r->offset < list[i].offset + list[i].len &&
            list[i].offset < r->offset + r->len)
            return true;
    return false;
}

/* r's place is chosen; makes it an operation, and the model what comes of it. */
static void model_prepare(model *m, vsr_block_request *r, scatter *s)
{
    static const vsr_block_op ops[] = {
        VSR_BLOCK_READ,    VSR_BLOCK_READ,         VSR_BLOCK_READ,
        VSR_BLOCK_WRITE,   VSR_BLOCK_WRITE,        VSR_BLOCK_WRITE,
        VSR_BLOCK_DISCARD, VSR_BLOCK_WRITE_ZEROES,
    };

    r->op = ops[model_random(m) % G_N_ELEMENTS(ops)];
    s->memory = NULL;
    if (model_random(m) % 24 == 0) {
        *r = (vsr_block_request){ .op = VSR_BLOCK_FLUSH };
        return;
    }
    r->fua = r->op == VSR_BLOCK_WRITE && model_random(m) % 16 == 0;
    r->may_unmap = model_random(m) % 2;
    if (r->op == VSR_BLOCK_READ || r->op == VSR_BLOCK_WRITE)
        scatter_init(s, m, r);
    if (r->op == VSR_BLOCK_WRITE) {
        uint8_t *to = m->bytes + r->offset;
        uint64_t word = model_random(m) % 8 == 0 ? 0 : model_random(m);

        for (uint64_t i = 0; i < r->len; i += 8) {
            memcpy(to + i, &word, 8);
            word = word == 0 ? 0 : word * 6364136223846793005u + 1;
        }
        scatter_copy(s, r->n_iov, to, true);
    }
    if (r->op == VSR_BLOCK_WRITE_ZEROES)
        memset(m->bytes + r->offset, 0, r->len);
}

/* What a discarded part holds is up to the disk, as long as it stays so. */
static void adopt_discarded(model *m, disk *d, const vsr_block_request *r)
{
    g_autofree uint8_t *now = g_malloc(r->len);

    assert_int_equal(disk_read(d, r->offset, now, r->len), 0);
    for (uint64_t i = 0; i < r->len; i++)
        if (now[i] != 0 && now[i] != m->bytes[r->offset + i])
            fail_msg("discard made something up at %" PRIu64, r->offset + i);
    if (m->discard_zeroes)
        for (uint64_t i = 0; i < r->len; i++)
            assert_int_equal(now[i], 0);
    memcpy(m->bytes + r->offset, now, r->len);
}

static void model_check(model *m, disk *d, const vsr_block_request *r,
                        scatter *s)
{
    if (r->op == VSR_BLOCK_READ) {
        g_autofree uint8_t *got = g_malloc(r->len);

        scatter_copy(s, r->n_iov, got, false);
        if (memcmp(got, m->bytes + r->offset, r->len) != 0)
            fail_msg("read of %" PRIu64 " at %" PRIu64 " differs", r->len,
                     r->offset);
    }
    if (r->op == VSR_BLOCK_DISCARD)
        adopt_discarded(m, d, r);
    g_free(s->memory);
}

void model_run(model *m, disk *d, uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        vsr_block_request requests[BATCH];
        scatter scatters[BATCH];
        int rcs[BATCH];
        uint32_t n = 0, want = 1 + (uint32_t)(model_random(m) % BATCH);

        for (uint32_t i = 0; i < want; i++) {
            requests[n] = (vsr_block_request){ 0 };
            random_place(m, &requests[n]);
            if (!overlaps(requests, n)) {
                model_prepare(m, &requests[n], &scatters[n]);
                n++;
            }
        }
        disk_run(d, requests, n, rcs);
        for (uint32_t i = 0; i < n; i++) {
            if (rcs[i] != 0)
                fail_msg("operation %d of %" PRIu64 " at %" PRIu64 ": %s",
                         (int)requests[i].op, requests[i].len,
                         requests[i].offset, strerror(-rcs[i]));
            model_check(m, d, &requests[i], &scatters[i]);
        }
    }
}

void model_compare(const model *m, disk *d)
{
    g_autofree uint8_t *got = g_malloc(1 << 20);

    for (uint64_t at = 0; at < m->size; at += 1 << 20) {
        size_t len = (size_t)MIN(m->size - at, (uint64_t)1 << 20);

        assert_int_equal(disk_read(d, at, got, len), 0);
        if (memcmp(got, m->bytes + at, len) != 0)
            fail_msg("the MiB at %" PRIu64 " differs", at);
    }
}

/* --- the host --- */

static char *dir_in(const char *folder)
{
    g_autofree char *temp = g_build_filename(folder, "vsr-block-XXXXXX", NULL);

    assert_non_null(g_mkdtemp(temp));
    return g_steal_pointer(&temp);
}

char *dir_new(void)
{
    return dir_in(g_get_tmp_dir());
}

char *dir_new_fast(void)
{
    return access("/dev/shm", W_OK) == 0 ? dir_in("/dev/shm") : dir_new();
}

void dir_remove(char *dir)
{
    assert_int_equal(run(NULL, "rm -rf '%s'", dir), 0);
    g_free(dir);
}

int run(char **out, const char *format, ...)
{
    g_autofree char *command = NULL;
    g_autofree char *text = NULL;
    const char *argv[] = { "sh", "-c", NULL, NULL };
    va_list args;
    int status;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    argv[2] = command;
    assert_true(g_spawn_sync(
        NULL, (char **)(uintptr_t)argv, NULL,
        G_SPAWN_SEARCH_PATH | (out == NULL ? G_SPAWN_STDOUT_TO_DEV_NULL : 0),
        NULL, NULL, out != NULL ? &text : NULL, NULL, &status, NULL));
    if (out != NULL)
        *out = g_steal_pointer(&text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool have(const char *program)
{
    g_autofree char *path = g_find_program_in_path(program);

    if (path == NULL)
        print_message("[  SKIPPED ] no %s\n", program);
    return path != NULL;
}
