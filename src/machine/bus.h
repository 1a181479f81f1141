/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus.h: who answers a guest access to memory-mapped or port I/O.
 *
 * A region declares the access sizes it understands; the bus splits wider
 * ones, widens narrower ones (read: the enclosing access is cut; write: only
 * if the region says bytes may be merged) and drops what is left, so that a
 * handler sees legal accesses only. Reads nobody answers give all ones, writes
 * vanish. A region with a lock is called with that lock held.
 *
 * Doorbells: (address, size, value) → eventfd, looked up before dispatch; given
 * to the engine too, where it can match them itself.
 *
 * Threads: dispatch on vCPU threads, concurrently; add and remove from the
 *          control thread at any time (an access in flight is waited for).
 */
#ifndef VSR_MACHINE_BUS_H
#define VSR_MACHINE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "engine/engine.h"

typedef struct vsr_bus vsr_bus;

typedef enum { VSR_SPACE_MMIO, VSR_SPACE_PIO } vsr_space;

typedef struct {
    /* offset is from the region's start; size is min_size..max_size and
     * naturally aligned. The value is zero-extended. */
    uint64_t (*read)(void *opaque, uint64_t offset, uint32_t size);
    void (*write)(void *opaque, uint64_t offset, uint32_t size, uint64_t value);
    /* Instead of both: the access as it came (LAPIC, PCI configuration). */
    void (*access)(void *opaque, uint64_t offset, vsr_io *io);
    uint8_t min_size; /* 1, 2, 4, 8; 0 means 1 */
    uint8_t max_size; /* 0 means 4 */
    bool merges; /* a write below min_size: read, replace the bytes, write */
} vsr_region_ops;

typedef struct {
    const char *name; /* borrowed, for logs */
    vsr_space space;
    uint64_t base;
    uint64_t len;
    const vsr_region_ops *ops;
    void *opaque;
    GMutex *lock; /* held around ops; NULL: the handler locks itself */
} vsr_region;

vsr_bus *vsr_bus_new(void);
void vsr_bus_free(vsr_bus *bus);
/* Doorbells with a value go to this engine as well, if it takes them. Before the
 * first doorbell. */
void vsr_bus_set_engine(vsr_bus *bus, const vsr_engine_ops *engine,
                        vsr_engine_vm *vm);

/* The struct is copied. -EEXIST when it overlaps another of that space,
 * -EINVAL when it wraps or is empty. */
int vsr_bus_add(vsr_bus *bus, const vsr_region *region);
/* Returns when no handler of it runs any more. From inside a handler it does not
 * wait for what cannot end before: the caller's own handlers, and accesses that
 * wait for a region lock which the caller's dispatch holds (those find the
 * region gone). The caller holds no other lock that a handler of the region
 * takes. -ENOENT if none starts at base. */
int vsr_bus_remove(vsr_bus *bus, vsr_space space, uint64_t base);

void vsr_bus_access(vsr_bus *bus, vsr_space space, vsr_io *io);

/* size 0: any size; fd stays the caller's, open until remove has returned.
 * -EEXIST: one matches the same already. */
int vsr_bus_doorbell_add(vsr_bus *bus, vsr_space space, uint64_t addr,
                         uint32_t size, bool match_value, uint64_t value,
                         int eventfd);
int vsr_bus_doorbell_remove(vsr_bus *bus, vsr_space space, uint64_t addr,
                            uint32_t size, bool match_value, uint64_t value);

#endif
