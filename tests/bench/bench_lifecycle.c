/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_lifecycle.c: how fast are definitions, short lives and lists?
 *
 * Usage: bench_lifecycle URI KERNEL. Prints one line a measurement; the best of
 * several rounds, since the machine may have other work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_api.h"

enum { ROUNDS = 5, DOMAINS = 1000 };

static void make_xml(char *xml, size_t size, const char *kernel, int n)
{
    (void)snprintf(
        xml, size,
        "<domain type='emu'><name>bench-%04d</name>"
        "<title>A typical domain</title>"
        "<description>With what people write into one</description>"
        "<metadata><x:owner xmlns:x='http://example.org/x'>me</x:owner>"
        "</metadata><memory unit='MiB'>16</memory>"
        "<currentMemory unit='MiB'>16</currentMemory>"
        "<vcpu placement='static' current='1'>1</vcpu>"
        "<os><type arch='x86_64' machine='pci'>hvm</type><kernel>%s</kernel>"
        "<cmdline>h</cmdline></os><features><acpi/><apic/></features>"
        "<cpu mode='custom'><model>x86-64-v2</model>"
        "<feature policy='require' name='x2apic'/></cpu>"
        "<clock offset='utc'/><on_poweroff>destroy</on_poweroff>"
        "<on_reboot>restart</on_reboot><on_crash>destroy</on_crash>"
        "<devices><serial type='null'/></devices></domain>",
        n, kernel);
}

/* define + start paused + destroy + undefine */
static double short_life(visor_connection *conn, const char *xml, int count)
{
    double start = now();

    for (int i = 0; i < count; i++) {
        visor_domain *dom = NULL;

        CHECK(visor_domain_define_xml(conn, xml, 0, &dom, &err));
        CHECK(visor_domain_start(dom, VISOR_START_PAUSED, &err));
        CHECK(visor_domain_destroy(dom, 0, &err));
        CHECK(visor_domain_undefine(dom, 0, &err));
        visor_domain_unref(dom);
    }
    return count / (now() - start);
}

/* define + dumpxml + undefine */
static double definition(visor_connection *conn, const char *xml, int count)
{
    double start = now();

    for (int i = 0; i < count; i++) {
        visor_domain *dom = NULL;
        char *text = NULL;

        CHECK(visor_domain_define_xml(conn, xml, 0, &dom, &err));
        CHECK(visor_domain_get_xml(dom, 0, &text, &err));
        visor_free(text);
        CHECK(visor_domain_undefine(dom, 0, &err));
        visor_domain_unref(dom);
    }
    return count / (now() - start);
}

/* A list of all, with the state of each; in ms. */
static double list_all(visor_connection *conn)
{
    double start = now();
    visor_domain **list = NULL;
    int n = visor_domain_list(conn, 0, &list, NULL), state;

    for (int i = 0; i < n; i++)
        CHECK(visor_domain_get_state(list[i], &state, NULL, &err));
    visor_domain_list_free(list);
    if (n != DOMAINS)
        fprintf(stderr, "%d domains instead of %d\n", n, DOMAINS);
    return (now() - start) * 1000;
}

/* A state folder outlives us. */
static void undefine_all(visor_connection *conn)
{
    visor_domain **list = NULL;
    int n = visor_domain_list(conn, 0, &list, NULL);

    for (int i = 0; i < n; i++)
        if (strncmp(visor_domain_get_name(list[i]), "bench-", 6) == 0)
            CHECK(visor_domain_undefine(list[i], 0, &err));
    visor_domain_list_free(list);
}

int main(int argc, char **argv)
{
    visor_connection *conn = NULL;
    double life = 0, define = 0, list = 1e9;
    char xml[4096];

    if (argc != 3) {
        fprintf(stderr, "Usage: %s URI KERNEL\n", argv[0]);
        return 2;
    }
    CHECK(visor_connection_open(argv[1], 0, &conn, &err));
    make_xml(xml, sizeof(xml), argv[2], 0);
    for (int i = 0; i < ROUNDS; i++) {
        double v = short_life(conn, xml, 40);

        life = v > life ? v : life;
        v = definition(conn, xml, 400);
        define = v > define ? v : define;
    }
    for (int i = 0; i < DOMAINS; i++) {
        visor_domain *dom = NULL;

        make_xml(xml, sizeof(xml), argv[2], i);
        CHECK(visor_domain_define_xml(conn, xml, 0, &dom, &err));
        visor_domain_unref(dom);
    }
    for (int i = 0; i < ROUNDS; i++) {
        double v = list_all(conn);

        list = v < list ? v : list;
    }
    undefine_all(conn);
    printf("define + start paused + destroy + undefine  %8.0f /s\n", life);
    printf("define + dumpxml + undefine                 %8.0f /s\n", define);
    printf("list with state of %d domains             %8.2f ms\n", DOMAINS,
           list);
    visor_connection_unref(conn);
    return 0;
}
