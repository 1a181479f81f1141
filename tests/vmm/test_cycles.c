/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_cycles.c: a hundred lives of a domain leave nothing behind in the program
 * that starts them: no descriptor, no thread, no memory, no file.
 *
 * Memory is what the heap has in use (with what threads' caches keep: some tens
 * of KiB, up and down), and what of the process is resident; under
 * sanitizers, which keep freed memory, only the former rules are checked.
 */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include <visor/visor.h>

#include "tests/support/cm.h"

enum {
    WARM_UP = 60,
    CYCLES = 100,
    HEAP_SLACK = 64 << 10,
    RSS_SLACK_KIB = 1536
};

static const char xml_format[] =
    "<domain type='%s'><name>cycle</name><memory unit='MiB'>16</memory>"
    "<vcpu>2</vcpu><os><type arch='x86_64' machine='pci'>hvm</type>"
    "<kernel>" TINY_GUEST "</kernel><cmdline>h</cmdline></os><devices>"
    "<serial type='pty'><target port='0'/></serial></devices></domain>";

typedef struct {
    unsigned fds, threads, files;
    size_t heap;
    unsigned long rss_kib;
} footprint;

static unsigned count_entries(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    unsigned n = 0;

    if (dir == NULL)
        return 0;
    while ((entry = readdir(dir)) != NULL)
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

static unsigned long status_number(const char *name)
{
    g_autofree char *text = NULL;
    const char *found;

    assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
    found = strstr(text, name);
    assert_non_null(found);
    return strtoul(found + strlen(name), NULL, 10);
}

/* `root`: of a session; NULL in embed. */
static footprint look(const char *root, const char *engine)
{
    footprint f = {
        .fds = count_entries("/proc/self/fd"),
        .threads = (unsigned)status_number("\nThreads:"),
        .rss_kib = status_number("\nVmRSS:"),
        .heap = mallinfo2().uordblks,
    };

    if (root != NULL) {
        g_autofree char *top = g_build_filename(root, engine, NULL);
        g_autofree char *names = g_build_filename(top, "names", NULL);
        g_autofree char *tmp = g_build_filename(top, "tmp", NULL);

        f.files = count_entries(root) + count_entries(top) +
                  count_entries(names) + count_entries(tmp);
    }
    return f;
}

static void live_once(visor_connection *conn, const char *xml)
{
    visor_domain *dom = NULL;
    visor_error *err = NULL;
    int rc = visor_domain_create_xml(conn, xml, 0, &dom, &err);

    if (rc < 0)
        fail_msg("create: %s", visor_error_get_message(err));
    rc = visor_domain_destroy(dom, 0, &err);
    if (rc < 0)
        fail_msg("destroy: %s", visor_error_get_message(err));
    visor_domain_unref(dom);
}

/* What ends a little later than the call that ends it: threads with what they
 * free, a transient domain's process with its folder. */
static footprint settle(const char *root, const char *engine,
                        const footprint *wanted)
{
    const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };
    footprint f = look(root, engine);

    for (int i = 0;
         i < 6000 &&
         (f.fds > wanted->fds || f.threads > wanted->threads ||
          f.files > wanted->files || f.heap > wanted->heap + HEAP_SLACK);
         i++) {
        (void)nanosleep(&nap, NULL);
        f = look(root, engine);
    }
    return f;
}

static void check(const char *uri, const char *engine, const char *root)
{
    g_autofree char *xml = g_strdup_printf(xml_format, engine);
    visor_connection *conn = NULL;
    visor_error *err = NULL;
    footprint before, after;

    if (visor_connection_open(uri, 0, &conn, &err) < 0) {
        print_message("%s: %s\n", uri, visor_error_get_message(err));
        visor_error_free(err);
        skip();
    }
    for (int i = 0; i < WARM_UP; i++)
        live_once(conn, xml);
    before = settle(root, engine, &(footprint){ .fds = 0 });
    for (int i = 0; i < CYCLES; i++)
        live_once(conn, xml);
    after = settle(root, engine, &before);
    print_message("%s: heap %zu -> %zu bytes, resident %lu -> %lu KiB\n", uri,
                  before.heap, after.heap, before.rss_kib, after.rss_kib);
    assert_int_equal(after.fds, before.fds);
    assert_int_equal(after.threads, before.threads);
    assert_int_equal(after.files, before.files);
#ifndef VSR_SANITIZERS
    assert_true(after.heap <= before.heap + HEAP_SLACK);
    assert_true(after.rss_kib <= before.rss_kib + RSS_SLACK_KIB);
#endif
    visor_connection_unref(conn);
}

static void check_session(const char *engine)
{
    g_autofree char *root = g_dir_make_tmp("visor-cycles.XXXXXX", NULL);
    g_autofree char *uri =
        g_strdup_printf("%s:///session?root=%s", engine, root);
    g_autofree char *remove = g_strdup_printf("rm -rf '%s'", root);

    check(uri, engine, root);
    assert_int_equal(system(remove), 0);
}

static void embed_on_emu(void **state)
{
    check("emu:///embed", "emu", NULL);
}

static void session_on_emu(void **state)
{
    check_session("emu");
}

static void embed_on_kvm(void **state)
{
    check("kvm:///embed", "kvm", NULL);
}

static void session_on_kvm(void **state)
{
    check_session("kvm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embed_on_emu),
        cmocka_unit_test(session_on_emu),
        cmocka_unit_test(embed_on_kvm),
        cmocka_unit_test(session_on_kvm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
