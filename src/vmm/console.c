/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * console.c: a domain's serial ports as streams for people and programs.
 *
 * Threads: any; the work is done on the control thread.
 */
#include "vmm/vmm_state.h"

#include <errno.h>

#include "base/error.h"

static vsr_chardev *find_serial(vsr_vmm *vmm, uint32_t port)
{
    for (uint32_t i = 0; i < vmm->n_serials; i++)
        if (g_array_index(vmm->conf->serials, vsr_char_conf, i).port == port)
            return vmm->serial[i];
    return NULL;
}

typedef struct {
    uint32_t port;
    bool replay, force;
    const void *data;
    size_t len;
    int fd;
} console_args;

static bool do_console(vsr_vmm *vmm, void *opaque, GError **error)
{
    console_args *args = opaque;
    vsr_chardev *serial = find_serial(vmm, args->port);

    if (!vmm->machine)
        return vsr_fail(error, VISOR_ERR_STATE, "Domain '%s' is shut off",
                        vmm->conf->name);
    if (!serial)
        return vsr_fail(error, VISOR_ERR_NOT_FOUND,
                        "Domain '%s' has no serial port %u", vmm->conf->name,
                        args->port);
    args->fd = vsr_chardev_attach(serial, args->replay, true, args->force);
    if (args->fd == -EBUSY)
        return vsr_fail(error, VISOR_ERR_BUSY,
                        "Serial port %u of domain '%s' has a console already",
                        args->port, vmm->conf->name);
    if (args->fd < 0)
        return vsr_fail_errno(error, args->fd,
                              "Cannot open a console of domain '%s'",
                              vmm->conf->name);
    return true;
}

int vsr_vmm_console(vsr_vmm *vmm, uint32_t port, bool replay, bool force,
                    GError **error)
{
    console_args args = { .port = port, .replay = replay, .force = force };

    return vmm_control(vmm, do_console, &args, error) ? args.fd : -1;
}

static bool do_input(vsr_vmm *vmm, void *opaque, GError **error)
{
    console_args *args = opaque;
    vsr_chardev *serial = find_serial(vmm, args->port);

    if (serial)
        vsr_chardev_inject(serial, args->data, args->len);
    return true;
}

void vsr_vmm_console_input(vsr_vmm *vmm, uint32_t port, const void *data,
                           size_t len)
{
    console_args args = { .port = port, .data = data, .len = len };

    vmm_control(vmm, do_input, &args, NULL);
}
