/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* change_json.c: see change_json.h. */
#include "driver/change_json.h"

#include <string.h>

#include "base/error.h"
#include "xml/device.h"

vsr_json *vsr_change_to_json(const vsr_change *change)
{
    vsr_json *json = vsr_json_new_object();

    vsr_json_set_string(json, "kind", vsr_change_kind_text(change->kind));
    if (change->device != NULL) {
        g_autofree char *xml = vsr_device_xml_format(change->device, true);

        vsr_json_set_string(json, "device", xml);
        return json;
    }
    vsr_json_set_uint(json, "value", change->value);
    if (change->target != NULL)
        vsr_json_set_string(json, "target", change->target);
    return json;
}

bool vsr_change_from_json(const vsr_json *json, vsr_change *out, GError **error)
{
    const char *kind = NULL, *xml = NULL, *target = NULL;

    *out = (vsr_change){ 0 };
    if (!vsr_json_get_string(json, "kind", &kind) ||
        !vsr_change_kind_parse(kind, &out->kind))
        return vsr_fail(error, VISOR_ERR_PROTOCOL, "No known change is named");
    if (vsr_change_is_of_device(out->kind)) {
        if (!vsr_json_get_string(json, "device", &xml))
            return vsr_fail(error, VISOR_ERR_PROTOCOL, "No device is named");
        out->device = vsr_device_xml_parse(xml, strlen(xml), error);
        return out->device != NULL;
    }
    if (!vsr_json_get_uint(json, "value", &out->value))
        return vsr_fail(error, VISOR_ERR_PROTOCOL, "No value is given");
    if (out->kind != VSR_CHANGE_DISK_SIZE)
        return true;
    if (!vsr_json_get_string(json, "target", &target))
        return vsr_fail(error, VISOR_ERR_PROTOCOL, "No disk is named");
    out->target = g_strdup(target);
    return true;
}
