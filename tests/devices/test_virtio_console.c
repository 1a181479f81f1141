/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_console.c: ports, control messages, who waits for whom, and
 * drivers that mean harm. */
#include "devices/virtio/console.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/devices/virtio_driver.h"

#define F_SIZE        (UINT64_C(1) << 0)
#define F_MULTIPORT   (UINT64_C(1) << 1)
#define F_EMERG_WRITE (UINT64_C(1) << 2)

enum {
    READY = 0,
    ADD = 1,
    REMOVE = 2,
    PORT_READY = 3,
    CONSOLE_PORT = 4,
    RESIZE = 5,
    OPEN = 6,
    NAME = 7,

    CONTROL_RX = 2,
    CONTROL_TX = 3,
    MAX_PORTS = 4,
    QUEUES = 2 * (MAX_PORTS + 1),
    CONTROL_LEN = 64,
};

typedef struct {
    uint32_t id;
    uint16_t event, value;
    char more[CONTROL_LEN - 8];
    uint32_t len;
} message;

typedef struct {
    driver *d;
    vsr_loop *loop; /* of the chardevs */
    vsr_chardev *dev[MAX_PORTS];
    int host; /* our end of the channel's */
    uint64_t control[16];
    uint64_t where[VSR_VIRTQ_SIZE_MAX]; /* of control's buffers, by head */
    uint64_t tx; /* what a control message is composed in */
    GMutex lock;
    GString *got; /* by the callback's chardev; under lock */
} fixture;

static void on_output(const void *data, size_t len, void *opaque)
{
    fixture *f = opaque;

    g_mutex_lock(&f->lock);
    g_string_append_len(f->got, data, (gssize)len);
    g_mutex_unlock(&f->lock);
}

static vsr_chardev *callback_dev(fixture *f)
{
    vsr_chardev_source s = { .kind = VSR_CHARDEV_CALLBACK,
                             .fd = -1,
                             .out_fd = -1,
                             .output = on_output,
                             .opaque = f };
    vsr_chardev *dev = vsr_chardev_new(f->loop, &s, NULL);

    assert_non_null(dev);
    return dev;
}

static vsr_chardev *socket_dev(fixture *f)
{
    vsr_chardev_source s = { .kind = VSR_CHARDEV_UNIX, .out_fd = -1 };
    vsr_chardev *dev;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    s.fd = pair[0];
    f->host = pair[1];
    dev = vsr_chardev_new(f->loop, &s, NULL);
    assert_non_null(dev);
    return dev;
}

/* Port 0: a console on the callback; port 1: a channel on a socket. */
static fixture *fixture_new(driver_transport transport)
{
    fixture *f = g_new0(fixture, 1);
    vsr_virtio_console_port ports[2] = {
        { .id = 0, .is_console = true },
        { .id = 1, .name = "org.qemu.guest_agent.0" },
    };
    vsr_virtio_console_params p = { .max_ports = MAX_PORTS,
                                    .ports = ports,
                                    .n_ports = 2 };

    f->loop = vsr_loop_new("chardevs", NULL);
    f->got = g_string_new(NULL);
    f->d = driver_new(transport);
    ports[0].chardev = f->dev[0] = callback_dev(f);
    ports[1].chardev = f->dev[1] = socket_dev(f);
    p.virtio = driver_params(f->d);
    driver_attach(f->d, &vsr_virtio_console_class, &p);
    return f;
}

static void fixture_end(fixture *f)
{
    driver_free(f->d);
    for (uint32_t i = 0; i < MAX_PORTS; i++)
        vsr_chardev_free(f->dev[i]);
    if (f->host >= 0)
        close(f->host);
    vsr_loop_free(f->loop);
    g_string_free(f->got, TRUE);
    g_free(f);
}

static void give_control(fixture *f, uint64_t gpa)
{
    const driver_buffer b = { gpa, CONTROL_LEN, true };

    f->where[driver_add(f->d, CONTROL_RX, &b, 1)] = gpa;
}

static void start(fixture *f)
{
    driver_start(f->d,
                 F_MULTIPORT | F_SIZE | VSR_VIRTIO_F_EVENT_IDX |
                     VSR_VIRTIO_F_INDIRECT_DESC,
                 QUEUES);
    f->tx = driver_alloc(f->d, 16, 8);
    for (uint32_t i = 0; i < G_N_ELEMENTS(f->control); i++) {
        f->control[i] = driver_alloc(f->d, CONTROL_LEN, 8);
        give_control(f, f->control[i]);
    }
    driver_kick(f->d, CONTROL_RX);
}

static void tell(fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
    const driver_buffer b = { f->tx, 8, false };
    uint16_t msg[4] = { (uint16_t)id, (uint16_t)(id >> 16), event, value };

    memcpy(driver_ram(f->d, f->tx, sizeof(msg)), msg, sizeof(msg));
    driver_add(f->d, CONTROL_TX, &b, 1);
    driver_kick(f->d, CONTROL_TX);
    assert_true(driver_wait(f->d, CONTROL_TX, NULL, NULL));
}

static message hear(fixture *f)
{
    message msg = { 0 };
    uint16_t head;

    if (!driver_wait(f->d, CONTROL_RX, &head, &msg.len))
        fail_msg("no control message came");
    assert_in_range(msg.len, 8, CONTROL_LEN);
    memcpy(&msg, driver_ram(f->d, f->where[head], msg.len), msg.len);
    give_control(f, f->where[head]);
    driver_kick(f->d, CONTROL_RX);
    return msg;
}

static void assert_hears(fixture *f, uint32_t id, uint16_t event,
                         uint16_t value)
{
    message msg = hear(f);

    if (msg.id != id || msg.event != event || msg.value != value)
        fail_msg("heard %u: event %u, value %u; not %u: %u, %u", msg.id,
                 msg.event, msg.value, id, event, value);
}

static void assert_silence(fixture *f)
{
    driver_settle(f->d);
    g_usleep(2000);
    assert_false(driver_take(f->d, CONTROL_RX, NULL, NULL));
}

/* What Linux does when it finds the device. */
static void take_ports(fixture *f)
{
    message msg;

    start(f);
    tell(f, 0, READY, 1);
    assert_hears(f, 0, ADD, 1);
    assert_hears(f, 1, ADD, 1);
    tell(f, 0, PORT_READY, 1);
    assert_hears(f, 0, CONSOLE_PORT, 1);
    assert_hears(f, 0, OPEN, 1);
    tell(f, 0, OPEN, 1);
    tell(f, 1, PORT_READY, 1);
    msg = hear(f);
    assert_int_equal(msg.event, NAME);
    assert_int_equal(msg.len, 8 + strlen("org.qemu.guest_agent.0"));
    assert_string_equal(msg.more, "org.qemu.guest_agent.0");
    assert_hears(f, 1, OPEN, 1);
}

static uint64_t put_text(fixture *f, const char *text)
{
    uint64_t at = driver_alloc(f->d, strlen(text) + 1, 1);

    memcpy(driver_ram(f->d, at, strlen(text)), text, strlen(text));
    return at;
}

static void say(fixture *f, uint32_t queue, const char *text)
{
    const driver_buffer b = { put_text(f, text), strlen(text), false };

    driver_add(f->d, queue, &b, 1);
    driver_kick(f->d, queue);
    assert_true(driver_wait(f->d, queue, NULL, NULL));
}

static void assert_output(fixture *f, const char *want)
{
    gint64 end = g_get_monotonic_time() + 2 * G_TIME_SPAN_SECOND;
    bool same = false;

    while (!same && g_get_monotonic_time() < end) {
        g_mutex_lock(&f->lock);
        same = strcmp(f->got->str, want) == 0;
        g_mutex_unlock(&f->lock);
        g_usleep(500);
    }
    assert_string_equal(f->got->str, want);
}

static uint64_t give_room(fixture *f, uint32_t queue, uint32_t len)
{
    const driver_buffer b = { driver_alloc(f->d, len, 1), len, true };

    driver_add(f->d, queue, &b, 1);
    driver_kick(f->d, queue);
    return b.gpa;
}

static void assert_input(fixture *f, uint32_t queue, uint64_t at,
                         const char *want)
{
    uint32_t len = 0;

    assert_true(driver_wait(f->d, queue, NULL, &len));
    assert_int_equal(len, strlen(want));
    assert_memory_equal(driver_ram(f->d, at, len), want, len);
}

/* --- tests --------------------------------------------------------------------- */

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
    assert_input(f, 0, (vsr_chardev_inject(f->dev[0], "x", 1), two.gpa), "");
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
        cmocka_unit_test(what_no_driver_says_is_ignored),
        cmocka_unit_test(messages_do_not_pile_up),
        cmocka_unit_test(a_reset_drops_what_is_held),
        cmocka_unit_test(a_long_chain_is_done_in_parts),
        cmocka_unit_test(a_broken_ring_needs_a_reset),
        cmocka_unit_test(wrong_ports_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
