/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver/lifecycle.h"

#include <stddef.h>

#include <visor/visor.h>

#include "driver/names.h"
#include "tests/support/cm.h"

static void expect(vsr_lifecycle *l, int state, int reason, bool paused,
                   uint32_t n, int first, int second)
{
    int detail[VSR_LIFECYCLE_EVENTS] = { -1, -1 };

    assert_int_equal(vsr_lifecycle_change(l, state, reason, paused, detail), n);
    if (n > 0)
        assert_int_equal(detail[0], first);
    if (n > 1)
        assert_int_equal(detail[1], second);
}

static void running_starts_once_and_then_resumes(void **state)
{
    vsr_lifecycle l = { 0 };

    expect(&l, VISOR_STATE_PAUSED, VISOR_REASON_STARTING, false, 0, 0, 0);
    expect(&l, VISOR_STATE_RUNNING, VISOR_REASON_BOOTED, false, 1,
           VISOR_LIFECYCLE_STARTED, 0);
    expect(&l, VISOR_STATE_PAUSED, VISOR_REASON_USER, false, 1,
           VISOR_LIFECYCLE_SUSPENDED, 0);
    expect(&l, VISOR_STATE_RUNNING, VISOR_REASON_RESUMED, false, 1,
           VISOR_LIFECYCLE_RESUMED, 0);
    expect(&l, VISOR_STATE_RUNNING, VISOR_REASON_RESET, false, 0, 0, 0);
    expect(&l, VISOR_STATE_SHUTTING_DOWN, VISOR_REASON_USER, false, 0, 0, 0);
    expect(&l, VISOR_STATE_RUNNING, VISOR_REASON_RESET, false, 0, 0, 0);
}

static void a_paused_start_counts_as_started(void **state)
{
    vsr_lifecycle l = { 0 };

    expect(&l, VISOR_STATE_PAUSED, VISOR_REASON_STARTING, true, 1,
           VISOR_LIFECYCLE_STARTED, 0);
    expect(&l, VISOR_STATE_PAUSED, VISOR_REASON_STARTING, true, 0, 0, 0);
    expect(&l, VISOR_STATE_RUNNING, VISOR_REASON_BOOTED, true, 1,
           VISOR_LIFECYCLE_RESUMED, 0);
}

static void the_end_is_told_once_with_its_cause(void **state)
{
    vsr_lifecycle l = { .started = true, .state = VISOR_STATE_RUNNING };

    expect(&l, VISOR_STATE_SHUTOFF, VISOR_REASON_GUEST_POWEROFF, false, 2,
           VISOR_LIFECYCLE_SHUTDOWN, VISOR_LIFECYCLE_STOPPED);
    expect(&l, VISOR_STATE_SHUTOFF, VISOR_REASON_DESTROYED, false, 0, 0, 0);
    l = (vsr_lifecycle){ .started = true, .state = VISOR_STATE_RUNNING };
    expect(&l, VISOR_STATE_SHUTOFF, VISOR_REASON_CRASHED, false, 2,
           VISOR_LIFECYCLE_CRASHED, VISOR_LIFECYCLE_STOPPED);
    l = (vsr_lifecycle){ .started = true, .state = VISOR_STATE_RUNNING };
    expect(&l, VISOR_STATE_CRASHED, VISOR_REASON_CRASHED, false, 1,
           VISOR_LIFECYCLE_CRASHED, 0);
    expect(&l, VISOR_STATE_SHUTOFF, VISOR_REASON_CRASHED, false, 1,
           VISOR_LIFECYCLE_STOPPED, 0);
}

static void a_start_that_failed_tells_nothing(void **state)
{
    vsr_lifecycle l = { 0 };

    expect(&l, VISOR_STATE_SHUTOFF, VISOR_REASON_FAILED, false, 0, 0, 0);
}

static void every_number_has_a_word(void **state)
{
    for (int i = VISOR_STATE_SHUTOFF; i <= VISOR_STATE_CRASHED; i++)
        assert_string_not_equal(vsr_state_name(i), "unknown");
    for (int i = VISOR_REASON_NONE; i <= VISOR_REASON_IO_ERROR; i++)
        assert_string_not_equal(vsr_reason_name(i), "unknown");
    for (int i = VISOR_EVENT_LIFECYCLE; i <= VISOR_EVENT_JOB; i++)
        assert_string_not_equal(vsr_event_kind_name(i), "unknown");
    for (int i = VISOR_LIFECYCLE_DEFINED; i <= VISOR_LIFECYCLE_CRASHED; i++)
        assert_string_not_equal(vsr_lifecycle_name(i), "unknown");
    assert_string_equal(vsr_state_name(-1), "unknown");
    assert_string_equal(vsr_lifecycle_name(VISOR_LIFECYCLE_CRASHED + 1),
                        "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_starts_once_and_then_resumes),
        cmocka_unit_test(a_paused_start_counts_as_started),
        cmocka_unit_test(the_end_is_told_once_with_its_cause),
        cmocka_unit_test(a_start_that_failed_tells_nothing),
        cmocka_unit_test(every_number_has_a_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
