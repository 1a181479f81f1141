/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_task.c: hardware task switches of legacy protected mode.
 *
 * Spec:    Intel SDM vol. 3A, 8.3 "Task Switching", 8.2.1 "Task-State Segment
 *          (TSS)", 8.6 "16-Bit Task-State Segment (TSS)".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_control.h"
#include "drivers/emu/guest_x86_exception.h"
#include "drivers/emu/guest_x86_fpstate.h"
#include "drivers/emu/guest_x86_segment.h"

/* Where things are in a TSS. */
typedef struct {
    uint8_t width; /* of EIP, EFLAGS and the general registers */
    uint8_t cr3;   /* 0: none */
    uint8_t ip, flags, gpr, seg, ldt;
    uint8_t seg_step, n_segs;
    uint8_t min_limit;
} layout;

static const layout tss16 = {
    .width = 2,
    .ip = 0x0e,
    .flags = 0x10,
    .gpr = 0x12,
    .seg = 0x22,
    .ldt = 0x2a,
    .seg_step = 2,
    .n_segs = 4,
    .min_limit = 0x2b,
};

static const layout tss32 = {
    .width = 4,
    .cr3 = 0x1c,
    .ip = 0x20,
    .flags = 0x24,
    .gpr = 0x28,
    .seg = 0x48,
    .ldt = 0x60,
    .seg_step = 4,
    .n_segs = 6,
    .min_limit = 0x67,
};

/* What the new task starts with. */
typedef struct {
    uint32_t cr3, eip, eflags, gpr[8];
    uint16_t seg[6], ldt;
    bool trap;
} image;

_Noreturn static void refuse(emu_cpu *cpu, const emu_insn *insn, int vector,
                             uint16_t selector)
{
    emu_raise_code(cpu, insn, vector, selector & 0xfffcu);
}

static void save_old(emu_cpu *cpu, const emu_insn *insn, uint64_t rip,
                     uint32_t eflags)
{
    const vsr_x86_seg *tr = &cpu->seg[VSR_X86_TR];
    const layout *l = tr->attr & 8 ? &tss32 : &tss16;
    uint64_t base = tr->base;

    emu_sys_store(cpu, insn, base + l->ip, l->width, rip);
    emu_sys_store(cpu, insn, base + l->flags, l->width, eflags);
    for (unsigned i = 0; i < 8; i++)
        emu_sys_store(cpu, insn, base + l->gpr + i * l->width, l->width,
                      cpu->regs[i]);
    for (unsigned i = 0; i < l->n_segs; i++)
        emu_sys_store(cpu, insn, base + l->seg + i * l->seg_step, 2,
                      cpu->seg[i].selector);
}

static image read_new(emu_cpu *cpu, const emu_insn *insn, uint64_t base,
                      const layout *l)
{
    image t = { 0 };

    if (l->cr3)
        t.cr3 = (uint32_t)emu_sys_load(cpu, insn, base + l->cr3, 4);
    t.eip = (uint32_t)emu_sys_load(cpu, insn, base + l->ip, l->width);
    t.eflags = (uint32_t)emu_sys_load(cpu, insn, base + l->flags, l->width);
    for (unsigned i = 0; i < 8; i++) {
        t.gpr[i] = (uint32_t)emu_sys_load(
            cpu, insn, base + l->gpr + i * l->width, l->width);
        if (l->width == 2)
            t.gpr[i] |= 0xffff0000;
    }
    for (unsigned i = 0; i < l->n_segs; i++)
        t.seg[i] = (uint16_t)emu_sys_load(cpu, insn,
                                          base + l->seg + i * l->seg_step, 2);
    t.ldt = (uint16_t)emu_sys_load(cpu, insn, base + l->ldt, 2);
    if (l->width == 4)
        t.trap = emu_sys_load(cpu, insn, base + 0x64, 1) & 1;
    return t;
}

static void set_busy(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                     bool busy)
{
    uint64_t at = cpu->gdt.base + (selector & ~7u) + 5;
    uint8_t type = (uint8_t)emu_sys_load(cpu, insn, at, 1);

    emu_sys_store(cpu, insn, at, 1, busy ? type | 2 : type & ~2u);
}

/* --- segments of the new task: faults are the new task's --- */

static void load_ldt(emu_cpu *cpu, uint16_t selector)
{
    emu_desc d;

    cpu->seg[VSR_X86_LDTR] = (vsr_x86_seg){ .selector = selector };
    if ((selector & ~3) == 0)
        return;
    if ((selector & 4) || !emu_desc_read(cpu, NULL, selector, &d) ||
        !emu_desc_system(&d) || emu_desc_type(&d) != 2 || !emu_desc_present(&d))
        refuse(cpu, NULL, EMU_TS, selector);
    cpu->seg[VSR_X86_LDTR] = emu_desc_segment(&d, selector);
}

static bool fits(const emu_cpu *cpu, unsigned seg, uint16_t selector,
                 const emu_desc *d)
{
    unsigned rpl = selector & 3, dpl = emu_desc_dpl(d);

    if (seg == VSR_X86_CS)
        return emu_desc_is_code(d) &&
               (emu_desc_conforming(d) ? dpl <= rpl : dpl == rpl);
    if (seg == VSR_X86_SS)
        return emu_desc_is_data(d) && emu_desc_rw(d) && dpl == cpu->cpl &&
               rpl == cpu->cpl;
    if (emu_desc_system(d) || (emu_desc_is_code(d) && !emu_desc_rw(d)))
        return false;
    return (emu_desc_is_code(d) && emu_desc_conforming(d)) ||
           dpl >= MAX(rpl, cpu->cpl);
}

static void load_one(emu_cpu *cpu, unsigned seg, uint16_t selector)
{
    emu_desc d;

    if ((selector & ~3) == 0) {
        if (seg == VSR_X86_CS || seg == VSR_X86_SS)
            refuse(cpu, NULL, EMU_TS, selector);
        return;
    }
    if (!emu_desc_read(cpu, NULL, selector, &d) ||
        !fits(cpu, seg, selector, &d))
        refuse(cpu, NULL, EMU_TS, selector);
    if (!emu_desc_present(&d))
        refuse(cpu, NULL, seg == VSR_X86_SS ? EMU_SS : EMU_NP, selector);
    emu_desc_accessed(cpu, NULL, selector, &d);
    cpu->seg[seg] = emu_desc_segment(&d, selector);
}

static void load_segments(emu_cpu *cpu, const image *t)
{
    static const uint8_t order[6] = { VSR_X86_CS, VSR_X86_SS, VSR_X86_ES,
                                      VSR_X86_DS, VSR_X86_FS, VSR_X86_GS };

    if (cpu->eflags & EMU_VM) {
        for (unsigned i = 0; i < 6; i++)
            emu_segment_real(cpu, i, t->seg[i]);
        emu_set_cpl(cpu, 3);
        return;
    }
    for (unsigned i = 0; i < 6; i++)
        cpu->seg[i] = (vsr_x86_seg){ .selector = t->seg[i] };
    emu_set_cpl(cpu, t->seg[VSR_X86_CS] & 3);
    load_ldt(cpu, t->ldt);
    for (unsigned i = 0; i < 6; i++)
        load_one(cpu, order[i], t->seg[order[i]]);
}

static void push_error(emu_cpu *cpu, uint32_t error, unsigned width)
{
    const vsr_x86_seg *ss = &cpu->seg[VSR_X86_SS];
    uint32_t mask = ss->attr & VSR_SEG_DB ? 0xffffffffu : 0xffffu;
    uint32_t sp = ((uint32_t)cpu->regs[VSR_X86_RSP] - width) & mask;

    emu_store_as(cpu, NULL,
                 emu_segment_check(cpu, NULL, VSR_X86_SS, sp, width, EMU_WRITE),
                 width, error, cpu->cpl);
    if (mask == 0xffff)
        EMU_R16(cpu, VSR_X86_RSP) = (uint16_t)sp;
    else
        EMU_SET_R32(cpu, VSR_X86_RSP, sp);
}

void emu_task_switch(emu_cpu *cpu, const emu_insn *insn, uint16_t selector,
                     const emu_desc *d, emu_task_why why, uint64_t rip,
                     const uint32_t *error)
{
    const layout *l = emu_desc_type(d) & 8 ? &tss32 : &tss16;
    uint64_t base = emu_desc_base(d);
    uint16_t old = cpu->seg[VSR_X86_TR].selector;
    uint32_t eflags = emu_eflags(cpu);
    image t;

    if (emu_desc_limit(d) < l->min_limit)
        refuse(cpu, insn, EMU_TS, selector);
    if (why != EMU_TASK_IRET && (emu_desc_type(d) & 2))
        refuse(cpu, insn, EMU_GP, selector);
    if (why == EMU_TASK_IRET)
        eflags &= ~(uint32_t)EMU_NT;

    /* Everything that can fault in the old task comes first. */
    t = read_new(cpu, insn, base, l);
    save_old(cpu, insn, rip, eflags);
    if (why == EMU_TASK_CALL || why == EMU_TASK_GATE) {
        emu_sys_store(cpu, insn, base, 2, old);
        t.eflags |= EMU_NT;
    }
    if (why == EMU_TASK_JUMP || why == EMU_TASK_IRET)
        set_busy(cpu, insn, old, false);
    if (why != EMU_TASK_IRET)
        set_busy(cpu, insn, selector, true);

    cpu->seg[VSR_X86_TR] = emu_desc_segment(d, selector);
    cpu->seg[VSR_X86_TR].attr |= 2;
    cpu->cr0 |= EMU_CR0_TS;
    emu_fp_mode_changed(cpu);
    if (l->cr3 && (cpu->cr0 & EMU_CR0_PG) && !emu_write_cr3(cpu, NULL, t.cr3))
        refuse(cpu, insn, EMU_TS, selector);
    cpu->regs[EMU_REG_RIP] = t.eip;
    for (unsigned i = 0; i < 8; i++)
        cpu->regs[i] = t.gpr[i];
    emu_set_eflags(cpu, t.eflags, 0xffffffff);
    cpu->dr[7] &= ~UINT64_C(0x55); /* the local enables */
    emu_mode_update(cpu);
    load_segments(cpu, &t);
    emu_mode_update(cpu);
    if (error)
        push_error(cpu, *error, l->width);
    if (t.eip > cpu->seg[VSR_X86_CS].limit)
        refuse(cpu, NULL, EMU_GP, 0);
    if (t.trap) {
        /* After the switch, and so after the interrupt it was for. */
        cpu->delivering = -1;
        emu_raise_debug(cpu, NULL, EMU_DR6_BT);
    }
}
