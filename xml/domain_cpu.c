/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_cpu.c: <vcpu> and <cpu> of domain XML.
 *
 * Threads: any.
 */
#include "xml/domain_parts.h"

#include <inttypes.h>
#include <string.h>

#include "base/util.h"

static const char *const mode_texts[] = {
    "host-model", "host-passthrough", "maximum", "custom", NULL,
};
static const char *const check_texts[] = { "none", "partial", "full", NULL };
static const char *const fallback_texts[] = { "allow", "forbid", NULL };
static const char *const match_texts[] = { "exact", "minimum", NULL };
static const char *const migratable_texts[] = { "on", "off", NULL };
static const char *const policy_texts[] = {
    [VSR_POLICY_FORCE] = "force",       [VSR_POLICY_REQUIRE] = "require",
    [VSR_POLICY_OPTIONAL] = "optional", [VSR_POLICY_DISABLE] = "disable",
    [VSR_POLICY_FORBID] = "forbid",     NULL,
};

/* The texts skip the DEFAULT at the head of these enums. */
G_STATIC_ASSERT(VSR_CPU_CUSTOM == G_N_ELEMENTS(mode_texts) - 1);
G_STATIC_ASSERT(VSR_CPU_CHECK_FULL == G_N_ELEMENTS(check_texts) - 1);
G_STATIC_ASSERT(VSR_FALLBACK_FORBID == G_N_ELEMENTS(fallback_texts) - 1);
G_STATIC_ASSERT(VSR_SWITCH_OFF == G_N_ELEMENTS(migratable_texts) - 1);

static vsr_domain_conf *conf_of(void *to)
{
    return ((vsr_domain_parse *)to)->conf;
}

bool vsr_domain_read_vcpu(const xmlNode *node, void *to, GError **error)
{
    static const char *const placements[] = { "static", NULL };
    vsr_domain_conf *conf = conf_of(to);
    uint64_t count;
    int index = 0;

    if (!vsr_xml_attr_choice(node, "placement", placements, &index, error) ||
        !vsr_xml_text_u64(node, &count, error) ||
        !vsr_xml_attr_u32(node, "current", &conf->vcpus, error))
        return false;
    if (count == 0 || count > VSR_VCPUS_MAX)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'vcpu': %" PRIu64 " is none of 1 to %d", count,
                            (int)VSR_VCPUS_MAX);
    if (vsr_xml_attr(node, "current") &&
        (conf->vcpus == 0 || conf->vcpus > count))
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'vcpu': current='%u' is none of 1 to %" PRIu64,
                            conf->vcpus, count);
    conf->vcpus_max = (uint32_t)count;
    return true;
}

static bool read_model(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_conf *conf = conf_of(to);
    int index = -1;

    if (!vsr_xml_attr_choice(node, "fallback", fallback_texts, &index, error) ||
        !vsr_xml_text(node, &conf->cpu.model, error))
        return false;
    /* Without a name it is there for its fallback. */
    if (!conf->cpu.model && (conf->cpu.mode != VSR_CPU_HOST_MODEL || index < 0))
        return vsr_xml_fail(node, VISOR_ERR_XML, error, "'model' is empty");
    conf->cpu.fallback = (vsr_fallback)(index + 1);
    return true;
}

static bool read_vendor(const xmlNode *node, void *to, GError **error)
{
    static const char *const vendors[] = { "Intel", "AMD", "Hygon", NULL };
    int index = -1;

    if (!vsr_xml_text_choice(node, vendors, &index, error))
        return false;
    conf_of(to)->cpu.vendor = g_strdup(vendors[index]);
    return true;
}

static bool read_topology(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_conf *conf = conf_of(to);

    conf->cpu.topology = true;
    conf->cpu.dies = 1;
    if (!vsr_xml_attr_u32(node, "sockets", &conf->cpu.sockets, error) ||
        !vsr_xml_attr_u32(node, "dies", &conf->cpu.dies, error) ||
        !vsr_xml_attr_u32(node, "cores", &conf->cpu.cores, error) ||
        !vsr_xml_attr_u32(node, "threads", &conf->cpu.threads, error))
        return false;
    if (!conf->cpu.sockets || !conf->cpu.dies || !conf->cpu.cores ||
        !conf->cpu.threads)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'topology' needs sockets, cores and threads, "
                            "none of them 0");
    return true;
}

static bool read_feature(const xmlNode *node, void *to, GError **error)
{
    const char *name = vsr_xml_attr(node, "name");
    int index = VSR_POLICY_REQUIRE;
    vsr_feature_conf feature;

    if (!name || !*name)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'feature' has no attribute 'name'");
    if (!vsr_xml_attr_choice(node, "policy", policy_texts, &index, error))
        return false;
    feature.name = g_strdup(name);
    feature.policy = (vsr_policy)index;
    g_array_append_val(conf_of(to)->cpu.features, feature);
    if (conf_of(to)->cpu.features->len > 256)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'cpu' has more than 256 features");
    return true;
}

bool vsr_domain_read_cpu(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "model", "fallback ", read_model, 0 },
        { "vendor", "", read_vendor, 0 },
        { "topology", "sockets dies cores threads ", read_topology,
          VSR_XML_EMPTY },
        { "feature", "policy name ", read_feature,
          VSR_XML_EMPTY | VSR_XML_MANY },
    };
    vsr_domain_conf *conf = conf_of(to);
    int mode = -1, match = 0, check = -1, migratable = -1;

    if (!vsr_xml_attr_choice(node, "mode", mode_texts, &mode, error) ||
        !vsr_xml_attr_choice(node, "match", match_texts, &match, error) ||
        !vsr_xml_attr_choice(node, "check", check_texts, &check, error) ||
        !vsr_xml_attr_choice(node, "migratable", migratable_texts, &migratable,
                             error))
        return false;
    conf->cpu.mode = (vsr_cpu_mode)(mode + 1);
    conf->cpu.check = (vsr_cpu_check)(check + 1);
    conf->cpu.minimum = match == 1;
    conf->cpu.migratable = (vsr_switch)(migratable + 1);
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

void vsr_domain_write_vcpu(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    char text[16];

    g_snprintf(text, sizeof(text), "%u", conf->vcpus_max);
    vsr_xml_open(w, "vcpu");
    vsr_xml_put_attr(w, "placement", "static");
    if (conf->vcpus != 0 && conf->vcpus != conf->vcpus_max)
        vsr_xml_put_attr_u64(w, "current", conf->vcpus);
    vsr_xml_end_text(w, "vcpu", text);
}

static void write_cpu_children(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    if (conf->cpu.model || conf->cpu.fallback) {
        vsr_xml_open(w, "model");
        if (conf->cpu.fallback != VSR_FALLBACK_DEFAULT)
            vsr_xml_put_attr(w, "fallback",
                             fallback_texts[conf->cpu.fallback - 1]);
        if (conf->cpu.model)
            vsr_xml_end_text(w, "model", conf->cpu.model);
        else
            vsr_xml_end_empty(w);
    }
    vsr_xml_put(w, "vendor", conf->cpu.vendor);
    if (conf->cpu.topology) {
        vsr_xml_open(w, "topology");
        vsr_xml_put_attr_u64(w, "sockets", conf->cpu.sockets);
        vsr_xml_put_attr_u64(w, "dies", conf->cpu.dies);
        vsr_xml_put_attr_u64(w, "cores", conf->cpu.cores);
        vsr_xml_put_attr_u64(w, "threads", conf->cpu.threads);
        vsr_xml_end_empty(w);
    }
    for (guint i = 0; i < conf->cpu.features->len; i++) {
        const vsr_feature_conf *f =
            &g_array_index(conf->cpu.features, vsr_feature_conf, i);

        vsr_xml_open(w, "feature");
        vsr_xml_put_attr(w, "policy", policy_texts[f->policy]);
        vsr_xml_put_attr(w, "name", f->name);
        vsr_xml_end_empty(w);
    }
}

void vsr_domain_write_cpu(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    vsr_xml_open(w, "cpu");
    if (conf->cpu.mode != VSR_CPU_DEFAULT)
        vsr_xml_put_attr(w, "mode", mode_texts[conf->cpu.mode - 1]);
    if (conf->cpu.mode == VSR_CPU_CUSTOM)
        vsr_xml_put_attr(w, "match", match_texts[conf->cpu.minimum]);
    if (conf->cpu.check != VSR_CPU_CHECK_DEFAULT)
        vsr_xml_put_attr(w, "check", check_texts[conf->cpu.check - 1]);
    if (conf->cpu.migratable)
        vsr_xml_put_attr(w, "migratable",
                         migratable_texts[conf->cpu.migratable - 1]);
    if (!conf->cpu.model && !conf->cpu.fallback && !conf->cpu.vendor &&
        !conf->cpu.topology && !conf->cpu.features->len) {
        vsr_xml_end_empty(w);
        return;
    }
    vsr_xml_end_open(w);
    write_cpu_children(w, conf);
    vsr_xml_close(w, "cpu");
}
