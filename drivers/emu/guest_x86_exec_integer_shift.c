/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer_shift.c: SHL SHR SAR ROL ROR RCL RCR SHLD SHRD.
 *
 * A count of zero (after the mask to 5 or 6 bits) leaves operand and flags as
 * they were, except that a 32-bit register's upper half is cleared, and that a
 * memory operand is still accessed. RCL and RCR of bytes and words count
 * modulo 9 and 17 after the mask, flags included.
 *
 * Spec:    Intel SDM vol. 2, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD",
 *          "SHRD". Undefined: AF of shifts, OF for counts other than 1, SHLD
 *          and SHRD of words by more than 16: all as on the host.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_operand.h"

#define COUNT_MASK(bits) ((bits) == 64 ? 63 : 31)
#define COUNT_CL(bits)   (EMU_R8(cpu, 8) & COUNT_MASK(bits))
#define COUNT_IMM(bits)  ((uint8_t)insn->imm & COUNT_MASK(bits))

#define SHIFT_R(op, bits, name, count)               \
    EMU_HANDLER(op##_##name##bits)                   \
    {                                                \
        uint8_t n = count;                           \
        uint##bits##_t v = EMU_GET(bits, insn->reg); \
                                                     \
        if (G_LIKELY(n != 0))                        \
            v = emu_##op##bits(v, n, &cpu->cc);      \
        EMU_PUT(bits, insn->reg, v);                 \
        EMU_NEXT(cpu, insn);                         \
    }
#define SHIFT_M(op, bits, name, count) \
    EMU_ON_RMW(op##_##name, bits,      \
               (count) != 0 ? emu_##op##bits(v, count, &cpu->cc) : v)

#define SHIFT(op, bits)                    \
    SHIFT_R(op, bits, r, COUNT_CL(bits))   \
    SHIFT_R(op, bits, ri, COUNT_IMM(bits)) \
    SHIFT_M(op, bits, m, COUNT_CL(bits))   \
    SHIFT_M(op, bits, mi, COUNT_IMM(bits))

#define SHIFT_TABLES(op)                    \
    SHIFT(op, 8)                            \
    SHIFT(op, 16)                           \
    SHIFT(op, 32)                           \
    SHIFT(op, 64)                           \
    static emu_form_table op##_table = {    \
        [EMU_FORM_R] = EMU_SIZES(op##_r),   \
        [EMU_FORM_RI] = EMU_SIZES(op##_ri), \
        EMU_FAMILY(M, op##_m),              \
        EMU_FAMILY(MI, op##_mi),            \
    };

SHIFT_TABLES(shl)
SHIFT_TABLES(shr)
SHIFT_TABLES(sar)
SHIFT_TABLES(rol)
SHIFT_TABLES(ror)
SHIFT_TABLES(rcl)
SHIFT_TABLES(rcr)

/* --- SHLD, SHRD: the bits shifted in come from a register --- */

#define DOUBLE_SHIFT_RR(op, bits, name, count)                           \
    EMU_HANDLER(op##name##_rr##bits)                                     \
    {                                                                    \
        uint8_t n = count;                                               \
        uint##bits##_t v = EMU_GET(bits, insn->reg);                     \
                                                                         \
        if (G_LIKELY(n != 0))                                            \
            v = emu_##op##bits(v, EMU_GET(bits, insn->rm), n, &cpu->cc); \
        EMU_PUT(bits, insn->reg, v);                                     \
        EMU_NEXT(cpu, insn);                                             \
    }
#define DOUBLE_SHIFT_MR(op, bits, name, count)                           \
    EMU_HANDLER(op##name##_mr##bits)                                     \
    {                                                                    \
        uint8_t n = count;                                               \
        uint##bits##_t src = EMU_GET(bits, insn->reg);                   \
                                                                         \
        EMU_RMW(bits, n != 0 ? emu_##op##bits(v, src, n, &cpu->cc) : v); \
        EMU_NEXT(cpu, insn);                                             \
    }
#define DOUBLE_SHIFT(op, bits)                     \
    DOUBLE_SHIFT_RR(op, bits, _i, COUNT_IMM(bits)) \
    DOUBLE_SHIFT_MR(op, bits, _i, COUNT_IMM(bits)) \
    DOUBLE_SHIFT_RR(op, bits, _cl, COUNT_CL(bits)) \
    DOUBLE_SHIFT_MR(op, bits, _cl, COUNT_CL(bits))
#define DOUBLE_SHIFT_TABLES(op)                     \
    DOUBLE_SHIFT(op, 16)                            \
    DOUBLE_SHIFT(op, 32)                            \
    DOUBLE_SHIFT(op, 64)                            \
    static emu_form_table op##_i_table = {          \
        [EMU_FORM_RR] = EMU_WORD_SIZES(op##_i_rr),  \
        [EMU_FORM_MR] = EMU_WORD_SIZES(op##_i_mr),  \
    };                                              \
    static emu_form_table op##_cl_table = {         \
        [EMU_FORM_RR] = EMU_WORD_SIZES(op##_cl_rr), \
        [EMU_FORM_MR] = EMU_WORD_SIZES(op##_cl_mr), \
    };

DOUBLE_SHIFT_TABLES(shld)
DOUBLE_SHIFT_TABLES(shrd)

emu_exec_fn *emu_find_shift(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_SHL:
        return emu_pick(shl_table, insn);
    case EMU_OP_SHR:
        return emu_pick(shr_table, insn);
    case EMU_OP_SAR:
        return emu_pick(sar_table, insn);
    case EMU_OP_ROL:
        return emu_pick(rol_table, insn);
    case EMU_OP_ROR:
        return emu_pick(ror_table, insn);
    case EMU_OP_RCL:
        return emu_pick(rcl_table, insn);
    case EMU_OP_RCR:
        return emu_pick(rcr_table, insn);
    case EMU_OP_SHLD:
        return emu_pick(shld_i_table, insn);
    case EMU_OP_SHRD:
        return emu_pick(shrd_i_table, insn);
    case EMU_OP_SHLD_CL:
        return emu_pick(shld_cl_table, insn);
    case EMU_OP_SHRD_CL:
        return emu_pick(shrd_cl_table, insn);
    default:
        return NULL;
    }
}
