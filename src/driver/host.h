/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.h: what the host has: CPUs, memory, limits.
 *
 * Threads: any; nothing is cached.
 */
#ifndef VSR_DRIVER_HOST_H
#define VSR_DRIVER_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "driver/driver.h"

typedef struct {
    char model[32];      /* "x86_64" */
    char cpu_model[128]; /* "model name" of /proc/cpuinfo, or "" */
    uint64_t memory_kib;
    uint32_t cpus; /* online */
    uint32_t mhz;  /* 0: unknown */
    uint32_t nodes, sockets;
    uint32_t cores;   /* of a socket */
    uint32_t threads; /* of a core */
} vsr_host_facts;

bool vsr_host_facts_get(vsr_host_facts *out, GError **error);
/* Findings about the host itself, and backends that this build lacks. */
void vsr_host_check(vsr_finding_fn *fn, void *opaque);

#endif
