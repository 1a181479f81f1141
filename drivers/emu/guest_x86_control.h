/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_x86_control.h: writing control and debug registers. */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_CONTROL_H
#define VSR_DRIVERS_EMU_GUEST_X86_CONTROL_H

#include "drivers/emu/guest_x86_state.h"

/* False: #GP is due, and nothing changed. Page faults of reading the PDPT do
 * not exist: the addresses are physical. */
bool emu_write_cr0(emu_cpu *cpu, const emu_insn *insn, uint64_t value);
bool emu_write_cr3(emu_cpu *cpu, const emu_insn *insn, uint64_t value);
bool emu_write_cr4(emu_cpu *cpu, const emu_insn *insn, uint64_t value);
void emu_write_dr(emu_cpu *cpu, unsigned n, uint64_t value);

/* PAE outside of long mode: reads the four entries at CR3. False: one has a
 * reserved bit; nothing changed. */
bool emu_load_pdptrs(emu_cpu *cpu, uint64_t cr3);

uint64_t emu_cr4_valid_bits(const emu_cpu *cpu);
bool emu_xcr0_valid(uint64_t value);
/* UMIP: SGDT, SIDT, SLDT, STR and SMSW are #GP outside of ring 0. */
void emu_need_umip(emu_cpu *cpu, const emu_insn *insn);

#endif
