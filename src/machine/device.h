/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h: the base of every device model.
 *
 * A class is a const table; nothing is inherited at run time and nothing
 * registers itself (devices/registry.c lists the classes).
 *
 * Threads: init, fini, reset, quiesce on the control thread with the vCPUs
 *          stopped; register handlers on vCPU threads with `lock` held by the
 *          bus; timers and fds on the device's home loop, which take `lock`
 *          themselves.
 */
#ifndef VSR_MACHINE_DEVICE_H
#define VSR_MACHINE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

#include "base/loop.h"
#include "machine/bus.h"

typedef struct vsr_machine vsr_machine;
typedef struct vsr_device vsr_device;

typedef struct {
    const char *name; /* "uart16550": also its section in a saved machine */
    size_t instance_size; /* of the struct that begins with vsr_device */

    /* Adds its regions; on failure leaves nothing behind. `params` is the
     * class's own struct (borrowed). */
    bool (*init)(vsr_device *device, const void *params, GError **error);
    void (*fini)(vsr_device *device); /* removes timers, fds; regions go by
                                         themselves */
    void (*reset)(vsr_device *device); /* power-on state */
    void (*quiesce)(vsr_device *device);   /* O: nothing in flight after it */
    void (*unquiesce)(vsr_device *device); /* O; also at the first run, with no
                                              quiesce before it */
} vsr_device_class;

struct vsr_device {
    const vsr_device_class *class;
    vsr_machine *machine;
    vsr_loop *loop; /* home loop */
    char *id;       /* unique in the machine: "serial0" */
    GMutex lock;    /* guards the device's registers and state */
    GSList *regions; /* of vsr_region, as added */
};

/* Creates, adds to the machine, resets. The machine frees it (in reverse order
 * of creation). */
vsr_device *vsr_device_new(vsr_machine *machine, const vsr_device_class *class,
                           const char *id, const void *params, GError **error);

/* Removes it from the machine, its handlers and regions first. NULL is a
 * no-op. */
void vsr_device_free(vsr_device *device);
/* NULL if there is none; borrowed. */
vsr_device *vsr_device_find(vsr_machine *machine, const char *id);

/* For init: add a region under the device's lock (or lock-free: own_lock). */
bool vsr_device_add_region(vsr_device *device, vsr_space space, uint64_t base,
                           uint64_t len, const vsr_region_ops *ops,
                           bool own_lock, GError **error);

#endif
