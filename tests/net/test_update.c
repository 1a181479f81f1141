/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_update.c: links that change while they are used: real ones, in a network
 * namespace of the test's own. */
#include "tests/net/link_fixture.h"

static char *name(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* A bridge of others with that MTU. */
static void add_bridge(const char *bridge, int mtu)
{
    assert_int_equal(run("ip link add %s type bridge && ip link set %s mtu %d "
                         "up",
                         bridge, bridge, mtu),
                     0);
}

static vsr_net_source update_ok(int fd, const vsr_net_location *from,
                                const vsr_net_location *to)
{
    vsr_net_source out;
    GError *error = NULL;

    if (!vsr_net_source_update(&out, fd, from, to, &error))
        fail_msg("%s", error->message);
    return out;
}

static void update_fails(int fd, const vsr_net_location *from,
                         const vsr_net_location *to, visor_error_code code,
                         const char *word)
{
    vsr_net_source out;
    GError *error = NULL;

    assert_false(vsr_net_source_update(&out, fd, from, to, &error));
    if (!g_error_matches(error, VSR_ERROR, code) ||
        strstr(error->message, word) == NULL)
        fail_msg("code %d: %s", error->code, error->message);
    g_error_free(error);
}

static void a_tap_moves_to_another_bridge(void **state)
{
    vsr_net_location from = location_of(VSR_NET_BRIDGE, "br1", mac_a);
    vsr_net_location to = location_of(VSR_NET_BRIDGE, "br2", mac_a);
    vsr_net_location other = location_of(VSR_NET_BRIDGE, "br2", mac_b);
    vsr_net_source out;
    net_fixture *a, *b;

    add_bridge("br1", 1400);
    add_bridge("br2", 1500);
    a = net_of(&from);
    b = net_of(&other);
    assert_true(link_says("vnet0", "master br1"));
    out = update_ok(vsr_net_link_fd(a->net), &from, &to);
    assert_true(link_says("vnet0", "master br2"));
    /* The guest has been told of it at its start. */
    assert_true(link_says("vnet0", " mtu 1400 "));
    assert_int_equal(out.kind, VSR_NET_BRIDGE);
    assert_string_equal(out.name, "vnet0");
    assert_int_equal(out.fd[0], -1);
    vsr_net_source_clear(&out);
    crosses(a, b, mac_a, mac_b);
    net_fixture_free(a);
    net_fixture_free(b);
    run("ip link del br1; ip link del br2");
}

static void a_bridge_that_is_none_changes_nothing(void **state)
{
    vsr_net_location from = location_of(VSR_NET_BRIDGE, "br1", mac_a);
    vsr_net_location to = location_of(VSR_NET_BRIDGE, "nobr", mac_a);
    net_fixture *f;

    add_bridge("br1", 1500);
    f = net_of(&from);
    update_fails(vsr_net_link_fd(f->net), &from, &to, VISOR_ERR_NOT_FOUND,
                 "nobr");
    to.device = name("v0");
    update_fails(vsr_net_link_fd(f->net), &from, &to, VISOR_ERR_CONFIG, "v0");
    assert_true(link_says("vnet0", "master br1"));
    to.device = name("br1");
    to.in.average = 100;
    update_fails(-1, &from, &to, VISOR_ERR_STATE, "gone");
    net_fixture_free(f);
    run("ip link del br1");
}

static bool kernel_limits(void)
{
    return run("tc qdisc show dev vnet0 | grep -q tbf") == 0;
}

/* Kept by the kernel, where that can, else by the process. */
static void limits_come_and_go(void **state)
{
    vsr_net_location from = location_of(VSR_NET_BRIDGE, "br1", mac_a), to;
    vsr_net_source out;
    net_fixture *f;

    if (run("command -v tc >/dev/null") != 0)
        skip();
    add_bridge("br1", 1500);
    f = net_of(&from);
    to = from;
    to.in.average = to.out.average = 1000;
    for (int i = 0; i < 2; i++) {
        out = update_ok(vsr_net_link_fd(f->net), &from, &to);
        assert_true(kernel_limits() == (out.in.average == 0));
        vsr_net_source_clear(&out);
        /* Other limits take the place of these. */
        to.in.average = to.out.average = 2000;
    }
    out = update_ok(vsr_net_link_fd(f->net), &to, &from);
    assert_false(kernel_limits());
    assert_int_equal(out.in.average, 0);
    vsr_net_source_clear(&out);
    assert_int_not_equal(run("tc qdisc show dev vnet0 | grep -q ingress"), 0);
    net_fixture_free(f);
    run("ip link del br1");
}

static void what_waits_goes_on_without_the_limit(void **state)
{
    vsr_net_location l = location_of(VSR_NET_TAP, NULL, mac_a);
    const vsr_net_rate none = { 0 }, slow = { .average = 1 };
    net_fixture *f = net_of(&l);
    uint8_t frame[1514];
    int rc = 0;

    frame_of(frame, mac_b, mac_a, 0x5a, sizeof(frame));
    vsr_net_set_rates(f->net, &none, &slow);
    /* A burst of 64 KiB passes at once; the next must wait for a second. */
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = fixture_send(f, frame, sizeof(frame));
    assert_int_equal(rc, -EAGAIN);
    vsr_net_set_rates(f->net, &none, &none);
    assert_true(fixture_wait(f, &f->n_writable, 1));
    for (int i = 0; i < 200; i++)
        assert_int_equal(fixture_send(f, frame, sizeof(frame)), 0);
    net_fixture_free(f);
}

static void the_process_keeps_the_limits_of_others(void **state)
{
    vsr_net_location from = { .kind = VSR_NET_USER }, to = from;
    vsr_net_source out;

    to.in.average = 5;
    to.out.burst = 6;
    out = update_ok(-1, &from, &to);
    assert_int_equal(out.in.average, 5);
    assert_int_equal(out.out.burst, 6);
    vsr_net_source_clear(&out);
    from.kind = to.kind = VSR_NET_MACVTAP;
    update_fails(-1, &from, &to, VISOR_ERR_NO_SUPPORT, "direct");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tap_moves_to_another_bridge),
        cmocka_unit_test(a_bridge_that_is_none_changes_nothing),
        cmocka_unit_test(limits_come_and_go),
        cmocka_unit_test(what_waits_goes_on_without_the_limit),
        cmocka_unit_test(the_process_keeps_the_limits_of_others),
    };

    return enter_namespace() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
