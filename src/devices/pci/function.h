/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * function.h: one PCI function: configuration space, BARs, capabilities, INTx.
 *
 * A device that sits on PCI embeds a vsr_pci_function beside its vsr_device
 * and fills it in its init; the host bridge finds it by its devfn.
 *
 * Spec:    PCI Local Bus 3.0, 6.1 "Configuration Space Organization", 6.2.5
 *          "Base Addresses"; PCI Express 5.0, 7.5.
 * Threads: init, fini, add_*, reset: control. Configuration accesses arrive on
 *          vCPU threads with the bridge's lock, then the device's, held; INTx
 *          from any thread with the device's lock held.
 */
#ifndef VSR_DEVICES_PCI_FUNCTION_H
#define VSR_DEVICES_PCI_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/device.h"
#include "machine/irq.h"

typedef struct vsr_pci_host vsr_pci_host;
typedef struct vsr_pci_function vsr_pci_function;

/* Offsets of the common header. */
enum {
    VSR_PCI_VENDOR = 0x00,
    VSR_PCI_DEVICE = 0x02,
    VSR_PCI_COMMAND = 0x04,
    VSR_PCI_STATUS = 0x06,
    VSR_PCI_REVISION = 0x08,
    VSR_PCI_CLASS = 0x09, /* programming interface, sub-class, class */
    VSR_PCI_HEADER_TYPE = 0x0e,
    VSR_PCI_BAR0 = 0x10,
    VSR_PCI_SUBSYSTEM_VENDOR = 0x2c,
    VSR_PCI_SUBSYSTEM = 0x2e,
    VSR_PCI_CAPABILITIES = 0x34,
    VSR_PCI_INTERRUPT_LINE = 0x3c,
    VSR_PCI_INTERRUPT_PIN = 0x3d,

    VSR_PCI_COMMAND_IO = 1 << 0,
    VSR_PCI_COMMAND_MEMORY = 1 << 1,
    VSR_PCI_COMMAND_MASTER = 1 << 2,
    VSR_PCI_COMMAND_NO_INTX = 1 << 10,
    VSR_PCI_STATUS_INTX = 1 << 3,
    VSR_PCI_STATUS_CAPABILITIES = 1 << 4,
};

enum {
    VSR_PCI_CONFIG_LEN = 4096,
    VSR_PCI_HEADER_LEN = 256, /* what cf8/cfc reaches, where capabilities are */
    VSR_PCI_BARS = 6,
};

typedef struct {
    uint16_t vendor, device;
    uint16_t subsystem_vendor, subsystem;
    uint32_t class_code; /* 0xCCSSPP */
    uint8_t revision;
    uint8_t pin; /* 0: no INTx, 1..4: INTA..INTD */
} vsr_pci_ids;

typedef struct {
    uint64_t len; /* a power of two, 16 at least; 0: no such BAR */
    bool is_io, is_64, prefetch;
    const vsr_region_ops *ops;
    void *opaque;
    GMutex *lock; /* held around ops, or NULL */
    /* private */
    bool mapped;
    uint64_t mapped_at;
} vsr_pci_bar;

struct vsr_pci_function {
    vsr_device *device;
    vsr_pci_host *host;
    const char *name;
    uint8_t devfn;
    bool hidden; /* the bridge's lock */
    uint8_t config[VSR_PCI_CONFIG_LEN];
    uint8_t power_on[VSR_PCI_HEADER_LEN]; /* what reset restores */
    uint8_t writable[VSR_PCI_HEADER_LEN]; /* bits the guest may write */
    uint8_t clears[VSR_PCI_HEADER_LEN];   /* bits a written one clears */
    uint8_t last_capability, free_at;
    vsr_pci_bar bar[VSR_PCI_BARS];
    vsr_irq intx;
    bool intx_level; /* what the device wants */
    /* Before a read of [offset, offset+len): the device brings config[] up to
     * date. May be NULL. */
    void (*reading)(vsr_pci_function *function, uint32_t offset, uint32_t len);
    /* After a write to [offset, offset+len); may be NULL. */
    void (*written)(vsr_pci_function *function, uint32_t offset, uint32_t len);
    /* A BAR has come to or left an address; the bridge's lock is held, the
     * device's is not. May be NULL. */
    void (*moved)(vsr_pci_function *function, uint32_t bar, bool mapped,
                  uint64_t addr);
};

/* Puts it on the bus. EXISTS when devfn is taken. Nobody sees it before its first
 * reset, so a guest that runs finds it whole. */
bool vsr_pci_function_init(vsr_pci_function *function, vsr_device *device,
                           vsr_pci_host *host, uint8_t devfn,
                           const vsr_pci_ids *ids, GError **error);
/* Takes it, and its BARs, off the bus. */
void vsr_pci_function_fini(vsr_pci_function *function);
/* Power-on contents; BARs are unmapped. For the device's reset. */
void vsr_pci_function_reset(vsr_pci_function *function);

bool vsr_pci_add_bar(vsr_pci_function *function, uint32_t index,
                     const vsr_pci_bar *bar, GError **error);
/* `len` with the two header bytes; zero-filled and read-only until the caller
 * says otherwise in writable[]. Returns the offset, 0 when there is no room. */
uint8_t vsr_pci_add_capability(vsr_pci_function *function, uint8_t id,
                               uint8_t len);
/* After the last add_*: what is there now is what reset restores. */
void vsr_pci_function_seal(vsr_pci_function *function);

/* Device's lock held. */
void vsr_pci_set_intx(vsr_pci_function *function, bool level);
bool vsr_pci_is_master(const vsr_pci_function *function);

/* For the bridge. */
uint32_t vsr_pci_config_read(vsr_pci_function *function, uint32_t offset,
                             uint32_t size);
void vsr_pci_config_write(vsr_pci_function *function, uint32_t offset,
                          uint32_t size, uint32_t value);

#endif
