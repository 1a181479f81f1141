/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_bench.c: ports and memory for test kernels.
 *
 * Threads: registers on vCPU threads under the device's lock.
 */
#include "devices/legacy/test_bench.h"

#include <string.h>

#include "base/util.h"
#include "machine/irq.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

enum { PORTS_LEN = 4, LINES = 24, MEMORY_LEN = 0x10000 };

typedef struct {
    vsr_device base;
    vsr_irq line[LINES];
    uint8_t ports[PORTS_LEN];
    uint8_t memory[MEMORY_LEN];
} test_bench;

static test_bench *to_bench(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, test_bench, base);
}

/* The bus keeps accesses inside of the region. */
static uint64_t get(const uint8_t *from, uint32_t size)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (uint64_t)from[i] << 8 * i;
    return value;
}

static void put(uint8_t *to, uint32_t size, uint64_t value)
{
    for (uint32_t i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t ports_read(void *opaque, uint64_t offset, uint32_t size)
{
    return get(to_bench(opaque)->ports + offset, size);
}

static void ports_write(void *opaque, uint64_t offset, uint32_t size,
                        uint64_t value)
{
    put(to_bench(opaque)->ports + offset, size, value);
}

static uint64_t memory_read(void *opaque, uint64_t offset, uint32_t size)
{
    return get(to_bench(opaque)->memory + offset, size);
}

static void memory_write(void *opaque, uint64_t offset, uint32_t size,
                         uint64_t value)
{
    put(to_bench(opaque)->memory + offset, size, value);
}

static uint64_t zero_read(void *opaque, uint64_t offset, uint32_t size)
{
    return 0;
}

static void sink_write(void *opaque, uint64_t offset, uint32_t size,
                       uint64_t value)
{
}

static void line_write(void *opaque, uint64_t offset, uint32_t size,
                       uint64_t value)
{
    vsr_irq_set(&to_bench(opaque)->line[offset], value != 0);
}

static const vsr_region_ops ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .min_size = 1,
    .max_size = 4,
};

static const vsr_region_ops sink_ops = {
    .read = zero_read,
    .write = sink_write,
    .min_size = 1,
    .max_size = 4,
};

static const vsr_region_ops line_ops = {
    .read = zero_read,
    .write = line_write,
    .min_size = 1,
    .max_size = 1,
};

static const vsr_region_ops memory_ops = {
    .read = memory_read,
    .write = memory_write,
    .min_size = 1,
    .max_size = 8,
};

static void bench_reset(vsr_device *device)
{
    test_bench *bench = to_bench(device);

    g_mutex_lock(&device->lock);
    for (uint32_t i = 0; i < LINES; i++)
        vsr_irq_set(&bench->line[i], false);
    memset(bench->ports, 0, sizeof(bench->ports));
    memset(bench->memory, 0, sizeof(bench->memory));
    g_mutex_unlock(&device->lock);
}

static bool bench_init(vsr_device *device, const void *params, GError **error)
{
    test_bench *bench = to_bench(device);

    for (uint32_t i = 0; i < LINES; i++)
        vsr_irq_init(&bench->line[i], device->machine->irqs, i);
    return vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_TEST,
                                 PORTS_LEN, &ports_ops, false, error) &&
           vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_TEST_SINK,
                                 PORTS_LEN, &sink_ops, false, error) &&
           vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_TEST_LINES,
                                 LINES, &line_ops, false, error) &&
           vsr_device_add_region(device, VSR_SPACE_MMIO, VSR_TEST_MEMORY_BASE,
                                 MEMORY_LEN, &memory_ops, false, error);
}

const vsr_device_class vsr_test_bench_class = {
    .name = "test-bench",
    .instance_size = sizeof(test_bench),
    .init = bench_init,
    .reset = bench_reset,
};
