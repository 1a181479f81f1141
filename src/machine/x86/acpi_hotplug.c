/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acpi_hotplug.c: PCI slots whose devices come and go while the guest runs.
 *
 * Each slot of bus 0 is a device with _EJ0, which makes it one that can be
 * emptied. What happens comes by the interrupt of a Generic Event Device, whose
 * _EVT asks devices/pci/hotplug.c which slots and notifies them.
 *
 * Spec:    ACPI 6.5, 6.3.3 "_EJx", 6.1.11 "_SUN", 5.6.6 "Device Object
 *          Notifications": 1 device check, 3 eject request; 5.6.9.
 * Threads: control.
 */
#include "machine/x86/acpi_dsdt.h"

#include <stdio.h>

enum { NOTIFY_CHECK = 1, NOTIFY_EJECT = 3, SLOTS = 32 };

static const char *slot_name(uint32_t slot, char name[5])
{
    (void)snprintf(name, 5, "S%02X", slot & 0xff);
    return name;
}

void vsr_acpi_slots(vsr_aml *aml)
{
    static const char *const words[] = { "HPUP", "HPDN", "HPEJ" };
    char name[5];

    vsr_aml_io_words(aml, "HPRG", VSR_PORT_HOTPLUG, words, 3);
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        vsr_aml_mark mark = vsr_aml_open_device(aml, slot_name(slot, name));
        vsr_aml_mark method;

        vsr_aml_name(aml, "_ADR");
        vsr_aml_int(aml, slot << 16);
        vsr_aml_name(aml, "_SUN");
        vsr_aml_int(aml, slot);
        method = vsr_aml_open_method(aml, "_EJ0", 1);
        vsr_aml_store_int(aml, UINT32_C(1) << slot, "HPEJ");
        vsr_aml_close(aml, method);
        vsr_aml_close(aml, mark);
    }
}

static void notify_slots(vsr_aml *aml, const char *word, uint8_t local,
                         uint8_t what)
{
    char path[] = "\\_SB.PCI0", name[5];

    vsr_aml_load_local(aml, word, local);
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        g_autofree char *full =
            g_strdup_printf("%s.%s", path, slot_name(slot, name));
        vsr_aml_mark mark =
            vsr_aml_open_if_local(aml, local, UINT32_C(1) << slot);

        vsr_aml_notify(aml, full, what);
        vsr_aml_close(aml, mark);
    }
}

void vsr_acpi_slot_events(vsr_aml *aml)
{
    vsr_aml_mark mark = vsr_acpi_open_events(aml, "HGED", 1, VSR_GSI_HOTPLUG);
    vsr_aml_mark method;

    method = vsr_aml_open_method(aml, "_EVT", 1);
    notify_slots(aml, "\\_SB.PCI0.HPUP", 0, NOTIFY_CHECK);
    notify_slots(aml, "\\_SB.PCI0.HPDN", 1, NOTIFY_EJECT);
    vsr_aml_close(aml, method);
    vsr_aml_close(aml, mark);
}
