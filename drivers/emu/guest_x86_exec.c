/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec.c: which handler runs an instruction.
 *
 * Threads: any.
 */
#include "drivers/emu/guest_x86_exec.h"

#include "drivers/emu/guest_x86_exec_flow.h"

const emu_insn *emu_exec_invalid(emu_cpu *cpu, const emu_insn *insn)
{
    emu_raise(cpu, insn, EMU_UD);
}

const emu_insn *emu_exec_too_long(emu_cpu *cpu, const emu_insn *insn)
{
    emu_raise_code(cpu, insn, EMU_GP, 0);
}

emu_exec_fn *emu_exec_find(const emu_insn *insn)
{
    static emu_exec_fn *(*const families[])(const emu_insn *) = {
        emu_exec_find_integer, emu_exec_find_flow, emu_exec_find_string,
        emu_exec_find_system,  emu_exec_find_sse,  emu_exec_find_x87,
    };

    if (insn->op == EMU_OP_INVALID)
        return emu_exec_invalid;
    for (unsigned i = 0; i < G_N_ELEMENTS(families); i++) {
        emu_exec_fn *exec = families[i](insn);

        if (exec != NULL)
            return exec;
    }
    return emu_exec_invalid;
}
