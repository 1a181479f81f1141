/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device_update.h: what of a device may change while a guest uses it.
 *
 * Threads: any.
 */
#ifndef VSR_CONF_DEVICE_UPDATE_H
#define VSR_CONF_DEVICE_UPDATE_H

#include "conf/device_conf.h"

/* Can `live`, which is used, become as `wanted`, which is complete? NO_SUPPORT
 * names the element that cannot change. What `wanted` leaves open (alias,
 * address, a link's name) stays. */
bool vsr_device_can_become(const vsr_device_conf *live,
                           const vsr_device_conf *wanted, GError **error);
/* After that: what may change is in `live` as in `wanted`, the rest stays. */
void vsr_device_become(vsr_device_conf *live, const vsr_device_conf *wanted);

/* Both directions. */
static inline bool vsr_net_limits_same(const vsr_net_location *a,
                                       const vsr_net_location *b)
{
    return vsr_net_rate_same(&a->in, &b->in) &&
           vsr_net_rate_same(&a->out, &b->out);
}

#endif
