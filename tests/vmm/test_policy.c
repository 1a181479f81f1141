/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_policy.c: what a configuration asks of the engine, on the emulator: what
 * it has is there, what it has not is refused by name. */
#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "tests/support/cm.h"
#include "vmm/vmm_state.h"

static int setup(void **state)
{
    vsr_domain_conf *conf = vsr_domain_conf_new();

    conf->name = g_strdup("tiny");
    conf->memory_kib = 8192;
    conf->os.kernel = g_strdup(TINY_GUEST);
    *state = conf;
    return 0;
}

static int teardown(void **state)
{
    vsr_domain_conf_free(*state);
    return 0;
}

static vsr_vmm *build(vsr_domain_conf *conf, GError **error)
{
    vsr_vmm_resources res;

    if (!vsr_domain_conf_complete(conf, error) ||
        !vsr_vmm_resources_open(&res, conf, NULL, NULL, NULL, error))
        return NULL;
    return vsr_vmm_new(&vsr_emu_engine, conf, &res, NULL, NULL, error);
}

static void assert_refused(vsr_domain_conf *conf, int code, const char *part)
{
    g_autoptr(GError) error = NULL;
    vsr_vmm *vmm = build(conf, &error);

    if (vmm)
        fail_msg("built, but should not: %s", part);
    if (error->code != code || !strstr(error->message, part))
        fail_msg("%d: %s", error->code, error->message);
}

/* A register of the guest's CPUID. */
static const vsr_cpuid_row *row(const vsr_vmm *vmm, uint32_t leaf)
{
    const vsr_cpuid *rows = vmm->machine->config.cpuid;

    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->row[i].leaf == leaf)
            return &rows->row[i];
    return NULL;
}

static vsr_vmm *build_ok(vsr_domain_conf *conf)
{
    GError *error = NULL;
    vsr_vmm *vmm = build(conf, &error);

    if (!vmm)
        fail_msg("%s", error->message);
    return vmm;
}

static void want(vsr_domain_conf *conf, const char *name, vsr_policy policy)
{
    const vsr_feature_conf feature = { g_strdup(name), policy };

    g_array_append_val(conf->cpu.features, feature);
}

static void passthrough_needs_the_hosts_processor(void **state)
{
    vsr_domain_conf *conf = *state;

    conf->cpu.mode = VSR_CPU_HOST_PASSTHROUGH;
    assert_refused(conf, VISOR_ERR_NO_SUPPORT,
                   "<cpu mode='host-passthrough'>: engine 'emu' does not run");
}

static void tuning_the_engine_lacks_is_refused(void **state)
{
    static const struct {
        uint32_t bit;
        const char *part;
    } exits[] = {
        { VSR_DISABLE_HLT, "<visor:disable-exits hlt='on'>: engine 'emu'" },
        { VSR_DISABLE_MWAIT, "mwait='on'" },
        { VSR_DISABLE_PAUSE, "pause='on'" },
        { VSR_DISABLE_CSTATE, "cstate='on'" },
    };
    vsr_domain_conf *conf = *state;

    for (size_t i = 0; i < VSR_ARRAY_SIZE(exits); i++) {
        conf->tuning.disable_exits = exits[i].bit;
        assert_refused(conf, VISOR_ERR_NO_SUPPORT, exits[i].part);
    }
    conf->tuning.disable_exits = 0;
    conf->tuning.has_halt_poll = true;
    assert_refused(conf, VISOR_ERR_NO_SUPPORT, "<visor:halt-poll>");
}

static void monitor_needs_mwait_without_exits(void **state)
{
    want(*state, "monitor", VSR_POLICY_REQUIRE);
    assert_refused(*state, VISOR_ERR_CONFIG, "mwait='on'");
}

static void nested_virtualization_is_refused_with_its_reason(void **state)
{
    want(*state, "svm", VSR_POLICY_REQUIRE);
    assert_refused(*state, VISOR_ERR_NO_SUPPORT,
                   "'svm' (required); nested virtualization is there where");
}

static void models_of_any_vendor_run_on_the_emulator(void **state)
{
    vsr_domain_conf *conf = *state;
    g_autoptr(GError) error = NULL;
    vsr_vmm *vmm;

    conf->cpu.model = g_strdup("Nehalem");
    conf->cpu.vendor = g_strdup("Intel");
    vmm = build(conf, &error);
    if (!vmm && strstr(error->message, "sse4")) /* of the host */
        skip();
    assert_non_null(vmm);
    assert_int_equal(row(vmm, 0)->ebx, 0x756e6547);
    assert_int_equal(row(vmm, 1)->eax, 0x106a3);
    assert_non_null(row(vmm, 0x40000001));
    vsr_vmm_free(vmm);
    g_free(conf->cpu.vendor);
    conf->cpu.vendor = g_strdup("AMD");
    assert_refused(conf, VISOR_ERR_NO_SUPPORT, "CPU vendor 'AMD'");
}

static void paravirtual_switches_reach_the_guest(void **state)
{
    enum { CLOCKS = 1 << 0 | 1 << 3 | 1 << 24 };
    vsr_domain_conf *conf = *state;
    vsr_vmm *vmm = build_ok(conf);

    assert_int_equal(row(vmm, 0x40000001)->eax & CLOCKS, CLOCKS);
    assert_int_equal(row(vmm, 0x40000001)->edx, 0);
    vsr_vmm_free(vmm);

    conf->clock.timers = VSR_TIMER_NO_KVMCLOCK;
    conf->features.hint_dedicated = VSR_SWITCH_ON;
    conf->features.poll_control = VSR_SWITCH_OFF;
    conf->features.pvspinlock = VSR_SWITCH_OFF;
    vmm = build_ok(conf);
    assert_int_equal(row(vmm, 0x40000001)->eax & CLOCKS, 0);
    assert_int_equal(row(vmm, 0x40000001)->edx, 1);
    vsr_vmm_free(vmm);

    conf->features.kvm_hidden = VSR_SWITCH_ON;
    vmm = build_ok(conf);
    assert_null(row(vmm, 0x40000000));
    assert_true(row(vmm, 1)->ecx >> 31);
    vsr_vmm_free(vmm);

    conf->features.pvspinlock = VSR_SWITCH_ON;
    assert_refused(conf, VISOR_ERR_NO_SUPPORT, "'kvm-pv-unhalt' (required)");
}

/* Reduced hardware has no PM timer to measure the TSC with. */
static void a_guest_without_kvms_clock_gets_another(void **state)
{
    vsr_domain_conf *conf = *state;
    vsr_vmm *vmm;

    conf->os.machine = VSR_MACHINE_MICRO;
    vmm = build_ok(conf);
    assert_true(vmm->board.reduced_acpi);
    vsr_vmm_free(vmm);
    conf->features.kvm_hidden = VSR_SWITCH_ON;
    vmm = build_ok(conf);
    assert_false(vmm->board.reduced_acpi);
    assert_true(vmm->board.has_rtc);
    vsr_vmm_free(vmm);
}

static void what_binds_to_the_host_can_be_left_out(void **state)
{
    vsr_domain_conf *conf = *state;
    vsr_vmm *vmm = build_ok(conf);

    assert_int_equal(row(vmm, 0x80000007)->edx & 0x100, 0x100);
    vsr_vmm_free(vmm);
    conf->cpu.migratable = VSR_SWITCH_ON;
    vmm = build_ok(conf);
    assert_int_equal(row(vmm, 0x80000007)->edx & 0x100, 0);
    vsr_vmm_free(vmm);
    conf->cpu.migratable = VSR_SWITCH_DEFAULT;
    conf->cpu.mode = VSR_CPU_HOST_MODEL;
    vmm = build_ok(conf);
    assert_int_equal(row(vmm, 0x80000007)->edx & 0x100, 0);
    vsr_vmm_free(vmm);
}

static bool look(uint64_t gpa, uint64_t len, bool readonly, int fd,
                 uint64_t fd_offset, void *host, void *opaque)
{
    *(int *)opaque = fd;
    return false;
}

static int memory_fd(vsr_domain_conf *conf)
{
    vsr_vmm *vmm = build_ok(conf);
    int fd = -2;

    (void)vsr_mem_foreach(vmm->machine->mem, look, &fd);
    vsr_vmm_free(vmm);
    return fd;
}

static void memory_is_private_unless_shared(void **state)
{
    vsr_domain_conf *conf = *state;

    assert_int_equal(memory_fd(conf), -1);
    conf->backing.access = VSR_ACCESS_SHARED;
    assert_true(memory_fd(conf) >= 0);
    conf->backing.access = VSR_ACCESS_DEFAULT;
    conf->backing.source = VSR_SOURCE_MEMFD;
    assert_true(memory_fd(conf) >= 0);
    conf->backing.source = VSR_SOURCE_ANONYMOUS;
    conf->backing.allocation = VSR_ALLOCATION_IMMEDIATE;
    conf->backing.threads = 2;
    conf->backing.nosharepages = true;
    assert_int_equal(memory_fd(conf), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(passthrough_needs_the_hosts_processor),
        TEST(tuning_the_engine_lacks_is_refused),
        TEST(monitor_needs_mwait_without_exits),
        TEST(nested_virtualization_is_refused_with_its_reason),
        TEST(models_of_any_vendor_run_on_the_emulator),
        TEST(paravirtual_switches_reach_the_guest),
        TEST(a_guest_without_kvms_clock_gets_another),
        TEST(what_binds_to_the_host_can_be_left_out),
        TEST(memory_is_private_unless_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
