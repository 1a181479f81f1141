/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_block_cache.c: decoded blocks, their links, and the loop that runs them,
 * on a small page-mapped memory of the test's own instead of the MMU.
 *
 * Guest programs here are made of: NOP; CLC, which counts; CMC, which calls
 * test_hook(); LOOP and JMP; and HLT, which ends the run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/block_cache.h"
#include "drivers/emu/emu_run.h"
#include "drivers/emu/guest_x86_exec.h"

enum { PAGES = 8, UNMAPPED = -1 };

typedef struct machine {
    emu_cpu *cpu;
    uint8_t ram[PAGES][EMU_PAGE_SIZE];
    int map[PAGES]; /* linear page → page of ram, or UNMAPPED */
    int marks[PAGES];
    bool device; /* emu_code_page() finds no RAM */
    unsigned counted, lookups;
    int vector;
    uint64_t fault_rip, fault_la;
    void (*hook)(struct machine *m);
} machine;

/* The vCPU's VM is this test's machine. */
static machine *of(const emu_cpu *cpu)
{
    return (machine *)cpu->vm;
}

/* --- what the MMU and the exceptions would do --- */

const uint8_t *emu_code_page(emu_cpu *cpu, uint64_t rip, uint64_t *gpa)
{
    machine *m = of(cpu);
    uint64_t page = rip >> EMU_PAGE_SHIFT;

    m->lookups++;
    if (page >= PAGES || m->map[page] == UNMAPPED)
        emu_raise_pf(cpu, NULL, rip, 0);
    *gpa = (uint64_t)m->map[page] << EMU_PAGE_SHIFT;
    return m->device ? NULL : m->ram[m->map[page]];
}

uint8_t emu_fetch(emu_cpu *cpu, uint64_t la)
{
    machine *m = of(cpu);
    uint64_t gpa;

    emu_code_page(cpu, la, &gpa);
    return m->ram[gpa >> EMU_PAGE_SHIFT][la & ~EMU_PAGE_MASK];
}

void emu_code_mark(emu_cpu *cpu, uint64_t gpa)
{
    machine *m = of(cpu);

    m->marks[gpa >> EMU_PAGE_SHIFT]++;
}

void emu_code_unmark(emu_cpu *cpu, uint64_t gpa)
{
    machine *m = of(cpu);

    m->marks[gpa >> EMU_PAGE_SHIFT]--;
}

void emu_raise_code(emu_cpu *cpu, const emu_insn *insn, int vector,
                    uint32_t error)
{
    machine *m = of(cpu);

    m->vector = vector;
    m->fault_rip = insn ? emu_insn_rip(cpu, insn) : cpu->regs[EMU_REG_RIP];
    cpu->current = insn;
    siglongjmp(cpu->unwind, EMU_UNWIND_SHUTDOWN);
}

void emu_raise(emu_cpu *cpu, const emu_insn *insn, int vector)
{
    emu_raise_code(cpu, insn, vector, 0);
}

void emu_raise_pf(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                  uint32_t error)
{
    machine *m = of(cpu);

    m->fault_la = la;
    emu_raise_code(cpu, insn, EMU_PAGE_FAULT, error);
}

void emu_push(emu_cpu *cpu, const emu_insn *insn, unsigned size, uint64_t value)
{
    fail_msg("no stack here");
}

uint64_t emu_stack_read(emu_cpu *cpu, const emu_insn *insn, unsigned depth,
                        unsigned size)
{
    fail_msg("no stack here");
    return 0;
}

void emu_stack_adjust(emu_cpu *cpu, int64_t by)
{
    fail_msg("no stack here");
}

uint64_t emu_load_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                       unsigned size)
{
    fail_msg("no data here");
    return 0;
}

void emu_store_slow(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                    unsigned size, uint64_t value)
{
    fail_msg("no data here");
}

uint64_t emu_ea_slow(emu_cpu *cpu, const emu_insn *insn, unsigned size,
                     emu_access access)
{
    fail_msg("no data here");
    return 0;
}

bool emu_deliver_pending(emu_cpu *cpu)
{
    return false;
}

void emu_halt_wait(emu_cpu *cpu)
{
    atomic_fetch_or(&cpu->exit_request, EMU_EXIT_KICK);
}

void emu_take_init(emu_cpu *cpu)
{
}

void emu_tlb_drain(emu_cpu *cpu)
{
}

bool emu_step_before(emu_cpu *cpu)
{
    return false;
}

bool emu_step_after(emu_cpu *cpu, bool tf)
{
    return true;
}

/* --- the few instructions --- */

static const emu_insn *exec_nop(emu_cpu *cpu, const emu_insn *insn)
{
    EMU_NEXT(cpu, insn);
}

static const emu_insn *exec_count(emu_cpu *cpu, const emu_insn *insn)
{
    machine *m = of(cpu);

    m->counted++;
    EMU_NEXT(cpu, insn);
}

static const emu_insn *exec_hook(emu_cpu *cpu, const emu_insn *insn)
{
    machine *m = of(cpu);

    m->hook(m);
    EMU_NEXT(cpu, insn);
}

static const emu_insn *exec_hlt(emu_cpu *cpu, const emu_insn *insn)
{
    cpu->mp_state = VSR_MP_HALTED;
    return emu_leave(cpu, emu_next_rip(cpu, insn));
}

emu_exec_fn *emu_exec_find_integer(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_NOP:
    case EMU_OP_MOV:
        return exec_nop;
    case EMU_OP_CLC:
        return exec_count;
    case EMU_OP_CMC:
        return exec_hook;
    case EMU_OP_HLT:
        return exec_hlt;
    default:
        return NULL;
    }
}

emu_exec_fn *emu_exec_find_string(const emu_insn *insn)
{
    return NULL;
}

emu_exec_fn *emu_exec_find_system(const emu_insn *insn)
{
    return NULL;
}

emu_exec_fn *emu_exec_find_sse(const emu_insn *insn)
{
    return NULL;
}

emu_exec_fn *emu_exec_find_x87(const emu_insn *insn)
{
    return NULL;
}

/* --- helpers --- */

enum { NOP = 0x90, COUNT = 0xf8, HOOK = 0xf5, HLT = 0xf4 };

static void put(machine *m, unsigned page, unsigned at, const char *bytes,
                unsigned len)
{
    memcpy(&m->ram[page][at], bytes, len);
}
#define PUT(page, at, bytes) put(m, page, at, bytes, sizeof(bytes) - 1)

/* A write by the guest: bytes, then the report. */
static void poke(machine *m, unsigned page, unsigned at, uint8_t byte)
{
    m->ram[page][at] = byte;
    emu_blocks_written(m->cpu->blocks, (uint64_t)page << EMU_PAGE_SHIFT | at,
                       1);
}

/* Runs from `rip` to the next HLT. */
static int run_from(machine *m, uint64_t rip)
{
    m->cpu->regs[EMU_REG_RIP] = rip;
    m->cpu->mp_state = VSR_MP_RUNNABLE;
    m->counted = 0;
    m->vector = -1;
    return emu_run(m->cpu);
}

static uint64_t built(machine *m)
{
    emu_blocks_stats stats;

    emu_blocks_get_stats(m->cpu->blocks, &stats);
    return stats.built;
}

static int setup(void **state)
{
    machine *m = g_new0(machine, 1);

    m->cpu = g_new0(emu_cpu, 1);
    m->cpu->space = &m->cpu->first_space;
    m->cpu->vm = (emu_vm *)m;
    m->cpu->mode = EMU_MODE_PROT | EMU_MODE_CS64;
    m->cpu->lock_free = true;
    m->cpu->blocks = emu_blocks_new(m->cpu);
    assert_non_null(m->cpu->blocks);
    for (unsigned i = 0; i < PAGES; i++)
        m->map[i] = (int)i;
    memset(m->ram, HLT, sizeof m->ram);
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    machine *m = *state;

    emu_blocks_clear(m->cpu->blocks);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(m->marks[i], 0);
    emu_blocks_free(m->cpu->blocks);
    g_free(m->cpu);
    g_free(m);
    return 0;
}

/* --- tests --- */

static void a_block_is_decoded_once(void **state)
{
    machine *m = *state;

    PUT(1, 0, "\xf8\xf8\xf8\xf4");
    assert_int_equal(run_from(m, 0x1000), VSR_RUN_KICKED);
    assert_int_equal(m->counted, 3);
    assert_int_equal(m->cpu->insns, 4);
    assert_int_equal(m->cpu->regs[EMU_REG_RIP], 0x1004);
    assert_int_equal(built(m), 1);
    assert_int_equal(m->marks[1], 1);
    run_from(m, 0x1000);
    emu_blocks_unlink(m->cpu->blocks);
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 3);
    assert_int_equal(built(m), 1);
}

static void blocks_of_other_modes_are_others(void **state)
{
    machine *m = *state;

    PUT(1, 0, "\x48\xf8\xf4"); /* dec eax in 32-bit code: not known here */
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 1);
    m->cpu->mode = EMU_MODE_PROT | EMU_MODE_CS32 | EMU_MODE_FLAT;
    m->cpu->seg[VSR_X86_CS].limit = 0xffffffff;
    assert_int_equal(run_from(m, 0x1000), VSR_RUN_SHUTDOWN);
    assert_int_equal(m->vector, EMU_UD);
    m->cpu->mode = EMU_MODE_PROT | EMU_MODE_CS64;
    m->cpu->cpl = 3;
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 1);
    assert_int_equal(built(m), 3);
}

static void loops_run_by_links(void **state)
{
    machine *m = *state;
    unsigned lookups;

    PUT(1, 0, "\xf8\x90\xe2\xfc\xf4"); /* count; nop; loop $-2 */
    m->cpu->regs[VSR_X86_RCX] = 1000;
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 1000);
    assert_int_equal(m->cpu->insns, 3001);
    lookups = m->lookups;
    assert_in_range(lookups, 1, 5);
    m->cpu->regs[VSR_X86_RCX] = 1000;
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 1000);
    assert_int_equal(m->lookups, lookups);
}

static void links_across_pages_follow_the_mapping(void **state)
{
    machine *m = *state;

    /* Page 1: count; jmp to page 2, which counts once or, in page 3, twice. */
    PUT(1, 0, "\xf8\xe9\xfa\x0f\x00\x00");
    PUT(2, 0, "\xf8\xf4");
    PUT(3, 0, "\xf8\xf8\xf4");
    for (unsigned i = 0; i < 3; i++) {
        run_from(m, 0x1000);
        assert_int_equal(m->counted, 2);
    }
    m->map[2] = 3;
    emu_blocks_unlink(m->cpu->blocks);
    for (unsigned i = 0; i < 3; i++) {
        run_from(m, 0x1000);
        assert_int_equal(m->counted, 3);
    }
    m->map[2] = UNMAPPED;
    emu_blocks_unlink(m->cpu->blocks);
    assert_int_equal(run_from(m, 0x1000), VSR_RUN_SHUTDOWN);
    assert_int_equal(m->vector, EMU_PAGE_FAULT);
    assert_int_equal(m->fault_la, 0x2000);
    assert_int_equal(m->fault_rip, 0x2000);
    assert_int_equal(m->counted, 1);
    m->map[2] = 2;
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 2);
    assert_int_equal(built(m), 3);
}

static void the_same_code_at_two_addresses_keeps_its_own_targets(void **state)
{
    machine *m = *state;

    /* Page 1 is seen at 1000h and at 4000h; it jumps to the page after it. */
    PUT(1, 0, "\xf8\xe9\xfa\x0f\x00\x00");
    PUT(2, 0, "\xf8\xf4");
    PUT(5, 0, "\xf8\xf8\xf8\xf4");
    m->map[4] = 1;
    for (unsigned i = 0; i < 3; i++) {
        run_from(m, 0x1000);
        assert_int_equal(m->counted, 2);
        assert_int_equal(m->cpu->regs[EMU_REG_RIP], 0x2002);
        run_from(m, 0x4000);
        assert_int_equal(m->counted, 4);
        assert_int_equal(m->cpu->regs[EMU_REG_RIP], 0x5004);
    }
    assert_int_equal(built(m), 3);
}

static void only_blocks_that_a_write_touches_die(void **state)
{
    machine *m = *state;

    PUT(1, 0, "\xf8\xf8\xf4");
    PUT(1, 16, "\xf8\xf4");
    run_from(m, 0x1000);
    run_from(m, 0x1010);
    assert_int_equal(built(m), 2);
    poke(m, 1, 8, 0xcc);   /* between them, same line */
    poke(m, 1, 200, 0xcc); /* another line */
    poke(m, 2, 0, 0xcc);   /* another page */
    run_from(m, 0x1000);
    run_from(m, 0x1010);
    assert_int_equal(built(m), 2);
    poke(m, 1, 0x10, NOP);
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 2);
    run_from(m, 0x1010);
    assert_int_equal(m->counted, 0);
    assert_int_equal(built(m), 3);
}

static void links_to_dead_blocks_lead_to_new_code(void **state)
{
    machine *m = *state;

    PUT(1, 0, "\xf8\xeb\x0d"); /* count; jmp 1010h */
    PUT(1, 16, "\xf8\xf4");
    PUT(2, 0, "\xe9\x0b\xf0\xff\xff"); /* jmp 1010h, guarded */
    for (unsigned i = 0; i < 3; i++) {
        run_from(m, 0x1000);
        assert_int_equal(m->counted, 2);
        run_from(m, 0x2000);
        assert_int_equal(m->counted, 1);
    }
    poke(m, 1, 0x10, NOP);
    for (unsigned i = 0; i < 3; i++) {
        run_from(m, 0x1000);
        assert_int_equal(m->counted, 1);
        run_from(m, 0x2000);
        assert_int_equal(m->counted, 0);
    }
    assert_int_equal(built(m), 4);
}

static uint64_t lookups(machine *m)
{
    emu_blocks_stats stats;

    emu_blocks_get_stats(m->cpu->blocks, &stats);
    return stats.lookups;
}

static void links_to_dead_blocks_are_mended(void **state)
{
    machine *m = *state;
    uint64_t before;

    /* Page 1 loops over a jump to page 2, whose code has died once. */
    PUT(1, 0, "\xe9\xfb\x0f\x00\x00");                 /* jmp 2000h */
    PUT(2, 0, "\xf8\xe2\x01\xf4\xe9\xf7\xef\xff\xff"); /* count; loop; jmp */
    m->cpu->regs[VSR_X86_RCX] = 10;
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 10);
    poke(m, 2, 0, NOP);
    poke(m, 2, 0, COUNT);
    m->cpu->regs[VSR_X86_RCX] = 100;
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 100);
    before = lookups(m);
    m->cpu->regs[VSR_X86_RCX] = 1000;
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 1000);
    assert_in_range(lookups(m) - before, 0, 5);
}

static void links_into_global_pages_outlive_a_new_cr3(void **state)
{
    machine *m = *state;
    emu_tlb_info *info = &m->cpu->space->info[EMU_TLB_SUPER][2];
    uint64_t before;

    PUT(1, 0, "\xe9\xfb\x0f\x00\x00"); /* jmp 2000h */
    PUT(2, 0, "\xf8\xf4");
    info->page = 0x2000;
    info->global = true;
    run_from(m, 0x1000);
    before = lookups(m);
    emu_blocks_unlink_local(m->cpu->blocks);
    run_from(m, 0x1000);
    assert_int_equal(lookups(m) - before, 1); /* of 1000h */
    assert_int_equal(m->counted, 1);
    m->map[2] = 3;
    emu_blocks_unlink(m->cpu->blocks);
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 0);
}

static void hook_patch_next(machine *m)
{
    poke(m, 1, 2, NOP);
}

static void a_block_that_changes_itself_goes_on_with_new_code(void **state)
{
    machine *m = *state;

    /* count; hook: makes the third byte a NOP; count; count; hlt */
    m->hook = hook_patch_next;
    PUT(1, 0, "\xf8\xf5\xf8\xf8\xf4");
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 2);
    assert_int_equal(m->cpu->insns, 5);
    assert_int_equal(m->cpu->regs[EMU_REG_RIP], 0x1005);
}

static void hook_clear(machine *m)
{
    put(m, 1, 2, "\x90", 1);
    emu_blocks_clear(m->cpu->blocks);
}

static void clearing_from_within_a_block_is_safe(void **state)
{
    machine *m = *state;

    m->hook = hook_clear;
    PUT(1, 0, "\xf8\xf5\xf8\xf8\xf4");
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 2);
    assert_int_equal(m->cpu->regs[EMU_REG_RIP], 0x1005);
}

static void hook_post(machine *m)
{
    /* As another thread would. */
    m->ram[1][8] = NOP;
    emu_blocks_post(m->cpu->blocks, 0x1008, 1);
}

static void posted_writes_count_from_the_next_block_on(void **state)
{
    machine *m = *state;

    PUT(1, 0, "\xf5\xeb\x05"); /* hook; jmp 1008h */
    PUT(1, 8, "\xf8\xf8\xf4");
    m->hook = hook_post;
    run_from(m, 0x1008);
    assert_int_equal(m->counted, 2);
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 1);
    for (unsigned i = 0; i < 1000; i++)
        emu_blocks_post(m->cpu->blocks, 0x5000, 1);
    PUT(1, 8, "\xf8\xf8\xf4");
    run_from(m, 0x1008); /* the queue ran over: everything was dropped */
    assert_int_equal(m->counted, 2);
}

static void instructions_may_cross_pages(void **state)
{
    machine *m = *state;

    /* mov eax, imm32 with its last two bytes in the next page */
    PUT(1, 0xffc, "\xf8\xb8\x01\x02");
    PUT(2, 0, "\x03\x04\xf8\xf4");
    PUT(3, 0, "\x03\x04\xf8\xf8\xf4");
    for (unsigned i = 0; i < 3; i++) {
        run_from(m, 0x1ffc);
        assert_int_equal(m->counted, 2);
    }
    assert_int_equal(built(m), 3);
    /* The second page is another one now. */
    m->map[2] = 3;
    emu_blocks_unlink(m->cpu->blocks);
    run_from(m, 0x1ffc);
    assert_int_equal(m->counted, 3);
    m->map[2] = UNMAPPED;
    emu_blocks_unlink(m->cpu->blocks);
    assert_int_equal(run_from(m, 0x1ffc), VSR_RUN_SHUTDOWN);
    assert_int_equal(m->fault_la, 0x2000);
    assert_int_equal(m->fault_rip, 0x1ffd);
    assert_int_equal(m->counted, 1);
    /* And a write to the part in the second page counts. */
    m->map[2] = 2;
    run_from(m, 0x1ffc);
    assert_int_equal(m->counted, 2);
    poke(m, 2, 0, 0xff);
    run_from(m, 0x1ffc);
    assert_int_equal(m->counted, 2);
    assert_in_range(built(m), 5, 8);
}

static void code_outside_of_ram_runs_byte_by_byte(void **state)
{
    machine *m = *state;

    m->device = true;
    PUT(1, 0, "\xf8\x90\xf8\xe2\xfb\xf4");
    m->cpu->regs[VSR_X86_RCX] = 10;
    run_from(m, 0x1000);
    assert_int_equal(m->counted, 20);
    assert_int_equal(built(m), 0);
    assert_int_equal(m->marks[1], 0);
}

static void bad_instructions_fault_at_their_own_rip(void **state)
{
    machine *m = *state;

    PUT(1, 0, "\xf8\x0f\x0b");
    assert_int_equal(run_from(m, 0x1000), VSR_RUN_SHUTDOWN);
    assert_int_equal(m->vector, EMU_UD);
    assert_int_equal(m->fault_rip, 0x1001);
    assert_int_equal(m->cpu->insns, 1);
    memset(m->ram[2], 0x66, 15);
    assert_int_equal(run_from(m, 0x2000), VSR_RUN_SHUTDOWN);
    assert_int_equal(m->vector, EMU_GP);
    assert_int_equal(m->fault_rip, 0x2000);
    /* And so it is when it takes a second page to find that out. */
    memset(&m->ram[3][0xffc], 0x66, 4);
    memset(m->ram[4], 0x66, 11);
    assert_int_equal(run_from(m, 0x3ffc), VSR_RUN_SHUTDOWN);
    assert_int_equal(m->vector, EMU_GP);
    poke(m, 4, 1, NOP);
    PUT(4, 2, "\xf8\xf4");
    assert_int_equal(run_from(m, 0x3ffc), VSR_RUN_KICKED);
    assert_int_equal(m->counted, 1);
    assert_int_equal(run_from(m, 0x800000000000), VSR_RUN_SHUTDOWN);
    assert_int_equal(m->vector, EMU_GP);
}

static void long_code_is_cut_and_the_arena_recycled(void **state)
{
    machine *m = *state;
    emu_blocks_stats stats;

    for (unsigned i = 0; i < PAGES; i++)
        memset(m->ram[i], COUNT, EMU_PAGE_SIZE);
    m->ram[PAGES - 1][EMU_PAGE_SIZE - 1] = HLT;
    run_from(m, 0);
    assert_int_equal(m->counted, PAGES * EMU_PAGE_SIZE - 1);
    assert_int_equal(built(m), PAGES * EMU_PAGE_SIZE / EMU_BLOCK_INSNS_MAX);
    for (unsigned i = 0; i < 3 * EMU_PAGE_SIZE; i += 3) {
        run_from(m, i);
        assert_int_equal(m->counted, PAGES * EMU_PAGE_SIZE - 1 - i);
        emu_blocks_get_stats(m->cpu->blocks, &stats);
        assert_in_range(stats.arena_used, 1, stats.arena_size);
        if (stats.clears >= 2)
            return;
    }
    fail_msg("the arena never filled up");
}

static gpointer kick(gpointer data)
{
    machine *m = data;

    g_usleep(20000);
    atomic_fetch_or(&m->cpu->exit_request, EMU_EXIT_KICK);
    return NULL;
}

static void a_kick_ends_an_endless_loop(void **state)
{
    machine *m = *state;
    GThread *thread = g_thread_new("kick", kick, m);

    PUT(1, 0, "\xeb\xfe");
    assert_int_equal(run_from(m, 0x1000), VSR_RUN_KICKED);
    assert_int_equal(m->cpu->regs[EMU_REG_RIP], 0x1000);
    g_thread_join(thread);
}

static void stepping_stops_after_each_instruction(void **state)
{
    machine *m = *state;

    PUT(1, 0, "\xf8\xeb\x01\xf4\xf8\xf4");
    m->cpu->mode |= EMU_MODE_STEP;
    assert_int_equal(run_from(m, 0x1000), VSR_RUN_DEBUG);
    assert_int_equal(m->cpu->regs[EMU_REG_RIP], 0x1001);
    assert_int_equal(emu_run(m->cpu), VSR_RUN_DEBUG);
    assert_int_equal(m->cpu->regs[EMU_REG_RIP], 0x1004);
    assert_int_equal(emu_run(m->cpu), VSR_RUN_DEBUG);
    assert_int_equal(m->counted, 2);
    assert_int_equal(m->cpu->insns, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_block_is_decoded_once),
        TEST(blocks_of_other_modes_are_others),
        TEST(loops_run_by_links),
        TEST(links_across_pages_follow_the_mapping),
        TEST(the_same_code_at_two_addresses_keeps_its_own_targets),
        TEST(only_blocks_that_a_write_touches_die),
        TEST(links_to_dead_blocks_lead_to_new_code),
        TEST(links_to_dead_blocks_are_mended),
        TEST(links_into_global_pages_outlive_a_new_cr3),
        TEST(a_block_that_changes_itself_goes_on_with_new_code),
        TEST(clearing_from_within_a_block_is_safe),
        TEST(posted_writes_count_from_the_next_block_on),
        TEST(instructions_may_cross_pages),
        TEST(code_outside_of_ram_runs_byte_by_byte),
        TEST(bad_instructions_fault_at_their_own_rip),
        TEST(long_code_is_cut_and_the_arena_recycled),
        TEST(a_kick_ends_an_endless_loop),
        TEST(stepping_stops_after_each_instruction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
