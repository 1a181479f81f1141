/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmd_help.c: help, the man page and completion, all from the command rows. */
#include <stdio.h>
#include <string.h>

#include "vctl.h"

static const char exit_codes[] =
    "0    done\n"
    "1    the operation failed\n"
    "2    wrong usage\n"
    "3    no connection could be opened\n"
    "4    no such domain (or another thing named)\n"
    "5    not possible in the domain's state, busy, or it exists already\n"
    "6    not done in the time given\n"
    "7    permission denied\n"
    "'run' has its own: see 'vctl help run'.\n";

static const char common_options[] =
    "-c, --connect=URI  emu:///session, kvm:///system, … (auto:///session)\n"
    "--json             print data as JSON\n"
    "-q, --quiet        print data and errors only\n"
    "-h, --help         help on the command\n";

static struct {
    gboolean man, names, options;
} opt;

static const GOptionEntry help_options[] = {
    { "man", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &opt.man, NULL, NULL },
    { "names", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &opt.names, NULL,
      NULL },
    { "options", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &opt.options, NULL,
      NULL },
    { .long_name = NULL },
};

/* "-m, --memory=SIZE" */
static char *option_text(const GOptionEntry *o)
{
    g_autofree char *letter =
        o->short_name ? g_strdup_printf("-%c, ", o->short_name) : g_strdup("");

    return g_strdup_printf("%s--%s%s%s", letter, o->long_name,
                           o->arg_description ? "=" : "",
                           o->arg_description ? o->arg_description : "");
}

static void help_all(void)
{
    const vctl_command *c;
    GHashTable *seen = g_hash_table_new(g_str_hash, g_str_equal);

    puts("Usage: vctl [-c URI] [--json] COMMAND [OPTIONS] [ARGUMENTS]");
    for (guint i = 0; (c = vctl_command_at(i)); i++) {
        const vctl_command *d;

        if (!g_hash_table_add(seen, (gpointer)(uintptr_t)c->group))
            continue;
        printf("\n%s\n", c->group);
        for (guint k = i; (d = vctl_command_at(k)); k++) {
            if (strcmp(d->group, c->group) == 0)
                printf("  %-13s %s\n", d->name, d->summary);
        }
    }
    g_hash_table_unref(seen);
    printf("\nOptions of every command\n  ");
    for (const char *p = common_options; *p; p++) {
        putchar(*p);
        if (*p == '\n' && p[1])
            fputs("  ", stdout);
    }
    puts(
        "\n'vctl help COMMAND' tells more; 'vctl help exit-codes' lists them.\n"
        "VISOR_URI is the default of -c.");
}

static void help_one(const vctl_command *c)
{
    printf("vctl %s: %s\n\nUsage: vctl %s%s%s%s\n", c->name, c->summary,
           c->name, c->options ? " [OPTIONS]" : "", *c->arguments ? " " : "",
           c->arguments);
    if (*c->text)
        printf("\n%s\n", c->text);
    if (!c->options)
        return;
    puts("\nOptions");
    for (const GOptionEntry *o = c->options; o->long_name; o++) {
        g_autofree char *text = option_text(o);

        if (!(o->flags & G_OPTION_FLAG_HIDDEN))
            printf("  %-24s %s\n", text, o->description);
    }
}

/* roff: a leading dot or quote, and backslashes and hyphens, are special; other
 * letters than ASCII's have escapes. `text` is ours: valid UTF-8. */
static void roff(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (; *text; text += g_utf8_skip[(unsigned char)*text]) {
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\n' && (text[1] == '.' || text[1] == '\''))
            fputs("\n\\&", stdout);
        else if ((unsigned char)*text >= 0x80)
            printf("\\[u%04X]", g_utf8_get_char(text));
        else
            putchar(*text);
    }
}

static void man_command(const vctl_command *c)
{
    fputs(".TP\n.B ", stdout);
    roff(c->name);
    if (c->options)
        fputs(" \\fR[\\fIOPTIONS\\fR]", stdout);
    if (*c->arguments) {
        fputs(" \\fI", stdout);
        roff(c->arguments);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    roff(c->summary);
    puts(".");
    if (*c->text) {
        roff(c->text);
        putchar('\n');
    }
    if (!c->options)
        return;
    puts(".RS");
    for (const GOptionEntry *o = c->options; o->long_name; o++) {
        g_autofree char *text = option_text(o);

        if (o->flags & G_OPTION_FLAG_HIDDEN)
            continue;
        fputs(".TP\n.B ", stdout);
        roff(text);
        putchar('\n');
        roff(o->description);
        putchar('\n');
    }
    puts(".RE");
}

static void man_page(void)
{
    const vctl_command *c;

    puts(
        ".TH VCTL 1 \"\" \"libvisor " VSR_VERSION "\" \"User Commands\"\n"
        ".SH NAME\nvctl \\- run and manage virtual machines\n"
        ".SH SYNOPSIS\n.B vctl\n[\\fB\\-c\\fR \\fIURI\\fR] [\\fB\\-\\-json\\fR] "
        "\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n"
        ".SH DESCRIPTION\n"
        "vctl drives libvisor: it defines, starts, watches and stops virtual "
        "machines (domains) on the kvm, xen and emu engines.\n"
        "\\fIDOMAIN\\fR is a name, a uuid, or the number of a running domain.\n"
        ".SH OPTIONS\n.nf");
    roff(common_options);
    puts(".fi\n.SH COMMANDS");
    for (guint i = 0; (c = vctl_command_at(i)); i++)
        man_command(c);
    puts(".SH EXIT STATUS\n.nf");
    roff(exit_codes);
    puts(
        ".fi\n.SH ENVIRONMENT\n.TP\n.B VISOR_URI\nthe default of \\-c.\n"
        ".TP\n.B VISUAL, EDITOR\nthe editor of 'vctl edit'.\n"
        ".SH EXAMPLES\n.nf\n"
        "vctl run \\-\\-kernel vmlinuz \\-\\-initrd initrd.img \\-\\-memory 512M\n"
        "vctl define demo.xml && vctl start demo \\-\\-console\n"
        "vctl \\-\\-json list \\-\\-all\n.fi");
}

static void complete_options(const vctl_command *c)
{
    puts("--connect\n--json\n--quiet\n--help");
    for (const GOptionEntry *o = c->options; o && o->long_name; o++) {
        if (!(o->flags & G_OPTION_FLAG_HIDDEN))
            printf("--%s%s\n", o->long_name, o->arg_description ? "=" : "");
    }
}

static int cmd_help(vctl *v, int n_args, char **args)
{
    const vctl_command *c;

    if (opt.man) {
        man_page();
    } else if (opt.names) {
        for (guint i = 0; (c = vctl_command_at(i)); i++)
            printf("%s\t%s\n", c->name, c->arguments);
    } else if (n_args == 0) {
        help_all();
    } else if (strcmp(args[0], "exit-codes") == 0) {
        fputs(exit_codes, stdout);
    } else if ((c = vctl_command_find(args[0]))) {
        if (opt.options)
            complete_options(c);
        else
            help_one(c);
    } else {
        return vctl_usage("no such command: '%s'", args[0]);
    }
    return VCTL_OK;
}

const vctl_command vctl_help_commands[] = {
    { "help", "Host", "[COMMAND]", "this list, or help on one command", "",
      help_options, 0, 1, cmd_help },
    { .name = NULL },
};
