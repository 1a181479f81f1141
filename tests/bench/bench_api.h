/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench_api.h: a clock, and calls of the library that must succeed: what its
 * benchmarks share.
 */
#ifndef VSR_TESTS_BENCH_BENCH_API_H
#define VSR_TESTS_BENCH_BENCH_API_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <visor/visor.h>

/* Seconds. */
static inline double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void check(int rc, visor_error *err, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, visor_error_get_message(err));
    exit(1);
}
#define CHECK(call)                  \
    do {                             \
        visor_error *err = NULL;     \
        int check_rc = (call);       \
                                     \
        check(check_rc, err, #call); \
    } while (0)

#endif
