/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * forwards.h: arrays of port forwards, of configurations and of sources alike.
 * In a header, since who only describes networks is not linked with them.
 *
 * Threads: any.
 */
#ifndef VSR_NET_FORWARDS_H
#define VSR_NET_FORWARDS_H

#include "net/net.h"

static inline void vsr_net_forward_clear(void *item)
{
    g_clear_pointer(&((vsr_net_forward *)item)->host_addr, g_free);
}

/* Of vsr_net_forward, which it owns with their strings: g_array_unref(). */
static inline GArray *vsr_net_forwards_new(void)
{
    GArray *forwards = g_array_new(FALSE, TRUE, sizeof(vsr_net_forward));

    g_array_set_clear_func(forwards, vsr_net_forward_clear);
    return forwards;
}

static inline GArray *vsr_net_forwards_copy(const GArray *from)
{
    GArray *to = vsr_net_forwards_new();

    for (guint i = 0; i < from->len; i++) {
        vsr_net_forward forward = g_array_index(from, vsr_net_forward, i);

        forward.host_addr = g_strdup(forward.host_addr);
        g_array_append_val(to, forward);
    }
    return to;
}

#endif
