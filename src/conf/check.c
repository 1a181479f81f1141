/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.c: see check.h.
 *
 * Spec:    XML 1.0 (fifth edition), 2.2 "Characters".
 * Threads: any.
 */
#include "conf/check.h"

#include <string.h>

#include "base/error.h"
#include "conf/domain_conf.h"

bool vsr_conf_check_text(const char *what, const char *text, size_t max,
                         GError **error)
{
    size_t len = text ? strlen(text) : 0;

    if (len > max)
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<%s> has %zu bytes, %zu at the most", what, len, max);
    if (len > 0 && !g_utf8_validate(text, (gssize)len, NULL))
        return vsr_fail(error, VISOR_ERR_CONFIG, "<%s> is not UTF-8", what);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        /* U+FFFE and U+FFFF are no characters of XML either. */
        bool is_nonchar = c == 0xef && (unsigned char)text[i + 1] == 0xbf &&
                          (unsigned char)text[i + 2] >= 0xbe;

        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || is_nonchar)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "<%s> has a character that XML cannot hold, at "
                            "byte %zu",
                            what, i);
    }
    return true;
}

bool vsr_conf_check_line(const char *what, const char *text, size_t max,
                         GError **error)
{
    if (!vsr_conf_check_text(what, text, max, error))
        return false;
    for (const char *p = text; p && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return vsr_fail(error, VISOR_ERR_CONFIG,
                            "<%s> has a control character, number %d", what,
                            (unsigned char)*p);
    return true;
}

bool vsr_conf_check_path(const char *what, const char *path, GError **error)
{
    if (!path)
        return true;
    if (!vsr_conf_check_line(what, path, VSR_TEXT_MAX, error))
        return false;
    if (path[0] != '/')
        return vsr_fail(error, VISOR_ERR_CONFIG,
                        "<%s> '%s' is not an absolute path", what, path);
    return true;
}
