/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rtc.c: MC146818 real-time clock.
 *
 * The clock is the host's wall clock plus an offset; nothing ticks unless the
 * guest enabled an interrupt. Flags in register C are brought up to date from
 * the time that passed when somebody looks (catch_up), and a timer is armed
 * for the next event only while its enable bit is set.
 *
 * Spec:    Motorola MC146818A data sheet, "Register A".."Register D", "Time,
 *          Calendar, and Alarm Locations", "Update Cycle"; century at 0x32 as
 *          the FADT says.
 * Threads: registers on vCPU threads, the timer on the loop; both under the
 *          device's lock.
 */
#include "devices/legacy/rtc.h"

#include <inttypes.h>
#include <time.h>

#include "base/error.h"
#include "base/util.h"
#include "machine/machine.h"

#define SECOND_NS INT64_C(1000000000)
/* "Update Cycle": UIP is set 244 us before the registers change. */
#define UIP_NS INT64_C(244000)
/* 2200-01-01: what the guest or the configuration may ask for; ns fit. */
#define TIME_MAX_S INT64_C(7258118400)

enum {
    R_SEC = 0,
    R_SEC_ALARM = 1,
    R_MIN = 2,
    R_MIN_ALARM = 3,
    R_HOUR = 4,
    R_HOUR_ALARM = 5,
    R_WDAY = 6,
    R_MDAY = 7,
    R_MONTH = 8,
    R_YEAR = 9,
    R_A = 10,
    R_B = 11,
    R_C = 12,
    R_D = 13,
    R_CENTURY = 0x32,
    NVRAM_SIZE = 128,

    A_UIP = 0x80,
    A_RATE = 0x0f,
    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_BINARY = 0x04,
    B_24H = 0x02,
    C_IRQF = 0x80,
    C_PF = 0x40,
    C_AF = 0x20,
    C_UF = 0x10,
    D_VRT = 0x80, /* the battery is good */
};

typedef struct {
    vsr_device base;
    vsr_irq irq;
    vsr_timer timer;
    vsr_rtc_params params;

    uint8_t index;
    uint8_t ram[NVRAM_SIZE]; /* time registers are valid while B_SET is set */
    int64_t guest_offset_s;  /* what the guest changed, on top of params */
    int64_t seen_ns;         /* register C is up to date to this guest time */
} rtc;

static rtc *to_rtc(vsr_device *device)
{
    return VSR_CONTAINER_OF(device, rtc, base);
}

/* ---- time ---- */

static int64_t zone_offset_s(const rtc *r, int64_t utc_s)
{
    time_t t = (time_t)utc_s;
    struct tm tm;

    if (!r->params.localtime || !localtime_r(&t, &tm))
        return 0;
    return tm.tm_gmtoff;
}

/* The guest's wall clock, ns since 1970 in the guest's own zone. */
static int64_t guest_now_ns(const rtc *r)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (ts.tv_sec + zone_offset_s(r, ts.tv_sec) + r->params.offset_s +
            r->guest_offset_s) *
               SECOND_NS +
           ts.tv_nsec;
}

static uint8_t encode(const rtc *r, int value)
{
    if (r->ram[R_B] & B_BINARY)
        return (uint8_t)value;
    return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

static int decode(const rtc *r, uint8_t value)
{
    if (r->ram[R_B] & B_BINARY)
        return value;
    return (value >> 4) * 10 + (value & 0x0f);
}

static uint8_t encode_hour(const rtc *r, int hour)
{
    if (r->ram[R_B] & B_24H)
        return encode(r, hour);
    return (uint8_t)(encode(r, hour % 12 ? hour % 12 : 12) |
                     (hour >= 12 ? 0x80 : 0));
}

static int decode_hour(const rtc *r, uint8_t value)
{
    if (r->ram[R_B] & B_24H)
        return decode(r, value);
    return decode(r, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* Writes the time registers. */
static void load_time(rtc *r, int64_t now_ns)
{
    time_t t = (time_t)(now_ns / SECOND_NS);
    struct tm tm;

    if (!gmtime_r(&t, &tm))
        return;
    r->ram[R_SEC] = encode(r, tm.tm_sec);
    r->ram[R_MIN] = encode(r, tm.tm_min);
    r->ram[R_HOUR] = encode_hour(r, tm.tm_hour);
    r->ram[R_WDAY] = encode(r, tm.tm_wday + 1);
    r->ram[R_MDAY] = encode(r, tm.tm_mday);
    r->ram[R_MONTH] = encode(r, tm.tm_mon + 1);
    r->ram[R_YEAR] = encode(r, tm.tm_year % 100);
    r->ram[R_CENTURY] = encode(r, (tm.tm_year + 1900) / 100 % 100);
}

/* Makes the clock say what the time registers say. Nonsense in them (the guest
 * may write any byte) gives some time, never a failure. */
static void store_time(rtc *r)
{
    struct tm tm = {
        .tm_sec = decode(r, r->ram[R_SEC]),
        .tm_min = decode(r, r->ram[R_MIN]),
        .tm_hour = decode_hour(r, r->ram[R_HOUR]),
        .tm_mday = decode(r, r->ram[R_MDAY]),
        .tm_mon = decode(r, r->ram[R_MONTH]) - 1,
        .tm_year = decode(r, r->ram[R_CENTURY]) * 100 +
                   decode(r, r->ram[R_YEAR]) - 1900,
    };
    int64_t was_s = guest_now_ns(r) / SECOND_NS;
    int64_t wanted_s = CLAMP((int64_t)timegm(&tm), 0, TIME_MAX_S);

    r->guest_offset_s += wanted_s - was_s;
    r->seen_ns = guest_now_ns(r);
}

/* ---- interrupts ---- */

/* 0: no periodic interrupt selected. */
static int64_t period_ns(const rtc *r)
{
    uint32_t rate = r->ram[R_A] & A_RATE;

    if (rate == 0)
        return 0;
    if (rate < 3)
        rate += 7; /* data sheet, table 5, 32.768 kHz column */
    return (SECOND_NS << (rate - 1)) / 32768;
}

static bool alarm_field(uint8_t alarm, uint8_t now)
{
    return (alarm & 0xc0) == 0xc0 || alarm == now;
}

/* First second in (after_s, until_s] at which the alarm matches; -1: none. */
static int64_t next_alarm_s(const rtc *r, int64_t after_s, int64_t until_s)
{
    int64_t s = after_s + 1;

    while (s <= until_s) {
        int in_day = (int)(s % 86400);

        if (!alarm_field(r->ram[R_HOUR_ALARM], encode_hour(r, in_day / 3600)))
            s += 3600 - in_day % 3600;
        else if (!alarm_field(r->ram[R_MIN_ALARM], encode(r, in_day / 60 % 60)))
            s += 60 - in_day % 60;
        else if (!alarm_field(r->ram[R_SEC_ALARM], encode(r, in_day % 60)))
            s++;
        else
            return s;
    }
    return -1;
}

/* Arms the timer for the next event the guest wants to hear of. */
static void rearm(rtc *r)
{
    int64_t now = r->seen_ns;
    int64_t next = INT64_MAX;
    int64_t period = period_ns(r);
    bool ticking = !(r->ram[R_B] & B_SET);

    /* A flag that is already up brings no new interrupt before it is read. */
    if ((r->ram[R_B] & B_PIE) && !(r->ram[R_C] & C_PF) && period)
        next = (now / period + 1) * period;
    if (ticking && (r->ram[R_B] & B_UIE) && !(r->ram[R_C] & C_UF))
        next = MIN(next, (now / SECOND_NS + 1) * SECOND_NS);
    if (ticking && (r->ram[R_B] & B_AIE) && !(r->ram[R_C] & C_AF)) {
        int64_t s = now / SECOND_NS;
        int64_t alarm = next_alarm_s(r, s, s + 86400);

        if (alarm >= 0)
            next = MIN(next, alarm * SECOND_NS);
    }
    /* A timer is armed, never cancelled, under the lock: one that has become
     * needless fires once and finds nothing to do. */
    if (next != INT64_MAX)
        vsr_timer_arm(&r->timer, vsr_now_ns() + (next - now));
}

/* Brings register C to now, and the line to what C and B say. */
static void catch_up(rtc *r)
{
    int64_t now = guest_now_ns(r);
    int64_t period = period_ns(r);

    if (now < 0)
        now = 0;
    if (now < r->seen_ns) /* the host's clock was set back */
        r->seen_ns = now;
    if (period && now / period != r->seen_ns / period)
        r->ram[R_C] |= C_PF;
    if (!(r->ram[R_B] & B_SET) && now / SECOND_NS != r->seen_ns / SECOND_NS) {
        int64_t from_s = r->seen_ns / SECOND_NS;
        int64_t to_s = now / SECOND_NS;

        r->ram[R_C] |= C_UF;
        /* Alarms come once a day at least, if their bytes make sense. */
        if (next_alarm_s(r, MAX(from_s, to_s - 86400), to_s) >= 0)
            r->ram[R_C] |= C_AF;
    }
    r->seen_ns = now;

    r->ram[R_C] &= (uint8_t)~C_IRQF;
    if (r->ram[R_C] & r->ram[R_B] & (C_PF | C_AF | C_UF))
        r->ram[R_C] |= C_IRQF;
    vsr_irq_set(&r->irq, r->ram[R_C] & C_IRQF);
    rearm(r);
}

static void timer_fired(void *opaque)
{
    rtc *r = opaque;

    g_mutex_lock(&r->base.lock);
    catch_up(r);
    g_mutex_unlock(&r->base.lock);
}

/* ---- registers ---- */

static bool is_time(uint8_t index)
{
    switch (index) {
    case R_SEC:
    case R_MIN:
    case R_HOUR:
    case R_WDAY:
    case R_MDAY:
    case R_MONTH:
    case R_YEAR:
    case R_CENTURY:
        return true;
    default:
        return false;
    }
}

static uint8_t read_register(rtc *r, uint8_t index)
{
    bool set = r->ram[R_B] & B_SET;
    int64_t now = guest_now_ns(r);
    uint8_t value;

    if (is_time(index)) {
        if (!set)
            load_time(r, now);
        return r->ram[index];
    }
    switch (index) {
    case R_A:
        value = r->ram[R_A] & (uint8_t)~A_UIP;
        if (!set && now % SECOND_NS >= SECOND_NS - UIP_NS)
            value |= A_UIP;
        return value;
    case R_C:
        catch_up(r);
        value = r->ram[R_C];
        r->ram[R_C] = 0;
        catch_up(r);
        return value;
    case R_D:
        return D_VRT;
    default:
        return r->ram[index];
    }
}

static void write_register(rtc *r, uint8_t index, uint8_t value)
{
    bool was_set = r->ram[R_B] & B_SET;

    if (is_time(index)) {
        if (!was_set)
            load_time(r, guest_now_ns(r));
        r->ram[index] = value;
        if (!was_set)
            store_time(r);
        return;
    }
    catch_up(r);
    switch (index) {
    case R_A:
        r->ram[R_A] = value & (uint8_t)~A_UIP;
        break;
    case R_B:
        /* "Register B": SET inhibits updates and clears UIE. */
        if (value & B_SET)
            value &= (uint8_t)~B_UIE;
        if (!was_set && (value & B_SET)) {
            r->ram[R_B] = value;
            load_time(r, guest_now_ns(r));
        }
        r->ram[R_B] = value;
        if (was_set && !(value & B_SET))
            store_time(r);
        break;
    case R_C:
    case R_D:
        return; /* read-only */
    default:
        r->ram[index] = value;
        break;
    }
    catch_up(r);
}

static uint64_t rtc_read(void *opaque, uint64_t offset, uint32_t size)
{
    rtc *r = to_rtc(opaque);

    return offset == 0 ? 0xff : read_register(r, r->index);
}

static void rtc_write(void *opaque, uint64_t offset, uint32_t size,
                      uint64_t value)
{
    rtc *r = to_rtc(opaque);

    if (offset == 0)
        r->index = value & 0x7f; /* bit 7 masks NMI */
    else
        write_register(r, r->index, (uint8_t)value);
}

/* ---- life ---- */

static void put16(rtc *r, uint8_t index, uint64_t value)
{
    r->ram[index] = value & 0xff;
    r->ram[index + 1] = value >> 8 & 0xff;
}

/* Memory sizes where firmware looks: 0x15 base KiB, 0x17 and 0x30 KiB above
 * 1 MiB (64 MiB at most), 0x34 64 KiB blocks above 16 MiB below 4 GiB, 0x5b
 * 64 KiB blocks above 4 GiB. */
static void fill_nvram(rtc *r)
{
    uint64_t low = r->params.low_ram;
    uint64_t high = r->params.high_ram >> 16;
    uint64_t extended = low > VSR_MIB ? (low - VSR_MIB) >> 10 : 0;

    put16(r, 0x15, MIN(low >> 10, 640));
    put16(r, 0x17, MIN(extended, 0xffff));
    put16(r, 0x30, MIN(extended, 0xffff));
    put16(r, 0x34,
          low > 16 * VSR_MIB ? MIN((low - 16 * VSR_MIB) >> 16, 0xffff) : 0);
    r->ram[0x5b] = high & 0xff;
    r->ram[0x5c] = high >> 8 & 0xff;
    r->ram[0x5d] = high >> 16 & 0xff;
    r->ram[0x14] = 0x06;                              /* equipment: FPU, PS/2 */
    r->ram[0x38] = r->params.disk_boot ? 0x00 : 0x01; /* no floppy signature */
    r->ram[0x3d] = 0x32;                              /* disk, then CD */
}

static void rtc_reset(vsr_device *device)
{
    rtc *r = to_rtc(device);

    /* RESET# clears the interrupt enables; time and NVRAM have a battery. */
    r->index = 0;
    r->ram[R_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SET);
    r->ram[R_C] = 0;
    r->seen_ns = MAX(guest_now_ns(r), 0);
    vsr_irq_set(&r->irq, false);
}

int64_t vsr_rtc_offset_s(vsr_device *device)
{
    rtc *r = to_rtc(device);
    struct timespec ts;
    int64_t offset;

    clock_gettime(CLOCK_REALTIME, &ts);
    g_mutex_lock(&device->lock);
    offset =
        zone_offset_s(r, ts.tv_sec) + r->params.offset_s + r->guest_offset_s;
    g_mutex_unlock(&device->lock);
    return offset;
}

static const vsr_region_ops rtc_ops = {
    .read = rtc_read,
    .write = rtc_write,
    .min_size = 1,
    .max_size = 1,
};

static bool rtc_init(vsr_device *device, const void *params, GError **error)
{
    rtc *r = to_rtc(device);
    const vsr_rtc_params *p = params;

    if (p->offset_s < -TIME_MAX_S / 2 || p->offset_s > TIME_MAX_S / 2)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "Clock offset %" PRId64 " s is out of range",
                        p->offset_s);
    r->params = *p;
    r->ram[R_A] = 0x26; /* 32.768 kHz, 1024 Hz */
    r->ram[R_B] = B_24H;
    fill_nvram(r);
    vsr_irq_init(&r->irq, device->machine->irqs, r->params.gsi);
    vsr_timer_init(&r->timer, device->loop, timer_fired, r);
    return vsr_device_add_region(device, VSR_SPACE_PIO, r->params.port, 2,
                                 &rtc_ops, false, error);
}

static void rtc_fini(vsr_device *device)
{
    vsr_timer_cancel(&to_rtc(device)->timer);
}

const vsr_device_class vsr_rtc_class = {
    .name = "rtc",
    .instance_size = sizeof(rtc),
    .init = rtc_init,
    .fini = rtc_fini,
    .reset = rtc_reset,
};
