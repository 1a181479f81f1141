/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_metadata.c: title, description and <metadata> of a domain. */
#include <stdio.h>
#include <string.h>

#include "vctl.h"

static struct {
    gboolean title, remove;
    char *key, *set;
} opt;

static const GOptionEntry desc_options[] = {
    { "title", 0, 0, G_OPTION_ARG_NONE, &opt.title,
      "the title instead of the description", NULL },
    { "remove", 0, 0, G_OPTION_ARG_NONE, &opt.remove, "remove it", NULL },
    { .long_name = NULL },
};
static const GOptionEntry metadata_options[] = {
    { "key", 0, 0, G_OPTION_ARG_STRING, &opt.key,
      "prefix of the namespace, with --set", "PREFIX" },
    { "set", 0, 0, G_OPTION_ARG_STRING, &opt.set, "the new element", "XML" },
    { "remove", 0, 0, G_OPTION_ARG_NONE, &opt.remove, "remove the element",
      NULL },
    { .long_name = NULL },
};

/* Prints what is there. */
static int show(vctl *v, visor_domain *dom, int kind, const char *uri)
{
    visor_error *err = NULL;
    char *text = NULL;

    if (visor_domain_get_metadata(dom, kind, uri, &text, &err) < 0)
        return vctl_fail(err);
    if (v->json) {
        vctl_out *out = vctl_out_new();

        vctl_out_begin(out);
        vctl_out_string(out, "text", text);
        vctl_out_end(out);
        vctl_out_print(out, false);
    } else {
        puts(text);
    }
    visor_free(text);
    return VCTL_OK;
}

static int change(vctl *v, visor_domain *dom, int kind, const char *value,
                  const char *key, const char *uri)
{
    visor_error *err = NULL;

    if (visor_domain_set_metadata(dom, kind, value, key, uri, &err) < 0)
        return vctl_fail(err);
    vctl_say(v, "Domain '%s' changed", visor_domain_get_name(dom));
    return VCTL_OK;
}

static int cmd_desc(vctl *v, int n_args, char **args)
{
    int kind = opt.title ? VISOR_METADATA_TITLE : VISOR_METADATA_DESCRIPTION;
    int status;
    visor_domain *dom;

    if (opt.remove && n_args == 2)
        return vctl_usage("desc: either --remove or TEXT");
    dom = vctl_domain(v, args[0], &status);
    if (!dom)
        return status;
    if (opt.remove || n_args == 2)
        status = change(v, dom, kind, n_args == 2 ? args[1] : NULL, NULL, NULL);
    else
        status = show(v, dom, kind, NULL);
    visor_domain_unref(dom);
    return status;
}

static int cmd_metadata(vctl *v, int n_args, char **args)
{
    int status;
    visor_domain *dom;

    if (opt.set && (opt.remove || !opt.key))
        return vctl_usage("metadata: --set needs --key, and no --remove");
    dom = vctl_domain(v, args[0], &status);
    if (!dom)
        return status;
    if (opt.set || opt.remove)
        status =
            change(v, dom, VISOR_METADATA_ELEMENT, opt.set, opt.key, args[1]);
    else
        status = show(v, dom, VISOR_METADATA_ELEMENT, args[1]);
    visor_domain_unref(dom);
    return status;
}

#define GROUP "Domains"

const vctl_command vctl_metadata_commands[] = {
    { "desc", GROUP, "DOMAIN [TEXT]", "show or set a domain's description", "",
      desc_options, 1, 2, cmd_desc },
    { "metadata", GROUP, "DOMAIN URI",
      "show or set one element of a domain's metadata",
      "URI is the namespace of the element.", metadata_options, 2, 2,
      cmd_metadata },
    { .name = NULL },
};
