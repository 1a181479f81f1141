/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * change_json.h: a vsr_change in a message.
 *
 * Threads: any.
 */
#ifndef VSR_DRIVER_CHANGE_JSON_H
#define VSR_DRIVER_CHANGE_JSON_H

#include "conf/change.h"
#include "rpc/json.h"

vsr_json *vsr_change_to_json(const vsr_change *change);
/* Cleared by the caller in any case. PROTOCOL, XML. */
bool vsr_change_from_json(const vsr_json *json, vsr_change *out,
                          GError **error);

#endif
