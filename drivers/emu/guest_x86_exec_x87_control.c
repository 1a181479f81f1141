/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_exec_x87_control.c: x87 control instructions, the environment and
 * FNSAVE areas.
 *
 * opsize of FLDENV, FNSTENV, FRSTOR, FNSAVE is 2 or 4: with EMU_MODE_PROT the
 * layouts of figures 8-9 to 8-12. Segment selectors are stored as 0.
 *
 * Spec: Intel SDM vol. 1, 8.1.10 "Saving the x87 FPU's State"; vol. 2A,
 *       "FCLEX/FNCLEX", "FDECSTP", "FFREE", "FINCSTP", "FINIT/FNINIT",
 *       "FLDCW", "FLDENV", "FRSTOR", "FSAVE/FNSAVE", "FSTCW", "FSTENV",
 *       "FSTSW", "WAIT/FWAIT".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_exec_x87.h"

/* CR0.MP and TS stop FWAIT; EM does not. */
X87_HANDLER(fwait)
{
    if (G_UNLIKELY(cpu->x87_blocked != 0)) {
        if ((cpu->cr0 & EMU_CR0_MP) && (cpu->cr0 & EMU_CR0_TS))
            emu_raise(cpu, insn, EMU_NM);
        if (cpu->x87_blocked & EMU_FP_MF)
            emu_raise(cpu, insn, EMU_MF);
    }
}

X87_HANDLER(fnop)
{
    X87_GATE();
}

X87_HANDLER(fldcw)
{
    X87_GATE();
    emu_x87_set_cw(cpu, emu_load16(cpu, insn, emu_ea(cpu, insn, 2, EMU_READ)));
}

X87_HANDLER(fnstcw)
{
    X87_GATE_NOWAIT();
    emu_store16(cpu, insn, emu_ea(cpu, insn, 2, EMU_WRITE), cpu->x87.cw);
}

X87_HANDLER(fnstsw_m)
{
    X87_GATE_NOWAIT();
    emu_store16(cpu, insn, emu_ea(cpu, insn, 2, EMU_WRITE), emu_x87_sw(cpu));
}

X87_HANDLER(fnstsw_ax)
{
    X87_GATE_NOWAIT();
    EMU_R16(cpu, VSR_X86_RAX) = emu_x87_sw(cpu);
}

X87_HANDLER(fninit)
{
    X87_GATE_NOWAIT();
    emu_x87_init(cpu);
}

X87_HANDLER(fnclex)
{
    X87_GATE_NOWAIT();
    emu_x87_set_sw(cpu, emu_x87_sw(cpu) & (EMU_SW_CC | EMU_SW_TOP));
}

X87_HANDLER(fincstp)
{
    X87_GATE();
    X87_NOTE();
    cpu->x87.top = (cpu->x87.top + 1) & 7;
    x87_clear_c1(cpu);
}

X87_HANDLER(fdecstp)
{
    X87_GATE();
    X87_NOTE();
    cpu->x87.top = (cpu->x87.top - 1) & 7;
    x87_clear_c1(cpu);
}

X87_HANDLER(ffree)
{
    X87_GATE();
    X87_NOTE();
    cpu->x87.valid &= (uint8_t) ~(1u << x87_phys(cpu, insn->reg));
    x87_clear_c1(cpu);
}

X87_HANDLER(ffreep)
{
    X87_GATE();
    X87_NOTE();
    cpu->x87.valid &= (uint8_t) ~(1u << x87_phys(cpu, insn->reg));
    x87_pop(cpu);
    x87_clear_c1(cpu);
}

/* --- environment --- */

enum { ENV16 = 14, ENV32 = 28, REGS = 80 };

static void put16(uint8_t *p, unsigned at, uint16_t v)
{
    memcpy(p + at, &v, 2);
}

static void put32(uint8_t *p, unsigned at, uint32_t v)
{
    memcpy(p + at, &v, 4);
}

static uint32_t get16(const uint8_t *p, unsigned at)
{
    uint16_t v;

    memcpy(&v, p + at, 2);
    return v;
}

static uint32_t get32(const uint8_t *p, unsigned at)
{
    uint32_t v;

    memcpy(&v, p + at, 4);
    return v;
}

static unsigned env_format(const emu_cpu *cpu, uint8_t *p, unsigned opsize)
{
    const emu_x87 *x87 = &cpu->x87;
    uint32_t fip = (uint32_t)x87->fip;
    uint32_t fdp = (uint32_t)x87->fdp;
    bool prot = cpu->mode & EMU_MODE_PROT;

    if (opsize == 2) {
        put16(p, 0, x87->cw);
        put16(p, 2, emu_x87_sw(cpu));
        put16(p, 4, emu_x87_tags(cpu));
        put16(p, 6, (uint16_t)fip);
        put16(p, 8, prot ? 0 : (uint16_t)((fip >> 4 & 0xf000) | x87->fop));
        put16(p, 10, (uint16_t)fdp);
        put16(p, 12, prot ? 0 : (uint16_t)(fdp >> 4 & 0xf000));
        return ENV16;
    }
    put32(p, 0, 0xffff0000 | x87->cw);
    put32(p, 4, 0xffff0000 | emu_x87_sw(cpu));
    put32(p, 8, 0xffff0000 | emu_x87_tags(cpu));
    if (prot) {
        put32(p, 12, fip);
        put32(p, 16, (uint32_t)x87->fop << 16);
        put32(p, 20, fdp);
        put32(p, 24, 0xffff0000);
    } else {
        put32(p, 12, 0xffff0000 | (fip & 0xffff));
        put32(p, 16, (fip >> 4 & 0x0ffff000) | x87->fop);
        put32(p, 20, 0xffff0000 | (fdp & 0xffff));
        put32(p, 24, fdp >> 4 & 0x0ffff000);
    }
    return ENV32;
}

static unsigned env_parse(emu_cpu *cpu, const uint8_t *p, unsigned opsize)
{
    emu_x87 *x87 = &cpu->x87;
    bool prot = cpu->mode & EMU_MODE_PROT;
    bool small = opsize == 2;
    uint32_t cw = get16(p, 0);
    uint32_t sw = get16(p, small ? 2 : 4);
    uint32_t tags = get16(p, small ? 4 : 8);

    if (small) {
        x87->fip = get16(p, 6);
        x87->fdp = get16(p, 10);
        if (!prot) {
            x87->fip |= (get16(p, 8) & 0xf000) << 4;
            x87->fdp |= (get16(p, 12) & 0xf000) << 4;
            x87->fop = get16(p, 8) & 0x7ff;
        }
    } else if (prot) {
        x87->fip = get32(p, 12);
        x87->fdp = get32(p, 20);
        x87->fop = get16(p, 18) & 0x7ff;
    } else {
        x87->fip = get16(p, 12) | (get32(p, 16) & 0x0ffff000) << 4;
        x87->fdp = get16(p, 20) | (get32(p, 24) & 0x0ffff000) << 4;
        x87->fop = get16(p, 16) & 0x7ff;
    }
    x87->valid = 0;
    for (unsigned i = 0; i < 8; i++) {
        if ((tags >> (2 * i) & 3) != 3)
            x87->valid |= (uint8_t)(1u << i);
    }
    emu_x87_set_cw(cpu, (uint16_t)cw);
    emu_x87_set_sw(cpu, (uint16_t)sw);
    return small ? ENV16 : ENV32;
}

static unsigned env_size(const emu_insn *insn)
{
    return insn->opsize == 2 ? ENV16 : ENV32;
}

X87_HANDLER(fnstenv)
{
    uint8_t env[ENV32];
    unsigned len = env_size(insn);

    X87_GATE_NOWAIT();
    env_format(cpu, env, insn->opsize);
    emu_store_bytes(cpu, insn, emu_ea(cpu, insn, len, EMU_WRITE), env, len);
    emu_x87_set_cw(cpu, cpu->x87.cw | EMU_CW_MASKS);
}

X87_HANDLER(fldenv)
{
    uint8_t env[ENV32];
    unsigned len = env_size(insn);

    X87_GATE();
    emu_load_bytes(cpu, insn, emu_ea(cpu, insn, len, EMU_READ), env, len);
    env_parse(cpu, env, insn->opsize);
}

X87_HANDLER(fnsave)
{
    uint8_t area[ENV32 + REGS];
    unsigned at;

    X87_GATE_NOWAIT();
    at = env_format(cpu, area, insn->opsize);
    for (unsigned i = 0; i < 8; i++, at += 10)
        memcpy(area + at, &cpu->x87.st[x87_phys(cpu, i)], 10);
    emu_store_bytes(cpu, insn, emu_ea(cpu, insn, at, EMU_WRITE), area, at);
    emu_x87_init(cpu);
}

X87_HANDLER(frstor)
{
    uint8_t area[ENV32 + REGS];
    unsigned at = env_size(insn);

    X87_GATE();
    emu_load_bytes(cpu, insn, emu_ea(cpu, insn, at + REGS, EMU_READ), area,
                   at + REGS);
    env_parse(cpu, area, insn->opsize);
    for (unsigned i = 0; i < 8; i++, at += 10)
        memcpy(&cpu->x87.st[x87_phys(cpu, i)], area + at, 10);
}

emu_exec_fn *emu_find_x87_control(const emu_insn *insn)
{
    switch (insn->op) {
    case EMU_OP_FWAIT:
        return fwait;
    case EMU_OP_FNOP:
        return fnop;
    case EMU_OP_FLDCW:
        return fldcw;
    case EMU_OP_FNSTCW:
        return fnstcw;
    case EMU_OP_FNSTSW:
        return insn->form == EMU_FORM_M ? fnstsw_m : fnstsw_ax;
    case EMU_OP_FNINIT:
        return fninit;
    case EMU_OP_FNCLEX:
        return fnclex;
    case EMU_OP_FINCSTP:
        return fincstp;
    case EMU_OP_FDECSTP:
        return fdecstp;
    case EMU_OP_FFREE:
        return ffree;
    case EMU_OP_FFREEP:
        return ffreep;
    case EMU_OP_FNSTENV:
        return fnstenv;
    case EMU_OP_FLDENV:
        return fldenv;
    case EMU_OP_FNSAVE:
        return fnsave;
    case EMU_OP_FRSTOR:
        return frstor;
    default:
        return NULL;
    }
}
