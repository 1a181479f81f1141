/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * update.c: devices that change while the guest uses them: what may change is
 * src/conf/device_update.h's to say, how it is done is here. Of an interface the
 * host's half (bridges, limits that its kernel keeps) is done before by who
 * has the rights, and what is left to us comes as a resource.
 *
 * Threads: the control thread, where vmm.h's functions carry their calls.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/util.h"
#include "conf/device_update.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/mem.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "vmm/plugged.h"

typedef struct {
    const vsr_device_conf *like;
    vsr_device_resource *resource; /* or NULL */
    vsr_device_conf *copy;         /* of the live one */
    int link_fd;
    const char *target;
    uint64_t bytes;
} request;

/* The device in the machine, or NULL with NOT_FOUND. */
static vmm_plugged *find(vsr_vmm *vmm, const vsr_device_conf *like,
                         GError **error)
{
    const vsr_device_conf *conf;

    if (!vmm_check_active(vmm, error))
        return NULL;
    conf = vsr_device_find_like(vmm->conf->devices, like);
    for (guint i = 0; conf != NULL && i < vmm->plugged->len; i++)
        if (((vmm_plugged *)vmm->plugged->pdata[i])->conf == conf)
            return vmm->plugged->pdata[i];
    (void)vsr_change_no_device(like, vmm->conf->name, error);
    return NULL;
}

/* --- the kinds -------------------------------------------------------------------- */

static bool update_disk(vmm_plugged *p, const request *r, GError **error)
{
    const vsr_disk_conf *disk = &r->like->disk;

    vsr_block_set_throttle(p->block, &disk->options.throttle);
    vsr_virtio_blk_set_policies(p->device, vmm_blk_policy(disk->rerror_policy),
                                vmm_blk_policy(disk->error_policy));
    return true;
}

static bool update_interface(vmm_plugged *p, const request *r, GError **error)
{
    const vsr_net_location *live = &p->conf->interface.location;
    const vsr_net_location *wanted = &r->like->interface.location;
    bool same = vsr_net_limits_same(live, wanted);

    if (r->resource == NULL &&
        (!same || g_strcmp0(live->device, wanted->device) != 0))
        return vsr_fail(error, VISOR_ERR_ARG,
                        "Another bridge, or other limits, are for who has "
                        "rights on the host to begin with");
    if (!same)
        vsr_virtio_net_set_rates(p->device, &r->resource->net.in,
                                 &r->resource->net.out);
    vsr_virtio_net_set_link(p->device, !r->like->interface.link_down);
    return true;
}

static bool update_rng(vmm_plugged *p, const request *r, GError **error)
{
    vsr_virtio_rng_set_rate(p->device, r->like->rng.rate_bytes,
                            r->like->rng.rate_period_ms);
    return true;
}

static bool update_balloon(vmm_plugged *p, const request *r, GError **error)
{
    if (p->device != NULL)
        vsr_virtio_balloon_set_period(p->device,
                                      r->like->balloon.stats_period_s);
    return true;
}

static bool update_memory(vmm_plugged *p, const request *r, GError **error)
{
    return vsr_virtio_mem_set_requested(
        p->device, r->like->memory.requested_kib * VSR_KIB, error);
}

/* Of others nothing changes. */
typedef bool update_fn(vmm_plugged *p, const request *r, GError **error);
static update_fn *const updates[VSR_DEVICE_KINDS] = {
    [VSR_DEVICE_DISK] = update_disk,
    [VSR_DEVICE_INTERFACE] = update_interface,
    [VSR_DEVICE_RNG] = update_rng,
    [VSR_DEVICE_BALLOON] = update_balloon,
    [VSR_DEVICE_MEMORY] = update_memory,
};

/* --- calls ------------------------------------------------------------------------ */

static bool do_look(vsr_vmm *vmm, void *opaque, GError **error)
{
    request *r = opaque;
    const vmm_plugged *p = find(vmm, r->like, error);
    int fd = -1;

    if (p == NULL)
        return false;
    if (p->conf->kind == VSR_DEVICE_INTERFACE && p->device != NULL)
        fd = vsr_virtio_net_link_fd(p->device);
    if (fd >= 0) {
        r->link_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (r->link_fd < 0)
            return vsr_fail_errno(error, errno,
                                  "Cannot duplicate a descriptor");
    }
    r->copy = vsr_device_conf_copy(p->conf);
    return true;
}

vsr_device_conf *vsr_vmm_device(vsr_vmm *vmm, const vsr_device_conf *like,
                                int *link_fd, GError **error)
{
    request r = { .like = like, .link_fd = -1 };

    if (!vmm_control(vmm, do_look, &r, error))
        return NULL;
    if (link_fd != NULL)
        *link_fd = r.link_fd;
    else
        vsr_close(r.link_fd);
    return r.copy;
}

static bool do_update(vsr_vmm *vmm, void *opaque, GError **error)
{
    const request *r = opaque;
    vmm_plugged *p = find(vmm, r->like, error);

    if (p == NULL || !vsr_device_can_become(p->conf, r->like, error))
        return false;
    if (updates[p->conf->kind] != NULL && !updates[p->conf->kind](p, r, error))
        return false;
    vsr_device_become(p->conf, r->like);
    return true;
}

bool vsr_vmm_update(vsr_vmm *vmm, const vsr_device_conf *conf,
                    vsr_device_resource *resource, GError **error)
{
    request r = { .like = conf, .resource = resource };
    bool ok = vmm_control(vmm, do_update, &r, error);

    vsr_device_resource_free(resource);
    return ok;
}

static bool do_resize(vsr_vmm *vmm, void *opaque, GError **error)
{
    const request *r = opaque;
    const vmm_plugged *p = find(vmm, r->like, error);

    if (p == NULL)
        return false;
    if (p->conf->disk.source.shareable)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "Disk '%s' is shared: others would not hear of its "
                        "new size",
                        r->target);
    return vsr_virtio_blk_resize(p->device, r->bytes, error) ||
           vsr_fail_prefix(error, "Disk '%s'", r->target);
}

bool vsr_vmm_resize_disk(vsr_vmm *vmm, const char *target, uint64_t bytes,
                         GError **error)
{
    g_autoptr(vsr_device_conf) like = vsr_device_conf_new(VSR_DEVICE_DISK);
    request r = { .like = like, .target = target, .bytes = bytes };

    like->disk.target = g_strdup(target);
    return vmm_control(vmm, do_resize, &r, error);
}
