/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server.c: see server.h.
 *
 * Threads: the loop; what others call is posted to it.
 */
#include "rpc/server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "rpc/client.h"

enum {
    QUEUE_MAX = 4 << 20, /* bytes that wait for one slow reader */
    CALLS_PER_TURN = 16, /* then other clients have their turn */
    FLUSH_NS = 100 * 1000 * 1000,
};

/* One frame that waits to be sent. */
typedef struct {
    uint8_t *data; /* owned */
    size_t len, sent;
    int fd; /* owned; or -1 */
} packet;

struct vsr_rpc_peer {
    vsr_rpc_server *server;
    int fd; /* owned */
    vsr_loop_fd *watch;
    vsr_frame_reader reader;
    GQueue packets; /* of packet */
    size_t queued;  /* bytes in them */
    vsr_message *message; /* being answered */
    bool subscribed;
    bool is_dead; /* to be freed by the function that sees it */
};

struct vsr_rpc_server {
    vsr_loop *loop;
    int listen_fd; /* owned */
    vsr_loop_fd *watch;
    const vsr_rpc_method *methods;
    void *opaque;
    GPtrArray *peers; /* of vsr_rpc_peer, owned */
};

static void packet_free(gpointer data)
{
    packet *p = data;

    vsr_close(p->fd);
    g_free(p->data);
    g_free(p);
}

static void peer_free(vsr_rpc_peer *peer)
{
    if (peer->watch != NULL)
        vsr_loop_fd_remove(peer->watch);
    vsr_close(peer->fd);
    vsr_frame_reader_fini(&peer->reader);
    g_queue_clear_full(&peer->packets, packet_free);
    g_free(peer);
}

/* --- sending ------------------------------------------------------------- */

/* Sends what the socket takes now. */
static void peer_flush(vsr_rpc_peer *peer)
{
    packet *p;

    while (!peer->is_dead && (p = g_queue_peek_head(&peer->packets)) != NULL) {
        uint32_t n_fds = p->sent == 0 && p->fd >= 0 ? 1 : 0;
        int64_t n = vsr_frame_send_some(peer->fd, p->data + p->sent,
                                        p->len - p->sent, &p->fd, n_fds);

        if (n == -EAGAIN)
            return;
        if (n < 0) {
            peer->is_dead = true;
            return;
        }
        p->sent += (size_t)n;
        peer->queued -= (size_t)n;
        if (p->sent == p->len)
            packet_free(g_queue_pop_head(&peer->packets));
    }
}

/* `fd` is taken. */
static void peer_send(vsr_rpc_peer *peer, const vsr_json *json, int fd)
{
    size_t len = 0;
    g_autofree char *text = vsr_json_format(json, &len);
    guint32 head = GUINT32_TO_LE((guint32)len);
    packet *p;

    if (len > VSR_FRAME_MAX || peer->queued > QUEUE_MAX - len) {
        peer->is_dead = true;
        vsr_close(fd);
        return;
    }
    p = g_new0(packet, 1);
    p->len = len + VSR_FRAME_HEADER;
    p->data = g_malloc(p->len);
    p->fd = fd;
    memcpy(p->data, &head, sizeof(head));
    memcpy(p->data + VSR_FRAME_HEADER, text, len);
    g_queue_push_tail(&peer->packets, p);
    peer->queued += p->len;
    peer_flush(peer);
}

/* --- answering ----------------------------------------------------------- */

static vsr_json *dispatch(vsr_rpc_peer *peer, const char *name,
                          const vsr_json *params, int *fd_out, GError **error)
{
    vsr_rpc_server *server = peer->server;

    for (const vsr_rpc_method *m = server->methods; m->name != NULL; m++)
        if (strcmp(m->name, name) == 0)
            return m->fn(server->opaque, peer, params, fd_out, error);
    (void)vsr_fail(error, VISOR_ERR_NO_SUPPORT, "No method '%.64s'", name);
    return NULL;
}

/* False: the peer broke the protocol. */
static bool answer(vsr_rpc_peer *peer, const vsr_json *call)
{
    const vsr_json *params = vsr_json_get(call, "params");
    g_autoptr(vsr_json) reply = NULL;
    g_autoptr(vsr_json) none = vsr_json_new_object();
    g_autoptr(GError) error = NULL;
    const char *method = NULL;
    int64_t id = 0;
    vsr_json *result;
    int fd = -1;

    if (!vsr_json_get_int(call, "id", 0, INT64_MAX, &id) ||
        !vsr_json_get_string(call, "method", &method))
        return false;
    if (params == NULL)
        params = none;
    else if (vsr_json_type_of(params) != VSR_JSON_OBJECT)
        return false;
    result = dispatch(peer, method, params, &fd, &error);
    if (result != NULL) {
        reply = vsr_message_result(id, result, fd >= 0 ? 1 : 0);
    } else {
        vsr_close(fd);
        fd = -1;
        reply = vsr_message_error(id, error);
    }
    peer_send(peer, reply, fd);
    return true;
}

/* Answers calls that have come in whole. */
static void peer_answer(vsr_rpc_peer *peer)
{
    for (;;) {
        vsr_message message = { 0 };
        const char *body = NULL;
        size_t len = 0;
        int rc = vsr_frame_reader_next(&peer->reader, &body, &len);

        if (rc == 0 || peer->is_dead)
            return;
        if (rc < 0 ||
            !vsr_message_parse(&peer->reader, body, len, &message, NULL)) {
            peer->is_dead = true;
            return;
        }
        peer->message = &message;
        if (!answer(peer, message.json))
            peer->is_dead = true;
        peer->message = NULL;
        vsr_message_clear(&message);
    }
}

vsr_message *vsr_rpc_peer_message(vsr_rpc_peer *peer)
{
    return peer->message;
}

/* Frees the peer if it is dead, else says what to wait for. */
static void peer_settle(vsr_rpc_peer *peer)
{
    if (peer->is_dead) {
        g_ptr_array_remove_fast(peer->server->peers, peer);
        peer_free(peer);
        return;
    }
    vsr_loop_fd_modify(
        peer->watch,
        EPOLLIN | (g_queue_is_empty(&peer->packets) ? 0u : (uint32_t)EPOLLOUT));
}

static void on_peer(int fd, uint32_t events, void *opaque)
{
    vsr_rpc_peer *peer = opaque;

    peer_flush(peer);
    for (int i = 0; i < CALLS_PER_TURN && !peer->is_dead; i++) {
        int64_t n = vsr_frame_reader_fill(&peer->reader, fd);

        if (n == -EAGAIN)
            break;
        if (n <= 0)
            peer->is_dead = true;
        else
            peer_answer(peer);
    }
    peer_settle(peer);
}

/* --- the server ---------------------------------------------------------- */

/* False: nobody waits. */
static bool on_listen_once(vsr_rpc_server *server)
{
    vsr_rpc_peer *peer;
    vsr_autofd client =
        accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client < 0)
        return false;
    if (server->peers->len >= VSR_RPC_CLIENTS) {
        vsr_log(VSR_LOG_WARN, "Too many control connections: one refused");
        return true;
    }
    if (!vsr_rpc_check_peer(client, NULL)) {
        vsr_log(VSR_LOG_WARN, "Control connection of another user refused");
        return true;
    }
    peer = g_new0(vsr_rpc_peer, 1);
    peer->server = server;
    peer->fd = vsr_steal_fd(&client);
    vsr_frame_reader_init(&peer->reader, VSR_FRAME_FDS);
    g_queue_init(&peer->packets);
    peer->watch =
        vsr_loop_fd_add(server->loop, peer->fd, EPOLLIN, on_peer, peer, NULL);
    if (peer->watch == NULL)
        peer_free(peer);
    else
        g_ptr_array_add(server->peers, peer);
    return true;
}

static void on_listen(int fd, uint32_t events, void *opaque)
{
    (void)on_listen_once(opaque);
}

vsr_rpc_server *vsr_rpc_server_new(vsr_loop *loop, int listen_fd,
                                   const vsr_rpc_method *methods, void *opaque,
                                   GError **error)
{
    vsr_rpc_server *server = g_new0(vsr_rpc_server, 1);

    server->loop = loop;
    server->listen_fd = listen_fd;
    server->methods = methods;
    server->opaque = opaque;
    server->peers = g_ptr_array_new();
    server->watch =
        vsr_loop_fd_add(loop, listen_fd, EPOLLIN, on_listen, server, error);
    if (server->watch == NULL) {
        vsr_rpc_server_free(server);
        return NULL;
    }
    return server;
}

static void close_all(void *opaque)
{
    vsr_rpc_server *server = opaque;
    int64_t deadline = vsr_now_ns() + FLUSH_NS;

    if (server->watch != NULL)
        vsr_loop_fd_remove(server->watch);
    /* Who has connected and asked before now is answered still. */
    for (int i = 0; i < VSR_RPC_CLIENTS && on_listen_once(server); i++)
        ;
    for (guint i = 0; i < server->peers->len; i++) {
        vsr_rpc_peer *peer = g_ptr_array_index(server->peers, i);

        if (vsr_frame_reader_fill(&peer->reader, peer->fd) > 0)
            peer_answer(peer);
    }
    for (guint i = 0; i < server->peers->len; i++) {
        vsr_rpc_peer *peer = g_ptr_array_index(server->peers, i);

        peer_flush(peer);
        while (!peer->is_dead && !g_queue_is_empty(&peer->packets) &&
               vsr_wait_fd(peer->fd, POLLOUT, deadline) > 0)
            peer_flush(peer);
        peer_free(peer);
    }
    g_ptr_array_set_size(server->peers, 0);
}

void vsr_rpc_server_free(vsr_rpc_server *server)
{
    if (server == NULL)
        return;
    vsr_loop_sync(server->loop, close_all, server);
    vsr_close(server->listen_fd);
    g_ptr_array_unref(server->peers);
    g_free(server);
}

void vsr_rpc_peer_subscribe(vsr_rpc_peer *peer)
{
    peer->subscribed = true;
}

typedef struct {
    vsr_rpc_server *server;
    vsr_json *event; /* owned */
} broadcast;

static void do_broadcast(void *opaque)
{
    broadcast *b = opaque;

    /* Backwards: settling may take the peer out of the array. */
    for (guint i = b->server->peers->len; i-- > 0;) {
        vsr_rpc_peer *peer = g_ptr_array_index(b->server->peers, i);

        if (!peer->subscribed)
            continue;
        peer_send(peer, b->event, -1);
        peer_settle(peer);
    }
    vsr_json_free(b->event);
    g_free(b);
}

void vsr_rpc_server_broadcast(vsr_rpc_server *server, vsr_json *event)
{
    broadcast *b = g_new0(broadcast, 1);

    b->server = server;
    b->event = event;
    vsr_loop_call(server->loop, do_broadcast, b);
}
