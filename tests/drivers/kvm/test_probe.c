/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_probe.c: what the backend says of hosts of many kinds. */
#include <errno.h>
#include <string.h>

#include <visor/host.h>

#include "base/error.h"
#include "driver/driver.h"
#include "drivers/kvm/kvm_host.h"
#include "tests/drivers/kvm/fake_kvm.h"
#include "tests/support/cm.h"

/* The driver's table names these; nothing here calls them. */
const vsr_conn_ops vsr_native_conn_ops;
const vsr_domain_ops vsr_native_domain_ops;
const vsr_host_ops vsr_native_host_ops;

#define FLAGS(text) "processor\t: 0\n" text "\nbugs\t: x\n"

typedef struct {
    unsigned n;
    int result[8];
    char detail[8][200], remedy[8][200];
} findings;

static void note(const char *engine, const char *what, int result,
                 const char *detail, const char *remedy, void *opaque)
{
    findings *f = opaque;

    assert_string_equal(engine, "kvm");
    assert_true(strlen(what) > 0);
    assert_true(f->n < G_N_ELEMENTS(f->result));
    /* What is not right has a remedy. */
    assert_true((result == VISOR_CHECK_PASS) == (remedy[0] == '\0'));
    f->result[f->n] = result;
    g_strlcpy(f->detail[f->n], detail, sizeof f->detail[0]);
    g_strlcpy(f->remedy[f->n], remedy, sizeof f->remedy[0]);
    f->n++;
}

static findings check(void)
{
    findings f = { 0 };

    vsr_kvm_driver.check(note, &f);
    assert_int_equal(fake()->n_open, 0);
    assert_int_equal(fake()->n_mapped, 0);
    return f;
}

static void refused(int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(vsr_kvm_driver.probe(&error));
    assert_int_equal(error->code, code);
    if (strstr(error->message, words) == NULL)
        fail_msg("no '%s' in '%s'", words, error->message);
    assert_int_equal(fake()->n_open, 0);
}

static int setup(void **state)
{
    fake_reset();
    return 0;
}

static void a_good_host_passes(void **state)
{
    findings f = check();

    assert_true(vsr_kvm_driver.probe(NULL));
    assert_int_equal(f.n, 2);
    assert_int_equal(f.result[0], VISOR_CHECK_PASS);
    assert_int_equal(f.result[1], VISOR_CHECK_PASS);
}

static void one_failure(const char *detail, const char *remedy)
{
    findings f = check();

    assert_int_equal(f.n, 1);
    assert_int_equal(f.result[0], VISOR_CHECK_FAIL);
    if (strstr(f.detail[0], detail) == NULL ||
        strstr(f.remedy[0], remedy) == NULL)
        fail_msg("'%s' → '%s'", f.detail[0], f.remedy[0]);
}

static void a_missing_device_has_its_reasons(void **state)
{
    fake()->open_error = ENOENT;
    refused(VISOR_ERR_NO_SUPPORT, "/dev/kvm");
    one_failure("no '/dev/kvm'", "modprobe kvm_intel'"); /* GenuineIntel */
    fake()->cpuinfo = FLAGS("flags\t\t: fpu svm sse2");
    one_failure("no '/dev/kvm'", "modprobe kvm_amd'");
    fake()->cpuinfo = FLAGS("flags\t\t: fpu svm_lock hypervisor");
    one_failure("no '/dev/kvm'", "nested virtualization");
    fake()->cpuinfo = FLAGS("flags\t\t: fpu sse2");
    one_failure("no '/dev/kvm'", "firmware");
    fake()->cpuinfo = "";
    one_failure("no '/dev/kvm'", "firmware");
}

static void a_device_without_module_says_so(void **state)
{
    fake()->open_error = ENODEV;
    refused(VISOR_ERR_NO_SUPPORT, "module");
    fake()->open_error = ENXIO;
    refused(VISOR_ERR_NO_SUPPORT, "module");
}

static void a_missing_permission_names_the_group(void **state)
{
    fake()->open_error = EACCES;
    refused(VISOR_ERR_ACCESS, "permission");
    one_failure("No permission", "usermod -aG kvm");
    fake()->open_error = EPERM;
    refused(VISOR_ERR_ACCESS, "permission");
}

static void another_error_is_told(void **state)
{
    fake()->open_error = EMFILE;
    refused(VISOR_ERR_RESOURCE, "Too many open files");
}

static void another_version_is_refused(void **state)
{
    fake()->version = 13;
    refused(VISOR_ERR_NO_SUPPORT, "version 13 of its API, not 12");
    one_failure("13", "kernel");
    fake()->version = -ENOTTY; /* it is something else */
    refused(VISOR_ERR_NO_SUPPORT, "not KVM's device");
}

static void a_missing_capability_is_named(void **state)
{
    fake()->without_cap = KVM_CAP_IMMEDIATE_EXIT;
    refused(VISOR_ERR_NO_SUPPORT, "KVM_CAP_IMMEDIATE_EXIT");
    fake()->without_cap = KVM_CAP_IRQCHIP;
    refused(VISOR_ERR_NO_SUPPORT, "KVM_CAP_IRQCHIP");
    one_failure("KVM_CAP_IRQCHIP", "kernel");
}

static void software_is_told_from_hardware(void **state)
{
    double mips;
    findings f;

    assert_int_equal(kvm_host_measure(&mips), KVM_HARDWARE);
    assert_true(mips > 1000);
    fake()->run_ns = 8 * 1000 * 1000; /* 2 MIPS */
    assert_int_equal(kvm_host_measure(&mips), KVM_SOFTWARE);
    assert_true(mips > 2 && mips < 2.1);
    assert_true(vsr_kvm_driver.probe(NULL)); /* who names it gets it */
    assert_false(vsr_kvm_driver.preferred());
    f = check();
    assert_int_equal(f.n, 2);
    assert_int_equal(f.result[1], VISOR_CHECK_WARN);
    assert_non_null(strstr(f.detail[1], "2.0 million instructions"));
    assert_non_null(strstr(f.remedy[1], "emu"));
}

static void the_module_saves_the_trial(void **state)
{
    int calls = fake()->calls;

    fake()->module = "/sys/module/kvm_intel/parameters/ept";
    assert_true(vsr_kvm_driver.preferred());
    fake()->module = "/sys/module/kvm_amd/parameters/npt";
    assert_true(vsr_kvm_driver.preferred());
    fake()->module = "/sys/module/kvm_pvm/refcnt";
    assert_false(vsr_kvm_driver.preferred());
    assert_int_equal(fake()->calls, calls);
    fake()->module = NULL;
    assert_true(vsr_kvm_driver.preferred());
    assert_true(fake()->calls > calls);
}

static void a_nested_host_says_so(void **state)
{
    findings f;

    fake()->cpuinfo = FLAGS("flags\t\t: fpu svm hypervisor");
    f = check();
    assert_int_equal(f.result[1], VISOR_CHECK_PASS);
    assert_non_null(strstr(f.detail[1], "Nested"));
}

static int run_fails(struct kvm_run *run)
{
    return -EINVAL;
}

static int run_ends_otherwise(struct kvm_run *run)
{
    run->exit_reason = KVM_EXIT_FAIL_ENTRY;
    return 0;
}

static int run_never(struct kvm_run *run)
{
    return -EINTR;
}

static void a_guest_that_does_not_run_is_a_failure(void **state)
{
    int (*const all[])(struct kvm_run *) = { run_fails, run_ends_otherwise,
                                             run_never };

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        findings f;

        fake()->run = all[i];
        f = check();
        assert_int_equal(f.n, 2);
        assert_int_equal(f.result[1], VISOR_CHECK_FAIL);
        assert_false(vsr_kvm_driver.preferred());
    }
}

static void the_trial_fails_cleanly_at_every_call(void **state)
{
    double mips;
    int calls;

    (void)kvm_host_measure(&mips);
    calls = fake()->calls;
    for (int n = 1; n <= calls; n++) {
        fake_reset();
        fake()->fail_at = n;
        fake()->fail_with = ENOMEM;
        (void)kvm_host_measure(&mips);
        assert_int_equal(fake()->n_open, 0);
        assert_int_equal(fake()->n_mapped, 0);
    }
}

static void guests_are_shown_what_a_state_can_carry(void **state)
{
    g_autofree vsr_cpuid *rows = g_new0(vsr_cpuid, 1);
    vsr_engine_caps caps;
    int own = 0;

    assert_true(vsr_kvm_engine.cpuid_supported(rows, NULL));
    for (uint32_t i = 0; i < rows->n; i++) {
        const vsr_cpuid_row *row = &rows->row[i];

        assert_int_not_equal(row->leaf, 0xa); /* no PMU */
        if (row->leaf == 1) {
            assert_true(row->ecx >> 31 & 1);  /* hypervisor */
            assert_true(row->ecx >> 24 & 1);  /* TSC deadline */
            assert_false(row->ecx >> 27 & 1); /* OSXSAVE is CR4's */
            assert_true(row->ecx >> 5 & 1);   /* VMX: on request */
            assert_true(row->ecx >> 3 & 1);   /* MONITOR: likewise */
        } else if (row->leaf == 5) {
            assert_int_equal(row->eax, 0x500); /* the processor's own */
            own++;
        } else if (row->leaf == 0x80000003) {
            assert_int_equal(row->edx, 0x303); /* its name, too */
            own++;
        } else if (row->leaf == 0xd && row->subleaf == 0) {
            assert_int_equal(row->eax, 0x2e7); /* no AMX */
        } else if (row->leaf == 0xd) {
            assert_true(row->subleaf < 18);
        } else if (row->leaf == 7) {
            assert_false(row->edx >> 24 & 1); /* AMX */
            assert_false(row->edx >> 20 & 1); /* IBT */
            assert_false(row->ecx >> 7 & 1);  /* SHSTK */
            assert_true(row->edx >> 29 & 1);
        }
    }
    assert_int_equal(own, 2);
    assert_true(rows->arch_capabilities == 0x10000010a);
    assert_true(rows->microcode == 0x10000008b);
    assert_true(vsr_kvm_engine.caps(&caps, NULL));
    assert_true(caps.accelerated && caps.lapic && caps.ioapic && caps.pic);
    assert_true(caps.kvmclock);
    assert_int_equal(caps.max_vcpus, 255);
    assert_int_equal(caps.phys_bits, 0x27);
    assert_int_equal(caps.max_slots, FAKE_SLOTS);
    assert_int_equal(caps.disable_exits, 15);
    assert_true(caps.halt_poll);
}

/* KVM makes that MSR up there. */
static void amds_processors_have_no_capabilities_msr(void **state)
{
    g_autofree vsr_cpuid *rows = g_new0(vsr_cpuid, 1);

    fake()->vendor_ebx = 0x68747541;
    assert_true(vsr_kvm_engine.cpuid_supported(rows, NULL));
    assert_true(rows->arch_capabilities == 0);
    for (uint32_t i = 0; i < rows->n; i++)
        if (rows->row[i].leaf == 7)
            assert_false(rows->row[i].edx >> 29 & 1);
}

static void what_the_host_lacks_is_not_in_the_caps(void **state)
{
    g_autofree vsr_cpuid *rows = g_new0(vsr_cpuid, 1);
    vsr_engine_caps caps;

    fake()->without_cap = KVM_CAP_X86_DISABLE_EXITS;
    assert_true(vsr_kvm_engine.caps(&caps, NULL));
    assert_int_equal(caps.disable_exits, 0);
    assert_true(vsr_kvm_engine.cpuid_supported(rows, NULL));
    for (uint32_t i = 0; i < rows->n; i++) {
        assert_int_not_equal(rows->row[i].leaf, 5);
        if (rows->row[i].leaf == 1)
            assert_false(rows->row[i].ecx >> 3 & 1);
    }
    fake()->without_cap = KVM_CAP_HALT_POLL;
    assert_true(vsr_kvm_engine.caps(&caps, NULL));
    assert_false(caps.halt_poll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_host_passes, setup),
        cmocka_unit_test_setup(a_missing_device_has_its_reasons, setup),
        cmocka_unit_test_setup(a_device_without_module_says_so, setup),
        cmocka_unit_test_setup(a_missing_permission_names_the_group, setup),
        cmocka_unit_test_setup(another_error_is_told, setup),
        cmocka_unit_test_setup(another_version_is_refused, setup),
        cmocka_unit_test_setup(a_missing_capability_is_named, setup),
        cmocka_unit_test_setup(software_is_told_from_hardware, setup),
        cmocka_unit_test_setup(the_module_saves_the_trial, setup),
        cmocka_unit_test_setup(a_nested_host_says_so, setup),
        cmocka_unit_test_setup(a_guest_that_does_not_run_is_a_failure, setup),
        cmocka_unit_test_setup(the_trial_fails_cleanly_at_every_call, setup),
        cmocka_unit_test_setup(guests_are_shown_what_a_state_can_carry, setup),
        cmocka_unit_test_setup(amds_processors_have_no_capabilities_msr, setup),
        cmocka_unit_test_setup(what_the_host_lacks_is_not_in_the_caps, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
