/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * driver.h: what a backend answers for the public API.
 *
 * One table per kind of object; a NULL slot is VISOR_ERR_NO_SUPPORT. The API
 * layer has checked arguments, flags and read-only before it calls. A domain is
 * named by its uuid; the driver looks it up itself, so that a handle never
 * dangles.
 *
 * Threads: every slot from any thread.
 */
#ifndef VSR_DRIVER_DRIVER_H
#define VSR_DRIVER_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "conf/change.h"
#include "driver/cancel.h"
#include "engine/engine.h"

typedef struct vsr_driver vsr_driver;
typedef struct vsr_domain_ops vsr_domain_ops;

typedef enum { VSR_MODE_EMBED, VSR_MODE_SESSION, VSR_MODE_SYSTEM } vsr_mode;

/* What an event tells; see <visor/event.h> for the numbers. */
typedef struct {
    int kind, detail, reason;
    const char *name; /* of the domain */
    const char *uuid;
    const char *text;
    int64_t when_ns;
} vsr_event;

typedef struct {
    /* Any thread, no lock held: the API layer queues it. */
    void (*event)(void *opaque, const vsr_event *event);
    /* embed: output of a stdio serial. */
    void (*output)(void *opaque, const char *uuid, uint32_t port,
                   const void *data, size_t len);
} vsr_conn_events;

typedef struct {
    const vsr_driver *driver;
    vsr_mode mode;
    /* The table for this mode; the API layer presets the driver's. */
    const vsr_domain_ops *ops;
    char *root;     /* state folder; NULL for embed */
    char *vmm_path; /* of the visor-vmm to start; NULL: the one we belong to */
    const vsr_conn_events *events;
    void *opaque;    /* of events */
    void *priv;      /* the driver's own */
    gint timeout_ms; /* atomic */
    int stdio[2];    /* or -1; guarded by lock */
    bool has_output; /* embed: events->output is wanted; guarded by lock */
    GMutex lock;
} vsr_conn;

typedef struct {
    char name[256];
    char uuid[37];
    int id; /* -1: inactive */
} vsr_domain_ident;

typedef struct {
    int state, reason;
    uint64_t max_memory_kib, memory_kib;
    uint32_t vcpus, max_vcpus;
    uint64_t cpu_time_ns;
    bool persistent, autostart;
    int exit_status;
} vsr_domain_info;

typedef struct {
    bool (*open)(vsr_conn *conn, GError **error);
    void (*close)(vsr_conn *conn); /* embed: destroys its domains */
    /* Start or stop delivering events (session: watching the state folder). */
    bool (*watch)(vsr_conn *conn, bool on, GError **error);
} vsr_conn_ops;

struct vsr_domain_ops {
    bool (*define)(vsr_conn *, const char *xml, uint32_t flags,
                   vsr_domain_ident *out, GError **);
    bool (*create)(vsr_conn *, const char *xml, uint32_t flags,
                   vsr_domain_ident *out, GError **);
    bool (*undefine)(vsr_conn *, const char *uuid, uint32_t flags, GError **);
    bool (*lookup_name)(vsr_conn *, const char *name, vsr_domain_ident *out,
                        GError **);
    bool (*lookup_uuid)(vsr_conn *, const char *uuid, vsr_domain_ident *out,
                        GError **);
    bool (*lookup_id)(vsr_conn *, int id, vsr_domain_ident *out, GError **);
    /* Array of vsr_domain_ident, sorted by name; VISOR_LIST_* flags. */
    GArray *(*list)(vsr_conn *, uint32_t flags, GError **);

    bool (*start)(vsr_conn *, const char *uuid, uint32_t flags, GError **);
    bool (*shutdown)(vsr_conn *, const char *uuid, GError **);
    bool (*reboot)(vsr_conn *, const char *uuid, GError **);
    bool (*reset)(vsr_conn *, const char *uuid, GError **);
    bool (*destroy)(vsr_conn *, const char *uuid, GError **);
    bool (*suspend)(vsr_conn *, const char *uuid, GError **);
    bool (*resume)(vsr_conn *, const char *uuid, GError **);

    bool (*info)(vsr_conn *, const char *uuid, vsr_domain_info *out, GError **);
    bool (*state)(vsr_conn *, const char *uuid, int *state, int *reason,
                  GError **);
    /* Wait for a state in the mask. A domain that is gone counts as shut off;
     * NOT_FOUND when that was not asked for. */
    bool (*wait)(vsr_conn *, const char *uuid, uint32_t states, int timeout_ms,
                 const vsr_cancel *cancel, GError **);
    char *(*xml)(vsr_conn *, const char *uuid, uint32_t flags, GError **);
    bool (*set_autostart)(vsr_conn *, const char *uuid, bool on, GError **);
    bool (*get_autostart)(vsr_conn *, const char *uuid, bool *on, GError **);
    bool (*set_metadata)(vsr_conn *, const char *uuid, int kind,
                         const char *value, const char *key, const char *uri,
                         GError **);
    char *(*get_metadata)(vsr_conn *, const char *uuid, int kind,
                          const char *uri, GError **);
    bool (*stats)(vsr_conn *, const char *uuid,
                  void (*fn)(const char *name, uint64_t value, void *opaque),
                  void *opaque, GError **);
    /* `text` is the XML of one device, or whose size; flags are
     * VISOR_AFFECT_*. */
    bool (*change)(vsr_conn *, const char *uuid, vsr_change_kind kind,
                   const char *text, uint64_t value, uint32_t flags, GError **);
    /* A connected socket, or -1. */
    int (*console)(vsr_conn *, const char *uuid, uint32_t port, uint32_t flags,
                   GError **);
    bool (*send_input)(vsr_conn *, const char *uuid, uint32_t port,
                       const void *data, size_t len, GError **);
};

/* One line of `doctor`. Strings are owned by the list's string chunk. */
typedef void vsr_finding_fn(const char *engine, const char *what, int result,
                            const char *detail, const char *remedy,
                            void *opaque);

typedef struct {
    char *(*capabilities)(vsr_conn *, GError **);
} vsr_host_ops;

struct vsr_driver {
    const char *name; /* "emu": the URI's scheme and the XML's type */
    const vsr_engine_ops *engine;  /* NULL: the driver has none (xen PV only) */
    bool (*probe)(GError **error); /* can it work here? Changes nothing */
    /* O: may `auto` choose it, where probe says yes? */
    bool (*preferred)(void);
    /* Findings of its own for visor_host_check(); O. */
    void (*check)(vsr_finding_fn *fn, void *opaque);
    const vsr_conn_ops *conn;
    const vsr_domain_ops *domain;
    const vsr_host_ops *host;
};

/* registry.c: NULL-terminated, in order of preference of `auto`. */
const vsr_driver *const *vsr_drivers(void);
const vsr_driver *vsr_driver_find(const char *name); /* NULL: not built in */

/* The driver half shared by kvm and emu (native_*.c). */
extern const vsr_conn_ops vsr_native_conn_ops;
extern const vsr_domain_ops vsr_native_domain_ops;
extern const vsr_host_ops vsr_native_host_ops;

/* engines.c: by the XML's domain type; NULL: not built in. */
const vsr_engine_ops *vsr_engine_find(const char *name);

/* In drivers/. */
extern const vsr_driver vsr_emu_driver;
extern const vsr_driver vsr_kvm_driver;
extern const vsr_driver vsr_xen_driver;

#endif
