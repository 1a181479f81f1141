/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_exec_x87.c: what the comparison with the host (test_host_x87.c) cannot
 * see: gates, waiting #MF, memory faults, environments, pointers.
 */
#include "tests/drivers/emu/exec_fixture.h"

static int setup(void **state)
{
    *state = fixture_new(EMU_CR4_OSFXSR);
    return 0;
}

#define RUN(f, bytes) \
    fixture_run(f, emu_exec_find_x87, bytes, sizeof(bytes) - 1)
#define OK(f, bytes) assert_int_equal(RUN(f, bytes), STAND_IN_NO_FAULT)

#define FLD1     "\xd9\xe8"
#define FLDZ     "\xd9\xee"
#define FLDPI    "\xd9\xeb"
#define FDIVP    "\xde\xf9"
#define FADD_M32 "\xd8\x03"
#define FLD_M64  "\xdd\x03"
#define FSTP_M32 "\xd9\x1b"
#define FSTP_M64 "\xdd\x1b"
#define FSTP_M80 "\xdb\x3b"
#define FWAIT    "\x9b"
#define FNINIT   "\xdb\xe3"
#define FNCLEX   "\xdb\xe2"
#define FNSTSW   "\xdf\xe0"
#define FNSTCW   "\xd9\x3b"
#define FLDCW    "\xd9\x2b"
#define FNSTENV  "\xd9\x33"
#define FLDENV   "\xd9\x23"
#define FNSAVE   "\xdd\x33"
#define FRSTOR   "\xdd\x23"
#define OP16     "\x66"

static void set_cw(fixture *f, uint16_t cw)
{
    memcpy(f->memory, &cw, 2);
    OK(f, FLDCW);
}

static uint32_t get(const fixture *f, unsigned at, unsigned n)
{
    uint32_t v = 0;

    memcpy(&v, f->memory + at, n);
    return v;
}

/* 1/0 with #Z unmasked. */
static void divide_by_zero(fixture *f)
{
    set_cw(f, 0x037b);
    OK(f, FLD1);
    OK(f, FLDZ);
    OK(f, FDIVP);
}

/* --- gates --- */

static void ts_and_em_raise_nm(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        f->cpu->cr0 = EMU_CR0_NE | (i ? EMU_CR0_EM : EMU_CR0_TS);
        emu_fp_mode_changed(f->cpu);
        assert_int_equal(RUN(f, FLD1), EMU_NM);
        assert_int_equal(RUN(f, FADD_M32), EMU_NM);
        assert_int_equal(RUN(f, FNSTSW), EMU_NM);
        assert_int_equal(RUN(f, FNINIT), EMU_NM);
        assert_int_equal(RUN(f, FNSAVE), EMU_NM);
        assert_int_equal(f->cpu->x87.valid, 0);
    }
}

static void fwait_minds_ts_only_with_mp(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < 8; i++) {
        bool mp = i & 1, em = i & 2, ts = i & 4;

        f->cpu->cr0 = EMU_CR0_NE | (mp ? EMU_CR0_MP : 0) |
                      (em ? EMU_CR0_EM : 0) | (ts ? EMU_CR0_TS : 0);
        emu_fp_mode_changed(f->cpu);
        assert_int_equal(RUN(f, FWAIT), mp && ts ? EMU_NM : STAND_IN_NO_FAULT);
    }
}

/* --- exceptions --- */

static void an_unmasked_exception_waits_for_the_next_instruction(void **state)
{
    fixture *f = *state;

    divide_by_zero(f);
    /* Operands are as they were, and nothing was popped. */
    assert_int_equal(f->cpu->x87.top, 6);
    assert_int_equal(emu_x87_sw(f->cpu) & 0x80ff, 0x8084);
    assert_int_equal(RUN(f, FLD1), EMU_MF);
    assert_int_equal(RUN(f, FWAIT), EMU_MF);
    assert_int_equal(RUN(f, FADD_M32), EMU_MF);
    assert_int_equal(RUN(f, FLDCW), EMU_MF);
    OK(f, FNSTSW);
    assert_int_equal(f->cpu->regs[VSR_X86_RAX] & 0x80ff, 0x8084);
    OK(f, FNSTCW);
    OK(f, FNCLEX);
    OK(f, FLD1);
    OK(f, FWAIT);
}

/* There is no wire from the x87 to the interrupt controllers. */
static void without_ne_it_is_mf_too(void **state)
{
    fixture *f = *state;

    f->cpu->cr0 = EMU_CR0_PE;
    emu_fp_mode_changed(f->cpu);
    divide_by_zero(f);
    assert_int_equal(emu_x87_sw(f->cpu) & 0x84, 0x84);
    assert_int_equal(RUN(f, FWAIT), EMU_MF);
}

static void unmasking_an_old_flag_traps(void **state)
{
    fixture *f = *state;

    OK(f, FLD1);
    OK(f, FLDZ);
    OK(f, FDIVP);
    OK(f, FWAIT);
    set_cw(f, 0x037b);
    assert_int_equal(RUN(f, FWAIT), EMU_MF);
    OK(f, FNINIT);
    OK(f, FWAIT);
    assert_int_equal(f->cpu->x87.cw, 0x37f);
    assert_int_equal(emu_x87_sw(f->cpu), 0);
}

static void flags_of_one_cpu_are_not_seen_by_another(void **state)
{
    fixture *f = *state;

    OK(f, FLD1);
    OK(f, FLDZ);
    OK(f, FDIVP); /* leaves ZE in the host's status word */
    emu_x87_set_sw(f->cpu, 7 << EMU_SW_TOP_SHIFT);
    emu_x87_set_cw(f->cpu, 0x037b);
    OK(f, FLD1);
    assert_int_equal(emu_x87_sw(f->cpu) & 0xff, 0);
}

static void the_caller_keeps_his_control_word(void **state)
{
    fixture *f = *state;
    uint16_t cw = 0;

    set_cw(f, 0x0c00); /* towards zero, all unmasked, 24 bits */
    __asm__ volatile("fnstcw %0" : "=m"(cw));
    assert_int_equal(cw, 0x37f);
    OK(f, FLDPI);
    OK(f, FLD1);
    OK(f, FDIVP); /* inexact at 24 bits, unmasked: stored all the same */
    assert_int_equal(f->cpu->x87.st[7].mantissa, 0xc90fda0000000000);
    assert_int_equal(RUN(f, FWAIT), EMU_MF);
}

/* --- memory --- */

static void a_store_that_faults_changes_nothing(void **state)
{
    static const char *const stores[] = { FSTP_M32, FSTP_M64, FSTP_M80 };
    fixture *f = *state;

    OK(f, FLDPI);
    f->s->readonly_from = 0;
    f->s->readonly_to = 4096;
    for (unsigned i = 0; i < G_N_ELEMENTS(stores); i++) {
        assert_int_equal(fixture_run(f, emu_exec_find_x87, stores[i], 2),
                         EMU_PAGE_FAULT);
        assert_int_equal(f->cpu->x87.top, 7);
        assert_int_equal(emu_x87_sw(f->cpu) & 0x3f, 0);
    }
    /* Nor did the host keep a flag that shows up later. */
    OK(f, FLD1);
    assert_int_equal(emu_x87_sw(f->cpu) & 0x3f, 0);
}

static void a_store_crosses_pages_and_mmio(void **state)
{
    fixture *f = *state;
    double pi = 0;

    for (unsigned i = 0; i < 9; i++) {
        f->cpu->regs[VSR_X86_RBX] = BASE + 4096 - i;
        OK(f, FLDPI);
        OK(f, FSTP_M64);
        memcpy(&pi, f->memory + 4096 - i, 8);
        assert_true(pi > 3.14159265358979 && pi < 3.14159265358980);
        memset(f->memory + 4096 - i, 0, 8);
    }
    f->s->slow_from = 0;
    f->s->slow_to = LEN;
    stand_in_set_tlb(f->s, true);
    f->cpu->regs[VSR_X86_RBX] = BASE;
    OK(f, FLDPI);
    OK(f, FSTP_M80);
    assert_int_equal(get(f, 8, 2), 0x4000);
    assert_int_equal(get(f, 4, 4), 0xc90fdaa2);
}

/* --- environment --- */

static void prepare_environment(fixture *f)
{
    emu_x87 *x = &f->cpu->x87;

    emu_x87_set_cw(f->cpu, 0x0340 | 0x3e);
    emu_x87_set_sw(f->cpu, 6 << EMU_SW_TOP_SHIFT | EMU_SW_C0 | 2);
    x->valid = 0xc0;
    x->st[6] = (emu_f80){ 0 };
    x->st[7] = (emu_f80){ .mantissa = UINT64_C(1) << 63, .exponent = 0x3fff };
    x->fip = 0x12345678;
    x->fdp = 0x9abcdef0;
    x->fop = 0x5ab;
}

static void check_environment(fixture *f, uint32_t fip, uint32_t fdp)
{
    assert_int_equal(f->cpu->x87.cw, 0x37e);
    assert_int_equal(emu_x87_sw(f->cpu), 6 << EMU_SW_TOP_SHIFT | EMU_SW_C0 | 2);
    assert_int_equal(f->cpu->x87.valid, 0xc0);
    assert_int_equal(f->cpu->x87.fip, fip);
    assert_int_equal(f->cpu->x87.fdp, fdp);
}

static void environments_have_four_layouts(void **state)
{
    static const struct {
        unsigned bits;
        bool prot, small;
        uint32_t fip, fdp;
        uint32_t dword[7]; /* of the 32-bit layouts */
    } rows[] = {
        { 64,
          true,
          false,
          0x12345678,
          0x9abcdef0,
          { 0xffff037e, 0xffff3102, 0xffff1fff, 0x12345678, 0x05ab0000,
            0x9abcdef0, 0xffff0000 } },
        { 32,
          true,
          false,
          0x12345678,
          0x9abcdef0,
          { 0xffff037e, 0xffff3102, 0xffff1fff, 0x12345678, 0x05ab0000,
            0x9abcdef0, 0xffff0000 } },
        { 32, true, true, 0x5678, 0xdef0, { 0 } },
        { 16, false, true, 0x45678, 0xcdef0, { 0 } },
    };
    fixture *f = *state;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool prefix = (rows[i].bits == 16) != rows[i].small;

        stand_in_set_mode(f->s, rows[i].bits);
        if (!rows[i].prot)
            f->cpu->mode &= ~(uint32_t)EMU_MODE_PROT;
        /* Address size 16 has other ModRM bytes: [si]. */
        f->cpu->regs[VSR_X86_RSI] = 0x100;
        for (unsigned s = 0; s < VSR_X86_LDTR; s++)
            f->cpu->seg[s].base = rows[i].bits == 16 ? BASE : 0;
        f->cpu->regs[VSR_X86_RBX] = BASE + 0x100;
        prepare_environment(f);
        if (rows[i].bits == 16)
            OK(f, "\xd9\x34");
        else if (prefix)
            OK(f, OP16 FNSTENV);
        else
            OK(f, FNSTENV);
        assert_int_equal(f->cpu->x87.cw, 0x37f); /* all masked now */
        assert_int_equal(get(f, 0x100, 2), 0x37e);
        if (rows[i].small) {
            assert_int_equal(get(f, 0x102, 2), 0x3102);
            assert_int_equal(get(f, 0x104, 2), 0x1fff);
            assert_int_equal(get(f, 0x106, 2), 0x5678);
            assert_int_equal(get(f, 0x108, 2), rows[i].prot ? 0 : 0x45ab);
            assert_int_equal(get(f, 0x10a, 2), 0xdef0);
            assert_int_equal(get(f, 0x10c, 2), rows[i].prot ? 0 : 0xc000);
        } else {
            assert_memory_equal(f->memory + 0x100, rows[i].dword, 28);
        }
        OK(f, FNINIT);
        if (rows[i].bits == 16)
            OK(f, "\xd9\x24");
        else if (prefix)
            OK(f, OP16 FLDENV);
        else
            OK(f, FLDENV);
        check_environment(f, rows[i].fip, rows[i].fdp);
    }
}

static void fnsave_empties_and_frstor_brings_back(void **state)
{
    fixture *f = *state;

    prepare_environment(f);
    OK(f, FNSAVE);
    assert_int_equal(f->cpu->x87.valid, 0);
    assert_int_equal(f->cpu->x87.cw, 0x37f);
    assert_int_equal(get(f, 28 + 10 + 8, 2), 0x3fff); /* ST(1) */
    memset(f->cpu->x87.st, 0, sizeof f->cpu->x87.st);
    OK(f, FRSTOR);
    check_environment(f, 0x12345678, 0x9abcdef0);
    assert_int_equal(f->cpu->x87.st[7].exponent, 0x3fff);
    assert_int_equal(f->cpu->x87.st[7].mantissa, UINT64_C(1) << 63);
}

static void loading_a_flag_that_is_unmasked_waits(void **state)
{
    fixture *f = *state;

    prepare_environment(f);
    OK(f, FNSTENV);
    f->memory[4] |= 1; /* IE, and it is unmasked */
    OK(f, FLDENV);
    assert_int_equal(RUN(f, FLD1), EMU_MF);
}

static void pointers_name_the_last_operation(void **state)
{
    fixture *f = *state;

    f->cpu->regs[EMU_REG_RIP] = UINT64_C(0x7fff12345678);
    OK(f, FLD_M64);
    assert_int_equal(f->cpu->x87.fip, UINT64_C(0x7fff12345678));
    assert_int_equal(f->cpu->x87.fdp, BASE);
    assert_int_equal(f->cpu->x87.fop, 0x503);
    f->cpu->regs[EMU_REG_RIP] = RIP;
    OK(f, FNSTCW); /* control instructions leave them alone */
    OK(f, FWAIT);
    assert_int_equal(f->cpu->x87.fip, UINT64_C(0x7fff12345678));
    OK(f, FLDPI); /* no memory operand */
    assert_int_equal(f->cpu->x87.fip, RIP);
    assert_int_equal(f->cpu->x87.fdp, BASE);
    assert_int_equal(f->cpu->x87.fop, 0x1eb);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ts_and_em_raise_nm),
        TEST(fwait_minds_ts_only_with_mp),
        TEST(an_unmasked_exception_waits_for_the_next_instruction),
        TEST(without_ne_it_is_mf_too),
        TEST(unmasking_an_old_flag_traps),
        TEST(flags_of_one_cpu_are_not_seen_by_another),
        TEST(the_caller_keeps_his_control_word),
        TEST(a_store_that_faults_changes_nothing),
        TEST(a_store_crosses_pages_and_mmio),
        TEST(environments_have_four_layouts),
        TEST(fnsave_empties_and_frstor_brings_back),
        TEST(loading_a_flag_that_is_unmasked_waits),
        TEST(pointers_name_the_last_operation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
