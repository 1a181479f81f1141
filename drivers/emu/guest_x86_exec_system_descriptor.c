/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_system_descriptor.c: descriptor tables, and asking about
 * descriptors.
 *
 * Spec:    Intel SDM vol. 2, "LGDT/LIDT", "SGDT", "SIDT", "LLDT", "LTR", "SLDT",
 *          "STR", "LAR", "LSL", "VERR/VERW", "ARPL".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_control.h"
#include "drivers/emu/guest_x86_exec_system.h"
#include "drivers/emu/guest_x86_flags.h"

_Noreturn static void gp(emu_cpu *cpu, const emu_insn *insn, uint16_t selector)
{
    emu_raise_code(cpu, insn, EMU_GP, selector & 0xfffcu);
}

static void need_protected(emu_cpu *cpu, const emu_insn *insn)
{
    if (!(cpu->mode & EMU_MODE_PROT))
        emu_raise(cpu, insn, EMU_UD);
}

static void set_zf(emu_cpu *cpu, bool on)
{
    emu_set_eflags(cpu, on ? EMU_ZF : 0, EMU_ZF);
}

/* --- GDTR, IDTR --- */

static const emu_insn *store_table(emu_cpu *cpu, const emu_insn *insn,
                                   const vsr_x86_dtable *table)
{
    unsigned size = insn->opsize == 8 ? 8 : 4;
    uint8_t bytes[10];
    uint16_t limit = (uint16_t)table->limit;
    uint64_t la;

    emu_need_umip(cpu, insn);
    la = emu_ea(cpu, insn, 2 + size, EMU_WRITE);
    memcpy(bytes, &limit, 2);
    memcpy(bytes + 2, &table->base, size);
    emu_store_bytes(cpu, insn, la, bytes, 2 + size);
    EMU_NEXT(cpu, insn);
}

static const emu_insn *load_table(emu_cpu *cpu, const emu_insn *insn,
                                  vsr_x86_dtable *table)
{
    unsigned size = insn->opsize == 8 ? 8 : 4;
    uint8_t bytes[10];
    uint16_t limit;
    uint64_t base = 0;

    emu_need_cpl0(cpu, insn);
    emu_load_bytes(cpu, insn, emu_ea(cpu, insn, 2 + size, EMU_READ), bytes,
                   2 + size);
    memcpy(&limit, bytes, 2);
    memcpy(&base, bytes + 2, size);
    if (insn->opsize == 2)
        base &= 0xffffff;
    if (!emu_canonical(base) && size == 8)
        gp(cpu, insn, 0);
    table->base = base;
    table->limit = limit;
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(sgdt)
{
    return store_table(cpu, insn, &cpu->gdt);
}

EMU_SYSTEM(sidt)
{
    return store_table(cpu, insn, &cpu->idt);
}

EMU_SYSTEM(lgdt)
{
    return load_table(cpu, insn, &cpu->gdt);
}

EMU_SYSTEM(lidt)
{
    return load_table(cpu, insn, &cpu->idt);
}

/* --- LDTR, TR --- */

static const emu_insn *store_selector(emu_cpu *cpu, const emu_insn *insn,
                                      uint16_t selector)
{
    need_protected(cpu, insn);
    emu_need_umip(cpu, insn);
    if (emu_in_memory(insn))
        emu_store16(cpu, insn, emu_ea(cpu, insn, 2, EMU_WRITE), selector);
    else
        emu_put_reg(cpu, insn->reg, insn->opsize, selector);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(sldt)
{
    return store_selector(cpu, insn, cpu->seg[VSR_X86_LDTR].selector);
}

EMU_SYSTEM(str)
{
    return store_selector(cpu, insn, cpu->seg[VSR_X86_TR].selector);
}

/* A system descriptor of the GDT, of the type `type` (ignoring `ignore`). */
static emu_desc system_desc(emu_cpu *cpu, const emu_insn *insn,
                            uint16_t selector, unsigned type, unsigned ignore)
{
    emu_desc d;

    if ((selector & 4) || !emu_desc_read(cpu, insn, selector, &d))
        gp(cpu, insn, selector);
    if (!emu_desc_system(&d) || (emu_desc_type(&d) & ~ignore) != type)
        gp(cpu, insn, selector);
    if (emu_long_mode(cpu))
        emu_desc_read_high(cpu, insn, selector, &d);
    if (!emu_desc_present(&d))
        emu_raise_code(cpu, insn, EMU_NP, selector & 0xfffcu);
    return d;
}

EMU_SYSTEM(lldt)
{
    uint16_t selector;
    emu_desc d;

    need_protected(cpu, insn);
    emu_need_cpl0(cpu, insn);
    selector = emu_source16(cpu, insn, insn->reg);
    if ((selector & ~3) == 0) {
        cpu->seg[VSR_X86_LDTR] = (vsr_x86_seg){ .selector = selector };
        EMU_NEXT(cpu, insn);
    }
    d = system_desc(cpu, insn, selector, 2, 0);
    cpu->seg[VSR_X86_LDTR] = emu_desc_segment(&d, selector);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(ltr)
{
    uint16_t selector;
    emu_desc d;

    need_protected(cpu, insn);
    emu_need_cpl0(cpu, insn);
    selector = emu_source16(cpu, insn, insn->reg);
    if ((selector & ~3) == 0)
        gp(cpu, insn, 0);
    /* An available TSS; long mode knows only the 64-bit one. */
    d = system_desc(cpu, insn, selector, emu_long_mode(cpu) ? 9 : 1,
                    emu_long_mode(cpu) ? 0 : 8);
    d.hi |= 0x200; /* busy */
    emu_sys_store(cpu, insn, cpu->gdt.base + (selector & ~7u) + 5, 1,
                  d.hi >> 8 & 0xff);
    cpu->seg[VSR_X86_TR] = emu_desc_segment(&d, selector);
    EMU_NEXT(cpu, insn);
}

/* --- questions --- */

/* May the current privilege look at the descriptor at all? */
static bool visible(const emu_cpu *cpu, const emu_desc *d, uint16_t selector)
{
    if (emu_desc_is_code(d) && emu_desc_conforming(d))
        return true;
    return emu_desc_dpl(d) >= MAX(cpu->cpl, selector & 3u);
}

/* System types LAR and LSL know, one bit each. */
static bool known_system(const emu_cpu *cpu, const emu_desc *d, bool gates)
{
    unsigned types;

    if (emu_long_mode(cpu))
        types = 1u << 2 | 1u << 9 | 1u << 11 | (gates ? 1u << 12 : 0);
    else
        types = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 9 | 1u << 11 |
                (gates ? 1u << 4 | 1u << 5 | 1u << 12 : 0);
    return types >> emu_desc_type(d) & 1;
}

static bool examine(emu_cpu *cpu, const emu_insn *insn, bool gates, emu_desc *d)
{
    uint16_t selector;

    need_protected(cpu, insn);
    selector = emu_source16(cpu, insn, insn->rm);
    if (!emu_desc_read(cpu, insn, selector, d) || !visible(cpu, d, selector))
        return false;
    return !emu_desc_system(d) || known_system(cpu, d, gates);
}

EMU_SYSTEM(lar)
{
    emu_desc d;
    bool ok = examine(cpu, insn, true, &d);

    if (ok)
        emu_put_reg(cpu, insn->reg, insn->opsize, d.hi & 0x00ffff00);
    set_zf(cpu, ok);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(lsl)
{
    emu_desc d;
    bool ok = examine(cpu, insn, false, &d);

    if (ok)
        emu_put_reg(cpu, insn->reg, insn->opsize, emu_desc_limit(&d));
    set_zf(cpu, ok);
    EMU_NEXT(cpu, insn);
}

static const emu_insn *verify(emu_cpu *cpu, const emu_insn *insn, bool write)
{
    uint16_t selector;
    emu_desc d;
    bool ok;

    need_protected(cpu, insn);
    selector = emu_source16(cpu, insn, insn->reg);
    ok = emu_desc_read(cpu, insn, selector, &d) && !emu_desc_system(&d) &&
         visible(cpu, &d, selector);
    if (ok)
        ok = write ? emu_desc_is_data(&d) && emu_desc_rw(&d)
                   : emu_desc_is_data(&d) || emu_desc_rw(&d);
    set_zf(cpu, ok);
    EMU_NEXT(cpu, insn);
}

EMU_SYSTEM(verr)
{
    return verify(cpu, insn, false);
}

EMU_SYSTEM(verw)
{
    return verify(cpu, insn, true);
}

EMU_SYSTEM(arpl)
{
    uint16_t rpl, value;
    uint64_t la = 0;

    need_protected(cpu, insn);
    if (emu_in_memory(insn)) {
        la = emu_ea(cpu, insn, 2, EMU_RMW);
        value = emu_load16(cpu, insn, la);
        rpl = EMU_R16(cpu, insn->reg) & 3;
    } else {
        value = EMU_R16(cpu, insn->reg);
        rpl = EMU_R16(cpu, insn->rm) & 3;
    }
    if ((value & 3) >= rpl) {
        set_zf(cpu, false);
        EMU_NEXT(cpu, insn);
    }
    value = (uint16_t)((value & ~3) | rpl);
    if (emu_in_memory(insn))
        emu_store16(cpu, insn, la, value);
    else
        EMU_R16(cpu, insn->reg) = value;
    set_zf(cpu, true);
    EMU_NEXT(cpu, insn);
}

emu_exec_fn *emu_find_descriptor(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_SGDT:
        return sgdt;
    case EMU_OP_SIDT:
        return sidt;
    case EMU_OP_LGDT:
        return lgdt;
    case EMU_OP_LIDT:
        return lidt;
    case EMU_OP_SLDT:
        return sldt;
    case EMU_OP_STR:
        return str;
    case EMU_OP_LLDT:
        return lldt;
    case EMU_OP_LTR:
        return ltr;
    case EMU_OP_LAR:
        return lar;
    case EMU_OP_LSL:
        return lsl;
    case EMU_OP_VERR:
        return verr;
    case EMU_OP_VERW:
        return verw;
    case EMU_OP_ARPL:
        return arpl;
    default:
        return NULL;
    }
}
