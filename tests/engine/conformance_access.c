/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conformance_access.c: what a guest reads and writes: ports, MMIO, RAM, code.
 */
#include "tests/engine/conformance_tests.h"

#include <string.h>

#include "tests/engine/conformance_guests.h"

void ports_are_accessed_in_order(void **state)
{
    box *b = *state;

    LOAD(b, guest_pio, box_real_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 7);
    box_expect_io(&b->log[0], 0x100, 1, true, 0x11);
    box_expect_io(&b->log[1], 0x100, 2, true, 0x2233);
    box_expect_io(&b->log[2], 0x100, 4, true, 0x44556677);
    box_expect_io(&b->log[3], 0x100, 1, false, box_pattern(0x100, 1));
    box_expect_io(&b->log[4], 0x100, 2, false, box_pattern(0x100, 2));
    box_expect_io(&b->log[5], 0x100, 4, false, box_pattern(0x100, 4));
    assert_int_equal(b->log[6].addr, 0x80);
    assert_int_equal(b->log[6].data, box_pattern(0x100, 1));
    assert_int_equal(box_peek(b, BOX_DATA, 1), box_pattern(0x100, 1));
    assert_int_equal(box_peek(b, BOX_DATA + 2, 2), box_pattern(0x100, 2));
    assert_int_equal(box_peek(b, BOX_DATA + 4, 4), box_pattern(0x100, 4));
}

void strings_go_to_ports_one_by_one(void **state)
{
    box *b = *state;

    memcpy(b->ram + BOX_DATA, "abc", 3);
    LOAD(b, guest_pio_string, box_real_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 5);
    box_expect_io(&b->log[0], 0x100, 1, true, 'a');
    box_expect_io(&b->log[2], 0x100, 1, true, 'c');
    box_expect_io(&b->log[3], 0x100, 2, false, box_pattern(0x100, 2));
    assert_int_equal(box_peek(b, 0x3102, 2), box_pattern(0x100, 2));
    assert_int_equal(box_peek(b, 0x3104, 2), 0);
    assert_int_equal(box_peek(b, 0x3200, 2), 0x3003);
    assert_int_equal(box_peek(b, 0x3202, 2), 0x3104);
}

void mmio_has_the_size_of_the_access(void **state)
{
    const uint64_t at = 0x30000000;
    box *b = *state;

    LOAD(b, guest_mmio, box_long_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 12);
    box_expect_io(&b->log[0], at, 1, true, 0x11);
    box_expect_io(&b->log[1], at + 2, 2, true, 0x2211);
    box_expect_io(&b->log[2], at + 4, 4, true, 0x44332211);
    box_expect_io(&b->log[3], at + 8, 8, true, 0x8877665544332211);
    box_expect_io(&b->log[4], at, 1, false, box_pattern(at, 1));
    box_expect_io(&b->log[5], at + 2, 2, false, box_pattern(at + 2, 2));
    box_expect_io(&b->log[6], at + 4, 4, false, box_pattern(at + 4, 4));
    box_expect_io(&b->log[7], at + 8, 8, false, box_pattern(at + 8, 8));
    box_expect_io(&b->log[10], at + 16, 4, false, box_pattern(at + 16, 4));
    box_expect_io(&b->log[11], at + 16, 4, true,
                  (uint32_t)(box_pattern(at + 16, 4) + 5));
    assert_true(box_peek(b, 0x3000, 8) ==
                (UINT64_MAX << 8 | box_pattern(at, 1)));
    assert_true(box_peek(b, 0x3008, 8) ==
                (UINT64_MAX << 16 | box_pattern(at + 2, 2)));
    assert_true(box_peek(b, 0x3010, 8) == box_pattern(at + 4, 4));
    assert_true(box_peek(b, 0x3018, 8) == box_pattern(at + 8, 8));
    assert_true(box_peek(b, 0x3020, 8) == box_pattern(at + 1, 1));
    assert_true(box_peek(b, 0x3028, 8) ==
                (uint64_t)(int64_t)(int16_t)box_pattern(at + 6, 2));
}

void writes_to_rom_are_mmio(void **state)
{
    static uint8_t rom[4096] __attribute__((aligned(4096)));
    const vsr_mem_slot slot = {
        .gpa = 0x20000000, .len = sizeof rom, .host = rom, .readonly = true
    };
    box *b = *state;

    memset(rom, 0x5a, sizeof rom);
    assert_int_equal(b->ops->mem_add(b->vm, &slot), 0);
    LOAD(b, guest_rom, box_long_mode);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->n_log, 1);
    box_expect_io(&b->log[0], 0x20000004, 4, true, 0x11223344);
    assert_int_equal(box_peek(b, 0x3000, 4), 0x5a5a5a5a);
    assert_int_equal(box_peek(b, 0x3004, 4), 0x5a5a5a5a);
    assert_int_equal(rom[4], 0x5a);
    assert_int_equal(b->ops->mem_remove(b->vm, &slot), 0);
}

/* --- memory --- */

static bool page_is_dirty(box *b, uint64_t page)
{
    unsigned long bitmap[1] = { 0 };

    assert_int_equal(
        b->ops->dirty_fetch(b->vm, 0x200000 + page * 4096, 4096, bitmap), 0);
    return bitmap[0] & 1;
}

void the_dirty_log_knows_each_page(void **state)
{
    unsigned long bitmap[1] = { 0 };
    box *b = *state;

    LOAD(b, guest_dirty, box_long_mode);
    memset(b->ram + 0x200000, 0, 0x20000);
    assert_int_equal(b->ops->dirty_start(b->vm), 0);
    assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    assert_int_equal(b->ops->dirty_fetch(b->vm, 0x200000, 16 * 4096, bitmap),
                     0);
    /* Page 9 was read: an engine may take that for a write when it maps it. */
    assert_int_equal(bitmap[0] & ~(1ul << 9 | 1ul << 11),
                     1ul << 5 | 1ul << 7 | 1ul << 8);
    bitmap[0] = 0; /* fetching cleared it */
    (void)page_is_dirty(b, 11);
    assert_int_equal(b->ops->dirty_fetch(b->vm, 0x200000, 11 * 4096, bitmap),
                     0);
    assert_int_equal(bitmap[0], 0);
    for (int i = 0; i < 3; i++) { /* each time anew */
        assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
        assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
        assert_true(page_is_dirty(b, 11));
    }
    b->ops->dirty_mark(b->vm, 0x203ffc, 8);
    assert_true(page_is_dirty(b, 3));
    assert_true(page_is_dirty(b, 4));
    assert_false(page_is_dirty(b, 5));
    assert_int_equal(b->ops->dirty_stop(b->vm), 0);
}

static void *run_until_kick(void *opaque)
{
    box *b = opaque;

    assert_true(box_vcpu_new(b, 1));
    box_start(b, 1, box_long_mode);
    (void)box_run(b, 1);
    box_vcpu_free(b, 1);
    return NULL;
}

static bool soon(box *b, uint32_t value)
{
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_MINUTE;

    while (*(volatile uint32_t *)(void *)(b->ram + BOX_DATA) != value)
        if (g_get_monotonic_time() > end)
            return false;
    return true;
}

void memory_comes_and_goes_under_a_running_vcpu(void **state)
{
    static uint32_t page[1024] __attribute__((aligned(4096)));
    const vsr_mem_slot slot = { .gpa = 0x10000000,
                                .len = sizeof page,
                                .host = page };
    box *b = *state;
    GThread *thread;

    box_code(b, BOX_CODE, guest_poll, sizeof guest_poll);
    page[0] = 0x600d;
    thread = g_thread_new("vcpu1", run_until_kick, b);
    for (int i = 0; i < 20; i++) {
        unsigned before;

        assert_true(soon(b, (uint32_t)box_pattern(0x10000000, 4)));
        assert_int_equal(b->ops->mem_add(b->vm, &slot), 0);
        assert_true(soon(b, 0x600d));
        before = box_count(b, &b->n_mmio);
        g_usleep(200);
        assert_int_equal(box_count(b, &b->n_mmio), before);
        assert_int_equal(b->ops->mem_remove(b->vm, &slot), 0);
    }
    g_mutex_lock(&b->lock);
    b->ended[1] = true;
    g_mutex_unlock(&b->lock);
    b->ops->vcpu_kick(b->vcpu[1]);
    g_thread_join(thread);
    assert_int_equal(b->ops->mem_remove(b->vm, &slot) < 0, 1);
}

void slots_do_not_overlap(void **state)
{
    box *b = *state;
    const vsr_mem_slot slot = { .gpa = BOX_RAM - 4096,
                                .len = 8192,
                                .host = b->ram };

    assert_true(b->ops->mem_add(b->vm, &slot) < 0);
}

void code_patched_by_the_host_takes_effect(void **state)
{
    box *b = *state;
    GThread *thread;

    box_code(b, BOX_CODE, guest_patched, sizeof guest_patched);
    thread = g_thread_new("vcpu1", run_until_kick, b);
    assert_true(soon(b, 0x11111111));
    for (uint32_t i = 1; i < 50; i++) {
        uint32_t value = 0x22220000 + i;

        memcpy(b->ram + BOX_CODE + 1, &value, 4);
        b->ops->dirty_mark(b->vm, BOX_CODE + 1, 4);
        assert_true(soon(b, value));
    }
    g_mutex_lock(&b->lock);
    b->ended[1] = true;
    g_mutex_unlock(&b->lock);
    b->ops->vcpu_kick(b->vcpu[1]);
    g_thread_join(thread);
}

void code_that_patches_itself_takes_effect(void **state)
{
    box *b = *state;

    /* Twice: QEMU 7.2, nested, misses a write that first has to map the page. */
    for (int i = 0; i < 2; i++) {
        LOAD(b, guest_self_patch, box_long_mode);
        assert_int_equal(box_run(b, 0), VSR_RUN_KICKED);
    }
    assert_int_equal(box_peek(b, 0x300c, 4), 1);
    assert_int_equal(box_peek(b, 0x3008, 4), 2);
    assert_int_equal(box_peek(b, 0x3004, 4), 3);
}
