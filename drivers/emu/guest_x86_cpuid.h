/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_x86_cpuid.h: what CPUID says, and what the engine can back. */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_CPUID_H
#define VSR_DRIVERS_EMU_GUEST_X86_CPUID_H

#include "drivers/emu/guest_x86_state.h"

enum { EMU_EAX, EMU_EBX, EMU_ECX, EMU_EDX };

#define EMU_KVM_LEAF     0x40000000u
#define EMU_KVM_FEATURES 0x40000001u

/* Any thread: all rows the engine can show. */
void emu_cpuid_supported(vsr_cpuid *out);

/* The CPUID instruction: out[EMU_EAX..EMU_EDX]. */
void emu_cpuid(const emu_cpu *cpu, uint32_t leaf, uint32_t subleaf,
               uint32_t out[4]);

/* Does the guest see this bit of the leaf's subleaf 0? */
bool emu_cpuid_has(const emu_cpu *cpu, uint32_t leaf, unsigned reg,
                   unsigned bit);

#endif
