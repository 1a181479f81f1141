/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_os.c: <os> and <clock> of domain XML.
 *
 * Threads: any.
 */
#include "xml/domain_parts.h"

#include <string.h>

#include "base/util.h"

static const char *const machine_texts[] = {
    [VSR_MACHINE_PCI] = "pci",
    [VSR_MACHINE_MICRO] = "micro",
    NULL,
};
static const char *const clock_texts[] = {
    [VSR_CLOCK_UTC] = "utc",
    [VSR_CLOCK_LOCALTIME] = "localtime",
    [VSR_CLOCK_VARIABLE] = "variable",
    [VSR_CLOCK_ABSOLUTE] = "absolute",
    NULL,
};

/* The timers we can promise, with the values of `present` that hold. */
static const struct {
    const char *name;
    const char *present;
    uint32_t bit;
} timers[] = {
    { "tsc", "yes", VSR_TIMER_TSC },
    { "kvmclock", "yes", VSR_TIMER_KVMCLOCK },
    { "kvmclock", "no", VSR_TIMER_NO_KVMCLOCK },
    { "hpet", "no", VSR_TIMER_NO_HPET },
};

static vsr_domain_conf *conf_of(void *to)
{
    return ((vsr_domain_parse *)to)->conf;
}

static bool read_type(const xmlNode *node, void *to, GError **error)
{
    static const char *const arches[] = { "x86_64", NULL };
    static const char *const types[] = { "hvm", NULL };
    int machine = VSR_MACHINE_PCI, arch = 0, type = 0;

    if (!vsr_xml_attr_choice(node, "arch", arches, &arch, error) ||
        !vsr_xml_attr_choice(node, "machine", machine_texts, &machine, error) ||
        !vsr_xml_text_choice(node, types, &type, error))
        return false;
    conf_of(to)->os.machine = (vsr_machine_kind)machine;
    return true;
}

static bool read_loader(const xmlNode *node, void *to, GError **error)
{
    static const char *const kinds[] = { "rom", NULL };
    static const char *const yes[] = { "yes", NULL };
    int index = 0;

    return vsr_xml_attr_choice(node, "readonly", yes, &index, error) &&
           vsr_xml_attr_choice(node, "type", kinds, &index, error) &&
           vsr_xml_text(node, &conf_of(to)->os.loader, error);
}

static bool read_kernel(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_text(node, &conf_of(to)->os.kernel, error);
}

static bool read_initrd(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_text(node, &conf_of(to)->os.initrd, error);
}

static bool read_cmdline(const xmlNode *node, void *to, GError **error)
{
    return vsr_xml_text(node, &conf_of(to)->os.cmdline, error);
}

static bool read_boot(const xmlNode *node, void *to, GError **error)
{
    static const char *const devs[] = { "hd", "network", "cdrom", NULL };
    GArray *boot = conf_of(to)->os.boot;
    int index = -1;
    char *dev;

    if (!vsr_xml_attr_choice(node, "dev", devs, &index, error))
        return false;
    if (index < 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'boot' has no attribute 'dev'");
    for (guint i = 0; i < boot->len; i++)
        if (strcmp(g_array_index(boot, char *, i), devs[index]) == 0)
            return vsr_xml_fail(node, VISOR_ERR_XML, error,
                                "'boot': '%s' is given twice", devs[index]);
    dev = g_strdup(devs[index]);
    g_array_append_val(boot, dev);
    return true;
}

static bool read_bootmenu(const xmlNode *node, void *to, GError **error)
{
    static const char *const no[] = { "no", NULL };
    int index = -1;

    return vsr_xml_attr_choice(node, "enable", no, &index, error);
}

bool vsr_domain_read_os(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "type", "arch machine ", read_type, 0 },
        { "loader", "readonly type ", read_loader, 0 },
        { "kernel", "", read_kernel, 0 },
        { "initrd", "", read_initrd, 0 },
        { "cmdline", "", read_cmdline, 0 },
        { "boot", "dev ", read_boot, VSR_XML_EMPTY | VSR_XML_MANY },
        { "bootmenu", "enable ", read_bootmenu, VSR_XML_EMPTY },
    };

    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

static bool read_timer(const xmlNode *node, void *to, GError **error)
{
    const char *name = vsr_xml_attr(node, "name");
    const char *present = vsr_xml_attr(node, "present");
    uint32_t given = conf_of(to)->clock.timers, bit = 0;
    bool is_known = false;

    if (!name)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'timer' has no attribute 'name'");
    for (size_t i = 0; i < VSR_ARRAY_SIZE(timers); i++) {
        if (strcmp(timers[i].name, name) != 0)
            continue;
        if (given & timers[i].bit)
            return vsr_xml_fail(node, VISOR_ERR_XML, error,
                                "'timer' '%s' is given twice", name);
        is_known = true;
        if (present && strcmp(present, timers[i].present) == 0)
            bit = timers[i].bit;
    }
    if (is_known && !bit)
        return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                            "'timer' '%s': present='%.64s' is not supported",
                            name, present ? present : "");
    conf_of(to)->clock.timers |= bit;
    if (bit)
        return true;
    return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                        "'timer' '%.64s' is not supported", name);
}

bool vsr_domain_read_clock(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "timer", "name present ", read_timer, VSR_XML_EMPTY | VSR_XML_MANY },
    };
    static const char *const bases[] = { "utc", NULL };
    vsr_domain_conf *conf = conf_of(to);
    int kind = -1, basis = 0;

    if (!vsr_xml_attr_choice(node, "offset", clock_texts, &kind, error))
        return false;
    if (kind < 0)
        kind = VSR_CLOCK_UTC;
    conf->clock.kind = (vsr_clock_kind)kind;
    if (conf->clock.kind == VSR_CLOCK_VARIABLE) {
        if (!vsr_xml_attr_i64(node, "adjustment", &conf->clock.adjustment_s,
                              error) ||
            !vsr_xml_attr_choice(node, "basis", bases, &basis, error))
            return false;
    } else if (vsr_xml_attr(node, "adjustment") ||
               vsr_xml_attr(node, "basis")) {
        return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                            "'clock': adjustment and basis go with "
                            "offset='variable' only");
    }
    if (conf->clock.kind == VSR_CLOCK_ABSOLUTE) {
        if (!vsr_xml_attr(node, "start"))
            return vsr_xml_fail(node, VISOR_ERR_XML, error,
                                "'clock' offset='absolute' needs 'start'");
        if (!vsr_xml_attr_i64(node, "start", &conf->clock.start_s, error))
            return false;
    } else if (vsr_xml_attr(node, "start")) {
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'clock': start goes with offset='absolute' only");
    }
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

void vsr_domain_write_os(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    vsr_xml_open(w, "os");
    vsr_xml_end_open(w);
    vsr_xml_open(w, "type");
    vsr_xml_put_attr(w, "arch", "x86_64");
    vsr_xml_put_attr(w, "machine", machine_texts[conf->os.machine]);
    vsr_xml_end_text(w, "type", "hvm");
    if (conf->os.loader) {
        vsr_xml_open(w, "loader");
        vsr_xml_put_attr(w, "readonly", "yes");
        vsr_xml_put_attr(w, "type", "rom");
        vsr_xml_end_text(w, "loader", conf->os.loader);
    }
    vsr_xml_put(w, "kernel", conf->os.kernel);
    vsr_xml_put(w, "initrd", conf->os.initrd);
    vsr_xml_put(w, "cmdline", conf->os.cmdline);
    for (guint i = 0; i < conf->os.boot->len; i++) {
        vsr_xml_open(w, "boot");
        vsr_xml_put_attr(w, "dev", g_array_index(conf->os.boot, char *, i));
        vsr_xml_end_empty(w);
    }
    vsr_xml_close(w, "os");
}

void vsr_domain_write_clock(vsr_xml_writer *w, const vsr_domain_conf *conf)
{
    vsr_xml_open(w, "clock");
    vsr_xml_put_attr(w, "offset", clock_texts[conf->clock.kind]);
    if (conf->clock.kind == VSR_CLOCK_VARIABLE) {
        vsr_xml_put_attr_i64(w, "adjustment", conf->clock.adjustment_s);
        vsr_xml_put_attr(w, "basis", "utc");
    } else if (conf->clock.kind == VSR_CLOCK_ABSOLUTE) {
        vsr_xml_put_attr_i64(w, "start", conf->clock.start_s);
    }
    if (conf->clock.timers == 0) {
        vsr_xml_end_empty(w);
        return;
    }
    vsr_xml_end_open(w);
    for (size_t i = 0; i < VSR_ARRAY_SIZE(timers); i++) {
        if (!(conf->clock.timers & timers[i].bit))
            continue;
        vsr_xml_open(w, "timer");
        vsr_xml_put_attr(w, "name", timers[i].name);
        vsr_xml_put_attr(w, "present", timers[i].present);
        vsr_xml_end_empty(w);
    }
    vsr_xml_close(w, "clock");
}
