/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * payload.h: the packed ELF kernel inside of a bzImage, unpacked straight into
 * guest RAM.
 */
#ifndef VSR_MACHINE_BOOT_PAYLOAD_H
#define VSR_MACHINE_BOOT_PAYLOAD_H

#include "machine/boot/pvh.h"

typedef enum {
    VSR_PAYLOAD_LOADED,
    VSR_PAYLOAD_NOT_OURS, /* no payload, packed by a format we lack, or without
                             an entry point: RAM is as it was */
    VSR_PAYLOAD_FAILED,   /* *error is set */
} vsr_payload_result;

typedef struct {
    uint64_t entry_64; /* startup_64(), physical; 0: there is none */
    bool has_pvh;
    uint32_t pvh_entry;
    uint64_t end; /* first byte above the kernel */
} vsr_payload;

vsr_payload_result vsr_payload_load(vsr_machine *machine,
                                    const vsr_board *board,
                                    const vsr_image *image, uint64_t offset,
                                    uint64_t len, vsr_payload *out,
                                    GError **error);

#endif
