/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file visor/host.h
 * The host: what it has, and what it can run.
 *
 * Threads: any.
 */
#ifndef VISOR_HOST_H
#define VISOR_HOST_H

#include <visor/error.h>
#include <visor/types.h>

VISOR_BEGIN_DECLS

/** Set `size` first. */
typedef struct {
    size_t size;
    char model[32]; /**< machine architecture, "x86_64" */
    uint64_t memory_kib;
    uint32_t cpus; /**< online */
    uint32_t mhz;  /**< 0: unknown */
    uint32_t nodes, sockets, cores, threads;
} visor_host_info;

VISOR_API VISOR_CHECK int visor_host_get_info(visor_connection *conn,
                                              visor_host_info *info,
                                              visor_error **err);

typedef enum {
    VISOR_CHECK_PASS = 0,
    VISOR_CHECK_WARN = 1, /**< works, but not as well as it could */
    VISOR_CHECK_FAIL = 2  /**< something cannot run */
} visor_check_result;

/** One finding of visor_host_check(); strings live as long as the array. */
typedef struct {
    const char *engine; /**< "emu", "kvm", "xen", or "" for the host */
    const char *what;   /**< "Device /dev/kvm" */
    int result;         /**< visor_check_result */
    const char *detail; /**< what was found */
    const char *remedy; /**< what to do about it; "" if nothing */
} visor_host_finding;

/** What this host can run, without a connection. *out is one allocation, freed
 * with visor_free(). Returns how many, or a negative error code. Since: 0.1 */
VISOR_API VISOR_CHECK int visor_host_check(visor_host_finding **out,
                                           visor_error **err);

VISOR_END_DECLS

#endif
