/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Macvtap links, and that no link outlives who had it. Without root: skipped. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/net/link_fixture.h"

static void macvtaps_talk(void **state)
{
    vsr_net_location la = location_of(VSR_NET_MACVTAP, "v0", mac_a);
    vsr_net_location lb = location_of(VSR_NET_MACVTAP, "v0", mac_b);
    net_fixture *a = net_of(&la), *b = net_of(&lb), *c;

    assert_int_equal(vsr_net_mtu(a->net), 1500);
    crosses(a, b, mac_a, mac_b);
    net_fixture_free(b);
    lb.device = (char *)(uintptr_t) "v1"; /* and over the wire */
    lb.queues = 2;
    c = net_of(&lb);
    crosses(a, c, mac_a, mac_b);
    crosses(c, a, mac_b, mac_a);
    net_fixture_free(a);
    net_fixture_free(c);
}

static void macvtaps_in_private_mode_do_not_talk(void **state)
{
    vsr_net_location la = location_of(VSR_NET_MACVTAP, "v0", mac_a);
    vsr_net_location lb = location_of(VSR_NET_MACVTAP, "v0", mac_b);
    net_fixture *a, *b;
    uint8_t frame[64];

    la.mode = lb.mode = VSR_NET_MACVTAP_PRIVATE;
    a = net_of(&la);
    b = net_of(&lb);
    frame_of(frame, mac_b, mac_a, 0, sizeof(frame));
    assert_int_equal(fixture_send(a, frame, sizeof(frame)), 0);
    assert_null(next_ours(b, 300));
    net_fixture_free(a);
    net_fixture_free(b);
}

static void macvtap_errors_name_the_link(void **state)
{
    vsr_net_location l = location_of(VSR_NET_MACVTAP, "nolink", mac_a);

    open_fails(&l, VISOR_ERR_NOT_FOUND, "nolink");
    l.vlan = 3;
    open_fails(&l, VISOR_ERR_NO_SUPPORT, "VLAN");
}

static void macvtap_whose_lower_link_goes_is_lost(void **state)
{
    vsr_net_location l = location_of(VSR_NET_MACVTAP, "w0", mac_a);
    uint8_t frame[64];
    net_fixture *f;

    assert_int_equal(run("ip link add w0 type veth peer name w1 && ip link set "
                         "w0 up && ip link set w1 up"),
                     0);
    f = net_of(&l);
    assert_int_equal(run("ip link del w0"), 0);
    assert_true(fixture_wait(f, &f->n_lost, 1));
    frame_of(frame, mac_b, mac_a, 1, sizeof(frame));
    assert_int_equal(fixture_send(f, frame, sizeof(frame)), -ENETDOWN);
    assert_int_equal(f->n_lost, 1);
    net_fixture_free(f);
}

/* A process that has the link, and is killed. */
static void kill_a_holder_of(const vsr_net_location *l, char name[16])
{
    int pipes[2], status;
    char byte;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) {
        vsr_net_source source;

        if (!vsr_net_source_open(&source, l, NULL))
            _exit(1);
        if (write(pipes[1], source.name, strlen(source.name) + 1) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    memset(name, 0, 16);
    assert_true(read(pipes[0], name, 15) > 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(read(pipes[0], &byte, 1), 0);
    close(pipes[0]);
}

static void links_go_after_a_kill(void **state)
{
    vsr_net_location l = location_of(VSR_NET_TAP, NULL, mac_a);
    vsr_net_source source;
    char name[16];

    kill_a_holder_of(&l, name);
    assert_string_equal(name, "vnet0");
    assert_true(becomes(is_gone, "vnet0"));

    /* One link of that mode is all that fits. */
    l = location_of(VSR_NET_MACVTAP, "v0", mac_a);
    l.mode = VSR_NET_MACVTAP_PASSTHROUGH;
    kill_a_holder_of(&l, name);
    source = open_ok(&l);
    open_fails(&l, VISOR_ERR_BUSY, "v0");
    vsr_net_source_clear(&source);
    /* The address, in the other modes. */
    l.mode = VSR_NET_MACVTAP_BRIDGE;
    kill_a_holder_of(&l, name);
    source = open_ok(&l);
    open_fails(&l, VISOR_ERR_BUSY, "52:54:00:00:00:0a");
    vsr_net_source_clear(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macvtaps_talk),
        cmocka_unit_test(macvtaps_in_private_mode_do_not_talk),
        cmocka_unit_test(macvtap_errors_name_the_link),
        cmocka_unit_test(macvtap_whose_lower_link_goes_is_lost),
        cmocka_unit_test(links_go_after_a_kill),
    };

    return enter_namespace() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
