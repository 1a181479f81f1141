/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug_cpu.c: vCPUs that come and go while the domain is active.
 *
 * Those that come are made and put in place with the others standing still for a
 * moment, then the guest hears of it. Of those that are to go, the highest go
 * first, each when the guest has let go of it, which may be never. A guest may
 * let go of any but vCPU 0 unasked: the numbers then have a gap until the next
 * start, at which those in use are the first ones again.
 *
 * Threads: the control thread, where vmm.h's functions carry their calls.
 */
#include "base/error.h"
#include "base/log.h"
#include "devices/irqchip/lapic.h"
#include "devices/legacy/cpu_hotplug.h"
#include "devices/legacy/fw_cfg.h"
#include "vmm/plugged.h"
#include "vmm/vmm_state.h"

/* The machine stands still in all of these. */

static void count(vsr_vmm *vmm)
{
    vmm->conf->vcpus = vmm->board.vcpus = vmm->machine->n_vcpus;
}

static void take_out(vsr_vmm *vmm, uint32_t vcpu)
{
    if (vmm->lapic != NULL)
        vsr_lapic_set_used(vmm->lapic, vcpu, false);
    vsr_machine_vcpu_unplug(vmm->machine, vcpu);
    count(vmm);
}

static bool put_in(vsr_vmm *vmm, uint32_t vcpu, GError **error)
{
    if (!vsr_machine_vcpu_plug(vmm->machine, vcpu, error))
        return false;
    if (vmm->lapic != NULL)
        vsr_lapic_set_used(vmm->lapic, vcpu, true);
    count(vmm);
    return true;
}

/* --- what the guest has let go of ------------------------------------------------ */

static void take_ejected(vsr_vmm *vmm)
{
    bool was_running = vsr_machine_running(vmm->machine);
    uint32_t vcpu;

    while (vsr_cpu_hotplug_take(vmm->cpus, &vcpu)) {
        vsr_machine_pause(vmm->machine);
        take_out(vmm, vcpu);
        vsr_log(VSR_LOG_INFO, "vCPU %u was removed", vcpu);
    }
    if (was_running)
        vsr_machine_run(vmm->machine);
}

static void handle_ejected(void *opaque)
{
    vsr_vmm *vmm = opaque;

    if (vmm->machine != NULL && vmm->cpus != NULL && !vmm->stopping)
        take_ejected(vmm);
}

/* On the machine's loop. */
static void on_ejected(void *opaque)
{
    vsr_vmm *vmm = opaque;

    vsr_loop_call(vmm->loop, handle_ejected, vmm);
}

/* --- with the machine ------------------------------------------------------------ */

bool vmm_add_cpu_hotplug(vsr_vmm *vmm, GError **error)
{
    vsr_cpu_hotplug_params params = {
        .port = VSR_PORT_CPUS,
        .gsi = VSR_GSI_CPUS,
        .vcpus = vmm->conf->vcpus_max,
        .ejected = on_ejected,
        .opaque = vmm,
    };

    if (!vmm->board.cpu_hotplug)
        return true;
    vmm->cpus = vsr_device_new(vmm->machine, &vsr_cpu_hotplug_class,
                               "cpu-hotplug", &params, error);
    return vmm->cpus != NULL;
}

bool vmm_arrange_vcpus(vsr_vmm *vmm, GError **error)
{
    vsr_device *fw_cfg = vsr_device_find(vmm->machine, "fw-cfg");
    uint32_t n;

    if (vmm->cpus == NULL)
        return true;
    take_ejected(vmm);
    n = vmm->machine->n_vcpus;
    for (uint32_t i = 0; i < vmm->conf->vcpus_max; i++) {
        /* What fills a gap has been in use before: it is there. */
        if (i < n && !put_in(vmm, i, error))
            return false;
        if (i >= n)
            take_out(vmm, i);
        vsr_cpu_hotplug_set(vmm->cpus, i, i < n);
    }
    if (fw_cfg != NULL)
        vsr_fw_cfg_set_cpus(fw_cfg, n);
    return true;
}

/* --- changes --------------------------------------------------------------------- */

/* All or none. */
static bool plug(vsr_vmm *vmm, uint32_t n, GError **error)
{
    bool was_running = vsr_machine_running(vmm->machine), ok = true;
    g_autoptr(GArray) came = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    vsr_machine_pause(vmm->machine);
    for (uint32_t i = 1; vmm->machine->n_vcpus < n && ok; i++) {
        if (vsr_machine_vcpu_in_use(vmm->machine, i))
            continue;
        ok = put_in(vmm, i, error);
        if (ok)
            g_array_append_val(came, i);
    }
    for (guint i = 0; i < came->len; i++) {
        uint32_t vcpu = g_array_index(came, uint32_t, i);

        if (!ok) {
            take_out(vmm, vcpu);
            continue;
        }
        if (vmm->loaded)
            vsr_cpu_hotplug_plugged(vmm->cpus, vcpu);
        else
            vsr_cpu_hotplug_set(vmm->cpus, vcpu, true);
        vsr_log(VSR_LOG_INFO, "vCPU %u was added", vcpu);
    }
    if (was_running)
        vsr_machine_run(vmm->machine);
    return ok;
}

/* Those that nobody asks for any more may stay. */
static void ask(vsr_vmm *vmm, uint32_t n)
{
    uint32_t to_go = vmm->machine->n_vcpus - MIN(n, vmm->machine->n_vcpus);

    for (uint32_t i = vmm->conf->vcpus_max - 1; i > 0; i--) {
        if (!vsr_machine_vcpu_in_use(vmm->machine, i))
            continue;
        if (to_go == 0) {
            vsr_cpu_hotplug_withdraw(vmm->cpus, i);
            continue;
        }
        to_go--;
        if (vmm->loaded) {
            vsr_cpu_hotplug_ask(vmm->cpus, i);
            vsr_log(VSR_LOG_INFO, "The guest is asked to let go of vCPU %u", i);
        } else { /* which has not begun, and holds on to nothing */
            take_out(vmm, i);
            vsr_cpu_hotplug_set(vmm->cpus, i, false);
        }
    }
}

static bool do_set_vcpus(vsr_vmm *vmm, void *args, GError **error)
{
    const vsr_domain_conf *conf = vmm->conf;
    uint32_t n = *(const uint32_t *)args;

    if (!vmm_check_active(vmm, error))
        return false;
    if (n == 0 || n > conf->vcpus_max)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain '%s' can have 1 to %u vCPUs, not %u%s",
                        conf->name, conf->vcpus_max, n,
                        n == 0 ? ": vCPU 0 cannot go" : "");
    if (vmm->cpus == NULL)
        return n == vmm->machine->n_vcpus ||
               vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Domain '%s' keeps its %u vCPUs while it runs: the "
                        "micro machine can change them only if it starts with "
                        "fewer than its maximum",
                        conf->name, vmm->machine->n_vcpus);
    take_ejected(vmm);
    if (!plug(vmm, n, error))
        return false;
    ask(vmm, n);
    return true;
}

bool vsr_vmm_set_vcpus(vsr_vmm *vmm, uint32_t n, GError **error)
{
    return vmm_control(vmm, do_set_vcpus, &n, error);
}

static bool do_count(vsr_vmm *vmm, void *args, GError **error)
{
    *(uint32_t *)args = vmm->conf->vcpus;
    return true;
}

uint32_t vsr_vmm_vcpus(vsr_vmm *vmm)
{
    uint32_t n = 0;

    (void)vmm_control(vmm, do_count, &n, NULL);
    return n;
}
