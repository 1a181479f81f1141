/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

static int no_pump(vsr_engine_vm *vm)
{
    return 0;
}

static void a_whole_table_passes(void **state)
{
    vsr_engine_caps caps;

    assert_true(vsr_engine_check(&fake_engine, NULL));
    assert_true(fake_engine.caps(&caps, NULL));
    assert_true(vsr_engine_check_caps(&fake_engine, &caps, NULL));
    assert_true(vsr_engine_check(&fake_engine_with_chips, NULL));
}

static void refused(const vsr_engine_ops *ops, const char *word)
{
    g_autoptr(GError) error = NULL;

    assert_false(vsr_engine_check(ops, &error));
    assert_int_equal(error->code, VISOR_ERR_INTERNAL);
    assert_non_null(strstr(error->message, word));
}

static void a_missing_slot_is_named(void **state)
{
    vsr_engine_ops ops = fake_engine;

    ops.vcpu_kick = NULL;
    refused(&ops, "vcpu_kick");
    ops = fake_engine;
    ops.dirty_fetch = NULL;
    refused(&ops, "dirty_fetch");
    ops = fake_engine;
    ops.name = NULL;
    refused(&ops, "name");
}

static void an_engine_is_of_one_kind(void **state)
{
    vsr_engine_ops ops = fake_engine;

    ops.pump_start = no_pump;
    refused(&ops, "both");
    ops = fake_engine;
    ops.vcpu_run = NULL;
    refused(&ops, "none");
}

static void pairs_come_together(void **state)
{
    vsr_engine_ops ops = fake_engine;

    ops.doorbell_remove = NULL;
    refused(&ops, "doorbell_remove");
}

static void caps_ask_for_their_slots(void **state)
{
    g_autoptr(GError) error = NULL;
    vsr_engine_ops ops = fake_engine;
    vsr_engine_caps caps;

    assert_true(ops.caps(&caps, NULL));
    ops.vcpu_signal = NULL;
    assert_false(vsr_engine_check_caps(&ops, &caps, &error));
    assert_non_null(strstr(error->message, "vcpu_signal"));
    g_clear_error(&error);
    ops = fake_engine;
    caps.ioapic = true;
    assert_false(vsr_engine_check_caps(&ops, &caps, &error));
    assert_non_null(strstr(error->message, "irq_line"));
    g_clear_error(&error);
    caps.ioapic = false;
    caps.tsc_hz = 0;
    assert_false(vsr_engine_check_caps(&ops, &caps, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_table_passes),
        cmocka_unit_test(a_missing_slot_is_named),
        cmocka_unit_test(an_engine_is_of_one_kind),
        cmocka_unit_test(pairs_come_together),
        cmocka_unit_test(caps_ask_for_their_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
