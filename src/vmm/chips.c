/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chips.c: the devices of a board: interrupt chips and timer where the engine
 * has none, then what both boards have, then what one of them has.
 *
 * Threads: the control thread.
 */
#include "vmm/vmm_state.h"

#include <time.h>

#include "base/error.h"
#include "base/util.h"
#include "devices/irqchip/ioapic.h"
#include "devices/irqchip/lapic.h"
#include "devices/irqchip/pic.h"
#include "devices/legacy/acpi_pm.h"
#include "devices/legacy/acpi_reduced.h"
#include "devices/legacy/debug_exit.h"
#include "devices/legacy/firmware_debug.h"
#include "devices/legacy/fw_cfg.h"
#include "devices/legacy/i8042.h"
#include "devices/legacy/pit.h"
#include "devices/legacy/reset_port.h"
#include "devices/legacy/rtc.h"
#include "devices/legacy/test_bench.h"
#include "devices/legacy/uart16550.h"
#include "devices/pci/host.h"
#include "devices/pci/hotplug.h"

bool vmm_add_chips(vsr_vmm *vmm, GError **error)
{
    vsr_machine *machine = vmm->machine;
    const vsr_engine_caps *caps = &machine->caps;
    vsr_device *lapic = NULL;

    if (!caps->lapic) {
        vsr_lapic_params params = { .vcpus = machine->config.max_vcpus };

        lapic =
            vsr_device_new(machine, &vsr_lapic_class, "lapic", &params, error);
        if (!lapic)
            return false;
        for (uint32_t i = machine->n_vcpus; i < params.vcpus; i++)
            vsr_lapic_set_used(lapic, i, false);
        vmm->lapic = lapic;
    }
    if (!caps->ioapic) {
        vsr_ioapic_params params = { .lapic = lapic };

        if (!vsr_device_new(machine, &vsr_ioapic_class, "ioapic", &params,
                            error))
            return false;
    }
    if (!caps->pic && vmm->board.has_pic) {
        vsr_pic_params params = { .lapic = lapic };

        if (!vsr_device_new(machine, &vsr_pic_class, "pic", &params, error))
            return false;
    }
    if (!caps->pit && vmm->board.has_pit &&
        !vsr_device_new(machine, &vsr_pit_class, "pit", NULL, error))
        return false;
    return true;
}

static bool add_serials(vsr_vmm *vmm, GError **error)
{
    vsr_chardev *at[VSR_SERIALS_MAX] = { NULL };

    for (uint32_t i = 0; i < vmm->n_serials; i++)
        at[g_array_index(vmm->conf->serials, vsr_char_conf, i).port] =
            vmm->serial[i];
    /* A port below one that is used exists too, with nothing plugged in. */
    for (uint32_t port = 0; port < vmm->board.n_serials; port++) {
        vsr_uart16550_params params = {
            .port = vsr_board_serial_port(port),
            .gsi = vsr_board_serial_gsi(port),
            .chardev = at[port],
        };
        char id[16];

        g_snprintf(id, sizeof(id), "serial%u", port);
        if (!vsr_device_new(vmm->machine, &vsr_uart16550_class, id, &params,
                            error))
            return false;
    }
    return true;
}

static bool add_rtc(vsr_vmm *vmm, GError **error)
{
    const vsr_domain_conf *conf = vmm->conf;
    vsr_rtc_params params = {
        .port = VSR_PORT_RTC,
        .gsi = VSR_GSI_RTC,
        .localtime = conf->clock.kind == VSR_CLOCK_LOCALTIME,
        .low_ram = vsr_board_low_ram(&vmm->board),
        .high_ram = vsr_board_high_ram(&vmm->board),
    };

    if (conf->clock.kind == VSR_CLOCK_VARIABLE)
        params.offset_s = conf->clock.adjustment_s;
    else if (conf->clock.kind == VSR_CLOCK_ABSOLUTE)
        params.offset_s = conf->clock.start_s - (int64_t)time(NULL);
    return vsr_device_new(vmm->machine, &vsr_rtc_class, "rtc", &params,
                          error) != NULL;
}

/* What firmware and bare-metal test kernels look for. */
static bool add_helpers(vsr_vmm *vmm, GError **error)
{
    vsr_machine *machine = vmm->machine;
    bool has_firmware = vmm->conf->os.loader != NULL;
    bool has_tests = vmm->conf->features.test_devices;
    vsr_fw_cfg_params fw_cfg = {
        .board = &vmm->board,
        .firmware = has_firmware,
        .console_port = vmm->board.n_serials > 0 ? vsr_board_serial_port(0) : 0,
    };
    vsr_firmware_debug_params debug = {
        .chardev = has_tests ? vmm->serial[0] : NULL,
    };

    if ((has_firmware || has_tests) &&
        !vsr_device_new(machine, &vsr_fw_cfg_class, "fw-cfg", &fw_cfg, error))
        return false;
    if (has_firmware && !vsr_device_new(machine, &vsr_firmware_debug_class,
                                        "firmware-debug", &debug, error))
        return false;
    return !has_tests || (vsr_device_new(machine, &vsr_debug_exit_class,
                                         "debug-exit", NULL, error) &&
                          vsr_device_new(machine, &vsr_test_bench_class,
                                         "test-bench", NULL, error));
}

/* PCI's bridge owns the reset register too. */
static bool add_bridge(vsr_vmm *vmm, GError **error)
{
    vsr_pci_host_params host = { .board = &vmm->board };
    vsr_pci_hotplug_params slots = {
        .port = VSR_PORT_HOTPLUG,
        .gsi = VSR_GSI_HOTPLUG,
        .ejected = vmm_slot_ejected,
        .opaque = vmm,
    };
    vsr_device *bridge;

    if (vmm->board.kind != VSR_BOARD_PCI)
        return vsr_device_new(vmm->machine, &vsr_reset_port_class, "reset-port",
                              NULL, error) != NULL;
    bridge = vsr_device_new(vmm->machine, &vsr_pci_host_class, "pci-host",
                            &host, error);
    if (!bridge)
        return false;
    vmm->host = vsr_pci_host_get(bridge);
    vmm->hotplug = vsr_device_new(vmm->machine, &vsr_pci_hotplug_class,
                                  "pci-hotplug", &slots, error);
    return vmm->hotplug != NULL;
}

static bool add_power(vsr_vmm *vmm, GError **error)
{
    vsr_acpi_pm_params pm = { .port = VSR_PORT_PM, .sci_gsi = VSR_GSI_SCI };
    vsr_acpi_reduced_params reduced = { .port = VSR_PORT_PM,
                                        .gsi = VSR_GSI_SCI };

    if (vmm->board.reduced_acpi)
        vmm->power = vsr_device_new(vmm->machine, &vsr_acpi_reduced_class,
                                    "acpi-reduced", &reduced, error);
    else
        vmm->power = vsr_device_new(vmm->machine, &vsr_acpi_pm_class, "acpi-pm",
                                    &pm, error);
    return vmm->power != NULL;
}

void vmm_power_button(vsr_vmm *vmm)
{
    if (vmm->board.reduced_acpi)
        vsr_acpi_reduced_power_button(vmm->power);
    else
        vsr_acpi_pm_power_button(vmm->power);
}

bool vmm_add_devices(vsr_vmm *vmm, GError **error)
{
    vsr_machine *machine = vmm->machine;
    vsr_i8042_params i8042 = { .keyboard_gsi = VSR_GSI_KBD };

    if (!add_serials(vmm, error))
        return false;
    if (vmm->board.has_rtc && !add_rtc(vmm, error))
        return false;
    if (vmm->board.has_i8042 &&
        !vsr_device_new(machine, &vsr_i8042_class, "i8042", &i8042, error))
        return false;
    return add_power(vmm, error) && add_bridge(vmm, error) &&
           vmm_add_cpu_hotplug(vmm, error) && add_helpers(vmm, error);
}
