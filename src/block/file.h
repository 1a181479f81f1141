/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.h: the storage of one image (a regular file, a block device), and I/O
 * on it that waits. Requests on it are blk_io; aio.h runs them asynchronously.
 *
 * Threads: open and close on the control thread; the rest any.
 */
#ifndef VSR_BLOCK_FILE_H
#define VSR_BLOCK_FILE_H

#include "block/block.h"

typedef struct blk_nbd blk_nbd; /* nbd.h */
typedef struct blk_io blk_io;
typedef struct blk_aio blk_aio; /* aio.h */

typedef struct {
    char *name; /* owned; for messages */
    int fd;     /* owned; -1 behind NBD */
    blk_nbd *nbd;
    blk_aio *aio; /* borrowed; NULL until there is one */
    bool readonly;
    bool is_device;
    bool no_sync;       /* flushes do nothing */
    uint32_t align;     /* of offsets and lengths: 1 unless O_DIRECT */
    uint32_t mem_align; /* of buffers */
    uint64_t bytes;     /* when it was opened or resized last */
    /* What the host has refused; gint, since atomic. */
    gint no_zero_range, no_punch, no_zeroout;
    GMutex partial; /* held while a part of an aligned block is replaced */
} blk_file;

/* One operation on one file. Storage is the submitter's until done(). */
struct blk_io {
    blk_file *file;
    vsr_block_op op;
    bool fua;       /* WRITE: durable when done */
    bool may_unmap; /* WRITE_ZEROES: as holes */
    int rc;         /* result: 0 or -errno */
    uint64_t offset, len;
    const struct iovec *iov; /* READ, WRITE: exactly len bytes */
    uint32_t n_iov;
    void (*done)(blk_io *io); /* on the loop */
    void *opaque;
    /* private to the one that runs it */
    uint64_t moved; /* bytes done so far */
    blk_io *next;
    void *user[2]; /* the submitter's */
    struct iovec one;
};

/* Takes `fd`. `direct`: without the page cache, where the file system can. */
bool blk_file_open(blk_file *file, int fd, const char *name, bool readonly,
                   bool direct, GError **error);
void blk_file_close(blk_file *file);

/* Waits for the operation to end; io->moved bytes of it are done already.
 * 0 or -errno. Not on the loop. Reads past the end of the file give zeros. */
int blk_file_run(blk_io *io);

/* The same for one buffer. */
int blk_file_read(blk_file *file, void *to, size_t len, uint64_t offset);
int blk_file_write(blk_file *file, const void *from, size_t len,
                   uint64_t offset);
int blk_file_flush(blk_file *file);
int blk_file_zero(blk_file *file, uint64_t offset, uint64_t len,
                  bool may_unmap);
int blk_file_discard(blk_file *file, uint64_t offset, uint64_t len);
/* To exactly `bytes`; -ENOTSUP where it cannot be. */
int blk_file_truncate(blk_file *file, uint64_t bytes);
/* The size now; updates file->bytes. */
int blk_file_measure(blk_file *file);

/* Do offset, length and buffers suit the file without a copy? */
bool blk_file_is_aligned(const blk_io *io);

/* malloc that suits every file; free with free(). NULL: no memory. */
void *blk_buffer_new(size_t len);

static inline uint64_t blk_iov_len(const struct iovec *iov, uint32_t n)
{
    uint64_t len = 0;

    for (uint32_t i = 0; i < n; i++)
        len += iov[i].iov_len;
    return len;
}
/* Copy between `len` bytes at `at` of an iovec and memory; set to zero. */
void blk_iov_from(const struct iovec *iov, uint32_t n, uint64_t at,
                  const void *from, size_t len);
void blk_iov_to(const struct iovec *iov, uint32_t n, uint64_t at, void *to,
                size_t len);
void blk_iov_zero(const struct iovec *iov, uint32_t n, uint64_t at, size_t len);
bool blk_iov_is_zero(const struct iovec *iov, uint32_t n);
/* The part [at, at + len) as a new vector in `out` (room for `max`): the number
 * of elements; *fits is the length that they hold. */
uint32_t blk_iov_slice(const struct iovec *iov, uint32_t n, uint64_t at,
                       uint64_t len, struct iovec *out, uint32_t max,
                       uint64_t *fits);

#endif
