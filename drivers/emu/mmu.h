/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmu.h: guest memory as instructions see it.
 *
 * Addresses are linear (segment base already added, see emu_ea()). The fast
 * path is one tag compare in the software TLB; everything else (page walk,
 * permissions, MMIO, page-crossing and code pages) is in mmu_slow.c and raises
 * the guest's exception itself by unwinding to the run loop, so a caller sees
 * only success. A handler therefore changes no architectural state before its
 * last access that may fault.
 *
 * Spec: AMD APM vol. 2, chapter 5 "Page Translation and Protection"; Intel SDM
 *       vol. 3A, chapter 4 "Paging".
 * Threads: the vCPU's own; emu_tlb_* that say so are for any thread.
 */
#ifndef VSR_DRIVERS_EMU_MMU_H
#define VSR_DRIVERS_EMU_MMU_H

#include <string.h>

#include "drivers/emu/guest_x86_state.h"

typedef enum {
    EMU_READ,
    EMU_WRITE,
    EMU_EXEC,
    EMU_RMW, /* checked as a write, before any effect */
} emu_access;

/* Slow paths; `size` 1..16 (values up to 8 bytes through the u64 calls). */
uint64_t emu_load_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                       unsigned size);
void emu_store_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                    unsigned size, uint64_t value);
/* The host address of `size` bytes at `la` for `access`, or NULL when the
 * bytes are MMIO, cross a page, or lie in a page with decoded code (for
 * writes): then use load and store. Permissions are checked either way, so a
 * store after a NULL from EMU_RMW cannot page-fault. */
void *emu_host_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                    unsigned size, emu_access access);

static inline emu_tlb_entry *emu_tlb_at(emu_cpu *cpu, uint64_t la)
{
    return &cpu->tlb[(la >> EMU_PAGE_SHIFT) & (EMU_TLB_ENTRIES - 1)];
}

/* An access that crosses into the next page can match no tag. */
static inline void *emu_host_r(emu_cpu *cpu, uint64_t la, unsigned size)
{
    const emu_tlb_entry *e = emu_tlb_at(cpu, la);

    if (G_LIKELY(((la + size - 1) & EMU_PAGE_MASK) == e->read_tag))
        return (void *)(uintptr_t)(la + e->addend);
    return NULL;
}

static inline void *emu_host_w(emu_cpu *cpu, uint64_t la, unsigned size)
{
    const emu_tlb_entry *e = emu_tlb_at(cpu, la);

    if (G_LIKELY(((la + size - 1) & EMU_PAGE_MASK) == e->write_tag))
        return (void *)(uintptr_t)(la + e->addend);
    return NULL;
}

#define EMU_MEM_ACCESSORS(bits)                                                \
    static inline uint##bits##_t emu_load##bits(                               \
        emu_cpu *cpu, const emu_insn *insn, uint64_t la)                       \
    {                                                                          \
        const void *p = emu_host_r(cpu, la, (bits) / 8);                       \
        uint##bits##_t v;                                                      \
                                                                               \
        if (G_UNLIKELY(p == NULL))                                             \
            return (uint##bits##_t)emu_load_slow(cpu, insn, la, (bits) / 8);   \
        memcpy(&v, p, sizeof v);                                               \
        return v;                                                              \
    }                                                                          \
                                                                               \
    static inline void emu_store##bits(emu_cpu *cpu, const emu_insn *insn,     \
                                       uint64_t la, uint##bits##_t v)          \
    {                                                                          \
        void *p = emu_host_w(cpu, la, (bits) / 8);                             \
                                                                               \
        if (G_UNLIKELY(p == NULL))                                             \
            emu_store_slow(cpu, insn, la, (bits) / 8, v);                      \
        else                                                                   \
            memcpy(p, &v, sizeof v);                                           \
    }                                                                          \
                                                                               \
    /* For read-modify-write: NULL means "use load and store". */              \
    static inline uint##bits##_t *emu_rmw##bits(                               \
        emu_cpu *cpu, const emu_insn *insn, uint64_t la)                       \
    {                                                                          \
        void *p = emu_host_w(cpu, la, (bits) / 8);                             \
                                                                               \
        if (G_UNLIKELY(p == NULL))                                             \
            p = emu_host_slow(cpu, insn, la, (bits) / 8, EMU_RMW);             \
        return p;                                                              \
    }

EMU_MEM_ACCESSORS(8)
EMU_MEM_ACCESSORS(16)
EMU_MEM_ACCESSORS(32)
EMU_MEM_ACCESSORS(64)
#undef EMU_MEM_ACCESSORS

/* Whole XMM registers and other byte runs up to 4096 bytes (FXSAVE, XSAVE).
 * write: both pages are checked before the first byte changes. */
void emu_load_bytes(emu_cpu *cpu, const emu_insn *insn, uint64_t la, void *to,
                    unsigned len);
void emu_store_bytes(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                     const void *from, unsigned len);

/*
 * String instructions: the longest run of bytes at `la`, at most `max`, that is
 * plain RAM within one page and may be accessed so. 0: go element by element
 * (MMIO, a page with code, or a crossing element). Raises the fault of the
 * first byte. `backward`: the run ends at la + unit - 1 and grows downwards.
 */
unsigned emu_host_run(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                      unsigned max, emu_access access, uint8_t **host);

/*
 * LOCKed access that has no single host pointer (crosses a page, MMIO, code
 * page): take this lock around load and store. One lock for the VM; plain
 * LOCKed accesses through a host pointer use host atomics and do not take it.
 */
void emu_split_lock(emu_cpu *cpu);
void emu_split_unlock(emu_cpu *cpu);

/* As a privilege-0 access whatever CPL is (descriptor tables, TSS, IDT). */
uint64_t emu_sys_load(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                      unsigned size);
void emu_sys_store(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                   unsigned size, uint64_t value);

/* As an access of privilege `cpl`, without alignment checks (stack frames). */
uint64_t emu_load_as(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                     unsigned size, unsigned cpl);
void emu_store_as(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                  unsigned size, uint64_t value, unsigned cpl);

/*
 * Where code is: the host address of the page of linear `rip` for execution,
 * with the guest physical page in *gpa. NULL: not RAM (the block builder then
 * fetches byte by byte with emu_fetch). Raises #PF.
 */
const uint8_t *emu_code_page(emu_cpu *cpu, uint64_t rip, uint64_t *gpa);
/* One byte of code at linear `la`, also from MMIO. Raises #PF as of
 * regs[EMU_REG_RIP], as emu_code_page() does. */
uint8_t emu_fetch(emu_cpu *cpu, uint64_t la);

/* --- the page walk (mmu_walk.c) --- */
typedef struct {
    uint64_t gpa;  /* of the 4 KiB page */
    uint8_t prot;  /* EMU_PROT_* that hold without another walk */
    uint8_t shift; /* log2 of the mapping's size */
    bool global;
} emu_walk;
/* Translates for one of the EMU_TLB_* sets; sets A, and D for writes. False: a
 * page fault with *error, nothing else changed than A bits on the way. */
bool emu_walk_page(emu_cpu *cpu, uint64_t la, emu_access access, unsigned set,
                   emu_walk *out, uint32_t *error);

/* --- TLB maintenance: own thread only (mmu_flush.c) --- */
/* globals: everything of every PCID, also when CR3 was changed without
 * emu_tlb_new_cr3(). Else what is not global of the current PCID. */
void emu_tlb_flush(emu_cpu *cpu, bool globals);
void emu_tlb_flush_page(emu_cpu *cpu, uint64_t la); /* as INVLPG */
/* CR3 was written: go to the space of its PCID; `keep` what is cached there. */
void emu_tlb_new_cr3(emu_cpu *cpu, bool keep);
/* INVPCID: one page of a PCID, all of a PCID, all of all; no global pages. */
void emu_tlb_flush_pcid_page(emu_cpu *cpu, unsigned pcid, uint64_t la);
void emu_tlb_flush_pcid(emu_cpu *cpu, unsigned pcid);
void emu_tlb_flush_pcids(emu_cpu *cpu);
/* CR0, CR4, EFER, CPL or EFLAGS.AC changed: choose the set, flush if needed. */
void emu_mmu_mode_changed(emu_cpu *cpu);

/*
 * Code tracking, for block_cache.c. Marking makes every vCPU's writes to the
 * page take the slow path before it returns; the slow path calls
 * emu_blocks_written() (block_cache.h) of every vCPU that marked the page.
 */
void emu_code_mark(emu_cpu *cpu, uint64_t gpa_page);
void emu_code_unmark(emu_cpu *cpu, uint64_t gpa_page);

#endif
