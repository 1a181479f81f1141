/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_disk.c: <disk>.
 *
 * Threads: any.
 */
#include "xml/device_parts.h"

#include <string.h>

#include "base/util.h"

static const char *const format_texts[] = { "raw", "qcow2", NULL };
static const char *const cache_texts[] = { "writeback",  "writethrough", "none",
                                           "directsync", "unsafe",       NULL };
/* VSR_BLOCK_AIO_*, from the second on. */
static const char *const aio_texts[] = { "threads", "io_uring", NULL };
static const char *const policy_texts[] = { "default", "stop",     "report",
                                            "ignore",  "enospace", NULL };
static const char *const discard_texts[] = { "ignore", "unmap", NULL };
static const char *const detect_texts[] = { "off", "on", "unmap", NULL };

/* The rows of <iotune>, in libvirt's order. */
static const struct {
    const char *name;
    size_t at;
} tunes[] = {
#define TUNE(name, field)                         \
    {                                             \
        name, offsetof(vsr_block_throttle, field) \
    }
    TUNE("total_bytes_sec", total_bytes),
    TUNE("read_bytes_sec", read_bytes),
    TUNE("write_bytes_sec", write_bytes),
    TUNE("total_iops_sec", total_iops),
    TUNE("read_iops_sec", read_iops),
    TUNE("write_iops_sec", write_iops),
    TUNE("total_bytes_sec_max", total_bytes_max),
    TUNE("read_bytes_sec_max", read_bytes_max),
    TUNE("write_bytes_sec_max", write_bytes_max),
    TUNE("total_iops_sec_max", total_iops_max),
    TUNE("read_iops_sec_max", read_iops_max),
    TUNE("write_iops_sec_max", write_iops_max),
    TUNE("size_iops_sec", size_iops),
    TUNE("total_bytes_sec_max_length", total_bytes_length),
    TUNE("read_bytes_sec_max_length", read_bytes_length),
    TUNE("write_bytes_sec_max_length", write_bytes_length),
    TUNE("total_iops_sec_max_length", total_iops_length),
    TUNE("read_iops_sec_max_length", read_iops_length),
    TUNE("write_iops_sec_max_length", write_iops_length),
#undef TUNE
};

/* --- reading ---------------------------------------------------------------------- */

static bool choice(const xmlNode *node, const char *name,
                   const char *const *texts, int *out, bool *given,
                   GError **error)
{
    int index = -1;

    if (!vsr_xml_attr_choice(node, name, texts, &index, error))
        return false;
    if (index >= 0)
        *out = index;
    *given = index >= 0;
    return true;
}

static bool read_driver(const xmlNode *node, void *to, GError **error)
{
    /* libvirt's other drivers are another hypervisor's. */
    static const char *const names[] = { "qemu", NULL };
    vsr_disk_conf *disk = &((vsr_device_conf *)to)->disk;
    int name = 0, format = 0, cache = 0, aio = 0, discard = 0, detect = 0;
    int policy = 0, rpolicy = 0;
    bool has_policy, has_rpolicy;

    if (!vsr_xml_attr_choice(node, "name", names, &name, error) ||
        !choice(node, "type", format_texts, &format, &disk->format_given,
                error) ||
        !choice(node, "cache", cache_texts, &cache, &disk->cache_given,
                error) ||
        !choice(node, "io", aio_texts, &aio, &disk->aio_given, error) ||
        !choice(node, "discard", discard_texts, &discard, &disk->discard_given,
                error) ||
        !choice(node, "detect_zeroes", detect_texts, &detect,
                &disk->detect_given, error) ||
        !choice(node, "error_policy", policy_texts, &policy, &has_policy,
                error) ||
        !choice(node, "rerror_policy", policy_texts, &rpolicy, &has_rpolicy,
                error) ||
        !vsr_xml_attr_u32(node, "queues", &disk->queues, error))
        return false;
    disk->source.format = (vsr_block_format)format;
    disk->options.cache = (vsr_block_cache)cache;
    if (disk->aio_given)
        disk->options.aio = (vsr_block_aio)(VSR_BLOCK_AIO_THREADS + aio);
    disk->options.discard = discard == 1;
    if (detect == 2 && !disk->options.discard)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'driver': detect_zeroes='unmap' needs "
                            "discard='unmap'");
    if (detect == 1)
        return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                            "'driver': detect_zeroes is 'off' or 'unmap'");
    disk->options.detect_zeroes = detect != 0;
    disk->error_policy = (vsr_error_policy)policy;
    disk->rerror_policy = (vsr_error_policy)rpolicy;
    return true;
}

static bool read_host(const xmlNode *node, void *to, GError **error)
{
    static const char *const transports[] = { "tcp", "unix", NULL };
    vsr_block_location *source = &((vsr_device_conf *)to)->disk.source;
    uint32_t port = 10809;
    int transport = 0;

    if (!vsr_xml_attr_choice(node, "transport", transports, &transport,
                             error) ||
        !vsr_xml_attr_u32(node, "port", &port, error))
        return false;
    vsr_device_take_attr(node, "socket", &source->path);
    vsr_device_take_attr(node, "name", &source->host);
    if ((transport == 1) != (source->path != NULL) ||
        (transport == 0) != (source->host != NULL))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'host' needs a name, or transport='unix' and a "
                            "socket");
    if (port == 0 || port > UINT16_MAX)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'host': port %u is none of 1 to 65535", port);
    source->port = (uint16_t)port;
    return true;
}

static bool read_source(const xmlNode *node, void *to, GError **error)
{
    static const char *const protocols[] = { "nbd", NULL };
    static const vsr_xml_element elements[] = {
        { "host", "name port transport socket ", read_host, VSR_XML_EMPTY },
    };
    vsr_disk_conf *disk = &((vsr_device_conf *)to)->disk;
    bool is_nbd = disk->source.protocol == VSR_BLOCK_NBD;
    const char *attr = is_nbd ? "name" : disk->is_block ? "dev" : "file";
    int protocol = -1;

    if (!vsr_xml_attr_choice(node, "protocol", protocols, &protocol, error) ||
        !vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                               error))
        return false;
    if (is_nbd != (protocol == 0) ||
        (!is_nbd && (node->children != NULL || !vsr_xml_attr(node, attr))))
        return vsr_xml_fail(node, VISOR_ERR_XML, error, "'source': %s",
                            is_nbd ? "a network disk's has protocol='nbd'"
                            : disk->is_block
                                ? "a disk of type 'block' has a 'dev'"
                                : "a disk of type 'file' has a 'file'");
    if (is_nbd && disk->source.host == NULL && disk->source.path == NULL)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'source' has no 'host'");
    vsr_device_take_attr(node, attr,
                         is_nbd ? &disk->source.export : &disk->source.path);
    return true;
}

static bool read_target(const xmlNode *node, void *to, GError **error)
{
    static const char *const buses[] = { "virtio", NULL };
    vsr_disk_conf *disk = &((vsr_device_conf *)to)->disk;
    int bus = 0;

    vsr_device_take_attr(node, "dev", &disk->target);
    return vsr_xml_attr_choice(node, "bus", buses, &bus, error);
}

static bool read_readonly(const xmlNode *node, void *to, GError **error)
{
    ((vsr_device_conf *)to)->disk.source.readonly = true;
    return true;
}

static bool read_shareable(const xmlNode *node, void *to, GError **error)
{
    ((vsr_device_conf *)to)->disk.source.shareable = true;
    return true;
}

static bool read_serial(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_text(node, &((vsr_device_conf *)to)->disk.serial, error);
}

static bool read_blockio(const xmlNode *node, void *to, GError **error)
{
    vsr_disk_conf *disk = &((vsr_device_conf *)to)->disk;

    return vsr_xml_attr_u32(node, "logical_block_size", &disk->logical_block,
                            error) &&
           vsr_xml_attr_u32(node, "physical_block_size", &disk->physical_block,
                            error);
}

static bool read_tune(const xmlNode *node, void *to, GError **error)
{
    uint8_t *throttle =
        (uint8_t *)&((vsr_device_conf *)to)->disk.options.throttle;

    for (size_t i = 0; i < VSR_ARRAY_SIZE(tunes); i++)
        if (strcmp(tunes[i].name, (const char *)node->name) == 0)
            return vsr_xml_text_u64(
                node, (uint64_t *)(void *)(throttle + tunes[i].at), error);
    return true;
}

static bool read_iotune(const xmlNode *node, void *to, GError **error)
{
    vsr_xml_element elements[VSR_ARRAY_SIZE(tunes)];

    for (size_t i = 0; i < VSR_ARRAY_SIZE(tunes); i++)
        elements[i] = (vsr_xml_element){ tunes[i].name, "", read_tune, 0 };
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

bool vsr_device_read_disk(const xmlNode *node, vsr_device_conf *device,
                          GError **error)
{
    static const char *const types[] = { "file", "block", "network", NULL };
    static const char *const devices[] = { "disk", NULL };
    static const vsr_xml_element elements[] = {
        { "driver",
          "name type cache error_policy rerror_policy io discard "
          "detect_zeroes queues ",
          read_driver, VSR_XML_EMPTY },
        { "source", "file dev protocol name ", read_source, 0 },
        { "target", "dev bus ", read_target, VSR_XML_EMPTY },
        { "iotune", "", read_iotune, 0 },
        { "readonly", "", read_readonly, VSR_XML_EMPTY },
        { "shareable", "", read_shareable, VSR_XML_EMPTY },
        { "serial", "", read_serial, 0 },
        { "blockio", "logical_block_size physical_block_size ", read_blockio,
          VSR_XML_EMPTY },
        VSR_DEVICE_COMMON,
    };
    int type = 0, kind = 0;

    if (!vsr_xml_attr_choice(node, "type", types, &type, error) ||
        !vsr_xml_attr_choice(node, "device", devices, &kind, error))
        return false;
    device->disk.is_block = type == 1;
    device->disk.source.protocol = type == 2 ? VSR_BLOCK_NBD : VSR_BLOCK_FILE;
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements),
                                 device, error);
}

/* --- writing ---------------------------------------------------------------------- */

static void write_driver(vsr_xml_writer *w, const vsr_disk_conf *disk)
{
    vsr_xml_open(w, "driver");
    vsr_xml_put_attr(w, "name", "qemu");
    vsr_xml_put_attr(w, "type", format_texts[disk->source.format]);
    if (disk->cache_given)
        vsr_xml_put_attr(w, "cache", cache_texts[disk->options.cache]);
    if (disk->error_policy != VSR_ERROR_POLICY_DEFAULT)
        vsr_xml_put_attr(w, "error_policy", policy_texts[disk->error_policy]);
    if (disk->rerror_policy != VSR_ERROR_POLICY_DEFAULT)
        vsr_xml_put_attr(w, "rerror_policy", policy_texts[disk->rerror_policy]);
    if (disk->aio_given)
        vsr_xml_put_attr(w, "io",
                         aio_texts[disk->options.aio - VSR_BLOCK_AIO_THREADS]);
    if (disk->discard_given)
        vsr_xml_put_attr(w, "discard", discard_texts[disk->options.discard]);
    if (disk->detect_given)
        vsr_xml_put_attr(w, "detect_zeroes",
                         disk->options.detect_zeroes ? "unmap" : "off");
    if (disk->queues != 0)
        vsr_xml_put_attr_u64(w, "queues", disk->queues);
    vsr_xml_end_empty(w);
}

static void write_source(vsr_xml_writer *w, const vsr_disk_conf *disk)
{
    const vsr_block_location *source = &disk->source;

    vsr_xml_open(w, "source");
    if (source->protocol == VSR_BLOCK_FILE) {
        vsr_xml_put_attr(w, disk->is_block ? "dev" : "file", source->path);
        vsr_xml_end_empty(w);
        return;
    }
    vsr_xml_put_attr(w, "protocol", "nbd");
    if (source->export != NULL)
        vsr_xml_put_attr(w, "name", source->export);
    vsr_xml_end_open(w);
    vsr_xml_open(w, "host");
    if (source->host != NULL) {
        vsr_xml_put_attr(w, "name", source->host);
        vsr_xml_put_attr_u64(w, "port", source->port);
    } else {
        vsr_xml_put_attr(w, "transport", "unix");
        vsr_xml_put_attr(w, "socket", source->path);
    }
    vsr_xml_end_empty(w);
    vsr_xml_close(w, "source");
}

static void write_iotune(vsr_xml_writer *w, const vsr_block_throttle *throttle)
{
    static const vsr_block_throttle none;

    if (memcmp(throttle, &none, sizeof(none)) == 0)
        return;
    vsr_xml_open(w, "iotune");
    vsr_xml_end_open(w);
    for (size_t i = 0; i < VSR_ARRAY_SIZE(tunes); i++) {
        uint64_t value;
        char text[24];

        memcpy(&value, (const uint8_t *)throttle + tunes[i].at, sizeof(value));
        (void)g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, value);
        if (value != 0)
            vsr_xml_put(w, tunes[i].name, text);
    }
    vsr_xml_close(w, "iotune");
}

void vsr_device_write_disk(vsr_xml_writer *w, const vsr_device_conf *device,
                           bool is_live)
{
    const vsr_disk_conf *disk = &device->disk;

    vsr_xml_put_attr(w, "type",
                     disk->source.protocol == VSR_BLOCK_NBD ? "network"
                     : disk->is_block                       ? "block"
                                                            : "file");
    vsr_xml_put_attr(w, "device", "disk");
    vsr_xml_end_open(w);
    write_driver(w, disk);
    write_source(w, disk);
    vsr_xml_open(w, "target");
    vsr_xml_put_attr(w, "dev", disk->target);
    vsr_xml_put_attr(w, "bus", "virtio");
    vsr_xml_end_empty(w);
    if (disk->logical_block != 0 || disk->physical_block != 0) {
        vsr_xml_open(w, "blockio");
        if (disk->logical_block != 0)
            vsr_xml_put_attr_u64(w, "logical_block_size", disk->logical_block);
        if (disk->physical_block != 0)
            vsr_xml_put_attr_u64(w, "physical_block_size",
                                 disk->physical_block);
        vsr_xml_end_empty(w);
    }
    write_iotune(w, &disk->options.throttle);
    if (disk->source.readonly)
        vsr_xml_put_empty(w, "readonly");
    if (disk->source.shareable)
        vsr_xml_put_empty(w, "shareable");
    vsr_xml_put(w, "serial", disk->serial);
}
