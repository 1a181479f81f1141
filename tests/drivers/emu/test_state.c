/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_state.c: reset, vcpu_get and vcpu_set, start-up, kicks, clocks, CPUID. */
#include "tests/drivers/emu/emu_box.h"

#include <errno.h>

#include "base/loop.h"
#include "drivers/emu/guest_x86_cpuid.h"
#include "drivers/emu/guest_x86_fpstate.h"

static const vsr_engine_ops *const ops = &vsr_emu_engine;

static int set_up(void **state)
{
    *state = emu_box_new(2);
    return 0;
}

static int tear_down(void **state)
{
    emu_box_free(*state);
    return 0;
}

static void get(emu_box *box, vsr_x86_state *out)
{
    assert_int_equal(ops->vcpu_get(box->vcpu[0], out), 0);
}

static void table_is_complete(void **state)
{
    GError *error = NULL;
    vsr_engine_caps caps;

    assert_true(vsr_engine_check(ops, &error));
    assert_null(error);
    assert_true(ops->caps(&caps, &error));
    assert_int_equal(caps.tsc_hz, 1000000000);
    assert_false(caps.lapic);
}

static void reset_state_is_architectural(void **state)
{
    emu_box *box = *state;
    vsr_x86_state s;

    get(box, &s);
    assert_int_equal(s.rip, 0xfff0);
    assert_int_equal(s.seg[VSR_X86_CS].selector, 0xf000);
    assert_int_equal(s.seg[VSR_X86_CS].base, 0xffff0000);
    assert_int_equal(s.seg[VSR_X86_SS].limit, 0xffff);
    assert_int_equal(s.cr0, 0x60000010);
    assert_int_equal(s.rflags, 2);
    assert_int_equal(s.dr[6], 0xffff0ff0);
    assert_int_equal(s.dr[7], 0x400);
    assert_int_equal(s.xcr0, 1);
    assert_int_equal(s.idt.limit, 0xffff);
    assert_int_equal(s.gpr[VSR_X86_RDX] >> 8 & 0xf, 0xf); /* family */
    assert_int_equal(s.mp_state, VSR_MP_RUNNABLE);
    assert_int_equal(s.apic_base, EMU_MSR_APIC_BASE);
    assert_int_equal(s.cr8, 5);
    ops->vcpu_get(box->vcpu[1], &s);
    assert_int_equal(s.mp_state, VSR_MP_WAIT_INIT);
}

static void state_goes_round(void **state)
{
    emu_box *box = *state;
    vsr_x86_state a, b;

    emu_box_long(box, 0);
    get(box, &a);
    for (unsigned i = 0; i < VSR_X86_GPRS; i++)
        a.gpr[i] = UINT64_C(0x0101010101010101) * (i + 1);
    a.rip = UINT64_C(0xffffffff81000000);
    a.rflags = 0x00050ad7;
    a.cr2 = 0x1234;
    a.dr[0] = 0x1000;
    a.dr[7] = 0x00030402;
    a.xcr0 = 3;
    a.seg[VSR_X86_GS].base = UINT64_C(0xffff888000000000);
    a.events.nmi_masked = true;
    a.events.nmi_pending = true;
    a.events.shadow_sti = true;
    a.events.interrupt_injected = true;
    a.events.interrupt_vector = 0x55;
    a.mp_state = VSR_MP_HALTED;
    for (unsigned i = 0; i < a.n_msrs; i++)
        if (a.msrs[i].index == EMU_MSR_LSTAR)
            a.msrs[i].value = UINT64_C(0xffffffff82000000);
    /* XMM3, and bits of the header that say SSE and x87 are in use. */
    memset(a.xsave + 160 + 3 * 16, 0xa5, 16);
    a.xsave[512] = 3;
    assert_int_equal(ops->vcpu_set(box->vcpu[0], &a), 0);
    get(box, &b);

    assert_memory_equal(a.gpr, b.gpr, sizeof a.gpr);
    assert_memory_equal(a.seg, b.seg, sizeof a.seg);
    assert_memory_equal(&a.events, &b.events, sizeof a.events);
    assert_int_equal(a.n_msrs, b.n_msrs);
    assert_memory_equal(a.msrs, b.msrs, a.n_msrs * sizeof a.msrs[0]);
    assert_memory_equal(a.xsave + 160, b.xsave + 160, 256);
    assert_int_equal(b.rip, a.rip);
    assert_int_equal(b.rflags, a.rflags);
    assert_int_equal(b.cr0, a.cr0);
    assert_int_equal(b.cr2, a.cr2);
    assert_int_equal(b.cr3, a.cr3);
    assert_int_equal(b.cr4, a.cr4);
    assert_int_equal(b.efer, a.efer);
    assert_int_equal(b.xcr0, 3);
    assert_int_equal(b.dr[0], 0x1000);
    assert_int_equal(b.dr[7], a.dr[7]);
    assert_int_equal(b.mp_state, VSR_MP_HALTED);
    assert_true(b.tsc >= a.tsc);
    a.tsc += UINT64_C(100000000000);
    assert_int_equal(ops->vcpu_set(box->vcpu[0], &a), 0);
    get(box, &b);
    assert_true(b.tsc >= a.tsc && b.tsc - a.tsc < 1000000000);
}

static void refused(emu_box *box, const vsr_x86_state *bad, const char *what)
{
    vsr_x86_state before, after;

    get(box, &before);
    if (ops->vcpu_set(box->vcpu[0], bad) != -EINVAL)
        fail_msg("%s was taken", what);
    get(box, &after);
    before.tsc = after.tsc;
    assert_memory_equal(&before, &after, sizeof before);
}

static void impossible_states_are_refused_whole(void **state)
{
    emu_box *box = *state;
    vsr_x86_state good, s;

    emu_box_long(box, 0);
    get(box, &good);
    good.gpr[0] = 99;
#define BAD(change)                \
    do {                           \
        s = good;                  \
        change;                    \
        refused(box, &s, #change); \
    } while (0)
    BAD(s.cr0 &= ~(uint64_t)EMU_CR0_PE);
    BAD(s.cr0 |= UINT64_C(1) << 40);
    BAD(s.cr4 |= 1u << 30);
    BAD(s.cr4 &= ~(uint64_t)EMU_CR4_PAE);
    BAD(s.efer &= ~(uint64_t)EMU_EFER_LMA);
    BAD(s.efer |= 1u << 12);
    BAD(s.cr3 = UINT64_C(1) << 50);
    BAD(s.rflags |= UINT64_C(1) << 32);
    BAD(s.rflags |= EMU_VM);
    BAD(s.seg[VSR_X86_CS].attr |= VSR_SEG_DB);
    BAD(s.seg[VSR_X86_CS].attr = 0);
    BAD(s.seg[VSR_X86_FS].base = UINT64_C(1) << 60);
    BAD(s.gdt.limit = 0x10000);
    BAD(s.xcr0 = 2);
    BAD(s.xcr0 = 7);
    BAD(s.n_msrs = VSR_X86_MSRS_MAX + 1);
    BAD(s.msrs[0].index = 0x12345678);
    BAD((s.msrs[0].index = EMU_MSR_LSTAR, s.msrs[0].value = 1ull << 60));
    BAD(s.xsave_len = VSR_X86_XSAVE_MAX + 1);
    BAD(s.xsave_len = 100);
    BAD(s.mp_state = (vsr_mp_state)9);
    BAD(s.dr[7] = UINT64_C(1) << 40);
    BAD((s.events.exception_pending = true, s.events.exception_vector = 77));
#undef BAD
    assert_int_equal(ops->vcpu_set(box->vcpu[0], &good), 0);
}

static void pending_exception_is_delivered_first(void **state)
{
    emu_box *box = *state;
    vsr_x86_state s;

    emu_box_long(box, 0);
    emu_box_code(box, "\x0f\x0b", 2);
    get(box, &s);
    s.events.exception_pending = true;
    s.events.exception_has_error = true;
    s.events.exception_vector = EMU_GP;
    s.events.exception_error = 0x1230;
    assert_int_equal(ops->vcpu_set(box->vcpu[0], &s), 0);
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    assert_int_equal(emu_box_handler(box->cpu[0]), EMU_GP);
    assert_int_equal(box_read(box, box->cpu[0]->regs[VSR_X86_RSP], 8), 0x1230);
}

static void *run_1(void *opaque)
{
    emu_box *box = opaque;

    return GINT_TO_POINTER(ops->vcpu_run(box->vcpu[1]));
}

static void wait_halted(const emu_box *box, unsigned n)
{
    const emu_vcpu *v = (const emu_vcpu *)(const void *)box->vcpu[n];

    while (!atomic_load(&v->halted))
        g_usleep(100);
}

static void init_and_sipi_start_a_processor(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[1];
    pthread_t thread;
    void *reason;

    /* inc byte [0x500]; hlt */
    memcpy(box->ram + 0x7000, "\xfe\x06\x00\x05\xf4", 5);
    pthread_create(&thread, NULL, run_1, box);
    wait_halted(box, 1);
    /* A start-up without INIT before it is lost. */
    ops->vcpu_signal(box->vcpu[1], VSR_SIGNAL_SIPI, 7);
    while (atomic_load(&cpu->exit_request))
        g_usleep(100);
    assert_int_equal(box->ram[0x500], 0);
    ops->vcpu_signal(box->vcpu[1], VSR_SIGNAL_INIT, 0);
    while (atomic_load(&cpu->exit_request))
        g_usleep(100);
    ops->vcpu_signal(box->vcpu[1], VSR_SIGNAL_SIPI, 7);
    for (unsigned i = 0; i < 60000 && !*(volatile uint8_t *)&box->ram[0x500];
         i++)
        g_usleep(1000);
    wait_halted(box, 1);
    ops->vcpu_kick(box->vcpu[1]);
    pthread_join(thread, &reason);
    assert_int_equal(GPOINTER_TO_INT(reason), VSR_RUN_KICKED);
    assert_int_equal(box->ram[0x500], 1);
    assert_int_equal(cpu->seg[VSR_X86_CS].selector, 0x700);
    assert_int_equal(cpu->mp_state, VSR_MP_HALTED);
}

static void early_kick_is_not_lost(void **state)
{
    emu_box *box = *state;
    uint64_t insns;

    emu_box_long(box, 0);
    emu_box_code(box, "\xeb\xfe", 2); /* jmp $ */
    insns = box->cpu[0]->insns;
    ops->vcpu_kick(box->vcpu[0]);
    assert_int_equal(ops->vcpu_run(box->vcpu[0]), VSR_RUN_KICKED);
    assert_int_equal(box->cpu[0]->insns, insns);
}

static void clocks_stop_while_paused(void **state)
{
    emu_box *box = *state;
    vsr_engine_clock a, b;
    uint64_t tsc;
    int64_t resumed;

    assert_int_equal(ops->vm_pause(box->vm), 0);
    ops->clock_get(box->vm, &a);
    tsc = emu_rdtsc(box->cpu[0]);
    g_usleep(3000);
    ops->clock_get(box->vm, &b);
    assert_int_equal(a.guest_ns, b.guest_ns);
    assert_int_equal(emu_rdtsc(box->cpu[0]), tsc);
    assert_true(b.realtime_ns > a.realtime_ns);
    resumed = vsr_now_ns();
    assert_int_equal(ops->vm_resume(box->vm), 0);
    ops->clock_get(box->vm, &b);
    assert_in_range(b.guest_ns - a.guest_ns, 0, vsr_now_ns() - resumed);
    g_usleep(2000);
    ops->clock_get(box->vm, &a);
    assert_true(a.guest_ns - b.guest_ns >= 2000000);
    assert_true(emu_rdtsc(box->cpu[0]) - tsc >= 2000000);
}

static void clock_page_follows_the_clock(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    vsr_engine_clock clock = { .guest_ns = UINT64_C(5000000000) };
    uint64_t difference, version;

    emu_box_long(box, 0);
    /* wrmsr; hlt */
    emu_box_code(box, "\x0f\x30\xf4", 3);
    cpu->regs[VSR_X86_RCX] = EMU_MSR_KVM_TIME;
    cpu->regs[VSR_X86_RAX] = BOX_DATA | 1;
    cpu->regs[VSR_X86_RDX] = 0;
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    version = box_read(box, BOX_DATA, 4);
    assert_int_equal(version & 1, 0);
    assert_true(version > 0);
    assert_int_equal(box_read(box, BOX_DATA + 24, 4), 0x80000000);
    assert_int_equal(box_read(box, BOX_DATA + 28, 1), 1);
    assert_int_equal(box_read(box, BOX_DATA + 29, 1), 1);
    assert_int_equal(box_read(box, BOX_DATA + 8, 8),
                     box_read(box, BOX_DATA + 16, 8));

    ops->vm_pause(box->vm);
    ops->clock_set(box->vm, &clock);
    cpu->mp_state = VSR_MP_HALTED;
    assert_int_equal(emu_box_run(box, 0), VSR_RUN_KICKED);
    assert_true(box_read(box, BOX_DATA, 4) > version);
    difference =
        box_read(box, BOX_DATA + 16, 8) - box_read(box, BOX_DATA + 8, 8);
    assert_int_equal(emu_rdtsc(cpu) + difference, clock.guest_ns);
}

static void cpuid_shows_only_what_was_given(void **state)
{
    emu_box *box = *state;
    emu_cpu *cpu = box->cpu[0];
    uint32_t out[4];

    emu_cpuid(cpu, 0, 0, out);
    assert_memory_equal(&out[EMU_EBX], "Auth", 4);
    emu_cpuid(cpu, EMU_KVM_LEAF, 0, out);
    assert_memory_equal(&out[EMU_EBX], "KVMK", 4);
    emu_cpuid(cpu, 0x12345, 0, out);
    assert_int_equal(out[EMU_EAX] | out[EMU_EBX], 0);
    /* OSXSAVE is the guest's own. */
    assert_false(emu_cpuid_has(cpu, 1, EMU_ECX, 27));
    cpu->cr4 |= EMU_CR4_OSXSAVE;
    emu_cpuid(cpu, 1, 0, out);
    assert_true(out[EMU_ECX] & 1u << 27);
    cpu->cpuid.n = 1;
    emu_cpuid(cpu, 1, 0, out);
    assert_int_equal(out[EMU_EDX], 0);
}

static void vcpus_are_made_once(void **state)
{
    emu_box *box = *state;
    vsr_cpuid cpuid = { 0 };
    vsr_vcpu_config config = { .index = 1, .cpuid = &cpuid };
    g_autoptr(GError) error = NULL;

    assert_null(ops->vcpu_new(box->vm, &config, &error));
    assert_non_null(error);
    config.index = 2;
    assert_null(ops->vcpu_new(box->vm, &config, NULL));
    ops->vcpu_free(box->vcpu[1]);
    config.index = 1;
    box->vcpu[1] = ops->vcpu_new(box->vm, &config, NULL);
    assert_non_null(box->vcpu[1]);
}

static void vm_limits_its_vcpus(void **state)
{
    vsr_vm_config config = { .vcpus = 0 };
    vsr_engine_events events = { 0 };

    assert_null(ops->vm_new(&config, &events, NULL, NULL));
    config.vcpus = EMU_VCPUS_MAX + 1;
    assert_null(ops->vm_new(&config, &events, NULL, NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(table_is_complete),
        TEST(reset_state_is_architectural),
        TEST(state_goes_round),
        TEST(impossible_states_are_refused_whole),
        TEST(pending_exception_is_delivered_first),
        TEST(init_and_sipi_start_a_processor),
        TEST(early_kick_is_not_lost),
        TEST(clocks_stop_while_paused),
        TEST(clock_page_follows_the_clock),
        TEST(cpuid_shows_only_what_was_given),
        TEST(vcpus_are_made_once),
        TEST(vm_limits_its_vcpus),
    };
#undef TEST

    return cmocka_run_group_tests_name("emu state", tests, NULL, NULL);
}
