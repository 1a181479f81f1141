/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decode.c: fuzz target of the x86 decoder.
 *
 * Input: one byte that chooses mode and features, then code. Whatever the bytes
 * are: no read behind the end, fields in range, and the result depends on the
 * bytes of the instruction only.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/emu/guest_x86_decode.h"
#include "drivers/emu/guest_x86_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)  \
    do {                  \
        if (!(condition)) \
            abort();      \
    } while (0)

static void check_insn(const uint8_t *code, unsigned avail, uint32_t mode,
                       unsigned features)
{
    emu_insn insn, again;
    emu_decode_status status =
        emu_decode(&insn, code, avail, mode, features, 0);
    uint8_t exact[EMU_INSN_LEN_MAX];

    if (status == EMU_DECODE_MORE)
        CHECK(avail < EMU_INSN_LEN_MAX);
    if (status != EMU_DECODE_OK)
        return;
    CHECK(insn.len >= 1 && insn.len <= avail && insn.len <= EMU_INSN_LEN_MAX);
    CHECK(insn.op < EMU_OP_MAX && insn.form < EMU_FORMS);
    CHECK(insn.base < EMU_REGS && insn.index < EMU_REGS);
    CHECK(insn.reg <= 15 * 8 && insn.rm <= 15 * 8 && insn.cond < 32);
    CHECK(insn.op != EMU_OP_INVALID || insn.flags & EMU_I_ENDS);

    memcpy(exact, code, insn.len);
    status = emu_decode(&again, exact, insn.len, mode, features, 0);
    CHECK(status == EMU_DECODE_OK);
    CHECK(memcmp(&insn, &again, sizeof insn) == 0);
    if (insn.op != EMU_OP_INVALID)
        CHECK(emu_decode(&again, exact, insn.len - 1u, mode, features, 0) ==
              EMU_DECODE_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t modes[4] = {
        0,
        EMU_MODE_PROT,
        EMU_MODE_PROT | EMU_MODE_CS32,
        EMU_MODE_PROT | EMU_MODE_CS64,
    };
    uint8_t *code;

    if (size < 2)
        return 0;
    /* A copy of its own, so that a sanitizer sees a read behind it. */
    code = malloc(size - 1);
    if (code == NULL)
        return 0;
    memcpy(code, data + 1, size - 1);
    for (size_t at = 0; at < size - 1; at++)
        check_insn(code + at, (unsigned)(size - 1 - at), modes[data[0] & 3],
                   (data[0] >> 2) & 3);
    free(code);
    return 0;
}
