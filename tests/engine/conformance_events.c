/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conformance_events.c: interrupts, exceptions and what the LAPIC answers.
 */
#include "tests/engine/conformance_tests.h"

#include <string.h>

#include "tests/engine/conformance_guests.h"

/* --- events --- */

void a_triple_fault_is_a_shutdown(void **state)
{
    box *b = *state;

    LOAD(b, guest_triple, box_real_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_SHUTDOWN);
}

/* Real-mode vector `v` goes to a handler at 0x2000. */
static void set_handler(box *b, unsigned v, const uint8_t *code, size_t len)
{
    box_code(b, 0x2000, code, len);
    box_poke(b, 4 * v, 0x2000, 4);
}

static void raise_intr(box *b, int vector)
{
    g_mutex_lock(&b->lock);
    b->vector[0] = vector;
    g_mutex_unlock(&b->lock);
    assert_int_equal(b->ops->vcpu_signal(b->vcpu[0], VSR_SIGNAL_INTR, 1), 0);
}

static void *interrupt_ten_times(void *opaque)
{
    box *b = opaque;

    for (unsigned i = 1; i <= 10; i++) {
        gint64 end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;

        raise_intr(b, 0x21);
        while (box_count(b, &b->n_log) < i && g_get_monotonic_time() < end)
            g_usleep(100);
    }
    g_mutex_lock(&b->lock);
    b->ended[0] = true;
    g_mutex_unlock(&b->lock);
    b->ops->vcpu_kick(b->vcpu[0]);
    return NULL;
}

void an_interrupt_wakes_a_halted_vcpu(void **state)
{
    box *b = *state;
    GThread *thread;

    if (b->caps.lapic)
        skip();
    set_handler(b, 0x21, guest_handler, sizeof guest_handler);
    LOAD(b, guest_interrupt, box_real_mode);
    thread = g_thread_new("interrupter", interrupt_ten_times, b);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    g_thread_join(thread);
    assert_int_equal(b->n_log, 10);
    assert_int_equal(b->n_acks, 10);
    assert_int_equal(b->log[9].data, 0x55);
    assert_in_range(box_gpr(b, VSR_X86_RBX) & 0xffff, 9, 10);
}

void an_interrupt_waits_for_the_flag(void **state)
{
    box *b = *state;

    if (b->caps.lapic)
        skip();
    set_handler(b, 0x21, guest_handler, sizeof guest_handler);
    LOAD(b, guest_cli_then_sti, box_real_mode);
    raise_intr(b, 0x21);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 3);
    box_expect_io(&b->log[0], 0x81, 1, true, 1);
    box_expect_io(&b->log[1], 0x80, 1, true, 0x55);
    box_expect_io(&b->log[2], 0x81, 1, true, 2);
}

void an_interrupt_taken_back_is_not_delivered(void **state)
{
    box *b = *state;

    if (b->caps.lapic)
        skip();
    LOAD(b, guest_cli_then_sti, box_real_mode);
    raise_intr(b, 0x21);
    assert_int_equal(b->ops->vcpu_signal(b->vcpu[0], VSR_SIGNAL_INTR, 0), 0);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 2);
    raise_intr(b, -1); /* nothing after all */
    LOAD(b, guest_cli_then_sti, box_real_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 4);
}

void an_nmi_ignores_the_flag(void **state)
{
    box *b = *state;

    if (b->caps.lapic)
        skip();
    set_handler(b, 2, guest_handler, sizeof guest_handler);
    LOAD(b, guest_pio, box_real_mode); /* interrupts are off */
    assert_int_equal(b->ops->vcpu_signal(b->vcpu[0], VSR_SIGNAL_NMI, 0), 0);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 8);
    box_expect_io(&b->log[0], 0x80, 1, true, 0x55);
}

void an_exception_in_the_state_is_delivered(void **state)
{
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);
    box *b = *state;

    set_handler(b, 6, guest_handler, sizeof guest_handler);
    LOAD(b, guest_pio, box_real_mode);
    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], x86), 0);
    x86->events.exception_pending = true;
    x86->events.exception_vector = 6;
    assert_int_equal(b->ops->vcpu_set(b->vcpu[0], x86), 0);
    assert_int_equal(b->ops->vcpu_get(b->vcpu[0], x86), 0);
    assert_true(x86->events.exception_pending);
    assert_int_equal(x86->events.exception_vector, 6);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 8);
    box_expect_io(&b->log[0], 0x80, 1, true, 0x55);
}

void apic_msrs_are_the_machines(void **state)
{
    box *b = *state;

    if (b->caps.lapic)
        skip();
    set_handler(b, 13, guest_gp_handler, sizeof guest_gp_handler);
    LOAD(b, guest_msr, box_real_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(box_peek(b, 0x3000, 8), 0xfee00900);
    assert_int_equal(b->msr_written, 0x6e0);
    assert_true(b->msr_value == UINT64_C(0x9a12345678));
    assert_int_equal(b->n_log, 2);
    assert_int_equal(b->log[0].data, 0x0d); /* #GP first */
    assert_int_equal(b->log[1].data, 0x66);
}

void cr8_is_the_machines(void **state)
{
    box *b = *state;

    if (b->caps.lapic)
        skip();
    LOAD(b, guest_cr8, box_long_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->cr8, 5);
    assert_int_equal(box_peek(b, 0x3000, 8), 5);
}
