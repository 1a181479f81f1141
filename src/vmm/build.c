/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * build.c: a machine from a configuration, step by step; whatever fails, the
 * caller takes down what is there with vmm_teardown(), and the error names the
 * step.
 *
 * Threads: the control thread.
 */
#include "vmm/vmm_state.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/x86/cpu_model.h"

static bool check_engine(const vsr_vmm *vmm, const vsr_engine_caps *caps,
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
    if (kvmclock == VSR_SWITCH_OFF)
        want(features, "kvmclock-old", kvmclock);
    want(features, "kvm-pv-unhalt", conf->features.pvspinlock);
    want(features, "kvm-poll-control", conf->features.poll_control);
    want(features, "kvm-pv-ipi", conf->features.pv_ipi);
    if (conf->tuning.disable_exits & VSR_DISABLE_MWAIT)
        want(features, "monitor", VSR_SWITCH_ON);
    spare_features(conf, features);
    return features;
}

static vsr_cpuid *make_cpuid(vsr_vmm *vmm, const vsr_engine_caps *caps,
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

static bool make_machine(vsr_vmm *vmm, const vsr_engine_caps *caps,
                         GError **error)
{
    const vsr_domain_conf *conf = vmm->conf;
    g_autofree vsr_cpuid *cpuid = NULL;
    vsr_machine_config config = {
        .engine = vmm->engine,
        .vcpus = conf->vcpus,
        .max_vcpus = conf->vcpus_max,
        .triple_fault_resets = false,
        .vm.disable_exits = conf->tuning.disable_exits,
        .vm.has_halt_poll = conf->tuning.has_halt_poll,
        .vm.halt_poll_ns = conf->tuning.halt_poll_ns,
    };

    if (vmm->engine->cpuid_supported) {
        cpuid = make_cpuid(vmm, caps, error);
        if (!cpuid)
            return vsr_fail_prefix(error, "CPU");
    }
    config.cpuid = cpuid;
    vmm->machine = vsr_machine_new(&config, &vmm_machine_events, vmm, error);
    return vmm->machine || vsr_fail_prefix(error, "Machine");
}

/* Can the guest learn the time of day without an RTC? */
static bool has_kvmclock(const vsr_cpuid *rows)
{
    enum { LEAF_KVM = 0x40000001, CLOCKS = 1 << 0 | 1 << 3 };
    bool is_guest = false, has_clock = false;

    for (uint32_t i = 0; rows && i < rows->n; i++) {
        const vsr_cpuid_row *row = &rows->row[i];

        if (row->leaf == 1)
            is_guest = row->ecx >> 31;
        else if (row->leaf == LEAF_KVM)
            has_clock = row->eax & CLOCKS;
    }
    return is_guest && has_clock;
}

/* A kernel that starts directly takes UTC from the paravirtual clock. Reading
 * an RTC beside it would cost it 130 exits, on the board that is there for a
 * quick start. */
static bool wants_rtc(const vsr_vmm *vmm)
{
    const vsr_domain_conf *conf = vmm->conf;

    return conf->os.machine != VSR_MACHINE_MICRO || conf->os.loader ||
           conf->features.test_devices || conf->clock.kind != VSR_CLOCK_UTC ||
           !has_kvmclock(vmm->machine->config.cpuid);
}

/* Huge pages are shared unless somebody says otherwise: that costs nothing. */
static vsr_mem_options memory_options(vsr_vmm *vmm)
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
        .cancel = &vmm->hurry,
    };
}

static bool make_board(vsr_vmm *vmm, GError **error)
{
    const vsr_domain_conf *conf = vmm->conf;
    const vsr_mem_options options = memory_options(vmm);
    uint64_t ram =
        vsr_round_up(conf->current_memory_kib * VSR_KIB, 4 * VSR_KIB);

    if (!vsr_board_init(&vmm->board,
                        conf->os.machine == VSR_MACHINE_MICRO ? VSR_BOARD_MICRO
                                                              : VSR_BOARD_PCI,
                        ram, conf->vcpus, conf->vcpus_max, error))
        return vsr_fail_prefix(error, "Board");
    vmm->board.has_rtc = wants_rtc(vmm);
    vmm->board.n_serials = 0;
    for (guint i = 0; i < conf->serials->len; i++) {
        uint32_t port = g_array_index(conf->serials, vsr_char_conf, i).port;

        vmm->board.n_serials = MAX(vmm->board.n_serials, port + 1);
    }
    return vsr_board_add_ram(&vmm->board, vmm->machine, &options, error) ||
           vsr_fail_prefix(error, "RAM");
}

static bool make_serials(vsr_vmm *vmm, GError **error)
{
    for (uint32_t i = 0; i < vmm->res.n_serials; i++) {
        vsr_char_conf *chr =
            &g_array_index(vmm->conf->serials, vsr_char_conf, i);

        vmm->serial[i] = vsr_chardev_new(vmm->loop, &vmm->res.serial[i], error);
        if (!vmm->serial[i])
            return vsr_fail_prefix(error, "<serial> of port %u", chr->port);
        vmm->n_serials = i + 1;
        if (chr->kind == VSR_CHAR_PTY) {
            g_free(chr->path);
            chr->path = g_strdup(vsr_chardev_path(vmm->serial[i]));
        }
    }
    return true;
}

static vsr_boot_source boot_source(const vsr_vmm *vmm)
{
    const vsr_domain_conf *conf = vmm->conf;

    return (vsr_boot_source){
        .kernel_fd = vmm->res.kernel_fd,
        .initrd_fd = vmm->res.initrd_fd,
        .firmware_fd = vmm->res.firmware_fd,
        .kernel_name = conf->os.kernel,
        .initrd_name = conf->os.initrd,
        .firmware_name = conf->os.loader,
        .cmdline = conf->os.cmdline ? conf->os.cmdline : "",
    };
}

static bool load(vsr_machine *machine, vsr_x86_state *state, void *opaque,
                 GError **error)
{
    const vsr_vmm *vmm = opaque;
    const vsr_boot_source source = boot_source(vmm);

    return vsr_boot_load(machine, &vmm->board, &source, state, error);
}

bool vmm_build(vsr_vmm *vmm, GError **error)
{
    const vsr_boot_source source = boot_source(vmm);
    vsr_engine_caps caps = { 0 };
    vsr_image_kind kind;

    if (!vmm->engine->caps(&caps, error) || !check_engine(vmm, &caps, error) ||
        !check_tuning(vmm, &caps, error))
        return false;
    if (!vsr_boot_probe(&source, &kind, error))
        return vsr_fail_prefix(error, "Boot");
    if (!make_machine(vmm, &caps, error) || !make_board(vmm, error) ||
        !make_serials(vmm, error))
        return false;
    if (!vmm_add_chips(vmm, error) || !vmm_add_devices(vmm, error))
        return vsr_fail_prefix(error, "Devices");
    vsr_machine_set_load(vmm->machine, load, vmm);
    return true;
}

bool vmm_power_on(vsr_vmm *vmm, GError **error)
{
    if (!vsr_machine_reset(vmm->machine, error))
        return vsr_fail_prefix(error, "Boot");
    vmm->loaded = true;
    return true;
}

void vmm_teardown(vsr_vmm *vmm)
{
    /* The devices write to the serials until they are gone. */
    g_clear_pointer(&vmm->machine, vsr_machine_free);
    vmm->power = NULL;
    vmm->loaded = false;
    for (uint32_t i = 0; i < VSR_SERIALS_MAX; i++)
        g_clear_pointer(&vmm->serial[i], vsr_chardev_free);
    vmm->n_serials = 0;
}
