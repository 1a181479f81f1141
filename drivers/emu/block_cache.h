/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_cache.h: decoded code of one vCPU, by guest physical address and mode.
 *
 * A block is a run of instructions within one page (or one instruction that
 * crosses into the next), in memory: header, instructions, links. It ends with
 * a branch or with an EMU_OP_NEXT of ours. Blocks know nothing of linear
 * addresses, so they survive every change of mapping; links do not:
 *
 *   near links     lead to a block in the same page. The page's mapping was
 *                  looked at when the page was entered, so they always hold.
 *   guarded links  lead elsewhere. They hold while cpu->link_key (generation of
 *                  the mapping, mode, privilege) and the target RIP are those
 *                  they were made with. emu_blocks_unlink() takes a new
 *                  generation, and that is all it does. There are two: one
 *                  for targets in global pages, one for all others; bit 0 of
 *                  the key says which. The second one changes with the address
 *                  space, and may come back with it (emu_blocks_resume()).
 *
 * When code changes, the blocks it was in die: each of their instructions then
 * leaves for the run loop (EMU_OP_BLOCK_STALE), so neither a link that was
 * missed nor the block that is just running can go on with old code. The memory
 * of dead blocks comes back when the arena is full and everything is dropped.
 *
 * Threads: the vCPU's own. Another thread that writes to a marked page queues
 * the range (emu_blocks_post), which sets EMU_EXIT_FLUSH; the owner drains the
 * queue at its next end of block, before it runs another one.
 */
#ifndef VSR_DRIVERS_EMU_BLOCK_CACHE_H
#define VSR_DRIVERS_EMU_BLOCK_CACHE_H

#include "drivers/emu/guest_x86_state.h"

enum {
    EMU_BLOCK_INSNS_MAX = 64,
    EMU_JUMP_CACHE_SIZE = 4096,
};

/* emu_link.key of a near link; emu_block.gpa of a dead block, .gpa2 of one
 * that does not cross. */
#define EMU_LINK_NEAR  (~(uint64_t)0)
#define EMU_BLOCK_NONE (~(uint64_t)0)

/* Behind the last instruction of a block: where it branches to (an indirect
 * branch: where it went last), then where it falls through or returns to. The
 * jump cache is made of the same. */
typedef struct emu_link {
    emu_block *block; /* NULL: not resolved */
    uint64_t key;     /* EMU_LINK_NEAR, or one of link_key at the time */
    uint64_t rip;     /* near: distance from the block's RIP to the target's */
} emu_link;

struct emu_block {
    uint64_t gpa;  /* of the first byte */
    uint64_t gpa2; /* page of the bytes that lie behind the page's end */
    uint32_t key;  /* emu_block_key() */
    uint16_t len;  /* bytes */
    uint8_t count; /* instructions */
    uint8_t slots; /* elements of insn: count, and EMU_OP_NEXT if there is */
    uint8_t n_links;
    emu_block *hash_next;
    emu_block *page_next[2]; /* in the list of the first, of the second page */
    uint32_t stale_runs;     /* how often it was entered when dead */
    uint32_t pad;
    emu_insn insn[];
    /* emu_link[n_links] */
};

_Static_assert(sizeof(emu_block) == 64, "instructions are 32-byte aligned");

static inline emu_link *emu_block_links(emu_block *block)
{
    return (emu_link *)&block->insn[block->slots];
}

/* What decides how bytes decode and may be run. */
static inline uint32_t emu_block_key(const emu_cpu *cpu)
{
    return cpu->mode | (cpu->cpl == 3 ? 1u << 15 : 0);
}

static inline emu_link *emu_jump_at(const emu_cpu *cpu, uint64_t rip)
{
    return &cpu->jump_cache[(rip ^ rip >> 12) & (EMU_JUMP_CACHE_SIZE - 1)];
}

static inline bool emu_link_holds(const emu_cpu *cpu, const emu_link *link,
                                  uint64_t rip)
{
    return link->rip == rip && link->key == cpu->link_key[link->key & 1];
}

/* NULL when there is no memory. cpu->cpuid must be final. */
emu_blocks *emu_blocks_new(emu_cpu *cpu);
void emu_blocks_free(emu_blocks *blocks);

/* Find or build the block at `rip` (cpu->mode, current translation), with
 * regs[EMU_REG_RIP] == rip and cpu->block == NULL. `single`: of one instruction
 * only. Raises #PF or #GP of the fetch. Never NULL; valid until the next call.
 * Sets cpu->link_key. */
emu_block *emu_blocks_get(emu_cpu *cpu, uint64_t rip, bool single);

/* Own thread: bytes of a marked page changed; drop the blocks they touch (also
 * the running one: it then ends after the current instruction). */
void emu_blocks_written(emu_blocks *blocks, uint64_t gpa, uint64_t len);
/* Any thread. */
void emu_blocks_post(emu_blocks *blocks, uint64_t gpa, uint64_t len);
/* Own thread; emu_blocks_get() does it when something was posted. */
void emu_blocks_drain(emu_blocks *blocks);
/* Own thread: the linear→physical mapping of code changed (TLB flush): forget
 * successor links and the by-RIP jump cache, keep the decoded blocks. The
 * second one leaves links into global pages alone. */
void emu_blocks_unlink(emu_blocks *blocks);
void emu_blocks_unlink_local(emu_blocks *blocks);
/* Another address space: the generation of its links that are not global, as it
 * was when the space was last left, or 0. */
uint64_t emu_blocks_generation(const emu_blocks *blocks);
void emu_blocks_resume(emu_blocks *blocks, uint64_t generation);
void emu_blocks_clear(emu_blocks *blocks); /* everything */

/* For statistics and tests. */
typedef struct {
    uint64_t built;   /* blocks decoded so far */
    uint64_t insns;   /* instructions in them */
    uint64_t killed;  /* dropped because their code changed */
    uint64_t clears;  /* arena full, or emu_blocks_clear() */
    uint64_t lookups; /* by physical address: no link, not in jump cache */
    uint64_t unlinks;
    uint64_t arena_used; /* bytes now */
    uint64_t arena_size;
} emu_blocks_stats;

void emu_blocks_get_stats(const emu_blocks *blocks, emu_blocks_stats *out);

#endif
