/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_console_hostile.c: drivers that mean harm; a reset in between. */
#include "devices/virtio/console.h"

#include "base/error.h"
#include "tests/devices/console_fixture.h"

static void what_no_driver_says_is_ignored(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    const driver_buffer two = { driver_alloc(f->d, 8, 8), 2, false };
    const driver_buffer wrong = { two.gpa, 8, true };
    static const uint32_t ids[] = { 2, 3, 4, 31, 0x10000, UINT32_MAX };

    take_ports(f);
    for (uint32_t i = 0; i < G_N_ELEMENTS(ids); i++)
        for (uint16_t event = 0; event < 10; event++)
            if (event != READY)
                tell(f, ids[i], event, 1);
    tell(f, 0, 999, 1);
    tell(f, 0, READY, 0);
    driver_add(f->d, CONTROL_TX, &two, 1); /* too short */
    driver_add(f->d, CONTROL_TX, &wrong, 1);
    driver_kick(f->d, CONTROL_TX);
    assert_true(driver_wait(f->d, CONTROL_TX, NULL, NULL));
    assert_true(driver_wait(f->d, CONTROL_TX, NULL, NULL));
    /* A readable buffer where one is to be filled, a writable one where there
     * should be text. */
    driver_add(f->d, 0, &two, 1);
    driver_kick(f->d, 0);
    driver_add(f->d, 1, &wrong, 1);
    driver_kick(f->d, 1);
    assert_true(driver_wait(f->d, 1, NULL, NULL));
    (void)vsr_chardev_inject(f->dev[0], "x", 1);
    assert_input(f, 0, two.gpa, "");
    assert_silence(f);
    assert_int_equal(driver_status(f->d), 15);
    say(f, 1, "fine");
    assert_output(f, "fine");
    fixture_end(f);
}

static void messages_do_not_pile_up(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    uint32_t n = 0;

    driver_start(f->d, F_MULTIPORT, QUEUES); /* no buffers for messages */
    f->tx = driver_alloc(f->d, 16, 8);
    for (uint32_t i = 0; i < 2000; i++) {
        tell(f, 0, READY, 1);
        tell(f, 1, PORT_READY, 1);
    }
    for (uint32_t i = 0; i < 16; i++)
        give_control(f, driver_alloc(f->d, CONTROL_LEN, 8));
    driver_kick(f->d, CONTROL_RX);
    driver_settle(f->d);
    while (driver_take(f->d, CONTROL_RX, NULL, NULL))
        n++;
    assert_in_range(n, 2, 4); /* ADD of both; NAME, OPEN */
    fixture_end(f);
}

static void a_reset_drops_what_is_held(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    driver_buffer b = { 0, 1 << 20, false };

    take_ports(f);
    b.gpa = driver_alloc(f->d, b.len, 8);
    driver_add(f->d, 5, &b, 1);
    driver_kick(f->d, 5);
    g_usleep(5000);
    driver_set_status(f->d, 0);
    /* Room for the rest: it is not sent any more. */
    for (ssize_t n = 1; n > 0;) {
        uint8_t data[4096];

        n = recv(f->host, data, sizeof(data), MSG_DONTWAIT);
        g_usleep(200);
    }
    f->d->ram_next = 1 << 20;
    take_ports(f);
    say(f, 1, "again");
    assert_output(f, "again");
    fixture_end(f);
}

static void a_long_chain_is_done_in_parts(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    vsr_device *device = &f->d->device->device;
    driver_buffer b[128];

    take_ports(f);
    assert_true(vsr_virtio_console_remove_port(device, 0, NULL));
    assert_true(vsr_virtio_console_add_port(
        device, &(vsr_virtio_console_port){ .id = 0, .is_console = true },
        NULL));
    /* All of RAM, many times over; nobody is there. */
    for (uint32_t i = 0; i < G_N_ELEMENTS(b); i++)
        b[i] = (driver_buffer){ 0x100000, 8 << 20, false };
    driver_add(f->d, 1, b, G_N_ELEMENTS(b));
    driver_kick(f->d, 1);
    assert_true(driver_wait(f->d, 1, NULL, NULL));
    assert_int_equal(driver_status(f->d), 15);
    fixture_end(f);
}

static void a_broken_ring_needs_a_reset(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);

    take_ports(f);
    driver_desc(f->d, 5, 0, UINT64_MAX - 4096, 4096, 0, 0);
    driver_publish(f->d, 5, 0);
    driver_kick(f->d, 5);
    driver_settle(f->d);
    assert_true((driver_status(f->d) & VSR_VIRTIO_NEEDS_RESET) != 0);
    f->d->ram_next = 1 << 20;
    take_ports(f);
    say(f, 1, "mended");
    assert_output(f, "mended");
    fixture_end(f);
}

static void refuse(fixture *f, const vsr_virtio_console_port *port,
                   visor_error_code code)
{
    GError *error = NULL;

    assert_false(
        vsr_virtio_console_add_port(&f->d->device->device, port, &error));
    assert_true(g_error_matches(error, VSR_ERROR, (int)code));
    g_clear_error(&error);
}

static void wrong_ports_are_refused(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    vsr_virtio_console_params p = { .virtio = driver_params(f->d),
                                    .max_ports = 32 };
    g_autofree char *name = g_strnfill(64, 'n');
    GError *error = NULL;

    refuse(f, &(vsr_virtio_console_port){ .id = 4 }, VISOR_ERR_CONFIG);
    refuse(f, &(vsr_virtio_console_port){ .id = 1 }, VISOR_ERR_EXISTS);
    refuse(f, &(vsr_virtio_console_port){ .id = 2, .name = name },
           VISOR_ERR_CONFIG);
    refuse(f, &(vsr_virtio_console_port){ .id = 2, .name = "" },
           VISOR_ERR_CONFIG);
    refuse(
        f,
        &(vsr_virtio_console_port){ .id = 2, .name = "org.qemu.guest_agent.0" },
        VISOR_ERR_EXISTS);
    p.virtio.devfn = 6 << 3;
    assert_null(vsr_device_new(f->d->machine, &vsr_virtio_console_class,
                               "other", &p, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
    g_clear_error(&error);
    p.max_ports = 1;
    p.ports = &(vsr_virtio_console_port){ .id = 1 };
    p.n_ports = 1;
    assert_null(vsr_device_new(f->d->machine, &vsr_virtio_console_class,
                               "other", &p, &error));
    g_clear_error(&error);
    fixture_end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_driver_says_is_ignored),
        cmocka_unit_test(messages_do_not_pile_up),
        cmocka_unit_test(a_reset_drops_what_is_held),
        cmocka_unit_test(a_long_chain_is_done_in_parts),
        cmocka_unit_test(a_broken_ring_needs_a_reset),
        cmocka_unit_test(wrong_ports_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
