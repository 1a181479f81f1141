/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_stats.c: a running domain's numbers: all of them, or those of a part. */
#include <stdio.h>
#include <string.h>

#include "vctl.h"

static void print(vctl *v, const visor_stat *stats, int n, const char *prefix)
{
    vctl_out *out = v->json ? vctl_out_new() : NULL;

    if (out)
        vctl_out_begin(out);
    for (int i = 0; i < n; i++) {
        if (!g_str_has_prefix(stats[i].name, prefix))
            continue;
        if (out)
            vctl_out_number(out, stats[i].name, (int64_t)stats[i].value);
        else
            printf("%s=%" G_GUINT64_FORMAT "\n", stats[i].name,
                   (guint64)stats[i].value);
    }
    if (out) {
        vctl_out_end(out);
        vctl_out_print(out, false);
    }
}

static bool has(const visor_stat *stats, int n, const char *prefix)
{
    for (int i = 0; i < n; i++)
        if (g_str_has_prefix(stats[i].name, prefix))
            return true;
    return false;
}

/* `what`: the device that the prefix is of, which there must be; or NULL. */
static int show(vctl *v, visor_domain *dom, const char *prefix,
                const char *what)
{
    visor_error *err = NULL;
    visor_stat *stats = NULL;
    int status = VCTL_OK;
    int n = visor_domain_get_stats(dom, &stats, &err);

    if (n < 0)
        return vctl_fail(err);
    if (what && !has(stats, n, prefix)) {
        fprintf(stderr, "vctl: The domain has no %s\n", what);
        status = VCTL_NOT_FOUND;
    } else {
        print(v, stats, n, prefix);
    }
    visor_free(stats);
    return status;
}

static int show_of(vctl *v, const char *name, const char *prefix,
                   const char *what)
{
    int status;
    visor_domain *dom = vctl_domain(v, name, &status);

    if (!dom)
        return status;
    status = show(v, dom, prefix, what);
    visor_domain_unref(dom);
    return status;
}

static int cmd_stats(vctl *v, int n_args, char **args)
{
    return show_of(v, args[0], "", NULL);
}

static int cmd_domblkstat(vctl *v, int n_args, char **args)
{
    g_autofree char *prefix = NULL, *what = NULL;

    if (n_args < 2)
        return show_of(v, args[0], "block.", NULL);
    prefix = g_strdup_printf("block.%s.", args[1]);
    what = g_strdup_printf("disk '%s'", args[1]);
    return show_of(v, args[0], prefix, what);
}

static int cmd_domifstat(vctl *v, int n_args, char **args)
{
    g_autofree char *what = g_strdup_printf("interface '%s'", args[1]);
    g_autofree char *mac = NULL, *prefix = NULL;
    int status;
    visor_domain *dom = vctl_domain(v, args[0], &status);

    if (!dom)
        return status;
    mac = vctl_mac_of_link(dom, args[1]);
    if (!mac)
        mac = g_ascii_strdown(args[1], -1);
    prefix = g_strdup_printf("net.%s.", mac);
    status = show(v, dom, prefix, what);
    visor_domain_unref(dom);
    return status;
}

static int cmd_dommemstat(vctl *v, int n_args, char **args)
{
    return show_of(v, args[0], "balloon.", NULL);
}

#define GROUP "Looking at domains"

const vctl_command vctl_stats_commands[] = {
    { "stats", GROUP, "DOMAIN", "counters of a running domain",
      "One 'name=value' a line; times in ns, sizes in KiB, those of disks and "
      "interfaces in bytes.",
      NULL, 1, 1, cmd_stats },
    { "domblkstat", GROUP, "DOMAIN [TARGET]", "counters of its disks",
      "Of all disks, or of TARGET (vda …): rd, wr and fl are what was read, "
      "written and flushed: requests, bytes and the time they took (ns); errors "
      "are those of the host; capacity and allocation are bytes that the guest "
      "sees and that the host has given.",
      NULL, 1, 2, cmd_domblkstat },
    { "domifstat", GROUP, "DOMAIN MAC|LINK", "counters of an interface",
      "The interface is meant by its MAC address or by the name of its link on "
      "the host. rx is what the guest has received, tx what it has sent: bytes, "
      "packets, and packets that were dropped.",
      NULL, 2, 2, cmd_domifstat },
    { "dommemstat", GROUP, "DOMAIN", "counters of its memory",
      "In KiB, but for counts of events. With a <memballoon> that has a "
      "<stats period='…'/> those that the guest tells, too.",
      NULL, 1, 1, cmd_dommemstat },
    { .name = NULL },
};
