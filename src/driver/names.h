/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * names.h: the stable words for the public numbers.
 *
 * Threads: any; constant strings, "unknown" for a number out of range.
 */
#ifndef VSR_DRIVER_NAMES_H
#define VSR_DRIVER_NAMES_H

const char *vsr_state_name(int state);
const char *vsr_reason_name(int reason);
const char *vsr_event_kind_name(int kind);
const char *vsr_lifecycle_name(int detail);
const char *vsr_event_detail_name(int kind, int detail);

#endif
