/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vsock_state.h: what the files of the virtio socket device share.
 *
 * Spec:    VIRTIO 1.2, 5.10.6 "Device Operation".
 * Threads: all of it with the device's lock held, on the queues' loop.
 */
#ifndef VSR_DEVICES_VIRTIO_VSOCK_STATE_H
#define VSR_DEVICES_VIRTIO_VSOCK_STATE_H

#include "base/util.h"
#include "devices/virtio/vsock.h"

enum { VSOCK_RX = 0, VSOCK_TX = 1, VSOCK_EVENT = 2 };

enum {
    VSOCK_HOST_CID = 2,
    VSOCK_STREAM = 1,
    VSOCK_BUFFER =
        64 << 10,         /* of one connection, what the host does not read */
    VSOCK_HELLO_MAX = 32, /* "CONNECT 4294967295\n" and some */
    VSOCK_HELLOS = 64,    /* clients that have not said it yet */
    VSOCK_RESETS = 256,   /* that wait for buffers before we stop listening */
};

enum {
    VSOCK_OP_REQUEST = 1,
    VSOCK_OP_RESPONSE = 2,
    VSOCK_OP_RST = 3,
    VSOCK_OP_SHUTDOWN = 4,
    VSOCK_OP_RW = 5,
    VSOCK_OP_CREDIT_UPDATE = 6,
    VSOCK_OP_CREDIT_REQUEST = 7,

    VSOCK_NO_RECEIVE = 1, /* flags of a SHUTDOWN */
    VSOCK_NO_SEND = 2,
};

typedef struct __attribute__((packed)) {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port;
    uint32_t len;
    uint16_t type, op;
    uint32_t flags;
    uint32_t buf_alloc, fwd_cnt;
} vsock_header;
G_STATIC_ASSERT(sizeof(vsock_header) == 44);

typedef struct virtio_vsock virtio_vsock;

typedef enum {
    CONN_HELLO,     /* a host's client; its CONNECT line is not complete */
    CONN_REQUESTED, /* the guest is asked */
    CONN_OPEN,
    CONN_CLOSING, /* the host's side is gone; the guest is to confirm */
} vsock_conn_state;

/* Packets without data that wait for the guest's buffers, one of each. */
enum {
    VSOCK_SAY_REQUEST = 1 << 0,
    VSOCK_SAY_RESPONSE = 1 << 1,
    VSOCK_SAY_CREDIT = 1 << 2,
    VSOCK_SAY_ASK_CREDIT = 1 << 3,
    VSOCK_SAY_SHUTDOWN = 1 << 4, /* after the data */
};

typedef struct {
    virtio_vsock *vsock;
    uint64_t key; /* guest's port, host's port */
    vsock_conn_state state;
    bool dead; /* stop() has it */
    int fd;    /* owned; non-blocking */
    vsr_loop_fd *watch;
    uint32_t events;
    int64_t deadline_ns; /* 0: none */
    uint32_t say;        /* VSOCK_SAY_* */
    uint32_t say_flags;  /* of the SHUTDOWN */
    bool waiting;        /* in vsock->waiting */
    bool announced;      /* the guest knows it */
    char hello[VSOCK_HELLO_MAX];
    uint32_t hello_len;

    /* To the guest. */
    bool readable; /* there may be something to read */
    bool ended;    /* there will be no more */
    bool asked;    /* for credit */
    uint32_t sent, peer_alloc, peer_forwarded;
    /* From the guest: received - forwarded bytes are in `buffer`. */
    uint32_t guest_flags; /* of its SHUTDOWNs */
    uint32_t received, forwarded, told;
    uint8_t *buffer; /* owned; NULL: was never needed */
    uint32_t buffer_at;
} vsock_conn;

typedef struct {
    uint64_t key;
    uint32_t cid; /* of the host's end */
} vsock_reset;

struct virtio_vsock {
    vsr_virtio base;
    int listen_fd; /* owned */
    int folder_fd; /* borrowed */
    char *name;
    vsr_loop_fd *listening;
    bool deaf;         /* no descriptor to accept with; the timer tries again */
    GHashTable *conns; /* of vsock_conn by key, owned */
    GSList *hellos;    /* of vsock_conn, owned */
    uint32_t n_hellos;
    GQueue waiting; /* of vsock_conn that have something for the guest */
    GArray *resets; /* of vsock_reset, oldest first */
    uint32_t next_port;
    int64_t answer_ns;
    vsr_timer timer; /* of deadlines */
    bool timer_armed;
};

static inline uint32_t vsock_guest_port(uint64_t key)
{
    return (uint32_t)(key >> 32);
}

static inline uint32_t vsock_host_port(uint64_t key)
{
    return (uint32_t)key;
}

/* --- vsock.c --- */

uint64_t vsock_cid(const virtio_vsock *vsock);
/* To the guest as many packets as it has buffers for. */
void vsock_flush(virtio_vsock *vsock);
/* In the order of arrival; dropped above the limit, which only a bug reaches. */
void vsock_add_reset(virtio_vsock *vsock, uint64_t key, uint32_t cid);
/* Something waits for vsock_flush(). */
void vsock_conn_wait(vsock_conn *conn);
void vsock_arm_timer(virtio_vsock *vsock);

/* --- vsock_conn.c --- */

/* A client of the listening socket; takes fd. */
void vsock_conn_accept(virtio_vsock *vsock, int fd);
/* The guest asks; false: it is to be reset. */
bool vsock_conn_request(virtio_vsock *vsock, uint64_t key,
                        const vsock_header *header);
/* A packet of a connection that is there; `chain` has header->len bytes behind
 * the header. The connection may be gone after it. */
void vsock_conn_packet(vsock_conn *conn, const vsock_header *header,
                       const vsr_virtq_chain *chain);
/* Reads into `chain` behind the header. Bytes, 0: nothing now. */
uint32_t vsock_conn_read(vsock_conn *conn, const vsr_virtq_chain *chain);
/* Has it anything to say or to send that may be sent now? */
bool vsock_conn_is_ready(vsock_conn *conn);
/* Events that are to be waited for have changed. */
void vsock_conn_update(vsock_conn *conn);
/* Out of the tables, and freed; the guest, if it knows it, is told. */
void vsock_conn_reset(vsock_conn *conn);
void vsock_conn_destroy(vsock_conn *conn);
/* Not in any table any more; no callback runs. */
void vsock_conn_free(vsock_conn *conn);

#endif
