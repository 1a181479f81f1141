/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmu_walk.c: linear to guest physical addresses, by the guest's page tables.
 *
 * Spec:    AMD APM vol. 2, 5.2 "Legacy-Mode Page Translation", 5.3 "Long-Mode
 *          Page Translation", 5.4 "Page-Translation-Table Entry Fields";
 *          Intel SDM vol. 3A, 4.6 "Access Rights", 4.7 "Page-Fault Exceptions".
 * Threads: the vCPU's own. Entries are changed by compare-and-swap, since other
 *          vCPUs walk and write the same tables.
 */
#include "drivers/emu/emu_engine.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/mmu.h"

enum {
    PTE_P = 1 << 0,
    PTE_W = 1 << 1,
    PTE_U = 1 << 2,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
};
#define PTE_NX   (UINT64_C(1) << 63)
#define PTE_ADDR UINT64_C(0x000ffffffffff000)

/* Page-fault error code. */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* A walk on its way down. */
typedef struct {
    emu_cpu *cpu;
    bool user;     /* all levels so far allow user access */
    bool write;    /* likewise writes */
    bool nx;       /* one level forbade execution */
    bool for_user; /* the access is a user's */
    emu_access access;
    uint32_t error;
} walk;

/* The host address of a page-table entry, NULL outside of RAM and ROM. */
static void *entry_at(walk *w, uint64_t gpa, emu_slot **slot)
{
    *slot = emu_slot_find(w->cpu->vm, gpa);
    return *slot ? (*slot)->host + (gpa - (*slot)->gpa) : NULL;
}

/* Tables outside of memory read as all ones: a reserved-bit fault. */
static uint64_t entry_read(walk *w, uint64_t gpa, unsigned size)
{
    emu_slot *slot;
    void *p = entry_at(w, gpa, &slot);

    if (p == NULL)
        return size == 8 ? ~UINT64_C(0) : 0xffffffff;
    return size == 8 ? __atomic_load_n((uint64_t *)p, __ATOMIC_RELAXED)
                     : __atomic_load_n((uint32_t *)p, __ATOMIC_RELAXED);
}

/* Sets A or D bits if the entry still is `old`. False: it changed meanwhile,
 * walk again. */
static bool entry_mark(walk *w, uint64_t gpa, unsigned size, uint64_t old,
                       uint64_t bits)
{
    emu_slot *slot;
    void *p;
    bool same;

    if ((old & bits) == bits)
        return true;
    p = entry_at(w, gpa, &slot);
    if (p == NULL || slot->readonly)
        return true;
    if (size == 8) {
        uint64_t was = old;

        same =
            __atomic_compare_exchange_n((uint64_t *)p, &was, old | bits, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    } else {
        uint32_t was = (uint32_t)old;

        same = __atomic_compare_exchange_n((uint32_t *)p, &was,
                                           (uint32_t)(old | bits), false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    if (same)
        emu_ram_written(w->cpu->vm, slot, gpa, size);
    return same;
}

static bool nx_enabled(const emu_cpu *cpu)
{
    return (cpu->cr4 & EMU_CR4_PAE) && (cpu->efer & EMU_EFER_NXE);
}

static bool fault(walk *w, uint32_t cause)
{
    const emu_cpu *cpu = w->cpu;

    w->error = cause;
    if (w->access == EMU_WRITE || w->access == EMU_RMW)
        w->error |= PF_W;
    if (w->for_user)
        w->error |= PF_U;
    if (w->access == EMU_EXEC && (nx_enabled(cpu) || (cpu->cr4 & EMU_CR4_SMEP)))
        w->error |= PF_I;
    return false;
}

/* What set `set` may do with a page of these rights; D decides about writes
 * without another walk. */
static uint8_t rights(const walk *w, unsigned set)
{
    const emu_cpu *cpu = w->cpu;
    uint8_t prot = 0;

    if (set == EMU_TLB_USER) {
        if (!w->user)
            return 0;
        prot = EMU_PROT_R | (w->write ? EMU_PROT_W : 0);
        return prot | (w->nx ? 0 : EMU_PROT_X);
    }
    if (!w->user || !(cpu->cr4 & EMU_CR4_SMAP) || set == EMU_TLB_SUPER_AC) {
        prot = EMU_PROT_R;
        if (w->write || !(cpu->cr0 & EMU_CR0_WP))
            prot |= EMU_PROT_W;
    }
    if (!w->nx && !(w->user && (cpu->cr4 & EMU_CR4_SMEP)))
        prot |= EMU_PROT_X;
    return prot;
}

static uint8_t needed(emu_access access)
{
    switch (access) {
    case EMU_READ:
        return EMU_PROT_R;
    case EMU_EXEC:
        return EMU_PROT_X;
    case EMU_WRITE:
    case EMU_RMW:
        break;
    }
    return EMU_PROT_W;
}

/*
 * The last level: `entry` at `at` maps a page of 1 << shift bytes at `base`.
 * 0: page fault; 1: done; -1: the entry changed under us.
 */
static int leaf(walk *w, uint64_t la, unsigned set, uint64_t at, unsigned size,
                uint64_t entry, uint64_t base, unsigned shift, emu_walk *out)
{
    uint8_t prot = rights(w, set);
    bool writing = w->access == EMU_WRITE || w->access == EMU_RMW;
    uint64_t bits = PTE_A | (writing ? PTE_D : 0);

    if ((prot & needed(w->access)) == 0)
        return fault(w, PF_P);
    if (!entry_mark(w, at, size, entry, bits))
        return -1;
    if (!((entry | bits) & PTE_D))
        prot &= (uint8_t)~EMU_PROT_W;
    out->prot = prot;
    out->shift = (uint8_t)shift;
    out->global = (entry & PTE_G) && (w->cpu->cr4 & EMU_CR4_PGE);
    out->gpa = (base | (la & ((UINT64_C(1) << shift) - 1))) & EMU_PAGE_MASK;
    return 1;
}

/* An upper level's rights add to what is below; A is set on the way. */
static int through(walk *w, uint64_t at, unsigned size, uint64_t entry)
{
    if (!(entry & PTE_U))
        w->user = false;
    if (!(entry & PTE_W))
        w->write = false;
    return entry_mark(w, at, size, entry, PTE_A) ? 1 : -1;
}

/* 32-bit paging: two levels, 4 MiB pages with PSE (PSE-36 addresses). */
static int walk_32(walk *w, uint64_t la, unsigned set, emu_walk *out)
{
    const emu_cpu *cpu = w->cpu;
    uint64_t at = (cpu->cr3 & 0xfffff000) + ((la >> 22) & 0x3ff) * 4;
    uint64_t entry = entry_read(w, at, 4);
    int rc;

    if (!(entry & PTE_P))
        return fault(w, 0);
    if ((entry & PTE_PS) && (cpu->cr4 & EMU_CR4_PSE)) {
        uint64_t base = (entry & 0xffc00000) | (entry & 0x1fe000) << 19;

        /* Bit 21, and address bits this CPU does not have. */
        if ((entry & (1u << 21)) || (base & ~cpu->phys_mask))
            return fault(w, PF_P | PF_RSVD);
        w->user = entry & PTE_U;
        w->write = entry & PTE_W;
        return leaf(w, la, set, at, 4, entry, base, 22, out);
    }
    rc = through(w, at, 4, entry);
    if (rc <= 0)
        return rc;

    at = (entry & 0xfffff000) + ((la >> 12) & 0x3ff) * 4;
    entry = entry_read(w, at, 4);
    if (!(entry & PTE_P))
        return fault(w, 0);
    w->user &= (entry & PTE_U) != 0;
    w->write &= (entry & PTE_W) != 0;
    return leaf(w, la, set, at, 4, entry, entry & 0xfffff000, 12, out);
}

/* Bits that must be 0 in every present entry of 8 bytes. */
static uint64_t reserved_bits(const emu_cpu *cpu)
{
    uint64_t bits = PTE_ADDR & ~cpu->phys_mask;

    if (!(cpu->efer & EMU_EFER_NXE))
        bits |= PTE_NX;
    if (!emu_long_mode(cpu))
        bits |= UINT64_C(0x7ff0000000000000);
    return bits;
}

/* PAE and 4-level paging, from the table at `table` whose entries cover
 * 1 << shift bytes each. */
static int walk_64(walk *w, uint64_t la, unsigned set, uint64_t table,
                   unsigned shift, emu_walk *out)
{
    const emu_cpu *cpu = w->cpu;
    uint64_t reserved = reserved_bits(cpu);

    for (;; shift -= 9) {
        uint64_t at = table + ((la >> shift) & 0x1ff) * 8;
        uint64_t entry = entry_read(w, at, 8);
        uint64_t base = entry & PTE_ADDR;
        bool large = shift > 12 && (entry & PTE_PS);
        int rc;

        if (!(entry & PTE_P))
            return fault(w, 0);
        if (entry & reserved)
            return fault(w, PF_P | PF_RSVD);
        if (entry & PTE_NX)
            w->nx = true;
        if (large) {
            /* No large pages at the top level; PAT is bit 12, the rest of
             * the address below the page is reserved. */
            uint64_t low = (UINT64_C(1) << shift) - (UINT64_C(1) << 13);

            if (shift == 39 || (entry & low))
                return fault(w, PF_P | PF_RSVD);
            base &= ~((UINT64_C(1) << shift) - 1);
        }
        if (large || shift == 12) {
            w->user &= (entry & PTE_U) != 0;
            w->write &= (entry & PTE_W) != 0;
            return leaf(w, la, set, at, 8, entry, base, shift, out);
        }
        rc = through(w, at, 8, entry);
        if (rc <= 0)
            return rc;
        table = base;
    }
}

/* PAE outside of long mode: four PDPT entries loaded with CR3, of which only P
 * and the address mean something. */
static int walk_pae(walk *w, uint64_t la, unsigned set, emu_walk *out)
{
    uint64_t entry = w->cpu->pdptr[(la >> 30) & 3];

    if (!(entry & PTE_P))
        return fault(w, 0);
    return walk_64(w, la, set, entry & PTE_ADDR, 21, out);
}

bool emu_walk_page(emu_cpu *cpu, uint64_t la, emu_access access, unsigned set,
                   emu_walk *out, uint32_t *error)
{
    int rc;

    if (!(cpu->cr0 & EMU_CR0_PG)) {
        out->gpa = la & EMU_PAGE_MASK & 0xffffffff;
        out->prot = EMU_PROT_R | EMU_PROT_W | EMU_PROT_X;
        out->shift = EMU_PAGE_SHIFT;
        out->global = false;
        return true;
    }
    do {
        walk w = { .cpu = cpu,
                   .user = true,
                   .write = true,
                   .for_user = set == EMU_TLB_USER,
                   .access = access };

        if (!(cpu->cr4 & EMU_CR4_PAE))
            rc = walk_32(&w, la, set, out);
        else if (!emu_long_mode(cpu))
            rc = walk_pae(&w, la, set, out);
        else
            rc = walk_64(&w, la, set, cpu->cr3 & PTE_ADDR, 39, out);
        *error = w.error;
    } while (rc < 0);
    return rc > 0;
}
