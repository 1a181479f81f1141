/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_cache.c: finding, keeping and dropping decoded blocks.
 *
 * Blocks and page records are cut from one arena per vCPU, front to back; when
 * it is full everything is dropped and decoding starts anew. Each page record
 * has a bitmap of the 64-byte lines that hold decoded code, so that data beside
 * code costs one test a write.
 *
 * Threads: see block_cache.h.
 */
#include "drivers/emu/block_cache.h"

#include <sys/mman.h>

#include "drivers/emu/block_build.h"
#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_exec_flow.h"
#include "drivers/emu/mmu.h"

enum {
    ARENA_SINGLE = 12 << 20, /* the VM's only vCPU */
    ARENA_ALL = 16 << 20,    /* of several: all together, as far as the */
    ARENA_MIN = 1 << 20,     /* least that makes sense for each allows */
    HASH_BITS = 16,          /* the most; see hash_shift */
    PAGE_HASH_BITS = 10,
    POSTED_MAX = 32,
    /* A page whose code keeps changing stays marked, up to so many writes in
     * a row that meet no code. */
    KILLS_CHEAP = 8,
    IDLE_WRITES_MAX = 256,
};

typedef struct code_page {
    uint64_t gpa;
    struct code_page *hash_next;
    emu_block *blocks; /* that start here */
    emu_block *tails;  /* that started in another page and reach in here */
    uint64_t lines;    /* bit n: code in bytes n*64 .. n*64+63 */
    uint32_t kills;
    uint32_t idle_writes;
    bool marked; /* emu_code_mark() */
} code_page;

typedef struct {
    uint64_t gpa, len;
} gpa_range;

struct emu_blocks {
    emu_cpu *cpu;
    unsigned features;      /* EMU_DECODE_* */
    unsigned hash_shift;    /* smaller arenas use less of the table */
    uint64_t generation[2]; /* of other pages' links, of global pages' */
    uint64_t generations;   /* the last one given out */
    uint64_t over;          /* up to here they are over for good */

    uint8_t *arena; /* ARENA_SINGLE bytes of address space */
    size_t arena_used;
    bool clear_wanted; /* emu_blocks_clear() came while a block was running */

    emu_blocks_stats stats;

    atomic_bool any_posted;
    GMutex post_lock; /* guards the three below */
    gpa_range posted[POSTED_MAX];
    unsigned n_posted;
    bool posted_all;

    emu_link no_link; /* what cpu->ret_ring points to when empty */
    emu_link jump[EMU_JUMP_CACHE_SIZE];
    emu_block *hash[1 << HASH_BITS];
    code_page *pages[1 << PAGE_HASH_BITS];

    /* Code outside of RAM is decoded each time, into this. */
    _Alignas(32) uint8_t scratch[EMU_BLOCK_BYTES_MAX];
};

static size_t arena_size(const emu_blocks *blocks)
{
    const emu_cpu *cpu = blocks->cpu;

    if (cpu->lock_free)
        return ARENA_SINGLE;
    return CLAMP((size_t)ARENA_ALL / cpu->vm->max_vcpus, (size_t)ARENA_MIN,
                 (size_t)ARENA_SINGLE);
}

static void *arena_take(emu_blocks *blocks, size_t len)
{
    void *p = blocks->arena + blocks->arena_used;

    blocks->arena_used += (len + 31) & ~(size_t)31;
    return p;
}

static emu_block **bucket_of(emu_blocks *blocks, uint64_t gpa, uint32_t key)
{
    uint64_t h = (gpa ^ (uint64_t)key << 40) * UINT64_C(0x9e3779b97f4a7c15);

    return &blocks->hash[h >> blocks->hash_shift];
}

static code_page **page_bucket(emu_blocks *blocks, uint64_t gpa)
{
    return &blocks->pages[(gpa >> EMU_PAGE_SHIFT ^ gpa >> 22) &
                          ((1 << PAGE_HASH_BITS) - 1)];
}

static code_page *page_find(emu_blocks *blocks, uint64_t gpa)
{
    code_page *page = *page_bucket(blocks, gpa);

    while (page != NULL && page->gpa != gpa)
        page = page->hash_next;
    return page;
}

/* Lines of bytes first .. end-1 of a page. */
static uint64_t lines_of(unsigned first, unsigned end)
{
    unsigned low = first / 64, high = (end - 1) / 64;

    return (~UINT64_C(0) << low) & (~UINT64_C(0) >> (63 - high));
}

/* The bytes of `block` in its first (0) or second (1) page. */
static void extent(const emu_block *block, unsigned which, unsigned *first,
                   unsigned *end)
{
    unsigned start = block->gpa & ~EMU_PAGE_MASK;
    unsigned stop = start + block->len;

    *first = which == 0 ? start : 0;
    *end = which == 0 ? MIN(stop, EMU_PAGE_SIZE) : stop - EMU_PAGE_SIZE;
}

static void forget_returns(emu_blocks *blocks)
{
    for (unsigned i = 0; i < EMU_RET_RING; i++)
        blocks->cpu->ret_ring[i] = &blocks->no_link;
}

/* --- construction --- */

static unsigned features_of(const vsr_cpuid *cpuid)
{
    unsigned features = 0;

    for (uint32_t i = 0; i < cpuid->n && i < VSR_CPUID_ROWS_MAX; i++) {
        const vsr_cpuid_row *row = &cpuid->row[i];

        if (row->leaf == 7 && row->subleaf == 0 && row->ebx & 1u << 3)
            features |= EMU_DECODE_BMI1;
        if (row->leaf == 0x80000001 && row->ecx & 1u << 5)
            features |= EMU_DECODE_LZCNT;
    }
    return features;
}

emu_blocks *emu_blocks_new(emu_cpu *cpu)
{
    emu_blocks *blocks = mmap(NULL, sizeof *blocks, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (blocks == MAP_FAILED)
        return NULL;
    blocks->arena = mmap(NULL, ARENA_SINGLE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (blocks->arena == MAP_FAILED) {
        munmap(blocks, sizeof *blocks);
        return NULL;
    }
    blocks->cpu = cpu;
    blocks->features = features_of(&cpu->cpuid);
    blocks->hash_shift = 64 - (cpu->lock_free ? HASH_BITS : HASH_BITS - 3);
    /* No key is ever 0, which is what an empty link has. */
    blocks->generation[0] = blocks->generation[1] = 1;
    blocks->generations = 1;
    g_mutex_init(&blocks->post_lock);
    cpu->jump_cache = blocks->jump;
    cpu->pending_link = NULL;
    forget_returns(blocks);
    cpu->link_key[0] = cpu->link_key[1] = EMU_LINK_NEAR;
    return blocks;
}

void emu_blocks_free(emu_blocks *blocks)
{
    if (blocks == NULL)
        return;
    g_mutex_clear(&blocks->post_lock);
    munmap(blocks->arena, ARENA_SINGLE);
    munmap(blocks, sizeof *blocks);
}

void emu_blocks_get_stats(const emu_blocks *blocks, emu_blocks_stats *out)
{
    *out = blocks->stats;
    out->arena_used = blocks->arena_used;
    out->arena_size = arena_size(blocks);
}

/* --- dropping --- */

static void set_link_keys(emu_blocks *blocks, uint32_t key)
{
    for (unsigned i = 0; i < 2; i++)
        blocks->cpu->link_key[i] =
            blocks->generation[i] << 17 | (uint64_t)key << 1 | i;
}

static uint32_t current_key(const emu_blocks *blocks)
{
    return blocks->cpu->link_key[0] >> 1 & 0xffff;
}

void emu_blocks_unlink_local(emu_blocks *blocks)
{
    blocks->stats.unlinks++;
    blocks->generation[0] = ++blocks->generations;
    set_link_keys(blocks, current_key(blocks));
}

void emu_blocks_unlink(emu_blocks *blocks)
{
    blocks->over = blocks->generations;
    blocks->generation[1] = ++blocks->generations;
    emu_blocks_unlink_local(blocks);
}

uint64_t emu_blocks_generation(const emu_blocks *blocks)
{
    return blocks->generation[0];
}

void emu_blocks_resume(emu_blocks *blocks, uint64_t generation)
{
    if (generation <= blocks->over) {
        emu_blocks_unlink_local(blocks);
        return;
    }
    blocks->generation[0] = generation;
    set_link_keys(blocks, current_key(blocks));
}

static void make_stale(emu_block *block)
{
    for (unsigned i = 0; i < block->slots; i++)
        block->insn[i].exec = emu_exec_stale;
}

static void list_remove(emu_block **list, emu_block *block, unsigned which)
{
    while (*list != NULL && *list != block)
        list = &(*list)->page_next[which];
    if (*list != NULL)
        *list = block->page_next[which];
}

/* Near links of the page's blocks that lead to `dead`. */
static void links_remove(code_page *page, const emu_block *dead)
{
    for (emu_block *b = page->blocks; b != NULL; b = b->page_next[0]) {
        emu_link *links = emu_block_links(b);

        for (unsigned i = 0; i < b->n_links; i++)
            if (links[i].block == dead && links[i].key == EMU_LINK_NEAR)
                links[i].block = NULL;
    }
}

static void kill_block(emu_blocks *blocks, emu_block *block)
{
    emu_block **at = bucket_of(blocks, block->gpa, block->key);
    code_page *page = page_find(blocks, block->gpa & EMU_PAGE_MASK);

    while (*at != NULL && *at != block)
        at = &(*at)->hash_next;
    if (*at != NULL)
        *at = block->hash_next;
    if (page != NULL) {
        list_remove(&page->blocks, block, 0);
        links_remove(page, block);
    }
    if (block->gpa2 != EMU_BLOCK_NONE) {
        code_page *second = page_find(blocks, block->gpa2);

        if (second != NULL)
            list_remove(&second->tails, block, 1);
    }
    block->gpa = EMU_BLOCK_NONE;
    make_stale(block);
    blocks->stats.killed++;
}

static void unmark(emu_blocks *blocks, code_page *page)
{
    if (page->marked) {
        page->marked = false;
        emu_code_unmark(blocks->cpu, page->gpa);
    }
}

/* Lines that still hold code; a page without any need not be watched. */
static void recount(emu_blocks *blocks, code_page *page)
{
    unsigned first, end;

    page->lines = 0;
    for (emu_block *b = page->blocks; b != NULL; b = b->page_next[0]) {
        extent(b, 0, &first, &end);
        page->lines |= lines_of(first, end);
    }
    for (emu_block *b = page->tails; b != NULL; b = b->page_next[1]) {
        extent(b, 1, &first, &end);
        page->lines |= lines_of(first, end);
    }
    if (page->lines == 0 && page->kills < KILLS_CHEAP)
        unmark(blocks, page);
}

static bool kill_in_list(emu_blocks *blocks, emu_block *list, unsigned which,
                         unsigned from, unsigned to)
{
    bool any = false;

    for (emu_block *b = list, *next; b != NULL; b = next) {
        unsigned first, end;

        next = b->page_next[which];
        extent(b, which, &first, &end);
        if (first < to && from < end) {
            kill_block(blocks, b);
            any = true;
        }
    }
    return any;
}

/* Bytes from .. to-1 of the page changed. */
static void page_written(emu_blocks *blocks, code_page *page, unsigned from,
                         unsigned to)
{
    bool any;

    if (!(page->lines & lines_of(from, to))) {
        if (page->lines == 0 && ++page->idle_writes > IDLE_WRITES_MAX)
            unmark(blocks, page);
        return;
    }
    any = kill_in_list(blocks, page->blocks, 0, from, to);
    any |= kill_in_list(blocks, page->tails, 1, from, to);
    if (!any)
        return;
    page->kills++;
    page->idle_writes = 0;
    recount(blocks, page);
}

void emu_blocks_written(emu_blocks *blocks, uint64_t gpa, uint64_t len)
{
    if (len / EMU_PAGE_SIZE > 1 << PAGE_HASH_BITS) {
        for (unsigned i = 0; i < 1 << PAGE_HASH_BITS; i++)
            for (code_page *p = blocks->pages[i]; p != NULL; p = p->hash_next)
                if (p->gpa + EMU_PAGE_SIZE > gpa && p->gpa - gpa < len)
                    page_written(blocks, p, 0, EMU_PAGE_SIZE);
        return;
    }
    while (len > 0) {
        unsigned from = gpa & ~EMU_PAGE_MASK;
        unsigned n = (unsigned)MIN(len, (uint64_t)EMU_PAGE_SIZE - from);
        code_page *page = page_find(blocks, gpa & EMU_PAGE_MASK);

        if (page != NULL)
            page_written(blocks, page, from, from + n);
        gpa += n;
        len -= n;
    }
}

void emu_blocks_clear(emu_blocks *blocks)
{
    emu_cpu *cpu = blocks->cpu;

    emu_blocks_unlink(blocks);
    if (cpu->block != NULL) {
        /* A handler is on the stack: end its block, do the rest after. */
        blocks->clear_wanted = true;
        make_stale(cpu->block);
        return;
    }
    blocks->clear_wanted = false;
    for (unsigned i = 0; i < 1 << PAGE_HASH_BITS; i++)
        for (code_page *p = blocks->pages[i]; p != NULL; p = p->hash_next)
            unmark(blocks, p);
    memset(blocks->pages, 0, sizeof blocks->pages);
    memset(blocks->hash, 0, sizeof blocks->hash);
    memset(blocks->jump, 0, sizeof blocks->jump);
    cpu->pending_link = NULL;
    forget_returns(blocks);
    blocks->arena_used = 0;
    blocks->stats.clears++;
}

void emu_blocks_post(emu_blocks *blocks, uint64_t gpa, uint64_t len)
{
    g_mutex_lock(&blocks->post_lock);
    if (blocks->n_posted < POSTED_MAX)
        blocks->posted[blocks->n_posted++] = (gpa_range){ gpa, len };
    else
        blocks->posted_all = true;
    g_mutex_unlock(&blocks->post_lock);
    atomic_store(&blocks->any_posted, true);
    atomic_fetch_or(&blocks->cpu->exit_request, EMU_EXIT_FLUSH);
}

void emu_blocks_drain(emu_blocks *blocks)
{
    gpa_range ranges[POSTED_MAX];
    unsigned n;
    bool all;

    atomic_store(&blocks->any_posted, false);
    g_mutex_lock(&blocks->post_lock);
    n = blocks->n_posted;
    all = blocks->posted_all;
    memcpy(ranges, blocks->posted, n * sizeof ranges[0]);
    blocks->n_posted = 0;
    blocks->posted_all = false;
    g_mutex_unlock(&blocks->post_lock);

    if (all) {
        emu_blocks_clear(blocks);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        emu_blocks_written(blocks, ranges[i].gpa, ranges[i].len);
}

/* --- finding and building --- */

static code_page *page_get(emu_blocks *blocks, uint64_t gpa)
{
    code_page *page = page_find(blocks, gpa);

    if (page == NULL) {
        code_page **bucket = page_bucket(blocks, gpa);

        page = arena_take(blocks, sizeof *page);
        *page = (code_page){ .gpa = gpa, .hash_next = *bucket };
        *bucket = page;
    }
    /* Before a byte is read: later writes will be reported. */
    if (!page->marked) {
        emu_code_mark(blocks->cpu, gpa);
        page->marked = true;
    }
    return page;
}

/* The second page of a crossing block must be what it was. */
static bool still_valid(emu_cpu *cpu, const emu_block *block, uint64_t la)
{
    uint64_t gpa2;

    if (block->gpa2 == EMU_BLOCK_NONE)
        return true;
    return emu_code_page(cpu, (la | ~EMU_PAGE_MASK) + 1, &gpa2) != NULL &&
           gpa2 == block->gpa2;
}

static emu_block *find(emu_blocks *blocks, uint64_t gpa, uint32_t key,
                       uint64_t la)
{
    emu_block *b = *bucket_of(blocks, gpa, key);

    for (; b != NULL; b = b->hash_next)
        if (b->gpa == gpa && b->key == key && still_valid(blocks->cpu, b, la))
            return b;
    return NULL;
}

static void add(emu_blocks *blocks, emu_block *block, code_page *page)
{
    emu_block **bucket = bucket_of(blocks, block->gpa, block->key);
    unsigned first, end;

    block->hash_next = *bucket;
    *bucket = block;
    block->page_next[0] = page->blocks;
    page->blocks = block;
    extent(block, 0, &first, &end);
    page->lines |= lines_of(first, end);
    if (block->gpa2 != EMU_BLOCK_NONE) {
        code_page *second = page_get(blocks, block->gpa2);

        block->page_next[1] = second->tails;
        second->tails = block;
        extent(block, 1, &first, &end);
        second->lines |= lines_of(first, end);
    }
    blocks->stats.built++;
    blocks->stats.insns += block->count;
}

static emu_block *build(emu_blocks *blocks, uint64_t la, uint64_t gpa,
                        const uint8_t *host, uint32_t key)
{
    emu_cpu *cpu = blocks->cpu;
    emu_build how = {
        .cpu = cpu,
        .la = la,
        .key = key,
        .features = blocks->features,
    };
    code_page *page, *second = NULL;
    emu_block *block;

    if (blocks->arena_used + EMU_BLOCK_BYTES_MAX + 4 * sizeof(code_page) >
        arena_size(blocks))
        emu_blocks_clear(blocks);

    page = page_get(blocks, gpa & EMU_PAGE_MASK);
    block = (emu_block *)(blocks->arena + blocks->arena_used);
    how.host = host;
    how.left = EMU_PAGE_SIZE - (gpa & ~EMU_PAGE_MASK);
    if (!emu_block_build(&how, block)) {
        uint64_t gpa2;

        /* The first instruction crosses: one that stands alone. */
        how.host2 = emu_code_page(cpu, la + how.left, &gpa2);
        if (how.host2 == NULL)
            return NULL;
        second = page_get(blocks, gpa2);
        block = (emu_block *)(blocks->arena + blocks->arena_used);
        emu_block_build(&how, block);
        block->gpa2 = second->gpa;
    }
    block->gpa = gpa;
    arena_take(blocks, emu_block_bytes(block));
    add(blocks, block, page);
    return block;
}

/* Code in a device or across its edge: fetched anew each time, one by one. */
static emu_block *build_scratch(emu_blocks *blocks, uint64_t la, uint32_t key)
{
    emu_block *block = (emu_block *)blocks->scratch;
    uint8_t bytes[EMU_INSN_LEN_MAX];
    emu_build how = {
        .cpu = blocks->cpu,
        .la = la,
        .key = key | EMU_MODE_STEP,
        .features = blocks->features,
        .host = bytes,
    };

    do {
        bytes[how.left] = emu_fetch(blocks->cpu, la + how.left);
        how.left++;
    } while (!emu_block_build(&how, block) && how.left < EMU_INSN_LEN_MAX);
    block->gpa = EMU_BLOCK_NONE;
    return block;
}

static uint64_t linear_of(emu_cpu *cpu, uint64_t rip)
{
    if (cpu->mode & EMU_MODE_CS64) {
        if ((uint64_t)((int64_t)(rip << 16) >> 16) != rip)
            emu_raise_code(cpu, NULL, EMU_GP, 0);
        return rip;
    }
    if (rip > cpu->seg[VSR_X86_CS].limit)
        emu_raise_code(cpu, NULL, EMU_GP, 0);
    return (uint32_t)(cpu->seg_base[VSR_X86_CS] + rip);
}

/* Is the page that emu_code_page() has just found for `la` a global one, and
 * `block` within it? */
static bool is_global(const emu_cpu *cpu, uint64_t la, const emu_block *block)
{
    unsigned set = cpu->cpl == 3 ? EMU_TLB_USER : EMU_TLB_SUPER;
    const emu_tlb_info *info =
        &cpu->space->info[set][la >> EMU_PAGE_SHIFT & (EMU_TLB_ENTRIES - 1)];

    return info->page == (la & EMU_PAGE_MASK) && info->global &&
           block->gpa2 == EMU_BLOCK_NONE;
}

/* What was found here the last time, if it is the right one still. */
static emu_block *recall(const emu_link *link, uint64_t gpa, uint32_t key)
{
    emu_block *block = link != NULL ? link->block : NULL;

    if (block != NULL && block->gpa == gpa && block->key == key &&
        block->gpa2 == EMU_BLOCK_NONE)
        return block;
    return NULL;
}

emu_block *emu_blocks_get(emu_cpu *cpu, uint64_t rip, bool single)
{
    emu_blocks *blocks = cpu->blocks;
    uint32_t key = emu_block_key(cpu) | (single ? EMU_MODE_STEP : 0);
    uint64_t la = linear_of(cpu, rip);
    emu_link *jump = emu_jump_at(cpu, rip);
    const uint8_t *host;
    emu_block *block;
    uint64_t gpa;

    if (G_UNLIKELY(blocks->clear_wanted))
        emu_blocks_clear(blocks);
    if (G_UNLIKELY(atomic_load(&blocks->any_posted)))
        emu_blocks_drain(blocks);
    set_link_keys(blocks, key);
    if (emu_link_holds(cpu, jump, rip) && jump->block->gpa != EMU_BLOCK_NONE)
        return jump->block;

    blocks->stats.lookups++;
    host = emu_code_page(cpu, la, &gpa);
    if (host == NULL)
        return build_scratch(blocks, la, key);
    gpa |= la & ~EMU_PAGE_MASK;
    block = recall(cpu->pending_link, gpa, key);
    if (block == NULL && jump->rip == rip)
        block = recall(jump, gpa, key);
    if (block == NULL)
        block = find(blocks, gpa, key, la);
    if (block == NULL)
        block = build(blocks, la, gpa, host + (la & ~EMU_PAGE_MASK), key);
    if (block == NULL)
        return build_scratch(blocks, la, key);

    /* Where RIP is not the linear address the cache would need the base. */
    if (key & (EMU_MODE_CS64 | EMU_MODE_FLAT))
        *jump =
            (emu_link){ block, cpu->link_key[is_global(cpu, la, block)], rip };
    return block;
}
