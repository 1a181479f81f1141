/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * iov.c: parts of scattered buffers.
 *
 * Threads: any.
 */
#include "block/file.h"

#include <string.h>

typedef enum { IOV_FROM, IOV_TO, IOV_ZERO } iov_way;

static void iov_move(const struct iovec *iov, uint32_t n, uint64_t at,
                     uint8_t *memory, size_t len, iov_way way)
{
    for (uint32_t i = 0; i < n && len > 0; i++) {
        uint8_t *base = iov[i].iov_base;
        size_t part;

        if (at >= iov[i].iov_len) {
            at -= iov[i].iov_len;
            continue;
        }
        part = MIN(iov[i].iov_len - (size_t)at, len);
        if (way == IOV_FROM)
            memcpy(base + at, memory, part);
        else if (way == IOV_TO)
            memcpy(memory, base + at, part);
        else
            memset(base + at, 0, part);
        if (way != IOV_ZERO)
            memory += part;
        len -= part;
        at = 0;
    }
}

void blk_iov_from(const struct iovec *iov, uint32_t n, uint64_t at,
                  const void *from, size_t len)
{
    /* IOV_FROM only reads it. */
    iov_move(iov, n, at, (uint8_t *)(uintptr_t)from, len, IOV_FROM);
}

void blk_iov_to(const struct iovec *iov, uint32_t n, uint64_t at, void *to,
                size_t len)
{
    iov_move(iov, n, at, to, len, IOV_TO);
}

void blk_iov_zero(const struct iovec *iov, uint32_t n, uint64_t at, size_t len)
{
    iov_move(iov, n, at, NULL, len, IOV_ZERO);
}

bool blk_iov_is_zero(const struct iovec *iov, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *p = iov[i].iov_base;
        size_t len = iov[i].iov_len;

        if (len > 0 && (p[0] != 0 || memcmp(p, p + 1, len - 1) != 0))
            return false;
    }
    return true;
}

uint32_t blk_iov_slice(const struct iovec *iov, uint32_t n, uint64_t at,
                       uint64_t len, struct iovec *out, uint32_t max,
                       uint64_t *fits)
{
    uint32_t used = 0;

    *fits = 0;
    for (uint32_t i = 0; i < n && len > 0 && used < max; i++) {
        size_t part;

        if (at >= iov[i].iov_len) {
            at -= iov[i].iov_len;
            continue;
        }
        part = (size_t)MIN((uint64_t)iov[i].iov_len - at, len);
        out[used++] = (struct iovec){ (uint8_t *)iov[i].iov_base + at, part };
        *fits += part;
        len -= part;
        at = 0;
    }
    return used;
}
