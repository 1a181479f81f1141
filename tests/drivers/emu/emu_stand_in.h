/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_stand_in.h: a vCPU without MMU, devices or run loop, to run single
 * instructions on.
 *
 * Linear memory is one window onto a host buffer; everything else faults. The
 * executors' services (memory slow paths, faults, ports, leaving a block) are
 * defined here, so a test links the executors' files it wants and this one,
 * and not the emulator's library.
 */
#ifndef VSR_TESTS_DRIVERS_EMU_EMU_STAND_IN_H
#define VSR_TESTS_DRIVERS_EMU_EMU_STAND_IN_H

#include "drivers/emu/guest_x86_exec.h"

enum { STAND_IN_NO_FAULT = -1, STAND_IN_PORTS = 64 };

typedef struct {
    emu_cpu *cpu; /* owned */

    /* The window: linear `base`, `len` bytes (whole pages) at `memory`. */
    uint64_t base;
    uint32_t len;
    uint8_t *memory; /* borrowed */

    /* Parts of it, as offsets; empty by default. */
    uint32_t readonly_from, readonly_to; /* stores fault */
    uint32_t slow_from, slow_to;         /* no host pointer: MMIO, code */

    /* What the last instruction did. */
    int vector; /* or STAND_IN_NO_FAULT */
    uint32_t error;
    uint64_t cr2;
    bool left; /* went through emu_leave() */
    uint64_t left_rip;
    unsigned loads, stores; /* through the slow paths */
    unsigned locks;         /* emu_split_lock() */
    bool locked;

    /* Ports: OUT appends to `out`, IN takes from `in`. */
    uint32_t out[STAND_IN_PORTS], in[STAND_IN_PORTS];
    unsigned n_out, n_in;
    bool refuse_io;
    unsigned exit_after_stores; /* not 0: exit_request is set by that one */
} stand_in;

/* In 64-bit mode, CPL 0, window as given, TLB empty. */
stand_in *stand_in_new(uint64_t base, uint8_t *memory, uint32_t len);
void stand_in_free(stand_in *s);

/* Fill (or empty) the TLB for the window, so that the fast paths are taken.
 * Read-only and slow parts stay out as the MMU would leave them out. */
void stand_in_set_tlb(stand_in *s, bool filled);

/* 16- or 32-bit protected mode with flat segments, or back to 64 bits. */
void stand_in_set_mode(stand_in *s, unsigned bits);

/* Runs one decoded instruction with `exec`. True: it fell through to the next
 * instruction; false: it faulted or left (see vector, left). */
bool stand_in_run(stand_in *s, const emu_insn *insn, emu_exec_fn *exec);

/* Decodes `bytes` in the current mode at RIP, finds the integer or string
 * handler and runs it. Fails the test when there is none. */
bool stand_in_run_bytes(stand_in *s, const char *bytes, unsigned len);
#define STAND_IN_RUN(s, bytes) stand_in_run_bytes(s, bytes, sizeof(bytes) - 1)

#endif
