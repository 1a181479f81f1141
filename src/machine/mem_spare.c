/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem_spare.c: memory that comes and goes while the guest runs.
 *
 * All of it has its place in our address space from the start, and keeps it as
 * long as the object: a device that was told where a unit is may still write
 * there when it is gone, and harms nobody. For the guest a unit that is not
 * there is like no memory at all. Each unit is one slot of the engine, since no
 * engine can cut a slot in two under running vCPUs.
 *
 * Threads: as mem.h says.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/mem_state.h"

enum { UNITS_MAX = 16384 };

static uint64_t units_of(const mem_region *region)
{
    return region->len / region->unit;
}

bool mem_region_has(const mem_region *region, uint64_t offset, uint64_t len)
{
    if (region->unit == 0 || len == 0)
        return true;
    for (uint64_t i = offset / region->unit;
         i <= (offset + len - 1) / region->unit; i++)
        if (!g_atomic_int_get(&region->there[i]))
            return false;
    return true;
}

static vsr_mem_slot slot_of(const mem_region *region, uint64_t unit)
{
    return (vsr_mem_slot){
        .gpa = region->gpa + unit * region->unit,
        .len = region->unit,
        .host = region->host + unit * region->unit,
    };
}

static void unplug(const vsr_mem *mem, mem_region *region, uint64_t from,
                   uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        const vsr_mem_slot slot = slot_of(region, i);

        if (!g_atomic_int_compare_and_exchange(&region->there[i], 1, 0))
            continue;
        (void)mem->engine->mem_remove(mem->vm, &slot);
        (void)mem_pages_discard(&region->pages, i * region->unit, region->unit);
    }
}

void mem_region_unplug_all(const vsr_mem *mem, mem_region *region)
{
    if (region->unit != 0)
        unplug(mem, region, 0, units_of(region));
}

bool vsr_mem_add_spare(vsr_mem *mem, const char *name, uint64_t gpa,
                       uint64_t len, uint64_t unit,
                       const vsr_mem_options *options, GError **error)
{
    vsr_mem_options own = *options;
    uint64_t max = UNITS_MAX;
    /* An engine counts what others hold as well; the last word is its own. */
    uint64_t used = mem->regions->len;

    if (unit < MEM_PAGE_BYTES || (unit & (unit - 1)) != 0 || gpa % unit != 0 ||
        len % unit != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': 0x%" PRIx64 "+0x%" PRIx64
                        " is not made of blocks of %" PRIu64 " KiB",
                        name, gpa, len, unit / VSR_KIB);
    if (options->page_bytes != 0 || options->locked)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Memory '%s': what is locked or of huge pages cannot "
                        "come and go",
                        name);
    own.prealloc = false;
    own.total = 0;
    if (mem->max_slots != 0)
        max = MIN(max, mem->max_slots - MIN(used, mem->max_slots));
    if (len / unit > max)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': %" PRIu64 " MiB are %" PRIu64
                        " blocks of %" PRIu64 " KiB, at most %" PRIu64
                        " are possible: take larger ones",
                        name, len / VSR_MIB, len / unit, unit / VSR_KIB, max);
    return mem_add(mem, name, gpa, len, false, unit, &own, error);
}

void vsr_mem_remove_spare(vsr_mem *mem, uint64_t gpa)
{
    mem_region *region = mem_region_find(mem, gpa);

    if (region == NULL || region->unit == 0)
        return;
    mem_region_unplug_all(mem, region);
    mem_map_remove(mem, region);
    /* What devices still wrote goes with it; the name is free again. */
    (void)mem_pages_discard(&region->pages, 0, region->len);
    *region->block->name = '\0';
}

/* The units of a range, all of which are as `there` says; NULL: no such range. */
static mem_region *find_range(const vsr_mem *mem, uint64_t gpa, uint64_t len,
                              bool there, uint64_t *from, uint64_t *to)
{
    mem_region *region = mem_region_find(mem, gpa);
    uint64_t offset;

    if (region == NULL || region->unit == 0 || len == 0)
        return NULL;
    offset = gpa - region->gpa;
    if (offset % region->unit != 0 || len % region->unit != 0 ||
        len > region->len - offset)
        return NULL;
    *from = offset / region->unit;
    *to = (offset + len) / region->unit;
    for (uint64_t i = *from; i < *to; i++)
        if ((g_atomic_int_get(&region->there[i]) != 0) != there)
            return NULL;
    return region;
}

int vsr_mem_plug(vsr_mem *mem, uint64_t gpa, uint64_t len)
{
    uint64_t from, to;
    mem_region *region = find_range(mem, gpa, len, false, &from, &to);

    if (region == NULL)
        return -EINVAL;
    /* What a device wrote there after it had gone. */
    (void)mem_pages_discard(&region->pages, gpa - region->gpa, len);
    for (uint64_t i = from; i < to; i++) {
        const vsr_mem_slot slot = slot_of(region, i);
        int rc = mem->engine->mem_add(mem->vm, &slot);

        if (rc < 0) {
            unplug(mem, region, from, i);
            return rc;
        }
        g_atomic_int_set(&region->there[i], 1);
    }
    return 0;
}

int vsr_mem_unplug(vsr_mem *mem, uint64_t gpa, uint64_t len)
{
    uint64_t from, to;
    mem_region *region = find_range(mem, gpa, len, true, &from, &to);

    if (region == NULL)
        return -EINVAL;
    unplug(mem, region, from, to);
    return 0;
}

uint64_t vsr_mem_plugged(vsr_mem *mem, uint64_t gpa, uint64_t len)
{
    const mem_region *region = mem_region_find(mem, gpa);
    uint64_t n = 0;

    if (region == NULL || region->unit == 0 || len == 0 ||
        len > region->len - (gpa - region->gpa))
        return 0;
    for (uint64_t i = (gpa - region->gpa) / region->unit;
         i <= (gpa - region->gpa + len - 1) / region->unit; i++)
        n += g_atomic_int_get(&region->there[i]) != 0;
    return n * region->unit;
}
