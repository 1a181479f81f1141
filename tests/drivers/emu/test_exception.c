/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_exception.c: faults, interrupts, debug traps, far transfers and task
 * switches, by running guest code.
 */
#include "tests/drivers/emu/emu_box.h"

#include "drivers/emu/block_cache.h"
#include "drivers/emu/guest_x86_control.h"
#include "drivers/emu/guest_x86_segment.h"

enum { FAR_LA = 0x40000000, RF = EMU_RF };

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

/* Runs into the HLT of a handler: which one? */
static int run(emu_box *box)
{
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    return emu_box_handler(box->cpu[0]);
}

/* The n-th slot from the top of the current stack. */
static uint64_t slot(const emu_box *box, unsigned n)
{
    const emu_cpu *cpu = box->cpu[0];
    unsigned size = emu_long_mode(cpu) ? 8 : 4;

    return box_read(box, cpu->regs[VSR_X86_RSP] + n * size, size);
}

static void check_frame(emu_box *box, unsigned from, uint64_t rip, uint64_t cs,
                        uint64_t flags)
{
    assert_int_equal(slot(box, from), rip);
    assert_int_equal(slot(box, from + 1), cs);
    assert_int_equal(slot(box, from + 2), flags);
}

/* --- frames --- */

static void fault_pushes_an_aligned_frame(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x0f, 0x0b); /* ud2 */
    cpu->regs[VSR_X86_RSP] = BOX_STACK - 3;
    assert_int_equal(run(box), EMU_UD);
    check_frame(box, 0, BOX_CODE, BOX_CS, 2 | RF);
    assert_int_equal(slot(box, 3), BOX_STACK - 3);
    assert_int_equal(slot(box, 4), BOX_DS);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_STACK - 16 - 40);
    assert_int_equal(cpu->eflags & EMU_RF, 0);
}

static void fault_in_user_code_takes_the_stack_of_the_tss(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x90, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0x40); /* mov rax, [..] */
    emu_box_user(box, 0);
    cpu->regs[VSR_X86_RAX] = 77;
    assert_int_equal(run(box), EMU_PAGE_FAULT);
    assert_int_equal(cpu->cr2, FAR_LA);
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->regs[VSR_X86_RAX], 77);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_RING0 - 48);
    assert_int_equal(slot(box, 0), 4);
    check_frame(box, 1, BOX_CODE + 1, BOX_CS3, 2 | RF);
    assert_int_equal(slot(box, 4), BOX_USER_STACK);
    assert_int_equal(slot(box, 5), BOX_DS3);
    assert_int_equal(cpu->seg[VSR_X86_SS].selector, 0);
}

static void ist_gate_changes_stack_in_ring_0(void **state)
{
    emu_box *box = *state;

    CODE(box, 0x0f, 0x0b);
    emu_box_gate(box, EMU_UD, 0, 1);
    assert_int_equal(run(box), EMU_UD);
    assert_int_equal(box->cpu[0]->regs[VSR_X86_RSP], BOX_IST1 - 40);
    assert_int_equal(slot(box, 3), BOX_STACK);
}

static void software_interrupt_needs_the_gates_privilege(void **state)
{
    emu_box *box = *state;

    CODE(box, 0xcd, 0x80); /* int 0x80 */
    emu_box_user(box, 0);
    assert_int_equal(run(box), EMU_GP);
    assert_int_equal(slot(box, 0), 0x80 * 8 + 2);
    check_frame(box, 1, BOX_CODE, BOX_CS3, 2 | RF);
}

static void software_interrupt_returns_behind_itself(void **state)
{
    emu_box *box = *state;

    CODE(box, 0xcd, 0x80);
    emu_box_gate(box, 0x80, 3, 0);
    emu_box_user(box, 0);
    assert_int_equal(run(box), 0x80);
    check_frame(box, 0, BOX_CODE + 2, BOX_CS3, 2);
}

static void breakpoint_is_a_trap(void **state)
{
    emu_box *box = *state;

    CODE(box, 0xcc);
    assert_int_equal(run(box), EMU_BP);
    check_frame(box, 0, BOX_CODE + 1, BOX_CS, 2);
}

static void missing_gate_is_reported_as_external(void **state)
{
    emu_box *box = *state;

    CODE(box, 0x0f, 0x0b);
    box_write(box, BOX_IDT + EMU_UD * 16 + 5, 1, 0x0e); /* not present */
    assert_int_equal(run(box), EMU_NP);
    assert_int_equal(slot(box, 0), EMU_UD * 8 + 2 + 1);
    check_frame(box, 1, BOX_CODE, BOX_CS, 2 | RF);
}

static void contributory_pair_is_a_double_fault(void **state)
{
    emu_box *box = *state;

    CODE(box, 0xf4); /* hlt in ring 3: #GP */
    emu_box_user(box, 0);
    box_write(box, BOX_IDT + EMU_GP * 16 + 5, 1, 0x0e);
    assert_int_equal(run(box), EMU_DF_FAULT);
    assert_int_equal(slot(box, 0), 0);
    assert_int_equal(slot(box, 1), BOX_CODE);
}

static void page_fault_on_a_bad_stack_is_a_double_fault(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0x40);
    cpu->regs[VSR_X86_RSP] = FAR_LA + 0x3000;
    emu_box_gate(box, EMU_DF_FAULT, 0, 1);
    assert_int_equal(run(box), EMU_DF_FAULT);
    assert_int_equal(cpu->cr2, FAR_LA + 0x2ff8);
    check_frame(box, 1, BOX_CODE, BOX_CS, 2 | RF);
    assert_int_equal(slot(box, 4), FAR_LA + 0x3000);
}

static void triple_fault_shuts_down_and_leaves_the_state(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    vsr_x86_state s;

    CODE(box, 0x90, 0x0f, 0x0b);
    cpu->idt.limit = 0;
    assert_int_equal(vsr_emu_engine.vcpu_run(box->vcpu[0]), VSR_RUN_SHUTDOWN);
    vsr_emu_engine.vcpu_get(box->vcpu[0], &s);
    assert_int_equal(s.rip, BOX_CODE + 1);
    assert_int_equal(s.gpr[VSR_X86_RSP], BOX_STACK);
}

static void real_mode_pushes_three_words(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_real(box, 0);
    CODE(box, 0xfb, 0xcd, 0x21); /* sti; int 0x21 */
    assert_int_equal(run(box), 0x21);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_STACK - 6);
    assert_int_equal(box_read(box, BOX_STACK - 6, 2), 3);
    assert_int_equal(box_read(box, BOX_STACK - 4, 2), BOX_CODE >> 4);
    assert_int_equal(box_read(box, BOX_STACK - 2, 2), 2 | EMU_IF);
    assert_int_equal(cpu->eflags & EMU_IF, 0);
}

static void legacy_gate_switches_to_the_inner_stack(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_prot(box, 0);
    CODE(box, 0x0f, 0x0b);
    emu_box_user(box, 0);
    assert_int_equal(run(box), EMU_UD);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_RING0 - 20);
    check_frame(box, 0, BOX_CODE, BOX_CS3, 2 | RF);
    assert_int_equal(slot(box, 3), BOX_USER_STACK);
    assert_int_equal(slot(box, 4), BOX_DS3);
    assert_int_equal(cpu->seg[VSR_X86_SS].selector, BOX_DS);
}

static void vm86_frame_has_the_segments(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_prot(box, 0);
    CODE(box, 0xcd, 0x21); /* int 0x21 with IOPL 0: #GP */
    cpu->regs[EMU_REG_RIP] = 0;
    emu_set_eflags(cpu, EMU_VM, EMU_VM);
    for (unsigned s = VSR_X86_ES; s <= VSR_X86_GS; s++)
        emu_segment_real(cpu, s, (uint16_t)(0x100 + s));
    emu_segment_real(cpu, VSR_X86_CS, BOX_CODE >> 4);
    emu_set_cpl(cpu, 3);
    cpu->regs[VSR_X86_RSP] = 0x1234;
    assert_int_equal(run(box), EMU_GP);
    assert_int_equal(slot(box, 0), 0);
    check_frame(box, 1, 0, BOX_CODE >> 4, 2 | RF | EMU_VM);
    assert_int_equal(slot(box, 4), 0x1234);
    assert_int_equal(slot(box, 5), 0x100 + VSR_X86_SS);
    assert_int_equal(slot(box, 6), 0x100 + VSR_X86_ES);
    assert_int_equal(slot(box, 9), 0x100 + VSR_X86_GS);
    assert_int_equal(cpu->eflags & EMU_VM, 0);
    assert_int_equal(cpu->seg[VSR_X86_DS].attr & VSR_SEG_P, 0);
}

static void iret_enters_vm86(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    static const uint32_t frame[] = { 0x10,   BOX_CODE >> 4, 2 | EMU_VM,
                                      0x1000, 0x200,         0x201,
                                      0x202,  0x203,         0x204 };

    emu_box_prot(box, 0);
    CODE(box, 0xcf);                /* iretd */
    box->ram[BOX_CODE + 16] = 0xf4; /* hlt: #GP in VM86 */
    memcpy(box->ram + BOX_STACK - sizeof frame, frame, sizeof frame);
    cpu->regs[VSR_X86_RSP] = BOX_STACK - sizeof frame;
    assert_int_equal(run(box), EMU_GP);
    check_frame(box, 1, 0x10, BOX_CODE >> 4, 2 | RF | EMU_VM);
    assert_int_equal(slot(box, 5), 0x200);
    assert_int_equal(slot(box, 9), 0x204);
}

static void full_stack_segment_is_a_stack_fault(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_prot(box, 0);
    CODE(box, 0x50); /* push eax */
    emu_box_user(box, 0);
    cpu->seg[VSR_X86_SS].limit = 0xfff;
    emu_mode_update(cpu);
    assert_int_equal(run(box), EMU_SS);
    assert_int_equal(slot(box, 0), 0);
    assert_int_equal(slot(box, 4), BOX_USER_STACK);
}

static void unaligned_access_of_user_code_with_ac(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    /* mov eax, [rsp-8]; mov eax, [rsp-7] */
    CODE(box, 0x8b, 0x44, 0x24, 0xf8, 0x8b, 0x44, 0x24, 0xf9);
    emu_box_user(box, 0);
    cpu->cr0 |= EMU_CR0_AM;
    emu_set_eflags(cpu, EMU_AC, EMU_AC);
    assert_int_equal(run(box), EMU_ALIGN);
    assert_int_equal(slot(box, 0), 0);
    assert_int_equal(slot(box, 1), BOX_CODE + 4);
}

/* --- interrupts --- */

static void signal_intr(emu_box *box, int vector)
{
    box->vector = vector;
    vsr_emu_engine.vcpu_signal(box->vcpu[0], VSR_SIGNAL_INTR, 1);
}

static void interrupt_waits_for_sti_and_its_shadow(void **state)
{
    emu_box *box = *state;

    CODE(box, 0x90, 0xfb, 0x90, 0x90, 0xeb, 0xfe); /* nop; sti; nop; .. */
    signal_intr(box, 0x40);
    assert_int_equal(run(box), 0x40);
    check_frame(box, 0, BOX_CODE + 3, BOX_CS, 2 | EMU_IF);
    assert_int_equal(box->acks, 1);
}

static void interrupt_stays_out_while_if_is_clear(void **state)
{
    emu_box *box = *state;

    CODE(box, 0x90, 0xf4); /* nop; hlt */
    signal_intr(box, 0x40);
    assert_int_equal(run(box), -1);
    assert_int_equal(box->acks, 0);
    assert_int_equal(box->cpu[0]->mp_state, VSR_MP_HALTED);
}

static void popf_opens_for_an_interrupt(void **state)
{
    emu_box *box = *state;

    /* push 0x202; popfq; nop; jmp $ */
    CODE(box, 0x68, 0x02, 0x02, 0, 0, 0x9d, 0x90, 0xeb, 0xfe);
    signal_intr(box, 0x41);
    assert_int_equal(run(box), 0x41);
    assert_int_equal(slot(box, 0), BOX_CODE + 6);
}

static void mov_ss_holds_interrupts_back(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x8e, 0xd0, 0x90, 0xeb, 0xfe); /* mov ss, eax; nop; jmp $ */
    cpu->regs[VSR_X86_RAX] = BOX_DS;
    cpu->eflags |= EMU_IF;
    cpu->inhibit = EMU_INHIBIT_STI; /* so that MOV SS comes before it */
    signal_intr(box, 0x42);
    assert_int_equal(run(box), 0x42);
    assert_int_equal(slot(box, 0), BOX_CODE + 3);
}

static void interrupt_that_went_away_is_forgotten(void **state)
{
    emu_box *box = *state;

    CODE(box, 0xfb, 0x90, 0x90, 0x0f, 0x0b); /* sti; nop; nop; ud2 */
    signal_intr(box, -1);
    assert_int_equal(run(box), EMU_UD);
    assert_int_equal(box->acks, 1);
    assert_int_equal(atomic_load(&box->cpu[0]->intr_level), 0);
}

static void nmi_is_masked_until_iret(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x90, 0xf4);
    memcpy(box->ram + BOX_HANDLER(2) + 1, "\x48\xcf", 2); /* iretq */
    vsr_emu_engine.vcpu_signal(box->vcpu[0], VSR_SIGNAL_NMI, 0);
    assert_int_equal(run(box), EMU_NMI);
    assert_int_equal(slot(box, 0), BOX_CODE);
    vsr_emu_engine.vcpu_signal(box->vcpu[0], VSR_SIGNAL_NMI, 0);
    assert_int_equal(run(box), EMU_NMI);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_STACK - 40);
    /* Out of the HLT in the handler: IRET lets the second one in. */
    cpu->mp_state = VSR_MP_RUNNABLE;
    box_write(box, BOX_STACK - 40, 8, BOX_CODE + 1);
    assert_int_equal(run(box), EMU_NMI);
    assert_int_equal(slot(box, 0), BOX_CODE + 1);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_STACK - 40);
}

static void *wake_later(void *opaque)
{
    emu_box *box = opaque;
    emu_vcpu *v = (emu_vcpu *)(void *)box->vcpu[0];

    while (!atomic_load(&v->halted))
        g_usleep(100);
    signal_intr(box, 0x43);
    while (!box->acks)
        g_usleep(100);
    vsr_emu_engine.vcpu_kick(box->vcpu[0]);
    return NULL;
}

static void interrupt_wakes_a_halted_vcpu(void **state)
{
    emu_box *box = *state;
    pthread_t thread;

    CODE(box, 0xfb, 0xf4, 0x90); /* sti; hlt; nop */
    pthread_create(&thread, NULL, wake_later, box);
    assert_int_equal(vsr_emu_engine.vcpu_run(box->vcpu[0]), VSR_RUN_KICKED);
    pthread_join(thread, NULL);
    assert_int_equal(emu_box_handler(box->cpu[0]), 0x43);
    assert_int_equal(slot(box, 0), BOX_CODE + 2);
}

/* --- debugging --- */

static void trap_flag_steps_once(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x90, 0x90);
    emu_set_eflags(cpu, EMU_TF, EMU_TF);
    assert_int_equal(run(box), EMU_DB);
    check_frame(box, 0, BOX_CODE + 1, BOX_CS, 2 | EMU_TF);
    assert_true(cpu->dr[6] & EMU_DR6_BS);
    assert_int_equal(cpu->eflags & EMU_TF, 0);
}

static void trap_flag_steps_over_hlt(void **state)
{
    static const uint8_t handler[] = { 0xb3, 0x07, 0xf4 }; /* mov bl, 7; hlt */
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0xf4, 0x90);
    memcpy(box->ram + BOX_HANDLER(EMU_DB), handler, sizeof handler);
    emu_set_eflags(cpu, EMU_TF, EMU_TF);
    assert_int_equal(run(box), EMU_DB);
    check_frame(box, 0, BOX_CODE + 1, BOX_CS, 2 | EMU_TF);
    assert_int_equal(cpu->regs[VSR_X86_RBX], 7);
}

static void debug_registers_are_loaded_by_mov(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    /* mov dr0, rax; mov dr7, rbx; mov [rax], ecx; nop */
    CODE(box, 0x0f, 0x23, 0xc0, 0x0f, 0x23, 0xfb, 0x89, 0x08, 0x90, 0x90);
    cpu->regs[VSR_X86_RAX] = BOX_DATA;
    cpu->regs[VSR_X86_RBX] = 0x000d0001; /* L0, write, 4 bytes */
    cpu->regs[VSR_X86_RCX] = 0x1234;
    /* A tag from before must not hide the access. */
    emu_store32(cpu, &box_insn, BOX_DATA, 0);
    assert_int_equal(run(box), EMU_DB);
    check_frame(box, 0, BOX_CODE + 8, BOX_CS, 2);
    assert_int_equal(cpu->dr[6] & 0xf, 1);
    assert_int_equal(box_read(box, BOX_DATA, 4), 0x1234);
}

/* What MOV SS held back: with ICEBP it becomes one exception, with INT n it
 * comes before the first instruction of the handler. */
static void held_data_breakpoint_joins_what_follows(void **state)
{
    /* mov ss, [rax]; icebp; then mov ss, [rax]; int 0x80 */
    static const uint8_t code[2][5] = { { 0x8e, 0x10, 0xf1, 0x90, 0x90 },
                                        { 0x8e, 0x10, 0xcd, 0x80, 0x90 } };
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    for (unsigned i = 0; i < 2; i++) {
        emu_box_long(box, 0);
        emu_box_code(box, code[i], sizeof code[i]);
        vsr_emu_engine.dirty_mark(box->vm, BOX_CODE, sizeof code[i]);
        emu_write_dr(cpu, 6, 0);
        emu_write_dr(cpu, 0, BOX_DATA);
        emu_write_dr(cpu, 7, 0x000f0001); /* L0, read or write, 4 bytes */
        box_write(box, BOX_DATA, 2, BOX_DS);
        cpu->regs[VSR_X86_RAX] = BOX_DATA;
        assert_int_equal(run(box), EMU_DB);
        assert_int_equal(slot(box, 0), i ? BOX_HANDLER(0x80) : BOX_CODE + 3);
        assert_int_equal(cpu->dr[6] & 0xf, 1);
        assert_int_equal(cpu->dr6_pending, 0);
    }
}

static void instruction_breakpoint_faults_until_rf(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    /* or dword [rsp+16], 0x10000; iretq */
    static const uint8_t handler[] = { 0x81, 0x4c, 0x24, 0x10, 0,
                                       0,    1,    0,    0x48, 0xcf };

    /* mov dr0, rax; mov dr7, rbx; nop; inc ecx; ud2 */
    CODE(box, 0x0f, 0x23, 0xc0, 0x0f, 0x23, 0xfb, 0x90, 0xff, 0xc1, 0x0f, 0x0b);
    memcpy(box->ram + BOX_HANDLER(1), handler, sizeof handler);
    cpu->regs[VSR_X86_RAX] = BOX_CODE + 7;
    cpu->regs[VSR_X86_RBX] = 1;
    cpu->regs[VSR_X86_RCX] = 5;
    assert_int_equal(run(box), EMU_UD);
    assert_int_equal(cpu->regs[VSR_X86_RCX], 6);
    assert_int_equal(cpu->dr[6] & 0xf, 1);
}

static void general_detect_guards_the_debug_registers(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x0f, 0x21, 0xc0); /* mov rax, dr0 */
    cpu->dr[7] |= EMU_DR7_GD;
    assert_int_equal(run(box), EMU_DB);
    assert_int_equal(slot(box, 0), BOX_CODE);
    assert_true(cpu->dr[6] & EMU_DR6_BD);
    assert_int_equal(cpu->dr[7] & EMU_DR7_GD, 0);
}

/* --- far transfers --- */

static void iretq_and_syscall_go_out_and_in(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    static const uint64_t frame[] = { BOX_CODE + 0x100, BOX_CS3, 0x202,
                                      BOX_USER_STACK, BOX_DS3 };

    emu_box_user(box, 0); /* for its mappings */
    emu_box_long(box, 0);
    emu_box_map(box, BOX_CODE, BOX_CODE | PTE_P | PTE_W | PTE_U);
    CODE(box, 0x48, 0xcf);                              /* iretq */
    memcpy(box->ram + BOX_CODE + 0x100, "\x0f\x05", 2); /* syscall */
    for (unsigned shift = 39; shift > 12; shift -= 9)
        emu_box_pte(box, BOX_CODE);
    memcpy(box->ram + BOX_STACK - 40, frame, sizeof frame);
    cpu->regs[VSR_X86_RSP] = BOX_STACK - 40;
    cpu->star = (uint64_t)BOX_CS << 32 | (uint64_t)0x13 << 48;
    cpu->lstar = BOX_HANDLER(0x50);
    cpu->sfmask = EMU_IF;
    assert_int_equal(run(box), 0x50);
    assert_int_equal(cpu->regs[VSR_X86_RCX], BOX_CODE + 0x102);
    assert_int_equal(cpu->regs[11], 0x202);
    assert_int_equal(cpu->eflags & EMU_IF, 0);
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_USER_STACK);
    assert_int_equal(cpu->seg[VSR_X86_CS].selector, BOX_CS);
    assert_int_equal(cpu->seg[VSR_X86_SS].selector, BOX_CS + 8);
}

/* The branch faults, not what it leads to, and has done nothing. */
static void branch_to_a_non_canonical_address_faults(void **state)
{
    static const uint8_t code[][5] = {
        { 0xff, 0xe0 },       /* jmp rax */
        { 0xff, 0xd0 },       /* call rax */
        { 0xff, 0x23 },       /* jmp [rbx] */
        { 0xff, 0x13 },       /* call [rbx] */
        { 0xc3 },             /* ret */
        { 0xc2, 0x08, 0x00 }, /* ret 8 */
        { 0x66, 0xff, 0xe0 }, /* the same as without 66 */
    };
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(code); i++) {
        emu_box_long(box, 0);
        emu_box_code(box, code[i / 2], sizeof code[i / 2]);
        vsr_emu_engine.dirty_mark(box->vm, BOX_CODE, sizeof code[i / 2]);
        if (i & 1) /* one instruction at a time */
            emu_write_dr(cpu, 7, 0x00000001);
        box_write(box, BOX_DATA, 8, UINT64_C(0x1111111111111111));
        cpu->regs[VSR_X86_RAX] = UINT64_C(0x0000800000000000);
        cpu->regs[VSR_X86_RBX] = BOX_DATA;
        cpu->regs[VSR_X86_RSP] = BOX_STACK - 32;
        box_write(box, BOX_STACK - 32, 8, UINT64_C(0x8000000000000000));
        box_write(box, BOX_STACK - 40, 8, 0x1234);
        assert_int_equal(run(box), EMU_GP);
        assert_int_equal(slot(box, 0), 0);
        assert_int_equal(slot(box, 1), BOX_CODE);
        assert_int_equal(slot(box, 4), BOX_STACK - 32);
    }
}

static void branch_beyond_the_code_segment_faults(void **state)
{
    static const uint8_t code[][5] = {
        { 0xff, 0xe0 },                   /* jmp eax */
        { 0xff, 0xd0 },                   /* call eax */
        { 0xc3 },                         /* ret */
        { 0xe9, 0xfb, 0xff, 0x00, 0x00 }, /* jmp +0x10000 */
        { 0xe8, 0xfb, 0xff, 0x00, 0x00 }, /* call +0x10000 */
    };
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    for (unsigned i = 0; i < G_N_ELEMENTS(code); i++) {
        emu_box_prot(box, 0);
        emu_box_code(box, code[i], sizeof code[i]);
        vsr_emu_engine.dirty_mark(box->vm, BOX_CODE, sizeof code[i]);
        cpu->seg[VSR_X86_CS].limit = BOX_CODE + 0xffff;
        emu_mode_update(cpu);
        cpu->regs[VSR_X86_RAX] = BOX_CODE + 0x10000;
        cpu->regs[VSR_X86_RSP] = BOX_STACK - 32;
        box_write(box, BOX_STACK - 32, 4, BOX_CODE + 0x10000);
        assert_int_equal(run(box), EMU_GP);
        assert_int_equal(slot(box, 1), BOX_CODE);
        assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_STACK - 32 - 16);
    }
}

static void iret_refuses_an_inner_ring(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    static const uint64_t frame[] = { BOX_CODE, BOX_CS, 2, BOX_STACK, BOX_DS };

    CODE(box, 0x48, 0xcf);
    emu_box_user(box, 0);
    memcpy(box->ram + BOX_USER_STACK - 40, frame, sizeof frame);
    cpu->regs[VSR_X86_RSP] = BOX_USER_STACK - 40;
    assert_int_equal(run(box), EMU_GP);
    assert_int_equal(slot(box, 0), BOX_CS);
    assert_int_equal(slot(box, 4), BOX_USER_STACK - 40);
}

static void call_gate_leads_inwards_and_retf_back(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint64_t gate = BOX_GDT + BOX_FREE;

    /* call far [rsp]; int 0x60 */
    CODE(box, 0xff, 0x1c, 0x24, 0xcd, 0x60);
    memcpy(box->ram + BOX_HANDLER(0x51), "\x48\xcb", 2); /* retfq */
    box_write(box, gate, 8,
              (BOX_HANDLER(0x51) & 0xffff) | BOX_CS << 16 |
                  UINT64_C(0xec00) << 32 |
                  (uint64_t)(BOX_HANDLER(0x51) >> 16) << 48);
    box_write(box, gate + 8, 8, 0);
    emu_box_gate(box, 0x60, 3, 0);
    emu_box_user(box, 0);
    cpu->regs[VSR_X86_RSP] = BOX_USER_STACK - 16;
    box_write(box, BOX_USER_STACK - 16, 8, (uint64_t)(BOX_FREE | 3) << 32);
    assert_int_equal(run(box), 0x60);
    check_frame(box, 0, BOX_CODE + 5, BOX_CS3, 2);
    assert_int_equal(slot(box, 3), BOX_USER_STACK - 16);
    /* What the gate pushed on the inner stack. */
    assert_int_equal(box_read(box, BOX_RING0 - 8, 8), BOX_DS3);
}

static void segment_loads_check_the_descriptor(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_desc(box, BOX_FREE, 0x1234, 0xffff, 0x4090); /* read-only, A = 0 */
    emu_segment_load(cpu, &box_insn, VSR_X86_FS, BOX_FREE);
    assert_int_equal(cpu->seg_base[VSR_X86_FS], 0x1234);
    assert_int_equal(cpu->seg[VSR_X86_FS].limit, 0xffff);
    assert_true(box_read(box, BOX_GDT + BOX_FREE + 5, 1) & 1);
    assert_int_equal(
        BOX_RAISES(cpu, emu_segment_load(cpu, &box_insn, VSR_X86_SS, BOX_FREE)),
        EMU_GP);
    assert_int_equal(slot(box, 0), BOX_FREE);
    emu_box_desc(box, BOX_FREE, 0, 0xffff, 0x4012); /* not present */
    assert_int_equal(
        BOX_RAISES(cpu, emu_segment_load(cpu, &box_insn, VSR_X86_ES, BOX_FREE)),
        EMU_NP);
    assert_int_equal(
        BOX_RAISES(cpu, emu_segment_load(cpu, &box_insn, VSR_X86_ES, 0x1000)),
        EMU_GP);
    assert_int_equal(slot(box, 0), 0x1000);
}

static void outward_return_drops_inner_segments(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    static const uint64_t frame[] = { BOX_CODE, BOX_CS3, 2, BOX_USER_STACK,
                                      BOX_DS3 };

    memcpy(box->ram + BOX_STACK - 40, frame, sizeof frame);
    cpu->regs[VSR_X86_RSP] = BOX_STACK - 40;
    cpu->seg[VSR_X86_ES].attr |= VSR_SEG_DPL;
    cpu->seg[VSR_X86_GS].base = cpu->seg_base[VSR_X86_GS] = 0x400000;
    assert_int_equal(
        emu_iret(cpu, &(emu_insn){ .op = EMU_OP_IRET, .opsize = 8 }), BOX_CODE);
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->seg[VSR_X86_DS].attr, 0);
    assert_true(cpu->seg[VSR_X86_ES].attr & VSR_SEG_P);
    /* The selector goes; 64-bit code goes on to use the base. */
    assert_int_equal(cpu->seg[VSR_X86_GS].selector, 0);
    assert_int_equal(cpu->seg[VSR_X86_GS].attr, 0);
    assert_int_equal(cpu->seg[VSR_X86_GS].base, 0x400000);
    assert_int_equal(cpu->seg_base[VSR_X86_GS], 0x400000);
}

/* --- tasks --- */

static void put_task(emu_box *box, uint32_t at, uint32_t eip)
{
    memset(box->ram + at, 0, 0x68);
    box_write(box, at + 0x20, 4, eip);
    box_write(box, at + 0x24, 4, 2);
    box_write(box, at + 0x28, 4, 0xaaaa);   /* eax */
    box_write(box, at + 0x38, 4, BOX_IST1); /* esp */
    for (unsigned s = 0; s < 6; s++)
        box_write(box, at + 0x48 + 4 * s, 4, s == VSR_X86_CS ? BOX_CS : BOX_DS);
}

static void far_jump_switches_tasks(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_prot(box, 0);
    CODE(box, 0xea, 0, 0, 0, 0, BOX_TSS2, 0); /* jmp BOX_TSS2:0 */
    emu_box_desc(box, BOX_TSS2, BOX_DATA, 0x67, 0x89);
    put_task(box, BOX_DATA, BOX_HANDLER(0x70));
    cpu->regs[VSR_X86_RAX] = 0x5555;
    assert_int_equal(run(box), 0x70);
    assert_int_equal(cpu->regs[VSR_X86_RAX], 0xaaaa);
    assert_int_equal(cpu->regs[VSR_X86_RSP], BOX_IST1);
    assert_int_equal(cpu->seg[VSR_X86_TR].selector, BOX_TSS2);
    assert_true(cpu->cr0 & EMU_CR0_TS);
    /* The old task: saved, and no longer busy; the new one is. */
    assert_int_equal(box_read(box, BOX_TSS + 0x20, 4), BOX_CODE + 7);
    assert_int_equal(box_read(box, BOX_TSS + 0x28, 4), 0x5555);
    assert_int_equal(box_read(box, BOX_GDT + BOX_TR + 5, 1), 0x89);
    assert_int_equal(box_read(box, BOX_GDT + BOX_TSS2 + 5, 1), 0x8b);
}

static void task_gate_nests_and_iret_comes_back(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    emu_box_prot(box, 0);
    CODE(box, 0xcd, 0x61, 0x0f, 0x0b); /* int 0x61; ud2 */
    emu_box_desc(box, BOX_TSS2, BOX_DATA, 0x67, 0x89);
    put_task(box, BOX_DATA, BOX_CODE + 0x100);
    box->ram[BOX_CODE + 0x100] = 0xcf; /* iretd */
    box_write(box, BOX_IDT + 0x61 * 8, 8,
              BOX_TSS2 << 16 | UINT64_C(0x8500) << 32);
    cpu->regs[VSR_X86_RBX] = 0x77;
    assert_int_equal(run(box), EMU_UD);
    assert_int_equal(slot(box, 0), BOX_CODE + 2);
    assert_int_equal(cpu->regs[VSR_X86_RBX], 0x77);
    assert_int_equal(cpu->seg[VSR_X86_TR].selector, BOX_TR);
    assert_int_equal(box_read(box, BOX_DATA, 2), BOX_TR);
    assert_int_equal(box_read(box, BOX_GDT + BOX_TSS2 + 5, 1), 0x89);
    assert_int_equal(box_read(box, BOX_GDT + BOX_TR + 5, 1), 0x8b);
}

/* --- privilege --- */

static void ring_3_may_not(void **state)
{
    static const uint8_t forbidden[][4] = {
        { 0xfa },             /* cli */
        { 0x0f, 0x20, 0xc0 }, /* mov rax, cr0 */
        { 0x0f, 0x30 },       /* wrmsr */
        { 0x0f, 0x09 },       /* wbinvd */
        { 0x0f, 0x01, 0xf8 }, /* swapgs */
        { 0xe4, 0x60 },       /* in al, 0x60 */
        { 0x0f, 0x06 },       /* clts */
        { 0x0f, 0x00, 0xd8 }, /* ltr ax */
    };
    emu_box *box = *state;

    for (unsigned i = 0; i < G_N_ELEMENTS(forbidden); i++) {
        emu_box_long(box, 0);
        emu_box_user(box, 0);
        box->cpu[0]->mp_state = VSR_MP_RUNNABLE;
        emu_blocks_clear(box->cpu[0]->blocks);
        emu_box_code(box, forbidden[i], 4);
        assert_int_equal(run(box), EMU_GP);
        assert_int_equal(slot(box, 1), BOX_CODE);
    }
    assert_int_equal(box->n_io, 0);
}

static void io_bitmap_opens_single_ports(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0xe4, 0x60, 0xe4, 0x61); /* in al, 0x60; in al, 0x61 */
    emu_box_user(box, 0);
    cpu->seg[VSR_X86_TR].limit = 0x67 + 0x20;
    box_write(box, BOX_TSS + 0x66, 2, 0x68);
    memset(box->ram + BOX_TSS + 0x68, 0xff, 0x20);
    box->ram[BOX_TSS + 0x68 + 0x60 / 8] = 0xfe;
    box->io_value = 0x5a;
    assert_int_equal(run(box), EMU_GP);
    assert_int_equal(slot(box, 1), BOX_CODE + 2);
    assert_int_equal(box->n_io, 1);
    assert_int_equal(box->io[0].addr, 0x60);
    assert_int_equal(cpu->regs[VSR_X86_RAX] & 0xff, 0x5a);
}

static void unknown_msr_is_gp(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];

    CODE(box, 0x0f, 0x32, 0x89, 0xc3, 0xb9, 0xef, 0xbe, 0, 0, 0x0f, 0x32);
    cpu->regs[VSR_X86_RCX] = EMU_MSR_APIC_BASE; /* then 0xbeef */
    assert_int_equal(run(box), EMU_GP);
    assert_int_equal(cpu->regs[VSR_X86_RBX], EMU_MSR_APIC_BASE);
    assert_int_equal(slot(box, 1), BOX_CODE + 9);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(fault_pushes_an_aligned_frame),
        TEST(fault_in_user_code_takes_the_stack_of_the_tss),
        TEST(ist_gate_changes_stack_in_ring_0),
        TEST(software_interrupt_needs_the_gates_privilege),
        TEST(software_interrupt_returns_behind_itself),
        TEST(breakpoint_is_a_trap),
        TEST(missing_gate_is_reported_as_external),
        TEST(contributory_pair_is_a_double_fault),
        TEST(page_fault_on_a_bad_stack_is_a_double_fault),
        TEST(triple_fault_shuts_down_and_leaves_the_state),
        TEST(real_mode_pushes_three_words),
        TEST(legacy_gate_switches_to_the_inner_stack),
        TEST(vm86_frame_has_the_segments),
        TEST(iret_enters_vm86),
        TEST(full_stack_segment_is_a_stack_fault),
        TEST(unaligned_access_of_user_code_with_ac),
        TEST(interrupt_waits_for_sti_and_its_shadow),
        TEST(interrupt_stays_out_while_if_is_clear),
        TEST(popf_opens_for_an_interrupt),
        TEST(mov_ss_holds_interrupts_back),
        TEST(interrupt_that_went_away_is_forgotten),
        TEST(nmi_is_masked_until_iret),
        TEST(interrupt_wakes_a_halted_vcpu),
        TEST(trap_flag_steps_once),
        TEST(trap_flag_steps_over_hlt),
        TEST(debug_registers_are_loaded_by_mov),
        TEST(held_data_breakpoint_joins_what_follows),
        TEST(instruction_breakpoint_faults_until_rf),
        TEST(general_detect_guards_the_debug_registers),
        TEST(iretq_and_syscall_go_out_and_in),
        TEST(branch_to_a_non_canonical_address_faults),
        TEST(branch_beyond_the_code_segment_faults),
        TEST(iret_refuses_an_inner_ring),
        TEST(call_gate_leads_inwards_and_retf_back),
        TEST(segment_loads_check_the_descriptor),
        TEST(outward_return_drops_inner_segments),
        TEST(far_jump_switches_tasks),
        TEST(task_gate_nests_and_iret_comes_back),
        TEST(ring_3_may_not),
        TEST(io_bitmap_opens_single_ports),
        TEST(unknown_msr_is_gp),
    };
#undef TEST

    return cmocka_run_group_tests_name("emu exceptions", tests, NULL, NULL);
}
