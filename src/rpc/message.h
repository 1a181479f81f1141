/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * message.h: what the frames of the control protocol hold.
 *
 *   call    {"id":7,"method":"state","params":{…}}
 *   answer  {"id":7,"result":{…}}  or  {"id":7,"error":{"code":-6,"message":…}}
 *   event   {"event":"state",…}
 *
 * Any of them may have "fds":n, the number of descriptors that came with it.
 * Error codes are those of <visor/error.h>.
 *
 * Threads: any.
 */
#ifndef VSR_RPC_MESSAGE_H
#define VSR_RPC_MESSAGE_H

#include "rpc/frame.h"
#include "rpc/json.h"

/* Changes when a new side could not talk to an old one. */
enum { VSR_RPC_VERSION = 1 };

typedef struct {
    vsr_json *json; /* owned */
    uint32_t n_fds;
    int fds[VSR_FRAME_FDS]; /* owned */
} vsr_message;

void vsr_message_clear(vsr_message *message);
/* A frame's body, and its descriptors taken from the reader. PROTOCOL. */
bool vsr_message_parse(vsr_frame_reader *reader, const char *body, size_t len,
                       vsr_message *out, GError **error);
bool vsr_message_recv(vsr_frame_reader *reader, int fd, int64_t deadline_ns,
                      vsr_message *out, GError **error);
bool vsr_message_send(int fd, const vsr_json *json, const int *fds,
                      uint32_t n_fds, int64_t deadline_ns, GError **error);

/* Texts of the messages; `params`, `result` are taken and may be NULL. */
vsr_json *vsr_message_call(int64_t id, const char *method, vsr_json *params,
                           uint32_t n_fds);
vsr_json *vsr_message_result(int64_t id, vsr_json *result, uint32_t n_fds);
vsr_json *vsr_message_error(int64_t id, const GError *error);
/* False, with the error that an answer carries; true if it is a result. */
bool vsr_message_is_result(const vsr_json *answer, GError **error);

#endif
