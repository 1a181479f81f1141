/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* firmware.h: a firmware image, mapped to end at 4 GiB. */
#ifndef VSR_MACHINE_BOOT_FIRMWARE_H
#define VSR_MACHINE_BOOT_FIRMWARE_H

#include "machine/boot/boot.h"

bool vsr_firmware_load(vsr_machine *machine, const vsr_board *board,
                       const vsr_boot_source *source, vsr_x86_state *state,
                       GError **error);

#endif
