/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cancel.h: lets one thread end another's wait. A descriptor becomes readable,
 * so that it can be polled beside others.
 *
 * Threads: any.
 */
#ifndef VSR_DRIVER_CANCEL_H
#define VSR_DRIVER_CANCEL_H

#include <stdbool.h>

#include <glib.h>

typedef struct {
    int fd; /* an eventfd; readable once it was cancelled, for ever */
} vsr_cancel;

bool vsr_cancel_init(vsr_cancel *cancel, GError **error); /* RESOURCE */
void vsr_cancel_fini(vsr_cancel *cancel);
void vsr_cancel_now(const vsr_cancel *cancel);
bool vsr_cancel_is_set(const vsr_cancel *cancel); /* NULL: never */

/* Sleep until `fd` (-1: none) or `fd2` (likewise) is readable, the deadline (vsr_now_ns(), or
 * INT64_MAX) or `cancel` (may be NULL). False: TIMEOUT, CANCELLED. */
bool vsr_cancel_wait(const vsr_cancel *cancel, int fd, int fd2,
                     int64_t deadline_ns, GError **error);
/* Now plus `timeout_ms`; negative: INT64_MAX. */
int64_t vsr_deadline(int timeout_ms);

#endif
