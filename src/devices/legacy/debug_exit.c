/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * debug_exit.c: the debug-exit port.
 *
 * Threads: register on vCPU threads under the device's lock.
 */
#include "devices/legacy/debug_exit.h"

#include <inttypes.h>
#include <stdio.h>

#include "machine/machine.h"
#include "machine/x86/layout.h"

enum { LEN = 4 };

static uint64_t exit_read(void *opaque, uint64_t offset, uint32_t size)
{
    return 0;
}

static void exit_write(void *opaque, uint64_t offset, uint32_t size,
                       uint64_t value)
{
    vsr_device *device = opaque;
    uint32_t status = (uint32_t)value << 1 | 1;
    char detail[64];

    if (offset != 0)
        return;
    snprintf(detail, sizeof(detail), "debug-exit port, value 0x%" PRIx64,
             value);
    vsr_machine_request(device->machine, VSR_REQUEST_EXIT, (int)status, detail);
}

static const vsr_region_ops exit_ops = {
    .read = exit_read,
    .write = exit_write,
    .min_size = 1,
    .max_size = LEN,
};

static bool exit_init(vsr_device *device, const void *params, GError **error)
{
    return vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_DEBUG_EXIT,
                                 LEN, &exit_ops, false, error);
}

const vsr_device_class vsr_debug_exit_class = {
    .name = "debug-exit",
    .instance_size = sizeof(vsr_device),
    .init = exit_init,
};
