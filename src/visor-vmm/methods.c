/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * methods.c: what visor-vmm answers on its control socket.
 *
 * Threads: the server's loop. Calls into the runtime wait for its control
 *          thread; states are answered from our own copy.
 */
#include <string.h>

#include <visor/domain.h>

#include "base/error.h"
#include "driver/change_json.h"
#include "driver/native.h"
#include "driver/setup_devices.h"
#include "visor-vmm/vmm_main.h"
#include "xml/device.h"
#include "xml/domain.h"

/* The runtime, or NULL with STATE while it is being built or taken down. */
static vsr_vmm *vmm_of(vmm_process *p, GError **error)
{
    vsr_vmm *vmm;

    g_mutex_lock(&p->lock);
    vmm = p->is_ended ? NULL : p->vmm;
    g_mutex_unlock(&p->lock);
    if (vmm == NULL)
        (void)vsr_fail(error, VISOR_ERR_STATE, "The domain is not running");
    return vmm;
}

static vsr_json *method_hello(void *opaque, vsr_rpc_peer *peer,
                              const vsr_json *params, int *fd_out,
                              GError **error)
{
    vsr_json *result = vsr_json_new_object();

    vsr_json_set_int(result, "version", VSR_RPC_VERSION);
    vsr_json_set_string(result, "library", VSR_VERSION);
    return result;
}

static vsr_json *simple(vmm_process *p, bool (*fn)(vsr_vmm *, GError **),
                        GError **error)
{
    vsr_vmm *vmm = vmm_of(p, error);

    if (vmm == NULL || !fn(vmm, error))
        return NULL;
    return vsr_json_new_object();
}

static vsr_json *method_suspend(void *opaque, vsr_rpc_peer *peer,
                                const vsr_json *params, int *fd_out,
                                GError **error)
{
    return simple(opaque, vsr_vmm_suspend, error);
}

static vsr_json *method_resume(void *opaque, vsr_rpc_peer *peer,
                               const vsr_json *params, int *fd_out,
                               GError **error)
{
    return simple(opaque, vsr_vmm_resume, error);
}

static vsr_json *method_reset(void *opaque, vsr_rpc_peer *peer,
                              const vsr_json *params, int *fd_out,
                              GError **error)
{
    return simple(opaque, vsr_vmm_reset, error);
}

static vsr_json *method_shutdown(void *opaque, vsr_rpc_peer *peer,
                                 const vsr_json *params, int *fd_out,
                                 GError **error)
{
    return simple(opaque, vsr_vmm_shutdown, error);
}

static vsr_json *method_reboot(void *opaque, vsr_rpc_peer *peer,
                               const vsr_json *params, int *fd_out,
                               GError **error)
{
    return simple(opaque, vsr_vmm_reboot, error);
}

static vsr_json *method_destroy(void *opaque, vsr_rpc_peer *peer,
                                const vsr_json *params, int *fd_out,
                                GError **error)
{
    vmm_process *p = opaque;
    vsr_vmm *vmm = vmm_of(p, NULL);

    vmm_process_job_begin(p, "destroy");
    if (vmm != NULL)
        return vsr_vmm_destroy(vmm, error) ? vsr_json_new_object() : NULL;
    /* Not built yet: main sees it when it is, or has failed. */
    vmm_process_end(p);
    return vsr_json_new_object();
}

static vsr_json *method_state(void *opaque, vsr_rpc_peer *peer,
                              const vsr_json *params, int *fd_out,
                              GError **error)
{
    vmm_process *p = opaque;
    vsr_json *result = vsr_json_new_object();

    g_mutex_lock(&p->lock);
    vsr_json_set_int(result, "state", p->status.state);
    vsr_json_set_int(result, "reason", p->status.reason);
    vsr_json_set_int(result, "exit_status", p->status.exit_status);
    g_mutex_unlock(&p->lock);
    return result;
}

static vsr_json *method_subscribe(void *opaque, vsr_rpc_peer *peer,
                                  const vsr_json *params, int *fd_out,
                                  GError **error)
{
    vmm_process *p = opaque;
    vsr_json *result = vsr_json_new_object();

    /* Broadcasts go through this loop, so that none falls in between; one that
     * is told twice has the same number. */
    vsr_rpc_peer_subscribe(peer);
    g_mutex_lock(&p->lock);
    vsr_json_set_int(result, "run", p->setup.id);
    vsr_json_set(result, "events", vsr_status_events_format(&p->status));
    g_mutex_unlock(&p->lock);
    return result;
}

static void pick_cpu_time(const char *name, uint64_t value, void *opaque)
{
    if (strcmp(name, "cpu.time") == 0)
        *(uint64_t *)opaque = value;
}

static vsr_json *method_info(void *opaque, vsr_rpc_peer *peer,
                             const vsr_json *params, int *fd_out,
                             GError **error)
{
    vmm_process *p = opaque;
    vsr_vmm *vmm = vmm_of(p, NULL);
    vsr_json *result = vsr_json_new_object();
    vsr_domain_info info = { 0 };

    if (vmm != NULL) {
        g_autoptr(vsr_domain_conf) live = vsr_vmm_conf(vmm);

        vsr_native_info_of(live, &info);
        (void)vsr_vmm_stats(vmm, pick_cpu_time, &info.cpu_time_ns, NULL);
    } else {
        g_mutex_lock(&p->lock);
        vsr_native_info_of(p->conf, &info);
        g_mutex_unlock(&p->lock);
    }
    vsr_json_set_uint(result, "max_memory_kib", info.max_memory_kib);
    vsr_json_set_uint(result, "memory_kib", info.memory_kib);
    vsr_json_set_uint(result, "vcpus", info.vcpus);
    vsr_json_set_uint(result, "max_vcpus", info.max_vcpus);
    vsr_json_set_uint(result, "cpu_time_ns", info.cpu_time_ns);
    return result;
}

static void add_stat(const char *name, uint64_t value, void *opaque)
{
    vsr_json_set_uint(opaque, name, value);
}

static vsr_json *method_stats(void *opaque, vsr_rpc_peer *peer,
                              const vsr_json *params, int *fd_out,
                              GError **error)
{
    vsr_vmm *vmm = vmm_of(opaque, error);
    g_autoptr(vsr_json) result = vsr_json_new_object();

    if (vmm == NULL || !vsr_vmm_stats(vmm, add_stat, result, error))
        return NULL;
    return g_steal_pointer(&result);
}

static vsr_json *method_xml(void *opaque, vsr_rpc_peer *peer,
                            const vsr_json *params, int *fd_out, GError **error)
{
    vmm_process *p = opaque;
    g_autoptr(vsr_domain_conf) live = NULL;
    g_autofree char *text = NULL;
    bool inactive = false;
    vsr_vmm *vmm;

    (void)vsr_json_get_bool(params, "inactive", &inactive);
    vmm = inactive ? NULL : vmm_of(p, NULL);
    live = vmm != NULL ? vsr_vmm_conf(vmm) : NULL;
    g_mutex_lock(&p->lock);
    if (live == NULL) {
        live = vsr_domain_conf_copy(p->conf);
    } else {
        g_free(live->title);
        g_free(live->description);
        g_free(live->metadata);
        live->title = g_strdup(p->conf->title);
        live->description = g_strdup(p->conf->description);
        live->metadata = g_strdup(p->conf->metadata);
    }
    g_mutex_unlock(&p->lock);
    text = vsr_domain_xml_format(live, inactive ? -1 : p->setup.id,
                                 inactive ? 0 : VSR_XML_LIVE);
    *fd_out = vsr_text_to_fd(text, error);
    return *fd_out < 0 ? NULL : vsr_json_new_object();
}

static vsr_json *method_console(void *opaque, vsr_rpc_peer *peer,
                                const vsr_json *params, int *fd_out,
                                GError **error)
{
    vsr_vmm *vmm = vmm_of(opaque, error);
    bool replay = false, force = false;
    int64_t port = 0;

    if (vmm == NULL)
        return NULL;
    (void)vsr_json_get_bool(params, "replay", &replay);
    (void)vsr_json_get_bool(params, "force", &force);
    if (!vsr_json_get_int(params, "port", 0, UINT32_MAX, &port)) {
        (void)vsr_fail(error, VISOR_ERR_PROTOCOL, "No port is named");
        return NULL;
    }
    *fd_out = vsr_vmm_console(vmm, (uint32_t)port, replay, force, error);
    return *fd_out < 0 ? NULL : vsr_json_new_object();
}

static vsr_json *method_metadata(void *opaque, vsr_rpc_peer *peer,
                                 const vsr_json *params, int *fd_out,
                                 GError **error)
{
    vmm_process *p = opaque;
    const char *value = NULL, *key = NULL, *uri = NULL;
    int64_t kind = 0;
    bool ok;

    (void)vsr_json_get_string(params, "value", &value);
    (void)vsr_json_get_string(params, "key", &key);
    (void)vsr_json_get_string(params, "uri", &uri);
    if (!vsr_json_get_int(params, "kind", 0, VISOR_METADATA_ELEMENT, &kind) ||
        (kind == VISOR_METADATA_ELEMENT && uri == NULL)) {
        (void)vsr_fail(error, VISOR_ERR_PROTOCOL, "No kind or uri is named");
        return NULL;
    }
    g_mutex_lock(&p->lock);
    ok = vsr_native_set_metadata(p->conf, (int)kind, value, key, uri, error);
    g_mutex_unlock(&p->lock);
    return ok ? vsr_json_new_object() : NULL;
}

/* What came with a device, or NULL. */
static vsr_device_resource *resource_of(vmm_process *p, vsr_rpc_peer *peer,
                                        const vsr_json *params,
                                        vsr_device_kind kind, GError **error)
{
    g_autoptr(vsr_device_resource) resource = vsr_device_resource_from_json(
        vsr_rpc_peer_message(peer), vsr_json_get(params, "resource"));

    if (resource == NULL || resource->kind != kind) {
        (void)vsr_fail(error, VISOR_ERR_PROTOCOL,
                       "What came with the device makes no sense");
        return NULL;
    }
    return vmm_process_keep_device(p, resource, error)
               ? g_steal_pointer(&resource)
               : NULL;
}

static vsr_json *is_done(vsr_vmm *vmm, const vsr_change *change)
{
    vsr_json *result = vsr_json_new_object();

    vsr_json_set_bool(result, "is_done", vsr_vmm_is_changed(vmm, change));
    return result;
}

static vsr_json *method_change(void *opaque, vsr_rpc_peer *peer,
                               const vsr_json *params, int *fd_out,
                               GError **error)
{
    vsr_vmm *vmm = vmm_of(opaque, error);
    vsr_device_resource *resource = NULL;
    vsr_json *result = NULL;
    vsr_change change = { 0 };
    bool ok = vmm != NULL && vsr_change_from_json(params, &change, error);

    if (ok && (change.kind == VSR_CHANGE_ATTACH ||
               (change.kind == VSR_CHANGE_UPDATE &&
                vsr_json_get(params, "resource") != NULL))) {
        resource =
            resource_of(opaque, peer, params, change.device->kind, error);
        ok = resource != NULL;
    }
    if (ok && vsr_vmm_change(vmm, &change, resource, error))
        result = is_done(vmm, &change);
    vsr_change_clear(&change);
    return result;
}

static vsr_json *method_is_changed(void *opaque, vsr_rpc_peer *peer,
                                   const vsr_json *params, int *fd_out,
                                   GError **error)
{
    vsr_vmm *vmm = vmm_of(opaque, error);
    vsr_json *result = NULL;
    vsr_change change = { 0 };

    if (vmm != NULL && vsr_change_from_json(params, &change, error))
        result = is_done(vmm, &change);
    vsr_change_clear(&change);
    return result;
}

/* What a device is now, and its link on the host. */
static vsr_json *method_device(void *opaque, vsr_rpc_peer *peer,
                               const vsr_json *params, int *fd_out,
                               GError **error)
{
    vsr_vmm *vmm = vmm_of(opaque, error);
    g_autoptr(vsr_device_conf) live = NULL;
    g_autofree char *xml = NULL;
    vsr_json *result = NULL;
    vsr_change change = { 0 };
    bool ok = vmm != NULL && vsr_change_from_json(params, &change, error);

    if (ok && change.device == NULL)
        (void)vsr_fail(error, VISOR_ERR_PROTOCOL, "No device is named");
    else if (ok)
        live = vsr_vmm_device(vmm, change.device, fd_out, error);
    vsr_change_clear(&change);
    if (live == NULL)
        return NULL;
    xml = vsr_device_xml_format(live, true);
    result = vsr_json_new_object();
    vsr_json_set_string(result, "device", xml);
    return result;
}

const vsr_rpc_method vmm_methods[] = {
    { "hello", method_hello },         { "state", method_state },
    { "suspend", method_suspend },     { "resume", method_resume },
    { "reset", method_reset },         { "shutdown", method_shutdown },
    { "reboot", method_reboot },       { "destroy", method_destroy },
    { "subscribe", method_subscribe }, { "info", method_info },
    { "stats", method_stats },         { "xml", method_xml },
    { "console", method_console },     { "metadata", method_metadata },
    { "change", method_change },       { "is_changed", method_is_changed },
    { "device", method_device },       { NULL, NULL },
};
