/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lifecycle.c: see lifecycle.h.
 *
 * Threads: the caller's.
 */
#include "driver/lifecycle.h"

#include <visor/visor.h>

static uint32_t running(vsr_lifecycle *l, int was, int reason, int *detail)
{
    if (!l->started) {
        l->started = true;
        detail[0] = VISOR_LIFECYCLE_STARTED;
        return 1;
    }
    if (was != VISOR_STATE_PAUSED)
        return 0; /* a reset, or a shutdown that was not followed */
    detail[0] = VISOR_LIFECYCLE_RESUMED;
    return 1;
}

static uint32_t paused_now(vsr_lifecycle *l, int reason, bool paused,
                           int *detail)
{
    if (reason == VISOR_REASON_STARTING) {
        if (!paused || l->started)
            return 0;
        l->started = true;
        detail[0] = VISOR_LIFECYCLE_STARTED;
        return 1;
    }
    detail[0] = VISOR_LIFECYCLE_SUSPENDED;
    return 1;
}

static uint32_t stopped(vsr_lifecycle *l, int was, int reason, int *detail)
{
    uint32_t n = 0;

    /* A start that failed has told nothing yet, and ends as silently. */
    if (!l->started || l->stopped)
        return 0;
    l->stopped = true;
    if (reason == VISOR_REASON_GUEST_POWEROFF)
        detail[n++] = VISOR_LIFECYCLE_SHUTDOWN;
    if (reason == VISOR_REASON_CRASHED && was != VISOR_STATE_CRASHED)
        detail[n++] = VISOR_LIFECYCLE_CRASHED;
    detail[n++] = VISOR_LIFECYCLE_STOPPED;
    return n;
}

uint32_t vsr_lifecycle_change(vsr_lifecycle *lifecycle, int state, int reason,
                              bool paused, int detail[VSR_LIFECYCLE_EVENTS])
{
    int was = lifecycle->state;

    lifecycle->state = state;
    switch (state) {
    case VISOR_STATE_RUNNING:
        return running(lifecycle, was, reason, detail);
    case VISOR_STATE_PAUSED:
        return paused_now(lifecycle, reason, paused, detail);
    case VISOR_STATE_CRASHED:
        detail[0] = VISOR_LIFECYCLE_CRASHED;
        return 1;
    case VISOR_STATE_SHUTOFF:
        return stopped(lifecycle, was, reason, detail);
    default:
        return 0;
    }
}
