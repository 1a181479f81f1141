/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * console_fixture.h: a virtio console with a console port and a channel, and the
 * guest's side of its control messages.
 *
 * Threads: the test's.
 */
#ifndef VSR_TESTS_DEVICES_CONSOLE_FIXTURE_H
#define VSR_TESTS_DEVICES_CONSOLE_FIXTURE_H

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/console.h"
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

static inline void on_output(const void *data, size_t len, void *opaque)
{
    fixture *f = opaque;

    g_mutex_lock(&f->lock);
    g_string_append_len(f->got, data, (gssize)len);
    g_mutex_unlock(&f->lock);
}

static inline vsr_chardev *callback_dev(fixture *f)
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

static inline vsr_chardev *socket_dev(fixture *f)
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
static inline fixture *fixture_new(driver_transport transport)
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

static inline void fixture_end(fixture *f)
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

static inline void give_control(fixture *f, uint64_t gpa)
{
    const driver_buffer b = { gpa, CONTROL_LEN, true };

    f->where[driver_add(f->d, CONTROL_RX, &b, 1)] = gpa;
}

static inline void start(fixture *f)
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

static inline void tell(fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
    const driver_buffer b = { f->tx, 8, false };
    uint16_t msg[4] = { (uint16_t)id, (uint16_t)(id >> 16), event, value };

    memcpy(driver_ram(f->d, f->tx, sizeof(msg)), msg, sizeof(msg));
    driver_add(f->d, CONTROL_TX, &b, 1);
    driver_kick(f->d, CONTROL_TX);
    assert_true(driver_wait(f->d, CONTROL_TX, NULL, NULL));
}

static inline message hear(fixture *f)
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

static inline void assert_hears(fixture *f, uint32_t id, uint16_t event,
                                uint16_t value)
{
    message msg = hear(f);

    if (msg.id != id || msg.event != event || msg.value != value)
        fail_msg("heard %u: event %u, value %u; not %u: %u, %u", msg.id,
                 msg.event, msg.value, id, event, value);
}

static inline void assert_silence(fixture *f)
{
    driver_settle(f->d);
    g_usleep(2000);
    assert_false(driver_take(f->d, CONTROL_RX, NULL, NULL));
}

/* What Linux does when it finds the device. */
static inline void take_ports(fixture *f)
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

static inline uint64_t put_text(fixture *f, const char *text)
{
    uint64_t at = driver_alloc(f->d, strlen(text) + 1, 1);

    memcpy(driver_ram(f->d, at, strlen(text)), text, strlen(text));
    return at;
}

static inline void say(fixture *f, uint32_t queue, const char *text)
{
    const driver_buffer b = { put_text(f, text), strlen(text), false };

    driver_add(f->d, queue, &b, 1);
    driver_kick(f->d, queue);
    assert_true(driver_wait(f->d, queue, NULL, NULL));
}

static inline void assert_output(fixture *f, const char *want)
{
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;
    bool same = false;

    while (!same && g_get_monotonic_time() < end) {
        g_mutex_lock(&f->lock);
        same = strcmp(f->got->str, want) == 0;
        g_mutex_unlock(&f->lock);
        g_usleep(500);
    }
    assert_string_equal(f->got->str, want);
}

static inline uint64_t give_room(fixture *f, uint32_t queue, uint32_t len)
{
    const driver_buffer b = { driver_alloc(f->d, len, 1), len, true };

    driver_add(f->d, queue, &b, 1);
    driver_kick(f->d, queue);
    return b.gpa;
}

static inline void assert_input(fixture *f, uint32_t queue, uint64_t at,
                                const char *want)
{
    uint32_t len = 0;

    assert_true(driver_wait(f->d, queue, NULL, &len));
    assert_int_equal(len, strlen(want));
    assert_memory_equal(driver_ram(f->d, at, len), want, len);
}

#endif
