/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * console.h: virtio consoles and named channels to the guest.
 *
 * Port 0 is the one that drivers without multiport know. A console (hvc0 …)
 * never waits for its reader, since the guest's kernel spins until its bytes are
 * taken; a channel (/dev/virtio-ports/NAME) does.
 *
 * Threads: everything here: control.
 */
#ifndef VSR_DEVICES_VIRTIO_CONSOLE_H
#define VSR_DEVICES_VIRTIO_CONSOLE_H

#include "chardev/chardev.h"
#include "devices/virtio/virtio.h"

enum {
    VSR_VIRTIO_CONSOLE_PORTS_MAX = 31, /* two queues each, two for control */
    VSR_VIRTIO_CONSOLE_NAME_MAX = 63,  /* bytes */
};

typedef struct {
    uint32_t id; /* below max_ports */
    bool is_console;
    const char *name;     /* of a channel; copied */
    vsr_chardev *chardev; /* borrowed until the port is removed; NULL: nobody */
} vsr_virtio_console_port;

typedef struct {
    vsr_virtio_params virtio;
    uint32_t max_ports; /* 1 … VSR_VIRTIO_CONSOLE_PORTS_MAX */
    const vsr_virtio_console_port *ports;
    uint32_t n_ports;
} vsr_virtio_console_params;

extern const vsr_device_class vsr_virtio_console_class;

/* Also while the guest runs: its driver is told. EXISTS: the id is taken. */
bool vsr_virtio_console_add_port(vsr_device *device,
                                 const vsr_virtio_console_port *port,
                                 GError **error);
/* The chardev is not used any more when it returns. NOT_FOUND. */
bool vsr_virtio_console_remove_port(vsr_device *device, uint32_t id,
                                    GError **error);
/* Of a console, in characters; 0×0 is unknown. NOT_FOUND. */
bool vsr_virtio_console_resize(vsr_device *device, uint32_t id, uint16_t cols,
                               uint16_t rows, GError **error);
/* Has a program in the guest opened the port? */
bool vsr_virtio_console_is_open(vsr_device *device, uint32_t id);

#endif
