/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_fused.c: a compare (test, decrement, …) and the conditional
 * branch behind it, in one handler.
 *
 * The flags are left in emu_cpu.cc as both instructions apart would leave them;
 * what is saved is one jump to a handler, and reading the flags back. Only the
 * pairs that compilers write often are here, for near-linked branches in
 * 64-bit or flat 32-bit code, where memory operands are plain base + disp.
 *
 * Spec:    Intel SDM vol. 1, appendix B.1 "Condition Codes".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_flow.h"
#include "drivers/emu/guest_x86_operand.h"

#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__) && \
    !defined(EMU_GENERIC_ALU)

/* To one of the links of the JCC, which is the instruction behind `insn`. */
static inline __attribute__((always_inline)) const emu_insn *branch(
    emu_cpu *cpu, const emu_insn *insn, bool taken)
{
    if (taken)
        return emu_go_near(cpu, emu_links_behind(insn + 1));
    return emu_go_near(cpu, emu_links_behind(insn + 1) + 1);
}

/* c: the condition's suffix, as in Jcc. */
#define FUSED_COMPARE(op, bits, s, q, c)                              \
    EMU_HANDLER(op##_rr##bits##_j##c)                                 \
    {                                                                 \
        bool taken;                                                   \
        uint16_t f;                                                   \
                                                                      \
        __asm__(#op s " %3, %2\n\tlahf\n\tseto %%al"                  \
                : "=a"(f), "=@cc" #c(taken)                           \
                : q(EMU_GET(bits, insn->reg)),                        \
                  q "m"(EMU_GET(bits, insn->rm)));                    \
        cpu->cc = f;                                                  \
        return branch(cpu, insn, taken);                              \
    }                                                                 \
    EMU_HANDLER(op##_ri##bits##_j##c)                                 \
    {                                                                 \
        bool taken;                                                   \
        uint16_t f;                                                   \
                                                                      \
        __asm__(#op s " %3, %2\n\tlahf\n\tseto %%al"                  \
                : "=a"(f), "=@cc" #c(taken)                           \
                : q "m"(EMU_GET(bits, insn->reg)), q(EMU_IMM(bits))); \
        cpu->cc = f;                                                  \
        return branch(cpu, insn, taken);                              \
    }                                                                 \
    EMU_HANDLER(op##_mi##bits##_j##c)                                 \
    {                                                                 \
        uint64_t la = EMU_ADDRESS_b;                                  \
        const void *p;                                                \
        bool taken;                                                   \
        uint16_t f;                                                   \
                                                                      \
        EMU_HOST_OR(op##_mi##bits##_slow, read_tag, bits, la, p);     \
        __asm__(#op s " %3, %2\n\tlahf\n\tseto %%al"                  \
                : "=a"(f), "=@cc" #c(taken)                           \
                : "m"(*(const uint##bits##_t *)p), q(EMU_IMM(bits))); \
        cpu->cc = f;                                                  \
        return branch(cpu, insn, taken);                              \
    }

#define FUSED_COMPARES(op, bits, s, q)                     \
    EMU_SLOW_HANDLER(op##_mi##bits##_slow)                 \
    {                                                      \
        uint##bits##_t v = EMU_LOAD(bits, EMU_EA_R(bits)); \
                                                           \
        emu_##op##bits(v, EMU_IMM(bits), &cpu->cc);        \
        EMU_NEXT(cpu, insn);                               \
    }                                                      \
    EMU_CONDITIONS(FUSED_COMPARE, op, bits, s, q)

/* Adds or subtracts 1 or an immediate, and the result decides. */
#define FUSED_ADD(op, bits, s, q, c)                  \
    EMU_HANDLER(op##_ri##bits##_j##c)                 \
    {                                                 \
        uint##bits##_t a = EMU_GET(bits, insn->reg);  \
        bool taken;                                   \
        uint16_t f;                                   \
                                                      \
        __asm__(#op s " %3, %1\n\tlahf\n\tseto %%al"  \
                : "=a"(f), "+" q(a), "=@cc" #c(taken) \
                : q(EMU_IMM(bits)));                  \
        cpu->cc = f;                                  \
        EMU_PUT(bits, insn->reg, a);                  \
        return branch(cpu, insn, taken);              \
    }

/* INC and DEC keep CF: no condition that reads it. */
#define FUSED_STEP(op, bits, s, q, c)                             \
    EMU_HANDLER(op##_r##bits##_j##c)                              \
    {                                                             \
        uint##bits##_t a = EMU_GET(bits, insn->reg);              \
        uint16_t f = cpu->cc;                                     \
        bool taken;                                               \
                                                                  \
        __asm__("bt $8, %k0\n\t" #op s " %1\n\tlahf\n\tseto %%al" \
                : "+a"(f), "+" q(a), "=@cc" #c(taken));           \
        cpu->cc = f;                                              \
        EMU_PUT(bits, insn->reg, a);                              \
        return branch(cpu, insn, taken);                          \
    }

#define EMU_CONDITIONS(make, op, bits, width, reg)                           \
    make(op, bits, width, reg, o) make(op, bits, width, reg, no)             \
        make(op, bits, width, reg, b) make(op, bits, width, reg, ae)         \
            make(op, bits, width, reg, e) make(op, bits, width, reg, ne)     \
                make(op, bits, width, reg, be) make(op, bits, width, reg, a) \
                    make(op, bits, width, reg, s)                            \
                        make(op, bits, width, reg, ns)                       \
                            make(op, bits, width, reg, p)                    \
                                make(op, bits, width, reg, np)               \
                                    make(op, bits, width, reg, l)            \
                                        make(op, bits, width, reg, ge)       \
                                            make(op, bits, width, reg, le)   \
                                                make(op, bits, width, reg, g)

FUSED_COMPARES(cmp, 8, "b", "q")
FUSED_COMPARES(cmp, 32, "l", "r")
FUSED_COMPARES(cmp, 64, "q", "r")
FUSED_COMPARES(test, 8, "b", "q")
FUSED_COMPARES(test, 32, "l", "r")
FUSED_COMPARES(test, 64, "q", "r")
EMU_CONDITIONS(FUSED_ADD, add, 32, "l", "r")
EMU_CONDITIONS(FUSED_ADD, add, 64, "q", "r")
EMU_CONDITIONS(FUSED_ADD, sub, 32, "l", "r")
EMU_CONDITIONS(FUSED_ADD, sub, 64, "q", "r")
EMU_CONDITIONS(FUSED_ADD, and, 32, "l", "r")
EMU_CONDITIONS(FUSED_ADD, and, 64, "q", "r")
EMU_CONDITIONS(FUSED_STEP, dec, 32, "l", "r")
EMU_CONDITIONS(FUSED_STEP, dec, 64, "q", "r")

typedef emu_exec_fn *const condition_table[16];

#define NAME(name, c) name##_j##c
#define TABLE(name)                                                    \
    static condition_table name##_table = {                            \
        NAME(name, o), NAME(name, no), NAME(name, b),  NAME(name, ae), \
        NAME(name, e), NAME(name, ne), NAME(name, be), NAME(name, a),  \
        NAME(name, s), NAME(name, ns), NAME(name, p),  NAME(name, np), \
        NAME(name, l), NAME(name, ge), NAME(name, le), NAME(name, g),  \
    };
#define TABLES(op, bits) \
    TABLE(op##_rr##bits) \
    TABLE(op##_ri##bits) \
    TABLE(op##_mi##bits)

TABLES(cmp, 8)
TABLES(cmp, 32)
TABLES(cmp, 64)
TABLES(test, 8)
TABLES(test, 32)
TABLES(test, 64)
TABLE(add_ri32)
TABLE(add_ri64)
TABLE(sub_ri32)
TABLE(sub_ri64)
TABLE(and_ri32)
TABLE(and_ri64)
TABLE(dec_r32)
TABLE(dec_r64)

#define PICK(name)                        \
    (insn->opsize == 8   ? name##64_table \
     : insn->opsize == 4 ? name##32_table \
                         : NULL)
#define PICK_BYTES(name) (insn->opsize == 1 ? name##8_table : PICK(name))

static emu_exec_fn *const *find(const emu_insn *insn)
{
    bool simple = insn->mem & EMU_MEM_FLAT && insn->index == EMU_REG_ZERO;

    switch (insn->op << 8 | insn->form) {
    case EMU_OP_CMP << 8 | EMU_FORM_RR:
        return PICK_BYTES(cmp_rr);
    case EMU_OP_CMP << 8 | EMU_FORM_RI:
        return PICK_BYTES(cmp_ri);
    case EMU_OP_CMP << 8 | EMU_FORM_MI:
        return simple ? PICK_BYTES(cmp_mi) : NULL;
    case EMU_OP_TEST << 8 | EMU_FORM_RR:
        return PICK_BYTES(test_rr);
    case EMU_OP_TEST << 8 | EMU_FORM_RI:
        return PICK_BYTES(test_ri);
    case EMU_OP_TEST << 8 | EMU_FORM_MI:
        return simple ? PICK_BYTES(test_mi) : NULL;
    case EMU_OP_ADD << 8 | EMU_FORM_RI:
        return PICK(add_ri);
    case EMU_OP_SUB << 8 | EMU_FORM_RI:
        return PICK(sub_ri);
    case EMU_OP_AND << 8 | EMU_FORM_RI:
        return PICK(and_ri);
    case EMU_OP_DEC << 8 | EMU_FORM_R:
        return PICK(dec_r);
    default:
        return NULL;
    }
}

emu_exec_fn *emu_exec_find_fused(const emu_insn *insn)
{
    emu_exec_fn *const *table = find(insn);

    return table != NULL ? table[insn[1].cond] : NULL;
}

#else

emu_exec_fn *emu_exec_find_fused(const emu_insn *insn)
{
    return NULL;
}

#endif
