/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_x86_exec_system.h: what the system executors' files share. */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_EXEC_SYSTEM_H
#define VSR_DRIVERS_EMU_GUEST_X86_EXEC_SYSTEM_H

#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_segment.h"

/* None of them is worth a sibling call, and many could not be one. */
#undef EMU_NEXT
#define EMU_NEXT(cpu, insn) EMU_NEXT_LOOP(insn)

#define EMU_SYSTEM(name) \
    static const emu_insn *name(emu_cpu *cpu, const emu_insn *insn)

static inline bool emu_in_memory(const emu_insn *insn)
{
    return insn->form == EMU_FORM_M || insn->form == EMU_FORM_RM ||
           insn->form == EMU_FORM_MR || insn->form == EMU_FORM_MI;
}

static inline void emu_need_cpl0(emu_cpu *cpu, const emu_insn *insn)
{
    if (cpu->cpl != 0)
        emu_raise_code(cpu, insn, EMU_GP, 0);
}

/* General register `r` gets `value` at the operand size. */
static inline void emu_put_reg(emu_cpu *cpu, unsigned r, unsigned size,
                               uint64_t value)
{
    if (size == 2)
        EMU_R16(cpu, r) = (uint16_t)value;
    else if (size == 4)
        EMU_SET_R32(cpu, r, value);
    else
        EMU_R64(cpu, r) = value;
}

/* The 16-bit source: memory, or register `r`. */
static inline uint16_t emu_source16(emu_cpu *cpu, const emu_insn *insn,
                                    unsigned r)
{
    if (emu_in_memory(insn))
        return emu_load16(cpu, insn, emu_ea(cpu, insn, 2, EMU_READ));
    return EMU_R16(cpu, r);
}

/* To the next instruction; through the run loop if blocks differ there now. */
static inline const emu_insn *emu_go_on(emu_cpu *cpu, const emu_insn *insn,
                                        uint32_t old_mode)
{
    if (cpu->mode != old_mode || cpu->inhibit) {
        uint64_t rip = cpu->regs[EMU_REG_RIP] + insn->off + insn->len;

        if (!(old_mode & EMU_MODE_CS64))
            rip = old_mode & EMU_MODE_CS32 ? (uint32_t)rip : (uint16_t)rip;
        return emu_leave(cpu, rip);
    }
    EMU_NEXT(cpu, insn);
}

/* One look-up for each file; NULL: not mine. */
emu_exec_fn *emu_find_control(const emu_insn *insn);
emu_exec_fn *emu_find_machine(const emu_insn *insn);
emu_exec_fn *emu_find_segment(const emu_insn *insn);
emu_exec_fn *emu_find_descriptor(const emu_insn *insn);
emu_exec_fn *emu_find_far(const emu_insn *insn);

#endif
