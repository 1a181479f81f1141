/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.h: where everything is in the guest's address space, for both boards.
 *
 *   0            .. 640 KiB   RAM (640 KiB .. 1 MiB: legacy hole, BIOS area is
 *                             RAM too: ACPI RSDP, SeaBIOS shadow)
 *   1 MiB        .. low top   RAM; low top = min(RAM, 3 GiB)
 *   3 GiB        .. 4 GiB     PCI hole: ECAM, BARs, virtio-mmio, IOAPIC, LAPIC,
 *                             firmware below 4 GiB
 *   4 GiB        ..           the rest of RAM; at the next GiB, the place of
 *                             memory devices; then the 64-bit PCI window
 */
#ifndef VSR_MACHINE_X86_LAYOUT_H
#define VSR_MACHINE_X86_LAYOUT_H

#include <stdint.h>

#define VSR_LOW_RAM_MAX    UINT64_C(0xc0000000)
#define VSR_HIGH_RAM_BASE  UINT64_C(0x100000000)
#define VSR_ECAM_BASE      UINT64_C(0xe0000000) /* room for 256 buses */
#define VSR_ECAM_BUS_LEN   UINT64_C(0x100000)
#define VSR_PCI_MMIO_BASE  UINT64_C(0xc0000000) /* 32-bit BARs */
#define VSR_PCI_MMIO_LEN   UINT64_C(0x20000000)
#define VSR_VIRTIO_MMIO_BASE UINT64_C(0xfeb00000) /* 0x1000 each, 32 slots */
#define VSR_VIRTIO_MMIO_STEP UINT64_C(0x1000)
#define VSR_IOAPIC_BASE    UINT64_C(0xfec00000)
#define VSR_LAPIC_BASE     UINT64_C(0xfee00000)
#define VSR_TEST_MEMORY_BASE UINT64_C(0xff000000)

/* Boot data of the direct kernel loaders, all below 1 MiB. */
#define VSR_BOOT_GDT       UINT64_C(0x1000)
#define VSR_BOOT_PARAMS    UINT64_C(0x7000)  /* zero page / hvm_start_info */
#define VSR_BOOT_CMDLINE   UINT64_C(0x20000)
#define VSR_BOOT_PAGES     UINT64_C(0x9000)  /* PML4, PDPT, 4 PDs */
#define VSR_ACPI_TABLES    UINT64_C(0xe0000) /* RSDP first, then tables */
#define VSR_ACPI_TABLES_LEN UINT64_C(0x20000)
#define VSR_KERNEL_BASE    UINT64_C(0x100000)

/* Ports. */
enum {
    VSR_PORT_PIC1 = 0x20,
    VSR_PORT_PIT = 0x40,
    VSR_PORT_I8042 = 0x60,
    VSR_PORT_SPEAKER = 0x61,
    VSR_PORT_RTC = 0x70,
    VSR_PORT_PIC2 = 0xa0,
    VSR_PORT_TEST = 0xe0,
    VSR_PORT_TEST_SINK = 0xe4,
    VSR_PORT_DEBUG_EXIT = 0xf4,
    VSR_PORT_COM1 = 0x3f8,
    VSR_PORT_COM2 = 0x2f8,
    VSR_PORT_COM3 = 0x3e8,
    VSR_PORT_COM4 = 0x2e8,
    VSR_PORT_FIRMWARE_DEBUG = 0x402,
    VSR_PORT_FW_CFG = 0x510,
    VSR_PORT_PM = 0x600,      /* PM1a event, control, PM timer: 0x600..0x60b; or
                                 VSR_REDUCED_* */
    VSR_PORT_PCI_CONFIG = 0xcf8,
    VSR_PORT_TEST_LINES = 0x2000,
    VSR_PORT_RESET = 0xcf9,
    VSR_PORT_HOTPLUG = 0xae00, /* VSR_HOTPLUG_* */
    VSR_PORT_CPUS = 0xae40,    /* VSR_CPUS_* */
};

/* PCI slots that come and go, from VSR_PORT_HOTPLUG: words, one bit a slot. */
enum {
    VSR_HOTPLUG_UP = 0,   /* came; reading takes them */
    VSR_HOTPLUG_DOWN = 4, /* are to go; likewise */
    VSR_HOTPLUG_EJECT = 8, /* written: the guest has let go of them */
    VSR_HOTPLUG_LEN = 12,
};

/* Processors that come and go, from VSR_PORT_CPUS: words; what they do is in
 * devices/legacy/cpu_hotplug.h. */
enum {
    VSR_CPUS_EVENT = 0,
    VSR_CPUS_STATUS = 4,
    VSR_CPUS_EJECT = 8,
    VSR_CPUS_OST_CPU = 12,
    VSR_CPUS_OST_EVENT = 16,
    VSR_CPUS_OST_STATUS = 20,
    VSR_CPUS_LEN = 24,
};

/* From VSR_PORT_PM on a board of reduced hardware: bytes. */
enum {
    VSR_REDUCED_SLEEP_CONTROL = 0,
    VSR_REDUCED_SLEEP_STATUS = 1,
    VSR_REDUCED_EVENTS = 2, /* reading takes them */
    VSR_REDUCED_LEN = 3,

    VSR_REDUCED_EVENT_BUTTON = 1 << 0, /* power button */
};

/* SLP_TYP of \_S5: the DSDT declares it, devices/legacy/acpi_pm.c and
 * acpi_reduced.c obey it. */
enum { VSR_ACPI_S5_TYPE = 5 };
/* Value for the reset register (port 0xcf9): hard reset. */
enum { VSR_RESET_VALUE = 0x06 };

/* GSIs. */
enum {
    VSR_GSI_PIT = 0, /* overridden to 2 in the MADT */
    VSR_GSI_KBD = 1,
    VSR_GSI_COM2 = 3,
    VSR_GSI_COM1 = 4,
    VSR_GSI_RTC = 8,
    VSR_GSI_SCI = 9, /* reduced hardware: the Generic Event Device */
    VSR_GSI_HOTPLUG = 10, /* pci board: the slots' Generic Event Device */
    VSR_GSI_CPUS = 23, /* the processors' Generic Event Device: none of the
                          PIC's, which a micro board's guest leaves alone */
    VSR_GSI_PCI_FIRST = 16, /* INTA..INTD swizzle over 16..19 */
    VSR_GSI_VIRTIO_FIRST = 5, /* micro board: see virtio_gsi() */
};

#endif
