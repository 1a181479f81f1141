/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.c: <visor/host.h>.
 *
 * Threads: any.
 */
#include <string.h>

#include <visor/host.h>

#include "api/api.h"
#include "driver/host.h"

int visor_host_get_info(visor_connection *conn, visor_host_info *info,
                        visor_error **err)
{
    visor_host_info out = { 0 };
    vsr_host_facts facts;
    GError *error = NULL;
    size_t size;

    API_REQUIRE(conn != NULL, err, "The connection is NULL");
    API_REQUIRE(info != NULL, err, "There is no room for the information");
    /* The first version of the struct, or one that has grown since. */
    API_REQUIRE(info->size >= sizeof(out) && info->size <= API_STRUCT_MAX, err,
                "The size of visor_host_info is not set");
    if (!vsr_host_facts_get(&facts, &error))
        return api_error(err, error);
    size = info->size;
    out.size = size;
    g_strlcpy(out.model, facts.model, sizeof(out.model));
    out.memory_kib = facts.memory_kib;
    out.cpus = facts.cpus;
    out.mhz = facts.mhz;
    out.nodes = facts.nodes;
    out.sockets = facts.sockets;
    out.cores = facts.cores;
    out.threads = facts.threads;
    memset(info, 0, size);
    memcpy(info, &out, sizeof(out));
    return 0;
}

/* Findings while they come in: texts by their place in `text`. */
typedef struct {
    GArray *findings; /* of found */
    GString *text;
} collector;

typedef struct {
    int result;
    size_t engine, what, detail, remedy;
} found;

static size_t keep(GString *text, const char *word)
{
    size_t at = text->len;

    g_string_append_len(text, word, (gssize)strlen(word) + 1);
    return at;
}

static void collect(const char *engine, const char *what, int result,
                    const char *detail, const char *remedy, void *opaque)
{
    collector *c = opaque;
    found f = {
        .result = result,
        .engine = keep(c->text, engine),
        .what = keep(c->text, what),
        .detail = keep(c->text, detail),
        .remedy = keep(c->text, remedy),
    };

    g_array_append_val(c->findings, f);
}

int visor_host_check(visor_host_finding **out, visor_error **err)
{
    collector c = { 0 };
    visor_host_finding *list;
    size_t head;
    char *text;
    guint n;

    API_REQUIRE(out != NULL, err, "There is no room for the findings");
    c.findings = g_array_new(FALSE, FALSE, sizeof(found));
    c.text = g_string_new(NULL);
    vsr_host_check(collect, &c);
    n = c.findings->len;
    head = n * sizeof(*list);
    list = g_malloc(head + c.text->len + 1);
    text = (char *)list + head;
    memcpy(text, c.text->str, c.text->len);
    for (guint i = 0; i < n; i++) {
        const found *f = &g_array_index(c.findings, found, i);

        list[i].engine = text + f->engine;
        list[i].what = text + f->what;
        list[i].result = f->result;
        list[i].detail = text + f->detail;
        list[i].remedy = text + f->remedy;
    }
    g_array_unref(c.findings);
    g_string_free(c.text, TRUE);
    *out = list;
    return (int)n;
}
