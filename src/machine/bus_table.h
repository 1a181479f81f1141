/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus_table.h: the tables behind bus.h, shared by bus.c (look-up, dispatch) and
 * bus_change.c (adding and removing).
 */
#ifndef VSR_MACHINE_BUS_TABLE_H
#define VSR_MACHINE_BUS_TABLE_H

#include "machine/bus.h"

enum { BUS_SHARDS = 32, BUS_CACHE_LINE = 64 };

typedef struct {
    vsr_region region;
    uint32_t refs;    /* atomic: the table's, and one an access in flight */
    uint32_t removed; /* atomic */
} bus_node;

typedef struct {
    uint64_t addr, value;
    uint32_t size;
    bool match_value;
    bool in_engine;
    int fd;
} bus_doorbell;

typedef struct {
    uint32_t n_nodes, n_doorbells;
    bus_node **node;        /* sorted by base */
    bus_doorbell *doorbell; /* sorted by addr */
} bus_table;

typedef struct {
    uint32_t in; /* atomic: look-ups between their begin and end */
    char pad[BUS_CACHE_LINE - sizeof(uint32_t)];
} bus_shard;

typedef struct {
    bus_table *table; /* atomic */
    bus_shard lookups[BUS_SHARDS];
} bus_space;

struct vsr_bus {
    bus_space space[2]; /* by vsr_space */
    /* Guards replacing the tables; no other lock is taken in it. */
    GMutex change_lock;
    const vsr_engine_ops *engine;
    vsr_engine_vm *vm;
};

/* The first node that ends beyond addr: it holds addr or lies after it. */
uint32_t vsr_bus_node_after(const bus_table *table, uint64_t addr);
/* The first doorbell at addr or after it. */
uint32_t vsr_bus_doorbell_after(const bus_table *table, uint64_t addr);
void vsr_bus_node_unref(bus_node *node);
/* Until no access is in it any more but those of the caller itself. */
void vsr_bus_node_wait(bus_node *node);

#endif
