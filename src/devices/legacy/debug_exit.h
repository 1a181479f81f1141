/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * debug_exit.h: a port by which a test kernel ends its machine with a status.
 *
 * A write of V at port 0xf4 ends it with status (V << 1) | 1, as other virtual
 * machines' isa-debug-exit does; reading tells that it is there.
 *
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_DEBUG_EXIT_H
#define VSR_DEVICES_LEGACY_DEBUG_EXIT_H

#include "machine/device.h"

extern const vsr_device_class vsr_debug_exit_class; /* params: NULL */

#endif
