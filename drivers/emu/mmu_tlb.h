/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mmu_tlb.h: between the MMU's own files. */
#ifndef VSR_DRIVERS_EMU_MMU_TLB_H
#define VSR_DRIVERS_EMU_MMU_TLB_H

#include "drivers/emu/emu_engine.h"
#include "drivers/emu/mmu.h"

/* The first space, empty; and the end of all others. */
void emu_tlb_init(emu_cpu *cpu);
void emu_tlb_fini(emu_cpu *cpu);

static inline unsigned emu_tlb_index(uint64_t la)
{
    return (la >> EMU_PAGE_SHIFT) & (EMU_TLB_ENTRIES - 1);
}

static inline void emu_tlb_clear_tags(emu_tlb_entry *e)
{
    e->read_tag = EMU_TLB_NONE;
    e->write_tag = EMU_TLB_NONE;
    e->exec_tag = EMU_TLB_NONE;
}

static inline void emu_tlb_drop(emu_tlb_space *space, unsigned set, unsigned i)
{
    emu_tlb_clear_tags(&space->sets[set][i]);
    space->info[set][i].page = EMU_TLB_NONE;
}

/* Bit of emu_tlb_space.code_seen; `shift`: log2 of the size of the page that
 * maps `la`. */
static inline unsigned emu_code_hash(uint64_t la, unsigned shift)
{
    uint64_t page = la >> shift;

    return (page ^ page >> 12 ^ page >> 24 ^ shift * 97) &
           (EMU_CODE_SEEN_BITS - 1);
}

/*
 * The page of `la` as `access` of set `set` may use it: from the info array, or
 * by a walk that fills the entry. Raises #PF, or #GP/#SS if not canonical.
 */
const emu_tlb_info *emu_tlb_page(emu_cpu *cpu, const emu_insn *insn,
                                 uint64_t la, emu_access access, unsigned set);

/* The set that explicit data accesses use now. */
static inline unsigned emu_tlb_set(const emu_cpu *cpu)
{
    return (unsigned)(cpu->tlb - cpu->space->sets[0]) / EMU_TLB_ENTRIES;
}

/* Bytes of `info`'s page were written by this vCPU, or are about to be (then
 * true must keep the caller from doing so): dirty log, write tag. True when the
 * page has decoded code of some vCPU. `info` may be a copy. */
bool emu_tlb_write_page(emu_cpu *cpu, const emu_tlb_info *info);

/* Write tags of the guest physical page go: it has code now. */
void emu_tlb_protect_page(emu_cpu *cpu, uint64_t gpa);

static inline uint64_t emu_slot_page(const emu_slot *slot, uint64_t gpa)
{
    return (gpa - slot->gpa) >> EMU_PAGE_SHIFT;
}

/* DR7 watches data in the page of `la`: no fast path for it. */
bool emu_watched_page(const emu_cpu *cpu, uint64_t la);
/* Notes in dr6_pending the breakpoints that the access hits. */
void emu_watch_access(emu_cpu *cpu, uint64_t la, unsigned len, bool write);
void emu_watch_io(emu_cpu *cpu, uint16_t port, unsigned size);

#endif
