/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_x87_math.c: x87 functions of one and two registers.
 *
 * Spec: Intel SDM vol. 2A, "F2XM1", "FABS", "FCHS", "FCOS" to "FYL2XP1"; vol.
 *       1, 8.3.10 "Transcendental Instruction Accuracy".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_x87.h"

#define SIGN 0x8000

/* ST(0) = f(ST(0)). FSIN and FCOS set C2 for an operand out of range. */
#define UNARY(name, cc)                                                       \
    X87_HANDLER(name)                                                         \
    {                                                                         \
        unsigned a = x87_phys(cpu, 0);                                        \
        uint16_t sw;                                                          \
                                                                              \
        X87_GATE();                                                           \
        X87_NOTE();                                                           \
        if (G_UNLIKELY(!x87_valid(cpu, a))) {                                 \
            cpu->x87.sw &= (uint16_t) ~(cc);                                  \
            x87_underflow(cpu, a, false);                                     \
            return;                                                           \
        }                                                                     \
        __asm__ volatile("fldt %[a]\n\t" #name "\n\t" X87_STATUS "fstpt %[a]" \
                         : "=&a"(sw), [a] "+m"(cpu->x87.st[a])                \
                         :                                                    \
                         : "cc");                                             \
        x87_done(cpu, sw, cc);                                                \
    }

UNARY(fsqrt, EMU_SW_C1)
UNARY(frndint, EMU_SW_C1)
UNARY(f2xm1, EMU_SW_C1)
UNARY(fsin, EMU_SW_C1 | EMU_SW_C2)
UNARY(fcos, EMU_SW_C1 | EMU_SW_C2)

/* Without a quotient C0 and C3 stay. */
static inline uint16_t conditions(const emu_cpu *cpu, uint16_t sw, uint16_t cc)
{
    if (G_UNLIKELY(sw & ~cpu->x87.cw & EMU_SW_PRE))
        return cc & (EMU_SW_C1 | EMU_SW_C2);
    return cc;
}

/* ST(0) = f(ST(0), ST(1)); FPREM leaves the quotient's low bits in C0..C3. */
#define BINARY(name, cc, cleared)                                   \
    X87_HANDLER(name)                                               \
    {                                                               \
        unsigned a = x87_phys(cpu, 0);                              \
        unsigned b = x87_phys(cpu, 1);                              \
        uint16_t sw;                                                \
                                                                    \
        X87_GATE();                                                 \
        X87_NOTE();                                                 \
        if (G_UNLIKELY(!x87_valid(cpu, a) || !x87_valid(cpu, b))) { \
            cpu->x87.sw &= (uint16_t) ~(cleared);                   \
            x87_underflow(cpu, a, false);                           \
            return;                                                 \
        }                                                           \
        __asm__ volatile("fldt %[b]\n\t"                            \
                         "fldt %[a]\n\t" #name "\n\t" X87_STATUS    \
                         "fstpt %[a]\n\t"                           \
                         "fstp %%st(0)"                             \
                         : "=&a"(sw), [a] "+m"(cpu->x87.st[a])      \
                         : [b] "m"(cpu->x87.st[b])                  \
                         : "cc");                                   \
        x87_done(cpu, sw, conditions(cpu, sw, cc));                 \
    }

BINARY(fscale, EMU_SW_C1, EMU_SW_C1)
BINARY(fprem, EMU_SW_CC, EMU_SW_C2)
BINARY(fprem1, EMU_SW_CC, EMU_SW_C2)

/* ST(1) = f(ST(0), ST(1)), then a pop, which the host does too unless an
 * unmasked exception came first. */
#define BINARY_POP(name)                                            \
    X87_HANDLER(name)                                               \
    {                                                               \
        unsigned a = x87_phys(cpu, 0);                              \
        unsigned b = x87_phys(cpu, 1);                              \
        uint16_t sw;                                                \
                                                                    \
        X87_GATE();                                                 \
        X87_NOTE();                                                 \
        if (G_UNLIKELY(!x87_valid(cpu, a) || !x87_valid(cpu, b))) { \
            x87_underflow(cpu, b, true);                            \
            return;                                                 \
        }                                                           \
        __asm__ volatile("fldt %[b]\n\t"                            \
                         "fldt %[a]\n\t" #name "\n\t" X87_STATUS    \
                         "testb $8, %%ah\n\t"                       \
                         "jnz 2f\n\t"                               \
                         "fstp %%st(0)\n"                           \
                         "2:\n\t"                                   \
                         "fstpt %[b]"                               \
                         : "=&a"(sw), [b] "+m"(cpu->x87.st[b])      \
                         : [a] "m"(cpu->x87.st[a])                  \
                         : "cc");                                   \
        x87_done(cpu, sw, EMU_SW_C1);                               \
        if (G_LIKELY(sw & X87_TOP_ODD))                             \
            x87_pop(cpu);                                           \
    }

BINARY_POP(fyl2x)
BINARY_POP(fyl2xp1)
BINARY_POP(fpatan)

/* ST(0) is replaced and a second result pushed; not so if the operand is out
 * of range (C2) or on an unmasked exception. */
#define TWO_RESULTS(name, cc)                                            \
    X87_HANDLER(name)                                                    \
    {                                                                    \
        unsigned a = x87_phys(cpu, 0);                                   \
        bool empty = !x87_valid(cpu, a);                                 \
        bool over = x87_valid(cpu, x87_phys(cpu, 7));                    \
        emu_f80 second;                                                  \
        uint16_t sw;                                                     \
                                                                         \
        X87_GATE();                                                      \
        X87_NOTE();                                                      \
        if (G_UNLIKELY(empty || over)) {                                 \
            cpu->x87.sw &= (uint16_t) ~(cc);                             \
            if (x87_stack_fault(cpu, !empty)) {                          \
                x87_set_indefinite(cpu, a);                              \
                x87_push(cpu);                                           \
                x87_set_indefinite(cpu, cpu->x87.top);                   \
            }                                                            \
            return;                                                      \
        }                                                                \
        __asm__ volatile(                                                \
            "fldt %[a]\n\t" #name "\n\t" X87_STATUS "testb $8, %%ah\n\t" \
            "jnz 2f\n\t"                                                 \
            "fstpt %[second]\n"                                          \
            "2:\n\t"                                                     \
            "fstpt %[a]"                                                 \
            : "=&a"(sw), [a] "+m"(cpu->x87.st[a]), [second] "=m"(second) \
            :                                                            \
            : "cc");                                                     \
        x87_done(cpu, sw, cc);                                           \
        if (!(sw & X87_TOP_ODD))                                         \
            x87_copy(x87_push(cpu), &second);                            \
    }

TWO_RESULTS(fptan, EMU_SW_C1 | EMU_SW_C2)
TWO_RESULTS(fsincos, EMU_SW_C1 | EMU_SW_C2)
TWO_RESULTS(fxtract, EMU_SW_C1)

/* The sign alone. */
X87_HANDLER(fchs)
{
    unsigned a = x87_phys(cpu, 0);

    X87_GATE();
    X87_NOTE();
    if (G_UNLIKELY(!x87_valid(cpu, a))) {
        x87_underflow(cpu, a, false);
    } else {
        x87_clear_c1(cpu);
        cpu->x87.st[a].exponent ^= SIGN;
    }
}

X87_HANDLER(fabs_)
{
    unsigned a = x87_phys(cpu, 0);

    X87_GATE();
    X87_NOTE();
    if (G_UNLIKELY(!x87_valid(cpu, a))) {
        x87_underflow(cpu, a, false);
    } else {
        x87_clear_c1(cpu);
        cpu->x87.st[a].exponent &= (uint16_t)~SIGN;
    }
}

emu_exec_fn *emu_find_x87_math(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_FSQRT:
        return fsqrt;
    case EMU_OP_FRNDINT:
        return frndint;
    case EMU_OP_F2XM1:
        return f2xm1;
    case EMU_OP_FSIN:
        return fsin;
    case EMU_OP_FCOS:
        return fcos;
    case EMU_OP_FSCALE:
        return fscale;
    case EMU_OP_FPREM:
        return fprem;
    case EMU_OP_FPREM1:
        return fprem1;
    case EMU_OP_FYL2X:
        return fyl2x;
    case EMU_OP_FYL2XP1:
        return fyl2xp1;
    case EMU_OP_FPATAN:
        return fpatan;
    case EMU_OP_FPTAN:
        return fptan;
    case EMU_OP_FSINCOS:
        return fsincos;
    case EMU_OP_FXTRACT:
        return fxtract;
    case EMU_OP_FCHS:
        return fchs;
    case EMU_OP_FABS:
        return fabs_;
    default:
        return NULL;
    }
}
