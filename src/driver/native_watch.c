/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_watch.c: events of session and system mode, whichever process caused
 * them: the state folder is watched for definitions, and each running domain's
 * process is subscribed to.
 *
 * A process numbers its events, and keeps the last ones in status.json, so that
 * none is missed or told twice between noticing a start and being subscribed. A
 * definition that is gone again before we look was none.
 *
 * Spec:    inotify(7).
 * Threads: one loop while anybody listens; new and free from any thread.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "driver/native.h"
#include "rpc/client.h"

#define MS INT64_C(1000000)
enum { CONNECT_MS = 50, RETRY_MS = 200, RETRIES = 25 };

/* One domain of the state folder. */
typedef struct {
    vsr_watch *watch;
    char name[256];
    char uuid[37];
    int wd;            /* inotify's number for its folder */
    int fd;            /* the folder; owned */
    bool persistent;   /* as last told */
    bool baseline;     /* it was there when we came, and not looked at yet */
    int run;           /* id of the run that `seq` counts; -1: none yet */
    int64_t seq;       /* the last event told */
    bool told_started; /* STARTED of this run, or it ran when we came */
    bool told_stopped;
    int socket; /* owned; -1: not subscribed */
    vsr_loop_fd *socket_watch;
    vsr_frame_reader reader;
    vsr_timer retry;
    uint32_t retries;
} watched;

struct vsr_watch {
    vsr_conn *conn;
    vsr_root *root;
    vsr_loop *loop;
    int notify; /* owned */
    int root_wd;
    vsr_loop_fd *notify_watch;
    GHashTable *by_uuid; /* of watched, owned */
    GHashTable *by_wd;   /* of watched */
    int64_t since_ns;    /* CLOCK_REALTIME; what was before is not news */
};

/* --- telling ----------------------------------------------------------------- */

static void tell(watched *w, int detail, int reason)
{
    vsr_native_emit(w->watch->conn, VISOR_EVENT_LIFECYCLE, detail, reason,
                    w->name, w->uuid, NULL, 0);
}

static void tell_event(watched *w, const vsr_status_event *e)
{
    if (e->seq <= w->seq)
        return;
    w->seq = e->seq;
    if (e->kind == VISOR_EVENT_LIFECYCLE) {
        w->told_started |= e->detail == VISOR_LIFECYCLE_STARTED;
        w->told_stopped |= e->detail == VISOR_LIFECYCLE_STOPPED;
    }
    if (e->when_ns < w->watch->since_ns)
        return;
    vsr_native_emit(w->watch->conn, e->kind, e->detail, e->reason, w->name,
                    w->uuid, e->text[0] != '\0' ? e->text : NULL, e->when_ns);
}

static void tell_events(watched *w, const vsr_status *status)
{
    for (uint32_t i = 0; i < status->n_events; i++)
        tell_event(w, &status->events[i]);
}

/* The run has ended without a word: killed, or the domain is gone. */
static void tell_lost(watched *w, int reason)
{
    if (!w->told_started || w->told_stopped)
        return;
    w->told_stopped = true;
    if (!w->baseline)
        tell(w, VISOR_LIFECYCLE_STOPPED, reason);
}

static void begin_run(watched *w, int id)
{
    if (w->run == id)
        return;
    tell_lost(w, VISOR_REASON_FAILED);
    w->run = id;
    w->seq = 0;
    w->told_started = w->told_stopped = false;
}

/* --- a running domain's process ------------------------------------------------ */

static void look_at(watched *w);

static void hang_up(watched *w)
{
    if (w->socket_watch != NULL)
        vsr_loop_fd_remove(w->socket_watch);
    w->socket_watch = NULL;
    vsr_close(w->socket);
    w->socket = -1;
    vsr_frame_reader_fini(&w->reader);
}

/* An event, or the answer to `subscribe` with those until now. */
static bool take_message(watched *w, const char *body, size_t len)
{
    vsr_message message = { 0 };
    vsr_status_event event;
    vsr_status past;
    const vsr_json *result;

    if (!vsr_message_parse(&w->reader, body, len, &message, NULL))
        return false;
    result = vsr_json_get(message.json, "result");
    if (result != NULL) {
        int64_t id = 0;

        vsr_status_init(&past);
        vsr_status_events_parse(vsr_json_get(result, "events"), &past);
        if (vsr_json_get_int(result, "run", 1, INT32_MAX, &id))
            begin_run(w, (int)id);
        tell_events(w, &past);
        /* A full list may have lost the start. */
        w->told_started |= past.n_events == VSR_STATUS_EVENTS;
        w->baseline = false;
    } else if (vsr_status_event_parse(message.json, &event)) {
        tell_event(w, &event);
    }
    vsr_message_clear(&message);
    return true;
}

static void on_socket(int fd, uint32_t events, void *opaque)
{
    watched *w = opaque;
    const char *body = NULL;
    size_t len = 0;
    int64_t n = vsr_frame_reader_fill(&w->reader, fd);
    int rc;

    if (n == -EAGAIN)
        return;
    while ((rc = vsr_frame_reader_next(&w->reader, &body, &len)) > 0)
        if (!take_message(w, body, len))
            rc = n = -EPROTO;
    if (n > 0 && rc == 0)
        return;
    hang_up(w);
    look_at(w);
}

static bool subscribe(watched *w, GError **error)
{
    int64_t deadline = vsr_now_ns() + CONNECT_MS * MS;
    g_autoptr(vsr_json) call = vsr_message_call(1, "subscribe", NULL, 0);
    vsr_autofd fd = vsr_rpc_connect(w->fd, "control.sock", deadline, error);

    if (fd < 0 || !vsr_message_send(fd, call, NULL, 0, deadline, error))
        return false;
    vsr_frame_reader_init(&w->reader, 0);
    w->socket = vsr_steal_fd(&fd);
    w->socket_watch = vsr_loop_fd_add(w->watch->loop, w->socket, EPOLLIN,
                                      on_socket, w, error);
    if (w->socket_watch == NULL)
        hang_up(w);
    return w->socket_watch != NULL;
}

/* The process has ended, or was never seen: what its last status tells. */
static void settle(watched *w, const vsr_view *view)
{
    if (view->status.id > 0)
        begin_run(w, view->status.id);
    tell_events(w, &view->status);
    tell_lost(w, view->status.reason);
    w->baseline = false;
    if (view->needs_repair)
        vsr_root_repair(w->watch->root, w->uuid, 0);
}

static void look_at(watched *w)
{
    vsr_status last;
    vsr_view view;

    if (w->socket >= 0)
        return;
    vsr_folder_view(w->fd, &view);
    if (!view.active) {
        /* The view hides the number of a run that is over. */
        if (vsr_status_read(w->fd, &last))
            view.status.id = last.id;
        settle(w, &view);
        return;
    }
    if (w->baseline && view.status.reason != VISOR_REASON_STARTING) {
        /* It ran when we came: its end is news, its start is not. */
        begin_run(w, view.status.id);
        w->told_started = true;
    }
    w->baseline = false;
    if (subscribe(w, NULL)) {
        w->retries = 0;
    } else if (w->retries++ < RETRIES) {
        vsr_timer_arm(&w->retry, vsr_now_ns() + RETRY_MS * MS);
    } else {
        vsr_log(VSR_LOG_WARN, "Domain '%s': no events from its process",
                w->name);
    }
}

static void on_retry(void *opaque)
{
    look_at(opaque);
}

/* --- the state folder ----------------------------------------------------------- */

static void watched_free(gpointer data)
{
    watched *w = data;

    hang_up(w);
    vsr_timer_cancel(&w->retry);
    if (w->wd >= 0)
        (void)inotify_rm_watch(w->watch->notify, w->wd);
    vsr_close(w->fd);
    g_free(w);
}

/* `is_news`: it came while we watched. */
static void add_domain(vsr_watch *watch, const char *uuid, bool is_news)
{
    g_autofree char *path = g_build_filename(watch->root->path, uuid, NULL);
    vsr_autofd fd = vsr_folder_open(watch->root, uuid, NULL);
    watched *w;

    if (fd < 0 || g_hash_table_contains(watch->by_uuid, uuid))
        return;
    w = g_new0(watched, 1);
    w->watch = watch;
    w->socket = -1;
    w->run = -1;
    w->baseline = !is_news;
    g_strlcpy(w->uuid, uuid, sizeof(w->uuid));
    vsr_timer_init(&w->retry, watch->loop, on_retry, w);
    w->wd = inotify_add_watch(watch->notify, path,
                              IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
    w->fd = vsr_steal_fd(&fd);
    if (!vsr_folder_name(w->fd, w->name)) {
        watched_free(w);
        return;
    }
    g_hash_table_insert(watch->by_uuid, w->uuid, w);
    if (w->wd >= 0)
        g_hash_table_insert(watch->by_wd, GINT_TO_POINTER(w->wd), w);
    w->persistent = vsr_folder_has(w->fd, "domain.xml");
    if (w->persistent && is_news)
        tell(w, VISOR_LIFECYCLE_DEFINED, 0);
    look_at(w);
}

static void remove_domain(vsr_watch *watch, const char *uuid)
{
    watched *w = g_hash_table_lookup(watch->by_uuid, uuid);

    if (w == NULL)
        return;
    /* Its last words may still be in the socket. */
    while (w->socket >= 0 && vsr_wait_fd(w->socket, POLLIN, 0) > 0)
        on_socket(w->socket, EPOLLIN, w);
    tell_lost(w, VISOR_REASON_NONE);
    if (w->persistent)
        tell(w, VISOR_LIFECYCLE_UNDEFINED, 0);
    if (w->wd >= 0)
        g_hash_table_remove(watch->by_wd, GINT_TO_POINTER(w->wd));
    g_hash_table_remove(watch->by_uuid, uuid);
}

static void on_file(watched *w, const struct inotify_event *e)
{
    bool is_definition = strcmp(e->name, "domain.xml") == 0;

    if (is_definition && (e->mask & IN_MOVED_TO) != 0) {
        w->persistent = true;
        tell(w, VISOR_LIFECYCLE_DEFINED, 0);
    } else if (is_definition && (e->mask & IN_DELETE) != 0 && w->persistent) {
        w->persistent = false;
        tell(w, VISOR_LIFECYCLE_UNDEFINED, 0);
    } else if (strcmp(e->name, "status.json") == 0) {
        look_at(w);
    }
}

static void add_existing(const char *name, const char *uuid, void *opaque)
{
    add_domain(opaque, uuid, false);
}

static void on_notify_event(vsr_watch *watch, const struct inotify_event *e)
{
    watched *w;

    if ((e->mask & IN_Q_OVERFLOW) != 0) {
        vsr_log(VSR_LOG_WARN, "Events were lost: too many at once");
        (void)vsr_root_each(watch->root, add_existing, watch, NULL);
        return;
    }
    if (e->len == 0)
        return;
    if (e->wd == watch->root_wd) {
        char uuid[37];

        if (!vsr_uuid_parse(e->name, uuid))
            return; /* tmp, names … */
        if ((e->mask & IN_MOVED_TO) != 0)
            add_domain(watch, uuid, true);
        else
            remove_domain(watch, uuid);
        return;
    }
    w = g_hash_table_lookup(watch->by_wd, GINT_TO_POINTER(e->wd));
    if (w != NULL)
        on_file(w, e);
}

static void on_notify(int fd, uint32_t events, void *opaque)
{
    _Alignas(struct inotify_event) char buffer[8192];
    vsr_watch *watch = opaque;
    ssize_t n = read(fd, buffer, sizeof(buffer));

    for (char *p = buffer; n > 0 && p < buffer + n;) {
        const struct inotify_event *e = (const void *)p;

        on_notify_event(watch, e);
        p += sizeof(*e) + e->len;
    }
}

/* --- the watch ------------------------------------------------------------------- */

static void begin(void *opaque)
{
    vsr_watch *watch = opaque;

    (void)vsr_root_each(watch->root, add_existing, watch, NULL);
}

static void finish(void *opaque)
{
    vsr_watch *watch = opaque;

    if (watch->notify_watch != NULL)
        vsr_loop_fd_remove(watch->notify_watch);
    g_hash_table_remove_all(watch->by_wd);
    g_hash_table_remove_all(watch->by_uuid);
}

typedef struct {
    vsr_watch *watch;
    const char *uuid;
} settling;

static void settle_one(void *opaque)
{
    const settling *s = opaque;
    watched *w;

    on_notify(s->watch->notify, 0, s->watch); /* it may be new */
    w = g_hash_table_lookup(s->watch->by_uuid, s->uuid);
    if (w != NULL)
        look_at(w);
}

void vsr_watch_settle(vsr_watch *watch, const char *uuid)
{
    settling s = { .watch = watch, .uuid = uuid };

    vsr_loop_sync(watch->loop, settle_one, &s);
}

vsr_watch *vsr_watch_new(vsr_conn *conn, GError **error)
{
    vsr_watch *watch = g_new0(vsr_watch, 1);

    watch->conn = conn;
    watch->since_ns = g_get_real_time() * 1000;
    watch->root = &vsr_session_of(conn)->root;
    watch->by_uuid =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, watched_free);
    watch->by_wd = g_hash_table_new(NULL, NULL);
    watch->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->notify >= 0)
        watch->root_wd =
            inotify_add_watch(watch->notify, watch->root->path,
                              IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR);
    if (watch->notify < 0 || watch->root_wd < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot watch '%s'",
                             watch->root->path);
        goto failed;
    }
    watch->loop = vsr_loop_new("visor-watch", error);
    if (watch->loop == NULL)
        goto failed;
    /* On return what happens next is news: the caller may act at once. */
    vsr_loop_sync(watch->loop, begin, watch);
    watch->notify_watch = vsr_loop_fd_add(watch->loop, watch->notify, EPOLLIN,
                                          on_notify, watch, error);
    if (watch->notify_watch != NULL)
        return watch;

failed:
    vsr_watch_free(watch);
    return NULL;
}

void vsr_watch_free(vsr_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->loop != NULL) {
        vsr_loop_sync(watch->loop, finish, watch);
        vsr_loop_free(watch->loop);
    }
    g_hash_table_unref(watch->by_wd);
    g_hash_table_unref(watch->by_uuid);
    vsr_close(watch->notify);
    g_free(watch);
}
