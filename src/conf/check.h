/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.h: texts of a configuration that will stand in XML, in messages and in
 * calls to the host. `what` is the element or attribute; NULL texts are fine.
 *
 * Threads: any. Errors: CONFIG.
 */
#ifndef VSR_CONF_CHECK_H
#define VSR_CONF_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

/* UTF-8 without control characters other than tab and line ends, at most `max`
 * bytes. */
bool vsr_conf_check_text(const char *what, const char *text, size_t max,
                         GError **error);
/* One line of it. */
bool vsr_conf_check_line(const char *what, const char *text, size_t max,
                         GError **error);
/* An absolute path. */
bool vsr_conf_check_path(const char *what, const char *path, GError **error);

#endif
