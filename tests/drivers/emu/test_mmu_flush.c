/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_mmu_flush.c: PCIDs: CR3, CR4, INVLPG and INVPCID, and code under them. */
#include "tests/drivers/emu/emu_box.h"

#include "drivers/emu/block_cache.h"
#include "drivers/emu/guest_x86_control.h"
#include "drivers/emu/guest_x86_cpuid.h"
#include "drivers/emu/guest_x86_segment.h"

#define NOFLUSH EMU_CR3_NOFLUSH
/* In the second entry of the top table, which the tests may exchange. */
#define FAR_LA (UINT64_C(1) << 39)
/* Pages of RAM with a number in them. */
enum { PAGE_A = 0x40000, PAGE_B = 0x41000, PAGE_C = 0x42000 };

static int set_up(void **state)
{
    emu_box *box = emu_box_new(1);

    emu_box_long(box, 0);
    box_write(box, PAGE_A, 1, 0xaa);
    box_write(box, PAGE_B, 1, 0xbb);
    box_write(box, PAGE_C, 1, 0xcc);
    emu_box_map(box, FAR_LA, PAGE_A | PTE_P | PTE_W);
    *state = box;
    return 0;
}

static int tear_down(void **state)
{
    emu_box_free(*state);
    return 0;
}

static void pcid_on(emu_cpu *cpu)
{
    assert_true(emu_write_cr4(cpu, &box_insn, cpu->cr4 | EMU_CR4_PCIDE));
}

static void cr3(emu_cpu *cpu, uint64_t value)
{
    assert_true(emu_write_cr3(cpu, &box_insn, value));
}

static unsigned far_byte(emu_cpu *cpu)
{
    return emu_load8(cpu, &box_insn, FAR_LA);
}

/* --- control registers --- */

static void pcide_needs_long_mode_and_pcid_0(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    cr3(cpu, BOX_CR3 | 8);
    assert_false(emu_write_cr4(cpu, &box_insn, cpu->cr4 | EMU_CR4_PCIDE));
    cr3(cpu, BOX_CR3);
    pcid_on(cpu);
    /* Once it is set any PCID will do. */
    cr3(cpu, BOX_CR3 | 8);
    assert_true(emu_write_cr4(cpu, &box_insn, cpu->cr4 | EMU_CR4_TSD));
    emu_box_prot(box, 0);
    assert_false(emu_write_cr4(cpu, &box_insn, cpu->cr4 | EMU_CR4_PCIDE));
}

static void pcide_needs_the_cpuid_bit(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    assert_true(emu_cpuid_has(cpu, 1, EMU_ECX, 17));
    for (uint32_t i = 0; i < cpu->cpuid.n; i++)
        if (cpu->cpuid.row[i].leaf == 1)
            cpu->cpuid.row[i].ecx &= ~(1u << 17);
    assert_false(emu_write_cr4(cpu, &box_insn, cpu->cr4 | EMU_CR4_PCIDE));
}

static void paging_stays_on_while_pcide_is_set(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    pcid_on(cpu);
    emu_segment_set(
        cpu, VSR_X86_CS,
        &(vsr_x86_seg){ .limit = 0xffffffff,
                        .selector = BOX_CS,
                        .attr = VSR_SEG_DB | VSR_SEG_P | VSR_SEG_S | 0xb });
    assert_false(
        emu_write_cr0(cpu, &box_insn, cpu->cr0 & ~(uint64_t)EMU_CR0_PG));
    assert_true(emu_long_mode(cpu));
    assert_true(
        emu_write_cr4(cpu, &box_insn, cpu->cr4 & ~(uint64_t)EMU_CR4_PCIDE));
    assert_true(
        emu_write_cr0(cpu, &box_insn, cpu->cr0 & ~(uint64_t)EMU_CR0_PG));
}

static void no_flush_bit_is_reserved_without_pcide_and_never_read(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    assert_false(emu_write_cr3(cpu, &box_insn, BOX_CR3 | NOFLUSH));
    pcid_on(cpu);
    cr3(cpu, BOX_CR3 | 5 | NOFLUSH);
    assert_int_equal(cpu->cr3, BOX_CR3 | 5);
    assert_false(emu_write_cr3(cpu, &box_insn, BOX_CR3 | UINT64_C(1) << 62));
}

static void state_with_pcide_needs_long_mode(void **state)
{
    emu_box *box = *state;
    vsr_x86_state s;

    pcid_on(box->cpu[0]);
    cr3(box->cpu[0], BOX_CR3 | 0x123);
    assert_int_equal(vsr_emu_engine.vcpu_get(box->vcpu[0], &s), 0);
    assert_int_equal(s.cr3, BOX_CR3 | 0x123);
    assert_int_equal(vsr_emu_engine.vcpu_set(box->vcpu[0], &s), 0);
    s.efer = 0;
    s.cr0 &= ~(uint64_t)EMU_CR0_PG;
    assert_true(vsr_emu_engine.vcpu_set(box->vcpu[0], &s) < 0);
    s.cr4 &= ~(uint64_t)EMU_CR4_PCIDE;
    assert_int_equal(vsr_emu_engine.vcpu_set(box->vcpu[0], &s), 0);
}

/* --- what is kept --- */

static void no_flush_finds_what_was_cached(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    pcid_on(cpu);
    cr3(cpu, BOX_CR3 | 1);
    assert_int_equal(far_byte(cpu), 0xaa);
    emu_box_map(box, FAR_LA, PAGE_B | PTE_P | PTE_W);
    cr3(cpu, BOX_CR3 | 2 | NOFLUSH);
    assert_int_equal(far_byte(cpu), 0xbb);
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_int_equal(far_byte(cpu), 0xaa);
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_int_equal(far_byte(cpu), 0xaa);
    cr3(cpu, BOX_CR3 | 1);
    assert_int_equal(far_byte(cpu), 0xbb);
}

static void flush_of_one_pcid_leaves_others_alone(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    pcid_on(cpu);
    cr3(cpu, BOX_CR3 | 1);
    far_byte(cpu);
    cr3(cpu, BOX_CR3 | 2);
    far_byte(cpu);
    emu_box_map(box, FAR_LA, PAGE_B | PTE_P | PTE_W);
    cr3(cpu, BOX_CR3 | 2);
    assert_int_equal(far_byte(cpu), 0xbb);
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_int_equal(far_byte(cpu), 0xaa);
}

static void leaving_pcide_flushes_all_pcids(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    pcid_on(cpu);
    for (unsigned n = 0; n < 3; n++) {
        cr3(cpu, BOX_CR3 | n);
        far_byte(cpu);
    }
    emu_box_map(box, FAR_LA, PAGE_B | PTE_P | PTE_W);
    assert_true(
        emu_write_cr4(cpu, &box_insn, cpu->cr4 & ~(uint64_t)EMU_CR4_PCIDE));
    assert_int_equal(far_byte(cpu), 0xbb);
    cr3(cpu, BOX_CR3);
    pcid_on(cpu);
    for (unsigned n = 0; n < 3; n++) {
        cr3(cpu, BOX_CR3 | n | NOFLUSH);
        assert_int_equal(far_byte(cpu), 0xbb);
    }
}

static void many_pcids_share_the_spaces(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    pcid_on(cpu);
    for (unsigned n = 0; n < 40; n++) {
        cr3(cpu, BOX_CR3 | n | NOFLUSH);
        assert_int_equal(far_byte(cpu), 0xaa);
    }
    emu_box_map(box, FAR_LA, PAGE_B | PTE_P | PTE_W);
    /* The last one is cached still, the first one long gone. */
    assert_int_equal(far_byte(cpu), 0xaa);
    cr3(cpu, BOX_CR3 | 0 | NOFLUSH);
    assert_int_equal(far_byte(cpu), 0xbb);
    cr3(cpu, BOX_CR3 | 39 | NOFLUSH);
    assert_int_equal(far_byte(cpu), 0xaa);
}

static void code_takes_the_write_tags_of_all_pcids(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    pcid_on(cpu);
    for (unsigned n = 1; n <= 2; n++) {
        cr3(cpu, BOX_CR3 | n | NOFLUSH);
        emu_store8(cpu, &box_insn, FAR_LA, 0x90);
        assert_non_null(emu_host_w(cpu, FAR_LA, 1));
    }
    emu_code_mark(cpu, PAGE_A);
    assert_null(emu_host_w(cpu, FAR_LA, 1));
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_non_null(emu_host_r(cpu, FAR_LA, 1));
    assert_null(emu_host_w(cpu, FAR_LA, 1));
    emu_code_unmark(cpu, PAGE_A);
}

/* --- INVLPG --- */

static void invlpg_is_for_this_pcid_and_global_pages_of_all(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    pcid_on(cpu);
    emu_box_map(box, FAR_LA + 0x1000, PAGE_A | PTE_P | PTE_G);
    for (unsigned n = 1; n <= 2; n++) {
        cr3(cpu, BOX_CR3 | n | NOFLUSH);
        far_byte(cpu);
        assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x1000), 0xaa);
    }
    emu_box_map(box, FAR_LA, PAGE_B | PTE_P);
    emu_box_map(box, FAR_LA + 0x1000, PAGE_B | PTE_P | PTE_G);
    emu_tlb_flush_page(cpu, FAR_LA);
    emu_tlb_flush_page(cpu, FAR_LA + 0x1000);
    assert_int_equal(far_byte(cpu), 0xbb);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x1000), 0xbb);
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_int_equal(far_byte(cpu), 0xaa);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x1000), 0xbb);
}

static void invlpg_finds_large_global_pages_of_other_pcids(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t la = FAR_LA + (1 << 30), *pde;

    /* The page-directory entry of `la` becomes a 2 MiB page. */
    emu_box_pte(box, la);
    pde = (uint64_t *)(void *)(box->ram + box->tables - 2 * EMU_PAGE_SIZE);
    *pde = 0 | PTE_P | PTE_W | PTE_PS | PTE_G;
    pcid_on(cpu);
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_int_equal(emu_load8(cpu, &box_insn, la + PAGE_A), 0xaa);
    cr3(cpu, BOX_CR3 | 2 | NOFLUSH);
    *pde = 0x200000 | PTE_P | PTE_W | PTE_PS | PTE_G;
    box_write(box, 0x200000 + PAGE_A, 1, 0x55);
    emu_tlb_flush_page(cpu, la);
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_int_equal(emu_load8(cpu, &box_insn, la + PAGE_A), 0x55);
}

/* --- INVPCID --- */

enum { BY_ADDRESS, BY_PCID, ALL, ALL_BUT_GLOBAL };

/* Runs it; the vector, or -1. */
static int invpcid(emu_box *box, uint64_t type, uint64_t pcid, uint64_t la)
{
    static const uint8_t bytes[] = { 0x66, 0x0f, 0x38, 0x82, 0x08, 0xf4 };
    emu_cpu *cpu = box->cpu[0];

    emu_box_code(box, bytes, sizeof bytes); /* invpcid rcx, [rax]; hlt */
    box_write(box, BOX_DATA, 8, pcid);
    box_write(box, BOX_DATA + 8, 8, la);
    cpu->regs[VSR_X86_RAX] = BOX_DATA;
    cpu->regs[VSR_X86_RCX] = type;
    cpu->regs[VSR_X86_RSP] = BOX_STACK;
    cpu->regs[EMU_REG_RIP] = BOX_CODE;
    cpu->mp_state = VSR_MP_RUNNABLE;
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    return emu_box_handler(cpu);
}

static void invpcid_refuses_what_is_reserved(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t odd = UINT64_C(0x800000000000);

    assert_int_equal(invpcid(box, BY_ADDRESS, 0, odd), EMU_GP);
    assert_int_equal(invpcid(box, BY_PCID, 0, odd), -1);
    assert_int_equal(invpcid(box, 4, 0, 0), EMU_GP);
    assert_int_equal(invpcid(box, UINT64_C(1) << 32, 0, 0), EMU_GP);
    for (unsigned type = BY_ADDRESS; type <= ALL_BUT_GLOBAL; type++) {
        assert_int_equal(invpcid(box, type, 0x1000, 0), EMU_GP);
        assert_int_equal(invpcid(box, type, UINT64_C(1) << 63, 0), EMU_GP);
        assert_int_equal(invpcid(box, type, 0, 0), -1);
        /* A PCID that types 2 and 3 do not look at. */
        assert_int_equal(invpcid(box, type, 7, 0),
                         type <= BY_PCID ? EMU_GP : -1);
    }
    pcid_on(cpu);
    assert_int_equal(invpcid(box, BY_ADDRESS, 7, 0), -1);
    assert_int_equal(invpcid(box, BY_PCID, 0xfff, 0), -1);
}

static void invpcid_is_for_ring_0_and_processors_that_have_it(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_user(box, 0);
    emu_box_map(box, BOX_DATA, BOX_DATA | PTE_P | PTE_W | PTE_U);
    cpu->regs[VSR_X86_RSP] = BOX_USER_STACK;
    assert_int_equal(invpcid(box, ALL, 0, 0), EMU_GP);
    emu_box_long(box, 0);
    for (uint32_t i = 0; i < cpu->cpuid.n; i++)
        if (cpu->cpuid.row[i].leaf == 7)
            cpu->cpuid.row[i].ebx &= ~(1u << 10);
    assert_int_equal(invpcid(box, 9, 0, 0), EMU_UD);
}

/* A page of its own, a global one beside it, cached for PCIDs 1 and 2; then
 * both change in the tables. PCID 1 is the current one. */
static void cache_two(emu_box *box)
{
    emu_cpu *cpu = box->cpu[0];

    emu_box_map(box, FAR_LA + 0x1000, PAGE_A | PTE_P | PTE_G);
    pcid_on(cpu);
    for (unsigned n = 2; n >= 1; n--) {
        cr3(cpu, BOX_CR3 | n | NOFLUSH);
        assert_int_equal(far_byte(cpu), 0xaa);
        assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x1000), 0xaa);
    }
    emu_box_map(box, FAR_LA, PAGE_B | PTE_P | PTE_W);
    emu_box_map(box, FAR_LA + 0x1000, PAGE_B | PTE_P | PTE_G);
}

static unsigned far_byte_of(emu_cpu *cpu, unsigned pcid)
{
    cr3(cpu, BOX_CR3 | pcid | NOFLUSH);
    return far_byte(cpu);
}

static void invpcid_of_a_page_or_a_pcid(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    cache_two(box);
    assert_int_equal(invpcid(box, BY_ADDRESS, 2, FAR_LA + 0x5000), -1);
    assert_int_equal(far_byte_of(cpu, 2), 0xaa);
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_int_equal(invpcid(box, BY_ADDRESS, 2, FAR_LA + 0x234), -1);
    assert_int_equal(far_byte_of(cpu, 2), 0xbb);
    assert_int_equal(far_byte_of(cpu, 1), 0xaa);
    assert_int_equal(invpcid(box, BY_PCID, 1, 0), -1);
    assert_int_equal(far_byte_of(cpu, 1), 0xbb);
    emu_box_map(box, FAR_LA, PAGE_C | PTE_P);
    assert_int_equal(invpcid(box, BY_PCID, 2, 0), -1);
    assert_int_equal(far_byte_of(cpu, 1), 0xbb);
    assert_int_equal(far_byte_of(cpu, 2), 0xcc);
}

static void invpcid_of_all(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    cache_two(box);
    assert_int_equal(invpcid(box, ALL_BUT_GLOBAL, 0, 0), -1);
    assert_int_equal(far_byte(cpu), 0xbb);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x1000), 0xaa);
    assert_int_equal(far_byte_of(cpu, 2), 0xbb);
    cr3(cpu, BOX_CR3 | 1 | NOFLUSH);
    assert_int_equal(invpcid(box, ALL, 0, 0), -1);
    for (unsigned n = 1; n <= 2; n++) {
        assert_int_equal(far_byte_of(cpu, n), 0xbb);
        assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x1000), 0xbb);
    }
}

/* --- code --- */

/* A second top table whose FAR_LA is `page`; all else is the first one's. */
static uint64_t second_tables(emu_box *box, uint64_t page)
{
    uint64_t *first = (uint64_t *)(void *)(box->ram + BOX_CR3);
    uint64_t root = box->tables, mine = first[1], *second;

    box->tables += EMU_PAGE_SIZE;
    first[1] = 0;
    emu_box_map(box, FAR_LA, page | PTE_P | PTE_W);
    second = (uint64_t *)(void *)(box->ram + root);
    memcpy(second, first, EMU_PAGE_SIZE);
    first[1] = mine;
    return root;
}

/* Calls FAR_LA under RAX and RBX as CR3, RSI times. */
static void run_both(emu_box *box, uint64_t rsi)
{
    static const uint8_t bytes[] = {
        0x0f, 0x22, 0xd8, /* mov cr3, rax */
        0xff, 0xd7,       /* call rdi */
        0x0f, 0x22, 0xdb, /* mov cr3, rbx */
        0xff, 0xd7,       /* call rdi */
        0xff, 0xce,       /* dec esi */
        0x75, 0xf2,       /* jnz the start */
        0xf4,
    };
    emu_cpu *cpu = box->cpu[0];

    emu_box_code(box, bytes, sizeof bytes);
    cpu->regs[VSR_X86_RDI] = FAR_LA;
    cpu->regs[VSR_X86_RSI] = rsi;
    cpu->regs[VSR_X86_RCX] = cpu->regs[VSR_X86_RDX] = 0;
    cpu->regs[VSR_X86_RSP] = BOX_STACK;
    cpu->regs[EMU_REG_RIP] = BOX_CODE;
    cpu->mp_state = VSR_MP_RUNNABLE;
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    assert_int_equal(emu_box_handler(cpu), -1);
}

static const uint8_t count_c[] = { 0x48, 0xff, 0xc1, 0xc3 }; /* inc rcx; ret */
static const uint8_t count_d[] = { 0x48, 0xff, 0xc2, 0xc3 }; /* inc rdx; ret */

static void set_up_both(emu_box *box)
{
    emu_cpu *cpu = box->cpu[0];

    memcpy(box->ram + PAGE_A, count_c, sizeof count_c);
    memcpy(box->ram + PAGE_B, count_d, sizeof count_d);
    memcpy(box->ram + PAGE_C, count_d, sizeof count_d);
    pcid_on(cpu);
    cpu->regs[VSR_X86_RAX] = BOX_CR3 | 1 | NOFLUSH;
    cpu->regs[VSR_X86_RBX] = second_tables(box, PAGE_B) | 2 | NOFLUSH;
}

static void each_pcid_runs_its_own_code(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    set_up_both(box);
    run_both(box, 100);
    assert_int_equal(cpu->regs[VSR_X86_RCX], 100);
    assert_int_equal(cpu->regs[VSR_X86_RDX], 100);
}

static void links_come_back_with_their_pcid(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    emu_blocks_stats before, after;

    set_up_both(box);
    cpu->regs[VSR_X86_RBX] = cpu->regs[VSR_X86_RAX] ^ 3;
    run_both(box, 100);
    emu_blocks_get_stats(cpu->blocks, &before);
    run_both(box, 100);
    emu_blocks_get_stats(cpu->blocks, &after);
    assert_int_equal(after.unlinks, before.unlinks);
    assert_int_equal(cpu->regs[VSR_X86_RCX], 200);
}

static void invpcid_ends_links_of_the_other_pcid(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t rax, rbx;

    set_up_both(box);
    rax = cpu->regs[VSR_X86_RAX];
    rbx = cpu->regs[VSR_X86_RBX];
    run_both(box, 10);
    /* Not told: PCID 1 goes on with the old page. */
    emu_box_map(box, FAR_LA, PAGE_C | PTE_P);
    run_both(box, 10);
    assert_int_equal(cpu->regs[VSR_X86_RCX], 10);
    emu_blocks_clear(cpu->blocks); /* the code is about to change */
    assert_int_equal(invpcid(box, BY_ADDRESS, 1, FAR_LA), -1);
    emu_blocks_clear(cpu->blocks);
    cpu->regs[VSR_X86_RAX] = rax;
    cpu->regs[VSR_X86_RBX] = rbx;
    run_both(box, 10);
    assert_int_equal(cpu->regs[VSR_X86_RCX], 0);
    assert_int_equal(cpu->regs[VSR_X86_RDX], 20);
    /* The same without a new decode in between. */
    emu_box_map(box, FAR_LA, PAGE_A | PTE_P);
    emu_tlb_flush_pcid_page(cpu, 1, FAR_LA);
    run_both(box, 10);
    assert_int_equal(cpu->regs[VSR_X86_RCX], 10);
    assert_int_equal(cpu->regs[VSR_X86_RDX], 10);
    emu_box_map(box, FAR_LA, PAGE_C | PTE_P);
    emu_tlb_flush_pcid(cpu, 1);
    run_both(box, 10);
    assert_int_equal(cpu->regs[VSR_X86_RCX], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(pcide_needs_long_mode_and_pcid_0),
        TEST(pcide_needs_the_cpuid_bit),
        TEST(paging_stays_on_while_pcide_is_set),
        TEST(no_flush_bit_is_reserved_without_pcide_and_never_read),
        TEST(state_with_pcide_needs_long_mode),
        TEST(no_flush_finds_what_was_cached),
        TEST(flush_of_one_pcid_leaves_others_alone),
        TEST(leaving_pcide_flushes_all_pcids),
        TEST(many_pcids_share_the_spaces),
        TEST(code_takes_the_write_tags_of_all_pcids),
        TEST(invlpg_is_for_this_pcid_and_global_pages_of_all),
        TEST(invlpg_finds_large_global_pages_of_other_pcids),
        TEST(invpcid_refuses_what_is_reserved),
        TEST(invpcid_is_for_ring_0_and_processors_that_have_it),
        TEST(invpcid_of_a_page_or_a_pcid),
        TEST(invpcid_of_all),
        TEST(each_pcid_runs_its_own_code),
        TEST(links_come_back_with_their_pcid),
        TEST(invpcid_ends_links_of_the_other_pcid),
    };
#undef TEST

    return cmocka_run_group_tests_name("emu mmu_flush", tests, NULL, NULL);
}
