/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_x87.h: what the x87 executors are made of.
 *
 * Each operation is the host's own instruction, in one piece of inline
 * assembly that loads the operands into an empty host stack, operates, takes
 * the status word and empties the stack again. The host's control word is the
 * guest's (guest_x86_fpstate.h), so rounding, precision, and what an unmasked
 * exception does to the operands are the host's. Which registers are empty is
 * looked at before: the host never sees a stack fault.
 *
 * Order in a handler: gate (#NM, #MF), memory (#PF, #GP), X87_NOTE, stack
 * faults, operation. A store checks its memory before the operation, so that
 * host exception flags are always taken over into the guest's.
 *
 * Spec: Intel SDM vol. 1, chapter 8 "Programming with the x87 FPU"; vol. 2A,
 *       "F2XM1" to "FYL2XP1". C0, C2, C3 that an instruction leaves undefined
 *       keep their value, as measured on Zen.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_EXEC_X87_H
#define VSR_DRIVERS_EMU_GUEST_X86_EXEC_X87_H

#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_flags.h"
#include "drivers/emu/guest_x86_fpstate.h"

/* The body is a function of its own: once it is over, none of its variables can
 * keep the handler from jumping into the next one (EMU_NEXT). */
#define X87_HANDLER(name)                                               \
    static inline void name##_body(emu_cpu *cpu, const emu_insn *insn); \
    static const emu_insn *name(emu_cpu *cpu, const emu_insn *insn)     \
    {                                                                   \
        name##_body(cpu, insn);                                         \
        EMU_NEXT(cpu, insn);                                            \
    }                                                                   \
    static inline void name##_body(emu_cpu *cpu, const emu_insn *insn)

/* Waiting instructions; and those that ignore a waiting #MF. */
#define X87_GATE()                             \
    do {                                       \
        if (G_UNLIKELY(cpu->x87_blocked != 0)) \
            emu_x87_fault(cpu, insn);          \
    } while (0)
#define X87_GATE_NOWAIT()                                           \
    do {                                                            \
        if (G_UNLIKELY(cpu->x87_blocked & (EMU_FP_EM | EMU_FP_TS))) \
            emu_x87_fault(cpu, insn);                               \
    } while (0)

/* Last instruction, and its memory operand. */
#define X87_NOTE()                              \
    do {                                        \
        cpu->x87.fip = emu_insn_rip(cpu, insn); \
        cpu->x87.fop = (uint16_t)insn->imm;     \
    } while (0)
#define X87_NOTE_MEM()                           \
    do {                                         \
        X87_NOTE();                              \
        cpu->x87.fdp = emu_ea_offset(cpu, insn); \
    } while (0)

/*
 * Pieces of assembly. AX = status word; when an unmasked exception set ES, it
 * is cleared so that nothing that follows traps. Bit 3 of AH is the lowest bit
 * of TOP: it tells whether the host's stack holds one value or none (or two).
 */
#define X87_STATUS         \
    "fnstsw %%ax\n\t"      \
    "testb %%al, %%al\n\t" \
    "jns 1f\n\t"           \
    "fnclex\n"             \
    "1:\n\t"
enum { X87_TOP_ODD = 1 << EMU_SW_TOP_SHIFT };

/* --- registers --- */

static inline unsigned x87_phys(const emu_cpu *cpu, unsigned i)
{
    return (cpu->x87.top + i) & 7;
}

static inline bool x87_valid(const emu_cpu *cpu, unsigned phys)
{
    return cpu->x87.valid >> phys & 1;
}

static inline void x87_pop(emu_cpu *cpu)
{
    cpu->x87.valid &= (uint8_t) ~(1u << cpu->x87.top);
    cpu->x87.top = (cpu->x87.top + 1) & 7;
}

static inline emu_f80 *x87_push(emu_cpu *cpu)
{
    cpu->x87.top = (cpu->x87.top - 1) & 7;
    cpu->x87.valid |= (uint8_t)(1u << cpu->x87.top);
    return &cpu->x87.st[cpu->x87.top];
}

static inline void x87_copy(emu_f80 *to, const emu_f80 *from)
{
    to->mantissa = from->mantissa;
    to->exponent = from->exponent;
}

/* The QNaN that invalid operations give. */
static inline emu_f80 x87_indefinite(void)
{
    return (emu_f80){ .mantissa = UINT64_C(0xc000000000000000),
                      .exponent = 0xffff };
}

/* --- status --- */

/* guest_x86_exec_x87.c: an unmasked exception was raised (flags are in the
 * status word already). */
void x87_raised(emu_cpu *cpu);
/* Stack fault; true if it is masked, i.e. the indefinite is the result. */
bool x87_stack_fault(emu_cpu *cpu, bool overflow);
/* Underflow of an operation whose result goes to a register. */
void x87_underflow(emu_cpu *cpu, unsigned phys, bool pop);
void x87_set_indefinite(emu_cpu *cpu, unsigned phys);

/* Takes over the host's flags, and of C0..C3 those in `cc`. False: an unmasked
 * exception was found before the operation, which then did nothing. */
static inline bool x87_done(emu_cpu *cpu, uint16_t sw, uint16_t cc)
{
    cpu->x87.sw = (uint16_t)((cpu->x87.sw & ~cc) | (sw & (cc | EMU_SW_FLAGS)));
    if (G_LIKELY(!(sw & EMU_SW_ES)))
        return true;
    x87_raised(cpu);
    return !(sw & ~cpu->x87.cw & EMU_SW_PRE);
}

static inline void x87_clear_c1(emu_cpu *cpu)
{
    cpu->x87.sw &= (uint16_t)~EMU_SW_C1;
}

/* --- look-up: one for each file; NULL: not mine --- */
emu_exec_fn *emu_find_x87_arith(const emu_insn *insn);
emu_exec_fn *emu_find_x87_compare(const emu_insn *insn);
emu_exec_fn *emu_find_x87_move(const emu_insn *insn);
emu_exec_fn *emu_find_x87_math(const emu_insn *insn);
emu_exec_fn *emu_find_x87_control(const emu_insn *insn);

#endif
