/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_vsock.c: connections from both sides, credit, ends. */
#include "devices/virtio/vsock.h"

#include "base/error.h"
#include "tests/devices/vsock_fixture.h"

static void a_guest_reaches_a_host_socket(void **state)
{
    for (int transport = DRIVER_PCI; transport <= DRIVER_MMIO; transport++) {
        fixture *f = fixture_new((driver_transport)transport);
        header h;
        int fd;

        assert_int_equal(driver_config(f->d, 0, 4), CID);
        start(f);
        fd = open_from_guest(f);
        say_data(f, PORT, "ping", 4);
        assert_reads(fd, "ping");
        assert_int_equal(write(fd, "pong", 4), 4);
        h = hear(f, RW);
        assert_int_equal(h.len, 4);
        assert_int_equal(h.fwd_cnt, 4);
        assert_memory_equal(f->data, "pong", 4);
        assert_int_equal(n_open(f), 1);
        say_flags(f, SHUTDOWN, PORT, NO_SEND | NO_RECEIVE);
        hear(f, RST);
        assert_ends(fd);
        assert_int_equal(n_open(f), 0);
        close(fd);
        fixture_end(f);
    }
}

static void a_port_where_nobody_listens_is_refused(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    header h;

    start(f);
    say(f, REQUEST, 1);
    h = hear(f, RST);
    assert_int_equal(h.src_port, 1);
    assert_int_equal(h.dst_port, GUEST_PORT);
    fixture_end(f);
}

static void a_host_reaches_a_guest_port(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    char want[32];
    header h;
    int fd;

    start(f);
    /* What follows the line is the guest's. */
    fd = connect_client(f, "CONNECT 5000\nhello");
    h = hear(f, REQUEST);
    assert_int_equal(h.dst_port, 5000);
    assert_true(h.src_port >= 1u << 30);
    say(f, RESPONSE, h.src_port);
    snprintf(want, sizeof(want), "OK %u\n", h.src_port);
    assert_reads(fd, want);
    assert_int_equal(hear(f, RW).len, 5);
    assert_memory_equal(f->data, "hello", 5);
    say_data(f, h.src_port, "world", 5);
    assert_reads(fd, "world");
    close(fd);
    h = hear(f, SHUTDOWN);
    assert_int_equal(h.flags, NO_SEND | NO_RECEIVE);
    say(f, RST, h.src_port);
    assert_int_equal(n_open(f), 0);
    fixture_end(f);
}

static void a_hello_may_come_in_pieces(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    int fd;

    start(f);
    fd = connect_client(f, "CONN");
    g_usleep(5000);
    assert_int_equal(write(fd, "ECT 70000\n", 10), 10);
    assert_int_equal(hear(f, REQUEST).dst_port, 70000);
    close(fd);
    fixture_end(f);
}

static void a_guest_that_does_not_answer_is_given_up(void **state)
{
    fixture *f = fixture_new_with(DRIVER_PCI, 2000);
    int fd;

    start(f);
    fd = connect_client(f, "CONNECT 9\n");
    hear(f, REQUEST);
    assert_ends(fd);
    assert_int_equal(hear(f, RST).dst_port, 9);
    close(fd);
    fixture_end(f);

    /* One that refuses has answered. */
    f = fixture_new(DRIVER_PCI);
    start(f);
    fd = connect_client(f, "CONNECT 5000\n");
    say(f, RST, hear(f, REQUEST).src_port);
    assert_ends(fd);
    close(fd);
    fixture_end(f);
}

static void nobody_is_taken_before_there_is_a_driver(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    int fd = connect_client(f, "CONNECT 9\n");

    assert_ends(fd);
    close(fd);
    fixture_end(f);
}

static void the_host_sends_no_more_than_there_is_credit_for(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    uint8_t data[1000];
    header h;
    int fd;

    start(f);
    f->alloc = 600;
    fd = open_from_guest(f);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i % 251);
    assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
    h = hear(f, RW);
    assert_int_equal(h.len, 600);
    hear(f, ASK);
    assert_silence(f);
    f->forwarded = 100;
    say(f, UPDATE, PORT);
    h = hear(f, RW);
    assert_int_equal(h.len, 100);
    assert_memory_equal(f->data, data + 600, 100);
    hear(f, ASK);
    /* It lies: less than nothing is left, until it says otherwise. */
    f->alloc = 1;
    say(f, UPDATE, PORT);
    assert_silence(f);
    f->alloc = 1 << 16;
    say(f, UPDATE, PORT);
    h = hear(f, RW);
    assert_int_equal(h.len, 300);
    assert_memory_equal(f->data, data + 700, 300);
    close(fd);
    fixture_end(f);
}

static void each_direction_ends_by_itself(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    int fd;

    start(f);
    fd = open_from_guest(f);
    say_data(f, PORT, "bye", 3);
    say_flags(f, SHUTDOWN, PORT, NO_SEND);
    assert_reads(fd, "bye");
    assert_ends(fd);
    assert_int_equal(write(fd, "still", 5), 5);
    assert_int_equal(hear(f, RW).len, 5);
    shutdown(fd, SHUT_WR); /* which ends both */
    assert_int_equal(hear(f, SHUTDOWN).flags, NO_SEND | NO_RECEIVE);
    say_flags(f, SHUTDOWN, PORT, NO_RECEIVE);
    hear(f, RST);
    close(fd);

    /* The other way round. */
    fd = open_from_guest(f);
    shutdown(fd, SHUT_WR);
    assert_int_equal(hear(f, SHUTDOWN).flags, NO_SEND);
    say_data(f, PORT, "more", 4);
    assert_reads(fd, "more");
    close(fd);
    assert_int_equal(hear(f, SHUTDOWN).flags, NO_SEND | NO_RECEIVE);
    say_flags(f, SHUTDOWN, PORT, NO_RECEIVE | NO_SEND);
    hear(f, RST);
    assert_int_equal(n_open(f), 0);
    fixture_end(f);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
    fixture *f = fixture_new_with(DRIVER_PCI, 200);
    uint8_t data[ROOM + 100];
    int fd;

    start(f);
    fd = open_from_guest(f);
    memset(data, 'd', sizeof(data));
    assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
    close(fd);
    assert_int_equal(hear(f, RW).len, ROOM);
    assert_int_equal(hear(f, RW).len, 100);
    assert_int_equal(hear(f, SHUTDOWN).flags, NO_SEND | NO_RECEIVE);
    /* A guest that does not confirm is not waited for. */
    hear(f, RST);
    fixture_end(f);
}

static void a_reset_ends_all_connections(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    int fd, half, other;

    start(f);
    fd = open_from_guest(f);
    half = connect_client(f, "CON");
    other = connect_client(f, "CONNECT 1\n");
    hear(f, REQUEST);
    driver_set_status(f->d, 0);
    assert_ends(fd);
    assert_ends(half);
    assert_ends(other);
    close(fd);
    close(half);
    close(other);
    start(f);
    fd = open_from_guest(f);
    close(fd);
    fixture_end(f);
}

static void a_new_address_is_told(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    vsr_device *device = &f->d->device->device;
    GError *error = NULL;
    driver_buffer b;
    uint32_t len;
    int fd;

    start(f);
    b = (driver_buffer){ driver_alloc(f->d, 8, 8), 4, true };
    memset(driver_ram(f->d, b.gpa, 4), 0xff, 4);
    driver_add(f->d, EVENT, &b, 1);
    driver_kick(f->d, EVENT);
    fd = open_from_guest(f);
    assert_true(vsr_virtio_vsock_set_cid(device, 99, &error));
    assert_true(driver_wait(f->d, EVENT, NULL, &len));
    assert_int_equal(len, 4);
    assert_int_equal(*(uint32_t *)driver_ram(f->d, b.gpa, 4), 0);
    assert_int_equal(driver_config(f->d, 0, 4), 99);
    assert_int_equal(driver_config(f->d, 4, 4), 0);
    assert_ends(fd);
    close(fd);
    assert_false(vsr_virtio_vsock_set_cid(device, 2, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
    g_clear_error(&error);
    assert_false(vsr_virtio_vsock_set_cid(device, UINT32_MAX, NULL));
    fixture_end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_reaches_a_host_socket),
        cmocka_unit_test(a_port_where_nobody_listens_is_refused),
        cmocka_unit_test(a_host_reaches_a_guest_port),
        cmocka_unit_test(a_hello_may_come_in_pieces),
        cmocka_unit_test(a_guest_that_does_not_answer_is_given_up),
        cmocka_unit_test(nobody_is_taken_before_there_is_a_driver),
        cmocka_unit_test(the_host_sends_no_more_than_there_is_credit_for),
        cmocka_unit_test(each_direction_ends_by_itself),
        cmocka_unit_test(what_was_sent_before_the_end_arrives),
        cmocka_unit_test(a_reset_ends_all_connections),
        cmocka_unit_test(a_new_address_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
