/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_build.h: bytes to one block: decodes, chooses handlers, lays out links.
 *
 * Threads: any; no state.
 */
#ifndef VSR_DRIVERS_EMU_BLOCK_BUILD_H
#define VSR_DRIVERS_EMU_BLOCK_BUILD_H

#include "drivers/emu/block_cache.h"
#include "drivers/emu/guest_x86_decode.h"

/* The largest a block can get. */
enum {
    EMU_BLOCK_BYTES_MAX = sizeof(emu_block) +
                          (EMU_BLOCK_INSNS_MAX + 1) * sizeof(emu_insn) +
                          2 * sizeof(emu_link) + 16,
};

typedef struct {
    emu_cpu *cpu;
    uint64_t la;  /* linear address of the first byte */
    uint32_t key; /* emu_block_key(), with EMU_MODE_STEP: one instruction */
    unsigned features;
    const uint8_t *host; /* the first byte; `left` bytes to the page's end */
    unsigned left;
    const uint8_t *host2; /* the next page, or NULL */
} emu_build;

/*
 * Fills *block except for gpa and the lists; gpa2 is EMU_BLOCK_NONE. False:
 * already the first instruction needs bytes of the next page, and host2 is
 * NULL. With host2, only that one instruction is taken.
 */
bool emu_block_build(const emu_build *how, emu_block *block);

static inline size_t emu_block_bytes(const emu_block *block)
{
    return sizeof *block + block->slots * sizeof(emu_insn) +
           block->n_links * sizeof(emu_link);
}

#endif
