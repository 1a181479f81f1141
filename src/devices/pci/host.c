/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.c: PCI Express host bridge.
 *
 * Spec:    PCI Local Bus 3.0, 3.2.2.3.2; PCI Express 5.0, 7.2.2.
 * Threads: configuration accesses on vCPU threads, one at a time under
 *          config_lock; the bridge's own function under the device's lock.
 */
#include "devices/pci/host.h"

#include "base/error.h"
#include "base/util.h"
#include "devices/legacy/reset_port.h"
#include "machine/machine.h"

enum {
    FUNCTIONS = 256,
    CONFIG_ENABLE_SHIFT = 31,
    IO_WINDOW_FIRST = 0x1000, /* below are fixed ports */
    IO_WINDOW_END = 0x10000,
    DATA_OFFSET = 4,  /* of 0xcfc from 0xcf8 */
    RESET_OFFSET = 1, /* of 0xcf9 */
};

struct vsr_pci_host {
    vsr_device base;
    /* Guards all below, and is held around every configuration access. */
    GMutex config_lock;
    vsr_pci_function *function[FUNCTIONS];
    uint32_t address; /* port 0xcf8 */
    uint8_t reset_value;
    uint64_t window64, window64_len; /* len 0: none; constant after init */
    vsr_pci_function self;           /* 00:00.0 */
};

vsr_pci_host *vsr_pci_host_get(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, vsr_pci_host, base);
}

void vsr_pci_host_lock(vsr_pci_host *host)
{
    g_mutex_lock(&host->config_lock);
}

void vsr_pci_host_unlock(vsr_pci_host *host)
{
    g_mutex_unlock(&host->config_lock);
}

uint32_t vsr_pci_host_gsi(uint8_t devfn, uint8_t pin)
{
    return VSR_GSI_PCI_FIRST + ((devfn >> 3) + (pin ? pin - 1u : 0u)) % 4;
}

bool vsr_pci_host_add(vsr_pci_host *host, vsr_pci_function *function,
                      GError **error)
{
    bool taken;

    vsr_pci_host_lock(host);
    taken = host->function[function->devfn] != NULL;
    if (!taken)
        host->function[function->devfn] = function;
    vsr_pci_host_unlock(host);
    if (taken) {
        function->host = NULL;
        return vsr_fail(error, VISOR_ERR_EXISTS,
                        "PCI address 00:%02x.%u is taken",
                        function->devfn >> 3u, function->devfn & 7u);
    }
    return true;
}

void vsr_pci_host_remove(vsr_pci_host *host, vsr_pci_function *function)
{
    vsr_pci_host_lock(host);
    if (host->function[function->devfn] == function)
        host->function[function->devfn] = NULL;
    vsr_pci_host_unlock(host);
}

int vsr_pci_host_free_slot(vsr_pci_host *host)
{
    int devfn, found = -1;

    vsr_pci_host_lock(host);
    for (devfn = 8; devfn < FUNCTIONS && found < 0; devfn += 8)
        if (!host->function[devfn])
            found = devfn;
    vsr_pci_host_unlock(host);
    return found;
}

static bool inside(uint64_t base, uint64_t window_len, uint64_t addr,
                   uint64_t len)
{
    return addr >= base && len <= window_len && addr - base <= window_len - len;
}

bool vsr_pci_host_window(const vsr_pci_host *host, bool is_io, uint64_t addr,
                         uint64_t len)
{
    if (is_io)
        return inside(IO_WINDOW_FIRST, IO_WINDOW_END - IO_WINDOW_FIRST, addr,
                      len);
    return inside(VSR_PCI_MMIO_BASE, VSR_PCI_MMIO_LEN, addr, len) ||
           inside(host->window64, host->window64_len, addr, len);
}

/* One access to a function's configuration; absent ones read as ones. Lock
 * held. */
static void config_access(vsr_pci_host *host, uint32_t bus, uint8_t devfn,
                          uint32_t offset, vsr_io *io)
{
    vsr_pci_function *f = bus == 0 ? host->function[devfn] : NULL;
    uint32_t done, size;

    if (!io->is_write)
        io->data = UINT64_MAX >> (64 - 8 * io->size);
    if (!f || f->hidden)
        return;
    if (io->is_write) {
        for (done = 0; done < io->size; done += size) {
            size = MIN(io->size - done, 4);
            vsr_pci_config_write(f, offset + done, size,
                                 (uint32_t)(io->data >> 8 * done));
        }
        return;
    }
    io->data = 0;
    for (done = 0; done < io->size; done += size) {
        size = MIN(io->size - done, 4);
        io->data |= (uint64_t)vsr_pci_config_read(f, offset + done, size)
                    << 8 * done;
    }
}

/* 3.2.2.3.2: the address register takes double words only; a byte at 0xcf9 is
 * the reset register. */
static void address_access(vsr_pci_host *host, uint64_t offset, vsr_io *io)
{
    if (offset == 0 && io->size == 4) {
        if (io->is_write)
            host->address = (uint32_t)io->data & UINT32_C(0x80fffffc);
        else
            io->data = host->address;
    } else if (offset == RESET_OFFSET && io->size == 1) {
        if (io->is_write)
            vsr_reset_register_write(host->base.machine, &host->reset_value,
                                     (uint8_t)io->data);
        else
            io->data = host->reset_value;
    } else if (!io->is_write) {
        io->data = UINT64_MAX >> (64 - 8 * io->size);
    }
}

static void ports_access(void *opaque, uint64_t offset, vsr_io *io)
{
    vsr_pci_host *host = vsr_pci_host_get(opaque);

    vsr_pci_host_lock(host);
    if (offset < DATA_OFFSET)
        address_access(host, offset, io);
    else if (host->address >> CONFIG_ENABLE_SHIFT)
        config_access(
            host, host->address >> 16 & 0xff, (uint8_t)(host->address >> 8),
            (host->address & 0xfc) + (uint32_t)(offset - DATA_OFFSET), io);
    else if (!io->is_write)
        io->data = UINT64_MAX >> (64 - 8 * io->size);
    vsr_pci_host_unlock(host);
}

static void ecam_access(void *opaque, uint64_t offset, vsr_io *io)
{
    vsr_pci_host *host = vsr_pci_host_get(opaque);

    vsr_pci_host_lock(host);
    config_access(host, (uint32_t)(offset >> 20), (uint8_t)(offset >> 12),
                  offset & 0xfff, io);
    vsr_pci_host_unlock(host);
}

static const vsr_region_ops ports_ops = { .access = ports_access };
static const vsr_region_ops ecam_ops = { .access = ecam_access };

static void host_reset(vsr_device *device)
{
    vsr_pci_host *host = vsr_pci_host_get(device);

    vsr_pci_host_lock(host);
    host->address = 0;
    host->reset_value = 0;
    vsr_pci_host_unlock(host);
    vsr_pci_function_reset(&host->self);
}

static bool host_init(vsr_device *device, const void *params, GError **error)
{
    /* Ids of the generic PCI Express host bridge other VMMs show, so that
     * guests have no chipset of some year to set up. */
    static const vsr_pci_ids ids = { .vendor = 0x1b36,
                                     .device = 0x0008,
                                     .subsystem_vendor = 0x1af4,
                                     .subsystem = 0x1100,
                                     .class_code = 0x060000 };
    vsr_pci_host *host = vsr_pci_host_get(device);
    const vsr_pci_host_params *p = params;

    g_mutex_init(&host->config_lock);
    if (!vsr_board_pci64(p->board, device->machine->caps.phys_bits,
                         &host->window64, &host->window64_len))
        host->window64 = host->window64_len = 0;
    if (!vsr_pci_function_init(&host->self, device, host, 0, &ids, error) ||
        !vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_PCI_CONFIG, 8,
                               &ports_ops, true, error) ||
        !vsr_device_add_region(device, VSR_SPACE_MMIO, VSR_ECAM_BASE,
                               vsr_board_ecam_len(p->board), &ecam_ops, true,
                               error)) {
        g_mutex_clear(&host->config_lock);
        return false;
    }
    return true;
}

static void host_fini(vsr_device *device)
{
    vsr_pci_host *host = vsr_pci_host_get(device);

    vsr_pci_function_fini(&host->self);
    g_mutex_clear(&host->config_lock);
}

const vsr_device_class vsr_pci_host_class = {
    .name = "pci-host",
    .instance_size = sizeof(vsr_pci_host),
    .init = host_init,
    .fini = host_fini,
    .reset = host_reset,
};
