/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* affect.c: --live, --config and --persistent, of all commands that change. */
#include "vctl.h"

gboolean vctl_affect_live, vctl_affect_config, vctl_affect_persistent;

uint32_t vctl_affected(visor_domain *dom)
{
    visor_domain_info info = { .size = sizeof info };
    uint32_t flags = 0;

    if (vctl_affect_live)
        flags |= VISOR_AFFECT_LIVE;
    if (vctl_affect_config)
        flags |= VISOR_AFFECT_CONFIG;
    if (vctl_affect_persistent &&
        visor_domain_get_info(dom, &info, NULL) == 0) {
        flags |= info.persistent ? VISOR_AFFECT_CONFIG : 0u;
        flags |= info.state != VISOR_STATE_SHUTOFF ? VISOR_AFFECT_LIVE : 0u;
    }
    return flags;
}
