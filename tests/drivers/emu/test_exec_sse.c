/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_exec_sse.c: what the comparison with the host (test_host_sse.c) cannot
 * see: gates, MXCSR's life, FXSAVE and XSAVE areas, the flags of a trap.
 */
#include "drivers/emu/guest_x86_flags.h"
#include "tests/drivers/emu/exec_fixture.h"

static int setup(void **state)
{
    fixture *f =
        fixture_new(EMU_CR4_OSFXSR | EMU_CR4_OSXMMEXCPT | EMU_CR4_OSXSAVE);

    f->cpu->xcr0 = EMU_XSTATE_ALL;
    *state = f;
    return 0;
}

#define RUN(f, bytes) \
    fixture_run(f, emu_exec_find_sse, bytes, sizeof(bytes) - 1)

#define ADDPS      "\x0f\x58\xc1"     /* xmm0, xmm1 */
#define ADDPS_RBX  "\x0f\x58\x03"     /* xmm0, [rbx] */
#define DIVPS      "\x0f\x5e\xc1"     /* xmm0, xmm1 */
#define MULPS      "\x0f\x59\xc1"     /* xmm0, xmm1 */
#define MOVAPS_RBX "\x0f\x28\x03"     /* xmm0, [rbx] */
#define MOVAPS_ST  "\x0f\x29\x03"     /* [rbx], xmm0 */
#define MOVUPS_RBX "\x0f\x10\x03"     /* xmm0, [rbx] */
#define PADDB_MM   "\x0f\xfc\xc1"     /* mm0, mm1 */
#define PXOR       "\x66\x0f\xef\xc0" /* xmm0, xmm0 */
#define EMMS       "\x0f\x77"
#define STMXCSR    "\x0f\xae\x1b" /* [rbx] */
#define LDMXCSR    "\x0f\xae\x13"
#define FXSAVE     "\x0f\xae\x03"
#define FXRSTOR    "\x0f\xae\x0b"
#define FXSAVE64   "\x48\x0f\xae\x03"
#define XSAVE64    "\x48\x0f\xae\x23"
#define XRSTOR64   "\x48\x0f\xae\x2b"

static void set_gate(fixture *f, uint64_t cr0, uint64_t cr4)
{
    f->cpu->cr0 = EMU_CR0_PE | EMU_CR0_NE | cr0;
    f->cpu->cr4 = cr4;
    emu_fp_mode_changed(f->cpu);
}

static void set_mxcsr(fixture *f, uint32_t value)
{
    memcpy(f->memory, &value, 4);
    assert_int_equal(RUN(f, LDMXCSR), STAND_IN_NO_FAULT);
}

static uint32_t get_mxcsr(fixture *f)
{
    uint32_t value;

    assert_int_equal(RUN(f, STMXCSR), STAND_IN_NO_FAULT);
    memcpy(&value, f->memory, 4);
    return value;
}

static void set_lanes(fixture *f, unsigned r, uint32_t bits)
{
    for (unsigned i = 0; i < 4; i++)
        f->cpu->xmm[r].u32[i] = bits;
}

/* --- gates --- */

static void ts_raises_nm_em_and_osfxsr_raise_ud(void **state)
{
    static const struct {
        uint64_t cr0, cr4;
        int sse, mmx;
    } rows[] = {
        { 0, EMU_CR4_OSFXSR, STAND_IN_NO_FAULT, STAND_IN_NO_FAULT },
        { EMU_CR0_TS, EMU_CR4_OSFXSR, EMU_NM, EMU_NM },
        { EMU_CR0_EM, EMU_CR4_OSFXSR, EMU_UD, EMU_UD },
        { EMU_CR0_EM | EMU_CR0_TS, EMU_CR4_OSFXSR, EMU_UD, EMU_UD },
        { 0, 0, EMU_UD, STAND_IN_NO_FAULT },
        { EMU_CR0_TS, 0, EMU_UD, EMU_NM },
    };
    fixture *f = *state;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        set_gate(f, rows[i].cr0, rows[i].cr4);
        assert_int_equal(RUN(f, ADDPS), rows[i].sse);
        assert_int_equal(RUN(f, ADDPS_RBX), rows[i].sse);
        assert_int_equal(RUN(f, MOVAPS_ST), rows[i].sse);
        assert_int_equal(RUN(f, PXOR), rows[i].sse);
        assert_int_equal(RUN(f, STMXCSR), rows[i].sse);
        assert_int_equal(RUN(f, PADDB_MM), rows[i].mmx);
        assert_int_equal(RUN(f, EMMS), rows[i].mmx);
    }
}

static void fxsave_minds_em_but_not_osfxsr(void **state)
{
    fixture *f = *state;

    set_gate(f, 0, 0);
    assert_int_equal(RUN(f, FXSAVE), STAND_IN_NO_FAULT);
    set_gate(f, EMU_CR0_EM, EMU_CR4_OSFXSR);
    assert_int_equal(RUN(f, FXSAVE), EMU_NM);
    set_gate(f, EMU_CR0_TS, EMU_CR4_OSFXSR);
    assert_int_equal(RUN(f, FXRSTOR), EMU_NM);
}

static void a_gate_comes_before_the_memory(void **state)
{
    fixture *f = *state;

    f->cpu->regs[VSR_X86_RBX] = 1; /* misaligned and not there */
    set_gate(f, EMU_CR0_TS, EMU_CR4_OSFXSR);
    assert_int_equal(RUN(f, ADDPS_RBX), EMU_NM);
    set_gate(f, 0, EMU_CR4_OSFXSR);
    assert_int_equal(RUN(f, ADDPS_RBX), EMU_GP);
    assert_int_equal(RUN(f, MOVUPS_RBX), EMU_PAGE_FAULT);
}

static void misaligned_operands_raise_gp_fast_and_slow(void **state)
{
    fixture *f = *state;

    for (unsigned filled = 0; filled < 2; filled++) {
        stand_in_set_tlb(f->s, filled);
        for (unsigned i = 0; i < 32; i++) {
            int vector = i % 16 ? EMU_GP : STAND_IN_NO_FAULT;

            f->cpu->regs[VSR_X86_RBX] = BASE + 0x0ff0 + i;
            assert_int_equal(RUN(f, MOVAPS_RBX), vector);
            assert_int_equal(RUN(f, MOVAPS_ST), vector);
            assert_int_equal(RUN(f, ADDPS_RBX), vector);
            assert_int_equal(RUN(f, MOVUPS_RBX), STAND_IN_NO_FAULT);
        }
    }
}

/* --- MXCSR --- */

static void the_callers_mxcsr_is_his_again_after_leave(void **state)
{
    fixture *f = *state;
    unsigned before = _mm_getcsr();

    set_mxcsr(f, 0x7f80); /* towards zero */
    emu_fp_enter(f->cpu);
    assert_int_equal(_mm_getcsr() & 0x6000, 0x6000);
    emu_fp_leave(f->cpu);
    assert_int_equal(_mm_getcsr(), before);
}

static void flags_stick_until_ldmxcsr(void **state)
{
    fixture *f = *state;

    set_lanes(f, 0, 0x3f800000);
    set_lanes(f, 1, 0x40400000);
    assert_int_equal(RUN(f, DIVPS), STAND_IN_NO_FAULT); /* 1/3: inexact */
    assert_int_equal(get_mxcsr(f), 0x1fa0);
    assert_int_equal(RUN(f, PXOR), STAND_IN_NO_FAULT);
    assert_int_equal(get_mxcsr(f), 0x1fa0);
    set_mxcsr(f, 0x1f80);
    assert_int_equal(get_mxcsr(f), 0x1f80);
}

static void reserved_bits_of_mxcsr_raise_gp(void **state)
{
    fixture *f = *state;

    for (unsigned bit = 16; bit < 32; bit++) {
        uint32_t value = 0x1f80 | 1u << bit;

        memcpy(f->memory, &value, 4);
        assert_int_equal(RUN(f, LDMXCSR), EMU_GP);
    }
    assert_int_equal(get_mxcsr(f), 0x1f80);
}

static void an_unmasked_exception_traps_and_stores_nothing(void **state)
{
    fixture *f = *state;

    set_mxcsr(f, 0x1f80 & ~0x200u); /* #Z */
    set_lanes(f, 0, 0x3f800000);
    set_lanes(f, 1, 0);
    assert_int_equal(RUN(f, DIVPS), EMU_XM);
    assert_int_equal(f->cpu->xmm[0].u32[0], 0x3f800000);
    assert_int_equal(get_mxcsr(f), (0x1f80 & ~0x200u) | 4);
}

static void found_before_hides_found_after(void **state)
{
    fixture *f = *state;

    /* One lane divides by zero, the others are inexact. */
    set_mxcsr(f, 0x1f80 & ~0x200u);
    set_lanes(f, 0, 0x3f800000);
    set_lanes(f, 1, 0x40400000);
    f->cpu->xmm[1].u32[2] = 0;
    assert_int_equal(RUN(f, DIVPS), EMU_XM);
    assert_int_equal(get_mxcsr(f) & 0x3f, 4);
    /* Masked, both are reported. */
    set_mxcsr(f, 0x1f80);
    assert_int_equal(RUN(f, DIVPS), STAND_IN_NO_FAULT);
    assert_int_equal(get_mxcsr(f) & 0x3f, 0x24);
}

static void without_osxmmexcpt_the_trap_is_ud(void **state)
{
    fixture *f = *state;

    set_mxcsr(f, 0x1f80 & ~0x200u);
    set_gate(f, 0, EMU_CR4_OSFXSR);
    set_lanes(f, 0, 0x3f800000);
    set_lanes(f, 1, 0);
    assert_int_equal(RUN(f, DIVPS), EMU_UD);
}

static void an_exact_tiny_result_traps_when_underflow_is_unmasked(void **state)
{
    fixture *f = *state;

    set_mxcsr(f, 0x1f80 & ~0x800u);
    set_lanes(f, 0, 0x00800000); /* the smallest normal, halved: exact */
    set_lanes(f, 1, 0x3f000000);
    assert_int_equal(RUN(f, MULPS), EMU_XM);
    assert_int_equal(f->cpu->xmm[0].u32[0], 0x00800000);
    set_mxcsr(f, 0x1f80);
    assert_int_equal(RUN(f, MULPS), STAND_IN_NO_FAULT);
    assert_int_equal(f->cpu->xmm[0].u32[0], 0x00400000);
    assert_int_equal(get_mxcsr(f), 0x1f80);
}

static void old_flags_do_not_trap_when_unmasked(void **state)
{
    fixture *f = *state;

    set_mxcsr(f, 0x003f); /* all set, none masked */
    set_lanes(f, 0, 0x3f800000);
    set_lanes(f, 1, 0x3f800000);
    assert_int_equal(RUN(f, ADDPS), STAND_IN_NO_FAULT);
    assert_int_equal(get_mxcsr(f), 0x003f);
}

/* --- MMX --- */

static void mmx_makes_the_stack_full_and_emms_empty(void **state)
{
    fixture *f = *state;

    f->cpu->x87.top = 5;
    assert_int_equal(f->cpu->x87.valid, 0);
    f->cpu->x87.st[0].mantissa = 0x01020304050607ff;
    f->cpu->x87.st[1].mantissa = 0x0101010101010101;
    assert_int_equal(RUN(f, PADDB_MM), STAND_IN_NO_FAULT);
    assert_int_equal(f->cpu->x87.st[0].mantissa, 0x0203040506070800);
    assert_int_equal(f->cpu->x87.st[0].exponent, 0xffff);
    assert_int_equal(f->cpu->x87.valid, 0xff);
    assert_int_equal(f->cpu->x87.top, 0);
    assert_int_equal(RUN(f, EMMS), STAND_IN_NO_FAULT);
    assert_int_equal(f->cpu->x87.valid, 0);
}

static void mmx_reports_a_waiting_x87_exception(void **state)
{
    fixture *f = *state;

    emu_x87_set_cw(f->cpu, 0x037e);
    emu_x87_set_sw(f->cpu, 1);
    assert_int_equal(RUN(f, PADDB_MM), EMU_MF);
    assert_int_equal(RUN(f, ADDPS), STAND_IN_NO_FAULT);
}

/* --- save areas --- */

static void fxsave_keeps_xmm8_to_15_for_64_bit_code(void **state)
{
    fixture *f = *state;

    memset(f->memory, 0x5a, 512);
    memset(f->cpu->xmm, 0x11, sizeof f->cpu->xmm);
    stand_in_set_mode(f->s, 32);
    assert_int_equal(RUN(f, FXSAVE), STAND_IN_NO_FAULT);
    assert_int_equal(f->memory[287], 0x11);
    assert_int_equal(f->memory[288], 0x5a);
    stand_in_set_mode(f->s, 64);
    assert_int_equal(RUN(f, FXSAVE64), STAND_IN_NO_FAULT);
    assert_int_equal(f->memory[415], 0x11);
    assert_int_equal(f->memory[416], 0x5a);

    memset(f->memory + 160, 0x22, 256);
    stand_in_set_mode(f->s, 32);
    assert_int_equal(RUN(f, FXRSTOR), STAND_IN_NO_FAULT);
    assert_int_equal(f->cpu->xmm[7].u8[15], 0x22);
    assert_int_equal(f->cpu->xmm[8].u8[0], 0x11);
}

static void fxsave_of_an_unaligned_area_raises_gp(void **state)
{
    fixture *f = *state;

    f->cpu->regs[VSR_X86_RBX] = BASE + 8;
    assert_int_equal(RUN(f, FXSAVE), EMU_GP);
    f->cpu->regs[VSR_X86_RBX] = BASE + 16;
    assert_int_equal(RUN(f, XSAVE64), EMU_GP);
    f->cpu->regs[VSR_X86_RBX] = BASE + 64;
    assert_int_equal(RUN(f, XSAVE64), STAND_IN_NO_FAULT);
}

static void ask(fixture *f, uint32_t mask)
{
    f->cpu->regs[VSR_X86_RAX] = mask;
    f->cpu->regs[VSR_X86_RDX] = 0;
}

static void xsave_writes_only_what_was_asked_for(void **state)
{
    fixture *f = *state;

    memset(f->memory, 0x5a, 1024);
    memset(f->memory + 512, 0, 64);
    f->memory[512] = 4; /* a bit of others stays */
    memset(f->cpu->xmm, 0x11, sizeof f->cpu->xmm);
    ask(f, EMU_XSTATE_SSE);
    assert_int_equal(RUN(f, XSAVE64), STAND_IN_NO_FAULT);
    assert_int_equal(f->memory[512], 6);
    assert_int_equal(f->memory[0], 0x5a);  /* CW */
    assert_int_equal(f->memory[24], 0x80); /* MXCSR */
    assert_int_equal(f->memory[32], 0x5a);
    assert_int_equal(f->memory[160], 0x11);
    assert_int_equal(f->memory[416], 0x5a);
    assert_int_equal(f->memory[576], 0x5a);
    ask(f, EMU_XSTATE_X87 | 0xf0); /* XCR0 has no more */
    assert_int_equal(RUN(f, XSAVE64), STAND_IN_NO_FAULT);
    assert_int_equal(f->memory[512], 7);
    assert_int_equal(f->memory[0], 0x7f);
    assert_int_equal(f->memory[32], 0);
}

static void xrstor_brings_back_or_initialises(void **state)
{
    fixture *f = *state;

    memset(f->cpu->xmm, 0x11, sizeof f->cpu->xmm);
    f->cpu->x87.valid = 0x80;
    f->cpu->x87.st[7].mantissa = 7;
    ask(f, EMU_XSTATE_ALL);
    assert_int_equal(RUN(f, XSAVE64), STAND_IN_NO_FAULT);
    memset(f->cpu->xmm, 0, sizeof f->cpu->xmm);
    emu_x87_init(f->cpu);
    f->cpu->x87.st[7].mantissa = 0;
    assert_int_equal(RUN(f, XRSTOR64), STAND_IN_NO_FAULT);
    assert_int_equal(f->cpu->xmm[15].u8[15], 0x11);
    assert_int_equal(f->cpu->x87.valid, 0x80);
    assert_int_equal(f->cpu->x87.st[7].mantissa, 7);

    f->memory[512] = 0; /* all in initial state */
    f->memory[25] = 0x7f;
    assert_int_equal(RUN(f, XRSTOR64), STAND_IN_NO_FAULT);
    assert_int_equal(f->cpu->xmm[15].u8[15], 0);
    assert_int_equal(f->cpu->x87.valid, 0);
    assert_int_equal(f->cpu->x87.cw, 0x37f);
    assert_int_equal(get_mxcsr(f), 0x7f80); /* from memory all the same */
}

static void xrstor_refuses_a_bad_header(void **state)
{
    static const struct {
        unsigned at;
        uint8_t value;
    } bad[] = {
        { 512, 4 },    /* not in XCR0 */
        { 519, 0x80 }, /* likewise */
        { 520, 1 },    /* XCOMP_BV */
        { 527, 0x80 }, /* compacted */
        { 528, 1 },    /* reserved */
        { 26, 1 },     /* MXCSR */
    };
    fixture *f = *state;

    ask(f, EMU_XSTATE_ALL);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        memset(f->memory, 0, EMU_XSAVE_LEN);
        f->memory[bad[i].at] = bad[i].value;
        assert_int_equal(RUN(f, XRSTOR64), EMU_GP);
    }
    set_gate(f, 0, EMU_CR4_OSFXSR);
    assert_int_equal(RUN(f, XRSTOR64), EMU_UD);
}

static void an_image_restores_what_it_was_taken_from(void **state)
{
    fixture *f = *state;
    uint8_t image[EMU_XSAVE_LEN], again[EMU_XSAVE_LEN];

    for (unsigned i = 0; i < sizeof f->cpu->xmm; i++)
        f->cpu->xmm[i / 16].u8[i % 16] = (uint8_t)(i * 7);
    for (unsigned i = 0; i < 8; i++)
        f->cpu->x87.st[i] = (emu_f80){ .mantissa = i, .exponent = 0x4000 };
    f->cpu->x87.valid = 0x3c;
    f->cpu->x87.fip = 0x123456789abcdef0;
    emu_x87_set_sw(f->cpu, 0x3a00);
    emu_x87_set_cw(f->cpu, 0x0e7f);
    emu_mxcsr_set(f->cpu, 0x5fa1);
    emu_xsave_image(f->cpu, image);
    emu_fp_reset(f->cpu);
    assert_true(emu_xsave_restore(f->cpu, image, sizeof image));
    emu_xsave_image(f->cpu, again);
    assert_memory_equal(image, again, sizeof image);
}

static void a_bad_image_is_refused_whole(void **state)
{
    static const struct {
        unsigned at;
        uint8_t value;
    } bad[] = { { 512, 7 }, { 520, 1 }, { 26, 1 } };
    fixture *f = *state;
    uint8_t image[EMU_XSAVE_LEN], before[EMU_XSAVE_LEN];

    emu_xsave_image(f->cpu, before);
    assert_false(emu_xsave_restore(f->cpu, before, sizeof before - 1));
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        memset(image, 0, sizeof image);
        image[bad[i].at] = bad[i].value;
        assert_false(emu_xsave_restore(f->cpu, image, sizeof image));
        emu_xsave_image(f->cpu, image);
        assert_memory_equal(image, before, sizeof image);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ts_raises_nm_em_and_osfxsr_raise_ud),
        TEST(fxsave_minds_em_but_not_osfxsr),
        TEST(a_gate_comes_before_the_memory),
        TEST(misaligned_operands_raise_gp_fast_and_slow),
        TEST(the_callers_mxcsr_is_his_again_after_leave),
        TEST(flags_stick_until_ldmxcsr),
        TEST(reserved_bits_of_mxcsr_raise_gp),
        TEST(an_unmasked_exception_traps_and_stores_nothing),
        TEST(found_before_hides_found_after),
        TEST(without_osxmmexcpt_the_trap_is_ud),
        TEST(an_exact_tiny_result_traps_when_underflow_is_unmasked),
        TEST(old_flags_do_not_trap_when_unmasked),
        TEST(mmx_makes_the_stack_full_and_emms_empty),
        TEST(mmx_reports_a_waiting_x87_exception),
        TEST(fxsave_keeps_xmm8_to_15_for_64_bit_code),
        TEST(fxsave_of_an_unaligned_area_raises_gp),
        TEST(xsave_writes_only_what_was_asked_for),
        TEST(xrstor_brings_back_or_initialises),
        TEST(xrstor_refuses_a_bad_header),
        TEST(an_image_restores_what_it_was_taken_from),
        TEST(a_bad_image_is_refused_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
