/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pit.c: 8254 programmable interval timer.
 *
 * Counters and outputs are computed from the time since a channel was loaded;
 * nothing ticks. Only channel 0, whose output is an interrupt line, has a timer,
 * for its next rising edge. A count written while a periodic channel runs takes
 * effect at once, not at the end of the period.
 *
 * Spec:    Intel 8254 data sheet, "Programming the 8254", "Counter Latch
 *          Command", "Read-Back Command", "Mode Definitions"; port 0x61: IBM
 *          PC AT, "System Control Port B".
 * Threads: registers on vCPU threads, the timer on the loop; both under the
 *          device's lock.
 */
#include "devices/legacy/pit.h"

#include "machine/machine.h"
#include "machine/x86/layout.h"

enum {
    CHANNELS = 3,
    PIT_HZ = 1193182,
    NS_PER_S = 1000000000,
    REFRESH_NS = 15085,   /* port 0x61, bit 4 changes */
    SHORTEST_NS = 100000, /* a guest's shortest period must not fill the loop */

    ACCESS_LATCH = 0,
    ACCESS_LOW = 1,
    ACCESS_HIGH = 2,
    ACCESS_BOTH = 3,

    READ_BACK = 3, /* in place of a channel */
    READ_BACK_NO_COUNT = 0x20,
    READ_BACK_NO_STATUS = 0x10,

    SPEAKER_GATE = 0x01,
    SPEAKER_DATA = 0x02,
    SPEAKER_REFRESH = 0x10,
    SPEAKER_OUT = 0x20,
};

typedef struct {
    uint8_t mode; /* 0..5 */
    uint8_t access;
    bool bcd;
    uint32_t count; /* 2..65536 (or 10000): a written 0 is the largest */
    bool loaded;    /* a count was written since the control word */
    bool triggered; /* modes 1 and 5: the gate has risen since */
    bool gate;
    int64_t start_ns;   /* of counting, in the device's time */
    uint64_t held;      /* ticks done when the gate fell (modes 0 and 4) */
    bool low_written;   /* ACCESS_BOTH: the high byte is next */
    bool low_read;      /* likewise */
    uint8_t low;        /* the byte written */
    uint8_t latch_left; /* bytes of `latch` still to be read */
    uint16_t latch;
    bool status_latched;
    uint8_t status;
} channel;

typedef struct {
    vsr_device device;
    channel channel[CHANNELS];
    uint8_t speaker; /* bits 0 and 1 of port 0x61 */
    vsr_irq irq;
    vsr_timer timer;
    int64_t next_ns; /* of channel 0's next edge; 0: none */
    /* The device's time = host's - skew_ns; while stopped, it is stopped_ns. */
    int64_t skew_ns, stopped_ns;
    bool stopped;
} pit;

static pit *to_pit(vsr_device *device)
{
    return (pit *)(void *)device;
}

static int64_t now_ns(const pit *p)
{
    return p->stopped ? p->stopped_ns : vsr_now_ns() - p->skew_ns;
}

static uint64_t to_ticks(int64_t ns)
{
    return (uint64_t)((unsigned __int128)(uint64_t)MAX(ns, 0) * PIT_HZ /
                      NS_PER_S);
}

/* Rounded up: at that time the tick has come. */
static int64_t to_ns(uint64_t ticks)
{
    return (int64_t)(((unsigned __int128)ticks * NS_PER_S + PIT_HZ - 1) /
                     PIT_HZ);
}

/* --- counting --- */

static bool is_periodic(const channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

static bool is_triggered_by_gate(const channel *c)
{
    return c->mode == 1 || c->mode == 5;
}

/* Does it count now? */
static bool counts(const channel *c)
{
    return c->loaded && (is_triggered_by_gate(c) ? c->triggered : c->gate);
}

static uint64_t ticks_done(const pit *p, const channel *c)
{
    return counts(c) ? to_ticks(now_ns(p) - c->start_ns) : c->held;
}

static uint16_t to_bcd(uint32_t value)
{
    return (uint16_t)(value % 10 | value / 10 % 10 << 4 |
                      value / 100 % 10 << 8 | value / 1000 % 10 << 12);
}

static uint16_t counter(const pit *p, const channel *c)
{
    uint32_t modulus = c->bcd ? 10000 : 65536;
    uint64_t done = ticks_done(p, c);
    uint32_t value;

    if (is_periodic(c)) {
        /* Mode 3 counts by two, twice in a period. */
        uint32_t step = c->mode == 3 ? 2 : 1;

        value = c->count - (uint32_t)(done * step % c->count);
    } else {
        value = (uint32_t)((c->count + modulus - done % modulus) % modulus);
    }
    return c->bcd ? to_bcd(value % modulus) : (uint16_t)value;
}

static bool output(const pit *p, const channel *c)
{
    uint64_t done = ticks_done(p, c);

    if (!c->loaded)
        return c->mode != 0;
    switch (c->mode) {
    case 0:
        return done >= c->count;
    case 1:
        return !c->triggered || done >= c->count;
    case 2:
        return !c->gate || done % c->count != c->count - 1;
    case 3:
        return !c->gate || done % c->count < (c->count + 1) / 2;
    default: /* 4, 5: low for one tick */
        return done != c->count;
    }
}

/* --- channel 0's interrupt --- */

static void timer_program(pit *p)
{
    if (p->next_ns != 0 && !p->stopped)
        vsr_timer_arm(&p->timer, p->next_ns + p->skew_ns);
}

/* Channel 0 was given a mode or a count. */
static void irq_restart(pit *p)
{
    const channel *c = &p->channel[0];
    uint64_t edge;

    vsr_irq_set(&p->irq, false);
    p->next_ns = 0;
    if (!counts(c))
        return;
    edge = c->mode == 4 || c->mode == 5 ? (uint64_t)c->count + 1 : c->count;
    p->next_ns = MAX(c->start_ns + to_ns(edge), 1);
    timer_program(p);
}

static void irq_expired(void *opaque)
{
    pit *p = opaque;
    const channel *c = &p->channel[0];
    int64_t now;

    g_mutex_lock(&p->device.lock);
    now = now_ns(p);
    if (p->next_ns == 0 || p->stopped || now < p->next_ns) {
        timer_program(p);
        g_mutex_unlock(&p->device.lock);
        return;
    }
    vsr_irq_set(&p->irq, false);
    vsr_irq_set(&p->irq, true);
    p->next_ns = 0;
    if (is_periodic(c)) {
        uint64_t periods =
            to_ticks(MAX(now, now + SHORTEST_NS / 2) - c->start_ns) / c->count;

        p->next_ns = c->start_ns + to_ns((periods + 1) * c->count);
        p->next_ns = MAX(p->next_ns, now + SHORTEST_NS / 2);
        timer_program(p);
    }
    g_mutex_unlock(&p->device.lock);
}

/* --- registers --- */

static void gate_set(pit *p, channel *c, bool gate)
{
    if (gate == c->gate)
        return;
    if (!gate) {
        c->held = ticks_done(p, c);
        c->gate = false;
        return;
    }
    c->gate = true;
    if (is_triggered_by_gate(c))
        c->triggered = c->loaded;
    if (is_periodic(c) || is_triggered_by_gate(c))
        c->start_ns = now_ns(p);
    else
        c->start_ns = now_ns(p) - to_ns(c->held);
}

static void load(pit *p, channel *c, uint32_t value)
{
    if (c->bcd)
        value = (value >> 12 & 0xf) * 1000 + (value >> 8 & 0xf) * 100 +
                (value >> 4 & 0xf) * 10 + (value & 0xf);
    if (value == 0)
        value = c->bcd ? 10000 : 65536;
    /* 1 is illegal where the count repeats ("Mode 2", "Mode 3"). */
    c->count = is_periodic(c) ? MAX(value, 2) : value;
    c->loaded = true;
    c->held = 0;
    if (!is_triggered_by_gate(c))
        c->start_ns = now_ns(p);
    if (c == &p->channel[0])
        irq_restart(p);
}

static void count_write(pit *p, channel *c, uint8_t value)
{
    switch (c->access) {
    case ACCESS_LOW:
        load(p, c, value);
        break;
    case ACCESS_HIGH:
        load(p, c, (uint32_t)value << 8);
        break;
    default:
        if (!c->low_written) {
            c->low = value;
            c->low_written = true;
            /* "Mode 0": the first byte stops the count. */
            if (c->mode == 0) {
                c->held = 0;
                c->loaded = false;
                if (c == &p->channel[0])
                    irq_restart(p);
            }
            break;
        }
        c->low_written = false;
        load(p, c, (uint32_t)value << 8 | c->low);
        break;
    }
}

static void latch_count(const pit *p, channel *c)
{
    if (c->latch_left > 0)
        return; /* the first latch holds until it is read */
    c->latch = counter(p, c);
    c->latch_left = c->access == ACCESS_BOTH ? 2 : 1;
    c->low_read = false;
}

static void latch_status(const pit *p, channel *c)
{
    if (c->status_latched)
        return;
    c->status_latched = true;
    c->status =
        (uint8_t)((unsigned)output(p, c) << 7 | (unsigned)!c->loaded << 6 |
                  (unsigned)c->access << 4 | (unsigned)c->mode << 1 | c->bcd);
}

static void control_write(pit *p, uint8_t value)
{
    unsigned which = value >> 6, access = value >> 4 & 3;
    unsigned mode = value >> 1 & 7;
    channel *c;

    if (which == READ_BACK) {
        for (unsigned i = 0; i < CHANNELS; i++) {
            if (!(value >> (i + 1) & 1))
                continue;
            if (!(value & READ_BACK_NO_COUNT))
                latch_count(p, &p->channel[i]);
            if (!(value & READ_BACK_NO_STATUS))
                latch_status(p, &p->channel[i]);
        }
        return;
    }
    c = &p->channel[which];
    if (access == ACCESS_LATCH) {
        latch_count(p, c);
        return;
    }
    c->held = 0;
    c->mode = (uint8_t)(mode > 5 ? mode - 4 : mode); /* 6, 7 are 2, 3 */
    c->access = (uint8_t)access;
    c->bcd = value & 1;
    c->loaded = c->triggered = false;
    c->low_written = c->low_read = false;
    c->latch_left = 0;
    c->status_latched = false;
    if (which == 0)
        irq_restart(p);
}

static uint8_t count_read(const pit *p, channel *c)
{
    uint16_t value = c->latch_left > 0 ? c->latch : counter(p, c);
    bool high =
        c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->low_read);

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->access == ACCESS_BOTH)
        c->low_read = !c->low_read;
    if (c->latch_left > 0)
        c->latch_left--;
    return (uint8_t)(high ? value >> 8 : value);
}

static uint64_t ports_read(void *opaque, uint64_t offset, uint32_t size)
{
    pit *p = opaque;

    return offset < CHANNELS ? count_read(p, &p->channel[offset]) : 0;
}

static void ports_write(void *opaque, uint64_t offset, uint32_t size,
                        uint64_t value)
{
    pit *p = opaque;

    if (offset < CHANNELS)
        count_write(p, &p->channel[offset], (uint8_t)value);
    else
        control_write(p, (uint8_t)value);
}

static uint64_t speaker_read(void *opaque, uint64_t offset, uint32_t size)
{
    const pit *p = opaque;
    uint64_t value = p->speaker;

    if (now_ns(p) / REFRESH_NS & 1)
        value |= SPEAKER_REFRESH;
    if (output(p, &p->channel[2]))
        value |= SPEAKER_OUT;
    return value;
}

static void speaker_write(void *opaque, uint64_t offset, uint32_t size,
                          uint64_t value)
{
    pit *p = opaque;

    p->speaker = value & (SPEAKER_GATE | SPEAKER_DATA);
    gate_set(p, &p->channel[2], value & SPEAKER_GATE);
}

static const vsr_region_ops ports_ops = { .read = ports_read,
                                          .write = ports_write,
                                          .max_size = 1 };
static const vsr_region_ops speaker_ops = { .read = speaker_read,
                                            .write = speaker_write,
                                            .max_size = 1 };

/* --- life --- */

static void pit_reset(vsr_device *device)
{
    pit *p = to_pit(device);

    g_mutex_lock(&device->lock);
    for (unsigned i = 0; i < CHANNELS; i++)
        p->channel[i] = (channel){
            .mode = 3, .access = ACCESS_BOTH, .count = 65536, .gate = i != 2
        };
    p->speaker = 0;
    irq_restart(p);
    g_mutex_unlock(&device->lock);
    vsr_timer_cancel(&p->timer);
}

static void pit_quiesce(vsr_device *device)
{
    pit *p = to_pit(device);

    g_mutex_lock(&device->lock);
    p->stopped_ns = now_ns(p);
    p->stopped = true;
    g_mutex_unlock(&device->lock);
    vsr_timer_cancel(&p->timer);
}

static void pit_unquiesce(vsr_device *device)
{
    pit *p = to_pit(device);

    g_mutex_lock(&device->lock);
    if (p->stopped) {
        p->stopped = false;
        p->skew_ns = vsr_now_ns() - p->stopped_ns;
    }
    timer_program(p);
    g_mutex_unlock(&device->lock);
}

static void pit_fini(vsr_device *device)
{
    vsr_timer_cancel(&to_pit(device)->timer);
}

static bool pit_init(vsr_device *device, const void *params, GError **error)
{
    pit *p = to_pit(device);

    vsr_irq_init(&p->irq, device->machine->irqs, VSR_GSI_PIT);
    vsr_timer_init(&p->timer, device->loop, irq_expired, p);
    return vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_PIT, 4,
                                 &ports_ops, false, error) &&
           vsr_device_add_region(device, VSR_SPACE_PIO, VSR_PORT_SPEAKER, 1,
                                 &speaker_ops, false, error);
}

const vsr_device_class vsr_pit_class = {
    .name = "pit",
    .instance_size = sizeof(pit),
    .init = pit_init,
    .fini = pit_fini,
    .reset = pit_reset,
    .quiesce = pit_quiesce,
    .unquiesce = pit_unquiesce,
};
