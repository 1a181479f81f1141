/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer_stack.c: PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE.
 *
 * An operand size of 8 exists in 64-bit mode only, so those handlers use RSP
 * directly; the others go by SS.B. rSP moves after the last access.
 *
 * Spec:    Intel SDM vol. 2, the instructions' own pages; vol. 3A, 21.2.7
 *          "Sensitive Instructions" for virtual-8086 mode (without VME).
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exception.h"
#include "drivers/emu/guest_x86_operand.h"
#include "drivers/emu/guest_x86_stack.h"

#define RSP (cpu->regs[VSR_X86_RSP])
#define RBP (cpu->regs[VSR_X86_RBP])

/* --- PUSH, POP --- */

#define PUSH64(name, value)       \
    EMU_SLOW_HANDLER(name##_slow) \
    {                             \
        uint64_t v = value;       \
        uint64_t sp = RSP - 8;    \
                                  \
        EMU_STORE(64, sp, v);     \
        RSP = sp;                 \
        EMU_NEXT(cpu, insn);      \
    }
#define PUSH64_FAST(name, value)                        \
    PUSH64(name, value)                                 \
    EMU_HANDLER(name)                                   \
    {                                                   \
        uint64_t sp = RSP - 8;                          \
        void *p;                                        \
                                                        \
        EMU_HOST_OR(name##_slow, write_tag, 64, sp, p); \
        emu_put64(p, value);                            \
        RSP = sp;                                       \
        EMU_NEXT(cpu, insn);                            \
    }
PUSH64_FAST(push_r64, cpu->regs[insn->reg])
PUSH64_FAST(push_i64, EMU_IMM(64))
PUSH64(push_m64, EMU_LOAD(64, EMU_EA_R(64)))
#define push_m64 push_m64_slow

/* POP RSP: the value wins over the increment. */
EMU_SLOW_HANDLER(pop_r64_slow)
{
    uint64_t v = EMU_LOAD(64, RSP);

    RSP += 8;
    cpu->regs[insn->reg] = v;
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(pop_r64)
{
    uint64_t sp = RSP;
    const void *p;
    uint64_t v;

    EMU_HOST_OR(pop_r64_slow, read_tag, 64, sp, p);
    v = emu_get64(p);
    RSP = sp + 8;
    cpu->regs[insn->reg] = v;
    EMU_NEXT(cpu, insn);
}

/* The address of POP's memory operand, were rSP already moved. */
static uint64_t pop_address(emu_cpu *cpu, const emu_insn *insn, unsigned size)
{
    unsigned by = insn->base == VSR_X86_RSP ? size : 0;

    return emu_ea_beyond(cpu, insn, by, size, EMU_WRITE);
}

EMU_HANDLER(pop_m64)
{
    uint64_t v = EMU_LOAD(64, RSP);

    EMU_STORE(64, pop_address(cpu, insn, 8), v);
    RSP += 8;
    EMU_NEXT(cpu, insn);
}

#define PUSH_POP(bits)                                             \
    EMU_HANDLER(push_r##bits)                                      \
    {                                                              \
        emu_push(cpu, insn, (bits) / 8, EMU_GET(bits, insn->reg)); \
        EMU_NEXT(cpu, insn);                                       \
    }                                                              \
    EMU_HANDLER(push_i##bits)                                      \
    {                                                              \
        emu_push(cpu, insn, (bits) / 8, EMU_IMM(bits));            \
        EMU_NEXT(cpu, insn);                                       \
    }                                                              \
    EMU_HANDLER(push_m##bits)                                      \
    {                                                              \
        uint##bits##_t v = EMU_LOAD(bits, EMU_EA_R(bits));         \
                                                                   \
        emu_push(cpu, insn, (bits) / 8, v);                        \
        EMU_NEXT(cpu, insn);                                       \
    }                                                              \
    EMU_HANDLER(pop_r##bits)                                       \
    {                                                              \
        uint64_t v = emu_stack_read(cpu, insn, 0, (bits) / 8);     \
                                                                   \
        emu_stack_adjust(cpu, (bits) / 8);                         \
        EMU_PUT(bits, insn->reg, v);                               \
        EMU_NEXT(cpu, insn);                                       \
    }                                                              \
    EMU_HANDLER(pop_m##bits)                                       \
    {                                                              \
        uint64_t v = emu_stack_read(cpu, insn, 0, (bits) / 8);     \
                                                                   \
        EMU_STORE(bits, pop_address(cpu, insn, (bits) / 8),        \
                  (uint##bits##_t)v);                              \
        emu_stack_adjust(cpu, (bits) / 8);                         \
        EMU_NEXT(cpu, insn);                                       \
    }
PUSH_POP(16)
PUSH_POP(32)

/* --- a flat 32-bit stack --- */

#define PUSH_FLAT(name, value)                       \
    EMU_HANDLER(name##_flat)                         \
    {                                                \
        uint64_t sp = (uint32_t)(RSP - 4);           \
        void *p;                                     \
                                                     \
        EMU_HOST_OR(name##32, write_tag, 32, sp, p); \
        emu_put32(p, value);                         \
        RSP = sp;                                    \
        EMU_NEXT(cpu, insn);                         \
    }
PUSH_FLAT(push_r, EMU_R32(cpu, insn->reg))
PUSH_FLAT(push_i, EMU_IMM(32))

EMU_HANDLER(pop_r_flat)
{
    uint64_t sp = (uint32_t)RSP;
    const void *p;
    uint32_t v;

    EMU_HOST_OR(pop_r32, read_tag, 32, sp, p);
    v = emu_get32(p);
    RSP = (uint32_t)(sp + 4);
    EMU_SET_R32(cpu, insn->reg, v);
    EMU_NEXT(cpu, insn);
}

static emu_form_table push_table = {
    [EMU_FORM_R] = EMU_WORD_SIZES(push_r),
    [EMU_FORM_I] = EMU_WORD_SIZES(push_i),
    [EMU_FORM_M] = EMU_WORD_SIZES(push_m),
};
static emu_form_table pop_table = {
    [EMU_FORM_R] = EMU_WORD_SIZES(pop_r),
    [EMU_FORM_M] = EMU_WORD_SIZES(pop_m),
};

/* --- PUSHA, POPA: never in 64-bit mode --- */

EMU_HANDLER(pusha)
{
    int size = insn->opsize;

    for (int r = VSR_X86_RAX; r <= VSR_X86_RDI; r++)
        emu_stack_write(cpu, insn, -(r + 1) * size, insn->opsize, cpu->regs[r]);
    emu_stack_adjust(cpu, -8 * size);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(popa)
{
    unsigned size = insn->opsize;
    uint64_t v[8];

    for (unsigned r = VSR_X86_RAX; r <= VSR_X86_RDI; r++)
        v[r] = emu_stack_read(cpu, insn, (7 - r) * size, size);
    for (unsigned r = VSR_X86_RAX; r <= VSR_X86_RDI; r++) {
        if (r == VSR_X86_RSP)
            continue;
        if (size == 2)
            EMU_R16(cpu, r) = (uint16_t)v[r];
        else
            EMU_SET_R32(cpu, r, v[r]);
    }
    emu_stack_adjust(cpu, 8 * size);
    EMU_NEXT(cpu, insn);
}

/* --- PUSHF, POPF --- */

static unsigned iopl(const emu_cpu *cpu)
{
    return (cpu->eflags & EMU_IOPL) >> EMU_IOPL_SHIFT;
}

static void check_vm86(emu_cpu *cpu, const emu_insn *insn)
{
    if ((cpu->eflags & EMU_VM) && iopl(cpu) < 3)
        emu_raise_code(cpu, insn, EMU_GP, 0);
}

EMU_HANDLER(pushf)
{
    check_vm86(cpu, insn);
    emu_push(cpu, insn, insn->opsize,
             emu_eflags(cpu) & ~(uint32_t)(EMU_VM | EMU_RF));
    EMU_NEXT(cpu, insn);
}

/* Interrupts may be open now, or TF set: leave through the run loop. */
EMU_HANDLER(popf)
{
    uint32_t mask = EMU_ARITH | EMU_TF | EMU_DF | EMU_NT;
    uint32_t value;

    check_vm86(cpu, insn);
    value = (uint32_t)emu_stack_read(cpu, insn, 0, insn->opsize);
    if (!(value & EMU_IF) && emu_intr_first(cpu, insn))
        return emu_leave_before(cpu, insn);
    if (cpu->cpl <= iopl(cpu))
        mask |= EMU_IF;
    if (cpu->cpl == 0)
        mask |= EMU_IOPL;
    if (insn->opsize > 2) {
        mask |= EMU_AC | EMU_ID | EMU_RF;
        value &= ~(uint32_t)EMU_RF;
    }
    emu_stack_adjust(cpu, insn->opsize);
    emu_set_eflags(cpu, value, mask);
    return emu_leave(cpu, emu_next_rip(cpu, insn));
}

/* --- ENTER, LEAVE --- */

static void put_rbp(emu_cpu *cpu, unsigned size, uint64_t v)
{
    if (size == 2)
        EMU_R16(cpu, VSR_X86_RBP) = (uint16_t)v;
    else if (size == 4)
        EMU_SET_R32(cpu, VSR_X86_RBP, v);
    else
        RBP = v;
}

/*
 * The frame pointers copied for a nested level are read from the old frame at
 * rBP, with the stack's address width (SDM vol. 2, "ENTER").
 */
static uint64_t enter_read(emu_cpu *cpu, const emu_insn *insn, unsigned below)
{
    uint64_t depth = RBP - below - RSP;

    /* emu_stack_read() takes rSP + depth modulo the stack's width. */
    if (cpu->mode & EMU_MODE_CS64) {
        uint64_t la = RSP + depth;

        return insn->opsize == 2 ? EMU_LOAD(16, la) : EMU_LOAD(64, la);
    }
    return emu_stack_read(cpu, insn, (unsigned)depth, insn->opsize);
}

EMU_HANDLER(enter)
{
    unsigned size = insn->opsize, level = insn->aux & 31;
    unsigned used = size * (1 + level);
    uint64_t frame = RSP - size;

    emu_stack_write(cpu, insn, -(int64_t)size, size, RBP);
    for (unsigned i = 1; i < level; i++)
        emu_stack_write(cpu, insn, -(int64_t)(size * (i + 1)), size,
                        enter_read(cpu, insn, size * i));
    if (level != 0)
        emu_stack_write(cpu, insn, -(int64_t)used, size, frame);
    /* The new top must be writable: fault before anything changes. */
    used += (uint16_t)insn->imm;
    emu_stack_probe(cpu, insn, -(int64_t)used, size);
    emu_stack_adjust(cpu, -(int64_t)used);
    put_rbp(cpu, size, frame);
    EMU_NEXT(cpu, insn);
}

EMU_SLOW_HANDLER(leave_n64_slow)
{
    uint64_t v = EMU_LOAD(64, RBP);

    RSP = RBP + 8;
    RBP = v;
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(leave_n64)
{
    uint64_t bp = RBP;
    const void *p;

    EMU_HOST_OR(leave_n64_slow, read_tag, 64, bp, p);
    RBP = emu_get64(p);
    RSP = bp + 8;
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(leave_n)
{
    /* rSP = rBP at the stack's width, then POP rBP. */
    unsigned depth = (unsigned)(RBP - RSP);
    uint64_t v;

    if (cpu->mode & EMU_MODE_CS64) {
        v = EMU_LOAD(16, RBP);
        RSP = RBP + 2;
    } else {
        v = emu_stack_read(cpu, insn, depth, insn->opsize);
        emu_stack_adjust(cpu, (int64_t)depth + insn->opsize);
    }
    put_rbp(cpu, insn->opsize, v);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(leave_n_flat)
{
    uint64_t bp = (uint32_t)RBP;
    const void *p;

    EMU_HOST_OR(leave_n, read_tag, 32, bp, p);
    EMU_SET_R32(cpu, VSR_X86_RBP, emu_get32(p));
    RSP = (uint32_t)(bp + 4);
    EMU_NEXT(cpu, insn);
}

static emu_exec_fn *find_flat(const emu_insn *insn)
{
    if (insn->opsize != 4)
        return NULL;
    switch (insn->op << 8 | insn->form) {
    case EMU_OP_PUSH << 8 | EMU_FORM_R:
        return push_r_flat;
    case EMU_OP_PUSH << 8 | EMU_FORM_I:
        return push_i_flat;
    case EMU_OP_POP << 8 | EMU_FORM_R:
        return pop_r_flat;
    case EMU_OP_LEAVE << 8 | EMU_FORM_N:
        return leave_n_flat;
    default:
        return NULL;
    }
}

emu_exec_fn *emu_find_stack(const emu_insn *insn)
{
    emu_exec_fn *flat = insn->flags & EMU_I_FLAT32 ? find_flat(insn) : NULL;

    if (flat != NULL)
        return flat;
    switch (insn->op) {
    case EMU_OP_PUSH:
        return emu_pick(push_table, insn);
    case EMU_OP_POP:
        return emu_pick(pop_table, insn);
    case EMU_OP_PUSHA:
        return pusha;
    case EMU_OP_POPA:
        return popa;
    case EMU_OP_PUSHF:
        return pushf;
    case EMU_OP_POPF:
        return popf;
    case EMU_OP_ENTER:
        return enter;
    case EMU_OP_LEAVE:
        return insn->opsize == 8 ? leave_n64 : leave_n;
    default:
        return NULL;
    }
}
