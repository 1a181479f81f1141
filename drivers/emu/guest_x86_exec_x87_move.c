/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_x87_move.c: x87 loads, stores, exchanges and constants.
 *
 * Spec: Intel SDM vol. 2A, "FBLD", "FBSTP", "FCMOVcc", "FILD", "FIST/FISTP",
 *       "FISTTP", "FLD", "FLD1...", "FST/FSTP", "FXCH".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_exec_x87.h"

/* --- loads --- */

/* ST(7) is taken: with the fault masked, the indefinite is pushed. */
static void overflow(emu_cpu *cpu)
{
    if (x87_stack_fault(cpu, true)) {
        x87_push(cpu);
        x87_set_indefinite(cpu, cpu->x87.top);
    }
}

static inline bool full(const emu_cpu *cpu)
{
    return x87_valid(cpu, x87_phys(cpu, 7));
}

/* Reals of 4 and 8 bytes may raise #IA and #D; unmasked, nothing is pushed. */
#define LOAD_REAL(name, text, bits)                                       \
    X87_HANDLER(name)                                                     \
    {                                                                     \
        uint##bits##_t m;                                                 \
        emu_f80 v;                                                        \
        uint16_t sw;                                                      \
                                                                          \
        X87_GATE();                                                       \
        m = emu_load##bits(cpu, insn,                                     \
                           emu_ea(cpu, insn, (bits) / 8, EMU_READ));      \
        X87_NOTE_MEM();                                                   \
        if (G_UNLIKELY(full(cpu))) {                                      \
            overflow(cpu);                                                \
            return;                                                       \
        }                                                                 \
        __asm__ volatile(text " %[m]\n\t" X87_STATUS "testb $8, %%ah\n\t" \
                              "jz 2f\n\t"                                 \
                              "fstpt %[v]\n"                              \
                              "2:"                                        \
                         : "=&a"(sw), [v] "=m"(v)                         \
                         : [m] "m"(m)                                     \
                         : "cc");                                         \
        x87_done(cpu, sw, EMU_SW_C1);                                     \
        if (G_LIKELY(sw & X87_TOP_ODD))                                   \
            x87_copy(x87_push(cpu), &v);                                  \
    }

LOAD_REAL(fld_32, "flds", 32)
LOAD_REAL(fld_64, "fldl", 64)

/* Integers and constants raise nothing. */
#define LOAD_INT(name, text, bits)                                   \
    X87_HANDLER(name)                                                \
    {                                                                \
        uint##bits##_t m;                                            \
                                                                     \
        X87_GATE();                                                  \
        m = emu_load##bits(cpu, insn,                                \
                           emu_ea(cpu, insn, (bits) / 8, EMU_READ)); \
        X87_NOTE_MEM();                                              \
        if (G_UNLIKELY(full(cpu))) {                                 \
            overflow(cpu);                                           \
            return;                                                  \
        }                                                            \
        __asm__ volatile(text " %[m]\n\t"                            \
                              "fstpt %[v]"                           \
                         : [v] "=m"(*x87_push(cpu))                  \
                         : [m] "m"(m));                              \
        x87_clear_c1(cpu);                                           \
    }

LOAD_INT(fild_16, "filds", 16)
LOAD_INT(fild_32, "fildl", 32)
LOAD_INT(fild_64, "fildll", 64)

#define LOAD_CONST(name)                              \
    X87_HANDLER(name)                                 \
    {                                                 \
        X87_GATE();                                   \
        X87_NOTE();                                   \
        if (G_UNLIKELY(full(cpu))) {                  \
            overflow(cpu);                            \
            return;                                   \
        }                                             \
        __asm__ volatile(#name "\n\t"                 \
                               "fstpt %[v]"           \
                         : [v] "=m"(*x87_push(cpu))); \
        x87_clear_c1(cpu);                            \
    }

LOAD_CONST(fld1)
LOAD_CONST(fldl2t)
LOAD_CONST(fldl2e)
LOAD_CONST(fldpi)
LOAD_CONST(fldlg2)
LOAD_CONST(fldln2)
LOAD_CONST(fldz)

X87_HANDLER(fld_80)
{
    emu_f80 v;

    X87_GATE();
    emu_load_bytes(cpu, insn, emu_ea(cpu, insn, 10, EMU_READ), &v, 10);
    X87_NOTE_MEM();
    if (G_UNLIKELY(full(cpu))) {
        overflow(cpu);
    } else {
        x87_copy(x87_push(cpu), &v);
        x87_clear_c1(cpu);
    }
}

X87_HANDLER(fbld)
{
    uint8_t m[10];

    X87_GATE();
    emu_load_bytes(cpu, insn, emu_ea(cpu, insn, 10, EMU_READ), m, 10);
    X87_NOTE_MEM();
    if (G_UNLIKELY(full(cpu))) {
        overflow(cpu);
        return;
    }
    __asm__ volatile("fbld %[m]\n\t"
                     "fstpt %[v]"
                     : [v] "=m"(*x87_push(cpu))
                     : [m] "m"(m));
    x87_clear_c1(cpu);
}

X87_HANDLER(fld_r)
{
    unsigned from = x87_phys(cpu, insn->rm);
    emu_f80 v;

    X87_GATE();
    X87_NOTE();
    if (G_UNLIKELY(!x87_valid(cpu, from))) { /* comes before overflow */
        if (x87_stack_fault(cpu, false)) {
            x87_push(cpu);
            x87_set_indefinite(cpu, cpu->x87.top);
        }
    } else if (G_UNLIKELY(full(cpu))) {
        overflow(cpu);
    } else {
        x87_copy(&v, &cpu->x87.st[from]);
        x87_copy(x87_push(cpu), &v);
        x87_clear_c1(cpu);
    }
}

/* --- stores --- */

/*
 * The host's popping form tells by TOP whether it stored: an unmasked #IA, #O
 * or #U leaves memory and stack alone. The page is checked first, the bytes
 * are written last. `empty` is what a masked stack fault stores.
 */
static void *writable(emu_cpu *cpu, const emu_insn *insn, uint64_t la,
                      unsigned size)
{
    void *p = emu_host_w(cpu, la, size);

    if (G_UNLIKELY(p == NULL))
        p = emu_host_slow(cpu, insn, la, size, EMU_RMW);
    return p;
}

static void put(emu_cpu *cpu, const emu_insn *insn, uint64_t la, void *p,
                const void *from, unsigned size)
{
    if (G_LIKELY(p != NULL))
        memcpy(p, from, size);
    else
        emu_store_bytes(cpu, insn, la, from, size);
}

#define STORE(name, text, bytes, type, empty, pops)                      \
    X87_HANDLER(name)                                                    \
    {                                                                    \
        unsigned a = x87_phys(cpu, 0);                                   \
        type m = empty;                                                  \
        uint64_t la;                                                     \
        uint16_t sw;                                                     \
        bool ok;                                                         \
        void *p;                                                         \
                                                                         \
        X87_GATE();                                                      \
        la = emu_ea(cpu, insn, bytes, EMU_WRITE);                        \
        p = writable(cpu, insn, la, bytes);                              \
        X87_NOTE_MEM();                                                  \
        if (G_UNLIKELY(!x87_valid(cpu, a))) {                            \
            ok = x87_stack_fault(cpu, false);                            \
        } else {                                                         \
            __asm__ volatile("fldt %[a]\n\t" text " %[m]\n\t" X87_STATUS \
                             "testb $8, %%ah\n\t"                        \
                             "jz 2f\n\t"                                 \
                             "fstp %%st(0)\n"                            \
                             "2:"                                        \
                             : "=&a"(sw), [m] "+m"(m)                    \
                             : [a] "m"(cpu->x87.st[a])                   \
                             : "cc");                                    \
            x87_done(cpu, sw, EMU_SW_C1);                                \
            ok = !(sw & X87_TOP_ODD);                                    \
        }                                                                \
        if (G_LIKELY(ok)) {                                              \
            put(cpu, insn, la, p, &m, bytes);                            \
            if (pops)                                                    \
                x87_pop(cpu);                                            \
        }                                                                \
    }

typedef struct {
    uint8_t b[10];
} bcd;

#define EMPTY_BCD                                 \
    {                                             \
        {                                         \
            0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff \
        }                                         \
    }
#define EMPTY_64 UINT64_C(0x8000000000000000)

STORE(fst_32, "fstps", 4, uint32_t, 0xffc00000, 0)
STORE(fstp_32, "fstps", 4, uint32_t, 0xffc00000, 1)
STORE(fst_64, "fstpl", 8, uint64_t, UINT64_C(0xfff8000000000000), 0)
STORE(fstp_64, "fstpl", 8, uint64_t, UINT64_C(0xfff8000000000000), 1)
STORE(fist_16, "fistps", 2, uint16_t, 0x8000, 0)
STORE(fistp_16, "fistps", 2, uint16_t, 0x8000, 1)
STORE(fist_32, "fistpl", 4, uint32_t, 0x80000000, 0)
STORE(fistp_32, "fistpl", 4, uint32_t, 0x80000000, 1)
STORE(fistp_64, "fistpll", 8, uint64_t, EMPTY_64, 1)
STORE(fisttp_16, "fisttps", 2, uint16_t, 0x8000, 1)
STORE(fisttp_32, "fisttpl", 4, uint32_t, 0x80000000, 1)
STORE(fisttp_64, "fisttpll", 8, uint64_t, EMPTY_64, 1)
STORE(fbstp, "fbstp", 10, bcd, EMPTY_BCD, 1)

/* The whole register, unchanged: no exception but the stack's. */
X87_HANDLER(fstp_80)
{
    unsigned a = x87_phys(cpu, 0);
    emu_f80 v;
    uint64_t la;
    void *p;

    X87_GATE();
    la = emu_ea(cpu, insn, 10, EMU_WRITE);
    p = writable(cpu, insn, la, 10);
    X87_NOTE_MEM();
    if (G_UNLIKELY(!x87_valid(cpu, a))) {
        if (!x87_stack_fault(cpu, false))
            return;
        v = x87_indefinite();
    } else {
        x87_clear_c1(cpu);
        x87_copy(&v, &cpu->x87.st[a]);
    }
    put(cpu, insn, la, p, &v, 10);
    x87_pop(cpu);
}

/* FST ST(i), FSTP ST(i): insn->reg is the destination. */
static void store_reg(emu_cpu *cpu, const emu_insn *insn, bool pop)
{
    unsigned a = x87_phys(cpu, 0);
    unsigned to = x87_phys(cpu, insn->reg);

    if (G_UNLIKELY(!x87_valid(cpu, a))) {
        x87_underflow(cpu, to, pop);
        return;
    }
    x87_clear_c1(cpu);
    x87_copy(&cpu->x87.st[to], &cpu->x87.st[a]);
    cpu->x87.valid |= (uint8_t)(1u << to);
    if (pop)
        x87_pop(cpu);
}

X87_HANDLER(fst_r)
{
    X87_GATE();
    X87_NOTE();
    store_reg(cpu, insn, false);
}

X87_HANDLER(fstp_r)
{
    X87_GATE();
    X87_NOTE();
    store_reg(cpu, insn, true);
}

/* As FSTP ST(i), but an empty ST(0) is no fault: it is only popped. */
X87_HANDLER(fstpnce)
{
    unsigned a = x87_phys(cpu, 0);

    X87_GATE();
    X87_NOTE();
    if (G_LIKELY(x87_valid(cpu, a))) {
        store_reg(cpu, insn, true);
    } else {
        x87_clear_c1(cpu);
        x87_pop(cpu);
    }
}

/* --- between registers --- */

X87_HANDLER(fxch)
{
    unsigned a = x87_phys(cpu, 0);
    unsigned b = x87_phys(cpu, insn->rm);
    emu_f80 v;

    X87_GATE();
    X87_NOTE();
    if (G_UNLIKELY(!x87_valid(cpu, a) || !x87_valid(cpu, b))) {
        if (!x87_stack_fault(cpu, false))
            return;
        if (!x87_valid(cpu, a))
            x87_set_indefinite(cpu, a);
        if (!x87_valid(cpu, b))
            x87_set_indefinite(cpu, b);
    }
    x87_clear_c1(cpu);
    x87_copy(&v, &cpu->x87.st[a]);
    x87_copy(&cpu->x87.st[a], &cpu->x87.st[b]);
    x87_copy(&cpu->x87.st[b], &v);
}

/* Both registers must be there, whatever the condition says. */
X87_HANDLER(fcmov)
{
    unsigned a = x87_phys(cpu, 0);
    unsigned b = x87_phys(cpu, insn->rm);

    X87_GATE();
    X87_NOTE();
    if (G_UNLIKELY(!x87_valid(cpu, a) || !x87_valid(cpu, b)))
        x87_underflow(cpu, a, false);
    else if (emu_cond(cpu, insn->cond))
        x87_copy(&cpu->x87.st[a], &cpu->x87.st[b]);
}

/* --- look-up --- */

static emu_exec_fn *by_size(const emu_insn *insn, emu_exec_fn *two,
                            emu_exec_fn *four, emu_exec_fn *eight,
                            emu_exec_fn *ten)
{
    switch (insn->opsize) {
    case 2:
        return two;
    case 4:
        return four;
    case 8:
        return eight;
    case 10:
        return ten;
    default:
        return NULL;
    }
}

emu_exec_fn *emu_find_x87_move(const emu_insn *insn)
{
    bool reg = insn->form == EMU_FORM_RR;

    switch (insn->op) {
    case EMU_OP_FLD:
        return reg ? fld_r : by_size(insn, NULL, fld_32, fld_64, fld_80);
    case EMU_OP_FST:
        return reg ? fst_r : by_size(insn, NULL, fst_32, fst_64, NULL);
    case EMU_OP_FSTP:
        return reg ? fstp_r : by_size(insn, NULL, fstp_32, fstp_64, fstp_80);
    case EMU_OP_FSTPNCE:
        return fstpnce;
    case EMU_OP_FILD:
        return by_size(insn, fild_16, fild_32, fild_64, NULL);
    case EMU_OP_FIST:
        return by_size(insn, fist_16, fist_32, NULL, NULL);
    case EMU_OP_FISTP:
        return by_size(insn, fistp_16, fistp_32, fistp_64, NULL);
    case EMU_OP_FISTTP:
        return by_size(insn, fisttp_16, fisttp_32, fisttp_64, NULL);
    case EMU_OP_FBLD:
        return fbld;
    case EMU_OP_FBSTP:
        return fbstp;
    case EMU_OP_FXCH:
        return fxch;
    case EMU_OP_FCMOV:
        return fcmov;
    case EMU_OP_FLD1:
        return fld1;
    case EMU_OP_FLDL2T:
        return fldl2t;
    case EMU_OP_FLDL2E:
        return fldl2e;
    case EMU_OP_FLDPI:
        return fldpi;
    case EMU_OP_FLDLG2:
        return fldlg2;
    case EMU_OP_FLDLN2:
        return fldln2;
    case EMU_OP_FLDZ:
        return fldz;
    default:
        return NULL;
    }
}
