/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_host_x87.c: x87 instructions against the host's CPU.
 *
 * Opcodes D8..DF with every ModRM byte of the register forms and every reg
 * field of the memory forms, both ways (fp_differ.h): with all exceptions
 * masked and with some of them not, with full, empty and partly empty stacks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_decode.h"
#include "tests/drivers/emu/fp_differ.h"

static void one(fp_differ *f, unsigned opcode, unsigned modrm, bool op16,
                unsigned times)
{
    uint8_t byte[8] = { 0 };
    unsigned n = 0, disp_at;

    if (op16)
        byte[n++] = 0x66;
    byte[n++] = (uint8_t)opcode;
    byte[n++] = (uint8_t)modrm;
    disp_at = n;
    for (unsigned i = 0; i < times; i++) {
        int disp = (int8_t)fp_random(f);

        byte[disp_at] = (uint8_t)disp;
        fp_differ_prepare(f, modrm & 7, disp);
        if (!fp_differ_run(f, byte, sizeof byte, i & 1))
            break;
    }
}

static void sweep(fp_differ *f, unsigned times)
{
    for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
        for (unsigned modrm = 0xc0; modrm <= 0xff; modrm++)
            one(f, opcode, modrm, false, times);
        for (unsigned reg = 0; reg < 8; reg++) {
            one(f, opcode, 0x43 | reg << 3, false, 4 * times);
            one(f, opcode, 0x46 | reg << 3, true, times);
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

    sweep(f, 64);
    assert_true(f->run > 30000);
}

static void empty_registers_fault_as_on_the_host(void **state)
{
    fp_differ *f = differ(state);

    f->holes = true;
    sweep(f, 32);
    f->holes = false;
}

static void unmasked_exceptions_leave_what_the_host_leaves(void **state)
{
    fp_differ *f = differ(state);

    f->unmask = true;
    sweep(f, 48);
    f->holes = true;
    sweep(f, 24);
    f->unmask = f->holes = false;
}

static void no_operation_was_left_out(void **state)
{
    fp_differ *f = differ(state);
    unsigned missing = 0;

    for (unsigned op = EMU_OP_FADD; op <= EMU_OP_FNCLEX; op++) {
        if (f->reached[op] || op == EMU_OP_FWAIT)
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
        cmocka_unit_test(empty_registers_fault_as_on_the_host),
        cmocka_unit_test(unmasked_exceptions_leave_what_the_host_leaves),
        cmocka_unit_test(no_operation_was_left_out),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
