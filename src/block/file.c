/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: reads, writes, flushes, discards and zeroing of a file or a block
 * device, on the calling thread.
 *
 * With O_DIRECT what is not aligned goes through a bounce buffer; replacing a
 * part of a block is then read, change and write, under `partial`.
 *
 * Threads: any but a loop's, since it waits.
 */
#include "block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/fs.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/util.h"
#include "block/nbd.h"

enum {
    BUFFER_ALIGN = 4096,
    BOUNCE_MAX = 1 << 20,
    ZEROES = 64 << 10,
    WINDOW = 64, /* parts of an iovec at a time */
};

void *blk_buffer_new(size_t len)
{
    void *buffer = NULL;

    if (posix_memalign(&buffer, BUFFER_ALIGN, MAX(len, 1)) != 0)
        return NULL;
    return buffer;
}

bool blk_file_is_aligned(const blk_io *io)
{
    const blk_file *file = io->file;
    uint32_t mask = file->align - 1, mem_mask = file->mem_align - 1;

    if (file->align == 1)
        return true;
    if (((io->offset | io->len) & mask) != 0)
        return false;
    for (uint32_t i = 0; i < io->n_iov; i++)
        if (((uintptr_t)io->iov[i].iov_base & mem_mask) != 0 ||
            (io->iov[i].iov_len & mask) != 0)
            return false;
    return true;
}

/* --- reading and writing --- */

/* Errors that say the host cannot do it at all. */
static bool is_unsupported(int rc)
{
    return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -ENOTTY ||
           rc == -EINVAL || rc == -ENODEV || rc == -EPERM;
}

static ssize_t transfer_once(const blk_io *io, const struct iovec *iov,
                             uint32_t n, uint64_t offset)
{
    ssize_t rc;

    do {
        if (io->op == VSR_BLOCK_READ)
            rc = preadv(io->file->fd, iov, (int)n, (off_t)offset);
        else
            rc = pwritev2(io->file->fd, iov, (int)n, (off_t)offset,
                          io->fua ? RWF_DSYNC : 0);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : rc;
}

static int transfer(blk_io *io)
{
    while (io->moved < io->len) {
        struct iovec window[WINDOW];
        const struct iovec *iov = io->iov;
        uint32_t n = io->n_iov;
        uint64_t fits;
        ssize_t rc;

        if (io->moved > 0 || n > IOV_MAX) {
            n = blk_iov_slice(io->iov, io->n_iov, io->moved,
                              io->len - io->moved, window, WINDOW, &fits);
            iov = window;
        }
        rc = transfer_once(io, iov, n, io->offset + io->moved);
        if (rc < 0)
            return (int)rc;
        if (rc == 0 && io->op == VSR_BLOCK_WRITE)
            return -EIO;
        if (rc == 0) { /* past the end */
            blk_iov_zero(io->iov, io->n_iov, io->moved,
                         (size_t)(io->len - io->moved));
            io->moved = io->len;
        }
        io->moved += (uint64_t)rc;
    }
    return 0;
}

/* [start, start + len), aligned, between the file and `buffer`. */
static int bounce_transfer(const blk_io *io, vsr_block_op op, void *buffer,
                           uint64_t start, size_t len)
{
    struct iovec iov = { buffer, len };
    blk_io part = {
        .file = io->file,
        .op = op,
        .fua = io->fua && op == VSR_BLOCK_WRITE,
        .offset = start,
        .len = len,
        .iov = &iov,
        .n_iov = 1,
    };

    return transfer(&part);
}

/* The next piece of at most BOUNCE_MAX. */
static int bounce_piece(blk_io *io, uint8_t *buffer)
{
    uint64_t align = io->file->align;
    uint64_t from = io->offset + io->moved;
    uint64_t start = from & ~(align - 1);
    uint64_t left = io->len - io->moved;
    size_t len = (size_t)MIN(vsr_round_up(from - start + left, align),
                             (uint64_t)BOUNCE_MAX);
    size_t skip = (size_t)(from - start);
    size_t use = (size_t)MIN((uint64_t)(len - skip), left);
    bool whole = skip == 0 && use == len;
    int rc;

    if (io->op == VSR_BLOCK_READ) {
        rc = bounce_transfer(io, VSR_BLOCK_READ, buffer, start, len);
        if (rc == 0)
            blk_iov_from(io->iov, io->n_iov, io->moved, buffer + skip, use);
    } else {
        if (!whole)
            g_mutex_lock(&io->file->partial);
        rc =
            whole ? 0 : bounce_transfer(io, VSR_BLOCK_READ, buffer, start, len);
        if (rc == 0) {
            blk_iov_to(io->iov, io->n_iov, io->moved, buffer + skip, use);
            rc = bounce_transfer(io, VSR_BLOCK_WRITE, buffer, start, len);
        }
        if (!whole)
            g_mutex_unlock(&io->file->partial);
    }
    io->moved += rc == 0 ? use : 0;
    return rc;
}

static int bounce(blk_io *io)
{
    size_t room = (size_t)MIN(io->len + 2 * (uint64_t)io->file->align,
                              (uint64_t)BOUNCE_MAX);
    uint8_t *buffer = blk_buffer_new((size_t)vsr_round_up(room, BUFFER_ALIGN));
    int rc = 0;

    if (buffer == NULL)
        return -ENOMEM;
    while (rc == 0 && io->moved < io->len)
        rc = bounce_piece(io, buffer);
    free(buffer);
    return rc;
}

/* --- zeros and holes --- */

static int host_fallocate(const blk_file *file, int mode, uint64_t offset,
                          uint64_t len)
{
    int rc;

    do {
        rc = fallocate(file->fd, mode, (off_t)offset, (off_t)len);
    } while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : 0;
}

static int host_range_ioctl(const blk_file *file, unsigned long request,
                            uint64_t offset, uint64_t len)
{
    uint64_t range[2] = { offset, len };

    return ioctl(file->fd, request, range) < 0 ? -errno : 0;
}

/* Remembers a refusal in *refused. */
static int note_refusal(gint *refused, int rc)
{
    if (!is_unsupported(rc))
        return rc;
    g_atomic_int_set(refused, 1);
    return -ENOTSUP;
}

static int write_zeroes_by_hand(blk_io *io)
{
    uint8_t *zeroes = blk_buffer_new(ZEROES);
    struct iovec iov[16];
    int rc = 0;

    if (zeroes == NULL)
        return -ENOMEM;
    memset(zeroes, 0, ZEROES);
    while (rc == 0 && io->moved < io->len) {
        uint64_t left = io->len - io->moved;
        blk_io part = {
            .file = io->file,
            .op = VSR_BLOCK_WRITE,
            .offset = io->offset + io->moved,
            .iov = iov,
        };

        while (part.n_iov < G_N_ELEMENTS(iov) && part.len < left) {
            size_t n = (size_t)MIN(left - part.len, (uint64_t)ZEROES);

            iov[part.n_iov++] = (struct iovec){ zeroes, n };
            part.len += n;
        }
        rc = blk_file_run(&part);
        io->moved += part.len;
    }
    free(zeroes);
    return rc;
}

/* Past the end of a regular file a punched hole would not make it longer; a
 * raw image's last sector may be such. */
static bool is_inside(const blk_file *file, uint64_t offset, uint64_t len)
{
    return file->is_device || offset + len <= file->bytes;
}

static int write_zeroes(blk_io *io)
{
    blk_file *file = io->file;
    int rc = -ENOTSUP;

    if (io->may_unmap && !g_atomic_int_get(&file->no_punch) &&
        is_inside(file, io->offset, io->len)) {
        rc = host_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            io->offset, io->len);
        rc = note_refusal(&file->no_punch, rc);
    }
    if (rc == -ENOTSUP && !g_atomic_int_get(&file->no_zero_range)) {
        rc = host_fallocate(file, FALLOC_FL_ZERO_RANGE, io->offset, io->len);
        rc = note_refusal(&file->no_zero_range, rc);
    }
    if (rc == -ENOTSUP && file->is_device &&
        !g_atomic_int_get(&file->no_zeroout)) {
        rc = host_range_ioctl(file, BLKZEROOUT, io->offset, io->len);
        rc = note_refusal(&file->no_zeroout, rc);
    }
    return rc == -ENOTSUP ? write_zeroes_by_hand(io) : rc;
}

/* A hint: what cannot be is no error. */
static int discard(const blk_io *io)
{
    blk_file *file = io->file;
    int rc;

    if (g_atomic_int_get(&file->no_punch))
        return 0;
    if (file->is_device)
        rc = host_range_ioctl(file, BLKDISCARD, io->offset, io->len);
    else
        rc = host_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            io->offset, io->len);
    /* A device may refuse one range for its alignment only. */
    if (!file->is_device)
        rc = note_refusal(&file->no_punch, rc);
    return rc == -ENOTSUP || is_unsupported(rc) ? 0 : rc;
}

static int flush(const blk_file *file)
{
    if (file->no_sync)
        return 0;
    return fdatasync(file->fd) < 0 ? -errno : 0;
}

int blk_file_run(blk_io *io)
{
    int rc;

    if (io->file->nbd != NULL)
        return blk_nbd_run(io);
    switch (io->op) {
    case VSR_BLOCK_READ:
    case VSR_BLOCK_WRITE:
        rc = blk_file_is_aligned(io) ? transfer(io) : bounce(io);
        break;
    case VSR_BLOCK_FLUSH:
        rc = flush(io->file);
        break;
    case VSR_BLOCK_DISCARD:
        rc = discard(io);
        break;
    case VSR_BLOCK_WRITE_ZEROES:
        rc = write_zeroes(io);
        if (rc == 0 && io->fua)
            rc = flush(io->file);
        break;
    case VSR_BLOCK_OPS:
    default:
        rc = -EINVAL;
        break;
    }
    return rc;
}

int blk_file_read(blk_file *file, void *to, size_t len, uint64_t offset)
{
    struct iovec iov = { to, len };
    blk_io io = { .file = file,
                  .op = VSR_BLOCK_READ,
                  .offset = offset,
                  .len = len,
                  .iov = &iov,
                  .n_iov = 1 };

    return blk_file_run(&io);
}

int blk_file_write(blk_file *file, const void *from, size_t len,
                   uint64_t offset)
{
    /* A write only reads it. */
    struct iovec iov = { (void *)(uintptr_t)from, len };
    blk_io io = { .file = file,
                  .op = VSR_BLOCK_WRITE,
                  .offset = offset,
                  .len = len,
                  .iov = &iov,
                  .n_iov = 1 };

    return blk_file_run(&io);
}

int blk_file_flush(blk_file *file)
{
    blk_io io = { .file = file, .op = VSR_BLOCK_FLUSH };

    return blk_file_run(&io);
}

int blk_file_zero(blk_file *file, uint64_t offset, uint64_t len, bool may_unmap)
{
    blk_io io = { .file = file,
                  .op = VSR_BLOCK_WRITE_ZEROES,
                  .offset = offset,
                  .len = len,
                  .may_unmap = may_unmap };

    return blk_file_run(&io);
}

int blk_file_discard(blk_file *file, uint64_t offset, uint64_t len)
{
    blk_io io = {
        .file = file, .op = VSR_BLOCK_DISCARD, .offset = offset, .len = len
    };

    return blk_file_run(&io);
}

/* --- opening --- */

int blk_file_measure(blk_file *file)
{
    struct stat st;
    uint64_t bytes = 0;

    if (file->nbd != NULL)
        return 0;
    if (fstat(file->fd, &st) < 0)
        return -errno;
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(file->fd, BLKGETSIZE64, &bytes) < 0)
            return -errno;
    } else {
        bytes = (uint64_t)st.st_size;
    }
    file->is_device = S_ISBLK(st.st_mode);
    file->bytes = bytes;
    return 0;
}

int blk_file_truncate(blk_file *file, uint64_t bytes)
{
    if (file->nbd != NULL || file->is_device)
        return bytes <= file->bytes ? 0 : -ENOTSUP;
    if (bytes > INT64_MAX)
        return -EFBIG;
    if (ftruncate(file->fd, (off_t)bytes) < 0)
        return -errno;
    file->bytes = bytes;
    return 0;
}

static bool direct_read_works(int fd, void *buffer, size_t len)
{
    return pread(fd, buffer, len, 0) >= 0 || errno != EINVAL;
}

/* By trial, as what a file system wants is told only by newer kernels. */
static int probe_alignment(blk_file *file)
{
    uint8_t *buffer = blk_buffer_new(8192);
    int rc = 0;

    if (buffer == NULL)
        return -ENOMEM;
    if (direct_read_works(file->fd, buffer, 512))
        file->align = 512;
    else if (direct_read_works(file->fd, buffer, 4096))
        file->align = 4096;
    else
        rc = -EINVAL;
    if (file->align == 512 && direct_read_works(file->fd, buffer + 512, 512))
        file->mem_align = 512;
    else
        file->mem_align = 4096;
    free(buffer);
    return rc;
}

static int make_direct(blk_file *file)
{
    int flags = fcntl(file->fd, F_GETFL);

    if (flags < 0 || fcntl(file->fd, F_SETFL, flags | O_DIRECT) < 0)
        return -errno;
    return probe_alignment(file);
}

bool blk_file_open(blk_file *file, int fd, const char *name, bool readonly,
                   bool direct, GError **error)
{
    int rc;

    *file = (blk_file){
        .fd = fd, .readonly = readonly, .align = 1, .mem_align = 1
    };
    file->name = g_strdup(name);
    g_mutex_init(&file->partial);
    rc = blk_file_measure(file);
    if (rc < 0) {
        vsr_fail_errno(error, rc, "Cannot tell the size of '%s'", name);
        blk_file_close(file);
        return false;
    }
    rc = direct ? make_direct(file) : 0;
    if (rc < 0) {
        vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                 "'%s' cannot be used without the host's page cache: %s", name,
                 g_strerror(-rc));
        blk_file_close(file);
        return false;
    }
    return true;
}

void blk_file_close(blk_file *file)
{
    if (file->name == NULL)
        return;
    blk_nbd_close(file->nbd);
    vsr_close(file->fd);
    g_mutex_clear(&file->partial);
    g_clear_pointer(&file->name, g_free);
    file->fd = -1;
    file->nbd = NULL;
}
