/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * native_metadata.c: title, description and <metadata> of a configuration.
 *
 * Threads: any.
 */
#include <string.h>

#include <visor/domain.h>

#include "base/error.h"
#include "driver/native.h"
#include "xml/domain.h"

static bool set_text(char **text, const char *what, const char *value,
                     bool one_line, GError **error)
{
    if (value != NULL && strlen(value) > VSR_TEXT_MAX)
        return vsr_fail(error, VISOR_ERR_ARG, "The %s is longer than %d bytes",
                        what, VSR_TEXT_MAX);
    if (value != NULL && !g_utf8_validate(value, -1, NULL))
        return vsr_fail(error, VISOR_ERR_ARG, "The %s is not UTF-8", what);
    if (value != NULL && one_line && strchr(value, '\n') != NULL)
        return vsr_fail(error, VISOR_ERR_ARG, "The %s has more than one line",
                        what);
    g_free(*text);
    *text = g_strdup(value);
    return true;
}

bool vsr_native_set_metadata(vsr_domain_conf *conf, int kind, const char *value,
                             const char *key, const char *uri, GError **error)
{
    g_autoptr(GError) cause = NULL;
    char *edited;

    switch (kind) {
    case VISOR_METADATA_DESCRIPTION:
        return set_text(&conf->description, "description", value, false, error);
    case VISOR_METADATA_TITLE:
        return set_text(&conf->title, "title", value, true, error);
    case VISOR_METADATA_ELEMENT:
        edited = vsr_metadata_set(conf->metadata, uri, key, value, &cause);
        if (edited == NULL && cause != NULL) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return false;
        }
        g_free(conf->metadata);
        conf->metadata = edited;
        return true;
    default:
        return vsr_fail(error, VISOR_ERR_ARG, "No kind of metadata is %d",
                        kind);
    }
}

char *vsr_native_get_metadata(const vsr_domain_conf *conf, int kind,
                              const char *uri, GError **error)
{
    const char *text = NULL;

    if (kind == VISOR_METADATA_ELEMENT)
        return vsr_metadata_get(conf->metadata, uri, error);
    text = kind == VISOR_METADATA_TITLE ? conf->title : conf->description;
    if (text == NULL)
        (void)vsr_fail(error, VISOR_ERR_NOT_FOUND, "Domain '%s' has no %s",
                       conf->name,
                       kind == VISOR_METADATA_TITLE ? "title" : "description");
    return g_strdup(text);
}
