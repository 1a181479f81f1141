/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vsock.c: fuzz target of the virtio socket device: packets of a guest, bytes
 * of programs on the host, in any order.
 *
 * Input: steps: kind, and for a packet ten bytes of its header, for the host's
 * side how many of the bytes that follow are said.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/virtio/vsock.h"
#include "tests/devices/virtio_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RX = 0, TX = 1, CID = 3, ROOM = 300, HEADER = 44, CLIENTS = 4 };

typedef struct {
    driver *d;
    char *dir;
    int server;          /* listens where the guest may connect to */
    int client[CLIENTS]; /* of either socket; -1: none */
    uint64_t tx;
    uint16_t n_rx;
    const uint8_t *data;
    size_t size;
} run;

static uint8_t next(run *r)
{
    if (r->size == 0)
        return 0;
    r->size--;
    return *r->data++;
}

static struct sockaddr_un address_of(const run *r, const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", r->dir, name);
    return a;
}

static int listen_at(const run *r, const char *name)
{
    struct sockaddr_un a = address_of(r, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
        abort();
    return fd;
}

static void give_rx(run *r)
{
    while (driver_take(r->d, RX, NULL, NULL))
        r->n_rx--;
    for (; r->n_rx < 8; r->n_rx++) {
        const driver_buffer b = { r->tx + (128 << 10), HEADER + ROOM, true };

        driver_add(r->d, RX, &b, 1);
    }
    driver_kick(r->d, RX);
}

/* Ports, sizes and operations that mostly mean something. */
static void send_packet(run *r)
{
    uint8_t op = next(r), guest = next(r), host = next(r), odd = next(r);
    uint32_t host_port = host < 128 ? 1 : (1u << 30) + (host & 7);
    uint32_t there = next(r) * 64u, len = odd & 1 ? next(r) * 300u : there;
    uint8_t *p = driver_ram(r->d, r->tx, HEADER + there);
    driver_buffer b[2] = { { r->tx, HEADER + there, false },
                           { r->tx + HEADER, there, false } };
    uint64_t cids[2] = { odd & 2 ? 9 : CID, odd & 4 ? 9 : 2 };
    uint32_t ports[3] = { guest & 3u, host_port, len };
    uint16_t kind[2] = { odd & 8 ? 2 : 1, op % 10 };
    uint32_t rest[3] = { next(r) & 3u, next(r) * 200u, next(r) * 10u };

    memcpy(p, cids, 16);
    memcpy(p + 16, ports, 12);
    memcpy(p + 28, kind, 4);
    memcpy(p + 32, rest, 12);
    if (odd & 16) /* shorter than a header, or in two parts */
        b[0].len = odd & 32 ? 20 : HEADER;
    driver_add(r->d, TX, b, odd & 16 && there > 0 ? 2 : 1);
    driver_kick(r->d, TX);
}

static void host_connects(run *r, int *fd)
{
    struct sockaddr_un a = address_of(r, "v");

    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect(*fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(*fd);
        *fd = -1;
    }
}

static void host_acts(run *r, uint8_t what)
{
    int *fd = &r->client[what >> 4 & 3];
    uint8_t n = next(r);
    char text[300];
    size_t len = n & 1 ? (size_t)snprintf(text, sizeof(text), "CONNECT %u\n",
                                          (n >> 1) & 3u)
                       : MIN(n, r->size);

    if (*fd < 0) {
        if (what & 8)
            *fd = accept4(r->server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        else
            host_connects(r, fd);
        if (*fd < 0)
            return;
    }
    if ((n & 1) == 0)
        for (size_t i = 0; i < len; i++)
            text[i] = (char)next(r);
    (void)send(*fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n & 64)
        (void)recv(*fd, text, sizeof(text), MSG_DONTWAIT);
    if ((n & 48) == 16)
        (void)shutdown(*fd, n & 128 ? SHUT_WR : SHUT_RD);
    if ((n & 48) == 48) {
        close(*fd);
        *fd = -1;
    }
}

static void restart(run *r)
{
    r->d->ram_next = 1 << 20;
    driver_start(r->d, VSR_VIRTIO_F_EVENT_IDX, 3);
    r->tx = driver_alloc(r->d, 256 << 10, 8);
    r->n_rx = 0;
}

static void drain_tx(run *r)
{
    driver_settle(r->d);
    while (driver_take(r->d, TX, NULL, NULL))
        ;
    if (r->d->queue[TX].n_free < 4)
        restart(r);
}

static void run_steps(run *r)
{
    while (r->size > 0) {
        uint8_t what = next(r);

        switch (what & 7) {
        case 0:
        case 1:
        case 2:
            send_packet(r);
            break;
        case 3:
        case 4:
            host_acts(r, what);
            break;
        case 5:
            give_rx(r);
            break;
        case 6:
            drain_tx(r);
            break;
        default:
            if ((what & 0xf8) == 0)
                (void)vsr_virtio_vsock_set_cid(&r->d->device->device, CID,
                                               NULL);
            else if ((what & 0xf8) == 8)
                restart(r);
            break;
        }
        if (r->d->queue[TX].n_free < 4)
            drain_tx(r);
    }
    driver_settle(r->d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run r = { .client = { -1, -1, -1, -1 }, .data = data, .size = size };
    vsr_virtio_vsock_params p = { .cid = CID, .name = "v", .answer_ms = 40 };

    r.dir = g_dir_make_tmp("fuzz-XXXXXX", NULL);
    r.d = driver_new(DRIVER_MMIO);
    p.virtio = driver_params(r.d);
    p.listen_fd = listen_at(&r, "v");
    p.folder_fd = open(r.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    r.server = listen_at(&r, "v_1");
    driver_attach(r.d, &vsr_virtio_vsock_class, &p);
    restart(&r);
    run_steps(&r);
    driver_free(r.d);
    for (size_t i = 0; i < CLIENTS; i++)
        if (r.client[i] >= 0)
            close(r.client[i]);
    close(r.server);
    close(p.folder_fd);
    unlink(address_of(&r, "v").sun_path);
    unlink(address_of(&r, "v_1").sun_path);
    rmdir(r.dir);
    g_free(r.dir);
    return 0;
}
