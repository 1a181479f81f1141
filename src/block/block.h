/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block.h: a disk's contents: an image of some format in a file, a block device
 * or behind NBD, with a throttle before it.
 *
 * Opening has two halves. The starter, which may open files, makes a
 * vsr_block_source: every descriptor of the chain of images, checked and
 * locked. The domain's process, which may not, makes a vsr_block from it.
 *
 * Threads: a source: any. A block: new, free, resize and set_throttle on the
 *          control thread; submit on its loop; done() there too.
 */
#ifndef VSR_BLOCK_BLOCK_H
#define VSR_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <glib.h>

#include "base/loop.h"

/* --- where from --------------------------------------------------------------- */

typedef enum {
    VSR_BLOCK_RAW,
    VSR_BLOCK_QCOW2,
} vsr_block_format;

typedef enum {
    VSR_BLOCK_FILE, /* or a block device */
    VSR_BLOCK_NBD,
} vsr_block_protocol;

/* What the domain's XML says of one disk (libvirt's words and defaults). */
typedef struct {
    vsr_block_protocol protocol;
    char *path; /* FILE: absolute; NBD: the unix socket, or NULL */
    char *host; /* NBD over TCP */
    uint16_t port;
    char *export; /* NBD: may be NULL */
    vsr_block_format format;
    bool readonly;
    bool shareable; /* others may write too: no lock */
} vsr_block_location;

enum { VSR_BLOCK_CHAIN_MAX = 32 };

/* One image of the chain; [0] is the one that is written. */
typedef struct {
    vsr_block_format format;
    vsr_block_protocol protocol;
    char *name; /* for messages: the path or nbd://… */
    char *export;
    int fd; /* of the file, or the connected socket; owned */
    bool readonly;
} vsr_block_image;

typedef struct {
    uint32_t n;
    vsr_block_image image[VSR_BLOCK_CHAIN_MAX];
} vsr_block_source;

/* Opens, locks and checks the whole chain, nothing of which is guessed: a
 * backing file's format is what its overlay's header says. NOT_FOUND, ACCESS,
 * BUSY (another has it open for writing, or we would; names the file and, if
 * it can be known, who), CONFIG (a loop, a chain of more than 32, a backing file
 * outside of the folders that are allowed, a header of a wrong form). `folders`
 * (NULL-terminated; NULL: any) are where backing files may be. */
bool vsr_block_source_open(vsr_block_source *out,
                           const vsr_block_location *location,
                           const char *const *folders, GError **error);
void vsr_block_source_clear(vsr_block_source *source);

/* --- contents ------------------------------------------------------------------- */

typedef enum {
    VSR_BLOCK_AIO_DEFAULT, /* the best that this build and host have */
    VSR_BLOCK_AIO_THREADS,
    VSR_BLOCK_AIO_IO_URING, /* NO_SUPPORT where there is none */
} vsr_block_aio;

typedef enum {
    VSR_BLOCK_CACHE_WRITEBACK, /* the host's page cache; flushes are flushes */
    VSR_BLOCK_CACHE_WRITETHROUGH, /* each write is flushed */
    VSR_BLOCK_CACHE_NONE,         /* O_DIRECT; flushes are flushes */
    VSR_BLOCK_CACHE_DIRECTSYNC,   /* O_DIRECT, each write is flushed */
    VSR_BLOCK_CACHE_UNSAFE,       /* flushes do nothing */
} vsr_block_cache;

/* Per second; 0: no limit. A *_max is a burst of that rate for *_length
 * seconds. Either total or read and write. As libvirt's <iotune>. */
typedef struct {
    uint64_t total_bytes, read_bytes, write_bytes;
    uint64_t total_iops, read_iops, write_iops;
    uint64_t total_bytes_max, read_bytes_max, write_bytes_max;
    uint64_t total_iops_max, read_iops_max, write_iops_max;
    uint64_t total_bytes_length, read_bytes_length, write_bytes_length;
    uint64_t total_iops_length, read_iops_length, write_iops_length;
    uint64_t size_iops; /* bytes that count as one operation */
} vsr_block_throttle;

typedef struct {
    vsr_block_aio aio;
    vsr_block_cache cache;
    bool discard;       /* discards reach the file; else they do nothing */
    bool detect_zeroes; /* written zeros become holes */
    vsr_block_throttle throttle;
} vsr_block_options;

typedef enum {
    VSR_BLOCK_READ,
    VSR_BLOCK_WRITE,
    VSR_BLOCK_FLUSH,
    VSR_BLOCK_DISCARD,
    VSR_BLOCK_WRITE_ZEROES,
    VSR_BLOCK_OPS
} vsr_block_op;

typedef struct vsr_block vsr_block;
typedef struct vsr_block_request vsr_block_request;

/* Storage is the caller's until done(). */
struct vsr_block_request {
    vsr_block_op op;
    uint64_t offset, len;    /* bytes: multiples of 512, inside the disk */
    const struct iovec *iov; /* READ and WRITE: exactly len bytes */
    uint32_t n_iov;
    bool fua;       /* WRITE: as if a flush of it followed */
    bool may_unmap; /* WRITE_ZEROES: may leave a hole */
    /* On the block's loop, never before submit() has returned, no lock of ours
     * held. rc: 0 or -errno (-EIO, -ENOSPC …). */
    void (*done)(vsr_block_request *request, int rc);
    void *opaque;
    /* private */
    vsr_block_request *next;
    void *layer[4];
    uint64_t word[4];
};

/* The descriptors are taken from `source` (its image[].fd become -1). `loop`
 * is borrowed. Repairs what a crash left (qcow2: dirty bit, refcounts) unless
 * read-only. */
vsr_block *vsr_block_new(vsr_block_source *source,
                         const vsr_block_options *options, vsr_loop *loop,
                         GError **error);
/* Nothing may be in flight. Flushes. NULL is a no-op. */
void vsr_block_free(vsr_block *block);

uint64_t vsr_block_bytes(const vsr_block *block);
bool vsr_block_is_readonly(const vsr_block *block);
/* Best size of a request's alignment, in bytes: 512 or more. */
uint32_t vsr_block_granularity(const vsr_block *block);

void vsr_block_submit(vsr_block *block, vsr_block_request *request);
/* What the throttle keeps waiting ends now, with -ECANCELED and untouched: for
 * who has to wait for all that is in flight. On the loop. */
void vsr_block_cancel_waiting(vsr_block *block);
/* Submissions from now on may be sent to the host together: between begin and
 * end, on the loop. */
void vsr_block_plug(vsr_block *block);
void vsr_block_unplug(vsr_block *block);

/* Nothing in flight. A raw file can shrink, too; what is behind its new end is
 * lost. Nothing has changed on failure. CONFIG: a size that is none, or beyond
 * a block device's; NO_SUPPORT: read-only, behind NBD, a smaller qcow2,
 * an overlay that would show more of what it is based on; RESOURCE: the host
 * has no space. */
bool vsr_block_resize(vsr_block *block, uint64_t bytes, GError **error);
void vsr_block_set_throttle(vsr_block *block,
                            const vsr_block_throttle *throttle);

typedef struct {
    uint64_t requests[VSR_BLOCK_OPS];
    uint64_t bytes[VSR_BLOCK_OPS];
    uint64_t ns[VSR_BLOCK_OPS];
    uint64_t errors;
} vsr_block_stats;
/* Any thread. What the image takes of the host's disk now, bytes; 0: not known. */
uint64_t vsr_block_allocated(const vsr_block *block);
/* Any thread. */
void vsr_block_get_stats(const vsr_block *block, vsr_block_stats *out);

/* --- images ---------------------------------------------------------------------- */

/* A new, empty qcow2 (version 3). `backing` (may be NULL) is stored as given:
 * a relative name is one in the folder of `path`; with `bytes` 0 the size is
 * its. Never over an existing file (EXISTS). */
bool vsr_block_create_qcow2(const char *path, uint64_t bytes,
                            const char *backing,
                            vsr_block_format backing_format, GError **error);

#endif
