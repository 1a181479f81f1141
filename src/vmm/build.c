/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * build.c: a machine from a configuration, step by step; whatever fails, the
 * caller takes down what is there with vmm_teardown(), and the error names the
 * step.
 *
 * Threads: the control thread.
 */
#include "vmm/plugged.h"
#include "vmm/vmm_state.h"

#include "base/error.h"
#include "base/util.h"

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
static bool wants_rtc(const vsr_vmm *vmm, const vsr_cpuid *cpuid)
{
    const vsr_domain_conf *conf = vmm->conf;

    return conf->os.machine != VSR_MACHINE_MICRO || conf->os.loader ||
           conf->features.test_devices || conf->clock.kind != VSR_CLOCK_UTC ||
           !has_kvmclock(cpuid);
}

static bool make_board(vsr_vmm *vmm, const vsr_cpuid *cpuid, GError **error)
{
    const vsr_domain_conf *conf = vmm->conf;
    uint64_t ram = vsr_round_up(vmm_ram_kib(conf) * VSR_KIB, 4 * VSR_KIB);

    if (!vsr_board_init(&vmm->board,
                        conf->os.machine == VSR_MACHINE_MICRO ? VSR_BOARD_MICRO
                                                              : VSR_BOARD_PCI,
                        ram, conf->vcpus, conf->vcpus_max, error))
        return false;
    vmm->board.device_memory = vmm_device_memory(conf);
    vmm->board.has_rtc = wants_rtc(vmm, cpuid);
    /* Linux learns from it how fast the TSC is; reduced hardware has no other
     * clock to tell. */
    if (!has_kvmclock(cpuid))
        vmm->board.reduced_acpi = false;
    vmm->board.n_serials = 0;
    for (guint i = 0; i < conf->serials->len; i++) {
        uint32_t port = g_array_index(conf->serials, vsr_char_conf, i).port;

        vmm->board.n_serials = MAX(vmm->board.n_serials, port + 1);
    }
    return true;
}

static bool add_ram(vsr_machine *machine, void *opaque, GError **error)
{
    const vsr_vmm *vmm = opaque;
    const vsr_mem_options options = vmm_memory_options(vmm);

    return vsr_board_add_ram(&vmm->board, machine, &options, error);
}

static bool make_machine(vsr_vmm *vmm, const vsr_engine_caps *caps,
                         GError **error)
{
    const vsr_domain_conf *conf = vmm->conf;
    g_autofree vsr_cpuid *cpuid = NULL;
    vsr_machine_config config = {
        .engine = vmm->engine,
        .caps = caps,
        .vcpus = conf->vcpus,
        .max_vcpus = conf->vcpus_max,
        .triple_fault_resets = false,
        .vm.disable_exits = conf->tuning.disable_exits,
        .vm.has_halt_poll = conf->tuning.has_halt_poll,
        .vm.halt_poll_ns = conf->tuning.halt_poll_ns,
        .add_ram = add_ram,
    };

    if (vmm->engine->cpuid_supported) {
        cpuid = vmm_make_cpuid(vmm, caps, error);
        if (!cpuid)
            return vsr_fail_prefix(error, "CPU");
    }
    if (!make_board(vmm, cpuid, error))
        return vsr_fail_prefix(error, "Board");
    config.cpuid = cpuid;
    vmm->machine = vsr_machine_new(&config, &vmm_machine_events, vmm, error);
    return vmm->machine || vsr_fail_prefix(error, "Machine");
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

    if (!vmm->engine->caps(&caps, error) ||
        !vmm_check_engine(vmm, &caps, error))
        return false;
    if (!vsr_boot_probe(&source, &kind, error))
        return vsr_fail_prefix(error, "Boot");
    if (!make_machine(vmm, &caps, error) || !vmm_reserve_plugged(vmm, error) ||
        !make_serials(vmm, error))
        return false;
    if (!vmm_add_chips(vmm, error) || !vmm_add_devices(vmm, error) ||
        !vmm_add_plugged(vmm, error))
        return vsr_fail_prefix(error, "Devices");
    vsr_machine_set_load(vmm->machine, load, vmm);
    return true;
}

bool vmm_power_on(vsr_vmm *vmm, GError **error)
{
    if (!vmm_arrange_vcpus(vmm, error) ||
        !vsr_machine_reset(vmm->machine, error))
        return vsr_fail_prefix(error, "Boot");
    vmm->loaded = true;
    return true;
}

void vmm_teardown(vsr_vmm *vmm)
{
    /* The devices write to the serials until they are gone. */
    g_clear_pointer(&vmm->machine, vsr_machine_free);
    vmm->power = vmm->lapic = vmm->cpus = NULL;
    vmm->hotplug = NULL;
    vmm->host = NULL;
    g_ptr_array_set_size(vmm->plugged, 0);
    if (vmm->io)
        vsr_loop_free(g_steal_pointer(&vmm->io));
    vmm->loaded = false;
    for (uint32_t i = 0; i < VSR_SERIALS_MAX; i++)
        g_clear_pointer(&vmm->serial[i], vsr_chardev_free);
    vmm->n_serials = 0;
}
