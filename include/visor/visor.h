/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file visor/visor.h
 * The whole public interface, and what concerns the library itself.
 */
#ifndef VISOR_VISOR_H
#define VISOR_VISOR_H

#include <visor/connection.h>
#include <visor/domain.h>
#include <visor/error.h>
#include <visor/event.h>
#include <visor/host.h>
#include <visor/stream.h>
#include <visor/types.h>

VISOR_BEGIN_DECLS

/** "0.1.0"; static. Since: 0.1 */
VISOR_API const char *visor_version(void);

typedef enum {
    VISOR_LOG_ERROR = 0,
    VISOR_LOG_WARN = 1,
    VISOR_LOG_INFO = 2,
    VISOR_LOG_DEBUG = 3
} visor_log_level;
typedef void visor_log_fn(int level, const char *message, void *opaque);

/** Where log lines go; NULL (the default): nowhere. For the whole process; any
 * thread calls `fn`. Since: 0.1 */
VISOR_API void visor_set_log(visor_log_fn *fn, void *opaque);

/**
 * Output of serial ports of type 'stdio' of this connection's domains
 * (`embed` only). `fn` runs on a thread of ours: it must be quick, and may call
 * nothing of this library but visor_domain_send_input().
 * Since: 0.1
 */
typedef void visor_output_fn(visor_domain *dom, uint32_t port, const void *data,
                             size_t len, void *opaque);
VISOR_API VISOR_CHECK int visor_connection_set_output(visor_connection *conn,
                                                      visor_output_fn *fn,
                                                      void *opaque,
                                                      visor_error **err);
/** Type into such a port. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_domain_send_input(visor_domain *dom,
                                                  uint32_t port,
                                                  const void *data, size_t len,
                                                  visor_error **err);
/** Other descriptors that 'stdio' ports use instead (dup'ed; -1, -1: none), also
 * in `session` mode: they are handed to the domain's process. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_connection_set_stdio(visor_connection *conn,
                                                     int in_fd, int out_fd,
                                                     visor_error **err);

VISOR_END_DECLS

#endif
