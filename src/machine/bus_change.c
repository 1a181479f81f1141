/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus_change.c: adding and removing regions and doorbells. Each change makes a
 * new table; bus.c says how the old one is got rid of.
 *
 * Threads: any; from inside a handler too.
 */
#include "machine/bus_table.h"

#include <errno.h>
#include <sched.h>

static bus_table *table_new(uint32_t nodes, uint32_t doorbells)
{
    bus_table *table = g_new0(bus_table, 1);

    table->n_nodes = nodes;
    table->n_doorbells = doorbells;
    table->node = g_new0(bus_node *, nodes);
    table->doorbell = g_new0(bus_doorbell, doorbells);
    return table;
}

static void table_free(bus_table *table)
{
    g_free(table->node);
    g_free(table->doorbell);
    g_free(table);
}

static void nodes_copy(bus_table *to, uint32_t at, const bus_table *from,
                       uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to->node[at + i] = from->node[first + i];
}

static void doorbells_copy(bus_table *to, uint32_t at, const bus_table *from,
                           uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        to->doorbell[at + i] = from->doorbell[first + i];
}

/* change_lock held. After it nobody reads the old table. */
static void table_publish(bus_space *space, bus_table *table)
{
    bus_table *old = space->table;

    __atomic_store_n(&space->table, table, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < BUS_SHARDS; i++)
        while (__atomic_load_n(&space->lookups[i].in, __ATOMIC_SEQ_CST) != 0)
            sched_yield();
    table_free(old);
}

vsr_bus *vsr_bus_new(void)
{
    vsr_bus *bus = g_new0(vsr_bus, 1);

    g_mutex_init(&bus->change_lock);
    bus->space[VSR_SPACE_MMIO].table = table_new(0, 0);
    bus->space[VSR_SPACE_PIO].table = table_new(0, 0);
    return bus;
}

void vsr_bus_set_engine(vsr_bus *bus, const vsr_engine_ops *engine,
                        vsr_engine_vm *vm)
{
    bus->engine = engine;
    bus->vm = vm;
}

void vsr_bus_free(vsr_bus *bus)
{
    if (bus == NULL)
        return;
    for (unsigned s = 0; s < G_N_ELEMENTS(bus->space); s++) {
        bus_table *table = bus->space[s].table;

        for (uint32_t i = 0; i < table->n_nodes; i++)
            vsr_bus_node_unref(table->node[i]);
        table_free(table);
    }
    g_mutex_clear(&bus->change_lock);
    g_free(bus);
}

static bool is_size(unsigned n)
{
    return n == 1 || n == 2 || n == 4 || n == 8;
}

static bool region_is_sound(const vsr_region *region)
{
    const vsr_region_ops *ops = region->ops;
    unsigned min, max;

    if (ops == NULL || region->len == 0 ||
        region->base + (region->len - 1) < region->base)
        return false;
    if (region->space == VSR_SPACE_PIO &&
        (region->base > 0xffff || region->len > 0x10000 - region->base))
        return false;
    if (ops->access != NULL)
        return true;
    min = MAX(ops->min_size, 1);
    max = ops->max_size != 0 ? ops->max_size : 4;
    return is_size(min) && is_size(max) && min <= max && region->len % min == 0;
}

int vsr_bus_add(vsr_bus *bus, const vsr_region *region)
{
    bus_space *space;
    const bus_table *old;
    bus_table *table;
    bus_node *node;
    uint32_t at;

    if (!region_is_sound(region))
        return -EINVAL;
    space = &bus->space[region->space];
    g_mutex_lock(&bus->change_lock);
    old = space->table;
    at = vsr_bus_node_after(old, region->base);
    if (at < old->n_nodes &&
        (old->node[at]->region.base <= region->base ||
         old->node[at]->region.base - region->base < region->len)) {
        g_mutex_unlock(&bus->change_lock);
        return -EEXIST;
    }
    node = g_new0(bus_node, 1);
    node->region = *region;
    node->refs = 1;
    table = table_new(old->n_nodes + 1, old->n_doorbells);
    nodes_copy(table, 0, old, 0, at);
    table->node[at] = node;
    nodes_copy(table, at + 1, old, at, old->n_nodes - at);
    doorbells_copy(table, 0, old, 0, old->n_doorbells);
    table_publish(space, table);
    g_mutex_unlock(&bus->change_lock);
    return 0;
}

int vsr_bus_remove(vsr_bus *bus, vsr_space which, uint64_t base)
{
    bus_space *space = &bus->space[which];
    const bus_table *old;
    bus_table *table;
    bus_node *node;
    uint32_t at;

    g_mutex_lock(&bus->change_lock);
    old = space->table;
    at = vsr_bus_node_after(old, base);
    if (at == old->n_nodes || old->node[at]->region.base != base) {
        g_mutex_unlock(&bus->change_lock);
        return -ENOENT;
    }
    node = old->node[at];
    table = table_new(old->n_nodes - 1, old->n_doorbells);
    nodes_copy(table, 0, old, 0, at);
    nodes_copy(table, at, old, at + 1, table->n_nodes - at);
    doorbells_copy(table, 0, old, 0, old->n_doorbells);
    __atomic_store_n(&node->removed, 1, __ATOMIC_RELEASE);
    table_publish(space, table);
    g_mutex_unlock(&bus->change_lock);
    vsr_bus_node_wait(node);
    vsr_bus_node_unref(node); /* the table's */
    return 0;
}

/* --- doorbells --- */

static bool doorbell_equal(const bus_doorbell *a, const bus_doorbell *b)
{
    return a->addr == b->addr && a->size == b->size &&
           a->match_value == b->match_value &&
           (!a->match_value || a->value == b->value);
}

static uint32_t doorbell_find(const bus_table *table, const bus_doorbell *bell)
{
    uint32_t i = vsr_bus_doorbell_after(table, bell->addr);

    while (i < table->n_doorbells && table->doorbell[i].addr == bell->addr) {
        if (doorbell_equal(&table->doorbell[i], bell))
            return i;
        i++;
    }
    return table->n_doorbells;
}

int vsr_bus_doorbell_add(vsr_bus *bus, vsr_space which, uint64_t addr,
                         uint32_t size, bool match_value, uint64_t value,
                         int eventfd)
{
    bus_space *space = &bus->space[which];
    bus_doorbell bell = { .addr = addr,
                          .size = size,
                          .match_value = match_value,
                          .value = value,
                          .fd = eventfd };
    const bus_table *old;
    bus_table *table;
    uint32_t at;

    if (size != 0 && !is_size(size))
        return -EINVAL;
    g_mutex_lock(&bus->change_lock);
    old = space->table;
    if (doorbell_find(old, &bell) < old->n_doorbells) {
        g_mutex_unlock(&bus->change_lock);
        return -EEXIST;
    }
    /* The engine's match is a short cut: without it, ours still works. */
    bell.in_engine =
        match_value && bus->engine != NULL &&
        bus->engine->doorbell_add != NULL &&
        bus->engine->doorbell_add(bus->vm, addr, size, value,
                                  which == VSR_SPACE_PIO, eventfd) == 0;
    at = vsr_bus_doorbell_after(old, addr);
    table = table_new(old->n_nodes, old->n_doorbells + 1);
    nodes_copy(table, 0, old, 0, old->n_nodes);
    doorbells_copy(table, 0, old, 0, at);
    table->doorbell[at] = bell;
    doorbells_copy(table, at + 1, old, at, old->n_doorbells - at);
    table_publish(space, table);
    g_mutex_unlock(&bus->change_lock);
    return 0;
}

int vsr_bus_doorbell_remove(vsr_bus *bus, vsr_space which, uint64_t addr,
                            uint32_t size, bool match_value, uint64_t value)
{
    bus_space *space = &bus->space[which];
    bus_doorbell bell = {
        .addr = addr, .size = size, .match_value = match_value, .value = value
    };
    const bus_table *old;
    bus_table *table;
    uint32_t at;

    g_mutex_lock(&bus->change_lock);
    old = space->table;
    at = doorbell_find(old, &bell);
    if (at == old->n_doorbells) {
        g_mutex_unlock(&bus->change_lock);
        return -ENOENT;
    }
    if (old->doorbell[at].in_engine)
        (void)bus->engine->doorbell_remove(bus->vm, addr, size, value,
                                           which == VSR_SPACE_PIO,
                                           old->doorbell[at].fd);
    table = table_new(old->n_nodes, old->n_doorbells - 1);
    nodes_copy(table, 0, old, 0, old->n_nodes);
    doorbells_copy(table, 0, old, 0, at);
    doorbells_copy(table, at, old, at + 1, table->n_doorbells - at);
    table_publish(space, table);
    g_mutex_unlock(&bus->change_lock);
    return 0;
}
