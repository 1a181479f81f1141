/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_conn.c: opening the native driver, and what its modes share.
 *
 * Threads: any.
 */
#include <string.h>

#include <visor/visor.h>

#include "base/error.h"
#include "driver/native.h"
#include "xml/domain.h"

/* --- shared by all modes --------------------------------------------------- */

/* The schema of the build tree this code runs in, or the installed one. */
static const char *schema_path(void)
{
    if (g_file_test(VSR_SCHEMA_INSTALLED, G_FILE_TEST_EXISTS))
        return VSR_SCHEMA_INSTALLED;
    return VSR_SCHEMA_SOURCE;
}

vsr_domain_conf *vsr_native_parse(vsr_conn *conn, const char *xml,
                                  uint32_t flags, GError **error)
{
    g_autoptr(vsr_domain_conf) conf = NULL;
    size_t len = strlen(xml);
    const char *type;

    if ((flags & VISOR_DEFINE_VALIDATE) != 0 &&
        !vsr_domain_xml_validate(xml, len, schema_path(), error))
        return NULL;
    conf = vsr_domain_xml_parse(xml, len, error);
    if (conf == NULL)
        return NULL;
    type = vsr_domain_type_text(conf->type);
    if (strcmp(type, conn->driver->name) != 0) {
        (void)vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                       "Domain '%s' is of type '%s', this connection is to %s",
                       conf->name, type, conn->driver->name);
        return NULL;
    }
    return g_steal_pointer(&conf);
}

bool vsr_native_list_match(uint32_t flags, int state, bool persistent,
                           bool autostart)
{
    const uint32_t activity = VISOR_LIST_ACTIVE | VISOR_LIST_INACTIVE;
    const uint32_t lasting = VISOR_LIST_PERSISTENT | VISOR_LIST_TRANSIENT;
    const uint32_t states = VISOR_LIST_RUNNING | VISOR_LIST_PAUSED;
    uint32_t is = 0;

    is |=
        state != VISOR_STATE_SHUTOFF ? VISOR_LIST_ACTIVE : VISOR_LIST_INACTIVE;
    is |= persistent ? VISOR_LIST_PERSISTENT : VISOR_LIST_TRANSIENT;
    if (state == VISOR_STATE_RUNNING || state == VISOR_STATE_SHUTTING_DOWN)
        is |= VISOR_LIST_RUNNING;
    if (state == VISOR_STATE_PAUSED)
        is |= VISOR_LIST_PAUSED;
    if (autostart)
        is |= VISOR_LIST_AUTOSTART;
    return ((flags & activity) == 0 || (flags & activity & is) != 0) &&
           ((flags & lasting) == 0 || (flags & lasting & is) != 0) &&
           ((flags & states) == 0 || (flags & states & is) != 0) &&
           ((flags & VISOR_LIST_AUTOSTART) == 0 || autostart);
}

void vsr_native_ident(vsr_domain_ident *out, const char *name, const char *uuid,
                      int id)
{
    g_strlcpy(out->name, name, sizeof(out->name));
    g_strlcpy(out->uuid, uuid, sizeof(out->uuid));
    out->id = id;
}

int vsr_native_compare_ident(gconstpointer a, gconstpointer b)
{
    return strcmp(((const vsr_domain_ident *)a)->name,
                  ((const vsr_domain_ident *)b)->name);
}

void vsr_native_emit(vsr_conn *conn, int kind, int detail, int reason,
                     const char *name, const char *uuid, const char *text,
                     int64_t when_ns)
{
    vsr_event event = {
        .kind = kind,
        .detail = detail,
        .reason = reason,
        .name = name,
        .uuid = uuid,
        .text = text,
        .when_ns = when_ns != 0 ? when_ns : g_get_real_time() * 1000,
    };

    if (conn->events != NULL && conn->events->event != NULL)
        conn->events->event(conn->opaque, &event);
}

void vsr_native_info_of(const vsr_domain_conf *conf, vsr_domain_info *out)
{
    out->max_memory_kib =
        conf->memory_kib + vsr_domain_device_memory_kib(conf);
    out->memory_kib = conf->current_memory_kib != 0 ? conf->current_memory_kib
                                                    : conf->memory_kib;
    for (guint i = 0; i < conf->devices->len; i++) {
        const vsr_device_conf *device = conf->devices->pdata[i];

        if (device->kind == VSR_DEVICE_MEMORY)
            out->memory_kib += device->memory.current_kib;
    }
    out->max_vcpus = conf->vcpus_max;
    out->vcpus = conf->vcpus != 0 ? conf->vcpus : conf->vcpus_max;
}

/* --- opening ---------------------------------------------------------------- */

static bool session_open(vsr_conn *conn, GError **error)
{
    vsr_session *session = g_new0(vsr_session, 1);

    if (!vsr_root_open(&session->root, conn->root, conn->driver->name, error)) {
        g_free(session);
        return false;
    }
    g_mutex_init(&session->lock);
    conn->priv = session;
    conn->ops = &vsr_session_domain_ops;
    return true;
}

static bool native_open(vsr_conn *conn, GError **error)
{
    if (conn->mode == VSR_MODE_EMBED)
        return vsr_embed_open(conn, error);
    return session_open(conn, error);
}

static void native_close(vsr_conn *conn)
{
    vsr_session *session;

    if (conn->mode == VSR_MODE_EMBED) {
        vsr_embed_close(conn);
        return;
    }
    session = vsr_session_of(conn);
    vsr_watch_free(session->watch);
    vsr_root_close(&session->root);
    g_mutex_clear(&session->lock);
    g_free(session);
    conn->priv = NULL;
}

static bool native_watch(vsr_conn *conn, bool on, GError **error)
{
    vsr_session *session;
    vsr_watch *old = NULL;
    bool ok = true;

    if (conn->mode == VSR_MODE_EMBED)
        return true;
    session = vsr_session_of(conn);
    g_mutex_lock(&session->lock);
    if (on && session->watch == NULL) {
        session->watch = vsr_watch_new(conn, error);
        ok = session->watch != NULL;
    } else if (!on) {
        old = g_steal_pointer(&session->watch);
    }
    g_mutex_unlock(&session->lock);
    /* Its thread may be in a callback that wants our lock. */
    vsr_watch_free(old);
    return ok;
}

const vsr_conn_ops vsr_native_conn_ops = {
    .open = native_open,
    .close = native_close,
    .watch = native_watch,
};

/* The driver's table until open knows the mode. */
const vsr_domain_ops vsr_native_domain_ops = { 0 };
