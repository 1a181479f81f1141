/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reset_port.c: reset control register, port 0xcf9.
 *
 * Spec:    Intel ICH9 data sheet, 13.7.5 "RST_CNT - Reset Control Register".
 * Threads: register on vCPU threads under the device's lock.
 */
#include "devices/legacy/reset_port.h"

#include "base/util.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

enum {
    RST_SYS = 1 << 1,  /* hard reset rather than INIT */
    RST_CPU = 1 << 2,  /* a change from 0 to 1 resets */
    RST_FULL = 1 << 3, /* power cycle */
};

typedef struct {
    vsr_device base;
    uint8_t value;
} reset_port;

static reset_port *to_reset(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, reset_port, base);
}

void vsr_reset_register_write(vsr_machine *machine, uint8_t *reg, uint8_t value)
{
    bool edge = !(*reg & RST_CPU) && (value & RST_CPU);

    *reg = value & (RST_SYS | RST_FULL);
    if (edge)
        vsr_machine_request(machine, VSR_REQUEST_RESET, 0,
                            "reset register, port 0xcf9");
}

static uint64_t reset_read(void *opaque, uint64_t offset, uint32_t size)
{
    return to_reset(opaque)->value;
}

static void reset_write(void *opaque, uint64_t offset, uint32_t size,
                        uint64_t value)
{
    reset_port *r = to_reset(opaque);

    vsr_reset_register_write(r->base.machine, &r->value, (uint8_t)value);
}

static void reset_reset(vsr_device *device)
{
    to_reset(device)->value = 0;
}

static const vsr_region_ops reset_ops = {
    .read = reset_read,
    .write = reset_write,
    .min_size = 1,
    .max_size = 1,
};

static bool reset_init(vsr_device *device, const void *params, GError **error)
{
    return vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_RESET, 1,
                                 &reset_ops, false, error);
}

const vsr_device_class vsr_reset_port_class = {
    .name = "reset-port",
    .instance_size = sizeof(reset_port),
    .init = reset_init,
    .reset = reset_reset,
};
