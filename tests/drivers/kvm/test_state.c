/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_state.c: the neutral state to KVM's structs and back, memory slots, the
 * dirty log, clocks. */
#include <errno.h>
#include <string.h>

#include "engine/engine.h"
#include "tests/drivers/kvm/fake_kvm.h"
#include "tests/support/cm.h"

enum { PAGE = 4096 };

typedef struct {
    vsr_engine_vm *vm;
    vsr_engine_vcpu *vcpu;
    vsr_x86_state *x86;
} fixture;

static uint8_t ram[256 * PAGE] __attribute__((aligned(PAGE)));
static const vsr_engine_ops *const ops = &vsr_kvm_engine;

static void up_io(void *machine, vsr_io *io)
{
}

static const vsr_engine_events events = { .mmio = up_io, .pio = up_io };

static int setup(void **state)
{
    const vsr_vm_config config = { .vcpus = 2 };
    const vsr_cpuid rows = { .n = 0 };
    const vsr_vcpu_config vcpu_config = { .cpuid = &rows };
    fixture *f = g_new0(fixture, 1);

    fake_reset();
    f->vm = ops->vm_new(&config, &events, NULL, NULL);
    f->vcpu = ops->vcpu_new(f->vm, &vcpu_config, NULL);
    f->x86 = g_new0(vsr_x86_state, 1);
    *state = f;
    return f->vcpu == NULL || ops->vcpu_get(f->vcpu, f->x86) < 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    ops->vcpu_free(f->vcpu);
    ops->vm_free(f->vm);
    g_free(f->x86);
    g_free(f);
    return fake()->n_open + fake()->n_mapped + fake()->n_blocked;
}

/* --- state --- */

static void registers_have_their_places(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < VSR_X86_GPRS; i++)
        f->x86->gpr[i] = 100 + i;
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), 0);
    assert_int_equal(fake()->regs.rax, 100);
    assert_int_equal(fake()->regs.rcx, 101);
    assert_int_equal(fake()->regs.rsp, 104);
    assert_int_equal(fake()->regs.rdi, 107);
    assert_int_equal(fake()->regs.r15, 115);
}

static void segments_keep_all_their_bits(void **state)
{
    fixture *f = *state;
    const vsr_x86_seg code = { .base = 0x1000,
                               .limit = UINT32_MAX,
                               .selector = 0x33,
                               .attr = VSR_SEG_P | VSR_SEG_S | VSR_SEG_DPL |
                                       VSR_SEG_L | VSR_SEG_G | VSR_SEG_AVL |
                                       11 };

    f->x86->seg[VSR_X86_CS] = code;
    f->x86->seg[VSR_X86_LDTR] = (vsr_x86_seg){ 0 };
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), 0);
    assert_int_equal(fake()->sregs.cs.dpl, 3);
    assert_int_equal(fake()->sregs.cs.l, 1);
    assert_int_equal(fake()->sregs.cs.db, 0);
    assert_int_equal(fake()->sregs.cs.unusable, 0);
    assert_int_equal(fake()->sregs.ldt.unusable, 1);
    assert_int_equal(ops->vcpu_get(f->vcpu, f->x86), 0);
    assert_memory_equal(&f->x86->seg[VSR_X86_CS], &code, sizeof code);
    fake()->sregs.fs.unusable = 1;
    fake()->sregs.fs.present = 1; /* KVM may say both */
    assert_int_equal(ops->vcpu_get(f->vcpu, f->x86), 0);
    assert_int_equal(f->x86->seg[VSR_X86_FS].attr & VSR_SEG_P, 0);
}

static void events_on_their_way_are_kept(void **state)
{
    fixture *f = *state;
    vsr_x86_events *e = &f->x86->events;

    fake()->events = (struct kvm_vcpu_events){
        .exception = { .pending = 1,
                       .nr = 14,
                       .has_error_code = 1,
                       .error_code = 5 },
        .interrupt = { .injected = 1,
                       .nr = 0x31,
                       .shadow = KVM_X86_SHADOW_INT_STI },
        .nmi = { .injected = 1, .masked = 1 },
    };
    assert_int_equal(ops->vcpu_get(f->vcpu, f->x86), 0);
    assert_true(e->exception_pending && e->exception_has_error);
    assert_int_equal(e->exception_vector, 14);
    assert_int_equal(e->exception_error, 5);
    assert_true(e->interrupt_injected);
    assert_int_equal(e->interrupt_vector, 0x31);
    assert_true(e->nmi_pending && !e->nmi_masked);
    assert_true(e->shadow_sti && !e->shadow_mov_ss);
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), 0);
    assert_int_equal(fake()->events.exception.injected, 1);
    assert_int_equal(fake()->events.exception.error_code, 5);
    assert_int_equal(fake()->events.interrupt.nr, 0x31);
    assert_int_equal(fake()->events.nmi.pending, 1);
    /* INT n is executed again. */
    fake()->events.interrupt.soft = 1;
    assert_int_equal(ops->vcpu_get(f->vcpu, f->x86), 0);
    assert_false(e->interrupt_injected);
}

static void mp_states_have_names(void **state)
{
    static const struct {
        vsr_mp_state ours;
        uint32_t kvms;
    } all[] = {
        { VSR_MP_RUNNABLE, KVM_MP_STATE_RUNNABLE },
        { VSR_MP_HALTED, KVM_MP_STATE_HALTED },
        { VSR_MP_WAIT_INIT, KVM_MP_STATE_UNINITIALIZED },
        { VSR_MP_WAIT_SIPI, KVM_MP_STATE_INIT_RECEIVED },
    };
    fixture *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        f->x86->mp_state = all[i].ours;
        assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), 0);
        assert_int_equal(fake()->mp.mp_state, all[i].kvms);
        assert_int_equal(ops->vcpu_get(f->vcpu, f->x86), 0);
        assert_int_equal(f->x86->mp_state, all[i].ours);
    }
}

static vsr_x86_msr *msr(vsr_x86_state *x86, uint32_t index)
{
    for (uint32_t i = 0; i < x86->n_msrs; i++)
        if (x86->msrs[i].index == index)
            return &x86->msrs[i];
    return NULL;
}

static void msrs_that_are_not_there_are_left_out(void **state)
{
    fixture *f = *state;

    assert_null(msr(f->x86, 0x140)); /* the fake's gap */
    assert_non_null(msr(f->x86, 0x174));
    assert_non_null(msr(f->x86, 0x4b564d02));
    assert_non_null(msr(f->x86, 0x400));
    f->x86->msrs[f->x86->n_msrs++] = (vsr_x86_msr){ .index = 0x140 };
    f->x86->msrs[f->x86->n_msrs++] =
        (vsr_x86_msr){ .index = 0x12, .value = 9 }; /* the clock's old number */
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), 0);
    assert_int_equal(fake_msr(0x12), 0);
    msr(f->x86, 0x140)->value = 1; /* it cannot hold that */
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), -EINVAL);
}

static void a_refused_piece_puts_all_back(void **state)
{
    static const unsigned long requests[] = {
        KVM_SET_SREGS,     KVM_SET_REGS,  KVM_SET_XSAVE,
        KVM_SET_DEBUGREGS, KVM_SET_LAPIC, KVM_SET_VCPU_EVENTS,
    };
    fixture *f = *state;

    f->x86->rip = 0x1000;
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        fake()->fail_request = requests[i];
        fake()->fail_request_with = EINVAL;
        f->x86->rip = 0x2000;
        assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), -EINVAL);
        fake()->fail_request = 0;
        assert_int_equal(fake()->regs.rip, 0x1000);
    }
    /* A value that the MSR does not take. */
    msr(f->x86, 0x174)->value = UINT64_C(1) << 63;
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), -EINVAL);
    assert_int_equal(fake()->regs.rip, 0x1000);
    assert_int_equal(fake_msr(0x174), 0);
}

static void nonsense_does_not_reach_kvm(void **state)
{
    fixture *f = *state;
    vsr_x86_state *x86 = f->x86;
    g_autofree vsr_x86_state *good = g_memdup2(x86, sizeof *x86);
    int calls = fake()->calls;

#define REFUSED(change)                                         \
    do {                                                        \
        *x86 = *good;                                           \
        change;                                                 \
        assert_int_equal(ops->vcpu_set(f->vcpu, x86), -EINVAL); \
    } while (0)
    REFUSED(x86->cr0 = UINT64_C(1) << 31);
    REFUSED(x86->cr0 |= UINT64_C(1) << 40);
    REFUSED(x86->efer = 1 << 10);
    REFUSED(x86->cr8 = 16);
    REFUSED(x86->rflags = UINT64_C(1) << 32);
    REFUSED(x86->dr[7] = UINT64_C(1) << 32);
    REFUSED(x86->dr[6] = UINT64_C(1) << 32);
    REFUSED(x86->n_msrs = VSR_X86_MSRS_MAX + 1);
    REFUSED(x86->xsave_len = VSR_X86_XSAVE_MAX + 1);
    REFUSED(x86->gdt.limit = 0x10000);
    REFUSED(x86->idt.base = UINT64_C(1) << 62);
    REFUSED(x86->mp_state = (vsr_mp_state)9);
    REFUSED((x86->events.exception_pending = true,
             x86->events.exception_vector = 32));
#undef REFUSED
    assert_int_equal(fake()->calls, calls);
}

static void a_freed_vcpu_comes_back_as_new(void **state)
{
    const vsr_cpuid rows = { .n = 0 };
    const vsr_vcpu_config config = { .cpuid = &rows };
    fixture *f = *state;
    int n_open = fake()->n_open;

    assert_null(ops->vcpu_new(f->vm, &config, NULL)); /* it exists */
    f->x86->rip = 0x5555;
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), 0);
    for (int i = 0; i < 3; i++) {
        ops->vcpu_free(f->vcpu);
        f->vcpu = ops->vcpu_new(f->vm, &config, NULL);
        assert_non_null(f->vcpu);
    }
    assert_int_equal(fake()->regs.rip, 0);
    assert_true(fake()->n_open <= n_open + 1);
}

/* --- memory --- */

static vsr_mem_slot pages(uint64_t gpa, uint64_t n)
{
    return (vsr_mem_slot){ .gpa = gpa, .len = n * PAGE, .host = ram };
}

static void slots_are_taken_and_given_back(void **state)
{
    fixture *f = *state;
    vsr_mem_slot slot;

    for (uint64_t i = 0; i < FAKE_SLOTS; i++) {
        slot = pages(i << 20, 1);
        assert_int_equal(ops->mem_add(f->vm, &slot), 0);
    }
    slot = pages(FAKE_SLOTS << 20, 1);
    assert_int_equal(ops->mem_add(f->vm, &slot), -ENOSPC);
    slot = pages(3 << 20, 1);
    assert_int_equal(ops->mem_remove(f->vm, &slot), 0);
    assert_int_equal(fake()->slot[3].memory_size, 0);
    assert_int_equal(ops->mem_remove(f->vm, &slot), -ENOENT);
    slot = pages(4 << 20, 1);
    assert_int_equal(ops->mem_add(f->vm, &slot), -EEXIST);
    slot = pages(9 << 20, 1);
    slot.readonly = true;
    assert_int_equal(ops->mem_add(f->vm, &slot), 0);
    assert_int_equal(fake()->slot[3].flags, KVM_MEM_READONLY);
}

static void slots_that_make_no_sense_are_refused(void **state)
{
    fixture *f = *state;
    vsr_mem_slot bad[] = { pages(1, 1), pages(0, 0), pages(0, 1), pages(0, 1),
                           pages(UINT64_MAX - PAGE + 1, 2) };

    bad[2].len = 100;
    bad[3].host = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_int_equal(ops->mem_add(f->vm, &bad[i]), -EINVAL);
}

static void the_log_is_both_kvms_and_ours(void **state)
{
    fixture *f = *state;
    const vsr_mem_slot slot = pages(0x100000, 64);
    const vsr_mem_slot late = pages(0x200000, 64);
    unsigned long bitmap = 0;

    assert_int_equal(ops->mem_add(f->vm, &slot), 0);
    ops->dirty_mark(f->vm, 0x100000, PAGE); /* nobody asked yet */
    assert_int_equal(ops->dirty_start(f->vm), 0);
    assert_int_equal(ops->mem_add(f->vm, &late), 0);
    assert_int_equal(fake()->slot[0].flags, KVM_MEM_LOG_DIRTY_PAGES);
    assert_int_equal(fake()->slot[1].flags, KVM_MEM_LOG_DIRTY_PAGES);
    fake()->dirty = 1ul << 3 | 1ul << 40;
    ops->dirty_mark(f->vm, 0x100000 + 5 * PAGE - 1, 2);
    ops->dirty_mark(f->vm, 0x100000 + 63 * PAGE, 10 * PAGE); /* past the end */
    ops->dirty_mark(f->vm, 0xff000, 2 * PAGE);               /* from before */
    /* The first eight pages; what is beyond waits. */
    assert_int_equal(ops->dirty_fetch(f->vm, 0x100000, 8 * PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 1ul | 1ul << 3 | 1ul << 4 | 1ul << 5);
    bitmap = 0;
    /* Another origin: bits are relative to it. */
    assert_int_equal(
        ops->dirty_fetch(f->vm, 0x100000 + 8 * PAGE, 56 * PAGE, &bitmap), 0);
    assert_true(bitmap == (1ul << 32 | 1ul << 55));
    bitmap = 0;
    assert_int_equal(ops->dirty_fetch(f->vm, 0x100000, 64 * PAGE, &bitmap), 0);
    assert_int_equal(bitmap, 0);
    assert_int_equal(ops->dirty_fetch(f->vm, 1, PAGE, &bitmap), -EINVAL);
    assert_int_equal(ops->dirty_stop(f->vm), 0);
    assert_int_equal(fake()->slot[0].flags, 0);
}

/* --- clocks --- */

static void clocks_stand_still_in_a_pause(void **state)
{
    fixture *f = *state;
    vsr_engine_clock clock = { 0 };

    fake()->tsc = 1000;
    fake()->tsc_offset = 500;
    fake()->clock.clock = 77;
    assert_int_equal(ops->vm_pause(f->vm), 0);
    fake()->tsc = 900000; /* the host's go on */
    fake()->clock.clock = 999999;
    assert_int_equal(ops->vm_pause(f->vm), 0); /* once is enough */
    assert_int_equal(ops->clock_get(f->vm, &clock), 0);
    assert_int_equal(clock.guest_ns, 77);
    assert_int_equal(ops->vcpu_get(f->vcpu, f->x86), 0);
    assert_int_equal(f->x86->tsc, 1500);
    assert_int_equal(ops->vm_resume(f->vm), 0);
    assert_int_equal(fake()->tsc + fake()->tsc_offset, 1500);
    assert_int_equal(fake()->clock.clock, 77);
    assert_int_equal(fake()->n_clock_ctrl, 1);
    assert_int_equal(ops->vm_resume(f->vm), 0);
    assert_int_equal(fake()->n_clock_ctrl, 1);
}

static void clocks_set_in_a_pause_hold_afterwards(void **state)
{
    fixture *f = *state;
    const vsr_engine_clock clock = { .guest_ns = 123456 };

    assert_int_equal(ops->vm_pause(f->vm), 0);
    f->x86->tsc = 0;
    assert_int_equal(ops->vcpu_set(f->vcpu, f->x86), 0);
    assert_int_equal(ops->clock_set(f->vm, &clock), 0);
    fake()->tsc = UINT64_C(1) << 40;
    assert_int_equal(ops->vm_resume(f->vm), 0);
    assert_int_equal(fake()->tsc + fake()->tsc_offset, 0);
    assert_int_equal(fake()->clock.clock, 123456);
}

/* --- interrupts --- */

static void interrupts_go_out_as_they_came(void **state)
{
    fixture *f = *state;

    assert_int_equal(ops->irq_line(f->vm, 9, true), 0);
    assert_int_equal(fake()->line.irq, 9);
    assert_int_equal(fake()->line.level, 1);
    assert_int_equal(ops->msi(f->vm, UINT64_C(0x1fee01000), 0x4041), 0);
    assert_int_equal(fake()->msi.address_lo, 0xfee01000);
    assert_int_equal(fake()->msi.address_hi, 1);
    assert_int_equal(fake()->msi.data, 0x4041);
    assert_int_equal(ops->irqfd_remove(f->vm, 5, 9), 0);
    assert_int_equal(fake()->irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
    assert_int_equal(ops->doorbell_add(f->vm, 0x10, 2, 7, true, 9), 0);
    assert_int_equal(fake()->doorbell.flags,
                     KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH);
    assert_int_equal(ops->doorbell_add(f->vm, 0x10, 0, 7, false, 9), 0);
    assert_int_equal(fake()->doorbell.flags, 0);
    assert_int_equal(fake()->doorbell.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers_have_their_places),
        TEST(segments_keep_all_their_bits),
        TEST(events_on_their_way_are_kept),
        TEST(mp_states_have_names),
        TEST(msrs_that_are_not_there_are_left_out),
        TEST(a_refused_piece_puts_all_back),
        TEST(nonsense_does_not_reach_kvm),
        TEST(a_freed_vcpu_comes_back_as_new),
        TEST(slots_are_taken_and_given_back),
        TEST(slots_that_make_no_sense_are_refused),
        TEST(the_log_is_both_kvms_and_ours),
        TEST(clocks_stand_still_in_a_pause),
        TEST(clocks_set_in_a_pause_hold_afterwards),
        TEST(interrupts_go_out_as_they_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
