/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmm.c: one domain's runtime as its owner sees it. Each call is carried to the
 * control thread and waits for its end there.
 *
 * Threads: any for what vmm.h declares; the static functions on the control
 *          thread.
 */
#include "vmm/vmm.h"

#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "machine/vcpu.h"
#include "vmm/plugged.h"
#include "vmm/vmm_state.h"

typedef struct {
    vsr_vmm *vmm;
    vmm_fn *fn;
    void *args;
    GError **error;
    bool ok;
} control_call;

static void run_control(void *opaque)
{
    control_call *call = opaque;

    call->ok = call->fn(call->vmm, call->args, call->error);
}

bool vmm_control(vsr_vmm *vmm, vmm_fn *fn, void *args, GError **error)
{
    control_call call = { vmm, fn, args, error, false };

    vsr_loop_sync(vmm->loop, run_control, &call);
    return call.ok;
}

/* --- life --- */

static bool do_build(vsr_vmm *vmm, void *unused, GError **error)
{
    if (!vmm_build(vmm, error)) {
        vmm_teardown(vmm);
        return false;
    }
    vmm->built_ns = vsr_now_ns();
    vmm->state = VSR_STATE_PAUSED;
    vmm->reason = VSR_REASON_STARTING;
    return true;
}

static void free_plugged(void *plugged)
{
    vmm_plugged_free(plugged);
}

static void vmm_dispose(vsr_vmm *vmm)
{
    vsr_loop_free(vmm->loop);
    vsr_close(vmm->smaps_fd);
    g_ptr_array_unref(vmm->plugged);
    vsr_vmm_resources_clear(&vmm->res);
    vsr_domain_conf_free(vmm->conf);
    g_free(vmm);
}

static bool check_arguments(const vsr_engine_ops *engine,
                            const vsr_domain_conf *conf,
                            const vsr_vmm_resources *res, GError **error)
{
    if (strcmp(engine->name, vsr_domain_type_text(conf->type)) != 0)
        return vsr_fail(
            error, VISOR_ERR_ARG, "Domain '%s' is for '%s', the engine is '%s'",
            conf->name, vsr_domain_type_text(conf->type), engine->name);
    if (res->n_serials != conf->serials->len)
        return vsr_fail(error, VISOR_ERR_ARG,
                        "Domain '%s' has %u serial ports, %u were opened",
                        conf->name, conf->serials->len, res->n_serials);
    if (conf->devices->len != (res->devices ? res->devices->len : 0))
        return vsr_fail(error, VISOR_ERR_ARG,
                        "Domain '%s' has %u devices, not all were opened",
                        conf->name, conf->devices->len);
    return true;
}

vsr_vmm *vsr_vmm_new(const vsr_engine_ops *engine, const vsr_domain_conf *conf,
                     vsr_vmm_resources *res, const vsr_vmm_events *events,
                     void *opaque, GError **error)
{
    vsr_vmm *vmm = g_new0(vsr_vmm, 1);

    vmm->res = *res;
    memset(res, 0, sizeof(*res));
    res->kernel_fd = res->initrd_fd = res->firmware_fd = -1;
    vmm->engine = engine;
    vmm->plugged = g_ptr_array_new_with_free_func(free_plugged);
    vmm->conf = vsr_domain_conf_copy(conf);
    if (events)
        vmm->events = *events;
    vmm->opaque = opaque;
    vmm->state = VSR_STATE_SHUTOFF;
    vmm->smaps_fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    if (check_arguments(engine, conf, &vmm->res, error))
        vmm->loop = vsr_loop_new("vmm", error);
    if (!vmm->loop || !vmm_control(vmm, do_build, NULL, error)) {
        vmm_dispose(vmm);
        return NULL;
    }
    return vmm;
}

static bool do_destroy(vsr_vmm *vmm, void *unused, GError **error)
{
    vmm_stop(vmm, VSR_REASON_DESTROYED, 0, NULL, VMM_DESTROY_NS);
    return true;
}

void vsr_vmm_free(vsr_vmm *vmm)
{
    if (!vmm)
        return;
    g_atomic_int_set(&vmm->hurry, 1);
    vmm_control(vmm, do_destroy, NULL, NULL);
    vmm_dispose(vmm);
}

/* --- life cycle --- */

static bool fail_state(vsr_vmm *vmm, GError **error, const char *wanted)
{
    static const char *const texts[] = {
        [VSR_STATE_SHUTOFF] = "shut off",
        [VSR_STATE_RUNNING] = "running",
        [VSR_STATE_PAUSED] = "paused",
        [VSR_STATE_SHUTTING_DOWN] = "shutting down",
        [VSR_STATE_CRASHED] = "crashed",
    };

    return vsr_fail(error, VISOR_ERR_STATE, "Domain '%s' is %s, not %s",
                    vmm->conf->name, texts[vmm->state], wanted);
}

static bool do_resume(vsr_vmm *vmm, void *unused, GError **error)
{
    bool is_first = vmm->reason == VSR_REASON_STARTING;

    if (vmm->state != VSR_STATE_PAUSED)
        return fail_state(vmm, error, "paused");
    if (vmm->ended)
        return vsr_fail(error, VISOR_ERR_STATE,
                        "Domain '%s' has ended and was preserved: reset or "
                        "destroy it",
                        vmm->conf->name);
    if (!vmm->loaded && !vmm_power_on(vmm, error))
        return false;
    vsr_machine_run(vmm->machine);
    vmm_set_state(vmm, VSR_STATE_RUNNING,
                  is_first ? VSR_REASON_BOOTED : VSR_REASON_RESUMED, 0, NULL);
    return true;
}

bool vsr_vmm_resume(vsr_vmm *vmm, GError **error)
{
    return vmm_control(vmm, do_resume, NULL, error);
}

static bool do_suspend(vsr_vmm *vmm, void *unused, GError **error)
{
    if (vmm->state != VSR_STATE_RUNNING)
        return fail_state(vmm, error, "running");
    vsr_machine_pause(vmm->machine);
    vmm_set_state(vmm, VSR_STATE_PAUSED, VSR_REASON_USER, 0, NULL);
    return true;
}

bool vsr_vmm_suspend(vsr_vmm *vmm, GError **error)
{
    return vmm_control(vmm, do_suspend, NULL, error);
}

/* A paused domain stays paused; one that crashed gets its second chance. */
static bool do_reset(vsr_vmm *vmm, void *unused, GError **error)
{
    bool stay_paused = vmm->state == VSR_STATE_PAUSED;

    if (vmm->state == VSR_STATE_SHUTOFF || vmm->stopping)
        return fail_state(vmm, error, "active");
    if (!vmm_restart(vmm, stay_paused, error))
        return false;
    if (vmm->state == VSR_STATE_CRASHED)
        vmm_set_state(vmm, VSR_STATE_RUNNING, VSR_REASON_RESET, 0, NULL);
    else if (stay_paused && vmm->reason == VSR_REASON_PRESERVED)
        vmm_set_state(vmm, VSR_STATE_PAUSED, VSR_REASON_USER, 0, NULL);
    else if (!stay_paused)
        vmm->reason = VSR_REASON_RESET;
    return true;
}

bool vsr_vmm_reset(vsr_vmm *vmm, GError **error)
{
    return vmm_control(vmm, do_reset, NULL, error);
}

static bool do_button(vsr_vmm *vmm, void *args, GError **error)
{
    const bool *reboot = args;

    if (vmm->state != VSR_STATE_RUNNING)
        return fail_state(vmm, error, "running");
    vmm->reboot_next = *reboot;
    vmm_power_button(vmm);
    return true;
}

bool vsr_vmm_shutdown(vsr_vmm *vmm, GError **error)
{
    bool reboot = false;

    return vmm_control(vmm, do_button, &reboot, error);
}

bool vsr_vmm_reboot(vsr_vmm *vmm, GError **error)
{
    bool reboot = true;

    return vmm_control(vmm, do_button, &reboot, error);
}

bool vsr_vmm_destroy(vsr_vmm *vmm, GError **error)
{
    g_atomic_int_set(&vmm->hurry, 1);
    return vmm_control(vmm, do_destroy, NULL, error);
}

/* --- looking --- */

typedef struct {
    vsr_state state;
    vsr_reason reason;
    vsr_domain_conf *conf;
} view;

static bool do_state(vsr_vmm *vmm, void *args, GError **error)
{
    view *v = args;

    v->state = vmm->state;
    v->reason = vmm->reason;
    return true;
}

vsr_state vsr_vmm_state(vsr_vmm *vmm, vsr_reason *reason)
{
    view v = { 0 };

    vmm_control(vmm, do_state, &v, NULL);
    if (reason)
        *reason = v.reason;
    return v.state;
}

static bool do_conf(vsr_vmm *vmm, void *args, GError **error)
{
    vmm_refresh_memory(vmm);
    ((view *)args)->conf = vsr_domain_conf_copy(vmm->conf);
    return true;
}

vsr_domain_conf *vsr_vmm_conf(vsr_vmm *vmm)
{
    view v = { 0 };

    vmm_control(vmm, do_conf, &v, NULL);
    return v.conf;
}

/* --- threads --- */

typedef struct {
    vsr_thread_fn *fn;
    void *opaque;
    GError **error;
    bool ok;
} thread_call;

static void run_on_loop(void *args)
{
    thread_call *call = args;

    call->ok = call->fn(VSR_THREAD_IO, call->opaque, call->error);
}

static int run_on_vcpu(vsr_engine_vcpu *vcpu, void *args)
{
    thread_call *call = args;

    call->ok = call->fn(VSR_THREAD_VCPU, call->opaque, call->error);
    return 0;
}

/* On one that comes later. */
static bool enter_vcpu(void *opaque, GError **error)
{
    const vsr_vmm *vmm = opaque;

    return vmm->thread_fn(VSR_THREAD_VCPU, vmm->thread_opaque, error);
}

static bool do_each_thread(vsr_vmm *vmm, void *args, GError **error)
{
    thread_call *call = args;

    if (vmm->state != VSR_STATE_PAUSED)
        return fail_state(vmm, error, "paused");
    for (uint32_t i = 0; i < vmm->machine->n_vcpus && call->ok; i++)
        if (vsr_vcpus_call(vmm->machine->vcpus, i, run_on_vcpu, call) < 0)
            return vsr_fail(error, VISOR_ERR_STATE, "vCPU %u is busy", i);
    vmm->thread_fn = call->fn;
    vmm->thread_opaque = call->opaque;
    vsr_machine_set_vcpu_entry(vmm->machine, enter_vcpu, vmm);
    if (call->ok)
        vsr_loop_sync(vmm->machine->loop, run_on_loop, call);
    return call->ok && call->fn(VSR_THREAD_CONTROL, call->opaque, error);
}

bool vsr_vmm_each_thread(vsr_vmm *vmm, vsr_thread_fn *fn, void *opaque,
                         GError **error)
{
    thread_call call = { fn, opaque, error, true };

    return vmm_control(vmm, do_each_thread, &call, error);
}
