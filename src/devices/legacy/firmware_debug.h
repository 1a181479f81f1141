/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * firmware_debug.h: port 0x402, to which SeaBIOS and OVMF write their log.
 *
 * Spec:    SeaBIOS docs/Debugging.md, "Debugging via QEMU"; Bochs port 0xe9
 *          for the value read.
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_FIRMWARE_DEBUG_H
#define VSR_DEVICES_LEGACY_FIRMWARE_DEBUG_H

#include "chardev/chardev.h"
#include "machine/device.h"

typedef struct {
    vsr_chardev *chardev; /* borrowed, outlives the device; NULL: dropped */
} vsr_firmware_debug_params;

extern const vsr_device_class vsr_firmware_debug_class;

#endif
