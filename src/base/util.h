/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* util.h: the handful of macros everything uses. */
#ifndef VSR_BASE_UTIL_H
#define VSR_BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define VSR_CONTAINER_OF(ptr, type, member)                                    \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define VSR_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define VSR_KIB (UINT64_C(1) << 10)
#define VSR_MIB (UINT64_C(1) << 20)
#define VSR_GIB (UINT64_C(1) << 30)

static inline uint64_t vsr_round_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) / align * align;
}

#endif
