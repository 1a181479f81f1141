/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_other.c: <rng>, <memballoon>, <vsock>, <channel>, <filesystem>.
 *
 * Threads: any.
 */
#include "xml/device_parts.h"

#include <string.h>

#include "base/util.h"

static bool read_virtio(const xmlNode *node, GError **error)
{
    static const char *const models[] = { "virtio", NULL };
    int model = 0;

    return vsr_xml_attr_choice(node, "model", models, &model, error);
}

/* --- <rng> -------------------------------------------------------------------------- */

static bool read_rng_rate(const xmlNode *node, void *to, GError **error)
{
    vsr_rng_conf *rng = &((vsr_device_conf *)to)->rng;
    uint32_t bytes = 0;

    rng->rate_period_ms = 1000;
    if (!vsr_xml_attr_u32(node, "bytes", &bytes, error) ||
        !vsr_xml_attr_u32(node, "period", &rng->rate_period_ms, error))
        return false;
    if (bytes == 0 || rng->rate_period_ms == 0)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'rate': bytes and period are above 0");
    rng->rate_bytes = bytes;
    return true;
}

static bool read_rng_backend(const xmlNode *node, void *to, GError **error)
{
    static const char *const models[] = { "random", "builtin", NULL };
    g_autofree char *path = NULL;
    int model = 0;

    if (!vsr_xml_attr_choice(node, "model", models, &model, error) ||
        !vsr_xml_text(node, &path, error))
        return false;
    if (path != NULL && strcmp(path, "/dev/urandom") != 0 &&
        strcmp(path, "/dev/random") != 0)
        return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                            "'backend': '%.64s' is none of /dev/urandom and "
                            "/dev/random, the host's only source",
                            path);
    return true;
}

bool vsr_device_read_rng(const xmlNode *node, vsr_device_conf *device,
                         GError **error)
{
    static const vsr_xml_element elements[] = {
        { "rate", "bytes period ", read_rng_rate, VSR_XML_EMPTY },
        { "backend", "model ", read_rng_backend, 0 },
        VSR_DEVICE_COMMON,
    };

    return read_virtio(node, error) &&
           vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements),
                                 device, error);
}

void vsr_device_write_rng(vsr_xml_writer *w, const vsr_device_conf *device,
                          bool is_live)
{
    vsr_xml_put_attr(w, "model", "virtio");
    vsr_xml_end_open(w);
    if (device->rng.rate_bytes != 0) {
        vsr_xml_open(w, "rate");
        vsr_xml_put_attr_u64(w, "bytes", device->rng.rate_bytes);
        vsr_xml_put_attr_u64(w, "period", device->rng.rate_period_ms);
        vsr_xml_end_empty(w);
    }
    vsr_xml_open(w, "backend");
    vsr_xml_put_attr(w, "model", "random");
    vsr_xml_end_text(w, "backend", "/dev/urandom");
}

/* --- <memballoon> ------------------------------------------------------------------- */

static bool read_stats(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_attr_u32(node, "period",
                            &((vsr_device_conf *)to)->balloon.stats_period_s,
                            error);
}

bool vsr_device_read_balloon(const xmlNode *node, vsr_device_conf *device,
                             GError **error)
{
    static const char *const models[] = { "virtio", "none", NULL };
    static const vsr_xml_element elements[] = {
        { "stats", "period ", read_stats, VSR_XML_EMPTY },
        VSR_DEVICE_COMMON,
    };
    vsr_balloon_conf *balloon = &device->balloon;
    int model = 0;

    if (!vsr_xml_attr_choice(node, "model", models, &model, error) ||
        !vsr_device_read_switch(node, "autodeflate", &balloon->autodeflate,
                                NULL, error) ||
        !vsr_device_read_switch(node, "freePageReporting",
                                &balloon->free_page_reporting, NULL, error))
        return false;
    balloon->none = model == 1;
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements),
                                 device, error);
}

void vsr_device_write_balloon(vsr_xml_writer *w, const vsr_device_conf *device,
                              bool is_live)
{
    const vsr_balloon_conf *balloon = &device->balloon;

    vsr_xml_put_attr(w, "model", balloon->none ? "none" : "virtio");
    if (balloon->autodeflate)
        vsr_xml_put_attr(w, "autodeflate", "on");
    if (balloon->free_page_reporting)
        vsr_xml_put_attr(w, "freePageReporting", "on");
    vsr_xml_end_open(w);
    if (balloon->stats_period_s != 0) {
        vsr_xml_open(w, "stats");
        vsr_xml_put_attr_u64(w, "period", balloon->stats_period_s);
        vsr_xml_end_empty(w);
    }
}

/* --- <vsock> ------------------------------------------------------------------------ */

static bool read_cid(const xmlNode *node, void *to, GError **error)
{
    vsr_vsock_conf *vsock = &((vsr_device_conf *)to)->vsock;

    return vsr_device_read_switch(node, "auto", &vsock->cid_auto, NULL,
                                  error) &&
           vsr_xml_attr_u32(node, "address", &vsock->cid, error);
}

static bool read_socket(const xmlNode *node, void *to, GError **error)
{
    vsr_device_take_attr(node, "path", &((vsr_device_conf *)to)->vsock.socket);
    return true;
}

bool vsr_device_read_vsock(const xmlNode *node, vsr_device_conf *device,
                           GError **error)
{
    static const vsr_xml_element elements[] = {
        { "cid", "auto address ", read_cid, VSR_XML_EMPTY },
        { "visor:socket", "path ", read_socket, VSR_XML_EMPTY },
        VSR_DEVICE_COMMON,
    };

    return read_virtio(node, error) &&
           vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements),
                                 device, error);
}

void vsr_device_write_vsock(vsr_xml_writer *w, const vsr_device_conf *device,
                            bool is_live)
{
    const vsr_vsock_conf *vsock = &device->vsock;

    vsr_xml_put_attr(w, "model", "virtio");
    vsr_xml_put_attr(w, "xmlns:visor", VSR_XML_NAMESPACE);
    vsr_xml_end_open(w);
    vsr_xml_open(w, "cid");
    vsr_xml_put_attr(w, "auto", vsock->cid_auto ? "yes" : "no");
    vsr_xml_put_attr_u64(w, "address", vsock->cid);
    vsr_xml_end_empty(w);
    vsr_xml_open(w, "visor:socket");
    vsr_xml_put_attr(w, "path", vsock->socket);
    vsr_xml_end_empty(w);
}

/* --- <channel> ---------------------------------------------------------------------- */

static bool read_channel_source(const xmlNode *node, void *to, GError **error)
{
    static const char *const modes[] = { "connect", "bind", NULL };
    vsr_channel_conf *channel = &((vsr_device_conf *)to)->channel;
    int mode = 1;

    if (!vsr_xml_attr_choice(node, "mode", modes, &mode, error))
        return false;
    channel->listen = mode == 1;
    vsr_device_take_attr(node, "path", &channel->path);
    return true;
}

static bool read_channel_target(const xmlNode *node, void *to, GError **error)
{
    static const char *const types[] = { "virtio", NULL };
    vsr_channel_conf *channel = &((vsr_device_conf *)to)->channel;
    int type = 0;

    vsr_device_take_attr(node, "name", &channel->name);
    return vsr_xml_attr_choice(node, "type", types, &type, error);
}

bool vsr_device_read_channel(const xmlNode *node, vsr_device_conf *device,
                             GError **error)
{
    static const char *const types[] = { "unix", "pty", NULL };
    static const vsr_xml_element elements[] = {
        { "source", "mode path ", read_channel_source, VSR_XML_EMPTY },
        { "target", "type name ", read_channel_target, VSR_XML_EMPTY },
        VSR_DEVICE_COMMON,
    };
    int type = -1;

    if (!vsr_xml_attr_choice(node, "type", types, &type, error))
        return false;
    if (type < 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'channel' has no attribute 'type'");
    device->channel.is_pty = type == 1;
    device->channel.listen = true;
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements),
                                 device, error);
}

void vsr_device_write_channel(vsr_xml_writer *w, const vsr_device_conf *device,
                              bool is_live)
{
    const vsr_channel_conf *channel = &device->channel;

    vsr_xml_put_attr(w, "type", channel->is_pty ? "pty" : "unix");
    vsr_xml_end_open(w);
    if (channel->path != NULL && (!channel->is_pty || is_live)) {
        vsr_xml_open(w, "source");
        if (!channel->is_pty)
            vsr_xml_put_attr(w, "mode", channel->listen ? "bind" : "connect");
        vsr_xml_put_attr(w, "path", channel->path);
        vsr_xml_end_empty(w);
    }
    vsr_xml_open(w, "target");
    vsr_xml_put_attr(w, "type", "virtio");
    vsr_xml_put_attr(w, "name", channel->name);
    vsr_xml_end_empty(w);
}

/* --- <filesystem> ------------------------------------------------------------------- */

static const char *const access_texts[] = { "passthrough", "mapped", "squash",
                                            NULL };

static bool read_fs_source(const xmlNode *node, void *to, GError **error)
{
    vsr_device_take_attr(node, "dir",
                         &((vsr_device_conf *)to)->filesystem.source);
    return true;
}

static bool read_fs_target(const xmlNode *node, void *to, GError **error)
{
    vsr_device_take_attr(node, "dir", &((vsr_device_conf *)to)->filesystem.tag);
    return true;
}

static bool read_fs_readonly(const xmlNode *node, void *to, GError **error)
{
    ((vsr_device_conf *)to)->filesystem.readonly = true;
    return true;
}

bool vsr_device_read_filesystem(const xmlNode *node, vsr_device_conf *device,
                                GError **error)
{
    static const char *const types[] = { "mount", NULL };
    static const vsr_xml_element elements[] = {
        { "source", "dir ", read_fs_source, VSR_XML_EMPTY },
        { "target", "dir ", read_fs_target, VSR_XML_EMPTY },
        { "readonly", "", read_fs_readonly, VSR_XML_EMPTY },
        VSR_DEVICE_COMMON,
    };
    vsr_filesystem_conf *filesystem = &device->filesystem;
    int type = 0, access = -1;

    if (!vsr_xml_attr_choice(node, "type", types, &type, error) ||
        !vsr_xml_attr_choice(node, "accessmode", access_texts, &access, error))
        return false;
    if (access >= 0) {
        filesystem->access_given = true;
        filesystem->access = (vsr_fs_access)access;
    }
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements),
                                 device, error);
}

void vsr_device_write_filesystem(vsr_xml_writer *w,
                                 const vsr_device_conf *device, bool is_live)
{
    const vsr_filesystem_conf *filesystem = &device->filesystem;

    vsr_xml_put_attr(w, "type", "mount");
    if (filesystem->access_given)
        vsr_xml_put_attr(w, "accessmode", access_texts[filesystem->access]);
    vsr_xml_end_open(w);
    vsr_xml_open(w, "source");
    vsr_xml_put_attr(w, "dir", filesystem->source);
    vsr_xml_end_empty(w);
    vsr_xml_open(w, "target");
    vsr_xml_put_attr(w, "dir", filesystem->tag);
    vsr_xml_end_empty(w);
    if (filesystem->readonly)
        vsr_xml_put_empty(w, "readonly");
}
