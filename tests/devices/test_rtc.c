/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/rtc.h"

#include <stdlib.h>
#include <time.h>

#include "machine/x86/layout.h"
#include "tests/devices/device_fixture.h"

enum { GSI = 8 };

static device_fixture *clock_new(int64_t offset_s, bool localtime)
{
    const vsr_rtc_params params = { .port = 0x70,
                                    .gsi = GSI,
                                    .offset_s = offset_s,
                                    .localtime = localtime,
                                    .low_ram = 3 * VSR_GIB,
                                    .high_ram = 5 * VSR_GIB };

    return device_fixture_new(&vsr_rtc_class, &params);
}

static uint8_t get(device_fixture *f, uint8_t index)
{
    out8(f, 0x70, index);
    return in8(f, 0x71);
}

static void set(device_fixture *f, uint8_t index, uint8_t value)
{
    out8(f, 0x70, index);
    out8(f, 0x71, value);
}

static int bcd(uint8_t value)
{
    return (value >> 4) * 10 + (value & 15);
}

/* What the registers say, in BCD and 24 hours; read until it stands still. */
static int64_t read_clock(device_fixture *f)
{
    struct tm tm = { 0 };

    do {
        tm.tm_sec = bcd(get(f, 0));
        tm.tm_min = bcd(get(f, 2));
        tm.tm_hour = bcd(get(f, 4));
        tm.tm_mday = bcd(get(f, 7));
        tm.tm_mon = bcd(get(f, 8)) - 1;
        tm.tm_year = bcd(get(f, 9)) + bcd(get(f, 0x32)) * 100 - 1900;
    } while (tm.tm_sec != bcd(get(f, 0)));
    return timegm(&tm);
}

/* It shows what the host's clock does, plus `offset_s`; `since` is a time of the
 * host's of before. */
static void assert_shows(device_fixture *f, time_t since, int64_t offset_s)
{
    int64_t shown = read_clock(f);

    assert_in_range(shown + 1, since + offset_s, time(NULL) + offset_s + 2);
}

static void clock_is_the_hosts_plus_offset(void **state)
{
    time_t since = time(NULL);
    device_fixture *f = clock_new(0, false);

    assert_int_equal(get(f, 11), 0x02);
    assert_int_equal(get(f, 13), 0x80);
    assert_shows(f, since, 0);
    device_fixture_free(f);
    f = clock_new(86400 * 400, false);
    assert_shows(f, since, 86400 * 400);
    assert_int_equal(vsr_rtc_offset_s(f->device), 86400 * 400);
    device_fixture_free(f);
}

static void clock_can_show_local_time(void **state)
{
    time_t since = time(NULL);
    device_fixture *f;

    setenv("TZ", "XXX-05:30", 1);
    tzset();
    f = clock_new(0, true);
    assert_shows(f, since, 19800);
    device_fixture_free(f);
    unsetenv("TZ");
    tzset();
}

static void guest_can_set_it_and_reset_keeps_it(void **state)
{
    device_fixture *f = clock_new(0, false);
    struct tm tm = { .tm_year = 90,
                     .tm_mon = 1,
                     .tm_mday = 28,
                     .tm_hour = 13,
                     .tm_min = 59,
                     .tm_sec = 58 };

    time_t since;
    int64_t offset_s;

    set(f, 11, 0x82);
    set(f, 0, 0x58);
    set(f, 2, 0x59);
    set(f, 4, 0x13);
    set(f, 7, 0x28);
    set(f, 8, 0x02);
    set(f, 9, 0x90);
    set(f, 0x32, 0x19);
    assert_int_equal(get(f, 9), 0x90); /* stands still while SET is set */
    since = time(NULL);
    set(f, 11, 0x02);
    offset_s = timegm(&tm) - time(NULL);
    /* It began between those two. */
    assert_in_range(read_clock(f) + 1, timegm(&tm),
                    timegm(&tm) + time(NULL) - since + 2);
    f->device->class->reset(f->device);
    assert_in_range(read_clock(f) + 1, timegm(&tm),
                    timegm(&tm) + time(NULL) - since + 2);
    assert_in_range(vsr_rtc_offset_s(f->device) - offset_s + 1, 0,
                    timegm(&tm) - since - offset_s + 2);
    device_fixture_free(f);
}

static void formats_agree(void **state)
{
    device_fixture *f = clock_new(0, false);

    set(f, 11, 0x82);
    set(f, 0, 0x00); /* the hour has just begun */
    set(f, 2, 0x00);
    set(f, 4, 0x23);
    set(f, 9, 0x25);
    set(f, 11, 0x02);
    set(f, 11, 0x06); /* binary */
    assert_int_equal(get(f, 4), 23);
    assert_int_equal(get(f, 9), 25);
    set(f, 11, 0x00); /* BCD, 12 hours */
    assert_int_equal(get(f, 4), 0x91);
    set(f, 4, 0x12);
    set(f, 11, 0x02);
    assert_int_equal(get(f, 4), 0x00);
    device_fixture_free(f);
}

static void nonsense_in_the_registers_gives_some_time(void **state)
{
    device_fixture *f = clock_new(0, false);
    int i;

    for (i = 0; i < 256; i++) {
        set(f, 11, 0x80);
        set(f, (uint8_t)(i % 10), (uint8_t)i);
        set(f, 9, 0xff);
        set(f, 0x32, 0xff);
        set(f, 11, (uint8_t)(i & 0x7f));
        get(f, 0);
        get(f, 12);
    }
    set(f, 11, 0x02);
    assert_in_range(read_clock(f), 0, INT64_C(8000000000));
    device_fixture_free(f);
}

/* Lines change under the device's lock. */
static bool line(device_fixture *f)
{
    bool level;

    g_mutex_lock(&f->device->lock);
    level = f->chips.level[GSI];
    g_mutex_unlock(&f->device->lock);
    return level;
}

static bool line_is_high(void *opaque)
{
    return line(opaque);
}

static void await_line(device_fixture *f)
{
    if (!fake_wait_until(line_is_high, f))
        fail_msg("no interrupt");
}

static void periodic_interrupt_comes_until_acknowledged(void **state)
{
    device_fixture *f = clock_new(0, false);
    int i;

    set(f, 10, 0x26); /* 1024 Hz */
    set(f, 11, 0x42);
    for (i = 0; i < 5; i++) {
        await_line(f);
        assert_int_equal(get(f, 12) & 0xc0, 0xc0);
    }
    set(f, 11, 0x02);
    get(f, 12);
    assert_false(line(f));
    device_fixture_free(f);
}

static void update_and_alarm_interrupts_come_within_a_second(void **state)
{
    device_fixture *f = clock_new(0, false);

    /* Any hour, minute and second. */
    set(f, 1, 0xff);
    set(f, 3, 0xc0);
    set(f, 5, 0xff);
    get(f, 12);
    set(f, 11, 0x32);
    await_line(f);
    assert_int_equal(get(f, 12) & 0xb0, 0xb0);
    assert_false(line(f));
    device_fixture_free(f);
}

static void alarm_waits_for_its_time(void **state)
{
    device_fixture *f = clock_new(0, false);

    set(f, 11, 0x82);
    set(f, 0, 0x30);
    set(f, 2, 0x30);
    set(f, 4, 0x12);
    set(f, 1, 0x29); /* a second ago: tomorrow */
    set(f, 3, 0x30);
    set(f, 5, 0x12);
    set(f, 11, 0x02);
    get(f, 12);
    set(f, 11, 0x22);
    g_usleep(20000);
    assert_int_equal(get(f, 12) & 0x20, 0);
    device_fixture_free(f);
}

static void nvram_has_the_memory_sizes(void **state)
{
    device_fixture *f = clock_new(0, false);

    assert_int_equal(get(f, 0x15) | get(f, 0x16) << 8, 640);
    assert_int_equal(get(f, 0x17) | get(f, 0x18) << 8, 0xffff);
    assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8,
                     (3 * VSR_GIB - 16 * VSR_MIB) >> 16);
    assert_int_equal(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16,
                     5 * VSR_GIB >> 16);
    set(f, 0x40, 0x77);
    assert_int_equal(get(f, 0xc0), 0x77); /* bit 7 is the NMI mask */
    set(f, 13, 0);                        /* read-only */
    assert_int_equal(get(f, 13), 0x80);
    assert_int_equal(in8(f, 0x70), 0xff);
    device_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_is_the_hosts_plus_offset),
        cmocka_unit_test(clock_can_show_local_time),
        cmocka_unit_test(guest_can_set_it_and_reset_keeps_it),
        cmocka_unit_test(formats_agree),
        cmocka_unit_test(nonsense_in_the_registers_gives_some_time),
        cmocka_unit_test(periodic_interrupt_comes_until_acknowledged),
        cmocka_unit_test(update_and_alarm_interrupts_come_within_a_second),
        cmocka_unit_test(alarm_waits_for_its_time),
        cmocka_unit_test(nvram_has_the_memory_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
