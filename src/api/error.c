/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * error.c: <visor/error.h>.
 *
 * Threads: any.
 */
#include <glib.h>

#include <visor/error.h>

#include "api/api.h"
#include "base/error.h"

int visor_error_get_code(const visor_error *err)
{
    return err != NULL ? err->code : VISOR_OK;
}

const char *visor_error_get_message(const visor_error *err)
{
    return err != NULL ? err->message : "";
}

const char *visor_error_code_name(int code)
{
    static const char *const names[] = {
        "VISOR_OK",
        "VISOR_ERR_INTERNAL",
        "VISOR_ERR_ARG",
        "VISOR_ERR_NO_SUPPORT",
        "VISOR_ERR_NOT_FOUND",
        "VISOR_ERR_EXISTS",
        "VISOR_ERR_STATE",
        "VISOR_ERR_BUSY",
        "VISOR_ERR_TIMEOUT",
        "VISOR_ERR_CANCELLED",
        "VISOR_ERR_XML",
        "VISOR_ERR_CONFIG",
        "VISOR_ERR_ACCESS",
        "VISOR_ERR_RESOURCE",
        "VISOR_ERR_SYSTEM",
        "VISOR_ERR_IMAGE",
        "VISOR_ERR_PROTOCOL",
        "VISOR_ERR_GUEST",
        "VISOR_ERR_CRASHED",
        "VISOR_ERR_READ_ONLY",
    };

    if (code > 0 || code < -(int)(G_N_ELEMENTS(names) - 1))
        return "VISOR_ERR_UNKNOWN";
    return names[-code];
}

void visor_error_free(visor_error *err)
{
    if (err == NULL)
        return;
    g_free(err->message);
    g_free(err);
}

static int error_set(visor_error **err, int code, char *message /* taken */)
{
    /* One line, whatever a guest or a file put into it. */
    g_strdelimit(message, "\r\n", ' ');
    if (err == NULL) {
        g_free(message);
        return code;
    }
    *err = g_new0(visor_error, 1);
    (*err)->code = code;
    (*err)->message = message;
    return code;
}

int api_error(visor_error **err, GError *error)
{
    int code = VISOR_ERR_INTERNAL;
    char *message;

    if (error == NULL)
        return error_set(err, code, g_strdup("Failed without a reason"));
    if (error->domain == VSR_ERROR && error->code < 0)
        code = error->code;
    message = g_strdup(error->message);
    g_error_free(error);
    return error_set(err, code, message);
}

int api_fail(visor_error **err, int code, const char *format, ...)
{
    va_list args;
    char *message;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    return error_set(err, code, message);
}
