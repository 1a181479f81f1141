/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h: one sink, set by the embedder; silent until then.
 *
 * Threads: any; the sink is called on the caller's thread, without locks.
 */
#ifndef VSR_BASE_LOG_H
#define VSR_BASE_LOG_H

#include <stdbool.h>

#include <glib.h>

typedef enum { VSR_LOG_ERROR, VSR_LOG_WARN, VSR_LOG_INFO, VSR_LOG_DEBUG } vsr_log_level;
typedef void vsr_log_sink(vsr_log_level level, const char *message, void *opaque);

/* NULL: silent. Process-wide, since a log line may come from any object. */
void vsr_log_set_sink(vsr_log_sink *sink, void *opaque);
void vsr_log(vsr_log_level level, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A message a guest can cause: the first few a limiter (zero-initialised, in
 * the device that logs) are said, then silence. Any thread. */
typedef struct {
    gint said;
} vsr_log_limiter;
void vsr_log_limited(vsr_log_limiter *limiter, vsr_log_level level,
                     const char *format, ...) G_GNUC_PRINTF(3, 4);

#endif
