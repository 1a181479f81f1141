/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * uart16550.h: a 16550A serial port (COM1..COM4) on a character device.
 *
 * Spec:    National Semiconductor PC16550D data sheet (June 1995), 8
 *          "Registers".
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_UART16550_H
#define VSR_DEVICES_LEGACY_UART16550_H

#include <stdint.h>

#include "chardev/chardev.h"
#include "machine/device.h"

typedef struct {
    uint16_t port; /* first of 8 */
    uint32_t gsi;
    vsr_chardev *chardev; /* borrowed, outlives the device; NULL: unplugged */
} vsr_uart16550_params;

extern const vsr_device_class vsr_uart16550_class;

#endif
