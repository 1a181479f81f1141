/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * error.h: the GError domain of the library. Codes are the public ones of
 * <visor/error.h>, so that the API layer only copies them.
 */
#ifndef VSR_BASE_ERROR_H
#define VSR_BASE_ERROR_H

#include <stdbool.h>

#include <glib.h>

#include <visor/error.h>

#define VSR_ERROR (vsr_error_quark())
GQuark vsr_error_quark(void);

/* Sets *error (if not NULL) and returns false, for `return vsr_fail(…)`. */
bool vsr_fail(GError **error, visor_error_code code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* As vsr_fail, with ": strerror(err)" appended; picks the code from err
 * (EACCES, EPERM: ACCESS; ENOENT: NOT_FOUND; ENOSPC, EMFILE, ENOMEM …:
 * RESOURCE; else SYSTEM). err may be positive or negative. */
bool vsr_fail_errno(GError **error, int err, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* "what: " in front of *error's message; returns false. */
bool vsr_fail_prefix(GError **error, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

#endif
