/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stats.c: state and counters of every running domain.
 *
 *   ./stats emu:///session
 */
#include <stdio.h>
#include <visor/visor.h>

static void print_one(visor_domain *dom)
{
    visor_domain_info info = { .size = sizeof info };
    visor_stat *stats = NULL;
    int n;

    if (visor_domain_get_info(dom, &info, NULL) < 0)
        return; /* it stopped meanwhile */
    printf("%s: %s, %u vCPU(s), %llu MiB\n", visor_domain_get_name(dom),
           visor_state_name(info.state), info.vcpus,
           (unsigned long long)info.memory_kib >> 10);
    n = visor_domain_get_stats(dom, &stats, NULL);
    for (int i = 0; i < n; i++)
        printf("  %-24s %llu\n", stats[i].name,
               (unsigned long long)stats[i].value);
    visor_free(stats);
}

int main(int argc, char **argv)
{
    visor_connection *conn = NULL;
    visor_domain **list = NULL;
    visor_error *err = NULL;
    int n;

    if (visor_connection_open(argc > 1 ? argv[1] : NULL, VISOR_OPEN_READ_ONLY,
                              &conn, &err) < 0) {
        fprintf(stderr, "%s\n", visor_error_get_message(err));
        visor_error_free(err);
        return 1;
    }
    n = visor_domain_list(conn, VISOR_LIST_ACTIVE, &list, &err);
    for (int i = 0; i < n; i++)
        print_one(list[i]);
    if (n < 0)
        fprintf(stderr, "%s\n", visor_error_get_message(err));
    visor_error_free(err);
    visor_domain_list_free(list);
    visor_connection_unref(conn);
    return n < 0;
}
