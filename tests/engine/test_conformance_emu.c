/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/engine/conformance.h"

int main(void)
{
    return conformance_run(&vsr_emu_engine, NULL);
}
