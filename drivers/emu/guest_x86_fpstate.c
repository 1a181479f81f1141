/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_fpstate.c: x87 and SSE control state of a vCPU, the host's
 * registers it lives in, and the gates (#NM, #UD, #MF, #XM).
 *
 * Spec: Intel SDM vol. 1, 8.1.3 "x87 FPU Status Register", 8.7 "Handling x87
 *       FPU Exceptions in Software", 11.5 "SSE, SSE2, and SSE3 Exceptions";
 *       vol. 3A, 2.5 "Control Registers", table 2-2.
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_fpstate.h"

#include "drivers/emu/guest_x86_arch.h"

/* --- the host's registers --- */

static uint16_t host_cw(void)
{
    uint16_t cw;

    __asm__ volatile("fnstcw %0" : "=m"(cw));
    return cw;
}

static uint16_t host_sw(void)
{
    uint16_t sw;

    __asm__ volatile("fnstsw %0" : "=a"(sw));
    return sw;
}

static void host_clear(void)
{
    __asm__ volatile("fnclex");
}

static void host_set_cw(uint16_t cw)
{
    __asm__ volatile("fldcw %0" : : "m"(cw));
}

/* Host exception flags must be a subset of the guest's, and clear where the
 * new control word unmasks them. */
static void x87_load(const emu_cpu *cpu)
{
    uint16_t sticky = host_sw() & (EMU_SW_FLAGS | EMU_SW_SF | EMU_SW_ES);

    if (sticky & ~(cpu->x87.sw & cpu->x87.cw & EMU_SW_FLAGS))
        host_clear();
    if (host_cw() != cpu->x87.cw)
        host_set_cw(cpu->x87.cw);
}

void emu_fp_enter(emu_cpu *cpu)
{
    uint32_t mxcsr = emu_mxcsr_host(cpu);

    cpu->host_mxcsr = _mm_getcsr();
    if (cpu->host_mxcsr != mxcsr)
        _mm_setcsr(mxcsr);
    cpu->host_cw = host_cw();
    x87_load(cpu);
    cpu->fp_loaded = true;
}

void emu_fp_leave(emu_cpu *cpu)
{
    uint32_t mxcsr = _mm_getcsr();

    cpu->mxcsr |= mxcsr & EMU_MXCSR_FLAGS;
    if (mxcsr != cpu->host_mxcsr)
        _mm_setcsr(cpu->host_mxcsr);
    if (cpu->host_cw != cpu->x87.cw) {
        host_clear();
        host_set_cw(cpu->host_cw);
    }
    cpu->fp_loaded = false;
}

/* --- MXCSR --- */

void emu_mxcsr_set(emu_cpu *cpu, uint32_t value)
{
    cpu->mxcsr = value;
    cpu->sse_trap = (value & EMU_MXCSR_MASKS) != EMU_MXCSR_MASKS;
    if (cpu->fp_loaded)
        _mm_setcsr(emu_mxcsr_host(cpu));
}

/*
 * SDM vol. 1, 11.5.3: an unmasked condition found before the operation hides
 * those found after it; an unmasked one leaves the destination as it was.
 */
void emu_sse_trap_check(emu_cpu *cpu, const emu_insn *insn)
{
    uint32_t raised = _mm_getcsr() & EMU_MXCSR_FLAGS;
    uint32_t unmasked = ~(cpu->mxcsr >> 7) & EMU_MXCSR_FLAGS;

    if (raised == 0)
        return;
    _mm_setcsr(emu_mxcsr_host(cpu));
    if (raised & unmasked & EMU_MXCSR_PRE)
        raised &= EMU_MXCSR_PRE;
    cpu->mxcsr |= raised;
    if (raised & unmasked)
        emu_raise(cpu, insn, cpu->cr4 & EMU_CR4_OSXMMEXCPT ? EMU_XM : EMU_UD);
}

/* --- x87 --- */

uint16_t emu_x87_sw(const emu_cpu *cpu)
{
    return cpu->x87.sw | (uint16_t)(cpu->x87.top << EMU_SW_TOP_SHIFT);
}

/* ES and B follow from the flags and masks; #MF waits while they are set. CR0.NE
 * counts as 1: nothing is wired to FERR#, as under hardware's virtualization. */
static void x87_summarise(emu_cpu *cpu)
{
    emu_x87 *x87 = &cpu->x87;

    x87->sw &= (uint16_t) ~(EMU_SW_ES | EMU_SW_B | EMU_SW_TOP);
    if (x87->sw & ~x87->cw & EMU_SW_FLAGS)
        x87->sw |= EMU_SW_ES | EMU_SW_B;
    if (x87->sw & EMU_SW_ES)
        cpu->x87_blocked |= EMU_FP_MF;
    else
        cpu->x87_blocked &= (uint8_t)~EMU_FP_MF;
    if (cpu->fp_loaded)
        x87_load(cpu);
}

void emu_x87_set_sw(emu_cpu *cpu, uint16_t sw)
{
    cpu->x87.sw = sw;
    cpu->x87.top = (sw >> EMU_SW_TOP_SHIFT) & 7;
    x87_summarise(cpu);
}

void emu_x87_set_cw(emu_cpu *cpu, uint16_t cw)
{
    /* Bit 6 reads as 1; 7, 13..15 as 0; 12 (infinity) is kept. */
    cpu->x87.cw = (cw & 0x1f3f) | 0x40;
    x87_summarise(cpu);
}

void emu_x87_init(emu_cpu *cpu)
{
    cpu->x87.valid = 0;
    cpu->x87.fop = 0;
    cpu->x87.fip = 0;
    cpu->x87.fdp = 0;
    cpu->x87.cw = EMU_CW_INIT;
    emu_x87_set_sw(cpu, 0);
}

/* 0 valid, 1 zero, 2 special, 3 empty; two bits a physical register. */
uint16_t emu_x87_tags(const emu_cpu *cpu)
{
    unsigned tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        const emu_f80 *r = &cpu->x87.st[i];
        unsigned exponent = r->exponent & 0x7fff;
        unsigned tag = 0;

        if (!(cpu->x87.valid & (1u << i)))
            tag = 3;
        else if (exponent == 0 && r->mantissa == 0)
            tag = 1;
        else if (exponent == 0 || exponent == 0x7fff || !(r->mantissa >> 63))
            tag = 2;
        tags |= tag << (2 * i);
    }
    return (uint16_t)tags;
}

/* --- gates --- */

void emu_fp_mode_changed(emu_cpu *cpu)
{
    uint8_t blocked = 0;

    if (cpu->cr0 & EMU_CR0_EM)
        blocked |= EMU_FP_EM;
    if (cpu->cr0 & EMU_CR0_TS)
        blocked |= EMU_FP_TS;
    cpu->x87_blocked = blocked;
    if (!(cpu->cr4 & EMU_CR4_OSFXSR))
        blocked |= EMU_FP_NOSSE;
    cpu->sse_blocked = blocked;
    x87_summarise(cpu);
}

void emu_fp_reset(emu_cpu *cpu)
{
    memset(cpu->xmm, 0, sizeof cpu->xmm);
    memset(&cpu->x87, 0, sizeof cpu->x87);
    emu_mxcsr_set(cpu, EMU_MXCSR_RESET);
    cpu->x87.cw = 0x40;
    cpu->x87.valid = 0xff;
    emu_fp_mode_changed(cpu);
}

bool emu_xmm_usable(const emu_cpu *cpu)
{
    return cpu->sse_blocked == 0;
}

void emu_sse_fault(emu_cpu *cpu, const emu_insn *insn)
{
    if (cpu->sse_blocked & (EMU_FP_EM | EMU_FP_NOSSE))
        emu_raise(cpu, insn, EMU_UD);
    emu_raise(cpu, insn, EMU_NM);
}

void emu_x87_fault(emu_cpu *cpu, const emu_insn *insn)
{
    if (cpu->x87_blocked & (EMU_FP_EM | EMU_FP_TS))
        emu_raise(cpu, insn, EMU_NM);
    emu_raise(cpu, insn, EMU_MF);
}

void emu_mmx_fault(emu_cpu *cpu, const emu_insn *insn)
{
    if (cpu->x87_blocked & EMU_FP_EM)
        emu_raise(cpu, insn, EMU_UD);
    if (cpu->x87_blocked & EMU_FP_TS)
        emu_raise(cpu, insn, EMU_NM);
    emu_raise(cpu, insn, EMU_MF);
}
