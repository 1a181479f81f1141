/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * api.h: what the files of the public API share.
 *
 * Each public call checks its arguments, flags and whether the connection may
 * change anything, then calls the driver's slot without any lock, and turns the
 * GError into a visor_error.
 *
 * Threads: any.
 */
#ifndef VSR_API_API_H
#define VSR_API_API_H

#include <glib.h>

#include <visor/visor.h>

#include "driver/driver.h"

typedef struct api_events api_events;

struct visor_connection {
    gint refs; /* atomic */
    vsr_conn conn;
    uint32_t flags; /* VISOR_OPEN_* */
    char *uri;
    api_events *events; /* owned */

    GMutex output_lock; /* guards the next three */
    visor_output_fn *output;
    void *output_opaque;
    GHashTable *output_domains; /* uuid → visor_domain without a reference to
                                   us, for `output` */
};

struct visor_domain {
    gint refs; /* atomic */
    visor_connection *conn;
    bool is_weak; /* `conn` is not a reference: it is one of output_domains */
    char uuid[37];
    char *name;
    GMutex lock;   /* guards waits */
    GSList *waits; /* of vsr_cancel, those of running visor_domain_wait() */
};

/* A `size` member above this was not set. */
enum { API_STRUCT_MAX = 4096 };

/* --- errors ---------------------------------------------------------------- */

struct visor_error {
    int code;
    char *message;
};

/* Both return the (negative) code and set *err if it is not NULL. `error` is
 * taken. */
int api_error(visor_error **err, GError *error);
int api_fail(visor_error **err, int code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* `return api_fail(…)` unless the condition holds. */
#define API_REQUIRE(cond, err, ...)                           \
    do {                                                      \
        if (!(cond))                                          \
            return api_fail(err, VISOR_ERR_ARG, __VA_ARGS__); \
    } while (0)
#define API_REQUIRE_FLAGS(flags, known, err)              \
    API_REQUIRE(((flags) & ~(uint32_t)(known)) == 0, err, \
                "Unknown flags 0x%x", (flags) & ~(uint32_t)(known))
#define API_REQUIRE_WRITE(conn, err)                        \
    do {                                                    \
        if (((conn)->flags & VISOR_OPEN_READ_ONLY) != 0)    \
            return api_fail(err, VISOR_ERR_READ_ONLY,       \
                            "The connection is read-only"); \
    } while (0)
#define API_REQUIRE_SLOT(slot, what, err)                       \
    do {                                                        \
        if ((slot) == NULL)                                     \
            return api_fail(err, VISOR_ERR_NO_SUPPORT,          \
                            "This connection cannot %s", what); \
    } while (0)

/* --- objects ----------------------------------------------------------------- */

/* `is_weak`: see visor_domain. */
visor_domain *api_domain_new(visor_connection *conn, const char *name,
                             const char *uuid, bool is_weak);
/* Another reference, unless the last one has gone. */
bool api_connection_try_ref(visor_connection *conn);
visor_stream *api_stream_new(int fd /* taken */);

/* --- events ------------------------------------------------------------------ */

api_events *api_events_new(GError **error);
/* No more calls: everything that waits is dropped. */
void api_events_free(visor_connection *conn);
/* The driver's table; opaque is the visor_connection. */
extern const vsr_conn_events api_conn_events;

/* event.c, for connection.c. */
int api_events_fd(const api_events *events);
int api_events_dispatch(visor_connection *conn, int timeout_ms,
                        visor_error **err);
int api_events_attach(visor_connection *conn, GMainContext *context,
                      visor_error **err);
void api_events_detach(visor_connection *conn);
/* connection.c, for event.c: a serial's output. */
void api_output(void *opaque, const char *uuid, uint32_t port, const void *data,
                size_t len);

#endif
