/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmu_tlb.c: filling the software TLB, and pages with code.
 *
 * Each set has EMU_TLB_ENTRIES direct-mapped entries in two arrays: the tags
 * that handlers compare and what the slow path wants to know (info).
 *
 * Who may write through a tag
 * ---------------------------
 * A write tag is given only if the page has no decoded code and, while writes
 * are logged, is already dirty. To get there without a lock between vCPUs, the
 * filler sets its bit in slot->writers *before* it looks at slot->marks, and
 * whoever marks a page sets marks *before* it looks at writers; both are
 * sequentially consistent, so one of them sees the other. The marker then makes
 * the writers flush. A stale writer bit costs one needless flush.
 *
 * Threads: the vCPU's own.
 */
#include "drivers/emu/mmu_tlb.h"

#include "drivers/emu/block_cache.h"
#include "drivers/emu/emu_run.h"
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_segment.h"

static uint8_t needed(emu_access access)
{
    return access == EMU_READ   ? EMU_PROT_R
           : access == EMU_EXEC ? EMU_PROT_X
                                : EMU_PROT_W;
}

static bool page_is_dirty(emu_slot *slot, uint64_t gpa)
{
    return atomic_load(&slot->dirty[emu_slot_page(slot, gpa)]) != 0;
}

/* May handlers write the page without asking? */
static bool write_tag_allowed(emu_cpu *cpu, emu_slot *slot, uint64_t gpa)
{
    uint64_t page = emu_slot_page(slot, gpa);
    uint32_t bit = UINT32_C(1) << cpu->index;

    /* A marker takes writer bits back while its mark stands, so a bit that is
     * still there after an unmarked look is one that the next marker sees. */
    do {
        if (!(atomic_load(&slot->writers[page]) & bit))
            atomic_fetch_or(&slot->writers[page], bit);
        if (atomic_load(&slot->marks[page]))
            return false;
    } while (!(atomic_load(&slot->writers[page]) & bit));
    return !atomic_load(&cpu->vm->dirty_log) || page_is_dirty(slot, gpa);
}

/* The tags that follow from *info. */
static void set_tags(emu_cpu *cpu, unsigned set, emu_tlb_info *info)
{
    emu_tlb_entry *e = &cpu->space->sets[set][emu_tlb_index(info->page)];

    emu_tlb_clear_tags(e);
    if (info->host == NULL)
        return;
    e->addend = (uintptr_t)info->host - info->page;
    if (info->prot & EMU_PROT_X)
        e->exec_tag = info->page;
    if ((cpu->align_check && set == EMU_TLB_USER) ||
        emu_watched_page(cpu, info->page))
        return;
    if (info->prot & EMU_PROT_R)
        e->read_tag = info->page;
    if ((info->prot & EMU_PROT_W) && !info->slot->readonly &&
        write_tag_allowed(cpu, info->slot, info->gpa))
        e->write_tag = info->page;
}

/*
 * Is the fault of a non-canonical address #SS? Yes for the stack segment: by
 * the memory operand if it is the one that was accessed, else for the implicit
 * pushes and pops. Strings are the only other implicit operands.
 */
static bool through_ss(emu_cpu *cpu, const emu_insn *insn, uint64_t la)
{
    bool memory = false;

    switch ((emu_form)insn->form) {
    case EMU_FORM_M:
    case EMU_FORM_RM:
    case EMU_FORM_MR:
    case EMU_FORM_MI:
        memory = true;
        break;
    case EMU_FORM_N:
    case EMU_FORM_R:
    case EMU_FORM_I:
    case EMU_FORM_RR:
    case EMU_FORM_RI:
    case EMU_FORMS:
        break;
    }
    if (memory) {
        uint64_t ea =
            emu_ea_offset(cpu, insn) + cpu->seg_base[insn->mem & EMU_MEM_SEG];

        bool pushes = insn->op == EMU_OP_PUSH || insn->op == EMU_OP_POP ||
                      insn->op == EMU_OP_CALL || insn->op == EMU_OP_CALLF;

        /* Bit strings and XLAT go beyond the operand's own address. */
        if (la - ea < EMU_PAGE_SIZE || !pushes)
            return (insn->mem & EMU_MEM_SEG) == VSR_X86_SS;
        return true;
    }
    return insn->op < EMU_OP_MOVS || insn->op > EMU_OP_OUTS;
}

_Noreturn static void not_canonical(emu_cpu *cpu, const emu_insn *insn,
                                    uint64_t la, emu_access access)
{
    int vector = EMU_GP;

    if (insn && access != EMU_EXEC && through_ss(cpu, insn, la))
        vector = EMU_SS;
    emu_raise_code(cpu, insn, vector, 0);
}

static const emu_tlb_info *fill(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                                emu_access access, unsigned set)
{
    emu_tlb_space *space = cpu->space;
    unsigned i = emu_tlb_index(la);
    emu_tlb_info *info = &space->info[set][i];
    emu_walk w;
    uint32_t error;

    if (emu_long_mode(cpu) && !emu_canonical(la))
        not_canonical(cpu, insn, la, access);
    if (!emu_walk_page(cpu, la, access, set, &w, &error))
        emu_raise_pf(cpu, insn, la, error);

    info->page = la & EMU_PAGE_MASK;
    info->gpa = w.gpa;
    info->slot = emu_slot_find(cpu->vm, w.gpa);
    info->host =
        info->slot ? info->slot->host + (w.gpa - info->slot->gpa) : NULL;
    info->prot = w.prot;
    info->shift = w.shift;
    info->global = w.global;
    if (!info->listed) {
        info->listed = true;
        space->used[set][space->n_used[set]++] = (uint16_t)i;
    }
    if (w.shift != EMU_PAGE_SHIFT)
        space->has[la >> 63] |=
            info->global ? EMU_HAS_LARGE_GLOBAL : EMU_HAS_LARGE;
    if (info->global)
        space->has[la >> 63] |= EMU_HAS_GLOBAL;
    set_tags(cpu, set, info);
    return info;
}

const emu_tlb_info *emu_tlb_page(emu_cpu *cpu, const emu_insn *insn,
                                 uint64_t la, emu_access access, unsigned set)
{
    const emu_tlb_info *info = &cpu->space->info[set][emu_tlb_index(la)];

    if (info->page == (la & EMU_PAGE_MASK) && (info->prot & needed(access)))
        return info;
    return fill(cpu, insn, la, access, set);
}

/* The write tag that was refused (or lost) may be due now: the page is dirty,
 * or no longer has code. */
static void renew_tags(emu_cpu *cpu, const emu_tlb_info *info)
{
    unsigned i = emu_tlb_index(info->page);

    for (unsigned set = 0; set < EMU_TLB_SETS; set++) {
        emu_tlb_info *own = &cpu->space->info[set][i];

        if (own->page == info->page && own->gpa == info->gpa &&
            (own->prot & EMU_PROT_W) &&
            cpu->space->sets[set][i].write_tag == EMU_TLB_NONE)
            set_tags(cpu, set, own);
    }
}

bool emu_tlb_write_page(emu_cpu *cpu, const emu_tlb_info *info)
{
    emu_slot *slot = info->slot;
    uint64_t page = emu_slot_page(slot, info->gpa);

    if (atomic_load_explicit(&cpu->vm->dirty_log, memory_order_relaxed))
        atomic_store(&slot->dirty[page], 1);
    /* Orders the caller's store before the look at the marks. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&slot->marks[page], memory_order_relaxed))
        return true;
    renew_tags(cpu, info);
    return false;
}

/* --- modes --- */

/* User pages come back to all spaces with the next access to each. */
static void drop_user(emu_cpu *cpu)
{
    for (unsigned n = 0; n < EMU_TLB_SPACES; n++) {
        emu_tlb_space *space = cpu->spaces[n];

        if (space == NULL || !space->taken)
            continue;
        for (uint32_t u = 0; u < space->n_used[EMU_TLB_USER]; u++)
            emu_tlb_drop(space, EMU_TLB_USER, space->used[EMU_TLB_USER][u]);
    }
}

void emu_mmu_mode_changed(emu_cpu *cpu)
{
    unsigned set = EMU_TLB_SUPER;
    bool ac = cpu->eflags & EMU_AC;
    bool align = cpu->cpl == 3 && ac && (cpu->cr0 & EMU_CR0_AM);
    uint64_t paging =
        (cpu->cr0 & (EMU_CR0_PG | EMU_CR0_WP | EMU_CR0_PE)) |
        (uint64_t)(cpu->cr4 & (EMU_CR4_PSE | EMU_CR4_PAE | EMU_CR4_PGE |
                               EMU_CR4_PCIDE | EMU_CR4_SMEP | EMU_CR4_SMAP))
            << 32 |
        (cpu->efer & (EMU_EFER_NXE | EMU_EFER_LMA));

    if (cpu->cpl == 3)
        set = EMU_TLB_USER;
    else if (ac && (cpu->cr4 & EMU_CR4_SMAP))
        set = EMU_TLB_SUPER_AC;
    cpu->tlb = cpu->space->sets[set];
    if (align != cpu->align_check) {
        cpu->align_check = align;
        drop_user(cpu);
    }
    if (paging != cpu->paging) {
        cpu->paging = paging;
        emu_tlb_flush(cpu, true);
    }
}

/* --- code --- */

const uint8_t *emu_code_page(emu_cpu *cpu, uint64_t rip, uint64_t *gpa)
{
    unsigned set = cpu->cpl == 3 ? EMU_TLB_USER : EMU_TLB_SUPER;
    const emu_tlb_info *info = emu_tlb_page(cpu, NULL, rip, EMU_EXEC, set);
    uint64_t *seen = info->global ? cpu->code_seen : cpu->space->code_seen;
    unsigned h = emu_code_hash(rip, info->shift);

    seen[h / 64] |= UINT64_C(1) << (h % 64);
    *gpa = info->gpa;
    return info->host;
}

uint8_t emu_fetch(emu_cpu *cpu, uint64_t la)
{
    uint64_t gpa;
    const uint8_t *host = emu_code_page(cpu, la, &gpa);

    if (host)
        return host[la & ~EMU_PAGE_MASK];
    return (uint8_t)emu_mmio_read(cpu, gpa | (la & ~EMU_PAGE_MASK), 1);
}

static void protect_in(emu_tlb_space *space, uint64_t gpa)
{
    for (unsigned set = 0; set < EMU_TLB_SETS; set++) {
        for (uint32_t n = 0; n < space->n_used[set]; n++) {
            uint16_t i = space->used[set][n];

            if (space->info[set][i].gpa == gpa)
                space->sets[set][i].write_tag = EMU_TLB_NONE;
        }
    }
}

void emu_tlb_protect_page(emu_cpu *cpu, uint64_t gpa)
{
    for (unsigned n = 0; n < EMU_TLB_SPACES; n++)
        if (cpu->spaces[n] != NULL && cpu->spaces[n]->taken)
            protect_in(cpu->spaces[n], gpa);
}

void emu_code_mark(emu_cpu *cpu, uint64_t gpa_page)
{
    emu_slot *slot = emu_slot_find(cpu->vm, gpa_page);
    uint32_t self = UINT32_C(1) << cpu->index;
    uint32_t writers;
    uint64_t page;

    if (slot == NULL)
        return;
    page = emu_slot_page(slot, gpa_page);
    if (atomic_load(&slot->marks[page]) & self)
        return;
    atomic_fetch_or(&slot->marks[page], self);
    writers = atomic_load(&slot->writers[page]);
    if (writers & self)
        emu_tlb_protect_page(cpu, gpa_page & EMU_PAGE_MASK);
    if (writers & ~self) {
        emu_vm_flush(cpu->vm, writers & ~self, cpu->vcpu, false);
        atomic_fetch_and(&slot->writers[page], ~(writers & ~self));
    }
}

void emu_code_unmark(emu_cpu *cpu, uint64_t gpa_page)
{
    emu_slot *slot = emu_slot_find(cpu->vm, gpa_page);

    /* Write tags come back with the next slow store: renew_tags(). */
    if (slot == NULL)
        return;
    atomic_fetch_and(&slot->marks[emu_slot_page(slot, gpa_page)],
                     ~(UINT32_C(1) << cpu->index));
}
