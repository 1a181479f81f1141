/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fp_differ.c: see fp_differ.h.
 *
 * Not compared: MXCSR_MASK, FOP, FIP and FDP while no exception waits, reserved
 * bytes, and a few of C0..C3.
 */
#include "tests/drivers/emu/fp_differ.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_decode.h"
#include "drivers/emu/guest_x86_flags.h"
#include "drivers/emu/guest_x86_fpstate.h"

enum {
    FX_SW = 2,
    FX_TAGS = 4,
    FX_MXCSR = 24,
    FX_ST = 32,
    FX_XMM = 160,
    FX_END = 416,
    FLAGS = EMU_ARITH,
};

/* --- services of the memory the stand-in leaves to us --- */

void emu_load_bytes(emu_cpu *cpu, const emu_insn *insn, uint64_t la, void *to,
                    unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        ((uint8_t *)to)[i] = (uint8_t)emu_load_slow(cpu, insn, la + i, 1);
}

void emu_store_bytes(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                     const void *from, unsigned len)
{
    emu_host_slow(cpu, insn, la, 1, EMU_RMW);
    emu_host_slow(cpu, insn, la + len - 1, 1, EMU_RMW);
    for (unsigned i = 0; i < len; i++)
        emu_store_slow(cpu, insn, la + i, 1, ((const uint8_t *)from)[i]);
}

/* --- set-up --- */

fp_differ *fp_differ_new(void)
{
    host_oracle *oracle = host_oracle_new();
    fp_differ *f;
    emu_cpu *cpu;

    if (oracle == NULL)
        return NULL;
    f = g_new0(fp_differ, 1);
    f->oracle = oracle;
    f->native = host_oracle_memory(oracle);
    f->copy = g_malloc0(HOST_ORACLE_MEMORY);
    f->emu = stand_in_new((uint64_t)(uintptr_t)f->native, f->copy,
                          HOST_ORACLE_MEMORY);
    f->seed = UINT64_C(0x9e3779b97f4a7c15);
    cpu = f->emu->cpu;
    cpu->cr0 = EMU_CR0_PE | EMU_CR0_NE | EMU_CR0_PG;
    cpu->cr4 = EMU_CR4_OSFXSR | EMU_CR4_OSXMMEXCPT | EMU_CR4_OSXSAVE;
    cpu->xcr0 = EMU_XSTATE_ALL;
    emu_fp_reset(cpu);
    return f;
}

void fp_differ_free(fp_differ *f)
{
    if (f == NULL)
        return;
    stand_in_free(f->emu);
    host_oracle_free(f->oracle);
    g_free(f->copy);
    g_free(f);
}

uint64_t fp_random(fp_differ *f)
{
    f->seed ^= f->seed << 13;
    f->seed ^= f->seed >> 7;
    f->seed ^= f->seed << 17;
    return f->seed;
}

/* --- values --- */

static uint32_t float_bits(fp_differ *f)
{
    static const uint32_t edge[] = {
        0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x3fc00000, 0x7f800000,
        0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001, 0xffa54321, 0x00000001,
        0x807fffff, 0x00800000, 0x80800001, 0x7f7fffff, 0xff7fffff, 0x4f000000,
        0xcf000000, 0x5f000000, 0xdf000000, 0x3f000000, 0x3f800001, 0x4effffff,
        0x40200000, 0x34000000, 0x20000000, 0x60000000, 0x4b800001, 0xc0490fdb,
    };
    uint64_t r = fp_random(f);

    switch (r & 3) {
    case 0:
        return edge[(r >> 8) % G_N_ELEMENTS(edge)];
    case 1: /* near 1: sums and products round */
        return (uint32_t)((r >> 32 & 0x807fffff) | (120 + (r >> 8) % 16) << 23);
    case 2: /* near the ends of the range */
        return (uint32_t)((r >> 32 & 0x807fffff) |
                          ((r & 16 ? 0 : 236) + (r >> 8) % 20) << 23);
    default:
        return (uint32_t)(r >> 32);
    }
}

static uint64_t double_bits(fp_differ *f)
{
    static const uint64_t edge[] = {
        0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000,
        0xbff0000000000000, 0x3ff8000000000000, 0x7ff0000000000000,
        0xfff0000000000000, 0x7ff8000000000000, 0xfff8123456789abc,
        0x7ff0000000000001, 0xfff4000000054321, 0x0000000000000001,
        0x800fffffffffffff, 0x0010000000000000, 0x8010000000000001,
        0x7fefffffffffffff, 0xffefffffffffffff, 0x41e0000000000000,
        0xc1e0000000000000, 0xc1e0000000200000, 0x43e0000000000000,
        0xc3e0000000000000, 0x3fe0000000000000, 0x3ff0000000000001,
        0x41dfffffffe00000, 0x4004000000000000, 0x3810000000000000,
        0x36a0000000000000, 0x47efffffffffffff, 0x400921fb54442d18,
    };
    uint64_t r = fp_random(f), m = fp_random(f);

    switch (r & 3) {
    case 0:
        return edge[(r >> 8) % G_N_ELEMENTS(edge)];
    case 1:
        return (m & UINT64_C(0x800fffffffffffff)) | (1016 + (r >> 8) % 16)
                                                        << 52;
    case 2:
        return (m & UINT64_C(0x800fffffffffffff)) |
               ((r & 16 ? 0 : 2028) + (r >> 8) % 20) << 52;
    default:
        return m;
    }
}

static void extended_bits(fp_differ *f, uint8_t to[10])
{
    static const struct {
        uint16_t exponent;
        uint64_t mantissa;
    } edge[] = {
        { 0x0000, 0 },
        { 0x8000, 0 },
        { 0x3fff, 0x8000000000000000 },
        { 0xbfff, 0x8000000000000000 },
        { 0x7fff, 0x8000000000000000 }, /* infinity */
        { 0xffff, 0x8000000000000000 },
        { 0x7fff, 0xc000000000000000 }, /* quiet */
        { 0xffff, 0xc000000000000000 },
        { 0x7fff, 0xa000000000001234 }, /* signalling */
        { 0x0000, 0x0000000000000001 }, /* denormal */
        { 0x8000, 0x7fffffffffffffff },
        { 0x0000, 0x8000000000000000 }, /* pseudo-denormal */
        { 0x4000, 0x7000000000000000 }, /* unnormal: invalid */
        { 0x7fff, 0x0000000000000000 }, /* pseudo-infinity */
        { 0x7fff, 0x4000000000000000 }, /* pseudo-NaN */
        { 0x7ffe, 0xffffffffffffffff },
        { 0x0001, 0x8000000000000000 },
        { 0x403e, 0x8000000000000000 }, /* 2^63 */
        { 0xc03e, 0x8000000000000000 },
        { 0x401e, 0x8000000000000000 }, /* 2^31 */
        { 0x400e, 0xffff000000000000 },
        { 0x3ffe, 0x8000000000000000 }, /* 0.5 */
        { 0x4000, 0xc90fdaa22168c235 }, /* pi */
        { 0x3fff, 0xfffffffffffffff0 },
        { 0x4042, 0xde0b6b3a76400000 },
    };
    uint64_t r = fp_random(f), m = fp_random(f);
    uint16_t e = (uint16_t)(r >> 48);

    switch (r & 3) {
    case 0: {
        unsigned n = (r >> 8) % G_N_ELEMENTS(edge);

        e = edge[n].exponent;
        m = edge[n].mantissa;
        break;
    }
    case 1:
        e = (uint16_t)((e & 0x8000) | (0x3fe0 + (r >> 8) % 96));
        m |= UINT64_C(1) << 63;
        break;
    case 2:
        e = (uint16_t)((e & 0x8000) | ((r & 16 ? 0 : 0x7fe0) + (r >> 8) % 32));
        m |= e & 0x7fff ? UINT64_C(1) << 63 : 0;
        break;
    default: /* few bits: exact results */
        e = (uint16_t)((e & 0x8000) | (0x3ff8 + (r >> 8) % 16));
        m = (r >> 16 & 0xff) << 55 | UINT64_C(1) << 63;
        break;
    }
    memcpy(to, &m, 8);
    memcpy(to + 8, &e, 2);
}

static uint64_t integer_bits(fp_differ *f)
{
    static const uint64_t edge[] = {
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x7fffffffffffffff,
        0x8000000000000000,
        0xffffffffffffffff,
        0x7f807f807f807f80,
        0x8000800080008000,
        0x7fff80007fff8000,
    };
    uint64_t r = fp_random(f);

    switch (r & 3) {
    case 0:
        return edge[(r >> 8) % G_N_ELEMENTS(edge)];
    case 1:
        return fp_random(f) >> (r >> 8) % 64;
    default:
        return fp_random(f);
    }
}

static void vector_bits(fp_differ *f, uint8_t to[16])
{
    uint64_t r = fp_random(f);

    for (unsigned i = 0; i < 16; i += 8) {
        uint64_t v;

        if (r & 1)
            v = (uint64_t)float_bits(f) << 32 | float_bits(f);
        else
            v = r & 2 ? double_bits(f) : integer_bits(f);
        if ((r & 0x3c) == 0) /* text, for the string comparisons */
            v = fp_random(f) & UINT64_C(0x0303030303030303);
        memcpy(to + i, &v, 8);
    }
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void random_fx(fp_differ *f, uint8_t *fx)
{
    uint64_t r = fp_random(f);
    unsigned masks = f->unmask ? r & 0x3f : 0x3f;
    unsigned cw = 0x40 | (r >> 8 & 0xf00) | masks;
    unsigned sw = (r >> 16) & 0x7f00; /* C0..C3 and TOP */
    uint32_t mxcsr = r >> 32 & 0xffff & ~0x1f80;

    /* Flags of masked exceptions only: none waits. */
    sw |= (r >> 48) & masks;
    if ((cw >> 8 & 3) == 1)
        cw |= 0x300; /* reserved precision */
    mxcsr &= ~0x3fu | (uint32_t)(r >> 56);
    if (!f->unmask)
        mxcsr |= 0x1f80;
    else
        mxcsr |= (uint32_t)masks << 7;
    if (f->unmask)
        mxcsr &= ~0x3fu | masks;
    memset(fx, 0, 512);
    put16(fx, cw);
    put16(fx + FX_SW, sw);
    fx[FX_TAGS] = 0xff;
    if (f->holes)
        fx[FX_TAGS] = (uint8_t)(fp_random(f) | fp_random(f));
    else if (r & 1)
        fx[FX_TAGS] = (uint8_t) ~(1u << (((sw >> 11) + 7) & 7));
    memcpy(fx + FX_MXCSR, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        extended_bits(f, fx + FX_ST + 16 * i);
    for (unsigned i = 0; i < 16; i++)
        vector_bits(f, fx + FX_XMM + 16 * i);
}

void fp_differ_prepare(fp_differ *f, unsigned base, int disp)
{
    host_oracle_state *s = &f->before;
    uint64_t r = fp_random(f);
    uint64_t at = FP_MIDDLE;
    uint8_t *m;

    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = integer_bits(f);
    s->gpr[4] = f->emu->base + FP_MIDDLE / 2;
    s->rflags = (fp_random(f) & FLAGS) | 2;
    random_fx(f, s->fx);

    if (r % 8 == 0)
        at += r >> 8 & 63; /* misaligned */
    else if (r % 8 == 1)
        at += EMU_PAGE_SIZE - (r >> 8 & 31); /* maybe across two pages */
    else if (r % 64 == 2)
        at = HOST_ORACLE_MEMORY - (r >> 8 & 15); /* partly off the map */
    s->gpr[base] = f->emu->base + at - (uint64_t)(int64_t)disp;

    m = f->native + FP_MIDDLE - 64;
    for (unsigned i = 0; i < 1024; i += 16)
        vector_bits(f, m + i);
    m = f->native + at;
    if (at < HOST_ORACLE_MEMORY - 16 && r & 1 << 20)
        extended_bits(f, m);
    if (at < HOST_ORACLE_MEMORY - 16 && r & 1 << 21) {
        uint32_t mxcsr = (uint32_t)fp_random(f) & 0xffff;

        memcpy(m, &mxcsr, 4); /* for LDMXCSR; also FLDCW */
    }
    m = f->native + FP_MIDDLE + EMU_PAGE_SIZE - 64;
    for (unsigned i = 0; i < 128; i += 16)
        vector_bits(f, m + i);
}

/* --- running --- */

static void load_cpu(fp_differ *f)
{
    emu_cpu *cpu = f->emu->cpu;
    uint8_t image[EMU_XSAVE_LEN] = { 0 };

    memcpy(cpu->regs, f->before.gpr, sizeof f->before.gpr);
    cpu->regs[EMU_REG_ZERO] = 0;
    cpu->regs[EMU_REG_RIP] = host_oracle_rip(f->oracle);
    emu_set_arith(cpu, (uint32_t)f->before.rflags);
    memcpy(image, f->before.fx, 512);
    image[512] = EMU_XSTATE_ALL;
    assert_true(emu_xsave_restore(cpu, image, sizeof image));
}

/* MXCSR_MASK differs between vendors, and whether FOP, FIP and FDP are stored
 * without an exception pending. */
static void neutral_fx(uint8_t *fx)
{
    fx[5] = 0;
    if (!(fx[FX_SW] & EMU_SW_ES))
        memset(fx + 6, 0, FX_MXCSR - 6);
    memset(fx + 28, 0, 4);
    for (unsigned i = 0; i < 8; i++)
        memset(fx + FX_ST + 16 * i + 10, 0, 6);
    memset(fx + FX_END, 0, 512 - FX_END);
}

static void neutral_memory(const emu_insn *insn, uint8_t *m)
{
    switch (insn->op) {
    case EMU_OP_FXSAVE:
        neutral_fx(m);
        break;
    case EMU_OP_FNSTENV:
    case EMU_OP_FNSAVE:
        if (insn->opsize == 2)
            memset(m + 6, 0, 8);
        else
            memset(m + 12, 0, 16);
        break;
    default:
        break;
    }
}

/* C0..C3 where the manuals leave them open. */
static void neutral_conditions(const emu_insn *insn, uint8_t *got,
                               uint8_t *expected)
{
    unsigned exponent = expected[FX_ST + 8] | expected[FX_ST + 9] << 8;
    unsigned open = 0;

    switch (insn->op) {
    case EMU_OP_FCOMI:
    case EMU_OP_FUCOMI:
    case EMU_OP_FCOMIP:
    case EMU_OP_FUCOMIP:
        open = EMU_SW_C1;
        break;
    case EMU_OP_FPREM:
    case EMU_OP_FPREM1:
        if ((exponent & 0x7fff) == 0x7fff || expected[FX_SW] & EMU_SW_IE)
            /* no quotient */
            open = EMU_SW_C0 | EMU_SW_C1 | EMU_SW_C3;
        break;
    default:
        break;
    }
    got[FX_SW + 1] &= (uint8_t) ~(open >> 8);
    expected[FX_SW + 1] &= (uint8_t) ~(open >> 8);
}

static void show(const fp_differ *f, const emu_insn *insn, const uint8_t *fx,
                 const uint8_t *got)
{
    printf("%s form %u opsize %u, bytes", emu_op_name(insn->op), insn->form,
           insn->opsize);
    for (unsigned i = 0; i < insn->len; i++)
        printf(" %02x", f->bytes[i]);
    printf("\n");
    for (unsigned i = 0; i < FX_END; i += 16) {
        if (memcmp(fx + i, got + i, 16) == 0 && i != 0)
            continue;
        printf("  at %u: was / is, should be", i);
        for (unsigned j = 0; j < 3; j++) {
            const uint8_t *p = j == 0 ? f->before.fx : j == 1 ? got : fx;

            printf("\n    ");
            for (unsigned k = 16; k-- > 0;)
                printf("%02x", p[i + k]);
        }
        printf("\n");
    }
}

static void compare(fp_differ *f, const emu_insn *insn, int vector)
{
    emu_cpu *cpu = f->emu->cpu;
    uint32_t flags = (uint32_t)f->expected.rflags & FLAGS;
    uint8_t image[EMU_XSAVE_LEN];
    bool wrong = false;

    emu_xsave_image(cpu, image);
    neutral_fx(image);
    neutral_fx(f->expected.fx);
    neutral_conditions(insn, image, f->expected.fx);
    if (vector != f->emu->vector) {
        printf("vector %d, should be %d\n", f->emu->vector, vector);
        wrong = true;
    }
    /* What a trapped instruction did to the flags, the oracle cannot tell. */
    if (vector != HOST_ORACLE_OK) {
        memcpy(image + FX_MXCSR, f->expected.fx + FX_MXCSR, 4);
    } else if (memcmp(f->native, f->copy, HOST_ORACLE_MEMORY) != 0) {
        unsigned i = 0;

        while (f->native[i] == f->copy[i])
            i++;
        printf("memory at %u: is %02x, should be %02x\n", i, f->copy[i],
               f->native[i]);
        wrong = true;
    }
    if (memcmp(cpu->regs, f->expected.gpr, sizeof f->expected.gpr) != 0) {
        for (unsigned i = 0; i < 16; i++)
            if (cpu->regs[i] != f->expected.gpr[i])
                printf("r%u is %lx, should be %lx\n", i,
                       (unsigned long)cpu->regs[i],
                       (unsigned long)f->expected.gpr[i]);
        wrong = true;
    }
    if (emu_arith(cpu) != flags) {
        printf("flags %x, should be %x\n", emu_arith(cpu), flags);
        wrong = true;
    }
    if (memcmp(image, f->expected.fx, FX_END) != 0)
        wrong = true;
    if (wrong) {
        show(f, insn, f->expected.fx, image);
        fail_msg("%s differs (run %u)", emu_op_name(insn->op), f->run);
    }
}

/* XSAVE and its kin show what the host's XCR0 enables: not comparable. */
static bool comparable(const emu_insn *insn)
{
    return insn->op != EMU_OP_XSAVE && insn->op != EMU_OP_XSAVEOPT &&
           insn->op != EMU_OP_XRSTOR;
}

bool fp_differ_run(fp_differ *f, const uint8_t *bytes, unsigned avail,
                   bool slow)
{
    emu_cpu *cpu = f->emu->cpu;
    emu_exec_fn *exec = NULL;
    uint8_t *at;
    emu_insn insn;
    int vector;

    if (emu_decode(&insn, bytes, avail, cpu->mode, 0, 0) != EMU_DECODE_OK ||
        insn.op < EMU_OP_FADD)
        return false;
    exec = emu_exec_find_x87(&insn);
    if (exec == NULL)
        exec = emu_exec_find_sse(&insn);
    if (exec == NULL || !comparable(&insn))
        return false;

    f->bytes = bytes;
    memcpy(f->copy, f->native, HOST_ORACLE_MEMORY);
    f->expected = f->before;
    load_cpu(f);
    vector = host_oracle_run(f->oracle, bytes, insn.len, &f->expected);

    stand_in_set_tlb(f->emu, !slow);
    emu_fp_enter(cpu);
    stand_in_run(f->emu, &insn, exec);
    emu_fp_leave(cpu);

    if (insn.form == EMU_FORM_M && vector == HOST_ORACLE_OK) {
        at = f->native + (emu_offset(cpu, &insn) - f->emu->base);
        neutral_memory(&insn, at);
        neutral_memory(&insn, f->copy + (at - f->native));
    }
    compare(f, &insn, vector);
    f->reached[insn.op] = true;
    f->run++;
    return true;
}
