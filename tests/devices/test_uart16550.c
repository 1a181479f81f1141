/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/legacy/uart16550.h"

#include "tests/devices/device_fixture.h"

enum { PORT = 0x3f8, GSI = 4, DATA = PORT, IER, IIR, LCR, MCR, LSR, MSR, SCR };

typedef struct {
    device_fixture *f;
    vsr_loop *loop;
    vsr_chardev *chardev;
    GString *output;
} serial;

static void on_output(const void *data, size_t len, void *opaque)
{
    g_string_append_len(opaque, data, (gssize)len);
}

static int setup(void **state)
{
    serial *s = g_new0(serial, 1);
    vsr_chardev_source source = { .kind = VSR_CHARDEV_CALLBACK,
                                  .fd = -1,
                                  .out_fd = -1,
                                  .output = on_output };
    vsr_uart16550_params params = { .port = PORT, .gsi = GSI };

    s->output = g_string_new(NULL);
    source.opaque = s->output;
    s->loop = vsr_loop_new("test", NULL);
    s->chardev = vsr_chardev_new(s->loop, &source, NULL);
    assert_non_null(s->chardev);
    params.chardev = s->chardev;
    s->f = device_fixture_new(&vsr_uart16550_class, &params);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    serial *s = *state;

    device_fixture_free(s->f);
    vsr_chardev_free(s->chardev);
    vsr_loop_free(s->loop);
    g_string_free(s->output, TRUE);
    g_free(s);
    return 0;
}

static void put(serial *s, uint16_t port, uint8_t value)
{
    out8(s->f, port, value);
}

static uint8_t get(serial *s, uint16_t port)
{
    return in8(s->f, port);
}

static bool line(serial *s)
{
    return s->f->chips.level[GSI];
}

typedef struct {
    serial *s;
    uint8_t iir;
} iir_wait;

/* A look at IIR acknowledges THRE only, which these tests do not enable. */
static bool iir_is(void *opaque)
{
    iir_wait *w = opaque;

    return get(w->s, IIR) == w->iir;
}

static void await_iir(serial *s, uint8_t iir)
{
    iir_wait w = { s, iir };

    if (!fake_wait_until(iir_is, &w))
        fail_msg("IIR is %02x, not %02x", get(s, IIR), iir);
}

static bool has_data(void *opaque)
{
    return get(opaque, LSR) & 1;
}

static void output_arrives_and_transmitter_is_always_ready(void **state)
{
    serial *s = *state;
    const char *c;

    for (c = "hello\n"; *c; c++) {
        assert_int_equal(get(s, LSR), 0x60);
        put(s, DATA, (uint8_t)*c);
    }
    vsr_chardev_flush(s->chardev, INT64_C(60000000000));
    assert_string_equal(s->output->str, "hello\n");
}

static void divisor_and_scratch_are_kept(void **state)
{
    serial *s = *state;

    put(s, SCR, 0xa5);
    assert_int_equal(get(s, SCR), 0xa5);
    put(s, LCR, 0x83);
    put(s, DATA, 0x34);
    put(s, IER, 0x12);
    assert_int_equal(get(s, DATA), 0x34);
    assert_int_equal(get(s, IER), 0x12);
    put(s, LCR, 0x03);
    assert_int_equal(get(s, LCR), 0x03);
    assert_int_equal(get(s, IER), 0);
    put(s, IER, 0xff);
    assert_int_equal(get(s, IER), 0x0f);
    assert_int_equal(s->output->len, 0);
}

static void transmitter_empty_interrupt_is_acknowledged_by_iir(void **state)
{
    serial *s = *state;

    assert_int_equal(get(s, IIR), 0x01);
    put(s, IER, 0x02);
    assert_true(line(s));
    assert_int_equal(get(s, IIR), 0x02);
    assert_false(line(s));
    assert_int_equal(get(s, IIR), 0x01);
    put(s, DATA, 'x');
    assert_true(line(s));
    assert_int_equal(get(s, IIR), 0x02);
    /* Off and on again says so again. */
    put(s, IER, 0);
    put(s, IER, 0x02);
    assert_int_equal(get(s, IIR), 0x02);
}

static void input_interrupts_by_trigger_level_and_timeout(void **state)
{
    serial *s = *state;
    char text[9];
    size_t i;

    put(s, IIR, 0x81); /* FIFO, trigger 8 */
    put(s, IER, 0x01);
    vsr_chardev_inject(s->chardev, "ab", 2);
    await_iir(s, 0xcc); /* two of eight, and nothing more came */
    assert_true(line(s));
    vsr_chardev_inject(s->chardev, "cdefgh", 6);
    await_iir(s, 0xc4);
    for (i = 0; i < 8; i++) {
        assert_int_equal(get(s, LSR), 0x61);
        text[i] = (char)get(s, DATA);
    }
    text[8] = '\0';
    assert_string_equal(text, "abcdefgh");
    assert_int_equal(get(s, LSR), 0x60);
    assert_false(line(s));
    assert_int_equal(get(s, IIR), 0xc1);
}

static void long_input_waits_for_the_guest(void **state)
{
    serial *s = *state;
    char sent[200], got[200];
    size_t i;

    for (i = 0; i < sizeof(sent); i++)
        sent[i] = (char)('!' + i % 90);
    put(s, IIR, 0x01);
    assert_int_equal(vsr_chardev_inject(s->chardev, sent, sizeof(sent)),
                     sizeof(sent));
    for (i = 0; i < sizeof(got); i++) {
        assert_true(fake_wait_until(has_data, s));
        got[i] = (char)get(s, DATA);
    }
    assert_memory_equal(sent, got, sizeof(got));
    assert_int_equal(get(s, LSR), 0x60); /* no overrun */
}

static void loopback_returns_bytes_and_modem_lines(void **state)
{
    serial *s = *state;

    put(s, IIR, 0x01);
    assert_int_equal(get(s, MSR), 0xb0);
    put(s, MCR, 0x10 | 0x0a); /* OUT2, RTS: as Linux probes it */
    assert_int_equal(get(s, MSR) & 0xf0, 0x90);
    put(s, MCR, 0x1f);
    assert_int_equal(get(s, MSR) & 0xf0, 0xf0);
    assert_int_equal(get(s, MSR) & 0x0f, 0);
    put(s, IER, 0x01);
    put(s, DATA, 0x5a);
    assert_int_equal(get(s, LSR), 0x61);
    assert_false(line(s)); /* OUT2's gate is off */
    assert_int_equal(get(s, DATA), 0x5a);
    put(s, MCR, 0x0b);
    assert_int_equal(get(s, MSR) & 0xf0, 0xb0);
    vsr_chardev_flush(s->chardev, INT64_C(60000000000));
    assert_int_equal(s->output->len, 0);
}

static void overrun_is_reported_once(void **state)
{
    serial *s = *state;
    int i;

    put(s, MCR, 0x10);
    put(s, IER, 0x04);
    for (i = 0; i < 2; i++)
        put(s, DATA, (uint8_t)i); /* without FIFO there is room for one */
    assert_int_equal(get(s, IIR), 0x06);
    assert_int_equal(get(s, LSR), 0x63);
    assert_int_equal(get(s, LSR), 0x61);
    assert_int_equal(get(s, DATA), 0);
}

static void clearing_the_fifo_drops_input(void **state)
{
    serial *s = *state;
    int i;

    put(s, MCR, 0x10);
    put(s, IIR, 0x01);
    for (i = 0; i < 5; i++)
        put(s, DATA, 1);
    assert_int_equal(get(s, LSR) & 1, 1);
    put(s, IIR, 0x03);
    assert_int_equal(get(s, LSR) & 1, 0);
    assert_int_equal(get(s, IIR), 0xc1);
    put(s, IIR, 0x00);
    assert_int_equal(get(s, IIR), 0x01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            output_arrives_and_transmitter_is_always_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(divisor_and_scratch_are_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            transmitter_empty_interrupt_is_acknowledged_by_iir, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            input_interrupts_by_trigger_level_and_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(long_input_waits_for_the_guest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(loopback_returns_bytes_and_modem_lines,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(overrun_is_reported_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(clearing_the_fifo_drops_input, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
