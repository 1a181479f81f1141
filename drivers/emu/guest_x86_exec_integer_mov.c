/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer_mov.c: MOV MOVZX MOVSX MOVSXD MOVBE LEA CMOVcc SETcc
 * CBW CWD BSWAP XLAT.
 *
 * Spec:    Intel SDM vol. 2, the instructions' own pages. BSWAP of a word is
 *          undefined; like AMD's processors we clear it.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_operand.h"

/* --- MOV --- */

#define MOV(bits)                                                           \
    EMU_HANDLER(mov_rr##bits)                                               \
    {                                                                       \
        EMU_PUT(bits, insn->reg, EMU_GET(bits, insn->rm));                  \
        EMU_NEXT(cpu, insn);                                                \
    }                                                                       \
    EMU_HANDLER(mov_ri##bits)                                               \
    {                                                                       \
        EMU_PUT(bits, insn->reg, EMU_IMM(bits));                            \
        EMU_NEXT(cpu, insn);                                                \
    }                                                                       \
    EMU_ON_LOAD(mov_rm, bits, EMU_PUT(bits, insn->reg, v))                  \
    EMU_ON_STORE(mov_mr, bits, EMU_GET(bits, insn->reg))                    \
    EMU_ON_STORE(mov_mi, bits, EMU_IMM(bits))                               \
    EMU_HANDLER(mov_abs_rm##bits)                                           \
    {                                                                       \
        uint64_t la = cpu->seg_base[insn->mem & EMU_MEM_SEG] + insn->imm64; \
        uint##bits##_t v = EMU_LOAD(bits, la);                              \
                                                                            \
        EMU_PUT(bits, VSR_X86_RAX, v);                                      \
        EMU_NEXT(cpu, insn);                                                \
    }                                                                       \
    EMU_HANDLER(mov_abs_mr##bits)                                           \
    {                                                                       \
        uint64_t la = cpu->seg_base[insn->mem & EMU_MEM_SEG] + insn->imm64; \
                                                                            \
        EMU_STORE(bits, la, EMU_GET(bits, VSR_X86_RAX));                    \
        EMU_NEXT(cpu, insn);                                                \
    }
MOV(8)
MOV(16)
MOV(32)
MOV(64)
static emu_form_table mov_table = {
    [EMU_FORM_RR] = EMU_SIZES(mov_rr),
    [EMU_FORM_RI] = EMU_SIZES(mov_ri),
    EMU_FAMILY(RM, mov_rm),
    EMU_FAMILY(MR, mov_mr),
    EMU_FAMILY(MI, mov_mi),
};
static emu_form_table mov_abs_table = {
    [EMU_FORM_RM] = EMU_SIZES(mov_abs_rm),
    [EMU_FORM_MR] = EMU_SIZES(mov_abs_mr),
};

EMU_HANDLER(mov_imm64)
{
    cpu->regs[insn->reg] = insn->imm64;
    EMU_NEXT(cpu, insn);
}

/* --- widening moves: `way` families named by source, tables by it too --- */

#define EXTEND(op, from, to, type)                                           \
    EMU_HANDLER(op##from##_rr##to)                                           \
    {                                                                        \
        EMU_PUT(to, insn->reg, (uint##to##_t)(type)EMU_GET(from, insn->rm)); \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    EMU_SLOW_HANDLER(op##from##_rm##to)                                      \
    {                                                                        \
        uint##from##_t v = EMU_LOAD(from, EMU_EA_R(from));                   \
                                                                             \
        EMU_PUT(to, insn->reg, (uint##to##_t)(type)v);                       \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    EXTEND_FAST(op, b, from, to, type)                                       \
    EXTEND_FAST(op, x, from, to, type)                                       \
    EXTEND_FAST(op, s, from, to, type)                                       \
    EXTEND_FLAT_##to(op, from, type)
#define EXTEND_FLAT_16(op, from, type) EXTEND_FAST(op, f, from, 16, type)
#define EXTEND_FLAT_32(op, from, type) EXTEND_FAST(op, f, from, 32, type)
#define EXTEND_FLAT_64(op, from, type)
#define EXTEND_FAST(op, way, from, to, type)                          \
    EMU_HANDLER(op##from##_rm_##way##to)                              \
    {                                                                 \
        uint64_t la = EMU_ADDRESS_##way;                              \
        const void *p;                                                \
                                                                      \
        EMU_HOST_OR(op##from##_rm##to, read_tag, from, la, p);        \
        EMU_PUT(to, insn->reg, (uint##to##_t)(type)emu_get##from(p)); \
        EMU_NEXT(cpu, insn);                                          \
    }
#define EXTEND_TABLE(op, from, type)                   \
    EXTEND(op, from, 16, type)                         \
    EXTEND(op, from, 32, type)                         \
    EXTEND(op, from, 64, type)                         \
    static emu_form_table op##from##_table = {         \
        [EMU_FORM_RR] = EMU_WORD_SIZES(op##from##_rr), \
        EMU_WORD_FAMILY(RM, op##from##_rm),            \
    };
EXTEND_TABLE(movzx, 8, uint8_t)
EXTEND_TABLE(movzx, 16, uint16_t)
EXTEND_TABLE(movsx, 8, int8_t)
EXTEND_TABLE(movsx, 16, int16_t)
EXTEND_TABLE(movsx, 32, int32_t)

static emu_exec_fn *find_extend(const emu_insn *insn)
{
    bool zero = insn->op == EMU_OP_MOVZX;

    switch (insn->aux) {
    case 1:
        return emu_pick(zero ? movzx8_table : movsx8_table, insn);
    case 2:
        return emu_pick(zero ? movzx16_table : movsx16_table, insn);
    case 4:
        return zero ? NULL : emu_pick(movsx32_table, insn);
    default:
        return NULL;
    }
}

/* --- byte order --- */

static inline uint16_t swap16(uint16_t v)
{
    return __builtin_bswap16(v);
}

static inline uint32_t swap32(uint32_t v)
{
    return __builtin_bswap32(v);
}

static inline uint64_t swap64(uint64_t v)
{
    return __builtin_bswap64(v);
}

#define MOVBE(bits)                                                      \
    EMU_ON_LOAD(movbe_rm, bits, EMU_PUT(bits, insn->reg, swap##bits(v))) \
    EMU_ON_STORE(movbe_mr, bits, swap##bits(EMU_GET(bits, insn->reg)))
MOVBE(16)
MOVBE(32)
MOVBE(64)
static emu_form_table movbe_table = {
    EMU_WORD_FAMILY(RM, movbe_rm),
    EMU_WORD_FAMILY(MR, movbe_mr),
};

EMU_HANDLER(bswap_r16)
{
    EMU_R16(cpu, insn->reg) = 0;
    EMU_NEXT(cpu, insn);
}
EMU_HANDLER(bswap_r32)
{
    EMU_SET_R32(cpu, insn->reg, swap32(EMU_R32(cpu, insn->reg)));
    EMU_NEXT(cpu, insn);
}
EMU_HANDLER(bswap_r64)
{
    EMU_R64(cpu, insn->reg) = swap64(EMU_R64(cpu, insn->reg));
    EMU_NEXT(cpu, insn);
}
static emu_form_table bswap_table = {
    [EMU_FORM_R] = EMU_WORD_SIZES(bswap_r),
};

/* --- LEA --- */

#define LEA(bits)                                                           \
    EMU_HANDLER(lea_rm##bits)                                               \
    {                                                                       \
        EMU_PUT(bits, insn->reg, (uint##bits##_t)emu_ea_offset(cpu, insn)); \
        EMU_NEXT(cpu, insn);                                                \
    }                                                                       \
    /* 64-bit addresses: no cut. */                                         \
    EMU_HANDLER(lea_a64_rm##bits)                                           \
    {                                                                       \
        EMU_PUT(bits, insn->reg, (uint##bits##_t)emu_offset(cpu, insn));    \
        EMU_NEXT(cpu, insn);                                                \
    }                                                                       \
    EMU_HANDLER(lea_base_rm##bits)                                          \
    {                                                                       \
        EMU_PUT(bits, insn->reg,                                            \
                (uint##bits##_t)(cpu->regs[insn->base] +                    \
                                 (uint64_t)(int64_t)insn->disp));           \
        EMU_NEXT(cpu, insn);                                                \
    }
LEA(16)
LEA(32)
LEA(64)
static emu_form_table lea_table = {
    [EMU_FORM_RM] = EMU_WORD_SIZES(lea_rm),
};
static emu_form_table lea_a64_table = {
    [EMU_FORM_RM] = EMU_WORD_SIZES(lea_a64_rm),
};
static emu_form_table lea_base_table = {
    [EMU_FORM_RM] = EMU_WORD_SIZES(lea_base_rm),
};

static emu_exec_fn *find_lea(const emu_insn *insn)
{
    if ((insn->mem & EMU_MEM_ASIZE) != EMU_MEM_A64)
        return emu_pick(lea_table, insn);
    return emu_pick(
        insn->index == EMU_REG_ZERO ? lea_base_table : lea_a64_table, insn);
}

/* --- CMOVcc, SETcc: one handler for each condition --- */

#define CMOV(cc, bits)                                         \
    EMU_HANDLER(cmov_##cc##_rr##bits)                          \
    {                                                          \
        uint##bits##_t v = EMU_GET(bits, insn->rm);            \
        uint##bits##_t old = EMU_GET(bits, insn->reg);         \
                                                               \
        EMU_PUT(bits, insn->reg, emu_cond(cpu, cc) ? v : old); \
        EMU_NEXT(cpu, insn);                                   \
    }                                                          \
    EMU_ON_LOAD(cmov_##cc##_rm, bits,                          \
                EMU_PUT(bits, insn->reg,                       \
                        emu_cond(cpu, cc) ? v : EMU_GET(bits, insn->reg)))

#define CONDITIONAL(cc)                                  \
    CMOV(cc, 16)                                         \
    CMOV(cc, 32)                                         \
    CMOV(cc, 64)                                         \
    EMU_HANDLER(set_high_##cc)                           \
    {                                                    \
        EMU_R8(cpu, insn->reg) = emu_cond(cpu, cc);      \
        EMU_NEXT(cpu, insn);                             \
    }                                                    \
    EMU_HANDLER(set_low_##cc)                            \
    {                                                    \
        uint64_t *r = &cpu->regs[insn->reg >> 3];        \
                                                         \
        *r = (*r & ~UINT64_C(0xff)) | emu_cond(cpu, cc); \
        EMU_NEXT(cpu, insn);                             \
    }                                                    \
    EMU_ON_STORE(set_##cc##_m, 8, emu_cond(cpu, cc))

#define EACH_CONDITION(f)                                                     \
    f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) \
        f(14) f(15)

EACH_CONDITION(CONDITIONAL)

#define CMOV_ROW(cc)                                    \
    [cc] = {                                            \
        [EMU_FORM_RR] = EMU_WORD_SIZES(cmov_##cc##_rr), \
        EMU_WORD_FAMILY(RM, cmov_##cc##_rm),            \
    },
/* SETcc: the low byte of a register is written with the whole of it, because
 * code likes to read that next, and a host's wide load behind a narrow store to
 * the same place has to wait. */
#define SET_ROW(cc)                                    \
    [cc] = {                                           \
        [EMU_FORM_R] = { set_low_##cc },               \
        [EMU_FORM_M] = { set_##cc##_m8 },              \
        [EMU_WAY_b + EMU_ROW_M] = { set_##cc##_m_b8 }, \
        [EMU_WAY_x + EMU_ROW_M] = { set_##cc##_m_x8 }, \
        [EMU_WAY_s + EMU_ROW_M] = { set_##cc##_m_s8 }, \
        [EMU_WAY_f + EMU_ROW_M] = { set_##cc##_m_f8 }, \
    },
#define SET_HIGH_ROW(cc) [cc] = set_high_##cc,
static const emu_form_table cmov_table[16] = { EACH_CONDITION(CMOV_ROW) };
static const emu_form_table set_table[16] = { EACH_CONDITION(SET_ROW) };
static emu_exec_fn *const set_high_table[16] = { EACH_CONDITION(SET_HIGH_ROW) };

static emu_exec_fn *find_set(const emu_insn *insn)
{
    /* AH, CH, DH, BH */
    if (insn->form == EMU_FORM_R && (insn->reg & 7) != 0)
        return set_high_table[insn->cond & 15];
    return emu_pick(set_table[insn->cond & 15], insn);
}

/* --- sign extension in place --- */

EMU_HANDLER(cbw_n16)
{
    EMU_R16(cpu, VSR_X86_RAX) = (uint16_t)(int8_t)EMU_R8(cpu, 0);
    EMU_NEXT(cpu, insn);
}
EMU_HANDLER(cbw_n32)
{
    EMU_SET_R32(cpu, VSR_X86_RAX, (int16_t)EMU_R16(cpu, VSR_X86_RAX));
    EMU_NEXT(cpu, insn);
}
EMU_HANDLER(cbw_n64)
{
    cpu->regs[VSR_X86_RAX] =
        (uint64_t)(int64_t)(int32_t)EMU_R32(cpu, VSR_X86_RAX);
    EMU_NEXT(cpu, insn);
}
static emu_form_table cbw_table = {
    [EMU_FORM_N] = EMU_WORD_SIZES(cbw_n),
};

#define CWD(bits)                                                             \
    EMU_HANDLER(cwd_n##bits)                                                  \
    {                                                                         \
        EMU_PUT(bits, VSR_X86_RDX,                                            \
                (uint##bits##_t)((int##bits##_t)EMU_GET(bits, VSR_X86_RAX) >> \
                                 ((bits)-1)));                                \
        EMU_NEXT(cpu, insn);                                                  \
    }
CWD(16)
CWD(32)
CWD(64)
static emu_form_table cwd_table = {
    [EMU_FORM_N] = EMU_WORD_SIZES(cwd_n),
};

EMU_HANDLER(xlat)
{
    uint64_t la = emu_ea_beyond(cpu, insn, EMU_R8(cpu, 0), 1, EMU_READ);

    EMU_R8(cpu, 0) = EMU_LOAD(8, la);
    EMU_NEXT(cpu, insn);
}

emu_exec_fn *emu_find_mov(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_MOV:
        return emu_pick(mov_table, insn);
    case EMU_OP_MOV_IMM64:
        return mov_imm64;
    case EMU_OP_MOV_ABS:
        return emu_pick(mov_abs_table, insn);
    case EMU_OP_MOVZX:
    case EMU_OP_MOVSX:
    case EMU_OP_MOVSXD:
        return find_extend(insn);
    case EMU_OP_MOVBE:
        return emu_pick(movbe_table, insn);
    case EMU_OP_BSWAP:
        return emu_pick(bswap_table, insn);
    case EMU_OP_LEA:
        return find_lea(insn);
    case EMU_OP_CMOV:
        return emu_pick(cmov_table[insn->cond & 15], insn);
    case EMU_OP_SET:
        return find_set(insn);
    case EMU_OP_CBW:
        return emu_pick(cbw_table, insn);
    case EMU_OP_CWD:
        return emu_pick(cwd_table, insn);
    case EMU_OP_XLAT:
        return xlat;
    default:
        return NULL;
    }
}
