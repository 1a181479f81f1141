/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_msr.h: model-specific registers and the paravirtual clock.
 *
 * Threads: the vCPU's own.
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_MSR_H
#define VSR_DRIVERS_EMU_GUEST_X86_MSR_H

#include "drivers/emu/guest_x86_state.h"

/* False: no such register, or a value it does not take: #GP. Those of the
 * machine's LAPIC go to events->msr. A write may change mode and TLB. */
bool emu_msr_read(emu_cpu *cpu, uint32_t index, uint64_t *value);
bool emu_msr_write(emu_cpu *cpu, uint32_t index, uint64_t value);

/* EFER bits this CPUID allows. */
uint64_t emu_efer_valid_bits(const emu_cpu *cpu);

/* Those that vsr_x86_state.msrs carries. Returns how many. */
uint32_t emu_msr_list(const uint32_t **list);
/* Would emu_msr_write() take it? (One that the list names; changes nothing.) */
bool emu_msr_valid(const emu_cpu *cpu, uint32_t index, uint64_t value);

#endif
