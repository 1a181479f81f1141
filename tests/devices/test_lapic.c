/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/irqchip/lapic.h"

#include <errno.h>

#include "machine/irq.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

#define PAGE UINT64_C(0xfee00000)
#define MS   INT64_C(1000000)

enum {
    TPR = 0x80,
    PPR = 0xa0,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR2 = 0x310,
    LVT_TIMER = 0x320,
    LVT_LINT0 = 0x350,
    LVT_LINT1 = 0x360,
    LVT_ERROR = 0x370,
    TIMER_INIT = 0x380,
    TIMER_NOW = 0x390,
    TIMER_DIV = 0x3e0,

    MSR_BASE = 0x1b,
    MSR_DEADLINE = 0x6e0,
    X2 = 0x800,
};

typedef struct {
    vsr_machine *machine;
    vsr_device *lapic;
} fixture;

static uint32_t rd(fixture *f, uint32_t vcpu, uint32_t reg)
{
    return (uint32_t)fake_mmio_read(f->machine, vcpu, PAGE + reg, 4);
}

static void wr(fixture *f, uint32_t vcpu, uint32_t reg, uint32_t value)
{
    fake_mmio_write(f->machine, vcpu, PAGE + reg, 4, value);
}

static int setup(void **state)
{
    const vsr_lapic_params params = { .vcpus = 4 };
    fixture *f = g_new0(fixture, 1);

    f->machine = fake_machine_new(4);
    if (f->machine == NULL)
        return 1;
    f->lapic =
        vsr_device_new(f->machine, &vsr_lapic_class, "lapic", &params, NULL);
    *state = f;
    if (f->lapic == NULL)
        return 1;
    for (uint32_t i = 0; i < 4; i++)
        wr(f, i, SVR, 0x1ff);
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_machine_free(f->machine);
    g_free(f);
    return 0;
}

static void x2_on(fixture *f, uint32_t vcpu)
{
    uint64_t base;

    assert_true(fake_rdmsr(f->machine, vcpu, MSR_BASE, &base));
    assert_true(fake_wrmsr(f->machine, vcpu, MSR_BASE, base | 0x400));
}

static int msi(fixture *f, uint32_t dest, bool logical, uint32_t data)
{
    return vsr_irq_msi(f->machine->irqs, PAGE | dest << 12 | (logical ? 4u : 0),
                       data);
}

typedef struct {
    fixture *f;
    uint32_t vcpu;
} intr_wait;

static bool has_intr(void *opaque)
{
    intr_wait *w = opaque;

    return fake_intr(w->f->machine, w->vcpu);
}

static bool wait_intr(fixture *f, uint32_t vcpu)
{
    intr_wait w = { f, vcpu };

    return fake_wait_until(has_intr, &w);
}

/* --- delivery and priority --- */

static void reset_state_is_the_manuals(void **state)
{
    fixture *f = *state;
    uint64_t base;

    assert_int_equal(rd(f, 2, 0x20), 2u << 24);
    assert_int_equal(rd(f, 0, 0x30), 0x00050014);
    assert_int_equal(rd(f, 0, DFR), 0xffffffff);
    assert_int_equal(rd(f, 1, LVT_TIMER), 0x10000);
    assert_true(fake_rdmsr(f->machine, 0, MSR_BASE, &base));
    assert_int_equal(base, 0xfee00900);
    assert_true(fake_rdmsr(f->machine, 1, MSR_BASE, &base));
    assert_int_equal(base, 0xfee00800);
}

static void an_interrupt_is_taken_and_ended(void **state)
{
    fixture *f = *state;

    assert_int_equal(msi(f, 1, false, 0x41), 0);
    assert_true(fake_intr(f->machine, 1));
    assert_false(fake_intr(f->machine, 0));
    assert_int_equal(rd(f, 1, IRR + 0x20), 2);
    assert_int_equal(fake_intr_ack(f->machine, 1), 0x41);
    assert_false(fake_intr(f->machine, 1));
    assert_int_equal(rd(f, 1, IRR + 0x20), 0);
    assert_int_equal(rd(f, 1, ISR + 0x20), 2);
    assert_int_equal(rd(f, 1, PPR), 0x40);
    assert_int_equal(fake_intr_ack(f->machine, 1), -1);
    wr(f, 1, EOI, 0);
    assert_int_equal(rd(f, 1, ISR + 0x20), 0);
}

static void higher_classes_interrupt_lower_ones(void **state)
{
    fixture *f = *state;

    assert_int_equal(msi(f, 0, false, 0x55), 0);
    assert_int_equal(fake_intr_ack(f->machine, 0), 0x55);
    assert_int_equal(msi(f, 0, false, 0x5f), 0); /* the same class: waits */
    assert_false(fake_intr(f->machine, 0));
    assert_int_equal(msi(f, 0, false, 0x61), 0);
    assert_true(fake_intr(f->machine, 0));
    assert_int_equal(fake_intr_ack(f->machine, 0), 0x61);
    wr(f, 0, EOI, 0);
    assert_false(fake_intr(f->machine, 0)); /* 0x55 is still in service */
    wr(f, 0, EOI, 0);
    assert_true(fake_intr(f->machine, 0));
    assert_int_equal(fake_intr_ack(f->machine, 0), 0x5f);
}

static void task_priority_holds_interrupts_back(void **state)
{
    fixture *f = *state;
    const vsr_engine_events *up = f->machine->vm->events;

    wr(f, 0, TPR, 0x40);
    assert_int_equal(up->cr8_get(f->machine, 0), 4);
    assert_int_equal(msi(f, 0, false, 0x4f), 0);
    assert_false(fake_intr(f->machine, 0));
    assert_int_equal(fake_intr_ack(f->machine, 0), -1);
    up->cr8_set(f->machine, 0, 3);
    assert_true(fake_intr(f->machine, 0));
    assert_int_equal(rd(f, 0, TPR), 0x30);
    up->cr8_set(f->machine, 0, 15);
    assert_false(fake_intr(f->machine, 0));
}

static void software_disabled_takes_no_fixed_interrupt(void **state)
{
    fixture *f = *state;

    wr(f, 1, SVR, 0xff);
    assert_int_equal(msi(f, 1, false, 0x41), -ENODEV);
    wr(f, 1, LVT_TIMER, 0x20);
    assert_int_equal(rd(f, 1, LVT_TIMER), 0x10020); /* stays masked */
    assert_int_equal(msi(f, 1, false, 0x400), 0);   /* an NMI it takes */
    assert_int_equal(fake_vcpu_of(f->machine, 1)->n_nmi, 1);
}

static void bad_vectors_are_errors(void **state)
{
    fixture *f = *state;

    wr(f, 0, LVT_ERROR, 0xfe);
    assert_int_equal(msi(f, 0, false, 0x05), 0);
    assert_int_equal(fake_intr_ack(f->machine, 0), 0xfe);
    assert_int_equal(rd(f, 0, ESR), 0); /* not before a write */
    wr(f, 0, ESR, 0);
    assert_int_equal(rd(f, 0, ESR), 0x40);
    wr(f, 0, ESR, 0);
    assert_int_equal(rd(f, 0, ESR), 0);
    wr(f, 0, ICR, 0x40000 | 0x03);
    wr(f, 0, ESR, 0);
    assert_int_equal(rd(f, 0, ESR) & 0x20, 0x20);
    (void)rd(f, 0, 0x50); /* no such register */
    wr(f, 0, ESR, 0);
    assert_int_equal(rd(f, 0, ESR) & 0x80, 0x80);
}

static void hostile_accesses_do_nothing(void **state)
{
    fixture *f = *state;

    for (uint32_t off = 0; off < 0x1000; off++)
        for (uint32_t size = 1; size <= 8; size *= 2) {
            if (off / 16 * 16 == ICR)
                continue;
            fake_mmio_write(f->machine, 0, PAGE + off, size, UINT64_MAX);
            (void)fake_mmio_read(f->machine, 0, PAGE + off, size);
        }
    (void)fake_mmio_read(f->machine, 77, PAGE, 4);
    fake_mmio_write(f->machine, 77, PAGE + EOI, 4, 0);
    assert_int_equal(msi(f, 200, false, 0x41), -ENODEV);
    assert_int_equal(vsr_irq_msi(f->machine->irqs, 0x1234, 0x41), -EINVAL);
}

/* --- destinations --- */

static void expect_only(fixture *f, unsigned set)
{
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(fake_intr(f->machine, i), set >> i & 1);
        if (set >> i & 1) {
            assert_int_equal(fake_intr_ack(f->machine, i), 0x91);
            wr(f, i, EOI, 0);
        }
    }
}

static void ipis_reach_whom_they_name(void **state)
{
    fixture *f = *state;

    wr(f, 0, ICR2, 2u << 24);
    wr(f, 0, ICR, 0x91);
    expect_only(f, 1 << 2);
    wr(f, 0, ICR2, 0xffu << 24);
    wr(f, 0, ICR, 0x91);
    expect_only(f, 0xf);
    wr(f, 1, ICR, 0x40000 | 0x91); /* self */
    expect_only(f, 1 << 1);
    wr(f, 1, ICR, 0x80000 | 0x91); /* all */
    expect_only(f, 0xf);
    wr(f, 1, ICR, 0xc0000 | 0x91); /* all others */
    expect_only(f, 0xd);
    assert_int_equal(rd(f, 1, ICR) & 0x1000, 0); /* sent */
}

static void logical_destinations_are_flat_or_clusters(void **state)
{
    fixture *f = *state;

    for (uint32_t i = 0; i < 4; i++)
        wr(f, i, LDR, (1u << i) << 24);
    wr(f, 0, ICR2, 0x0au << 24);
    wr(f, 0, ICR, 0x800 | 0x91);
    expect_only(f, 0xa);
    assert_int_equal(msi(f, 0x05, true, 0x91), 0);
    expect_only(f, 0x5);
    for (uint32_t i = 0; i < 4; i++) {
        wr(f, i, DFR, 0x0fffffff);
        wr(f, i, LDR, ((i / 2) << 4 | 1u << i % 2) << 24);
    }
    assert_int_equal(msi(f, 0x13, true, 0x91), 0);
    expect_only(f, 0xc);
    assert_int_equal(msi(f, 0x02, true, 0x91), 0);
    expect_only(f, 0x2);
    assert_int_equal(msi(f, 0x24, true, 0x91), -ENODEV);
}

static void lowest_priority_goes_to_one(void **state)
{
    fixture *f = *state;

    for (uint32_t i = 0; i < 4; i++) {
        wr(f, i, LDR, (1u << i) << 24);
        wr(f, i, TPR, i == 2 ? 0x10 : 0x30);
    }
    assert_int_equal(msi(f, 0x0f, true, 0x191), 0);
    expect_only(f, 1 << 2);
    assert_int_equal(msi(f, 0x0b, true, 0x191), 0);
    expect_only(f, 1 << 0);
}

static void init_and_startup_reach_the_vcpu(void **state)
{
    fixture *f = *state;

    assert_int_equal(msi(f, 1, false, 0x41), 0);
    wr(f, 0, ICR2, 1u << 24);
    wr(f, 0, ICR, 0xc500); /* INIT, assert */
    assert_int_equal(fake_vcpu_of(f->machine, 1)->n_init, 1);
    wr(f, 0, ICR, 0x8500); /* de-assert: nothing */
    assert_int_equal(fake_vcpu_of(f->machine, 1)->n_init, 1);
    assert_false(fake_intr(f->machine, 1)); /* its APIC was reset */
    assert_int_equal(rd(f, 1, SVR), 0xff);
    wr(f, 0, ICR, 0x4600 | 0x99);
    assert_int_equal(fake_vcpu_of(f->machine, 1)->n_sipi, 1);
    assert_int_equal(fake_vcpu_of(f->machine, 1)->sipi_vector, 0x99);
    wr(f, 0, ICR, 0x4400); /* NMI */
    assert_int_equal(fake_vcpu_of(f->machine, 1)->n_nmi, 1);
    assert_int_equal(fake_vcpu_of(f->machine, 2)->n_init, 0);
}

/* --- x2APIC and APIC_BASE --- */

static void x2apic_registers_are_msrs(void **state)
{
    fixture *f = *state;
    vsr_machine *m = f->machine;
    uint64_t v;

    assert_false(fake_rdmsr(m, 3, X2 + 2, &v)); /* not in this mode */
    x2_on(f, 3);
    assert_true(fake_rdmsr(m, 3, X2 + 2, &v));
    assert_int_equal(v, 3);
    assert_true(fake_rdmsr(m, 3, X2 + 0xd, &v));
    assert_int_equal(v, 1 << 3);
    assert_int_equal(rd(f, 3, 0x20), 0xffffffff);   /* the page is gone */
    assert_true(fake_wrmsr(m, 3, X2 + 0x3f, 0x91)); /* self IPI */
    assert_int_equal(fake_intr_ack(m, 3), 0x91);
    assert_true(fake_wrmsr(m, 3, X2 + 0xb, 0));
    assert_true(fake_rdmsr(m, 3, X2 + 0x14, &v));
    assert_int_equal(v, 0);
    /* To a vCPU in the other mode, and with the logical id. */
    assert_true(fake_wrmsr(m, 3, X2 + 0x30, UINT64_C(1) << 32 | 0x91));
    assert_int_equal(fake_intr_ack(m, 1), 0x91);
    assert_true(fake_wrmsr(m, 3, X2 + 0x30, UINT64_C(8) << 32 | 0x891));
    assert_int_equal(fake_intr_ack(m, 3), 0x91);
    assert_true(fake_rdmsr(m, 3, X2 + 0x30, &v));
    assert_true(v == (UINT64_C(8) << 32 | 0x891));
}

static void x2apic_faults_where_the_manual_says(void **state)
{
    fixture *f = *state;
    vsr_machine *m = f->machine;
    uint64_t v;

    x2_on(f, 0);
    assert_false(fake_wrmsr(m, 0, X2 + 2, 0));     /* read-only */
    assert_false(fake_wrmsr(m, 0, X2 + 0xd, 1));   /* LDR too */
    assert_false(fake_rdmsr(m, 0, X2 + 0xb, &v));  /* write-only */
    assert_false(fake_rdmsr(m, 0, X2 + 0x3f, &v)); /* likewise */
    assert_false(fake_rdmsr(m, 0, X2 + 0xe, &v));  /* no DFR */
    assert_false(fake_rdmsr(m, 0, X2 + 0x31, &v)); /* no second half */
    assert_false(fake_wrmsr(m, 0, X2 + 0xb, 1));   /* EOI takes 0 only */
    assert_false(fake_wrmsr(m, 0, X2 + 0x28, 1));  /* ESR likewise */
    assert_false(fake_wrmsr(m, 0, X2 + 8, 0x100)); /* reserved bits */
    assert_false(fake_wrmsr(m, 0, X2 + 0x30, 1u << 20));
    assert_false(fake_wrmsr(m, 0, X2 + 0x32, 1u << 20));
    assert_false(fake_wrmsr(m, 0, X2 + 0x38, UINT64_C(1) << 32));
    assert_false(fake_rdmsr(m, 0, X2 + 0x60, &v));
    assert_false(fake_rdmsr(m, 0, 0x10, &v)); /* none of ours */
}

static void mode_changes_follow_the_state_diagram(void **state)
{
    fixture *f = *state;
    vsr_machine *m = f->machine;
    uint64_t v;

    assert_false(fake_wrmsr(m, 1, MSR_BASE, 0xfee00400)); /* invalid */
    assert_false(fake_wrmsr(m, 1, MSR_BASE, 0xfee00801)); /* reserved */
    assert_false(fake_wrmsr(m, 1, MSR_BASE, UINT64_C(1) << 45 | 0xfee00800));
    assert_true(fake_wrmsr(m, 1, MSR_BASE, 0xfee00c00));
    assert_false(fake_wrmsr(m, 1, MSR_BASE, 0xfee00800)); /* not back */
    assert_true(fake_wrmsr(m, 1, MSR_BASE, 0xfee00000));  /* but off */
    assert_false(fake_wrmsr(m, 1, MSR_BASE, 0xfee00c00)); /* not straight */
    assert_int_equal(rd(f, 1, 0x20), 0xffffffff);
    assert_true(fake_wrmsr(m, 1, MSR_BASE, 0xfee00800));
    assert_int_equal(rd(f, 1, SVR), 0xff); /* as after a reset */
    assert_true(fake_rdmsr(m, 1, MSR_BASE, &v));
    assert_int_equal(v, 0xfee00800);
}

static uint32_t rd_at(fixture *f, uint32_t vcpu, uint64_t gpa)
{
    return (uint32_t)fake_mmio_read(f->machine, vcpu, gpa, 4);
}

static void the_page_moves_with_its_base(void **state)
{
    const uint64_t other = UINT64_C(0xfed40000), version = 0x00050014;
    fixture *f = *state;
    vsr_machine *m = f->machine;

    assert_int_equal(rd_at(f, 1, other + 0x30), 0xffffffff);
    assert_true(fake_wrmsr(m, 1, MSR_BASE, other | 0x800));
    assert_int_equal(rd_at(f, 1, other + 0x30), version);
    assert_int_equal(rd(f, 1, 0x30), 0xffffffff);
    /* Everyone's own base counts. */
    assert_int_equal(rd_at(f, 0, other + 0x30), 0xffffffff);
    assert_int_equal(rd(f, 0, 0x30), version);
    assert_true(fake_wrmsr(m, 0, MSR_BASE, other | 0x900));
    assert_int_equal(rd_at(f, 0, other + 0x30), version);
    assert_true(fake_wrmsr(m, 1, MSR_BASE, 0xfee00800));
    assert_int_equal(rd(f, 1, 0x30), version);
    assert_int_equal(rd_at(f, 1, other + 0x30), 0xffffffff);
    assert_int_equal(rd_at(f, 0, other + 0x30), version);
    f->lapic->class->reset(f->lapic);
    assert_int_equal(rd_at(f, 0, other + 0x30), 0xffffffff);
    assert_int_equal(rd(f, 0, 0x30), version);
    assert_true(fake_wrmsr(m, 2, MSR_BASE, other | 0x800));
    assert_int_equal(rd_at(f, 2, other + 0x30), version);
}

/* --- timer --- */

static void one_shot_fires_once(void **state)
{
    fixture *f = *state;
    int64_t start, left;

    vsr_machine_run(f->machine);
    wr(f, 0, TIMER_DIV, 0xb); /* by 1 */
    wr(f, 0, LVT_TIMER, 0xe0);
    start = vsr_now_ns();
    wr(f, 0, TIMER_INIT, 3000000);
    left = rd(f, 0, TIMER_NOW);
    assert_in_range(left, MAX(3000000 - (vsr_now_ns() - start), 0), 3000000);
    assert_true(wait_intr(f, 0));
    assert_true(vsr_now_ns() - start >= 3 * MS);
    assert_int_equal(fake_intr_ack(f->machine, 0), 0xe0);
    wr(f, 0, EOI, 0);
    assert_int_equal(rd(f, 0, TIMER_NOW), 0);
    g_usleep(5000);
    assert_false(fake_intr(f->machine, 0));
}

/* Whoever reads that the count is over finds the interrupt there already, and
 * nothing that a change of mode could start again. */
static void a_count_that_is_read_as_over_is_over(void **state)
{
    fixture *f = *state;

    vsr_machine_run(f->machine);
    wr(f, 0, TIMER_DIV, 0xb);
    for (int i = 0; i < 200; i++) {
        wr(f, 0, LVT_TIMER, 0xe0);
        wr(f, 0, TIMER_INIT, 2000);
        while (rd(f, 0, TIMER_NOW) != 0)
            ;
        assert_true(fake_intr(f->machine, 0));
        wr(f, 0, LVT_TIMER, 0x20000 | 0xe0);
        assert_int_equal(rd(f, 0, TIMER_NOW), 0);
        assert_int_equal(fake_intr_ack(f->machine, 0), 0xe0);
        wr(f, 0, EOI, 0);
    }
}

static void periodic_fires_again_and_again(void **state)
{
    fixture *f = *state;
    int64_t start;

    vsr_machine_run(f->machine);
    wr(f, 1, TIMER_DIV, 0); /* by 2 */
    wr(f, 1, LVT_TIMER, 0x20000 | 0xe1);
    start = vsr_now_ns();
    wr(f, 1, TIMER_INIT, 500000); /* 1 ms */
    for (int i = 0; i < 5; i++) {
        assert_true(wait_intr(f, 1));
        assert_int_equal(fake_intr_ack(f->machine, 1), 0xe1);
        wr(f, 1, EOI, 0);
        assert_in_range(rd(f, 1, TIMER_NOW), 1, 500000);
    }
    assert_true(vsr_now_ns() - start >= 5 * MS);
    wr(f, 1, TIMER_INIT, 0);
    g_usleep(2000);
    if (fake_intr(f->machine, 1)) { /* one may have been on its way */
        (void)fake_intr_ack(f->machine, 1);
        wr(f, 1, EOI, 0);
    }
    g_usleep(3000);
    assert_false(fake_intr(f->machine, 1));
}

static void the_shortest_period_does_not_eat_the_loop(void **state)
{
    fixture *f = *state;

    vsr_machine_run(f->machine);
    wr(f, 0, TIMER_DIV, 0xb);
    wr(f, 0, LVT_TIMER, 0x20000 | 0xe1);
    wr(f, 0, TIMER_INIT, 1);
    assert_true(wait_intr(f, 0));
    /* Others on the loop get their turn. */
    wr(f, 1, LVT_TIMER, 0xe2);
    wr(f, 1, TIMER_INIT, 1000);
    assert_true(wait_intr(f, 1));
}

static void deadline_compares_with_the_tsc(void **state)
{
    fixture *f = *state;
    vsr_machine *m = f->machine;
    uint64_t tsc, v;

    vsr_machine_run(m);
    tsc = vsr_machine_tsc(m, 0);
    assert_true(fake_wrmsr(m, 0, MSR_DEADLINE, tsc + 100));
    assert_true(fake_rdmsr(m, 0, MSR_DEADLINE, &v));
    assert_int_equal(v, 0); /* not in this mode */
    wr(f, 0, LVT_TIMER, 0x40000 | 0xee);
    tsc = vsr_machine_tsc(m, 0) + (UINT64_C(1) << 42); /* more than an hour */
    assert_true(fake_wrmsr(m, 0, MSR_DEADLINE, tsc));
    assert_true(fake_rdmsr(m, 0, MSR_DEADLINE, &v));
    assert_true(v == tsc);
    assert_int_equal(rd(f, 0, TIMER_NOW), 0);
    tsc = vsr_machine_tsc(m, 0) + 3000000;
    assert_true(fake_wrmsr(m, 0, MSR_DEADLINE, tsc));
    assert_true(wait_intr(f, 0));
    assert_true(vsr_machine_tsc(m, 0) >= tsc);
    assert_int_equal(fake_intr_ack(m, 0), 0xee);
    wr(f, 0, EOI, 0);
    assert_true(fake_rdmsr(m, 0, MSR_DEADLINE, &v));
    assert_int_equal(v, 0);
    assert_true(fake_wrmsr(m, 0, MSR_DEADLINE, 1)); /* long ago: at once */
    assert_true(fake_intr(m, 0));
    assert_int_equal(fake_intr_ack(m, 0), 0xee);
    wr(f, 0, EOI, 0);
    for (;;) {
        tsc = vsr_machine_tsc(m, 0) + 2000000;
        assert_true(fake_wrmsr(m, 0, MSR_DEADLINE, tsc));
        assert_true(fake_wrmsr(m, 0, MSR_DEADLINE, 0)); /* disarmed */
        if (vsr_machine_tsc(m, 0) < tsc)
            break;
        if (fake_intr(m, 0)) { /* too late */
            assert_int_equal(fake_intr_ack(m, 0), 0xee);
            wr(f, 0, EOI, 0);
        }
    }
    g_usleep(5000);
    assert_false(fake_intr(m, 0));
    assert_true(fake_wrmsr(m, 0, MSR_DEADLINE, UINT64_MAX));
    wr(f, 0, LVT_TIMER, 0xee); /* leaving the mode disarms */
    assert_true(fake_rdmsr(m, 0, MSR_DEADLINE, &v));
    assert_int_equal(v, 0);
}

/* Both have 60 ms left when it pauses, but for what is returned: how long it
 * still ran. */
static int64_t arm_both_and_pause(fixture *f)
{
    vsr_machine *m = f->machine;
    int64_t start;

    vsr_machine_run(m);
    wr(f, 0, TIMER_DIV, 0xb);
    wr(f, 0, LVT_TIMER, 0xe0);
    wr(f, 1, LVT_TIMER, 0x40000 | 0xe1);
    start = vsr_now_ns();
    wr(f, 0, TIMER_INIT, 60000000);
    assert_true(
        fake_wrmsr(m, 1, MSR_DEADLINE, vsr_machine_tsc(m, 1) + 60000000));
    vsr_machine_pause(m);
    return vsr_now_ns() - start;
}

static void timers_stand_still_with_the_machine(void **state)
{
    fixture *f = *state;
    vsr_machine *m = f->machine;
    int64_t ran, left;
    bool early;

    /* Until it paused in time. */
    while ((ran = arm_both_and_pause(f)) > 30000000)
        for (uint32_t i = 0; i < 2; i++)
            if (fake_intr(m, i)) {
                (void)fake_intr_ack(m, i);
                wr(f, i, EOI, 0);
            }
    g_usleep(80000);
    assert_false(fake_intr(m, 0));
    assert_false(fake_intr(m, 1));
    ran -= vsr_now_ns();
    vsr_machine_run(m);
    left = rd(f, 0, TIMER_NOW);
    early = fake_intr(m, 1);
    ran += vsr_now_ns();
    assert_in_range(left, MAX(60000000 - ran, 0), 60000000);
    assert_true(!early || ran >= 60000000);
    assert_true(wait_intr(f, 0));
    assert_true(wait_intr(f, 1));
}

static void a_masked_timer_is_silent(void **state)
{
    fixture *f = *state;

    vsr_machine_run(f->machine);
    wr(f, 0, LVT_TIMER, 0x10000 | 0xe0);
    wr(f, 0, TIMER_INIT, 1000);
    g_usleep(3000);
    assert_false(fake_intr(f->machine, 0));
    wr(f, 0, LVT_TIMER, 0xe0); /* what was missed is gone */
    g_usleep(1000);
    assert_false(fake_intr(f->machine, 0));
}

/* --- local pins, EOI --- */

static int pic_ack(void *opaque)
{
    fixture *f = opaque;

    vsr_lapic_lint0(f->lapic, false);
    return 0x30;
}

static void lint0_lets_the_pic_through(void **state)
{
    fixture *f = *state;

    vsr_lapic_set_pic(f->lapic, pic_ack, f);
    vsr_lapic_lint0(f->lapic, true); /* SVR was off once: LINT0 is masked */
    wr(f, 0, LVT_LINT0, 0x700);
    assert_true(fake_intr(f->machine, 0));
    wr(f, 0, TPR, 0xff); /* ExtINT does not care */
    assert_true(fake_intr(f->machine, 0));
    assert_int_equal(fake_intr_ack(f->machine, 0), 0x30);
    assert_false(fake_intr(f->machine, 0));
    assert_int_equal(rd(f, 0, ISR + 0x10), 0);
    wr(f, 0, LVT_LINT0, 0x10700);
    vsr_lapic_lint0(f->lapic, true);
    assert_false(fake_intr(f->machine, 0));
    assert_true(fake_wrmsr(f->machine, 0, MSR_BASE, 0xfee00100)); /* APIC off */
    assert_true(fake_intr(f->machine, 0));
}

static void lint0_as_a_fixed_interrupt_is_an_edge(void **state)
{
    fixture *f = *state;

    wr(f, 0, LVT_LINT0, 0x41);
    vsr_lapic_lint0(f->lapic, true);
    vsr_lapic_lint0(f->lapic, true);
    assert_int_equal(fake_intr_ack(f->machine, 0), 0x41);
    wr(f, 0, EOI, 0);
    assert_false(fake_intr(f->machine, 0));
    vsr_lapic_lint0(f->lapic, false);
    vsr_lapic_lint0(f->lapic, true);
    assert_int_equal(fake_intr_ack(f->machine, 0), 0x41);
}

static void lint1_is_an_nmi(void **state)
{
    fixture *f = *state;

    wr(f, 1, LVT_LINT1, 0x400);
    wr(f, 0, LVT_LINT1, 0x10400);
    vsr_lapic_lint1(f->lapic);
    assert_int_equal(fake_vcpu_of(f->machine, 1)->n_nmi, 1);
    assert_int_equal(fake_vcpu_of(f->machine, 0)->n_nmi, 0);
}

typedef struct {
    unsigned n;
    uint8_t vector;
} eoi_record;

static void on_eoi(void *opaque, uint8_t vector)
{
    eoi_record *record = opaque;

    record->n++;
    record->vector = vector;
}

static void the_end_of_a_level_is_told(void **state)
{
    fixture *f = *state;
    eoi_record record = { 0 };

    vsr_lapic_set_eoi(f->lapic, on_eoi, &record);
    assert_int_equal(msi(f, 0, false, 0xc000 | 0x51), 0);
    assert_int_equal(fake_intr_ack(f->machine, 0), 0x51);
    assert_int_equal(rd(f, 0, TMR + 0x20), 1u << 17);
    wr(f, 0, EOI, 0);
    assert_int_equal(record.n, 1);
    assert_int_equal(record.vector, 0x51);
    assert_int_equal(msi(f, 0, false, 0x51), 0); /* now as an edge */
    assert_int_equal(fake_intr_ack(f->machine, 0), 0x51);
    wr(f, 0, EOI, 0);
    wr(f, 0, EOI, 0); /* nothing in service */
    assert_int_equal(record.n, 1);
}

static void device_reset_forgets_everything(void **state)
{
    fixture *f = *state;

    x2_on(f, 1);
    assert_int_equal(msi(f, 0, false, 0x41), 0);
    assert_true(vsr_machine_reset(f->machine, NULL));
    assert_false(fake_intr(f->machine, 0));
    assert_int_equal(rd(f, 1, 0x20), 1u << 24);
    assert_int_equal(rd(f, 0, SVR), 0xff);
}

/* --- races --- */

typedef struct {
    fixture *f;
    uint32_t vcpu;
    gint stop;
} sender;

static void *send_ipis(void *opaque)
{
    sender *s = opaque;

    for (int i = 0; i < 3000; i++) {
        wr(s->f, s->vcpu, ICR2, ((s->vcpu + 1) % 2) << 24);
        wr(s->f, s->vcpu, ICR, 0x40 + s->vcpu * 0x10);
        wr(s->f, s->vcpu, ICR, 0xc0000 | 0x90);
        while (fake_intr(s->f->machine, s->vcpu)) {
            int vector = fake_intr_ack(s->f->machine, s->vcpu);

            if (vector >= 0)
                wr(s->f, s->vcpu, EOI, 0);
        }
    }
    return NULL;
}

/* A processor that is not there hears of nothing, and starts anew. */
static void one_that_is_not_in_use_takes_nothing(void **state)
{
    fixture *f = *state;
    fake_vcpu *other = fake_vcpu_of(f->machine, 2);
    uint64_t base;

    assert_int_equal(msi(f, 2, false, 0x41), 0);
    assert_true(fake_intr(f->machine, 2));
    vsr_lapic_set_used(f->lapic, 2, false);
    assert_false(fake_intr(f->machine, 2));
    vsr_lapic_set_used(f->lapic, 99, false);

    assert_true(msi(f, 2, false, 0x41) < 0);
    wr(f, 0, ICR2, 2u << 24);
    wr(f, 0, ICR, 0x4500);  /* INIT */
    wr(f, 0, ICR, 0x4607);  /* start-up */
    wr(f, 0, ICR, 0xc0441); /* NMI to all others */
    wr(f, 0, ICR, 0xc4500);
    vsr_lapic_lint1(f->lapic);
    assert_int_equal(other->n_init, 0);
    assert_int_equal(other->n_sipi, 0);
    assert_int_equal(other->n_nmi, 0);
    assert_true(fake_vcpu_of(f->machine, 1)->n_init > 0);
    f->lapic->class->reset(f->lapic);
    assert_true(msi(f, 2, false, 0x41) < 0);

    vsr_lapic_set_used(f->lapic, 2, true);
    assert_true(fake_rdmsr(f->machine, 2, MSR_BASE, &base));
    assert_int_equal(base, 0xfee00800);
    wr(f, 0, ICR2, 2u << 24);
    wr(f, 0, ICR, 0x4500);
    wr(f, 0, ICR, 0x4607);
    assert_int_equal(other->n_init, 1);
    assert_int_equal(other->n_sipi, 1);
    wr(f, 2, SVR, 0x1ff);
    assert_int_equal(msi(f, 2, false, 0x42), 0);
    assert_int_equal(fake_intr_ack(f->machine, 2), 0x42);
}

static void two_vcpus_send_to_each_other(void **state)
{
    fixture *f = *state;
    sender s[2] = { { .f = f, .vcpu = 0 }, { .f = f, .vcpu = 1 } };
    GThread *threads[2];

    for (int i = 0; i < 2; i++)
        threads[i] = g_thread_new("sender", send_ipis, &s[i]);
    for (int i = 0; i < 2; i++)
        g_thread_join(threads[i]);
    for (uint32_t i = 0; i < 2; i++) {
        while (fake_intr(f->machine, i)) {
            assert_true(fake_intr_ack(f->machine, i) > 0);
            wr(f, i, EOI, 0);
        }
        for (uint32_t w = 0; w < 8; w++) {
            assert_int_equal(rd(f, i, IRR + w * 0x10), 0);
            assert_int_equal(rd(f, i, ISR + w * 0x10), 0);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_state_is_the_manuals),
        TEST(an_interrupt_is_taken_and_ended),
        TEST(higher_classes_interrupt_lower_ones),
        TEST(task_priority_holds_interrupts_back),
        TEST(software_disabled_takes_no_fixed_interrupt),
        TEST(bad_vectors_are_errors),
        TEST(hostile_accesses_do_nothing),
        TEST(ipis_reach_whom_they_name),
        TEST(logical_destinations_are_flat_or_clusters),
        TEST(lowest_priority_goes_to_one),
        TEST(init_and_startup_reach_the_vcpu),
        TEST(x2apic_registers_are_msrs),
        TEST(x2apic_faults_where_the_manual_says),
        TEST(mode_changes_follow_the_state_diagram),
        TEST(the_page_moves_with_its_base),
        TEST(one_shot_fires_once),
        TEST(a_count_that_is_read_as_over_is_over),
        TEST(periodic_fires_again_and_again),
        TEST(the_shortest_period_does_not_eat_the_loop),
        TEST(deadline_compares_with_the_tsc),
        TEST(timers_stand_still_with_the_machine),
        TEST(a_masked_timer_is_silent),
        TEST(lint0_lets_the_pic_through),
        TEST(lint0_as_a_fixed_interrupt_is_an_edge),
        TEST(lint1_is_an_nmi),
        TEST(the_end_of_a_level_is_told),
        TEST(device_reset_forgets_everything),
        TEST(one_that_is_not_in_use_takes_nothing),
        TEST(two_vcpus_send_to_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
