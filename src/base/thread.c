/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread.c: see thread.h.
 *
 * Threads: any.
 */
#include "base/thread.h"

#include <pthread.h>
#include <signal.h>

#include "base/error.h"

GThread *vsr_thread_new(const char *name, GThreadFunc fn, void *opaque,
                        GError **error)
{
    static const int faults[] = { SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                  SIGTRAP, SIGABRT, SIGSYS };
    g_autoptr(GError) cause = NULL;
    sigset_t blocked, before;
    GThread *thread;

    sigfillset(&blocked);
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++)
        sigdelset(&blocked, faults[i]);
    /* A new thread inherits the mask. */
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    thread = g_thread_try_new(name, fn, opaque, &cause);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (thread == NULL)
        (void)vsr_fail(error, VISOR_ERR_RESOURCE,
                       "Cannot start thread '%s': %s", name, cause->message);
    return thread;
}
