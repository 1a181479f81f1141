/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_flags.h: the six arithmetic flags of a virtual CPU.
 *
 * They live in emu_cpu.cc, apart from the rest of EFLAGS, in the order in which
 * "lahf; seto %al" leaves them in AX on an x86 host: AH holds SF, ZF, AF, PF
 * and CF as in EFLAGS, AL holds OF as 0 or 1. So an operation on such a host
 * costs two instructions and a store for all its flags, the undefined ones
 * included (they come out as on the host). This was measured against a lazy
 * (result, carry vector) pair on Zen 5: 0.78 against 1.04 ns an ADD, 0.94
 * against 1.14 an ADC, the same for compare and branch pairs.
 *
 * Read them with emu_cf() and its kin or emu_cond(); write all of them with
 * emu_set_arith(). Everything else of EFLAGS: emu_eflags() and
 * emu_set_eflags() in guest_x86_exec.h.
 *
 * Spec: Intel SDM vol. 1, 3.4.3.1 "Status Flags", appendix B.1 "Condition
 *       Codes".
 */
#ifndef VSR_DRIVERS_EMU_GUEST_X86_FLAGS_H
#define VSR_DRIVERS_EMU_GUEST_X86_FLAGS_H

#include "drivers/emu/guest_x86_state.h"

/* emu_cpu.cc: no other bit is ever set. */
enum {
    EMU_CC_OF = 1 << 0,
    EMU_CC_CF = 1 << 8,
    EMU_CC_PF = 1 << 10,
    EMU_CC_AF = 1 << 12,
    EMU_CC_ZF = 1 << 14,
    EMU_CC_SF = 1 << 15,
    /* The flags that "lahf" moves, as EFLAGS has them. */
    EMU_CC_LOW = EMU_CF | EMU_PF | EMU_AF | EMU_ZF | EMU_SF,
};

static inline bool emu_cf(const emu_cpu *cpu)
{
    return cpu->cc & EMU_CC_CF;
}

static inline bool emu_pf(const emu_cpu *cpu)
{
    return cpu->cc & EMU_CC_PF;
}

static inline bool emu_af(const emu_cpu *cpu)
{
    return cpu->cc & EMU_CC_AF;
}

static inline bool emu_zf(const emu_cpu *cpu)
{
    return cpu->cc & EMU_CC_ZF;
}

static inline bool emu_sf(const emu_cpu *cpu)
{
    return cpu->cc & EMU_CC_SF;
}

static inline bool emu_of(const emu_cpu *cpu)
{
    return cpu->cc & EMU_CC_OF;
}

static inline uint32_t emu_arith_of_cc(unsigned cc)
{
    return ((cc >> 8) & EMU_CC_LOW) | (cc & EMU_CC_OF) << 11;
}

static inline uint16_t emu_cc_of_arith(uint32_t eflags)
{
    return (uint16_t)((eflags & EMU_CC_LOW) << 8 | ((eflags >> 11) & 1));
}

/* The six flags at their places in EFLAGS. */
static inline uint32_t emu_arith(const emu_cpu *cpu)
{
    return emu_arith_of_cc(cpu->cc);
}

/* All six at once; other bits of `eflags` are ignored. */
static inline void emu_set_arith(emu_cpu *cpu, uint32_t eflags)
{
    cpu->cc = emu_cc_of_arith(eflags);
}

/* Conditions of Jcc, SETcc and CMOVcc, 0..15; meant for a constant `cond`. */
static inline bool emu_cc_cond(unsigned cc, unsigned cond)
{
    bool yes = false;

    switch (cond >> 1) {
    case 0: /* O */
        yes = cc & EMU_CC_OF;
        break;
    case 1: /* B */
        yes = cc & EMU_CC_CF;
        break;
    case 2: /* Z */
        yes = cc & EMU_CC_ZF;
        break;
    case 3: /* BE */
        yes = cc & (EMU_CC_CF | EMU_CC_ZF);
        break;
    case 4: /* S */
        yes = cc & EMU_CC_SF;
        break;
    case 5: /* P */
        yes = cc & EMU_CC_PF;
        break;
    case 6: /* L: SF is bit 15, OF bit 0 */
        yes = (cc ^ cc >> 15) & 1;
        break;
    default: /* LE */
        yes = (cc & EMU_CC_ZF) | ((cc ^ cc >> 15) & 1);
        break;
    }
    return yes ^ (cond & 1);
}

static inline bool emu_cond(const emu_cpu *cpu, unsigned cond)
{
    return emu_cc_cond(cpu->cc, cond);
}

#endif
