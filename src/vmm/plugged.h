/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugged.h: the devices of <devices>: a configuration, what it has of the
 * host, and the model in the machine, made and taken apart together.
 *
 * Threads: the control thread.
 */
#ifndef VSR_VMM_PLUGGED_H
#define VSR_VMM_PLUGGED_H

#include "vmm/device_resources.h"
#include "vmm/vmm_state.h"

/* One device in the machine. */
typedef struct {
    vsr_device_conf *conf;     /* borrowed: in vmm->conf->devices */
    vsr_device *device;        /* the machine's; NULL for a further channel */
    vsr_block *block;          /* disk; owned */
    vsr_chardev *chardev;      /* channel; owned */
    vsr_chardev_source socket; /* vsock: to take its file away; or NULL kind */
    uint32_t port;             /* channel: its id at the console */
} vmm_plugged;

/* Windows of the micro board for what vmm_add_plugged() will make; before the
 * ACPI tables are. */
bool vmm_reserve_plugged(vsr_vmm *vmm, GError **error);
/* All of conf->devices; `res` has a resource for each, in order, and is emptied.
 * NO_SUPPORT names what cannot be had. */
bool vmm_add_plugged(vsr_vmm *vmm, GError **error);
/* One, with the machine standing still. Half done on failure: take_back(). */
bool vmm_add_one(vsr_vmm *vmm, vsr_device_conf *conf,
                 vsr_device_resource *resource, GError **error);
/* Out of the machine, which stands still; conf stays. */
void vmm_take_back(vsr_vmm *vmm, const vsr_device_conf *conf);
/* A port goes at once: its guest sees it closed. */
bool vmm_remove_channel(vsr_vmm *vmm, vsr_device_conf *conf, GError **error);
/* How the block device calls it. */
vsr_virtio_blk_policy vmm_blk_policy(vsr_error_policy policy);
/* device_stats.c: the part of vsr_vmm_stats() that is about them. */
void vmm_device_stats(const vsr_vmm *vmm, vsr_stat_fn *fn, void *opaque);
/* hotplug.c: STATE if it is shut off. */
bool vmm_check_active(const vsr_vmm *vmm, GError **error);
/* To whom it may concern. */
void vmm_tell_device(vsr_vmm *vmm, const char *alias, bool is_there);
/* Of one that has gone from the machine; and of all, which have. */
void vmm_plugged_free(vmm_plugged *plugged);

#endif
