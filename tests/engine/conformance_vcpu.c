/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conformance_vcpu.c: kicks, state, clocks, two vCPUs at once.
 */
#include "tests/engine/conformance_tests.h"

#include <errno.h>
#include <string.h>

#include "base/loop.h"
#include "tests/engine/conformance_guests.h"

#define MS INT64_C(1000000)

/* --- kicks --- */

/* Runs until the guest has counted beyond `count`; on a crowded host a kick may
 * come before it has counted at all. */
static uint64_t count_beyond(box *b, uint64_t count)
{
    for (int i = 0; i < 100; i++) {
        uint64_t now;

        box_run_kicked(b);
        now = box_gpr(b, VSR_X86_RAX);
        if (now > count)
            return now;
    }
    fail_msg("the guest does not get on");
    return 0;
}

void a_kick_ends_an_endless_loop(void **state)
{
    box *b = *state;

    LOAD(b, guest_spin, box_long_mode);
    (void)count_beyond(b, count_beyond(b, 1000));
}

void a_kick_wakes_a_halted_vcpu_for_the_host_only(void **state)
{
    box *b = *state;

    LOAD(b, guest_halt, box_long_mode);
    box_run_kicked(b);
    assert_int_equal(box_gpr(b, VSR_X86_RAX), 0);
    box_run_kicked(b); /* still halted */
    assert_int_equal(box_gpr(b, VSR_X86_RAX), 0);
}

void a_kick_before_the_run_counts(void **state)
{
    box *b = *state;
    int64_t start = vsr_now_ns();

    LOAD(b, guest_spin, box_long_mode);
    for (int i = 0; i < 100; i++) {
        b->ops->vcpu_kick(b->vcpu[0]);
        assert_int_equal(b->ops->vcpu_run(b->vcpu[0]), VSR_RUN_KICKED);
    }
    assert_true(vsr_now_ns() - start < 60000 * MS);
}

typedef struct {
    box *b;
    gint returns; /* atomic */
    gint lost;    /* atomic */
    int rounds;
} kick_storm;

static void *storm_kicks(void *opaque)
{
    kick_storm *s = opaque;

    for (int i = 0; i < s->rounds; i++) {
        gint before = g_atomic_int_get(&s->returns);
        gint64 end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;

        for (int spin = (i * 37) % 400; spin > 0; spin--)
            __asm__ volatile("pause");
        s->b->ops->vcpu_kick(s->b->vcpu[0]);
        while (g_atomic_int_get(&s->returns) == before &&
               g_get_monotonic_time() < end)
            g_thread_yield();
        if (g_atomic_int_get(&s->returns) == before) {
            g_atomic_int_inc(&s->lost);
            s->b->ops->vcpu_kick(s->b->vcpu[0]);
            break;
        }
    }
    g_atomic_int_set(&s->rounds, 0);
    s->b->ops->vcpu_kick(s->b->vcpu[0]);
    return NULL;
}

void no_kick_is_lost(void **state)
{
    box *b = *state;
    kick_storm s = { .b = b, .rounds = 2000 };
    GThread *thread;

    LOAD(b, guest_halt, box_long_mode);
    thread = g_thread_new("storm", storm_kicks, &s);
    while (g_atomic_int_get(&s.rounds) > 0) {
        assert_int_equal(b->ops->vcpu_run(b->vcpu[0]), VSR_RUN_KICKED);
        g_atomic_int_inc(&s.returns);
    }
    g_thread_join(thread);
    assert_int_equal(g_atomic_int_get(&s.lost), 0);
}

/* --- state --- */

static void put_fpu(vsr_x86_state *x86)
{
    static const uint16_t cw = 0x027f;
    static const uint32_t mxcsr = 0x9fc0;

    x86->xsave_len = MAX(x86->xsave_len, 576);
    memset(x86->xsave, 0, x86->xsave_len);
    memcpy(x86->xsave, &cw, 2);
    x86->xsave[4] = 0xff;
    memcpy(x86->xsave + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        for (unsigned j = 0; j < 10; j++)
            x86->xsave[32 + 16 * i + j] = (uint8_t)(0x80 + i + j);
    for (unsigned i = 0; i < 256; i++)
        x86->xsave[160 + i] = (uint8_t)(i * 3);
    x86->xsave[512] |= 3;
}

static void expect_same_seg(const vsr_x86_seg *a, const vsr_x86_seg *b)
{
    assert_int_equal(a->attr & VSR_SEG_P, b->attr & VSR_SEG_P);
    assert_int_equal(a->selector, b->selector);
    if (!(a->attr & VSR_SEG_P))
        return;
    assert_true(a->base == b->base);
    assert_int_equal(a->limit, b->limit);
    assert_int_equal(a->attr, b->attr);
}

static void expect_same(const vsr_x86_state *a, const vsr_x86_state *b)
{
    for (int i = 0; i < VSR_X86_GPRS; i++)
        assert_true(a->gpr[i] == b->gpr[i]);
    assert_true(a->rip == b->rip);
    assert_true(a->rflags == b->rflags);
    for (int i = 0; i < VSR_X86_SEGS; i++)
        expect_same_seg(&a->seg[i], &b->seg[i]);
    assert_true(a->gdt.base == b->gdt.base && a->gdt.limit == b->gdt.limit);
    assert_true(a->idt.base == b->idt.base && a->idt.limit == b->idt.limit);
    assert_true(a->cr0 == b->cr0 && a->cr2 == b->cr2 && a->cr3 == b->cr3);
    assert_true(a->cr4 == b->cr4 && a->efer == b->efer && a->xcr0 == b->xcr0);
    for (int i = 0; i < 8; i++)
        if (i != 4 && i != 5)
            assert_true(a->dr[i] == b->dr[i]);
    assert_int_equal(a->mp_state, b->mp_state);
    assert_memory_equal(a->xsave, b->xsave, 5);
    assert_memory_equal(a->xsave + 24, b->xsave + 24, 4);
    assert_memory_equal(a->xsave + 32, b->xsave + 32, 128 + 256);
    assert_int_equal(a->n_msrs, b->n_msrs);
    for (uint32_t i = 0; i < a->n_msrs; i++) {
        assert_int_equal(a->msrs[i].index, b->msrs[i].index);
        if (a->msrs[i].index != 0x10 && a->msrs[i].index != 0x3b)
            assert_true(a->msrs[i].value == b->msrs[i].value);
    }
}

void what_was_set_is_got(void **state)
{
    g_autofree vsr_x86_state *in = g_new0(vsr_x86_state, 1);
    g_autofree vsr_x86_state *got = g_new0(vsr_x86_state, 1);
    box *b = *state;

    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], in), 0);
    box_long_mode(in);
    for (int i = 0; i < VSR_X86_GPRS; i++)
        in->gpr[i] = UINT64_C(0x0123456789abcdef) * (unsigned)(i + 1);
    in->rip = UINT64_C(0xffffffff81000000);
    in->rflags = 0x246 | 0x800 | 0x400;
    in->seg[VSR_X86_FS].base = UINT64_C(0x7f0012345000);
    in->seg[VSR_X86_GS].base = UINT64_C(0xffff888000000000);
    in->gdt = (vsr_x86_dtable){ UINT64_C(0xfffffe0000001000), 0x7f };
    in->idt = (vsr_x86_dtable){ UINT64_C(0xfffffe0000000000), 0xfff };
    in->cr2 = 0xdeadbeef;
    in->dr[0] = 0x1234;
    in->dr[3] = 0x5678;
    put_fpu(in);
    for (uint32_t i = 0; i < in->n_msrs; i++)
        if (in->msrs[i].index == 0xc0000082 || in->msrs[i].index == 0xc0000102)
            in->msrs[i].value = UINT64_C(0xffffffff81800000);
    assert_int_equal(b->ops->vcpu_set(b->vcpu[0], in), 0);
    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], got), 0);
    expect_same(in, got);
    assert_int_equal(b->ops->vcpu_set(b->vcpu[0], got), 0);
    memset(in, 0, sizeof *in);
    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], in), 0);
    expect_same(in, got);
}

void a_bad_state_changes_nothing(void **state)
{
    g_autofree vsr_x86_state *before = g_new0(vsr_x86_state, 1);
    g_autofree vsr_x86_state *bad = g_new0(vsr_x86_state, 1);
    g_autofree vsr_x86_state *after = g_new0(vsr_x86_state, 1);
    box *b = *state;

    box_start(b, 0, box_long_mode);
    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], before), 0);
    for (int i = 0; i < 3; i++) {
        *bad = *before;
        bad->gpr[0] = 99;
        if (i == 0)
            bad->cr0 &= ~UINT64_C(1); /* paging without protection */
        else if (i == 1)
            bad->n_msrs = VSR_X86_MSRS_MAX + 1;
        else
            bad->xsave_len = VSR_X86_XSAVE_MAX + 1;
        assert_int_equal(b->ops->vcpu_set(b->vcpu[0], bad), -EINVAL);
        assert_int_equal(b->ops->vcpu_get(b->vcpu[0], after), 0);
        expect_same(before, after);
    }
}

void a_guest_moves_while_it_computes(void **state)
{
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);
    box *b = *state, *other;
    uint64_t rounds, sum = 0;

    /* As many as take much longer than the time until the kick, which comes
     * late on a crowded host. */
    LOAD(b, guest_spin, box_long_mode);
    rounds = MIN(10 * count_beyond(b, 1000), 30000000);
    for (;;) {
        LOAD(b, guest_sum, box_long_mode);
        box_poke(b, BOX_CODE + 3, rounds, 4);
        box_poke(b, BOX_DATA, 0, 8);
        b->ops->dirty_mark(b->vm, 0, BOX_RAM);
        box_run_kicked(b);
        if (!box_ended(b, 0)) /* in the middle */
            break;
        assert_true(rounds < 1000000000);
        rounds *= 4;
    }
    for (uint64_t i = rounds; i > 0; i--) {
        sum = sum * 3 + i;
        sum = sum >> 7 | sum << 57;
    }
    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], x86), 0);
    other = box_new(b->ops);
    assert_non_null(other);
    memcpy(other->ram, b->ram, BOX_RAM);
    other->ops->dirty_mark(other->vm, 0, BOX_RAM);
    assert_true(box_vcpu_new(other, 0));
    assert_int_equal(other->ops->vcpu_set(other->vcpu[0], x86), 0);
    assert_int_equal(box_run(other, 0), VSR_RUN_KICKED);
    assert_true(box_peek(other, BOX_DATA, 8) == sum);
    assert_int_equal(box_peek(b, BOX_DATA, 8), 0);
    box_vcpu_free(other, 0);
    box_free(other);
}

void sse_and_x87_compute(void **state)
{
    box *b = *state;
    double pi;

    for (uint64_t i = 0; i < 4; i++)
        box_poke(b, BOX_DATA + 4 * i, 100 * i, 4);
    LOAD(b, guest_fpu, box_long_mode);
    {
        g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

        assert_int_equal(b->ops->vcpu_get(b->vcpu[0], x86), 0);
        put_fpu(x86);
        x86->xsave[0] = 0x7f;
        x86->xsave[1] = 0x03;
        x86->xsave[4] = 0; /* the stack is empty */
        assert_int_equal(b->ops->vcpu_set(b->vcpu[0], x86), 0);
    }
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(box_peek(b, BOX_DATA + 0x1c, 4), 600);
    memcpy(&pi, b->ram + BOX_DATA + 0x20, 8);
    assert_true(pi > 3.14159 && pi < 3.1416);
}

/* --- clocks --- */

/* What the TSC may have counted meanwhile, and as much again: clocks differ. */
static uint64_t ticks_since(const box *b, int64_t since)
{
    return (uint64_t)(2.0 * (double)b->caps.tsc_hz *
                      (double)(vsr_now_ns() - since) / 1e9);
}

void the_tsc_counts_and_stands_still(void **state)
{
    box *b = *state;
    uint64_t first, second;
    int64_t since = vsr_now_ns();

    LOAD(b, guest_tsc, box_long_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_true(box_peek(b, 0x3008, 8) > box_peek(b, 0x3000, 8));
    if (b->ops->vm_pause == NULL || b->ops->vcpu_tsc == NULL ||
        b->caps.tsc_hz == 0) /* KVM does not say how fast it is */
        return;
    first = b->ops->vcpu_tsc(b->vcpu[0]);
    assert_true(first >= box_peek(b, 0x3008, 8));
    assert_true(first - box_peek(b, 0x3008, 8) <
                b->caps.tsc_hz * box_slow() + ticks_since(b, since));
    assert_int_equal(b->ops->vm_pause(b->vm), 0);
    first = b->ops->vcpu_tsc(b->vcpu[0]);
    g_usleep(200000 * box_slow());
    assert_true(b->ops->vcpu_tsc(b->vcpu[0]) == first);
    since = vsr_now_ns();
    assert_int_equal(b->ops->vm_resume(b->vm), 0);
    second = b->ops->vcpu_tsc(b->vcpu[0]);
    assert_true(second >= first);
    assert_true(second - first <
                b->caps.tsc_hz / 10 * box_slow() + ticks_since(b, since));
    since = vsr_now_ns();
    box_start(b, 0, box_long_mode); /* a reset: TSC 0 */
    second = b->ops->vcpu_tsc(b->vcpu[0]);
    assert_true(second <
                b->caps.tsc_hz / 5 * box_slow() + ticks_since(b, since));
}

void the_clock_can_be_set(void **state)
{
    box *b = *state;
    vsr_engine_clock clock = { 0 };

    assert_int_equal(b->ops->clock_get(b->vm, &clock), 0);
    clock.guest_ns += 3600 * UINT64_C(1000000000);
    assert_int_equal(b->ops->clock_set(b->vm, &clock), 0);
    {
        uint64_t set = clock.guest_ns;

        assert_int_equal(b->ops->clock_get(b->vm, &clock), 0);
        assert_in_range(clock.guest_ns, set,
                        set + UINT64_C(60000000000) * box_slow());
    }
}

/* --- two vCPUs --- */

typedef struct {
    box *b;
    uint32_t index;
    int result;
    vsr_x86_seg cs; /* at the end */
} runner;

static void *run_one(void *opaque)
{
    runner *r = opaque;
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

    assert_true(box_vcpu_new(r->b, r->index));
    assert_int_equal(r->b->ops->vcpu_get(r->b->vcpu[r->index], x86), 0);
    box_long_mode(x86);
    x86->gpr[VSR_X86_RDI] = r->index;
    x86->gpr[VSR_X86_RSP] -= 0x1000 * r->index;
    assert_int_equal(r->b->ops->vcpu_set(r->b->vcpu[r->index], x86), 0);
    r->result = box_run(r->b, r->index);
    box_vcpu_free(r->b, r->index);
    return NULL;
}

static void run_two(box *b)
{
    runner r[2] = { { .b = b, .index = 0, .result = -1 },
                    { .b = b, .index = 1, .result = -1 } };
    GThread *threads[2];

    box_vcpu_free(b, 0);
    for (int i = 0; i < 2; i++)
        threads[i] = g_thread_new("vcpu", run_one, &r[i]);
    for (int i = 0; i < 2; i++) {
        g_thread_join(threads[i]);
        assert_int_equal(r[i].result, VSR_RUN_KICKED);
    }
}

void locked_adds_of_two_vcpus_add_up(void **state)
{
    box *b = *state;

    box_code(b, BOX_CODE, guest_add_shared, sizeof guest_add_shared);
    run_two(b);
    assert_int_equal(box_peek(b, 0x3000, 8), 400000);
    assert_int_equal(box_peek(b, 0x3008, 4), 400000);
}

void two_vcpus_hand_over_a_token(void **state)
{
    /* On one processor each turn costs the scheduler's time slice. */
    uint32_t rounds = g_get_num_processors() > 1 ? 20000 : 100;
    box *b = *state;

    box_code(b, BOX_CODE, guest_ping, sizeof guest_ping);
    box_poke(b, BOX_CODE + 1, rounds, 4);
    run_two(b);
    assert_int_equal(box_peek(b, 0x3000, 4), 2 * rounds);
}

/* Made and set while the VM stands still, as hot-plug does; runs when it goes
 * on. */
static void *run_late(void *opaque)
{
    runner *r = opaque;
    box *b = r->b;
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

    assert_true(box_vcpu_new(b, 1));
    assert_int_equal(b->ops->vcpu_get(b->vcpu[1], x86), 0);
    box_long_mode(x86);
    x86->tsc = b->ops->vcpu_tsc(b->vcpu[0]);
    assert_int_equal(b->ops->vcpu_set(b->vcpu[1], x86), 0);
    g_atomic_int_set(&r->result, 1);
    while (g_atomic_int_get(&r->result) != 2)
        g_usleep(100);
    g_atomic_int_set(&r->result, 3 + box_run(b, 1));
    box_vcpu_free(b, 1);
    return NULL;
}

void a_vcpu_made_late_counts_with_the_others(void **state)
{
    box *b = *state;
    runner r = { .b = b };
    uint64_t before, after;
    GThread *thread;

    if (b->ops->vcpu_tsc == NULL || b->ops->vm_pause == NULL)
        skip();
    LOAD(b, guest_spin, box_long_mode);
    (void)count_beyond(b, 1000);
    box_code(b, BOX_CODE, guest_tsc, sizeof guest_tsc);
    assert_int_equal(b->ops->vm_pause(b->vm), 0);
    thread = g_thread_new("vcpu1", run_late, &r);
    while (g_atomic_int_get(&r.result) != 1)
        g_usleep(100);
    before = b->ops->vcpu_tsc(b->vcpu[0]);
    assert_int_equal(b->ops->vm_resume(b->vm), 0);
    g_atomic_int_set(&r.result, 2);
    g_thread_join(thread);
    after = b->ops->vcpu_tsc(b->vcpu[0]);
    assert_int_equal(r.result, 3 + VSR_RUN_KICKED);
    assert_in_range(box_peek(b, 0x3000, 8), before, after);
    assert_in_range(box_peek(b, 0x3008, 8), before, after);
}

static void *run_waiting(void *opaque)
{
    runner *r = opaque;
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

    assert_true(box_vcpu_new(r->b, 1));
    assert_int_equal(r->b->ops->vcpu_get(r->b->vcpu[1], x86), 0);
    box_real_mode(x86);
    x86->mp_state = VSR_MP_WAIT_SIPI;
    assert_int_equal(r->b->ops->vcpu_set(r->b->vcpu[1], x86), 0);
    g_atomic_int_set(&r->result, 1);
    g_atomic_int_set(&r->result, 2 + box_run(r->b, 1));
    (void)r->b->ops->vcpu_get(r->b->vcpu[1], x86);
    r->cs = x86->seg[VSR_X86_CS];
    box_vcpu_free(r->b, 1);
    return NULL;
}

void init_and_sipi_start_a_vcpu(void **state)
{
    box *b = *state;
    runner r = { .b = b };
    GThread *thread;

    if (b->caps.lapic)
        skip();
    box_code(b, 0x7000, guest_handler, sizeof guest_handler - 1);
    b->ram[0x7000 + sizeof guest_handler - 1] = 0xe6; /* out 0xf4, al */
    b->ram[0x7000 + sizeof guest_handler] = BOX_EXIT_PORT;
    b->ram[0x7000 + sizeof guest_handler + 1] = 0xf4;
    thread = g_thread_new("vcpu1", run_waiting, &r);
    while (g_atomic_int_get(&r.result) != 1)
        g_usleep(100);
    g_usleep(5000);
    assert_int_equal(box_count(b, &b->n_pio), 0);
    assert_int_equal(b->ops->vcpu_signal(b->vcpu[1], VSR_SIGNAL_INIT, 0), 0);
    assert_int_equal(b->ops->vcpu_signal(b->vcpu[1], VSR_SIGNAL_SIPI, 0x07), 0);
    assert_int_equal(b->ops->vcpu_signal(b->vcpu[1], VSR_SIGNAL_SIPI, 0x07),
                     0); /* the second is ignored */
    g_thread_join(thread);
    assert_int_equal(r.result, 2 + VSR_RUN_KICKED);
    assert_int_equal(r.cs.selector, 0x0700);
    assert_int_equal(r.cs.base, 0x7000);
    assert_int_equal(b->log[0].data, 0x55);
    assert_int_equal(b->log[0].vcpu, 1);
}
