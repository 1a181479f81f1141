/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server.h: answers calls of the control protocol on a listening socket.
 *
 * A client that is another user's, breaks the protocol, or does not read what
 * it is sent is dropped; nothing a client does makes the server wait.
 *
 * Threads: everything on the loop, but new and free (any thread but the loop's,
 *          which must run) and broadcast (any thread).
 */
#ifndef VSR_RPC_SERVER_H
#define VSR_RPC_SERVER_H

#include "base/loop.h"
#include "rpc/message.h"

enum { VSR_RPC_CLIENTS = 64 };

typedef struct vsr_rpc_server vsr_rpc_server;
typedef struct vsr_rpc_peer vsr_rpc_peer;

/* The result (taken), or NULL with *error. *fd_out (preset to -1) goes along
 * and is taken. `params` is always an object. */
typedef vsr_json *vsr_rpc_method_fn(void *opaque, vsr_rpc_peer *peer,
                                    const vsr_json *params, int *fd_out,
                                    GError **error);
typedef struct {
    const char *name;
    vsr_rpc_method_fn *fn;
} vsr_rpc_method;

/* `listen_fd` is taken; `methods` ends with a NULL name and outlives it. */
vsr_rpc_server *vsr_rpc_server_new(vsr_loop *loop, int listen_fd,
                                   const vsr_rpc_method *methods, void *opaque,
                                   GError **error);
/* Sends what waits, for 100 ms at the most, and hangs up. */
void vsr_rpc_server_free(vsr_rpc_server *server);

/* The call that is being answered: its descriptors may be taken. NULL outside
 * of a method. */
vsr_message *vsr_rpc_peer_message(vsr_rpc_peer *peer);
/* The peer gets what is broadcast from now on. */
void vsr_rpc_peer_subscribe(vsr_rpc_peer *peer);
/* `event` is taken. Sent from the loop, in order. */
void vsr_rpc_server_broadcast(vsr_rpc_server *server, vsr_json *event);

#endif
