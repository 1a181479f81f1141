/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_blk.c: requests and configuration of a virtio disk. */
#include "tests/devices/blk_fixture.h"

/* --- transfers ---------------------------------------------------------------- */

static void reads_and_writes_on(driver_transport transport)
{
    disk *k =
        open_disk(transport, (vsr_virtio_blk_params){ 0 }, false, UINT64_MAX);
    uint32_t written, before = driver_interrupts(k->d, 0);

    memset(data(k), 0x5a, 4096);
    assert_int_equal(request(k, T_OUT, 3, 4096, &written), S_OK);
    assert_int_equal(written, 1);
    assert_true(driver_wait_interrupt(k->d, 0, before));
    driver_take_isr(k->d);
    assert_int_equal(fake_block_bytes(k->block)[3 * 512 - 1], 0);
    assert_int_equal(fake_block_bytes(k->block)[3 * 512], 0x5a);
    assert_int_equal(fake_block_bytes(k->block)[11 * 512 - 1], 0x5a);
    assert_int_equal(fake_block_bytes(k->block)[11 * 512], 0);
    fake_block_bytes(k->block)[4 * 512] = 0x33;
    memset(data(k), 0, 4096);
    assert_int_equal(request(k, T_IN, 4, 1024, &written), S_OK);
    assert_int_equal(written, 1025);
    assert_int_equal(data(k)[0], 0x33);
    assert_int_equal(data(k)[1023], 0x5a);
    assert_int_equal(data(k)[1024], 0);
    assert_int_equal(request(k, T_IN, SECTORS - 1, 512, &written), S_OK);
    assert_int_equal(request(k, T_IN, 0, 0, &written), S_OK);
    assert_int_equal(fake_block_get(k->block).unplugged, 0);
    close_disk(k);
}

static void pci_reads_and_writes(void **state)
{
    reads_and_writes_on(DRIVER_PCI);
}

static void mmio_reads_and_writes(void **state)
{
    reads_and_writes_on(DRIVER_MMIO);
}

/* 2.7.4: nothing may be concluded from how a request is cut into buffers. */
static void any_framing_is_the_same(void **state)
{
    disk *k = open_plain();
    driver *d = k->d;
    uint64_t whole = driver_alloc(d, 16 + 512, 1);
    uint64_t tail = driver_alloc(d, 512 + 1, 1);
    const driver_buffer out[] = {
        { whole, 7, false },           { whole + 7, 1, false },
        { whole + 8, 8 + 100, false }, { whole + 116, 411, false },
        { whole + 527, 1, false },     { k->status, 1, true }
    };
    const driver_buffer in[] = { { whole, 16, false },
                                 { tail, 1, true },
                                 { tail + 1, 500, true },
                                 { tail + 501, 12, true } };
    uint32_t written;

    for (unsigned i = 0; i < 2; i++) {
        put_header(k, T_OUT, 9 + i);
        memcpy(driver_ram(d, whole, 16), driver_ram(d, k->header, 16), 16);
        memset(driver_ram(d, whole + 16, 512), 0x40 + (int)i, 512);
        if (i == 0)
            driver_add(d, 0, out, G_N_ELEMENTS(out));
        else
            driver_add_indirect(d, 0, out, G_N_ELEMENTS(out));
        driver_kick(d, 0);
        assert_true(driver_wait(d, 0, NULL, NULL));
        assert_int_equal(status_of(k), S_OK);
        assert_int_equal(fake_block_bytes(k->block)[(9 + i) * 512], 0x40 + i);
        assert_int_equal(fake_block_bytes(k->block)[(9 + i) * 512 + 511],
                         0x40 + i);
    }
    put_header(k, T_IN, 9);
    memcpy(driver_ram(d, whole, 16), driver_ram(d, k->header, 16), 16);
    driver_add(d, 0, in, G_N_ELEMENTS(in));
    driver_kick(d, 0);
    assert_true(driver_wait(d, 0, NULL, &written));
    assert_int_equal(written, 513);
    assert_int_equal(((uint8_t *)driver_ram(d, tail, 513))[511], 0x40);
    assert_int_equal(((uint8_t *)driver_ram(d, tail, 513))[512], S_OK);
    close_disk(k);
}

static void serial_is_told(void **state)
{
    disk *k = open_disk(
        DRIVER_PCI,
        (vsr_virtio_blk_params){ .serial = "0123456789abcdefghijXYZ" }, false,
        UINT64_MAX);
    uint32_t written;

    assert_int_equal(request(k, T_GET_ID, 0, 20, &written), S_OK);
    assert_int_equal(written, 21);
    assert_memory_equal(data(k), "0123456789abcdefghij", 20);
    memset(data(k), 0x77, 64);
    assert_int_equal(request(k, T_GET_ID, 0, 64, &written), S_OK);
    assert_int_equal(written, 20);
    assert_int_equal(data(k)[20], 0x77);
    assert_int_equal(request(k, T_GET_ID, 0, 3, &written), S_OK);
    assert_int_equal(written, 4);
    close_disk(k);
}

/* --- what is refused -------------------------------------------------------------- */

static void bad_requests_fail(void **state)
{
    disk *k = open_plain();
    vsr_virtio_blk_stats stats;
    uint32_t written;

    assert_int_equal(request(k, T_IN, SECTORS, 512, &written), S_IOERR);
    assert_int_equal(written, 0);
    assert_int_equal(request(k, T_IN, SECTORS - 1, 1024, NULL), S_IOERR);
    assert_int_equal(request(k, T_OUT, UINT64_MAX, 512, NULL), S_IOERR);
    assert_int_equal(request(k, T_OUT, UINT64_MAX / 512, 512, NULL), S_IOERR);
    assert_int_equal(request(k, T_IN, 0, 511, NULL), S_IOERR);
    assert_int_equal(request(k, T_OUT, 0, 513, NULL), S_IOERR);
    assert_int_equal(request(k, 2, 0, 0, NULL), S_UNSUPP);
    assert_int_equal(request(k, 0x12345678, 0, 512, NULL), S_UNSUPP);
    vsr_virtio_blk_get_stats(&k->d->device->device, &stats);
    assert_int_equal(stats.refused, 8);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(fake_block_get(k->block).seen[VSR_BLOCK_READ], 0);
    assert_int_equal(request(k, T_IN, 0, 512, NULL), S_OK);
    close_disk(k);
}

static void read_only_disks_are_not_written(void **state)
{
    disk *k =
        open_disk(DRIVER_PCI, (vsr_virtio_blk_params){ 0 }, true, UINT64_MAX);
    range *r = (range *)data(k);

    assert_true(driver_offered(k->d) & F_RO);
    assert_false(driver_offered(k->d) & F_DISCARD);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_IOERR);
    *r = (range){ .sector = 0, .sectors = 1 };
    assert_int_equal(request(k, T_DISCARD, 0, 16, NULL), S_IOERR);
    assert_int_equal(request(k, T_WRITE_ZEROES, 0, 16, NULL), S_IOERR);
    assert_int_equal(request(k, T_IN, 0, 512, NULL), S_OK);
    assert_int_equal(request(k, T_FLUSH, 0, 0, NULL), S_OK);
    close_disk(k);
}

/* Nobody can be told: the device as a whole says so. */
static void half_requests_break_the_device(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        disk *k = open_plain();
        driver *d = k->d;
        uint32_t before = driver_interrupts(d, UINT32_MAX);
        const driver_buffer b[] = { { k->header, i == 0 ? 15 : 16, false },
                                    { k->status, 1, true } };

        put_header(k, T_FLUSH, 0);
        if (i == 0)
            driver_add(d, 0, b, 2);
        else if (i == 1) /* no status */
            driver_add(d, 0, b, 1);
        else if (i == 2) /* no header */
            driver_add(d, 0, b + 1, 1);
        else
            driver_add_indirect(d, 0, b, 1);
        driver_kick(d, 0);
        assert_true(driver_wait_interrupt(d, UINT32_MAX, before));
        assert_true(driver_status(d) & VSR_VIRTIO_NEEDS_RESET);
        assert_int_equal(status_of(k), S_NONE);
        driver_start(d, UINT64_MAX, 1);
        assert_int_equal(request(k, T_IN, 0, 512, NULL), S_OK);
        close_disk(k);
    }
}

/* The same chain again and again, before it is used: we store no more of them
 * than the queue has entries. */
static void a_chain_given_twice_breaks_the_queue(void **state)
{
    disk *k = open_plain();
    driver *d = k->d;
    const driver_buffer b[] = { { k->header, 16, false },
                                { k->status, 1, true } };
    vsr_virtio_blk_stats stats;
    uint16_t head;

    fake_block_hold(k->block, true);
    put_header(k, T_FLUSH, 0);
    head = driver_add(d, 0, b, 2);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < d->queue[0].size; i++) {
            driver_publish(d, 0, head);
            driver_kick(d, 0);
            if (i % 16 == 0)
                driver_settle(d);
        }
    }
    driver_settle(d);
    vsr_virtio_blk_get_stats(&d->device->device, &stats);
    assert_int_equal(stats.in_flight, d->queue[0].size);
    assert_true(driver_status(d) & VSR_VIRTIO_NEEDS_RESET);
    fake_block_hold(k->block, false);
    close_disk(k);
}

/* --- flushes, discards ---------------------------------------------------------------- */

static void cache_mode_is_the_drivers(void **state)
{
    disk *k = open_plain();

    assert_int_equal(driver_config(k->d, 32, 1), 1);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_OK);
    assert_int_equal(fake_block_get(k->block).fua, 0);
    driver_set_config(k->d, 32, 1, 0);
    assert_int_equal(driver_config(k->d, 32, 1), 0);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_OK);
    assert_int_equal(fake_block_get(k->block).fua, 1);
    assert_int_equal(request(k, T_IN, 0, 512, NULL), S_OK);
    assert_int_equal(fake_block_get(k->block).fua, 1);
    assert_int_equal(request(k, T_FLUSH, 0, 0, NULL), S_OK);
    assert_int_equal(fake_block_get(k->block).seen[VSR_BLOCK_FLUSH], 1);
    /* Back to what it was by a reset. */
    driver_start(k->d, UINT64_MAX, 1);
    assert_int_equal(driver_config(k->d, 32, 1), 1);
    /* A driver that cannot flush has each write flushed. */
    driver_start(k->d, ~(F_FLUSH | F_CONFIG_WCE), 1);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_OK);
    assert_int_equal(fake_block_get(k->block).fua, 2);
    close_disk(k);
}

static void ranges_are_discarded_and_zeroed(void **state)
{
    disk *k = open_plain();
    range *r = (range *)data(k);
    uint8_t *bytes = fake_block_bytes(k->block);

    memset(bytes, 0xff, SECTORS * 512);
    r[0] = (range){ .sector = 10, .sectors = 2 };
    r[1] = (range){ .sector = 20, .sectors = 1 };
    assert_int_equal(request(k, T_DISCARD, 0, 32, NULL), S_OK);
    assert_int_equal(fake_block_get(k->block).seen[VSR_BLOCK_DISCARD], 2);
    assert_int_equal(bytes[10 * 512 - 1], 0xff);
    assert_int_equal(bytes[10 * 512], 0);
    assert_int_equal(bytes[12 * 512 - 1], 0);
    assert_int_equal(bytes[12 * 512], 0xff);
    assert_int_equal(bytes[20 * 512], 0);
    r[0] = (range){ .sector = SECTORS - 1, .sectors = 1, .flags = 1 };
    assert_int_equal(request(k, T_WRITE_ZEROES, 0, 16, NULL), S_OK);
    assert_int_equal(bytes[SECTORS * 512 - 1], 0);
    assert_int_equal(fake_block_get(k->block).may_unmap, 1);

    /* 5.2.6.2: flags that are not known, or not for this. */
    assert_int_equal(request(k, T_DISCARD, 0, 16, NULL), S_UNSUPP);
    r[0].flags = 2;
    assert_int_equal(request(k, T_WRITE_ZEROES, 0, 16, NULL), S_UNSUPP);
    r[0] = (range){ .sector = SECTORS - 1, .sectors = 2 };
    assert_int_equal(request(k, T_WRITE_ZEROES, 0, 16, NULL), S_IOERR);
    r[0] = (range){ .sector = 1, .sectors = 0 };
    assert_int_equal(request(k, T_DISCARD, 0, 16, NULL), S_IOERR);
    r[0] = (range){ .sector = 1, .sectors = 1 };
    assert_int_equal(request(k, T_DISCARD, 0, 15, NULL), S_IOERR);
    assert_int_equal(request(k, T_DISCARD, 0, 0, NULL), S_IOERR);
    for (unsigned i = 0; i < 17; i++)
        r[i] = (range){ .sector = i, .sectors = 1 };
    assert_int_equal(request(k, T_DISCARD, 0, 17 * 16, NULL), S_IOERR);
    assert_int_equal(request(k, T_DISCARD, 0, 16 * 16, NULL), S_OK);
    assert_int_equal(driver_config(k->d, 40, 4), 16);
    assert_int_equal(driver_config(k->d, 52, 4), 16);
    /* A file that has no holes. */
    fake_block_fail(k->block, VSR_BLOCK_DISCARD, 1, -ENOTSUP);
    assert_int_equal(request(k, T_DISCARD, 0, 16, NULL), S_UNSUPP);
    close_disk(k);
}

/* --- configuration -------------------------------------------------------------------- */

static void configuration_says_what_it_is(void **state)
{
    disk *k = open_disk(DRIVER_MMIO,
                        (vsr_virtio_blk_params){ .n_queues = 4,
                                                 .queue_size = 64,
                                                 .cylinders = 3,
                                                 .heads = 5,
                                                 .sectors = 7,
                                                 .logical_block = 512 },
                        false, UINT64_MAX);
    driver *d = k->d;

    assert_int_equal(driver_config(d, 0, 8), SECTORS);
    assert_int_equal(driver_config(d, 8, 4), 1 << 20);
    assert_int_equal(driver_config(d, 12, 4), 62);
    assert_int_equal(driver_config(d, 16, 2), 3);
    assert_int_equal(driver_config(d, 18, 1), 5);
    assert_int_equal(driver_config(d, 19, 1), 7);
    assert_int_equal(driver_config(d, 20, 4), 512);
    assert_int_equal(driver_config(d, 24, 1), 3); /* 4096 */
    assert_int_equal(driver_config(d, 26, 2), 8);
    assert_int_equal(driver_config(d, 34, 2), 4);
    assert_int_equal(driver_config(d, 60, 4), 0);
    assert_int_equal(driver_queue_max(d, 3), 64);
    assert_int_equal(driver_queue_max(d, 4), 0);
    /* Of it all only the cache mode can be written, and of that one bit. */
    for (uint32_t i = 0; i < 256; i += 4)
        driver_set_config(d, i, 4, UINT32_MAX);
    assert_int_equal(driver_config(d, 0, 8), SECTORS);
    assert_int_equal(driver_config(d, 32, 2), 1);
    close_disk(k);
}

static void wrong_parameters_are_refused(void **state)
{
    const vsr_virtio_blk_params bad[] = {
        { .n_queues = 65 },       { .queue_size = 100 },
        { .queue_size = 2048 },   { .logical_block = 300 },
        { .logical_block = 256 }, { .physical_block = 5000 },
    };
    driver *d = driver_new(DRIVER_PCI);
    vsr_block *block = fake_block_new(d->machine->loop, 512, false);

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        vsr_virtio_blk_params p = bad[i];
        GError *error = NULL;

        p.virtio = driver_params(d);
        p.block = block;
        assert_null(vsr_device_new(d->machine, &vsr_virtio_blk_class, "vda", &p,
                                   &error));
        assert_non_null(strstr(error->message, "'vda'"));
        g_error_free(error);
    }
    driver_free(d);
    fake_block_free(block);
}

static void a_resize_is_told_while_it_runs(void **state)
{
    disk *k = open_plain();
    driver *d = k->d;
    uint32_t before = driver_interrupts(d, UINT32_MAX);
    uint8_t generation = driver_generation(d);
    GError *error = NULL;

    assert_int_equal(request(k, T_IN, SECTORS, 512, NULL), S_IOERR);
    assert_false(vsr_virtio_blk_resize(&d->device->device, 512, &error));
    g_clear_error(&error);
    assert_int_equal(driver_interrupts(d, UINT32_MAX), before);
    assert_true(
        vsr_virtio_blk_resize(&d->device->device, (SECTORS + 8) * 512, &error));
    assert_true(driver_wait_interrupt(d, UINT32_MAX, before));
    assert_int_not_equal(driver_generation(d), generation);
    assert_int_equal(driver_take_isr(d) & 2, 2);
    assert_int_equal(driver_config(d, 0, 8), SECTORS + 8);
    assert_int_equal(request(k, T_IN, SECTORS, 512, NULL), S_OK);
    close_disk(k);
}

/* --- queues ----------------------------------------------------------------------------- */

static void every_queue_has_its_own_interrupt(void **state)
{
    disk *k = open_disk(DRIVER_PCI, (vsr_virtio_blk_params){ .n_queues = 3 },
                        false, UINT64_MAX);
    uint32_t before[3];

    for (uint32_t i = 0; i < 3; i++)
        before[i] = driver_interrupts(k->d, i);
    start(k, 2, T_IN, 0, 512);
    assert_true(driver_wait(k->d, 2, NULL, NULL));
    assert_true(driver_wait_interrupt(k->d, 2, before[2]));
    assert_int_equal(driver_interrupts(k->d, 0), before[0]);
    assert_int_equal(driver_interrupts(k->d, 1), before[1]);
    close_disk(k);
}

static void a_bunch_has_one_interrupt(void **state)
{
    enum { BUNCH = 32 };
    disk *k = open_disk(DRIVER_PCI, (vsr_virtio_blk_params){ 0 }, false,
                        ~VSR_VIRTIO_F_EVENT_IDX);
    driver *d = k->d;
    const driver_buffer b[] = { { k->header, 16, false },
                                { k->data, 512, true },
                                { k->status, 1, true } };
    uint32_t before = driver_interrupts(d, 0);

    fake_block_hold(k->block, true);
    put_header(k, T_IN, 0);
    for (unsigned i = 0; i < BUNCH; i++)
        driver_add(d, 0, b, 3);
    driver_kick(d, 0);
    driver_settle(d);
    assert_int_equal(fake_block_get(k->block).waiting, BUNCH);
    fake_block_hold(k->block, false);
    for (unsigned i = 0; i < BUNCH; i++)
        assert_true(driver_wait(d, 0, NULL, NULL));
    driver_settle(d);
    /* One for the bunch, and one for the last, which is told at once. */
    assert_in_range(driver_interrupts(d, 0), before + 1, before + 2);
    close_disk(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pci_reads_and_writes),
        cmocka_unit_test(mmio_reads_and_writes),
        cmocka_unit_test(any_framing_is_the_same),
        cmocka_unit_test(serial_is_told),
        cmocka_unit_test(bad_requests_fail),
        cmocka_unit_test(read_only_disks_are_not_written),
        cmocka_unit_test(half_requests_break_the_device),
        cmocka_unit_test(a_chain_given_twice_breaks_the_queue),
        cmocka_unit_test(cache_mode_is_the_drivers),
        cmocka_unit_test(ranges_are_discarded_and_zeroed),
        cmocka_unit_test(configuration_says_what_it_is),
        cmocka_unit_test(wrong_parameters_are_refused),
        cmocka_unit_test(a_resize_is_told_while_it_runs),
        cmocka_unit_test(every_queue_has_its_own_interrupt),
        cmocka_unit_test(a_bunch_has_one_interrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
