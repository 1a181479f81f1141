/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reset_port.h: the reset control register at port 0xcf9.
 *
 * A board without PCI has it as a device of its own; with PCI the host bridge
 * owns ports 0xcf8..0xcff and passes the byte on.
 *
 * Spec:    Intel ICH9 data sheet, 13.7.5 "RST_CNT - Reset Control Register".
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_RESET_PORT_H
#define VSR_DEVICES_LEGACY_RESET_PORT_H

#include <stdint.h>

#include "machine/device.h"

extern const vsr_device_class vsr_reset_port_class; /* params: NULL */

/* A write of `value` to the register kept in *reg. */
void vsr_reset_register_write(vsr_machine *machine, uint8_t *reg,
                              uint8_t value);

#endif
