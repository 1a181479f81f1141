/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_ring_hostile.c: virtqueues that no sane driver makes. */
#include "tests/devices/ring_fixture.h"

static void wrong_places_are_refused(void **state)
{
    static const struct {
        vsr_virtq_layout layout;
        int rc;
    } cases[] = {
        { { .size = 0, .desc = DESC, .avail = AVAIL, .used = USED }, -EINVAL },
        { { .size = 3, .desc = DESC, .avail = AVAIL, .used = USED }, -EINVAL },
        { { .size = 2048, .desc = DESC, .avail = AVAIL, .used = USED },
          -EINVAL },
        { { .size = 0xffff, .desc = DESC, .avail = AVAIL, .used = USED },
          -EINVAL },
        { { .size = 8, .desc = DESC + 8, .avail = AVAIL, .used = USED },
          -EINVAL },
        { { .size = 8, .desc = DESC, .avail = AVAIL + 1, .used = USED },
          -EINVAL },
        { { .size = 8, .desc = DESC, .avail = AVAIL, .used = USED + 2 },
          -EINVAL },
        { { .size = 8, .desc = RAM, .avail = AVAIL, .used = USED }, -EFAULT },
        { { .size = 8, .desc = RAM - 112, .avail = AVAIL, .used = USED },
          -EFAULT },
        { { .size = 8, .desc = UINT64_MAX - 15, .avail = AVAIL, .used = USED },
          -EFAULT },
        { { .size = 8, .desc = DESC, .avail = RAM - 20, .used = USED },
          -EFAULT },
        { { .size = 8, .desc = DESC, .avail = AVAIL, .used = RAM - 68 },
          -EFAULT },
        { { .size = 8, .desc = DESC, .avail = AVAIL, .used = 2 * RAM },
          -EFAULT }, /* ROM */
    };
    fixture *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_int_equal(vsr_virtq_open(&f->q, f->mem, &cases[i].layout),
                         cases[i].rc);
        assert_int_equal(pop(f), 0);
        assert_true(vsr_virtq_is_empty(&f->q));
    }
}

/* --- indirect tables ------------------------------------------------------------------ */

static void bad_indirect_tables_are_refused(void **state)
{
    static const struct {
        uint64_t gpa;
        uint32_t len;
        uint16_t flags;
        const char *why;
    } cases[] = {
        { TABLE, 16, INDIRECT | NEXT, "wrong form" },
        { TABLE, 0, INDIRECT, "wrong form" },
        { TABLE, 17, INDIRECT, "wrong form" },
        { TABLE, 1025 * 16, INDIRECT, "wrong form" },
        { RAM, 16, INDIRECT, "outside" },
        { RAM - 15, 16, INDIRECT, "outside" },
        { UINT64_MAX - 7, 16, INDIRECT, "outside" },
        { DESC, 16, INDIRECT, "may be" }, /* itself: nested */
    };
    fixture *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        reopen(f, false, true);
        desc(f, 0, cases[i].gpa, cases[i].len, cases[i].flags, 1);
        desc(f, 1, DATA, 1, 0, 0);
        refused(f, cases[i].why);
    }
}

static void nested_and_looping_tables_are_refused(void **state)
{
    fixture *f = *state;

    reopen(f, false, true);
    desc(f, 0, TABLE, 32, INDIRECT, 0);
    desc_at(f, TABLE, 0, DATA, 1, NEXT, 1);
    desc_at(f, TABLE, 1, TABLE + 64, 16, INDIRECT, 0);
    desc_at(f, TABLE + 64, 0, DATA, 1, 0, 0);
    refused(f, "may be");

    reopen(f, false, true);
    desc(f, 0, TABLE, 32, INDIRECT, 0);
    desc_at(f, TABLE, 0, DATA, 1, NEXT, 1);
    desc_at(f, TABLE, 1, DATA, 1, NEXT, 0);
    refused(f, "loops");

    reopen(f, false, true);
    desc(f, 0, TABLE, 32, INDIRECT, 0);
    desc_at(f, TABLE, 0, DATA, 1, NEXT, 2);
    refused(f, "beyond");

    reopen(f, false, false); /* not negotiated */
    desc(f, 0, TABLE, 16, INDIRECT, 0);
    desc_at(f, TABLE, 0, DATA, 1, 0, 0);
    refused(f, "may be");
}

/* --- rings that lie --------------------------------------------------------------------- */

static void bad_chains_are_refused(void **state)
{
    fixture *f = *state;

    desc(f, 0, DATA, 1, NEXT, 1);
    desc(f, 1, DATA, 1, NEXT, 0);
    refused(f, "loops");

    reopen(f, false, false);
    desc(f, 0, DATA, 1, NEXT, 0);
    refused(f, "loops");

    reopen(f, false, false); /* empty ones do not make it endless */
    desc(f, 0, DATA, 0, NEXT, 0);
    refused(f, "loops");

    reopen(f, false, false);
    desc(f, 0, DATA, 1, NEXT, SIZE);
    refused(f, "beyond");

    reopen(f, false, false);
    desc(f, 0, DATA, 1, WRITE | NEXT, 1);
    desc(f, 1, DATA, 1, 0, 0);
    refused(f, "behind");
}

static void buffers_outside_of_ram_are_refused(void **state)
{
    static const struct {
        uint64_t gpa;
        uint32_t len;
    } cases[] = {
        { RAM, 1 },         { RAM - 1, 2 },
        { 0, UINT32_MAX },  { UINT64_MAX, 1 },
        { UINT64_MAX, 2 },  { UINT64_MAX - 0xfff, UINT32_MAX },
        { 2 * RAM, 16 }, /* ROM */
        { HALF, HALF + 1 },
    };
    fixture *f = *state;

    for (size_t i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        reopen(f, false, false);
        desc(f, 0, cases[i / 2].gpa, cases[i / 2].len, i % 2 ? WRITE : 0, 0);
        refused(f, "outside");
    }
}

static void too_many_buffers_are_refused(void **state)
{
    fixture *f = *state;

    reopen(f, false, true);
    desc(f, 0, TABLE, 257 * 16, INDIRECT, 0);
    for (unsigned i = 0; i < 257; i++)
        desc_at(f, TABLE, i, DATA, 1, i < 256 ? NEXT : 0, (uint16_t)(i + 1));
    refused(f, "256");
}

static void a_head_beyond_the_table_is_refused(void **state)
{
    fixture *f = *state;

    publish(f, SIZE);
    assert_int_equal(pop(f), -EPROTO);
    reopen(f, false, false);
    publish(f, 0xffff);
    assert_int_equal(pop(f), -EPROTO);
}

static void jumps_of_the_index_are_refused(void **state)
{
    fixture *f = *state;

    put16(f, AVAIL + 2, SIZE + 1);
    assert_int_equal(pop(f), -EPROTO);
    reopen(f, false, false);
    put16(f, AVAIL + 2, 0xffff); /* back */
    assert_int_equal(pop(f), -EPROTO);
    reopen(f, false, false);
    put16(f, AVAIL + 2, SIZE); /* the most there can be */
    for (unsigned i = 0; i < SIZE; i++) {
        desc(f, 0, DATA, 1, 0, 0);
        assert_int_equal(pop(f), 1);
    }
    assert_int_equal(pop(f), 0);
    put16(f, AVAIL + 2, SIZE + 1); /* though none has come back */
    assert_int_equal(pop(f), -EPROTO);
}

/* All three parts at one place: nonsense, but no harm to us. */
static void parts_may_overlap(void **state)
{
    fixture *f = *state;
    const vsr_virtq_layout layout = {
        .size = SIZE, .desc = DESC, .avail = DESC, .used = DESC
    };

    assert_int_equal(vsr_virtq_open(&f->q, f->mem, &layout), 0);
    for (unsigned round = 0; round < 100; round++) {
        desc(f, 0, DATA | (uint64_t)(round + 1) << 16, 16, 0, 0);
        if (pop(f) == 1)
            vsr_virtq_push(&f->q, &f->chain, 0);
        (void)vsr_virtq_want_kicks(&f->q, round % 2);
        (void)vsr_virtq_wants_signal(&f->q);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(wrong_places_are_refused),
        T(bad_indirect_tables_are_refused),
        T(nested_and_looping_tables_are_refused),
        T(bad_chains_are_refused),
        T(buffers_outside_of_ram_are_refused),
        T(too_many_buffers_are_refused),
        T(a_head_beyond_the_table_is_refused),
        T(jumps_of_the_index_are_refused),
        T(parts_may_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
