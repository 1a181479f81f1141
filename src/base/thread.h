/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread.h: threads that leave the host program's signals alone.
 */
#ifndef VSR_BASE_THREAD_H
#define VSR_BASE_THREAD_H

#include <glib.h>

/* As g_thread_try_new(), with every signal blocked that another thread of the
 * program could take instead (faults stay deliverable). The caller owns the
 * thread: g_thread_join(). NULL with *error set: RESOURCE. */
GThread *vsr_thread_new(const char *name, GThreadFunc fn, void *opaque,
                        GError **error);

#endif
