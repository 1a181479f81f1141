/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_x87_compare.c: x87 comparison and classification.
 *
 * Spec: Intel SDM vol. 2A, "FCOM/FCOMP/FCOMPP", "FCOMI", "FICOM", "FTST",
 *       "FUCOM", "FXAM".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_x87.h"

/* Nothing is popped when an unmasked exception stopped the comparison; an
 * invalid one has set "unordered" (AMD; on Intel's processors C0..C3 stay). */
static void finish(emu_cpu *cpu, uint16_t sw, unsigned pops)
{
    if (!x87_done(cpu, sw, EMU_SW_CC)) {
        if (sw & ~cpu->x87.cw & EMU_SW_IE)
            cpu->x87.sw |= EMU_SW_C0 | EMU_SW_C2 | EMU_SW_C3;
        return;
    }
    while (pops-- > 0)
        x87_pop(cpu);
}

/* An empty operand compares as unordered. */
static void unordered(emu_cpu *cpu, unsigned pops)
{
    bool masked = x87_stack_fault(cpu, false);

    cpu->x87.sw |= EMU_SW_C0 | EMU_SW_C2 | EMU_SW_C3;
    if (!masked)
        return;
    while (pops-- > 0)
        x87_pop(cpu);
}

#define COMPARE_REG(name, text, pops)                                       \
    X87_HANDLER(name)                                                       \
    {                                                                       \
        unsigned a = x87_phys(cpu, 0);                                      \
        unsigned b = x87_phys(cpu, insn->rm);                               \
        uint16_t sw;                                                        \
                                                                            \
        X87_GATE();                                                         \
        X87_NOTE();                                                         \
        if (G_UNLIKELY(!x87_valid(cpu, a) || !x87_valid(cpu, b))) {         \
            unordered(cpu, pops);                                           \
            return;                                                         \
        }                                                                   \
        __asm__ volatile("fldt %[b]\n\t"                                    \
                         "fldt %[a]\n\t" text " %%st(1)\n\t" X87_STATUS     \
                         "fstp %%st(0)\n\t"                                 \
                         "fstp %%st(0)"                                     \
                         : "=&a"(sw)                                        \
                         : [a] "m"(cpu->x87.st[a]), [b] "m"(cpu->x87.st[b]) \
                         : "cc");                                           \
        finish(cpu, sw, pops);                                              \
    }

#define COMPARE_MEM(name, text, bits, pops)                          \
    X87_HANDLER(name)                                                \
    {                                                                \
        unsigned a = x87_phys(cpu, 0);                               \
        uint##bits##_t m;                                            \
        uint16_t sw;                                                 \
                                                                     \
        X87_GATE();                                                  \
        m = emu_load##bits(cpu, insn,                                \
                           emu_ea(cpu, insn, (bits) / 8, EMU_READ)); \
        X87_NOTE_MEM();                                              \
        if (G_UNLIKELY(!x87_valid(cpu, a))) {                        \
            unordered(cpu, pops);                                    \
            return;                                                  \
        }                                                            \
        __asm__ volatile("fldt %[a]\n\t" text " %[m]\n\t" X87_STATUS \
                         "fstp %%st(0)"                              \
                         : "=&a"(sw)                                 \
                         : [a] "m"(cpu->x87.st[a]), [m] "m"(m)       \
                         : "cc");                                    \
        finish(cpu, sw, pops);                                       \
    }

COMPARE_REG(fcom_r, "fcom", 0)
COMPARE_REG(fcomp_r, "fcom", 1)
COMPARE_REG(fcompp, "fcom", 2)
COMPARE_REG(fucom_r, "fucom", 0)
COMPARE_REG(fucomp_r, "fucom", 1)
COMPARE_REG(fucompp, "fucom", 2)
COMPARE_MEM(fcom_32, "fcoms", 32, 0)
COMPARE_MEM(fcom_64, "fcoml", 64, 0)
COMPARE_MEM(fcomp_32, "fcoms", 32, 1)
COMPARE_MEM(fcomp_64, "fcoml", 64, 1)
COMPARE_MEM(ficom_16, "ficoms", 16, 0)
COMPARE_MEM(ficom_32, "ficoml", 32, 0)
COMPARE_MEM(ficomp_16, "ficoms", 16, 1)
COMPARE_MEM(ficomp_32, "ficoml", 32, 1)

/* To EFLAGS: ZF, PF, CF; OF, SF and AF are cleared. C1 is cleared. An invalid
 * comparison is unordered even if unmasked (AMD). */
enum { CC_UNORDERED = EMU_CC_ZF | EMU_CC_PF | EMU_CC_CF };

#define COMPARE_FLAGS(name, text, pops)                                    \
    X87_HANDLER(name)                                                      \
    {                                                                      \
        unsigned a = x87_phys(cpu, 0);                                     \
        unsigned b = x87_phys(cpu, insn->rm);                              \
        uint8_t zf, pf, cf;                                                \
        uint16_t sw;                                                       \
                                                                           \
        X87_GATE();                                                        \
        X87_NOTE();                                                        \
        if (G_UNLIKELY(!x87_valid(cpu, a) || !x87_valid(cpu, b))) {        \
            cpu->cc = CC_UNORDERED;                                        \
            if (x87_stack_fault(cpu, false) && (pops))                     \
                x87_pop(cpu);                                              \
            return;                                                        \
        }                                                                  \
        __asm__ volatile(                                                  \
            "fldt %[b]\n\t"                                                \
            "fldt %[a]\n\t" text " %%st(1), %%st\n\t"                      \
            "setz %[zf]\n\t"                                               \
            "setp %[pf]\n\t"                                               \
            "setc %[cf]\n\t" X87_STATUS "fstp %%st(0)\n\t"                 \
            "fstp %%st(0)"                                                 \
            : "=&a"(sw), [zf] "=&q"(zf), [pf] "=&q"(pf), [cf] "=&q"(cf)    \
            : [a] "m"(cpu->x87.st[a]), [b] "m"(cpu->x87.st[b])             \
            : "cc");                                                       \
        cpu->cc = (uint16_t)((zf ? EMU_CC_ZF : 0) | (pf ? EMU_CC_PF : 0) | \
                             (cf ? EMU_CC_CF : 0));                        \
        if (G_UNLIKELY(sw & ~cpu->x87.cw & EMU_SW_IE))                     \
            cpu->cc = CC_UNORDERED;                                        \
        if (x87_done(cpu, sw, EMU_SW_C1) && (pops))                        \
            x87_pop(cpu);                                                  \
    }

COMPARE_FLAGS(fcomi, "fcomi", 0)
COMPARE_FLAGS(fcomip, "fcomi", 1)
COMPARE_FLAGS(fucomi, "fucomi", 0)
COMPARE_FLAGS(fucomip, "fucomi", 1)

X87_HANDLER(ftst)
{
    unsigned a = x87_phys(cpu, 0);
    uint16_t sw;

    X87_GATE();
    X87_NOTE();
    if (G_UNLIKELY(!x87_valid(cpu, a))) {
        unordered(cpu, 0);
        return;
    }
    __asm__ volatile("fldt %[a]\n\t"
                     "ftst\n\t" X87_STATUS "fstp %%st(0)"
                     : "=&a"(sw)
                     : [a] "m"(cpu->x87.st[a])
                     : "cc");
    finish(cpu, sw, 0);
}

/* No exceptions, not even of an empty register. */
X87_HANDLER(fxam)
{
    unsigned a = x87_phys(cpu, 0);
    uint16_t sw;

    X87_GATE();
    X87_NOTE();
    __asm__ volatile("fldt %[a]\n\t"
                     "fxam\n\t"
                     "fnstsw %%ax\n\t"
                     "fstp %%st(0)"
                     : "=&a"(sw)
                     : [a] "m"(cpu->x87.st[a]));
    if (!x87_valid(cpu, a))
        sw = (uint16_t)((sw & EMU_SW_C1) | EMU_SW_C3 | EMU_SW_C0);
    cpu->x87.sw = (uint16_t)((cpu->x87.sw & ~EMU_SW_CC) | (sw & EMU_SW_CC));
}

#define CASE_FLOAT(OP, name)           \
    case EMU_OP_##OP:                  \
        if (insn->form == EMU_FORM_RR) \
            return name##_r;           \
        return insn->opsize == 8 ? name##_64 : name##_32
#define CASE_INT(OP, name) \
    case EMU_OP_##OP:      \
        return insn->opsize == 2 ? name##_16 : name##_32

emu_exec_fn *emu_find_x87_compare(const emu_insn *insn)
{
    switch (insn->op) {
        CASE_FLOAT(FCOM, fcom);
        CASE_FLOAT(FCOMP, fcomp);
        CASE_INT(FICOM, ficom);
        CASE_INT(FICOMP, ficomp);
    case EMU_OP_FCOMPP:
        return fcompp;
    case EMU_OP_FUCOM:
        return fucom_r;
    case EMU_OP_FUCOMP:
        return fucomp_r;
    case EMU_OP_FUCOMPP:
        return fucompp;
    case EMU_OP_FCOMI:
        return fcomi;
    case EMU_OP_FCOMIP:
        return fcomip;
    case EMU_OP_FUCOMI:
        return fucomi;
    case EMU_OP_FUCOMIP:
        return fucomip;
    case EMU_OP_FTST:
        return ftst;
    case EMU_OP_FXAM:
        return fxam;
    default:
        return NULL;
    }
}
