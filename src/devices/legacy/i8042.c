/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * i8042.c: keyboard controller at ports 0x60 and 0x64, system control port A
 * at 0x92.
 *
 * Every command is answered before the OUT instruction ends, so a guest that
 * probes never waits; a device that is not there answers as a time-out does
 * (status bit 6, data 0xfe). There is no auxiliary port.
 *
 * Spec:    IBM Personal System/2 Hardware Interface Technical Reference,
 *          "Keyboard and Auxiliary Device Controller"; IBM PS/2 keyboard,
 *          "Commands from the System".
 * Threads: registers on vCPU threads under the device's lock.
 */
#include "devices/legacy/i8042.h"

#include "base/util.h"
#include "machine/machine.h"
#include "machine/x86/layout.h"

enum {
    STATUS_OBF = 0x01,
    STATUS_SYS = 0x04,
    STATUS_CMD = 0x08,
    STATUS_UNLOCKED = 0x10,
    STATUS_TIMEOUT = 0x40,

    MODE_KBD_INT = 0x01,
    MODE_SYS = 0x04,
    MODE_KBD_OFF = 0x10,

    OUT_RESET = 0x01, /* 0 resets */
    OUT_A20 = 0x02,

    PORT92_RESET = 0x01,
    PORT92_A20 = 0x02,
    PORT92_PORT = 0x92,

    KBD_ACK = 0xfa,
    KBD_RESEND = 0xfe,
    QUEUE_SIZE = 16,
};

typedef struct {
    vsr_device base;
    vsr_irq irq;
    bool has_keyboard;

    uint8_t mode; /* the command byte */
    uint8_t outport;
    uint8_t command;     /* controller command that waits for its byte; 0 */
    uint8_t kbd_command; /* keyboard command that waits for its byte; 0 */
    uint8_t kbd_set;     /* scan code set */
    bool timeout;
    bool last_was_command;

    uint8_t queue[QUEUE_SIZE];
    uint8_t head, count;
} i8042;

static i8042 *to_i8042(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, i8042, base);
}

static void update_irq(i8042 *k)
{
    vsr_irq_set(&k->irq, k->count > 0 && (k->mode & MODE_KBD_INT));
}

static void push(i8042 *k, uint8_t byte)
{
    if (k->count == QUEUE_SIZE)
        return;
    k->queue[(k->head + k->count) % QUEUE_SIZE] = byte;
    k->count++;
}

static void flush(i8042 *k)
{
    k->head = k->count = 0;
    k->timeout = false;
}

static void reset_machine(i8042 *k, const char *how)
{
    vsr_machine_request(k->base.machine, VSR_REQUEST_RESET, 0, how);
}

static void write_outport(i8042 *k, uint8_t value)
{
    k->outport = value;
    if (!(value & OUT_RESET))
        reset_machine(k, "keyboard controller, output port");
}

/* The argument of a keyboard command that takes one. */
static void keyboard_argument(i8042 *k, uint8_t command, uint8_t byte)
{
    push(k, KBD_ACK);
    if (command != 0xf0) /* LEDs, typematic rate: nothing to do */
        return;
    if (byte == 0)
        push(k, k->kbd_set);
    else if (byte <= 3)
        k->kbd_set = byte;
}

static void keyboard_write(i8042 *k, uint8_t byte)
{
    uint8_t waiting = k->kbd_command;

    if (!k->has_keyboard) {
        k->timeout = true;
        push(k, KBD_RESEND);
        return;
    }
    k->kbd_command = 0;
    if (waiting && byte < 0x80) {
        keyboard_argument(k, waiting, byte);
        return;
    }
    switch (byte) {
    case 0xed: /* LEDs */
    case 0xf0: /* scan code set */
    case 0xf3: /* typematic */
        k->kbd_command = byte;
        push(k, KBD_ACK);
        break;
    case 0xee:
        push(k, 0xee); /* echo */
        break;
    case 0xf2: /* identify: MF2 keyboard */
        push(k, KBD_ACK);
        push(k, 0xab);
        push(k, 0x83);
        break;
    case 0xff: /* reset, basic assurance test passed */
        k->kbd_set = 2;
        push(k, KBD_ACK);
        push(k, 0xaa);
        break;
    case 0xf4: /* enable */
    case 0xf5: /* disable */
    case 0xf6: /* defaults */
        push(k, KBD_ACK);
        break;
    default:
        push(k, KBD_RESEND);
        break;
    }
}

static void controller_command(i8042 *k, uint8_t command)
{
    k->command = 0;
    switch (command) {
    case 0x20:
        push(k, k->mode);
        break;
    case 0x60: /* write mode */
    case 0xd1: /* write output port */
    case 0xd2: /* write keyboard buffer */
    case 0xd3: /* write auxiliary buffer */
    case 0xd4: /* write to auxiliary device */
        k->command = command;
        break;
    case 0xa7: /* auxiliary port off and on: there is none */
    case 0xa8:
        break;
    case 0xa9: /* test auxiliary port: clock line stuck low */
        push(k, 0x01);
        break;
    case 0xaa: /* self test */
        flush(k);
        k->mode |= MODE_SYS;
        push(k, 0x55);
        break;
    case 0xab: /* test keyboard port: good */
        push(k, 0x00);
        break;
    case 0xad:
        k->mode |= MODE_KBD_OFF;
        break;
    case 0xae:
        k->mode &= (uint8_t)~MODE_KBD_OFF;
        break;
    case 0xc0: /* input port: keyboard not locked */
        push(k, 0x80);
        break;
    case 0xd0:
        push(k, k->outport);
        break;
    case 0xdd: /* A20 off and on, as some firmware does it */
        k->outport &= (uint8_t)~OUT_A20;
        break;
    case 0xdf:
        k->outport |= OUT_A20;
        break;
    default:
        /* 0xf0..0xff: pulse output bits 0..3 that are zero here. */
        if (command >= 0xf0 && !(command & OUT_RESET))
            reset_machine(k, "keyboard controller, pulse of the reset line");
        break;
    }
}

static void data_write(i8042 *k, uint8_t byte)
{
    uint8_t command = k->command;

    k->command = 0;
    switch (command) {
    case 0x60:
        k->mode = byte;
        break;
    case 0xd1:
        write_outport(k, byte);
        break;
    case 0xd2:
    case 0xd3: /* no auxiliary port: it comes back as the keyboard's */
        push(k, byte);
        break;
    case 0xd4:
        k->timeout = true;
        push(k, KBD_RESEND);
        break;
    default:
        k->mode &= (uint8_t)~MODE_KBD_OFF;
        keyboard_write(k, byte);
        break;
    }
}

static uint64_t data_read(void *opaque, uint64_t offset, uint32_t size)
{
    i8042 *k = to_i8042(opaque);
    uint8_t byte = k->queue[k->head];

    if (k->count > 0) {
        k->count--;
        if (k->count > 0)
            k->head = (k->head + 1) % QUEUE_SIZE;
        else
            k->timeout = false;
        /* One edge a byte, for a line that is edge-triggered. */
        vsr_irq_set(&k->irq, false);
        update_irq(k);
    }
    return byte;
}

static void port60_write(void *opaque, uint64_t offset, uint32_t size,
                         uint64_t value)
{
    i8042 *k = to_i8042(opaque);

    k->last_was_command = false;
    data_write(k, (uint8_t)value);
    update_irq(k);
}

static uint64_t status_read(void *opaque, uint64_t offset, uint32_t size)
{
    i8042 *k = to_i8042(opaque);

    return (k->count > 0 ? STATUS_OBF : 0) | (k->mode & MODE_SYS) |
           (k->last_was_command ? STATUS_CMD : 0) | STATUS_UNLOCKED |
           (k->timeout ? STATUS_TIMEOUT : 0);
}

static void port64_write(void *opaque, uint64_t offset, uint32_t size,
                         uint64_t value)
{
    i8042 *k = to_i8042(opaque);

    k->last_was_command = true;
    controller_command(k, (uint8_t)value);
    update_irq(k);
}

static uint64_t port92_read(void *opaque, uint64_t offset, uint32_t size)
{
    return to_i8042(opaque)->outport & OUT_A20 ? PORT92_A20 : 0;
}

static void port92_write(void *opaque, uint64_t offset, uint32_t size,
                         uint64_t value)
{
    i8042 *k = to_i8042(opaque);

    k->outport =
        (uint8_t)((k->outport & ~OUT_A20) | (value & PORT92_A20 ? OUT_A20 : 0));
    if (value & PORT92_RESET)
        reset_machine(k, "system control port A");
}

static const vsr_region_ops data_ops = {
    .read = data_read,
    .write = port60_write,
    .min_size = 1,
    .max_size = 1,
};

static const vsr_region_ops status_ops = {
    .read = status_read,
    .write = port64_write,
    .min_size = 1,
    .max_size = 1,
};

static const vsr_region_ops port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .min_size = 1,
    .max_size = 1,
};

static void i8042_reset(vsr_device *device)
{
    i8042 *k = to_i8042(device);

    k->mode = MODE_KBD_INT | MODE_SYS;
    k->outport = OUT_RESET | OUT_A20;
    k->command = k->kbd_command = 0;
    k->kbd_set = 2;
    k->last_was_command = false;
    k->queue[0] = 0;
    flush(k);
    vsr_irq_set(&k->irq, false);
}

static bool i8042_init(vsr_device *device, const void *params, GError **error)
{
    i8042 *k = to_i8042(device);
    const vsr_i8042_params *p = params;

    k->has_keyboard = p->keyboard;
    vsr_irq_init(&k->irq, device->machine->irqs, p->keyboard_gsi);
    return vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_I8042, 1,
                                 &data_ops, false, error) &&
           vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_I8042 + 4, 1,
                                 &status_ops, false, error) &&
           vsr_device_add_region(device, VSR_SPACE_PIO, PORT92_PORT, 1,
                                 &port92_ops, false, error);
}

const vsr_device_class vsr_i8042_class = {
    .name = "i8042",
    .instance_size = sizeof(i8042),
    .init = i8042_init,
    .reset = i8042_reset,
};
