/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_memory.c: how much memory a domain has: balloon and memory devices, in a
 * machine on the emulator whose guest does not run. */
#include "base/error.h"
#include "base/util.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/mem.h"
#include "tests/support/cm.h"
#include "vmm/plugged.h"

#define MIB_KIB UINT64_C(1024)

typedef struct {
    vsr_domain_conf *conf;
    vsr_vmm *vmm;
} fixture;

static int setup(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->conf = vsr_domain_conf_new();
    f->conf->name = g_strdup("memory");
    f->conf->memory_kib = 64 * MIB_KIB;
    f->conf->os.kernel = g_strdup(TINY_GUEST);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    vsr_vmm_free(f->vmm);
    vsr_domain_conf_free(f->conf);
    g_free(f);
    return 0;
}

static vsr_device_conf *memory_conf(uint64_t size_mib, uint64_t requested_mib)
{
    vsr_device_conf *device = vsr_device_conf_new(VSR_DEVICE_MEMORY);

    device->memory.size_kib = size_mib * MIB_KIB;
    device->memory.requested_kib = requested_mib * MIB_KIB;
    return device;
}

static void add_balloon(fixture *f)
{
    g_ptr_array_add(f->conf->devices, vsr_device_conf_new(VSR_DEVICE_BALLOON));
}

static void start(fixture *f)
{
    g_autoptr(GError) error = NULL;
    vsr_vmm_resources res;

    if (!vsr_domain_conf_complete(f->conf, &error) ||
        !vsr_vmm_resources_open(&res, f->conf, NULL, NULL, NULL, &error) ||
        (f->vmm = vsr_vmm_new(&vsr_emu_engine, f->conf, &res, NULL, NULL,
                              &error)) == NULL)
        fail_msg("not built: %s", error->message);
}

static vsr_device *device_of(fixture *f, vsr_device_kind kind, unsigned index)
{
    for (guint i = 0; i < f->vmm->plugged->len; i++) {
        const vmm_plugged *p = f->vmm->plugged->pdata[i];

        if (p->conf->kind == kind && index-- == 0)
            return p->device;
    }
    fail_msg("there is no such device");
    return NULL;
}

static uint64_t target_mib(fixture *f)
{
    vsr_virtio_balloon_info info;

    vsr_virtio_balloon_get(device_of(f, VSR_DEVICE_BALLOON, 0), &info);
    return info.target / VSR_MIB;
}

static vsr_virtio_mem_info memory_info(fixture *f, unsigned index)
{
    vsr_virtio_mem_info info;

    vsr_virtio_mem_get(device_of(f, VSR_DEVICE_MEMORY, index), &info);
    return info;
}

static uint64_t ram_mib(fixture *f)
{
    return vsr_mem_ram_bytes(f->vmm->machine->mem) / VSR_MIB;
}

static void assert_code(GError **error, int code, const char *text)
{
    assert_non_null(*error);
    assert_int_equal((*error)->code, code);
    if (strstr((*error)->message, text) == NULL)
        fail_msg("no '%s' in '%s'", text, (*error)->message);
    g_clear_error(error);
}

static bool attach(fixture *f, vsr_device_conf *conf, GError **error)
{
    bool ok = vsr_vmm_attach(f->vmm, conf, vsr_device_resource_new(conf->kind),
                             error);

    vsr_device_conf_free(conf);
    return ok;
}

static void note(const char *name, uint64_t value, void *opaque)
{
    g_hash_table_insert(opaque, g_strdup(name),
                        g_memdup2(&value, sizeof(value)));
}

static uint64_t stat_of(fixture *f, const char *name)
{
    g_autoptr(GHashTable) stats =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const uint64_t *value;

    assert_true(vsr_vmm_stats(f->vmm, note, stats, NULL));
    value = g_hash_table_lookup(stats, name);
    if (value == NULL)
        fail_msg("no '%s'", name);
    return *value;
}

/* --- the balloon ------------------------------------------------------------------ */

static void without_a_balloon_memory_stays(void **state)
{
    fixture *f = *state;
    GError *error = NULL;

    f->conf->current_memory_kib = 32 * MIB_KIB;
    start(f);
    assert_int_equal(ram_mib(f), 32);
    assert_false(vsr_vmm_set_memory(f->vmm, 16 * MIB_KIB, &error));
    assert_code(&error, VISOR_ERR_NO_SUPPORT, "<memballoon");
}

static void what_is_not_current_begins_in_the_balloon(void **state)
{
    fixture *f = *state;
    g_autoptr(vsr_domain_conf) live = NULL;
    GError *error = NULL;

    f->conf->current_memory_kib = 40 * MIB_KIB;
    add_balloon(f);
    start(f);
    assert_int_equal(ram_mib(f), 64);
    assert_int_equal(target_mib(f), 24);
    /* The guest has done nothing yet, and that is what is shown. */
    live = vsr_vmm_conf(f->vmm);
    assert_int_equal(live->current_memory_kib, 64 * MIB_KIB);
    assert_int_equal(stat_of(f, "balloon.current"), 64 * MIB_KIB);
    assert_int_equal(stat_of(f, "balloon.maximum"), 64 * MIB_KIB);

    assert_true(vsr_vmm_set_memory(f->vmm, 48 * MIB_KIB, &error));
    assert_int_equal(target_mib(f), 16);
    assert_false(vsr_vmm_set_memory(f->vmm, 64 * MIB_KIB + 1, &error));
    assert_code(&error, VISOR_ERR_CONFIG, "1 to 65536 KiB of memory");
    assert_false(vsr_vmm_set_memory(f->vmm, 0, &error));
    assert_code(&error, VISOR_ERR_CONFIG, "not 0");
    assert_int_equal(target_mib(f), 16);
    /* Looking does not change what was asked for, nor does a reset. */
    assert_true(vsr_vmm_reset(f->vmm, &error));
    assert_int_equal(target_mib(f), 16);
    assert_true(vsr_vmm_set_memory(f->vmm, 64 * MIB_KIB, &error));
    assert_int_equal(target_mib(f), 0);
    assert_true(vsr_vmm_destroy(f->vmm, &error));
    assert_false(vsr_vmm_set_memory(f->vmm, 32 * MIB_KIB, &error));
    assert_code(&error, VISOR_ERR_STATE, "shut off");
}

static void a_balloon_that_comes_later_is_empty(void **state)
{
    fixture *f = *state;

    f->conf->current_memory_kib = 40 * MIB_KIB;
    add_balloon(f);
    start(f);
    assert_int_equal(target_mib(f), 24);
    assert_true(vsr_vmm_detach(f->vmm, f->conf->devices->pdata[0], NULL));
    assert_false(vsr_vmm_has_device(f->vmm, f->conf->devices->pdata[0]));
    assert_true(attach(f, vsr_device_conf_new(VSR_DEVICE_BALLOON), NULL));
    assert_int_equal(target_mib(f), 0);
}

static void only_what_can_go_back_is_in_a_balloon(void **state)
{
    fixture *f = *state;

    f->conf->current_memory_kib = 32 * MIB_KIB;
    add_balloon(f);
    assert_int_equal(vmm_ram_kib(f->conf), 64 * MIB_KIB);
    f->conf->backing.hugepages = true;
    assert_int_equal(vmm_ram_kib(f->conf), 32 * MIB_KIB);
    f->conf->backing.hugepages = false;
    f->conf->backing.locked = true;
    assert_int_equal(vmm_ram_kib(f->conf), 32 * MIB_KIB);
    f->conf->backing.locked = false;
    ((vsr_device_conf *)f->conf->devices->pdata[0])->balloon.none = true;
    assert_int_equal(vmm_ram_kib(f->conf), 32 * MIB_KIB);
}

/* --- memory devices --------------------------------------------------------------- */

static void memory_devices_have_places_of_their_own(void **state)
{
    fixture *f = *state;
    GError *error = NULL;
    g_autoptr(vsr_device_conf) like = memory_conf(1024, 0);

    f->conf->memory_slots = 3;
    f->conf->max_memory_kib = 4096 * MIB_KIB;
    g_ptr_array_add(f->conf->devices, memory_conf(16, 4));
    g_ptr_array_add(f->conf->devices, memory_conf(1024, 0));
    start(f);
    assert_int_equal(ram_mib(f), 64);
    assert_int_equal(memory_info(f, 0).addr, 4 * VSR_GIB);
    assert_int_equal(memory_info(f, 0).size, 16 * VSR_MIB);
    assert_int_equal(memory_info(f, 0).requested, 4 * VSR_MIB);
    assert_int_equal(memory_info(f, 1).addr, 5 * VSR_GIB);
    assert_int_equal(stat_of(f, "memory.virtiomem0.requested"), 4 * MIB_KIB);
    assert_int_equal(stat_of(f, "memory.virtiomem1.current"), 0);
    assert_int_equal(stat_of(f, "balloon.maximum"), (64 + 16 + 1024) * MIB_KIB);

    assert_false(attach(f, memory_conf(4096, 0), &error));
    assert_code(&error, VISOR_ERR_CONFIG, "<maxMemory>");
    assert_true(attach(f, memory_conf(512, 512), &error));
    assert_int_equal(memory_info(f, 2).addr, 6 * VSR_GIB);
    assert_false(attach(f, memory_conf(16, 0), &error));
    assert_code(&error, VISOR_ERR_CONFIG, "slots='3'");

    /* One goes, and what comes next has its place. */
    like->slot = ((vmm_plugged *)f->vmm->plugged->pdata[1])->conf->slot;
    assert_true(vsr_vmm_detach(f->vmm, like, &error));
    assert_false(vsr_vmm_has_device(f->vmm, like));
    assert_true(attach(f, memory_conf(32, 0), &error));
    assert_int_equal(memory_info(f, 2).addr, 5 * VSR_GIB);
}

static void a_memory_device_is_asked_for_more_and_less(void **state)
{
    fixture *f = *state;
    GError *error = NULL;
    g_autoptr(vsr_device_conf) want = memory_conf(16, 8);
    g_autoptr(vsr_domain_conf) live = NULL;

    f->conf->memory_slots = 1;
    f->conf->max_memory_kib = 128 * MIB_KIB;
    g_ptr_array_add(f->conf->devices, memory_conf(16, 4));
    start(f);
    assert_true(vsr_device_complete(want, &error));
    assert_true(vsr_vmm_update(f->vmm, want, NULL, &error));
    assert_int_equal(memory_info(f, 0).requested, 8 * VSR_MIB);
    live = vsr_vmm_conf(f->vmm);
    assert_int_equal(
        ((vsr_device_conf *)live->devices->pdata[0])->memory.requested_kib,
        8 * MIB_KIB);
    /* Wanted or used, it stays. */
    assert_false(vsr_vmm_detach(f->vmm, want, &error));
    assert_code(&error, VISOR_ERR_STATE, "8192 KiB are requested");
    want->memory.requested_kib = 0;
    assert_true(vsr_vmm_update(f->vmm, want, NULL, &error));
    assert_true(vsr_vmm_detach(f->vmm, want, &error));
    assert_false(vsr_vmm_has_device(f->vmm, want));
}

/* Its driver wrote to the eject register though it has memory plugged. */
static void a_guest_that_lets_go_too_early_loses_it(void **state)
{
    fixture *f = *state;
    g_autoptr(vsr_device_conf) like = memory_conf(16, 16);
    vsr_mem *mem;
    uint8_t byte = 'x';

    f->conf->memory_slots = 1;
    f->conf->max_memory_kib = 128 * MIB_KIB;
    g_ptr_array_add(f->conf->devices, memory_conf(16, 16));
    start(f);
    mem = f->vmm->machine->mem;
    assert_int_equal(vsr_mem_plug(mem, 4 * VSR_GIB, 16 * VSR_MIB), 0);
    assert_int_equal(vsr_mem_write(mem, 4 * VSR_GIB, &byte, 1), 0);
    assert_true(vsr_device_complete(like, NULL));
    vmm_slot_ejected(f->vmm,
                     ((vmm_plugged *)f->vmm->plugged->pdata[0])->conf->slot);
    assert_false(vsr_vmm_has_device(f->vmm, like));
    assert_int_equal(vsr_mem_plugged(mem, 4 * VSR_GIB, 16 * VSR_MIB), 0);
    assert_null(vsr_mem_map(mem, 4 * VSR_GIB, 1));
    assert_true(attach(f, memory_conf(64, 0), NULL));
    assert_int_equal(memory_info(f, 0).addr, 4 * VSR_GIB);
}

static void memory_devices_need_room(void **state)
{
    fixture *f = *state;
    GError *error = NULL;

    start(f);
    assert_false(attach(f, memory_conf(16, 0), &error));
    assert_code(&error, VISOR_ERR_CONFIG, "needs a <maxMemory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(without_a_balloon_memory_stays),
        TEST(what_is_not_current_begins_in_the_balloon),
        TEST(a_balloon_that_comes_later_is_empty),
        TEST(only_what_can_go_back_is_in_a_balloon),
        TEST(memory_devices_have_places_of_their_own),
        TEST(a_memory_device_is_asked_for_more_and_less),
        TEST(a_guest_that_lets_go_too_early_loses_it),
        TEST(memory_devices_need_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
