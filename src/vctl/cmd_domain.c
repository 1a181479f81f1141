/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_domain.c: commands that define domains and change what they do. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "vctl.h"

/* Options of this file's commands, filled by the parser of main.c. */
static struct {
    gboolean paused, console, validate, force;
    gboolean inactive;
    gint timeout;
    gboolean disable;
} opt;

static const GOptionEntry define_options[] = {
    { "validate", 0, 0, G_OPTION_ARG_NONE, &opt.validate,
      "check against the RELAX NG schema first", NULL },
    { .long_name = NULL },
};
static const GOptionEntry start_options[] = {
    { "paused", 0, 0, G_OPTION_ARG_NONE, &opt.paused,
      "build the machine, run no vCPU yet", NULL },
    { "console", 0, 0, G_OPTION_ARG_NONE, &opt.console,
      "connect the terminal to its console", NULL },
    { .long_name = NULL },
};
static const GOptionEntry shutdown_options[] = {
    { "timeout", 'w', 0, G_OPTION_ARG_INT, &opt.timeout,
      "wait that many seconds for it to be off", "SECONDS" },
    { .long_name = NULL },
};
static const GOptionEntry autostart_options[] = {
    { "disable", 0, 0, G_OPTION_ARG_NONE, &opt.disable,
      "do not start it with the host", NULL },
    { .long_name = NULL },
};

static int cmd_define(vctl *v, int n_args, char **args)
{
    g_autofree char *xml = vctl_read_file(args[0]);
    visor_domain *dom = NULL;
    visor_error *err = NULL;

    if (!xml)
        return VCTL_FAILED;
    if (!vctl_connect(v, 0))
        return VCTL_NO_CONNECTION;
    if (visor_domain_define_xml(v->conn, xml,
                                opt.validate ? VISOR_DEFINE_VALIDATE : 0, &dom,
                                &err) < 0)
        return vctl_fail(err);
    vctl_say(v, "Domain '%s' defined", visor_domain_get_name(dom));
    visor_domain_unref(dom);
    return VCTL_OK;
}

static int after_start(vctl *v, visor_domain *dom)
{
    int status = VCTL_OK;

    vctl_say(v, "Domain '%s' started%s", visor_domain_get_name(dom),
             opt.paused ? ", paused" : "");
    if (opt.console)
        status = vctl_console_of(v, dom, 0, VISOR_CONSOLE_REPLAY);
    return status;
}

static int cmd_create(vctl *v, int n_args, char **args)
{
    g_autofree char *xml = vctl_read_file(args[0]);
    visor_domain *dom = NULL;
    visor_error *err = NULL;
    int status;

    if (!xml)
        return VCTL_FAILED;
    if (!vctl_connect(v, 0))
        return VCTL_NO_CONNECTION;
    if (visor_domain_create_xml(
            v->conn, xml, opt.paused ? VISOR_START_PAUSED : 0, &dom, &err) < 0)
        return vctl_fail(err);
    status = after_start(v, dom);
    visor_domain_unref(dom);
    return status;
}

static int cmd_start(vctl *v, int n_args, char **args)
{
    visor_error *err = NULL;
    int status;
    visor_domain *dom = vctl_domain(v, args[0], &status);

    if (!dom)
        return status;
    if (visor_domain_start(dom, opt.paused ? VISOR_START_PAUSED : 0, &err) < 0)
        status = vctl_fail(err);
    else
        status = after_start(v, dom);
    visor_domain_unref(dom);
    return status;
}

/* The commands that are one call and one sentence. */
typedef int simple_call(visor_domain *dom, visor_error **err);

static int simple(vctl *v, const char *what, simple_call *call,
                  const char *done)
{
    visor_error *err = NULL;
    int status;
    visor_domain *dom = vctl_domain(v, what, &status);

    if (!dom)
        return status;
    if (call(dom, &err) < 0) {
        status = vctl_fail(err);
    } else {
        status = VCTL_OK;
        vctl_say(v, "Domain '%s' %s", visor_domain_get_name(dom), done);
    }
    visor_domain_unref(dom);
    return status;
}

static int call_undefine(visor_domain *dom, visor_error **err)
{
    return visor_domain_undefine(dom, 0, err);
}

static int call_destroy(visor_domain *dom, visor_error **err)
{
    return visor_domain_destroy(dom, 0, err);
}

static int call_reset(visor_domain *dom, visor_error **err)
{
    return visor_domain_reset(dom, 0, err);
}

static int call_reboot(visor_domain *dom, visor_error **err)
{
    return visor_domain_reboot(dom, 0, err);
}

static int call_suspend(visor_domain *dom, visor_error **err)
{
    return visor_domain_suspend(dom, err);
}

static int call_resume(visor_domain *dom, visor_error **err)
{
    return visor_domain_resume(dom, err);
}

static int call_shutdown(visor_domain *dom, visor_error **err)
{
    int rc = visor_domain_shutdown(dom, 0, err);

    if (rc < 0 || opt.timeout <= 0)
        return rc;
    rc = visor_domain_wait(dom, 1u << VISOR_STATE_SHUTOFF, opt.timeout * 1000,
                           err);
    /* A transient domain that is off is also gone. */
    if (rc < 0 && err && visor_error_get_code(*err) == VISOR_ERR_NOT_FOUND) {
        visor_error_free(*err);
        *err = NULL;
        return 0;
    }
    return rc;
}

static int cmd_undefine(vctl *v, int n_args, char **args)
{
    return simple(v, args[0], call_undefine, "is no longer defined");
}

static int cmd_destroy(vctl *v, int n_args, char **args)
{
    return simple(v, args[0], call_destroy, "destroyed");
}

static int cmd_reset(vctl *v, int n_args, char **args)
{
    return simple(v, args[0], call_reset, "was reset");
}

static int cmd_reboot(vctl *v, int n_args, char **args)
{
    return simple(v, args[0], call_reboot, "is being rebooted");
}

static int cmd_suspend(vctl *v, int n_args, char **args)
{
    return simple(v, args[0], call_suspend, "suspended");
}

static int cmd_resume(vctl *v, int n_args, char **args)
{
    return simple(v, args[0], call_resume, "resumed");
}

static int cmd_shutdown(vctl *v, int n_args, char **args)
{
    return simple(v, args[0], call_shutdown,
                  opt.timeout > 0 ? "is shut off" : "is being shut down");
}

static int call_autostart(visor_domain *dom, visor_error **err)
{
    return visor_domain_set_autostart(dom, !opt.disable, err);
}

static int cmd_autostart(vctl *v, int n_args, char **args)
{
    visor_error *err = NULL;
    int n;

    if (n_args == 1)
        return simple(v, args[0], call_autostart,
                      opt.disable ? "is not started with the host"
                                  : "is started with the host");
    if (!vctl_connect(v, 0))
        return VCTL_NO_CONNECTION;
    n = visor_connection_autostart(v->conn, &err);
    if (n < 0)
        return vctl_fail(err);
    vctl_say(v, "%d domain(s) started", n);
    return VCTL_OK;
}

/* Runs the user's editor on the file; false when it failed. */
static bool run_editor(const char *path)
{
    const char *editor = g_getenv("VISUAL");
    g_autofree char *command = NULL, *quoted = g_shell_quote(path);

    if (!editor || !*editor)
        editor = g_getenv("EDITOR");
    if (!editor || !*editor)
        editor = "vi";
    command = g_strdup_printf("%s %s", editor, quoted);
    return system(command) == 0;
}

static int edit_once(vctl *v, visor_domain *dom, const char *path, bool *again)
{
    g_autofree char *before = NULL, *after = NULL;
    visor_domain *changed = NULL;
    visor_error *err = NULL;
    int status;

    *again = false;
    if (!g_file_get_contents(path, &before, NULL, NULL) || !run_editor(path) ||
        !g_file_get_contents(path, &after, NULL, NULL)) {
        fprintf(stderr, "vctl: the editor failed; nothing was changed\n");
        return VCTL_FAILED;
    }
    if (strcmp(before, after) == 0) {
        vctl_say(v, "Domain '%s' not changed", visor_domain_get_name(dom));
        return VCTL_OK;
    }
    if (visor_domain_define_xml(v->conn, after, 0, &changed, &err) == 0) {
        vctl_say(v, "Domain '%s' changed", visor_domain_get_name(changed));
        visor_domain_unref(changed);
        return VCTL_OK;
    }
    status = vctl_fail(err);
    if (isatty(STDIN_FILENO)) {
        char answer[16];

        fputs("Edit again? [y/n] ", stderr);
        *again = fgets(answer, sizeof answer, stdin) && answer[0] == 'y';
    }
    return status;
}

static int cmd_edit(vctl *v, int n_args, char **args)
{
    g_autofree char *path = NULL;
    visor_error *err = NULL;
    char *xml = NULL;
    int status, fd;
    bool again = true;
    visor_domain *dom = vctl_domain(v, args[0], &status);

    if (!dom)
        return status;
    if (visor_domain_get_xml(dom, VISOR_XML_INACTIVE, &xml, &err) < 0) {
        visor_domain_unref(dom);
        return vctl_fail(err);
    }
    fd = g_file_open_tmp("vctl-XXXXXX.xml", &path, NULL);
    if (fd < 0 || !g_file_set_contents(path, xml, -1, NULL)) {
        fprintf(stderr, "vctl: cannot write a temporary file\n");
        status = VCTL_FAILED;
        again = false;
    }
    while (again)
        status = edit_once(v, dom, path, &again);
    if (fd >= 0) {
        close(fd);
        g_unlink(path);
    }
    visor_free(xml);
    visor_domain_unref(dom);
    return status;
}

#define GROUP "Domains"

const vctl_command vctl_domain_commands[] = {
    { "define", GROUP, "FILE", "define a domain from XML",
      "Reads FILE ('-': standard input). A domain with the same name and uuid "
      "is changed; a running one at its next start.",
      define_options, 1, 1, cmd_define },
    { "undefine", GROUP, "DOMAIN", "forget a domain's definition",
      "A running domain goes on and is forgotten when it stops.", NULL, 1, 1,
      cmd_undefine },
    { "create", GROUP, "FILE", "start a transient domain from XML",
      "It is forgotten when it stops.", start_options, 1, 1, cmd_create },
    { "start", GROUP, "DOMAIN", "start a defined domain",
      "Returns when its vCPUs run, or with --paused when it is built.",
      start_options, 1, 1, cmd_start },
    { "shutdown", GROUP, "DOMAIN", "press the power button",
      "Asks the guest to power off by ACPI; a guest that does not listen goes "
      "on (see 'destroy').",
      shutdown_options, 1, 1, cmd_shutdown },
    { "reboot", GROUP, "DOMAIN", "ask the guest to power off, then start again",
      "As 'shutdown'; the domain starts again when the guest is off.", NULL, 1,
      1, cmd_reboot },
    { "reset", GROUP, "DOMAIN", "press the reset button",
      "The guest is not asked.", NULL, 1, 1, cmd_reset },
    { "destroy", GROUP, "DOMAIN", "stop a domain at once",
      "As pulling the plug; its definition stays.", NULL, 1, 1, cmd_destroy },
    { "suspend", GROUP, "DOMAIN", "stop the vCPUs for a while",
      "Memory is kept; 'resume' goes on.", NULL, 1, 1, cmd_suspend },
    { "resume", GROUP, "DOMAIN", "let a paused domain run", "", NULL, 1, 1,
      cmd_resume },
    { "edit", GROUP, "DOMAIN", "change a definition in an editor",
      "Uses $VISUAL, $EDITOR or vi. Nothing changes if the new text is refused.",
      NULL, 1, 1, cmd_edit },
    { "autostart", GROUP, "[DOMAIN]", "mark a domain to start with the host",
      "Without DOMAIN: start all that are marked and not running (for the "
      "host's start-up scripts).",
      autostart_options, 0, 1, cmd_autostart },
    { .name = NULL },
};
