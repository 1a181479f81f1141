/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: vctl, the operator's command: options that every command has, the
 * look-up of the command, connections, errors and their exit codes.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vctl.h"

int vctl_fail(visor_error *err)
{
    int code = visor_error_get_code(err);

    fprintf(stderr, "vctl: %s\n", visor_error_get_message(err));
    visor_error_free(err);
    switch (code) {
    case VISOR_ERR_NOT_FOUND:
        return VCTL_NOT_FOUND;
    case VISOR_ERR_STATE:
    case VISOR_ERR_BUSY:
    case VISOR_ERR_EXISTS:
        return VCTL_BAD_STATE;
    case VISOR_ERR_TIMEOUT:
        return VCTL_TIMEOUT;
    case VISOR_ERR_ACCESS:
    case VISOR_ERR_READ_ONLY:
        return VCTL_DENIED;
    default:
        return VCTL_FAILED;
    }
}

int vctl_usage(const char *format, ...)
{
    va_list ap;

    fputs("vctl: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs("\nTry 'vctl help'.\n", stderr);
    return VCTL_USAGE;
}

void vctl_say(const vctl *v, const char *format, ...)
{
    va_list ap;

    if (v->quiet || v->json)
        return;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
}

bool vctl_connect(vctl *v, uint32_t flags)
{
    visor_error *err = NULL;

    if (v->conn)
        return true;
    if (visor_connection_open(v->uri, flags, &v->conn, &err) == 0)
        return true;
    vctl_fail(err);
    return false;
}

visor_domain *vctl_domain(vctl *v, const char *what, int *status)
{
    visor_error *err = NULL;
    visor_domain *dom = NULL;
    char *end = NULL;
    long id;

    if (!vctl_connect(v, 0)) {
        *status = VCTL_NO_CONNECTION;
        return NULL;
    }
    errno = 0;
    id = strtol(what, &end, 10);
    if (*what && !*end && errno == 0 && id >= 0 && id <= INT32_MAX) {
        if (visor_domain_lookup_by_id(v->conn, (int)id, &dom, NULL) == 0)
            return dom;
    }
    if (g_uuid_string_is_valid(what) &&
        visor_domain_lookup_by_uuid(v->conn, what, &dom, NULL) == 0)
        return dom;
    if (visor_domain_lookup_by_name(v->conn, what, &dom, &err) == 0)
        return dom;
    *status = vctl_fail(err);
    return NULL;
}

char *vctl_read_file(const char *path)
{
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    if (strcmp(path, "-") == 0)
        path = "/dev/stdin";
    if (!g_file_get_contents(path, &text, NULL, &error)) {
        fprintf(stderr, "vctl: %s\n", error->message);
        return NULL;
    }
    return text;
}

static int run_command(vctl *v, const vctl_command *command, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *uri = NULL;
    bool help = false;
    GOptionEntry common[] = {
        { "connect", 'c', 0, G_OPTION_ARG_STRING, &uri, NULL, "URI" },
        { "json", 0, 0, G_OPTION_ARG_NONE, &v->json, NULL, NULL },
        { "quiet", 'q', 0, G_OPTION_ARG_NONE, &v->quiet, NULL, NULL },
        { "help", 'h', 0, G_OPTION_ARG_NONE, &help, NULL, NULL },
        { .long_name = NULL },
    };
    int n;

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, common, NULL);
    if (command->options)
        g_option_context_add_main_entries(context, command->options, NULL);
    if (!g_option_context_parse_strv(context, &argv, &error))
        return vctl_usage("%s: %s", command->name, error->message);
    if (uri)
        v->uri = uri;
    n = (int)g_strv_length(argv) - 1;
    if (n >= 1 && strcmp(argv[1], "--") == 0) {
        argv++;
        n--;
    }
    if (help) {
        char *args[] = { (char *)(uintptr_t)command->name, NULL };

        return vctl_command_find("help")->run(v, 1, args);
    }
    if (n < command->min_args)
        return vctl_usage("%s: expects %s", command->name, command->arguments);
    if (n > command->max_args)
        return vctl_usage("%s: '%s' is one argument too many", command->name,
                          argv[command->max_args + 1]);
    return command->run(v, n, argv + 1);
}

int main(int argc, char **argv)
{
    vctl v = { .uri = g_getenv("VISOR_URI") };
    const vctl_command *command;
    int status, at = 1;

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    /* Options before the command: the same ones. */
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "-c") == 0 || strcmp(argv[at], "--connect") == 0) {
            if (++at >= argc)
                return vctl_usage("-c needs a URI");
            v.uri = argv[at];
        } else if (g_str_has_prefix(argv[at], "--connect=")) {
            v.uri = argv[at] + strlen("--connect=");
        } else if (strcmp(argv[at], "--json") == 0) {
            v.json = true;
        } else if (strcmp(argv[at], "-q") == 0 ||
                   strcmp(argv[at], "--quiet") == 0) {
            v.quiet = true;
        } else if (strcmp(argv[at], "--version") == 0 ||
                   strcmp(argv[at], "-V") == 0) {
            break;
        } else if (strcmp(argv[at], "--help") == 0 ||
                   strcmp(argv[at], "-h") == 0) {
            break;
        } else {
            return vctl_usage("unknown option '%s'", argv[at]);
        }
    }
    if (v.uri && !*v.uri)
        v.uri = NULL;
    if (at >= argc) {
        vctl_command_find("help")->run(&v, 0, argv + argc);
        return VCTL_USAGE;
    }
    if (argv[at][0] == '-')
        argv[at] = (char *)(uintptr_t)(argv[at][1] == 'V' || argv[at][2] == 'v'
                                           ? "version"
                                           : "help");
    command = vctl_command_find(argv[at]);
    if (!command)
        return vctl_usage("no such command: '%s'", argv[at]);

    {
        g_auto(GStrv) copy = g_strdupv(argv + at);

        status = run_command(&v, command, copy);
    }
    visor_connection_unref(v.conn);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            fprintf(stderr, "vctl: writing output: %s\n", g_strerror(errno));
        if (status == VCTL_OK)
            status = VCTL_FAILED;
    }
    return status;
}
