/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_mmu.c: page walks, rights, the TLB, MMIO, ROM, code pages, dirty log. */
#include "tests/drivers/emu/emu_box.h"

#include <errno.h>

#include "drivers/emu/block_cache.h"
#include "drivers/emu/guest_x86_control.h"
#include "drivers/emu/guest_x86_segment.h"

enum {
    PF_P = 1,
    PF_W = 2,
    PF_U = 4,
    PF_RSVD = 8,
    PF_I = 16,
    FAR_LA = 0x40000000, /* a linear address that the box does not map */
};

static int set_up(void **state)
{
    emu_box *box = emu_box_new(2);

    emu_box_long(box, 0);
    emu_box_long(box, 1);
    *state = box;
    return 0;
}

static int tear_down(void **state)
{
    emu_box_free(*state);
    return 0;
}

/* The error code on the stack of the handler that was entered. */
static uint64_t pushed_error(const emu_box *box)
{
    return box_read(box, box->cpu[0]->regs[VSR_X86_RSP], 8);
}

/* Back to ring 0 (or 3) at BOX_CODE after a fault. */
static void again(emu_box *box, bool user)
{
    emu_cpu *cpu = box->cpu[0];

    emu_segment_set(cpu, VSR_X86_CS,
                    &(vsr_x86_seg){ .limit = 0xffffffff,
                                    .selector = user ? BOX_CS3 : BOX_CS,
                                    .attr = VSR_SEG_L | VSR_SEG_P | VSR_SEG_S |
                                            0xb | (user ? VSR_SEG_DPL : 0) });
    cpu->regs[VSR_X86_RSP] = user ? BOX_USER_STACK : BOX_STACK;
    cpu->regs[EMU_REG_RIP] = BOX_CODE;
    emu_set_cpl(cpu, user ? 3 : 0);
}

static void check_fault(emu_box *box, int vector, uint64_t la, uint32_t error)
{
    assert_int_equal(vector, EMU_PAGE_FAULT);
    assert_int_equal(box->cpu[0]->cr2, la);
    assert_int_equal(pushed_error(box), error);
}

static void addresses_are_physical_without_paging(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_prot(box, 0);
    emu_store32(cpu, &box_insn, BOX_DATA, 0x12345678);
    assert_int_equal(box_read(box, BOX_DATA, 4), 0x12345678);
    assert_int_equal(emu_load16(cpu, &box_insn, BOX_DATA + 1), 0x3456);
}

static void walk_sets_accessed_then_dirty(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t *pte = emu_box_pte(box, FAR_LA);

    *pte = BOX_DATA | PTE_P | PTE_W;
    box_write(box, BOX_DATA + 8, 8, 0x1122334455667788);
    assert_int_equal(emu_load64(cpu, &box_insn, FAR_LA + 8),
                     0x1122334455667788);
    assert_int_equal(*pte, BOX_DATA | PTE_P | PTE_W | PTE_A);
    emu_store8(cpu, &box_insn, FAR_LA + 8, 0xff);
    assert_int_equal(*pte, BOX_DATA | PTE_P | PTE_W | PTE_A | PTE_D);
    assert_int_equal(box_read(box, BOX_DATA + 8, 1), 0xff);
    /* Upper levels have A only. */
    assert_true(box_read(box, BOX_CR3, 8) & PTE_A);
    assert_false(box_read(box, BOX_CR3, 8) & PTE_D);
}

static void second_access_uses_the_cached_translation(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_W);
    box_write(box, BOX_DATA, 1, 7);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA), 7);
    emu_box_map(box, FAR_LA, 0);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA), 7);
    emu_tlb_flush_page(cpu, FAR_LA);
    check_fault(box, BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA)), FAR_LA,
                0);
}

static void missing_page_faults_with_the_access_in_the_code(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t gpa;

    emu_box_user(box, 0);
    again(box, false);
    check_fault(box, BOX_RAISES(cpu, emu_load32(cpu, &box_insn, FAR_LA + 5)),
                FAR_LA + 5, 0);
    again(box, false);
    check_fault(box, BOX_RAISES(cpu, emu_store8(cpu, &box_insn, FAR_LA, 0)),
                FAR_LA, PF_W);
    again(box, true);
    check_fault(box, BOX_RAISES(cpu, emu_store8(cpu, &box_insn, FAR_LA, 0)),
                FAR_LA, PF_W | PF_U);
    again(box, true);
    check_fault(box, BOX_RAISES(cpu, emu_code_page(cpu, FAR_LA, &gpa)), FAR_LA,
                PF_I | PF_U);
}

static void user_may_not_touch_supervisor_pages(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_user(box, 0);
    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_W);
    /* What the supervisor cached must not help the user. */
    again(box, false);
    emu_load8(cpu, &box_insn, FAR_LA);
    again(box, true);
    check_fault(box, BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA)), FAR_LA,
                PF_P | PF_U);
}

static void read_only_pages_obey_wp(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_user(box, 0);
    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_U);
    check_fault(box, BOX_RAISES(cpu, emu_store8(cpu, &box_insn, FAR_LA, 1)),
                FAR_LA, PF_P | PF_W | PF_U);
    again(box, false);
    check_fault(box, BOX_RAISES(cpu, emu_store8(cpu, &box_insn, FAR_LA, 1)),
                FAR_LA, PF_P | PF_W);
    again(box, false);
    assert_true(emu_write_cr0(cpu, &box_insn, cpu->cr0 & ~EMU_CR0_WP));
    emu_store8(cpu, &box_insn, FAR_LA, 9);
    assert_int_equal(box_read(box, BOX_DATA, 1), 9);
    assert_true(emu_write_cr0(cpu, &box_insn, cpu->cr0 | EMU_CR0_WP));
    check_fault(box, BOX_RAISES(cpu, emu_store8(cpu, &box_insn, FAR_LA, 1)),
                FAR_LA, PF_P | PF_W);
}

static void no_execute_pages_only_fetch_faults(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t gpa;

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_NX);
    emu_load8(cpu, &box_insn, FAR_LA);
    check_fault(box, BOX_RAISES(cpu, emu_code_page(cpu, FAR_LA, &gpa)), FAR_LA,
                PF_P | PF_I);
    again(box, false);
    emu_box_map(box, FAR_LA + 0x1000, BOX_DATA | PTE_P);
    assert_ptr_equal(emu_code_page(cpu, FAR_LA + 0x1000, &gpa),
                     box->ram + BOX_DATA);
    assert_int_equal(gpa, BOX_DATA);
}

static void reserved_bits_fault(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | UINT64_C(1) << 45);
    check_fault(box, BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA)), FAR_LA,
                PF_P | PF_RSVD);
    again(box, false);
    /* NX is reserved while EFER.NXE is 0. */
    cpu->efer &= ~(uint64_t)EMU_EFER_NXE;
    emu_mmu_mode_changed(cpu);
    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_NX);
    check_fault(box, BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA)), FAR_LA,
                PF_P | PF_RSVD);
}

static void smep_stops_supervisor_fetches(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t gpa;

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_U);
    assert_non_null(emu_code_page(cpu, FAR_LA, &gpa));
    assert_true(emu_write_cr4(cpu, &box_insn, cpu->cr4 | EMU_CR4_SMEP));
    check_fault(box, BOX_RAISES(cpu, emu_code_page(cpu, FAR_LA, &gpa)), FAR_LA,
                PF_P | PF_I);
    again(box, false);
    emu_load8(cpu, &box_insn, FAR_LA);
}

static void smap_stops_supervisor_data_unless_ac(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_W | PTE_U);
    assert_true(emu_write_cr4(cpu, &box_insn, cpu->cr4 | EMU_CR4_SMAP));
    check_fault(box, BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA)), FAR_LA,
                PF_P);
    again(box, false);
    emu_set_eflags(cpu, EMU_AC, EMU_AC);
    emu_store8(cpu, &box_insn, FAR_LA, 3);
    assert_int_equal(box_read(box, BOX_DATA, 1), 3);
    /* Implicit accesses are not excused. */
    check_fault(box, BOX_RAISES(cpu, emu_sys_load(cpu, NULL, FAR_LA, 8)),
                FAR_LA, PF_P);
    again(box, false);
    emu_set_eflags(cpu, 0, EMU_AC);
    check_fault(box, BOX_RAISES(cpu, emu_store8(cpu, &box_insn, FAR_LA, 1)),
                FAR_LA, PF_P | PF_W);
}

static void invlpg_drops_all_of_a_large_page(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t pml4 = BOX_CR3, pdpt, *pde;

    emu_box_pte(box, FAR_LA); /* makes the upper levels */
    pdpt = box_read(box, pml4, 8) & EMU_PAGE_MASK;
    pde = (uint64_t *)(void *)(box->ram +
                               (box_read(box, pdpt + 8 * (FAR_LA >> 30), 8) &
                                EMU_PAGE_MASK));
    *pde = 0x200000 | PTE_P | PTE_W | PTE_PS;
    box_write(box, 0x234567, 1, 0x5a);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x34567), 0x5a);
    assert_true(*pde & PTE_A);
    *pde = 0x400000 | PTE_P | PTE_W | PTE_PS;
    box_write(box, 0x434567, 1, 0xa5);
    emu_tlb_flush_page(cpu, FAR_LA + 0x1ff000);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x34567), 0xa5);
    /* An address that is not aligned to the page's size is reserved. */
    *pde = 0x402000 | PTE_P | PTE_PS;
    emu_tlb_flush(cpu, false);
    check_fault(box, BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA)), FAR_LA,
                PF_P | PF_RSVD);
}

static void pages_of_1_gib_translate(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t pdpt;

    emu_box_pte(box, FAR_LA);
    pdpt = box_read(box, BOX_CR3, 8) & EMU_PAGE_MASK;
    box_write(box, pdpt + 8 * (FAR_LA >> 30), 8, 0 | PTE_P | PTE_W | PTE_PS);
    box_write(box, 0x654321, 1, 0x77);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA + 0x654321), 0x77);
}

static void global_pages_survive_a_cr3_write(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_G);
    emu_box_map(box, FAR_LA + 0x1000, BOX_DATA | PTE_P);
    emu_load8(cpu, &box_insn, FAR_LA);
    emu_load8(cpu, &box_insn, FAR_LA + 0x1000);
    emu_box_map(box, FAR_LA, 0);
    emu_box_map(box, FAR_LA + 0x1000, 0);
    assert_true(emu_write_cr3(cpu, &box_insn, BOX_CR3));
    emu_load8(cpu, &box_insn, FAR_LA);
    check_fault(box,
                BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA + 0x1000)),
                FAR_LA + 0x1000, 0);
    again(box, false);
    assert_true(emu_write_cr4(cpu, &box_insn, cpu->cr4 & ~EMU_CR4_PGE));
    check_fault(box, BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA)), FAR_LA,
                0);
}

static void two_level_tables_with_4_mib_pages(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_prot(box, 0);
    memset(box->ram + BOX_CR3, 0, 0x2000);
    box_write(box, BOX_CR3, 4, 0 | PTE_P | PTE_W | PTE_PS);
    box_write(box, BOX_CR3 + 4 * 0x100, 4, (BOX_CR3 + 0x1000) | PTE_P | PTE_W);
    box_write(box, BOX_CR3 + 0x1000 + 4, 4, BOX_DATA | PTE_P | PTE_W);
    assert_true(emu_write_cr4(cpu, &box_insn, EMU_CR4_PSE));
    assert_true(emu_write_cr3(cpu, &box_insn, BOX_CR3));
    assert_true(emu_write_cr0(cpu, &box_insn, cpu->cr0 | EMU_CR0_PG));
    box_write(box, BOX_DATA + 4, 4, 0xcafebabe);
    assert_int_equal(emu_load32(cpu, &box_insn, FAR_LA + 0x1004), 0xcafebabe);
    assert_int_equal(emu_load32(cpu, &box_insn, BOX_DATA + 4), 0xcafebabe);
    emu_store8(cpu, &box_insn, FAR_LA + 0x1000, 1);
    assert_int_equal(box_read(box, BOX_CR3 + 0x1004, 4),
                     BOX_DATA | PTE_P | PTE_W | PTE_A | PTE_D);
    assert_int_equal(BOX_RAISES(cpu, emu_load8(cpu, &box_insn, FAR_LA)),
                     EMU_PAGE_FAULT);
    assert_int_equal(cpu->cr2, FAR_LA);
}

static void pae_tables_use_the_loaded_pdpt(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t pdpt = BOX_CR3 + 0x20, pd = BOX_CR3 + 0x1000;

    emu_box_prot(box, 0);
    memset(box->ram + BOX_CR3, 0, 0x3000);
    box_write(box, pdpt, 8, pd | PTE_P);
    box_write(box, pd, 8, 0 | PTE_P | PTE_W | PTE_PS);
    box_write(box, pd + 8, 8, 0x400000 | PTE_P | PTE_W | PTE_PS);
    assert_true(emu_write_cr4(cpu, &box_insn, EMU_CR4_PAE));
    assert_true(emu_write_cr3(cpu, &box_insn, pdpt));
    assert_true(emu_write_cr0(cpu, &box_insn, cpu->cr0 | EMU_CR0_PG));
    box_write(box, 0x401000, 2, 0xbeef);
    assert_int_equal(emu_load16(cpu, &box_insn, 0x201000), 0xbeef);
    /* Entries in memory count when CR3 is written, not before. */
    box_write(box, pdpt, 8, 0);
    emu_tlb_flush(cpu, true);
    assert_int_equal(emu_load16(cpu, &box_insn, 0x201000), 0xbeef);
    /* A reserved bit refuses the load. */
    box_write(box, pdpt, 8, pd | PTE_P | PTE_W);
    assert_false(emu_write_cr3(cpu, &box_insn, pdpt));
    assert_int_equal(emu_load16(cpu, &box_insn, 0x201000), 0xbeef);
}

static void non_canonical_addresses_are_gp_or_ss(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    emu_insn insn = { .op = EMU_OP_MOV, .form = EMU_FORM_RM, .len = 3 };
    uint64_t la = UINT64_C(0x800000000000);

    insn.mem = EMU_MEM_A64 | EMU_MEM_FLAT | VSR_X86_DS;
    insn.base = VSR_X86_RAX;
    insn.index = EMU_REG_ZERO;
    cpu->regs[VSR_X86_RAX] = la;
    assert_int_equal(BOX_RAISES(cpu, emu_load64(cpu, &insn, la)), EMU_GP);
    assert_int_equal(pushed_error(box), 0);
    again(box, false);
    insn.mem = EMU_MEM_A64 | EMU_MEM_FLAT | VSR_X86_SS;
    assert_int_equal(BOX_RAISES(cpu, emu_load64(cpu, &insn, la)), EMU_SS);
    again(box, false);
    insn = (emu_insn){ .op = EMU_OP_PUSH, .form = EMU_FORM_R, .len = 1 };
    assert_int_equal(BOX_RAISES(cpu, emu_store64(cpu, &insn, la, 0)), EMU_SS);
    again(box, false);
    insn.op = EMU_OP_STOS;
    insn.form = EMU_FORM_N;
    assert_int_equal(BOX_RAISES(cpu, emu_store64(cpu, &insn, la, 0)), EMU_GP);
}

static void crossing_store_checks_both_pages_first(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_W);
    box_write(box, BOX_DATA + 0xff8, 8, 0);
    check_fault(box,
                BOX_RAISES(cpu, emu_store64(cpu, &box_insn, FAR_LA + 0xffc,
                                            ~UINT64_C(0))),
                FAR_LA + 0x1000, PF_W);
    assert_int_equal(box_read(box, BOX_DATA + 0xff8, 8), 0);
    again(box, false);
    emu_box_map(box, FAR_LA + 0x1000, (BOX_DATA + 0x2000) | PTE_P | PTE_W);
    emu_store64(cpu, &box_insn, FAR_LA + 0xffc, 0x1122334455667788);
    assert_int_equal(box_read(box, BOX_DATA + 0xffc, 4), 0x55667788);
    assert_int_equal(box_read(box, BOX_DATA + 0x2000, 4), 0x11223344);
    assert_int_equal(emu_load64(cpu, &box_insn, FAR_LA + 0xffc),
                     0x1122334455667788);
}

static void rest_goes_to_the_machine(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_map(box, FAR_LA, 0xfee00000 | PTE_P | PTE_W);
    box->io_value = 0x1122334455667788;
    assert_int_equal(emu_load32(cpu, &box_insn, FAR_LA + 0x20), 0x55667788);
    assert_int_equal(box->io[0].addr, 0xfee00020);
    assert_int_equal(box->io[0].size, 4);
    assert_false(box->io[0].is_write);
    emu_store16(cpu, &box_insn, FAR_LA + 0x30, 0xabcd);
    assert_int_equal(box->n_io, 2);
    assert_true(box->io[1].is_write);
    assert_int_equal(box->io[1].size, 2);
    assert_int_equal(box->io[1].data, 0xabcd);
    assert_null(emu_rmw32(cpu, &box_insn, FAR_LA));
}

static void access_across_ram_and_mmio_is_split(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_W);
    emu_box_map(box, FAR_LA + 0x1000, 0xd0000000 | PTE_P | PTE_W);
    emu_store32(cpu, &box_insn, FAR_LA + 0xffd, 0x44332211);
    assert_int_equal(box_read(box, BOX_DATA + 0xffd, 3), 0x332211);
    assert_int_equal(box->n_io, 1);
    assert_int_equal(box->io[0].addr, 0xd0000000);
    assert_int_equal(box->io[0].size, 1);
    assert_int_equal(box->io[0].data, 0x44);
    box->io_value = 0x99;
    assert_int_equal(emu_load32(cpu, &box_insn, FAR_LA + 0xffd), 0x99332211);
}

static void rom_is_read_directly_and_written_to_the_machine(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    static uint8_t rom[EMU_PAGE_SIZE] = { 0x42 };
    vsr_mem_slot slot = {
        .gpa = 0xf0000000, .len = sizeof rom, .host = rom, .readonly = true
    };

    assert_int_equal(vsr_emu_engine.mem_add(box->vm, &slot), 0);
    emu_box_map(box, FAR_LA, slot.gpa | PTE_P | PTE_W);
    assert_int_equal(emu_load8(cpu, &box_insn, FAR_LA), 0x42);
    assert_int_equal(box->n_io, 0);
    emu_store8(cpu, &box_insn, FAR_LA, 1);
    assert_int_equal(box->n_io, 1);
    assert_int_equal(rom[0], 0x42);
    assert_int_equal(vsr_emu_engine.mem_remove(box->vm, &slot), 0);
    emu_vcpu_enter(cpu->vcpu);
    emu_load8(cpu, &box_insn, FAR_LA);
    emu_vcpu_leave(cpu->vcpu);
    assert_int_equal(box->n_io, 2);
}

static void slots_are_checked(void **state)
{
    emu_box *box = *state;
    static uint8_t page[EMU_PAGE_SIZE];
    vsr_mem_slot slot = { .gpa = BOX_RAM - 0x1000,
                          .len = sizeof page,
                          .host = page };

    assert_int_equal(vsr_emu_engine.mem_add(box->vm, &slot), -EEXIST);
    slot.gpa = BOX_RAM + 1;
    assert_int_equal(vsr_emu_engine.mem_add(box->vm, &slot), -EINVAL);
    slot.gpa = UINT64_C(1) << EMU_PHYS_BITS;
    assert_int_equal(vsr_emu_engine.mem_add(box->vm, &slot), -EINVAL);
    slot.gpa = BOX_RAM;
    assert_int_equal(vsr_emu_engine.mem_remove(box->vm, &slot), -ENOENT);
}

static void host_run_ends_at_the_page(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint8_t *host;

    emu_box_map(box, FAR_LA, BOX_DATA | PTE_P | PTE_W);
    emu_box_map(box, FAR_LA + 0x1000, 0xd0000000 | PTE_P | PTE_W);
    assert_int_equal(
        emu_host_run(cpu, &box_insn, FAR_LA + 0xf00, 4096, EMU_WRITE, &host),
        0x100);
    assert_ptr_equal(host, box->ram + BOX_DATA + 0xf00);
    assert_int_equal(
        emu_host_run(cpu, &box_insn, FAR_LA + 0x1000, 64, EMU_READ, &host), 0);
    emu_code_mark(cpu, BOX_DATA);
    assert_int_equal(emu_host_run(cpu, &box_insn, FAR_LA, 64, EMU_WRITE, &host),
                     0);
    assert_int_equal(emu_host_run(cpu, &box_insn, FAR_LA, 64, EMU_READ, &host),
                     64);
}

static void marked_pages_lose_their_write_tag(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_store8(cpu, &box_insn, BOX_DATA, 1);
    assert_non_null(emu_host_w(cpu, BOX_DATA, 1));
    emu_code_mark(cpu, BOX_DATA);
    assert_null(emu_host_w(cpu, BOX_DATA, 1));
    assert_non_null(emu_host_r(cpu, BOX_DATA, 1));
    assert_null(emu_rmw8(cpu, &box_insn, BOX_DATA));
    emu_store8(cpu, &box_insn, BOX_DATA, 2);
    assert_int_equal(box_read(box, BOX_DATA, 1), 2);
    assert_null(emu_host_w(cpu, BOX_DATA, 1));
    emu_code_unmark(cpu, BOX_DATA);
    emu_store8(cpu, &box_insn, BOX_DATA, 3);
    assert_non_null(emu_host_w(cpu, BOX_DATA, 1));
}

static void marking_reaches_the_other_vcpu(void **state)
{
    emu_box *box = *state;
    emu_cpu *a = box->cpu[0], *b = box->cpu[1];

    /* As if the other were running: it must be asked, and answers when it
     * comes in again. */
    emu_store8(b, &box_insn, BOX_DATA, 1);
    assert_non_null(emu_host_w(b, BOX_DATA, 1));
    emu_code_mark(a, BOX_DATA);
    emu_vcpu_enter(b->vcpu);
    assert_null(emu_host_w(b, BOX_DATA, 1));
    atomic_store(&a->exit_request, 0);
    emu_store8(b, &box_insn, BOX_DATA + 3, 1);
    assert_true(atomic_load(&a->exit_request) & EMU_EXIT_FLUSH);
    emu_vcpu_leave(b->vcpu);
}

/* mov [rdi], rax; inc rax; jmp to the start */
static const uint8_t store_loop[] = { 0x48, 0x89, 0x07, 0x48,
                                      0xff, 0xc0, 0xeb, 0xf8 };

static void *run_b(void *opaque)
{
    emu_box *box = opaque;

    vsr_emu_engine.vcpu_run(box->vcpu[1]);
    return NULL;
}

static void marking_waits_for_a_running_vcpu(void **state)
{
    emu_box *box = *state;
    emu_cpu *a = box->cpu[0];
    volatile uint64_t *cell = (uint64_t *)(void *)(box->ram + BOX_DATA);
    uint64_t old;
    pthread_t thread;

    emu_box_code(box, store_loop, sizeof store_loop);
    box->cpu[1]->regs[VSR_X86_RDI] = BOX_DATA;
    pthread_create(&thread, NULL, run_b, box);
    while (*cell == 0)
        g_usleep(100);
    emu_code_mark(a, BOX_DATA);
    atomic_store(&a->exit_request, 0);
    old = *cell;
    while (*cell == old)
        g_usleep(100);
    /* Each store of the other is now reported to us. */
    assert_true(atomic_load(&a->exit_request) & EMU_EXIT_FLUSH);
    vsr_emu_engine.vcpu_kick(box->vcpu[1]);
    pthread_join(thread, NULL);
}

static void removed_memory_is_out_of_reach_at_once(void **state)
{
    emu_box *box = *state;
    uint8_t *page = g_malloc0(EMU_PAGE_SIZE);
    vsr_mem_slot slot = { .gpa = 0xd0000000,
                          .len = EMU_PAGE_SIZE,
                          .host = page };
    uint64_t old;
    pthread_t thread;

    assert_int_equal(vsr_emu_engine.mem_add(box->vm, &slot), 0);
    emu_box_map(box, FAR_LA, slot.gpa | PTE_P | PTE_W);
    emu_box_code(box, store_loop, sizeof store_loop);
    box->cpu[1]->regs[VSR_X86_RDI] = FAR_LA;
    pthread_create(&thread, NULL, run_b, box);
    while (*(volatile uint64_t *)(void *)page == 0)
        g_usleep(100);
    assert_int_equal(vsr_emu_engine.mem_remove(box->vm, &slot), 0);
    old = *(volatile uint64_t *)(void *)page;
    g_usleep(5000);
    assert_int_equal(*(volatile uint64_t *)(void *)page, old);
    vsr_emu_engine.vcpu_kick(box->vcpu[1]);
    pthread_join(thread, NULL);
    assert_true(box->n_io > 0);
    g_free(page);
}

static bool bit(const unsigned long *bitmap, uint64_t gpa)
{
    uint64_t page = gpa >> EMU_PAGE_SHIFT;

    return bitmap[page / 64] >> (page % 64) & 1;
}

static void dirty_log_tells_each_write_once(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    unsigned long log[BOX_RAM / EMU_PAGE_SIZE / 64] = { 0 };

    emu_store8(cpu, &box_insn, BOX_DATA, 1);
    assert_int_equal(vsr_emu_engine.dirty_start(box->vm), 0);
    emu_vcpu_enter(cpu->vcpu);
    emu_load8(cpu, &box_insn, BOX_DATA);
    emu_store8(cpu, &box_insn, BOX_DATA + 0x1000, 1);
    emu_store8(cpu, &box_insn, BOX_DATA + 0x1001, 1);
    assert_non_null(emu_host_w(cpu, BOX_DATA + 0x1000, 1));
    vsr_emu_engine.dirty_mark(box->vm, BOX_DATA + 0x5ffe, 4);
    emu_vcpu_leave(cpu->vcpu);
    assert_int_equal(vsr_emu_engine.dirty_fetch(box->vm, 0, BOX_RAM, log), 0);
    assert_false(bit(log, BOX_DATA));
    assert_true(bit(log, BOX_DATA + 0x1000));
    assert_true(bit(log, BOX_DATA + 0x5000));
    assert_true(bit(log, BOX_DATA + 0x6000));
    assert_false(bit(log, BOX_DATA + 0x7000));

    memset(log, 0, sizeof log);
    emu_vcpu_enter(cpu->vcpu);
    assert_null(emu_host_w(cpu, BOX_DATA + 0x1000, 1));
    emu_store8(cpu, &box_insn, BOX_DATA + 0x1000, 2);
    emu_vcpu_leave(cpu->vcpu);
    assert_int_equal(vsr_emu_engine.dirty_fetch(box->vm, 0, BOX_RAM, log), 0);
    assert_true(bit(log, BOX_DATA + 0x1000));
    assert_false(bit(log, BOX_DATA + 0x5000));
    assert_int_equal(vsr_emu_engine.dirty_stop(box->vm), 0);
}

static void page_table_updates_are_logged(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    unsigned long log[BOX_RAM / EMU_PAGE_SIZE / 64] = { 0 };
    uint64_t *pte = emu_box_pte(box, FAR_LA);

    *pte = BOX_DATA | PTE_P | PTE_W;
    vsr_emu_engine.dirty_start(box->vm);
    emu_load8(cpu, &box_insn, FAR_LA);
    vsr_emu_engine.dirty_fetch(box->vm, 0, BOX_RAM, log);
    assert_true(bit(log, (uint64_t)((uint8_t *)pte - box->ram)));
    assert_false(bit(log, BOX_DATA));
}

static void limits_and_types_of_segments(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    vsr_x86_seg s = { .base = 0x1000, .limit = 0xfff, .attr = 0x4093 };

    emu_box_prot(box, 0);
    emu_segment_set(cpu, VSR_X86_ES, &s);
    assert_int_equal(
        emu_segment_check(cpu, &box_insn, VSR_X86_ES, 0xffc, 4, EMU_WRITE),
        0x1ffc);
    assert_int_equal(
        BOX_RAISES(cpu, emu_segment_check(cpu, &box_insn, VSR_X86_ES, 0xffd, 4,
                                          EMU_READ)),
        EMU_GP);
    s.attr = 0x4091; /* read-only */
    emu_segment_set(cpu, VSR_X86_ES, &s);
    emu_segment_check(cpu, &box_insn, VSR_X86_ES, 0, 4, EMU_READ);
    assert_int_equal(
        BOX_RAISES(cpu, emu_segment_check(cpu, &box_insn, VSR_X86_ES, 0, 4,
                                          EMU_WRITE)),
        EMU_GP);
    s.attr = 0x4097; /* expand-down: above the limit only */
    emu_segment_set(cpu, VSR_X86_ES, &s);
    emu_segment_check(cpu, &box_insn, VSR_X86_ES, 0x1000, 4, EMU_WRITE);
    assert_int_equal(
        BOX_RAISES(cpu, emu_segment_check(cpu, &box_insn, VSR_X86_ES, 0xfff, 1,
                                          EMU_WRITE)),
        EMU_GP);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(addresses_are_physical_without_paging),
        TEST(walk_sets_accessed_then_dirty),
        TEST(second_access_uses_the_cached_translation),
        TEST(missing_page_faults_with_the_access_in_the_code),
        TEST(user_may_not_touch_supervisor_pages),
        TEST(read_only_pages_obey_wp),
        TEST(no_execute_pages_only_fetch_faults),
        TEST(reserved_bits_fault),
        TEST(smep_stops_supervisor_fetches),
        TEST(smap_stops_supervisor_data_unless_ac),
        TEST(invlpg_drops_all_of_a_large_page),
        TEST(pages_of_1_gib_translate),
        TEST(global_pages_survive_a_cr3_write),
        TEST(two_level_tables_with_4_mib_pages),
        TEST(pae_tables_use_the_loaded_pdpt),
        TEST(non_canonical_addresses_are_gp_or_ss),
        TEST(crossing_store_checks_both_pages_first),
        TEST(rest_goes_to_the_machine),
        TEST(access_across_ram_and_mmio_is_split),
        TEST(rom_is_read_directly_and_written_to_the_machine),
        TEST(slots_are_checked),
        TEST(host_run_ends_at_the_page),
        TEST(marked_pages_lose_their_write_tag),
        TEST(marking_reaches_the_other_vcpu),
        TEST(marking_waits_for_a_running_vcpu),
        TEST(removed_memory_is_out_of_reach_at_once),
        TEST(dirty_log_tells_each_write_once),
        TEST(page_table_updates_are_logged),
        TEST(limits_and_types_of_segments),
    };
#undef TEST

    return cmocka_run_group_tests_name("emu mmu", tests, NULL, NULL);
}
