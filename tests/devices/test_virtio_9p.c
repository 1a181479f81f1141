/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_9p.c: 9P over a queue: many at once, resets in between, requests
 * that are none. What the messages mean is tests/fs9p's. */
#include "devices/virtio/p9.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "fs9p/messages.h"
#include "tests/devices/virtio_driver.h"

enum { ROOM = 256 };

typedef struct {
    driver *d;
    char *dir;
    uint64_t request, reply;
} fixture;

static fixture fixture_new(driver_transport transport)
{
    fixture f = { .d = driver_new(transport),
                  .dir = g_dir_make_tmp("9p-XXXXXX", NULL) };
    vsr_virtio_9p_params p = { .virtio = driver_params(f.d), .tag = "shared" };

    p.fs.access = VSR_FS9P_SQUASH;
    p.fs.root_fd = open(f.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    driver_attach(f.d, &vsr_virtio_9p_class, &p);
    return f;
}

static void fixture_end(fixture *f)
{
    driver_free(f->d);
    assert_int_equal(rmdir(f->dir), 0);
    g_free(f->dir);
}

static void start(fixture *f)
{
    f->d->ram_next = 1 << 20;
    driver_start(f->d, VSR_VIRTIO_F_EVENT_IDX | VSR_VIRTIO_F_INDIRECT_DESC, 1);
    f->request = driver_alloc(f->d, ROOM, 8);
    f->reply = driver_alloc(f->d, ROOM, 8);
}

static void put_header(uint8_t *p, uint32_t len, uint8_t type, uint16_t tag)
{
    memcpy(p, &len, 4);
    p[4] = type;
    memcpy(p + 5, &tag, 2);
}

/* Its answer is at f->reply; its length. */
static uint32_t ask(fixture *f, uint8_t type, const void *body, uint32_t len)
{
    const driver_buffer b[] = { { f->request, 7, false },
                                { f->request + 7, len, false },
                                { f->reply, 11, true },
                                { f->reply + 11, ROOM - 11, true } };
    uint8_t *p = driver_ram(f->d, f->request, ROOM);
    uint32_t got = 0;

    put_header(p, 7 + len, type, 5);
    memcpy(p + 7, body, len);
    driver_add(f->d, 0, b, 4);
    driver_kick(f->d, 0);
    assert_true(driver_wait(f->d, 0, NULL, &got));
    return got;
}

static uint8_t reply_type(fixture *f)
{
    return ((uint8_t *)driver_ram(f->d, f->reply, ROOM))[4];
}

static void say_hello(fixture *f)
{
    static const uint8_t hello[] = "\0\0\1\0\x08\0"
                                   "9P2000.L";
    uint8_t attach[16] = { 0 };

    assert_int_equal(ask(f, TVERSION, hello, sizeof(hello) - 1), 7 + 4 + 10);
    assert_int_equal(reply_type(f), TVERSION + 1);
    assert_int_equal(ask(f, TATTACH, attach, sizeof(attach)), 7 + 13);
    assert_int_equal(reply_type(f), TATTACH + 1);
}

/* --- tests ------------------------------------------------------------------------- */

static void a_guest_finds_the_tag_and_is_served(void **state)
{
    for (int transport = DRIVER_PCI; transport <= DRIVER_MMIO; transport++) {
        fixture f = fixture_new((driver_transport)transport);

        assert_true((driver_offered(f.d) & 1) != 0);
        assert_int_equal(driver_config(f.d, 0, 2), 6);
        for (uint32_t i = 0; i < 6; i++)
            assert_int_equal(driver_config(f.d, 2 + i, 1), "shared"[i]);
        start(&f);
        say_hello(&f);
        fixture_end(&f);
    }
}

static void many_are_answered_at_once(void **state)
{
    fixture f = fixture_new(DRIVER_PCI);
    uint32_t n = 0;

    start(&f);
    say_hello(&f);
    /* Each a clunk of what there is not, with a tag of its own. */
    for (uint16_t i = 0; i < 60; i++) {
        uint64_t at = driver_alloc(f.d, 32, 8);
        const driver_buffer b[] = { { at, 11, false }, { at + 16, 16, true } };

        put_header(driver_ram(f.d, at, 32), 11, TCLUNK, i);
        memset((uint8_t *)driver_ram(f.d, at, 32) + 7, 0x55, 4);
        driver_add(f.d, 0, b, 2);
    }
    driver_kick(f.d, 0);
    for (uint32_t len = 0; n < 60 && driver_wait(f.d, 0, NULL, &len); n++)
        assert_int_equal(len, 11);
    assert_int_equal(n, 60);
    fixture_end(&f);
}

static void a_reset_closes_all(void **state)
{
    fixture f = fixture_new(DRIVER_PCI);
    const uint32_t root = 0;

    for (int i = 0; i < 20; i++) {
        start(&f);
        say_hello(&f);
        /* Some are under way when it comes. */
        for (uint32_t k = 0; k < 30; k++) {
            const driver_buffer b[] = { { f.request, 7, false },
                                        { f.reply, ROOM, true } };

            put_header(driver_ram(f.d, f.request, 7), 7, TCLUNK, 1);
            driver_add(f.d, 0, b, 2);
        }
        driver_kick(f.d, 0);
        driver_set_status(f.d, 0);
    }
    start(&f);
    (void)ask(&f, TCLUNK, &root, 4);
    assert_int_equal(reply_type(&f), RLERROR); /* no session yet */
    say_hello(&f);
    fixture_end(&f);
}

static void a_request_that_is_none_needs_a_reset(void **state)
{
    static const struct {
        uint32_t out, in;
    } sizes[] = { { 3, 64 }, { 7, 5 }, { 0, 64 }, { 64, 0 } };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        fixture f = fixture_new(DRIVER_PCI);
        driver_buffer b[2];
        uint32_t n = 0;

        start(&f);
        if (sizes[i].out > 0)
            b[n++] = (driver_buffer){ f.request, sizes[i].out, false };
        if (sizes[i].in > 0)
            b[n++] = (driver_buffer){ f.reply, sizes[i].in, true };
        driver_add(f.d, 0, b, n);
        driver_kick(f.d, 0);
        assert_true(driver_wait(f.d, 0, NULL, NULL));
        driver_settle(f.d);
        for (int k = 0; k < 600000 && driver_status(f.d) == 15; k++)
            g_usleep(100);
        assert_true((driver_status(f.d) & VSR_VIRTIO_NEEDS_RESET) != 0);
        start(&f);
        say_hello(&f);
        fixture_end(&f);
    }
}

static void a_chain_published_twice_gets_no_more_room(void **state)
{
    fixture f = fixture_new(DRIVER_PCI);
    const driver_buffer b[] = { { 0, 7, false }, { 0, 64, true } };
    driver_buffer two[2] = { b[0], b[1] };
    uint16_t head;

    start(&f);
    two[0].gpa = f.request;
    two[1].gpa = f.reply;
    put_header(driver_ram(f.d, f.request, 7), 7, TCLUNK, 1);
    head = driver_add(f.d, 0, two, 2);
    for (uint32_t i = 0; i < 5000; i++) {
        driver_publish(f.d, 0, head);
        if (i % 100 == 0)
            driver_kick(f.d, 0);
    }
    driver_kick(f.d, 0);
    driver_settle(f.d);
    driver_set_status(f.d, 0);
    start(&f);
    say_hello(&f);
    fixture_end(&f);
}

static void wrong_parameters_are_refused(void **state)
{
    fixture f = fixture_new(DRIVER_PCI);
    g_autofree char *tag = g_strnfill(129, 't');
    const char *const tags[] = { "", tag, "fine" };
    vsr_virtio_9p_params p = { .virtio = driver_params(f.d) };
    GError *error = NULL;

    p.virtio.devfn = 6 << 3;
    p.fs.access = VSR_FS9P_SQUASH;
    p.fs.root_fd = -1;
    for (size_t i = 0; i < G_N_ELEMENTS(tags); i++) {
        p.tag = tags[i];
        assert_null(vsr_device_new(f.d->machine, &vsr_virtio_9p_class, "other",
                                   &p, &error));
        assert_non_null(error);
        g_clear_error(&error);
    }
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_finds_the_tag_and_is_served),
        cmocka_unit_test(many_are_answered_at_once),
        cmocka_unit_test(a_reset_closes_all),
        cmocka_unit_test(a_request_that_is_none_needs_a_reset),
        cmocka_unit_test(a_chain_published_twice_gets_no_more_room),
        cmocka_unit_test(wrong_parameters_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
