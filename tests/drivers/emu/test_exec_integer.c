/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_exec_integer.c: what test_host_integer.c cannot ask the host: legacy
 * instructions and stack widths, faults that must change nothing, LOCK where
 * there is no host pointer, repeated strings cut short, EFLAGS as a whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_flags.h"
#include "drivers/emu/guest_x86_segment.h"
#include "tests/drivers/emu/emu_stand_in.h"

enum { BASE = 0x10000, LEN = 4 * EMU_PAGE_SIZE, SPLIT = BASE + EMU_PAGE_SIZE };

typedef struct {
    stand_in *s;
    emu_cpu *cpu;
    uint8_t memory[LEN];
} fixture;

static int set_up(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->s = stand_in_new(BASE, f->memory, LEN);
    f->cpu = f->s->cpu;
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

static uint64_t get(const fixture *f, uint64_t la, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, f->memory + (la - BASE), size);
    return v;
}

static void put(fixture *f, uint64_t la, unsigned size, uint64_t v)
{
    memcpy(f->memory + (la - BASE), &v, size);
}

/* --- flags --- */

static void flags_survive_the_way_through_eflags(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < 64; i++) {
        uint32_t v = (i & 1 ? EMU_CF : 0) | (i & 2 ? EMU_PF : 0) |
                     (i & 4 ? EMU_AF : 0) | (i & 8 ? EMU_ZF : 0) |
                     (i & 16 ? EMU_SF : 0) | (i & 32 ? EMU_OF : 0);

        emu_set_eflags(f->cpu, v, EMU_ARITH);
        assert_int_equal(emu_eflags(f->cpu), v | 0x202);
        assert_int_equal(emu_cf(f->cpu), (v & EMU_CF) != 0);
        assert_int_equal(emu_pf(f->cpu), (v & EMU_PF) != 0);
        assert_int_equal(emu_af(f->cpu), (v & EMU_AF) != 0);
        assert_int_equal(emu_zf(f->cpu), (v & EMU_ZF) != 0);
        assert_int_equal(emu_sf(f->cpu), (v & EMU_SF) != 0);
        assert_int_equal(emu_of(f->cpu), (v & EMU_OF) != 0);
    }
}

static void set_eflags_touches_only_the_mask(void **state)
{
    fixture *f = *state;

    emu_set_eflags(f->cpu, 0xffffffff, EMU_CF | EMU_DF | EMU_ID);
    assert_int_equal(emu_eflags(f->cpu), 0x202 | EMU_CF | EMU_DF | EMU_ID);
    emu_set_eflags(f->cpu, 0, EMU_CF | EMU_IF);
    assert_int_equal(emu_eflags(f->cpu), 0x2 | EMU_DF | EMU_ID);
}

static void tf_makes_the_mode_step(void **state)
{
    fixture *f = *state;

    emu_set_eflags(f->cpu, EMU_TF, EMU_TF);
    assert_true(f->cpu->mode & EMU_MODE_STEP);
    emu_set_eflags(f->cpu, 0, EMU_TF);
    assert_false(f->cpu->mode & EMU_MODE_STEP);
}

/* POPF by privilege: image FFFFFFFF, then 0. SDM vol. 2, "POPF", table 4-16. */
static void popf_obeys_privilege(void **state)
{
    static const struct {
        unsigned cpl, iopl;
        uint32_t mask;
    } rows[] = {
        { 0, 0, EMU_IF | EMU_IOPL },
        { 0, 3, EMU_IF | EMU_IOPL },
        { 3, 3, EMU_IF },
        { 3, 0, 0 },
        { 1, 0, 0 },
    };
    const uint32_t user =
        EMU_ARITH | EMU_TF | EMU_DF | EMU_NT | EMU_AC | EMU_ID;
    fixture *f = *state;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint32_t iopl = rows[i].iopl << EMU_IOPL_SHIFT;

        f->cpu->cpl = (uint8_t)rows[i].cpl;
        f->cpu->eflags = 2 | iopl;
        emu_set_arith(f->cpu, 0);
        f->cpu->regs[VSR_X86_RSP] = SPLIT;
        put(f, SPLIT, 8, 0xffffffff);
        assert_false(STAND_IN_RUN(f->s, "\x9d"));
        assert_true(f->s->left);
        assert_int_equal(emu_eflags(f->cpu), 2 | iopl | user | rows[i].mask);
        put(f, SPLIT + 8, 8, 0);
        STAND_IN_RUN(f->s, "\x9d");
        assert_int_equal(emu_eflags(f->cpu), 2 | (rows[i].cpl == 0 ? 0 : iopl));
    }
}

static void pushf_hides_vm_and_rf(void **state)
{
    fixture *f = *state;

    f->cpu->eflags = 2 | EMU_RF | EMU_VM | EMU_IOPL | EMU_ID;
    f->cpu->regs[VSR_X86_RSP] = SPLIT;
    assert_true(STAND_IN_RUN(f->s, "\x9c"));
    assert_int_equal(get(f, SPLIT - 8, 8), 2 | EMU_IOPL | EMU_ID);
}

static void pushf_in_vm86_needs_iopl_3(void **state)
{
    fixture *f = *state;

    stand_in_set_mode(f->s, 16);
    f->cpu->eflags = 2 | EMU_VM;
    f->cpu->regs[VSR_X86_RSP] = 0x100;
    assert_false(STAND_IN_RUN(f->s, "\x9c"));
    assert_int_equal(f->s->vector, EMU_GP);
    assert_false(STAND_IN_RUN(f->s, "\x9d"));
    assert_int_equal(f->s->vector, EMU_GP);
}

/* --- decimal adjustment: the SDM's own examples and its rules' edges --- */

typedef struct {
    const char *bytes;
    unsigned len;
    uint16_t ax, flags;
    uint16_t ax_after, flags_after;
} decimal_row;

static void decimal_adjustment_follows_the_manual(void **state)
{
    static const decimal_row rows[] = {
        /* DAA: AL = AE after 79 + 35 */
        { "\x27", 1, 0x00ae, 0, 0x0014, EMU_CF | EMU_AF | EMU_PF },
        { "\x27", 1, 0x002e, 0, 0x0034, EMU_AF },
        { "\x27", 1, 0x0000, EMU_AF, 0x0006, EMU_AF | EMU_PF },
        { "\x27", 1, 0x0000, EMU_CF, 0x0060, EMU_CF | EMU_PF },
        { "\x27", 1, 0x009a, 0, 0x0000, EMU_CF | EMU_AF | EMU_ZF | EMU_PF },
        { "\x27", 1, 0x0099, 0, 0x0099, EMU_SF | EMU_PF },
        { "\x27", 1, 0x00fa, 0, 0x0060, EMU_CF | EMU_AF | EMU_PF },
        /* DAS: AL = EE after 35 - 47, CF and AF set */
        { "\x2f", 1, 0x00ee, EMU_CF | EMU_AF, 0x0088,
          EMU_CF | EMU_AF | EMU_SF | EMU_PF },
        { "\x2f", 1, 0x0002, EMU_AF, 0x00fc,
          EMU_CF | EMU_AF | EMU_SF | EMU_PF },
        { "\x2f", 1, 0x000f, 0, 0x0009, EMU_AF | EMU_PF },
        { "\x2f", 1, 0x009a, 0, 0x0034, EMU_CF | EMU_AF },
        { "\x2f", 1, 0x0045, 0, 0x0045, 0 },
        /* AAA */
        { "\x37", 1, 0x000b, 0, 0x0101, EMU_CF | EMU_AF },
        { "\x37", 1, 0x0105, EMU_AF, 0x020b, EMU_CF | EMU_AF },
        { "\x37", 1, 0x03f5, 0, 0x0305, EMU_PF },
        { "\x37", 1, 0x00ff, 0, 0x0205, EMU_CF | EMU_AF | EMU_PF },
        /* AAS */
        { "\x3f", 1, 0x020f, 0, 0x0109, EMU_CF | EMU_AF | EMU_PF },
        { "\x3f", 1, 0x0200, EMU_AF, 0x000a, EMU_CF | EMU_AF | EMU_PF },
        { "\x3f", 1, 0x0234, 0, 0x0204, 0 },
        /* AAM, AAD; base 10 and another */
        { "\xd4\x0a", 2, 0x003f, 0, 0x0603, EMU_PF },
        { "\xd4\x10", 2, 0x00ab, EMU_CF, 0x0a0b, 0 },
        { "\xd5\x0a", 2, 0x0603, 0, 0x003f, EMU_PF },
        { "\xd5\x10", 2, 0x0a0b, EMU_CF, 0x00ab, EMU_SF },
    };
    fixture *f = *state;

    stand_in_set_mode(f->s, 32);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const decimal_row *r = &rows[i];
        /* ZF, SF and PF are undefined after AAA and AAS. */
        uint32_t checked = r->bytes[0] == 0x37 || r->bytes[0] == 0x3f
                               ? EMU_CF | EMU_AF
                               : EMU_ARITH;

        f->cpu->regs[VSR_X86_RAX] = 0x12340000 | r->ax;
        emu_set_arith(f->cpu, r->flags);
        assert_true(stand_in_run_bytes(f->s, r->bytes, r->len));
        assert_int_equal(f->cpu->regs[VSR_X86_RAX], 0x12340000 | r->ax_after);
        assert_int_equal(emu_arith(f->cpu) & checked, r->flags_after & checked);
    }
}

static void aam_by_zero_divides_by_zero(void **state)
{
    fixture *f = *state;

    stand_in_set_mode(f->s, 32);
    assert_false(STAND_IN_RUN(f->s, "\xd4\x00"));
    assert_int_equal(f->s->vector, EMU_DE);
}

static void salc_fills_al_with_carry(void **state)
{
    fixture *f = *state;

    stand_in_set_mode(f->s, 32);
    f->cpu->regs[VSR_X86_RAX] = 0x1155;
    emu_set_arith(f->cpu, EMU_CF);
    STAND_IN_RUN(f->s, "\xd6");
    assert_int_equal(f->cpu->regs[VSR_X86_RAX], 0x11ff);
    emu_set_arith(f->cpu, 0);
    STAND_IN_RUN(f->s, "\xd6");
    assert_int_equal(f->cpu->regs[VSR_X86_RAX], 0x1100);
}

static void bound_takes_both_limits_as_inside(void **state)
{
    static const struct {
        uint32_t index;
        int vector;
    } rows[] = {
        { 0xfffffffe, STAND_IN_NO_FAULT },
        { 5, STAND_IN_NO_FAULT },
        { 0, STAND_IN_NO_FAULT },
        { 6, EMU_BR },
        { 0xfffffffd, EMU_BR },
    };
    fixture *f = *state;

    stand_in_set_mode(f->s, 32);
    put(f, BASE, 4, 0xfffffffe);
    put(f, BASE + 4, 4, 5);
    f->cpu->regs[VSR_X86_RBX] = BASE;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        f->cpu->regs[VSR_X86_RCX] = rows[i].index;
        STAND_IN_RUN(f->s, "\x62\x0b"); /* bound ecx, [ebx] */
        assert_int_equal(f->s->vector, rows[i].vector);
    }
}

/* --- stack widths --- */

static void a_16_bit_stack_wraps_and_keeps_the_rest_of_esp(void **state)
{
    fixture *f = *state;

    stand_in_set_mode(f->s, 16);
    f->cpu->seg[VSR_X86_SS].base = BASE;
    f->cpu->regs[VSR_X86_RSP] = 0xabcd0002;
    f->cpu->regs[VSR_X86_RAX] = 0x11223344;
    STAND_IN_RUN(f->s, "\x50"); /* push ax */
    assert_int_equal(f->cpu->regs[VSR_X86_RSP], 0xabcd0000);
    assert_int_equal(get(f, BASE, 2), 0x3344);
    f->s->base = BASE + 0xd000; /* the window must reach FFFE */
    STAND_IN_RUN(f->s, "\x50");
    assert_int_equal(f->s->vector, STAND_IN_NO_FAULT);
    assert_int_equal(f->cpu->regs[VSR_X86_RSP], 0xabcdfffe);
    assert_int_equal(get(f, BASE + 0x2ffe, 2), 0x3344);
    STAND_IN_RUN(f->s, "\x59"); /* pop cx */
    assert_int_equal(f->cpu->regs[VSR_X86_RSP], 0xabcd0000);
    assert_int_equal(f->cpu->regs[VSR_X86_RCX], 0x3344);
}

static void pusha_and_popa_are_each_others_inverse(void **state)
{
    static const char *const prefix[] = { "", "\x66" };
    fixture *f = *state;

    stand_in_set_mode(f->s, 32);
    for (unsigned p = 0; p < 2; p++) {
        unsigned size = p ? 2 : 4, n = p;
        char push[2], pop[2];

        for (unsigned i = 0; i < 8; i++)
            f->cpu->regs[i] = 0x01010101u * (i + 1);
        f->cpu->regs[VSR_X86_RSP] = SPLIT;
        memcpy(push, prefix[p], n);
        memcpy(pop, prefix[p], n);
        push[n] = 0x60;
        pop[n] = 0x61;
        assert_true(stand_in_run_bytes(f->s, push, n + 1));
        assert_int_equal(f->cpu->regs[VSR_X86_RSP], SPLIT - 8 * size);
        /* ESP is pushed as it was before. */
        assert_int_equal(get(f, SPLIT - 5 * size, size),
                         p ? (uint16_t)SPLIT : SPLIT);
        for (unsigned i = 0; i < 8; i++)
            if (i != VSR_X86_RSP)
                f->cpu->regs[i] = 0xeeeeeeee;
        assert_true(stand_in_run_bytes(f->s, pop, n + 1));
        for (unsigned i = 0; i < 8; i++)
            if (i != VSR_X86_RSP)
                assert_int_equal(f->cpu->regs[i],
                                 p ? 0xeeee0000 | ((0x0101u * (i + 1)) & 0xffff)
                                   : 0x01010101u * (i + 1));
        assert_int_equal(f->cpu->regs[VSR_X86_RSP], SPLIT);
    }
}

static void pusha_that_faults_leaves_esp_alone(void **state)
{
    fixture *f = *state;

    stand_in_set_mode(f->s, 32);
    f->cpu->regs[VSR_X86_RSP] = BASE + 12; /* room for three */
    assert_false(STAND_IN_RUN(f->s, "\x60"));
    assert_int_equal(f->s->vector, EMU_PAGE_FAULT);
    assert_int_equal(f->cpu->regs[VSR_X86_RSP], BASE + 12);
}

static void enter_and_leave_nest_in_32_bit_code(void **state)
{
    fixture *f = *state;

    stand_in_set_mode(f->s, 32);
    f->cpu->regs[VSR_X86_RSP] = SPLIT;
    f->cpu->regs[VSR_X86_RBP] = SPLIT + 0x40;
    put(f, SPLIT + 0x40 - 4, 4, 0x11111111);
    put(f, SPLIT + 0x40 - 8, 4, 0x22222222);
    STAND_IN_RUN(f->s, "\xc8\x10\x00\x03"); /* enter 16, 3 */
    assert_int_equal(get(f, SPLIT - 4, 4), SPLIT + 0x40);
    assert_int_equal(get(f, SPLIT - 8, 4), 0x11111111);
    assert_int_equal(get(f, SPLIT - 12, 4), 0x22222222);
    assert_int_equal(get(f, SPLIT - 16, 4), SPLIT - 4);
    assert_int_equal(f->cpu->regs[VSR_X86_RBP], SPLIT - 4);
    assert_int_equal(f->cpu->regs[VSR_X86_RSP], SPLIT - 32);
    STAND_IN_RUN(f->s, "\xc9");
    assert_int_equal(f->cpu->regs[VSR_X86_RBP], SPLIT + 0x40);
    assert_int_equal(f->cpu->regs[VSR_X86_RSP], SPLIT);
}

/* --- faults change nothing --- */

typedef struct {
    const char *name, *bytes;
    unsigned len;
} faulting_row;

static void a_fault_leaves_every_register(void **state)
{
#define ROW(name, bytes)               \
    {                                  \
        name, bytes, sizeof(bytes) - 1 \
    }
    /* rDI: the read-only page; rBX: nothing there; rSP: the read-only page's
     * end, so that pushes fault and pops do not. */
    static const faulting_row rows[] = {
        ROW("add [rdi], eax", "\x01\x07"),
        ROW("adc [rdi], eax", "\x11\x07"),
        ROW("add eax, [rbx]", "\x03\x03"),
        ROW("cmp [rbx], eax", "\x39\x03"),
        ROW("inc [rdi]", "\xff\x07"),
        ROW("not [rdi]", "\xf7\x17"),
        ROW("lock dec [rdi]", "\xf0\xff\x0f"),
        ROW("xchg [rdi], ecx", "\x87\x0f"),
        ROW("xadd [rdi], ecx", "\x0f\xc1\x0f"),
        ROW("lock xadd [rdi], ecx", "\xf0\x0f\xc1\x0f"),
        ROW("cmpxchg [rdi], ecx", "\x0f\xb1\x0f"),
        ROW("lock cmpxchg [rdi], ecx", "\xf0\x0f\xb1\x0f"),
        ROW("cmpxchg8b [rdi]", "\x0f\xc7\x0f"),
        ROW("cmpxchg16b [rdi]", "\x48\x0f\xc7\x0f"),
        ROW("bts [rdi], ecx", "\x0f\xab\x0f"),
        ROW("shl [rdi], cl", "\xd3\x27"),
        ROW("shl [rdi], 0", "\xc1\x27\x00"),
        ROW("shld [rdi], ecx, 3", "\x0f\xa4\x0f\x03"),
        ROW("setz [rdi]", "\x0f\x94\x07"),
        ROW("push rax", "\x50"),
        ROW("push [rsi]", "\xff\x36"),
        ROW("push [rbx]", "\xff\x33"),
        ROW("pushf", "\x9c"),
        ROW("enter 0x10,0", "\xc8\x10\x00\x00"),
        ROW("pop [rdi]", "\x8f\x07"),
        ROW("pop [rsp-8]", "\x8f\x44\x24\xf0"),
        ROW("leave", "\xc9"),
        ROW("cmovz eax, [rbx]", "\x0f\x44\x03"),
        ROW("movsb", "\xa4"),
        ROW("stosd", "\xab"),
        ROW("rep movsq", "\xf3\x48\xa5"),
        ROW("rep stosb", "\xf3\xaa"),
        ROW("div [rbx]", "\xf7\x33"),
        ROW("imul eax, [rbx], 3", "\x6b\x03\x03"),
    };
#undef ROW
    fixture *f = *state;

    f->s->readonly_from = EMU_PAGE_SIZE;
    f->s->readonly_to = 2 * EMU_PAGE_SIZE;
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(rows); i++) {
        const faulting_row *r = &rows[i / 2];
        uint64_t before[16];

        stand_in_set_tlb(f->s, i & 1);
        for (unsigned j = 0; j < 16; j++)
            f->cpu->regs[j] = 0x1234567800000000 + j;
        f->cpu->regs[VSR_X86_RCX] = 5;
        f->cpu->regs[VSR_X86_RDI] = BASE + EMU_PAGE_SIZE;
        f->cpu->regs[VSR_X86_RSI] = BASE;
        f->cpu->regs[VSR_X86_RBX] = 0xdead0000;
        f->cpu->regs[VSR_X86_RBP] = 0xdead0000;
        f->cpu->regs[VSR_X86_RSP] = BASE + 2 * EMU_PAGE_SIZE - 16;
        emu_set_arith(f->cpu, EMU_CF | EMU_PF | EMU_OF);
        memset(f->memory, 0x5a, sizeof f->memory);
        memcpy(before, f->cpu->regs, sizeof before);
        if (stand_in_run_bytes(f->s, r->bytes, r->len))
            fail_msg("%s did not fault", r->name);
        assert_int_equal(f->s->vector, EMU_PAGE_FAULT);
        if (memcmp(before, f->cpu->regs, sizeof before) != 0 ||
            emu_arith(f->cpu) != (EMU_CF | EMU_PF | EMU_OF))
            fail_msg("%s changed a register", r->name);
    }
}

/* --- LOCK --- */

static void lock_without_a_host_pointer_takes_the_vms_lock(void **state)
{
    static const struct {
        const char *bytes;
        unsigned len;
    } rows[] = {
        { "\xf0\x01\x07", 3 },         /* lock add [rdi], eax */
        { "\xf0\xff\x07", 3 },         /* lock inc [rdi] */
        { "\x87\x07", 2 },             /* xchg [rdi], eax: no prefix */
        { "\xf0\x0f\xc1\x07", 4 },     /* lock xadd */
        { "\xf0\x0f\xb1\x07", 4 },     /* lock cmpxchg */
        { "\xf0\x0f\xab\x07", 4 },     /* lock bts */
        { "\xf0\x0f\xc7\x0f", 4 },     /* lock cmpxchg8b */
        { "\xf0\x48\x0f\xc7\x0f", 5 }, /* lock cmpxchg16b */
    };
    fixture *f = *state;

    f->s->slow_from = EMU_PAGE_SIZE;
    f->s->slow_to = 2 * EMU_PAGE_SIZE;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        f->cpu->regs[VSR_X86_RAX] = 1;
        f->cpu->regs[VSR_X86_RDX] = 0;
        f->cpu->regs[VSR_X86_RDI] = SPLIT;
        f->s->locks = 0;
        f->s->stores = 0;
        assert_true(stand_in_run_bytes(f->s, rows[i].bytes, rows[i].len));
        assert_int_equal(f->s->locks, 1);
        assert_in_range(f->s->stores, 1, 2);
        /* Plain RAM: none. */
        f->cpu->regs[VSR_X86_RDI] = BASE;
        assert_true(stand_in_run_bytes(f->s, rows[i].bytes, rows[i].len));
        assert_int_equal(f->s->locks, 1);
    }
}

static void lock_across_pages_takes_the_vms_lock(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        stand_in_set_tlb(f->s, i);
        put(f, SPLIT - 2, 4, 0x0000ffff);
        f->cpu->regs[VSR_X86_RDI] = SPLIT - 2;
        f->cpu->regs[VSR_X86_RAX] = 1;
        f->s->locks = 0;
        assert_true(STAND_IN_RUN(f->s, "\xf0\x01\x07"));
        assert_int_equal(f->s->locks, 1);
        assert_int_equal(get(f, SPLIT - 2, 4), 0x00010000);
    }
}

static void cmpxchg16b_faults_when_misaligned(void **state)
{
    fixture *f = *state;

    f->cpu->regs[VSR_X86_RDI] = BASE + 8;
    assert_false(STAND_IN_RUN(f->s, "\x48\x0f\xc7\x0f"));
    assert_int_equal(f->s->vector, EMU_GP);
}

/* --- bit strings --- */

static void bt_reaches_both_ways_beyond_the_operand(void **state)
{
    fixture *f = *state;

    f->cpu->regs[VSR_X86_RDI] = SPLIT;
    put(f, SPLIT - 8, 8, UINT64_C(1) << 63);
    f->cpu->regs[VSR_X86_RAX] = (uint64_t)-1;
    STAND_IN_RUN(f->s, "\x48\x0f\xa3\x07"); /* bt [rdi], rax */
    assert_true(emu_cf(f->cpu));
    f->cpu->regs[VSR_X86_RAX] = 8 * 100 + 3;
    STAND_IN_RUN(f->s, "\x48\x0f\xab\x07"); /* bts */
    assert_false(emu_cf(f->cpu));
    assert_int_equal(f->memory[EMU_PAGE_SIZE + 100], 8);
    /* An immediate stays inside. */
    STAND_IN_RUN(f->s, "\x0f\xba\x2f\x43"); /* bts dword [rdi], 67 */
    assert_int_equal(get(f, SPLIT, 8), 8);
}

/* AMD documents it, and Linux relies on it. */
static void bsf_of_zero_leaves_the_register(void **state)
{
    fixture *f = *state;

    f->cpu->regs[VSR_X86_RAX] = 0x123456789abcdef0;
    f->cpu->regs[VSR_X86_RCX] = 0;
    STAND_IN_RUN(f->s, "\x0f\xbc\xc1");
    assert_int_equal(f->cpu->regs[VSR_X86_RAX], 0x123456789abcdef0);
    assert_true(emu_zf(f->cpu));
    STAND_IN_RUN(f->s, "\x48\x0f\xbd\xc1");
    assert_int_equal(f->cpu->regs[VSR_X86_RAX], 0x123456789abcdef0);
}

/* --- strings --- */

static void overlapping_rep_movsb_replicates(void **state)
{
    fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        stand_in_set_tlb(f->s, i);
        memcpy(f->memory, "abc", 3);
        f->cpu->regs[VSR_X86_RSI] = BASE;
        f->cpu->regs[VSR_X86_RDI] = BASE + 3;
        f->cpu->regs[VSR_X86_RCX] = 10;
        assert_true(STAND_IN_RUN(f->s, "\xf3\xa4"));
        assert_memory_equal(f->memory, "abcabcabcabca", 13);
        assert_int_equal(f->cpu->regs[VSR_X86_RCX], 0);
        assert_int_equal(f->cpu->regs[VSR_X86_RSI], BASE + 10);
        assert_int_equal(f->cpu->regs[VSR_X86_RDI], BASE + 13);
    }
}

static void rep_movs_over_a_fault_is_restartable(void **state)
{
    fixture *f = *state;

    f->s->readonly_from = EMU_PAGE_SIZE;
    f->s->readonly_to = 2 * EMU_PAGE_SIZE;
    stand_in_set_tlb(f->s, true);
    memset(f->memory + 2 * EMU_PAGE_SIZE, 7, 100);
    f->cpu->regs[VSR_X86_RSI] = BASE + 2 * EMU_PAGE_SIZE;
    f->cpu->regs[VSR_X86_RDI] = SPLIT - 40;
    f->cpu->regs[VSR_X86_RCX] = 100;
    assert_false(STAND_IN_RUN(f->s, "\xf3\xa4"));
    assert_int_equal(f->s->vector, EMU_PAGE_FAULT);
    assert_int_equal(f->s->cr2, SPLIT);
    assert_int_equal(f->cpu->regs[VSR_X86_RCX], 60);
    assert_int_equal(f->cpu->regs[VSR_X86_RDI], SPLIT);
    assert_int_equal(f->cpu->regs[VSR_X86_RSI], BASE + 2 * EMU_PAGE_SIZE + 40);
    assert_int_equal(f->memory[EMU_PAGE_SIZE - 1], 7);
    f->s->readonly_to = f->s->readonly_from;
    assert_true(STAND_IN_RUN(f->s, "\xf3\xa4"));
    assert_int_equal(f->memory[EMU_PAGE_SIZE + 59], 7);
    assert_int_equal(f->memory[EMU_PAGE_SIZE + 60], 0);
}

static void a_request_interrupts_rep_between_pages(void **state)
{
    fixture *f = *state;

    f->cpu->regs[EMU_REG_RIP] = 0x5000;
    f->cpu->regs[VSR_X86_RDI] = BASE + 100;
    f->cpu->regs[VSR_X86_RCX] = LEN - 100;
    f->cpu->regs[VSR_X86_RAX] = 0x11;
    f->cpu->exit_request = EMU_EXIT_INTR;
    assert_false(STAND_IN_RUN(f->s, "\xf3\xaa"));
    assert_true(f->s->left);
    assert_int_equal(f->s->left_rip, 0x5000);
    assert_int_equal(f->cpu->regs[VSR_X86_RDI], SPLIT);
    assert_int_equal(f->cpu->regs[VSR_X86_RCX], LEN - EMU_PAGE_SIZE);
    f->cpu->exit_request = 0;
    assert_true(STAND_IN_RUN(f->s, "\xf3\xaa"));
    assert_int_equal(f->cpu->regs[VSR_X86_RCX], 0);
    assert_int_equal(f->memory[LEN - 1], 0x11);
    assert_int_equal(f->memory[99], 0);
}

static void single_step_runs_one_iteration(void **state)
{
    fixture *f = *state;

    f->cpu->mode |= EMU_MODE_STEP;
    f->cpu->regs[VSR_X86_RDI] = BASE;
    f->cpu->regs[VSR_X86_RCX] = 2;
    assert_false(STAND_IN_RUN(f->s, "\xf3\xaa"));
    assert_int_equal(f->cpu->regs[VSR_X86_RCX], 1);
    assert_true(STAND_IN_RUN(f->s, "\xf3\xaa"));
    assert_int_equal(f->cpu->regs[VSR_X86_RCX], 0);
}

static void rep_stos_to_a_code_page_stores_each_element(void **state)
{
    fixture *f = *state;

    f->s->slow_from = EMU_PAGE_SIZE;
    f->s->slow_to = 2 * EMU_PAGE_SIZE;
    stand_in_set_tlb(f->s, true);
    f->cpu->regs[VSR_X86_RDI] = SPLIT;
    f->cpu->regs[VSR_X86_RCX] = 5;
    f->cpu->regs[VSR_X86_RAX] = 0x1122;
    assert_true(STAND_IN_RUN(f->s, "\xf3\x66\xab"));
    assert_int_equal(f->s->stores, 5);
    assert_int_equal(get(f, SPLIT + 8, 4), 0x1122);
}

static void sixteen_bit_string_indexes_wrap(void **state)
{
    fixture *f = *state;

    /* DI from FFFE on: two bytes, then again from 0. */
    stand_in_set_mode(f->s, 16);
    f->cpu->seg[VSR_X86_ES].base = 0;
    f->s->base = 0xf000;
    f->cpu->regs[VSR_X86_RDI] = 0xaaaafffe;
    f->cpu->regs[VSR_X86_RCX] = 0xbbbb0002;
    f->cpu->regs[VSR_X86_RAX] = 0x77;
    assert_true(STAND_IN_RUN(f->s, "\xf3\xaa"));
    assert_int_equal(f->memory[0xffe], 0x77);
    assert_int_equal(f->memory[0xfff], 0x77);
    assert_int_equal(f->memory[0x1000], 0);
    assert_int_equal(f->cpu->regs[VSR_X86_RDI], 0xaaaa0000);
    assert_int_equal(f->cpu->regs[VSR_X86_RCX], 0xbbbb0000);
}

static void rep_stos_stops_at_the_segments_limit(void **state)
{
    fixture *f = *state;

    stand_in_set_mode(f->s, 32);
    f->cpu->seg[VSR_X86_ES].limit = BASE + 49;
    f->cpu->regs[VSR_X86_RDI] = BASE;
    f->cpu->regs[VSR_X86_RCX] = 100;
    f->cpu->regs[VSR_X86_RAX] = 1;
    assert_false(STAND_IN_RUN(f->s, "\xf3\xaa"));
    assert_int_equal(f->s->vector, EMU_GP);
    assert_int_equal(f->cpu->regs[VSR_X86_RCX], 50);
    assert_int_equal(f->memory[49], 1);
    assert_int_equal(f->memory[50], 0);
}

static void ins_and_outs_move_through_ports(void **state)
{
    fixture *f = *state;

    f->s->in[0] = 0x11223344;
    f->s->in[1] = 0x55667788;
    f->cpu->regs[VSR_X86_RDX] = 0x1f0;
    f->cpu->regs[VSR_X86_RDI] = BASE;
    f->cpu->regs[VSR_X86_RCX] = 2;
    assert_true(STAND_IN_RUN(f->s, "\xf3\x6d"));
    assert_int_equal(get(f, BASE, 8), 0x5566778811223344);
    assert_int_equal(f->cpu->regs[VSR_X86_RDI], BASE + 8);
    f->cpu->regs[VSR_X86_RSI] = BASE + 2;
    f->cpu->regs[VSR_X86_RCX] = 2;
    assert_true(STAND_IN_RUN(f->s, "\xf3\x66\x6f"));
    assert_int_equal(f->s->n_out, 2);
    assert_int_equal(f->s->out[0], 0x1122);
    assert_int_equal(f->s->out[1], 0x7788);
}

/* A port's data cannot be put back. */
static void ins_checks_its_store_before_the_port(void **state)
{
    fixture *f = *state;

    f->cpu->regs[VSR_X86_RDI] = 0xdead0000;
    assert_false(STAND_IN_RUN(f->s, "\x6c"));
    assert_int_equal(f->s->vector, EMU_PAGE_FAULT);
    assert_int_equal(f->s->n_in, 0);
    f->s->refuse_io = true;
    f->cpu->regs[VSR_X86_RDI] = BASE;
    assert_false(STAND_IN_RUN(f->s, "\x6c"));
    assert_int_equal(f->s->vector, EMU_GP);
    assert_int_equal(f->s->n_in, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flags_survive_the_way_through_eflags),
        TEST(set_eflags_touches_only_the_mask),
        TEST(tf_makes_the_mode_step),
        TEST(popf_obeys_privilege),
        TEST(pushf_hides_vm_and_rf),
        TEST(pushf_in_vm86_needs_iopl_3),
        TEST(decimal_adjustment_follows_the_manual),
        TEST(aam_by_zero_divides_by_zero),
        TEST(salc_fills_al_with_carry),
        TEST(bound_takes_both_limits_as_inside),
        TEST(a_16_bit_stack_wraps_and_keeps_the_rest_of_esp),
        TEST(pusha_and_popa_are_each_others_inverse),
        TEST(pusha_that_faults_leaves_esp_alone),
        TEST(enter_and_leave_nest_in_32_bit_code),
        TEST(a_fault_leaves_every_register),
        TEST(lock_without_a_host_pointer_takes_the_vms_lock),
        TEST(lock_across_pages_takes_the_vms_lock),
        TEST(cmpxchg16b_faults_when_misaligned),
        TEST(bt_reaches_both_ways_beyond_the_operand),
        TEST(bsf_of_zero_leaves_the_register),
        TEST(overlapping_rep_movsb_replicates),
        TEST(rep_movs_over_a_fault_is_restartable),
        TEST(a_request_interrupts_rep_between_pages),
        TEST(single_step_runs_one_iteration),
        TEST(rep_stos_to_a_code_page_stores_each_element),
        TEST(sixteen_bit_string_indexes_wrap),
        TEST(rep_stos_stops_at_the_segments_limit),
        TEST(ins_and_outs_move_through_ports),
        TEST(ins_checks_its_store_before_the_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
