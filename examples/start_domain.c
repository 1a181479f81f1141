/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * start_domain.c: define a domain from an XML file, start it, wait until it is
 * off, and forget it.
 *
 *   ./start_domain emu:///session demo.xml
 */
#include <stdio.h>
#include <stdlib.h>
#include <visor/visor.h>

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 65536);

    if (!f || !text || fread(text, 1, 65535, f) == 0) {
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

int main(int argc, char **argv)
{
    visor_connection *conn = NULL;
    visor_domain *dom = NULL;
    visor_error *err = NULL;
    int state = 0, reason = 0;
    char *xml;

    if (argc != 3) {
        fprintf(stderr, "usage: %s URI FILE\n", argv[0]);
        return 2;
    }
    xml = read_file(argv[2]);
    if (!xml) {
        perror(argv[2]);
        return 1;
    }
    if (visor_connection_open(argv[1], 0, &conn, &err) < 0 ||
        visor_domain_define_xml(conn, xml, 0, &dom, &err) < 0 ||
        visor_domain_start(dom, 0, &err) < 0)
        goto out;
    printf("'%s' runs as number %d on %s\n", visor_domain_get_name(dom),
           visor_domain_get_id(dom), visor_connection_get_engine(conn));

    if (visor_domain_wait(dom, 1u << VISOR_STATE_SHUTOFF, -1, &err) < 0 ||
        visor_domain_get_state(dom, &state, &reason, &err) < 0)
        goto out;
    printf("'%s' is %s (%s)\n", visor_domain_get_name(dom),
           visor_state_name(state), visor_reason_name(reason));
    if (visor_domain_undefine(dom, 0, &err) < 0)
        goto out;
out:
    if (err)
        fprintf(stderr, "%s\n", visor_error_get_message(err));
    free(xml);
    visor_domain_unref(dom);
    visor_connection_unref(conn);
    if (err) {
        visor_error_free(err);
        return 1;
    }
    return 0;
}
