/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * board.h: what the two boards are made of, as data: vmm/build.c creates the
 * devices from it, boot/acpi describes them to the guest.
 */
#ifndef VSR_MACHINE_X86_BOARD_H
#define VSR_MACHINE_X86_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "machine/machine.h"
#include "machine/x86/layout.h"

typedef enum {
    VSR_BOARD_PCI,   /* PCIe (ECAM), ACPI, legacy chips */
    VSR_BOARD_MICRO, /* hardware-reduced ACPI, no PCI */
} vsr_board_kind;

/* One virtio-mmio window of the micro board. */
typedef struct {
    uint64_t base;
    uint32_t gsi;
} vsr_board_mmio;

enum { VSR_BOARD_SERIALS_MAX = 4, VSR_BOARD_MMIO_MAX = 32 };

typedef struct {
    vsr_board_kind kind;
    uint64_t ram_bytes;
    uint64_t device_memory; /* bytes above RAM that memory devices share */
    uint32_t vcpus; /* enabled in the MADT */
    uint32_t max_vcpus;
    uint32_t n_serials;                /* COM1.. */
    bool has_pic, has_pit, has_ioapic; /* in the machine, whoever models them */
    bool has_rtc, has_i8042;
    bool reduced_acpi;  /* no SCI, PM1 registers and PM timer: acpi_reduced.h */
    bool cpu_hotplug;   /* processors come and go: cpu_hotplug.h */
    bool has_keyboard;  /* at the i8042: announced to the guest only then */
    uint32_t pci_buses; /* from bus 0 on; 0: no PCI. Bridges add theirs */
    uint32_t n_mmio;
    vsr_board_mmio mmio[VSR_BOARD_MMIO_MAX];
} vsr_board;

enum {
    VSR_BOARD_VCPUS_MAX = 1024,
    VSR_BOARD_HOTPLUG_MAX = 255, /* vCPUs: the tables have room for no more */
};

/* Defaults of `kind`, all checked: CONFIG with the number that was wrong. The
 * caller then changes n_serials and has_*, and calls vsr_board_add_mmio(). */
bool vsr_board_init(vsr_board *out, vsr_board_kind kind, uint64_t ram_bytes,
                    uint32_t vcpus, uint32_t max_vcpus, GError **error);
/* The next virtio-mmio window and its GSI; NULL when all are taken. */
const vsr_board_mmio *vsr_board_add_mmio(vsr_board *board);
/* Ports and GSI of serial `index` (0 is COM1). */
uint16_t vsr_board_serial_port(uint32_t index);
uint32_t vsr_board_serial_gsi(uint32_t index);
/* The window for 64-bit BARs above RAM; false: no room under phys_bits. */
bool vsr_board_pci64(const vsr_board *board, uint32_t phys_bits, uint64_t *base,
                     uint64_t *len);

/* The place for memory devices, above RAM and from a GiB on: guests add memory
 * in pieces of up to that size. *len is 0 where there is none. */
void vsr_board_device_memory(const vsr_board *board, uint64_t *base,
                             uint64_t *len);

/* Bytes of configuration space at VSR_ECAM_BASE. */
uint64_t vsr_board_ecam_len(const vsr_board *board);

/* RAM split around the hole: low and high part. */
uint64_t vsr_board_low_ram(const vsr_board *board);
uint64_t vsr_board_high_ram(const vsr_board *board);
/* Adds the RAM (and the BIOS area) to the machine. */
bool vsr_board_add_ram(const vsr_board *board, vsr_machine *machine,
                       const vsr_mem_options *options, GError **error);

/* The E820 / PVH memory map. type: 1 RAM, 2 reserved, 3 ACPI. */
typedef struct {
    uint64_t addr, len;
    uint32_t type;
} vsr_memmap_entry;
uint32_t vsr_board_memmap(const vsr_board *board, vsr_memmap_entry *out,
                          uint32_t max);

/* ACPI: builds all tables at VSR_ACPI_TABLES; *rsdp is its address. */
bool vsr_acpi_build(const vsr_board *board, vsr_machine *machine,
                    uint64_t *rsdp, GError **error);

#endif
