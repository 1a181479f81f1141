/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_exec_flat32.c: 32-bit code with flat segments does what 32-bit code with
 * any other segments does: random instructions, decoded for both, from the same
 * state, in a window that ends at 4 GiB.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_decode.h"
#include "drivers/emu/guest_x86_flags.h"
#include "tests/drivers/emu/emu_stand_in.h"

enum { LEN = 4 * EMU_PAGE_SIZE, TRIALS = 60000, BYTES = 16 };
#define BASE (UINT64_C(0x100000000) - LEN)

typedef struct {
    stand_in *s;
    emu_cpu *cpu;
    uint64_t seed;
    uint8_t memory[LEN];
} fixture;

/* What an instruction may change. */
typedef struct {
    uint64_t regs[EMU_REGS];
    uint16_t cc;
    int vector;
    uint64_t cr2;
    uint8_t memory[LEN];
} outcome;

static int set_up(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->s = stand_in_new(BASE, f->memory, LEN);
    f->cpu = f->s->cpu;
    f->seed = 1;
    stand_in_set_mode(f->s, 32);
    stand_in_set_tlb(f->s, true);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    stand_in_free(f->s);
    g_free(f);
    return 0;
}

static uint64_t rnd(fixture *f)
{
    f->seed ^= f->seed << 13;
    f->seed ^= f->seed >> 7;
    f->seed ^= f->seed << 17;
    return f->seed;
}

/* Often an address in the window, often at the edge of a page. */
static uint64_t value(fixture *f)
{
    uint64_t r = rnd(f), high = r & 64 ? 0 : rnd(f) << 32;

    switch (r & 7) {
    case 0:
        return rnd(f);
    case 1:
    case 2:
        return high | (r >> 8 & 31);
    case 3:
    case 4:
        return high | (uint32_t)(BASE + (r >> 8) % 5 * EMU_PAGE_SIZE - 8 +
                                 (r >> 16) % 16);
    default:
        return high | (uint32_t)(BASE + (r >> 8) % LEN);
    }
}

static unsigned put_modrm(fixture *f, uint8_t *at, unsigned reg)
{
    uint64_t r = rnd(f);
    unsigned mod = r & 15 ? r >> 4 & 3 : 3, rm = r >> 8 & 7, n = 1;
    uint32_t disp = (uint32_t)((int32_t)(r >> 32 & 63) - 32);

    if (mod == 3 && (r & 0x300))
        mod = 1;
    at[0] = (uint8_t)(mod << 6 | reg << 3 | rm);
    if (mod != 3 && rm == 4)
        at[n++] = (uint8_t)(r >> 16);
    if (mod == 1) {
        at[n++] = (uint8_t)disp;
    } else if (mod != 3) {
        disp += (uint32_t)value(f);
        memcpy(at + n, &disp, 4);
        n += 4;
    }
    return n;
}

/* Opcodes with ModRM, and those of the stack and absolute addresses. */
static const uint8_t one_byte[] = {
    0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13,
    0x18, 0x19, 0x1a, 0x1b, 0x20, 0x21, 0x22, 0x23, 0x28, 0x29, 0x2a, 0x2b,
    0x30, 0x31, 0x32, 0x33, 0x38, 0x39, 0x3a, 0x3b, 0x50, 0x53, 0x54, 0x58,
    0x5b, 0x5c, 0x68, 0x69, 0x6a, 0x6b, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86,
    0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8d, 0x8f, 0xa0, 0xa1, 0xa2, 0xa3, 0xc0,
    0xc1, 0xc6, 0xc7, 0xc9, 0xd0, 0xd1, 0xd2, 0xd3, 0xf6, 0xf7, 0xfe, 0xff,
};
static const uint8_t two_bytes[] = {
    0x40, 0x42, 0x45, 0x47, 0x4c, 0x4f, 0x90, 0x94, 0x97, 0x9f, 0xa3,
    0xa4, 0xa5, 0xab, 0xac, 0xad, 0xaf, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7,
    0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xc7,
};
static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64,
                                    0x65, 0x66, 0x67, 0xf0 };

/* BYTES bytes that begin with one instruction, valid or not. */
static void make(fixture *f, uint8_t bytes[BYTES])
{
    uint64_t r = rnd(f);
    unsigned n = 0;

    for (unsigned i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)rnd(f);
    if ((r & 3) == 0)
        bytes[n++] = prefixes[(r >> 8) % G_N_ELEMENTS(prefixes)];
    if (r & 4) {
        bytes[n++] = one_byte[(r >> 16) % G_N_ELEMENTS(one_byte)];
    } else {
        bytes[n++] = 0x0f;
        bytes[n++] = two_bytes[(r >> 16) % G_N_ELEMENTS(two_bytes)];
    }
    if (bytes[n - 1] >= 0xa0 && bytes[n - 1] <= 0xa3 && (r & 4)) {
        uint32_t at = (uint32_t)value(f);

        memcpy(bytes + n, &at, 4);
    } else {
        put_modrm(f, bytes + n, r >> 40 & 7);
    }
}

/* Runs `bytes` from *before, decoded for `mode`. False: no such instruction,
 * or not one of the integer executors'. */
static bool run(fixture *f, const uint8_t *bytes, uint32_t mode,
                const outcome *before, outcome *after, emu_exec_fn **exec)
{
    emu_insn insn;

    if (emu_decode(&insn, bytes, BYTES, mode, 0, 0) != EMU_DECODE_OK ||
        insn.op == EMU_OP_INVALID)
        return false;
    *exec = emu_exec_find_integer(&insn);
    if (*exec == NULL)
        return false;
    memcpy(f->cpu->regs, before->regs, sizeof before->regs);
    memcpy(f->memory, before->memory, LEN);
    f->cpu->cc = before->cc;
    f->cpu->mode = mode;
    f->s->cr2 = 0;
    stand_in_run(f->s, &insn, *exec);
    memcpy(after->regs, f->cpu->regs, sizeof after->regs);
    memcpy(after->memory, f->memory, LEN);
    after->cc = f->cpu->cc;
    /* All but CF and OF are undefined, and what the host had. */
    if (insn.op == EMU_OP_IMUL || insn.op == EMU_OP_IMUL_IMM)
        after->cc &= EMU_CC_CF | EMU_CC_OF;
    after->vector = f->s->vector;
    after->cr2 = f->s->cr2;
    return true;
}

static void check_same(const outcome *a, const outcome *b, const uint8_t *bytes)
{
    bool same = a->vector == b->vector && a->cr2 == b->cr2 && a->cc == b->cc &&
                memcmp(a->regs, b->regs, sizeof a->regs) == 0 &&
                memcmp(a->memory, b->memory, LEN) == 0;

    if (same)
        return;
    for (unsigned i = 0; i < BYTES; i++)
        print_error("%02x ", bytes[i]);
    print_error("\nvector %d %d, CR2 %" PRIx64 " %" PRIx64 ", CC %x %x\n",
                a->vector, b->vector, a->cr2, b->cr2, a->cc, b->cc);
    for (unsigned i = 0; i < 8; i++)
        print_error("%u: %016" PRIx64 " %016" PRIx64 "\n", i, a->regs[i],
                    b->regs[i]);
    fail();
}

static void flat_code_does_what_any_32_bit_code_does(void **state)
{
    const uint32_t mode = EMU_MODE_PROT | EMU_MODE_CS32;
    static outcome before, slow, fast;
    unsigned ran = 0, other = 0, faults = 0;
    fixture *f = *state;

    for (unsigned i = 0; i < LEN; i++)
        before.memory[i] = (uint8_t)rnd(f);
    f->cpu->seg_base[VSR_X86_FS] = f->cpu->seg[VSR_X86_FS].base = 64;
    for (unsigned t = 0; t < TRIALS; t++) {
        emu_exec_fn *a, *b;
        uint8_t bytes[BYTES];

        make(f, bytes);
        for (unsigned i = 0; i < 8; i++)
            before.regs[i] = value(f);
        before.cc = (uint16_t)(rnd(f) & 0xd501);
        if (!run(f, bytes, mode, &before, &slow, &a))
            continue;
        assert_true(run(f, bytes, mode | EMU_MODE_FLAT, &before, &fast, &b));
        check_same(&slow, &fast, bytes);
        ran++;
        other += a != b;
        faults += slow.vector != STAND_IN_NO_FAULT;
    }
    /* It was about something. */
    assert_in_range(ran, TRIALS / 2, TRIALS);
    assert_in_range(other, ran / 3, ran);
    assert_in_range(faults, ran / 20, ran / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            flat_code_does_what_any_32_bit_code_does, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("emu exec_flat32", tests, NULL, NULL);
}
