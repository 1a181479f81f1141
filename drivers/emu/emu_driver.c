/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_driver.c: the emu backend as the driver layer sees it.
 *
 * Domain life cycle is the native driver's (src/driver/native_*.c); the engine
 * is emu_engine.c.
 *
 * Threads: any.
 */
#include "driver/driver.h"

/* It needs nothing of the host but its processor's instruction set. */
static bool emu_probe(GError **error)
{
    vsr_engine_caps caps;

    return vsr_emu_engine.caps(&caps, error);
}

const vsr_driver vsr_emu_driver = {
    .name = "emu",
    .engine = &vsr_emu_engine,
    .probe = emu_probe,
    .conn = &vsr_native_conn_ops,
    .domain = &vsr_native_domain_ops,
    .host = &vsr_native_host_ops,
};
