/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * uart16550.c: a 16550A serial port.
 *
 * Output leaves at once, so the transmitter is always empty and a polling
 * guest never waits. A byte below the receive trigger level counts as timed
 * out at once: whoever types waits for no FIFO to fill.
 *
 * Spec:    National Semiconductor PC16550D data sheet (June 1995), 8
 *          "Registers"; PC wiring of OUT2 is not enforced (many small kernels
 *          leave it clear), except in loopback.
 * Threads: registers on vCPU threads and input on the loop, both under the
 *          device's lock; resume of input is posted to the loop.
 */
#include "devices/legacy/uart16550.h"

#include <string.h>

#include "base/util.h"
#include "machine/machine.h"

enum { FIFO_SIZE = 16 };

enum {
    RBR_THR = 0,
    IER = 1,
    IIR_FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7
};

enum {
    IER_RDI = 0x01,
    IER_THRI = 0x02,
    IER_RLSI = 0x04,
    IER_MSI = 0x08,

    IIR_NONE = 0x01,
    IIR_MSI = 0x00,
    IIR_THRI = 0x02,
    IIR_RDI = 0x04,
    IIR_RLSI = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFO = 0xc0,

    FCR_ENABLE = 0x01,
    FCR_CLEAR_RX = 0x02,

    LCR_BREAK = 0x40,
    LCR_DLAB = 0x80,

    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,

    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_BI = 0x10,
    LSR_ERRORS = 0x1e,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,

    MSR_DELTA_CTS = 0x01,
    MSR_DELTA_DSR = 0x02,
    MSR_TRAIL_RI = 0x04,
    MSR_DELTA_DCD = 0x08,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
};

typedef struct {
    vsr_device base;
    vsr_irq irq;
    vsr_chardev *chardev; /* borrowed */

    uint8_t ier, lcr, mcr, msr, scr, lsr_errors;
    uint8_t fcr; /* bit 0 and the trigger bits */
    uint16_t divisor;
    bool thr_interrupt; /* THRE not yet acknowledged */

    uint8_t fifo[FIFO_SIZE];
    uint8_t head, count;
    bool input_full;    /* input was refused: resume when there is room */
    bool resume_posted; /* a resume() is on its way to the loop */
} uart16550;

static uart16550 *to_uart(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, uart16550, base);
}

static uint8_t fifo_size(const uart16550 *u)
{
    return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static uint8_t trigger_level(const uart16550 *u)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };

    return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

/* PC16550D, table IV "Interrupt Control Functions": in order of priority. */
static uint8_t interrupt_id(const uart16550 *u)
{
    if ((u->ier & IER_RLSI) && u->lsr_errors)
        return IIR_RLSI;
    if ((u->ier & IER_RDI) && u->count >= trigger_level(u))
        return IIR_RDI;
    if ((u->ier & IER_RDI) && u->count > 0)
        return IIR_TIMEOUT;
    if ((u->ier & IER_THRI) && u->thr_interrupt)
        return IIR_THRI;
    if ((u->ier & IER_MSI) && (u->msr & 0x0f))
        return IIR_MSI;
    return IIR_NONE;
}

static void update_irq(uart16550 *u)
{
    /* In loopback the PC's OUT2 gate is off. */
    vsr_irq_set(&u->irq, interrupt_id(u) != IIR_NONE && !(u->mcr & MCR_LOOP));
}

static void rx_push(uart16550 *u, uint8_t byte)
{
    if (u->count == fifo_size(u)) {
        u->lsr_errors |= LSR_OE;
        return;
    }
    u->fifo[(u->head + u->count) % FIFO_SIZE] = byte;
    u->count++;
}

/* On the loop, posted by rx_room(). */
static void resume_input(void *opaque)
{
    uart16550 *u = opaque;

    g_mutex_lock(&u->base.lock);
    u->resume_posted = false;
    g_mutex_unlock(&u->base.lock);
    vsr_chardev_resume(u->chardev);
}

static void rx_room(uart16550 *u)
{
    if (!u->input_full || u->count > 0 || u->resume_posted || !u->chardev)
        return;
    u->input_full = false;
    u->resume_posted = true;
    vsr_loop_call(u->base.loop, resume_input, u);
}

/* From the character device, on the loop. */
static size_t input(const uint8_t *data, size_t len, void *opaque)
{
    uart16550 *u = opaque;
    size_t taken = 0;

    g_mutex_lock(&u->base.lock);
    if (!(u->mcr & MCR_LOOP)) {
        while (taken < len && u->count < fifo_size(u))
            rx_push(u, data[taken++]);
        update_irq(u);
    }
    u->input_full = taken < len;
    g_mutex_unlock(&u->base.lock);
    return taken;
}

static uint8_t modem_status(const uart16550 *u)
{
    uint8_t lines = 0;

    if (!(u->mcr & MCR_LOOP))
        return u->chardev ? MSR_DCD | MSR_DSR | MSR_CTS : 0;
    /* 8.6.7 "Modem control register": outputs drive inputs. */
    if (u->mcr & MCR_RTS)
        lines |= MSR_CTS;
    if (u->mcr & MCR_DTR)
        lines |= MSR_DSR;
    if (u->mcr & MCR_OUT1)
        lines |= MSR_RI;
    if (u->mcr & MCR_OUT2)
        lines |= MSR_DCD;
    return lines;
}

static void update_modem(uart16550 *u)
{
    uint8_t old = u->msr & 0xf0;
    uint8_t now = modem_status(u);
    uint8_t changed = old ^ now;

    if (changed & MSR_CTS)
        u->msr |= MSR_DELTA_CTS;
    if (changed & MSR_DSR)
        u->msr |= MSR_DELTA_DSR;
    if ((old & MSR_RI) && !(now & MSR_RI))
        u->msr |= MSR_TRAIL_RI;
    if (changed & MSR_DCD)
        u->msr |= MSR_DELTA_DCD;
    u->msr = (uint8_t)((u->msr & 0x0f) | now);
}

static void transmit(uart16550 *u, uint8_t byte)
{
    if (u->mcr & MCR_LOOP)
        rx_push(u, byte);
    else if (u->chardev)
        vsr_chardev_write(u->chardev, &byte, 1);
    u->thr_interrupt = true;
}

static uint8_t receive(uart16550 *u)
{
    uint8_t byte = 0;

    if (u->count > 0) {
        byte = u->fifo[u->head];
        u->head = (u->head + 1) % FIFO_SIZE;
        u->count--;
        rx_room(u);
    }
    return byte;
}

static void write_fcr(uart16550 *u, uint8_t value)
{
    bool toggled = (value ^ u->fcr) & FCR_ENABLE;

    if (toggled || (value & FCR_CLEAR_RX)) {
        u->count = 0;
        u->head = 0;
        rx_room(u);
    }
    u->fcr = value & (FCR_ENABLE | 0xc0);
    if (!(u->fcr & FCR_ENABLE))
        u->fcr = 0;
}

static void write_mcr(uart16550 *u, uint8_t value)
{
    bool left_loop = (u->mcr & MCR_LOOP) && !(value & MCR_LOOP);

    u->mcr = value & 0x1f;
    update_modem(u);
    if (left_loop)
        rx_room(u);
}

static uint64_t uart_read(void *opaque, uint64_t offset, uint32_t size)
{
    uart16550 *u = to_uart(opaque);
    bool dlab = u->lcr & LCR_DLAB;
    uint8_t value = 0;

    switch (offset) {
    case RBR_THR:
        value = dlab ? u->divisor & 0xff : receive(u);
        break;
    case IER:
        value = dlab ? u->divisor >> 8 : u->ier;
        break;
    case IIR_FCR:
        value = interrupt_id(u);
        if (value == IIR_THRI)
            u->thr_interrupt = false;
        if (u->fcr & FCR_ENABLE)
            value |= IIR_FIFO;
        break;
    case LCR:
        value = u->lcr;
        break;
    case MCR:
        value = u->mcr;
        break;
    case LSR:
        value = LSR_THRE | LSR_TEMT | u->lsr_errors;
        if (u->count > 0)
            value |= LSR_DR;
        u->lsr_errors = 0;
        break;
    case MSR:
        value = u->msr;
        u->msr &= 0xf0;
        break;
    case SCR:
        value = u->scr;
        break;
    default:
        break;
    }
    update_irq(u);
    return value;
}

static void uart_write(void *opaque, uint64_t offset, uint32_t size,
                       uint64_t data)
{
    uart16550 *u = to_uart(opaque);
    bool dlab = u->lcr & LCR_DLAB;
    uint8_t value = (uint8_t)data;

    switch (offset) {
    case RBR_THR:
        if (dlab)
            u->divisor = (uint16_t)((u->divisor & 0xff00) | value);
        else
            transmit(u, value);
        break;
    case IER:
        if (dlab) {
            u->divisor = (uint16_t)((u->divisor & 0x00ff) | value << 8);
            break;
        }
        /* The transmitter is empty: enabling says so. */
        if (!(u->ier & IER_THRI) && (value & IER_THRI))
            u->thr_interrupt = true;
        u->ier = value & 0x0f;
        break;
    case IIR_FCR:
        write_fcr(u, value);
        break;
    case LCR:
        u->lcr = value;
        /* A break sent to ourselves arrives as one. */
        if ((value & LCR_BREAK) && (u->mcr & MCR_LOOP))
            u->lsr_errors |= LSR_BI;
        break;
    case MCR:
        write_mcr(u, value);
        break;
    case SCR:
        u->scr = value;
        break;
    default: /* LSR and MSR are for factory tests only */
        break;
    }
    update_irq(u);
}

static void uart_reset(vsr_device *device)
{
    uart16550 *u = to_uart(device);

    u->ier = u->lcr = u->mcr = u->scr = u->fcr = u->lsr_errors = 0;
    u->divisor = 12; /* 9600 */
    u->thr_interrupt = false;
    u->head = u->count = 0;
    u->msr = modem_status(u);
    rx_room(u);
    vsr_irq_set(&u->irq, false);
}

static void connect_input(void *opaque)
{
    uart16550 *u = opaque;

    vsr_chardev_set_input(u->chardev, input, u);
}

/* What was posted before (a resume) has run when this has. */
static void disconnect_input(void *opaque)
{
    uart16550 *u = opaque;

    vsr_chardev_set_input(u->chardev, NULL, NULL);
}

static const vsr_region_ops uart_ops = {
    .read = uart_read,
    .write = uart_write,
    .min_size = 1,
    .max_size = 1,
};

static bool uart_init(vsr_device *device, const void *params, GError **error)
{
    uart16550 *u = to_uart(device);
    const vsr_uart16550_params *p = params;

    u->chardev = p->chardev;
    vsr_irq_init(&u->irq, device->machine->irqs, p->gsi);
    if (!vsr_device_add_region(device, VSR_SPACE_PIO, p->port, 8, &uart_ops,
                               false, error))
        return false;
    if (u->chardev)
        vsr_loop_sync(device->loop, connect_input, u);
    return true;
}

static void uart_fini(vsr_device *device)
{
    uart16550 *u = to_uart(device);

    if (u->chardev)
        vsr_loop_sync(device->loop, disconnect_input, u);
}

const vsr_device_class vsr_uart16550_class = {
    .name = "uart16550",
    .instance_size = sizeof(uart16550),
    .init = uart_init,
    .fini = uart_fini,
    .reset = uart_reset,
};
