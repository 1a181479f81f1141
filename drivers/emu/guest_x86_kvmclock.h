/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_x86_kvmclock.h: the paravirtual clock of Linux guests. */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_KVMCLOCK_H
#define VSR_DRIVERS_EMU_GUEST_X86_KVMCLOCK_H

#include "drivers/emu/guest_x86_state.h"

/* MSR 4b564d00: writes the wall clock of the boot at `value`, once. */
void emu_kvmclock_wall(emu_cpu *cpu, uint64_t value);
/* MSR 4b564d01: where the vCPU's clock page is, bit 0: in use. */
void emu_kvmclock_enable(emu_cpu *cpu, uint64_t value);
/* The guest's clock was set: write the page anew, if there is one. */
void emu_kvmclock_update(emu_cpu *cpu);

#endif
