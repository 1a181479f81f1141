/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * names.c: see names.h.
 *
 * Threads: any.
 */
#include "driver/names.h"

#include <stddef.h>

#include <visor/visor.h>

#include "base/util.h"

static const char *pick(const char *const *names, size_t count, int number)
{
    if (number < 0 || (size_t)number >= count || names[number] == NULL)
        return "unknown";
    return names[number];
}

const char *vsr_state_name(int state)
{
    static const char *const names[] = {
        [VISOR_STATE_SHUTOFF] = "shutoff",
        [VISOR_STATE_RUNNING] = "running",
        [VISOR_STATE_PAUSED] = "paused",
        [VISOR_STATE_SHUTTING_DOWN] = "shutting-down",
        [VISOR_STATE_CRASHED] = "crashed",
    };

    return pick(names, VSR_ARRAY_SIZE(names), state);
}

const char *vsr_reason_name(int reason)
{
    static const char *const names[] = {
        [VISOR_REASON_NONE] = "none",
        [VISOR_REASON_BOOTED] = "booted",
        [VISOR_REASON_RESUMED] = "resumed",
        [VISOR_REASON_RESET] = "reset",
        [VISOR_REASON_USER] = "user",
        [VISOR_REASON_STARTING] = "starting",
        [VISOR_REASON_GUEST_POWEROFF] = "guest-poweroff",
        [VISOR_REASON_DESTROYED] = "destroyed",
        [VISOR_REASON_CRASHED] = "crashed",
        [VISOR_REASON_FAILED] = "failed",
        [VISOR_REASON_EXIT] = "exit",
        [VISOR_REASON_PRESERVED] = "preserved",
        [VISOR_REASON_IO_ERROR] = "io-error",
    };

    return pick(names, VSR_ARRAY_SIZE(names), reason);
}

const char *vsr_event_kind_name(int kind)
{
    static const char *const names[] = {
        [VISOR_EVENT_LIFECYCLE] = "lifecycle",
        [VISOR_EVENT_REBOOT] = "reboot",
        [VISOR_EVENT_DEVICE] = "device",
        [VISOR_EVENT_JOB] = "job",
    };

    return pick(names, VSR_ARRAY_SIZE(names), kind);
}

const char *vsr_lifecycle_name(int detail)
{
    static const char *const names[] = {
        [VISOR_LIFECYCLE_DEFINED] = "defined",
        [VISOR_LIFECYCLE_UNDEFINED] = "undefined",
        [VISOR_LIFECYCLE_STARTED] = "started",
        [VISOR_LIFECYCLE_SUSPENDED] = "suspended",
        [VISOR_LIFECYCLE_RESUMED] = "resumed",
        [VISOR_LIFECYCLE_STOPPED] = "stopped",
        [VISOR_LIFECYCLE_SHUTDOWN] = "shutdown",
        [VISOR_LIFECYCLE_CRASHED] = "crashed",
    };

    return pick(names, VSR_ARRAY_SIZE(names), detail);
}

const char *vsr_event_detail_name(int kind, int detail)
{
    static const char *const jobs[] = {
        [VISOR_JOB_BEGAN] = "began",
        [VISOR_JOB_ENDED] = "ended",
    };

    static const char *const devices[] = {
        [VISOR_DEVICE_ADDED] = "added",
        [VISOR_DEVICE_REMOVED] = "removed",
    };

    if (kind == VISOR_EVENT_LIFECYCLE)
        return vsr_lifecycle_name(detail);
    if (kind == VISOR_EVENT_JOB)
        return pick(jobs, VSR_ARRAY_SIZE(jobs), detail);
    if (kind == VISOR_EVENT_DEVICE)
        return pick(devices, VSR_ARRAY_SIZE(devices), detail);
    return "";
}
