/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fp_differ.h: one x87, MMX or SSE instruction on the host's CPU and by its
 * handler, from the same random state; everything it left must agree.
 */
#ifndef VSR_TESTS_DRIVERS_EMU_FP_DIFFER_H
#define VSR_TESTS_DRIVERS_EMU_FP_DIFFER_H

#include "tests/drivers/emu/emu_stand_in.h"
#include "tests/support/host_oracle.h"

enum { FP_MIDDLE = HOST_ORACLE_MEMORY / 2 }; /* operands are near here */

typedef struct {
    host_oracle *oracle;
    stand_in *emu;
    uint8_t *native; /* the oracle's memory */
    uint8_t *copy;   /* the handlers' */
    uint64_t seed;
    host_oracle_state before, expected;
    const uint8_t *bytes; /* of the instruction, borrowed */

    bool unmask;  /* leave some exceptions unmasked */
    bool holes;   /* leave some x87 registers empty */
    unsigned run; /* how many were compared */
    bool reached[EMU_OP_MAX];
} fp_differ;

fp_differ *fp_differ_new(void); /* NULL: this host has no oracle */
void fp_differ_free(fp_differ *f);

uint64_t fp_random(fp_differ *f);

/* Random registers, flags and memory, floating-point values that matter among
 * them. Memory operands at general register `base` (0..15) + disp. */
void fp_differ_prepare(fp_differ *f, unsigned base, int disp);

/*
 * Decodes the bytes; false if they are no x87, MMX or SSE instruction with a
 * handler. Otherwise runs both and fails the test when they disagree. The TLB
 * is full, or empty if `slow`.
 */
bool fp_differ_run(fp_differ *f, const uint8_t *bytes, unsigned avail,
                   bool slow);

#endif
