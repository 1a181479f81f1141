/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_devices.c: attaching and detaching devices: in a definition, in a
 * running domain, or in both, and then nothing changes unless both can be.
 *
 * Threads: any.
 */
#include <string.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "driver/native.h"
#include "driver/setup_devices.h"
#include "xml/device.h"
#include "xml/domain.h"

#define MS INT64_C(1000000)
enum { LOOK_MS = 5 }; /* between two looks whether the guest has let go */

/* --- definitions ------------------------------------------------------------------- */

static bool add_to(vsr_domain_conf *conf, const vsr_device_conf *device,
                   GError **error)
{
    vsr_device_conf *copy;
    char room[64];

    if (device->kind != VSR_DEVICE_RNG &&
        vsr_device_find_like(conf->devices, device) != NULL)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Domain '%s' has a <%s> '%s' already", conf->name,
                        vsr_device_kind_text(device->kind),
                        vsr_device_label(device, room));
    copy = vsr_device_conf_copy(device);
    g_ptr_array_add(conf->devices, copy);
    return vsr_domain_conf_complete(conf, error);
}

static bool remove_from(vsr_domain_conf *conf, const vsr_device_conf *device,
                        GError **error)
{
    vsr_device_conf *found = vsr_device_find_like(conf->devices, device);
    char room[64];

    if (found == NULL)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND,
                        "Domain '%s' has no <%s> '%s'", conf->name,
                        vsr_device_kind_text(device->kind),
                        vsr_device_label(device, room));
    (void)g_ptr_array_remove(conf->devices, found);
    return true;
}

bool vsr_native_change_device(vsr_domain_conf *conf,
                              const vsr_device_conf *device, bool is_attach,
                              GError **error)
{
    return is_attach ? add_to(conf, device, error)
                     : remove_from(conf, device, error);
}

/* What a change is for, when it was left open. */
bool vsr_native_choose_affect(bool is_active, bool is_persistent,
                              uint32_t *flags, GError **error)
{
    if (*flags == 0)
        *flags = is_active ? VISOR_AFFECT_LIVE : VISOR_AFFECT_CONFIG;
    if ((*flags & VISOR_AFFECT_LIVE) != 0 && !is_active)
        return vsr_fail(error, VISOR_ERR_STATE, "The domain is not running");
    if ((*flags & VISOR_AFFECT_CONFIG) != 0 && !is_persistent)
        return vsr_fail(error, VISOR_ERR_STATE,
                        "The domain is transient: it has no definition");
    return true;
}

bool vsr_native_still_there(const vsr_device_conf *device, GError **error)
{
    char room[64];

    return vsr_fail(
        error, VISOR_ERR_TIMEOUT, "The guest has not let go of <%s> '%s'",
        vsr_device_kind_text(device->kind), vsr_device_label(device, room));
}

/* --- session and system -------------------------------------------------------------- */

static bool ask_attach(vsr_conn *conn, int fd, const vsr_device_conf *device,
                       GError **error)
{
    g_autoptr(vsr_device_resource) resource =
        vsr_device_resource_open(device, error);
    g_autofree char *xml = vsr_device_xml_format(device, true);
    g_autoptr(vsr_json) result = NULL;
    vsr_fd_list list = { .n = 0 };
    vsr_json *params;

    if (resource == NULL)
        return false;
    params = vsr_json_new_object();
    vsr_json_set_string(params, "device", xml);
    vsr_json_set(params, "resource",
                 vsr_device_resource_to_json(resource, &list));
    result =
        vsr_session_ask_fds(conn, fd, "attach", params, list.fd, list.n, error);
    if (result != NULL && resource->chardev.is_listening)
        g_clear_pointer(&resource->chardev.path, g_free); /* it is theirs */
    return result != NULL;
}

/* Asks, then waits until it is gone. */
static bool ask_detach(vsr_conn *conn, int fd, const vsr_device_conf *device,
                       GError **error)
{
    int64_t deadline = vsr_session_deadline(conn);
    g_autofree char *xml = vsr_device_xml_format(device, true);
    bool is_there = true;

    for (const char *method = "detach";; method = "has_device") {
        vsr_json *params = vsr_json_new_object();
        g_autoptr(vsr_json) result = NULL;

        vsr_json_set_string(params, "device", xml);
        result = vsr_session_ask(conn, fd, method, params, NULL, error);
        if (result == NULL)
            return false;
        (void)vsr_json_get_bool(result, "is_there", &is_there);
        if (!is_there)
            return true;
        if (vsr_now_ns() >= deadline)
            return vsr_native_still_there(device, error);
        g_usleep(LOOK_MS * 1000);
    }
}

/* With the job lock held. The definition is made, the domain changed, and then
 * the definition stored. */
static bool session_change(vsr_conn *conn, int fd, const vsr_view *view,
                           const char *xml, uint32_t flags, bool is_attach,
                           GError **error)
{
    g_autoptr(vsr_device_conf) device =
        vsr_device_xml_parse(xml, strlen(xml), error);
    g_autoptr(vsr_domain_conf) conf = NULL;
    g_autofree char *text = NULL;

    if (device == NULL || !vsr_native_choose_affect(
                              view->active, view->persistent, &flags, error))
        return false;
    if ((flags & VISOR_AFFECT_CONFIG) != 0) {
        conf = vsr_session_load_conf(fd, error);
        if (conf == NULL ||
            !vsr_native_change_device(conf, device, is_attach, error))
            return false;
        text = vsr_domain_xml_format(conf, -1, 0);
    }
    if ((flags & VISOR_AFFECT_LIVE) != 0 &&
        !(is_attach ? ask_attach : ask_detach)(conn, fd, device, error))
        return false;
    return text == NULL || vsr_folder_write(fd, "domain.xml", text, error);
}

static bool session_device(vsr_conn *conn, const char *uuid, const char *xml,
                           uint32_t flags, bool is_attach, GError **error)
{
    vsr_view view;
    vsr_autofd fd = vsr_session_open_domain(conn, uuid, &view, error);
    int job;
    bool ok;

    if (fd < 0)
        return false;
    job = vsr_folder_lock(&vsr_session_of(conn)->root, uuid, fd,
                          vsr_session_deadline(conn), error);
    if (job < 0)
        return false;
    vsr_folder_view(fd, &view);
    ok = session_change(conn, fd, &view, xml, flags, is_attach, error);
    vsr_folder_unlock(job);
    return ok;
}

bool vsr_session_attach(vsr_conn *conn, const char *uuid, const char *xml,
                        uint32_t flags, GError **error)
{
    return session_device(conn, uuid, xml, flags, true, error);
}

bool vsr_session_detach(vsr_conn *conn, const char *uuid, const char *xml,
                        uint32_t flags, GError **error)
{
    return session_device(conn, uuid, xml, flags, false, error);
}
