/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_host_sse.c: MMX and SSE instructions against the host's CPU.
 *
 * Every opcode of the 0F, 0F 38 and 0F 3A maps is built with every mandatory
 * prefix, REX and kind of ModRM byte, and run both ways (fp_differ.h). The last
 * test asserts that no operation of the list was left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_decode.h"
#include "drivers/emu/guest_x86_fpstate.h"
#include "tests/drivers/emu/fp_differ.h"

/* One instruction: its bytes, and where its operand will be. */
typedef struct {
    uint8_t byte[24];
    unsigned n;
    unsigned base;
    int disp;
} encoding;

static void put(encoding *e, unsigned b)
{
    e->byte[e->n++] = (uint8_t)b;
}

static void build(fp_differ *f, encoding *e, unsigned map, unsigned prefix,
                  unsigned opcode, unsigned reg, bool memory)
{
    static const uint8_t prefixes[] = { 0, 0x66, 0xf3, 0xf2 };
    uint64_t r = fp_random(f);
    unsigned rex = r & 0x4f, rm = r >> 8 & 7;

    *e = (encoding){ 0 };
    if (prefixes[prefix])
        put(e, prefixes[prefix]);
    if (rex & 0x40)
        put(e, rex);
    else
        rex = 0;
    put(e, 0x0f);
    if (map > 0)
        put(e, map == 1 ? 0x38 : 0x3a);
    put(e, opcode);
    if (memory) {
        if (rm == 4)
            rm = 0; /* no SIB */
        e->disp = (int8_t)(r >> 16);
        e->base = rm | (rex & 1 ? 8 : 0);
        put(e, 0x40 | reg << 3 | rm);
        put(e, (uint8_t)e->disp);
    } else {
        put(e, 0xc0 | reg << 3 | rm);
        e->base = opcode == 0xf7 ? 7 : rm; /* MASKMOVx stores at RDI */
    }
    for (unsigned i = 0; i < 4; i++)
        put(e, (uint8_t)(r >> (24 + 8 * i)));
}

static void sweep(fp_differ *f, unsigned times)
{
    encoding e;

    for (unsigned i = 0; i < 3 * 256 * 4 * 8 * 2; i++) {
        unsigned reg = i & 7, prefix = i >> 4 & 3;
        unsigned opcode = i >> 6 & 255, map = i >> 14;
        bool memory = i >> 3 & 1;

        if (map == 0 && (opcode == 0x38 || opcode == 0x3a))
            continue; /* the escapes to the other two */
        for (unsigned n = 0; n < times; n++) {
            build(f, &e, map, prefix, opcode, reg, memory);
            fp_differ_prepare(f, e.base, e.disp);
            if (!fp_differ_run(f, e.byte, e.n, n & 1))
                break;
        }
    }
}

static int setup(void **state)
{
    *state = fp_differ_new();
    return 0;
}

static int teardown(void **state)
{
    fp_differ_free(*state);
    return 0;
}

static fp_differ *differ(void **state)
{
    if (*state == NULL)
        skip();
    return *state;
}

static void results_are_the_hosts_bit_for_bit(void **state)
{
    fp_differ *f = differ(state);

    sweep(f, 8);
    assert_true(f->run > 20000);
}

static void unmasked_exceptions_trap_where_the_host_traps(void **state)
{
    fp_differ *f = differ(state);

    f->unmask = true;
    sweep(f, 4);
    f->unmask = false;
}

static bool host_lacks(unsigned op)
{
    uint32_t has = emu_sse_optional();

    if (op >= EMU_OP_SHA1RNDS4)
        return !(has & EMU_SSE_HAS_SHA);
    if (op == EMU_OP_PCLMULQDQ)
        return !(has & EMU_SSE_HAS_PCLMUL);
    if (op >= EMU_OP_AESIMC)
        return !(has & EMU_SSE_HAS_AES);
    return false;
}

static bool not_comparable(unsigned op)
{
    return op == EMU_OP_XSAVE || op == EMU_OP_XSAVEOPT || op == EMU_OP_XRSTOR;
}

static void no_operation_was_left_out(void **state)
{
    fp_differ *f = differ(state);
    unsigned missing = 0;

    for (unsigned op = EMU_OP_FXSAVE; op < EMU_OP_MAX; op++) {
        if (f->reached[op] || host_lacks(op) || not_comparable(op))
            continue;
        printf("%s was not reached\n", emu_op_name(op));
        missing++;
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_hosts_bit_for_bit),
        cmocka_unit_test(unmasked_exceptions_trap_where_the_host_traps),
        cmocka_unit_test(no_operation_was_left_out),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
