/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * setup.c: see setup.h.
 *
 * Threads: any.
 */
#include "driver/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "driver/setup_devices.h"

enum { XML_MAX = VSR_XML_MAX * 2 }; /* what we format may be longer */

/* --- texts --------------------------------------------------------------- */

int vsr_text_to_fd(const char *text, GError **error)
{
    vsr_autofd fd = memfd_create("visor-text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc;

    if (fd < 0) {
        (void)vsr_fail_errno(error, errno, "Cannot make a memory file");
        return -1;
    }
    rc = vsr_write_all(fd, text, strlen(text));
    if (rc == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)vsr_fail_errno(error, rc, "Cannot fill a memory file");
        return -1;
    }
    return vsr_steal_fd(&fd);
}

char *vsr_text_from_fd(int fd, size_t max, GError **error)
{
    g_autofree char *text = NULL;
    struct stat st;
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size < 0 || (uint64_t)st.st_size > max) {
        (void)vsr_fail(error, VISOR_ERR_PROTOCOL,
                       "The peer sent a text that is missing or too long");
        return NULL;
    }
    text = g_try_malloc((size_t)st.st_size + 1);
    rc =
        text == NULL ? -ENOMEM : vsr_pread_all(fd, text, (size_t)st.st_size, 0);
    if (rc < 0) {
        (void)vsr_fail_errno(error, rc, "Cannot read the peer's text");
        return NULL;
    }
    text[st.st_size] = '\0';
    return g_steal_pointer(&text);
}

/* --- sending ------------------------------------------------------------- */

static vsr_json *format_resources(const vsr_vmm_resources *res,
                                  vsr_fd_list *list)
{
    vsr_json *json = vsr_json_new_object();
    vsr_json *serials = vsr_json_new_array();
    vsr_json *devices = vsr_json_new_array();

    vsr_fd_list_put(list, json, "kernel", res->kernel_fd);
    vsr_fd_list_put(list, json, "initrd", res->initrd_fd);
    vsr_fd_list_put(list, json, "firmware", res->firmware_fd);
    for (uint32_t i = 0; i < res->n_serials; i++)
        vsr_json_append(serials,
                        vsr_chardev_source_to_json(&res->serial[i], list));
    for (guint i = 0; res->devices != NULL && i < res->devices->len; i++)
        vsr_json_append(
            devices, vsr_device_resource_to_json(res->devices->pdata[i], list));
    vsr_json_set(json, "devices", devices);
    vsr_json_set(json, "serials", serials);
    return json;
}

bool vsr_setup_send(vsr_rpc_client *client, const vsr_setup *setup,
                    int64_t deadline_ns, GError **error)
{
    g_autoptr(vsr_json) result = NULL;
    vsr_autofd xml = vsr_text_to_fd(setup->xml, error);
    vsr_fd_list list = { .n = 0 };
    vsr_json *params;

    if (xml < 0)
        return false;
    params = vsr_json_new_object();
    vsr_json_set_int(params, "version", VSR_RPC_VERSION);
    vsr_json_set_string(params, "name", setup->name);
    vsr_json_set_string(params, "uuid", setup->uuid);
    vsr_json_set_int(params, "id", setup->id);
    vsr_json_set_bool(params, "paused", setup->paused);
    vsr_fd_list_put(&list, params, "xml", xml);
    vsr_fd_list_put(&list, params, "root", setup->root_fd);
    vsr_fd_list_put(&list, params, "folder", setup->folder_fd);
    vsr_json_set(params, "resources", format_resources(&setup->res, &list));
    if (list.is_full) {
        vsr_json_free(params);
        return vsr_fail(error, VISOR_ERR_RESOURCE,
                        "The domain's devices have more than %d files open",
                        (int)VSR_FRAME_FDS - 6);
    }
    result = vsr_rpc_call(client, "setup", params, list.fd, list.n, NULL,
                          deadline_ns, error);
    return result != NULL;
}

/* --- receiving ----------------------------------------------------------- */

void vsr_setup_clear(vsr_setup *setup)
{
    g_clear_pointer(&setup->xml, g_free);
    vsr_close(setup->root_fd);
    vsr_close(setup->folder_fd);
    setup->root_fd = setup->folder_fd = -1;
    vsr_vmm_resources_clear(&setup->res);
}

static bool parse_devices(vsr_message *message, const vsr_json *devices,
                          vsr_vmm_resources *out)
{
    out->devices = vsr_device_resources_new();
    for (uint32_t i = 0; i < vsr_json_len(devices); i++) {
        vsr_device_resource *resource =
            vsr_device_resource_from_json(message, vsr_json_at(devices, i));

        if (resource == NULL)
            return false;
        g_ptr_array_add(out->devices, resource);
    }
    return true;
}

static bool parse_resources(vsr_message *message, const vsr_json *json,
                            vsr_vmm_resources *out)
{
    const vsr_json *serials = vsr_json_get(json, "serials");

    out->kernel_fd = vsr_message_take_fd(message, json, "kernel");
    out->initrd_fd = vsr_message_take_fd(message, json, "initrd");
    out->firmware_fd = vsr_message_take_fd(message, json, "firmware");
    if (vsr_json_len(serials) > VSR_SERIALS_MAX)
        return false;
    for (uint32_t i = 0; i < vsr_json_len(serials); i++) {
        vsr_chardev_source *source = &out->serial[out->n_serials++];

        source->fd = source->out_fd = source->dir_fd = -1;
        if (!vsr_chardev_source_from_json(message, vsr_json_at(serials, i),
                                          source))
            return false;
    }
    return parse_devices(message, vsr_json_get(json, "devices"), out);
}

static bool parse_setup(vsr_message *message, vsr_setup *out, int64_t *id_out,
                        GError **error)
{
    const vsr_json *params = vsr_json_get(message->json, "params");
    const char *method = NULL, *name = NULL, *uuid = NULL;
    int64_t version = 0, id = 0;
    vsr_autofd xml = -1;

    if (!vsr_json_get_int(message->json, "id", 0, INT64_MAX, id_out) ||
        !vsr_json_get_string(message->json, "method", &method) ||
        strcmp(method, "setup") != 0 ||
        !vsr_json_get_int(params, "version", 1, INT32_MAX, &version))
        return vsr_fail(error, VISOR_ERR_PROTOCOL,
                        "The first call is no setup");
    if (version != VSR_RPC_VERSION)
        return vsr_fail(error, VISOR_ERR_PROTOCOL,
                        "The library speaks version %d, visor-vmm %d",
                        (int)version, (int)VSR_RPC_VERSION);
    xml = vsr_message_take_fd(message, params, "xml");
    out->root_fd = vsr_message_take_fd(message, params, "root");
    out->folder_fd = vsr_message_take_fd(message, params, "folder");
    if (out->root_fd < 0 || out->folder_fd < 0 ||
        !vsr_json_get_string(params, "name", &name) ||
        !vsr_json_get_string(params, "uuid", &uuid) || strlen(uuid) != 36 ||
        strlen(name) >= sizeof(out->name) ||
        !vsr_json_get_int(params, "id", 1, INT32_MAX, &id) ||
        !vsr_json_get_bool(params, "paused", &out->paused) ||
        !parse_resources(message, vsr_json_get(params, "resources"), &out->res))
        return vsr_fail(error, VISOR_ERR_PROTOCOL, "The setup makes no sense");
    g_strlcpy(out->name, name, sizeof(out->name));
    g_strlcpy(out->uuid, uuid, sizeof(out->uuid));
    out->id = (int)id;
    out->xml = vsr_text_from_fd(xml, XML_MAX, error);
    return out->xml != NULL;
}

bool vsr_setup_recv(vsr_frame_reader *reader, int fd, int64_t deadline_ns,
                    vsr_setup *out, int64_t *id_out, GError **error)
{
    vsr_message message = { 0 };
    bool ok;

    memset(out, 0, sizeof(*out));
    out->root_fd = out->folder_fd = -1;
    out->res.kernel_fd = out->res.initrd_fd = out->res.firmware_fd = -1;
    if (!vsr_message_recv(reader, fd, deadline_ns, &message, error))
        return false;
    ok = parse_setup(&message, out, id_out, error);
    vsr_message_clear(&message);
    if (!ok)
        vsr_setup_clear(out);
    return ok;
}
