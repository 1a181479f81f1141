/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_general.c: name, uuid, title, description, metadata, memory,
 * memoryBacking and the on_* actions of domain XML.
 *
 * Threads: any.
 */
#include "xml/domain_parts.h"

#include <string.h>

#include "base/util.h"
#include "xml/document.h"

static const char *const action_texts[] = {
    [VSR_ACTION_DESTROY] = "destroy",
    [VSR_ACTION_RESTART] = "restart",
    [VSR_ACTION_PRESERVE] = "preserve",
    NULL,
};

bool vsr_domain_read_name(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_parse *parse = to;

    if (!vsr_xml_text(node, &parse->conf->name, error))
        return false;
    if (!parse->conf->name)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error, "'name' is empty");
    return true;
}

bool vsr_domain_read_uuid(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_parse *parse = to;
    g_autofree char *text = NULL;

    if (!vsr_xml_text(node, &text, error))
        return false;
    if (!text || !vsr_uuid_parse(g_strstrip(text), parse->conf->uuid))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'uuid': '%.64s' is not a UUID", text ? text : "");
    return true;
}

bool vsr_domain_read_title(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_text(node, &((vsr_domain_parse *)to)->conf->title, error);
}

bool vsr_domain_read_description(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_text(node, &((vsr_domain_parse *)to)->conf->description,
                        error);
}

static bool is_of_root(const xmlNs *ns, const xmlNode *root)
{
    for (const xmlNs *own = root->nsDef; ns && own; own = own->next)
        if (own == ns)
            return true;
    return false;
}

/* The element is kept as text, so it must not lean on prefixes that the root
 * declares: the root is written anew. Depth is limited by the parser. */
static bool check_prefixes(const xmlNode *node, const xmlNode *root,
                           GError **error)
{
    const xmlNs *outer = is_of_root(node->ns, root) ? node->ns : NULL;

    for (const xmlAttr *attr = node->properties; attr && !outer;
         attr = attr->next)
        if (is_of_root(attr->ns, root))
            outer = attr->ns;
    if (outer)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'metadata': namespace prefix '%s' must be "
                            "declared inside it",
                            outer->prefix ? (const char *)outer->prefix : "");
    for (const xmlNode *child = node->children; child; child = child->next)
        if (child->type == XML_ELEMENT_NODE &&
            !check_prefixes(child, root, error))
            return false;
    return true;
}

bool vsr_domain_read_metadata(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_parse *parse = to;

    if (!check_prefixes(node, parse->root, error))
        return false;
    parse->conf->metadata =
        vsr_xml_document_raw(parse->text, parse->len, "metadata");
    if (!parse->conf->metadata)
        return vsr_xml_fail(node, VISOR_ERR_INTERNAL, error,
                            "'metadata' could not be cut out");
    return true;
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
static bool read_size(const xmlNode *node, uint64_t *kib, GError **error)
{
    const char *unit = vsr_xml_attr(node, "unit");
    uint64_t value, scale = VSR_KIB;

    if (!vsr_xml_text_u64(node, &value, error))
        return false;
    if (unit && !unit_bytes(unit, &scale))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'%s': unit '%.64s' is not known",
                            (const char *)node->name, unit);
    if (__builtin_mul_overflow(value, scale, &value))
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error, "'%s' is too large",
                            (const char *)node->name);
    if (value == 0)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error, "'%s' is 0",
                            (const char *)node->name);
    *kib = value / VSR_KIB + (value % VSR_KIB != 0);
    return true;
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

static bool read_hugepages(const xmlNode *node, void *to, GError **error)
{
    ((vsr_domain_parse *)to)->conf->hugepages = true;
    return true;
}

static bool read_locked(const xmlNode *node, void *to, GError **error)
{
    ((vsr_domain_parse *)to)->conf->locked = true;
    return true;
}

static bool read_nosharepages(const xmlNode *node, void *to, GError **error)
{
    ((vsr_domain_parse *)to)->conf->nosharepages = true;
    return true;
}

bool vsr_domain_read_memory_backing(const xmlNode *node, void *to,
                                    GError **error)
{
    static const vsr_xml_element elements[] = {
        { "hugepages", "", read_hugepages, VSR_XML_EMPTY },
        { "locked", "", read_locked, VSR_XML_EMPTY },
        { "nosharepages", "", read_nosharepages, VSR_XML_EMPTY },
    };

    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

static bool read_action(const xmlNode *node, vsr_action *out, GError **error)
{
    int index = (int)*out;

    if (!vsr_xml_text_choice(node, action_texts, &index, error))
        return false;
    *out = (vsr_action)index;
    return true;
}

bool vsr_domain_read_on_poweroff(const xmlNode *node, void *to, GError **error)
{
    return read_action(node, &((vsr_domain_parse *)to)->conf->on_poweroff,
                       error);
}

bool vsr_domain_read_on_reboot(const xmlNode *node, void *to, GError **error)
{
    return read_action(node, &((vsr_domain_parse *)to)->conf->on_reboot, error);
}

bool vsr_domain_read_on_crash(const xmlNode *node, void *to, GError **error)
{
    return read_action(node, &((vsr_domain_parse *)to)->conf->on_crash, error);
}

static void write_size(vsr_xml_writer *w, const char *name, uint64_t kib)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, kib);
    vsr_xml_open(w, name);
    vsr_xml_put_attr(w, "unit", "KiB");
    vsr_xml_end_text(w, name, text);
}

void vsr_domain_write_general(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    vsr_xml_put(w, "name", conf->name);
    vsr_xml_put(w, "uuid", conf->uuid);
    vsr_xml_put(w, "title", conf->title);
    vsr_xml_put(w, "description", conf->description);
    if (conf->metadata)
        vsr_xml_put_raw(w, conf->metadata);
    write_size(w, "memory", conf->memory_kib);
    write_size(w, "currentMemory", conf->current_memory_kib);
    if (conf->hugepages || conf->locked || conf->nosharepages) {
        vsr_xml_open(w, "memoryBacking");
        vsr_xml_end_open(w);
        if (conf->hugepages)
            vsr_xml_put_empty(w, "hugepages");
        if (conf->nosharepages)
            vsr_xml_put_empty(w, "nosharepages");
        if (conf->locked)
            vsr_xml_put_empty(w, "locked");
        vsr_xml_close(w, "memoryBacking");
    }
}

void vsr_domain_write_actions(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    vsr_xml_put(w, "on_poweroff", action_texts[conf->on_poweroff]);
    vsr_xml_put(w, "on_reboot", action_texts[conf->on_reboot]);
    vsr_xml_put(w, "on_crash", action_texts[conf->on_crash]);
}
