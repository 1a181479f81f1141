/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file visor/stream.h
 * A byte stream to or from a domain: a connected, non-blocking socket.
 *
 * Threads: one reader and one writer at a time; free when neither runs.
 */
#ifndef VISOR_STREAM_H
#define VISOR_STREAM_H

#include <visor/error.h>
#include <visor/types.h>

VISOR_BEGIN_DECLS

/** The socket, for poll(2); the stream keeps it. Since: 0.1 */
VISOR_API int visor_stream_get_fd(const visor_stream *stream);
/** Bytes read, 0 at the end, VISOR_ERR_TIMEOUT when none came in timeout_ms
 * (-1: wait without end). Since: 0.1 */
VISOR_API VISOR_CHECK int64_t visor_stream_read(visor_stream *stream, void *to,
                                                size_t len, int timeout_ms,
                                                visor_error **err);
/** Writes all of it; VISOR_ERR_TIMEOUT when it cannot in timeout_ms. Since: 0.1 */
VISOR_API VISOR_CHECK int64_t visor_stream_write(visor_stream *stream,
                                                 const void *from, size_t len,
                                                 int timeout_ms,
                                                 visor_error **err);
/** NULL is a no-op. Since: 0.1 */
VISOR_API void visor_stream_free(visor_stream *stream);

VISOR_END_DECLS

#endif
