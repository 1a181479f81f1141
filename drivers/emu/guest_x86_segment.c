/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_segment.c: descriptors and segment registers.
 *
 * Spec:    Intel SDM vol. 3A, 3.4 "Logical and Linear Addresses", 5.5
 *          "Privilege Levels", 5.6 "Privilege Level Checking When Accessing
 *          Data Segments"; vol. 2B, "MOV".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_segment.h"

#include "drivers/emu/guest_x86_arch.h"

uint32_t emu_desc_base(const emu_desc *d)
{
    return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
}

uint32_t emu_desc_limit(const emu_desc *d)
{
    uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);

    return d->hi & 0x800000 ? limit << 12 | 0xfff : limit;
}

vsr_x86_seg emu_desc_segment(const emu_desc *d, uint16_t selector)
{
    vsr_x86_seg s = { .base = emu_desc_base(d) | (uint64_t)d->base_hi << 32,
                      .limit = emu_desc_limit(d),
                      .selector = selector,
                      .attr = (uint16_t)(d->hi >> 8 & 0xf0ff) };

    return s;
}

/* The address of the descriptor, or false if it lies outside of its table. */
static bool locate(const emu_cpu *cpu, uint16_t selector, unsigned size,
                   uint64_t *at)
{
    const vsr_x86_seg *ldt = &cpu->seg[VSR_X86_LDTR];
    uint32_t offset = selector & ~7u;
    uint64_t base = cpu->gdt.base;
    uint64_t limit = cpu->gdt.limit;

    if (selector & 4) {
        if (!(ldt->attr & VSR_SEG_P))
            return false;
        base = ldt->base;
        limit = ldt->limit;
    } else if (offset == 0) {
        return false;
    }
    *at = base + offset;
    return (uint64_t)offset + size - 1 <= limit;
}

bool emu_desc_read(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                   emu_desc *out)
{
    uint64_t at, raw;

    if (!locate(cpu, selector, 8, &at))
        return false;
    raw = emu_sys_load(cpu, insn, at, 8);
    out->lo = (uint32_t)raw;
    out->hi = (uint32_t)(raw >> 32);
    out->base_hi = 0;
    return true;
}

void emu_desc_read_high(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                        emu_desc *d)
{
    uint64_t at, raw;

    if (!locate(cpu, selector, 16, &at))
        emu_raise_code(cpu, insn, EMU_GP, selector & 0xfffcu);
    raw = emu_sys_load(cpu, insn, at + 8, 8);
    /* The type field of the upper half must be 0. */
    if (raw >> 40 & 0x1f)
        emu_raise_code(cpu, insn, EMU_GP, selector & 0xfffcu);
    d->base_hi = (uint32_t)raw;
}

void emu_desc_accessed(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                       emu_desc *d)
{
    uint64_t at;

    if ((d->hi & 0x100) || !locate(cpu, selector, 8, &at))
        return;
    d->hi |= 0x100;
    emu_sys_store(cpu, insn, at + 5, 1, d->hi >> 8 & 0xff);
}

/* --- what follows from the registers --- */

/* Flat for data: whole, writable, expand-up. */
static bool flat_data(const vsr_x86_seg *s)
{
    return s->base == 0 && s->limit == 0xffffffff &&
           (s->attr & (VSR_SEG_P | VSR_SEG_S | 0xe)) ==
               (VSR_SEG_P | VSR_SEG_S | 0x2);
}

static bool flat_code(const vsr_x86_seg *s)
{
    return s->base == 0 && s->limit == 0xffffffff;
}

/* What of a segment register needs no check of type and limit. */
static uint8_t width_of(const emu_cpu *cpu, const vsr_x86_seg *s)
{
    unsigned type = s->attr & VSR_SEG_TYPE;

    if (s->limit != 0xffffffff)
        return 0;
    if (!(cpu->cr0 & EMU_CR0_PE))
        return EMU_WIDE_R | EMU_WIDE_W;
    if (!(s->attr & VSR_SEG_P))
        return 0;
    if (type & 8) /* code: readable? */
        return type & 2 ? EMU_WIDE_R : 0;
    if (type & 4) /* expand-down */
        return 0;
    return type & 2 ? EMU_WIDE_R | EMU_WIDE_W : EMU_WIDE_R;
}

void emu_mode_update(emu_cpu *cpu)
{
    const vsr_x86_seg *seg = cpu->seg;
    uint32_t mode = 0;
    bool cs64 = emu_long_mode(cpu) && (seg[VSR_X86_CS].attr & VSR_SEG_L);

    if (cs64)
        mode |= EMU_MODE_CS64;
    else if (seg[VSR_X86_CS].attr & VSR_SEG_DB)
        mode |= EMU_MODE_CS32;
    if ((cpu->cr0 & EMU_CR0_PE) && !(cpu->eflags & EMU_VM))
        mode |= EMU_MODE_PROT;
    if ((mode & EMU_MODE_CS32) && flat_code(&seg[VSR_X86_CS]) &&
        flat_data(&seg[VSR_X86_DS]) && flat_data(&seg[VSR_X86_ES]) &&
        flat_data(&seg[VSR_X86_SS]) && (seg[VSR_X86_SS].attr & VSR_SEG_DB))
        mode |= EMU_MODE_FLAT;
    if ((cpu->eflags & EMU_TF) || (cpu->dr[7] & 0xff))
        mode |= EMU_MODE_STEP;
    cpu->mode = mode;

    for (unsigned s = VSR_X86_ES; s <= VSR_X86_DS; s++)
        cpu->seg_base[s] = cs64 ? 0 : seg[s].base;
    cpu->seg_base[VSR_X86_FS] = seg[VSR_X86_FS].base;
    cpu->seg_base[VSR_X86_GS] = seg[VSR_X86_GS].base;
    for (unsigned s = VSR_X86_ES; s <= VSR_X86_GS; s++)
        cpu->seg_wide[s] = width_of(cpu, &seg[s]);
}

void emu_set_cpl(emu_cpu *cpu, unsigned cpl)
{
    cpu->cpl = (uint8_t)cpl;
    emu_mmu_mode_changed(cpu);
}

void emu_segment_set(emu_cpu *cpu, unsigned seg, const vsr_x86_seg *value)
{
    cpu->seg[seg] = *value;
    if (seg == VSR_X86_FS || seg == VSR_X86_GS) {
        cpu->seg_base[seg] = value->base;
        cpu->seg_wide[seg] = width_of(cpu, value);
    } else {
        emu_mode_update(cpu);
    }
}

void emu_segment_real(emu_cpu *cpu, unsigned seg, uint16_t selector)
{
    vsr_x86_seg s = cpu->seg[seg];

    s.selector = selector;
    s.base = (uint64_t)selector << 4;
    if (cpu->eflags & EMU_VM) {
        s.limit = 0xffff;
        s.attr = VSR_SEG_P | VSR_SEG_DPL | VSR_SEG_S | 3;
    } else {
        /* The limit and D stay: "unreal" mode. */
        s.attr &= (uint16_t) ~(VSR_SEG_TYPE | VSR_SEG_DPL);
        s.attr |= VSR_SEG_P | VSR_SEG_S | 3;
    }
    emu_segment_set(cpu, seg, &s);
}

/* --- loading --- */

_Noreturn static void refuse(emu_cpu *cpu, const emu_insn *insn, int vector,
                             uint16_t selector)
{
    emu_raise_code(cpu, insn, vector, selector & 0xfffcu);
}

static void load_null(emu_cpu *cpu, const emu_insn *insn, unsigned seg,
                      uint16_t selector)
{
    vsr_x86_seg s = { .selector = selector };

    if (seg == VSR_X86_SS) {
        if (!(cpu->mode & EMU_MODE_CS64) || cpu->cpl == 3 ||
            (selector & 3) != cpu->cpl)
            refuse(cpu, insn, EMU_GP, 0);
        s.attr = (uint16_t)(cpu->cpl << VSR_SEG_DPL_SHIFT);
    }
    emu_segment_set(cpu, seg, &s);
}

static bool ss_fits(const emu_cpu *cpu, const emu_desc *d, uint16_t selector)
{
    return (selector & 3) == cpu->cpl && emu_desc_dpl(d) == cpu->cpl &&
           emu_desc_is_data(d) && emu_desc_rw(d);
}

static bool data_fits(const emu_cpu *cpu, const emu_desc *d, uint16_t selector)
{
    unsigned rpl = selector & 3;

    if (emu_desc_system(d) || (emu_desc_is_code(d) && !emu_desc_rw(d)))
        return false;
    if (emu_desc_is_code(d) && emu_desc_conforming(d))
        return true;
    return emu_desc_dpl(d) >= MAX(rpl, cpu->cpl);
}

void emu_segment_load(emu_cpu *cpu, const emu_insn *insn, unsigned seg,
                      uint16_t selector)
{
    vsr_x86_seg s;
    emu_desc d;

    if (!(cpu->mode & EMU_MODE_PROT)) {
        emu_segment_real(cpu, seg, selector);
        return;
    }
    if ((selector & ~3) == 0) {
        load_null(cpu, insn, seg, selector);
        return;
    }
    if (!emu_desc_read(cpu, insn, selector, &d))
        refuse(cpu, insn, EMU_GP, selector);
    if (seg == VSR_X86_SS) {
        if (!ss_fits(cpu, &d, selector))
            refuse(cpu, insn, EMU_GP, selector);
        if (!emu_desc_present(&d))
            refuse(cpu, insn, EMU_SS, selector);
    } else {
        if (!data_fits(cpu, &d, selector))
            refuse(cpu, insn, EMU_GP, selector);
        if (!emu_desc_present(&d))
            refuse(cpu, insn, EMU_NP, selector);
    }
    emu_desc_accessed(cpu, insn, selector, &d);
    s = emu_desc_segment(&d, selector);
    emu_segment_set(cpu, seg, &s);
}
