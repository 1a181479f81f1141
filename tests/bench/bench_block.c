/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_block.c: requests a second and bytes a second of an image.
 *
 *   bench_block FILE raw|qcow2 threads|io_uring writeback|none \
 *               read|write sequential|random BYTES DEPTH SECONDS
 *
 * Threads: main waits; the loop sends and receives.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "block/block.h"

enum { ARGS = 10, DEPTH_MAX = 256 };

typedef struct {
    vsr_block *block;
    vsr_loop *loop;
    vsr_block_request requests[DEPTH_MAX];
    struct iovec iov[DEPTH_MAX];
    vsr_block_op op;
    bool random;
    uint64_t len, at, seed;
    uint32_t depth, in_flight;
    uint64_t n;
    int64_t end_ns;
    int rc;
    GMutex lock;
    GCond cond;
    bool stopped;
} bench;

static uint64_t next_place(bench *b)
{
    uint64_t n = vsr_block_bytes(b->block) / b->len;
    uint64_t i = b->at++;

    if (b->random) {
        b->seed ^= b->seed << 13;
        b->seed ^= b->seed >> 7;
        b->seed ^= b->seed << 17;
        i = b->seed >> 3;
    }
    return i % n * b->len;
}

static void on_done(vsr_block_request *r, int rc);

static void send(bench *b, vsr_block_request *r)
{
    r->op = b->op;
    r->offset = next_place(b);
    r->len = b->len;
    r->iov = &b->iov[r - b->requests];
    r->n_iov = 1;
    r->done = on_done;
    r->opaque = b;
    b->in_flight++;
    vsr_block_submit(b->block, r);
}

static void on_done(vsr_block_request *r, int rc)
{
    bench *b = r->opaque;

    b->in_flight--;
    b->n++;
    if (rc < 0)
        b->rc = rc;
    if (rc == 0 && vsr_now_ns() < b->end_ns) {
        send(b, r);
        return;
    }
    if (b->in_flight > 0)
        return;
    g_mutex_lock(&b->lock);
    b->stopped = true;
    g_cond_signal(&b->cond);
    g_mutex_unlock(&b->lock);
}

static void begin(void *opaque)
{
    bench *b = opaque;

    vsr_block_plug(b->block);
    for (uint32_t i = 0; i < b->depth; i++)
        send(b, &b->requests[i]);
    vsr_block_unplug(b->block);
}

static vsr_block *open_block(char **argv, vsr_loop *loop)
{
    vsr_block_location location = {
        .path = argv[1],
        .format = strcmp(argv[2], "raw") == 0 ? VSR_BLOCK_RAW : VSR_BLOCK_QCOW2,
    };
    vsr_block_options options = {
        .aio = strcmp(argv[3], "threads") == 0 ? VSR_BLOCK_AIO_THREADS
                                               : VSR_BLOCK_AIO_IO_URING,
        .cache = strcmp(argv[4], "none") == 0 ? VSR_BLOCK_CACHE_NONE
                                              : VSR_BLOCK_CACHE_WRITEBACK,
    };
    g_autoptr(GError) error = NULL;
    vsr_block_source source;
    vsr_block *block = NULL;

    if (vsr_block_source_open(&source, &location, NULL, &error)) {
        block = vsr_block_new(&source, &options, loop, &error);
        vsr_block_source_clear(&source);
    }
    if (block == NULL)
        fprintf(stderr, "%s\n", error->message);
    return block;
}

static void report(const bench *b, double s)
{
    struct rusage use;
    double cpu;

    getrusage(RUSAGE_SELF, &use);
    cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
          (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    printf("%.0f requests/s, %.0f MB/s, %.2f us of CPU each\n",
           (double)b->n / s, (double)(b->n * b->len) / s / 1e6,
           cpu * 1e6 / (double)b->n);
}

int main(int argc, char **argv)
{
    g_autofree bench *b = g_new0(bench, 1);
    int64_t start;

    if (argc != ARGS)
        return 2;
    b->seed = 88172645463325252u;
    b->loop = vsr_loop_new("bench", NULL);
    b->block = open_block(argv, b->loop);
    if (b->block == NULL)
        return 1;
    b->op = strcmp(argv[5], "read") == 0 ? VSR_BLOCK_READ : VSR_BLOCK_WRITE;
    b->random = strcmp(argv[6], "random") == 0;
    b->len = g_ascii_strtoull(argv[7], NULL, 10);
    b->depth = (uint32_t)CLAMP(atoi(argv[8]), 1, DEPTH_MAX);
    for (uint32_t i = 0; i < b->depth; i++) {
        b->iov[i] = (struct iovec){ aligned_alloc(4096, b->len), b->len };
        memset(b->iov[i].iov_base, (int)i + 1, b->len);
    }
    start = vsr_now_ns();
    b->end_ns = start + (int64_t)(g_ascii_strtod(argv[9], NULL) * 1e9);
    vsr_loop_call(b->loop, begin, b);
    g_mutex_lock(&b->lock);
    while (!b->stopped)
        g_cond_wait(&b->cond, &b->lock);
    g_mutex_unlock(&b->lock);
    report(b, (double)(vsr_now_ns() - start) / 1e9);
    vsr_block_free(b->block);
    vsr_loop_free(b->loop);
    return b->rc < 0;
}
