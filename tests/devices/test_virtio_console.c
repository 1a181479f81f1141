/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_console.c: ports, control messages, who waits for whom. */
#include "devices/virtio/console.h"

#include "base/error.h"
#include "tests/devices/console_fixture.h"

static void a_console_carries_both_ways(void **state)
{
    for (int transport = DRIVER_PCI; transport <= DRIVER_MMIO; transport++) {
        fixture *f = fixture_new((driver_transport)transport);
        uint64_t at;

        take_ports(f);
        say(f, 1, "login: ");
        assert_output(f, "login: ");
        at = give_room(f, 0, 16);
        assert_int_equal(vsr_chardev_inject(f->dev[0], "root\n", 5), 5);
        assert_input(f, 0, at, "root\n");
        fixture_end(f);
    }
}

static void a_driver_without_multiport_has_port_0(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    uint64_t at;

    driver_start(f->d, F_SIZE, 2);
    say(f, 1, "old");
    assert_output(f, "old");
    at = give_room(f, 0, 16);
    vsr_chardev_inject(f->dev[0], "x", 1);
    assert_input(f, 0, at, "x");
    assert_true(vsr_virtio_console_is_open(&f->d->device->device, 0));
    fixture_end(f);
}

static void input_waits_until_a_program_reads(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    uint64_t at;

    take_ports(f);
    at = give_room(f, 4, 3);
    assert_int_equal(write(f->host, "hello", 5), 5);
    g_usleep(5000);
    assert_false(driver_take(f->d, 4, NULL, NULL));
    assert_false(vsr_virtio_console_is_open(&f->d->device->device, 1));

    tell(f, 1, OPEN, 1);
    assert_true(vsr_virtio_console_is_open(&f->d->device->device, 1));
    assert_input(f, 4, at, "hel");
    /* The rest comes when there is a buffer for it. */
    assert_input(f, 4, give_room(f, 4, 16), "lo");
    tell(f, 1, OPEN, 0);
    assert_int_equal(write(f->host, "later", 5), 5);
    at = give_room(f, 4, 16);
    g_usleep(5000);
    assert_false(driver_take(f->d, 4, NULL, NULL));
    fixture_end(f);
}

static void the_guest_is_told_who_comes_and_goes(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);

    take_ports(f);
    close(f->host);
    f->host = -1;
    assert_hears(f, 1, OPEN, 0);
    /* Nobody listens: what is sent goes nowhere, and at once. */
    say(f, 5, "anybody?");
    /* A stream is somebody as well. */
    f->host = vsr_chardev_attach(f->dev[1], false, false, false);
    assert_true(f->host >= 0);
    assert_hears(f, 1, OPEN, 1);
    fixture_end(f);
}

enum { CHUNK = 4096, CHUNKS = 100 };

static void a_channel_waits_for_its_reader(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    driver_buffer b = { 0, CHUNK, false };
    uint64_t got = 0;
    uint32_t done = 0;
    uint8_t *p;

    take_ports(f);
    b.gpa = driver_alloc(f->d, CHUNK * CHUNKS, 8);
    p = driver_ram(f->d, b.gpa, CHUNK * CHUNKS);
    for (uint32_t i = 0; i < CHUNK * CHUNKS; i++)
        p[i] = (uint8_t)(i % 251);
    for (uint32_t i = 0; i < CHUNKS; i++, b.gpa += CHUNK)
        driver_add(f->d, 5, &b, 1);
    driver_kick(f->d, 5);
    g_usleep(20000);
    while (driver_take(f->d, 5, NULL, NULL))
        done++;
    assert_true(done < CHUNKS);

    while (got < CHUNK * CHUNKS) {
        uint8_t data[1000];
        ssize_t n = read(f->host, data, sizeof(data));

        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++, got++)
            assert_int_equal(data[i], got % 251);
    }
    for (; done < CHUNKS; done++)
        assert_true(driver_wait(f->d, 5, NULL, NULL));
    fixture_end(f);
}

static void a_console_never_waits(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    vsr_device *device = &f->d->device->device;
    vsr_virtio_console_port port = { .id = 0, .is_console = true };
    driver_buffer b = { 0, CHUNK, false };
    GError *error = NULL;
    int agent = f->host;

    take_ports(f);
    assert_true(vsr_virtio_console_remove_port(device, 0, &error));
    assert_hears(f, 0, REMOVE, 1);
    port.chardev = f->dev[2] = socket_dev(f); /* which nobody reads */
    assert_true(vsr_virtio_console_add_port(device, &port, &error));
    assert_hears(f, 0, ADD, 1);
    b.gpa = driver_alloc(f->d, CHUNK, 8);
    for (uint32_t i = 0; i < 20 * CHUNKS; i++) {
        driver_add(f->d, 1, &b, 1);
        driver_kick(f->d, 1);
        assert_true(driver_wait(f->d, 1, NULL, NULL));
    }
    close(agent);
    fixture_end(f);
}

static void ports_come_and_go_while_it_runs(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    vsr_device *device = &f->d->device->device;
    vsr_virtio_console_port port = { .id = 3, .name = "new" };
    GError *error = NULL;
    message msg;

    take_ports(f);
    port.chardev = f->dev[3] = callback_dev(f);
    assert_true(vsr_virtio_console_add_port(device, &port, &error));
    assert_hears(f, 3, ADD, 1);
    tell(f, 3, PORT_READY, 1);
    msg = hear(f);
    assert_int_equal(msg.event, NAME);
    assert_string_equal(msg.more, "new");
    assert_hears(f, 3, OPEN, 1);
    tell(f, 3, OPEN, 1);
    say(f, 9, "here");
    assert_output(f, "here");

    assert_true(vsr_virtio_console_remove_port(device, 3, &error));
    assert_hears(f, 3, REMOVE, 1);
    assert_false(vsr_virtio_console_remove_port(device, 3, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_NOT_FOUND));
    g_clear_error(&error);
    tell(f, 3, PORT_READY, 1); /* too late */
    assert_silence(f);
    /* Come and gone before the guest could hear of it. */
    assert_true(vsr_virtio_console_add_port(device, &port, &error));
    assert_hears(f, 3, ADD, 1);
    fixture_end(f);
}

static void a_removed_port_gives_its_chain_back(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    driver_buffer b = { 0, 1 << 20, false };

    take_ports(f);
    b.gpa = driver_alloc(f->d, b.len, 8);
    driver_add(f->d, 5, &b, 1);
    driver_kick(f->d, 5);
    g_usleep(20000);
    assert_false(driver_take(f->d, 5, NULL, NULL));
    assert_true(vsr_virtio_console_remove_port(&f->d->device->device, 1, NULL));
    assert_true(driver_wait(f->d, 5, NULL, NULL));
    fixture_end(f);
}

static void the_size_is_told(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    vsr_device *device = &f->d->device->device;
    uint32_t before;
    message msg;
    uint16_t size[2];

    assert_int_equal(driver_config(f->d, 4, 4), MAX_PORTS);
    take_ports(f);
    before = driver_interrupts(f->d, UINT32_MAX);
    assert_true(vsr_virtio_console_resize(device, 0, 132, 43, NULL));
    msg = hear(f);
    assert_int_equal(msg.event, RESIZE);
    assert_int_equal(msg.len, 12);
    memcpy(size, msg.more, sizeof(size));
    assert_int_equal(size[0], 132);
    assert_int_equal(size[1], 43);
    assert_int_equal(driver_config(f->d, 0, 2), 132);
    assert_int_equal(driver_config(f->d, 2, 2), 43);
    assert_true(driver_wait_interrupt(f->d, UINT32_MAX, before));
    assert_false(vsr_virtio_console_resize(device, 2, 1, 1, NULL));
    fixture_end(f);
}

static void an_emergency_needs_no_queue(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);

    assert_true((driver_offered(f->d) & F_EMERG_WRITE) != 0);
    driver_set_config(f->d, 8, 4, 'O');
    driver_set_config(f->d, 8, 4, 'h');
    driver_set_config(f->d, 0, 4, 'x'); /* not writable */
    assert_output(f, "Oh");
    assert_int_equal(driver_config(f->d, 0, 4), 0);
    fixture_end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_console_carries_both_ways),
        cmocka_unit_test(a_driver_without_multiport_has_port_0),
        cmocka_unit_test(input_waits_until_a_program_reads),
        cmocka_unit_test(the_guest_is_told_who_comes_and_goes),
        cmocka_unit_test(a_channel_waits_for_its_reader),
        cmocka_unit_test(a_console_never_waits),
        cmocka_unit_test(ports_come_and_go_while_it_runs),
        cmocka_unit_test(a_removed_port_gives_its_chain_back),
        cmocka_unit_test(the_size_is_told),
        cmocka_unit_test(an_emergency_needs_no_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
