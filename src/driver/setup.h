/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * setup.h: what a starter hands to the visor-vmm it spawned, over their socket
 * pair: the configuration as XML, everything opened with the starter's rights,
 * and the folders.
 *
 *   starter → vmm   setup
 *   vmm → starter   built, or an error
 *   starter → vmm   go {"run":true|false}
 *   vmm → starter   running
 *
 * Until `go` has come, the end of the socket ends visor-vmm: a starter that is
 * killed leaves nothing behind.
 *
 * Threads: any.
 */
#ifndef VSR_DRIVER_SETUP_H
#define VSR_DRIVER_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc/client.h"
#include "vmm/vmm.h"

typedef struct {
    char *xml; /* owned; the definition */
    char name[256];
    char uuid[37];
    int id;
    bool paused;
    int root_fd;   /* owned where it was received: ROOT/ENGINE */
    int folder_fd; /* likewise: the domain's folder */
    vsr_vmm_resources res;
} vsr_setup;

void vsr_setup_clear(vsr_setup *setup); /* of a received one */
/* A call; waits for its answer. Nothing of `setup` is taken. */
bool vsr_setup_send(vsr_rpc_client *client, const vsr_setup *setup,
                    int64_t deadline_ns, GError **error);
/* Waits for the call; `id_out` is what the answer must name. */
bool vsr_setup_recv(vsr_frame_reader *reader, int fd, int64_t deadline_ns,
                    vsr_setup *out, int64_t *id_out, GError **error);

/* Text in a sealed memory file (for what may be longer than a frame), and
 * back. -1 / NULL. */
int vsr_text_to_fd(const char *text, GError **error);
char *vsr_text_from_fd(int fd, size_t max, GError **error);

#endif
