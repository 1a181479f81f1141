/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_flags.c: EFLAGS as one register.
 *
 * Spec:    Intel SDM vol. 1, 3.4.3 "EFLAGS Register".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_flags.h"

#include "drivers/emu/guest_x86_exception.h"
#include "drivers/emu/guest_x86_exec.h"
#include "drivers/emu/guest_x86_segment.h"

uint32_t emu_eflags(const emu_cpu *cpu)
{
    return (cpu->eflags & ~(uint32_t)EMU_ARITH) | emu_arith(cpu) | 2;
}

void emu_set_eflags(emu_cpu *cpu, uint32_t value, uint32_t mask)
{
    uint32_t old = emu_eflags(cpu);
    uint32_t now = (old & ~mask) | (value & mask);

    emu_set_arith(cpu, now);
    cpu->eflags = (now & ~(uint32_t)EMU_ARITH) | 2;
    if ((old ^ now) & (EMU_TF | EMU_VM))
        emu_mode_update(cpu);
    if (~old & now & EMU_IF)
        emu_intr_unmasked(cpu);
    if ((old ^ now) & EMU_AC)
        emu_mmu_mode_changed(cpu);
}
