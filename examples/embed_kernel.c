/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_kernel.c: a virtual machine inside this very process.
 *
 *   cc embed_kernel.c $(pkg-config --cflags --libs libvisor)
 *   ./a.out vmlinuz initrd.cpio
 */
#include <stdio.h>
#include <visor/visor.h>

static void on_output(visor_domain *dom, uint32_t port, const void *data,
                      size_t len, void *opaque)
{
    fwrite(data, 1, len, stdout);
}

static void on_event(visor_connection *conn, const visor_event *event,
                     void *opaque)
{
    printf("[event: %s]\n", visor_event_detail_name(event->kind, event->detail));
    if (event->detail == VISOR_LIFECYCLE_STOPPED)
        *(int *)opaque = 1;
}

int main(int argc, char **argv)
{
    visor_connection *conn = NULL;
    visor_domain *dom = NULL;
    visor_error *err = NULL;
    int stopped = 0, rc = 1;
    char xml[4096];

    if (argc < 3)
        return fputs("usage: embed_kernel KERNEL INITRD\n", stderr) < 0 ? 1 : 2;
    snprintf(xml, sizeof xml,
             "<domain type='emu'><name>embedded</name>"
             "<memory unit='MiB'>256</memory><os><type>hvm</type>"
             "<kernel>%s</kernel><initrd>%s</initrd>"
             "<cmdline>console=ttyS0 quiet</cmdline></os>"
             "<devices><serial type='stdio'/></devices></domain>",
             argv[1], argv[2]);

    if (visor_connection_open("emu:///embed", 0, &conn, &err) < 0 ||
        visor_connection_set_output(conn, on_output, NULL, &err) < 0 ||
        visor_event_subscribe(conn, NULL, 1u << VISOR_EVENT_LIFECYCLE, on_event,
                              &stopped, NULL, &err) < 0 ||
        visor_domain_create_xml(conn, xml, 0, &dom, &err) < 0)
        goto out;
    while (!stopped)
        if (visor_connection_dispatch(conn, -1, &err) < 0)
            goto out;
    rc = 0;
out:
    if (err)
        fprintf(stderr, "%s\n", visor_error_get_message(err));
    visor_error_free(err);
    visor_domain_unref(dom);
    visor_connection_unref(conn);
    return rc;
}
