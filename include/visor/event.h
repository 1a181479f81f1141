/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file visor/event.h
 * What happens to domains, as callbacks.
 *
 * Threads: callbacks run where the connection is dispatched (see
 *          <visor/connection.h>); subscribe and unsubscribe from any thread,
 *          also from inside a callback.
 */
#ifndef VISOR_EVENT_H
#define VISOR_EVENT_H

#include <visor/error.h>
#include <visor/types.h>

VISOR_BEGIN_DECLS

typedef enum {
    VISOR_EVENT_LIFECYCLE = 0, /**< detail: visor_lifecycle */
    VISOR_EVENT_REBOOT = 1,    /**< the guest rebooted */
    VISOR_EVENT_DEVICE = 2,    /**< device added or removed; `text`: its id */
    VISOR_EVENT_JOB = 3        /**< a job began or ended; `text`: its name */
} visor_event_kind;

typedef enum {
    VISOR_LIFECYCLE_DEFINED = 0,
    VISOR_LIFECYCLE_UNDEFINED = 1,
    VISOR_LIFECYCLE_STARTED = 2,
    VISOR_LIFECYCLE_SUSPENDED = 3,
    VISOR_LIFECYCLE_RESUMED = 4,
    VISOR_LIFECYCLE_STOPPED = 5,
    VISOR_LIFECYCLE_SHUTDOWN = 6, /**< the guest powers off */
    VISOR_LIFECYCLE_CRASHED = 7
} visor_lifecycle;

/** Jobs are what builds or ends a run: `text` is "start" or "destroy". A job
 * whose process is killed has no end; the run's STOPPED is told all the same. */
typedef enum {
    VISOR_JOB_BEGAN = 0,
    VISOR_JOB_ENDED = 1 /**< reason: VISOR_REASON_FAILED if it failed */
} visor_job_detail;

/** `text` is the device's alias, as in <alias name='…'/>. */
typedef enum {
    VISOR_DEVICE_ADDED = 0,
    VISOR_DEVICE_REMOVED = 1
} visor_device_detail;

/** Borrowed for the time of the callback. May grow at its end. */
typedef struct {
    size_t size;
    int kind;   /**< visor_event_kind */
    int detail; /**< visor_lifecycle, visor_device_detail …, or 0 */
    int reason; /**< visor_reason, or 0 */
    visor_domain *domain;
    const char *text; /**< one line for people, or NULL */
    int64_t when_ns;  /**< CLOCK_REALTIME */
} visor_event;

typedef void visor_event_fn(visor_connection *conn, const visor_event *event,
                            void *opaque);
typedef void visor_free_fn(void *opaque);

/**
 * Call `fn` for events of the kinds in `kinds` (1u << VISOR_EVENT_*; 0: all) of
 * one domain, or of all (`dom` NULL). `free_fn` (may be NULL) gets `opaque`
 * after the last call.
 * Returns: the subscription's number (> 0), or a negative error code.
 * Since: 0.1
 */
VISOR_API VISOR_CHECK int visor_event_subscribe(
    visor_connection *conn, visor_domain *dom, uint32_t kinds,
    visor_event_fn *fn, void *opaque, visor_free_fn *free_fn,
    visor_error **err);
/** No call comes after it returns (on the dispatching thread). Since: 0.1 */
VISOR_API int visor_event_unsubscribe(visor_connection *conn, int number,
                                      visor_error **err);
/** Stable names: "lifecycle", "started" …; "unknown" otherwise. Since: 0.1 */
VISOR_API const char *visor_event_kind_name(int kind);
/** "" for a kind without details. Since: 0.1 */
VISOR_API const char *visor_event_detail_name(int kind, int detail);
VISOR_API const char *visor_state_name(int state);
VISOR_API const char *visor_reason_name(int reason);

VISOR_END_DECLS

#endif
