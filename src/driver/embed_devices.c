/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * embed_devices.c: attaching and detaching devices of domains in this process.
 *
 * Threads: any.
 */
#include <string.h>

#include <visor/visor.h>

#include "base/error.h"
#include "base/loop.h"
#include "driver/embed.h"
#include "driver/native.h"
#include "xml/device.h"

#define MS INT64_C(1000000)
enum { LOOK_US = 2000 }; /* between two looks whether the guest has let go */

static bool attach_live(vsr_vmm *vmm, const vsr_device_conf *device,
                        GError **error)
{
    vsr_device_resource *resource = vsr_device_resource_open(device, error);

    return resource != NULL && vsr_vmm_attach(vmm, device, resource, error);
}

static bool detach_live(vsr_vmm *vmm, const vsr_device_conf *device,
                        int64_t deadline, GError **error)
{
    if (!vsr_vmm_detach(vmm, device, error))
        return false;
    while (vsr_vmm_has_device(vmm, device)) {
        if (vsr_now_ns() >= deadline)
            return vsr_native_still_there(device, error);
        g_usleep(LOOK_US);
    }
    return true;
}

typedef struct {
    embed_domain *domain;
    embed_live *live;      /* a reference, or NULL */
    vsr_domain_conf *conf; /* the definition as it is to be, or NULL */
    const vsr_device_conf *device;
    bool is_attach;
} change;

/* With the lock held: what is to be changed; false: nothing can be. */
static bool prepare(change *c, uint32_t *flags, GError **error)
{
    const embed_domain *domain = c->domain;

    if (!vsr_native_choose_affect(embed_is_active(domain), domain->conf != NULL,
                                  flags, error))
        return false;
    if ((*flags & VISOR_AFFECT_CONFIG) != 0) {
        c->conf = vsr_domain_conf_copy(domain->conf);
        if (!vsr_native_change_device(c->conf, c->device, c->is_attach, error))
            return false;
    }
    if ((*flags & VISOR_AFFECT_LIVE) != 0)
        c->live = embed_live_of(c->domain, error);
    return (*flags & VISOR_AFFECT_LIVE) == 0 || c->live != NULL;
}

static bool change_device(vsr_conn *conn, const char *uuid, const char *xml,
                          uint32_t flags, bool is_attach, GError **error)
{
    int64_t deadline = vsr_now_ns() + g_atomic_int_get(&conn->timeout_ms) * MS;
    g_autoptr(vsr_device_conf) device =
        vsr_device_xml_parse(xml, strlen(xml), error);
    embed *e = embed_of(conn);
    change c = { .device = device, .is_attach = is_attach };
    bool ok = false;

    if (device == NULL)
        return false;
    g_mutex_lock(&e->lock);
    c.domain = embed_find_for(e, uuid, is_attach ? "attach" : "detach", error);
    if (c.domain != NULL)
        ok = prepare(&c, &flags, error);
    g_mutex_unlock(&e->lock);
    if (ok && c.live != NULL)
        ok = is_attach ? attach_live(c.live->vmm, device, error)
                       : detach_live(c.live->vmm, device, deadline, error);
    if (ok && c.conf != NULL) {
        g_mutex_lock(&e->lock);
        vsr_domain_conf_free(c.domain->conf);
        c.domain->conf = g_steal_pointer(&c.conf);
        g_mutex_unlock(&e->lock);
    }
    vsr_domain_conf_free(c.conf);
    if (c.live != NULL)
        embed_live_unref(c.live);
    if (c.domain != NULL)
        embed_end_job(e, c.domain);
    return ok;
}

bool vsr_embed_attach(vsr_conn *conn, const char *uuid, const char *xml,
                      uint32_t flags, GError **error)
{
    return change_device(conn, uuid, xml, flags, true, error);
}

bool vsr_embed_detach(vsr_conn *conn, const char *uuid, const char *xml,
                      uint32_t flags, GError **error)
{
    return change_device(conn, uuid, xml, flags, false, error);
}
