/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer_exchange.c: XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B.
 *
 * The memory operand is always checked for writing first, as on the processor,
 * which ends a failed comparison with a write of the old value.
 *
 * Spec:    Intel SDM vol. 2, the instructions' own pages; vol. 3A, 8.1.2.2
 *          "Software Controlled Bus Locking" (XCHG needs no prefix).
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_operand.h"

/* --- XCHG --- */

#define XCHG(bits)                                                       \
    EMU_HANDLER(xchg_rr##bits)                                           \
    {                                                                    \
        uint##bits##_t a = EMU_GET(bits, insn->reg);                     \
        uint##bits##_t b = EMU_GET(bits, insn->rm);                      \
                                                                         \
        EMU_PUT(bits, insn->rm, a);                                      \
        EMU_PUT(bits, insn->reg, b);                                     \
        EMU_NEXT(cpu, insn);                                             \
    }                                                                    \
    EMU_HANDLER(xchg_mr##bits)                                           \
    {                                                                    \
        uint##bits##_t b = EMU_GET(bits, insn->reg);                     \
        uint##bits##_t old = 0;                                          \
                                                                         \
        EMU_RMW_LOCKED(bits, (old = v, b),                               \
                       old = __atomic_exchange_n((uint##bits##_t *)p, b, \
                                                 __ATOMIC_SEQ_CST));     \
        EMU_PUT(bits, insn->reg, old);                                   \
        EMU_NEXT(cpu, insn);                                             \
    }

/* --- XADD: the register gets the old value, the flags are ADD's --- */

#define XADD(bits)                                                      \
    EMU_HANDLER(xadd_rr##bits)                                          \
    {                                                                   \
        uint##bits##_t old = EMU_GET(bits, insn->reg);                  \
        uint##bits##_t sum =                                            \
            emu_add##bits(old, EMU_GET(bits, insn->rm), &cpu->cc);      \
                                                                        \
        EMU_PUT(bits, insn->rm, old);                                   \
        EMU_PUT(bits, insn->reg, sum);                                  \
        EMU_NEXT(cpu, insn);                                            \
    }                                                                   \
    EMU_HANDLER(xadd_mr##bits)                                          \
    {                                                                   \
        uint##bits##_t b = EMU_GET(bits, insn->reg);                    \
        uint##bits##_t old = 0;                                         \
                                                                        \
        EMU_RMW(bits, (old = v, emu_add##bits(v, b, &cpu->cc)));        \
        EMU_PUT(bits, insn->reg, old);                                  \
        EMU_NEXT(cpu, insn);                                            \
    }                                                                   \
    EMU_HANDLER(xadd_lock_mr##bits)                                     \
    {                                                                   \
        uint##bits##_t b = EMU_GET(bits, insn->reg);                    \
        uint##bits##_t old = 0;                                         \
                                                                        \
        EMU_RMW_LOCKED(bits, old = v + b,                               \
                       old = __atomic_fetch_add((uint##bits##_t *)p, b, \
                                                __ATOMIC_SEQ_CST) +     \
                             b);                                        \
        old -= b;                                                       \
        emu_add##bits(old, b, &cpu->cc);                                \
        EMU_PUT(bits, insn->reg, old);                                  \
        EMU_NEXT(cpu, insn);                                            \
    }

/* --- CMPXCHG: flags as CMP rAX, dst --- */

#define CMPXCHG(bits)                                                          \
    EMU_HANDLER(cmpxchg_rr##bits)                                              \
    {                                                                          \
        uint##bits##_t acc = EMU_GET(bits, VSR_X86_RAX);                       \
        uint##bits##_t dst = EMU_GET(bits, insn->reg);                         \
        uint##bits##_t src = EMU_GET(bits, insn->rm);                          \
                                                                               \
        emu_cmp##bits(acc, dst, &cpu->cc);                                     \
        if (acc == dst)                                                        \
            EMU_PUT(bits, insn->reg, src);                                     \
        else                                                                   \
            EMU_PUT(bits, VSR_X86_RAX, dst);                                   \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    static inline void cmpxchg_done##bits(emu_cpu *cpu, uint##bits##_t acc,    \
                                          uint##bits##_t dst)                  \
    {                                                                          \
        emu_cmp##bits(acc, dst, &cpu->cc);                                     \
        if (acc != dst)                                                        \
            EMU_PUT(bits, VSR_X86_RAX, dst);                                   \
    }                                                                          \
    EMU_HANDLER(cmpxchg_mr##bits)                                              \
    {                                                                          \
        uint##bits##_t acc = EMU_GET(bits, VSR_X86_RAX);                       \
        uint##bits##_t src = EMU_GET(bits, insn->reg);                         \
        uint##bits##_t dst = 0;                                                \
                                                                               \
        EMU_RMW(bits, (dst = v, v == acc ? src : v));                          \
        cmpxchg_done##bits(cpu, acc, dst);                                     \
        EMU_NEXT(cpu, insn);                                                   \
    }                                                                          \
    EMU_HANDLER(cmpxchg_lock_mr##bits)                                         \
    {                                                                          \
        uint##bits##_t acc = EMU_GET(bits, VSR_X86_RAX);                       \
        uint##bits##_t src = EMU_GET(bits, insn->reg);                         \
        uint##bits##_t dst = acc;                                              \
                                                                               \
        EMU_RMW_LOCKED(                                                        \
            bits, (dst = v, v == acc ? src : v),                               \
            __atomic_compare_exchange_n((uint##bits##_t *)p, &dst, src, false, \
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));  \
        cmpxchg_done##bits(cpu, acc, dst);                                     \
        EMU_NEXT(cpu, insn);                                                   \
    }

#define EXCHANGE(bits) \
    XCHG(bits)         \
    XADD(bits)         \
    CMPXCHG(bits)
EXCHANGE(8)
EXCHANGE(16)
EXCHANGE(32)
EXCHANGE(64)

static emu_form_table xchg_table = {
    [EMU_FORM_RR] = EMU_SIZES(xchg_rr),
    [EMU_FORM_MR] = EMU_SIZES(xchg_mr),
};
#define LOCKABLE(op)                             \
    static emu_form_table op##_table = {         \
        [EMU_FORM_RR] = EMU_SIZES(op##_rr),      \
        [EMU_FORM_MR] = EMU_SIZES(op##_mr),      \
    };                                           \
    static emu_form_table op##_lock_table = {    \
        [EMU_FORM_MR] = EMU_SIZES(op##_lock_mr), \
    };
LOCKABLE(xadd)
LOCKABLE(cmpxchg)

/* --- CMPXCHG8B, CMPXCHG16B: only ZF changes --- */

static void set_zf(emu_cpu *cpu, bool zf)
{
    cpu->cc = (uint16_t)((cpu->cc & ~EMU_CC_ZF) | (zf ? EMU_CC_ZF : 0));
}

EMU_HANDLER(cmpxchg8b)
{
    uint64_t acc =
        (uint64_t)EMU_R32(cpu, VSR_X86_RDX) << 32 | EMU_R32(cpu, VSR_X86_RAX);
    uint64_t src =
        (uint64_t)EMU_R32(cpu, VSR_X86_RCX) << 32 | EMU_R32(cpu, VSR_X86_RBX);
    uint64_t dst = acc;

    if (insn->flags & EMU_I_LOCK)
        EMU_RMW_LOCKED(64, (dst = v, v == acc ? src : v),
                       __atomic_compare_exchange_n((uint64_t *)p, &dst, src,
                                                   false, __ATOMIC_SEQ_CST,
                                                   __ATOMIC_SEQ_CST));
    else
        EMU_RMW(64, (dst = v, v == acc ? src : v));
    if (dst != acc) {
        EMU_SET_R32(cpu, VSR_X86_RAX, dst);
        EMU_SET_R32(cpu, VSR_X86_RDX, dst >> 32);
    }
    set_zf(cpu, dst == acc);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(cmpxchg16b)
{
    uint64_t la = emu_ea(cpu, insn, 16, EMU_WRITE);
    uint64_t acc[2] = { cpu->regs[VSR_X86_RAX], cpu->regs[VSR_X86_RDX] };
    uint64_t src[2] = { cpu->regs[VSR_X86_RBX], cpu->regs[VSR_X86_RCX] };
    bool lock = insn->flags & EMU_I_LOCK;
    uint64_t dst[2];
    bool equal;
    void *p;

    if (la & 15)
        emu_raise_code(cpu, insn, EMU_GP, 0);
    p = emu_host_w(cpu, la, 16);
    if (p == NULL)
        p = emu_host_slow(cpu, insn, la, 16, EMU_RMW);
    if (p != NULL) {
        memcpy(dst, acc, sizeof dst);
        equal = emu_lock_cmpxchg16(p, dst, src);
    } else {
        if (lock)
            emu_split_lock(cpu);
        dst[0] = EMU_LOAD(64, la);
        dst[1] = EMU_LOAD(64, la + 8);
        equal = dst[0] == acc[0] && dst[1] == acc[1];
        EMU_STORE(64, la, equal ? src[0] : dst[0]);
        EMU_STORE(64, la + 8, equal ? src[1] : dst[1]);
        if (lock)
            emu_split_unlock(cpu);
    }
    if (!equal) {
        cpu->regs[VSR_X86_RAX] = dst[0];
        cpu->regs[VSR_X86_RDX] = dst[1];
    }
    set_zf(cpu, equal);
    EMU_NEXT(cpu, insn);
}

emu_exec_fn *emu_find_exchange(const emu_insn *insn)
{
    bool lock = insn->flags & EMU_I_LOCK;

    switch (insn->op) {
    case EMU_OP_XCHG:
        return emu_pick(xchg_table, insn);
    case EMU_OP_XADD:
        return emu_pick(lock ? xadd_lock_table : xadd_table, insn);
    case EMU_OP_CMPXCHG:
        return emu_pick(lock ? cmpxchg_lock_table : cmpxchg_table, insn);
    case EMU_OP_CMPXCHG8B:
        return insn->form == EMU_FORM_M ? cmpxchg8b : NULL;
    case EMU_OP_CMPXCHG16B:
        return insn->form == EMU_FORM_M ? cmpxchg16b : NULL;
    default:
        return NULL;
    }
}
