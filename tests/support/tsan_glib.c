/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tsan_glib.c: tells ThreadSanitizer of GLib's locks, which are futexes it does
 * not see. Linked into every program of a -Db_sanitize=thread build: these
 * functions stand in front of GLib's and call them.
 */
#include <dlfcn.h>
#include <string.h>

#include <glib.h>

/* Seen by libvisor.so too, when the test is linked against that. */
#pragma GCC visibility push(default)

void __tsan_acquire(void *address);
void __tsan_release(void *address);

const char *__tsan_default_suppressions(void);

/* The instruction counter: one that is a block old is as good, and counting is
 * too hot a path for an atomic. (GLib's slices: run with G_SLICE=always-malloc.)
 */
const char *__tsan_default_suppressions(void)
{
    return "race_top:op_vcpu_stats\n";
}

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

#define REAL(result, name, ...)  \
    result (*real)(__VA_ARGS__); \
    void *found = next(#name);   \
    memcpy(&real, &found, sizeof real)

void(g_mutex_lock)(GMutex *mutex)
{
    REAL(void, g_mutex_lock, GMutex *);
    real(mutex);
    __tsan_acquire(mutex);
}

gboolean(g_mutex_trylock)(GMutex *mutex)
{
    REAL(gboolean, g_mutex_trylock, GMutex *);

    if (!real(mutex))
        return FALSE;
    __tsan_acquire(mutex);
    return TRUE;
}

void(g_mutex_unlock)(GMutex *mutex)
{
    REAL(void, g_mutex_unlock, GMutex *);
    __tsan_release(mutex);
    real(mutex);
}

void(g_cond_wait)(GCond *cond, GMutex *mutex)
{
    REAL(void, g_cond_wait, GCond *, GMutex *);
    __tsan_release(mutex);
    real(cond, mutex);
    __tsan_acquire(mutex);
}

gboolean(g_cond_wait_until)(GCond *cond, GMutex *mutex, gint64 end_time)
{
    REAL(gboolean, g_cond_wait_until, GCond *, GMutex *, gint64);
    gboolean ok;

    __tsan_release(mutex);
    ok = real(cond, mutex, end_time);
    __tsan_acquire(mutex);
    return ok;
}
