/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_console.c: a domain's serial console on this terminal. */
#include <stdio.h>
#include <unistd.h>

#include "vctl.h"

static struct {
    gboolean force, replay;
    gint port;
} opt;

static const GOptionEntry console_options[] = {
    { "force", 0, 0, G_OPTION_ARG_NONE, &opt.force,
      "take the console from whoever holds it", NULL },
    { "replay", 0, 0, G_OPTION_ARG_NONE, &opt.replay,
      "show the last 64 KiB of output first", NULL },
    { "port", 'p', 0, G_OPTION_ARG_INT, &opt.port,
      "another serial port than the first (0)", "N" },
    { .long_name = NULL },
};

int vctl_console_of(vctl *v, visor_domain *dom, uint32_t port, uint32_t flags)
{
    visor_stream *stream = NULL;
    visor_error *err = NULL;
    bool left = false;
    int status;

    if (visor_domain_open_console(dom, port, flags, &stream, &err) < 0)
        return vctl_fail(err);
    if (isatty(STDIN_FILENO) && !v->quiet)
        fprintf(stderr, "Connected to '%s'; Ctrl-] leaves\n",
                visor_domain_get_name(dom));
    status = vctl_terminal_pump(stream, &left);
    visor_stream_free(stream);
    if (left && !v->quiet)
        fputs("\n", stderr);
    return status;
}

static int cmd_console(vctl *v, int n_args, char **args)
{
    uint32_t flags = (opt.force ? VISOR_CONSOLE_FORCE : 0u) |
                     (opt.replay ? VISOR_CONSOLE_REPLAY : 0u);
    int status;
    visor_domain *dom;

    if (opt.port < 0)
        return vctl_usage("console: port %d is negative", opt.port);
    dom = vctl_domain(v, args[0], &status);
    if (!dom)
        return status;
    status = vctl_console_of(v, dom, (uint32_t)opt.port, flags);
    visor_domain_unref(dom);
    return status;
}

const vctl_command vctl_console_commands[] = {
    { "console", "Domains", "DOMAIN", "connect to a serial console",
      "Ctrl-] leaves; the domain goes on.", console_options, 1, 1,
      cmd_console },
    { .name = NULL },
};
