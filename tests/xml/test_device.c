/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_device.c: one device as XML: what is read, its defaults, what is refused
 * and in which words. Golden files of whole domains: test_domain.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <visor/error.h>

#include "xml/device.h"

#define CONFIG VISOR_ERR_CONFIG
#define NO     VISOR_ERR_NO_SUPPORT
#define XML    VISOR_ERR_XML

static vsr_device_conf *parse_ok(const char *text)
{
    g_autoptr(GError) error = NULL;
    vsr_device_conf *device = vsr_device_xml_parse(text, strlen(text), &error);

    if (device == NULL)
        fail_msg("refused: %s", error->message);
    return device;
}

static void a_disk_has_defaults(void **state)
{
    g_autoptr(vsr_device_conf) disk =
        parse_ok("<disk><source file='/a'/><target dev='vdab'/></disk>");

    assert_int_equal(disk->kind, VSR_DEVICE_DISK);
    assert_int_equal(disk->disk.source.format, VSR_BLOCK_RAW);
    assert_int_equal(disk->disk.options.cache, VSR_BLOCK_CACHE_WRITEBACK);
    assert_int_equal(disk->disk.options.aio, VSR_BLOCK_AIO_DEFAULT);
    assert_string_equal(disk->disk.source.path, "/a");
    assert_string_equal(disk->disk.target, "vdab");
    assert_false(disk->disk.source.readonly);
}

static void an_interface_gets_an_address(void **state)
{
    g_autoptr(vsr_device_conf) a = parse_ok("<interface type='user'/>");
    g_autoptr(vsr_device_conf) b = parse_ok("<interface type='user'/>");

    assert_int_equal(a->interface.location.mac[0], 0x52);
    assert_int_equal(a->interface.location.queues, 1);
    assert_memory_not_equal(a->interface.location.mac,
                            b->interface.location.mac, 6);
}

static void written_and_read_again_is_the_same(void **state)
{
    static const char *const texts[] = {
        "<disk type='block'><driver type='qcow2' cache='directsync' "
        "io='threads' error_policy='stop' rerror_policy='report' "
        "detect_zeroes='unmap' discard='unmap' queues='4'/>"
        "<source dev='/dev/x'/><target dev='vda'/><readonly/><shareable/>"
        "<blockio logical_block_size='4096'/><alias name='ua-a'/></disk>",
        "<disk type='network'><source protocol='nbd'><host transport='unix' "
        "socket='/s'/></source><target dev='vda'/></disk>",
        "<interface type='direct'><source dev='eth0' mode='private'/>"
        "<mtu size='9000'/><driver queues='3'/><link state='down'/>"
        "<bandwidth><outbound average='1' peak='2' burst='3'/></bandwidth>"
        "</interface>",
        "<interface type='ethernet'><target dev='tap0' managed='no'/>"
        "</interface>",
        "<interface type='user'><portForward proto='udp' address='::1'>"
        "<range start='53'/><range start='54' to='5'/></portForward>"
        "</interface>",
        "<rng><rate bytes='1024' period='10'/></rng>",
        "<memballoon model='none'/>",
        "<memballoon freePageReporting='on'/>",
        "<channel type='pty'><target name='x'/></channel>",
        "<channel type='unix'><source mode='connect' path='/s'/>"
        "<target name='x'/></channel>",
        "<filesystem><source dir='/d'/><target dir='t'/><readonly/>"
        "</filesystem>",
        "<memory model='virtio-mem'><target><size unit='G'>64</size>"
        "<requested unit='MiB'>128</requested></target></memory>",
        "<memory model='virtio-mem'><target><size unit='M'>64</size>"
        "<block unit='MiB'>4</block><current>0</current><node>0</node>"
        "</target><alias name='ua-m'/></memory>",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(vsr_device_conf) one = parse_ok(texts[i]);
        g_autofree char *first = vsr_device_xml_format(one, false);
        g_autoptr(vsr_device_conf) two = parse_ok(first);
        g_autofree char *second = vsr_device_xml_format(two, false);
        g_autoptr(vsr_device_conf) copy = vsr_device_conf_copy(two);
        g_autofree char *third = vsr_device_xml_format(copy, false);

        assert_string_equal(first, second);
        assert_string_equal(first, third);
        assert_true(vsr_device_same(one, two));
    }
}

static const struct {
    const char *text;
    int code;
    const char *message;
} refusals[] = {
#define DISK(inside)      "<disk>" inside "<target dev='vda'/></disk>"
#define FILE_DISK(inside) DISK("<source file='/a'/>" inside)
    { "<sound/>", NO, "'<sound>'" },
    { "<disk", XML, "line 1" },
    { DISK(""), CONFIG, "needs a <source>" },
    { "<disk><source file='/a'/></disk>", CONFIG, "<target dev='vd…'/>" },
    { "<disk><source file='/a'/><target dev='hda'/></disk>", CONFIG, "hda" },
    { "<disk><source file='/a'/><target dev='vda1'/></disk>", CONFIG, "vda1" },
    { "<disk><source file='/a'/><target dev='vda' bus='ide'/></disk>", NO,
      "'ide'" },
    { "<disk device='cdrom'><source file='/a'/><target dev='vda'/></disk>", NO,
      "'cdrom'" },
    { DISK("<source file='a'/>"), CONFIG, "absolute" },
    { DISK("<source dev='/a'/>"), XML, "'file'" },
    { "<disk type='network'><source name='x'/><target dev='vda'/></disk>", XML,
      "protocol='nbd'" },
    { "<disk type='network'><source protocol='rbd'/><target dev='vda'/></disk>",
      NO, "'rbd'" },
    { "<disk type='network'><source protocol='nbd'/><target dev='vda'/></disk>",
      XML, "no 'host'" },
    { FILE_DISK("<driver type='vmdk'/>"), NO, "'vmdk'" },
    { FILE_DISK("<driver io='native'/>"), NO, "'native'" },
    { FILE_DISK("<driver queues='65'/>"), CONFIG, "64 at the most" },
    { FILE_DISK("<driver detect_zeroes='unmap'/>"), CONFIG, "discard" },
    { FILE_DISK("<driver rerror_policy='enospace'/>"), CONFIG, "enospace" },
    { FILE_DISK("<serial>123456789012345678901</serial>"), CONFIG,
      "20 at the most" },
    { FILE_DISK("<blockio logical_block_size='1000'/>"), CONFIG, "blockio" },
    { FILE_DISK("<iotune><total_iops_sec>1</total_iops_sec>"
                "<read_iops_sec>1</read_iops_sec></iotune>"),
      CONFIG, "iops_sec" },
    { FILE_DISK("<iotune><total_iops_sec>x</total_iops_sec></iotune>"), XML,
      "'x'" },
    { FILE_DISK("<encryption/>"), NO, "'<encryption>'" },
    { FILE_DISK("<address type='pci' slot='0x1f'/>"), NO, "0x01 to 0x1e" },
    { FILE_DISK("<address type='pci' slot='1' bus='0x01'/>"), NO, "bus 0" },
    { FILE_DISK("<address type='pci' slot='1g'/>"), XML, "'1g'" },
    { FILE_DISK("<address type='drive'/>"), NO, "'drive'" },
    { "<interface/>", XML, "'type'" },
    { "<interface type='network'/>", NO, "'network'" },
    { "<interface type='bridge'/>", CONFIG, "source bridge" },
    { "<interface type='bridge'><source dev='x'/></interface>", XML,
      "'bridge'" },
    { "<interface type='bridge'><source bridge='../../x'/></interface>", CONFIG,
      "link's name" },
    { "<interface type='user'><source dev='x'/></interface>", XML,
      "no source" },
    { "<interface type='user'><mac address='1'/></interface>", XML, "'mac'" },
    { "<interface type='user'><mac address='53:54:00:00:00:01'/></interface>",
      CONFIG, "multicast" },
    { "<interface type='user'><driver queues='2'/></interface>", CONFIG,
      "one queue" },
    { "<interface type='user'><mtu size='10'/></interface>", CONFIG, "68" },
    { "<interface type='user'><vlan><tag id='4095'/></vlan></interface>",
      CONFIG, "4094" },
    { "<interface type='user'><portForward proto='tcp'/></interface>", XML,
      "'range'" },
    { "<interface type='user'><portForward proto='tcp'><range start='0'/>"
      "</portForward></interface>",
      CONFIG, "65535" },
    { "<interface type='null'><portForward proto='tcp'><range start='1'/>"
      "</portForward></interface>",
      XML, "'user'" },
    { "<interface type='user'><bandwidth><inbound/></bandwidth></interface>",
      XML, "average" },
    { "<rng><backend model='egd'/></rng>", NO, "'egd'" },
    { "<rng><backend>/etc/passwd</backend></rng>", NO, "/etc/passwd" },
    { "<rng><rate/></rng>", CONFIG, "above 0" },
#define MEMORY(inside) \
    "<memory model='virtio-mem'><target>" inside "</target></memory>"
    { "<memory><target/></memory>", XML, "'model'" },
    { "<memory model='dimm'><target/></memory>", NO, "'dimm'" },
    { "<memory model='virtio-mem' access='shared'/>", NO, "'access'" },
    { MEMORY("<node>0</node>"), CONFIG, "<size> is 0" },
    { MEMORY("<size>4096</size><node>1</node>"), NO, "node 0 only" },
    { MEMORY("<size>4097</size>"), CONFIG, "multiple of the <block>" },
    { MEMORY("<size>4096</size><block>0</block>"), CONFIG, "'block' is 0" },
    { MEMORY("<size>4096</size><block>1024</block>"), CONFIG, "from 2048 on" },
    { MEMORY("<size>6144</size><block>6144</block>"), CONFIG, "power of two" },
    { MEMORY("<size>4096</size><requested>6144</requested>"), CONFIG,
      "<requested> is 6144 KiB" },
    { MEMORY("<size>4096</size><requested>1024</requested>"), CONFIG,
      "<requested> is 1024 KiB" },
    { MEMORY("<size unit='G'>64</size><block unit='M'>2</block>"), CONFIG,
      "take 65536 KiB" },
    { MEMORY("<size unit='TiB'>17</size><block unit='GiB'>2</block>"), CONFIG,
      "<size>" },
    { MEMORY("<size unit='TiB'>99999999999999</size>"), CONFIG, "too large" },
    { "<memory model='virtio-mem'><source/></memory>", NO, "'<source>'" },
    { "<vsock><cid address='2'/></vsock>", CONFIG, "3 to" },
    { "<vsock><cid address='3'/></vsock>", CONFIG, "visor:socket" },
    { "<channel type='unix'><target name='x'/></channel>", CONFIG, "source" },
    { "<channel type='pty'/>", CONFIG, "target name" },
    { "<filesystem><source dir='/a'/></filesystem>", CONFIG, "target" },
    { "<filesystem type='block'/>", NO, "'block'" },
};

static void what_is_wrong_is_refused_by_name(void **state)
{
    uint32_t wrong = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(vsr_device_conf) device = vsr_device_xml_parse(
            refusals[i].text, strlen(refusals[i].text), &error);

        if (device != NULL) {
            print_error("taken: %s\n", refusals[i].text);
            wrong++;
            continue;
        }
        if (error->code != (int)refusals[i].code ||
            strstr(error->message, refusals[i].message) == NULL) {
            print_error("%s: %d '%s'\n", refusals[i].text, error->code,
                        error->message);
            wrong++;
        }
        assert_null(strchr(error->message, '\n'));
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_has_defaults),
        cmocka_unit_test(an_interface_gets_an_address),
        cmocka_unit_test(written_and_read_again_is_the_same),
        cmocka_unit_test(what_is_wrong_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
