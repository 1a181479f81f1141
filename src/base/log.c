/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.c: the process's one log sink.
 *
 * Threads: any.
 */
#include "base/log.h"

enum { MESSAGES_PER_LIMITER = 8 };

typedef struct {
    GMutex lock; /* guards sink and opaque, which change together */
    vsr_log_sink *sink;
    void *opaque;
    gint silent_not; /* atomic: a sink is set; spares formatting without one */
} log_state;

static log_state *state_get(void)
{
    static log_state state;

    return &state;
}

void vsr_log_set_sink(vsr_log_sink *sink, void *opaque)
{
    log_state *state = state_get();

    g_mutex_lock(&state->lock);
    state->sink = sink;
    state->opaque = opaque;
    g_atomic_int_set(&state->silent_not, sink != NULL);
    g_mutex_unlock(&state->lock);
}

static void log_valist(vsr_log_level level, const char *format, va_list args)
    G_GNUC_PRINTF(2, 0);

static void log_valist(vsr_log_level level, const char *format, va_list args)
{
    log_state *state = state_get();
    g_autofree char *message = NULL;
    vsr_log_sink *sink;
    void *opaque;

    if (!g_atomic_int_get(&state->silent_not))
        return;
    g_mutex_lock(&state->lock);
    sink = state->sink;
    opaque = state->opaque;
    g_mutex_unlock(&state->lock);
    if (sink == NULL)
        return;
    message = g_strdup_vprintf(format, args);
    sink(level, message, opaque);
}

void vsr_log(vsr_log_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_valist(level, format, args);
    va_end(args);
}

void vsr_log_limited(vsr_log_limiter *limiter, vsr_log_level level,
                     const char *format, ...)
{
    va_list args;

    /* The plain read first: a guest's flood must not count past INT_MAX. */
    if (g_atomic_int_get(&limiter->said) >= MESSAGES_PER_LIMITER ||
        g_atomic_int_add(&limiter->said, 1) >= MESSAGES_PER_LIMITER)
        return;
    va_start(args, format);
    log_valist(level, format, args);
    va_end(args);
}
