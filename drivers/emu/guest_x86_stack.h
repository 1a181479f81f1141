/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_stack.h: stack writes without moving rSP; see guest_x86_exec.h for
 * emu_push(), emu_stack_read() and emu_stack_adjust().
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_STACK_H
#define VSR_DRIVERS_EMU_GUEST_X86_STACK_H

#include "drivers/emu/guest_x86_exec.h"

/* At rSP + depth, which wraps at the stack's width; rSP is unchanged. For
 * frames of several values: write all of them, then emu_stack_adjust(). */
void emu_stack_write(emu_cpu *cpu, const emu_insn *insn, int64_t depth,
                     unsigned size, uint64_t value);

/* May `size` bytes at rSP + depth be written? Raises the fault if not. */
void emu_stack_probe(emu_cpu *cpu, const emu_insn *insn, int64_t depth,
                     unsigned size);

#endif
