/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frame.h: messages over a stream socket of family AF_UNIX.
 *
 * A frame is a 32-bit little-endian length (at most VSR_FRAME_MAX) and that
 * many bytes. Descriptors ride on a frame's first byte (SCM_RIGHTS); the
 * message inside says how many are its own, and they are taken from the reader
 * in the order in which they came.
 *
 * Threads: any; one reader and one sender at a time.
 */
#ifndef VSR_RPC_FRAME_H
#define VSR_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

enum { VSR_FRAME_HEADER = 4, VSR_FRAME_MAX = 1 << 20, VSR_FRAME_FDS = 128 };

/* The whole frame, by `deadline_ns` (vsr_now_ns()). `fds` are borrowed. TIMEOUT,
 * CRASHED (the peer is gone), SYSTEM. */
bool vsr_frame_send(int fd, const void *body, size_t len, const int *fds,
                    uint32_t n_fds, int64_t deadline_ns, GError **error);
/* One sendmsg of raw bytes that never blocks: bytes sent or -errno. */
int64_t vsr_frame_send_some(int fd, const void *data, size_t len,
                            const int *fds, uint32_t n_fds);

typedef struct {
    uint8_t *data;
    size_t start, end, room; /* unread bytes are data[start, end) */
    uint32_t max_fds;        /* descriptors beyond are a broken protocol */
    uint32_t n_fds;
    int fds[VSR_FRAME_FDS]; /* not taken yet; owned */
} vsr_frame_reader;

void vsr_frame_reader_init(vsr_frame_reader *reader, uint32_t max_fds);
void vsr_frame_reader_fini(vsr_frame_reader *reader);
/* One recvmsg that never blocks: bytes read, 0 at the end, -EAGAIN, -EPROTO or
 * another -errno. */
int64_t vsr_frame_reader_fill(vsr_frame_reader *reader, int fd);
/* 1: *body is a frame, valid until the next fill; 0: not whole yet; -EPROTO:
 * too long. */
int vsr_frame_reader_next(vsr_frame_reader *reader, const char **body,
                          size_t *len);
/* The first `n` descriptors become the caller's. False: not that many came. */
bool vsr_frame_reader_take(vsr_frame_reader *reader, uint32_t n, int *out);
/* Bytes as if fill had read them; for tests. -ENOMEM. */
int vsr_frame_reader_feed(vsr_frame_reader *reader, const void *data,
                          size_t len);
/* Fill and next until there is a frame. TIMEOUT, CRASHED (end), PROTOCOL. */
bool vsr_frame_recv(vsr_frame_reader *reader, int fd, int64_t deadline_ns,
                    const char **body, size_t *len, GError **error);

/* poll(2) for `events` until the deadline: 1, 0 (time is up) or -errno. */
int vsr_wait_fd(int fd, short events, int64_t deadline_ns);

#endif
