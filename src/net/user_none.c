/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* user_none.c: in place of user.c where libslirp was not there to build with. */
#include "net/net_state.h"

#include "base/error.h"

static bool none_start(vsr_net *net, vsr_net_source *source, GError **error)
{
    return vsr_fail(error, VISOR_ERR_NO_SUPPORT,
                    "Networks of type 'user': this libvisor was built without "
                    "libslirp");
}

const vsr_net_ops vsr_net_user_ops = { .start = none_start };
