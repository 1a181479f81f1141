/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* commands.c: the list of command tables, and small things they all use. */
#include <stdlib.h>
#include <string.h>

#include "vctl.h"

static const vctl_command *const tables[] = {
    vctl_run_commands,      vctl_domain_commands, vctl_console_commands,
    vctl_metadata_commands, vctl_device_commands, vctl_set_commands,
    vctl_info_commands,     vctl_stats_commands,  vctl_event_commands,
    vctl_host_commands,     vctl_help_commands,
};

const vctl_command *vctl_command_at(guint index)
{
    for (guint t = 0; t < G_N_ELEMENTS(tables); t++) {
        for (const vctl_command *c = tables[t]; c->name; c++) {
            if (index-- == 0)
                return c;
        }
    }
    return NULL;
}

const vctl_command *vctl_command_find(const char *name)
{
    const vctl_command *c;

    for (guint i = 0; (c = vctl_command_at(i)); i++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

char *vctl_xml_escape(const char *text)
{
    return g_markup_escape_text(text, -1);
}

char *vctl_size_text(uint64_t kib)
{
    if (kib && kib % (1 << 20) == 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT " GiB", kib >> 20);
    if (kib && kib % 1024 == 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT " MiB", kib >> 10);
    return g_strdup_printf("%" G_GUINT64_FORMAT " KiB", kib);
}

bool vctl_size_parse(const char *text, uint64_t *kib)
{
    static const struct {
        const char *suffix;
        uint64_t kib;
    } units[] = {
        { "", 1 },          { "k", 1 },          { "kib", 1 },
        { "m", 1 << 10 },   { "mib", 1 << 10 },  { "g", 1 << 20 },
        { "gib", 1 << 20 }, { "t", 1ull << 30 }, { "tib", 1ull << 30 },
    };
    char *end = NULL;
    guint64 number;

    if (!g_ascii_isdigit(*text))
        return false;
    number = g_ascii_strtoull(text, &end, 10);
    for (guint i = 0; i < G_N_ELEMENTS(units); i++) {
        if (g_ascii_strcasecmp(end, units[i].suffix) == 0 && number > 0 &&
            number <= (UINT64_MAX >> 10) / units[i].kib) {
            *kib = number * units[i].kib;
            return true;
        }
    }
    return false;
}
