/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_x86_statex.h: a vCPU to and from the engine-neutral state. */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_STATEX_H
#define VSR_DRIVERS_EMU_GUEST_X86_STATEX_H

#include "drivers/emu/guest_x86_state.h"

/* The vCPU's own thread, while it does not run. */

/* cr8, apic_base and tsc_deadline are asked of the machine's LAPIC. */
void emu_state_get(emu_cpu *cpu, vsr_x86_state *out);
/* -EINVAL: not a state this vCPU can be in; it is as it was. cr8, apic_base,
 * tsc_deadline and the LAPIC page are the machine's to restore. */
int emu_state_set(emu_cpu *cpu, const vsr_x86_state *in);

#endif
