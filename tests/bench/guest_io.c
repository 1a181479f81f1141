/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_io.c: a static program inside of a Debian guest that measures its disk
 * and its network, so that the numbers of two hypervisors come from the same
 * code; and the network's other end, on the host.
 *
 *   guest_io disk PATH rand|seq BYTES DEPTH SECONDS   reads, past the cache;
 *                                                     "N reads": that many
 *   guest_io tcp ADDRESS PORT send|receive SECONDS
 *   guest_io listen ADDRESS PORT                      until it is ended
 *
 * One line each: requests or megabytes a second, by the guest's clock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 128, CHUNK = 128 << 10 };

static int fail(const char *what)
{
    fprintf(stderr, "guest_io: %s: %s\n", what, strerror(errno));
    return 1;
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- disk ----------------------------------------------------------------------- */

typedef struct {
    uint64_t blocks, at, seed;
    int is_random;
} order;

static uint64_t next_block(order *o)
{
    if (!o->is_random)
        return o->at++ % o->blocks;
    o->seed = o->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (o->seed >> 33) % o->blocks;
}

static int disk(char **arg)
{
    uint64_t bytes = strtoull(arg[2], NULL, 0), size, done = 0;
    unsigned depth = (unsigned)atoi(arg[3]);
    uint64_t most = strstr(arg[4], "reads") ? strtoull(arg[4], NULL, 0) : 0;
    double seconds = atof(arg[4]), start, end;
    struct io_event events[DEPTH_MAX];
    struct iocb cbs[DEPTH_MAX], *list[DEPTH_MAX];
    aio_context_t context = 0;
    order o = { .is_random = strcmp(arg[1], "rand") == 0 };
    int fd = open(arg[0], O_RDONLY | O_DIRECT);
    void *memory;

    if (fd < 0)
        return fail(arg[0]);
    size = (uint64_t)lseek(fd, 0, SEEK_END);
    if (depth == 0 || depth > DEPTH_MAX || bytes == 0 || bytes > size)
        return fail("arguments");
    o.blocks = size / bytes;
    if (posix_memalign(&memory, 4096, bytes * depth) != 0 ||
        syscall(SYS_io_setup, depth, &context) < 0)
        return fail("io_setup");
    for (unsigned i = 0; i < depth; i++) {
        cbs[i] = (struct iocb){ .aio_lio_opcode = IOCB_CMD_PREAD,
                                .aio_fildes = (uint32_t)fd,
                                .aio_buf = (uintptr_t)memory + bytes * i,
                                .aio_nbytes = bytes,
                                .aio_data = i };
        cbs[i].aio_offset = (int64_t)(next_block(&o) * bytes);
        list[i] = &cbs[i];
    }
    start = now();
    if (syscall(SYS_io_submit, context, depth, list) != depth)
        return fail("io_submit");
    do {
        long n = syscall(SYS_io_getevents, context, 1, depth, events, NULL);

        if (n <= 0)
            return fail("io_getevents");
        for (long i = 0; i < n; i++) {
            if (events[i].res != (int64_t)bytes)
                return fail("read");
            list[i] = &cbs[events[i].data];
            list[i]->aio_offset = (int64_t)(next_block(&o) * bytes);
        }
        done += (uint64_t)n;
        end = now();
        if (syscall(SYS_io_submit, context, n, list) != n)
            return fail("io_submit");
    } while (most > 0 ? done < most : end - start < seconds);
    printf("%.0f\n", (double)done / (end - start));
    return 0;
}

/* --- network ---------------------------------------------------------------------- */

static struct sockaddr_in address(char **arg)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(arg[1])) };

    a.sin_addr.s_addr = inet_addr(arg[0]);
    return a;
}

/* Until the peer ends, or the time is over: bytes. */
static uint64_t pump(int fd, int sends, double seconds)
{
    double end = now() + seconds;
    char *chunk = calloc(1, CHUNK);
    uint64_t sum = 0;
    ssize_t n;

    do {
        n = sends ? send(fd, chunk, CHUNK, MSG_NOSIGNAL)
                  : recv(fd, chunk, CHUNK, 0);
        sum += n > 0 ? (uint64_t)n : 0;
    } while (n > 0 && (seconds <= 0 || now() < end));
    free(chunk);
    return sum;
}

static int tcp(char **arg)
{
    struct sockaddr_in a = address(arg);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int sends = strcmp(arg[2], "send") == 0;
    double start;

    for (int i = 0; connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0; i++) {
        if (i == 50)
            return fail("connect");
        usleep(100000);
    }
    if (write(fd, sends ? "s" : "r", 1) != 1)
        return fail("write");
    start = now();
    printf("%.2f\n",
           (double)pump(fd, sends, atof(arg[3])) / (now() - start) / 1e6);
    return 0;
}

static int serve(char **arg)
{
    struct sockaddr_in a = address(arg);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0)
        return fail("listen");
    for (;;) {
        int peer = accept(fd, NULL, NULL);
        char what;

        if (peer >= 0 && read(peer, &what, 1) == 1)
            (void)pump(peer, what == 'r', 0);
        close(peer);
    }
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "disk") == 0)
        return disk(argv + 2);
    if (argc == 6 && strcmp(argv[1], "tcp") == 0)
        return tcp(argv + 2);
    if (argc == 4 && strcmp(argv[1], "listen") == 0)
        return serve(argv + 2);
    fprintf(stderr, "usage: see the head of guest_io.c\n");
    return 2;
}
