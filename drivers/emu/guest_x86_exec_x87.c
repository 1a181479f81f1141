/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_x87.c: stack faults and unmasked exceptions of the x87, and
 * which file knows an instruction.
 *
 * Spec: Intel SDM vol. 1, 8.5.1.1 "Stack Overflow or Underflow Exception".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_x87.h"

void x87_raised(emu_cpu *cpu)
{
    cpu->x87.sw |= EMU_SW_ES | EMU_SW_B;
    cpu->x87_blocked |= EMU_FP_MF;
}

bool x87_stack_fault(emu_cpu *cpu, bool overflow)
{
    cpu->x87.sw |= EMU_SW_IE | EMU_SW_SF;
    if (overflow)
        cpu->x87.sw |= EMU_SW_C1;
    else
        x87_clear_c1(cpu);
    if (cpu->x87.cw & EMU_SW_IE)
        return true;
    x87_raised(cpu);
    return false;
}

void x87_set_indefinite(emu_cpu *cpu, unsigned phys)
{
    cpu->x87.st[phys] = x87_indefinite();
    cpu->x87.valid |= (uint8_t)(1u << phys);
}

void x87_underflow(emu_cpu *cpu, unsigned phys, bool pop)
{
    if (!x87_stack_fault(cpu, false))
        return;
    x87_set_indefinite(cpu, phys);
    if (pop)
        x87_pop(cpu);
}

emu_exec_fn *emu_exec_find_x87(const emu_insn *insn)
{
    static emu_exec_fn *(*const files[])(const emu_insn *) = {
        emu_find_x87_arith, emu_find_x87_compare, emu_find_x87_move,
        emu_find_x87_math,  emu_find_x87_control,
    };
    emu_exec_fn *fn = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(files) && fn == NULL; i++)
        fn = files[i](insn);
    return fn;
}
