/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * i8042.h: the PC keyboard controller, for reset, A20 and a keyboard that
 * nobody types on.
 *
 * Spec:    IBM Personal System/2 Hardware Interface Technical Reference,
 *          "Keyboard and Auxiliary Device Controller".
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_I8042_H
#define VSR_DEVICES_LEGACY_I8042_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/device.h"

typedef struct {
    uint32_t keyboard_gsi;
    bool keyboard; /* one is plugged in */
} vsr_i8042_params;

extern const vsr_device_class vsr_i8042_class;

#endif
