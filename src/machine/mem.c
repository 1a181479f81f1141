/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mem.c: guest RAM: memory of our own or memfds, their mappings, and the map
 * from guest addresses.
 *
 * The map is an immutable array sorted by address. Adding publishes a new one;
 * the old ones live as long as the object, so that a reader needs no lock.
 *
 * Threads: as mem.h says.
 */
#include "machine/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/util.h"

enum { PAGE_BYTES = 4096, HUGE_BYTES = 2 * 1024 * 1024 };

/* One piece of memory. */
typedef struct {
    char *name;
    int fd; /* -1: anonymous, with one region */
    uint64_t len;
    bool readonly;
    vsr_mem_options options;
} mem_block;

/* One mapping of a piece of a block at a guest address. */
typedef struct {
    mem_block *block; /* borrowed */
    uint64_t gpa, len;
    uint64_t offset; /* in the block */
    uint8_t *host;
    bool in_engine;
    gint touched; /* atomic: it may hold more than zeros */
} mem_region;

typedef struct {
    uint32_t n;
    mem_region *region[];
} mem_map;

struct vsr_mem {
    const vsr_engine_ops *engine;
    vsr_engine_vm *vm;
    GPtrArray *blocks;  /* of mem_block, owned */
    GPtrArray *regions; /* of mem_region, owned, in order of creation */
    mem_map *map;       /* atomic; newest */
    GSList *old_maps;   /* of mem_map, owned */
};

static const mem_map *map_get(const vsr_mem *mem)
{
    /* Acquire: pairs with the release in map_publish(). */
    return __atomic_load_n(&mem->map, __ATOMIC_ACQUIRE);
}

static mem_region *region_find(const vsr_mem *mem, uint64_t gpa)
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

    if (region->host != NULL)
        (void)munmap(region->host, region->len);
    g_free(region);
}

vsr_mem *vsr_mem_new(const vsr_engine_ops *engine, vsr_engine_vm *vm)
{
    vsr_mem *mem = g_new0(vsr_mem, 1);

    mem->engine = engine;
    mem->vm = vm;
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
    for (guint i = mem->regions->len; i-- > 0;) {
        const mem_region *region = mem->regions->pdata[i];
        vsr_mem_slot slot = slot_of(region);

        if (region->in_engine)
            (void)mem->engine->mem_remove(mem->vm, &slot);
    }
    g_ptr_array_unref(mem->regions);
    g_ptr_array_unref(mem->blocks);
    g_slist_free_full(mem->old_maps, g_free);
    g_free(mem->map);
    g_free(mem);
}

static void map_publish(vsr_mem *mem, mem_region *added)
{
    mem_map *old = mem->map;
    mem_map *map = g_malloc(sizeof *map + (old->n + 1) * sizeof map->region[0]);
    uint32_t at = 0;

    while (at < old->n && old->region[at]->gpa < added->gpa)
        at++;
    memcpy(map->region, old->region, at * sizeof map->region[0]);
    map->region[at] = added;
    memcpy(map->region + at + 1, old->region + at,
           (old->n - at) * sizeof map->region[0]);
    map->n = old->n + 1;
    mem->old_maps = g_slist_prepend(mem->old_maps, old);
    /* Release: pairs with the acquire in map_get(). */
    __atomic_store_n(&mem->map, map, __ATOMIC_RELEASE);
}

static bool range_check(const vsr_mem *mem, const char *name, uint64_t gpa,
                        uint64_t len, GError **error)
{
    const mem_map *map = map_get(mem);

    if (len == 0 || gpa % PAGE_BYTES != 0 || len % PAGE_BYTES != 0 ||
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

/* A mapping of the block's piece, aligned to 2 MiB so that the host can use
 * huge pages; -errno or 0. */
static int region_mmap(mem_region *region)
{
    uint64_t room = region->len + HUGE_BYTES;
    const mem_block *block = region->block;
    uint8_t *area, *host;
    void *got;

    area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return -errno;
    host = (uint8_t *)vsr_round_up((uintptr_t)area, HUGE_BYTES);
    got = mmap(host, region->len, PROT_READ | PROT_WRITE,
               MAP_FIXED | (block->fd >= 0
                                ? MAP_SHARED
                                : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE),
               block->fd, (off_t)region->offset);
    if (got == MAP_FAILED) {
        int rc = -errno;

        (void)munmap(area, room);
        return rc;
    }
    if (host > area)
        (void)munmap(area, (size_t)(host - area));
    (void)munmap(host + region->len,
                 (size_t)(area + room - (host + region->len)));
    region->host = host;
    /* Advice only; what the host does not know it refuses, and that is fine. */
    if (!block->options.no_thp && !block->options.hugepages)
        (void)madvise(host, region->len, MADV_HUGEPAGE);
    (void)madvise(host, region->len, MADV_DONTDUMP);
    (void)madvise(host, region->len, MADV_DONTFORK);
    return 0;
}

/* fallocate() reports a full host as an error, where touching would be a
 * SIGBUS. */
static int region_populate(const mem_region *region)
{
    const vsr_mem_options *options = &region->block->options;

    if ((options->prealloc || options->locked) && region->block->fd >= 0 &&
        fallocate(region->block->fd, 0, (off_t)region->offset,
                  (off_t)region->len) < 0)
        return -errno;
    if (options->locked && mlock(region->host, region->len) < 0)
        return -errno;
#ifdef MADV_POPULATE_WRITE
    if (options->prealloc && !options->locked)
        (void)madvise(region->host, region->len, MADV_POPULATE_WRITE);
#endif
    return 0;
}

/* Maps, gives to the engine, publishes. */
static bool region_add(vsr_mem *mem, mem_block *block, uint64_t offset,
                       uint64_t gpa, uint64_t len, GError **error)
{
    mem_region *region = g_new0(mem_region, 1);
    vsr_mem_slot slot;
    int rc;

    *region = (mem_region){
        .block = block, .gpa = gpa, .len = len, .offset = offset
    };
    rc = region_mmap(region);
    if (rc == 0)
        rc = region_populate(region);
    if (rc == 0) {
        slot = slot_of(region);
        rc = mem->engine->mem_add(mem->vm, &slot);
    }
    if (rc < 0) {
        region_free(region);
        return vsr_fail_errno(
            error, rc, "Memory '%s': cannot map %" PRIu64 " MiB at 0x%" PRIx64,
            block->name, len / VSR_MIB, gpa);
    }
    region->in_engine = true;
    g_ptr_array_add(mem->regions, region);
    map_publish(mem, region);
    return true;
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

/* Memory is not accounted before it is touched: at least what the host could
 * never hold is refused now. */
static bool host_has(uint64_t len)
{
    struct sysinfo info;

    if (sysinfo(&info) < 0)
        return true;
    return len / info.mem_unit <= (uint64_t)info.totalram + info.totalswap;
}

static bool block_grow(mem_block *block, uint64_t len, GError **error)
{
    if (!block->options.hugepages && !host_has(len))
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "Memory '%s': the host does not have %" PRIu64 " MiB",
                        block->name, len / VSR_MIB);
    if (block->fd >= 0 && ftruncate(block->fd, (off_t)len) < 0)
        return vsr_fail_errno(error, errno, "Memory '%s': %" PRIu64 " MiB",
                              block->name, len / VSR_MIB);
    block->len = len;
    return true;
}

bool vsr_mem_add_ram(vsr_mem *mem, const char *name, uint64_t gpa, uint64_t len,
                     bool readonly, const vsr_mem_options *options,
                     GError **error)
{
    static const vsr_mem_options defaults;
    mem_block *block;
    unsigned flags = MFD_CLOEXEC;

    if (options == NULL)
        options = &defaults;
    if (block_find(mem, name) != NULL)
        return vsr_fail(error, VISOR_ERR_EXISTS, "Memory '%s' exists already",
                        name);
    if (!range_check(mem, name, gpa, len, error))
        return false;
    if (options->hugepages && len % HUGE_BYTES != 0)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': %" PRIu64
                        " bytes are not whole 2 MiB pages",
                        name, len);
    if (options->hugepages)
        flags |= MFD_HUGETLB | MFD_HUGE_2MB;
    block = g_new0(mem_block, 1);
    block->name = g_strdup(name);
    block->options = *options;
    block->readonly = readonly;
    block->fd = -1;
    if (options->shared || options->hugepages) {
        block->fd = memfd_create(name, flags);
        if (block->fd < 0) {
            vsr_fail_errno(error, errno, "Memory '%s'", name);
            block_free(block);
            return false;
        }
    }
    g_ptr_array_add(mem->blocks, block);
    if (block_grow(block, len, error) &&
        region_add(mem, block, 0, gpa, len, error))
        return true;
    g_ptr_array_remove(mem->blocks, block);
    return false;
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
    align = block->options.hugepages ? HUGE_BYTES : PAGE_BYTES;
    if (offset % align != 0 || len % align != 0 || offset > block->len ||
        len > INT64_MAX - offset)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Memory '%s': no piece at offset 0x%" PRIx64, name,
                        offset);
    old_len = block->len;
    if (offset + len > block->len && !block_grow(block, offset + len, error))
        return false;
    if (region_add(mem, block, offset, gpa, len, error))
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
        const mem_region *region = region_find(mem, gpa);
        uint64_t here;

        if (region == NULL || (write && region->block->readonly))
            return false;
        here = region->len - (gpa - region->gpa);
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
        const mem_region *region = region_find(mem, gpa);
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
        mem_region *region = region_find(mem, gpa);
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
    mem_region *region = region_find(mem, gpa);

    if (region == NULL || region->block->readonly ||
        len > region->len - (gpa - region->gpa))
        return NULL;
    g_atomic_int_set(&region->touched, 1);
    return region->host + (gpa - region->gpa);
}

void vsr_mem_written(vsr_mem *mem, uint64_t gpa, uint64_t len)
{
    if (len > 0)
        mem->engine->dirty_mark(mem->vm, gpa, len);
}

/* --- the whole --- */

/* Back to zeros; what was to be in memory beforehand stays there. */
static int region_clear(const mem_region *region)
{
    const mem_block *block = region->block;

    if (block->options.prealloc || block->options.locked)
        memset(region->host, 0, region->len);
    else if (block->fd < 0)
        return madvise(region->host, region->len, MADV_DONTNEED) < 0 ? -errno
                                                                     : 0;
    else if (fallocate(block->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       (off_t)region->offset, (off_t)region->len) < 0)
        return -errno;
    return 0;
}

int vsr_mem_clear(vsr_mem *mem)
{
    for (guint i = 0; i < mem->regions->len; i++) {
        mem_region *region = mem->regions->pdata[i];
        int rc;

        if (region->block->readonly)
            continue;
        /* Nobody has written before the first run; after that, the guest. */
        if (g_atomic_int_compare_and_exchange(&region->touched, 0, 1))
            continue;
        rc = region_clear(region);
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

        if (!block->readonly)
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
