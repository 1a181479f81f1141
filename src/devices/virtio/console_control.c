/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * console_control.c: the control queues of a virtio console.
 *
 * Spec:    VIRTIO 1.2, 5.3.6.2 "Multiport Device Operation".
 * Threads: with the device's lock held.
 */
#include <string.h>

#include "devices/virtio/console_state.h"
#include "devices/virtio/take.h"

enum {
    DEVICE_READY = 0,
    PORT_ADD = 1,
    PORT_REMOVE = 2,
    PORT_READY = 3,
    CONSOLE_PORT = 4,
    RESIZE = 5,
    PORT_OPEN = 6,
    PORT_NAME = 7,
};

typedef struct {
    uint32_t id;
    uint16_t event, value;
} control;

typedef struct {
    control header;
    uint8_t more[VSR_VIRTIO_CONSOLE_NAME_MAX];
} message;

/* How long it is. */
static uint32_t compose(const console_port *port, uint32_t say, message *out)
{
    uint32_t more = 0;

    out->header = (control){ .id = port->id, .value = 1 };
    switch (say) {
    case CONSOLE_SAY_REMOVE:
        out->header.event = PORT_REMOVE;
        break;
    case CONSOLE_SAY_ADD:
        out->header.event = PORT_ADD;
        break;
    case CONSOLE_SAY_CONSOLE:
        out->header.event = CONSOLE_PORT;
        break;
    case CONSOLE_SAY_NAME:
        out->header.event = PORT_NAME;
        more = (uint32_t)strlen(port->name);
        memcpy(out->more, port->name, more);
        break;
    case CONSOLE_SAY_RESIZE: {
        /* As the specification has it, and Linux since 6.15 (and stable kernels
         * of 2025): those before take the rows first. */
        uint16_t size[2] = { port->cols, port->rows };

        out->header.event = RESIZE;
        more = sizeof(size);
        memcpy(out->more, size, sizeof(size));
        break;
    }
    default:
        out->header.event = PORT_OPEN;
        out->header.value = say == CONSOLE_SAY_OPEN;
        break;
    }
    return (uint32_t)sizeof(out->header) + more;
}

/* False: no buffer. */
static bool send_one(virtio_console *console, const console_port *port,
                     uint32_t say)
{
    vsr_virtq_chain chain;
    message msg;
    uint32_t len;

    if (!vsr_virtio_take(&console->base, CONSOLE_CONTROL_RX, &chain))
        return false;
    len = compose(port, say, &msg);
    len = (uint32_t)vsr_virtq_write(&chain, 0, &msg, len);
    vsr_virtio_give(&console->base, CONSOLE_CONTROL_RX, &chain, len);
    return true;
}

void console_control_send(virtio_console *console)
{
    bool full = false, sent = false;

    if (!console->driver_ready)
        return;
    for (uint32_t i = 0; i < console->max_ports && !full; i++) {
        console_port *port = console->port[i];

        for (uint32_t say = 1; say <= CONSOLE_SAY_LAST && !full; say <<= 1) {
            if ((port->say & say) == 0)
                continue;
            full = !send_one(console, port, say);
            if (!full)
                port->say &= ~say;
            sent |= !full;
        }
    }
    if (sent)
        vsr_virtio_signal(&console->base, CONSOLE_CONTROL_RX);
}

void console_host_opened(console_port *port, bool is_open)
{
    if (port->host_open == is_open)
        return;
    port->host_open = is_open;
    if (!port->guest_ready)
        return;
    /* Gone and come again: the guest is told both. Come and gone: neither. */
    if (is_open)
        port->say |= CONSOLE_SAY_OPEN;
    else if ((port->say & CONSOLE_SAY_OPEN) != 0)
        port->say &= ~(uint32_t)CONSOLE_SAY_OPEN;
    else
        port->say |= CONSOLE_SAY_CLOSED;
    console_control_send(port->console);
}

static void device_ready(virtio_console *console)
{
    console->driver_ready = true;
    for (uint32_t i = 0; i < console->max_ports; i++) {
        console_port *port = console->port[i];

        port->guest_ready = false;
        port->say = port->present ? CONSOLE_SAY_ADD : 0;
    }
}

static void port_ready(console_port *port)
{
    port->guest_ready = true;
    if (port->is_console)
        port->say |= CONSOLE_SAY_CONSOLE;
    if (port->name != NULL)
        port->say |= CONSOLE_SAY_NAME;
    if (port->is_console && port->cols != 0)
        port->say |= CONSOLE_SAY_RESIZE;
    if (port->host_open)
        port->say |= CONSOLE_SAY_OPEN;
}

static void handle(virtio_console *console, const control *msg)
{
    console_port *port =
        msg->id < console->max_ports ? console->port[msg->id] : NULL;

    /* 0: the driver could not; nothing is to be done about it. */
    if (msg->event == DEVICE_READY && msg->value == 1)
        device_ready(console);
    if (msg->event == DEVICE_READY || port == NULL || !port->present)
        return;
    if (msg->event == PORT_READY && msg->value == 1)
        port_ready(port);
    else if (msg->event == PORT_OPEN)
        console_guest_opened(port, msg->value == 1);
}

void console_control_received(virtio_console *console)
{
    vsr_virtio *v = &console->base;
    vsr_virtq_chain chain;
    uint32_t n = 0;

    /* As many as a queue holds, then the others' turn. */
    while (n < VSR_VIRTQ_SIZE_MAX &&
           vsr_virtio_take(v, CONSOLE_CONTROL_TX, &chain)) {
        control msg;

        /* 5.3.6.2.2: what is not known is ignored, and so what is too short. */
        if (vsr_virtq_read(&chain, 0, &msg, sizeof(msg)) == sizeof(msg))
            handle(console, &msg);
        vsr_virtio_give(v, CONSOLE_CONTROL_TX, &chain, 0);
        n++;
    }
    if (n > 0)
        vsr_virtio_signal(v, CONSOLE_CONTROL_TX);
    if (n == VSR_VIRTQ_SIZE_MAX)
        vsr_virtio_kick(v, CONSOLE_CONTROL_TX);
    console_control_send(console);
}
