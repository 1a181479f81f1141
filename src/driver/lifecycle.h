/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lifecycle.h: from a domain's state changes to the events of <visor/event.h>.
 *
 * Threads: the one that is told of the changes.
 */
#ifndef VSR_DRIVER_LIFECYCLE_H
#define VSR_DRIVER_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

enum { VSR_LIFECYCLE_EVENTS = 2 };

typedef struct {
    bool started; /* STARTED was told of */
    bool stopped; /* STOPPED was */
    int state;    /* the last one, VISOR_STATE_* */
} vsr_lifecycle;

/* What a change to `state` tells: at most VSR_LIFECYCLE_EVENTS visor_lifecycle
 * numbers; returns how many. `paused`: it was started with VISOR_START_PAUSED,
 * so that being built counts as started. */
uint32_t vsr_lifecycle_change(vsr_lifecycle *lifecycle, int state, int reason,
                              bool paused, int detail[VSR_LIFECYCLE_EVENTS]);

#endif
