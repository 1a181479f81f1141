/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_far.c: far JMP, CALL, RET and IRET.
 *
 * Spec:    Intel SDM vol. 2, "CALL", "JMP", "RET", "IRET/IRETD/IRETQ"; vol. 3A,
 *          5.8 "Privilege Level Checking When Transferring Program Control
 *          between Code Segments".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_segment.h"

enum {
    SYS_TSS16 = 0x1,
    SYS_CALL16 = 0x4,
    SYS_TASK_GATE = 0x5,
    SYS_TSS32 = 0x9,
    SYS_CALL32 = 0xc,
};

_Noreturn static void refuse(emu_cpu *cpu, const emu_insn *insn, int vector,
                             uint16_t selector)
{
    emu_raise_code(cpu, insn, vector, selector & 0xfffcu);
}

static bool in_vm86(const emu_cpu *cpu)
{
    return cpu->eflags & EMU_VM;
}

/* --- the current stack, without moving it --- */

static uint64_t stack_at(emu_cpu *cpu, const emu_insn *insn, int64_t depth,
                         unsigned size, emu_access access)
{
    uint64_t offset =
        (cpu->regs[VSR_X86_RSP] + (uint64_t)depth) & emu_stack_mask(cpu);

    return emu_segment_check(cpu, insn, VSR_X86_SS, offset, size, access);
}

static uint64_t stack_read(emu_cpu *cpu, const emu_insn *insn, int64_t depth,
                           unsigned size)
{
    return emu_load_as(cpu, insn, stack_at(cpu, insn, depth, size, EMU_READ),
                       size, cpu->cpl);
}

static void stack_write(emu_cpu *cpu, const emu_insn *insn, int64_t depth,
                        unsigned size, uint64_t value)
{
    emu_store_as(cpu, insn, stack_at(cpu, insn, depth, size, EMU_WRITE), size,
                 value, cpu->cpl);
}

/* rSP by the width that `mask` gives. */
static void set_sp(emu_cpu *cpu, uint64_t mask, uint64_t value)
{
    if (mask == 0xffff)
        EMU_R16(cpu, VSR_X86_RSP) = (uint16_t)value;
    else
        cpu->regs[VSR_X86_RSP] = value & mask;
}

/* --- code segments --- */

typedef enum {
    TO_DIRECT, /* JMP, CALL: same privilege */
    TO_GATE,   /* through a gate, RPL does not count; CALL may go inwards */
    TO_RETURN, /* RET, IRET: RPL is the new privilege */
} code_how;

static bool code_fits(const emu_cpu *cpu, const emu_desc *d, uint16_t sel,
                      code_how how, bool inwards)
{
    unsigned rpl = sel & 3, dpl = emu_desc_dpl(d);

    if (!emu_desc_is_code(d))
        return false;
    if (how == TO_RETURN)
        return emu_desc_conforming(d) ? dpl <= rpl : dpl == rpl;
    if (emu_desc_conforming(d))
        return dpl <= cpu->cpl;
    if (how == TO_DIRECT && rpl > cpu->cpl)
        return false;
    return inwards ? dpl <= cpu->cpl : dpl == cpu->cpl;
}

static bool is_64(const emu_cpu *cpu, const emu_desc *d)
{
    return emu_long_mode(cpu) && (d->hi & 0x200000);
}

static void check_code(emu_cpu *cpu, const emu_insn *insn, uint16_t sel,
                       const emu_desc *d, code_how how, bool inwards)
{
    if (!code_fits(cpu, d, sel, how, inwards))
        refuse(cpu, insn, EMU_GP, sel);
    /* L and D together mean nothing yet. */
    if (is_64(cpu, d) && (d->hi & 0x400000))
        refuse(cpu, insn, EMU_GP, sel);
    /* Gates of long mode lead to 64-bit code only. */
    if (how == TO_GATE && emu_long_mode(cpu) && !is_64(cpu, d))
        refuse(cpu, insn, EMU_GP, sel);
    if (!emu_desc_present(d))
        refuse(cpu, insn, EMU_NP, sel);
}

static void check_target(emu_cpu *cpu, const emu_insn *insn, const emu_desc *d,
                         uint64_t rip)
{
    if (is_64(cpu, d) ? !emu_canonical(rip) : rip > emu_desc_limit(d))
        refuse(cpu, insn, EMU_GP, 0);
}

static void enter_code(emu_cpu *cpu, const emu_insn *insn, uint16_t sel,
                       emu_desc *d, unsigned cpl)
{
    emu_desc_accessed(cpu, insn, sel, d);
    cpu->seg[VSR_X86_CS] = emu_desc_segment(d, (uint16_t)((sel & ~3) | cpl));
    cpu->cpl = (uint8_t)cpl;
    emu_mode_update(cpu);
    emu_mmu_mode_changed(cpu);
}

static void read_or_refuse(emu_cpu *cpu, const emu_insn *insn, uint16_t sel,
                           emu_desc *d)
{
    if ((sel & ~3) == 0)
        refuse(cpu, insn, EMU_GP, 0);
    if (!emu_desc_read(cpu, insn, sel, d))
        refuse(cpu, insn, EMU_GP, sel);
}

/* --- gates --- */

typedef struct {
    uint16_t selector;
    uint64_t offset;
    unsigned size;   /* of a stack slot */
    unsigned params; /* slots to copy */
} call_gate;

static call_gate gate_read(emu_cpu *cpu, const emu_insn *insn, uint16_t sel,
                           emu_desc *d)
{
    call_gate g = { .selector = (uint16_t)(d->lo >> 16), .size = 2 };

    g.offset = d->lo & 0xffff;
    g.params = d->hi & 0x1f;
    if (emu_desc_type(d) == SYS_CALL32) {
        g.offset |= d->hi & 0xffff0000;
        g.size = 4;
    }
    if (emu_long_mode(cpu)) {
        emu_desc_read_high(cpu, insn, sel, d);
        g.offset |= (uint64_t)d->base_hi << 32;
        g.size = 8;
        g.params = 0;
    }
    return g;
}

/* A system descriptor as target: which kind, privilege and presence checked. */
static unsigned system_target(emu_cpu *cpu, const emu_insn *insn, uint16_t sel,
                              const emu_desc *d)
{
    unsigned type = emu_desc_type(d);
    bool known =
        type == SYS_CALL32 ||
        (!emu_long_mode(cpu) && (type == SYS_CALL16 || type == SYS_TASK_GATE ||
                                 type == SYS_TSS16 || type == SYS_TSS32));

    if (!known || !emu_desc_system(d) || emu_desc_dpl(d) < cpu->cpl ||
        emu_desc_dpl(d) < (sel & 3u))
        refuse(cpu, insn, EMU_GP, sel);
    if (!emu_desc_present(d))
        refuse(cpu, insn, EMU_NP, sel);
    return type;
}

static uint64_t to_task(emu_cpu *cpu, const emu_insn *insn, uint16_t sel,
                        emu_desc *d, emu_task_why why)
{
    if (emu_desc_type(d) == SYS_TASK_GATE) {
        sel = (uint16_t)(d->lo >> 16);
        if ((sel & 4) || !emu_desc_read(cpu, insn, sel, d) ||
            !emu_desc_system(d) || (emu_desc_type(d) & 7) != SYS_TSS16)
            refuse(cpu, insn, EMU_GP, sel);
        if (!emu_desc_present(d))
            refuse(cpu, insn, EMU_NP, sel);
    } else if (sel & 4) {
        refuse(cpu, insn, EMU_GP, sel);
    }
    emu_task_switch(cpu, insn, sel, d, why, emu_next_rip(cpu, insn), NULL);
    return cpu->regs[EMU_REG_RIP];
}

/* --- real mode --- */

static void real_target(emu_cpu *cpu, const emu_insn *insn, uint64_t offset)
{
    if (offset > cpu->seg[VSR_X86_CS].limit)
        refuse(cpu, insn, EMU_GP, 0);
}

/* --- JMP --- */

uint64_t emu_far_jump(emu_cpu *cpu, const emu_insn *insn, uint16_t sel,
                      uint64_t offset)
{
    emu_desc d;
    unsigned type;
    call_gate g;

    if (!(cpu->mode & EMU_MODE_PROT)) {
        real_target(cpu, insn, offset);
        emu_segment_real(cpu, VSR_X86_CS, sel);
        return offset;
    }
    read_or_refuse(cpu, insn, sel, &d);
    if (!emu_desc_system(&d)) {
        check_code(cpu, insn, sel, &d, TO_DIRECT, false);
        check_target(cpu, insn, &d, offset);
        enter_code(cpu, insn, sel, &d, cpu->cpl);
        return offset;
    }
    type = system_target(cpu, insn, sel, &d);
    if (type != SYS_CALL16 && type != SYS_CALL32)
        return to_task(cpu, insn, sel, &d, EMU_TASK_JUMP);
    g = gate_read(cpu, insn, sel, &d);
    read_or_refuse(cpu, insn, g.selector, &d);
    check_code(cpu, insn, g.selector, &d, TO_GATE, false);
    check_target(cpu, insn, &d, g.offset);
    enter_code(cpu, insn, g.selector, &d, cpu->cpl);
    return g.offset;
}

/* --- CALL --- */

/* Pushes CS and the return address on the current stack; rSP moves with
 * set_sp() once nothing can fault any more. */
static void push_return(emu_cpu *cpu, const emu_insn *insn, unsigned size)
{
    int64_t slot = size;

    stack_write(cpu, insn, -slot, size, cpu->seg[VSR_X86_CS].selector);
    stack_write(cpu, insn, -2 * slot, size, emu_next_rip(cpu, insn));
}

/* The inner stack of ring `cpl`: *ss (legacy) and its pointer. */
static uint64_t inner_stack(emu_cpu *cpu, const emu_insn *insn, unsigned cpl,
                            vsr_x86_seg *ss)
{
    const vsr_x86_seg *tr = &cpu->seg[VSR_X86_TR];
    bool long_mode = emu_long_mode(cpu);
    bool is32 = tr->attr & 8;
    unsigned at = long_mode || is32 ? 4 + 8 * cpl : 2 + 4 * cpl;
    unsigned width = long_mode ? 8 : is32 ? 4 : 2;
    uint64_t sp;
    uint16_t sel;
    emu_desc d;

    if (at + width + (long_mode ? 0 : 2) - 1 > tr->limit)
        refuse(cpu, insn, EMU_TS, tr->selector);
    sp = emu_sys_load(cpu, insn, tr->base + at, width);
    if (long_mode) {
        *ss = (vsr_x86_seg){ .selector = (uint16_t)cpl };
        ss->attr = (uint16_t)(cpl << VSR_SEG_DPL_SHIFT);
        if (!emu_canonical(sp))
            refuse(cpu, insn, EMU_SS, 0);
        return sp;
    }
    sel = (uint16_t)emu_sys_load(cpu, insn, tr->base + at + width, 2);
    if ((sel & ~3) == 0)
        refuse(cpu, insn, EMU_TS, 0);
    if (!emu_desc_read(cpu, insn, sel, &d) || (sel & 3) != cpl ||
        emu_desc_dpl(&d) != cpl || !emu_desc_is_data(&d) || !emu_desc_rw(&d))
        refuse(cpu, insn, EMU_TS, sel);
    if (!emu_desc_present(&d))
        refuse(cpu, insn, EMU_SS, sel);
    emu_desc_accessed(cpu, insn, sel, &d);
    *ss = emu_desc_segment(&d, sel);
    return sp;
}

static void call_inwards(emu_cpu *cpu, const emu_insn *insn, const call_gate *g,
                         emu_desc *d)
{
    unsigned cpl = emu_desc_dpl(d);
    uint64_t frame[4 + 31];
    unsigned n = 0;
    vsr_x86_seg ss;
    uint64_t sp = inner_stack(cpu, insn, cpl, &ss);
    uint64_t mask = emu_long_mode(cpu)     ? ~UINT64_C(0)
                    : ss.attr & VSR_SEG_DB ? 0xffffffffu
                                           : 0xffffu;

    frame[n++] = cpu->seg[VSR_X86_SS].selector;
    frame[n++] = cpu->regs[VSR_X86_RSP];
    for (unsigned i = g->params; i > 0; i--)
        frame[n++] = stack_read(cpu, insn, (i - 1) * g->size, g->size);
    frame[n++] = cpu->seg[VSR_X86_CS].selector;
    frame[n++] = emu_next_rip(cpu, insn);
    check_target(cpu, insn, d, g->offset);

    if (!emu_long_mode(cpu)) {
        uint64_t bottom = (sp - (uint64_t)n * g->size) & mask;
        bool down = (ss.attr & 0xc) == 0x4;

        if (down ? bottom <= ss.limit
                 : bottom + (uint64_t)n * g->size - 1 > ss.limit)
            refuse(cpu, insn, EMU_SS, ss.selector);
    }
    for (unsigned i = 0; i < n; i++)
        emu_store_as(cpu, insn,
                     ss.base + ((sp - (uint64_t)(i + 1) * g->size) & mask),
                     g->size, frame[i], cpl);
    cpu->seg[VSR_X86_SS] = ss;
    enter_code(cpu, insn, g->selector, d, cpl);
    set_sp(cpu, mask, sp - (uint64_t)n * g->size);
}

uint64_t emu_far_call(emu_cpu *cpu, const emu_insn *insn, uint16_t sel,
                      uint64_t offset)
{
    uint64_t mask = emu_stack_mask(cpu), sp = cpu->regs[VSR_X86_RSP];
    emu_desc d;
    unsigned type;
    call_gate g;

    if (!(cpu->mode & EMU_MODE_PROT)) {
        real_target(cpu, insn, offset);
        push_return(cpu, insn, insn->opsize);
        set_sp(cpu, mask, sp - 2 * insn->opsize);
        emu_segment_real(cpu, VSR_X86_CS, sel);
        return offset;
    }
    read_or_refuse(cpu, insn, sel, &d);
    if (!emu_desc_system(&d)) {
        check_code(cpu, insn, sel, &d, TO_DIRECT, false);
        check_target(cpu, insn, &d, offset);
        push_return(cpu, insn, insn->opsize);
        enter_code(cpu, insn, sel, &d, cpu->cpl);
        set_sp(cpu, mask, sp - 2 * insn->opsize);
        return offset;
    }
    type = system_target(cpu, insn, sel, &d);
    if (type != SYS_CALL16 && type != SYS_CALL32)
        return to_task(cpu, insn, sel, &d, EMU_TASK_CALL);
    g = gate_read(cpu, insn, sel, &d);
    read_or_refuse(cpu, insn, g.selector, &d);
    check_code(cpu, insn, g.selector, &d, TO_GATE, true);
    if (!emu_desc_conforming(&d) && emu_desc_dpl(&d) < cpu->cpl) {
        call_inwards(cpu, insn, &g, &d);
        return g.offset;
    }
    check_target(cpu, insn, &d, g.offset);
    push_return(cpu, insn, g.size);
    enter_code(cpu, insn, g.selector, &d, cpu->cpl);
    set_sp(cpu, mask, sp - 2 * g.size);
    return g.offset;
}

/* --- returns --- */

/* Going outwards, segments the outer ring may not use become null. */
static void drop_segments(emu_cpu *cpu)
{
    static const uint8_t data[4] = { VSR_X86_ES, VSR_X86_DS, VSR_X86_FS,
                                     VSR_X86_GS };

    for (unsigned i = 0; i < 4; i++) {
        vsr_x86_seg *s = &cpu->seg[data[i]];
        unsigned dpl = (s->attr & VSR_SEG_DPL) >> VSR_SEG_DPL_SHIFT;
        bool conforming = (s->attr & 0xc) == 0xc;

        if ((s->attr & VSR_SEG_P) && dpl < cpu->cpl && !conforming) {
            s->selector = s->attr = 0; /* but the base of FS or GS counts */
            emu_mode_update(cpu);
        }
    }
}

/* The SS a return loads, checked for the new privilege. */
static vsr_x86_seg return_stack(emu_cpu *cpu, const emu_insn *insn,
                                uint16_t sel, unsigned cpl, bool to64)
{
    vsr_x86_seg ss = { .selector = sel };
    emu_desc d;

    if ((sel & ~3) == 0) {
        if (!to64 || cpl == 3 || (sel & 3) != cpl)
            refuse(cpu, insn, EMU_GP, 0);
        ss.attr = (uint16_t)(cpl << VSR_SEG_DPL_SHIFT);
        return ss;
    }
    if (!emu_desc_read(cpu, insn, sel, &d) || (sel & 3) != cpl ||
        emu_desc_dpl(&d) != cpl || !emu_desc_is_data(&d) || !emu_desc_rw(&d))
        refuse(cpu, insn, EMU_GP, sel);
    if (!emu_desc_present(&d))
        refuse(cpu, insn, EMU_SS, sel);
    emu_desc_accessed(cpu, insn, sel, &d);
    return emu_desc_segment(&d, sel);
}

static uint64_t mask_of(const emu_cpu *cpu, const vsr_x86_seg *ss)
{
    if (cpu->mode & EMU_MODE_CS64)
        return ~UINT64_C(0);
    return ss->attr & VSR_SEG_DB ? 0xffffffffu : 0xffffu;
}

uint64_t emu_far_return(emu_cpu *cpu, const emu_insn *insn, unsigned drop)
{
    unsigned size = insn->opsize, cpl;
    uint64_t rip = stack_read(cpu, insn, 0, size);
    uint16_t sel = (uint16_t)stack_read(cpu, insn, size, size);
    uint64_t mask = emu_stack_mask(cpu), sp = cpu->regs[VSR_X86_RSP];
    vsr_x86_seg ss;
    emu_desc d;

    if (!(cpu->mode & EMU_MODE_PROT)) {
        real_target(cpu, insn, rip);
        emu_segment_real(cpu, VSR_X86_CS, sel);
        set_sp(cpu, mask, sp + 2 * size + drop);
        return rip;
    }
    cpl = sel & 3;
    if (cpl < cpu->cpl)
        refuse(cpu, insn, EMU_GP, sel);
    read_or_refuse(cpu, insn, sel, &d);
    check_code(cpu, insn, sel, &d, TO_RETURN, false);
    check_target(cpu, insn, &d, rip);
    if (cpl == cpu->cpl) {
        enter_code(cpu, insn, sel, &d, cpl);
        set_sp(cpu, mask, sp + 2 * size + drop);
        return rip;
    }
    sp = stack_read(cpu, insn, 2 * size + drop, size);
    ss = return_stack(cpu, insn,
                      (uint16_t)stack_read(cpu, insn, 3 * size + drop, size),
                      cpl, is_64(cpu, &d));
    cpu->seg[VSR_X86_SS] = ss;
    enter_code(cpu, insn, sel, &d, cpl);
    set_sp(cpu, mask_of(cpu, &ss), sp + drop);
    drop_segments(cpu);
    return rip;
}

/* --- IRET --- */

static uint32_t iret_flags(const emu_cpu *cpu, unsigned size)
{
    uint32_t mask = EMU_ARITH | EMU_TF | EMU_DF | EMU_NT;
    unsigned iopl = (cpu->eflags & EMU_IOPL) >> EMU_IOPL_SHIFT;

    if (size > 2)
        mask |= EMU_RF | EMU_AC | EMU_ID;
    if (cpu->cpl <= iopl)
        mask |= EMU_IF;
    if (cpu->cpl == 0)
        mask |= EMU_IOPL | (size > 2 ? EMU_VIF | EMU_VIP : 0);
    return mask;
}

/* The NMI's handler is done. */
static void unmask_nmi(emu_cpu *cpu)
{
    cpu->nmi_masked = false;
    if (atomic_load(&cpu->nmis))
        atomic_fetch_or(&cpu->exit_request, EMU_EXIT_NMI);
}

static uint64_t iret_real(emu_cpu *cpu, const emu_insn *insn)
{
    unsigned size = insn->opsize;
    uint64_t rip = stack_read(cpu, insn, 0, size);
    uint16_t sel = (uint16_t)stack_read(cpu, insn, size, size);
    uint32_t flags = (uint32_t)stack_read(cpu, insn, 2 * size, size);
    uint32_t mask = EMU_ARITH | EMU_TF | EMU_IF | EMU_DF | EMU_NT;

    real_target(cpu, insn, rip);
    if (size > 2)
        mask |= EMU_RF | EMU_AC | EMU_ID;
    if (!in_vm86(cpu))
        mask |= EMU_IOPL;
    set_sp(cpu, emu_stack_mask(cpu), cpu->regs[VSR_X86_RSP] + 3 * size);
    emu_segment_real(cpu, VSR_X86_CS, sel);
    emu_set_eflags(cpu, flags, mask);
    unmask_nmi(cpu);
    return rip;
}

static uint64_t iret_to_vm86(emu_cpu *cpu, const emu_insn *insn, uint64_t rip,
                             uint16_t cs, uint32_t flags)
{
    static const uint8_t order[5] = { VSR_X86_SS, VSR_X86_ES, VSR_X86_DS,
                                      VSR_X86_FS, VSR_X86_GS };
    uint32_t esp = (uint32_t)stack_read(cpu, insn, 12, 4);
    uint16_t sel[5];

    for (unsigned i = 0; i < 5; i++)
        sel[i] = (uint16_t)stack_read(cpu, insn, 16 + 4 * i, 4);
    emu_set_eflags(cpu, flags, iret_flags(cpu, 4) | EMU_IF | EMU_IOPL | EMU_VM);
    EMU_SET_R32(cpu, VSR_X86_RSP, esp);
    emu_segment_real(cpu, VSR_X86_CS, cs);
    for (unsigned i = 0; i < 5; i++)
        emu_segment_real(cpu, order[i], sel[i]);
    emu_set_cpl(cpu, 3);
    emu_mode_update(cpu);
    unmask_nmi(cpu);
    return rip & 0xffff;
}

static uint64_t iret_from_task(emu_cpu *cpu, const emu_insn *insn)
{
    uint16_t sel =
        (uint16_t)emu_sys_load(cpu, insn, cpu->seg[VSR_X86_TR].base, 2);
    emu_desc d;

    if ((sel & 4) || !emu_desc_read(cpu, insn, sel, &d) ||
        !emu_desc_system(&d) || (emu_desc_type(&d) & 7) != 3)
        refuse(cpu, insn, EMU_TS, sel);
    if (!emu_desc_present(&d))
        refuse(cpu, insn, EMU_NP, sel);
    emu_task_switch(cpu, insn, sel, &d, EMU_TASK_IRET, emu_next_rip(cpu, insn),
                    NULL);
    unmask_nmi(cpu);
    return cpu->regs[EMU_REG_RIP];
}

uint64_t emu_iret(emu_cpu *cpu, const emu_insn *insn)
{
    unsigned size = insn->opsize, cpl;
    bool from64 = cpu->mode & EMU_MODE_CS64;
    uint64_t rip, sp = 0, mask;
    uint32_t flags, flags_mask;
    uint16_t sel;
    vsr_x86_seg ss;
    emu_desc d;
    bool outwards;

    if (in_vm86(cpu) && (cpu->eflags & EMU_IOPL) != EMU_IOPL)
        refuse(cpu, insn, EMU_GP, 0);
    if (!(cpu->mode & EMU_MODE_PROT))
        return iret_real(cpu, insn);
    if (cpu->eflags & EMU_NT) {
        if (emu_long_mode(cpu))
            refuse(cpu, insn, EMU_GP, 0);
        return iret_from_task(cpu, insn);
    }
    rip = stack_read(cpu, insn, 0, size);
    sel = (uint16_t)stack_read(cpu, insn, size, size);
    flags = (uint32_t)stack_read(cpu, insn, 2 * size, size);
    if ((flags & EMU_VM) && cpu->cpl == 0 && size == 4 && !emu_long_mode(cpu))
        return iret_to_vm86(cpu, insn, rip, sel, flags);

    cpl = sel & 3;
    if ((sel & ~3) == 0)
        refuse(cpu, insn, EMU_GP, 0);
    if (cpl < cpu->cpl)
        refuse(cpu, insn, EMU_GP, sel);
    read_or_refuse(cpu, insn, sel, &d);
    check_code(cpu, insn, sel, &d, TO_RETURN, false);
    check_target(cpu, insn, &d, rip);
    outwards = cpl != cpu->cpl;
    ss = cpu->seg[VSR_X86_SS];
    if (outwards || from64) {
        sp = stack_read(cpu, insn, 3 * size, size);
        ss = return_stack(cpu, insn,
                          (uint16_t)stack_read(cpu, insn, 4 * size, size), cpl,
                          is_64(cpu, &d));
    }
    mask = emu_stack_mask(cpu);
    flags_mask = iret_flags(cpu, size);

    if (outwards || from64) {
        cpu->seg[VSR_X86_SS] = ss;
        enter_code(cpu, insn, sel, &d, cpl);
        set_sp(cpu, mask_of(cpu, &ss), sp);
        if (outwards)
            drop_segments(cpu);
    } else {
        set_sp(cpu, mask, cpu->regs[VSR_X86_RSP] + 3 * size);
        enter_code(cpu, insn, sel, &d, cpl);
    }
    emu_set_eflags(cpu, flags, flags_mask);
    emu_mode_update(cpu);
    unmask_nmi(cpu);
    return rip;
}
