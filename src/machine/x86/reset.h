/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reset.h: the state of a processor after power-up or RESET#.
 */
#ifndef VSR_MACHINE_X86_RESET_H
#define VSR_MACHINE_X86_RESET_H

#include "engine/state_x86.h"

/* Overwrites *state. Of what was there only the list of MSRs is kept: those
 * whose reset value is architectural get it, the others keep their value. `rows`
 * (may be NULL) gives the signature that EDX shows. The boot processor runs,
 * any other waits for its start-up IPI. */
void vsr_x86_reset_state(vsr_x86_state *state, const vsr_cpuid *rows,
                         bool is_boot);

#endif
