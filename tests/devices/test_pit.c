/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/pit.h"

#include "machine/irq.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

#define MS INT64_C(1000000)

typedef struct {
    vsr_machine *machine;
    gint rises; /* atomic */
    gint level; /* atomic */
} fixture;

static void on_line(void *opaque, uint32_t gsi, bool level)
{
    fixture *f = opaque;

    if (gsi != 0)
        return;
    g_atomic_int_set(&f->level, level);
    if (level)
        g_atomic_int_inc(&f->rises);
}

static void out(fixture *f, uint16_t port, uint8_t value)
{
    fake_out(f->machine, port, 1, value);
}

static uint8_t in(fixture *f, uint16_t port)
{
    return (uint8_t)fake_in(f->machine, port, 1);
}

static uint16_t in16(fixture *f, uint16_t port)
{
    uint8_t low = in(f, port);

    return (uint16_t)(low | in(f, port) << 8);
}

static int setup(void **state)
{
    static const vsr_irq_chip chip = { .line = on_line };
    fixture *f = g_new0(fixture, 1);

    f->machine = fake_machine_new(1);
    if (f->machine == NULL)
        return 1;
    vsr_irqs_add_chip(f->machine->irqs, &chip, f);
    if (vsr_device_new(f->machine, &vsr_pit_class, "pit", NULL, NULL) == NULL)
        return 1;
    vsr_machine_run(f->machine);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_machine_free(f->machine);
    g_free(f);
    return 0;
}

typedef struct {
    fixture *f;
    gint n;
} rise_wait;

static bool has_risen(void *opaque)
{
    rise_wait *w = opaque;

    return g_atomic_int_get(&w->f->rises) >= w->n;
}

static bool wait_rises(fixture *f, gint n)
{
    rise_wait w = { f, n };

    return fake_wait_until(has_risen, &w);
}

/* Something happened between two looks at the clock. */
typedef struct {
    int64_t after, before;
} moment;

static void latch_at(fixture *f, uint8_t command, moment *when)
{
    when->after = vsr_now_ns();
    out(f, 0x43, command);
    when->before = vsr_now_ns();
}

static void write_at(fixture *f, uint16_t port, uint8_t value, moment *when)
{
    when->after = vsr_now_ns();
    out(f, port, value);
    when->before = vsr_now_ns();
}

static int64_t ticks(int64_t ns)
{
    return ns * 1193182 / 1000000000;
}

/* Was it counted down from one to the other between those moments? The counter
 * is round: after 55 ms it says the same again. False: all is possible, since
 * nobody knows closely enough when it was. */
static bool counted(uint16_t from, moment begin, uint16_t to, moment end)
{
    int64_t least = ticks(end.after - begin.before) - 1;
    int64_t most = ticks(end.before - begin.after) + 1;
    int64_t done = (uint16_t)(from - to);

    if (most - least > 2000)
        return false;
    while (done < least)
        done += 0x10000;
    assert_in_range(done, MAX(least, 0), most);
    return true;
}

static void the_counter_runs_at_its_frequency(void **state)
{
    fixture *f = *state;
    moment load, first_at, second_at;
    uint16_t first, second;

    do {
        out(f, 0x43, 0xb0); /* channel 2, mode 0 */
        out(f, 0x61, 0x01); /* gate */
        out(f, 0x42, 0xff);
        write_at(f, 0x42, 0xff, &load);
        g_usleep(10000);
        latch_at(f, 0x80, &first_at);
        first = in16(f, 0x42);
        latch_at(f, 0x80, &second_at);
        second = in16(f, 0x42);
    } while (!counted(0xffff, load, first, first_at) ||
             !counted(first, first_at, second, second_at));
}

static void channel_2_is_polled_through_port_61(void **state)
{
    fixture *f = *state;
    int64_t start;

    out(f, 0x61, 0x00);
    out(f, 0x43, 0xb0);
    out(f, 0x42, 0xa9); /* 1193 ticks: 1 ms */
    out(f, 0x42, 0x04);
    g_usleep(3000);
    assert_int_equal(in(f, 0x61) & 0x21, 0); /* the gate holds it */
    start = vsr_now_ns();
    out(f, 0x61, 0x01);
    while (!(in(f, 0x61) & 0x20))
        assert_true(vsr_now_ns() - start < 60000 * MS);
    assert_true(vsr_now_ns() - start >= 990000);
}

static void a_fallen_gate_keeps_the_count(void **state)
{
    fixture *f = *state;
    moment load, fall, rise, look;
    uint16_t held, later;

    do {
        out(f, 0x43, 0xb0);
        out(f, 0x61, 0x01);
        out(f, 0x42, 0xff);
        write_at(f, 0x42, 0xff, &load);
        g_usleep(1000);
        write_at(f, 0x61, 0x00, &fall);
        held = in16(f, 0x42);
        g_usleep(2000);
        assert_int_equal(in16(f, 0x42), held);
        write_at(f, 0x61, 0x01, &rise);
        latch_at(f, 0x80, &look);
        later = in16(f, 0x42);
    } while (!counted(0xffff, load, held, fall) ||
             !counted(held, rise, later, look));
}

static void the_refresh_bit_toggles(void **state)
{
    fixture *f = *state;
    int64_t start = vsr_now_ns();
    unsigned changes = 0;
    uint8_t before = in(f, 0x61) & 0x10;

    while (changes < 10) {
        uint8_t now = in(f, 0x61) & 0x10;

        changes += now != before;
        before = now;
        assert_true(vsr_now_ns() - start < 60000 * MS);
    }
    assert_true(vsr_now_ns() - start >= 9 * 15085);
}

static void mode_0_interrupts_once(void **state)
{
    fixture *f = *state;

    out(f, 0x43, 0x30);
    out(f, 0x40, 0xa9);
    out(f, 0x40, 0x04);
    assert_true(wait_rises(f, 1));
    g_usleep(4000);
    assert_int_equal(g_atomic_int_get(&f->rises), 1);
    assert_int_equal(g_atomic_int_get(&f->level), 1);
    out(f, 0x43, 0x30); /* a new mode lowers it */
    assert_int_equal(g_atomic_int_get(&f->level), 0);
}

static void mode_2_interrupts_again_and_again(void **state)
{
    fixture *f = *state;
    int64_t start = vsr_now_ns();

    out(f, 0x43, 0x34);
    out(f, 0x40, 0xa9);
    out(f, 0x40, 0x04);
    assert_true(wait_rises(f, 5));
    assert_true(vsr_now_ns() - start >= 49 * MS / 10);
    out(f, 0x43, 0x30); /* stop */
    start = g_atomic_int_get(&f->rises);
    g_usleep(4000);
    assert_int_equal(g_atomic_int_get(&f->rises), start);
}

static void the_shortest_period_does_not_eat_the_loop(void **state)
{
    fixture *f = *state;
    int64_t start = vsr_now_ns();

    out(f, 0x43, 0x14); /* low byte only, mode 2 */
    out(f, 0x40, 2);
    assert_true(wait_rises(f, 3));
    g_usleep(10000);
    vsr_machine_pause(f->machine);
    assert_true(f->rises * INT64_C(50000) <= vsr_now_ns() - start);
}

static void read_back_gives_status_then_count(void **state)
{
    fixture *f = *state;
    moment load, look;
    uint8_t status;
    uint16_t count;

    do {
        out(f, 0x43, 0x36); /* channel 0, mode 3 */
        out(f, 0x43, 0xe2); /* status only: nothing is loaded yet */
        assert_int_equal(in(f, 0x40), 0xf6);
        out(f, 0x40, 0x00);
        write_at(f, 0x40, 0x00, &load); /* 65536 */
        latch_at(f, 0xc2, &look);       /* both */
        status = in(f, 0x40);
        assert_int_equal(status & 0x7f, 0x36);
        count = in16(f, 0x40);
        /* The output falls after half of the 55 ms. */
    } while (look.before - load.after > 20 * MS);
    assert_int_equal(status & 0x80, 0x80);
    /* Two a tick. */
    assert_in_range((uint16_t)-count / 2, 0,
                    ticks(look.before - load.after) + 1);
}

static void a_latch_holds_until_read(void **state)
{
    fixture *f = *state;
    moment load, look, later;
    uint16_t first, second;

    do {
        out(f, 0x43, 0x30); /* mode 0, which is round at 65536 */
        out(f, 0x40, 0xff);
        write_at(f, 0x40, 0xff, &load);
        latch_at(f, 0x00, &look);
        g_usleep(2000);
        out(f, 0x43, 0x00); /* ignored */
        first = in16(f, 0x40);
        latch_at(f, 0x00, &later);
        second = in16(f, 0x40);
    } while (!counted(0xffff, load, first, look) ||
             !counted(first, look, second, later));
}

static void bcd_counts_in_decimals(void **state)
{
    fixture *f = *state;
    uint16_t value;

    out(f, 0x43, 0xb1);
    out(f, 0x61, 0x01);
    out(f, 0x42, 0x99);
    out(f, 0x42, 0x99);
    for (int i = 0; i < 200; i++) {
        out(f, 0x43, 0x80);
        value = in16(f, 0x42);
        for (int digit = 0; digit < 4; digit++)
            assert_true((value >> (4 * digit) & 0xf) <= 9);
        g_usleep(10);
    }
}

static void it_stands_still_with_the_machine(void **state)
{
    fixture *f = *state;
    int64_t ran;
    uint16_t left;
    gint before;

    /* Until it ran for less than the 40 ms that it has. */
    do {
        vsr_machine_run(f->machine);
        out(f, 0x43, 0x30);
        out(f, 0x40, 0x6f); /* 47727 ticks: 40 ms */
        ran = -vsr_now_ns();
        out(f, 0x40, 0xba);
        before = g_atomic_int_get(&f->rises);
        vsr_machine_pause(f->machine);
        ran += vsr_now_ns();
    } while (ran > 20 * MS);
    g_usleep(50000);
    assert_int_equal(g_atomic_int_get(&f->rises), before);
    ran -= vsr_now_ns();
    vsr_machine_run(f->machine);
    out(f, 0x43, 0x00);
    ran += vsr_now_ns();
    left = in16(f, 0x40);
    assert_in_range((uint16_t)(0xba6f - left), 0, ticks(ran) + 1);
    assert_true(wait_rises(f, before + 1));
}

static void any_bytes_are_survived(void **state)
{
    static const uint16_t ports[] = { 0x40, 0x41, 0x42, 0x43, 0x61 };
    fixture *f = *state;
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (int i = 0; i < 20000; i++) {
        out(f, ports[g_rand_int_range(rand, 0, 5)], (uint8_t)g_rand_int(rand));
        (void)in(f, ports[g_rand_int_range(rand, 0, 5)]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_counter_runs_at_its_frequency),
        TEST(channel_2_is_polled_through_port_61),
        TEST(a_fallen_gate_keeps_the_count),
        TEST(the_refresh_bit_toggles),
        TEST(mode_0_interrupts_once),
        TEST(mode_2_interrupts_again_and_again),
        TEST(the_shortest_period_does_not_eat_the_loop),
        TEST(read_back_gives_status_then_count),
        TEST(a_latch_holds_until_read),
        TEST(bcd_counts_in_decimals),
        TEST(it_stands_still_with_the_machine),
        TEST(any_bytes_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
