/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/api/support.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/cm.h"

const char *engine(void)
{
    const char *name = g_getenv("VISOR_TEST_ENGINE");

    return name != NULL ? name : "emu";
}

char *domain_xml(const char *name, const char *uuid, const char *cmdline,
                 const char *serial, const char *extra)
{
    g_autofree char *id =
        uuid == NULL ? g_strdup("") : g_strdup_printf("<uuid>%s</uuid>", uuid);

    return g_strdup_printf(
        "<domain type='%s'><name>%s</name>%s<memory unit='MiB'>8</memory>"
        "<vcpu>1</vcpu><os><type arch='x86_64' machine='pci'>hvm</type>"
        "<kernel>" TINY_GUEST "</kernel><cmdline>%s</cmdline></os>%s"
        "<devices><serial type='%s'/></devices></domain>",
        engine(), name, id, cmdline, extra != NULL ? extra : "", serial);
}

char *kernel_xml(const char *kernel)
{
    return g_strdup_printf(
        "<domain type='%s'><name>bad</name><memory>8192</memory>"
        "<os><type arch='x86_64' machine='pci'>hvm</type>"
        "<kernel>%s</kernel></os></domain>",
        engine(), kernel);
}

void check_ok(int rc, visor_error *err, const char *what)
{
    if (rc >= 0 && err == NULL)
        return;
    print_error("%s: %d, %s\n", what, rc, visor_error_get_message(err));
    visor_error_free(err);
    fail();
}

void check_fails(int rc, visor_error *err, int want, const char *what)
{
    if (rc == want && visor_error_get_code(err) == want &&
        visor_error_get_message(err)[0] != '\0' &&
        strchr(visor_error_get_message(err), '\n') == NULL) {
        visor_error_free(err);
        return;
    }
    print_error("%s: %d instead of %d, '%s'\n", what, rc, want,
                visor_error_get_message(err));
    visor_error_free(err);
    fail();
}

visor_connection *open_uri(const char *uri)
{
    visor_connection *conn = NULL;

    OK(visor_connection_open(uri, 0, &conn, &err));
    OK(visor_connection_set_timeout(conn, 120000, &err));
    return conn;
}

visor_domain *define(visor_connection *conn, const char *name,
                     const char *cmdline)
{
    g_autofree char *xml = domain_xml(name, NULL, cmdline, "null", NULL);
    visor_domain *dom = NULL;

    OK(visor_domain_define_xml(conn, xml, 0, &dom, &err));
    return dom;
}

int state_of(visor_domain *dom)
{
    int state = -1;

    OK(visor_domain_get_state(dom, &state, NULL, &err));
    return state;
}

int reason_of(visor_domain *dom)
{
    int reason = -1;

    OK(visor_domain_get_state(dom, NULL, &reason, &err));
    return reason;
}

void wait_for(visor_domain *dom, int state)
{
    OK(visor_domain_wait(dom, 1u << state, 60000, &err));
}

char *temp_root(void)
{
    /* In memory where that is possible: every definition is synced. */
    char *root = g_strdup("/dev/shm/visor-test-XXXXXX");

    if (g_mkdtemp(root) == NULL) {
        g_free(root);
        root = g_dir_make_tmp("visor-test-XXXXXX", NULL);
    }
    assert_non_null(root);
    return root;
}

visor_connection *open_embed(void)
{
    g_autofree char *uri = g_strdup_printf("%s:///embed", engine());

    return open_uri(uri);
}

char *session_uri(const char *root)
{
    return g_strdup_printf("%s:///session?root=%s&vmm=%s", engine(), root,
                           VISOR_VMM);
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *ftw)
{
    return remove(path);
}

void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
