/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_domain_conf.c: defaults, checks and texts of a domain's configuration. */
#include "conf/domain_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static vsr_domain_conf *typical(void)
{
    vsr_domain_conf *conf = vsr_domain_conf_new();

    conf->name = g_strdup("x");
    conf->memory_kib = 65536;
    conf->os.kernel = g_strdup("/k");
    return conf;
}

static void assert_incomplete(vsr_domain_conf *conf, const char *message)
{
    g_autoptr(GError) error = NULL;

    assert_false(vsr_domain_conf_complete(conf, &error));
    if (!strstr(error->message, message))
        fail_msg("'%s' is not in '%s'", message, error->message);
}

static void complete_fills_defaults_once(void **state)
{
    g_autoptr(vsr_domain_conf) conf = typical();
    vsr_char_conf chr = { .kind = VSR_CHAR_NULL };
    char uuid[37];

    g_array_append_val(conf->serials, chr);
    g_array_append_val(conf->serials, chr);
    g_array_index(conf->serials, vsr_char_conf, 1).port_given = true;
    assert_true(vsr_domain_conf_complete(conf, NULL));
    assert_int_equal(conf->current_memory_kib, 65536);
    assert_int_equal(conf->vcpus, 1);
    assert_int_equal(conf->cpu.mode, VSR_CPU_MAXIMUM);
    assert_true(conf->console);
    assert_int_equal(g_array_index(conf->serials, vsr_char_conf, 0).port, 1);
    assert_int_equal(g_array_index(conf->serials, vsr_char_conf, 1).port, 0);
    memcpy(uuid, conf->uuid, sizeof(uuid));
    assert_true(vsr_domain_conf_complete(conf, NULL));
    assert_string_equal(conf->uuid, uuid);
}

static void complete_refuses_text_that_xml_cannot_hold(void **state)
{
    static const char *const bad[] = { "a\x01", "\xff", "\xef\xbf\xbe",
                                       "a\x1f" };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(vsr_domain_conf) conf = typical();

        conf->os.cmdline = g_strdup(bad[i]);
        assert_incomplete(conf, "<cmdline>");
    }
}

static void complete_refuses_what_makes_no_sense(void **state)
{
    g_autoptr(vsr_domain_conf) conf = typical();

    conf->features.acpi = false;
    assert_incomplete(conf, "<acpi/>");
    conf->features.acpi = true;
    conf->vcpus_max = 256;
    assert_incomplete(conf, "<vcpu> is 256");
    conf->vcpus_max = 2;
    conf->vcpus = 3;
    assert_incomplete(conf, "current='3'");
    conf->vcpus = 2;
    conf->memory_kib = UINT64_MAX;
    assert_incomplete(conf, "<memory>");
    conf->memory_kib = 65536;
    g_free(conf->os.cmdline);
    conf->os.cmdline = g_strnfill(VSR_CONF_CMDLINE_MAX + 1, 'x');
    assert_incomplete(conf, "4096 bytes, 4095 at the most");
    conf->os.cmdline[VSR_CONF_CMDLINE_MAX] = '\0';
    assert_true(vsr_domain_conf_complete(conf, NULL));
    for (int i = 0; i <= VSR_SERIALS_MAX; i++) {
        vsr_char_conf chr = { .kind = VSR_CHAR_NULL };

        g_array_append_val(conf->serials, chr);
    }
    assert_incomplete(conf, "5 <serial>");
}

static void uuids_are_read_in_every_usual_form(void **state)
{
    static const char want[] = "00112233-4455-6677-8899-aabbccddeeff";
    static const char *const good[] = {
        "00112233-4455-6677-8899-aabbccddeeff",
        "00112233445566778899AABBCCDDEEFF",
        "0011-2233-4455-6677-8899-aabb-ccdd-eeff",
    };
    static const char *const bad[] = {
        "",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0",
        "00112233--4455-6677-8899-aabbccddeeff",
        "-00112233-4455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeeff-",
        "0-0112233-4455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeefg",
    };
    char out[37];

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        assert_true(vsr_uuid_parse(good[i], out));
        assert_string_equal(out, want);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(vsr_uuid_parse(bad[i], out));
    vsr_uuid_new(out);
    assert_true(vsr_uuid_parse(out, out));
}

static void names_have_limits(void **state)
{
    g_autofree char *longest = g_strnfill(VSR_NAME_MAX, 'n');
    g_autofree char *longer = g_strnfill(VSR_NAME_MAX + 1, 'n');

    assert_true(vsr_name_check("web 1.é", NULL));
    assert_true(vsr_name_check("...", NULL));
    assert_true(vsr_name_check(longest, NULL));
    assert_false(vsr_name_check(longer, NULL));
    assert_false(vsr_name_check("\xc3", NULL));
    assert_false(vsr_name_check("a\x7f", NULL));
    assert_false(vsr_name_check("../a", NULL));
}

static void types_have_texts(void **state)
{
    assert_int_equal(vsr_domain_type_from_text("kvm"), VSR_TYPE_KVM);
    assert_int_equal(vsr_domain_type_from_text("qemu"), -1);
    assert_string_equal(vsr_domain_type_text(VSR_TYPE_EMU), "emu");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_fills_defaults_once),
        cmocka_unit_test(complete_refuses_text_that_xml_cannot_hold),
        cmocka_unit_test(complete_refuses_what_makes_no_sense),
        cmocka_unit_test(uuids_are_read_in_every_usual_form),
        cmocka_unit_test(names_have_limits),
        cmocka_unit_test(types_have_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
