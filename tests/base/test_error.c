/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cm.h"

static void fail_sets_code_and_message(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_false(vsr_fail(&error, VISOR_ERR_CONFIG, "Disk '%s': %d", "vda", 3));
    assert_true(g_error_matches(error, VSR_ERROR, VISOR_ERR_CONFIG));
    assert_string_equal(error->message, "Disk 'vda': 3");
}

static void fail_without_a_place_for_it_is_quiet(void **state)
{
    assert_false(vsr_fail(NULL, VISOR_ERR_CONFIG, "x"));
    assert_false(vsr_fail_errno(NULL, EPERM, "x"));
    assert_false(vsr_fail_prefix(NULL, "x"));
}

static void errno_of_either_sign_picks_the_code(void **state)
{
    static const struct {
        int err, code;
    } rows[] = {
        { EACCES, VISOR_ERR_ACCESS },     { -EPERM, VISOR_ERR_ACCESS },
        { -ENOENT, VISOR_ERR_NOT_FOUND }, { ENOSPC, VISOR_ERR_RESOURCE },
        { ENOMEM, VISOR_ERR_RESOURCE },   { -EMFILE, VISOR_ERR_RESOURCE },
        { EBADF, VISOR_ERR_SYSTEM },      { EEXIST, VISOR_ERR_EXISTS },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(vsr_fail_errno(&error, rows[i].err, "Open '%s'", "a"));
        assert_int_equal(error->code, rows[i].code);
        assert_true(g_str_has_prefix(error->message, "Open 'a': "));
        assert_non_null(strstr(error->message, g_strerror(abs(rows[i].err))));
    }
}

static void prefix_goes_in_front(void **state)
{
    g_autoptr(GError) error = NULL;

    (void)vsr_fail(&error, VISOR_ERR_STATE, "no");
    assert_false(vsr_fail_prefix(&error, "Domain '%s'", "a"));
    assert_string_equal(error->message, "Domain 'a': no");
    assert_int_equal(error->code, VISOR_ERR_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_sets_code_and_message),
        cmocka_unit_test(fail_without_a_place_for_it_is_quiet),
        cmocka_unit_test(errno_of_either_sign_picks_the_code),
        cmocka_unit_test(prefix_goes_in_front),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
