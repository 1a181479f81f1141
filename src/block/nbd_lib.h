/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_lib.h: libnbd, loaded by whoever has a network block device: with the
 * libraries that it brings (TLS) it would take every program of ours 1.7 ms to
 * start and half a MiB.
 *
 * Threads: any.
 */
#ifndef VSR_BLOCK_NBD_LIB_H
#define VSR_BLOCK_NBD_LIB_H

#include <stdbool.h>

#include <glib.h>
#include <libnbd.h>

#define BLK_NBD_CALLS(X)  \
    X(aio_connect_socket) \
    X(aio_disconnect)     \
    X(aio_flush)          \
    X(aio_get_direction)  \
    X(aio_get_fd)         \
    X(aio_is_connecting)  \
    X(aio_is_ready)       \
    X(aio_notify_read)    \
    X(aio_notify_write)   \
    X(aio_pread)          \
    X(aio_pwrite)         \
    X(aio_trim)           \
    X(aio_zero)           \
    X(can_flush)          \
    X(can_trim)           \
    X(can_zero)           \
    X(close)              \
    X(create)             \
    X(get_block_size)     \
    X(get_errno)          \
    X(get_error)          \
    X(get_size)           \
    X(is_read_only)       \
    X(poll)               \
    X(set_export_name)

/* nbd_NAME() is lib.NAME(). */
typedef struct {
#define BLK_NBD_MEMBER(name) __typeof__(nbd_##name) *name;
    BLK_NBD_CALLS(BLK_NBD_MEMBER)
#undef BLK_NBD_MEMBER
} blk_nbd_lib;

/* It stays loaded. Not in a sandbox, unless it was loaded before. NO_SUPPORT. */
bool blk_nbd_lib_load(blk_nbd_lib *lib, GError **error);

#endif
