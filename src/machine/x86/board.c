/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * board.c: defaults and limits of the two boards, their RAM and memory map.
 *
 * Threads: control.
 */
#include "machine/x86/board.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/util.h"

enum { PAGE = 4096 };

/* Highest RAM size: what 48 physical address bits leave beside the PCI window,
 * far above any host. The engine's own limit is checked in add_ram. */
#define RAM_MAX    (UINT64_C(64) << 40)
#define PCI64_LEN  (UINT64_C(64) * VSR_GIB)
#define LEGACY_GAP UINT64_C(0xa0000)

/* Pins no other device wants: those above 15 first, for they share with
 * nobody on a board without PCI; then free ISA pins. */
static const uint8_t mmio_gsis[] = {
    16, 17, 18, 19, 20, 21, 22, 5, 6, 7, 10, 11, 12, 13, 14, 15,
};

/* A micro board has it only if there is something to come: it costs a start the
 * exits in which a guest asks for each processor. */
static bool has_cpu_hotplug(vsr_board_kind kind, uint32_t vcpus, uint32_t max)
{
    return max <= VSR_BOARD_HOTPLUG_MAX &&
           (kind == VSR_BOARD_MICRO ? vcpus < max : max > 1);
}

bool vsr_board_init(vsr_board *out, vsr_board_kind kind, uint64_t ram_bytes,
                    uint32_t vcpus, uint32_t max_vcpus, GError **error)
{
    if (ram_bytes < VSR_MIB || ram_bytes > RAM_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory: %" PRIu64
                        " bytes is outside of 1 MiB to 64 TiB",
                        ram_bytes);
    if (ram_bytes % PAGE)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory: %" PRIu64
                        " bytes is not a multiple of the page size 4096",
                        ram_bytes);
    if (vcpus == 0 || vcpus > VSR_BOARD_VCPUS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "vCPUs: %u is outside of 1 to %d", vcpus,
                        VSR_BOARD_VCPUS_MAX);
    if (max_vcpus < vcpus || max_vcpus > VSR_BOARD_VCPUS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "vCPUs: maximum %u is outside of %u to %d", max_vcpus,
                        vcpus, VSR_BOARD_VCPUS_MAX);
    *out = (vsr_board){
        .kind = kind,
        .ram_bytes = ram_bytes,
        .vcpus = vcpus,
        .max_vcpus = max_vcpus,
        .n_serials = 1,
        .has_pic = true,
        .has_pit = true,
        .has_ioapic = true,
        .has_rtc = true,
        .has_i8042 = kind == VSR_BOARD_PCI,
        .pci_buses = kind == VSR_BOARD_PCI ? 1 : 0,
        .reduced_acpi = kind == VSR_BOARD_MICRO,
        .cpu_hotplug = has_cpu_hotplug(kind, vcpus, max_vcpus),
    };
    return true;
}

const vsr_board_mmio *vsr_board_add_mmio(vsr_board *board)
{
    uint32_t slot = board->n_mmio;

    if (slot >= VSR_BOARD_MMIO_MAX)
        return NULL;
    board->mmio[slot] = (vsr_board_mmio){
        .base = VSR_VIRTIO_MMIO_BASE + slot * VSR_VIRTIO_MMIO_STEP,
        .gsi = mmio_gsis[slot % VSR_ARRAY_SIZE(mmio_gsis)],
    };
    board->n_mmio++;
    return &board->mmio[slot];
}

uint16_t vsr_board_serial_port(uint32_t index)
{
    static const uint16_t ports[VSR_BOARD_SERIALS_MAX] = {
        VSR_PORT_COM1, VSR_PORT_COM2, VSR_PORT_COM3, VSR_PORT_COM4
    };

    return ports[index % VSR_BOARD_SERIALS_MAX];
}

uint32_t vsr_board_serial_gsi(uint32_t index)
{
    return index % 2 == 0 ? VSR_GSI_COM1 : VSR_GSI_COM2;
}

uint64_t vsr_board_ecam_len(const vsr_board *board)
{
    return board->pci_buses * VSR_ECAM_BUS_LEN;
}

uint64_t vsr_board_low_ram(const vsr_board *board)
{
    return MIN(board->ram_bytes, VSR_LOW_RAM_MAX);
}

uint64_t vsr_board_high_ram(const vsr_board *board)
{
    return board->ram_bytes - vsr_board_low_ram(board);
}

void vsr_board_device_memory(const vsr_board *board, uint64_t *base,
                             uint64_t *len)
{
    *base =
        vsr_round_up(VSR_HIGH_RAM_BASE + vsr_board_high_ram(board), VSR_GIB);
    *len = board->device_memory;
}

bool vsr_board_pci64(const vsr_board *board, uint32_t phys_bits, uint64_t *base,
                     uint64_t *len)
{
    uint64_t limit = UINT64_C(1) << MIN(phys_bits, 52);
    uint64_t start, below;

    vsr_board_device_memory(board, &start, &below);
    start = vsr_round_up(start + below, VSR_GIB);
    if (start >= limit || limit - start < VSR_GIB)
        return false;
    *base = start;
    *len = MIN(limit - start, PCI64_LEN);
    return true;
}

bool vsr_board_add_ram(const vsr_board *board, vsr_machine *machine,
                       const vsr_mem_options *options, GError **error)
{
    uint64_t high = vsr_board_high_ram(board);
    uint32_t bits = machine->caps.phys_bits;
    uint64_t max = machine->caps.max_memory, base, len;
    vsr_mem_options whole = *options;

    whole.total = board->ram_bytes;
    if (max && board->ram_bytes > max)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory: %" PRIu64 " bytes, engine '%s' takes at most"
                        " %" PRIu64,
                        board->ram_bytes, machine->engine->name, max);
    if (high && bits < 64 && VSR_HIGH_RAM_BASE + high > UINT64_C(1) << bits)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory: %" PRIu64 " bytes does not fit the %u"
                        " physical address bits of engine '%s'",
                        board->ram_bytes, bits, machine->engine->name);
    vsr_board_device_memory(board, &base, &len);
    if (len && bits < 64 && base + len > UINT64_C(1) << bits)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory: %" PRIu64 " bytes and %" PRIu64
                        " for memory devices do not fit the %u physical "
                        "address bits of engine '%s'",
                        board->ram_bytes, len, bits, machine->engine->name);
    if (!vsr_mem_add_ram(machine->mem, "ram", 0, vsr_board_low_ram(board),
                         false, &whole, error))
        return false;
    return high == 0 ||
           vsr_mem_add_ram(machine->mem, "ram-high", VSR_HIGH_RAM_BASE, high,
                           false, &whole, error);
}

static void add(vsr_memmap_entry *out, uint32_t max, uint32_t *n, uint64_t addr,
                uint64_t len, uint32_t type)
{
    if (len == 0 || *n >= max)
        return;
    out[(*n)++] = (vsr_memmap_entry){ addr, len, type };
}

uint32_t vsr_board_memmap(const vsr_board *board, vsr_memmap_entry *out,
                          uint32_t max)
{
    uint32_t n = 0;

    add(out, max, &n, 0, LEGACY_GAP, 1);
    add(out, max, &n, VSR_ACPI_TABLES, VSR_ACPI_TABLES_LEN, 2);
    add(out, max, &n, VSR_KERNEL_BASE,
        vsr_board_low_ram(board) - VSR_KERNEL_BASE, 1);
    add(out, max, &n, VSR_ECAM_BASE, vsr_board_ecam_len(board), 2);
    add(out, max, &n, VSR_HIGH_RAM_BASE, vsr_board_high_ram(board), 1);
    return n;
}
