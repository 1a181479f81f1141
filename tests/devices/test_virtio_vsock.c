/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_vsock.c: connections from both sides, credit, ends, and drivers
 * and clients that mean harm. */
#include "devices/virtio/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/devices/virtio_driver.h"

enum {
    RX = 0,
    TX = 1,
    EVENT = 2,
    CID = 7,
    HOST = 2,
    GUEST_PORT = 5000,
    PORT = 1234, /* on the host */
    ROOM = 4096, /* of a receive buffer, behind the header */
    N_RX = 32,

    REQUEST = 1,
    RESPONSE = 2,
    RST = 3,
    SHUTDOWN = 4,
    RW = 5,
    UPDATE = 6,
    ASK = 7,
    NO_RECEIVE = 1,
    NO_SEND = 2,
};

typedef struct __attribute__((packed)) {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, len;
    uint16_t type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
} header;

typedef struct {
    driver *d;
    char *dir;
    int server;                         /* listens at PORT; -1: not yet */
    uint64_t where[VSR_VIRTQ_SIZE_MAX]; /* of receive buffers, by head */
    uint64_t tx; /* what a packet is composed in: 64 KiB and a header */
    uint32_t alloc, forwarded; /* what the guest says of its room */
    uint8_t data[ROOM];        /* of the last packet */
} fixture;

static struct sockaddr_un address_of(const fixture *f, const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    assert_true(snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", f->dir,
                         name) < (int)sizeof(a.sun_path));
    return a;
}

static int listen_at(const fixture *f, const char *name)
{
    struct sockaddr_un a = address_of(f, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 128), 0);
    return fd;
}

static fixture *fixture_new(driver_transport transport)
{
    fixture *f = g_new0(fixture, 1);
    vsr_virtio_vsock_params p = { .cid = CID,
                                  .name = "v.sock",
                                  .answer_ms = 200 };

    f->dir = g_dir_make_tmp("vsock-XXXXXX", NULL);
    f->d = driver_new(transport);
    f->alloc = 1 << 18;
    p.virtio = driver_params(f->d);
    p.listen_fd = listen_at(f, "v.sock");
    p.folder_fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    f->server = listen_at(f, "v.sock_1234");
    driver_attach(f->d, &vsr_virtio_vsock_class, &p);
    return f;
}

static void fixture_end(fixture *f)
{
    driver_free(f->d);
    close(f->server);
    unlink(address_of(f, "v.sock").sun_path);
    unlink(address_of(f, "v.sock_1234").sun_path);
    assert_int_equal(rmdir(f->dir), 0);
    g_free(f->dir);
    g_free(f);
}

static void give_rx(fixture *f, uint64_t gpa)
{
    /* As Linux does: the header apart. */
    const driver_buffer b[2] = { { gpa, sizeof(header), true },
                                 { gpa + sizeof(header), ROOM, true } };

    f->where[driver_add(f->d, RX, b, 2)] = gpa;
}

static void start_bare(fixture *f)
{
    f->d->ram_next = 1 << 20;
    driver_start(f->d, VSR_VIRTIO_F_EVENT_IDX, 3);
    f->tx = driver_alloc(f->d, sizeof(header) + (128 << 10), 8);
}

static void give_all_rx(fixture *f)
{
    for (uint32_t i = 0; i < N_RX; i++)
        give_rx(f, driver_alloc(f->d, sizeof(header) + ROOM, 8));
    driver_kick(f->d, RX);
}

static void start(fixture *f)
{
    start_bare(f);
    give_all_rx(f);
}

static header packet(fixture *f, uint16_t op, uint32_t guest_port,
                     uint32_t host_port)
{
    return (header){ .src_cid = CID,
                     .dst_cid = HOST,
                     .src_port = guest_port,
                     .dst_port = host_port,
                     .type = 1,
                     .op = op,
                     .buf_alloc = f->alloc,
                     .fwd_cnt = f->forwarded };
}

/* `there` bytes of data follow, whatever the header says. */
static void send_raw(fixture *f, const header *h, const void *data,
                     uint32_t there)
{
    const driver_buffer b = { f->tx, sizeof(*h) + there, false };
    uint8_t *p = driver_ram(f->d, f->tx, b.len);

    memcpy(p, h, sizeof(*h));
    if (there > 0)
        memcpy(p + sizeof(*h), data, there);
    driver_add(f->d, TX, &b, 1);
    driver_kick(f->d, TX);
    assert_true(driver_wait(f->d, TX, NULL, NULL));
}

static void say_flags(fixture *f, uint16_t op, uint32_t host_port,
                      uint32_t flags)
{
    header h = packet(f, op, GUEST_PORT, host_port);

    h.flags = flags;
    send_raw(f, &h, NULL, 0);
}

static void say(fixture *f, uint16_t op, uint32_t host_port)
{
    say_flags(f, op, host_port, 0);
}

static void say_data(fixture *f, uint32_t host_port, const void *data,
                     uint32_t len)
{
    header h = packet(f, RW, GUEST_PORT, host_port);

    h.len = len;
    send_raw(f, &h, data, len);
}

static bool hear_any(fixture *f, header *h)
{
    uint16_t head;
    uint32_t len;

    if (!driver_wait(f->d, RX, &head, &len))
        return false;
    assert_in_range(len, sizeof(*h), sizeof(*h) + ROOM);
    memcpy(h, driver_ram(f->d, f->where[head], sizeof(*h)), sizeof(*h));
    assert_int_equal(h->len, len - sizeof(*h));
    memcpy(f->data, driver_ram(f->d, f->where[head] + sizeof(*h), h->len),
           h->len);
    give_rx(f, f->where[head]);
    driver_kick(f->d, RX);
    return true;
}

static header hear(fixture *f, uint16_t op)
{
    header h;

    if (!hear_any(f, &h))
        fail_msg("no packet of kind %u came", op);
    if (h.op != op)
        fail_msg("heard %u, not %u", h.op, op);
    assert_int_equal(h.dst_cid, CID);
    assert_int_equal(h.type, 1);
    return h;
}

static void assert_silence(fixture *f)
{
    driver_settle(f->d);
    g_usleep(3000);
    assert_false(driver_take(f->d, RX, NULL, NULL));
}

static int accept_soon(int server)
{
    struct pollfd p = { .fd = server, .events = POLLIN };
    int fd;

    assert_int_equal(poll(&p, 1, 2000), 1);
    fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* The guest connects to PORT; our end. */
static int open_from_guest(fixture *f)
{
    header h;

    say(f, REQUEST, PORT);
    h = hear(f, RESPONSE);
    assert_int_equal(h.src_cid, HOST);
    assert_int_equal(h.src_port, PORT);
    assert_int_equal(h.dst_port, GUEST_PORT);
    assert_int_equal(h.buf_alloc, 64 << 10);
    return accept_soon(f->server);
}

static void assert_reads(int fd, const char *want)
{
    char got[64] = "";
    size_t n = 0;

    while (n < strlen(want)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t r;

        assert_int_equal(poll(&p, 1, 2000), 1);
        r = read(fd, got + n, strlen(want) - n);
        assert_true(r > 0);
        n += (size_t)r;
    }
    assert_string_equal(got, want);
}

static void assert_ends(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char c;

    assert_int_equal(poll(&p, 1, 4000), 1);
    assert_true(read(fd, &c, 1) <= 0);
}

static int connect_client(fixture *f, const char *hello)
{
    struct sockaddr_un a = address_of(f, "v.sock");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    /* It may have been shown the door by now. */
    if (send(fd, hello, strlen(hello), MSG_NOSIGNAL) < 0)
        assert_int_equal(errno, EPIPE);
    return fd;
}

static uint32_t n_open(fixture *f)
{
    return vsr_virtio_vsock_count(&f->d->device->device);
}

/* --- tests ----------------------------------------------------------------------- */

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
    first = connect_client(f, "");
    for (size_t i = 0; i < G_N_ELEMENTS(fd); i++)
        fd[i] = connect_client(f, "");
    assert_ends(fd[69]); /* too many */
    assert_ends(first);  /* too long */
    close(first);
    for (size_t i = 0; i < G_N_ELEMENTS(fd); i++)
        close(fd[i]);
    fixture_end(f);
}

static void a_guest_that_does_not_answer_is_given_up(void **state)
{
    fixture *f = fixture_new(DRIVER_PCI);
    int fd;

    start(f);
    fd = connect_client(f, "CONNECT 9\n");
    hear(f, REQUEST);
    assert_ends(fd);
    assert_int_equal(hear(f, RST).dst_port, 9);
    close(fd);
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
    fixture *f = fixture_new(DRIVER_PCI);
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
        cmocka_unit_test(a_guest_reaches_a_host_socket),
        cmocka_unit_test(a_port_where_nobody_listens_is_refused),
        cmocka_unit_test(a_host_reaches_a_guest_port),
        cmocka_unit_test(a_hello_may_come_in_pieces),
        cmocka_unit_test(a_wrong_hello_ends_it),
        cmocka_unit_test(who_says_nothing_is_not_kept),
        cmocka_unit_test(a_guest_that_does_not_answer_is_given_up),
        cmocka_unit_test(nobody_is_taken_before_there_is_a_driver),
        cmocka_unit_test(the_host_sends_no_more_than_there_is_credit_for),
        cmocka_unit_test(a_guest_is_held_to_its_credit),
        cmocka_unit_test(more_than_credit_is_reset),
        cmocka_unit_test(each_direction_ends_by_itself),
        cmocka_unit_test(what_was_sent_before_the_end_arrives),
        cmocka_unit_test(packets_of_no_connection_are_reset),
        cmocka_unit_test(short_and_wrong_buffers_do_no_harm),
        cmocka_unit_test(a_guest_without_buffers_is_not_listened_to),
        cmocka_unit_test(connections_are_counted),
        cmocka_unit_test(a_reset_ends_all_connections),
        cmocka_unit_test(a_new_address_is_told),
        cmocka_unit_test(wrong_names_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
