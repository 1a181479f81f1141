/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.c: the life of a device model.
 *
 * Threads: control.
 */
#include "machine/device.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "machine/machine.h"

bool vsr_device_add_region(vsr_device *device, vsr_space space, uint64_t base,
                           uint64_t len, const vsr_region_ops *ops,
                           bool own_lock, GError **error)
{
    vsr_region region = { .name = device->class->name,
                          .space = space,
                          .base = base,
                          .len = len,
                          .ops = ops,
                          .opaque = device,
                          .lock = own_lock ? NULL : &device->lock };
    int rc = vsr_bus_add(device->machine->bus, &region);

    if (rc < 0)
        return vsr_fail_errno(
            error, rc, "Device '%s': cannot take %s 0x%" PRIx64 "+0x%" PRIx64,
            device->id, space == VSR_SPACE_PIO ? "ports" : "addresses", base,
            len);
    device->regions =
        g_slist_prepend(device->regions, g_memdup2(&region, sizeof region));
    return true;
}

/* The device's handlers do not run any more after this. */
static void regions_remove(vsr_device *device)
{
    for (GSList *i = device->regions; i != NULL; i = i->next) {
        const vsr_region *region = i->data;

        (void)vsr_bus_remove(device->machine->bus, region->space, region->base);
    }
    g_slist_free_full(g_steal_pointer(&device->regions), g_free);
}

static void storage_free(vsr_device *device)
{
    g_mutex_clear(&device->lock);
    g_free(device->id);
    g_free(device);
}

vsr_device *vsr_device_find(vsr_machine *machine, const char *id)
{
    for (guint i = 0; i < machine->devices->len; i++) {
        vsr_device *device = machine->devices->pdata[i];

        if (strcmp(device->id, id) == 0)
            return device;
    }
    return NULL;
}

vsr_device *vsr_device_new(vsr_machine *machine, const vsr_device_class *class,
                           const char *id, const void *params, GError **error)
{
    vsr_device *device;

    g_return_val_if_fail(class->instance_size >= sizeof *device, NULL);
    if (vsr_device_find(machine, id) != NULL) {
        vsr_fail(error, VISOR_ERR_EXISTS, "Device '%s' exists already", id);
        return NULL;
    }
    device = g_malloc0(class->instance_size);
    device->class = class;
    device->machine = machine;
    device->loop = machine->loop;
    device->id = g_strdup(id);
    g_mutex_init(&device->lock);
    if (!class->init(device, params, error)) {
        regions_remove(device);
        storage_free(device);
        return NULL;
    }
    g_ptr_array_add(machine->devices, device);
    if (class->reset != NULL)
        class->reset(device);
    return device;
}

void vsr_device_free(vsr_device *device)
{
    if (device == NULL)
        return;
    (void)g_ptr_array_remove(device->machine->devices, device);
    regions_remove(device);
    if (device->class->fini != NULL)
        device->class->fini(device);
    storage_free(device);
}
