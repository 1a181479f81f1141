/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_change.c: changes of domains in session and system mode: of a
 * definition, of the running domain, or of both, and then nothing changes unless
 * both can be.
 *
 * Threads: any.
 */
#include <string.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "driver/change_json.h"
#include "driver/device_update.h"
#include "driver/native.h"
#include "driver/setup_devices.h"
#include "xml/device.h"
#include "xml/domain.h"

enum { LOOK_MS = 5 }; /* between two looks whether the guest has done it */

/* --- all modes --------------------------------------------------------------------- */

bool vsr_native_read_change(vsr_change_kind kind, const char *text,
                            uint64_t value, vsr_change *out, GError **error)
{
    *out = (vsr_change){ .kind = kind, .value = value };
    if (!vsr_change_is_of_device(kind)) {
        out->target = g_strdup(text);
        return true;
    }
    out->device = vsr_device_xml_parse(text, strlen(text), error);
    return out->device != NULL;
}

bool vsr_native_choose_affect(const vsr_change *change, bool is_active,
                              bool is_persistent, uint32_t *flags,
                              GError **error)
{
    if (*flags == 0)
        *flags = is_active ? VISOR_AFFECT_LIVE : VISOR_AFFECT_CONFIG;
    if (vsr_change_is_of_maximum(change->kind) &&
        (*flags & VISOR_AFFECT_LIVE) != 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "A running domain keeps its maximum: change the "
                        "definition");
    if ((*flags & VISOR_AFFECT_LIVE) != 0 && !is_active)
        return vsr_fail(error, VISOR_ERR_STATE, "The domain is not running");
    if ((*flags & VISOR_AFFECT_CONFIG) != 0 && !is_persistent)
        return vsr_fail(error, VISOR_ERR_STATE,
                        "The domain is transient: it has no definition");
    return true;
}

/* --- session and system -------------------------------------------------------------- */

/* With what of the host belongs to it, or NULL. */
static vsr_json *ask_with(vsr_conn *conn, int fd, const vsr_change *change,
                          vsr_device_resource *resource, GError **error)
{
    vsr_json *params = vsr_change_to_json(change), *result;
    vsr_fd_list list = { .n = 0 };

    if (resource != NULL)
        vsr_json_set(params, "resource",
                     vsr_device_resource_to_json(resource, &list));
    result =
        vsr_session_ask_fds(conn, fd, "change", params, list.fd, list.n, error);
    if (result != NULL && resource != NULL && resource->chardev.is_listening)
        g_clear_pointer(&resource->chardev.path, g_free); /* it is theirs */
    return result;
}

/* What the device is now. */
static bool ask_device(vsr_conn *conn, int fd, const vsr_change *change,
                       vsr_device_update *update, GError **error)
{
    const char *xml = NULL;
    g_autoptr(vsr_json) result =
        vsr_session_ask(conn, fd, "device", vsr_change_to_json(change),
                        &update->link_fd, error);

    if (result == NULL)
        return false;
    if (!vsr_json_get_string(result, "device", &xml))
        return vsr_fail(error, VISOR_ERR_PROTOCOL,
                        "The answer to 'device' makes no sense");
    update->live = vsr_device_xml_parse(xml, strlen(xml), error);
    return update->live != NULL;
}

static vsr_json *ask_update(vsr_conn *conn, int fd, const vsr_change *change,
                            GError **error)
{
    vsr_device_update update = { .link_fd = -1 };
    vsr_json *result = NULL;

    if (ask_device(conn, fd, change, &update, error) &&
        vsr_device_update_begin(&update, change->device, error))
        result = ask_with(conn, fd, change, update.resource, error);
    vsr_device_update_end(&update, change->device, result != NULL);
    return result;
}

static vsr_json *ask_change(vsr_conn *conn, int fd, const vsr_change *change,
                            GError **error)
{
    g_autoptr(vsr_device_resource) resource = NULL;

    if (change->kind == VSR_CHANGE_UPDATE)
        return ask_update(conn, fd, change, error);
    if (change->kind == VSR_CHANGE_ATTACH) {
        resource = vsr_device_resource_open(change->device, error);
        if (resource == NULL)
            return NULL;
    }
    return ask_with(conn, fd, change, resource, error);
}

/* Asks, then waits until the guest has done its part. */
static bool change_live(vsr_conn *conn, int fd, const vsr_change *change,
                        GError **error)
{
    int64_t deadline = vsr_session_deadline(conn);
    g_autoptr(vsr_json) result = ask_change(conn, fd, change, error);
    bool is_done = false;

    while (result != NULL) {
        (void)vsr_json_get_bool(result, "is_done", &is_done);
        if (is_done)
            return true;
        if (vsr_now_ns() >= deadline)
            return vsr_change_not_done(change, error);
        g_usleep(LOOK_MS * 1000);
        vsr_json_free(result);
        result = vsr_session_ask(conn, fd, "is_changed",
                                 vsr_change_to_json(change), NULL, error);
    }
    return false;
}

/* With the job lock held. The definition is made, the domain changed, and then
 * the definition stored. */
static bool change_both(vsr_conn *conn, int fd, const vsr_view *view,
                        const vsr_change *change, uint32_t flags,
                        GError **error)
{
    g_autoptr(vsr_domain_conf) conf = NULL;
    g_autofree char *text = NULL;

    if (!vsr_native_choose_affect(change, view->active, view->persistent,
                                  &flags, error))
        return false;
    if ((flags & VISOR_AFFECT_CONFIG) != 0) {
        conf = vsr_session_load_conf(fd, error);
        if (conf == NULL || !vsr_change_definition(change, conf, error))
            return false;
        text = vsr_domain_xml_format(conf, -1, 0);
    }
    if ((flags & VISOR_AFFECT_LIVE) != 0 &&
        !change_live(conn, fd, change, error))
        return false;
    return text == NULL || vsr_folder_write(fd, "domain.xml", text, error);
}

bool vsr_session_change(vsr_conn *conn, const char *uuid, vsr_change_kind kind,
                        const char *text, uint64_t value, uint32_t flags,
                        GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    vsr_change change;
    int job = -1;
    bool ok;

    if (fd < 0)
        return false;
    ok = vsr_native_read_change(kind, text, value, &change, error);
    if (ok) {
        job = vsr_folder_lock(&vsr_session_of(conn)->root, uuid, fd,
                              vsr_session_deadline(conn), error);
        ok = job >= 0;
    }
    if (ok) {
        vsr_folder_view(fd, &view);
        ok = change_both(conn, fd, &view, &change, flags, error);
        vsr_folder_unlock(job);
    }
    vsr_change_clear(&change);
    return ok;
}
