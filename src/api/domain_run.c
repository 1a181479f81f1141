/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_run.c: the rest of <visor/domain.h>: starting, stopping, waiting for
 * and asking domains.
 *
 * Threads: any.
 */
#include <string.h>

#include <visor/visor.h>

#include "api/api.h"
#include "base/log.h"

static const vsr_domain_ops *ops_of(const visor_domain *dom)
{
    return dom->conn->conn.ops;
}

/* --- life cycle ---------------------------------------------------------------- */

int visor_domain_start(visor_domain *dom, uint32_t flags, visor_error **err)
{
    GError *error = NULL;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE_FLAGS(flags, VISOR_START_PAUSED, err);
    API_REQUIRE_WRITE(dom->conn, err);
    API_REQUIRE_SLOT(ops_of(dom)->start, "start domains", err);
    if (!ops_of(dom)->start(&dom->conn->conn, dom->uuid, flags, &error))
        return api_error(err, error);
    return 0;
}

typedef bool simple_fn(vsr_conn *conn, const char *uuid, GError **error);

/* A call that has no more to say than the domain. */
static int simple(visor_domain *dom, uint32_t flags, simple_fn *fn,
                  const char *what, visor_error **err)
{
    GError *error = NULL;

    API_REQUIRE_FLAGS(flags, 0, err);
    API_REQUIRE_WRITE(dom->conn, err);
    API_REQUIRE_SLOT(fn, what, err);
    if (!fn(&dom->conn->conn, dom->uuid, &error))
        return api_error(err, error);
    return 0;
}

int visor_domain_shutdown(visor_domain *dom, uint32_t flags, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    return simple(dom, flags, ops_of(dom)->shutdown, "shut domains down", err);
}

int visor_domain_reboot(visor_domain *dom, uint32_t flags, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    return simple(dom, flags, ops_of(dom)->reboot, "reboot domains", err);
}

int visor_domain_reset(visor_domain *dom, uint32_t flags, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    return simple(dom, flags, ops_of(dom)->reset, "reset domains", err);
}

int visor_domain_destroy(visor_domain *dom, uint32_t flags, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    return simple(dom, flags, ops_of(dom)->destroy, "destroy domains", err);
}

int visor_domain_suspend(visor_domain *dom, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    return simple(dom, 0, ops_of(dom)->suspend, "suspend domains", err);
}

int visor_domain_resume(visor_domain *dom, visor_error **err)
{
    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    return simple(dom, 0, ops_of(dom)->resume, "resume domains", err);
}

int visor_connection_autostart(visor_connection *conn, visor_error **err)
{
    g_autoptr(GArray) found = NULL;
    GError *first = NULL;
    int started = 0;

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE_WRITE(conn, err);
    API_REQUIRE_SLOT(conn->conn.ops->list, "list domains", err);
    API_REQUIRE_SLOT(conn->conn.ops->start, "start domains", err);
    found = conn->conn.ops->list(
        &conn->conn, VISOR_LIST_INACTIVE | VISOR_LIST_AUTOSTART, &first);
    if (found == NULL)
        return api_error(err, first);
    for (guint i = 0; i < found->len; i++) {
        const vsr_domain_ident *ident =
            &g_array_index(found, vsr_domain_ident, i);
        GError *error = NULL;

        if (conn->conn.ops->start(&conn->conn, ident->uuid, 0, &error)) {
            started++;
            continue;
        }
        vsr_log(VSR_LOG_WARN, "Domain '%s' was not started: %s", ident->name,
                error->message);
        if (first == NULL)
            first = error;
        else
            g_error_free(error);
    }
    /* One that fails keeps no other from starting; if all do, say why. */
    if (started == 0 && first != NULL)
        return api_error(err, first);
    g_clear_error(&first);
    return started;
}

/* --- waiting --------------------------------------------------------------------- */

int visor_domain_wait(visor_domain *dom, uint32_t states, int timeout_ms,
                      visor_error **err)
{
    const uint32_t all = (2u << VISOR_STATE_CRASHED) - 1;
    GError *error = NULL;
    vsr_cancel cancel;
    bool ok;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(states != 0 && (states & ~all) == 0, err,
                "States 0x%x are none or unknown", states);
    API_REQUIRE(timeout_ms >= -1, err, "A timeout of %d ms is out of range",
                timeout_ms);
    API_REQUIRE_SLOT(ops_of(dom)->wait, "wait for domains", err);
    if (!vsr_cancel_init(&cancel, &error))
        return api_error(err, error);
    g_mutex_lock(&dom->lock);
    dom->waits = g_slist_prepend(dom->waits, &cancel);
    g_mutex_unlock(&dom->lock);
    ok = ops_of(dom)->wait(&dom->conn->conn, dom->uuid, states, timeout_ms,
                           &cancel, &error);
    g_mutex_lock(&dom->lock);
    dom->waits = g_slist_remove(dom->waits, &cancel);
    g_mutex_unlock(&dom->lock);
    vsr_cancel_fini(&cancel);
    return ok ? 0 : api_error(err, error);
}

void visor_domain_cancel_wait(visor_domain *dom)
{
    if (dom == NULL)
        return;
    g_mutex_lock(&dom->lock);
    for (GSList *l = dom->waits; l != NULL; l = l->next)
        vsr_cancel_now(l->data);
    g_mutex_unlock(&dom->lock);
}

/* --- statistics -------------------------------------------------------------------- */

typedef struct {
    GString *names; /* each with its NUL */
    GArray *values; /* of uint64_t */
} collector;

static void collect(const char *name, uint64_t value, void *opaque)
{
    collector *c = opaque;

    g_string_append_len(c->names, name, (gssize)strlen(name) + 1);
    g_array_append_val(c->values, value);
}

/* The array, then the names, in one allocation. */
static visor_stat *pack(const collector *c)
{
    size_t head = c->values->len * sizeof(visor_stat);
    visor_stat *stats = g_malloc(head + c->names->len + 1);
    char *name = (char *)stats + head;

    memcpy(name, c->names->str, c->names->len);
    for (guint i = 0; i < c->values->len; i++) {
        stats[i].name = name;
        stats[i].value = g_array_index(c->values, uint64_t, i);
        name += strlen(name) + 1;
    }
    return stats;
}

int visor_domain_get_stats(visor_domain *dom, visor_stat **out,
                           visor_error **err)
{
    GError *error = NULL;
    collector c;
    int n;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the statistics");
    API_REQUIRE_SLOT(ops_of(dom)->stats, "count", err);
    c.names = g_string_new(NULL);
    c.values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    if (ops_of(dom)->stats(&dom->conn->conn, dom->uuid, collect, &c, &error)) {
        *out = pack(&c);
        n = (int)c.values->len;
    } else {
        n = api_error(err, error);
    }
    g_string_free(c.names, TRUE);
    g_array_unref(c.values);
    return n;
}

/* --- consoles ------------------------------------------------------------------------- */

int visor_domain_open_console(visor_domain *dom, uint32_t port, uint32_t flags,
                              visor_stream **out, visor_error **err)
{
    GError *error = NULL;
    int fd;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the stream");
    API_REQUIRE_FLAGS(flags, VISOR_CONSOLE_REPLAY | VISOR_CONSOLE_FORCE, err);
    API_REQUIRE_WRITE(dom->conn, err);
    API_REQUIRE_SLOT(ops_of(dom)->console, "open consoles", err);
    fd = ops_of(dom)->console(&dom->conn->conn, dom->uuid, port, flags, &error);
    if (fd < 0)
        return api_error(err, error);
    *out = api_stream_new(fd);
    return 0;
}

int visor_domain_send_input(visor_domain *dom, uint32_t port, const void *data,
                            size_t len, visor_error **err)
{
    GError *error = NULL;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(data != NULL || len == 0, err, "The input is NULL");
    API_REQUIRE_WRITE(dom->conn, err);
    API_REQUIRE_SLOT(ops_of(dom)->send_input, "take input", err);
    if (!ops_of(dom)->send_input(&dom->conn->conn, dom->uuid, port, data, len,
                                 &error))
        return api_error(err, error);
    return 0;
}
