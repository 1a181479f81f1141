/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug.c: devices that come and go while the domain is active.
 *
 * A device that comes is put into the machine with the vCPUs standing still for
 * a moment, then the guest hears of it. One that is to go goes when the guest
 * has let go of it, which may be never.
 *
 * Threads: the control thread, where vmm.h's functions carry their calls.
 */
#include "devices/pci/hotplug.h"
#include "base/error.h"
#include "base/log.h"
#include "vmm/plugged.h"

bool vmm_check_active(const vsr_vmm *vmm, GError **error)
{
    if (vmm->machine == NULL || vmm->state == VSR_STATE_SHUTOFF)
        return vsr_fail(error, VISOR_ERR_STATE, "Domain '%s' is shut off",
                        vmm->conf->name);
    return true;
}

void vmm_tell_device(vsr_vmm *vmm, const char *alias, bool is_there)
{
    vsr_log(VSR_LOG_INFO, "Device '%s' was %s", alias,
            is_there ? "added" : "removed");
    if (vmm->events.device != NULL)
        vmm->events.device(vmm->opaque, alias, is_there);
}

/* --- coming ----------------------------------------------------------------------- */

typedef struct {
    vsr_device_conf *conf;
    vsr_device_resource *resource;
} attach_args;

static bool plug(vsr_vmm *vmm, vsr_device_conf *conf,
                 vsr_device_resource *resource, GError **error)
{
    bool was_running = vsr_machine_running(vmm->machine), ok;

    vsr_machine_pause(vmm->machine);
    ok = vmm_add_one(vmm, conf, resource, error);
    if (!ok)
        vmm_take_back(vmm, conf);
    if (was_running)
        vsr_machine_run(vmm->machine);
    return ok;
}

static bool do_attach(vsr_vmm *vmm, void *opaque, GError **error)
{
    attach_args *args = opaque;
    vsr_device_conf *conf = args->conf;
    GPtrArray *devices = vmm->conf->devices;
    bool is_port = conf->kind == VSR_DEVICE_CHANNEL && vmm->n_channels > 0;

    if (!vmm_check_active(vmm, error))
        return false;
    if (vmm->hotplug == NULL && !is_port)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "The micro machine has no slots for devices that come "
                        "while it runs");
    g_ptr_array_add(devices, conf);
    args->conf = NULL;
    if (!vsr_devices_complete(devices, vmm->hotplug != NULL, error) ||
        !vsr_domain_check_memory_devices(vmm->conf, error) ||
        !plug(vmm, conf, args->resource, error)) {
        (void)g_ptr_array_remove(devices, conf);
        return false;
    }
    if (conf->slot != 0 && vmm->loaded)
        vsr_pci_hotplug_plugged(vmm->hotplug, conf->slot);
    vmm_tell_device(vmm, conf->alias, true);
    return true;
}

bool vsr_vmm_attach(vsr_vmm *vmm, const vsr_device_conf *conf,
                    vsr_device_resource *resource, GError **error)
{
    attach_args args = { vsr_device_conf_copy(conf), resource };
    bool ok = vmm_control(vmm, do_attach, &args, error);

    vsr_device_conf_free(args.conf);
    vsr_device_resource_free(resource);
    return ok;
}

/* --- going ------------------------------------------------------------------------ */

static bool do_detach(vsr_vmm *vmm, void *opaque, GError **error)
{
    const vsr_device_conf *like = opaque;
    vsr_device_conf *conf;
    char room[64];

    if (!vmm_check_active(vmm, error))
        return false;
    conf = vsr_device_find_like(vmm->conf->devices, like);
    if (conf == NULL)
        return vsr_change_no_device(like, vmm->conf->name, error);
    if (conf->kind == VSR_DEVICE_CHANNEL)
        return vmm_remove_channel(vmm, conf, error);
    if (vmm->hotplug == NULL || conf->slot == 0)
        return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                        "<%s> '%s' cannot go while the domain runs",
                        vsr_device_kind_text(conf->kind),
                        vsr_device_label(conf, room));
    if (!vmm_check_memory_gone(vmm, conf, error))
        return false;
    /* A guest that has not begun holds on to nothing. */
    if (vmm->loaded)
        vsr_pci_hotplug_ask(vmm->hotplug, conf->slot);
    else
        vmm_slot_ejected(vmm, conf->slot);
    return true;
}

bool vsr_vmm_detach(vsr_vmm *vmm, const vsr_device_conf *like, GError **error)
{
    return vmm_control(vmm, do_detach, (void *)(uintptr_t)like, error);
}

typedef struct {
    const vsr_device_conf *like;
    bool is_there;
} look;

static bool do_look(vsr_vmm *vmm, void *opaque, GError **error)
{
    look *l = opaque;

    l->is_there = vsr_device_find_like(vmm->conf->devices, l->like) != NULL;
    return true;
}

bool vsr_vmm_has_device(vsr_vmm *vmm, const vsr_device_conf *like)
{
    look l = { .like = like };

    return vmm_control(vmm, do_look, &l, NULL) && l.is_there;
}
