/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/x86/reset.h"

#include <string.h>

#include "tests/support/cm.h"

static void registers_are_those_of_the_manual(void **state)
{
    static vsr_x86_state x86;
    static const vsr_cpuid rows = { .n = 1,
                                    .row = { { .leaf = 1, .eax = 0x806ea } } };

    memset(&x86, 0x5a, sizeof x86);
    x86.n_msrs = 0;
    x86.xsave_len = 832;
    vsr_x86_reset_state(&x86, &rows, true);
    assert_int_equal(x86.rip, 0xfff0);
    assert_int_equal(x86.rflags, 2);
    assert_int_equal(x86.cr0, 0x60000010);
    assert_int_equal(x86.cr4, 0);
    assert_int_equal(x86.efer, 0);
    assert_int_equal(x86.gpr[VSR_X86_RDX], 0x806ea);
    assert_int_equal(x86.gpr[VSR_X86_RAX], 0);
    assert_int_equal(x86.seg[VSR_X86_CS].selector, 0xf000);
    assert_int_equal(x86.seg[VSR_X86_CS].base, 0xffff0000);
    assert_int_equal(x86.seg[VSR_X86_CS].attr, 0x9b);
    assert_int_equal(x86.seg[VSR_X86_SS].attr, 0x93);
    assert_int_equal(x86.seg[VSR_X86_TR].attr, 0x8b);
    assert_int_equal(x86.seg[VSR_X86_LDTR].limit, 0xffff);
    assert_int_equal(x86.idt.limit, 0xffff);
    assert_int_equal(x86.dr[6], 0xffff0ff0);
    assert_int_equal(x86.dr[7], 0x400);
    assert_int_equal(x86.xcr0, 1);
    assert_int_equal(x86.tsc, 0);
    assert_int_equal(x86.apic_base, 0xfee00900);
    assert_int_equal(x86.mp_state, VSR_MP_RUNNABLE);
    assert_false(x86.events.nmi_pending);
    assert_int_equal(x86.xsave_len, 832);
    assert_int_equal(x86.xsave[24] | x86.xsave[25] << 8, 0x1f80);
}

static void others_than_the_first_wait(void **state)
{
    static vsr_x86_state x86;

    vsr_x86_reset_state(&x86, NULL, false);
    assert_int_equal(x86.mp_state, VSR_MP_WAIT_SIPI);
    assert_int_equal(x86.apic_base, 0xfee00800);
}

static void msrs_keep_their_list(void **state)
{
    static vsr_x86_state x86;

    x86.n_msrs = 3;
    x86.msrs[0] = (vsr_x86_msr){ 0xc0000082, 0x1234 }; /* LSTAR */
    x86.msrs[1] = (vsr_x86_msr){ 0x277, 0 };           /* PAT */
    x86.msrs[2] = (vsr_x86_msr){ 0xce, 0x77 };         /* the engine's own */
    vsr_x86_reset_state(&x86, NULL, true);
    assert_int_equal(x86.n_msrs, 3);
    assert_int_equal(x86.msrs[0].value, 0);
    assert_true(x86.msrs[1].value == UINT64_C(0x0007040600070406));
    assert_int_equal(x86.msrs[2].value, 0x77);
    x86.n_msrs = 5000; /* a broken engine */
    vsr_x86_reset_state(&x86, NULL, true);
    assert_int_equal(x86.n_msrs, VSR_X86_MSRS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_those_of_the_manual),
        cmocka_unit_test(others_than_the_first_wait),
        cmocka_unit_test(msrs_keep_their_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
