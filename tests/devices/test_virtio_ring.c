/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_ring.c: a virtqueue from the device's side. */
#include "tests/devices/ring_fixture.h"

/* --- places ------------------------------------------------------------------- */

static void the_last_bytes_of_ram_will_do(void **state)
{
    fixture *f = *state;
    const vsr_virtq_layout layout = {
        .size = 8, .desc = RAM - 128, .avail = AVAIL, .used = RAM - 128 - 72
    };
    const vsr_virtq_layout avail_last = {
        .size = 8, .desc = DESC, .avail = RAM - 22, .used = USED
    };

    assert_int_equal(vsr_virtq_open(&f->q, f->mem, &layout), 0);
    assert_int_equal(vsr_virtq_open(&f->q, f->mem, &avail_last), 0);
}

/* --- chains ----------------------------------------------------------------------- */

static void a_chain_is_taken_and_given_back(void **state)
{
    fixture *f = *state;
    char text[8] = "";

    memcpy(f->ram[0] + DATA, "abcdef", 6);
    desc(f, 3, DATA, 4, NEXT, 6);
    desc(f, 6, DATA + 4, 2, NEXT, 1);
    desc(f, 1, DATA + 100, 3, NEXT | WRITE, 0);
    desc(f, 0, DATA + 200, 5, WRITE, 7);
    assert_int_equal(pop(f), 0);
    publish(f, 3);
    assert_false(vsr_virtq_is_empty(&f->q));
    assert_int_equal(pop(f), 1);
    assert_int_equal(f->chain.head, 3);
    assert_int_equal(f->chain.n_out, 2);
    assert_int_equal(f->chain.n_in, 2);
    assert_int_equal(f->chain.out_len, 6);
    assert_int_equal(f->chain.in_len, 8);
    assert_ptr_equal(f->chain.iov[2].iov_base, f->ram[0] + DATA + 100);
    assert_int_equal(f->chain.gpa[3], DATA + 200);
    assert_int_equal(vsr_virtq_read(&f->chain, 2, text, 7), 4);
    assert_string_equal(text, "cdef");
    assert_int_equal(vsr_virtq_read(&f->chain, 6, text, 1), 0);
    assert_int_equal(vsr_virtq_write(&f->chain, 2, "wxyz", 4), 4);
    assert_int_equal(vsr_virtq_write(&f->chain, 7, "wxyz", 4), 1);
    assert_int_equal(f->ram[0][DATA + 102], 'w');
    assert_memory_equal(f->ram[0] + DATA + 200, "xyz", 3);
    assert_int_equal(get16(f, USED + 2), 0);
    vsr_virtq_push(&f->q, &f->chain, 8);
    assert_int_equal(get16(f, USED + 2), 1);
    assert_int_equal(get32(f, USED + 4), 3);
    assert_int_equal(get32(f, USED + 8), 8);
    assert_int_equal(pop(f), 0);
}

static void an_unpopped_chain_comes_again(void **state)
{
    fixture *f = *state;

    desc(f, 2, DATA, 4, 0, 0);
    publish(f, 2);
    assert_int_equal(pop(f), 1);
    vsr_virtq_unpop(&f->q);
    assert_int_equal(pop(f), 1);
    assert_int_equal(f->chain.head, 2);
    assert_int_equal(pop(f), 0);
}

static void staged_elements_show_together(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < 3; i++)
        desc(f, i, DATA, 4, WRITE, 0);
    for (uint16_t i = 0; i < 3; i++)
        publish(f, i);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(pop(f), 1);
        vsr_virtq_stage(&f->q, i, &f->chain, i);
    }
    assert_int_equal(get16(f, USED + 2), 0);
    vsr_virtq_commit(&f->q, 3);
    assert_int_equal(get16(f, USED + 2), 3);
    assert_int_equal(get32(f, USED + 4 + 16), 2);
    assert_int_equal(get32(f, USED + 4 + 20), 2);
}

static void what_was_written_is_marked_dirty(void **state)
{
    fixture *f = *state;
    unsigned before;

    desc(f, 0, DATA, 4096, NEXT | WRITE, 1);
    desc(f, 1, DATA + 8192, 4096, WRITE, 0);
    publish(f, 0);
    assert_int_equal(pop(f), 1);
    before = (unsigned)f->machine->vm->marked_pages;
    vsr_virtq_push(&f->q, &f->chain, 100);
    /* The first page, the used element, its index. */
    assert_int_equal(f->machine->vm->marked_pages - before, 3);
    before = (unsigned)f->machine->vm->marked_pages;
    vsr_virtq_touched(&f->q, &f->chain);
    assert_int_equal(f->machine->vm->marked_pages - before, 2);
}

/* One after another, far beyond where 16 bits end. */
static void indices_wrap(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < 70000; i++) {
        desc(f, i % SIZE, DATA, 1 + i % 7, WRITE, 0);
        publish(f, i % SIZE);
        assert_int_equal(pop(f), 1);
        assert_int_equal(f->chain.head, i % SIZE);
        vsr_virtq_push(&f->q, &f->chain, 1 + i % 7);
        assert_int_equal(get16(f, USED + 2), (uint16_t)(i + 1));
        assert_int_equal(get32(f, USED + 8 + 8u * (i % SIZE)), 1 + i % 7);
    }
}

static void a_full_table_of_one_chain_is_fine(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < SIZE; i++)
        desc(f, i, DATA, 1, i + 1 < SIZE ? NEXT : 0, (uint16_t)(i + 1));
    publish(f, 0);
    assert_int_equal(pop(f), 1);
    assert_int_equal(f->chain.n_out, SIZE);
}

static void empty_buffers_do_not_count(void **state)
{
    fixture *f = *state;

    desc(f, 0, UINT64_MAX, 0, NEXT, 1);
    desc(f, 1, DATA, 5, NEXT, 2);
    desc(f, 2, 0, 0, WRITE, 0);
    publish(f, 0);
    assert_int_equal(pop(f), 1);
    assert_int_equal(f->chain.n_out, 1);
    assert_int_equal(f->chain.n_in, 0);
}

static void a_buffer_may_go_over_two_regions(void **state)
{
    fixture *f = *state;

    desc(f, 0, HALF - 3, 8, NEXT, 1);
    desc(f, 1, HALF - 1, 2, WRITE, 0);
    publish(f, 0);
    assert_int_equal(pop(f), 1);
    assert_int_equal(f->chain.n_out, 2);
    assert_int_equal(f->chain.out_len, 8);
    assert_int_equal(f->chain.iov[0].iov_len, 3);
    assert_ptr_equal(f->chain.iov[1].iov_base, f->ram[1]);
    assert_int_equal(f->chain.iov[1].iov_len, 5);
    assert_int_equal(f->chain.gpa[1], HALF);
    assert_int_equal(f->chain.n_in, 2);
    assert_int_equal(f->chain.iov[3].iov_len, 1);
}

/* --- indirect tables ------------------------------------------------------------------ */

static void an_indirect_table_is_followed(void **state)
{
    fixture *f = *state;

    reopen(f, false, true);
    /* After ordinary ones; its alignment is its own affair, WRITE means
     * nothing. 2.7.5.3.2. */
    desc(f, 0, DATA, 4, NEXT, 1);
    desc(f, 1, TABLE + 3, 32, INDIRECT | WRITE, 0);
    desc_at(f, TABLE + 3, 0, DATA + 4, 8, NEXT, 1);
    desc_at(f, TABLE + 3, 1, DATA + 16, 16, WRITE, 0);
    publish(f, 0);
    assert_int_equal(pop(f), 1);
    assert_int_equal(f->chain.n_out, 2);
    assert_int_equal(f->chain.n_in, 1);
    assert_int_equal(f->chain.out_len, 12);
    assert_int_equal(f->chain.head, 0);
}

static void indirect_tables_may_be_longer_than_the_queue(void **state)
{
    fixture *f = *state;

    reopen(f, false, true);
    desc(f, 0, TABLE, 256 * 16, INDIRECT, 0);
    for (unsigned i = 0; i < 256; i++)
        desc_at(f, TABLE, i, DATA, 1, i < 255 ? NEXT : 0, (uint16_t)(i + 1));
    publish(f, 0);
    assert_int_equal(pop(f), 1);
    assert_int_equal(f->chain.n_out, 256);
}

/* --- notifications ------------------------------------------------------------------------ */

static void push_one(fixture *f)
{
    desc(f, 0, DATA, 1, WRITE, 0);
    publish(f, 0);
    assert_int_equal(pop(f), 1);
    vsr_virtq_push(&f->q, &f->chain, 1);
}

static void flags_suppress_both_ways(void **state)
{
    fixture *f = *state;

    assert_false(vsr_virtq_wants_signal(&f->q)); /* nothing was pushed */
    push_one(f);
    assert_true(vsr_virtq_wants_signal(&f->q));
    assert_false(vsr_virtq_wants_signal(&f->q));
    put16(f, AVAIL, 1);
    push_one(f);
    assert_false(vsr_virtq_wants_signal(&f->q));
    assert_false(vsr_virtq_want_kicks(&f->q, false));
    assert_int_equal(get16(f, USED), 1);
    assert_false(vsr_virtq_want_kicks(&f->q, true));
    assert_int_equal(get16(f, USED), 0);
    publish(f, 0);
    assert_true(vsr_virtq_want_kicks(&f->q, true));
}

static void event_index_is_what_counts(void **state)
{
    fixture *f = *state;

    reopen(f, true, false);
    put16(f, AVAIL, 1); /* 2.7.7.1: ignored */
    put16(f, AVAIL + 4 + 2 * SIZE, 2);
    push_one(f);
    (void)vsr_virtq_wants_signal(&f->q); /* the first is always told */
    push_one(f);
    assert_false(vsr_virtq_wants_signal(&f->q)); /* used idx 2: not passed */
    push_one(f);
    assert_true(vsr_virtq_wants_signal(&f->q));
    push_one(f);
    assert_false(vsr_virtq_wants_signal(&f->q));
    /* Passed in the middle of a bunch. */
    put16(f, AVAIL + 4 + 2 * SIZE, 5);
    for (unsigned i = 0; i < 4; i++)
        push_one(f);
    assert_true(vsr_virtq_wants_signal(&f->q));
    assert_false(vsr_virtq_want_kicks(&f->q, true));
    assert_int_equal(get16(f, USED + 4 + 8 * SIZE), f->avail_idx);
    assert_int_equal(get16(f, USED), 0);
}

/* The driver asks for each, one after the other, over the end of 16 bits. */
static void event_index_wraps(void **state)
{
    fixture *f = *state;

    reopen(f, true, false);
    for (unsigned i = 0; i < 65536 + 20; i++) {
        put16(f, AVAIL + 4 + 2 * SIZE, (uint16_t)i);
        push_one(f);
        assert_true(vsr_virtq_wants_signal(&f->q));
        assert_false(vsr_virtq_want_kicks(&f->q, true));
        assert_int_equal(get16(f, USED + 4 + 8 * SIZE), (uint16_t)(i + 1));
    }
    /* And for none, over it again. */
    for (unsigned i = 0; i < 65536 + 20; i++) {
        put16(f, AVAIL + 4 + 2 * SIZE, (uint16_t)(f->q.next_used - 1));
        push_one(f);
        assert_false(vsr_virtq_wants_signal(&f->q));
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_last_bytes_of_ram_will_do),
        T(a_chain_is_taken_and_given_back),
        T(an_unpopped_chain_comes_again),
        T(staged_elements_show_together),
        T(what_was_written_is_marked_dirty),
        T(indices_wrap),
        T(a_full_table_of_one_chain_is_fine),
        T(empty_buffers_do_not_count),
        T(a_buffer_may_go_over_two_regions),
        T(an_indirect_table_is_followed),
        T(indirect_tables_may_be_longer_than_the_queue),
        T(flags_suppress_both_ways),
        T(event_index_is_what_counts),
        T(event_index_wraps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
