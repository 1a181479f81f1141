/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_create.c: new, empty qcow2 images.
 *
 * Layout, in clusters of 64 KiB: header, refcount table, one refcount block, L1.
 *
 * Spec:    QEMU, docs/interop/qcow2.rst, version 3.
 * Threads: any.
 */
#include "block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/util.h"
#include "block/qcow2_format.h"
#include "block/source.h"

enum {
    BITS = 16,
    CLUSTER = 1 << BITS,
    AT_REFTABLE = CLUSTER,
    AT_REFS = 2 * CLUSTER,
    AT_L1 = 3 * CLUSTER,
    SECTOR = 512,
    BACKING_NAME_MAX = 1023,
};
#define REACH_BITS         (2 * BITS - 3) /* of an L1 entry */
#define EXT_BACKING_FORMAT UINT32_C(0xe2792aca)

static const char *format_name(vsr_block_format format)
{
    return format == VSR_BLOCK_QCOW2 ? "qcow2" : "raw";
}

/* Bytes of the disk in the backing file. */
static bool backing_bytes(const char *path, const char *backing,
                          vsr_block_format format, uint64_t *out,
                          GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *file_path = backing[0] == '/'
                                     ? g_strdup(backing)
                                     : g_build_filename(folder, backing, NULL);
    qcow2_header header = { 0 };
    blk_file file;
    bool ok = true;
    int fd = blk_source_open_file(file_path, true, error);

    if (fd < 0 || !blk_file_open(&file, fd, file_path, true, false, error))
        return false;
    *out = file.bytes;
    if (format == VSR_BLOCK_QCOW2) {
        ok = qcow2_header_read(&file, &header, error);
        *out = header.bytes;
        qcow2_header_clear(&header);
    }
    blk_file_close(&file);
    *out = vsr_round_up(*out, SECTOR);
    return ok;
}

static void fill_header(uint8_t *p, uint64_t bytes, uint32_t l1_entries,
                        const char *backing, const char *backing_format)
{
    uint8_t *at = p + QCOW2_V3_HEADER;

    qcow2_put32(p, QCOW2_MAGIC);
    qcow2_put32(p + 4, 3);
    qcow2_put32(p + 20, BITS);
    qcow2_put64(p + QCOW2_AT_BYTES, bytes);
    qcow2_put32(p + QCOW2_AT_L1, l1_entries);
    qcow2_put64(p + 40, AT_L1);
    qcow2_put64(p + QCOW2_AT_REFTABLE, AT_REFTABLE);
    qcow2_put32(p + 56, 1);
    qcow2_put32(p + 96, 4); /* counts of 16 bits */
    qcow2_put32(p + 100, QCOW2_V3_HEADER);
    if (backing == NULL)
        return;
    qcow2_put32(at, EXT_BACKING_FORMAT);
    qcow2_put32(at + 4, (uint32_t)strlen(backing_format));
    memcpy(at + 8, backing_format, strlen(backing_format));
    at += 8 + 8 + 8; /* its name is shorter than 8; the end of extensions */
    qcow2_put64(p + 8, (uint64_t)(at - p));
    qcow2_put32(p + 16, (uint32_t)strlen(backing));
    memcpy(at, backing, strlen(backing));
}

static int write_image(int fd, uint64_t bytes, const char *backing,
                       const char *backing_format)
{
    uint64_t entries = bytes == 0 ? 0 : ((bytes - 1) >> REACH_BITS) + 1;
    uint64_t clusters = 3 + (entries * 8 + CLUSTER - 1) / CLUSTER;
    g_autofree uint8_t *data = g_malloc0(3 * CLUSTER);

    fill_header(data, bytes, (uint32_t)MAX(entries, 1), backing,
                backing_format);
    qcow2_put64(data + AT_REFTABLE, AT_REFS);
    clusters = MAX(clusters, 4); /* an L1 table, if only of one entry */
    for (uint64_t i = 0; i < clusters; i++)
        data[AT_REFS + i * 2 + 1] = 1;
    if (pwrite(fd, data, 3 * CLUSTER, 0) != 3 * CLUSTER)
        return errno != 0 ? -errno : -EIO;
    if (ftruncate(fd, (off_t)(clusters * CLUSTER)) < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

static int sync_folder(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    vsr_autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static bool check_bytes(const char *path, uint64_t bytes, GError **error)
{
    uint64_t max = QCOW2_L1_BYTES_MAX / 8 << REACH_BITS;

    if (bytes % SECTOR != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "'%s' cannot have %" G_GUINT64_FORMAT
                        " bytes: not a multiple of 512",
                        path, bytes);
    if (bytes > max)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "'%s' cannot have %" G_GUINT64_FORMAT
                        " bytes; %" G_GUINT64_FORMAT " are the most",
                        path, bytes, max);
    return true;
}

bool vsr_block_create_qcow2(const char *path, uint64_t bytes,
                            const char *backing,
                            vsr_block_format backing_format, GError **error)
{
    vsr_autofd fd = -1;
    int rc;

    if (backing != NULL &&
        (strlen(backing) > BACKING_NAME_MAX || backing[0] == '\0'))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "The backing file's name of '%s' has %zu bytes, not 1 "
                        "to %d",
                        path, strlen(backing), BACKING_NAME_MAX);
    if (backing != NULL && bytes == 0 &&
        !backing_bytes(path, backing, backing_format, &bytes, error))
        return false;
    if (!check_bytes(path, bytes, error))
        return false;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return vsr_fail_errno(error, errno, "Cannot create '%s'", path);
    errno = 0;
    rc = write_image(fd, bytes, backing, format_name(backing_format));
    if (rc == 0)
        rc = sync_folder(path);
    if (rc < 0) {
        (void)unlink(path);
        return vsr_fail_errno(error, rc, "Cannot create '%s'", path);
    }
    return true;
}
