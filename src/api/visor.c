/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * visor.c: what of <visor/visor.h> concerns the library itself.
 *
 * Threads: any.
 */
#include <visor/visor.h>

#include "api/api.h"
#include "base/log.h"

const char *visor_version(void)
{
    return VSR_VERSION;
}

/* The embedder's function. A set is never freed, since another thread may be in
 * the middle of a call; programs set one, once. */
typedef struct {
    visor_log_fn *fn;
    void *opaque;
} log_target;

static void log_line(vsr_log_level level, const char *message, void *opaque)
{
    const log_target *target = opaque;

    target->fn((int)level, message, target->opaque);
}

void visor_set_log(visor_log_fn *fn, void *opaque)
{
    static GMutex lock;
    static GSList *kept; /* so that a leak checker sees that it is on purpose */
    log_target *target;

    if (fn == NULL) {
        vsr_log_set_sink(NULL, NULL);
        return;
    }
    target = g_new0(log_target, 1);
    target->fn = fn;
    target->opaque = opaque;
    g_mutex_lock(&lock);
    kept = g_slist_prepend(kept, target);
    g_mutex_unlock(&lock);
    vsr_log_set_sink(log_line, target);
}
