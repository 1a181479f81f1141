/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the network device offers, and frames either way. */
#include "tests/devices/virtio_net_box.h"

/* --- what is offered -------------------------------------------------------------- */

static void features_follow_the_network(void **state)
{
    const uint64_t offloads =
        VSR_VIRTIO_NET_F_CSUM | VSR_VIRTIO_NET_F_GUEST_CSUM |
        VSR_VIRTIO_NET_F_HOST_TSO4 | VSR_VIRTIO_NET_F_HOST_TSO6 |
        VSR_VIRTIO_NET_F_HOST_ECN | VSR_VIRTIO_NET_F_HOST_USO |
        VSR_VIRTIO_NET_F_GUEST_TSO4 | VSR_VIRTIO_NET_F_GUEST_TSO6 |
        VSR_VIRTIO_NET_F_GUEST_ECN | VSR_VIRTIO_NET_F_GUEST_USO4 |
        VSR_VIRTIO_NET_F_GUEST_USO6 | VSR_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
    const uint64_t base = VSR_VIRTIO_NET_F_MAC | VSR_VIRTIO_NET_F_STATUS |
                          VSR_VIRTIO_NET_F_MTU | VSR_VIRTIO_NET_F_MRG_RXBUF |
                          VSR_VIRTIO_NET_F_CTRL_VQ;
    box b = box_with(DRIVER_PCI, 1, ALL_OFFLOADS, 0);

    assert_int_equal(driver_offered(b.d) & (base | offloads), base | offloads);
    assert_int_equal(driver_offered(b.d) & VSR_VIRTIO_NET_F_MQ, 0);
    box_free(&b);
    b = box_with(DRIVER_PCI, 4, 0, 0);
    assert_int_equal(driver_offered(b.d) & (base | offloads), base);
    assert_int_not_equal(driver_offered(b.d) & VSR_VIRTIO_NET_F_MQ, 0);
    box_free(&b);
    /* What is left out takes with it what is nothing without it. */
    b = box_with(DRIVER_PCI, 4, ALL_OFFLOADS,
                 VSR_VIRTIO_NET_F_CSUM | VSR_VIRTIO_NET_F_GUEST_TSO4 |
                     VSR_VIRTIO_NET_F_GUEST_TSO6 | VSR_VIRTIO_NET_F_CTRL_VQ);
    assert_int_equal(
        driver_offered(b.d) &
            (VSR_VIRTIO_NET_F_CSUM | VSR_VIRTIO_NET_F_HOST_TSO4 |
             VSR_VIRTIO_NET_F_HOST_ECN | VSR_VIRTIO_NET_F_HOST_USO |
             VSR_VIRTIO_NET_F_GUEST_ECN | VSR_VIRTIO_NET_F_MQ |
             VSR_VIRTIO_NET_F_CTRL_RX | VSR_VIRTIO_NET_F_CTRL_RX_EXTRA |
             VSR_VIRTIO_NET_F_GUEST_ANNOUNCE),
        0);
    box_free(&b);
}

static void configuration_says_what_it_is(void **state)
{
    box b = box_with(DRIVER_MMIO, 3, 0, 0);

    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(driver_config(b.d, i, 1), mac[i]);
    assert_int_equal(driver_config(b.d, 6, 2), LINK_UP);
    assert_int_equal(driver_config(b.d, 8, 2), 3);
    assert_int_equal(driver_config(b.d, 10, 2), 1500);
    driver_set_config(b.d, 0, 1, 0xaa);
    assert_int_equal(driver_config(b.d, 0, 1), mac[0]);
    assert_int_equal(b.d->device->n_queues, 7);
    box_free(&b);
}

/* --- from the guest --------------------------------------------------------------------- */

static void frames_leave_however_they_are_cut(void **state)
{
    static const uint32_t cuts[][5] = {
        { 12, 1502 }, { 1514 },        { 4, 8, 2, 1500 },
        { 20, 1494 }, { 11, 1, 1502 },
    };
    box b = box_new(0, 2);
    uint8_t data[1514] = { 0 };

    frame_of(data + HEADER, other, sizeof(data) - HEADER);
    for (size_t i = 0; i < VSR_ARRAY_SIZE(cuts); i++) {
        uint32_t n = 0;

        while (n < 5 && cuts[i][n] != 0)
            n++;
        send_parts(&b, data, cuts[i], n);
        used(&b, TX, 0);
        sent_is(&b, data, sizeof(data));
    }
    box_free(&b);
}

/* Is a frame with this header sent, and how does its header look then? */
static void header_is(box *b, const uint8_t in[HEADER], const uint8_t *out)
{
    uint8_t data[HEADER + 60];

    frame_of(data + HEADER, other, 60);
    memcpy(data, in, HEADER);
    send_parts(b, data, whole, 1);
    used(b, TX, 0);
    driver_settle(b->d);
    if (out == NULL) {
        assert_true(fake_net_sent_none(b->net));
        return;
    }
    memcpy(data, out, HEADER);
    sent_is(b, data, sizeof(data));
}

#define H(flags, gso, hdr, size, start, offset, n)             \
    {                                                          \
        flags, gso, hdr, 0, size, 0, start, 0, offset, 0, n, 0 \
    }

static void headers_are_checked(void **state)
{
    static const uint8_t zero[HEADER],
        csum[] = H(1, 0, 0, 0, 34, 16, 0), junk[] = H(0xf6, 0, 9, 9, 9, 9, 9),
        tso4[] = H(1, 1, 54, 100, 34, 16, 0),
        tso4_bare[] = H(0, 1, 54, 100, 34, 16, 0),
        tso4_ecn[] = H(1, 0x81, 54, 100, 34, 16, 0),
        tso4_zero[] = H(1, 1, 54, 0, 34, 16, 0),
        tso6[] = H(1, 4, 54, 100, 34, 16, 0),
        uso[] = H(1, 5, 54, 100, 34, 6, 0), ufo[] = H(1, 3, 54, 100, 34, 6, 0),
        strange[] = H(1, 77, 54, 100, 34, 6, 0);
    box b = box_new(VSR_VIRTIO_NET_F_CSUM | VSR_VIRTIO_NET_F_HOST_TSO4, 2);

    header_is(&b, zero, zero);
    header_is(&b, junk, zero); /* flags that nobody knows are ignored */
    header_is(&b, csum, csum);
    header_is(&b, tso4, tso4);
    header_is(&b, tso4_bare, NULL);
    header_is(&b, tso4_zero, NULL);
    header_is(&b, tso4_ecn, NULL); /* not negotiated, as the next two */
    header_is(&b, tso6, NULL);
    header_is(&b, uso, NULL);
    header_is(&b, ufo, NULL);
    header_is(&b, strange, NULL);
    box_free(&b);
    b = box_new(0, 2);
    header_is(&b, csum, NULL);
    header_is(&b, tso4, NULL);
    box_free(&b);
}

static void short_chains_are_dropped(void **state)
{
    static const uint32_t lens[] = { 1, 11, 12 };
    box b = box_new(0, 2);
    uint8_t data[HEADER + 60] = { 0 };
    driver_buffer buffer = { driver_alloc(b.d, 64, 1), 64, true };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(lens); i++) {
        send_parts(&b, data, &lens[i], 1);
        used(&b, TX, 0);
    }
    driver_add(b.d, TX, &buffer, 1); /* nothing to read at all */
    driver_kick(b.d, TX);
    used(&b, TX, 0);
    assert_true(fake_net_sent_none(b.net));
    send_parts(&b, data, whole, 1);
    sent_is(&b, data, sizeof(data));
    assert_int_equal(driver_status(b.d), 15);
    box_free(&b);
}

static void frames_wait_for_a_network_that_is_busy(void **state)
{
    box b = box_new(0, 2);
    uint8_t data[HEADER + 60] = { 0 };

    fake_net_refuse(b.net, true);
    for (uint8_t i = 0; i < 40; i++) {
        data[HEADER] = i;
        send_parts(&b, data, whole, 1);
    }
    driver_settle(b.d);
    assert_int_equal(driver_used_idx(b.d, TX), 0);
    fake_net_refuse(b.net, false);
    for (uint8_t i = 0; i < 40; i++) {
        data[HEADER] = i;
        sent_is(&b, data, sizeof(data));
        used(&b, TX, 0);
    }
    box_free(&b);
}

static void many_frames_are_one_interrupt(void **state)
{
    box b = box_new(0, 2);
    uint8_t data[HEADER + 60] = { 0 };
    uint32_t before;

    fake_net_refuse(b.net, true);
    for (uint32_t i = 0; i < 100; i++)
        send_parts(&b, data, whole, 1);
    driver_settle(b.d);
    driver_want_interrupts(b.d, TX, true);
    before = driver_interrupts(b.d, TX);
    fake_net_refuse(b.net, false);
    driver_settle(b.d);
    assert_int_equal(driver_used_idx(b.d, TX), 100);
    assert_int_equal(driver_interrupts(b.d, TX) - before, 1);
    box_free(&b);
}

/* --- to the guest -------------------------------------------------------------------------- */

static void frame_arrives_with_its_header(void **state)
{
    static const uint8_t tso[] = H(1, 1, 54, 100, 34, 16, 0);
    box b = box_new(0, 2);
    uint8_t frame[600], *got;
    uint64_t at = add_rx(&b, 2000);

    driver_kick(b.d, RX);
    driver_settle(b.d);
    frame_of(frame, mac, sizeof(frame));
    fake_net_put(b.net, 0, tso, frame, sizeof(frame));
    used(&b, RX, HEADER + sizeof(frame));
    got = driver_ram(b.d, at, 2000);
    assert_memory_equal(got, tso, 10);
    assert_int_equal(got[10] | got[11] << 8, 1); /* num_buffers */
    assert_memory_equal(got + HEADER, frame, sizeof(frame));
    assert_int_equal(got[HEADER + sizeof(frame)], 0);
    box_free(&b);
}

static void long_frames_take_several_buffers(void **state)
{
    box b = box_new(VSR_VIRTIO_NET_F_MRG_RXBUF | VSR_VIRTIO_NET_F_GUEST_CSUM |
                        VSR_VIRTIO_NET_F_GUEST_TSO4,
                    2);
    g_autofree uint8_t *frame = g_malloc(65000);
    uint64_t at[100];

    for (uint32_t i = 0; i < 100; i++)
        at[i] = add_rx(&b, 1536);
    driver_kick(b.d, RX);
    driver_settle(b.d);
    frame_of(frame, mac, 65000);
    fake_net_put(b.net, 0, NULL, frame, 60);
    merged_is(&b, at, 1, 1536, frame, 60);
    fake_net_put(b.net, 0, NULL, frame, 1536 - HEADER);
    merged_is(&b, at + 1, 1, 1536, frame, 1536 - HEADER);
    fake_net_put(b.net, 0, NULL, frame, 1536 - HEADER + 1);
    merged_is(&b, at + 2, 2, 1536, frame, 1536 - HEADER + 1);
    fake_net_put(b.net, 0, NULL, frame, 65000);
    merged_is(&b, at + 4, 43, 1536, frame, 65000);
    fake_net_put(b.net, 0, NULL, frame, 700);
    merged_is(&b, at + 47, 1, 1536, frame, 700);
    box_free(&b);
}

static void long_frame_waits_for_more_buffers(void **state)
{
    box b = box_new(VSR_VIRTIO_NET_F_MRG_RXBUF | VSR_VIRTIO_NET_F_GUEST_CSUM |
                        VSR_VIRTIO_NET_F_GUEST_TSO4,
                    2);
    g_autofree uint8_t *frame = g_malloc(65000);
    uint64_t at[100];
    uint32_t n = 0;

    frame_of(frame, mac, 65000);
    while (n < 3)
        at[n++] = add_rx(&b, 1000);
    driver_kick(b.d, RX);
    driver_settle(b.d);
    fake_net_put(b.net, 0, NULL, frame, 9000);
    fake_net_put(b.net, 0, NULL, frame, 100);
    driver_settle(b.d);
    assert_int_equal(driver_used_idx(b.d, RX), 0);
    assert_false(fake_net_wanted(b.net, 0));
    at[n++] = add_rx(&b, 1000); /* still not enough */
    assert_true(driver_wants_kick(b.d, RX));
    driver_kick(b.d, RX);
    driver_settle(b.d);
    assert_int_equal(driver_used_idx(b.d, RX), 0);
    while (n < 11)
        at[n++] = add_rx(&b, 1000);
    driver_kick(b.d, RX);
    merged_is(&b, at, 10, 1000, frame, 9000);
    merged_is(&b, at + 10, 1, 1000, frame, 100);
    box_free(&b);
}

static void frame_that_never_fits_is_lost(void **state)
{
    box b = box_with(DRIVER_PCI, 1, ALL_OFFLOADS, 0);
    uint8_t frame[3000];
    vsr_net_stats stats;

    /* A ring of two buffers, both in our hands. */
    assert_true(driver_negotiate(b.d, VSR_VIRTIO_NET_F_MRG_RXBUF |
                                          VSR_VIRTIO_NET_F_GUEST_CSUM |
                                          VSR_VIRTIO_NET_F_GUEST_TSO4));
    driver_place(b.d, RX, 2);
    driver_enable(b.d, RX);
    driver_set_status(b.d, 15);
    add_rx(&b, 500);
    add_rx(&b, 500);
    driver_kick(b.d, RX);
    driver_settle(b.d);
    frame_of(frame, mac, sizeof(frame));
    fake_net_put(b.net, 0, NULL, frame, sizeof(frame));
    fake_net_put(b.net, 0, NULL, frame, 100);
    used(&b, RX, HEADER + 100);
    vsr_virtio_net_get_stats(device_of(&b), &stats);
    assert_int_equal(stats.rx_drops, 1);
    box_free(&b);
}

static void without_merging_one_buffer_is_all(void **state)
{
    box b = box_new(0, 2);
    uint8_t frame[1514];
    vsr_net_stats stats;

    for (uint32_t i = 0; i < 4; i++)
        add_rx(&b, 512);
    driver_kick(b.d, RX);
    driver_settle(b.d);
    frame_of(frame, mac, sizeof(frame));
    fake_net_put(b.net, 0, NULL, frame, sizeof(frame));
    fake_net_put(b.net, 0, NULL, frame, 500);
    used(&b, RX, 512);
    driver_settle(b.d);
    assert_int_equal(driver_used_idx(b.d, RX), 1);
    vsr_virtio_net_get_stats(device_of(&b), &stats);
    assert_int_equal(stats.rx_drops, 1);
    box_free(&b);
}

static void frames_wait_for_buffers(void **state)
{
    box b = box_new(VSR_VIRTIO_NET_F_MRG_RXBUF, 2);
    uint8_t frame[100];
    uint64_t at;

    frame_of(frame, mac, sizeof(frame));
    for (uint32_t i = 0; i < 3; i++)
        fake_net_put(b.net, 0, NULL, frame, sizeof(frame));
    driver_settle(b.d);
    assert_int_equal(fake_net_waiting(b.net, 0), 3);
    assert_false(fake_net_wanted(b.net, 0));
    for (uint32_t i = 0; i < 3; i++) {
        at = add_rx(&b, 2000);
        driver_kick(b.d, RX);
        merged_is(&b, &at, 1, 2000, frame, sizeof(frame));
    }
    box_free(&b);
}

static void buffers_in_pieces_are_filled(void **state)
{
    box b = box_new(VSR_VIRTIO_NET_F_MRG_RXBUF, 2);
    uint64_t at = driver_alloc(b.d, 4096, 1);
    const driver_buffer first[] = { { at, 5, true },
                                    { at + 100, 6, true },
                                    { at + 200, 3, true } };
    const driver_buffer second[] = { { at + 300, 1, true },
                                     { at + 400, 1600, true } };
    uint8_t frame[1400], *ram = driver_ram(b.d, at, 4096);

    driver_add(b.d, RX, first, 3);
    driver_add(b.d, RX, second, 2);
    driver_kick(b.d, RX);
    driver_settle(b.d);
    frame_of(frame, mac, sizeof(frame));
    fake_net_put(b.net, 0, NULL, frame, sizeof(frame));
    used(&b, RX, 14);
    used(&b, RX, HEADER + 1400 - 14);
    assert_int_equal(ram[104 + 1], 2); /* num_buffers at 10: 5 + 5 */
    assert_memory_equal(ram + 200 + 1, frame, 2);
    assert_int_equal(ram[300], frame[2]);
    assert_memory_equal(ram + 400, frame + 3, 1400 - 3);
    box_free(&b);
}

static void bad_receive_buffers_need_a_reset(void **state)
{
    for (uint32_t i = 0; i < 2; i++) {
        box b = box_new(0, 2);
        driver_buffer bad = { driver_alloc(b.d, 64, 1), i == 0 ? 64 : 12,
                              i != 0 };
        uint8_t frame[60] = { 0 };

        driver_add(b.d, RX, &bad, 1);
        driver_kick(b.d, RX);
        driver_settle(b.d);
        fake_net_put(b.net, 0, NULL, frame, sizeof(frame));
        assert_int_equal(driver_status(b.d) & VSR_VIRTIO_NEEDS_RESET,
                         VSR_VIRTIO_NEEDS_RESET);
        assert_false(fake_net_wanted(b.net, 0));
        /* And after one it works. */
        driver_start(b.d, 0, 2);
        add_rx(&b, 2000);
        driver_kick(b.d, RX);
        used(&b, RX, HEADER + 60);
        box_free(&b);
    }
}

static void hundreds_of_tiny_buffers_are_no_trouble(void **state)
{
    box b = box_new(VSR_VIRTIO_NET_F_MRG_RXBUF | VSR_VIRTIO_NET_F_GUEST_CSUM |
                        VSR_VIRTIO_NET_F_GUEST_TSO4,
                    2);
    g_autofree uint8_t *frame = g_malloc(65000);
    uint64_t at[255];

    frame_of(frame, mac, 65000);
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 255; i++)
            at[i] = add_rx(&b, 13);
        driver_kick(b.d, RX);
        driver_settle(b.d);
        fake_net_put(b.net, 0, NULL, frame, 65000); /* never fits */
        /* 128 of them are as many as we look at. */
        fake_net_put(b.net, 0, NULL, frame, 128 * 13 - HEADER);
        merged_is(&b, at, 128, 13, frame, 128 * 13 - HEADER);
        fake_net_put(b.net, 0, NULL, frame, 127 * 13 - HEADER);
        merged_is(&b, at + 128, 127, 13, frame, 127 * 13 - HEADER);
    }
    box_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_follow_the_network),
        cmocka_unit_test(configuration_says_what_it_is),
        cmocka_unit_test(frames_leave_however_they_are_cut),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(short_chains_are_dropped),
        cmocka_unit_test(frames_wait_for_a_network_that_is_busy),
        cmocka_unit_test(many_frames_are_one_interrupt),
        cmocka_unit_test(frame_arrives_with_its_header),
        cmocka_unit_test(long_frames_take_several_buffers),
        cmocka_unit_test(long_frame_waits_for_more_buffers),
        cmocka_unit_test(frame_that_never_fits_is_lost),
        cmocka_unit_test(without_merging_one_buffer_is_all),
        cmocka_unit_test(frames_wait_for_buffers),
        cmocka_unit_test(buffers_in_pieces_are_filled),
        cmocka_unit_test(bad_receive_buffers_need_a_reset),
        cmocka_unit_test(hundreds_of_tiny_buffers_are_no_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
