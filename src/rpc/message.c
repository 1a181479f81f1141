/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * message.c: see message.h.
 *
 * Threads: any.
 */
#include "rpc/message.h"

#include "base/error.h"
#include "base/fd.h"

void vsr_message_clear(vsr_message *message)
{
    g_clear_pointer(&message->json, vsr_json_free);
    for (uint32_t i = 0; i < message->n_fds; i++)
        vsr_close(message->fds[i]);
    message->n_fds = 0;
}

bool vsr_message_parse(vsr_frame_reader *reader, const char *body, size_t len,
                       vsr_message *out, GError **error)
{
    g_autoptr(vsr_json) json = vsr_json_parse(body, len, error);
    int64_t n = 0;

    out->json = NULL;
    out->n_fds = 0;
    if (json == NULL)
        return false;
    if (vsr_json_type_of(json) != VSR_JSON_OBJECT)
        return vsr_fail(error, VISOR_ERR_PROTOCOL,
                        "A message is not a JSON object");
    if (vsr_json_get(json, "fds") != NULL &&
        !vsr_json_get_int(json, "fds", 0, VSR_FRAME_FDS, &n))
        return vsr_fail(error, VISOR_ERR_PROTOCOL,
                        "A message's 'fds' is out of range");
    if (!vsr_frame_reader_take(reader, (uint32_t)n, out->fds))
        return vsr_fail(error, VISOR_ERR_PROTOCOL,
                        "A message came without its descriptors");
    out->n_fds = (uint32_t)n;
    out->json = g_steal_pointer(&json);
    return true;
}

bool vsr_message_recv(vsr_frame_reader *reader, int fd, int64_t deadline_ns,
                      vsr_message *out, GError **error)
{
    const char *body = NULL;
    size_t len = 0;

    out->json = NULL;
    out->n_fds = 0;
    return vsr_frame_recv(reader, fd, deadline_ns, &body, &len, error) &&
           vsr_message_parse(reader, body, len, out, error);
}

bool vsr_message_send(int fd, const vsr_json *json, const int *fds,
                      uint32_t n_fds, int64_t deadline_ns, GError **error)
{
    size_t len = 0;
    g_autofree char *text = vsr_json_format(json, &len);

    return vsr_frame_send(fd, text, len, fds, n_fds, deadline_ns, error);
}

vsr_json *vsr_message_call(int64_t id, const char *method, vsr_json *params,
                           uint32_t n_fds)
{
    vsr_json *json = vsr_json_new_object();

    vsr_json_set_int(json, "id", id);
    vsr_json_set_string(json, "method", method);
    vsr_json_set(json, "params",
                 params != NULL ? params : vsr_json_new_object());
    if (n_fds > 0)
        vsr_json_set_int(json, "fds", n_fds);
    return json;
}

vsr_json *vsr_message_result(int64_t id, vsr_json *result, uint32_t n_fds)
{
    vsr_json *json = vsr_json_new_object();

    vsr_json_set_int(json, "id", id);
    vsr_json_set(json, "result",
                 result != NULL ? result : vsr_json_new_object());
    if (n_fds > 0)
        vsr_json_set_int(json, "fds", n_fds);
    return json;
}

vsr_json *vsr_message_error(int64_t id, const GError *error)
{
    vsr_json *json = vsr_json_new_object(), *what = vsr_json_new_object();
    bool is_ours = error != NULL && error->domain == VSR_ERROR;

    vsr_json_set_int(json, "id", id);
    vsr_json_set_int(what, "code", is_ours ? error->code : VISOR_ERR_INTERNAL);
    vsr_json_set_string(what, "message",
                        error != NULL ? error->message : "No reason given");
    vsr_json_set(json, "error", what);
    return json;
}

bool vsr_message_is_result(const vsr_json *answer, GError **error)
{
    const vsr_json *what = vsr_json_get(answer, "error");
    const char *text = NULL;
    int64_t code = 0;

    if (what == NULL && vsr_json_get(answer, "result") != NULL)
        return true;
    if (!vsr_json_get_int(what, "code", VISOR_ERR_READ_ONLY, -1, &code) ||
        !vsr_json_get_string(what, "message", &text))
        return vsr_fail(error, VISOR_ERR_PROTOCOL,
                        "The peer's answer makes no sense");
    return vsr_fail(error, (visor_error_code)code, "%s", text);
}
