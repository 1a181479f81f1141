/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_many.c: does every control call stay quick when many guests run at once?
 *
 * Usage: bench_many URI KERNEL [N [SPINNING]]: N (200) guests of 32 MiB, then
 * ROUNDS times each call on each of them; milliseconds: median, 99 of 100, the
 * slowest. Guests halt, but for SPINNING (0), which use all they are given.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_api.h"

enum { ROUNDS = 5, MOST = 1000 };

/* --- the calls ------------------------------------------------------------------ */

static void call_start(visor_domain *dom)
{
    CHECK(visor_domain_start(dom, 0, &err));
}

static void call_state(visor_domain *dom)
{
    int state;

    CHECK(visor_domain_get_state(dom, &state, NULL, &err));
    if (state != VISOR_STATE_RUNNING)
        fprintf(stderr, "%s does not run\n", visor_domain_get_name(dom));
}

static void call_info(visor_domain *dom)
{
    visor_domain_info info = { .size = sizeof(info) };

    CHECK(visor_domain_get_info(dom, &info, &err));
}

static void call_xml(visor_domain *dom)
{
    char *xml = NULL;

    CHECK(visor_domain_get_xml(dom, 0, &xml, &err));
    visor_free(xml);
}

static void call_stats(visor_domain *dom)
{
    visor_stat *stats = NULL;

    CHECK(visor_domain_get_stats(dom, &stats, &err));
    visor_free(stats);
}

static void call_suspend(visor_domain *dom)
{
    CHECK(visor_domain_suspend(dom, &err));
}

static void call_resume(visor_domain *dom)
{
    CHECK(visor_domain_resume(dom, &err));
}

static void call_reset(visor_domain *dom)
{
    CHECK(visor_domain_reset(dom, 0, &err));
}

static void call_console(visor_domain *dom)
{
    visor_stream *stream = NULL;

    CHECK(
        visor_domain_open_console(dom, 0, VISOR_CONSOLE_FORCE, &stream, &err));
    visor_stream_free(stream);
}

static void call_destroy(visor_domain *dom)
{
    CHECK(visor_domain_destroy(dom, 0, &err));
}

static void call_undefine(visor_domain *dom)
{
    CHECK(visor_domain_undefine(dom, 0, &err));
}

/* --- measuring ------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const char *name, void (*fn)(visor_domain *),
                    visor_domain **doms, int n, int rounds)
{
    static double took[MOST * ROUNDS];
    int count = 0;

    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < n; i++) {
            double start = now();

            fn(doms[i]);
            took[count++] = (now() - start) * 1e3;
        }
    }
    qsort(took, (size_t)count, sizeof(took[0]), compare);
    printf("%-10s %9.3f %9.3f %9.3f ms\n", name, took[count / 2],
           took[count * 99 / 100], took[count - 1]);
}

static visor_domain *define(visor_connection *conn, const char *uri,
                            const char *kernel, int n, bool spins)
{
    int scheme = (int)strcspn(uri, ":");
    visor_domain *dom = NULL;
    char xml[4096];

    (void)snprintf(
        xml, sizeof(xml),
        "<domain type='%.*s'><name>many-%04d</name><memory unit='MiB'>32"
        "</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='%s'>hvm</type>"
        "<kernel>%s</kernel><cmdline>%s</cmdline></os>"
        "<devices><serial type='pty'/></devices></domain>",
        scheme, uri, n, n % 2 ? "micro" : "pci", kernel, spins ? "s" : "h");
    CHECK(visor_domain_define_xml(conn, xml, 0, &dom, &err));
    return dom;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fn)(visor_domain *);
        int rounds;
    } calls[] = {
        { "start", call_start, 1 },       { "state", call_state, ROUNDS },
        { "info", call_info, ROUNDS },    { "dumpxml", call_xml, ROUNDS },
        { "stats", call_stats, ROUNDS },  { "console", call_console, ROUNDS },
        { "suspend", call_suspend, 1 },   { "resume", call_resume, 1 },
        { "reset", call_reset, 1 },       { "destroy", call_destroy, 1 },
        { "undefine", call_undefine, 1 },
    };
    static visor_domain *doms[MOST];
    visor_connection *conn = NULL;
    int n = argc > 3 ? atoi(argv[3]) : 200;
    int spinning = argc > 4 ? atoi(argv[4]) : 0;

    if (argc < 3 || n < 1 || n > MOST) {
        fprintf(stderr, "Usage: %s URI KERNEL [N, at most %d [SPINNING]]\n",
                argv[0], MOST);
        return 2;
    }
    CHECK(visor_connection_open(argv[1], 0, &conn, &err));
    for (int i = 0; i < n; i++)
        doms[i] = define(conn, argv[1], argv[2], i, i < spinning);
    printf("%d guests     median   99 of 100   slowest\n", n);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        measure(calls[i].name, calls[i].fn, doms, n, calls[i].rounds);
    for (int i = 0; i < n; i++)
        visor_domain_unref(doms[i]);
    visor_connection_unref(conn);
    return 0;
}
