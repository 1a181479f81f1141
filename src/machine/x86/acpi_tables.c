/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_tables.c: RSDP, RSDT, XSDT, FADT, FACS, MADT, MCFG, WAET around the
 * DSDT, laid out at VSR_ACPI_TABLES.
 *
 * Spec:    ACPI 6.5, 4.1 "Hardware-Reduced ACPI", 5.2.5 "RSDP", 5.2.6 "System Description Table Header",
 *          5.2.9 "FADT", 5.2.10 "FACS", 5.2.12 "MADT"; PCI Firmware 3.3, 4.1.2
 *          "MCFG"; Microsoft WAET 1.0.
 * Threads: control, vCPUs stopped.
 */
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/x86/acpi_dsdt.h"
#include "machine/x86/board.h"

enum {
    RSDP_LEN = 36,
    HEADER_LEN = 36,
    FADT_LEN = 276,
    FACS_LEN = 64,
    BIOS_ENTRY_LEN = 16, /* at the end of the area, see machine/boot */

    /* FADT flags */
    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    FADT_METHOD_BUTTON = 1 << 4, /* power: no fixed hardware */
    FADT_NO_SLEEP_BUTTON = 1 << 5,
    FADT_RESET_REG = 1 << 10,
    FADT_APIC_PHYSICAL = 1 << 19,
    FADT_HW_REDUCED = 1 << 20,

    /* IAPC_BOOT_ARCH */
    BOOT_LEGACY_DEVICES = 1 << 0,
    BOOT_8042 = 1 << 1,
    BOOT_NO_VGA = 1 << 2,
    BOOT_NO_ASPM = 1 << 4,
    BOOT_NO_RTC = 1 << 5,

    GAS_MEMORY = 0,
    GAS_IO = 1,
};

/* All tables in one array; offsets in it are from VSR_ACPI_TABLES. */
typedef struct {
    GByteArray *bytes;
    uint32_t start; /* of the table that is open */
} tables;

static void put(tables *t, uint64_t value, uint32_t size)
{
    uint8_t out[8];
    uint32_t i;

    for (i = 0; i < size; i++)
        out[i] = (uint8_t)(value >> 8 * i);
    g_byte_array_append(t->bytes, out, size);
}

static void put_text(tables *t, const char *text, uint32_t size)
{
    g_byte_array_append(t->bytes, (const uint8_t *)text, size);
}

static void align(tables *t, uint32_t to)
{
    while (t->bytes->len % to)
        put(t, 0, 1);
}

static void patch(tables *t, uint32_t at, uint64_t value, uint32_t size)
{
    uint32_t i;

    for (i = 0; i < size; i++)
        t->bytes->data[at + i] = (uint8_t)(value >> 8 * i);
}

static void checksum(tables *t, uint32_t from, uint32_t len, uint32_t at)
{
    uint8_t sum = 0;
    uint32_t i;

    t->bytes->data[at] = 0;
    for (i = 0; i < len; i++)
        sum = (uint8_t)(sum + t->bytes->data[from + i]);
    t->bytes->data[at] = (uint8_t)-sum;
}

static void open_table(tables *t, const char *signature, uint8_t revision)
{
    align(t, 64);
    t->start = t->bytes->len;
    put_text(t, signature, 4);
    put(t, 0, 4); /* length, when closed */
    put(t, revision, 1);
    put(t, 0, 1);
    put_text(t, "VISOR ", 6);
    put_text(t, "VISORPC ", 8);
    put(t, 1, 4);
    put_text(t, "VISR", 4);
    put(t, 1, 4);
}

/* Returns the table's guest address. */
static uint64_t close_table(tables *t)
{
    uint32_t len = t->bytes->len - t->start;

    patch(t, t->start + 4, len, 4);
    checksum(t, t->start, len, t->start + 9);
    return VSR_ACPI_TABLES + t->start;
}

static uint64_t build_dsdt(tables *t, const vsr_board *board,
                           uint32_t phys_bits)
{
    open_table(t, "DSDT", 2);
    vsr_acpi_dsdt(t->bytes, board, phys_bits);
    return close_table(t);
}

static uint64_t build_facs(tables *t)
{
    uint32_t start;

    align(t, 64);
    start = t->bytes->len;
    put_text(t, "FACS", 4);
    put(t, FACS_LEN, 4);
    put(t, 0, 8); /* hardware signature, waking vector */
    put(t, 0, 8); /* lock, flags */
    put(t, 0, 8); /* 64-bit waking vector */
    put(t, 2, 1); /* version */
    while (t->bytes->len < start + FACS_LEN)
        put(t, 0, 1);
    return VSR_ACPI_TABLES + start;
}

/* 5.2.3.2 "Generic Address Structure"; access: 1 byte, 2 word, 3 double */
static void gas(tables *t, uint8_t space, uint8_t bits, uint8_t access,
                uint64_t addr)
{
    put(t, space, 1);
    put(t, bits, 1);
    put(t, 0, 1);
    put(t, access, 1);
    put(t, addr, 8);
}

static void no_gas(tables *t)
{
    gas(t, GAS_MEMORY, 0, 0, 0);
}

static uint16_t boot_arch(const vsr_board *board)
{
    uint16_t flags = BOOT_NO_VGA | BOOT_NO_ASPM;

    if (board->n_serials > 0)
        flags |= BOOT_LEGACY_DEVICES;
    if (board->has_i8042 && board->has_keyboard)
        flags |= BOOT_8042;
    if (!board->has_rtc)
        flags |= BOOT_NO_RTC;
    return flags;
}

/* SCI_INT to CST_CNT: the fixed hardware; all zero where there is none. */
static void fadt_fixed(tables *t, bool there)
{
    put(t, there ? VSR_GSI_SCI : 0, 2);
    put(t, 0, 4); /* SMI_CMD: always in ACPI mode */
    put(t, 0, 4); /* ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
    put(t, there ? VSR_PORT_PM : 0, 4);
    put(t, 0, 4);
    put(t, there ? VSR_PORT_PM + 4 : 0, 4);
    put(t, 0, 4);
    put(t, 0, 4); /* PM2_CNT */
    put(t, there ? VSR_PORT_PM + 8 : 0, 4);
    put(t, 0, 4);             /* GPE0 */
    put(t, 0, 4);             /* GPE1 */
    put(t, there ? 4 : 0, 1); /* PM1_EVT_LEN */
    put(t, there ? 2 : 0, 1); /* PM1_CNT_LEN */
    put(t, 0, 1);
    put(t, there ? 4 : 0, 1); /* PM_TMR_LEN */
    put(t, 0, 4); /* GPE0_BLK_LEN, GPE1_BLK_LEN, GPE1_BASE, CST_CNT */
}

/* X_PM1a_EVT_BLK to SLEEP_STATUS_REG. */
static void fadt_registers(tables *t, bool reduced)
{
    uint32_t i;

    if (!reduced) {
        gas(t, GAS_IO, 32, 2, VSR_PORT_PM);
        no_gas(t);
        gas(t, GAS_IO, 16, 2, VSR_PORT_PM + 4);
        no_gas(t);
        no_gas(t);
        gas(t, GAS_IO, 32, 3, VSR_PORT_PM + 8);
    }
    /* The same of reduced hardware, GPE0, GPE1. */
    for (i = 0; i < (reduced ? 8 : 2); i++)
        no_gas(t);
    if (reduced) {
        gas(t, GAS_IO, 8, 1, VSR_PORT_PM + VSR_REDUCED_SLEEP_CONTROL);
        gas(t, GAS_IO, 8, 1, VSR_PORT_PM + VSR_REDUCED_SLEEP_STATUS);
    } else {
        no_gas(t);
        no_gas(t);
    }
}

/* facs: 0 where the hardware is reduced. */
static uint64_t build_fadt(tables *t, const vsr_board *board, uint64_t dsdt,
                           uint64_t facs)
{
    uint32_t flags =
        FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_RESET_REG;

    if (board->reduced_acpi)
        flags |= FADT_HW_REDUCED | FADT_METHOD_BUTTON;
    open_table(t, "FACP", 6);
    put(t, facs, 4);
    put(t, dsdt, 4);
    put(t, 0, 1);
    put(t, 0, 1); /* preferred profile: unspecified */
    fadt_fixed(t, !board->reduced_acpi);
    put(t, 0xfff, 2); /* no C2 */
    put(t, 0xfff, 2); /* no C3 */
    put(t, 0, 4);     /* flush size and stride: WBINVD works */
    put(t, 0, 4);     /* duty offset, width, day and month alarms */
    put(t, board->has_rtc ? 0x32 : 0, 1); /* century */
    put(t, boot_arch(board), 2);
    put(t, 0, 1);
    put(t, flags, 4);
    gas(t, GAS_IO, 8, 1, VSR_PORT_RESET);
    put(t, VSR_RESET_VALUE, 1);
    put(t, 0, 2); /* ARM boot flags */
    put(t, 5, 1); /* minor version: 6.5 */
    put(t, 0, 8); /* X_FIRMWARE_CTRL: the 32-bit one is used */
    put(t, dsdt, 8);
    fadt_registers(t, board->reduced_acpi);
    put_text(t, "VISOR\0\0\0", 8); /* hypervisor vendor */
    return close_table(t);
}

/* 5.2.12.2, 5.2.12.12: a local (x2)APIC. flags: enabled, online capable */
static void madt_cpu(tables *t, uint32_t index, bool enabled)
{
    uint32_t flags = enabled ? 1 : 2;

    if (index < 255) {
        put(t, 0, 1);
        put(t, 8, 1);
        put(t, index, 1);
        put(t, index, 1);
        put(t, flags, 4);
        return;
    }
    put(t, 9, 1);
    put(t, 16, 1);
    put(t, 0, 2);
    put(t, index, 4);
    put(t, flags, 4);
    put(t, index, 4);
}

/* 5.2.12.5 "Interrupt Source Override Structure"; flags: polarity, trigger */
static void madt_override(tables *t, uint8_t source, uint32_t gsi,
                          uint16_t flags)
{
    put(t, 2, 1);
    put(t, 10, 1);
    put(t, 0, 1); /* ISA */
    put(t, source, 1);
    put(t, gsi, 4);
    put(t, flags, 2);
}

static uint64_t build_madt(tables *t, const vsr_board *board)
{
    uint32_t i;

    open_table(t, "APIC", 5);
    put(t, VSR_LAPIC_BASE, 4);
    put(t, board->has_pic ? 1 : 0, 4); /* PCAT_COMPAT */
    for (i = 0; i < board->max_vcpus; i++)
        madt_cpu(t, i, i < board->vcpus);
    if (board->has_ioapic) {
        put(t, 1, 1);
        put(t, 12, 1);
        put(t, 0, 2); /* id 0, reserved */
        put(t, VSR_IOAPIC_BASE, 4);
        put(t, 0, 4); /* GSI base */
        madt_override(t, 0, 2, 0);
        if (!board->reduced_acpi)
            madt_override(t, VSR_GSI_SCI, VSR_GSI_SCI, 0x000d);
    }
    /* 5.2.12.7 "Local APIC NMI Structure": LINT1 of every processor */
    put(t, 4, 1);
    put(t, 6, 1);
    put(t, 0xff, 1);
    put(t, 0, 2);
    put(t, 1, 1);
    if (board->max_vcpus > 255) { /* 5.2.12.13, for x2APIC */
        put(t, 10, 1);
        put(t, 12, 1);
        put(t, 0, 2);
        put(t, 0xffffffff, 4);
        put(t, 1, 1);
        put(t, 0, 3);
    }
    return close_table(t);
}

static uint64_t build_mcfg(tables *t, const vsr_board *board)
{
    open_table(t, "MCFG", 1);
    put(t, 0, 8);
    put(t, VSR_ECAM_BASE, 8);
    put(t, 0, 2); /* segment */
    put(t, 0, 1); /* first bus */
    put(t, board->pci_buses - 1, 1);
    put(t, 0, 4);
    return close_table(t);
}

/* RTC and PM timer, if any, are read right the first time. */
static uint64_t build_waet(tables *t, const vsr_board *board)
{
    open_table(t, "WAET", 1);
    put(t, (board->has_rtc ? 1 : 0) | (board->reduced_acpi ? 0 : 2), 4);
    return close_table(t);
}

/* The list of tables: for those who read RSDTs only, and for all others. */
static uint64_t build_list(tables *t, const char *signature, uint32_t entry_len,
                           const uint64_t *list, uint32_t n)
{
    uint32_t i;

    open_table(t, signature, 1);
    for (i = 0; i < n; i++)
        put(t, list[i], entry_len);
    return close_table(t);
}

static void build_rsdp(tables *t, uint64_t rsdt, uint64_t xsdt)
{
    memcpy(t->bytes->data, "RSD PTR ", 8);
    memcpy(t->bytes->data + 9, "VISOR ", 6);
    t->bytes->data[15] = 2;
    patch(t, 16, rsdt, 4);
    patch(t, 20, RSDP_LEN, 4);
    patch(t, 24, xsdt, 8);
    checksum(t, 0, 20, 8);
    checksum(t, 0, RSDP_LEN, 32);
}

bool vsr_acpi_build(const vsr_board *board, vsr_machine *machine,
                    uint64_t *rsdp, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    tables t = { .bytes = bytes };
    uint64_t list[8], dsdt, facs = 0, rsdt, xsdt;
    uint32_t n = 0;

    while (bytes->len < RSDP_LEN)
        put(&t, 0, 1);
    dsdt = build_dsdt(&t, board, machine->caps.phys_bits);
    if (!board->reduced_acpi)
        facs = build_facs(&t);
    list[n++] = build_fadt(&t, board, dsdt, facs);
    list[n++] = build_madt(&t, board);
    if (board->pci_buses > 0)
        list[n++] = build_mcfg(&t, board);
    if (board->has_rtc || !board->reduced_acpi)
        list[n++] = build_waet(&t, board);
    rsdt = build_list(&t, "RSDT", 4, list, n);
    xsdt = build_list(&t, "XSDT", 8, list, n);
    build_rsdp(&t, rsdt, xsdt);

    if (bytes->len > VSR_ACPI_TABLES_LEN - BIOS_ENTRY_LEN)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "ACPI tables: %u bytes do not fit %u", bytes->len,
                        (uint32_t)VSR_ACPI_TABLES_LEN - BIOS_ENTRY_LEN);
    if (vsr_mem_write(machine->mem, VSR_ACPI_TABLES, bytes->data, bytes->len))
        return vsr_fail(error, VISOR_ERR_INTERNAL,
                        "ACPI tables: no RAM at 0x%x",
                        (uint32_t)VSR_ACPI_TABLES);
    *rsdp = VSR_ACPI_TABLES;
    return true;
}
