/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * event.c: <visor/event.h>: the queue between the drivers' threads and whoever
 * dispatches.
 *
 * Threads: events come in on any thread; callbacks run in dispatch, without a
 *          lock, on a subscription that is referenced meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <visor/event.h>

#include "api/api.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "driver/names.h"

/* What a program that never dispatches may pile up. */
enum { QUEUE_MAX = 65536 };

typedef struct {
    gint refs; /* atomic */
    int number;
    char uuid[37]; /* "": all domains */
    uint32_t kinds;
    visor_event_fn *fn;
    void *opaque;
    visor_free_fn *free_fn;
    uint64_t since;  /* events before are not for it */
    gint is_removed; /* atomic */
} subscription;

typedef struct {
    uint64_t seq;
    int kind, detail, reason;
    char *name, *text;
    char uuid[37];
    int64_t when_ns;
} queued;

/* What a GSource knows of the connection; it may outlive it. */
typedef struct {
    gint refs; /* atomic */
    GMutex lock;
    visor_connection *conn; /* NULL: it has gone; guarded by lock */
} attachment;

struct api_events {
    GMutex lock; /* guards all but fd and watch_lock */
    int fd;      /* an eventfd; readable while `pending` has some */
    GQueue pending;
    GPtrArray *subs; /* of subscription, references */
    int last_number;
    uint64_t last_seq;
    bool said_full;
    GSource *source; /* owned; NULL: not attached */
    attachment *attached;

    GMutex watch_lock; /* taken before lock: one watch call at a time */
    bool is_watching;  /* guarded by watch_lock */
};

/* --- small things -------------------------------------------------------------- */

static void queued_free(gpointer data)
{
    queued *q = data;

    g_free(q->name);
    g_free(q->text);
    g_free(q);
}

static void sub_unref(gpointer data)
{
    subscription *sub = data;

    if (!g_atomic_int_dec_and_test(&sub->refs))
        return;
    if (sub->free_fn != NULL)
        sub->free_fn(sub->opaque);
    g_free(sub);
}

static bool sub_wants(const subscription *sub, uint64_t seq, int kind,
                      const char *uuid)
{
    return seq > sub->since && (sub->kinds & (1u << kind)) != 0 &&
           (sub->uuid[0] == '\0' || strcmp(sub->uuid, uuid) == 0);
}

static void signal_fd(api_events *events)
{
    uint64_t one = 1;

    (void)vsr_write_all(events->fd, &one, sizeof(one));
}

api_events *api_events_new(GError **error)
{
    api_events *events;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot make an event descriptor");
        return NULL;
    }
    events = g_new0(api_events, 1);
    events->fd = fd;
    g_mutex_init(&events->lock);
    g_mutex_init(&events->watch_lock);
    g_queue_init(&events->pending);
    events->subs = g_ptr_array_new_with_free_func(sub_unref);
    return events;
}

void api_events_free(visor_connection *conn)
{
    api_events *events = conn->events;

    if (events == NULL)
        return;
    api_events_detach(conn);
    g_queue_clear_full(&events->pending, queued_free);
    g_ptr_array_unref(events->subs);
    vsr_close(events->fd);
    g_mutex_clear(&events->lock);
    g_mutex_clear(&events->watch_lock);
    g_free(events);
    conn->events = NULL;
}

int api_events_fd(const api_events *events)
{
    return events->fd;
}

/* --- in --------------------------------------------------------------------------- */

static queued *queued_new(const vsr_event *event, uint64_t seq)
{
    queued *q = g_new0(queued, 1);

    q->seq = seq;
    q->kind = event->kind;
    q->detail = event->detail;
    q->reason = event->reason;
    q->name = g_strdup(event->name);
    q->text = g_strdup(event->text);
    g_strlcpy(q->uuid, event->uuid, sizeof(q->uuid));
    q->when_ns = event->when_ns;
    return q;
}

static void on_event(void *opaque, const vsr_event *event)
{
    visor_connection *conn = opaque;
    api_events *events = conn->events;
    bool wanted = false, is_full;

    g_mutex_lock(&events->lock);
    events->last_seq++;
    for (guint i = 0; i < events->subs->len && !wanted; i++)
        wanted = sub_wants(g_ptr_array_index(events->subs, i), events->last_seq,
                           event->kind, event->uuid);
    is_full = wanted && g_queue_get_length(&events->pending) >= QUEUE_MAX;
    if (wanted && !is_full) {
        if (g_queue_is_empty(&events->pending))
            signal_fd(events);
        g_queue_push_tail(&events->pending,
                          queued_new(event, events->last_seq));
    }
    is_full = is_full && !events->said_full;
    events->said_full |= is_full;
    g_mutex_unlock(&events->lock);
    if (is_full)
        vsr_log(VSR_LOG_WARN, "Nobody dispatches events: new ones are lost");
}

const vsr_conn_events api_conn_events = {
    .event = on_event,
    .output = api_output,
};

/* --- subscribe ---------------------------------------------------------------------- */

/* Let the driver watch as long as there is a subscription. */
static bool settle_watch(visor_connection *conn, GError **error)
{
    const vsr_conn_ops *ops = conn->conn.driver->conn;
    api_events *events = conn->events;
    bool wanted, ok = true;

    g_mutex_lock(&events->watch_lock);
    g_mutex_lock(&events->lock);
    wanted = events->subs->len > 0;
    g_mutex_unlock(&events->lock);
    if (wanted != events->is_watching && ops->watch != NULL)
        ok = ops->watch(&conn->conn, wanted, error);
    if (ok)
        events->is_watching = wanted;
    g_mutex_unlock(&events->watch_lock);
    return ok;
}

/* False: there is no such subscription. */
static bool drop(api_events *events, int number)
{
    subscription *found = NULL;

    g_mutex_lock(&events->lock);
    for (guint i = 0; i < events->subs->len && found == NULL; i++) {
        subscription *sub = g_ptr_array_index(events->subs, i);

        if (sub->number == number) {
            found = sub;
            g_atomic_int_set(&sub->is_removed, 1);
            (void)g_ptr_array_steal_index(events->subs, i);
        }
    }
    g_mutex_unlock(&events->lock);
    if (found == NULL)
        return false;
    sub_unref(found); /* outside of the lock: it may call free_fn */
    return true;
}

int visor_event_subscribe(visor_connection *conn, visor_domain *dom,
                          uint32_t kinds, visor_event_fn *fn, void *opaque,
                          visor_free_fn *free_fn, visor_error **err)
{
    const uint32_t all = (2u << VISOR_EVENT_JOB) - 1;
    subscription *sub;
    GError *error = NULL;
    int number;

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(fn != NULL, err, "The callback is NULL");
    API_REQUIRE(dom == NULL || dom->conn == conn, err,
                "The domain is another connection's");
    API_REQUIRE_FLAGS(kinds, all, err);
    sub = g_new0(subscription, 1);
    sub->refs = 1;
    sub->kinds = kinds != 0 ? kinds : all;
    sub->fn = fn;
    sub->opaque = opaque;
    if (dom != NULL)
        g_strlcpy(sub->uuid, dom->uuid, sizeof(sub->uuid));
    g_mutex_lock(&conn->events->lock);
    number = ++conn->events->last_number;
    sub->number = number;
    sub->since = conn->events->last_seq;
    g_ptr_array_add(conn->events->subs, sub);
    g_mutex_unlock(&conn->events->lock);
    if (!settle_watch(conn, &error)) {
        (void)drop(conn->events, number); /* opaque stays the caller's */
        return api_error(err, error);
    }
    g_mutex_lock(&conn->events->lock);
    sub->free_fn = free_fn;
    g_mutex_unlock(&conn->events->lock);
    return number;
}

int visor_event_unsubscribe(visor_connection *conn, int number,
                            visor_error **err)
{
    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    if (!drop(conn->events, number))
        return api_fail(err, VISOR_ERR_NOT_FOUND,
                        "No subscription has number %d", number);
    (void)settle_watch(conn, NULL);
    return 0;
}

/* --- out ------------------------------------------------------------------------------ */

/* The next event that was queued up to `last_seq`, and who wants it; or NULL.
 * The caller owns both. */
static queued *pop(api_events *events, uint64_t last_seq, GPtrArray **subs)
{
    queued *q;
    uint64_t dropped;

    g_mutex_lock(&events->lock);
    q = g_queue_peek_head(&events->pending);
    if (q != NULL && q->seq > last_seq)
        q = NULL;
    if (q != NULL) {
        (void)g_queue_pop_head(&events->pending);
        *subs = g_ptr_array_new_with_free_func(sub_unref);
        for (guint i = 0; i < events->subs->len; i++) {
            subscription *sub = g_ptr_array_index(events->subs, i);

            if (!sub_wants(sub, q->seq, q->kind, q->uuid))
                continue;
            g_atomic_int_inc(&sub->refs);
            g_ptr_array_add(*subs, sub);
        }
    }
    if (g_queue_is_empty(&events->pending)) {
        (void)vsr_read_all(events->fd, &dropped, sizeof(dropped));
        events->said_full = false;
    }
    g_mutex_unlock(&events->lock);
    return q;
}

static int deliver(visor_connection *conn, const queued *q, GPtrArray *subs)
{
    visor_event event = {
        .size = sizeof(event),
        .kind = q->kind,
        .detail = q->detail,
        .reason = q->reason,
        .domain = api_domain_new(conn, q->name, q->uuid, false),
        .text = q->text,
        .when_ns = q->when_ns,
    };
    int n = 0;

    for (guint i = 0; i < subs->len; i++) {
        subscription *sub = g_ptr_array_index(subs, i);

        if (g_atomic_int_get(&sub->is_removed))
            continue;
        sub->fn(conn, &event, sub->opaque);
        n++;
    }
    visor_domain_unref(event.domain);
    return n;
}

static int wait_pending(api_events *events, int timeout_ms)
{
    int64_t deadline = vsr_deadline(timeout_ms);

    for (;;) {
        struct pollfd p = { .fd = events->fd, .events = POLLIN };
        int64_t left = deadline - vsr_now_ns();

        left = CLAMP(left, 0, INT64_C(3600) * 1000000000);
        if (poll(&p, 1, (int)((left + 999999) / 1000000)) > 0)
            return 1;
        if (vsr_now_ns() >= deadline)
            return 0;
    }
}

int api_events_dispatch(visor_connection *conn, int timeout_ms,
                        visor_error **err)
{
    api_events *events = conn->events;
    GPtrArray *subs = NULL;
    uint64_t last_seq;
    queued *q;
    int n = 0;

    if (timeout_ms != 0 && wait_pending(events, timeout_ms) == 0)
        return 0;
    /* Not those that the callbacks cause: a loop of them must end. */
    g_mutex_lock(&events->lock);
    last_seq = events->last_seq;
    g_mutex_unlock(&events->lock);
    while ((q = pop(events, last_seq, &subs)) != NULL) {
        n += deliver(conn, q, subs);
        queued_free(q);
        g_clear_pointer(&subs, g_ptr_array_unref);
    }
    return n;
}

/* --- GMainContext ----------------------------------------------------------------------- */

typedef struct {
    GSource base;
    attachment *attached; /* a reference */
} event_source;

static void attachment_unref(attachment *attached)
{
    if (!g_atomic_int_dec_and_test(&attached->refs))
        return;
    g_mutex_clear(&attached->lock);
    g_free(attached);
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    attachment *attached = ((event_source *)(void *)source)->attached;
    visor_connection *conn;

    g_mutex_lock(&attached->lock);
    conn = attached->conn;
    if (conn != NULL && !api_connection_try_ref(conn))
        conn = NULL;
    g_mutex_unlock(&attached->lock);
    if (conn == NULL)
        return G_SOURCE_REMOVE;
    (void)api_events_dispatch(conn, 0, NULL);
    visor_connection_unref(conn);
    return G_SOURCE_CONTINUE;
}

static void source_finalize(GSource *source)
{
    attachment_unref(((event_source *)(void *)source)->attached);
}

int api_events_attach(visor_connection *conn, GMainContext *context,
                      visor_error **err)
{
    static GSourceFuncs funcs = {
        .dispatch = source_dispatch,
        .finalize = source_finalize,
    };
    api_events *events = conn->events;
    GSource *source;
    bool ok;

    source = g_source_new(&funcs, sizeof(event_source));
    ((event_source *)(void *)source)->attached = g_new0(attachment, 1);
    g_mutex_lock(&events->lock);
    ok = events->source == NULL;
    if (ok) {
        attachment *attached = ((event_source *)(void *)source)->attached;

        g_mutex_init(&attached->lock);
        attached->refs = 2; /* the source's and ours */
        attached->conn = conn;
        events->attached = attached;
        events->source = source;
        (void)g_source_add_unix_fd(source, events->fd, G_IO_IN);
    } else {
        ((event_source *)(void *)source)->attached->refs = 1;
    }
    g_mutex_unlock(&events->lock);
    if (!ok) {
        g_source_unref(source);
        return api_fail(err, VISOR_ERR_STATE,
                        "The connection is attached already");
    }
    (void)g_source_attach(source, context);
    return 0;
}

void api_events_detach(visor_connection *conn)
{
    api_events *events = conn->events;
    attachment *attached;
    GSource *source;

    g_mutex_lock(&events->lock);
    source = g_steal_pointer(&events->source);
    attached = g_steal_pointer(&events->attached);
    g_mutex_unlock(&events->lock);
    if (source == NULL)
        return;
    g_mutex_lock(&attached->lock);
    attached->conn = NULL;
    g_mutex_unlock(&attached->lock);
    attachment_unref(attached);
    g_source_destroy(source);
    g_source_unref(source);
}

/* --- names ---------------------------------------------------------------------------------- */

const char *visor_event_kind_name(int kind)
{
    return vsr_event_kind_name(kind);
}

const char *visor_event_detail_name(int kind, int detail)
{
    return vsr_event_detail_name(kind, detail);
}

const char *visor_state_name(int state)
{
    return vsr_state_name(state);
}

const char *visor_reason_name(int reason)
{
    return vsr_reason_name(reason);
}
