/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.h: the PCI Express host bridge: both configuration mechanisms, bus 0,
 * the windows for BARs, and the reset register between the ports of the first.
 *
 * Spec:    PCI Local Bus 3.0, 3.2.2.3.2 "Software Generation of Configuration
 *          Transactions"; PCI Express 5.0, 7.2.2 "Enhanced Configuration
 *          Access Mechanism (ECAM)".
 * Threads: see machine/device.h; host_add and host_remove: control.
 */
#ifndef VSR_DEVICES_PCI_HOST_H
#define VSR_DEVICES_PCI_HOST_H

#include "devices/pci/function.h"
#include "machine/x86/board.h"

typedef struct {
    const vsr_board *board; /* borrowed during init */
} vsr_pci_host_params;

extern const vsr_device_class vsr_pci_host_class;

vsr_pci_host *vsr_pci_host_get(vsr_device *device);

/* Bus 0, by devfn (device << 3 | function). EXISTS when it is taken. */
bool vsr_pci_host_add(vsr_pci_host *host, vsr_pci_function *function,
                      GError **error);
void vsr_pci_host_remove(vsr_pci_host *host, vsr_pci_function *function);
/* First free device number above 0 as a devfn, or -1. */
int vsr_pci_host_free_slot(vsr_pci_host *host);

/* pin 1..4; as the DSDT's _PRT says. */
uint32_t vsr_pci_host_gsi(uint8_t devfn, uint8_t pin);
/* May a BAR be at [addr, addr+len)? */
bool vsr_pci_host_window(const vsr_pci_host *host, bool is_io, uint64_t addr,
                         uint64_t len);
/* Serialises configuration accesses and moves of BARs. Outside of devices'
 * locks. */
void vsr_pci_host_lock(vsr_pci_host *host);
void vsr_pci_host_unlock(vsr_pci_host *host);

#endif
