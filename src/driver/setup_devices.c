/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * setup_devices.c: see setup_devices.h.
 *
 * Threads: any.
 */
#include "driver/setup_devices.h"

#include "base/fd.h"
#include "net/forwards.h"

void vsr_fd_list_put(vsr_fd_list *list, vsr_json *json, const char *key, int fd)
{
    if (fd < 0)
        return;
    if (list->n == VSR_FRAME_FDS) {
        list->is_full = true;
        return;
    }
    vsr_json_set_int(json, key, list->n);
    list->fd[list->n++] = fd;
}

int vsr_message_take_fd(vsr_message *message, const vsr_json *json,
                        const char *key)
{
    int64_t index = 0;

    if (!vsr_json_get_int(json, key, 0, (int64_t)message->n_fds - 1, &index))
        return -1;
    return vsr_steal_fd(&message->fds[index]);
}

static void set_text(vsr_json *json, const char *key, const char *text)
{
    if (text != NULL)
        vsr_json_set_string(json, key, text);
}

static char *get_text(const vsr_json *json, const char *key)
{
    const char *text = NULL;

    (void)vsr_json_get_string(json, key, &text);
    return g_strdup(text);
}

/* --- character devices ------------------------------------------------------------ */

vsr_json *vsr_chardev_source_to_json(const vsr_chardev_source *source,
                                     vsr_fd_list *list)
{
    vsr_json *json = vsr_json_new_object();

    vsr_json_set_int(json, "kind", (int64_t)source->kind);
    vsr_json_set_bool(json, "listening", source->is_listening);
    set_text(json, "path", source->path);
    vsr_fd_list_put(list, json, "fd", source->fd);
    vsr_fd_list_put(list, json, "out_fd", source->out_fd);
    if (source->is_listening)
        vsr_fd_list_put(list, json, "folder", source->dir_fd);
    return json;
}

bool vsr_chardev_source_from_json(vsr_message *message, const vsr_json *json,
                                  vsr_chardev_source *out)
{
    int64_t kind = 0;

    out->fd = vsr_message_take_fd(message, json, "fd");
    out->out_fd = vsr_message_take_fd(message, json, "out_fd");
    out->dir_fd = vsr_message_take_fd(message, json, "folder");
    out->path = get_text(json, "path");
    if (!vsr_json_get_int(json, "kind", 0, VSR_CHARDEV_FD, &kind))
        return false;
    out->kind = (vsr_chardev_kind)kind;
    (void)vsr_json_get_bool(json, "listening", &out->is_listening);
    if (out->is_listening && (out->dir_fd < 0 || out->path == NULL))
        return false;
    return out->kind == VSR_CHARDEV_NULL || out->fd >= 0 || out->out_fd >= 0;
}

/* --- disks --------------------------------------------------------------------------- */

static vsr_json *block_to_json(const vsr_block_source *source,
                               vsr_fd_list *list)
{
    vsr_json *images = vsr_json_new_array();

    for (uint32_t i = 0; i < source->n; i++) {
        const vsr_block_image *image = &source->image[i];
        vsr_json *json = vsr_json_new_object();

        vsr_json_set_int(json, "format", (int64_t)image->format);
        vsr_json_set_int(json, "protocol", (int64_t)image->protocol);
        vsr_json_set_bool(json, "readonly", image->readonly);
        set_text(json, "name", image->name);
        set_text(json, "export", image->export);
        vsr_fd_list_put(list, json, "fd", image->fd);
        vsr_json_append(images, json);
    }
    return images;
}

static bool block_from_json(vsr_message *message, const vsr_json *images,
                            vsr_block_source *out)
{
    if (vsr_json_len(images) == 0 || vsr_json_len(images) > VSR_BLOCK_CHAIN_MAX)
        return false;
    for (uint32_t i = 0; i < vsr_json_len(images); i++) {
        const vsr_json *json = vsr_json_at(images, i);
        vsr_block_image *image = &out->image[out->n++];
        int64_t format = 0, protocol = 0;

        image->fd = vsr_message_take_fd(message, json, "fd");
        image->name = get_text(json, "name");
        image->export = get_text(json, "export");
        if (!vsr_json_get_int(json, "format", 0, VSR_BLOCK_QCOW2, &format) ||
            !vsr_json_get_int(json, "protocol", 0, VSR_BLOCK_NBD, &protocol) ||
            !vsr_json_get_bool(json, "readonly", &image->readonly) ||
            image->name == NULL || image->fd < 0)
            return false;
        image->format = (vsr_block_format)format;
        image->protocol = (vsr_block_protocol)protocol;
    }
    return true;
}

/* --- networks ------------------------------------------------------------------------ */

static vsr_json *rate_to_json(const vsr_net_rate *rate)
{
    vsr_json *json = vsr_json_new_object();

    vsr_json_set_uint(json, "average", rate->average);
    vsr_json_set_uint(json, "peak", rate->peak);
    vsr_json_set_uint(json, "burst", rate->burst);
    return json;
}

static void rate_from_json(const vsr_json *json, vsr_net_rate *out)
{
    (void)vsr_json_get_uint(json, "average", &out->average);
    (void)vsr_json_get_uint(json, "peak", &out->peak);
    (void)vsr_json_get_uint(json, "burst", &out->burst);
}

static vsr_json *forwards_to_json(const GArray *forwards)
{
    vsr_json *array = vsr_json_new_array();

    for (guint i = 0; forwards != NULL && i < forwards->len; i++) {
        const vsr_net_forward *f = &g_array_index(forwards, vsr_net_forward, i);
        vsr_json *json = vsr_json_new_object();

        vsr_json_set_bool(json, "udp", f->is_udp);
        set_text(json, "host_addr", f->host_addr);
        vsr_json_set_int(json, "host_port", f->host_port);
        vsr_json_set_int(json, "guest_port", f->guest_port);
        vsr_json_append(array, json);
    }
    return array;
}

static GArray *forwards_from_json(const vsr_json *array)
{
    GArray *forwards = vsr_net_forwards_new();

    for (uint32_t i = 0; i < vsr_json_len(array); i++) {
        const vsr_json *json = vsr_json_at(array, i);
        int64_t host = 0, guest = 0;
        vsr_net_forward forward = { 0 };

        if (!vsr_json_get_int(json, "host_port", 1, UINT16_MAX, &host) ||
            !vsr_json_get_int(json, "guest_port", 1, UINT16_MAX, &guest))
            continue;
        (void)vsr_json_get_bool(json, "udp", &forward.is_udp);
        forward.host_port = (uint16_t)host;
        forward.guest_port = (uint16_t)guest;
        forward.host_addr = get_text(json, "host_addr");
        g_array_append_val(forwards, forward);
    }
    return forwards;
}

static vsr_json *net_to_json(const vsr_net_source *source, vsr_fd_list *list)
{
    vsr_json *json = vsr_json_new_object();
    vsr_json *queues = vsr_json_new_array();

    vsr_json_set_int(json, "kind", (int64_t)source->kind);
    set_text(json, "name", source->name);
    vsr_json_set_int(json, "n", source->n);
    vsr_json_set_int(json, "mtu", source->mtu);
    vsr_json_set_bool(json, "vnet_hdr", source->vnet_hdr);
    vsr_fd_list_put(list, json, "hold", source->hold_fd);
    for (uint32_t i = 0; i < source->n; i++) {
        vsr_json *queue = vsr_json_new_object();

        vsr_fd_list_put(list, queue, "fd", source->fd[i]);
        vsr_json_append(queues, queue);
    }
    vsr_json_set(json, "queues", queues);
    vsr_json_set(json, "forwards", forwards_to_json(source->forwards));
    vsr_json_set(json, "in", rate_to_json(&source->in));
    vsr_json_set(json, "out", rate_to_json(&source->out));
    return json;
}

static bool net_from_json(vsr_message *message, const vsr_json *json,
                          vsr_net_source *out)
{
    const vsr_json *queues = vsr_json_get(json, "queues");
    int64_t kind = 0, n = 0, mtu = 0;

    for (uint32_t i = 0; i < VSR_NET_QUEUES_MAX; i++)
        out->fd[i] = vsr_message_take_fd(message, vsr_json_at(queues, i), "fd");
    out->hold_fd = vsr_message_take_fd(message, json, "hold");
    out->name = get_text(json, "name");
    out->forwards = forwards_from_json(vsr_json_get(json, "forwards"));
    rate_from_json(vsr_json_get(json, "in"), &out->in);
    rate_from_json(vsr_json_get(json, "out"), &out->out);
    if (!vsr_json_get_int(json, "kind", 0, VSR_NET_NULL, &kind) ||
        !vsr_json_get_int(json, "n", 1, VSR_NET_QUEUES_MAX, &n) ||
        !vsr_json_get_int(json, "mtu", 0, UINT16_MAX, &mtu) ||
        !vsr_json_get_bool(json, "vnet_hdr", &out->vnet_hdr))
        return false;
    out->kind = (vsr_net_kind)kind;
    out->n = (uint32_t)n;
    out->mtu = (uint32_t)mtu;
    return true;
}

/* --- all -------------------------------------------------------------------------------- */

vsr_json *vsr_device_resource_to_json(const vsr_device_resource *r,
                                      vsr_fd_list *list)
{
    vsr_json *json = vsr_json_new_object();

    vsr_json_set_int(json, "kind", (int64_t)r->kind);
    if (r->kind == VSR_DEVICE_DISK)
        vsr_json_set(json, "images", block_to_json(&r->block, list));
    if (r->kind == VSR_DEVICE_INTERFACE)
        vsr_json_set(json, "net", net_to_json(&r->net, list));
    if (r->kind == VSR_DEVICE_CHANNEL || r->kind == VSR_DEVICE_VSOCK)
        vsr_json_set(json, "chardev",
                     vsr_chardev_source_to_json(&r->chardev, list));
    vsr_fd_list_put(list, json, "fd", r->fd);
    vsr_fd_list_put(list, json, "dir_fd", r->dir_fd);
    return json;
}

vsr_device_resource *vsr_device_resource_from_json(vsr_message *message,
                                                   const vsr_json *json)
{
    g_autoptr(vsr_device_resource) r = NULL;
    int64_t kind = 0;
    bool ok = true;

    if (!vsr_json_get_int(json, "kind", 0, VSR_DEVICE_KINDS - 1, &kind))
        return NULL;
    r = vsr_device_resource_new((vsr_device_kind)kind);
    if (r->kind == VSR_DEVICE_DISK)
        ok = block_from_json(message, vsr_json_get(json, "images"), &r->block);
    if (r->kind == VSR_DEVICE_INTERFACE)
        ok = net_from_json(message, vsr_json_get(json, "net"), &r->net);
    if (r->kind == VSR_DEVICE_CHANNEL || r->kind == VSR_DEVICE_VSOCK)
        ok = vsr_chardev_source_from_json(
            message, vsr_json_get(json, "chardev"), &r->chardev);
    r->fd = vsr_message_take_fd(message, json, "fd");
    r->dir_fd = vsr_message_take_fd(message, json, "dir_fd");
    return ok ? g_steal_pointer(&r) : NULL;
}
