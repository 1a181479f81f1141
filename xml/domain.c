/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain.c: domain XML as a whole; the families are in domain_*.c.
 *
 * Threads: any.
 */
#include "xml/domain.h"

#include <string.h>

#include <libxml/tree.h>

#include "base/error.h"
#include "base/util.h"
#include "xml/document.h"
#include "xml/domain_parts.h"

static const vsr_xml_element domain_elements[] = {
    { "name", "", vsr_domain_read_name, 0 },
    { "uuid", "", vsr_domain_read_uuid, 0 },
    { "title", "", vsr_domain_read_title, 0 },
    { "description", "", vsr_domain_read_description, 0 },
    { "metadata", "", vsr_domain_read_metadata, VSR_XML_RAW },
    { "maxMemory", "slots unit ", vsr_domain_read_max_memory, 0 },
    { "memory", "unit ", vsr_domain_read_memory, 0 },
    { "currentMemory", "unit ", vsr_domain_read_current_memory, 0 },
    { "memoryBacking", "", vsr_domain_read_memory_backing, 0 },
    { "vcpu", "placement current ", vsr_domain_read_vcpu, 0 },
    { "os", "", vsr_domain_read_os, 0 },
    { "features", "", vsr_domain_read_features, 0 },
    { "cpu", "mode match check migratable ", vsr_domain_read_cpu, 0 },
    { "clock", "offset adjustment basis start ", vsr_domain_read_clock, 0 },
    { "on_poweroff", "", vsr_domain_read_on_poweroff, 0 },
    { "on_reboot", "", vsr_domain_read_on_reboot, 0 },
    { "on_crash", "", vsr_domain_read_on_crash, 0 },
    { "devices", "", vsr_domain_read_devices, 0 },
    { "visor:test-devices", "", vsr_domain_read_test_devices, VSR_XML_EMPTY },
    { "visor:halt-poll", "ns ", vsr_domain_read_halt_poll, VSR_XML_EMPTY },
    { "visor:disable-exits", "hlt mwait pause cstate ",
      vsr_domain_read_disable_exits, VSR_XML_EMPTY },
};

static bool read_root(vsr_domain_parse *parse, GError **error)
{
    const xmlNode *root = parse->root;
    const char *type, *id;
    uint64_t number;
    int index;

    if (root->ns || strcmp((const char *)root->name, "domain") != 0)
        return vsr_xml_fail(root, VISOR_ERR_XML, error,
                            "the root element is '%s'%s%s, not 'domain'",
                            (const char *)root->name,
                            root->ns ? " of namespace " : "",
                            root->ns ? (const char *)root->ns->href : "");
    for (const xmlNode *n = root->doc->children; n; n = n->next)
        if (n->type == XML_PI_NODE)
            return vsr_xml_fail(n, VISOR_ERR_XML, error,
                                "a processing instruction is not supported");
    if (!vsr_xml_check_attrs(root, "type id ", error))
        return false;

    type = vsr_xml_attr(root, "type");
    if (!type)
        return vsr_xml_fail(root, VISOR_ERR_XML, error,
                            "'domain' has no attribute 'type'");
    index = vsr_domain_type_from_text(type);
    if (index < 0)
        return vsr_xml_fail(root, VISOR_ERR_NO_SUPPORT, error,
                            "'domain': type '%.64s' is not supported (emu, "
                            "kvm, xen)",
                            type);
    parse->conf->type = (vsr_domain_type)index;
    /* A running domain's XML shows it; it says nothing about the next run. */
    id = vsr_xml_attr(root, "id");
    if (id && !vsr_xml_parse_u64(id, &number))
        return vsr_xml_fail(root, VISOR_ERR_XML, error,
                            "'domain': id '%.64s' is not a number", id);
    return vsr_xml_read_children(root, domain_elements,
                                 VSR_ARRAY_SIZE(domain_elements), parse, error);
}

vsr_domain_conf *vsr_domain_xml_parse(const char *text, size_t len,
                                      GError **error)
{
    vsr_domain_parse parse = { .text = text, .len = len };
    xmlDoc *doc = vsr_xml_document_parse(text, len, error);
    bool ok;

    if (!doc)
        return NULL;
    parse.root = xmlDocGetRootElement(doc);
    parse.conf = vsr_domain_conf_new();
    ok = read_root(&parse, error) && vsr_domain_split_memory(&parse, error) &&
         vsr_domain_conf_complete(parse.conf, error);
    g_free(parse.console_conf.path);
    xmlFreeDoc(doc);
    if (!ok)
        g_clear_pointer(&parse.conf, vsr_domain_conf_free);
    return parse.conf;
}

char *vsr_domain_xml_format(const vsr_domain_conf *conf, int id, unsigned flags)
{
    bool is_live = flags & VSR_XML_LIVE;
    vsr_xml_writer w;

    vsr_xml_writer_init(&w);
    vsr_xml_open(&w, "domain");
    vsr_xml_put_attr(&w, "type", vsr_domain_type_text(conf->type));
    if (is_live && id >= 0)
        vsr_xml_put_attr_i64(&w, "id", id);
    if (vsr_domain_has_own(conf))
        vsr_xml_put_attr(&w, "xmlns:visor", VSR_XML_NAMESPACE);
    vsr_xml_end_open(&w);
    vsr_domain_write_general(&w, conf, is_live);
    vsr_domain_write_vcpu(&w, conf);
    vsr_domain_write_os(&w, conf);
    vsr_domain_write_features(&w, conf);
    vsr_domain_write_cpu(&w, conf);
    vsr_domain_write_clock(&w, conf);
    vsr_domain_write_actions(&w, conf);
    vsr_domain_write_devices(&w, conf, is_live);
    vsr_domain_write_own(&w, conf);
    vsr_xml_close(&w, "domain");
    return vsr_xml_writer_finish(&w);
}
