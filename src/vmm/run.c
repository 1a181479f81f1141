/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run.c: what happens when the guest powers off, resets, crashes or exits: the
 * on_* actions, and the limit to how often it may start again.
 *
 * Threads: the control thread; a machine's request arrives on the machine's
 *          loop and is carried over.
 */
#include "vmm/vmm_state.h"

#include "base/error.h"
#include "base/log.h"

void vmm_set_state(vsr_vmm *vmm, vsr_state state, vsr_reason reason, int status,
                   const char *detail)
{
    vmm->state = state;
    vmm->reason = reason;
    if (vmm->events.state)
        vmm->events.state(vmm->opaque, state, reason, status, detail);
}

/* What the guest has said comes out before what became of it is told. */
static void flush_serials(vsr_vmm *vmm, int64_t timeout_ns)
{
    int64_t deadline_ns = vsr_now_ns() + timeout_ns;

    for (uint32_t i = 0; i < vmm->n_serials; i++) {
        int64_t left_ns;

        do {
            left_ns = deadline_ns - vsr_now_ns();
        } while (!vsr_chardev_flush(vmm->serial[i],
                                    CLAMP(left_ns, 0, VMM_DESTROY_NS)) &&
                 left_ns > 0 && !g_atomic_int_get(&vmm->hurry));
    }
}

void vmm_stop(vsr_vmm *vmm, vsr_reason reason, int status, const char *detail,
              int64_t flush_ns)
{
    if (vmm->stopping || vmm->state == VSR_STATE_SHUTOFF)
        return;
    vmm->stopping = true;
    vsr_machine_pause(vmm->machine);
    flush_serials(vmm, flush_ns);
    vmm_teardown(vmm);
    vmm->stopping = false;
    vmm_set_state(vmm, VSR_STATE_SHUTOFF, reason, status, detail);
}

static void nothing(void *unused)
{
}

bool vmm_restart(vsr_vmm *vmm, bool stay_paused, GError **error)
{
    GError *why = NULL;

    vsr_machine_pause(vmm->machine);
    /* Requests of the time before are delivered now, and are stale. */
    vsr_loop_sync(vmm->machine->loop, nothing, NULL);
    g_atomic_int_inc(&vmm->generation);
    vmm->ended = false;
    vmm->reboot_next = false;
    if (!vmm_power_on(vmm, &why)) {
        vsr_fail_prefix(&why, "Starting again");
        vmm_stop(vmm, VSR_REASON_FAILED, 0, why->message, VMM_DESTROY_NS);
        g_propagate_error(error, why);
        return false;
    }
    if (!stay_paused)
        vsr_machine_run(vmm->machine);
    return true;
}

/* False: too many lately. Counts this one. */
static bool may_restart(vsr_vmm *vmm)
{
    int64_t now_ns = vsr_now_ns();
    int64_t *slot = &vmm->restarts_ns[vmm->n_restarts % VMM_STORM_RESTARTS];
    bool is_storm =
        vmm->n_restarts >= VMM_STORM_RESTARTS && now_ns - *slot < VMM_STORM_NS;

    if (is_storm)
        return false;
    *slot = now_ns;
    vmm->n_restarts++;
    return true;
}

static void preserve(vsr_vmm *vmm, vsr_state state, vsr_reason reason,
                     const char *detail)
{
    vsr_machine_pause(vmm->machine);
    flush_serials(vmm, VMM_DESTROY_NS);
    vmm->ended = true;
    vmm_set_state(vmm, state, reason, 0, detail);
}

/* The guest cannot go on, or must not. */
static void end_crashed(vsr_vmm *vmm, const char *detail)
{
    if (vmm->conf->on_crash == VSR_ACTION_PRESERVE)
        preserve(vmm, VSR_STATE_CRASHED, VSR_REASON_CRASHED, detail);
    else
        vmm_stop(vmm, VSR_REASON_CRASHED, 0, detail, VMM_FLUSH_NS);
}

static void start_again(vsr_vmm *vmm, bool is_reboot, const char *detail)
{
    if (!may_restart(vmm)) {
        g_autofree char *text = g_strdup_printf(
            "The guest started %d times within %d s, the last time after: %s",
            VMM_STORM_RESTARTS + 1, (int)(VMM_STORM_NS / 1000000000), detail);

        end_crashed(vmm, text);
        return;
    }
    flush_serials(vmm, VMM_DESTROY_NS);
    if (!vmm_restart(vmm, false, NULL))
        return; /* it is off, and that was said */
    if (vmm->state != VSR_STATE_RUNNING)
        vmm_set_state(vmm, VSR_STATE_RUNNING, VSR_REASON_RESET, 0, NULL);
    vmm->reason = VSR_REASON_RESET;
    if (is_reboot && vmm->events.rebooted)
        vmm->events.rebooted(vmm->opaque);
}

static void on_poweroff(vsr_vmm *vmm)
{
    vsr_action action =
        vmm->reboot_next ? VSR_ACTION_RESTART : vmm->conf->on_poweroff;

    switch (action) {
    case VSR_ACTION_RESTART:
        start_again(vmm, true, "power-off");
        break;
    case VSR_ACTION_PRESERVE:
        preserve(vmm, VSR_STATE_PAUSED, VSR_REASON_PRESERVED,
                 "The guest powered off");
        break;
    case VSR_ACTION_DESTROY:
    default:
        vmm_stop(vmm, VSR_REASON_GUEST_POWEROFF, 0, NULL, VMM_FLUSH_NS);
    }
}

static void on_reset(vsr_vmm *vmm)
{
    switch (vmm->conf->on_reboot) {
    case VSR_ACTION_RESTART:
        start_again(vmm, true, "reset");
        break;
    case VSR_ACTION_PRESERVE:
        preserve(vmm, VSR_STATE_PAUSED, VSR_REASON_PRESERVED,
                 "The guest asked for a reset");
        break;
    case VSR_ACTION_DESTROY:
    default:
        vmm_stop(vmm, VSR_REASON_GUEST_POWEROFF, 0,
                 "The guest asked for a reset, and on_reboot is 'destroy'",
                 VMM_FLUSH_NS);
    }
}

static void on_crash(vsr_vmm *vmm, const char *detail)
{
    vsr_log(VSR_LOG_ERROR, "Domain '%s' crashed: %s", vmm->conf->name, detail);
    if (vmm->conf->on_crash == VSR_ACTION_RESTART)
        start_again(vmm, false, detail);
    else
        end_crashed(vmm, detail);
}

typedef struct {
    vsr_vmm *vmm;
    vsr_request request;
    int status;
    gint generation;
    char *detail;
} guest_request;

static void handle_request(void *opaque)
{
    guest_request *r = opaque;
    vsr_vmm *vmm = r->vmm;

    if (vmm->machine && !vmm->stopping && !vmm->ended &&
        r->generation == g_atomic_int_get(&vmm->generation)) {
        switch (r->request) {
        case VSR_REQUEST_POWEROFF:
            on_poweroff(vmm);
            break;
        case VSR_REQUEST_RESET:
            on_reset(vmm);
            break;
        case VSR_REQUEST_EXIT:
            vmm_stop(vmm, VSR_REASON_EXIT, r->status, r->detail, VMM_FLUSH_NS);
            break;
        case VSR_REQUEST_CRASH:
        default:
            on_crash(vmm, r->detail ? r->detail : "unknown reason");
        }
    }
    g_free(r->detail);
    g_free(r);
}

static void on_machine_request(void *opaque, vsr_request request, int status,
                               const char *detail)
{
    vsr_vmm *vmm = opaque;
    guest_request *r = g_new(guest_request, 1);

    *r = (guest_request){
        .vmm = vmm,
        .request = request,
        .status = status,
        .generation = g_atomic_int_get(&vmm->generation),
        .detail = g_strdup(detail),
    };
    vsr_loop_call(vmm->loop, handle_request, r);
}

const vsr_machine_events vmm_machine_events = {
    .request = on_machine_request,
};
