/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file visor/connection.h
 * A connection is a handle to one backend on one host.
 *
 * Lifetime: reference counted; domains, streams and subscriptions keep theirs
 * alive.
 * Threads:  every call here may be made from any thread.
 */
#ifndef VISOR_CONNECTION_H
#define VISOR_CONNECTION_H

#include <visor/error.h>
#include <visor/types.h>

VISOR_BEGIN_DECLS

/** Flags of visor_connection_open(). */
enum {
    VISOR_OPEN_READ_ONLY = 1u
                           << 0 /**< calls that change anything are refused */
};

/**
 * visor_connection_open:
 * Open a connection.
 *
 * @uri:   `ENGINE:///MODE`. ENGINE is emu, kvm, xen or auto (the first of kvm,
 *         xen, emu that this host can run well). MODE is
 *         `embed`: domains live inside this process and vanish with it;
 *         `session`: one process per domain, state under $XDG_STATE_HOME/visor;
 *         `system`: the same with state under /var/lib/visor.
 *         A query `?root=PATH` (percent-encoded) puts the state elsewhere;
 *         `?vmm=PATH` names another visor-vmm to start than the library's own.
 *         NULL: the environment's VISOR_URI is *not* read (vctl does that);
 *         it means `auto:///session`.
 * @flags: VISOR_OPEN_* or 0
 * @out:   the connection (caller owns, visor_connection_unref())
 * @err:   NULL, or where to put an error (caller owns)
 *
 * Returns: 0, or
 *   VISOR_ERR_ARG         bad URI or flag
 *   VISOR_ERR_NO_SUPPORT  no such engine in this build, or not on this host;
 *                         in modes session and system, only starting a domain
 *                         says the latter
 *   VISOR_ERR_ACCESS      the state folder is not ours
 * Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_connection_open(const char *uri, uint32_t flags,
                                                visor_connection **out,
                                                visor_error **err);
/** Another reference; returns @conn. Since: 0.1 */
VISOR_API visor_connection *visor_connection_ref(visor_connection *conn);
/** Drop a reference; the last one closes. For `embed` that destroys its
 * domains. NULL is a no-op. Since: 0.1 */
VISOR_API void visor_connection_unref(visor_connection *conn);

/** The URI in full, with the engine `auto` chose; borrowed. Since: 0.1 */
VISOR_API const char *visor_connection_get_uri(const visor_connection *conn);
/** "emu", "kvm" or "xen"; borrowed. Since: 0.1 */
VISOR_API const char *visor_connection_get_engine(const visor_connection *conn);

/** How long a call on this connection may wait for a domain's process before
 * it fails with VISOR_ERR_TIMEOUT; default 30000. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_connection_set_timeout(visor_connection *conn,
                                                       uint32_t timeout_ms,
                                                       visor_error **err);

/** Host and engine capabilities as XML (libvirt's <capabilities>); *out is
 * freed with visor_free(). Since: 0.1 */
VISOR_API VISOR_CHECK int visor_connection_get_capabilities(
    visor_connection *conn, uint32_t flags, char **out, visor_error **err);

/**
 * Events and the caller's main loop. Callbacks of <visor/event.h> are called
 * from visor_connection_dispatch() only, on the thread that calls it (or from
 * the GMainContext it was attached to), never from a thread of ours.
 *
 * visor_connection_get_fd: readable when there is something to dispatch; for
 *   poll(2). Owned by the connection. Negative error code on failure.
 * visor_connection_dispatch: calls what is pending; returns how many callbacks
 *   ran, or a negative error code. timeout_ms: how long to wait for the first
 *   (0: not at all, -1: without end).
 * visor_connection_attach: dispatches from a GMainContext (NULL: the default
 *   one) until visor_connection_detach() or the last unref.
 * Since: 0.1
 */
VISOR_API int visor_connection_get_fd(visor_connection *conn);
VISOR_API int visor_connection_dispatch(visor_connection *conn, int timeout_ms,
                                        visor_error **err);
struct _GMainContext;
VISOR_API VISOR_CHECK int visor_connection_attach(visor_connection *conn,
                                                  struct _GMainContext *context,
                                                  visor_error **err);
VISOR_API void visor_connection_detach(visor_connection *conn);

/** Free memory this library gave out (strings, arrays of scalars). NULL is a
 * no-op. Since: 0.1 */
VISOR_API void visor_free(void *memory);

VISOR_END_DECLS

#endif
