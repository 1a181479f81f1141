/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rtc.h: the PC's MC146818 real-time clock and its 128 bytes of NVRAM.
 *
 * Spec:    Motorola MC146818A data sheet; IBM PC AT CMOS map; the memory-size
 *          bytes as SeaBIOS reads them.
 * Threads: see machine/device.h.
 */
#ifndef VSR_DEVICES_LEGACY_RTC_H
#define VSR_DEVICES_LEGACY_RTC_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/device.h"

typedef struct {
    uint16_t port; /* index; data is the next one */
    uint32_t gsi;
    bool localtime;    /* the guest sees local time, else UTC */
    int64_t offset_s;  /* added to the host's clock (clock offset 'variable') */
    uint64_t low_ram;  /* bytes of RAM below 4 GiB, for the NVRAM */
    uint64_t high_ram; /* bytes of RAM above 4 GiB */
    bool disk_boot;    /* boot order for firmware: disk first */
} vsr_rtc_params;

extern const vsr_device_class vsr_rtc_class;

/* Seconds the guest's clock is ahead of the host's UTC, its own settings
 * included: what a 'variable' clock keeps. Any thread. */
int64_t vsr_rtc_offset_s(vsr_device *rtc);

#endif
