/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_devices.c: <devices> of domain XML: <serial> and <console>.
 *
 * A console on a serial port is that port seen a second time (libvirt's habit):
 * it makes the port if there is none, must agree with it if there is one, and
 * is always shown.
 *
 * Threads: any.
 */
#include "xml/device_parts.h"
#include "xml/domain_parts.h"

#include <string.h>

#include "base/util.h"

static const char *const kind_texts[] = {
    [VSR_CHAR_PTY] = "pty",     [VSR_CHAR_FILE] = "file",
    [VSR_CHAR_UNIX] = "unix",   [VSR_CHAR_NULL] = "null",
    [VSR_CHAR_STDIO] = "stdio", NULL,
};

static bool read_source(const xmlNode *node, void *to, GError **error)
{
    static const char *const switches[] = { "off", "on", NULL };
    static const char *const modes[] = { "connect", "bind", NULL };
    vsr_char_conf *chr = to;
    const char *path = vsr_xml_attr(node, "path");
    int append = 0, mode = 0;

    if (vsr_xml_attr(node, "append") && chr->kind != VSR_CHAR_FILE)
        return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                            "attribute 'append' of 'source' goes with "
                            "type='file' only");
    if (vsr_xml_attr(node, "mode") && chr->kind != VSR_CHAR_UNIX)
        return vsr_xml_fail(node, VISOR_ERR_NO_SUPPORT, error,
                            "attribute 'mode' of 'source' goes with "
                            "type='unix' only");
    if (!vsr_xml_attr_choice(node, "append", switches, &append, error) ||
        !vsr_xml_attr_choice(node, "mode", modes, &mode, error))
        return false;
    chr->append = append == 1;
    chr->listen = mode == 1;
    if (path && *path)
        chr->path = g_strdup(path);
    return true;
}

static bool read_port(const xmlNode *node, vsr_char_conf *chr, GError **error)
{
    if (!vsr_xml_attr_u32(node, "port", &chr->port, error))
        return false;
    chr->port_given = vsr_xml_attr(node, "port") != NULL;
    if (chr->port_given && chr->port >= VSR_SERIALS_MAX)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'target': port %u is none of 0 to %d", chr->port,
                            VSR_SERIALS_MAX - 1);
    return true;
}

static bool read_target_model(const xmlNode *node, void *to, GError **error)
{
    static const char *const names[] = { "isa-serial", NULL };
    int index = 0;

    return vsr_xml_attr_choice(node, "name", names, &index, error);
}

static bool read_serial_target(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "model", "name ", read_target_model, VSR_XML_EMPTY },
    };
    static const char *const types[] = { "isa-serial", NULL };
    int index = 0;

    return vsr_xml_attr_choice(node, "type", types, &index, error) &&
           read_port(node, to, error) &&
           vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error);
}

static bool read_console_target(const xmlNode *node, void *to, GError **error)
{
    static const char *const types[] = { "serial", NULL };
    int index = 0;

    return vsr_xml_attr_choice(node, "type", types, &index, error) &&
           read_port(node, to, error) &&
           vsr_xml_read_children(node, NULL, 0, to, error);
}

static bool read_char(const xmlNode *node, const vsr_xml_element *elements,
                      size_t n, vsr_char_conf *chr, GError **error)
{
    int kind = -1;

    if (!vsr_xml_attr_choice(node, "type", kind_texts, &kind, error))
        return false;
    if (kind < 0)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'%s' has no attribute 'type'",
                            (const char *)node->name);
    chr->kind = (vsr_char_kind)kind;
    if (!vsr_xml_read_children(node, elements, n, chr, error))
        return false;
    if ((chr->kind == VSR_CHAR_NULL || chr->kind == VSR_CHAR_STDIO) &&
        chr->path)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'%s' of type '%s' has no source path",
                            (const char *)node->name, kind_texts[kind]);
    return true;
}

static bool read_serial(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "source", "path append mode ", read_source, VSR_XML_EMPTY },
        { "target", "type port ", read_serial_target, 0 },
    };
    vsr_domain_conf *conf = ((vsr_domain_parse *)to)->conf;
    vsr_char_conf chr = { 0 };

    if (conf->serials->len == VSR_SERIALS_MAX)
        return vsr_xml_fail(node, VISOR_ERR_CONFIG, error,
                            "'devices' has more than %d 'serial'",
                            (int)VSR_SERIALS_MAX);
    if (!read_char(node, elements, VSR_ARRAY_SIZE(elements), &chr, error)) {
        g_free(chr.path);
        return false;
    }
    if (chr.kind != VSR_CHAR_PTY && chr.kind != VSR_CHAR_NULL &&
        chr.kind != VSR_CHAR_STDIO && !chr.path)
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'serial' of type '%s' needs a source path",
                            kind_texts[chr.kind]);
    g_array_append_val(conf->serials, chr);
    return true;
}

static bool read_console(const xmlNode *node, void *to, GError **error)
{
    static const vsr_xml_element elements[] = {
        { "source", "path append mode ", read_source, VSR_XML_EMPTY },
        { "target", "type port ", read_console_target, 0 },
    };
    vsr_domain_parse *parse = to;
    const char *tty = vsr_xml_attr(node, "tty");

    parse->console = node;
    if (!read_char(node, elements, VSR_ARRAY_SIZE(elements),
                   &parse->console_conf, error))
        return false;
    /* What a running domain's XML shows beside the source's path. */
    if (tty && (!parse->console_conf.path ||
                strcmp(tty, parse->console_conf.path) != 0))
        return vsr_xml_fail(node, VISOR_ERR_XML, error,
                            "'console': tty='%.255s' is not the source's path",
                            tty);
    return true;
}

/* The console is the first serial port, or makes it. */
static bool merge_console(vsr_domain_parse *parse, GError **error)
{
    vsr_char_conf *console = &parse->console_conf;
    GArray *serials = parse->conf->serials;
    const vsr_char_conf *first;

    if (!parse->console)
        return true;
    if (serials->len == 0) {
        g_array_append_val(serials, *console);
        console->path = NULL; /* the array has it now */
        return true;
    }
    first = &g_array_index(serials, vsr_char_conf, 0);
    if (console->port_given &&
        console->port != (first->port_given ? first->port : 0))
        return vsr_xml_fail(parse->console, VISOR_ERR_NO_SUPPORT, error,
                            "'console': port %u is not that of the first "
                            "'serial'",
                            console->port);
    if (console->kind != first->kind ||
        (console->path && g_strcmp0(console->path, first->path) != 0) ||
        (console->path && (console->listen != first->listen ||
                           console->append != first->append)))
        return vsr_xml_fail(parse->console, VISOR_ERR_CONFIG, error,
                            "'console' is the first 'serial' seen again, but "
                            "their types or sources differ");
    return true;
}

static bool read_plugged(const xmlNode *node, void *to, GError **error)
{
    vsr_domain_parse *parse = to;

    return vsr_device_read(node, parse->conf->devices, error);
}

bool vsr_domain_read_devices(const xmlNode *node, void *to, GError **error)
{
    enum { OWN = 2 };
    vsr_xml_element elements[OWN + VSR_DEVICE_KINDS] = {
        { "serial", "type ", read_serial, VSR_XML_MANY },
        { "console", "type tty ", read_console, 0 },
    };

    for (size_t i = 0; i < VSR_DEVICE_KINDS; i++) {
        elements[OWN + i] = vsr_device_elements[i];
        elements[OWN + i].read = read_plugged;
    }
    return vsr_xml_read_children(node, elements, VSR_ARRAY_SIZE(elements), to,
                                 error) &&
           merge_console(to, error);
}

static void write_char(vsr_xml_writer *w, const char *name,
                       const vsr_char_conf *chr, bool is_live)
{
    const char *path = chr->path;

    if (chr->kind == VSR_CHAR_PTY && !is_live)
        path = NULL; /* the host chose it, for one run */
    vsr_xml_open(w, name);
    vsr_xml_put_attr(w, "type", kind_texts[chr->kind]);
    if (path && chr->kind == VSR_CHAR_PTY && strcmp(name, "console") == 0)
        vsr_xml_put_attr(w, "tty", path);
    vsr_xml_end_open(w);
    if (path) {
        vsr_xml_open(w, "source");
        if (chr->kind == VSR_CHAR_UNIX)
            vsr_xml_put_attr(w, "mode", chr->listen ? "bind" : "connect");
        vsr_xml_put_attr(w, "path", path);
        if (chr->kind == VSR_CHAR_FILE)
            vsr_xml_put_attr(w, "append", chr->append ? "on" : "off");
        vsr_xml_end_empty(w);
    }
    vsr_xml_open(w, "target");
    if (strcmp(name, "console") == 0) {
        vsr_xml_put_attr(w, "type", "serial");
        vsr_xml_put_attr_u64(w, "port", chr->port);
        vsr_xml_end_empty(w);
    } else {
        vsr_xml_put_attr(w, "type", "isa-serial");
        vsr_xml_put_attr_u64(w, "port", chr->port);
        vsr_xml_end_open(w);
        vsr_xml_open(w, "model");
        vsr_xml_put_attr(w, "name", "isa-serial");
        vsr_xml_end_empty(w);
        vsr_xml_close(w, "target");
    }
    vsr_xml_close(w, name);
}

void vsr_domain_write_devices(vsr_xml_writer *w, const vsr_domain_conf *conf,
                              bool is_live)
{
    if (conf->serials->len == 0 && conf->devices->len == 0) {
        vsr_xml_put_empty(w, "devices");
        return;
    }
    vsr_xml_open(w, "devices");
    vsr_xml_end_open(w);
    for (guint i = 0; i < conf->devices->len; i++)
        vsr_device_write(w, conf->devices->pdata[i], is_live);
    for (guint i = 0; i < conf->serials->len; i++)
        write_char(w, "serial", &g_array_index(conf->serials, vsr_char_conf, i),
                   is_live);
    if (conf->console)
        write_char(w, "console",
                   &g_array_index(conf->serials, vsr_char_conf, 0), is_live);
    vsr_xml_close(w, "devices");
}
