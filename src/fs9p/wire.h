/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire.h: the fields of 9P messages: little-endian numbers, strings with a
 * length of two bytes. Past the end everything reads as 0 and `bad` is set.
 *
 * Threads: the caller's.
 */
#ifndef VSR_FS9P_WIRE_H
#define VSR_FS9P_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN);

typedef struct {
    const uint8_t *at;
    uint32_t left;
    bool bad;
} fs9p_in;

typedef struct {
    uint8_t *base;
    uint32_t len, max;
    bool full;
} fs9p_out;

static inline uint64_t fs9p_get(fs9p_in *in, uint32_t bytes)
{
    uint64_t value = 0;

    if (in->left < bytes) {
        in->bad = true;
        in->left = 0;
        return 0;
    }
    memcpy(&value, in->at, bytes);
    in->at += bytes;
    in->left -= bytes;
    return value;
}

static inline uint32_t fs9p_get32(fs9p_in *in)
{
    return (uint32_t)fs9p_get(in, 4);
}

static inline uint64_t fs9p_get64(fs9p_in *in)
{
    return fs9p_get(in, 8);
}

/* A string of less than `size` bytes without a NUL in it, which is added. */
static inline void fs9p_get_string(fs9p_in *in, char *to, uint32_t size)
{
    uint32_t len = (uint32_t)fs9p_get(in, 2);

    to[0] = '\0';
    if (len > in->left || len >= size || memchr(in->at, 0, len) != NULL) {
        in->bad = true;
        return;
    }
    memcpy(to, in->at, len);
    to[len] = '\0';
    in->at += len;
    in->left -= len;
}

static inline void fs9p_put_bytes(fs9p_out *out, const void *from, uint32_t len)
{
    if (len > out->max - out->len) {
        out->full = true;
        return;
    }
    memcpy(out->base + out->len, from, len);
    out->len += len;
}

static inline void fs9p_put(fs9p_out *out, uint64_t value, uint32_t bytes)
{
    fs9p_put_bytes(out, &value, bytes);
}

static inline void fs9p_put_string(fs9p_out *out, const char *text)
{
    uint32_t len = (uint32_t)strlen(text);

    fs9p_put(out, len, 2);
    fs9p_put_bytes(out, text, len);
}

#endif
