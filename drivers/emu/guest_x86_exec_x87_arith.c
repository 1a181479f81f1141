/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_x87_arith.c: x87 addition, subtraction, multiplication and
 * division.
 *
 * Spec: Intel SDM vol. 2A, "FADD/FADDP/FIADD" and its kin.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_x87.h"

/* ST(reg) = ST(reg) op ST(rm); the destination is the host's ST. */
#define ARITH_REG(name, text, pop)                                            \
    X87_HANDLER(name)                                                         \
    {                                                                         \
        unsigned to = x87_phys(cpu, insn->reg);                               \
        unsigned from = x87_phys(cpu, insn->rm);                              \
        uint16_t sw;                                                          \
                                                                              \
        X87_GATE();                                                           \
        X87_NOTE();                                                           \
        if (G_UNLIKELY(!x87_valid(cpu, to) || !x87_valid(cpu, from))) {       \
            x87_underflow(cpu, to, pop);                                      \
            return;                                                           \
        }                                                                     \
        __asm__ volatile("fldt %[b]\n\t"                                      \
                         "fldt %[a]\n\t" text " %%st(1), %%st\n\t" X87_STATUS \
                         "fstpt %[a]\n\t"                                     \
                         "fstp %%st(0)"                                       \
                         : "=&a"(sw), [a] "+m"(cpu->x87.st[to])               \
                         : [b] "m"(cpu->x87.st[from])                         \
                         : "cc");                                             \
        if (x87_done(cpu, sw, EMU_SW_C1) && (pop))                            \
            x87_pop(cpu);                                                     \
    }

/* ST(0) = ST(0) op memory. */
#define ARITH_MEM(name, text, bits)                                  \
    X87_HANDLER(name)                                                \
    {                                                                \
        unsigned to = x87_phys(cpu, 0);                              \
        uint##bits##_t m;                                            \
        uint16_t sw;                                                 \
                                                                     \
        X87_GATE();                                                  \
        m = emu_load##bits(cpu, insn,                                \
                           emu_ea(cpu, insn, (bits) / 8, EMU_READ)); \
        X87_NOTE_MEM();                                              \
        if (G_UNLIKELY(!x87_valid(cpu, to))) {                       \
            x87_underflow(cpu, to, false);                           \
            return;                                                  \
        }                                                            \
        __asm__ volatile("fldt %[a]\n\t" text " %[m]\n\t" X87_STATUS \
                         "fstpt %[a]"                                \
                         : "=&a"(sw), [a] "+m"(cpu->x87.st[to])      \
                         : [m] "m"(m)                                \
                         : "cc");                                    \
        x87_done(cpu, sw, EMU_SW_C1);                                \
    }

#define ARITH(name)                              \
    ARITH_REG(f##name##_r, "f" #name, false)     \
    ARITH_REG(f##name##p, "f" #name, true)       \
    ARITH_MEM(f##name##_32, "f" #name "s", 32)   \
    ARITH_MEM(f##name##_64, "f" #name "l", 64)   \
    ARITH_MEM(fi##name##_16, "fi" #name "s", 16) \
    ARITH_MEM(fi##name##_32, "fi" #name "l", 32)

ARITH(add)
ARITH(mul)
ARITH(sub)
ARITH(subr)
ARITH(div)
ARITH(divr)

#define CASE(OP, name)                                          \
    case EMU_OP_F##OP:                                          \
        if (insn->form == EMU_FORM_RR)                          \
            return f##name##_r;                                 \
        return insn->opsize == 8 ? f##name##_64 : f##name##_32; \
    case EMU_OP_F##OP##P:                                       \
        return f##name##p;                                      \
    case EMU_OP_FI##OP:                                         \
        return insn->opsize == 2 ? fi##name##_16 : fi##name##_32

emu_exec_fn *emu_find_x87_arith(const emu_insn *insn)
{
    switch (insn->op) {
        CASE(ADD, add);
        CASE(MUL, mul);
        CASE(SUB, sub);
        CASE(SUBR, subr);
        CASE(DIV, div);
        CASE(DIVR, divr);
    default:
        return NULL;
    }
}
