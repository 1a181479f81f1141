/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.c: see client.h.
 *
 * Threads: any.
 */
#include "rpc/client.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"

/* A peer may have sent events before its answer; more than this is a flood. */
enum { SKIP_MAX = 4096, RETRY_US = 2000 };

struct vsr_rpc_client {
    int fd; /* owned */
    int64_t next_id;
    vsr_frame_reader reader;
};

bool vsr_rpc_check_peer(int fd, GError **error)
{
    struct ucred cred = { 0 };
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return vsr_fail_errno(error, errno, "Cannot ask who the peer is");
    if (cred.uid != geteuid() && cred.uid != 0)
        return vsr_fail(error, VISOR_ERR_ACCESS,
                        "The peer runs as user %u, not as us",
                        (unsigned)cred.uid);
    return true;
}

static bool connect_once(int fd, const struct sockaddr_un *address,
                         int64_t deadline_ns, GError **error)
{
    for (;;) {
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ==
            0)
            return true;
        if (errno == EINTR)
            continue;
        if (errno == ECONNREFUSED)
            return vsr_fail(error, VISOR_ERR_CRASHED,
                            "Nobody serves the control socket");
        /* The queue of a peer that does not accept is full. */
        if (errno != EAGAIN)
            return vsr_fail_errno(error, errno,
                                  "Cannot connect to the control socket");
        if (vsr_now_ns() >= deadline_ns)
            return vsr_fail(error, VISOR_ERR_TIMEOUT,
                            "The control socket takes no connection");
        g_usleep(RETRY_US);
    }
}

int vsr_rpc_connect(int folder_fd, const char *name, int64_t deadline_ns,
                    GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    vsr_autofd fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int n;

    if (fd < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot make a socket");
        return -1;
    }
    /* sun_path has room for 107 bytes: the folder is named by descriptor. */
    n = snprintf(address.sun_path, sizeof(address.sun_path),
                 "/proc/self/fd/%d/%s", folder_fd, name);
    if (n < 0 || (size_t)n >= sizeof(address.sun_path)) {
        (void)vsr_fail(error, VISOR_ERR_ARG, "Socket name '%s' is too long",
                       name);
        return -1;
    }
    if (!connect_once(fd, &address, deadline_ns, error) ||
        !vsr_rpc_check_peer(fd, error))
        return -1;
    return vsr_steal_fd(&fd);
}

vsr_rpc_client *vsr_rpc_client_new(int fd)
{
    vsr_rpc_client *client = g_new0(vsr_rpc_client, 1);

    client->fd = fd;
    vsr_frame_reader_init(&client->reader, VSR_FRAME_FDS);
    return client;
}

void vsr_rpc_client_free(vsr_rpc_client *client)
{
    if (client == NULL)
        return;
    vsr_close(client->fd);
    vsr_frame_reader_fini(&client->reader);
    g_free(client);
}

int vsr_rpc_client_fd(const vsr_rpc_client *client)
{
    return client->fd;
}

/* The answer to call `id`. */
static bool wait_answer(vsr_rpc_client *client, int64_t id, int64_t deadline_ns,
                        vsr_message *out, GError **error)
{
    for (uint32_t skipped = 0; skipped < SKIP_MAX; skipped++) {
        int64_t got = 0;

        if (!vsr_message_recv(&client->reader, client->fd, deadline_ns, out,
                              error))
            return false;
        if (vsr_json_get_int(out->json, "id", id, id, &got))
            return true;
        vsr_message_clear(out);
    }
    return vsr_fail(error, VISOR_ERR_PROTOCOL,
                    "The peer sends events but no answer");
}

vsr_json *vsr_rpc_call(vsr_rpc_client *client, const char *method,
                       vsr_json *params, const int *fds, uint32_t n_fds,
                       int *fd_out, int64_t deadline_ns, GError **error)
{
    int64_t id = ++client->next_id;
    g_autoptr(vsr_json) call = vsr_message_call(id, method, params, n_fds);
    vsr_message answer = { 0 };
    vsr_json *result = NULL;

    if (!vsr_message_send(client->fd, call, fds, n_fds, deadline_ns, error) ||
        !wait_answer(client, id, deadline_ns, &answer, error))
        return NULL;
    if (vsr_message_is_result(answer.json, error)) {
        result = vsr_json_steal(answer.json, "result");
        if (fd_out != NULL) {
            *fd_out = -1;
            if (answer.n_fds > 0)
                *fd_out = vsr_steal_fd(&answer.fds[0]);
        }
    }
    vsr_message_clear(&answer);
    return result;
}
