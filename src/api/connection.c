/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection.c: <visor/connection.h>, and the parts of <visor/visor.h> that
 * belong to a connection.
 *
 * Threads: any.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <visor/connection.h>

#include "api/api.h"
#include "base/error.h"
#include "base/fd.h"

enum { URI_MAX = 8192, TIMEOUT_DEFAULT_MS = 30000 };

#define SYSTEM_ROOT "/var/lib/visor"

/* --- the URI ----------------------------------------------------------------- */

typedef struct {
    const vsr_driver *driver;
    vsr_mode mode;
    char *root; /* owned; NULL: the mode's own */
    char *vmm;  /* owned; NULL: ours */
} uri_parts;

static const char *const mode_names[] = {
    [VSR_MODE_EMBED] = "embed",
    [VSR_MODE_SESSION] = "session",
    [VSR_MODE_SYSTEM] = "system",
};

static void uri_clear(uri_parts *parts)
{
    g_free(parts->root);
    g_free(parts->vmm);
}

/* The first backend that this host can run well. */
static const vsr_driver *pick_driver(GError **error)
{
    g_autoptr(GError) last = NULL;

    for (const vsr_driver *const *d = vsr_drivers(); *d != NULL; d++) {
        g_clear_error(&last);
        if ((*d)->probe(&last) &&
            ((*d)->preferred == NULL || (*d)->preferred()))
            return *d;
    }
    (void)vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                   "No engine of this build works on this host: %s",
                   last != NULL ? last->message : "none is built in");
    return NULL;
}

static bool parse_engine(uri_parts *out, const char *name, GError **error)
{
    if (strcmp(name, "auto") == 0) {
        out->driver = pick_driver(error);
        return out->driver != NULL;
    }
    out->driver = vsr_driver_find(name);
    if (out->driver == NULL)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "No engine '%.32s' in this build", name);
    /* What runs is looked at and ended on a host that has lost its device too;
     * a start there says why not. */
    return (out->mode != VSR_MODE_EMBED && out->driver->engine != NULL) ||
           out->driver->probe(error);
}

static bool parse_mode(uri_parts *out, const char *name, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(mode_names); i++)
        if (strcmp(name, mode_names[i]) == 0) {
            out->mode = (vsr_mode)i;
            return true;
        }
    return vsr_fail(error, VISOR_ERR_ARG,
                    "Mode '%.32s' is not embed, session or system", name);
}

static bool parse_path(char **out, const char *key, const char *escaped,
                       GError **error)
{
    g_autofree char *path = g_uri_unescape_string(escaped, NULL);

    if (path == NULL)
        return vsr_fail(error, VISOR_ERR_ARG, "'%s' is not percent-encoded",
                        key);
    if (path[0] != '/')
        return vsr_fail(error, VISOR_ERR_ARG, "'%s' is not an absolute path",
                        key);
    g_free(*out);
    *out = g_steal_pointer(&path);
    return true;
}

static bool parse_query(uri_parts *out, const char *query, GError **error)
{
    g_auto(GStrv) pairs = g_strsplit(query, "&", -1);

    if (out->mode == VSR_MODE_EMBED)
        return vsr_fail(error, VISOR_ERR_ARG,
                        "Mode embed has no parameters: it keeps no state");
    for (char **p = pairs; *p != NULL; p++) {
        bool ok;

        if (g_str_has_prefix(*p, "root="))
            ok = parse_path(&out->root, "root", *p + 5, error);
        else if (g_str_has_prefix(*p, "vmm="))
            ok = parse_path(&out->vmm, "vmm", *p + 4, error);
        else
            ok = vsr_fail(error, VISOR_ERR_ARG,
                          "Parameter '%.32s' is not root= or vmm=", *p);
        if (!ok)
            return false;
    }
    return true;
}

static bool uri_parse(const char *uri, uri_parts *out, GError **error)
{
    const char *colon, *query;
    g_autofree char *engine = NULL;
    g_autofree char *mode = NULL;

    if (strlen(uri) > URI_MAX)
        return vsr_fail(error, VISOR_ERR_ARG, "The URI is longer than %d bytes",
                        URI_MAX);
    colon = strstr(uri, ":///");
    if (colon == NULL || strchr(uri, '#') != NULL)
        return vsr_fail(error, VISOR_ERR_ARG,
                        "URI '%.64s' is not ENGINE:///MODE", uri);
    query = strchr(colon, '?');
    engine = g_strndup(uri, (gsize)(colon - uri));
    mode = query != NULL ? g_strndup(colon + 4, (gsize)(query - colon) - 4)
                         : g_strdup(colon + 4);
    return parse_mode(out, mode, error) &&
           (query == NULL || parse_query(out, query + 1, error)) &&
           parse_engine(out, engine, error);
}

static char *uri_format(const uri_parts *parts)
{
    GString *uri = g_string_new(NULL);
    const char *keys[] = { "root", "vmm" };
    const char *values[] = { parts->root, parts->vmm };
    char separator = '?';

    g_string_append_printf(uri, "%s:///%s", parts->driver->name,
                           mode_names[parts->mode]);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (values[i] == NULL)
            continue;
        g_string_append_printf(uri, "%c%s=", separator, keys[i]);
        g_string_append_uri_escaped(uri, values[i], "/", FALSE);
        separator = '&';
    }
    return g_string_free(uri, FALSE);
}

/* XDG Base Directory Specification 0.8: a relative path there is ignored. */
static char *default_root(vsr_mode mode)
{
    const char *state = g_getenv("XDG_STATE_HOME");

    if (mode == VSR_MODE_EMBED)
        return NULL;
    if (mode == VSR_MODE_SYSTEM)
        return g_strdup(SYSTEM_ROOT);
    if (state != NULL && state[0] == '/')
        return g_build_filename(state, "visor", NULL);
    return g_build_filename(g_get_home_dir(), ".local", "state", "visor", NULL);
}

/* --- open and close ------------------------------------------------------------ */

static visor_connection *connection_new(const uri_parts *parts, uint32_t flags)
{
    visor_connection *conn = g_new0(visor_connection, 1);

    conn->refs = 1;
    conn->flags = flags;
    conn->uri = uri_format(parts);
    g_mutex_init(&conn->output_lock);
    g_mutex_init(&conn->conn.lock);
    conn->conn.driver = parts->driver;
    conn->conn.ops = parts->driver->domain;
    conn->conn.mode = parts->mode;
    conn->conn.root =
        parts->root != NULL ? g_strdup(parts->root) : default_root(parts->mode);
    conn->conn.vmm_path = g_strdup(parts->vmm);
    conn->conn.events = &api_conn_events;
    conn->conn.opaque = conn;
    conn->conn.timeout_ms = TIMEOUT_DEFAULT_MS;
    conn->conn.stdio[0] = conn->conn.stdio[1] = -1;
    return conn;
}

/* The driver is closed, or was never opened. */
static void connection_free(visor_connection *conn)
{
    api_events_free(conn);
    g_clear_pointer(&conn->output_domains, g_hash_table_unref);
    vsr_close(conn->conn.stdio[0]);
    vsr_close(conn->conn.stdio[1]);
    g_mutex_clear(&conn->conn.lock);
    g_mutex_clear(&conn->output_lock);
    g_free(conn->conn.root);
    g_free(conn->conn.vmm_path);
    g_free(conn->uri);
    g_free(conn);
}

int visor_connection_open(const char *uri, uint32_t flags,
                          visor_connection **out, visor_error **err)
{
    uri_parts parts = { 0 };
    visor_connection *conn = NULL;
    GError *error = NULL;

    API_REQUIRE(out != NULL, err, "There is no room for the connection");
    API_REQUIRE_FLAGS(flags, VISOR_OPEN_READ_ONLY, err);
    if (uri_parse(uri != NULL ? uri : "auto:///session", &parts, &error)) {
        conn = connection_new(&parts, flags);
        conn->events = api_events_new(&error);
    }
    uri_clear(&parts);
    if (conn == NULL)
        return api_error(err, error);
    if (conn->events == NULL ||
        !conn->conn.driver->conn->open(&conn->conn, &error)) {
        connection_free(conn);
        return api_error(err, error);
    }
    *out = conn;
    return 0;
}

visor_connection *visor_connection_ref(visor_connection *conn)
{
    if (conn != NULL)
        g_atomic_int_inc(&conn->refs);
    return conn;
}

bool api_connection_try_ref(visor_connection *conn)
{
    for (;;) {
        gint refs = g_atomic_int_get(&conn->refs);

        if (refs == 0)
            return false;
        if (g_atomic_int_compare_and_exchange(&conn->refs, refs, refs + 1))
            return true;
    }
}

void visor_connection_unref(visor_connection *conn)
{
    if (conn == NULL || !g_atomic_int_dec_and_test(&conn->refs))
        return;
    api_events_detach(conn);
    /* Domains that end now still report events and output. */
    conn->conn.driver->conn->close(&conn->conn);
    connection_free(conn);
}

/* --- about it -------------------------------------------------------------------- */

const char *visor_connection_get_uri(const visor_connection *conn)
{
    return conn != NULL ? conn->uri : NULL;
}

const char *visor_connection_get_engine(const visor_connection *conn)
{
    return conn != NULL ? conn->conn.driver->name : NULL;
}

int visor_connection_set_timeout(visor_connection *conn, uint32_t timeout_ms,
                                 visor_error **err)
{
    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(timeout_ms > 0 && timeout_ms <= INT32_MAX, err,
                "A timeout of %u ms is out of range", timeout_ms);
    g_atomic_int_set(&conn->conn.timeout_ms, (gint)timeout_ms);
    return 0;
}

int visor_connection_get_capabilities(visor_connection *conn, uint32_t flags,
                                      char **out, visor_error **err)
{
    const vsr_host_ops *host;
    GError *error = NULL;
    char *text;

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the text");
    API_REQUIRE_FLAGS(flags, 0, err);
    host = conn->conn.driver->host;
    API_REQUIRE_SLOT(host != NULL ? host->capabilities : NULL,
                     "tell its capabilities", err);
    text = host->capabilities(&conn->conn, &error);
    if (text == NULL)
        return api_error(err, error);
    *out = text;
    return 0;
}

/* --- events ------------------------------------------------------------------------ */

int visor_connection_get_fd(visor_connection *conn)
{
    return conn != NULL ? api_events_fd(conn->events) : VISOR_ERR_ARG;
}

int visor_connection_dispatch(visor_connection *conn, int timeout_ms,
                              visor_error **err)
{
    int n;

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(timeout_ms >= -1, err, "A timeout of %d ms is out of range",
                timeout_ms);
    visor_connection_ref(conn); /* a callback may drop the last other one */
    n = api_events_dispatch(conn, timeout_ms, err);
    visor_connection_unref(conn);
    return n;
}

int visor_connection_attach(visor_connection *conn, GMainContext *context,
                            visor_error **err)
{
    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    return api_events_attach(conn, context, err);
}

void visor_connection_detach(visor_connection *conn)
{
    if (conn != NULL)
        api_events_detach(conn);
}

void visor_free(void *memory)
{
    g_free(memory);
}

/* --- serial ports of type 'stdio' ---------------------------------------------------- */

static void free_weak_domain(gpointer data)
{
    visor_domain_unref(data);
}

void api_output(void *opaque, const char *uuid, uint32_t port, const void *data,
                size_t len)
{
    visor_connection *conn = opaque;
    visor_output_fn *fn;
    visor_domain *dom;
    void *fn_opaque;

    g_mutex_lock(&conn->output_lock);
    fn = conn->output;
    fn_opaque = conn->output_opaque;
    dom = fn == NULL ? NULL : g_hash_table_lookup(conn->output_domains, uuid);
    if (fn != NULL && dom == NULL) {
        vsr_domain_ident ident = { .name = "" };

        if (!conn->conn.ops->lookup_uuid(&conn->conn, uuid, &ident, NULL))
            g_strlcpy(ident.uuid, uuid, sizeof(ident.uuid));
        /* Weak: a reference to the connection that this thread dropped last
         * would close it, and wait for this thread. */
        dom = api_domain_new(conn, ident.name, uuid, true);
        g_hash_table_insert(conn->output_domains, dom->uuid, dom);
    }
    g_mutex_unlock(&conn->output_lock);
    if (fn != NULL)
        fn(dom, port, data, len, fn_opaque);
}

int visor_connection_set_output(visor_connection *conn, visor_output_fn *fn,
                                void *opaque, visor_error **err)
{
    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE_WRITE(conn, err);
    if (conn->conn.mode != VSR_MODE_EMBED)
        return api_fail(err, VISOR_ERR_NO_SUPPORT,
                        "Output comes to this process in mode embed only");
    g_mutex_lock(&conn->output_lock);
    if (conn->output_domains == NULL)
        conn->output_domains = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                     NULL, free_weak_domain);
    conn->output = fn;
    conn->output_opaque = opaque;
    g_mutex_unlock(&conn->output_lock);
    g_mutex_lock(&conn->conn.lock);
    conn->conn.has_output = fn != NULL;
    g_mutex_unlock(&conn->conn.lock);
    return 0;
}

int visor_connection_set_stdio(visor_connection *conn, int in_fd, int out_fd,
                               visor_error **err)
{
    vsr_autofd in = -1;
    vsr_autofd out = -1;
    int old[2];

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(in_fd >= -1 && out_fd >= -1, err,
                "Descriptors %d and %d are out of range", in_fd, out_fd);
    API_REQUIRE_WRITE(conn, err);
    in = in_fd < 0 ? -1 : fcntl(in_fd, F_DUPFD_CLOEXEC, 3);
    out = out_fd < 0 ? -1 : fcntl(out_fd, F_DUPFD_CLOEXEC, 3);
    API_REQUIRE((in_fd < 0 || in >= 0) && (out_fd < 0 || out >= 0), err,
                "Descriptors %d and %d are not both open", in_fd, out_fd);
    g_mutex_lock(&conn->conn.lock);
    old[0] = conn->conn.stdio[0];
    old[1] = conn->conn.stdio[1];
    conn->conn.stdio[0] = vsr_steal_fd(&in);
    conn->conn.stdio[1] = vsr_steal_fd(&out);
    g_mutex_unlock(&conn->conn.lock);
    vsr_close(old[0]);
    vsr_close(old[1]);
    return 0;
}
