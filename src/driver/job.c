/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * job.c: see job.h.
 *
 * Threads: any.
 */
#include "driver/job.h"

#include "base/error.h"

void vsr_job_init(vsr_job *job)
{
    job->name = NULL;
    g_cond_init(&job->ended);
}

void vsr_job_fini(vsr_job *job)
{
    g_cond_clear(&job->ended);
}

bool vsr_job_begin(vsr_job *job, GMutex *lock, const char *name, int timeout_ms,
                   GError **error)
{
    gint64 end = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;

    while (job->name != NULL)
        if (!g_cond_wait_until(&job->ended, lock, end) && job->name != NULL)
            return vsr_fail(error, VISOR_ERR_BUSY,
                            "Cannot %s: job '%s' has not ended", name,
                            job->name);
    job->name = name;
    return true;
}

void vsr_job_end(vsr_job *job)
{
    job->name = NULL;
    g_cond_signal(&job->ended);
}
