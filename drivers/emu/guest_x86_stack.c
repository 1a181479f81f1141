/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_stack.c: the stack at any width, for whoever pushes and pops.
 *
 * In 64-bit mode SS has no base and no limit and rSP is 64 bits; elsewhere
 * SS.B chooses ESP or SP, and the rest of RSP is left alone.
 *
 * Spec:    Intel SDM vol. 1, 6.2.3 "Address-Size Attributes for Stack
 *          Accesses"; vol. 3A, 3.4.5.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_stack.h"

#include "drivers/emu/guest_x86_segment.h"

static uint64_t stack_linear(emu_cpu *cpu, const emu_insn *insn, int64_t depth,
                             unsigned size, emu_access access)
{
    uint64_t sp = cpu->regs[VSR_X86_RSP] + (uint64_t)depth;

    if (cpu->mode & EMU_MODE_CS64)
        return sp;
    return emu_segment_check(cpu, insn, VSR_X86_SS, sp & emu_stack_mask(cpu),
                             size, access);
}

uint64_t emu_stack_read(emu_cpu *cpu, const emu_insn *insn, unsigned depth,
                        unsigned size)
{
    uint64_t la = stack_linear(cpu, insn, depth, size, EMU_READ);

    switch (size) {
    case 2:
        return emu_load16(cpu, insn, la);
    case 4:
        return emu_load32(cpu, insn, la);
    default:
        return emu_load64(cpu, insn, la);
    }
}

void emu_stack_write(emu_cpu *cpu, const emu_insn *insn, int64_t depth,
                     unsigned size, uint64_t value)
{
    uint64_t la = stack_linear(cpu, insn, depth, size, EMU_WRITE);

    switch (size) {
    case 2:
        emu_store16(cpu, insn, la, (uint16_t)value);
        break;
    case 4:
        emu_store32(cpu, insn, la, (uint32_t)value);
        break;
    default:
        emu_store64(cpu, insn, la, value);
        break;
    }
}

void emu_stack_probe(emu_cpu *cpu, const emu_insn *insn, int64_t depth,
                     unsigned size)
{
    uint64_t la = stack_linear(cpu, insn, depth, size, EMU_WRITE);

    if (emu_host_w(cpu, la, size) == NULL)
        emu_host_slow(cpu, insn, la, size, EMU_WRITE);
}

void emu_stack_adjust(emu_cpu *cpu, int64_t by)
{
    uint64_t mask = emu_stack_mask(cpu);
    uint64_t sp = cpu->regs[VSR_X86_RSP];

    if (mask == 0xffffffff)
        cpu->regs[VSR_X86_RSP] = (uint32_t)(sp + (uint64_t)by);
    else
        cpu->regs[VSR_X86_RSP] = (sp & ~mask) | ((sp + (uint64_t)by) & mask);
}

void emu_push(emu_cpu *cpu, const emu_insn *insn, unsigned size, uint64_t value)
{
    emu_stack_write(cpu, insn, -(int64_t)size, size, value);
    emu_stack_adjust(cpu, -(int64_t)size);
}
