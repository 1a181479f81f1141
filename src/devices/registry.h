/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* registry.h: all device classes, by name: what a saved machine names. */
#ifndef VSR_DEVICES_REGISTRY_H
#define VSR_DEVICES_REGISTRY_H

#include <stdint.h>

#include "machine/device.h"

/* NULL if unknown. */
const vsr_device_class *vsr_device_class_find(const char *name);
/* In order of the table; NULL past the last. */
const vsr_device_class *vsr_device_class_get(uint32_t index);

#endif
