/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * machine.c: one virtual computer, put together and driven.
 *
 * Threads: as machine.h says; the up-calls at the top come on vCPU threads.
 */
#include "machine/machine.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "machine/vcpu.h"
#include "machine/x86/reset.h"

/* --- up-calls of the engine --- */

static void up_mmio(void *machine, vsr_io *io)
{
    vsr_bus_access(((vsr_machine *)machine)->bus, VSR_SPACE_MMIO, io);
}

static void up_pio(void *machine, vsr_io *io)
{
    vsr_bus_access(((vsr_machine *)machine)->bus, VSR_SPACE_PIO, io);
}

static int up_intr_ack(void *machine, uint32_t vcpu)
{
    return vsr_irqs_intr_ack(((vsr_machine *)machine)->irqs, vcpu);
}

static bool up_msr(void *machine, uint32_t vcpu, uint32_t index, bool is_write,
                   uint64_t *value)
{
    return vsr_irqs_msr(((vsr_machine *)machine)->irqs, vcpu, index, is_write,
                        value);
}

static uint64_t up_cr8_get(void *machine, uint32_t vcpu)
{
    return vsr_irqs_cr8_get(((vsr_machine *)machine)->irqs, vcpu);
}

static void up_cr8_set(void *machine, uint32_t vcpu, uint64_t value)
{
    vsr_irqs_cr8_set(((vsr_machine *)machine)->irqs, vcpu, value);
}

static void up_stopped(void *opaque, vsr_run_reason reason)
{
    vsr_machine *machine = opaque;
    bool resets =
        reason == VSR_RUN_SHUTDOWN && machine->config.triple_fault_resets;

    vsr_machine_request(machine, resets ? VSR_REQUEST_RESET : VSR_REQUEST_CRASH,
                        0, "The hypervisor stopped the domain");
}

static const vsr_engine_events up_calls = {
    .mmio = up_mmio,
    .pio = up_pio,
    .intr_ack = up_intr_ack,
    .msr = up_msr,
    .cr8_get = up_cr8_get,
    .cr8_set = up_cr8_set,
    .stopped = up_stopped,
};

/* --- life --- */

static bool config_check(const vsr_machine_config *config,
                         vsr_engine_caps *caps, GError **error)
{
    const vsr_engine_ops *engine = config->engine;

    if (!vsr_engine_check(engine, error))
        return false;
    if (config->caps != NULL)
        *caps = *config->caps;
    else if (!engine->caps(caps, error))
        return false;
    if (!vsr_engine_check_caps(engine, caps, error))
        return false;
    if (config->vcpus == 0 || config->vcpus > config->max_vcpus)
        return vsr_fail(error, VISOR_ERR_CONFIG, "%u of at most %u vCPUs",
                        config->vcpus, config->max_vcpus);
    if (config->max_vcpus > caps->max_vcpus)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Engine '%s' runs %u vCPUs at most, not %u",
                        engine->name, caps->max_vcpus, config->max_vcpus);
    return true;
}

/* Of one that the engine has just made. */
static bool power_on_get(vsr_machine *machine, uint32_t index, GError **error)
{
    g_autofree vsr_x86_state *state = g_new(vsr_x86_state, 1);
    int rc = vsr_machine_vcpu_get(machine, index, state);

    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot read the state of vCPU %u",
                              index);
    machine->power_on[index] = g_steal_pointer(&state);
    return true;
}

static bool machine_build(vsr_machine *machine, GError **error)
{
    const vsr_engine_ops *engine = machine->engine;
    vsr_vm_config vm_config = machine->config.vm;
    bool ok;

    vm_config.vcpus = machine->config.max_vcpus;
    machine->loop = vsr_loop_new("machine", error);
    if (machine->loop == NULL)
        return false;
    machine->bus = vsr_bus_new();
    machine->vm = engine->vm_new(&vm_config, &up_calls, machine, error);
    if (machine->vm == NULL)
        return false;
    /* Clocks stand still until the first run. */
    if (engine->vm_pause != NULL)
        (void)engine->vm_pause(machine->vm);
    vsr_bus_set_engine(machine->bus, engine, machine->vm);
    machine->irqs = vsr_irqs_new(engine, machine->vm, &machine->caps);
    machine->mem = vsr_mem_new(engine, machine->vm, machine->caps.max_slots);
    if (machine->config.add_ram != NULL &&
        !machine->config.add_ram(machine, machine->opaque, error))
        return false;
    if (engine->vcpu_run == NULL)
        return true;
    machine->vcpus = vsr_vcpus_new(machine, error);
    ok = machine->vcpus != NULL;
    machine->power_on = g_new0(vsr_x86_state *, machine->config.max_vcpus);
    for (uint32_t i = 0; i < machine->n_vcpus && ok; i++)
        ok = power_on_get(machine, i, error);
    return ok;
}

vsr_machine *vsr_machine_new(const vsr_machine_config *config,
                             const vsr_machine_events *events, void *opaque,
                             GError **error)
{
    vsr_engine_caps caps = { 0 };
    vsr_machine *machine;

    if (!config_check(config, &caps, error))
        return NULL;
    machine = g_new0(vsr_machine, 1);
    machine->engine = config->engine;
    machine->caps = caps;
    machine->n_vcpus = config->vcpus;
    machine->config = *config;
    machine->config.caps = NULL; /* borrowed until here */
    machine->config.cpuid =
        g_memdup2(config->cpuid, sizeof *machine->config.cpuid);
    machine->events = events;
    machine->opaque = opaque;
    machine->devices = g_ptr_array_new();
    if (!machine_build(machine, error)) {
        vsr_machine_free(machine);
        return NULL;
    }
    return machine;
}

void vsr_machine_free(vsr_machine *machine)
{
    if (machine == NULL)
        return;
    vsr_machine_pause(machine);
    while (machine->devices->len > 0)
        vsr_device_free(machine->devices->pdata[machine->devices->len - 1]);
    /* After the devices, whose timers may signal a vCPU up to their end. */
    vsr_vcpus_free(machine->vcpus);
    vsr_loop_free(machine->loop);
    vsr_irqs_free(machine->irqs);
    vsr_bus_free(machine->bus);
    machine->engine->vm_free(machine->vm);
    vsr_mem_free(machine->mem);
    g_ptr_array_unref(machine->devices);
    g_free((void *)(uintptr_t)machine->config.cpuid);
    for (uint32_t i = 0; machine->power_on && i < machine->config.max_vcpus;
         i++)
        g_free(machine->power_on[i]);
    g_free(machine->power_on);
    g_free(machine);
}

void vsr_machine_set_load(vsr_machine *machine, vsr_machine_load *load,
                          void *opaque)
{
    machine->load = load;
    machine->load_opaque = opaque;
}

/* --- reset --- */

static bool vcpu_reset(vsr_machine *machine, uint32_t index, uint64_t tsc,
                       GError **error)
{
    const vsr_x86_state *power_on = machine->power_on[index];
    g_autofree vsr_x86_state *state = g_memdup2(power_on, sizeof *power_on);
    int rc;

    vsr_x86_reset_state(state, machine->config.cpuid, index == 0);
    state->lapic_valid = power_on->lapic_valid;
    memcpy(state->lapic, power_on->lapic, sizeof state->lapic);
    state->tsc = tsc;
    if (index == 0 && machine->load != NULL &&
        !machine->load(machine, state, machine->load_opaque, error))
        return false;
    rc = vsr_machine_vcpu_set(machine, index, state);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot set the state of vCPU %u",
                              index);
    return true;
}

bool vsr_machine_reset(vsr_machine *machine, GError **error)
{
    int rc;

    vsr_machine_pause(machine);
    for (guint i = 0; i < machine->devices->len; i++) {
        vsr_device *device = machine->devices->pdata[i];

        if (device->class->reset != NULL)
            device->class->reset(device);
    }
    if (machine->engine->vm_reset != NULL) {
        rc = machine->engine->vm_reset(machine->vm);
        if (rc < 0)
            return vsr_fail_errno(error, rc, "Cannot reset engine '%s'",
                                  machine->engine->name);
    }
    rc = vsr_mem_clear(machine->mem);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot clear the memory");
    /* Also one that is parked: were its TSC another than the others', KVM would
     * give none of them a clock that is stable. */
    for (uint32_t i = 0; i < machine->config.max_vcpus; i++)
        if (machine->power_on != NULL && machine->power_on[i] != NULL &&
            !vcpu_reset(machine, i, 0, error))
            return false;
    g_atomic_int_set(&machine->requested, 0);
    return true;
}

/* --- run and pause --- */

void vsr_machine_run(vsr_machine *machine)
{
    if (!machine->running) {
        machine->running = true;
        if (machine->engine->vm_resume != NULL)
            (void)machine->engine->vm_resume(machine->vm);
        for (guint i = 0; i < machine->devices->len; i++) {
            vsr_device *device = machine->devices->pdata[i];

            if (device->class->unquiesce != NULL)
                device->class->unquiesce(device);
        }
    }
    if (machine->vcpus != NULL)
        vsr_vcpus_run(machine->vcpus);
    else if (machine->engine->pump_start != NULL)
        (void)machine->engine->pump_start(machine->vm);
}

void vsr_machine_pause(vsr_machine *machine)
{
    if (machine->vcpus != NULL)
        vsr_vcpus_pause(machine->vcpus);
    if (!machine->running)
        return;
    machine->running = false;
    if (machine->vcpus == NULL && machine->engine->pump_stop != NULL)
        (void)machine->engine->pump_stop(machine->vm);
    if (machine->engine->vm_pause != NULL)
        (void)machine->engine->vm_pause(machine->vm);
    for (guint i = machine->devices->len; i-- > 0;) {
        vsr_device *device = machine->devices->pdata[i];

        if (device->class->quiesce != NULL)
            device->class->quiesce(device);
    }
}

bool vsr_machine_running(const vsr_machine *machine)
{
    return machine->running &&
           __atomic_load_n(&machine->requested, __ATOMIC_SEQ_CST) == 0;
}

/* --- requests --- */

typedef struct {
    vsr_machine *machine;
    vsr_request request;
    int status;
    char *detail;
} request_call;

/* From the loop: the asker may hold its device's lock. */
static void request_deliver(void *opaque)
{
    request_call *call = opaque;
    vsr_machine *machine = call->machine;

    if (machine->events != NULL && machine->events->request != NULL)
        machine->events->request(machine->opaque, call->request, call->status,
                                 call->detail);
    g_free(call->detail);
    g_free(call);
}

void vsr_machine_request(vsr_machine *machine, vsr_request request, int status,
                         const char *detail)
{
    request_call *call;

    if (!g_atomic_int_compare_and_exchange(&machine->requested, 0, 1))
        return;
    if (machine->vcpus != NULL)
        vsr_vcpus_park(machine->vcpus);
    call = g_new(request_call, 1);
    *call = (request_call){ .machine = machine,
                            .request = request,
                            .status = status,
                            .detail = g_strdup(detail) };
    vsr_loop_call(machine->loop, request_deliver, call);
}

void vsr_machine_fail(vsr_machine *machine, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    vsr_log(VSR_LOG_ERROR, "%s", text);
    vsr_machine_request(machine, VSR_REQUEST_CRASH, 0, text);
}

/* --- vCPUs --- */

bool vsr_machine_vcpu_in_use(const vsr_machine *machine, uint32_t vcpu)
{
    return machine->vcpus != NULL && vsr_vcpus_is_used(machine->vcpus, vcpu);
}

void vsr_machine_set_vcpu_entry(vsr_machine *machine, vsr_vcpu_entry *entry,
                                void *opaque)
{
    if (machine->vcpus != NULL)
        vsr_vcpus_set_entry(machine->vcpus, entry, opaque);
}

bool vsr_machine_vcpu_plug(vsr_machine *machine, uint32_t vcpu, GError **error)
{
    if (machine->vcpus == NULL || vcpu >= machine->config.max_vcpus)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "vCPU %u is not one of the %u of this machine", vcpu,
                        machine->config.max_vcpus);
    if (vsr_machine_vcpu_in_use(machine, vcpu))
        return true;
    if (!vsr_vcpus_make(machine->vcpus, vcpu, error) ||
        (machine->power_on[vcpu] == NULL &&
         !power_on_get(machine, vcpu, error)))
        return false;
    /* Guests take TSCs that differ for a machine on which none is any good. */
    if (!vcpu_reset(machine, vcpu, vsr_machine_tsc(machine, 0), error))
        return false;
    vsr_vcpus_use(machine->vcpus, vcpu, true);
    machine->n_vcpus++;
    return true;
}

void vsr_machine_vcpu_unplug(vsr_machine *machine, uint32_t vcpu)
{
    if (vcpu == 0 || !vsr_machine_vcpu_in_use(machine, vcpu))
        return;
    vsr_vcpus_use(machine->vcpus, vcpu, false);
    machine->n_vcpus--;
    /* So that no timer of its LAPIC goes on in the engine. */
    (void)vcpu_reset(machine, vcpu, vsr_machine_tsc(machine, 0), NULL);
}

uint64_t vsr_machine_cpu_ns(const vsr_machine *machine)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; machine->vcpus && i < machine->config.max_vcpus; i++)
        sum += vsr_vcpus_cpu_ns(machine->vcpus, i);
    return sum;
}

int vsr_machine_signal(vsr_machine *machine, uint32_t vcpu,
                       vsr_vcpu_signal signal, uint32_t arg)
{
    vsr_engine_vcpu *handle;

    if (machine->vcpus == NULL || machine->engine->vcpu_signal == NULL)
        return -ENOTSUP;
    handle = vsr_vcpus_get(machine->vcpus, vcpu);
    if (handle == NULL)
        return -EINVAL;
    return machine->engine->vcpu_signal(handle, signal, arg);
}

uint64_t vsr_machine_tsc(vsr_machine *machine, uint32_t vcpu)
{
    vsr_engine_vcpu *handle;

    if (machine->vcpus == NULL || machine->engine->vcpu_tsc == NULL)
        return 0;
    handle = vsr_vcpus_get(machine->vcpus, vcpu);
    return handle != NULL ? machine->engine->vcpu_tsc(handle) : 0;
}

bool vsr_machine_vcpu_stats(vsr_machine *machine, uint32_t vcpu,
                            vsr_vcpu_stats *out)
{
    const vsr_engine_ops *engine = machine->engine;

    if (!vsr_machine_vcpu_in_use(machine, vcpu))
        return false;
    memset(out, 0, sizeof *out);
    out->cpu_ns = vsr_vcpus_cpu_ns(machine->vcpus, vcpu);
    if (engine->vcpu_stats != NULL)
        out->n = MIN(engine->vcpu_stats(vsr_vcpus_get(machine->vcpus, vcpu),
                                        out->name, out->value,
                                        G_N_ELEMENTS(out->value)),
                     G_N_ELEMENTS(out->value));
    return true;
}

typedef struct {
    const vsr_engine_ops *engine;
    vsr_x86_state *out;
    const vsr_x86_state *in;
} state_call;

static int state_get(vsr_engine_vcpu *vcpu, void *opaque)
{
    const state_call *call = opaque;

    return call->engine->vcpu_get(vcpu, call->out);
}

static int state_set(vsr_engine_vcpu *vcpu, void *opaque)
{
    const state_call *call = opaque;

    return call->engine->vcpu_set(vcpu, call->in);
}

int vsr_machine_vcpu_get(vsr_machine *machine, uint32_t vcpu,
                         vsr_x86_state *out)
{
    state_call call = { .engine = machine->engine, .out = out };

    if (machine->vcpus == NULL)
        return -ENOTSUP;
    memset(out, 0, sizeof *out);
    return vsr_vcpus_call(machine->vcpus, vcpu, state_get, &call);
}

int vsr_machine_vcpu_set(vsr_machine *machine, uint32_t vcpu,
                         const vsr_x86_state *in)
{
    state_call call = { .engine = machine->engine, .in = in };

    if (machine->vcpus == NULL)
        return -ENOTSUP;
    return vsr_vcpus_call(machine->vcpus, vcpu, state_set, &call);
}
