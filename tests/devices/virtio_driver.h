/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio_driver.h: the other side of a virtio device: a guest's driver, written
 * in the test, that reaches it as a guest does: PCI configuration, BARs or
 * virtio-mmio registers, and split rings in RAM of a machine on the fake engine.
 *
 *     driver *d = driver_new(DRIVER_PCI);
 *     vsr_virtio_rng_params p = { .virtio = driver_params(d) };
 *     driver_attach(d, &vsr_virtio_rng_class, &p);
 *     driver_start(d, 0, 1);                  // status, features, queues
 *     driver_buffer b = { driver_alloc(d, 64, 1), 64, true };
 *     driver_add(d, 0, &b, 1);
 *     driver_kick(d, 0);
 *     assert_true(driver_wait(d, 0, &head, &len));
 *     driver_free(d);
 *
 * Threads: the test's; interrupts are counted from whichever thread raises them.
 */
#ifndef VSR_TESTS_DEVICES_VIRTIO_DRIVER_H
#define VSR_TESTS_DEVICES_VIRTIO_DRIVER_H

#include "devices/pci/host.h"
#include "devices/virtio/virtio.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

typedef enum { DRIVER_PCI, DRIVER_MMIO } driver_transport;

enum {
    DRIVER_RAM = 16 << 20, /* bytes, from guest address 0 */
    DRIVER_QUEUES_MAX = 65,
    DRIVER_VECTORS = 128,

    DRIVER_NEXT = 1, /* flags of a descriptor */
    DRIVER_WRITE = 2,
    DRIVER_INDIRECT = 4,
};

/* The rings are the device's to read and ours to write, and the reverse. */
typedef struct {
    uint64_t gpa, len;
    bool writable; /* by the device */
} driver_buffer;

typedef struct {
    uint16_t size; /* as set up */
    uint64_t desc, avail, used;
    uint16_t avail_idx;  /* next to be published */
    uint16_t kicked_idx; /* avail_idx at the last driver_kick() */
    uint16_t used_idx;   /* next to be looked at */
    uint32_t n_free;
    uint16_t free[VSR_VIRTQ_SIZE_MAX];   /* stack of descriptors */
    uint16_t length[VSR_VIRTQ_SIZE_MAX]; /* by head: descriptors of the chain */
    uint16_t chain[VSR_VIRTQ_SIZE_MAX];  /* by descriptor: the next */
} driver_queue;

typedef struct {
    driver_transport transport;
    vsr_machine *machine;
    vsr_board board;
    vsr_pci_host *host;           /* PCI */
    const vsr_board_mmio *window; /* MMIO */
    uint8_t devfn;
    vsr_virtio *device;
    bool intx;      /* before driver_attach(): without MSI-X */
    bool event_idx; /* negotiated */
    bool indirect;
    uint64_t common, notify, isr, config; /* addresses of the structures */
    uint32_t notify_step;
    uint8_t msix, access; /* capabilities */
    uint64_t msix_table;
    uint64_t ram_next;
    driver_queue queue[DRIVER_QUEUES_MAX];
    gint msi[DRIVER_VECTORS]; /* atomic: how often, by vector */
    gint line[VSR_GSI_MAX];   /* atomic: level */
    gint raised[VSR_GSI_MAX]; /* atomic: how often it rose */
} driver;

/* A machine with RAM and, for PCI, a bridge; ends the test on failure. */
driver *driver_new(driver_transport transport);
/* The machine and the device with it. */
void driver_free(driver *d);
/* Where the device is to sit, for its class's params. */
vsr_virtio_params driver_params(const driver *d);
/* vsr_device_new(), and what firmware does: BARs, bus master, MSI-X with vector
 * i for queue i and the last for the configuration. */
void driver_attach(driver *d, const vsr_device_class *class,
                   const void *params);
/* The second half of it, again after vsr_machine_reset() or the like. */
void driver_probe(driver *d);

/* --- registers ------------------------------------------------------------- */

uint8_t driver_status(driver *d);
void driver_set_status(driver *d, uint8_t status);
uint64_t driver_offered(driver *d);
void driver_accept(driver *d, uint64_t features);
uint32_t driver_queue_max(driver *d, uint32_t queue);
/* Places a queue of `size` (0: the largest) in new RAM and tells the device
 * where; driver_enable() makes it live. */
void driver_place(driver *d, uint32_t queue, uint16_t size);
/* Only the registers: what is in d->queue[queue]. */
void driver_write_queue(driver *d, uint32_t queue);
void driver_enable(driver *d, uint32_t queue);
void driver_disable(driver *d, uint32_t queue); /* MMIO knows that */
bool driver_enabled(driver *d, uint32_t queue);
uint64_t driver_config(driver *d, uint32_t offset, uint32_t size);
void driver_set_config(driver *d, uint32_t offset, uint32_t size,
                       uint64_t value);
uint8_t driver_generation(driver *d);
/* ISR status (reading it clears it on PCI) and, on MMIO, the acknowledgement. */
uint8_t driver_take_isr(driver *d);
/* PCI configuration space of the device. */
uint64_t driver_pci_get(driver *d, uint32_t offset, uint32_t size);
void driver_pci_set(driver *d, uint32_t offset, uint32_t size, uint64_t value);

/* Reset, ACKNOWLEDGE, DRIVER, features (all that is offered of `features`, and
 * VERSION_1), FEATURES_OK: true if it was kept. */
bool driver_negotiate(driver *d, uint64_t features);
/* All of it: negotiate, queues 0 … n-1 at their largest size, DRIVER_OK. Ends
 * the test if the device refuses. */
void driver_start(driver *d, uint64_t features, uint32_t n_queues);

/* --- RAM --------------------------------------------------------------------- */

/* Zeroed guest RAM that nothing else uses. */
uint64_t driver_alloc(driver *d, uint64_t len, uint64_t align);
/* The host's view of it; ends the test if it is not RAM. */
void *driver_ram(driver *d, uint64_t gpa, uint64_t len);

/* --- chains -------------------------------------------------------------------- */

/* Puts a chain of them into the ring, its descriptors in order; the head, which
 * driver_wait() gives back. Ends the test when the ring is full. */
uint16_t driver_add(driver *d, uint32_t queue, const driver_buffer *buffers,
                    uint32_t n);
/* The same behind one indirect descriptor. */
uint16_t driver_add_indirect(driver *d, uint32_t queue,
                             const driver_buffer *buffers, uint32_t n);
/* Step by step, for rings that no sane driver makes: one descriptor, one entry
 * of the available ring at its next place, its index. */
void driver_desc(driver *d, uint32_t queue, uint16_t index, uint64_t gpa,
                 uint32_t len, uint16_t flags, uint16_t next);
void driver_publish(driver *d, uint32_t queue, uint16_t head);
void driver_set_avail(driver *d, uint32_t queue, uint16_t idx);
/* Does the device want a kick for what was added since the last? */
bool driver_wants_kick(driver *d, uint32_t queue);
/* Kicks, wanted or not. */
void driver_kick(driver *d, uint32_t queue);
/* Interrupts on (from the next used element on) or off. */
void driver_want_interrupts(driver *d, uint32_t queue, bool on);
/* The next used element, if there is one; its descriptors are free again. */
bool driver_take(driver *d, uint32_t queue, uint16_t *head, uint32_t *len);
/* Waits for it, two seconds at the most. */
bool driver_wait(driver *d, uint32_t queue, uint16_t *head, uint32_t *len);
uint16_t driver_used_idx(driver *d, uint32_t queue);
/* The device has seen every kick so far (its home loop has been idle since). */
void driver_settle(driver *d);

/* --- interrupts ------------------------------------------------------------------ */

/* How many there were of a queue since the machine began: its MSI-X vector, or
 * rises of the line. UINT32_MAX: of the configuration. */
uint32_t driver_interrupts(driver *d, uint32_t queue);
/* Waits until there were more than `before`. */
bool driver_wait_interrupt(driver *d, uint32_t queue, uint32_t before);
bool driver_line(driver *d);

#endif
