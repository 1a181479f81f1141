/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus.c: dispatch of accesses to regions and doorbells.
 *
 * A look-up reads an immutable sorted table inside of a very short section
 * (its vCPU's `lookups` counter), takes a reference on the region, and leaves
 * the section before it calls the handler. Changing the bus publishes a new
 * table, waits until each look-up section has been seen empty once (nothing in
 * one can block), and frees the old. Removing a region then waits for that
 * region's references, with the exceptions of bus.h: a handler may itself move
 * regions (a guest that writes a PCI base address register does that).
 *
 * Threads: as bus.h says.
 */
#include "machine/bus.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "machine/bus_table.h"

enum { SPINS_BEFORE_SLEEP = 200 };

/* The handlers this thread is in, innermost first. */
typedef struct bus_frame {
    struct bus_frame *outer;
    const bus_node *node;
} bus_frame;

static _Thread_local bus_frame *frames;

/* --- look-up --- */

static bus_shard *lookup_begin(bus_space *space, uint32_t vcpu)
{
    bus_shard *shard = &space->lookups[vcpu % BUS_SHARDS];

    /* Sequentially consistent, as the table's store in table_publish(): either
     * we see the new table, or the publisher sees us. */
    (void)__atomic_fetch_add(&shard->in, 1, __ATOMIC_SEQ_CST);
    return shard;
}

static void lookup_end(bus_shard *shard)
{
    (void)__atomic_fetch_sub(&shard->in, 1, __ATOMIC_RELEASE);
}

static const bus_table *table_get(const bus_space *space)
{
    return __atomic_load_n(&space->table, __ATOMIC_SEQ_CST);
}

uint32_t vsr_bus_node_after(const bus_table *table, uint64_t addr)
{
    uint32_t low = 0, high = table->n_nodes;

    while (low < high) {
        uint32_t mid = (low + high) / 2;
        const vsr_region *region = &table->node[mid]->region;

        if (addr >= region->base && addr - region->base >= region->len)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint32_t vsr_bus_doorbell_after(const bus_table *table, uint64_t addr)
{
    uint32_t low = 0, high = table->n_doorbells;

    while (low < high) {
        uint32_t mid = (low + high) / 2;

        if (table->doorbell[mid].addr < addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* --- dispatch --- */

static uint64_t size_mask(uint32_t size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

static uint64_t ops_read(const vsr_region *region, uint64_t offset,
                         uint32_t size)
{
    if (region->ops->read == NULL)
        return size_mask(size);
    return region->ops->read(region->opaque, offset, size) & size_mask(size);
}

static void ops_write(const vsr_region *region, uint64_t offset, uint32_t size,
                      uint64_t value)
{
    if (region->ops->write != NULL)
        region->ops->write(region->opaque, offset, size,
                           value & size_mask(size));
}

/* One handler call: the largest legal access at `offset` that is not longer
 * than `left`, or the enclosing one of min_size. Returns the bytes it served. */
static uint32_t access_piece(const vsr_region *region, uint64_t offset,
                             uint32_t left, bool is_write, uint64_t *data)
{
    uint32_t min = MAX(region->ops->min_size, 1);
    uint32_t size = region->ops->max_size != 0 ? region->ops->max_size : 4;
    uint64_t start, value, mask;
    uint32_t skip, n;

    while (size > min && (size > left || offset % size != 0))
        size /= 2;
    start = offset & ~(uint64_t)(size - 1);
    skip = (uint32_t)(offset - start);
    n = MIN(left, size - skip);
    if (n == size) {
        if (is_write)
            ops_write(region, start, size, *data);
        else
            *data = ops_read(region, start, size);
        return n;
    }
    if (is_write && !region->ops->merges)
        return n;
    value = ops_read(region, start, size);
    if (!is_write) {
        *data = (value >> (skip * 8)) & size_mask(n);
        return n;
    }
    mask = size_mask(n) << (skip * 8);
    ops_write(region, start, size,
              (value & ~mask) | ((*data << (skip * 8)) & mask));
    return n;
}

/* For handlers that take the access as it came: pieces of 1, 2, 4 or 8. */
static uint32_t access_raw(const vsr_region *region, uint64_t offset,
                           uint32_t left, const vsr_io *whole, uint64_t *data)
{
    vsr_io io = *whole;
    uint32_t size = 8;

    while (size > left)
        size /= 2;
    io.addr = region->base + offset;
    io.size = size;
    io.data = io.is_write ? *data & size_mask(size) : size_mask(size);
    region->ops->access(region->opaque, offset, &io);
    *data = io.data & size_mask(size);
    return size;
}

/* `len` bytes of the access that lie in the region, from its byte `done` on. */
static void region_access(const vsr_region *region, vsr_io *io, uint32_t done,
                          uint32_t len)
{
    uint64_t offset = io->addr + done - region->base;
    uint32_t end = done + len;

    while (done < end) {
        uint64_t data = io->data >> (done * 8);
        uint32_t n;

        if (region->ops->access != NULL)
            n = access_raw(region, offset, end - done, io, &data);
        else
            n = access_piece(region, offset, end - done, io->is_write, &data);
        if (!io->is_write) {
            uint64_t mask = size_mask(n) << (done * 8);

            io->data = (io->data & ~mask) | ((data << (done * 8)) & mask);
        }
        offset += n;
        done += n;
    }
}

void vsr_bus_node_unref(bus_node *node)
{
    /* Release: the handler's effects before whoever waits for the count. */
    if (__atomic_sub_fetch(&node->refs, 1, __ATOMIC_ACQ_REL) == 0)
        g_free(node);
}

static void node_access(bus_node *node, vsr_io *io, uint32_t done, uint32_t len)
{
    const vsr_region *region = &node->region;
    bus_frame frame = { .outer = frames, .node = node };

    if (region->lock != NULL)
        g_mutex_lock(region->lock);
    /* It may have gone while we waited for its lock. */
    if (!__atomic_load_n(&node->removed, __ATOMIC_ACQUIRE)) {
        frames = &frame;
        region_access(region, io, done, len);
        frames = frame.outer;
    }
    if (region->lock != NULL)
        g_mutex_unlock(region->lock);
    vsr_bus_node_unref(node);
}

static bool doorbell_ring(const bus_table *table, const vsr_io *io)
{
    for (uint32_t i = vsr_bus_doorbell_after(table, io->addr);
         i < table->n_doorbells; i++) {
        const bus_doorbell *bell = &table->doorbell[i];
        uint64_t one = 1;

        if (bell->addr != io->addr)
            return false;
        if ((bell->size != 0 && bell->size != io->size) ||
            (bell->match_value &&
             ((bell->value ^ io->data) & size_mask(io->size)) != 0))
            continue;
        while (write(bell->fd, &one, sizeof one) < 0 && errno == EINTR) {
        }
        return true;
    }
    return false;
}

/* The node that answers from byte `done` of the access on, with a reference, or
 * NULL; *len: how many bytes that holds for. */
static bus_node *node_ref_at(const bus_table *table, const vsr_io *io,
                             uint32_t done, uint32_t *len)
{
    uint64_t addr = io->addr + done;
    uint32_t i = vsr_bus_node_after(table, addr);
    bus_node *node;

    *len = io->size - done;
    if (i == table->n_nodes)
        return NULL;
    node = table->node[i];
    if (node->region.base > addr) {
        *len = (uint32_t)MIN(*len, node->region.base - addr);
        return NULL;
    }
    *len = (uint32_t)MIN(*len, node->region.len - (addr - node->region.base));
    (void)__atomic_fetch_add(&node->refs, 1, __ATOMIC_RELAXED);
    return node;
}

void vsr_bus_access(vsr_bus *bus, vsr_space which, vsr_io *io)
{
    bus_space *space = &bus->space[which];
    uint32_t done = 0;

    if (io->size == 0 || io->size > 8)
        return;
    if (!io->is_write)
        io->data = size_mask(io->size);
    while (done < io->size) {
        bus_shard *shard;
        const bus_table *table;
        bus_node *node = NULL;
        uint32_t len = io->size - done;
        bool rung;

        if (io->addr + done < io->addr)
            return; /* beyond the end of the space */
        shard = lookup_begin(space, io->vcpu);
        table = table_get(space);
        rung = io->is_write && done == 0 && table->n_doorbells > 0 &&
               doorbell_ring(table, io);
        if (!rung)
            node = node_ref_at(table, io, done, &len);
        lookup_end(shard);
        if (rung)
            return;
        if (node != NULL)
            node_access(node, io, done, len);
        done += len;
    }
}

/* --- removal --- */

/* How many references of `node` end only after we have returned? All of them
 * when this thread's dispatch holds the node's lock. */
static uint32_t refs_of_ours(const bus_node *node, bool *holds_lock)
{
    uint32_t n = 0;

    *holds_lock = false;
    for (const bus_frame *f = frames; f != NULL; f = f->outer) {
        n += f->node == node;
        if (node->region.lock != NULL &&
            f->node->region.lock == node->region.lock)
            *holds_lock = true;
    }
    return n;
}

void vsr_bus_node_wait(bus_node *node)
{
    bool holds_lock;
    uint32_t ours = refs_of_ours(node, &holds_lock);

    if (holds_lock)
        return;
    for (unsigned spins = 0;
         __atomic_load_n(&node->refs, __ATOMIC_ACQUIRE) > ours + 1; spins++) {
        if (spins < SPINS_BEFORE_SLEEP)
            sched_yield();
        else
            g_usleep(50);
    }
}
