/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_harness.h: an emulated VM with flat RAM, driven through vsr_emu_engine
 * alone, to run pieces of machine code on.
 *
 * RAM is at guest physical 0. In 64-bit mode it is mapped one to one with 2 MiB
 * pages; the tables, GDT and IDT take the last 64 KiB, the stack lies below.
 * Code goes anywhere else. Each IDT gate leads to a stub that puts its vector
 * into `trap` and stops (32- and 64-bit modes).
 *
 * A run ends when the guest executes OUT to port HARNESS_STOP (the value is in
 * `stopped`), or when a limit of host time is over.
 *
 * Threads: the test's own.
 */
#ifndef VSR_TESTS_SUPPORT_EMU_HARNESS_H
#define VSR_TESTS_SUPPORT_EMU_HARNESS_H

#include "engine/engine.h"

enum {
    HARNESS_STOP = 0xf4,        /* OUT here ends the run */
    HARNESS_PUTC = 0xe9,        /* OUT here appends to `text` */
    HARNESS_TRAP = 0xf5,        /* the IDT's stubs write the vector here */
    HARNESS_MMIO = 0xfe000000u, /* reads: the offset; writes: into mmio_last */
};

typedef struct {
    vsr_engine_vm *vm;
    vsr_engine_vcpu *vcpu;
    uint8_t *ram; /* owned */
    uint64_t ram_len;

    bool stopped; /* by the guest */
    uint64_t stop_value;
    int trap; /* vector of the exception that ended the run, or -1 */
    uint64_t mmio_last, mmio_addr;
    unsigned mmio_count;
    char text[256];
    unsigned text_len;
    int irq; /* vector that intr_ack hands out once, or -1 */
    unsigned acks;
} emu_harness;

emu_harness *emu_harness_new(uint64_t ram_len);
void emu_harness_free(emu_harness *h);

/* Load `code` at `at` and make the vCPU start there in 16 (real), 32 or 64-bit
 * mode, CPL 0, flat segments, interrupts off. */
void emu_harness_load(emu_harness *h, unsigned bits, uint64_t at,
                      const void *code, size_t len);
/* Run; a vsr_run_reason, or -ETIME after about `limit_ms`. */
int emu_harness_run(emu_harness *h, unsigned limit_ms);
/* The vCPU's state now; valid until the next call. */
const vsr_x86_state *emu_harness_state(emu_harness *h);
uint64_t emu_harness_gpr(emu_harness *h, unsigned reg);

#endif
