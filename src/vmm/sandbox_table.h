/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sandbox_table.h: what sandbox_filters writes as C.
 */
#ifndef VSR_VMM_SANDBOX_TABLE_H
#define VSR_VMM_SANDBOX_TABLE_H

#include <linux/filter.h>

#include "base/sandbox_kinds.h"

typedef struct {
    const struct sock_filter *code;
    unsigned n;
} sandbox_filter;

/* [is it kvm?][extras][kind of thread] */
extern const sandbox_filter vsr_sandbox_filters[2][SANDBOX_EXTRAS]
                                               [SANDBOX_KINDS];

/* The names of system calls by their numbers; NULL: there is none. */
extern const char *const vsr_sandbox_calls[];
extern const unsigned vsr_sandbox_n_calls;

#endif
