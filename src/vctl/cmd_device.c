/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_device.c: devices that are attached and detached, and what there is. */
#include <stdio.h>
#include <string.h>

#include "vctl.h"

static struct {
    gboolean readonly;
    char *subdriver, *cache, *io, *serial, *mac, *target;
} opt;

static const GOptionEntry affect_options[] = { VCTL_AFFECT,
                                               { .long_name = NULL } };
static const GOptionEntry disk_options[] = {
    VCTL_AFFECT,
    { "subdriver", 0, 0, G_OPTION_ARG_STRING, &opt.subdriver,
      "the image's format: raw (the default) or qcow2", "FORMAT" },
    { "cache", 0, 0, G_OPTION_ARG_STRING, &opt.cache,
      "writeback, writethrough, none, directsync or unsafe", "MODE" },
    { "io", 0, 0, G_OPTION_ARG_STRING, &opt.io, "threads or io_uring", "HOW" },
    { "serial", 0, 0, G_OPTION_ARG_STRING, &opt.serial, "serial number",
      "TEXT" },
    { "readonly", 0, 0, G_OPTION_ARG_NONE, &opt.readonly,
      "the guest cannot write to it", NULL },
    { .long_name = NULL },
};
static const GOptionEntry interface_options[] = {
    VCTL_AFFECT,
    { "mac", 0, 0, G_OPTION_ARG_STRING, &opt.mac,
      "the guest's address; one is chosen otherwise", "MAC" },
    { "target", 0, 0, G_OPTION_ARG_STRING, &opt.target,
      "the link's name on the host", "NAME" },
    { .long_name = NULL },
};

/* --- attaching and detaching -------------------------------------------------------- */

typedef int change_fn(visor_domain *dom, const char *xml, uint32_t flags,
                      visor_error **err);

static int change(vctl *v, const char *name, const char *xml, change_fn *fn)
{
    const char *what = fn == visor_domain_attach_device   ? "attached"
                       : fn == visor_domain_detach_device ? "detached"
                                                          : "updated";
    visor_error *err = NULL;
    int status = VCTL_OK;
    visor_domain *dom = vctl_domain(v, name, &status);

    if (!dom)
        return status;
    if (fn(dom, xml, vctl_affected(dom), &err) < 0)
        status = vctl_fail(err);
    else
        vctl_say(v, "Device %s", what);
    visor_domain_unref(dom);
    return status;
}

static int change_from_file(vctl *v, char **args, change_fn *fn)
{
    g_autofree char *xml = vctl_read_file(args[1]);

    return xml ? change(v, args[0], xml, fn) : VCTL_FAILED;
}

static int cmd_attach_device(vctl *v, int n_args, char **args)
{
    return change_from_file(v, args, visor_domain_attach_device);
}

static int cmd_detach_device(vctl *v, int n_args, char **args)
{
    return change_from_file(v, args, visor_domain_detach_device);
}

static int cmd_update_device(vctl *v, int n_args, char **args)
{
    return change_from_file(v, args, visor_domain_update_device);
}

static void add_attr(GString *xml, const char *name, const char *value)
{
    g_autofree char *text = value ? vctl_xml_escape(value) : NULL;

    if (text)
        g_string_append_printf(xml, " %s='%s'", name, text);
}

static int cmd_attach_disk(vctl *v, int n_args, char **args)
{
    g_autofree char *path = g_canonicalize_filename(args[1], NULL);
    bool is_block = g_str_has_prefix(path, "/dev/");
    GString *xml = g_string_new("<disk device='disk'");
    g_autofree char *serial = NULL;
    int status;

    add_attr(xml, "type", is_block ? "block" : "file");
    g_string_append(xml, "><driver");
    add_attr(xml, "type", opt.subdriver ? opt.subdriver : "raw");
    add_attr(xml, "cache", opt.cache);
    add_attr(xml, "io", opt.io);
    g_string_append(xml, "/><source");
    add_attr(xml, is_block ? "dev" : "file", path);
    g_string_append(xml, "/><target bus='virtio'");
    add_attr(xml, "dev", args[2]);
    g_string_append(xml, "/>");
    if (opt.readonly)
        g_string_append(xml, "<readonly/>");
    serial = opt.serial ? vctl_xml_escape(opt.serial) : NULL;
    if (serial)
        g_string_append_printf(xml, "<serial>%s</serial>", serial);
    g_string_append(xml, "</disk>");
    status = change(v, args[0], xml->str, visor_domain_attach_device);
    g_string_free(xml, TRUE);
    return status;
}

/* Its target means a disk; a source is asked for by the grammar only. */
static int cmd_detach_disk(vctl *v, int n_args, char **args)
{
    g_autofree char *target = vctl_xml_escape(args[1]);
    g_autofree char *xml = g_strdup_printf(
        "<disk><source file='/'/><target dev='%s'/></disk>", target);

    return change(v, args[0], xml, visor_domain_detach_device);
}

static int cmd_attach_interface(vctl *v, int n_args, char **args)
{
    const char *type = strcmp(args[1], "tap") == 0 ? "ethernet" : args[1];
    GString *xml = g_string_new("<interface");
    int status;

    add_attr(xml, "type", type);
    g_string_append(xml, ">");
    if (n_args > 2) {
        g_string_append(xml, "<source");
        add_attr(xml, strcmp(type, "direct") == 0 ? "dev" : "bridge", args[2]);
        g_string_append(xml, "/>");
    }
    if (opt.mac) {
        g_string_append(xml, "<mac");
        add_attr(xml, "address", opt.mac);
        g_string_append(xml, "/>");
    }
    if (opt.target) {
        g_string_append(xml, "<target");
        add_attr(xml, "dev", opt.target);
        g_string_append(xml, "/>");
    }
    g_string_append(xml, "</interface>");
    status = change(v, args[0], xml->str, visor_domain_attach_device);
    g_string_free(xml, TRUE);
    return status;
}

static int cmd_detach_interface(vctl *v, int n_args, char **args)
{
    g_autofree char *mac = vctl_xml_escape(args[1]);
    g_autofree char *xml = g_strdup_printf(
        "<interface type='null'><mac address='%s'/></interface>", mac);

    return change(v, args[0], xml, visor_domain_detach_device);
}

/* --- what there is ------------------------------------------------------------------ */

/* Rows of domblklist or domiflist, as the domain's XML goes by. */
typedef struct {
    const char *element; /* "disk" or "interface" */
    bool is_inside;
    char *type, *source, *target, *mac, *model;
    GPtrArray *rows; /* of char *[5] */
} lister;

static void take(char **to, const char **names, const char **values,
                 const char *name)
{
    for (; *names; names++, values++)
        if (!*to && strcmp(*names, name) == 0)
            *to = g_strdup(*values);
}

static void on_start(GMarkupParseContext *context, const char *element,
                     const char **names, const char **values, void *opaque,
                     GError **error)
{
    lister *l = opaque;

    if (strcmp(element, l->element) == 0) {
        l->is_inside = true;
        take(&l->type, names, values, "type");
    }
    if (!l->is_inside)
        return;
    if (strcmp(element, "source") == 0)
        for (const char *const *key =
                 (const char *const[]){ "file", "dev", "bridge", "name", NULL };
             *key; key++)
            take(&l->source, names, values, *key);
    if (strcmp(element, "target") == 0)
        take(&l->target, names, values, "dev");
    if (strcmp(element, "mac") == 0)
        take(&l->mac, names, values, "address");
    if (strcmp(element, "model") == 0)
        take(&l->model, names, values, "type");
}

static void on_end(GMarkupParseContext *context, const char *element,
                   void *opaque, GError **error)
{
    lister *l = opaque;
    char **row;

    if (strcmp(element, l->element) != 0)
        return;
    l->is_inside = false;
    row = g_new0(char *, 6);
    row[0] = g_steal_pointer(&l->target);
    row[1] = g_steal_pointer(&l->type);
    row[2] = g_steal_pointer(&l->source);
    row[3] = g_steal_pointer(&l->model);
    row[4] = g_steal_pointer(&l->mac);
    for (int i = 0; i < 5; i++)
        if (!row[i])
            row[i] = g_strdup("-");
    g_ptr_array_add(l->rows, row);
}

static void free_row(void *row)
{
    g_strfreev(row);
}

/* Rows of all such elements, or NULL. */
static GPtrArray *rows_of(visor_domain *dom, const char *element,
                          visor_error **err)
{
    static const GMarkupParser parser = { .start_element = on_start,
                                          .end_element = on_end };
    lister l = { .element = element };
    GMarkupParseContext *context;
    char *xml = NULL;

    if (visor_domain_get_xml(dom, 0, &xml, err) < 0)
        return NULL;
    l.rows = g_ptr_array_new_with_free_func(free_row);
    context = g_markup_parse_context_new(&parser, 0, &l, NULL);
    (void)g_markup_parse_context_parse(context, xml, -1, NULL);
    g_markup_parse_context_free(context);
    visor_free(xml);
    return l.rows;
}

char *vctl_mac_of_link(visor_domain *dom, const char *link)
{
    GPtrArray *rows = rows_of(dom, "interface", NULL);
    char *mac = NULL;

    for (guint i = 0; rows && i < rows->len; i++) {
        char **row = rows->pdata[i];

        if (!mac && strcmp(row[0], link) == 0)
            mac = g_strdup(row[4]);
    }
    if (rows)
        g_ptr_array_unref(rows);
    return mac;
}

static int list(vctl *v, const char *name, const char *element,
                bool (*print)(vctl *v, const GPtrArray *rows))
{
    visor_error *err = NULL;
    GPtrArray *rows;
    int status;
    visor_domain *dom = vctl_domain(v, name, &status);

    if (!dom)
        return status;
    rows = rows_of(dom, element, &err);
    visor_domain_unref(dom);
    if (!rows)
        return vctl_fail(err);
    (void)print(v, rows);
    g_ptr_array_unref(rows);
    return VCTL_OK;
}

static bool print_rows(vctl *v, const GPtrArray *rows,
                       const char *const *headings, const char *const *keys,
                       const int *columns)
{
    vctl_table *table = v->json ? NULL : vctl_table_new(headings);
    vctl_out *out = v->json ? vctl_out_new() : NULL;

    if (out)
        vctl_out_begin_list(out, NULL);
    for (guint i = 0; i < rows->len; i++) {
        char **row = rows->pdata[i];

        if (!out) {
            vctl_table_row(table, row[columns[0]], row[columns[1]],
                           row[columns[2]], row[columns[3]], row[columns[4]],
                           NULL);
            continue;
        }
        vctl_out_begin(out);
        for (int k = 0; keys[k]; k++)
            vctl_out_string(out, keys[k], row[columns[k]]);
        vctl_out_end(out);
    }
    if (out) {
        vctl_out_end_list(out);
        vctl_out_print(out, false);
    } else {
        vctl_table_print(table);
    }
    return true;
}

static bool print_disks(vctl *v, const GPtrArray *rows)
{
    static const char *const headings[] = { "Target", "Type", "Source", NULL };
    static const char *const keys[] = { "target", "type", "source", NULL };
    static const int columns[] = { 0, 1, 2, 5, 5 }; /* 5: the row's NULL */

    return print_rows(v, rows, headings, keys, columns);
}

static bool print_interfaces(vctl *v, const GPtrArray *rows)
{
    static const char *const headings[] = { "Interface", "Type", "Source",
                                            "Model",     "MAC",  NULL };
    static const char *const keys[] = { "target", "type", "source",
                                        "model",  "mac",  NULL };
    static const int columns[] = { 0, 1, 2, 3, 4 };

    return print_rows(v, rows, headings, keys, columns);
}

static int cmd_domblklist(vctl *v, int n_args, char **args)
{
    return list(v, args[0], "disk", print_disks);
}

static int cmd_domiflist(vctl *v, int n_args, char **args)
{
    return list(v, args[0], "interface", print_interfaces);
}

#define GROUP "Devices"

const vctl_command vctl_device_commands[] = {
    { "attach-device", GROUP, "DOMAIN FILE", "attach a device from XML",
      VCTL_AFFECT_HELP, affect_options, 2, 2, cmd_attach_device },
    { "detach-device", GROUP, "DOMAIN FILE",
      "detach the device that the XML means",
      "A disk is meant by its target, an interface by its MAC address. A "
      "running guest must let go of it; exit status 6 says that it has "
      "not yet. " VCTL_AFFECT_HELP,
      affect_options, 2, 2, cmd_detach_device },
    { "update-device", GROUP, "DOMAIN FILE",
      "change the device that the XML means",
      "The device becomes as the XML says. While a guest uses it, these can "
      "change: of a disk <iotune>, error_policy and rerror_policy; of an "
      "interface <link>, <bandwidth> (not of type 'direct'), and the bridge of "
      "type 'bridge'; of <rng> <rate>; of <memballoon> <stats>; of <memory> "
      "<requested>. What else differs from what is there is refused, and then "
      "nothing has changed. " VCTL_AFFECT_HELP,
      affect_options, 2, 2, cmd_update_device },
    { "attach-disk", GROUP, "DOMAIN SOURCE TARGET", "attach a disk",
      "SOURCE is an image or a block device, TARGET is vda, vdb … " VCTL_AFFECT_HELP,
      disk_options, 3, 3, cmd_attach_disk },
    { "detach-disk", GROUP, "DOMAIN TARGET", "detach a disk", VCTL_AFFECT_HELP,
      affect_options, 2, 2, cmd_detach_disk },
    { "attach-interface", GROUP, "DOMAIN TYPE [SOURCE]",
      "attach a network interface",
      "TYPE is user, bridge (SOURCE: the bridge), direct (SOURCE: the host's "
      "link), ethernet or null. " VCTL_AFFECT_HELP,
      interface_options, 2, 3, cmd_attach_interface },
    { "detach-interface", GROUP, "DOMAIN MAC", "detach a network interface",
      VCTL_AFFECT_HELP, affect_options, 2, 2, cmd_detach_interface },
    { "domblklist", GROUP, "DOMAIN", "list a domain's disks", "", NULL, 1, 1,
      cmd_domblklist },
    { "domiflist", GROUP, "DOMAIN", "list a domain's network interfaces", "",
      NULL, 1, 1, cmd_domiflist },
    { .name = NULL },
};
