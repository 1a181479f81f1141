/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The network device's control queue, and its life. */
#include "tests/devices/virtio_net_box.h"

/* --- the control queue ------------------------------------------------------------------------ */

static uint8_t command(box *b, uint32_t queue, const void *data, uint32_t len)
{
    driver_buffer buffers[] = { { driver_alloc(b->d, MAX(len, 1), 1), len,
                                  false },
                                { driver_alloc(b->d, 1, 1), 1, true } };
    uint8_t *ack = driver_ram(b->d, buffers[1].gpa, 1);

    memcpy(driver_ram(b->d, buffers[0].gpa, MAX(len, 1)), data, len);
    *ack = 0xee;
    driver_add(b->d, queue, buffers, 2);
    driver_kick(b->d, queue);
    used(b, queue, 1);
    return *ack;
}

#define COMMAND(b, ...)                                   \
    command(b, CONTROL, (const uint8_t[]){ __VA_ARGS__ }, \
            sizeof((const uint8_t[]){ __VA_ARGS__ }))

#define CONTROL_FEATURES                                                  \
    (VSR_VIRTIO_NET_F_CTRL_VQ | VSR_VIRTIO_NET_F_CTRL_RX |                \
     VSR_VIRTIO_NET_F_CTRL_RX_EXTRA | VSR_VIRTIO_NET_F_CTRL_MAC_ADDR |    \
     VSR_VIRTIO_NET_F_GUEST_ANNOUNCE | VSR_VIRTIO_NET_F_STATUS |          \
     VSR_VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | VSR_VIRTIO_NET_F_GUEST_CSUM | \
     VSR_VIRTIO_NET_F_GUEST_TSO4)

/* Does a frame for `to` reach the guest? */
static bool takes(box *b, const uint8_t to[6])
{
    uint16_t before = driver_used_idx(b->d, RX), head;
    uint8_t frame[60];
    uint32_t len;

    frame_of(frame, to, sizeof(frame));
    fake_net_put(b->net, 0, NULL, frame, sizeof(frame));
    driver_settle(b->d);
    assert_int_equal(fake_net_waiting(b->net, 0), 0);
    if (driver_used_idx(b->d, RX) == before)
        return false;
    assert_true(driver_take(b->d, RX, &head, &len));
    return true;
}

static void guest_says_what_it_wants(void **state)
{
    box b = box_new(CONTROL_FEATURES, 3);
    uint8_t table[2 + 4 + 6 + 4 + 6] = { 1, 0, 1, 0, 0, 0 };

    for (uint32_t i = 0; i < 40; i++)
        add_rx(&b, 70000);
    driver_kick(b.d, RX);
    driver_settle(b.d);
    assert_true(takes(&b, other)); /* all, until it says something */
    assert_int_equal(COMMAND(&b, 0, 0, 0), 0);
    assert_false(takes(&b, other));
    assert_true(takes(&b, mac));
    assert_true(takes(&b, all));
    assert_false(takes(&b, group));
    memcpy(table + 6, other, 6);
    table[12] = 1;
    memcpy(table + 16, group, 6);
    assert_int_equal(command(&b, CONTROL, table, sizeof(table)), 0);
    assert_true(takes(&b, other));
    assert_true(takes(&b, group));
    assert_int_equal(COMMAND(&b, 0, 3, 1), 0); /* no multicast */
    assert_false(takes(&b, group));
    assert_int_equal(COMMAND(&b, 0, 3, 0), 0);
    assert_int_equal(COMMAND(&b, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    assert_false(takes(&b, group));
    assert_int_equal(COMMAND(&b, 0, 1, 1), 0); /* all multicast */
    assert_true(takes(&b, group));
    assert_int_equal(COMMAND(&b, 0, 2, 1), 0); /* all unicast */
    assert_true(takes(&b, other));
    assert_int_equal(COMMAND(&b, 0, 4, 1), 0); /* no unicast */
    assert_false(takes(&b, mac));
    assert_int_equal(COMMAND(&b, 0, 5, 1), 0); /* no broadcast */
    assert_false(takes(&b, all));
    assert_int_equal(COMMAND(&b, 0, 0, 1), 0);
    assert_true(takes(&b, other));
    box_free(&b);
}

static void guest_changes_its_address(void **state)
{
    box b = box_new(CONTROL_FEATURES, 3);

    for (uint32_t i = 0; i < 4; i++)
        add_rx(&b, 70000);
    driver_kick(b.d, RX);
    assert_int_equal(COMMAND(&b, 0, 0, 0), 0);
    assert_int_equal(COMMAND(&b, 1, 1, 0x52, 0x54, 0, 9, 9, 9), 0);
    assert_int_equal(driver_config(b.d, 5, 1), 9);
    assert_true(takes(&b, other));
    assert_false(takes(&b, mac));
    driver_set_status(b.d, 0);
    assert_int_equal(driver_config(b.d, 5, 1), mac[5]);
    box_free(&b);
}

static void bad_commands_are_refused(void **state)
{
    static const struct {
        uint32_t len;
        uint8_t data[24];
    } bad[] = {
        { 0, { 0 } },
        { 1, { 0 } },
        { 2, { 0, 0 } },    /* no byte */
        { 3, { 0, 6, 1 } }, /* no such command */
        { 3, { 0, 255, 1 } },
        { 2, { 1, 1 } },
        { 7, { 1, 1, 1, 2, 3, 4, 5 } },       /* an address of 5 */
        { 9, { 1, 1, 1, 2, 3, 4, 5, 6, 7 } }, /* of 7 */
        { 2, { 1, 0 } },
        { 6, { 1, 0, 0, 0, 0, 0 } }, /* one table */
        { 10, { 1, 0, 1, 0, 0, 0, 0, 0, 0, 0 } },
        { 10, { 1, 0, 255, 255, 255, 255, 255, 255, 255, 255 } },
        { 10, { 1, 0, 0xab, 0xaa, 0xaa, 0x2a, 0, 0, 0, 0 } }, /* * 6 is 2 */
        { 11, { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } },
        { 4, { 2, 0, 5, 0 } }, /* VLANs: not offered */
        { 3, { 3, 1, 0 } },
        { 4, { 4, 0, 1, 0 } }, /* pairs: not negotiated */
        { 9, { 5, 0, 2, 0, 0, 0, 0, 0, 0 } },
        { 10, { 5, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 } },
        { 10, { 5, 1, 0, 0, 0, 0, 0, 0, 0, 0 } },
        { 4, { 6, 0, 0, 0 } },
        { 4, { 255, 255, 0, 0 } },
    };
    box b = box_new(CONTROL_FEATURES, 3);

    for (size_t i = 0; i < VSR_ARRAY_SIZE(bad); i++)
        assert_int_equal(command(&b, CONTROL, bad[i].data, bad[i].len), 1);
    assert_int_equal(driver_status(b.d), 15);
    box_free(&b);
}

static void command_without_an_answer_needs_a_reset(void **state)
{
    box b = box_new(CONTROL_FEATURES, 3);
    driver_buffer buffer = { driver_alloc(b.d, 3, 1), 3, false };

    driver_add(b.d, CONTROL, &buffer, 1);
    driver_kick(b.d, CONTROL);
    driver_settle(b.d);
    assert_int_equal(driver_status(b.d) & VSR_VIRTIO_NEEDS_RESET,
                     VSR_VIRTIO_NEEDS_RESET);
    box_free(&b);
}

static void large_tables_let_all_through(void **state)
{
    box b = box_new(CONTROL_FEATURES, 3);
    uint8_t table[2 + 4 + 6 * 65 + 4] = { 1, 0, 65 };

    for (uint32_t i = 0; i < 4; i++)
        add_rx(&b, 70000);
    driver_kick(b.d, RX);
    assert_int_equal(COMMAND(&b, 0, 0, 0), 0);
    assert_false(takes(&b, other));
    assert_int_equal(command(&b, CONTROL, table, sizeof(table)), 0);
    assert_true(takes(&b, other));
    assert_false(takes(&b, group));
    box_free(&b);
}

static void offloads_are_the_guests(void **state)
{
    box b = box_new(CONTROL_FEATURES, 3);

    driver_settle(b.d); /* the loop tells the network */
    assert_int_equal(fake_net_offloads(b.net),
                     VSR_NET_OFFLOAD_CSUM | VSR_NET_OFFLOAD_TSO4);
    assert_int_equal(COMMAND(&b, 5, 0, 2, 0, 0, 0, 0, 0, 0, 0), 0);
    assert_int_equal(fake_net_offloads(b.net), VSR_NET_OFFLOAD_CSUM);
    assert_int_equal(COMMAND(&b, 5, 0, 0x82, 0, 0, 0, 0, 0, 0, 0), 0);
    assert_int_equal(fake_net_offloads(b.net),
                     VSR_NET_OFFLOAD_CSUM | VSR_NET_OFFLOAD_TSO4);
    driver_start(b.d, 0, 3);
    driver_settle(b.d);
    assert_int_equal(fake_net_offloads(b.net), 0);
    box_free(&b);
}

static void pairs_of_queues_come_and_go(void **state)
{
    box b = box_with(DRIVER_PCI, 4, 0, 0);
    uint8_t data[HEADER + 60] = { 0 };

    driver_start(b.d, VSR_VIRTIO_NET_F_CTRL_VQ | VSR_VIRTIO_NET_F_MQ, 9);
    assert_int_equal(fake_net_active(b.net), 1);
    for (uint32_t i = 0; i < 4; i++) {
        driver_buffer buffer = { driver_alloc(b.d, 2000, 1), 2000, true };

        driver_add(b.d, 2 * i, &buffer, 1);
        driver_kick(b.d, 2 * i);
    }
    driver_settle(b.d);
    assert_false(fake_net_wanted(b.net, 3));
    assert_int_equal(command(&b, 8, "\4\0\0\0", 4), 1);
    assert_int_equal(command(&b, 8, "\4\0\5\0", 4), 1);
    assert_int_equal(command(&b, 8, "\4\0\0\1", 4), 1);
    assert_int_equal(command(&b, 8, "\4\1\2\0", 4), 1);
    assert_int_equal(command(&b, 8, "\4\0\4\0", 4), 0);
    driver_settle(b.d);
    assert_int_equal(fake_net_active(b.net), 4);
    assert_true(fake_net_wanted(b.net, 3));
    fake_net_put(b.net, 3, NULL, data, 60);
    used(&b, 6, HEADER + 60);
    /* Buffers that were taken and not used are there for the next time. */
    assert_int_equal(command(&b, 8, "\4\0\1\0", 4), 0);
    assert_int_equal(fake_net_active(b.net), 1);
    assert_int_equal(command(&b, 8, "\4\0\3\0", 4), 0);
    driver_settle(b.d);
    fake_net_put(b.net, 2, NULL, data, 60);
    used(&b, 4, HEADER + 60);
    driver_start(b.d, 0, 2);
    driver_settle(b.d);
    add_rx(&b, 2000);
    driver_kick(b.d, RX);
    driver_settle(b.d);
    assert_int_equal(fake_net_active(b.net), 1);
    box_free(&b);
}

/* --- life ----------------------------------------------------------------------------------------- */

static void cable_is_pulled_and_put_back(void **state)
{
    box b = box_new(VSR_VIRTIO_NET_F_STATUS, 2);
    uint32_t before = driver_interrupts(b.d, UINT32_MAX);

    vsr_virtio_net_set_link(device_of(&b), false);
    assert_true(driver_wait_interrupt(b.d, UINT32_MAX, before));
    assert_int_equal(driver_config(b.d, 6, 2), 0);
    assert_false(fake_net_is_up(b.net));
    vsr_virtio_net_set_link(device_of(&b), true);
    assert_int_equal(driver_interrupts(b.d, UINT32_MAX) - before, 2);
    assert_int_equal(driver_config(b.d, 6, 2), LINK_UP);
    vsr_virtio_net_set_link(device_of(&b), true); /* no news */
    assert_int_equal(driver_interrupts(b.d, UINT32_MAX) - before, 2);
    fake_net_lose(b.net);
    assert_int_equal(driver_config(b.d, 6, 2), 0);
    assert_int_equal(driver_interrupts(b.d, UINT32_MAX) - before, 3);
    driver_set_status(b.d, 0);
    assert_int_equal(driver_config(b.d, 6, 2), 0);
    box_free(&b);
}

static void guest_is_asked_to_announce_itself(void **state)
{
    box b = box_new(CONTROL_FEATURES, 3);
    uint32_t before = driver_interrupts(b.d, UINT32_MAX);

    vsr_virtio_net_announce(device_of(&b));
    assert_true(driver_wait_interrupt(b.d, UINT32_MAX, before));
    assert_int_equal(driver_config(b.d, 6, 2), LINK_UP | 2);
    assert_int_equal(COMMAND(&b, 3, 0), 0);
    assert_int_equal(driver_config(b.d, 6, 2), LINK_UP);
    box_free(&b);
}

static void reset_forgets_buffers(void **state)
{
    box b = box_new(VSR_VIRTIO_NET_F_MRG_RXBUF | VSR_VIRTIO_NET_F_GUEST_CSUM |
                        VSR_VIRTIO_NET_F_GUEST_TSO4,
                    2);
    uint8_t frame[4000];
    uint64_t old = add_rx(&b, 1000), at;

    frame_of(frame, mac, sizeof(frame));
    driver_kick(b.d, RX);
    driver_settle(b.d);
    fake_net_put(b.net, 0, NULL, frame,
                 sizeof(frame)); /* half of it is there */
    driver_set_status(b.d, 0);
    memset(driver_ram(b.d, old, 1000), 0, 1000);
    fake_net_put(b.net, 0, NULL, frame, 100);
    driver_settle(b.d);
    driver_start(b.d, VSR_VIRTIO_NET_F_MRG_RXBUF, 2);
    at = add_rx(&b, 2000);
    driver_kick(b.d, RX);
    merged_is(&b, &at, 1, 2000, frame, 100);
    assert_int_equal(*(uint8_t *)driver_ram(b.d, old, 1), 0);
    box_free(&b);
}

static void pause_gives_buffers_back(void **state)
{
    box b = box_new(VSR_VIRTIO_NET_F_MRG_RXBUF, 2);
    vsr_device *device = device_of(&b);
    uint8_t frame[100], data[HEADER + 60] = { 0 };
    uint64_t at[3];

    frame_of(frame, mac, sizeof(frame));
    for (uint32_t i = 0; i < 3; i++)
        at[i] = add_rx(&b, 600);
    driver_kick(b.d, RX);
    driver_settle(b.d);
    assert_int_equal(b.d->device->queue[RX].ring.next_avail, 3);
    device->class->quiesce(device);
    assert_int_equal(b.d->device->queue[RX].ring.next_avail, 0);
    fake_net_put(b.net, 0, NULL, frame, sizeof(frame));
    send_parts(&b, data, whole, 1);
    driver_settle(b.d);
    assert_int_equal(driver_used_idx(b.d, RX), 0);
    assert_int_equal(driver_used_idx(b.d, TX), 0);
    device->class->unquiesce(device);
    merged_is(&b, at, 1, 600, frame, sizeof(frame));
    sent_is(&b, data, sizeof(data));
    box_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_says_what_it_wants),
        cmocka_unit_test(guest_changes_its_address),
        cmocka_unit_test(bad_commands_are_refused),
        cmocka_unit_test(command_without_an_answer_needs_a_reset),
        cmocka_unit_test(large_tables_let_all_through),
        cmocka_unit_test(offloads_are_the_guests),
        cmocka_unit_test(pairs_of_queues_come_and_go),
        cmocka_unit_test(cable_is_pulled_and_put_back),
        cmocka_unit_test(guest_is_asked_to_announce_itself),
        cmocka_unit_test(reset_forgets_buffers),
        cmocka_unit_test(pause_gives_buffers_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
