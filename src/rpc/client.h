/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h: calls to a process that serves the control protocol. Every wait
 * has a deadline (vsr_now_ns()).
 *
 * Threads: any; one call at a time on one client.
 */
#ifndef VSR_RPC_CLIENT_H
#define VSR_RPC_CLIENT_H

#include "rpc/message.h"

typedef struct vsr_rpc_client vsr_rpc_client;

/* A connected socket to `name` in the open folder `folder_fd`, or -1. The
 * folder's path may be of any length. NOT_FOUND or CRASHED: nobody serves it,
 * ACCESS: the peer is another user's, TIMEOUT. */
int vsr_rpc_connect(int folder_fd, const char *name, int64_t deadline_ns,
                    GError **error);
/* The peer of a connected socket must be us or root. */
bool vsr_rpc_check_peer(int fd, GError **error);

vsr_rpc_client *vsr_rpc_client_new(int fd /* taken */);
void vsr_rpc_client_free(vsr_rpc_client *client); /* NULL is a no-op */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vsr_rpc_client, vsr_rpc_client_free)
int vsr_rpc_client_fd(const vsr_rpc_client *client); /* borrowed */

/* `params` is taken and may be NULL, `fds` are borrowed. The answer's "result"
 * is the caller's; a descriptor that comes with it goes to *fd_out (-1: none),
 * which may be NULL. Events that come meanwhile are dropped. Any code. */
vsr_json *vsr_rpc_call(vsr_rpc_client *client, const char *method,
                       vsr_json *params, const int *fds, uint32_t n_fds,
                       int *fd_out, int64_t deadline_ns, GError **error);

#endif
