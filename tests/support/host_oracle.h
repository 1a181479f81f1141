/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_oracle.h: what does the host's own CPU make of an instruction?
 *
 * Runs the raw bytes of one x86-64 instruction with every general register,
 * the flags and the x87, MMX and SSE state as given, and hands back what they
 * became. Faults of the instruction are caught and named by vector.
 *
 * The sandbox is one mapping below 2 GiB, so that 32-bit addresses reach it:
 * a page of code, then `memory`, with unmapped pages around each. The
 * instruction must not branch, must not change FS or GS, and must leave RSP
 * alone or move it within `memory`.
 *
 * Threads: one at a time; takes SIGFPE, SIGILL, SIGSEGV, SIGBUS and SIGTRAP
 * between new and free.
 */
#ifndef VSR_TESTS_SUPPORT_HOST_ORACLE_H
#define VSR_TESTS_SUPPORT_HOST_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HOST_ORACLE_MEMORY = 64 * 1024, /* bytes */
    HOST_ORACLE_OK = -1,            /* no fault */
    HOST_ORACLE_INSN_MAX = 15,
};

typedef struct {
    uint64_t gpr[16];
    uint64_t rflags; /* arithmetic flags, DF and bit 1 go in; all come out */
    uint64_t pad;
    uint8_t fx[512]; /* FXSAVE64 image */
} __attribute__((aligned(16))) host_oracle_state;

typedef struct host_oracle host_oracle;

/* NULL: this host is no x86-64, or refuses the mapping. */
host_oracle *host_oracle_new(void);
void host_oracle_free(host_oracle *oracle);

/* HOST_ORACLE_MEMORY bytes for operands. */
uint8_t *host_oracle_memory(host_oracle *oracle);
/* Where the instruction will be: for RIP-relative operands. */
uint64_t host_oracle_rip(const host_oracle *oracle);

/* Gives GS this base, so that GS overrides mean something. False: refused. */
bool host_oracle_set_gs(host_oracle *oracle, uint64_t base);

/* x87 and SSE as after FNINIT with MXCSR 1F80, registers zero; the rest of
 * *state is left alone. */
void host_oracle_reset_fx(host_oracle_state *state);

/*
 * Runs `len` bytes. HOST_ORACLE_OK: *state is what the instruction left.
 * Otherwise the vector of its fault (0 #DE, 6 #UD, 13 #GP, 14 #PF, 16 #MF,
 * 19 #XM ...); *state is then as it was, memory may have changed.
 */
int host_oracle_run(host_oracle *oracle, const uint8_t *bytes, unsigned len,
                    host_oracle_state *state);

#endif
