/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer_bits.c: BT BTS BTR BTC BSF BSR TZCNT LZCNT POPCNT
 * CRC32.
 *
 * Undefined flags are as on AMD family 1Ah: BT and its kin keep all but CF;
 * TZCNT and LZCNT keep OF and clear SF, AF and PF.
 *
 * Spec:    Intel SDM vol. 2, the instructions' own pages.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_operand.h"

/* --- bit test --- */

static inline void set_cf(emu_cpu *cpu, bool cf)
{
    cpu->cc = (uint16_t)((cpu->cc & ~EMU_CC_CF) | (cf ? EMU_CC_CF : 0));
}

/* The address of the word that holds bit `n` (signed) of the bit string. */
#define BIT_STRING(bits, n, access)                                            \
    emu_ea_beyond(cpu, insn,                                                   \
                  (int64_t)((int##bits##_t)(n) >> LOG2_##bits) * ((bits) / 8), \
                  (bits) / 8, access)
#define LOG2_16 4
#define LOG2_32 5
#define LOG2_64 6

#define BT(bits)                                                               \
    EMU_HANDLER(bt_rr##bits)                                                   \
    {                                                                          \
        set_cf(cpu, EMU_GET(bits, insn->reg) >>                                \
                            (EMU_GET(bits, insn->rm) & ((bits)-1)) &           \
                        1);                                                    \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    EMU_HANDLER(bt_ri##bits)                                                   \
    {                                                                          \
        set_cf(cpu, EMU_GET(bits, insn->reg) >> (insn->imm & ((bits)-1)) & 1); \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    EMU_HANDLER(bt_mr##bits)                                                   \
    {                                                                          \
        uint##bits##_t n = EMU_GET(bits, insn->reg);                           \
        uint##bits##_t v = EMU_LOAD(bits, BIT_STRING(bits, n, EMU_READ));      \
                                                                               \
        set_cf(cpu, v >> (n & ((bits)-1)) & 1);                                \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    EMU_ON_LOAD(bt_mi, bits, set_cf(cpu, v >> (insn->imm & ((bits)-1)) & 1))
BT(16)
BT(32)
BT(64)
static emu_form_table bt_table = {
    [EMU_FORM_RR] = EMU_WORD_SIZES(bt_rr),
    [EMU_FORM_RI] = EMU_WORD_SIZES(bt_ri),
    [EMU_FORM_MR] = EMU_WORD_SIZES(bt_mr),
    EMU_WORD_FAMILY(MI, bt_mi),
};

/* How each changes `v`, given the bit's mask `m`; and the same, locked. */
#define BTS_OP(v, m)     ((v) | (m))
#define BTR_OP(v, m)     ((v) & ~(m))
#define BTC_OP(v, m)     ((v) ^ (m))
#define BTS_LOCKED(p, m) __atomic_fetch_or(p, m, __ATOMIC_SEQ_CST)
#define BTR_LOCKED(p, m) __atomic_fetch_and(p, ~(m), __ATOMIC_SEQ_CST)
#define BTC_LOCKED(p, m) __atomic_fetch_xor(p, m, __ATOMIC_SEQ_CST)

#define BIT_MASK(bits, n) \
    ((uint##bits##_t)((uint##bits##_t)1 << ((n) & ((bits)-1))))

/* On memory at `la`: all that BTS, BTR and BTC do there. */
#define BIT_CHANGE_AT(op, OP, bits)                                      \
    static inline void op##_at##bits(emu_cpu *cpu, const emu_insn *insn, \
                                     uint64_t la, uint##bits##_t mask)   \
    {                                                                    \
        void *p = emu_rmw##bits(cpu, insn, la);                          \
        bool lock = insn->flags & EMU_I_LOCK;                            \
        uint##bits##_t v;                                                \
                                                                         \
        if (p == NULL) {                                                 \
            if (lock)                                                    \
                emu_split_lock(cpu);                                     \
            v = EMU_LOAD(bits, la);                                      \
            EMU_STORE(bits, la, (uint##bits##_t)OP##_OP(v, mask));       \
            if (lock)                                                    \
                emu_split_unlock(cpu);                                   \
        } else if (lock && !cpu->lock_free) {                            \
            v = OP##_LOCKED((uint##bits##_t *)p, mask);                  \
        } else {                                                         \
            v = emu_get##bits(p);                                        \
            emu_put##bits(p, (uint##bits##_t)OP##_OP(v, mask));          \
        }                                                                \
        set_cf(cpu, (v & mask) != 0);                                    \
    }

#define BIT_CHANGE(op, OP, bits)                                             \
    BIT_CHANGE_AT(op, OP, bits)                                              \
    EMU_HANDLER(op##_rr##bits)                                               \
    {                                                                        \
        uint##bits##_t mask = BIT_MASK(bits, EMU_GET(bits, insn->rm));       \
        uint##bits##_t v = EMU_GET(bits, insn->reg);                         \
                                                                             \
        EMU_PUT(bits, insn->reg, (uint##bits##_t)OP##_OP(v, mask));          \
        set_cf(cpu, (v & mask) != 0);                                        \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    EMU_HANDLER(op##_ri##bits)                                               \
    {                                                                        \
        uint##bits##_t mask = BIT_MASK(bits, insn->imm);                     \
        uint##bits##_t v = EMU_GET(bits, insn->reg);                         \
                                                                             \
        EMU_PUT(bits, insn->reg, (uint##bits##_t)OP##_OP(v, mask));          \
        set_cf(cpu, (v & mask) != 0);                                        \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    EMU_HANDLER(op##_mr##bits)                                               \
    {                                                                        \
        uint##bits##_t n = EMU_GET(bits, insn->reg);                         \
                                                                             \
        op##_at##bits(cpu, insn, BIT_STRING(bits, n, EMU_WRITE),             \
                      BIT_MASK(bits, n));                                    \
        EMU_NEXT(cpu, insn);                                                 \
    }                                                                        \
    EMU_HANDLER(op##_mi##bits)                                               \
    {                                                                        \
        op##_at##bits(cpu, insn, EMU_EA_W(bits), BIT_MASK(bits, insn->imm)); \
        EMU_NEXT(cpu, insn);                                                 \
    }

#define BIT_CHANGE_TABLES(op, OP)                \
    BIT_CHANGE(op, OP, 16)                       \
    BIT_CHANGE(op, OP, 32)                       \
    BIT_CHANGE(op, OP, 64)                       \
    static emu_form_table op##_table = {         \
        [EMU_FORM_RR] = EMU_WORD_SIZES(op##_rr), \
        [EMU_FORM_RI] = EMU_WORD_SIZES(op##_ri), \
        [EMU_FORM_MR] = EMU_WORD_SIZES(op##_mr), \
        [EMU_FORM_MI] = EMU_WORD_SIZES(op##_mi), \
    };
BIT_CHANGE_TABLES(bts, BTS)
BIT_CHANGE_TABLES(btr, BTR)
BIT_CHANGE_TABLES(btc, BTC)

/* --- bit scan and count --- */

#define BIT_COUNT(bits)                                                     \
    static inline uint##bits##_t emu_popcnt##bits(uint##bits##_t b,         \
                                                  uint16_t *cc)             \
    {                                                                       \
        *cc = b == 0 ? EMU_CC_ZF : 0;                                       \
        return (uint##bits##_t)__builtin_popcountll(b);                     \
    }                                                                       \
    static inline uint##bits##_t emu_tzcnt##bits(uint##bits##_t b,          \
                                                 uint16_t *cc)              \
    {                                                                       \
        unsigned n = b == 0 ? (bits) : (unsigned)__builtin_ctzll(b);        \
                                                                            \
        *cc = (uint16_t)((*cc & EMU_CC_OF) | (b == 0 ? EMU_CC_CF : 0) |     \
                         (n == 0 ? EMU_CC_ZF : 0));                         \
        return (uint##bits##_t)n;                                           \
    }                                                                       \
    static inline uint##bits##_t emu_lzcnt##bits(uint##bits##_t b,          \
                                                 uint16_t *cc)              \
    {                                                                       \
        unsigned n =                                                        \
            b == 0 ? (bits) : (unsigned)__builtin_clzll(b) - (64 - (bits)); \
                                                                            \
        *cc = (uint16_t)((*cc & EMU_CC_OF) | (b == 0 ? EMU_CC_CF : 0) |     \
                         (n == 0 ? EMU_CC_ZF : 0));                         \
        return (uint##bits##_t)n;                                           \
    }
BIT_COUNT(16)
BIT_COUNT(32)
BIT_COUNT(64)

#define COUNT(op, bits)                                             \
    EMU_HANDLER(op##_rr##bits)                                      \
    {                                                               \
        EMU_PUT(bits, insn->reg,                                    \
                emu_##op##bits(EMU_GET(bits, insn->rm), &cpu->cc)); \
        EMU_NEXT(cpu, insn);                                        \
    }                                                               \
    EMU_ON_LOAD(op##_rm, bits,                                      \
                EMU_PUT(bits, insn->reg, emu_##op##bits(v, &cpu->cc)))

/* BSF and BSR of 0 leave all of the register alone, 32-bit forms too (APM). */
#define SCAN_TO_REG(op, bits, source)                                 \
    do {                                                              \
        uint##bits##_t from = source;                                 \
        uint##bits##_t to =                                           \
            emu_##op##bits(EMU_GET(bits, insn->reg), from, &cpu->cc); \
                                                                      \
        if (from != 0)                                                \
            EMU_PUT(bits, insn->reg, to);                             \
    } while (0)
#define SCAN(op, bits)                                  \
    EMU_HANDLER(op##_rr##bits)                          \
    {                                                   \
        SCAN_TO_REG(op, bits, EMU_GET(bits, insn->rm)); \
        EMU_NEXT(cpu, insn);                            \
    }                                                   \
    EMU_ON_LOAD(op##_rm, bits, SCAN_TO_REG(op, bits, v))

#define SCAN_TABLE(op, kind)                              \
    kind(op, 16) kind(op, 32)                             \
        kind(op, 64) static emu_form_table op##_table = { \
            [EMU_FORM_RR] = EMU_WORD_SIZES(op##_rr),      \
            EMU_WORD_FAMILY(RM, op##_rm),                 \
        };
SCAN_TABLE(bsf, SCAN)
SCAN_TABLE(bsr, SCAN)
SCAN_TABLE(popcnt, COUNT)
SCAN_TABLE(tzcnt, COUNT)
SCAN_TABLE(lzcnt, COUNT)

/* --- CRC32: the Castagnoli polynomial, reflected, four bits at a time --- */

static uint32_t crc32c(uint32_t crc, uint64_t data, unsigned size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };

    for (unsigned i = 0; i < size * 2; i++) {
        crc = (crc >> 4) ^ table[(crc ^ data) & 15];
        data >>= 4;
    }
    return crc;
}

#define CRC32(bits)                                                            \
    EMU_HANDLER(crc32_rr##bits)                                                \
    {                                                                          \
        cpu->regs[insn->reg] = crc32c(EMU_R32(cpu, insn->reg),                 \
                                      EMU_GET(bits, insn->rm), (bits) / 8);    \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    EMU_HANDLER(crc32_rm##bits)                                                \
    {                                                                          \
        uint##bits##_t v = EMU_LOAD(bits, EMU_EA_R(bits));                     \
                                                                               \
        cpu->regs[insn->reg] = crc32c(EMU_R32(cpu, insn->reg), v, (bits) / 8); \
        EMU_NEXT(cpu, insn);                                                   \
    }
CRC32(8)
CRC32(16)
CRC32(32)
CRC32(64)

static emu_exec_fn *find_crc32(const emu_insn *insn)
{
    bool rr = insn->form == EMU_FORM_RR;

    if (!rr && insn->form != EMU_FORM_RM)
        return NULL;
    switch (insn->aux) {
    case 1:
        return rr ? crc32_rr8 : crc32_rm8;
    case 2:
        return rr ? crc32_rr16 : crc32_rm16;
    case 4:
        return rr ? crc32_rr32 : crc32_rm32;
    case 8:
        return rr ? crc32_rr64 : crc32_rm64;
    default:
        return NULL;
    }
}

emu_exec_fn *emu_find_bits(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_BT:
        return emu_pick(bt_table, insn);
    case EMU_OP_BTS:
        return emu_pick(bts_table, insn);
    case EMU_OP_BTR:
        return emu_pick(btr_table, insn);
    case EMU_OP_BTC:
        return emu_pick(btc_table, insn);
    case EMU_OP_BSF:
        return emu_pick(bsf_table, insn);
    case EMU_OP_BSR:
        return emu_pick(bsr_table, insn);
    case EMU_OP_TZCNT:
        return emu_pick(tzcnt_table, insn);
    case EMU_OP_LZCNT:
        return emu_pick(lzcnt_table, insn);
    case EMU_OP_POPCNT:
        return emu_pick(popcnt_table, insn);
    case EMU_OP_CRC32:
        return find_crc32(insn);
    default:
        return NULL;
    }
}
