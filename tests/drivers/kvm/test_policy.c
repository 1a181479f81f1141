/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_policy.c: what a VM and its vCPUs are told once, at the beginning: exits,
 * polling, what the processor is; slots; guests with guests of their own. */
#include <errno.h>
#include <string.h>

#include "engine/engine.h"
#include "tests/drivers/kvm/fake_kvm.h"
#include "tests/support/cm.h"

enum { PAGE = 4096 };

static uint8_t ram[16 * PAGE] __attribute__((aligned(PAGE)));
static const vsr_engine_ops *const ops = &vsr_kvm_engine;

static void up_io(void *machine, vsr_io *io)
{
}

static const vsr_engine_events events = { .mmio = up_io, .pio = up_io };

static int setup(void **state)
{
    fake_reset();
    return 0;
}

static int teardown(void **state)
{
    return fake()->n_open + fake()->n_mapped + fake()->n_blocked;
}

static vsr_engine_vm *vm_new(const vsr_vm_config *config)
{
    GError *error = NULL;
    vsr_engine_vm *vm = ops->vm_new(config, &events, NULL, &error);

    if (vm == NULL)
        fail_msg("%s", error->message);
    return vm;
}

static vsr_engine_vcpu *vcpu_new(vsr_engine_vm *vm, const vsr_cpuid *rows)
{
    const vsr_vcpu_config config = { .cpuid = rows };
    GError *error = NULL;
    vsr_engine_vcpu *vcpu = ops->vcpu_new(vm, &config, &error);

    if (vcpu == NULL)
        fail_msg("%s", error->message);
    return vcpu;
}

static void nothing_is_tuned_unasked(void **state)
{
    const vsr_vm_config config = { .vcpus = 1 };
    vsr_engine_vm *vm = vm_new(&config);

    assert_int_equal(fake()->cap.cap, KVM_CAP_X2APIC_API);
    ops->vm_free(vm);
}

static void exits_are_disabled_as_asked(void **state)
{
    const vsr_vm_config config = { .vcpus = 1,
                                   .disable_exits =
                                       VSR_EXIT_HLT | VSR_EXIT_PAUSE };
    vsr_engine_vm *vm = vm_new(&config);

    assert_int_equal(fake()->cap.cap, KVM_CAP_X86_DISABLE_EXITS);
    assert_int_equal(fake()->cap.args[0],
                     KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE);
    ops->vm_free(vm);
}

static void polling_can_be_set_and_switched_off(void **state)
{
    vsr_vm_config config = { .vcpus = 1,
                             .has_halt_poll = true,
                             .halt_poll_ns = 50000 };
    vsr_engine_vm *vm = vm_new(&config);

    assert_int_equal(fake()->cap.cap, KVM_CAP_HALT_POLL);
    assert_int_equal(fake()->cap.args[0], 50000);
    ops->vm_free(vm);
    config.halt_poll_ns = 0;
    vm = vm_new(&config);
    assert_int_equal(fake()->cap.cap, KVM_CAP_HALT_POLL);
    assert_int_equal(fake()->cap.args[0], 0);
    ops->vm_free(vm);
}

static void a_host_that_refuses_tuning_is_an_error(void **state)
{
    const vsr_vm_config config = { .vcpus = 1, .disable_exits = VSR_EXIT_HLT };
    g_autoptr(GError) error = NULL;

    fake()->without_cap = KVM_CAP_X2APIC_API;
    fake()->fail_request = KVM_ENABLE_CAP;
    fake()->fail_request_with = EINVAL;
    assert_null(ops->vm_new(&config, &events, NULL, &error));
    assert_non_null(strstr(error->message, "KVM_CAP_X86_DISABLE_EXITS"));
}

static void a_full_slot_table_is_enospc(void **state)
{
    const vsr_vm_config config = { .vcpus = 1 };
    vsr_engine_vm *vm = vm_new(&config);
    vsr_mem_slot slot = { .len = PAGE, .host = ram };

    for (int i = 0; i < FAKE_SLOTS; i++) {
        slot.gpa = (uint64_t)i * PAGE;
        slot.readonly = i == 3;
        assert_int_equal(ops->mem_add(vm, &slot), 0);
    }
    assert_int_equal(fake()->slot[3].flags, KVM_MEM_READONLY);
    assert_int_equal(fake()->slot[2].flags, 0);
    slot.gpa = FAKE_SLOTS * PAGE;
    slot.readonly = false;
    assert_int_equal(ops->mem_add(vm, &slot), -ENOSPC);
    slot.gpa = 3 * PAGE;
    assert_int_equal(ops->mem_remove(vm, &slot), 0);
    slot.gpa = FAKE_SLOTS * PAGE;
    assert_int_equal(ops->mem_add(vm, &slot), 0);
    ops->vm_free(vm);
}

static const vsr_cpuid processor = {
    .n = 3,
    .row = { { .leaf = 1 },
             { .leaf = 7, .has_subleaf = true, .edx = 1u << 29 },
             { .leaf = 0x80000001 } },
    .arch_capabilities = 0x2b,
    .microcode = 0x1234,
};

static void a_vcpu_is_told_what_it_is(void **state)
{
    const vsr_vm_config config = { .vcpus = 1 };
    vsr_engine_vm *vm = vm_new(&config);
    vsr_engine_vcpu *vcpu = vcpu_new(vm, &processor);

    assert_int_equal(fake_msr(0x10a), 0x2b);
    assert_int_equal(fake_msr(0x8b), 0x1234);
    assert_true(fake()->pv_is_enforced);
    ops->vcpu_free(vcpu);
    ops->vm_free(vm);
}

/* Without the bit, a guest may not read the MSR either. */
static void the_capabilities_msr_needs_its_bit(void **state)
{
    const vsr_vm_config config = { .vcpus = 1 };
    vsr_engine_vm *vm = vm_new(&config);
    vsr_cpuid rows = processor;
    vsr_engine_vcpu *vcpu;

    rows.row[1].edx = 0;
    vcpu = vcpu_new(vm, &rows);
    assert_int_equal(fake_msr(0x10a), 0);
    ops->vcpu_free(vcpu);
    ops->vm_free(vm);
}

/* Shared areas, asynchronous page faults, steal time, end of interrupt, polling:
 * all that a guest switches on by an MSR moves with it. */
static void paravirtual_msrs_are_in_the_state(void **state)
{
    const vsr_vm_config config = { .vcpus = 1 };
    vsr_engine_vm *vm = vm_new(&config);
    vsr_engine_vcpu *vcpu = vcpu_new(vm, &processor);
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);
    unsigned seen = 0;

    assert_int_equal(ops->vcpu_get(vcpu, x86), 0);
    for (uint32_t i = 0; i < x86->n_msrs; i++) {
        uint32_t n = x86->msrs[i].index - 0x4b564d00;

        if (n < 7) {
            x86->msrs[i].value = 0x1000 + n;
            seen |= 1u << n;
        }
    }
    assert_int_equal(seen, 0x7f);
    assert_int_equal(ops->vcpu_set(vcpu, x86), 0);
    for (uint32_t n = 0; n < 7; n++)
        assert_int_equal(fake_msr(0x4b564d00 + n), 0x1000 + n);
    ops->vcpu_free(vcpu);
    ops->vm_free(vm);
}

static void nested(bool is_vmx)
{
    const vsr_vm_config config = { .vcpus = 1 };
    vsr_engine_vm *vm = vm_new(&config);
    vsr_cpuid rows = processor;
    vsr_engine_vcpu *vcpu;
    g_autofree vsr_x86_state *x86 = g_new0(vsr_x86_state, 1);

    if (is_vmx)
        rows.row[0].ecx = 1 << 5;
    else
        rows.row[2].ecx = 1 << 2;
    vcpu = vcpu_new(vm, &rows);
    assert_int_equal(ops->vcpu_get(vcpu, x86), 0);
    assert_int_equal(fake()->n_nested_set, 0);

    /* It runs a machine of its own: that cannot be carried … */
    fake()->nested.flags = KVM_STATE_NESTED_GUEST_MODE;
    assert_int_equal(ops->vcpu_get(vcpu, x86), -EOPNOTSUPP);
    if (is_vmx) {
        fake()->nested.flags = 0;
        fake()->nested.hdr.vmx.vmxon_pa = 0x1000;
        assert_int_equal(ops->vcpu_get(vcpu, x86), -EOPNOTSUPP);
    }
    /* … and it ends with a reset. */
    assert_int_equal(ops->vcpu_set(vcpu, x86), 0);
    assert_int_equal(fake()->n_nested_set, 1);
    assert_int_equal(fake()->nested.flags & KVM_STATE_NESTED_GUEST_MODE, 0);
    assert_int_equal(fake()->nested.format, is_vmx ? 0 : 1);
    assert_int_equal(ops->vcpu_get(vcpu, x86), 0);
    ops->vcpu_free(vcpu);
    ops->vm_free(vm);
}

static void a_guests_guest_is_not_in_the_state_svm(void **state)
{
    nested(false);
}

static void a_guests_guest_is_not_in_the_state_vmx(void **state)
{
    nested(true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_tuned_unasked),
        TEST(exits_are_disabled_as_asked),
        TEST(polling_can_be_set_and_switched_off),
        TEST(a_host_that_refuses_tuning_is_an_error),
        TEST(a_full_slot_table_is_enospc),
        TEST(a_vcpu_is_told_what_it_is),
        TEST(the_capabilities_msr_needs_its_bit),
        TEST(paravirtual_msrs_are_in_the_state),
        TEST(a_guests_guest_is_not_in_the_state_svm),
        TEST(a_guests_guest_is_not_in_the_state_vmx),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
