/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_integer_misc.c: flag instructions, decimal adjustment, BOUND,
 * NOP, PAUSE.
 *
 * Flags the manual leaves undefined after decimal adjustment: DAA and DAS
 * clear OF; AAA and AAS set ZF, SF and PF by AL and clear OF; AAM and AAD
 * clear CF, AF and OF.
 *
 * Spec:    Intel SDM vol. 2, the instructions' own pages.
 * Threads: the vCPU's own.
 */
#include <sched.h>

#include "drivers/emu/guest_x86_operand.h"

#define AL EMU_R8(cpu, 0)
#define AH EMU_R8(cpu, 1)
#define AX EMU_R16(cpu, VSR_X86_RAX)

/* --- flags --- */

EMU_HANDLER(lahf)
{
    AH = (uint8_t)(cpu->cc >> 8 | 2);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(sahf)
{
    cpu->cc = (uint16_t)((cpu->cc & EMU_CC_OF) | (AH & EMU_CC_LOW) << 8);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(clc)
{
    cpu->cc &= (uint16_t)~EMU_CC_CF;
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(stc)
{
    cpu->cc |= EMU_CC_CF;
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(cmc)
{
    cpu->cc ^= EMU_CC_CF;
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(cld)
{
    cpu->eflags &= ~(uint32_t)EMU_DF;
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(std)
{
    cpu->eflags |= EMU_DF;
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(salc)
{
    AL = emu_cf(cpu) ? 0xff : 0;
    EMU_NEXT(cpu, insn);
}

/* --- decimal adjustment; no 64-bit mode --- */

/* SF, ZF and PF by AL; OF clear. */
static void set_decimal_flags(emu_cpu *cpu, bool cf, bool af)
{
    uint16_t cc;

    emu_test8(AL, AL, &cc);
    cc &= EMU_CC_SF | EMU_CC_ZF | EMU_CC_PF;
    cpu->cc = (uint16_t)(cc | (cf ? EMU_CC_CF : 0) | (af ? EMU_CC_AF : 0));
}

EMU_HANDLER(daa)
{
    uint8_t old = AL;
    bool cf = emu_cf(cpu) || old > 0x99;
    bool af = emu_af(cpu) || (old & 15) > 9;

    AL = (uint8_t)(old + (af ? 6 : 0) + (cf ? 0x60 : 0));
    set_decimal_flags(cpu, cf, af);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(das)
{
    uint8_t old = AL;
    bool high = emu_cf(cpu) || old > 0x99;
    bool af = emu_af(cpu) || (old & 15) > 9;
    /* The borrow of the first step counts too. */
    bool cf = high || (af && old < 6);

    AL = (uint8_t)(old - (af ? 6 : 0) - (high ? 0x60 : 0));
    set_decimal_flags(cpu, cf, af);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(aaa)
{
    bool adjust = emu_af(cpu) || (AL & 15) > 9;

    if (adjust)
        AX = (uint16_t)(AX + 0x106);
    AL &= 15;
    set_decimal_flags(cpu, adjust, adjust);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(aas)
{
    bool adjust = emu_af(cpu) || (AL & 15) > 9;

    if (adjust)
        AX = (uint16_t)(AX - 0x106);
    AL &= 15;
    set_decimal_flags(cpu, adjust, adjust);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(aam)
{
    uint8_t base = (uint8_t)insn->imm;

    if (base == 0)
        emu_raise(cpu, insn, EMU_DE);
    AX = (uint16_t)((AL / base) << 8 | AL % base);
    set_decimal_flags(cpu, false, false);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(aad)
{
    AX = (uint8_t)(AL + AH * (uint8_t)insn->imm);
    set_decimal_flags(cpu, false, false);
    EMU_NEXT(cpu, insn);
}

/* --- BOUND: the pair of signed limits is in memory --- */

EMU_HANDLER(bound_rm16)
{
    uint64_t la = emu_ea(cpu, insn, 4, EMU_READ);
    int16_t index = (int16_t)EMU_R16(cpu, insn->reg);

    if (index < (int16_t)EMU_LOAD(16, la) ||
        index > (int16_t)EMU_LOAD(16, la + 2))
        emu_raise(cpu, insn, EMU_BR);
    EMU_NEXT(cpu, insn);
}

EMU_HANDLER(bound_rm32)
{
    uint64_t la = emu_ea(cpu, insn, 8, EMU_READ);
    int32_t index = (int32_t)EMU_R32(cpu, insn->reg);

    if (index < (int32_t)EMU_LOAD(32, la) ||
        index > (int32_t)EMU_LOAD(32, la + 4))
        emu_raise(cpu, insn, EMU_BR);
    EMU_NEXT(cpu, insn);
}

/* --- nothing --- */

EMU_HANDLER(nop)
{
    EMU_NEXT(cpu, insn);
}

/* A guest that spins waits for another vCPU, which may need this host CPU. */
EMU_HANDLER(pause_cpu)
{
    enum { PAUSES = 16 };

    if (!cpu->lock_free && ++cpu->pauses % PAUSES == 0)
        sched_yield();
    EMU_NEXT(cpu, insn);
}

emu_exec_fn *emu_find_misc(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_LAHF:
        return lahf;
    case EMU_OP_SAHF:
        return sahf;
    case EMU_OP_CLC:
        return clc;
    case EMU_OP_STC:
        return stc;
    case EMU_OP_CMC:
        return cmc;
    case EMU_OP_CLD:
        return cld;
    case EMU_OP_STD:
        return std;
    case EMU_OP_SALC:
        return salc;
    case EMU_OP_AAA:
        return aaa;
    case EMU_OP_AAS:
        return aas;
    case EMU_OP_DAA:
        return daa;
    case EMU_OP_DAS:
        return das;
    case EMU_OP_AAM:
        return aam;
    case EMU_OP_AAD:
        return aad;
    case EMU_OP_BOUND:
        return insn->opsize == 2 ? bound_rm16 : bound_rm32;
    case EMU_OP_NOP:
        return nop;
    case EMU_OP_PAUSE:
        return pause_cpu;
    default:
        return NULL;
    }
}
