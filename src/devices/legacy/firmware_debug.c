/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * firmware_debug.c: firmware's debug port, 0x402.
 *
 * Threads: register on vCPU threads under the device's lock.
 */
#include "devices/legacy/firmware_debug.h"

#include "base/util.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

enum { READ_VALUE = 0xe9 }; /* "a debug port is here" */

typedef struct {
    vsr_device base;
    vsr_chardev *chardev; /* borrowed */
} firmware_debug;

static uint64_t debug_read(void *opaque, uint64_t offset, uint32_t size)
{
    return READ_VALUE;
}

static void debug_write(void *opaque, uint64_t offset, uint32_t size,
                        uint64_t value)
{
    firmware_debug *f =
        VSR_CONTAINER_OF((vsr_device *)opaque, firmware_debug, base);
    uint8_t byte = (uint8_t)value;

    if (f->chardev)
        vsr_chardev_write(f->chardev, &byte, 1);
}

static const vsr_region_ops debug_ops = {
    .read = debug_read,
    .write = debug_write,
    .min_size = 1,
    .max_size = 1,
};

static bool debug_init(vsr_device *device, const void *params, GError **error)
{
    firmware_debug *f = VSR_CONTAINER_OF(device, firmware_debug, base);
    const vsr_firmware_debug_params *p = params;

    f->chardev = p->chardev;
    return vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_FIRMWARE_DEBUG,
                                 1, &debug_ops, false, error);
}

const vsr_device_class vsr_firmware_debug_class = {
    .name = "firmware-debug",
    .instance_size = sizeof(firmware_debug),
    .init = debug_init,
};
