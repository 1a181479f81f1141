/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_faults.c: every call to the host fails once; each time there is an error
 * that says something, and nothing is left behind.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
