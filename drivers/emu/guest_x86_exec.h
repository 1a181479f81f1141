/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec.h: what every executor file shares.
 *
 * A handler is `const emu_insn *name(emu_cpu *cpu, const emu_insn *insn)`. It
 * ends with EMU_NEXT(cpu, insn) (fall through to the next instruction of the
 * block), or, when it changed RIP or anything in `mode`, with
 * `return emu_jump(cpu, rip)` / `return emu_leave(cpu, rip)`.
 *
 * Faults are raised by emu_raise*(), which do not return. The instruction's
 * own RIP is recovered from `insn`, so nothing is written per instruction.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_EXEC_H
#define VSR_DRIVERS_EMU_GUEST_X86_EXEC_H

#include "drivers/emu/guest_x86_insn.h"
#include "drivers/emu/guest_x86_state.h"
#include "drivers/emu/mmu.h"

/*
 * In optimised builds each handler jumps straight into the next one (a
 * sibling call: same arguments, no stack); otherwise it returns to the loop.
 *
 * gcc makes no sibling call while a variable whose address got out (to a
 * function, or as "m" to inline assembly) is in scope, and then a guest's loop
 * fills our stack. End the scope before EMU_NEXT, or use EMU_NEXT_LOOP, which
 * always returns to the loop: for the rare ones. (tests/lint: check-chains.py)
 */
#if defined(__has_attribute)
#if __has_attribute(musttail)
#define EMU_MUSTTAIL __attribute__((musttail))
#endif
#endif
#ifndef EMU_MUSTTAIL
#define EMU_MUSTTAIL
#endif

#define EMU_NEXT_LOOP(insn) return (insn) + 1
#ifdef EMU_THREADED
#define EMU_NEXT(cpu, insn) \
    EMU_MUSTTAIL return (insn)[1].exec((cpu), (insn) + 1)
#else
#define EMU_NEXT(cpu, insn) EMU_NEXT_LOOP(insn)
#endif

/* Table look-up, one for each family; NULL: no such (op, form, opsize). Each
 * family's table is in its own files; emu_exec_find() asks them in turn. */
emu_exec_fn *emu_exec_find(const emu_insn *insn);
emu_exec_fn *emu_exec_find_integer(const emu_insn *insn);
emu_exec_fn *emu_exec_find_flow(const emu_insn *insn);
emu_exec_fn *emu_exec_find_string(const emu_insn *insn);
emu_exec_fn *emu_exec_find_system(const emu_insn *insn);
emu_exec_fn *emu_exec_find_x87(const emu_insn *insn);
emu_exec_fn *emu_exec_find_sse(const emu_insn *insn); /* MMX too, XSAVE */

/* --- leaving a block (emu_run.c) --- */

/*
 * Continue at `rip` in the same mode. The direct branch handlers in
 * emu_run.c/exec_flow use the block's own successor slots instead; this is the
 * general (indirect) form: looks the block up, honours exit_request.
 */
const emu_insn *emu_jump(emu_cpu *cpu, uint64_t rip);
/* As emu_jump, but `mode`, CPL, paging or interrupts may have changed: always
 * goes through the run loop's checks (pending interrupts, TF, mode). */
const emu_insn *emu_leave(emu_cpu *cpu, uint64_t rip);

/* Likewise, from the middle of a block: to `insn` itself, undone; or to the one
 * behind it. */
const emu_insn *emu_leave_before(emu_cpu *cpu, const emu_insn *insn);
const emu_insn *emu_leave_behind(emu_cpu *cpu, const emu_insn *insn);

/* --- faults (guest_x86_exception.c) --- */
_Noreturn void emu_raise(emu_cpu *cpu, const emu_insn *insn, int vector);
_Noreturn void emu_raise_code(emu_cpu *cpu, const emu_insn *insn, int vector,
                              uint32_t error);
_Noreturn void emu_raise_pf(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                            uint32_t error);
/* INT n, INT3, INTO, ICEBP: delivered with the *next* RIP. */
_Noreturn void emu_software_interrupt(emu_cpu *cpu, const emu_insn *insn,
                                      int vector, bool icebp);

/* --- registers --- */
#define EMU_R8(cpu, r) (*((uint8_t *)(cpu)->regs + (r)))
#define EMU_R16(cpu, r) (*(uint16_t *)&(cpu)->regs[r])
#define EMU_R32(cpu, r) (*(uint32_t *)&(cpu)->regs[r])
#define EMU_R64(cpu, r) ((cpu)->regs[r])
/* A 32-bit result clears the upper half. */
#define EMU_SET_R32(cpu, r, v) ((cpu)->regs[r] = (uint32_t)(v))

/* --- addresses --- */

/* Segment base, limit and type checks outside the flat cases; may raise #GP or
 * #SS. `offset` is already cut to the address size. (mmu_segment.c) */
uint64_t emu_segment_check(emu_cpu *cpu, const emu_insn *insn, unsigned seg,
                           uint64_t offset, unsigned size, emu_access access);

static inline uint64_t emu_offset(const emu_cpu *cpu, const emu_insn *insn)
{
    return cpu->regs[insn->base] +
           (cpu->regs[insn->index] << (insn->mem >> EMU_MEM_SCALE_SHIFT)) +
           (uint64_t)(int64_t)insn->disp;
}

static inline uint64_t emu_cut(uint64_t offset, unsigned asize)
{
    return asize == EMU_MEM_A64   ? offset
           : asize == EMU_MEM_A32 ? (uint32_t)offset
                                  : (uint16_t)offset;
}

uint64_t emu_ea_slow(emu_cpu *cpu, const emu_insn *insn, unsigned size,
                     emu_access access);

/* The linear address of the memory operand. */
static inline uint64_t emu_ea(emu_cpu *cpu, const emu_insn *insn, unsigned size,
                              emu_access access)
{
    if (G_LIKELY(insn->mem & EMU_MEM_FLAT))
        return emu_offset(cpu, insn);
    return emu_ea_slow(cpu, insn, size, access);
}

/* The offset alone, cut to the address size (LEA, INVPCID …). */
static inline uint64_t emu_ea_offset(const emu_cpu *cpu, const emu_insn *insn)
{
    return emu_cut(emu_offset(cpu, insn), insn->mem & EMU_MEM_ASIZE);
}

/* --- stack: width is 8 in 64-bit mode, else SS.B --- */
void emu_push(emu_cpu *cpu, const emu_insn *insn, unsigned size, uint64_t value);
uint64_t emu_stack_read(emu_cpu *cpu, const emu_insn *insn, unsigned depth,
                        unsigned size); /* at rSP + depth; rSP unchanged */
void emu_stack_adjust(emu_cpu *cpu, int64_t by);

/* --- flags (guest_x86_flags.h has the inline lazy ones) --- */
uint32_t emu_eflags(const emu_cpu *cpu); /* the whole register */
void emu_set_eflags(emu_cpu *cpu, uint32_t value, uint32_t mask);

/* --- system services, any family may call them --- */
uint64_t emu_rdtsc(emu_cpu *cpu);
uint64_t emu_io_in(emu_cpu *cpu, uint16_t port, unsigned size);
void emu_io_out(emu_cpu *cpu, uint16_t port, unsigned size, uint64_t value);
/* IN/OUT/INS/OUTS permission: CPL, IOPL, TSS bitmap. Raises #GP. */
void emu_io_check(emu_cpu *cpu, const emu_insn *insn, uint16_t port,
                  unsigned size);
bool emu_xmm_usable(const emu_cpu *cpu); /* CR0.EM/TS, CR4.OSFXSR */

#endif
