/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_x86_reset.h: power-up, INIT and start-up states of a vCPU. */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_RESET_H
#define VSR_DRIVERS_EMU_GUEST_X86_RESET_H

#include "drivers/emu/guest_x86_state.h"

/* All architectural state; mp_state: RUNNABLE for index 0, else WAIT_INIT. */
void emu_reset_power(emu_cpu *cpu);
/* Keeps the TSC, most MSRs, x87 and SSE registers. mp_state stays. */
void emu_reset_init(emu_cpu *cpu);
/* Start at vector << 12 in real mode. */
void emu_reset_sipi(emu_cpu *cpu, uint8_t vector);

#endif
