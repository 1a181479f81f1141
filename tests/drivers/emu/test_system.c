/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_system.c: what system instructions tell of the machine around the vCPU;
 * the edges of flat segments. */
#include "tests/drivers/emu/emu_box.h"

#include "drivers/emu/block_cache.h"
#include "drivers/emu/guest_x86_control.h"
#include "drivers/emu/guest_x86_cpuid.h"
#include "drivers/emu/guest_x86_msr.h"
#include "drivers/emu/guest_x86_segment.h"

static int set_up(void **state)
{
    emu_box *box = emu_box_new(1);

    emu_box_long(box, 0);
    *state = box;
    return 0;
}

static int tear_down(void **state)
{
    emu_box_free(*state);
    return 0;
}

#define CODE(box, ...)                                  \
    do {                                                \
        static const uint8_t bytes[] = { __VA_ARGS__ }; \
                                                        \
        emu_box_code(box, bytes, sizeof bytes);         \
    } while (0)

/* --- CPUID --- */

static bool base_off(void *machine, uint32_t vcpu, uint32_t index,
                     bool is_write, uint64_t *value)
{
    *value = 0xfee00100;
    return index == EMU_MSR_APIC_BASE;
}

static bool base_on(void *machine, uint32_t vcpu, uint32_t index, bool is_write,
                    uint64_t *value)
{
    *value = 0xfee00900;
    return index == EMU_MSR_APIC_BASE;
}

static uint64_t cpuid_edx(emu_box *box, uint32_t leaf)
{
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x0f, 0xa2, 0xf4); /* cpuid; hlt */
    emu_box_long(box, 0);
    cpu->regs[VSR_X86_RAX] = leaf;
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    return cpu->regs[VSR_X86_RDX];
}

static void cpuid_hides_an_apic_that_is_off(void **state)
{
    emu_box *box = *state;

    box->events.msr = base_on;
    assert_true(cpuid_edx(box, 1) & 1 << 9);
    assert_true(cpuid_edx(box, 0x80000001) & 1 << 9);
    box->events.msr = base_off;
    assert_false(cpuid_edx(box, 1) & 1 << 9);
    assert_false(cpuid_edx(box, 0x80000001) & 1 << 9);
    assert_true(cpuid_edx(box, 1) & 1 << 8);
}

/* --- flat 32-bit segments --- */

/* 32-bit code with paging: the first 4 MiB are themselves, the last 4 MiB of
 * linear space the second ones of RAM. */
static void set_up_flat(emu_box *box)
{
    emu_cpu *cpu = box->cpu[0];

    emu_box_prot(box, 0);
    memset(box->ram + BOX_CR3, 0, EMU_PAGE_SIZE);
    box_write(box, BOX_CR3, 4, 0 | PTE_P | PTE_W | PTE_PS);
    box_write(box, BOX_CR3 + 0xffc, 4, 0x400000 | PTE_P | PTE_W | PTE_PS);
    assert_true(emu_write_cr4(cpu, &box_insn, EMU_CR4_PSE));
    assert_true(emu_write_cr3(cpu, &box_insn, BOX_CR3));
    assert_true(emu_write_cr0(cpu, &box_insn, cpu->cr0 | EMU_CR0_PG));
    assert_true(cpu->mode & EMU_MODE_FLAT);
}

/* Runs what is at BOX_CODE; the vector, or -1. */
static int run_flat(emu_box *box)
{
    emu_cpu *cpu = box->cpu[0];

    cpu->regs[EMU_REG_RIP] = BOX_CODE;
    cpu->mp_state = VSR_MP_RUNNABLE;
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    return emu_box_handler(cpu);
}

static int store_at(emu_box *box, uint32_t eax)
{
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x89, 0x08, 0xf4); /* mov [eax], ecx; hlt */
    cpu->regs[VSR_X86_RAX] = eax;
    cpu->regs[VSR_X86_RCX] = 0x44332211;
    cpu->regs[VSR_X86_RSP] = BOX_STACK;
    return run_flat(box);
}

static void flat_segments_end_at_4_gib(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    set_up_flat(box);
    /* Twice: from the page tables, then from the TLB. */
    for (unsigned i = 0; i < 2; i++) {
        box_write(box, 0x7ffffc, 4, 0);
        assert_int_equal(store_at(box, 0xfffffffc), -1);
        assert_int_equal(box_read(box, 0x7ffffc, 4), 0x44332211);
    }
    box_write(box, 0x7ffffc, 4, 0);
    for (unsigned n = 1; n < 4; n++)
        assert_int_equal(store_at(box, 0xfffffffc + n), EMU_GP);
    assert_int_equal(box_read(box, 0x7ffffc, 4), 0);

    emu_blocks_clear(cpu->blocks);
    CODE(box, 0x89, 0x4d, 0xfd, 0xf4); /* mov [ebp-3], ecx; hlt */
    cpu->regs[VSR_X86_RBP] = 0;
    cpu->regs[VSR_X86_RSP] = BOX_STACK;
    assert_int_equal(run_flat(box), EMU_SS);
}

static void sums_of_flat_addresses_wrap(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    set_up_flat(box);
    CODE(box, 0x8b, 0x54, 0x08, 0x10, 0xf4); /* mov edx, [eax+ecx+16]; hlt */
    box_write(box, BOX_DATA + 16, 4, 0x12345678);
    cpu->regs[VSR_X86_RAX] = 0xfffff000;
    cpu->regs[VSR_X86_RCX] = BOX_DATA + 0x1000;
    for (unsigned i = 0; i < 2; i++) {
        cpu->regs[VSR_X86_RDX] = ~UINT64_C(0);
        assert_int_equal(run_flat(box), -1);
        assert_int_equal(cpu->regs[VSR_X86_RDX], 0x12345678);
    }
}

static void flat_code_segments_are_not_written(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    set_up_flat(box);
    CODE(box, 0x89, 0x08, 0x2e, 0x89, 0x08, 0xf4); /* mov cs:[eax], ecx */
    cpu->regs[VSR_X86_RAX] = BOX_DATA;
    assert_int_equal(run_flat(box), EMU_GP);
    assert_int_equal(box_read(box, cpu->regs[VSR_X86_RSP] + 4, 4),
                     BOX_CODE + 2);
}

static void same_code_obeys_the_limit_that_ds_has_then(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    vsr_x86_seg flat;

    set_up_flat(box);
    flat = cpu->seg[VSR_X86_DS];
    for (unsigned i = 0; i < 3; i++) {
        vsr_x86_seg small = flat;

        assert_int_equal(store_at(box, BOX_DATA), -1);
        small.limit = BOX_DATA + 2;
        emu_segment_set(cpu, VSR_X86_DS, &small);
        assert_int_equal(store_at(box, BOX_DATA), EMU_GP);
        small.base = 0x1000;
        small.limit = 0xffffffff;
        emu_segment_set(cpu, VSR_X86_DS, &small);
        box_write(box, BOX_DATA + 0x1000, 4, 0);
        assert_int_equal(store_at(box, BOX_DATA), -1);
        assert_int_equal(box_read(box, BOX_DATA + 0x1000, 4), 0x44332211);
        emu_segment_set(cpu, VSR_X86_DS, &flat);
    }
}

static void pushes_on_a_flat_stack_end_at_4_gib_too(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    set_up_flat(box);
    CODE(box, 0x50, 0xf4); /* push eax; hlt */
    cpu->regs[VSR_X86_RAX] = 0xcafebabe;
    for (unsigned i = 0; i < 2; i++) {
        cpu->regs[VSR_X86_RSP] = 0;
        assert_int_equal(run_flat(box), -1);
        assert_int_equal(cpu->regs[VSR_X86_RSP], 0xfffffffc);
        assert_int_equal(box_read(box, 0x7ffffc, 4), 0xcafebabe);
    }
    /* No fault can be pushed there either. */
    cpu->regs[VSR_X86_RSP] = 2;
    cpu->regs[EMU_REG_RIP] = BOX_CODE;
    cpu->mp_state = VSR_MP_RUNNABLE;
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_SHUTDOWN);
    assert_int_equal(cpu->regs[VSR_X86_RSP], 2);
}

static void a_16_bit_stack_below_flat_segments_keeps_to_sp(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    vsr_x86_seg ss;

    set_up_flat(box);
    ss = cpu->seg[VSR_X86_SS];
    ss.attr &= (uint16_t)~VSR_SEG_DB;
    emu_segment_set(cpu, VSR_X86_SS, &ss);
    CODE(box, 0x50, 0xf4); /* push eax; hlt */
    cpu->regs[VSR_X86_RAX] = 0xcafebabe;
    cpu->regs[VSR_X86_RSP] = 0x12340000;
    assert_int_equal(run_flat(box), -1);
    assert_int_equal(cpu->regs[VSR_X86_RSP], 0x1234fffc);
    assert_int_equal(box_read(box, 0xfffc, 4), 0xcafebabe);
}

static void calls_and_returns_nest_in_flat_code(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    set_up_flat(box);
    CODE(box, 0xe8, 0x03, 0, 0, 0, /* call 8 */
         0xe2, 0xf9, 0xf4,         /* loop 0; hlt */
         0x55, 0x89, 0xe5,         /* push ebp; mov ebp, esp */
         0x6a, 0x07,               /* push 7 */
         0xe8, 0x02, 0, 0, 0,      /* call 20 */
         0xc9, 0xc3,               /* leave; ret */
         0x03, 0x44, 0x24, 0x04,   /* add eax, [esp+4] */
         0xc2, 0x04, 0x00);        /* ret 4 */
    cpu->regs[VSR_X86_RAX] = 0;
    cpu->regs[VSR_X86_RCX] = 1000;
    cpu->regs[VSR_X86_RBP] = 0x1234;
    assert_int_equal(run_flat(box), -1);
    assert_int_equal(cpu->regs[VSR_X86_RAX], 7000);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_STACK);
    assert_int_equal(cpu->regs[VSR_X86_RBP], 0x1234);
}

/* --- MSRs --- */

/* Looked at whatever CPUID says: no banks, nothing happened. */
static void machine_check_has_no_banks(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t v = 1;

    assert_true(emu_msr_read(cpu, 0x179, &v));
    assert_int_equal(v, 0);
    assert_false(emu_msr_write(cpu, 0x179, 0));
    assert_true(emu_msr_read(cpu, 0x17a, &v));
    assert_int_equal(v, 0);
    assert_true(emu_msr_write(cpu, 0x17a, 0));
    assert_false(emu_msr_write(cpu, 0x17a, 1));
    assert_false(emu_msr_read(cpu, 0x400, &v));
}

static uint64_t msr(emu_cpu *cpu, uint32_t index)
{
    uint64_t v = 0;

    assert_true(emu_msr_read(cpu, index, &v));
    return v;
}

/* SDM vol. 3B, 18.17.3: they move together. */
static void tsc_and_its_adjustment_move_together(void **state)
{
    const uint64_t hour = UINT64_C(3600000000000);
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t tsc = msr(cpu, EMU_MSR_TSC), v;

    assert_true(emu_cpuid_has(cpu, 7, EMU_EBX, 1));
    assert_int_equal(msr(cpu, EMU_MSR_TSC_ADJUST), 0);
    assert_true(emu_msr_write(cpu, EMU_MSR_TSC_ADJUST, 5 * hour));
    assert_int_equal(msr(cpu, EMU_MSR_TSC_ADJUST), 5 * hour);
    assert_in_range(msr(cpu, EMU_MSR_TSC) - tsc, 5 * hour, 6 * hour);
    assert_true(emu_msr_write(cpu, EMU_MSR_TSC_ADJUST, 2 * hour));
    assert_in_range(msr(cpu, EMU_MSR_TSC) - tsc, 2 * hour, 3 * hour);
    tsc = msr(cpu, EMU_MSR_TSC);
    assert_true(emu_msr_write(cpu, EMU_MSR_TSC, tsc + 8 * hour));
    assert_in_range(msr(cpu, EMU_MSR_TSC) - tsc, 8 * hour, 9 * hour);
    assert_in_range(msr(cpu, EMU_MSR_TSC_ADJUST), 9 * hour, 10 * hour);
    box->cpu[0]->cpuid.n = 0; /* without the bit there is no such register */
    assert_false(emu_msr_read(cpu, EMU_MSR_TSC_ADJUST, &v));
    assert_false(emu_msr_write(cpu, EMU_MSR_TSC_ADJUST, 0));
}

/* --- interrupts that an access to a device brings --- */

static void raise_intr(void *machine, vsr_io *io)
{
    emu_box *box = machine;

    box->vector = 0x40;
    vsr_emu_engine.vcpu_signal(box->vcpu[0], VSR_SIGNAL_INTR, 1);
}

enum { DEVICE_LA = 0x40000000 };

/* Runs `code`, in which an access raises an interrupt; the RIP that was
 * interrupted, as an offset in it. */
static uint64_t interrupted_at(emu_box *box, const uint8_t *code, size_t len)
{
    emu_cpu *cpu = box->cpu[0];

    emu_box_long(box, 0);
    emu_box_map(box, DEVICE_LA, 0xfe000000 | PTE_P | PTE_W);
    box->events.pio = box->events.mmio = raise_intr;
    emu_box_code(box, code, len);
    vsr_emu_engine.dirty_mark(box->vm, BOX_CODE, len);
    cpu->regs[VSR_X86_RBX] = DEVICE_LA;
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    assert_int_equal(emu_box_handler(cpu), 0x40);
    return box_read(box, cpu->regs[VSR_X86_RSP], 8) - BOX_CODE;
}

#define INTERRUPTED_AT(box, ...)                        \
    ({                                                  \
        static const uint8_t bytes[] = { __VA_ARGS__ }; \
                                                        \
        interrupted_at(box, bytes, sizeof bytes);       \
    })

static void interrupt_of_a_port_comes_right_behind(void **state)
{
    emu_box *box = *state;

    /* sti; nop; out 0x80, al; nop; hlt */
    assert_int_equal(INTERRUPTED_AT(box, 0xfb, 0x90, 0xe6, 0x80, 0x90, 0xf4),
                     4);
    /* sti; nop; in al, 0x80; nop; hlt */
    assert_int_equal(INTERRUPTED_AT(box, 0xfb, 0x90, 0xe4, 0x80, 0x90, 0xf4),
                     4);
}

static void interrupt_comes_before_if_is_cleared(void **state)
{
    emu_box *box = *state;

    /* sti; nop; mov [rbx], eax; nop; cli; hlt */
    assert_in_range(
        INTERRUPTED_AT(box, 0xfb, 0x90, 0x89, 0x03, 0x90, 0xfa, 0xf4), 4, 5);
    /* push 2; sti; nop; mov [rbx], eax; nop; popf; hlt */
    assert_in_range(INTERRUPTED_AT(box, 0x6a, 0x02, 0xfb, 0x90, 0x89, 0x03,
                                   0x90, 0x9d, 0xf4),
                    6, 7);
}

/* mov [rbx], eax; sti; cli; sti; nop; hlt: nothing between the first two */
static void sti_lets_nothing_in_before_cli(void **state)
{
    emu_box *box = *state;

    assert_int_equal(
        INTERRUPTED_AT(box, 0x89, 0x03, 0xfb, 0xfa, 0xfb, 0x90, 0xf4), 6);
}

/* sti; mov [rbx], eax; cli; sti; nop; hlt: the access is in the shadow, and the
 * interrupt comes right behind it. */
static void shadow_ends_with_the_access(void **state)
{
    emu_box *box = *state;

    assert_int_equal(
        INTERRUPTED_AT(box, 0xfb, 0x89, 0x03, 0xfa, 0xfb, 0x90, 0xf4), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(cpuid_hides_an_apic_that_is_off),
        TEST(machine_check_has_no_banks),
        TEST(tsc_and_its_adjustment_move_together),
        TEST(interrupt_of_a_port_comes_right_behind),
        TEST(interrupt_comes_before_if_is_cleared),
        TEST(sti_lets_nothing_in_before_cli),
        TEST(shadow_ends_with_the_access),
        TEST(flat_segments_end_at_4_gib),
        TEST(sums_of_flat_addresses_wrap),
        TEST(flat_code_segments_are_not_written),
        TEST(same_code_obeys_the_limit_that_ds_has_then),
        TEST(pushes_on_a_flat_stack_end_at_4_gib_too),
        TEST(a_16_bit_stack_below_flat_segments_keeps_to_sp),
        TEST(calls_and_returns_nest_in_flat_code),
    };
#undef TEST

    return cmocka_run_group_tests_name("emu system", tests, NULL, NULL);
}
