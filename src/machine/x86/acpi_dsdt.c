/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_dsdt.c: what the board's devices look like to an ACPI guest.
 *
 * Spec:    ACPI 6.5, 6.1 "Device Identification Objects", 6.2.13 "_PRT",
 *          7.4.2.6 "\_S5", 5.6.9 "Interrupt-signaled ACPI events", 4.8.2.2.2
 *          "Control Method Power Button"; PCI Firmware 3.3, 4.5 "_OSC"; LNRO0005 as Linux's
 *          drivers/virtio/virtio_mmio.c matches it.
 * Threads: control.
 */
#include "machine/x86/acpi_dsdt.h"

#include <stdio.h>

enum { STA_PRESENT = 0x0f };

static vsr_aml_mark open_device(vsr_aml *aml, const char *name,
                                const char *eisa_id, uint32_t uid)
{
    vsr_aml_mark mark = vsr_aml_open_device(aml, name);

    vsr_aml_name(aml, "_HID");
    vsr_aml_eisa_id(aml, eisa_id);
    vsr_aml_name(aml, "_UID");
    vsr_aml_int(aml, uid);
    return mark;
}

static void sleep_states(vsr_aml *aml)
{
    vsr_aml_mark mark;

    vsr_aml_name(aml, "\\_S5");
    mark = vsr_aml_open_package(aml, 4);
    vsr_aml_int(aml, VSR_ACPI_S5_TYPE); /* PM1a_CNT, or sleep control */
    vsr_aml_int(aml, VSR_ACPI_S5_TYPE); /* PM1b_CNT, not there */
    vsr_aml_int(aml, 0);
    vsr_aml_int(aml, 0);
    vsr_aml_close(aml, mark);
}

static void serials(vsr_aml *aml, const vsr_board *board)
{
    uint32_t i;

    for (i = 0; i < board->n_serials; i++) {
        char name[5] = { 'C', 'O', 'M', (char)('1' + i % 8), '\0' };
        vsr_aml_mark mark = open_device(aml, name, "PNP0501", i + 1);
        GByteArray *res = g_byte_array_new();

        vsr_aml_name(aml, "_STA");
        vsr_aml_int(aml, STA_PRESENT);
        vsr_aml_res_io(res, vsr_board_serial_port(i), 8);
        vsr_aml_res_irq(res, (uint8_t)vsr_board_serial_gsi(i));
        vsr_aml_crs(aml, res);
        vsr_aml_close(aml, mark);
    }
}

static void legacy(vsr_aml *aml, const vsr_board *board)
{
    GByteArray *res = g_byte_array_new();
    vsr_aml_mark mark;

    /* Fixed ports and the ECAM: nobody else may have them. */
    mark = open_device(aml, "MBRD", "PNP0C02", 0);
    vsr_aml_res_io(res, VSR_PORT_PM,
                   board->reduced_acpi ? VSR_REDUCED_LEN : 12);
    if (board->cpu_hotplug)
        vsr_aml_res_io(res, VSR_PORT_CPUS, VSR_CPUS_LEN);
    if (board->pci_buses > 0)
        vsr_aml_res_mem32(res, (uint32_t)VSR_ECAM_BASE,
                          (uint32_t)vsr_board_ecam_len(board));
    vsr_aml_crs(aml, res);
    vsr_aml_close(aml, mark);

    if (board->has_rtc) {
        mark = open_device(aml, "RTC", "PNP0B00", 0);
        res = g_byte_array_new();
        vsr_aml_res_io(res, VSR_PORT_RTC, 2);
        vsr_aml_res_irq(res, VSR_GSI_RTC);
        vsr_aml_crs(aml, res);
        vsr_aml_close(aml, mark);
    }
    /* Without a keyboard the i8042 is there for reset only, and a guest that
     * does not hear of it does not wait for it. */
    if (board->has_i8042 && board->has_keyboard) {
        mark = open_device(aml, "KBD", "PNP0303", 0);
        res = g_byte_array_new();
        vsr_aml_res_io(res, VSR_PORT_I8042, 1);
        vsr_aml_res_io(res, VSR_PORT_I8042 + 4, 1);
        vsr_aml_res_irq(res, VSR_GSI_KBD);
        vsr_aml_crs(aml, res);
        vsr_aml_close(aml, mark);
    }
}

static void virtio_mmio(vsr_aml *aml, const vsr_board *board)
{
    uint32_t i;

    for (i = 0; i < board->n_mmio; i++) {
        GByteArray *res = g_byte_array_new();
        vsr_aml_mark mark;
        char name[5];

        snprintf(name, sizeof(name), "VR%02X", i & 0xff);
        mark = vsr_aml_open_device(aml, name);
        vsr_aml_name(aml, "_HID");
        vsr_aml_string(aml, "LNRO0005");
        vsr_aml_name(aml, "_UID");
        vsr_aml_int(aml, i);
        vsr_aml_name(aml, "_CCA");
        vsr_aml_int(aml, 1);
        vsr_aml_res_mem32(res, (uint32_t)board->mmio[i].base,
                          (uint32_t)VSR_VIRTIO_MMIO_STEP);
        vsr_aml_res_interrupt(res, board->mmio[i].gsi, true);
        vsr_aml_crs(aml, res);
        vsr_aml_close(aml, mark);
    }
}

vsr_aml_mark vsr_acpi_open_events(vsr_aml *aml, const char *name, uint32_t uid,
                                  uint32_t gsi)
{
    vsr_aml_mark mark = vsr_aml_open_device(aml, name);
    GByteArray *res = g_byte_array_new();

    vsr_aml_name(aml, "_HID");
    vsr_aml_string(aml, "ACPI0013");
    vsr_aml_name(aml, "_UID");
    vsr_aml_int(aml, uid);
    vsr_aml_res_interrupt(res, gsi, false);
    vsr_aml_crs(aml, res);
    return mark;
}

/* Without an SCI, events come through the Generic Event Device: its interrupt
 * has _EVT run, which finds out what happened. */
static void event_device(vsr_aml *aml)
{
    vsr_aml_mark mark, method, condition;

    mark = open_device(aml, "PWRB", "PNP0C0C", 0);
    vsr_aml_close(aml, mark);

    mark = vsr_acpi_open_events(aml, "GED", 0, VSR_GSI_SCI);
    vsr_aml_io_byte(aml, "EREG", "EVNT", VSR_PORT_PM + VSR_REDUCED_EVENTS);
    method = vsr_aml_open_method(aml, "_EVT", 1);
    condition = vsr_aml_open_if_bits(aml, "EVNT", VSR_REDUCED_EVENT_BUTTON);
    vsr_aml_notify(aml, "PWRB", 0x80); /* status change: pressed */
    vsr_aml_close(aml, condition);
    vsr_aml_close(aml, method);
    vsr_aml_close(aml, mark);
}

/* _PRT: device d's pin p is on GSI 16 + (d + p) % 4. */
static void pci_routing(vsr_aml *aml)
{
    vsr_aml_mark all;
    uint32_t device, pin;

    vsr_aml_name(aml, "_PRT");
    all = vsr_aml_open_package(aml, 32 * 4);
    for (device = 0; device < 32; device++) {
        for (pin = 0; pin < 4; pin++) {
            vsr_aml_mark mark = vsr_aml_open_package(aml, 4);

            vsr_aml_int(aml, device << 16 | 0xffff);
            vsr_aml_int(aml, pin);
            vsr_aml_int(aml, 0); /* no link device: a GSI follows */
            vsr_aml_int(aml, VSR_GSI_PCI_FIRST + (device + pin) % 4);
            vsr_aml_close(aml, mark);
        }
    }
    vsr_aml_close(aml, all);
}

static void pci_root(vsr_aml *aml, const vsr_board *board, uint32_t phys_bits)
{
    vsr_aml_mark mark = open_device(aml, "PCI0", "PNP0A08", 0);
    GByteArray *res = g_byte_array_new();
    vsr_aml_mark method;
    uint64_t base, len;

    vsr_aml_name(aml, "_CID");
    vsr_aml_eisa_id(aml, "PNP0A03");
    vsr_aml_name(aml, "_SEG");
    vsr_aml_int(aml, 0);
    vsr_aml_name(aml, "_BBN");
    vsr_aml_int(aml, 0);
    vsr_aml_name(aml, "_CCA");
    vsr_aml_int(aml, 1);

    vsr_aml_res_bus(res, 0, (uint16_t)(board->pci_buses - 1));
    vsr_aml_res_io(res, VSR_PORT_PCI_CONFIG, 8);
    vsr_aml_res_io_window(res, 0, VSR_PORT_PCI_CONFIG - 1);
    vsr_aml_res_io_window(res, VSR_PORT_PCI_CONFIG + 8, 0xffff);
    vsr_aml_res_mem_window32(res, (uint32_t)VSR_PCI_MMIO_BASE,
                             (uint32_t)VSR_PCI_MMIO_LEN);
    if (vsr_board_pci64(board, phys_bits, &base, &len))
        vsr_aml_res_mem_window64(res, base, len);
    vsr_aml_crs(aml, res);

    /* The guest may have every PCIe feature it asks for. */
    method = vsr_aml_open_method(aml, "_OSC", 4);
    vsr_aml_op(aml, VSR_AML_RETURN);
    vsr_aml_op(aml, VSR_AML_ARG3);
    vsr_aml_close(aml, method);

    pci_routing(aml);
    vsr_acpi_slots(aml);
    vsr_aml_close(aml, mark);
    vsr_acpi_slot_events(aml);
}

void vsr_acpi_dsdt(vsr_aml *aml, const vsr_board *board, uint32_t phys_bits)
{
    vsr_aml_mark scope;

    sleep_states(aml);
    scope = vsr_aml_open_scope(aml, "\\_SB");
    vsr_acpi_processors(aml, board);
    if (board->pci_buses > 0)
        pci_root(aml, board, phys_bits);
    legacy(aml, board);
    if (board->reduced_acpi)
        event_device(aml);
    serials(aml, board);
    virtio_mmio(aml, board);
    vsr_aml_close(aml, scope);
}
