/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_x86_reset.c: the states a processor starts from.
 *
 * Spec:    Intel SDM vol. 3A, table 9-1 "IA-32 and Intel 64 Processor States
 *          Following Power-up, Reset, or INIT"; AMD APM vol. 2, 14.1.3
 *          "Processor Initialization State".
 * Threads: the vCPU's own.
 */
#include "drivers/emu/guest_x86_reset.h"

#include "drivers/emu/guest_x86_arch.h"
#include "drivers/emu/guest_x86_fpstate.h"
#include "drivers/emu/guest_x86_segment.h"

static const vsr_x86_seg data_seg = {
    .limit = 0xffff,
    .attr = VSR_SEG_P | VSR_SEG_S | 3,
};

static void reset_segments(emu_cpu *cpu)
{
    for (unsigned s = VSR_X86_ES; s <= VSR_X86_GS; s++)
        cpu->seg[s] = data_seg;
    cpu->seg[VSR_X86_CS].selector = 0xf000;
    cpu->seg[VSR_X86_CS].base = 0xffff0000;
    cpu->seg[VSR_X86_CS].attr = VSR_SEG_P | VSR_SEG_S | 0xb;
    cpu->seg[VSR_X86_LDTR] =
        (vsr_x86_seg){ .limit = 0xffff, .attr = VSR_SEG_P | 0x2 };
    cpu->seg[VSR_X86_TR] =
        (vsr_x86_seg){ .limit = 0xffff, .attr = VSR_SEG_P | 0xb };
    cpu->gdt = cpu->idt = (vsr_x86_dtable){ .limit = 0xffff };
}

/* Family, model and stepping, as CPUID leaf 1 tells them. */
static uint32_t signature(const emu_cpu *cpu)
{
    for (uint32_t i = 0; i < cpu->cpuid.n; i++)
        if (cpu->cpuid.row[i].leaf == 1)
            return cpu->cpuid.row[i].eax;
    return 0;
}

void emu_reset_init(emu_cpu *cpu)
{
    uint32_t cache = cpu->cr0 & (EMU_CR0_CD | EMU_CR0_NW);

    memset(cpu->regs, 0, sizeof cpu->regs);
    cpu->regs[VSR_X86_RDX] = signature(cpu);
    cpu->regs[EMU_REG_RIP] = 0xfff0;
    cpu->cc = 0;
    cpu->eflags = 2;
    cpu->inhibit = 0;
    reset_segments(cpu);
    cpu->cpl = 0;
    cpu->cr0 = EMU_CR0_ET | cache;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    cpu->efer = 0;
    memset(cpu->pdptr, 0, sizeof cpu->pdptr);
    memset(cpu->dr, 0, sizeof cpu->dr);
    cpu->dr[6] = EMU_DR6_FIXED;
    cpu->dr[7] = EMU_DR7_FIXED;
    cpu->dr6_pending = 0;
    cpu->delivering = -1;
    cpu->inject_exception = cpu->inject_interrupt = false;
    cpu->nmi_masked = false;
    atomic_store(&cpu->nmis, 0);
    emu_mode_update(cpu);
    emu_mmu_mode_changed(cpu);
    emu_tlb_flush(cpu, true);
    emu_fp_mode_changed(cpu);
}

void emu_reset_power(emu_cpu *cpu)
{
    emu_fp_reset(cpu);
    cpu->xcr0 = EMU_XSTATE_X87;
    cpu->cr0 = EMU_CR0_CD | EMU_CR0_NW;
    cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = 0;
    cpu->kernel_gs_base = 0;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
    cpu->pat = EMU_PAT_RESET;
    cpu->tsc_aux = 0;
    cpu->tsc_adjust = 0;
    cpu->misc_enable = 1; /* fast strings */
    cpu->kvmclock_msr = cpu->kvm_wall_msr = 0;
    cpu->mp_state = cpu->index == 0 ? VSR_MP_RUNNABLE : VSR_MP_WAIT_INIT;
    emu_reset_init(cpu);
}

void emu_reset_sipi(emu_cpu *cpu, uint8_t vector)
{
    emu_segment_real(cpu, VSR_X86_CS, (uint16_t)(vector << 8));
    cpu->regs[EMU_REG_RIP] = 0;
}
