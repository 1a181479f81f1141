/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_virtio_mem.c: blocks that come and go, what is refused, resets, and
 * drivers that mean harm; on both transports. */
#include "devices/virtio/mem.h"

#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "tests/devices/virtio_driver.h"

#define ADDR         (UINT64_C(4) << 30)
#define BLOCK        (UINT64_C(2) << 20)
#define SIZE         (16 * BLOCK)
#define INACCESSIBLE (UINT64_C(1) << 1)

enum { PLUG = 0, UNPLUG = 1, UNPLUG_ALL = 2, STATE = 3 };
enum { ACK = 0, NACK = 1, BUSY = 2, ERROR = 3 };
enum { PLUGGED = 0, UNPLUGGED = 1, MIXED = 2 };
enum { CONFIG_ADDR = 16, CONFIG_PLUGGED = 40, CONFIG_REQUESTED = 48 };

typedef struct {
    driver *d;
    vsr_device *device;
    uint16_t state; /* of the last answer */
} fixture;

static fixture fixture_new(driver_transport transport, uint64_t requested)
{
    static const vsr_mem_options options;
    fixture f = { .d = driver_new(transport) };
    const vsr_virtio_mem_params p = { .virtio = driver_params(f.d),
                                      .addr = ADDR,
                                      .size = SIZE,
                                      .block = BLOCK,
                                      .requested = requested,
                                      .memory = &options };

    driver_attach(f.d, &vsr_virtio_mem_class, &p);
    f.device = &f.d->device->device;
    driver_start(f.d, INACCESSIBLE, 1);
    return f;
}

typedef struct {
    uint16_t type, padding[3];
    uint64_t addr;
    uint16_t blocks, padding2[3];
} request;

static uint16_t ask(fixture *f, uint16_t type, uint64_t addr, uint16_t blocks)
{
    const request r = { .type = type, .addr = addr, .blocks = blocks };
    const driver_buffer b[] = {
        { driver_alloc(f->d, sizeof(r), 8), sizeof(r), false },
        { driver_alloc(f->d, 10, 8), 10, true },
    };
    uint16_t response[5];
    uint32_t len;

    memcpy(driver_ram(f->d, b[0].gpa, b[0].len), &r, sizeof(r));
    memset(driver_ram(f->d, b[1].gpa, 10), 0xee, 10);
    driver_add(f->d, 0, b, 2);
    driver_kick(f->d, 0);
    assert_true(driver_wait(f->d, 0, NULL, &len));
    assert_int_equal(len, 10);
    memcpy(response, driver_ram(f->d, b[1].gpa, 10), 10);
    f->state = response[4];
    return response[0];
}

static uint64_t plugged(fixture *f)
{
    vsr_virtio_mem_info info;

    vsr_virtio_mem_get(f->device, &info);
    assert_int_equal(driver_config(f->d, CONFIG_PLUGGED, 4), info.plugged);
    assert_int_equal(vsr_mem_plugged(f->d->machine->mem, ADDR, SIZE),
                     info.plugged);
    return info.plugged / BLOCK;
}

/* Can the guest and its devices reach the byte? */
static bool is_there(fixture *f, uint64_t gpa)
{
    const vsr_engine_vm *vm = f->d->machine->vm;
    vsr_mem *mem = f->d->machine->mem;
    bool in_engine = false;
    uint8_t byte;

    for (unsigned i = 0; i < vm->n_slots; i++)
        in_engine |=
            gpa >= vm->slot[i].gpa && gpa - vm->slot[i].gpa < vm->slot[i].len;
    assert_int_equal(vsr_mem_read(mem, gpa, &byte, 1) == 0, in_engine);
    assert_int_equal(vsr_mem_map(mem, gpa, 1) != NULL, in_engine);
    return in_engine;
}

static unsigned resident(fixture *f, void *host, uint64_t len)
{
    unsigned char *pages = g_malloc0(len / 4096);
    unsigned n = 0;

    assert_int_equal(mincore(host, len, pages), 0);
    for (uint64_t i = 0; i < len / 4096; i++)
        n += pages[i] & 1;
    g_free(pages);
    return n;
}

/* --- tests ------------------------------------------------------------------------ */

static void blocks_come_and_go(void **state)
{
    for (int transport = DRIVER_PCI; transport <= DRIVER_MMIO; transport++) {
        fixture f = fixture_new((driver_transport)transport, 8 * BLOCK);
        vsr_mem *mem = f.d->machine->mem;
        uint8_t *host, byte;

        assert_int_equal(driver_config(f.d, 0, 4), BLOCK);
        assert_int_equal(driver_config(f.d, CONFIG_ADDR + 4, 4), 1);
        assert_int_equal(driver_config(f.d, 24, 4), SIZE);
        assert_int_equal(driver_config(f.d, 32, 4), SIZE);
        assert_int_equal(driver_config(f.d, CONFIG_REQUESTED, 4), 8 * BLOCK);
        assert_int_equal(vsr_mem_ram_bytes(mem), DRIVER_RAM);
        assert_false(is_there(&f, ADDR));

        assert_int_equal(ask(&f, PLUG, ADDR + BLOCK, 3), ACK);
        assert_int_equal(plugged(&f), 3);
        assert_false(is_there(&f, ADDR + BLOCK - 1));
        assert_true(is_there(&f, ADDR + BLOCK));
        assert_true(is_there(&f, ADDR + 4 * BLOCK - 1));
        assert_false(is_there(&f, ADDR + 4 * BLOCK));
        /* One piece, for whoever asks for more than a block. */
        host = vsr_mem_map(mem, ADDR + BLOCK, 3 * BLOCK);
        assert_non_null(host);
        assert_null(vsr_mem_map(mem, ADDR + BLOCK, 3 * BLOCK + 1));
        assert_null(vsr_mem_map(mem, ADDR + BLOCK - 1, 2));
        memset(host, 'x', 3 * BLOCK);

        assert_int_equal(ask(&f, UNPLUG, ADDR + 2 * BLOCK, 1), ACK);
        assert_int_equal(plugged(&f), 2);
        assert_false(is_there(&f, ADDR + 2 * BLOCK));
        assert_true(is_there(&f, ADDR + 3 * BLOCK));
        assert_int_equal(host[0], 'x');
        assert_int_equal(host[2 * BLOCK], 'x');
        assert_int_equal(resident(&f, host + BLOCK, BLOCK), 0);
        assert_int_equal(resident(&f, host, BLOCK), BLOCK / 4096);
        assert_int_equal(vsr_mem_write(mem, ADDR + 2 * BLOCK - 1, "ab", 2) < 0,
                         1);
        /* A device that still writes there keeps nothing for the next. */
        host[BLOCK] = 'y';
        assert_int_equal(ask(&f, PLUG, ADDR + 2 * BLOCK, 1), ACK);
        assert_int_equal(vsr_mem_read(mem, ADDR + 2 * BLOCK, &byte, 1), 0);
        assert_int_equal(byte, 0);

        assert_int_equal(ask(&f, UNPLUG_ALL, 77, 99), ACK);
        assert_int_equal(plugged(&f), 0);
        assert_int_equal(resident(&f, host, 3 * BLOCK), 0);
        driver_free(f.d);
    }
}

static void the_state_of_blocks_is_told(void **state)
{
    fixture f = fixture_new(DRIVER_PCI, SIZE);

    assert_int_equal(ask(&f, PLUG, ADDR + 4 * BLOCK, 4), ACK);
    assert_int_equal(ask(&f, STATE, ADDR, 4), ACK);
    assert_int_equal(f.state, UNPLUGGED);
    assert_int_equal(ask(&f, STATE, ADDR + 4 * BLOCK, 4), ACK);
    assert_int_equal(f.state, PLUGGED);
    assert_int_equal(ask(&f, STATE, ADDR + 3 * BLOCK, 2), ACK);
    assert_int_equal(f.state, MIXED);
    assert_int_equal(ask(&f, STATE, ADDR, 16), ACK);
    assert_int_equal(f.state, MIXED);
    driver_free(f.d);
}

static void a_guest_gets_no_more_than_is_requested(void **state)
{
    fixture f = fixture_new(DRIVER_PCI, 2 * BLOCK);
    GError *error = NULL;
    uint32_t before;

    assert_int_equal(ask(&f, PLUG, ADDR, 3), NACK);
    assert_int_equal(ask(&f, PLUG, ADDR, 2), ACK);
    assert_int_equal(ask(&f, PLUG, ADDR + 4 * BLOCK, 1), NACK);
    assert_false(is_there(&f, ADDR + 4 * BLOCK));
    before = driver_interrupts(f.d, UINT32_MAX);
    assert_true(vsr_virtio_mem_set_requested(f.device, 3 * BLOCK, &error));
    assert_true(driver_wait_interrupt(f.d, UINT32_MAX, before));
    assert_int_equal(driver_config(f.d, CONFIG_REQUESTED, 4), 3 * BLOCK);
    assert_int_equal(ask(&f, PLUG, ADDR + 4 * BLOCK, 1), ACK);
    /* Less: nothing is taken away, nothing given either. */
    assert_true(vsr_virtio_mem_set_requested(f.device, BLOCK, &error));
    assert_int_equal(plugged(&f), 3);
    assert_int_equal(ask(&f, PLUG, ADDR + 5 * BLOCK, 1), NACK);
    assert_int_equal(ask(&f, UNPLUG, ADDR, 2), ACK);
    assert_int_equal(ask(&f, PLUG, ADDR + 5 * BLOCK, 1), NACK);
    assert_int_equal(plugged(&f), 1);

    assert_false(vsr_virtio_mem_set_requested(f.device, SIZE + BLOCK, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
    g_clear_error(&error);
    assert_false(vsr_virtio_mem_set_requested(f.device, 4096, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
    g_clear_error(&error);
    driver_free(f.d);
}

static void bad_requests_are_errors(void **state)
{
    static const struct {
        uint16_t type;
        uint64_t addr;
        uint16_t blocks;
    } bad[] = {
        { PLUG, ADDR, 0 },
        { PLUG, ADDR + 4096, 1 },
        { PLUG, ADDR - BLOCK, 1 },
        { PLUG, ADDR - BLOCK, 2 },
        { PLUG, ADDR + SIZE, 1 },
        { PLUG, ADDR + SIZE - BLOCK, 2 },
        { PLUG, 0, 1 },
        { PLUG, UINT64_MAX - BLOCK + 1, 1 },
        { PLUG, UINT64_MAX - BLOCK + 1, 65535 },
        { PLUG, ADDR, 17 },
        { PLUG, ADDR, 65535 },
        { PLUG, ADDR + 3 * BLOCK, 2 },   /* one of them is there */
        { UNPLUG, ADDR + 3 * BLOCK, 2 }, /* one of them is not */
        { UNPLUG, ADDR + 5 * BLOCK, 1 },
        { UNPLUG, ADDR + 4 * BLOCK, 0 },
        { UNPLUG, 0, 1 }, /* RAM, but not ours */
        { UNPLUG, ADDR + 4 * BLOCK + 1, 1 },
        { STATE, ADDR, 0 },
        { STATE, ADDR + SIZE, 1 },
        { STATE, ADDR, 17 },
        { 4, ADDR, 1 },
        { 65535, ADDR, 1 },
    };

    for (int transport = DRIVER_PCI; transport <= DRIVER_MMIO; transport++) {
        fixture f = fixture_new((driver_transport)transport, SIZE);

        assert_int_equal(ask(&f, PLUG, ADDR + 4 * BLOCK, 1), ACK);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
            assert_int_equal(ask(&f, bad[i].type, bad[i].addr, bad[i].blocks),
                             ERROR);
            assert_int_equal(plugged(&f), 1);
        }
        assert_int_equal(driver_status(f.d) & VSR_VIRTIO_NEEDS_RESET, 0);
        /* Where the driver may write in the configuration: nowhere. */
        driver_set_config(f.d, CONFIG_REQUESTED, 4, UINT32_MAX);
        driver_set_config(f.d, CONFIG_PLUGGED, 4, 0);
        assert_int_equal(plugged(&f), 1);
        assert_int_equal(driver_config(f.d, CONFIG_REQUESTED, 4), SIZE);
        driver_free(f.d);
    }
}

static void short_buffers_end_it(void **state)
{
    static const driver_buffer bad[][2] = {
        { { 0, 23, false }, { 0, 10, true } },
        { { 0, 24, false }, { 0, 9, true } },
        { { 0, 24, false }, { 0, 10, false } },
        { { 0, 24, true }, { 0, 10, true } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        fixture f = fixture_new(DRIVER_PCI, SIZE);
        driver_buffer b[2] = { bad[i][0], bad[i][1] };

        b[0].gpa = driver_alloc(f.d, 64, 8);
        b[1].gpa = driver_alloc(f.d, 64, 8);
        memset(driver_ram(f.d, b[0].gpa, 64), 0, 64);
        driver_add(f.d, 0, b, 2);
        driver_kick(f.d, 0);
        driver_settle(f.d);
        assert_int_not_equal(driver_status(f.d) & VSR_VIRTIO_NEEDS_RESET, 0);
        assert_int_equal(plugged(&f), 0);
        driver_free(f.d);
    }
}

/* An answer into the memory that the request takes away. */
static void a_ring_in_its_own_memory_harms_nobody(void **state)
{
    fixture f = fixture_new(DRIVER_PCI, SIZE);
    const request r = { .type = UNPLUG_ALL };
    const driver_buffer b[] = {
        { driver_alloc(f.d, sizeof(r), 8), sizeof(r), false },
        { ADDR + BLOCK, 10, true },
    };

    assert_int_equal(ask(&f, PLUG, ADDR, 2), ACK);
    memcpy(driver_ram(f.d, b[0].gpa, b[0].len), &r, sizeof(r));
    driver_add(f.d, 0, b, 2);
    driver_kick(f.d, 0);
    assert_true(driver_wait(f.d, 0, NULL, NULL));
    assert_int_equal(plugged(&f), 0);
    /* A buffer where nothing is: the ring is broken, as with any such. */
    driver_add(f.d, 0, b, 2);
    driver_kick(f.d, 0);
    driver_settle(f.d);
    assert_int_not_equal(driver_status(f.d) & VSR_VIRTIO_NEEDS_RESET, 0);
    driver_free(f.d);
}

static void only_the_machines_reset_takes_memory(void **state)
{
    fixture f = fixture_new(DRIVER_PCI, 4 * BLOCK);

    assert_int_equal(ask(&f, PLUG, ADDR, 4), ACK);
    driver_start(f.d, INACCESSIBLE, 1);
    assert_int_equal(plugged(&f), 4);
    assert_true(is_there(&f, ADDR));
    assert_true(vsr_machine_reset(f.d->machine, NULL));
    driver_probe(f.d);
    driver_start(f.d, INACCESSIBLE, 1);
    assert_int_equal(plugged(&f), 0);
    assert_false(is_there(&f, ADDR));
    /* What is wanted stays so. */
    assert_int_equal(driver_config(f.d, CONFIG_REQUESTED, 4), 4 * BLOCK);
    assert_int_equal(ask(&f, PLUG, ADDR, 4), ACK);
    driver_free(f.d);
}

static void an_engine_without_slots_is_busy(void **state)
{
    fixture f = fixture_new(DRIVER_PCI, SIZE);
    vsr_engine_vm *vm = f.d->machine->vm;
    unsigned n = vm->n_slots;

    /* Room for three more. */
    vm->n_slots = FAKE_SLOTS_MAX - 3;
    assert_int_equal(ask(&f, PLUG, ADDR, 4), BUSY);
    assert_int_equal(vm->n_slots, FAKE_SLOTS_MAX - 3);
    assert_int_equal(plugged(&f), 0);
    vm->n_slots = n;
    assert_int_equal(ask(&f, PLUG, ADDR, 4), ACK);
    driver_free(f.d);
}

static void sizes_are_checked(void **state)
{
    static const struct {
        uint64_t addr, size, block, requested;
    } bad[] = {
        { ADDR, SIZE, BLOCK, SIZE + BLOCK },
        { ADDR, SIZE, BLOCK, 4096 },
        { ADDR, SIZE, BLOCK / 2, 0 },
        { ADDR, SIZE, 3 * BLOCK, 0 },
        { ADDR, SIZE, 0, 0 },
        { ADDR, 0, BLOCK, 0 },
        { ADDR, SIZE + 4096, BLOCK, 0 },
        { ADDR + 4096, SIZE, BLOCK, 0 },
        { 0, SIZE, BLOCK, 0 },
        { ADDR, UINT64_C(1) << 46, BLOCK, 0 }, /* too many blocks */
    };
    static const vsr_mem_options options, locked = { .locked = true };
    driver *d = driver_new(DRIVER_PCI);
    vsr_virtio_mem_params p = { .virtio = driver_params(d) };
    GError *error = NULL;

    p.memory = &options;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        p.addr = bad[i].addr;
        p.size = bad[i].size;
        p.block = bad[i].block;
        p.requested = bad[i].requested;
        assert_null(vsr_device_new(d->machine, &vsr_virtio_mem_class, "dut", &p,
                                   &error));
        assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
        g_clear_error(&error);
    }
    p = (vsr_virtio_mem_params){ p.virtio, ADDR, SIZE, BLOCK, 0, &locked };
    assert_null(
        vsr_device_new(d->machine, &vsr_virtio_mem_class, "dut", &p, &error));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_NO_SUPPORT));
    g_clear_error(&error);
    driver_free(d);
}

/* The place and the name are free after it, for one of another size. */
static void a_place_is_free_when_its_device_has_gone(void **state)
{
    static const vsr_mem_options options;
    driver *d = driver_new(DRIVER_PCI);
    vsr_virtio_mem_params p = { driver_params(d), ADDR, SIZE, BLOCK, SIZE,
                                &options };
    fixture f = { .d = d };
    unsigned n = d->machine->vm->n_slots;
    uint8_t *host;

    driver_attach(d, &vsr_virtio_mem_class, &p);
    f.device = &d->device->device;
    driver_start(d, INACCESSIBLE, 1);
    assert_int_equal(ask(&f, PLUG, ADDR, 16), ACK);
    host = vsr_mem_map(d->machine->mem, ADDR, 1);
    host[0] = 'x';
    vsr_device_free(f.device);
    vsr_mem_remove_spare(d->machine->mem, ADDR);
    assert_int_equal(d->machine->vm->n_slots, n);
    assert_null(vsr_mem_map(d->machine->mem, ADDR, 1));
    assert_int_equal(vsr_mem_plugged(d->machine->mem, ADDR, SIZE), 0);
    host[0] = 'y'; /* a late device: nobody is hurt */
    p.addr += BLOCK;
    p.requested = BLOCK;
    driver_attach(d, &vsr_virtio_mem_class, &p);
    assert_int_equal(driver_config(d, CONFIG_ADDR, 4), BLOCK);
    driver_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_and_go),
        cmocka_unit_test(the_state_of_blocks_is_told),
        cmocka_unit_test(a_guest_gets_no_more_than_is_requested),
        cmocka_unit_test(bad_requests_are_errors),
        cmocka_unit_test(short_buffers_end_it),
        cmocka_unit_test(a_ring_in_its_own_memory_harms_nobody),
        cmocka_unit_test(only_the_machines_reset_takes_memory),
        cmocka_unit_test(an_engine_without_slots_is_busy),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(a_place_is_free_when_its_device_has_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
