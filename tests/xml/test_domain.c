/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_domain.c: domain XML, golden files and what is refused, with its line. */
#include "xml/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/util.h"

#define GOLDEN TEST_SOURCE "/tests/data/domain"
#define SCHEMA TEST_SOURCE "/xml/schema/domain.rng"

static char *load(const char *path, gsize *len)
{
    char *text = NULL;

    if (!g_file_get_contents(path, &text, len, NULL))
        fail_msg("cannot read %s", path);
    return text;
}

static vsr_domain_conf *parse_ok(const char *text)
{
    GError *error = NULL;
    vsr_domain_conf *conf = vsr_domain_xml_parse(text, strlen(text), &error);

    if (!conf)
        fail_msg("refused: %s", error->message);
    return conf;
}

static void assert_valid(const char *text, const char *what)
{
    g_autoptr(GError) error = NULL;

    if (!vsr_domain_xml_validate(text, strlen(text), SCHEMA, &error))
        fail_msg("%s is against the schema: %s", what, error->message);
}

static void check_golden(const char *name)
{
    g_autofree char *in_path = g_strdup_printf(GOLDEN "/%s.xml", name);
    g_autofree char *out_path = g_strdup_printf(GOLDEN "/%s.out.xml", name);
    gsize len;
    g_autofree char *in = load(in_path, &len);
    g_autofree char *want = load(out_path, &len);
    g_autoptr(vsr_domain_conf) conf = parse_ok(in);
    g_autofree char *out = vsr_domain_xml_format(conf, -1, 0);
    g_autoptr(vsr_domain_conf) again = parse_ok(out);
    g_autofree char *out2 = vsr_domain_xml_format(again, -1, 0);
    g_autoptr(vsr_domain_conf) copy = vsr_domain_conf_copy(conf);
    g_autofree char *out3 = vsr_domain_xml_format(copy, -1, 0);

    assert_valid(in, in_path);
    assert_valid(out, out_path);
    assert_string_equal(out, want);
    assert_string_equal(out2, want);
    assert_string_equal(out3, want);
}

static void golden_files_come_out_as_recorded(void **state)
{
    g_autoptr(GDir) dir = g_dir_open(GOLDEN, 0, NULL);
    const char *file;
    int n = 0;

    assert_non_null(dir);
    while ((file = g_dir_read_name(dir))) {
        g_autofree char *name = g_strdup(file);

        if (!g_str_has_suffix(file, ".xml") ||
            g_str_has_suffix(file, ".out.xml"))
            continue;
        name[strlen(name) - strlen(".xml")] = '\0';
        check_golden(name);
        n++;
    }
    assert_true(n >= 4);
}

/* A document that is right but for `part`, on line 3. */
static char *around(const char *attrs, const char *part)
{
    return g_strdup_printf(
        "<domain type='emu'%s>\n"
        "<name>x</name>\n"
        "%s\n"
        "%s%s</domain>\n",
        attrs, part,
        strstr(part, "<memory") && !strstr(part, "<memoryBacking")
            ? ""
            : "<memory>65536</memory>\n",
        strstr(part, "<os") ? "" : "<os><kernel>/k</kernel></os>\n");
}

typedef struct {
    const char *part;
    int code;
    const char *message;
} refusal;

static void assert_refused(const char *text, int code, const char *message)
{
    g_autoptr(GError) error = NULL;
    vsr_domain_conf *conf = vsr_domain_xml_parse(text, strlen(text), &error);

    if (conf)
        fail_msg("accepted: %s", text);
    assert_int_equal(error->domain, VSR_ERROR);
    if (!strstr(error->message, message))
        fail_msg("'%s' is not in '%s'", message, error->message);
    if (error->code != code)
        fail_msg("code %d, not %d: %s", error->code, code, error->message);
    assert_null(strchr(error->message, '\n'));
}

enum {
    XML = VISOR_ERR_XML,
    NO = VISOR_ERR_NO_SUPPORT,
    CONFIG = VISOR_ERR_CONFIG,
};

static const refusal refusals[] = {
    /* structure */
    { "<foo/>", XML, "line 3: element '<foo>' of 'domain' is not supported" },
    { "<genid/>", NO, "line 3: element '<genid>' of 'domain' is not" },
    { "text", XML, "line 3: text in 'domain'" },
    { "<?pi x?>", XML, "line 3: a processing instruction in 'domain'" },
    { "<name>y</name>", XML, "line 3: element '<name>' of 'domain' is given" },
    { "<title>a<b/></title>", XML, "line 3: element '<b>' of 'title' is not" },
    { "<title lang='x'/>", NO, "line 3: attribute 'lang' of 'title' is not" },
    { "<x:test-devices xmlns:x='urn:other'/>", XML,
      "line 3: element '<x:test-devices>' of 'domain'" },
    { "<os xmlns:q='urn:q'><kernel>/k</kernel></os>", NO,
      "line 3: namespace 'urn:q' of 'os'" },
    { "<uuid>123</uuid>", XML, "line 3: 'uuid': '123' is not a UUID" },
    /* memory */
    { "<memory unit='MiB'>-1</memory>", XML, "line 3: 'memory': '-1'" },
    { "<memory unit='MiB'/>", XML, "line 3: 'memory': '' is not a number" },
    { "<memory>0</memory>", CONFIG, "line 3: 'memory' is 0" },
    { "<memory unit='XiB'>1</memory>", XML, "line 3: 'memory': unit 'XiB'" },
    { "<memory>99999999999999999999</memory>", XML, "too large" },
    { "<memory unit='TiB'>999999999999</memory>", CONFIG,
      "line 3: 'memory' is too large" },
    { "<memory unit='TiB'>17</memory>", CONFIG, "<memory> is 18253611008 KiB" },
    { "<memory>1023</memory>", CONFIG, "<memory> is 1023 KiB" },
    { "<maxMemory>100000</maxMemory>", CONFIG, "slots='…'" },
    { "<maxMemory slots='0'>100000</maxMemory>", CONFIG, "slots='…'" },
    { "<maxMemory slots='257'>100000</maxMemory>", CONFIG, "256 at the most" },
    { "<maxMemory slots='1'>0</maxMemory>", CONFIG, "'maxMemory' is 0" },
    { "<maxMemory slots='1'>65535</maxMemory>", CONFIG,
      "more than <maxMemory> with 65535 KiB" },
    { "<maxMemory slots='1' unit='TiB'>17</maxMemory>", CONFIG, "at most" },
    { "<memory dumpCore='off'>65536</memory>", NO, "attribute 'dumpCore'" },
    { "<currentMemory>65537</currentMemory>", CONFIG, "<currentMemory>" },
    { "<memtune><hard_limit>1</hard_limit></memtune>", NO, "'<memtune>'" },
    { "<memoryBacking><source type='file'/></memoryBacking>", NO,
      "line 3: attribute 'type' of 'source': value 'file' is not supported "
      "(anonymous, memfd)" },
    { "<memoryBacking><source/></memoryBacking>", XML,
      "line 3: 'source' has no attribute 'type'" },
    { "<memoryBacking><discard/></memoryBacking>", NO, "'<discard>'" },
    { "<memoryBacking>\n<hugepages>\n<page/></hugepages></memoryBacking>", XML,
      "line 5: 'page' has no attribute 'size'" },
    { "<memoryBacking><hugepages><page size='2' unit='M' nodeset='0'/>"
      "</hugepages></memoryBacking>",
      NO, "attribute 'nodeset' of 'page'" },
    { "<memoryBacking><hugepages><page size='x'/></hugepages></memoryBacking>",
      XML, "'page': size 'x' is not a number" },
    { "<memoryBacking><hugepages><page size='0'/></hugepages></memoryBacking>",
      CONFIG, "'page' is 0" },
    { "<memoryBacking><hugepages><page size='3' unit='M'/></hugepages>"
      "</memoryBacking>",
      CONFIG, "<hugepages>: 3072 KiB is the size of no huge page" },
    { "<memoryBacking><hugepages><page size='4'/></hugepages></memoryBacking>",
      CONFIG, "<hugepages>: 4 KiB" },
    { "<memoryBacking><hugepages><page size='2' unit='M'/>\n"
      "<page size='1' unit='G'/></hugepages></memoryBacking>",
      XML, "line 4: element '<page>' of 'hugepages' is given twice" },
    { "<memoryBacking><access/></memoryBacking>", XML, "attribute 'mode'" },
    { "<memoryBacking><access mode='none'/></memoryBacking>", NO, "'none'" },
    { "<memoryBacking><allocation mode='later'/></memoryBacking>", NO,
      "'later' is not supported (immediate, ondemand)" },
    { "<memoryBacking><allocation mode='immediate' threads='0'/>"
      "</memoryBacking>",
      CONFIG, "line 3: 'allocation': threads is 0" },
    { "<memoryBacking><allocation mode='immediate' threads='257'/>"
      "</memoryBacking>",
      CONFIG, "threads='257', 256 at the most" },
    { "<memoryBacking><allocation mode='ondemand' threads='2'/>"
      "</memoryBacking>",
      CONFIG, "threads='2' goes with mode='immediate'" },
    { "<memoryBacking><source type='anonymous'/><access mode='shared'/>"
      "</memoryBacking>",
      CONFIG, "source 'anonymous'" },
    { "<memoryBacking><source type='memfd'/><access mode='private'/>"
      "</memoryBacking>",
      CONFIG, "source 'memfd'" },
    /* cpu */
    { "<vcpu>0</vcpu>", CONFIG, "line 3: 'vcpu': 0 is none of 1 to 255" },
    { "<vcpu>256</vcpu>", CONFIG, "line 3: 'vcpu': 256" },
    { "<vcpu>1e3</vcpu>", XML, "line 3: 'vcpu': '1e3' is not a number" },
    { "<vcpu current='3'>2</vcpu>", CONFIG, "line 3: 'vcpu': current='3'" },
    { "<vcpu placement='auto'>2</vcpu>", NO, "value 'auto'" },
    { "<vcpu cpuset='1-2'>2</vcpu>", NO, "attribute 'cpuset' of 'vcpu'" },
    { "<cpu mode='custom'/>", CONFIG, "needs a <model>" },
    { "<cpu mode='maximum'><model>x</model></cpu>", CONFIG, "('x') goes with" },
    { "<cpu match='strict'/>", NO, "line 3: attribute 'match' of 'cpu'" },
    { "<cpu migratable='no'/>", NO, "line 3: attribute 'migratable'" },
    { "<cpu mode='host-model' migratable='on'/>", CONFIG, "migratable goes" },
    { "<cpu mode='maximum' match='minimum'/>", CONFIG, "match='minimum' goes" },
    { "<cpu><model fallback='allow'/></cpu>", XML, "'model' is empty" },
    { "<cpu mode='host-model'><model/></cpu>", XML, "'model' is empty" },
    { "<cpu><vendor>Cyrix</vendor></cpu>", NO, "value 'Cyrix'" },
    { "<cpu><cache mode='passthrough'/></cpu>", NO, "'<cache>' of 'cpu'" },
    { "<cpu><numa/></cpu>", NO, "line 3: element '<numa>' of 'cpu'" },
    { "<cpu><topology sockets='1'/></cpu>", XML, "line 3: 'topology' needs" },
    { "<cpu><topology sockets='2' cores='1' threads='1'/></cpu>", CONFIG,
      "2 sockets, 1 dies, 1 cores, 1 threads" },
    { "<cpu><topology sockets='65536' cores='65536' threads='1'/></cpu>",
      CONFIG, "<topology>" },
    { "<cpu><feature policy='maybe' name='aes'/></cpu>", NO, "'maybe'" },
    { "<cpu><feature policy='force'/></cpu>", XML, "no attribute 'name'" },
    { "<cpu><feature name='a'/><feature name='a'/></cpu>", CONFIG, "twice" },
    /* os */
    { "<os/>", CONFIG, "nothing to boot" },
    { "<os><kernel>/a\nb</kernel></os>", CONFIG,
      "<kernel> has a control character" },
    { "<title>a\nb</title>", CONFIG, "<title> has a control character" },
    { "<os><kernel>k</kernel></os>", CONFIG, "'k' is not an absolute path" },
    { "<os><kernel>/k</kernel><loader>/l</loader></os>", NO, "<loader>" },
    { "<os><loader>/l</loader><initrd>/i</initrd></os>", CONFIG, "<initrd>" },
    { "<os><loader type='pflash'>/l</loader></os>", NO, "value 'pflash'" },
    { "<os><loader readonly='no'>/l</loader></os>", NO, "'readonly'" },
    { "<os><nvram>/n</nvram></os>", NO, "element '<nvram>' of 'os'" },
    { "<os><type machine='q35'>hvm</type></os>", NO,
      "'q35' is not supported (" },
    { "<os><type arch='arm'>hvm</type></os>", NO, "'arm'" },
    { "<os><type>xen</type></os>", NO, "value 'xen' is not supported (hvm)" },
    { "<os><boot dev='fd'/></os>", NO, "attribute 'dev' of 'boot'" },
    { "<os><boot/></os>", XML, "line 3: 'boot' has no attribute 'dev'" },
    { "<os><bootmenu enable='yes'/></os>", NO, "'enable' of 'bootmenu'" },
    { "<features><hyperv/></features>", NO,
      "element '<hyperv>' of 'features'" },
    { "<features><acpi>x</acpi></features>", XML, "text in 'acpi'" },
    { "<features><kvm><hidden/></kvm></features>", XML,
      "line 3: 'hidden' has no attribute 'state'" },
    { "<features><kvm><hidden state='yes'/></kvm></features>", NO, "'yes'" },
    { "<features>\n<kvm><dirty-ring state='on'/></kvm></features>", NO,
      "line 4: element '<dirty-ring>' of 'kvm'" },
    { "<features><pvspinlock/></features>", XML, "'state'" },
    { "<visor:halt-poll/>", XML, "line 3: 'halt-poll' has no attribute 'ns'" },
    { "<visor:halt-poll ns='-1'/>", XML, "'-1'" },
    { "<visor:halt-poll ns='1000000001'/>", CONFIG,
      "line 3: 'halt-poll': 1000000001 ns, 1000000000 at the most" },
    { "<visor:disable-exits hlt='yes'/>", NO, "'yes' is not supported (on, " },
    { "<visor:disable-exits io='on'/>", NO, "attribute 'io'" },
    { "<halt-poll ns='1'/>", XML, "'<halt-poll>' of 'domain'" },
    /* clock, actions */
    { "<clock offset='timezone'/>", NO, "'timezone'" },
    { "<clock offset='utc' adjustment='1'/>", NO, "offset='variable' only" },
    { "<clock offset='absolute'/>", XML, "needs 'start'" },
    { "<clock offset='utc' start='1'/>", XML, "offset='absolute' only" },
    { "<clock offset='variable' adjustment='--1'/>", XML, "'--1'" },
    { "<clock><timer name='pit' tickpolicy='delay'/></clock>", NO,
      "attribute 'tickpolicy' of 'timer'" },
    { "<clock><timer name='rtc'/></clock>", NO, "'timer' 'rtc'" },
    { "<clock><timer name='hpet' present='yes'/></clock>", NO, "'hpet'" },
    { "<clock><timer name='kvmclock'/></clock>", NO, "'kvmclock': present=''" },
    { "<clock><timer name='kvmclock' present='no'/>"
      "<timer name='kvmclock' present='yes'/></clock>",
      XML, "'kvmclock' is given twice" },
    { "<on_crash>coredump-restart</on_crash>", NO, "'coredump-restart'" },
    { "<on_reboot>rename-restart</on_reboot>", NO, "'rename-restart'" },
    { "<on_poweroff/>", XML, "line 3: 'on_poweroff' is empty" },
    { "<on_lockfailure>x</on_lockfailure>", NO, "'<on_lockfailure>'" },
    { "<pm/>", NO, "element '<pm>' of 'domain'" },
/* devices */
#define MEMORY(size, more)                                                          \
    "<memory>65536</memory><devices><memory model='virtio-mem'><target><size>" size \
    "</size>" more "</target></memory></devices>"
#define MAX_MEMORY(slots, kib) \
    "<maxMemory slots='" slots "'>" kib "</maxMemory>"
    { MEMORY("32768", ""), CONFIG, "needs a <maxMemory" },
    { MAX_MEMORY("1", "65536") MEMORY("65536", ""), CONFIG,
      "<memory> is 65536 KiB, its devices alone have 65536 KiB" },
    { MAX_MEMORY("1", "65535") MEMORY("32768", ""), CONFIG,
      "more than <maxMemory>" },
    { MAX_MEMORY("1", "65536") "<currentMemory>8192</currentMemory>" MEMORY(
          "32768", "<requested>8192</requested>"),
      CONFIG, "<currentMemory> is 8192 KiB" },
    { MAX_MEMORY("1", "65536") "<os><type machine='micro'>hvm</type><kernel>/k"
                               "</kernel></os>" MEMORY("32768", ""),
      NO, "only the pci machine" },
    { "<devices>\n<emulator>/q</emulator></devices>", NO,
      "line 4: element '<emulator>' of 'devices'" },
    { "<devices><sound/></devices>", NO, "element '<sound>' of 'devices'" },
    { "<devices><video/></devices>", NO, "'<video>'" },
    { "<devices><serial/></devices>", XML, "'serial' has no attribute 'type'" },
    { "<devices><serial type='tcp'/></devices>", NO, "value 'tcp'" },
    { "<devices><serial type='file'/></devices>", XML, "needs a source path" },
    { "<devices><serial type='null'><source path='/x'/></serial></devices>",
      XML, "has no source path" },
    { "<devices><serial type='pty'><source append='on'/></serial></devices>",
      NO, "'append'" },
    { "<devices><serial type='pty'><address/></serial></devices>", NO,
      "element '<address>' of 'serial'" },
    { "<devices><serial type='pty'><target port='4'/></serial></devices>",
      CONFIG, "port 4" },
    { "<devices><serial type='pty'><target port='1'/></serial>"
      "<serial type='pty'><target port='1'/></serial></devices>",
      CONFIG, "port 1 is given twice" },
    { "<devices><serial type='file'><source path='x'/></serial></devices>",
      CONFIG, "absolute path" },
    { "<devices><console type='pty'><target type='virtio'/></console></devices>",
      NO, "'virtio'" },
    { "<devices><serial type='pty'/>\n<console type='null'/></devices>", CONFIG,
      "line 4: 'console' is the first 'serial' seen again" },
    { "<devices><serial type='pty'/><console type='pty'><target port='1'/>"
      "</console></devices>",
      NO, "port 1" },
    { "<devices><console type='pty' tty='/dev/x'/></devices>", XML, "tty" },
    { "<metadata><visor:a/></metadata>", XML, "must be declared inside it" },
};

static void what_is_not_supported_is_refused_with_its_line(void **state)
{
    for (size_t i = 0; i < VSR_ARRAY_SIZE(refusals); i++) {
        g_autofree char *text =
            around(strstr(refusals[i].part, "visor:")
                       ? " xmlns:visor='https://libvisor.org/domain/1'"
                       : "",
                   refusals[i].part);

        assert_refused(text, refusals[i].code, refusals[i].message);
    }
}

static void a_bad_root_is_refused(void **state)
{
    assert_refused("<network/>", XML, "line 1: the root element is 'network'");
    assert_refused("<domain/>", XML,
                   "line 1: 'domain' has no attribute 'type'");
    assert_refused("<domain type='qemu'/>", NO,
                   "line 1: 'domain': type 'qemu'");
    assert_refused("<domain type='emu'/>", CONFIG, "<name> is missing");
    assert_refused("<domain type='emu' xmlns='urn:x'/>", XML, "urn:x");
    assert_refused("<domain type='emu' xmlns:q='urn:x'/>", NO, "urn:x");
    assert_refused("<domain type='emu' id='x'/>", XML, "id 'x'");
    assert_refused("<domain type='emu' visible='x'/>", NO, "'visible'");
    assert_refused("<?go now?><domain type='emu'/>", XML, "processing");
}

static void names_are_checked(void **state)
{
    static const char *const bad[] = { "",   " ",  "a/b",     ".",     "..",
                                       " a", "a ", "a&#10;b", "a&#9;b" };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(bad); i++) {
        g_autofree char *text = g_strdup_printf(
            "<domain type='emu'><name>%s</name><memory>65536</memory>"
            "<os><kernel>/k</kernel></os></domain>",
            bad[i]);

        assert_refused(text, CONFIG, "ame");
    }
}

static void metadata_is_kept_byte_for_byte(void **state)
{
    static const char raw[] =
        "<metadata\t>\r\n <a:b xmlns:a=\"urn:a\" c='>'\r\n/>\r\n"
        "<!-- -> --><?pi </metadata>?><m><metadata/></m>&amp;é</metadata >";
    g_autofree char *text = around("", raw);
    g_autoptr(vsr_domain_conf) conf = NULL;
    g_autofree char *out = NULL;

    conf = parse_ok(text);
    assert_string_equal(conf->metadata, raw);
    out = vsr_domain_xml_format(conf, -1, 0);
    assert_non_null(strstr(out, raw));
}

static void live_values_are_shown_only_live(void **state)
{
    g_autofree char *text =
        around("", "<devices><serial type='pty'/></devices>");
    g_autoptr(vsr_domain_conf) conf = parse_ok(text);
    vsr_char_conf *chr = &g_array_index(conf->serials, vsr_char_conf, 0);
    g_autofree char *live = NULL;
    g_autofree char *inactive = NULL;
    g_autoptr(vsr_domain_conf) again = NULL;

    chr->path = g_strdup("/dev/pts/7");
    live = vsr_domain_xml_format(conf, 3, VSR_XML_LIVE);
    inactive = vsr_domain_xml_format(conf, 3, 0);
    assert_non_null(strstr(live, "<domain type='emu' id='3'>"));
    assert_non_null(strstr(live, "<source path='/dev/pts/7'/>"));
    assert_non_null(strstr(live, "tty='/dev/pts/7'"));
    assert_null(strstr(inactive, "id="));
    assert_null(strstr(inactive, "/dev/pts/7"));
    assert_valid(live, "live XML");
    again = parse_ok(live);
    g_free(g_steal_pointer(&live));
    live = vsr_domain_xml_format(again, -1, 0);
    assert_string_equal(live, inactive);
}

static void a_uuid_is_made_if_there_is_none(void **state)
{
    g_autofree char *text = around("", "");
    g_autoptr(vsr_domain_conf) one = parse_ok(text);
    g_autoptr(vsr_domain_conf) two = parse_ok(text);

    assert_int_equal(strlen(one->uuid), 36);
    assert_string_not_equal(one->uuid, two->uuid);
}

static void sizes_are_rounded_up_to_kib(void **state)
{
    static const struct {
        const char *size;
        uint64_t kib;
    } sizes[] = {
        { "<memory unit='b'>1048577</memory>", 1025 },
        { "<memory unit='bytes'>1048576</memory>", 1024 },
        { "<memory unit='KB'>1049</memory>", 1025 },
        { "<memory unit='k'>2048</memory>", 2048 },
        { "<memory unit='MB'>2</memory>", 1954 },
        { "<memory unit='M'>2</memory>", 2048 },
        { "<memory unit='GB'>1</memory>", 976563 },
        { "<memory unit='G'>1</memory>", 1048576 },
        { "<memory unit='TB'>1</memory>", 976562500 },
        { "<memory unit='TiB'> 1\n</memory>", 1073741824 },
    };

    for (size_t i = 0; i < VSR_ARRAY_SIZE(sizes); i++) {
        g_autofree char *text = around("", sizes[i].size);
        g_autoptr(vsr_domain_conf) conf = parse_ok(text);

        assert_int_equal(conf->memory_kib, sizes[i].kib);
    }
}

static void capabilities_name_every_engine(void **state)
{
    static const char *const models[] = { "x86-64-v1", NULL };
    static const char *const features[] = { "sse2", NULL };
    const vsr_engine_summary engines[] = {
        { "emu", true, NULL, 8, models, features },
        { "kvm", false, "no <dev>", 0, NULL, NULL },
    };
    g_autofree char *text =
        vsr_capabilities_xml_format(1024, 2, 1, 2, 1, "m&m", engines, 2);

    assert_non_null(strstr(text, "<model>m&amp;m</model>"));
    assert_non_null(strstr(text, "<domain type='emu' usable='yes'/>"));
    assert_non_null(strstr(text, "<reason>no &lt;dev&gt;</reason>"));
    assert_non_null(strstr(text, "<machine maxCpus='8'>micro</machine>"));
    assert_non_null(strstr(text, "<feature name='sse2'/>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_files_come_out_as_recorded),
        cmocka_unit_test(what_is_not_supported_is_refused_with_its_line),
        cmocka_unit_test(a_bad_root_is_refused),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(metadata_is_kept_byte_for_byte),
        cmocka_unit_test(live_values_are_shown_only_live),
        cmocka_unit_test(a_uuid_is_made_if_there_is_none),
        cmocka_unit_test(sizes_are_rounded_up_to_kib),
        cmocka_unit_test(capabilities_name_every_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
