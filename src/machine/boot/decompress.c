/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decompress.c: the formats Linux packs its kernel in, except LZO.
 *
 * Input is read in pieces and output handed on in pieces: what is held at any
 * time is a codec's window. LZ4's legacy frames have blocks of 8 MiB, mapped
 * apart from the heap so that they go back to the host at once.
 *
 * Threads: control.
 */
#include "machine/boot/decompress.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#ifdef VSR_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef VSR_HAVE_LZMA
#include <lzma.h>
#endif
#ifdef VSR_HAVE_BZIP2
#include <bzlib.h>
#endif
#ifdef VSR_HAVE_LZ4
#include <lz4.h>
#endif
#ifdef VSR_HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/error.h"
#include "base/util.h"

enum {
    IN_LEN = 64 * 1024,
    OUT_LEN = 256 * 1024,
    LZ4_BLOCK = 8 * 1024 * 1024,
    LZ4_PACKED_MAX = LZ4_BLOCK + LZ4_BLOCK / 255 + 16,
    /* xz -9 takes 64 MiB; kernels use 32 MiB. */
    LZMA_MEMORY_MAX = 96 * 1024 * 1024,
    ZSTD_WINDOW_LOG_MAX = 27, /* zstd --ultra -22 */
};

vsr_packed vsr_packed_detect(const uint8_t *data, size_t len)
{
    static const struct {
        uint8_t magic[6];
        uint8_t len;
        vsr_packed format;
    } known[] = {
        { { 0x7f, 'E', 'L', 'F' }, 4, VSR_PACKED_NONE },
        { { 0x1f, 0x8b }, 2, VSR_PACKED_GZIP },
        { { 'B', 'Z', 'h' }, 3, VSR_PACKED_BZIP2 },
        { { 0x5d, 0x00, 0x00 }, 3, VSR_PACKED_LZMA },
        { { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, VSR_PACKED_XZ },
        { { 0x89, 'L', 'Z', 'O' }, 4, VSR_PACKED_LZO },
        { { 0x02, 0x21, 0x4c, 0x18 }, 4, VSR_PACKED_LZ4 },
        { { 0x28, 0xb5, 0x2f, 0xfd }, 4, VSR_PACKED_ZSTD },
    };
    size_t i;

    for (i = 0; i < VSR_ARRAY_SIZE(known); i++)
        if (len >= known[i].len &&
            memcmp(data, known[i].magic, known[i].len) == 0)
            return known[i].format;
    return VSR_PACKED_UNKNOWN;
}

const char *vsr_packed_name(vsr_packed format)
{
    static const char *const names[] = {
        "none", "gzip", "bzip2", "lzma", "xz", "lzo", "lz4", "zstd", "unknown",
    };

    return names[MIN((uint32_t)format, (uint32_t)VSR_PACKED_UNKNOWN)];
}

bool vsr_packed_supported(vsr_packed format)
{
    switch (format) {
    case VSR_PACKED_NONE:
        return true;
#ifdef VSR_HAVE_ZLIB
    case VSR_PACKED_GZIP:
        return true;
#endif
#ifdef VSR_HAVE_BZIP2
    case VSR_PACKED_BZIP2:
        return true;
#endif
#ifdef VSR_HAVE_LZMA
    case VSR_PACKED_LZMA:
    case VSR_PACKED_XZ:
        return true;
#endif
#ifdef VSR_HAVE_LZ4
    case VSR_PACKED_LZ4:
        return true;
#endif
#ifdef VSR_HAVE_ZSTD
    case VSR_PACKED_ZSTD:
        return true;
#endif
    case VSR_PACKED_LZO:
    case VSR_PACKED_UNKNOWN:
    default:
        return false;
    }
}

/* One run of a codec. */
typedef struct {
    const vsr_image *image;
    vsr_packed format;
    uint64_t at, end; /* what of the file is still to be read */
    uint64_t out, expected;
    vsr_unpack_sink *sink;
    void *opaque;
    uint8_t *in_buf, *out_buf;
} job;

static bool bad(job *j, const char *what, GError **error)
{
    return vsr_image_bad(j->image, error,
                         "%s payload: %s after %" PRIu64 " bytes of output",
                         vsr_packed_name(j->format), what, j->out);
}

static bool emit(job *j, const uint8_t *data, size_t len, GError **error)
{
    if (len > j->expected - j->out)
        return bad(j, "more output than its size says", error);
    if (len && !j->sink(data, len, j->opaque, error))
        return false;
    j->out += len;
    return true;
}

/* The next piece of input; *len 0 at the end. */
static bool refill(job *j, size_t *len, GError **error)
{
    *len = (size_t)MIN(j->end - j->at, IN_LEN);
    if (*len == 0)
        return true;
    if (!vsr_image_read(j->image, j->at, j->in_buf, *len, "the payload", error))
        return false;
    j->at += *len;
    return true;
}

/*
 * The common loop. step() consumes from (in, *in_len), writes at most OUT_LEN
 * bytes to out_buf and sets *out_len; it returns 0 to go on, 1 at the end of
 * the stream, -1 for bad data.
 */
typedef int codec_step(void *codec, const uint8_t *in, size_t *in_len,
                       uint8_t *out, size_t *out_len);

static bool run(job *j, codec_step *step, void *codec, GError **error)
{
    size_t have = 0, pos = 0;

    while (j->out < j->expected) {
        size_t used, made = OUT_LEN;
        int rc;

        if (pos == have) {
            if (!refill(j, &have, error))
                return false;
            pos = 0;
        }
        used = have - pos;
        rc = step(codec, j->in_buf + pos, &used, j->out_buf, &made);
        if (rc < 0)
            return bad(j, "bad data", error);
        pos += used;
        if (!emit(j, j->out_buf, made, error))
            return false;
        if (rc > 0)
            break;
        if (used == 0 && made == 0)
            return bad(j, have == 0 ? "truncated" : "no progress", error);
    }
    return true;
}

#ifdef VSR_HAVE_ZLIB
static int gzip_step(void *codec, const uint8_t *in, size_t *in_len,
                     uint8_t *out, size_t *out_len)
{
    z_stream *z = codec;
    int rc;

    /* The library takes a pointer it only reads. */
    z->next_in = (Bytef *)(uintptr_t)in;
    z->avail_in = (uInt)*in_len;
    z->next_out = out;
    z->avail_out = (uInt)*out_len;
    rc = inflate(z, Z_NO_FLUSH);
    *in_len -= z->avail_in;
    *out_len -= z->avail_out;
    if (rc == Z_STREAM_END)
        return 1;
    return rc == Z_OK || rc == Z_BUF_ERROR ? 0 : -1;
}

static bool unpack_gzip(job *j, GError **error)
{
    z_stream z = { 0 };
    bool ok;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return bad(j, "no memory", error);
    ok = run(j, gzip_step, &z, error);
    inflateEnd(&z);
    return ok;
}
#endif

#ifdef VSR_HAVE_BZIP2
static int bzip2_step(void *codec, const uint8_t *in, size_t *in_len,
                      uint8_t *out, size_t *out_len)
{
    bz_stream *bz = codec;
    int rc;

    /* The library takes a char * it only reads. */
    bz->next_in = (char *)(uintptr_t)in;
    bz->avail_in = (unsigned)*in_len;
    bz->next_out = (char *)out;
    bz->avail_out = (unsigned)*out_len;
    rc = BZ2_bzDecompress(bz);
    *in_len -= bz->avail_in;
    *out_len -= bz->avail_out;
    if (rc == BZ_STREAM_END)
        return 1;
    return rc == BZ_OK ? 0 : -1;
}

static bool unpack_bzip2(job *j, GError **error)
{
    bz_stream bz = { 0 };
    bool ok;

    if (BZ2_bzDecompressInit(&bz, 0, 0) != BZ_OK)
        return bad(j, "no memory", error);
    ok = run(j, bzip2_step, &bz, error);
    BZ2_bzDecompressEnd(&bz);
    return ok;
}
#endif

#ifdef VSR_HAVE_LZMA
static int lzma_step(void *codec, const uint8_t *in, size_t *in_len,
                     uint8_t *out, size_t *out_len)
{
    lzma_stream *lz = codec;
    lzma_ret rc;

    lz->next_in = in;
    lz->avail_in = *in_len;
    lz->next_out = out;
    lz->avail_out = *out_len;
    rc = lzma_code(lz, LZMA_RUN);
    *in_len -= lz->avail_in;
    *out_len -= lz->avail_out;
    if (rc == LZMA_STREAM_END)
        return 1;
    return rc == LZMA_OK || rc == LZMA_BUF_ERROR ? 0 : -1;
}

static bool unpack_lzma(job *j, GError **error)
{
    lzma_stream lz = LZMA_STREAM_INIT;
    lzma_ret rc = j->format == VSR_PACKED_XZ
                      ? lzma_stream_decoder(&lz, LZMA_MEMORY_MAX, 0)
                      : lzma_alone_decoder(&lz, LZMA_MEMORY_MAX);
    bool ok;

    if (rc != LZMA_OK)
        return bad(j, "no memory", error);
    ok = run(j, lzma_step, &lz, error);
    lzma_end(&lz);
    return ok;
}
#endif

#ifdef VSR_HAVE_ZSTD
static int zstd_step(void *codec, const uint8_t *in, size_t *in_len,
                     uint8_t *out, size_t *out_len)
{
    ZSTD_inBuffer from = { in, *in_len, 0 };
    ZSTD_outBuffer to = { out, *out_len, 0 };
    size_t rc = ZSTD_decompressStream(codec, &to, &from);

    *in_len = from.pos;
    *out_len = to.pos;
    if (ZSTD_isError(rc))
        return -1;
    return rc == 0 ? 1 : 0;
}

static bool unpack_zstd(job *j, GError **error)
{
    ZSTD_DCtx *codec = ZSTD_createDCtx();
    bool ok;

    if (!codec)
        return bad(j, "no memory", error);
    ZSTD_DCtx_setParameter(codec, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    ok = run(j, zstd_step, codec, error);
    ZSTD_freeDCtx(codec);
    return ok;
}
#endif

#ifdef VSR_HAVE_LZ4
static bool lz4_blocks(job *j, uint8_t *packed, uint8_t *plain, GError **error)
{
    j->at += 4; /* the magic number */
    while (j->out < j->expected) {
        uint8_t head[4];
        uint32_t len;
        int made;

        if (j->end - j->at < 4)
            return bad(j, "truncated", error);
        if (!vsr_image_read(j->image, j->at, head, 4, "the payload", error))
            return false;
        j->at += 4;
        len = vsr_le32(head);
        if (len == 0 || len > LZ4_PACKED_MAX || len > j->end - j->at)
            return bad(j, "bad block length", error);
        if (!vsr_image_read(j->image, j->at, packed, len, "the payload", error))
            return false;
        j->at += len;
        made = LZ4_decompress_safe((const char *)packed, (char *)plain,
                                   (int)len, LZ4_BLOCK);
        if (made <= 0)
            return bad(j, "bad data", error);
        if (!emit(j, plain, (size_t)made, error))
            return false;
    }
    return true;
}

static bool unpack_lz4(job *j, GError **error)
{
    const size_t len = LZ4_PACKED_MAX + LZ4_BLOCK;
    uint8_t *room = mmap(NULL, len, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool ok;

    if (room == MAP_FAILED)
        return bad(j, "no memory", error);
    ok = lz4_blocks(j, room + LZ4_BLOCK, room, error);
    munmap(room, len);
    return ok;
}
#endif

static bool unpack(job *j, GError **error)
{
    switch (j->format) {
#ifdef VSR_HAVE_ZLIB
    case VSR_PACKED_GZIP:
        return unpack_gzip(j, error);
#endif
#ifdef VSR_HAVE_BZIP2
    case VSR_PACKED_BZIP2:
        return unpack_bzip2(j, error);
#endif
#ifdef VSR_HAVE_LZMA
    case VSR_PACKED_LZMA:
    case VSR_PACKED_XZ:
        return unpack_lzma(j, error);
#endif
#ifdef VSR_HAVE_LZ4
    case VSR_PACKED_LZ4:
        return unpack_lz4(j, error);
#endif
#ifdef VSR_HAVE_ZSTD
    case VSR_PACKED_ZSTD:
        return unpack_zstd(j, error);
#endif
    case VSR_PACKED_NONE:
    case VSR_PACKED_LZO:
    case VSR_PACKED_UNKNOWN:
    default:
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "%s '%s': %s payload is not supported by this build",
                        j->image->kind, j->image->name,
                        vsr_packed_name(j->format));
    }
}

bool vsr_unpack(const vsr_image *image, uint64_t offset, uint64_t len,
                vsr_packed format, uint64_t max_out, vsr_unpack_sink *sink,
                void *opaque, GError **error)
{
    g_autofree uint8_t *buffers = NULL;
    job j = { .image = image,
              .format = format,
              .at = offset,
              .sink = sink,
              .opaque = opaque };
    uint8_t size[4];

    if (!vsr_image_check(image, offset, len, "the payload", error))
        return false;
    if (len < 16)
        return vsr_image_bad(image, error, "payload of %" PRIu64 " bytes", len);
    /* gzip's own trailer is its size too, modulo 4 GiB. */
    if (!vsr_image_read(image, offset + len - 4, size, 4, "the payload size",
                        error))
        return false;
    j.expected = vsr_le32(size);
    j.end = offset + len - (format == VSR_PACKED_GZIP ? 0 : 4);
    if (j.expected == 0 || j.expected > max_out)
        return vsr_image_bad(image, error,
                             "payload unpacks to %" PRIu64
                             " bytes, at most %" PRIu64 " are accepted",
                             j.expected, max_out);
    buffers = g_malloc(IN_LEN + OUT_LEN);
    j.in_buf = buffers;
    j.out_buf = buffers + IN_LEN;
    if (!unpack(&j, error))
        return false;
    if (j.out != j.expected)
        return bad(&j, "the stream ended early", error);
    return true;
}
