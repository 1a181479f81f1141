/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.c: a boot file read in pieces.
 *
 * Threads: control.
 */
#include "machine/boot/image.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fd.h"

bool vsr_image_bad(const vsr_image *image, GError **error, const char *format,
                   ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return vsr_fail(error, VISOR_ERR_IMAGE, "%s '%s': %s", image->kind,
                    image->name, text);
}

bool vsr_image_init(vsr_image *out, int fd, const char *kind, const char *name,
                    uint64_t max_bytes, GError **error)
{
    struct stat st;

    *out = (vsr_image){ .fd = fd, .kind = kind, .name = name ? name : "?" };
    if (fstat(fd, &st) < 0)
        return vsr_fail_errno(error, errno, "%s '%s'", kind, out->name);
    if (!S_ISREG(st.st_mode))
        return vsr_image_bad(out, error, "not a regular file");
    out->size = (uint64_t)st.st_size;
    if (out->size == 0)
        return vsr_image_bad(out, error, "the file is empty");
    if (out->size > max_bytes)
        return vsr_image_bad(
            out, error, "%" PRIu64 " bytes, at most %" PRIu64 " are accepted",
            out->size, max_bytes);
    return true;
}

bool vsr_image_check(const vsr_image *image, uint64_t offset, uint64_t len,
                     const char *part, GError **error)
{
    if (offset > image->size || len > image->size - offset)
        return vsr_image_bad(image, error,
                             "truncated: %s needs %" PRIu64
                             " bytes at offset %" PRIu64
                             ", the file has %" PRIu64,
                             part, len, offset, image->size);
    return true;
}

bool vsr_image_read(const vsr_image *image, uint64_t offset, void *to,
                    uint64_t len, const char *part, GError **error)
{
    int rc;

    if (!vsr_image_check(image, offset, len, part, error))
        return false;
    rc = vsr_pread_all(image->fd, to, len, offset);
    if (rc == -EPIPE)
        return vsr_image_bad(image, error, "truncated while %s was read", part);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "%s '%s': reading %s", image->kind,
                              image->name, part);
    return true;
}

bool vsr_image_to_ram(const vsr_image *image, uint64_t offset, uint64_t len,
                      vsr_machine *machine, uint64_t gpa, const char *part,
                      GError **error)
{
    void *to;

    if (len == 0)
        return true;
    to = vsr_mem_map(machine->mem, gpa, len);
    if (!to)
        return vsr_image_bad(image, error,
                             "%s: %" PRIu64 " bytes at 0x%" PRIx64
                             " are not in RAM",
                             part, len, gpa);
    if (!vsr_image_read(image, offset, to, len, part, error))
        return false;
    vsr_mem_written(machine->mem, gpa, len);
    return true;
}
