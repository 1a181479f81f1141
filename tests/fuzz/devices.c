/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * devices.c: fuzz target of everything a guest reaches by ports and
 * memory-mapped registers, PCI configuration and BARs included.
 *
 * Input: accesses of eight bytes each: kind and size, place (two bytes),
 * repeat, value (four bytes).
 */
#include <stdlib.h>

#include "devices/irqchip/ioapic.h"
#include "devices/irqchip/lapic.h"
#include "devices/irqchip/pic.h"
#include "devices/legacy/acpi_pm.h"
#include "devices/legacy/acpi_reduced.h"
#include "devices/legacy/cpu_hotplug.h"
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/firmware_debug.h"
#include "devices/legacy/fw_cfg.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/pit.h"
#include "devices/legacy/rtc.h"
#include "devices/legacy/uart16550.h"
#include "devices/pci/host.h"
#include "machine/boot/image.h"
#include "tests/support/fake_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

static vsr_device *add(vsr_machine *machine, const vsr_device_class *class,
                       const void *params)
{
    vsr_device *device =
        vsr_device_new(machine, class, class->name, params, NULL);

    CHECK(device);
    return device;
}

static void nothing(void *opaque)
{
}

static vsr_machine *machine_new(void)
{
    const vsr_lapic_params lapic_params = { .vcpus = 1 };
    vsr_ioapic_params ioapic = { 0 };
    vsr_pic_params pic = { 0 };
    const vsr_uart16550_params uart = { .port = 0x3f8, .gsi = 4 };
    const vsr_rtc_params rtc = { .port = 0x70, .gsi = 8, .low_ram = 1 << 24 };
    const vsr_acpi_pm_params pm = { .port = 0x600, .sci_gsi = 9 };
    const vsr_acpi_reduced_params reduced = { .port = 0x60c, .gsi = 10 };
    const vsr_cpu_hotplug_params cpus = {
        .port = 0xae40, .gsi = 23, .vcpus = 9, .ejected = nothing
    };
    const vsr_i8042_params i8042 = { .keyboard_gsi = 1, .keyboard = true };
    const vsr_firmware_debug_params debug = { 0 };
    vsr_machine *machine = fake_machine_new(1);
    vsr_device *hotplug;
    vsr_board board;
    const vsr_pci_host_params host = { &board };
    const vsr_fw_cfg_params fw_cfg = { .board = &board, .firmware = true };

    CHECK(machine &&
          vsr_board_init(&board, VSR_BOARD_PCI, 1 << 24, 1, 1, NULL));
    ioapic.lapic = pic.lapic = add(machine, &vsr_lapic_class, &lapic_params);
    add(machine, &vsr_ioapic_class, &ioapic);
    add(machine, &vsr_pic_class, &pic);
    add(machine, &vsr_pit_class, NULL);
    add(machine, &vsr_uart16550_class, &uart);
    add(machine, &vsr_rtc_class, &rtc);
    add(machine, &vsr_acpi_pm_class, &pm);
    add(machine, &vsr_acpi_reduced_class, &reduced);
    hotplug = add(machine, &vsr_cpu_hotplug_class, &cpus);
    for (uint32_t i = 0; i < 5; i++)
        vsr_cpu_hotplug_plugged(hotplug, i);
    add(machine, &vsr_i8042_class, &i8042);
    add(machine, &vsr_debug_exit_class, NULL);
    add(machine, &vsr_firmware_debug_class, &debug);
    add(machine, &vsr_fw_cfg_class, &fw_cfg);
    add(machine, &vsr_pci_host_class, &host);
    return machine;
}

/* Half of the ports that are drawn are ones that something is at. */
static uint16_t port_of(uint16_t place)
{
    static const uint16_t bases[] = { 0x20,  0x40,  0x60,  0x70,  0x90,  0xa0,
                                      0x3f8, 0x402, 0x4d0, 0x510, 0x600, 0x608,
                                      0xcf8, 0xcfc, 0xf4,  0xae40 };

    if (place & 1)
        return place;
    return (uint16_t)(bases[place >> 1 & 15] + (place >> 5 & 7));
}

static uint64_t address_of(uint16_t place)
{
    static const uint64_t bases[] = { 0xfec00000, 0xfee00000,    0xe0000000,
                                      0xc0000000, 0xfeb00000,    0x100000000,
                                      0xfffffff0, UINT64_MAX - 7 };

    return bases[place & 7] + (place >> 3);
}

static void access_one(vsr_machine *machine, const uint8_t *op)
{
    uint32_t size = 1u << (op[0] & 3);
    uint16_t place = vsr_le16(op + 1);
    uint32_t value = vsr_le32(op + 4);
    uint64_t got = 0;

    switch (op[0] >> 2 & 3) {
    case 0:
        got = fake_in(machine, port_of(place), MIN(size, 4));
        break;
    case 1:
        fake_out(machine, port_of(place), MIN(size, 4), value);
        break;
    case 2:
        got = fake_mmio_read(machine, 0, address_of(place), size);
        break;
    default:
        fake_mmio_write(machine, 0, address_of(place), size, value);
        break;
    }
    if (size < 8)
        CHECK(got >> 8 * size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vsr_machine *machine = machine_new();
    uint32_t i;

    for (; size >= 8; data += 8, size -= 8)
        for (i = 0; i <= (data[3] & 15u); i++)
            access_one(machine, data);
    vsr_machine_free(machine);
    return 0;
}
