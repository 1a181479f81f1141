/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.h: a boot file read in pieces, every piece checked against its size.
 *
 * Files are read with pread, never mapped: one that shrinks meanwhile is an
 * error, not a signal.
 */
#ifndef VSR_MACHINE_BOOT_IMAGE_H
#define VSR_MACHINE_BOOT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "machine/machine.h"

typedef struct {
    int fd;           /* borrowed */
    const char *kind; /* "Kernel", for messages */
    const char *name;
    uint64_t size;
} vsr_image;

/* IMAGE: not a regular file, empty, or larger than max_bytes. */
bool vsr_image_init(vsr_image *out, int fd, const char *kind, const char *name,
                    uint64_t max_bytes, GError **error);
/* IMAGE when [offset, offset+len) is not in the file. */
bool vsr_image_check(const vsr_image *image, uint64_t offset, uint64_t len,
                     const char *part, GError **error);
bool vsr_image_read(const vsr_image *image, uint64_t offset, void *to,
                    uint64_t len, const char *part, GError **error);
/* Straight into guest RAM. */
bool vsr_image_to_ram(const vsr_image *image, uint64_t offset, uint64_t len,
                      vsr_machine *machine, uint64_t gpa, const char *part,
                      GError **error);
/* IMAGE error "Kernel 'name': message"; returns false. */
bool vsr_image_bad(const vsr_image *image, GError **error, const char *format,
                   ...) G_GNUC_PRINTF(3, 4);

/* Little-endian fields of a header, whatever its alignment. */
static inline uint16_t vsr_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t vsr_le32(const uint8_t *p)
{
    return vsr_le16(p) | (uint32_t)vsr_le16(p + 2) << 16;
}
static inline uint64_t vsr_le64(const uint8_t *p)
{
    return vsr_le32(p) | (uint64_t)vsr_le32(p + 4) << 32;
}
static inline void vsr_put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}
static inline void vsr_put32(uint8_t *p, uint32_t value)
{
    vsr_put16(p, (uint16_t)value);
    vsr_put16(p + 2, (uint16_t)(value >> 16));
}
static inline void vsr_put64(uint8_t *p, uint64_t value)
{
    vsr_put32(p, (uint32_t)value);
    vsr_put32(p + 4, (uint32_t)(value >> 32));
}

#endif
