/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy.c: what a configuration asks of the engine, and whether it has it: the
 * processor that the guest sees, the kind of its memory, when it leaves to the
 * host.
 *
 * Threads: the control thread.
 */
#include "vmm/vmm_state.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/x86/cpu_model.h"

static bool check_size(const vsr_vmm *vmm, const vsr_engine_caps *caps,
                       GError **error)
{
    const vsr_domain_conf *conf = vmm->conf;

    if (conf->vcpus_max > caps->max_vcpus)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<vcpu> is %u, engine '%s' has %u at the most",
                        conf->vcpus_max, vmm->engine->name, caps->max_vcpus);
    if (caps->max_memory && conf->memory_kib > caps->max_memory / VSR_KIB)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<memory> is %" PRIu64 " KiB, engine '%s' has %" PRIu64
                        " KiB at the most",
                        conf->memory_kib, vmm->engine->name,
                        caps->max_memory / VSR_KIB);
    if (conf->clock.timers & VSR_TIMER_KVMCLOCK && !caps->kvmclock)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<timer name='kvmclock'>: engine '%s' has none",
                        vmm->engine->name);
    return true;
}

static bool check_tuning(const vsr_vmm *vmm, const vsr_engine_caps *caps,
                         GError **error)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } exits[] = {
        { VSR_DISABLE_HLT, "hlt" },
        { VSR_DISABLE_MWAIT, "mwait" },
        { VSR_DISABLE_PAUSE, "pause" },
        { VSR_DISABLE_CSTATE, "cstate" },
    };
    const vsr_domain_conf *conf = vmm->conf;

    for (size_t i = 0; i < VSR_ARRAY_SIZE(exits); i++)
        if (conf->tuning.disable_exits & ~caps->disable_exits & exits[i].bit)
            return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                            "<visor:disable-exits %s='on'>: engine '%s' of "
                            "this host cannot do without these exits",
                            exits[i].name, vmm->engine->name);
    if (conf->tuning.has_halt_poll && !caps->halt_poll)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<visor:halt-poll>: engine '%s' of this host has no "
                        "such setting",
                        vmm->engine->name);
    if (conf->cpu.mode == VSR_CPU_HOST_PASSTHROUGH && !caps->accelerated)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<cpu mode='host-passthrough'>: engine '%s' does not "
                        "run guests on the host's processor; mode='maximum' "
                        "is all that it has",
                        vmm->engine->name);
    return true;
}

/* Without that, MWAIT would come back at once and the guest never rest. */
static bool check_monitor(const vsr_domain_conf *conf, GError **error)
{
    for (guint i = 0; i < conf->cpu.features->len; i++) {
        const vsr_feature_conf *f =
            &g_array_index(conf->cpu.features, vsr_feature_conf, i);

        if (strcmp(f->name, "monitor") == 0 &&
            f->policy <= VSR_POLICY_OPTIONAL &&
            !(conf->tuning.disable_exits & VSR_DISABLE_MWAIT))
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "<feature name='monitor'> goes with "
                            "<visor:disable-exits mwait='on'/> only");
    }
    return true;
}

bool vmm_check_engine(const vsr_vmm *vmm, const vsr_engine_caps *caps,
                      GError **error)
{
    return check_size(vmm, caps, error) && check_tuning(vmm, caps, error) &&
           check_monitor(vmm->conf, error);
}

/* conf and machine, conf and engine name these in the same order. */
G_STATIC_ASSERT((int)VSR_POLICY_FORCE == (int)VSR_FEATURE_FORCE);
G_STATIC_ASSERT((int)VSR_POLICY_FORBID == (int)VSR_FEATURE_FORBID);
G_STATIC_ASSERT((int)VSR_DISABLE_MWAIT == (int)VSR_EXIT_MWAIT);
G_STATIC_ASSERT((int)VSR_DISABLE_HLT == (int)VSR_EXIT_HLT);
G_STATIC_ASSERT((int)VSR_DISABLE_PAUSE == (int)VSR_EXIT_PAUSE);
G_STATIC_ASSERT((int)VSR_DISABLE_CSTATE == (int)VSR_EXIT_CSTATE);

static void want(GArray *features, const char *name, vsr_switch value)
{
    const vsr_cpu_feature feature = {
        .name = name,
        .policy =
            value == VSR_SWITCH_ON ? VSR_FEATURE_REQUIRE : VSR_FEATURE_DISABLE,
    };

    if (value != VSR_SWITCH_DEFAULT)
        g_array_append_val(features, feature);
}

static bool is_named(const GArray *features, const char *name)
{
    for (guint i = 0; i < features->len; i++)
        if (g_str_equal(g_array_index(features, vsr_cpu_feature, i).name, name))
            return true;
    return false;
}

static void spare(GArray *features, const char *name)
{
    if (!is_named(features, name))
        want(features, name, VSR_SWITCH_OFF);
}

/* What costs a start on the micro board and gains nothing there, unless the
 * CPU was chosen: MTRRs (100 exits to read them; no device has memory to map),
 * and x2APIC (200, because Linux reads and writes back all of the IOAPIC before
 * it is on) where there are neither IPIs nor interrupts that need an EOI. */
static void spare_features(const vsr_domain_conf *conf, GArray *features)
{
    if (conf->os.machine != VSR_MACHINE_MICRO || conf->os.loader ||
        conf->features.test_devices || conf->cpu.mode != VSR_CPU_MAXIMUM)
        return;
    spare(features, "mtrr");
    if (conf->vcpus_max == 1 && conf->devices->len == 0)
        spare(features, "x2apic");
}

/* What <feature>, <features>, <timer> and the rest say about single bits. Owned
 * by the caller; the names are borrowed. */
static GArray *cpu_features(const vsr_domain_conf *conf)
{
    GArray *features = g_array_new(FALSE, TRUE, sizeof(vsr_cpu_feature));
    uint32_t timers = conf->clock.timers;
    vsr_switch kvmclock = timers & VSR_TIMER_KVMCLOCK      ? VSR_SWITCH_ON
                          : timers & VSR_TIMER_NO_KVMCLOCK ? VSR_SWITCH_OFF
                                                           : VSR_SWITCH_DEFAULT;

    for (guint i = 0; i < conf->cpu.features->len; i++) {
        const vsr_feature_conf *f =
            &g_array_index(conf->cpu.features, vsr_feature_conf, i);
        const vsr_cpu_feature feature = {
            .name = f->name,
            .policy = (vsr_feature_policy)f->policy,
        };

        g_array_append_val(features, feature);
    }
    want(features, "kvmclock", kvmclock);
    want(features, "kvm-pv-unhalt", conf->features.pvspinlock);
    want(features, "kvm-poll-control", conf->features.poll_control);
    want(features, "kvm-pv-ipi", conf->features.pv_ipi);
    if (conf->tuning.disable_exits & VSR_DISABLE_MWAIT)
        want(features, "monitor", VSR_SWITCH_ON);
    spare_features(conf, features);
    return features;
}

vsr_cpuid *vmm_make_cpuid(vsr_vmm *vmm, const vsr_engine_caps *caps,
                          GError **error)
{
    const vsr_domain_conf *conf = vmm->conf;
    g_autoptr(GArray) features = cpu_features(conf);
    g_autofree vsr_cpuid *supported = g_new0(vsr_cpuid, 1);
    g_autofree vsr_cpuid *out = g_new0(vsr_cpuid, 1);
    vsr_cpu_model model = {
        .model = conf->cpu.model,
        .minimum = conf->cpu.minimum,
        .known_only = conf->cpu.mode == VSR_CPU_HOST_MODEL,
        .migratable = conf->cpu.mode == VSR_CPU_HOST_MODEL ||
                      conf->cpu.migratable == VSR_SWITCH_ON,
        .foreign_vendor = !caps->accelerated,
        .vendor = conf->cpu.vendor,
        .features = (const vsr_cpu_feature *)(void *)features->data,
        .n_features = features->len,
        .hide_kvm = conf->features.kvm_hidden == VSR_SWITCH_ON,
        .hint_dedicated = conf->features.hint_dedicated == VSR_SWITCH_ON,
    };

    if (conf->cpu.topology) {
        model.sockets = conf->cpu.sockets;
        model.dies = conf->cpu.dies;
        model.cores = conf->cpu.cores;
        model.threads = conf->cpu.threads;
    }
    if (!vmm->engine->cpuid_supported(supported, error) ||
        !vsr_cpu_model_cpuid(&model, supported, conf->vcpus_max, out, error))
        return NULL;
    return g_steal_pointer(&out);
}

/* Huge pages are shared unless somebody says otherwise: that costs nothing. */
vsr_mem_options vmm_memory_options(const vsr_vmm *vmm)
{
    const vsr_domain_conf *conf = vmm->conf;
    bool is_private = conf->backing.source == VSR_SOURCE_ANONYMOUS ||
                      conf->backing.access == VSR_ACCESS_PRIVATE;
    uint64_t page =
        conf->backing.page_kib ? conf->backing.page_kib * VSR_KIB : 2 * VSR_MIB;

    return (vsr_mem_options){
        .page_bytes = conf->backing.hugepages ? page : 0,
        .shared = conf->backing.source == VSR_SOURCE_MEMFD ||
                  conf->backing.access == VSR_ACCESS_SHARED ||
                  (conf->backing.hugepages && !is_private),
        .prealloc = conf->backing.allocation == VSR_ALLOCATION_IMMEDIATE,
        .threads = conf->backing.threads,
        .locked = conf->backing.locked,
        .lock_on_touch = conf->backing.allocation == VSR_ALLOCATION_ONDEMAND,
        .no_merge = conf->backing.nosharepages,
    };
}
