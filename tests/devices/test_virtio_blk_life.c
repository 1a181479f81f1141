/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_blk_life.c: a virtio disk whose host fails, pauses, resets. */
#include "tests/devices/blk_fixture.h"

/* --- errors of the host -------------------------------------------------------------------- */

static disk *open_with_policy(vsr_virtio_blk_policy policy)
{
    return open_disk(
        DRIVER_PCI,
        (vsr_virtio_blk_params){ .read_error = policy, .write_error = policy },
        false, UINT64_MAX);
}

static void errors_are_reported(void **state)
{
    disk *k = open_with_policy(VSR_VIRTIO_BLK_REPORT);
    uint32_t written;

    fake_block_fail(k->block, VSR_BLOCK_READ, 1, -EIO);
    assert_int_equal(request(k, T_IN, 0, 512, &written), S_IOERR);
    assert_int_equal(written, 0);
    driver_settle(k->d);
    assert_int_equal(g_atomic_int_get(&k->n_failed), 1);
    assert_int_equal(k->action, VSR_VIRTIO_BLK_REPORT);
    assert_int_equal(k->error, EIO);
    assert_int_equal(request(k, T_IN, 0, 512, NULL), S_OK);
    close_disk(k);
}

static void errors_are_ignored(void **state)
{
    disk *k = open_with_policy(VSR_VIRTIO_BLK_IGNORE);

    fake_block_fail(k->block, VSR_BLOCK_OPS, 2, -EIO);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_OK);
    assert_int_equal(request(k, T_FLUSH, 0, 0, NULL), S_OK);
    driver_settle(k->d);
    assert_int_equal(g_atomic_int_get(&k->n_failed), 2);
    assert_int_equal(k->action, VSR_VIRTIO_BLK_IGNORE);
    close_disk(k);
}

static void a_stop_keeps_requests_for_later(void **state)
{
    disk *k = open_with_policy(VSR_VIRTIO_BLK_STOP);
    driver *d = k->d;
    vsr_device *device = &d->device->device;
    const driver_buffer b[] = { { k->header, 16, false },
                                { k->data, 512, false },
                                { k->status, 1, true } };
    vsr_virtio_blk_stats stats;

    memset(data(k), 0x11, 512);
    fake_block_hold(k->block, true);
    put_header(k, T_OUT, 5);
    for (unsigned i = 0; i < 3; i++)
        driver_add(d, 0, b, 3);
    driver_kick(d, 0);
    driver_settle(d);
    fake_block_fail(k->block, VSR_BLOCK_WRITE, 2, -EIO);
    fake_block_hold(k->block, false);
    assert_true(driver_wait(d, 0, NULL, NULL)); /* the third */
    driver_settle(d);
    vsr_virtio_blk_get_stats(device, &stats);
    assert_int_equal(stats.kept, 2);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(g_atomic_int_get(&k->n_failed), 1);
    assert_int_equal(k->action, VSR_VIRTIO_BLK_STOP);
    /* Nothing new is begun. */
    driver_add(d, 0, b, 3);
    driver_kick(d, 0);
    driver_settle(d);
    assert_int_equal(fake_block_get(k->block).seen[VSR_BLOCK_WRITE], 3);
    vsr_virtio_blk_class.quiesce(device);
    assert_false(driver_take(d, 0, NULL, NULL));
    vsr_virtio_blk_class.unquiesce(device);
    for (unsigned i = 0; i < 3; i++)
        assert_true(driver_wait(d, 0, NULL, NULL));
    assert_int_equal(status_of(k), S_OK);
    assert_int_equal(fake_block_bytes(k->block)[5 * 512], 0x11);
    vsr_virtio_blk_get_stats(device, &stats);
    assert_int_equal(stats.kept, 0);
    close_disk(k);
}

static void enospc_stops_and_the_rest_is_reported(void **state)
{
    disk *k = open_with_policy(VSR_VIRTIO_BLK_ENOSPC);
    vsr_virtio_blk_stats stats;

    fake_block_fail(k->block, VSR_BLOCK_WRITE, 1, -EIO);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_IOERR);
    fake_block_fail(k->block, VSR_BLOCK_WRITE, 1, -ENOSPC);
    start(k, 0, T_OUT, 0, 512);
    driver_settle(k->d);
    vsr_virtio_blk_get_stats(&k->d->device->device, &stats);
    assert_int_equal(stats.kept, 1);
    assert_int_equal(k->action, VSR_VIRTIO_BLK_STOP);
    assert_int_equal(k->error, ENOSPC);
    /* A reset forgets it. */
    driver_start(k->d, UINT64_MAX, 1);
    vsr_virtio_blk_get_stats(&k->d->device->device, &stats);
    assert_int_equal(stats.kept, 0);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_OK);
    close_disk(k);
}

static void policies_change_while_it_runs(void **state)
{
    disk *k = open_with_policy(VSR_VIRTIO_BLK_REPORT);
    vsr_device *device = &k->d->device->device;

    fake_block_fail(k->block, VSR_BLOCK_OPS, 1, -EIO);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_IOERR);
    vsr_virtio_blk_set_policies(device, VSR_VIRTIO_BLK_REPORT,
                                VSR_VIRTIO_BLK_IGNORE);
    fake_block_fail(k->block, VSR_BLOCK_OPS, 1, -EIO);
    assert_int_equal(request(k, T_OUT, 0, 512, NULL), S_OK);
    fake_block_fail(k->block, VSR_BLOCK_OPS, 1, -EIO);
    assert_int_equal(request(k, T_IN, 0, 512, NULL), S_IOERR);
    close_disk(k);
}

/* --- ends ------------------------------------------------------------------------------------ */

/* Once the device waits for what is in flight: before that it tells what a
 * throttle keeps to end. */
static void *let_go(void *opaque)
{
    while (fake_block_get(opaque).cancelled == 0)
        g_usleep(100);
    g_usleep(20000);
    fake_block_hold(opaque, false);
    return NULL;
}

/* What is in flight ends first, and no byte of RAM changes after. */
static void a_reset_waits_for_the_host(driver_transport transport, int how)
{
    disk *k =
        open_disk(transport, (vsr_virtio_blk_params){ 0 }, false, UINT64_MAX);
    driver *d = k->d;
    vsr_virtio_blk_stats stats;
    GThread *thread;

    memset(fake_block_bytes(k->block), 0x99, 512);
    fake_block_hold(k->block, true);
    start(k, 0, T_IN, 0, 512);
    driver_settle(d);
    assert_int_equal(fake_block_get(k->block).waiting, 1);
    thread = g_thread_new("let-go", let_go, k->block);
    if (how == 0)
        driver_set_status(d, 0);
    else if (how == 1)
        vsr_virtio_blk_class.reset(&d->device->device);
    else
        driver_pci_set(d, VSR_PCI_COMMAND, 2, VSR_PCI_COMMAND_MEMORY);
    assert_int_equal(fake_block_get(k->block).waiting, 0);
    vsr_virtio_blk_get_stats(&d->device->device, &stats);
    assert_int_equal(stats.in_flight, 0);
    g_thread_join(thread);
    assert_int_equal(driver_used_idx(d, 0), 0);
    assert_int_equal(status_of(k), S_NONE);
    if (how != 0)
        driver_probe(d);
    driver_start(d, UINT64_MAX, 1);
    assert_int_equal(request(k, T_IN, 0, 512, NULL), S_OK);
    close_disk(k);
}

static void reset_waits(void **state)
{
    a_reset_waits_for_the_host(DRIVER_PCI, 0);
    a_reset_waits_for_the_host(DRIVER_MMIO, 0);
    a_reset_waits_for_the_host(DRIVER_PCI, 1);
    a_reset_waits_for_the_host(DRIVER_MMIO, 1);
    a_reset_waits_for_the_host(DRIVER_PCI, 2);
}

static void a_pause_waits_and_holds_back(void **state)
{
    disk *k = open_plain();
    driver *d = k->d;
    GThread *thread;

    fake_block_hold(k->block, true);
    start(k, 0, T_OUT, 0, 512);
    driver_settle(d);
    thread = g_thread_new("let-go", let_go, k->block);
    vsr_virtio_blk_class.quiesce(&d->device->device);
    assert_true(driver_take(d, 0, NULL, NULL)); /* it was not forgotten */
    g_thread_join(thread);
    start(k, 0, T_OUT, 0, 512);
    driver_settle(d);
    assert_int_equal(fake_block_get(k->block).seen[VSR_BLOCK_WRITE], 1);
    vsr_virtio_blk_class.unquiesce(&d->device->device);
    assert_true(driver_wait(d, 0, NULL, NULL));
    close_disk(k);
}

/* A pause does not wait for a throttle, nor does a reset: what it keeps is begun
 * again after the pause, and forgotten by the reset. */
static void a_throttle_is_not_waited_for(void **state)
{
    disk *k = open_plain();
    driver *d = k->d;
    vsr_virtio_blk_stats stats;
    range *r = (range *)data(k);

    r[0] = (range){ .sector = 1, .sectors = 1 };
    r[1] = (range){ .sector = 3, .sectors = 1 };
    memset(fake_block_bytes(k->block), 0xff, 4 * 512);
    fake_block_throttle(k->block, true);
    start(k, 0, T_WRITE_ZEROES, 0, 32);
    driver_settle(d);
    assert_int_equal(fake_block_get(k->block).waiting, 1);
    vsr_virtio_blk_class.quiesce(&d->device->device);
    vsr_virtio_blk_get_stats(&d->device->device, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.kept, 1);
    fake_block_throttle(k->block, false);
    vsr_virtio_blk_class.unquiesce(&d->device->device);
    assert_true(driver_wait(d, 0, NULL, NULL));
    assert_int_equal(status_of(k), S_OK);
    assert_int_equal(fake_block_bytes(k->block)[512], 0);
    assert_int_equal(fake_block_bytes(k->block)[2 * 512], 0xff);
    assert_int_equal(fake_block_bytes(k->block)[3 * 512], 0);
    assert_int_equal(g_atomic_int_get(&k->n_failed), 0);

    fake_block_throttle(k->block, true);
    start(k, 0, T_OUT, 0, 512);
    driver_settle(d);
    driver_set_status(d, 0);
    vsr_virtio_blk_get_stats(&d->device->device, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.kept, 0);
    fake_block_throttle(k->block, false);
    driver_settle(d);
    driver_start(d, UINT64_MAX, 1);
    assert_int_equal(request(k, T_IN, 0, 512, NULL), S_OK);
    close_disk(k);
}

static void the_device_goes_with_requests_in_flight(void **state)
{
    disk *k = open_plain();
    GThread *thread;

    fake_block_hold(k->block, true);
    start(k, 0, T_IN, 0, 512);
    driver_settle(k->d);
    thread = g_thread_new("let-go", let_go, k->block);
    close_disk(k);
    g_thread_join(thread);
}

/* What is in flight on it ends first; what another queue wants does not. */
static void a_queue_that_is_taken_back_is_waited_for(void **state)
{
    disk *k = open_disk(DRIVER_MMIO, (vsr_virtio_blk_params){ .n_queues = 2 },
                        false, UINT64_MAX);
    driver *d = k->d;
    vsr_virtio_blk_stats stats;
    GThread *thread;

    memset(fake_block_bytes(k->block), 0x99, 512);
    fake_block_hold(k->block, true);
    start(k, 1, T_IN, 0, 512);
    driver_settle(d);
    assert_int_equal(fake_block_get(k->block).waiting, 1);
    thread = g_thread_new("let-go", let_go, k->block);
    driver_disable(d, 1);
    assert_false(driver_enabled(d, 1));
    assert_int_equal(fake_block_get(k->block).waiting, 0);
    g_thread_join(thread);
    vsr_virtio_blk_get_stats(&d->device->device, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.kept, 0);
    driver_settle(d);
    assert_int_equal(status_of(k), S_NONE);
    assert_false(driver_take(d, 1, NULL, NULL));
    assert_int_equal(request(k, T_IN, 0, 512, NULL), S_OK);
    close_disk(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_reported),
        cmocka_unit_test(errors_are_ignored),
        cmocka_unit_test(a_stop_keeps_requests_for_later),
        cmocka_unit_test(enospc_stops_and_the_rest_is_reported),
        cmocka_unit_test(policies_change_while_it_runs),
        cmocka_unit_test(reset_waits),
        cmocka_unit_test(a_pause_waits_and_holds_back),
        cmocka_unit_test(a_throttle_is_not_waited_for),
        cmocka_unit_test(the_device_goes_with_requests_in_flight),
        cmocka_unit_test(a_queue_that_is_taken_back_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
