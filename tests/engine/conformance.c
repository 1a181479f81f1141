/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conformance.c: small guest programs through the engine's table only.
 */
#include "tests/engine/conformance.h"

#include <stdio.h>
#include <string.h>

#include "tests/engine/conformance_tests.h"

static int setup(void **state)
{
    const vsr_engine_ops *ops = *state;
    box *b = box_new(ops);

    if (b == NULL)
        return 1;
    *state = b;
    return box_vcpu_new(b, 0) ? 0 : 1;
}

static int teardown(void **state)
{
    box *b = *state;
    const vsr_engine_ops *ops = b->ops;

    if (b->vcpu[0] != NULL)
        box_vcpu_free(b, 0);
    box_free(b);
    *state = (void *)(uintptr_t)ops;
    return 0;
}

#define TEST(name)                                           \
    {                                                        \
#name, name, setup, teardown, (void *)(uintptr_t)ops \
    }

static bool is_listed(const char *name, const char *const *list)
{
    for (; list != NULL && *list != NULL; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

int conformance_run(const vsr_engine_ops *ops, const char *const *leave_out)
{
    const struct CMUnitTest tests[] = {
        TEST(ports_are_accessed_in_order),
        TEST(strings_go_to_ports_one_by_one),
        TEST(mmio_has_the_size_of_the_access),
        TEST(writes_to_rom_are_mmio),
        TEST(a_kick_ends_an_endless_loop),
        TEST(a_kick_wakes_a_halted_vcpu_for_the_host_only),
        TEST(a_kick_before_the_run_counts),
        TEST(no_kick_is_lost),
        TEST(what_was_set_is_got),
        TEST(a_bad_state_changes_nothing),
        TEST(a_guest_moves_while_it_computes),
        TEST(sse_and_x87_compute),
        TEST(the_dirty_log_knows_each_page),
        TEST(memory_comes_and_goes_under_a_running_vcpu),
        TEST(slots_do_not_overlap),
        TEST(code_patched_by_the_host_takes_effect),
        TEST(code_that_patches_itself_takes_effect),
        TEST(a_triple_fault_is_a_shutdown),
        TEST(an_interrupt_wakes_a_halted_vcpu),
        TEST(an_interrupt_waits_for_the_flag),
        TEST(an_interrupt_taken_back_is_not_delivered),
        TEST(an_nmi_ignores_the_flag),
        TEST(an_exception_in_the_state_is_delivered),
        TEST(apic_msrs_are_the_machines),
        TEST(cr8_is_the_machines),
        TEST(the_tsc_counts_and_stands_still),
        TEST(the_clock_can_be_set),
        TEST(locked_adds_of_two_vcpus_add_up),
        TEST(two_vcpus_hand_over_a_token),
        TEST(a_vcpu_made_late_counts_with_the_others),
        TEST(init_and_sipi_start_a_vcpu),
    };
    struct CMUnitTest chosen[G_N_ELEMENTS(tests)];
    vsr_engine_caps caps;
    size_t n = 0;

    if (!vsr_engine_check(ops, NULL) || !ops->caps(&caps, NULL))
        return 77;
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        if (is_listed(tests[i].name, leave_out))
            printf("left out: %s\n", tests[i].name);
        else
            chosen[n++] = tests[i];
    return _cmocka_run_group_tests(ops->name, chosen, n, NULL, NULL);
}
