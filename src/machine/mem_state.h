/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem_state.h: what the files of guest RAM share: pieces of memory, where they
 * are in the guest, and the map from guest addresses.
 *
 * The map is an immutable array sorted by address. A change publishes a new one;
 * the old ones, and regions that have gone, live as long as the object, so that
 * a reader needs no lock.
 *
 * Threads: as mem.h says.
 */
#ifndef VSR_MACHINE_MEM_STATE_H
#define VSR_MACHINE_MEM_STATE_H

#include "machine/mem.h"
#include "machine/mem_pages.h"

enum { MEM_PAGE_BYTES = 4096 };

/* One piece of memory. */
typedef struct {
    char *name;
    int fd; /* -1: anonymous, with one region */
    uint64_t len;
    bool readonly;
    bool spare; /* its region is; no part of the machine's RAM */
    vsr_mem_options options;
} mem_block;

/* One mapping of a piece of a block at a guest address. */
typedef struct {
    mem_block *block; /* borrowed */
    uint64_t gpa, len;
    uint64_t offset; /* in the block */
    uint8_t *host;   /* as in pages */
    mem_pages pages;
    gint touched; /* atomic: it may hold more than zeros */
    /* Spare memory: units that are there or not, each a slot of the engine. */
    uint64_t unit; /* bytes; 0: all of it is there */
    gint *there;   /* by unit, atomic; owned */
} mem_region;

typedef struct {
    uint32_t n;
    mem_region *region[];
} mem_map;

struct vsr_mem {
    const vsr_engine_ops *engine;
    vsr_engine_vm *vm;
    uint32_t max_slots;
    GPtrArray *blocks;  /* of mem_block, owned */
    GPtrArray *regions; /* of mem_region, owned, in order of creation */
    mem_map *map;       /* atomic; newest */
    GSList *old_maps;   /* of mem_map, owned */
};

/* mem.c. The region where `gpa` is, or NULL. */
mem_region *mem_region_find(const vsr_mem *mem, uint64_t gpa);
/* Like vsr_mem_add_ram(); with a unit, spare memory. */
bool mem_add(vsr_mem *mem, const char *name, uint64_t gpa, uint64_t len,
             bool readonly, uint64_t unit, const vsr_mem_options *options,
             GError **error);
/* Out of the map: nobody finds it any more. Control. */
void mem_map_remove(vsr_mem *mem, const mem_region *region);

/* mem_spare.c. Is all of [offset, offset + len) of it there? It lies within. */
bool mem_region_has(const mem_region *region, uint64_t offset, uint64_t len);
/* What of it is there goes out of the engine. */
void mem_region_unplug_all(const vsr_mem *mem, mem_region *region);

#endif
