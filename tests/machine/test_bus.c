/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/bus.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/support/cm.h"
#include "tests/support/fake_engine.h"

typedef struct {
    unsigned n;
    uint64_t offset[16], value[16];
    uint32_t size[16];
    bool is_write[16];
    uint8_t bytes[16]; /* what reads give, by offset */
} handler;

static void note(handler *h, uint64_t offset, uint32_t size, bool is_write,
                 uint64_t value)
{
    assert_true(h->n < 16);
    h->offset[h->n] = offset;
    h->size[h->n] = size;
    h->is_write[h->n] = is_write;
    h->value[h->n++] = value;
}

static uint64_t handler_read(void *opaque, uint64_t offset, uint32_t size)
{
    handler *h = opaque;
    uint64_t value = 0;

    note(h, offset, size, false, 0);
    memcpy(&value, h->bytes + offset, size);
    return value;
}

static void handler_write(void *opaque, uint64_t offset, uint32_t size,
                          uint64_t value)
{
    handler *h = opaque;

    note(h, offset, size, true, value);
    memcpy(h->bytes + offset, &value, size);
}

static void handler_access(void *opaque, uint64_t offset, vsr_io *io)
{
    note(opaque, offset, io->size, io->is_write, io->data);
    if (!io->is_write)
        io->data = 0x1122334455667788;
}

static const vsr_region_ops bytes_ops = { .read = handler_read,
                                          .write = handler_write,
                                          .max_size = 1 };
static const vsr_region_ops dword_ops = {
    .read = handler_read, .write = handler_write, .min_size = 4, .max_size = 4
};
static const vsr_region_ops merge_ops = {
    .read = handler_read,
    .write = handler_write,
    .min_size = 4,
    .max_size = 4,
    .merges = true,
};
static const vsr_region_ops any_ops = { .read = handler_read,
                                        .write = handler_write,
                                        .max_size = 8 };
static const vsr_region_ops access_ops = { .access = handler_access };
static const vsr_region_ops nothing_ops = { .max_size = 4 };

static int bus_new(void **state)
{
    *state = vsr_bus_new();
    return 0;
}

static int bus_free(void **state)
{
    vsr_bus_free(*state);
    return 0;
}

static int add(vsr_bus *bus, vsr_space space, uint64_t base, uint64_t len,
               const vsr_region_ops *ops, void *opaque)
{
    const vsr_region region = { .name = "test",
                                .space = space,
                                .base = base,
                                .len = len,
                                .ops = ops,
                                .opaque = opaque };

    return vsr_bus_add(bus, &region);
}

static uint64_t rd(vsr_bus *bus, vsr_space space, uint64_t addr, uint32_t size)
{
    vsr_io io = { .addr = addr, .size = size };

    vsr_bus_access(bus, space, &io);
    return io.data;
}

static void wr(vsr_bus *bus, vsr_space space, uint64_t addr, uint32_t size,
               uint64_t data)
{
    vsr_io io = { .addr = addr, .size = size, .is_write = true, .data = data };

    vsr_bus_access(bus, space, &io);
}

static void nobody_reads_all_ones(void **state)
{
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x60, 1), 0xff);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x60, 4), 0xffffffff);
    assert_true(rd(*state, VSR_SPACE_MMIO, 0x60, 8) == UINT64_MAX);
    wr(*state, VSR_SPACE_MMIO, UINT64_MAX, 8, 0);
    assert_int_equal(rd(*state, VSR_SPACE_MMIO, UINT64_MAX, 2), 0xffff);
}

static void access_reaches_its_region_and_space(void **state)
{
    handler a = { .bytes = { 0xaa } }, b = { .bytes = { 0xbb } },
            m = { .bytes = { 0xcc } };

    assert_int_equal(add(*state, VSR_SPACE_PIO, 0x70, 2, &any_ops, &b), 0);
    assert_int_equal(add(*state, VSR_SPACE_PIO, 0x60, 1, &any_ops, &a), 0);
    assert_int_equal(add(*state, VSR_SPACE_MMIO, 0x60, 16, &any_ops, &m), 0);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x60, 1), 0xaa);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x61, 1), 0xff);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x70, 1), 0xbb);
    assert_int_equal(rd(*state, VSR_SPACE_MMIO, 0x60, 1), 0xcc);
    wr(*state, VSR_SPACE_PIO, 0x71, 1, 0x1234);
    assert_int_equal(b.offset[1], 1);
    assert_int_equal(b.value[1], 0x34);
}

static void wide_access_is_split(void **state)
{
    handler h = { .bytes = { 1, 2, 3, 4, 5, 6, 7, 8 } };

    assert_int_equal(add(*state, VSR_SPACE_PIO, 0x100, 8, &bytes_ops, &h), 0);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x101, 4), 0x05040302);
    assert_int_equal(h.n, 4);
    assert_int_equal(h.offset[0], 1);
    assert_int_equal(h.offset[3], 4);
    wr(*state, VSR_SPACE_PIO, 0x104, 2, 0xbeef);
    assert_int_equal(h.bytes[4], 0xef);
    assert_int_equal(h.bytes[5], 0xbe);
}

static void unaligned_access_becomes_aligned_ones(void **state)
{
    handler h = { .bytes = { 1, 2, 3, 4, 5, 6, 7, 8 } };

    assert_int_equal(add(*state, VSR_SPACE_MMIO, 0x100, 16, &any_ops, &h), 0);
    assert_true(rd(*state, VSR_SPACE_MMIO, 0x101, 4) == 0x05040302);
    for (unsigned i = 0; i < h.n; i++)
        assert_int_equal(h.offset[i] % h.size[i], 0);
    h.n = 0;
    assert_true(rd(*state, VSR_SPACE_MMIO, 0x100, 8) == 0x0807060504030201);
    assert_int_equal(h.n, 1);
}

static void narrow_read_is_cut_from_the_register(void **state)
{
    handler h = { .bytes = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 } };

    assert_int_equal(add(*state, VSR_SPACE_MMIO, 0x1000, 8, &dword_ops, &h), 0);
    assert_int_equal(rd(*state, VSR_SPACE_MMIO, 0x1002, 1), 0x33);
    assert_int_equal(h.offset[0], 0);
    assert_int_equal(h.size[0], 4);
    assert_int_equal(rd(*state, VSR_SPACE_MMIO, 0x1003, 2), 0x5544);
    assert_int_equal(rd(*state, VSR_SPACE_MMIO, 0x1000, 8), 0x8877665544332211);
}

static void narrow_write_is_merged_only_where_allowed(void **state)
{
    handler strict = { .bytes = { 1, 2, 3, 4 } };
    handler merging = { .bytes = { 1, 2, 3, 4 } };

    assert_int_equal(add(*state, VSR_SPACE_MMIO, 0, 4, &dword_ops, &strict), 0);
    assert_int_equal(add(*state, VSR_SPACE_MMIO, 4, 4, &merge_ops, &merging),
                     0);
    wr(*state, VSR_SPACE_MMIO, 1, 1, 0xff);
    assert_int_equal(strict.n, 0);
    wr(*state, VSR_SPACE_MMIO, 5, 2, 0xeeff);
    assert_int_equal(merging.n, 2);
    assert_int_equal(merging.value[1], 0x04eeff01);
}

static void access_over_the_end_is_cut(void **state)
{
    handler a = { .bytes = { 1, 2 } }, b = { .bytes = { 3, 4 } };

    assert_int_equal(add(*state, VSR_SPACE_PIO, 0x10, 2, &bytes_ops, &a), 0);
    assert_int_equal(add(*state, VSR_SPACE_PIO, 0x13, 2, &bytes_ops, &b), 0);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x11, 4), 0x0403ff02);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x0e, 4), 0x0201ffff);
    assert_int_equal(add(*state, VSR_SPACE_PIO, 0xffff, 1, &bytes_ops, &b), 0);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0xffff, 4), 0xffffff03);
}

static void raw_handlers_see_the_access_as_it_came(void **state)
{
    handler h = { 0 };
    vsr_io io = { .addr = 0x1004, .size = 8, .vcpu = 3 };

    assert_int_equal(add(*state, VSR_SPACE_MMIO, 0x1000, 0x10, &access_ops, &h),
                     0);
    vsr_bus_access(*state, VSR_SPACE_MMIO, &io);
    assert_true(io.data == 0x1122334455667788);
    assert_int_equal(h.offset[0], 4);
    assert_int_equal(h.size[0], 8);
    wr(*state, VSR_SPACE_MMIO, 0x1001, 2, 0xabcd);
    assert_int_equal(h.size[1], 2);
    assert_int_equal(h.value[1], 0xabcd);
}

static void missing_handlers_are_like_nobody(void **state)
{
    assert_int_equal(add(*state, VSR_SPACE_PIO, 0x80, 1, &nothing_ops, NULL),
                     0);
    assert_int_equal(rd(*state, VSR_SPACE_PIO, 0x80, 1), 0xff);
    wr(*state, VSR_SPACE_PIO, 0x80, 1, 3);
}

static void bad_regions_are_refused(void **state)
{
    static const vsr_region_ops odd = { .min_size = 3 },
                                inverse = { .min_size = 4, .max_size = 2 };
    handler h = { 0 };
    vsr_bus *bus = *state;

    assert_int_equal(add(bus, VSR_SPACE_PIO, 0x60, 4, &any_ops, &h), 0);
    assert_int_equal(add(bus, VSR_SPACE_PIO, 0x63, 1, &any_ops, &h), -EEXIST);
    assert_int_equal(add(bus, VSR_SPACE_PIO, 0x5f, 2, &any_ops, &h), -EEXIST);
    assert_int_equal(add(bus, VSR_SPACE_PIO, 0x50, 0x40, &any_ops, &h),
                     -EEXIST);
    assert_int_equal(add(bus, VSR_SPACE_PIO, 0x60, 4, &any_ops, &h), -EEXIST);
    assert_int_equal(add(bus, VSR_SPACE_PIO, 0x64, 0, &any_ops, &h), -EINVAL);
    assert_int_equal(add(bus, VSR_SPACE_PIO, 0xffff, 2, &any_ops, &h), -EINVAL);
    assert_int_equal(add(bus, VSR_SPACE_MMIO, UINT64_MAX, 2, &any_ops, &h),
                     -EINVAL);
    assert_int_equal(add(bus, VSR_SPACE_MMIO, 0, 8, &odd, &h), -EINVAL);
    assert_int_equal(add(bus, VSR_SPACE_MMIO, 0, 8, &inverse, &h), -EINVAL);
    assert_int_equal(add(bus, VSR_SPACE_MMIO, 0, 6, &dword_ops, &h), -EINVAL);
    assert_int_equal(add(bus, VSR_SPACE_MMIO, UINT64_MAX - 7, 8, &any_ops, &h),
                     0);
    assert_int_equal(vsr_bus_remove(bus, VSR_SPACE_PIO, 0x61), -ENOENT);
    assert_int_equal(vsr_bus_remove(bus, VSR_SPACE_PIO, 0x60), 0);
    assert_int_equal(rd(bus, VSR_SPACE_PIO, 0x60, 1), 0xff);
    assert_int_equal(vsr_bus_remove(bus, VSR_SPACE_PIO, 0x60), -ENOENT);
}

/* --- removal while in flight --- */

typedef struct {
    vsr_bus *bus;
    GMutex lock;
    gint inside, leave, done;
    int moved;
} slow_handler;

static uint64_t slow_read(void *opaque, uint64_t offset, uint32_t size)
{
    slow_handler *h = opaque;

    g_atomic_int_set(&h->inside, 1);
    while (!g_atomic_int_get(&h->leave))
        g_usleep(100);
    g_usleep(3000);
    g_atomic_int_set(&h->done, 1);
    return 0;
}

static const vsr_region_ops slow_ops = { .read = slow_read };

static void *read_slowly(void *opaque)
{
    slow_handler *h = opaque;

    (void)rd(h->bus, VSR_SPACE_MMIO, 0x1000, 4);
    return NULL;
}

static void remove_waits_for_a_handler(void **state)
{
    slow_handler h = { .bus = *state };
    GThread *thread;

    assert_int_equal(add(h.bus, VSR_SPACE_MMIO, 0x1000, 4, &slow_ops, &h), 0);
    thread = g_thread_new("reader", read_slowly, &h);
    while (!g_atomic_int_get(&h.inside))
        g_usleep(100);
    g_atomic_int_set(&h.leave, 1);
    assert_int_equal(vsr_bus_remove(h.bus, VSR_SPACE_MMIO, 0x1000), 0);
    assert_int_equal(g_atomic_int_get(&h.done), 1);
    g_thread_join(thread);
}

/* As a PCI function does when its base address register is written: the handler
 * of one region moves another that has the same lock, and itself. */
static void mover_write(void *opaque, uint64_t offset, uint32_t size,
                        uint64_t value)
{
    slow_handler *h = opaque;
    vsr_region region = { .space = VSR_SPACE_MMIO,
                          .base = value,
                          .len = 4,
                          .ops = &slow_ops,
                          .opaque = h,
                          .lock = &h->lock };

    g_atomic_int_set(&h->inside, 1);
    while (!g_atomic_int_get(&h->leave))
        g_usleep(100);
    h->moved = vsr_bus_remove(h->bus, VSR_SPACE_MMIO, 0x1000);
    if (h->moved == 0)
        h->moved = vsr_bus_add(h->bus, &region);
    if (h->moved == 0)
        h->moved = vsr_bus_remove(h->bus, VSR_SPACE_PIO, 0x10);
}

static void a_handler_moves_regions_of_its_device(void **state)
{
    static const vsr_region_ops mover_ops = { .write = mover_write };
    slow_handler h = { .bus = *state, .moved = -1 };
    const vsr_region mover = { .space = VSR_SPACE_PIO,
                               .base = 0x10,
                               .len = 4,
                               .ops = &mover_ops,
                               .opaque = &h,
                               .lock = &h.lock };
    const vsr_region window = { .space = VSR_SPACE_MMIO,
                                .base = 0x1000,
                                .len = 4,
                                .ops = &slow_ops,
                                .opaque = &h,
                                .lock = &h.lock };
    GThread *reader;

    g_mutex_init(&h.lock);
    assert_int_equal(vsr_bus_add(h.bus, &mover), 0);
    assert_int_equal(vsr_bus_add(h.bus, &window), 0);
    /* One access waits for the lock meanwhile: it must find the region gone. */
    g_mutex_lock(&h.lock);
    reader = g_thread_new("reader", read_slowly, &h);
    g_usleep(5000);
    g_atomic_int_set(&h.leave, 1);
    g_mutex_unlock(&h.lock);
    wr(h.bus, VSR_SPACE_PIO, 0x10, 4, 0x5000);
    g_thread_join(reader);
    assert_int_equal(h.moved, 0);
    assert_int_equal(rd(h.bus, VSR_SPACE_MMIO, 0x5000, 4), 0);
    assert_int_equal(rd(h.bus, VSR_SPACE_MMIO, 0x1000, 4), 0xffffffff);
    assert_int_equal(rd(h.bus, VSR_SPACE_PIO, 0x10, 4), 0xffffffff);
    g_mutex_clear(&h.lock);
}

typedef struct {
    vsr_bus *bus;
    gint stop;
    uint32_t vcpu;
    gint wrong;
} storm;

static uint64_t storm_read(void *opaque, uint64_t offset, uint32_t size)
{
    return 0x5a;
}

static void *storm_main(void *opaque)
{
    storm *s = opaque;

    while (!g_atomic_int_get(&s->stop)) {
        vsr_io io = { .addr = 0x2000, .size = 1, .vcpu = s->vcpu };

        vsr_bus_access(s->bus, VSR_SPACE_MMIO, &io);
        if (io.data != 0x5a && io.data != 0xff)
            g_atomic_int_inc(&s->wrong);
        io = (vsr_io){ .addr = 0x9000, .size = 1, .vcpu = s->vcpu };
        vsr_bus_access(s->bus, VSR_SPACE_MMIO, &io);
        if (io.data != 0x5a)
            g_atomic_int_inc(&s->wrong);
    }
    return NULL;
}

static void changes_under_fire_are_seen_whole(void **state)
{
    static const vsr_region_ops ops = { .read = storm_read };
    storm s[3] = { 0 };
    GThread *threads[3];

    assert_int_equal(add(*state, VSR_SPACE_MMIO, 0x9000, 4, &ops, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        s[i] = (storm){ .bus = *state, .vcpu = i };
        threads[i] = g_thread_new("storm", storm_main, &s[i]);
    }
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(add(*state, VSR_SPACE_MMIO, 0x2000, 4, &ops, NULL), 0);
        assert_int_equal(vsr_bus_remove(*state, VSR_SPACE_MMIO, 0x2000), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        g_atomic_int_set(&s[i].stop, 1);
        g_thread_join(threads[i]);
        assert_int_equal(s[i].wrong, 0);
    }
}

/* --- doorbells --- */

static uint64_t rings(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

static void doorbell_takes_the_write_it_matches(void **state)
{
    vsr_autofd any = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vsr_autofd one = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    handler h = { 0 };
    vsr_bus *bus = *state;

    assert_int_equal(add(bus, VSR_SPACE_MMIO, 0x1000, 16, &any_ops, &h), 0);
    assert_int_equal(
        vsr_bus_doorbell_add(bus, VSR_SPACE_MMIO, 0x1000, 4, true, 1, one), 0);
    assert_int_equal(
        vsr_bus_doorbell_add(bus, VSR_SPACE_MMIO, 0x1008, 0, false, 0, any), 0);
    assert_int_equal(
        vsr_bus_doorbell_add(bus, VSR_SPACE_MMIO, 0x1000, 4, true, 1, any),
        -EEXIST);
    assert_int_equal(
        vsr_bus_doorbell_add(bus, VSR_SPACE_MMIO, 0x1000, 3, true, 1, any),
        -EINVAL);
    wr(bus, VSR_SPACE_MMIO, 0x1000, 4, 1);
    assert_int_equal(rings(one), 1);
    assert_int_equal(h.n, 0);
    wr(bus, VSR_SPACE_MMIO, 0x1000, 4, 2); /* another value */
    wr(bus, VSR_SPACE_MMIO, 0x1000, 2, 1); /* another size */
    assert_int_equal(rings(one), 0);
    assert_int_equal(h.n, 2);
    wr(bus, VSR_SPACE_MMIO, 0x1008, 2, 7);
    wr(bus, VSR_SPACE_MMIO, 0x1008, 8, 9);
    assert_int_equal(rings(any), 2);
    (void)rd(bus, VSR_SPACE_MMIO, 0x1008, 4);
    assert_int_equal(rings(any), 0);
    assert_int_equal(
        vsr_bus_doorbell_remove(bus, VSR_SPACE_MMIO, 0x1000, 4, true, 2),
        -ENOENT);
    assert_int_equal(
        vsr_bus_doorbell_remove(bus, VSR_SPACE_MMIO, 0x1000, 4, true, 1), 0);
    wr(bus, VSR_SPACE_MMIO, 0x1000, 4, 1);
    assert_int_equal(rings(one), 0);
}

static void doorbells_with_a_value_go_to_the_engine(void **state)
{
    vsr_autofd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vsr_machine *machine = fake_machine_new(1);

    assert_non_null(machine);
    assert_int_equal(vsr_bus_doorbell_add(machine->bus, VSR_SPACE_MMIO, 0x1000,
                                          4, true, 1, fd),
                     0);
    assert_int_equal(vsr_bus_doorbell_add(machine->bus, VSR_SPACE_MMIO, 0x2000,
                                          4, false, 0, fd),
                     0);
    assert_int_equal(machine->vm->n_doorbells, 1);
    assert_int_equal(vsr_bus_doorbell_remove(machine->bus, VSR_SPACE_MMIO,
                                             0x1000, 4, true, 1),
                     0);
    assert_int_equal(machine->vm->n_doorbells, 0);
    vsr_machine_free(machine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bus_new, bus_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_reads_all_ones),
        TEST(access_reaches_its_region_and_space),
        TEST(wide_access_is_split),
        TEST(unaligned_access_becomes_aligned_ones),
        TEST(narrow_read_is_cut_from_the_register),
        TEST(narrow_write_is_merged_only_where_allowed),
        TEST(access_over_the_end_is_cut),
        TEST(raw_handlers_see_the_access_as_it_came),
        TEST(missing_handlers_are_like_nobody),
        TEST(bad_regions_are_refused),
        TEST(remove_waits_for_a_handler),
        TEST(a_handler_moves_regions_of_its_device),
        TEST(changes_under_fire_are_seen_whole),
        TEST(doorbell_takes_the_write_it_matches),
        TEST(doorbells_with_a_value_go_to_the_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
