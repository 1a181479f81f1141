/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * support.h: what the API tests share: documents for the tiny guest (see
 * tests/guests/tiny.S), and calls that must succeed.
 */
#ifndef VSR_TESTS_API_SUPPORT_H
#define VSR_TESTS_API_SUPPORT_H

#include <glib.h>

#include <visor/visor.h>

/* The engine that is tested: $VISOR_TEST_ENGINE, or emu. */
const char *engine(void);

/* A domain that runs the tiny guest with `cmdline`; `serial` is the type of its
 * serial port; uuid NULL: one of the library's. g_free(). */
char *domain_xml(const char *name, const char *uuid, const char *cmdline,
                 const char *serial, const char *extra);
/* A small domain 'bad' that is to boot that file. */
char *kernel_xml(const char *kernel);

/* Fail the test unless the call succeeded; says the error. */
void check_ok(int rc, visor_error *err, const char *what);
#define OK(call_with_err)                     \
    do {                                      \
        visor_error *err = NULL;              \
        int ok_rc = (call_with_err);          \
                                              \
        check_ok(ok_rc, err, #call_with_err); \
    } while (0)
/* The call must fail with `want`, and say why in one line. */
void check_fails(int rc, visor_error *err, int want, const char *what);
#define FAILS(want, call_with_err)                        \
    do {                                                  \
        visor_error *err = NULL;                          \
        int fails_rc = (call_with_err);                   \
                                                          \
        check_fails(fails_rc, err, want, #call_with_err); \
    } while (0)

visor_connection *open_uri(const char *uri);
visor_connection *open_embed(void);
visor_domain *define(visor_connection *conn, const char *name,
                     const char *cmdline);
int state_of(visor_domain *dom);
int reason_of(visor_domain *dom);
/* Wait up to 10 s. */
void wait_for(visor_domain *dom, int state);

/* A fresh state folder (mode 0700), and the URI for it with our visor-vmm. */
char *temp_root(void);
char *session_uri(const char *root);
void remove_tree(const char *path);

#endif
