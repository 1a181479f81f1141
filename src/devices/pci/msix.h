/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * msix.h: message-signalled interrupts of a PCI function: the capability, and
 * the table and pending bits in a BAR of their own.
 *
 * Spec:    PCI Local Bus 3.0, 6.8.2 "MSI-X Capability and Table Structures".
 * Threads: init, reset: control; notify from any thread with the device's lock
 *          held, and so table accesses.
 */
#ifndef VSR_DEVICES_PCI_MSIX_H
#define VSR_DEVICES_PCI_MSIX_H

#include "devices/pci/function.h"

enum { VSR_MSIX_VECTORS_MAX = 128 };

typedef struct {
    uint64_t addr;
    uint32_t data, control;
} vsr_msix_entry;

typedef struct {
    vsr_pci_function *function;
    uint8_t capability; /* its offset */
    uint32_t n;
    vsr_msix_entry table[VSR_MSIX_VECTORS_MAX];
    uint64_t pending[VSR_MSIX_VECTORS_MAX / 64];
} vsr_msix;

/* Adds the capability and BAR `bar`. */
bool vsr_msix_init(vsr_msix *msix, vsr_pci_function *function, uint32_t bar,
                   uint32_t vectors, GError **error);
void vsr_msix_reset(vsr_msix *msix);
/* After a write to the function's configuration space. */
void vsr_msix_written(vsr_msix *msix, uint32_t offset, uint32_t len);
bool vsr_msix_is_enabled(const vsr_msix *msix);
/* Sends the vector's message, now or when it is unmasked. */
void vsr_msix_notify(vsr_msix *msix, uint32_t vector);

#endif
