/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_change.c: changes of definitions, and what of a device in use can change. */
#include "conf/change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "conf/device_update.h"

static char *set(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
    return *text;
}

static vsr_device_conf *disk_of(const char *target, const char *path)
{
    vsr_device_conf *device = vsr_device_conf_new(VSR_DEVICE_DISK);

    set(&device->disk.target, target);
    set(&device->disk.source.path, path);
    return device;
}

static vsr_device_conf *interface_of(vsr_net_kind kind, uint8_t last)
{
    vsr_device_conf *device = vsr_device_conf_new(VSR_DEVICE_INTERFACE);
    vsr_net_location *l = &device->interface.location;

    l->kind = kind;
    l->queues = 1;
    memcpy(l->mac, (uint8_t[]){ 0x52, 0x54, 0, 0, 0, last }, sizeof(l->mac));
    device->interface.mac_given = true;
    if (kind == VSR_NET_BRIDGE)
        set(&l->device, "br0");
    return device;
}

/* vda, vdb and an interface, complete. */
static vsr_domain_conf *typical(void)
{
    vsr_domain_conf *conf = vsr_domain_conf_new();

    set(&conf->name, "x");
    conf->memory_kib = 65536;
    set(&conf->os.kernel, "/k");
    g_ptr_array_add(conf->devices, disk_of("vda", "/a"));
    g_ptr_array_add(conf->devices, disk_of("vdb", "/b"));
    g_ptr_array_add(conf->devices, interface_of(VSR_NET_USER, 1));
    assert_true(vsr_domain_conf_complete(conf, NULL));
    return conf;
}

static const vsr_device_conf *device_at(const vsr_domain_conf *conf, guint i)
{
    return conf->devices->pdata[i];
}

/* `device` is taken. */
static bool update(vsr_domain_conf *conf, vsr_device_conf *device,
                   GError **error)
{
    vsr_change change = { .kind = VSR_CHANGE_UPDATE, .device = device };
    bool ok = vsr_change_definition(&change, conf, error);

    vsr_change_clear(&change);
    return ok;
}

static void an_update_keeps_place_address_and_alias(void **state)
{
    g_autoptr(vsr_domain_conf) conf = typical();
    vsr_device_conf *device = disk_of("vda", "/c");
    uint8_t slot = device_at(conf, 0)->slot;

    set(&((vsr_device_conf *)conf->devices->pdata[0])->alias, "ua-root");
    assert_int_not_equal(slot, 0);
    device->disk.options.throttle.write_iops = 7;
    assert_true(update(conf, device, NULL));
    assert_int_equal(conf->devices->len, 3);
    assert_string_equal(device_at(conf, 0)->disk.target, "vda");
    assert_string_equal(device_at(conf, 0)->disk.source.path, "/c");
    assert_string_equal(device_at(conf, 0)->alias, "ua-root");
    assert_int_equal(device_at(conf, 0)->slot, slot);
    assert_int_equal(device_at(conf, 0)->disk.options.throttle.write_iops, 7);
    assert_string_equal(device_at(conf, 1)->disk.target, "vdb");
}

static void an_update_may_give_another_address(void **state)
{
    g_autoptr(vsr_domain_conf) conf = typical();
    vsr_device_conf *device = disk_of("vda", "/a");
    GError *error = NULL;

    device->slot = 20;
    assert_true(update(conf, device, NULL));
    assert_int_equal(device_at(conf, 0)->slot, 20);
    device = disk_of("vdb", "/b");
    device->slot = 20;
    assert_false(update(conf, device, &error));
    assert_int_equal(error->code, VISOR_ERR_CONFIG);
    g_error_free(error);
}

static void an_update_finds_what_it_means(void **state)
{
    g_autoptr(vsr_domain_conf) conf = typical();
    vsr_device_conf *device = interface_of(VSR_NET_USER, 1);
    GError *error = NULL;

    device->interface.link_down = true;
    assert_true(update(conf, device, NULL));
    assert_true(device_at(conf, 2)->interface.link_down);
    assert_false(update(conf, interface_of(VSR_NET_USER, 2), &error));
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
    g_clear_error(&error);
    /* Not what it is not. */
    device = disk_of("vda", "/a");
    device->disk.options.throttle.total_iops = 1;
    device->disk.options.throttle.read_iops = 1;
    assert_false(update(conf, device, &error));
    assert_int_equal(error->code, VISOR_ERR_CONFIG);
    g_error_free(error);
}

/* --- devices in use ----------------------------------------------------------------- */

/* `wanted` is taken; NULL: it can be so. */
static void can(const vsr_device_conf *live, vsr_device_conf *wanted,
                const char *what)
{
    GError *error = NULL;
    bool ok = vsr_device_can_become(live, wanted, &error);

    vsr_device_conf_free(wanted);
    assert_true(ok == (what == NULL));
    if (ok)
        return;
    assert_int_equal(error->code, VISOR_ERR_NO_SUPPORT);
    if (strstr(error->message, what) == NULL)
        fail_msg("'%s' is not in '%s'", what, error->message);
    g_error_free(error);
}

/* A further copy of `live`, in *out. */
#define OTHER(out, live) ((out) = vsr_device_conf_copy(live))

static void what_a_disk_keeps_is_named(void **state)
{
    g_autoptr(vsr_device_conf) live = disk_of("vda", "/a");
    vsr_device_conf *d;

    live->slot = 3;
    can(live, OTHER(d, live), NULL);
    OTHER(d, live)->slot = 0;
    can(live, d, NULL);
    OTHER(d, live)->slot = 4;
    can(live, d, "<address>");
    set(&OTHER(d, live)->disk.source.path, "/b");
    can(live, d, "<source>");
    OTHER(d, live)->disk.source.format = VSR_BLOCK_QCOW2;
    can(live, d, "<driver type>");
    OTHER(d, live)->disk.options.cache = VSR_BLOCK_CACHE_NONE;
    can(live, d, "<driver cache>");
    OTHER(d, live)->disk.options.aio = VSR_BLOCK_AIO_THREADS;
    can(live, d, "<driver io>");
    OTHER(d, live)->disk.options.discard = true;
    can(live, d, "<driver discard>");
    OTHER(d, live)->disk.options.detect_zeroes = true;
    can(live, d, "<driver detect_zeroes>");
    OTHER(d, live)->disk.queues = 2;
    can(live, d, "<driver queues>");
    OTHER(d, live)->disk.source.readonly = true;
    can(live, d, "<readonly>");
    OTHER(d, live)->disk.source.shareable = true;
    can(live, d, "<shareable>");
    set(&OTHER(d, live)->disk.serial, "1");
    can(live, d, "<serial>");
    OTHER(d, live)->disk.logical_block = 4096;
    can(live, d, "<blockio>");
    OTHER(d, live)->disk.error_policy = VSR_ERROR_POLICY_STOP;
    d->disk.rerror_policy = VSR_ERROR_POLICY_IGNORE;
    d->disk.options.throttle.total_bytes = 9;
    vsr_device_become(live, d);
    assert_int_equal(live->disk.error_policy, VSR_ERROR_POLICY_STOP);
    assert_int_equal(live->disk.rerror_policy, VSR_ERROR_POLICY_IGNORE);
    assert_int_equal(live->disk.options.throttle.total_bytes, 9);
    assert_int_equal(live->slot, 3);
    can(live, d, NULL);
}

static void what_an_interface_keeps_is_named(void **state)
{
    g_autoptr(vsr_device_conf) live = interface_of(VSR_NET_BRIDGE, 1);
    vsr_net_forward forward = { .host_port = 1, .guest_port = 2 };
    vsr_device_conf *d;

    set(&live->interface.location.target, "vnet0");
    set(&OTHER(d, live)->interface.location.target, NULL);
    can(live, d, NULL);
    set(&OTHER(d, live)->interface.location.target, "vnet1");
    can(live, d, "<target>");
    OTHER(d, live)->interface.location.kind = VSR_NET_USER;
    can(live, d, "<interface type>");
    OTHER(d, live)->interface.location.mac[5] = 9;
    can(live, d, "<mac>");
    OTHER(d, live)->interface.location.queues = 2;
    can(live, d, "<driver queues>");
    OTHER(d, live)->interface.location.mtu = 1400;
    can(live, d, "<mtu>");
    OTHER(d, live)->interface.location.vlan = 5;
    can(live, d, "<vlan>");
    g_array_append_val(OTHER(d, live)->interface.location.forwards, forward);
    can(live, d, "<portForward>");
    set(&OTHER(d, live)->interface.location.device, "br1");
    d->interface.location.in.average = 8;
    d->interface.link_down = true;
    assert_true(vsr_device_can_become(live, d, NULL));
    vsr_device_become(live, d);
    assert_string_equal(live->interface.location.device, "br1");
    assert_string_equal(live->interface.location.target, "vnet0");
    assert_int_equal(live->interface.location.in.average, 8);
    assert_true(live->interface.link_down);
    vsr_device_conf_free(d);
}

static void a_macvtap_keeps_its_link_and_limits(void **state)
{
    g_autoptr(vsr_device_conf) live = interface_of(VSR_NET_MACVTAP, 1);
    vsr_device_conf *d;

    set(&live->interface.location.device, "eth0");
    set(&OTHER(d, live)->interface.location.device, "eth1");
    can(live, d, "<source>");
    OTHER(d, live)->interface.location.mode = VSR_NET_MACVTAP_VEPA;
    can(live, d, "<source mode>");
    OTHER(d, live)->interface.location.out.average = 1;
    can(live, d, "<bandwidth>");
}

static void what_the_others_keep_is_named(void **state)
{
    g_autoptr(vsr_device_conf) rng = vsr_device_conf_new(VSR_DEVICE_RNG);
    g_autoptr(vsr_device_conf) balloon =
        vsr_device_conf_new(VSR_DEVICE_BALLOON);
    g_autoptr(vsr_device_conf) vsock = vsr_device_conf_new(VSR_DEVICE_VSOCK);
    g_autoptr(vsr_device_conf) fs = vsr_device_conf_new(VSR_DEVICE_FILESYSTEM);
    g_autoptr(vsr_device_conf) channel =
        vsr_device_conf_new(VSR_DEVICE_CHANNEL);
    vsr_device_conf *d;

    OTHER(d, rng)->rng.rate_bytes = 5;
    vsr_device_become(rng, d);
    assert_int_equal(rng->rng.rate_bytes, 5);
    can(rng, d, NULL);
    OTHER(d, balloon)->balloon.stats_period_s = 3;
    vsr_device_become(balloon, d);
    assert_int_equal(balloon->balloon.stats_period_s, 3);
    can(balloon, d, NULL);
    OTHER(d, balloon)->balloon.autodeflate = true;
    can(balloon, d, "autodeflate");
    OTHER(d, vsock)->vsock.cid = 7;
    can(vsock, d, "<cid>");
    set(&OTHER(d, vsock)->vsock.socket, "/s");
    can(vsock, d, "<visor:socket>");
    OTHER(d, fs)->filesystem.readonly = true;
    can(fs, d, "<readonly>");
    set(&OTHER(d, fs)->filesystem.source, "/s");
    can(fs, d, "<source>");
    set(&OTHER(d, channel)->channel.path, "/s");
    can(channel, d, "<source>");
    channel->channel.is_pty = true;
    set(&OTHER(d, channel)->channel.path, "/dev/pts/9");
    can(channel, d, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_keeps_place_address_and_alias),
        cmocka_unit_test(an_update_may_give_another_address),
        cmocka_unit_test(an_update_finds_what_it_means),
        cmocka_unit_test(what_a_disk_keeps_is_named),
        cmocka_unit_test(what_an_interface_keeps_is_named),
        cmocka_unit_test(a_macvtap_keeps_its_link_and_limits),
        cmocka_unit_test(what_the_others_keep_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
