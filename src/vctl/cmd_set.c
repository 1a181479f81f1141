/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_set.c: numbers of a domain that change: vCPUs, memory, sizes of disks. */
#include "vctl.h"

static struct {
    gboolean maximum;
} opt;

static const GOptionEntry vcpus_options[] = {
    VCTL_AFFECT,
    { "maximum", 0, 0, G_OPTION_ARG_NONE, &opt.maximum,
      "the definition's maximum", NULL },
    { .long_name = NULL },
};
static const GOptionEntry affect_options[] = { VCTL_AFFECT,
                                               { .long_name = NULL } };

static int cmd_setvcpus(vctl *v, int n_args, char **args)
{
    visor_error *err = NULL;
    guint64 n;
    int status = VCTL_OK;
    visor_domain *dom;
    uint32_t flags;

    if (!g_ascii_string_to_unsigned(args[1], 10, 1, UINT32_MAX, &n, NULL))
        return vctl_usage("setvcpus: '%s' is no number of vCPUs", args[1]);
    dom = vctl_domain(v, args[0], &status);
    if (!dom)
        return status;
    flags = vctl_affected(dom) | (opt.maximum ? VISOR_AFFECT_MAXIMUM : 0u);
    if (visor_domain_set_vcpus(dom, (uint32_t)n, flags, &err) < 0)
        status = vctl_fail(err);
    visor_domain_unref(dom);
    return status;
}

static int set_memory(vctl *v, char **args, uint32_t more_flags)
{
    visor_error *err = NULL;
    uint64_t kib;
    int status = VCTL_OK;
    visor_domain *dom;

    if (!vctl_size_parse(args[1], &kib))
        return vctl_usage("setmem: '%s' is no size: use 512M, 2G …", args[1]);
    dom = vctl_domain(v, args[0], &status);
    if (!dom)
        return status;
    if (visor_domain_set_memory(dom, kib, vctl_affected(dom) | more_flags,
                                &err) < 0)
        status = vctl_fail(err);
    visor_domain_unref(dom);
    return status;
}

static int cmd_setmem(vctl *v, int n_args, char **args)
{
    return set_memory(v, args, 0);
}

static int cmd_setmaxmem(vctl *v, int n_args, char **args)
{
    return set_memory(v, args, VISOR_AFFECT_MAXIMUM);
}

static int cmd_blockresize(vctl *v, int n_args, char **args)
{
    visor_error *err = NULL;
    uint64_t kib;
    int status = VCTL_OK;
    visor_domain *dom;

    if (!vctl_size_parse(args[2], &kib))
        return vctl_usage("blockresize: '%s' is no size: use 512M, 2G …",
                          args[2]);
    dom = vctl_domain(v, args[0], &status);
    if (!dom)
        return status;
    if (visor_domain_resize_disk(dom, args[1], kib * 1024, 0, &err) < 0)
        status = vctl_fail(err);
    else
        vctl_say(v, "Disk '%s' resized", args[1]);
    visor_domain_unref(dom);
    return status;
}

#define GROUP "Devices"

const vctl_command vctl_set_commands[] = {
    { "setvcpus", GROUP, "DOMAIN N", "change the number of vCPUs",
      "A running guest is told of further vCPUs, or asked to let go of the last "
      "ones; exit status 6 says that it has not yet. " VCTL_AFFECT_HELP,
      vcpus_options, 2, 2, cmd_setvcpus },
    { "setmem", GROUP, "DOMAIN SIZE", "change the memory in use",
      "SIZE is in KiB, or has a unit: 512M, 2G. A running guest needs a memory "
      "balloon, and takes its time. " VCTL_AFFECT_HELP,
      affect_options, 2, 2, cmd_setmem },
    { "setmaxmem", GROUP, "DOMAIN SIZE", "change the definition's memory",
      "SIZE is in KiB, or has a unit: 512M, 2G.", affect_options, 2, 2,
      cmd_setmaxmem },
    { "blockresize", GROUP, "DOMAIN TARGET SIZE",
      "change the size of a running domain's disk",
      "SIZE is in KiB, or has a unit: 512M, 2G. The guest sees it at once; "
      "its partitions and file systems are its own affair. A raw file may "
      "shrink, too, and loses what was at its end; a qcow2 image grows only; a "
      "block device must be that large already.",
      NULL, 3, 3, cmd_blockresize },
    { .name = NULL },
};
