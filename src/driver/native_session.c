/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_session.c: session and system mode: definitions and look-ups, all of
 * it files in the state folder. What runs is native_run.c's.
 *
 * Threads: any. Nothing is cached: another process may have changed it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "driver/native.h"
#include "driver/setup.h"
#include "xml/domain.h"

#define CLEAR_NS INT64_C(3000000000)

int64_t vsr_session_deadline(vsr_conn *conn)
{
    return vsr_deadline(g_atomic_int_get(&conn->timeout_ms));
}

int vsr_session_open_domain(vsr_conn *conn, const char *uuid, vsr_view *view,
                            GError **error)
{
    vsr_session *session = vsr_session_of(conn);
    int fd = vsr_folder_open(&session->root, uuid, error);

    if (fd < 0)
        return -1;
    vsr_folder_view(fd, view);
    if (view->needs_repair) {
        vsr_close(fd);
        vsr_root_repair(&session->root, uuid, 0);
        fd = vsr_folder_open(&session->root, uuid, error);
        if (fd < 0)
            return -1;
        vsr_folder_view(fd, view);
    }
    if (!view->persistent && !view->active) {
        /* Being made, or being removed. */
        vsr_close(fd);
        (void)vsr_fail(error, VISOR_ERR_NOT_FOUND, "No domain with uuid '%s'",
                       uuid);
        return -1;
    }
    return fd;
}

vsr_domain_conf *vsr_session_load_conf(int folder_fd, GError **error)
{
    g_autofree char *text =
        vsr_folder_read(folder_fd, "domain.xml", VSR_DOMAIN_XML_MAX, error);
    vsr_domain_conf *conf;

    if (text == NULL)
        return NULL;
    conf = vsr_domain_xml_parse(text, strlen(text), error);
    if (conf == NULL)
        (void)vsr_fail_prefix(error, "Stored definition");
    return conf;
}

/* --- define ---------------------------------------------------------------- */

/* A folder without a live or defined domain: left by something that died, or
 * being made; then it is waited for, to know which. */
static void clear_way(vsr_root *root, const char *uuid)
{
    vsr_autofd fd = vsr_folder_open(root, uuid, NULL);
    vsr_view view;

    if (fd < 0)
        return;
    vsr_folder_view(fd, &view);
    if (view.needs_repair)
        vsr_root_repair(root, uuid, vsr_now_ns() + CLEAR_NS);
}

void vsr_session_clear_way(vsr_conn *conn, const char *name, const char *uuid)
{
    vsr_root *root = &vsr_session_of(conn)->root;
    char other[37];

    clear_way(root, uuid);
    if (vsr_root_find_name(root, name, other) && strcmp(other, uuid) != 0)
        clear_way(root, other);
}

/* With the root lock held: a new definition for a folder that exists. */
static bool redefine(vsr_root *root, const vsr_domain_conf *conf,
                     const char *text, GError **error)
{
    vsr_autofd fd = vsr_folder_open(root, conf->uuid, error);
    char name[256] = "";

    if (fd < 0)
        return false;
    if (!vsr_folder_name(fd, name) || strcmp(name, conf->name) != 0)
        return vsr_fail(error, VISOR_ERR_EXISTS,
                        "A domain with uuid %s exists: '%s'", conf->uuid, name);
    return vsr_folder_write(fd, "domain.xml", text, error);
}

static bool session_define(vsr_conn *conn, const char *xml, uint32_t flags,
                           vsr_domain_ident *out, GError **error)
{
    vsr_root *root = &vsr_session_of(conn)->root;
    g_autoptr(vsr_domain_conf) conf = vsr_native_parse(conn, xml, flags, error);
    g_autofree char *text = NULL;
    vsr_view view;
    vsr_autofd fd = -1;
    int lock;
    bool ok;

    if (conf == NULL)
        return false;
    text = vsr_domain_xml_format(conf, -1, 0);
    vsr_session_clear_way(conn, conf->name, conf->uuid);
    lock = vsr_root_lock(root, vsr_session_deadline(conn), error);
    if (lock < 0)
        return false;
    if (vsr_folder_has(root->fd, conf->uuid)) {
        ok = redefine(root, conf, text, error);
    } else {
        fd = vsr_root_make(root, conf->name, conf->uuid, text, NULL, error);
        ok = fd >= 0;
    }
    vsr_folder_unlock(lock);
    if (!ok)
        return false;
    vsr_close(fd);
    fd = vsr_session_open_domain(conn, conf->uuid, &view, error);
    if (fd < 0)
        return false;
    vsr_native_ident(out, conf->name, conf->uuid, view.status.id);
    return true;
}

/* Under both locks. */
static bool undefine_locked(vsr_root *root, const char *uuid, int fd,
                            GError **error)
{
    char name[256];
    vsr_view view;

    vsr_folder_view(fd, &view);
    if (!view.persistent)
        return vsr_fail(error, VISOR_ERR_STATE,
                        "The domain is transient: it has no definition");
    if (!view.active)
        return vsr_root_remove(root, vsr_folder_name(fd, name) ? name : NULL,
                               uuid, error);
    (void)unlinkat(fd, "autostart", 0);
    if (unlinkat(fd, "domain.xml", 0) < 0)
        return vsr_fail_errno(error, errno, "Cannot remove the definition");
    (void)fsync(fd);
    return true;
}

static bool session_undefine(vsr_conn *conn, const char *uuid, uint32_t flags,
                             GError **error)
{
    vsr_root *root = &vsr_session_of(conn)->root;
    int64_t deadline = vsr_session_deadline(conn);
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    int job, lock;
    bool ok = false;

    if (fd < 0)
        return false;
    job = vsr_folder_lock(root, uuid, fd, deadline, error);
    if (job < 0)
        return false;
    lock = vsr_root_lock(root, deadline, error);
    if (lock >= 0)
        ok = undefine_locked(root, uuid, fd, error);
    vsr_folder_unlock(lock);
    vsr_folder_unlock(job);
    return ok;
}

/* --- look-ups ---------------------------------------------------------------- */

static bool session_lookup_uuid(vsr_conn *conn, const char *uuid,
                                vsr_domain_ident *out, GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    char name[256];

    if (fd < 0)
        return false;
    if (!vsr_folder_name(fd, name))
        return vsr_fail(error, VISOR_ERR_SYSTEM,
                        "The folder of domain %s has no name in it", uuid);
    vsr_native_ident(out, name, uuid, view.status.id);
    return true;
}

static bool session_lookup_name(vsr_conn *conn, const char *name,
                                vsr_domain_ident *out, GError **error)
{
    vsr_root *root = &vsr_session_of(conn)->root;
    char uuid[37];
    vsr_view view;
    vsr_autofd fd = -1;

    if (vsr_name_check(name, NULL) && vsr_root_find_name(root, name, uuid))
        fd = vsr_session_open_domain(conn, uuid, &view, NULL);
    if (fd < 0)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND, "No domain is named '%s'",
                        name);
    vsr_native_ident(out, name, uuid, view.status.id);
    return true;
}

typedef struct {
    vsr_root *root;
    uint32_t flags;
    int id;          /* only this one; 0: all */
    GArray *out;     /* of vsr_domain_ident */
    GPtrArray *dead; /* of uuid */
} lister;

static void list_one(const char *name, const char *uuid, void *opaque)
{
    lister *l = opaque;
    bool autostart = false;
    vsr_domain_ident ident;
    vsr_view view;
    char path[64];

    if (!vsr_root_view(l->root, uuid, &view))
        return;
    if (view.needs_repair)
        g_ptr_array_add(l->dead, g_strdup(uuid));
    if (!view.persistent && !view.active)
        return;
    if (l->id != 0 && view.status.id != l->id)
        return;
    if ((l->flags & VISOR_LIST_AUTOSTART) != 0) {
        (void)g_snprintf(path, sizeof(path), "%s/autostart", uuid);
        autostart = vsr_folder_has(l->root->fd, path);
    }
    if (!vsr_native_list_match(l->flags, view.status.state, view.persistent,
                               autostart))
        return;
    vsr_native_ident(&ident, name, uuid, view.status.id);
    g_array_append_val(l->out, ident);
}

static GArray *list_all(vsr_conn *conn, uint32_t flags, int id, GError **error)
{
    vsr_root *root = &vsr_session_of(conn)->root;
    lister l = { .root = root, .flags = flags, .id = id };

    l.out = g_array_new(FALSE, FALSE, sizeof(vsr_domain_ident));
    l.dead = g_ptr_array_new_with_free_func(g_free);
    if (!vsr_root_each(root, list_one, &l, error))
        g_clear_pointer(&l.out, g_array_unref);
    else
        g_array_sort(l.out, vsr_native_compare_ident);
    for (guint i = 0; i < l.dead->len; i++)
        vsr_root_repair(root, g_ptr_array_index(l.dead, i), 0);
    g_ptr_array_unref(l.dead);
    return l.out;
}

static GArray *session_list(vsr_conn *conn, uint32_t flags, GError **error)
{
    return list_all(conn, flags, 0, error);
}

static bool session_lookup_id(vsr_conn *conn, int id, vsr_domain_ident *out,
                              GError **error)
{
    g_autoptr(GArray) found = list_all(conn, 0, id, error);

    if (found == NULL)
        return false;
    if (found->len == 0)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND,
                        "No running domain has id %d", id);
    *out = g_array_index(found, vsr_domain_ident, 0);
    return true;
}

/* --- about one domain -------------------------------------------------------- */

static bool session_state(vsr_conn *conn, const char *uuid, int *state,
                          int *reason, GError **error)
{
    vsr_view view;
    vsr_autofd fd = -1;

    if (!vsr_root_view(&vsr_session_of(conn)->root, uuid, &view) ||
        view.needs_repair) {
        fd = vsr_session_open_domain(conn, uuid, &view, error);
        if (fd < 0)
            return false;
    }
    *state = view.status.state;
    *reason = view.status.reason;
    return true;
}

/* A running domain's document: its live one, or its definition as it was. */
static char *ask_xml(vsr_conn *conn, int fd, bool inactive, GError **error)
{
    vsr_json *params = vsr_json_new_object();
    g_autoptr(vsr_json) result = NULL;
    vsr_autofd text_fd = -1;

    vsr_json_set_bool(params, "inactive", inactive);
    result = vsr_session_ask(conn, fd, "xml", params, &text_fd, error);
    if (result == NULL)
        return NULL;
    return vsr_text_from_fd(text_fd, VSR_DOMAIN_XML_MAX, error);
}

static char *session_xml(vsr_conn *conn, const char *uuid, uint32_t flags,
                         GError **error)
{
    bool inactive = (flags & VISOR_XML_INACTIVE) != 0;
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);

    if (fd < 0)
        return NULL;
    if (view.active && !(inactive && view.persistent))
        return ask_xml(conn, fd, inactive, error);
    return vsr_folder_read(fd, "domain.xml", VSR_DOMAIN_XML_MAX, error);
}

static bool ask_info(vsr_conn *conn, int fd, vsr_domain_info *out,
                     GError **error)
{
    g_autoptr(vsr_json) result =
        vsr_session_ask(conn, fd, "info", NULL, NULL, error);
    int64_t vcpus = 0, max_vcpus = 0;

    if (result == NULL)
        return false;
    if (!vsr_json_get_uint(result, "max_memory_kib", &out->max_memory_kib) ||
        !vsr_json_get_uint(result, "memory_kib", &out->memory_kib) ||
        !vsr_json_get_int(result, "vcpus", 0, INT32_MAX, &vcpus) ||
        !vsr_json_get_int(result, "max_vcpus", 0, INT32_MAX, &max_vcpus) ||
        !vsr_json_get_uint(result, "cpu_time_ns", &out->cpu_time_ns))
        return vsr_fail(error, VISOR_ERR_PROTOCOL,
                        "The answer to 'info' makes no sense");
    out->vcpus = (uint32_t)vcpus;
    out->max_vcpus = (uint32_t)max_vcpus;
    return true;
}

static bool session_info(vsr_conn *conn, const char *uuid, vsr_domain_info *out,
                         GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);

    if (fd < 0)
        return false;
    memset(out, 0, sizeof(*out));
    if (view.active) {
        if (!ask_info(conn, fd, out, error))
            return false;
    } else {
        g_autoptr(vsr_domain_conf) conf = vsr_session_load_conf(fd, error);

        if (conf == NULL)
            return false;
        vsr_native_info_of(conf, out);
    }
    out->state = view.status.state;
    out->reason = view.status.reason;
    out->exit_status = view.status.exit_status;
    out->persistent = view.persistent;
    out->autostart = vsr_folder_has(fd, "autostart");
    return true;
}

static bool session_set_autostart(vsr_conn *conn, const char *uuid, bool on,
                                  GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);

    if (fd < 0)
        return false;
    if (!view.persistent)
        return vsr_fail(error, VISOR_ERR_STATE,
                        "A transient domain cannot be started by itself");
    if (on)
        return vsr_folder_write(fd, "autostart", "", error);
    if (unlinkat(fd, "autostart", 0) < 0 && errno != ENOENT)
        return vsr_fail_errno(error, errno, "Cannot remove 'autostart'");
    return true;
}

static bool session_get_autostart(vsr_conn *conn, const char *uuid, bool *on,
                                  GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);

    if (fd < 0)
        return false;
    *on = vsr_folder_has(fd, "autostart");
    return true;
}

/* --- metadata ---------------------------------------------------------------- */

static bool set_metadata_locked(int fd, int kind, const char *value,
                                const char *key, const char *uri,
                                GError **error)
{
    g_autoptr(vsr_domain_conf) conf = vsr_session_load_conf(fd, error);
    g_autofree char *text = NULL;

    if (conf == NULL ||
        !vsr_native_set_metadata(conf, kind, value, key, uri, error) ||
        !vsr_domain_conf_complete(conf, error))
        return false;
    text = vsr_domain_xml_format(conf, -1, 0);
    return vsr_folder_write(fd, "domain.xml", text, error);
}

static bool session_set_metadata(vsr_conn *conn, const char *uuid, int kind,
                                 const char *value, const char *key,
                                 const char *uri, GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    g_autoptr(vsr_json) result = NULL;
    vsr_json *params;
    int job;
    bool ok = true;

    if (fd < 0)
        return false;
    job = vsr_folder_lock(&vsr_session_of(conn)->root, uuid, fd,
                          vsr_session_deadline(conn), error);
    if (job < 0)
        return false;
    vsr_folder_view(fd, &view);
    if (view.persistent)
        ok = set_metadata_locked(fd, kind, value, key, uri, error);
    vsr_folder_unlock(job);
    if (!ok || !view.active)
        return ok;
    params = vsr_json_new_object();
    vsr_json_set_int(params, "kind", kind);
    vsr_json_set_string(params, "value", value);
    vsr_json_set_string(params, "key", key);
    vsr_json_set_string(params, "uri", uri);
    result = vsr_session_ask(conn, fd, "metadata", params, NULL, error);
    return result != NULL;
}

static char *session_get_metadata(vsr_conn *conn, const char *uuid, int kind,
                                  const char *uri, GError **error)
{
    g_autofree char *text = session_xml(conn, uuid, 0, error);
    g_autoptr(vsr_domain_conf) conf = NULL;

    if (text == NULL)
        return NULL;
    conf = vsr_domain_xml_parse(text, strlen(text), error);
    if (conf == NULL)
        return NULL;
    return vsr_native_get_metadata(conf, kind, uri, error);
}

const vsr_domain_ops vsr_session_domain_ops = {
    .define = session_define,
    .create = vsr_session_create,
    .undefine = session_undefine,
    .lookup_name = session_lookup_name,
    .lookup_uuid = session_lookup_uuid,
    .lookup_id = session_lookup_id,
    .list = session_list,
    .start = vsr_session_start,
    .shutdown = vsr_session_shutdown,
    .reboot = vsr_session_reboot,
    .reset = vsr_session_reset,
    .destroy = vsr_session_destroy,
    .suspend = vsr_session_suspend,
    .resume = vsr_session_resume,
    .info = session_info,
    .state = session_state,
    .wait = vsr_session_wait,
    .xml = session_xml,
    .set_autostart = session_set_autostart,
    .get_autostart = session_get_autostart,
    .set_metadata = session_set_metadata,
    .get_metadata = session_get_metadata,
    .stats = vsr_session_stats,
    .change = vsr_session_change,
    .console = vsr_session_console,
};
