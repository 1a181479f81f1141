/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer_alu.c: ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC
 * NEG NOT.
 *
 * Spec:    Intel SDM vol. 2, chapters 3 and 4, the instructions' own pages.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_operand.h"

/* --- two operands, result to the first --- */

#define ALU_BINARY(op, bits)                                              \
    EMU_HANDLER(op##_rr##bits)                                            \
    {                                                                     \
        EMU_PUT(bits, insn->reg,                                          \
                emu_##op##bits(EMU_GET(bits, insn->reg),                  \
                               EMU_GET(bits, insn->rm), &cpu->cc));       \
        EMU_NEXT(cpu, insn);                                              \
    }                                                                     \
    EMU_HANDLER(op##_ri##bits)                                            \
    {                                                                     \
        EMU_PUT(bits, insn->reg,                                          \
                emu_##op##bits(EMU_GET(bits, insn->reg), EMU_IMM(bits),   \
                               &cpu->cc));                                \
        EMU_NEXT(cpu, insn);                                              \
    }                                                                     \
    EMU_ON_LOAD(                                                          \
        op##_rm, bits,                                                    \
        EMU_PUT(bits, insn->reg,                                          \
                emu_##op##bits(EMU_GET(bits, insn->reg), v, &cpu->cc)))   \
    EMU_ON_RMW(op##_mr, bits,                                             \
               emu_##op##bits(v, EMU_GET(bits, insn->reg), &cpu->cc))     \
    EMU_ON_RMW(op##_mi, bits, emu_##op##bits(v, EMU_IMM(bits), &cpu->cc)) \
    EMU_HANDLER(op##_lock_mr##bits)                                       \
    {                                                                     \
        uint##bits##_t b = EMU_GET(bits, insn->reg);                      \
                                                                          \
        EMU_RMW_LOCKED(bits, emu_##op##bits(v, b, &cpu->cc),              \
                       emu_lock_##op##bits(p, b, &cpu->cc));              \
        EMU_NEXT(cpu, insn);                                              \
    }                                                                     \
    EMU_HANDLER(op##_lock_mi##bits)                                       \
    {                                                                     \
        EMU_RMW_LOCKED(bits, emu_##op##bits(v, EMU_IMM(bits), &cpu->cc),  \
                       emu_lock_##op##bits(p, EMU_IMM(bits), &cpu->cc));  \
        EMU_NEXT(cpu, insn);                                              \
    }

#define ALU_BINARY_TABLES(op)                    \
    ALU_BINARY(op, 8)                            \
    ALU_BINARY(op, 16)                           \
    ALU_BINARY(op, 32)                           \
    ALU_BINARY(op, 64)                           \
    static emu_form_table op##_table = {         \
        [EMU_FORM_RR] = EMU_SIZES(op##_rr),      \
        [EMU_FORM_RI] = EMU_SIZES(op##_ri),      \
        EMU_FAMILY(RM, op##_rm),                 \
        EMU_FAMILY(MR, op##_mr),                 \
        EMU_FAMILY(MI, op##_mi),                 \
    };                                           \
    static emu_form_table op##_lock_table = {    \
        [EMU_FORM_MR] = EMU_SIZES(op##_lock_mr), \
        [EMU_FORM_MI] = EMU_SIZES(op##_lock_mi), \
    };

ALU_BINARY_TABLES(add)
ALU_BINARY_TABLES(or)
ALU_BINARY_TABLES(adc)
ALU_BINARY_TABLES(sbb)
ALU_BINARY_TABLES(and)
ALU_BINARY_TABLES(sub)
ALU_BINARY_TABLES(xor)

/* --- two operands, flags only --- */

#define ALU_COMPARE(op, bits)                                              \
    EMU_HANDLER(op##_rr##bits)                                             \
    {                                                                      \
        emu_##op##bits(EMU_GET(bits, insn->reg), EMU_GET(bits, insn->rm),  \
                       &cpu->cc);                                          \
        EMU_NEXT(cpu, insn);                                               \
    }                                                                      \
    EMU_HANDLER(op##_ri##bits)                                             \
    {                                                                      \
        emu_##op##bits(EMU_GET(bits, insn->reg), EMU_IMM(bits), &cpu->cc); \
        EMU_NEXT(cpu, insn);                                               \
    }                                                                      \
    EMU_ON_LOAD(op##_mr, bits,                                             \
                emu_##op##bits(v, EMU_GET(bits, insn->reg), &cpu->cc))     \
    EMU_ON_LOAD(op##_mi, bits, emu_##op##bits(v, EMU_IMM(bits), &cpu->cc))

ALU_COMPARE(cmp, 8)
ALU_COMPARE(cmp, 16)
ALU_COMPARE(cmp, 32)
ALU_COMPARE(cmp, 64)
ALU_COMPARE(test, 8)
ALU_COMPARE(test, 16)
ALU_COMPARE(test, 32)
ALU_COMPARE(test, 64)

/* TEST is symmetric: the decoder makes no RM of it. */
#define CMP_RM(bits)          \
    EMU_ON_LOAD(cmp_rm, bits, \
                emu_cmp##bits(EMU_GET(bits, insn->reg), v, &cpu->cc))
CMP_RM(8)
CMP_RM(16)
CMP_RM(32)
CMP_RM(64)

static emu_form_table cmp_table = {
    [EMU_FORM_RR] = EMU_SIZES(cmp_rr),
    [EMU_FORM_RI] = EMU_SIZES(cmp_ri),
    EMU_FAMILY(RM, cmp_rm),
    EMU_FAMILY(MR, cmp_mr),
    EMU_FAMILY(MI, cmp_mi),
};
static emu_form_table test_table = {
    [EMU_FORM_RR] = EMU_SIZES(test_rr),
    [EMU_FORM_RI] = EMU_SIZES(test_ri),
    EMU_FAMILY(MR, test_mr),
    EMU_FAMILY(MI, test_mi),
};

/* --- one operand --- */

#define ALU_UNARY(op, bits)                                          \
    EMU_HANDLER(op##_r##bits)                                        \
    {                                                                \
        EMU_PUT(bits, insn->reg,                                     \
                emu_##op##bits(EMU_GET(bits, insn->reg), &cpu->cc)); \
        EMU_NEXT(cpu, insn);                                         \
    }                                                                \
    EMU_ON_RMW(op##_m, bits, emu_##op##bits(v, &cpu->cc))            \
    EMU_HANDLER(op##_lock_m##bits)                                   \
    {                                                                \
        EMU_RMW_LOCKED(bits, emu_##op##bits(v, &cpu->cc),            \
                       emu_lock_##op##bits(p, &cpu->cc));            \
        EMU_NEXT(cpu, insn);                                         \
    }

/* NOT changes no flag. */
#define ALU_NOT(bits)                                                          \
    static inline uint##bits##_t emu_not##bits(uint##bits##_t a, uint16_t *cc) \
    {                                                                          \
        return (uint##bits##_t) ~a;                                            \
    }                                                                          \
    static inline void emu_lock_not##bits(void *p, uint16_t *cc)               \
    {                                                                          \
        __atomic_fetch_xor((uint##bits##_t *)p, (uint##bits##_t) ~(uint64_t)0, \
                           __ATOMIC_SEQ_CST);                                  \
    }
ALU_NOT(8)
ALU_NOT(16)
ALU_NOT(32)
ALU_NOT(64)

#define ALU_UNARY_TABLES(op)                   \
    ALU_UNARY(op, 8)                           \
    ALU_UNARY(op, 16)                          \
    ALU_UNARY(op, 32)                          \
    ALU_UNARY(op, 64)                          \
    static emu_form_table op##_table = {       \
        [EMU_FORM_R] = EMU_SIZES(op##_r),      \
        EMU_FAMILY(M, op##_m),                 \
    };                                         \
    static emu_form_table op##_lock_table = {  \
        [EMU_FORM_M] = EMU_SIZES(op##_lock_m), \
    };

ALU_UNARY_TABLES(inc)
ALU_UNARY_TABLES(dec)
ALU_UNARY_TABLES(neg)
ALU_UNARY_TABLES(not )

#define ALU_PICK(op) \
    emu_pick(insn->flags &EMU_I_LOCK ? op##_lock_table : op##_table, insn)

emu_exec_fn *emu_find_alu(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_ADD:
        return ALU_PICK(add);
    case EMU_OP_OR:
        return ALU_PICK(or);
    case EMU_OP_ADC:
        return ALU_PICK(adc);
    case EMU_OP_SBB:
        return ALU_PICK(sbb);
    case EMU_OP_AND:
        return ALU_PICK(and);
    case EMU_OP_SUB:
        return ALU_PICK(sub);
    case EMU_OP_XOR:
        return ALU_PICK(xor);
    case EMU_OP_CMP:
        return emu_pick(cmp_table, insn);
    case EMU_OP_TEST:
        return emu_pick(test_table, insn);
    case EMU_OP_INC:
        return ALU_PICK(inc);
    case EMU_OP_DEC:
        return ALU_PICK(dec);
    case EMU_OP_NEG:
        return ALU_PICK(neg);
    case EMU_OP_NOT:
        return ALU_PICK(not );
    default:
        return NULL;
    }
}
