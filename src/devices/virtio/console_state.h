/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * console_state.h: what the files of the virtio console share.
 *
 * Threads: all of it with the device's lock held.
 */
#ifndef VSR_DEVICES_VIRTIO_CONSOLE_STATE_H
#define VSR_DEVICES_VIRTIO_CONSOLE_STATE_H

#include "base/util.h"
#include "devices/virtio/console.h"

/* Messages for the guest that wait for its buffers, in the order in which they
 * are sent. One of each kind and port is enough, so a driver that gives no
 * buffers makes nothing grow. */
enum {
    CONSOLE_SAY_REMOVE = 1 << 0,
    CONSOLE_SAY_ADD = 1 << 1,
    CONSOLE_SAY_CONSOLE = 1 << 2,
    CONSOLE_SAY_NAME = 1 << 3,
    CONSOLE_SAY_RESIZE = 1 << 4,
    CONSOLE_SAY_CLOSED = 1 << 5,
    CONSOLE_SAY_OPEN = 1 << 6,
    CONSOLE_SAY_LAST = CONSOLE_SAY_OPEN,
};

typedef struct virtio_console virtio_console;

typedef struct {
    virtio_console *console;
    uint32_t id;
    bool present, is_console;
    char *name;           /* owned */
    vsr_chardev *chardev; /* borrowed */
    uint16_t cols, rows;
    bool host_open;   /* somebody is at the chardev */
    bool guest_open;  /* and at the guest's port */
    bool guest_ready; /* the driver has taken the port */
    uint32_t say;     /* CONSOLE_SAY_* */
    /* What the guest sends and the chardev has no room for yet. */
    bool tx_held;
    uint64_t tx_done;
    vsr_virtq_chain tx;
} console_port;

struct virtio_console {
    vsr_virtio base;
    uint32_t max_ports;
    bool multiport, driver_ready;
    console_port *port[VSR_VIRTIO_CONSOLE_PORTS_MAX]; /* owned, max_ports */
};

enum { CONSOLE_CONTROL_RX = 2, CONSOLE_CONTROL_TX = 3 };

#define CONSOLE_F_SIZE        (UINT64_C(1) << 0)
#define CONSOLE_F_MULTIPORT   (UINT64_C(1) << 1)
#define CONSOLE_F_EMERG_WRITE (UINT64_C(1) << 2)

/* console_control.c */
/* The control queues were kicked. */
void console_control_received(virtio_console *console);
/* Send what waits, as far as there are buffers. */
void console_control_send(virtio_console *console);
void console_host_opened(console_port *port, bool is_open);

/* console.c: the guest's program came or went. */
void console_guest_opened(console_port *port, bool is_open);

#endif
