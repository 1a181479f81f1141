/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vsock.c: see vsock.h: the queues, the tables of connections, life.
 *
 * Nothing is read from the host before the guest has a buffer and credit for
 * it, and what the host does not take is at most 64 KiB for each connection; a
 * guest that gives no buffers is not listened to once 256 resets wait.
 *
 * Spec:    VIRTIO 1.2, 5.10 "Socket Device".
 * Threads: everything on the queues' loop with the device's lock held; init,
 *          fini, set_cid, count: control.
 */
#include "devices/virtio/vsock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "devices/virtio/take.h"
#include "devices/virtio/vsock_state.h"

#define VSOCK_F_STREAM (UINT64_C(1) << 0)

enum { QUEUE_SIZE = 256, EVENT_QUEUE_SIZE = 16, BATCH = 256, ANSWER_MS = 2000 };
enum { EVENT_TRANSPORT_RESET = 0 };

static virtio_vsock *to_vsock(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, virtio_vsock, base.device);
}

uint64_t vsock_cid(const virtio_vsock *vsock)
{
    uint64_t cid;

    memcpy(&cid, vsock->base.config, sizeof(cid));
    return cid;
}

/* --- deadlines ------------------------------------------------------------------ */

void vsock_arm_timer(virtio_vsock *vsock)
{
    if (vsock->timer_armed)
        return;
    vsock->timer_armed = true;
    vsr_timer_arm(&vsock->timer, vsr_now_ns() + vsock->answer_ns / 4);
}

static bool expire(GSList *conns, int64_t now_ns)
{
    bool more = false;

    for (GSList *i = conns; i != NULL; i = i->next) {
        vsock_conn *conn = i->data;

        if (conn->deadline_ns == 0)
            continue;
        if (conn->deadline_ns <= now_ns)
            vsock_conn_reset(conn);
        else
            more = true;
    }
    g_slist_free(conns);
    return more;
}

static GSList *list_conns(virtio_vsock *vsock)
{
    GSList *list = g_slist_copy(vsock->hellos);
    GHashTableIter iter;
    gpointer conn;

    g_hash_table_iter_init(&iter, vsock->conns);
    while (g_hash_table_iter_next(&iter, NULL, &conn))
        list = g_slist_prepend(list, conn);
    return list;
}

static void on_timer(void *opaque)
{
    virtio_vsock *vsock = opaque;

    g_mutex_lock(&vsock->base.device.lock);
    vsock->timer_armed = false;
    if (vsock->deaf) {
        vsock->deaf = false;
        vsr_loop_fd_modify(vsock->listening, EPOLLIN);
    }
    if (vsock->base.started && !vsock->base.stopping) {
        if (expire(list_conns(vsock), vsr_now_ns()))
            vsock_arm_timer(vsock);
        vsock_flush(vsock);
    }
    g_mutex_unlock(&vsock->base.device.lock);
}

/* --- to the guest ----------------------------------------------------------------- */

void vsock_conn_wait(vsock_conn *conn)
{
    if (conn->waiting)
        return;
    conn->waiting = true;
    g_queue_push_tail(&conn->vsock->waiting, conn);
}

void vsock_add_reset(virtio_vsock *vsock, uint64_t key, uint32_t cid)
{
    const vsock_reset reset = { .key = key, .cid = cid };

    if (vsock->resets->len < VSOCK_RESETS + VSR_VIRTIO_VSOCK_CONNS_MAX)
        g_array_append_val(vsock->resets, reset);
}

static void put(virtio_vsock *vsock, const vsr_virtq_chain *chain,
                vsock_header *header, uint64_t key)
{
    if (header->src_cid == 0)
        header->src_cid = VSOCK_HOST_CID;
    header->dst_cid = vsock_cid(vsock);
    header->src_port = vsock_host_port(key);
    header->dst_port = vsock_guest_port(key);
    header->type = VSOCK_STREAM;
    (void)vsr_virtq_write(chain, 0, header, sizeof(*header));
    vsr_virtio_give(&vsock->base, VSOCK_RX, chain,
                    (uint32_t)sizeof(*header) + header->len);
}

/* A buffer for a header and one byte at least. */
static bool take_rx(virtio_vsock *vsock, vsr_virtq_chain *chain)
{
    if (!vsr_virtio_take(&vsock->base, VSOCK_RX, chain))
        return false;
    if (chain->in_len > sizeof(vsock_header))
        return true;
    vsr_virtio_give(&vsock->base, VSOCK_RX, chain, 0);
    vsr_virtio_needs_reset(&vsock->base,
                           "a receive buffer with no room behind the header");
    return false;
}

static void say(vsock_conn *conn, vsock_header *header)
{
    static const struct {
        uint32_t say;
        uint16_t op;
    } order[] = {
        { VSOCK_SAY_REQUEST, VSOCK_OP_REQUEST },
        { VSOCK_SAY_RESPONSE, VSOCK_OP_RESPONSE },
        { VSOCK_SAY_SHUTDOWN, VSOCK_OP_SHUTDOWN },
        { VSOCK_SAY_CREDIT, VSOCK_OP_CREDIT_UPDATE },
        { VSOCK_SAY_ASK_CREDIT, VSOCK_OP_CREDIT_REQUEST },
    };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(order); i++) {
        if ((conn->say & order[i].say) == 0)
            continue;
        conn->say &= ~order[i].say;
        header->op = order[i].op;
        if (order[i].say == VSOCK_SAY_SHUTDOWN)
            header->flags = conn->say_flags;
        break;
    }
    conn->announced = true;
}

/* One packet of it. False: it had nothing; the chain is still the caller's. */
static bool send_packet(vsock_conn *conn, const vsr_virtq_chain *chain)
{
    vsock_header header = { .op = VSOCK_OP_RW };

    if (conn->say == 0)
        header.len = vsock_conn_read(conn, chain);
    if (conn->say != 0)
        say(conn, &header);
    else if (header.len == 0)
        return false;
    /* Every packet tells what we have room for. */
    header.buf_alloc = VSOCK_BUFFER;
    header.fwd_cnt = conn->told = conn->forwarded;
    conn->say &= ~(uint32_t)VSOCK_SAY_CREDIT;
    put(conn->vsock, chain, &header, conn->key);
    return true;
}

static uint32_t flush_resets(virtio_vsock *vsock)
{
    vsr_virtq_chain chain;
    uint32_t n = 0;

    while (n < vsock->resets->len && take_rx(vsock, &chain)) {
        const vsock_reset *reset =
            &g_array_index(vsock->resets, vsock_reset, n++);
        vsock_header header = { .op = VSOCK_OP_RST, .src_cid = reset->cid };

        put(vsock, &chain, &header, reset->key);
    }
    if (n > 0)
        g_array_remove_range(vsock->resets, 0, n);
    return n;
}

static void update(gpointer conn, gpointer unused)
{
    vsock_conn_update(conn);
}

void vsock_flush(virtio_vsock *vsock)
{
    vsr_virtio *v = &vsock->base;
    bool was_full = vsock->resets->len >= VSOCK_RESETS;
    uint32_t n = flush_resets(vsock);
    uint32_t turns = 0;
    vsock_conn *conn;

    /* Each in its turn, so that none waits for a busy one. */
    while (vsock->resets->len == 0 && turns < BATCH &&
           (conn = g_queue_peek_head(&vsock->waiting)) != NULL) {
        vsr_virtq_chain chain;

        if (vsock_conn_is_ready(conn)) {
            if (!take_rx(vsock, &chain))
                break;
            if (send_packet(conn, &chain))
                n++;
            else
                vsr_virtq_unpop(vsr_virtio_ring(v, VSOCK_RX));
        }
        (void)g_queue_pop_head(&vsock->waiting);
        conn->waiting = false;
        if (vsock_conn_is_ready(conn))
            vsock_conn_wait(conn);
        else
            vsock_conn_update(conn);
        turns++;
    }
    g_queue_foreach(&vsock->waiting, update, NULL);
    if (n > 0)
        vsr_virtio_signal(v, VSOCK_RX);
    if (turns == BATCH)
        vsr_virtio_kick(v, VSOCK_RX);
    if (was_full && vsock->resets->len < VSOCK_RESETS)
        vsr_virtio_kick(v, VSOCK_TX);
}

/* --- from the guest ----------------------------------------------------------------- */

static void handle_packet(virtio_vsock *vsock, const vsr_virtq_chain *chain)
{
    vsock_header header;
    vsock_conn *conn;
    uint64_t key;

    /* 5.10.6.4: what is not from this guest goes unanswered. */
    if (vsr_virtq_read(chain, 0, &header, sizeof(header)) != sizeof(header) ||
        header.src_cid != vsock_cid(vsock))
        return;
    key = (uint64_t)header.src_port << 32 | header.dst_port;
    if (header.dst_cid != VSOCK_HOST_CID || header.type != VSOCK_STREAM) {
        if (header.op != VSOCK_OP_RST)
            vsock_add_reset(vsock, key, (uint32_t)header.dst_cid);
        return;
    }
    if (header.op != VSOCK_OP_RW)
        header.len = 0;
    conn = g_hash_table_lookup(vsock->conns, &key);
    if (conn != NULL && header.len > chain->out_len - sizeof(header))
        vsock_conn_reset(conn);
    else if (conn != NULL)
        vsock_conn_packet(conn, &header, chain);
    else if (header.op != VSOCK_OP_RST &&
             (header.op != VSOCK_OP_REQUEST ||
              !vsock_conn_request(vsock, key, &header)))
        vsock_add_reset(vsock, key, VSOCK_HOST_CID);
}

static void receive_packets(virtio_vsock *vsock)
{
    vsr_virtio *v = &vsock->base;
    vsr_virtq_chain chain;
    uint32_t n = 0;

    while (n < BATCH && vsock->resets->len < VSOCK_RESETS &&
           vsr_virtio_take(v, VSOCK_TX, &chain)) {
        handle_packet(vsock, &chain);
        vsr_virtio_give(v, VSOCK_TX, &chain, 0);
        n++;
    }
    if (n > 0)
        vsr_virtio_signal(v, VSOCK_TX);
    if (n == BATCH)
        vsr_virtio_kick(v, VSOCK_TX);
}

static void kicked(vsr_virtio *v, uint32_t index)
{
    virtio_vsock *vsock = to_vsock(&v->device);

    if (index == VSOCK_TX)
        receive_packets(vsock);
    if (index != VSOCK_EVENT)
        vsock_flush(vsock);
}

/* --- from the host -------------------------------------------------------------------- */

static void on_client(int listen_fd, uint32_t events, void *opaque)
{
    virtio_vsock *vsock = opaque;
    vsr_virtio *v = &vsock->base;
    vsr_autofd fd =
        accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int err = errno;

    g_mutex_lock(&v->device.lock);
    if (fd >= 0) {
        /* Without a driver nobody would answer. */
        if (vsr_virtio_ring(v, VSOCK_RX) != NULL)
            vsock_conn_accept(vsock, vsr_steal_fd(&fd));
    } else if (err != EAGAIN && err != ECONNABORTED && err != EINTR) {
        vsock->deaf = true;
        vsr_loop_fd_modify(vsock->listening, 0);
        vsock_arm_timer(vsock);
    }
    g_mutex_unlock(&v->device.lock);
}

/* --- life ------------------------------------------------------------------------------- */

/* Lock held, and dropped where a callback may run. */
static void drop_conns(virtio_vsock *vsock)
{
    GSList *conns = list_conns(vsock);

    for (GSList *i = conns; i != NULL; i = i->next)
        ((vsock_conn *)i->data)->dead = true;
    g_hash_table_remove_all(vsock->conns);
    g_clear_pointer(&vsock->hellos, g_slist_free);
    vsock->n_hellos = 0;
    g_queue_clear(&vsock->waiting);
    g_array_set_size(vsock->resets, 0);
    g_mutex_unlock(&vsock->base.device.lock);
    for (GSList *i = conns; i != NULL; i = i->next)
        vsock_conn_free(i->data);
    g_slist_free(conns);
    g_mutex_lock(&vsock->base.device.lock);
}

static void stop(vsr_virtio *v)
{
    drop_conns(to_vsock(&v->device));
}

static const vsr_virtio_ops vsock_ops = {
    .id = VSR_VIRTIO_ID_VSOCK,
    .class_code = 0x028000,
    .stop = stop,
    .kicked = kicked,
};

static bool check_cid(const vsr_device *device, uint32_t cid, GError **error)
{
    if (cid >= VSR_VIRTIO_VSOCK_CID_MIN && cid <= VSR_VIRTIO_VSOCK_CID_MAX)
        return true;
    return vsr_fail(error, VISOR_ERR_CONFIG,
                    "Socket device '%s': CID %u, a guest's is %d to %u",
                    device->id, cid, VSR_VIRTIO_VSOCK_CID_MIN,
                    VSR_VIRTIO_VSOCK_CID_MAX);
}

static bool check_params(const vsr_device *device,
                         const vsr_virtio_vsock_params *p, GError **error)
{
    if (!check_cid(device, p->cid, error))
        return false;
    if (p->name[0] == '\0' || strlen(p->name) > VSR_VIRTIO_VSOCK_NAME_MAX ||
        strchr(p->name, '/') != NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Socket device '%s': '%s' is not a file's name of 1 to "
                        "%d bytes",
                        device->id, p->name, VSR_VIRTIO_VSOCK_NAME_MAX);
    return true;
}

static void set_config(virtio_vsock *vsock, uint64_t cid)
{
    memcpy(vsock->base.config, &cid, sizeof(cid));
}

static void free_tables(virtio_vsock *vsock)
{
    g_clear_pointer(&vsock->conns, g_hash_table_unref);
    g_clear_pointer(&vsock->resets, g_array_unref);
    g_clear_pointer(&vsock->name, g_free);
}

static void vsock_fini(vsr_device *device)
{
    virtio_vsock *vsock = to_vsock(device);

    vsr_loop_fd_remove(vsock->listening);
    vsr_virtio_fini(&vsock->base);
    vsr_timer_cancel(&vsock->timer);
    vsr_close(vsock->listen_fd);
    free_tables(vsock);
}

static bool vsock_init(vsr_device *device, const void *params, GError **error)
{
    static const uint16_t queue_size[] = { QUEUE_SIZE, QUEUE_SIZE,
                                           EVENT_QUEUE_SIZE };
    virtio_vsock *vsock = to_vsock(device);
    const vsr_virtio_vsock_params *p = params;

    if (!check_params(device, p, error))
        return false;
    vsock->conns = g_hash_table_new(g_int64_hash, g_int64_equal);
    vsock->resets = g_array_new(FALSE, FALSE, sizeof(vsock_reset));
    vsock->name = g_strdup(p->name);
    vsock->next_port = UINT32_C(1) << 30;
    vsock->answer_ns =
        (p->answer_ms ? p->answer_ms : ANSWER_MS) * INT64_C(1000000);
    vsock->listen_fd = vsock->folder_fd = -1;
    if (!vsr_virtio_init(&vsock->base, &p->virtio, &vsock_ops, VSOCK_F_STREAM,
                         3, queue_size, sizeof(uint64_t), error)) {
        free_tables(vsock);
        return false;
    }
    set_config(vsock, p->cid);
    vsr_timer_init(&vsock->timer, vsock->base.loop, on_timer, vsock);
    g_mutex_lock(&device->lock);
    vsock->listening = vsr_loop_fd_add(vsock->base.loop, p->listen_fd, EPOLLIN,
                                       on_client, vsock, error);
    g_mutex_unlock(&device->lock);
    if (vsock->listening == NULL) {
        vsock_fini(device);
        return false;
    }
    vsock->listen_fd = p->listen_fd;
    vsock->folder_fd = p->folder_fd;
    return true;
}

static void vsock_reset_device(vsr_device *device)
{
    vsr_virtio_reset(&to_vsock(device)->base);
}

/* --- for the owner ---------------------------------------------------------------------- */

bool vsr_virtio_vsock_set_cid(vsr_device *device, uint32_t cid, GError **error)
{
    virtio_vsock *vsock = to_vsock(device);
    const uint32_t event = EVENT_TRANSPORT_RESET;
    vsr_virtq_chain chain;

    if (!check_cid(device, cid, error))
        return false;
    g_mutex_lock(&device->lock);
    set_config(vsock, cid);
    drop_conns(vsock);
    /* 5.10.6.7: without a buffer the driver finds out by what it sends. */
    if (vsr_virtio_take(&vsock->base, VSOCK_EVENT, &chain)) {
        uint64_t n = vsr_virtq_write(&chain, 0, &event, sizeof(event));

        vsr_virtio_give(&vsock->base, VSOCK_EVENT, &chain, (uint32_t)n);
        vsr_virtio_signal(&vsock->base, VSOCK_EVENT);
    }
    vsr_virtio_config_changed(&vsock->base);
    g_mutex_unlock(&device->lock);
    return true;
}

static void count(gpointer key, gpointer value, gpointer total)
{
    const vsock_conn *conn = value;

    *(uint32_t *)total += conn->state == CONN_OPEN;
}

uint32_t vsr_virtio_vsock_count(vsr_device *device)
{
    virtio_vsock *vsock = to_vsock(device);
    uint32_t n = 0;

    g_mutex_lock(&device->lock);
    g_hash_table_foreach(vsock->conns, count, &n);
    g_mutex_unlock(&device->lock);
    return n;
}

const vsr_device_class vsr_virtio_vsock_class = {
    .name = "virtio-vsock",
    .instance_size = sizeof(virtio_vsock),
    .init = vsock_init,
    .fini = vsock_fini,
    .reset = vsock_reset_device,
    .quiesce = vsr_virtio_quiesce,
    .unquiesce = vsr_virtio_unquiesce,
};
