/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emu_guest.c: fuzz target of the whole emulator: whatever a guest runs, the
 * process survives it.
 *
 * Input: one byte that chooses the mode and where the code lies (within a page
 * or across its end), 16 that make the registers' starting values, then code.
 * It runs at CPL 0 until it traps, stops or a millisecond is over.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/support/emu_harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM_LEN = 4 << 20, AT = 0x8000, REGS = 8, REGS_LEN = 2 * REGS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned modes[4] = { 64, 64, 32, 16 };
    static emu_harness *h;
    vsr_x86_state state;
    uint64_t at = AT;

    if (size < 2 + REGS_LEN || size > 4096)
        return 0;
    if (h == NULL)
        h = emu_harness_new(RAM_LEN);
    /* So that a page, stack or table that the last input left behind does not
     * decide what this one does. */
    memset(h->ram, 0, 0x10000);
    if (data[0] & 4)
        at += 0xff0 + (data[0] >> 4);
    emu_harness_load(h, modes[data[0] & 3], at, data + 1 + REGS_LEN,
                     size - 1 - REGS_LEN);
    state = *emu_harness_state(h);
    for (unsigned i = 0; i < REGS; i++) {
        int16_t value;

        memcpy(&value, data + 1 + 2 * i, sizeof value);
        /* Small numbers, and addresses all over the place. */
        if (i != VSR_X86_RSP)
            state.gpr[i] = (uint64_t)((int64_t)value * (i & 1 ? 4093 : 1));
    }
    vsr_emu_engine.vcpu_set(h->vcpu, &state);
    emu_harness_run(h, 1);
    return 0;
}
