/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices/pci/function.h"
#include "devices/pci/host.h"

#include "machine/x86/layout.h"
#include "tests/devices/device_fixture.h"

/* A device with a memory BAR of 4 KiB, a 64-bit one of 16 KiB and 64 ports. */
typedef struct {
    vsr_device base;
    vsr_pci_function pci;
    uint64_t last_write;
    uint32_t moves;
} toy;

static toy *to_toy(void *opaque)
{
    return VSR_CONTAINER_OF((vsr_device *)opaque, toy, base);
}

static uint64_t toy_read(void *opaque, uint64_t offset, uint32_t size)
{
    return 0xabcd0000 + offset;
}

static void toy_write(void *opaque, uint64_t offset, uint32_t size,
                      uint64_t value)
{
    to_toy(opaque)->last_write = value;
}

static void toy_moved(vsr_pci_function *function, uint32_t bar, bool mapped,
                      uint64_t addr)
{
    VSR_CONTAINER_OF(function, toy, pci)->moves++;
}

static const vsr_region_ops toy_ops = {
    .read = toy_read, .write = toy_write, .min_size = 1, .max_size = 4
};

typedef struct {
    vsr_pci_host *host;
    uint8_t devfn;
} toy_params;

static bool toy_init(vsr_device *device, const void *params, GError **error)
{
    static const vsr_pci_ids ids = { .vendor = 0x1234,
                                     .device = 0x5678,
                                     .subsystem_vendor = 0x9abc,
                                     .subsystem = 0xdef0,
                                     .class_code = 0xff0102,
                                     .revision = 3,
                                     .pin = 2 };
    const toy_params *p = params;
    toy *t = to_toy(device);
    vsr_pci_bar bar = {
        .len = 4096, .ops = &toy_ops, .opaque = device, .lock = &device->lock
    };

    if (!vsr_pci_function_init(&t->pci, device, p->host, p->devfn, &ids, error))
        return false;
    t->pci.moved = toy_moved;
    if (!vsr_pci_add_bar(&t->pci, 0, &bar, error))
        return false;
    bar.len = 64;
    bar.is_io = true;
    if (!vsr_pci_add_bar(&t->pci, 1, &bar, error))
        return false;
    bar.len = 16384;
    bar.is_io = false;
    bar.is_64 = bar.prefetch = true;
    return vsr_pci_add_bar(&t->pci, 2, &bar, error) &&
           vsr_pci_add_capability(&t->pci, 0x09, 16) == 0x40 &&
           vsr_pci_add_capability(&t->pci, 0x11, 12) == 0x50;
}

static void toy_fini(vsr_device *device)
{
    vsr_pci_function_fini(&to_toy(device)->pci);
}

static void toy_reset(vsr_device *device)
{
    vsr_pci_function_reset(&to_toy(device)->pci);
}

static const vsr_device_class toy_class = {
    .name = "toy",
    .instance_size = sizeof(toy),
    .init = toy_init,
    .fini = toy_fini,
    .reset = toy_reset,
};

typedef struct {
    device_fixture *f;
    vsr_pci_host *host;
    toy *toy; /* at 00:03.0 */
} bus;

static int setup(void **state)
{
    bus *b = g_new0(bus, 1);
    vsr_board board;
    vsr_pci_host_params params = { &board };
    toy_params toy_p = { .devfn = 3 << 3 };

    assert_true(
        vsr_board_init(&board, VSR_BOARD_PCI, 16 * VSR_MIB, 1, 1, NULL));
    b->f = device_fixture_new(&vsr_pci_host_class, &params);
    b->host = toy_p.host = vsr_pci_host_get(b->f->device);
    b->toy =
        to_toy(vsr_device_new(b->f->machine, &toy_class, "toy", &toy_p, NULL));
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    bus *b = *state;

    device_fixture_free(b->f);
    g_free(b);
    return 0;
}

static uint64_t ecam(uint32_t devfn, uint32_t offset)
{
    return VSR_ECAM_BASE + (devfn << 12) + offset;
}

static uint64_t get(bus *b, uint32_t devfn, uint32_t offset, uint32_t size)
{
    return fake_mmio_read(b->f->machine, 0, ecam(devfn, offset), size);
}

static void set(bus *b, uint32_t offset, uint32_t size, uint64_t value)
{
    fake_mmio_write(b->f->machine, 0, ecam(3 << 3, offset), size, value);
}

static uint64_t port_get(bus *b, uint32_t devfn, uint32_t offset, uint32_t size)
{
    fake_out(b->f->machine, 0xcf8, 4,
             UINT32_C(0x80000000) | devfn << 8 | (offset & 0xfc));
    return fake_in(b->f->machine, (uint16_t)(0xcfc + (offset & 3)), size);
}

static void both_mechanisms_show_the_same(void **state)
{
    bus *b = *state;
    uint32_t offset;

    for (offset = 0; offset < 256; offset += 4)
        assert_int_equal(get(b, 24, offset, 4), port_get(b, 24, offset, 4));
    assert_int_equal(get(b, 24, 0, 4), 0x56781234);
    assert_int_equal(get(b, 24, 2, 2), 0x5678);
    assert_int_equal(port_get(b, 24, 2, 2), 0x5678);
    assert_int_equal(get(b, 24, 11, 1), 0xff);
    assert_int_equal(get(b, 24, 8, 4), 0xff010203);
    assert_int_equal(get(b, 24, 0x2c, 4), 0xdef09abc);
    assert_int_equal(get(b, 24, 0, 8) >> 32, get(b, 24, 4, 4));
    assert_int_equal(get(b, 0, 8, 4) >> 8, 0x060000);
    assert_int_equal(get(b, 24, 0x3d, 1), 2);
    assert_int_equal(get(b, 24, 0x3c, 1), 16 + (3 + 1) % 4);
}

static void absent_functions_read_as_ones(void **state)
{
    bus *b = *state;

    assert_int_equal(get(b, 25, 0, 4), 0xffffffff);
    assert_int_equal(get(b, 8, 0, 2), 0xffff);
    assert_int_equal(get(b, 256 + 24, 0, 4), 0xffffffff); /* bus 1 */
    assert_int_equal(port_get(b, 256 + 24, 0, 4), 0xffffffff);
    fake_out(b->f->machine, 0xcf8, 4, 24 << 8); /* not enabled */
    assert_int_equal(fake_in(b->f->machine, 0xcfc, 4), 0xffffffff);
    assert_int_equal(get(b, 24, 0xffc, 4), 0);
    fake_mmio_write(b->f->machine, 0, ecam(25, 4), 4, 7);
}

static void address_register_takes_double_words_only(void **state)
{
    bus *b = *state;

    fake_out(b->f->machine, 0xcf8, 4, 0xffffffff);
    assert_int_equal(fake_in(b->f->machine, 0xcf8, 4), 0x80fffffc);
    fake_out(b->f->machine, 0xcfb, 1, 0x01); /* as Linux probes it */
    assert_int_equal(fake_in(b->f->machine, 0xcf8, 4), 0x80fffffc);
    fake_out(b->f->machine, 0xcf8, 4, 0x80000000);
    assert_int_equal(fake_in(b->f->machine, 0xcf8, 4), 0x80000000);
}

static void reset_register_is_between(void **state)
{
    bus *b = *state;

    fake_out(b->f->machine, 0xcf9, 1, 0x02);
    assert_int_equal(fixture_requests(b->f), 0);
    fake_out(b->f->machine, 0xcf9, 1, VSR_RESET_VALUE);
    assert_int_equal(fixture_requests(b->f), 1);
    assert_int_equal(b->f->request, VSR_REQUEST_RESET);
}

static void bars_are_sized_and_mapped(void **state)
{
    bus *b = *state;
    vsr_machine *m = b->f->machine;

    set(b, 0x10, 4, 0xffffffff);
    assert_int_equal(get(b, 24, 0x10, 4), 0xfffff000);
    set(b, 0x14, 4, 0xffffffff);
    assert_int_equal(get(b, 24, 0x14, 4), 0xffffffc1);
    set(b, 0x18, 4, 0xffffffff);
    set(b, 0x1c, 4, 0xffffffff);
    assert_int_equal(get(b, 24, 0x18, 4), 0xffffc00c);
    assert_int_equal(get(b, 24, 0x1c, 4), 0xffffffff);
    set(b, 0x20, 4, 0xffffffff); /* no such BAR */
    assert_int_equal(get(b, 24, 0x20, 4), 0);

    set(b, 0x10, 4, 0xc0010000);
    set(b, 0x14, 4, 0xc000);
    set(b, 0x18, 4, 0x40004000);
    set(b, 0x1c, 4, 1);
    assert_int_equal(fake_mmio_read(m, 0, 0xc0010004, 4), 0xffffffff);
    set(b, 4, 2, 3);
    assert_int_equal(fake_mmio_read(m, 0, 0xc0010004, 4), 0xabcd0004);
    assert_int_equal(fake_in(m, 0xc008, 4), 0xabcd0008);
    assert_int_equal(fake_mmio_read(m, 0, UINT64_C(0x140004010), 4),
                     0xabcd0010);
    fake_mmio_write(m, 0, 0xc0010000, 4, 0x1234);
    assert_int_equal(b->toy->last_write, 0x1234);
    assert_int_equal(b->toy->moves, 3);

    set(b, 0x10, 4, 0xc0020000); /* moves while decoding */
    assert_int_equal(fake_mmio_read(m, 0, 0xc0010004, 4), 0xffffffff);
    assert_int_equal(fake_mmio_read(m, 0, 0xc0020004, 4), 0xabcd0004);
    set(b, 4, 2, 0);
    assert_int_equal(fake_mmio_read(m, 0, 0xc0020004, 4), 0xffffffff);
    assert_int_equal(fake_in(m, 0xc008, 4), 0xffffffff);
}

static void bars_stay_inside_the_windows(void **state)
{
    static const uint64_t bad[] = { 0,          0x1000,     0xbffff000,
                                    0xe0000000, 0xfec00000, 0xfee00000,
                                    0xfffff000 };
    bus *b = *state;
    size_t i;

    set(b, 4, 2, 3);
    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        set(b, 0x10, 4, bad[i]);
        set(b, 0x14, 4, 0x60 + i); /* over fixed ports */
    }
    assert_int_equal(b->toy->moves, 0);
    /* The lowest and the highest that are good. */
    set(b, 0x10, 4, 0xc0000000);
    set(b, 0x10, 4, 0xdffff000);
    assert_int_equal(b->toy->moves, 3);
}

static void two_functions_at_one_place_keep_the_first(void **state)
{
    bus *b = *state;
    toy_params p = { b->host, 4 << 3 };
    toy *second =
        to_toy(vsr_device_new(b->f->machine, &toy_class, "toy2", &p, NULL));
    GError *error = NULL;

    set(b, 0x10, 4, 0xc0000000);
    set(b, 4, 2, 2);
    fake_mmio_write(b->f->machine, 0, ecam(32, 0x10), 4, 0xc0000000);
    fake_mmio_write(b->f->machine, 0, ecam(32, 4), 2, 2);
    assert_int_equal(second->moves, 0);
    assert_null(vsr_device_new(b->f->machine, &toy_class, "toy3", &p, &error));
    assert_non_null(strstr(error->message, "00:04.0"));
    g_error_free(error);
    assert_int_equal(vsr_pci_host_free_slot(b->host), 8);
}

static void read_only_bits_stay(void **state)
{
    bus *b = *state;
    uint32_t offset;

    for (offset = 0; offset < 256; offset += 4)
        if (offset != 4 && (offset < 0x10 || offset > 0x24))
            set(b, offset, 4, 0xffffffff);
    assert_int_equal(get(b, 24, 0, 4), 0x56781234);
    assert_int_equal(get(b, 24, 0x2c, 4), 0xdef09abc);
    assert_int_equal(get(b, 24, 0x34, 1), 0x40);
    assert_int_equal(get(b, 24, 0x40, 2), 0x5009);
    assert_int_equal(get(b, 24, 0x50, 2), 0x0011);
    assert_int_equal(get(b, 24, 0x3c, 2), 0x02ff);
    assert_int_equal(get(b, 24, 6, 2), 0x10);
    set(b, 0x100, 4, 1);
    assert_int_equal(get(b, 24, 0x100, 4), 0);
}

static void interrupt_line_is_routed_and_can_be_masked(void **state)
{
    bus *b = *state;
    uint32_t gsi = 16 + (3 + 1) % 4;

    g_mutex_lock(&b->toy->base.lock);
    vsr_pci_set_intx(&b->toy->pci, true);
    g_mutex_unlock(&b->toy->base.lock);
    assert_true(b->f->chips.level[gsi]);
    assert_int_equal(get(b, 24, 6, 2) & 8, 8);
    set(b, 4, 2, 0x400);
    assert_false(b->f->chips.level[gsi]);
    assert_int_equal(get(b, 24, 6, 2) & 8, 8);
    set(b, 4, 2, 0);
    assert_true(b->f->chips.level[gsi]);
}

static void reset_unmaps_and_restores(void **state)
{
    bus *b = *state;

    set(b, 0x10, 4, 0xc0000000);
    set(b, 4, 2, 7);
    assert_int_equal(b->toy->moves, 1);
    toy_class.reset(&b->toy->base);
    assert_int_equal(b->toy->moves, 2);
    assert_int_equal(get(b, 24, 4, 2), 0);
    assert_int_equal(get(b, 24, 0x10, 4), 0);
    assert_int_equal(get(b, 24, 0x34, 1), 0x40);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(both_mechanisms_show_the_same),
        T(absent_functions_read_as_ones),
        T(address_register_takes_double_words_only),
        T(reset_register_is_between),
        T(bars_are_sized_and_mapped),
        T(bars_stay_inside_the_windows),
        T(two_functions_at_one_place_keep_the_first),
        T(read_only_bits_stay),
        T(interrupt_line_is_routed_and_can_be_masked),
        T(reset_unmaps_and_restores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
