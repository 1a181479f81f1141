/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_x86_deliver.h: one pass through the IDT. */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_DELIVER_H
#define VSR_DRIVERS_EMU_GUEST_X86_DELIVER_H

#include "drivers/emu/guest_x86_state.h"

typedef struct {
    uint8_t vector;
    bool has_error; /* pushes `error` (never in real mode) */
    bool software;  /* INT n, INT3, INTO: the gate's DPL counts */
    bool external;  /* EXT bit in the error codes of faults on the way */
    bool set_rf;    /* the pushed RFLAGS has RF: a fault that will be retried */
    uint32_t error;
    uint64_t rip; /* to push */
} emu_event;

/*
 * Pushes the frame and enters the handler: CS, RIP, SS, RSP, RFLAGS, CPL and
 * mode are set when it returns, and nothing (but memory below the new stack)
 * was changed when it raises.
 */
void emu_deliver(emu_cpu *cpu, const emu_event *ev);

#endif
