/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_features.c: <features> of domain XML, and the elements of our own
 * namespace.
 *
 * Threads: any.
 */
#include "xml/domain_parts.h"

#include "base/util.h"

static const char *const switch_texts[] = { "on", "off", NULL };

/* The texts skip the DEFAULT at the head of the enum. */
G_STATIC_ASSERT(VSR_SWITCH_OFF == G_N_ELEMENTS(switch_texts) - 1);

static const struct {
    const char *name;
    uint32_t bit;
} exits[] = {
    { "hlt", VSR_DISABLE_HLT },
    { "mwait", VSR_DISABLE_MWAIT },
    { "pause", VSR_DISABLE_PAUSE },
    { "cstate", VSR_DISABLE_CSTATE },
};

static vsr_domain_conf *conf_of(void *to)
{
    return ((vsr_domain_parse *)to)->conf;
}

/* --- reading --- */

/* They are on whether named or not; dumpxml shows them. */
static bool read_nothing(const xmlNode *node, void *to, GError **error)
{
    return true;
}

static bool read_pae(const xmlNode *node, void *to, GError **error)
{
    conf_of(to)->features.pae = true;
    return true;
}

static bool read_switch(const xmlNode *node, vsr_switch *out, GError **error)
{
    int index = -1;

    if (!vsr_xml_attr(node, "state"))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'%s' has no attribute 'state'",
                            (const char *)node->name);
    if (!vsr_xml_attr_choice(node, "state", switch_texts, &index, error))
        return false;
    *out = (vsr_switch)(index + 1);
    return true;
}

static bool read_hidden(const xmlNode *node, void *to, GError **error)
{
    return read_switch(node, &conf_of(to)->features.kvm_hidden, error);
}

static bool read_hint_dedicated(const xmlNode *node, void *to, GError **error)
{
    return read_switch(node, &conf_of(to)->features.hint_dedicated, error);
}

static bool read_poll_control(const xmlNode *node, void *to, GError **error)
{
    return read_switch(node, &conf_of(to)->features.poll_control, error);
}

static bool read_pv_ipi(const xmlNode *node, void *to, GError **error)
{
    return read_switch(node, &conf_of(to)->features.pv_ipi, error);
}

static bool read_kvm(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "hidden", "state ", read_hidden, VSR_XML_EMPTY },
        { "hint-dedicated", "state ", read_hint_dedicated, VSR_XML_EMPTY },
        { "poll-control", "state ", read_poll_control, VSR_XML_EMPTY },
        { "pv-ipi", "state ", read_pv_ipi, VSR_XML_EMPTY },
    };

    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

static bool read_pvspinlock(const xmlNode *node, void *to, GError **error)
{
    return read_switch(node, &conf_of(to)->features.pvspinlock, error);
}

bool vsr_domain_read_features(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "acpi", "", read_nothing, VSR_XML_EMPTY },
        { "apic", "", read_nothing, VSR_XML_EMPTY },
        { "pae", "", read_pae, VSR_XML_EMPTY },
        { "kvm", "", read_kvm, 0 },
        { "pvspinlock", "state ", read_pvspinlock, VSR_XML_EMPTY },
    };

    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

bool vsr_domain_read_test_devices(const xmlNode *node, void *to, GError **error)
{
    conf_of(to)->features.test_devices = true;
    return true;
}

bool vsr_domain_read_halt_poll(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_conf *conf = conf_of(to);

    if (!vsr_xml_attr(node, "ns"))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'halt-poll' has no attribute 'ns'");
    if (!vsr_xml_attr_u32(node, "ns", &conf->tuning.halt_poll_ns, error))
        return false;
    if (conf->tuning.halt_poll_ns > VSR_HALT_POLL_MAX_NS)
        return vsr_xml_fail(
            node, VISOR_ERR_CONFIG, error, "'halt-poll': %u ns, %d at the most",
            conf->tuning.halt_poll_ns, (int)VSR_HALT_POLL_MAX_NS);
    conf->tuning.has_halt_poll = true;
    return true;
}

bool vsr_domain_read_disable_exits(const xmlNode *node, void *to,
                                   GError **error)
{
    for (size_t i = 0; i < VSR_ARRAY_SIZE(exits); i++) {
        int index = -1;

        if (!vsr_xml_attr_choice(node, exits[i].name, switch_texts, &index,
                                 error))
            return false;
        if (index == 0)
            conf_of(to)->tuning.disable_exits |= exits[i].bit;
    }
    return true;
}

/* --- writing --- */

static void write_switch(vsr_xml_writer *w, const char *name, vsr_switch value)
{
    if (value == VSR_SWITCH_DEFAULT)
        return;
    vsr_xml_open(w, name);
    vsr_xml_put_attr(w, "state", switch_texts[value - 1]);
    vsr_xml_end_empty(w);
}

void vsr_domain_write_features(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    vsr_xml_open(w, "features");
    vsr_xml_end_open(w);
    if (conf->features.acpi)
        vsr_xml_put_empty(w, "acpi");
    if (conf->features.apic)
        vsr_xml_put_empty(w, "apic");
    if (conf->features.pae)
        vsr_xml_put_empty(w, "pae");
    if (conf->features.kvm_hidden || conf->features.hint_dedicated ||
        conf->features.poll_control || conf->features.pv_ipi) {
        vsr_xml_open(w, "kvm");
        vsr_xml_end_open(w);
        write_switch(w, "hidden", conf->features.kvm_hidden);
        write_switch(w, "hint-dedicated", conf->features.hint_dedicated);
        write_switch(w, "poll-control", conf->features.poll_control);
        write_switch(w, "pv-ipi", conf->features.pv_ipi);
        vsr_xml_close(w, "kvm");
    }
    write_switch(w, "pvspinlock", conf->features.pvspinlock);
    vsr_xml_close(w, "features");
}

bool vsr_domain_has_own(const vsr_domain_conf *conf)
{
    return conf->features.test_devices || conf->tuning.has_halt_poll ||
           conf->tuning.disable_exits;
}

void vsr_domain_write_own(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    if (conf->features.test_devices)
        vsr_xml_put_empty(w, "visor:test-devices");
    if (conf->tuning.has_halt_poll) {
        vsr_xml_open(w, "visor:halt-poll");
        vsr_xml_put_attr_u64(w, "ns", conf->tuning.halt_poll_ns);
        vsr_xml_end_empty(w);
    }
    if (conf->tuning.disable_exits) {
        vsr_xml_open(w, "visor:disable-exits");
        for (size_t i = 0; i < VSR_ARRAY_SIZE(exits); i++)
            if (conf->tuning.disable_exits & exits[i].bit)
                vsr_xml_put_attr(w, exits[i].name, "on");
        vsr_xml_end_empty(w);
    }
}
