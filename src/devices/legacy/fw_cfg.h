/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fw_cfg.h: the firmware configuration ports: sizes and counts for test
 * kernels, and the few files SeaBIOS asks for.
 *
 * Spec:    QEMU docs/specs/fw_cfg.rst, "Selector (Control) Register", "Data
 *          Register", "Firmware Configuration Items"; without DMA.
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_FW_CFG_H
#define VSR_DEVICES_LEGACY_FW_CFG_H

#include <stdbool.h>

#include "machine/device.h"
#include "machine/x86/board.h"

typedef struct {
    const vsr_board *board; /* borrowed during init */
    bool firmware;          /* add the files that firmware reads */
    uint16_t console_port;  /* firmware's console on this serial; 0: none */
} vsr_fw_cfg_params;

extern const vsr_device_class vsr_fw_cfg_class;

/* How many processors firmware is to find from the next start on; at first the
 * board's number. Control, vCPUs stopped. */
void vsr_fw_cfg_set_cpus(vsr_device *device, uint32_t n);

#endif
