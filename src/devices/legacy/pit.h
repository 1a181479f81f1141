/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pit.h: the PC's 8254 timer (ports 0x40..0x43, GSI 0) and the half of port
 * 0x61 that belongs to it: gate and output of channel 2.
 *
 * Spec:    Intel 8254 data sheet (231164).
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_PIT_H
#define VSR_DEVICES_LEGACY_PIT_H

#include "machine/device.h"

/* Takes no parameters: pass NULL. */
extern const vsr_device_class vsr_pit_class;

#endif
