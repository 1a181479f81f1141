/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_vsock_hostile.c: drivers and clients that mean harm. */
#include "devices/virtio/vsock.h"

#include "base/error.h"
#include "tests/devices/vsock_fixture.h"

static void a_wrong_hello_ends_it(void **state)
{
    static const char *const wrong[] = {
        "\n",
        "HELLO\n",
        "CONNECT\n",
        "CONNECT -1\n",
        "CONNECT x\n",
        "CONNECT 1 2\n",
        "CONNECT 4294967295\n",
        "CONNECT 99999999999999999999\n",
        "CONNECT 1111111111111111111111111111111111",
    };
    fixture *f = fixture_new(DRIVER_PCI);

    start(f);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        int fd = connect_client(f, wrong[i]);

        assert_ends(fd);
        close(fd);
    }
    assert_silence(f);
    fixture_end(f);
}

static void who_says_nothing_is_not_kept(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    int first, fd[70];

    start(f);
    for (size_t i = 0; i < G_N_ELEMENTS(fd); i++)
        fd[i] = connect_client(f, "");
    assert_ends(fd[69]); /* too many */
    for (size_t i = 0; i < G_N_ELEMENTS(fd); i++)
        close(fd[i]);
    fixture_end(f);

    f = fixture_new_with(DRIVER_PCI, 200);
    start(f);
    first = connect_client(f, "");
    assert_ends(first); /* too long */
    close(first);
    fixture_end(f);
}

static void a_guest_is_held_to_its_credit(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    g_autofree uint8_t *data = g_malloc0(64 << 10);
    uint64_t sent = 0, got = 0;
    bool told = false;
    header h;
    int fd;

    start(f);
    fd = open_from_guest(f);
    for (uint32_t i = 0; i < 64 << 10; i++)
        data[i] = (uint8_t)(i % 251);
    /* The socket takes some, we keep 64 KiB, and that is all of it. */
    for (;;) {
        say_data(f, PORT, data, 32 << 10);
        if (!driver_take(f->d, RX, NULL, NULL)) {
            driver_settle(f->d);
            if (!driver_take(f->d, RX, NULL, NULL))
                break;
        }
        sent += 32 << 10;
        assert_true(sent < 64 << 20);
    }
    sent += 32 << 10;
    say_data(f, PORT, data, 32 << 10);
    sent += 32 << 10;
    while (got < sent) {
        uint8_t part[5000];
        ssize_t n = read(fd, part, MIN(sizeof(part), sent - got));

        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++, got++)
            assert_int_equal(part[i], got % (32 << 10) % 251);
    }
    /* There is room again, and the guest is told. */
    while (!told && hear_any(f, &h))
        told = h.op == UPDATE && h.fwd_cnt == sent;
    assert_true(told);
    close(fd);
    fixture_end(f);
}

static void more_than_credit_is_reset(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    g_autofree uint8_t *data = g_malloc0(65 << 10);
    int fd;

    start(f);
    fd = open_from_guest(f);
    say_data(f, PORT, data, 65 << 10);
    hear(f, RST);
    assert_ends(fd);
    close(fd);
    fixture_end(f);
}

static void packets_of_no_connection_are_reset(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    header h;
    int fd;

    start(f);
    for (uint16_t op = 0; op < 10; op++) {
        if (op == REQUEST)
            continue;
        say(f, op, PORT);
        if (op != RST)
            hear(f, RST);
    }
    h = packet(f, REQUEST, GUEST_PORT, PORT);
    h.src_cid = CID + 1; /* not its own */
    send_raw(f, &h, NULL, 0);
    assert_silence(f);
    h.src_cid = CID;
    h.dst_cid = 9;
    send_raw(f, &h, NULL, 0);
    assert_int_equal(hear(f, RST).src_cid, 9);
    h.dst_cid = HOST;
    h.type = 2;
    send_raw(f, &h, NULL, 0);
    hear(f, RST);

    fd = open_from_guest(f);
    say(f, REQUEST, PORT); /* again */
    hear(f, RST);
    assert_ends(fd);
    close(fd);
    fd = open_from_guest(f);
    h = packet(f, RW, GUEST_PORT, PORT);
    h.len = 100; /* and no data */
    send_raw(f, &h, NULL, 0);
    hear(f, RST);
    close(fd);
    fd = open_from_guest(f);
    say(f, 77, PORT);
    hear(f, RST);
    close(fd);
    fixture_end(f);
}

static void short_and_wrong_buffers_do_no_harm(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    driver_buffer b;

    start(f);
    b = (driver_buffer){ f->tx, 43, false };
    driver_add(f->d, TX, &b, 1);
    b = (driver_buffer){ f->tx, 500, true };
    driver_add(f->d, TX, &b, 1);
    driver_kick(f->d, TX);
    assert_true(driver_wait(f->d, TX, NULL, NULL));
    assert_true(driver_wait(f->d, TX, NULL, NULL));
    assert_int_equal(driver_status(f->d), 15);
    fixture_end(f);

    f = fixture_new(DRIVER_PCI);
    start_bare(f);
    b = (driver_buffer){ f->tx, 44, true };
    driver_add(f->d, RX, &b, 1);
    driver_kick(f->d, RX);
    say(f, REQUEST, 1);
    driver_settle(f->d);
    assert_true((driver_status(f->d) & VSR_VIRTIO_NEEDS_RESET) != 0);
    fixture_end(f);
}

static void a_guest_without_buffers_is_not_listened_to(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    uint32_t taken = 0, resets = 0;
    header h;

    start_bare(f);
    h = packet(f, RW, GUEST_PORT, PORT);
    memcpy(driver_ram(f->d, f->tx, sizeof(h)), &h, sizeof(h));
    for (int round = 0; round < 4; round++) {
        const driver_buffer b = { f->tx, sizeof(h), false };

        while (f->d->queue[TX].n_free > 0)
            driver_add(f->d, TX, &b, 1);
        driver_kick(f->d, TX);
        driver_settle(f->d);
        while (driver_take(f->d, TX, NULL, NULL))
            taken++;
    }
    assert_int_equal(taken, 256);
    /* With buffers it goes on where it was. */
    give_all_rx(f);
    while (resets < 512 && hear_any(f, &h)) {
        assert_int_equal(h.op, RST);
        resets++;
    }
    assert_int_equal(resets, 512);
    fixture_end(f);
}

static void connections_are_counted(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    uint32_t n = 0;
    header h;
    int fd;

    start(f);
    for (uint32_t port = 1; port <= VSR_VIRTIO_VSOCK_CONNS_MAX + 1; port++) {
        h = packet(f, REQUEST, port, PORT);
        send_raw(f, &h, NULL, 0);
        assert_true(hear_any(f, &h));
        if (h.op == RESPONSE) {
            n++;
            close(accept_soon(f->server));
        }
        if (h.op == RST)
            break;
        /* The SHUTDOWN of it. */
        assert_true(hear_any(f, &h));
    }
    /* As many as there are descriptors for, or as there may be. */
    assert_in_range(n, 200, VSR_VIRTIO_VSOCK_CONNS_MAX);
    driver_set_status(f->d, 0);
    assert_int_equal(n_open(f), 0);
    start(f);
    fd = open_from_guest(f);
    close(fd);
    fixture_end(f);
}

static void wrong_names_are_refused(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    vsr_virtio_vsock_params p = { .virtio = driver_params(f->d),
                                  .cid = 3,
                                  .listen_fd = -1,
                                  .folder_fd = -1 };
    g_autofree char *name = g_strnfill(73, 'n');
    const char *const wrong[] = { "", "a/b", name };
    GError *error = NULL;

    p.virtio.devfn = 6 << 3;
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        p.name = wrong[i];
        assert_null(vsr_device_new(f->d->machine, &vsr_virtio_vsock_class,
                                   "other", &p, &error));
        assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
        g_clear_error(&error);
    }
    p.name = "fine";
    assert_null(vsr_device_new(f->d->machine, &vsr_virtio_vsock_class, "other",
                               &p, &error)); /* no socket to listen at */
    g_clear_error(&error);
    fixture_end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_hello_ends_it),
        cmocka_unit_test(who_says_nothing_is_not_kept),
        cmocka_unit_test(a_guest_is_held_to_its_credit),
        cmocka_unit_test(more_than_credit_is_reset),
        cmocka_unit_test(packets_of_no_connection_are_reset),
        cmocka_unit_test(short_and_wrong_buffers_do_no_harm),
        cmocka_unit_test(a_guest_without_buffers_is_not_listened_to),
        cmocka_unit_test(connections_are_counted),
        cmocka_unit_test(wrong_names_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
