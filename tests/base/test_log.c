/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <string.h>

#include "tests/support/cm.h"

typedef struct {
    unsigned n;
    vsr_log_level level;
    char last[64];
} sink_record;

static void sink(vsr_log_level level, const char *message, void *opaque)
{
    sink_record *record = opaque;

    record->n++;
    record->level = level;
    g_strlcpy(record->last, message, sizeof record->last);
}

static void sink_gets_level_and_text(void **state)
{
    sink_record record = { 0 };

    vsr_log_set_sink(sink, &record);
    vsr_log(VSR_LOG_WARN, "port 0x%x", 0x60u);
    assert_int_equal(record.n, 1);
    assert_int_equal(record.level, VSR_LOG_WARN);
    assert_string_equal(record.last, "port 0x60");
}

static void without_a_sink_nothing_is_said(void **state)
{
    sink_record record = { 0 };

    vsr_log_set_sink(sink, &record);
    vsr_log_set_sink(NULL, NULL);
    vsr_log(VSR_LOG_ERROR, "x");
    assert_int_equal(record.n, 0);
}

static void limiter_falls_silent_after_the_first_few(void **state)
{
    sink_record record = { 0 };
    vsr_log_limiter limiter = { 0 }, other = { 0 };

    vsr_log_set_sink(sink, &record);
    for (int i = 0; i < 1000; i++)
        vsr_log_limited(&limiter, VSR_LOG_DEBUG, "%d", i);
    assert_in_range(record.n, 1, 20);
    assert_string_not_equal(record.last, "999");
    vsr_log_limited(&other, VSR_LOG_DEBUG, "other");
    assert_string_equal(record.last, "other");
    vsr_log_set_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sink_gets_level_and_text),
        cmocka_unit_test(without_a_sink_nothing_is_said),
        cmocka_unit_test(limiter_falls_silent_after_the_first_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
