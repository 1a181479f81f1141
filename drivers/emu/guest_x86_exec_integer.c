/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer.c: finds the handler of an integer instruction.
 *
 * Threads: any; no state.
 */
#include "drivers/emu/guest_x86_operand.h"

/* Which way of reaching memory the operand allows, or 0: none but the slow. */
static unsigned fast_way(const emu_insn *insn)
{
    if (insn->mem & EMU_MEM_FLAT)
        return insn->index == EMU_REG_ZERO ? EMU_WAY_b : EMU_WAY_x;
    if (insn->flags & EMU_I_FLAT32)
        return EMU_WAY_f;
    /* Only 64-bit code has 64-bit addresses; there, a segment is its base. */
    return (insn->mem & EMU_MEM_ASIZE) == EMU_MEM_A64 ? EMU_WAY_s : 0;
}

emu_exec_fn *emu_pick(emu_form_table table, const emu_insn *insn)
{
    static const int8_t log2_size[9] = { -1, 0, 1, -1, 2, -1, -1, -1, 3 };
    static const int8_t memory_row[EMU_FORMS] = {
        [EMU_FORM_N] = -1,          [EMU_FORM_R] = -1,
        [EMU_FORM_M] = EMU_ROW_M,   [EMU_FORM_I] = -1,
        [EMU_FORM_RR] = -1,         [EMU_FORM_RM] = EMU_ROW_RM,
        [EMU_FORM_MR] = EMU_ROW_MR, [EMU_FORM_RI] = -1,
        [EMU_FORM_MI] = EMU_ROW_MI,
    };
    int size = insn->opsize > 8 ? -1 : log2_size[insn->opsize];
    unsigned way = fast_way(insn);
    int row = memory_row[insn->form];

    if (size < 0)
        return NULL;
    if (way != 0 && row >= 0 && table[way + (unsigned)row][size] != NULL)
        return table[way + (unsigned)row][size];
    return table[insn->form][size];
}

emu_exec_fn *emu_exec_find_integer(const emu_insn *insn)
{
    /* The most frequent families first. */
    static emu_exec_fn *(*const find[])(const emu_insn *) = {
        emu_find_mov,  emu_find_alu,    emu_find_stack,    emu_find_shift,
        emu_find_bits, emu_find_muldiv, emu_find_exchange, emu_find_misc,
    };

    if (insn->form >= EMU_FORMS)
        return NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(find); i++) {
        emu_exec_fn *exec = find[i](insn);

        if (exec != NULL)
            return exec;
    }
    return NULL;
}
