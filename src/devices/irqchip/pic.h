/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pic.h: the PC's two cascaded 8259A interrupt controllers, GSIs 0..15.
 *
 * Spec:    Intel 8259A data sheet (231468); ELCR: Intel 82371SB data sheet,
 *          "ELCR1, ELCR2".
 * Threads: see machine/device.h; lines from any thread.
 */
#ifndef VSR_DEVICES_IRQCHIP_PIC_H
#define VSR_DEVICES_IRQCHIP_PIC_H

#include "machine/device.h"

typedef struct {
    vsr_device *lapic; /* its LINT0 takes our output; borrowed, outlives it */
} vsr_pic_params;

extern const vsr_device_class vsr_pic_class;

#endif
