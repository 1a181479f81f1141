/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vsock_fixture.h: a socket device, the guest's side of it packet by packet,
 * and the host's sockets.
 *
 * Threads: the test's.
 */
#ifndef VSR_TESTS_DEVICES_VSOCK_FIXTURE_H
#define VSR_TESTS_DEVICES_VSOCK_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/virtio/vsock.h"
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
    int folder_fd;
    int server;                         /* listens at PORT; -1: not yet */
    uint64_t where[VSR_VIRTQ_SIZE_MAX]; /* of receive buffers, by head */
    uint64_t tx; /* what a packet is composed in: 64 KiB and a header */
    uint32_t alloc, forwarded; /* what the guest says of its room */
    uint8_t data[ROOM];        /* of the last packet */
} fixture;

static inline struct sockaddr_un address_of(const fixture *f, const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    assert_true(snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", f->dir,
                         name) < (int)sizeof(a.sun_path));
    return a;
}

static inline int listen_at(const fixture *f, const char *name)
{
    struct sockaddr_un a = address_of(f, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 128), 0);
    return fd;
}

/* `answer_ms`: for how long who does not answer is waited for. */
static inline fixture *fixture_new_with(driver_transport transport,
                                        uint32_t answer_ms)
{
    fixture *f = g_new0(fixture, 1);
    vsr_virtio_vsock_params p = { .cid = CID,
                                  .name = "v.sock",
                                  .answer_ms = answer_ms };

    f->dir = g_dir_make_tmp("vsock-XXXXXX", NULL);
    f->d = driver_new(transport);
    f->alloc = 1 << 18;
    p.virtio = driver_params(f->d);
    p.listen_fd = listen_at(f, "v.sock");
    f->folder_fd = p.folder_fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    f->server = listen_at(f, "v.sock_1234");
    driver_attach(f->d, &vsr_virtio_vsock_class, &p);
    return f;
}

/* Nobody is given up within the time of a test. */
static inline fixture *fixture_new(driver_transport transport)
{
    return fixture_new_with(transport, 600000);
}

static inline void fixture_end(fixture *f)
{
    driver_free(f->d);
    close(f->server);
    close(f->folder_fd);
    unlink(address_of(f, "v.sock").sun_path);
    unlink(address_of(f, "v.sock_1234").sun_path);
    assert_int_equal(rmdir(f->dir), 0);
    g_free(f->dir);
    g_free(f);
}

static inline void give_rx(fixture *f, uint64_t gpa)
{
    /* As Linux does: the header apart. */
    const driver_buffer b[2] = { { gpa, sizeof(header), true },
                                 { gpa + sizeof(header), ROOM, true } };

    f->where[driver_add(f->d, RX, b, 2)] = gpa;
}

static inline void start_bare(fixture *f)
{
    f->d->ram_next = 1 << 20;
    driver_start(f->d, VSR_VIRTIO_F_EVENT_IDX, 3);
    f->tx = driver_alloc(f->d, sizeof(header) + (128 << 10), 8);
}

static inline void give_all_rx(fixture *f)
{
    for (uint32_t i = 0; i < N_RX; i++)
        give_rx(f, driver_alloc(f->d, sizeof(header) + ROOM, 8));
    driver_kick(f->d, RX);
}

static inline void start(fixture *f)
{
    start_bare(f);
    give_all_rx(f);
}

static inline header packet(fixture *f, uint16_t op, uint32_t guest_port,
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
static inline void send_raw(fixture *f, const header *h, const void *data,
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

static inline void say_flags(fixture *f, uint16_t op, uint32_t host_port,
                             uint32_t flags)
{
    header h = packet(f, op, GUEST_PORT, host_port);

    h.flags = flags;
    send_raw(f, &h, NULL, 0);
}

static inline void say(fixture *f, uint16_t op, uint32_t host_port)
{
    say_flags(f, op, host_port, 0);
}

static inline void say_data(fixture *f, uint32_t host_port, const void *data,
                            uint32_t len)
{
    header h = packet(f, RW, GUEST_PORT, host_port);

    h.len = len;
    send_raw(f, &h, data, len);
}

static inline bool hear_any(fixture *f, header *h)
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

static inline header hear(fixture *f, uint16_t op)
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

static inline void assert_silence(fixture *f)
{
    driver_settle(f->d);
    g_usleep(3000);
    assert_false(driver_take(f->d, RX, NULL, NULL));
}

static inline int accept_soon(int server)
{
    struct pollfd p = { .fd = server, .events = POLLIN };
    int fd;

    assert_int_equal(poll(&p, 1, 60000), 1);
    fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* The guest connects to PORT; our end. */
static inline int open_from_guest(fixture *f)
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

static inline void assert_reads(int fd, const char *want)
{
    char got[64] = "";
    size_t n = 0;

    while (n < strlen(want)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t r;

        assert_int_equal(poll(&p, 1, 60000), 1);
        r = read(fd, got + n, strlen(want) - n);
        assert_true(r > 0);
        n += (size_t)r;
    }
    assert_string_equal(got, want);
}

static inline void assert_ends(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char c;

    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_true(read(fd, &c, 1) <= 0);
}

static inline int connect_client(fixture *f, const char *hello)
{
    struct sockaddr_un a = address_of(f, "v.sock");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    /* It may have been shown the door by now. */
    if (send(fd, hello, strlen(hello), MSG_NOSIGNAL) < 0)
        assert_int_equal(errno, EPIPE);
    return fd;
}

static inline uint32_t n_open(fixture *f)
{
    return vsr_virtio_vsock_count(&f->d->device->device);
}

#endif
