/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * console.c: see console.h: ports, what flows through them, life.
 *
 * Spec:    VIRTIO 1.2, 5.3 "Console Device".
 * Threads: kicked() on the queues' loop, input and watch on the chardev's, both
 *          with the device's lock; the calls of console.h: control.
 */
#include "devices/virtio/console.h"

#include <string.h>

#include "base/error.h"
#include "devices/virtio/console_state.h"
#include "devices/virtio/take.h"

/* struct virtio_console_config */
enum {
    CONFIG_COLS = 0,
    CONFIG_ROWS = 2,
    CONFIG_MAX_PORTS = 4,
    CONFIG_EMERG_WR = 8,
    CONFIG_LEN = 12,
};

enum {
    QUEUE_SIZE = 128,
    CONTROL_QUEUE_SIZE = 64,
    /* Bytes of one port at a time; a chain counts for some even if empty. */
    TX_QUOTA = 256 << 10,
    TX_CHAIN_COST = 64,
    INPUT_BATCH_CHAINS = 64,
};

static virtio_console *to_console(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, virtio_console, base.device);
}

/* 5.3.2 "Virtqueues" */
static uint32_t rx_queue(const console_port *port)
{
    return port->id == 0 ? 0 : 2 * (port->id + 1);
}

static uint32_t tx_queue(const console_port *port)
{
    return rx_queue(port) + 1;
}

/* --- from the guest ----------------------------------------------------------- */

/* Of the bytes from tx_done on, at most `max`; how many went. */
static uint64_t write_some(console_port *port, uint64_t max)
{
    const vsr_virtq_chain *chain = &port->tx;
    uint64_t skip = port->tx_done, done = 0;

    for (uint32_t i = 0; i < chain->n_out && done < max; i++) {
        uint64_t len = chain->iov[i].iov_len;

        if (skip >= len) {
            skip -= len;
            continue;
        }
        len = MIN(len - skip, max - done);
        vsr_chardev_write(port->chardev,
                          (const uint8_t *)chain->iov[i].iov_base + skip, len);
        done += len;
        skip = 0;
    }
    return done;
}

/* False: the rest of the chain waits for room. */
static bool send_chain(console_port *port, uint64_t *quota)
{
    uint64_t left = port->tx.out_len - port->tx_done;
    uint64_t max = MIN(left, *quota);

    /* Nobody there: a channel's bytes are for those who listen. */
    if (port->chardev == NULL || (!port->is_console && !port->host_open)) {
        port->tx_done = port->tx.out_len;
        return true;
    }
    if (!port->is_console && max > 0) {
        size_t room = vsr_chardev_room(port->chardev);

        if (room == 0)
            return false;
        max = MIN(max, room);
    }
    max = write_some(port, max);
    port->tx_done += max;
    *quota -= max;
    return true;
}

static void pump_tx(console_port *port)
{
    vsr_virtio *v = &port->console->base;
    uint64_t quota = TX_QUOTA;
    bool done = false;

    while (quota > 0 && !v->quiesced) {
        if (!port->tx_held) {
            if (!vsr_virtio_take(v, tx_queue(port), &port->tx))
                break;
            port->tx_held = true;
            port->tx_done = 0;
            quota -= MIN(quota, TX_CHAIN_COST);
        }
        if (!send_chain(port, &quota))
            break;
        if (port->tx_done == port->tx.out_len) {
            vsr_virtio_give(v, tx_queue(port), &port->tx, 0);
            port->tx_held = false;
            done = true;
        }
    }
    if (done)
        vsr_virtio_signal(v, tx_queue(port));
    if (quota == 0)
        vsr_virtio_kick(v, tx_queue(port));
}

/* --- to the guest -------------------------------------------------------------- */

static size_t give_input(console_port *port, const uint8_t *data, size_t len)
{
    vsr_virtio *v = &port->console->base;
    vsr_virtq_chain chain;
    size_t taken = 0;

    for (uint32_t n = 0; taken < len && n < INPUT_BATCH_CHAINS; n++) {
        uint64_t part;

        if (!vsr_virtio_take(v, rx_queue(port), &chain))
            break;
        part = vsr_virtq_write(&chain, 0, data + taken, len - taken);
        vsr_virtio_give(v, rx_queue(port), &chain, (uint32_t)part);
        taken += part;
    }
    if (taken > 0)
        vsr_virtio_signal(v, rx_queue(port));
    return taken;
}

static size_t on_input(const uint8_t *data, size_t len, void *opaque)
{
    console_port *port = opaque;
    vsr_virtio *v = &port->console->base;
    size_t taken = 0;

    g_mutex_lock(&v->device.lock);
    if (port->present && port->guest_open)
        taken = give_input(port, data, len);
    g_mutex_unlock(&v->device.lock);
    return taken;
}

/* The guest has given buffers, or reads again. */
static void resume_input(console_port *port)
{
    if (port->present && port->chardev != NULL && port->guest_open)
        vsr_chardev_resume(port->chardev);
}

/* --- ports --------------------------------------------------------------------- */

static void on_open(bool is_open, void *opaque)
{
    console_port *port = opaque;
    vsr_virtio *v = &port->console->base;

    g_mutex_lock(&v->device.lock);
    if (port->present && !port->is_console) {
        console_host_opened(port, is_open);
        pump_tx(port);
    }
    g_mutex_unlock(&v->device.lock);
}

static void on_room(void *opaque)
{
    console_port *port = opaque;
    vsr_virtio *v = &port->console->base;

    g_mutex_lock(&v->device.lock);
    if (port->present)
        pump_tx(port);
    g_mutex_unlock(&v->device.lock);
}

void console_guest_opened(console_port *port, bool is_open)
{
    port->guest_open = is_open;
    resume_input(port);
}

static console_port *find_port(virtio_console *c, uint32_t id, GError **error)
{
    console_port *port = id < c->max_ports ? c->port[id] : NULL;

    if (port != NULL && port->present)
        return port;
    (void)vsr_fail(error, VISOR_ERR_NOT_FOUND, "Console '%s' has no port %u",
                   c->base.device.id, id);
    return NULL;
}

static bool check_port(virtio_console *c, const vsr_virtio_console_port *p,
                       GError **error)
{
    const char *id = c->base.device.id;

    if (p->id >= c->max_ports)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Console '%s': port %u, it has %u ports", id, p->id,
                        c->max_ports);
    if (c->port[p->id]->present)
        return vsr_fail(error, VISOR_ERR_EXISTS,
                        "Console '%s' has a port %u already", id, p->id);
    if (p->name == NULL)
        return true;
    if (p->name[0] == '\0' || strlen(p->name) > VSR_VIRTIO_CONSOLE_NAME_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Console '%s': the name of port %u has %zu bytes, 1 to "
                        "%d are allowed",
                        id, p->id, strlen(p->name),
                        VSR_VIRTIO_CONSOLE_NAME_MAX);
    for (uint32_t i = 0; i < c->max_ports; i++)
        if (c->port[i]->present && g_strcmp0(c->port[i]->name, p->name) == 0)
            return vsr_fail(error, VISOR_ERR_EXISTS,
                            "Console '%s' has a port '%s' already", id,
                            p->name);
    return true;
}

/* The chardev's calls may come from now on. */
static void connect_port(console_port *port)
{
    static const vsr_chardev_watch watch = { on_open, on_room };

    if (port->chardev == NULL)
        return;
    vsr_chardev_set_watch(port->chardev, &watch, port);
    vsr_chardev_set_input(port->chardev, on_input, port);
}

bool vsr_virtio_console_add_port(vsr_device *device,
                                 const vsr_virtio_console_port *p,
                                 GError **error)
{
    virtio_console *c = to_console(device);
    console_port *port;
    bool ok;

    g_mutex_lock(&device->lock);
    ok = check_port(c, p, error);
    if (ok) {
        port = c->port[p->id];
        port->is_console = p->is_console;
        port->name = g_strdup(p->name);
        port->chardev = p->chardev;
        port->host_open = p->is_console;
        port->guest_open = port->guest_ready = false;
        port->cols = port->rows = 0;
        port->present = true;
        port->say |= CONSOLE_SAY_ADD;
        console_control_send(c);
    }
    g_mutex_unlock(&device->lock);
    if (ok)
        connect_port(port);
    return ok;
}

/* Lock held. The chardev is the caller's to disconnect, without it. */
static vsr_chardev *drop_port(console_port *port)
{
    vsr_virtio *v = &port->console->base;

    if (port->tx_held) {
        vsr_virtio_give(v, tx_queue(port), &port->tx, 0);
        vsr_virtio_signal(v, tx_queue(port));
    }
    port->tx_held = port->present = false;
    port->guest_open = port->guest_ready = port->host_open = false;
    /* Not told of it yet: then not of its end either. */
    port->say = (port->say & CONSOLE_SAY_ADD) != 0
                    ? port->say & CONSOLE_SAY_REMOVE
                    : CONSOLE_SAY_REMOVE;
    g_clear_pointer(&port->name, g_free);
    return g_steal_pointer(&port->chardev);
}

static void disconnect(vsr_chardev *chardev)
{
    if (chardev == NULL)
        return;
    vsr_chardev_set_input(chardev, NULL, NULL);
    vsr_chardev_set_watch(chardev, NULL, NULL);
}

bool vsr_virtio_console_remove_port(vsr_device *device, uint32_t id,
                                    GError **error)
{
    virtio_console *c = to_console(device);
    vsr_chardev *chardev = NULL;
    console_port *port;

    g_mutex_lock(&device->lock);
    port = find_port(c, id, error);
    if (port != NULL) {
        chardev = drop_port(port);
        console_control_send(c);
    }
    g_mutex_unlock(&device->lock);
    disconnect(chardev);
    return port != NULL;
}

/* Without multiport the size is that of port 0, in the configuration space. */
static void set_config_size(virtio_console *c, uint16_t cols, uint16_t rows)
{
    memcpy(c->base.config + CONFIG_COLS, &cols, sizeof(cols));
    memcpy(c->base.config + CONFIG_ROWS, &rows, sizeof(rows));
    if (vsr_virtio_has(&c->base, CONSOLE_F_SIZE))
        vsr_virtio_config_changed(&c->base);
}

bool vsr_virtio_console_resize(vsr_device *device, uint32_t id, uint16_t cols,
                               uint16_t rows, GError **error)
{
    virtio_console *c = to_console(device);
    console_port *port;

    g_mutex_lock(&device->lock);
    port = find_port(c, id, error);
    if (port != NULL && (port->cols != cols || port->rows != rows)) {
        port->cols = cols;
        port->rows = rows;
        if (id == 0)
            set_config_size(c, cols, rows);
        if (port->guest_ready && port->is_console) {
            port->say |= CONSOLE_SAY_RESIZE;
            console_control_send(c);
        }
    }
    g_mutex_unlock(&device->lock);
    return port != NULL;
}

bool vsr_virtio_console_is_open(vsr_device *device, uint32_t id)
{
    virtio_console *c = to_console(device);
    bool is_open = false;

    g_mutex_lock(&device->lock);
    if (id < c->max_ports)
        is_open = c->port[id]->present && c->port[id]->guest_open;
    g_mutex_unlock(&device->lock);
    return is_open;
}

/* --- the device ----------------------------------------------------------------- */

static void start(vsr_virtio *v)
{
    virtio_console *c = to_console(&v->device);

    c->multiport = vsr_virtio_has(v, CONSOLE_F_MULTIPORT);
    if (!c->multiport)
        console_guest_opened(c->port[0], true);
}

static void stop(vsr_virtio *v)
{
    virtio_console *c = to_console(&v->device);

    c->driver_ready = c->multiport = false;
    for (uint32_t i = 0; i < c->max_ports; i++) {
        console_port *port = c->port[i];

        port->guest_open = port->guest_ready = port->tx_held = false;
        port->say = 0;
    }
}

static void stop_queue(vsr_virtio *v, uint32_t index)
{
    virtio_console *c = to_console(&v->device);

    for (uint32_t i = 0; i < c->max_ports; i++)
        if (tx_queue(c->port[i]) == index)
            c->port[i]->tx_held = false;
}

static void kicked(vsr_virtio *v, uint32_t index)
{
    virtio_console *c = to_console(&v->device);
    uint32_t id = index < 2 ? 0 : index / 2 - 1;
    console_port *port;

    if (index == CONSOLE_CONTROL_RX || index == CONSOLE_CONTROL_TX) {
        if (c->multiport)
            console_control_received(c);
        return;
    }
    port = c->port[id];
    if (id > 0 && !c->multiport)
        return;
    if (index == rx_queue(port))
        resume_input(port);
    else if (port->present)
        pump_tx(port);
}

/* A character from a kernel that cannot use queues (any more). */
static void config_written(vsr_virtio *v, uint32_t offset, uint32_t len)
{
    console_port *port = to_console(&v->device)->port[0];

    if (offset <= CONFIG_EMERG_WR && offset + len > CONFIG_EMERG_WR &&
        port->present && port->chardev != NULL)
        vsr_chardev_write(port->chardev, v->config + CONFIG_EMERG_WR, 1);
}

static const vsr_virtio_ops console_ops = {
    .id = VSR_VIRTIO_ID_CONSOLE,
    .class_code = 0x078000,
    .start = start,
    .stop = stop,
    .stop_queue = stop_queue,
    .kicked = kicked,
    .config_written = config_written,
};

static void free_ports(virtio_console *c)
{
    for (uint32_t i = 0; i < c->max_ports; i++) {
        vsr_chardev *chardev;

        g_mutex_lock(&c->base.device.lock);
        chardev = drop_port(c->port[i]);
        g_mutex_unlock(&c->base.device.lock);
        disconnect(chardev);
        g_clear_pointer(&c->port[i], g_free);
    }
}

static bool add_ports(vsr_device *device, const vsr_virtio_console_params *p,
                      GError **error)
{
    for (uint32_t i = 0; i < p->n_ports; i++)
        if (!vsr_virtio_console_add_port(device, &p->ports[i], error))
            return false;
    return true;
}

static void console_fini(vsr_device *device)
{
    virtio_console *c = to_console(device);

    vsr_virtio_fini(&c->base);
    free_ports(c);
}

static bool console_init(vsr_device *device, const void *params, GError **error)
{
    virtio_console *c = to_console(device);
    const vsr_virtio_console_params *p = params;
    uint16_t size[2 * (VSR_VIRTIO_CONSOLE_PORTS_MAX + 1)];
    uint32_t n_queues = 2 * (p->max_ports + 1);

    if (p->max_ports < 1 || p->max_ports > VSR_VIRTIO_CONSOLE_PORTS_MAX)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Console '%s': %u ports, 1 to %d are possible",
                        device->id, p->max_ports, VSR_VIRTIO_CONSOLE_PORTS_MAX);
    for (uint32_t i = 0; i < VSR_ARRAY_SIZE(size); i++)
        size[i] = i / 2 == 1 ? CONTROL_QUEUE_SIZE : QUEUE_SIZE;
    c->max_ports = p->max_ports;
    for (uint32_t i = 0; i < c->max_ports; i++) {
        c->port[i] = g_new0(console_port, 1);
        c->port[i]->console = c;
        c->port[i]->id = i;
    }
    if (!vsr_virtio_init(&c->base, &p->virtio, &console_ops,
                         CONSOLE_F_SIZE | CONSOLE_F_MULTIPORT |
                             CONSOLE_F_EMERG_WRITE,
                         n_queues, size, CONFIG_LEN, error)) {
        free_ports(c);
        return false;
    }
    memcpy(c->base.config + CONFIG_MAX_PORTS, &c->max_ports,
           sizeof(c->max_ports));
    memset(c->base.config_writable + CONFIG_EMERG_WR, 0xff, 4);
    if (add_ports(device, p, error))
        return true;
    console_fini(device);
    return false;
}

static void console_reset(vsr_device *device)
{
    vsr_virtio_reset(&to_console(device)->base);
}

const vsr_device_class vsr_virtio_console_class = {
    .name = "virtio-console",
    .instance_size = sizeof(virtio_console),
    .init = console_init,
    .fini = console_fini,
    .reset = console_reset,
    .quiesce = vsr_virtio_quiesce,
    .unquiesce = vsr_virtio_unquiesce,
};
