/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ring_fixture.h: one virtqueue over RAM of a fake machine, filled by hand. */
#ifndef VSR_TESTS_DEVICES_RING_FIXTURE_H
#define VSR_TESTS_DEVICES_RING_FIXTURE_H

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "devices/virtio/ring.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

enum {
    RAM = 1 << 20, /* bytes, in two halves that meet */
    HALF = RAM / 2,
    SIZE = 8,
    DESC = 0x1000,
    AVAIL = 0x2000,
    USED = 0x3000,
    TABLE = 0x4000, /* indirect */
    DATA = 0x8000,

    NEXT = 1,
    WRITE = 2,
    INDIRECT = 4,
};

typedef struct {
    vsr_machine *machine;
    vsr_mem *mem;
    uint8_t *ram[2];
    vsr_virtq q;
    vsr_virtq_chain chain;
    uint16_t avail_idx;
} fixture;

static const vsr_virtq_layout plain = {
    .size = SIZE, .desc = DESC, .avail = AVAIL, .used = USED
};

static inline int setup(void **state)
{
    static const vsr_mem_options options;
    fixture *f = g_new0(fixture, 1);

    f->machine = fake_machine_new(1);
    f->mem = f->machine->mem;
    assert_true(vsr_mem_add_ram(f->mem, "low", 0, HALF, false, &options, NULL));
    assert_true(
        vsr_mem_add_ram(f->mem, "high", HALF, HALF, false, &options, NULL));
    assert_true(
        vsr_mem_add_ram(f->mem, "rom", 2 * RAM, 0x10000, true, &options, NULL));
    f->ram[0] = vsr_mem_map(f->mem, 0, HALF);
    f->ram[1] = vsr_mem_map(f->mem, HALF, HALF);
    assert_int_equal(vsr_virtq_open(&f->q, f->mem, &plain), 0);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    fixture *f = *state;

    vsr_virtq_close(&f->q);
    vsr_machine_free(f->machine);
    g_free(f);
    return 0;
}

static inline void reopen(fixture *f, bool event_idx, bool indirect)
{
    vsr_virtq_layout layout = plain;

    layout.event_idx = event_idx;
    layout.indirect = indirect;
    memset(f->ram[0], 0, HALF);
    f->avail_idx = 0;
    assert_int_equal(vsr_virtq_open(&f->q, f->mem, &layout), 0);
}

static inline void put16(fixture *f, uint64_t gpa, uint16_t value)
{
    assert_int_equal(vsr_mem_write(f->mem, gpa, &value, 2), 0);
}

static inline uint16_t get16(fixture *f, uint64_t gpa)
{
    uint16_t value;

    assert_int_equal(vsr_mem_read(f->mem, gpa, &value, 2), 0);
    return value;
}

static inline uint32_t get32(fixture *f, uint64_t gpa)
{
    return get16(f, gpa) | (uint32_t)get16(f, gpa + 2) << 16;
}

static inline void desc_at(fixture *f, uint64_t table, unsigned i, uint64_t gpa,
                           uint32_t len, uint16_t flags, uint16_t next)
{
    const struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } d = { gpa, len, flags, next };

    assert_int_equal(
        vsr_mem_write(f->mem, table + (uint64_t)i * 16, &d, sizeof(d)), 0);
}

static inline void desc(fixture *f, unsigned i, uint64_t gpa, uint32_t len,
                        uint16_t flags, uint16_t next)
{
    desc_at(f, DESC, i, gpa, len, flags, next);
}

static inline void publish(fixture *f, uint16_t head)
{
    put16(f, AVAIL + 4 + 2u * (f->avail_idx % SIZE), head);
    put16(f, AVAIL + 2, ++f->avail_idx);
}

static inline int pop(fixture *f)
{
    return vsr_virtq_pop(&f->q, &f->chain);
}

/* The chain that begins at descriptor 0 is refused, and so is all that comes
 * after it. */
static inline void refused(fixture *f, const char *why)
{
    publish(f, 0);
    assert_int_equal(pop(f), -EPROTO);
    assert_non_null(f->q.broken);
    if (strstr(f->q.broken, why) == NULL)
        fail_msg("refused for another reason: %s", f->q.broken);
    desc(f, 0, DATA, 1, 0, 0);
    publish(f, 0);
    assert_int_equal(pop(f), -EPROTO);
    assert_true(vsr_virtq_is_empty(&f->q));
    assert_false(vsr_virtq_want_kicks(&f->q, true));
}

#endif
