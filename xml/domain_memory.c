/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_memory.c: <memory>, <currentMemory>, <maxMemory> and <memoryBacking>
 * of domain XML.
 *
 * Threads: any.
 */
#include "xml/domain_parts.h"

#include <string.h>

#include "base/error.h"
#include "base/util.h"
#include "xml/device_parts.h"

static const char *const source_texts[] = { "anonymous", "memfd", NULL };
static const char *const access_texts[] = { "shared", "private", NULL };
static const char *const allocation_texts[] = { "immediate", "ondemand", NULL };

/* The texts skip the DEFAULT at the head of these enums. */
G_STATIC_ASSERT(VSR_SOURCE_MEMFD == G_N_ELEMENTS(source_texts) - 1);
G_STATIC_ASSERT(VSR_ACCESS_PRIVATE == G_N_ELEMENTS(access_texts) - 1);
G_STATIC_ASSERT(VSR_ALLOCATION_ONDEMAND == G_N_ELEMENTS(allocation_texts) - 1);

static vsr_domain_conf *conf_of(void *to)
{
    return ((vsr_domain_parse *)to)->conf;
}

/* libvirt's units; the bare ones are binary, as there. */
static bool unit_bytes(const char *unit, uint64_t *out)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        { "b", 1 },
        { "bytes", 1 },
        { "KB", 1000 },
        { "k", VSR_KIB },
        { "KiB", VSR_KIB },
        { "MB", 1000000 },
        { "M", VSR_MIB },
        { "MiB", VSR_MIB },
        { "GB", 1000000000 },
        { "G", VSR_GIB },
        { "GiB", VSR_GIB },
        { "TB", UINT64_C(1000000000000) },
        { "T", VSR_GIB << 10 },
        { "TiB", VSR_GIB << 10 },
    };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(units); i++)
        if (strcmp(unit, units[i].name) == 0) {
            *out = units[i].bytes;
            return true;
        }
    return false;
}

/* KiB, rounded up. */
static bool to_kib(const xmlNode *node, uint64_t value, uint64_t *kib,
                   GError **error)
{
    const char *unit = vsr_xml_attr(node, "unit");
    uint64_t scale = VSR_KIB;

    if (unit && !unit_bytes(unit, &scale))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'%s': unit '%.64s' is not known",
                            (const char *)node->name, unit);
    if (__builtin_mul_overflow(value, scale, &value))
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error, "'%s' is too large",
                            (const char *)node->name);
    *kib = value / VSR_KIB + (value % VSR_KIB != 0);
    return true;
}

static bool not_zero(const xmlNode *node, uint64_t kib, GError **error)
{
    return kib != 0 || vsr_xml_fail(node, VISOR_ERR_CONFIG, error, "'%s' is 0",
                                    (const char *)node->name);
}

bool vsr_xml_size_kib(const xmlNode *node, uint64_t *kib, GError **error)
{
    uint64_t value;

    return vsr_xml_text_u64(node, &value, error) &&
           to_kib(node, value, kib, error);
}

static bool read_size(const xmlNode *node, uint64_t *kib, GError **error)
{
    return vsr_xml_size_kib(node, kib, error) && not_zero(node, *kib, error);
}

bool vsr_domain_read_memory(const xmlNode *node, void *to, GError **error)
{
    return read_size(node, &((vsr_domain_parse *)to)->conf->memory_kib, error);
}

bool vsr_domain_read_current_memory(const xmlNode *node, void *to,
                                    GError **error)
{
    return read_size(node, &((vsr_domain_parse *)to)->conf->current_memory_kib,
                     error);
}

bool vsr_domain_read_max_memory(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_conf *conf = conf_of(to);

    return vsr_xml_attr_u32(node, "slots", &conf->memory_slots, error) &&
           read_size(node, &conf->max_memory_kib, error);
}

/* In XML both sizes count memory devices in: all of them, and what their guest
 * has or is to have of them. */
bool vsr_domain_split_memory(vsr_domain_parse *parse, GError **error)
{
    vsr_domain_conf *conf = parse->conf;
    uint64_t all = vsr_domain_device_memory_kib(conf), part = 0;

    for (guint i = 0; i < conf->devices->len; i++) {
        vsr_device_conf *device = conf->devices->pdata[i];
        vsr_memory_conf *m = &device->memory;

        if (device->kind != VSR_DEVICE_MEMORY)
            continue;
        part += MIN(m->current_given ? m->current_kib : m->requested_kib,
                    VSR_MEMORY_MAX_KIB);
        /* Says nothing about the next run. */
        m->current_given = false;
        m->current_kib = 0;
    }
    if (conf->memory_kib == 0)
        conf->memory_kib = conf->current_memory_kib;
    if (all > 0 && conf->memory_kib <= all)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<memory> is %" G_GUINT64_FORMAT
                        " KiB, its devices alone have %" G_GUINT64_FORMAT
                        " KiB",
                        conf->memory_kib, all);
    if (part > 0 && conf->current_memory_kib != 0 &&
        conf->current_memory_kib <= part)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<currentMemory> is %" G_GUINT64_FORMAT
                        " KiB, of memory devices alone %" G_GUINT64_FORMAT
                        " KiB are requested",
                        conf->current_memory_kib, part);
    conf->memory_kib -= all;
    if (conf->current_memory_kib != 0)
        conf->current_memory_kib -= part;
    /* "All" is said with the devices. */
    if (all > 0)
        conf->current_memory_kib =
            MIN(conf->current_memory_kib, conf->memory_kib);
    return true;
}

/* The attribute is what the element is for. */
static bool read_choice(const xmlNode *node, const char *attr,
                        const char *const *texts, int *out, GError **error)
{
    if (!vsr_xml_attr(node, attr))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'%s' has no attribute '%s'",
                            (const char *)node->name, attr);
    return vsr_xml_attr_choice(node, attr, texts, out, error);
}

static bool read_page(const xmlNode *node, void *to, GError **error)
{
    const char *size = vsr_xml_attr(node, "size");
    uint64_t value;

    if (!size)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'page' has no attribute 'size'");
    if (!vsr_xml_parse_u64(size, &value))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'page': size '%.64s' is not a number", size);
    return to_kib(node, value, &conf_of(to)->backing.page_kib, error) &&
           not_zero(node, conf_of(to)->backing.page_kib, error);
}

static bool read_hugepages(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "page", "size unit ", read_page, VSR_XML_EMPTY },
    };

    conf_of(to)->backing.hugepages = true;
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

static bool read_locked(const xmlNode *node, void *to, GError **error)
{
    conf_of(to)->backing.locked = true;
    return true;
}

static bool read_nosharepages(const xmlNode *node, void *to, GError **error)
{
    conf_of(to)->backing.nosharepages = true;
    return true;
}

static bool read_source(const xmlNode *node, void *to, GError **error)
{
    int index = -1;

    if (!read_choice(node, "type", source_texts, &index, error))
        return false;
    conf_of(to)->backing.source = (vsr_memory_source)(index + 1);
    return true;
}

static bool read_access(const xmlNode *node, void *to, GError **error)
{
    int index = -1;

    if (!read_choice(node, "mode", access_texts, &index, error))
        return false;
    conf_of(to)->backing.access = (vsr_memory_access)(index + 1);
    return true;
}

static bool read_allocation(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_conf *conf = conf_of(to);
    int index = -1;

    if (!read_choice(node, "mode", allocation_texts, &index, error) ||
        !vsr_xml_attr_u32(node, "threads", &conf->backing.threads, error))
        return false;
    if (vsr_xml_attr(node, "threads") && conf->backing.threads == 0)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'allocation': threads is 0");
    conf->backing.allocation = (vsr_memory_allocation)(index + 1);
    return true;
}

bool vsr_domain_read_memory_backing(const xmlNode *node, void *to,
                                    GError **error)
{
    static const vsr_xml_element elements[] = {
        { "hugepages", "", read_hugepages, 0 },
        { "nosharepages", "", read_nosharepages, VSR_XML_EMPTY },
        { "locked", "", read_locked, VSR_XML_EMPTY },
        { "source", "type ", read_source, VSR_XML_EMPTY },
        { "access", "mode ", read_access, VSR_XML_EMPTY },
        { "allocation", "mode threads ", read_allocation, VSR_XML_EMPTY },
    };

    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

static void end_size(vsr_xml_writer *w, const char *name, uint64_t kib)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, kib);
    vsr_xml_put_attr(w, "unit", "KiB");
    vsr_xml_end_text(w, name, text);
}

void vsr_xml_put_size(vsr_xml_writer *w, const char *name, uint64_t kib)
{
    vsr_xml_open(w, name);
    end_size(w, name, kib);
}

/* What the guest has of memory devices, or is to have. */
static uint64_t part_kib(const vsr_domain_conf *conf, bool is_live)
{
    uint64_t kib = 0;

    for (guint i = 0; i < conf->devices->len; i++) {
        const vsr_device_conf *device = conf->devices->pdata[i];

        if (device->kind == VSR_DEVICE_MEMORY)
            kib += is_live ? device->memory.current_kib
                           : device->memory.requested_kib;
    }
    return kib;
}

static void write_hugepages(vsr_xml_writer *w, uint64_t page_kib)
{
    if (page_kib == 0) {
        vsr_xml_put_empty(w, "hugepages");
        return;
    }
    vsr_xml_open(w, "hugepages");
    vsr_xml_end_open(w);
    vsr_xml_open(w, "page");
    vsr_xml_put_attr_u64(w, "size", page_kib);
    vsr_xml_put_attr(w, "unit", "KiB");
    vsr_xml_end_empty(w);
    vsr_xml_close(w, "hugepages");
}

static void write_choice(vsr_xml_writer *w, const char *name, const char *attr,
                         const char *const *texts, unsigned value)
{
    if (value == 0)
        return;
    vsr_xml_open(w, name);
    vsr_xml_put_attr(w, attr, texts[value - 1]);
    vsr_xml_end_empty(w);
}

static void write_backing(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    vsr_xml_open(w, "memoryBacking");
    vsr_xml_end_open(w);
    if (conf->backing.hugepages)
        write_hugepages(w, conf->backing.page_kib);
    if (conf->backing.nosharepages)
        vsr_xml_put_empty(w, "nosharepages");
    if (conf->backing.locked)
        vsr_xml_put_empty(w, "locked");
    write_choice(w, "source", "type", source_texts, conf->backing.source);
    write_choice(w, "access", "mode", access_texts, conf->backing.access);
    if (conf->backing.allocation) {
        vsr_xml_open(w, "allocation");
        vsr_xml_put_attr(w, "mode",
                         allocation_texts[conf->backing.allocation - 1]);
        if (conf->backing.threads)
            vsr_xml_put_attr_u64(w, "threads", conf->backing.threads);
        vsr_xml_end_empty(w);
    }
    vsr_xml_close(w, "memoryBacking");
}

void vsr_domain_write_memory(vsr_xml_writer *w, const vsr_domain_conf *conf,
                             bool is_live)
{
    if (conf->max_memory_kib != 0) {
        vsr_xml_open(w, "maxMemory");
        vsr_xml_put_attr_u64(w, "slots", conf->memory_slots);
        end_size(w, "maxMemory", conf->max_memory_kib);
    }
    vsr_xml_put_size(w, "memory",
                     conf->memory_kib + vsr_domain_device_memory_kib(conf));
    vsr_xml_put_size(w, "currentMemory",
                     conf->current_memory_kib + part_kib(conf, is_live));
    if (conf->backing.hugepages || conf->backing.locked ||
        conf->backing.nosharepages || conf->backing.source ||
        conf->backing.access || conf->backing.allocation)
        write_backing(w, conf);
}
