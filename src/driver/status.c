/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status.c: see status.h.
 *
 * Threads: any.
 */
#include "driver/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "driver/names.h"

#define STATUS_FILE "status.json"
#define STATUS_TEMP "status.json.new"

enum { STATUS_MAX = 12 << 10 };

void vsr_status_init(vsr_status *status)
{
    memset(status, 0, sizeof(*status));
    status->state = VISOR_STATE_SHUTOFF;
    status->reason = VISOR_REASON_NONE;
    status->exit_status = -1;
    status->id = -1;
}

/* --- events -------------------------------------------------------------- */

vsr_json *vsr_status_event_format(const vsr_status_event *event)
{
    vsr_json *json = vsr_json_new_object();

    vsr_json_set_string(json, "event", vsr_event_kind_name(event->kind));
    vsr_json_set_int(json, "seq", event->seq);
    vsr_json_set_int(json, "kind", event->kind);
    vsr_json_set_int(json, "detail", event->detail);
    vsr_json_set_int(json, "reason", event->reason);
    vsr_json_set_int(json, "when", event->when_ns);
    if (event->text[0] != '\0')
        vsr_json_set_string(json, "text", event->text);
    return json;
}

bool vsr_status_event_parse(const vsr_json *json, vsr_status_event *out)
{
    int64_t kind = 0, detail = 0, reason = 0;
    const char *text = "";

    memset(out, 0, sizeof(*out));
    if (!vsr_json_get_int(json, "seq", 1, INT64_MAX, &out->seq) ||
        !vsr_json_get_int(json, "kind", 0, VISOR_EVENT_JOB, &kind) ||
        !vsr_json_get_int(json, "detail", 0, INT32_MAX, &detail) ||
        !vsr_json_get_int(json, "reason", 0, INT32_MAX, &reason) ||
        !vsr_json_get_int(json, "when", 0, INT64_MAX, &out->when_ns))
        return false;
    (void)vsr_json_get_string(json, "text", &text);
    out->kind = (int)kind;
    out->detail = (int)detail;
    out->reason = (int)reason;
    g_strlcpy(out->text, text, sizeof(out->text));
    return true;
}

vsr_json *vsr_status_events_format(const vsr_status *status)
{
    vsr_json *list = vsr_json_new_array();

    for (uint32_t i = 0; i < status->n_events; i++)
        vsr_json_append(list, vsr_status_event_format(&status->events[i]));
    return list;
}

void vsr_status_events_parse(const vsr_json *list, vsr_status *out)
{
    out->n_events = 0;
    for (uint32_t i = 0; i < vsr_json_len(list); i++) {
        if (out->n_events == VSR_STATUS_EVENTS)
            break;
        if (vsr_status_event_parse(vsr_json_at(list, i),
                                   &out->events[out->n_events]))
            out->n_events++;
    }
}

vsr_status_event *vsr_status_event_add(vsr_status *status, int64_t *last_seq,
                                       int kind, int detail, int reason,
                                       const char *text)
{
    vsr_status_event *event;

    if (status->n_events == VSR_STATUS_EVENTS) {
        memmove(status->events, status->events + 1,
                (VSR_STATUS_EVENTS - 1) * sizeof(status->events[0]));
        status->n_events--;
    }
    event = &status->events[status->n_events++];
    memset(event, 0, sizeof(*event));
    event->seq = ++*last_seq;
    event->kind = kind;
    event->detail = detail;
    event->reason = reason;
    event->when_ns = g_get_real_time() * 1000;
    if (text != NULL)
        g_strlcpy(event->text, text, sizeof(event->text));
    for (char *p = event->text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' '; /* one line, and no long escapes */
    return event;
}

/* --- the file ------------------------------------------------------------ */

static bool status_parse(const vsr_json *json, vsr_status *out)
{
    int64_t state = 0, reason = 0, exit_status = -1, id = -1;

    if (!vsr_json_get_int(json, "state", 0, VISOR_STATE_CRASHED, &state) ||
        !vsr_json_get_int(json, "reason", 0, INT32_MAX, &reason) ||
        !vsr_json_get_int(json, "exit_status", -1, INT32_MAX, &exit_status) ||
        !vsr_json_get_int(json, "id", -1, INT32_MAX, &id) ||
        !vsr_json_get_int(json, "pid", 0, INT32_MAX, &out->pid))
        return false;
    out->state = (int)state;
    out->reason = (int)reason;
    out->exit_status = (int)exit_status;
    out->id = (int)id;
    (void)vsr_json_get_bool(json, "building", &out->building);
    vsr_status_events_parse(vsr_json_get(json, "events"), out);
    return true;
}

bool vsr_status_read(int folder_fd, vsr_status *out)
{
    return vsr_status_read_at(folder_fd, STATUS_FILE, out);
}

bool vsr_status_read_at(int dir_fd, const char *path, vsr_status *out)
{
    vsr_autofd fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    g_autoptr(vsr_json) json = NULL;
    char text[STATUS_MAX];
    ssize_t n;

    vsr_status_init(out);
    if (fd < 0)
        return false;
    n = TEMP_FAILURE_RETRY(read(fd, text, sizeof(text)));
    if (n <= 0)
        return false;
    json = vsr_json_parse(text, (size_t)n, NULL);
    if (json != NULL && status_parse(json, out))
        return true;
    vsr_status_init(out);
    return false;
}

static int write_new(int folder_fd, const char *text, size_t len)
{
    vsr_autofd fd =
        openat(folder_fd, STATUS_TEMP,
               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc;

    if (fd < 0)
        return -errno;
    rc = vsr_write_all(fd, text, len);
    if (rc == 0)
        rc = vsr_rename_over(folder_fd, STATUS_TEMP, STATUS_FILE);
    if (rc < 0)
        (void)unlinkat(folder_fd, STATUS_TEMP, 0);
    return rc;
}

/* On a full disk: the old file's blocks are still ours. */
static int overwrite(int folder_fd, const char *text, size_t len)
{
    vsr_autofd fd =
        openat(folder_fd, STATUS_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    int rc;

    if (fd < 0)
        return -errno;
    rc = vsr_write_all(fd, text, len);
    if (rc == 0 && ftruncate(fd, (off_t)len) < 0)
        rc = -errno;
    return rc;
}

bool vsr_status_write(int folder_fd, const vsr_status *status, GError **error)
{
    g_autoptr(vsr_json) json = vsr_json_new_object();
    g_autofree char *text = NULL;
    size_t len = 0;
    int rc;

    vsr_json_set_int(json, "state", status->state);
    vsr_json_set_string(json, "state_name", vsr_state_name(status->state));
    vsr_json_set_int(json, "reason", status->reason);
    vsr_json_set_string(json, "reason_name", vsr_reason_name(status->reason));
    vsr_json_set_int(json, "exit_status", status->exit_status);
    vsr_json_set_int(json, "id", status->id);
    vsr_json_set_int(json, "pid", status->pid);
    if (status->building)
        vsr_json_set_bool(json, "building", true);
    vsr_json_set(json, "events", vsr_status_events_format(status));
    text = vsr_json_format(json, &len);
    rc = write_new(folder_fd, text, len);
    if (rc == -ENOSPC || rc == -EDQUOT)
        rc = overwrite(folder_fd, text, len);
    if (rc < 0)
        return vsr_fail_errno(error, rc, "Cannot write '%s'", STATUS_FILE);
    return true;
}
