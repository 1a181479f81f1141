/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conformance_box.h: a bare VM of any engine, for the conformance test: 16 MiB
 * of RAM at 0, page tables, and up-calls that write down what comes.
 *
 * A byte read from a port or address that nobody serves is (address ^ 0xa5).
 * Writing to port 0xf4 ends the run of that vCPU.
 */
#ifndef VSR_TESTS_ENGINE_CONFORMANCE_BOX_H
#define VSR_TESTS_ENGINE_CONFORMANCE_BOX_H

#include "engine/engine.h"

enum {
    BOX_RAM = 16 * 1024 * 1024,
    BOX_CODE = 0x1000,
    BOX_DATA = 0x3000,
    BOX_STACK = 0x8000,
    BOX_PAGES = 0x10000, /* identity map of the first GiB */
    BOX_LOG_MAX = 64,
    BOX_VCPUS = 2,
    BOX_EXIT_PORT = 0xf4,
};

typedef struct {
    const vsr_engine_ops *ops;
    vsr_engine_caps caps;
    vsr_engine_vm *vm;
    vsr_engine_vcpu *vcpu[BOX_VCPUS];
    vsr_cpuid cpuid;
    uint8_t *ram;

    GMutex lock; /* guards the rest */
    vsr_io log[BOX_LOG_MAX];
    unsigned n_log, n_mmio, n_pio;
    bool ended[BOX_VCPUS];
    bool ready;            /* the test's: another vCPU is there */
    int vector[BOX_VCPUS]; /* what intr_ack gives, -1: nothing */
    unsigned n_acks;
    uint64_t apic_base, cr8;
    uint32_t msr_written;
    uint64_t msr_value;
} box;

/* NULL and a message when the engine cannot run here. */
box *box_new(const vsr_engine_ops *ops);
void box_free(box *b);

/* On the vCPU's own thread. */
bool box_vcpu_new(box *b, uint32_t index);
void box_vcpu_free(box *b, uint32_t index);
/* Runs until port 0xf4 is written; the result of the last vcpu_run. */
int box_run(box *b, uint32_t index);

/* Puts code at BOX_CODE (or elsewhere), with an endless loop behind it. */
void box_code(box *b, uint64_t gpa, const uint8_t *code, size_t len);
/* Fill a state that starts at BOX_CODE: real mode, or 64-bit code at CPL 0 with
 * the first GiB mapped. `state` was got from the engine. */
void box_real_mode(vsr_x86_state *state);
void box_long_mode(vsr_x86_state *state);
/* get, one of the two, set. */
void box_start(box *b, uint32_t index, void (*mode)(vsr_x86_state *state));

uint64_t box_peek(const box *b, uint64_t gpa, unsigned size);
void box_poke(box *b, uint64_t gpa, uint64_t value, unsigned size);
/* What the pattern of unserved reads gives. */
uint64_t box_pattern(uint64_t addr, uint32_t size);
bool box_ended(box *b, uint32_t index);
/* How many times as long as usual things may take (VISOR_TEST_SLOW): limits are
 * there to notice what never happens, not what happens late. */
unsigned box_slow(void);
unsigned box_count(box *b, const unsigned *counter);

/* --- checks, with CMocka --- */

void box_expect_io(const vsr_io *io, uint64_t addr, uint32_t size,
                   bool is_write, uint64_t data);
/* One vcpu_run of vCPU 0, kicked after 10 ms. */
void box_run_kicked(box *b);
/* A register of vCPU 0. */
uint64_t box_gpr(box *b, int reg);

#endif
