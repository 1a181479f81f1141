/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

static int machine_new(void **state)
{
    *state = fake_machine_new(1);
    return *state == NULL;
}

static int machine_free(void **state)
{
    vsr_machine_free(*state);
    return 0;
}

static vsr_mem *mem_of(void **state)
{
    return ((vsr_machine *)*state)->mem;
}

static void add(vsr_mem *mem, const char *name, uint64_t gpa, uint64_t len,
                bool readonly)
{
    g_autoptr(GError) error = NULL;

    if (!vsr_mem_add_ram(mem, name, gpa, len, readonly, NULL, &error))
        fail_msg("%s", error->message);
}

static void ram_reads_back_what_was_written(void **state)
{
    vsr_mem *mem = mem_of(state);
    char got[16] = { 1 };

    add(mem, "ram", 0, 4 * VSR_MIB, false);
    assert_int_equal(vsr_mem_read(mem, 0x1000, got, 16), 0);
    assert_int_equal(got[0], 0);
    assert_int_equal(vsr_mem_write(mem, 0xfff, "hello", 5), 0);
    assert_int_equal(vsr_mem_read(mem, 0xfff, got, 5), 0);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(vsr_mem_ram_bytes(mem), 4 * VSR_MIB);
}

static void a_range_is_taken_whole_or_not_at_all(void **state)
{
    vsr_mem *mem = mem_of(state);
    char got[4] = "old";

    add(mem, "ram", 0x10000, 0x2000, false);
    assert_int_equal(vsr_mem_write(mem, 0x11ffe, "abcd", 4), -EFAULT);
    assert_int_equal(vsr_mem_read(mem, 0x11ffe, got, 3), -EFAULT);
    assert_string_equal(got, "old");
    assert_int_equal(vsr_mem_read(mem, 0x11ffe, got, 2), 0);
    assert_int_equal(got[0], 0);
    assert_int_equal(vsr_mem_read(mem, 0xffff, got, 1), -EFAULT);
    assert_int_equal(vsr_mem_read(mem, 0x10000, got, UINT64_MAX), -EFAULT);
    assert_int_equal(vsr_mem_read(mem, UINT64_MAX, got, 2), -EFAULT);
    assert_int_equal(vsr_mem_read(mem, UINT64_MAX - 1, got, 1), -EFAULT);
}

static void access_crosses_neighbouring_regions(void **state)
{
    vsr_mem *mem = mem_of(state);
    char got[8];

    add(mem, "b", 0x2000, 0x1000, false);
    add(mem, "a", 0x1000, 0x1000, false);
    assert_int_equal(vsr_mem_write(mem, 0x1ffc, "12345678", 8), 0);
    assert_int_equal(vsr_mem_read(mem, 0x1ffc, got, 8), 0);
    assert_memory_equal(got, "12345678", 8);
    /* But one host range it is not. */
    assert_null(vsr_mem_map(mem, 0x1ffc, 8));
    assert_non_null(vsr_mem_map(mem, 0x1ffc, 4));
}

static void map_checks_the_whole_range(void **state)
{
    vsr_mem *mem = mem_of(state);
    char *p, got;

    add(mem, "ram", 0x1000, 0x1000, false);
    p = vsr_mem_map(mem, 0x1800, 0x800);
    assert_non_null(p);
    p[0x7ff] = 'x';
    assert_int_equal(vsr_mem_read(mem, 0x1fff, &got, 1), 0);
    assert_int_equal(got, 'x');
    assert_null(vsr_mem_map(mem, 0x1800, 0x801));
    assert_null(vsr_mem_map(mem, 0x1800, UINT64_MAX));
    assert_null(vsr_mem_map(mem, 0x1800, UINT64_MAX - 0x7ff));
    assert_null(vsr_mem_map(mem, 0x2000, 0));
    assert_null(vsr_mem_map(mem, 0xfff, 1));
}

static void rom_is_read_but_not_written(void **state)
{
    vsr_mem *mem = mem_of(state);
    char got[3];

    add(mem, "rom", 0xf0000, 0x10000, true);
    assert_int_equal(vsr_mem_rom_write(mem, 0xffff0, "abc", 3), 0);
    assert_int_equal(vsr_mem_write(mem, 0xffff0, "xyz", 3), -EFAULT);
    assert_int_equal(vsr_mem_read(mem, 0xffff0, got, 3), 0);
    assert_memory_equal(got, "abc", 3);
    assert_null(vsr_mem_map(mem, 0xffff0, 1));
    assert_int_equal(vsr_mem_ram_bytes(mem), 0);
    assert_int_equal(vsr_mem_clear(mem), 0);
    assert_int_equal(vsr_mem_read(mem, 0xffff0, got, 3), 0);
    assert_memory_equal(got, "abc", 3);
}

static void engine_gets_every_slot_and_loses_it(void **state)
{
    vsr_machine *machine = *state;
    vsr_engine_vm *vm = machine->vm;

    add(machine->mem, "ram", 0, VSR_MIB, false);
    add(machine->mem, "rom", 0xfffe0000, 0x20000, true);
    assert_int_equal(vm->n_slots, 2);
    assert_int_equal(vm->slot[0].len, VSR_MIB);
    assert_false(vm->slot[0].readonly);
    assert_int_equal((uintptr_t)vm->slot[0].host % (2 * VSR_MIB), 0);
    assert_true(vm->slot[1].readonly);
    vsr_mem_free(machine->mem);
    machine->mem = NULL;
    assert_int_equal(vm->n_slots, 2); /* they go with the VM */
}

static const vsr_mem_options shared = { .shared = true };

static void alias_is_the_second_half_of_a_block(void **state)
{
    vsr_mem *mem = mem_of(state);
    g_autoptr(GError) error = NULL;
    char got[2];

    add(mem, "own", 0x10000000, VSR_MIB, false);
    assert_false(vsr_mem_add_alias(mem, "own", 0, 0x20000000, 0x1000, &error));
    assert_non_null(strstr(error->message, "not shared"));
    g_clear_error(&error);
    assert_true(
        vsr_mem_add_ram(mem, "ram", 0, VSR_MIB, false, &shared, &error));
    assert_true(
        vsr_mem_add_alias(mem, "ram", VSR_MIB, 4 * VSR_GIB, VSR_MIB, &error));
    assert_int_equal(vsr_mem_ram_bytes(mem), 3 * VSR_MIB);
    assert_int_equal(vsr_mem_write(mem, 4 * VSR_GIB, "hi", 2), 0);
    assert_int_equal(vsr_mem_read(mem, 0, got, 2), 0);
    assert_int_equal(got[0], 0);
    /* An alias of what is mapped already shows the same bytes. */
    assert_true(
        vsr_mem_add_alias(mem, "ram", VSR_MIB, 8 * VSR_GIB, 0x1000, &error));
    assert_int_equal(vsr_mem_read(mem, 8 * VSR_GIB, got, 2), 0);
    assert_memory_equal(got, "hi", 2);
    assert_int_equal(vsr_mem_ram_bytes(mem), 3 * VSR_MIB);
    assert_false(vsr_mem_add_alias(mem, "none", 0, 0x70000000, 0x1000, NULL));
    assert_false(
        vsr_mem_add_alias(mem, "ram", 3 * VSR_MIB, 0x70000000, 0x1000, NULL));
}

static void nonsense_is_refused(void **state)
{
    vsr_mem *mem = mem_of(state);
    g_autoptr(GError) error = NULL;

    add(mem, "ram", 0x10000, 0x10000, false);
    assert_false(vsr_mem_add_ram(mem, "x", 0x1f000, 0x1000, false, NULL, NULL));
    assert_false(vsr_mem_add_ram(mem, "x", 0xf000, 0x2000, false, NULL, NULL));
    assert_false(vsr_mem_add_ram(mem, "x", 0x100, 0x1000, false, NULL, NULL));
    assert_false(vsr_mem_add_ram(mem, "x", 0, 0, false, NULL, NULL));
    assert_false(vsr_mem_add_ram(mem, "x", 0, 100, false, NULL, NULL));
    assert_false(vsr_mem_add_ram(mem, "x", UINT64_MAX - 0xfff, 0x2000, false,
                                 NULL, NULL));
    assert_false(
        vsr_mem_add_ram(mem, "ram", 0x80000, 0x1000, false, NULL, NULL));
    /* More than any host has. */
    assert_false(vsr_mem_add_ram(mem, "x", VSR_GIB, UINT64_C(1) << 55, false,
                                 NULL, &error));
    assert_int_equal(error->code, VISOR_ERR_RESOURCE);
    assert_true(vsr_mem_add_ram(mem, "x", 0x20000, 0x1000, false, NULL, NULL));
}

static bool sum_blocks(uint64_t gpa, uint64_t len, bool readonly, int fd,
                       uint64_t fd_offset, void *host, void *opaque)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    *(uint64_t *)opaque += (uint64_t)st.st_blocks * 512;
    return true;
}

/* What is not shared has no descriptor, but pages that are there or not. */
static bool sum_pages(uint64_t gpa, uint64_t len, bool readonly, int fd,
                      uint64_t fd_offset, void *host, void *opaque)
{
    g_autofree unsigned char *there = g_malloc(len / 4096);

    assert_int_equal(fd, -1);
    assert_int_equal(mincore(host, len, there), 0);
    for (uint64_t i = 0; i < len / 4096; i++)
        *(uint64_t *)opaque += there[i] & 1 ? 4096 : 0;
    return true;
}

static void clears(vsr_machine *machine, const vsr_mem_options *options,
                   vsr_mem_visit *sum)
{
    vsr_mem *mem = machine->mem;
    uint64_t used = 0;
    char got;

    assert_true(
        vsr_mem_add_ram(mem, "ram", 0, 8 * VSR_MIB, false, options, NULL));
    assert_int_equal(vsr_mem_clear(mem), 0); /* nothing was touched */
    assert_int_equal(machine->vm->n_marks, 0);
    memset(vsr_mem_map(mem, 0, 8 * VSR_MIB), 0x55, 8 * VSR_MIB);
    assert_true(vsr_mem_foreach(mem, sum, &used));
    assert_true(used >= 8 * VSR_MIB);
    assert_int_equal(vsr_mem_clear(mem), 0);
    assert_int_equal(machine->vm->n_marks, 1);
    assert_int_equal(vsr_mem_read(mem, 5 * VSR_MIB, &got, 1), 0);
    assert_int_equal(got, 0);
    used = 0;
    assert_true(vsr_mem_foreach(mem, sum, &used));
    assert_true(used < 4 * VSR_MIB);
}

static void clear_gives_the_memory_back(void **state)
{
    clears(*state, NULL, sum_pages);
}

static void clear_gives_shared_memory_back(void **state)
{
    clears(*state, &shared, sum_blocks);
}

/* A guest writes without telling anybody. */
static void what_the_guest_wrote_is_cleared(void **state)
{
    vsr_machine *machine = *state;
    char got;

    add(machine->mem, "ram", 0, VSR_MIB, false);
    assert_int_equal(vsr_mem_clear(machine->mem), 0);
    *(char *)machine->vm->slot[0].host = 1;
    assert_int_equal(vsr_mem_clear(machine->mem), 0);
    assert_int_equal(vsr_mem_read(machine->mem, 0, &got, 1), 0);
    assert_int_equal(got, 0);
}

static void preallocated_memory_stays_allocated(void **state)
{
    vsr_mem *mem = mem_of(state);
    const vsr_mem_options options = { .prealloc = true };
    uint64_t used = 0;
    char got;

    assert_true(
        vsr_mem_add_ram(mem, "ram", 0, 2 * VSR_MIB, false, &options, NULL));
    assert_int_equal(vsr_mem_write(mem, 9, "x", 1), 0);
    assert_int_equal(vsr_mem_clear(mem), 0);
    assert_true(vsr_mem_foreach(mem, sum_pages, &used));
    assert_true(used >= 2 * VSR_MIB);
    assert_int_equal(vsr_mem_read(mem, 9, &got, 1), 0);
    assert_int_equal(got, 0);
}

/* Of the pages from `host` on. */
static bool is_resident(void *host)
{
    unsigned char there = 0;

    assert_int_equal(mincore(host, 4096, &there), 0);
    return (there & 1) != 0;
}

static void discards(vsr_mem *mem, const vsr_mem_options *options)
{
    uint8_t got[2];
    uint8_t *host;

    assert_true(
        vsr_mem_add_ram(mem, "ram", 0, 4 * VSR_MIB, false, options, NULL));
    host = vsr_mem_map(mem, 0x5000, 0x2000);
    memset(host, 'x', 0x2000);
    assert_int_equal(vsr_mem_discard(mem, 0x5000, 0x1000), 0);
    assert_int_equal(vsr_mem_read(mem, 0x5fff, got, 2), 0);
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], 'x');
    assert_int_equal(vsr_mem_discard(mem, 0, 4 * VSR_MIB), 0);
    assert_false(is_resident(host));
    assert_int_equal(vsr_mem_discard(mem, 0, 0), 0);
    assert_int_equal(vsr_mem_discard(mem, 0x800, 0x1000), -EINVAL);
    assert_int_equal(vsr_mem_discard(mem, 0x1000, 0x800), -EINVAL);
    assert_int_equal(vsr_mem_discard(mem, 0x3ff000, 0x2000), -EFAULT);
    assert_int_equal(vsr_mem_discard(mem, 4 * VSR_MIB, 0), -EFAULT);
    assert_int_equal(vsr_mem_discard(mem, UINT64_MAX - 4095, 4096), -EFAULT);
}

static void pages_go_back_to_the_host(void **state)
{
    vsr_mem *mem = mem_of(state);
    vsr_engine_vm *vm = ((vsr_machine *)*state)->vm;
    const vsr_mem_options small = { .no_thp = true };
    uint64_t marked = vm->marked_pages;

    discards(mem, &small);
    assert_true(vm->marked_pages - marked >= 1 + 1024);
    add(mem, "rom", 0xfff00000, 0x100000, true);
    assert_int_equal(vsr_mem_discard(mem, 0xfff00000, 0x1000), -EFAULT);
}

static void shared_pages_go_back_to_the_host(void **state)
{
    const vsr_mem_options both = { .shared = true, .no_thp = true };

    discards(mem_of(state), &both);
}

static void locked_pages_stay(void **state)
{
    vsr_mem *mem = mem_of(state);
    const vsr_mem_options locked = { .locked = true, .lock_on_touch = true };
    char got[1];

    assert_true(vsr_mem_add_ram(mem, "ram", 0, 0x4000, false, &locked, NULL));
    assert_int_equal(vsr_mem_write(mem, 0, "x", 1), 0);
    assert_int_equal(vsr_mem_discard(mem, 0, 0x1000), -EOPNOTSUPP);
    assert_int_equal(vsr_mem_discard(mem, 0, 0), -EOPNOTSUPP);
    assert_int_equal(vsr_mem_read(mem, 0, got, 1), 0);
    assert_int_equal(got[0], 'x');
}

static void writes_are_told_to_the_engine(void **state)
{
    vsr_machine *machine = *state;

    add(machine->mem, "ram", 0, VSR_MIB, false);
    assert_int_equal(vsr_mem_write(machine->mem, 0xfff, "ab", 2), 0);
    assert_int_equal(machine->vm->marked_pages, 2);
    vsr_mem_written(machine->mem, 0x5000, 0x1000);
    assert_int_equal(machine->vm->marked_pages, 3);
    vsr_mem_written(machine->mem, 0x5000, 0);
    assert_int_equal(machine->vm->n_marks, 2);
}

typedef struct {
    uint64_t gpa[4];
    unsigned n;
} visit_record;

static bool visit(uint64_t gpa, uint64_t len, bool readonly, int fd,
                  uint64_t fd_offset, void *host, void *opaque)
{
    visit_record *record = opaque;

    record->gpa[record->n++] = gpa;
    return record->n < 2;
}

static void foreach_goes_by_address_and_may_stop(void **state)
{
    visit_record record = { 0 };

    add(mem_of(state), "c", 0x30000, 0x1000, false);
    add(mem_of(state), "a", 0x10000, 0x1000, false);
    add(mem_of(state), "b", 0x20000, 0x1000, false);
    assert_false(vsr_mem_foreach(mem_of(state), visit, &record));
    assert_int_equal(record.n, 2);
    assert_int_equal(record.gpa[0], 0x10000);
    assert_int_equal(record.gpa[1], 0x20000);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, machine_new, machine_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ram_reads_back_what_was_written),
        TEST(a_range_is_taken_whole_or_not_at_all),
        TEST(access_crosses_neighbouring_regions),
        TEST(map_checks_the_whole_range),
        TEST(rom_is_read_but_not_written),
        TEST(engine_gets_every_slot_and_loses_it),
        TEST(alias_is_the_second_half_of_a_block),
        TEST(nonsense_is_refused),
        TEST(clear_gives_the_memory_back),
        TEST(clear_gives_shared_memory_back),
        TEST(what_the_guest_wrote_is_cleared),
        TEST(preallocated_memory_stays_allocated),
        TEST(pages_go_back_to_the_host),
        TEST(shared_pages_go_back_to_the_host),
        TEST(locked_pages_stay),
        TEST(writes_are_told_to_the_engine),
        TEST(foreach_goes_by_address_and_may_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
