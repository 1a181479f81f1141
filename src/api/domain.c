/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain.c: <visor/domain.h>: objects, definitions, look-ups, information.
 * domain_run.c has what starts, stops and asks a running domain.
 *
 * Threads: any.
 */
#include <string.h>

#include <visor/domain.h>

#include "api/api.h"
#include "conf/domain_conf.h"

static const vsr_domain_ops *ops_of(const visor_connection *conn)
{
    return conn->conn.ops;
}

/* --- objects ----------------------------------------------------------------- */

visor_domain *api_domain_new(visor_connection *conn, const char *name,
                             const char *uuid, bool is_weak)
{
    visor_domain *dom = g_new0(visor_domain, 1);

    dom->refs = 1;
    dom->conn = is_weak ? conn : visor_connection_ref(conn);
    dom->is_weak = is_weak;
    dom->name = g_strdup(name);
    g_strlcpy(dom->uuid, uuid, sizeof(dom->uuid));
    g_mutex_init(&dom->lock);
    return dom;
}

visor_domain *visor_domain_ref(visor_domain *dom)
{
    if (dom != NULL)
        g_atomic_int_inc(&dom->refs);
    return dom;
}

void visor_domain_unref(visor_domain *dom)
{
    visor_connection *conn;

    if (dom == NULL || !g_atomic_int_dec_and_test(&dom->refs))
        return;
    conn = dom->is_weak ? NULL : dom->conn;
    g_mutex_clear(&dom->lock);
    g_free(dom->name);
    g_free(dom);
    visor_connection_unref(conn);
}

const char *visor_domain_get_name(const visor_domain *dom)
{
    return dom != NULL ? dom->name : NULL;
}

const char *visor_domain_get_uuid(const visor_domain *dom)
{
    return dom != NULL ? dom->uuid : NULL;
}

visor_connection *visor_domain_get_connection(const visor_domain *dom)
{
    return dom != NULL ? dom->conn : NULL;
}

int visor_domain_get_id(visor_domain *dom)
{
    vsr_domain_ident ident = { .id = -1 };

    if (dom == NULL || ops_of(dom->conn)->lookup_uuid == NULL ||
        !ops_of(dom->conn)->lookup_uuid(&dom->conn->conn, dom->uuid, &ident,
                                        NULL))
        return -1;
    return ident.id;
}

static int give(visor_connection *conn, const vsr_domain_ident *ident,
                visor_domain **out)
{
    *out = api_domain_new(conn, ident->name, ident->uuid, false);
    return 0;
}

/* --- definitions ---------------------------------------------------------------- */

static int check_xml(visor_connection *conn, const char *xml,
                     visor_domain **out, visor_error **err)
{
    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(xml != NULL, err, "The document is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the domain");
    if (strnlen(xml, VSR_XML_MAX + 1) > VSR_XML_MAX)
        return api_fail(err, VISOR_ERR_XML,
                        "The document is longer than %d bytes", VSR_XML_MAX);
    API_REQUIRE_WRITE(conn, err);
    return 0;
}

int visor_domain_define_xml(visor_connection *conn, const char *xml,
                            uint32_t flags, visor_domain **out,
                            visor_error **err)
{
    vsr_domain_ident ident;
    GError *error = NULL;
    int rc = check_xml(conn, xml, out, err);

    if (rc < 0)
        return rc;
    API_REQUIRE_FLAGS(flags, VISOR_DEFINE_VALIDATE, err);
    API_REQUIRE_SLOT(ops_of(conn)->define, "define domains", err);
    if (!ops_of(conn)->define(&conn->conn, xml, flags, &ident, &error))
        return api_error(err, error);
    return give(conn, &ident, out);
}

int visor_domain_create_xml(visor_connection *conn, const char *xml,
                            uint32_t flags, visor_domain **out,
                            visor_error **err)
{
    vsr_domain_ident ident;
    GError *error = NULL;
    int rc = check_xml(conn, xml, out, err);

    if (rc < 0)
        return rc;
    API_REQUIRE_FLAGS(flags, VISOR_START_PAUSED, err);
    API_REQUIRE_SLOT(ops_of(conn)->create, "create domains", err);
    if (!ops_of(conn)->create(&conn->conn, xml, flags, &ident, &error))
        return api_error(err, error);
    return give(conn, &ident, out);
}

int visor_domain_undefine(visor_domain *dom, uint32_t flags, visor_error **err)
{
    GError *error = NULL;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE_FLAGS(flags, 0, err);
    API_REQUIRE_WRITE(dom->conn, err);
    API_REQUIRE_SLOT(ops_of(dom->conn)->undefine, "undefine domains", err);
    if (!ops_of(dom->conn)->undefine(&dom->conn->conn, dom->uuid, flags,
                                     &error))
        return api_error(err, error);
    return 0;
}

/* --- look-ups ------------------------------------------------------------------------ */

int visor_domain_lookup_by_name(visor_connection *conn, const char *name,
                                visor_domain **out, visor_error **err)
{
    vsr_domain_ident ident;
    GError *error = NULL;

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(name != NULL, err, "The name is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the domain");
    API_REQUIRE_SLOT(ops_of(conn)->lookup_name, "look up domains", err);
    if (!ops_of(conn)->lookup_name(&conn->conn, name, &ident, &error))
        return api_error(err, error);
    return give(conn, &ident, out);
}

int visor_domain_lookup_by_uuid(visor_connection *conn, const char *uuid,
                                visor_domain **out, visor_error **err)
{
    vsr_domain_ident ident;
    GError *error = NULL;
    char canonical[37];

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(uuid != NULL, err, "The uuid is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the domain");
    API_REQUIRE(vsr_uuid_parse(uuid, canonical), err, "'%.64s' is not a uuid",
                uuid);
    API_REQUIRE_SLOT(ops_of(conn)->lookup_uuid, "look up domains", err);
    if (!ops_of(conn)->lookup_uuid(&conn->conn, canonical, &ident, &error))
        return api_error(err, error);
    return give(conn, &ident, out);
}

int visor_domain_lookup_by_id(visor_connection *conn, int id,
                              visor_domain **out, visor_error **err)
{
    vsr_domain_ident ident;
    GError *error = NULL;

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the domain");
    API_REQUIRE(id > 0, err, "Id %d is not positive", id);
    API_REQUIRE_SLOT(ops_of(conn)->lookup_id, "look up domains", err);
    if (!ops_of(conn)->lookup_id(&conn->conn, id, &ident, &error))
        return api_error(err, error);
    return give(conn, &ident, out);
}

int visor_domain_list(visor_connection *conn, uint32_t flags,
                      visor_domain ***out, visor_error **err)
{
    g_autoptr(GArray) found = NULL;
    GError *error = NULL;

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the list");
    API_REQUIRE_FLAGS(flags, (VISOR_LIST_AUTOSTART << 1) - 1, err);
    API_REQUIRE_SLOT(ops_of(conn)->list, "list domains", err);
    found = ops_of(conn)->list(&conn->conn, flags, &error);
    if (found == NULL)
        return api_error(err, error);
    *out = g_new0(visor_domain *, (gsize)found->len + 1);
    for (guint i = 0; i < found->len; i++)
        (void)give(conn, &g_array_index(found, vsr_domain_ident, i),
                   &(*out)[i]);
    return (int)found->len;
}

void visor_domain_list_free(visor_domain **list)
{
    if (list == NULL)
        return;
    for (visor_domain **d = list; *d != NULL; d++)
        visor_domain_unref(*d);
    g_free(list);
}

/* --- information ------------------------------------------------------------------------ */

int visor_domain_get_state(visor_domain *dom, int *state, int *reason,
                           visor_error **err)
{
    int got_state = 0, got_reason = 0;
    GError *error = NULL;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE_SLOT(ops_of(dom->conn)->state, "tell states", err);
    if (!ops_of(dom->conn)->state(&dom->conn->conn, dom->uuid, &got_state,
                                  &got_reason, &error))
        return api_error(err, error);
    if (state != NULL)
        *state = got_state;
    if (reason != NULL)
        *reason = got_reason;
    return 0;
}

int visor_domain_get_info(visor_domain *dom, visor_domain_info *info,
                          visor_error **err)
{
    visor_domain_info out = { 0 };
    vsr_domain_info got = { 0 };
    GError *error = NULL;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(info != NULL, err, "There is no room for the information");
    API_REQUIRE(info->size >= sizeof(out) && info->size <= API_STRUCT_MAX, err,
                "The size of visor_domain_info is not set");
    API_REQUIRE_SLOT(ops_of(dom->conn)->info, "tell about domains", err);
    if (!ops_of(dom->conn)->info(&dom->conn->conn, dom->uuid, &got, &error))
        return api_error(err, error);
    out.size = info->size;
    out.state = got.state;
    out.reason = got.reason;
    out.max_memory_kib = got.max_memory_kib;
    out.memory_kib = got.memory_kib;
    out.vcpus = got.vcpus;
    out.max_vcpus = got.max_vcpus;
    out.cpu_time_ns = got.cpu_time_ns;
    out.persistent = got.persistent;
    out.autostart = got.autostart;
    out.exit_status = got.exit_status;
    memset(info, 0, out.size);
    memcpy(info, &out, sizeof(out));
    return 0;
}

int visor_domain_get_xml(visor_domain *dom, uint32_t flags, char **out,
                         visor_error **err)
{
    GError *error = NULL;
    char *text;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the document");
    API_REQUIRE_FLAGS(flags, VISOR_XML_INACTIVE, err);
    API_REQUIRE_SLOT(ops_of(dom->conn)->xml, "format domains", err);
    text = ops_of(dom->conn)->xml(&dom->conn->conn, dom->uuid, flags, &error);
    if (text == NULL)
        return api_error(err, error);
    *out = text;
    return 0;
}

int visor_domain_set_autostart(visor_domain *dom, bool on, visor_error **err)
{
    GError *error = NULL;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE_WRITE(dom->conn, err);
    API_REQUIRE_SLOT(ops_of(dom->conn)->set_autostart, "mark for autostart",
                     err);
    if (!ops_of(dom->conn)->set_autostart(&dom->conn->conn, dom->uuid, on,
                                          &error))
        return api_error(err, error);
    return 0;
}

int visor_domain_get_autostart(visor_domain *dom, bool *on, visor_error **err)
{
    GError *error = NULL;
    bool got = false;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(on != NULL, err, "There is no room for the answer");
    API_REQUIRE_SLOT(ops_of(dom->conn)->get_autostart, "mark for autostart",
                     err);
    if (!ops_of(dom->conn)->get_autostart(&dom->conn->conn, dom->uuid, &got,
                                          &error))
        return api_error(err, error);
    *on = got;
    return 0;
}

/* --- metadata ----------------------------------------------------------------------------- */

static int check_kind(int kind, const char *uri, visor_error **err)
{
    API_REQUIRE(kind >= VISOR_METADATA_DESCRIPTION &&
                    kind <= VISOR_METADATA_ELEMENT,
                err, "No kind of metadata is %d", kind);
    if (kind == VISOR_METADATA_ELEMENT)
        API_REQUIRE(uri != NULL && uri[0] != '\0', err,
                    "An element of metadata needs the uri of its namespace");
    else
        API_REQUIRE(uri == NULL, err, "Only an element of metadata has a uri");
    return 0;
}

int visor_domain_set_metadata(visor_domain *dom, int kind, const char *value,
                              const char *key, const char *uri,
                              visor_error **err)
{
    GError *error = NULL;
    int rc;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    rc = check_kind(kind, uri, err);
    if (rc < 0)
        return rc;
    API_REQUIRE(kind == VISOR_METADATA_ELEMENT || key == NULL, err,
                "Only an element of metadata has a key");
    API_REQUIRE_WRITE(dom->conn, err);
    API_REQUIRE_SLOT(ops_of(dom->conn)->set_metadata, "change metadata", err);
    if (!ops_of(dom->conn)->set_metadata(&dom->conn->conn, dom->uuid, kind,
                                         value, key, uri, &error))
        return api_error(err, error);
    return 0;
}

int visor_domain_get_metadata(visor_domain *dom, int kind, const char *uri,
                              char **out, visor_error **err)
{
    GError *error = NULL;
    char *text;
    int rc;

    API_REQUIRE(dom != NULL, err, "The domain is NULL");
    API_REQUIRE(out != NULL, err, "There is no room for the text");
    rc = check_kind(kind, uri, err);
    if (rc < 0)
        return rc;
    API_REQUIRE_SLOT(ops_of(dom->conn)->get_metadata, "tell metadata", err);
    text = ops_of(dom->conn)->get_metadata(&dom->conn->conn, dom->uuid, kind,
                                           uri, &error);
    if (text == NULL)
        return api_error(err, error);
    *out = text;
    return 0;
}
