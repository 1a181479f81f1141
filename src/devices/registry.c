/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* registry.c: the only list of device classes. */
#include "devices/registry.h"

#include <string.h>

#include "base/util.h"
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
#include "devices/legacy/reset_port.h"
#include "devices/legacy/rtc.h"
#include "devices/legacy/test_bench.h"
#include "devices/legacy/uart16550.h"
#include "devices/pci/host.h"
#include "devices/pci/hotplug.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/console.h"
#include "devices/virtio/mem.h"
#include "devices/virtio/net.h"
#include "devices/virtio/p9.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/vsock.h"

static const vsr_device_class *const classes[] = {
    &vsr_lapic_class,
    &vsr_ioapic_class,
    &vsr_pic_class,
    &vsr_pit_class,
    &vsr_pci_host_class,
    &vsr_pci_hotplug_class,
    &vsr_uart16550_class,
    &vsr_rtc_class,
    &vsr_i8042_class,
    &vsr_acpi_pm_class,
    &vsr_acpi_reduced_class,
    &vsr_cpu_hotplug_class,
    &vsr_reset_port_class,
    &vsr_debug_exit_class,
    &vsr_test_bench_class,
    &vsr_fw_cfg_class,
    &vsr_firmware_debug_class,
    &vsr_virtio_blk_class,
    &vsr_virtio_console_class,
    &vsr_virtio_net_class,
    &vsr_virtio_rng_class,
    &vsr_virtio_balloon_class,
    &vsr_virtio_mem_class,
    &vsr_virtio_vsock_class,
    &vsr_virtio_9p_class,
};

const vsr_device_class *vsr_device_class_find(const char *name)
{
    size_t i;

    for (i = 0; i < VSR_ARRAY_SIZE(classes); i++)
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    return NULL;
}

const vsr_device_class *vsr_device_class_get(uint32_t index)
{
    return index < VSR_ARRAY_SIZE(classes) ? classes[index] : NULL;
}
