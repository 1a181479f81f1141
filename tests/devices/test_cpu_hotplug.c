/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/cpu_hotplug.h"

#include "machine/x86/layout.h"
#include "tests/devices/device_fixture.h"

enum {
    PORT = VSR_PORT_CPUS,
    EVENT = PORT + VSR_CPUS_EVENT,
    STATUS = PORT + VSR_CPUS_STATUS,
    EJECT = PORT + VSR_CPUS_EJECT,
    OST_CPU = PORT + VSR_CPUS_OST_CPU,
    OST_EVENT = PORT + VSR_CPUS_OST_EVENT,
    OST_STATUS = PORT + VSR_CPUS_OST_STATUS,
    GSI = VSR_GSI_CPUS,
    VCPUS = 5,
    STA = 0x0f,
    CHECK = 1,
    ASKED = 3,
};

static void on_ejected(void *opaque)
{
    g_atomic_int_inc((gint *)opaque);
}

/* Processors 0 and 1 are there. *n_told counts calls of ejected(). */
static device_fixture *hotplug_new(gint *n_told)
{
    const vsr_cpu_hotplug_params params = {
        .port = PORT,
        .gsi = GSI,
        .vcpus = VCPUS,
        .ejected = on_ejected,
        .opaque = n_told,
    };
    device_fixture *f = device_fixture_new(&vsr_cpu_hotplug_class, &params);

    vsr_cpu_hotplug_set(f->device, 0, true);
    vsr_cpu_hotplug_set(f->device, 1, true);
    return f;
}

static uint32_t in(device_fixture *f, uint16_t port)
{
    return (uint32_t)fake_in(f->machine, port, 4);
}

static void out(device_fixture *f, uint16_t port, uint32_t value)
{
    fake_out(f->machine, port, 4, value);
}

static uint32_t sta(device_fixture *f, uint32_t vcpu)
{
    out(f, STATUS, vcpu);
    return in(f, STATUS);
}

/* What was counted, once the loop has done what was posted to it. */
static int told(device_fixture *f, gint *n_told)
{
    vsr_loop_sync(f->machine->loop, fixture_nothing, NULL);
    return g_atomic_int_get(n_told);
}

static void events_are_taken_one_by_one(void **state)
{
    gint n_told = 0;
    device_fixture *f = hotplug_new(&n_told);

    assert_false(f->chips.level[GSI]);
    assert_int_equal(in(f, EVENT), 0);
    vsr_cpu_hotplug_plugged(f->device, 3);
    vsr_cpu_hotplug_plugged(f->device, 2);
    vsr_cpu_hotplug_ask(f->device, 1);
    assert_true(f->chips.level[GSI]);
    assert_int_equal(in(f, EVENT), 1 << 8 | ASKED);
    assert_int_equal(in(f, EVENT), 2 << 8 | CHECK);
    assert_true(f->chips.level[GSI]);
    assert_int_equal(in(f, EVENT), 3 << 8 | CHECK);
    assert_false(f->chips.level[GSI]);
    assert_int_equal(in(f, EVENT), 0);
    assert_int_equal(told(f, &n_told), 0);
    device_fixture_free(f);
}

static void one_that_came_and_is_to_go_has_two_events(void **state)
{
    gint n_told = 0;
    device_fixture *f = hotplug_new(&n_told);

    vsr_cpu_hotplug_plugged(f->device, 4);
    vsr_cpu_hotplug_ask(f->device, 4);
    vsr_cpu_hotplug_ask(f->device, 4);
    assert_int_equal(in(f, EVENT), 4 << 8 | CHECK);
    assert_true(f->chips.level[GSI]);
    assert_int_equal(in(f, EVENT), 4 << 8 | ASKED);
    assert_false(f->chips.level[GSI]);
    assert_int_equal(in(f, EVENT), 0);
    device_fixture_free(f);
}

static void what_is_withdrawn_is_no_event(void **state)
{
    gint n_told = 0;
    device_fixture *f = hotplug_new(&n_told);

    vsr_cpu_hotplug_ask(f->device, 1);
    vsr_cpu_hotplug_withdraw(f->device, 1);
    assert_false(f->chips.level[GSI]);
    assert_int_equal(in(f, EVENT), 0);
    vsr_cpu_hotplug_withdraw(f->device, 1);
    assert_false(f->chips.level[GSI]);
    device_fixture_free(f);
}

static void status_says_who_is_there(void **state)
{
    gint n_told = 0;
    device_fixture *f = hotplug_new(&n_told);

    assert_int_equal(sta(f, 0), STA);
    assert_int_equal(sta(f, 1), STA);
    assert_int_equal(sta(f, 2), 0);
    vsr_cpu_hotplug_plugged(f->device, 2);
    assert_int_equal(in(f, STATUS), STA); /* it is still selected */
    vsr_cpu_hotplug_set(f->device, 2, false);
    assert_int_equal(sta(f, 2), 0);
    assert_false(f->chips.level[GSI]); /* its event went with it */
    device_fixture_free(f);
}

static void an_ejected_one_is_gone_at_once_and_told_once(void **state)
{
    gint n_told = 0;
    device_fixture *f = hotplug_new(&n_told);
    uint32_t vcpu = 99;

    vsr_cpu_hotplug_ask(f->device, 1);
    out(f, EJECT, 1); /* before the event was read */
    assert_false(f->chips.level[GSI]);
    assert_int_equal(sta(f, 1), 0);
    out(f, EJECT, 1);
    assert_int_equal(told(f, &n_told), 1);
    assert_true(vsr_cpu_hotplug_take(f->device, &vcpu));
    assert_int_equal(vcpu, 1);
    assert_false(vsr_cpu_hotplug_take(f->device, &vcpu));
    vsr_cpu_hotplug_plugged(f->device, 1);
    assert_int_equal(sta(f, 1), STA);
    assert_int_equal(in(f, EVENT), 1 << 8 | CHECK);
    device_fixture_free(f);
}

static void the_boot_processor_stays(void **state)
{
    gint n_told = 0;
    device_fixture *f = hotplug_new(&n_told);
    uint32_t vcpu;

    out(f, EJECT, 0);
    assert_int_equal(sta(f, 0), STA);
    assert_int_equal(told(f, &n_told), 0);
    assert_false(vsr_cpu_hotplug_take(f->device, &vcpu));
    device_fixture_free(f);
}

static void reset_forgets_events_not_processors(void **state)
{
    gint n_told = 0;
    device_fixture *f = hotplug_new(&n_told);
    uint32_t vcpu = 99;

    vsr_cpu_hotplug_plugged(f->device, 2);
    vsr_cpu_hotplug_plugged(f->device, 3);
    vsr_cpu_hotplug_ask(f->device, 1);
    out(f, EJECT, 3);
    out(f, STATUS, 2);
    f->device->class->reset(f->device);
    assert_false(f->chips.level[GSI]);
    assert_int_equal(in(f, EVENT), 0);
    assert_int_equal(in(f, STATUS), STA); /* of 0 */
    assert_int_equal(sta(f, 2), STA);
    /* What was let go of is gone, also if nobody has taken it yet. */
    assert_true(vsr_cpu_hotplug_take(f->device, &vcpu));
    assert_int_equal(vcpu, 3);
    device_fixture_free(f);
}

/* Every register and size with wild values: nothing comes or goes that is not
 * there, and what is told can be taken. */
static void a_hostile_guest_gets_no_further(void **state)
{
    static const uint32_t wild[] = {
        0,         VCPUS,     VCPUS + 1,  0xff,       0x100,
        0x7ffffff, INT32_MAX, 0x80000000, UINT32_MAX,
    };
    gint n_told = 0;
    device_fixture *f = hotplug_new(&n_told);
    uint32_t vcpu;

    vsr_cpu_hotplug_ask(f->device, 77);
    vsr_cpu_hotplug_plugged(f->device, VCPUS);
    vsr_cpu_hotplug_set(f->device, UINT32_MAX, true);
    vsr_cpu_hotplug_withdraw(f->device, VCPUS);
    assert_false(f->chips.level[GSI]);
    for (size_t i = 0; i < G_N_ELEMENTS(wild); i++)
        for (uint16_t at = 0; at < VSR_CPUS_LEN + 4; at++)
            for (uint32_t size = 1; size <= 4; size *= 2) {
                fake_out(f->machine, (uint16_t)(PORT + at), size, wild[i]);
                (void)fake_in(f->machine, (uint16_t)(PORT + at), size);
            }
    for (size_t i = 1; i < G_N_ELEMENTS(wild); i++)
        assert_int_equal(sta(f, wild[i]), 0);
    assert_int_equal(told(f, &n_told), 0);
    assert_false(vsr_cpu_hotplug_take(f->device, &vcpu));
    assert_int_equal(sta(f, 1), STA);
    /* Over and over: the loop hears of each once. */
    for (int i = 0; i < 1000; i++)
        out(f, EJECT, 1);
    assert_int_equal(told(f, &n_told), 1);
    for (uint32_t i = 0; i < 1000; i++) {
        out(f, OST_CPU, i);
        out(f, OST_EVENT, i % 7);
        out(f, OST_STATUS, i * 77);
    }
    device_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_taken_one_by_one),
        cmocka_unit_test(one_that_came_and_is_to_go_has_two_events),
        cmocka_unit_test(what_is_withdrawn_is_no_event),
        cmocka_unit_test(status_says_who_is_there),
        cmocka_unit_test(an_ejected_one_is_gone_at_once_and_told_once),
        cmocka_unit_test(the_boot_processor_stays),
        cmocka_unit_test(reset_forgets_events_not_processors),
        cmocka_unit_test(a_hostile_guest_gets_no_further),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
