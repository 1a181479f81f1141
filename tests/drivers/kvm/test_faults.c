/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_faults.c: every call to the host fails once; each time there is an error
 * that says something, and nothing is left behind.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "drivers/kvm/kvm_host.h"
#include "engine/engine.h"
#include "tests/drivers/kvm/fake_kvm.h"
#include "tests/support/cm.h"

enum { RAM = 64 * 4096 };

static uint8_t ram[RAM] __attribute__((aligned(4096)));

static void up_io(void *machine, vsr_io *io)
{
}

static const vsr_engine_events events = { .mmio = up_io, .pio = up_io };

static int setup(void **state)
{
    fake_reset();
    return 0;
}

/* What failed, for people; NULL: nothing did. */
typedef struct {
    const char *step;
    int rc;
    GError *error;
} outcome;

#define TRY(out, call)                 \
    do {                               \
        int rc_ = (call);              \
        if (rc_ < 0 && !(out)->step) { \
            (out)->step = #call;       \
            (out)->rc = rc_;           \
        }                              \
    } while (0)

static void use_vcpu(vsr_engine_vcpu *vcpu, outcome *out)
{
    const vsr_engine_ops *ops = &vsr_kvm_engine;
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

    TRY(out, ops->vcpu_get(vcpu, x86));
    if (out->step == NULL) {
        x86->gpr[0] = 1;
        x86->tsc_deadline = 5;
        TRY(out, ops->vcpu_set(vcpu, x86));
    }
    ops->vcpu_kick(vcpu);
    if (ops->vcpu_run(vcpu) != VSR_RUN_KICKED && out->step == NULL) {
        out->step = ops->vcpu_failure(vcpu);
        out->rc = -EIO;
    }
}

static void use_vm(vsr_engine_vm *vm, outcome *out)
{
    const vsr_engine_ops *ops = &vsr_kvm_engine;
    const vsr_mem_slot slot = { .len = RAM, .host = ram };
    vsr_engine_clock clock = { 0 };
    unsigned long bitmap = 0;

    TRY(out, ops->dirty_start(vm));
    TRY(out, ops->dirty_fetch(vm, 0, RAM, &bitmap));
    TRY(out, ops->dirty_stop(vm));
    TRY(out, ops->vm_pause(vm));
    TRY(out, ops->vm_reset(vm));
    TRY(out, ops->vm_resume(vm));
    TRY(out, ops->clock_get(vm, &clock));
    TRY(out, ops->clock_set(vm, &clock));
    TRY(out, ops->irq_line(vm, 4, true));
    TRY(out, ops->msi(vm, 0xfee00000, 0x41));
    TRY(out, ops->irqfd_add(vm, 4, 9));
    TRY(out, ops->irqfd_remove(vm, 4, 9));
    TRY(out, ops->doorbell_add(vm, 0x1000, 4, 1, false, 9));
    TRY(out, ops->doorbell_remove(vm, 0x1000, 4, 1, false, 9));
    TRY(out, ops->mem_remove(vm, &slot));
}

/* All that an engine does for a machine, as long as nothing fails. */
static outcome live(void)
{
    const vsr_engine_ops *ops = &vsr_kvm_engine;
    const vsr_vm_config config = { .vcpus = 1 };
    const vsr_mem_slot slot = { .len = RAM, .host = ram };
    g_autofree vsr_cpuid *rows = g_new0(vsr_cpuid, 1);
    vsr_vcpu_config vcpu_config = { .cpuid = rows };
    vsr_engine_caps caps = { 0 };
    vsr_engine_vcpu *vcpu = NULL;
    vsr_engine_vm *vm = NULL;
    outcome out = { 0 };

    if (ops->caps(&caps, &out.error) && ops->cpuid_supported(rows, &out.error))
        vm = ops->vm_new(&config, &events, NULL, &out.error);
    if (vm != NULL)
        TRY(&out, ops->mem_add(vm, &slot));
    if (vm != NULL && out.step == NULL)
        vcpu = ops->vcpu_new(vm, &vcpu_config, &out.error);
    if (vcpu != NULL) {
        use_vcpu(vcpu, &out);
        use_vm(vm, &out);
    }
    ops->vcpu_free(vcpu);
    ops->vm_free(vm);
    return out;
}

static void nothing_is_left(void)
{
    assert_int_equal(fake()->n_open, 0);
    assert_int_equal(fake()->n_mapped, 0);
    assert_int_equal(fake()->n_blocked, 0);
}

static void all_is_well(const outcome *out)
{
    if (out->error != NULL)
        fail_msg("%s", out->error->message);
    if (out->step != NULL)
        fail_msg("%s: %d", out->step, out->rc);
}

static void a_good_host_gives_no_error(void **state)
{
    outcome out = live();

    all_is_well(&out);
    nothing_is_left();
    assert_true(fake()->calls > 60);
}

/* Those whose failure means only that the host is an older one, or that the
 * guest does without. */
static bool may_pass_unseen(unsigned long request)
{
    switch (request) {
    case KVM_CHECK_EXTENSION: /* of what is optional */
    case KVM_HAS_DEVICE_ATTR:
    case KVM_GET_XCRS:
    case KVM_KVMCLOCK_CTRL:
    case KVM_GET_MSRS: /* which there are; the TSC deadline */
        return true;
    default:
        return false;
    }
}

static void each_call_fails_once(int with)
{
    int calls;

    fake_reset();
    (void)live();
    calls = fake()->calls;
    for (int n = 1; n <= calls; n++) {
        outcome out;

        fake_reset();
        fake()->fail_at = n;
        fake()->fail_with = with;
        out = live();
        if (out.error != NULL) {
            assert_true(strlen(out.error->message) > 10);
            assert_int_equal(out.error->domain, VSR_ERROR);
            assert_true(out.error->code < 0);
        } else if (out.step != NULL) {
            assert_true(out.rc < 0);
        } else if (!may_pass_unseen(fake()->failed)) {
            fail_msg("call %d (request 0x%lx) fails, and nobody says so", n,
                     fake()->failed);
        }
        nothing_is_left();
        g_clear_error(&out.error);
    }
}

static void every_call_may_fail(void **state)
{
    each_call_fails_once(EIO);
}

static void every_call_may_lack_memory(void **state)
{
    each_call_fails_once(ENOMEM);
}

/* --- is that every call? --- */

#define REQUEST(name) \
    {                 \
#name, name   \
    }

/* All that there are of requests in the driver, and more. */
static const struct {
    const char *name;
    unsigned long request;
} all_requests[] = {
    REQUEST(KVM_CHECK_EXTENSION),
    REQUEST(KVM_CREATE_IRQCHIP),
    REQUEST(KVM_CREATE_PIT2),
    REQUEST(KVM_CREATE_VCPU),
    REQUEST(KVM_CREATE_VM),
    REQUEST(KVM_ENABLE_CAP),
    REQUEST(KVM_GET_API_VERSION),
    REQUEST(KVM_GET_CLOCK),
    REQUEST(KVM_GET_DEBUGREGS),
    REQUEST(KVM_GET_DEVICE_ATTR),
    REQUEST(KVM_GET_DIRTY_LOG),
    REQUEST(KVM_GET_IRQCHIP),
    REQUEST(KVM_GET_LAPIC),
    REQUEST(KVM_GET_MP_STATE),
    REQUEST(KVM_GET_MSRS),
    REQUEST(KVM_GET_NESTED_STATE),
    REQUEST(KVM_GET_PIT2),
    REQUEST(KVM_GET_REGS),
    REQUEST(KVM_GET_SREGS),
    REQUEST(KVM_GET_SUPPORTED_CPUID),
    REQUEST(KVM_GET_VCPU_EVENTS),
    REQUEST(KVM_GET_VCPU_MMAP_SIZE),
    REQUEST(KVM_GET_XCRS),
    REQUEST(KVM_GET_XSAVE),
    REQUEST(KVM_HAS_DEVICE_ATTR),
    REQUEST(KVM_IOEVENTFD),
    REQUEST(KVM_IRQFD),
    REQUEST(KVM_IRQ_LINE),
    REQUEST(KVM_KVMCLOCK_CTRL),
    REQUEST(KVM_RUN),
    REQUEST(KVM_SET_CLOCK),
    REQUEST(KVM_SET_CPUID2),
    REQUEST(KVM_SET_DEBUGREGS),
    REQUEST(KVM_SET_DEVICE_ATTR),
    REQUEST(KVM_SET_GSI_ROUTING),
    REQUEST(KVM_SET_IDENTITY_MAP_ADDR),
    REQUEST(KVM_SET_IRQCHIP),
    REQUEST(KVM_SET_LAPIC),
    REQUEST(KVM_SET_MP_STATE),
    REQUEST(KVM_SET_MSRS),
    REQUEST(KVM_SET_NESTED_STATE),
    REQUEST(KVM_SET_PIT2),
    REQUEST(KVM_SET_REGS),
    REQUEST(KVM_SET_SIGNAL_MASK),
    REQUEST(KVM_SET_SREGS),
    REQUEST(KVM_SET_TSS_ADDR),
    REQUEST(KVM_SET_USER_MEMORY_REGION),
    REQUEST(KVM_SET_VCPU_EVENTS),
    REQUEST(KVM_SET_XCRS),
    REQUEST(KVM_SET_XSAVE),
    REQUEST(KVM_SIGNAL_MSI),
    REQUEST(KVM_X86_GET_MCE_CAP_SUPPORTED),
    REQUEST(KVM_X86_SETUP_MCE),
};

/* 0: not a request that we know. */
static unsigned long request_of(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(all_requests); i++)
        if (strcmp(all_requests[i].name, name) == 0)
            return all_requests[i].request;
    return 0;
}

/* A word that stands where only requests stand has to be in the list above;
 * one that is there has to have been made. */
static void check_source(const char *path, const char *text)
{
    g_autoptr(GRegex) call =
        g_regex_new("ioctl(?:_value)?\\([^,()]+, (KVM_\\w+)", 0, 0, NULL);
    g_autoptr(GRegex) word = g_regex_new("\\b(KVM_\\w+)", 0, 0, NULL);
    GRegex *both[] = { call, word };

    for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
        g_autoptr(GMatchInfo) match = NULL;

        (void)g_regex_match(both[i], text, 0, &match);
        for (; g_match_info_matches(match); g_match_info_next(match, NULL)) {
            g_autofree char *name = g_match_info_fetch(match, 1);
            unsigned long request = request_of(name);

            if (request == 0 && both[i] == call)
                fail_msg("%s: add %s to all_requests", path, name);
            if (request != 0 && !fake_seen(request))
                fail_msg("%s: live() never makes %s", path, name);
        }
    }
}

static void live_makes_every_request_of_the_driver(void **state)
{
    g_autoptr(GDir) dir = g_dir_open(KVM_SOURCES, 0, NULL);
    const char *name;
    outcome out = live();
    unsigned n = 0;

    all_is_well(&out);
    assert_non_null(dir);
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(KVM_SOURCES, name, NULL);
        g_autofree char *text = NULL;

        if (!g_str_has_suffix(name, ".c"))
            continue;
        assert_true(g_file_get_contents(path, &text, NULL, NULL));
        check_source(name, text);
        n++;
    }
    assert_true(n > 10);
}

static void the_probe_may_fail_at_any_call(void **state)
{
    double mips;
    int calls;

    assert_int_equal(kvm_host_measure(&mips), KVM_HARDWARE);
    calls = fake()->calls;
    assert_true(calls > 10);
    for (int n = 1; n <= calls; n++) {
        kvm_speed speed;

        fake_reset();
        fake()->fail_at = n;
        fake()->fail_with = EIO;
        speed = kvm_host_measure(&mips);
        /* Only KVM_SET_TSS_ADDR does not matter there. */
        if (fake()->failed != KVM_SET_TSS_ADDR)
            assert_int_equal(speed, KVM_UNKNOWN);
        nothing_is_left();
    }
}

/* --- the device goes, or becomes another --- */

static void no_vm(int code, const char *words)
{
    const vsr_vm_config config = { .vcpus = 1 };
    g_autoptr(GError) error = NULL;

    assert_null(vsr_kvm_engine.vm_new(&config, &events, NULL, &error));
    assert_int_equal(error->code, code);
    if (strstr(error->message, words) == NULL)
        fail_msg("no '%s' in '%s'", words, error->message);
}

static void a_device_that_vanishes_stops_only_new_machines(void **state)
{
    const vsr_engine_ops *ops = &vsr_kvm_engine;
    const vsr_vm_config config = { .vcpus = 1 };
    g_autofree vsr_cpuid *rows = g_new0(vsr_cpuid, 1);
    vsr_vcpu_config vcpu_config = { .cpuid = rows };
    vsr_engine_vcpu *vcpu;
    vsr_engine_vm *vm;
    outcome out = { 0 };

    assert_true(ops->cpuid_supported(rows, NULL));
    vm = ops->vm_new(&config, &events, NULL, NULL);
    assert_non_null(vm);
    fake()->open_error = ENOENT;
    no_vm(VISOR_ERR_NO_SUPPORT, "There is no '/dev/kvm'");
    fake()->open_error = ENODEV;
    no_vm(VISOR_ERR_NO_SUPPORT, "module");
    fake()->open_error = EACCES;
    no_vm(VISOR_ERR_ACCESS, "No permission");
    fake()->open_error = 0;
    fake()->version = 13;
    no_vm(VISOR_ERR_NO_SUPPORT, "version 13");
    fake()->version = -ENOTTY;
    no_vm(VISOR_ERR_NO_SUPPORT, "not KVM's device");
    vcpu = ops->vcpu_new(vm, &vcpu_config, NULL);
    assert_non_null(vcpu);
    use_vcpu(vcpu, &out);
    all_is_well(&out);
    ops->vcpu_free(vcpu);
    ops->vm_free(vm);
    nothing_is_left();
}

/* A signal of the program is no failure. */
static void a_signal_is_no_failure(void **state)
{
    int calls;

    (void)live();
    calls = fake()->calls;
    for (int n = 1; n <= calls; n++) {
        outcome out;

        fake_reset();
        fake()->fail_at = n;
        fake()->fail_with = EINTR;
        out = live();
        if (fake()->failed != 0) {
            all_is_well(&out);
        }
        nothing_is_left();
        g_clear_error(&out.error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_host_gives_no_error, setup),
        cmocka_unit_test_setup(every_call_may_fail, setup),
        cmocka_unit_test_setup(every_call_may_lack_memory, setup),
        cmocka_unit_test_setup(a_signal_is_no_failure, setup),
        cmocka_unit_test_setup(live_makes_every_request_of_the_driver, setup),
        cmocka_unit_test_setup(the_probe_may_fail_at_any_call, setup),
        cmocka_unit_test_setup(a_device_that_vanishes_stops_only_new_machines,
                               setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
