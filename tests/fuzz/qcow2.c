/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2.c: fuzz target of qcow2 images.
 *
 * Input: one byte of choices, then the image. It is opened, read, written,
 * zeroed, discarded, grown and opened again, at its beginning and its end. What
 * was just written must be read back, and the header must stay.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "block/qcow2_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEN_MAX = 20000, PLACES = 6 };

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

static uint64_t place(const qcow2 *disk, int i)
{
    uint64_t bytes = disk->layers[0].bytes & ~UINT64_C(511);
    const uint64_t places[PLACES] = { 0,
                                      512,
                                      70000 / 512 * 512,
                                      bytes / 2,
                                      bytes - MIN(bytes, 4096),
                                      bytes - MIN(bytes, 512) };

    return MIN(places[i], bytes) & ~UINT64_C(511);
}

static uint64_t room(const qcow2 *disk, uint64_t at, uint64_t len)
{
    uint64_t bytes = disk->layers[0].bytes & ~UINT64_C(511);

    return MIN(len, bytes - at);
}

static void read_all(qcow2 *disk)
{
    g_autofree uint8_t *data = g_malloc(LEN_MAX);

    for (int i = 0; i < PLACES; i++) {
        uint64_t at = place(disk, i), len = room(disk, at, LEN_MAX);
        struct iovec iov = { data, (size_t)len };

        (void)qcow2_read_now(disk, at, len, &iov, 1, 0);
    }
}

/* Within one cluster: two of a bad image may share one of the file's. */
static void write_and_read(qcow2 *disk, uint64_t at, uint8_t value)
{
    uint8_t out[512], in[512];
    struct iovec iov = { out, sizeof out };
    struct iovec in_iov = { in, sizeof in };

    memset(out, value, sizeof out);
    if (room(disk, at, 512) < 512 ||
        qcow2_write_now(disk, at, 512, &iov, 1) < 0)
        return;
    if (qcow2_read_now(disk, at, 512, &in_iov, 1, 0) == 0)
        CHECK(memcmp(in, out, sizeof in) == 0);
}

static void change(qcow2 *disk, uint8_t choices)
{
    qcow2_image *image = disk->layers[0].image;
    g_autofree uint8_t *data = g_malloc0(LEN_MAX);

    for (int i = 0; i < PLACES; i++) {
        uint64_t at = place(disk, i), len = room(disk, at, LEN_MAX);
        struct iovec iov = { data, (size_t)len };

        write_and_read(disk, at, (uint8_t)i);
        if ((choices & 4) != 0)
            (void)qcow2_zero_now(disk, at, len, (choices & 8) != 0);
        write_and_read(disk, at, (uint8_t)(i + 64));
        if ((choices & 16) != 0)
            (void)qcow2_discard_now(disk, at, len);
        if ((choices & 32) != 0 && len > 0)
            (void)qcow2_write_now(disk, at, len, &iov, 1);
        if (i % 2 == 0)
            (void)qcow2_flush(image, false);
    }
    (void)qcow2_flush(image, true);
}

static int make_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("qcow2", MFD_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
    return fd;
}

static void use(int fd, uint8_t choices, bool grow)
{
    g_autoptr(GError) error = NULL;
    qcow2 disk = { .n_layers = 1 };
    blk_file file;
    qcow2_image *image;

    CHECK(blk_file_open(&file, fcntl(fd, F_DUPFD_CLOEXEC, 0), "fuzz",
                        (choices & 1) != 0, false, &error));
    file.no_sync = true;
    image = qcow2_open(&file, (choices & 2) != 0, &error);
    CHECK((image == NULL) == (error != NULL));
    if (image != NULL) {
        disk.layers[0] = (qcow2_layer){ .file = &file,
                                        .image = image,
                                        .bytes = image->bytes };
        read_all(&disk);
        if (image->writable)
            change(&disk, choices);
        if (grow && image->writable && !image->corrupt &&
            qcow2_resize(image, vsr_round_up(image->bytes, 512) + 100000 * 512,
                         NULL))
            disk.layers[0].bytes = image->bytes;
        read_all(&disk);
        qcow2_close(image);
    }
    free(disk.zeroes);
    blk_file_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t magic[4];
    int fd;

    if (size < 2)
        return 0;
    fd = make_file(data + 1, size - 1);
    use(fd, data[0], (data[0] & 64) != 0);
    use(fd, data[0], false);
    if (size > sizeof magic) {
        CHECK(pread(fd, magic, sizeof magic, 0) == sizeof magic);
        CHECK(memcmp(magic, data + 1, sizeof magic) == 0);
    }
    close(fd);
    return 0;
}
