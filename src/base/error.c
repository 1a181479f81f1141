/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * error.c: filling GErrors of our domain.
 *
 * Threads: any.
 */
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>

GQuark vsr_error_quark(void)
{
    return g_quark_from_static_string("visor");
}

bool vsr_fail(GError **error, visor_error_code code, const char *format, ...)
{
    va_list args;

    if (error != NULL) {
        va_start(args, format);
        g_clear_error(error);
        *error = g_error_new_valist(VSR_ERROR, (gint)code, format, args);
        va_end(args);
    }
    return false;
}

static visor_error_code code_of_errno(int err)
{
    switch (err) {
    case EACCES:
    case EPERM:
    case EROFS:
        return VISOR_ERR_ACCESS;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return VISOR_ERR_NOT_FOUND;
    case EEXIST:
        return VISOR_ERR_EXISTS;
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
        return VISOR_ERR_RESOURCE;
    case EBUSY:
    case ETXTBSY:
        return VISOR_ERR_BUSY;
    case ETIMEDOUT:
        return VISOR_ERR_TIMEOUT;
    case ENOSYS:
    case EOPNOTSUPP:
        return VISOR_ERR_NO_SUPPORT;
    default:
        return VISOR_ERR_SYSTEM;
    }
}

bool vsr_fail_errno(GError **error, int err, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    if (error == NULL)
        return false;
    err = abs(err);
    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    return vsr_fail(error, code_of_errno(err), "%s: %s", what, g_strerror(err));
}

bool vsr_fail_prefix(GError **error, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    if (error == NULL || *error == NULL)
        return false;
    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_prefix_error(error, "%s: ", what);
    return false;
}
