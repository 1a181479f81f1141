/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * job.h: one thing at a time that changes a domain; queries go on beside it.
 *
 * Threads: any; what belongs to a job is guarded by the lock that its calls are
 *          given, which is dropped while they wait.
 */
#ifndef VSR_DRIVER_JOB_H
#define VSR_DRIVER_JOB_H

#include <stdbool.h>

#include <glib.h>

typedef struct {
    const char *name; /* of the running job; NULL: none */
    GCond ended;
} vsr_job;

void vsr_job_init(vsr_job *job);
void vsr_job_fini(vsr_job *job);
/* BUSY, with the other job's name, when it has not ended in `timeout_ms`. */
bool vsr_job_begin(vsr_job *job, GMutex *lock, const char *name, int timeout_ms,
                   GError **error);
void vsr_job_end(vsr_job *job);

#endif
