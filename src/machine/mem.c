/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem.c: guest RAM: blocks of memory, where they are in the guest, and the map
 * from guest addresses. Their pages are mem_pages.c's; what comes and goes is
 * mem_spare.c's.
 *
 * Threads: as mem.h says.
 */
#include "machine/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/util.h"
#include "machine/mem_state.h"

static const mem_map *map_get(const vsr_mem *mem)
{
    /* Acquire: pairs with the release in map_publish(). */
    return __atomic_load_n(&mem->map, __ATOMIC_ACQUIRE);
}

mem_region *mem_region_find(const vsr_mem *mem, uint64_t gpa)
{
    const mem_map *map = map_get(mem);
    uint32_t low = 0, high = map->n;

    while (low < high) {
        uint32_t mid = (low + high) / 2;
        mem_region *region = map->region[mid];

        if (gpa < region->gpa)
            high = mid;
        else if (gpa - region->gpa >= region->len)
            low = mid + 1;
        else
            return region;
    }
    return NULL;
}

/* --- building --- */

static void block_free(void *opaque)
{
    mem_block *block = opaque;

    vsr_close(block->fd);
    g_free(block->name);
    g_free(block);
}

static void region_free(void *opaque)
{
    mem_region *region = opaque;

    mem_pages_unmap(&region->pages);
    g_free(region->there);
    g_free(region);
}

vsr_mem *vsr_mem_new(const vsr_engine_ops *engine, vsr_engine_vm *vm,
                     uint32_t max_slots)
{
    vsr_mem *mem = g_new0(vsr_mem, 1);

    mem->engine = engine;
    mem->vm = vm;
    mem->max_slots = max_slots;
    mem->blocks = g_ptr_array_new_with_free_func(block_free);
    mem->regions = g_ptr_array_new_with_free_func(region_free);
    mem->map = g_malloc0(sizeof *mem->map);
    return mem;
}

static vsr_mem_slot slot_of(const mem_region *region)
{
    return (vsr_mem_slot){
        .gpa = region->gpa,
        .len = region->len,
        .host = region->host,
        .readonly = region->block->readonly,
    };
}

void vsr_mem_free(vsr_mem *mem)
{
    if (mem == NULL)
        return;
    g_ptr_array_unref(mem->regions);
    g_ptr_array_unref(mem->blocks);
    g_slist_free_full(mem->old_maps, g_free);
    g_free(mem->map);
    g_free(mem);
}

/* Readers may still be in the old one. */
static void map_replace(vsr_mem *mem, mem_map *map)
{
    mem->old_maps = g_slist_prepend(mem->old_maps, mem->map);
    /* Release: pairs with the acquire in map_get(). */
    __atomic_store_n(&mem->map, map, __ATOMIC_RELEASE);
}

void mem_map_remove(vsr_mem *mem, const mem_region *region)
{
    const mem_map *old = mem->map;
    mem_map *map = g_malloc(sizeof *map + old->n * sizeof map->region[0]);

    map->n = 0;
    for (uint32_t i = 0; i < old->n; i++)
        if (old->region[i] != region)
            map->region[map->n++] = old->region[i];
    map_replace(mem, map);
}

static void map_publish(vsr_mem *mem, mem_region *added)
{
    const mem_map *old = mem->map;
    mem_map *map = g_malloc(sizeof *map + (old->n + 1) * sizeof map->region[0]);
    uint32_t at = 0;

    while (at < old->n && old->region[at]->gpa < added->gpa)
        at++;
    memcpy(map->region, old->region, at * sizeof map->region[0]);
    map->region[at] = added;
    memcpy(map->region + at + 1, old->region + at,
           (old->n - at) * sizeof map->region[0]);
    map->n = old->n + 1;
    map_replace(mem, map);
}

static bool range_check(const vsr_mem *mem, const char *name, uint64_t gpa,
                        uint64_t len, GError **error)
{
    const mem_map *map = map_get(mem);

    if (len == 0 || gpa % MEM_PAGE_BYTES != 0 || len % MEM_PAGE_BYTES != 0 ||
        len > INT64_MAX || gpa > UINT64_MAX - len)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': 0x%" PRIx64 "+0x%" PRIx64
                        " is not a range of pages",
                        name, gpa, len);
    for (uint32_t i = 0; i < map->n; i++) {
        const mem_region *other = map->region[i];

        if (gpa < other->gpa + other->len && other->gpa < gpa + len)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "Memory '%s' at 0x%" PRIx64 " overlaps '%s'", name,
                            gpa, other->block->name);
    }
    return true;
}

static bool engine_add(vsr_mem *mem, mem_region *region, GError **error)
{
    vsr_mem_slot slot = slot_of(region);
    int rc = mem->engine->mem_add(mem->vm, &slot);

    if (rc == -ENOSPC)
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "Memory '%s': engine '%s' has no memory slot left, its "
                        "limit is %u",
                        region->block->name, mem->engine->name, mem->max_slots);
    if (rc < 0)
        return vsr_fail_errno(
            error, rc, "Memory '%s': cannot map %" PRIu64 " MiB at 0x%" PRIx64,
            region->block->name, region->len / VSR_MIB, region->gpa);
    return true;
}

/* Maps, gives to the engine (unless it is spare), publishes. */
static bool region_add(vsr_mem *mem, mem_block *block, uint64_t offset,
                       uint64_t gpa, uint64_t len, uint64_t unit,
                       GError **error)
{
    mem_region *region = g_new0(mem_region, 1);

    *region = (mem_region){
        .block = block,
        .gpa = gpa,
        .len = len,
        .offset = offset,
        .unit = unit,
        .there = unit != 0 ? g_new0(gint, len / unit) : NULL,
        .pages = { .name = block->name,
                   .options = &block->options,
                   .fd = block->fd,
                   .offset = offset,
                   .gpa = gpa,
                   .len = len },
    };
    if (mem_pages_map(&region->pages, error)) {
        region->host = region->pages.host;
        if (mem_pages_populate(&region->pages, error) &&
            (unit != 0 || engine_add(mem, region, error))) {
            g_ptr_array_add(mem->regions, region);
            map_publish(mem, region);
            return true;
        }
    }
    region_free(region);
    return false;
}

static mem_block *block_find(const vsr_mem *mem, const char *name)
{
    for (guint i = 0; i < mem->blocks->len; i++) {
        mem_block *block = mem->blocks->pdata[i];

        if (strcmp(block->name, name) == 0)
            return block;
    }
    return NULL;
}

static bool block_grow(mem_block *block, uint64_t len, GError **error)
{
    if (!mem_pages_grow(block->name, &block->options, block->fd, len, error))
        return false;
    block->len = len;
    return true;
}

/* 0, or a power of two that is a page's size somewhere. */
static bool page_is_sane(uint64_t page)
{
    return page == 0 || (page > MEM_PAGE_BYTES && page <= (UINT64_C(1) << 40) &&
                         (page & (page - 1)) == 0);
}

bool mem_add(vsr_mem *mem, const char *name, uint64_t gpa, uint64_t len,
             bool readonly, uint64_t unit, const vsr_mem_options *options,
             GError **error)
{
    static const vsr_mem_options defaults;
    mem_block *block;

    if (options == NULL)
        options = &defaults;
    if (block_find(mem, name) != NULL)
        return vsr_fail(error, VISOR_ERR_EXISTS, "Memory '%s' exists already",
                        name);
    if (!range_check(mem, name, gpa, len, error))
        return false;
    if (!page_is_sane(options->page_bytes))
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': %" PRIu64
                        " bytes is the size of no huge page",
                        name, options->page_bytes);
    block = g_new0(mem_block, 1);
    block->name = g_strdup(name);
    block->options = *options;
    block->readonly = readonly;
    block->spare = unit != 0;
    block->fd = -1;
    if (options->shared &&
        !mem_pages_create(name, &block->options, &block->fd, error)) {
        block_free(block);
        return false;
    }
    g_ptr_array_add(mem->blocks, block);
    if (block_grow(block, len, error) &&
        region_add(mem, block, 0, gpa, len, unit, error))
        return true;
    g_ptr_array_remove(mem->blocks, block);
    return false;
}

bool vsr_mem_add_ram(vsr_mem *mem, const char *name, uint64_t gpa, uint64_t len,
                     bool readonly, const vsr_mem_options *options,
                     GError **error)
{
    return mem_add(mem, name, gpa, len, readonly, 0, options, error);
}

bool vsr_mem_add_alias(vsr_mem *mem, const char *name, uint64_t offset,
                       uint64_t gpa, uint64_t len, GError **error)
{
    mem_block *block = block_find(mem, name);
    uint64_t align, old_len;

    if (block == NULL)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND, "No memory '%s'", name);
    if (block->fd < 0)
        return vsr_fail(error, VISOR_ERR_CONFIG, "Memory '%s' is not shared",
                        name);
    if (!range_check(mem, name, gpa, len, error))
        return false;
    align =
        block->options.page_bytes ? block->options.page_bytes : MEM_PAGE_BYTES;
    if (offset % align != 0 || len % align != 0 || offset > block->len ||
        len > INT64_MAX - offset)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': no piece at offset 0x%" PRIx64, name,
                        offset);
    old_len = block->len;
    if (offset + len > block->len && !block_grow(block, offset + len, error))
        return false;
    if (region_add(mem, block, offset, gpa, len, 0, error))
        return true;
    if (block->len != old_len)
        (void)block_grow(block, old_len, NULL);
    return false;
}

/* --- access --- */

/* Is the whole range there? `write`: and writable. */
static bool range_is_ram(const vsr_mem *mem, uint64_t gpa, uint64_t len,
                         bool write)
{
    while (len > 0) {
        const mem_region *region = mem_region_find(mem, gpa);
        uint64_t here;

        if (region == NULL || (write && region->block->readonly))
            return false;
        here = region->len - (gpa - region->gpa);
        if (!mem_region_has(region, gpa - region->gpa, MIN(here, len)))
            return false;
        if (here >= len)
            return true;
        gpa += here;
        len -= here;
    }
    return true;
}

int vsr_mem_read(vsr_mem *mem, uint64_t gpa, void *to, uint64_t len)
{
    uint8_t *p = to;

    if (!range_is_ram(mem, gpa, len, false))
        return -EFAULT;
    while (len > 0) {
        const mem_region *region = mem_region_find(mem, gpa);
        uint64_t n = MIN(len, region->len - (gpa - region->gpa));

        memcpy(p, region->host + (gpa - region->gpa), n);
        gpa += n;
        p += n;
        len -= n;
    }
    return 0;
}

static void range_fill(vsr_mem *mem, uint64_t gpa, const void *from,
                       uint64_t len)
{
    const uint8_t *p = from;

    while (len > 0) {
        mem_region *region = mem_region_find(mem, gpa);
        uint64_t n = MIN(len, region->len - (gpa - region->gpa));

        g_atomic_int_set(&region->touched, 1);
        memcpy(region->host + (gpa - region->gpa), p, n);
        mem->engine->dirty_mark(mem->vm, gpa, n);
        gpa += n;
        p += n;
        len -= n;
    }
}

int vsr_mem_write(vsr_mem *mem, uint64_t gpa, const void *from, uint64_t len)
{
    if (!range_is_ram(mem, gpa, len, true))
        return -EFAULT;
    range_fill(mem, gpa, from, len);
    return 0;
}

int vsr_mem_rom_write(vsr_mem *mem, uint64_t gpa, const void *from,
                      uint64_t len)
{
    if (!range_is_ram(mem, gpa, len, false))
        return -EFAULT;
    range_fill(mem, gpa, from, len);
    return 0;
}

void *vsr_mem_map(vsr_mem *mem, uint64_t gpa, uint64_t len)
{
    mem_region *region = mem_region_find(mem, gpa);

    if (region == NULL || region->block->readonly ||
        len > region->len - (gpa - region->gpa) ||
        !mem_region_has(region, gpa - region->gpa, MAX(len, 1)))
        return NULL;
    g_atomic_int_set(&region->touched, 1);
    return region->host + (gpa - region->gpa);
}

void vsr_mem_written(vsr_mem *mem, uint64_t gpa, uint64_t len)
{
    if (len > 0)
        mem->engine->dirty_mark(mem->vm, gpa, len);
}

int vsr_mem_discard(vsr_mem *mem, uint64_t gpa, uint64_t len)
{
    if (gpa % MEM_PAGE_BYTES != 0 || len % MEM_PAGE_BYTES != 0)
        return -EINVAL;
    if (len == 0) {
        const mem_region *region = mem_region_find(mem, gpa);

        return region != NULL && !region->block->readonly
                   ? mem_pages_discard(&region->pages, 0, 0)
                   : -EFAULT;
    }
    if (!range_is_ram(mem, gpa, len, true))
        return -EFAULT;
    do {
        const mem_region *region = mem_region_find(mem, gpa);
        uint64_t n = MIN(len, region->len - (gpa - region->gpa));
        int rc = mem_pages_discard(&region->pages, gpa - region->gpa, n);

        if (rc < 0)
            return rc;
        vsr_mem_written(mem, gpa, n);
        gpa += n;
        len -= n;
    } while (len > 0);
    return 0;
}

/* --- the whole --- */

int vsr_mem_clear(vsr_mem *mem)
{
    for (guint i = 0; i < mem->regions->len; i++) {
        mem_region *region = mem->regions->pdata[i];
        int rc;

        /* Spare memory goes with its device's reset. */
        if (region->block->readonly || region->unit != 0)
            continue;
        /* Nobody has written before the first run; after that, the guest. */
        if (g_atomic_int_compare_and_exchange(&region->touched, 0, 1))
            continue;
        rc = mem_pages_clear(&region->pages);
        if (rc < 0)
            return rc;
        mem->engine->dirty_mark(mem->vm, region->gpa, region->len);
    }
    return 0;
}

uint64_t vsr_mem_ram_bytes(const vsr_mem *mem)
{
    uint64_t total = 0;

    for (guint i = 0; i < mem->blocks->len; i++) {
        const mem_block *block = mem->blocks->pdata[i];

        if (!block->readonly && !block->spare)
            total += block->len;
    }
    return total;
}

bool vsr_mem_foreach(vsr_mem *mem, vsr_mem_visit *fn, void *opaque)
{
    const mem_map *map = map_get(mem);

    for (uint32_t i = 0; i < map->n; i++) {
        const mem_region *region = map->region[i];

        if (!fn(region->gpa, region->len, region->block->readonly,
                region->block->fd, region->offset, region->host, opaque))
            return false;
    }
    return true;
}
