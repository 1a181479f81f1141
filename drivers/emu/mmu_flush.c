/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmu_flush.c: address spaces of the software TLB, and what invalidates them.
 *
 * A few PCIDs have a space of entries each; one that comes back with the
 * no-flush bit of CR3 finds its entries, and the links between blocks that were
 * made under them: each space has a generation of links of its own (see
 * block_cache.h). The PCID that has been away for longest loses its space to a
 * new one, which a processor may do at any time.
 *
 * A flush of the current space visits the indexes that were used since the last
 * one, so it costs what was filled. Others are only given up (`taken`), and
 * cleaned when they get their next PCID.
 *
 * Spec:    Intel SDM vol. 3A, 4.10 "Caching Translation Information"; vol. 2A,
 *          "INVLPG", "INVPCID".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/mmu_tlb.h"

#include <stdlib.h>

#include "drivers/emu/block_cache.h"
#include "drivers/emu/guest_x86_arch.h"

static unsigned current_pcid(const emu_cpu *cpu)
{
    return cpu->cr4 & EMU_CR4_PCIDE ? cpu->cr3 & EMU_CR3_PCID : 0;
}

/* --- spaces --- */

enum { SPACE_SIZE = (sizeof(emu_tlb_space) + 63) & ~(size_t)63 };

static void init_space(emu_tlb_space *space)
{
    memset(space, 0, sizeof *space);
    for (unsigned set = 0; set < EMU_TLB_SETS; set++)
        for (unsigned i = 0; i < EMU_TLB_ENTRIES; i++)
            emu_tlb_drop(space, set, i);
}

void emu_tlb_init(emu_cpu *cpu)
{
    cpu->spaces[0] = cpu->space = &cpu->first_space;
    init_space(cpu->space);
    cpu->space->taken = true;
    cpu->tlb = cpu->space->sets[EMU_TLB_SUPER];
}

void emu_tlb_fini(emu_cpu *cpu)
{
    for (unsigned n = 1; n < EMU_TLB_SPACES; n++)
        free(cpu->spaces[n]);
}

static emu_tlb_space *find(const emu_cpu *cpu, unsigned pcid)
{
    for (unsigned n = 0; n < EMU_TLB_SPACES; n++) {
        emu_tlb_space *space = cpu->spaces[n];

        if (space != NULL && space->taken && space->pcid == pcid)
            return space;
    }
    return NULL;
}

/* All entries but, if they are to be kept, global ones. */
static void empty(emu_tlb_space *space, bool globals)
{
    for (unsigned set = 0; set < EMU_TLB_SETS; set++) {
        uint32_t kept = 0;

        for (uint32_t n = 0; n < space->n_used[set]; n++) {
            uint16_t i = space->used[set][n];
            emu_tlb_info *info = &space->info[set][i];

            if (!globals && info->page != EMU_TLB_NONE && info->global) {
                space->used[set][kept++] = i;
                continue;
            }
            info->listed = false;
            emu_tlb_drop(space, set, i);
        }
        space->n_used[set] = kept;
    }
    for (unsigned half = 0; half < 2; half++)
        space->has[half] &= globals ? 0 : (uint8_t)~EMU_HAS_LARGE;
}

/* Nothing of it counts from now on. */
static void give_up(emu_tlb_space *space)
{
    space->taken = false;
    space->entered = 0;
    space->links = 0;
}

/* A space for a PCID that has none: a free one, a new one, or that of the PCID
 * that was entered longest ago. */
static emu_tlb_space *take(emu_cpu *cpu, unsigned pcid)
{
    emu_tlb_space *victim = NULL;

    for (unsigned n = 0; n < EMU_TLB_SPACES; n++) {
        emu_tlb_space *space = cpu->spaces[n];

        if (space == NULL) {
            if (victim != NULL && !victim->taken)
                break;
            space = cpu->spaces[n] = aligned_alloc(64, SPACE_SIZE);
            if (space != NULL) {
                init_space(space);
                victim = space;
            }
            break;
        }
        if (space != cpu->space &&
            (victim == NULL || space->entered < victim->entered))
            victim = space;
    }
    if (victim == NULL)
        victim = cpu->space; /* no memory for a second one */
    empty(victim, true);
    memset(victim->code_seen, 0, sizeof victim->code_seen);
    victim->links = 0;
    victim->taken = true;
    victim->pcid = (uint16_t)pcid;
    return victim;
}

static void enter(emu_cpu *cpu, emu_tlb_space *space)
{
    unsigned set = emu_tlb_set(cpu);

    if (space != cpu->space && cpu->blocks != NULL)
        cpu->space->links = emu_blocks_generation(cpu->blocks);
    space->entered = ++cpu->spaces_entered;
    cpu->space = space;
    cpu->tlb = space->sets[set];
    if (cpu->blocks != NULL)
        emu_blocks_resume(cpu->blocks, space->links);
}

void emu_tlb_new_cr3(emu_cpu *cpu, bool keep)
{
    unsigned pcid = current_pcid(cpu);

    if (cpu->space->pcid != pcid) {
        emu_tlb_space *space = find(cpu, pcid);

        enter(cpu, space != NULL ? space : take(cpu, pcid));
    }
    if (!keep)
        emu_tlb_flush(cpu, false);
}

/* --- links --- */

static void unlink_space(emu_cpu *cpu, emu_tlb_space *space)
{
    memset(space->code_seen, 0, sizeof space->code_seen);
    space->links = 0;
    if (space == cpu->space && cpu->blocks != NULL)
        emu_blocks_unlink_local(cpu->blocks);
}

static void unlink_all(emu_cpu *cpu)
{
    memset(cpu->code_seen, 0, sizeof cpu->code_seen);
    for (unsigned n = 0; n < EMU_TLB_SPACES; n++)
        if (cpu->spaces[n] != NULL && cpu->spaces[n]->taken)
            memset(cpu->spaces[n]->code_seen, 0,
                   sizeof cpu->spaces[n]->code_seen);
    if (cpu->blocks != NULL)
        emu_blocks_unlink(cpu->blocks);
}

static bool code_was_seen(const uint64_t *seen, uint64_t la)
{
    static const uint8_t shifts[4] = { EMU_PAGE_SHIFT, 21, 22, 30 };

    for (unsigned i = 0; i < G_N_ELEMENTS(shifts); i++) {
        unsigned h = emu_code_hash(la, shifts[i]);

        if (seen[h / 64] >> (h % 64) & 1)
            return true;
    }
    return false;
}

/* --- flushing --- */

void emu_tlb_flush(emu_cpu *cpu, bool globals)
{
    empty(cpu->space, globals);
    if (!globals) {
        unlink_space(cpu, cpu->space);
        return;
    }
    for (unsigned n = 0; n < EMU_TLB_SPACES; n++)
        if (cpu->spaces[n] != NULL && cpu->spaces[n] != cpu->space)
            give_up(cpu->spaces[n]);
    cpu->space->pcid = (uint16_t)current_pcid(cpu);
    unlink_all(cpu);
}

void emu_tlb_flush_pcid(emu_cpu *cpu, unsigned pcid)
{
    emu_tlb_space *space = find(cpu, pcid);

    if (space == cpu->space)
        emu_tlb_flush(cpu, false);
    else if (space != NULL)
        give_up(space);
}

void emu_tlb_flush_pcids(emu_cpu *cpu)
{
    for (unsigned n = 0; n < EMU_TLB_SPACES; n++)
        if (cpu->spaces[n] != NULL && cpu->spaces[n] != cpu->space)
            give_up(cpu->spaces[n]);
    emu_tlb_flush(cpu, false);
}

/* Every 4 KiB piece of the large page that maps `la`. */
static void drop_large(emu_tlb_space *space, uint64_t la, bool only_global)
{
    for (unsigned set = 0; set < EMU_TLB_SETS; set++) {
        for (uint32_t n = 0; n < space->n_used[set]; n++) {
            uint16_t i = space->used[set][n];
            const emu_tlb_info *info = &space->info[set][i];

            if (info->page != EMU_TLB_NONE && info->shift != EMU_PAGE_SHIFT &&
                (info->page ^ la) >> info->shift == 0 &&
                (info->global || !only_global))
                emu_tlb_drop(space, set, i);
        }
    }
}

static void drop_page(emu_tlb_space *space, uint64_t la, bool only_global)
{
    unsigned large = EMU_HAS_LARGE_GLOBAL | (only_global ? 0 : EMU_HAS_LARGE);
    unsigned i = emu_tlb_index(la);

    for (unsigned set = 0; set < EMU_TLB_SETS; set++) {
        const emu_tlb_info *info = &space->info[set][i];

        if (info->page == (la & EMU_PAGE_MASK) &&
            (info->global || !only_global))
            emu_tlb_drop(space, set, i);
    }
    if (space->has[la >> 63] & large)
        drop_large(space, la, only_global);
}

void emu_tlb_flush_page(emu_cpu *cpu, uint64_t la)
{
    drop_page(cpu->space, la, false);
    for (unsigned n = 0; n < EMU_TLB_SPACES; n++) {
        emu_tlb_space *space = cpu->spaces[n];

        if (space != NULL && space->taken && space != cpu->space &&
            (space->has[la >> 63] & EMU_HAS_GLOBAL))
            drop_page(space, la, true);
    }
    if (code_was_seen(cpu->code_seen, la))
        unlink_all(cpu);
    else if (code_was_seen(cpu->space->code_seen, la))
        unlink_space(cpu, cpu->space);
}

void emu_tlb_flush_pcid_page(emu_cpu *cpu, unsigned pcid, uint64_t la)
{
    emu_tlb_space *space = find(cpu, pcid);

    if (space == NULL)
        return;
    drop_page(space, la, false);
    if (code_was_seen(space->code_seen, la))
        unlink_space(cpu, space);
}
