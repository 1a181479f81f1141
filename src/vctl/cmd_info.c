/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_info.c: commands that only look at domains. */
#include <stdio.h>
#include <string.h>

#include "vctl.h"

static struct {
    gboolean all, inactive_only, names, uuids, persistent, transient;
    gboolean inactive_xml;
    gboolean autostart;
} opt;

static const GOptionEntry list_options[] = {
    { "all", 'a', 0, G_OPTION_ARG_NONE, &opt.all, "inactive ones too", NULL },
    { "inactive", 0, 0, G_OPTION_ARG_NONE, &opt.inactive_only,
      "inactive ones only", NULL },
    { "persistent", 0, 0, G_OPTION_ARG_NONE, &opt.persistent,
      "defined ones only", NULL },
    { "transient", 0, 0, G_OPTION_ARG_NONE, &opt.transient,
      "transient ones only", NULL },
    { "autostart", 0, 0, G_OPTION_ARG_NONE, &opt.autostart,
      "those that start with the host", NULL },
    { "name", 0, 0, G_OPTION_ARG_NONE, &opt.names, "names only, a line each",
      NULL },
    { "uuid", 0, 0, G_OPTION_ARG_NONE, &opt.uuids, "uuids only, a line each",
      NULL },
    { .long_name = NULL },
};
static const GOptionEntry dumpxml_options[] = {
    { "inactive", 0, 0, G_OPTION_ARG_NONE, &opt.inactive_xml,
      "the definition, though the domain is active", NULL },
    { .long_name = NULL },
};

static uint32_t list_flags(void)
{
    uint32_t flags = 0;

    if (opt.inactive_only)
        flags |= VISOR_LIST_INACTIVE;
    else if (!opt.all)
        flags |= VISOR_LIST_ACTIVE;
    if (opt.persistent)
        flags |= VISOR_LIST_PERSISTENT;
    if (opt.transient)
        flags |= VISOR_LIST_TRANSIENT;
    if (opt.autostart)
        flags |= VISOR_LIST_AUTOSTART;
    return flags;
}

static void list_row(visor_domain *dom, vctl_out *out, vctl_table *table)
{
    const char *name = visor_domain_get_name(dom);
    const char *uuid = visor_domain_get_uuid(dom);
    int id = visor_domain_get_id(dom);
    int state = -1, reason = 0;

    if (visor_domain_get_state(dom, &state, &reason, NULL) < 0)
        return; /* it went away meanwhile */
    if (out) {
        vctl_out_begin(out);
        if (id >= 0)
            vctl_out_number(out, "id", id);
        else
            vctl_out_null(out, "id");
        vctl_out_string(out, "name", name);
        vctl_out_string(out, "uuid", uuid);
        vctl_out_string(out, "state", visor_state_name(state));
        vctl_out_string(out, "reason", visor_reason_name(reason));
        vctl_out_end(out);
    } else if (table) {
        g_autofree char *number =
            id >= 0 ? g_strdup_printf("%d", id) : g_strdup("-");

        vctl_table_row(table, number, name, visor_state_name(state), NULL);
    } else {
        puts(opt.uuids ? uuid : name);
    }
}

static int cmd_list(vctl *v, int n_args, char **args)
{
    static const char *const headings[] = { "Id", "Name", "State", NULL };
    bool plain = opt.names || opt.uuids;
    visor_domain **list = NULL;
    visor_error *err = NULL;
    vctl_table *table = NULL;
    vctl_out *out = NULL;
    int n;

    if (!vctl_connect(v, 0))
        return VCTL_NO_CONNECTION;
    n = visor_domain_list(v->conn, list_flags(), &list, &err);
    if (n < 0)
        return vctl_fail(err);
    if (v->json) {
        out = vctl_out_new();
        vctl_out_begin_list(out, NULL);
    } else if (!plain) {
        table = vctl_table_new(headings);
    }
    for (int i = 0; i < n; i++)
        list_row(list[i], out, table);
    visor_domain_list_free(list);
    if (out) {
        vctl_out_end_list(out);
        vctl_out_print(out, false);
    } else if (table) {
        vctl_table_print(table);
    }
    return VCTL_OK;
}

static void info_json(visor_domain *dom, const visor_domain_info *info, int id)
{
    vctl_out *out = vctl_out_new();

    vctl_out_begin(out);
    if (id >= 0)
        vctl_out_number(out, "id", id);
    else
        vctl_out_null(out, "id");
    vctl_out_string(out, "name", visor_domain_get_name(dom));
    vctl_out_string(out, "uuid", visor_domain_get_uuid(dom));
    vctl_out_string(out, "state", visor_state_name(info->state));
    vctl_out_string(out, "reason", visor_reason_name(info->reason));
    vctl_out_number(out, "max_memory_kib", (int64_t)info->max_memory_kib);
    vctl_out_number(out, "memory_kib", (int64_t)info->memory_kib);
    vctl_out_number(out, "vcpus", info->vcpus);
    vctl_out_number(out, "max_vcpus", info->max_vcpus);
    vctl_out_number(out, "cpu_time_ns", (int64_t)info->cpu_time_ns);
    vctl_out_bool(out, "persistent", info->persistent);
    vctl_out_bool(out, "autostart", info->autostart);
    if (info->exit_status >= 0)
        vctl_out_number(out, "exit_status", info->exit_status);
    vctl_out_end(out);
    vctl_out_print(out, false);
}

static void info_text(visor_domain *dom, const visor_domain_info *info, int id)
{
    g_autofree char *max = vctl_size_text(info->max_memory_kib);
    g_autofree char *now = vctl_size_text(info->memory_kib);

    if (id >= 0)
        printf("Id:          %d\n", id);
    else
        printf("Id:          -\n");
    printf("Name:        %s\n", visor_domain_get_name(dom));
    printf("UUID:        %s\n", visor_domain_get_uuid(dom));
    printf("State:       %s", visor_state_name(info->state));
    if (info->reason)
        printf(" (%s)", visor_reason_name(info->reason));
    printf("\nvCPUs:       %u of %u\n", info->vcpus, info->max_vcpus);
    printf("Memory:      %s of %s\n", now, max);
    printf("CPU time:    %.3f s\n", (double)info->cpu_time_ns / 1e9);
    printf("Persistent:  %s\n", info->persistent ? "yes" : "no");
    printf("Autostart:   %s\n", info->autostart ? "yes" : "no");
    if (info->exit_status >= 0)
        printf("Exit status: %d\n", info->exit_status);
}

static int cmd_info(vctl *v, int n_args, char **args)
{
    visor_domain_info info = { .size = sizeof info };
    visor_error *err = NULL;
    int status;
    visor_domain *dom = vctl_domain(v, args[0], &status);

    if (!dom)
        return status;
    if (visor_domain_get_info(dom, &info, &err) < 0) {
        status = vctl_fail(err);
    } else {
        int id = visor_domain_get_id(dom);

        status = VCTL_OK;
        if (v->json)
            info_json(dom, &info, id);
        else
            info_text(dom, &info, id);
    }
    visor_domain_unref(dom);
    return status;
}

static int cmd_dumpxml(vctl *v, int n_args, char **args)
{
    visor_error *err = NULL;
    char *xml = NULL;
    int status;
    visor_domain *dom = vctl_domain(v, args[0], &status);

    if (!dom)
        return status;
    if (visor_domain_get_xml(dom, opt.inactive_xml ? VISOR_XML_INACTIVE : 0,
                             &xml, &err) < 0) {
        status = vctl_fail(err);
    } else {
        status = VCTL_OK;
        if (v->json) {
            vctl_out *out = vctl_out_new();

            vctl_out_begin(out);
            vctl_out_string(out, "xml", xml);
            vctl_out_end(out);
            vctl_out_print(out, false);
        } else {
            fputs(xml, stdout);
            if (!g_str_has_suffix(xml, "\n"))
                putchar('\n');
        }
        visor_free(xml);
    }
    visor_domain_unref(dom);
    return status;
}

static int cmd_domstate(vctl *v, int n_args, char **args)
{
    visor_error *err = NULL;
    int status, state = 0, reason = 0;
    visor_domain *dom = vctl_domain(v, args[0], &status);

    if (!dom)
        return status;
    if (visor_domain_get_state(dom, &state, &reason, &err) < 0) {
        status = vctl_fail(err);
    } else if (v->json) {
        vctl_out *out = vctl_out_new();

        status = VCTL_OK;
        vctl_out_begin(out);
        vctl_out_string(out, "state", visor_state_name(state));
        vctl_out_string(out, "reason", visor_reason_name(reason));
        vctl_out_end(out);
        vctl_out_print(out, false);
    } else {
        status = VCTL_OK;
        printf("%s (%s)\n", visor_state_name(state), visor_reason_name(reason));
    }
    visor_domain_unref(dom);
    return status;
}

#define GROUP "Looking at domains"

const vctl_command vctl_info_commands[] = {
    { "list", GROUP, "", "list domains",
      "Active ones, unless an option says "
      "otherwise.",
      list_options, 0, 0, cmd_list },
    { "info", GROUP, "DOMAIN", "one domain's state and resources", "", NULL, 1,
      1, cmd_info },
    { "domstate", GROUP, "DOMAIN", "state and the reason for it", "", NULL, 1,
      1, cmd_domstate },
    { "dumpxml", GROUP, "DOMAIN", "the domain as XML",
      "Of a running domain: as it is now, with its number and pty paths.",
      dumpxml_options, 1, 1, cmd_dumpxml },
    { .name = NULL },
};
