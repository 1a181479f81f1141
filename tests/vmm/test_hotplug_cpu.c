/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_hotplug_cpu.c: vCPUs that come and go, with the tiny guest on the
 * emulator. The guest knows nothing of ACPI: its part is played from here, by
 * accesses to the registers.
 */
#include "vmm/vmm.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "tests/support/cm.h"
#include "vmm/vmm_state.h"

enum { CHECK = 1, ASKED = 3, STA = 0x0f, WAIT_US = 60000000 };

static vsr_vmm *domain_new(vsr_machine_kind board, uint32_t current,
                           uint32_t max)
{
    vsr_domain_conf *conf = vsr_domain_conf_new();
    vsr_vmm_resources res;
    GError *error = NULL;
    vsr_vmm *vmm;

    conf->name = g_strdup("tiny");
    conf->memory_kib = 8192;
    conf->os.kernel = g_strdup(TINY_GUEST);
    conf->os.cmdline = g_strdup("w");
    conf->os.machine = board;
    conf->vcpus = current;
    conf->vcpus_max = max;
    if (!vsr_domain_conf_complete(conf, &error) ||
        !vsr_vmm_resources_open(&res, conf, NULL, NULL, NULL, &error))
        fail_msg("%s", error->message);
    vmm = vsr_vmm_new(&vsr_emu_engine, conf, &res, NULL, NULL, &error);
    if (vmm == NULL)
        fail_msg("%s", error->message);
    vsr_domain_conf_free(conf);
    return vmm;
}

static void set_vcpus(vsr_vmm *vmm, uint32_t n)
{
    GError *error = NULL;

    if (!vsr_vmm_set_vcpus(vmm, n, &error))
        fail_msg("%u vCPUs: %s", n, error->message);
}

static void assert_refused(vsr_vmm *vmm, uint32_t n, int code, const char *text)
{
    g_autoptr(GError) error = NULL;

    assert_false(vsr_vmm_set_vcpus(vmm, n, &error));
    assert_int_equal(error->code, code);
    if (strstr(error->message, text) == NULL)
        fail_msg("'%s' in: %s", text, error->message);
}

static uint32_t in(vsr_vmm *vmm, uint32_t at)
{
    vsr_io io = { .addr = VSR_PORT_CPUS + at, .size = 4 };

    vsr_bus_access(vmm->machine->bus, VSR_SPACE_PIO, &io);
    return (uint32_t)io.data;
}

static void out(vsr_vmm *vmm, uint32_t at, uint32_t value)
{
    vsr_io io = {
        .addr = VSR_PORT_CPUS + at, .size = 4, .is_write = true, .data = value
    };

    vsr_bus_access(vmm->machine->bus, VSR_SPACE_PIO, &io);
}

static uint32_t sta(vsr_vmm *vmm, uint32_t vcpu)
{
    out(vmm, VSR_CPUS_STATUS, vcpu);
    return in(vmm, VSR_CPUS_STATUS);
}

static void wait_for(vsr_vmm *vmm, uint32_t n)
{
    gint64 end = g_get_monotonic_time() + WAIT_US;

    while (vsr_vmm_vcpus(vmm) != n) {
        if (g_get_monotonic_time() > end)
            fail_msg("%u vCPUs, not %u", vsr_vmm_vcpus(vmm), n);
        g_usleep(500);
    }
}

/* Those whose statistics there are, as bits. */
static void note_vcpu(const char *name, uint64_t value, void *opaque)
{
    unsigned n;
    char dot;

    if (sscanf(name, "vcpu.%u.tim%c", &n, &dot) == 2)
        *(uint32_t *)opaque |= UINT32_C(1) << n;
    if (strcmp(name, "vcpu.current") == 0)
        *(uint32_t *)opaque |= (uint32_t)value << 16;
}

static void assert_used(vsr_vmm *vmm, uint32_t bits)
{
    g_autoptr(vsr_domain_conf) conf = vsr_vmm_conf(vmm);
    uint32_t n = (uint32_t)__builtin_popcount(bits), noted = 0;

    assert_int_equal(conf->vcpus, n);
    assert_true(vsr_vmm_stats(vmm, note_vcpu, &noted, NULL));
    assert_int_equal(noted, n << 16 | bits);
}

/* vCPUs' threads of this process. */
static unsigned count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    unsigned n = 0;

    assert_non_null(tasks);
    while ((task = readdir(tasks)) != NULL) {
        g_autofree char *path =
            g_strdup_printf("/proc/self/task/%s/comm", task->d_name);
        g_autofree char *name = NULL;

        if (g_file_get_contents(path, &name, NULL, NULL))
            n += g_str_has_prefix(name, "vcpu") && g_ascii_isdigit(name[4]);
    }
    (void)closedir(tasks);
    return n;
}

static void those_that_may_come_cost_no_threads(void **state)
{
    vsr_vmm *vmm = domain_new(VSR_MACHINE_PCI, 1, 32);

    assert_int_equal(count_threads(), 1);
    set_vcpus(vmm, 3);
    assert_int_equal(count_threads(), 3);
    vsr_vmm_free(vmm);
    vmm = domain_new(VSR_MACHINE_PCI, 2, 2);
    assert_int_equal(count_threads(), 2);
    vsr_vmm_free(vmm);
}

static void before_the_guest_has_begun_they_come_and_go_at_once(void **state)
{
    vsr_vmm *vmm = domain_new(VSR_MACHINE_PCI, 2, 4);

    assert_int_equal(vsr_vmm_vcpus(vmm), 2);
    set_vcpus(vmm, 4);
    assert_used(vmm, 0xf);
    set_vcpus(vmm, 1);
    assert_used(vmm, 0x1);
    set_vcpus(vmm, 3);
    assert_true(vsr_vmm_resume(vmm, NULL));
    assert_used(vmm, 0x7);
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 0);
    assert_int_equal(sta(vmm, 2), STA);
    assert_int_equal(sta(vmm, 3), 0);
    vsr_vmm_free(vmm);
}

static void limits_are_named(void **state)
{
    vsr_vmm *vmm = domain_new(VSR_MACHINE_PCI, 2, 4);

    assert_refused(vmm, 0, VISOR_ERR_CONFIG, "vCPU 0 cannot go");
    assert_refused(vmm, 5, VISOR_ERR_CONFIG, "1 to 4 vCPUs, not 5");
    assert_true(vsr_vmm_destroy(vmm, NULL));
    assert_refused(vmm, 2, VISOR_ERR_STATE, "shut off");
    vsr_vmm_free(vmm);
    vmm = domain_new(VSR_MACHINE_MICRO, 4, 4);
    set_vcpus(vmm, 4);
    assert_refused(vmm, 3, VISOR_ERR_NO_SUPPORT, "keeps its 4 vCPUs");
    vsr_vmm_free(vmm);
}

static void the_guest_is_told_and_asked(void **state)
{
    vsr_vmm *vmm =
        domain_new(*state ? VSR_MACHINE_MICRO : VSR_MACHINE_PCI, 1, 4);

    assert_true(vsr_vmm_resume(vmm, NULL));
    set_vcpus(vmm, 3);
    assert_used(vmm, 0x7);
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 1 << 8 | CHECK);
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 2 << 8 | CHECK);
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 0);

    set_vcpus(vmm, 2); /* which is asked for */
    assert_used(vmm, 0x7);
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 2 << 8 | ASKED);
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 0);
    set_vcpus(vmm, 2); /* again */
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 2 << 8 | ASKED);
    out(vmm, VSR_CPUS_EJECT, 2);
    assert_int_equal(sta(vmm, 2), 0);
    wait_for(vmm, 2);
    assert_used(vmm, 0x3);

    set_vcpus(vmm, 1);
    set_vcpus(vmm, 2); /* not to go after all */
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 0);
    /* The same one again. */
    set_vcpus(vmm, 3);
    assert_int_equal(in(vmm, VSR_CPUS_EVENT), 2 << 8 | CHECK);
    assert_int_equal(sta(vmm, 2), STA);
    assert_used(vmm, 0x7);
    assert_true(vsr_vmm_suspend(vmm, NULL));
    set_vcpus(vmm, 4);
    assert_used(vmm, 0xf);
    assert_int_equal(vsr_vmm_state(vmm, NULL), VSR_STATE_PAUSED);
    assert_true(vsr_vmm_resume(vmm, NULL));
    assert_int_equal(vsr_vmm_state(vmm, NULL), VSR_STATE_RUNNING);
    vsr_vmm_free(vmm);
}

static void a_gap_is_closed_at_the_next_start(void **state)
{
    vsr_vmm *vmm = domain_new(VSR_MACHINE_PCI, 4, 4);

    assert_true(vsr_vmm_resume(vmm, NULL));
    out(vmm, VSR_CPUS_EJECT, 0); /* which stays */
    out(vmm, VSR_CPUS_EJECT, 1); /* unasked */
    wait_for(vmm, 3);
    assert_used(vmm, 0xd);
    out(vmm, VSR_CPUS_EJECT, 3);
    assert_true(vsr_vmm_reset(vmm, NULL));
    assert_used(vmm, 0x3);
    assert_int_equal(vmm->board.vcpus, 2);
    assert_int_equal(sta(vmm, 1), STA);
    assert_int_equal(sta(vmm, 2), 0);
    set_vcpus(vmm, 4);
    assert_used(vmm, 0xf);
    vsr_vmm_free(vmm);
}

static bool count_kinds(vsr_thread_kind kind, void *opaque, GError **error)
{
    g_atomic_int_inc(&((gint *)opaque)[kind]);
    return true;
}

/* As the sandbox wants it. */
static void a_later_thread_is_entered_too(void **state)
{
    gint n[VSR_THREAD_OTHER + 1] = { 0 };
    vsr_vmm *vmm = domain_new(VSR_MACHINE_PCI, 2, 4);

    assert_true(vsr_vmm_each_thread(vmm, count_kinds, n, NULL));
    assert_int_equal(n[VSR_THREAD_VCPU], 2);
    set_vcpus(vmm, 4);
    assert_int_equal(n[VSR_THREAD_VCPU], 4);
    set_vcpus(vmm, 1);
    set_vcpus(vmm, 4); /* the same threads */
    assert_int_equal(n[VSR_THREAD_VCPU], 4);
    assert_int_equal(n[VSR_THREAD_CONTROL], 1);
    vsr_vmm_free(vmm);
}

int main(void)
{
    bool is_micro = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_may_come_cost_no_threads),
        cmocka_unit_test(before_the_guest_has_begun_they_come_and_go_at_once),
        cmocka_unit_test(limits_are_named),
        cmocka_unit_test(the_guest_is_told_and_asked),
        cmocka_unit_test_prestate(the_guest_is_told_and_asked, &is_micro),
        cmocka_unit_test(a_gap_is_closed_at_the_next_start),
        cmocka_unit_test(a_later_thread_is_entered_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
