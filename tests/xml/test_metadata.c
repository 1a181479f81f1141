/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_metadata.c: one element of <metadata>, the rest byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "xml/domain.h"

#define OTHER "<o:x  xmlns:o='urn:o' a = \"1\"><!-- kept --></o:x>"

static void set_adds_with_a_prefix(void **state)
{
    g_autofree char *m =
        vsr_metadata_set(NULL, "urn:a", "a", "<t><u/>&lt;</t>", NULL);
    g_autofree char *got = NULL;

    assert_non_null(m);
    assert_string_equal(m, "<metadata>\n    <a:t xmlns:a=\"urn:a\"><a:u/>&lt;"
                           "</a:t>\n  </metadata>");
    got = vsr_metadata_get(m, "urn:a", NULL);
    assert_string_equal(got, "<t><u/>&lt;</t>");
}

static void set_replaces_and_leaves_the_rest_alone(void **state)
{
    g_autofree char *one = vsr_metadata_set("<metadata k='/>'>\n " OTHER //
                                            "\n</metadata>",
                                            "urn:a", "a", "<t/>", NULL);
    g_autofree char *two = NULL;
    g_autofree char *three = NULL;

    assert_string_equal(one, "<metadata k='/>'>\n " OTHER
                             "\n    <a:t xmlns:a=\"urn:a\"/>\n  </metadata>");
    two = vsr_metadata_set(one, "urn:a", "b", "<s/>", NULL);
    assert_string_equal(two, "<metadata k='/>'>\n " OTHER
                             "\n    <b:s xmlns:b=\"urn:a\"/>\n  </metadata>");
    three = vsr_metadata_set(two, "urn:a", NULL, NULL, NULL);
    assert_string_equal(three, "<metadata k='/>'>\n " OTHER "\n  </metadata>");
}

static void removing_the_last_leaves_none(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(vsr_metadata_set("<metadata>" OTHER "</metadata>", "urn:o",
                                 NULL, NULL, &error));
    assert_null(error);
    assert_null(vsr_metadata_set(NULL, "urn:o", NULL, NULL, &error));
    assert_null(error);
}

static void get_takes_prefixes_along(void **state)
{
    g_autofree char *got = vsr_metadata_get(
        "<metadata xmlns:p='urn:p' xmlns:q='urn:q'><p:a q:b='1'/></metadata>",
        "urn:p", NULL);

    assert_non_null(got);
    assert_non_null(strstr(got, "<a "));
    assert_non_null(strstr(got, "xmlns:q=\"urn:q\""));
}

static void bad_elements_are_refused(void **state)
{
    static const struct {
        const char *uri, *key, *value;
    } rows[] = {
        { "urn:a", "a", "" },
        { "urn:a", "a", "<t>" },
        { "urn:a", "a", "text" },
        { "urn:a", NULL, "<t/>" },
        { "urn:a", "a:b", "<t/>" },
        { "urn:a", "", "<t/>" },
        { "", "a", "<t/>" },
        { "urn:a", "a", "<t xmlns='urn:b'/>" },
        { "urn:a", "a", "<!DOCTYPE t><t/>" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(vsr_metadata_set("<metadata/>", rows[i].uri, rows[i].key,
                                     rows[i].value, &error));
        assert_non_null(error);
    }
}

static void an_element_too_deep_for_a_domain_is_refused(void **state)
{
    /* <domain> and <metadata> are around it. */
    for (int depth = 62; depth <= 63; depth++) {
        GString *value = g_string_new(NULL);
        g_autofree char *m = NULL;

        for (int i = 0; i < depth; i++)
            g_string_append(value, "<t>");
        for (int i = 0; i < depth; i++)
            g_string_append(value, "</t>");
        m = vsr_metadata_set(NULL, "urn:a", "a", value->str, NULL);
        assert_true((m != NULL) == (depth == 62));
        g_string_free(value, TRUE);
    }
}

static void what_is_not_there_is_not_found(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(vsr_metadata_get(NULL, "urn:a", &error));
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
    g_clear_error(&error);
    assert_null(
        vsr_metadata_get("<metadata>" OTHER "</metadata>", "urn:a", &error));
    assert_int_equal(error->code, VISOR_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_adds_with_a_prefix),
        cmocka_unit_test(set_replaces_and_leaves_the_rest_alone),
        cmocka_unit_test(removing_the_last_leaves_none),
        cmocka_unit_test(get_takes_prefixes_along),
        cmocka_unit_test(bad_elements_are_refused),
        cmocka_unit_test(an_element_too_deep_for_a_domain_is_refused),
        cmocka_unit_test(what_is_not_there_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
