/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_run.c: embed mode: runtimes of domains inside of this process.
 *
 * A runtime that ends by itself says so on its own control thread, which cannot
 * free it: that is posted to a loop of ours, the reaper.
 *
 * Threads: any, and the control threads of the runtimes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/fd.h"
#include "driver/embed.h"

/* --- references ------------------------------------------------------------ */

embed_live *embed_live_of(embed_domain *domain, GError **error)
{
    if (!embed_is_active(domain) || domain->live->vmm == NULL) {
        (void)vsr_fail(error, VISOR_ERR_STATE, "Domain '%s' is not running",
                       domain->name);
        return NULL;
    }
    g_atomic_int_inc(&domain->live->refs);
    return domain->live;
}

void embed_live_unref(embed_live *live)
{
    if (live == NULL || !g_atomic_int_dec_and_test(&live->refs))
        return;
    /* A runtime that is still on says that it is off while it is freed: that
     * must not bring us back to life. */
    g_mutex_lock(&live->owner->lock);
    live->is_dying = true;
    g_mutex_unlock(&live->owner->lock);
    vsr_vmm_free(live->vmm);
    vsr_domain_conf_free(live->conf);
    embed_domain_unref(live->domain);
    g_free(live);
}

/* --- what the runtime tells -------------------------------------------------- */

/* The domain lets go of a run that is over. */
static void reap(void *opaque)
{
    embed_live *live = opaque;
    embed *e = live->owner;
    bool was_its = false;

    g_mutex_lock(&e->lock);
    if (live->domain->live == live) {
        live->domain->live = NULL;
        was_its = true;
    }
    g_mutex_unlock(&e->lock);
    if (was_its)
        embed_live_unref(live);
    embed_live_unref(live); /* the reference of the posting */
}

/* With the lock held. */
static void set_off(embed *e, embed_live *live)
{
    live->domain->id = -1;
    if (live->domain->conf == NULL)
        embed_forget(e, live->domain);
    if (live->is_dying)
        return;
    g_atomic_int_inc(&live->refs);
    vsr_loop_call(e->reaper, reap, live);
}

static void on_state(void *opaque, vsr_state state, vsr_reason reason,
                     int status, const char *text)
{
    embed_live *live = opaque;
    embed *e = live->owner;
    embed_domain *domain = live->domain;
    int detail[VSR_LIFECYCLE_EVENTS];
    uint32_t n;

    g_mutex_lock(&e->lock);
    n = vsr_lifecycle_change(&live->lifecycle, (int)state, (int)reason,
                             live->paused, detail);
    if (domain->live == live) {
        domain->state = (int)state;
        domain->reason = (int)reason;
        domain->exit_status = reason == VSR_REASON_EXIT ? status : -1;
        if (state == VSR_STATE_SHUTOFF)
            set_off(e, live);
        embed_wake(domain);
    }
    g_mutex_unlock(&e->lock);
    for (uint32_t i = 0; i < n; i++)
        vsr_native_emit(e->conn, VISOR_EVENT_LIFECYCLE, detail[i], (int)reason,
                        domain->name, domain->uuid, text, 0);
}

/* Started paused: the runtime itself says nothing yet. */
static void tell_built(embed *e, embed_live *live)
{
    int detail[VSR_LIFECYCLE_EVENTS];
    uint32_t n;

    g_mutex_lock(&e->lock);
    n = vsr_lifecycle_change(&live->lifecycle, VISOR_STATE_PAUSED,
                             VISOR_REASON_STARTING, true, detail);
    g_mutex_unlock(&e->lock);
    if (n > 0)
        vsr_native_emit(e->conn, VISOR_EVENT_LIFECYCLE, detail[0],
                        VISOR_REASON_STARTING, live->domain->name,
                        live->domain->uuid, NULL, 0);
}

static void on_rebooted(void *opaque)
{
    embed_live *live = opaque;

    vsr_native_emit(live->owner->conn, VISOR_EVENT_REBOOT, 0, 0,
                    live->domain->name, live->domain->uuid, NULL, 0);
}

static void on_device(void *opaque, const char *alias, bool is_there)
{
    embed_live *live = opaque;

    vsr_native_emit(live->owner->conn, VISOR_EVENT_DEVICE,
                    is_there ? VISOR_DEVICE_ADDED : VISOR_DEVICE_REMOVED, 0,
                    live->domain->name, live->domain->uuid, alias, 0);
}

static void on_output(const void *data, size_t len, void *opaque)
{
    const embed_port *port = opaque;
    vsr_conn *conn = port->live->owner->conn;

    conn->events->output(conn->opaque, port->live->domain->uuid, port->port,
                         data, len);
}

/* --- start and stop ------------------------------------------------------------ */

static bool open_resources(embed *e, embed_live *live, vsr_vmm_resources *res,
                           GError **error)
{
    vsr_conn *conn = e->conn;
    int stdio[2];
    bool has_output, ok;

    g_mutex_lock(&conn->lock);
    has_output = conn->has_output;
    for (int i = 0; i < 2; i++)
        stdio[i] =
            conn->stdio[i] < 0 ? -1 : fcntl(conn->stdio[i], F_DUPFD_CLOEXEC, 3);
    g_mutex_unlock(&conn->lock);
    ok = vsr_vmm_resources_open(res, live->conf, stdio,
                                has_output ? on_output : NULL, NULL, error);
    vsr_close(stdio[0]);
    vsr_close(stdio[1]);
    if (!ok)
        return false;
    for (uint32_t i = 0; i < res->n_serials; i++) {
        if (res->serial[i].kind != VSR_CHARDEV_CALLBACK)
            continue;
        live->ports[i].live = live;
        live->ports[i].port =
            g_array_index(live->conf->serials, vsr_char_conf, i).port;
        res->serial[i].opaque = &live->ports[i];
    }
    return true;
}

static embed_live *live_new(embed *e, embed_domain *domain,
                            const vsr_domain_conf *conf, bool paused)
{
    embed_live *live = g_new0(embed_live, 1);

    live->refs = 1;
    live->owner = e;
    live->domain = embed_domain_ref(domain);
    live->conf = vsr_domain_conf_copy(conf);
    live->paused = paused;
    return live;
}

/* Lets go of what a failed start left. */
static void settle_start(embed *e, embed_domain *domain, embed_live *live,
                         bool ok)
{
    bool was_its;

    if (ok)
        return;
    g_mutex_lock(&e->lock);
    was_its = domain->live == live;
    if (was_its) {
        domain->live = NULL;
        domain->id = -1;
        domain->state = VISOR_STATE_SHUTOFF;
        domain->reason = VISOR_REASON_FAILED;
        domain->exit_status = -1;
        embed_wake(domain);
    }
    g_mutex_unlock(&e->lock);
    if (was_its)
        embed_live_unref(live);
}

static bool start_live(embed *e, embed_domain *domain, embed_live *live,
                       GError **error)
{
    static const vsr_vmm_events events = {
        .state = on_state,
        .rebooted = on_rebooted,
        .device = on_device,
    };
    vsr_vmm_resources res = { 0 };
    vsr_vmm *vmm;

    if (!open_resources(e, live, &res, error))
        return false;
    vmm = vsr_vmm_new(e->conn->driver->engine, live->conf, &res, &events, live,
                      error);
    if (vmm == NULL)
        return false;
    g_mutex_lock(&e->lock);
    live->vmm = vmm;
    g_mutex_unlock(&e->lock);
    if (!live->paused)
        return vsr_vmm_resume(vmm, error);
    tell_built(e, live);
    return true;
}

bool embed_run(embed *e, embed_domain *domain, const vsr_domain_conf *conf,
               uint32_t flags, GError **error)
{
    embed_live *old, *live;
    bool ok = true;

    g_mutex_lock(&e->lock);
    if (e->reaper == NULL)
        e->reaper = vsr_loop_new("visor-reaper", error);
    ok = e->reaper != NULL;
    live = live_new(e, domain, conf, (flags & VISOR_START_PAUSED) != 0);
    /* Ours: a guest that ends at once is reaped before the start returns. */
    live->refs++;
    /* One that is over, but that the reaper has not reached. */
    old = domain->live;
    domain->live = live;
    domain->id = ++e->last_id;
    domain->state = VISOR_STATE_PAUSED;
    domain->reason = VISOR_REASON_STARTING;
    domain->exit_status = -1;
    g_mutex_unlock(&e->lock);
    embed_live_unref(old);
    ok = ok && start_live(e, domain, live, error);
    settle_start(e, domain, live, ok);
    embed_live_unref(live);
    if (!ok)
        return vsr_fail_prefix(error, "Domain '%s'", domain->name);
    return true;
}

bool embed_stop(embed *e, embed_domain *domain, GError **error)
{
    embed_live *live;
    bool ok, was_its;

    g_mutex_lock(&e->lock);
    live = embed_live_of(domain, error);
    g_mutex_unlock(&e->lock);
    if (live == NULL)
        return false;
    ok = vsr_vmm_destroy(live->vmm, error);
    g_mutex_lock(&e->lock);
    was_its = ok && domain->live == live;
    if (was_its)
        domain->live = NULL;
    g_mutex_unlock(&e->lock);
    if (was_its)
        embed_live_unref(live);
    embed_live_unref(live);
    return ok;
}
