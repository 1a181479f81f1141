/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_change.c: changes of domains in this process, as native_change.c does
 * those of others.
 *
 * Threads: any.
 */
#include <visor/visor.h>

#include "base/loop.h"
#include "driver/device_update.h"
#include "driver/embed.h"

#define MS INT64_C(1000000)
enum { LOOK_US = 2000 }; /* between two looks whether the guest has done it */

static bool update_live(vsr_vmm *vmm, const vsr_change *change, GError **error)
{
    vsr_device_update update = { .link_fd = -1 };
    bool ok;

    update.live = vsr_vmm_device(vmm, change->device, &update.link_fd, error);
    ok = update.live != NULL &&
         vsr_device_update_begin(&update, change->device, error) &&
         vsr_vmm_change(vmm, change, g_steal_pointer(&update.resource), error);
    vsr_device_update_end(&update, change->device, ok);
    return ok;
}

static bool change_live(vsr_vmm *vmm, const vsr_change *change,
                        int64_t deadline, GError **error)
{
    vsr_device_resource *resource = NULL;

    if (change->kind == VSR_CHANGE_UPDATE)
        return update_live(vmm, change, error);
    if (change->kind == VSR_CHANGE_ATTACH) {
        resource = vsr_device_resource_open(change->device, error);
        if (resource == NULL)
            return false;
    }
    if (!vsr_vmm_change(vmm, change, resource, error))
        return false;
    while (!vsr_vmm_is_changed(vmm, change)) {
        if (vsr_now_ns() >= deadline)
            return vsr_change_not_done(change, error);
        g_usleep(LOOK_US);
    }
    return true;
}

typedef struct {
    embed_domain *domain;
    embed_live *live;      /* a reference, or NULL */
    vsr_domain_conf *conf; /* the definition as it is to be, or NULL */
} parts;

/* With the lock held: what is to be changed; false: nothing can be. */
static bool prepare(parts *p, const vsr_change *change, uint32_t flags,
                    GError **error)
{
    const embed_domain *domain = p->domain;

    if (!vsr_native_choose_affect(change, embed_is_active(domain),
                                  domain->conf != NULL, &flags, error))
        return false;
    if ((flags & VISOR_AFFECT_CONFIG) != 0) {
        p->conf = vsr_domain_conf_copy(domain->conf);
        if (!vsr_change_definition(change, p->conf, error))
            return false;
    }
    if ((flags & VISOR_AFFECT_LIVE) != 0)
        p->live = embed_live_of(p->domain, error);
    return (flags & VISOR_AFFECT_LIVE) == 0 || p->live != NULL;
}

bool vsr_embed_change(vsr_conn *conn, const char *uuid, vsr_change_kind kind,
                      const char *text, uint64_t value, uint32_t flags,
                      GError **error)
{
    int64_t deadline = vsr_now_ns() + g_atomic_int_get(&conn->timeout_ms) * MS;
    embed *e = embed_of(conn);
    parts p = { .domain = NULL };
    vsr_change change;
    bool ok = false;

    if (!vsr_native_read_change(kind, text, value, &change, error))
        return false;
    g_mutex_lock(&e->lock);
    p.domain = embed_find_for(e, uuid, vsr_change_kind_text(kind), error);
    if (p.domain != NULL)
        ok = prepare(&p, &change, flags, error);
    g_mutex_unlock(&e->lock);
    if (ok && p.live != NULL)
        ok = change_live(p.live->vmm, &change, deadline, error);
    if (ok && p.conf != NULL) {
        g_mutex_lock(&e->lock);
        vsr_domain_conf_free(p.domain->conf);
        p.domain->conf = g_steal_pointer(&p.conf);
        g_mutex_unlock(&e->lock);
    }
    vsr_domain_conf_free(p.conf);
    if (p.live != NULL)
        embed_live_unref(p.live);
    if (p.domain != NULL)
        embed_end_job(e, p.domain);
    vsr_change_clear(&change);
    return ok;
}
