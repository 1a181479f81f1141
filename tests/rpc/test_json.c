/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rpc/json.h"

#include <string.h>

#include "base/error.h"
#include "tests/support/cm.h"

static vsr_json *parse(const char *text)
{
    return vsr_json_parse(text, strlen(text), NULL);
}

static void every_type_survives_a_round_trip(void **state)
{
    const char *text = "{\"n\":null,\"t\":true,\"f\":false,\"i\":-5,"
                       "\"u\":18446744073709551615,\"s\":\"a\\\"\\u00e9\\n\","
                       "\"l\":[1,[],{}],\"o\":{\"x\":[2]}}";
    g_autoptr(vsr_json) json = parse(text);
    g_autofree char *out = NULL;
    g_autoptr(vsr_json) again = NULL;
    g_autofree char *out2 = NULL;
    uint64_t u = 0;
    const char *s = NULL;

    assert_non_null(json);
    out = vsr_json_format(json, NULL);
    again = parse(out);
    assert_non_null(again);
    out2 = vsr_json_format(again, NULL);
    assert_string_equal(out, out2);
    assert_true(vsr_json_get_uint(again, "u", &u));
    assert_true(u == UINT64_MAX);
    assert_true(vsr_json_get_string(again, "s", &s));
    assert_string_equal(s, "a\"\xc3\xa9\n");
    assert_int_equal(vsr_json_len(vsr_json_get(again, "l")), 3);
}

static void getters_check_type_and_range(void **state)
{
    g_autoptr(vsr_json) json =
        parse("{\"i\":7,\"s\":\"x\",\"r\":1.5,\"m\":-1}");
    const char *text = "kept";
    uint64_t u = 9;
    int64_t i = 9;
    bool b = true;

    assert_true(vsr_json_get_int(json, "i", 7, 7, &i));
    assert_int_equal(i, 7);
    assert_false(vsr_json_get_int(json, "i", 8, 10, &i));
    assert_false(vsr_json_get_int(json, "i", 0, 6, &i));
    assert_false(vsr_json_get_int(json, "r", 0, 10, &i));
    assert_false(vsr_json_get_int(json, "none", 0, 10, &i));
    assert_false(vsr_json_get_uint(json, "m", &u));
    assert_false(vsr_json_get_string(json, "i", &text));
    assert_false(vsr_json_get_bool(json, "i", &b));
    assert_false(vsr_json_get_int(NULL, "i", 0, 1, &i));
    assert_int_equal(i, 7);
    assert_int_equal(u, 9);
    assert_string_equal(text, "kept");
    assert_null(vsr_json_at(json, 4));
    assert_null(vsr_json_key_at(NULL, 0));
}

static void what_is_not_json_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "{\"a\"}",
        "[1,]",
        "nul",
        "{\"a\":1}x",
        "1e999",
        "\"\\u0000\"",
        "{\"\\u0000\":1}",
        "99999999999999999999999",
        "-9223372036854775809",
        "[1 2]",
        "\"\xff\"",
        "'a'",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        vsr_json *json = vsr_json_parse(bad[i], strlen(bad[i]), &error);

        if (json != NULL)
            print_error("accepted: %s\n", bad[i]);
        assert_null(json);
        assert_int_equal(error->code, VISOR_ERR_PROTOCOL);
        assert_null(strchr(error->message, '\n'));
    }
}

static void depth_is_limited(void **state)
{
    GString *text = g_string_new(NULL);
    vsr_json *json;

    for (int i = 0; i < VSR_JSON_DEPTH; i++)
        g_string_append_c(text, '[');
    for (int i = 0; i < VSR_JSON_DEPTH; i++)
        g_string_append_c(text, ']');
    json = parse(text->str);
    assert_non_null(json);
    vsr_json_free(json);
    g_string_prepend_c(text, '[');
    g_string_append_c(text, ']');
    assert_null(parse(text->str));
    g_string_set_size(text, 0);
    for (int i = 0; i < 200000; i++)
        g_string_append(text, "{\"a\":");
    assert_null(parse(text->str));
    g_string_free(text, TRUE);
}

static void the_number_of_values_is_limited(void **state)
{
    GString *text = g_string_new("[0");
    vsr_json *json;

    for (int i = 0; i < VSR_JSON_NODES - 2; i++)
        g_string_append(text, ",0");
    g_string_append_c(text, ']');
    json = parse(text->str);
    assert_non_null(json);
    vsr_json_free(json);
    text->str[text->len - 1] = ',';
    g_string_append(text, "0]");
    assert_null(parse(text->str));
    g_string_free(text, TRUE);
}

static void the_first_of_two_equal_keys_counts(void **state)
{
    g_autoptr(vsr_json) json = parse("{\"a\":1,\"a\":2}");
    int64_t i = 0;

    assert_true(vsr_json_get_int(json, "a", 0, 9, &i));
    assert_int_equal(i, 1);
}

static void a_stolen_value_is_not_in_the_object_any_more(void **state)
{
    g_autoptr(vsr_json) json = parse("{\"a\":[1],\"b\":2}");
    g_autoptr(vsr_json) a = vsr_json_steal(json, "a");
    g_autofree char *rest = vsr_json_format(json, NULL);

    assert_int_equal(vsr_json_len(a), 1);
    assert_string_equal(rest, "{\"b\":2}");
    assert_null(vsr_json_steal(json, "a"));
    assert_null(vsr_json_steal(a, "a"));
}

static void text_that_is_not_utf8_is_made_so(void **state)
{
    g_autoptr(vsr_json) json = vsr_json_new_object();
    g_autofree char *text = NULL;
    g_autoptr(vsr_json) again = NULL;

    vsr_json_set_string(json, "s",
                        "a\xff"
                        "b");
    vsr_json_set_string(json, "none", NULL);
    text = vsr_json_format(json, NULL);
    again = parse(text);
    assert_non_null(again);
    assert_int_equal(vsr_json_len(again), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_survives_a_round_trip),
        cmocka_unit_test(getters_check_type_and_range),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(the_number_of_values_is_limited),
        cmocka_unit_test(the_first_of_two_equal_keys_counts),
        cmocka_unit_test(a_stolen_value_is_not_in_the_object_any_more),
        cmocka_unit_test(text_that_is_not_utf8_is_made_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
