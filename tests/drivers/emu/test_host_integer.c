/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_host_integer.c: integer and string instructions against the host's CPU.
 *
 * Every opcode of the one-byte, 0F, 0F 38 and 0F 3A maps is built with every
 * mix of prefixes and every kind of ModRM byte, with random registers, flags,
 * immediates and memory. What the decoder accepts and an integer or string
 * handler claims is run on the host (host_oracle.h) and by the handler, through
 * the TLB and around it; registers, memory, flags and the fault must agree. The
 * last test asserts that no handler in the tables was left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/emu/guest_x86_decode.h"
#include "drivers/emu/guest_x86_flags.h"
#include "tests/drivers/emu/emu_stand_in.h"
#include "tests/support/host_oracle.h"

enum {
    MIDDLE = HOST_ORACLE_MEMORY / 2, /* operands are near this offset */
    STACK = HOST_ORACLE_MEMORY / 4,  /* rSP too */
    GS_BASE = 0x12340,
    NEAR = 2048, /* bytes a string or bit string may span */
};

typedef struct {
    host_oracle *oracle;
    stand_in *emu;
    uint8_t *native; /* the oracle's memory */
    uint8_t *copy;   /* the handlers' */
    uint64_t seed;
    unsigned run;
    bool reached[EMU_OP_MAX][EMU_FORMS][9][9]; /* [opsize][variant()] */
} fixture;

/* --- randomness: the same in each run --- */

static uint64_t rnd(fixture *f)
{
    f->seed ^= f->seed << 13;
    f->seed ^= f->seed >> 7;
    f->seed ^= f->seed << 17;
    return f->seed;
}

/* Values at which carries and signs turn come often. */
static uint64_t interesting(fixture *f)
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
    };
    uint64_t r = rnd(f);

    switch (r & 3) {
    case 0:
        return edge[(r >> 8) % G_N_ELEMENTS(edge)];
    case 1:
        return edge[(r >> 8) % G_N_ELEMENTS(edge)] + ((r >> 16) % 33) - 16;
    case 2:
        return rnd(f) >> (r >> 8) % 64;
    default:
        return rnd(f);
    }
}

/* --- building an instruction --- */

typedef struct {
    uint8_t byte[24];
    unsigned n;
    unsigned modrm; /* where it is */
    unsigned disp;  /* where the displacement is, or 0 */
} encoding;

typedef struct {
    bool op16, addr32, lock;
    uint8_t rep; /* 0, F2, F3 */
    uint8_t rex; /* 0, or 40..4F */
    uint8_t seg; /* 0 or a prefix byte */
} prefixes;

static void put(encoding *e, uint8_t b)
{
    e->byte[e->n++] = b;
}

/* ModRM with its SIB and displacement; mod 3, or memory of all shapes. */
static void put_modrm(fixture *f, encoding *e, bool memory, unsigned reg)
{
    uint64_t r = rnd(f);
    unsigned mod = memory ? r % 3 : 3, rm = (r >> 8) & 7, disp = 0;

    e->modrm = e->n;
    put(e, (uint8_t)(mod << 6 | reg << 3 | rm));
    if (mod == 1)
        disp = 1;
    else if (mod == 2 || (mod == 0 && rm == 5))
        disp = 4;
    if (mod != 3 && rm == 4) {
        uint8_t sib = (uint8_t)(r >> 16);

        if ((r >> 60) == 0) /* rSP alone */
            sib = 0x24;
        put(e, sib);
        if (mod == 0 && (sib & 7) == 5)
            disp = 4;
    }
    if (disp > 0)
        e->disp = e->n;
    for (unsigned i = 0; i < disp; i++)
        put(e, (uint8_t)(r >> (24 + 8 * i)));
}

static void build(fixture *f, encoding *e, const prefixes *p, unsigned map,
                  uint8_t opcode, bool memory, unsigned reg)
{
    uint64_t imm = interesting(f);

    *e = (encoding){ 0 };
    if (p->seg)
        put(e, p->seg);
    if (p->op16)
        put(e, 0x66);
    if (p->addr32)
        put(e, 0x67);
    if (p->lock)
        put(e, 0xf0);
    if (p->rep)
        put(e, p->rep);
    if (p->rex)
        put(e, p->rex);
    if (map > 0)
        put(e, 0x0f);
    if (map > 1)
        put(e, map == 2 ? 0x38 : 0x3a);
    put(e, opcode);
    put_modrm(f, e, memory, reg);
    /* The decoder says how much of this belongs to the instruction. */
    for (unsigned i = 0; i < 8; i++)
        put(e, (uint8_t)(imm >> (8 * i)));
}

/* --- operands that land in memory --- */

static bool has_memory(const emu_insn *insn)
{
    return insn->form == EMU_FORM_M || insn->form == EMU_FORM_RM ||
           insn->form == EMU_FORM_MR || insn->form == EMU_FORM_MI;
}

static bool is_string(const emu_insn *insn)
{
    return insn->op >= EMU_OP_MOVS && insn->op <= EMU_OP_OUTS;
}

static bool is_bit_string(const emu_insn *insn)
{
    return insn->op >= EMU_OP_BT && insn->op <= EMU_OP_BTC &&
           insn->form == EMU_FORM_MR;
}

static bool uses_stack(const emu_insn *insn)
{
    return insn->op == EMU_OP_PUSH || insn->op == EMU_OP_POP ||
           insn->op == EMU_OP_PUSHF || insn->op == EMU_OP_POPF ||
           insn->op == EMU_OP_ENTER || insn->op == EMU_OP_LEAVE;
}

static void write_le(uint8_t *to, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

/*
 * Chooses registers (or the displacement) so that the operand is at `target`.
 * False: this instruction has no freedom for it.
 */
static bool aim(fixture *f, const emu_insn *insn, encoding *e, uint64_t *reg,
                uint64_t target)
{
    unsigned scale = insn->mem >> EMU_MEM_SCALE_SHIFT;
    uint64_t rest = target - (uint64_t)(int64_t)insn->disp;
    bool base = insn->base < 16, index = insn->index < 16;
    bool has_modrm = e->disp != 0 && e->disp + 4 <= insn->len;

    if (insn->op == EMU_OP_MOV_ABS) {
        write_le(e->byte + insn->len - 8, target, 8);
        return true;
    }
    if (insn->base == EMU_REG_RIP) {
        write_le(e->byte + e->disp,
                 target - host_oracle_rip(f->oracle) - insn->len, 4);
        return true;
    }
    if (base && index && insn->base == insn->index) {
        uint64_t times = 1 + (UINT64_C(1) << scale);

        if (rest >> 63 || rest % times >= NEAR)
            return false;
        reg[insn->base] = rest / times;
        return true;
    }
    if (base) {
        reg[insn->base] = rest - (index ? reg[insn->index] << scale : 0);
        return true;
    }
    if (index) {
        if (rest >> 63 && scale > 0)
            return false;
        reg[insn->index] = (uint64_t)((int64_t)rest >> scale);
        return true;
    }
    /* MOV moffs with 32-bit addresses has its displacement last. */
    write_le(e->byte + (has_modrm ? e->disp : insn->len - 4u), target, 4);
    return true;
}

/* After a 32-bit address size the upper halves must not matter. */
static void soil(fixture *f, const emu_insn *insn, uint64_t *reg)
{
    if ((insn->mem & EMU_MEM_ASIZE) != EMU_MEM_A32)
        return;
    if (has_memory(insn) && insn->base < 16 && insn->base != VSR_X86_RSP)
        reg[insn->base] |= rnd(f) << 32;
    if (has_memory(insn) && insn->index < 16 && insn->index != VSR_X86_RSP)
        reg[insn->index] |= rnd(f) << 32;
}

static bool choose_registers(fixture *f, const emu_insn *insn, encoding *e,
                             uint64_t *reg)
{
    uint64_t memory = f->emu->base;
    uint64_t segment = f->emu->cpu->seg_base[insn->mem & EMU_MEM_SEG];
    uint64_t target = memory + MIDDLE + rnd(f) % 64;
    bool xlat = false;

    for (unsigned i = 0; i < 16; i++)
        reg[i] = interesting(f);
    if (insn->op == EMU_OP_DIV || insn->op == EMU_OP_IDIV)
        if (rnd(f) & 1) /* quotients that fit */
            reg[VSR_X86_RDX] = rnd(f) & 1 ? 0 : ~UINT64_C(0);
    if ((insn->op == EMU_OP_CMPXCHG16B && rnd(f) % 8) || rnd(f) % 4 == 0)
        target &= ~UINT64_C(15);
    if (rnd(f) % 8 == 0) /* across two pages */
        target = memory + MIDDLE + EMU_PAGE_SIZE - 1 - rnd(f) % 8;
    if (uses_stack(insn))
        reg[VSR_X86_RSP] = memory + STACK + rnd(f) % 64;
    if (insn->op == EMU_OP_LEAVE || insn->op == EMU_OP_ENTER)
        reg[VSR_X86_RBP] = memory + STACK + 512 + rnd(f) % 64;
    if (insn->op == EMU_OP_ENTER)
        e->byte[insn->len - 2] &= 3; /* up to 1023 bytes */
    if (is_string(insn)) {
        reg[VSR_X86_RSI] = target - segment;
        reg[VSR_X86_RDI] = target + rnd(f) % 128 - 64;
        reg[VSR_X86_RCX] = rnd(f) % 64;
        if (rnd(f) % 8 == 0)
            reg[VSR_X86_RDI] = memory + MIDDLE + EMU_PAGE_SIZE - rnd(f) % 64;
        if ((insn->mem & EMU_MEM_ASIZE) == EMU_MEM_A32) {
            reg[VSR_X86_RSI] |= rnd(f) << 32;
            reg[VSR_X86_RDI] |= rnd(f) << 32;
            reg[VSR_X86_RCX] |= rnd(f) << 32;
        }
        return true;
    }
    if (is_bit_string(insn)) {
        reg[insn->reg] = rnd(f) % (16 * NEAR) - 8 * NEAR;
        if (insn->opsize < 8)
            reg[insn->reg] &= (UINT64_C(1) << (8 * insn->opsize)) - 1;
        if (insn->reg == insn->base || insn->reg == insn->index)
            return false;
    }
    if (!has_memory(insn) || insn->op == EMU_OP_LEA)
        return true;
    if (insn->op == EMU_OP_XLAT) {
        reg[insn->base] = target - segment;
        xlat = true;
    }
    if (uses_stack(insn) &&
        (insn->base == VSR_X86_RSP || insn->index == VSR_X86_RSP)) {
        /* rSP has its own value: stay near it. */
        if (insn->index < 16)
            return false;
        if (e->disp != 0)
            write_le(e->byte + e->disp, rnd(f) % 64,
                     e->byte[e->modrm] >> 6 == 1 ? 1 : 4);
        return true;
    }
    if (!xlat && !aim(f, insn, e, reg, target - segment))
        return false;
    soil(f, insn, reg);
    return true;
}

/* --- comparing --- */

/* Flags the manual leaves undefined after this instruction. */
static uint32_t undefined_flags(const emu_insn *insn, const uint64_t *reg)
{
    const uint32_t szap = EMU_SF | EMU_ZF | EMU_AF | EMU_PF;
    bool by_imm = insn->form == EMU_FORM_RI || insn->form == EMU_FORM_MI ||
                  insn->op == EMU_OP_SHLD || insn->op == EMU_OP_SHRD;
    unsigned count =
        (by_imm ? (unsigned)insn->imm : (unsigned)reg[VSR_X86_RCX]) &
        (insn->opsize == 8 ? 63 : 31);

    switch (insn->op) {
    case EMU_OP_AND:
    case EMU_OP_OR:
    case EMU_OP_XOR:
    case EMU_OP_TEST:
        return EMU_AF;
    case EMU_OP_SHL:
    case EMU_OP_SHR:
    case EMU_OP_SAR:
        if (count == 0)
            return 0;
        return EMU_AF | (count == 1 ? 0 : EMU_OF) |
               (count >= 8u * insn->opsize && insn->op != EMU_OP_SAR ? EMU_CF
                                                                     : 0);
    case EMU_OP_ROL:
    case EMU_OP_ROR:
    case EMU_OP_RCL:
    case EMU_OP_RCR:
        return count > 1 ? EMU_OF : 0;
    case EMU_OP_SHLD:
    case EMU_OP_SHRD:
    case EMU_OP_SHLD_CL:
    case EMU_OP_SHRD_CL:
        if (count == 0)
            return 0;
        if (count > 8u * insn->opsize)
            return EMU_ARITH;
        return EMU_AF | (count == 1 ? 0 : EMU_OF);
    case EMU_OP_MUL:
    case EMU_OP_IMUL_ACC:
    case EMU_OP_IMUL:
    case EMU_OP_IMUL_IMM:
        return szap;
    case EMU_OP_DIV:
    case EMU_OP_IDIV:
        return EMU_ARITH;
    case EMU_OP_BT:
    case EMU_OP_BTS:
    case EMU_OP_BTR:
    case EMU_OP_BTC:
        return EMU_OF | EMU_SF | EMU_AF | EMU_PF;
    case EMU_OP_BSF:
    case EMU_OP_BSR:
        return EMU_ARITH & ~(uint32_t)EMU_ZF;
    case EMU_OP_TZCNT:
    case EMU_OP_LZCNT:
        return EMU_OF | EMU_SF | EMU_AF | EMU_PF;
    default:
        return 0;
    }
}

/* Results the manual leaves undefined. */
static bool undefined_result(const emu_insn *insn, const uint64_t *reg,
                             uint64_t host_flags)
{
    unsigned count;

    if (insn->op == EMU_OP_BSF || insn->op == EMU_OP_BSR)
        return host_flags & EMU_ZF;

    if (insn->op == EMU_OP_BSWAP)
        return insn->opsize == 2;
    if (insn->op == EMU_OP_SHLD || insn->op == EMU_OP_SHRD)
        count = insn->imm & 31;
    else if (insn->op == EMU_OP_SHLD_CL || insn->op == EMU_OP_SHRD_CL)
        count = reg[VSR_X86_RCX] & 31;
    else
        return false;
    return insn->opsize == 2 && count > 16;
}

static void describe(const encoding *e, const emu_insn *insn, const char *what,
                     uint64_t host, uint64_t ours)
{
    char text[64];
    int n = 0;

    for (unsigned i = 0; i < insn->len; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%02x ", e->byte[i]);
    fail_msg("%s(op %s form %u size %u): %s: host %" G_GINT64_MODIFIER
             "x, ours %" G_GINT64_MODIFIER "x",
             text, emu_op_name(insn->op), insn->form, insn->opsize, what, host,
             ours);
}

/* New contents where most operands are, the same on both sides; for strings
 * such that neighbours are often equal. */
static void refill(fixture *f, bool string)
{
    static const unsigned at[] = { MIDDLE - 64, MIDDLE, MIDDLE + 64,
                                   MIDDLE + EMU_PAGE_SIZE - 32 };

    for (unsigned i = 0; i < G_N_ELEMENTS(at); i++)
        for (unsigned j = 0; j < 64; j += 8) {
            uint64_t v = string ? UINT64_C(0x0101010101010101) * (rnd(f) % 3)
                                : interesting(f);

            memcpy(f->native + at[i] + j, &v, 8);
            memcpy(f->copy + at[i] + j, &v, 8);
        }
}

/* Both memories were equal before. Stray stores are seen by the full
 * comparison now and then. */
static bool same_memory(fixture *f, bool all)
{
    if (all)
        return memcmp(f->native, f->copy, HOST_ORACLE_MEMORY) == 0;
    return memcmp(f->native + MIDDLE - NEAR, f->copy + MIDDLE - NEAR,
                  EMU_PAGE_SIZE + 2 * NEAR) == 0 &&
           memcmp(f->native + STACK - NEAR, f->copy + STACK - NEAR, 2 * NEAR) ==
               0;
}

static void run_both(fixture *f, encoding *e, const emu_insn *insn,
                     emu_exec_fn *exec, const uint64_t *reg)
{
    static const uint32_t checked = EMU_ARITH | EMU_DF;
    host_oracle_state host = { .rflags = 2 | (rnd(f) & checked) };
    emu_cpu *cpu = f->emu->cpu;
    uint32_t flags = checked & ~undefined_flags(insn, reg);
    char name[8];
    int vector;

    if (is_string(insn) ? false : rnd(f) % 4)
        host.rflags &= ~(uint64_t)EMU_DF;
    if (insn->op == EMU_OP_PUSHF || insn->op == EMU_OP_POPF) {
        uint64_t image = 0x202 | (rnd(f) & checked);

        memcpy(f->native + (reg[VSR_X86_RSP] - f->emu->base), &image, 8);
        memcpy(f->copy + (reg[VSR_X86_RSP] - f->emu->base), &image, 8);
    }
    if (f->run % 4 == 0)
        refill(f, is_string(insn));
    memcpy(host.gpr, reg, sizeof host.gpr);
    host_oracle_reset_fx(&host);
    memcpy(cpu->regs, reg, sizeof host.gpr);
    cpu->regs[EMU_REG_ZERO] = 0;
    cpu->regs[EMU_REG_RIP] = host_oracle_rip(f->oracle);
    emu_set_arith(cpu, (uint32_t)host.rflags);
    cpu->eflags = 0x202 | ((uint32_t)host.rflags & EMU_DF);
    cpu->exit_request = 0;

    vector = host_oracle_run(f->oracle, e->byte, insn->len, &host);
    stand_in_run(f->emu, insn, exec);
    /* Makers differ in which register forms of the hints exist. */
    if (insn->op == EMU_OP_NOP && vector == EMU_UD)
        return;
    if (vector != f->emu->vector)
        describe(e, insn, "fault", (uint64_t)vector, (uint64_t)f->emu->vector);
    if (vector == HOST_ORACLE_OK && ((host.rflags ^ emu_eflags(cpu)) & flags))
        describe(e, insn, "flags", host.rflags & flags,
                 emu_eflags(cpu) & flags);
    if (vector != HOST_ORACLE_OK && emu_arith(cpu) != (host.rflags & EMU_ARITH))
        describe(e, insn, "flags of a fault", host.rflags & EMU_ARITH,
                 emu_arith(cpu));
    if (undefined_result(insn, reg, host.rflags)) {
        memcpy(f->copy, f->native, HOST_ORACLE_MEMORY);
        return;
    }
    for (unsigned i = 0; i < 16; i++) {
        snprintf(name, sizeof name, "reg %u", i);
        if (host.gpr[i] != cpu->regs[i])
            describe(e, insn, name, host.gpr[i], cpu->regs[i]);
    }
    if (same_memory(f, f->run % 1024 == 0))
        return;
    for (unsigned i = 0; i < HOST_ORACLE_MEMORY; i += 8)
        if (memcmp(f->native + i, f->copy + i, 8) != 0)
            describe(e, insn, "memory", *(const uint64_t *)(f->native + i),
                     *(const uint64_t *)(f->copy + i));
}

/* --- the space of encodings --- */

/* Can the host run it for us? */
static bool is_native(const emu_insn *insn)
{
    /* Ports need privilege. */
    return insn->op != EMU_OP_INS && insn->op != EMU_OP_OUTS;
}

/* What else chooses the handler: the source's size, or LOCK (0 and 1). */
static unsigned variant(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_MOVZX:
    case EMU_OP_MOVSX:
    case EMU_OP_MOVSXD:
    case EMU_OP_CRC32:
        return insn->aux;
    default:
        return insn->flags & EMU_I_LOCK ? 1 : 0;
    }
}

static void try_encoding(fixture *f, encoding *e)
{
    emu_insn insn;
    emu_exec_fn *exec;
    uint64_t reg[16];

    if (emu_decode(&insn, e->byte, e->n, f->emu->cpu->mode,
                   EMU_DECODE_BMI1 | EMU_DECODE_LZCNT, 0) != EMU_DECODE_OK ||
        insn.op == EMU_OP_INVALID || !is_native(&insn))
        return;
    exec = emu_exec_find_integer(&insn);
    if (exec == NULL)
        exec = emu_exec_find_string(&insn);
    if (exec == NULL || !choose_registers(f, &insn, e, reg))
        return;
    /* Displacements and immediates may have been changed. */
    if (emu_decode(&insn, e->byte, e->n, f->emu->cpu->mode,
                   EMU_DECODE_BMI1 | EMU_DECODE_LZCNT, 0) != EMU_DECODE_OK)
        return;
    f->run++;
    if (f->run % 64 == 0)
        stand_in_set_tlb(f->emu, f->run & 64);
    f->emu->cpu->lock_free = f->run & 1;
    run_both(f, e, &insn, exec, reg);
    f->reached[insn.op][insn.form][insn.opsize > 8 ? 0 : insn.opsize]
              [variant(&insn)] = true;
}

/* Prefixes and escapes: what follows would be the opcode, not ModRM. */
static bool is_opcode(unsigned map, unsigned opcode)
{
    if (map == 1)
        return opcode != 0x38 && opcode != 0x3a;
    if (map != 0)
        return true;
    if ((opcode & 0xe7) == 0x26 || (opcode & 0xf0) == 0x40 ||
        (opcode & 0xfc) == 0x64)
        return false;
    return opcode != 0x0f && opcode != 0xf0 && opcode != 0xf2 && opcode != 0xf3;
}

static void try_opcode(fixture *f, unsigned map, unsigned opcode,
                       const prefixes *p, unsigned rounds)
{
    encoding e;

    for (unsigned reg = 0; reg < 8; reg++)
        for (unsigned i = 0; i < rounds; i++) {
            build(f, &e, p, map, (uint8_t)opcode, i & 1, reg);
            try_encoding(f, &e);
        }
}

static void try_prefixes(fixture *f, const prefixes *p, unsigned rounds)
{
    for (unsigned map = 0; map < 4; map++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            if (is_opcode(map, opcode))
                try_opcode(f, map, opcode, p, rounds);
}

static void host_agrees_without_prefixes(void **state)
{
    static const prefixes none = { 0 };

    try_prefixes(*state, &none, 20);
}

static void host_agrees_with_rex(void **state)
{
    for (unsigned rex = 0x40; rex < 0x50; rex++) {
        prefixes p = { .rex = (uint8_t)rex };

        try_prefixes(*state, &p, 4);
    }
}

static void host_agrees_with_16_bit_operands(void **state)
{
    for (unsigned rex = 0; rex < 8; rex++) {
        prefixes p = { .op16 = true, .rex = (uint8_t)(rex ? 0x40 + rex : 0) };

        try_prefixes(*state, &p, 4);
    }
}

static void host_agrees_with_32_bit_addresses(void **state)
{
    for (unsigned rex = 0; rex < 16; rex += 3) {
        prefixes p = { .addr32 = true, .rex = (uint8_t)(rex ? 0x40 + rex : 0) };

        try_prefixes(*state, &p, 4);
    }
}

static void host_agrees_with_lock(void **state)
{
    for (unsigned rex = 0; rex < 16; rex += 2) {
        prefixes p = { .lock = true, .rex = (uint8_t)(rex ? 0x40 + rex : 0) };

        try_prefixes(*state, &p, 6);
        p.op16 = true;
        try_prefixes(*state, &p, 4);
    }
}

static void host_agrees_with_repeat_prefixes(void **state)
{
    for (unsigned rex = 0; rex < 16; rex += 4)
        for (unsigned i = 0; i < 8; i++) {
            prefixes p = { .rep = i & 1 ? 0xf2 : 0xf3,
                           .op16 = i & 2,
                           .addr32 = i & 4,
                           .rex = (uint8_t)(rex ? 0x40 + rex : 0) };

            try_prefixes(*state, &p, 4);
        }
}

static void host_agrees_with_segment_prefixes(void **state)
{
    /* FS is the C library's; in 64-bit mode the first four have no base. */
    static const uint8_t seg[] = { 0x26, 0x2e, 0x36, 0x3e, 0x65 };
    fixture *f = *state;

    assert_true(host_oracle_set_gs(f->oracle, GS_BASE));
    f->emu->cpu->seg_base[VSR_X86_GS] = GS_BASE;
    for (unsigned i = 0; i < G_N_ELEMENTS(seg); i++)
        for (unsigned rex = 0; rex < 16; rex += 5) {
            prefixes p = { .seg = seg[i],
                           .rex = (uint8_t)(rex ? 0x40 + rex : 0) };

            try_prefixes(f, &p, 4);
            p.addr32 = true;
            try_prefixes(f, &p, 2);
            p.op16 = true;
            try_prefixes(f, &p, 2);
        }
    host_oracle_set_gs(f->oracle, 0);
    f->emu->cpu->seg_base[VSR_X86_GS] = 0;
}

/* --- was everything reached? --- */

/* Has a handler, but no 64-bit code comes to it, or the host may not run it. */
static bool is_exempt(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_PUSHA:
    case EMU_OP_POPA:
    case EMU_OP_SALC:
    case EMU_OP_AAA:
    case EMU_OP_AAS:
    case EMU_OP_AAM:
    case EMU_OP_AAD:
    case EMU_OP_DAA:
    case EMU_OP_DAS:
    case EMU_OP_BOUND:
    case EMU_OP_INS:
    case EMU_OP_OUTS:
        return true;
    case EMU_OP_PUSH:
    case EMU_OP_POP:
        return insn->opsize == 4;
    case EMU_OP_MOVSX: /* shares its table with MOVSXD */
        return insn->aux == 4 || insn->opsize == insn->aux;
    case EMU_OP_MOVSXD:
        return insn->aux == 1 || insn->opsize <= insn->aux / 2 ||
               (insn->aux == 2) != (insn->opsize == 2);
    case EMU_OP_CRC32: /* the table goes by the source's size */
        return insn->opsize < 4 || (insn->aux == 8 && insn->opsize == 4) ||
               (insn->aux != 8 && insn->aux != 1 && insn->opsize == 8);
    default:
        return false;
    }
}

/* Ops whose table does not look at the form or the size. */
static bool has_one_row(const emu_insn *insn, uint8_t *form)
{
    switch (insn->op) {
    case EMU_OP_XLAT:
    case EMU_OP_CMPXCHG8B:
    case EMU_OP_CMPXCHG16B:
        *form = EMU_FORM_M;
        return true;
    case EMU_OP_MOV_IMM64:
        *form = EMU_FORM_RI;
        return true;
    case EMU_OP_ENTER:
        *form = EMU_FORM_I;
        return true;
    case EMU_OP_LAHF:
    case EMU_OP_SAHF:
    case EMU_OP_CLC:
    case EMU_OP_STC:
    case EMU_OP_CMC:
    case EMU_OP_CLD:
    case EMU_OP_STD:
    case EMU_OP_NOP:
    case EMU_OP_PAUSE:
    case EMU_OP_PUSHF:
    case EMU_OP_POPF:
    case EMU_OP_LEAVE:
        *form = EMU_FORM_N;
        return true;
    default:
        return false;
    }
}

static bool was_reached(const fixture *f, const emu_insn *insn)
{
    uint8_t form;

    if (has_one_row(insn, &form)) {
        for (unsigned size = 0; size < 9; size++)
            if (f->reached[insn->op][form][size][0] ||
                f->reached[insn->op][form][size][1])
                return true;
        return false;
    }
    if (is_string(insn) && insn->form != EMU_FORM_N)
        return true; /* no such form; the table does not look */
    /* XCHG with memory always has EMU_I_LOCK. */
    if (insn->op == EMU_OP_XCHG && insn->form == EMU_FORM_MR)
        return f->reached[insn->op][insn->form][insn->opsize][1];
    return f->reached[insn->op][insn->form][insn->opsize][variant(insn)];
}

/* May LOCK come with it? CMP, MOV ... have one table for both. */
static bool is_lockable(const emu_insn *insn)
{
    if (insn->form != EMU_FORM_M && insn->form != EMU_FORM_MR &&
        insn->form != EMU_FORM_MI)
        return false;
    switch (insn->op) {
    case EMU_OP_ADD:
    case EMU_OP_OR:
    case EMU_OP_ADC:
    case EMU_OP_SBB:
    case EMU_OP_AND:
    case EMU_OP_SUB:
    case EMU_OP_XOR:
    case EMU_OP_INC:
    case EMU_OP_DEC:
    case EMU_OP_NEG:
    case EMU_OP_NOT:
    case EMU_OP_XADD:
    case EMU_OP_CMPXCHG:
    case EMU_OP_BTS:
    case EMU_OP_BTR:
    case EMU_OP_BTC:
        return true;
    default:
        return false;
    }
}

/* All that could choose a handler: 4 sizes, 4 source sizes or LOCK. */
static emu_insn any_insn(unsigned op, unsigned form, unsigned i)
{
    emu_insn insn = {
        .op = (uint16_t)op,
        .form = (uint8_t)form,
        .opsize = (uint8_t)(1 << (i & 3)),
        .aux = (uint8_t)(1 << (i >> 2 & 3)),
    };

    if ((i & 0x10) && is_lockable(&insn))
        insn.flags = EMU_I_LOCK;
    return insn;
}

static void every_handler_was_reached(void **state)
{
    const fixture *f = *state;
    unsigned missing = 0, handlers = 0;

    for (unsigned op = 1; op < EMU_OP_MAX; op++)
        for (unsigned form = 0; form < EMU_FORMS; form++)
            for (unsigned i = 0; i < 32; i++) {
                emu_insn insn = any_insn(op, form, i);

                if (is_exempt(&insn) || (emu_exec_find_integer(&insn) == NULL &&
                                         emu_exec_find_string(&insn) == NULL))
                    continue;
                handlers++;
                if (was_reached(f, &insn))
                    continue;
                missing++;
                print_error("not reached: %s form %u size %u, %u %s\n",
                            emu_op_name(op), form, insn.opsize, insn.aux,
                            insn.flags ? "locked" : "");
            }
    assert_in_range(handlers, 500, 100000);
    assert_int_equal(missing, 0);
}

static int set_up(void **state)
{
    fixture *f = g_new0(fixture, 1);

    f->oracle = host_oracle_new();
    if (f->oracle == NULL) {
        g_free(f);
        return 0;
    }
    f->native = host_oracle_memory(f->oracle);
    f->copy = g_malloc0(HOST_ORACLE_MEMORY);
    f->emu = stand_in_new((uint64_t)(uintptr_t)f->native, f->copy,
                          HOST_ORACLE_MEMORY);
    f->seed = 0x9e3779b97f4a7c15;
    for (unsigned i = 0; i < HOST_ORACLE_MEMORY; i++)
        f->native[i] = f->copy[i] = (uint8_t)rnd(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;

    if (f == NULL)
        return 0;
    stand_in_free(f->emu);
    host_oracle_free(f->oracle);
    g_free(f->copy);
    g_free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_agrees_without_prefixes),
        cmocka_unit_test(host_agrees_with_rex),
        cmocka_unit_test(host_agrees_with_16_bit_operands),
        cmocka_unit_test(host_agrees_with_32_bit_addresses),
        cmocka_unit_test(host_agrees_with_lock),
        cmocka_unit_test(host_agrees_with_repeat_prefixes),
        cmocka_unit_test(host_agrees_with_segment_prefixes),
        cmocka_unit_test(every_handler_was_reached),
    };

#if !defined(__x86_64__)
    return 77;
#endif
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
