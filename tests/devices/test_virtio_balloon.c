/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_balloon.c: pages that come and go, targets, statistics, reports,
 * and drivers that mean harm. */
#include "devices/virtio/balloon.h"

#include <string.h>

#include "base/error.h"
#include "tests/devices/virtio_driver.h"

#define F_MUST_TELL_HOST (UINT64_C(1) << 0)
#define F_STATS          (UINT64_C(1) << 1)
#define F_DEFLATE_ON_OOM (UINT64_C(1) << 2)
#define F_PAGE_POISON    (UINT64_C(1) << 4)
#define F_REPORTING      (UINT64_C(1) << 5)

enum { INFLATE = 0, DEFLATE = 1, STATS = 2, QUEUES = 5, PAGE = 4096 };

/* Two MiB that nothing else is in. */
enum { PLACE = 8 << 20, PLACE_PAGES = 512 };

typedef struct __attribute__((packed)) {
    uint16_t tag;
    uint64_t value;
} stat_entry;

typedef struct {
    driver *d;
    vsr_device *device;
} fixture;

static fixture fixture_new(driver_transport transport)
{
    fixture f = { .d = driver_new(transport) };
    const vsr_virtio_balloon_params p = { .virtio = driver_params(f.d),
                                          .deflate_on_oom = true,
                                          .free_page_reporting = true };

    driver_attach(f.d, &vsr_virtio_balloon_class, &p);
    f.device = &f.d->device->device;
    memset(driver_ram(f.d, PLACE, PAGE * PLACE_PAGES), 'x', PAGE * PLACE_PAGES);
    return f;
}

static uint8_t byte_of(fixture *f, uint32_t page)
{
    return *(uint8_t *)driver_ram(f->d, PLACE + (uint64_t)page * PAGE, PAGE);
}

static void send_pages(fixture *f, uint32_t queue, const uint32_t *pfn,
                       uint32_t n)
{
    const driver_buffer b = { driver_alloc(f->d, 4 * (uint64_t)n, 4),
                              4 * (uint64_t)n, false };

    memcpy(driver_ram(f->d, b.gpa, b.len), pfn, b.len);
    driver_add(f->d, queue, &b, 1);
    driver_kick(f->d, queue);
    assert_true(driver_wait(f->d, queue, NULL, NULL));
}

static vsr_virtio_balloon_info info_of(fixture *f)
{
    vsr_virtio_balloon_info info;

    vsr_virtio_balloon_get(f->device, &info);
    return info;
}

/* --- tests ------------------------------------------------------------------------ */

static void pages_in_the_balloon_are_given_back(void **state)
{
    static const uint32_t first = PLACE / PAGE;
    /* Upwards, downwards, one alone, one of them twice. */
    static const uint32_t pfn[] = {
        first + 2, first + 3, first + 4,  first + 9,
        first + 8, first + 7, first + 20, first + 20
    };

    for (int transport = DRIVER_PCI; transport <= DRIVER_MMIO; transport++) {
        fixture f = fixture_new((driver_transport)transport);

        driver_start(f.d, 0, QUEUES);
        send_pages(&f, INFLATE, pfn, G_N_ELEMENTS(pfn));
        for (uint32_t i = 0; i < 24; i++) {
            bool in = (i >= 2 && i <= 4) || (i >= 7 && i <= 9) || i == 20;

            assert_int_equal(byte_of(&f, i), in ? 0 : 'x');
        }
        /* Out of it again: the guest's to use. */
        send_pages(&f, DEFLATE, pfn, G_N_ELEMENTS(pfn));
        assert_int_equal(byte_of(&f, 5), 'x');
        driver_free(f.d);
    }
}

static void the_target_can_change_while_it_runs(void **state)
{
    fixture f = fixture_new(DRIVER_PCI);
    GError *error = NULL;
    uint32_t before;

    driver_start(f.d, 0, QUEUES);
    before = driver_interrupts(f.d, UINT32_MAX);
    assert_true(vsr_virtio_balloon_set_target(f.device, 3 << 20, &error));
    assert_true(driver_wait_interrupt(f.d, UINT32_MAX, before));
    assert_int_equal(driver_config(f.d, 0, 4), (3 << 20) / PAGE);
    assert_int_equal(info_of(&f).actual, 0);
    driver_set_config(f.d, 4, 4, 700);
    driver_set_config(f.d, 0, 4, 1); /* not the driver's to write */
    assert_int_equal(info_of(&f).actual, 700 * PAGE);
    assert_int_equal(info_of(&f).target, 3 << 20);
    assert_false(vsr_virtio_balloon_set_target(f.device, 1 << 30, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
    g_clear_error(&error);
    /* Another kernel finds the target, and an empty balloon. */
    driver_set_status(f.d, 0);
    assert_int_equal(info_of(&f).actual, 0);
    assert_int_equal(driver_config(f.d, 0, 4), (3 << 20) / PAGE);
    driver_free(f.d);
}

static void statistics_are_asked_for(void **state)
{
    fixture f = fixture_new(DRIVER_PCI);
    const stat_entry stats[] = { { VSR_BALLOON_STAT_FREE, 1000 },
                                 { 77, 1 },
                                 { VSR_BALLOON_STAT_TOTAL, 5000 },
                                 { VSR_BALLOON_STATS, 2 },
                                 { VSR_BALLOON_STAT_MAJOR_FAULTS, 9 } };
    driver_buffer b = { 0, sizeof(stats), false };
    vsr_virtio_balloon_info info;
    uint32_t len;

    driver_start(f.d, F_STATS | F_REPORTING, QUEUES);
    assert_int_equal(info_of(&f).stats_ns, 0);
    b.gpa = driver_alloc(f.d, b.len, 8);
    memcpy(driver_ram(f.d, b.gpa, b.len), stats, b.len);
    driver_add(f.d, STATS, &b, 1);
    driver_kick(f.d, STATS);
    driver_settle(f.d);
    info = info_of(&f);
    assert_true(info.stats_ns > 0);
    assert_int_equal(info.present, 1u << VSR_BALLOON_STAT_FREE |
                                       1u << VSR_BALLOON_STAT_TOTAL |
                                       1u << VSR_BALLOON_STAT_MAJOR_FAULTS);
    assert_int_equal(info.stat[VSR_BALLOON_STAT_FREE], 1000);
    assert_int_equal(info.stat[VSR_BALLOON_STAT_TOTAL], 5000);
    assert_int_equal(info.stat[VSR_BALLOON_STAT_MAJOR_FAULTS], 9);
    /* The buffer stays with us until there is a period. */
    assert_false(driver_take(f.d, STATS, NULL, NULL));
    vsr_virtio_balloon_set_period(f.device, 1);
    assert_true(driver_wait(f.d, STATS, NULL, &len));
    assert_int_equal(len, 0);
    b.len = sizeof(stat_entry);
    driver_add(f.d, STATS, &b, 1);
    driver_kick(f.d, STATS);
    driver_settle(f.d);
    assert_int_equal(info_of(&f).present, 1u << VSR_BALLOON_STAT_FREE);
    assert_true(driver_wait(f.d, STATS, NULL, NULL)); /* a second later */
    vsr_virtio_balloon_set_period(f.device, 0);
    driver_free(f.d);
}

static void free_pages_are_reported(void **state)
{
    /* With and without statistics the queue has another number, and drivers
     * that count as the specification does yet another. */
    static const struct {
        uint64_t features;
        uint32_t queue;
    } ways[] = { { F_REPORTING, 2 },
                 { F_REPORTING | F_STATS, 3 },
                 { F_REPORTING | F_STATS, 4 } };

    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        fixture f = fixture_new(DRIVER_PCI);
        const driver_buffer b[] = { { PLACE, 16 * PAGE, true },
                                    { PLACE + 20 * PAGE, PAGE, true },
                                    { PLACE + 30 * PAGE + 1, PAGE, true } };

        driver_start(f.d, ways[i].features, QUEUES);
        driver_add(f.d, ways[i].queue, b, G_N_ELEMENTS(b));
        driver_kick(f.d, ways[i].queue);
        assert_true(driver_wait(f.d, ways[i].queue, NULL, NULL));
        assert_int_equal(byte_of(&f, 0), 0);
        assert_int_equal(byte_of(&f, 15), 0);
        assert_int_equal(byte_of(&f, 16), 'x');
        assert_int_equal(byte_of(&f, 20), 0);
        assert_int_equal(byte_of(&f, 31), 'x');
        assert_int_equal(info_of(&f).reported, 17 * PAGE);
        driver_free(f.d);
    }
}

static void a_poisoned_page_keeps_its_pattern(void **state)
{
    fixture f = fixture_new(DRIVER_PCI);
    const driver_buffer b = { PLACE, PAGE, true };

    driver_start(f.d, F_REPORTING | F_PAGE_POISON, QUEUES);
    driver_set_config(f.d, 12, 4, 0xaa);
    driver_add(f.d, 2, &b, 1);
    driver_kick(f.d, 2);
    assert_true(driver_wait(f.d, 2, NULL, NULL));
    assert_int_equal(byte_of(&f, 0), 'x');
    driver_free(f.d);
}

static void what_is_not_offered_is_not_there(void **state)
{
    driver *d = driver_new(DRIVER_PCI);
    vsr_virtio_balloon_params p = { .virtio = driver_params(d) };
    const uint64_t own = (UINT64_C(1) << 24) - 1;

    driver_attach(d, &vsr_virtio_balloon_class, &p);
    assert_int_equal(driver_offered(d) & own, F_STATS);
    driver_free(d);
    d = driver_new(DRIVER_PCI);
    p.virtio = driver_params(d);
    p.must_tell_host = p.deflate_on_oom = p.free_page_reporting = true;
    driver_attach(d, &vsr_virtio_balloon_class, &p);
    assert_int_equal(driver_offered(d) & own, F_STATS | F_MUST_TELL_HOST |
                                                  F_DEFLATE_ON_OOM |
                                                  F_REPORTING | F_PAGE_POISON);
    driver_free(d);
}

static void locked_memory_cannot_be_given_up(void **state)
{
    driver *d = driver_new(DRIVER_PCI);
    vsr_virtio_balloon_params p = { .virtio = driver_params(d) };
    const vsr_mem_options locked = { .locked = true, .lock_on_touch = true };
    const uint32_t pfn = (1 << 30) / PAGE;
    GError *error = NULL;
    fixture f = { .d = d };

    assert_true(vsr_mem_add_ram(d->machine->mem, "locked", 1 << 30, PAGE, false,
                                &locked, NULL));
    p.free_page_reporting = true;
    assert_null(vsr_device_new(d->machine, &vsr_virtio_balloon_class, "dut", &p,
                               &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_NO_SUPPORT));
    g_clear_error(&error);
    /* Statistics are fine. */
    p.free_page_reporting = false;
    driver_attach(d, &vsr_virtio_balloon_class, &p);
    f.device = &d->device->device;
    assert_false(vsr_virtio_balloon_set_target(f.device, PAGE, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_NO_SUPPORT));
    g_clear_error(&error);
    assert_true(vsr_virtio_balloon_set_target(f.device, 0, &error));
    driver_start(d, 0, QUEUES);
    *(uint8_t *)driver_ram(d, 1 << 30, 1) = 'x';
    send_pages(&f, INFLATE, &pfn, 1);
    assert_int_equal(*(uint8_t *)driver_ram(d, 1 << 30, 1), 'x');
    driver_free(d);
}

static void nonsense_harms_nobody(void **state)
{
    static const uint32_t pfn[] = { UINT32_MAX, 0xfff00000, 16 << 20 >> 12,
                                    0xe0000000u >> 12 };
    fixture f = fixture_new(DRIVER_PCI);
    driver_buffer b = { PLACE, 3, false };
    driver_buffer many[100];

    driver_start(f.d, F_STATS | F_REPORTING, QUEUES);
    send_pages(&f, INFLATE, pfn, G_N_ELEMENTS(pfn));
    send_pages(&f, DEFLATE, pfn, G_N_ELEMENTS(pfn));
    driver_add(f.d, INFLATE, &b, 1); /* not even one page */
    b.writable = true;
    driver_add(f.d, INFLATE, &b, 1);
    driver_kick(f.d, INFLATE);
    assert_true(driver_wait(f.d, INFLATE, NULL, NULL));
    assert_true(driver_wait(f.d, INFLATE, NULL, NULL));
    /* Statistics of nothing, and more buffers than there may be. */
    for (uint32_t i = 0; i < 100; i++)
        driver_add(f.d, STATS, &b, 1);
    driver_kick(f.d, STATS);
    for (uint32_t i = 0; i < 99; i++)
        assert_true(driver_wait(f.d, STATS, NULL, NULL));
    assert_int_equal(info_of(&f).present, 0);
    b.writable = false;
    driver_add(f.d, 3, &b, 1); /* a report of no pages */
    driver_kick(f.d, 3);
    assert_true(driver_wait(f.d, 3, NULL, NULL));
    /* The same page, a hundred times all of RAM long. */
    for (uint32_t i = 0; i < G_N_ELEMENTS(many); i++)
        many[i] = (driver_buffer){ 4 << 20, 1 << 20, false };
    driver_add(f.d, INFLATE, many, G_N_ELEMENTS(many));
    driver_kick(f.d, INFLATE);
    driver_settle(f.d);
    driver_set_status(f.d, 0); /* in the middle of it */
    driver_settle(f.d);
    assert_int_equal(byte_of(&f, 0), 'x');
    driver_free(f.d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_in_the_balloon_are_given_back),
        cmocka_unit_test(the_target_can_change_while_it_runs),
        cmocka_unit_test(statistics_are_asked_for),
        cmocka_unit_test(free_pages_are_reported),
        cmocka_unit_test(a_poisoned_page_keeps_its_pattern),
        cmocka_unit_test(what_is_not_offered_is_not_there),
        cmocka_unit_test(locked_memory_cannot_be_given_up),
        cmocka_unit_test(nonsense_harms_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
