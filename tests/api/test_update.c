/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_update.c: devices of a running domain that change, and disks that grow:
 * the same calls on domains of this process and of visor-vmm's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"
#include "tests/support/cm.h"

enum { MIB = 1 << 20 };

typedef struct {
    char *root, *image, *readonly;
    visor_connection *conn;
    visor_domain *dom;
} fixture;

static void make_file(const char *path, off_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    close(fd);
}

static char *disk_xml(const fixture *f, const char *more)
{
    return g_strdup_printf("<disk type='file'><source file='%s'/>"
                           "<target dev='vda'/>%s</disk>",
                           f->image, more);
}

static fixture *setup(bool session)
{
    fixture *f = g_new0(fixture, 1);
    g_autofree char *devices = NULL, *xml = NULL, *disk = NULL, *uri = NULL;
    g_autofree char *plain = NULL;
    const char *end;

    f->root = temp_root();
    f->image = g_strdup_printf("%s/disk.img", f->root);
    f->readonly = g_strdup_printf("%s/ro.img", f->root);
    make_file(f->image, MIB);
    make_file(f->readonly, MIB);
    disk = disk_xml(f, "");
    devices = g_strdup_printf(
        "<disk type='file'><source file='%s'/><target dev='vdb'/><readonly/>"
        "</disk><interface type='null'><mac address='52:54:00:00:00:01'/>"
        "</interface>%s",
        f->readonly, disk);
    plain = domain_xml("update", NULL, "idle", "null", NULL);
    end = strstr(plain, "</devices>");
    assert_non_null(end);
    xml = g_strdup_printf("%.*s%s%s", (int)(end - plain), plain, devices, end);
    uri = session ? session_uri(f->root) : NULL;
    f->conn = session ? open_uri(uri) : open_embed();
    OK(visor_domain_define_xml(f->conn, xml, 0, &f->dom, &err));
    OK(visor_domain_start(f->dom, VISOR_START_PAUSED, &err));
    return f;
}

static void teardown(fixture *f)
{
    OK(visor_domain_destroy(f->dom, 0, &err));
    visor_domain_unref(f->dom);
    visor_connection_unref(f->conn);
    remove_tree(f->root);
    g_free(f->root);
    g_free(f->image);
    g_free(f->readonly);
    g_free(f);
}

static bool xml_has(visor_domain *dom, uint32_t flags, const char *text)
{
    char *xml = NULL;
    bool has;

    OK(visor_domain_get_xml(dom, flags, &xml, &err));
    has = strstr(xml, text) != NULL;
    visor_free(xml);
    return has;
}

static uint64_t stat_of(visor_domain *dom, const char *name)
{
    visor_stat *stats = NULL;
    visor_error *err = NULL;
    uint64_t value = UINT64_MAX;
    int n = visor_domain_get_stats(dom, &stats, &err);

    check_ok(n < 0 ? n : 0, err, "visor_domain_get_stats");
    for (int i = 0; i < n; i++)
        if (strcmp(stats[i].name, name) == 0)
            value = stats[i].value;
    visor_free(stats);
    return value;
}

static void devices_change(visor_domain *dom, const fixture *f)
{
    static const char link_down[] =
        "<interface type='null'><mac address='52:54:00:00:00:01'/>"
        "<link state='down'/></interface>";
    static const char other_type[] =
        "<interface type='user'><mac address='52:54:00:00:00:01'/>"
        "</interface>";
    g_autofree char *limited =
        disk_xml(f, "<iotune><total_iops_sec>77</total_iops_sec></iotune>");
    g_autofree char *serial = disk_xml(f, "<serial>x</serial>");

    OK(visor_domain_update_device(dom, limited, VISOR_AFFECT_LIVE, &err));
    assert_true(xml_has(dom, 0, "<total_iops_sec>77<"));
    assert_false(xml_has(dom, VISOR_XML_INACTIVE, "<total_iops_sec>"));
    OK(visor_domain_update_device(dom, link_down, 0, &err));
    assert_true(xml_has(dom, 0, "<link state='down'/>"));
    OK(visor_domain_update_device(
        dom, link_down, VISOR_AFFECT_LIVE | VISOR_AFFECT_CONFIG, &err));
    assert_true(xml_has(dom, VISOR_XML_INACTIVE, "<link state='down'/>"));
    /* Both or none: what runs refuses, and the definition stays. */
    FAILS(VISOR_ERR_NO_SUPPORT,
          visor_domain_update_device(
              dom, serial, VISOR_AFFECT_LIVE | VISOR_AFFECT_CONFIG, &err));
    assert_false(xml_has(dom, VISOR_XML_INACTIVE, "<serial>x<"));
    FAILS(VISOR_ERR_NO_SUPPORT,
          visor_domain_update_device(dom, other_type, 0, &err));
    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_update_device(
              dom, "<rng model='virtio'><backend model='random'/></rng>", 0,
              &err));
    FAILS(VISOR_ERR_XML, visor_domain_update_device(dom, "<disk", 0, &err));
}

static void disks_are_resized(visor_domain *dom, const fixture *f)
{
    struct stat st;

    OK(visor_domain_resize_disk(dom, "vda", 3 * MIB, 0, &err));
    assert_int_equal(stat(f->image, &st), 0);
    assert_int_equal(st.st_size, 3 * MIB);
    assert_int_equal(stat_of(dom, "block.vda.capacity"), 3 * MIB);
    OK(visor_domain_resize_disk(dom, "vda", 2 * MIB, 0, &err));
    assert_int_equal(stat_of(dom, "block.vda.capacity"), 2 * MIB);
    FAILS(VISOR_ERR_CONFIG,
          visor_domain_resize_disk(dom, "vda", 1000, 0, &err));
    FAILS(VISOR_ERR_NO_SUPPORT,
          visor_domain_resize_disk(dom, "vdb", 2 * MIB, 0, &err));
    FAILS(VISOR_ERR_NOT_FOUND,
          visor_domain_resize_disk(dom, "vdc", 2 * MIB, 0, &err));
    assert_int_equal(stat_of(dom, "block.vdb.capacity"), MIB);
    assert_int_equal(stat_of(dom, "net.52:54:00:00:00:01.rx.pkts"), 0);
}

static void off_there_is_nothing_live(visor_domain *dom, const fixture *f)
{
    g_autofree char *limited =
        disk_xml(f, "<iotune><total_iops_sec>5</total_iops_sec></iotune>");

    OK(visor_domain_destroy(dom, 0, &err));
    FAILS(VISOR_ERR_STATE,
          visor_domain_resize_disk(dom, "vda", 4 * MIB, 0, &err));
    FAILS(VISOR_ERR_STATE,
          visor_domain_update_device(dom, limited, VISOR_AFFECT_LIVE, &err));
    OK(visor_domain_update_device(dom, limited, 0, &err));
    assert_true(xml_has(dom, 0, "<total_iops_sec>5<"));
    OK(visor_domain_start(dom, VISOR_START_PAUSED, &err));
}

static void all(bool session)
{
    fixture *f = setup(session);

    devices_change(f->dom, f);
    disks_are_resized(f->dom, f);
    off_there_is_nothing_live(f->dom, f);
    teardown(f);
}

static void domains_of_this_process(void **state)
{
    all(false);
}

static void domains_of_other_processes(void **state)
{
    all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_of_this_process),
        cmocka_unit_test(domains_of_other_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
