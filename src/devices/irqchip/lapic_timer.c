/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lapic_timer.c: the timer of one local APIC.
 *
 * It counts at 1 GHz before the divider, so a tick is a nanosecond. Disarming
 * leaves the host timer alone (a guest that re-arms at each tick pays nothing
 * for it); the callback looks whether there is still something to do.
 *
 * Spec:    Intel SDM vol. 3A, "APIC Timer", "TSC-Deadline Mode".
 * Threads: as lapic_state.h says; the callback on the device's loop.
 */
#include "devices/irqchip/lapic_state.h"

/* A guest's shortest period must not fill the loop. */
#define SHORTEST_NS INT64_C(50000)
/* The longest sleep for a TSC deadline: then it is computed anew. */
#define LONGEST_NS INT64_C(3600000000000)

static unsigned divide_shift(const lapic *l)
{
    unsigned code = (l->timer.divide & 3) | ((l->timer.divide >> 1) & 4);

    return (code + 1) & 7;
}

static uint32_t timer_mode(const lapic *l)
{
    return l->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static int64_t period_ns(const lapic *l)
{
    return (int64_t)l->timer.initial << divide_shift(l);
}

static void program(lapic *l, int64_t at_ns)
{
    if (!l->timer.stopped)
        vsr_timer_arm(&l->timer.host, at_ns);
}

/* From now to the deadline, rounded up. */
static int64_t tsc_to_go_ns(const lapic *l, uint64_t tsc)
{
    uint64_t hz = l->all->device.machine->caps.tsc_hz;
    uint64_t ticks = l->timer.tsc_deadline - tsc;
    uint64_t seconds = ticks / hz;

    if (seconds >= (uint64_t)LONGEST_NS / 1000000000)
        return LONGEST_NS;
    /* ticks % hz < 2^34, so nothing overflows. */
    return (int64_t)(seconds * 1000000000 +
                     ((ticks % hz) * 1000000000 + hz - 1) / hz);
}

static void expire(lapic *l)
{
    l->timer.armed = false;
    l->timer.tsc_deadline = 0;
    vsr_lapic_lvt_fire(l, LVT_TIMER);
}

static void program_deadline(lapic *l)
{
    uint64_t tsc = vsr_machine_tsc(l->all->device.machine, l->index);

    if (tsc >= l->timer.tsc_deadline)
        expire(l);
    else
        program(l, vsr_now_ns() + tsc_to_go_ns(l, tsc));
}

static void expired_count(lapic *l)
{
    int64_t now = vsr_now_ns(), period = period_ns(l);

    if (now < l->timer.deadline_ns) {
        program(l, l->timer.deadline_ns);
        return;
    }
    if (timer_mode(l) == LVT_TIMER_PERIODIC && period > 0) {
        int64_t missed = (now - l->timer.deadline_ns) / period;

        l->timer.deadline_ns += (missed + 1) * period;
        program(l, MAX(l->timer.deadline_ns, now + SHORTEST_NS));
    } else {
        l->timer.armed = false;
    }
    vsr_lapic_lvt_fire(l, LVT_TIMER);
}

void vsr_lapic_timer_expired(void *opaque)
{
    lapic *l = opaque;

    g_mutex_lock(&l->lock);
    if (l->timer.armed && !l->timer.stopped) {
        if (timer_mode(l) == LVT_TIMER_DEADLINE)
            program_deadline(l);
        else
            expired_count(l);
    }
    g_mutex_unlock(&l->lock);
}

void vsr_lapic_timer_reset(lapic *l)
{
    l->timer.armed = false;
    l->timer.initial = 0;
    l->timer.divide = 0;
    l->timer.tsc_deadline = 0;
}

/* A count that is over is over now, however late the host timer is. */
static void settle_count(lapic *l)
{
    if (l->timer.armed && !l->timer.stopped &&
        timer_mode(l) != LVT_TIMER_DEADLINE &&
        vsr_now_ns() >= l->timer.deadline_ns)
        expired_count(l);
}

uint32_t vsr_lapic_timer_current(lapic *l)
{
    uint64_t unit = UINT64_C(1) << divide_shift(l);
    int64_t left;

    settle_count(l);
    if (!l->timer.armed || timer_mode(l) == LVT_TIMER_DEADLINE)
        return 0;
    left = l->timer.stopped ? l->timer.remaining_ns
                            : l->timer.deadline_ns - vsr_now_ns();
    /* 0 only where the interrupt has come. */
    return (uint32_t)(((uint64_t)MAX(left, 1) + unit - 1) / unit);
}

void vsr_lapic_timer_set_initial(lapic *l, uint32_t value)
{
    if (timer_mode(l) == LVT_TIMER_DEADLINE)
        return;
    l->timer.initial = value;
    l->timer.armed = value != 0;
    if (value != 0) {
        l->timer.remaining_ns = period_ns(l);
        l->timer.deadline_ns = vsr_now_ns() + l->timer.remaining_ns;
        program(l, l->timer.deadline_ns);
    }
}

void vsr_lapic_timer_set_divide(lapic *l, uint32_t value)
{
    uint32_t current = vsr_lapic_timer_current(l);

    l->timer.divide = value & 0xb;
    if (l->timer.armed && timer_mode(l) != LVT_TIMER_DEADLINE) {
        l->timer.deadline_ns =
            vsr_now_ns() + ((int64_t)current << divide_shift(l));
        program(l, l->timer.deadline_ns);
    }
}

void vsr_lapic_timer_set_lvt(lapic *l, uint32_t value)
{
    uint32_t before = timer_mode(l);

    settle_count(l);
    if ((value & LVT_TIMER_MODE) == LVT_TIMER_DEADLINE && !l->all->has_deadline)
        value &= ~(uint32_t)LVT_TIMER_MODE;
    l->lvt[LVT_TIMER] = value;
    /* "TSC-Deadline Mode": going to or from it disarms the timer. */
    if (before != timer_mode(l) &&
        (before == LVT_TIMER_DEADLINE || timer_mode(l) == LVT_TIMER_DEADLINE)) {
        l->timer.armed = false;
        l->timer.initial = 0;
        l->timer.tsc_deadline = 0;
    }
}

uint64_t vsr_lapic_timer_deadline(const lapic *l)
{
    return timer_mode(l) == LVT_TIMER_DEADLINE ? l->timer.tsc_deadline : 0;
}

void vsr_lapic_timer_set_deadline(lapic *l, uint64_t tsc)
{
    if (timer_mode(l) != LVT_TIMER_DEADLINE)
        return;
    l->timer.tsc_deadline = tsc;
    l->timer.armed = tsc != 0;
    if (tsc != 0)
        program_deadline(l);
}

void vsr_lapic_timer_hold(lapic *l)
{
    l->timer.stopped = true;
    l->timer.remaining_ns = MAX(l->timer.deadline_ns - vsr_now_ns(), 0);
}

void vsr_lapic_timer_go_on(lapic *l)
{
    if (!l->timer.stopped)
        return;
    l->timer.stopped = false;
    if (!l->timer.armed)
        return;
    if (timer_mode(l) == LVT_TIMER_DEADLINE) {
        program_deadline(l);
        return;
    }
    l->timer.deadline_ns = vsr_now_ns() + l->timer.remaining_ns;
    program(l, l->timer.deadline_ns);
}
