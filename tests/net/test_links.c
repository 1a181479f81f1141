/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taps and bridges of the host's kernel, in a network namespace of the test's
 * own. Without root: skipped (77).
 */
#include <sys/resource.h>

#include "tests/net/link_fixture.h"

/* --- taps ------------------------------------------------------------------------------ */

static void tap_is_made_and_goes_with_its_descriptor(void **state)
{
    vsr_net_location l = location_of(VSR_NET_TAP, NULL, mac_a);
    vsr_net_source source = open_ok(&l), second = open_ok(&l);

    assert_string_equal(source.name, "vnet0");
    assert_string_equal(second.name, "vnet1");
    assert_int_equal(source.mtu, 1500);
    assert_true(link_says("vnet0", " fe:54:00:00:00:0a "));
    assert_true(link_says("vnet0", ",UP"));
    vsr_net_source_clear(&source);
    assert_true(becomes(is_gone, "vnet0"));
    source = open_ok(&l);
    assert_string_equal(source.name, "vnet0");
    vsr_net_source_clear(&source);
    vsr_net_source_clear(&second);
}

static void name_is_taken_once(void **state)
{
    vsr_net_location l = location_of(VSR_NET_TAP, NULL, mac_a);
    vsr_net_source source;

    l.target = (char *)(uintptr_t) "mytap";
    l.queues = 2;
    source = open_ok(&l);
    open_fails(&l, VISOR_ERR_EXISTS, "mytap");
    vsr_net_source_clear(&source);
    l.target = (char *)(uintptr_t) "vn%d";
    open_fails(&l, VISOR_ERR_CONFIG, "vn%d");
    l.target = (char *)(uintptr_t) "a-name-too-long-for-it";
    open_fails(&l, VISOR_ERR_CONFIG, "15");
}

static void tap_that_is_there_is_used_and_stays(void **state)
{
    vsr_net_location l = location_of(VSR_NET_TAP, NULL, mac_a);
    vsr_net_source source;

    l.target = (char *)(uintptr_t) "theirs";
    l.managed = true;
    open_fails(&l, VISOR_ERR_NOT_FOUND, "theirs");
    assert_int_equal(
        run("ip tuntap add dev theirs mode tap vnet_hdr && ip link "
            "set theirs mtu 1400 up"),
        0);
    source = open_ok(&l);
    assert_int_equal(source.mtu, 1400);
    vsr_net_source_clear(&source);
    assert_int_not_equal(if_nametoindex("theirs"), 0);
    assert_int_equal(run("ip link del theirs"), 0);
    l.target = (char *)(uintptr_t) "lo";
    open_fails(&l, VISOR_ERR_CONFIG, "lo");
}

static void carrier_follows_the_guests_link(void **state)
{
    vsr_net_location l = location_of(VSR_NET_TAP, NULL, mac_a);
    net_fixture *f = net_of(&l);

    assert_true(link_says("vnet0", ",LOWER_UP"));
    vsr_net_set_link(f->net, false);
    for (int i = 0; i < 6000 && link_says("vnet0", ",LOWER_UP"); i++)
        g_usleep(10000);
    assert_false(link_says("vnet0", ",LOWER_UP"));
    vsr_net_set_link(f->net, true);
    for (int i = 0; i < 6000 && !link_says("vnet0", ",LOWER_UP"); i++)
        g_usleep(10000);
    assert_true(link_says("vnet0", ",LOWER_UP"));
    net_fixture_free(f);
}

static int64_t cpu_us(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * INT64_C(1000000) +
           r.ru_utime.tv_usec + r.ru_stime.tv_usec;
}

static void link_that_goes_is_told_once(void **state)
{
    vsr_net_location l = location_of(VSR_NET_TAP, NULL, mac_a);
    uint8_t frame[64];
    net_fixture *f;
    int64_t begin;

    l.queues = 4;
    f = net_of(&l);
    assert_int_equal(run("ip link del vnet0"), 0);
    assert_true(fixture_wait(f, &f->n_lost, 1));
    begin = cpu_us();
    frame_of(frame, mac_b, mac_a, 1, sizeof(frame));
    assert_int_equal(fixture_send(f, frame, sizeof(frame)), -ENETDOWN);
    g_usleep(300000);
    assert_true(cpu_us() - begin < 100000); /* nobody spins */
    assert_int_equal(f->n_lost, 1);
    net_fixture_free(f);
}

static void link_that_is_down_is_not_lost(void **state)
{
    vsr_net_location l = location_of(VSR_NET_TAP, NULL, mac_a);
    net_fixture *f = net_of(&l);
    vsr_net_stats stats;
    uint8_t frame[64];

    frame_of(frame, mac_b, mac_a, 1, sizeof(frame));
    assert_int_equal(run("ip link set vnet0 down"), 0);
    assert_int_equal(fixture_send(f, frame, sizeof(frame)), -EIO);
    assert_int_equal(run("ip link set vnet0 up"), 0);
    assert_int_equal(fixture_send(f, frame, sizeof(frame)), 0);
    vsr_net_get_stats(f->net, &stats);
    assert_int_equal(stats.tx_drops, 1);
    assert_int_equal(stats.tx_packets, 1);
    assert_int_equal(f->n_lost, 0);
    net_fixture_free(f);
}

/* --- bridges ----------------------------------------------------------------------------- */

static void bridge_must_be_there_and_be_one(void **state)
{
    vsr_net_location l = location_of(VSR_NET_BRIDGE, "nobr", mac_a);

    open_fails(&l, VISOR_ERR_NOT_FOUND, "nobr");
    assert_true(becomes(is_gone, "vnet0"));
    l.device = (char *)(uintptr_t) "lo";
    open_fails(&l, VISOR_ERR_CONFIG, "lo");
}

static void bridge_of_ours_comes_and_goes(void **state)
{
    vsr_net_location l = location_of(VSR_NET_BRIDGE, "ourbr", mac_a);
    vsr_net_source a, b;

    l.make_bridge = true;
    a = open_ok(&l);
    b = open_ok(&l);
    assert_true(link_says("ourbr", ",UP"));
    vsr_net_source_clear(&a);
    assert_true(becomes(is_gone, "vnet0"));
    vsr_net_sweep();
    assert_int_not_equal(if_nametoindex("ourbr"), 0);
    vsr_net_source_clear(&b);
    assert_true(becomes(is_gone, "vnet1"));
    vsr_net_sweep();
    assert_int_equal(if_nametoindex("ourbr"), 0);
}

static void bridge_of_others_stays(void **state)
{
    vsr_net_location l = location_of(VSR_NET_BRIDGE, "br0", mac_a);
    vsr_net_source a;

    assert_int_equal(run("ip link add br0 type bridge && ip link set br0 mtu "
                         "1400 up"),
                     0);
    a = open_ok(&l);
    assert_int_equal(a.mtu, 1400);
    assert_true(link_says("vnet0", " mtu 1400 "));
    vsr_net_source_clear(&a);
    vsr_net_sweep();
    assert_int_not_equal(if_nametoindex("br0"), 0);
    assert_int_equal(run("ip link del br0"), 0);
}

static void frames_cross_a_bridge(void **state)
{
    vsr_net_location l = location_of(VSR_NET_BRIDGE, "ourbr", mac_a);
    net_fixture *a, *b;

    l.make_bridge = true;
    a = net_of(&l);
    memcpy(l.mac, mac_b, 6);
    b = net_of(&l);
    assert_int_equal(vsr_net_offloads(a->net) & VSR_NET_OFFLOAD_CSUM,
                     VSR_NET_OFFLOAD_CSUM);
    crosses(a, b, mac_a, mac_b);
    crosses(b, a, mac_b, mac_a);
    net_fixture_free(a);
    net_fixture_free(b);
}

typedef struct {
    vsr_net *net;
    uint32_t n;
} active_call;

static void set_active(void *opaque)
{
    active_call *call = opaque;

    vsr_net_set_active(call->net, call->n);
}

/* UDP, which the kernel tells apart by its ports. */
static void flow_of(uint8_t *out, uint8_t flow, size_t len)
{
    uint32_t sum = 0;

    frame_of(out, mac_b, mac_a, 0, len);
    out[12] = 0x08;
    out[13] = 0x00;
    out[14] = 0x45;
    out[17] = (uint8_t)(len - 14);
    out[22] = 64;
    out[23] = 17;
    memcpy(out + 26, "\xc0\x00\x02\x01\xc0\x00\x02\x02", 8);
    for (size_t i = 14; i < 34; i += 2)
        sum += (uint32_t)out[i] << 8 | out[i + 1];
    sum = ~((sum & 0xffff) + (sum >> 16));
    out[24] = (uint8_t)(sum >> 8);
    out[25] = (uint8_t)sum;
    out[34] = 0x80;
    out[35] = flow; /* the source port */
    out[36] = 0;
    out[37] = 9;
    out[38] = 0;
    out[39] = (uint8_t)(len - 34);
    out[40] = out[41] = 0; /* without a checksum */
}

static bool comes(net_fixture *to, const uint8_t *wanted, size_t len)
{
    GBytes *bytes;
    bool is_it = false;

    while (!is_it && (bytes = fixture_frame(to, 1000)) != NULL) {
        is_it = g_bytes_get_size(bytes) == len &&
                memcmp(g_bytes_get_data(bytes, NULL), wanted, len) == 0;
        g_bytes_unref(bytes);
    }
    return is_it;
}

/* One after the other, of as many flows; a bit for each queue they came in. */
static uint32_t send_flows(net_fixture *from, net_fixture *to, uint8_t n)
{
    uint8_t frame[64];
    uint32_t queues = 0;

    for (uint8_t i = 0; i < n; i++) {
        flow_of(frame, i, sizeof(frame));
        assert_int_equal(fixture_send(from, frame, sizeof(frame)), 0);
        assert_true(comes(to, frame, sizeof(frame)));
        queues |= 1u << to->queue_of_last;
    }
    return queues;
}

static void frames_come_in_active_queues_only(void **state)
{
    vsr_net_location l = location_of(VSR_NET_BRIDGE, "ourbr", mac_a);
    active_call call = { .n = 4 };
    net_fixture *a, *b;
    uint32_t queues;

    l.make_bridge = true;
    a = net_of(&l);
    memcpy(l.mac, mac_b, 6);
    l.queues = 4;
    b = net_of(&l);
    call.net = b->net;
    assert_int_equal(vsr_net_queues(b->net), 4);
    crosses(a, b, mac_a, mac_b);
    assert_int_equal(send_flows(a, b, 32), 1);
    vsr_loop_sync(b->loop, set_active, &call);
    queues = send_flows(a, b, 32);
    assert_int_not_equal(queues, 1);
    call.n = 2;
    vsr_loop_sync(b->loop, set_active, &call);
    assert_int_equal(send_flows(a, b, 32) & ~3u, 0);
    /* None of the others is taken for a link that went. */
    assert_int_equal(b->n_lost, 0);
    net_fixture_free(a);
    net_fixture_free(b);
}

enum { RATE = 100 }; /* KiB a second */

/* A second of sending all the time: what arrives is what the rate allows in
 * the time that it really took. */
static void rate_is_kept(net_fixture *from, net_fixture *to)
{
    int64_t begin = g_get_monotonic_time(), end = begin + G_TIME_SPAN_SECOND;
    uint32_t writable = from->n_writable;
    uint64_t sent = 0, got = 0, allowed, least;
    uint8_t frame[1014];
    GBytes *bytes;

    frame_of(frame, mac_b, mac_a, 0, sizeof(frame));
    while (g_get_monotonic_time() < end) {
        int rc = fixture_send(from, frame, sizeof(frame));

        if (rc == -EAGAIN)
            assert_true(fixture_wait(from, &from->n_writable, ++writable));
        sent += rc == 0 ? sizeof(frame) : 0;
        g_usleep(100);
    }
    /* Until nothing more comes; a receiver without a processor is waited for. */
    end = g_get_monotonic_time();
    least = MIN(sent, (uint64_t)(end - begin) * RATE * 1024 / 1000000) / 4;
    end += G_TIME_SPAN_MINUTE;
    for (;;) {
        bytes = next_ours(to, 200);
        if (bytes != NULL) {
            got += g_bytes_get_size(bytes);
            g_bytes_unref(bytes);
        } else if (got >= least || g_get_monotonic_time() > end) {
            break;
        }
    }
    allowed =
        (uint64_t)(g_get_monotonic_time() - begin) * RATE * 1024 / 1000000;
    print_message("sent %u KiB, %u arrived, %u allowed\n",
                  (unsigned)(sent / 1024), (unsigned)(got / 1024),
                  (unsigned)(allowed / 1024));
    assert_true(got <= allowed + allowed / 10 + 96 * 1024);
    assert_true(got >= least);
}

static void rates_are_kept(void **state)
{
    vsr_net_location la = location_of(VSR_NET_BRIDGE, "ourbr", mac_a);
    vsr_net_location lb = location_of(VSR_NET_BRIDGE, "ourbr", mac_b);
    net_fixture *a, *b;

    la.make_bridge = lb.make_bridge = true;
    a = net_of(&la);
    lb.in = (vsr_net_rate){ .average = RATE };
    b = net_of(&lb); /* of the host's kernel */
    crosses(a, b, mac_a, mac_b);
    rate_is_kept(a, b);
    net_fixture_free(a);
    net_fixture_free(b);

    la.out = (vsr_net_rate){ .average = RATE };
    lb.in = (vsr_net_rate){ 0 };
    a = net_of(&la); /* of it, or, where it has no police, ours */
    b = net_of(&lb);
    crosses(a, b, mac_a, mac_b);
    rate_is_kept(a, b);
    net_fixture_free(a);
    net_fixture_free(b);
}

static void vlan_needs_a_bridge_that_filters(void **state)
{
    vsr_net_location la = location_of(VSR_NET_BRIDGE, "br0", mac_a);
    vsr_net_location lb = location_of(VSR_NET_BRIDGE, "br0", mac_b);
    net_fixture *a, *b, *c;
    uint8_t frame[64];

    la.vlan = lb.vlan = 7;
    assert_int_equal(run("ip link add br0 type bridge && ip link set br0 up"),
                     0);
    open_fails(&la, VISOR_ERR_CONFIG, "vlan_filtering");
    if (run("ip link set br0 type bridge vlan_filtering 1 2>/dev/null") != 0) {
        run("ip link del br0");
        print_message("skipped: this kernel has no VLANs on bridges\n");
        skip();
    }
    a = net_of(&la);
    b = net_of(&lb);
    lb.vlan = 8;
    c = net_of(&lb);
    crosses(a, b, mac_a, mac_b);
    frame_of(frame, (const uint8_t *)"\xff\xff\xff\xff\xff\xff", mac_a, 0,
             sizeof(frame));
    assert_int_equal(fixture_send(a, frame, sizeof(frame)), 0);
    assert_null(next_ours(c, 300));
    net_fixture_free(a);
    net_fixture_free(b);
    net_fixture_free(c);
    run("ip link del br0");
    la.kind = VSR_NET_TAP;
    open_fails(&la, VISOR_ERR_NO_SUPPORT, "VLAN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tap_is_made_and_goes_with_its_descriptor),
        cmocka_unit_test(name_is_taken_once),
        cmocka_unit_test(tap_that_is_there_is_used_and_stays),
        cmocka_unit_test(carrier_follows_the_guests_link),
        cmocka_unit_test(link_that_goes_is_told_once),
        cmocka_unit_test(link_that_is_down_is_not_lost),
        cmocka_unit_test(bridge_must_be_there_and_be_one),
        cmocka_unit_test(bridge_of_ours_comes_and_goes),
        cmocka_unit_test(bridge_of_others_stays),
        cmocka_unit_test(frames_cross_a_bridge),
        cmocka_unit_test(frames_come_in_active_queues_only),
        cmocka_unit_test(rates_are_kept),
        cmocka_unit_test(vlan_needs_a_bridge_that_filters),
    };

    return enter_namespace() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
