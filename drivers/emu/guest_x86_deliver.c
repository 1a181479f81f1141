/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_deliver.c: the IDT and the frames of interrupts and exceptions, in
 * real, protected, VM86 and long mode.
 *
 * Spec:    AMD APM vol. 2, 8.6 "Real-Mode Interrupt Control Transfers", 8.7
 *          "Legacy Protected-Mode Interrupt Control Transfers", 8.9 "Long-Mode
 *          Interrupt Control Transfers"; Intel SDM vol. 3A, 6.12 "Exception and
 *          Interrupt Handling", 6.14 "Exception and Interrupt Handling in
 *          64-bit Mode"; vol. 2A, "INT n".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_deliver.h"

#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_segment.h"

enum {
    GATE_TASK = 0x5,
    GATE_INT16 = 0x6,
    GATE_TRAP16 = 0x7,
    GATE_INT32 = 0xe,
    GATE_TRAP32 = 0xf,
};

_Noreturn static void refuse(emu_cpu *cpu, const emu_event *ev, int vector,
                             uint32_t code)
{
    emu_raise_code(cpu, NULL, vector, (code & 0xfffe) | ev->external);
}

static uint32_t idt_code(const emu_event *ev)
{
    return ev->vector * 8u + 2;
}

static uint32_t flags_image(const emu_cpu *cpu, const emu_event *ev)
{
    uint32_t flags = emu_eflags(cpu);

    return ev->set_rf ? flags | EMU_RF : flags & ~(uint32_t)EMU_RF;
}

static void enter_flags(emu_cpu *cpu, bool interrupt_gate)
{
    uint32_t off = EMU_TF | EMU_NT | EMU_RF | EMU_VM;

    emu_set_eflags(cpu, 0, off | (interrupt_gate ? EMU_IF : 0));
}

/* --- real mode --- */

static void deliver_real(emu_cpu *cpu, const emu_event *ev)
{
    const vsr_x86_seg *ss = &cpu->seg[VSR_X86_SS];
    uint16_t sp = (uint16_t)cpu->regs[VSR_X86_RSP];
    uint16_t words[3] = { (uint16_t)flags_image(cpu, ev),
                          cpu->seg[VSR_X86_CS].selector, (uint16_t)ev->rip };
    uint64_t entry;

    if (ev->vector * 4u + 3 > cpu->idt.limit)
        refuse(cpu, ev, EMU_GP, idt_code(ev));
    entry = emu_sys_load(cpu, NULL, cpu->idt.base + ev->vector * 4u, 4);
    for (unsigned i = 0; i < 3; i++) {
        sp = (uint16_t)(sp - 2);
        emu_store_as(cpu, NULL,
                     emu_segment_check(cpu, NULL, VSR_X86_SS, sp, 2, EMU_WRITE),
                     2, words[i], 0);
    }
    if (ss->attr & VSR_SEG_DB)
        cpu->regs[VSR_X86_RSP] = (uint32_t)(cpu->regs[VSR_X86_RSP] - 6);
    else
        EMU_R16(cpu, VSR_X86_RSP) = sp;
    emu_segment_real(cpu, VSR_X86_CS, (uint16_t)(entry >> 16));
    emu_set_eflags(cpu, 0, EMU_IF | EMU_TF | EMU_AC | EMU_RF);
    cpu->regs[EMU_REG_RIP] = entry & 0xffff;
    emu_mode_update(cpu);
}

/* --- protected modes --- */

/* The handler's code segment, checked. */
static void handler_code(emu_cpu *cpu, const emu_event *ev, uint16_t sel,
                         emu_desc *d)
{
    if ((sel & ~3) == 0)
        refuse(cpu, ev, EMU_GP, 0);
    if (!emu_desc_read(cpu, NULL, sel, d) || !emu_desc_is_code(d) ||
        emu_desc_dpl(d) > cpu->cpl)
        refuse(cpu, ev, EMU_GP, sel & ~3u);
    if (!emu_desc_present(d))
        refuse(cpu, ev, EMU_NP, sel & ~3u);
}

static void enter_code(emu_cpu *cpu, uint16_t sel, emu_desc *d, unsigned cpl)
{
    vsr_x86_seg cs;

    emu_desc_accessed(cpu, NULL, sel, d);
    cs = emu_desc_segment(d, (uint16_t)((sel & ~3) | cpl));
    cpu->seg[VSR_X86_CS] = cs;
}

static void deliver_long(emu_cpu *cpu, const emu_event *ev)
{
    uint64_t at = cpu->idt.base + ev->vector * 16u;
    const vsr_x86_seg *tr = &cpu->seg[VSR_X86_TR];
    uint64_t lo, hi, target, rsp, frame[6];
    unsigned type, ist, cpl, n = 0;
    emu_desc d;
    uint16_t sel;

    if (ev->vector * 16u + 15 > cpu->idt.limit)
        refuse(cpu, ev, EMU_GP, idt_code(ev));
    lo = emu_sys_load(cpu, NULL, at, 8);
    hi = emu_sys_load(cpu, NULL, at + 8, 8);
    type = (lo >> 40) & 0x1f;
    if (type != GATE_INT32 && type != GATE_TRAP32)
        refuse(cpu, ev, EMU_GP, idt_code(ev));
    if (ev->software && ((lo >> 45) & 3) < cpu->cpl)
        refuse(cpu, ev, EMU_GP, idt_code(ev));
    if (!(lo >> 47 & 1))
        refuse(cpu, ev, EMU_NP, idt_code(ev));
    sel = (uint16_t)(lo >> 16);
    target = (lo & 0xffff) | (lo >> 32 & 0xffff0000) | hi << 32;
    ist = (lo >> 32) & 7;

    handler_code(cpu, ev, sel, &d);
    if ((d.hi & 0x600000) != 0x200000) /* L, not D */
        refuse(cpu, ev, EMU_GP, sel & ~3u);
    cpl = emu_desc_conforming(&d) ? cpu->cpl : emu_desc_dpl(&d);

    rsp = cpu->regs[VSR_X86_RSP];
    if (ist || cpl < cpu->cpl) {
        unsigned offset = ist ? 0x24 + 8 * (ist - 1) : 4 + 8 * cpl;

        if (offset + 7 > tr->limit)
            refuse(cpu, ev, EMU_TS, tr->selector & ~3u);
        rsp = emu_sys_load(cpu, NULL, tr->base + offset, 8);
    }
    if (!emu_canonical(rsp))
        refuse(cpu, ev, EMU_SS, 0);
    rsp &= ~UINT64_C(15);

    frame[n++] = cpu->seg[VSR_X86_SS].selector;
    frame[n++] = cpu->regs[VSR_X86_RSP];
    frame[n++] = flags_image(cpu, ev);
    frame[n++] = cpu->seg[VSR_X86_CS].selector;
    frame[n++] = ev->rip;
    if (ev->has_error)
        frame[n++] = ev->error;
    for (unsigned i = 0; i < n; i++)
        emu_store_as(cpu, NULL, rsp - 8 * (i + 1), 8, frame[i], cpl);
    if (!emu_canonical(target))
        refuse(cpu, ev, EMU_GP, 0);

    enter_code(cpu, sel, &d, cpl);
    cpu->regs[VSR_X86_RSP] = rsp - 8 * n;
    if (cpl != cpu->cpl) {
        vsr_x86_seg *ss = &cpu->seg[VSR_X86_SS];

        *ss = (vsr_x86_seg){ .selector = (uint16_t)cpl };
        ss->attr = (uint16_t)(cpl << VSR_SEG_DPL_SHIFT);
    }
    cpu->cpl = (uint8_t)cpl;
    cpu->regs[EMU_REG_RIP] = target;
    enter_flags(cpu, type == GATE_INT32);
    emu_mode_update(cpu);
    emu_mmu_mode_changed(cpu);
}

/* A frame in legacy mode, built downwards in a stack not yet the current one. */
typedef struct {
    emu_cpu *cpu;
    const emu_event *ev;
    vsr_x86_seg ss;
    uint32_t esp;
    unsigned cpl;
    unsigned size; /* of a slot: 2 or 4 */
    uint32_t code; /* of the #SS a full stack raises */
} frame;

/* Room for `bytes` below ESP? */
static void frame_room(const frame *f, unsigned bytes)
{
    uint32_t mask = f->ss.attr & VSR_SEG_DB ? 0xffffffffu : 0xffffu;
    uint32_t top = f->esp & mask;
    uint32_t bottom = (top - bytes) & mask;
    bool down = (f->ss.attr & 0xc) == 0x4;
    bool fits = top == 0 || bottom < top;

    if (fits && down)
        fits = bottom > f->ss.limit;
    else if (fits)
        fits = bottom + (uint64_t)bytes - 1 <= f->ss.limit;
    if (!fits)
        refuse(f->cpu, f->ev, EMU_SS, f->code);
}

static void frame_push(frame *f, uint32_t value)
{
    uint32_t mask = f->ss.attr & VSR_SEG_DB ? 0xffffffffu : 0xffffu;

    f->esp = (f->esp & ~mask) | ((f->esp - f->size) & mask);
    emu_store_as(f->cpu, NULL, (uint32_t)(f->ss.base + (f->esp & mask)),
                 f->size, value, f->cpl);
}

/* The stack of ring `cpl` from the TSS, checked. */
static void inner_stack(emu_cpu *cpu, const emu_event *ev, unsigned cpl,
                        frame *f)
{
    const vsr_x86_seg *tr = &cpu->seg[VSR_X86_TR];
    bool is32 = tr->attr & 8;
    unsigned offset = is32 ? 4 + 8 * cpl : 2 + 4 * cpl;
    emu_desc d;
    uint16_t sel;

    if (offset + (is32 ? 5 : 3) > tr->limit)
        refuse(cpu, ev, EMU_TS, tr->selector & ~3u);
    f->esp = (uint32_t)emu_sys_load(cpu, NULL, tr->base + offset, is32 ? 4 : 2);
    sel = (uint16_t)emu_sys_load(cpu, NULL, tr->base + offset + (is32 ? 4 : 2),
                                 2);
    if ((sel & ~3) == 0)
        refuse(cpu, ev, EMU_TS, 0);
    if (!emu_desc_read(cpu, NULL, sel, &d) || (sel & 3) != cpl ||
        emu_desc_dpl(&d) != cpl || !emu_desc_is_data(&d) || !emu_desc_rw(&d))
        refuse(cpu, ev, EMU_TS, sel & ~3u);
    if (!emu_desc_present(&d))
        refuse(cpu, ev, EMU_SS, sel & ~3u);
    emu_desc_accessed(cpu, NULL, sel, &d);
    f->ss = emu_desc_segment(&d, sel);
    f->code = sel & ~3u;
}

static void push_vm86_segments(frame *f)
{
    static const uint8_t order[4] = { VSR_X86_GS, VSR_X86_FS, VSR_X86_DS,
                                      VSR_X86_ES };

    for (unsigned i = 0; i < 4; i++)
        frame_push(f, f->cpu->seg[order[i]].selector);
}

static void deliver_task(emu_cpu *cpu, const emu_event *ev, uint16_t sel)
{
    emu_desc d;

    if ((sel & 4) || !emu_desc_read(cpu, NULL, sel, &d) ||
        !emu_desc_system(&d) || (emu_desc_type(&d) & 0x7) != 1)
        refuse(cpu, ev, EMU_GP, sel & ~3u);
    if (!emu_desc_present(&d))
        refuse(cpu, ev, EMU_NP, sel & ~3u);
    emu_task_switch(cpu, NULL, sel, &d, EMU_TASK_GATE, ev->rip,
                    ev->has_error ? &ev->error : NULL);
}

static void deliver_legacy(emu_cpu *cpu, const emu_event *ev)
{
    uint64_t at = cpu->idt.base + ev->vector * 8u;
    bool vm86 = cpu->eflags & EMU_VM;
    uint32_t lo, hi, target;
    unsigned type, slots;
    emu_desc d;
    uint16_t sel;
    frame f = { .cpu = cpu, .ev = ev };

    if (ev->vector * 8u + 7 > cpu->idt.limit)
        refuse(cpu, ev, EMU_GP, idt_code(ev));
    lo = (uint32_t)emu_sys_load(cpu, NULL, at, 4);
    hi = (uint32_t)emu_sys_load(cpu, NULL, at + 4, 4);
    type = (hi >> 8) & 0x1f;
    if (type != GATE_TASK && (type & 0x17) != GATE_INT16 &&
        (type & 0x17) != GATE_TRAP16)
        refuse(cpu, ev, EMU_GP, idt_code(ev));
    if (ev->software && ((hi >> 13) & 3) < cpu->cpl)
        refuse(cpu, ev, EMU_GP, idt_code(ev));
    if (!(hi & 0x8000))
        refuse(cpu, ev, EMU_NP, idt_code(ev));
    sel = (uint16_t)(lo >> 16);
    if (type == GATE_TASK) {
        deliver_task(cpu, ev, sel);
        return;
    }

    f.size = type & 8 ? 4 : 2;
    target = (lo & 0xffff) | (type & 8 ? hi & 0xffff0000 : 0);
    handler_code(cpu, ev, sel, &d);
    f.cpl = emu_desc_conforming(&d) ? cpu->cpl : emu_desc_dpl(&d);
    if (vm86 && f.cpl != 0)
        refuse(cpu, ev, EMU_GP, sel & ~3u);

    slots = 3 + ev->has_error;
    if (f.cpl < cpu->cpl) {
        inner_stack(cpu, ev, f.cpl, &f);
        slots += 2 + (vm86 ? 4 : 0);
    } else {
        f.ss = cpu->seg[VSR_X86_SS];
        f.esp = (uint32_t)cpu->regs[VSR_X86_RSP];
    }
    frame_room(&f, slots * f.size);
    if (f.cpl < cpu->cpl) {
        if (vm86)
            push_vm86_segments(&f);
        frame_push(&f, cpu->seg[VSR_X86_SS].selector);
        frame_push(&f, (uint32_t)cpu->regs[VSR_X86_RSP]);
    }
    frame_push(&f, flags_image(cpu, ev));
    frame_push(&f, cpu->seg[VSR_X86_CS].selector);
    frame_push(&f, (uint32_t)ev->rip);
    if (ev->has_error)
        frame_push(&f, ev->error);
    if (target > emu_desc_limit(&d))
        refuse(cpu, ev, EMU_GP, 0);

    enter_code(cpu, sel, &d, f.cpl);
    if (f.cpl < cpu->cpl)
        cpu->seg[VSR_X86_SS] = f.ss;
    if (vm86)
        for (unsigned s = VSR_X86_ES; s <= VSR_X86_GS; s++)
            if (s != VSR_X86_CS && s != VSR_X86_SS)
                cpu->seg[s] = (vsr_x86_seg){ 0 };
    if (f.ss.attr & VSR_SEG_DB)
        EMU_SET_R32(cpu, VSR_X86_RSP, f.esp);
    else
        EMU_R16(cpu, VSR_X86_RSP) = (uint16_t)f.esp;
    cpu->cpl = (uint8_t)f.cpl;
    cpu->regs[EMU_REG_RIP] = target;
    enter_flags(cpu, (type & 7) == GATE_INT16);
    emu_mode_update(cpu);
    emu_mmu_mode_changed(cpu);
}

void emu_deliver(emu_cpu *cpu, const emu_event *ev)
{
    if (!(cpu->cr0 & EMU_CR0_PE))
        deliver_real(cpu, ev);
    else if (emu_long_mode(cpu))
        deliver_long(cpu, ev);
    else
        deliver_legacy(cpu, ev);
}
