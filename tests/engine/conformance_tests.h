/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conformance_tests.h: the tests that conformance.c lists. Each gets a box with
 * one vCPU, made on the test's thread.
 */
#ifndef VSR_TESTS_ENGINE_CONFORMANCE_TESTS_H
#define VSR_TESTS_ENGINE_CONFORMANCE_TESTS_H

#include "tests/engine/conformance_box.h"
#include "tests/support/cm.h"

#define LOAD(b, guest, mode)                        \
    do {                                            \
        box_code(b, BOX_CODE, guest, sizeof guest); \
        box_start(b, 0, mode);                      \
    } while (0)

void ports_are_accessed_in_order(void **state);
void strings_go_to_ports_one_by_one(void **state);
void mmio_has_the_size_of_the_access(void **state);
void writes_to_rom_are_mmio(void **state);
void a_kick_ends_an_endless_loop(void **state);
void a_kick_wakes_a_halted_vcpu_for_the_host_only(void **state);
void a_kick_before_the_run_counts(void **state);
void no_kick_is_lost(void **state);
void what_was_set_is_got(void **state);
void a_bad_state_changes_nothing(void **state);
void a_guest_moves_while_it_computes(void **state);
void sse_and_x87_compute(void **state);
void the_dirty_log_knows_each_page(void **state);
void memory_comes_and_goes_under_a_running_vcpu(void **state);
void slots_do_not_overlap(void **state);
void code_patched_by_the_host_takes_effect(void **state);
void code_that_patches_itself_takes_effect(void **state);
void a_triple_fault_is_a_shutdown(void **state);
void an_interrupt_wakes_a_halted_vcpu(void **state);
void an_interrupt_waits_for_the_flag(void **state);
void an_interrupt_taken_back_is_not_delivered(void **state);
void an_nmi_ignores_the_flag(void **state);
void an_exception_in_the_state_is_delivered(void **state);
void apic_msrs_are_the_machines(void **state);
void cr8_is_the_machines(void **state);
void the_tsc_counts_and_stands_still(void **state);
void the_clock_can_be_set(void **state);
void locked_adds_of_two_vcpus_add_up(void **state);
void two_vcpus_hand_over_a_token(void **state);
void a_vcpu_made_late_counts_with_the_others(void **state);
void init_and_sipi_start_a_vcpu(void **state);

#endif
