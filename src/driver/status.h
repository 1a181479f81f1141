/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status.h: status.json in a domain's folder: what its process did last.
 *
 * Written by visor-vmm at each change, replaced in one step; read by everybody.
 * It also has the last events, each with a number that counts up within the
 * run, so that a watcher that came late misses none.
 *
 * Threads: any.
 */
#ifndef VSR_DRIVER_STATUS_H
#define VSR_DRIVER_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "rpc/json.h"

enum { VSR_STATUS_EVENTS = 16, VSR_STATUS_TEXT = 160 };

typedef struct {
    int64_t seq;                /* 1, 2 … within the run */
    int kind, detail, reason;   /* VISOR_EVENT_*, VISOR_LIFECYCLE_*, … */
    int64_t when_ns;            /* CLOCK_REALTIME */
    char text[VSR_STATUS_TEXT]; /* "" for none */
} vsr_status_event;

typedef struct {
    int state, reason; /* VISOR_STATE_*, VISOR_REASON_* */
    int exit_status;   /* -1: none */
    int id;            /* of the run; unique in the state folder */
    int64_t pid;       /* of its process */
    bool building;     /* the starter has not said `go` yet */
    uint32_t n_events; /* oldest first */
    vsr_status_event events[VSR_STATUS_EVENTS];
} vsr_status;

/* Shut off, never run. */
void vsr_status_init(vsr_status *status);
/* False: there is none, or it makes no sense; *out is then as after init. */
bool vsr_status_read(int folder_fd, vsr_status *out);
/* The same for a path from `fd`. */
bool vsr_status_read_at(int fd, const char *path, vsr_status *out);
bool vsr_status_write(int folder_fd, const vsr_status *status, GError **error);

/* The list of events as JSON, for status.json and answers to `subscribe`; one
 * event is also what subscribers get. */
vsr_json *vsr_status_event_format(const vsr_status_event *event);
bool vsr_status_event_parse(const vsr_json *json, vsr_status_event *out);
vsr_json *vsr_status_events_format(const vsr_status *status);
void vsr_status_events_parse(const vsr_json *list, vsr_status *out);
/* Appends, with the next number and the time; the oldest goes. */
vsr_status_event *vsr_status_event_add(vsr_status *status, int64_t *last_seq,
                                       int kind, int detail, int reason,
                                       const char *text);

#endif
