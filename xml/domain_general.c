/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_general.c: name, uuid, title, description, metadata and the on_*
 * actions of domain XML.
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

void vsr_domain_write_general(vsr_xml_writer *w, const vsr_domain_conf *conf,
                              bool is_live)
{
    vsr_xml_put(w, "name", conf->name);
    vsr_xml_put(w, "uuid", conf->uuid);
    vsr_xml_put(w, "title", conf->title);
    vsr_xml_put(w, "description", conf->description);
    if (conf->metadata)
        vsr_xml_put_raw(w, conf->metadata);
    vsr_domain_write_memory(w, conf, is_live);
}

void vsr_domain_write_actions(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    vsr_xml_put(w, "on_poweroff", action_texts[conf->on_poweroff]);
    vsr_xml_put(w, "on_reboot", action_texts[conf->on_reboot]);
    vsr_xml_put(w, "on_crash", action_texts[conf->on_crash]);
}
