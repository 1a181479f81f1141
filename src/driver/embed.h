/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed.h: domains inside of this process: what native_embed.c (their table)
 * and embed_run.c (their runtimes) share.
 *
 * Lock: embed.lock guards everything here that is not said to be constant. It
 *       is never held while a vsr_vmm or a callback is called, since a runtime's
 *       control thread takes it to report a state.
 * Threads: any.
 */
#ifndef VSR_DRIVER_EMBED_H
#define VSR_DRIVER_EMBED_H

#include "base/loop.h"
#include "driver/job.h"
#include "driver/lifecycle.h"
#include "driver/native.h"
#include "vmm/vmm.h"

typedef struct embed embed;
typedef struct embed_domain embed_domain;
typedef struct embed_live embed_live;

/* Which serial port an output is of. Constant. */
typedef struct {
    embed_live *live;
    uint32_t port;
} embed_port;

/* One run of a domain. */
struct embed_live {
    gint refs; /* atomic; the last one frees the runtime */
    embed *owner;
    embed_domain *domain;  /* a reference */
    vsr_vmm *vmm;          /* constant once the start has succeeded */
    vsr_domain_conf *conf; /* what it runs, with metadata as changed since */
    vsr_lifecycle lifecycle;
    bool paused;   /* started so */
    bool is_dying; /* the last reference has gone */
    embed_port ports[VSR_SERIALS_MAX];
};

struct embed_domain {
    gint refs;             /* atomic */
    char *name;            /* constant */
    char uuid[37];         /* constant */
    vsr_domain_conf *conf; /* the definition; NULL: transient */
    bool autostart;
    bool is_gone; /* in no table any more */
    vsr_job job;
    embed_live *live; /* a reference; NULL: off and cleaned up */
    int id;           /* -1: off */
    int state, reason, exit_status;
    GSList *waiters; /* of eventfd numbers */
};

struct embed {
    vsr_conn *conn;
    GMutex lock;
    GHashTable *by_uuid; /* char * → embed_domain, a reference */
    GHashTable *by_name; /* the same ones */
    int last_id;
    vsr_loop *reaper; /* frees runtimes that ended by themselves; NULL: none
                         was started yet */
};

embed *embed_of(vsr_conn *conn);
embed_domain *embed_domain_ref(embed_domain *domain);
void embed_domain_unref(embed_domain *domain);
static inline bool embed_is_active(const embed_domain *domain)
{
    return domain->live != NULL && domain->state != VSR_STATE_SHUTOFF;
}
/* With the lock held: out of both tables. */
void embed_forget(embed *e, embed_domain *domain);
void embed_wake(embed_domain *domain);

/* With the lock held: the domain, with job `name` begun; or NULL. */
embed_domain *embed_find_for(embed *e, const char *uuid, const char *name,
                             GError **error);
void embed_end_job(embed *e, embed_domain *domain);

/* A reference to the run, or NULL with STATE. With the lock held. */
embed_live *embed_live_of(embed_domain *domain, GError **error);
void embed_live_unref(embed_live *live); /* without the lock */

/* With the domain's job begun, without the lock. */
bool embed_run(embed *e, embed_domain *domain, const vsr_domain_conf *conf,
               uint32_t flags, GError **error);
bool embed_stop(embed *e, embed_domain *domain, GError **error);

/* embed_change.c: a slot of the table. */
bool vsr_embed_change(vsr_conn *conn, const char *uuid, vsr_change_kind kind,
                      const char *text, uint64_t value, uint32_t flags,
                      GError **error);

#endif
