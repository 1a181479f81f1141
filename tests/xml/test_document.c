/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_document.c: hostile text is refused in one line and without output. */
#include "xml/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "conf/domain_conf.h"

static void assert_refused(const char *text, size_t len, const char *message)
{
    g_autoptr(GError) error = NULL;
    xmlDoc *doc = vsr_xml_document_parse(text, len, &error);

    if (doc)
        fail_msg("accepted: %.80s", text);
    assert_int_equal(error->code, VISOR_ERR_XML);
    if (!strstr(error->message, message))
        fail_msg("'%s' is not in '%s'", message, error->message);
    assert_true(g_str_has_prefix(error->message, "line "));
    assert_null(strchr(error->message, '\n'));
}

#define REFUSED(text, message) assert_refused(text, strlen(text), message)

static void what_is_not_well_formed_is_refused(void **state)
{
    REFUSED("", "line 1: the document is empty");
    REFUSED("   ", "line 1");
    REFUSED("hello", "line 1");
    REFUSED("<a>", "line 1");
    REFUSED("<a>\n</b>", "line 2");
    REFUSED("<a/><b/>", "line 1");
    REFUSED("<a b='1' b='2'/>", "line 1");
    REFUSED("<a>\n&nothing;</a>", "line 2");
    REFUSED("<x:a/>", "line 1"); /* a prefix without namespace */
    REFUSED("<a>&#1;</a>", "line 1");
}

static void a_dtd_is_refused_before_it_is_read(void **state)
{
    REFUSED("<!DOCTYPE a>\n<a/>", "line 1: a document type declaration");
    REFUSED("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "document type");
    REFUSED("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
            "<a>&x;</a>",
            "document type");
    /* A billion laughs. */
    REFUSED("<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>"
            "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><a>&c;</a>",
            "document type");
}

static void encodings_other_than_utf8_are_refused(void **state)
{
    REFUSED("<a>\xff</a>", "not UTF-8");
    REFUSED("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "UTF-8");
    REFUSED("<?xml version='1.0' encoding='UTF-16'?><a/>", "line 1");
    assert_refused("<a>\0</a>", 8, "not UTF-8");
    assert_refused("<\0a\0/\0>\0", 8, "not UTF-8");
}

static char *nested(int depth)
{
    GString *text = g_string_new(NULL);

    for (int i = 0; i < depth; i++)
        g_string_append(text, "<a>");
    for (int i = 0; i < depth; i++)
        g_string_append(text, "</a>");
    return g_string_free(text, FALSE);
}

static void depth_and_size_are_limited(void **state)
{
    g_autofree char *fits = nested(VSR_XML_DEPTH_MAX);
    g_autofree char *deep = nested(VSR_XML_DEPTH_MAX + 1);
    g_autofree char *deeper = nested(100000);
    g_autofree char *large = g_malloc(VSR_XML_MAX + 1);
    xmlDoc *doc = vsr_xml_document_parse(fits, strlen(fits), NULL);

    assert_non_null(doc);
    xmlFreeDoc(doc);
    REFUSED(deep, "nested too deep");
    REFUSED(deeper, "nested too deep");
    memset(large, 'x', VSR_XML_MAX + 1);
    assert_refused(large, VSR_XML_MAX + 1, "4194304 at the most");
}

static void raw_finds_the_element_as_it_was_written(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "<d><m/></d>", "<m/>" },
        { "<d><mm/><m a='>'/></d>", "<m a='>'/>" },
        { "<d><!--<m/>--><n><m/></n><m >x</m\n></d>", "<m >x</m\n>" },
        { "<d><n><![CDATA[<m>]]></n><?p <m> ?><m\n/></d>", "<m\n/>" },
        { "<d><m><m/></m><m>2</m></d>", "<m><m/></m>" },
        { "<d><m><![CDATA[</m>]]><!-- </m> --></m></d>",
          "<m><![CDATA[</m>]]><!-- </m> --></m>" },
        { "<m/>", NULL },
        { "<d><n><m/></n></d>", NULL },
        { "<d/>", NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *raw =
            vsr_xml_document_raw(rows[i].text, strlen(rows[i].text), "m");

        if (g_strcmp0(raw, rows[i].want) != 0)
            fail_msg("%s: %s", rows[i].text, raw ? raw : "NULL");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_well_formed_is_refused),
        cmocka_unit_test(a_dtd_is_refused_before_it_is_read),
        cmocka_unit_test(encodings_other_than_utf8_are_refused),
        cmocka_unit_test(depth_and_size_are_limited),
        cmocka_unit_test(raw_finds_the_element_as_it_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
