/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk.h: a vsr_block with a loop of its own, called as if it were a file; and
 * random operations on it, compared with a model in memory.
 *
 * Threads: the test's; requests run on the loop.
 */
#ifndef VSR_TESTS_BLOCK_DISK_H
#define VSR_TESTS_BLOCK_DISK_H

#include "block/block.h"

typedef struct {
    vsr_loop *loop;
    vsr_block *block;
    GMutex lock;
    GCond cond;
    uint32_t left; /* in flight */
} disk;

/* What a test mostly wants: everything allowed. */
vsr_block_options disk_options(vsr_block_aio aio, vsr_block_cache cache);

/* NULL with *error. */
disk *disk_open_location(const vsr_block_location *location,
                         const vsr_block_options *options, GError **error);
disk *disk_open(const char *path, vsr_block_format format, bool readonly,
                const vsr_block_options *options, GError **error);
/* As above with defaults; fails the test. */
disk *disk_must_open(const char *path, vsr_block_format format);
void disk_close(disk *d);

/* 0 or -errno. */
int disk_read(disk *d, uint64_t offset, void *to, size_t len);
int disk_write(disk *d, uint64_t offset, const void *from, size_t len);
int disk_flush(disk *d);
int disk_discard(disk *d, uint64_t offset, uint64_t len);
int disk_zero(disk *d, uint64_t offset, uint64_t len, bool may_unmap);

/* All at once between plug and unplug; each request's rc goes to rcs[i]. */
void disk_run(disk *d, vsr_block_request *requests, uint32_t n, int *rcs);

/* What the disk must hold. */
typedef struct {
    uint8_t *bytes;
    uint64_t size;
    uint64_t seed;       /* xorshift64 */
    bool discard_zeroes; /* discarded parts must read as zeros */
    uint32_t max_len;    /* of a request, bytes */
} model;

void model_init(model *m, uint64_t size, uint64_t seed);
void model_fini(model *m);
uint64_t model_random(model *m);
/* Rounds of up to 16 requests at once that do not overlap; fails the test where
 * a read differs. */
void model_run(model *m, disk *d, uint32_t rounds);
/* The whole disk. */
void model_compare(const model *m, disk *d);

/* A folder of the test, removed with what is in it by dir_remove. */
char *dir_new(void);
/* In memory, if the host can: where no disk's peculiarities are meant. */
char *dir_new_fast(void);
void dir_remove(char *dir);
/* Runs a command; its exit status. Output goes to *out (may be NULL). */
int run(char **out, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* False (and said) where the program is missing. */
bool have(const char *program);

#endif
